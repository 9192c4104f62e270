"""Names that libraries on top of torch import or ask for when they are loaded."""

import collections
import importlib
import subprocess
import sys
import types
import typing
import warnings

import pytest
import torch

import rushlight

NAMES = """
    _C._disabled_torch_function_impl _C._get_tracing_state _C._is_tracing
    _C._jit_set_profiling_mode
    _dynamo.OptimizedModule _dynamo._trace_wrapped_higher_order_op.TransformGetItemToIndex
    _dynamo.eval_frame.OptimizedModule _dynamo.mark_static_address _shape_as_tensor
    _softmax_backward_data _subclasses.FakeTensorMode _subclasses.fake_tensor.is_fake
    _subclasses.fake_tensor.unset_fake_temporarily distributions.transforms._clipped_sigmoid
    _tensor_str.PRINT_OPTS _tensor_str._tensor_str _tensor_str.printoptions cuda.CUDAGraph
    cuda.Event cuda.Stream
    cuda.StreamContext cuda.graph cuda.is_current_stream_capturing cuda.reset_max_memory_allocated
    distributed.DeviceMesh distributed.device_mesh.init_device_mesh distributed.rpc.is_available
    distributed.rpc.api.RRef distributed.rpc.api._require_initialized amp.grad_scaler.OptState
    _C.Graph _C.Value _C.ScriptObject fx._symbolic_trace._Patcher fx._symbolic_trace.compatibility
    futures.Future fx.GraphModule fx.experimental.proxy_tensor.get_proxy_mode
    fx.experimental.symbolic_shapes.guard_or_false fx.node.Node fx.proxy.Proxy jit.Error
    jit.TracerWarning jit._overload library.custom_op
    nn.attention.flex_attention._DEFAULT_SPARSE_BLOCK_SIZE nn.parallel.scatter_gather.scatter
    nn.modules.module._EXTRA_STATE_KEY_SUFFIX nn.modules.module._IncompatibleKeys
    overrides.TorchFunctionMode serialization.MAP_LOCATION Stream Event SymBool SymFloat SymInt
    Future utils.data.dataloader._BaseDataLoaderIter
    utils.data.dataloader._MultiProcessingDataLoaderIter
    DeviceObjType PyTorchFileReader ScriptModule _C._TensorMeta _C._get_cudnn_enabled _C._nn.gelu
    _tensor._rebuild_from_type_v2 _utils.ExceptionWrapper _utils._get_all_device_indices
    _utils._rebuild_parameter _utils._rebuild_tensor_v2 cuda.FloatTensor cuda.OutOfMemoryError
    cuda.amp.autocast_mode cuda.amp.grad_scaler.GradScaler cuda.device_of
    cuda.memory.memory_allocated cuda.memory_summary distributed._tensor.DTensor
    distributed.fsdp.fully_shard distributed._composable.fsdp.FSDPModule
    distributed.tensor.Shard hub._get_torch_home jit.Future
    jit.ScriptFunction jit.interface jit.optimized_execution jit.trace_module
    serialization.DEFAULT_PROTOCOL storage.TypedStorage storage.UntypedStorage
    utils._pytree.LeafSpec utils._pytree._get_node_type utils._pytree.is_structseq_instance
    _vmap_internals._vmap utils._pytree._namedtuple_flatten utils._pytree._namedtuple_unflatten
    utils._pytree._ordereddict_flatten utils._pytree._tuple_flatten utils._pytree._tuple_unflatten
    utils._pytree.tree_all_only utils._pytree.tree_any_only
    utils.data._utils.collate.default_collate_err_msg_format
    utils.data._utils.collate.np_str_obj_array_pattern utils.data.dataloader._DatasetKind
    optim.lr_scheduler._warn_get_lr_called_within_step
    distributed.optim.ZeroRedundancyOptimizer
    nn.modules.module._addindent nn.modules.utils._reverse_repeat_tuple
    nn.modules.utils._list_with_default autograd.function.InplaceFunction _convolution
    utils.flop_counter.FlopCounterMode utils.mobile_optimizer.optimize_for_mobile
    ao.quantization.QuantStub ao.quantization.fuse_modules quantization.quantize_dynamic
    cuda.graphs.CUDAGraph cuda.nvtx.range cuda.profiler.start cuda.random.get_rng_state
    nn.modules.transformer._get_activation_fn cuda._memory_viz.profile_plot
    cuda._memory_viz.trace_plot
    cuda.streams.Stream export.Dim export.ExportedProgram export.export
    utils.cpp_extension.BuildExtension utils.cpp_extension.CUDAExtension utils.cpp_extension.load
    utils.data._utils.pin_memory.pin_memory
    nn.init._no_grad_fill_ nn.init._no_grad_normal_ nn.init._no_grad_trunc_normal_
    nn.init._no_grad_uniform_ nn.init._no_grad_zero_
""".split()  # noqa: SIM905


