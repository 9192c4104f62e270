"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from collections import OrderedDict

import pytest


def make(t, nn):
    """A few containers to work on."""
    return {
        "seq": nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)),
        "named": nn.Sequential(OrderedDict(one=nn.Linear(2, 3), two=nn.ReLU())),
        "list": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()]),
        "dict": nn.ModuleDict({"a": nn.Linear(1, 2), "b": nn.ReLU()}),
        "plist": nn.ParameterList([t.ones(2), nn.Parameter(t.zeros(3)), 5]),
        "pdict": nn.ParameterDict({"x": t.ones(2), "y": nn.Parameter(t.zeros(3)), "z": 5}),
    }


def state_of(c):
    return {
        "text": [repr(m) for m in c.values()],
        "lengths": [len(m) for m in c.values()],
        "parameters": {k: [n for n, _ in m.named_parameters()] for k, m in c.items()},
        "children": {k: [n for n, _ in m.named_children()] for k, m in c.items()},
    }


ACTIONS = [
    lambda c, t, nn: None,
    lambda c, t, nn: c["seq"](t.ones(1, 2)),
    lambda c, t, nn: (c["seq"][0], c["seq"][-1], c["seq"][1:], c["named"][:1], c["named"].one),
    lambda c, t, nn: c["seq"].append(nn.Tanh()),
    lambda c, t, nn: c["seq"].insert(1, nn.Tanh()),
    lambda c, t, nn: c["seq"].insert(-1, nn.Tanh()),
    lambda c, t, nn: c["seq"].insert(9, nn.Tanh()),
    lambda c, t, nn: c["seq"].insert(0, 3),
    lambda c, t, nn: c["seq"].extend(nn.Sequential(nn.Tanh(), nn.GELU())),
    lambda c, t, nn: c["seq"].extend([nn.Tanh()]),
    lambda c, t, nn: c["seq"].pop(1),
    lambda c, t, nn: c["named"].pop(0),
    lambda c, t, nn: c["seq"].__delitem__(0),
    lambda c, t, nn: c["seq"].__delitem__(slice(0, 2)),
    lambda c, t, nn: c["seq"].__setitem__(1, nn.Tanh()),
    lambda c, t, nn: c["seq"].__setitem__(9, nn.Tanh()),
    lambda c, t, nn: c["seq"][7],
    lambda c, t, nn: c["seq"] + c["named"],
    lambda c, t, nn: c["seq"] + [nn.ReLU()],
    lambda c, t, nn: c["seq"].__iadd__(nn.Sequential(nn.Tanh())),
    lambda c, t, nn: (c["seq"] * 2, 2 * c["named"]),
    lambda c, t, nn: c["seq"].__imul__(2),
    lambda c, t, nn: c["seq"] * 0,
    lambda c, t, nn: c["seq"] * 1.5,
    lambda c, t, nn: list(c["seq"]),
    lambda c, t, nn: nn.Sequential(3),
    lambda c, t, nn: nn.Sequential({"a": nn.ReLU()}),
    lambda c, t, nn: nn.Sequential()(5),
    lambda c, t, nn: (c["list"][0], c["list"][-1], c["list"][1:]),
    lambda c, t, nn: c["list"][5],
    lambda c, t, nn: c["list"].append(nn.Tanh()),
    lambda c, t, nn: c["list"].insert(0, nn.Tanh()),
    lambda c, t, nn: c["list"].extend([nn.Tanh(), nn.Tanh()]),
    lambda c, t, nn: c["list"].extend(3),
    lambda c, t, nn: c["list"].append(3),
    lambda c, t, nn: c["list"].pop(0),
    lambda c, t, nn: c["list"].pop(-1),
    lambda c, t, nn: c["list"].__delitem__(0),
    lambda c, t, nn: c["list"].__delitem__(slice(0, 2)),
    lambda c, t, nn: c["list"].__setitem__(-1, nn.Tanh()),
    lambda c, t, nn: c["list"] + [nn.Tanh()],
    lambda c, t, nn: c["list"].__iadd__([nn.Tanh()]),
    lambda c, t, nn: c["list"](t.ones(1)),
    lambda c, t, nn: (c["dict"]["a"], "b" in c["dict"], list(c["dict"]), list(c["dict"].keys())),
    lambda c, t, nn: ([k for k, _ in c["dict"].items()], list(c["dict"].values())),
    lambda c, t, nn: c["dict"]["missing"],
    lambda c, t, nn: c["dict"].__setitem__("c", nn.Tanh()),
    lambda c, t, nn: c["dict"].__setitem__(3, nn.Tanh()),
    lambda c, t, nn: c["dict"].__setitem__("a.b", nn.Tanh()),
    lambda c, t, nn: c["dict"].__setitem__("keys", nn.Tanh()),
    lambda c, t, nn: c["dict"].__delitem__("a"),
    lambda c, t, nn: c["dict"].pop("a"),
    lambda c, t, nn: c["dict"].clear(),
    lambda c, t, nn: c["dict"].update({"a": nn.Tanh(), "d": nn.GELU()}),
    lambda c, t, nn: c["dict"].update([("e", nn.Tanh())]),
    lambda c, t, nn: c["dict"].update(OrderedDict(f=nn.Tanh())),
    lambda c, t, nn: c["dict"].update(c["dict"]),
    lambda c, t, nn: c["dict"].update(3),
    lambda c, t, nn: c["dict"].update([nn.Tanh()]),
    lambda c, t, nn: c["dict"].update([("e",)]),
    lambda c, t, nn: (c["plist"][0], c["plist"][-1], list(c["plist"][:2]), list(c["plist"])[2]),
    lambda c, t, nn: c["plist"][7],
    lambda c, t, nn: c["plist"].append(t.ones(4)),
    lambda c, t, nn: c["plist"].extend([t.ones(4), "text"]),
    lambda c, t, nn: c["plist"].extend(3),
    lambda c, t, nn: c["plist"].__setitem__(0, t.ones(5)),
    lambda c, t, nn: c["plist"].__iadd__([t.ones(5)]),
    lambda c, t, nn: c["plist"](),
    lambda c, t, nn: (c["pdict"]["x"], "y" in c["pdict"], list(c["pdict"]), len(c["pdict"])),
    lambda c, t, nn: (list(c["pdict"].keys()), list(c["pdict"].values()), list(c["pdict"].items())),
    lambda c, t, nn: list(reversed(c["pdict"])),
    lambda c, t, nn: c["pdict"]["missing"],
    lambda c, t, nn: c["pdict"].get("missing", 3),
    lambda c, t, nn: c["pdict"].__setitem__("w", t.ones(4)),
    lambda c, t, nn: c["pdict"].__setitem__(3, t.ones(4)),
    lambda c, t, nn: c["pdict"].__delitem__("x"),
    lambda c, t, nn: c["pdict"].pop("x"),
    lambda c, t, nn: c["pdict"].popitem(),
    lambda c, t, nn: c["pdict"].clear(),
    lambda c, t, nn: c["pdict"].setdefault("x", t.zeros(9)),
    lambda c, t, nn: c["pdict"].setdefault("v", t.zeros(9)),
    lambda c, t, nn: c["pdict"].update({"x": t.zeros(1), "u": t.zeros(2)}),
    lambda c, t, nn: c["pdict"].update([("u", t.zeros(2))]),
    lambda c, t, nn: list(nn.ParameterDict({"b": t.zeros(1), "a": t.zeros(2)})),  # sorted
    lambda c, t, nn: list(nn.ParameterDict(OrderedDict(b=t.zeros(1), a=t.zeros(2)))),
    lambda c, t, nn: list(nn.ParameterDict([("b", t.zeros(1)), ("a", t.zeros(2))])),
    lambda c, t, nn: c["pdict"].update(3),
    lambda c, t, nn: c["pdict"].copy(),
    lambda c, t, nn: c["pdict"].fromkeys(["k", "l"], 1.0),
    lambda c, t, nn: c["pdict"] | nn.ParameterDict({"x": t.zeros(1)}),
    lambda c, t, nn: c["pdict"].__ior__({"q": t.zeros(1)}),
    lambda c, t, nn: c["pdict"](1),
]


@pytest.mark.parametrize("number", range(len(ACTIONS)))
def test_action(twin, number):
    def program(t, nn):
        containers = make(t, nn)
        result = ACTIONS[number](containers, t, nn)
        return result, state_of(containers)

    twin(program)


def test_subclass_of_sequential_slices_to_itself(twin):
    def program(t, nn):
        class Block(nn.Sequential):
            pass

        return Block(nn.ReLU(), nn.Tanh())[:1]

    twin(program)


def test_gradients_of_a_layer_used_twice_are_summed(twin):
    def program(t, nn):
        layer = nn.Linear(2, 2)
        net = nn.Sequential(layer, nn.Tanh(), layer)
        net(t.ones(1, 2)).sum().backward()
        return layer.weight.grad, len(list(net.parameters())), list(net.state_dict())

    twin(program)


def test_distributed_data_parallel_needs_a_process_group(twin):
    def program(t, nn):
        return nn.parallel.DistributedDataParallel(nn.Linear(1, 1))

    assert isinstance(twin(program), ValueError)
