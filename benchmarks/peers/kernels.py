#!/usr/bin/env python3
"""Times in PyTorch what benchmarks/bench_*.cpp time in libsimclr, and prints one JSON line a case and peer.

usage: kernels.py {nt_xent,similarity,batchnorm,optimizer_step,conv2d,augment} [--device cpu] [--dtype f32] ...

Cases have the same names. The peers are "PyTorch", eager; on a GPU "PyTorch in a CUDA graph", the same captured; and
"compiled PyTorch", the faster of torch.compile's code as it is and captured. Pictures are channels-last. A peer that
fails (out of memory, no compiler) prints why.
"""
import argparse
import json
import math
import sys

import torch
import torch.nn.functional as F

from timing import copies_of, measure

GRAPH, COMPILED = "PyTorch in a CUDA graph", "compiled PyTorch"


class Peers:
    """Measures a function in all ways that there are, and prints the lines."""

    def __init__(self, args):
        self.device, self.seconds, self.cold = args.device, args.seconds, args.cold
        self.only = args.peers
        self.dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
        self.dtype_name = args.dtype

    def random(self, *shape, requires_grad=False):
        x = torch.rand(shape, device=self.device, dtype=torch.float32) * 2 - 1
        x = x.to(self.dtype)
        if len(shape) == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x.requires_grad_(requires_grad)

    def print(self, case, peer, figures):
        print(json.dumps({"case": case, "peer": peer, "device": self.device, "dtype": self.dtype_name,
                          "torch": torch.__version__, **figures}), flush=True)

    def modes(self, compiles=True):
        """(peer, whether to compile, whether to replay a graph)"""
        modes = [("PyTorch", False, False)]
        if self.device == "cuda":
            modes.append((GRAPH, False, True))
        if compiles and hasattr(torch, "compile"):
            modes.append((COMPILED, True, False))
            if self.device == "cuda":
                modes.append((COMPILED, True, True))
        return [mode for mode in modes if mode[0] in self.only]

    def run(self, calls_of, compiles=True):
        """{peer: {case: figures}} of the cases that `calls_of(compiled)` makes calls for, {case: calls}; the better of
        two modes of one peer counts."""
        best = {}
        for peer, compiled, graph in self.modes(compiles):
            try:
                if compiled:
                    torch._dynamo.reset()
                times = {case: measure(calls, self.device, self.seconds, graph)
                         for case, calls in calls_of(compiled).items()}
            except Exception as error:  # a peer that cannot do it is a result
                times = {None: {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
                                if str(error).strip() else type(error).__name__}}
            if self.device == "cuda":
                torch.cuda.empty_cache()
            for case, figures in times.items():
                before = best.setdefault(peer, {}).get(case)
                if before is None or "error" in before or figures.get("seconds", math.inf) < before["seconds"]:
                    best[peer][case] = figures
        return best

    def report(self, name, tensors, function, compiled_function=None, compiles=True):
        """One case: function(*tensors)."""
        def calls_of(compiled):
            f = torch.compile(compiled_function or function, dynamic=False) if compiled else function
            return {name: [keeping(f, own) for own in copies_of(tensors, self.device, self.cold)]}

        for peer, cases in self.run(calls_of, compiles).items():
            self.print(name, peer, cases.get(name) or cases[None])

    def report_both(self, name, figures, tensors, function, dy=None, whole=False):
        """Forward, backward (what both take less forward), and with `whole` both, with the memory that they need.
        Gradients are taken of the tensors that require one."""
        def backward_too(f):
            def both(*own):
                wanted = [t for t in own if t.requires_grad]
                return torch.autograd.grad(f(*own), wanted, dy)
            return both

        def calls_of(compiled):
            f = torch.compile(function, dynamic=False) if compiled else function
            sets = copies_of(tensors, self.device, self.cold)
            calls = {"forward": [keeping(f, own) for own in sets],
                     "both": [keeping(backward_too(f), own) for own in sets]}
            if whole and self.device == "cuda":
                memory[compiled] = peak_bytes(calls["both"][0])
            return calls

        memory = {}
        for peer, cases in self.run(calls_of).items():
            forward, both = cases.get("forward"), cases.get("both")
            if not (forward and both):
                forward = both = backward = cases[None]
            else:
                taken = both["seconds"] - forward["seconds"]
                backward = {"seconds": taken} if taken > 0 else {"error": "lost in the noise of both"}
            self.print(f"{name} forward{figures}", peer, forward)
            self.print(f"{name} backward{figures}", peer, backward)
            if whole:
                compiled = peer == COMPILED
                more = {"peak_bytes": memory[compiled]} if compiled in memory else {}
                self.print(f"{name} forward + backward{figures}", peer, {**both, **more})


