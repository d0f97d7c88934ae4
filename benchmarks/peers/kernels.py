#!/usr/bin/env python3
"""Times in other libraries what benchmarks/bench_*.cpp time in libsimclr, and prints one JSON line a case and peer.

usage: kernels.py {nt_xent,similarity,batchnorm,optimizer_step,conv2d,augment,sequences,values,gru,attention,logmel}
    [--device cpu] ...

Cases have the same names. The peers are "PyTorch", eager; on a GPU "PyTorch in a CUDA graph", the same captured;
"compiled PyTorch", the faster of torch.compile's code as it is and captured; for NT-Xent lightly's and
pytorch-metric-learning's; for augmentation torchvision's; for log-mels torchaudio's. Pictures are channels-last. A peer
that fails (out of memory, no compiler) prints why; one that is not installed prints nothing.
"""
import argparse
import math
import sys

import torch
import torch.nn.functional as F

import augmentation
import memory
from harness import EAGER, Peers
from timing import cold_bytes, measure

MOST_CUBED = 512  # views that pytorch-metric-learning gets: it makes several tensors of their number cubed


def nt_xent(z, temperature):
    """As lightly does it: the full matrix, self masked, cross-entropy in f32."""
    n = z.shape[0] // 2
    u = F.normalize(z.float(), dim=1).to(z.dtype)
    s = u @ u.T / temperature
    s = s.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), float("-inf"))
    labels = (torch.arange(2 * n, device=z.device) + n) % (2 * n)
    return F.cross_entropy(s.float(), labels)


def other_nt_xents(temperature, views, device):
    """{peer: its NT-Xent of z}"""
    found = {}
    try:
        from lightly.loss import NTXentLoss
        lightly = NTXentLoss(temperature)
        found["lightly"] = lambda z: lightly(*z.chunk(2))
    except ImportError:
        pass
    try:
        from pytorch_metric_learning.losses import NTXentLoss as Metric
        metric, labels = Metric(temperature), torch.arange(views // 2, device=device).repeat(2)
        if views <= MOST_CUBED:
            found["pytorch-metric-learning"] = lambda z: metric(z, labels)
    except ImportError:
        pass
    return found


def time_nt_xent(peers, args):
    for tau in args.tau:
        for d in args.d:
            for m in args.m or ([1024, 4096, 8192, 32768, 65536, 131072] if args.device == "cuda" else [2048, 8192]):
                peers.report_both("nt_xent", f", M {m}, D {d}, tau {tau:g}", [peers.random(m, d, requires_grad=True)],
                                  lambda z: nt_xent(z, tau), whole=True, others=other_nt_xents(tau, m, args.device))


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
                     lambda x, w: F.conv2d(x, w, None, stride, padding))
        if before != 3:
            peers.report("conv2d data gradient" + figures, [dy, x, w], gradient([True, False, False]))
        peers.report("conv2d weight gradient" + figures, [dy, x, w], gradient([False, True, False]))


def time_sequences(peers, args):
    """PyTorch's dropout draws from a stream, by no key; its layer normalisation and the residual addition are two."""
    n, steps, width = args.sequences or (1024 if args.device == "cuda" else 256), args.steps, args.width
    figures = f", {n}x{steps}x{width}"
    x, residual = (peers.random(n, steps, width, requires_grad=True) for _ in range(2))
    dy = peers.random(n, steps, width)
    table = (torch.rand(args.entries, width, device=args.device) * 2 - 1).requires_grad_()
    ids = (torch.rand(n, steps, device=args.device).square() * args.entries).long()  # few often, as words are
    peers.report_both("embedding", f"{figures}, V {args.entries}", [table, ids],
                      lambda table, ids: F.embedding(ids, table).to(peers.dtype), dy)
    gamma, beta = (torch.full((width,), value, device=args.device, dtype=peers.dtype).requires_grad_()
                   for value in (1.0, 0.0))

    def add_layernorm(x, r, g, b):
        s = x + r
        return F.layer_norm(s, (width,), g, b), s

    peers.report_both("layernorm + add", figures, [x, residual, gamma, beta], add_layernorm, [dy, dy])
    peers.report_both("gelu", figures, [x], F.gelu, dy)
    peers.report("dropout forward" + figures, [x], lambda x: F.dropout(x, 0.1), lambda x: F.dropout(x, 0.1))
    peers.report("mean over time forward" + figures, [x], lambda x: x.mean(1), lambda x: x.mean(1))
    peers.report("max over time forward" + figures, [x], lambda x: x.max(1), lambda x: x.max(1))


