"""export_onnx on runs of each kind of data: onnxruntime gives the features that embed does. PROGRAMS names the folder of the
built examples, VIEW_TOOL the built support/view_tool. Skipped where Python lacks the packages.
"""
import base64
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

from support.peers import require

require("numpy", "safetensors", "onnx", "onnxruntime")

import numpy
import onnx
import onnxruntime
import safetensors.numpy

from support import encoder_programs
from support.tiny_data import png_file, write_pictures, write_recordings, write_texts

VIEW_TOOL = os.environ["VIEW_TOOL"]
GUIDE = (pathlib.Path(__file__).parents[1] / "docs/onnx.md").read_text()
TOLERANCE = 4e-6  # of the largest feature, as in test_onnx.py


class Base(encoder_programs.Base):
    def export(self, weights, *options, out=None):
        out = out or self.out.with_suffix(".onnx")
        done = self.launch("export_onnx", weights, out, "--overwrite", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(f"written to {out}", done.stdout)
        onnx.checker.check_model(out, full_check=True)
        self.check_description(out, done.stdout, "--head" in options)
        return out

    def check_description(self, path, printed, head):
        """Printed and in the metadata, with as many features as the graph gives; the metadata's keys are the guide's."""
        metadata = self.metadata(path)
        features = onnx.load(path).graph.output[0].type.tensor_type.shape.dim[1].dim_value
        words = "projection head, " if head else ""
        self.assertIn(f", {words}{features} features; ", metadata["description"])
        self.assertEqual("head" in metadata["description"], head)
        self.assertEqual(re.sub(", from [^;]+", "", printed.splitlines()[0]), metadata["description"])
        named = set(re.findall(r"^\| (`[^|]+`) \|", GUIDE.split("| key |")[1].split("##")[0], re.MULTILINE))
        self.assertLessEqual(set(metadata), set(re.findall("`(.+?)`", "".join(named))))

    def run_onnx(self, path, inputs):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.assertEqual([each.name for each in session.get_inputs()], list(inputs))
        result, = session.run(["features"], inputs)
        return result

    def views(self, weights, place, *side):
        out = self.out.with_suffix(".safetensors")
        subprocess.run([VIEW_TOOL, weights, place, out, *side], check=True, cwd=self.folder)
        views = safetensors.numpy.load_file(out)
        return {name: views[name] for name in ("input", "lengths") if name in views}

    def features(self, weights, place, *options):
        """embed's; what it calls the encoder is `embed_says`."""
        out = self.folder / "features"
        self.embed_says = self.run_program("embed", weights, place, "--out", out, "--overwrite", *options).splitlines()[0]
        return numpy.load(out / "features.npy")

    def assert_near(self, ours, theirs):
        self.assertEqual((ours.dtype, ours.shape), (theirs.dtype, theirs.shape))
        self.assertGreater(theirs.std(axis=0).mean(), 1e-4)  # features that tell samples apart
        self.assertLess(abs(ours - theirs).max() / abs(theirs).max(), TOLERANCE)

    def check(self, weights, place, *options, side=()):
        """Exports, runs it on embed's views, and compares with embed; the file."""
        path = self.export(weights, *options)
        of_side = ("--side", *side) if side else ()
        self.assert_near(self.run_onnx(path, self.views(weights, place, *side)), self.features(weights, place, *of_side))
        self.assertEqual(re.sub(", from [^;]+", "", self.embed_says), self.metadata(path)["description"])
        return path

    def metadata(self, path):
        return {each.key: each.value for each in onnx.load(path).metadata_props}


def random_pictures(folder, height, width, count=4):
    """PNG files of these pictures, u8 [count,height,width,3]."""
    folder.mkdir()
    pixels = numpy.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=numpy.uint8)
    pixels[1] //= 4
    pixels[2, :, : width // 2] = 200
    for i, picture in enumerate(pixels):
        rows = b"".join(b"\0" + row.tobytes() for row in picture)
        (folder / f"{i}.png").write_bytes(png_file(height, width, 8, 2, rows))
    return pixels


class Pictures(Base):
    def test_features(self):
        random_pictures(self.folder / "some", 21, 33)
        path = self.check(self.weights, "some")
        graph = onnx.load(path).graph
        self.assertNotIn("BatchNormalization", {node.op_type for node in graph.node})
        self.assertEqual([each.dim_param or each.dim_value for each in graph.input[0].type.tensor_type.shape.dim],
                         ["N", 8, 8, 3])
        plain = self.check(self.weights, "some", "--no-fold")
        state = safetensors.numpy.load_file(self.weights / "model.safetensors")
        names = {name.removeprefix("encoder.") for name in state if name.startswith("encoder.")}
        weights = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(plain).graph.initializer}
        self.assertEqual({name for name in weights if not name.startswith("constants/")}, names)
        for name in names:
            own = state["encoder." + name]
            self.assertTrue(numpy.array_equal(weights[name], own.transpose(0, 3, 1, 2) if own.ndim == 4 else own), name)

    def test_preprocessing_in_the_graph(self):
        for height, width in ((8, 8), (21, 33), (50, 9)):
            with self.subTest(height=height, width=width):
                folder = self.folder / f"pixels-{height}"
                pixels = random_pictures(folder, height, width)
                path = self.export(self.weights, "--preprocess")
                self.assert_near(self.run_onnx(path, {"input": pixels}), self.features(self.weights, folder))
                self.assertEqual(self.metadata(path)["preprocessing"], "in the graph")

    def test_head(self):
        random_pictures(self.folder / "headed", 12, 12)
        h = self.run_onnx(self.export(self.weights), self.views(self.weights, "headed"))
        z = self.run_onnx(self.export(self.weights, "--head"), self.views(self.weights, "headed"))
        state = safetensors.numpy.load_file(self.weights / "model.safetensors")
        part = {name.removeprefix("head."): value for name, value in state.items() if name.startswith("head.")}

        def layer(x, number):
            x = x @ part[f"linear{number}.weight"].T + part.get(f"linear{number}.bias", 0)
            norm = f"bn{number}."
            if norm + "weight" in part:
                x = (x - part[norm + "running_mean"]) / numpy.sqrt(part[norm + "running_var"] + 1e-5)
                x = x * part[norm + "weight"] + part[norm + "bias"]
            return x

        expected = layer(numpy.maximum(layer(h, 1), 0), 2)
        self.assert_near(z, expected.astype(numpy.float32))

    def test_metadata(self):
        metadata = self.metadata(self.export(self.weights))
        expected = {"modality": "pictures", "sample": "picture", "arch": "resnet18", "dataset": "cifar10",
                    "output": "features", "preprocessing": "before the graph"}
        self.assertEqual({key: metadata[key] for key in expected}, expected)
        self.assertNotIn("side", metadata)
        self.assertRegex(metadata["libsimclr"], r"\A\d+\.\d+\.\d+\Z")
        self.assertEqual(metadata["description"], "resnet18, width 4, 32 features; pictures become 8x8 pixels")
        config = json.loads(metadata["config"])
        self.assertEqual((config["augmentation"]["size"], len(config["augmentation"]["mean"])), (8, 3))
        self.assertNotIn(str(self.folder), metadata["config"])  # where the data lay is nobody's concern
        self.assertEqual(onnx.load(self.out.with_suffix(".onnx")).producer_name, "libsimclr")

    def test_what_is_refused(self):
        out = self.folder / "mine.onnx"
        out.write_text("mine")
        self.refused("export_onnx", self.weights, out, words=("mine.onnx: exists already", "--overwrite"))
        self.assertEqual(out.read_text(), "mine")
        own = self.weights / "model.safetensors"
        before = own.read_bytes()
        self.refused("export_onnx", self.weights, own, "--overwrite", words=(own, "is a file of a run"))
        copy = self.folder / "copy.safetensors"
        copy.write_bytes(before)
        self.refused("export_onnx", copy, copy, "--overwrite", words=("is the input itself",))
        self.assertEqual((own.read_bytes(), copy.read_bytes()), (before, before))
        self.refused("export_onnx", self.weights, "none/a.onnx", words=("there is no folder none",))
        self.refused("export_onnx", "no-run", self.out, words=("no-run",))
        self.refused("export_onnx", self.weights, self.out, "--side", "first", words=("no weights of pairs",))
        self.assertFalse(self.out.exists())
        for overwrite in ((), ("--overwrite",)):
            for folder in ("cifar10", "cifar10/"):
                self.refused("export_onnx", self.weights, folder, *overwrite, words=(f"{folder}: is a folder",))

    def test_a_link_is_replaced_and_its_target_kept(self):
        target, link, loose = (self.folder / name for name in ("target.txt", "link.onnx", "loose.onnx"))
        target.write_text("mine")
        link.symlink_to(target.name)
        loose.symlink_to("nowhere")
        for each in (link, loose):
            self.refused("export_onnx", self.weights, each, words=("exists already",))
            self.assertTrue(each.is_symlink())
            self.export(self.weights, out=each)
            self.assertFalse(each.is_symlink())
        self.assertEqual(target.read_text(), "mine")
        self.assertFalse((self.folder / "nowhere").exists())


