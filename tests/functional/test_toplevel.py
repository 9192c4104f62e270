"""torch's own forms of functions of layers: what op samples do not show."""

import re

import numpy as np
import pytest
import torch

import rushlight as rl

LIBRARIES = (rl, torch)
NOISE = """
    dropout(x, 0.5, True); dropout(x, 0.5, False); dropout_(x, 0.3, True)
    alpha_dropout(x, 0.5, True); alpha_dropout_(x, 0.3, True); feature_dropout(x, 0.5, True)
    feature_dropout_(x, 0.5, True); feature_alpha_dropout(x, 0.5, True)
    feature_alpha_dropout_(x, 0.5, True); rrelu_(x, 0.1, 0.9, True)
    nn.functional.rrelu_(x, 0.1, 0.9, True); threshold_(x, 0.1, 7.0)
    nn.functional.threshold_(x, 0.1, 7.0)
"""


def calls(text):
    return pytest.mark.parametrize("call", re.split(r";\s+|\s*\n\s*", text.strip()))


@calls(NOISE)
def test_noise_and_forms_in_place(call):
    """The same numbers as torch's after the same seed; with an underscore in the tensor itself."""
    outs = []
    for lib in LIBRARIES:
        lib.manual_seed(3)
        x = lib.linspace(-2.0, 2.0, 24).reshape(2, 3, 4)
        out = eval(f"lib.{call}", {"lib": lib, "x": x})
        assert (out is x) == (call.partition("(")[0].endswith("_") or "False" in call)
        outs.append(out.numpy())
    np.testing.assert_allclose(outs[0], outs[1], rtol=1e-6, atol=1e-7)


LOSSES = """
    binary_cross_entropy_with_logits(x, y); kl_div(x, y); hinge_embedding_loss(x, y)
    margin_ranking_loss(x, y, y); cosine_embedding_loss(x, y, t); triplet_margin_loss(x, y, y)
    kl_div(x, y, log_target=True); ctc_loss(z, i, n, m)
"""


@pytest.mark.parametrize("home", ["", "ops.aten."])
@calls(LOSSES)
def test_reductions_that_are_not_named(home, call):
    """Functions do not reduce, operators take the mean."""
    outs = []
    for lib in LIBRARIES:
        names = {
            "lib": lib, "x": lib.arange(6.0).reshape(2, 3) / 6, "y": lib.ones(2, 3) / 3,
            "t": lib.tensor([1.0, -1.0]), "z": (lib.arange(30.0) / 9).reshape(5, 2, 3),
            "i": lib.tensor([[1, 2], [2, 1]]), "n": lib.tensor([5, 4]), "m": lib.tensor([2, 1]),
        }  # fmt: skip
        outs.append(eval(f"lib.{home}{call}", names).numpy())
    assert outs[0].shape == outs[1].shape and (outs[0].ndim == 0) == bool(home)
    np.testing.assert_allclose(outs[0], outs[1], rtol=1e-5)


@pytest.mark.parametrize("padding", [None, 1, -1])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_what_bags_are_made_of(mode, padding):
    outs = []
    for lib in LIBRARIES:
        table = lib.tensor([[1.0, 5.0], [2.0, 4.0], [2.0, 9.0], [0.0, 3.0]])
        indices, offsets = lib.tensor([3, 1, 2, 1, 0]), lib.tensor([0, 3, 3])
        out = lib.embedding_bag(table, indices, offsets, False, mode, False, None, False, padding)
        outs.append([(str(t.dtype), t.tolist()) for t in out])
    assert outs[0] == outs[1]
