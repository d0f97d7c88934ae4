#!/usr/bin/env python3
"""Reads CIFAR-10, makes the model, the views of a batch and one training step, and prints a line of JSON: what a
PyTorch program does before its first step is done. Eager, since that starts soonest; the views are made all at once. On
a GPU in bf16, channels-last.
benchmarks/compare.py takes the time from the start of the interpreter to the line."""
import argparse
import json

import torch

import augmentation
import cifar
import steps
import train_step
from kernels import nt_xent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's published files")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    on_gpu = args.device == "cuda"
    memory_format = torch.channels_last if on_gpu else torch.contiguous_format
    pictures = cifar.pictures(args.data).to(args.device)
    model = train_step.make_model(args.width, args.head_hidden).to(args.device, memory_format=memory_format)
    optimizer = steps.make_optimizer(model, args.device)
    augment = augmentation.batched_augmentation(augmentation.CIFAR | {"size": args.size}, torch.float32,
                                                augmentation.blur_grouped)
    views = augment(pictures[torch.randperm(len(pictures), device=args.device)[:args.batch]])
    with torch.autocast(args.device, dtype=torch.bfloat16, enabled=on_gpu):
        loss = nt_xent(model(views), 0.5)
    loss.backward()
    optimizer.step()
    print(json.dumps({"loss": loss.item(), "device": str(loss.device), "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
