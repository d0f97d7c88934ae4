#!/usr/bin/env python3
"""Times libsimclr's Python package and its peers in turn, in one process, and prints one JSON line a case; those of a
peer name it.

usage: package.py --build build/cpu [--seconds 1] [--threads 2] [--tiny]

NT-Xent's forward and backward pass beside lightly's and PyTorch's, eager and compiled, and what each takes of memory;
what an eager call takes beyond an autograd.Function of an empty forward and the same backward pass; views beside
torchvision's; a folder's features beside the program `embed`; calls of PyTorch and of simclr in turn. Where there is no
compiler, no lightly, no torchvision or no `embed`, a line is not printed, or says why.

Memory is that of a process of its own: what its resident memory rises to in its first pass of that size, above what it
was after a pass of 64 views, less the gradient. Memory that a library keeps for the next pass counts so, too.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import memory

memory.prepare()

import torch  # noqa: E402

import augmentation  # noqa: E402
import kernels  # noqa: E402
from harness import COMPILED, EAGER, Peers, message  # noqa: E402

LEAST_TURNS, WIDTH, TEMPERATURE, CALLS = 3, 128, 0.5, 20
NAME = "from Python: "


def show(case, peer=None, **figures):
    print(json.dumps({"case": NAME + case, **({"peer": peer} if peer else {}), **figures}), flush=True)


def in_turn(calls, seconds):
    """{name: median seconds} of calls that take turns, so that a change of the machine's speed meets all."""
    samples, begin = {name: [] for name in calls}, time.perf_counter()
    while len(next(iter(samples.values()))) < LEAST_TURNS or time.perf_counter() - begin < seconds * len(calls):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            samples[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in samples.items()}


def nt_xents(views):
    """{who: its loss of z}; libsimclr's is named None."""
    from simclr.torch import nt_xent
    found = {None: lambda z: nt_xent(z, TEMPERATURE), EAGER: lambda z: kernels.nt_xent(z, TEMPERATURE)}
    others = kernels.other_nt_xents(TEMPERATURE, views, "cpu")
    found |= {name: function for name, function in others.items() if name == "lightly"}
    if hasattr(torch, "compile"):
        found[COMPILED] = torch.compile(lambda z: kernels.nt_xent(z, TEMPERATURE), dynamic=False)
    return found


def passes(function, z):
    return lambda: torch.autograd.grad(function(z), z)


def time_nt_xent(args, views):
    case = f"nt_xent forward + backward, M {views}, D {WIDTH}"
    z, calls = torch.randn(views, WIDTH).requires_grad_(), {}
    for name, function in nt_xents(views).items():
        try:
            passes(function, z)()  # compiles
            calls[name] = passes(function, z)
        except Exception as error:  # a peer that cannot do it is a result
            show(case, name, error=message(error))
    for name, seconds in in_turn(calls, args.seconds).items():
        show(case, name, seconds=seconds)
    for name in calls:
        told = [sys.executable, __file__, "--build", args.build, "--threads", args.threads, "--memory", name or "",
                "--views", views]
        done = subprocess.run([str(part) for part in told], capture_output=True, text=True)
        figures = {"bytes": int(done.stdout)} if done.returncode == 0 else {"error": done.stderr.strip()[-200:]}
        show(f"{case}, memory beyond inputs and gradient", name, **figures)


def print_memory(args):
    small, z = torch.randn(64, WIDTH).requires_grad_(), torch.randn(args.views, WIDTH).requires_grad_()
    function = nt_xents(args.views)[args.memory or None]
    passes(function, small)()
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    before = memory.resident("VmRSS")
    gradient = passes(function, z)()[0]
    print(max(memory.resident("VmHWM") - before - gradient.numel() * gradient.element_size(), 0))


