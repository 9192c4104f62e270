"""Seeds and states of the random number generator, as ``torch.random`` has them."""

from rushlight.tensor_api.random import (
    Generator as Generator,
)
from rushlight.tensor_api.random import (
    default_generator as default_generator,
)
from rushlight.tensor_api.random import (
    fork_rng as fork_rng,
)
from rushlight.tensor_api.random import (
    get_rng_state as get_rng_state,
)
from rushlight.tensor_api.random import (
    initial_seed as initial_seed,
)
from rushlight.tensor_api.random import (
    manual_seed as manual_seed,
)
from rushlight.tensor_api.random import (
    seed as seed,
)
from rushlight.tensor_api.random import (
    set_rng_state as set_rng_state,
)
from rushlight.tensor_api.random import (
    thread_safe_generator as thread_safe_generator,
)

__all__ = [
    "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state",
    "thread_safe_generator",
]  # fmt: skip
