"""What the peers' side of a kernel's benchmark shares: the ways to run a function, measuring each, and the lines that
say what came out."""
import json
import math

import torch

from memory import peak_bytes
from timing import copies_of, measure

EAGER, GRAPH, COMPILED = "PyTorch", "PyTorch in a CUDA graph", "compiled PyTorch"


def message(error):
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


class Peers:
    """Measures a function in all ways that there are, and prints the lines."""

    def __init__(self, args):
        self.device, self.seconds, self.cold = args.device, args.seconds, args.cold
        self.only, self.memory = args.peers, args.memory
        self.dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
        self.dtype_name = args.dtype

    def random(self, *shape, requires_grad=False):
        x = torch.rand(shape, device=self.device, dtype=torch.float32) * 2 - 1
        x = x.to(self.dtype)
        if len(shape) == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x.requires_grad_(requires_grad)

    def wants(self, peer):
        return not self.only or any(peer.startswith(wanted) for wanted in self.only)

    def print(self, case, peer, figures):
        print(json.dumps({"case": case, "peer": peer, "device": self.device, "dtype": self.dtype_name,
                          "torch": torch.__version__, **figures}), flush=True)

    def ways(self, function, compiled_function, others):
        """(peer, what it runs, whether to compile it, whether to replay it as a graph)"""
        ways = [(EAGER, function, False, False)]
        if self.device == "cuda":
            ways.append((GRAPH, function, False, True))
        if compiled_function and hasattr(torch, "compile"):
            ways.append((COMPILED, compiled_function, True, False))
            if self.device == "cuda":
                ways.append((COMPILED, compiled_function, True, True))
        ways += [(peer, other, False, False) for peer, other in others.items()]
        return [way for way in ways if self.wants(way[0])]

    def best(self, ways, calls_of, measured):
        """{peer: {case: figures}} of the cases that `calls_of(function)` makes calls for, {case: calls}. Where a
        peer has two ways, the one whose longest case is shorter counts, for all cases: they are taken from each other.
        `measured(calls, graph)` are the figures; of a peer that cannot do it {None: why}."""
        def longest(figures):
            return max(own.get("seconds", math.inf) for own in figures.values())

        best = {}
        for peer, function, compiled, graph in ways:
            try:
                if compiled:
                    torch._dynamo.reset()
                    function = torch.compile(function, dynamic=False)
                figures = {case: measured(calls, graph) for case, calls in calls_of(function).items()}
            except Exception as error:  # a peer that cannot do it is a result
                figures = {None: {"error": message(error)}}
            if self.device == "cuda":
                torch.cuda.empty_cache()
            if peer not in best or longest(figures) < longest(best[peer]):
                best[peer] = figures
        return best

    def times(self, calls, graph):
        return measure(calls, self.device, self.seconds, graph)

    def report(self, name, tensors, function, compiled_function=None, others={}):
        """One case: function(*tensors); compiled only with a function for that. `others`: as of report_both."""
        ways = self.ways(function, compiled_function, others)
        found = self.best(ways, lambda f: {name: [keeping(f, own) for own in self.sets(tensors)]}, self.times)
        for peer, cases in found.items():
            self.print(name, peer, cases.get(name) or cases[None])

    def report_both(self, name, figures, tensors, function, dy=None, whole=False, others={}):
        """Forward, backward (what both take less forward), and with `whole` both. Gradients are taken of the tensors
        that require one. With --memory instead, what both take at most. `others`: further peers and their functions."""
        def both(f, own):
            wanted = [t for t in own if t.requires_grad]
            return keeping(lambda *all: torch.autograd.grad(f(*all), wanted, dy), own)

        def calls_of(f):
            sets = self.sets(tensors)
            return {"forward": [keeping(f, own) for own in sets], "both": [both(f, own) for own in sets]}

        ways = self.ways(function, function, others)
        if self.memory:
            found = self.best([way for way in ways if not way[3]], lambda f: {"both": both(f, tensors)},
                              lambda call, graph: {"peak_bytes": peak_bytes(call, self.device)})
            for peer, cases in found.items():
                self.print(f"{name} forward + backward{figures}", peer, cases.get("both") or cases[None])
            return
        for peer, cases in self.best(ways, calls_of, self.times).items():
            forward, taken = cases.get("forward"), cases.get("both")
            if not (forward and taken):
                forward = taken = backward = cases[None]
            else:
                rest = taken["seconds"] - forward["seconds"]
                backward = {"seconds": rest} if rest > 0 else {"error": "lost in the noise of both"}
            self.print(f"{name} forward{figures}", peer, forward)
            self.print(f"{name} backward{figures}", peer, backward)
            if whole:
                self.print(f"{name} forward + backward{figures}", peer, taken)

    def sets(self, tensors):
        return copies_of(tensors, self.device, self.cold)


def keeping(function, tensors):
    """A call that keeps its result until the next, so that results are cold too; not what autograd saved."""
    result = [None]

    def call():
        y = function(*tensors)
        result[0] = [t if t is None else t.detach() for t in (y if isinstance(y, (tuple, list)) else [y])]
    return call
