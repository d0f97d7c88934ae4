"""nt_xent.cu: what it does for rows, in f64: losses and gradients, the temperature, and u of all kinds."""

import numpy as np
from case import BF16, F32, blocks_for, case
from cases_nt_xent import LOG2E, Pairs, Side, anchor_terms
from launch import boolean, f64, i32, i64
from nt_xent_forms import Form, rows_of

PLAIN, WEIGHTED = Form(), Form(decoupled=True, sigma=0.4)
FORMS = (
    PLAIN,
    Form(decoupled=True),
    WEIGHTED,
    Form(class_prior=0.1),
    Form(class_prior=0.9),  # some rows' G is its least value, others' is not
    Form(hardness=0.5),
    Form(class_prior=0.8, hardness=0.7),
)


@case
def case_nt_xent_rows(run):
    """Losses and gradients of rows, in f64."""
    for dtype in (F32, BF16):
        for learned in (True, False):
            rows_case(run, dtype, learned, PLAIN)
    run.source = "nt_xent"
    for dtype in (F32, BF16):  # u of the remaining kinds
        scale = run.buffer([1.7], np.float64)
        Side(run, dtype, 5, 40).unit_rows(run, 64, 1.0, F32)
        for panels in (False, True):
            Side(run, dtype, 5, 40).unit_rows(run, 64, 1.7, BF16, panels)
            Side(run, dtype, 5, 40).unit_rows(run, 64, 1.7, BF16, panels, scale)


@case
def case_nt_xent_family(run):
    """The same of the other losses."""
    for dtype in (F32, BF16):
        for learned in (True, False):
            for form in FORMS[1:]:
                rows_case(run, dtype, learned, form)


@case
def case_nt_xent_inside(run):
    """The same of SupCon's form inside; a case of its own, for the family's random numbers decide what its rows are."""
    for dtype in (F32, BF16):
        for learned in (True, False):
            rows_case(run, dtype, learned, Form(inside=True))


def similarity_of(a, b, tau):
    norms = a.length[:, None] * b.length[None]
    return np.where(norms == 0, 0, a.value @ b.value.T / np.where(norms == 0, 1, norms * tau))


def temperature_of(run, learned):
    """(scales in the device's memory, tau)"""
    logit, logit_value = run.tensor([1.9])
    scales = run.empty(2, kind=np.float64)
    run.launch("nt_xent_temperature_kernel", 1, 32, logit, boolean(False), scales)
    run.check("tau", scales, [np.exp(-logit_value[0]), 1.0], None)
    run.launch("nt_xent_temperature_kernel", 1, 32, logit, boolean(True), scales)
    run.check("tau", scales, [np.exp(-logit_value[0]), np.sqrt(LOG2E * np.exp(logit_value[0]))], None)
    return scales, np.exp(-logit_value[0]) if learned else 0.2


def partial_of(run, s, pairs, form, shifted):
    """PartialSums of two splits, as the tiles leave them."""
    rows, powers = pairs.rows, form.powers
    sums, tops = np.zeros((len(powers), 2, 128)), np.zeros((len(powers), 2, 128), np.float32)
    for p, power in enumerate(powers):
        parts = np.where(pairs.negative, np.exp(power * s), 0)
        sums[p, :, :rows] = parts[:, :40].sum(axis=1), parts[:, 40:].sum(axis=1)
    if not shifted:
        return (run.device.buffer(sums), None, i32(2), i32(128))
    tops[:, 1] = 3
    tops[1:, 0] = -2
    sums *= np.exp2(-tops.astype(np.float64))
    return (run.device.buffer(sums), run.device.buffer(tops), i32(2), i32(128))


def check_terms(run, terms, want, shifted):
    """Shifts and shares of all powers; those of the second power are taken off."""
    stored = terms.array()
    for p, divisor in enumerate(want.divisors):
        counted = (want.count > 0) & np.isfinite(divisor)
        term = anchor_terms(divisor, counted, shifted, 128).astype(np.float64)
        run.compare(f"shares {p}", stored[:, 2 * p + 1], term[:, 1] * (1 - 2 * p))
        rows = np.nonzero(counted)[0]
        run.compare(f"shifts {p}", stored[rows, 2 * p], term[rows, 0], tolerance=0)
        rest = np.setdiff1d(np.arange(128), rows)
        run.compare(f"rows without a term {p}", stored[rest, 2 * p], term[rest, 0], tolerance=0)


