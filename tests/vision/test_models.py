"""Models have torchvision's parameters, state_dict keys, initial weights and outputs."""

import pickle
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision import models, transforms

# torchvision 0.28, seed 0, 7 classes: parameters, crc32 of the keys and shapes, and the largest
# output for a ramp of pixels
RECORDED = {
    "alexnet": (57032519, 3598704488, 0.0197171),
    "convnext_tiny": (27825511, 2535072933, None),
    "deeplabv3_mobilenet_v3_large": (11021879, 2194165416, None),
    "densenet121": (6961031, 3037021127, 0.37121),
    "densenet161": (26487463, 1141943215, None),
    "densenet169": (12496135, 3936101921, None),
    "densenet201": (18106375, 3606659948, None),
    "efficientnet_b1": (6522151, 1842818941, None),
    "efficientnet_b5": (28355127, 1215195148, None),
    "efficientnet_v2_s": (20186455, 331547115, None),
    "fcn_resnet50": (32949831, 11796734, None),
    "googlenet": (9951413, 1500200175, 0.0264208),
    "inception_v3": (24362990, 1108872522, None),
    "lraspp_mobilenet_v3_large": (3219158, 3805819489, None),
    "mnasnet1_3": (5010223, 2182290258, None),
    "mobilenet_v2": (2232839, 4053426141, 6.53448e-11),
    "mobilenet_v3_small": (1525031, 1241911384, None),
    "regnet_x_400mf": (5097783, 3412710114, None),
    "regnet_y_3_2gf": (17933929, 1725803898, None),
    "resnet101": (42514503, 607635792, None),
    "resnet18": (11180103, 2682071375, 0.275302),
    "resnet34": (21288263, 3841363267, None),
    "resnet50": (23522375, 209547907, 4.79185),
    "resnext50_32x4d": (22994247, 2574286029, 0.028063),
    "shufflenet_v2_x2_0": (5359339, 3154336807, None),
    "squeezenet1_0": (739015, 2924971882, 0.139062),
    "squeezenet1_1": (726087, 3493025413, 0.0533901),
    "swin_s": (48842641, 586520421, None),
    "swin_v2_t": (27587953, 2538246508, None),
    "vgg11": (128795015, 1045846463, None),
    "vgg16_bn": (134297671, 3343971519, None),
    "vit_b_32": (87460615, 1066053264, None),
}

# torchvision 0.28, seed 0, of the models below: the sum of all weights' magnitudes, and the outputs
# for a ramp of pixels
SMALL = {
    "convnext": (84.5834196, [0.01198, 0.0110995, 0.0770992]),
    "swin": (221.910196, [-0.112037, 0.0512433, 0.0200714]),
    "swin_v2": (336.785417, [-0.0354146, 0.052064, -0.116166]),
    "mobilenet_v3": (816.668838, [2.69848e-07, -9.60008e-06, -5.32044e-06]),
    "efficientnet": (1273.64012, [-0.294912, -0.243669, 0.107567]),
    "shufflenet": (478.099707, [-0.0222392, -0.00482836, -0.0878638]),
    "mnasnet": (15259.4643, [0.00167634, 0.00310093, 0.000771318]),
    "regnet": (922.537725, [-0.00333191, -0.00520633, -0.00300393]),
}


def make_small(name):
    """A network of a few blocks of its kind, with 3 classes."""
    mobile, efficient = models.mobilenetv3.InvertedResidualConfig, models.efficientnet
    swin = ([2, 2], 8, [2, 1], [2, 4], [3, 3], 4.0, 0.0, 0.0, 0.1, 3)
    second = models.swin_transformer.SwinTransformerBlockV2
    stages = [models.convnext.CNBlockConfig(4, 8, 1), models.convnext.CNBlockConfig(8, None, 2)]
    blocks = models.regnet.BlockParams([1, 2], [8, 16], [4, 8], [1.0, 1.0], [2, 2], 0.25)
    makers = {
        "convnext": lambda: models.ConvNeXt(stages, 0.5, 0.5, 3),
        "swin": lambda: models.SwinTransformer(*swin),
        "swin_v2": lambda: models.SwinTransformer(
            *swin, block=second, downsample_layer=models.swin_transformer.PatchMergingV2
        ),
        "mobilenet_v3": lambda: models.MobileNetV3(
            [
                mobile(8, 3, 16, 8, True, "RE", 1, 1, 1.0),
                mobile(8, 5, 24, 16, False, "HS", 2, 2, 1.0),
            ],
            32,
            3,
        ),
        "efficientnet": lambda: models.EfficientNet(
            [
                efficient.FusedMBConvConfig(4, 3, 1, 8, 8, 2),
                efficient.MBConvConfig(4, 3, 2, 8, 16, 1),
            ],
            0.2,
            num_classes=3,
        ),
        "shufflenet": lambda: models.ShuffleNetV2([1, 2, 1], [8, 8, 16, 16, 32], 3),
        "mnasnet": lambda: models.MNASNet(0.1, 3),
        "regnet": lambda: models.RegNet(blocks, 3, stem_width=8),
    }
    torch.manual_seed(0)
    return makers[name]()


