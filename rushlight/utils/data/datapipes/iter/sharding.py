"""Streams of one's share of the samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, functional_datapipe
from rushlight.utils.data.worker import get_worker_info


@functional_datapipe("sharding_filter")
class ShardingFilterIterDataPipe(IterDataPipe[Any]):
    """Every ``num_of_instances``-th sample, from ``instance_id`` on, as ``apply_sharding`` says;
    before, all samples, or in a loader's worker its share.
    """

    num_of_instances, instance_id = 1, 0

    def __init__(self, source_datapipe: Any, sharding_group_filter: Any = None) -> None:
        self.source_datapipe = source_datapipe

    def apply_sharding(self, num_of_instances: int, instance_id: int, *group: Any) -> None:
        """Say how many share the samples, and which of them this is."""
        if not 0 <= instance_id < num_of_instances:
            raise ValueError(
                f"instance_id({instance_id}) should be smaller than num_of_instances"
                f"({num_of_instances}), and not negative"
            )
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def __iter__(self) -> Iterator[Any]:
        first, step = self._share()
        return itertools.islice(self.source_datapipe, first, None, step)

    def __len__(self) -> int:
        first, step = self._share()
        return len(range(first, len(self.source_datapipe), step))

    def _share(self) -> tuple[int, int]:
        worker = get_worker_info()
        if worker is None or self.num_of_instances > 1:
            return self.instance_id, self.num_of_instances
        return worker.id, worker.num_workers
