"""One step of a recurrent network: the cells of RNN, LSTM and GRU."""

from __future__ import annotations

import math
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn import functional as F, init
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.ops import recurrent

State = tuple[Tensor, ...]  # (h,), or (h, c) of an LSTM


class RNNCellBase(Module):
    """Parameters and checks of one step.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        num_chunks: how many blocks of hidden_size rows the weights have.
        device: where the parameters are.
        dtype: their element type.
    """

    mode: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(T.empty((rows, input_size), **factory))
        self.weight_hh = Parameter(T.empty((rows, hidden_size), **factory))
        for name in ("bias_ih", "bias_hh"):
            values = Parameter(T.empty(rows, **factory)) if bias else None
            self.register_parameter(name, values)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters from ``U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias is True else f"{text}, bias={self.bias}"

    def _step(self, input: Tensor, states: State | None, count: int = 1) -> State:
        self._check(input, states)
        single = input.dim() == 1
        x = input.unsqueeze(0) if single else input
        if states is None:
            zeros = T.zeros((x.size(0), self.hidden_size), dtype=x.dtype, device=x.device)
            states = (zeros,) * count
        elif single:
            states = tuple(s.unsqueeze(0) for s in states)
        self._check_sizes(x, states)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        states = recurrent.LAYERS[self.mode].step(gates, states, self.weight_hh, self.bias_hh)
        return tuple(s.squeeze(0) for s in states) if single else states

    def _check(self, input: Tensor, states: State | None) -> None:
        kind = self._get_name()
        if input.dim() not in (1, 2):
            raise ValueError(f"{kind}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        for i, state in enumerate(states or ()):
            if not isinstance(state, Tensor):
                raise AttributeError(
                    f"{kind}: the state hx is a {type(state).__name__}, which has no dim(); "
                    "expected a Tensor"
                )
            if state.dim() not in (1, 2):
                name = f"hx[{i}]" if len(states or ()) > 1 else "hidden"
                raise ValueError(
                    f"{kind}: Expected {name} to be 1D or 2D, got {state.dim()}D instead"
                )

    def _check_sizes(self, x: Tensor, states: State) -> None:
        if x.size(1) != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x.size(1)} expected {self.input_size}"
            )
        for i, state in enumerate(states):
            if state.size(0) != x.size(0):
                raise RuntimeError(
                    f"Input batch size {x.size(0)} doesn't match hidden{i} batch size "
                    f"{state.size(0)}"
                )
            if state.size(1) != self.hidden_size:
                raise RuntimeError(
                    f"hidden{i} has inconsistent hidden_size: got {state.size(1)}, "
                    f"expected {self.hidden_size}"
                )


class RNNCell(RNNCellBase):
    """One step of `RNN`: ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(B, input_size), (B, hidden_size) -> (B, hidden_size)``, or all without B.

    Example:
        >>> nn.RNNCell(3, 4)(torch.randn(2, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def mode(self) -> str:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return f"RNN_{self.nonlinearity.upper()}"

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(B, input_size)`` and (h, c), ``(B, hidden_size)`` each -> (h', c'), or all without B.

    Example:
        >>> h, c = nn.LSTMCell(3, 4)(torch.randn(2, 3))
        >>> h.shape, c.shape
        (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        if hx is None:
            return self._step(input, None, count=2)
        states = tuple(hx)
        self._check(input, states)
        if isinstance(hx, Tensor):
            raise TypeError("LSTMCell: argument 'hx' must be a tuple of Tensors (h, c), not Tensor")
        if len(states) != 2:
            raise RuntimeError(f"LSTMCell: expects two hidden states (h, c), but got {len(states)}")
        return self._step(input, states, count=2)


class GRUCell(RNNCellBase):
    """One step of `GRU`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        device: where the parameters are.
        dtype: their element type.

    Shape: ``(B, input_size), (B, hidden_size) -> (B, hidden_size)``, or all without B.

    Example:
        >>> nn.GRUCell(3, 4)(torch.randn(2, 3)).shape
        torch.Size([2, 4])
    """

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,))[0]
