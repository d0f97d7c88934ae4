"""What is compared: the programs of both sides, what they are told, and the lines that come of it.

A line is a measurement: its case, of the peers' the peer, and "seconds", "bytes" or why it failed; "times", which has
no peer, is a figure that stands for itself."""
import dataclasses
import functools
import json
import math
import statistics
import typing

from .programs import (ENGINE, PEERS, Failed, epoch_seconds, gpu_capability, last, lines, pretraining, program_bytes,
                       seconds_to_first_step, seconds_to_first_step_of_peers, torch_bytes)

EAGER, GRAPH, COMPILED = "PyTorch", "PyTorch in a CUDA graph", "compiled PyTorch"
AHEAD = "libsimclr, a thread making views ahead"
WARPGROUPS = "libsimclr by warpgroups"  # its kernels for sm_90a, which must be asked for
STARTS = 9  # a round; the median counts, as memory that a host has taken back makes some of them slow

LONG = "--long 512 1024 2048 4096"  # of attention, whose memory must grow as they do
# What both sides of a kernel's benchmark are told, and (preset, views) of the steps.
KERNELS = {
    "cuda": [("nt_xent", "--m 8192"), ("nt_xent", "--m 1024 4096 32768 65536 131072"),
             ("nt_xent", "--m 8192 --d 64 256"), ("nt_xent", "--m 8192 --tau 0.07"), ("similarity", "--m 4096 16384"),
             ("augment", "--pictures 4096 --photographs 512"), ("conv2d", "--views 1024"),
             ("batchnorm", "--views 1024"), ("sequences", "--sequences 1024"), ("values", ""), ("gru", ""),
             ("attention", ""), ("attention", LONG), ("logmel", "--sequences 1024"), ("optimizer_step", "")],
    "cpu": [("nt_xent", "--m 256 1024 2048 8192 16384"), ("nt_xent", "--m 8192 --d 64 256"),
            ("nt_xent", "--m 8192 --tau 0.07"), ("similarity", "--m 2048"),
            ("augment", "--pictures 4096 --photographs 512"), ("conv2d", "--views 32"), ("batchnorm", "--views 64"),
            ("sequences", "--sequences 256"), ("values", ""), ("gru", ""), ("attention", ""), ("attention", LONG),
            ("logmel", "--sequences 64"), ("optimizer_step", "")],
    "tiny": [("nt_xent", "--m 64 --d 16"), ("similarity", "--m 64 --d 16"),
             ("augment", "--pictures 8 --photographs 1"), ("conv2d", "--views 2 --size 8 --width 4"),
             ("batchnorm", "--views 2 --size 8 --width 4"),
             ("sequences", "--sequences 3 --steps 5 --width 8 --entries 20"), ("values", "--rows 9 --width 5"),
             ("gru", "--sequences 2 --steps 3 --inputs 4 --width 5"),
             ("attention", "--sequences 2 --steps 3 --heads 2 --width 4 --layers 1"),
             ("attention", "--heads 2 --width 4 --long 8 16"),
             ("logmel", "--sequences 3 --samples 900 --fft 64 --window 50 --hop 40 --mels 8"),
             ("optimizer_step", "--width 4")],
}
STEPS = {"cuda": [("reference", 256), ("reference", 1024), ("reference", 8192)],
         "cpu": [("reference", 128), ("reference", 256), ("reference", 1024), ("quick", 512)],
         "tiny": [("quick", 8)]}
# Of texts' and clips' steps: the case, and what the program of libsimclr is told.
REVIEWS = "as long as movie reviews"
OTHER_STEPS = {
    "text_step": {
        size: [(f"text step of {preset}, {views} views of {tokens} tokens{case}",
                f"--preset {preset} --views {views} --longest {tokens}{told}")
               for preset in ("gru", "transformer") for case, told in (("", " --full"), (f" at most, {REVIEWS}", ""))]
        for size, (views, tokens) in {"cuda": (1024, 64), "cpu": (1024, 64), "tiny": (8, 8)}.items()},
    "clip_step": {
        "cuda": [("clip step of cvrl, R(2+1)D-18, 64 views of 16 frames of 112 pixels", "--preset cvrl --views 64")],
        "cpu": [("clip step of moving, R(2+1)D-18 of width 8, 128 views of 8 grey frames of 32 pixels",
                 "--preset moving --views 128 --channels 1"),
                ("clip step of small, R(2+1)D-18 of width 16, 32 views of 8 frames of 64 pixels",
                 "--preset small --views 32")],  # of its 128, which take ten times as long as moving's
        "tiny": [("clip step of moving, tiny", "--preset moving --views 8 --frames 2 --size 8")]},
}
ONCE = {"cpu": 1024}  # from so many views on a step takes so long that the first round must do
# Of ranks: (preset, views) of a step, of all of them.
RANKS = {"cuda": [], "cpu": [("reference", 128), ("quick", 512)], "tiny": [("quick", 8)]}
# Of the epoch and of the start: the recipe, pictures a batch, pictures an epoch (0: all).
TRAINING = {"cuda": ("reference", 512, 0), "cpu": ("quick", 256, 10000), "tiny": ("quick", 16, 48)}
# Of a whole run: the recipe, pictures a batch and epochs (0: the recipe's), pictures an epoch (0: all).
PRETRAINING = {"cuda": ("reference", 0, 0, 0), "cpu": ("quick", 0, 0, 0), "tiny": ("quick", 16, 2, 48)}
# Those that a GPU has targets for come first.
NAMES = ["nt_xent", "step", "augment", "batchnorm", "epoch", "pretrain", "start", "text_step", "clip_step",
         "similarity", "conv2d", "sequences", "values", "gru", "attention", "logmel", "optimizer_step", "ranks",
         "size", "python"]
