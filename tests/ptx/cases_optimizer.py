"""optimizer_step.cu."""

import numpy as np
from case import BF16, blocks_for, case
from launch import boolean, f32, f64, i32, i64, part_of

N = 1100
SEGMENTS = np.array([[0, 300, 3], [300, 301, 0], [301, 1033, 2], [1040, 1098, 1], [1098, 1100, 3]])
RATES = np.array([0.1, 0.25, 0.05], np.float32)


class Arena:
    """Values, gradients and what a step reads besides."""

    def __init__(self, run, step):
        self.w, self.values = run.tensor(run.normal(N))
        gradients = run.normal(N)
        gradients[slice(*SEGMENTS[4, :2])] = 0  # LARS then has no ratio to take
        self.g, self.gradients = run.tensor(gradients)
        self.shadow = run.empty(N, kind=BF16)
        self.segments = (run.buffer(SEGMENTS, np.int32), i32(len(SEGMENTS)))
        self.step = run.buffer([step], np.int32)
        self.counters = run.buffer(np.zeros(1 + len(SEGMENTS)), np.uint32)
        self.arrived = part_of(self.counters, 4)
        self.timetable = (
            run.buffer(RATES, np.float32),
            i64(len(RATES)),
            self.step,
            self.counters,
            run.buffer([-1], np.int32),
        )
        self.rate = np.float64(RATES[min(step, len(RATES) - 1)])
        self.flags = np.full(N, -1)
        self.segment = np.zeros(N, np.int64)
        for s, (begin, end, flags) in enumerate(SEGMENTS):
            self.flags[begin:end], self.segment[begin:end] = flags, s

    def check(self, run, what, want, step):
        inside = self.flags >= 0
        run.check(what, self.w, np.where(inside, want, self.values))
        run.check(f"{what} shadow", self.shadow, np.where(inside, want, np.nan), BF16)
        run.check(f"{what} step", self.step, [step + 1], None, tolerance=0)
        run.check(f"{what} counters", self.counters, np.zeros(1 + len(SEGMENTS)), None, tolerance=0)


def block_size(width):
    return 8 * 32 * 2 * width


@case
def case_note_nonfinite(run):
    run.source = "optimizer_step"
    for width in (4, 1):
        for bad in (False, True):
            values = run.normal(N)
            values[N - 1 if bad else 0] = np.inf if bad else 1
            x, _ = run.tensor(values)
            where = run.buffer([-1], np.int32)
            run.launch(f"map_kernel<{width}, NoteNonfinite>", 2, 256, i64(N), (x, run.buffer([12], np.int32), where))
            run.check("bad step", where, [12 if bad else -1], None, tolerance=0)


@case
def case_clip(run):
    run.source = "optimizer_step"
    for n, blocks in ((N, 1), (9000, 2)):
        for most in (0.4, 1e4):
            g, gradients = run.tensor(run.normal(n))
            pieces, norm = run.empty(blocks, kind=np.float64), run.empty(1, kind=np.float64)
            length = np.sqrt((gradients * gradients).sum())
            run.launch("clip_sums_kernel", blocks, 256, g, i64(n), pieces)
            run.launch("clip_kernel", blocks, 256, g, i64(n), pieces, f64(most), norm)
            run.check("norm", norm, [length], None)
            run.check("clipped", g, gradients * min(1, most / (length + 1e-6)))


@case
def case_sgd_and_lars(run):
    run.source = "optimizer_step"
    for width in (4, 1):
        for rule, name in ((0, "sgd"), (1, "lars"), (2, "bolts")):
            for nesterov in (False, True):
                momentum_step(run, width, rule, name, nesterov)


def factors_of(arena, rule, decay, trust, clip):
    """(rate, decay) of each segment that adapts."""
    rates, decays = np.zeros(len(SEGMENTS)), np.zeros(len(SEGMENTS))
    for s, (begin, end, flags) in enumerate(SEGMENTS):
        own = decay if flags & 1 else 0.0
        w, g = arena.values[begin:end], arena.gradients[begin:end]
        d = g if rule == 2 else g + own * w
        ww, gg = np.sqrt((w * w).sum()), np.sqrt((d * d).sum())
        if gg == 0:
            ratio, own = 1.0, own if rule == 1 else 0.0
        else:
            ratio = trust * ww / (gg + own * ww + 1e-8) if rule == 2 else trust * ww / gg
            ratio = min(ratio / arena.rate, 1.0) if clip else ratio
        rates[s], decays[s] = (ratio if rule == 2 else arena.rate * ratio), own
    return rates, decays


