"""linear_probe, finetune and --resume on data that were changed since a run was trained on them, or that are parted
otherwise: that test samples may have been trained on is said. PROGRAMS names the folder of the programs."""
import itertools
import pathlib
import shutil
import tempfile
import unittest

from support.encoder_programs import Base
from support.tiny_data import write_pictures, write_recordings
from test_clip_programs import write_clips

SMALL = ("--width", "2", "--batch-size", "8", "--epochs", "1", "--knn-every", "0", "--device", "cpu", "--threads", "1",
         "--no-evaluation", "--checkpoint-minutes", "0")
OPTIONS = {"train_video": ("--size", "16", "--frames", "4", "--clips", "1"),
           "train_speech": ("--rate", "8000", "--warmup-epochs", "0", "--mels", "16")}
PATTERNS = {"train_video": "{label}/{session}_{}", "train_speech": "{label}_{speaker}_{take}.wav"}
CHANGED = ("the data differ from those that the run was trained on, which may have been samples that are tested on "
           "here: ")


class Parts(Base):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    def setUp(self):
        super().setUp()
        self.numbers = itertools.count()
        self.out.mkdir()

    def begin(self, program, *parts):
        """Data and a run that trains on them."""
        data, run = (self.out / f"{name}{next(self.numbers)}" for name in ("data", "run"))
        if program == "train_video":
            write_clips(data)
        else:
            write_recordings(data)
        self.train(program, run, "--data", data, *parts)
        return data, run

    def train(self, program, run, *options):
        done = self.launch(program, *options, *OPTIONS[program], *SMALL, "--out", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def probe(self, run, *options, program="linear_probe"):
        """What it warns of."""
        more = ("--out", self.out / f"tuned{next(self.numbers)}") if program == "finetune" else ()
        done = self.launch(program, run, *options, *more, "--labels", "100", "--epochs", "1", "--device", "cpu")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_data_that_were_changed(self):
        for program, sample in (("train_video", "left/s0_0"), ("train_speech", "go_ann_0.wav")):
            with self.subTest(program=program):
                parts = ("--pattern", PATTERNS[program]) if program == "train_speech" else ()
                data, run = self.begin(program, *parts)
                for place in ((), ("--data", data)):
                    self.assertEqual(self.probe(run, *place), "")
                before, after = data / sample, (data / sample).with_name("a" + (data / sample).name)
                before.rename(after)
                for tool in ("linear_probe", "finetune"):
                    self.assertIn("warning: " + CHANGED, self.probe(run, program=tool))
                self.assertIn(CHANGED, self.probe(run, "--data", data))
                after.rename(before)
                self.assertEqual(self.probe(run), "")

    def test_a_list_that_was_changed(self):
        data = write_clips(self.out / "clips")
        rows = [f"{clip.relative_to(data.parent)},{clip.parent.name},{'test' if clip.name < 's1' else 'train'}\n"
                for clip in sorted(data.glob("*/*"))]
        table = self.out / "clips.csv"
        table.write_text("clip,label,split\n" + "".join(rows))
        run = self.out / "run"
        self.train("train_video", run, "--data", table)
        self.assertEqual(self.probe(run), "")
        one, other = (next(k for k, row in enumerate(rows) if row.endswith(part + "\n")) for part in ("test", "train"))
        rows[one], rows[other] = rows[one].replace(",test", ",train"), rows[other].replace(",train", ",test")
        table.write_text("clip,label,split\n" + "".join(rows))
        self.assertIn(CHANGED + "the test and training clips have other labels", self.probe(run))

    def test_pictures_that_were_changed(self):
        data, run = self.out / "photos", self.out / "run"
        for label, name in enumerate(("ant", "bee")):
            write_pictures(data / name, 10, 4 * label)
        done = self.launch("train_cifar", "--dataset", "folder", "--data", data, "--size", "8", "--out", run, *SMALL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.probe(run), "")
        write_pictures(data / "cat", 4, 8)
        for tool in ("linear_probe", "finetune"):
            self.assertIn(CHANGED + "cat is new (4 files); 20 -> 24 files in all\n", self.probe(run, program=tool))

    def test_noise_does_not_count(self):
        noise = write_recordings(self.out / "noise", labels=("hum",), speakers=("none",))
        _, run = self.begin("train_speech", "--pattern", PATTERNS["train_speech"], "--noise", noise)
        self.assertEqual(self.probe(run), "")

    def test_other_parts_than_the_run_had(self):
        data, run = self.begin("train_video", "--pattern", PATTERNS["train_video"], "--test", "session=s1,s2")
        for options, had in ((("--test", "session=s0"), "--test session=s1,s2"),
                             (("--pattern", "{label}/{session}_{take}"), "--pattern {label}/{session}_{}"),
                             (("--data", data, "--test", "session=s1"), "--test session=s1,s2")):
            with self.subTest(options=options):
                self.assertEqual(self.probe(run, *options), f"warning: the run was trained with {had}, so it may have "
                                 "been trained on samples that are tested on here\n")
        self.assertEqual(self.probe(run, "--test", "session=s1,s2"), "")
        other = shutil.copytree(data, self.out / "other")
        self.assertEqual(self.probe(run, "--data", other), "")
        _, run = self.begin("train_video")
        said = self.probe(run, "--pattern", PATTERNS["train_video"], "--test", "session=s0")
        self.assertIn("the run was trained with no --pattern and no --test, so", said)

    def test_going_on_with_files_of_other_names(self):
        """The order of the files says which are tested on."""
        data, run = self.begin("train_video")
        (run / "model.safetensors").unlink()  # with it, the run is finished
        (data / "left/s4_9").rename(data / "left/a")
        done = self.launch("train_video", "--resume", "--out", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("; it may have been trained on clips that are tested on now\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
