"""scripts/summarize_run says whether runs logged the same figures, and of what a summary cannot be made."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "scripts" / "summarize_run"


def log(loss=4.5, seconds=1.0, steps=3):
    events = [{"event": "step", "epoch": 1, "step": step + 1, "loss": loss, "time": seconds + step} for step in range(steps)]
    return events + [{"event": "epoch", "epoch": 1, "loss": loss, "seconds": seconds, "samples_per_second": 64 / seconds}]


class Summary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_folder(self, name, events):
        (self.folder / name).mkdir()
        (self.folder / name / "config.json").write_text(json.dumps({"preset": "quick"}))
        (self.folder / name / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))

    def summarize(self, *names):
        return subprocess.run([sys.executable, SCRIPT, *names], text=True, capture_output=True, timeout=60, cwd=self.folder)

    def test_runs_that_logged_the_same_but_for_times(self):
        self.run_folder("a", log())
        self.run_folder("b", log(seconds=7.0))
        done = self.summarize("a", "b")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.splitlines()[-1],
                         "b: the 3 losses and all else of the 4 events in its log equal those of a.")

    def test_runs_that_differ_in_the_last_bit_or_in_length(self):
        self.run_folder("a", log())
        self.run_folder("bit", log(loss=4.500000000000001))
        self.run_folder("short", log()[:2])
        done = self.summarize("a", "bit", "a", "short")
        self.assertEqual(done.returncode, 1)
        for line in ("bit: event 1 of its log is another than in a.", "short: event 3 of its log is another than in a.",
                     "a: the 3 losses and all else of the 4 events in its log equal those of a."):
            self.assertIn(line, done.stdout.splitlines())

    def test_what_is_no_run(self):
        done = self.summarize("nothing")
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
        self.assertIn("is this the --out folder of a run?", done.stderr)


if __name__ == "__main__":
    unittest.main()
