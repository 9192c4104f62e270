"""Writes of parts of a tensor to other parts of it, and of recorded values to parts."""

from __future__ import annotations

import pytest
import torch

import rushlight


def assign(target, source):
    def write(x):
        x[target] = x[source]

    return write


WRITES = {
    "an element to its row": assign(1, (1, 0)),
    "the first of a row to it": assign(1, (1, slice(1))),
    "a row to all": assign(..., 0),
    "a row to two": assign(slice(2), slice(1)),
    "an element to all": assign(slice(None), (0, 0)),
    "a row to itself": assign(slice(1), 0),
    "a row to the next": assign(slice(1, None), slice(None, -1)),
    "a column to all": assign((slice(None), slice(1, 4)), (slice(None), slice(1))),
    "all": assign(slice(None), slice(None)),
    "copied": lambda x: x.copy_(x[0]),
    "added": lambda x: x.add_(x[0]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_overlapping_parts(write):
    def result(lib):
        x = lib.arange(12).reshape(3, 4)
        try:
            write(x)
        except RuntimeError:
            return "refused"
        return x.tolist()

    assert result(rushlight) == result(torch)


LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])


@LIBRARIES
def test_parts_changed_where_they_are(lib):
    w, b = lib.ones(3, 2, requires_grad=True), lib.ones(2, requires_grad=True)
    x = w * 2
    part = x[0]
    x[0] += b * 3
    x[1] *= 2
    x[:, 1] -= 1
    x[2][0] += 4
    assert x._version == 8 and part.tolist() == [5, 4] and x.tolist()[2] == [6, 1]
    g = lib.arange(6.0).view(3, 2)
    x.backward(g, retain_graph=True)
    assert w.grad.tolist() == [[0, 2], [8, 12], [8, 10]] and b.grad.tolist() == [0, 3]
    w.grad += 1
    b.grad += 1
    assert g.tolist() == [[0, 1], [2, 3], [4, 5]]  # gradients of parts share no memory with it
    part.sum().backward()
    assert w.grad.tolist() == [[3, 5], [9, 13], [9, 11]]


@LIBRARIES
def test_a_part_of_no_history_ends_the_gradient(lib):
    w = lib.ones(2, 2, requires_grad=True)
    x = w * 1
    with lib.no_grad():
        part = x[0]
    x[0] = part
    x[1] = x.detach()[1]
    x[:, 0] = x[:, 0]
    x.sum().backward()
    assert w.grad.tolist() == [[0, 0], [0, 0]]
    with pytest.raises(RuntimeError):
        w[0] = w[0]
    with lib.no_grad():
        w[0] += 1
        w[1] = w[1]
    assert w.tolist() == [[2, 2], [1, 1]]


@LIBRARIES
def test_a_part_of_memory_that_was_replaced_is_written(lib):
    x = lib.zeros(2, 2)
    part = x[0]
    x.data = lib.ones(2, 2)
    x[0] = part
    assert x.tolist() == [[0, 0], [1, 1]]


INDICES = [0, -1, (1, ...), (slice(None), 1), (slice(None), slice(0, 2)), (0, 1), (None, 0)]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("tracked", [False, True])
def test_parts_take_recorded_values(index, tracked):
    def results(lib):
        leaf, w = lib.arange(6.0, requires_grad=True), lib.arange(1.0, 4.0, requires_grad=True)
        x = leaf.view(2, 3) * 2 if tracked else lib.zeros(2, 3)
        first, part = x[0], x[index].shape
        value = (w * w)[: part[-1]].expand(part).clone() if part else (w * w).sum()
        x[index] = value
        steps = x.grad_fn, *[f for f, _ in x.grad_fn.next_functions]
        x.retain_grad()
        loss = (x * lib.arange(6.0).view(2, 3)).pow(2).sum() + 3 * first.sum()
        (g,) = lib.autograd.grad(loss, w, create_graph=True)
        g.pow(2).sum().backward(retain_graph=True)
        loss.backward()
        shown = [None if t is None else t.tolist() for t in (x, x.grad, w.grad, leaf.grad)]
        return [type(s).__name__ for s in steps], shown, g.tolist()

    assert results(rushlight) == results(torch)


def test_writes_of_recorded_values_that_are_refused():
    def refusals(lib):
        leaf = lib.ones(3, requires_grad=True)
        x = lib.zeros(2, 3)
        for target, index, value in (
            (leaf, 0, leaf.sum()),
            (x, 5, leaf.sum()),
            (x, 0, leaf[:2]),
            (x.expand(2, 2, 3), 0, leaf * 1),
        ):
            try:
                target[index] = value
            except (IndexError, RuntimeError) as error:
                yield isinstance(error, IndexError)
            else:
                yield "written"

    assert list(refusals(rushlight)) == list(refusals(torch))


