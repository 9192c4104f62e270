"""What errors say: of names that are not there, and where in a model they arose."""

import pickle
import traceback

import numpy as np
import pytest
import torch

import rushlight
from rushlight import errors, nn


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sparse_bsr_tensor", "without blocks"),
        ("quantize_per_tensor", "int8"),
        ("_nested_from_padded", "pad_sequence"),
        ("float4_e2m1fn_x2", "smallest"),
        ("package", "torch.compile"),
        ("_foreach_nonsense", "public function"),
    ],
)
def test_functions(name, says):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'.*{says}"):
        getattr(rushlight, name)
    assert not hasattr(rushlight, name)


@pytest.mark.parametrize(
    ("name", "says"), [("to_sparse_bsr", "without blocks"), ("q_scale", "int8")]
)
def test_methods(name, says):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'.*{says}"):
        getattr(rushlight.ones(2), name)
    assert not hasattr(rushlight.ones(2), name)


@pytest.mark.parametrize("place", [rushlight, rushlight.Tensor, nn.functional, nn.Module])
def test_what_is_listed_is_there(place):
    assert [name for name in dir(place) if not hasattr(place, name)] == []


def test_a_name_that_pytorch_lacks_too_gets_no_advice():
    with pytest.raises(AttributeError, match=r"no attribute 'relue'$"):
        rushlight.relue


def test_dense_tensors_are_dense():
    t = rushlight.ones(2)
    assert t.to_dense() is t
    assert t.to_dense(rushlight.float64).dtype == rushlight.float64


def text_of(call):
    try:
        call()
    except Exception as error:
        return "".join(traceback.format_exception(error))
    raise AssertionError("no error")


class Net(nn.Module):
    def __init__(self, inner=5):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(inner, 3)))

    def forward(self, x):
        return self.body(x)


def test_errors_say_where_in_the_model():
    text = text_of(lambda: Net()(rushlight.ones(2, 4)))
    assert text.splitlines()[-1] == (
        "In Linear(in_features=5, out_features=3, bias=True), which is 'body.1.1' of Net."
    )
    assert "not aligned" not in text  # NumPy's own error


def test_errors_of_a_module_itself_and_of_one_that_is_not_registered():
    class Outer(nn.Module):
        def forward(self, x):
            return Net()(x)

    class Broken(Net):
        def forward(self, x):
            return self.body[0](x)["nothing"]

    assert text_of(lambda: Broken()(rushlight.ones(2, 4))).splitlines()[-1] == "In Broken."
    said = text_of(lambda: Outer()(rushlight.ones(2, 4))).splitlines()[-1]
    assert said.endswith("which is 'body.1.1' of Net.")


def test_errors_of_compiled_modules_say_where_too():
    net = rushlight.compile(Net())
    for _ in range(3):
        assert "'body.1.1' of Net" in text_of(lambda: net(rushlight.ones(2, 4)))


def test_own_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(errors.ShapeError("sizes")))
    assert str(error) == "sizes"
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("given", [np.ones((2, 5), np.float32), [1.0, 2.0], 3])
@pytest.mark.parametrize("name", ["Linear", "ReLU", "LSTM", "CrossEntropyLoss"])
def test_what_is_no_tensor_for_a_module(name, given):
    module = getattr(nn, name)(*((5, 2) if name in ("Linear", "LSTM") else ()))
    arguments = (rushlight.ones(2, 5), given) if name == "CrossEntropyLoss" else (given,)
    with pytest.raises(TypeError, match="expected a Tensor, but got"):
        module(*arguments)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda a, b: a(2, 3) + b(4), "tensor a \\(3\\).*tensor b \\(4\\).*dimension 1"),
        (lambda a, b: a(4) * b(2, 3), "tensor a \\(4\\).*tensor b \\(3\\).*dimension 1"),
        (lambda a, b: a(2, 1, 3) - b(5, 4, 3), "tensor a \\(2\\).*tensor b \\(5\\).*dimension 0"),
        (lambda a, b: a(2, 3) @ b(2, 3), "last size \\(3\\).*first \\(2\\)"),
        (lambda a, b: a(2, 3, 4) @ b(3, 4, 5), "batches \\(2,\\) and \\(3,\\)"),
    ],
)
def test_errors_of_shapes_name_what_clashes(call, says):
    with pytest.raises(RuntimeError, match=says):
        call(rushlight.ones, rushlight.ones)


