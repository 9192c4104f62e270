"""From a list of samples to a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as rl
from rushlight.core.state import state
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import ShapeError

FLOAT64 = dtypes.by_name["float64"]


def default_convert(data: Any) -> Any:
    """Turns NumPy arrays and scalars inside nested containers into tensors; leaves the rest.

    Example:
        >>> default_convert({"a": np.ones(2)})
        {'a': tensor([1., 1.], dtype=torch.float64)}
    """
    if isinstance(data, Tensor | str | bytes):
        return data
    if isinstance(data, np.ndarray | np.generic):
        return data if data.dtype.kind in "SUO" else rl.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if _is_namedtuple(data):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Any) -> Any:
    """Stacks samples of one structure into a batch of the same structure.

    Tensors and arrays gain a first dimension, numbers become tensors (Python floats float64, ints
    int64), strings stay a list, mappings keep their keys, tuples and lists become lists.

    Args:
        batch: samples; at least one.

    Example:
        >>> default_collate([(1, 2.0), (3, 4.0)])
        [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Any, *, collate_fn_map: Mapping[Any, Callable[..., Any]] | None = None) -> Any:
    """``default_collate`` with a table of its own: from the type of an element to its function.

    Args:
        batch: samples; at least one.
        collate_fn_map: functions ``f(batch, *, collate_fn_map)`` by type or tuple of types.
    """
    first = batch[0]
    table = collate_fn_map or {}
    if type(first) in table:
        return table[type(first)](batch, collate_fn_map=collate_fn_map)
    for kinds, function in table.items():
        if isinstance(first, kinds):
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        columns = {
            key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map)
            for key in first
        }
        return _like_mapping(first, columns)
    if isinstance(first, Sequence):
        return _collate_sequences(batch, first, collate_fn_map)
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}. Pass collate_fn to DataLoader for other types."
    )


def _collate_sequences(batch: Any, first: Sequence[Any], table: Any) -> Any:
    lengths = {len(sample) for sample in batch}
    if len(lengths) > 1:
        raise RuntimeError(
            f"default_collate: samples have {sorted(lengths)} elements; each element in list of "
            "batch should be of equal size. Pad them, or pass collate_fn to DataLoader."
        )
    columns = [collate(column, collate_fn_map=table) for column in zip(*batch, strict=True)]
    if _is_namedtuple(first):
        return type(first)(*columns)
    return columns if isinstance(first, tuple) else _like_sequence(first, columns)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _like_mapping(model: Any, values: dict[Any, Any]) -> Any:
    try:
        if isinstance(model, MutableMapping):  # a copy keeps what the class holds besides the items
            out = copy.copy(model)
            out.update(values)
            return out
        return type(model)(values)
    except TypeError:
        return values


def _like_sequence(model: Any, values: list[Any]) -> Any:
    try:
        if isinstance(model, MutableSequence):
            out = copy.copy(model)
            for i, value in enumerate(values):
                out[i] = value
            return out
        return type(model)(values)
    except TypeError:
        return values


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """``stack(batch)``."""
    arrays = [tensor._array for tensor in batch]
    alike = len({(type(array), array.dtype, array.shape) for array in arrays}) == 1
    plain = alike and type(arrays[0]) is np.ndarray and not state.asking
    if plain and not any(t.requires_grad for t in batch):
        return wrap(np.array(arrays))  # half of stack's time for many small samples
    try:
        return rl.stack(tuple(batch), 0)  # records, promotes, or says what does not fit
    except ShapeError as error:
        error.add_note(
            "The samples of a batch differ in shape: make them alike in the data set, or pass the "
            "DataLoader a collate_fn, such as one that calls nn.utils.rnn.pad_sequence."
        )
        raise


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Arrays of numbers, stacked as a tensor."""
    if (kind := batch[0].dtype).kind in "SUO":
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
            f"found an array of {kind}. Pass collate_fn to DataLoader for other types."
        )
    return collate([rl.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """NumPy numbers, as a vector of their dtype."""
    return rl.as_tensor(np.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Python floats, as a float64 vector."""
    return rl.tensor(batch, dtype=FLOAT64)


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Python ints or bools, as a vector."""
    return rl.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Strings, as they are."""
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
