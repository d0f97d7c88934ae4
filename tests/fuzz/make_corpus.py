#!/usr/bin/env python3
"""Makes the fuzzer's seeds, tests/fuzz/corpus/TARGET/*: small files of every kind that the readers know.

usage: tests/fuzz/make_corpus.py

The pictures are generated. Needs PIL (python3-pil). Files that are there already, among them the
fuzzer's findings, stay unless a seed has their name. The same files every time, with the same PIL.
"""
import gzip
import io
import json
import math
import pathlib
import struct
import zipfile
import tarfile
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
    turned = Image.Exif()
    turned[274] = 6
    yield "turned.jpg", encoded(picture("L", 24, 8), format="JPEG", quality=50, exif=turned)
    yield "turned.png", encoded(picture("RGB"), format="PNG", exif=turned)
    yield "turned.webp", encoded(picture("RGB"), format="WEBP", lossless=True, exif=turned)
    # Of one name and another ending: the same pixels.
    for mode in ("RGB", "RGBA"):
        yield f"{mode.lower()}.webp", encoded(picture(mode), format="WEBP", lossless=True, exact=True)
    yield "lossy.webp", encoded(picture("L").convert("RGB"), format="WEBP", quality=60)
    yield "lossy-alpha.webp", encoded(picture("RGBA"), format="WEBP", quality=60)
    frames = [picture("RGB").transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
    yield "rgb.animated.webp", encoded(picture("RGB"), format="WEBP", lossless=True, save_all=True, append_images=frames)
    yield "p.gif", encoded(picture("P"), format="GIF", interlace=0)
    yield "p.interlaced.gif", encoded(picture("P"), format="GIF", interlace=1)
    yield "p.animated.gif", encoded(picture("P"), format="GIF", save_all=True, append_images=frames)
    yield "transparent.gif", encoded(picture("P"), format="GIF", transparency=3)
    for mode in ("1", "L", "P", "RGB"):
        yield f"{mode.lower()}.bmp", encoded(picture(mode), format="BMP")
    yield "masks.bmp", bmp(16, 3, struct.pack("<3I", 0xf800, 0x7e0, 0x1f), struct.pack("<4H", 0xf800, 0x7e0, 0x1f, 0xffff))
    yield "masks.none.bmp", bmp(16, 3, bytes(12), bytes(8))
    yield "runs.bmp", bmp(8, 1, bytes((1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0)), bytes((2, 1, 0, 0, 0, 2, 1, 0, 1, 2, 0, 1)), 3)
    yield "runs-4.bmp", bmp(4, 2, bytes((1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0)), bytes((2, 0x12, 0, 0, 1, 0x10, 0, 1)), 3)
    for mode, ending in (("1", "pbm"), ("L", "pgm"), ("RGB", "ppm")):
        yield f"{mode.lower()}.{ending}", encoded(picture(mode), format="PPM")
    rgb = " ".join(map(str, picture("RGB").tobytes()))
    yield "rgb.plain.ppm", f"P3 # plain\n13 9\n255\n{rgb}\n".encode()
    yield "deep.pgm", b"P5 2 1 65535\n" + struct.pack(">2H", 257 * 7, 65535)
    yield from tiffs()
    yield from rasters()


def bmp(bits, compression, tables, rows, colours=0):
    """A bitmap of 2 x 2 pixels."""
    offset = 54 + len(tables)
    return struct.pack("<2sIIIIiiHHIIiiII", b"BM", offset + len(rows), 0, offset, 40, 2, 2, 1, bits, compression, len(rows),
                       0, 0, colours, 0) + tables + rows


def tiffs():
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"{mode.lower()}.tif", encoded(picture(mode), format="TIFF")
    for compression in ("packbits", "tiff_lzw", "tiff_adobe_deflate"):
        yield f"rgb.{compression}.tif", encoded(picture("RGB"), format="TIFF", compression=compression)
    yield "1.group4.tif", encoded(picture("1"), format="TIFF", compression="group4")
    yield "jpeg.tif", encoded(picture("RGB"), format="TIFF", compression="jpeg")
    yield "cmyk.tif", encoded(picture("CMYK"), format="TIFF")
    yield "rgb.pages.tif", encoded(picture("RGB"), format="TIFF", save_all=True, append_images=[picture("L")])
    grey, rgb = picture("L").tobytes(), picture("RGB").tobytes()
    rows = [rgb[39 * y:39 * (y + 1)] for y in range(9)]
    yield "rgb.strips.tif", tiff(3, 8, 2, rows, {278: 1})
    yield "rgb.big-endian.tif", tiff(3, 8, 2, [rgb], {}, ">")
    yield "rgb.planar.tif", tiff(3, 8, 2, [rgb[c::3] for c in range(3)], {284: 2})
    tiles = [b"".join((rgb[39 * y:39 * (y + 1)] if y < 9 else b"").ljust(48, b"\xee") for y in range(16))]
    yield "rgb.tiles.tif", tiff(3, 8, 2, tiles, {322: 16, 323: 16})
    yield "rgb.deep.tif", tiff(3, 16, 2, [b"".join(bytes((9, value)) for value in rgb)], {})
    yield "l.white.tif", tiff(1, 8, 0, [bytes(255 - value for value in grey)], {})
    bits = ["".join(f"{value:08b}{value % 16:04b}" for value in grey[13 * y:13 * (y + 1)]) for y in range(9)]
    bits = "".join(row.ljust(160, "0") for row in bits)
    yield "l.12-bits.tif", tiff(1, 12, 1, [int(bits, 2).to_bytes(180, "big")], {})
    yield "five.tif", tiff(5, 8, 1, [bytes(5 * 13 * 9)], {})
    yield "float.tif", tiff(1, 32, 1, [bytes(4 * 13 * 9)], {339: 3})
    yield "ycbcr.tif", tiff(3, 8, 6, [picture("YCbCr").tobytes()], {530: (1, 1)})


def rasters():
    """Of one name and another ending: the same values."""
    size = [(y, x) for y in range(9) for x in range(13)]
    bands = [[(1000 * y + 77 * x + 9001 * c) % 65536 for c in range(5)] for y, x in size]
    every = [value for pixel in bands for value in pixel]
    planes = [[pixel[c] for pixel in bands] for c in range(5)]
    extra = {338: [0] * 4}

    def words(values, order="<"):
        return struct.pack(f"{order}{len(values)}H", *values)

    def tile(values, channels):
        rows = [words(values[13 * channels * y:13 * channels * (y + 1)]) if y < 9 else b"" for y in range(16)]
        return b"".join(row.ljust(32 * channels, b"\xee") for row in rows)
    yield "bands.tif", tiff(5, 16, 1, [words(every)], extra)
    yield "bands.strips.tif", tiff(5, 16, 1, [words(every[130 * i:130 * (i + 1)]) for i in range(5)], extra | {278: 2})
    yield "bands.big-endian.tif", tiff(5, 16, 1, [words(every, ">")], extra, ">")
    yield "bands.planar.tif", tiff(5, 16, 1, [words(plane) for plane in planes], extra | {284: 2})
    yield "bands.tiles.tif", tiff(5, 16, 1, [tile(every, 5)], extra | {322: 16, 323: 16})
    yield "bands.planar.tiles.tif", tiff(5, 16, 1, [tile(plane, 1) for plane in planes], extra | {284: 2, 322: 16, 323: 16})
    left = [(pixel[c] - (bands[i - 1][c] if i % 13 else 0)) % 65536 for i, pixel in enumerate(bands) for c in range(5)]
    yield "bands.deflate.tif", tiff(5, 16, 1, [zlib.compress(words(left))], extra | {259: 8, 317: 2})
    yield "bands.npy", npy("<u2", (9, 13, 5), words(every))
    yield "bands.big-endian.npy", npy(">u2", (9, 13, 5), words(every, ">"))
    yield "bands.fortran.npy", npy("<u2", (9, 13, 5), b"".join(
        words([planes[c][13 * y + x] for y in range(9)]) for c in range(5) for x in range(13)), True)
    floats = [y / 8 - x / 16 + c / 2 for y, x in size for c in range(3)]
    data = struct.pack("<351f", *floats)
    yield "floats.tif", tiff(3, 32, 2, [data], {339: [3] * 3})
    yield "floats.planar.tif", tiff(3, 32, 2, [struct.pack("<117f", *floats[c::3]) for c in range(3)], {339: [3] * 3, 284: 2})
    yield "floats.npy", npy("<f4", (9, 13, 3), data)
    yield "floats.f8.npy", npy(">f8", (9, 13, 3), struct.pack(">351d", *floats))
    yield "signed.tif", tiff(1, 16, 1, [struct.pack("<117h", *range(-100, 17))], {339: 2})
    yield "signed.npy", npy("<i2", (9, 13), struct.pack("<117h", *range(117)))
    yield "mask.npy", npy("|b1", (2, 2), b"\0\1\1\0")
    yield "first.npy", npy("|u1", (3, 2, 20), bytes(range(120)))


def npy(descr, shape, data, fortran=False):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117).encode() + b"\n" + data


