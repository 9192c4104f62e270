"""nn.utils.prune: masks, hooks and errors as in torch."""

import copy
import pickle

import pytest
import torch
import torch.nn.utils.prune

import rushlight as rl


def seeded(t, nn):
    t.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))


METHODS = {
    "identity": lambda p, m: p.identity(m, "weight"),
    "random_unstructured": lambda p, m: p.random_unstructured(m, "weight", 0.3),
    "random_unstructured count": lambda p, m: p.random_unstructured(m, "bias", 2),
    "l1_unstructured": lambda p, m: p.l1_unstructured(m, "weight", amount=0.4),
    "l1_unstructured by scores": lambda p, m: p.l1_unstructured(
        m, "weight", 0.5, importance_scores=-m.weight.abs()
    ),
    "its class": lambda p, m: p.L1Unstructured.apply(m, "weight", 0.5, -m.weight.abs()),
    "class of slices": lambda p, m: p.LnStructured.apply(m, "weight", 2, 2, 0, -m.weight.abs()),
    "random_structured": lambda p, m: p.random_structured(m, "weight", 2, dim=0),
    "ln_structured": lambda p, m: p.ln_structured(m, "weight", 0.5, n=2, dim=0),
    "ln_structured infinity": lambda p, m: p.ln_structured(m, "weight", 1, n=float("inf"), dim=-1),
    "custom_from_mask": lambda p, m: p.custom_from_mask(m, "bias", (m.bias > 0).float()),
    "nothing": lambda p, m: p.l1_unstructured(m, "weight", 0),
}


@pytest.mark.parametrize("first", METHODS)
@pytest.mark.parametrize("second", [None, "l1_unstructured", "ln_structured", "custom_from_mask"])
def test_masks_and_training(twin, first, second):
    def program(t, nn):
        net, prune = seeded(t, nn), nn.utils.prune
        for name in (first, second):
            if name is not None:
                METHODS[name](prune, net[0])
        x = t.linspace(-1, 1, 3 * 16).view(1, 3, 4, 4)
        net(x).square().sum().backward()
        with t.no_grad():
            for p in net.parameters():
                p.sub_(0.1 * p.grad)
        out = net(x)
        names = [n for n, _ in net.named_parameters()], [n for n, _ in net.named_buffers()]
        for name in ("weight", "bias"):
            if hasattr(net[0], name + "_mask"):
                prune.remove(net[0], name)
        return out, names, dict(net.state_dict()), prune.is_pruned(net)

    twin(program)


def test_global_pruning(twin):
    def program(t, nn):
        net, prune = seeded(t, nn), nn.utils.prune
        pairs = [(net[0], "weight"), (net[3], "weight")]
        prune.ln_structured(net[0], "weight", 1, n=1, dim=0)
        prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.5)
        scores = {pairs[1]: t.arange(80.0).view(5, 16)}
        prune.global_unstructured(
            pairs, prune.RandomUnstructured, importance_scores=scores, amount=5
        )
        return [m.weight_mask for m, _ in pairs], [m.weight for m, _ in pairs]

    twin(program)


def test_a_method_of_ones_own_and_a_plain_tensor(twin):
    def program(t, nn):
        prune = nn.utils.prune

        class EveryOther(prune.BasePruningMethod):
            PRUNING_TYPE = "unstructured"

            def compute_mask(self, t, default_mask):
                mask = default_mask.clone()
                mask.view(-1)[::2] = 0
                return mask

        layer = seeded(t, nn)[3]
        EveryOther.apply(layer, "weight")
        hook = EveryOther.apply(layer, "weight")
        kept = prune.L1Unstructured(2).prune(t.tensor([3.0, -1.0, 2.0, 0.5]))
        return layer.weight, len(hook), type(hook).__name__, kept

    twin(program)


def test_copies_and_pickles_stay_pruned():
    net = seeded(rl, rl.nn)
    rl.nn.utils.prune.l1_unstructured(net[0], "weight", 0.5)
    net(rl.rand(1, 3, 4, 4))  # its weight has a graph now, as any attribute that was computed
    with rl.no_grad():
        net(rl.rand(1, 3, 4, 4))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert rl.nn.utils.prune.is_pruned(other)
        other[0].weight_orig.data.fill_(1)
        other(rl.rand(1, 3, 4, 4))
        assert rl.equal(other[0].weight, net[0].weight_mask)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda p, m: p.l1_unstructured(m, "weight", 1.5), ValueError),
        (lambda p, m: p.l1_unstructured(m, "weight", -1), ValueError),
        (lambda p, m: p.l1_unstructured(m, "weight", 10**6), ValueError),
        (lambda p, m: p.l1_unstructured(m, "weight", "all"), TypeError),
        (lambda p, m: p.ln_structured(m, "bias", 0.5, n=2, dim=0), ValueError),
        (lambda p, m: p.remove(m, "weight"), ValueError),
        (lambda p, m: p.global_unstructured([(m, "weight")], p.LnStructured, amount=1, n=2),
         TypeError),
        (lambda p, m: p.global_unstructured(3, p.L1Unstructured, amount=1), TypeError),
        (lambda p, m: p.l1_unstructured(m, "weight", 1, m.bias), AssertionError),
        (lambda p, m: p.PruningContainer().add_pruning_method(3), TypeError),
    ],
)  # fmt: skip
def test_errors(wrong, error):
    for t in (torch, rl):
        with pytest.raises(error):
            wrong(t.nn.utils.prune, seeded(t, t.nn)[0])
