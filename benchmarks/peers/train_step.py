#!/usr/bin/env python3
"""Times the SimCLR training step of benchmarks/bench_train_step in PyTorch and prints one JSON line.

The same model, batch and optimizer: ResNet-18 with the CIFAR stem (torchvision's blocks), projection head, NT-Xent and
SGD. On the CPU memory is contiguous or channels-last, and the step runs eagerly or compiled. On a GPU memory is
channels-last, bf16 is autocast, and the step runs eagerly, captured in a CUDA graph, compiled, compiled with
`reduce-overhead`, and compiled and captured. The fastest counts, and all are printed. Needs torch and torchvision.
"""
import torch
import torchvision

import steps
from steps import has_fused


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


def make_optimizer(model, fused=False, momentum=0.9, weight_decay=5e-4):
    form = {"fused": True} if fused else {}  # an old version does not know the word
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum, weight_decay=weight_decay, **form)


def make_step(args, memory_format, compile_mode=None):
    model = make_model(args.width, args.head_hidden).to(args.device, memory_format=memory_format)
    optimizer = make_optimizer(model, fused=has_fused(args.device))
    x = (torch.rand(args.views, 3, args.size, args.size, device=args.device) * 2 - 1)
    return steps.training_step(args, model, optimizer, [x.contiguous(memory_format=memory_format)], 0.5, compile_mode)


def main():
    parser = steps.parser(__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--views", type=int, default=128)
    args = parser.parse_args()
    ways = steps.ways(args.device, {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last})
    steps.report(args, "train_step", args.views, ways, lambda form, mode: make_step(args, form, mode))


if __name__ == "__main__":
    main()
