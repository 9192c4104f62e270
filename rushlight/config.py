"""Settings of the whole process. Plain data; the public setters validate."""

from dataclasses import dataclass


@dataclass
class PrintOptions:
    """How tensors are printed; see ``set_printoptions``."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


print_options = PrintOptions()

# the package's names in programs; ``alias`` adds torch
package_names = ["rushlight"]


def shown_module(module: str) -> str:
    """What one of this package's modules is called in programs."""
    return module.replace("rushlight", package_names[-1], 1)


def is_own(module: str) -> bool:
    """Whether a module is of this package, under whichever of its names."""
    return module.partition(".")[0] in package_names


@dataclass(slots=True)
class CompileOptions:
    """Options of ``compile``, also known as ``torch._dynamo.config``."""

    recompile_limit: int = 8  # captures of a function; other signatures then run eagerly
    suppress_errors: bool = False  # errors of the compiler never stop a program, either way
    # what PyTorch's programs set, without effect: sizes are always part of a captured program
    accumulated_recompile_limit: int = 256
    allow_rnn: bool = False
    allow_unspec_int_on_nn_module: bool = False
    assume_static_by_default: bool = True
    automatic_dynamic_shapes: bool = True
    capture_dynamic_output_shape_ops: bool = False
    capture_func_transforms: bool = True
    capture_scalar_outputs: bool = False
    compiled_autograd: bool = False
    disable: bool = False
    dynamic_shapes: bool = True
    error_on_recompile: bool = False
    fail_on_recompile_limit_hit: bool = False
    force_nn_module_property_static_shapes: bool = True
    force_parameter_static_shapes: bool = True
    guard_nn_modules: bool = True
    inline_inbuilt_nn_modules: bool = True
    optimize_ddp: bool = True
    skip_nnmodule_hook_guards: bool = True
    specialize_float: bool = False
    specialize_int: bool = False
    verbose: bool = False

    @property
    def cache_size_limit(self) -> int:
        """The older name of ``recompile_limit``."""
        return self.recompile_limit

    @cache_size_limit.setter
    def cache_size_limit(self, limit: int) -> None:
        self.recompile_limit = limit


compile_options = CompileOptions()


@dataclass(slots=True)
class Stance:
    """What calls of compiled functions do, see ``compiler.set_stance``."""

    name: str = "default"


stance = Stance()