def find(package, name):
    found = importlib.import_module(package)
    for part in name.split("."):
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_is_there(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch says of itself
        theirs = find("torch", name)
    ours = find("rushlight", name)
    assert isinstance(ours, type) == isinstance(theirs, type)
    assert callable(ours) == callable(theirs)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("sym_int", (2.7,)), ("sym_int", (-2.7,)), ("sym_float", (2,)), ("sym_max", (1, 2.0)),
        ("sym_max", (True, 2)), ("sym_min", (1, 2.0)), ("sym_min", (3, 2)), ("sym_not", (True,)),
        ("sym_ite", (False, 1, 2)), ("sym_sum", ([1, 2],)), ("sym_sqrt", (4,)),
    ],
)  # fmt: skip
def test_sizes(function, arguments):
    theirs = getattr(torch, function)(*arguments)
    ours = getattr(rushlight, function)(*arguments)
    assert (type(ours), ours) == (type(theirs), theirs)


@pytest.mark.parametrize("name", ["mps", "xpu:1", "xla"])
def test_devices_can_be_named(name):
    assert repr(rushlight.device(name)) == repr(torch.device(name))
    assert rushlight.device(name) != rushlight.device("cpu")
    with pytest.raises(RuntimeError):
        rushlight.ones(1, device=name)
    with pytest.raises(RuntimeError, match="Expected one of"):
        rushlight.device("abacus")


def test_what_there_is_not_raises_when_it_is_used():
    for make in (
        rushlight.cuda.CUDAGraph,
        rushlight.cuda.Stream,
        rushlight.distributed.DeviceMesh,
        rushlight._subclasses.FakeTensor,
        rushlight._C.Graph,
        rushlight._subclasses.FakeTensorMode().__enter__,
    ):
        with pytest.raises(RuntimeError):
            make()


def test_gradient_of_softmax():
    grads = []
    for framework in (torch, rushlight):
        g, y = framework.tensor([[1.0, 2.0]]), framework.tensor([[0.3, 0.7]])
        grads.append(framework._softmax_backward_data(g, y, -1, framework.float32)[0].tolist())
    assert grads[0] == pytest.approx(grads[1])


def test_numbers_without_the_rest():
    for framework in (torch, rushlight):
        text = framework._tensor_str._tensor_str(framework.ones(2, 2), 3)
        assert text == "[[1., 1.],\n    [1., 1.]]"
        assert str(framework._shape_as_tensor(framework.ones(2, 3))) == "tensor([2, 3])"


def test_futures():
    for framework in (torch, rushlight):
        first, second = framework.futures.Future(), framework.futures.Future()
        both = framework.futures.collect_all([first, second])
        after = first.then(lambda f: f.value() + 1)
        assert not after.done() and not both.done()
        with pytest.raises(RuntimeError):
            first.value()
        first.set_result(1)
        with pytest.raises(RuntimeError):
            first.set_result(2)
        second.set_exception(ValueError("no"))
        assert after.wait() == 2 and both.done()
        with pytest.raises(ValueError, match="no"):
            framework.futures.wait_all([first, second])


def test_kl_of_a_mixin(monkeypatch):
    registries = (
        (torch, torch.distributions.kl, "_KL_REGISTRY"),
        (rushlight, rushlight.distributions.kl.registry, "_formulas"),
    )
    for framework, place, registry in registries:
        monkeypatch.setattr(place, registry, dict(getattr(place, registry)))
        D = framework.distributions

        class Mixin:
            pass

        class Mine(Mixin, D.Distribution):
            arg_constraints = {}  # noqa: RUF012

        D.register_kl(Mine, Mixin)(lambda p, q: 7.0)
        with pytest.raises(TypeError):
            D.register_kl(Mine(), Mine)
        assert D.kl_divergence(Mine(), Mine()) == 7.0


