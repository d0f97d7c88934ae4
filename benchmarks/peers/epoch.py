#!/usr/bin/env python3
"""Times an epoch of SimCLR on CIFAR-10 in PyTorch, from the pictures in memory to the last update, and prints a JSON
line.

The views are made all at once by hand-batched code, or picture after picture by torchvision's transforms in as many
worker processes as there are threads; the step runs eagerly, or compiled, the hand-batched views too. All ways are
printed, and the fastest counts. A few batches go before, so that nothing is compiled or allocated in the epoch.
"""
import argparse
import itertools
import json
import sys
import time

import torch

import augmentation
import cifar
import steps
import train_step
from harness import message
from kernels import nt_xent

WARM_UP = 2  # batches


def batched(pictures, args, policy, compiled):
    augment = augmentation.batched_augmentation(
        policy, torch.float32, augmentation.blur_shifted if compiled else augmentation.blur_grouped)
    augment = torch.compile(augment, dynamic=False) if compiled else augment

    def epoch():
        whole = len(pictures) // args.batch * args.batch
        for chosen in torch.randperm(len(pictures), device=args.device)[:whole].split(args.batch):
            yield augment(pictures[chosen])
    return epoch


def per_image(pictures, args, policy, compiled):
    _, transforms = augmentation.torchvision_transforms(policy)
    from PIL import Image
    data = augmentation.Pictures([Image.fromarray(p.numpy()) for p in pictures.cpu()], transforms["PIL"])
    loader = torch.utils.data.DataLoader(data, args.batch, shuffle=True, drop_last=True, num_workers=args.threads,
                                         persistent_workers=True, pin_memory=args.device == "cuda")
    return lambda: (torch.cat(pair).to(args.device, non_blocking=True, memory_format=torch.channels_last)
                    for pair in loader)


def seconds_of(args, pictures, views_of, compiled):
    torch.manual_seed(0)
    model = train_step.make_model(args.width, args.head_hidden).to(args.device, memory_format=torch.channels_last)
    optimizer = steps.make_optimizer(model, args.device)

    def loss_of(views):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.dtype == "bf16"):
            return nt_xent(model(views), 0.5)

    if compiled:
        torch._dynamo.reset()
        loss_of = torch.compile(loss_of, dynamic=False)
    epoch = views_of(pictures, args, augmentation.CIFAR | {"size": args.size}, compiled)

    def run(batches):
        start = time.perf_counter()
        for views in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(views)
            loss.backward()
            optimizer.step()
        loss.item()  # waits for a GPU
        return time.perf_counter() - start

    run(itertools.islice(epoch(), WARM_UP))
    return run(epoch())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's published files")
    parser.add_argument("--limit", type=int, default=0, help="so many pictures; 0: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "bf16"), help="default: bf16 on cuda, else f32")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256, help="pictures; each gives two views")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="of the ways, by name")
    args = parser.parse_args()
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    pictures = cifar.pictures(args.data, args.limit).to(args.device)

    ways = {"eager, per image": (per_image, False), "eager, batched": (batched, False)}
    if hasattr(torch, "compile"):
        ways |= {"compiled, per image": (per_image, True), "compiled, batched": (batched, True)}
    seconds, errors = {}, {}
    for name, (views_of, compiled) in steps.wanted(args, "epoch", ways).items():
        try:
            seconds[name] = seconds_of(args, pictures, views_of, compiled)
        except Exception as error:  # a way that cannot do it is a result
            errors[name] = message(error)
    if not seconds:
        sys.exit(f"epoch: {errors}")
    print(json.dumps({"torch": torch.__version__, "seconds": seconds, "errors": errors}))


if __name__ == "__main__":
    main()
