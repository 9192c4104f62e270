"""How ``einsum`` orders its products: kept, without effect."""

enabled: bool = False
strategy: str | None = None


def is_available() -> bool:
    """Always False."""
    return False
