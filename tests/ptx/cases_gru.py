"""gru.cu: one step of each direction."""

import numpy as np
from case import FLOATS, case
from launch import boolean, i64

SEQUENCES, STEPS, SIZE = 5, 6, 37
LENGTHS = np.array([6, 3, 0, 1, 9])  # the last is impossible


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@case
def case_gru(run):
    run.source = "gru"
    for dtype in FLOATS:
        for s, backwards in ((2, True), (STEPS - 1, False)):
            step = (
                run.buffer(LENGTHS, np.int32),
                i64(SEQUENCES),
                i64(STEPS),
                i64(SIZE),
                i64(s),
                i64(2 * SIZE),
                i64(SIZE if backwards else 0),
                boolean(backwards),
            )
            column = SIZE if backwards else 0
            own = (s < LENGTHS) & (LENGTHS <= STEPS)
            time = np.where(own & backwards, LENGTHS - 1 - s, s)
            forward(run, dtype, step, s, own, time, column)
            backward(run, dtype, step, s, own, time, column)


def forward(run, dtype, step, s, own, time, column):
    (p, products), (w, hidden) = (
        run.tensor(run.normal(SEQUENCES, STEPS, 3, SIZE), dtype),
        run.tensor(run.normal(SEQUENCES, 3, SIZE)),
    )
    (bi, b_ih), (bh, b_hh) = run.tensor(run.normal(3, SIZE)), run.tensor(run.normal(3, SIZE))
    c, h = run.tensor(np.tanh(run.normal(SEQUENCES, SIZE)))
    last_step = s == STEPS - 1
    gates, y = run.empty(SEQUENCES, 4, SIZE), run.empty(SEQUENCES, STEPS, 2 * SIZE, kind=dtype)
    following, last = run.empty(SEQUENCES, SIZE, kind=dtype), run.empty(SEQUENCES, 2 * SIZE, kind=dtype)
    run.launch(
        f"gru_forward_kernel<{dtype.name}>",
        (SEQUENCES, 1),
        128,
        step,
        (p, w, bi, bh, c, gates, None if last_step else following, y, last),
    )
    x, q = products[np.arange(SEQUENCES), time] + b_ih, hidden + b_hh
    r, z = sigmoid(x[:, 0] + q[:, 0]), sigmoid(x[:, 1] + q[:, 1])
    n = np.tanh(x[:, 2] + r * q[:, 2])
    new = np.where(own[:, None], n + z * (h - n), h)
    new[LENGTHS > STEPS] = np.nan
    run.check("carry", c, new)
    run.compare("gates", gates.array()[own], np.stack([r, z, n, q[:, 2]], axis=1)[own])
    want = np.full((SEQUENCES, STEPS, 2 * SIZE), np.nan)
    shown = np.where(own[:, None] | (LENGTHS > STEPS)[:, None], new, 0)
    want[np.arange(SEQUENCES), time, column : column + SIZE] = shown
    run.check("y", y, want, dtype)
    if last_step:
        end = np.full((SEQUENCES, 2 * SIZE), np.nan)
        end[:, column : column + SIZE] = new
        run.check("last", last, end, dtype)
    else:
        run.check("next", following, new, dtype)


def backward(run, dtype, step, s, own, time, column):
    (g, dy), (e, dlast) = (
        run.tensor(run.normal(*shape), dtype) for shape in ((SEQUENCES, STEPS, 2 * SIZE), (SEQUENCES, 2 * SIZE))
    )
    values = run.normal(SEQUENCES, 4, SIZE)
    values[:, :2] = sigmoid(values[:, :2])
    values[:, 2] = np.tanh(values[:, 2])
    (kept, gates), (states, h) = run.tensor(values), run.tensor(run.normal(SEQUENCES, SIZE), dtype)
    carry, dh = run.tensor(run.normal(SEQUENCES, SIZE))
    dproducts, dhidden = run.empty(SEQUENCES, STEPS, 3, SIZE, kind=dtype), run.empty(SEQUENCES, 3, SIZE, kind=dtype)
    run.launch(
        f"gru_backward_kernel<{dtype.name}>", (SEQUENCES, 1), 128, step, (g, e, kept, states, carry, dproducts, dhidden)
    )
    if s == STEPS - 1:
        dh = dlast[:, column : column + SIZE]
    inside = own[:, None]
    dh = np.where(inside, dh + dy[np.arange(SEQUENCES), time, column : column + SIZE], dh)
    r, z, n, q = gates.transpose(1, 0, 2)
    dn = dh * (1 - z) * (1 - n * n)
    dz = dh * (h - n) * z * (1 - z)
    dr = dn * q * r * (1 - r)
    impossible = (LENGTHS > STEPS)[:, None]

    def of(x):
        return np.where(impossible, np.nan, np.where(inside, x, 0))

    want = np.full((SEQUENCES, STEPS, 3, SIZE), np.nan)
    want[np.arange(SEQUENCES), time] = np.stack([of(dr), of(dz), of(dn)], axis=1)
    run.check("dproducts", dproducts, want, dtype)
    run.check("dhidden", dhidden, np.stack([of(dr), of(dz), of(dn * r)], axis=1), dtype)
    run.check("carry", carry, np.where(inside, dh * z, dh))
