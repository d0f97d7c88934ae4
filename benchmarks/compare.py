#!/usr/bin/env python3
"""Runs libsimclr's benchmarks and PyTorch's in turn, and writes the ratios.

usage: benchmarks/compare.py [--device cpu] [--what step nt_xent ...] [--build build/cpu] [--python /usr/bin/python3]
                             [--rounds 3] [--seconds 1] [--out benchmarks/results]

Each round runs both sides one after the other, so that a change of the machine's speed meets both; a ratio is taken
within its round, and the median of the rounds counts. Ratios of speed are above 1 where libsimclr is faster. Writes
<date>-<device>.json and <date>-<device>.md into --out. --what: "step", and the kernels that have a benchmark; as it is:
step on the CPU, everything on a GPU. --python is the interpreter that has torch and torchvision (Debian:
python3-torch, python3-torchvision).
"""
import argparse
import datetime
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
EAGER, GRAPH, COMPILED = "PyTorch", "PyTorch in a CUDA graph", "compiled PyTorch"

# What both sides of a kernel's benchmark are told.
KERNELS = {
    "cuda": [("nt_xent", "--m 1024 4096 8192 32768 65536 131072"), ("nt_xent", "--m 8192 --d 64 256"),
             ("nt_xent", "--m 8192 --tau 0.07"), ("similarity", "--m 4096 16384"), ("batchnorm", "--views 1024"),
             ("optimizer_step", ""), ("conv2d", "--views 1024"), ("augment", "--pictures 4096 --photographs 512")],
    "cpu": [("nt_xent", "--m 2048 8192"), ("similarity", "--m 2048"), ("batchnorm", "--views 64"),
            ("optimizer_step", ""), ("conv2d", "--views 32"), ("augment", "--pictures 4096 --photographs 32")],
}

# (device, the case, the peer, the ratio wanted); the first that fits counts.
TARGETS = [
    ("cuda", r"nt_xent forward \+ backward, M 1024,", EAGER, 5.0),
    ("cuda", r"nt_xent forward \+ backward, M (8192|\d{5,}),", EAGER, 7.0),
    ("cuda", r"nt_xent forward \+ backward, M (8192|\d{5,}),", COMPILED, 2.0),
    ("cuda", r"augment ", COMPILED, 4.0),
    ("cuda", r"step, 256 views", COMPILED, 1.5),
    ("cuda", r"step, 1024 views", COMPILED, 1.15),
    ("cpu", r"nt_xent forward \+ backward, M (2048|8192),", EAGER, 2.0),
    ("cpu", r"augment ", "torchvision", 10.0),
]
COPY_SHARE = 0.8          # of the copy bandwidth, by batch norm on a GPU
MOST_MEMORY = 1 << 30     # bytes, of NT-Xent at 131072 views on a GPU


def lines(command, may_fail=False):
    """What a program printed. One that may fail says itself which cases did."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    found = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode != 0 and not (may_fail and found):
        sys.exit(f"compare: {' '.join(map(str, command))} failed: {result.stderr.strip()[-300:]}")
    return found


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def output(*command):
    """What a program of the system prints, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def gpu():
    return output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").split("\n")[0] or "a GPU"


def commit():
    return output("git", "-C", ROOT, "describe", "--always", "--dirty") or "unknown"


def cpu_cases(args):
    """(name, our command, the peer's command)"""
    bench, peer = args.build / "benchmarks" / "bench_train_step", PEERS / "train_step.py"
    threads = ["--threads", args.threads]
    yield ("ResNet-18, 128 views",
           [bench, "--preset", "reference", "--views", "128", "--rounds", "3", *threads],
           [args.python, peer, "--width", "64", "--head-hidden", "1024", "--views", "128", *threads])
    quick = lines([bench, "--preset", "quick", "--describe"])[-1]
    yield (f"quick's ResNet-18 (width {quick['width']}, {quick['size']} pixels), 512 views",
           [bench, "--preset", "quick", "--views", "512", "--rounds", "5", *threads],
           [args.python, peer, "--width", str(quick["width"]), "--size", str(quick["size"]), "--head-hidden",
            str(quick["head_hidden"]), "--views", "512", *threads])


