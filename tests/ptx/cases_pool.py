"""pool.cu and time_pool.cu."""

import numpy as np
from case import FLOATS, case
from cases_pointwise import map_over
from launch import f32, f64, i32, i64, u32


def windows(x, kernel, stride, padding):
    """The maxima of [N,H,W,C] and their places, the first of equals."""
    images, height, width, channels = x.shape
    out = [(size + 2 * padding - kernel) // stride + 1 for size in (height, width)]
    y, place = np.zeros((images, *out, channels)), np.zeros((images, *out, channels), np.int64)
    for h in range(out[0]):
        for w in range(out[1]):
            hs = range(max(h * stride - padding, 0), min(h * stride - padding + kernel, height))
            ws = range(max(w * stride - padding, 0), min(w * stride - padding + kernel, width))
            places = np.array([a * width + b for a in hs for b in ws])
            values = x.reshape(images, -1, channels)[:, places]
            y[:, h, w], place[:, h, w] = values.max(axis=1), places[values.argmax(axis=1)]
    return y, place


@case
def case_max_pool(run):
    run.source = "pool"
    for dtype in FLOATS:
        shape = (2, 7, 6, 2 * dtype.width)
        a, x = run.tensor(np.round(run.normal(*shape), 1), dtype)
        want, place = windows(x, 3, 2, 1)
        sizes, out = (u32(7), u32(6)), (u32(want.shape[1]), u32(want.shape[2]))
        tail = (i32(shape[3]), (u32(3), u32(2), u32(1)))

        def forward():
            y, argmax = run.empty(*want.shape, kind=dtype), run.empty(*want.shape, kind=np.int32)

            def check():
                run.check("max pool", y, want, dtype)
                run.check("argmax", argmax, place, None, tolerance=0)

            return (a, y, argmax, sizes, out, *tail), check

        map_over(run, [f"MaxForward<{dtype.name}>"], dtype, want.size, forward)
        g, dy = run.tensor(run.normal(*want.shape), dtype)
        winners = run.buffer(place, np.int32)
        dx_want = np.zeros((shape[0], 42, shape[3]))
        for n, h, w, c in np.ndindex(want.shape):
            dx_want[n, place[n, h, w, c], c] += dy[n, h, w, c]

        def backward():
            dx = run.empty(*shape, kind=dtype)
            return (g, winners, dx, sizes, out, *tail), lambda: run.check("max pool dx", dx, dx_want, dtype)

        map_over(run, [f"MaxBackward<{dtype.name}>"], dtype, int(np.prod(shape)), backward)


@case
def case_average_pool(run):
    run.source, (images, pixels) = "pool", (2, 81)
    for dtype in FLOATS:
        channels = 2 * dtype.width
        a, x = run.tensor(run.normal(images, pixels, channels), dtype)

        def forward():
            y = run.empty(images, channels, kind=dtype)
            arguments = (a, y, i64(pixels), i64(channels), f64(1 / pixels))
            return arguments, lambda: run.check("average", y, x.mean(axis=1), dtype)

        map_over(run, [f"AverageForward<{dtype.name}>"], dtype, images * channels, forward)
        g, dy = run.tensor(run.normal(images, channels), dtype)

        def backward():
            dx = run.empty(images, pixels, channels, kind=dtype)
            want = np.repeat(dy[:, None] * np.float32(1 / pixels), pixels, axis=1)
            return (g, dx, i64(pixels), i64(channels), f32(1 / pixels)), lambda: run.check(
                "average dx", dx, want, dtype
            )

        map_over(run, [f"AverageBackward<{dtype.name}>"], dtype, images * pixels * channels, backward)


@case
def case_time_pool(run):
    run.source, (batch, steps) = "time_pool", (5, 37)
    lengths = np.array([37, 1, 0, 20, 99])  # the last is impossible
    own = run.buffer(lengths, np.int32)
    for dtype in FLOATS:
        channels = 2 * dtype.width
        a, x = run.tensor(np.round(run.normal(batch, steps, channels), 1), dtype)
        g, dy = run.tensor(run.normal(batch, channels), dtype)
        of = (own, i64(steps), i64(channels))
        mean, dmean = np.zeros((batch, channels)), np.zeros((batch, steps, channels))
        best, winner = np.zeros((batch, channels)), np.full((batch, channels), -1)
        for n, length in enumerate(lengths):
            if length > steps:
                mean[n] = dmean[n] = best[n] = np.nan
                winner[n] = -2
            elif length:
                mean[n], dmean[n, :length] = x[n, :length].mean(axis=0), dy[n] / length
                best[n], winner[n] = x[n, :length].max(axis=0), x[n, :length].argmax(axis=0)
        dbest = np.where(winner[:, None] == np.arange(steps)[None, :, None], dy[:, None], 0.0)
        dbest[winner[:, 0] == -2] = np.nan
        picked = run.buffer(winner, np.int32)

        def checked(make, want, what):
            def functor():
                y = run.empty(*want.shape, kind=dtype)
                return make(y), lambda: run.check(what, y, want, dtype)

            return functor

        def maxima():
            y, argmax = run.empty(batch, channels, kind=dtype), run.empty(batch, channels, kind=np.int32)

            def check():
                run.check("max over time", y, best, dtype)
                run.check("argmax", argmax, winner, None, tolerance=0)

            return (a, y, argmax, of), check

        small, large = batch * channels, batch * steps * channels
        map_over(run, [f"MeanForward<{dtype.name}>"], dtype, small, checked(lambda y: (a, y, of), mean, "mean"))
        map_over(run, [f"MeanBackward<{dtype.name}>"], dtype, large, checked(lambda y: (g, y, of), dmean, "mean dx"))
        map_over(run, [f"MaxForward<{dtype.name}>"], dtype, small, maxima)
        map_over(
            run,
            [f"MaxBackward<{dtype.name}>"],
            dtype,
            large,
            checked(lambda y: (g, picked, y, (None, *of[1:])), dbest, "max dx"),
        )
