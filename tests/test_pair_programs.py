"""What takes weights takes those of pictures and captions: a text finds pictures, a picture finds texts; a changed list is
noticed. PROGRAMS names the folder of the built examples.
"""
import os
import pathlib
import subprocess
import tempfile
import unittest

from support.tiny_data import write_pictures

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
THINGS = 20


class PairPrograms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-pairs-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write_pictures(cls.folder / "drawings", THINGS, 0)
        cls.names = sorted(path.name for path in (cls.folder / "drawings").iterdir())
        rows = [f"drawings/{name},{words} of number{i}" for i, name in enumerate(cls.names) for words in ("a drawing", "a view")]
        (cls.folder / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n")
        said = cls.call("train_pairs", "--data", "captions.csv", "--out", "run", "--epochs", "2", "--warmup-epochs", "0",
                        "--size", "8", "--width", "4", "--text-width", "8", "--batch-size", "8", "--knn-every", "0")
        assert "32 pairs of image and caption in captions.csv" in said, said
        assert "image -> caption, 4 among 8" in said, said

    @classmethod
    def call(cls, program, *arguments, code=0):
        done = subprocess.run([PROGRAMS / program, *arguments, "--threads", "1", "--device", "cpu"], cwd=cls.folder,
                              capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def test_a_text_finds_pictures(self):
        said = self.call("nearest", "run", "a drawing of number3", "drawings", "--from", "second", "--k", "3")
        found = [line.split()[1] for line in said.splitlines() if line.endswith(".png")]
        self.assertEqual(len(set(found) & set(self.names)), 3)
        said = self.call("nearest", "run", "a drawing", "drawings", "--from", "second", "--sheet", "found.png", code=1)
        self.assertIn("a drawing is no picture, and cannot be drawn", said)

    def test_a_picture_finds_texts(self):
        said = self.call("nearest", "run", f"drawings/{self.names[3]}", "captions.csv", "--from", "first", "--k", "40")
        self.assertEqual(said.count(" of number"), 2 * THINGS)
        said = self.call("nearest", "run", f"drawings/{self.names[3]}", "captions.csv", "--from", "first", "--sheet", "found.png",
                         code=1)
        self.assertIn("these weights are of texts", said)

    def test_other_pairs_in_a_list_of_the_same_size_are_noticed(self):
        rows = [f"drawings/{name},drawings/{other}" for name, other in zip(self.names, self.names[1:] + self.names[:1])]
        half = THINGS // 2
        parts = [f"{row},{part}" for row, part in zip(rows, ["train"] * half + ["test"] * half)]
        (self.folder / "list.csv").write_text("\n".join(["a,b,split", *parts]) + "\n")
        self.call("train_pairs", "--data", "list.csv", "--out", "going-on", "--epochs", "1", "--warmup-epochs", "0", "--size",
                  "8", "--width", "4", "--batch-size", "4", "--knn-every", "0", "--no-evaluation")
        (self.folder / "going-on" / "model.safetensors").unlink()  # with it, the run is finished
        parts = [f"{row},{part}" for row, part in zip(rows, ["test"] * half + ["train"] * half)]
        (self.folder / "list.csv").write_text("\n".join(["a,b,split", *parts]) + "\n")
        said = self.call("train_pairs", "--resume", "--out", "going-on")
        self.assertIn("the data differ from those that the run began with: other pairs in the list", said)

    def test_both_sides_are_embedded(self):
        said = self.call("embed", "run", "captions.csv", "--side", "second", "--out", "texts")
        self.assertIn("features of 40 texts, 128 each, in texts", said)
        said = self.call("embed", "run", "drawings", "--side", "first", "--out", "pictures")
        self.assertIn("features of 20 pictures, 128 each, in pictures", said)

    def test_either_side_is_measured_and_finetuned(self):
        for label in (1, 8):
            write_pictures(self.folder / "labelled" / f"class{label}", 10, label)
        (self.folder / "sentences.csv").write_text("text,label\n" + "".join(
            f"a {kind} of number{i},{kind}\n" for i in range(10) for kind in ("drawing", "view")))
        self.assertIn("name labelled pictures by --data", self.call("linear_probe", "run", code=1))
        self.assertIn("name labelled texts by --data", self.call("linear_probe", "run", "--side", "second", code=1))
        pictures, texts = ("--data", "labelled", "--dataset", "folder"), ("--data", "sentences.csv")
        for side, data, sample in (("none", pictures, "picture"), ("first", pictures, "picture"), ("second", texts, "text")):
            with self.subTest(side=side):
                asked = ("run", "--side", side, *data, "--labels", "100", "--epochs", "1")
                self.assertRegex(self.call("linear_probe", *asked), rf"labels +{sample}s +kNN %")
                said = self.call("finetune", *asked, "--out", f"finetuned-{side}", "--batch-size", "8")
                self.assertRegex(said, rf"labels +{sample}s +pre-trained %\n  100 % +1[67] ")
                # What it leaves is that side's encoder, and says so.
                said = self.call("linear_probe", f"finetuned-{side}/labels-100.safetensors", *asked[3:])
                self.assertRegex(said, rf"labels +{sample}s +kNN %")
        self.assertIn("holds the encoder of the second side alone",
                      self.call("linear_probe", "finetuned-second/labels-100.safetensors", "--side", "first", *asked[3:], code=1))


if __name__ == "__main__":
    unittest.main()
