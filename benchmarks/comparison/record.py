"""What a comparison leaves: a JSON file, its tables in Markdown, and those in the document."""
import contextlib
import json
import os
import pathlib
import re
import time

from .programs import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
TITLES = {"nt_xent": "NT-Xent", "similarity": "Similarity", "augment": "Augmentation", "conv2d": "Convolution",
          "batchnorm": "Batch normalisation", "sequences": "Ops of sequences", "values": "Functions of values",
          "gru": "GRU",
          "attention": "Attention and a transformer", "logmel": "Log-mel", "optimizer_step": "Optimizer",
          "step": "Training step", "text_step": "Training step of texts", "clip_step": "Training step of clips",
          "epoch": "Epoch", "pretrain": "Pre-training", "start": "Start",
          "ranks": "Several processes", "size": "Size", "python": "From Python"}


def cell(value, form="{}"):
    return "-" if value is None or value == "" else form.format(value)


def limit_cell(record):
    return f"{record['share_of_limit']:.2f} of {record['limit']}" if record.get("limit") else "-"


def table(records):
    limits = any("limit" in r for r in records)
    rows = [["case", "libsimclr", "peer", "unit", "ratio", "target", "met", *(["share of limit"] if limits else [])]]
    rows.append(["---"] * len(rows[0]))
    for r in records:
        met = {True: "yes", False: "**no**", None: "-"}[r["met"]]
        rows.append([r["case"], cell(r["ours"], "{:.4g}"), cell(r["peer"], "{:.4g}"), r["unit"],
                     cell(r["ratio"], "{:.2f}"), cell(r["target"]), met, *([limit_cell(r)] if limits else [])])
    notes = sorted({f"{r['case']}: {r['note']}" for r in records if "note" in r})
    return ["| " + " | ".join(row) + " |" for row in rows] + ([""] + [f"- {note}" for note in notes] if notes else [])


def versions_text(versions):
    """`newest torch` stands beside PyTorch's own version, which may have a suffix of the build."""
    names, newest = dict(versions), versions.get("newest torch")
    names.pop("newest torch", None)
    if newest:
        same = names["torch"].partition("+")[0] == newest
        names["torch"] += " (the newest)" if same else f" (the newest release is {newest})"
    else:
        names["torch"] += " (whether it is the newest could not be known)"
    return ", ".join(f"{name} {version}" for name, version in names.items())


def markdown(record):
    on_gpu = record["device"] == "cuda"
    peers = versions_text(record["versions"])
    text = [f"# Benchmarks on a {'GPU' if on_gpu else 'CPU'}, {record['date']}", "",
            f"{record['machine']}, {'' if on_gpu else str(record['threads']) + ' threads, '}commit {record['commit']}; "
            f"{peers}. Medians of {record['rounds']} rounds, both sides in turn; a ratio is the median of the rounds' "
            "ratios, above 1 where libsimclr is faster or smaller. A target stands beside the strongest of the peers "
            "that it is about. Written by `benchmarks/compare.py`."]
    targets = [r for r in record["results"] if r["target"]]
    if targets:
        met = sum(r["met"] is True for r in targets)
        text += ["", "## Targets", "", f"{met} of {len(targets)} are met.", "",
                 *table([{key: value for key, value in r.items() if key != "note"} for r in targets])]
    if record["not_measured"]:
        text += ["", f"Not measured for want of time: {'; '.join(record['not_measured'])}."]
    for what, title in TITLES.items():
        records = [r for r in record["results"] if r["what"] == what]
        if records:
            text += ["", f"## {title}", "", *table(records)]
    return "\n".join(text) + "\n"


def failed_runs(record):
    return {result["run"] for result in record["results"] if result.get("failed")}


def stem_of(record):
    return f"{record['date']}-{record['device']}"


def read(path):
    """The record that lies there; nothing where none does, or it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        found = None
    return found if isinstance(found, dict) and isinstance(found.get("results"), list) else {}


def conditions(record):
    """Of what a record has, that which must be the same where one record has the figures of two runs. What the newest
    PyTorch is was not measured with, and is not always known."""
    versions = {name: version for name, version in record.get("versions", {}).items() if name != "newest torch"}
    return {key: value for key, value in record.items() if key not in ("results", "not_measured")} | {
        "versions": versions}


def set_aside(record, folder):
    """Gives the record of the same day that lies there another name, with its time."""
    stem = folder / stem_of(record)
    if not stem.with_suffix(".json").exists():
        return
    written = time.localtime(os.path.getmtime(f"{stem}.json"))
    names = (f"{stem}.{time.strftime('%H%M%S', written)}{more}" for more in ["", *(f"-{n}" for n in range(2, 1000))])
    name = next(name for name in names if not os.path.exists(f"{name}.json"))
    for ending in ("json", "md"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{stem}.{ending}", f"{name}.{ending}")
    print(f"the day's earlier record is now {name}.json", flush=True)


def write_whole(path, text):
    """So that a run that is cut off meanwhile leaves what lay there."""
    part = pathlib.Path(f"{path}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save(record, folder):
    """Writes <date>-<device>.json and .md over those that lie there."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / stem_of(record)
    write_whole(f"{stem}.json", json.dumps(record, indent=2) + "\n")
    write_whole(f"{stem}.md", markdown(record))


def go_on(record, folder):
    """Puts into `record` what an alike one of the same day has. Whether there is one: else it must be set aside."""
    other = read(folder / f"{stem_of(record)}.json")
    if record["commit"] == "unknown" or conditions(other) != conditions(record):
        return False
    record["results"], record["not_measured"] = other["results"], other["not_measured"]
    record["versions"] = other["versions"] | record["versions"]
    return True


def shown(folder, device):
    """The device's records, the newest first, each without the runs that a newer one has: (path, record). Names those
    that cannot be read, and those of --tiny, whose figures mean nothing."""
    name = re.compile(rf"\d{{4}}-\d\d-\d\d-{device}(\.[\d-]+)?\.json")
    found = [path for path in folder.glob(f"*-{device}*.json") if name.fullmatch(path.name)]
    seen = set()
    # Of one day the one without a time in its name is the newest.
    for path in sorted(found, key=lambda path: (path.name[:10], "." not in path.stem, path.stem), reverse=True):
        record = read(path)
        if not record or record.get("tiny"):
            print(f"{path}: {'is of --tiny' if record else 'cannot be read'}, and so is not shown", flush=True)
            continue
        results = [result for result in record["results"] if result.get("run") not in seen | {None}]
        if results:
            yield path, record | {"results": results}
        seen |= {r["run"] for r in results} - failed_runs(record)


def update_document(folder, document=DOCUMENT):
    """Puts each device's newest figures between its markers, <!-- record: cpu --> and <!-- end -->: the newest record,
    and of older ones the runs that it lacks, or that failed in it."""
    def newest(match):
        parts = []
        for path, record in shown(folder, match[1]):
            # What there was no time for is said of the newest alone, as a newer one may have it.
            title, _, body = markdown(record | ({"not_measured": []} if parts else {})).partition("\n")
            body = re.sub("^#", "##" if not parts else "###", body.strip(), flags=re.MULTILINE)
            link = f"[record](../benchmarks/results/{path.name})"
            parts.append(f"{title[2:]} ({link}): {body}\n" if not parts else f"### {title[2:]}\n\n({link}) {body}\n")
        return f"<!-- record: {match[1]} -->\n" + "\n".join(parts) + "<!-- end -->" if parts else match[0]

    text = document.read_text()
    document.write_text(re.sub(r"<!-- record: (\w+) -->\n.*?<!-- end -->", newest, text, flags=re.DOTALL))
