"""A public function has samples, or a reason why it has none."""

import inspect

import torch

import rushlight
from tests.ops.calls import find
from tests.ops.samples import load

RANDOM = "random numbers: tests/random compares streams"
STATE = "settings and states of the process, tested where they live"
OWN = "tested apart: memory, storages and what is not a function of values"
WITHOUT_SAMPLES = {
    RANDOM: """
        bernoulli binomial multinomial normal poisson rand rand_like randint randint_like
        randn randn_like randperm dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout
        alpha_dropout_ feature_alpha_dropout rrelu rrelu_ gumbel_softmax
    """,
    STATE: """
        autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache
        get_autocast_cpu_dtype get_autocast_dtype
        get_autocast_gpu_dtype is_autocast_cache_enabled is_autocast_cpu_enabled
        is_autocast_enabled set_anomaly_enabled set_autocast_cache_enabled
        set_autocast_cpu_dtype set_autocast_cpu_enabled set_autocast_dtype
        set_autocast_enabled set_autocast_gpu_dtype
        are_deterministic_algorithms_enabled get_default_device get_default_dtype
        get_deterministic_debug_mode set_deterministic_debug_mode
        get_float32_matmul_precision get_num_interop_threads get_num_threads get_rng_state
        initial_seed is_grad_enabled is_inference_mode_enabled is_warn_always_enabled
        manual_seed seed set_default_device set_default_dtype set_default_tensor_type
        set_float32_matmul_precision set_num_interop_threads set_num_threads
        set_printoptions set_rng_state set_warn_always use_deterministic_algorithms
        is_anomaly_enabled is_anomaly_check_nan_enabled
        is_deterministic_algorithms_warn_only_enabled is_inference set_flush_denormal save
        load get_file_path get_device_module thread_safe_generator
    """,
    "inner spellings of what is tested under its public name": """
        eig feature_alpha_dropout_ feature_dropout feature_dropout_ lstsq lu matrix_rank
        pca_lowrank solve svd_lowrank symeig
    """,
    "sparse tensors: tests/sparse": """
        dsmm hsmm hspmm smm sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor
        sparse_csr_tensor spmm
    """,
    "of sizes, of functions: programs/test_libraries.py, compiler/test_stance.py": """
        sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum cond while_loop
    """,
    OWN: """
        empty empty_like empty_strided from_dlpack from_numpy frombuffer is_storage
        index_put_ relu_ threshold_ typename compile vmap from_file empty_permuted
        resize_as_ to_dlpack
    """,
}


def functions(namespace, torchs):
    for name in dir(namespace):
        value = getattr(namespace, name, None)
        if name.startswith("_") or inspect.isclass(value) or inspect.ismodule(value):
            continue
        if callable(value) and callable(getattr(torchs, name, None)):
            yield name


def test_every_function_has_samples():
    layers = {f"nn.functional.{n}" for n in functions(rushlight.nn.functional, torch.nn.functional)}
    sampled = {name.removeprefix("Tensor.") for name in load()}
    excused = {name for names in WITHOUT_SAMPLES.values() for name in names.split()}
    excused |= {f"nn.functional.{name}" for name in excused}
    found = {*functions(rushlight, torch), *layers}
    in_place = {name for name in found if name.endswith("_") and name[:-1] in sampled}
    missing = found - sampled - excused - in_place
    assert not missing, f"add samples in tests/ops/samples/ for {sorted(missing)}"
    both = {name.rpartition(".")[2] for name in sampled & excused}
    both -= {"dropout", "dropout1d", "alpha_dropout", "relu_", "index_put_"}
    assert not both, f"these have samples now: {sorted(both)}"


METHODS = """
    apply_ as_subclass backward bernoulli_ cauchy_ const_data_ptr copy_ cpu cuda data_ptr dim_order
    geometric_ index is_inference is_pinned is_shared log_normal_ map2_ map_ module_load new
    new_empty new_empty_strided normal_ numpy pin_memory random_ register_hook
    register_post_accumulate_grad_hook reinforce requires_grad_ resize resize_ resize_as resize_as_
    retain_grad set_ share_memory_ storage to_padded_tensor uniform_ untyped_storage
    chalf dequantize int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points
    q_scale q_zero_point qscheme to_mkldnn
    ccol_indices coalesce col_indices crow_indices dense_dim indices is_coalesced
    resize_as_sparse_ row_indices smm sparse_dim sparse_mask sparse_resize_
    sparse_resize_and_clear_ sspaddmm to_dense to_sparse to_sparse_bsc to_sparse_bsr
    to_sparse_coo to_sparse_csc to_sparse_csr values
"""
HOOKS = """
    __array__ __array_wrap__ __bool__ __complex__ __contains__ __delitem__ __deepcopy__ __dlpack__
    __dlpack_device__ __float__ __index__ __int__ __iter__ __len__ __reversed__ __setitem__
    __torch_function__
"""


def test_every_method_has_samples():
    """Under its name or that of the function; those named here work on memory, draw random numbers
    or serve other layouts, and have tests of their own.
    """
    sampled = {name.rsplit(".", 1)[-1] for name in load()}
    excused = {name for names in WITHOUT_SAMPLES.values() for name in names.split()}
    found = {
        name
        for name in dir(rushlight.Tensor)
        if not (name.startswith("_") and hasattr(object, name))
        and (name.startswith("__") or not name.startswith("_"))
        and callable(getattr(torch.Tensor, name, None))
    }
    missing = found - sampled - excused - {name for name in found if name.rstrip("_") in sampled}
    missing -= {*METHODS.split(), *HOOKS.split()}
    assert not missing, f"add samples in tests/ops/samples/ for {sorted(missing)}"


APART = """
    fft: linalg: eig eigh ldl_solve lu_solve svd special: signal.windows:
    masked: as_masked_tensor is_masked_tensor masked_tensor
"""


def test_every_function_of_a_namespace_has_samples():
    """Those named here have tests of their own: factors that are not unique, masked tensors."""
    sampled, apart, namespace = load(), {}, ""
    for word in APART.split():
        if word.endswith(":"):
            namespace = word[:-1]
            apart[namespace] = set()
        else:
            apart[namespace].add(word)
    for namespace, excused in apart.items():
        ours, theirs = (find(lib, namespace) for lib in (rushlight, torch))
        found = set(functions(ours, theirs))
        missing = {n for n in found - excused if f"{namespace}.{n}" not in sampled}
        assert not missing, f"add samples in tests/ops/samples/ for {namespace}: {sorted(missing)}"
