"""The pickle interpreter behind ``weights_only=True``: tensors and plain data, no calls.

A pickle is a program for a small stack machine; two of its instructions import a name and call
what was imported. Here every name is looked up in a table of harmless functions (and what the user
added), nothing is imported, and each instruction accepts only operands of the types that it is
meant for. Note [Two readers]: `pickle.Unpickler` with a restricted ``find_class`` would be
shorter, but still lets a file set attributes of the classes that it may name.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import IO, Any

from rushlight import devices, dtypes
from rushlight.core.tensor import Tensor
from rushlight.serialization import names
from rushlight.serialization.container import DamagedFileError
from rushlight.serialization.instructions import STEPS
from rushlight.serialization.safe import is_refused, registry
from rushlight.tensor_api import pickling, typed_storage
from rushlight.tensor_api.storage import UntypedStorage


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    if encoding not in ("latin1", "utf-8"):
        raise ValueError(f"bytes encoded as {encoding!r}; only latin1 and utf-8 are known")
    return str.encode(text, encoding)


def _bytearray(data: bytes = b"") -> bytearray:
    if not isinstance(data, (bytes, bytearray)):  # bytearray(10**12) would fill the memory
        raise ValueError("bytearray can be made of bytes only")
    return bytearray(data)


def _table() -> dict[str, Any]:
    """What files may ask for, by PyTorch's names."""
    table: dict[str, Any] = {
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "builtins.set": set,
        "builtins.complex": complex,
        "builtins.bytearray": _bytearray,
        "_codecs.encode": _encode,
        "torch.Tensor": Tensor,
        "torch.device": devices.device,
        "torch.Size": names.find("torch", "Size"),
        "torch.storage.UntypedStorage": UntypedStorage,
        "torch._tensor._rebuild_from_type_v2": pickling._rebuild_from_type_v2,
        "torch._utils._rebuild_tensor": pickling._rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": pickling._rebuild_tensor_v2,
        "torch._utils._rebuild_tensor_v3": pickling._rebuild_tensor_v3,
        "torch._utils._rebuild_meta_tensor_no_storage": pickling._rebuild_meta_tensor_no_storage,
        "torch._utils._rebuild_sparse_tensor": pickling._rebuild_sparse_tensor,
        "torch.serialization._get_layout": pickling._get_layout,
    }
    for name, d in dtypes.by_name.items():
        table[f"torch.{name}"] = d
    for name in typed_storage.NAMES:
        table[f"torch.{name}"] = table[f"torch.cuda.{name}"] = getattr(typed_storage, name)
    return table


# The same, looked up when a file asks: most files do without nn.
_LATER = frozenset(
    (
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
    )
)
_tables: list[dict[str, Any]] = []  # made on first use

# Arguments only, although Python could call them.
_ARGUMENTS = frozenset(
    ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.storage.UntypedStorage")
)


def allowed() -> dict[str, Any]:
    """What files may ask for, by full name, what the user added included."""
    if not _tables:
        _tables.append(_table())
    return {**dict.fromkeys(_LATER), **_tables[0], **registry.by_name}


def _is_called(name: str, found: Any) -> bool:
    """Whether files may call what they know by this name, and not only hand it to others."""
    return name not in _ARGUMENTS and not isinstance(
        found, (dtypes.dtype, typed_storage._NamedStorage)
    )


# What operands of the wrong type or value lead to.
_MALFORMED = (
    LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, struct.error,
)  # fmt: skip


