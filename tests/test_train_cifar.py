"""examples/train_cifar as a user runs it, on small data sets made here. TRAIN_CIFAR names the built program."""
import json
import math
import os
import pathlib
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

from support.tiny_data import load_safetensors, write_cifar10

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
SMALL = ("--width", "4", "--batch-size", "8", "--epochs", "1", "--threads", "1", "--probe-epochs", "2",
         "--knn-samples", "40", "--device", "cpu")
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin starve each other on a busy machine


def arguments(*options):
    """A command line where a later option replaces an earlier one: the program takes each once."""
    chosen = {}
    for option in map(os.fspath, options):
        if option.startswith("--"):
            name = option
            chosen[name] = []
        else:
            chosen[name].append(option)
    return [part for name, values in chosen.items() for part in (name, *values)]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.cifar10 = write_cifar10(cls.folder / "cifar10")

    def setUp(self):
        self.out = self.folder / ("out-" + self.id().rsplit(".", 1)[1])

    @classmethod
    def launch(cls, *options, limit=None):
        """Runs the program, which may write files of at most `limit` bytes."""
        def full_disk():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail with EFBIG
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return subprocess.run([PROGRAM, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                              encoding="utf-8", errors="surrogateescape", cwd=cls.folder, env=ENVIRONMENT,
                              preexec_fn=full_disk if limit is not None else None)

    def run_on(self, data, kind, *options, limit=None):
        where = ("--dataset", kind, "--data", data, "--out", self.out)
        return self.launch(*arguments(*SMALL, *where, *options), limit=limit)

    def train(self, *options, data=None, kind="cifar10"):
        """A run that must succeed without a word on stderr; its output."""
        done = self.run_on(data or self.cifar10, kind, *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def log(self, out=None):
        lines = ((out or self.out) / "log.jsonl").read_text().splitlines()
        return [json.loads(line, parse_constant=self.fail) for line in lines]  # NaN and Infinity are no JSON

    def check_failed(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"\Atrain_cifar: [^\n]{10,400}\n\Z")
        for word in words:
            self.assertIn(word, done.stderr)

    def check_no_partial_files(self, out):
        """What a failed run leaves is whole, or is the log."""
        names = {path.name for path in out.iterdir()} if out.exists() else set()
        names = {name for name in names if not name.startswith("events.")}
        self.assertLessEqual(names, {"config.json", "log.jsonl", "checkpoints"})
        self.assertEqual([path for path in out.glob("checkpoints/*")], [])
        if "config.json" in names:
            json.loads((out / "config.json").read_text())

    def refused(self, *options, words=(), data=None, kind="cifar10", keep_out=False):
        """A run that must end before it makes its folder."""
        self.check_failed(self.run_on(data or self.cifar10, kind, *options), *words)
        if not keep_out:
            self.assertFalse(self.out.exists())


class Works(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.folder / "reference"
        cls.options = (*SMALL, "--epochs", "2", "--threads", "2", "--dataset", "cifar10", "--data", cls.cifar10,
                       "--seed", "7", "--knn-every", "1")
        cls.done = cls.launch(*arguments(*cls.options, "--out", cls.reference))

    def setUp(self):
        super().setUp()
        self.assertEqual((self.done.returncode, self.done.stderr), (0, ""))

    def test_config(self):
        config = json.loads((self.reference / "config.json").read_text())
        expected = {"preset": "quick", "dataset": "cifar10", "data": str(self.cifar10), "arch": "resnet18", "width": 4,
                    "stem": "cifar", "epochs": 2, "batch_size": 8, "optimizer": "sgd", "seed": 7, "threads": 2,
                    "workers": 0, "knn_every": 1, "knn_samples": 40, "probe_epochs": 2}
        self.assertEqual({key: config.get(key) for key in expected}, expected)
        for key in ("version", "temperature", "lr", "momentum", "weight_decay", "warmup_epochs", "head_hidden"):
            self.assertIn(key, config)
        self.assertEqual((config["augmentation"]["size"], config["augmentation"]["channels"]), (16, 3))

    def test_log(self):
        log = self.log(self.reference)
        self.assertEqual([entry["event"] for entry in log],
                         (["step"] * 7 + ["epoch", "knn"]) * 2 + ["evaluation"])
        steps = [entry for entry in log if entry["event"] == "step"]
        self.assertEqual([(entry["epoch"], entry["step"]) for entry in steps],
                         [(epoch, step) for epoch in (1, 2) for step in range(1, 8)])
        n, temperature = 8, 0.2
        bound = math.log1p((2 * n - 2) * math.exp(-n / (n - 1) / temperature))  # positives agree, pairs form a simplex
        for entry in steps:
            self.assertGreater(entry["loss"], bound)
            self.assertLess(entry["loss"], 2 * math.log(2 * n - 1))
        rates = [entry["learning_rate"] for entry in steps]
        self.assertEqual(rates, sorted(rates, reverse=True))
        self.assertAlmostEqual(rates[0], 0.06 * n / 256)
        for number, entry in enumerate((entry for entry in log if entry["event"] == "epoch"), 1):
            mean = sum(step["loss"] for step in steps if step["epoch"] == number) / 7
            self.assertAlmostEqual(entry["loss"], mean)
            self.assertEqual((entry["epoch"], entry["skipped_samples"]), (number, 0))
        knn = log[8]
        self.assertEqual(knn["epoch"], 1)
        self.assertTrue(0 <= knn["top1"] <= 1 and knn["effective_rank"] >= 1)
        for who in ("trained", "untrained"):
            for how in ("knn", "linear"):
                scores = log[-1][who][how]
                self.assertTrue(0 <= scores["top1"] <= scores["top5"] <= 1)
                self.assertEqual((scores["count"], sum(scores["confusion"])), (12, 12))
                self.assertEqual([len(scores[key]) for key in ("precision", "recall", "f1")], [10] * 3)
        self.assertIn(f"bound {bound:.2f}", self.done.stdout)

    def test_weights(self):
        metadata, tensors = load_safetensors(self.reference / "model.safetensors")
        self.assertEqual(metadata["format"], "simclr")
        self.assertEqual(json.loads(metadata["config"]), json.loads((self.reference / "config.json").read_text()))
        self.assertIn("encoder.conv1.weight", tensors)
        self.assertEqual(math.prod(tensors["encoder.conv1.weight"][1]), 4 * 3 * 3 * 3)
        for name, (dtype, _, data) in tensors.items():
            if dtype == "F32":
                self.assertTrue(all(map(math.isfinite, struct.unpack(f"<{len(data) // 4}f", data))), name)
        names = {path.name for path in self.reference.iterdir()}
        events = {name for name in names if name.startswith("events.out.tfevents.")}
        self.assertEqual((names - events, len(events)),
                         ({"checkpoints", "config.json", "log.jsonl", "model.safetensors", "report.html"}, 1))

    def test_output(self):
        lines = self.done.stdout.splitlines()
        self.assertNotRegex(self.done.stdout, "[\r\033]")
        for epoch in (1, 2):
            self.assertTrue(any(line.startswith(f"epoch {epoch}/2  step 7/7  loss ") for line in lines), lines)
        self.assertRegex(self.done.stdout, r"\nepoch 1: kNN \d+\.\d\d % on 8 training samples by 32 others, effective rank ")
        table = next(i for i, line in enumerate(lines) if line.split() == ["%", "trained", "untrained", "gain"])
        for line, name in zip(lines[table + 1:], ("kNN top-1", "kNN top-5", "kNN macro precision", "kNN macro recall",
                                                  "kNN macro F1", "linear top-1", "linear top-5")):
            figures = re.fullmatch(rf"  {name} +([\d.]+) +([\d.]+) +([+-][\d.]+)", line)
            self.assertTrue(figures, line)
            trained, untrained, gain = map(float, figures.groups())
            self.assertAlmostEqual(trained - untrained, gain, delta=0.011)
        top1 = self.log(self.reference)[-1]["trained"]["knn"]["top1"]
        self.assertIn(f"{100 * top1:.2f}", lines[table + 1])

    def on_terminal(self, *options):
        """Exit code and output of a run on a terminal of 60 columns."""
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 60))
        received = b""
        with subprocess.Popen([PROGRAM, *arguments(*self.options, "--out", self.out, *options)], stdin=slave,
                              stdout=slave, stderr=slave, cwd=self.folder, env=ENVIRONMENT) as process:
            os.close(slave)
            try:
                while data := os.read(master, 1 << 16):
                    received += data
            except OSError:  # EIO: the other side is closed
                pass
        os.close(master)
        return process.returncode, received.decode().replace("\r\n", "\n")

    def test_terminal(self):
        """One line, redrawn, that never wraps; and the same seed gives the same file."""
        code, text = self.on_terminal()
        self.assertEqual(code, 0, text)
        drawn = [line for line in text.split("\n") if "\r" in line]
        self.assertEqual(len(drawn), 2, text)  # the kNN line between the epochs parts them
        for line in drawn:
            self.assertRegex(line, r"\A(\repoch [12]/2  step \d/7 [^\r\033]*\033\[K)+\Z")
            self.assertIn("step 7/7", line.split("\r")[-1])
            for piece in line.split("\r"):
                self.assertLess(len(piece.removesuffix("\033[K")), 60)
        self.assertEqual((self.out / "model.safetensors").read_bytes(),
                         (self.reference / "model.safetensors").read_bytes())

    def test_diverged_on_terminal(self):
        code, text = self.on_terminal("--lr", "1e30")
        self.assertEqual(code, 1)
        self.assertRegex(text, r"\033\[K\ntrain_cifar: NaN or Inf at epoch 1, step 2: encoder\.layer1[\w.]+ \(\w+\): "
                               r"\d+ of 16384 outputs are NaN or Inf\. [^\n]*Lower --lr \(1e\+30\) [^\n]*\n\Z")
        self.check_no_partial_files(self.out)

    def test_workers_and_seed(self):
        for same, options in ((True, ("--workers", "1")), (True, ("--workers", "2")), (False, ("--seed", "8"))):
            with self.subTest(options=options):
                done = self.launch(*arguments(*self.options, "--no-evaluation", "--overwrite", "--out", self.out,
                                              *options))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                weights = [load_safetensors(folder / "model.safetensors")[1] for folder in (self.reference, self.out)]
                self.assertEqual(weights[0] == weights[1], same)
                if options[0] == "--workers":
                    self.assertEqual(json.loads((self.out / "config.json").read_text())["workers"], int(options[1]))

    def test_limit_and_default_folder(self):
        """And a single step, which is shown once, though it is the epoch's last, too."""
        done = self.launch(*arguments(*SMALL, "--data", self.cifar10, "--limit", "15", "--no-evaluation"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("auto: CIFAR-10 found in", done.stdout)
        run, = (self.folder / "runs").iterdir()
        self.assertRegex(run.name, r"\Acifar10-quick-\d{8}-\d{6}\Z")
        self.assertEqual([entry["event"] for entry in self.log(run)], ["step", "epoch", "knn"])
        self.assertEqual(done.stdout.count("\nepoch 1/1  step 1/1  loss "), 1, done.stdout)
        for words in ("parameters; 1 epoch of 1 step; files in ", "\non the CPU, 1 thread\n", "\ntrained 1 epoch in "):
            self.assertIn(words, done.stdout)
        self.assertNotIn("untrained", done.stdout)


class BadDevices(Base):
    def test_unknown(self):
        self.refused("--device", "gpu", words=('--device: "gpu" is not a device', "cuda:N"))
        self.refused("--device", "cuda:99", words=("cuda:99: ",))
        self.refused("--dtype", "f16", words=("--dtype",))

    def test_bf16_needs_a_gpu(self):
        self.refused("--dtype", "bf16", words=("--dtype bf16", "on the CPU"))


class BadOptions(Base):
    def test_values(self):
        for option, value, *words in (
                ("--epochs", "0", "at least 1"), ("--epochs", "abc", "abc", "see train_cifar --help"),
                ("--batch-size", "1", "at least 2"), ("--batch-size", "61", "the 60 training pictures"),
                ("--batch-size", "-8", "at least 2"), ("--batch-size", "9" * 30),
                ("--micro-batch", "1", "at least 2; batch norm needs them"), ("--micro-batch", "-8", "0: all"),
                ("--micro-batch", "9", "more than --batch-size 8, which is the whole batch"),
                ("--temperature", "0", "must be at least 1e-05; below that"), ("--temperature", "-1", "at least 1e-05"),
                ("--temperature", "nan", "at least 1e-05 and finite"), ("--temperature", "inf", "at least 1e-05 and finite"),
                ("--temperature", "3e-9", "at least 1e-05", "rounding"),
                ("--seed", "-1", "--seed -1: must be a whole number from 0 to 18446744073709551615"),
                ("--seed", "1.5", "whole number"), ("--seed", "18446744073709551616", "whole number"),
                ("--lr", "0", "must be positive"), ("--lr", "inf", "must be positive"), ("--lr", "nan"),
                ("--weight-decay", "inf"), ("--weight-decay", "1e30", "must be 0 to 100"),
                ("--mean", "1e30,1,1", "must be -1000 to 1000"), ("--stddev", "1e-30,1,1", "must be 0.001 to 1000"),
                ("--momentum", "1"), ("--crop-min", "0", "--crop-min 0: must be"),
                ("--hue", "0.6", "--hue 0.6: must be 0 to 0.5"), ("--blur-kernel", "2", "must be odd"),
                ("--blur-kernel", "99", "--blur-kernel 99: wider than a view of 16 pixels"), ("--knn-temperature", "inf"),
                ("--width", "0", "1 to 1024"), ("--size", "4", "8 to 1024"), ("--head-out", "0"),
                ("--head-hidden", "-1"), ("--head-layers", "4"), ("--warmup-epochs", "2"), ("--limit", "-1"),
                ("--knn-samples", "1"), ("--knn-every", "-1"), ("--hold-out", "-0.1"), ("--hold-out", "1"), ("--knn-k", "0"), ("--probe-epochs", "0"),
                ("--threads", "-1"), ("--workers", "1025", "0 to 1024"), ("--workers", "-2", "0 to 1024"), ("--arch", "resnet999", "resnet18"),
                ("--stem", "nothing", "imagenet"), ("--stem-padding", "17", "0 to 16"),
                ("--interpolation", "nothing", "bicubic"), ("--lars-rule", "nothing", "bolts"),
                ("--lars-trust", "0", "must be positive"), ("--warmup", "nothing", "from-zero"),
                ("--warmup-start", "-1", "cannot be negative"), ("--conv-init", "nothing", "uniform"),
                ("--optimizer", "nothing", "lars"), ("--preset", "nothing", "solo-learn"),
                ("--dataset", "nothing", "fashion-mnist")):
            with self.subTest(option=option, value=value):
                self.refused(option, value, words=(option.removeprefix("--"), *words))

    def test_empty(self):
        """As of a shell's variable that is not set."""
        for option in ("--config", "--out", "--data", "--device"):
            for words in ([option, ""], [option + "="]):
                done = self.launch(*words)
                self.check_failed(done, option, "empty" if len(words) == 2 else "")
                self.assertFalse((self.folder / "runs").exists())

    def test_large_numbers_are_short(self):
        done = self.run_on(self.cifar10, "cifar10", "--warmup", "from-start", "--warmup-epochs", "1", "--warmup-start", "1e30")
        self.assertEqual(done.returncode, 1)
        self.assertIn("  lr 1e+30  ", done.stdout)

    def test_limit_below_the_batch_size(self):
        self.refused("--limit", "7", words=("--batch-size 8", "the 7 training pictures"))

    def test_unknown(self):
        self.refused("--foo", words=("--foo", "see train_cifar --help"))
        self.refused("--overwrite", "surplus", words=("surplus",))
        for words, near in (("--epoch 3", "--epochs"), ("--batch_size=8", "--batch-size"), ("-lr 3", "--lr"),
                            ("--no-evaluate", "--no-evaluation"), ("--frobnicate 1", None)):
            with self.subTest(words=words):
                done = self.launch("--out", self.out, *words.split())
                hint = f" (did you mean {near}?)" if near else ""
                self.check_failed(done, f"train_cifar: not expected: {words}{hint}; see train_cifar --help\n")
        self.check_failed(self.launch("--epochs"), "--epochs")
        self.check_failed(self.launch("--preset"), "--preset")

    def test_folder_needs_data(self):
        self.check_failed(self.launch("--dataset", "folder", "--out", str(self.out)), "--data DIR")
        self.assertFalse(self.out.exists())

    def test_help_and_version(self):
        done = self.launch("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = {}
        for line in done.stdout.partition("Presets:")[0].splitlines():
            if option := re.match(r"  (?:-h,)?(--[a-z-]+)\S*(?: (?:TEXT|INT|UINT|FLOAT)\S*)?", line):
                name = option.group(1)
                found[name] = line[option.end():].strip()
            elif line.startswith(" " * 20):
                found[name] += line.strip()
        for option in ("preset dataset data limit size arch width stem head-hidden head-out head-layers "
                       "stem-padding stem-init conv-init zero-last-gamma head-batchnorm head-last-batchnorm "
                       "head-last-shift head-last-bias views-apart lars-trust lars-clip lars-rule warmup warmup-start "
                       "schedule-by-epoch interpolation blur-kernel mean stddev epochs "
                       "batch-size temperature optimizer lr momentum weight-decay warmup-epochs seed hold-out knn-every "
                       "knn-samples knn-k knn-temperature probe-epochs evaluation graph config resume checkpoint-minutes keep-checkpoints out overwrite "
                       "threads workers world-timeout "
                       "help version").split():
            self.assertRegex(found.get("--" + option, ""), r"[A-Za-z]{2,} ?", option)
        presets = re.findall(r"^  (\S+) +\S.*", done.stdout.partition("Presets:")[2], re.MULTILINE)
        self.assertEqual(presets, ["quick", "reference", "lightly", "google", "solo-learn", "paper", "stl10",
                                   "imagenet100", "imagenet"])
        self.assertIn("--epochs INT=200", self.launch("--preset", "lightly", "--help").stdout)
        done = self.launch("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\A\d+\.\d+\.\d+\n\Z")


class Output(Base):
    def test_out_is_a_file(self):
        self.out.write_text("mine")
        self.refused(words=("--out", str(self.out)), keep_out=True)
        self.assertEqual(self.out.read_text(), "mine")

    def test_out_below_a_file(self):
        self.out.write_text("mine")
        self.refused("--out", str(self.out / "run"), words=("--out", str(self.out)), keep_out=True)

    def test_run_is_kept_unless_overwritten(self):
        self.out.mkdir()
        old = {"config.json": "{}\n", "log.jsonl": "old\n", "model.safetensors": "old weights", "notes.txt": "mine"}
        for name, text in old.items():
            (self.out / name).write_text(text)
        self.refused(words=("already holds a run", "--overwrite"), keep_out=True)
        self.assertEqual({path.name: path.read_text() for path in self.out.iterdir()}, old)
        self.train("--overwrite", "--no-evaluation")
        self.assertEqual(self.log()[-1]["event"], "knn")
        load_safetensors(self.out / "model.safetensors")
        self.assertEqual((self.out / "notes.txt").read_text(), "mine")

    def test_full_disk(self):
        for limit, name in ((100, "config.json"), (2500, "log.jsonl"), (100_000, "checkpoints/unproven.safetensors")):
            with self.subTest(file=name):
                done = self.run_on(self.cifar10, "cifar10", "--epochs", "3", "--overwrite", limit=limit)
                self.check_failed(done, name)
                self.check_no_partial_files(self.out)


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
