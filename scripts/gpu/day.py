"""Runs a table of slots on a machine with a GPU."""
import argparse
import concurrent.futures
import datetime
import os
import pathlib
import re
import shutil
import signal
import sys
import time

from . import machine, record, slots
from .processes import ROOT, START, run, say, stop
from .readers import READERS, STATES

GOOD = ("passed", "not needed")
BAD = ("failed", "cut off", "left out")  # a missing tool alone is no fault
LEAST = 0.2  # seconds that a command is begun with


class Day:
    def __init__(self, args, table, gpu):
        self.args, self.table, self.gpu, self.out = args, table, gpu, args.out
        self.logs = args.build / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.counted, self.states = False, {}
        self.environment = {"LD_LIBRARY_PATH": machine.library_path(), "PYTHONUNBUFFERED": "1"}
        found = machine.packages()
        self.record = {"date": datetime.date.today().isoformat(), "by": args.by, "gpu": gpu, "cuda": machine.cuda_version(),
                       "cudnn": found["cudnn"] or "unknown", "torch": found["torch"],
                       "commit": machine.commit(args.commit, args.deps), "slots": []}
        chosen = [slot.name for slot in self.slots()]
        record.keep_earlier(self.record, args.out, chosen)
        self.values = self.find_values(found)
        say(f"{gpu['name'] if gpu else 'no GPU'}, CUDA {self.record['cuda']}, PyTorch {found['torch']}, commit "
            f"{self.record['commit']}: {', '.join(chosen)}")

    def slots(self):
        return [slot for slot in self.table.slots if self.args.only is None or slot.name in self.args.only]

    def find_values(self, packages):
        """What the words in braces stand for; None where that is not there."""
        args, nvcc = self.args, machine.find_cuda_tool("nvcc")
        pictures, programs = args.deps / "pictures.tar.gz", args.deps / "programs.tar.xz"
        capability = self.gpu["capability"] if self.gpu else args.capability
        unpacked = args.build / "data" / "cifar-10-batches-bin"
        own = {"build": args.build, "root": ROOT, "out": args.out, "work": args.build, "deps": args.deps,
               "data": args.data or (unpacked if pictures.exists() or unpacked.exists() else None),
               "pictures": pictures if pictures.exists() else None, "programs": programs if programs.exists() else None,
               "python": shutil.which("python3"), "nvcc": nvcc, "cuda": nvcc.resolve().parent.parent if nvcc else None,
               "architecture": capability.replace(".", ""), "commit": self.record["commit"], "jobs": os.cpu_count(),
               # A wheel has the library that goes with its headers; the bundle has headers alone.
               "prefix": ";".join([*packages["folders"], str(args.deps.resolve())]),
               "generator": "Ninja" if shutil.which("ninja") else "Unix Makefiles"}
        own |= {"targets": sorted({pathlib.Path(name).name for name in self.table.programs()}),
                "ours": machine.kernel_filter()}
        found = {**self.table.values, **args.set, **own}
        return {name: value if value is None or isinstance(value, list) else str(value) for name, value in found.items()}

    def add_counters(self, lines):
        path = self.out / f"{self.record['date']}-counters.csv"
        self.out.mkdir(parents=True, exist_ok=True)
        with open(path, "a" if self.counted else "w") as file:
            file.writelines(lines[1 if self.counted else 0:])
        self.counted = True

    def left(self):
        return START + self.table.seconds - slots.END * self.args.scale - time.monotonic()

    def words_of(self, command, **more):
        """The command as it is started, or a line that says what is missing."""
        values, words = {**self.values, **more}, []
        for word in command.words:
            if isinstance(values.get(word.strip("{}")), list):
                words += values[word.strip("{}")]
                continue
            for name in re.findall(r"\{(\w+)\}", word):
                if values.get(name) is None:
                    return f"no {name} here"
            words.append(re.sub(r"\{(\w+)\}", lambda found: values[found[1]], word))
        for package in command.packages:
            if not machine.packages().get(package):
                return f"python3 has no {package}"
        for name in [words[0], *(f"{self.values['build']}/{name}" for name in command.programs)]:
            if "/" in name and not pathlib.Path(name).is_file():
                return f"no {os.path.relpath(name, self.args.build)} here"
        if "/" not in words[0]:
            found = machine.find_cuda_tool(words[0])
            if not found:
                return f"no {words[0]} here"
            words[0] = str(found)
        return words

    def fulfilled(self, name):
        return self.states.get(name, "passed" if self.args.only is not None else "left out") in GOOD

    def do(self, slot, command, end):
        """One command: {"name", "state", "seconds", "note", ...}."""
        def outcome(state, note, seconds=0.0, **details):
            self.states[f"{slot.name}/{command.name}"] = state
            if state not in GOOD:
                say(f"  {slot.name}/{command.name}: {state}{'; ' + note if note else ''}")
            return {"name": command.name, "state": state, "seconds": round(seconds, 2), "note": note, **details}

        if command.capability and (not self.gpu or self.gpu["capability"] != command.capability):
            return outcome("not needed", f"for compute capability {command.capability}")
        if command.exists and os.path.exists(re.sub(r"\{(\w+)\}", lambda m: self.values[m[1]] or "", command.exists)):
            return outcome("not needed", f"{os.path.basename(command.exists)} is there")
        limit = min(slot.each, end - time.monotonic())
        log = self.logs / f"{slot.name}-{command.name}.log"
        words = self.words_of(command, log=str(log.with_suffix("")), seconds=f"{max(limit - 5, 1):.0f}")
        if isinstance(words, str):
            return outcome("missing", words)
        if stop.is_set() or limit < LEAST:
            return outcome("cut off", "interrupted" if stop.is_set() else "no time was left")
        result = run(words, log, limit, {**self.environment, **command.environment}, f"{slot.name}/{command.name}")
        try:
            state, note, details = READERS[slot.reader](result, self)
        except (OSError, ValueError, LookupError, TypeError) as error:  # it printed something else
            state, note, details = "failed", f"its output cannot be read: {error!r}", {}
        return outcome(state, note, result.seconds, **details)

    def do_slot(self, slot):
        """All commands of a slot, which end with it."""
        end = time.monotonic() + min(slot.seconds, self.left())
        groups = [slot.commands] if slot.chain else [[command] for command in slot.commands]

        def do_group(commands):
            done = []
            for command in commands:
                done.append(self.do(slot, command, end))
                if done[-1]["state"] not in GOOD:
                    break
            return done

        with concurrent.futures.ThreadPoolExecutor(slot.together) as pool:
            return [one for group in pool.map(do_group, groups) for one in group]

    def part(self, slot):
        """Runs one slot and records it."""
        begin = time.monotonic()
        lacking = [name for name in slot.after if not self.fulfilled(name)]
        if slot.unless and all(self.fulfilled(name) and name in self.states for name in slot.unless):
            state, note, done = "not needed", f"{' and '.join(slot.unless)} passed", []
        elif lacking:
            state = "missing" if all(self.states.get(name) == "missing" for name in lacking) else "left out"
            note, done = f"{' and '.join(lacking)} did not pass", []
        else:
            say(slot.name)
            done = self.do_slot(slot)
            state, note = self.judge(done)
        self.states[slot.name] = state
        seconds = time.monotonic() - begin
        say(f"{slot.name}: {state}, {seconds:.0f} s{'; ' + note if note else ''}")
        for command in slot.commands:
            self.states.setdefault(f"{slot.name}/{command.name}", state)
        self.record["slots"].append({"name": slot.name, "state": state, "seconds": round(seconds, 1), "note": note,
                                     "commands": done})
        self.save()

    def judge(self, done):
        """The worst state of a slot's commands, and what is said of those that did not pass."""
        states = [one["state"] for one in done]
        worst = next((state for state in ("failed", "cut off", "missing", "passed") if state in states), "not needed")
        if len(done) == 1:
            return worst, done[0]["note"]
        bad = [f"{one['name']} {one['state']}" for one in done if one["state"] not in GOOD]
        count = f"{states.count('passed')} of {len(done)} passed"
        return worst, "; ".join([count, *bad])[:600]

    def save(self):
        order = [slot.name for slot in self.table.slots]
        self.record["slots"].sort(key=lambda slot: order.index(slot["name"]) if slot["name"] in order else len(order))
        configured = self.logs / "build-configure.log"
        if configured.exists():
            found = re.search(r"CUDA\s+([\d.]+), cuDNN ([\d.]+)", configured.read_text(errors="replace"))
            if found:
                self.record["cuda"], self.record["cudnn"] = found.groups()
        record.save(self.record, self.out)
        record.save_logs(self.logs, self.out / "logs.tar.gz")

    def run(self):
        for slot in self.slots():
            if stop.is_set():
                break
            self.part(slot)
        self.save()
        own = [slot for slot in self.record["slots"] if slot["name"] in self.states]
        for state in STATES:
            names = [slot["name"] for slot in own if slot["state"] == state]
            if names:
                say(f"{state}: {len(names)}: {', '.join(names)}")
        say(f"record: {record.path_of(self.record, self.out).with_suffix('.md')}")
        states = {slot["state"] for slot in own}
        return 1 if stop.is_set() or states & {*BAD} or "passed" not in self.states.values() else 0