def test_parts_of_a_batch():
    place = rushlight.nn.parallel.scatter_gather
    assert place.scatter((1, 2), [0]) == [(1, 2)] and place.gather([3], 0) == 3
    assert place.scatter_kwargs((1,), None, [0]) == (((1,),), ({},))


@pytest.mark.parametrize("shared", [False, True])
def test_memory_of_a_file(tmp_path, shared):
    for framework in (torch, rushlight):
        path = tmp_path / framework.__name__
        path.write_bytes(bytes(range(16)))
        storage = framework.UntypedStorage.from_file(str(path), shared, 12)
        part = framework.asarray(storage[4:8], dtype=framework.uint8).view(framework.int32)
        assert storage.nbytes() == 12 and part.item() == 0x07060504
        storage[0] = 9
        assert path.read_bytes()[0] == (9 if shared else 0)
        with pytest.raises(RuntimeError):
            framework.UntypedStorage.from_file(str(path), False, 100)


@pytest.mark.parametrize("framework", [torch, rushlight])
def test_subclasses_made_by_libraries(framework):
    class Point(framework.Tensor):
        @staticmethod
        def __new__(cls, data, grad=False):
            return framework.Tensor._make_subclass(cls, data, grad)

    data = framework.ones(2)
    point = Point(data, True)
    assert type(point) is Point and point.is_leaf and point.requires_grad
    assert not Point(data).requires_grad
    (point * 3).sum().backward()
    assert point.grad.tolist() == [3, 3]
    data[0] = 7
    assert point.tolist() == [7, 1]


@pytest.mark.parametrize("framework", [torch, rushlight])
def test_parameters_of_libraries_with_arguments_of_their_own(framework):
    class Marked(framework.nn.Parameter):
        def __new__(cls, data, mark=None):
            made = framework.Tensor._make_subclass(cls, data, True)
            made.mark = mark
            return made

    layer = framework.nn.Module()
    layer.weight = Marked(framework.ones(2), mark="on a sphere")
    assert [p.mark for p in layer.parameters()] == ["on a sphere"]


@pytest.mark.parametrize("package", [torch, rushlight])
def test_tensors_as_one(package):
    utils = importlib.import_module(f"{package.__name__}._utils")
    parts = [package.ones(2, 3), package.zeros(1), package.ones(4).double()]
    flat = utils._flatten_dense_tensors(parts[:2])
    assert flat.tolist() == [1.0] * 6 + [0.0]
    assert [t.shape for t in utils._unflatten_dense_tensors(flat, parts[:2])] == [(2, 3), (1,)]
    groups = [[tuple(t.shape) for t in group] for group in utils._take_tensors(parts, 24)]
    assert groups == [[(2, 3)], [(1,)], [(4,)]]
    assert utils._get_device_index("cpu", allow_cpu=True) == -1
    assert utils._get_device_index(3) == 3
    with pytest.raises(ValueError, match=r"[Ee]xpected"):
        utils._get_device_index("cpu")


@pytest.mark.parametrize("package", [torch, rushlight])
@pytest.mark.parametrize("error", [KeyError("a"), OSError(2, "none"), ValueError("bad")])
def test_exceptions_are_raised_anew(package, error):
    wrapper = importlib.import_module(f"{package.__name__}._utils").ExceptionWrapper
    try:
        raise error
    except Exception:
        wrapped = wrapper(where="in worker 1")
    with pytest.raises(type(error), match=f"Caught {type(error).__name__} in worker 1"):
        wrapped.reraise()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1], list[int]), ([1.0], list[int]), ({"a": 1}, dict[str, int]), (None, int | None),
        ({"a": "b"}, dict[str, int]), ((1, 2.0), tuple[int, float]), (3, (int, float)),
    ],
)  # fmt: skip
def test_types_of_scripts(value, kind):
    assert rushlight.jit.isinstance(value, kind) == torch.jit.isinstance(value, kind)


def test_bytes_of_a_buffer():
    made = rushlight.UntypedStorage.from_buffer(
        b"abcdef", "native", dtype=rushlight.int16, offset=2
    )
    theirs = torch.UntypedStorage.from_buffer(
        b"abcdef", byte_order="native", dtype=torch.int16, offset=2
    )
    assert made.tolist() == theirs.tolist()


def test_leaves_are_described_by_a_class():
    ours = importlib.import_module("rushlight.utils._pytree")
    spec = ours.tree_structure([1])
    assert spec.children == (ours.LeafSpec(),)
    assert isinstance(spec.children[0], ours.LeafSpec)
    assert not isinstance(spec, ours.LeafSpec)


