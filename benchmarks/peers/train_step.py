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
    return torch.nn.Sequential(resnet18(width), steps.head(features, head_hidden, 128, batchnorm=False))


def main():
    args = steps.parser(__doc__).parse_args()
    setup = args.setup

    def make_step(form, compile_mode):
        model = make_model(setup["width"], setup["head_hidden"]).to(args.device, memory_format=form)
        x = torch.rand(setup["views"], 3, setup["size"], setup["size"], device=args.device) * 2 - 1
        return steps.training_step(args, model, steps.make_optimizer(model, args.device),
                                   [x.contiguous(memory_format=form)], setup["temperature"], compile_mode)

    ways = steps.ways(args.device, steps.memory_formats(args.device, torch.channels_last))
    steps.report(args, "train_step", setup["views"], ways, make_step)


if __name__ == "__main__":
    main()
