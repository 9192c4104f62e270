"""Storages: the memory behind tensors, as objects."""

from rushlight.tensor_api.storage import UntypedStorage as UntypedStorage
from rushlight.tensor_api.typed_storage import Storage as Storage
from rushlight.tensor_api.typed_storage import TypedStorage as TypedStorage

_LegacyStorage = TypedStorage
