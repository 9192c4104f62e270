"""Loss scaling."""

from __future__ import annotations

import enum
from typing import Any

from rushlight import gpu
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user


class OptState(enum.Enum):
    """Where an optimizer stands since the last ``update`` of its scaler."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Multiplies the loss so that small float16 gradients do not vanish, and adapts the factor.

    A step whose gradients hold inf or nan is left out, and the scale shrinks by ``backoff_factor``;
    after ``growth_interval`` good steps in a row it grows by ``growth_factor``.

    Args:
        device: for "cuda" on a machine without a GPU the scaler is disabled, with a warning.
        init_scale: the first factor, > 0.
        growth_factor: > 1. backoff_factor: in (0, 1). growth_interval: steps, >= 1.
        enabled: False makes every method pass through.

    Example:
        >>> import rushlight as torch
        >>> w = torch.nn.Parameter(torch.ones(1))
        >>> optimizer, scaler = torch.optim.SGD([w], lr=0.1), torch.amp.GradScaler("cpu")
        >>> scaler.scale((w * 2).sum()).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> w.data
        tensor([0.8000])

    Reference: Micikevicius et al., 2018, arXiv:1710.03740.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if not 0 < backoff_factor < 1.0:
            raise AssertionError("The backoff factor must be in (0, 1).")
        if enabled and str(device).startswith("cuda") and not gpu.drivers():
            text = "torch.cuda.amp.GradScaler is enabled, but CUDA is not available. Disabling."
            warn_user(text)
            enabled = False
        self._enabled, self._scale = enabled, float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = 0
        self._scaled = False  # whether scale() was called
        # by id of the optimizer, since the last update
        self._per_optimizer_states: dict[int, dict[str, Any]] = {}

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The present factor; 1 when disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after ``growth_interval`` good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Replace the growth factor, > 1."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a step that was left out."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Replace the backoff factor, in (0, 1)."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Good steps in a row, before the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Replace the growth interval, in steps, >= 1."""
        self._growth_interval = new_interval

    def scale(self, outputs: Any) -> Any:
        """A tensor, or a sequence of them, times the factor."""
        if not self._enabled:
            return outputs
        if not self._scaled:
            self._scaled = True
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        return type(outputs)(self.scale(o) for o in outputs)

    def _state(self, optimizer: Any) -> dict[str, Any]:
        """Its ``stage``, and ``found_inf``: whether its gradients held inf or nan."""
        if not self._scaled:
            raise AssertionError(
                "GradScaler: no loss was scaled; call scaler.scale(loss).backward() before."
            )
        fresh = {"stage": OptState.READY, "found_inf": False}
        return self._per_optimizer_states.setdefault(id(optimizer), fresh)

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients by the factor, for clipping before ``step``."""
        if not self._enabled:
            return
        state = self._state(optimizer)
        if state["stage"] is not OptState.READY:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        bad = False
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    g = p.grad.detach().mul_(1.0 / self._scale)
                    g = g.coalesce().values() if g.is_sparse else g
                    bad = bad or not bool(g.isfinite().all())
        state.update(stage=OptState.UNSCALED, found_inf=bad)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()``, left out when a gradient is not finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        state = self._state(optimizer)
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        state["stage"] = OptState.STEPPED
        return None if state["found_inf"] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Adapt the factor after all optimizers have stepped."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._per_optimizer_states:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(state["found_inf"] for state in self._per_optimizer_states.values()):
            self._scale, self._good_steps = self._scale * self._backoff_factor, 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self._scale, self._good_steps = self._scale * self._growth_factor, 0
        self._per_optimizer_states.clear()

    def state_dict(self) -> dict[str, Any]:
        """The factor and its settings; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a ``state_dict``."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._scale, self._good_steps = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
