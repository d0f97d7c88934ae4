"""What train_cifar leaves to look at: the report and the event file of a whole run, of one that was interrupted and
resumed, of one epoch, of unlabelled pictures, and of one without evaluation. TRAIN_CIFAR names the built program."""
import collections
import html
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from support.peers import VENV
from support.report_pages import PagesTest, look, main
from support.tiny_data import write_cifar10, write_pictures

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
EPOCHS, STEPS = 12, 7  # of 60 pictures, 8 a batch
READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
events = EventAccumulator(sys.argv[1], STORE_EVERYTHING_SIZE_GUIDANCE)
events.Reload()
print(json.dumps({tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"""


def entries(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


class RunPages(PagesTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_cifar10(cls.folder / "cifar10")
        cls.pictures = write_pictures(cls.folder / "pictures", 40)
        cls.train("whole")
        cls.train("one-epoch", "--epochs", "1")
        cls.train("no-evaluation", "--epochs", "2", "--no-evaluation")
        cls.train("unlabelled", "--epochs", "2", "--dataset", "folder", "--data", cls.pictures)
        cls.stop("resumed", "--epochs", str(EPOCHS), "--knn-every", "0", after=20)
        shutil.copytree(cls.folder / "resumed", cls.folder / "stopped")
        cls.train("resumed", "--epochs", str(EPOCHS), "--knn-every", "0", "--resume")
        names = ("whole", "one-epoch", "no-evaluation", "unlabelled", "stopped", "resumed")
        cls.results = look({name: (cls.folder / name / "report.html").read_text() for name in names}, cls.folder)

    @classmethod
    def command(cls, name, *options):
        chosen = {"--dataset": "cifar10", "--data": cls.data, "--out": cls.folder / name, "--width": "4", "--size": "16",
                  "--batch-size": "8", "--epochs": "3", "--threads": "1", "--probe-epochs": "2", "--knn-samples": "20",
                  "--knn-every": "1", "--device": "cpu"}
        flags = [option for option in options if option in ("--no-evaluation", "--resume")]
        rest = [option for option in options if option not in flags]
        chosen.update(zip(rest[::2], rest[1::2]))
        return [PROGRAM, *flags, *(str(part) for pair in chosen.items() for part in pair)]

    @classmethod
    def train(cls, name, *options):
        done = subprocess.run(cls.command(name, *options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, env=ENVIRONMENT)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert f"report: {cls.folder / name}/report.html" in done.stdout, done.stdout

    @classmethod
    def stop(cls, name, *options, after):
        """Presses Ctrl-C after so many steps."""
        process = subprocess.Popen(cls.command(name, *options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   env=ENVIRONMENT)
        log, deadline = cls.folder / name / "log.jsonl", time.monotonic() + 120
        while not (log.exists() and log.read_text().count('"step",') >= after) and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 128 + signal.SIGINT

    def steps(self, name):
        return sum(entry["event"] == "step" for entry in entries(self.folder / name))

    def test_every_page_is_whole(self):
        for seen in self.each():
            self.assert_page_is_whole(seen)
            self.assertEqual(seen["triples"], 8)
            self.assertEqual(len(seen["images"]), 8 * 3 + 8 * 9)

    def test_whole_run(self):
        for seen in self.each("whole"):
            self.assertIn(f"Finished: 3 of 3 epochs, {3 * STEPS} steps", seen["text"])
            self.assertEqual(seen["charts"]["loss"]["curves"][0], [3 * STEPS, 3 * STEPS])
            self.assertEqual(seen["charts"]["knn"]["dots"], 3 + 1)
            self.assertEqual(seen["charts"]["rank"]["dots"], 3 + 1)
            self.assertEqual(seen["charts"]["uniformity"]["dots"], 3)
            self.assertEqual((len(seen["rows"]), seen["cells"]), (10, 100))
            self.assertEqual((seen["maps"], seen["colours"]), ([12, 12], 10))  # as many test pictures
            self.assertEqual(seen["charts"]["loss"]["legend"][:2], ["each step", "smoothed"])
            self.assertEqual(sum(len(texts) for texts in seen["none"].values()), 0)

    def test_one_epoch(self):
        for seen in self.each("one-epoch"):
            self.assertIn(f"Finished: 1 of 1 epoch, {STEPS} steps", seen["text"])
            self.assertEqual(seen["charts"]["throughput"]["dots"], 1)

    def test_no_evaluation(self):
        for seen in self.each("no-evaluation"):
            self.assertEqual([part for part, texts in seen["none"].items() if texts], ["results", "confusion"])
            self.assertIn("--no-evaluation", seen["none"]["results"][0])

    def test_unlabelled(self):
        for seen in self.each("unlabelled"):
            for part in ("results", "curves", "confusion"):
                self.assertIn("have no labels", seen["none"][part][0])
            self.assertEqual([part for part, texts in seen["none"].items() if texts], ["results", "curves", "confusion"])
            self.assertEqual(sorted(seen["charts"]), ["alignment", "learning-rate", "loss", "rank", "throughput",
                                                      "uniformity"])
            self.assertEqual((seen["maps"], seen["colours"], seen["wrong"]), ([40, 40], 1, 0))

    def test_interrupted_then_resumed(self):
        self.assertLess(self.steps("stopped"), EPOCHS * STEPS)
        for seen in self.each("stopped"):
            self.assertIn("Not finished: ", seen["text"])
            self.assertRegex(seen["text"], r"stopped; \d+ of 84 steps are done\. Go on with: train_cifar --resume --out ")
            self.assertIn("has not come to its end", seen["none"]["results"][0])
        for seen in self.each("resumed"):
            self.assertIn(f"Finished: {EPOCHS} of {EPOCHS} epochs, {EPOCHS * STEPS} steps", seen["text"])
            self.assertIn("resumed once", seen["text"])
            self.assertEqual(seen["charts"]["loss"]["curves"][0], [EPOCHS * STEPS] * 2)
            self.assertEqual(seen["charts"]["loss"]["marks"], 1)
            self.assertEqual(len(seen["rows"]), 10)

    def test_the_command_that_repeats_the_run(self):
        """From where it was begun, its paths being relative."""
        options = self.command("my run", "--epochs", "1", "--data", self.data.name, "--out", "my run")
        subprocess.run(options, cwd=self.folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=300)
        page = (self.folder / "my run" / "report.html").read_text()
        program, *command = shlex.split(html.unescape(re.search('<pre class="command">(.*?)</pre>', page)[1]))
        self.assertEqual((program, command[-2:]), ("train_cifar", ["--out", "runs/again"]))
        done = subprocess.run([PROGRAM, *command], cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True,
                              timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        weights = [(self.folder / run / "model.safetensors").read_bytes() for run in ("my run", "runs/again")]
        # Behind the header, which says where each was begun, from its own folder.
        values = [file[8 + int.from_bytes(file[:8], "little"):] for file in weights]
        self.assertGreater(len(values[0]), 1 << 19)
        self.assertEqual(values[0], values[1])

    def test_event_files(self):
        python = VENV if VENV.exists() else sys.executable
        if subprocess.run([python, "-c", "import tensorboard"], capture_output=True).returncode:
            self.skipTest("Python has no tensorboard (scripts/install_deps --test)")
        as_f32 = lambda value: struct.unpack("f", struct.pack("f", value))[0]
        for name in ("whole", "one-epoch", "no-evaluation", "unlabelled", "stopped", "resumed"):
            self.where = name + ": "
            run = self.folder / name
            self.assertEqual(len(list(run.glob("events.out.tfevents.*"))), 1)
            read = subprocess.run([python, "-c", READ_EVENTS, run], check=True, capture_output=True, text=True, timeout=120)
            scalars = json.loads(read.stdout)
            logged = [entry for entry in entries(run) if entry["event"] == "step"]
            for tag in ("loss", "learning_rate"):
                self.assertEqual(scalars[tag], [[i, as_f32(e[tag]), e["time"]] for i, e in enumerate(logged, 1)])
            counts = collections.Counter(entry["event"] for entry in entries(run))
            self.assertEqual(len(scalars["samples_per_second"]), counts["epoch"])
            self.assertEqual(len(scalars.get("uniformity", [])), counts["knn"])
            self.assertEqual("knn/top1" in scalars, counts["knn"] > 0 and name != "unlabelled")
            self.assertEqual("evaluation/linear/top1" in scalars, counts["evaluation"] == 1)
            self.assertEqual("untrained/knn/top1" in scalars, counts["evaluation"] == 1)


if __name__ == "__main__":
    main()
