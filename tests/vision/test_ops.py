"""Boxes and blocks of torchvision.ops."""

import numpy as np
import pytest

import rushlight as torch
from rushlight.vision import ops


def random_boxes(count, seed):
    corners = np.random.RandomState(seed).rand(count, 2, 2).astype(np.float32) * 50
    return torch.from_numpy(np.sort(corners, axis=1).reshape(count, 4))


def test_areas_and_overlaps():
    a = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3]])
    b = torch.tensor([[1.0, 1, 2, 2], [5, 5, 6, 7]])
    assert ops.box_area(a).tolist() == [4, 4]
    assert ops.box_iou(a, b).tolist() == [[0.25, 0], [0.25, 0]]
    assert ops.box_iou(ops.box_convert(a, "xyxy", "xywh"), b, fmt="xywh")[0, 0] != 0
    hull = 6 * 7
    generalized = ops.generalized_box_iou(a, b)
    assert generalized[0, 1].item() == pytest.approx(-(hull - 6) / hull)
    assert (ops.complete_box_iou(a, b) <= ops.distance_box_iou(a, b)).all()
    assert (ops.distance_box_iou(a, b) <= ops.box_iou(a, b)).all()


def test_conversions_return():
    boxes = random_boxes(9, 0)
    for other in ("xyxy", "xywh", "cxcywh"):
        there = ops.box_convert(boxes, "xyxy", other)
        assert torch.allclose(ops.box_convert(there, other, "xyxy"), boxes, atol=1e-4)
    with pytest.raises(ValueError, match="Unsupported"):
        ops.box_convert(boxes, "xyxy", "yxyx")


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7])
def test_nms_is_greedy(threshold):
    boxes, scores = random_boxes(60, 1), torch.from_numpy(np.random.RandomState(2).rand(60))
    overlap, kept = ops.box_iou(boxes, boxes), []
    for i in scores.argsort(descending=True).tolist():
        if all(overlap[i, j] <= threshold for j in kept):
            kept.append(i)
    assert ops.nms(boxes, scores, threshold).tolist() == kept
    kinds = torch.arange(60) % 2
    both = ops.batched_nms(boxes, scores, kinds, threshold)
    for kind in (0, 1):
        own = torch.where(kinds == kind)[0]
        expected = own[ops.nms(boxes[own], scores[own], threshold)]
        assert sorted(expected.tolist()) == sorted(i for i in both.tolist() if i % 2 == kind)


def test_borders_sizes_and_masks():
    boxes = torch.tensor([[-3.0, 2, 5, 40], [1, 1, 2, 2]])
    assert ops.clip_boxes_to_image(boxes, (30, 4)).tolist() == [[0, 2, 4, 30], [1, 1, 2, 2]]
    assert ops.remove_small_boxes(boxes, 2).tolist() == [0]
    masks = torch.zeros(1, 6, 6)
    masks[0, 2:4, 1:5] = 1
    assert ops.masks_to_boxes(masks).tolist() == [[1, 2, 4, 3]]
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    with pytest.raises(RuntimeError, match=r"\(N, 4\)"):
        ops.nms(torch.zeros(3), torch.zeros(3), 0.5)


def test_focal_loss():
    x, y = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    assert torch.allclose(ops.sigmoid_focal_loss(x, y, alpha=-1, gamma=0), plain)
    right = torch.tensor([0.5, 1 - torch.tensor(2.0).sigmoid().item()])
    expected = torch.tensor([0.25, 0.75]) * plain * (1 - right) ** 2
    assert torch.allclose(ops.sigmoid_focal_loss(x, y), expected)
    assert torch.allclose(ops.sigmoid_focal_loss(x, y, reduction="mean"), expected.mean())


def test_blocks():
    block = ops.Conv2dNormActivation(3, 4, kernel_size=5, dilation=2)
    assert [type(m).__name__ for m in block] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert block(torch.rand(1, 3, 9, 9)).shape == (1, 4, 9, 9) and block[0].bias is None
    mlp = ops.MLP(3, [4, 2], norm_layer=torch.nn.LayerNorm)
    names = [type(m).__name__ for m in mlp]
    assert names == ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear", "Dropout"]
    x = torch.rand(2, 4, 3, 3)
    assert (ops.SqueezeExcitation(4, 2)(x) <= x).all()
    assert torch.allclose(ops.FrozenBatchNorm2d(4)(x), x / (1 + 1e-5) ** 0.5)
    assert torch.equal(ops.Permute([0, 2, 3, 1])(x), x.permute(0, 2, 3, 1))
    torch.manual_seed(0)
    dropped = ops.StochasticDepth(0.5, "row")(torch.ones(100, 2))
    assert set(dropped.flatten().tolist()) == {0.0, 2.0} and (dropped[:, 0] == dropped[:, 1]).all()
    assert torch.equal(ops.StochasticDepth(0.5, "batch").eval()(x), x)