def compare_cpu_step(args, versions):
    """The step against PyTorch's and against its own convolutions, and whether augmentation keeps up with it."""
    records = []
    for name, ours, peers in cpu_cases(args):
        ratios, own, other, over = [], [], [], []
        for i in range(args.rounds):
            a, b = lines(ours)[-1], lines(peers)[-1]
            own.append(a["views_per_second"])
            other.append(b["views_per_second"])
            over.append(a["over_convolutions"])
            ratios.append(own[-1] / other[-1])
            versions.add(b["torch"])
            print(f"{name}, round {i + 1}: {own[-1]:.0f} against {other[-1]:.0f} views/s, ratio {ratios[-1]:.2f}; "
                  f"{over[-1]:.2f} times its convolutions", flush=True)
        records.append({"case": name + ", against PyTorch", "device": "cpu", "ours": statistics.median(own),
                        "peer": statistics.median(other), "unit": "views/s", "ratio": statistics.median(ratios),
                        "target": ">= 1.0", "met": statistics.median(ratios) >= 1.0})
        records.append({"case": name + ", step over its convolutions alone", "device": "cpu",
                        "ours": statistics.median(over), "peer": 1.0, "unit": "x", "ratio": statistics.median(over),
                        "target": "<= 1.3", "met": statistics.median(over) <= 1.3})

    quick = records[2]  # the small ResNet's step
    views = lines([args.build / "benchmarks" / "bench_augment", "--preset", "quick", "--photographs", "0", "--threads",
                   args.threads])[-1]["views_per_second"]
    records.append({"case": "augmenting CIFAR views, against quick's step", "device": "cpu", "ours": views,
                    "peer": quick["ours"], "unit": "views/s", "ratio": views / quick["ours"], "target": ">= 1.0",
                    "met": views >= quick["ours"]})
    return records


def kernel_runs(args):
    """(what runs, a function that runs our side, one that runs the peers); both give lines with case and seconds."""
    common = ["--device", args.device, "--seconds", str(args.seconds), "--threads", args.threads]
    for op, told in KERNELS[args.device]:
        if op in args.what:
            ours = [args.build / "benchmarks" / f"bench_{op}", *common, *told.split()]
            peers = [args.python, PEERS / "kernels.py", op, *common, *told.split()]
            yield (f"{op} {told}".strip(), lambda ours=ours: lines(ours, may_fail=True), lambda peers=peers: lines(peers))
    if args.device == "cuda" and "step" in args.what:
        for views in (256, 1024, 8192):
            told = [*common, "--views", str(views)]
            yield (f"step, {views} views", lambda told=told, views=views: gpu_step(args, told, views),
                   lambda told=told, views=views: gpu_step_of_peers(args, told, views))


def gpu_step(args, told, views):
    line = lines([args.build / "benchmarks" / "bench_train_step", "--preset", "reference", "--graph", *told])[-1]
    return [{**line, "case": f"ResNet-18 step, {views} views", "seconds": line["step_seconds"]}]


def gpu_step_of_peers(args, told, views):
    line = lines([args.python, PEERS / "train_step.py", "--width", "64", "--head-hidden", "1024", *told])[-1]
    seconds = line["seconds"]
    compiled = [t for name, t in seconds.items() if name not in ("eager", "graph")]
    found = {EAGER: seconds.get("eager"), GRAPH: seconds.get("graph"), COMPILED: min(compiled, default=None)}
    return [{"case": f"ResNet-18 step, {views} views", "peer": peer, "torch": line["torch"],
             **({"seconds": t} if t else {"error": str(line["errors"])})} for peer, t in found.items()]


def wanted(device, case, peer):
    for on, pattern, against, ratio in TARGETS:
        if on == device and re.search(pattern, case) and peer.startswith(against):
            return ratio
    return None


def median(values):
    return statistics.median(values) if values else None


def judge(args, ours, peers):
    """The records of some cases."""
    records = []
    for case, own in ours.items():
        if case.startswith("limit"):
            continue
        times = [line["seconds"] for line in own if "seconds" in line]
        share = median([line["share_of_limit"] for line in own if "share_of_limit" in line])
        more = {} if share is None else {"share_of_limit": share}
        if not times:
            more["note"] = "libsimclr: " + own[0]["error"]
        for (_, peer), other in [item for item in peers.items() if item[0][0] == case]:
            pairs = [(a["seconds"], b["seconds"]) for a, b in zip(own, other) if "seconds" in a and "seconds" in b]
            ratio, target = median([b / a for a, b in pairs]), wanted(args.device, case, peer)
            failure = next((line["error"] for line in other if "error" in line), None)
            records.append({"case": f"{case}, against {peer}", "device": args.device,
                            "ours": times and 1e3 * median(times) or None,
                            "peer": 1e3 * median([b for _, b in pairs]) if pairs else None, "unit": "ms", "ratio": ratio,
                            "target": f">= {target}" if target else "",
                            "met": None if not target or (times and not ratio) else bool(times) and ratio >= target,
                            **more,
                            **({"note": failure} if failure else {})})
        if args.device == "cuda" and case.startswith("batchnorm") and share is not None:
            records.append({"case": f"{case}, share of the copy bandwidth", "device": args.device, "ours": share,
                            "peer": 1.0, "unit": "x", "ratio": share, "target": f">= {COPY_SHARE}",
                            "met": share >= COPY_SHARE})
        memory = median([line["peak_bytes"] for line in own if "peak_bytes" in line])
        if memory is not None and case.startswith("nt_xent"):
            theirs = [line["peak_bytes"] for line in peers.get((case, EAGER), []) if "peak_bytes" in line]
            limited = args.device == "cuda" and ", M 131072," in case
            records.append({"case": f"{case}, memory", "device": args.device, "ours": memory / 2**20,
                            "peer": median(theirs) / 2**20 if theirs else None, "unit": "MiB",
                            "ratio": median(theirs) / memory if theirs and memory else None,
                            "target": f"libsimclr < {MOST_MEMORY / 2**20:.0f}" if limited else "",
                            "met": memory < MOST_MEMORY if limited else None})
        if "over_convolutions" in own[0]:
            over = median([line["over_convolutions"] for line in own])
            records.append({"case": f"{case}, over its convolutions alone", "device": args.device, "ours": over,
                            "peer": 1.0, "unit": "x", "ratio": over, "target": "", "met": None})
    return records


