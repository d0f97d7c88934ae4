"""What is made of a command's output: (state, a note, details for the record).

A state is passed, failed, cut off, or missing: a tool is there, but may not do here what is asked of it."""
import contextlib
import json
import re

STATES = ("passed", "failed", "cut off", "missing", "left out", "not needed")

SKIP_CODE = 77  # of a device test without a device
ERROR_CODE = 99  # of compute-sanitizer; a device test never ends with it


def reports(output):
    """compute-sanitizer's reports, each a list of lines: the first begins after one space, what belongs to it after
    several."""
    found = []
    for line in output.splitlines():
        text = line.removeprefix("=========")
        if text != line and re.match(r" \S", text):
            found.append([text])
        elif text != line and text.strip() and found:
            found[-1].append(text)
    return [report for report in found if len(report) > 1]


def is_ours(report):
    """Whether a report is about a kernel of ours or, where it names none, about a call from our code."""
    places = [line for line in report if "Host Frame" not in line and re.search(r"\bat .*(\+0x| in )", line)]
    return any("simclr" in line for line in places or report)


def sanitizer_verdict(result):
    if result.code is None:
        return "cut off", f"after {result.seconds:.0f} s"
    summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", result.output)
    note = summary[-1] if summary else result.last()
    if "not supported" in result.output and not summary:
        return "missing", note
    if result.code == SKIP_CODE:
        return "failed", "the program found no device"
    if result.code not in (0, ERROR_CODE):
        return "failed", f"exit code {result.code}: {note}"
    found = reports(result.output)
    counted = re.search(r"SUMMARY: (\d+) (?:error|hazard)", note)
    unread = int(counted.group(1)) - len(found) if counted else 0
    if any(map(is_ours, found)) or unread > 0 or result.code == ERROR_CODE and not found:
        return "failed", note
    return "passed", f"{len(found)} reports about the vendors' code" if found else ""


def of_sanitizer(result, _):
    return *sanitizer_verdict(result), {}


def of_exit(result, _):
    if result.code is None:
        return "cut off", f"after {result.seconds:.0f} s", {}
    return ("passed", "", {}) if result.code == 0 else ("failed", f"exit code {result.code}: {result.last()}", {})


def of_test(result, _):
    """With a GPU nothing may be skipped."""
    if result.code == SKIP_CODE:
        return "failed", f"skipped: {result.last()}", {}
    return of_exit(result, _)


def of_build(result, _):
    """The first error, and the number of warnings."""
    state, note, details = of_exit(result, _)
    configured = re.search(r"CMake Error[^\n]*:\n\s*\n?((?:\s+.*\n)+)", result.output)
    first = re.search(r"^.*\berror\b[: ].*$", result.output, re.MULTILINE)
    if state == "failed" and (configured or first):
        note = " ".join((configured[1] if configured else first[0]).split())[:300]
    warnings = len(re.findall(r"\bwarning\b[: ]", result.output))
    return state, note or f"{warnings} warnings", {"warnings": warnings}


def of_figures(result, _):
    """Lines of JSON, as the benchmarks print them; those that were printed count where the rest was cut off."""
    state, note, _ = of_exit(result, _)
    figures = json_lines(result.output)
    if state == "passed" and not figures:
        return "failed", f"it printed no figure: {result.last()}", {}
    return state, note or f"{len(figures)} figures", {"figures": figures}


def of_training(result, _):
    """What gpu/train.py prints last, also where it is cut off."""
    state, note, _ = of_exit(result, _)
    found = (json_lines(result.output) or [{}])[-1]
    if not found.get("epochs"):
        return ("failed" if state == "passed" else state), note or "no epoch was finished", {}
    said = f"loss {found['first_loss']:.3f} to {found['last_loss']:.3f} in {found['epochs']} of {found['planned']} " \
           f"epochs, {found['samples_per_second']:.0f} samples/s, {found['seconds']:.0f} s"
    if found["knn"] is not None:
        said += f", kNN {100 * found['knn']:.2f} %"
    return state, "; ".join(filter(None, (note, said))), {"training": found}


def of_comparison(result, day):
    """The ratios that benchmarks/compare.py has written, which stay where it was cut off."""
    path = day.out / f"{day.record['date']}-cuda.json"
    state, note, _ = of_exit(result, day)
    if result.code not in (None, 0, 1) or not path.exists():  # the record is not of this call
        return state, note, {}
    found = json.loads(path.read_text())
    targets = [r for r in found["results"] if r["target"]]
    said = [f"{sum(r['met'] is True for r in targets)} of {len(targets)} targets met, in {path.name}"]
    said += [r["note"] for r in found["results"] if r.get("failed")]
    if found["not_measured"]:
        said.append("without " + ", ".join(found["not_measured"]))
    if state == "failed" and not any(r.get("failed") for r in found["results"]) and found["not_measured"]:
        state = "cut off"
    return state, "; ".join(said)[:600], {}


NOT_PERMITTED = r"ERR_NVGPUCTRPERM|Failed to initialize the profiler|not supported"


def of_counters(result, day):
    """ncu's table, put to the end of <date>-counters.csv."""
    log = result.log.with_suffix(".csv")
    lines = log.read_text(errors="replace").splitlines(keepends=True) if log.exists() else []
    table = [line for line in lines if line.startswith('"')]
    said = " ".join(line.strip() for line in lines if line.startswith("==") and "==PROF==" not in line) or result.last()
    if len(table) > 1:
        day.add_counters(table)
        if result.code is None:
            return "cut off", f"after {result.seconds:.0f} s", {}
        return "passed", f"exit code {result.code}" if result.code else "", {}  # --kill ends the program as a failure
    if re.search(NOT_PERMITTED, said):
        return "missing", f"ncu may not read the counters here: {said[:200]}", {}
    return ("cut off", f"after {result.seconds:.0f} s", {}) if result.code is None else ("failed", said[:200], {})


def json_lines(text):
    values = []
    for line in text.splitlines():
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                values.append(json.loads(line))
    return values


READERS = {"exit": of_exit, "test": of_test, "build": of_build, "figures": of_figures, "sanitizer": of_sanitizer,
           "training": of_training, "comparison": of_comparison, "counters": of_counters}
