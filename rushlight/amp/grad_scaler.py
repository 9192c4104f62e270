"""Loss scaling."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user


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
        if enabled and str(device).startswith("cuda"):  # no GPU can be used
            text = "GradScaler is enabled, but CUDA is not available. Disabling."
            warn_user(text)
            enabled = False
        self._enabled, self._scale = enabled, float(init_scale)
        self._growth_factor, self._backoff_factor, self._growth_interval = (
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        self._good_steps = 0
        self._found: dict[
            int, bool
        ] = {}  # per optimizer since the last update: whether it met inf or nan
        self._stepped: set[int] = set()

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
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        return type(outputs)(self.scale(o) for o in outputs)

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients by the factor, for clipping before ``step``."""
        if not self._enabled:
            return
        if id(optimizer) in self._found:
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
        self._found[id(optimizer)] = bad

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()``, left out when a gradient is not finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Adapt the factor after all optimizers have stepped."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(self._found.values()):
            self._scale, self._good_steps = self._scale * self._backoff_factor, 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self._scale, self._good_steps = self._scale * self._growth_factor, 0
        self._found.clear()
        self._stepped.clear()

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
        self._growth_factor, self._backoff_factor = (
            state_dict["growth_factor"],
            state_dict["backoff_factor"],
        )
        self._growth_interval = state_dict["growth_interval"]
