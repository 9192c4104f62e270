"""Compiled functions of tensors on a GPU: what surrounds their programs."""

import copy

import pytest

import rushlight as torch
from rushlight import nn
from tests.gpu.programs import (
    both,
    close,
    regression,
    rows,
    same_models,
    step_of,
    variants,
)

pytestmark = [
    pytest.mark.usefixtures("programs"),
    pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning"),
    pytest.mark.filterwarnings("error:compile.*:UserWarning"),
]


def test_a_smaller_last_batch_has_a_program_of_its_own():
    step = both(step_of, *[rows(n) for n in (5, 5, 5, 2, 2, 2, 5, 2)])
    first, second = variants(step)
    assert first.buffers is second.buffers
    assert step._compiled.traces == 2


def test_state_is_saved_and_loaded_between_calls():
    make = lambda device: step_of(device)  # noqa: E731
    a, b = make("cpu"), make("cuda")
    compiled = torch.compile(b)
    batches = [rows() for _ in range(6)]
    for (x,) in batches[:3]:
        a(x), compiled(x.cuda())
    saved = copy.deepcopy((b.model.state_dict(), b.optimizer.state_dict()))
    assert all([t.is_cuda for t in saved[0].values()])
    assert all([s["momentum_buffer"].is_cuda for s in saved[1]["state"].values()])
    for (x,) in batches[3:]:
        compiled(x.cuda())
    b.model.load_state_dict(saved[0])
    b.optimizer.load_state_dict(saved[1])
    for (x,) in batches[3:]:
        close(a(x), compiled(x.cuda()))
    same_models(a.model, b.model)
    variants(compiled)


def test_frozen_parameters_and_flags():
    step = step_of("cuda")
    step.model[0].requires_grad_(False)
    compiled = torch.compile(step)
    before = step.model[0].weight.detach().clone()
    for _ in range(3):
        compiled(rows()[0].cuda())
    assert torch.equal(before, step.model[0].weight) and step.model[0].weight.grad is None
    step.model[0].requires_grad_(True)
    for _ in range(3):
        compiled(rows()[0].cuda())
    assert not torch.equal(before, step.model[0].weight) and step.model[0].weight.grad.is_cuda
    assert len(variants(compiled)) == 2
    step.model.eval()
    compiled(rows()[0].cuda())


def test_several_losses():
    def make(device):
        model, optimizer = regression(device)

        def step(x):
            optimizer.zero_grad()
            y = model(x)
            losses = y.square().mean(), y.abs().mean()
            (losses[0] + 0.5 * losses[1]).backward()
            optimizer.step()
            return *[v.detach() for v in losses], y.detach(), model[0].weight.grad.norm()

        return step

    variants(both(make, *[rows() for _ in range(4)]))


def test_gradients_are_accumulated():
    def make(device):
        model, optimizer = regression(device)

        def step(x, last):
            loss = model(x).square().mean() / 2
            loss.backward()
            if last:
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)
            return loss.detach()

        return step

    calls = [(*rows(), k % 2 == 1) for k in range(12)]
    assert len(variants(both(make, *calls))) >= 2


def test_schedules_need_no_other_capture():
    def make(device):
        step = step_of(device)
        schedule = torch.optim.lr_scheduler.StepLR(step.optimizer, 1, 0.5)

        def both_of_them(x):
            loss = step(x)
            schedule.step()
            return loss

        return both_of_them

    step = both(make, *[rows() for _ in range(5)])
    outer = step_of("cuda")
    schedule = torch.optim.lr_scheduler.ExponentialLR(outer.optimizer, 0.5)
    compiled = torch.compile(outer)
    for _ in range(5):
        compiled(rows()[0].cuda())
        schedule.step()
    assert compiled._compiled.traces == 1 and len(variants(step)) == 1


def test_an_index_out_of_range():
    torch.manual_seed(0)
    table = nn.Embedding(4, 3).cuda()
    compiled = torch.compile(lambda i: table(i).sum().detach())
    for _ in range(3):
        compiled(torch.tensor([0, 3], device="cuda"))
    with pytest.raises(IndexError):
        compiled(torch.tensor([0, 4], device="cuda")).item()
        torch.cuda.synchronize()
    assert compiled(torch.tensor([1, 1], device="cuda")).is_cuda
    variants(compiled)


