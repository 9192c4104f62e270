"""One line or more for every public layer: how it is built, and the shapes that it is called with.

An input is a shape (normal values), an ``Index(high, shape)``, or a value passed as it is.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Index:
    """Integers in [0, high)."""

    high: int
    shape: tuple[int, ...]


@dataclass
class Probability:
    """Values in (0, 1)."""

    shape: tuple[int, ...]


@dataclass
class Sign:
    """1 or -1."""

    shape: tuple[int, ...]


@dataclass
class Case:
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    call: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        options = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())]
        shown = ", ".join(options) if len(options) < 6 else f"{len(options)} options"
        return f"{self.name}({shown})"


CASES: list[Case] = []


def case(name, *args, on=(), call=None, **kwargs):
    CASES.append(Case(name, args, kwargs, on if isinstance(on, tuple) else (on,), call or {}))


def each(names, *args, on=(), **kwargs):
    for name in names.split():
        case(name, *args, on=on, **kwargs)


X = ((3, 4),)  # one input of this shape

# -- linear and simple ---------------------------------------------------------------------------
case("Identity", 1, unused=2, on=X)
case("Linear", 4, 5, on=X)
case("Linear", 4, 5, bias=False, on=((2, 3, 4),))
case("Bilinear", 4, 3, 2, on=((5, 4), (5, 3)))
case("Bilinear", 4, 3, 2, False, on=((5, 4), (5, 3)))
case("LazyLinear", 5, on=X)
case("LazyLinear", 5, bias=False, on=X)
case("Flatten", on=((2, 3, 4),))
case("Flatten", 0, 1, on=((2, 3, 4),))
case("Unflatten", 1, (2, 3), on=((2, 6),))
case("ChannelShuffle", 2, on=((1, 4, 3, 3),))
case("PixelShuffle", 2, on=((1, 8, 3, 3),))
case("PixelUnshuffle", 2, on=((1, 2, 4, 4),))
case("Fold", (4, 5), (2, 2), on=((1, 8, 12),))
case("Unfold", 2, stride=2, padding=1, on=((1, 2, 4, 4),))
case("Upsample", scale_factor=2, on=((1, 2, 3, 3),))
case("Upsample", size=(5, 7), mode="bilinear", align_corners=True, on=((1, 2, 3, 3),))
each("UpsamplingNearest2d UpsamplingBilinear2d", scale_factor=2, on=((1, 2, 3, 3),))
case("CosineSimilarity", on=((3, 4), (3, 4)))
case("PairwiseDistance", p=1.0, keepdim=True, on=((3, 4), (3, 4)))
case("Sequential")
case("ModuleList")
case("ModuleDict")
case("ParameterList")
case("ParameterDict")
case("Container")

# -- activations ---------------------------------------------------------------------------------
INPLACE = "CELU ELU Hardsigmoid Hardswish Hardtanh LeakyReLU Mish ReLU ReLU6 SELU SiLU"
each(INPLACE, on=X)
each(INPLACE, inplace=True)
each("GELU Hardshrink LogSigmoid PReLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink", on=X)
each("Softmax Softmin LogSoftmax", dim=1, on=X)
case("Softmax2d", on=((2, 3, 4, 4),))
case("GLU", on=X)
case("GLU", 0, on=((4, 3),))
case("GELU", approximate="tanh", on=X)
case("RReLU")
case("Threshold", 0.1, 20, on=X)
each("CELU ELU", 0.5, on=X)
each("Hardshrink Softshrink", 0.3, on=X)
case("Hardtanh", -0.5, 0.5, on=X)
case("LeakyReLU", 0.2, on=X)
case("PReLU", 3, on=((2, 3, 4),))
case("Softplus", 2.0, 1.0, on=X)

# -- convolution ---------------------------------------------------------------------------------
for dims in (1, 2, 3):
    places = (5,) * dims
    batch, single = (2, 4, *places), (4, *places)
    case(f"Conv{dims}d", 4, 6, 3, on=(batch,))
    case(f"Conv{dims}d", 4, 6, 3, 2, 1, 1, 2, False, on=(single,))
    case(f"Conv{dims}d", 4, 2, 3, padding="same", padding_mode="circular", on=(batch,))
    case(f"Conv{dims}d", 4, 2, 3, padding=1, dilation=2, padding_mode="replicate", on=(batch,))
    case(f"ConvTranspose{dims}d", 4, 6, 3, on=(batch,))
    case(f"ConvTranspose{dims}d", 4, 6, 3, 2, 1, 1, 2, False, on=(single,))
    case(f"ConvTranspose{dims}d", 4, 2, 3, 2, on=(batch,), call={"output_size": (12,) * dims})
    case(f"LazyConv{dims}d", 6, 3, on=(batch,))
    case(f"LazyConvTranspose{dims}d", 6, 3, groups=2, on=(batch,))

# -- pooling -------------------------------------------------------------------------------------
for dims in (1, 2, 3):
    places = (6,) * dims
    batch = (2, 4, *places)
    case(f"MaxPool{dims}d", 2, on=(batch,))
    case(f"MaxPool{dims}d", 3, 2, 1, ceil_mode=True, return_indices=True, on=(batch,))
    case(f"AvgPool{dims}d", 2, on=(batch,))
    case(f"AvgPool{dims}d", 3, 2, 1, count_include_pad=False, on=(batch,))
    case(f"AdaptiveAvgPool{dims}d", 3, on=(batch,))
    case(f"AdaptiveMaxPool{dims}d", 4, on=(batch,))
    case(f"LPPool{dims}d", 2, 3, on=(batch,))
    case(f"MaxUnpool{dims}d", 2, on=((1, 1, *(2,) * dims), Index(1, (1, 1, *(2,) * dims))))
case("AdaptiveAvgPool2d", (None, 2), on=((2, 4, 6, 6),))
case("FractionalMaxPool2d", 2, output_size=3)
case("FractionalMaxPool3d", 2, output_ratio=0.5)

# -- normalisation -------------------------------------------------------------------------------
for dims in (1, 2, 3):
    batch = (4, 3, *(5,) * dims)
    case(f"BatchNorm{dims}d", 3, on=(batch,))
    case(f"BatchNorm{dims}d", 3, momentum=None, affine=False, on=(batch,))
    case(f"BatchNorm{dims}d", 3, 1e-3, 0.3, track_running_stats=False, bias=False, on=(batch,))
    case(f"InstanceNorm{dims}d", 3, on=(batch,))
    case(f"InstanceNorm{dims}d", 3, affine=True, track_running_stats=True, on=(batch[1:],))
    case(f"LazyBatchNorm{dims}d", on=(batch,))
    case(f"LazyInstanceNorm{dims}d", affine=True, on=(batch,))
case("BatchNorm1d", 4, on=X)
case("SyncBatchNorm", 3)
case("LayerNorm", 4, on=X)
case("LayerNorm", (3, 4), 1e-3, bias=False, on=((2, 3, 4),))
case("LayerNorm", 4, elementwise_affine=False, on=X)
case("GroupNorm", 2, 4, on=((3, 4, 5),))
case("GroupNorm", 1, 4, affine=False, on=((3, 4, 5),))
case("RMSNorm", 4, on=X)
case("RMSNorm", (3, 4), 1e-3, False, on=((2, 3, 4),))
case("LocalResponseNorm", 3, on=((2, 5, 4, 4),))
case("CrossMapLRN2d", 3)

# -- dropout and padding -------------------------------------------------------------------------
each("Dropout AlphaDropout", 0.0, on=X)
each("Dropout1d FeatureAlphaDropout", 0.0, on=((2, 3, 4),))
case("Dropout2d", 0.0, on=((2, 3, 4, 4),))
case("Dropout3d", 0.0, on=((2, 3, 4, 4, 4),))
case("Dropout", 0.3, True)
for dims in (1, 2, 3):
    batch = (2, 3, *(5,) * dims)
    sides = tuple(range(1, 1 + 2 * dims))[: 2 * dims]
    small = tuple(n % 3 for n in sides)
    case(f"ConstantPad{dims}d", 2, 3.5, on=(batch,))
    case(f"ConstantPad{dims}d", sides, -1.0, on=(batch,))
    case(f"ZeroPad{dims}d", sides, on=(batch,))
    for kind in ("Reflection", "Replication", "Circular"):
        case(f"{kind}Pad{dims}d", small, on=(batch,))
        case(f"{kind}Pad{dims}d", 1, on=(batch[1:],))

# -- embeddings ----------------------------------------------------------------------------------
case("Embedding", 10, 3, on=(Index(10, (2, 4)),))
case("Embedding", 10, 3, padding_idx=-1, on=(Index(10, (2, 4)),))
case("Embedding", 10, 3, max_norm=1.0, norm_type=1.0, on=(Index(10, (2, 4)),))
case("Embedding", 10, 3, scale_grad_by_freq=True, on=(Index(4, (2, 4)),))
for mode in ("sum", "mean", "max"):
    case("EmbeddingBag", 10, 3, mode=mode, on=(Index(10, (4, 5)),))
case("EmbeddingBag", 10, 3, padding_idx=2, on=(Index(10, (4, 5)),))

# -- recurrent -----------------------------------------------------------------------------------
for kind in ("RNN", "LSTM", "GRU"):
    case(kind, 3, 5, on=((4, 2, 3),))
    case(kind, 3, 5, num_layers=2, bidirectional=True, batch_first=True, on=((2, 4, 3),))
    case(kind, 3, 5, bias=False, on=((4, 3),))
    case(f"{kind}Cell", 3, 5, on=((2, 3),))
    case(f"{kind}Cell", 3, 5, False, on=((3,),))
case("RNN", 3, 5, 1, "relu", on=((4, 2, 3), (1, 2, 5)))
case("RNNCell", 3, 5, nonlinearity="relu", on=((2, 3), (2, 5)))
case("LSTM", 3, 5, proj_size=2, on=((4, 2, 3),))
case("RNNBase", "GRU", 3, 5)
case("RNNCellBase", 3, 5, True, 2)

# -- attention -----------------------------------------------------------------------------------
E = (5, 2, 4)
case("MultiheadAttention", 4, 2, on=(E, E, E))
case("MultiheadAttention", 4, 2, batch_first=True, bias=False, on=(E, E, E))
case("MultiheadAttention", 4, 2, add_bias_kv=True, add_zero_attn=True, on=(E, E, E))
case("MultiheadAttention", 4, 2, kdim=3, vdim=6, on=(E, (7, 2, 3), (7, 2, 6)))
case("TransformerEncoderLayer", 4, 2, 8, 0.0, on=(E,))
case("TransformerEncoderLayer", 4, 2, 8, 0.0, "gelu", norm_first=True, bias=False, on=(E,))
case("TransformerDecoderLayer", 4, 2, 8, 0.0, on=(E, (3, 2, 4)))
case("TransformerDecoderLayer", 4, 2, 8, 0.0, batch_first=True, norm_first=True, on=(E, (5, 3, 4)))
case("Transformer", 4, 2, 1, 1, 8, 0.0, on=(E, (3, 2, 4)))


@dataclass
class Layer:
    """A layer as an argument of another."""

    name: str
    args: tuple[Any, ...]

    def build(self, nn):
        return getattr(nn, self.name)(*self.args)


ENCODER = Layer("TransformerEncoderLayer", (4, 2, 8, 0.0))
case("TransformerEncoder", ENCODER, 2, enable_nested_tensor=False, on=(E,))
case("DataParallel", Layer("Linear", (4, 5)), on=X)
case("TransformerDecoder", Layer("TransformerDecoderLayer", (4, 2, 8, 0.0)), 2, on=(E, (3, 2, 4)))

# -- losses --------------------------------------------------------------------------------------
PAIR = ((3, 4), (3, 4))
for options in ({}, {"reduction": "sum"}, {"reduction": "none"}):
    each("L1Loss MSELoss SmoothL1Loss HuberLoss", on=PAIR, **options)
    case("NLLLoss", on=((3, 4), Index(4, (3,))), **options)
    case("CrossEntropyLoss", on=((3, 4), Index(4, (3,))), **options)
    case("BCELoss", on=(Probability((3, 4)), Probability((3, 4))), **options)
    case("BCEWithLogitsLoss", on=((3, 4), Probability((3, 4))), **options)
    case("KLDivLoss", on=((3, 4), Probability((3, 4))), **options)
    case("SoftMarginLoss", on=((3, 4), Sign((3, 4))), **options)
    case("HingeEmbeddingLoss", on=((3, 4), Sign((3, 4))), **options)
    case("MarginRankingLoss", on=((3,), (3,), Sign((3,))), **options)
    case("CosineEmbeddingLoss", on=((3, 4), (3, 4), Sign((3,))), **options)
    case("TripletMarginLoss", on=((3, 4), (3, 4), (3, 4)), **options)
    case("TripletMarginWithDistanceLoss", on=((3, 4), (3, 4), (3, 4)), **options)
    case("MultiMarginLoss", on=((3, 4), Index(4, (3,))), **options)
    case("MultiLabelMarginLoss", on=((3, 4), Index(4, (3, 4))), **options)
    case("MultiLabelSoftMarginLoss", on=((3, 4), Index(2, (3, 4))), **options)
    case("PoissonNLLLoss", on=((3, 4), Index(5, (3, 4))), **options)
    case("GaussianNLLLoss", on=((3, 4), (3, 4), Probability((3, 1))), **options)
case("SmoothL1Loss", beta=0.3, on=PAIR)
case("HuberLoss", delta=0.3, on=PAIR)
case("CrossEntropyLoss", label_smoothing=0.2, ignore_index=1, on=((5, 4), Index(4, (5,))))
case("CrossEntropyLoss", on=((3, 4), Probability((3, 4))))
case("CrossEntropyLoss", on=((3, 4, 2), Index(4, (3, 2))))
case("KLDivLoss", reduction="batchmean", log_target=True, on=PAIR)
case("PoissonNLLLoss", log_input=False, full=True, on=(Probability((3, 4)), Index(5, (3, 4))))
case("MultiMarginLoss", 2, 0.5, on=((3, 4), Index(4, (3,))))
case("TripletMarginLoss", 0.5, 1.0, swap=True, on=((3, 4), (3, 4), (3, 4)))
case("NLLLoss2d", on=((2, 3, 4, 4), Index(3, (2, 4, 4))))
case("CTCLoss", on=((6, 2, 4), Index(3, (2, 3)), (6, 5), (3, 2)))
case("AdaptiveLogSoftmaxWithLoss", 8, 20, [5, 10], 2.0, on=((6, 8), Index(20, (6,))))
case("LinearCrossEntropyLoss", 4, 5, on=((3, 4), Index(5, (3,))))


def layers(nn):
    """The names of all public layers of a package."""
    return sorted(
        name
        for name, value in vars(nn).items()
        if not name.startswith("_") and inspect.isclass(value) and issubclass(value, nn.Module)
    )
