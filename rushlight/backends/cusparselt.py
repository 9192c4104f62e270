"""cuSPARSELt is not used."""


def version() -> None:
    """Always None."""


def is_available() -> bool:
    """Always False."""
    return False


def get_max_alg_id() -> None:
    """Always None."""
