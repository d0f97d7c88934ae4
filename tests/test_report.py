"""The run's report in headless Chromium: every part is drawn, at desk and at telephone width, for every kind of run.

REPORT_TOOL names the built tests/support/report_tool. With SCREENSHOTS=DIR the test leaves pictures of the page there.
"""
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import tempfile

from support.report_pages import WIDTHS, PagesTest, chromium, look, main

TOOL = os.environ.get("REPORT_TOOL", "")
LARGEST = 3_000_000
CONFIG = {"version": "0.1.0", "dataset": "cifar10", "arch": "resnet18", "epochs": 4, "batch_size": 64, "seed": 0,
          "temperature": 0.5, "data": "<b>here</b>", "augmentation": {"size": 32, "crop_area": [0.2, 1.0]}}


def log_lines(epochs=4, steps=30, knn=True, evaluation=True, resumed_at=None, classes=10, rate=0.03):
    """A log as train_cifar writes it."""
    lines, done, seconds = [], 0, 0.0
    for epoch in range(1, epochs + 1):
        for step in range(1, steps + 1):
            if done == resumed_at:
                lines.append({"event": "resume", "epoch": epoch, "step": step - 1})
            done += 1
            loss = 2 + 2.8 * math.exp(-done / (epochs * steps / 3)) + 0.1 * math.sin(7 * done)
            lines.append({"event": "step", "time": 1e9 + done, "epoch": epoch, "step": step, "loss": loss,
                          "learning_rate": rate * (1 + math.cos(math.pi * done / (epochs * steps)))})
        seconds += 2.5 + 0.1 * epoch
        lines.append({"event": "epoch", "time": 1e9 + done, "epoch": epoch, "loss": loss, "seconds": seconds,
                      "samples_per_second": 64 * done / seconds, "skipped_samples": 0})
        if not (evaluation and epoch == epochs):
            entry = {"event": "knn", "epoch": epoch, "effective_rank": 10 + epoch, "mean_std": 0.5,
                     "alignment": 1 / epoch, "uniformity": -1 - 0.1 * epoch}
            lines.append(entry | ({"top1": 0.4 + 0.05 * epoch} if knn else {}))
    if evaluation:
        counts = [80 if r == c else (r + 2 * c) % 5 for r in range(classes) for c in range(classes)]

        def figures(top1):
            shares = {name: top1 for name in ("top1", "macro_precision", "macro_recall", "macro_f1")} | {"top5": 0.95}
            return {"knn": shares, "linear": shares | {"confusion": counts, "count": sum(counts)}, "effective_rank": 15.0}
        lines.append({"event": "evaluation", "training_seconds": seconds, "trained": figures(0.625),
                      "untrained": figures(0.25)})
    return lines


# The runs by name: what pictures come along, the log, and whether a kill cut its last line off.
RUNS = {
    "normal": ("labelled", log_lines()),
    "resumed": ("labelled", log_lines(epochs=3, steps=30, evaluation=False, resumed_at=40) + ["cut"]),
    "one-epoch": ("labelled", log_lines(epochs=1)),
    "one-step": ("labelled", log_lines(epochs=1, steps=1)),
    "unlabelled": ("unlabelled", log_lines(knn=False, evaluation=False)),
    "no-evaluation": ("labelled", log_lines(evaluation=False, rate=3e-6)),
    "hostile": ("hostile", log_lines()),
    "many": ("many", log_lines(classes=100)),
    "long": ("large", log_lines(epochs=100, steps=300)),
    "killed-early": ("none", ["cut"]),
}

def write_runs(folder):
    """The reports' text, by name."""
    pages = {}
    for name, (kind, lines) in RUNS.items():
        run = folder / name
        run.mkdir()
        (run / "config.json").write_text(json.dumps(CONFIG | {"epochs": 100 if name == "long" else
                                                              1 if name.startswith("one") else 4}))
        (run / "log.jsonl").write_text("".join('{"event":"st' if line == "cut" else json.dumps(line) + "\n"
                                               for line in lines))
        subprocess.run([TOOL, "report", run, kind], check=True, timeout=120)
        pages[name] = (run / "report.html").read_text(encoding="utf-8")
    return pages


