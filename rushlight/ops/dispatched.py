"""Ops as Python code sees them that takes their place: ``__torch_dispatch__`` of wrapper tensors
(see Note [Wrapper tensors] in ``core.wrapped``), and of the modes in ``utils._python_dispatch``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rushlight.core.autograd import record
from rushlight.core.elementwise import Elementwise
from rushlight.core.op import Op
from rushlight.core.sparse import rules
from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor, needs_grad, wrap
from rushlight.core.view import View, bind_many
from rushlight.core.wrapped import as_wrapper, is_wrapper, wrapper
from rushlight.dtypes import DIFFERENTIABLE
from rushlight.ops import device
from rushlight.ops.matmul import Linear
from rushlight.ops.operators import Packet
from rushlight.ops.view import OneDim, SomeDims

# what PyTorch's operators are called, where nodes of the graph have other names
NAMES = {
    "all_true": "all", "any_true": "any", "cdist": "_cdist_forward", "copy_backwards": "copy",
    "is_in": "isin", "linalg_det": "_linalg_det", "linalg_eigh": "_linalg_eigh",
    "linalg_solve_ex": "_linalg_solve_ex", "linalg_svd": "_linalg_svd",
    "log_softmax": "_log_softmax", "nll_loss": "nll_loss_forward",
    "scaled_dot_product_flash_attention_for_cpu": "_scaled_dot_product_flash_attention_for_cpu",
    "smooth_l1loss": "smooth_l1_loss", "softmax": "_softmax", "to_copy": "_to_copy",
}  # fmt: skip
WITH_DIM = {
    "all": "dim", "any": "dim", "max": "dim", "mean": "dim", "median": "dim", "min": "dim",
    "nanmedian": "dim", "prod": "dim_int", "sum": "dim_IntList",
}  # fmt: skip
OVERLOADS = {
    "index": "Tensor", "index_put": "default", "isin": "Tensor_Tensor", "searchsorted": "Tensor",
    "select": "int", "slice": "Tensor", "split": "Tensor", "std": "correction",
    "transpose": "int", "unbind": "int", "var": "correction", "where": "self",
}  # fmt: skip
SCALARS = {"add", "sub", "mul", "div"}  # whose overloads take tensors and numbers alike
# of two tensors alone, so that there is one overload
PLAIN = frozenset(
    """
    atan2 floor_divide fmax fmin gcd heaviside hypot lcm logaddexp logaddexp2 logical_and logical_or
    logical_xor maximum minimum nextafter
    """.split()  # noqa: SIM905
)


def name_of(op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[str, str]:
    """PyTorch's name of an op, and of its overload, as its node in the graph says."""
    specs = [(a._array.shape, a._array.dtype) if isinstance(a, Tensor) else None for a in args]
    if isinstance(op, Linear):  # whose node is called after products of other operands
        return "linear", "default"
    camel = re.sub(r"Backward\d*$", "", op.node_name(params, specs))
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\dD)(?=[A-Z])", "_", camel).lower()
    name = re.sub(r"_grad$", "_backward", name)
    name = NAMES.get(name, name)
    if name == "unsafe_view":  # the last part of products of more than matrices
        name = "bmm" if all([s is not None and len(s[0]) == 3 for s in specs]) else "matmul"
    if name == "split" and not alike([stop - start for start, stop in params["bounds"]]):
        name = "split_with_sizes"
    return name, overload_of(name.removesuffix("_"), op, args, params)


def alike(sizes: list[int]) -> bool:
    """Whether pieces have one size, but for the last, which may be smaller."""
    return all([n == sizes[0] for n in sizes[:-1]]) and sizes[-1] <= sizes[0]


