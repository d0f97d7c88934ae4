"""embedding.cu."""

import numpy as np
from case import FLOATS, blocks_for, case
from cases_pointwise import map_over
from launch import i64

SEQUENCES, STEPS, ENTRIES = 3, 401, 5
LENGTHS = np.array([401, 390, 500])  # the last is impossible


def ids_of(run):
    ids = run.random.integers(0, ENTRIES, (SEQUENCES, STEPS))
    ids[0, :300] = 3  # whole chunks of one id
    ids[1, 7], ids[1, 8] = -4, ENTRIES
    own = np.arange(STEPS)[None] < LENGTHS[:, None]
    known = (ids >= 0) & (ids < ENTRIES) & (LENGTHS <= STEPS)[:, None]
    argument = (run.buffer(ids, np.int32), run.buffer(LENGTHS, np.int32), i64(STEPS), i64(ENTRIES))
    return argument, ids, own, known


@case
def case_embedding_forward(run):
    run.source = "embedding"
    argument, ids, own, known = ids_of(run)
    for dtype in FLOATS:
        width = dtype.width
        t, table = run.tensor(run.normal(ENTRIES, width))

        def functor():
            y = run.empty(SEQUENCES, STEPS, width, kind=dtype)
            want = np.where(own[..., None], np.where(known[..., None], table[np.where(known, ids, 0)], np.nan), 0)
            want[LENGTHS > STEPS] = np.nan
            return (t, y, argument, i64(width)), lambda: run.check("y", y, want, dtype)

        map_over(run, [f"Forward<{dtype.name}>"], dtype, SEQUENCES * STEPS * width, functor)


@case
def case_embedding_backward(run):
    run.source = "embedding"
    argument, ids, own, known = ids_of(run)
    places = SEQUENCES * STEPS
    keys = [run.empty(places, kind=np.uint64) for _ in range(2)]
    run.launch("embedding_sort_kernel", blocks_for(places, 512), 256, argument, i64(places), keys[0])
    size = 512
    while size < places:
        run.launch("embedding_merge_kernel", blocks_for(places, 256), 256, keys[0], i64(places), i64(size), keys[1])
        keys, size = keys[::-1], size * 2
    entry = np.where(own & known, ids, ENTRIES).reshape(-1)
    order = np.argsort(entry, kind="stable")
    run.compare("keys", keys[0].array().astype(np.float64), entry[order] * 2.0**32 + order, tolerance=0)
    first = run.empty(ENTRIES + 1, kind=np.int32)
    run.launch("embedding_first_kernel", 1, 256, keys[0], i64(places), i64(ENTRIES), first)
    run.check("first", first, np.searchsorted(entry[order], np.arange(ENTRIES + 1)), None, tolerance=0)
    for dtype in FLOATS:
        for vector in (dtype.width, 1):
            width = 2 * dtype.width
            g, dy = run.tensor(run.normal(places, width), dtype)
            chunks, grid_y = places // 128, blocks_for(width, 32 * vector)
            partial, dtable = run.empty(chunks, width, kind=np.float64), run.empty(ENTRIES, width)
            rows, name = (g, keys[0], i64(width)), f"<{vector}, {dtype.name}>"
            run.launch(
                f"embedding_chunk_kernel{name}", (blocks_for(chunks, 8), grid_y), 256, rows, i64(chunks), partial
            )
            run.launch(f"embedding_sum_kernel{name}", (1, grid_y), 256, rows, first, i64(ENTRIES), partial, dtable)
            want = np.stack([dy[entry == v].sum(axis=0) for v in range(ENTRIES)])
            run.check("dtable", dtable, want)
