"""Boxes, masks and points drawn into images: values are torchvision's."""

import pytest

import rushlight as torch
from rushlight.vision import ops, utils


def test_pictures_of_what_a_network_made_are_no_part_of_its_graph():
    made = torch.rand(2, 3, 4, 4, requires_grad=True)
    assert not utils.make_grid(made, normalize=True).requires_grad
    drawn = utils.draw_segmentation_masks(made[0], torch.ones(4, 4, dtype=torch.bool))
    assert not drawn.requires_grad


def test_masks():
    image = torch.full((3, 6, 8), 100, dtype=torch.uint8)
    masks = torch.zeros(4, 6, 8, dtype=torch.bool)
    for i in range(4):
        masks[i, i, :4] = True
    out = utils.draw_segmentation_masks(image, masks)
    rows = [[20, 20, 20], [20, 121, 44], [21, 223, 69], [22, 120, 94], [100, 100, 100]]
    assert [out[:, i, 0].tolist() for i in range(5)] == rows
    masks[:2] = False
    masks[0, 1:3] = masks[1, 2:4] = True
    rows = [[177, 50, 50], [50, 50, 50], [50, 50, 175]]
    out = utils.draw_segmentation_masks(image, masks[:2], 0.5, [(255, 0, 0), (0, 0, 250)])
    assert [out[:, i, 0].tolist() for i in (1, 2, 3)] == [
        [177, 50, 50],
        [50, 50, 50],
        [50, 50, 175],
    ]
    floats = utils.draw_segmentation_masks(image / 255.0, masks[0], 0.5, (255, 0, 0))
    assert floats[:, 1, 0].tolist() == pytest.approx([0.6960784, 0.1960784, 0.1960784])
    with pytest.warns(UserWarning, match="masks are empty"):
        utils.draw_segmentation_masks(image, masks[:1] & False)
    for bad in (masks.float(), masks[:, :2], masks[None]):
        with pytest.raises(ValueError, match="masks are"):
            utils.draw_segmentation_masks(image, bad)


def test_boxes():
    pytest.importorskip("PIL", reason="draws with Pillow")
    image = torch.zeros(3, 10, 12, dtype=torch.uint8)
    out = utils.draw_bounding_boxes(image, torch.tensor([[1.0, 1, 5, 6], [4, 3, 11, 9]]))
    assert out[1, 3].tolist() == [0] * 4 + [127] * 8
    assert out[1, 4].tolist() == [0] * 4 + [127] + [0] * 6 + [127]
    box = torch.tensor([[1.0, 1, 5, 6]])
    out = utils.draw_bounding_boxes(image, box, fill=True, width=2, colors="blue")
    assert out[2, 3].tolist() == [0, 255, 255, 100, 255, 255] + [0] * 6
    named = utils.draw_bounding_boxes(image[:1] / 255.0, box, ["x"], fill_labels=True)
    assert named.shape == (3, 10, 12) and named.dtype == torch.float32
    for bad, match in (({"labels": []}, "0 labels"), ({"colors": []}, "0 colors")):
        with pytest.raises(ValueError, match=match):
            utils.draw_bounding_boxes(image, box, **bad)
    for bad in (image.long(), image[None], image[:2]):
        with pytest.raises(ValueError, match="image"):
            utils.draw_bounding_boxes(bad, box)
    with pytest.raises(ValueError, match="ends before it begins"):
        utils.draw_bounding_boxes(image, box.flip(1))
    with pytest.warns(UserWarning, match="no boxes"):
        utils.draw_bounding_boxes(image, box[:0])


def test_points():
    pytest.importorskip("PIL", reason="draws with Pillow")
    image = torch.zeros(3, 10, 12, dtype=torch.uint8)
    points = torch.tensor([[[5.0, 5], [9, 5]]])
    seen = torch.tensor([[True, False]])
    out = utils.draw_keypoints(image, points, [(0, 1)], "red", visibility=seen)
    assert out[0, 3].tolist() == [0] * 4 + [255] * 3 + [0] * 5
    assert out[0, 5].tolist() == [0] * 3 + [255] * 5 + [0] * 4 and out[1].sum() == 0
    joined = utils.draw_keypoints(image, points, [(0, 1)], (0, 9, 0), width=1)
    assert joined[0, 5, 8] == 255


def test_dropped_blocks():
    torch.manual_seed(0)
    x = torch.ones(2, 3, 9, 9)
    out = ops.drop_block2d(x, 0.2, 3)
    assert out.sum().item() == pytest.approx(486) and out[0, 0, 0, 0].item() == 1.1121281385421753
    assert (out == 0).any()
    torch.manual_seed(0)
    assert ops.DropBlock2d(0.2, 3, inplace=True)(x) is x and torch.equal(x, out)
    cubes = ops.DropBlock3d(0.2, 3)
    assert (
        cubes.eval()(x[None]).sum() == x.sum()
        and str(cubes) == "DropBlock3d(p=0.2, block_size=3, inplace=False)"
    )
    assert cubes.train()(torch.ones(1, 2, 5, 6, 5)).sum().item() == pytest.approx(300)
    with pytest.raises(ValueError, match="3 dims"):
        ops.drop_block2d(x[0], 0.2, 3)
    with pytest.raises(ValueError, match="p is 2"):
        ops.drop_block2d(x, 2, 3)
