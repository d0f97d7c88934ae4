"""augment.cu, cuda/augment_any.cu and cuda/augment_parameters.cu, on pictures of at most 8 x 8 but for one.

Sizes are chosen so that the places of resized pixels are exact in f32.
"""

import numpy as np
from augment_reference import Parameters, Policy, draw, view_of
from case import F32, FLOATS, blocks_for, case
from launch import boolean, f32, i32, i64, u8, u32, u64

P = Parameters
SHAPES = ((8, 8), (6, 7), (5, 4), (40, 30))


def policy_of(p):
    return (
        i32(p.size),
        i32(p.channels),
        boolean(p.random_crop),
        *(f32(x) for x in (*p.crop_area, *p.crop_aspect)),
        i32(p.bicubic),
        f32(p.flip),
        f32(p.rotation),
        f32(p.degrees),
        f32(p.jitter),
        *(f32(x) for x in p.strengths),
        f32(p.hue),
        f32(p.grayscale),
        f32(p.blur),
        f32(p.sigma[0]),
        f32(p.sigma[1]),
        i32(p.blur_kernel),
        *(f32(x) for x in p.mean),
        *(f32(x) for x in p.stddev),
    )


class Pictures:
    """An arena of pictures of one kind of values."""

    def __init__(self, run, kind, counts):
        self.kind, self.white = kind, {np.uint8: 255, np.uint16: 65535, np.float32: 1}[kind]
        self.pictures, refs, offset = [], [], 0
        for (height, width), channels in zip(SHAPES, counts):
            values = run.random.random((height, width, channels)) * self.white
            if kind is not np.float32:
                values = np.rint(values)
            self.pictures.append(values.astype(kind))
            refs.append((offset, height, width, channels, 100 + len(refs)))
            offset += values.size
        self.values = run.device.buffer(np.concatenate([p.reshape(-1) for p in self.pictures]))
        self.count = offset
        packed = np.zeros(len(refs), [("offset", "<i8"), ("size", "<i4", 3), ("sample", "<u4")])
        for i, (at, height, width, channels, sample) in enumerate(refs):
            packed[i] = (at, (height, width, channels), sample)
        self.refs = run.device.buffer(packed.view(np.uint8))

    def argument(self, any_values):
        dtype = {np.float32: 0, np.uint8: 3, np.uint16: 5}[self.kind]
        values = (self.values, u8(dtype)) if any_values else self.values
        return (values, i64(self.count), self.refs, i64(len(self.pictures)))


def views_of_all(small):
    """A view of each picture, and one of none: (picture, parameters)."""
    turn = (3, 0, 1, 2)
    return [
        (0, P(0, 0, 8, 8)),
        (0, P(1, 2, 4, 5, flip=1, jitter=1, order=(2, 0, 1, 3), factors=(0.75, 1.25, 0.5), hue=0.125, grayscale=1)),
        (1, P(0, 1, 6, 6, rotate=1, angle=20.0, jitter=1, order=(0, 3, 1, 2), factors=(1.25, 0.75, 1.5), hue=-0.25)),
        (2, P(0, 0, 5, 4, flip=1, blur=1, sigma=0.8)),
        (1, P(2, 0, 4, 7, rotate=1, angle=-130.0, blur=1, sigma=1.5, jitter=1, order=turn, factors=(0.5, 1.5, 1.0))),
        (3, P(0, 0, 40, 30)) if small else (2, P(1, 1, 4, 3)),
        (3, P(5, 6, 20, 24, flip=1, jitter=1, order=(1, 0, 2, 3), factors=(1.0, 0.5, 1.0))),
        (7, P(0, 0, 8, 8)),
        (0, P(4, 0, 5, 8)),
    ]


