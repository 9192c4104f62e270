"""What programs ask of ``torch.distributed`` on one process."""

import importlib

import pytest
import torch
import torch.distributed.checkpoint.state_dict as theirs

import rushlight as rl
import rushlight.distributed.checkpoint.state_dict as ours
from rushlight.errors import NotSupportedError


def test_groups_that_are_not_there():
    for lib in (torch, rl):
        assert lib.distributed.group.WORLD is None
        assert lib.distributed.GroupMember.WORLD is None
        assert lib.distributed.GroupMember.NON_GROUP_MEMBER == -100


def network(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3))
    net[0].bias.requires_grad_(False)
    return net


@pytest.mark.parametrize(
    "options", [{}, {"ignore_frozen_params": True}, {"full_state_dict": True, "cpu_offload": True}]
)
def test_what_is_taken(options):
    a, b = network(torch), network(rl)
    expected = theirs.get_model_state_dict(a, options=theirs.StateDictOptions(**options))
    got = ours.get_model_state_dict(b, options=ours.StateDictOptions(**options))
    assert list(got) == list(expected) and type(got) is type(expected)
    assert got["0.weight"].data_ptr() == b[0].weight.data_ptr()


def test_what_is_given():
    for lib, module in ((torch, theirs), (rl, ours)):
        net, some = network(lib), {"0.weight": lib.ones(3, 2)}
        with pytest.raises(RuntimeError, match="Missing key"):
            module.set_model_state_dict(net, some)
        module.set_model_state_dict(net, some, options=module.StateDictOptions(strict=False))
        assert lib.equal(net[0].weight, lib.ones(3, 2))
        for full in (False, True):
            options = module.StateDictOptions(broadcast_from_rank0=True, full_state_dict=full)
            with pytest.raises(ValueError, match="process group" if full else "must be True"):
                module.set_model_state_dict(net, some, options=options)


def test_whole_tensors_for_a_model_without_memory():
    with rl.device("meta"):
        net = network(rl)
    state = network(rl).state_dict()
    ours.set_model_state_dict(net, state, options=ours.StateDictOptions(full_state_dict=True))
    assert rl.equal(net[0].weight, state["0.weight"])


def test_an_empty_state_changes_nothing():
    net = network(rl)
    before = net[0].weight.clone()
    ours.set_model_state_dict(net, {})
    assert rl.equal(net[0].weight, before)


@pytest.mark.parametrize("lib", (torch, rl), ids=("torch", "rushlight"))
def test_a_main_function_of_torchrun(lib):
    name = f"{lib.__name__}.distributed.elastic.multiprocessing.errors"
    record = importlib.import_module(name).record

    @record
    def main(a, b=0):
        """Divides."""
        return a / b

    assert main(6, b=3) == 2 and main.__name__ == "main" and main.__doc__ == "Divides."
    with pytest.raises(ZeroDivisionError):
        main(1)


def test_an_exception_is_told_to_a_handler():
    class Handler:
        def record_exception(self, error):
            self.error = error

    from rushlight.distributed.elastic.multiprocessing.errors import record

    handler = Handler()
    with pytest.raises(KeyError):
        record({}.__getitem__, handler)("a")
    assert isinstance(handler.error, KeyError)


def test_gradients_of_other_processes_raise():
    from rushlight.distributed import autograd

    assert not autograd.is_available()
    with pytest.raises(NotSupportedError, match="processes"), autograd.context():
        pass
    for call in (lambda: autograd.backward(0, []), lambda: autograd.get_gradients(0)):
        with pytest.raises(NotSupportedError, match="processes"):
            call()
