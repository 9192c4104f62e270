"""Counts the multiplications and additions of matrix products, convolutions and attention."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from rushlight.core.state import Watcher, modes, state
from rushlight.errors import NotSupportedError
from rushlight.nn.modules.module import Module
from rushlight.ops.attention import Attention, AttentionGrad
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from rushlight.ops.matmul import Linear, Matmul
from rushlight.ops.operators import Packet, namespaces
from rushlight.utils.module_tracker import ModuleTracker

__all__ = ["FlopCounterMode", "register_flop_formula"]


def _product(op: Any, arrays: Any, result: Any, params: Any, backward: bool) -> tuple[str, int]:
    a, b = arrays[0].shape, arrays[1].shape
    if isinstance(op, Linear):
        return "addmm", 2 * result.size * a[-1]
    if len(a) < 2 or len(b) < 2:
        return "mv", 0  # as in PyTorch, vectors are not counted
    folded = len(b) == 2 or len(a) == 2
    return ("mm" if folded else "bmm"), 2 * result.size * a[-1]


def _convolution(op: Any, arrays: Any, result: Any, params: Any, backward: bool) -> tuple[str, int]:
    name = "convolution_backward" if backward else "convolution"
    if isinstance(op, ConvWeight):
        images, g = arrays[:2]
        channels = images.shape[1] // params["groups"]
        return name, 2 * g.size * channels * math.prod(params["kernel"])
    small = result if isinstance(op, Conv) else arrays[0]
    return name, 2 * small.size * math.prod(arrays[1].shape[1:])


def _attention(op: Any, arrays: Any, result: Any, params: Any, backward: bool) -> tuple[str, int]:
    query, key, value = arrays[1:4] if isinstance(op, AttentionGrad) else arrays[:3]
    pairs = math.prod(query.shape[:-1]) * key.shape[-2]
    scores, values = 2 * pairs * query.shape[-1], 2 * pairs * value.shape[-1]
    if isinstance(op, AttentionGrad):  # scores anew; two products for each of the two forward
        return "_scaled_dot_product_flash_attention_backward", 3 * scores + 2 * values
    return "_scaled_dot_product_flash_attention", scores + values


FORMULAS: dict[type, Callable[..., tuple[str, int]]] = {
    Matmul: _product, Linear: _product,
    Conv: _convolution, ConvInput: _convolution, ConvWeight: _convolution,
    Attention: _attention, AttentionGrad: _attention,
}  # fmt: skip


def _packet(name: str) -> Packet:
    """``torch.ops.aten.<name>``, also where it only stands for what a backward pass does."""
    aten = namespaces["aten"]
    if not hasattr(aten, name):

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise NotSupportedError(f"aten.{name} is the name of a count; call backward() instead.")

        setattr(aten, name, Packet(refuse, f"aten.{name}"))
    return getattr(aten, name)  # type: ignore[no-any-return]


class _Counter(Watcher):
    """Makes the calls of ops, as a profiler does, and counts them."""

    def __init__(self, mode: FlopCounterMode) -> None:
        self.mode = mode

    def call(self, source: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        formula = FORMULAS.get(type(source))
        if formula is not None:  # an op's forward, of arrays and parameters
            self.mode._count(formula, source, args[0], result, args[1])
        return result


class FlopCounterMode:
    """Within its block, counts floating-point operations, by module and operation: two for each
    product that is added up. Backward passes are counted too.

    Args:
        mods: accepted; modules are found as they are called.
        depth: how deeply nested modules the table shows.
        display: whether to print the table at the end.
        custom_mapping: must be None.

    Counted are matrix products (not with vectors), convolutions and attention; within a compiled
    call nothing is.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.flop_counter import FlopCounterMode
        >>> with FlopCounterMode(display=False) as counter:
        ...     y = torch.nn.Linear(4, 8)(torch.ones(3, 4)).sum()
        >>> counter.get_total_flops()
        192
        >>> counter.get_flop_counts()["Linear"]
        {aten.addmm: 192}
    """

    def __init__(
        self,
        mods: Module | list[Module] | None = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[Any, Any] | None = None,
    ) -> None:
        if custom_mapping:
            _refuse_formula()
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[Packet, int]] = defaultdict(lambda: defaultdict(int))
        self.mod_tracker = ModuleTracker()

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self.mod_tracker.__enter__()
        self._outer, modes.profiler = modes.profiler, _Counter(self)
        state.busy += 1
        return self

    def __exit__(self, *exception: Any) -> None:
        state.busy -= 1
        modes.profiler = self._outer
        self.mod_tracker.__exit__()
        if self.display:
            print(self.get_table(self.depth))

    def _count(self, formula: Any, op: Any, arrays: Any, result: Any, params: Any) -> None:
        name, flops = formula(op, arrays, result, params, self.mod_tracker.is_bw)
        if flops:
            packet = _packet(name)
            for parent in self.mod_tracker.parents:
                self.flop_counts[parent][packet] += flops

    def get_total_flops(self) -> int:
        """All operations so far."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """Operations by module, "Global" for all, and by operator."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """A table of modules, their operations, and their share of all, in percent."""
        depth = self.depth if depth is None else depth
        total = self.get_total_flops()
        rows = [("Module", "FLOP", "% Total")]
        for module in sorted(self.flop_counts, key=lambda m: (m != "Global", m)):
            level = 0 if module == "Global" else module.count(".") + 1
            if level > depth:
                continue
            counts = [(f" - {op}", n) for op, n in self.flop_counts[module].items()]
            for name, n in [(module, sum(self.flop_counts[module].values())), *counts]:
                share = f"{100 * n / total if total else 0:.2f}%"
                rows.append((" " * level + name, _short(n), share))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
        lines = [
            f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows
        ]
        return "\n".join(lines)


def _short(n: int) -> str:
    """A number with three decimals and a letter for thousands, millions ..."""
    power = min(max(len(str(n)) - 1, 0) // 3, 5)
    return f"{n / 1000**power:.3f}{' KMBTP'[power]}".strip() if power else str(n)


def _refuse_formula() -> None:
    raise NotSupportedError(
        "FlopCounterMode: formulas of one's own are not supported; matrix products, convolutions "
        "and attention are counted, also within operators of one's own."
    )


def register_flop_formula(targets: Any, get_raw: bool = False) -> Any:
    """Raises: formulas of one's own are not supported."""
    _refuse_formula()
