"""simclr.torch.similarity and attention, beside PyTorch's own functions in float64."""
import math

import pytest

torch = pytest.importorskip("torch")
import simclr  # noqa: E402
import simclr.torch as st  # noqa: E402


def values(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def check_like(y, expected, inputs, relative):
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    got = [y, *torch.autograd.grad((y * weights).sum(), inputs)]
    wanted = [expected, *torch.autograd.grad((expected * weights).sum(), inputs)]
    for g, w in zip(got, wanted):
        assert (g.double() - w.double()).abs().max().item() <= relative * w.abs().max().item()


def plain_similarity(a, b, tau):
    return torch.nn.functional.normalize(a.double()) @ torch.nn.functional.normalize(b.double()).T / tau


def plain_attention(qkv, heads, lengths):
    n, steps, width = qkv.shape
    q, k, v = qkv.double().reshape(n, steps, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
    s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    there = torch.arange(steps)[None, :] < lengths[:, None]
    s = s.masked_fill(~there[:, None, None, :], -math.inf)
    y = (torch.softmax(s, -1).nan_to_num() @ v).transpose(1, 2).reshape(n, steps, width // 3)
    return y * there[:, :, None]


# f32: sums of up to 64 products. f64: the same.
RELATIVE = {torch.float32: 2e-6, torch.float64: 1e-14}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows, others, width", [(1, 1, 1), (17, 33, 64), (130, 5, 7)])
def test_similarity(dtype, rows, others, width):
    a, b = values(rows, width, dtype=dtype), values(others, width, dtype=dtype, seed=1)
    # one value against one: the gradient is 0, and what is computed of it is the similarity's rounding
    if width > 1:
        check_like(st.similarity(a, b, 0.3), plain_similarity(a, b, 0.3), [a, b], 5 * RELATIVE[dtype])
    else:
        assert abs(st.similarity(a, b).abs().item() - 1) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n, steps, heads, width", [(1, 1, 1, 4), (3, 17, 2, 16), (2, 70, 4, 8)])
def test_attention(dtype, n, steps, heads, width):
    qkv = values(n, steps, 3 * heads * width, dtype=dtype)
    full = torch.full((n,), steps)
    check_like(st.attention(qkv, heads), plain_attention(qkv, heads, full), [qkv], 5 * RELATIVE[dtype])
    lengths = torch.arange(n) * steps // n + 1
    check_like(st.attention(qkv, heads, lengths), plain_attention(qkv, heads, lengths), [qkv], 5 * RELATIVE[dtype])


def test_half_the_width():
    qkv = values(2, 5, 24, dtype=torch.bfloat16)
    y = st.attention(qkv, 2)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, st.attention(qkv.float(), 2).bfloat16())
    a = values(4, 8, dtype=torch.float16)
    assert torch.equal(st.similarity(a, a), st.similarity(a.float(), a.float()))


def test_gradcheck():
    a, b = values(4, 3, dtype=torch.float64), values(5, 3, dtype=torch.float64, seed=1)
    assert torch.autograd.gradcheck(lambda a, b: st.similarity(a, b, 0.5), (a, b))
    qkv = values(2, 4, 12, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: st.attention(x, 2, torch.tensor([4, 2])), (qkv,))


@pytest.mark.parametrize("function", [lambda x: st.similarity(x[0], x[1]), lambda x: st.attention(x, 1)])
def test_second_derivative_is_refused(function):
    x = values(2, 4, 6, dtype=torch.float64)
    gradient, = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    with pytest.raises(simclr.RunError, match="has no second derivative"):
        gradient.sum().backward()


WRONG = [
    (lambda x: st.similarity(x[0], x[1].double()), r"b is torch\.float64, a torch\.float32; pass b\.to"),
    (lambda x: st.similarity(x[0], x[0, :, :3]), r"b \[4, 3\] is not contiguous"),
    (lambda x: st.similarity(x[0], x[0], -1), r"temperature is -1; it must be positive"),
    (lambda x: st.similarity(x, x), r"a has the shape \[2, 4, 6\]; rows, \[A,D\], is wanted"),
    (lambda x: st.attention(x[0], 1), r"qkv has the shape \[4, 6\]; \[N,T,3C\] is wanted"),
    (lambda x: st.attention(x, 4), r"q, k and v of 4 heads, a multiple of 12 values"),
    (lambda x: st.attention(x, 0), r"heads is 0; it must be at least 1"),
    (lambda x: st.attention(x, 1, torch.tensor([5, 1])), r"length"),
    (lambda x: st.attention(x, 1, torch.tensor([2**40, 1])), r"lengths holds numbers that int32 cannot; .*from 0 to 4$"),
    (lambda x: st.attention(x, 1, torch.tensor([1])), r"one number for each sequence is wanted, \[2\]"),
    (lambda x: st.attention(torch.zeros(1, 1, 3 * 300), 1), r"256"),
]


@pytest.mark.parametrize("call, message", WRONG)
def test_wrong_input(call, message):
    with pytest.raises(simclr.InputError, match=message):
        call(values(2, 4, 6))