@pytest.mark.parametrize("package", [torch, rushlight])
def test_counted_operations(package, capsys):
    counting = importlib.import_module(f"{package.__name__}.utils.flop_counter")
    net = package.nn.Sequential(
        package.nn.Conv2d(3, 4, 3), package.nn.Flatten(), package.nn.Linear(64, 5)
    )
    x = package.ones(2, 3, 6, 6)
    with counting.FlopCounterMode(display=package is rushlight) as counter:
        (net(x) @ package.ones(5, 2)).sum().backward()
    assert package is torch or "Sequential.0" in capsys.readouterr().out
    counts = counter.get_flop_counts()
    assert sum(counts["Global"].values()) == counter.get_total_flops()
    if package is rushlight:
        products = 2 * 2 * 5 * (64 + 2)
        assert counter.get_total_flops() == 2 * 2 * 16 * 4 * 27 * 2 + products * 3 - 2 * 2 * 5 * 2
        forward, aten = 2 * 2 * 5 * 64, rushlight.ops.aten
        assert counts["Sequential.2"] == {aten.addmm: forward, aten.mm: 2 * forward}


def test_optimizers_of_several_processes_raise():
    optim = importlib.import_module("rushlight.distributed.optim")
    with pytest.raises(NotImplementedError, match="one process"):
        optim.ZeroRedundancyOptimizer([], rushlight.optim.SGD, lr=0.1)


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda t: t.ao.quantization.quantize_dynamic(t.nn.Linear(1, 1)), "bfloat16"),
        (lambda t: t.quantization.prepare(t.nn.Linear(1, 1)), "bfloat16"),
        (lambda t: t.ao.quantization.FakeQuantize(), "fake_quantize_per_tensor_affine"),
        (lambda t: t.export.export(t.nn.Linear(1, 1), (t.ones(1),)), "compile"),
        (lambda t: t.export.Dim("batch"), "compile"),
        (lambda t: t.export.load("program.pt2"), "compile"),
        (lambda t: t.utils.cpp_extension.load("fast", ["fast.cpp"]), "custom_op"),
        (lambda t: t.utils.cpp_extension.BuildExtension(), "custom_op"),
        (lambda t: find(t.__name__, "cuda._memory_viz.trace_plot")({}), "memory_summary"),
    ],
)
def test_what_is_not_there_says_what_to_do_instead(call, instead):
    with pytest.raises(NotImplementedError, match=instead):
        call(rushlight)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.cuda.profiler.start(),
        lambda t: t.cuda.profiler.profile().__enter__(),
        lambda t: t.cuda.random.initial_seed(),
    ],
)
def test_profilers_of_gpus_need_one(call):
    errors = []
    for package in (torch, rushlight):
        with pytest.raises(Exception) as caught:
            call(package)
        errors.append(caught.value)
    theirs, ours = errors
    assert isinstance(ours, type(theirs))


def test_ranges_for_gpu_profilers_need_one():  # unless PyTorch is built for CUDA
    for function in (rushlight.cuda.nvtx.range_push, rushlight.cuda.nvtx.mark):
        with pytest.raises(RuntimeError, match="NVTX functions not installed"):
            function("step")


def test_marks_for_quantisation_compute_nothing():
    x, layer = rushlight.ones(2, 3), rushlight.nn.Linear(3, 1).eval()
    wrapped = rushlight.ao.quantization.QuantWrapper(layer)
    assert rushlight.equal(wrapped(x), layer(x)) and not wrapped.training
    theirs = torch.ao.quantization.QuantWrapper(torch.nn.Linear(3, 1))
    assert list(wrapped.state_dict()) == list(theirs.state_dict())


def test_helpers_of_layers():
    theirs, ours = torch.nn.modules, rushlight.nn.modules
    for call in (
        lambda m: m.module._addindent("a(\n  b\n)", 3),
        lambda m: m.utils._reverse_repeat_tuple((1, 2), 2),
        lambda m: m.utils._list_with_default([3, None], [7, 8, 9]),
        lambda m: m.utils._list_with_default(4, [7, 8, 9]),
    ):
        assert call(ours) == call(theirs)


