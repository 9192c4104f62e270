"""What a worker of a loader knows and how it is seeded, where PyTorch keeps it."""

from rushlight.utils.data.worker import (
    WorkerInfo as WorkerInfo,
    _generate_state as _generate_state,
    get_worker_info as get_worker_info,
)
