#!/usr/bin/env python3
"""Trains by train_cifar, with fewer epochs where the first ones are slow, and prints a line of JSON of what came of it.

usage: train.py --epochs 100 --slow 2.5 --slow-epochs 40 --out FOLDER -- PROGRAM [option...]

Where an epoch takes more than --slow seconds, the run is begun anew with --slow-epochs, so that its schedule comes to an
end. The kNN's score is taken after the last epoch. Ended by a signal, it prints what there is.
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


def train(args, epochs, slow):
    """Runs the program; its exit code, or None where an epoch takes more than `slow` seconds."""
    shutil.rmtree(args.out, ignore_errors=True)
    process = subprocess.Popen([*args.command, "--epochs", str(epochs), "--knn-every", str(epochs), "--out", args.out])
    judged = False
    try:
        while process.poll() is None:
            time.sleep(POLL)
            done = [] if judged else epochs_of(args.out / "log.jsonl")
            if len(done) >= JUDGED:
                judged = True
                if done[JUDGED - 1]["seconds"] - done[JUDGED - 2]["seconds"] > slow:
                    return None
        return process.returncode
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


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
    parser.add_argument("--slow", type=float, default=math.inf, metavar="SECONDS", help="an epoch")
    parser.add_argument("--slow-epochs", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    planned, code = args.epochs, 1
    try:
        code = train(args, planned, args.slow if args.slow_epochs else math.inf)
        if code is None:
            planned = args.slow_epochs
            print(f"an epoch takes more than {args.slow:g} s: {planned} epochs", flush=True)
            code = train(args, planned, math.inf)
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
