"""simclr.train: a training program's whole run in this process."""
import html
import json
import numbers
import os
import pathlib
import sys
import warnings

import numpy as np

from simclr import _core
from simclr._errors import InputError, RunError

_PROGRAMS = {"picture": "train_cifar", "sound": "train_speech", "recording": "train_speech", "text": "train_text",
             "clip": "train_video", "video": "train_video", "pair": "train_pairs"}


class _Host:
    """What the run tells while it is under way."""

    def __init__(self, callback, quiet):
        self._callback = callback
        self.listens = callback is not None
        self.prints = not quiet and sys.stdout is not None
        self.terminal = self.prints and getattr(sys.stdout, "isatty", lambda: False)()

    def print(self, text):
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(text.decode("utf-8", "replace").encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def warn(self, text):
        warnings.warn(os.fsdecode(text), stacklevel=4)  # where train() was called

    def logged(self, entry):
        self._callback(json.loads(entry))


def program_of(who, modality):
    """The name of the training program for a kind of data."""
    name = _PROGRAMS.get(modality.removesuffix("s")) if isinstance(modality, str) else None
    if name is None:
        raise InputError(f"{who}: modality must be one of {', '.join(_PROGRAMS)}, not {modality!r}")
    if not hasattr(_core, "train"):
        raise RunError(f"{who}: this build is without the programs, which train; build with SIMCLR_EXAMPLES=ON")
    return name


def _word(who, name, value):
    """An option's value as bytes of a command line."""
    if isinstance(value, (str, bytes, os.PathLike)):
        try:
            word = os.fsencode(value)
        except UnicodeEncodeError:
            raise InputError(f"{who}: {name} {value!r} holds a lone surrogate") from None
        if b"\0" in word:
            raise InputError(f"{who}: {name} {value!r} holds a NUL")
        return word
    if isinstance(value, numbers.Integral):
        return b"%d" % int(value)
    if isinstance(value, numbers.Real):
        return repr(float(value)).encode()
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) > 0:
        between = b"::" if isinstance(value[0], (str, bytes, os.PathLike)) else b","
        return between.join(_word(who, name, each) for each in value)
    raise InputError(f"{who}: {name} must be a number, a str, a path, True, False, or a list of these, not {value!r}")


def words_of(who, program, options):
    """The command line of keyword options: batch_size=256 is --batch-size=256, evaluation=False is --no-evaluation."""
    opposites = {}  # of flags; "": it has none
    for name, opposite, flag in _core.training_options(program):
        if flag:
            opposites[name] = opposite
            if opposite:
                opposites[opposite] = name
    words = []
    for key, value in options.items():
        name = key.replace("_", "-")
        if value is None or (name in ("help", "version") and not value):
            continue
        if isinstance(value, (bool, np.bool_)):
            word = name if value else opposites.get(name, name)
            words += [b"--" + os.fsencode(word)] if word else []
        elif name in opposites:
            raise InputError(f"{who}: {key} must be True or False, not {value!r}")
        else:
            words.append(b"--" + os.fsencode(name) + b"=" + _word(who, key, value))
    return words


def metrics_of(out):
    """What a run's log says of it, a dict as train() returns it."""
    found = {"out": str(out), "epochs": 0, "steps": 0, "loss": None, "seconds": 0.0, "samples_per_second": None,
             "skipped_samples": 0, "knn": None, "evaluation": None}
    steps = set()  # a run that went on may have logged one twice
    if not (pathlib.Path(out) / "log.jsonl").exists():  # of a finished run, which somebody moved away
        return found
    with open(pathlib.Path(out) / "log.jsonl", encoding="utf-8", errors="replace") as log:
        for line in log:
            try:
                entry = json.loads(line)
                event = entry.pop("event")
            except (ValueError, KeyError):  # a kill may have cut it off
                continue
            entry.pop("time", None)
            if event == "step":
                steps.add((entry["epoch"], entry["step"]))
            elif event == "epoch":
                found["epochs"] = entry.pop("epoch")
                found.update(entry)
            elif event in ("knn", "evaluation"):
                found[event] = entry
    found["steps"] = len(steps)
    return found


