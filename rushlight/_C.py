"""The one function of torch's C++ module that libraries built on torch call."""


def _log_api_usage_once(name: str) -> None:
    """Nothing: usage is not counted."""
