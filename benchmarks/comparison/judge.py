"""Makes records of measurements, and holds the ratios against what they must reach."""
import re
import statistics

from .runs import COMPILED, EAGER, REVIEWS

ANY, EAGER_ONES, TORCHVISION = "", f"({EAGER}$|lightly|pytorch-metric-learning)", "torchvision"

# (device, the case, the peers, the ratio wanted). The strongest of these peers counts.
RATIOS = [
    ("cpu", r"^from Python: nt_xent forward \+ backward, M (2048|8192), D \d+$", ANY, 3.0),
    ("cpu", r"^from Python: augment ", TORCHVISION, 10.0),
    ("cpu", r"^from Python: features of a folder", ANY, 1 / 1.05),
    ("cpu", r"^nt_xent forward \+ backward, M (2048|8192),.*memory", ANY, 100),
    ("cpu", r"^nt_xent forward \+ backward, M (2048|8192),", ANY, 2.0),
    ("cpu", r"augment ", TORCHVISION, 10.0),
    ("cpu", r"logmel, .* mels$", "torchaudio", 1.5),
    ("cpu", r"^text step of gru, ", ANY, 1.2),
    ("cpu", rf"^text step of transformer, .*{REVIEWS}$", ANY, 1.5),
    ("cpu", r"^text step of transformer, ", ANY, 1.0),
    ("cpu", r"^clip step of ", ANY, 1.2),
    ("cpu", r"^ResNet-18 step, 128 views$", ANY, 1.2),
    ("cpu", r"^quick's ResNet-18 .* step, 512 views$", ANY, 1.5),
    ("cuda", r"nt_xent forward \+ backward, M 1024,.*\d$", EAGER_ONES, 5.0),
    ("cuda", r"nt_xent forward \+ backward, M (8192|\d{5,}),.*\d$", EAGER_ONES, 7.0),
    ("cuda", r"nt_xent forward \+ backward, M (8192|\d{5,}),.*\d$", COMPILED, 2.0),
    ("cuda", r"augment ", COMPILED, 4.0),
    ("cuda", r"^ResNet-18 step, 256 views$", COMPILED, 1.5),
    ("cuda", r"^ResNet-18 step, 1024 views$", COMPILED, 1.15),
]
# (device, the case, what libsimclr's own figure must be, in the unit of its record)
FIGURES = [
    ("cpu", r"^from Python: nt_xent .*, M (2048|8192), .*, memory beyond", "<=", 1),
    ("cpu", r"^from Python: an eager call of nt_xent beyond", "<=", 0.02),
    ("cpu", r"^ResNet-18 step, 128 views, over its convolutions alone", "<=", 1.15),
    ("cpu", r"^start to first step", "<=", 300),
    ("cpu", r"^attention, bytes a step, ", "<=", 1.1),  # 1: linear in the steps
    ("cuda", r"nt_xent .*, M 131072,.*memory", "<", 1024),
    ("cuda", r"^ResNet-18 step, 8192 views, memory$", "<", 22888),  # 24 GB
    ("cuda", r"^batchnorm .*, share of the copy bandwidth", ">=", 0.8),
    ("cuda", r"^epoch of CIFAR-10, ResNet-18, all pictures", "<=", 2400),  # 100 epochs in four minutes
    ("cuda", r"^pretraining on CIFAR-10, ResNet-18, 100 epochs$", "<=", 240),
]
# (device, the case, how far from the peer's figure libsimclr's may be, in the unit of its record)
DIFFERENCES = [("cuda", r"^pretraining on CIFAR-10, ResNet-18, 100 epochs, kNN$", 1.0)]
UNITS = {"seconds": ("ms", 1e3), "run_seconds": ("s", 1), "bytes": ("MiB", 2**-20), "percent": ("%", 1),
         "times": ("x", 1)}
HOLDS = {"<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b}


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def record_of(device, case, peer, own, other):
    """One case against one peer: lines of each round, or nothing where it has none."""
    lines = [line for line in [*own, *other] if line]
    key = next((key for key in UNITS if any(line.get(key) is not None for line in lines)), "seconds")
    unit, scale = UNITS[key]
    mine, theirs = ([line and line.get(key) for line in side] for side in (own, other))
    if key == "times":
        theirs, ratios = [1.0], [a for a in mine if a]
    elif key == "percent":
        ratios = []  # more is better, and what counts is the difference
    else:
        ratios = [b / a for a, b in zip(mine, theirs) if a and b]
    scaled = [value and scale * value for value in (median(mine), median(theirs))]
    record = {"case": f"{case}, against {peer}" if peer else case, "device": device, "ours": scaled[0],
              "peer": scaled[1], "unit": unit, "ratio": median(ratios), "target": "", "met": None, "ratios": ratios}
    share = max(filter(None, own), key=lambda line: line.get("share_of_limit", 0), default={})
    record |= {name: share[name] for name in ("share_of_limit", "limit") if name in share}
    form = next((line["form"] for line in other if line and "form" in line), None)
    if form:
        record["form"] = form
    for side, found in (("libsimclr: ", own), ("", other)):
        errors = [line["error"] for line in found if line and "error" in line]
        if errors and not any(line.get(key) for line in found if line):
            record["note"] = side + errors[0]
    return record


def strongest(records):
    """The one that libsimclr is least ahead of; where none has a ratio, the first."""
    return min(records, key=lambda r: float("inf") if r["ratio"] is None else r["ratio"], default=None)


def set_targets(device, case, records):
    """`records`: {peer: the case's record}."""
    for on, pattern, peers, wanted in RATIOS:
        if on == device and re.search(pattern, case):
            chosen = strongest([record for peer, record in records.items() if peer and re.match(peers, peer)])
            if chosen:
                met = None if chosen["ratio"] is None else chosen["ratio"] >= wanted
                chosen.update(target=f">= {wanted:g}", met=False if chosen["ours"] is None else met)
            if peers == ANY:
                break
    for on, pattern, sign, wanted in FIGURES:
        if on == device and re.search(pattern, case):
            chosen = strongest(list(records.values()))
            chosen.update(target=f"libsimclr {sign} {wanted:g} {chosen['unit']}",
                          met=chosen["ours"] is not None and HOLDS[sign](chosen["ours"], wanted))
    for on, pattern, most in DIFFERENCES:
        if on == device and re.search(pattern, case):
            for record in records.values():
                ours, peer = record["ours"], record["peer"]
                known = ours is not None and peer is not None
                record.update(target=f"within {most:g} of the peer's",
                              met=abs(ours - peer) <= most if known else False if ours is None else None)


def judge(device, what, ours, peers):
    """The records of a run. `ours`, `peers`: a list for each round of the lines that came of it."""
    own = [{line["case"]: line for line in lines} for lines in ours]
    other = [{(line["case"], line["peer"]): line for line in lines} for lines in peers]
    records = []
    for case in dict.fromkeys(case for lines in own for case in lines):
        against = list(dict.fromkeys(peer for lines in other for found, peer in lines if found == case)) or [None]
        found = {peer: record_of(device, case, peer, [lines.get(case) for lines in own],
                                 [lines.get((case, peer)) for lines in other]) for peer in against}
        set_targets(device, case, found)
        records += [{"what": what, **record} for record in found.values()]
    return records
