"""logmel.cu: against the discrete Fourier transform of each mirrored, windowed frame."""

import numpy as np
from case import case
from launch import f32, i32, i64


def basis_of(window, fft, first_bin, bins, padded_bins, padded_pairs):
    """The table that the host gives the kernel: w_d cos and w_d sin, for pairs around a frame's middle."""
    table = np.zeros((2, padded_bins, padded_pairs))
    j = np.arange(window // 2)
    d = j + 0.5 * (window % 2)
    weight = (0.5 + 0.5 * np.cos(2 * np.pi * d / window)) * np.where(d == 0, 0.5, 1)
    turn = 2 * np.pi * (first_bin + np.arange(bins))[:, None] * d / fft
    table[0, :bins, : window // 2], table[1, :bins, : window // 2] = weight * np.cos(turn), weight * np.sin(turn)
    return table


def powers_of(wave, own, frames, hop, window, fft):
    """|transform|^2 of all bins of frames [frames,bins], by the definition."""
    result = np.zeros((frames, fft // 2 + 1))
    if own == 0:
        return result
    period = max(2 * (own - 1), 1)
    for t in range(1 + own // hop):
        place = t * hop - (window + 1) // 2 + np.arange(window)
        rest = place % period
        mirrored = np.where(own == 1, 0, np.where(rest < own, rest, period - rest))
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        angle = -2j * np.pi * np.arange(fft // 2 + 1)[:, None] * np.arange(window) / fft
        result[t] = np.abs((np.exp(angle) * hann * wave[mirrored]).sum(axis=1)) ** 2
    return result


@case
def case_logmel(run):
    run.source = "logmel"
    for window, lengths in ((70, (150, 0, 40)), (81, None)):
        logmel(run, window, lengths)


def logmel(run, window, lengths):
    sequences, size, hop, fft, first_bin, bins, mels = 3, 150, 20, 144, 2, 66, 5
    frames, pairs = 1 + size // hop, (window // 2 + 31) // 32 * 32
    w, wave = run.tensor(run.normal(sequences, size))
    begin, count = np.array([2, 5, 20, 40, 66]), np.array([5, 20, 30, 28, 2])
    offset = np.concatenate([[0], np.cumsum(count)[:-1]])
    bank, weight = run.tensor(np.abs(run.normal(int(count.sum()))) + 0.1)
    bands = run.buffer(np.stack([begin, count, offset], axis=1), np.int32)
    table, _ = run.tensor(basis_of(window, fft, first_bin, bins, 128, pairs))
    floor = 0.05
    y, counts = run.empty(sequences, frames, mels), run.empty(sequences, kind=np.int32)
    own = None if lengths is None else run.buffer(lengths, np.int32)
    run.launch(
        "logmel_kernel",
        1,
        256,
        (w, own, i64(size), i64(frames), i64(sequences * frames), i64(hop), i32(window // 2), i32(window % 2)),
        (table, bank, bands, i32(first_bin), i32(bins), i32(128), i32(pairs), i32(mels), f32(floor)),
        y,
        counts,
        shared=(4 * 64 * 36 + mels * 65) * 4,
    )
    want = np.zeros((sequences, frames, mels))
    lengths = lengths or (size,) * sequences
    for n in range(sequences):
        power = powers_of(wave[n], lengths[n], frames, hop, window, fft)
        for m in range(mels):
            want[n, :, m] = power[:, begin[m] : begin[m] + count[m]] @ weight[offset[m] : offset[m] + count[m]]
    run.check("frames", counts, [1 + length // hop if length else 0 for length in lengths], None, tolerance=0)
    run.check("log-mel", y, np.log(np.maximum(want, np.float32(floor))))