def fitting(gradient):
    """A Function whose backward returns ``gradient``."""

    class Double(rushlight.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return gradient

    Double.apply(rushlight.ones(2, 3, requires_grad=True)).sum().backward()


def unscaled_step():
    w = nn.Parameter(rushlight.ones(1))
    w.sum().backward()
    rushlight.amp.GradScaler("cpu").step(rushlight.optim.SGD([w], lr=0.1))


def used_twice():
    parameters = nn.Linear(2, 1).parameters()
    rushlight.optim.SGD(parameters, lr=0.1)
    rushlight.optim.Adam(parameters)


class Forgetful(nn.Module):
    def __init__(self):
        self.width = 3


def labels(*shape):
    return rushlight.zeros(shape, dtype=rushlight.int64)


r, F = rushlight.randn, nn.functional

MISTAKES = [
    (lambda: nn.Conv2d(3, 1, 2)(r(1, 8, 8, 3)), RuntimeError, "channels seem to come last"),
    (lambda: nn.Conv2d(3, 8, 3, groups=2), ValueError, "3 is not by 2"),
    (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"list is not a Module.*\*layers"),
    (lambda: nn.Sequential(F.relu), TypeError, r"function is not.*nn\.ReLU\(\) for F\.relu"),
    (lambda: nn.Sequential(nn.ReLU), TypeError, r"make an instance of it: ReLU\(\.\.\.\)"),
    (lambda: nn.Module()(1), NotImplementedError, "missing the required.*define forward"),
    (lambda: Forgetful().parameters().__next__(), AttributeError, r"super\(\).__init__\(\)"),
    (lambda: nn.Sequential(nn.LSTM(2, 2), nn.Linear(2, 1))(r(3, 2)), TypeError, "tuple; pick"),
    (lambda: nn.BatchNorm1d(3)(r(1, 3)), ValueError, "more than 1 value.*drop_last"),
    (used_twice, ValueError, "empty parameter list.*used up"),
    (lambda: rushlight.optim.SGD(nn.Linear(1, 1)), TypeError, r"Linear; pass net.parameters\(\)"),
    (unscaled_step, AssertionError, r"scaler\.scale\(loss\)"),
    (lambda: rushlight.compile(3), AssertionError, "function or a module, but got int"),
    (lambda: fitting(rushlight.ones(4, 3)), RuntimeError, r"got \[4, 3\].*\[2, 3\]"),
    (lambda: fitting(rushlight.ones(3, 2)), RuntimeError, r"got \[3, 2\].*\[2, 3\]"),
    (lambda: fitting(rushlight.ones(2, 3) * 1j), RuntimeError, "complex gradient"),
    (lambda: rushlight.tensor([[1, 2], [3]]), ValueError, r"length 2 at dim 1 \(got 1\)"),
    (lambda: rushlight.tensor([1.0, None]), RuntimeError, "infer dtype of NoneType"),
    (lambda: rushlight.tensor([1, [2]]), TypeError, "at dim 1, int, list"),
    (lambda: rushlight.linalg.solve(r(2, 2), r(3)), RuntimeError, r"AX = B: \(2, 2\) and \(3, 1\)"),
    (lambda: rushlight.lu_solve(r(2, 1), r(2, 2), r(3).int()), RuntimeError, "rows from 1 to 2"),
    (lambda: F.scaled_dot_product_attention(r(2, 4), r(2, 5), r(2, 5)), RuntimeError, "one embed"),
    (lambda: F.scaled_dot_product_attention(r(2, 4), r(2, 4), r(3, 4)), RuntimeError, "as long"),
    (lambda: F.nll_loss(r(3), rushlight.tensor([1, 2])), ValueError, "1D target must have size 1"),
    (lambda: rushlight.lu_unpack(r(3, 5), rushlight.ones(4).int()), RuntimeError, "rows from 1"),
    (lambda: rushlight.histogram(r(3), r(1, 2)), RuntimeError, r"one dimension.*\(1, 2\)"),
    (lambda: rushlight.histogramdd(r(3, 2), [2, 2, 2]), RuntimeError, "size of bins, 3.*input, 2"),
    (lambda: rushlight.fft.fft(r(())), IndexError, "the tensor has none"),
    # refused by NumPy
    (
        lambda: rushlight.complex(r(5, 2), r(5)),
        RuntimeError,
        r"complex: the inputs, float32 \(5, 2\)",
    ),
    (lambda: F.pdist(rushlight.ones(2, 2).long()), RuntimeError, r"int64 \(2, 2\).*dtypes"),
    # forgotten conversions and swapped arguments
    (lambda: nn.Linear(2, 1)(rushlight.ones(3, 2).long()), RuntimeError, r"int64 one with \.float"),
    (lambda: nn.Linear(8 / 2, 1), TypeError, "divide sizes with //"),
    (lambda: nn.MSELoss(r(3), r(3)), RuntimeError, r"nn\.MSELoss\(\)\(input, target\)"),
    (lambda: nn.CrossEntropyLoss(r(3, 2), labels(3)), RuntimeError, "make it first, then call it"),
    (lambda: rushlight.save("net.pt", {"w": r(100)}), AttributeError, r"got dict.*save\(obj, f\)"),
    (lambda: rushlight.optim.SGD([r(1)], lr="1e-3"), TypeError, r"float\('1e-3'\)"),
    (lambda: setattr(nn.Linear(1, 1), "weight", r(1, 1)), TypeError, r"nn\.Parameter\(\.\.\.\)"),
    (lambda: nn.LSTM(2, 3)(r(4, 2), r(1, 3)), IndexError, r"hx must be a tuple \(h_0, c_0\)"),
    (lambda: r(2, 3)[rushlight.ones(2)], IndexError, r"float32; convert it with \.long\(\)"),
    (lambda: rushlight.tensor(["a"]), ValueError, "invalid data type 'str'"),
    (lambda: rushlight.ones(1).to("gpu"), RuntimeError, "write 'cuda'"),
    (lambda: nn.Linear(1, 1).to("float16"), RuntimeError, r"torch\.float16"),
    # shapes that nearly fit
    (lambda: F.cross_entropy(r(3, 5), labels(3, 1)), RuntimeError, r"targets away: squeeze\(-1\)"),
    (lambda: F.cross_entropy(r(3, 7, 5), labels(3, 7)), RuntimeError, r"transpose\(1, -1\)"),
    (lambda: F.binary_cross_entropy(r(3, 1), r(3)), ValueError, "last dim of the input away"),
    (
        lambda: F.binary_cross_entropy_with_logits(r(3), r(3, 1)),
        ValueError,
        "last dim of the target away",
    ),
    (lambda: r(3, 2).gather(1, labels(3)), RuntimeError, r"\(3,\).*\(3, 2\); unsqueeze"),
    (lambda: nn.init.xavier_normal_(r(3)), ValueError, r"shape \(3,\).*zeros_"),
]


@pytest.mark.parametrize(("mistake", "kind", "says"), MISTAKES)
def test_beginners_mistakes(mistake, kind, says):
    with pytest.raises(kind, match=says):
        mistake()


def test_state_dicts_that_are_packed():
    net = nn.Linear(2, 1)
    state = net.state_dict()
    with pytest.raises(RuntimeError, match="'model' holds a dict of its own"):
        net.load_state_dict({"model": state, "epoch": 3})
    with pytest.raises(RuntimeError, match="take that off each key"):
        net.load_state_dict({"module." + key: value for key, value in state.items()})


def test_state_dicts_of_optimizers_and_modules_that_are_mixed_up():
    net = nn.Linear(2, 1)
    optimizer = rushlight.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="an optimizer's: load it by"):
        net.load_state_dict(optimizer.state_dict())
    with pytest.raises(KeyError, match="only 'weight', 'bias'; is it a module's"):
        optimizer.load_state_dict(net.state_dict())


