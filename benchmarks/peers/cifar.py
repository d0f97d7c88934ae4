"""CIFAR-10's published files as tensors."""
import pathlib

import torch


def read(folder, names):
    """Pictures u8 [N,H,W,3] and labels i64 [N]."""
    content = bytearray().join((pathlib.Path(folder) / name).read_bytes() for name in names)
    records = torch.frombuffer(content, dtype=torch.uint8).view(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).permute(0, 2, 3, 1).contiguous(), records[:, 0].long()


def training(folder, limit=0):
    """With a limit the first so many."""
    pictures, labels = read(folder, [f"data_batch_{i}.bin" for i in range(1, 6)])
    return (pictures[:limit], labels[:limit]) if limit else (pictures, labels)


def test(folder):
    return read(folder, ["test_batch.bin"])


def pictures(folder, limit=0):
    """The training files' pictures alone."""
    return training(folder, limit)[0]
