"""What works on images keeps their channels last in memory, as in torch: dropout afterwards draws
in that order, so that the numbers depend on it.
"""

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight import formats
from rushlight.ops import join
from rushlight.ops.pad import ConstantPad
from rushlight.ops.resample import Pick
from rushlight.ops.shaping import Roll


def images(t, *shape):
    """Images as NumPy has them, with the channels moved to the front."""
    n, c, *space = shape
    x = t.arange(1.0, 1 + n * c * (space[0] ** len(space))).sin().reshape(n, *space, c)
    return x.permute(0, len(space) + 1, *range(1, len(space) + 1))


def same(f, t, *shape):
    """f of such images and of contiguous ones, then dropout."""
    t.manual_seed(0)
    out = f(t, images(t, *shape))
    dropped = t.nn.functional.dropout(t.ones_like(out) + 0 * out.detach())
    return out.detach(), dropped


LAYERS = {
    "conv": lambda t, x: t.nn.Conv2d(4, 6, 3)(x),
    "conv of strided rows": lambda t, x: t.nn.Conv2d(3, 6, 3)(x[:, :3]),
    "depthwise": lambda t, x: t.nn.Conv2d(4, 4, 3, groups=4, padding=1)(x),
    "weights": lambda t, x: t.nn.Conv2d(4, 6, 3).to(memory_format=t.channels_last)(x.contiguous()),
    "transposed": lambda t, x: t.nn.ConvTranspose2d(4, 6, 3)(x),
    "batch norm": lambda t, x: t.nn.BatchNorm2d(4)(x),
    "evaluated": lambda t, x: t.nn.BatchNorm2d(4).eval()(x),
    "group norm": lambda t, x: t.nn.GroupNorm(2, 4)(x),
    "max pool": lambda t, x: t.nn.MaxPool2d(2)(x),
    "average pool": lambda t, x: t.nn.AvgPool2d(2)(x),
    "bins": lambda t, x: t.nn.AdaptiveAvgPool2d(3)(x),
    "uneven bins": lambda t, x: t.nn.AdaptiveAvgPool2d(4)(x),
    "extremes of bins": lambda t, x: t.nn.AdaptiveMaxPool2d(3)(x),
    "nearest": lambda t, x: t.nn.functional.interpolate(x, scale_factor=2),
    "bilinear": lambda t, x: t.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "pixels": lambda t, x: t.nn.PixelUnshuffle(2)(x),
    "padding": lambda t, x: t.nn.functional.pad(x, (1, 1, 1, 1)),
    "mirrors": lambda t, x: t.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"),
    "joined": lambda t, x: t.cat([x, x], 1),
    "joined with others": lambda t, x: t.cat([x, x.contiguous()], 1),
    "stacked": lambda t, x: t.stack([x, x]),
    "stacked channels": lambda t, x: t.stack([x, x], 1),
    "rolled": lambda t, x: x.roll((1, 2), (2, 3)),
    "flipped": lambda t, x: x.flip(3),
    "turned": lambda t, x: x.rot90(1, (2, 3)),
    "sorted": lambda t, x: x.sort(1).values,
    "sorted parts": lambda t, x: x[:, 1:3].sort(1, descending=True).values,
    "places of sorted ones": lambda t, x: x.argsort(2).double(),
    "gated": lambda t, x: t.nn.functional.glu(x, 2),
    "filled": lambda t, x: x.index_fill(1, t.tensor([0]), 1.0),
    "put": lambda t, x: x.index_put((t.tensor([0]),), t.tensor(1.0)),
    "complex": lambda t, x: t.complex(x, x.contiguous()).real.clone(),
    "places of extremes": lambda t, x: t.nn.functional.max_pool2d(x, 2, return_indices=True)[
        1
    ].double(),
    "root mean squares": lambda t, x: t.nn.functional.rms_norm(x, (6,)),
    "neighbours": lambda t, x: t.nn.LocalResponseNorm(2)(x),
    "transposed planes": lambda t, x: t.nn.Conv2d(4, 6, 3)(x.contiguous().transpose(2, 3)),
    "a row of layers": lambda t, x: t.nn.Sequential(
        t.nn.Conv2d(4, 6, 3), t.nn.BatchNorm2d(6), t.nn.ReLU(), t.nn.Dropout(0.5)
    )(x),
}


