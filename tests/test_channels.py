"""train_cifar on pictures of 16 bits and five channels: what --check measures and offers, and a run with it. TRAIN_CIFAR
names the built program."""
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

from support.tiny_data import write_pictures

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
OPTIONS = ("--dataset", "folder", "--device", "cpu", "--threads", "1", "--width", "4", "--size", "12", "--batch-size", "8",
           "--epochs", "1", "--temperature", "0.5")
LEVELS = (2000, 9000, 20000, 40000, 60000)


def tiff(side, channels, source):
    """Little-endian, 16 bits, one strip; noise about each channel's own level."""
    values = [max(0, min(65535, LEVELS[c] + source.randrange(-1500, 1500)))
              for _ in range(side * side) for c in range(channels)]
    pixels = struct.pack(f"<{len(values)}H", *values)
    entries = 10
    lists = 8 + 2 + 12 * entries + 4
    strip = lists + 2 * (channels + channels - 1)
    rows = [(256, 3, 1, side), (257, 3, 1, side), (258, 3, channels, lists), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, strip), (277, 3, 1, channels), (278, 3, 1, side), (279, 4, 1, len(pixels)),
            (338, 3, channels - 1, lists + 2 * channels)]
    directory = struct.pack("<H", entries) + b"".join(struct.pack("<HHII", *row) for row in rows) + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + directory + struct.pack(f"<{channels}H", *[16] * channels) +
            bytes(2 * (channels - 1)) + pixels)


class Channels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_pictures(cls.folder / "data", 1)  # one PNG, which does not fit
        for i in range(40):
            (cls.data / f"{i:02}.tif").write_bytes(tiff(20, 5, random.Random(i)))

    def run_program(self, *options):
        return subprocess.run([PROGRAM, *OPTIONS, "--data", str(self.data), *options], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300, cwd=self.folder)

    def test_check_offers_what_a_run_takes(self):
        done = self.run_program("--check")
        self.assertRegex(done.stdout + done.stderr, r"channels: 5, as \d+ of 32 pictures have that were looked at")
        offer = re.search(r"to make each channel's mean 0 and deviation 1: (--mean (\S+) --stddev (\S+))\n", done.stdout)
        self.assertIsNotNone(offer, done.stdout + done.stderr)
        means = [float(number) for number in offer[2].split(",")]
        self.assertEqual(len(means), 5)
        for mean, level in zip(means, LEVELS):  # brightness and contrast move it about, but not far
            self.assertLess(abs(mean - level / 65535), 0.1 + 0.2 * level / 65535)

        done = self.run_program(*offer[1].split(), "--out", "run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr + done.stdout, r"\.png: has \d channels of grey, RGB or alpha, and views here are of 5")
        config = json.loads((self.folder / "run" / "config.json").read_text())["augmentation"]
        self.assertEqual((config["channels"], config["mean"]), (5, means))

    def test_as_many_numbers_as_channels(self):
        done = self.run_program("--mean", "0.1,0.2,0.3", "--check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--mean 0.1,0.2,0.3: 3 numbers for views of 5 channels; give each channel's", done.stderr)


if __name__ == "__main__":
    if not PROGRAM:
        sys.exit(77)
    unittest.main()
