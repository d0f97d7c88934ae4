"""The inputs of ../shared/cases, beside the project: every row of its table is run and must do what the table expects.
PROGRAMS names the folder of the built programs; without those inputs the test is skipped. CASES names another place.

A row is a test_NAME, with the row's first word as the name, or stands in ELSEWHERE. Everything is run at width 4 and 16
pixels, for one epoch, on one thread."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASES = pathlib.Path(os.environ.get("CASES") or ROOT.parent / "shared" / "cases")
PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", ""))
SKIP_CODE = 77
WITH_WEBP = os.environ.get("WITH_WEBP", "1") == "1"
SMALL = {"--width": 4, "--size": 16, "--epochs": 1, "--threads": 1, "--batch-size": 8, "--device": "cpu"}

# Rows that no program shows, and which test does.
ELSEWHERE = {
    "method/03": "of the library: test_nt_xent and test_loader look at batches of three views",
    "method/small_gemm.cpp": "a time: benchmarks/bench_gemm measures it, beside other processes",
}


def small(*options):
    """Of train_cifar: these take the place of what makes it small."""
    return [*(str(part) for name, value in SMALL.items() if name not in options for part in (name, value)),
            *map(str, options)]


class Cases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-cases-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.folder.chmod(0o755)  # for the user who may not list everything
        for archive in (CASES / "files").glob("*.tar.gz"):
            with tarfile.open(archive) as tar:
                tar.extractall(cls.folder)
        for name in ("f17", "p04", "p05"):
            (cls.folder / name).mkdir()
            for file in (CASES / "files").glob(name + "-*"):
                shutil.copyfile(file, cls.folder / name / file.name.removeprefix(name + "-"))
        cls.encoder = cls.folder / "encoder"
        done = cls.call("train_cifar", *small(), "--dataset", "folder", "--data", "f13/classes", "--no-evaluation", "--out",
                        cls.encoder)
        assert done.returncode == 0, done.stderr

    @classmethod
    def call(cls, program, *options, cwd=None, **more):
        return subprocess.run([PROGRAMS / program, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="surrogateescape", timeout=60, cwd=cwd or cls.folder,
                              env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}, **more)

    def out(self):
        return self.folder / "runs" / self.id().rsplit(".", 1)[1]

    def train(self, data, *options, kind="folder", **more):
        """What a good run prints, warnings included."""
        done = self.call("train_cifar", *small("--dataset", kind, "--data", data, "--out", self.out(), "--overwrite", *options),
                         **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def log(self, event):
        lines = (self.out() / "log.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def embed(self, data, **more):
        """The files, and what is printed."""
        out = self.folder / "features" / self.id().rsplit(".", 1)[1]
        done = self.call("embed", self.encoder, data, "--out", out, "--overwrite", "--threads", "1", **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return (out / "files.txt").read_text().splitlines(), done.stdout + done.stderr

    def features(self):
        """Of the last embed(), a row of bytes a file."""
        content = (self.folder / "features" / self.id().rsplit(".", 1)[1] / "features.npy").read_bytes()
        header, = struct.unpack_from("<H", content, 8)
        rows = int(re.search(rb"'shape': \((\d+),", content)[1])
        values = content[10 + header:]
        return [values[i * len(values) // rows:(i + 1) * len(values) // rows] for i in range(rows)]


class Layouts(Cases):
    def test_f01(self):
        output = self.train("f01")
        self.assertIn("36 pictures in f01/train, 3 classes", output)
        self.assertRegex(output.partition("resnet18")[0], r"f01/val: it has no labels[^\n]*\n[^\n]*\nnot used: f01/val \(20 pictures\)")

    def test_f02(self):
        output = self.train("f02")
        self.assertIn("40 pictures in f02/unlabeled", output)
        self.assertIn("on 24 test pictures", output)
        self.assertIn("f02/train", output)
        self.assertEqual(len(self.log("evaluation")[0]["trained"]["linear"]["recall"]), 3)
        probe = self.call("linear_probe", self.out(), "--threads", "1", "--epochs", "2")
        self.assertEqual(probe.returncode, 0, probe.stderr)
        self.assertIn("24 pictures in f02/train, 3 classes", probe.stdout)

    def test_f05(self):
        for data in ("f05/set", "f05/alllinks"):
            self.assertIn(f"30 pictures in {data}, 3 classes", self.train(data))
            files, _ = self.embed(data)
            self.assertEqual(len(files), 30)
            near = self.call("nearest", self.encoder, f"{data}/fern/000.png", data, "--k", "100", "--threads", "1")
            self.assertEqual(len(re.findall(r"^-?\d\.\d{4}  \w+/\d+\.png$", near.stdout, re.MULTILINE)), 30, near.stderr)
            for program in ("linear_probe", "finetune"):
                done = self.call(program, self.encoder, "--dataset", "folder", "--data", data, "--epochs", "1",
                                 "--threads", "1", *(("--out", self.out() / "fine") if program == "finetune" else ()),
                                 *(("--overwrite",) if program == "finetune" else ()))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"30 pictures in {data}, 3 classes", done.stdout)

    def test_f07(self):
        for data, train, test in (("val_set", "train", "val"), ("valid_set", "train", "valid"),
                                  ("validation_set", "train", "validation"), ("upper_set", "Train", "Test")):
            output = self.train(f"f07/{data}")
            self.assertIn(f"train: f07/{data}/{train}; test: f07/{data}/{test}", output)
            self.assertIn(f"18 pictures in f07/{data}/{train}, 3 classes", output)
            self.assertIn("on 9 test pictures", output)
        self.assertIn("18 pictures in f07/only_train/train, 3 classes", self.train("f07/only_train"))

    def test_f09(self):
        output = self.train("f09/tiny")
        self.assertIn("24 pictures in f09/tiny/train, 3 classes", output)
        for part in ("test", "val"):
            self.assertIn(f"not used: f09/tiny/{part} (9 pictures)", output)
        self.assertEqual(len(self.embed("f09/tiny")[0]), 24 + 9 + 9)
        output = self.train("f09/letters")
        self.assertIn("32 pictures in f09/letters, 2 classes", output)
        self.assertIn("--classes-at 2", output)
        self.assertIn("32 pictures in f09/letters, 4 classes", self.train("f09/letters", "--classes-at", "2"))

    def test_f11(self):
        output = self.train("f11/lone")
        self.assertIn("on 8 test pictures", output)  # four of fern, four of reed
        self.assertIn("moss", output.partition("evaluating")[0])
        output = self.train("f11/own")
        self.assertEqual(self.log("evaluation"), [])
        self.assertIn("no accuracy", output)

    def test_f12(self):
        self.assertIn("24 pictures in f12/jfif, 3 classes", self.train("f12/jfif"))
        output, (files, embedded) = self.train("f12/mixed"), self.embed("f12/mixed")
        if WITH_WEBP:
            self.assertIn("48 pictures in f12/mixed, 3 classes\n", output)
            self.assertEqual(len(files), 48)
            return
        self.assertIn("18 pictures in f12/mixed, 3 classes (left out: 30 .webp pictures in ", output)
        self.assertIn(" that need a build with libwebp-dev)", output)
        self.assertEqual(len(files), 18)
        self.assertIn("left out: 30 .webp pictures", embedded)
        refused = self.call("train_cifar", *small(), "--dataset", "folder", "--data", "f12/webp", "--out", self.out())
        self.assertEqual(refused.returncode, 1)
        self.assertIn("24 .webp pictures", refused.stderr)

    def test_f13(self):
        for data, count in (("f13/classes", 36), ("f13/flat", 24)):
            inside = self.folder / data
            before = sorted(inside.rglob("*"))
            check = self.call("train_cifar", *small(), "--check", "--dataset", "folder", "--data", ".", cwd=inside)
            self.assertIn("views: ", check.stdout, check.stderr)
            self.assertEqual(sorted(inside.rglob("*")), before)
            self.assertIn(f"{count} pictures in .", self.train(".", cwd=inside))
            done = self.call("train_cifar", *small(), "--dataset", "folder", "--data", ".", "--no-evaluation", cwd=inside)
            self.assertEqual(done.returncode, 0, done.stderr)
            shutil.rmtree(inside.parent / "runs")  # beside the data
            sheet = self.call("nearest", self.encoder, before[-1], ".", "--sheet", "sheet.png", cwd=inside)
            self.assertEqual(sheet.returncode, 1)
            self.assertEqual(sorted(inside.rglob("*")), before)

    def test_f15(self):
        check = self.call("train_cifar", *small(), "--check", "--dataset", "folder", "--data", "f15")
        self.assertIn("16-bit pictures fill 0.2 % of their range", check.stdout, check.stderr)
        self.assertNotIn("more than once", check.stdout)
        self.assertNotIn("remove", check.stdout)

    @unittest.skipUnless(os.environ.get("WITH_JPEG", "1") == "1", "stb cannot tell whether a JPEG is whole")
    def test_f17(self):
        files, output = self.embed("f17")
        self.assertEqual(files, ["noend.png", "plain.png", "trailer.jpg", "zeros.jpg"])
        noend, plain, trailer, zeros = self.features()
        self.assertEqual(noend, plain)
        self.assertEqual(trailer, zeros)
        for file in ("noend.png", "trailer.jpg", "zeros.jpg"):
            self.assertIn(f"warning: f17/{file}: the picture is whole, but its end marker is missing", output)
        self.assertNotIn("plain.png", output)

    def test_f18(self):
        output = self.train("f18", kind="auto")
        self.assertRegex(output, r"\n  7 +\d+\.\d\d")
        self.assertNotIn("Sneaker", output)

    def test_f26(self):
        output = self.train("f26")
        self.assertIn("32 pictures in f26/train, 4 classes", output)
        self.assertIn("on 12 test pictures", output)
        self.assertRegex(output, r"test[^\n]*\b180\b")
        probe = self.call("linear_probe", self.encoder, "--dataset", "folder", "--data", "f26", "--epochs", "1")
        self.assertEqual(probe.returncode, 0, probe.stderr)

    def test_p01(self):
        output = self.train("p01")
        self.assertIn("29 pictures in p01, unlabelled", output)
        files, output = self.embed("p01")
        unread = 4 if WITH_WEBP else 5  # of the others only the names are wrong
        self.assertEqual(len(files), 29 - unread)
        self.assertIn(f"{unread} pictures could not be read", output)

    def test_p02(self):
        self.assertIn("p02, 3 classes", self.train("p02"))
        files, output = self.embed("p02")
        self.assertEqual(len(files), 24)
        for word in ("moss/up", "reed/here", "3 pictures in .ipynb_checkpoints"):
            self.assertIn(word, output)

    def test_p04_p05(self):
        for data, count in (("p04", 2), ("p05", 4)):
            files, output = self.embed(data)
            self.assertEqual(len(files), count)
            self.assertNotIn("warning", output)


class Recipes(Cases):
    """The rows that tell what to do instead of naming a file."""
    def test_changed_data(self):
        data = self.folder / "changing"
        shutil.copytree(self.folder / "f13" / "classes", data)
        command = [PROGRAMS / "train_cifar", *small("--epochs", "100000"), "--dataset", "folder", "--data", data, "--out",
                   self.out(), "--no-evaluation", "--knn-every", "0"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, cwd=self.folder) as process:
            for line in process.stdout:
                if line.startswith("epoch"):
                    process.send_signal(signal.SIGINT)
                    break
            process.stdout.read()
        for k in range(4):
            (data / "fern" / f"{k:03}.png").rename(data / "moss" / f"moved{k}.png")
        (data / "reed").rename(data / "rush")
        with subprocess.Popen([PROGRAMS / "train_cifar", "--resume", "--out", self.out()], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder) as process:
            output = ""
            for line in process.stdout:
                output += line
                if line.startswith("epoch"):
                    process.send_signal(signal.SIGINT)
                    break
            output += process.stdout.read()
        self.assertRegex(output, r"(?i)(warning: [^\n]*(pictures|files)[^\n]*(differ|changed|other)|now there are)")

    def test_lost_and_found(self):
        """A folder that cannot be listed: for root there is none, so another user runs the programs."""
        data, user = self.folder / "disk", {"user": 65534, "group": 65534} if os.getuid() == 0 else {}
        shutil.copytree(self.folder / "f13" / "classes", data)
        hidden = data / "fern" / "lost+found"
        hidden.mkdir()
        shutil.copy(data / "fern" / "000.png", hidden)
        hidden.chmod(0o000 if not user else 0o700)
        runs = self.folder / "runs" / "of another user"
        runs.mkdir(parents=True)
        runs.chmod(0o777)
        try:
            for command in (("train_cifar", *small(), "--dataset", "folder", "--data", data, "--out", runs / "run"),
                            ("embed", self.encoder, data, "--out", runs / "features", "--threads", "1")):
                done = self.call(*command, **user)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stderr, rf"(?m)^warning: {re.escape(str(hidden))} cannot be listed \(Permission denied\)")
            self.assertEqual(len((runs / "features" / "files.txt").read_text().splitlines()), 36)
        finally:
            hidden.chmod(0o755)


class Method(Cases):
    def test_01(self):
        out = self.out()
        self.train("f13/classes", "--epochs", "2", "--knn-every", "1", "--no-evaluation")
        for file in (out / "checkpoints").glob("step-*"):
            file.unlink()
        kept = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
        self.call("train_cifar", "--out", out, "--resume")
        for path, content in kept.items():
            self.assertTrue(path.is_file(), path)
            if path.suffix == ".safetensors":
                self.assertEqual(hashlib.sha256(path.read_bytes()).digest(), hashlib.sha256(content).digest(), path)
        self.assertTrue((out / "log.jsonl").read_bytes().startswith(kept[out / "log.jsonl"]))  # not begun afresh

    def test_02(self):
        done = self.call("embed", CASES / "method" / "nan_encoder_w4.safetensors", "p05", "--out", self.out(), "--threads",
                         "1")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertRegex(done.stderr, "NaN")
        self.assertFalse((self.out() / "features.npy").exists())

    def test_06(self):
        """As published, or under another name and without the published figure."""
        page = self.call("train_cifar", "--help").stdout
        if not re.search(r"^  solo-learn ", page, re.MULTILINE):
            self.assertNotIn("90.7", page)
            return
        self.train("f13/classes", "--preset", "solo-learn", "--warmup-epochs", "0", "--no-evaluation")
        config = json.loads((self.out() / "config.json").read_text())
        self.assertFalse(config["head_batchnorm"])
        self.assertEqual(config["augmentation"]["interpolation"], "bicubic")
        self.assertNotEqual(config["augmentation"]["mean"], [0, 0, 0])

    def test_08(self):
        for prefix in ("module.", "backbone.", "module.encoder.", "module.encoder_q."):
            path = self.folder / "state.safetensors"
            names = {f"{prefix}{name}": shape for name, shape in (("conv1.weight", (64, 3, 7, 7)), ("bn1.weight", (64,)),
                                                               ("layer1.0.conv1.weight", (64, 64, 3, 3)))}
            header, end = {}, 0
            for name, shape in names.items():
                size = 4
                for side in shape:
                    size *= side
                header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
                end += size
            text = json.dumps(header).encode()
            path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
            done = self.call("torchvision_weights", "import", path, self.folder / "imported.safetensors")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"--prefix {prefix}", done.stderr)

    def test_10(self):
        done = self.call("finetune", self.encoder, "--dataset", "folder", "--data", "f13/classes", "--epochs", "1",
                         "--batch-size", "1", "--threads", "1", "--out", self.out())
        if done.returncode != 0:
            self.assertIn("--batch-size", done.stderr)


class Table(unittest.TestCase):
    def test_every_row_is_here(self):
        rows = re.findall(r"^\| (\S+) ", (CASES / "README.md").read_text(), re.MULTILINE)[2:]
        tests = {name.removeprefix("test_") for case in (Layouts, Method) for name in dir(case) if name.startswith("test_")}
        for row in rows:
            name = re.sub(r"^(files|method)/", "", row).split("-")[0]
            self.assertTrue(name in tests or row in ELSEWHERE or row == "(recipe)", row)


if __name__ == "__main__":
    if not (CASES / "README.md").is_file():
        print(f"there is no {CASES}: skipped")
        sys.exit(SKIP_CODE)
    if not (PROGRAMS / "train_cifar").is_file():
        sys.exit("set PROGRAMS to the folder of the built programs")
    unittest.main()
