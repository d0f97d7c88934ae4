#!/usr/bin/env python3
"""Times the SimCLR training step of benchmarks/bench_train_step in PyTorch and prints one JSON line.

The same model, batch and optimizer: ResNet-18 with the CIFAR stem (torchvision's blocks), projection head, NT-Xent and
SGD. On the CPU memory is contiguous or channels-last, and the step runs eagerly or compiled. On a GPU memory is
channels-last, bf16 is autocast, and the step runs eagerly, captured in a CUDA graph, compiled, compiled with
`reduce-overhead`, and compiled and captured. The fastest counts, and all are printed. Needs torch and torchvision.
"""
import argparse
import json
import sys

import torch
import torchvision

from harness import message
from kernels import nt_xent
from timing import measure


def resnet18(width):
    """torchvision's ResNet-18, all stages width / 64 as wide, with the CIFAR stem."""
    model = torchvision.models.ResNet.__new__(torchvision.models.ResNet)
    torch.nn.Module.__init__(model)
    model._norm_layer, model.dilation, model.groups, model.base_width = torch.nn.BatchNorm2d, 1, 1, 64
    model.inplanes = width
    block = torchvision.models.resnet.BasicBlock
    model.conv1 = torch.nn.Conv2d(3, width, 3, 1, 1, bias=False)
    model.bn1 = torch.nn.BatchNorm2d(width)
    model.relu = torch.nn.ReLU(inplace=True)
    model.maxpool = torch.nn.Identity()
    model.layer1 = model._make_layer(block, width, 2)
    model.layer2 = model._make_layer(block, 2 * width, 2, stride=2)
    model.layer3 = model._make_layer(block, 4 * width, 2, stride=2)
    model.layer4 = model._make_layer(block, 8 * width, 2, stride=2)
    model.avgpool = torch.nn.AdaptiveAvgPool2d((1, 1))
    model.fc = torch.nn.Identity()
    return model


def make_model(width, head_hidden):
    features = 8 * width
    hidden = head_hidden or features
    return torch.nn.Sequential(resnet18(width), torch.nn.Linear(features, hidden), torch.nn.ReLU(),
                               torch.nn.Linear(hidden, 128, bias=False))


def has_fused(device):
    """Of the fused SGD: in versions that can compile on a GPU, and later on the CPU too."""
    if device == "cuda":
        return hasattr(torch, "compile")
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 4)


def make_optimizer(model, fused=False, momentum=0.9, weight_decay=5e-4):
    form = {"fused": True} if fused else {}  # an old version does not know the word
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum, weight_decay=weight_decay, **form)


def make_step(args, memory_format, compile_mode=None):
    """A training step, on a model of its own."""
    torch.manual_seed(0)
    model = make_model(args.width, args.head_hidden).to(args.device, memory_format=memory_format)
    optimizer = make_optimizer(model, fused=has_fused(args.device))
    x = (torch.rand(args.views, 3, args.size, args.size, device=args.device) * 2 - 1)
    x = x.contiguous(memory_format=memory_format)

    def loss(x):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.dtype == "bf16"):
            return nt_xent(model(x), 0.5)

    if compile_mode:
        torch._dynamo.reset()
        loss = torch.compile(loss, mode=compile_mode, dynamic=False)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(x).backward()
        optimizer.step()
    return step


def variants(args):
    """{name: (memory format, torch.compile's mode, whether to capture the whole step)}"""
    contiguous, last = torch.contiguous_format, torch.channels_last
    if args.device == "cpu":
        found = {"contiguous": (contiguous, None, False), "channels_last": (last, None, False)}
        if hasattr(torch, "compile"):
            found.update({"compile, contiguous": (contiguous, "default", False),
                          "compile, channels_last": (last, "default", False)})
        return found
    found = {"eager": (last, None, False), "graph": (last, None, True)}
    if hasattr(torch, "compile"):
        found.update({"compile": (last, "default", False), "reduce-overhead": (last, "reduce-overhead", False),
                      "compile, graph": (last, "default", True)})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "bf16"), help="default: bf16 on cuda, else f32")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--views", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=0.0,
                        help="to be spent on each variant; at least three steps are measured")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="of the variants, by name")
    args = parser.parse_args()
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("train_step: this PyTorch sees no GPU")

    seconds, errors, peaks = {}, {}, {}
    for name, (memory_format, compile_mode, graph) in variants(args).items():
        if args.only and name not in args.only:
            continue
        try:
            if args.device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            seconds[name] = measure([make_step(args, memory_format, compile_mode)], args.device, args.seconds,
                                    graph)["seconds"]
            if args.device == "cuda":
                peaks[name] = torch.cuda.max_memory_allocated()
        except Exception as error:  # a variant that cannot do it is a result
            errors[name] = message(error)
    if not seconds:
        sys.exit(f"train_step: {errors}")
    best = min(seconds, key=seconds.get)
    print(json.dumps({"case": "train_step", "torch": torch.__version__, "device": args.device, "dtype": args.dtype,
                      "views": args.views, "threads": args.threads, "step_seconds": seconds[best], "variant": best,
                      "seconds": seconds, "errors": errors, "peak_bytes": peaks,
                      "views_per_second": args.views / seconds[best]}))


if __name__ == "__main__":
    main()
