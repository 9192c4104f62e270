"""The share of a dataset that one of several training processes visits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rushlight import tensor_api as rl
from rushlight.utils.data.sampler import Sampler


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index of an order that all processes agree on.

    Args:
        dataset: only its length is used.
        num_replicas: how many processes share the dataset.
        rank: which of them this is, in [0, num_replicas).
        shuffle: permute with ``seed + epoch``; call ``set_epoch`` before each epoch.
        seed: the same in every process.
        drop_last: drop the tail so that shares are equal; otherwise the first indices are repeated.

    Example:
        >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
        [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise ValueError(
                "DistributedSampler: there is no process group to ask; pass num_replicas and rank."
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"DistributedSampler: Invalid rank {rank}, rank should be in the interval "
                f"[0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        share = len(dataset) / num_replicas
        self.num_samples = int(share) if drop_last else math.ceil(share)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        order = list(range(len(self.dataset)))
        if self.shuffle:
            generator = rl.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = rl.randperm(len(order), generator=generator, device="cpu").tolist()
        if self.total_size > len(order):
            order *= math.ceil(self.total_size / len(order))
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Chooses the permutation of the next pass."""
        self.epoch = epoch
