"""A short run of train_cifar, for tests that go on with it or repeat it. TRAIN_CIFAR names the built program."""
import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

from support.tiny_data import load_safetensors, write_cifar10

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
SANITIZED = bool(PROGRAM) and b"libasan" in pathlib.Path(PROGRAM).read_bytes()
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
TIMES = {"time", "seconds", "samples_per_second", "training_seconds"}  # differ from run to run


def entries(out):
    """The log, without what differs between two equal runs."""
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in TIMES}
            for entry in log if entry["event"] != "resume"]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_cifar10(cls.folder / "cifar10")
        cls.options = ["--dataset", "cifar10", "--data", cls.data, "--width", "4", "--size", "8", "--batch-size", "8",
                       "--epochs", "3", "--threads", "1", "--probe-epochs", "2", "--knn-samples", "20", "--knn-every",
                       "1", "--device", "cpu", "--seed", "3"]
        cls.whole = cls.folder / "whole"
        done = cls.run_program(*cls.options, "--out", cls.whole)
        assert done.returncode == 0, done.stderr

    def setUp(self):
        self.out = self.folder / self.id().rsplit(".", 1)[1]

    @classmethod
    def changed(cls, *pairs):
        """The options with other values."""
        options = list(cls.options)
        for name, value in zip(pairs[::2], pairs[1::2]):
            options[options.index(name) + 1] = value
        return options

    @classmethod
    def run_program(cls, *options):
        return subprocess.run([PROGRAM, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, env=ENVIRONMENT)

    def good(self, *options):
        done = self.run_program(*options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def bad(self, *options, words):
        done = self.run_program(*options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"\Atrain_cifar: [^\n]{10,500}\n\Z")
        for word in words:
            self.assertIn(str(word), done.stderr)

    def stop(self, number, *options, after, times=1):
        """Sends a signal once `after`() is true; the output."""
        process = subprocess.Popen([PROGRAM, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        deadline = time.monotonic() + 60
        while not after() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.0005)
        out, error = process.communicate(timeout=120)
        self.assertEqual((process.returncode, error), (128 + number, ""), out)
        return out

    def steps(self):
        log = self.out / "log.jsonl"
        return log.read_text().count('"step",') if log.exists() else 0

    def same_as_whole(self):
        self.assertEqual((self.out / "model.safetensors").read_bytes(),
                         (self.whole / "model.safetensors").read_bytes())
        self.assertEqual(entries(self.out), entries(self.whole))
        states = [{key: value for key, value in self.newest(run).items() if key not in ("seconds", "log_bytes")}
                  for run in (self.out, self.whole)]
        self.assertEqual(states[0], states[1])

    @staticmethod
    def newest(run):
        """The state of a run in its newest checkpoint."""
        metadata, _ = load_safetensors(max(run.glob("checkpoints/step-*.safetensors")))
        return json.loads(metadata["run"])
