#!/usr/bin/env python3
"""Times the SimCLR training step of benchmarks/bench_train_step in PyTorch and prints one JSON line.

The same model, batch and optimizer: ResNet-18 with the CIFAR stem (torchvision's blocks), projection head, NT-Xent and
SGD, in f32. The faster of contiguous and channels-last memory is what counts. Needs torch and torchvision.
"""
import argparse
import json
import statistics
import time

import torch
import torchvision


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


def nt_xent(z, temperature):
    n = z.shape[0] // 2
    u = torch.nn.functional.normalize(z, dim=1)
    s = u @ u.T / temperature
    s = s.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return torch.nn.functional.cross_entropy(s, (torch.arange(2 * n) + n) % (2 * n))


def measure(args, memory_format):
    torch.manual_seed(0)
    features = 8 * args.width
    hidden = args.head_hidden or features
    model = torch.nn.Sequential(resnet18(args.width), torch.nn.Linear(features, hidden), torch.nn.ReLU(),
                                torch.nn.Linear(hidden, 128, bias=False)).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    x = (torch.rand(args.views, 3, args.size, args.size) * 2 - 1).contiguous(memory_format=memory_format)
    times = []
    for _ in range(args.rounds + 1):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        nt_xent(model(x), 0.5).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--views", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    seconds = {name: measure(args, memory_format) for name, memory_format in formats.items()}
    best = min(seconds, key=seconds.get)
    print(json.dumps({"case": "train_step", "torch": torch.__version__, "views": args.views, "threads": args.threads,
                      "step_seconds": seconds[best], "memory_format": best, "seconds": seconds,
                      "views_per_second": args.views / seconds[best]}))


if __name__ == "__main__":
    main()
