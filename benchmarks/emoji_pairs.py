#!/usr/bin/env python3
"""Writes the list of pairs by which unseen drawings of emoji are looked for: FOLDER/pairs.tsv, for train_pairs --data.

usage: benchmarks/emoji_pairs.py FOLDER

FOLDER holds two folders of drawings with files of the same names, noto/1f600.png and openmoji/1f600.png. A fifth of all
(emoji, drawing) is held out: two fifths of the emoji lose one drawing, by turns the one and the other, and are trained
on with the drawing that is left, on both sides. Their whole pairs are the test part; all other emoji are its gallery,
so that each is looked for among all. These are trained on both ways round, so that both sides see both ways of drawing,
as one encoder for both (--share-encoder) needs it.
"""
import pathlib
import sys
import zlib

from new_list import write_new


def rows(names, first, second):
    """The list's rows, (left, right, part)."""
    drawn = sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))  # an order that says nothing
    held = drawn[: 2 * len(names) // 5]
    kept = {name: (first, second)[i % 2] for i, name in enumerate(held)}
    for name in sorted(names):
        left, right = f"{first}/{name}", f"{second}/{name}"
        if name in kept:
            alone = f"{kept[name]}/{name}"
            yield alone, alone, "train"
            yield left, right, "test"
        else:
            yield left, right, "train"
            yield right, left, "train"
            yield left, right, "gallery"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    drawings = {each.name: {file.name for file in each.glob("*.png")}
                for each in sorted(folder.iterdir()) if each.is_dir()}
    drawings = {name: files for name, files in drawings.items() if files}
    if len(drawings) != 2:
        sys.exit(f"{folder}: holds drawings in {', '.join(drawings) or 'no folder'}; two folders are needed")
    first, second = drawings
    names = drawings[first] & drawings[second]
    alone = len(drawings[first] | drawings[second]) - len(names)
    lines = ["\t".join((first, second, "split"))] + ["\t".join(row) for row in rows(names, first, second)]
    path, text = folder / "pairs.tsv", "\n".join(lines) + "\n"
    write_new(path, text)
    print(f"{path}: {len(names)} emoji in two drawings"
          + (f"; {alone} in one are left out" if alone else ""))


if __name__ == "__main__":
    main()