def parse(by, usage, default):
    def names(text):
        return [name.strip() for name in text.split(",") if name.strip()]

    def value(text):
        name, sign, told = text.partition("=")
        if not sign:
            raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
        return name, told

    parser = argparse.ArgumentParser(prog=by, description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=pathlib.Path, default=default, metavar="FILE", help="the table of slots")
    parser.add_argument("--only", type=names, metavar="SLOT,...", help="these; what they come after counts as passed")
    parser.add_argument("--skip", type=names, default=[], metavar="SLOT,...")
    parser.add_argument("--set", type=value, action="append", default=[], metavar="NAME=VALUE", help="a table's value")
    parser.add_argument("--data", type=pathlib.Path, help="CIFAR-10's published files, in place of the bundle's pictures")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks" / "results", help="where the record goes")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / by)
    parser.add_argument("--deps", type=pathlib.Path, default=ROOT / "build" / "gpu_deps",
                        help="what scripts/bundle_deps has written (build/gpu_deps)")
    parser.add_argument("--commit", help="what the record says where there is no git")
    parser.add_argument("--capability", default="9.0", help="compute capability to build for without a GPU (9.0)")
    parser.add_argument("--scale", type=float, default=1.0, help="of all the table's seconds (1)")
    return parser.parse_args()