def momentum_step(run, width, rule, name, nesterov):
    arena, step = Arena(run, 1), 1
    momentum, decay, trust, clip = 0.9, 0.01, 0.02, nesterov
    v, velocity = run.tensor(run.normal(N))
    blocks = blocks_for(N, block_size(width))
    adapted = run.empty(len(SEGMENTS), 2)
    rates, decays = factors_of(arena, rule, np.float64(np.float32(decay)), trust, clip)
    if rule:
        pieces = run.empty(blocks + len(SEGMENTS), 2, kind=np.float64)
        options = (f64(momentum), f64(decay), f64(trust), boolean(nesterov), boolean(clip), i32(rule - 1))
        run.launch(
            f"norms_kernel<{width}>",
            blocks,
            256,
            arena.w,
            arena.g,
            i64(N),
            arena.segments,
            options,
            arena.timetable,
            pieces,
            arena.arrived,
            adapted,
        )
        adapts = SEGMENTS[:, 2] & 2 != 0
        run.compare(f"{name} factors", adapted.array()[adapts], np.stack([rates, decays], axis=1)[adapts])
    fields = (
        arena.w,
        v,
        arena.g,
        adapted if rule else None,
        arena.shadow,
        f32(momentum),
        f32(decay),
        boolean(nesterov),
    )
    run.launch(
        f"update_kernel<{width}, Momentum<(MomentumRule){rule}> >",
        blocks,
        256,
        fields,
        arena.segments,
        i64(N),
        arena.timetable,
    )
    flags = arena.flags
    adapts = (flags & 2 != 0) & (flags >= 0) & (rule > 0)
    rate = np.where(adapts, rates[arena.segment], 1.0 if rule == 2 else arena.rate)
    own_decay = np.where(adapts, decays[arena.segment], np.where(flags & 1 != 0, decay, 0))
    gradient = arena.gradients + own_decay * arena.values
    d = gradient if rule == 0 else rate * gradient
    m = momentum * velocity + d
    move = d + momentum * m if nesterov else m
    want = arena.values - (move if rule == 1 else arena.rate * move)
    run.check(f"{name} velocity", v, np.where(flags >= 0, m, velocity))
    arena.check(run, name, want, step)


@case
def case_adamw(run):
    run.source, (beta1, beta2, eps, decay) = "optimizer_step", (0.9, 0.999, 1e-8, 0.05)
    for width, step in ((4, 0), (1, 7)):
        arena = Arena(run, step)
        (m, first), (v, second) = run.tensor(run.normal(N)), run.tensor(np.abs(run.normal(N)))
        constants = tuple(f32(x) for x in (beta1, beta2, 1 - beta1, 1 - beta2, eps))
        fields = (arena.w, m, v, arena.g, arena.shadow, constants, f64(np.log(beta1)), f64(np.log(beta2)), f64(decay))
        run.launch(
            f"update_kernel<{width}, Adamw>",
            blocks_for(N, block_size(width)),
            256,
            fields,
            arena.segments,
            i64(N),
            arena.timetable,
        )
        g, t = arena.gradients, step + 1
        a, b = beta1 * first + (1 - beta1) * g, beta2 * second + (1 - beta2) * g * g
        keep = np.where(arena.flags & 1 != 0, 1 - arena.rate * decay, 1)
        root = np.sqrt(b) / np.sqrt(1 - beta2**t) + eps
        inside = arena.flags >= 0
        run.check("m", m, np.where(inside, a, first))
        run.check("v", v, np.where(inside, b, second))
        arena.check(run, "adamw", keep * arena.values - arena.rate / (1 - beta1**t) * a / root, step)


@case
def case_stopped(run):
    """Behind a step that met NaN no update changes anything."""
    run.source = "optimizer_step"
    arena = Arena(run, 1)
    m, first = run.tensor(run.normal(N))
    fields = (arena.w, m, arena.g, None, arena.shadow, f32(0.9), f32(0), boolean(False))
    timetable = (*arena.timetable[:4], run.buffer([0], np.int32))
    run.launch("update_kernel<4, Momentum<(MomentumRule)0> >", 1, 256, fields, arena.segments, i64(N), timetable)
    run.check("values", arena.w, arena.values)
    run.check("momentum", m, first)
    run.check("step", arena.step, [1], None, tolerance=0)