def rows_case(run, dtype, learned, form):
    run.source, rows, width = "nt_xent", 75, 37
    others = rows + 1 if learned else rows
    group = np.arange(75) % 6
    group[::11] = -1
    a, b = Side(run, dtype, rows, width), Side(run, dtype, others, width)
    norms = [run.buffer(side.length, np.float64) for side in (a, b)]
    pairs = Pairs(run, rows, others, None if learned else (group, group))
    scales, tau = temperature_of(run, learned)
    name = f"<{dtype.name}, {'LearnedNumber' if learned else 'double'}"
    number = (scales,) if learned else f64(tau)
    s, shifted = similarity_of(a, b, tau), not (form.decoupled or form.class_prior == 0.1)
    want = rows_of(form, s, pairs, tau)
    if form.class_prior > 0.5 and not 0 < want.clamped.sum() < (want.count > 0).sum():
        run.failures.append(f"{run.name}: {form} has {want.clamped.sum()} rows whose G is the least")
    values = (run.empty(rows, kind=np.float64), run.empty(rows, kind=np.float64), run.empty(rows, kind=np.int32))
    values = (*values, form.rule)
    terms, losses = run.empty(128, 2 * len(form.powers)), run.empty(rows, kind=np.float64)
    embeddings = [(side.z, norm, i32(width)) for side, norm in zip((a, b), norms)]
    partial = partial_of(run, s, pairs, form, shifted)
    arguments = (partial, *embeddings, pairs.argument, number, form.argument, boolean(shifted), values, terms, losses)
    run.launch(f"nt_xent_loss_kernel{name}, {form.names}", 32, 128, *arguments)
    run.check("positives", values[2], want.count, None, tolerance=0)
    run.check("log sum", values[0], want.log_sum, None)
    check_terms(run, terms, want, shifted)
    mean, counted = run.empty(1), run.empty(1, kind=np.float64)
    if form.sigma:
        weighted = f"nt_xent_weighted_mean_kernel<{name.split(', ')[1]}>"
        run.launch(weighted, 1, 1024, losses, values, i32(rows), number, f64(form.sigma), mean, counted)
    else:
        run.check("losses", losses, want.loss, None)
        run.launch("nt_xent_mean_kernel", 1, 1024, losses, values[2], i32(rows), mean, counted)
    run.check("pull", values[1], np.where(want.count > 0, want.pull, 0), None)
    run.check("loss", mean, want.loss.sum() / (want.count > 0).sum())
    run.check("counted", counted, (want.count > 0).sum(), None)
    none = (None, None, None, PLAIN.rule)
    given = (values, none), embeddings, pairs.argument
    along = gradient_case(run, f"{name}>", (a, b), given, (number, tau), want.positive_weights, want.count, counted)
    if learned:
        scale_case(run, along, rows, tau, counted, (want.count > 0).sum())
    if dtype is F32:  # the candidates' side
        given = (none, values), embeddings[::-1], pairs.turned
        gradient_case(run, f"{name}>", (b, a), given, (number, tau), want.positive_weights.T, want.count, counted)


DLOSS = 0.8


def gradient_case(run, name, sides, given, temperature, weight, count, counted):
    """dz of the first side; gives du.u of each row, its buffer and its values."""
    (a, b), (number, tau), (values, embeddings, pairs) = sides, temperature, given
    rows, width = a.rows, a.width
    du, u_scale = run.normal(2, 128, 40).astype(np.float32), 1.7
    dloss, scale = run.tensor([DLOSS])
    dz, along = run.empty(rows, width, kind=a.dtype), run.empty(rows, kind=np.float64)
    scale_number = (run.buffer([u_scale], np.float64),) if isinstance(number, tuple) else f64(u_scale)
    partial = (run.device.buffer(du), i32(2), i32(40), i64(128 * 40))
    run.launch(
        f"nt_xent_gradient_kernel{name}",
        blocks_for(rows, 4),
        128,
        partial,
        embeddings[0],
        values[0],
        embeddings[1],
        values[1],
        pairs,
        number,
        scale_number,
        dloss,
        counted,
        dz,
        along,
        shared=4 * width * 8,
    )
    total = weight @ b.unit + du.astype(np.float64).sum(axis=0)[:rows, :width] / u_scale
    dot = (total * a.unit).sum(axis=1)
    length = np.where(a.length == 0, 1, a.length)
    want = (total - dot[:, None] * a.unit) * (scale[0] / ((count > 0).sum() * tau) / length)[:, None]
    run.check("dz", dz, np.where(a.length[:, None] == 0, 0, want), a.dtype)
    run.check("along", along, dot, None)
    return along, dot


def scale_case(run, along, rows, tau, counted, n):
    """d loss / d logit_scale."""
    dloss, scale = run.tensor([DLOSS])
    dlogit, logit = run.empty(1), run.tensor([1.9])[0]
    scales = run.buffer([tau, 1.0], np.float64)
    arguments = (along[0], i32(rows), f64(0.5), dloss, counted, scales, logit, dlogit)
    run.launch("nt_xent_temperature_gradient_kernel", 1, 1024, *arguments)
    run.check("dlogit", dlogit, along[1].sum() * 0.5 * scale[0] / (n * tau))