def main(by, usage, default):
    args = parse(by, usage, default)
    args.by, args.set = by, dict(args.set)
    for name in ("out", "build", "deps"):
        setattr(args, name, getattr(args, name).resolve())
    if args.data:
        published = args.data.resolve() / "cifar-10-batches-bin"
        args.data = published if published.is_dir() else args.data.resolve()
    try:
        table = slots.read(args.slots, args.scale)
        check(args, table)
    except slots.Wrong as error:
        sys.exit(f"{by}: {error}")
    gpu = machine.find_gpu()
    chosen = [slot for slot in table.slots if args.only is None or slot.name in args.only]
    if isinstance(gpu, str):
        if any(slot.gpu for slot in chosen):
            without = ",".join(slot.name for slot in table.slots if not slot.gpu)
            sys.exit(f"{by}: {gpu}" + (f"; only --only {without} can run here" if without else ""))
        gpu = None
    for kind in (signal.SIGTERM, signal.SIGINT):  # what runs is ended, and what there is comes home
        signal.signal(kind, lambda *_: stop.set())
    sys.exit(Day(args, table, gpu).run())


def check(args, table):
    """Refuses names that are none."""
    known = [slot.name for slot in table.slots]
    for name in [*(args.only or []), *args.skip]:
        if name not in known:
            raise slots.Wrong(f"{name} is not a slot; there are {', '.join(known)}")
    for name in args.set:
        if name not in table.values:
            raise slots.Wrong(f"--set {name}: the table has no such value; it has {', '.join(table.values) or 'none'}")
        if isinstance(table.values[name], list):
            args.set[name] = args.set[name].split(",")
    for slot in table.slots:
        if slot.reader not in READERS:
            raise slots.Wrong(f"slot {slot.name}: {slot.reader} is no reader")
    if args.skip or args.only is not None:
        args.only = [name for name in known if name not in args.skip and (args.only is None or name in args.only)]
        if not args.only:
            raise slots.Wrong("no slot is left to run")
