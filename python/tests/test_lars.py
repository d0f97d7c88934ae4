"""simclr.torch.Lars beside the library's own update, and as an optimizer of PyTorch."""
import copy
import fractions
import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import simclr  # noqa: E402
from simclr import _core  # noqa: E402
from simclr.torch import Lars  # noqa: E402

DECAYS, ADAPTS = 1, 2
SHAPES = [(7, 5), (5,), (3, 2, 3, 3), (4, 4)]


def parameters(dtype=torch.float32, zeros=False):
    generator = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
            for shape in SHAPES]
    if zeros:
        made[3].data.zero_()
    return made


def own(values, gradients, momentum, lr, **options):
    segments, begin = [], 0
    for shape in SHAPES:
        size = int(np.prod(shape))
        segments.append((begin, begin + size, DECAYS | ADAPTS if len(shape) > 1 else 0))
        begin += size
    return _core.lars_step(values, gradients, momentum, np.array(segments, np.int32), lr=lr, **options)


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors]).numpy().copy()


OPTIONS = list(itertools.product(["simclr", "bolts"], [False, True], [False, True], [False, True], [0.0, 0.02]))


@pytest.mark.parametrize("dtype, relative", [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("rule, nesterov, clip, zeros, decay", OPTIONS)
def test_as_the_librarys(dtype, relative, rule, nesterov, clip, zeros, decay):
    options = dict(weight_decay=decay, trust_coefficient=0.1, nesterov=nesterov, clip=clip, rule=rule)
    params = parameters(dtype, zeros)
    optimizer = Lars(params, lr=0.3, momentum=0.8, **options)
    values, momentum = flat(params), np.zeros_like(flat(params))
    generator = torch.Generator().manual_seed(1)
    for step in range(4):
        lr = 0.25 / 2**step  # which the library keeps as a float32
        optimizer.param_groups[0]["lr"] = lr
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype)
        if step == 2:
            params[2].grad.zero_()
        values, momentum = own(values, flat([p.grad for p in params]), momentum, lr, momentum_factor=0.8, **options)
        optimizer.step()
        assert np.abs(flat(params) - values).max() <= relative * np.abs(values).max()
        kept = flat([optimizer.state[p]["momentum_buffer"] for p in params])
        assert np.abs(kept - momentum).max() <= relative * np.abs(momentum).max()


def test_state_dict_goes_on_to_the_bit():
    def run(steps, optimizer, params, first=0):
        for step in range(first, first + steps):
            generator = torch.Generator().manual_seed(step)
            for p in params:
                p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step()

    whole = parameters()
    run(5, Lars(whole, lr=0.2), whole)
    params = parameters()
    optimizer = Lars(params, lr=0.2)
    run(2, optimizer, params)
    state = copy.deepcopy(optimizer.state_dict())
    again = Lars(params, lr=0.7)
    again.load_state_dict(state)
    run(3, again, params, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole, params))


def test_groups_say_who_adapts():
    w, b = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    optimizer = Lars([{"params": [w], "adapt": False}, {"params": [b], "adapt": True}], lr=1.0, weight_decay=0.0,
                     trust_coefficient=0.5)
    w.grad, b.grad = torch.ones(2, 2), torch.full((2,), 4.0)
    optimizer.step()
    assert torch.equal(w.detach(), torch.zeros(2, 2))  # the gradient itself
    assert torch.allclose(b.detach(), torch.full((2,), 0.5))  # half of |w| in the gradient's direction