def naive_deform_conv2d(x, offset, weight, stride, padding, dilation, mask):
    """One output at a time, in plain numbers."""
    n, c, h, w = x.shape
    made, per_group, kh, kw = weight.shape
    rows, columns = offset.shape[2:]
    sets, groups = offset.shape[1] // (2 * kh * kw), c // per_group
    out = np.zeros((n, made, rows, columns))
    for b, o, r, s in np.ndindex(out.shape):
        for p, i, j in np.ndindex(per_group, kh, kw):
            channel = o // (made // groups) * per_group + p
            tap = channel // (c // sets) * kh * kw + i * kw + j
            y = r * stride - padding + i * dilation + offset[b, 2 * tap, r, s]
            z = s * stride - padding + j * dilation + offset[b, 2 * tap + 1, r, s]
            top, left = int(np.floor(y)), int(np.floor(z))
            value = sum(
                x[b, channel, v, u] * (1 - abs(y - v)) * (1 - abs(z - u))
                for v in (top, top + 1)
                for u in (left, left + 1)
                if 0 <= v < h and 0 <= u < w
            )
            out[b, o, r, s] += weight[o, p, i, j] * value * mask[b, tap, r, s]
    return out


@pytest.mark.parametrize(
    "stride, padding, dilation, groups, sets", [(1, 1, 1, 1, 2), (2, 0, 2, 2, 1)]
)
def test_deform_conv2d(stride, padding, dilation, groups, sets):
    torch.manual_seed(0)
    layer = ops.DeformConv2d(4, 6, (3, 2), stride, padding, dilation, groups, bias=False).double()
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    size = [(v + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for v, k in ((7, 3), (6, 2))]
    offset = torch.randn(2, 2 * sets * 6, *size, dtype=torch.float64) * 2
    mask = torch.rand(2, sets * 6, *size, dtype=torch.float64)
    expected = naive_deform_conv2d(
        *[t.detach().numpy() for t in (x, offset, layer.weight)],
        stride, padding, dilation, mask.numpy(),
    )  # fmt: skip
    np.testing.assert_allclose(layer(x, offset, mask).detach().numpy(), expected, atol=1e-12)
    inputs = [t.requires_grad_() for t in (x, offset, mask)]
    assert torch.autograd.gradcheck(layer, inputs, fast_mode=True)
    with pytest.raises(RuntimeError, match="multiple of 12"):
        layer(x, offset[:, 1:], mask)


def test_deform_conv2d_of_no_moves_is_a_convolution():
    torch.manual_seed(1)
    layer = ops.DeformConv2d(2, 3, 3, padding=1)
    torch.manual_seed(1)
    same = torch.nn.Conv2d(2, 3, 3, padding=1)
    x = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(layer(x, torch.zeros(1, 18, 5, 5)), same(x))
    text = "DeformConv2d(2, 3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    assert repr(layer) == text
    with pytest.raises(ValueError, match="divisible"):
        ops.DeformConv2d(3, 4, 1, groups=2)


def test_roi_pool():
    """The regions of a book's example, boxes outside of the image, and gradients."""
    x = torch.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
    rois = torch.tensor([[0.0, 0, 0, 20, 20], [0, 0, 10, 30, 30]])
    expected = [[[[5.0, 6], [9, 10]]], [[[9, 11], [13, 15]]]]
    y = ops.roi_pool(x, rois, (2, 2), spatial_scale=0.1)
    assert y.tolist() == expected
    assert ops.RoIPool(2, 0.1)(x, [rois[:, 1:]]).tolist() == expected
    assert repr(ops.RoIPool(2, 0.1)) == "RoIPool(output_size=2, spatial_scale=0.1)"
    y.sum().backward()
    assert x.grad.sum() == 8 and x.grad[0, 0, 2, 1] == 2
    assert ops.roi_pool(x, torch.tensor([[0.0, 50, 50, 60, 60]]), 2).tolist() == [[[[0, 0]] * 2]]
    assert ops.roi_pool(x, torch.ones(0, 5), 3).shape == (0, 1, 3, 3)
    with pytest.raises(ValueError, match=r"\(K, 5\)"):
        ops.roi_pool(x, torch.ones(2, 4), 2)


@pytest.mark.parametrize("ratio", [-1, 1, 3])
@pytest.mark.parametrize("aligned", [False, True])
def test_regions_of_a_ramp_are_their_centres(ratio, aligned):
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(10.0), indexing="ij")
    images = torch.stack([x, y]).expand(2, 2, 12, 10).clone().requires_grad_()
    boxes = torch.tensor([[0, 2.0, 4, 14, 18], [1, 6.0, 4.5, 6.5, 20]])
    layer = ops.RoIAlign((3, 2), 0.5, ratio, aligned)
    out = layer(images, boxes)
    corners = boxes[:, 1:] / 2 - 0.5 * aligned
    left, top, right, bottom = corners.unbind(1)
    if not aligned:
        right, bottom = torch.maximum(right, left + 1), torch.maximum(bottom, top + 1)
    for row in range(3):
        for column in range(2):
            middle = left + (right - left) * (column + 0.5) / 2
            assert torch.allclose(out[:, 0, row, column], middle)
            middle = top + (bottom - top) * (row + 0.5) / 3
            assert torch.allclose(out[:, 1, row, column], middle, atol=1e-5)
    again = ops.roi_align(images, [boxes[:1, 1:], boxes[1:, 1:]], (3, 2), 0.5, ratio, aligned)
    assert torch.equal(again, out)
    out.sum().backward()
    assert images.grad.sum().item() == pytest.approx(out.numel(), rel=1e-5)
    assert "sampling_ratio" in repr(layer)


