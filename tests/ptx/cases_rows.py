"""softmax_xent.cu, layernorm.cu and batchnorm.cu."""

import numpy as np
from case import FLOATS, blocks_for, case
from launch import boolean, f32, f64, i32, i64


@case
def case_softmax(run):
    run.source = "softmax_xent"
    for dtype in FLOATS:
        for threads, classes in ((32, 75), (256, 530)):
            rows = 5
            a, x = run.tensor(run.normal(rows, classes) * 3, dtype)
            label = np.array([3, classes - 1, 0, 7, classes])  # the last is impossible
            labels = run.buffer(label, np.int32)
            log_sum, losses = run.empty(rows, kind=np.float64), run.empty(rows, kind=np.float64)
            name = f"<{threads}, {dtype.name}>"
            run.launch(f"softmax_rows_kernel{name}", rows, threads, a, labels, i64(classes), log_sum, losses)
            want = np.log(np.exp(x).sum(axis=1))
            run.check("log sum", log_sum, want, None)
            wanted = want - np.where(label < classes, x[np.arange(rows), label % classes], np.nan)
            run.check("losses", losses, wanted, None)
            loss = run.empty(1)
            run.launch("softmax_mean_kernel", 1, 256, losses, i64(rows - 1), loss)
            run.check("loss", loss, wanted[:-1].mean())
            dloss, scale = run.tensor([0.7])
            dx = run.empty(rows, classes, kind=dtype)
            run.launch(
                f"softmax_backward_kernel{name}", rows, threads, a, labels, log_sum, dloss, i64(rows), i64(classes), dx
            )
            one_hot = np.where(label[:, None] < classes, np.arange(classes) == label[:, None], np.nan)
            run.check("dx", dx, (np.exp(x - want[:, None]) - one_hot) * scale / rows, dtype)


