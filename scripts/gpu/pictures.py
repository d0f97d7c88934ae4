#!/usr/bin/env python3
"""Unpacks an archive of CIFAR-10's pictures into the binary files that its site publishes.

usage: pictures.py ARCHIVE FOLDER

The archive has the pictures as JPEG files, SPLIT/CLASS/NAME.jpg (train and test), which are decoded by Pillow: the 184 MB
of the binary files are too much to carry, and compress to no less than 150. The pictures of each split are shuffled, by
the same seed each time.
"""
import concurrent.futures
import io
import pathlib
import random
import sys
import tarfile

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE = 32
AT_A_TIME = 500
PARTS = 5  # of the training pictures


def records(pictures):
    """A label's byte and three planes for each (label, JPEG file)."""
    from PIL import Image
    found = []
    for label, data in pictures:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if image.size != (SIDE, SIDE):
            raise ValueError(f"a picture is of {image.size[0]} x {image.size[1]} pixels")
        found.append(bytes([label]) + b"".join(plane.tobytes() for plane in image.split()))
    return found


def read(archive):
    """{"train": [(label, JPEG file), ...], "test": [...]}"""
    found = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            split, _, rest = member.name.removeprefix("./").partition("/")
            if member.isfile() and split in found and rest.endswith(".jpg"):
                found[split].append((CLASSES.index(rest.partition("/")[0]), tar.extractfile(member).read()))
    return found


def main():
    archive, folder = map(pathlib.Path, sys.argv[1:])
    found = read(archive)
    if not all(found.values()):
        sys.exit(f"{archive}: has no {' and no '.join(f'{split}/CLASS/*.jpg' for split, all in found.items() if not all)}")
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for split, pictures in found.items():
            random.Random(0).shuffle(pictures)
            groups = [pictures[i:i + AT_A_TIME] for i in range(0, len(pictures), AT_A_TIME)]
            done = [record for group in pool.map(records, groups) for record in group]
            names = [f"data_batch_{i + 1}.bin" for i in range(PARTS)] if split == "train" else ["test_batch.bin"]
            share = -(-len(done) // len(names))
            for i, name in enumerate(names):
                (folder / name).write_bytes(b"".join(done[i * share:(i + 1) * share]))
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n")
    print(f"{len(found['train'])} training and {len(found['test'])} test pictures in {folder}")


if __name__ == "__main__":
    main()
