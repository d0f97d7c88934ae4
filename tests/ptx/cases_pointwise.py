"""Passes over elements: elementwise.cu, primitives.cu, gelu.cu, dropout.cu, columns.cu."""

import math

import numpy as np
from case import BF16, F32, FLOATS, blocks_for, case
from launch import Scalar, f32, i32, i64, u32, u64
from philox import random_block


def map_over(run, words, dtype, n, functor):
    """map.h: 16 bytes a thread, and an element a thread."""
    for width in (dtype.width, 1):
        arguments, check = functor()
        threads = n if width == 1 else n // width
        run.launch((f"map_kernel<{width},", *words), max(1, blocks_for(threads, 512)), 256, i64(n), arguments)
        check()


@case
def case_elementwise(run):
    run.source, n = "elementwise", 1003
    for dtype in FLOATS:
        a, x = run.tensor(run.normal(n), dtype)
        b, z = run.tensor(run.normal(n), dtype)

        def checked(make, reference):
            def functor():
                y = run.empty(n, kind=dtype)
                return make(y), lambda: run.check(f"{reference[0]} {dtype.name}", y, reference[1], dtype)

            return functor

        map_over(run, [f"Multiply<{dtype.name}>"], dtype, n, checked(lambda y: (a, b, y), ("multiply", x * z)))
        map_over(
            run, [f"Scale<{dtype.name}>"], dtype, n, checked(lambda y: (a, y, f32(0.3)), ("scale", x * np.float32(0.3)))
        )
        map_over(run, [f"Relu<{dtype.name}>"], dtype, n, checked(lambda y: (a, y), ("relu", np.maximum(x, 0))))
        map_over(
            run,
            [f"ReluBackward<{dtype.name}>"],
            dtype,
            n,
            checked(lambda y: (a, b, y), ("relu backward", np.where(z > 0, x, 0))),
        )
    for dtype, channels in ((F32, 12), (BF16, 24)):
        a, x = run.tensor(run.normal(40, channels), dtype)
        line, c = run.tensor(run.normal(channels))
        for product, want in (("false", x + c), ("true", x * c)):

            def functor(want=want):
                y = run.empty(40, channels, kind=dtype)
                return (a, line, y, i64(channels)), lambda: run.check("with a row", y, want, dtype)

            map_over(run, [f"WithRow<{dtype.name}, {product}>"], dtype, 40 * channels, functor)


@case
def case_sums(run):
    run.source = "elementwise"
    rows, channels, n = 530, 37, 8200
    for dtype in FLOATS:
        a, x = run.tensor(run.normal(rows, channels), dtype)
        partial, bias = run.empty(2, channels, kind=np.float64), run.empty(channels)
        run.launch(("bias_partial_kernel", f"<{dtype.name}>"), (2, 2), 256, a, i64(rows), i32(channels), partial)
        run.launch("bias_sum_kernel", 1, 256, partial, i64(2), i32(channels), bias)
        run.check("bias backward", bias, x.sum(axis=0))
        a, x = run.tensor(run.normal(n), dtype)
        partial, y = run.empty(2, kind=np.float64), run.empty(1)
        run.launch(("sum_partial_kernel", f"<{dtype.name}>"), 2, 256, a, i64(n), partial)
        run.launch("sum_kernel", 1, 256, partial, i64(2), y)
        run.check("sum", y, x.sum())


@case
def case_normalize(run):
    run.source, (rows, width) = "elementwise", (6, 77)
    for dtype in FLOATS:
        values = run.normal(rows, width)
        values[2] = 0
        a, x = run.tensor(values, dtype)
        u, norm = run.empty(rows, width, kind=dtype), run.empty(rows)
        run.launch(("normalize_forward_kernel", f"<{dtype.name}>"), 2, 128, a, i64(rows), i64(width), u, norm)
        length = np.sqrt((x * x).sum(axis=1))
        safe = np.where(length == 0, 1, length)[:, None]
        run.check("norm", norm, length)
        run.check("u", u, x / safe, dtype)
        g, du = run.tensor(run.normal(rows, width), dtype)
        dx = run.empty(rows, width, kind=dtype)
        run.launch(("normalize_backward_kernel", f"<{dtype.name}>"), 2, 128, g, u, norm, i64(rows), i64(width), dx)
        unit, kept = dtype.widen(u.array()), norm.array().astype(np.float64)
        dot = (du * unit).sum(axis=1)[:, None]
        run.check(
            "dx",
            dx,
            np.where(length[:, None] == 0, 0, (du - dot * unit) / np.where(kept == 0, 1, kept)[:, None]),
            dtype,
        )


KINDS = {"float": np.float32, "double": np.float64, "BFloat16": BF16, "unsigned char": np.uint8, "int": np.int32}


