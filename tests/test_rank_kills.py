"""Kills one rank of a short training (SIGKILL) at random instants: no rank runs a minute later, and `--resume`, on as
many ranks or fewer, ends with the figures of a run that nobody killed; on as many with its bytes. TRAIN_CIFAR names the
built program, beside whose library libsimclr_mpi.so lies; --kills N (default 2) says how often; more, where fewer than
a tenth fell on loading, on a step, on a collective or on saving."""
import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from support.engine import ENGINE, limited, ranks_below, runs
from support.runs import ENVIRONMENT, PROGRAM, entries
from support.tiny_data import write_cifar10

# A checkpoint after each step, so that saving takes a good part of the time. So small a network is chaotic: at the low
# rate what another number of ranks rounds otherwise stays small.
OPTIONS = ("--dataset cifar10 --width 4 --size 16 --batch-size 12 --epochs 3 --threads 1 --knn-every 1 "
           "--knn-samples 20 --lr 0.001 --device cpu --no-evaluation --checkpoint-minutes 0 --world-timeout 20 "
           "--resume").split()
PHASES = ("loading", "step", "collective", "save")
MOST_RANKS = 4
LONGEST_SEARCH = 10  # seconds, for an instant in which a rank is at what is wanted
NEAR = 1e-4  # losses near 5, and kNN's figures


