"""Saving and loading: ``save``, ``load``, and which classes a file may ask for.

Files have PyTorch's format, in both directions: a zip archive (`container`) that holds one pickle,
in which every storage is replaced by a key, and one record per storage. Reading order: `saving`
and `atomic` (writing); `loading`, `restricted` and `instructions` (the pickle interpreter behind
``weights_only=True``), `names` (whose classes are whose), `locations`; `legacy` (files from before
the archive).
"""

import pickle as pickle  # programs name serialization.pickle where they name the default

from rushlight.serialization.inspection import get_unsafe_globals_in_checkpoint
from rushlight.serialization.loading import load
from rushlight.serialization.locations import (
    MAP_LOCATION as MAP_LOCATION,
    default_restore_location,
    location_tag,
    register_package,
)
from rushlight.serialization.options import (
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
)
from rushlight.serialization.safe import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from rushlight.serialization.saving import DEFAULT_PROTOCOL as DEFAULT_PROTOCOL, save

__all__ = [
    "LoadEndianness",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
]
