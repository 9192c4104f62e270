"""Dictionaries of tensors that do not keep them, in both libraries."""

import copy
import gc
import importlib

import pytest
import torch
import torch.utils.weak

import rushlight

pytestmark = pytest.mark.parametrize("lib", [torch, rushlight])


def parts(lib):
    weak = importlib.import_module(f"{lib.__name__}.utils.weak")
    return weak, [lib.ones(1) for _ in range(3)]


@pytest.mark.parametrize("name", ["WeakIdKeyDictionary", "WeakTensorKeyDictionary"])
def test_tensors_are_told_apart(lib, name):
    weak, (x, y, z) = parts(lib)
    d = getattr(weak, name)({x: 1, y: 2})
    assert (d[x], d[y], len(d), x in d, z in d, 13 in d) == (1, 2, 2, True, False, False)
    assert d.get(z, 9) == 9 and d.setdefault(z, 3) == 3 and d.pop(z) == 3 and d.pop(z, 4) == 4
    d[x] = 5
    assert [k is x for k in d] == [True, False] and list(d.values()) == [5, 2]
    key, value = d.popitem()
    assert (key is y, value) == (True, 2) or (key is x, value) == (True, 5)


def test_entries_go_with_their_keys(lib):
    weak, (x, y, z) = parts(lib)
    d = weak.WeakIdKeyDictionary({x: 1, y: 2, z: 3})
    ref = weak.TensorWeakRef(x)
    assert ref() is x
    other = d.copy()
    del x
    gc.collect()
    assert ref() is None and list(d.values()) == list(other.values()) == [2, 3]
    assert len(d) == len(d.keyrefs()) == 2


def test_missing_keys_and_what_can_be_none(lib):
    weak, (x, _, _) = parts(lib)
    d = weak.WeakIdKeyDictionary()
    for call in (d.__getitem__, d.__delitem__, d.pop):
        with pytest.raises(KeyError):
            call(x)
    for call in (d.__getitem__, d.__delitem__, lambda k: d.__setitem__(k, 1)):
        with pytest.raises(TypeError):
            call(13)
    with pytest.raises(KeyError):
        d.popitem()


def test_unions_and_copies(lib):
    weak, (x, y, z) = parts(lib)
    d = weak.WeakIdKeyDictionary({x: 1, y: 2})
    both, reflected = d | {z: 3, x: 4}, {z: 3, x: 4} | d
    assert [both[k] for k in (x, y, z)] == [4, 2, 3]
    assert [reflected[k] for k in (x, y, z)] == [1, 2, 3]
    assert type(both) is type(reflected) is type(d) and both != d
    assert copy.copy(d) == d and copy.deepcopy(d) == d and d == {x: 1, y: 2}
    d |= [(z, 7)]
    assert d[z] == 7 and repr(d).startswith("<WeakIdKeyDictionary at 0x")


def test_references_stand_for_their_objects(lib):
    weak, (x, y, _) = parts(lib)
    a, b, c = weak.WeakIdRef(x), weak.WeakIdRef(x), weak.WeakIdRef(y)
    assert a == b and (a == c) is False and hash(a) == hash(b)
    del x
    gc.collect()
    assert a() is None and a == a and (a == b) is False
