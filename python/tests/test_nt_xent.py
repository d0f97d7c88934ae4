"""simclr.torch.nt_xent and what is made of it, beside the equations written with PyTorch's own functions in float64."""
import fractions
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import simclr  # noqa: E402
import simclr.torch as st  # noqa: E402


def reference(z, tau, candidates=None, groups=None, self_offset=None):
    """The rows' softmax over the whole matrix of similarities, which the library never stores."""
    z = z.double()
    if candidates is None:
        candidates, self_offset = z, 0
        if groups is None:
            groups = torch.arange(len(z)) % (len(z) // 2)
        groups = (groups, groups)
    candidates = candidates.double()
    s = torch.nn.functional.normalize(z) @ torch.nn.functional.normalize(candidates).T / tau
    positive = (groups[0][:, None] == groups[1][None, :]) & (groups[0][:, None] != -1)
    if self_offset is not None:
        i = torch.arange(len(z))
        itself = torch.zeros_like(positive)
        itself[i, i + self_offset] = True
        s = s.masked_fill(itself, -math.inf)
        positive &= ~itself
    log_p = s - torch.logsumexp(s, 1, keepdim=True)
    counts = positive.sum(1)
    losses = -torch.where(positive, log_p, torch.zeros_like(log_p)).sum(1)
    return (losses / counts.clamp(min=1))[counts > 0].mean()


def embeddings(*shape, dtype=torch.float32, seed=0):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return z.to(dtype).requires_grad_()


def check_like(loss, expected, inputs, relative):
    """Value and gradients of `inputs` as those of the reference, to the arithmetic's rounding."""
    assert abs(loss.item() - expected.item()) <= relative * abs(expected.item())
    got = torch.autograd.grad(loss, inputs)
    wanted = torch.autograd.grad(expected, inputs)
    for g, w, x in zip(got, wanted, inputs):
        assert g.dtype == x.dtype and g.shape == x.shape
        error = (g.double() - w.double()).abs().max().item()
        assert error <= relative * max(w.abs().max().item(), 1e-30)


# f32: sums of some 100 products whose rounding is 6e-8 of each. f64: the same of 1e-16.
RELATIVE = {torch.float32: 4e-6, torch.float64: 1e-13}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows, width", [(2, 3), (64, 31), (130, 128)])
@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_two_views(dtype, rows, width, tau):
    z = embeddings(rows, width, dtype=dtype)
    check_like(st.nt_xent(z, tau), reference(z, tau), [z], RELATIVE[dtype])


def test_bfloat16_is_computed_in_float32():
    z = embeddings(32, 16, dtype=torch.bfloat16)
    loss = st.nt_xent(z)
    assert loss.dtype == torch.float32
    wide = z.detach().float().requires_grad_()
    expected = st.nt_xent(wide)
    assert loss.item() == expected.item()
    loss.backward()
    expected.backward()
    assert z.grad.dtype == torch.bfloat16 and torch.equal(z.grad, wide.grad.bfloat16())


def test_groups():
    z = embeddings(30, 8)
    groups = torch.arange(30) % 7
    groups[3] = -1
    check_like(st.nt_xent(z, 0.3, groups=groups), reference(z, 0.3, groups=groups), [z], 4e-6)
    assert torch.equal(st.sup_con(z, groups, 0.3), st.nt_xent(z, 0.3, groups=groups.to(torch.int16)))


def test_candidates():
    z, candidates = embeddings(12, 8), embeddings(40, 8, seed=1)
    expected = reference(z, 0.2, candidates, (torch.arange(12), torch.arange(40)))
    check_like(st.nt_xent(z, 0.2, candidates=candidates), expected, [z, candidates], 4e-6)


def test_anchors_among_candidates():
    everything = embeddings(40, 8)
    groups = torch.arange(40) % 10
    z = everything[8:20].detach().requires_grad_()
    check_like(st.nt_xent(z, 0.2, candidates=everything, groups=(groups[8:20], groups), self_offset=8),
               reference(z, 0.2, everything, (groups[8:20], groups), 8), [z, everything], 4e-6)
    two_views = torch.arange(40) % 20
    check_like(st.nt_xent(z, 0.2, candidates=everything, self_offset=8),
               reference(z, 0.2, everything, (two_views[8:20], two_views), 8), [z, everything], 4e-6)


def test_clip_learns_its_temperature():
    a, b = embeddings(20, 8), embeddings(20, 8, seed=1)
    scale = torch.tensor(math.log(1 / 0.07), requires_grad=True)
    tau = torch.exp(-scale.double())
    pairs = (torch.arange(20), torch.arange(20))
    expected = 0.5 * (reference(a, tau, b, pairs) + reference(b, tau, a, pairs))
    check_like(st.clip(a, b, scale), expected, [a, b, scale], 1e-5)
    assert abs(st.clip(a, b, temperature=0.07).item() - expected.item()) < 1e-5


def test_gradient_is_asked_of_one_side_alone():
    z, candidates = embeddings(6, 4), embeddings(9, 4, seed=1)
    st.nt_xent(z.detach(), candidates=candidates).backward()
    assert candidates.grad is not None and z.grad is None
    assert not st.nt_xent(z.detach()).requires_grad


def test_gradcheck():
    z, candidates = embeddings(6, 3, dtype=torch.float64), embeddings(8, 3, dtype=torch.float64, seed=1)
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(st.nt_xent, (z,))
    assert torch.autograd.gradcheck(lambda z, c, s: st.nt_xent(z, candidates=c, logit_scale=s), (z, candidates, scale))
    assert torch.autograd.gradcheck(lambda z: st.sup_con(z, torch.tensor([0, 0, 1, 1, 1, 2])), (z,))
    assert torch.autograd.gradcheck(st.clip, (z, embeddings(6, 3, dtype=torch.float64, seed=2), scale))


def test_second_derivative_is_refused():
    z = embeddings(6, 3, dtype=torch.float64)
    gradient, = torch.autograd.grad(st.nt_xent(z), z, create_graph=True)
    with pytest.raises(simclr.RunError, match="has no second derivative"):
        gradient.sum().backward()


def test_backward_twice_over_a_kept_graph():
    z = embeddings(6, 3)
    loss = st.nt_xent(z)
    loss.backward(retain_graph=True)
    first = z.grad.clone()
    loss.backward()
    assert torch.equal(z.grad, 2 * first)


def test_embeddings_changed_before_backward():
    z = embeddings(6, 3)
    x = z * 1
    loss = st.nt_xent(x)
    with torch.no_grad():
        x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_scaled_gradients():
    """What gradient scaling does: the loss times a power of two gives the gradient times it, to the bit."""
    z = embeddings(16, 8)
    plain, = torch.autograd.grad(st.nt_xent(z), z)
    scaled, = torch.autograd.grad(st.nt_xent(z) * 1024, z)
    assert torch.equal(scaled, plain * 1024)


def test_autocast():
    model = torch.nn.Linear(8, 8)
    x = embeddings(16, 8).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = model(x)
        loss = st.nt_xent(z)
    assert z.dtype == torch.bfloat16 and loss.dtype == torch.float32
    loss.backward()
    assert model.weight.grad.abs().sum() > 0


def test_rows_of_zeros_have_no_gradient():
    z = embeddings(6, 3)
    with torch.no_grad():
        z[2] = 0
    st.nt_xent(z).backward()
    assert torch.equal(z.grad[2], torch.zeros(3)) and torch.isfinite(z.grad).all()


def freed(z):
    """A tensor whose memory was given back, as FSDP does between steps."""
    t = z.detach().clone()
    (t.untyped_storage() if hasattr(t, "untyped_storage") else t.storage()).resize_(0)
    return t


def test_numbers_of_numpy_are_taken():
    z, candidates = embeddings(4, 4), embeddings(12, 4, seed=1)
    wanted = st.nt_xent(z, 0.5, candidates=candidates, self_offset=2)
    for number, whole in ((np.float32, np.int64), (np.float64, np.uint8), (fractions.Fraction, int)):
        assert torch.equal(st.nt_xent(z, number(0.5), candidates=candidates, self_offset=whole(2)), wanted)
    qkv = torch.randn(1, 2, 12)
    assert torch.equal(st.attention(qkv, np.int64(2)), st.attention(qkv, 2))


WRONG = [
    (lambda z: st.nt_xent(z.detach().numpy()), r"z is a numpy\.ndarray; a torch tensor is wanted: torch\.from_numpy\(z\)"),
    (lambda z: st.nt_xent([[1.0]]), r"z is a list; a torch tensor is wanted: torch\.as_tensor\(z\)"),
    (lambda z: st.nt_xent(None), r"z is a NoneType; a torch tensor is wanted$"),
    (lambda z: st.nt_xent("z"), r"z is a str; a torch tensor is wanted$"),
    (lambda z: st.nt_xent(freed(z)), r"z \[6, 4\] has lost its memory"),
    (lambda z: st.nt_xent(torch._neg_view(z.detach())), r"z is a view whose sign is not in its memory; pass z\.resolve_neg"),
    (lambda z: st.nt_xent(z, torch.tensor(0.5, device="meta")), r"temperature is on meta, .*pass a number"),
    (lambda z: st.nt_xent(z, 10**400), r"temperature is 1000.*; it must be positive and finite"),
    (lambda z: st.nt_xent(z, np.array([0.1, 0.2])), r"temperature is a numpy\.ndarray; a number is wanted"),
    (lambda z: st.nt_xent(z, True), r"temperature is a bool; a number is wanted"),
    (lambda z: st.nt_xent(z, np.bool_(True)), r"temperature is a numpy\.bool_?; a number is wanted"),
    (lambda z: st.nt_xent(z.long()), r"z is torch\.int64; float32.* is wanted: z\.float\(\)"),
    (lambda z: st.nt_xent(z[0]), r"z has the shape \[4\]; rows of embeddings, \[2N,D\], is wanted"),
    (lambda z: st.nt_xent(z[:5]), r"5 rows, which are not two views of each sample; give an even number, or groups"),
    (lambda z: st.nt_xent(z[:0]), r"z \[0, 4\] is empty"),
    (lambda z: st.nt_xent(z.T), r"z \[4, 6\] is not contiguous; pass z\.contiguous\(\)"),
    (lambda z: st.nt_xent(z.detach().to_sparse()), r"z is sparse .*z\.to_dense\(\)"),
    (lambda z: st.nt_xent(z.to("meta")), r"z is on meta; simclr works on the CPU and on CUDA"),
    (lambda z: st.nt_xent(z, 0), r"temperature is 0; it must be positive and finite"),
    (lambda z: st.nt_xent(z, math.nan), r"temperature is nan; it must be positive"),
    (lambda z: st.nt_xent(z, 1e-9), r"temperature 1e-09: below 1e-05 the rounding of f32 decides the loss; raise it"),
    (lambda z: st.nt_xent(z, "0.5"), r"temperature is a str; a number is wanted"),
    (lambda z: st.nt_xent(z, torch.tensor(0.5, requires_grad=True)), r"requires a gradient; .* as logit_scale"),
    (lambda z: st.nt_xent(z, groups=torch.rand(6)), r"groups is torch\.float32; integers are wanted"),
    (lambda z: st.nt_xent(z, groups=torch.arange(5)), r"groups has the shape \[5\]; one number for each row of z .*\[6\]"),
    (lambda z: st.nt_xent(z, groups=torch.arange(6)), r"no anchor has a positive among the 6 candidates; check the groups"),
    (lambda z: st.nt_xent(z, groups=torch.arange(6) << 33), r"groups holds numbers that int32 cannot"),
    (lambda z: st.nt_xent(z, self_offset=0), r"without candidates leave it out"),
    (lambda z: st.nt_xent(z, candidates=z.double()), r"candidates is torch\.float64, z torch\.float32; pass candidates\.to"),
    (lambda z: st.nt_xent(z, candidates=z[:, :3].contiguous()), r"rows of candidates have 3 values, those of z 4"),
    (lambda z: st.nt_xent(z, candidates=z[:5]), r"5 candidates for 6 rows of z: .* pass groups"),
    (lambda z: st.nt_xent(z, candidates=z, groups=torch.arange(6)), r"are a pair"),
    (lambda z: st.nt_xent(z, candidates=z, self_offset=1), r"6 rows of z do not fit among 6 candidates from row 1; leave it out"),
    (lambda z: st.nt_xent(z, candidates=z, self_offset=3), r"self_offset is 3: 6 rows of z do not fit among 6 candidates"),
    (lambda z: st.nt_xent(z, candidates=z, self_offset=2**70), r"self_offset is 1180591620717411303424: 6 rows of z do"),
    (lambda z: st.nt_xent(z, candidates=z, self_offset=-1), r"self_offset is -1; it must be at least 0"),
    (lambda z: st.nt_xent(z, candidates=z, self_offset=np.array([0, 1])), r"self_offset is a numpy\.ndarray; an int"),
    (lambda z: st.nt_xent(z, candidates=z, self_offset=1.5), r"self_offset is a float; an int is wanted"),
    (lambda z: st.nt_xent(z, logit_scale=torch.zeros(2)), r"logit_scale has the shape \[2\]; one value is wanted"),
    (lambda z: st.nt_xent(z, logit_scale=torch.zeros(()).double()), r"logit_scale is torch\.float64; .*logit_scale\.to"),
    (lambda z: st.nt_xent(z, logit_scale=2.0), r"logit_scale is a float; a torch tensor is wanted"),
    (lambda z: st.clip(z.double(), z), r"b is torch\.float32, a torch\.float64; pass b\.to\(torch\.float64\)"),
    (lambda z: st.clip(z[:0], z[:0]), r"a \[0, 4\] is empty"),
    (lambda z: st.clip(z, z[:4]), r"a is \[6, 4\], b \[4, 4\]; both towers must give one row a pair"),
]


@pytest.mark.parametrize("call, message", WRONG)
def test_wrong_input(call, message):
    with pytest.raises(simclr.InputError, match=message) as error:
        call(embeddings(6, 4))
    assert isinstance(error.value, ValueError) and isinstance(error.value, simclr.Error)
    assert "\n" not in str(error.value)