def keeping(function, tensors):
    """A call that keeps its result until the next, so that results are cold too; not what autograd saved."""
    result = [None]

    def call():
        y = function(*tensors)
        result[0] = [t if t is None else t.detach() for t in (y if isinstance(y, (tuple, list)) else [y])]
    return call


def peak_bytes(call):
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def nt_xent(z, temperature):
    """As lightly does it: the full matrix, self masked, cross-entropy in f32."""
    n = z.shape[0] // 2
    u = F.normalize(z.float(), dim=1).to(z.dtype)
    s = u @ u.T / temperature
    s = s.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), float("-inf"))
    labels = (torch.arange(2 * n, device=z.device) + n) % (2 * n)
    return F.cross_entropy(s.float(), labels)


def time_nt_xent(peers, args):
    for tau in args.tau:
        for d in args.d:
            for m in args.m or ([1024, 4096, 8192, 32768, 65536, 131072] if args.device == "cuda" else [2048, 8192]):
                peers.report_both("nt_xent", f", M {m}, D {d}, tau {tau:g}", [peers.random(m, d, requires_grad=True)],
                                  lambda z: nt_xent(z, tau), whole=True)


def time_similarity(peers, args):
    for m in args.m or ([4096, 16384] if args.device == "cuda" else [2048]):
        d = args.d[0]
        a, b = peers.random(m, d, requires_grad=True), peers.random(m, d, requires_grad=True)
        peers.report_both("similarity", f", M {m}, D {d}", [a, b],
                          lambda a, b: F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.5, peers.random(m, m))


def time_batchnorm(peers, args):
    views = args.views or (1024 if args.device == "cuda" else 64)
    for stage in range(4):
        side, channels = args.size >> stage, args.width << stage
        figures = f", {views}x{side}x{side}x{channels}"
        gamma = torch.ones(channels, device=args.device).requires_grad_()
        beta = torch.zeros(channels, device=args.device).requires_grad_()
        mean, var = torch.zeros(channels, device=args.device), torch.ones(channels, device=args.device)
        x, dy = peers.random(views, channels, side, side, requires_grad=True), peers.random(views, channels, side, side)
        residual = peers.random(views, channels, side, side, requires_grad=True)
        peers.report_both("batchnorm + relu", figures, [x, gamma, beta, mean, var],
                          lambda x, g, b, m, v: F.relu(F.batch_norm(x, m, v, g, b, True)), dy)
        peers.report_both("batchnorm + add + relu", figures, [x, gamma, beta, mean, var, residual],
                          lambda x, g, b, m, v, r: F.relu(F.batch_norm(x, m, v, g, b, True) + r), dy)


def resnet18_convolutions(size, width):
    """(side, in, out, kernel, stride, how many the model has) of each shape, with the CIFAR stem."""
    yield size, 3, width, 3, 1, 1
    yield size, width, width, 3, 1, 4
    for stage in range(1, 4):
        before, now = width << stage - 1, width << stage
        yield size, before, now, 3, 2, 1
        yield size, before, now, 1, 2, 1
        size = (size + 1) // 2
        yield size, now, now, 3, 1, 3


def time_conv2d(peers, args):
    torch.backends.cudnn.benchmark = True
    views = args.views or (1024 if args.device == "cuda" else 32)
    for side, before, now, kernel, stride, _ in resnet18_convolutions(args.size, args.width):
        padding = kernel // 2
        figures = f", {views}x{side}x{side}x{before} to {now}, {kernel}x{kernel} stride {stride}"
        x, w = peers.random(views, before, side, side), peers.random(now, before, kernel, kernel)
        after = (side + 2 * padding - kernel) // stride + 1
        dy = peers.random(views, now, after, after)

        def gradient(mask):
            return lambda dy, x, w: torch.ops.aten.convolution_backward(
                dy, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask)

        peers.report("conv2d forward" + figures, [x, w],
                     lambda x, w: F.conv2d(x, w, None, stride, padding), compiles=False)
        if before != 3:
            peers.report("conv2d data gradient" + figures, [dy, x, w], gradient([True, False, False]), compiles=False)
        peers.report("conv2d weight gradient" + figures, [dy, x, w], gradient([False, True, False]), compiles=False)


