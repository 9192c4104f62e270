"""Where loaded storages go: location tags in files, and ``map_location``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import devices, gpu
from rushlight.errors import DeviceError
from rushlight.tensor_api.storage import MetaStorage, UntypedStorage
from rushlight.tensor_api.typed_storage import TypedStorage

# what ``load`` takes for map_location, for annotations
MAP_LOCATION = Callable[[Any, str], Any] | devices.device | str | dict[str, str] | None
Restore = Callable[[UntypedStorage, str], UntypedStorage]

# (priority, tag of a storage or None, storage at a tagged location or None)
_packages: list[tuple[int, Callable[[Any], Any], Callable[[Any, str], Any]]] = []


def register_package(
    priority: int, tagger: Callable[[Any], Any], deserializer: Callable[[Any, str], Any]
) -> None:
    """Teach ``save`` and ``load`` a kind of storage.

    Args:
        priority: packages are asked in ascending order.
        tagger: given a storage, returns its location tag, or None when it is not of this kind.
        deserializer: given a storage on the CPU and a tag, returns the storage at that location, or
            None when the tag is not of this kind.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda package: package[0])


def _cpu_tag(storage: Any) -> str | None:
    return "cpu" if storage.device.type == "cpu" else None


def _from_cpu(storage: Any, location: str) -> Any:
    return storage if location == "cpu" else None


def _cuda_tag(storage: Any) -> str | None:
    return str(storage.device) if storage.device.type == "cuda" else None


def _from_cuda(storage: Any, location: str) -> Any:
    if not location.startswith("cuda"):
        return None
    count = len(gpu.drivers())
    if not count:
        raise DeviceError(
            "load: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() "
            f"is False: the file's tensors were on {location}. Use load(...,"
            " map_location=torch.device('cpu')) to put them on the CPU."
        )
    if (devices.device(location).index or 0) >= count:
        raise DeviceError(
            f"load: Attempting to deserialize object on CUDA device {location[5:]} but "
            f"torch.cuda.device_count() is {count}. Use load(..., map_location='cuda:0'), or a "
            "dict that names a device for each that the file names."
        )
    return storage.cuda(location)


register_package(10, _cpu_tag, _from_cpu)


def _meta_tag(storage: Any) -> str | None:
    return "meta" if storage.device.type == "meta" else None


def _to_meta(storage: Any, location: str) -> Any:
    return MetaStorage._of_size(storage.nbytes()) if location == "meta" else None


register_package(20, _cuda_tag, _from_cuda)
register_package(22, _meta_tag, _to_meta)


def location_tag(storage: Any) -> str:
    """Where a storage is, as files record it: ``"cpu"``, ``"cuda:0"``."""
    for _, tagger, _ in _packages:
        tag = tagger(storage)
        if tag is not None:
            return str(tag)
    raise RuntimeError(f"save: don't know how to tag the location of a {type(storage).__name__}")


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage at a tagged location, as ``load`` does without ``map_location``."""
    for _, _, deserializer in _packages:
        result = deserializer(storage, location)
        if result is not None:
            return result
    raise RuntimeError(
        f"load: don't know how to restore a storage tagged with location {location!r}; "
        "known are 'cpu', 'cuda' and 'meta'. Use map_location='cpu' to put it on the CPU."
    )


def restorer(map_location: Any) -> Restore:
    """The function that ``load`` calls for each storage."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda s, location: default_restore_location(s, map_location.get(location, location))
    if isinstance(map_location, (str, devices.device)):
        return lambda s, location: default_restore_location(s, str(map_location))
    if not callable(map_location):
        raise TypeError(
            "load: map_location must be None, a device, a string, a dict of strings or a function "
            f"(storage, location) -> storage, but it is {map_location!r}"
        )

    def call(storage: UntypedStorage, location: str) -> UntypedStorage:
        result = map_location(storage, location)
        if result is None:
            return default_restore_location(storage, location)  # type: ignore[no-any-return]
        if not isinstance(result, (UntypedStorage, TypedStorage)):
            raise TypeError(
                "load: the map_location function must return a storage or None, "
                f"but it returned a {type(result).__name__}"
            )
        return result.untyped()

    return call
