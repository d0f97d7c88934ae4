"""nt_xent.cu and nt_xent_sm90.cu: each kernel's inputs are what the kernels before it wrote, once those are checked.

u is bf16 where the tensor cores multiply it; their products are added up in f32 after each 16 values, and W is rounded
to bf16, so the reference does so too. Sums are doubles.
"""

import numpy as np
from arithmetic import exp2_f32, fma_f32
from case import BF16, F32, blocks_for, case
from launch import f32, f64, i32

LOG2E = np.log2(np.e)
NO_SELF = -(1 << 30)


def padded(n, to):
    return blocks_for(n, to) * to


def products_of(u, v):
    """Products of rows as the tensor cores take them."""
    x = np.zeros((len(u), len(v)), np.float32)
    for k in range(0, u.shape[1], 16):
        x = (x + u[:, k : k + 16] @ v[:, k : k + 16].T).astype(np.float32)
    return x


class Side:
    """z [rows,width] of one side, its norms and unit rows."""

    def __init__(self, run, dtype, rows, width):
        self.dtype, self.rows, self.width = dtype, rows, width
        values = run.normal(rows, width)
        values[1] = 0
        self.z, self.value = run.tensor(values, dtype)
        self.length = np.sqrt((self.value**2).sum(axis=1))
        safe = np.where(self.length == 0, 1, self.length)[:, None]
        self.unit = np.where(self.length[:, None] == 0, 0, self.value / safe)

    def unit_rows(self, run, depth, scale, to, panels=False, learned=None):
        """Runs unit_rows_kernel; keeps u as the kernel wrote it, as doubles [padded rows,depth]."""
        all_rows = padded(self.rows, 128)
        self.u, self.norm = run.empty(all_rows, depth, kind=to), run.empty(self.rows, kind=np.float64)
        number = "LearnedNumber" if learned else "double"
        words = f"unit_rows_kernel<(RowLayout){int(panels)}, {self.dtype.name}, {to.name}, {number}>"
        run.launch(
            words,
            all_rows // 4,
            128,
            self.z,
            i32(self.rows),
            i32(self.width),
            i32(depth),
            (learned,) if learned else f64(scale),
            self.u,
            self.norm,
        )
        want = np.zeros((all_rows, depth))
        want[: self.rows, : self.width] = self.unit * scale
        stored = self.u.array()
        if panels:
            place = np.arange(64)
            whole = stored.reshape(depth // 64, all_rows, 64)
            rows = np.arange(all_rows)[:, None]
            swapped = (place // 8 ^ rows % 8) * 8 + place % 8
            stored = whole[:, rows, swapped].transpose(1, 0, 2).reshape(all_rows, depth)
        run.compare("u", stored, want, to)
        run.check("norm", self.norm, self.length, None)
        self.u_value = to.widen(stored)


class Pairs:
    """Who is a pair: SimCLR's order, or groups."""

    def __init__(self, run, rows, columns, groups=None, first_row=0, first_column=0):
        self.rows, self.columns, self.samples = rows, columns, columns // 2
        self.groups = groups
        apart = first_row + np.arange(rows)[:, None] - first_column - np.arange(columns)[None]
        if groups is None:
            self.positive = np.abs(apart) == self.samples
            pointers = (None, None)
        else:
            a, b = groups
            self.positive = (a[:, None] == b[None]) & (a[:, None] != -1) & (apart != 0)
            pointers = (run.buffer(a, np.int32), run.buffer(b, np.int32))
        self.negative = ~self.positive & (apart != 0)
        numbers = (i32(rows), i32(columns)), (i32(first_row), i32(first_column))
        self.argument = (*pointers, *numbers[0], *numbers[1], i32(self.samples))
        self.turned = (*pointers[::-1], *numbers[0][::-1], *numbers[1][::-1], i32(self.samples))  # columns as rows


def anchor_terms(log_sum, counted, shifted, all_rows):
    """[padded rows,2]: shift and share, f32."""
    terms = np.zeros((all_rows, 2), np.float32)
    terms[:, 0] = np.finfo(np.float32).max
    log2_sum = log_sum * LOG2E
    rows, log2_sum = np.nonzero(counted)[0], log2_sum[counted]
    shift = np.rint(log2_sum) if shifted else np.zeros_like(log2_sum)
    terms[rows] = np.stack([shift, np.exp2(shift - log2_sum)], axis=1)
    return terms


def weights_of(xs, terms, shifted):
    """W as f32 arithmetic has it, of each power's x and (own, other) terms. Of a sum of two products nvcc makes one
    multiply-add: the product that is rounded by itself is the row's own, but with two powers the other side's, and
    without a shift the second power's.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if not shifted:
            shares = [own[:, None, 1] + other[None, : x.shape[1], 1] for x, (own, other) in zip(xs, terms)]
            last = exp2_f32(xs[-1]) * shares[-1]
            return last if len(xs) == 1 else fma_f32(exp2_f32(xs[0]), shares[0], last)
        parts = []
        for x, (own, other) in zip(xs, terms):
            sides = own[:, None], other[None, : x.shape[1]]
            alone, added = sides if len(xs) == 1 else sides[::-1]
            first = exp2_f32(x - alone[..., 0]) * alone[..., 1]
            parts.append(fma_f32(exp2_f32(x - added[..., 0]), np.broadcast_to(added[..., 1], x.shape), first))
        return parts[0] if len(xs) == 1 else parts[0] + parts[1]


def powers_of(hardness):
    """What x is multiplied by, f32, for each sum that there is."""
    return (np.float32(1 + hardness), np.float32(hardness)) if hardness else (np.float32(1),)


def log_sums(xs, counted):
    return [np.log(np.where(counted, np.exp2(x.astype(np.float64)), 0).sum(axis=1)) for x in xs]


def divisors_of(logs, hardness):
    """Logs of what the powers are divided by, of rows whose G is L."""
    return [logs[0] - np.log(1 + hardness), logs[1] - np.log(hardness)] if hardness else logs


def check_sums(run, words, grid, block, head, tail, xs, pairs, shifted, shared, height):
    """Runs a kernel of sums of 2^x, of each power of `xs`."""
    splits, all_rows = grid[1], padded(pairs.rows, 128)
    sums = run.empty(len(xs), splits, all_rows, kind=np.float64)
    tops = run.empty(len(xs), splits, all_rows)
    partial = (sums, tops if shifted else None, i32(splits), i32(all_rows))
    run.launch(words, grid, block, *head, pairs.argument, *tail, partial, shared=shared)
    rows = min(pairs.rows, height * grid[0])
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.exp2(tops.array().astype(np.float64)) if shifted else 1.0
        total = (sums.array() * scale).sum(axis=1)
    for p, (x, of) in enumerate(zip(xs, total)):
        want = np.where(pairs.negative, np.exp2(x.astype(np.float64)), 0).sum(axis=1)
        each = np.where(want[:rows] == 0, 1, want[:rows])  # a row's own sum is its measure
        run.compare(f"sums {words}, power {p}", of[:rows] / each, want[:rows] / each)


def mma_shared(depth, powers):
    return 2 * (64 * (depth + 8) + 64 * 4 * powers) * 2


def sm90_shared(depth):
    columns = 128 if depth <= 128 else 64
    return 1024 + (128 * depth + 4 * columns * depth) * 2 + 4 * columns * 8 + 9 * 8


def tiles_case(run, source, depth, shifted, rows, temperature, groups=None, hardness=0):
    """Unit rows, sums and weights of a square of the tensor cores' kernels."""
    warpgroups = source == "nt_xent_sm90"
    run.source = "nt_xent"
    side = Side(run, BF16, rows, depth - 3)
    scale = np.sqrt(LOG2E / temperature)
    side.unit_rows(run, depth, scale, BF16, panels=warpgroups)
    pairs = Pairs(run, rows, rows, groups)
    x, powers = products_of(side.u_value, side.u_value)[:rows, :rows], powers_of(hardness)
    xs = [x * power for power in powers]
    run.source = source
    flag, suffix = str(shifted).lower(), "_sm90" if warpgroups else ""
    height = 128 if warpgroups or depth <= 128 else 64
    width = 128 if warpgroups and depth <= 128 else 64
    tiles = blocks_for(rows, width)
    each = tiles if warpgroups else blocks_for(tiles, 2)
    grid = (1 if warpgroups else blocks_for(rows, height), blocks_for(tiles, each))
    block, shared = (384, sm90_shared(depth)) if warpgroups else (128, mma_shared(depth, len(powers)))
    kind = f"<{depth}, {flag}" + ("" if warpgroups else ", TwoPowers" if hardness else ", OnePower")
    given = () if warpgroups else ((f32(hardness),) if hardness else (),)
    u = side.u
    all_rows = padded(rows, 128)
    operands = ((u, i32(all_rows), None),) * 2 if warpgroups else (u, u)
    check_sums(
        run,
        f"nt_xent_sums{suffix}_kernel{kind}>",
        grid,
        block,
        (*operands, i32(tiles), i32(each)),
        given,
        xs,
        pairs,
        shifted,
        shared,
        height,
    )
    terms = [
        anchor_terms(log_sum, np.arange(rows) % 7 != 3, shifted, all_rows)
        for log_sum in divisors_of(log_sums(xs, ~np.eye(rows, dtype=bool)), hardness)
    ]
    for term in terms[1:]:
        term[:, 1] *= -1
    both = run.device.buffer(np.concatenate(terms, axis=1))
    du = run.empty(grid[1], grid[0] * height, depth)
    operands = ((u, i32(all_rows), both),) * 2 if warpgroups else ((u, both),) * 2
    run.launch(
        f"nt_xent_weights{suffix}_kernel{kind}>",
        grid,
        block,
        *operands,
        i32(tiles),
        i32(each),
        pairs.argument,
        *given,
        du,
        shared=shared,
    )
    w = np.where(pairs.negative, BF16.round(weights_of(xs, [(term[:rows], term) for term in terms], shifted)), 0)
    shown = min(rows, grid[0] * height)
    run.compare(
        f"du {source} {depth} {flag}",
        du.array().astype(np.float64).sum(axis=0)[:shown],
        (w @ side.u_value[:rows])[:shown],
    )


@case
def case_nt_xent_tiles(run):
    group = np.arange(100) % 9
    group[::11] = -1
    for depth in (64, 128, 256):
        for shifted in (True, False):
            tiles_case(run, "nt_xent", depth, shifted, 100, 0.01 if shifted else 0.2)
            tiles_case(run, "nt_xent", depth, shifted, 100, 0.05, (group, group))


@case
def case_nt_xent_tiles_hard(run):
    group = np.arange(100) % 9
    group[::11] = -1
    for depth in (64, 128, 256):
        for shifted in (True, False):
            tiles_case(run, "nt_xent", depth, shifted, 100, 0.2, (group, group) if depth == 128 else None, HARDNESS)


@case
def case_nt_xent_sm90(run):
    group = np.arange(580) % 40
    group[::11] = -1
    for depth in (64, 128, 256):
        for shifted in (True, False):
            tiles_case(run, "nt_xent_sm90", depth, shifted, 580 if depth <= 128 else 330, 0.01 if shifted else 0.2)
        rows = 580 if depth == 64 else 140
        tiles_case(run, "nt_xent_sm90", depth, depth == 128, rows, 0.1, (group[:rows], group[:rows]))


SIMT_STAGE = 2 * 64 * 36
HARDNESS = 0.5


@case
def case_nt_xent_f32(run):
    run.source = "nt_xent"
    for width, depth, parts in ((29, 32, 1), (70, 96, 2)):
        # A dot of unit rows is off by up to 1e-7 in f32, which 1 / tau multiplies: no small one here.
        for kind, temperature in (("learned", 0.3), ("true", 0.35), ("false", 0.3)):
            f32_tiles(run, width, depth, parts, kind, temperature)


@case
def case_nt_xent_f32_hard(run):
    run.source = "nt_xent"
    for width, depth, parts in ((29, 32, 1), (70, 96, 2)):
        for kind in ("hard true", "hard false"):
            f32_tiles(run, width, depth, parts, kind, 0.4)


def scale_of(run, kind, temperature):
    """(argument, its type, what a product of unit rows is multiplied by for each power)"""
    if kind == "learned":
        return (run.buffer([temperature, 1.0], np.float64),), "LearnedNumber", [LOG2E / temperature]
    hard = kind.startswith("hard")
    scales = [LOG2E / temperature * power for power in ((1 + HARDNESS, HARDNESS) if hard else (1,))]
    halves = [(f32(np.float32(scale)), f32(scale - np.float64(np.float32(scale)))) for scale in scales]
    return (tuple(halves), "HardScales", scales) if hard else (halves[0], "Log2Scale<float>", scales)


def f32_tiles(run, width, depth, parts, kind, temperature):
    rows, others = 90, 140
    shifted = not kind.endswith("false")
    a, b = Side(run, F32, rows, width), Side(run, F32, others, width)
    for side in (a, b):
        side.unit_rows(run, depth, 1.0, F32)
    pairs = Pairs(run, rows, others, first_row=20)
    number, name, scales = scale_of(run, kind, temperature)
    xs = [(a.u_value @ b.u_value.T * scale)[:rows, :others] for scale in scales]
    flag = str(shifted).lower()
    head = (a.u, b.u, i32(depth), i32(3), i32(2))
    words = f"nt_xent_sums_f32_kernel<{flag}, {name}"
    check_sums(run, words, (2, 2), 128, head, (number,), xs, pairs, shifted, 2 * SIMT_STAGE * 4, 64)
    divisors = divisors_of(log_sums(xs, True), HARDNESS if len(xs) == 2 else 0)
    terms = [anchor_terms(divisor, np.arange(rows) % 7 != 3, shifted, 128) for divisor in divisors]
    for term in terms[1:]:
        term[:, 1] *= -1
    du = run.empty(2, 128, depth)
    shared = (2 * SIMT_STAGE + 64 * (68 + 64 * parts + 4)) * 4
    run.launch(
        f"nt_xent_weights_f32_kernel<{parts}, {flag}, {name}",
        (2, 2, blocks_for(depth, 64 * parts)),
        128,
        (a.u, run.device.buffer(np.concatenate(terms, axis=1))),
        (b.u, None),
        i32(depth),
        i32(3),
        i32(2),
        pairs.argument,
        number,
        du,
        shared=shared,
    )
    w = np.zeros((rows, others))
    for x, term in zip(xs, terms):
        own = term[:rows].astype(np.float64)
        counted = pairs.negative & (own[:, 1:] != 0)
        w += np.where(counted, np.exp2(x - own[:, :1] * (own[:, 1:] != 0)) * own[:, 1:], 0)
    run.compare(f"du f32 {kind}", du.array().astype(np.float64).sum(axis=0)[:rows], w @ b.u_value[:others])
