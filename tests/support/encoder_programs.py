"""The programs that use a trained encoder, run on one that was trained on tiny data. PROGRAMS names their folder."""
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

from support.tiny_data import write_cifar10

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin starve each other on a busy machine


def read_npy(path):
    """The rows of a float32 matrix, read as NumPy's format description says."""
    content = path.read_bytes()
    assert content[:8] == b"\x93NUMPY\1\0"
    length, = struct.unpack_from("<H", content, 8)
    assert (10 + length) % 64 == 0 and content[9 + length] == ord("\n")
    header = eval(content[10:10 + length], {})
    assert (header["descr"], header["fortran_order"]) == ("<f4", False) and len(header) == 3
    rows, columns = header["shape"]
    values = struct.unpack(f"<{rows * columns}f", content[10 + length:])
    return [values[i * columns:(i + 1) * columns] for i in range(rows)]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_cifar10(cls.folder / "cifar10")
        cls.weights = cls.folder / "run"
        done = cls.launch("train_cifar", "--dataset", "cifar10", "--data", cls.data, "--width", "4", "--size", "8",
                          "--batch-size", "20", "--epochs", "2", "--knn-every", "0", "--no-evaluation", "--device",
                          "cpu", "--checkpoint-minutes", "0", "--out", cls.weights)
        assert done.returncode == 0, done.stderr

    def setUp(self):
        self.out = self.folder / ("out-" + self.id().rsplit(".", 1)[1])

    @classmethod
    def launch(cls, name, *arguments, cwd=None):
        return subprocess.run([PROGRAMS / name, *map(os.fspath, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=300, text=True, cwd=cwd or cls.folder, env=ENVIRONMENT)

    def run_program(self, name, *arguments, stderr=""):
        done = self.launch(name, *arguments, "--device", "cpu")
        self.assertEqual((done.returncode, done.stderr), (0, stderr), done.stdout)
        return done.stdout

    def refused(self, name, *arguments, words=()):
        done = self.launch(name, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, rf"\A{name}: [^\n]{{10,400}}\n\Z")
        for word in words:
            self.assertIn(str(word), done.stderr)

    def embed(self, pictures, *options, out=None, weights=None, stderr=""):
        """{file: features} of a folder, and what embed printed."""
        out = out or self.out
        printed = self.run_program("embed", weights or self.weights, pictures, "--out", out, "--overwrite", *options,
                                   stderr=stderr)
        files = (out / "files.txt").read_text().splitlines()
        rows = read_npy(out / "features.npy")
        self.assertEqual(len(rows), len(files))
        return dict(zip(files, rows)), printed