ASSIGNED = {
    "an element": lambda lib, x, value: x.__setitem__(0, value),
    "a slice": lambda lib, x, value: x.__setitem__(slice(0, 1), value),
    "places": lambda lib, x, value: x.__setitem__(lib.tensor([0]), value),
    "a mask": lambda lib, x, value: x.__setitem__(x > 0, value),
}


@LIBRARIES
@pytest.mark.parametrize("dtype, value", [("float32", 1j), ("float32", 1e60), ("float16", 1j)])
@pytest.mark.parametrize("where", ASSIGNED)
def test_a_number_that_does_not_fit_is_not_assigned(lib, where, dtype, value):
    x = lib.ones(2, dtype=getattr(lib, dtype))
    with pytest.raises(RuntimeError, match="without overflow"):
        ASSIGNED[where](lib, x, value)
    assert x.tolist() == [1, 1]


@LIBRARIES
@pytest.mark.parametrize("name", ["abs_", "absolute_"])
def test_moduli_are_not_written_to_complex_numbers(lib, name):
    x = lib.tensor([3 + 4j])
    with pytest.raises(RuntimeError):
        getattr(x, name)()
    assert x.tolist() == [3 + 4j]


MASK = [True, False, True]
ONE = {"number": 7, "fraction": 7.5, "list": [7], "nested": [[7.5]], "truth": True}


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "complex64", "bool"])
@pytest.mark.parametrize("key", [MASK, (None, MASK), True, False], ids=str)
@pytest.mark.parametrize("one", ONE.values(), ids=ONE)
def test_one_element_fills_a_mask_as_a_number_does(dtype, key, one):
    def result(lib):
        x = lib.arange(3).to(getattr(lib, dtype))
        x[key] = lib.tensor(one)
        return x.tolist()

    assert result(rushlight) == result(torch)


@pytest.mark.parametrize("lib", [rushlight, torch])
def test_one_element_of_another_dtype(lib):
    x, mask = lib.zeros(3), lib.tensor(MASK)
    assert x.index_put((mask,), lib.tensor(7)).tolist() == [7, 0, 7]
    assert x.index_put_((mask,), lib.tensor([8])).tolist() == [8, 0, 8]
    assert x.index_put_((lib.tensor(False),), lib.tensor([9])).tolist() == [8, 0, 8]
    assert x.index_put_((lib.tensor(True),), lib.tensor([9])).tolist() == [9, 9, 9]
    value = lib.tensor(2.0, dtype=lib.float64, requires_grad=True)
    y = lib.zeros(3)
    y[mask] = value
    y.sum().backward()
    assert value.grad.dtype is lib.float64 and value.grad.item() == 2
    for value, dtype in [(1j, lib.float32), (300, lib.uint8)]:
        with pytest.raises(RuntimeError, match="cannot be converted to type"):
            lib.zeros(3, dtype=dtype)[mask] = lib.tensor(value)
    for key in [lib.tensor([0, 2]), (True, mask), [0, 2]]:
        with pytest.raises(RuntimeError, match="source and destination dtypes match"):
            x[key] = lib.tensor(7)
    with pytest.raises(RuntimeError, match="dtypes match"):
        x.index_put_((mask,), lib.tensor(7), accumulate=True)
    for indices in [(1,), ([0, 2],), (slice(2),)]:
        with pytest.raises(TypeError, match="Tensor as element 0"):
            x.index_put_(indices, lib.tensor(1.0))
    with pytest.raises(TypeError, match="can't assign a str"):
        x[True] = "7"


def test_one_element_of_another_dtype_in_a_compiled_call():
    mask = rushlight.tensor(MASK)

    @rushlight.compile
    def fill(x, value):
        x = x.clone()
        x[mask] = value
        return x

    for value in [7, 8, 9]:
        assert fill(rushlight.zeros(3), rushlight.tensor(value)).tolist() == [value, 0, value]


@pytest.mark.parametrize("index", [None, True, ..., (None, None)], ids=str)
def test_the_gradient_of_what_is_written_has_its_shape(index):
    for lib in (torch, rushlight):
        x, v = lib.tensor(1.0, requires_grad=True), lib.tensor(2.0, requires_grad=True)
        z = x * 2
        z[index] = v
        (z * 3).backward()
        assert (v.grad.shape, v.grad.item(), x.grad.item()) == ((), 3.0, 0.0)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint16"])
def test_dtypes_of_indices(dtype):
    found = []
    for lib in (torch, rushlight):
        places, outcomes = lib.tensor([1, 2]).to(getattr(lib, dtype)), []
        for index in (places, (places, None), places.numpy(), places[0]):
            x = lib.arange(4.0)
            try:
                x[index] = x[index] * 2
            except IndexError:
                outcomes.append(IndexError)
            else:
                outcomes.append(x.tolist())
        found.append(outcomes)
    assert found[0] == found[1]
