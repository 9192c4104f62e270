"""Averages of a model's weights over training, and the learning rate that goes with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn import Module
from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.optim.lr_scheduler.base import LRScheduler, check_optimizer, per_group
from rushlight.optim.optimizer import Optimizer, number

INT64 = dtypes.by_name["int64"]


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """A ``multi_avg_fn``: ``average <- decay average + (1 - decay) current``. ``decay``: in [0,
    1].
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_params: Any, current_params: Any, _: Any) -> None:
        for average, current in zip(ema_params, current_params, strict=True):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """A ``multi_avg_fn``: the mean of all weights seen."""

    @no_grad()
    def swa_update(averaged_params: Any, current_params: Any, num_averaged: Any) -> None:
        for average, current in zip(averaged_params, current_params, strict=True):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(current, 1.0 / (number(num_averaged) + 1))
            else:
                average.add_(((current - average) / (num_averaged + 1)).to(average.dtype))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Any]:
    """An ``avg_fn``: ``decay average + (1 - decay) current``. ``decay``: in [0, 1].

    Example:
        >>> average = torch.optim.swa_utils.get_ema_avg_fn(0.9)
        >>> average(torch.tensor(1.0), torch.tensor(2.0), 1)
        tensor(1.1000)
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[..., Any]:
    """An ``avg_fn``: the mean of all weights seen."""

    @no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


class AveragedModel(Module):
    """A copy of a model whose weights are averages of the model's.

    Args:
        model: to be copied; it goes on training.
        device: where the copy lives.
        avg_fn: new average, given (average, current, number averaged); default the mean.
        multi_avg_fn: the same for lists of tensors, in place; excludes ``avg_fn``.
        use_buffers: average buffers too; otherwise they are copied.

    Example:
        >>> import rushlight as torch
        >>> model = torch.nn.Linear(2, 1)
        >>> average = AveragedModel(model)
        >>> average.update_parameters(model)

    Reference: Izmailov and others, 2018, arXiv:1803.05407.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[..., Any] | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", T.tensor(0, dtype=INT64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def _tensors(self, module: Module) -> list[Tensor]:
        buffers = module.buffers() if self.use_buffers else ()
        return [tensor.detach() for tensor in itertools.chain(module.parameters(), buffers)]

    def update_parameters(self, model: Module) -> None:
        """Takes the model's present weights into the average."""
        mine, theirs = self._tensors(self.module), self._tensors(model)
        if number(self.n_averaged) == 0:
            for average, current in zip(mine, theirs, strict=True):
                average.copy_(current)
        elif self.avg_fn is not None:
            for average, current in zip(mine, theirs, strict=True):
                average.copy_(self.avg_fn(average, current, self.n_averaged))
        else:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(mine, theirs, self.n_averaged)
        if not self.use_buffers:
            for own, current in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(current.detach())
        self.n_averaged += 1


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recomputes the running statistics of batch normalisations by one pass over the data.

    Args:
        loader: batches; of a list or tuple, the first element is the input.
        model: an averaged model, whose statistics do not fit its weights.
        device: where to move the batches.
    """
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for layer in momenta:
        layer.reset_running_stats()
        layer.momentum = None
    for batch in loader:
        x = batch[0] if isinstance(batch, list | tuple) else batch
        model(x if device is None else x.to(device))
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Moves each group's rate to a constant one, and stays there.

    Args:
        optimizer: whose groups' "lr" is scheduled.
        swa_lr: the constant rate, one or one per group.
        anneal_epochs: epochs until it is reached, >= 0.
        anneal_strategy: "cos" or "linear".
        last_epoch: the last epoch of an interrupted run, -1 to start.

    Example:
        >>> optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
        >>> schedule = SWALR(optimizer, 0.1, anneal_epochs=2, anneal_strategy="linear")
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     schedule.step()
        >>> optimizer.param_groups[0]["lr"]
        0.1

    Reference: Izmailov and others, 2018, arXiv:1803.05407.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: float) -> float:
        """How far along the way from the first rate to the last."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        self._lrs()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group in self.optimizer.param_groups:
            last = group["swa_lr"]
            first = last if before == 1 else (group["lr"] - last * before) / (1 - before)
            lrs.append(last * now + first * (1 - now))
        return lrs