class OtherKinds(Base):
    """Of what Base has trained nothing is used."""

    def train(self, program, *options):
        done = self.launch(program, *options, "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "8", "--knn-every", "0",
                           "--no-evaluation", "--device", "cpu", "--threads", "1", "--out", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.out

    def test_texts(self):
        (self.folder / "texts").mkdir(exist_ok=True)
        write_texts(self.folder / "texts")
        for arch in ("bag", "gru", "transformer"):
            with self.subTest(arch):
                weights = self.train("train_text", "--data", "texts/films.tsv", "--arch", arch, "--width", "8", "--tokens",
                                     "words", "--overwrite")
                path = self.check(weights, "texts/films.tsv")
        views = self.views(weights, "texts/films.tsv")
        self.assertEqual(views["input"].dtype, numpy.int32)
        model = base64.b64decode(self.metadata(path)["tokenizer"]).decode().splitlines()
        self.assertEqual(model[0], "simclr words 1")
        lines = (self.folder / "texts/films.tsv").read_text().splitlines()[1:]
        for line, ids, length in zip(lines, views["input"], views["lengths"]):
            words = re.findall(r"[\w']+|[^\s\w]", line.split("\t")[1].lower())
            self.assertEqual([model.index(word) if word in model[1:] else 0 for word in words][:length], list(ids[:length]))
        self.refused("export_onnx", weights, self.folder / "a.onnx", "--preprocess", words=("--preprocess", "of texts"))
        self.export(weights, "--head")

    def test_recordings(self):
        write_recordings(self.folder / "words", takes=2)
        for arch in ("gru", "resnet18"):
            with self.subTest(arch):
                weights = self.train("train_speech", "--data", "words", "--pattern", "{label}_{speaker}_{take}.wav", "--rate",
                                     "8000", "--seconds", "0.35", "--mels", "16", "--width", "4", "--arch", arch, "--overwrite")
                metadata = self.metadata(self.check(weights, "words"))
                self.assertEqual((metadata["sample"], metadata["arch"]), ("recording", arch))
                self.assertNotIn("dataset", metadata)
                self.export(weights, "--head")

    def test_clips(self):
        source = numpy.random.default_rng(1)
        for label in "ab":
            for i in range(5):
                (self.folder / "clips" / label).mkdir(parents=True, exist_ok=True)
                numpy.save(self.folder / f"clips/{label}/s{i}.npy", source.integers(0, 256, (12, 16, 16), dtype=numpy.uint8))
        for arch, clips in (("r2plus1d_18", "1"), ("r2plus1d_18", "2"), ("resnet18_gru", "2")):
            with self.subTest(arch, clips=clips):
                weights = self.train("train_video", "--data", "clips", "--arch", arch, "--width", "4", "--size", "8", "--frames",
                                     "4", "--clips", clips, "--overwrite")
                metadata = self.metadata(self.check(weights, "clips"))
                self.assertEqual((metadata["sample"], metadata["arch"]), ("clip", arch))
                self.export(weights, "--head")

    def test_pairs(self):
        names = sorted(path.name for path in write_pictures(self.folder / "drawings", 20).iterdir())
        rows = [f"drawings/{name},a drawing of number {i}" for i, name in enumerate(names)]
        (self.folder / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n")
        weights = self.train("train_pairs", "--data", "captions.csv", "--size", "8", "--width", "4", "--text-width", "8")
        (self.folder / "words.txt").write_text("a drawing\na number 3\nof a drawing of number 7\n")
        self.check_side(self.check(weights, "drawings"), "first", "picture", "resnet18, width 4, ")
        path = self.check(weights, "drawings", "--side", "first", "--head", side=("first",))
        self.check_side(path, "first", "picture", "resnet18, width 4, ", "; pictures become 8x8 pixels")
        path = self.check(weights, "words.txt", "--side", "second", "--head", side=("second",))
        self.check_side(path, "second", "text", "mean and maximum of embeddings, width 8, ", " words")
        self.refused("export_onnx", weights, self.folder / "a.onnx", "--head", words=("--side", "a head each"))

    def check_side(self, path, side, sample, begin, end=""):
        """Whose graph it is, its description without the other side's encoder and views."""
        metadata = self.metadata(path)
        self.assertEqual([metadata[key] for key in ("modality", "side", "sample")], ["pairs", side, sample])
        self.assertFalse({"arch", "dataset"} & set(metadata))  # the guide says so
        self.assertRegex(metadata["description"], f"\\A{begin}.*{end}\\Z")
        self.assertNotIn("resnet18" if side == "second" else "embeddings", metadata["description"])
        self.assertNotIn("pictures" if side == "second" else "texts", metadata["description"])


class Disks(Base):
    def within(self, commands):
        """What these commands of a shell print where a disk of 64 KiB is mounted at `small`."""
        (self.folder / "small").mkdir(exist_ok=True)
        mount = f"mount -t tmpfs -o size=64k none {self.folder}/small"
        if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode != 0:
            self.skipTest("nothing can be mounted here")
        program = f"{encoder_programs.PROGRAMS}/export_onnx {self.weights} {self.folder}/small/a.onnx"
        done = subprocess.run(["unshare", "-m", "sh", "-c", f"{mount}; write() {{ {program} \"$@\"; }}; {commands}"],
                              capture_output=True, text=True, cwd=self.folder)
        return done.stdout, done.stderr

    def test_a_full_disk(self):
        out, error = self.within("write; echo $?; ls -A small; echo before > small/a.onnx; write --overwrite; cat small/a.onnx")
        self.assertRegex(error, r"\A(export_onnx: [^\n]*small/a.onnx[^\n]*No space left on device[^\n]*\n){2}\Z")
        self.assertEqual(out, "1\nbefore\n")

    def test_a_disk_that_is_read_only(self):
        out, error = self.within("echo before > small/b.onnx; mount -o remount,ro small; write; echo $?; ls -A small")
        self.assertRegex(error, r"\Aexport_onnx: [^\n]*small[^\n]*[Rr]ead-only file system[^\n]*\n\Z")
        self.assertEqual(out, "1\nb.onnx\n")


if __name__ == "__main__":
    unittest.main()
