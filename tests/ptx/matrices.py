"""Tensor cores of a warp: ldmatrix and mma.sync.m16n8k16 (PTX ISA manual, "Warp level matrix instructions").

Sums are taken in f64 and rounded once to f32.
"""

import numpy as np
from arithmetic import from_bf16

LANE = np.arange(32)
GROUP, PART = LANE // 4, LANE % 4  # "groupID" and "threadID_in_group"

# Row and column of each lane's values: a0..a7, b0..b3, c0..c3 of the manual's figures, as [value, lane].
A_ROW = np.array([GROUP + 8 * (i % 4 >= 2) for i in range(8)])
A_COLUMN = np.array([2 * PART + i % 2 + 8 * (i >= 4) for i in range(8)])
B_ROW = np.array([2 * PART + i % 2 + 8 * (i >= 2) for i in range(4)])
B_COLUMN = np.array([GROUP for i in range(4)])
C_ROW = np.array([GROUP + 8 * (i >= 2) for i in range(4)])
C_COLUMN = np.array([2 * PART + i % 2 for i in range(4)])


def unpack(words):
    """[count][W,32] words as [2 count, W, 32] doubles, the lower half first."""
    both = [half for word in words for half in (word & np.uint32(0xFFFF), word >> np.uint32(16))]
    return [from_bf16(half.astype(np.uint16)).astype(np.float64) for half in both]


class Matrices:
    """Mixed into Machine."""

    def warps_here(self, mask):
        return slice(None) if mask is None else mask.reshape(-1, 32)[:, 0]

    def spread(self, value, warps, dtype):
        """[some warps, 32] as an array of all threads."""
        if isinstance(warps, slice):
            return np.ascontiguousarray(value).astype(dtype).reshape(-1)
        result = np.zeros((self.warps, 32), dtype)
        result[warps] = value
        return result.reshape(-1)

    def load_matrices(self, address, offset, count, transposed, mask):
        """Lanes 8 m .. 8 m + 7 have the rows' addresses of matrix m; a lane gets two values of each."""
        lanes = np.arange(self.T) if mask is None else np.nonzero(mask)[0]
        lanes = lanes[lanes % 32 < 8 * count]
        at = self.place("shared", address, offset, 16, 16, lanes).reshape(-1, count, 8)
        rows = self.views[2][at[..., None] // 2 + np.arange(8)]  # [warp, matrix, row, column]
        if transposed:
            rows = rows.swapaxes(2, 3)
        warps = self.warps_here(mask)
        values = []
        for m in range(count):
            low = rows[:, m, GROUP, 2 * PART].astype(np.uint32)
            high = rows[:, m, GROUP, 2 * PART + 1].astype(np.uint32)
            values.append(self.spread(low | high << np.uint32(16), warps, np.uint32))
        return values

    def multiply(self, a, b, c, mask):
        warps = self.warps_here(mask)
        a, b, c = ([word.reshape(-1, 32)[warps] for word in words] for words in (a, b, c))
        count = len(a[0])
        left, right = np.zeros((count, 16, 16)), np.zeros((count, 16, 8))
        left[:, A_ROW, A_COLUMN] = np.stack(unpack(a), axis=1)
        right[:, B_ROW, B_COLUMN] = np.stack(unpack(b), axis=1)
        product = left @ right
        return [
            self.spread((product[:, C_ROW[i], C_COLUMN[i]] + c[i]).astype(np.float32), warps, np.float32)
            for i in range(4)
        ]