def compare_kernels(args, versions, save):
    """Every case against every peer that has it, and what of the machine's limits it reached. Calls save(records) after
    each program, so that what was measured stays where a later one fails."""
    records = []
    for name, run_ours, run_peers in kernel_runs(args):
        ours, peers = {}, {}  # case -> lines, one a round; (case, peer) -> the same
        for i in range(args.rounds):
            for line in run_ours():
                ours.setdefault(line["case"], []).append(line)
            for line in run_peers():
                peers.setdefault((line["case"], line["peer"]), []).append(line)
                versions.add(line["torch"])
            print(f"{name}, round {i + 1} of {args.rounds} done", flush=True)
        records += judge(args, ours, peers)
        save(records)
    return records


def cell(value, form="{}"):
    return "-" if value is None or value == "" else form.format(value)


def table(records):
    shares = any("share_of_limit" in r for r in records)
    rows = [["case", "libsimclr", "PyTorch", "unit", "ratio", "target", "met", *(["share of limit"] if shares else [])]]
    rows.append(["---"] * len(rows[0]))
    for r in records:
        met = {True: "yes", False: "no", None: "-"}[r["met"]]
        rows.append([r["case"], cell(r["ours"], "{:.4g}"), cell(r["peer"], "{:.4g}"), r["unit"],
                     cell(r["ratio"], "{:.2f}"), cell(r["target"]), met,
                     *([cell(r.get("share_of_limit"), "{:.2f}")] if shares else [])])
    notes = sorted({f"{r['case']}: {r['note']}" for r in records if "note" in r})
    return ["| " + " | ".join(row) + " |" for row in rows] + ([""] + [f"- {note}" for note in notes] if notes else [])


def main():
    names = ["step", *dict.fromkeys(op for runs in KERNELS.values() for op, _ in runs)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=KERNELS, default="cpu")
    parser.add_argument("--what", nargs="+", choices=names)
    parser.add_argument("--build", type=pathlib.Path, help="default: build/cpu or build/cuda")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case, of the kernels and of a GPU's step")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    args.build = args.build or ROOT / "build" / args.device
    args.what = args.what or (["step"] if args.device == "cpu" else names)

    versions, steps = set(), []
    date, on_gpu = datetime.date.today().isoformat(), args.device == "cuda"
    machine, version = gpu() if on_gpu else processor(), commit()
    args.out.mkdir(parents=True, exist_ok=True)

    def save(records):
        torch_version = ", ".join(sorted(versions))
        record = {"date": date, "machine": machine, "threads": int(args.threads), "commit": version,
                  "torch": torch_version, "rounds": args.rounds, "results": records}
        title = "Training step" if args.what == ["step"] else "Benchmarks"
        text = [f"# {title} on a {'GPU' if on_gpu else 'CPU'}, {date}", "",
                f"{machine}, {'' if on_gpu else args.threads + ' threads, '}commit {version}, PyTorch {torch_version}; "
                f"median of {args.rounds} rounds, both sides in turn. Written by `benchmarks/compare.py`.", "",
                *table(records)]
        (args.out / f"{date}-{args.device}.json").write_text(json.dumps(record, indent=2) + "\n")
        (args.out / f"{date}-{args.device}.md").write_text("\n".join(text) + "\n")
        return text

    if not on_gpu and "step" in args.what:
        steps = compare_cpu_step(args, versions)
    records = steps + compare_kernels(args, versions, lambda kernels: save(steps + kernels))
    print("\n".join(save(records)))


if __name__ == "__main__":
    main()