def test_no_result_is_in_another_process():
    rpc = rushlight.distributed.rpc
    assert not isinstance(rushlight.ones(2), rpc.api.RRef) and rpc.RRef is rpc.api.RRef
    with pytest.raises(NotImplementedError, match="no other processes"):
        rpc.RRef(1)
    call = rpc.api._require_initialized(lambda: 1)
    with pytest.raises(RuntimeError, match="RPC has not been initialized"):
        call()


def test_functions_for_batches_are_there_without_importing_them():
    program = "import rushlight; print(rushlight.utils.data._utils.collate.default_collate([1, 2]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "tensor([1, 2])\n", done.stderr


class Asked:
    def pin_memory(self):
        return "asked"


class OwnDict(dict):
    note = None


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "data",
    [
        {"x": Asked(), "y": 3}, [Asked(), "s", b"b"], (Asked(), 1), Pair(Asked(), 2), range(3),
        None, 3.5, Asked(), {"a": [{"b": (Asked(),)}]}, OwnDict(x=Asked()),
        collections.deque([Asked()]), collections.OrderedDict(x=Asked()),
        collections.defaultdict(int, x=Asked()),
        types.MappingProxyType({"x": Asked()}),
    ],
    ids=lambda data: type(data).__name__,
)  # fmt: skip
def test_what_batches_hold_is_pinned(data):
    theirs = torch.utils.data._utils.pin_memory.pin_memory(data)
    ours = rushlight.utils.data._utils.pin_memory.pin_memory(data)
    assert (type(ours), ours) == (type(theirs), theirs)


def test_tensors_of_batches_are_pinned():
    pinned = rushlight.utils.data._utils.pin_memory.pin_memory({"x": [rushlight.ones(2)]})
    assert pinned["x"][0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "args"),
    [("fill", (2.0,)), ("zero", ()), ("uniform", (1, 2)), ("normal", (1, 2)),
     ("trunc_normal", (0, 1, -0.5, 2))],
)  # fmt: skip
def test_initialisers_that_libraries_take_the_insides_of(name, args):
    found = []
    for lib in (torch, rushlight):
        lib.manual_seed(0)
        p = lib.nn.Parameter(lib.ones(4))
        assert getattr(lib.nn.init, f"_no_grad_{name}_")(p, *args) is p
        found.append(p.tolist())
    assert found[1] == pytest.approx(found[0])


def test_types_of_what_optimizers_take():
    found = [importlib.import_module(f"{lib}.optim.optimizer") for lib in ("torch", "rushlight")]
    theirs, ours = [typing.get_args(module.ParamsT) for module in found]
    assert len(ours) == len(theirs) == 3


@pytest.mark.parametrize("name", ["sparse_bsr", "sparse_bsc"])
def test_layouts_by_blocks_can_be_named(name):
    layout = getattr(rushlight, name)
    assert repr(layout) == repr(getattr(torch, name))
    assert rushlight.ones(1).layout != layout
    for make in (
        lambda: rushlight.zeros(2, 2, layout=layout),
        lambda: rushlight.ones(2, 2).to_sparse(layout=layout),
        lambda: rushlight.sparse_compressed_tensor([0, 1], [0], [1.0], layout=layout),
        lambda: rushlight.empty_like(rushlight.ones(2, 2), layout=layout),
    ):
        with pytest.raises(RuntimeError):
            make()


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_tensors_are_told_apart_by_a_number(lib):
    x = lib.ones(2)
    assert x._cdata == x._cdata != x.clone()._cdata
    assert isinstance(x._cdata, int) and x.detach()._cdata != x._cdata


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_context_managers_that_libraries_derive(lib):
    base = importlib.import_module(f"{lib.__name__}.utils._contextlib")._DecoratorContextManager
    entered = []

    class Noted(base):
        def __init__(self):
            entered.append(self)

        def __enter__(self):
            self.inside = True

        def __exit__(self, *exc):
            self.inside = False

    @Noted()
    def factorial(n):
        return n * factorial(n - 1) if n else sum(manager.inside for manager in entered[1:])

    assert factorial(2) == 6 and len(set(map(id, entered))) == 4


def test_seeds_of_workers():
    theirs, ours = [
        importlib.import_module(f"{lib}.utils.data._utils.worker") for lib in ("torch", "rushlight")
    ]
    for base_seed in (0, 123456789012345678):
        assert ours._generate_state(base_seed, 3) == theirs._generate_state(base_seed, 3)
    assert (
        ours.get_worker_info() is None and ours.WorkerInfo is rushlight.utils.data.worker.WorkerInfo
    )