NEED_DATA = {"epoch", "pretrain", "start"}
# What is left out where nobody names it: a whole run takes long on a CPU; on a GPU the programs link unlike parts of
# NVIDIA's libraries, and ranks have not been measured.
# The Python package's build must suit the interpreter of the peers.
LEFT_OUT = {"cpu": {"pretrain", "python"}, "cuda": {"size", "ranks", "python"}, "tiny": {"python"}}


@dataclasses.dataclass
class Run:
    """Both sides of one comparison; each is a function of the round, 0 first, and gives lines until it fails."""
    what: str
    name: str
    ours: typing.Callable
    peers: typing.Callable


def sizes_of(args):
    return "tiny" if args.tiny else args.device


def default_names(args):
    return [name for name in NAMES if name not in LEFT_OUT[sizes_of(args)]]


def runs_of(args, name):
    """Those of one of NAMES, in order."""
    sizes = sizes_of(args)
    if name == "step":
        yield from (picture_step_run(args, *step) for step in STEPS[sizes])
    elif name in OTHER_STEPS:
        yield from (step_run(args, name, name, *step) for step in OTHER_STEPS[name][sizes])
    elif name == "epoch":
        yield epoch_run(args, *TRAINING[sizes])
    elif name == "pretrain":
        yield pretrain_run(args, *PRETRAINING[sizes])
    elif name == "start":
        yield start_run(args, *TRAINING[sizes])
    elif name == "size":
        yield size_run(args)
    elif name == "python":
        yield python_run(args)
    elif name == "ranks":
        yield from (ranks_run(args, *step) for step in RANKS[sizes])
    else:
        yield from (kernel_run(args, op, told) for op, told in KERNELS[sizes] if op == name)


def kernel_run(args, op, told):
    common = ["--device", args.device, "--seconds", args.seconds, "--threads", args.threads, *told.split()]
    bench, peer = [args.build / "benchmarks" / f"bench_{op}", *common], [args.python, PEERS / "kernels.py", op, *common]

    def ours(_):
        peaks = []
        for line in lines(bench, may_fail=True):
            if line["case"].startswith("limit"):
                continue
            yield line
            if "peak_bytes" in line:
                peaks.append(line["peak_bytes"])
                yield {"case": line["case"] + ", memory", "bytes": line["peak_bytes"]}
            if args.device == "cuda" and op == "batchnorm" and line.get("limit") == "copy":
                yield {"case": line["case"] + ", share of the copy bandwidth", "times": line["share_of_limit"]}
        steps = [int(part) for part in told.partition("--long")[2].split()]
        if len(steps) > 1 and len(peaks) == len(steps):  # a length that failed has none, and none stands for another
            yield growth(op, steps, peaks)

    def peers(number):
        yield from lines(peer)
        if (op == "nt_xent" or "--long" in told) and number == 0:  # the same each time
            for line in lines([*peer, "--memory"]):
                yield {**line, "case": line["case"] + ", memory", "bytes": line.get("peak_bytes")}
        if op == "nt_xent" and args.device == "cuda" and gpu_capability() == "9.0":
            yield from by_warpgroups(bench)

    return Run(op, f"{op} {told}".strip(), ours, peers)


def growth(op, steps, peaks):
    """How much more bytes a step of the longest sequence takes than one of the shortest: 1 where memory is linear."""
    return {"case": f"{op}, bytes a step, {steps[-1]} steps over {steps[0]}",
            "times": peaks[-1] / steps[-1] / (peaks[0] / steps[0])}


