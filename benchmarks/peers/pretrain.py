#!/usr/bin/env python3
"""Pre-trains on CIFAR-10 in PyTorch by the recipe that it is told, measures the encoder as train_cifar does, and prints
a JSON line: the seconds of training and the weighted kNN's top-1 on the test pictures.

The recipe's ResNet-18, SGD, and a learning rate that rises for --warmup-epochs and falls along a cosine at each step.
The views are made all at once, by code that takes the colour operations in one order. On a GPU model and views are
compiled and computed in bf16, channels-last. Compiling, on two batches that are forgotten, counts apart.
"""
import argparse
import copy
import itertools
import json
import math
import time

import torch
import torch.nn.functional as F

import augmentation
import cifar
import epoch
import steps
import train_step
from kernels import nt_xent

K, KNN_TEMPERATURE = 200, 0.1
CHUNK = 500  # pictures that are evaluated at a time


def learning_rate(args, step, steps_per_epoch):
    """Step 0 is the first."""
    peak, warmup = args.lr * args.batch / 256, args.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (args.epochs * steps_per_epoch - warmup))) / 2


def train(args, pictures, model, run_epoch):
    """Seconds of the warm-up, seconds of training and the last epoch's mean loss."""
    def loss_of(views):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.dtype == "bf16"):
            return nt_xent(model(views), args.temperature)

    loss_of = torch.compile(loss_of, dynamic=False) if args.compile else loss_of
    steps_per_epoch = len(pictures) // args.batch

    def run(epochs, most=None):
        start = time.perf_counter()
        optimizer = steps.make_optimizer(model, args.device, momentum=args.momentum, weight_decay=args.weight_decay)
        step = 0
        for _ in range(epochs):
            losses = []
            for views in itertools.islice(run_epoch(), most):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(args, step, steps_per_epoch)
                optimizer.zero_grad(set_to_none=True)
                loss = loss_of(views)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                step += 1
        mean = torch.stack(losses).mean().item()  # waits for a GPU
        return time.perf_counter() - start, mean

    fresh = copy.deepcopy(model.state_dict())
    warm_up, _ = run(1, epoch.WARM_UP)
    model.load_state_dict(fresh)
    return warm_up, *run(args.epochs)


@torch.no_grad()
def features(encoder, pictures, size):
    """Of unit length; the pictures as they are, all of each."""
    encoder.eval()
    found = []
    for part in pictures.split(CHUNK):
        x = part.permute(0, 3, 1, 2).float() / 255
        if x.shape[2] != size:
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        found.append(F.normalize(encoder(x.contiguous(memory_format=torch.channels_last)), dim=1))
    return torch.cat(found)


def knn_top1(train_features, train_labels, test_features, test_labels):
    """The share that the K closest, each voting with exp(similarity / temperature), classify rightly."""
    classes, right = int(train_labels.max()) + 1, 0
    for queries, labels in zip(test_features.split(CHUNK), test_labels.split(CHUNK)):
        similarity, nearest = (queries @ train_features.T).topk(min(K, len(train_features)), dim=1)
        weights = ((similarity - similarity[:, :1]) / KNN_TEMPERATURE).exp()
        votes = torch.zeros(len(queries), classes, device=queries.device)
        votes.scatter_add_(1, train_labels[nearest], weights)
        right += (votes.argmax(1) == labels).sum().item()
    return right / len(test_features)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's published files")
    parser.add_argument("--limit", type=int, default=0, help="so many pictures; 0: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "bf16"), help="default: bf16 on cuda, else f32")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="default: on cuda")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-hidden", type=int, default=1024)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512, help="pictures; each gives two views")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.06, help="for each 256 pictures of a batch")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--warmup-epochs", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    if args.compile is None:
        args.compile = args.device == "cuda" and hasattr(torch, "compile")
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(args.seed)

    pictures, labels = (t.to(args.device) for t in cifar.training(args.data, args.limit))
    model = train_step.make_model(args.width, args.head_hidden).to(args.device, memory_format=torch.channels_last)
    run_epoch = epoch.batched(pictures, args, augmentation.CIFAR | {"size": args.size}, args.compile)
    warm_up, seconds, loss = train(args, pictures, model, run_epoch)

    test_pictures, test_labels = (t.to(args.device) for t in cifar.test(args.data))
    top1 = knn_top1(features(model[0], pictures, args.size), labels, features(model[0], test_pictures, args.size),
                    test_labels)
    print(json.dumps({"case": "pretrain", "torch": torch.__version__, "device": args.device, "dtype": args.dtype,
                      "compiled": args.compile, "epochs": args.epochs, "batch": args.batch, "seconds": seconds,
                      "warm_up_seconds": warm_up, "loss": loss, "knn_top1": top1}))


if __name__ == "__main__":
    main()
