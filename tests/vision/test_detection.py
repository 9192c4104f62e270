"""Detectors have torchvision's parameters, state_dict keys, initial weights, losses, gradients and
results; and say what is wrong with what they are given.
"""

import math
import pickle
import zlib

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.vision import models, ops
from rushlight.vision.models import detection
from rushlight.vision.models.detection import _utils, keypoint_rcnn, mask_rcnn, roi_heads
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator

# torchvision 0.28, 7 classes: parameters, and crc32 of the keys and shapes
BUILDERS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": (18980254, 2060142117),
    "fasterrcnn_mobilenet_v3_large_fpn": (18980254, 2060142117),
    "fasterrcnn_resnet50_fpn": (41377906, 2532681155),
    "fasterrcnn_resnet50_fpn_v2": (43281778, 1367971963),
    "fcos_resnet50_fpn": (32129100, 3006257650),
    "keypointrcnn_resnet50_fpn": (59216003, 1715663858),
    "maskrcnn_resnet50_fpn": (44002425, 3131035912),
    "maskrcnn_resnet50_fpn_v2": (45907321, 3073414174),
    "retinanet_resnet50_fpn": (32325539, 3446622454),
    "retinanet_resnet50_fpn_v2": (36456355, 880136815),
    "ssd300_vgg16": (24414218, 2082776065),
    "ssdlite320_mobilenet_v3_large": (2275820, 2268233997),
}

# torchvision 0.28, seed 0, of the detectors below: the sum of all weights' magnitudes, the losses
# in training on two images and the sum of the gradients' magnitudes; then how much is found in each
# of the images, and the sums of it
SMALL = {
    "faster": (
        746.478836,
        {
            "loss_classifier": 1.20268,
            "loss_box_reg": 0.299591,
            "loss_objectness": 0.693024,
            "loss_rpn_box_reg": 0.00634401,
        },
        23.9143,
        [16, 18],
        {"boxes": 3502.93, "labels": 51.0, "scores": 12.033},
    ),
    "mask": (
        1203.70979,
        {
            "loss_classifier": 1.20834,
            "loss_box_reg": 0.130233,
            "loss_mask": 0.881129,
            "loss_objectness": 0.693123,
            "loss_rpn_box_reg": 0.00634899,
        },
        105.037,
        [18, 18],
        {"boxes": 3942.53, "labels": 54.0, "scores": 12.7549, "masks": 6549.07},
    ),
    "keypoint": (
        1201.86928,
        {
            "loss_classifier": 1.21573,
            "loss_box_reg": 0.0254996,
            "loss_keypoint": 5.57075,
            "loss_objectness": 0.693418,
            "loss_rpn_box_reg": 0.00634413,
        },
        107.499,
        [20, 20],
        {
            "boxes": 3121.47,
            "labels": 60.0,
            "scores": 14.1674,
            "keypoints": 8032.51,
            "keypoints_scores": 62.8334,
        },
    ),
    "retinanet": (
        1177.67613,
        {"classification": 1.12857, "bbox_regression": 0.777847},
        3.7163,
        [20, 20],
        {"boxes": 4193.23, "scores": 0.400007, "labels": 49.0},
    ),
    "fcos": (
        1618.89297,
        {"classification": 1.12491, "bbox_regression": 0.998474, "bbox_ctrness": 0.698937},
        684.763,
        [20, 20],
        {"boxes": 4584.24, "scores": 3.14325, "labels": 39.0},
    ),
    "ssd": (
        1895.28277,
        {"bbox_regression": 2.87456, "classification": 5.47063},
        871.192,
        [20, 20],
        {"boxes": 4555.95, "scores": 18.5237, "labels": 71.0},
    ),
}

FEW = {
    "rpn_post_nms_top_n_train": 20,
    "rpn_post_nms_top_n_test": 10,
    "box_batch_size_per_image": 16,
    "box_score_thresh": 0.3,
}


def backbone():
    net = nn.Sequential(
        nn.Conv2d(3, 32, 7, 8, 3), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()
    )
    net.out_channels = 32
    return net


class Two(nn.Module):
    """Features of two sizes."""

    def __init__(self, out_channels):
        super().__init__()
        self.first, self.second = backbone(), nn.Conv2d(32, 32, 3, 2, 1)
        self.out_channels = out_channels

    def forward(self, x):
        x = self.first(x)
        return {"0": x, "1": self.second(x)}


def pool(size):
    return ops.MultiScaleRoIAlign(["0"], size, 2)


