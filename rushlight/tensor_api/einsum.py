"""Sums of products by index letters."""

from __future__ import annotations

import functools
import math
from typing import Any

from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.tensor_api.products import matmul

__all__ = [
    "einsum",
]


def einsum(*args: Any) -> Tensor:
    """Sums of products by index letters: ``einsum("ij,jk->ik", a, b)``. Letters missing on the
    right are summed.

    Repeated letters in one term take the diagonal, ``...`` stands for leading dims that broadcast;
    without ``->`` the letters that occur once stay, in alphabetical order. Terms are contracted
    from left to right.

    Example:
        >>> import rushlight as torch
        >>> torch.einsum("ij->ji", torch.tensor([[1, 2], [3, 4]]))
        tensor([[1, 3],
                [2, 4]])
    """
    equation, operands = parse_einsum(args)
    terms, output, later = einsum_plan(equation, tuple([t._array.shape for t in operands]))
    result, have = einsum_sum(*einsum_diagonal(operands[0], terms[0]), later[0])
    for operand, term, needed in zip(operands[1:], terms[1:], later[1:], strict=True):
        other, others = einsum_sum(*einsum_diagonal(operand, term), needed.union(have))
        result, have = einsum_pair(result, have, other, others, needed)
    if have == output and result is not operands[0]:
        return result
    return result.permute([have.index(c) for c in output])  # a view, of the operand itself too


@functools.lru_cache(maxsize=256)
def einsum_plan(equation: str, shapes: Any) -> tuple[list[str], str, list[frozenset[str]]]:
    """The terms and the output as in ``einsum_terms``, for operands of these shapes; and for each
    term the letters that the later terms and the output need.
    """
    terms, output = einsum_terms(equation, tuple([len(s) for s in shapes]))
    check_sizes(terms, shapes)
    later = [frozenset(output).union(*terms[i + 1 :]) for i in range(len(terms))]
    return terms, output, later


def arranged(t: Tensor, order: Any, shape: Any) -> Tensor:
    """t permuted, unless order is None, and reshaped, as far as that changes anything."""
    if order is not None:
        t = t.permute(order)
    return t if shape == t._array.shape else t.reshape(shape)


def parse_einsum(args: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    """The equation and operands; also of the form ``einsum(a, [0, 1], b, [1, 2], [0, 2])``."""
    if isinstance(args[0], str):
        operands = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
        return args[0].replace(" ", ""), list(operands)

    def name(sub: Any) -> str:
        return "".join(
            [
                "..."
                if s is Ellipsis
                else "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[s]
                for s in sub
            ]
        )

    tail = args[-1] if len(args) % 2 else None
    pairs = args[:-1] if len(args) % 2 else args
    equation = ",".join([name(s) for s in pairs[1::2]]) + (
        "" if tail is None else "->" + name(tail)
    )
    return equation, list(pairs[::2])


@functools.lru_cache(maxsize=256)
def einsum_terms(equation: str, dims: tuple[int, ...]) -> tuple[list[str], str]:
    """One letter per dim for every operand and the output, ellipses replaced by digits. ``dims``:
    how many each operand has.
    """
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not dims:
        raise RuntimeError("einsum(): must provide at least one operand")
    if len(terms) != len(dims):
        raise RuntimeError(
            f"einsum(): {'more' if len(terms) < len(dims) else 'fewer'} operands were "
            f"provided than specified in the equation: {len(dims)}, for {equation!r}"
        )
    widths = []
    for term, ndim in zip(terms, dims, strict=True):
        named = len(term.replace("...", ""))
        bad = [c for c in term.replace("...", "") if not (c.isalpha() and c.isascii())]
        if bad:
            raise RuntimeError(
                f"einsum(): invalid subscript given: {bad[0]!r} in {equation!r}; subscripts must "
                "be in [a-zA-Z]"
            )
        if named > ndim or (named != ndim and "..." not in term):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match "
                f"the number of dimensions ({ndim}) for {term!r}"
            )
        widths.append(ndim - named)
    width = max([w for w, term in zip(widths, terms, strict=True) if "..." in term], default=0)
    dots = "".join([chr(0x100 + i) for i in range(width)])
    full = [
        term.replace("...", dots[width - w :] if w else "")
        for term, w in zip(terms, widths, strict=True)
    ]
    if arrow:
        output = right.replace("...", dots)
        for c in output:
            if output.count(c) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {c} appears more than once in the output"
                )
            if not any(c in term for term in full):
                raise RuntimeError(
                    f"einsum(): output subscript {c} does not appear in the equation for any "
                    "input operand"
                )
    else:
        joined = "".join(full)
        output = dots + "".join(
            sorted(c for c in set(joined) if joined.count(c) == 1 and c not in dots)
        )
    return full, output


