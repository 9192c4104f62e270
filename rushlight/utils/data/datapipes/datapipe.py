"""What data pipes are: the two kinds, and how a class becomes a method of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rushlight.core.state import Mode
from rushlight.utils.data.dataset import Dataset, IterableDataset
from rushlight.utils.data.fetch import make_fetch

T = TypeVar("T")


class _Chaining:
    """Pipes made by ``functional_datapipe`` are methods of the others."""

    functions: dict[str, Callable[..., Any]]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and name in type(self).functions:
            make = type(self).functions[name]
            return lambda *args, **kwargs: make(self, *args, **kwargs)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @classmethod
    def register_datapipe_as_function(
        cls, function_name: str, cls_to_register: Any, enable_df_api_tracing: bool = False
    ) -> None:
        """Make ``pipe.function_name(...)`` an instance of the class on the pipe."""
        cls.register_function(function_name, cls_to_register)

    @classmethod
    def register_function(cls, function_name: str, function: Callable[..., Any]) -> None:
        """Make ``pipe.function_name(...)`` call ``function(pipe, ...)``."""
        if function_name in cls.functions:
            raise Exception(
                f"Unable to add DataPipe function name {function_name} as it is already taken"
            )
        cls.functions[function_name] = function

    def __repr__(self) -> str:
        return type(self).__qualname__


class IterDataPipe(_Chaining, IterableDataset[T]):
    """A stream of samples; subclasses write ``__iter__``.

    Example:
        >>> class Count(IterDataPipe):
        ...     def __iter__(self): return iter(range(4))
        >>> list(Count().map(lambda n: n * n).batch(3))
        [[0, 1, 4], [9]]
    """

    functions: dict[str, Callable[..., Any]] = {}  # noqa: RUF012


class MapDataPipe(_Chaining, Dataset[T]):
    """Samples found by index; subclasses write ``__getitem__`` and ``__len__``."""

    functions: dict[str, Callable[..., Any]] = {}  # noqa: RUF012


class DFIterDataPipe(IterDataPipe[T]):
    """An ``IterDataPipe`` of data frames."""


class DataChunk(list[T]):
    """Samples that belong together."""

    def __init__(self, items: Iterable[T]) -> None:
        items = list(items)
        super().__init__(items)
        self.items = items

    def as_str(self, indent: str = "") -> str:
        """The samples in brackets."""
        return f"{indent}[{', '.join(map(str, self))}]"

    def raw_iterator(self) -> Iterator[T]:
        """The samples as they are."""
        yield from self.items


class functional_datapipe:
    """Decorator: the class becomes a method ``name`` of all pipes of its kind."""

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name

    def __call__(self, cls: Any) -> Any:
        kind = IterDataPipe if issubclass(cls, IterDataPipe) else MapDataPipe
        kind.register_datapipe_as_function(self.name, cls)
        return cls


class _DatasetKind:
    """Numbers for the two kinds of dataset."""

    Map, Iterable = 0, 1

    @staticmethod
    def create_fetcher(
        kind: int, dataset: Any, auto_collation: bool, collate_fn: Any, drop_last: bool
    ) -> Any:
        """A function from what the index sampler yields to what the loader yields."""
        return make_fetch(dataset, auto_collation, collate_fn, drop_last)


def argument_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator without effect: annotations are not checked."""
    return f


def runtime_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator without effect: what a pipe yields is not checked."""
    return f


def non_deterministic(arg: Any) -> Any:
    """Decorator without effect: says that a pipe's order may differ from run to run."""
    return arg if isinstance(arg, type) else lambda cls: cls


class runtime_validation_disabled(Mode):
    """A block in which what pipes yield is not checked: it never is."""


class guaranteed_datapipes_determinism(Mode):
    """A block in which non-deterministic pipes are refused; accepted."""
