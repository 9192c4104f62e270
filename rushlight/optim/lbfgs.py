"""LBFGS: a quasi-Newton method with limited memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight import tensor_api as T
from rushlight.core.state import enable_grad, modes, no_grad
from rushlight.core.tensor import Tensor
from rushlight.optim.checks import check_lr
from rushlight.optim.optimizer import Optimizer, Params

STATE_ORDER = "d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss"


class LBFGS(Optimizer):
    r"""Steps along ``-H g``, where H approximates the inverse Hessian from recent steps.

    With s the last steps and y the changes of the gradient along them, H is the identity times
    ``s.y / y.y``, corrected once for each remembered pair. One call of ``step`` makes up to
    ``max_iter`` iterations, each with at least one evaluation of the closure.

    Args:
        params: tensors to update; one group only.
        lr: step size, >= 0.
        max_iter: iterations per ``step``.
        max_eval: evaluations of the closure per ``step``; default ``max_iter * 5 // 4``.
        tolerance_grad: stop when the largest gradient is at most this.
        tolerance_change: stop when parameters or loss change by less than this.
        history_size: pairs that are remembered.
        line_search_fn: "strong_wolfe", or None for a fixed step.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0, 5.0]))
        >>> optimizer = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = ((w - 3) ** 2).sum()
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        >>> w.detach()
        tensor([3., 3.])

    Reference: Nocedal and Wright, 2006, "Numerical optimization", algorithms 7.4, 3.5 and 3.6.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr("LBFGS", lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    # ------------------------------------------------------------ all parameters as one vector

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> Tensor:
        parts = [
            (T.zeros_like(p) if p.grad is None else p.grad.to_dense()).reshape(-1)
            for p in self._params
        ]
        return T.cat([T.view_as_real(v).reshape(-1) if v.is_complex() else v for v in parts], 0)

    def _move(self, t: Any, d: Tensor) -> None:
        """Adds ``t d`` to the parameters."""
        start = 0
        for p in self._params:
            view = T.view_as_real(p) if p.is_complex() else p
            view.add_(d[start : start + view.numel()].view(view.shape), alpha=float(t))
            start += view.numel()

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[float, Tensor]:
        with enable_grad():
            loss = closure()
        return float(loss), self._gradient()

    # ------------------------------------------------------------ the iteration

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Makes up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the
                loss.

        Returns:
            The loss at the start.
        """
        if modes.trace is not None:
            modes.trace.fail("LBFGS decides by values how it goes on", "compile the closure")
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with enable_grad():
            first_loss = closure()
        loss, g = float(first_loss), self._gradient()
        evals = 1
        state["func_evals"] += 1
        if g.abs().max() <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._direction(state, g, group["history_size"])
            before = loss
            state["prev_flat_grad"], state["prev_loss"] = g.clone(), before
            d, slope = state["d"], g.dot(state["d"])
            first = state["n_iter"] == 1
            state["t"] = min(1.0, 1.0 / g.abs().sum()) * group["lr"] if first else group["lr"]
            if slope > -group["tolerance_change"]:
                break
            last = iteration == group["max_iter"]
            loss, g, more = self._advance(closure, state, loss, g, slope, last)
            evals += more
            state["func_evals"] += more
            if (
                last
                or evals >= group["max_eval"]
                or g.abs().max() <= group["tolerance_grad"]
                or d.mul(state["t"]).abs().max() <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        for name in STATE_ORDER:
            if name in state:
                state[name] = state.pop(name)
        return first_loss

    def _direction(self, state: dict[str, Any], g: Tensor, size: int) -> None:
        """Sets ``state["d"]`` to -H g, after taking the last step into H."""
        if state["n_iter"] == 1:
            state.update(d=-g, old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        old_y, old_s, ro = state["old_dirs"], state["old_stps"], state["ro"]
        curvature = y.dot(s)
        if curvature > 1e-10:
            if len(old_y) == size:
                for history in (old_y, old_s, ro):
                    history.pop(0)
            old_y.append(y)
            old_s.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / y.dot(y)
        al = state.setdefault("al", [None] * size)
        q = -g
        for i in reversed(range(len(old_y))):
            al[i] = old_s[i].dot(q) * ro[i]
            q.add_(old_y[i], alpha=-float(al[i]))
        r = q * state["H_diag"]
        for i in range(len(old_y)):
            r.add_(old_s[i], alpha=float(al[i] - old_y[i].dot(r) * ro[i]))
        state["d"] = r

    def _advance(
        self,
        closure: Callable[[], Any],
        state: dict[str, Any],
        loss: float,
        g: Tensor,
        slope: Any,
        last: bool,
    ) -> tuple[float, Tensor, int]:
        """Moves the parameters along d; (loss, gradient, evaluations) there."""
        group, d = self.param_groups[0], state["d"]
        if group["line_search_fn"] is None:
            self._move(state["t"], d)
            return (loss, g, 0) if last else (*self._evaluate(closure), 1)
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError(
                "LBFGS: only 'strong_wolfe' is supported as line_search_fn, but it is "
                f"{group['line_search_fn']!r}"
            )
        start = [p.clone() for p in self._params]

        def at(t: Any) -> Point:
            self._move(t, d)
            value, gradient = self._evaluate(closure)
            for p, x in zip(self._params, start, strict=True):
                p.copy_(x)
            return Point(t, value, gradient, gradient.dot(d))

        found, evals = strong_wolfe(at, Point(0, loss, g, slope), state["t"], d.abs().max())
        state["t"] = found.t
        self._move(found.t, d)
        return found.loss, found.g, evals


class Point(NamedTuple):
    """A place on the line: how far along d, and there the loss, the gradient and its part along
    d.
    """

    t: Any
    loss: float
    g: Tensor
    slope: Any


def strong_wolfe(
    at: Callable[[Any], Point],
    origin: Point,
    t: Any,
    length: Any,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    limit: int = 25,
) -> tuple[Point, int]:
    """A point with ``loss <= loss0 + c1 t slope0`` and ``|slope| <= c2 |slope0|``, and the
    evaluations used.

    Args:
        at: evaluates the line at t.
        origin: the line at 0, where it falls.
        t: first guess.
        length: largest component of the direction.
        c1: share of the promised decrease that is required.
        c2: share of the slope that may be left.
        tolerance: stop when the bracket is this small, in parameters.
        limit: evaluations.
    """

    def too_high(p: Point) -> bool:
        return bool(p.loss > origin.loss + c1 * p.t * origin.slope)

    def flat(p: Point) -> bool:
        return bool(abs(p.slope) <= -c2 * origin.slope)

    previous, here, evals, tries = origin, at(t), 1, 0
    while tries < limit:  # go on until a minimum lies between the last two points
        if too_high(here) or (tries > 1 and here.loss >= previous.loss):
            break
        if flat(here):
            return here, evals
        if here.slope >= 0:
            break
        bounds = here.t + 0.01 * (here.t - previous.t), here.t * 10
        t = cubic_minimum(previous, here, bounds)
        previous, here = here, at(t)
        evals, tries = evals + 1, tries + 1
    else:
        previous = origin
    low, high = (previous, here) if previous.loss <= here.loss else (here, previous)
    stuck = False
    while tries < limit and not abs(high.t - low.t) * length < tolerance:
        t, stuck = _inside(low, high, previous, here, stuck)
        new = at(t)
        evals, tries = evals + 1, tries + 1
        if too_high(new) or new.loss >= low.loss:
            previous, here = (previous, new) if high is here else (new, here)
            high = new
            low, high = (previous, here) if previous.loss <= here.loss else (here, previous)
        else:
            if flat(new):
                return new, evals
            if new.slope * (high.t - low.t) >= 0:
                high = low
            previous, here = (new, high) if low is previous else (high, new)
            low = new
    return low, evals


def _inside(low: Point, high: Point, first: Point, second: Point, stuck: bool) -> tuple[Any, bool]:
    """Where to look next in a bracket: the cubic's minimum, kept off the ends the second time."""
    left, right = min(low.t, high.t), max(low.t, high.t)
    t = cubic_minimum(first, second, (left, right))
    margin = 0.1 * (right - left)
    if not min(right - t, t - left) < margin:
        return t, False
    if stuck or t >= right or t <= left:
        return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
    return t, True


def cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any]) -> Any:
    """Where the cubic through two points with their slopes is least; the middle of ``bounds`` if
    nowhere.
    """
    low, high = bounds
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square.sqrt() if isinstance(square, Tensor) else math.sqrt(square)
    left, right = (a, b) if a.t <= b.t else (b, a)
    share = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2)
    return min(max(right.t - (right.t - left.t) * share, low), high)
