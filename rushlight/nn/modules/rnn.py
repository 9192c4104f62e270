"""Recurrent networks: RNN, LSTM and GRU over whole sequences. One step is in `rnn_cells`."""

from __future__ import annotations

import math
import numbers
from typing import Any

from rushlight import dtypes, tensor_api as T
from rushlight.core.autocast import lower_dtype
from rushlight.core.autograd import known_as
from rushlight.core.tensor import Tensor
from rushlight.errors import DTypeError, warn_user
from rushlight.nn import functional as F, init
from rushlight.nn.modules import padded_rnn
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.rnn_cells import GRUCell, LSTMCell, RNNCell, RNNCellBase, State
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.rnn import PackedSequence, PaddedSequence
from rushlight.ops import recurrent
from rushlight.tensor_api._common import as_int

__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

STEPS = {"GRU": recurrent.gru_step, "LSTM": recurrent.lstm_step}

# How many blocks of hidden_size rows the weights have: the gates.
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


class RNNBase(Module):
    """Parameters, checks and the loop over layers of RNN, LSTM and GRU.

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: features of the input, > 0.
        hidden_size: features of the state, > 0.
        num_layers: layers on top of each other, > 0.
        bias: whether there are biases.
        batch_first: (batch, time, feature) instead of (time, batch, feature).
        dropout: probability of dropping an output between layers, in training.
        bidirectional: run over each sequence from its end too, and join both outputs.
        proj_size: LSTM's outputs are projected to this size, < hidden_size; 0 for not at all.
        device: where the parameters are.
        dtype: their element type.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = as_int(num_layers, "num_layers")
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_arguments()
        self._make_parameters({"device": device, "dtype": dtype})
        self.reset_parameters()

    def _check_arguments(self) -> None:
        for name, kind in (
            ("input_size", int),
            ("hidden_size", int),
            ("bias", bool),
            ("batch_first", bool),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
        if not isinstance(self.dropout, numbers.Number) or not 0 <= self.dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warn_user(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={self.dropout} and "
                f"num_layers={self.num_layers}"
            )
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.mode not in GATES:
            raise ValueError(f"Unrecognized RNN mode: {self.mode}")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")

    def _make_parameters(self, factory: dict[str, Any]) -> None:
        """weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0, then _reverse, then
        layer 1 ..."""
        rows = GATES[self.mode] * self.hidden_size
        out = self.proj_size or self.hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(self.num_layers):
            size = self.input_size if layer == 0 else out * self._directions
            for direction in range(self._directions):
                suffix = f"l{layer}" + ("_reverse" if direction else "")
                shapes = {"weight_ih": (rows, size), "weight_hh": (rows, out)}
                if self.bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if self.proj_size:
                    shapes["weight_hr"] = (self.proj_size, self.hidden_size)
                names = [f"{name}_{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(T.empty(shape, **factory)))
                self._all_weights.append(names)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @_flat_weights.setter
    def _flat_weights(self, weights: list[Any]) -> None:
        """Libraries that put other tensors in the places of parameters say so here, too."""
        for name, weight in zip(self._flat_weights_names, weights, strict=True):
            if weight is not getattr(self, name):
                self._parameters[name] = weight

    def __getstate__(self) -> dict[str, Any]:
        """With the lists that PyTorch keeps besides the parameters."""
        names = ("_flat_weights_names", "_flat_weights")
        return super().__getstate__() | {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        derived = ("_flat_weights", "_flat_weights_names", "_flat_weight_refs")
        state = {name: value for name, value in state.items() if name not in derived}
        super().__setstate__({"proj_size": 0, **state})

    def flatten_parameters(self) -> None:
        """Accepted for PyTorch's programs: there is nothing to do here."""

    def reset_parameters(self) -> None:
        """Draw the parameters from ``U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))``."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text

    # -- forward ---------------------------------------------------------------------------------

    def _forward(self, input: Any, states: State | None) -> tuple[Any, State]:
        """Run all layers. The states are (layers and directions, B, features) each."""
        if type(input) is PaddedSequence and padded_rnn.is_fine(self, input):
            return padded_rnn.forward(self, input, states)
        packed = isinstance(input, PackedSequence)
        data, sizes = (input.data, input.batch_sizes.tolist()) if packed else (input, None)
        single = not packed and data.dim() == 2
        if single:
            data = data.unsqueeze(1)
            states = states and tuple(s.unsqueeze(1) for s in states)
        elif self.batch_first and not packed:
            data = data.transpose(0, 1)
        self._check_data(data, packed)
        order = input.sorted_indices if packed else None
        if states is None:
            states = self._zero_states(data, sizes[0] if packed else data.size(1))
        else:
            self._check_states(states, data, sizes[0] if packed else data.size(1))
            if order is not None:
                states = tuple(s.index_select(1, order) for s in states)
        output, last = self._run_layers(data, sizes, states)
        if self._directions == 1:
            of_kernel = self.mode == "LSTM" and not (packed or self.proj_size)
            of_kernel = of_kernel and data._array.dtype is not dtypes.float64
            name = "MkldnnRnnLayerBackward0" if of_kernel else "StackBackward0"
            known_as("CatBackward0" if packed else name, output)
        if packed:
            if order is not None:
                last = tuple(s.index_select(1, input.unsorted_indices) for s in last)
            return input._with(output), last
        if single:
            return output.squeeze(1), tuple(s.squeeze(1) for s in last)
        if not self.batch_first:
            return output, last
        out = output.transpose(0, 1)
        return out if self.mode == "LSTM" else known_as("TransposeBackward1", out), last

    def _zero_states(self, data: Tensor, batch: int) -> State:
        count = self.num_layers * self._directions
        sizes = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            sizes.append(self.hidden_size)
        return tuple(
            T.zeros((count, batch, n), dtype=data.dtype, device=data.device) for n in sizes
        )

    def _run_layers(
        self, data: Tensor, sizes: list[int] | None, states: State
    ) -> tuple[Tensor, State]:
        last = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self._directions):
                k = layer * self._directions + direction
                first = tuple(s[k] for s in states)
                output, state = self._run_one(k, data, sizes, first, direction == 1)
                outputs.append(output)
                last.append(state)
            data = outputs[0] if len(outputs) == 1 else T.cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        return data, tuple(T.stack(states) for states in zip(*last, strict=True))

    def _run_one(
        self,
        k: int,
        data: Tensor,
        sizes: list[int] | None,
        first: State,
        reverse: bool,
        inside: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """One layer in one direction: the input's contribution to all steps in one product, then
        step by step."""
        weights = {name.split("_l")[0]: getattr(self, name) for name in self._all_weights[k]}
        inputs = F.linear(data, weights["weight_ih"], weights.get("bias_ih"))
        if inside is not None and self.mode == "LSTM":
            inputs = T.where(inside, inputs, padded_rnn.closed(inputs, self.hidden_size))
        shape = inputs.shape
        if sizes is None:
            sizes = [shape[1]] * shape[0]
            inputs = inputs.flatten(0, 1)
        own = weights["weight_hh"], weights.get("bias_hh")
        if self.proj_size or self._keeps_state(first[0]):
            projection = weights.get("weight_hr")
            step = STEPS[self.mode] if projection is None else _projected(projection)
            output, last = recurrent.scan(step, inputs, first, *own, sizes, reverse)
        else:
            layer = recurrent.LAYERS[self.mode]
            output, *last = layer.bind(inputs, *own, *first, sizes=sizes, reverse=reverse)
            last = tuple(last[: len(first)])
        return (output.unflatten(0, shape[:2]) if len(shape) == 3 else output), last

    def _keeps_state(self, state: Tensor) -> bool:
        """Whether autocast leaves the state's dtype alone: in a GRU, and float16 in an LSTM."""
        lower, own = lower_dtype(state), state._array.dtype
        if lower is None or self.mode == "GRU":
            return lower is not None
        return self.mode == "LSTM" and not state.is_cuda and lower != own == dtypes.float16

    # -- checks ----------------------------------------------------------------------------------

    def _check_dims(self, input: Any, states: State | None) -> None:
        """Both with a batch, or both without."""
        if isinstance(input, PackedSequence):
            return
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        if states is None or all(s.dim() == input.dim() for s in states):
            return
        many = len(states) > 1
        got = ", ".join(f"{s.dim()}-D" for s in states)
        kind = "batched" if input.dim() == 3 else "unbatched"
        raise RuntimeError(
            f"For {kind} {input.dim()}-D input, {'hx and cx' if many else 'hx'} should also be "
            f"{input.dim()}-D but got {f'({got})' if many else got} tensor{'s' if many else ''}"
        )

    def _check_data(self, data: Tensor, packed: bool) -> None:
        weight = getattr(self, self._all_weights[0][0])
        if data.dtype != weight.dtype and lower_dtype(data) is None:
            raise ValueError(
                f"RNN input dtype ({data.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: model.to({data.dtype})"
            )
        if data.size(-1) != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {data.size(-1)}"
            )
        if not packed and data.size(0) == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

    def _check_states(self, states: State, data: Tensor, batch: int) -> None:
        count = self.num_layers * self._directions
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        for i, (state, size) in enumerate(zip(states, sizes, strict=False)):
            expected = (count, batch, size)
            if tuple(state.shape) != expected:
                name = f"hidden[{i}]" if len(states) > 1 else "hidden"
                raise RuntimeError(f"Expected {name} size {expected}, got {list(state.shape)}")
            if state._array.dtype is not data._array.dtype and lower_dtype(state) is None:
                raise DTypeError(
                    f"{self._get_name()}: the hidden state's dtype {state.dtype} must be the "
                    f"input's, {data.dtype}; convert one with .to()."
                )


