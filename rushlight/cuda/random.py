"""The generators of GPUs, under the name by which PyTorch's own modules import them."""

from rushlight import cuda as _cuda

_NAMES = """
    get_rng_state get_rng_state_all set_rng_state set_rng_state_all manual_seed manual_seed_all seed
    seed_all initial_seed
"""
globals().update({name: getattr(_cuda, name) for name in _NAMES.split()})
