"""Whose classes are whose: files name classes by PyTorch's module paths, and rushlight's are
elsewhere.

Everything goes by name and is looked up only when a file or an object asks for it.
"""

from __future__ import annotations

import importlib
import pickle
from typing import Any

from rushlight.tensor_api import typed_storage

_REBUILD = "rushlight.tensor_api.pickling"
_TYPED = "rushlight.tensor_api.typed_storage"
_PARAMETER = "rushlight.nn.parameter"

# Names whose places differ: PyTorch's (module, name) -> module here.
MOVED = {
    ("torch", "Tensor"): "rushlight.core.tensor",
    ("torch", "device"): "rushlight.devices",
    ("torch.storage", "UntypedStorage"): "rushlight.tensor_api.storage",
    ("torch.storage", "TypedStorage"): _TYPED,
    ("torch._tensor", "_rebuild_from_type_v2"): _REBUILD,
    ("torch._utils", "_rebuild_tensor"): _REBUILD,
    ("torch._utils", "_rebuild_tensor_v2"): _REBUILD,
    ("torch._utils", "_rebuild_tensor_v3"): _REBUILD,
    ("torch._utils", "_rebuild_parameter"): _PARAMETER,
    ("torch._utils", "_rebuild_parameter_with_state"): _PARAMETER,
}

# PyTorch's module below torch.nn.modules, for each of its layers.
_LAYERS = {
    "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU "
    "LogSigmoid "
    "LogSoftmax Mish MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d "
    "Softmin Softplus Softshrink Softsign Tanh Tanhshrink Threshold",
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d LazyBatchNorm1d LazyBatchNorm2d "
    "LazyBatchNorm3d SyncBatchNorm",
    "channelshuffle": "ChannelShuffle",
    "container": "Container ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d "
    "LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d "
    "LazyInstanceNorm2d LazyInstanceNorm3d",
    "linear": "Bilinear Identity LazyLinear Linear",
    "loss": "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss "
    "GaussianNLLLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss "
    "MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d "
    "PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss",
    "module": "Module",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "padding": "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d "
    "ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d "
    "ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d",
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d "
    "AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d "
    "FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d "
    "MaxUnpool2d MaxUnpool3d",
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase",
    "sparse": "Embedding EmbeddingBag",
    "transformer": "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder "
    "TransformerEncoderLayer",
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}
_LAYER_HOME = {
    name: f"torch.nn.modules.{m}" for m, names in _LAYERS.items() for name in names.split()
}
_OPTIMIZERS = (
    "ASGD Adadelta Adagrad Adam AdamW Adamax LBFGS NAdam Optimizer RAdam RMSprop Rprop SGD"
)
_OPTIMIZER_HOME = {name: f"torch.optim.{name.lower()}" for name in _OPTIMIZERS.split()}
_OPTIMIZER_HOME["SparseAdam"] = "torch.optim.sparse_adam"

# Classes below a folder here -> PyTorch's module for each.
HOMES = {"rushlight.nn": _LAYER_HOME, "rushlight.optim": _OPTIMIZER_HOME}
_HOME_OF_MOVED = {(here, name): there for (there, name), here in MOVED.items()}
_HOME_OF_MOVED.update({(_TYPED, name): "torch" for name in typed_storage.NAMES})

# PyTorch's modules for built-in functions -> where rushlight has them.
_BUILTIN = {"torch._C._nn": "torch.nn.functional", "torch._C": "torch"}


def torch_name(module: str, name: str) -> tuple[str, str]:
    """PyTorch's (module, name) for a class or function of ours; others keep theirs."""
    if module != "rushlight" and not module.startswith("rushlight."):
        return module, name
    if (module, name) in _HOME_OF_MOVED:
        return _HOME_OF_MOVED[module, name], name
    for folder, homes in HOMES.items():
        if (module + ".").startswith(folder + ".") and name in homes:
            return homes[name], name
    return "torch" + module.removeprefix("rushlight"), name


def _look_up(module: str, name: str) -> Any:
    """``module.name``, or None when there is no such module or name."""
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found


def find(module: str, name: str) -> Any:
    """What PyTorch calls ``module.name``. Imports modules of rushlight only.

    It is where `MOVED` says, or in the module of the same path, or in the nearest package above.
    """
    if (module, name) in MOVED:
        return _look_up(MOVED[module, name], name)
    if module in ("torch", "torch.cuda") and name in typed_storage.NAMES:
        return getattr(typed_storage, name)
    if (module, name) == ("torch._C", "_VariableFunctionsClass"):
        return importlib.import_module("rushlight")
    path = "rushlight" + _BUILTIN.get(module, module).removeprefix("torch")
    while path:
        found = _look_up(path, name)
        if found is not None:
            return found
        path = path.rpartition(".")[0]
    raise pickle.UnpicklingError(
        f"load: the file holds a {module}.{name}, which rushlight does not have. "
        "Save a state_dict() instead of the whole object, and load that."
    )
