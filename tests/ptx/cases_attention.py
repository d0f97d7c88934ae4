"""attention.cu. On the tensor cores products are added up in f32 after each 16 values, and p and ds are rounded to bf16
before they meet a matrix; the reference does so too."""

import numpy as np
from arithmetic import exp2_f32, fma_f32
from case import BF16, FLOATS, blocks_for, case
from cases_nt_xent import SIMT_STAGE, products_of
from launch import boolean, f32, i32, i64, part_of

SEQUENCES, HEADS, STEPS = 3, 2, 70
LENGTHS = np.array([70, 33, 99])  # the last is impossible


class Attention:
    def __init__(self, run, dtype, width, vectors):
        self.run, self.dtype, self.width = run, dtype, width
        self.root, self.scale = np.float32(1 / np.sqrt(width)), np.float32(np.log2(np.e) / np.sqrt(width))
        self.of = (
            run.buffer(LENGTHS, np.int32),
            i32(STEPS),
            i32(HEADS),
            i32(width),
            f32(self.root),
            f32(self.scale),
            boolean(vectors),
        )
        self.qkv, self.values = run.tensor(run.normal(SEQUENCES, STEPS, 3, HEADS, width), dtype)
        self.dy, self.gradients = run.tensor(run.normal(SEQUENCES, STEPS, HEADS, width), dtype)
        self.y = run.empty(SEQUENCES, STEPS, HEADS, width, kind=dtype)
        self.log_sum, self.delta = run.empty(SEQUENCES, HEADS, STEPS), run.empty(SEQUENCES, HEADS, STEPS)
        self.dqkv = run.empty(SEQUENCES, STEPS, 3, HEADS, width, kind=dtype)
        self.blocks = SEQUENCES * HEADS * 2

    def padded(self, shape, of_head):
        """of_head(n, h, own) gives what of a head there is; behind a length are zeros, NaN where it is impossible."""
        result = np.zeros(shape)
        for n, own in enumerate(LENGTHS):
            if own > STEPS:
                result[n] = np.nan
                continue
            for h in range(HEADS):
                of_head(n, h, own, result)
        return result

    def check_forward(self, head):
        """head(q, k, v) gives y and the log-sum."""

        def outputs(n, h, own, result):
            y, log_sum = head(*self.values[n, :own, :, h].transpose(1, 0, 2))
            result[n, :own, h, :-1], result[n, :own, h, -1] = y, log_sum

        want = self.padded((SEQUENCES, STEPS, HEADS, self.width + 1), outputs)
        self.run.check("y", self.y, want[..., :-1], self.dtype)
        self.run.check("log sum", self.log_sum, want[..., -1].transpose(0, 2, 1))

    def find_delta(self):
        run, rows = self.run, SEQUENCES * HEADS * STEPS
        run.launch(
            f"attention_delta_kernel<{self.dtype.name}>",
            rows // 4,
            128,
            self.of,
            i64(rows),
            self.dy,
            self.y,
            self.delta,
        )
        want = (self.gradients * self.dtype.widen(self.y.array())).sum(axis=3).transpose(0, 2, 1)
        run.check("delta", self.delta, want)

    def check_backward(self, head):
        """head(q, k, v, dy, log_sum, delta) gives dq, dk and dv."""
        log_sum, delta = self.log_sum.array(), self.delta.array()

        def gradients(n, h, own, result):
            parts = head(
                *self.values[n, :own, :, h].transpose(1, 0, 2),
                self.gradients[n, :own, h],
                log_sum[n, h, :own, None],
                delta[n, h, :own, None],
            )
            for part in range(3):
                result[n, :own, part, h] = parts[part]

        want = self.padded((SEQUENCES, STEPS, 3, HEADS, self.width), gradients)
        for part, name in enumerate(("dq", "dk", "dv")):
            self.run.compare(name, self.dqkv.array()[:, :, part], want[:, :, part], self.dtype)


@case
def case_attention_tiles(run):
    run.source = "attention"
    for depth, width in ((32, 24), (32, 19), (64, 64), (128, 104)):
        of = Attention(run, BF16, width, width % 8 == 0)
        pitch = depth + 8
        run.launch(
            f"attention_forward_kernel<{depth}>",
            of.blocks,
            128,
            of.of,
            of.qkv,
            of.y,
            of.log_sum,
            shared=(64 + 4 * 64) * pitch * 2,
        )
        of.check_forward(lambda q, k, v, of=of: tiles_forward(of.scale, q, k, v))
        of.find_delta()
        for kernel in ("queries", "keys"):
            run.launch(
                f"attention_{kernel}_kernel<{depth}>",
                of.blocks,
                128,
                of.of,
                of.qkv,
                of.dy,
                of.log_sum,
                of.delta,
                of.dqkv,
                shared=(2 * 64 + 4 * 32) * pitch * 2,
            )
        of.check_backward(lambda *parts, of=of: tiles_backward(of.scale, of.root, *parts))