def time_values(peers, args):
    rows = args.rows or (32768 if args.device == "cuda" else 8192)
    figures = f", {rows}x{args.width}"
    x, dy = peers.random(rows, args.width, requires_grad=True), peers.random(rows, args.width)
    for name, function in (("exp", torch.exp), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)):
        peers.report_both(name, figures, [x], function, dy)
    peers.report_both("softmax", figures, [x], lambda x: F.softmax(x, 1), dy)
    for name, function in (("transpose", lambda x: x.T.contiguous()), ("sum along 0", lambda x: x.sum(0)),
                           ("sum along 1", lambda x: x.sum(1))):
        peers.report(f"{name} forward{figures}", [x.detach()], function, function)


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
        count = max(cold_bytes(args.device, args.cold) // (12 * numbers) + 1, 2)
        case, best = f"{name} step, {numbers / 1e6:.1f} M parameters", {}
        for form in ("fused", "foreach"):
            try:
                steps = [optimizer(make, {**options, form: True}).step for _ in range(count)]
                figures = {**measure(steps, args.device, args.seconds), "form": form}
            except Exception as error:  # not every version has each form
                figures = {"error": f"{type(error).__name__}: {error}"[:200]}
            if not best or "error" in best or figures.get("seconds", math.inf) < best["seconds"]:
                best = figures
        peers.print(case, EAGER, best)


def time_gru(peers, args):
    """Bidirectional; with lengths as PyTorch has them, its own packing included."""
    sequences = args.sequences or (1024 if args.device == "cuda" else 128)
    steps, inputs, width = args.steps, args.inputs, args.width
    shapes = [(3 * width, inputs), (3 * width, width), (3 * width,), (3 * width,)] * 2
    weights = [peers.random(*shape, requires_grad=True) for shape in shapes]
    lengths = torch.tensor([1 + i * 7919 % steps for i in range(sequences)])
    x = peers.random(sequences, steps, inputs, requires_grad=True)
    dy = peers.random(sequences, steps, 2 * width)
    start = torch.zeros(2, sequences, width, device=args.device, dtype=x.dtype)

    def full(x, *weights):
        return torch._VF.gru(x, start, weights, True, 1, 0.0, True, True, True)[0]

    def packed(x, *weights):
        own = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y = torch._VF.gru(own.data, own.batch_sizes, start, weights, True, 1, 0.0, True, True)[0]
        y = torch.nn.utils.rnn.PackedSequence(y, own.batch_sizes, own.sorted_indices, own.unsorted_indices)
        return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=steps)[0]

    figures = f", {sequences}x{steps}x{inputs} to 2x{width}"
    peers.report_both("gru", figures, [x, *weights], full, dy)
    peers.report_both("gru", f"{figures}, lengths 1 to {steps}", [x, *weights], packed, dy)


