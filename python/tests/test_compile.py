"""The functions under torch.compile: one graph, the same values, and PyTorch's own check of the operators."""
import pytest

torch = pytest.importorskip("torch")
import simclr.torch as st  # noqa: E402

if not hasattr(torch.library, "opcheck"):
    pytest.skip("torch.compile takes operators of torch.library from PyTorch 2.4", allow_module_level=True)
from simclr.torch import _compiled  # noqa: E402


def values(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


GROUPS = torch.tensor([0, 1, 2, 0, 1, 2], dtype=torch.int32)
FUNCTIONS = {
    "nt_xent": (lambda z: st.nt_xent(z, 0.2), lambda: (values(6, 4),)),
    "bfloat16": (lambda z: st.nt_xent(z, 0.2), lambda: (values(6, 4, dtype=torch.bfloat16),)),
    "sup_con": (lambda z: st.sup_con(z, GROUPS), lambda: (values(6, 4),)),
    "candidates": (lambda z, c: st.nt_xent(z, candidates=c), lambda: (values(6, 4), values(9, 4, seed=1))),
    "clip": (st.clip, lambda: (values(6, 4), values(6, 4, seed=1), torch.tensor(2.0, requires_grad=True))),
    "similarity": (lambda a, b: st.similarity(a, b).square().sum(), lambda: (values(3, 4), values(5, 4, seed=1))),
    "attention": (lambda x: st.attention(x, 2, torch.tensor([3, 5])).square().sum(), lambda: (values(2, 5, 12),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_as_eager(name):
    """Whole graphs alone (fullgraph), by aot_eager: forward and backward are traced, and no compiler is needed."""
    function, inputs = FUNCTIONS[name]
    eager, compiled = inputs(), inputs()
    expected = function(*eager)
    expected.backward()
    y = torch.compile(function, fullgraph=True, backend="aot_eager")(*compiled)
    y.backward()
    assert torch.equal(y, expected)
    for a, b in zip(compiled, eager):
        assert torch.allclose(a.grad, b.grad, rtol=2e-6, atol=0)  # there the gradient is scaled, here the loss's is


def test_compiled_without_gradients():
    z = values(6, 4).detach()
    assert torch.equal(torch.compile(st.nt_xent, fullgraph=True, backend="aot_eager")(z), st.nt_xent(z))


OPERATORS = [
    (torch.ops.simclr.nt_xent.default, lambda: (values(6, 4), None, None, 0.5, 0, None, None, True)),
    (torch.ops.simclr.nt_xent.default, lambda: (values(6, 4).detach(), None, None, 0.5, 0, GROUPS, GROUPS, False)),
    (torch.ops.simclr.nt_xent.default,
     lambda: (values(6, 4), values(6, 4, seed=1), torch.tensor(1.0, requires_grad=True), 0.5, -1, GROUPS, GROUPS, True)),
    (torch.ops.simclr.similarity.default, lambda: (values(3, 4), values(5, 4), 0.5)),
    (torch.ops.simclr.attention.default, lambda: (values(2, 5, 12), None, 2)),
    (torch.ops.simclr.attention.default, lambda: (values(2, 5, 12), torch.tensor([5, 1], dtype=torch.int32), 2)),
]


@pytest.mark.parametrize("index", range(len(OPERATORS)))
def test_opcheck(index):
    operator, inputs = OPERATORS[index]
    torch.library.opcheck(operator, inputs())


def test_wrong_input_that_newer_torch_can_make():
    import simclr
    z = torch.randn(6, 4)
    large = torch.tensor([2**63] * 6, dtype=torch.uint64)
    for call, message in ((lambda: torch.vmap(st.nt_xent)(torch.randn(3, 6, 4)), r"z has no memory of its own, .*vmap"),
                          (lambda: torch.func.grad(st.nt_xent)(z), r"torch\.autograd\.grad for gradients"),
                          (lambda: st.nt_xent(torch.nested.nested_tensor([z, z[:3]])), r"z is nested; .*z\.unbind"),
                          (lambda: st.nt_xent(z, groups=large), r"groups holds numbers that int32 cannot"),
                          (lambda: st.nt_xent(z, groups=torch.tensor([2**31] * 6, dtype=torch.uint32)), r"groups holds numbers")):
        with pytest.raises(simclr.InputError, match=message):
            call()
