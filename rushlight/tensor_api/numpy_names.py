"""NumPy's argument names: ``axis`` for ``dim`` and ``keepdims`` for ``keepdim``, as in torch.

A function named below is replaced, here and on Tensor, by one with the same signature and those two
keyword arguments more. It is compiled from a line of text rather than written with ``**kwargs``,
because that would cost every call a dict.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from rushlight import tensor_api
from rushlight.core.tensor import Tensor

NAMES = """
    all amax amin aminmax any argmax argmin argsort cat chunk concat concatenate count_nonzero
    cummax cummin cumprod cumsum cumulative_trapezoid diff frobenius_norm gather gradient
    index_add index_copy index_fill index_select kthvalue log_softmax logcumsumexp logsumexp mean
    median mode nanmean nanmedian nanquantile nansum prod quantile repeat_interleave scatter
    scatter_add select softmax sort squeeze stack std std_mean sum take_along_dim tensor_split topk
    trapezoid trapz unbind unflatten unsafe_chunk unsqueeze var var_mean
    cumsum_ cumprod_ index_add_ index_copy_ index_fill_ scatter_ scatter_add_ squeeze_ unsqueeze_
""".split()  # noqa: SIM905

RENAMED = {"dim": "axis", "keepdim": "keepdims"}
MISSING: Any = object()

LINES = """def {name}({parameters}):
    {renames}
    return _function({arguments})
"""


def also_numpy_names(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """``function``, taking ``axis`` and ``keepdims`` too; None if it has no ``dim`` by name."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    keyword = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    renamed = [p.name for p in parameters if p.name in RENAMED]
    if "dim" not in renamed or len(positional) + len(keyword) < len(parameters):
        return None
    optional = [p.name in RENAMED or p.default is not p.empty for p in positional]
    first = [*optional, True].index(True)
    texts = [p.name for p in positional[:first]]
    texts += [f"{p.name}=_{p.name}" for p in positional[first:]]
    texts += ["*", *(f"{p.name}=_{p.name}" for p in keyword)]
    texts += [f"{RENAMED[name]}=_missing" for name in renamed]
    renames = [f"if {RENAMED[n]} is not _missing: {n} = {RENAMED[n]}" for n in renamed]
    text = LINES.format(
        name=function.__name__,
        parameters=", ".join(texts),
        renames="\n    ".join(renames + required_check(positional)),
        arguments=", ".join([p.name for p in positional] + [f"{p.name}={p.name}" for p in keyword]),
    )
    values = {f"_{p.name}": MISSING if p.default is p.empty else p.default for p in parameters}
    values.update(_function=function, _missing=MISSING)
    exec(compile(text, __file__, "exec"), values)
    return update_wrapper(values[function.__name__], function)


def required_check(positional: list[inspect.Parameter]) -> list[str]:
    """Lines that leave a missing argument to the function itself, whose TypeError names it."""
    lines, passed = [], []
    for p in positional:
        if p.default is p.empty and passed:
            lines.append(f"if {p.name} is _missing: return _function({', '.join(passed)})")
        passed.append(p.name)
    return lines


def attach() -> None:
    """Replace the functions of ``tensor_api`` and the methods of Tensor."""
    for name in NAMES:
        for owner in (tensor_api, Tensor):
            function = vars(owner).get(name)
            wide = function and inspect.isfunction(function) and also_numpy_names(function)
            if wide:
                setattr(owner, name, wide)