@pytest.mark.parametrize("name", SMALL)
def test_initial_weights_and_outputs_of_small_networks(name):
    magnitudes, outputs = SMALL[name]
    model = make_small(name)
    found = sum(p.detach().double().abs().sum().item() for p in model.parameters())
    assert found == pytest.approx(magnitudes, rel=1e-8)
    if name in ("efficientnet", "mobilenet_v3", "mnasnet"):  # so that outputs are not tiny
        for m in model.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.running_var.fill_(0.5)
    with torch.no_grad():
        out = model.eval()(torch.linspace(-1, 1, 3 * 20 * 18).view(1, 3, 20, 18))
    assert out[0].tolist() == pytest.approx(outputs, rel=1e-3)


@pytest.mark.parametrize("name", ["convnext", "swin", "swin_v2", "shufflenet"])
def test_training_reaches_every_parameter_of_small_networks(name):
    model = make_small(name)
    for m in model.modules():
        if hasattr(m, "stochastic_depth"):
            m.stochastic_depth.p = 0.0
    model.train()(torch.rand(2, 3, 20, 18)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def make(name, **more):
    """A model of 7 classes; without weights of its own where only keys and shapes are compared."""
    if name.startswith(("vgg", "goog", "inception")):
        more["init_weights"] = False
    if hasattr(models.segmentation, name):
        more["weights_backbone"] = None
    torch.manual_seed(0)
    if RECORDED[name][2] is not None:
        return models.get_model(name, num_classes=7, **more)
    with pytest.MonkeyPatch.context() as patch:  # the draws of 130 million numbers take seconds
        for fill in ("uniform_", "normal_"):
            patch.setattr(torch.Tensor, fill, lambda self, *args, **kwargs: self)
        patch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, *args, **kwargs: tensor)
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


def test_inception_trains_with_an_auxiliary_output():
    with pytest.warns(FutureWarning, match="init_weights"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, *args, **kwargs: tensor)
        model = models.inception_v3(num_classes=7, transform_input=True)
    model.Mixed_7a = model.Mixed_7b = model.Mixed_7c = torch.nn.Identity()  # to save time
    model.fc = torch.nn.Linear(768, 7)
    assert model.AuxLogits(torch.rand(2, 768, 17, 17)).shape == (2, 7)
    model.AuxLogits = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(768, 7)
    )
    out = model(torch.rand(2, 3, 75, 75))
    assert [x.shape for x in out] == [(2, 7)] * 2 and out._fields == ("logits", "aux_logits")


def test_segmentation():
    s = models.segmentation
    for head, backbone in (
        (s.fcn.FCNHead(16, 3), {"out": torch.rand(2, 16, 4, 5)}),
        (s.deeplabv3.DeepLabHead(16, 3, (1, 2)), {"out": torch.rand(2, 16, 4, 5)}),
    ):
        net = s.FCN(lambda x, found=backbone: found, head)
        assert net(torch.rand(2, 3, 9, 11))["out"].shape == (2, 3, 9, 11)
    model = s.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
    assert model.eval()(torch.rand(1, 3, 32, 40))["out"].shape == (1, 4, 32, 40)
    aux = s.deeplabv3_mobilenet_v3_large(weights_backbone=None, aux_loss=True, num_classes=2)
    assert list(aux.eval()(torch.rand(1, 3, 32, 32))) == ["out", "aux"]
    with pytest.raises(NotImplementedError, match="weights_backbone=None"):
        s.fcn_resnet50()
    with pytest.raises(NotImplementedError, match="pretrained weights are not included"):
        s.fcn_resnet50(weights="DEFAULT", weights_backbone=None)
    assert s.FCN_ResNet50_Weights.DEFAULT.name == "COCO_WITH_VOC_LABELS_V1"


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
    names += (
        " MobileNet_V3_Large ConvNeXt_Tiny ShuffleNet_V2_X0_5 MNASNet1_3 RegNet_Y_1_6GF Swin_V2_T"
    )
    assert all(hasattr(models, f"{name}_Weights") for name in names.split())
    with pytest.raises(NotImplementedError, match="load_state_dict"):
        models.resnet18(pretrained=True)
    assert models.get_model_weights("ResNet50") is models.ResNet50_Weights
    assert models.get_weight("Swin_T_Weights.DEFAULT") is models.Swin_T_Weights.IMAGENET1K_V1
    for weights in (models.VGG16_Weights, models.segmentation.FCN_ResNet50_Weights):
        assert pickle.loads(pickle.dumps(weights)) is weights
        assert pickle.loads(pickle.dumps(weights.DEFAULT)) is weights.DEFAULT
    with pytest.raises(ValueError, match="no weights"):
        models.get_weight("ResNet50_Weights.V9")
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


