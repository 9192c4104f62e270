"""Points that cover a cube evenly."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes, tensor_api as T
from rushlight.core.tensor import Tensor, wrap
from rushlight.tensor_api._common import numpy_dtype, store_out

__all__ = ["SobolEngine"]


class SobolEngine:
    """A Sobol sequence in [0, 1)^d: its first 2^k points lie evenly in the cube, for every k.

    Args:
        dimension: d, in [1, 21201].
        scramble: shift the points and mix their digits at random; they stay even.
        seed: of the scrambling; the default generator for None.

    Example:
        >>> import rushlight as torch
        >>> torch.quasirandom.SobolEngine(2).draw(3)
        tensor([[0.0000, 0.0000],
                [0.5000, 0.5000],
                [0.7500, 0.2500]])

    Reference: Joe and Kuo, 2008, "Constructing Sobol sequences with better two-dimensional
    projections"; Owen, 1998, "Scrambling Sobol' and Niederreiter-Xing points".
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}], but "
                f"dimension is {dimension}."
            )
        self.seed, self.scramble, self.dimension = seed, scramble, dimension
        directions = _directions(dimension, self.MAXBIT)
        if scramble:
            shift, directions = self._scrambled(directions)
        else:
            shift = np.zeros(dimension, np.int64)
        self.sobolstate, self.shift = wrap(directions), wrap(shift)
        self.reset()

    def _scrambled(self, directions: Any) -> Any:
        """A random shift, and the digits of the directions mixed by random triangular matrices."""
        draw = T.Generator().manual_seed(self.seed) if self.seed is not None else None
        d, bits = self.dimension, self.MAXBIT
        powers = 1 << np.arange(bits, dtype=np.int64)
        shift = T.randint(2, (d, bits), generator=draw)._array @ powers
        mixing = np.tril(T.randint(2, (d, bits, bits), generator=draw)._array, -1)
        mixing += np.eye(bits, dtype=np.int64)
        highest_first = powers[::-1]
        digits = (directions[:, None, :] & highest_first[:, None]) != 0
        mixed = (mixing @ digits) % 2  # (d, bits, bits): a column of digits per direction
        return shift, np.einsum("k,dkj->dj", highest_first, mixed)

    def draw(self, n: int = 1, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """The next n points, ``(n, dimension)``.

        Args:
            n: how many, >= 0.
            out: where to write them.
            dtype: a floating-point type; the default dtype for None.
        """
        if n < 0:
            raise RuntimeError(f"SobolEngine.draw: n is {n}, but must be >= 0.")
        places = self._advance(n)
        d = numpy_dtype(dtype, dtypes.default.float)
        points = wrap((places * 2.0**-self.MAXBIT).astype(d))
        return points if out is None else store_out(out, points)

    def draw_base2(self, m: int, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """The next 2^m points. ValueError if the number of points drawn so far is then no power of
        2, since they would not lie evenly.
        """
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. Use draw() if that is what you want."
            )
        return self.draw(n, out, dtype)

    def reset(self) -> SobolEngine:
        """Begin again."""
        self.quasi = self.shift.clone()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out the next n points."""
        self._advance(n)
        return self

    def _advance(self, n: int) -> Any:
        """The next n points as integers; ``quasi`` is the one that was drawn last."""
        first = self.num_generated
        self.num_generated += n
        if not n:
            return np.zeros((0, self.dimension), np.int64)
        counts = np.arange(max(first, 1), first + n)
        flipped = [int(k & -k).bit_length() - 1 for k in counts]  # digits of the Gray code of k
        steps = self.sobolstate._array[:, flipped].T
        last = self.quasi._array
        if first:
            steps[0] ^= last
        else:
            steps = np.concatenate([last[None], steps])
        places = np.bitwise_xor.accumulate(steps, 0)
        self.quasi = wrap(places[-1].copy())
        return places

    def __repr__(self) -> str:
        options = [f"dimension={self.dimension}"]
        options += ["scramble=True"] if self.scramble else []
        options += [f"seed={self.seed}"] if self.seed is not None else []
        return f"{type(self).__name__}({', '.join(options)})"


def _directions(dimension: int, bits: int) -> Any:
    """Joe and Kuo's direction numbers, ``(dimension, bits)``: SciPy has the table."""
    from scipy.stats import qmc

    found = qmc.Sobol(dimension, scramble=False, bits=bits)._sv
    return found.astype(np.int64)
