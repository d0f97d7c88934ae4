"""Kills a short training (SIGKILL) at random instants, and goes on with it each time: the weights must end with the
bytes of a run that nobody killed. TRAIN_CIFAR names the built program; --kills N (default 50) says how often; more, where
fewer than a tenth fell on loading, on a step or on saving."""
import argparse
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from support.tiny_data import write_cifar10

PROGRAM = os.environ.get("TRAIN_CIFAR", "")
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
# A checkpoint after each step, so that saving takes a good part of the time.
OPTIONS = ("--dataset cifar10 --width 4 --size 16 --batch-size 8 --epochs 3 --threads 1 --knn-every 1 --knn-samples 20 "
           "--device cpu --no-evaluation --checkpoint-minutes 0").split()
PHASES = ("loading", "step", "save")


def start(data, out):
    return subprocess.Popen([PROGRAM, *OPTIONS, "--data", data, "--out", out, "--resume"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)


def finish(data, out):
    """Goes on to the end; its output."""
    process = start(data, out)
    text, _ = process.communicate(timeout=300)
    if process.returncode:
        sys.exit(f"the run in {out} did not go on: {text}")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = random.Random(options.seed)
    phases, with_checkpoint = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = write_cifar10(folder / "data")
        began = time.monotonic()
        finish(data, folder / "whole")
        duration = time.monotonic() - began
        expected = (folder / "whole" / "model.safetensors").read_bytes()
        killed = number = 0
        share = options.kills // 10  # of each phase, at least
        while killed < options.kills or min(phases[each] for each in PHASES) < share:
            number += 1
            if number > 4 * options.kills:
                sys.exit(f"{number - 1} runs gave only {killed} kills: {dict(phases)}, of each at least {share}")
            out = folder / f"run{number}"
            process = start(data, out)
            if number % 8 == 0:
                time.sleep(source.uniform(0, 0.06 * duration))
            else:
                while process.poll() is None and not any(out.glob("checkpoints/step-*.safetensors")):
                    time.sleep(0.001)
                time.sleep(source.uniform(0, 0.8 * duration))
            process.kill()
            process.communicate()
            if process.returncode != -9:  # it was faster
                shutil.rmtree(out)
                continue
            killed += 1
            saved = any(out.glob("checkpoints/step-*.safetensors"))
            with_checkpoint += saved
            log = out / "log.jsonl"
            begun = log.exists() and '"step"' in log.read_text()
            saving = any(out.glob("checkpoints/*.simclr-tmp*"))
            phases["save" if saving else "step" if begun else "loading"] += 1
            done = (out / "model.safetensors").exists()  # killed over the report
            text = finish(data, out)
            said = "is finished" if done else "going on after" if saved else "no checkpoint"
            if said not in text:
                sys.exit(f"{said!r} was expected, but it said: {text}")
            if (out / "model.safetensors").read_bytes() != expected:
                sys.exit(f"kill {killed}: the weights differ from those of the run that was not killed")
            if any(out.glob("**/*.simclr-tmp*")):
                sys.exit(f"kill {killed}: a half-written file was left behind")
            shutil.rmtree(out)
    print(f"{killed} kills, {with_checkpoint} of them behind the first checkpoint; killed while: {dict(phases)}")
    if 5 * with_checkpoint < 4 * killed:
        sys.exit("less than four fifths of the kills came behind the first checkpoint")


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    main()
