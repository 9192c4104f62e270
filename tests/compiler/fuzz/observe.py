"""A program's calls, eager or compiled, and all that a user could see after each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import nn
from tests.compiler.fuzz.program import HEAD, Program

ERRORS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, AssertionError)
Facts = dict[str, Any]  # a name and its array, dtype included; None for a missing gradient


@dataclass
class Observation:
    """What each call left; the error of the last, if it raised; what compile said."""

    calls: list[Facts] = field(default_factory=list)
    error: BaseException | None = None
    warned: list[str] = field(default_factory=list)
    stale: str | None = None  # a result that a later call changed
    arguments: list[Any] = field(default_factory=list)  # of the last call
    compiled: Any = None


def identity(f: Any) -> Any:
    """Instead of compile."""
    return f


def observe(program: Program, wrap: Callable[[Any], Any] = identity) -> Observation:
    """Run it; ``wrap`` makes the step what is called."""
    seen, names = Observation(), {}
    held: list[tuple[str, Any, np.ndarray]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rl.manual_seed(program.seed)
        try:
            exec(HEAD, names)
            for line in program.setup:
                exec(line.text, names)
            exec(program.step(), names)
            step = seen.compiled = wrap(names["step"])
            for k, call in enumerate(program.calls):
                for line in call.before:
                    exec(line.text, names)
                arguments = [rl.from_numpy(a) for a in program.data(k)]
                results = step(*arguments)
                seen.arguments = arguments
                seen.calls.append(facts(program, names, arguments, results))
                if call.keep:
                    held += [(f"result {i} of call {k}", t, array(t)) for i, t in
                             enumerate(results) if isinstance(t, rl.Tensor)]  # fmt: skip
                    held += [(f"gradient of {n} after call {k}", t.grad, array(t.grad))
                             for n, t in tensors_of(names).items()
                             if t.grad is not None and not accumulates(program)]  # fmt: skip
        except ERRORS as error:
            seen.error = error
    seen.stale = next((what for what, t, a in held if not unchanged(array(t), a)), None)
    seen.warned = [str(w.message) for w in caught if "compile:" in str(w.message)]
    return seen


def accumulates(program: Program) -> bool:
    """Whether a gradient may be added to in place, so that one who holds it sees it change."""
    texts = [line.text for line in program.body]
    return not any("zero_grad()" in t for t in texts) or any("clip_" in t for t in texts)


def unchanged(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether nothing has changed but for what rounding does to a result that is computed again:
    that makes no difference in eager code, and another by native code may.
    """
    same = a.dtype == b.dtype and a.shape == b.shape
    return same and bool(np.allclose(a, b, 1e-6, 1e-6, equal_nan=True))


def array(t: Any) -> np.ndarray:
    """A tensor's values, copied."""
    t = t.detach()
    return np.array((t.float() if t.dtype == rl.bfloat16 else t).numpy())


def tensors_of(names: dict[str, Any]) -> dict[str, Any]:
    """Parameters and buffers, those of modules included, each once."""
    found: dict[str, Any] = {}
    for name, x in names.items():
        if isinstance(x, nn.Module):
            state = [*x.named_parameters(name), *x.named_buffers(name)]
            found.update(dict(state))
        elif isinstance(x, rl.Tensor):
            found[name] = x
    return found


def facts(program: Program, names: dict[str, Any], arguments: Any, results: Any) -> Facts:
    """Everything worth comparing after a call."""
    out: Facts = {"random state": rl.get_rng_state().numpy().copy()}
    for k, x in enumerate(results):
        out[f"result {k}"] = array(x) if isinstance(x, rl.Tensor) else np.asarray(x)
        if isinstance(x, rl.Tensor):
            out[f"requires_grad of result {k}"] = np.asarray(x.requires_grad)
    for i, t in zip(program.inputs, arguments, strict=True):
        out[i.name] = array(t)
    for name, t in tensors_of(names).items():
        out[name] = array(t)
        out[f"{name}.grad"] = None if t.grad is None else array(t.grad)
    for name, x in names.items():
        if isinstance(x, rl.optim.Optimizer):
            for p, state in x.state_dict()["state"].items():
                for key, s in state.items():
                    known = array(s) if isinstance(s, rl.Tensor) else s
                    out[f"{name}.state[{p}][{key}]"] = known if s is None else np.asarray(known)
    return out