def attend(qkv, heads, mask):
    """scaled_dot_product_attention of qkv [N,T,3C]."""
    n, steps, width = qkv.shape
    q, k, v = qkv.view(n, steps, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(n, steps, width // 3)


def time_long_attention(peers, args):
    n, channels = args.sequences or 1, args.heads * args.width
    for steps in args.long:
        qkv, dy = peers.random(n, steps, 3 * channels, requires_grad=True), peers.random(n, steps, channels)
        peers.report_both("attention", f", {n}x{steps}, {args.heads} heads of {args.width}", [qkv],
                          lambda qkv: attend(qkv, args.heads, None), dy, whole=True)


def time_attention(peers, args):
    """With lengths by a mask of the keys, as PyTorch has them, which computes the padding; on a CPU the transformer's
    other layers also over rows without it, as libsimclr's go there. Both have positions, a last normalisation and the
    mean over a sequence's own steps."""
    if args.long:
        time_long_attention(peers, args)
        return
    n, steps = args.sequences or (256 if args.device == "cuda" else 16), args.steps
    heads, width = args.heads, args.width
    channels = heads * width
    lengths = torch.tensor([1 + i * 7919 % steps for i in range(n)], device=args.device)
    own = torch.arange(steps, device=args.device)[None, :] < lengths[:, None]
    qkv = peers.random(n, steps, 3 * channels, requires_grad=True)
    x, dy, dmean = peers.random(n, steps, channels), peers.random(n, steps, channels), peers.random(n, channels)
    c, hidden = channels, 4 * channels
    shapes = [(c,), (c,), (3 * c, c), (3 * c,), (c, c), (c,), (c,), (c,), (hidden, c), (hidden,), (c, hidden), (c,)]
    weights = [peers.random(*shape, requires_grad=True) for shape in shapes * args.layers + [(steps, c), (c,), (c,)]]

    def transformer(x, *weights, mask=None, packed=False):
        *layers, positions, gamma, beta = weights
        x = x + positions
        x = x[own] if packed else x
        for i in range(0, len(layers), len(shapes)):
            g1, b1, w_in, b_in, w_out, b_out, g2, b2, w1, c1, w2, c2 = layers[i:i + len(shapes)]
            y = F.linear(F.layer_norm(x, (c,), g1, b1), w_in, b_in)
            y = attend(padded(y) if packed else y, heads, mask)
            x = x + F.linear(y[own] if packed else y, w_out, b_out)
            y = F.gelu(F.linear(F.layer_norm(x, (c,), g2, b2), w1, c1))
            x = x + F.linear(y, w2, c2)
        y = F.layer_norm(x, (c,), gamma, beta)
        if mask is None:
            return y.mean(1)
        return ((padded(y) if packed else y) * own[:, :, None]).sum(1) / lengths[:, None].to(y.dtype)

    def padded(rows):
        return rows.new_zeros(n, steps, rows.shape[1]).index_put((own,), rows)

    for mask in (None, own[:, None, None, :]):
        figures = f", {n}x{steps}, {heads} heads of {width}" + ("" if mask is None else f", lengths 1 to {steps}")
        peers.report_both("attention", figures, [qkv], lambda qkv: attend(qkv, heads, mask), dy)
        others = {}
        if mask is not None and args.device == "cpu":
            others["PyTorch, packed"] = lambda x, *w: transformer(x, *w, mask=mask, packed=True)
        peers.report_both("transformer", figures, [x, *weights], lambda x, *w: transformer(x, *w, mask=mask), dmean,
                          whole=True, others=others)


LOGMEL_RATE, LOGMEL_RANGE = 16000, (60.0, 7800.0)  # Hz, as bench_logmel has them


def mel_bank(bins, mels):
    """Triangles, [bins,mels]."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in LOGMEL_RANGE)
    corners = 700 * (10 ** (torch.linspace(low, high, mels + 2, dtype=torch.float64) / 2595) - 1)
    hz = torch.linspace(0, LOGMEL_RATE / 2, bins, dtype=torch.float64)[:, None]
    rise = (hz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - hz) / (corners[2:] - corners[1:-1])
    return torch.minimum(rise, fall).clamp(min=0).float()


def torchaudio_logmel(args, floor):
    """{peer: its log-mel of x}"""
    try:
        from torchaudio.transforms import MelSpectrogram
    except ImportError:
        return {}
    mel = MelSpectrogram(LOGMEL_RATE, n_fft=args.fft, win_length=args.window, hop_length=args.hop, n_mels=args.mels,
                         f_min=LOGMEL_RANGE[0], f_max=LOGMEL_RANGE[1], mel_scale="htk", norm=None).to(args.device)
    return {"torchaudio": lambda x: mel(x).clamp(min=floor).log()}


def time_logmel(peers, args):
    """In f32 on every device. Neither peer knows lengths: they compute all frames."""
    n = args.sequences or (1024 if args.device == "cuda" else 64)
    x = torch.rand(n, args.samples, device=args.device) * 2 - 1
    window = torch.hann_window(args.window, device=args.device)
    bank, floor = mel_bank(args.fft // 2 + 1, args.mels).to(args.device), 1e-6 * (args.window / 4) ** 2

    def logmel(x):
        spectrum = torch.stft(x, args.fft, args.hop, args.window, window, return_complex=True)  # centred, reflected
        return (spectrum.abs().square().transpose(1, 2) @ bank).clamp(min=floor).log()

    name = f"logmel, {n}x{args.samples} by {args.fft}, {args.mels} mels"
    for case in (name, f"{name}, lengths from half on"):
        peers.report(case, [x], logmel, logmel, torchaudio_logmel(args, floor))


def main():
    ops = {"nt_xent": time_nt_xent, "similarity": time_similarity, "batchnorm": time_batchnorm,
           "optimizer_step": time_optimizer_step, "conv2d": time_conv2d, "augment": augmentation.time_augment,
           "sequences": time_sequences, "values": time_values, "gru": time_gru, "attention": time_attention,
           "logmel": time_logmel}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("op", choices=ops)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "bf16"), help="default: bf16 on cuda, else f32")
    parser.add_argument("--seconds", type=float, default=1.0, help="to be spent on each case and peer, about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", type=int, help="MB of tensors that calls go round over")
    parser.add_argument("--memory", action="store_true", help="of nt_xent and --long: the most memory, no time")
    parser.add_argument("--peers", nargs="+", help="those whose names begin so; default: all")
    parser.add_argument("--m", type=int, nargs="+")
    parser.add_argument("--d", type=int, nargs="+", default=[128])
    parser.add_argument("--tau", type=float, nargs="+", default=[0.5])
    parser.add_argument("--views", type=int)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--width", type=int, help="channels; default: 256 of sequences, 64 of a network's first stage")
    parser.add_argument("--rows", type=int, help="of values")
    parser.add_argument("--sequences", type=int)
    parser.add_argument("--steps", type=int, help="default: 128 of attention, else 32")
    parser.add_argument("--heads", type=int, default=4, help="of attention; --width is of a head, default 64")
    parser.add_argument("--layers", type=int, default=2, help="of attention's transformer")
    parser.add_argument("--long", type=int, nargs="+", help="of attention: steps of long sequences, which alone count")
    parser.add_argument("--inputs", type=int, default=256, help="values a step of gru's sequences")
    parser.add_argument("--entries", type=int, default=16384)
    parser.add_argument("--samples", type=int, default=16000, help="of logmel's waveforms")
    parser.add_argument("--fft", type=int, default=512)
    parser.add_argument("--window", type=int, default=400)
    parser.add_argument("--hop", type=int, default=160)
    parser.add_argument("--mels", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--photographs", type=int)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("kernels: this PyTorch sees no GPU")
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    args.steps = args.steps or (128 if args.op == "attention" else 32)
    args.width = args.width or (256 if args.op in ("sequences", "values", "gru") else 64)
    if args.memory:
        memory.prepare()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ops[args.op](Peers(args), args)


if __name__ == "__main__":
    main()