def rcnn_options(**more):
    return {
        "min_size": 48, "max_size": 64, **FEW, **more, "box_roi_pool": pool(3),
        "rpn_anchor_generator": AnchorGenerator(((16, 32),), ((0.5, 1.0),)),
        "box_head": detection.faster_rcnn.TwoMLPHead(32 * 9, 16),
        "box_predictor": detection.faster_rcnn.FastRCNNPredictor(16, 3),
    }  # fmt: skip


def make_mask():
    options = rcnn_options()
    net, head = backbone(), mask_rcnn.MaskRCNNHeads(32, (8, 8), 1)
    predictor = mask_rcnn.MaskRCNNPredictor(8, 8, 3)
    return detection.MaskRCNN(
        net, **options, mask_roi_pool=pool(4), mask_head=head, mask_predictor=predictor
    )


def make_keypoint():
    options = rcnn_options(min_size=(40, 48))
    net, head = backbone(), keypoint_rcnn.KeypointRCNNHeads(32, (8, 8))
    predictor = keypoint_rcnn.KeypointRCNNPredictor(8, 5)
    return detection.KeypointRCNN(
        net, **options, keypoint_roi_pool=pool(4), keypoint_head=head, keypoint_predictor=predictor
    )


def make_faster():
    options = rcnn_options()
    return detection.FasterRCNN(backbone(), **options)


def make_retinanet():
    anchors = AnchorGenerator(((16, 32),), ((0.5, 1.0),))
    options = {"score_thresh": 0.01, "detections_per_img": 20, "min_size": 48, "max_size": 64}
    return detection.RetinaNet(backbone(), 3, anchor_generator=anchors, **options)


def make_fcos():
    anchors = AnchorGenerator(((8,), (16,)), ((1.0,),) * 2)
    options = {"score_thresh": 0.05, "detections_per_img": 20, "min_size": 48, "max_size": 64}
    return detection.FCOS(Two(32), 3, anchor_generator=anchors, **options)


def make_ssd():
    boxes = DefaultBoxGenerator([[2], [2, 3]], min_ratio=0.2, max_ratio=0.6)
    options = {"score_thresh": 0.3, "detections_per_img": 20}
    return detection.ssd.SSD(Two([32, 32]), boxes, (64, 48), 3, **options)


MAKERS = {
    "faster": make_faster,
    "mask": make_mask,
    "keypoint": make_keypoint,
    "retinanet": make_retinanet,
    "fcos": make_fcos,
    "ssd": make_ssd,
}


def make(name):
    torch.manual_seed(0)
    return MAKERS[name]()


def ramp(*shape):
    return torch.sin(torch.arange(float(math.prod(shape))) * 0.37).reshape(*shape) * 0.5 + 0.5


def target(image, corners):
    y, x = torch.arange(image.shape[1])[:, None], torch.arange(image.shape[2])
    part = torch.linspace(0, 1, 5)
    masks, points = [], []
    for left, top, right, bottom in corners:
        masks.append(((y > top) & (y < bottom) & (x > left) & (x < right)).byte())
        across, down = left + (right - left) * part, top + (bottom - top) * part
        points.append(torch.stack([across, down, torch.ones(5)], 1))
    return {
        "boxes": torch.tensor(corners),
        "labels": torch.arange(1, len(corners) + 1),
        "masks": torch.stack(masks),
        "keypoints": torch.stack(points),
    }


def batch():
    images = [ramp(3, 50, 60), ramp(3, 64, 40).flip(2)]
    corners = [[[10.0, 12, 40, 30], [5.0, 5, 55, 45]], [[8.0, 20, 30, 60]]]
    return images, [target(i, c) for i, c in zip(images, corners, strict=True)]


@pytest.mark.parametrize("name", SMALL)
def test_losses_gradients_and_results(name):
    magnitudes, losses, gradients, counts, sums = SMALL[name]
    model, (images, targets) = make(name), batch()
    found = sum(p.detach().double().abs().sum().item() for p in model.parameters())
    assert found == pytest.approx(magnitudes, rel=1e-8)
    torch.manual_seed(1)
    got = model.train()(images, targets)
    assert {k: v.item() for k, v in got.items()} == pytest.approx(losses, rel=1e-4)
    sum(got.values()).backward()
    total = sum(p.grad.double().abs().sum().item() for p in model.parameters())
    assert total == pytest.approx(gradients, rel=1e-4)
    with torch.no_grad():
        results = model.eval()(images)
    assert [len(r["boxes"]) for r in results] == counts
    told = {k: sum(r[k].double().sum().item() for r in results) for k in results[0]}
    assert told == pytest.approx(sums, rel=1e-4)
    for result, image in zip(results, images, strict=True):
        assert result["boxes"].shape == (len(result["scores"]), 4)
        if name == "mask":
            assert result["masks"].shape[1:] == (1, *image.shape[1:])