class Unpickler:
    """Interprets one pickle.

    Args:
        file: where the pickle is read from.
        name: what error texts call the file.
        persistent_load: turns what stands for a storage into the storage.
        encoding: of the 8-bit strings in pickles that Python 2 wrote.
    """

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        persistent_load: Callable[[Any], Any] | None = None,
        *,
        encoding: str = "utf-8",
    ) -> None:
        self.file, self.name, self.encoding = file, name, encoding
        self.persistent_load = persistent_load
        self.allowed = allowed()
        self.added = tuple(o for o in registry.by_name.values() if isinstance(o, type))
        known = [(n, o) for n, o in self.allowed.items() if o is not None]
        self.callable = {id(o) for n, o in known if _is_called(n, o)}
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The object; UnpicklingError when it is malformed, or needs what is not allowed."""
        try:
            while True:
                code = self.read(1)
                if code == pickle.STOP:
                    return self.stack.pop()
                step = STEPS.get(code)
                if step is None:
                    raise self.error(
                        f"its pickle has the instruction {code!r}, which is not allowed"
                    )
                step(self)
        except DamagedFileError:
            raise
        except _MALFORMED as e:
            raise self.error(f"it is damaged, or not made by save(): {e}") from e

    def error(self, what: str) -> pickle.UnpicklingError:
        return pickle.UnpicklingError(f"load: {self.name}: Weights only load failed: {what}")

    # -- reading ---------------------------------------------------------------------------------

    def read(self, n: int) -> bytes:
        data = self.file.read(n)
        if len(data) < n:
            raise self.error("its pickle ends too early; the file was probably cut short")
        return data

    def line(self) -> str:
        return self.file.readline()[:-1].decode("utf-8")

    def number(self, form: str) -> int:
        return struct.unpack("<" + form, self.read(struct.calcsize("<" + form)))[0]  # type: ignore[no-any-return]

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # -- names and calls -------------------------------------------------------------------------

    def find(self, module: str, name: str) -> Any:
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full in self.allowed and not is_refused(module, name):
            found = self.allowed[full]
            if found is None:
                found = self.allowed[full] = names.find(module, name)
                if _is_called(full, found):
                    self.callable.add(id(found))
            return found
        raise self.error(_refusal(module, name))

    def call(self, function: Any, args: Any) -> Any:
        if id(function) not in self.callable or not isinstance(args, tuple):
            raise self.error(f"its pickle calls {function!r}, which is not allowed")
        return function(*args)

    def make(self, cls: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        plain = (OrderedDict, Counter, self.allowed["torch.Size"])
        if not isinstance(cls, type) or cls not in (*plain, *self.added):
            raise self.error(f"its pickle makes a {cls!r}, which is not allowed")
        return cls.__new__(cls, *args, **kwargs)  # type: ignore[call-overload]

    def build(self, obj: Any, state: Any) -> None:
        """Give an object its state: attributes of an OrderedDict, or what an added class wants."""
        if type(obj) is OrderedDict:
            if not isinstance(state, dict) or any(hasattr(OrderedDict, k) for k in state):
                raise self.error("its pickle replaces a method of an OrderedDict")
            obj.__dict__.update(state)
        elif type(obj) not in self.added:
            raise self.error(
                f"its pickle sets the state of a {type(obj).__name__}; that is not allowed"
            )
        elif hasattr(obj, "__setstate__"):
            obj.__setstate__(state)
        else:
            attributes, slots = state if isinstance(state, tuple) else (state, None)
            for name, value in {**(attributes or {}), **(slots or {})}.items():
                setattr(obj, name, value)

    def container(self, kinds: tuple[type, ...]) -> Any:
        found = self.stack[-1]
        if type(found) not in (*kinds, *self.added) or not isinstance(found, kinds):
            raise self.error(
                f"its pickle adds items to a {type(found).__name__}; that is not allowed"
            )
        return found


def _refusal(module: str, name: str) -> str:
    full = f"{module}.{name}"
    if is_refused(module, name):
        return (
            f"unsupported global {full}. It can run any code, so it stays refused even if "
            "added. If you trust where the file comes from, load it with weights_only=False."
        )
    if module == "torch" and (name in dtypes.UNHELD or name.startswith("bits")):
        return f"its tensors have the dtype {full}, which rushlight does not have."
    return (
        f"unsupported global {full}. With weights_only=True (the default) a file may hold tensors "
        "and plain data; other names are refused, since calling them could run any code. If you "
        f"trust it, call torch.serialization.add_safe_globals([{name}]) first, or load the file "
        "with weights_only=False."
    )
