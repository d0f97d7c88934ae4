"""Timing for the peers, as benchmarks/common.cpp does it for libsimclr: after a warm-up, calls queued back to back over
tensors of their own, more than a cache holds; on a GPU between two events, and optionally replayed as a CUDA graph."""
import math
import statistics
import time

import torch

SAMPLES, LEAST_SAMPLES, MOST_COPIES = 9, 3, 1024
GRAPH_SECONDS, MOST_ROUNDS = 2e-3, 32  # a graph is so long that the gaps between two do not count


def seconds_of(run, device):
    """Seconds that `run` takes."""
    if device != "cuda":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3


def cold_bytes(device, cold_mb=None):
    """More than its caches hold."""
    return ({"cuda": 256, "cpu": 64}[device] if cold_mb is None else cold_mb) * 2**20


def copies_of(tensors, device, cold_mb=None):
    """Clones of a case's tensors, so many that together they exceed the caches."""
    size = sum(t.numel() * t.element_size() for t in tensors)
    count = min(max(cold_bytes(device, cold_mb) // max(size, 1) + 1, 2), MOST_COPIES)
    return [[t.detach().clone().requires_grad_(t.requires_grad) for t in tensors] for _ in range(count)]


def on_side_stream(run):
    """What must happen before a capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()


def measure(calls, device, seconds, graph=False):
    """Seconds a call: median, least and most. `calls` do the same work on tensors of their own and take turns."""
    def whole_turn():
        for call in calls:
            call()

    turn, count = whole_turn, len(calls)
    if graph:
        on_side_stream(lambda: [calls[0]() for _ in range(2)])
        rounds = min(math.ceil(GRAPH_SECONDS / (seconds_of(calls[0], device) * len(calls))), MOST_ROUNDS)
        count *= rounds
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            for _ in range(rounds):
                whole_turn()
        turn = captured.replay
        turn()
    else:
        state, count = {"next": 0}, 1

        def turn():
            calls[state["next"] % len(calls)]()
            state["next"] += 1

        start = time.perf_counter()
        while state["next"] < 1 or state["next"] < len(calls) and time.perf_counter() - start < seconds / SAMPLES:
            turn()
    one = seconds_of(turn, device)
    repeats = max(1, math.ceil(seconds / SAMPLES / max(one, 1e-9)))
    samples, start = [], time.perf_counter()
    while len(samples) < LEAST_SAMPLES or (len(samples) < SAMPLES and time.perf_counter() - start < seconds):
        samples.append(seconds_of(lambda: [turn() for _ in range(repeats)], device) / repeats / count)
    median = statistics.median(samples)
    return {"seconds": median, "least": min(samples), "most": max(samples),
            "spread": (max(samples) - min(samples)) / median}
