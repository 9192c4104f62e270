"""What guards look at in memory: every write to what they watch shows."""

import pytest

from rushlight.compiler.held import dict_words, item_words, words_within
from rushlight.compiler.layout import items_are_known, word


class Thing:
    def __init__(self):
        self.a, self.b = 1.5, [2.5]


def shows(words):
    return any(word(at) != content for at, content in words)


def set_item(thing):
    thing.__dict__["a"] = object()


def set_attribute(thing):
    thing.a = object()


def add_attribute(thing):
    thing.c = object()


def delete_attribute(thing):
    del thing.a


def replace(thing):
    del thing.a
    thing.c = object()


def fill(thing):
    for k in range(100):
        setattr(thing, f"more{k}", object())


def swap(thing):
    thing.a, thing.b = thing.b, thing.a


WRITES = [set_item, set_attribute, add_attribute, delete_attribute, replace, fill, swap]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("before", [None, *WRITES])
def test_writes_to_attributes_show(write, before):
    thing = Thing()
    if before is not None:
        before(thing)
        thing.a = object()
    words = dict_words(thing.__dict__)
    assert not shows(words)
    getattr(thing, "b", None)
    assert not shows(words)
    write(thing)
    assert shows(words)


@pytest.mark.parametrize("keys", [["a", "b"], [1, "a"], [(1, 2), 3.5], []])
def test_writes_to_dicts_show(keys):
    d = {k: float(n) for n, k in enumerate(keys)}
    for key in [*keys, "new", 7, ("x",)]:
        words = words_within(d)
        assert not shows(words)
        d[key] = -1.5
        assert shows(words)
        words = words_within(d)
        d[key] = -2.5
        assert shows(words)
    words = words_within(d)
    d.clear()
    assert shows(words)


@pytest.mark.parametrize("keys", [["a", "b"], [1, "a"], [(1, 2), 3.5]])
def test_only_writes_to_an_item_show(keys):
    assert items_are_known()
    d = dict.fromkeys(["gone", *keys, "other"])
    del d["gone"]
    for key in keys:
        words = item_words(d, key)
        d["other"] = object()
        assert not shows(words)
        d[key] = object()
        assert shows(words)
        words = item_words(d, key)
        del d[key]
        assert shows(words)
        d[key] = [1.5]
        words = item_words(d, key)
        d[key].append(2.5)
        assert shows(words)
    assert item_words(d, "absent") is None


@pytest.mark.parametrize("many", [10, 1000])
def test_items_of_dicts_that_grew_or_were_cleared_show(many):
    d = {"a": object()}
    for change in (lambda: d.update({k: k for k in range(many)}), d.clear):
        words = item_words(d, "a")
        change()
        d["a"] = object()
        assert shows(words)


def test_a_new_object_never_takes_the_address_of_a_watched_one():
    d = {"rate": 0.1}
    words = dict_words(d)
    for k in range(1000):
        d["rate"] = None
        d["rate"] = k + 0.5
        assert shows(words)


def test_writes_deep_inside_show():
    x = {"a": [1, {"b": (2, [3])}]}
    words = words_within(x)
    assert not shows(words)
    x["a"][1]["b"][1].append(4)
    assert shows(words)
