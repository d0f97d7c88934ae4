#!/usr/bin/env python3
"""train_cifar in several processes is one run: what one process trains, and one end for all.

usage: test_ranks.py

TRAIN_CIFAR is the built program, beside whose library libsimclr_mpi.so lies.
"""
import json
import math
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

from support.engine import ENGINE, LIMIT, Done, limited, ranks_below, runs
from support.runs import ENVIRONMENT, PROGRAM, SANITIZED, Base
from support.tiny_data import load_safetensors, write_cifar10, write_pictures
from test_shard_programs import write_shards


def engine(ranks, *options):
    return [*ENGINE, "-np", str(ranks), PROGRAM, *map(str, options)]


def log_of(out, event):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [entry for entry in lines if entry["event"] == event]


def losses_of(out):
    steps = log_of(out, "step")
    places = [(entry["epoch"], entry["step"]) for entry in steps]
    assert places == sorted(set(places)), places  # each once
    return [entry["loss"] for entry in steps]


class Ranks(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # So small a network is chaotic: at the preset's rate 1e-7 in step 1 is 0.01 in step 6, at this one 3e-6 in all.
        cls.options += ["--lr", "0.001"]
        cls.whole = cls.folder / "slow"
        done = cls.run_program(*cls.options, "--out", cls.whole)
        assert done.returncode == 0, done.stderr
        assert losses_of(cls.whole)[-1] < losses_of(cls.whole)[0] - 0.1, "nothing is learned"

    def train(self, ranks, *options):
        done = Done(engine(ranks, *options))
        self.assertEqual(done.code, 0, done.out + done.err)
        return done

    def check_losses(self, out, like, first=1e-6, last=1e-4):
        mine, right = losses_of(out), losses_of(like)
        self.assertEqual(len(mine), len(right))
        self.assertLess(abs(mine[0] - right[0]), first)
        self.assertLess(max(abs(a - b) for a, b in zip(mine, right)), last)

    def tensors(self, out):
        return (out / "model.safetensors").read_bytes()

    def test_ranks_train_what_one_process_does(self):
        for ranks in (2, 4):
            with self.subTest(ranks=ranks):
                out, again = self.out.with_name(f"ranks{ranks}"), self.out.with_name(f"again{ranks}")
                done = self.train(ranks, *self.options, "--out", out)
                self.check_losses(out, self.whole)
                for event in ("epoch", "knn", "evaluation"):
                    self.assertEqual(len(log_of(out, event)), len(log_of(self.whole, event)))
                self.assertEqual(done.out.count("trained 3 epochs in "), 1)
                self.assertIn(f"\n{ranks} processes, each on the CPU, 1 thread\n", done.out)
                self.assertTrue((out / "report.html").exists())
                self.train(ranks, *self.options, "--out", again)
                self.assertEqual(self.tensors(again), self.tensors(out))
        for one, two in zip(log_of(self.out.with_name("ranks2"), "knn"), log_of(self.whole, "knn")):
            self.assertLess(abs(one["alignment"] - two["alignment"]), 1e-4)

    def test_a_run_goes_on_with_another_number_of_ranks(self):
        for before, after in ((2, 1), (1, 2), (4, 2)):
            with self.subTest(before=before, after=after):
                out = self.out.with_name(f"resumed{before}{after}")
                options = [*self.options, "--out", out, "--checkpoint-minutes", "0", "--keep-checkpoints", "100"]
                self.run_ranks(before, *options)
                for file in out.glob("checkpoints/step-*.safetensors"):
                    if int(file.stem.partition("-")[2]) > 10:  # of 21, in the middle of the second epoch
                        file.unlink()
                (out / "model.safetensors").unlink()
                (out / "report.html").unlink()
                log = (out / "log.jsonl").read_text().splitlines(keepends=True)
                (out / "log.jsonl").write_text("".join(line for line in log if '"evaluation"' not in line))
                done = self.run_ranks(after, "--resume", "--out", out)
                self.assertIn("going on after 10 of 21 steps", done.out)
                self.check_losses(out, self.whole)
                self.assertTrue((out / "model.safetensors").exists())
        config = json.loads((out / "config.json").read_text())
        self.assertEqual(config["threads"], 4)  # of the machine: 4 ranks of one
        done = Done(engine(3, "--resume", "--out", out))
        self.assertEqual(done.code, 0, done.err)
        self.assertIn(f"the run in {out} is finished: ", done.out)
        (out / "model.safetensors").unlink()
        self.refused(*engine(3, "--resume", "--out", out),
                     words=["train_cifar: --resume: 3 ranks cannot share the run's batches of 8; start 2 or 4\n"])

    def run_ranks(self, ranks, *options):
        if ranks > 1:
            return self.train(ranks, *options)
        done = Done([PROGRAM, *options])
        self.assertEqual((done.code, done.err), (0, ""), done.out)
        return done

    def test_unreadable_pictures_are_replaced_as_in_one_process(self):
        data = self.folder / "pictures"
        for label in range(2):
            write_pictures(data / f"class{label}", 30, label)
        source = random.Random(1)
        files = sorted(data.rglob("*.png"))
        for file in source.sample(files, 12):
            file.write_bytes(file.read_bytes()[:60])
        options = [*self.changed("--dataset", "folder", "--data", data), "--no-evaluation"]
        one = self.out.with_name("damaged1")
        done = self.run_program(*options, "--out", one)
        self.assertEqual(done.returncode, 0, done.stderr)
        two = self.out.with_name("damaged2")
        both = self.train(2, *options, "--out", two)
        self.check_losses(two, one)
        skipped = [[entry["skipped_samples"] for entry in log_of(out, "epoch")] for out in (one, two)]
        self.assertEqual(skipped[0], skipped[1])
        self.assertGreater(skipped[0][-1], 6)
        said = [re.findall(r"^warning: (.*) \(sample skipped\)$", text, re.MULTILINE) for text in (done.stderr, both.err)]
        self.assertTrue(any(line.startswith("rank 1: ") for line in said[1]))
        self.assertEqual(set(said[0]), {line.removeprefix("rank 1: ") for line in said[1]})

    def test_a_broken_picture_is_named_in_training_and_evaluation_once(self):
        data = self.folder / "broken_pictures"
        for label in range(2):
            write_pictures(data / f"class{label}", 30, label)
        broken = sorted(data.rglob("*.png"))[7::10]
        for file in broken:
            file.write_bytes(file.read_bytes()[:60])
        both = self.train(2, *self.changed("--dataset", "folder", "--data", data), "--out", self.out.with_name("broken2"))
        said = re.findall(r"^warning: (?:rank 1: )?(.*) \(sample skipped\)$", both.err, re.MULTILINE)
        self.assertEqual(len(said), len(set(said)), both.err)
        self.assertGreaterEqual(len(said), 5, both.err)

    def test_pictures_are_decoded_once_for_all_ranks(self):
        """Once the first epoch has read them they may go: no rank decodes again what another has."""
        spill = self.folder / "spill"
        spill.mkdir()
        for options, kept in (((), r"16 in memory \(19.2 kB\)"),
                              (("--cache-gb", "5e-6", "--cache-dir", spill),
                               r"4 in memory \(4.8 kB\), 12 in a temporary file \(14.4 kB\)")):
            with self.subTest(options=options):
                data = self.folder / "going"
                for before in (data, self.out):
                    shutil.rmtree(before, ignore_errors=True)
                write_pictures(data, 16, 0)
                command = engine(2, *self.changed("--dataset", "folder", "--data", data, "--batch-size", "8", "--epochs", "5",
                                               "--knn-every", "1"), *options, "--out", self.out)
                with subprocess.Popen(limited(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
                    for line in process.stdout:
                        if line.startswith("decoded pictures are kept: "):
                            shutil.rmtree(data)
                            said = line
                    rest = process.stderr.read()
                self.assertEqual((process.returncode, rest), (0, ""), rest)
                self.assertRegex(said, rf" {kept}, once for the 2 processes of this host$")
        self.assertEqual(list(spill.iterdir()), [])

    def test_what_one_host_cannot_read_is_held_out_for_none(self):
        whole, torn = self.folder / "whole_pictures", self.folder / "torn_pictures"
        for data in (whole, torn):
            for label in range(2):
                write_pictures(data / f"class{label}", 30, label)
        for file in sorted(torn.rglob("*.png"))[45:]:  # of those that rank 1 looks at
            file.write_bytes(file.read_bytes()[:60])
        one, two = ([*self.changed("--dataset", "folder", "--data", data), "--no-evaluation", "--hold-out", "0.4"]
                    for data in (torn, whole))
        right = self.run_program(*one, "--out", self.out.with_name("torn1"))
        out = self.out.with_name("torn2")
        done = Done([*ENGINE, "-np", "1", PROGRAM, *two, "--out", out, ":", "-np", "1", PROGRAM, *one, "--out", out])
        self.assertEqual((right.returncode, done.code), (0, 0), right.stderr + done.out + done.err)
        held = [re.findall(r" on (\d+) held-out samples ", text) for text in (done.out, right.stdout)]
        self.assertEqual(held[0], held[1])
        self.assertEqual(len(held[0]), 3)
        every = int(re.search(r"(\d+) pictures held out", done.out).group(1))
        self.assertLess(int(held[0][0]), every - 1)

    def test_more_than_half_unreadable_over_all_ranks_ends_the_run(self):
        data = self.folder / "mostly_damaged"
        for label in range(2):
            write_pictures(data / f"class{label}", 30, label)
        for file in random.Random(2).sample(sorted(data.rglob("*.png")), 36):
            file.write_bytes(file.read_bytes()[:60])
        options = [*self.changed("--dataset", "folder", "--data", data), "--no-evaluation", "--checkpoint-minutes", "0"]
        done = self.refused(*engine(2, *options, "--out", self.out),
                            words=["s cannot be read, more than half; check the data, which the warnings name; the checkpoint "
                                   "of step 6 is kept: once the pictures can be read, go on with train_cifar --resume"])
        self.assertLess(done.seconds, LIMIT - 10)
        self.assertIn(" (sample skipped)\n", done.err)

    def test_views_that_a_device_makes_are_shared_alike(self):
        options = [*self.changed("--epochs", "1"), "--views-on", "device", "--no-evaluation"]
        one, two = self.out.with_name("device1"), self.out.with_name("device2")
        self.good(*options, "--out", one)
        self.train(2, *options, "--out", two)
        self.check_losses(two, one)

    @unittest.skipIf(os.environ.get("WITH_SHARDS") == "0", "no libarchive in this build")
    def test_shards_are_read_by_all(self):
        for label in range(3):
            write_pictures(self.folder / "of_shards" / f"class{label}", 10, 3 * label)
        shards = self.folder / "shards"
        write_shards(self.folder / "of_shards", [shards / f"{k}.tar" for k in range(3)])
        options = [*self.changed("--dataset", "shards", "--data", shards / "{0..2}.tar"), "--no-evaluation",
                   "--cache-dir", self.folder / "cache"]
        one, two = self.out.with_name("shards1"), self.out.with_name("shards2")
        self.assertIn("30 pictures in 3 shards in ", self.good(*options, "--out", one))
        self.train(2, *options, "--out", two)
        self.check_losses(two, one)

    def test_ranks_on_another_device_are_shown(self):
        done = Done(engine(2, *self.changed("--epochs", "1", "--device", "emu", "--knn-every", "0"), "--no-evaluation", "--out",
                           self.out))
        if "no emu support" in done.err:
            self.skipTest("this build has no emulated device")
        self.assertEqual(done.code, 0, done.out + done.err)
        self.assertRegex(done.out, r"\n2 processes, each on emu(:0)? in \w+, ")

    @unittest.skipIf(SANITIZED, "the sanitizers' programs are too slow on it")
    def test_memory_that_ends_on_one_rank_ends_all(self):
        options = [*self.changed("--epochs", "1", "--device", "emu", "--batch-size", "32", "--knn-every", "0"),
                   "--no-evaluation", "--out", self.out]
        done = Done([*engine(1, *options), ":", "-np", "1", "env", "SIMCLR_EMU_MEMORY=3000000", PROGRAM, *options])
        if "no emu support" in done.err:
            self.skipTest("this build has no emulated device")
        self.assertNotIn(done.code, (0, 124, 137), done.out)
        self.assertRegex(done.err, r"(^|\n)train_cifar: out of memory on emu: asked for .*, on rank 1 of 2\. Try a "
                                   r"smaller --micro-batch, or more ranks on more machines\n")
        self.assertLess(done.seconds, LIMIT - 10)

    def test_a_full_disk_of_the_first_rank_ends_all(self):
        options = [*self.changed("--epochs", "15", "--knn-every", "0"), "--no-evaluation", "--out", self.out]
        process = self.start(2, *options, "--checkpoint-minutes", "0", after=5)
        ranks = ranks_below(process.pid)
        resource.prlimit(ranks[0], resource.RLIMIT_FSIZE, (50_000, 50_000))  # less than a checkpoint
        out, error = process.communicate()
        self.assertNotIn(process.returncode, (0, 124, 137), out)
        self.assertRegex(error, r"(^|\n)train_cifar: .*unproven.safetensors: writing failed: File too large; make ")
        begin = time.monotonic()
        while any(map(runs, ranks.values())) and time.monotonic() - begin < 60:
            time.sleep(0.1)
        self.assertLess(time.monotonic() - begin, 60)
        self.assertRegex(self.good("--resume", "--out", self.out), r"going on after \d+ of 105 steps")

    def refused(self, *command, words):
        done = Done(command)
        self.assertNotIn(done.code, (0, 124, 137), done.out)
        for word in words:
            self.assertEqual(done.err.count(word), 1, done.err)  # not once a rank
        return done

    def test_what_ranks_cannot_do_together_is_refused(self):
        self.refused(*engine(2, *self.changed("--batch-size", "9"), "--out", self.out),
                     words=["--batch-size: batch_size 9 for 2 ranks, which hold as many samples each; 8 and 10 fit\n"])
        self.refused(*engine(2, *self.changed("--batch-size", "9"), "--resume", "--out", self.out),  # begins afresh
                     words=["; 8 and 10 fit\n"])
        self.refused(*engine(2, *self.changed("--epochs", "few"), "--out", self.out),
                     words=["train_cifar: --epochs few: "])
        self.refused(*engine(2, *self.changed("--data", "none"), "--out", self.out),
                     words=["train_cifar: cifar10: there is no folder none; "])
        other = self.changed("--seed", "4")
        self.refused(*ENGINE, "-np", "1", PROGRAM, *map(str, self.options), "--out", self.out, ":",
                     "-np", "1", PROGRAM, *map(str, other), "--out", self.out,
                     words=['train_cifar: options: rank 1 has "seed 4", rank 0 "seed 3"; '
                            "start all ranks alike\n"])
        self.refused(*ENGINE, "-np", "1", PROGRAM, *map(str, self.options), "--out", self.out, ":",
                     "-np", "1", PROGRAM, *map(str, self.changed("--data", "none")), "--out", self.out,
                     words=["train_cifar: rank 1: cifar10: there is no folder none; "])
        version = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()
        own = f"train_cifar {version}"
        for more, said in (("--check", ", to check"), ("--resume", ", to go on, without a run in --out")):
            self.refused(*ENGINE, "-np", "1", PROGRAM, *map(str, self.options), "--out", self.out, ":",
                         "-np", "1", PROGRAM, *map(str, self.options), more, "--out", self.out,
                         words=[f'train_cifar: program: rank 1 has "{own}{said}", rank 0 "{own}"; start all ranks alike\n'])
        self.refused(*ENGINE, "-np", "1", PROGRAM, *map(str, self.options), "--out", self.out, ":",
                     "-np", "1", pathlib.Path(PROGRAM).with_name("embed"), self.whole, self.data,
                     words=[f'program: rank 1 has "embed {version}", rank 0 "{own}"; '])
        data = write_cifar10(self.folder / "fewer", each=11)
        self.refused(*ENGINE, "-np", "1", PROGRAM, *map(str, self.options), "--out", self.out, ":",
                     "-np", "1", PROGRAM, *map(str, self.changed("--data", data)), "--out", self.out,
                     words=['train_cifar: data: rank 1 has "55 pictures to train on", rank 0 "60 pictures to train on"; '
                            "start all ranks alike\n"])
        self.assertFalse((self.out / "log.jsonl").exists())

    def test_check_measures_with_the_ranks(self):
        done = Done(engine(2, *self.changed("--batch-size", "16"), "--check", "--out", self.out))
        self.assertEqual(done.code, 1)
        self.assertNotIn("train_cifar: ", done.err)
        for said in (r"one batch of 16 pictures, \d+ steps: loss ", r"time: [\d.e-]+ s a step \(measured\), 3 epochs of 3 steps",
                     r"communication: each of 2 processes sends [\d.]+ MB a step in \d+ calls, \d+ % of its time, with "
                     "waiting for the others$", r"- batch size: 16 pictures"):
            self.assertEqual(len(re.findall(r"^" + said, done.out, re.MULTILINE)), 1, done.out)
        sent, calls = map(float, re.search(r"sends ([\d.]+) MB a step in (\d+) calls", done.out).groups())
        weights = sum(math.prod(shape) for name, (_, shape, _) in load_safetensors(self.whole / "model.safetensors")[1].items()
                      if "running" not in name)
        self.assertTrue(4e-6 * weights < sent < 1.5 * 4e-6 * weights, sent)  # the gradients, once for two ranks
        self.assertEqual([path.name for path in self.out.iterdir()], ["check-views.png"])

    def test_a_loss_that_is_not_finite_ends_all_ranks(self):
        done = self.refused(*engine(2, *self.changed("--lr", "1e30"), "--checkpoint-minutes", "0", "--out", self.out),
                            words=["NaN or Inf at epoch 1, step "])
        self.assertLess(done.seconds, LIMIT - 10)

    def start(self, ranks, *options, after):
        """A run, once it has done so many steps."""
        process = subprocess.Popen(limited(engine(ranks, *options)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        deadline = time.monotonic() + 60
        while self.steps() < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return process

    def long(self):
        return [*self.changed("--epochs", "60", "--knn-every", "0"), "--no-evaluation", "--out", self.out]

    def test_a_signal_to_one_rank_stops_all_and_keeps_a_checkpoint(self):
        for rank in (1, 0):
            with self.subTest(rank=rank):
                shutil.rmtree(self.out, ignore_errors=True)
                process = self.start(2, *self.long(), after=5)
                os.kill(ranks_below(process.pid)[rank], signal.SIGTERM)
                out, error = process.communicate()
                self.assertEqual(process.returncode, 128 + signal.SIGTERM, out + error)
                done = int(re.search(r"^stopped; (\d+) of 420 steps are done", out, re.MULTILINE).group(1))
                self.assertEqual(len(losses_of(self.out)), done)
                state = self.newest(self.out)
                self.assertEqual(7 * state["epoch"] + state["step"], done)
                self.assertTrue((self.out / "report.html").exists())

    def test_a_rank_that_is_killed_or_hangs_ends_all(self):
        for how, said in ((signal.SIGKILL, "signal 9"), (signal.SIGSTOP, r"has waited 30? s for the other ranks")):
            for rank in (0, 1):
                with self.subTest(how=how, rank=rank):
                    shutil.rmtree(self.out, ignore_errors=True)
                    process = self.start(2, *self.long(), "--world-timeout", "3", "--checkpoint-minutes", "0", after=5)
                    ranks = ranks_below(process.pid)
                    os.kill(ranks[rank], how)
                    begin = time.monotonic()
                    out, error = process.communicate()
                    self.assertNotEqual(process.returncode, 0, out + error)
                    self.assertRegex(error, said)
                    while any(map(runs, ranks.values())) and time.monotonic() - begin < 60:
                        time.sleep(0.1)
                    self.assertLess(time.monotonic() - begin, 60)
                    self.assertIn("going on after ", self.good("--resume", "--out", self.out))
                    self.assertEqual(len(losses_of(self.out)), 420)

    def test_threads_that_are_more_than_the_processors_are_told(self):
        threads = str(os.cpu_count())  # of each: twice as many as there are
        done = self.train(2, *self.changed("--threads", threads, "--epochs", "1"), "--no-evaluation", "--out", self.out)
        said = (rf"^warning: 2 ranks of {threads} threads? on \d+ processors? take turns, which is slow: start fewer "
                r"ranks, or lower --threads$")
        self.assertEqual(len(re.findall(said, done.err, re.MULTILINE)), 1, done.err)


if __name__ == "__main__":
    if not shutil.which("mpirun"):
        print("skipped: there is no mpirun here (Debian: openmpi-bin)")
        sys.exit(77)
    unittest.main(verbosity=2)