def tiff(samples, bits, meaning, blocks, more, order="<"):
    """A TIFF of 13 x 9 pixels, its strips or tiles as they are. Tags beside the usual ones: numbers, all of 16 bits."""
    tags = {256: 13, 257: 9, 258: [bits] * samples, 259: 1, 262: meaning, 277: samples, 278: 9, **more}
    offsets, counts = (324, 325) if 322 in tags else (273, 279)
    if 322 in tags:
        del tags[278]
    tags |= {offsets: [0] * len(blocks), counts: [len(block) for block in blocks]}
    tags = {tag: [value] if isinstance(value, int) else list(value) for tag, value in sorted(tags.items())}
    end = 8 + 2 + 12 * len(tags) + 4
    at = end + sum(4 * len(values) for values in tags.values())
    for k, block in enumerate(blocks):
        tags[offsets][k] = at + sum(map(len, blocks[:k]))
    directory, beside = struct.pack(order + "H", len(tags)), b""
    for tag, values in tags.items():
        wide = tag in (offsets, counts)
        data = struct.pack(f"{order}{len(values)}{'I' if wide else 'H'}", *values)
        directory += struct.pack(order + "2HI", tag, 4 if wide else 3, len(values))
        directory += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", end + len(beside))
        beside += data if len(data) > 4 else b""
    start = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return start + directory + bytes(4) + beside.ljust(at - end, b"\0") + b"".join(blocks)


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


