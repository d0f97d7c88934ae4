"""Runs that end early and go on, as a user does it. TRAIN_CIFAR names the built program."""
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from support.runs import Base, ENVIRONMENT, PROGRAM, SANITIZED, entries
from support.tiny_data import load_safetensors, write_cifar10, write_pictures


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

    def test_a_finished_run_whose_data_are_gone(self):
        shutil.copytree(self.whole, self.out)
        config = json.loads((self.out / "config.json").read_text())
        (self.out / "config.json").write_text(json.dumps(config | {"data": str(self.folder / "gone")}))
        said = f"{self.out}: was trained on {self.folder}/gone, which is not there"
        self.bad("--resume", "--out", self.out,
                 words=("the run is finished, ", f"{self.out}/model.safetensors are its weights; {said}"))
        (self.out / "model.safetensors").unlink()
        self.bad("--resume", "--out", self.out, words=(f"train_cifar: {said}",))

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

    def test_stopped_in_the_linear_probe(self):
        """Which would go on for many minutes. What is trained is kept, and --resume goes on with the evaluation."""
        begun = lambda: (self.out / "model.safetensors").exists() and not time.sleep(1)
        text = self.stop(signal.SIGTERM, *self.changed("--probe-epochs", "20000000"), "--out", self.out, after=begun)
        self.assertIn("evaluating the trained and the untrained encoder", text)
        self.assertIn("\nstopped; 21 of 21 steps are done, and the evaluation is not finished. Go on with: ", text)
        self.assertIn("or stopped", (self.out / "report.html").read_text())
        self.assertIn("kNN top-1", self.good("--resume", "--out", self.out, "--probe-epochs", "2"))
        weights = [load_safetensors(run / "model.safetensors")[1] for run in (self.out, self.whole)]
        self.assertTrue(weights[0] == weights[1])

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
        refused = 0
        for megabytes in range(220, 0, -5):  # how little is too little differs from build to build
            done = self.run_within(resource.RLIMIT_AS, megabytes << 20, "--out", self.out / str(megabytes))
            if done.returncode == 127 or refused == 3:  # with less, the program cannot even be loaded
                break
            if done.returncode != 0:  # a measurement that there is no memory for is a warning, and the run goes on
                done.stderr = re.sub(r"(?m)^warning: no accuracy: out of memory .*\n", "", done.stderr)
                self.assert_one_line(done, "out of memory")
                refused += 1
        self.assertGreater(refused, 0)

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

    def test_data_that_vanish(self):
        """The error says how to go on. The last steps before it saw few samples over and over: no checkpoint has them, so
        that with the data back the run ends with the bits of one that was never interrupted."""
        data, gone = write_pictures(self.folder / "vanishing", 96), self.folder / "gone"
        options = (*self.changed("--dataset", "folder", "--data", data, "--epochs", "20", "--knn-every", "0"),
                   "--no-evaluation", "--checkpoint-minutes", "1000", "--cache-gb", "0", "--out")
        whole = self.folder / "vanishing-whole"
        self.good(*options, whole)
        self.stop(signal.SIGINT, *options, self.out, after=lambda: self.steps() >= 4)
        kept, steps = self.newest(self.out), self.steps()
        process = subprocess.Popen([PROGRAM, "--resume", "--out", self.out], stdin=subprocess.DEVNULL, text=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT)
        deadline = time.monotonic() + 120
        while self.steps() == steps and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        data.rename(gone)
        error = process.communicate(timeout=300)[1]
        self.assertEqual(process.returncode, 1, error)
        self.assertRegex(error, rf"more than half; check the data\. [^\n]*; the checkpoint of step \d+ is kept: once the "
                                rf"pictures can be read, go on with train_cifar --resume --out {self.out}\n\Z")
        self.assertEqual(self.newest(self.out), kept)
        gone.rename(data)
        self.good("--resume", "--out", self.out)
        self.assertEqual((self.out / "model.safetensors").read_bytes(), (whole / "model.safetensors").read_bytes())

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


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
