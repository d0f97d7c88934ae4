"""Arrays as NumPy writes them, in every order and form: the same pictures give the same training, to the bit, as their idx
files. PROGRAMS names the folder of the built programs."""
import gzip
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

from support.peers import require

require("numpy")

import numpy

PROGRAM = pathlib.Path(os.environ["PROGRAMS"]) / "train_cifar"
ARCHIVE = pathlib.Path(__file__).resolve().parents[2] / "shared" / "images" / "pneumonia_mnist.tar.gz"
OPTIONS = ("--device", "cpu", "--threads", "1", "--width", "4", "--batch-size", "64", "--epochs", "1", "--limit", "256",
           "--no-evaluation", "--seed", "3", "--overwrite")


def idx(path):
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = [int.from_bytes(content[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * rank).reshape(shape)


class Pneumonia(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(cls.folder)
        cls.idx = cls.folder / "pneumonia_mnist"
        cls.arrays = {}
        for part in ("train", "test"):
            cls.arrays[f"{part}_images"] = idx(cls.idx / f"{part}-images-idx3-ubyte.gz")
            cls.arrays[f"{part}_labels"] = idx(cls.idx / f"{part}-labels-idx1-ubyte.gz")[:, None].astype(numpy.int64)
        cls.expected = cls.train("idx", cls.idx)

    @classmethod
    def train(cls, kind, data):
        out = cls.folder / "out"
        done = subprocess.run([PROGRAM, "--dataset", kind, "--data", data, "--out", out, *OPTIONS], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=300, cwd=cls.folder)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        losses = [line for line in (out / "log.jsonl").read_text().splitlines() if '"step"' in line]
        assert len(losses) == 4, losses
        return [line.split('"loss":')[1].split(",")[0] for line in losses]

    def same(self, data, expected=None):
        self.assertEqual(self.train("arrays", data), expected or self.expected)

    def test_same_losses_as_idx(self):
        for save in (numpy.savez, numpy.savez_compressed):
            save(self.folder / "set.npz", **self.arrays)
            self.same(self.folder / "set.npz")

    def test_same_losses_in_every_order(self):
        folder = self.folder / "order"
        folder.mkdir()
        images = self.arrays["train_images"]
        for values in (images, images[..., None], images[:, None], numpy.asfortranarray(images)):
            numpy.save(folder / "train_images.npy", values)
            self.same(folder)
        deep = images.astype(numpy.uint16) * 257
        numpy.save(folder / "train_images.npy", deep)
        expected = self.train("arrays", folder)
        for values in (deep.astype(">u2"), numpy.asfortranarray(deep)):
            numpy.save(folder / "train_images.npy", values)
            self.same(folder, expected)


if __name__ == "__main__":
    if not ARCHIVE.exists():
        print("skipped: no ../shared/images/pneumonia_mnist.tar.gz beside the project")
        sys.exit(77)
    unittest.main()