def npy(descr, shape, values, order=False):
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def arrays():
    yield "grey.npy", npy("|u1", (2, 5, 7), bytes(range(70)))
    yield "planes.npy", npy("<u2", (2, 3, 5, 7), bytes(range(210)) * 2)
    yield "fortran.npy", npy(">i2", (2, 5, 7, 3), bytes(range(210)).replace(b"\x80", b"\0") * 2, True)
    yield "float.npy", npy("<f4", (2, 5, 7), struct.pack("<70f", *(i / 70 for i in range(70))))
    yield "double.npy", npy(">f8", (5, 7, 5), struct.pack(">175d", *(i / 175 for i in range(175))))
    yield "bool.npy", npy("|b1", (3, 1), bytes((0, 1, 0)))
    yield "version-2.npy", npy("<i8", (2,), struct.pack("<2q", -1, 5)).replace(b"\x01\x00\x76\x00", b"\x02\x00\x76\0\0\0")
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as file:
            file.writestr(zipfile.ZipInfo("images.npy"), npy("|u1", (2, 5, 7), bytes(range(70))), method)
            file.writestr(zipfile.ZipInfo("labels.npy"), npy("<i8", (2, 1), struct.pack("<2q", 0, 3)), method)
        yield f"{name}.npz", out.getvalue()


def table():
    yield "header", b"path,label,split\na/1.png,cat,train\nb/2.png,dog,val\n"
    yield "quotes", b'\xef\xbb\xbf"a,1","say ""yes"""\r\n"two\r\nlines",b\r\n"",\r\n'
    yield "semicolons", b"a;b\n1,5;2\n;;\n3;4;;\n"
    yield "tabs", b"a\tb\rc\td\r"
    yield "says", b"sep=|\na|b\n"
    yield "unclosed", b'a,b\n"c,d\ne,f\n"g"h,i\n"j,k\nl\n'
    yield "list", b"path;label;split\na.png;10;train\nb;2;val\n./a.png;;\n\\c.png;1;val\nhttp://d.png;1;\n"
    yield "paths", b"id,photo\n1,a.png\n2,b\n"
    yield "annotations", b"a.png\tn01443537\t0\t0\t9\t9\n"
    yield "solution", b"ImageId,PredictionString\na,n01443537 1 2 3 4\n"
    yield "words", b"n1\tgoldfish, Carassius auratus\nn01443537 great white shark\n"
    yield "wide", b"\xff\xfea\0,\0b\0"