def test_models_that_move():
    step = step_of("cpu")
    compiled = torch.compile(step)
    x = rows()[0]
    for device in ("cpu", "cuda", "cpu", "cuda"):
        step.model.to(device)
        step.optimizer.state.clear()
        for _ in range(3):
            loss = compiled(x.to(device))
            assert loss.device.type == device
        assert all([p.grad.device.type == device for p in step.model.parameters()])
    variants(compiled)


def test_modules_whose_results_are_differentiated_outside():
    def make(device):
        model, optimizer = regression(device)
        run = torch.compile(model) if device == "cuda" else model

        def step(x):
            optimizer.zero_grad()
            y = run(x)
            loss = y.square().mean() + y.sum() * 0.1
            loss.backward()
            optimizer.step()
            return loss.detach()

        step.model = model
        return step

    a, b = make("cpu"), make("cuda")
    for _ in range(5):
        x = rows()[0]
        close(a(x), b(x.cuda()))
    same_models(a.model, b.model)
    compiled = b.model._compiled_call_impl._compiled
    assert compiled.eager is None and len(compiled.variants) == 1


def test_inference():
    def make(device):
        model, _ = regression(device)
        model.eval()

        @torch.no_grad()
        def call(x):
            return model(x), x.sum(0)

        return call

    found = both(make, *[rows() for _ in range(4)])
    held = [found(rows()[0].cuda())[0] for _ in range(4)]
    assert len({t.data_ptr() for t in held}) == 4


def test_results_that_are_no_new_memory():
    def make(device):
        model, _ = regression(device)

        def call(x):
            y = model(x).detach()
            model.zero_grad()
            model(x).sum().backward()
            return model[0].weight.detach(), y, y[1:], x[:, 0], model[0].weight.grad, y.t()

        return call

    found = both(make, *[rows() for _ in range(4)])
    x = rows()[0].cuda()
    results = found(x)
    assert results[3].data_ptr() == x.data_ptr()
    assert results[1]._array.memory is results[2]._array.memory
    assert results[5].stride() == (1, 1) or results[5].stride() == results[5].contiguous().stride()
    variants(found)


def test_arguments_and_state_in_other_orders():
    def make(device):
        total = torch.zeros(4, 3, device=device).t()

        def call(x, y):
            total.add_(x.t().sum() + y[:1].sum())
            x.mul_(2)
            return total.clone(), x * 1, y[:, 1:] + 1

        return call

    def given():
        return torch.randn(4, 3).t(), torch.randn(4, 6)[:, ::2]

    found = both(make, *[given() for _ in range(4)])
    variants(found)
    x = torch.ones(2, 3, 4, 5).cuda().permute(0, 3, 1, 2)
    call = torch.compile(lambda x: x * 2)
    for _ in range(3):
        y = call(x)
        assert torch.equal(y.cpu(), x.cpu() * 2) and y.stride() == (x * 2).stride()


