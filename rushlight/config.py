"""Settings of the whole process. Plain data; the public setters validate."""

from dataclasses import dataclass


@dataclass
class PrintOptions:
    """How tensors are printed; see ``set_printoptions``."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


print_options = PrintOptions()
