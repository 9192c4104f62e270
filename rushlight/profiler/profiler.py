"""`profile` under the name of its module in torch."""

from rushlight.profiler import (
    ExecutionTraceObserver as ExecutionTraceObserver,
    ProfilerAction as ProfilerAction,
    profile as profile,
    schedule as schedule,
    supported_activities as supported_activities,
    tensorboard_trace_handler as tensorboard_trace_handler,
)

__all__ = [
    "ExecutionTraceObserver", "ProfilerAction", "profile", "schedule", "supported_activities",
    "tensorboard_trace_handler",
]  # fmt: skip
