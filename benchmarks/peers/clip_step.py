#!/usr/bin/env python3
"""Times the training step of benchmarks/bench_clip_step in PyTorch and prints one JSON line.

The same model, batch and optimizer: R(2+1)D-18 of torchvision's blocks at the recipe's width, head, NT-Xent and AdamW
or SGD. On the CPU memory is contiguous or channels-last, and the step runs eagerly or compiled; on a GPU channels-last
and bf16, as train_step.py does it. The fastest counts. Needs torch and torchvision.
"""
import torch
from torch import nn
from torchvision.models.video import resnet

import steps


def stem(setup):
    """torchvision's R2Plus1dStem at another width, or of stride 1."""
    width = setup["width"]
    middle = max(45 * width // 64, 1)
    kernel, stride = (7, 2) if setup["stem"] == "imagenet" else (3, 1)
    return nn.Sequential(
        nn.Conv3d(setup["channels"], middle, (1, kernel, kernel), (1, stride, stride),
                  (0, kernel // 2, kernel // 2), bias=False),
        nn.BatchNorm3d(middle), nn.ReLU(inplace=True),
        nn.Conv3d(middle, width, (3, 1, 1), 1, (1, 0, 0), bias=False), nn.BatchNorm3d(width), nn.ReLU(inplace=True))


def r2plus1d_18(setup):
    width = setup["width"]
    model = resnet.VideoResNet.__new__(resnet.VideoResNet)
    nn.Module.__init__(model)
    model.inplanes = width
    model.stem = stem(setup)
    for i in range(4):
        layer = model._make_layer(resnet.BasicBlock, resnet.Conv2Plus1D, width << i, 2, 1 if i == 0 else 2)
        setattr(model, f"layer{i + 1}", layer)
    model.avgpool = nn.AdaptiveAvgPool3d((1, 1, 1))
    model.fc = nn.Identity()
    return model


def main():
    args = steps.parser(__doc__).parse_args()
    setup = args.setup

    def make_step(form, compile_mode):
        head = steps.head(8 * setup["width"], setup["head_hidden"], setup["head_out"], batchnorm=True)
        model = nn.Sequential(r2plus1d_18(setup), head)
        model = model.to(args.device, memory_format=form)
        shape = setup["views"], setup["channels"], setup["frames"], setup["size"], setup["size"]
        x = (torch.rand(shape, device=args.device) * 2 - 1).contiguous(memory_format=form)
        optimizer = steps.make_optimizer(model, args.device, setup["optimizer"], setup["momentum"],
                                         setup["weight_decay"])
        return steps.training_step(args, model, optimizer, [x], setup["temperature"], compile_mode)

    ways = steps.ways(args.device, steps.memory_formats(args.device, torch.channels_last_3d))
    steps.report(args, "clip_step", setup["views"], ways, make_step)


if __name__ == "__main__":
    main()