def check_sizes(terms: list[str], shapes: Any) -> None:
    """A letter has one size, or 1."""
    sizes: dict[str, int] = {}
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        for c, n in zip(term, shape, strict=True):
            if sizes.setdefault(c, n) not in (n, 1) and n != 1:
                raise RuntimeError(
                    f"einsum(): subscript {c} has size {n} for operand {i} which does not "
                    f"broadcast with previously seen size {sizes[c]}"
                )
            if sizes[c] == 1:
                sizes[c] = n


def einsum_diagonal(t: Tensor, term: str) -> tuple[Tensor, str]:
    """Letters that repeat within a term: their diagonal, at the first one's place."""
    if len(set(term)) == len(term):
        return t, term
    letters = list(term)
    for c in dict.fromkeys(term):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            if t._array.shape[i] != t._array.shape[j]:
                raise RuntimeError(
                    f"einsum(): subscript {c} is repeated for an operand but the sizes don't "
                    f"match, {t._array.shape[i]} != {t._array.shape[j]}"
                )
            t = t.diagonal(0, i, j).movedim(-1, i)
            del letters[j]
    return t, "".join(letters)


def einsum_sum(t: Tensor, letters: str, needed: frozenset[str]) -> tuple[Tensor, str]:
    """Sum over letters that nothing else needs."""
    if needed.issuperset(letters):
        return t, letters
    gone = [i for i, c in enumerate(letters) if c not in needed]
    return t.sum(gone), "".join([c for c in letters if c in needed])


def einsum_pair(
    a: Tensor, la: str, b: Tensor, lb: str, needed: frozenset[str]
) -> tuple[Tensor, str]:
    """Contract two terms as one batched matrix product."""
    for c in la:
        if c in lb:
            m, n = a._array.shape[la.index(c)], b._array.shape[lb.index(c)]
            if m != n:  # one of them is 1: it broadcasts
                if n == 1:
                    b, lb = b.squeeze(lb.index(c)), lb.replace(c, "")
                else:
                    a, la = a.squeeze(la.index(c)), la.replace(c, "")
    a, la = einsum_sum(a, la, needed.union(lb))  # a letter that broadcast is now in one term only
    b, lb = einsum_sum(b, lb, needed.union(la))
    layout = pair_layout(la, a._array.shape, lb, b._array.shape, needed)
    multiply, left, right, shape, letters = layout
    x, y = arranged(a, *left), arranged(b, *right)
    out = known_as("ViewBackward0", matmul(x, y)) if multiply else x * y
    return arranged(out, None, shape), letters


@functools.lru_cache(maxsize=256)
def pair_layout(la: str, sa: Any, lb: str, sb: Any, needed: frozenset[str]) -> Any:
    """Whether two terms are a matrix product (or else elementwise); for both the order and the
    shape to bring them to, for the result its shape and letters.
    """
    size = dict(zip(la + lb, sa + sb, strict=True))
    batch = "".join([c for c in la if c in lb and c in needed])
    summed = "".join([c for c in la if c in lb and c not in needed])
    fa, fb = "".join([c for c in la if c not in lb]), "".join([c for c in lb if c not in la])

    def sizes(letters: str) -> list[int]:
        return [size[c] for c in letters]

    def order(letters: str, of: str) -> list[int] | None:
        return None if letters == of else [of.index(c) for c in letters]

    if summed:
        k = math.prod(sizes(summed))
        left = order(batch + fa + summed, la), (*sizes(batch), math.prod(sizes(fa)), k)
        right = order(batch + summed + fb, lb), (*sizes(batch), k, math.prod(sizes(fb)))
    else:
        left = order(batch + fa, la), (*sizes(batch + fa), *[1] * len(fb))
        right = order(batch + fb, lb), (*sizes(batch), *[1] * len(fa), *sizes(fb))
    letters = batch + fa + fb
    return bool(summed), left, right, tuple(sizes(letters)), letters
