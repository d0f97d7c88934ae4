#!/usr/bin/env python3
"""Each training program in two processes is one run, that of one process; and what embed writes in two is the same.

PROGRAMS names the folder of the built programs, beside whose library libsimclr_mpi.so lies.
"""
import json
import math
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
import unittest

from support.encoder_programs import PROGRAMS, read_npy
from support.engine import ENGINE, Done
from support.tiny_data import WORDS, write_cifar10, write_pictures, write_recordings, write_texts
from test_clip_programs import SIDE, write_clips

COMMON = ["--epochs", "2", "--warmup-epochs", "0", "--knn-every", "1", "--knn-k", "5", "--probe-epochs", "3", "--device",
          "cpu", "--seed", "3"]


def figures(value, path=""):
    """{path: number} of all numbers in an event of the log that two equal runs share."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}", each) for key, each in value.items()
                 if not re.search("seconds|per_second|^time$", key)]
    elif isinstance(value, list):
        pairs = [(f"{path}.{i}", each) for i, each in enumerate(value)]
    else:
        return {path: float(value)} if isinstance(value, (int, float)) else {}
    return {name: number for key, each in pairs for name, number in figures(each, key).items()}


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-ranks-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    def run_program(self, ranks, name, *words, engine=False):
        engine = [*ENGINE, "-np", str(ranks)] if ranks > 1 or engine else []
        done = Done([*engine, PROGRAMS / name, *words])
        said = [line for line in done.err.splitlines() if " take turns, which is slow: " not in line]  # on few processors
        self.assertEqual((done.code, said), (0, []), done.out)
        return done.out

    def log(self, out):
        return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]

    def same_run(self, name, *options, first=1e-6, loss=1e-4, figure=1e-3):
        """Trains in one process and in two; the folder of the latter."""
        one, two = (self.folder / f"{self.id().rsplit('.', 1)[1]}-{ranks}" for ranks in (1, 2))
        for out, ranks in ((one, 1), (two, 2)):
            said = self.run_program(ranks, name, *COMMON, "--lr", "0.0001", *options, "--out", out)
            self.assertEqual(said.count("trained 2 epochs in "), 1)
            self.assertNotIn("\r", said)
            if ranks == 2:
                self.assertRegex(said, r"\n2 processes, each on the CPU, \d+ threads?\n")
        self.assertEqual(sorted(path.name for path in one.iterdir() if "events" not in path.name),
                         sorted(path.name for path in two.iterdir() if "events" not in path.name))
        right, got = self.log(one), self.log(two)
        self.assertEqual([entry["event"] for entry in got], [entry["event"] for entry in right])
        begun = False
        for mine, its in zip(got, right):
            mine, its = figures(mine), figures(its)
            self.assertEqual(set(mine), set(its))
            for key in its:
                most = (loss if begun else first) if key == ".loss" else figure
                self.assertTrue(abs(mine[key] - its[key]) <= most, f"{key}: {mine[key]} for {its[key]}")
                begun = begun or key == ".loss"
        self.assertTrue(begun)
        return two

    def same_embedding(self, weights, samples, *options):
        outs = [self.folder / f"embedded-{weights.name}-{ranks}" for ranks in (1, 2, 3)]
        said = [self.run_program(ranks, "embed", weights, samples, "--device", "cpu", "--threads", "1", "--batch-size",
                                 "4", *options, "--out", out) for ranks, out in zip((1, 2, 3), outs)]
        for out in outs[1:]:
            self.assertEqual((out / "files.txt").read_bytes(), (outs[0] / "files.txt").read_bytes())
            self.assertEqual((out / "features.npy").read_bytes(), (outs[0] / "features.npy").read_bytes())
        self.assertTrue(all(map(math.isfinite, sum(read_npy(outs[0] / "features.npy"), ()))))
        for text in said:
            self.assertEqual(text.count("features of "), 1)

    def refuses_to_mix(self, weights, pictures):
        """Of ranks with other weights, samples or batches no row is written."""
        alone = weights.with_name(weights.name[:-1] + "1")
        renamed = self.folder / "renamed"
        shutil.copytree(pictures, renamed)
        file = next(path for path in sorted(renamed.rglob("*")) if path.is_file())
        file.rename(file.with_stem("another"))
        for what, others in (("weights", [alone, pictures]), ("samples", [weights, renamed]),
                             ("options", [weights, pictures, "--batch-size", "3"])):
            with self.subTest(what):
                words = [PROGRAMS / "embed", weights, pictures, "--device", "cpu", "--out", self.folder / "mixture"]
                done = Done([*ENGINE, "-np", "1", *words, ":", "-np", "1", words[0], *others, *words[3:]])
                self.assertEqual(done.code, 1, done.out + done.err)
                self.assertRegex(done.err, f"^embed: {what}: rank 1 has ")
                self.assertFalse((self.folder / "mixture").exists())

    def test_pictures(self):
        data = write_cifar10(self.folder / "cifar10")
        weights = self.same_run("train_cifar", "--dataset", "cifar10", "--data", data, "--width", "4", "--size", "8",
                                "--batch-size", "12")
        pictures = write_pictures(self.folder / "pictures", 11)
        self.same_embedding(weights, pictures)
        self.refuses_to_mix(weights, pictures)
        # mpirun makes a terminal for its first process, though what it says goes into a file or a pipe.
        said = self.run_program(1, "embed", weights, pictures, "--out", self.folder / "alone", engine=True)
        self.assertNotRegex(said, "[\r\033]")
        # What is exchanged lies in host memory: the ranks need no world of a kind of device.
        out = self.folder / "mixed"
        words = [PROGRAMS / "embed", weights, pictures, "--batch-size", "4", "--out", out, "--device"]
        done = Done([*ENGINE, "-np", "1", *words, "cpu", ":", "-np", "1", *words, "emu"])
        if "no emu support" not in done.err:
            self.assertEqual(done.code, 0, done.out + done.err)
            right = sum(read_npy(self.folder / f"embedded-{weights.name}-1" / "features.npy"), ())
            got = sum(read_npy(out / "features.npy"), ())
            self.assertLess(max(abs(a - b) for a, b in zip(got, right, strict=True)), 1e-3)

    def test_recordings(self):
        data = write_recordings(self.folder / "words")
        weights = self.same_run("train_speech", "--data", data, "--pattern", "{label}_{speaker}_{take}.wav", "--test",
                                "speaker=eve", "--rate", "8000", "--seconds", "0.3", "--mels", "16", "--width", "4",
                                "--batch-size", "12", "--noise", data)
        self.same_embedding(weights, data)

    def test_texts_with_dropout(self):
        write_texts(self.folder)
        for preset in ("bag", "gru", "transformer"):
            with self.subTest(preset=preset):
                weights = self.same_run("train_text", "--preset", preset, "--data", self.folder / "films.tsv", "--width",
                                        "8", "--batch-size", "16", "--dropout", "0.2")
                (self.folder / preset).symlink_to(weights)
                self.same_embedding(self.folder / preset, self.folder / "films.tsv")
                shutil.rmtree(weights)
                shutil.rmtree(weights.with_name(weights.name[:-1] + "1"))

    def test_clips(self):
        data = write_clips(self.folder / "clips")
        weights = self.same_run("train_video", "--data", data, "--pattern", "{label}/{session}_{}", "--test", "session=s0",
                                "--size", SIDE, "--width", "2", "--frames", "4", "--clips", "2", "--batch-size", "8",
                                first=3e-4, loss=3e-3, figure=0.05)  # so narrow a network makes 1e-7 of a view as much
        self.same_embedding(weights, data)

    def test_pairs_in_groups_with_a_learned_temperature(self):
        write_pictures(self.folder / "drawings", 20, 0)
        source = random.Random("captions")
        rows = [f"drawings/{i:02}.png,{source.choice(WORDS['good'])} {words} of number{i},{'ab'[i % 2]}"
                for i in range(20) for words in ("a drawing", "the view")]
        (self.folder / "captions.csv").write_text("\n".join(["image,caption,label", *rows]) + "\n")
        weights = self.same_run("train_pairs", "--data", self.folder / "captions.csv", "--size", "8", "--width", "4",
                                "--text-width", "8", "--batch-size", "8")
        self.same_embedding(weights, self.folder / "captions.csv", "--side", "second")


if __name__ == "__main__":
    if not shutil.which("mpirun"):
        print("skipped: there is no mpirun here (Debian: openmpi-bin)")
        sys.exit(77)
    unittest.main(verbosity=2)