def time_optimizer_step(peers, args):
    """PyTorch has no LARS. The faster of its fused and its foreach form is what counts."""
    shapes = []
    for _, before, now, kernel, _, count in resnet18_convolutions(32, args.width):
        shapes += [(now, before, kernel, kernel), (now,), (now,)] * count
    numbers = sum(math.prod(shape) for shape in shapes)
    optimizers = {"sgd": (torch.optim.SGD, {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}),
                  "adamw": (torch.optim.AdamW, {"lr": 1e-4})}

    def optimizer(make, options):
        parameters = [torch.rand(shape, device=args.device).requires_grad_() for shape in shapes]
        for p in parameters:
            p.grad = torch.full_like(p, 0.01)
        return make(parameters, **options)

    for name, (make, options) in optimizers.items():
        cold = {"cuda": 256, "cpu": 64}[args.device] if args.cold is None else args.cold
        count = max(cold * 2**20 // (12 * numbers) + 1, 2)
        case, best = f"{name} step, {numbers / 1e6:.1f} M parameters", {}
        for form in ("fused", "foreach"):
            try:
                steps = [optimizer(make, {**options, form: True}).step for _ in range(count)]
                figures = {**measure(steps, args.device, args.seconds), "form": form}
            except Exception as error:  # not every version has each form
                figures = {"error": f"{type(error).__name__}: {error}"[:200]}
            if not best or "error" in best or figures.get("seconds", math.inf) < best["seconds"]:
                best = figures
        peers.print(case, "PyTorch", best)


def grey(x):
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def shift_hue(x, shift):
    """Through HSV, as torchvision does it."""
    r, g, b = x[:, 0:1], x[:, 1:2], x[:, 2:3]
    most, least = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    chroma = (most - least).clamp_min(1e-8)
    hue = torch.where(most == r, (g - b) / chroma % 6, torch.where(most == g, (b - r) / chroma + 2, (r - g) / chroma + 4))
    k = (torch.arange(5, 0, -2, device=x.device).view(1, 3, 1, 1) + hue + 6 * shift) % 6
    return most - (most - least) * torch.minimum(k, 4 - k).clamp(0, 1)


def blur_taps(sigma, taps):
    offsets = torch.arange(taps, device=sigma.device) - taps // 2
    weights = torch.exp(-0.5 * (offsets / sigma.view(-1, 1)) ** 2)
    return weights / weights.sum(1, keepdim=True)


def blur_grouped(x, weights):
    """A convolution with a kernel of its own for each picture: what eager PyTorch does best."""
    n, c, h, w = x.shape
    taps = weights.shape[1]
    rows = weights.repeat_interleave(c, 0)
    x = F.pad(x.reshape(1, n * c, h, w), [taps // 2] * 4, mode="reflect")
    x = F.conv2d(x, rows.view(n * c, 1, 1, taps), groups=n * c)
    return F.conv2d(x, rows.view(n * c, 1, taps, 1), groups=n * c).view(n, c, h, w)


def blur_shifted(x, weights):
    """A sum of shifted pictures: what a compiler fuses into one kernel for each direction."""
    taps, (h, w) = weights.shape[1], x.shape[2:]
    weights = weights.view(*weights.shape, 1, 1, 1)
    x = F.pad(x, [taps // 2, taps // 2, 0, 0], mode="reflect")
    x = sum(x[..., i:i + w] * weights[:, i] for i in range(taps))
    x = F.pad(x, [0, 0, taps // 2, taps // 2], mode="reflect")
    return sum(x[..., i:i + h, :] * weights[:, i] for i in range(taps))


def batched_augmentation(policy, dtype, blur):
    """SimCLR's views of pictures u8 [N,H,W,3], all at once. The colour operations go in one order, not in a random one
    for each view, and nothing is resized by more than bilinear interpolation: less work than libsimclr's."""
    size, strength = policy["size"], policy["jitter"]

    def uniform(n, low, high, device):
        return torch.rand(n, 1, 1, 1, device=device) * (high - low) + low

    def one_view(x):
        n, _, height, width = x.shape
        area, ratio = (torch.rand(n, device=x.device) * (1 - policy["area"]) + policy["area"],
                       torch.exp((torch.rand(n, device=x.device) * 2 - 1) * math.log(4 / 3)))
        w = (area * ratio * height / width).sqrt().clamp_max(1)
        h = (area / ratio * width / height).sqrt().clamp_max(1)
        flip = torch.where(torch.rand(n, device=x.device) < 0.5, -1.0, 1.0)
        left, top = ((torch.rand(n, device=x.device) * 2 - 1) * (1 - extent) for extent in (w, h))
        zero = torch.zeros_like(w)
        theta = torch.stack([w * flip, zero, left, zero, h, top], 1).view(n, 2, 3)
        return F.grid_sample(x, F.affine_grid(theta, [n, 3, size, size], align_corners=False), mode="bilinear",
                             padding_mode="border", align_corners=False)

    def augment(pictures):
        source = pictures.permute(0, 3, 1, 2).float() / 255
        x = torch.cat([one_view(source), one_view(source)])
        n, device = x.shape[0], x.device
        brightness, contrast, saturation = (uniform(n, max(0, 1 - s), 1 + s, device) for s in strength[:3])
        y = (x * brightness).clamp(0, 1)
        mean = grey(y).mean((1, 2, 3), keepdim=True)
        y = (mean + (y - mean) * contrast).clamp(0, 1)
        g = grey(y)
        y = (g + (y - g) * saturation).clamp(0, 1)
        y = shift_hue(y, uniform(n, -strength[3], strength[3], device))
        x = torch.where(uniform(n, 0, 1, device) < 0.8, y, x)
        x = torch.where(uniform(n, 0, 1, device) < policy["grey"], grey(x).expand_as(x), x)
        if policy["blur"]:
            blurred = blur(x, blur_taps(uniform(n, 0.1, 2.0, device), policy["blur"]))
            x = torch.where(uniform(n, 0, 1, device) < 0.5, blurred, x)
        return x.to(dtype).contiguous(memory_format=torch.channels_last)
    return augment


def torchvision_views(policy):
    """(name, a function from one picture u8 [3,H,W] to one view)"""
    import torchvision
    try:
        from torchvision.transforms import v2 as transforms
        name, to_float = "torchvision v2, per image", transforms.ToDtype(torch.float32, scale=True)
    except ImportError:
        from torchvision import transforms
        name, to_float = f"torchvision {torchvision.__version__}, per image", transforms.ConvertImageDtype(torch.float32)
    b, c, s, h = policy["jitter"]
    steps = [transforms.RandomResizedCrop(policy["size"], scale=(policy["area"], 1), antialias=True),
             transforms.RandomHorizontalFlip(),
             transforms.RandomApply([transforms.ColorJitter(b, c, s, h)], 0.8), transforms.RandomGrayscale(policy["grey"])]
    if policy["blur"]:
        steps.append(transforms.RandomApply([transforms.GaussianBlur(policy["blur"], (0.1, 2.0))], 0.5))
    return name, transforms.Compose(steps + [to_float])


# The preset `reference`, and the paper's policy for photographs.
CIFAR = {"size": 32, "area": 0.2, "jitter": (0.4, 0.4, 0.4, 0.1), "grey": 0.1, "blur": 0}
PHOTOGRAPHS = {"size": 224, "area": 0.08, "jitter": (0.8, 0.8, 0.8, 0.2), "grey": 0.2, "blur": 23}


def time_augment(peers, args):
    photographs = args.photographs if args.photographs is not None else 512 if args.device == "cuda" else 32
    for name, count, height, width, policy in (
            ("augment CIFAR, reference", args.pictures, 32, 32, CIFAR),
            ("augment photographs to 224 with blur", photographs, 375, 500, PHOTOGRAPHS)):
        if count == 0:
            continue
        case = f"{name}, 2 x {count}"
        pictures = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, device=args.device)
        peers.report(case, [pictures], batched_augmentation(policy, peers.dtype, blur_grouped),
                     batched_augmentation(policy, peers.dtype, blur_shifted))
        if args.device != "cpu":
            continue
        try:
            peer, view = torchvision_views(policy)
        except ImportError:
            continue
        if not any(peer.startswith(wanted) for wanted in args.peers):
            continue
        few = [p.permute(2, 0, 1).contiguous() for p in pictures[:64]]
        figures = measure([lambda: [view(p) for p in few]], "cpu", args.seconds)
        scale = 2 * count / len(few)  # per image, so time is proportional
        peers.print(case, peer, {k: v * (1 if k == "spread" else scale) for k, v in figures.items()})


def main():
    ops = {"nt_xent": time_nt_xent, "similarity": time_similarity, "batchnorm": time_batchnorm,
           "optimizer_step": time_optimizer_step, "conv2d": time_conv2d, "augment": time_augment}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("op", choices=ops)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "bf16"), help="default: bf16 on cuda, else f32")
    parser.add_argument("--seconds", type=float, default=1.0, help="to be spent on each case and peer, about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", type=int, help="MB of tensors that calls go round over")
    parser.add_argument("--peers", nargs="+", default=["PyTorch", GRAPH, COMPILED, "torchvision"])
    parser.add_argument("--m", type=int, nargs="+")
    parser.add_argument("--d", type=int, nargs="+", default=[128])
    parser.add_argument("--tau", type=float, nargs="+", default=[0.5])
    parser.add_argument("--views", type=int)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--photographs", type=int)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("kernels: this PyTorch sees no GPU")
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ops[args.op](Peers(args), args)


if __name__ == "__main__":
    main()