def test_regions_outside_and_of_no_size():
    images = torch.ones(1, 1, 6, 6)
    outside = torch.tensor([[0, 20.0, 20, 30, 30], [0, 1.0, 1, 3, 3]])
    assert ops.roi_align(images, outside, 2).flatten(1).tolist() == [[0] * 4, [1] * 4]
    point = torch.tensor([[0, 2.0, 2, 2, 2]])
    assert ops.roi_align(images, point, 1, aligned=True).item() == 0
    assert ops.roi_align(images, point, 1).item() == 1
    assert ops.roi_align(images, point[:0], 2).shape == (0, 1, 2, 2)
    with pytest.raises(ValueError, match="roi_align: boxes must be"):
        ops.roi_align(images, torch.ones(3, 4), 2)


def test_pyramids():
    net = ops.FeaturePyramidNetwork(
        [4, 8], 6, extra_blocks=ops.feature_pyramid_network.LastLevelMaxPool()
    )
    assert next(iter(net.state_dict())) == "inner_blocks.0.0.weight"
    out = net({"a": torch.rand(1, 4, 9, 8), "b": torch.rand(1, 8, 5, 4)})
    shapes = {"a": (1, 6, 9, 8), "b": (1, 6, 5, 4), "pool": (1, 6, 3, 2)}
    assert {name: tuple(x.shape) for name, x in out.items()} == shapes
    with pytest.raises(ValueError, match="in_channels=0"):
        ops.FeaturePyramidNetwork([0], 4)


def test_regions_choose_features_of_their_size():
    features = {"0": torch.zeros(1, 1, 100, 100), "1": torch.ones(1, 1, 50, 50)}
    boxes = [torch.tensor([[10.0, 10, 30, 30], [0, 0, 399, 399]])]
    pool = ops.MultiScaleRoIAlign(["0", "1"], 2, 2)
    assert pool(features, boxes, [(400, 400)]).mean((1, 2, 3)).tolist() == [0, 1]
    only = ops.MultiScaleRoIAlign(["1"], 2, 2)
    assert only(features, boxes, [(400, 400)]).mean((1, 2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["generalized", "distance", "complete"])
def test_losses_of_pairs_are_what_overlaps_lack(kind):
    a, b = random_boxes(7, 0), random_boxes(7, 1)
    overlaps = getattr(ops, f"{kind}_box_iou")(a, b).diagonal()
    loss = getattr(ops, f"{kind}_box_iou_loss")
    assert torch.allclose(loss(a, b), 1 - overlaps, atol=1e-5)
    assert torch.allclose(loss(a, b, reduction="mean"), (1 - overlaps).mean(), atol=1e-5)
    assert loss(a[:0], b[:0], reduction="mean").item() == 0
    with pytest.raises(ValueError, match="reduction"):
        loss(a, b, reduction="most")


def test_operators_that_copies_of_detection_code_call_by_name():
    found = torch.ops.torchvision
    boxes, scores = random_boxes(30, 5), torch.from_numpy(np.random.RandomState(6).rand(30))
    assert found.nms(boxes, scores, 0.3).equal(ops.nms(boxes, scores, 0.3))
    torch.manual_seed(0)
    images = torch.rand(2, 3, 25, 20)
    rows = torch.cat([torch.arange(30).view(-1, 1) % 2, boxes], 1)
    aligned = found.roi_align(images, rows, 0.5, 3, 4, 2, True)
    assert aligned.equal(ops.roi_align(images, rows, (3, 4), 0.5, 2, True))
    weight, offset, mask = (
        torch.rand(4, 3, 3, 2),
        torch.rand(2, 12, 13, 10),
        torch.rand(2, 6, 13, 10),
    )
    assert found.deform_conv2d(
        images, weight, offset, mask, None, 2, 2, 1, 0, 1, 1, 1, 1, True
    ).equal(ops.deform_conv2d(images, offset, weight, None, (2, 2), (1, 0), mask=mask))
    assert found.deform_conv2d(
        images, weight, offset, mask, None, 2, 2, 1, 0, 1, 1, 1, 1, False
    ).equal(ops.deform_conv2d(images, offset, weight, None, (2, 2), (1, 0)))
    with pytest.raises(AttributeError, match="no attribute 'roi'"):
        found.roi
