"""similarity.cu."""

import numpy as np
from case import BF16, F32, FLOATS, blocks_for, case
from cases_nt_xent import SIMT_STAGE, Side
from launch import f32, f64, i32


@case
def case_similarity(run):
    run.source, temperature = "similarity", 0.25
    scale = np.float32(1 / temperature)
    for dtype in FLOATS:
        for width, columns in ((29, 70), (75, 81)):
            rows, depth = 137, (width + 63) // 64 * 64 if dtype is BF16 else (width + 31) // 32 * 32
            a, b = Side(run, dtype, rows, width), Side(run, dtype, columns, width)
            for side in (a, b):
                side.unit_rows(run, depth, 1.0, dtype)
            if dtype is F32:
                a.unit_rows(run, depth, 1.0, BF16)  # compiled, though no path asks for it
                a.unit_rows(run, depth, 1.0, F32)
            s = run.empty(rows, columns)
            kernel, height = ("similarity_kernel", 128) if dtype is BF16 else ("similarity_f32_kernel", 64)
            shared = 2 * (128 + 64) * 72 * 2 if dtype is BF16 else 2 * SIMT_STAGE * 4
            run.launch(
                kernel,
                (blocks_for(columns, 64), blocks_for(rows, height)),
                128,
                a.u,
                b.u,
                i32(depth),
                i32(rows),
                i32(columns),
                f32(scale),
                s,
                shared=shared,
            )
            run.check("s", s, (a.u_value @ b.u_value.T)[:rows, :columns] * scale)
            gradients(run, dtype, a, b, temperature)


def gradients(run, dtype, a, b, temperature):
    rows, columns, width = a.rows, b.rows, a.width
    depth = (width + 31) // 32 * 32
    for side in (a, b):
        side.unit_rows(run, depth, 1.0, F32)
    g, ds = run.tensor(run.normal(rows, columns))
    parts = 1 if depth <= 64 else 2
    for own, other, transposed in ((a, b, False), (b, a, True)):
        du = run.empty(blocks_for(own.rows, 64) * 64, depth)
        run.launch(
            f"similarity_gradient_kernel<{parts}, {str(transposed).lower()}>",
            (blocks_for(own.rows, 64), blocks_for(depth, 64 * parts)),
            128,
            g,
            other.u,
            i32(depth),
            i32(own.rows),
            i32(other.rows),
            du,
            shared=64 * (68 + 64 * parts + 4) * 4,
        )
        weights = ds.T if transposed else ds
        run.compare("du", du.array()[: own.rows], weights @ other.u_value[: other.rows])
        dz = run.empty(own.rows, width, kind=dtype)
        run.launch(
            f"similarity_rows_kernel<{dtype.name}>",
            blocks_for(own.rows, 4),
            128,
            du,
            own.z,
            own.norm,
            i32(own.rows),
            i32(width),
            i32(depth),
            f64(1 / temperature),
            dz,
        )
        back = du.array()[: own.rows, :width].astype(np.float64)
        dot = (back * own.unit).sum(axis=1, keepdims=True)
        length = np.where(own.length == 0, 1, own.length)[:, None]
        want = np.where(own.length[:, None] == 0, 0, (back - dot * own.unit) / length / temperature)
        run.check("dz", dz, want, dtype)
