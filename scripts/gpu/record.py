"""The record of a day on a GPU: <date>-gpu.json and <date>-gpu.md; and the logs in one archive."""
import contextlib
import io
import json
import os
import tarfile
import time

LARGEST = 16 << 20  # bytes of a file that comes home
KEPT = 256 << 10  # bytes of each log's end, where all of them are too much


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def markdown(record):
    gpu = record["gpu"]
    machine = f"{gpu['name']}, driver {gpu['driver']}" if gpu else "No GPU"
    torch = f", PyTorch {record['torch']}" if record["torch"] else ""
    lines = [f"# GPU check, {record['date']}", "",
             f"{machine}, CUDA {record['cuda']}, cuDNN {record['cudnn']}{torch}, commit {record['commit']}. Written by "
             f"`scripts/{record['by']}`: {counts(record)}.", "",
             "| slot | state | seconds | |", "| --- | --- | --- | --- |"]
    lines += [f"| {s['name']} | {s['state']} | {s['seconds']:.0f} | {cell(s['note'])} |" for s in record["slots"]]
    for slot in record["slots"]:
        commands = slot["commands"]
        if len(commands) > 1:
            lines += ["", f"## {slot['name']}", "", "| | state | seconds | |", "| --- | --- | --- | --- |"]
            lines += [f"| {c['name']} | {c['state']} | {c['seconds']:.1f} | {cell(c['note'])} |" for c in commands]
    figures = [(slot["name"], figure.get("case", command["name"]), figure.get("seconds", figure.get("step_seconds")))
               for slot in record["slots"] for command in slot["commands"] for figure in command.get("figures", [])]
    if figures:
        lines += ["", "## Figures", "", "| slot | case | milliseconds |", "| --- | --- | --- |"]
        lines += [f"| {name} | {cell(str(case))} | {1000 * seconds:.4g} |" for name, case, seconds in figures
                  if isinstance(seconds, (int, float))]
    return "\n".join(lines) + "\n"


def counts(record):
    """"3 passed, 1 cut off of 4 slots"."""
    found = {}
    for slot in record["slots"]:
        found[slot["state"]] = found.get(slot["state"], 0) + 1
    return ", ".join(f"{n} {state}" for state, n in found.items()) + f" of {len(record['slots'])} slots"


def path_of(record, folder):
    return folder / f"{record['date']}-gpu.json"


def keep_earlier(record, folder, renewed):
    """Takes over the slots that another run of the same day, commit and GPU has left. A record of other ones gets a name
    with its time."""
    path = path_of(record, folder)
    if not path.exists():
        return
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        earlier = json.loads(path.read_text())
        if record["commit"] != "unknown" and all(earlier[key] == record[key] for key in ("commit", "gpu", "cuda")):
            record["slots"] = [slot for slot in earlier["slots"] if slot["name"] not in renewed]
            return
    written = time.strftime("%H%M%S", time.localtime(path.stat().st_mtime))
    stem, number = f"{path.stem}.{written}", 1
    while (folder / f"{stem}.json").exists():
        stem, number = f"{path.stem}.{written}-{number}", number + 1
    for ending in ("json", "md"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path.with_suffix(f".{ending}"), folder / f"{stem}.{ending}")


def save(record, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in (("json", json.dumps(record, indent=2) + "\n"), ("md", markdown(record))):
        target = path_of(record, folder).with_suffix(f".{suffix}")
        scratch = target.with_suffix(".part")
        scratch.write_text(text)
        scratch.replace(target)


def save_logs(logs, target):
    """All logs in one archive; where that is more than comes home, the end of each."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(target.name + ".part")
    for kept in (None, KEPT, KEPT // 16):
        with tarfile.open(scratch, "w:gz", compresslevel=6) as archive:
            for path in sorted(logs.glob("*")):
                if path.is_file():
                    data = path.read_bytes()
                    info = tarfile.TarInfo(f"logs/{path.name}")
                    info.mtime, data = path.stat().st_mtime, data[-kept:] if kept else data
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        if scratch.stat().st_size <= LARGEST:
            break
    scratch.replace(target)