@pytest.mark.parametrize("name", BUILDERS)
def test_parameters_and_keys(name):
    with pytest.MonkeyPatch.context() as patch:  # the draws take seconds
        for fill in ("uniform_", "normal_"):
            patch.setattr(torch.Tensor, fill, lambda self, *args, **kwargs: self)
        model = models.get_model(name, weights=None, weights_backbone=None, num_classes=7)
    text = " ".join(f"{k}{tuple(v.shape)}" for k, v in model.state_dict().items())
    assert sum(p.numel() for p in model.parameters()) == BUILDERS[name][0]
    assert zlib.crc32(text.encode()) == BUILDERS[name][1]


@pytest.mark.parametrize("name", SMALL)
def test_images_without_objects(name):
    model, (images, targets) = make(name), batch()
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    empty["masks"], empty["keypoints"] = torch.zeros(0, 64, 40).byte(), torch.zeros(0, 5, 3)
    losses = model.train()(images, [targets[0], empty])
    assert all(loss.isfinite() for loss in losses.values())
    losses = model(images, [{**empty, "masks": torch.zeros(0, 50, 60).byte()}, empty])
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("name", SMALL)
def test_nothing_is_found(name):
    model = make(name).eval()
    (model.roi_heads if hasattr(model, "roi_heads") else model).score_thresh = 2.0
    with torch.no_grad():
        (found,) = model([ramp(3, 50, 60)])
    assert found["boxes"].shape == (0, 4) and found["labels"].dtype == torch.int64
    assert name != "mask" or found["masks"].shape == (0, 1, 50, 60)
    assert name != "keypoint" or found["keypoints"].shape == (0, 5, 3)


def test_what_is_learnt_must_be_said():
    model, (images, targets) = make("mask").train(), batch()
    cases = [
        (None, AssertionError, "targets should not be none"),
        (targets[:1], AssertionError, "2 images, but 1 targets"),
        ([{"boxes": [1]}] * 2, AssertionError, "should be a Tensor"),
        ([{"boxes": torch.ones(2, 3)}] * 2, AssertionError, r"\(N, 4\)"),
        ([{**targets[0], "boxes": torch.tensor([[1.0, 1, 1, 2]])}, targets[1]], AssertionError,
         "positive height and width"),
        ([{k: t[k] for k in ("boxes", "labels")} for t in targets], ValueError, "masks key"),
        ([{**t, "labels": t["labels"].float()} for t in targets], TypeError, "int64"),
    ]  # fmt: skip
    for given, kind, message in cases:
        with pytest.raises(kind, match=message):
            model(images, given)
    with pytest.raises(ValueError, match="3d tensors"):
        model.eval()([images[0][0]])
    with pytest.raises(TypeError, match="floating type"):
        model([torch.zeros(3, 8, 8, dtype=torch.uint8)])


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="out_channels"):
        detection.FasterRCNN(nn.Identity(), 2)
    for options in ({}, {"num_classes": 2, "box_predictor": nn.Identity()}):
        with pytest.raises(ValueError, match="num_classes should"):
            detection.FasterRCNN(backbone(), **options)
    with pytest.raises(TypeError, match="AnchorGenerator"):
        detection.FasterRCNN(backbone(), 2, rpn_anchor_generator=nn.Identity())
    with pytest.raises(AssertionError, match="there are 1 features"):
        detection.RetinaNet(backbone(), 3, min_size=48).eval()([ramp(3, 50, 60)])
    with pytest.raises(ValueError, match="No ground-truth boxes"):
        _utils.Matcher(0.5, 0.4)(torch.zeros(0, 3))


def test_pretrained_weights_are_declined():
    with pytest.raises(NotImplementedError, match="weights_backbone=None"):
        detection.fasterrcnn_resnet50_fpn()
    with pytest.raises(NotImplementedError, match="pretrained weights are not included"):
        detection.fcos_resnet50_fpn(weights="DEFAULT", weights_backbone=None)
    assert detection.FasterRCNN_ResNet50_FPN_V2_Weights.DEFAULT.name == "COCO_V1"
    weights = detection.KeypointRCNN_ResNet50_FPN_Weights
    assert pickle.loads(pickle.dumps(weights.COCO_LEGACY)) is weights.COCO_LEGACY
    assert weights.DEFAULT.meta["keypoint_names"][0] == "nose"
    coco = models.get_weight("SSD300_VGG16_Weights.DEFAULT")
    assert coco.meta["categories"][17] == "cat" and len(coco.meta["categories"]) == 91
    assert coco.transforms()(torch.full((3, 2, 2), 255, dtype=torch.uint8)).max() == 1


