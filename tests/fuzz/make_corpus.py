#!/usr/bin/env python3
"""Makes the fuzzer's seeds, tests/fuzz/corpus/TARGET/*: small files of every kind that the readers know.

usage: tests/fuzz/make_corpus.py

The pictures are generated. Needs PIL (python3-pil) for JPEG and PNG. Files that are there already, among them the
fuzzer's findings, stay unless a seed has their name. The same files every time, with the same PIL.
"""
import gzip
import io
import json
import math
import pathlib
import struct
import zlib

from PIL import Image

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(target, name, data):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def weights(header, values=b""):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + values


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def crc64(data):
    crc = 2**64 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return crc ^ (2**64 - 1)


def safetensors():
    yield "empty", weights({})
    yield "one", weights({"a": entry("F32", [1], 0, 4)}, b"xxxx")
    ours = {"d": entry("F64", [1], 0, 8), "f": entry("F32", [1, 2], 8, 16), "i": entry("I32", [], 16, 20),
            "b": entry("BF16", [1, 1, 1, 1, 1, 2], 20, 24), "u": entry("U8", [3], 24, 27), "e": entry("U8", [0, 9], 27, 27)}
    yield "dtypes", weights(ours, b"x" * 27)
    others = {"h": entry("F16", [2], 0, 4), "n": entry("I64", [], 4, 12), "q": entry("F4", [2], 12, 13),
              "t": entry("BOOL", [1], 13, 14), "e": entry("F8_E4M3", [1, 1, 1, 1, 1, 1, 1, 2], 14, 16)}
    yield "others", weights(others, b"x" * 16)
    yield "metadata", weights({"__metadata__": {"format": "pt", "k": "\u20ac \"\\/\b\f\n\r\t\U0001f600"}})
    spaced = b'{ "a" :\t{"shape":[ 1 , 2 ],\n"data_offsets" :[0,2], "\\u0064type":"U\\u0038"} }'
    yield "spaced", struct.pack("<Q", len(spaced)) + spaced + b"xx"
    digest = "crc64xz:" + "0" * 16
    file = weights({"__metadata__": {"digest": digest}, "a": entry("U8", [2], 0, 2)}, b"ab")
    yield "digest", file.replace(b"0" * 16, b"%016x" % crc64(file))
    yield "seven", weights({"a": entry("U8", [1] * 7, 0, 1)}, b"x")
    yield "overlap", weights({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"xxx")
    yield "two", weights({"b": entry("U8", [2], 1, 3), "a": entry("U8", [1], 0, 1)}, b"xxx")


def idx_pair(pictures, labels):
    return struct.pack("<H", len(labels)) + labels + pictures


def idx():
    pictures = struct.pack(">4I", 0x803, 3, 2, 4) + bytes(range(24))
    labels = struct.pack(">2I", 0x801, 3) + bytes([0, 9, 5])
    zipped = [gzip.compress(data, mtime=0) for data in (pictures, labels)]
    yield "plain", idx_pair(pictures, labels)
    yield "gzip", idx_pair(*zipped)
    yield "mixed", idx_pair(zipped[0], labels)
    yield "stored", idx_pair(gzip.compress(pictures, 0, mtime=0), zipped[1])
    yield "truncated", idx_pair(zipped[0][:-9], labels)
    yield "label", idx_pair(pictures, labels[:-1] + b"\x0a")


def cifar():
    record = bytes(range(256)) * 12
    yield "ten", b"\0" + b"\x07" + record
    yield "hundred", b"\1" + b"\x03\x60" + record
    yield "two", b"\2" + (b"\x09" + record) + b"\x01"
    yield "label", b"\2\x0a"
    yield "names", b"\4" + b"".join(b"name %d\r\n" % i for i in range(10))
    yield "hundred_names", b"\5" + b"".join(b"%d\n\n" % i for i in range(100))


def picture(mode, width=13, height=9):
    """Waves of colour, and alpha where there is some."""
    image = Image.new("RGBA", (width, height))
    image.putdata([tuple(int(127 + 127 * math.sin((x * (c + 1) + y * 2 * c) / 3)) for c in range(4))
                   for y in range(height) for x in range(width)])
    return image.convert(mode)


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def images():
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield f"{mode.lower()}.png", encoded(picture(mode), format="PNG")
    yield "transparent.png", encoded(picture("P"), format="PNG", transparency=3)
    yield "deep.png", encoded(Image.new("I;16", (5, 4), 40000), format="PNG")
    yield "point.png", encoded(picture("RGB", 1, 1), format="PNG")
    for mode in ("L", "RGB", "CMYK"):
        yield f"{mode.lower()}.jpg", encoded(picture(mode), format="JPEG", quality=50)
    yield "progressive.jpg", encoded(picture("RGB", 17, 17), format="JPEG", quality=50, progressive=True)
    yield "full.jpg", encoded(picture("RGB"), format="JPEG", quality=50, subsampling=0, optimize=True)
    yield "restart.jpg", encoded(picture("RGB", 33, 17), format="JPEG", quality=50, restart_marker_blocks=1)
    # Interlaced PNG, which PIL does not write: 8 x 8 grey, its seven passes each a filter byte and the row.
    rows = b"".join(b"\0" + bytes(range(w)) for w, h in ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)) for _ in range(h))
    yield "interlaced.png", png(struct.pack(">2I5B", 8, 8, 8, 0, 0, 0, 1), rows)


def png(header, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def config():
    augmentation = {"size": 32, "channels": 3, "crop_area_min": 0.08, "crop_aspect": [0.75, 1.25], "interpolation": "bicubic", "hue": 0.1,
                    "mean": [0.5, 0, 1e-3]}
    whole = {"version": "0.1.0", "preset": "lightly", "dataset": "auto", "data": "a \u20ac", "limit": 100, "stem": "imagenet",
             "lr": 1.5, "graph": False, "seed": 2**64 - 1, "threads": 2, "augmentation": augmentation}
    yield "empty", b"{}"
    yield "whole", json.dumps(whole, indent=2).encode()
    yield "unknown", b'{"epoch": 1}'
    yield "twice", b'{"augmentation":{"hue":0,"hue":1}}'
    yield "types", b'{"lr":"1","graph":1,"augmentation":[]}'
    yield "large", b'{"lr":1e308,"epochs":99999999999999999999,"seed":-1}'
    yield "deep", b"[" * 100
    yield "preset", b'{"preset":"none"}'


for target in (safetensors, idx, cifar, images, config):
    for name, data in target():
        write(target.__name__, name, data)
