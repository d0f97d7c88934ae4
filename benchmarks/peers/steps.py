"""What the peers' whole training steps share: their options, the ways to run one, and the line that says what came out.
"""
import argparse
import json
import sys

import torch

from harness import message
from kernels import nt_xent
from timing import measure

LR = 1e-4


def has_fused(device):
    """Of the fused optimizers: in versions that can compile on a GPU, and later on the CPU too."""
    if device == "cuda":
        return hasattr(torch, "compile")
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 4)


def make_optimizer(model, device, optimizer="sgd", momentum=0.9, weight_decay=5e-4):
    """A recipe's, at a small learning rate."""
    form = {"fused": True} if has_fused(device) else {}  # an old version does not know the word
    if optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=weight_decay, **form)
    return torch.optim.SGD(model.parameters(), lr=LR, momentum=momentum, weight_decay=weight_decay, **form)


def head(features, hidden, out, batchnorm):
    """With as many hidden values as there are features where `hidden` is 0."""
    hidden = hidden or features
    norm = [torch.nn.BatchNorm1d(hidden)] if batchnorm else []
    return torch.nn.Sequential(torch.nn.Linear(features, hidden, bias=not batchnorm), *norm, torch.nn.ReLU(),
                               torch.nn.Linear(hidden, out, bias=False))


def training_step(args, model, optimizer, views, temperature, compile_mode=None):
    """Forward, NT-Xent, backward and update. `views`: what the model is called with."""
    def loss(*views):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.dtype == "bf16"):
            return nt_xent(model(*views), temperature)

    if compile_mode:
        torch._dynamo.reset()
        loss = torch.compile(loss, mode=compile_mode, dynamic=False)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(*views).backward()
        optimizer.step()
    return step


def ways(device, forms):
    """{name: (form, torch.compile's mode, whether to capture the whole step)} of each form {name: form}, those that the
    device is worth trying with. A name begins with how the step runs, where that is not eager on the CPU."""
    compiles = hasattr(torch, "compile")
    kinds = {"": (None, False)} if device == "cpu" else {"eager": (None, False), "graph": (None, True)}
    if compiles:
        kinds |= {"compile": ("default", False)}
    if compiles and device == "cuda":
        kinds |= {"reduce-overhead": ("reduce-overhead", False), "compile, graph": ("default", True)}
    return {", ".join(filter(None, (kind, name))): (form, mode, graph)
            for kind, (mode, graph) in kinds.items() for name, form in forms.items()}


def memory_formats(device, channels_last):
    """The forms of pictures and clips: on a GPU channels-last alone."""
    return {"contiguous": torch.contiguous_format, "channels_last": channels_last} if device == "cpu" else \
        {"": channels_last}


def parser(description):
    """With the options that all have."""
    own = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("--setup", type=json.loads, required=True, help="what libsimclr's program --describe prints")
    own.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    own.add_argument("--dtype", choices=("f32", "bf16"), help="default: bf16 on cuda, else f32")
    own.add_argument("--seconds", type=float, default=0.0,
                     help="to be spent on each variant; at least three steps are measured")
    own.add_argument("--threads", type=int, default=2)
    own.add_argument("--only", nargs="+", help="of the variants, by name")
    return own


def wanted(args, case, all_ways):
    """Those of --only, or all. Ends the program where --only names another."""
    unknown = [name for name in args.only or [] if name not in all_ways]
    if unknown:
        sys.exit(f"{case}: --only {' '.join(unknown)}: no such way; there are {'; '.join(all_ways)}")
    return {name: way for name, way in all_ways.items() if not args.only or name in args.only}


def report(args, case, views, all_ways, make_step):
    """Measures all ways, or those of --only, and prints the line: where no way works, its "seconds" are empty and its
    "errors" say why. `make_step(form, compile_mode)` is a step on a model of its own."""
    all_ways = wanted(args, case, all_ways)
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    if args.dtype == "f32":  # libsimclr's products in f32 are never of TF32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"{case}: this PyTorch sees no GPU")

    seconds, errors, peaks = {}, {}, {}
    for name, (form, compile_mode, graph) in all_ways.items():
        try:
            if args.device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            torch.manual_seed(0)
            seconds[name] = measure([make_step(form, compile_mode)], args.device, args.seconds, graph)["seconds"]
            if args.device == "cuda":
                peaks[name] = torch.cuda.max_memory_allocated()
        except Exception as error:  # a variant that cannot do it is a result
            errors[name] = message(error)
    line = {"case": case, "torch": torch.__version__, "device": args.device, "dtype": args.dtype, "views": views,
            "threads": args.threads, "seconds": seconds, "errors": errors, "peak_bytes": peaks}
    if seconds:
        best = min(seconds, key=seconds.get)
        line |= {"step_seconds": seconds[best], "variant": best, "views_per_second": views / seconds[best]}
    print(json.dumps(line))
