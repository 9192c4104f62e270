"""Whether operations are being written down as Python calls: never."""


def get_proxy_mode() -> None:
    """The tracer at work: there is none."""
