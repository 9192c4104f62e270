"""The CPU as a backend."""


def get_cpu_capability() -> str:
    """Always "DEFAULT": NumPy chooses its instructions by itself."""
    return "DEFAULT"