class Run:
    """A training in a folder, by an engine where it has several ranks."""

    def __init__(self, data, out, ranks):
        self.out, self.ranks = out, ranks
        command = [PROGRAM, *OPTIONS, "--data", data, "--out", out]
        if ranks > 1:
            command = [*ENGINE, "-np", str(ranks), *command]
        self.process = subprocess.Popen(limited(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)

    def finish(self):
        """Its output, when it has ended well."""
        text, _ = self.process.communicate()
        if self.process.returncode:
            sys.exit(f"{self.ranks} ranks in {self.out} did not end well: {text}")
        return text

    def wait_for(self, what):
        """False where it has ended first."""
        while self.process.poll() is None:
            if found := what():
                return found
            time.sleep(0.001)
        return False

    def has_checkpoint(self):
        return any(self.out.glob("checkpoints/step-*.safetensors"))

    def phase(self, rank):
        """What a stopped rank was at."""
        if any(self.out.glob("checkpoints/*.simclr-tmp*")):
            return "save"
        log = self.out / "log.jsonl"
        if not log.exists() or '"step"' not in log.read_text():
            return "loading"
        return "collective" if is_in_collective(rank) else "step"


def is_in_collective(pid):
    """Whether the stack of a stopped process's first thread leads through libsimclr_mpi.so."""
    maps = [line.split() for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()]
    spans = {(words[-1], words[1]): [int(part, 16) for part in words[0].split("-")] for words in maps}
    code = [span for (name, rights), span in spans.items() if name.endswith("libsimclr_mpi.so") and "x" in rights]
    stack_pointer = int(pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[-2], 16)
    end = next(span[1] for span in spans.values() if span[0] <= stack_pointer < span[1])
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(stack_pointer)
        stack = memory.read((end - stack_pointer) // 8 * 8)
    return any(begin <= word < last for word, in struct.iter_unpack("<Q", stack) for begin, last in code)


def stopped(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stop_in(run, rank, wanted, source):
    """Stops a rank, once more where it was at something else, for some seconds; the phase in which it stands."""
    begin = time.monotonic()
    while True:
        os.kill(rank, signal.SIGSTOP)
        if not run.wait_for(lambda: stopped(rank)):
            return None
        phase = run.phase(rank)
        if phase == wanted or wanted == "loading" or time.monotonic() - begin > LONGEST_SEARCH:
            return phase
        os.kill(rank, signal.SIGCONT)
        time.sleep(source.uniform(0, 0.01))


def kill_one(run, ranks, wanted, source):
    """Kills one of `ranks`; its phase, and the seconds until none of them runs any more; None where it was faster."""
    victim = ranks[source.randrange(run.ranks)]
    try:
        try:
            phase = stop_in(run, victim, wanted, source)
        finally:
            os.kill(victim, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):  # it has ended
        return None
    if phase is None:
        return None
    begin = time.monotonic()
    run.process.communicate()
    while any(map(runs, ranks.values())):
        if time.monotonic() - begin > 60:
            sys.exit(f"{run.out}: a rank runs 60 s after another was killed in a {phase}")
        time.sleep(0.01)
    if run.process.returncode in (0, 124):
        sys.exit(f"{run.out}: exit code {run.process.returncode} after a rank was killed in a {phase}")
    return phase, time.monotonic() - begin


def figures(out):
    """Losses by epoch and step, and what kNN measured: {event and place: number}."""
    found = {}
    for entry in entries(out):
        if entry["event"] in ("step", "knn"):
            key = entry["event"], entry["epoch"], entry.get("step")
            if key in found:
                sys.exit(f"{out}: {key} stands twice in the log")
            found[key] = entry["loss" if entry["event"] == "step" else "alignment"]
    return found


def check_end(out, like, exact):
    """A run that was killed and went on, against one that was not; `exact`: to the byte."""
    got, right = figures(out), figures(like)
    if got.keys() != right.keys():
        sys.exit(f"{out}: other steps than in {like}: {sorted(got.keys() ^ right.keys(), key=str)}")
    worst = max(abs(got[key] - right[key]) for key in got)
    if worst > NEAR:
        sys.exit(f"{out}: a figure is {worst} off those of {like}")
    if exact and (out / "model.safetensors").read_bytes() != (like / "model.safetensors").read_bytes():
        sys.exit(f"{out}: the weights differ from those in {like}")
    if any(out.glob("**/*.simclr-tmp*")):
        sys.exit(f"{out}: a half-written file was left behind")
    return worst


class Kills:
    def __init__(self, folder, source):
        self.folder, self.source, self.data = folder, source, write_cifar10(folder / "data")
        self.phases, self.ranks, self.seconds, self.worst, self.with_checkpoint = (
            collections.Counter(), collections.Counter(), [], [], 0)
        self.whole, self.durations = {}, {}
        for ranks in range(1, MOST_RANKS + 1):
            begin = time.monotonic()
            self.whole[ranks] = folder / f"whole{ranks}"
            Run(self.data, self.whole[ranks], ranks).finish()
            self.durations[ranks] = time.monotonic() - begin

    def one(self, number):
        """Starts a run, kills a rank, goes on and compares; False where the run was faster."""
        source, out = self.source, self.folder / f"run{number}"
        run = Run(self.data, out, source.randint(2, MOST_RANKS))
        duration, wanted = self.durations[run.ranks], PHASES[number % len(PHASES)]
        while_loading = wanted == "loading"
        ranks = run.wait_for(lambda: len(found := ranks_below(run.process.pid)) == run.ranks and found)
        ready = ranks and (while_loading or run.wait_for(run.has_checkpoint))
        time.sleep(source.uniform(0, (0.1 if while_loading else 0.6) * duration))
        killed = ready and kill_one(run, ranks, wanted, source)
        if killed:
            self.go_on(run, *killed)
        else:
            run.process.communicate()
        shutil.rmtree(out, ignore_errors=True)
        return bool(killed)

    def go_on(self, run, phase, seconds):
        after = self.source.randint(1, run.ranks)
        saved, finished = run.has_checkpoint(), (run.out / "model.safetensors").exists()
        text = Run(self.data, run.out, after).finish()
        said = "is finished" if finished else "going on after" if saved else "no checkpoint"
        if said not in text:
            sys.exit(f"{said!r} was expected, but it said: {text}")
        whole = run.ranks if finished else after
        self.worst.append(check_end(run.out, self.whole[whole], finished or not saved or after == run.ranks))
        self.phases[phase] += 1
        self.ranks[f"{run.ranks} to {after}"] += 1
        self.seconds.append(seconds)
        self.with_checkpoint += saved
        print(f"{phase}: one of {run.ranks} ranks killed, none ran {seconds:.1f} s later; {after} went on: {said}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        kills, killed, number = Kills(pathlib.Path(name), random.Random(options.seed)), 0, 0
        while killed < options.kills or min(kills.phases[each] for each in PHASES) < options.kills // 10:
            number += 1
            if number > 20 * options.kills:
                sys.exit(f"{number - 1} runs gave only {killed} kills: {dict(kills.phases)}")
            killed += kills.one(number)
    print(f"{killed} kills, {kills.with_checkpoint} of them behind the first checkpoint; killed while: "
          f"{dict(kills.phases)}; ranks before and after: {dict(sorted(kills.ranks.items()))}; at most "
          f"{max(kills.seconds):.1f} s until no rank ran; figures at most {max(kills.worst):.1g} off")


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    if not shutil.which("mpirun"):
        print("skipped: there is no mpirun here (Debian: openmpi-bin)")
        sys.exit(77)
    main()