def overload_of(name: str, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> str:
    """The overload of the operator ``name`` that takes these."""
    if name in PLAIN or name.endswith("_backward"):
        return "default"
    if name in OVERLOADS:
        return OVERLOADS[name]
    if name in WITH_DIM and params.get("dim") is not None:
        return WITH_DIM[name]
    if name == "squeeze":
        kind = params["dim"].__class__
        return "dim" if kind is OneDim else "dims" if kind is SomeDims else "default"
    if name == "scatter":
        return "src" if isinstance(args[-1], Tensor) else "value"
    if name == "lerp":
        return "Tensor" if isinstance(args[-1], Tensor) else "Scalar"
    if name in ("fill", "masked_fill"):
        return "Tensor" if isinstance(params.get("value"), Tensor) else "Scalar"
    if isinstance(op, Elementwise) and len(op.names) == 2 and len(args) == 2:
        if name == "pow":
            kinds = [isinstance(a, Tensor) for a in args]
            return "Scalar" if not kinds[0] else "Tensor_Tensor" if kinds[1] else "Tensor_Scalar"
        return "Tensor" if isinstance(args[1], Tensor) or name in SCALARS else "Scalar"
    return "default"


class Operator(Packet):
    """An op as handlers see it: it is called with tensors, and what else the op takes by name.

    Attributes:
        namespace: "aten".
        overloadpacket: the operator without its overload.
    """

    namespace = "aten"

    def __init__(self, apply: Callable[..., Any], name: str, overload: str) -> None:
        super().__init__(apply, f"aten.{name}.{overload}")
        self.__name__ = f"{name}.{overload}"
        self._opname, self._overloadname = name, overload
        self.overloadpacket = Packet(apply, f"aten.{name}")

    def name(self) -> str:
        """``aten::mm``; with the overload after a point where it has a name."""
        end = "" if self._overloadname == "default" else f".{self._overloadname}"
        return f"aten::{self._opname}{end}"


def operator(op: Op, args: tuple[Any, ...], params: dict[str, Any], writes: bool) -> Operator:
    """The operator that applies op, or that writes its result to the first of ``args``."""
    name, overload = name_of(op, args, params)
    if writes:
        return Operator(op.update, name.removesuffix("_") + "_", overload)
    return Operator(op.bind, name, overload)


def handled(op: Op, inputs: Any, params: dict[str, Any], writes: bool = False) -> Any:
    """What the classes of wrapper tensors do for an op, below autograd.

    Raises:
        TypeError: all of them return NotImplemented.
    """
    args = tuple([below(t) if isinstance(t, Tensor) else t for t in inputs])
    kinds: Any = tuple(dict.fromkeys([type(t) for t in args if is_wrapper(t)]))
    func = operator(op, args, params, writes)
    for kind in kinds:
        with GradMode(False):
            result = kind.__torch_dispatch__(func, kinds, args, dict(params))
        if result is not NotImplemented:
            return result
    raise TypeError(
        f"Multiple dispatch failed for '{func}'; all __torch_dispatch__ handlers returned "
        f"NotImplemented: {', '.join([k.__name__ for k in kinds])}."
    )


def below(t: Tensor) -> Tensor:
    """t as handlers get it: without history."""
    return wrapper(t._array) if is_wrapper(t) else wrap(t._array)


without_wrappers = device.apply, device.store


def apply(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """An op some of whose inputs have no array of NumPy's."""
    if not any([is_wrapper(t) for t in inputs]):
        return without_wrappers[0](op, inputs, params)
    if isinstance(op, Linear):
        return linear(*inputs)
    found = handled(op, inputs, params)
    if isinstance(op, View):
        if op.multi:
            parts = bind_many(op, inputs[0], [r._array for r in found], params)
            return [as_wrapper(p) for p in parts]
        return as_wrapper(type(op).linked(inputs[0], found._array, params))
    several = isinstance(found, (tuple, list))
    result: Any = [below(r) for r in found] if several else below(found)
    tracked = any([isinstance(t, Tensor) and needs_grad(t) for t in inputs])
    if tracked and op.differentiable and modes.grad:
        if several or result._array.dtype in DIFFERENTIABLE:
            record(op, inputs, result, params)
    return result


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """A linear map in the steps that PyTorch's takes, for which classes have handlers."""
    rows = input if input._array.ndim == 2 else input.reshape(-1, input._array.shape[-1])
    product = rows @ weight.t()
    if rows is not input:
        product = product.view(*input._array.shape[:-1], weight._array.shape[0])
    return product if bias is None else product + bias


def store(op: Op, x: Tensor, others: tuple[Any, ...], params: dict[str, Any]) -> bool:
    """x <- op(x, *others) in memory; False where none of them is a wrapper."""
    if not any([is_wrapper(t) for t in (x, *others)]):
        return without_wrappers[1](op, x, others, params)
    handled(op, (x, *others), params, writes=True)
    return True


def ask(name: str, function: Any, t: Tensor, **options: Any) -> Any:
    """What the class of a wrapper tensor does for a function that is no op."""
    kind, func = t._array.kind, Operator(function, name, "default")
    with GradMode(False):
        return kind.__torch_dispatch__(func, (kind,), (below(t),), options)


rules.apply, rules.store, rules.ask = apply, store, ask
