"""Connectionist temporal classification."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rushlight.core.native import kernels, widened
from rushlight.core.op import Op


def targets_of(targets: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    """Each sample's labels, from padded rows or from one row after another."""
    if targets.ndim == 2:
        return [row[:n] for row, n in zip(targets, lengths, strict=True)]
    ends = np.cumsum((0, *lengths))
    return [targets[a:b] for a, b in zip(ends, ends[1:], strict=False)]


def with_blanks(targets: list[np.ndarray], blank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with blanks between and around them, (N, S); which of them exist; which may be reached
    from two steps back.
    """
    longest = max([len(t) for t in targets], default=0)
    labels = np.full((len(targets), 2 * longest + 1), blank, np.int64)
    for row, t in zip(labels, targets, strict=True):
        row[1 : 2 * len(t) : 2] = t
    exists = np.arange(labels.shape[1]) <= 2 * np.array([len(t) for t in targets])[:, None]
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return labels, exists, skips


FEW = 512  # elements for which fewer calls are faster


def log_add(*terms: np.ndarray) -> np.ndarray:
    """Logarithm of the sum of exponentials, -inf for no path."""
    if terms[0].size <= FEW:
        return functools.reduce(np.logaddexp, terms)
    top = terms[0]
    for t in terms[1:]:
        top = np.maximum(top, t)
    safe = np.where(np.isneginf(top), 0, top)
    return np.log(sum([np.exp(t - safe) for t in terms])) + safe


def emissions(logp: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-probabilities (T, N, S) of the labels at each step."""
    return np.take_along_axis(logp, np.broadcast_to(labels, (len(logp), *labels.shape)), 2)


def forward_pass(emit: np.ndarray, exists: np.ndarray, skips: np.ndarray) -> np.ndarray:
    """Log-probabilities (T, N, S) of all paths up to each step and label."""
    steps, samples, labels = emit.shape
    d = emit.dtype
    # before the labels stand two columns that no path reaches, for what moves to the right
    padded = np.full((steps, samples, labels + 2), -np.inf, d)
    alpha, far = padded[:, :, 2:], np.where(skips, 0, -np.inf).astype(d)
    emit = np.where(exists, emit, -np.inf).astype(d, copy=False)
    alpha[0, :, :2] = emit[0, :, :2]
    for t in range(1, steps):
        a = padded[t - 1]
        total = log_add(a[:, 2:], a[:, 1:-1], a[:, :-2] + far)
        np.add(total, emit[t], alpha[t])
    return np.ascontiguousarray(alpha)


def sample_losses(alpha: np.ndarray, steps: Any, lengths: Any) -> np.ndarray:
    """Minus the log-probability of each target."""
    n = np.arange(alpha.shape[1])
    steps, ends = np.asarray(steps), 2 * np.asarray(lengths)
    last = alpha[np.maximum(steps - 1, 0), n]
    losses = -log_add(last[n, ends], np.where(ends > 0, last[n, ends - 1], -np.inf))
    return np.where(steps == 0, np.where(ends == 0, 0, np.inf), losses)


def suits_loop(x: np.ndarray, targets: np.ndarray) -> bool:
    """Whether a loop is offered the work."""
    return kernels.on and x.size > 0 and targets.size > 0


class CtcLoss(Op):
    """Minus the log-probability of all alignments. Shape: ``(T, N, C), targets -> (N)``."""

    precision = "float32"

    def eager(self, xp, log_probs, targets, input_lengths, target_lengths, *, blank):
        lengths = input_lengths, target_lengths
        input_lengths, target_lengths = input_lengths.tolist(), target_lengths.tolist()
        x = widened(log_probs)
        check(x, targets, input_lengths, target_lengths, blank)
        if suits_loop(x, targets):
            losses = kernels.loop("ctc loss", x, targets, *lengths, blank=blank)
            if losses is not None:
                return losses.astype(log_probs.dtype, copy=False)
        labels, exists, skips = with_blanks(targets_of(targets, target_lengths), blank)
        alpha = forward_pass(emissions(x, labels), exists, skips)
        return sample_losses(alpha, input_lengths, target_lengths).astype(
            log_probs.dtype, copy=False
        )

    def grad_log_probs(self, g, log_probs, targets, input_lengths, target_lengths, blank):
        return CtcLossGrad.bind(g, log_probs, targets, input_lengths, target_lengths, blank=blank)


class CtcLossGrad(Op):
    """The gradient of CtcLoss: as torch's, of the loss as a function of the scores that
    ``log_softmax`` made the input from.
    """

    label = "CtcLossBackward"
    last_derivative = True

    def eager(self, xp, g, log_probs, targets, input_lengths, target_lengths, *, blank):
        lengths = input_lengths, target_lengths
        input_lengths, target_lengths = input_lengths.tolist(), target_lengths.tolist()
        d = log_probs.dtype
        x, g = widened(log_probs), widened(g)
        if suits_loop(x, targets):
            out = kernels.loop("ctc gradient", x, targets, *lengths, g, blank=blank)
            if out is not None:
                return out.astype(d, copy=False)
        labels, exists, skips = with_blanks(targets_of(targets, target_lengths), blank)
        emit = emissions(x, labels)
        alpha = forward_pass(emit, exists, skips)
        losses = sample_losses(alpha, input_lengths, target_lengths)
        out = np.zeros(x.shape, x.dtype)
        for i, (steps, n) in enumerate(zip(input_lengths, target_lengths, strict=True)):
            if g[i] == 0 or not steps:  # also where an infinite loss was replaced
                continue
            out[:steps, i] = g[i] * sample_gradient(
                x[:steps, i],
                emit[:steps, i : i + 1, : 2 * n + 1],
                alpha[:steps, i, : 2 * n + 1],
                labels[i, : 2 * n + 1],
                skips[i : i + 1, : 2 * n + 1],
                losses[i],
            )
        return out.astype(d, copy=False)


def sample_gradient(x: Any, emit: Any, alpha: Any, labels: Any, skips: Any, loss: Any) -> Any:
    """exp(x) minus the share of each class in the paths, (T, C), for one sample."""
    s = len(labels)
    reverse = skips[:, ::-1]
    back = np.zeros_like(reverse)
    # a jump over a blank, seen from its end
    back[:, 2:] = reverse[:, :-2] if s > 2 else reverse[:, 2:]
    beta = forward_pass(emit[::-1, :, ::-1], np.ones((1, s), bool), back)[::-1, 0, ::-1]
    joint = alpha + beta - emit[:, 0]  # (T, S): all paths through a label at a step
    share = np.zeros(x.shape, x.dtype)
    weight = np.exp(joint + loss)
    for column, label in enumerate(labels):
        share[:, label] += weight[:, column]
    return np.exp(x) - share


def check(x: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int) -> None:
    """Refuse lengths and labels that do not fit."""
    steps, n, classes = x.shape
    if not 0 <= blank < classes:
        raise RuntimeError(
            f"ctc_loss: blank must be in label range, 0 to {classes - 1}, but is {blank}."
        )
    for lengths, name in ((input_lengths, "input_lengths"), (target_lengths, "target_lengths")):
        if len(lengths) != n:
            raise RuntimeError(
                f"ctc_loss: {name} must be of size batch_size, {n}, but there are {len(lengths)}."
            )
        if lengths and min(lengths) < 0:
            raise RuntimeError(
                f"ctc_loss: Expected {name} to have value at least 0, but got {min(lengths)}."
            )
    if input_lengths and max(input_lengths) > steps:
        raise RuntimeError(
            f"ctc_loss: Expected input_lengths to have value at most {steps}, but got"
            f" {max(input_lengths)}."
        )
    have = targets.shape[1] if targets.ndim == 2 else targets.shape[0]
    need = max(target_lengths, default=0) if targets.ndim == 2 else sum(target_lengths)
    if have < need:
        raise RuntimeError(
            f"ctc_loss: Expected targets for a length of at least {need}, but got {have}."
        )
