"""nt_xent.cu: what it does for rows, in f64: losses and gradients, the temperature, and u of all kinds."""

import numpy as np
from case import BF16, F32, blocks_for, case
from cases_nt_xent import LOG2E, Pairs, Side, anchor_terms
from launch import boolean, f64, i32, i64


@case
def case_nt_xent_rows(run):
    """Losses and gradients of rows, in f64."""
    group = np.arange(75) % 6
    group[::11] = -1
    for dtype in (F32, BF16):
        for learned in (True, False):
            rows_case(run, dtype, learned, None if learned else group)
    run.source = "nt_xent"
    for dtype in (F32, BF16):  # u of the remaining kinds
        scale = run.buffer([1.7], np.float64)
        Side(run, dtype, 5, 40).unit_rows(run, 64, 1.0, F32)
        for panels in (False, True):
            Side(run, dtype, 5, 40).unit_rows(run, 64, 1.7, BF16, panels)
            Side(run, dtype, 5, 40).unit_rows(run, 64, 1.7, BF16, panels, scale)


def similarity_of(a, b, tau):
    norms = a.length[:, None] * b.length[None]
    return np.where(norms == 0, 0, a.value @ b.value.T / np.where(norms == 0, 1, norms * tau))


def losses_of(s, pairs, log_negatives):
    """log of the sums, share of the negatives, loss; 0 where there is no positive."""
    count = pairs.positive.sum(axis=1)
    with np.errstate(divide="ignore"):
        log_positive = np.log(np.where(pairs.positive, np.exp(s), 0).sum(axis=1))
    log_sum = np.logaddexp(log_negatives, log_positive)
    mean = np.where(pairs.positive, s, 0).sum(axis=1) / np.maximum(count, 1)
    share = np.where(count > 0, np.exp(log_negatives - log_sum), 0)
    return count, log_sum, share, np.where(count > 0, log_sum - mean, 0)


def rows_case(run, dtype, learned, groups):
    run.source, rows, width = "nt_xent", 75, 37
    others = rows + 1 if groups is None else rows
    a, b = Side(run, dtype, rows, width), Side(run, dtype, others, width)
    norms = [run.buffer(side.length, np.float64) for side in (a, b)]
    pairs = Pairs(run, rows, others, None if groups is None else (groups, groups))
    logit, logit_value = run.tensor([1.9])
    scales = run.empty(2, kind=np.float64)
    run.launch("nt_xent_temperature_kernel", 1, 32, logit, boolean(False), scales)
    run.check("tau", scales, [np.exp(-logit_value[0]), 1.0], None)
    run.launch("nt_xent_temperature_kernel", 1, 32, logit, boolean(True), scales)
    tau = np.exp(-logit_value[0]) if learned else 0.2
    run.check("tau", scales, [np.exp(-logit_value[0]), np.sqrt(LOG2E * np.exp(logit_value[0]))], None)
    name = f"<{dtype.name}, {'LearnedNumber' if learned else 'double'}>"
    number = (scales,) if learned else f64(tau)
    s = similarity_of(a, b, tau)
    parts = np.where(pairs.negative, np.exp(s), 0)
    splits = np.zeros((2, 128))
    splits[:, :rows] = parts[:, :40].sum(axis=1), parts[:, 40:].sum(axis=1)
    tops = np.zeros((2, 128), np.float32)
    tops[1] = 3
    given = splits * np.exp2(-tops.astype(np.float64))
    partial = (run.device.buffer(given), run.device.buffer(tops), i32(2), i32(128))
    values = (run.empty(rows, kind=np.float64), run.empty(rows, kind=np.float64), run.empty(rows, kind=np.int32))
    terms, losses = run.empty(128, 2), run.empty(rows, kind=np.float64)
    embeddings = [(side.z, norm, i32(width)) for side, norm in zip((a, b), norms)]
    run.launch(
        f"nt_xent_loss_kernel{name}",
        32,
        128,
        partial,
        *embeddings,
        pairs.argument,
        number,
        boolean(True),
        values,
        terms,
        losses,
    )
    count, log_sum, share, loss = losses_of(s, pairs, np.log(splits[:, :rows].sum(axis=0)))
    run.check("positives", values[2], count, None, tolerance=0)
    run.check("log sum", values[0], log_sum, None)
    run.check("negatives", values[1], share, None)
    run.check("losses", losses, loss, None)
    want = anchor_terms(log_sum, count > 0, True, 128).astype(np.float64)
    run.check("shares", run.device.buffer(terms.array()[:, 1]), want[:, 1])
    run.check("shifts", run.device.buffer(terms.array()[:rows, 0]), want[:rows, 0])
    mean, counted = run.empty(1), run.empty(1, kind=np.float64)
    run.launch("nt_xent_mean_kernel", 1, 1024, losses, values[2], i32(rows), mean, counted)
    run.check("loss", mean, loss.sum() / (count > 0).sum())
    run.check("counted", counted, (count > 0).sum(), None)
    gradient_case(run, name, (a, b), embeddings, values, pairs, (number, tau), (s, log_sum, share, count), counted)


def gradient_case(run, name, sides, embeddings, values, pairs, temperature, of, counted):
    (a, b), (number, tau), (s, log_sum, share, count) = sides, temperature, of
    rows, width = pairs.rows, a.width
    du, u_scale = run.normal(2, 128, 40).astype(np.float32), 1.7
    dloss, scale = run.tensor([0.8])
    dz, along = run.empty(rows, width, kind=a.dtype), run.empty(rows, kind=np.float64)
    learned = isinstance(number, tuple)
    scale_number = (run.buffer([u_scale], np.float64),) if learned else f64(u_scale)
    partial = (run.device.buffer(du), i32(2), i32(40), i64(128 * 40))
    run.launch(
        f"nt_xent_gradient_kernel{name}",
        blocks_for(rows, 4),
        128,
        partial,
        embeddings[0],
        values,
        embeddings[1],
        (None, None, None),
        pairs.argument,
        number,
        scale_number,
        dloss,
        counted,
        dz,
        along,
        shared=4 * width * 8,
    )
    weight = np.where(
        count[:, None] == 1, -share[:, None], np.exp(s - log_sum[:, None]) - 1 / np.maximum(count, 1)[:, None]
    )
    weight = np.where(pairs.positive, weight, 0)
    total = weight @ b.unit + du.astype(np.float64).sum(axis=0)[:rows, :width] / u_scale
    dot = (total * a.unit).sum(axis=1)
    n = (count > 0).sum()
    length = np.where(a.length == 0, 1, a.length)
    want = (total - dot[:, None] * a.unit) * (scale[0] / (n * tau) / length)[:, None]
    run.check("dz", dz, np.where(a.length[:, None] == 0, 0, want), a.dtype)
    run.check("along", along, dot, None)
    dlogit, logit = run.empty(1), run.tensor([1.9])[0]
    scales = run.buffer([tau, 1.0], np.float64)
    run.launch(
        "nt_xent_temperature_gradient_kernel",
        1,
        1024,
        along,
        i32(rows),
        f64(0.5),
        dloss,
        counted,
        scales,
        logit,
        dlogit,
    )
    run.check("dlogit", dlogit, dot.sum() * 0.5 * scale[0] / (n * tau))