def check(f, *shape):
    (expected, drawn), (got, our_drawn) = same(f, torch, *shape), same(f, rl, *shape)
    assert got.stride() == expected.stride()
    torch.testing.assert_close(torch.from_numpy(got.numpy()), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(torch.from_numpy(our_drawn.numpy()), drawn)


@pytest.mark.parametrize("name", LAYERS)
def test_images(name):
    check(LAYERS[name], 2, 4, 6, 6)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_layer(channels):
    """One channel: only the strides of the input tell."""
    check(lambda t, x: t.nn.Conv2d(channels, 6, 3)(x), 2, channels, 6, 6)


def test_volumes():
    check(lambda t, x: t.nn.Conv3d(3, 4, 2)(x), 2, 3, 4, 4, 4)


def test_contiguous_images_stay_so():
    for shape in ((2, 1, 5, 5), (2, 3, 5, 5), (2, 3, 5, 1), (1, 3, 5, 5)):
        assert rl.nn.Conv2d(shape[1], 6, 1)(rl.ones(shape)).is_contiguous()


def test_results_are_made_in_that_order():
    x = images(rl, 2, 4, 6, 6)._array
    for made in (
        join.concatenated(np, [x, x], 1),
        join.stacked(np, [x, x], 1)[:, 0],
        ConstantPad.instance.eager(np, x, pads=((0, 0), (0, 1), (2, 0), (-1, 0)), value=1),
        Roll.instance.eager(np, x, shifts=(1,), dims=(2,)),
        Roll.instance.eager(np, x, shifts=(1, 2), dims=(1, 3)),
        Pick.instance.eager(np, x, indices=(np.arange(12) // 2, np.arange(5))),
    ):
        assert formats.suggested(made) is formats.channels_last
    turned = x.transpose(0, 3, 2, 1)  # another order is not kept
    assert join.concatenated(np, [turned, turned], 1).flags.c_contiguous


@pytest.mark.parametrize("size", [(18, 27), (20, 11), (9, 100), (3, 9)])
def test_many_pixels_at_other_sizes(size):
    def resized(t):
        x = images(t, 4, 16, 9, 9)
        return [t.nn.functional.interpolate(a, size=size) for a in (x, x.contiguous())]

    for found, expected in zip(resized(rl), resized(torch), strict=True):
        assert found.stride() == expected.stride()
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5)


def test_captured():
    layers = rl.nn.Sequential(rl.nn.Conv2d(4, 6, 3), rl.nn.ReLU(), rl.nn.Dropout(0.5))
    x = images(rl, 2, 4, 6, 6)

    def f(x):
        return layers(x)

    run = rl.compile(f, fullgraph=True)
    for seed in range(3):
        found = []
        for g in (f, run):
            rl.manual_seed(seed)
            found.append(g(x))
        assert rl.allclose(*found, rtol=1e-4, atol=1e-5)
        assert found[0].stride() == found[1].stride()


@pytest.mark.parametrize("grad", [True, False])
def test_captured_results_lie_in_memory_as_eager_ones(grad):
    layer = rl.nn.Conv2d(4, 6, 3)

    def f(x):
        return layer(x), x * 2, x[0].transpose(0, 1), x.sum((2, 3))

    run, x = rl.compile(f, fullgraph=True), images(rl, 2, 4, 6, 6)
    for argument in [x] * 4 + [x.contiguous()] * 3 + [x]:
        with rl.set_grad_enabled(grad):
            for expected, got in zip(f(argument), run(argument), strict=True):
                assert got.stride() == expected.stride()
                assert rl.allclose(got, expected, rtol=1e-4, atol=1e-5)
                if got.requires_grad:
                    g = [rl.autograd.grad(t.sin().sum(), layer.weight)[0] for t in (got, expected)]
                    assert rl.allclose(*g, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "of", ["x[:0]", "x[None]", "x.sum(0, keepdim=True)", "x[:, :1].squeeze(1)"]
)
def test_strides_over_one_element_or_none(of):
    """NumPy says 0 for some, which nobody can step along."""
    expected, got = (eval(of, {"x": t.ones(3, 4)}).relu().stride() for t in (torch, rl))
    assert got == expected


@pytest.mark.parametrize("name", ["conv", "weights", "batch norm", "max pool", "joined", "sorted"])
@pytest.mark.parametrize("order", ["channels last", "in order", "parts"])
@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_gradients_lie_in_memory_as_what_they_are_of(name, order):
    def strides(t):
        x = images(t, 2, 4, 6, 6)
        x = {"channels last": x, "in order": x.contiguous(), "parts": x[:, :, :, :5]}[order]
        x = x.detach().requires_grad_()
        layer = t.nn.Conv2d(4, 4, 3).to(memory_format=t.channels_last)
        found = []
        for create_graph in (False, True):
            x.grad = layer.weight.grad = None
            out = LAYERS[name](t, layer(x))
            t.autograd.backward((out * out).sum(), create_graph=create_graph)
            found += [x.grad.stride(), layer.weight.grad.stride(), x.grad._is_view()]
        x.grad = layer.weight.grad = None
        return found

    assert strides(rl) == strides(torch)


def test_channels_last_is_asked_for_by_name():
    """Of sizes of 1 every order is there, yet `to` has its own strides."""
    for lib in (torch, rl):
        last = lib.channels_last
        assert lib.empty(2, 3, 4, 5, memory_format=last).stride() == (60, 1, 15, 3)
        one = lib.empty(4, 1, 4, 4)
        assert one.to(memory_format=last).stride() == (16, 1, 4, 1)
        assert one.contiguous(memory_format=last).stride() == (16, 16, 4, 1)
        assert lib.empty(4, 3, 1, 1).to(memory_format=last).stride() == (3, 1, 3, 3)
        with pytest.raises(RuntimeError):
            lib.empty(2, 3, memory_format=last)


LINES = {
    "mean": lambda t, x: t.nn.AvgPool1d(3, 1, 1)(x),
    "mean of pairs": lambda t, x: t.nn.AvgPool1d(2)(x),
    "adaptive mean": lambda t, x: t.nn.AdaptiveAvgPool1d(4)(x),
    "adaptive mean of bins": lambda t, x: t.nn.AdaptiveAvgPool1d(5)(x),
    "adaptive max": lambda t, x: t.nn.AdaptiveMaxPool1d(4)(x),
    "adaptive places": lambda t, x: t.nn.AdaptiveMaxPool1d(4, return_indices=True)(x)[1],
    "max": lambda t, x: t.nn.MaxPool1d(2)(x),
}


@pytest.mark.parametrize("name", LINES)
def test_pools_of_lines(name):
    """PyTorch computes some of them as those of images of one row, which keep their order."""

    def strides(t):
        x = t.arange(96.0).sin().reshape(4, 12, 2)
        columns, single = x.permute(0, 2, 1), x[:, :, :1].clone().permute(0, 2, 1)
        several = [columns, x, x[:, :8], columns[:, :1], single, columns[1]]
        found = [LINES[name](t, a) for a in several]
        grown = columns.clone().requires_grad_()
        if name != "adaptive places":
            LINES[name](t, grown).square().sum().backward()
            found.append(grown.grad)
        steps = [[s for s, n in zip(f.stride(), f.shape, strict=True) if n > 1] for f in found]
        return steps, [f.tolist() for f in found]

    (ours, values), (theirs, expected) = strides(rl), strides(torch)
    assert ours == theirs
    for a, b in zip(values, expected, strict=True):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b))