def test_schedulers_and_closures():
    p = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = Lars([p], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    schedule.step()
    assert optimizer.param_groups[0]["lr"] < 1.0
    assert optimizer.step(closure).item() < 4.0


@pytest.mark.parametrize("options, message", [
    (dict(lr=-1.0), r"lr is -1\.0; a finite number of at least 0"),
    (dict(lr="0.1"), r"lr is '0\.1'; a finite number of at least 0"),
    (dict(lr=10**400), r"lr is 1000.*a finite number"),
    (dict(lr=True), r"lr is True; a finite number"),
    (dict(lr=torch.ones(2)), r"lr is tensor.*; a finite number"),
    (dict(lr=0.1, momentum=float("nan")), r"momentum is nan"),
    (dict(lr=0.1, momentum=1), r"momentum is 1; a number of at least 0 and below 1"),
    (dict(lr=0.1, momentum=1.5), r"momentum is 1\.5; a number of at least 0 and below 1"),
    (dict(lr=0.1, trust_coefficient=0), r"trust_coefficient is 0; a finite number above 0"),
    (dict(lr=0.1, weight_decay=-1), r"weight_decay is -1; a finite number of at least 0"),
    (dict(lr=0.1, clip="a"), r"clip is 'a'; True or False"),
    (dict(lr=0.1, nesterov=1), r"nesterov is 1; True or False"),
    (dict(lr=0.1, adapt=1), r"adapt is 1; True, False or None"),
    (dict(lr=0.1, rule=["simclr"]), r"rule is \['simclr'\]"),
    (dict(lr=0.1, rule="lars"), r"rule is 'lars'; 'simclr' and 'bolts' are known"),
    (dict(lr=0.1, momentum=0.0, nesterov=True), r"nesterov needs a momentum above 0"),
    (dict(lr=0.1, adapt="yes"), r"adapt is 'yes'"),
])
def test_wrong_options(options, message):
    with pytest.raises(simclr.InputError, match=message):
        Lars(parameters(), **options)


def test_a_group_has_no_option_that_is_unknown():
    made = parameters()
    with pytest.raises(simclr.InputError, match=r"a group has 'weight_decy', which is no option; .*weight_decay"):
        Lars([{"params": made, "weight_decy": 0.1}], lr=0.1)
    optimizer = Lars([{"params": made[:1], "name": "first", "initial_lr": 0.2}], lr=0.1)  # as schedulers and people have
    with pytest.raises(simclr.InputError, match=r"a group has 'lrs'"):
        optimizer.add_param_group({"params": made[1:2], "lrs": 1})
    with pytest.raises(simclr.InputError, match=r"momentum is 2"):
        optimizer.add_param_group({"params": made[1:2], "momentum": 2})
    assert len(optimizer.param_groups) == 1  # and what was refused is not there
    optimizer.add_param_group({"params": made[1:2], "lr": 1})


@pytest.mark.parametrize("number", [np.float32, np.float64, fractions.Fraction, torch.tensor])
def test_numbers_of_any_kind_are_taken(number):
    def stepped(kind):
        params = parameters()
        optimizer = Lars(params, lr=kind(0.5), momentum=kind(0.25), weight_decay=kind(0.125), trust_coefficient=kind(0.5))
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer.step()
        optimizer.step()
        return params
    assert all(torch.equal(a, b) for a, b in zip(stepped(number), stepped(float)))


def test_wrong_parameters():
    with pytest.raises(simclr.InputError, match=r"a parameter is torch\.bfloat16; float32 or float64"):
        Lars(parameters(torch.bfloat16), lr=0.1)
    for nothing in (None, [], torch.ones(2), 5):
        with pytest.raises(simclr.InputError, match=r"there are no parameters; pass model\.parameters\(\)"):
            Lars(nothing, lr=0.1)


def test_memory_that_is_gone():
    """As what shares parameters among processes leaves it between steps: a step would read at address 0."""
    params = parameters()
    optimizer = Lars(params, lr=0.1)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.state[params[0]]["momentum_buffer"] = torch.ones(3, 3)
    with pytest.raises(simclr.InputError, match=r"a momentum_buffer is \[3, 3\] beside a parameter \[7, 5\]"):
        optimizer.step()
    (params[0].grad.untyped_storage() if hasattr(params[0], "untyped_storage") else params[0].grad.storage()).resize_(0)
    with pytest.raises(simclr.InputError, match=r"a gradient \[7, 5\] has lost its memory"):
        optimizer.step()