def _projected(weight_hr: Tensor) -> recurrent.Step:
    """An LSTM's step whose output is projected to fewer features."""

    def step(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        h, c = recurrent.lstm_step(x, state, weight, bias)
        return F.linear(h, weight_hr), c

    return step


class RNN(RNNBase):
    """Elman network: ``h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)``, in each layer.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers on top of each other.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: (batch, time, feature) instead of (time, batch, feature).
        dropout: probability of dropping an output between layers, in training.
        bidirectional: run over each sequence from its end too, and join both outputs.
        device: where the parameters are.
        dtype: their element type.

    Shape: input ``(T, B, input_size)`` or packed, h_0 ``(layers directions, B, hidden_size)`` ->
    output ``(T, B, directions hidden_size)`` and h_T like h_0; all without B for one sequence.

    Example:
        >>> output, h = nn.RNN(3, 5)(torch.zeros(7, 2, 3))
        >>> output.shape, h.shape
        (torch.Size([7, 2, 5]), torch.Size([1, 2, 5]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if self.nonlinearity not in modes:
            raise ValueError(
                f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(modes[self.nonlinearity], *args, **kwargs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        states = None if hx is None else (hx,)
        self._check_dims(input, states)
        output, (h,) = self._forward(input, states)
        return output, h


class LSTM(RNNBase):
    """Long short-term memory: a state c that gates write to, forget and read.

        i, f, g, o = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
        c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g)      h_t = sigmoid(o) tanh(c_t)

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers on top of each other.
        bias: whether there are biases.
        batch_first: (batch, time, feature) instead of (time, batch, feature).
        dropout: probability of dropping an output between layers, in training.
        bidirectional: run over each sequence from its end too, and join both outputs.
        proj_size: project h to this size, < hidden_size; 0 for not at all.
        device: where the parameters are.
        dtype: their element type.

    Shape: input ``(T, B, input_size)`` or packed, h_0 and c_0
    ``(layers directions, B, hidden_size)`` -> output ``(T, B, directions hidden_size)`` and (h_T,
    c_T); all without B for one sequence.

    Example:
        >>> output, (h, c) = nn.LSTM(3, 5, batch_first=True)(torch.zeros(2, 7, 3))
        >>> output.shape, c.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))

    Reference: Hochreiter and Schmidhuber, 1997.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        if hx is not None and len(hx) < 2:
            raise IndexError("LSTM: hx must be a tuple (h_0, c_0), but only one state was given.")
        states = None if hx is None else (hx[0], hx[1])
        self._check_dims(input, states)
        return self._forward(input, states)


