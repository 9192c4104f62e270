"""Programs run as they are: ``import torch`` gives rushlight."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch as theirs

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
import rushlight
import helper

assert torch is rushlight and F is rushlight.nn.functional and helper.torch is torch
assert nn.Linear is rushlight.nn.Linear and torch.__spec__.name == "rushlight"
assert torch.__name__ == "torch"
from torch.autograd.gradcheck import gradcheck
assert torch.autograd.gradcheck is gradcheck
print(__name__, sys.argv[1:], torch.ones(2).tolist())
"""


SHOWN = """
import io, pickle, sys
import torch
from torch import fx, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets, models, transforms

model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
shown = [torch.ones(1), torch.Size(), torch.float32, nn.Parameter(torch.ones(1)), model[0],
    nn.MultiheadAttention(2, 1), nn.PReLU(), nn.ConvTranspose2d(1, 1, 1), nn.HingeEmbeddingLoss(),
    nn.LSTMCell(1, 1),
    torch.optim.AdamW(model.parameters()), torch.distributions.Normal(0.0, 1.0),
    TensorDataset(torch.ones(1)), transforms.ToTensor(), transforms.RandomCrop(2),
    datasets.FakeData(2), models.squeezenet1_0(), models.resnet.BasicBlock(1, 1)]
for x in shown:
    print(type(x))
    assert type(pickle.loads(pickle.dumps(x))) is type(x)
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    assert type(torch.load(file, weights_only=False)) is type(x)
model(torch.ones(2)).sum().backward()
shown[5].step()
assert any("_plans" in name for name in vars(shown[5])), "updates by programs"
class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x / 2, x / 4
    @staticmethod
    def backward(ctx, g, h):
        return g / 2 + h / 4
assert "<torch.autograd.function.HalfBackward" in repr(Half.apply(shown[3])[1].grad_fn)
nn.utils.parametrizations.weight_norm(model[0])
assert str(type(model[0])) == "<class 'torch.nn.utils.parametrize.ParametrizedLinear'>"
assert repr(iter(DataLoader([1]))).startswith(
    "<torch.utils.data.dataloader._SingleProcessDataLoaderIter object")
assert repr(torch.manual_seed(0)).startswith("<torch._C.Generator object")
assert repr(torch.no_grad()).startswith("<torch.autograd.grad_mode.no_grad object")
assert str(datasets.VisionDataset) == "<class 'torchvision.datasets.vision.VisionDataset'>"
assert [n.op for n in fx.symbolic_trace(model).graph.nodes][1] == "call_module"
"""
PICKLED = """
import pickle
import torch
with open("parts.pkl", "rb") as file:
    parts, model = pickle.load(file)
assert parts["whole"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
assert parts["part"].tolist() == [1.0, 4.0] and parts["part"].stride() == (3,)
assert isinstance(parts["parameter"], torch.nn.Parameter)
assert model(torch.ones(3, 2)).shape == (3, 1)
print(torch.__spec__.name)
"""
COMPILED = """
import torch, torchaudio
print(torchaudio._extension.FOUND)
try:
    torch.ops.load_library("operators.so")
except OSError as error:
    print("refused")
"""
TYPES = """
torch.Tensor torch.Size torch.dtype torch.nn.parameter.Parameter torch.nn.modules.linear.Linear
torch.nn.modules.activation.MultiheadAttention torch.nn.modules.activation.PReLU
torch.nn.modules.conv.ConvTranspose2d torch.nn.modules.loss.HingeEmbeddingLoss
torch.nn.modules.rnn.LSTMCell
torch.optim.adamw.AdamW torch.distributions.normal.Normal torch.utils.data.dataset.TensorDataset
torchvision.transforms.transforms.ToTensor torchvision.transforms.transforms.RandomCrop
torchvision.datasets.fakedata.FakeData torchvision.models.squeezenet.SqueezeNet
torchvision.models.resnet.BasicBlock
""".split()  # noqa: SIM905
OBJECTS = """
class Scalar:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__
"""


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "rushlight", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


