"""NumPy's argument names, which textbook programs use: axis for dim and keepdims for keepdim."""

import dataclasses
import importlib
import pickle
import warnings

import pytest
import torch

import rushlight as rl
from rushlight.config import compile_options

CALLS = {
    "sum": lambda t, x: x.sum(axis=1, keepdims=True),
    "sum over several": lambda t, x: x.sum(axis=[0, 1]),
    "sum without": lambda t, x: x.sum(axis=None),
    "mean": lambda t, x: x.mean(axis=0, dtype=t.float64),
    "max": lambda t, x: x.max(axis=1, keepdims=True).indices,
    "min": lambda t, x: t.min(x, axis=0).values,
    "argmax": lambda t, x: x.argmax(axis=1),
    "std": lambda t, x: x.std(axis=0, unbiased=False),
    "cumsum": lambda t, x: x.cumsum(axis=0),
    "softmax": lambda t, x: t.softmax(x, axis=1),
    "cat": lambda t, x: t.cat([x, x], axis=1),
    "stack": lambda t, x: t.stack([x, x], axis=2),
    "unsqueeze": lambda t, x: x.unsqueeze(axis=1),
    "squeeze": lambda t, x: x[:1].squeeze(axis=0),
    "gather": lambda t, x: x.gather(axis=1, index=t.tensor([[0, 2]])),
    "sort": lambda t, x: x.sort(axis=0, descending=True).values,
    "topk": lambda t, x: x.topk(2, axis=1).values,
    "repeat_interleave": lambda t, x: x.repeat_interleave(2, axis=0),
    "unbind": lambda t, x: t.unbind(x, axis=1)[2],
}


@pytest.mark.parametrize("name", CALLS)
def test_axis_is_dim_and_keepdims_is_keepdim(name):
    expected = CALLS[name](torch, torch.arange(12.0).reshape(3, 4))
    got = CALLS[name](rl, rl.arange(12.0).reshape(3, 4))
    assert tuple(got.shape) == tuple(expected.shape)
    assert torch.allclose(torch.from_numpy(got.numpy()), expected)


@pytest.mark.parametrize("call", [lambda x: x.unsqueeze(), lambda x: x.sum(0, axes=1)])
def test_missing_and_unknown_arguments_are_type_errors(call):
    with pytest.raises(TypeError):
        call(rl.ones(3))


def test_what_libraries_on_torch_call():
    assert rl._C._log_api_usage_once("torchmetrics.metric.Metric") is None
    assert rl.__config__.show().startswith("rushlight ")


def test_the_capture_can_be_set_up_as_in_torch():
    import torch._dynamo

    ours = dataclasses.asdict(compile_options)
    with warnings.catch_warnings(action="ignore"):  # some are deprecated
        assert {name: getattr(torch._dynamo.config, name) for name in ours} == ours
    rl._dynamo.config.verbose = False
    rl._dynamo.mark_dynamic(rl.ones(3), 0, min=2)
    assert rl._dynamo.reset is rl.compiler.reset and rl.compiler.allow_in_graph(len) is len
    assert rl.compiler.is_exporting() is torch.compiler.is_exporting() is False
    assert rl.compiler.cudagraph_mark_step_begin() is None


def test_settings_are_modules(monkeypatch):
    importlib.import_module("rushlight._dynamo.config").verbose = True
    assert compile_options.verbose and rl._dynamo.config.verbose
    monkeypatch.setattr(rl._dynamo.config, "verbose", False)
    assert not compile_options.verbose
    with pytest.raises(AttributeError):
        rl._dynamo.config.log_level = 1  # PyTorch's has no such setting either

    rl.compiler.config.recompile_limit, rl.compiler.config.job_id = 5, "a"
    assert compile_options.recompile_limit == 5 and rl.compiler.config.job_id == "a"
    del rl.compiler.config.recompile_limit
    assert compile_options.recompile_limit == 8

    theirs = importlib.import_module("torch._functorch.config")
    ours = importlib.import_module("rushlight._functorch.config")
    names = [name for name in vars(ours) if not name.startswith("_")]
    assert {n: getattr(ours, n) for n in names} == {n: getattr(theirs, n) for n in names}
    assert rl._functorch.config is ours

    theirs = importlib.import_module("torch.utils.deterministic")
    ours = importlib.import_module("rushlight.utils.deterministic")
    assert ours.fill_uninitialized_memory is theirs.fill_uninitialized_memory


def test_small_names_that_programs_import():
    spawn = importlib.import_module("rushlight.multiprocessing.spawn")
    assert spawn.spawn is rl.multiprocessing.spawn and callable(spawn.spawn)
    assert rl._C.default_generator is rl.default_generator
    wrapped = torch.utils._python_dispatch.is_traceable_wrapper_subclass(torch.ones(1))
    ours = importlib.import_module("rushlight.utils._python_dispatch")
    assert ours.is_traceable_wrapper_subclass(rl.ones(1)) is wrapped is False


