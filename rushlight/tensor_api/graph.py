"""Tensor methods that run or watch the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.core import engine
from rushlight.core.node import GradientEdge, RemovableHandle, describe_edge
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, edge
from rushlight.errors import GraphError, warn_user
from rushlight.tensor_api._common import method, methods, warn_once

__all__: list[str] = []


def positions(inputs: Any) -> list[Any]:
    """Where the gradients of ``inputs`` arrive in the graph."""
    found = []
    for t in inputs:
        if isinstance(t, GradientEdge):
            found.append(t.place)
            continue
        if not t.requires_grad:
            raise GraphError(
                "One of the differentiated Tensors does not require grad; call requires_grad_() "
                "before computing with it."
            )
        found.append(edge(t))
    return found


def as_tuple(x: Any) -> tuple[Any, ...]:
    """One tensor, or a sequence of them, as a tuple."""
    return (x,) if isinstance(x, (Tensor, GradientEdge)) or x is None else tuple(x)


def paired_gradients(outputs: tuple[Any, ...], grads: Any) -> tuple[Any, ...]:
    """One gradient (or None) per output."""
    given = as_tuple(grads) if grads is not None else (None,) * len(outputs)
    if len(given) != len(outputs):
        raise GraphError(
            f"got {len(outputs)} tensors and {len(given)} gradients; give one gradient (or None) "
            "per tensor."
        )
    return given


@method
def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor with respect to the graph's leaves to their ``grad``.

    Args:
        gradient: the gradient to start with, of this tensor's shape, also in a list; may be left
            out for one element.
        retain_graph: keep what was saved, so that backward can run again; by default as
            ``create_graph``.
        create_graph: record the backward pass, for higher derivatives.
        inputs: only these tensors accumulate.

    Raises:
        RuntimeError: no graph, a freed graph, or a saved value that was overwritten.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
    """
    replaced = replacement.of()
    if replaced is None:
        given = (
            paired_gradients((self,), gradient) if type(gradient) in (list, tuple) else (gradient,)
        )
        backward_from((self,), given, retain_graph, create_graph, inputs)
    else:
        replaced(self, gradient, retain_graph, create_graph, inputs=inputs)


class Replacement:
    """What a program put in the place of ``torch.autograd.backward``, or None; ``autograd``
    provides it at import. Tests do so to see that a loss was differentiated.
    """

    of: Callable[[], Any] = staticmethod(lambda: None)


replacement = Replacement()


def backward_from(
    tensors: Any, grads: Any, retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    """``backward`` of several tensors at once."""
    retain = create_graph if retain_graph is None else retain_graph
    if create_graph:
        warn_once(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient, which keeps memory until Python finds it. autograd.grad "
            "makes none; or set the .grad of parameters to None after use."
        )
    roots, gs = engine.start(tensors, grads)
    if inputs is None:
        engine.run_backward(roots, gs, retain, create_graph)
        return
    wanted = [inputs] if isinstance(inputs, (Tensor, GradientEdge)) else list(inputs)
    if not wanted:
        raise GraphError(
            "`inputs` argument to `backward()` cannot be empty; leave it out to reach every leaf."
        )
    where = []
    for t in wanted:
        where += positions([t])
        if isinstance(t, Tensor):
            retain_grad(t)
    engine.run_backward(roots, gs, retain, create_graph, where, accumulate=True)


@method
def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call ``hook(grad)`` whenever this tensor's gradient is computed; what it returns replaces the
    gradient.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> handle = x.register_hook(lambda g: g * 10)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
    """
    if not self.requires_grad:
        raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
    place: Any = edge(self)  # its own, also among the outputs of a node
    holder = self if place is None else place
    name = "hooks" if holder is not self else "_hooks"
    if getattr(holder, name) is None:
        setattr(holder, name, {})
    if holder is not self:
        holder.special = True
    return RemovableHandle(getattr(holder, name), hook)


@method
def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Call ``hook(tensor)`` after a gradient was added to this leaf's ``grad``."""
    if not self.requires_grad:
        raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise GraphError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if self._after_hooks is None:
        self._after_hooks = {}
    return RemovableHandle(self._after_hooks, hook)


@method
def retain_grad(self: Tensor) -> None:
    """Keep this non-leaf's gradient in ``grad``."""
    if not self.requires_grad:
        raise GraphError("can't retain_grad on Tensor that has requires_grad=False")
    if self._node is None or self._keeps_grad:
        return
    place = edge(self)  # a stale view is refreshed before it keeps anything
    if self._node is not None:
        self._keeps_grad = True
        place.add_keeper(self)


def _set_grad(self: Tensor, value: Any) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{value.__class__.__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value._array.shape != self._array.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: {value._array.shape} for a tensor "
                f"{self._array.shape}."
            )
        if value._array.dtype != self._array.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: {value._array.dtype} for "
                f"{self._array.dtype}."
            )
    _note_grad(self, True)
    self._grad = value


def _get_grad(self: Tensor) -> Tensor | None:
    if state.busy:
        _note_grad(self)
    if self._grad is None and self._tracked and not (self._wants_grad or self._keeps_grad):
        warn_of_no_leaf(self)
    return self._grad


def warn_of_no_leaf(x: Tensor) -> None:
    """Say that a computed tensor is given no ``grad``, if x is one."""
    try:
        computed = x.requires_grad and not x.is_leaf
    except GraphError:  # a view that lost its history: an error for those who go on with it
        return
    if computed:
        warn_user(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
            ".grad attribute won't be populated during autograd.backward(). If you indeed want the "
            ".grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf "
            "Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf "
            "Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information."
        )


def _del_grad(self: Tensor) -> None:
    _note_grad(self, True)
    self._grad = None


def _note_grad(leaf: Tensor, replaces: bool = False) -> None:
    """Tell a trace that the gradient matters, or ``replaces`` it, whatever it was."""
    if modes.trace is not None:
        modes.trace.touched(leaf, replaces)


methods(
    grad=property(_get_grad, _set_grad, _del_grad, doc="The accumulated gradient, or None."),
    output_nr=property(
        lambda self: describe_edge(edge(self))[1], doc="Which output of its node it is."
    ),
)