class Report(PagesTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.pages = write_runs(cls.folder)
        cls.results = look(cls.pages, cls.folder)

    def test_every_page_is_whole(self):
        for seen in self.each():
            self.assert_page_is_whole(seen)

    def test_pages_are_self_contained_and_small(self):
        for name, page in self.pages.items():
            with self.subTest(run=name):
                self.assertLess(len(page.encode()), LARGEST)
                self.assertEqual([url for url in re.findall(r'https?://[^"\s]+', page)
                                  if not url.startswith("http://www.w3.org/")], [])
                self.assertNotRegex(page, r"@import|url\(|<link|<iframe|\bfetch\(|XMLHttpRequest")

    def test_pictures_are_drawn(self):
        for seen in self.each("normal", "unlabelled", "hostile", "long"):
            self.assertEqual((seen["triples"], seen["queries"]), (8, 8))
            self.assertEqual(len(seen["images"]), 8 * 3 + 8 * 9)
            self.assertTrue(all(natural <= 96 for natural, _, _, _ in seen["images"]))

    def test_what_the_rank_is_of(self):
        for name, samples in (("normal", "test"), ("no-evaluation", "training")):
            self.assertIn(f"of 128 directions in use by the {samples} pictures<", self.pages[name])

    def test_charts_of_a_run(self):
        for seen in self.each("normal"):
            charts = seen["charts"]
            self.assertEqual(sorted(charts), ["alignment", "knn", "learning-rate", "loss", "rank", "throughput",
                                              "uniformity"])
            self.assertEqual(charts["loss"]["curves"], [[120, 120], [120, 120]])
            self.assertEqual(charts["loss"]["levels"], 2)
            self.assertEqual(charts["loss"]["legend"][:2], ["each step", "smoothed"])
            self.assertRegex(" ".join(charts["loss"]["legend"]), r"chance, 4\.844 bound, \d\.\d{3}")  # ln 127
            self.assertIn("chance", charts["loss"]["texts"])
            self.assertEqual(charts["learning-rate"]["curves"], [[120, 120]])
            self.assertEqual(charts["throughput"]["curves"], [[4, 4], [4, 4]])
            self.assertEqual(charts["knn"]["curves"], [[3, 3]])
            self.assertEqual(charts["knn"]["dots"], 3 + 1)
            self.assertEqual(charts["knn"]["levels"], 1)  # the untrained encoder's
            self.assertIn("untrained, 25.0 %", charts["knn"]["legend"])
            self.assertEqual(charts["rank"]["curves"], [[4, 4]])
            for chart in charts.values():
                self.assertEqual(chart["marks"], 0)
                ticks = [t for t in chart["texts"] if re.fullmatch(r"-?[\d,]+(\.\d+)?", t)]
                self.assertGreaterEqual(len(ticks), 5)
                self.assertGreater(chart["height"], 200)

    def test_hints(self):
        for seen in self.each("normal"):
            for chart in seen["charts"].values():
                self.assertRegex(chart["hint"][0], r"^(step|epoch) \d+")
            self.assertRegex(seen["charts"]["loss"]["hint"][0], r"step \d+ \(epoch [23]\)")
            self.assertRegex(seen["charts"]["loss"]["hint"][1], r"each step: \d\.\d{3}")

    def test_results(self):
        for seen in self.each("normal"):
            self.assertEqual(len(seen["rows"]), 10)
            self.assertEqual(seen["rows"][0], ["top-1", "62.50", "25.00", "+37.50"])
            self.assertEqual(seen["cells"], 100)
            self.assertIn("class 3", seen["cell_texts"])
            self.assertIn("80", seen["cell_texts"])
            self.assertIn("Finished: 4 of 4 epochs, 120 steps, 11 s of training.", seen["text"])
            self.assertRegex(seen["text"], r"train_cifar --config \S+/config\.json --out runs/again")
            self.assertRegex(seen["text"], r"augmentation\.crop_area\s+0\.2, 1\b")

    def test_map_and_neighbours(self):
        for seen in self.each("normal"):
            self.assertEqual(seen["maps"], [600, 600])
            for left, right in seen["reach"]:
                self.assertTrue(0 < left < 0.1 and 0.9 < right < 1, (left, right))
            self.assertEqual(seen["colours"], 10)
            self.assertEqual(seen["legend"], [f"class {i}" for i in range(10)])
            self.assertEqual((seen["dimmed"], seen["undimmed"]), (2 * 540, 0))
            self.assertEqual(seen["wrong"], 8 * 2)  # two of the eight neighbours are of another class

    def test_a_resumed_run_is_marked_where_it_was_resumed(self):
        for seen in self.each("resumed"):
            self.assertIn("Not finished: 3 of 4 epochs, 90 steps", seen["text"])
            self.assertIn("resumed once", seen["text"])
            self.assertIn("resume with train_cifar --resume DIR", seen["text"])
            for chart in seen["charts"].values():
                self.assertEqual(chart["marks"], 1)
                self.assertIn("resumed", chart["texts"])
            self.assertEqual(seen["none"]["results"], ["The run has not come to its end, where the encoder is evaluated."])

    def test_short_runs(self):
        for seen in self.each("one-epoch"):
            self.assertEqual(seen["charts"]["loss"]["curves"], [[30, 30], [30, 30]])
            self.assertEqual(seen["charts"]["throughput"]["curves"], [[1, 1], [1, 1]])
            self.assertEqual(seen["charts"]["knn"]["dots"], 1)  # of the evaluation
        for seen in self.each("one-step"):
            self.assertEqual(seen["charts"]["loss"]["curves"], [[1, 1]])
            self.assertEqual(seen["charts"]["loss"]["dots"], 1)
            self.assertIn("1 of 1 epoch, 1 step,", seen["text"])

    def test_without_labels_each_part_says_so(self):
        for seen in self.each("unlabelled"):
            for part in ("results", "curves", "confusion"):
                self.assertEqual(len(seen["none"][part]), 1, part)
                self.assertIn("no labels", seen["none"][part][0])
            self.assertIn("no labels, so all in one colour", seen["text"])
            self.assertEqual((seen["colours"], seen["legend"], seen["wrong"], seen["rows"]), (1, [], 0, []))
            self.assertEqual(seen["maps"], [600, 600])
            self.assertEqual(sorted(seen["charts"]), ["alignment", "learning-rate", "loss", "rank", "throughput",
                                                      "uniformity"])

    def test_without_an_evaluation_the_parts_say_so(self):
        for seen in self.each("no-evaluation"):
            for part in ("results", "confusion"):
                self.assertEqual(len(seen["none"][part]), 1, part)
                self.assertIn("--no-evaluation", seen["none"][part][0])
            self.assertEqual(seen["charts"]["knn"]["curves"], [[4, 4]])

    def test_names_from_outside_stay_text(self):
        for seen in self.each("hostile"):
            self.assertEqual(seen["title"], "SimCLR run · cifar10 · resnet18")
            self.assertEqual(seen["legend"][0], "<script>document.title='owned'</script>")
            self.assertEqual(seen["legend"][7], "&lt;")
            self.assertIn("in /tmp/<script>", seen["text"])
            self.assertIn("\ufffd\ufffd not UTF-8", seen["text"])
            self.assertEqual(seen["cells"], 100)

    def test_many_classes_have_a_matrix_without_numbers(self):
        for seen in self.each("many"):
            self.assertEqual(seen["cell_texts"], [])
            self.assertGreater(seen["cells"], 5000)  # zeros are not drawn
            self.assertEqual(seen["colours"], 100)

    def test_a_long_run_is_thinned_out(self):
        for seen in self.each("long"):
            (raw, _), (smooth, _) = seen["charts"]["loss"]["curves"]
            self.assertTrue(500 <= raw <= 1002 and 250 <= smooth <= 502, (raw, smooth))
            self.assertIn("30,000", seen["charts"]["loss"]["texts"])

    def test_a_run_killed_before_its_first_step_has_a_page(self):
        for seen in self.each("killed-early"):
            self.assertEqual(seen["charts"], {})
            self.assertIn("No step was logged.", seen["none"]["curves"])
            for part in ("results", "views", "map", "confusion", "neighbours"):
                self.assertEqual(len(seen["none"][part]), 1, part)

    def test_screenshots(self):
        target = pathlib.Path(os.environ.get("SCREENSHOTS", self.folder))
        for width in WIDTHS:
            picture = target / f"report-{width}.png"
            chromium(self.folder, f"--window-size={width},2000", f"--screenshot={picture}",
                     f"file://{self.folder}/normal/report.html")
            content = picture.read_bytes()
            self.assertEqual(struct.unpack(">II", content[16:24]), (width, 2000))
            self.assertGreater(len(content), 50_000)  # a blank page packs better


if __name__ == "__main__":
    main()