def plan_walk(rows, channels, width, blocks):
    """(Walk, grid) as plan_walk() in rows.h makes them for a GPU that wants `blocks` blocks at most."""
    vectors = channels // width
    slices = blocks_for(vectors, 32)
    slice_ = blocks_for(vectors, slices)
    lines = 256 // slice_
    step = lines * 4
    each = blocks_for(rows, max(1, blocks // slices))
    rows_per_block = blocks_for(each, step) * step
    walk = (i64(rows), i64(rows_per_block), i32(channels), i32(slice_), i32(lines))
    return walk, (blocks_for(rows, rows_per_block), slices)


def layernorm_sums(run, dtype, width, rows, channels, buffers, want):
    g, s, mean, rstd = buffers
    walk, grid = plan_walk(rows, channels, width, 2)
    partial = run.empty(grid[0], 2, channels, kind=np.float64)
    run.launch(f"layernorm_backward_sums_kernel<{width}, {dtype.name}>", grid, 256, walk, g, s, mean, rstd, partial)
    dgamma, dbeta = run.empty(channels), run.empty(channels)
    run.launch(
        "layernorm_add_gradients_kernel",
        blocks_for(channels, 8),
        256,
        partial,
        i64(grid[0]),
        i32(channels),
        dgamma,
        dbeta,
    )
    run.check("dgamma", dgamma, want[0])
    run.check("dbeta", dbeta, want[1])


@case
def case_layernorm(run):
    run.source, eps = "layernorm", np.float32(1e-5)
    for dtype in FLOATS:
        for width in (dtype.width, 1):
            for threads, rows, channels in ((32, 9, 48), (256, 3, 1040)):
                for with_residual in (True, False):
                    layernorm_of(run, dtype, width, threads, rows, channels, eps, with_residual)


def layernorm_of(run, dtype, width, threads, rows, channels, eps, with_residual):
    a, x = run.tensor(run.normal(rows, channels), dtype)
    r, residual = run.tensor(run.normal(rows, channels) if with_residual else np.zeros((rows, channels)), dtype)
    (gamma, g), (beta, b) = run.tensor(run.normal(channels)), run.tensor(run.normal(channels))
    kept, y = run.empty(rows, channels, kind=dtype) if with_residual else a, run.empty(rows, channels, kind=dtype)
    mean, rstd = run.empty(rows), run.empty(rows)
    block = 128 if threads == 32 else 256
    grid = blocks_for(rows, block // threads)
    name = f"<{width}, {threads}, {dtype.name}>"
    run.launch(
        f"layernorm_forward_kernel{name}",
        grid,
        block,
        a,
        r if with_residual else None,
        gamma,
        beta,
        f32(eps),
        i64(rows),
        i64(channels),
        kept,
        y,
        mean,
        rstd,
    )
    s = dtype.round(np.float32(x) + np.float32(residual))
    centre = s.mean(axis=1, keepdims=True)
    deviation = 1 / np.sqrt(s.var(axis=1, keepdims=True) + eps)
    xhat = (s - centre) * deviation
    run.check("mean", mean, centre)
    run.check("rstd", rstd, deviation)
    run.check("y", y, xhat * g + b, dtype)
    (d, dy), (e, ds) = run.tensor(run.normal(rows, channels), dtype), run.tensor(run.normal(rows, channels), dtype)
    dx = run.empty(rows, channels, kind=dtype)
    run.launch(
        f"layernorm_backward_data_kernel{name}",
        grid,
        block,
        d,
        e if with_residual else None,
        kept,
        gamma,
        mean,
        rstd,
        i64(rows),
        i64(channels),
        dx,
    )
    turned = dy * g
    want = deviation * (
        turned - turned.mean(axis=1, keepdims=True) - xhat * (turned * xhat).mean(axis=1, keepdims=True)
    )
    run.check("dx", dx, want + (ds if with_residual else 0), dtype)


@case
def case_layernorm_sums(run):
    run.source, (rows, channels) = "layernorm", (390, 48)
    for dtype in FLOATS:
        for width in (dtype.width, 1):
            (g, dy), (kept, s) = (run.tensor(run.normal(rows, channels), dtype) for _ in range(2))
            (mean, m), (rstd, r) = run.tensor(run.normal(rows)), run.tensor(np.abs(run.normal(rows)) + 0.5)
            xhat = (s - m[:, None]) * r[:, None]
            sums = (dy * xhat).sum(axis=0), dy.sum(axis=0)
            layernorm_sums(run, dtype, width, rows, channels, (g, kept, mean, rstd), sums)


@case
def case_batchnorm_statistics(run):
    run.source, (rows, channels, eps, momentum) = "batchnorm", (531, 24, 1e-5, 0.1)
    for dtype in FLOATS:
        for width in (dtype.width, 1):
            a, x = run.tensor(run.normal(rows, channels) + 2, dtype)
            walk, grid = plan_walk(rows, channels, width, 3)
            partial, sums = run.empty(grid[0], 2, channels, kind=np.float64), run.empty(3, channels, kind=np.float64)
            run.launch(f"batchnorm_sums_kernel<{width}, {dtype.name}>", grid, 256, walk, a, partial)
            run.launch(
                f"batchnorm_add_sums_kernel<{dtype.name}>", 3, 256, a, partial, i64(grid[0]), i32(channels), sums
            )
            d = x - x[0]
            run.check("sums", sums, np.stack([x[0], d.sum(axis=0), (d * d).sum(axis=0)]), None)
    parts = np.stack([sums.array()] * 2)
    parts[1, 0] += 0.5
    both = run.empty(3, channels, kind=np.float64)
    run.launch("batchnorm_merge_kernel", 1, 256, run.device.buffer(parts), i32(2), f64(rows), i32(channels), both)
    all_d = np.concatenate([x, x + 0.5]) - x[0]
    run.check("merged", both, np.stack([x[0], all_d.sum(axis=0), (all_d**2).sum(axis=0)]), None)
    (m, old_mean), (v, old_var) = run.tensor(run.normal(channels)), run.tensor(np.abs(run.normal(channels)))
    mean, rstd = run.empty(channels), run.empty(channels)
    run.launch(
        "batchnorm_finalize_kernel", 1, 256, sums, f64(rows), f64(eps), f64(momentum), i32(channels), mean, rstd, m, v
    )
    run.check("mean", mean, x.mean(axis=0))
    run.check("rstd", rstd, 1 / np.sqrt(x.var(axis=0) + eps))
    run.check("running mean", m, old_mean + momentum * (x.mean(axis=0) - old_mean))
    run.check("running var", v, old_var + momentum * (x.var(axis=0, ddof=1) - old_var))
    (m, old_mean), (v, old_var) = run.tensor(run.normal(channels)), run.tensor(np.abs(run.normal(channels)))
    run.launch("batchnorm_from_running_kernel", 1, 256, m, v, f64(eps), i32(channels), mean, rstd)
    run.check("mean", mean, old_mean)
    run.check("rstd", rstd, 1 / np.sqrt(old_var + eps))


@case
def case_batchnorm(run):
    run.source = "batchnorm"
    for dtype in FLOATS:
        for width in (dtype.width, 1):
            batchnorm_of(run, dtype, width, 380, 24)  # four rows a thread at once, and single ones


def batchnorm_of(run, dtype, width, rows, channels):
    a, x = run.tensor(run.normal(rows, channels), dtype)
    r, residual = run.tensor(run.normal(rows, channels), dtype)
    (mean, m), (rstd, s) = run.tensor(run.normal(channels)), run.tensor(np.abs(run.normal(channels)) + 0.5)
    (gamma, g), (beta, b) = run.tensor(run.normal(channels)), run.tensor(run.normal(channels))
    parameters = (mean, rstd, gamma, beta)
    walk, grid = plan_walk(rows, channels, width, 2)
    affine = (x - m) * g * s + b
    for with_residual in (True, False):
        for rectified in (True, False):
            y = run.empty(rows, channels, kind=dtype)
            name = f"<{width}, {str(with_residual).lower()}, {dtype.name}>"
            run.launch(
                f"batchnorm_apply_kernel{name}",
                grid,
                256,
                walk,
                parameters,
                a,
                r if with_residual else None,
                boolean(rectified),
                y,
            )
            want = affine + residual if with_residual else affine
            run.check("y", y, np.maximum(want, 0) if rectified else want, dtype)
    kept, signs = run.tensor(np.maximum(affine, 0), dtype)
    d, dy = run.tensor(run.normal(rows, channels), dtype)
    for mask, gradient in ((0, dy), (1, np.where(signs > 0, dy, 0)), (2, np.where(affine > 0, dy, 0))):
        name = f"<{width}, (Mask){mask}, {dtype.name}>"
        saved = (a, kept if mask == 1 else None)
        partial, masked = run.empty(grid[0], 2, channels, kind=np.float64), run.empty(rows, channels, kind=dtype)
        run.launch(f"batchnorm_backward_sums_kernel{name}", grid, 256, walk, parameters, d, saved, masked, partial)
        run.check("masked", masked, gradient, dtype)
        dgamma, dbeta = run.empty(channels), run.empty(channels)
        run.launch("batchnorm_add_gradients_kernel", 3, 256, partial, i64(grid[0]), i32(channels), rstd, dgamma, dbeta)
        sums = ((gradient * (x - m) * s).sum(axis=0), gradient.sum(axis=0))
        run.check("dgamma", dgamma, sums[0])
        run.check("dbeta", dbeta, sums[1])
        for training in (True, False):
            dx = run.empty(rows, channels, kind=dtype)
            run.launch(
                f"batchnorm_backward_data_kernel{name}",
                grid,
                256,
                walk,
                parameters,
                d,
                saved,
                dgamma if training else None,
                dbeta if training else None,
                f32(rows),
                dx,
            )
            line = sums[1] / rows + (x - m) * s * sums[0] / rows if training else 0
            run.check("dx", dx, g * s * (gradient - line), dtype)
