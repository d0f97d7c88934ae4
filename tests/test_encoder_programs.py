"""examples/embed and nearest as a user runs them, what they say of files that are not ours, and every program's --help.
That the features are right: test_torchvision.py."""
import json
import math
import os
import random
import re
import shutil
import struct
import subprocess
import unittest
import zlib

from support.encoder_programs import PROGRAMS, Base, read_npy
from support.tiny_data import load_safetensors, png, write_pictures

NAMES = ("embed", "nearest", "linear_probe", "finetune", "torchvision_weights", "export_onnx")


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def read_png(path):
    """Width, height and rows of a colour PNG file without filters or with any: what a contact sheet is."""
    content, at, data = path.read_bytes(), 8, b""
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", content, at + 8)
            assert (depth, colour) == (8, 2)
        if kind == b"IDAT":
            data += content[at + 8:at + 8 + length]
        at += 12 + length
    data, pitch, rows = zlib.decompress(data), 3 * width, [bytes(3 * width)]
    for y in range(height):
        kind, line = data[y * (pitch + 1)], bytearray(data[y * (pitch + 1) + 1:(y + 1) * (pitch + 1)])
        for x in range(pitch):
            up, (left, corner) = rows[-1][x], (line[x - 3], rows[-1][x - 3]) if x >= 3 else (0, 0)
            nearest = min((left, up, corner), key=lambda v: abs(left + up - corner - v))
            line[x] = (line[x] + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
        rows.append(bytes(line))
    return width, height, rows[1:]


class Embed(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = cls.folder / "pictures"
        write_pictures(cls.pictures / "b" / "deep", 5, 2)
        write_pictures(cls.pictures / "a", 4, 7)
        source = random.Random(1)
        (cls.pictures / "top.PNG").write_bytes(png(4, source, side=33))
        (cls.pictures / "notes.txt").write_text("no picture")
        (cls.pictures / ".hidden.png").write_bytes(png(4, source))
        write_pictures(cls.pictures / ".cache", 1)
        cls.names = [f"a/0{i}.png" for i in range(4)] + [f"b/deep/0{i}.png" for i in range(5)] + ["top.PNG"]

    def test_nested_folder(self):
        found, printed = self.embed(self.pictures)
        self.assertEqual(list(found), self.names)
        self.assertEqual({len(row) for row in found.values()}, {32})
        self.assertIn("resnet18, width 4, 32 features", printed)
        self.assertIn(f"features of 10 pictures, 32 each, in {self.out}", printed)
        self.assertRegex(printed, r"embedding: 10 of 10 pictures, \d+ a second, 0 s left\n")
        self.assertTrue(all(map(math.isfinite, sum(found.values(), ()))))
        self.assertEqual(len(set(found.values())), 10)  # no two alike

    def test_each_row_is_its_file(self):
        """A picture alone has the row that it has among the others, whatever the batches and threads."""
        together, _ = self.embed(self.pictures)
        for name in ("a/02.png", "top.PNG"):
            alone = self.out / "alone" / name.replace("/", "-")
            alone.mkdir(parents=True)
            shutil.copy(self.pictures / name, alone / "x.png")
            row = self.embed(alone, out=self.out / "result")[0]["x.png"]
            for a, b in zip(row, together[name]):
                self.assertAlmostEqual(a, b, delta=1e-5)
        for options in (("--batch-size", "3", "--threads", "1"), ("--batch-size", "1", "--workers", "2")):
            other, _ = self.embed(self.pictures, *options)
            for name in self.names:
                for a, b in zip(other[name], together[name]):
                    self.assertAlmostEqual(a, b, delta=1e-5)

    def test_unreadable_pictures(self):
        folder = self.folder / "damaged"
        write_pictures(folder / "x", 6)
        for name in ("01", "04"):
            path = folder / "x" / f"{name}.png"
            path.write_bytes(path.read_bytes()[:200])
        (folder / "x" / "line\nbreak\x1b[31m.png").write_bytes(png(1, random.Random(1)))
        (folder / "x" / "red\x1b[31m.png").write_text("no picture")
        done = self.launch("embed", self.weights, folder, "--out", self.out, "--batch-size", "2", "--device", "cpu")
        self.assertEqual(done.returncode, 0, done.stderr)
        warnings = sorted(done.stderr.splitlines())
        self.assertEqual(len(warnings), 4, warnings)
        line_break = "1 picture has a name with a line break, for which \\n stands"
        for name, line in zip(("01.png", "04.png", "red?[31m.png", line_break), warnings):
            self.assertRegex(line, r"\Awarning: [^\x00-\x1f]+\Z")  # nothing that a terminal obeys
            self.assertIn(name, line)
        self.assertIn("3 pictures could not be read: left out", done.stdout)
        broken = "x/line\\nbreak\x1b[31m.png"
        self.assertEqual((self.out / "files.txt").read_text().splitlines(),
                         [*(f"x/0{i}.png" for i in (0, 2, 3, 5)), broken])
        query = folder / "x" / "line\nbreak\x1b[31m.png"
        found = self.launch("nearest", self.weights, query, folder, "--k", "1", "--features", self.out, "--device", "cpu")
        self.assertIn("1.0000  x/line\\nbreak?[31m.png\n", found.stdout, found.stderr)
        whole, _ = self.embed(write_pictures(self.folder / "x", 6), out=self.folder / "whole")
        for name, row in zip((0, 2, 3, 5), read_npy(self.out / "features.npy")):
            for a, b in zip(row, whole[f"0{name}.png"]):
                self.assertAlmostEqual(a, b, delta=1e-5)

    def test_checkpoints_and_finetuned(self):
        """A checkpoint serves where weights do; a run without final weights gives its newest one."""
        newest = sorted((self.weights / "checkpoints").glob("step-*.safetensors"))[-1]
        run = self.folder / "unfinished"
        (run / "checkpoints").mkdir(parents=True)
        for path in (self.weights / "checkpoints").glob("step-*.safetensors"):
            shutil.copy(path, run / "checkpoints")
        rows = [self.embed(self.pictures, weights=weights)[0] for weights in
                (self.weights, self.weights / "model.safetensors", newest, run)]
        self.assertTrue(all(row == rows[0] for row in rows))

    def test_refused(self):
        missing, empty = self.folder / "missing", self.folder / "empty"
        empty.mkdir(exist_ok=True)
        self.refused("embed", self.weights, missing, words=(missing, "no such folder"))
        self.refused("embed", self.weights, empty, words=(empty, "no JPEG"))
        shards, text = self.folder / "packed", self.folder / "list.txt"
        shards.mkdir(exist_ok=True)
        for path in (shards / "0.tar", shards / "1.tar", text):
            path.touch()
        self.refused("embed", self.weights, shards,
                     words=(f"it holds 2 .tar files: name them, 0.tar, 1.tar, as in '{shards}/{{000..127}}.tar'",))
        self.refused("embed", self.weights, text, words=(f"{text}: is not a folder but a file", "add --dataset list"))
        self.refused("embed", missing, self.pictures, words=(missing, "no such file or folder"))
        self.refused("embed", empty, self.pictures, words=(empty, "holds no run"))
        (empty / "config.json").write_text("{}")
        self.refused("embed", empty, self.pictures, words=(empty, "no weights yet"))
        self.refused("embed", self.pictures / "a/00.png", self.pictures, words=("a/00.png", "not a safetensors file"))
        self.refused("embed", self.weights, self.pictures, "--batch-size", "0", words=("--batch-size 0",))
        self.refused("embed", self.weights, self.pictures, "--dataset", "cifar10", words=("--dataset cifar10", "shards"))
        self.refused("embed", self.weights, self.pictures, "--device", "gpu", words=('--device: "gpu" is not a device',))
        self.refused("embed", self.weights, self.pictures, "--out", self.pictures / "notes.txt", words=("notes.txt",))
        corrupt = write_pictures(self.folder / "corrupt", 3)
        for path in corrupt.iterdir():
            path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
        done = self.launch("embed", self.weights, corrupt, "--out", self.out)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\nembed: [^\n]*more than half[^\n]*\n\Z")  # below the warnings
        self.assertFalse(self.out.exists())


class WeightsFiles(Base):
    """Files that look like ours and are not."""

    def change(self, metadata=None, keep=lambda name: True, values=None):
        """The run's weights with other metadata, without some tensors, or with `values` {name: f32} in element 1."""
        _, tensors = load_safetensors(self.weights / "model.safetensors")
        header, body = {}, b""
        if metadata is not None:
            header["__metadata__"] = metadata
        for name, (dtype, shape, data) in tensors.items():
            if name in (values or {}):
                data = data[:4] + struct.pack("<f", values[name]) + data[8:]
            if keep(name):
                header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
                body += data
        text = json.dumps(header).encode()
        path = self.folder / "changed.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)
        return path

    def metadata(self, **changes):
        metadata, _ = load_safetensors(self.weights / "model.safetensors")
        return {"format": "simclr", "config": json.dumps(json.loads(metadata["config"]) | changes)}

    def check(self, path, *words):
        self.refused("embed", path, self.folder / "pictures", words=(path, *words))

    def test_refused(self):
        write_pictures(self.folder / "pictures", 2)
        self.embed(self.folder / "pictures", weights=self.change(self.metadata()))
        self.check(self.change(), "not weights of libsimclr")
        self.check(self.change({"format": "pt"}), "not weights of libsimclr")
        self.check(self.change({"format": "simclr"}), "no configuration")
        self.check(self.change({"format": "simclr", "config": "{"}), "its configuration cannot be used")
        self.check(self.change({"format": "simclr", "config": "[]"}), "its configuration cannot be used")
        self.check(self.change(self.metadata(augmentation={"size": 8})), "its configuration cannot be used", "key")
        self.check(self.change(self.metadata(augmentation=None, version="9.0.0")), "of version 9.0.0")
        self.check(self.change(self.metadata(), lambda name: name.startswith("head.")), "conv1.weight", "missing")
        self.check(self.change(self.metadata(), lambda name: name != "encoder.layer1.0.bn2.running_mean"),
                   "layer1.0.bn2.running_mean", "missing")
        damaged = self.folder / "damaged.safetensors"
        content = bytearray((self.weights / "model.safetensors").read_bytes())
        content[-100] ^= 1
        damaged.write_bytes(content)
        self.check(damaged, "damaged")


    def test_nan_in_weights(self):
        """Every program refuses an encoder that holds NaN, Inf or a variance below 0, in one line that names file and
        tensor."""
        pictures = write_pictures(self.folder / "nan", 2)
        bad = "NaN or Inf"
        for name, value, what in (("layer1.0.conv1.weight", math.nan, bad), ("bn1.running_var", math.inf, bad),
                                  ("layer4.1.bn2.bias", -math.inf, bad),
                                  ("layer1.0.bn2.running_var", -0.01, "variances are below 0")):
            path = self.change(self.metadata(), values={f"encoder.{name}": value})
            for program, *arguments in (("embed", path, pictures, "--out", self.out),
                                        ("nearest", path, pictures / "00.png", pictures), ("linear_probe", path),
                                        ("finetune", path, "--out", self.out),
                                        ("torchvision_weights", "export", path, self.out),
                                        ("export_onnx", path, self.out)):
                with self.subTest(program=program, tensor=name):
                    self.refused(program, *arguments, words=(path, f"encoder.{name}: 1 of", what))
                    self.assertFalse(self.out.exists())

    def test_nan_in_features(self):
        """Finite weights may still overflow."""
        pictures = write_pictures(self.folder / "overflow", 2)
        path = self.change(self.metadata(), values={"encoder.layer4.1.bn2.weight": 3e38, "encoder.bn1.weight": 3e38})
        for program, *arguments in (("embed", path, pictures, "--out", self.out),
                                    ("nearest", path, pictures / "00.png", pictures)):
            self.refused(program, *arguments, words=(path, "features of", "00.png", "NaN or Inf"))
        self.assertFalse(self.out.exists())


class Nearest(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = cls.folder / "pictures"
        for label in range(4):
            write_pictures(cls.pictures / f"class{label}", 6, 2 * label)

    def nearest(self, picture, *options):
        printed = self.run_program("nearest", self.weights, picture, self.pictures, *options)
        if "--features" not in options:
            self.assertRegex(printed, r"embedding: 24 of 24 pictures, \d+ a second, 0 s left\n")
        table = printed.split("cosine  file\n")[1].splitlines()
        rows = [re.fullmatch(r"(-?\d\.\d{4})  (.+)", line).groups() for line in table]
        return [(name, float(value)) for value, name in rows]

    def test_itself_comes_first(self):
        for name in ("class0/00.png", "class3/05.png"):
            found = self.nearest(self.pictures / name, "--k", "4")
            self.assertEqual(len(found), 4)
            self.assertEqual(found[0], (name, 1.0))

    def test_cosines(self):
        """All pictures, in the order that embed's features give."""
        rows, _ = self.embed(self.pictures)
        query = "class1/03.png"
        found = self.nearest(self.pictures / query, "--k", "100")
        self.assertEqual(sorted(name for name, _ in found), sorted(rows))
        for name, value in found:
            self.assertAlmostEqual(value, cosine(rows[query], rows[name]), delta=1e-4)
        self.assertEqual([value for _, value in found], sorted((value for _, value in found), reverse=True))
        self.assertEqual(found, self.nearest(self.pictures / query, "--k", "100", "--features", self.out))

    def test_odd_names(self):
        odd = self.folder / "odd"
        odd.mkdir()
        shutil.copy(self.pictures / "class1/03.png", odd / "red\x1b[31m.png")
        printed = self.run_program("nearest", self.weights, self.pictures / "class1/03.png", odd)
        self.assertEqual(printed.splitlines()[-1], "1.0000  red?[31m.png")

    def test_sheet(self):
        """The picture in a frame, then its neighbours in order; greys tell which they are."""
        flat = self.folder / "flat"
        flat.mkdir()
        greys = (30, 200, 90, 160)
        for grey in greys:
            rows = b"".join(b"\0" + bytes([grey]) * 3 * 16 for _ in range(16))
            content = png(0, random.Random(1), side=16)
            head, tail = content[:33], content[-12:]
            data = zlib.compress(rows)
            (flat / f"{grey}.png").write_bytes(head + struct.pack(">I", len(data)) + b"IDAT" + data +
                                               struct.pack(">I", zlib.crc32(b"IDAT" + data)) + tail)
        sheet = self.folder / "sheet.png"
        printed = self.run_program("nearest", self.weights, flat / "90.png", flat, "--sheet", sheet)
        order = [90] + [int(line.split()[1].removesuffix(".png")) for line in printed.split("file\n")[1].splitlines()]
        width, height, rows = read_png(sheet)
        self.assertEqual((width, height), (5 * 134 + 6, 134 + 6))
        pixel = lambda x, y: tuple(rows[y][3 * x:3 * x + 3])
        for i, grey in enumerate(order):
            self.assertEqual(pixel(6 + 134 * i + 64, 70), (grey,) * 3)
        self.assertEqual(pixel(2, 2), (220, 60, 30))
        self.assertEqual(pixel(134 * 2 + 3, 70), (255, 255, 255))

    def test_features_of_other_weights(self):
        """Of the same width, so that only the values tell."""
        other = self.folder / "other-run"
        self.run_program("train_cifar", "--dataset", "cifar10", "--data", self.data, "--width", "4", "--size", "8",
                         "--batch-size", "20", "--epochs", "1", "--seed", "5", "--no-evaluation", "--out", other)
        self.embed(self.pictures, weights=other)
        picture = self.pictures / "class0/00.png"
        self.refused("nearest", self.weights, picture, self.pictures, "--features", self.out,
                     words=(f"--features {self.out}: class0/00.png has other features", self.weights, "run embed again"))
        (self.pictures / "class0/00.png").rename(self.folder / "away.png")  # the next one tells as well
        self.addCleanup((self.folder / "away.png").rename, picture)
        self.refused("nearest", self.weights, self.pictures / "class0/01.png", self.pictures, "--features", self.out,
                     words=("class0/01.png has other features",))

    def test_sheet_is_a_png_file(self):
        picture = self.pictures / "class0/00.png"
        for name in ("x.jpg", "x"):
            self.refused("nearest", self.weights, picture, self.pictures, "--sheet", self.folder / name,
                         words=(f"{name}: a PNG file is written; choose a name that ends in .png",))
            self.assertFalse((self.folder / name).exists())

    def test_refused(self):
        picture = self.pictures / "class0/00.png"
        self.refused("nearest", self.weights, self.folder / "no.png", self.pictures, words=("no.png",))
        self.refused("nearest", self.weights, self.pictures, self.pictures, words=(f"{self.pictures}: not a picture file",))
        self.refused("nearest", self.weights, self.weights / "config.json", self.pictures, words=("config.json",))
        self.refused("nearest", self.weights, picture, self.pictures, "--k", "0", words=("--k 0",))
        self.refused("nearest", self.weights, picture, self.pictures, "--features", self.weights, words=("files.txt",))
        self.embed(self.pictures)
        other = write_pictures(self.folder / "other", 3)
        self.refused("nearest", self.weights, picture, other, "--features", self.out,
                     words=("--features", "class0/00.png", f"not in {other}"))
        files, features = self.out / "files.txt", self.out / "features.npy"
        whole, matrix = files.read_text(), features.read_bytes()
        files.write_text(whole.split("\n", 1)[1])
        self.refused("nearest", self.weights, picture, self.pictures, "--features", self.out,
                     words=("23 lines", "24 rows"))
        files.write_text(whole)
        for damaged in (matrix[:-4], matrix + b"1234", b"rubbish" * 9, matrix.replace(b"<f4", b"<f8"), b""):
            features.write_bytes(damaged)
            self.refused("nearest", self.weights, picture, self.pictures, "--features", self.out,
                         words=("features.npy",))
        features.write_bytes(matrix[:-4] + struct.pack("<f", math.nan))
        self.refused("nearest", self.weights, picture, self.pictures, "--features", self.out,
                     words=(features, "1 of the 32 features of class3/05.png"))
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (24, 2), }"
        header += b" " * (117 - len(header)) + b"\n"
        features.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header + bytes(24 * 2 * 4))
        self.refused("nearest", self.weights, picture, self.pictures, "--features", self.out,
                     words=("2 features a picture", "gives 32"))


class Outputs(Base):
    def test_places_where_nothing_can_be_written(self):
        """They are refused before anything is read or computed."""
        pictures = write_pictures(self.folder / "few", 3)
        cases = {"linear_probe": (self.weights, "--json"), "nearest": (self.weights, pictures / "00.png", pictures, "--sheet"),
                 "torchvision_weights": ("export", self.weights), "export_onnx": (self.weights,)}
        for name, arguments in cases.items():
            for out in ("nosuch/x", "run/config.json/x"):
                with self.subTest(program=name, out=out):
                    done = self.launch(name, *arguments, out)
                    self.assertEqual((done.returncode, done.stdout), (1, ""))
                    self.assertEqual(done.stderr, f"{name}: {out}: there is no folder {out[:-2]}; make the folder first\n")
            if os.geteuid() == 0:
                continue  # root may write everywhere
            closed = self.folder / "closed"
            closed.mkdir(mode=0o500, exist_ok=True)
            self.refused(name, *arguments, closed / "x", words=("cannot be written to: Permission denied", "choose another"))


    def test_output_that_is_lost(self):
        pictures = write_pictures(self.folder / "lost", 3)
        for name, *arguments in (("linear_probe", self.weights, "--labels", "100", "--epochs", "1"),
                                 ("nearest", self.weights, pictures / "00.png", pictures), ("embed", "--help")):
            with self.subTest(program=name), open("/dev/full", "w") as full:
                done = subprocess.run([PROGRAMS / name, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, cwd=self.folder, timeout=120)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, rf"\A{name}: standard output could not be written[^\n]*\n\Z")

    def test_files_of_a_run_are_not_replaced(self):
        files = {path: path.read_bytes() for path in self.weights.rglob("*") if path.is_file()}
        self.assertIn(self.weights / "config.json", files)
        for path in files:
            self.refused("linear_probe", self.weights, "--json", path, "--overwrite", words=(f"--json {path}: is ",))
        self.assertEqual({path: path.read_bytes() for path in files}, files)

    def test_input_is_not_replaced(self):
        before = (self.weights / "model.safetensors").read_bytes()
        link = self.folder / "link.safetensors"
        link.symlink_to(self.weights / "model.safetensors")
        for out in (self.weights / "model.safetensors", link):
            for source in (self.weights, self.weights / "model.safetensors", link):
                self.refused("torchvision_weights", "export", source, out, "--overwrite",
                             words=(f"{out}: is the input itself",))
            self.refused("torchvision_weights", "import", link, out, "--overwrite", words=("is the input itself",))
        self.assertEqual((self.weights / "model.safetensors").read_bytes(), before)


class Help(unittest.TestCase):
    def test_help_and_version(self):
        for name in NAMES:
            done = subprocess.run([PROGRAMS / name, "--help"], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"Usage: {name} ", done.stdout)
            for line in done.stdout.splitlines():
                if option := re.match(r"  (?:-h,)?(--[a-z-]+)\S*", line):
                    self.assertRegex(line[option.end():], r"[A-Za-z]{2,} ?", line)
            done = subprocess.run([PROGRAMS / name, "--version"], capture_output=True, text=True)
            self.assertRegex(done.stdout, r"\A\d+\.\d+\.\d+\n\Z")

    def test_unknown_option(self):
        for name in NAMES:
            done = subprocess.run([PROGRAMS / name, "--nonsense"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"\A{name}: [^\n]+; see {name} --help\n\Z")

    def test_subcommands(self):
        for words, complaint in (("--bogus", "not expected: --bogus; see torchvision_weights import --help"),
                                 ("--sizes=3", "not expected: --sizes=3 (did you mean --size?); see torchvision_weights import --help"),
                                 ("--size=1e9", "--size 1e9: must be an integer; see torchvision_weights import --help")):
            done = subprocess.run([PROGRAMS / "torchvision_weights", "import", "a", "b", words], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (1, f"torchvision_weights: {complaint}\n"))


if __name__ == "__main__":
    unittest.main()
