"""Runs that end early and go on, and runs that are repeated, as a user does it. TRAIN_CIFAR names the built program."""
import json
import math
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from support.tiny_data import load_safetensors, write_cifar10, write_pictures

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
SANITIZED = bool(PROGRAM) and b"libasan" in pathlib.Path(PROGRAM).read_bytes()
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
TIMES = {"time", "seconds", "samples_per_second", "training_seconds"}  # differ from run to run


def entries(out):
    """The log, without what differs between two equal runs."""
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in TIMES}
            for entry in log if entry["event"] != "resume"]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_cifar10(cls.folder / "cifar10")
        cls.options = ["--dataset", "cifar10", "--data", cls.data, "--width", "4", "--size", "8", "--batch-size", "8",
                       "--epochs", "3", "--threads", "1", "--probe-epochs", "2", "--knn-samples", "20", "--knn-every",
                       "1", "--device", "cpu", "--seed", "3"]
        cls.whole = cls.folder / "whole"
        done = cls.run_program(*cls.options, "--out", cls.whole)
        assert done.returncode == 0, done.stderr

    def setUp(self):
        self.out = self.folder / self.id().rsplit(".", 1)[1]

    @classmethod
    def changed(cls, *pairs):
        """The options with other values."""
        options = list(cls.options)
        for name, value in zip(pairs[::2], pairs[1::2]):
            options[options.index(name) + 1] = value
        return options

    @classmethod
    def run_program(cls, *options):
        return subprocess.run([PROGRAM, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, env=ENVIRONMENT)

    def good(self, *options):
        done = self.run_program(*options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def bad(self, *options, words):
        done = self.run_program(*options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"\Atrain_cifar: [^\n]{10,500}\n\Z")
        for word in words:
            self.assertIn(str(word), done.stderr)

    def stop(self, number, *options, after, times=1):
        """Sends a signal once `after`() is true; the output."""
        process = subprocess.Popen([PROGRAM, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        deadline = time.monotonic() + 60
        while not after() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.0005)
        out, error = process.communicate(timeout=120)
        self.assertEqual((process.returncode, error), (128 + number, ""), out)
        return out

    def steps(self):
        log = self.out / "log.jsonl"
        return log.read_text().count('"step",') if log.exists() else 0

    def same_as_whole(self):
        self.assertEqual((self.out / "model.safetensors").read_bytes(),
                         (self.whole / "model.safetensors").read_bytes())
        self.assertEqual(entries(self.out), entries(self.whole))
        states = [{key: value for key, value in self.newest(run).items() if key not in ("seconds", "log_bytes")}
                  for run in (self.out, self.whole)]
        self.assertEqual(states[0], states[1])

    @staticmethod
    def newest(run):
        """The state of a run in its newest checkpoint."""
        metadata, _ = load_safetensors(max(run.glob("checkpoints/step-*.safetensors")))
        return json.loads(metadata["run"])


class Resume(Base):
    def test_stopped_runs_go_on_to_the_same_bits(self):
        options = [*self.options, "--out", self.out]
        steps, seconds = random.Random(1).sample(range(1, 20), 3), []
        for number, step in zip((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), sorted(steps)):
            resume = ["--resume"] if self.out.exists() else []
            wanted = max(step, self.steps() + 1)
            text = self.stop(number, *options, *resume, after=lambda: self.steps() >= wanted)
            self.assertIn(f"Go on with: train_cifar --resume --out {self.out}", text)
            self.assertRegex(text, r"\nstopped; \d+ of 21 steps are done\.")
            self.assertFalse((self.out / "model.safetensors").exists())
            seconds.append(self.newest(self.out)["seconds"])
        text = self.good("--resume", "--out", self.out)  # what it said, word for word
        self.assertIn("going on after ", text)
        self.same_as_whole()
        seconds.append(self.newest(self.out)["seconds"])
        self.assertEqual(seconds, sorted(set(seconds)))  # the time of all parts is counted
        self.assertGreater(seconds[0], 0)

    def test_a_finished_run_is_only_evaluated_again(self):
        shutil.copytree(self.whole, self.out)
        (self.out / "model.safetensors").unlink()
        text = self.good("--resume", "--out", self.out)
        self.assertIn("going on after 21 of 21 steps", text)
        self.assertIn("kNN top-1", text)
        self.same_as_whole()

    def test_workers_are_kept(self):
        shutil.copytree(self.whole, self.out)
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual(config["workers"], 0)
        (self.out / "config.json").write_text(json.dumps(config | {"workers": 1}))  # once the default
        self.good("--resume", "--out", self.out)
        self.assertEqual(json.loads((self.out / "config.json").read_text())["workers"], 1)

    def test_output_that_nobody_reads(self):
        """As `train_cifar ... | head -1`: a stop like any other."""
        options = [*self.options, "--out", self.out]
        process = subprocess.Popen([PROGRAM, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=ENVIRONMENT)
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read().decode()
        self.assertEqual(process.wait(timeout=120), 128 + signal.SIGPIPE, error)
        self.assertRegex(error, r"\Atrain_cifar: nobody reads the output; stopped; \d+ of 21 steps are done\. Go on with: ")
        self.assertTrue((self.out / "report.html").exists())
        self.good("--resume", "--out", self.out)
        self.same_as_whole()

    def test_stopped_in_the_evaluation(self):
        begun = lambda: self.out.exists() and (self.out / "model.safetensors").exists()
        text = self.stop(signal.SIGINT, *self.options, "--out", self.out, after=begun)
        self.assertIn("stopped; 21 of 21 steps are done", text)

    def test_a_report_that_cannot_be_written(self):
        """The run has succeeded all the same, or says how to go on."""
        report = self.out / "report.html"
        begun = lambda: self.steps() >= 2 and (report.exists() or not report.mkdir())
        refused = rf"\nno report: [^\n]*{report}[^\n]+\n\Z"
        self.assertRegex(self.stop(signal.SIGINT, *self.options, "--out", self.out, after=begun), refused)
        self.assertRegex(self.good("--resume", "--out", self.out), refused)
        self.assertEqual((list(report.iterdir()), list(self.out.glob("*.simclr-tmp*"))), ([], []))
        self.same_as_whole()

    def test_no_checkpoint_of_a_diverged_step(self):
        options = [*self.options, "--out", self.out, "--lr", "1e30", "--checkpoint-minutes", "0"]
        for resume in ([], ["--resume"]):  # which comes to the same end
            self.bad(*options, *resume, words=("NaN or Inf at epoch 1, step 2: encoder.",))
            saved, = (self.out / "checkpoints").iterdir()
            self.assertEqual(saved.name, "step-00000001.safetensors")
            for name, (_, _, data) in load_safetensors(saved)[1].items():
                self.assertTrue(all(map(math.isfinite, struct.unpack(f"<{len(data) // 4}f", data))), name)

    def test_before_the_first_checkpoint_it_starts_afresh(self):
        text = self.good(*self.options, "--out", self.out, "--resume")
        self.assertIn(f"no checkpoint in {self.out} yet, so it starts afresh", text)
        self.same_as_whole()

    def test_the_last_are_kept(self):
        """No best one: without --hold-out there is nothing to choose it on."""
        self.good(*self.options, "--out", self.out, "--checkpoint-minutes", "0", "--keep-checkpoints", "2")
        names = {path.name for path in (self.out / "checkpoints").iterdir()}
        self.assertEqual(names, {"step-00000020.safetensors", "step-00000021.safetensors"})
        (self.out / "checkpoints" / "step-00000021.safetensors").unlink()
        (self.out / "model.safetensors").unlink()  # with it, the run is finished
        self.assertIn("going on after 20 of 21 steps", self.good("--resume", "--out", self.out))
        self.assertNotIn("best", self.newest(self.out))
        self.same_as_whole_weights()

    def test_the_best_is_chosen_on_what_is_held_out(self):
        for every, looked_at in (("1", [1, 2, 3]), ("2", [2, 3]), ("100", [3])):
            with self.subTest(every=every):
                options = [*self.changed("--knn-every", every), "--hold-out", "0.2", "--out", self.out]
                text = self.good(*options, "--overwrite")
                self.assertIn("12 pictures held out, to choose the best checkpoint on\n", text)  # 1 of each 5
                self.assertIn("48 samples of CIFAR-10 train: 60 pictures", text)
                self.assertRegex(text, r"\nepoch 3: kNN \d+\.\d\d % on 12 held-out samples by 20 others, ")
                scores = {entry["epoch"]: entry["top1"] for entry in entries(self.out) if entry["event"] == "knn"}
                self.assertEqual(list(scores), looked_at)
                metadata, tensors = load_safetensors(self.out / "checkpoints" / "best.safetensors")
                state = json.loads(metadata["run"])
                # Of equal ones the first.
                self.assertEqual((state["epoch"], state["best"]), max(scores.items(), key=lambda item: item[1]))
                self.assertEqual(self.newest(self.out)["best"], state["best"])
                self.assertIn("optimizer.momentum.encoder.conv1.weight", tensors)
        weights = (self.out / "model.safetensors").read_bytes()
        again = self.folder / "again"
        self.good(*options[:-1], again)
        self.assertEqual((again / "model.safetensors").read_bytes(), weights)
        self.bad("--resume", "--out", self.out, "--hold-out", "0.3", words=("--hold-out 0.3: ", "has 0.2"))

    def test_a_part_of_a_part(self):
        text = self.good(*self.options, "--hold-out", "0.2", "--limit", "24", "--no-evaluation", "--out", self.out)
        self.assertIn("\n24 of 48 samples of CIFAR-10 train: 60 pictures", text)

    def test_what_cannot_be_held_out(self):
        self.bad(*self.options, "--out", self.out, "--hold-out", "1", words=("--hold-out 1: ", "below 1"))
        self.bad(*self.options, "--out", self.out, "--hold-out", "-0.1", words=("--hold-out -0.1: ",))
        self.bad(*self.changed("--knn-every", "0"), "--out", self.out, "--hold-out", "0.1", words=("--knn-every 0",))
        flat = write_pictures(self.folder / "nameless", 24)
        self.bad("--dataset", "folder", "--data", flat, *self.options[4:], "--out", self.out, "--hold-out", "0.1",
                 words=("--hold-out 0.1: ", "there are none"))
        self.assertFalse(self.out.exists())

    def test_damaged_checkpoints(self):
        self.good(*self.options, "--out", self.out, "--checkpoint-minutes", "0")
        newest, older, oldest = sorted(self.out.glob("checkpoints/step-*"), reverse=True)
        os.truncate(newest, 5000)
        (self.out / "model.safetensors").unlink()
        done = self.run_program("--resume", "--out", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("trying the one before", done.stderr)
        self.same_as_whole_weights()
        for path in self.out.glob("checkpoints/step-*"):
            os.truncate(path, 5000)
        (self.out / "model.safetensors").unlink()  # with it, the run is finished
        done = self.run_program("--resume", "--out", self.out)
        self.assertEqual((done.returncode, done.stderr.count("trying the one before")), (1, 3), done.stderr)
        self.assertRegex(done.stderr, r"\ntrain_cifar: checkpoints: none of the 3 in [^\n]+ can be used[^\n]+\n\Z")

    def same_as_whole_weights(self):
        """The configurations differ: --checkpoint-minutes."""
        ours, theirs = (load_safetensors(out / "model.safetensors")[1] for out in (self.out, self.whole))
        self.assertEqual(ours, theirs)

    def test_another_run_is_refused(self):
        shutil.copytree(self.whole, self.out)
        before = {path: path.read_bytes() for path in self.out.rglob("*") if path.is_file()}
        self.bad("--resume", "--out", self.out, "--lr", "0.5", words=("--lr 0.5: ", "has 0.06"))
        self.bad("--resume", "--out", self.out, "--brightness", "0.1", words=("--brightness 0.1: ", "has 0.4"))
        self.bad("--resume", "--out", self.out, "--dataset", "fashion-mnist",
                 words=("--dataset fashion-mnist: ", "cifar10", "leave it as it was"))
        self.bad("--resume", "--out", self.out, "--preset", "google", words=("--preset google", "quick"))
        config = self.out / "config.json"
        config.write_text(before[config].decode().replace('"dataset": "cifar10"', '"dataset": "cifar100"'))
        self.bad("--resume", "--out", self.out, words=(f'{config}: "dataset": cifar100: ', 'has "cifar10"', "leave it as it was"))
        edited = json.loads(before[config])
        edited["augmentation"]["size"] = 9
        config.write_text(json.dumps(edited))
        self.bad("--resume", "--out", self.out, words=(f'{config}: "augmentation.size": 9: contradicts {config}: "size": 8; leave it out',))
        config.write_bytes(before[config])
        (self.out / "model.safetensors").unlink()  # without it, a checkpoint is loaded
        del before[self.out / "model.safetensors"]
        for name, value, was in (("width", "8", "4"), ("arch", "resnet34", "resnet18"), ("stem", "imagenet", "cifar"),
                                 ("head-out", "8", "128"), ("lr", "0.5", "0.06")):
            self.bad("--resume", "--out", self.out, f"--{name}", value, words=(name.split("-")[0], was, value, "as it was"))
        pictures = write_cifar10(self.folder / "more")
        with open(pictures / "data_batch_1.bin", "ab") as file:
            file.write((self.data / "data_batch_1.bin").read_bytes()[:3073])
        self.bad("--resume", "--out", self.out, "--data", pictures, words=("60 training pictures", "61"))
        self.bad("--resume", words=("--resume needs --out",))
        self.bad("--resume", "--out", self.out, "--overwrite", words=("give one of them",))
        self.assertEqual({path: path.read_bytes() for path in self.out.rglob("*") if path.is_file()}, before)

    def test_another_device_is_said(self):
        shutil.copytree(self.whole, self.out)
        (self.out / "model.safetensors").unlink()  # with it, the run is finished
        done = self.run_program("--resume", "--out", self.out, "--device", "emu", "--dtype", "f32", "--no-evaluation")
        if "no emu support" in done.stderr:
            self.skipTest("this build has no emulated device")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("went on with device \"cpu\" so far, and now \"emu\"", done.stderr)

    def test_a_second_signal_does_not_cut_the_checkpoint(self):
        """As `timeout` sends it: to the program, and to its group."""
        text = self.stop(signal.SIGINT, *self.changed("--epochs", "2000"), "--out", self.out,
                         after=lambda: self.steps() >= 4, times=2)
        self.assertIn("stopped; ", text)
        self.newest(self.out)

    def test_threads_change_nothing(self):
        weights = []
        for threads in ("1", "3"):  # at sizes that are cut into pieces
            out = self.out / threads
            self.good(*self.changed("--width", "16", "--size", "16", "--batch-size", "30", "--epochs", "1", "--threads",
                                    threads), "--no-evaluation", "--out", out)
            weights.append(load_safetensors(out / "model.safetensors")[1])
        self.assertEqual(*weights)

    def test_two_processes_do_not_share_a_run(self):
        import fcntl
        shutil.copytree(self.whole, self.out)
        with open(self.out / "log.jsonl", "a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            self.bad("--resume", "--out", self.out, words=("another process",))

    def run_within(self, limit, value, *more):
        """The program under what the shell's `ulimit` sets."""
        return subprocess.run([PROGRAM, *map(str, self.options), *map(str, more)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=ENVIRONMENT, timeout=120,
                              preexec_fn=lambda: resource.setrlimit(limit, (value, value)))

    def assert_one_line(self, done, words):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, rf"\Atrain_cifar: [^\n]*{re.escape(words)}[^\n]*\n\Z")

    def test_limit_of_a_file(self):
        self.assert_one_line(self.run_within(resource.RLIMIT_FSIZE, 20000, "--out", self.out),
                             "File too large; make room")

    @unittest.skipIf(SANITIZED, "the sanitizers open files of their own")
    def test_limit_of_open_files(self):
        self.assert_one_line(self.run_within(resource.RLIMIT_NOFILE, 8, "--out", self.out),
                             "Too many open files); raise the limit of open files")

    @unittest.skipIf(SANITIZED, "the sanitizers reserve terabytes of addresses")
    def test_limit_of_memory(self):
        for megabytes in range(100, 0, -5):  # how little is too little differs from build to build
            done = self.run_within(resource.RLIMIT_AS, megabytes << 20, "--out", self.out / str(megabytes))
            if done.returncode != 0:
                break
        self.assert_one_line(done, "out of memory")

    def test_overwritten_runs_are_gone(self):
        shutil.copytree(self.whole, self.out)
        self.good(*self.changed("--epochs", "1"), "--out", self.out, "--overwrite")
        self.assertEqual({path.name for path in self.out.glob("checkpoints/step-*")}, {"step-00000007.safetensors"})
        short, whole = (entries(run)[-1] for run in (self.out, self.whole))  # the evaluations
        self.assertEqual(short["untrained"], whole["untrained"])
        self.assertNotEqual(short["trained"]["effective_rank"], whole["trained"]["effective_rank"])
        self.bad(*self.options, "--lr", "1e30", "--out", self.out, "--overwrite", words=("NaN or Inf",))
        names = {path.name for path in self.out.iterdir() if not path.name.startswith("events.")}
        self.assertEqual(names, {"config.json", "log.jsonl"})  # no report of another run

    def test_unlabelled(self):
        pictures = write_pictures(self.folder / "flat", 24)
        options = ["--dataset", "folder", "--data", pictures, *self.options[4:], "--out"]
        whole = self.folder / "flat-whole"
        self.good(*options, whole)
        self.stop(signal.SIGINT, *options, self.out, after=lambda: self.steps() >= 4)
        self.good("--resume", "--out", self.out)
        self.assertEqual((self.out / "model.safetensors").read_bytes(), (whole / "model.safetensors").read_bytes())
        self.assertEqual(entries(self.out), entries(whole))

    def test_micro_batches(self):
        options = [*self.options, "--out", self.folder / "micro-whole", "--micro-batch"]
        self.good(*options, "8")  # the whole batch
        ours, theirs = (load_safetensors(out / "model.safetensors")[1] for out in (self.folder / "micro-whole", self.whole))
        self.assertEqual(ours, theirs)
        self.whole = self.folder / "micro-whole"
        self.assertIn("micro-batches of at most 3 of its 8 pictures", self.good(*options, "3", "--overwrite"))
        self.assertNotEqual(load_safetensors(self.whole / "model.safetensors")[1], theirs)
        self.assertIn("<dt>micro_batch</dt><dd>3</dd>", (self.whole / "report.html").read_text())
        self.stop(signal.SIGINT, *self.options, "--out", self.out, "--micro-batch", "3", after=lambda: self.steps() >= 4)
        self.bad("--resume", "--out", self.out, "--micro-batch", "4", words=("--micro-batch 4: ", "has 3"))
        self.good("--resume", "--out", self.out)
        self.same_as_whole()


class Config(Base):
    def write(self, text):
        path = self.folder / (self.out.name + ".json")
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def refused(self, text, *words):
        self.bad("--config", self.write(text), "--out", self.out, words=words)
        self.assertFalse(self.out.exists())

    def test_a_run_repeats_from_its_config(self):
        self.good("--config", self.whole / "config.json", "--out", self.out)
        self.same_as_whole()
        self.assertEqual((self.out / "config.json").read_bytes(), (self.whole / "config.json").read_bytes())

    def test_every_recipe_survives_its_config(self):
        odd = ["--crop-min", "0.3", "--hue", "0.05", "--stem", "imagenet", "--no-evaluation", "--no-graph", "--workers",
               "2", "--rotation-degrees", "7", "--rotation-probability", "0.25"]
        for preset in ("quick", "reference", "lightly", "google", "solo-learn", "paper"):
            base = ["--preset", preset, *self.changed("--epochs", "1", "--seed", str(2**64 - 1)), *odd, "--arch",
                    "resnet18", "--head-hidden", "8", "--head-out", "8"]
            first, second = self.folder / f"{preset}-1", self.folder / f"{preset}-2"
            with self.subTest(preset=preset):
                self.good(*base, "--warmup-epochs", "0", "--out", first)
                self.good("--config", first / "config.json", "--out", second)
                self.assertEqual((first / "config.json").read_text(), (second / "config.json").read_text())
                self.assertEqual((first / "model.safetensors").read_bytes(),
                                 (second / "model.safetensors").read_bytes())

    def test_options_stand_on_top(self):
        self.good("--config", self.whole / "config.json", "--epochs", "1", "--no-evaluation", "--out", self.out)
        config = json.loads((self.out / "config.json").read_text())
        expected = json.loads((self.whole / "config.json").read_text())
        self.assertEqual(config, expected | {"epochs": 1, "evaluation": False})

    def test_what_follows_from_others(self):
        """The views' size and channels are written, but are no options: a file that says otherwise is refused, unless the
        command line changes what they follow from."""
        own = {"size": 8, "dataset": "cifar10", "data": str(self.data), "batch_size": 8, "width": 4, "epochs": 1}
        for augmentation, words in (({"size": 9}, '"augmentation.size": 9: contradicts '),
                                    ({"channels": 1}, '"augmentation.channels": 1: contradicts the 3 channels of cifar10')):
            path = self.write(own | {"augmentation": augmentation})
            self.bad("--config", path, "--out", self.out, words=(f"{path}: {words}", "leave it out"))
        self.assertFalse(self.out.exists())
        self.good("--config", self.whole / "config.json", "--size", "10", "--epochs", "1", "--no-evaluation", "--out", self.out)
        self.assertEqual(json.loads((self.out / "config.json").read_text())["augmentation"]["size"], 10)

    def test_a_short_config_is_a_changed_preset(self):
        path = self.write({"preset": "lightly", "epochs": 1})
        text = self.run_program("--config", path, "--help").stdout
        self.assertIn("--epochs INT=1 ", text)
        self.assertIn("--lr FLOAT=0.12", text)

    def test_bad_configs(self):
        self.refused({"epoch": 3}, '"epoch" is not known', 'did you mean "epochs"')
        self.refused({"augmentation": {"hew": 0.1}}, "augmentation", '"hew"', 'did you mean "hue"')
        self.refused({"out": "x"}, '"out" is not known\n')
        self.refused({"temprature": 0.1}, 'did you mean "temperature"')
        self.refused({"batch-size": 8}, 'did you mean "batch_size"?')
        self.refused({"hue": 0.1}, 'did you mean "augmentation.hue"?')
        self.refused({"crop_min": 0.1}, 'did you mean "augmentation.crop_area_min"?')
        self.refused({"augmentation": {"epochs": 3}}, 'did you mean "epochs" outside of this group?')
        self.refused({"frobnicate": 1}, '"frobnicate" is not known\n')
        self.refused({"epochs": "many"}, '"epochs"', "must be an integer")
        self.refused({"epochs": 1.5}, '"epochs"', "must be an integer")
        self.refused({"epochs": 1e30}, '"epochs"', "must be an integer")
        self.refused({"epochs": 2**40}, '"epochs"', "out of range")
        self.refused({"seed": -1}, '"seed"', "must be a whole number from 0 to 18446744073709551615")
        self.refused({"lr": True}, '"lr"', "must be a number")
        self.refused({"graph": 1}, '"graph"', "must be true or false")
        self.refused({"arch": 18}, '"arch"', "must be one of resnet18, resnet34, resnet50")
        self.refused({"data": 18}, '"data"', "must be a text")
        self.refused({"arch": "resnet19"}, '"arch": "resnet19"', "resnet18, resnet34, resnet50")
        self.refused({"stem": "big"}, '"stem"', "must be cifar or imagenet")
        self.refused({"augmentation": {"crop_aspect": [0.1]}}, '"augmentation.crop_aspect"', "must be 2 numbers")
        self.refused({"augmentation": {"mean": [0, 0, "x"]}}, '"augmentation.mean"', "must be a number")
        self.refused({"augmentation": 3}, '"augmentation"', "must be an object")
        self.refused({"temperature": 0}, '"temperature": 0', "must be at least 1e-05")
        self.refused({"augmentation": {"crop_area_min": 0.5, "crop_area_max": 0.4}}, '"augmentation.crop_area_min": 0.5')
        self.refused({"preset": "google", "epochs": 1}, '"epochs": 1', "preset google warms up")
        self.refused({"preset": "fast"}, '"fast"', "quick")
        self.refused('{"lr": 0.1, "lr": 0.2}', '"lr" occurs twice')
        self.refused('{"augmentation": {"hue": 0.1, "hue": 0.2}}', '"hue" occurs twice')
        self.refused('{"lr": 0.1', "not JSON at its byte")
        self.refused('{"lr": 1e999}', "out of range")
        self.refused("[1]", "a configuration is a JSON object")
        self.refused("", "not JSON")
        self.refused("[" * 100_000, "nested too deeply")
        self.refused(" " * (1 << 21), "over 1 MiB")
        self.bad("--config", self.folder / "none.json", words=("none.json", "No such file"))
        self.bad("--config", self.whole, words=(f"--config {self.whole}: this is a folder", self.whole / "config.json"))
        self.bad("--config", self.whole / "config.json", "--preset", "quick", words=("give one of them",))


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
