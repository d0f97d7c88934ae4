#!/usr/bin/env python3
"""Reads CIFAR-10, makes the model, the views of a batch and one training step, and prints a line of JSON: what a
PyTorch program does before its first step is done. Eager, since that starts soonest; the views are made all at once.
benchmarks/compare.py takes the time from the start of the interpreter to the line."""
import argparse
import json

import torch

import augmentation
import cifar
import train_step
from kernels import nt_xent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's published files")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    pictures = cifar.pictures(args.data)
    model = train_step.make_model(args.width, args.head_hidden)
    optimizer = train_step.make_optimizer(model)
    augment = augmentation.batched_augmentation(augmentation.CIFAR | {"size": args.size}, torch.float32,
                                                augmentation.blur_grouped)
    views = augment(pictures[torch.randperm(len(pictures))[:args.batch]])
    loss = nt_xent(model(views), 0.5)
    loss.backward()
    optimizer.step()
    print(json.dumps({"loss": loss.item(), "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