def time_overhead(args):
    """The least of many, as what others do on the machine only adds to it."""
    import simclr.torch
    from simclr import _core
    from simclr.torch._eager import plain
    z = torch.randn(8, 16).requires_grad_()
    state, loss = _core.nt_xent_forward(plain(z), None, None, TEMPERATURE, 0, None, None)[1], torch.ones(())

    class Empty(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return loss.clone()

        @staticmethod
        def backward(ctx, dloss):
            return _core.nt_xent_backward(state, plain(dloss))[0]

    best, begin = {simclr.torch.nt_xent: 1e9, Empty.apply: 1e9}, time.perf_counter()
    while time.perf_counter() - begin < 2 * args.seconds:
        for function in best:
            start = time.perf_counter()
            for _ in range(CALLS):
                z.grad = None
                function(z).backward()
            best[function] = min(best[function], (time.perf_counter() - start) / CALLS)
    ours, empty = best.values()
    show("an eager call of nt_xent beyond an empty Function of the same backward, 8 views", seconds=ours - empty)


def time_augment(args):
    import simclr
    count = 8 if args.tiny else 4096
    policy = simclr.Policy.simclr_cifar()
    jitter = (policy.brightness, policy.contrast, policy.saturation, policy.hue)
    same = {"size": policy.size, "area": policy.crop_area_min, "jitter": jitter, "grey": policy.grayscale_probability,
            "blur": 0}
    pictures = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8)
    case = f"augment {policy.size} pixels, 2 x {count}"
    call = {None: lambda: simclr.augment(pictures, policy, seed=1, ids=range(count), epoch=0, view=[0, 1])}
    show(case, seconds=in_turn(call, args.seconds)[None])
    peers = Peers(argparse.Namespace(device="cpu", seconds=args.seconds, cold=0, peers=None, memory=False, dtype="f32"))
    try:
        augmentation.time_torchvision(peers, NAME + case, pictures, same, args.threads)
    except ImportError:
        pass


def time_embedding(args):
    import simclr
    program, train = (args.build / "examples" / name for name in ("embed", "train_cifar"))
    if not program.exists() or not train.exists() or not hasattr(simclr._core, "Encoder"):
        return
    from PIL import Image
    count = 12 if args.tiny else 2000
    with tempfile.TemporaryDirectory(prefix="simclr-package-") as place:
        folder = pathlib.Path(place)
        for i, picture in enumerate(torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8)):
            path = folder / "pictures" / "ab"[i % 2] / f"{i:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.numpy()).save(path)
        common = ["--device", "cpu", "--threads", args.threads]
        command = [train, "--preset", "quick", "--dataset", "folder", "--data", folder / "pictures", "--epochs", 1,
                   "--limit", min(count, 64), "--batch-size", 8, "--no-evaluation", "--out", folder / "run", *common]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        told = [program, folder / "run", folder / "pictures", "--out", folder / "out", "--overwrite", *common]
        told = [str(part) for part in told]
        found = in_turn({None: lambda: simclr.load(folder / "run").embed(folder / "pictures"),
                         "the program embed": lambda: subprocess.run(told, check=True, capture_output=True)},
                        args.seconds)
    for name, seconds in found.items():
        show(f"features of a folder of {count} pictures", name, seconds=seconds)


def time_interleaved(args):
    """Both libraries' threads are of OpenMP: with one libgomp they are the same, with two in each other's way."""
    from simclr.torch import nt_xent
    rows = 64 if args.tiny else 1024
    z, x = torch.randn(rows, WIDTH), torch.randn(rows, rows)

    def both():
        nt_xent(z)
        return x @ x

    found = in_turn({"ours": lambda: nt_xent(z), "theirs": lambda: x @ x, "both": both}, args.seconds)
    alone = found["ours"] + found["theirs"]
    show("calls of PyTorch and simclr in turn, over each by itself", times=found["both"] / alone)
    maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
    show("libgomps in the process", times=len({line.split()[-1] for line in maps if "libgomp" in line}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case and side, about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--memory", metavar="WHO", help="only prints the bytes of one side's pass; empty: libsimclr")
    parser.add_argument("--views", type=int)
    args = parser.parse_args()
    sys.path.insert(0, str(args.build / "python"))
    import simclr
    torch.set_num_threads(args.threads)
    simclr.set_threads(args.threads)
    if args.memory is not None:
        return print_memory(args)
    for views in [64] if args.tiny else [2048, 8192]:
        time_nt_xent(args, views)
    time_overhead(args)
    time_augment(args)
    time_embedding(args)
    time_interleaved(args)


if __name__ == "__main__":
    main()
