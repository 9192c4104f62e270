"""`profile` under the name of its module in torch."""

from rushlight.profiler import ExecutionTraceObserver as ExecutionTraceObserver
from rushlight.profiler import ProfilerAction as ProfilerAction
from rushlight.profiler import profile as profile
from rushlight.profiler import schedule as schedule
from rushlight.profiler import supported_activities as supported_activities
from rushlight.profiler import tensorboard_trace_handler as tensorboard_trace_handler

__all__ = [
    "ExecutionTraceObserver", "ProfilerAction", "profile", "schedule", "supported_activities",
    "tensorboard_trace_handler",
]  # fmt: skip
