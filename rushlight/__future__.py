"""How modules convert their parameters."""

from __future__ import annotations

from rushlight.nn.modules._state import Conversion

__all__ = [
    "get_overwrite_module_params_on_conversion", "get_swap_module_params_on_conversion",
    "set_overwrite_module_params_on_conversion", "set_swap_module_params_on_conversion",
]  # fmt: skip


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Whether ``module.to()``, ``double()`` and the like make new parameters; by default the
    parameters stay the same objects and get other memory.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.Linear(2, 3)
        >>> weight = layer.weight
        >>> layer.double().weight is weight
        True
        >>> torch.__future__.set_overwrite_module_params_on_conversion(True)
        >>> layer.float().weight is weight
        False
        >>> torch.__future__.set_overwrite_module_params_on_conversion(False)
    """
    Conversion.overwrite = value


def get_overwrite_module_params_on_conversion() -> bool:
    """What ``set_overwrite_module_params_on_conversion`` set."""
    return Conversion.overwrite


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Whether parameters stay the same objects even if ``overwrite``, or ``assign=True`` of
    ``load_state_dict``, asks for new ones.
    """
    Conversion.swap = value


def get_swap_module_params_on_conversion() -> bool:
    """What ``set_swap_module_params_on_conversion`` set."""
    return Conversion.swap