def test_values_that_decide():
    def make(device):
        model, optimizer = regression(device)

        def step(x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            if norm < 100:
                optimizer.step()
            return loss.detach()

        return step

    step = both(make, rows(), rows(), rows(), (rows()[0] * 1e4,), rows(), rows())
    variants(step)


def test_buffers_that_follow():
    def make(device):
        model, optimizer = regression(device)
        mean = torch.optim.swa_utils.AveragedModel(model)

        def step(x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for p, q in zip(mean.module.parameters(), model.parameters(), strict=True):
                    p.lerp_(q, 0.1)
            return loss.detach(), mean(x).detach()

        return step

    variants(both(make, *[rows() for _ in range(4)]))


def test_places_in_tensors_that_move_on():
    def make(device):
        data = torch.arange(24.0, device=device).reshape(8, 3)
        kept = torch.zeros(8, device=device)
        at = {"k": 0}

        def call(x):
            k = at["k"]
            at["k"] = k + 1
            kept[k] = (data[k] * x[0]).sum()
            return kept.clone(), data[k : k + 2].sum()

        return call

    variants(both(make, *[rows() for _ in range(7)]))


def test_recorded_work_finds_arrays_where_they_were(gpus):
    if gpus is None:
        pytest.skip("programs of real GPUs do not say where they ran")
    step, plain = step_of("cuda"), step_of("cpu")
    compiled = torch.compile(step)
    given = [(torch.randn(5, 6)[:, ::2] if k % 3 == 0 else rows()[0]) for k in range(12)]
    kept = [compiled(x.cuda()) for x in given]
    for x, loss in zip(given, kept, strict=True):
        close(plain(x), loss)
    addresses = [v.program.stages[-1].program.addresses for v in variants(compiled)]
    assert all([len(set(found[4:])) == 1 for found in addresses])
    batch = rows()[0].cuda()
    again = torch.compile(step_of("cuda"))
    for _ in range(10):
        last = again(batch)
    (variant,) = variants(again)
    (stage,) = variant.program.stages
    assert batch._array.pointer in stage.program.addresses[-1]  # there is nothing to copy
    assert not stage.aside and len(set(stage.program.addresses[2:])) == 2 and last.is_cuda


def test_memory_that_is_overwritten_is_not_fetched(gpus):
    if gpus is None:
        pytest.skip("copies from real GPUs are not counted")

    def make(device):
        def call(x):
            noise = torch.rand(300, 300, device=device)
            state = torch.zeros(200, 300, device=device)
            return nn.functional.dropout(x + noise, 0.5), state + x[:200], noise.normal_()

        return call

    plain, compiled = make("cpu"), torch.compile(make("cuda"))
    x = torch.randn(300, 300)
    given = x.cuda()
    compiled(given)
    compiled(given)
    (variant,) = variants(compiled)
    constants = [i.source for i in variant.graph.inputs if i.kind == "constant"]
    assert len(constants) == 3 and not any([any(a.strides) for a in constants])
    (stage,) = variant.program.stages
    memories = {id(a.memory) for a in stage.brought if a is not None and a.shape[1:] == (300,)}
    assert len(memories) == 1
    for device, call in (("cpu", plain), ("cuda", compiled)):
        torch.manual_seed(0)
        results = call(x.to(device))
        if device == "cpu":
            expected = results
    for a, b in zip(expected, results, strict=True):
        close(a, b)


def test_arguments_and_state_on_the_same_memory():
    def make(device):
        kept = torch.arange(8.0, device=device)

        def call(x, y):
            x.mul_(2)
            kept[1:3].add_(y.sum())
            return y + 1, kept.clone()

        return call, kept

    (plain, here), (step, there) = make("cpu"), make("cuda")
    compiled = torch.compile(step)
    for _ in range(4):
        x, y = torch.randn(4), torch.randn(4)
        for a, b in zip(plain(x.clone(), y), compiled(x.cuda(), y.cuda()), strict=True):
            close(a, b)
    with pytest.warns(UserWarning, match="reads memory through one array"):  # as on the CPU
        for views in (
            lambda kept: (lambda t: (t[:4], t[4:]))(torch.ones(8, device=kept.device)),
            lambda kept: (kept[4:], kept[:4]),
            lambda kept: (lambda t: (t[:4], t[2:]))(torch.ones(6, device=kept.device)),
        ):
            for _ in range(3):
                for a, b in zip(plain(*views(here)), compiled(*views(there)), strict=True):
                    close(a, b)


def test_masks_and_numbers_in_new_tensors():
    def make(device):
        rate = {"lr": 0.5}

        def call(x):
            mask = x > 0
            picked = x[mask]
            x = x * torch.tensor(rate["lr"], device=device) + torch.full_like(x, rate["lr"])
            x[0] = x[1, 1]
            x[:, 1] -= x[0].sum()
            x[mask.nonzero()[:, 0]] += 1
            return picked, x, torch.full((2,), rate["lr"], device=device), mask.nonzero()

        call.rate = rate
        return call

    plain, step = make("cpu"), make("cuda")
    compiled, x = torch.compile(step), torch.tensor([[1.0, -1, 2], [3, -2, -1], [0, 2, -4]])
    for k in range(6):
        plain.rate["lr"] = step.rate["lr"] = 0.5 / (k + 1)
        for a, b in zip(plain(x * (k + 1)), compiled(x.cuda() * (k + 1)), strict=True):
            assert b.is_cuda
            close(a, b)
    variants(compiled)


def test_what_looks_at_values_runs_eagerly():
    looks = (
        lambda x: x.untyped_storage().tolist(),
        lambda x: str(x.sum().item()),
        lambda x: x.cpu().numpy().tobytes(),
        lambda x: 1.5 in x,
    )
    for look in looks:
        compiled = torch.compile(look)
        with pytest.warns(UserWarning, match="runs eagerly, because .*needs a value"):
            for k in range(4):
                x = torch.tensor([1.5, 2.0]) * k
                assert compiled(x.cuda()) == look(x)
