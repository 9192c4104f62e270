"""Results with several named parts, such as ``max(dim)``'s values and indices.

They print as torch's do.
"""

from __future__ import annotations

from typing import Any

from rushlight.tensor_api._common import store_outs

__all__: list[str] = []


class Named(tuple[Any, ...]):
    """A tuple whose items also have names."""

    __slots__ = ()
    n_fields = n_sequence_fields = 2
    n_unnamed_fields = 0
    fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        items = ",\n".join(
            [f"{name}={value!r}" for name, value in zip(self.fields, self, strict=True)]
        )
        return f"torch.return_types.{type(self).__name__}(\n{items})"

    def __reduce__(self) -> Any:
        return _rebuild, (type(self).__name__, tuple(self))


def _rebuild(name: str, items: tuple[Any, ...]) -> Named:
    return TYPES[name](items)


def _field(i: int, name: str) -> property:
    return property(lambda self: self[i], doc=f"Item {i}: {name}.")


TYPES: dict[str, type[Named]] = {}


def named_type(name: str, *fields: str) -> type[Named]:
    """The tuple type called ``torch.return_types.<name>``; it takes one iterable, as torch's do."""
    members: dict[str, Any] = {field: _field(i, field) for i, field in enumerate(fields)}
    members.update(
        fields=fields,
        n_fields=len(fields),
        n_sequence_fields=len(fields),
        __slots__=(),
        __match_args__=fields,
    )
    members["__doc__"] = f"Result of ``{name}``: {', '.join(fields)}."
    TYPES[name] = kind = type(name, (Named,), members)
    return kind


FIELDS = {
    "values indices": "max min median nanmedian mode kthvalue sort topk cummax cummin",
    "min max": "aminmax",
    "mantissa exponent": "frexp",
    "hist bin_edges": "histogram histogramdd",
    "a tau": "geqrf",
    "Q R": "qr linalg_qr",
    "U S V": "svd",
    "U S Vh": "linalg_svd",
    "P L U": "lu_unpack linalg_lu",
    "LU pivots": "linalg_lu_factor",
    "LU pivots info": "linalg_lu_factor_ex _lu_with_info",
    "LD pivots": "linalg_ldl_factor",
    "LD pivots info": "linalg_ldl_factor_ex",
    "L info": "linalg_cholesky_ex",
    "inverse info": "linalg_inv_ex",
    "result info": "linalg_solve_ex",
    "sign logabsdet": "slogdet linalg_slogdet",
    "eigenvalues eigenvectors": "linalg_eig linalg_eigh",
    "solution residuals rank singular_values": "linalg_lstsq",
    "solution cloned_coefficient": "triangular_solve",
}
for _fields, _names in FIELDS.items():
    for _name in _names.split():
        named_type(_name, *_fields.split())


def named(name: str, parts: Any, out: Any = None, exact: bool = True) -> Named:
    """``parts`` as the named tuple ``name``; stored into the tensors ``out`` when given, whose
    dtypes have to be theirs if ``exact``.
    """
    if out is not None:
        parts = store_outs(out, parts, exact)
    return TYPES[name](parts)
