#!/usr/bin/env python3
"""Runs libsimclr's benchmarks and its peers' in turn, and writes the ratios.

usage: benchmarks/compare.py [--device cpu] [--what nt_xent step ...] [--only PATTERN] [--data DIR]
                             [--build build/cpu] [--python PYTHON] [--rounds 3] [--seconds 1] [--budget SECONDS]
                             [--resume] [--out benchmarks/results]
       benchmarks/compare.py --update-docs

Each round runs both sides one after the other, so that a change of the machine's speed meets both; a ratio is taken
within its round, and the median of the rounds counts. Ratios are above 1 where libsimclr is faster or smaller. Writes
<date>-<device>.json and <date>-<device>.md into --out, anew after each program, so that a run that is cut off leaves
what it has; --resume goes on with what the same day's record lacks or has as failed. A program that fails, or runs past
--limit, leaves an error in the record and the others go on. The exit code is 0 where all that this call is about was
measured, 1 where a part of it was not, and 2 where nothing was begun.
--only measures, of --what, those runs whose name the pattern finds: --what attention --only long. Where --what or
--only measures a part, the same day's record keeps its other runs; where that is of another commit (or nobody knows of
which), machine or version, of other --threads, --rounds or --seconds, or where all is measured without --resume, it
gets another name, and the day's record begins anew. A commit that ends in -dirty is taken for the same sources.
--python is the interpreter that has the peers: build/peers, which `scripts/install_deps --peers` makes, or python3.
"epoch", "pretrain" and "start" need CIFAR-10's files, --data. --update-docs runs nothing: it puts the tables of each
device's newest record into docs/performance.md, and of older ones, those of another name too, the runs that it lacks.
"""
import argparse
import datetime
import os
import pathlib
import re
import signal
import sys
import time

from comparison import programs, record, runs
from comparison.judge import judge

LEAST_SECONDS = 20  # that a comparison is begun with
FAILURES = (programs.Failed, OSError, LookupError, ValueError)  # the latter two where a program prints something else


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--what", nargs="+", choices=runs.NAMES,
                        help="default: all, without pretrain on a CPU and without size on a GPU")
    parser.add_argument("--only", type=re.compile, default="", metavar="PATTERN", help="of the runs, by their names")
    parser.add_argument("--data", type=pathlib.Path, help="folder of CIFAR-10's published files")
    parser.add_argument("--build", type=pathlib.Path, help="default: build/cpu, or build/gpu of scripts/gpu_check")
    parser.add_argument("--python", type=pathlib.Path, default=programs.default_python())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case, about")
    parser.add_argument("--threads", type=int, help="default: 2; on cuda all processors")
    parser.add_argument("--limit", type=float, default=900, metavar="SECONDS", help="for one program (900)")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS", help="for everything")
    parser.add_argument("--offline", action="store_true", help="do not ask what the newest PyTorch is")
    parser.add_argument("--ways", nargs="+", default=[], metavar="WAY",
                        help="of the peers' steps of pictures, as they name them: eager graph compile")
    parser.add_argument("--resume", action="store_true", help="keep what the same day's record has")
    parser.add_argument("--commit", default=programs.commit(), help="what the record says where there is no git")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs; the figures mean nothing")
    parser.add_argument("--out", type=pathlib.Path, help="default: benchmarks/results; with --tiny the build folder")
    parser.add_argument("--update-docs", action="store_true")
    args = parser.parse_args()
    args.part = bool(args.what or args.only.pattern)
    args.what = args.what or runs.default_names(args)
    args.build = args.build or programs.ROOT / "build" / {"cpu": "cpu", "cuda": "gpu"}[args.device]
    args.threads = args.threads or (len(os.sched_getaffinity(0)) if args.device == "cuda" else 2)
    args.out = args.out or (args.build if args.tiny else programs.ROOT / "benchmarks" / "results")
    return args


def failure(args, what, name, error):
    note = str(error) if isinstance(error, programs.Failed) else repr(error)
    return {"what": what, "case": name, "device": args.device, "ours": None, "peer": None, "unit": "", "ratio": None,
            "target": "", "met": None, "ratios": [], "note": note, "run": name, "failed": True}


