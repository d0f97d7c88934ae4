"""Gradient scaling on the CPU, which PyTorch has from 2.3 on."""
import pytest

torch = pytest.importorskip("torch")
import simclr.torch as st  # noqa: E402

if not hasattr(torch, "amp") or not hasattr(torch.amp, "GradScaler"):
    pytest.skip("this PyTorch scales gradients on a GPU alone", allow_module_level=True)


def test_a_step_is_that_of_the_plain_gradient():
    """Scales are powers of two: nothing is rounded."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(8, 8, generator=generator))
    x = torch.randn(16, 8, generator=generator)
    optimizer = torch.optim.SGD([weight], lr=0.125)
    before = weight.detach().clone()
    gradient, = torch.autograd.grad(st.nt_xent(x @ weight), weight)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    scaler.scale(st.nt_xent(x @ weight)).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(weight.detach(), before - 0.125 * gradient)