def whole(x):
    """Columns to a multiple of 16."""
    return np.pad(x, ((0, 0), (0, -x.shape[1] % 16)))


def tiles_forward(scale, q, k, v):
    x = products_of(whole(q), whole(k))
    top = np.full((len(q), 1), -np.inf, np.float32)
    total, sums = np.zeros((len(q), 1)), np.zeros(q.shape)
    for first in range(0, len(k), 64):
        part = x[:, first : first + 64]
        higher = np.maximum(top, part.max(axis=1, keepdims=True) * scale)
        shrunk, top = exp2_f32(top - higher), higher
        p = exp2_f32(fma_f32(part, scale, -top))
        total = total * shrunk + p.astype(np.float64).sum(axis=1, keepdims=True)
        sums = sums * shrunk + BF16.round(p) @ v[first : first + 64]
    return sums / total, (top + np.log2(total))[:, 0]


def tiles_backward(scale, root, q, k, v, dy, log_sum, delta):
    p = exp2_f32(fma_f32(products_of(whole(q), whole(k)), scale, -log_sum))
    ds = BF16.round(p * (products_of(whole(dy), whole(v)) - delta))
    return ds @ k * root, ds.T @ q * root, BF16.round(p).T @ dy


@case
def case_attention_f32(run):
    run.source = "attention"
    for dtype in FLOATS:
        for width in (29, 70):
            attention_f32(run, dtype, width)


def pack(run, of, x, values, parts, depth):
    rows = run.empty(parts, SEQUENCES * HEADS, 128, depth)
    n = rows.size // 4
    run.launch(
        f"map_kernel<1, PackHeads<{of.dtype.name}> >",
        64,
        256,
        i64(n),
        (x, rows, of.of, i32(parts), i32(depth), i64(SEQUENCES)),
    )
    want = np.zeros((parts, SEQUENCES, HEADS, 128, depth))
    for s, own in enumerate(LENGTHS):
        if own <= STEPS:
            want[:, s, :, :own, : of.width] = values[s, :own].transpose(1, 2, 0, 3)
    run.check("rows", rows, want)
    return [(part_of(rows, i * (rows.size // parts)), i32(depth)) for i in range(parts)]


def attention_f32(run, dtype, width):
    of, depth = Attention(run, dtype, width, False), (width + 31) // 32 * 32
    parts = 1 if depth <= 64 else 2
    qkv = pack(run, of, of.qkv, of.values, 3, depth)
    (gradient,) = pack(run, of, of.dy, of.gradients[:, :, None], 1, depth)
    run.launch(
        f"attention_forward_f32_kernel<{parts}, {dtype.name}>",
        (of.blocks, 1, blocks_for(depth, 64 * parts)),
        128,
        of.of,
        *qkv,
        of.y,
        of.log_sum,
        shared=(2 * SIMT_STAGE + 64 * (68 + 64 * parts + 4)) * 4,
    )
    scale = np.log2(np.e) / np.sqrt(width)

    def forward(q, k, v):
        x = q @ k.T * scale
        log_sum = np.log2(np.exp2(x).sum(axis=1))
        return np.exp2(x - log_sum[:, None]) @ v, log_sum

    of.check_forward(forward)
    of.find_delta()
    for own_keys in (False, True):
        shared = (2 * SIMT_STAGE + 64 * (68 + (2 if own_keys else 1) * 68)) * 4
        run.launch(
            f"attention_backward_f32_kernel<{str(own_keys).lower()}, {dtype.name}>",
            (of.blocks, 1, blocks_for(depth, 64)),
            128,
            of.of,
            *qkv,
            gradient,
            of.log_sum,
            of.delta,
            of.dqkv,
            shared=shared,
        )

    def backward(q, k, v, dy, log_sum, delta):
        p = np.exp2(q @ k.T * scale - log_sum)
        ds = p * (dy @ v.T - delta)
        return ds @ k / np.sqrt(width), ds.T @ q / np.sqrt(width), p.T @ dy

    of.check_backward(backward)
