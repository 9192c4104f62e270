"""torch._vmap_internals: the names by which libraries of old call vmap."""

from rushlight.func import vmap as _vmap, vmap as vmap

__all__ = ["_vmap", "vmap"]