def tar(members, kind=tarfile.USTAR_FORMAT):
    """Members: (name, bytes), or a whole TarInfo for bytes."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as shard:
        for name, data in members:
            if not isinstance(data, tarfile.TarInfo):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
            else:
                data.name = name
                shard.addfile(data)
    whole = file.getvalue().rstrip(b"\0")
    return whole.ljust(-(-len(whole) // 512) * 512, b"\0") + bytes(1024)


def shards():
    samples = [("a/1.jpg", b"one"), ("a/1.cls", b"3"), ("a/2.json", b'{"label": "b"}'), ("a/2.jpg", b"two" * 300)]
    long = [(f"{'d/' * 90}{k}.jpg", b"x") for k in range(2)]
    yield "ustar", tar(samples)
    yield "pax", tar([*long, ("\u00f6.jpg", b"y")], tarfile.PAX_FORMAT)
    yield "gnu", tar(long, tarfile.GNU_FORMAT)
    link, folder = tarfile.TarInfo(), tarfile.TarInfo()
    link.type, link.linkname, folder.type = tarfile.SYMTYPE, "1.jpg", tarfile.DIRTYPE
    yield "others", tar([("d", folder), ("2.jpg", link), ("README", b"x"), ("__key__.json", b"{}"), *samples, samples[0]])
    yield "apart", tar([samples[0], samples[2], samples[1], samples[3]])
    yield "joined", tar(samples) * 2
    yield "hole", tar(samples)[:-1024] + bytes(1024) + tar([("b/1.jpg", b"three")])
    yield "spelled", tar([("./a/1.JPG", b"one"), ("a/1.jpg", b"two"), ("././a/1.CLS", b"x")])
    yield "empty", tar([])
    yield "cut", tar(samples)[:1700]


def shard_index():
    """Of two samples, each with a member jpg, the first with a label; the digests do not hold."""
    none = 2**32 - 1
    def index(texts, problem=none, first=none):
        numbers = [("<QII", (512, 3, 0)), ("<QII", (2560, 3, 0)), ("<3I", (0, 0, 0)), ("<3I", (8, 1, none)), ("<I", (2,)),
                   ("<I", (10,)), ("<I", (6,))]
        header = b"simclr shards 3".ljust(16, b"\0") + struct.pack(
            "<2Q 3qQ 5Q I 8I I 2Q", 0, 0, 4096, 0, 0, 0, 2, 2, 1, 1, len(texts), problem, *(first != none, first) * 4, 0,
            0 if first == none else 1024, 512)
        return header + b"".join(struct.pack(how, *values) for how, values in numbers) + texts
    texts = b"1\0jpg\0a\0" b"2\0" b"./.JPG\0"
    yield "two", index(texts)
    yield "left_out", index(texts, first=10)
    yield "problem_of_two_lines", index(texts + b"a\nb\0", problem=len(texts))


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def wav(bits, values, channels=1, code=1, more=b"", rate=8000):
    size = bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * size, channels * size, bits)
    return b"RIFF" + bytes(4) + b"WAVE" + chunk(b"fmt ", form + more) + chunk(b"LIST", b"odd") + chunk(b"data", values)


def sound():
    """FLAC, OGG and MP3 lie in the corpus already: no library at hand writes them."""
    yield "8", wav(8, bytes(range(100, 160)))
    yield "16", wav(16, bytes(range(200)), channels=2)
    yield "24", wav(24, bytes(range(90)), channels=3)
    yield "32", wav(32, bytes(range(64)), rate=48000)
    yield "float", wav(32, struct.pack("<9f", *(k / 9 for k in range(9))), code=3)
    yield "double", wav(64, struct.pack("<9d", *(k / 9 for k in range(9))), code=3)
    yield "extensible", wav(16, bytes(range(80)), code=0xFFFE,
                            more=struct.pack("<HHIH", 22, 16, 0, 1) + bytes.fromhex("000000001000800000aa00389b71"))
    yield "mu-law", wav(8, bytes(range(100)), code=7)
    yield "adpcm", wav(8, bytes(range(100)), code=0x11, more=struct.pack("<HH", 2, 505))
    yield "cut", wav(16, bytes(range(100)))[:90]
    yield "pipe", wav(16, bytes(range(100))).replace(b"data" + struct.pack("<I", 100), b"data" + b"\xff" * 4)


def text():
    yield "lines", (b"A sentence, of words.\n\n  Another one!\r\nNo valid \xff UTF-8\nA byte \0 0\nna\xc3\xafve caf\xc3\xa9")
    yield "questions", b"NUM:dist How far is it to Denver ?\nno class here\nLOC:city What county is it ?\n"
    yield "table.csv", b'text,label,split\n"one, two",a,train\nthree,b,test\n,c,train\nfour,a\n'
    yield "table.tsv", b'label\ttext\n1\t"Manos" is bad\n0\t"not closed\n1\t"He said ""no"""\n'
    yield "words", b"simclr words 1\nthe\n,\nfilm\n"
    yield "words_twice", b"simclr words 1\nthe\nthe\n"
    yield "words_cut", b"simclr words 1\nthe"
    rest = b"\t_" * 8
    yield "roles", (b"# text = It works\n1\tIt" + rest + b"\t_\tARG1\n1-2\tItworks\n2\tworks" + rest +
                    b"\twork.01\tV\n\n1\tbad" + rest + b"\tbe.01\n\nno number\n")


def clips():
    """Videos, 6 frames of 16 x 16, lie in the corpus already: tests/support/videos.h wrote them."""
    yield "grey.npy", npy("|u1", (4, 3, 5), bytes(range(60)))
    yield "deep.npy", npy("<u2", (3, 4, 6), bytes(range(144)))
    yield "floats.npy", npy("<f4", (2, 4, 6), struct.pack("<48f", *(k / 48 for k in range(48))))
    yield "playlist", b"#EXTM3U\n#EXTINF:1\n/etc/passwd\n"
    yield "ffconcat", b"ffconcat version 1.0\nfile /etc/passwd\n"


for target in (safetensors, idx, cifar, images, arrays, table, config, shards, shard_index, sound, text, clips):
    for name, data in target():
        write(target.__name__, name, data)
