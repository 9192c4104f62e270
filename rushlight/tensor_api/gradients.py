"""``backward`` and ``grad`` for several tensors at once."""

from __future__ import annotations

from typing import Any

from rushlight.core import engine
from rushlight.core.autograd import record
from rushlight.core.node import GradientEdge, standing
from rushlight.core.state import modes
from rushlight.core.tensor import INPUT, Tensor, alias, new_link
from rushlight.errors import GraphError, warn_user
from rushlight.ops.copy import Clone
from rushlight.ops.create import zeros
from rushlight.tensor_api.graph import as_tuple, backward_from, paired_gradients, positions
from rushlight.tensor_api.joining import stack

__all__: list[str] = []


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to the leaves' ``grad``; see ``Tensor.backward``.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> torch.autograd.backward([x.sum(), (x * x).sum()])
        >>> x.grad
        tensor([3., 5.])
    """
    outputs = as_tuple(tensors)
    if not outputs:
        raise GraphError("backward: expected at least one tensor.")
    if grad_variables is not None:
        warn_user("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    given = paired_gradients(outputs, grad_tensors)
    backward_from(outputs, given, retain_graph, create_graph, inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of the sum of ``outputs`` with respect to ``inputs``, returned and not accumulated.

    Args:
        outputs: tensors to differentiate.
        inputs: tensors to differentiate with respect to; they must require grad. An edge of
            ``torch.autograd.graph.get_gradient_edge`` stands for its tensor.
        grad_outputs: the gradient of each output; may be None for outputs of one element.
        retain_graph: keep what was saved; by default as ``create_graph``.
        create_graph: record this pass, so that its results can be differentiated.
        allow_unused: give None for inputs that the outputs do not depend on, instead of an error.
        is_grads_batched: ``grad_outputs`` have a leading batch dim; the results get it too.
        materialize_grads: give zeros instead of None.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> (g,) = torch.autograd.grad(x**3, x, create_graph=True)
        >>> torch.autograd.grad(g, x)
        (tensor(18.),)
    """
    if not only_inputs:
        warn_user(
            "only_inputs argument is deprecated and is ignored now (defaults to True): backward() "
            "accumulates gradients for other parts of the graph.",
            FutureWarning,
        )
    outs, ins = as_tuple(outputs), as_tuple(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but "
            "got: allow_unused=False."
        )
    if not ins:
        raise GraphError(
            "`inputs` argument to `grad()` cannot be empty; name what to differentiate by."
        )
    given = paired_gradients(outs, grad_outputs)
    retain = create_graph if retain_graph is None else retain_graph
    retain = retain or modes.samples  # other samples go through the same graph
    where = positions(ins)
    if is_grads_batched:
        return batched(
            outs, ins, given, retain, create_graph, bool(allow_unused), materialize_grads
        )
    found = engine.run_backward(*engine.start(outs, given), retain, create_graph, where)
    result = [found.get(e) for e in where]
    if materialize_grads:
        return tuple(
            [
                nothing(t).requires_grad_(create_graph) if r is None else r
                for t, r in zip(ins, result, strict=True)
            ]
        )
    if not allow_unused and any([r is None for r in result]):
        at = next(i for i, r in enumerate(result) if r is None)
        raise GraphError(
            "One of the differentiated Tensors appears to not have been used in the graph "
            f"(input {at}). "
            "Set allow_unused=True if this is the desired behavior."
        )
    return tuple(result)


def nothing(t: Any) -> Tensor:
    """The gradient of an input that the outputs do not depend on."""
    shape, d = t.spec if isinstance(t, GradientEdge) else (t._array.shape, t._array.dtype)
    return zeros(shape, d, t if isinstance(t, Tensor) else None)  # type: ignore[no-any-return]


def batched(
    outs: Any,
    ins: Any,
    given: Any,
    retain: bool,
    create_graph: bool,
    unused: bool,
    materialize: bool,
) -> tuple[Any, ...]:
    """One pass per entry of the gradients' leading dim."""
    sizes = {g._array.shape[:1] for g in given if g is not None}
    if len(sizes) != 1 or not all(sizes):
        raise ValueError(
            "grad: with is_grads_batched=True the first dim of each grad_output is the batch, but "
            f"their first dims are {sorted(sizes)}; give tensors of equal length."
        )
    n = sizes.pop()[0]
    rows = []
    for i in range(n):
        one = [None if g is None else g[i] for g in given]
        last = i == n - 1
        rows.append(
            grad(outs, ins, one, retain or not last, create_graph, True, unused, False, materialize)
        )
    return tuple(
        [None if column[0] is None else stack(column) for column in zip(*rows, strict=True)]
    )


def beside(t: Tensor) -> Tensor:
    """A tensor on the same memory that follows t in the graph, and is no view: writes to either
    leave the other's history as it was.
    """
    out = alias(t)
    record(Clone.instance, (t,), out, {})
    return out


def guarded(t: Tensor) -> Tensor:
    """The same tensor, but recorded writes to it raise."""
    if t._node is None:  # a leaf, for which they raise as it is
        return t
    out = standing(t, t._node)
    out._link = new_link(t, (), t._counter.value, INPUT)
    return out
