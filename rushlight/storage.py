"""Storages: the memory behind tensors, as objects."""

import io

from rushlight.serialization import load
from rushlight.tensor_api.storage import UntypedStorage as UntypedStorage
from rushlight.tensor_api.typed_storage import Storage as Storage, TypedStorage as TypedStorage

_LegacyStorage = TypedStorage


def _load_from_bytes(data: bytes) -> TypedStorage:
    """The storage in a file that PyTorch wrote into a plain pickle of a tensor."""
    return load(io.BytesIO(data), weights_only=False)  # type: ignore[no-any-return]
