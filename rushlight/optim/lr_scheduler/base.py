"""LRScheduler: when a schedule runs, what it writes to the optimizer, what it saves."""

from __future__ import annotations

from typing import Any

from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.optim.optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler. If epoch is given, the "
    "schedule's closed form is used where there is one."
)

# Note [Chainable and closed forms]
# `get_lr` computes the next learning rate from the current one, so that several schedules, or the
# user's own changes, combine. `_get_closed_form_lr`, where a schedule has it, computes the rate of
# any epoch from the first one; it serves `step(epoch)` and SequentialLR, which starts a schedule in
# mid-training.


class LRScheduler:
    """Base class of schedules: subclasses write ``get_lr``.

    Args:
        optimizer: whose groups' "lr" is scheduled.
        last_epoch: the last epoch of an interrupted run, -1 to start.
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    f"scheduler with last_epoch={last_epoch}; load the optimizer's state_dict "
                    "first, or start with last_epoch=-1."
                )
        self.base_lrs = [copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        watch(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The next learning rate of each group. For use within ``step``; see ``get_last_lr``."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr(); write one.")

    def get_last_lr(self) -> list[Any]:
        """The current learning rate of each group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Moves on by one epoch (or step, whatever the schedule counts).

        Args:
            epoch: deprecated; jump to this epoch.
        """
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warn_user(EPOCH_DEPRECATION_WARNING)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        if self.optimizer.__dict__.get("step") is not self.optimizer._watched_step:  # type: ignore[attr-defined]
            warn_user(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization; make sure that it is called before `lr_scheduler.step()`."
            )
        elif not self.optimizer._opt_called:
            warn_user(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call "
                "`optimizer.step()` first: otherwise the first value of the learning rate schedule "
                "is skipped."
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed = getattr(self, "_get_closed_form_lr", self.get_lr)
                values = closed()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=False):
            assign(group, "lr", lr)
        self._last_lr = self._group_lrs()

    def _group_lrs(self) -> list[Any]:
        return [copied(group["lr"]) for group in self.optimizer.param_groups]

    def _lrs(self) -> list[Any]:
        """The groups' current rates, with a warning if ``get_lr`` was called by the user."""
        _warn_get_lr_called_within_step(self)
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and plain functions."""
        state = {key: value for key, value in self.__dict__.items() if key not in self._unsaved}
        state.setdefault("_get_lr_called_within_step", False)
        state.setdefault("_is_initial", False)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where the schedule stood that returned ``state_dict``."""
        self.__dict__.update(state_dict)


def computed(function: Any, x: Any) -> Any:
    """What a function of the module math makes of a number, which may stand for those of later
    calls of a compiled function.
    """
    traced = state.busy and modes.trace is not None
    return modes.trace.applied(function, x) if traced else function(x)


def check_optimizer(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def watch(optimizer: Any) -> None:
    """Remembers the instance's own ``step``, if any, to notice when it is replaced."""
    optimizer._watched_step = optimizer.__dict__.get("step")


def copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def assign(group: dict[str, Any], name: str, value: Any) -> None:
    """Sets an option; one that is a tensor stays the same tensor."""
    if isinstance(group[name], Tensor):
        group[name].detach().fill_(value.item() if isinstance(value, Tensor) else value)
    else:
        group[name] = value


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value per group, from one for all or from a sequence of the right length; tensors are
    copied, so that the caller can change them.
    """
    if not isinstance(value, list | tuple):
        value = [value] * len(optimizer.param_groups)
    if len(value) != len(optimizer.param_groups):
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} "
            f"values, param_groups has {len(optimizer.param_groups)}."
        )
    return [v.clone() if isinstance(v, Tensor) else v for v in value]


def check_momentum(optimizer: Optimizer) -> bool:
    """Whether momentum is called betas[0] in this optimizer."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError(
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
        )
    return "betas" in optimizer.defaults


def set_momentum(group: dict[str, Any], value: float, use_beta1: bool) -> None:
    if use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _warn_get_lr_called_within_step(lr_scheduler: LRScheduler) -> None:
    """Warn if ``get_lr`` was called by the user, for schedules of the user's."""
    if not lr_scheduler._get_lr_called_within_step:
        warn_user(
            "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
        )