def test_heads_are_replaced_as_tutorials_do():
    with pytest.MonkeyPatch.context() as patch:
        for fill in ("uniform_", "normal_"):
            patch.setattr(torch.Tensor, fill, lambda self, *args, **kwargs: self)
        with pytest.warns(UserWarning, match="trainable_backbone_layers"):
            model = detection.maskrcnn_resnet50_fpn(
                weights=None, weights_backbone=None, trainable_backbone_layers=3
            )
    heads = model.roi_heads
    features = heads.box_predictor.cls_score.in_features
    heads.box_predictor = detection.faster_rcnn.FastRCNNPredictor(features, 2)
    channels = heads.mask_predictor.conv5_mask.in_channels
    heads.mask_predictor = mask_rcnn.MaskRCNNPredictor(channels, 8, 2)
    assert model.state_dict()["roi_heads.mask_predictor.mask_fcn_logits.weight"].shape[0] == 2


def test_layers_of_backbones_are_frozen():
    net = detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, trainable_layers=1, returned_layers=[3, 4]
    )
    trained = {n.split(".")[1] for n, p in net.body.named_parameters(prefix="b") if p.requires_grad}
    assert trained == {"layer4"} and list(net(ramp(1, 3, 64, 64))) == ["0", "1", "pool"]
    plain = detection.backbone_utils.mobilenet_backbone(
        backbone_name="mobilenet_v2", weights=None, fpn=False, trainable_layers=0
    )
    assert not any(p.requires_grad for p in plain[0].parameters())
    assert plain(ramp(1, 3, 64, 64)).shape == (1, 256, 2, 2) and plain.out_channels == 256
    with pytest.raises(ValueError, match=r"\[0, 5\]"):
        detection.backbone_utils.resnet_fpn_backbone(backbone_name="resnet18", trainable_layers=6)


def test_old_keys_are_read():
    head = mask_rcnn.MaskRCNNHeads(4, (4,), 1)
    old = {"mask_fcn1.weight": torch.ones(4, 4, 3, 3), "mask_fcn1.bias": torch.ones(4)}
    head.load_state_dict(old)
    assert head[0][0].bias.tolist() == [1.0] * 4
    rpn = detection.rpn.RPNHead(4, 1)
    state = rpn.state_dict()
    old = {k.replace("conv.0.0", "conv"): v for k, v in state.items()}
    rpn.load_state_dict(old)
    half = detection.retinanet.RetinaNetRegressionHead(4, 1)
    half.load_state_dict(
        {k: v for k, v in half.state_dict().items() if "conv" not in k}
        | {f"conv.{2 * i}.{kind}": torch.ones(4, *[4, 3, 3][: 3 * (kind == "weight")])
           for i in range(4) for kind in ("weight", "bias")}
    )  # fmt: skip
    assert half.conv[3][0].bias.tolist() == [1.0] * 4


def test_masks_of_boxes_beyond_the_image():
    pasted = roi_heads.paste_masks_in_image(
        torch.ones(1, 1, 4, 4), torch.tensor([[-6.0, -6, 3, 3]]), (8, 8)
    )
    assert pasted.shape == (1, 1, 8, 8)
    assert pasted[0, 0, :2, :2].min() == 1 and pasted[0, 0, 6:].max() == 0


def test_codes_come_back_as_boxes():
    boxes = torch.tensor([[1.0, 2, 9, 8], [0.0, 0, 4, 4]])
    starts = torch.tensor([[0.0, 0, 8, 8], [1.0, 1, 6, 5]])
    coder = _utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    codes = coder.encode([boxes[:1], boxes[1:]], [starts[:1], starts[1:]])
    back = coder.decode(torch.cat(codes), [starts[:1], starts[1:]])
    torch.testing.assert_close(back[:, 0], boxes)
    for by_size in (True, False):
        linear = _utils.BoxLinearCoder(by_size)
        torch.testing.assert_close(linear.decode(linear.encode(boxes, starts), starts), boxes)
    for kind in ("l1", "smooth_l1", "giou", "diou", "ciou"):
        zero = _utils._box_loss(kind, coder, starts, boxes, torch.cat(codes))
        assert zero.item() == pytest.approx(0, abs=1e-4)
    with pytest.raises(ValueError, match="Unsupported loss"):
        _utils._box_loss("l3", coder, starts, boxes, torch.cat(codes))