def refuse(message):
    """Ends with code 2, as an option that is wrong does: nothing was measured, and the day's record is as it was."""
    print(f"compare: {message}", file=sys.stderr)
    sys.exit(2)


def measure(args, run):
    """The records of a run; a failure is the last."""
    ours, peers, failures = [], [], []
    for number in range(args.rounds):
        for side, rounds in ((run.ours, ours), (run.peers, peers)):
            rounds.append([])
            try:
                for line in side(number):
                    rounds[-1].append(line)
            except FAILURES as error:
                failures.append(failure(args, run.what, run.name, error))
        outcome = failures[0]["note"] if failures else "done"
        print(f"{run.name}, round {number + 1} of {args.rounds} {outcome}", flush=True)
        if failures:
            break
    return [{**r, "run": run.name} for r in judge(args.device, run.what, ours, peers)] + failures


def note_missed(found, missed):
    """What there was no time for is noted, but for what the day's record has figures of."""
    known = {r["run"] for r in found["results"]} - record.failed_runs(found)
    for name in missed:
        if name in known:
            print(f"{name}: not measured anew for want of time; the record keeps the day's earlier figures", flush=True)
        elif name not in found["not_measured"]:
            found["not_measured"].append(name)


def main():
    args = arguments()
    if args.update_docs:
        record.update_document(args.out)
        return
    if not args.data and (left_out := runs.NEED_DATA & set(args.what)):
        print(f"without --data, so without {' and '.join(sorted(left_out))}", flush=True)
        args.what = [name for name in args.what if name not in left_out]
    if "ranks" in args.what and not programs.has_ranks(args.build):
        print("without mpirun or a build with MPI, so without ranks", flush=True)
        args.what.remove("ranks")
    if not args.what:
        refuse("nothing is left to measure; give --data, or a build with MPI")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what runs is ended too
    programs.limits.program, programs.limits.deadline = args.limit, time.monotonic() + args.budget
    try:
        versions = programs.versions(args.python, ask=not args.tiny and not args.offline)
    except programs.Failed as error:
        refuse(error)
    found = {"date": datetime.date.today().isoformat(), "device": args.device,
             "machine": programs.gpu() if args.device == "cuda" else programs.processor(),
             "threads": args.threads, "commit": args.commit, "versions": versions, "rounds": args.rounds,
             "seconds": args.seconds, "tiny": args.tiny, "not_measured": [], "results": []}
    goes_on = (args.resume or args.part) and record.go_on(found, args.out)
    there = {r["run"] for r in found["results"]} - record.failed_runs(found) if args.resume else set()
    fits, missed, tried = False, [], set()  # whether --only finds a run; those without time left, and the others

    def replace(name, results=()):
        found["results"] = [r for r in found["results"] if r["run"] != name] + list(results)
        found["not_measured"] = [other for other in found["not_measured"] if other != name]

    def save():
        nonlocal goes_on
        if not goes_on:
            record.set_aside(found, args.out)
        goes_on = True
        record.save(found, args.out)

    def add(name, results):
        replace(name, results)
        tried.add(name)
        save()

    for what in args.what:
        if what in record.failed_runs(found):
            replace(what)
        try:
            for run in runs.runs_of(args, what):
                if not re.search(args.only, run.name):
                    continue
                fits = True
                if programs.limits.left() >= LEAST_SECONDS and run.name not in there:
                    add(run.name, measure(args, run))
                elif run.name not in there:
                    missed.append(run.name)
        except FAILURES as error:  # of the program that describes what is to be run
            fits = True
            add(what, [failure(args, what, what, error)])
    if not fits:
        refuse(f"--only {args.only.pattern}: finds none of the runs of --what {' '.join(args.what)}")
    note_missed(found, missed)
    save()
    print(record.markdown(found), end="")
    sys.exit(1 if missed or record.failed_runs(found) & tried else 0)


if __name__ == "__main__":
    main()
