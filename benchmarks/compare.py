#!/usr/bin/env python3
"""Runs libsimclr's benchmarks and its peers' in turn, and writes the ratios.

usage: benchmarks/compare.py [--device cpu] [--what nt_xent step ...] [--data DIR] [--build build/cpu] [--python PYTHON]
                             [--rounds 3] [--seconds 1] [--out benchmarks/results]
       benchmarks/compare.py --update-docs

Each round runs both sides one after the other, so that a change of the machine's speed meets both; a ratio is taken
within its round, and the median of the rounds counts. Ratios are above 1 where libsimclr is faster or smaller. Writes
<date>-<device>.json and <date>-<device>.md into --out, anew after each program, so that what was measured stays where
a later one fails. --python is the interpreter that has the peers: build/peers, which `scripts/install_deps --peers`
makes, or Debian's. "epoch", "pretrain" and "start" need CIFAR-10's files, --data. --update-docs runs nothing:
it puts the newest records' tables into docs/performance.md.
"""
import argparse
import datetime
import pathlib

from comparison import programs, record, runs
from comparison.judge import judge


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=runs.STEPS.keys() - {"tiny"}, default="cpu")
    parser.add_argument("--what", nargs="+", choices=runs.NAMES,
                        help="default: all, without pretrain on a CPU and without size on a GPU")
    parser.add_argument("--data", type=pathlib.Path, help="folder of CIFAR-10's published files")
    parser.add_argument("--build", type=pathlib.Path, help="default: build/cpu or build/cuda")
    parser.add_argument("--python", type=pathlib.Path, default=programs.default_python())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case, about")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs; the figures mean nothing")
    parser.add_argument("--out", type=pathlib.Path, help="default: benchmarks/results; with --tiny the build folder")
    parser.add_argument("--update-docs", action="store_true")
    args = parser.parse_args()
    args.what = args.what or runs.default_names(args)
    args.build = args.build or programs.ROOT / "build" / args.device
    args.out = args.out or (args.build if args.tiny else programs.ROOT / "benchmarks" / "results")
    return args


def main():
    args = arguments()
    if args.update_docs:
        record.update_document(args.out)
        return
    if not args.data and (left_out := runs.NEED_DATA & set(args.what)):
        print(f"without --data, so without {' and '.join(sorted(left_out))}", flush=True)
        args.what = [name for name in args.what if name not in left_out]
    found = {"date": datetime.date.today().isoformat(), "device": args.device,
             "machine": programs.gpu() if args.device == "cuda" else programs.processor(),
             "threads": int(args.threads), "commit": programs.commit(),
             "versions": programs.versions(args.python, ask=not args.tiny), "rounds": args.rounds, "results": []}
    for run in runs.all_runs(args):
        ours, peers = [], []
        for number in range(args.rounds):
            ours.append(run.ours(number))
            peers.append(run.peers(number))
            print(f"{run.name}, round {number + 1} of {args.rounds} done", flush=True)
        found["results"] += judge(args.device, run.what, ours, peers)
        record.save(found, args.out)
    print(record.markdown(found), end="")


if __name__ == "__main__":
    main()
