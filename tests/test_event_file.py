"""TensorBoard reads what examples/run/event_file.cpp writes. REPORT_TOOL names the built tests/support/report_tool."""
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

from support.peers import require

TOOL = os.environ.get("REPORT_TOOL", "")
START = 1_700_000_000.25

require("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator


def log(epochs, steps):
    lines, done = [], 0
    for epoch in range(1, epochs + 1):
        for step in range(1, steps + 1):
            done += 1
            lines.append({"event": "step", "time": START + done, "epoch": epoch, "step": step, "loss": 6 / done,
                          "learning_rate": 0.06 / epoch})
        lines.append({"event": "epoch", "time": START + done + 0.5, "epoch": epoch, "loss": 3.5, "seconds": 2.0 * epoch,
                      "samples_per_second": 1234.5})
        lines.append({"event": "knn", "time": START + done + 0.75, "epoch": epoch, "top1": 0.1 * epoch,
                      "effective_rank": 12.5, "mean_std": 0.5, "alignment": 0.25, "uniformity": -2.5})
    figures = {"knn": {"top1": 0.5, "precision": [0.5, 0.5]}, "linear": {"top1": 0.625, "macro_f1": 0.75},
               "effective_rank": 20.0}
    lines.append({"event": "evaluation", "time": START + 1000, "trained": figures, "untrained": figures})
    return lines


class EventFile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, lines, at_once):
        (self.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run([TOOL, "events", self.folder, str(at_once)], check=True, timeout=60)

    def read(self):
        """{tag: [(step, value, wall time)]} as TensorBoard has it."""
        events = EventAccumulator(str(self.folder), STORE_EVERYTHING_SIZE_GUIDANCE)
        events.Reload()
        self.assertEqual(events.file_version, 2.0)
        return {tag: [(e.step, e.value, e.wall_time) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    def test_tags_steps_values_and_times(self):
        self.write(log(2, 30), at_once=0)
        scalars = self.read()
        self.assertEqual(sorted(scalars), sorted(
            ["loss", "learning_rate", "epoch_loss", "samples_per_second", "knn/top1", "effective_rank", "mean_std",
             "alignment", "uniformity"] +
            [f"{encoder}/{tag}" for encoder in ("evaluation", "untrained")
             for tag in ("knn/top1", "linear/top1", "linear/macro_f1", "effective_rank")]))
        as_f32 = lambda value: struct.unpack("f", struct.pack("f", value))[0]
        self.assertEqual(scalars["loss"], [(i, as_f32(6 / i), START + i) for i in range(1, 61)])
        self.assertEqual(scalars["learning_rate"], [(i, as_f32(0.06 / (1 + (i > 30))), START + i) for i in range(1, 61)])
        self.assertEqual(scalars["samples_per_second"], [(30, 1234.5, START + 30.5), (60, 1234.5, START + 60.5)])
        self.assertEqual(scalars["knn/top1"], [(30, as_f32(0.1), START + 30.75), (60, as_f32(0.2), START + 60.75)])
        self.assertEqual(scalars["uniformity"], [(30, -2.5, START + 30.75), (60, -2.5, START + 60.75)])
        self.assertEqual(scalars["evaluation/linear/top1"], [(60, 0.625, START + 1000)])

    def test_steps_beyond_one_and_two_bytes(self):
        self.write(log(1, 20_000), at_once=20_000)
        self.assertEqual([step for step, _, _ in self.read()["loss"]], list(range(1, 20_001)))

    def test_a_resumed_run_shows_no_step_twice(self):
        whole = log(2, 40)
        self.write(whole[:60], at_once=0)  # as far as the run came before it was interrupted
        self.write(whole, at_once=50)      # it goes on after step 49, to which its log was cut back
        self.assertEqual(len(list(self.folder.glob("events.out.tfevents.*"))), 1)
        self.assertEqual([step for step, _, _ in self.read()["loss"]], list(range(1, 81)))


if __name__ == "__main__":
    unittest.main()