def by_warpgroups(bench):
    """The cases by the kernels that must be asked for. They have run on no GPU: where they fail, all else goes on."""
    try:
        for line in lines([*bench, "--wgmma"], may_fail=True):
            yield {**line, "peer": WARPGROUPS}
    except Failed as error:
        yield {"case": "nt_xent by warpgroups", "peer": WARPGROUPS, "error": str(error)}


def describe(args, preset):
    return last([args.build / "benchmarks" / "bench_train_step", "--preset", preset, "--describe"])


def shape_of(args, preset):
    """The peer's model of pictures: what to tell it, and how to name it."""
    model = describe(args, preset)
    told = ["--width", model["width"], "--size", model["size"], "--head-hidden", model["head_hidden"]]
    name = "ResNet-18" if model["width"] == 64 and model["size"] == 32 else \
        f"{preset}'s ResNet-18 (width {model['width']}, {model['size']} pixels)"
    return told, name


class Fastest:
    """A program of the peers that has several ways. The first round runs all, or `ways`; the others the fastest of each
    kind. The memory of the fastest is a line, too, where the program tells it."""

    def __init__(self, command, case, kind_of, ways=()):
        self.command, self.case, self.kind_of, self.chosen = command, case, kind_of, ways

    def __call__(self, _):
        line = last([*self.command, *(["--only", *self.chosen] if self.chosen else [])])
        best = {}
        for way, seconds in line["seconds"].items():
            kind = self.kind_of(way)
            if kind not in best or seconds < best[kind]["seconds"]:
                best[kind] = {"case": self.case, "peer": kind, "seconds": seconds, "form": way}
        self.chosen = [found["form"] for found in best.values()]
        peaks = line.get("peak_bytes", {})
        memory = [{"case": self.case + ", memory", "peer": kind, "bytes": peaks[found["form"]], "form": found["form"]}
                  for kind, found in best.items() if found["form"] in peaks]
        failed = [{"case": self.case, "peer": self.kind_of(way), "error": error}
                  for way, error in line["errors"].items() if self.kind_of(way) not in best]
        return [*best.values(), *memory, *failed]


def kind_of_step(way):
    """A way's name begins with how it runs; its form follows: "graph, padded", or "packed" alone where it is eager."""
    return COMPILED if way.startswith(("compile", "reduce")) else GRAPH if way.startswith("graph") else EAGER


def picture_step_run(args, preset, views):
    return step_run(args, "step", "train_step", f"{shape_of(args, preset)[1]} step, {views} views",
                    f"--preset {preset} --views {views}", once=views >= ONCE.get(args.device, math.inf), ways=args.ways)


def step_run(args, what, program, case, told, once=False, ways=()):
    """What libsimclr's program describes tells the peer's; it is asked where the step is measured. `once`: in the first
    round alone."""
    common = ["--device", args.device, "--seconds", args.seconds, "--threads", args.threads]
    bench = [args.build / "benchmarks" / f"bench_{program}", *common, *told.split(), "--rounds", 1 if args.tiny else 5]
    graph = ["--graph"] if args.device == "cuda" else []

    def ours():
        line = last([*bench, *graph])
        yield {**line, "case": case, "seconds": line["step_seconds"]}
        if "over_convolutions" in line:
            yield {"case": case + ", over its convolutions alone", "times": line["over_convolutions"]}
        if args.device == "cuda":
            yield {"case": case + ", memory", "bytes": line["peak_bytes"]}

    @functools.cache
    def peers():
        setup = json.dumps(last([*bench, "--describe"]))
        return Fastest([args.python, PEERS / f"{program}.py", *common, "--setup", setup], case, kind_of_step, ways)

    def skips(number):
        return once and number > 0

    return Run(what, case, lambda number: [] if skips(number) else ours(),
               lambda number: [] if skips(number) else peers()(number))


def training_setup(args, preset, batch, limit):
    return describe(args, preset) | {"preset": preset, "batch": batch, "limit": limit}


def kind_of_epoch(way):
    return COMPILED if way.startswith("compiled") else EAGER


def epoch_run(args, preset, batch, limit):
    setup, (told, model) = training_setup(args, preset, batch, limit), shape_of(args, preset)
    case = f"epoch of CIFAR-10, {model}, {limit or 'all'} pictures"
    peer = [args.python, PEERS / "epoch.py", "--data", args.data, "--limit", limit, "--batch", batch, "--device",
            args.device, "--threads", args.threads, *told]
    fastest = Fastest(peer, case, kind_of_epoch)

    def peers(number):
        yield from fastest(number)
        if args.device == "cpu":  # on a GPU no host thread makes CIFAR's views
            yield {"case": case, "peer": AHEAD, "seconds": epoch_seconds(args, setup, ["--workers=1"])}

    return Run("epoch", case, lambda _: [{"case": case, "seconds": epoch_seconds(args, setup)}], peers)


