"""train_video, and the programs that take weights on what it has trained. PROGRAMS names their folder, VIDEO_TOOL what
writes video files."""
import json
import math
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

from support.encoder_programs import Base, read_npy
from support.tiny_data import png_file

SIDE = 16


def frame(at):
    """A grey PNG file with a bar at that column."""
    row = bytearray(b"\x14" * SIDE)
    for x in range(3):
        row[(at + x) % SIDE] = 230
    return png_file(SIDE, SIDE, 8, 0, (b"\0" + bytes(row)) * SIDE)


def write_clips(folder, each=10, frames=8):
    """Folders of frames, of two sessions each label: a bar that moves to the right, or to the left."""
    for label, step in (("right", 1), ("left", -1)):
        for i in range(each):
            clip = folder / label / f"s{i % 5}_{i}"
            clip.mkdir(parents=True)
            for k in range(frames):
                (clip / f"f{k}.png").write_bytes(frame(5 * i + step * k))
    return folder


def npy(frames, descr="|u1", values=bytes(range(256))):
    """A clip of so many frames [T,SIDE,SIDE], which have these bytes each."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({frames}, {SIDE}, {SIDE}), }}"
    header += " " * ((-len(header) - 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + values * frames


def write_arrays(folder, descr, value):
    """Five clips of each of two labels, whose values are value(number)."""
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for i in range(5):
            values = (value(7 * i + k) for k in range(SIDE * SIDE))
            packed = struct.pack({"<f4": "<256f", "<u2": "<256H"}[descr], *values)
            (folder / label / f"s{i}_x.npy").write_bytes(npy(8, descr, packed))
    return folder


def weights(path):
    """What follows the header."""
    content = path.read_bytes()
    return content[8 + struct.unpack("<Q", content[:8])[0]:]


class ClipPrograms(Base):
    """On what write(folder) makes."""
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = cls.write(cls.folder / "clips")
        cls.weights = cls.folder / "run"
        done = cls.train(out=cls.weights, epochs=4)
        assert done.returncode == 0, done.stderr
        cls.printed = done.stdout

    @classmethod
    def train(cls, *flags, **changed):
        options = {"data": "clips", "pattern": "{label}/{session}_{}", "test": "session=s0", "size": SIDE, "width": 2,
                   "frames": 4, "clips": 2, "batch-size": 8, "epochs": 2, "knn-every": 2, "knn-k": 5,
                   "device": "cpu"} | {name.replace("_", "-"): value for name, value in changed.items()}
        return cls.launch("train_video", *flags, *(str(word) for name, value in options.items()
                                                   for word in ("--" + name, value)))

    def goes_on_to_the_same_bits(self):
        whole, begun = self.out / "whole", self.out / "begun"
        for out in (whole, begun):
            done = self.train(out=out, checkpoint_minutes=0, keep_checkpoints=100)
            self.assertEqual(done.returncode, 0, done.stderr)
        checkpoints = sorted((begun / "checkpoints").glob("*"))
        self.assertGreaterEqual(len(checkpoints), 2)
        for file in (*checkpoints[1:], begun / "model.safetensors"):
            file.unlink()
        done = self.launch("train_video", "--out", begun, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(*(weights(out / "model.safetensors") for out in (whole, begun)))
        return whole


class Clips(ClipPrograms):
    write = staticmethod(write_clips)

    def test_training_says_what_it_does(self):
        for words in ("test: session=s0", "16 clips in clips, 2 classes", "r2plus1d_18, width 2"):
            self.assertIn(words, self.printed)
        report = (self.weights / "report.html").read_text()
        self.assertIn("src=\"data:image/png;base64,", report)
        self.assertNotIn(" picture", report.split("<script")[0])

    def test_a_run_goes_on_to_the_same_bits(self):
        whole = self.goes_on_to_the_same_bits()
        self.refused("train_video", "--out", whole, "--resume", "--frames", "2", words=("--frames 2: the run in",))

    def test_features(self):
        self.run_program("embed", self.weights, "clips", "--out", self.out)
        names, rows = (self.out / "files.txt").read_text().splitlines(), read_npy(self.out / "features.npy")
        self.assertEqual(names, sorted(str(clip.relative_to(self.data)) for clip in self.data.glob("*/*")))
        self.assertEqual({len(row) for row in rows}, {16})
        self.assertTrue(all(map(math.isfinite, sum(rows, ()))))
        sheet = self.out / "sheet.png"
        for more in ((), ("--features", self.out, "--sheet", sheet)):
            printed = self.run_program("nearest", self.weights, "clips/left/s1_1", "clips", "--k", "3", *more)
            self.assertRegex(printed, r"cosine  file\n1\.0000  left/s1_1\n0\.\d+ ")
        self.assertTrue(sheet.read_bytes().startswith(b"\x89PNG"))
        self.refused("nearest", self.weights, "clips/left", "clips", words=("clips/left: a folder without a", "give one"))
        for place in ("clips::clips", "{0..3}.tar"):
            self.refused("embed", self.weights, place, words=(f"{place}: several places A::B and tar shards are not for",))
        self.refused("embed", self.weights, "none", words=("embed: none: no such folder or list of clips",))
        self.refused("embed", self.weights, "clips", "--dataset", "arrays", words=("--dataset arrays",))
        self.refused("embed", self.weights, "clips", "--dataset", "list", words=("--dataset list: clips is a folder",))
        self.refused("nearest", self.weights, "clips/left/s1_1", "clips", "--dataset", "list",
                     words=("--dataset list: clips is a folder; leave --dataset out",))
        self.refused("embed", self.weights, "clips", "--out", "clips/features", words=("--out clips/features",))

    def test_a_list(self):
        (self.folder / "list.csv").write_text("clip,label\nclips/left/s0_0,left\nclips/right/s0_0,right\n")
        self.run_program("embed", self.weights, "list.csv", "--out", self.out)
        self.assertEqual((self.out / "files.txt").read_text().splitlines(), ["clips/left/s0_0", "clips/right/s0_0"])
        self.refused("embed", self.weights, "list.csv", "--out", "clips/left/s0_0/features", words=("lies in the data's",))

    def test_bad_clips_are_named_and_left_out(self):
        some = write_clips(self.folder / "some", each=2)
        (some / "left" / "whole.npy").write_bytes(npy(5))
        (some / "left" / "cut.npy").write_bytes(npy(5)[:500])
        (some / "left" / "empty.npy").write_bytes(b"")
        (some / "left" / "sizes").mkdir()
        (some / "left" / "sizes" / "1.png").write_bytes(frame(0))
        (some / "left" / "sizes" / "2.png").write_bytes(png_file(2, 2, 8, 0, b"\0\1\2" * 2))
        (some / "notes.txt").write_text("no clip")
        done = self.launch("embed", self.weights, some, "--out", self.out, "--device", "cpu")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len((self.out / "files.txt").read_text().splitlines()), 5)
        for words in ("cut.npy", "empty.npy", "2.png"):
            self.assertIn(words, done.stdout + done.stderr)
        self.assertIn("3 clips could not be read: left out", done.stdout)
        self.assertIn("left out: 1 .txt file", done.stdout)

    def test_a_baseline_says_what_it_alone_cannot_read(self):
        """Of a long clip the encoder reads a few frames, and motion statistics all."""
        data, figures = write_clips(self.folder / "long"), self.out.with_suffix(".json")
        frames, broken = 1 << 17, 40_000
        with open(data / "right" / "s0_long.npy", "wb") as file:  # most of it lies on no disk
            header = npy(frames, "<f4", b"")
            file.write(header)
            file.seek(len(header) + broken * SIDE * SIDE * 4)
            file.write(struct.pack("<f", math.nan))
            file.truncate(len(header) + frames * SIDE * SIDE * 4)
        done = self.launch("linear_probe", self.weights, "--data", data, "--pattern", "{label}/{session}_{}", "--test",
                           "session=s0", "--labels", "100", "--epochs", "5", "--baseline", "--json", figures, "--device",
                           "cpu")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("motion statistics: measured on 4 of 5 test clips", done.stdout)
        self.assertIn("s0_long.npy", done.stderr)
        results = json.loads(figures.read_text())
        self.assertEqual((results["test_samples"], results["baseline_test_samples"]), (5, 4))

    def test_few_labels(self):
        figures = self.out.with_suffix(".json")
        printed = self.run_program("linear_probe", self.weights, "--labels", "50,100", "--epochs", "20",
                                   "--baseline", "--json", figures)
        self.assertIn("  labels        clips      kNN %   linear %", printed)
        results = json.loads(figures.read_text())
        self.assertEqual((results["test_samples"], [each["samples"] for each in results["results"]]), (4, [8, 16]))
        self.assertEqual([each["samples"] for each in results["baseline"]], [8, 16])
        self.assertEqual(results["baseline_name"], "motion statistics")
        self.assertNotIn("baseline_test_samples", results)
        self.assertIn("motion statistics:\n", printed)
        printed = self.run_program("finetune", self.weights, "--labels", "100", "--epochs", "3", "--out", self.out)
        self.assertIn("pre-trained %", printed)
        self.assertTrue((self.out / "labels-100.safetensors").exists())
        self.refused("linear_probe", self.weights, "--json", "clips/figures.json", words=("--json clips/figures.json",))
        self.refused("linear_probe", self.weights, "--dataset", "cifar10", words=("--dataset cifar10", "of clips"))
        self.refused("finetune", self.weights, "--classes-at", "2", "--out", self.out / "b", words=("--classes-at 2",))

    def test_other_data_are_parted_as_is_said_here(self):
        other = write_clips(self.folder / "other")
        printed = self.run_program("linear_probe", self.weights, "--data", other, "--labels", "100", "--epochs", "5")
        self.assertIn("every fifth clip is kept", printed)
        printed = self.run_program("linear_probe", self.weights, "--data", other, "--pattern", "{label}/{session}_{}",
                                   "--test", "session=s1", "--labels", "100", "--epochs", "5")
        self.assertIn("test: session=s1", printed)
        printed = self.run_program("linear_probe", self.weights, "--data", self.data, "--labels", "100", "--epochs", "5")
        self.assertIn("test: session=s0", printed)  # by another name the run's own

    def test_check(self):
        done = self.train("--check", frames=8, stride=2)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("clips: 8 to 8 frames, half have 8 or more; a view spans 15", done.stdout)
        self.assertIn("16 of 16 clips end before a view of 15 frames does", done.stdout)
        self.assertNotIn("clips of a batch stand still", done.stdout)
        still = write_clips(self.folder / "still")
        for clip in still.glob("left/*"):
            for k in range(1, 8):
                (clip / f"f{k}.png").write_bytes((clip / "f0.png").read_bytes())
        done = self.train("--check", data=still, batch_size=16)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("8 of the 16 clips of a batch stand still", done.stdout)
        broken = write_clips(self.folder / "broken")
        (broken / "left" / "s1_empty.npy").write_bytes(b"")
        done = self.train("--check", data=broken)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("1 of 17 clips looked at cannot be read", done.stdout)

    def test_values_to_255(self):
        """Of floating-point values white is 1: others are named by each program, with what to do."""
        data = write_arrays(self.folder / "beyond", "<f4", lambda i: i % 251)
        said = (r"warning: beyond: the clips' floating-point values go from 0 to 250 in the \d+ clips looked at, and "
                r"what lies outside of 0 to 1 becomes 0 or 1; save x / 255\n")
        trained = self.folder / "beyond-run"
        done = self.train(data="beyond", out=trained)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, said)
        for program, options in (("embed", (data.name, "--out", self.out)),
                                 ("nearest", ("beyond/a/s0_x.npy", data.name)),
                                 ("linear_probe", ("--labels", "100", "--epochs", "1")),
                                 ("finetune", ("--labels", "100", "--epochs", "1", "--out", self.folder / "tuned"))):
            done = self.launch(program, trained, *options, "--device", "cpu")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, said)
        done = self.train("--check", data="beyond")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"clips' floating-point values go from 0 to 250: [\d.]+ % lie outside of 0 to 1")
        self.assertRegex(done.stderr, said)

    def test_values_that_fill_little(self):
        """Of 16 bits: --check says what they fill, and what to do."""
        write_arrays(self.folder / "dark", "<u2", lambda i: 2000 + i)
        done = self.train("--check", data="dark")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"the 16-bit clips fill 0.4 % of their range, 20\d\d to 22\d\d of 65535: ")
        self.assertRegex(done.stdout, r"stretch them over the whole range first: \(value - 20\d\d\) \* 65535 / \d+\n")

    def test_a_stride_beyond_the_clips(self):
        """Said at the start, as --check does."""
        said = "clips end before a view of 301 frames does, so that its last frames stand still"
        done = self.train("--no-evaluation", out=self.out, stride=100, epochs=1)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"16 of 16 {said} (a smaller --stride, or fewer --frames)", done.stdout)
        self.assertNotIn("stand still", self.printed)

    def test_what_help_says_of_data(self):
        said = self.launch("train_video", "--help").stdout
        self.assertIn("LIST.csv", said)
        for other in ("A::B", "tar shards"):
            self.assertNotIn(other, said)
        for program in ("embed", "nearest"):
            said = " ".join(self.launch(program, "--help").stdout.split())
            self.assertIn("Recordings and clips: in a folder and below it, or a list.", said)
            self.assertIn("a list or tar shards of pairs", said)

    def test_what_cannot_be_is_refused(self):
        for changed, words in (({"test": "fold=1"}, "have no field fold"), ({"test": "session=s9"}, "has s9 as its session"),
                               ({"pattern": "{label}"}, "have no field session"), ({"frames": 0}, "--frames 0"),
                               ({"pattern": "a{}.mp4"}, "names no field; write {label}_{take}.mp4 or the like"),
                               ({"data": "a::b"}, "a::b: several places A::B and tar shards are not for clips"),
                               ({"data": "none"}, "none: no such folder or list"), ({"arch": "vgg"}, "--arch vgg")):
            done = self.train(out=self.out, **changed)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stderr, r"\Atrain_video: [^\n]{10,400}\n\Z")
            self.assertIn(words, done.stderr)


def write_videos(folder):
    """MP4 files, eight a label, of four sessions, all different."""
    subprocess.run([os.environ["VIDEO_TOOL"]], check=True, capture_output=True, env=os.environ | {"VIDEOS": str(folder)})
    return folder


@unittest.skipUnless("VIDEO_TOOL" in os.environ, "this build reads no video files")
class Videos(ClipPrograms):
    write = staticmethod(write_videos)

    def test_how_clips_are_read_does_not_count(self):
        models = []
        for workers, more in ((0, ()), (3, ()), (3, ("--cache-gb", "0")), (0, ("--cache-gb", "0"))):
            out = self.out / str(len(models))
            done = self.train("--no-evaluation", *more, out=out, workers=workers, knn_every=0)
            self.assertEqual(done.returncode, 0, done.stderr)
            models.append(weights(out / "model.safetensors"))
        self.assertEqual(len(set(models)), 1)
        self.assertIn("12 clips in clips, 2 classes", done.stdout)

    def test_a_run_goes_on_to_the_same_bits(self):
        self.goes_on_to_the_same_bits()

    def test_weights_are_used(self):
        self.run_program("embed", self.weights, "clips", "--out", self.out)
        self.assertEqual(len(read_npy(self.out / "features.npy")), 16)
        sheet = self.out / "sheet.png"
        printed = self.run_program("nearest", self.weights, "clips/run/s1_5.mp4", "clips", "--k", "3", "--sheet", sheet)
        self.assertRegex(printed, r"cosine  file\n1\.0000  run/s1_5\.mp4\n0\.\d+ ")
        self.assertTrue(sheet.read_bytes().startswith(b"\x89PNG"))
        printed = self.run_program("linear_probe", self.weights, "--labels", "100", "--epochs", "5")
        self.assertIn("test: session=s0", printed)

    def test_a_cut_file_is_named_and_left_out(self):
        some = write_videos(self.folder / "some")
        whole = (some / "run" / "s0_0.mp4").read_bytes()
        (some / "run" / "cut.mp4").write_bytes(whole[:len(whole) // 2])
        done = self.launch("embed", self.weights, some, "--out", self.out, "--device", "cpu")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cut.mp4", done.stdout + done.stderr)
        self.assertIn("1 clip could not be read: left out", done.stdout)
        self.assertEqual(len((self.out / "files.txt").read_text().splitlines()), 16)


if __name__ == "__main__":
    unittest.main()