def kept(kind, x):
    """Doubles as a dtype holds them: (stored, doubles)."""
    if kind == "BFloat16":
        return BF16.store(x), BF16.round(x)
    if KINDS[kind] in (np.uint8, np.int32):
        limits = np.iinfo(KINDS[kind])
        x = np.clip(np.rint(x), limits.min, limits.max)
    stored = np.asarray(x, np.float64).astype(KINDS[kind])
    return stored, stored.astype(np.float64)


@case
def case_primitives(run):
    run.source, n = "primitives", 300
    for dtype in FLOATS:
        a, x = run.tensor(run.normal(n + 3), dtype)
        b, z = run.tensor(run.normal(n + 3), dtype)

        def functor():
            y = run.empty(n + 3, kind=dtype)
            return (a, b, y), lambda: run.check("add", y, x + z, dtype)

        map_over(run, [f"Add<{dtype.name}>"], dtype, n + 3, functor)
    for kind in KINDS:
        form = {"float": "f", "double": "d", "BFloat16": "H", "unsigned char": "B", "int": "i"}[kind]
        stored, value = kept(kind, np.array([97.0]))
        y = run.empty(n, kind=stored.dtype)
        run.launch(f"Fill<{kind}>", 1, 256, i64(n), (y, Scalar(form, stored[0].item())))
        run.check(f"fill {kind}", y, np.full(n, value[0]), BF16 if kind == "BFloat16" else None)
    for source in KINDS:
        values = run.normal(n) * 150
        values[:6] = (0.5, 1.5, 254.5, 300, -7, -0.5)
        stored, exact = kept(source, values)
        a = run.device.buffer(stored)
        for to in KINDS:
            want = kept(to, exact)
            y = run.empty(n, kind=want[0].dtype)
            run.launch(f"each_kernel<Cast<{to}, {source}> >", 1, 256, i64(n), (a, y))
            run.check(f"cast {source} to {to}", y, want[1], BF16 if to == "BFloat16" else None, tolerance=0)


@case
def case_gelu(run):
    run.source, n = "gelu", 261
    erf = np.vectorize(math.erfc)
    for dtype in FLOATS:
        a, x = run.tensor(np.concatenate([run.normal(n - 5) * 2, [0, 9, -9, 30, -30]]), dtype)
        g, dy = run.tensor(run.normal(n), dtype)
        cumulative = 0.5 * erf(-x / math.sqrt(2))
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)

        def forward():
            y = run.empty(n, kind=dtype)
            return (a, y), lambda: run.check("gelu", y, x * cumulative, dtype)

        def backward():
            dx = run.empty(n, kind=dtype)
            return (g, a, dx), lambda: run.check("gelu backward", dx, dy * (cumulative + x * density), dtype)

        map_over(run, [f"Forward<{dtype.name}>"], dtype, n, forward)
        map_over(run, [f"BackwardData<{dtype.name}>"], dtype, n, backward)


@case
def case_dropout(run):
    run.source, (views, size, seed, layer) = "dropout", (3, 88, 0x123456789ABCDEF0, 5)
    keys = np.array([[7, 1, 0], [7, 1, 1], [250, 3, 0]], np.int32)
    threshold = int(0.3 * 65536 + 0.5)
    scale = np.float32(65536.0 / (65536.0 - threshold))
    halves = np.zeros((views, size), np.int64)
    for v in range(views):
        for block in range(size // 8):
            words = random_block(seed ^ layer << 32, "dropout", keys[v], block)
            halves[v, 8 * block : 8 * block + 8] = [word >> shift & 0xFFFF for word in words for shift in (0, 16)]
    for dtype in FLOATS:
        a, x = run.tensor(run.normal(views, size), dtype)
        k = run.buffer(keys, np.int32)

        def functor():
            y = run.empty(views, size, kind=dtype)
            arguments = (a, k, y, i64(size), (u64(seed), u32(layer)), u32(threshold), f32(scale))
            return arguments, lambda: run.check("dropout", y, np.where(halves >= threshold, x * scale, 0), dtype)

        map_over(run, [f"Apply<{dtype.name}>"], dtype, views * size, functor)


@case
def case_columns(run):
    run.source, (rows, wide, narrow, count) = "columns", (9, 48, 32, 24)
    for dtype in FLOATS:
        a, x = run.tensor(run.normal(rows, wide), dtype)

        def functor():
            y = run.empty(rows, narrow, kind=dtype)
            want = np.full((rows, narrow), np.nan)
            want[:, :count] = x[:, :count]
            return (a, y, i64(wide), i64(narrow), i64(count)), lambda: run.check("columns", y, want, dtype)

        map_over(run, [f"Copy<{dtype.name}>"], dtype, rows * count, functor)
