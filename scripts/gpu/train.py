#!/usr/bin/env python3
"""Trains by train_cifar, with fewer epochs where the first ones are slow, and prints a line of JSON of what came of it.

usage: train.py --epochs 100 --slow-epochs 40 --seconds 150 --out FOLDER -- PROGRAM [option...]

Where so many epochs do not fit into the seconds, the run is begun anew with --slow-epochs, or as many as fit where these
are too many: so its schedule comes to an end, and the kNN's score is taken after it. Ended by a signal, it prints what
there is.
"""
import argparse
import json
import math
import pathlib
import shutil
import signal
import subprocess
import sys
import time

POLL = 0.1  # seconds
JUDGED = 2  # the epoch that says how fast it is; what is made once is made in the first
AROUND = 12  # seconds for the start and the kNN


class Interrupted(Exception):
    pass


def interrupt(*_):
    raise Interrupted


def events(log):
    """Those of the log, a line that is being written left out."""
    text = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def epochs_of(log):
    return [event for event in events(log) if event.get("event") == "epoch"]


def train(args, epochs, deadline):
    """Runs the program; its exit code, and None or the seconds of an epoch where so many do not fit."""
    shutil.rmtree(args.out, ignore_errors=True)
    process = subprocess.Popen([*args.command, "--epochs", str(epochs), "--knn-every", str(epochs), "--out", args.out])
    judged = False
    try:
        while process.poll() is None:
            time.sleep(POLL)
            done = [] if judged else epochs_of(args.out / "log.jsonl")
            if len(done) >= JUDGED:
                judged = True
                pace = done[JUDGED - 1]["seconds"] - done[JUDGED - 2]["seconds"]
                if pace * (epochs - len(done)) + AROUND > deadline - time.monotonic():
                    process.kill()
                    process.wait()
                    return None, pace
        return process.returncode, None
    except BaseException:
        process.kill()  # not waited for: on a GPU a process may end slowly, and there is a second to print the summary
        raise


def summary(log, planned):
    done = epochs_of(log)
    scores = [event["top1"] for event in events(log) if event.get("event") == "knn" and "top1" in event]
    found = {"epochs": len(done), "planned": planned, "knn": scores[-1] if scores else None}
    if done:
        found |= {"first_loss": done[0]["loss"], "last_loss": done[-1]["loss"], "seconds": done[-1]["seconds"],
                  "samples_per_second": done[-1]["samples_per_second"] or 0.0, "losses": [e["loss"] for e in done]}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--slow-epochs", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=math.inf, help="that there are, if there are --slow-epochs")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    planned, code = args.epochs, 1
    deadline = time.monotonic() + args.seconds
    try:
        code, pace = train(args, planned, deadline if args.slow_epochs else math.inf)
        if pace is not None:
            planned = max(1, min(args.slow_epochs, int((deadline - time.monotonic() - AROUND) / pace)))
            print(f"an epoch takes {pace:.3g} s, so {args.epochs} do not fit: {planned} epochs", flush=True)
            code, _ = train(args, planned, math.inf)
    except Interrupted:
        print("interrupted", flush=True)
    found = summary(args.out / "log.jsonl", planned)
    print(json.dumps(found), flush=True)
    learns = found["epochs"] and math.isfinite(found["last_loss"]) and \
        (found["epochs"] == 1 or found["last_loss"] < found["first_loss"])
    if code == 0 and not learns:
        print("the loss has not fallen")
    sys.exit(code or (0 if learns else 1))


if __name__ == "__main__":
    main()
