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
          "batchnorm": "Batch normalisation", "sequences": "Ops of sequences", "gru": "GRU",
          "attention": "Attention and a transformer", "logmel": "Log-mel", "optimizer_step": "Optimizer",
          "step": "Training step", "text_step": "Training step of texts", "clip_step": "Training step of clips",
          "epoch": "Epoch", "pretrain": "Pre-training", "start": "Start", "size": "Size"}


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


def stem_of(record):
    return f"{record['date']}-{record['device']}"


def earlier(record, folder):
    """The record of the same day that lies there, or nothing."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / f"{stem_of(record)}.json").read_text())
    return {}


def alike(record, other):
    """Whether machine, commit, versions and rounds are the same, so that one record may have the figures of both."""
    return all(other.get(key) == value for key, value in record.items() if key not in ("results", "not_measured"))


def save(record, folder):
    """Writes <date>-<device>.json and .md. An unlike record of the same day stays, its time in its names."""
    folder.mkdir(parents=True, exist_ok=True)
    stem, other = folder / stem_of(record), earlier(record, folder)
    if other and not alike(record, other):
        written = time.strftime("%H%M%S", time.localtime(os.path.getmtime(f"{stem}.json")))
        for ending in ("json", "md"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{stem}.{ending}", f"{stem}.{written}.{ending}")
        print(f"the day's record of commit {other.get('commit')} is now {stem.name}.{written}.json", flush=True)
    pathlib.Path(f"{stem}.json").write_text(json.dumps(record, indent=2) + "\n")
    pathlib.Path(f"{stem}.md").write_text(markdown(record))


def kept(record, folder):
    """(results, not_measured) that an earlier run of the same day left there, where both records are alike."""
    other = earlier(record, folder)
    if record["commit"] != "unknown" and alike(record, other):
        return other.get("results", []), other.get("not_measured", [])
    return [], []


def update_document(folder, document=DOCUMENT):
    """Puts the newest record of each device between its markers, <!-- record: cpu --> and <!-- end -->."""
    def newest(match):
        found = sorted(folder.glob(f"????-??-??-{match[1]}.md"))
        if not found:
            return match[0]
        title, _, body = found[-1].read_text().partition("\n")
        body = re.sub("^#", "##", body.strip(), flags=re.MULTILINE)
        link = f"{title[2:]} ([record](../benchmarks/results/{found[-1].stem}.json)): "
        return f"<!-- record: {match[1]} -->\n{link}{body}\n<!-- end -->"

    text = document.read_text()
    document.write_text(re.sub(r"<!-- record: (\w+) -->\n.*?<!-- end -->", newest, text, flags=re.DOTALL))
