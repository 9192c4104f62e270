"""utils._pytree flattens and maps as torch's."""

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest
import torch
import torch.utils._pytree as theirs

import rushlight
import rushlight.utils._pytree as ours

Pair = namedtuple("Pair", "a b")
TREES = [
    3,
    [],
    {"b": [1, (2, None)], "a": 4},
    (Pair(1, [2]), OrderedDict(z=1, y=2), deque([1, 2], maxlen=5)),
    defaultdict(list, x=[1, 2]),
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_flatten_map_and_back(tree):
    leaves, spec = ours.tree_flatten(tree)
    assert leaves == theirs.tree_flatten(tree)[0]
    back = ours.tree_unflatten(leaves, spec)
    assert back == tree and type(back) is type(tree)
    assert spec.num_leaves == len(leaves) and spec == ours.tree_structure(tree)

    def double(x):
        return None if x is None else 2 * x

    assert ours.tree_map(double, tree) == theirs.tree_map(double, tree)
    assert ours.tree_map_only(int, str, tree) == theirs.tree_map_only(int, str, tree)


def test_several_trees_leaves_and_predicates():
    a, b = {"x": [1, 2]}, {"x": [10, 20]}
    assert ours.tree_map(lambda p, q: p + q, a, b) == {"x": [11, 22]}
    assert ours.tree_leaves(a, is_leaf=lambda x: isinstance(x, list)) == [[1, 2]]
    assert ours.tree_all(bool, a) and not ours.tree_any(lambda x: x > 2, a)
    seen = []
    assert ours.tree_map_(seen.append, a) is a and seen == [1, 2]
    with pytest.raises(ValueError, match="holds 2 items"):
        ours.tree_unflatten([1], ours.tree_structure(a))


def test_registered_classes():
    class Box:
        def __init__(self, content):
            self.content = content

    ours.register_pytree_node(Box, lambda x: ([x.content], None), lambda v, _: Box(*v))
    assert ours.tree_map(lambda x: x + 1, [Box(1)])[0].content == 2
    with pytest.raises(ValueError, match="already registered"):
        ours.register_pytree_node(Box, list, list)


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_paths(tree):
    def told(tree_module):
        pairs, _ = tree_module.tree_flatten_with_path(tree)
        named = tree_module.tree_map_with_path(lambda path, x: tree_module.keystr(path), tree)
        return [(str(path), leaf) for path, leaf in pairs], named

    assert told(ours) == told(theirs)


def test_keys():
    class Held:
        part = 3

    for keys in (ours, theirs):
        assert keys.MappingKey("a").get({"a": 3}) == 3
        assert keys.SequenceKey(1).get([2, 3]) == 3
        assert keys.GetAttrKey("part").get(Held()) == 3


def test_a_class_that_tells_no_paths():
    class Wrapped:
        pass

    ours.register_pytree_node(Wrapped, lambda x: ([1], None), lambda v, _: Wrapped())
    with pytest.raises(ValueError, match="flatten_with_keys_fn"):
        ours.tree_leaves_with_path([Wrapped()])


MAPPED = [
    ([1, 2], [3, 4]),
    ([1, 2], [3, [4, 5]]),
    ([1, 2], [3]),
    ([1, 2], (3, 4)),
    ({"a": 1, "b": 2}, {"b": 3, "a": 4}),
    ({"a": 1}, {"b": 1}),
    (Pair(1, 2), (3, 4)),
    (deque([1], maxlen=2), deque([3], maxlen=4)),
]


@pytest.mark.parametrize(("one", "other"), MAPPED, ids=str)
def test_other_trees_are_flattened_as_far_as_the_first(one, other):
    def mapped(lib):
        try:
            return lib.tree_map(lambda x, y: (x, y), one, other)
        except ValueError as error:
            return str(error).split(";")[0]

    assert mapped(ours) == mapped(theirs)


def test_what_describes_a_tree():
    tree = [1, (2, {"a": 3}), None]
    for lib in (ours, theirs):
        spec = lib.tree_structure(tree)
        assert (spec.num_nodes, spec.num_leaves, spec.num_children) == (7, 4, 3)
        assert repr(spec) == repr(theirs.tree_structure(tree))
        path, leaf = lib.tree_flatten_with_path(tree)[0][2]
        assert lib.key_get(tree, path) == leaf == 3
        assert lib.tree_all_only(int, bool, tree) and not lib.tree_any_only(str, bool, tree)
    assert ours.tree_structure(1) == ours.LeafSpec()


def test_results_of_several_tensors_are_trees():
    found = rushlight.ones(2, 2).max(1)
    leaves, spec = ours.tree_flatten(found)
    assert len(leaves) == 2 and type(ours.tree_unflatten(leaves, spec)) is type(found)
    assert ours.keystr(ours.tree_flatten_with_path(found)[0][1][0]) == ".indices"
    assert rushlight.utils._pytree is ours


@pytest.mark.parametrize("lib", [theirs, ours], ids=["torch", "rushlight"])
def test_dataclasses_are_trees_of_their_fields(lib):
    @dataclasses.dataclass
    class Batch:
        x: object
        y: object = None
        step: int = dataclasses.field(default=7, init=False)

    lib.register_dataclass(Batch)
    leaves, spec = lib.tree_flatten({"b": Batch([1, 2]), "c": 3})
    assert leaves == [1, 2, 3]
    assert lib.tree_unflatten([4, 5, 6], spec) == {"b": Batch([4, 5]), "c": 6}
    assert lib.tree_map(lambda x: x + 1, Batch(1, 2)) == Batch(2, 3)
    paths = [lib.keystr(path) for path, _ in lib.tree_flatten_with_path(Batch([1], 2))[0]]
    assert paths == [".x[0]", ".y"]
    assert (
        lib.tree_structure(Batch(1))
        == lib.tree_structure(Batch(2))
        != lib.tree_structure(Batch(1, 2))
    )
    with pytest.warns(UserWarning, match="already registered"):
        lib.register_dataclass(Batch, field_names=["x"], drop_field_names=["y"])
    assert lib.tree_map(lambda x: x + 1, Batch(1, 2)) == Batch(2)
    for wrong in (["x", "z"], ["y"], ["x", "y", "step"]):
        with pytest.raises(ValueError, match="field_names"):
            lib.register_dataclass(Batch, field_names=wrong)
    with pytest.raises(ValueError, match="field_names"):
        lib.register_dataclass(int)


@pytest.mark.parametrize("lib", [theirs, ours], ids=["torch", "rushlight"])
def test_constants_belong_to_the_description(lib):
    @dataclasses.dataclass(frozen=True)
    class Settings:
        norm: str

    @dataclasses.dataclass
    class NoHash:
        norm: str

    class NoEq:
        pass

    lib.register_constant(Settings)
    leaves, spec = lib.tree_flatten([Settings("l1"), 1])
    assert leaves == [1] and lib.tree_unflatten([5], spec) == [Settings("l1"), 5]
    assert spec == lib.tree_structure([Settings("l1"), 2])
    assert spec != lib.tree_structure([Settings("l2"), 2])
    assert lib.tree_flatten_with_path(Settings("l1"))[0] == []
    for refused in (NoHash, NoEq):
        with pytest.raises(TypeError, match="register_constant"):
            lib.register_constant(refused)


@pytest.mark.parametrize("tree", [[1, 2], (1, 2), {"a": 1, "b": 2}])
def test_functions_of_a_kind_of_node(tree):
    """Libraries flatten one level by what is registered for its type, as Lightning does."""
    node = ours.SUPPORTED_NODES[type(tree)]
    values, context = node.flatten_fn(tree)
    assert (values, context) == theirs.SUPPORTED_NODES[type(tree)].flatten_fn(tree)
    assert node.unflatten_fn(values, context) == tree
    assert [value for _, value in node.flatten_with_keys_fn(tree)[0]] == list(values)
    spec = ours.TreeSpec(type(tree), context, [ours.LeafSpec()] * 2)
    assert ours.tree_unflatten(values, spec) == tree


@pytest.mark.parametrize("lib", (torch, rushlight), ids=("torch", "rushlight"))
def test_members_of_modules_are_dicts(lib):
    pytree, net = lib.utils._pytree, lib.nn.Linear(2, 3)
    doubled = pytree.tree_map(lambda p: p.detach() * 2, net._parameters)
    assert type(doubled) is dict and list(doubled) == ["weight", "bias"]
    assert lib.equal(doubled["weight"], net.weight * 2)
    sums = pytree.tree_map(lambda p, q: (p + q).sum().item(), net._parameters, doubled)
    assert sums["bias"] == pytest.approx(3 * net.bias.sum().item(), rel=1e-5)
    gradient = lib.func.grad(lambda p: (p["weight"] * 2).sum() + p["bias"].sum())(net._parameters)
    assert type(gradient) is dict and gradient["weight"].tolist() == [[2.0, 2.0]] * 3