def test_a_loss_of_one_score_for_each_sample_says_how_to_make_shapes_alike():
    with pytest.warns(UserWarning, match=r"last dim of the input away: squeeze\(-1\)"):
        F.mse_loss(r(3, 1), r(3))


class Watched(rushlight.Tensor):
    """From its first tensor on, functions ask."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs)


@pytest.mark.parametrize("asking", [False, True])
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: rushlight.zeros(2) + x, "unsupported operand"),
        (lambda x: x * rushlight.zeros(2), "unsupported operand"),
        (lambda x: torch.nn.functional.mse_loss(x, rushlight.zeros(2)), "__torch_function__"),
        (F.relu, r"PyTorch's torch\.Tensor"),
        (nn.Linear(2, 1), r"PyTorch's torch\.Tensor"),
        (lambda x: rushlight.cat([r(2), x]), r"PyTorch's torch\.Tensor"),
        (lambda x: rushlight.optim.SGD([torch.nn.Parameter(x)]), r"PyTorch's torch\.nn"),
    ],
)
def test_tensors_of_pytorch_are_refused(call, says, asking):
    """Also while functions ask their arguments whether these have ``__torch_function__``."""
    watched = r(1).as_subclass(Watched) if asking else None
    with pytest.raises(TypeError, match=says):
        call(torch.zeros(2))
    del watched


def test_samples_of_several_shapes():
    loader = rushlight.utils.data.DataLoader([r(2), r(3)], batch_size=2)
    assert "pad_sequence" in text_of(lambda: next(iter(loader)))