def test_a_transformer_of_convolutions():
    config = models.vision_transformer.ConvStemConfig
    stem = [config(4, 3, 2), config(6, 3, 2, activation_layer=torch.nn.ReLU6)]
    sizes = 16, 4, 1, 2, 8, 16
    vit = models.VisionTransformer(*sizes, num_classes=3, conv_stem_configs=stem)
    assert list(vit.state_dict())[:3] == [
        "class_token", "conv_proj.conv_bn_relu_0.0.weight", "conv_proj.conv_bn_relu_0.1.weight",
    ]  # fmt: skip
    assert vit.conv_proj.conv_last.bias.abs().sum() == 0
    x = torch.randn(2, 3, 16, 16)
    assert vit._process_input(x).shape == (2, 16, 8) and vit(x).shape == (2, 3)
    with pytest.raises(AssertionError, match="Wrong image height"):
        vit._process_input(x[:, :, :8])


def test_weights_are_written_by_name():
    weights = models.ResNet18_Weights.DEFAULT
    assert repr(weights) == str(weights) == "ResNet18_Weights.IMAGENET1K_V1"


@pytest.mark.parametrize(
    ("name", "crop", "resized", "bicubic"),
    [
        ("ResNet18_Weights.IMAGENET1K_V1", 224, 256, False),
        ("ResNet50_Weights.DEFAULT", 224, 232, False),
        ("EfficientNet_B0_Weights.DEFAULT", 224, 256, True),
        ("EfficientNet_B1_Weights.DEFAULT", 240, 255, False),
        ("EfficientNet_V2_S_Weights.DEFAULT", 384, 384, False),
        ("Swin_V2_B_Weights.DEFAULT", 256, 272, True),
        ("ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1", 512, 512, True),
        ("RegNet_Y_16GF_Weights.IMAGENET1K_SWAG_LINEAR_V1", 224, 224, True),
        ("Inception_V3_Weights.DEFAULT", 299, 342, False),
    ],
)
def test_weights_know_how_to_prepare_images(name, crop, resized, bicubic):
    prepare = models.get_weight(name).transforms()
    assert (prepare.crop_size, prepare.resize_size) == ([crop], [resized])
    assert (prepare.interpolation.value == "bicubic") is bicubic
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 40, 60), np.uint8))
    got = models.get_weight(name).transforms(resize_size=32, crop_size=24)(image)
    steps = transforms.Compose(
        [
            transforms.Resize(32, prepare.interpolation),
            transforms.CenterCrop(24),
            transforms.ConvertImageDtype(torch.float32),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    assert torch.equal(got, steps(image))


def test_preparations_of_segmentation_and_photographs():
    prepare = models.segmentation.FCN_ResNet50_Weights.DEFAULT.transforms()
    assert prepare.resize_size == [520]
    kept = models.segmentation.FCN_ResNet50_Weights.DEFAULT.transforms(resize_size=None)
    assert kept(torch.zeros(3, 5, 4, dtype=torch.uint8)).shape == (3, 5, 4)
    photograph = Image.new("RGB", (60, 40), (255, 0, 0))
    got = models.ResNet18_Weights.DEFAULT.transforms()(photograph)
    assert got.shape == (3, 224, 224)
    assert abs(got[0, 0, 0].item() - (1 - 0.485) / 0.229) < 1e-5


def test_names_of_classes():
    names = models.ResNet50_Weights.DEFAULT.meta["categories"]
    assert (len(names), names[0], names[207], names[-1]) == (
        1000,
        "tench",
        "golden retriever",
        "toilet tissue",
    )
    seen = models.segmentation.FCN_ResNet50_Weights.DEFAULT.meta["categories"]
    assert len(seen) == 21 and seen[:2] == ["__background__", "aeroplane"]
    assert models.VGG16_Weights.IMAGENET1K_FEATURES.meta["categories"] is None
