"""scripts/summarize_probes takes means over draws and over files, and says of what it cannot."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "scripts" / "summarize_probes"


def draw(percent, samples, knn, linear, balanced):
    return {"percent": percent, "samples": samples, "knn": {"top1": knn},
            "linear": {"top1": linear, "macro_recall": balanced}}


def figures(shift=0.0, **more):
    return {"test_samples": 30, "results": [draw(10, 20, 0.5 + shift, 0.6, 0.4), draw(10, 20, 0.7 + shift, 0.8, 0.6)]} | more


class Summary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def summarize(self, **files):
        for name, content in files.items():
            (self.folder / name).write_text(json.dumps(content))
        return subprocess.run([sys.executable, SCRIPT, *files], text=True, capture_output=True, timeout=60, cwd=self.folder)

    def rows(self, **files):
        done = self.summarize(**files)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def test_one_file_tells_the_draws_deviation(self):
        lines = self.rows(a=figures(baseline=[draw(10, 20, 0.1, 0.2, 0.3)], baseline_name="TF-IDF"))
        self.assertEqual(lines[0], "1 file, 30 tested samples.")
        self.assertEqual(lines[4:], ["| 10 % | 20 | trained | 60.00 +- 14.14 | 70.00 +- 14.14 | 50.00 +- 14.14 |",
                                     "| 10 % | 20 | TF-IDF | 10.00 | 20.00 | 30.00 |"])

    def test_several_files_tell_the_deviation_of_their_means(self):
        other = figures(0.1, test_samples=20)
        other["results"] = [each | {"samples": 24} for each in other["results"]]
        lines = self.rows(a=figures(), b=other)
        self.assertEqual(lines[0], "2 files, 50 tested samples.")
        self.assertEqual(lines[4:], ["| 10 % | 20 to 24 | trained | 65.00 +- 7.07 | 70.00 +- 0.00 | 50.00 +- 0.00 |"])

    def test_what_is_no_file_of_figures(self):
        for content in ([], {"results": []}):
            done = self.summarize(a=content)
            self.assertEqual(done.returncode, 1)
            self.assertIn("summarize_probes: a: ", done.stderr)
            self.assertIn("is this a file of linear_probe --json?", done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
