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
    draws = [draw(10, 20, 0.5 + shift, 0.6, 0.4), draw(10, 20, 0.7 + shift, 0.8, 0.6)]
    return {"test_samples": 30, "results": draws} | more


class Summary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def summarize(self, **files):
        for name, content in files.items():
            (self.folder / name).write_text(json.dumps(content))
        return subprocess.run([sys.executable, SCRIPT, *files], text=True, capture_output=True, timeout=60,
                              cwd=self.folder)

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

    def test_a_baseline_that_was_tested_on_fewer(self):
        less = figures(baseline=[draw(10, 20, 0.1, 0.2, 0.3)], baseline_name="MFCC statistics")
        lines = self.rows(a=less, b=less | {"baseline_test_samples": 19})
        self.assertEqual(lines[0], "2 files, 60 tested samples. MFCC statistics: measured on 49 of them.")

    def test_what_is_no_file_of_figures(self):
        for content in ([], {"results": []}, figures(results=[]), figures(results=[{"samples": 2}]),
                        figures(results=[{"percent": 10, "samples": 2, "knn": {"top1": 0.5}}]),
                        figures(baseline=[{"percent": 10}]), figures(test_samples="many"),
                        figures(baseline=[draw(50, 20, 0.1, 0.2, 0.3)])):
            done = self.summarize(a=content)
            self.refused(done, r"summarize_probes: a: .*is this a file of linear_probe --json\?\n")
        (self.folder / "a").write_bytes(b"\xff\xfe")
        done = subprocess.run([sys.executable, SCRIPT, self.folder / "a"], text=True, capture_output=True, timeout=60)
        self.refused(done, r"summarize_probes: .*/a: .*is this a file of linear_probe --json\?\n")

    def test_files_that_do_not_belong_together(self):
        few, baseline = figures(results=[draw(50, 20, 0.5, 0.6, 0.4)] * 2), [draw(10, 20, 0.1, 0.2, 0.3)]
        for other, said in ((few, "results of 50 % (2 draws), not 10 % (2 draws)"),
                            (figures(results=baseline), "results of 10 % (1 draw), not 10 % (2 draws)"),
                            (figures(untrained=baseline), "of 10 % (1 draw), not no labels"),
                            (figures(baseline=baseline, baseline_name="MFCC statistics"), "baseline MFCC statistics")):
            first = figures(baseline=baseline, baseline_name="TF-IDF") if "baseline" in other else figures()
            for one, two in ((first, other), (other, first)):
                self.refused(self.summarize(a=one, b=two), r"summarize_probes: b: has [^\n]+ as a has; [^\n]+\n")
            self.assertIn(said, self.summarize(a=first, b=other).stderr)

    def refused(self, done, said):
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, rf"\A{said}\Z")


if __name__ == "__main__":
    unittest.main()
