"""Models have torchvision's parameters, state_dict keys, initial weights and outputs."""

import warnings
import zlib

import pytest

import rushlight as torch
from rushlight.vision import models

# torchvision 0.28, seed 0, 7 classes: parameters, crc32 of the keys and shapes, and the largest
# output for a ramp of pixels
RECORDED = {
    "alexnet": (57032519, 3598704488, 0.0197171),
    "densenet121": (6961031, 3037021127, 0.37121),
    "densenet161": (26487463, 1141943215, None),
    "densenet169": (12496135, 3936101921, None),
    "densenet201": (18106375, 3606659948, None),
    "googlenet": (9951413, 1500200175, 0.0264208),
    "mobilenet_v2": (2232839, 4053426141, 6.53448e-11),
    "resnet101": (42514503, 607635792, None),
    "resnet18": (11180103, 2682071375, 0.275302),
    "resnet34": (21288263, 3841363267, None),
    "resnet50": (23522375, 209547907, 4.79185),
    "resnext50_32x4d": (22994247, 2574286029, 0.028063),
    "squeezenet1_0": (739015, 2924971882, 0.139062),
    "squeezenet1_1": (726087, 3493025413, 0.0533901),
    "vgg11": (128795015, 1045846463, None),
    "vgg16_bn": (134297671, 3343971519, None),
    "vit_b_32": (87460615, 1066053264, None),
}


def make(name, **more):
    """A model of 7 classes; without weights of its own where only keys and shapes are compared."""
    if name.startswith(("vgg", "goog")):
        more["init_weights"] = False
    torch.manual_seed(0)
    if RECORDED[name][2] is not None:
        return models.get_model(name, num_classes=7, **more)
    with pytest.MonkeyPatch.context() as patch:  # the draws of 130 million numbers take seconds
        for fill in ("uniform_", "normal_"):
            patch.setattr(torch.Tensor, fill, lambda self, *args, **kwargs: self)
        return models.get_model(name, num_classes=7, **more)


@pytest.mark.parametrize("name", RECORDED)
def test_parameters_keys_and_outputs(name):
    count, keys, largest = RECORDED[name]
    model = make(name).eval()
    text = " ".join(f"{k}{tuple(v.shape)}" for k, v in model.state_dict().items())
    assert sum(p.numel() for p in model.parameters()) == count
    assert zlib.crc32(text.encode()) == keys
    if largest is not None:
        size = 224 if name == "googlenet" else 64
        with torch.no_grad():
            out = model(torch.linspace(-1, 1, 3 * size**2).view(1, 3, size, size))
        assert out.shape == (1, 7)
        assert out.abs().max().item() == pytest.approx(largest, rel=1e-3)


def test_a_training_step_reaches_every_parameter():
    torch.manual_seed(0)
    small = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)
    stages = [[1, 8, 1, 1], [6, 8, 2, 2]]
    mobile = models.MobileNetV2(3, inverted_residual_setting=stages)
    dense = models.DenseNet(4, (1, 1, 1, 1), 8, num_classes=3, memory_efficient=True)
    vit = models.VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=3, representation_size=4)
    torch.nn.init.ones_(vit.heads.head.weight)
    for model in (small, mobile, dense, vit, make("squeezenet1_1")):
        model.train()(torch.rand(2, 3, 32, 32)).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())


def test_googlenet_trains_with_auxiliary_outputs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = make("googlenet", transform_input=True)
    out = model(torch.rand(2, 3, 64, 64))
    assert [x.shape for x in out] == [(2, 7)] * 3
    assert out._fields == ("logits", "aux_logits2", "aux_logits1")


def test_registry_and_weights():
    assert "resnet18" in models.list_models()
    assert models.list_models(include="vgg*", exclude=["*_bn"]) == [
        f"vgg{depth}" for depth in (11, 13, 16, 19)
    ]
    assert models.squeezenet1_1(weights=None, progress=False, num_classes=2).num_classes == 2
    with pytest.raises(NotImplementedError, match="pretrained weights are not included"):
        models.resnet18(weights="DEFAULT")
    with pytest.raises(NotImplementedError, match="pretrained weights are not included"):
        models.resnet50(weights=models.ResNet50_Weights.DEFAULT)
    assert models.ResNet50_Weights.DEFAULT is models.ResNet50_Weights.IMAGENET1K_V2
    names = "ResNeXt50_32X4D Wide_ResNet50_2 VGG16_BN MobileNet_V2 SqueezeNet1_1 ViT_B_16 AlexNet"
    assert all(hasattr(models, f"{name}_Weights") for name in names.split())
    with pytest.raises(NotImplementedError, match="load_state_dict"):
        models.resnet18(pretrained=True)
    with pytest.raises(ValueError, match="Unknown model"):
        models.get_model("resnet19")


def test_options_of_resnet():
    kept = models.resnet50(replace_stride_with_dilation=[False, True, True], num_classes=2)
    assert kept.layer4[1].conv2.dilation == (4, 4)
    zero = models.resnet18(zero_init_residual=True, norm_layer=lambda c: torch.nn.BatchNorm2d(c))
    assert zero.layer1[0].bn2.weight.abs().sum() == 0
    with pytest.raises(ValueError, match="3-element"):
        models.resnet50(replace_stride_with_dilation=[True])


def test_layers_of_vgg_from_a_list():
    layers = models.vgg.make_layers([8, "M", 4], batch_norm=True)
    kinds = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "BatchNorm2d", "ReLU"]
    assert [type(layer).__name__ for layer in layers] == kinds
    assert models.vgg.cfgs["A"][:5] == [64, "M", 128, "M", 256] and len(models.vgg.cfgs["E"]) == 21


def test_parts_of_a_network():
    from rushlight.vision.models._utils import IntermediateLayerGetter, _make_divisible

    net = models.resnet18(num_classes=3)
    parts = IntermediateLayerGetter(net, {"layer1": "low", "layer3": "high"})
    out = parts(torch.rand(1, 3, 32, 32))
    assert {name: tuple(x.shape) for name, x in out.items()} == {
        "low": (1, 64, 8, 8),
        "high": (1, 256, 2, 2),
    }
    assert "layer4.0.conv1.weight" not in parts.state_dict()
    with pytest.raises(ValueError, match="not present"):
        IntermediateLayerGetter(net, {"layer9": "none"})
    assert [_make_divisible(*x) for x in [(37, 8), (3, 8), (11, 8), (3, 8, 4)]] == [40, 8, 16, 4]


def test_names_of_modules():
    from rushlight.vision.datasets import vision
    from rushlight.vision.transforms import transforms

    assert transforms.Compose and vision.VisionDataset
