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
        randn randn_like randperm dropout dropout1d dropout2d dropout3d alpha_dropout
        feature_alpha_dropout rrelu rrelu_ gumbel_softmax fractional_max_pool3d
        fractional_max_pool3d_with_indices
    """,
    STATE: """
        clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype
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
        load get_file_path get_device_module
    """,
    "inner spellings of layers and decompositions, tested under their public names": """
        affine_grid_generator constant_pad_nd convolution eig embedding_renorm_
        feature_alpha_dropout_ feature_dropout feature_dropout_ geqrf grid_sampler
        grid_sampler_2d grid_sampler_3d gru gru_cell lstm lstm_cell lstsq lu matrix_rank
        native_batch_norm native_dropout native_group_norm native_layer_norm norm_except_dim
        orgqr ormqr pca_lowrank rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell solve
        svd_lowrank symeig
    """,
    OWN: """
        empty empty_like empty_strided from_dlpack from_numpy frombuffer is_storage
        index_put_ relu_ threshold_ lu_unpack lu_solve typename compile vmap from_file
        unsafe_split_with_sizes empty_permuted
        resize_as_ to_dlpack
    """,
    "the parts of a function that has samples": """
        adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices
        adaptive_max_pool3d_with_indices max_pool1d_with_indices max_pool2d_with_indices
        max_pool3d_with_indices native_channel_shuffle upsample_bilinear
        multi_head_attention_forward linear_cross_entropy lp_pool3d max_unpool2d
        max_unpool3d
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
    sampled = {name.removeprefix("nn.functional.").removeprefix("Tensor.") for name in load()}
    excused = {name for names in WITHOUT_SAMPLES.values() for name in names.split()}
    found = {
        *functions(rushlight, torch),
        *functions(rushlight.nn.functional, torch.nn.functional),
    }
    in_place = {name for name in found if name.endswith("_") and name[:-1] in sampled}
    missing = found - sampled - excused - in_place
    assert not missing, f"add samples in tests/ops/samples/ for {sorted(missing)}"
    both = sampled & excused - {"dropout", "dropout1d", "alpha_dropout", "relu_", "index_put_"}
    assert not both, f"these have samples now: {sorted(both)}"


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