def test_autocast_is_switched_in_the_older_form():
    for t in (torch, rl):
        assert t.set_autocast_enabled(False) is None
        assert not t.is_autocast_enabled()
        with pytest.raises(TypeError):
            t.set_autocast_enabled("cpu")


def test_settings_of_the_code_generator():
    import torch._inductor.config

    ours = {k: v for k, v in vars(rl._inductor.config).items() if type(v) in (bool, int)}
    assert len(ours) > 10
    assert {name: getattr(torch._inductor.config, name) for name in ours} == ours
    rl._inductor.config.triton.unique_kernel_names = True


def test_older_and_inner_places_of_names(monkeypatch):
    from rushlight.distributed import nn as distributed_nn
    from rushlight.utils.data._utils.collate import default_collate

    assert default_collate is rl.utils.data.default_collate
    with pytest.raises(NotImplementedError, match="is_available"):
        distributed_nn.all_reduce(rl.ones(1))
    monkeypatch.setattr(rl.hub, "load_state_dict_from_url", lambda url, **kwargs: (url, kwargs))
    assert rl.utils.model_zoo.load_url("a", progress=False) == ("a", {"progress": False})


def test_checks_that_libraries_write():
    rl._assert(True, "fine"), rl._assert_async(rl.tensor(True), "fine"), rl._check(True)
    for lib in (torch, rl):
        with pytest.raises(AssertionError, match="wrong"):
            lib._assert(lib.tensor(0), "wrong")
        with pytest.raises(RuntimeError, match="wrong"):
            lib._assert_async(lib.tensor(0), "wrong")
        with pytest.raises(RuntimeError, match="wrong"):
            lib._check(False, lambda: "wrong")
        with pytest.raises(TypeError):
            lib._check(lib.tensor(True))


def test_modules_that_libraries_import():
    from rushlight import fx, hub
    from rushlight.jit.annotations import List
    from rushlight.utils._python_dispatch import TorchDispatchMode

    assert rl.torch is rl and List[int] and not rl.cuda._initialized
    assert hub.HASH_REGEX.search("net-0123abcd.pth")[1] == "0123abcd"
    assert not isinstance(rl.ones(1), fx.Proxy)
    with pytest.raises(NotImplementedError), TorchDispatchMode():
        rl.ones(1) + 1


def test_tensors_are_grouped_as_in_torch():
    from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype as theirs

    from rushlight.utils._foreach_utils import _group_tensors_by_device_and_dtype as ours

    groups = []
    for lib, group in ((torch, theirs), (rl, ours)):
        dtypes = [lib.float32, lib.float64, lib.float32]
        lists = [[lib.full((1,), k, dtype=d) for k, d in enumerate(dtypes)], [None] * 3, []]
        groups.append(
            {
                (str(device), str(dtype)): (
                    [[t if t is None else t.item() for t in column] for column in columns],
                    places,
                )
                for (device, dtype), (columns, places) in group(lists, True).items()
            }
        )
    assert groups[0] == groups[1]


def test_functions_are_saved_by_name():
    for function in (rl.tanh, rl.relu, rl.add, rl.sum, rl.abs_, rl.matmul, rl.nn.functional.silu):
        assert pickle.loads(pickle.dumps(function)) is function
    layer = rl.nn.Linear(2, 2)
    layer.activation = rl.tanh
    assert pickle.loads(pickle.dumps(layer)).activation is rl.tanh


def test_classes_say_where_they_are():
    names = """
        Tensor Size device dtype finfo iinfo layout memory_format FloatTensor BoolStorage
        storage.UntypedStorage storage.TypedStorage nn.Parameter nn.Linear nn.Module
        optim.Adam optim.lr_scheduler.StepLR optim.lr_scheduler.ReduceLROnPlateau
        distributions.Normal distributions.transforms.ExpTransform utils.data.DataLoader
    """
    for name in names.split():
        ours, theirs = rl, torch
        for part in name.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        assert repr(ours).replace("rushlight", "torch") == repr(theirs)
        assert pickle.loads(pickle.dumps(ours)) is ours


def test_what_runs_on_one_device_and_in_one_thread():
    module, x = rl.nn.Linear(2, 2), rl.ones(4, 2)
    parts, copies = rl.nn.parallel.scatter(x, [0]), rl.nn.parallel.replicate(module, [0])
    results = rl.nn.parallel.parallel_apply(copies, parts)
    assert rl.equal(rl.nn.parallel.gather(results, 0), module(x))
    with rl.autograd.set_multithreading_enabled(False):
        module(x).sum().backward()
    assert module.weight.grad is not None


@pytest.mark.parametrize("backend", [(), ("inductor",)])
def test_the_older_way_to_compile(backend):
    """A decorator, with breaks in the graph where the program wants them."""

    @rl._dynamo.optimize(*backend, nopython=True)
    @rl._dynamo.disallow_in_graph
    def f(x):
        y = x.sin()
        rl._dynamo.graph_break()
        return y + 1

    for k in range(4):
        x = rl.full((3,), float(k))
        assert rl.allclose(f(x), x.sin() + 1)
