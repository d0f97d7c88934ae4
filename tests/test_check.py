"""train_cifar --check: what it prints for a good configuration, and what it says of wrong ones. TRAIN_CIFAR names the
built program."""
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from support.tiny_data import FILES, png_file, write_pictures

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
SMALL = {"--dataset": "cifar10", "--device": "cpu", "--threads": "1", "--width": "4", "--size": "12",
         "--batch-size": "64", "--epochs": "2", "--temperature": "0.5"}


def gradient(source):
    """A CIFAR record: a colour gradient in a direction of its own, and noise."""
    slopes = [(source.randrange(-4, 5), source.randrange(-4, 5), source.randrange(60, 196)) for _ in range(3)]
    planes = bytearray()
    for across, down, middle in slopes:
        planes += bytes(min(255, max(0, middle + across * (x - 16) + down * (y - 16) + source.randrange(-20, 21)))
                        for y in range(32) for x in range(32))
    return bytes([source.randrange(10)]) + bytes(planes)


def write_set(folder, record, count=30):
    folder.mkdir()
    for name in FILES:
        source = random.Random(name)
        (folder / name).write_bytes(b"".join(record(source) for _ in range(count)))
    return folder


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_set(cls.folder / "data", gradient)

    def check(self, *options, data=None, stderr="", cwd=None):
        chosen = SMALL | {"--data": str(data or self.data)} | dict(zip(options[::2], options[1::2]))
        done = subprocess.run([PROGRAM, "--check", *(part for pair in chosen.items() for part in pair)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, cwd=cwd or self.folder,
                              env=ENVIRONMENT)
        if stderr is not None:
            self.assertEqual(done.stderr, stderr)
        return done

    def finds(self, expected, *options, only=True, **more):
        """The check says this of the configuration, {about: (problem, remedy)}, and with `only` nothing else: but for
        the learning rate where a slow machine had no time for all steps on one batch, which it is judged by."""
        done = self.check(*options, **more)
        self.assertEqual(done.returncode, 1, done.stdout)
        found = dict(re.findall(r"^- ([a-z ]+): (.*\n  try: .*)$", done.stdout, re.MULTILINE))
        self.assertLessEqual(set(expected), set(found), done.stdout)
        if only:
            steps = re.search(r"one batch of \d+ pictures, (\d+) steps", done.stdout)
            unsure = {"learning rate"} if steps and int(steps[1]) < 50 else set()
            self.assertEqual(set(found) - unsure, set(expected) - unsure, done.stdout)
        for about, (problem, remedy) in expected.items():
            self.assertRegex(found[about], problem + r".*\n  try: .*" + remedy)
        self.assertRegex(done.stdout, rf"\n{len(found)} things? looks? wrong:\n")
        self.assertNotIn("looks fine", done.stdout)

    def test_good(self):
        out = self.folder / "new"
        done = self.check("--out", str(out))
        self.assertEqual(done.returncode, 0, done.stdout)
        for line in (r"checking CIFAR-10 train: 150 pictures .*",
                     r"views: 12 x 12, channels 0\.\d\d \+- 0\.\d\d, .*check-views\.png.*",
                     r"one batch of \d+ pictures, \d+ steps: loss [\d.]+ -> [\d.]+ \(chance [\d.]+, bound [\d.]+\)",
                     r"  similarity of a picture's two views -?[\d.]+ -> [\d.]+, of different pictures .* -> -?[\d.]+",
                     r"  features are spread: effective rank .*",
                     r"  encoder\.layer4\.1\.conv2\.weight +[\d.]+ +[\d.e-]+ +[\d.e-]+",
                     r"  head\.linear2\.weight +[\d.]+ +[\d.e-]+ +[\d.e-]+",
                     r"time: [\d.]+ s a step \(.*\), 2 epochs of 2 steps: about .*, and .* to evaluate",
                     r"memory: 0\.\d\d GB on cpu at the peak \(.*\)",
                     r"looks fine"):
            self.assertRegex(done.stdout, r"(?m)^" + line + "$")
        loss = re.search(r"loss ([\d.]+) -> ([\d.]+) \(chance ([\d.]+)", done.stdout)
        start, end, chance = map(float, loss.groups())
        self.assertLess(abs(start - chance), 0.5)
        self.assertLess(end, start)
        png = (out / "check-views.png").read_bytes()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", png[16:24]), (3 * 102 + 6, 8 * 102 + 6))
        self.assertEqual([path.name for path in out.iterdir()], ["check-views.png"])  # no run was begun

    def test_views_that_cannot_be_drawn(self):
        sheet = self.folder / "undrawn" / "check-views.png"
        sheet.mkdir(parents=True)
        done = self.check("--out", str(sheet.parent))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, rf"\nviews: .*; they cannot be drawn: .*{sheet}.*\n")

    def test_a_folder_that_cannot_be_made(self):
        taken = self.folder / "taken"
        taken.write_text("mine")
        done = self.check("--out", str(taken / "x"),
                          stderr=f"train_cifar: --out {taken}/x: cannot make this folder: Not a directory\n")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("checking ", done.stdout)  # which takes its time

    def test_stem(self):
        self.finds({"stem": ("imagenet stem leaves 1 x 1 cells of a view of 12", "--stem cifar")}, "--stem", "imagenet")
        self.finds({"stem": ("cifar stem keeps views of 96", "--stem imagenet"),
                    "size": ("pictures of 32 pixels are enlarged to views of 96", "--size 32")},
                   "--size", "96", "--width", "2")

    def test_temperature_batch_and_crop(self):
        self.finds({"temperature": ("at 3 the loss can only fall from 3.43", "--temperature 0.2"),
                    "batch size": ("16 pictures give each view only 30 others", "--batch-size 128"),
                    "crop": (r"smallest crop is 3.2 pixels wide \(0.01 of the area of pictures of 32", "--crop-min 0.079")},
                   "--temperature", "3", "--batch-size", "16", "--crop-min", "0.01")
        self.finds({"temperature": ("at 0.01 only the single most similar", "--temperature 0.1")},
                   "--temperature", "0.01", only=False)

    def test_a_batch_that_the_set_cannot_fill(self):
        few = write_set(self.folder / "few", gradient, count=8)
        self.finds({"batch size": ("16 pictures give each view only 30 others",
                                   "more pictures: there are only 40 to train on")}, "--batch-size", "16", data=few, only=False)

    def test_learning_rate(self):
        for problem, remedy, *options in (
                ("hardly moves", "a higher --lr than 1e-07.*usual for sgd", "--lr", "1e-7"),
                (r"ends in NaN or Inf: encoder\..* outputs are", "a lower --lr", "--lr", "1e30"),
                ("does not get better steadily", "a lower --lr than 300", "--lr", "300"),
                ("far from what is usual", "0.0003 for adamw", "--optimizer", "adamw", "--lr", "0.02")):
            with self.subTest(options=options):
                self.finds({"learning rate": (problem, remedy)}, *options, only=False)

    def test_normalisation(self):
        config = self.folder / "config.json"
        config.write_text(json.dumps({"augmentation": {"mean": [125, 123, 114], "stddev": [63, 62, 67]}}))
        self.finds({"normalisation": (r"channel 0 of the views has mean -1\.98 and deviation 0\.00",
                                      r"pixels in \[0,1\], not 0 to 255")}, "--config", str(config))

    def test_pictures(self):
        same = gradient(random.Random(1))
        twice = write_set(self.folder / "twice", lambda source: same if source.random() < 0.1 else gradient(source))
        self.finds({"duplicates": (r"\d+ of 150 pictures occur more than once", "remove"),
                    "augmentation": ("two views of a picture hardly differ", "--brightness")},
                   "--crop-min", "1", "--jitter-probability", "0", "--grayscale-probability", "0",
                   "--flip-probability", "0", data=twice)
        black = write_set(self.folder / "black", lambda source: bytes(3073))
        self.finds({"gradients": (r"gradient of encoder\.conv1\.weight vanishes", "normalisation"),
                    "normalisation": ("mean 0 and deviation 0,", "mean")}, data=black, only=False)

    def test_deep_pictures(self):
        """16 bits of which few are in use: named as such, and not taken for copies although 8 bits are the same."""
        folder = self.folder / "deep"
        folder.mkdir()
        for i in range(64):
            source = random.Random(i)
            rows = b"".join(b"\0" + b"".join(struct.pack(">H", source.randrange(1000, 1200)) for _ in range(20))
                            for _ in range(20))
            (folder / f"{i:02}.png").write_bytes(png_file(20, 20, 16, 0, rows))
        self.finds({"range": (r"the 16-bit pictures fill 0\.3 % of their range, 1000 to 1199 of 65535",
                              r"stretch them .*: \(value - 1000\) \* 65535 / 199")}, "--dataset", "folder", data=folder)
        for i in range(8):
            shutil.copy(folder / "00.png", folder / f"copy{i}.png")
        self.finds({"range": ("fill", "stretch"), "duplicates": ("8 of 72 pictures occur more than once", "remove")},
                   "--dataset", "folder", data=folder)

    def test_unreadable_pictures(self):
        """A single one is a finding, with its share of what was looked at, though training goes on without it."""
        folder = self.folder / "broken"
        folder.mkdir()
        for i in range(140):
            source = random.Random(i)
            rows = b"".join(b"\0" + source.randbytes(48) for _ in range(16))
            (folder / f"{i:03}.png").write_bytes(png_file(16, 16, 8, 2, rows))
        for count in (1, 40):
            for i in range(count):
                (folder / f"{3 * i:03}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
            with self.subTest(count=count):
                self.finds({"unreadable pictures": (rf"{count} of 140 pictures looked at cannot be read, .* the first: "
                                                    rf"{folder}/000\.png: ", "leave them out")},
                           "--dataset", "folder", data=folder, only=False, stderr=None)

    def test_nothing_is_drawn_among_the_data(self):
        pictures = write_pictures(self.folder / "flat" / "pictures", 70)
        before = sorted(pictures.rglob("*"))
        done = self.check("--dataset", "folder", "--size", "16", data=".", cwd=pictures)
        self.assertRegex(done.stdout, r"\nviews: .*; they are not drawn among the data: --out DIR says where\n")
        done = self.check("--dataset", "folder", "--out", str(pictures / "new"), data=pictures,
                          stderr=f"train_cifar: --out {pictures}/new: lies in the data's folder; choose another, so that "
                                 "data and results stay apart\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(sorted(pictures.rglob("*")), before)

    def test_other_data_and_optimizers(self):
        for options in (("--optimizer", "lars", "--lr", "1"), ("--optimizer", "adamw", "--lr", "0.0003")):
            with self.subTest(options=options):
                done = self.check(*options)
                self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_deeper_network(self):
        """Whether so narrow a one learns its batch hangs on rounding: that it is looked at, does not."""
        done = self.check("--arch", "resnet50", "--width", "4")
        self.assertIn(done.returncode, (0, 1))
        self.assertIn("  encoder.layer4.2.conv3.weight  ", done.stdout)


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