def augment(run, pictures, policy, dtype, any_values, lanes, views):
    """`lanes`: the kernel's C."""
    run.source = "augment_any" if any_values else "augment"
    size, count = policy.size, policy.channels
    one = any_values and lanes == 1
    resident = size <= 32
    index = run.buffer([picture for picture, _ in views], np.int32)
    parameters = run.device.buffer(np.concatenate([p.bytes() for _, p in views]))
    out = run.empty(len(views), size, size, count, kind=dtype)
    threads = 256 if resident else 512
    taps = min(16, 8192 // (2 * size))
    floats = threads * 4 * lanes + 4 * size + 2 * size * taps + size // 2 + 1
    plane = 0 if resident else size * size * lanes
    scratch = None
    total = len(views) * (count if one else 1)
    blocks = total if resident else min(total, 3)
    if not resident:
        if (floats + 2 * plane) * 4 <= 160 << 10:
            floats += 2 * plane
        else:
            scratch = run.empty(blocks * 2 * plane)
    mean, deviation = np.asarray(policy.mean, np.float32), np.asarray(policy.stddev, np.float32)
    task = (
        pictures.argument(any_values),
        index,
        u32(len(views)),
        u32(total),
        parameters,
        policy_of(policy),
        *(f32(x) for x in mean),
        *(f32(x) for x in np.float32(1) / deviation),
        i32(taps),
        scratch,
        i64(plane),
        i64(2 * plane),
    )
    kind = "AnyValues" if any_values else "unsigned char const*"
    run.launch(
        f"augment_kernel<{kind}, {lanes}, {str(resident).lower()}, {dtype.name}>",
        blocks,
        threads,
        task,
        out,
        shared=floats * 4,
    )
    want = np.full(out.shape, np.nan)
    for i, (picture, p) in enumerate(views):
        if picture < len(pictures.pictures) and p.top + p.height <= len(pictures.pictures[picture]):
            view = view_of(pictures.pictures[picture], pictures.white, policy, p, count)
            want[i] = (view - mean[:count].astype(np.float64)) / deviation[:count]
    run.check(f"views {kind} {lanes} {size}", out, want, dtype)


MEAN, STDDEV = (0.5, 0.25, 0.375) + (0.0,) * 13, (0.5, 0.25, 0.5) + (1.0,) * 13


def kinds(run, dtype, size, any_values):
    small = size <= 32
    for lanes in (3, 1):
        views = views_of_all(small)
        for bicubic, kernel in ((False, 5), (True, -1)):
            policy = Policy(size=size, channels=lanes, bicubic=bicubic, blur_kernel=kernel, mean=MEAN, stddev=STDDEV)
            if not small and bicubic:
                views = views[2:5]
            if any_values and lanes == 1:
                policy.channels = 2
                augment(run, Pictures(run, np.float32, (2, 2, 2, 2)), policy, dtype, True, 1, views)
            else:
                kind = np.uint16 if any_values else np.uint8
                augment(run, Pictures(run, kind, (3, 4, 1, 3)), policy, dtype, any_values, lanes, views)


@case
def case_augment(run):
    for dtype in FLOATS:
        kinds(run, dtype, 8, False)


@case
def case_augment_any(run):
    kinds(run, F32, 8, True)


@case
def case_augment_large(run):
    for dtype in FLOATS:
        kinds(run, dtype, 64, False)


@case
def case_augment_any_large(run):
    kinds(run, F32, 64, True)


@case
def case_augment_draw(run):
    run.source = "augment_parameters"
    policy = Policy(
        crop_area=(0.2, 0.9),
        crop_aspect=(0.5, 2.0),
        rotation=0.5,
        degrees=30.0,
        jitter=0.8,
        strengths=(0.4, 0.4, 1.2),
        hue=0.1,
        grayscale=0.2,
        blur=0.5,
        blur_kernel=3,
    )
    seed, epoch, views = 0xFEDCBA9876543210, 6, 3
    shapes = [(32, 40, 3, 11), (1, 900, 3, 12), (7, 5, 1, 4000000000), (0, 5, 1, 14)]
    refs = np.zeros(len(shapes), [("offset", "<i8"), ("size", "<i4", 3), ("sample", "<u4")])
    for i, (height, width, channels, sample) in enumerate(shapes):
        refs[i] = (0, (height, width, channels), sample)
    index = [0, 1, 2, 3, 9, 0, 2]
    rows = views * len(index)
    for random_crop in (True, False):
        policy.random_crop = random_crop
        drawn = run.empty(rows, 19, kind=np.int32)
        device_epoch = run.buffer([epoch], np.int32) if random_crop else None
        run.launch(
            "augment_draw_kernel",
            blocks_for(rows, 64),
            64,
            run.device.buffer(refs.view(np.uint8)),
            i64(len(shapes)),
            run.buffer(index, np.int32),
            i64(len(index)),
            policy_of(policy),
            u64(seed),
            u32(0 if random_crop else epoch),
            device_epoch,
            i64(rows),
            drawn,
        )
        want = []
        for row in range(rows):
            at, view = index[row % len(index)], row // len(index)
            height, width, _, sample = shapes[at] if at < len(shapes) else (0, 0, 0, 0)
            drawn_here = draw(policy, height, width, seed, (sample, epoch, view)) if height else Parameters()
            want.append(drawn_here.bytes())
        run.check("parameters", drawn, np.stack(want), None, tolerance=0)