def pretrain_run(args, preset, batch, epochs, limit):
    """Once, whatever the number of rounds: it takes minutes, and is the same each time but for the seed."""
    recipe, (told, model) = describe(args, preset), shape_of(args, preset)
    setup = {"preset": preset, "batch": batch or recipe["batch_size"], "epochs": epochs or recipe["epochs"],
             "limit": limit}
    case = f"pretraining on CIFAR-10, {model}, {setup['epochs']} epochs"
    peer = [args.python, PEERS / "pretrain.py", "--data", args.data, "--device", args.device, "--threads", args.threads,
            *told, "--limit", limit, "--batch", setup["batch"], "--epochs", setup["epochs"]]
    for name in ("lr", "momentum", "weight_decay", "warmup_epochs", "temperature"):
        peer += [f"--{name.replace('_', '-')}", recipe[name]]

    def found(seconds, top1, **more):
        return [{"case": case, "run_seconds": seconds, **more}, {"case": case + ", kNN", "percent": 100 * top1, **more}]

    def ours(number):
        return found(*pretraining(args, setup)) if number == 0 else []

    def peers(number):
        if number > 0:
            return []
        line = last(peer)
        return found(line["seconds"], line["knn_top1"], peer=COMPILED if line["compiled"] else EAGER)

    return Run("pretrain", case, ours, peers)


def start_run(args, preset, batch, limit):
    setup = training_setup(args, preset, batch, limit)
    case = f"start to first step, {preset}"

    def median_of(one):
        def run(number):
            if number == 0 and not args.tiny:
                one(args, setup)  # reads its files from the disk
            return statistics.median(one(args, setup) for _ in range(1 if args.tiny else STARTS))
        return run

    ours, peers = median_of(seconds_to_first_step), median_of(seconds_to_first_step_of_peers)
    return Run("start", case, lambda number: [{"case": case, "seconds": ours(number)}],
               lambda number: [{"case": case, "peer": EAGER, "seconds": peers(number)}])


def ranks_run(args, preset, views):
    """Ranks of one thread against as many threads of one process, and against their own sums in buckets."""
    ranks, model = max(args.threads, 2), shape_of(args, preset)[1]
    case = f"{model} step, {views} views, {ranks} ranks of one thread"
    buckets = case + ", gradients added up behind the pass"
    bench = [args.build / "benchmarks" / "bench_ranks", "--preset", preset, "--views", views, "--seconds", args.seconds,
             "--rounds", 1 if args.tiny else 5]

    def of_ranks(*more, yields=0):
        """The step, and how a rank waits."""
        engine = [*ENGINE, "--mca", "mpi_yield_when_idle", yields, "-np", ranks]
        return list(lines([*engine, *bench, "--threads", 1, *more]))

    def ours(_):
        for name, yields in (("", 0), (" that yields", 1)):
            step, waiting = of_ranks(yields=yields)
            if not yields:
                yield {"case": case, "seconds": step["seconds"]}
                yield {"case": case + ", share of communication", "times": step["share_of_communication"]}
                yield {"case": buckets, "seconds": step["seconds"]}
            yield {"case": f"processor time of a waiting rank{name}, over the time that it waits",
                   "times": waiting["processor_share"]}

    def peers(_):
        yield {"case": case, "peer": f"one process of {ranks} threads",
               "seconds": last([*bench, "--threads", ranks])["seconds"]}
        yield {"case": buckets, "peer": "in parts of 1 MiB amid it",
               "seconds": of_ranks("--bucket-bytes", 1 << 20)[0]["seconds"]}

    return Run("ranks", case, ours, peers)


def size_run(args):
    case = "size of the program and what it links"
    return Run("size", case, lambda _: [{"case": case, "bytes": program_bytes(args)}],
               lambda _: [{"case": case, "peer": "PyTorch's folder", "bytes": torch_bytes(args.python)}])


def python_run(args):
    """The Python package: one process measures both sides in turn, and the round's second half only tells."""
    command = [args.python, PEERS / "package.py", "--build", args.build, "--seconds", args.seconds, "--threads",
               args.threads, *(["--tiny"] if args.tiny else [])]
    found = {}

    def ours(number):
        found[number] = list(lines(command))
        return [line for line in found[number] if "peer" not in line]

    return Run("python", "python package", ours, lambda number: [line for line in found[number] if "peer" in line])
