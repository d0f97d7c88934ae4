"""Differentiable functions: unary.cu, softmax.cu, transpose.cu, sum_along.cu."""

import numpy as np
from case import FLOATS, blocks_for, case
from cases_pointwise import map_over
from launch import i64

LARGEST = float(np.finfo(np.float32).max)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Of kernels/unary.h, in the order of the enumeration: f, f' of the kept value (y, but x of log), inputs beyond normal.
UNARY = (
    ("exp", np.exp, lambda y: y, (100, -100, 0)),
    ("log", np.log, lambda x: 1 / x, (0, -1, 1, 1e-40)),
    ("sqrt", np.sqrt, lambda y: 0.5 / y, (0, -1, 1)),
    ("reciprocal", lambda x: 1 / x, lambda y: -y * y, (np.inf, 4)),
    ("sigmoid", sigmoid, lambda y: y * (1 - y), (0, 30, -30, 200, -200)),
    ("tanh", np.tanh, lambda y: 1 - y * y, (0, 1e-3, 30, -30)),
)


@case
def case_unary(run):
    run.source, n = "unary", 261
    for index, (name, function, slope, special) in enumerate(UNARY):
        for dtype in FLOATS:
            values = run.normal(n)
            if name in ("log", "sqrt", "reciprocal"):
                values = np.abs(values) + 0.2
            values[: len(special)] = special
            a, x = run.tensor(values, dtype)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                y = function(x)
                y = np.where(y > LARGEST, np.inf, y)
                kept = x if name == "log" else np.where(np.isfinite(y), y, 1)
                kept = np.where(kept == 0, 0.5, kept)
                s, saved = run.tensor(kept, dtype)
                g, dy = run.tensor(run.normal(n), dtype)
                dx = dy * slope(saved)
                dx = np.where(np.abs(dx) > LARGEST, np.copysign(np.inf, dx), dx)
            pointwise(run, name, f"<(Unary){index}, {dtype.name}>", dtype, (a, y), (g, s, dx))


def pointwise(run, name, words, dtype, forward, backward):
    (a, y), (g, s, dx) = forward, backward

    def there():
        to = run.empty(len(y), kind=dtype)
        return (a, to), lambda: run.check(name, to, y, dtype)

    def back():
        to = run.empty(len(y), kind=dtype)
        return (g, s, to), lambda: run.check(f"{name} backward", to, dx, dtype)

    map_over(run, [f"Forward{words}"], dtype, len(y), there)
    map_over(run, [f"BackwardData{words}"], dtype, len(y), back)


@case
def case_softmax_rows(run):
    run.source, rows = "softmax", 4
    for dtype in FLOATS:
        for threads, width in ((32, 75), (256, 530)):
            values = run.normal(rows, width) * 3
            values[1] += 200  # whose exponentials do not fit
            a, x = run.tensor(values, dtype)
            y = run.empty(rows, width, kind=dtype)
            name = f"<{threads}, {dtype.name}>"
            run.launch(f"softmax_forward_kernel{name}", rows, threads, a, i64(width), y)
            powers = np.exp(x - x.max(axis=1, keepdims=True))
            run.check("y", y, powers / powers.sum(axis=1, keepdims=True), dtype)
            kept = dtype.widen(y.array())
            g, dy = run.tensor(run.normal(rows, width), dtype)
            dx = run.empty(rows, width, kind=dtype)
            run.launch(f"softmax_gradient_kernel{name}", rows, threads, g, y, i64(width), dx)
            run.check("dx", dx, kept * (dy - (dy * kept).sum(axis=1, keepdims=True)), dtype)


@case
def case_transpose(run):
    run.source, (rows, columns) = "transpose", (45, 70)
    for dtype in FLOATS:
        a, x = run.tensor(run.normal(rows, columns), dtype)
        y = run.empty(columns, rows, kind=dtype)
        grid = blocks_for(rows, 32) * blocks_for(columns, 32)
        run.launch(f"transpose_kernel<{dtype.name}>", grid, 256, a, i64(rows), i64(columns), y)
        run.check("y", y, x.T, dtype, tolerance=0)


@case
def case_sum_along(run):
    run.source = "sum_along"
    for dtype in FLOATS:
        for threads, outer, n in ((32, 5, 75), (256, 3, 600)):
            a, x = run.tensor(run.normal(outer, n), dtype)
            y = run.empty(outer)
            run.launch(f"sum_rows_kernel<{threads}, {dtype.name}>", outer, threads, a, i64(n), y)
            run.check("sums of rows", y, x.sum(axis=1))
        outer, n, inner = 3, 21, 45
        a, x = run.tensor(run.normal(outer, n, inner), dtype)
        y = run.empty(outer, inner)
        across = blocks_for(inner, 32)
        arguments = (a, i64(n), i64(inner), i64(across), y)
        run.launch(f"sum_middle_kernel<{dtype.name}>", outer * across, 256, *arguments)
        run.check("sums along the middle", y, x.sum(axis=1))
        for outer, n, inner in ((4, 16, 1), (3, 5, 24)):
            spread(run, dtype, outer, n, inner)


def spread(run, dtype, outer, n, inner):
    g, dy = run.tensor(run.normal(outer, inner))

    def functor():
        dx = run.empty(outer, n, inner, kind=dtype)
        want = np.broadcast_to(dy[:, None], (outer, n, inner))
        return (g, dx, i64(n), i64(inner)), lambda: run.check("spread", dx, want, dtype)

    map_over(run, [f"Spread<{dtype.name}>"], dtype, outer * n * inner, functor)