SETTINGS = """
import torch._dynamo.config
import torch._functorch.config as functorch_config
from torch.multiprocessing.spawn import ProcessContext

torch._dynamo.config.cache_size_limit = 64
functorch_config.donated_buffer = False
limit, donated = torch._dynamo.config.recompile_limit, torch._functorch.config.donated_buffer
print(limit, donated, ProcessContext is torch.multiprocessing.ProcessContext)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "program.py").write_text(PROGRAM)
    (tmp_path / "code" / "helper.py").write_text("import torch\n")
    return tmp_path


def test_a_file(folder):
    done = run(folder, "code/program.py", "--epochs", "3")
    assert done.stdout == "__main__ ['--epochs', '3'] [1.0, 1.0]\n", done.stderr


def test_a_module(folder):
    done = run(folder / "code", "-m", "program", "x")
    assert done.stdout == "__main__ ['x'] [1.0, 1.0]\n", done.stderr


def test_types_are_shown_as_torchs(folder):
    (folder / "shown.py").write_text(SHOWN)
    done = run(folder, "shown.py")
    assert done.stdout.split("\n")[:-1] == [f"<class '{name}'>" for name in TYPES], done.stderr


def test_objects_of_the_programs_and_its_modules_answer(folder):
    use = "print(torch.mean(Scalar()), torch.nn.functional.relu(Scalar()))"
    (folder / "main.py").write_text(f"import torch\n{OBJECTS}\n{use}\n")
    (folder / "scalars.py").write_text(OBJECTS)
    (folder / "other.py").write_text(f"import torch\nfrom scalars import Scalar\n{use}\n")
    for program in ("main.py", "other.py"):
        done = run(folder, program)
        assert done.stdout == "mean relu\n", done.stderr


def test_what_goes_wrong_is_said(folder):
    assert "no file 'none.py'" in run(folder, "none.py").stderr
    done = run(folder)
    assert done.returncode == 2 and "usage:" in done.stdout
    (folder / "bad.py").write_text("import torch.nothing\n")
    assert "No module named 'torch.nothing': rushlight" in run(folder, "bad.py").stderr
    (folder / "bad.py").write_text("import torch.quantized\n")
    assert "quantized tensors are not supported: keep" in run(folder, "bad.py").stderr


def test_settings_are_modules(folder):
    (folder / "program.py").write_text(SETTINGS)
    done = run(folder, "program.py")
    assert done.stdout == "64 False True\n", done.stderr


def test_functorch(folder):
    use = "import torch, functorch\nfrom functorch import grad\nprint(grad is torch.func.grad)\n"
    (folder / "program.py").write_text(use)
    done = run(folder, "program.py")
    assert done.stdout == "True\n", done.stderr


def test_torch_itself_is_not_replaced_once_it_is_there():
    import torch

    from rushlight import alias

    finders = list(sys.meta_path)
    with pytest.raises(ImportError, match="already"):
        alias.install()
    assert sys.meta_path == finders and torch.__name__ == "torch"


def test_plain_pickles_of_pytorch(folder):
    """Tensors that pickle, joblib and the like wrote, without torch.save."""
    weight = theirs.arange(6.0).reshape(2, 3)
    parts = {"whole": weight, "part": weight[:, 1], "parameter": theirs.nn.Parameter(weight)}
    (folder / "parts.pkl").write_bytes(pickle.dumps([parts, theirs.nn.Linear(2, 1)]))
    (folder / "program.py").write_text(PICKLED)
    done = run(folder, "program.py")
    assert done.stdout.split() == ["rushlight"], done.stderr


def test_compiled_parts_of_other_libraries(folder):
    """torchaudio goes on in Python; operators in a library cannot be had."""
    home = folder / "torchaudio" / "_extension"
    home.mkdir(parents=True)
    (home.parent / "__init__.py").write_text("from torchaudio import _extension")
    (home / "__init__.py").write_text(
        "from .utils import _load_lib\nFOUND = _load_lib('_torchaudio')"
    )
    (home / "utils.py").write_text(
        "import torch\ndef _load_lib(name):\n    return torch.ops.load_library(name) is None"
    )
    (folder / "program.py").write_text(COMPILED)
    done = run(folder, "program.py")
    assert done.stdout.split() == ["False", "refused"], done.stderr
