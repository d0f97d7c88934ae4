"""DistributedDataParallel over gloo: two processes with half of the batch each have the gradients of one with all of it."""
import socket

import pytest

torch = pytest.importorskip("torch")
import simclr.torch as st  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
                                reason="this PyTorch has no gloo")
RANKS, SAMPLES, TAU = 2, 6, 0.3


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))


def views():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, RANKS * SAMPLES, 5, generator=generator)


def gathered_loss(z, rank):
    """Rows by rank, each rank's two views one behind the other; samples are known by their number in the whole batch."""
    everything = torch.cat(torch.distributed.nn.functional.all_gather(z))
    samples = torch.arange(RANKS * SAMPLES).reshape(RANKS, SAMPLES).repeat(1, 2)
    return st.nt_xent(z, TAU, candidates=everything, groups=(samples[rank], samples.reshape(-1)),
                      self_offset=rank * 2 * SAMPLES)


def work(rank, port, results):
    import torch.distributed.nn.functional  # noqa: F401  (not imported with torch)
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    parallel = torch.nn.parallel.DistributedDataParallel(model())
    own = views()[:, rank * SAMPLES:(rank + 1) * SAMPLES].reshape(2 * SAMPLES, 5)
    loss = gathered_loss(parallel(own), rank)
    loss.backward()
    results[rank] = (loss.item(), [p.grad.numpy() for p in parallel.parameters()])
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_whole_batch():
    whole = model()
    loss = st.nt_xent(whole(views().reshape(-1, 5)), TAU)
    loss.backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with torch.multiprocessing.get_context("spawn").Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.spawn(work, (port, results), nprocs=RANKS)
        results = dict(results)
    assert abs(sum(r[0] for r in results.values()) / RANKS - loss.item()) < 1e-6
    for rank in range(RANKS):
        for gradient, p in zip(results[rank][1], whole.parameters()):
            difference = (torch.from_numpy(gradient) - p.grad).abs().max()
            assert difference <= 2e-6 * p.grad.abs().max()  # sums of other order