class GRU(RNNBase):
    """Gated recurrent unit; h stands for h_(t-1).

        r = sigmoid(W_ir x_t + b_ir + W_hr h + b_hr)    z = sigmoid(W_iz x_t + b_iz + W_hz h + b_hz)
        n = tanh(W_in x_t + b_in + r (W_hn h + b_hn))   h_t = (1 - z) n + z h

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers on top of each other.
        bias: whether there are biases.
        batch_first: (batch, time, feature) instead of (time, batch, feature).
        dropout: probability of dropping an output between layers, in training.
        bidirectional: run over each sequence from its end too, and join both outputs.
        device: where the parameters are.
        dtype: their element type.

    Shape: input ``(T, B, input_size)`` or packed, h_0 ``(layers directions, B, hidden_size)`` ->
    output ``(T, B, directions hidden_size)`` and h_T like h_0; all without B for one sequence.

    Example:
        >>> gru = nn.GRU(3, 4, num_layers=2, batch_first=True)
        >>> output, last = gru(torch.randn(5, 7, 3))
        >>> output.shape, last.shape
        (torch.Size([5, 7, 4]), torch.Size([2, 5, 4]))

    Reference: Cho et al., 2014, arXiv:1406.1078.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        states = None if hx is None else (hx,)
        self._check_dims(input, states)
        output, (h,) = self._forward(input, states)
        return output, h
