"""How many floating point operations matrix products and convolutions take."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from rushlight.core.state import modes, state
from rushlight.nn.modules import module as M
from rushlight.ops import operators

__all__ = ["FlopCounterMode"]


def _matmul(arrays: Any, out: Any) -> tuple[str, int]:
    a, b = arrays[0].shape, arrays[1].shape
    if min(len(a), len(b)) < 2:
        return "mv", 0
    return ("bmm" if len(b) > 2 else "mm"), 2 * out.size * a[-1]


def _linear(arrays: Any, out: Any) -> tuple[str, int]:
    return ("mm" if arrays[2] is None else "addmm"), 2 * out.size * arrays[1].shape[1]


def _kernels(places: Any, weight: Any) -> tuple[str, int]:
    """At each place of an array a kernel of its channel is applied, which is ``weight[c]``."""
    return "convolution", 2 * places.size * math.prod(weight.shape[1:])


COUNTERS: dict[str, Callable[[Any, Any], tuple[str, int]]] = {
    "Matmul": _matmul,
    "Linear": _linear,
    "Conv": lambda arrays, out: _kernels(out, arrays[1]),
    "ConvInput": lambda arrays, out: _kernels(arrays[0], arrays[1]),
    "ConvWeight": lambda arrays, out: _kernels(arrays[1], out),
}


class FlopCounterMode:
    """Counts the operations of what runs inside the block, in all and per module: two for each
    product of numbers in matrix products and convolutions, in the backward pass too.

    What a backward pass does counts for the whole and not for the modules. Elementwise functions,
    products with vectors, attention in one step and what recurrent layers do per step count as
    nothing.

    Args:
        mods: accepted.
        depth: how deep `get_table` shows modules in modules; None shows all.
        display: print the table when the block ends.
        custom_mapping: accepted.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.flop_counter import FlopCounterMode
        >>> with FlopCounterMode(display=False) as counter:
        ...     y = torch.nn.Linear(3, 4)(torch.ones(2, 3))
        >>> counter.get_total_flops()
        48
    """

    def __init__(
        self, mods: Any = None, depth: int | None = 2, display: bool = True,
        custom_mapping: Any = None,
    ) -> None:  # fmt: skip
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, Counter[Any]] = defaultdict(Counter)

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self._names: dict[int, str] = {}
        self._running = ["Global"]
        self._outer, modes.profiler = modes.profiler, self
        state.busy += 1
        self._hooks = [
            M.register_module_forward_pre_hook(lambda m, args: self._begin(m)),
            M.register_module_forward_hook(lambda m, args, out: self._end(), always_call=True),
        ]
        return self

    def __exit__(self, *exc: object) -> None:
        for hook in self._hooks:
            hook.remove()
        state.busy -= 1
        modes.profiler = self._outer
        if self.display:
            print(self.get_table(self.depth))

    def _begin(self, module: Any) -> None:
        name = self._names.get(id(module))
        if name is None:
            name = type(module).__name__
            for path, part in module.named_modules():
                self._names[id(part)] = f"{name}.{path}" if path else name
        self._running.append(name)

    def _end(self) -> None:
        self._running.pop()

    def call(self, source: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """The call of an op or of a node of the graph, counted; core makes it through here."""
        out = function(*args, **kwargs)
        counter = COUNTERS.get(type(source).__name__)
        if counter is not None:
            name, flops = counter(args[0], out)
            if flops:
                packet = getattr(operators.namespaces["aten"], name)
                for module in {*self._running}:
                    self.flop_counts[module][packet] += flops
        return out

    def get_total_flops(self) -> int:
        """The operations of everything."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """Per name of a module, and for "Global", the operations of each kind."""
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """Modules, their operations, and which part of all these are, as text."""
        depth = 999999 if depth is None else depth
        total = max(self.get_total_flops(), 1)
        rows: list[tuple[str, str, str]] = []
        for name in sorted(self.flop_counts):
            if name.count(".") >= depth or (name == "Global" and len(self.flop_counts) > 1):
                continue
            counts = self.flop_counts[name]
            for text, flops in [
                (name, sum(counts.values())),
                *((f"- {k}", counts[k]) for k in counts),
            ]:
                rows.append((text, _short(flops), f"{100 * flops / total:.2f}%"))
        rows = [("Module", "FLOP", "% Total"), *rows]
        wide = [
            max(map(len, column)) + 2 * (i == 1) for i, column in enumerate(zip(*rows, strict=True))
        ]
        rows.insert(1, tuple("-" * w for w in wide))
        return "\n".join(f"{a:<{wide[0]}}  {b:>{wide[1]}}  {c:>{wide[2]}}" for a, b, c in rows)


def _short(flops: int) -> str:
    """1234567 as 1.235M."""
    step = min(max((len(str(flops)) - 1) // 3, 0), 4)
    return f"{flops / 1000**step:.3f}{' KMBT'[step].strip()}" if step else str(flops)
