"""Networks for video have torchvision's parameters, keys, initial weights and outputs."""

import math
import pickle
import zlib

import pytest

import rushlight as torch
from rushlight.vision import models
from rushlight.vision.models import video

# torchvision 0.28, seed 0, 7 classes: parameters, crc32 of the keys and shapes, the sum of all
# weights' magnitudes, and the first two outputs for a ramp of pixels
RECORDED = {
    "r3d_18": (33169863, 2075533280, 378384.757, (0.0199394, 0.013828)),
    "mc3_18": (11493831, 2501289977, 229771.965, (-0.0357659, 0.0479177)),
    "r2plus1d_18": (31303716, 3965747280, 604365.876, (-0.0209146, 0.0019872)),
    "s3d": (7917223, 3485241460, 149997.714, (0.000299958, -0.00613176)),
}
SIZES = {"s3d": (14, 224, 224)}  # frames, rows and columns


@pytest.mark.parametrize("name", RECORDED)
def test_parameters_keys_and_outputs(name):
    count, keys, magnitudes, outputs = RECORDED[name]
    torch.manual_seed(0)
    model = models.get_model(name, weights=None, num_classes=7).eval()
    text = " ".join(f"{k}{tuple(v.shape)}" for k, v in model.state_dict().items())
    assert sum(p.numel() for p in model.parameters()) == count
    assert zlib.crc32(text.encode()) == keys
    total = sum(p.detach().double().abs().sum().item() for p in model.parameters())
    assert total == pytest.approx(magnitudes, rel=1e-8)
    size = SIZES.get(name, (4, 32, 32))
    with torch.no_grad():
        out = model(torch.linspace(-1, 1, 3 * math.prod(size)).view(1, 3, *size))
    assert out.shape == (1, 7) and out[0, :2].tolist() == pytest.approx(outputs, rel=1e-3)


def test_a_training_step_reaches_every_parameter():
    torch.manual_seed(0)
    makers = [video.resnet.Conv3DSimple, video.resnet.Conv3DNoTemporal, video.resnet.Conv2Plus1D]
    for block in (video.resnet.BasicBlock, video.resnet.Bottleneck):
        model = video.VideoResNet(
            block, [*makers, makers[1]], [1, 1, 1, 1], video.resnet.R2Plus1dStem, 3, True
        )
        if block is video.resnet.Bottleneck:
            assert model.layer1[0].conv3[1].weight.abs().max() == 0
            torch.nn.init.ones_(model.layer4[0].conv3[1].weight)
        model.train()(torch.rand(2, 3, 4, 16, 16)).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())


def test_weights_and_how_videos_are_prepared():
    weights = video.R2Plus1D_18_Weights.DEFAULT
    assert pickle.loads(pickle.dumps(weights)) is weights and weights.name == "KINETICS400_V1"
    assert len(weights.meta["categories"]) == 400
    assert weights.meta["categories"][0] == "abseiling"
    with pytest.raises(NotImplementedError, match="pretrained weights are not included"):
        video.s3d(weights="DEFAULT")
    prepare = models.get_weight("R3D_18_Weights.DEFAULT").transforms()
    assert (prepare.crop_size, prepare.resize_size) == ([112, 112], [128, 171])
    frames = torch.arange(2 * 5 * 3 * 8 * 9, dtype=torch.uint8).view(2, 5, 3, 8, 9)
    out = prepare(frames)
    assert out.shape == (2, 3, 5, 112, 112) and torch.equal(prepare(frames[1]), out[1])
    plain = weights.transforms(crop_size=(8, 9), resize_size=(8, 9), mean=(0,) * 3, std=(1,) * 3)
    torch.testing.assert_close(plain(frames), frames.transpose(1, 2) / 255)