def train(*, modality="picture", dataset=None, data=None, preset=None, out=None, callback=None, quiet=False, **options):
    """Trains an encoder in this process, as the training programs do: the same files, and the same figures to the digit.

        result = simclr.train(dataset="folder", data="photos", preset="quick", out="runs/first", epochs=20)
        print(result["loss"], result["evaluation"]["trained"]["knn_top1"])
        encoder = simclr.load(result["out"])

    modality: what is trained on: "picture" (as train_cifar does), "sound" (train_speech), "text" (train_text), "clip"
        (train_video) or "pair" (train_pairs).
    dataset, data, preset, out and all further options are the program's own: batch_size=256 is its --batch-size 256,
        resume=True its --resume and evaluation=False its --no-evaluation; several numbers and several places are a list;
        None leaves an option out. help=True prints them all. check=True does not train, and looks whether a run would work.
    callback: is called with each entry of the run's log.jsonl, a dict with its "event": "step" (epoch, step, loss,
        learning_rate), "epoch", "knn" and "evaluation". What it raises stops the run.
    quiet: prints nothing. Else what the program prints goes to sys.stdout; its warnings are Python's either way.

    Other Python threads run meanwhile. Ctrl-C, and an exception of the callback, stop the run behind the step under way: a
    checkpoint and a report are written, the exception is raised, and resume=True goes on. Signal handlers and
    simclr.threads() are as before when it returns. One run at a time in a process, and no part of a run of several
    processes.

    Returns a dict: out (the folder), epochs, steps, loss (of the last epoch), seconds, samples_per_second, skipped_samples,
    knn (the last measured while it trained) and evaluation (trained and untrained; both None where not measured): log.jsonl
    has them. With check=True it is {"fine": whether nothing looks wrong}, with help=True empty.

    Raises InputError, a ValueError, for options and data that are refused before the run begins, with the program's own
    message, RunError for what ends it later, and OutOfMemory.
    """
    program = program_of("simclr.train", modality)
    words = words_of("simclr.train", program,
                     {"dataset": dataset, "data": data, "preset": preset, "out": out, **options})
    return run("simclr.train", program, words, callback, quiet, options)


def run(who, program, words, callback, quiet, options, samples=None):
    """What train() and fit() return."""
    if callback is not None and not callable(callback):
        raise InputError(f"{who}: callback must be callable, not {callback!r}")
    code, folder = _core.train(program, words, _Host(callback, quiet), samples)
    if not folder:
        return {"fine": code == 0} if options.get("check") else {}
    return metrics_of(os.fsdecode(folder))


class Report:
    """A run's page of figures and samples. A notebook shows it; elsewhere it is a path, str(report)."""

    def __init__(self, path):
        self.path = path  #: of the file, a str

    def __fspath__(self):
        return self.path

    def __str__(self):
        return self.path

    def __repr__(self):
        return f"Report({self.path!r})"

    def _repr_html_(self):
        page = html.escape(pathlib.Path(self.path).read_text(encoding="utf-8", errors="replace"))
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 800px; border: 0"></iframe>'


def report(out):
    """The report of a run, which a notebook shows where it is a cell's last value: simclr.report("runs/first").

    out: the run's folder, or what train() and fit() returned. Raises InputError, a ValueError, where there is no report.
    """
    folder = out.get("out") if isinstance(out, dict) else out
    if not isinstance(folder, (str, bytes, os.PathLike)):
        raise InputError(f"simclr.report: out must be a run's folder, or what simclr.train returned, not {out!r}")
    path = os.path.join(os.fsdecode(folder), "report.html")
    if not os.path.isfile(path):
        raise InputError(f"simclr.report: {path}: there is no such file; give the folder of a run that has ended or was "
                         "stopped")
    return Report(path)
