"""Global, shared and local memory of a launch in one array of bytes.

Global addresses are places in it. Shared and local addresses are offsets in a block's or thread's own part; as generic
addresses they lie in windows. An access must be aligned to its size and lie within what was allocated.
"""

import numpy as np
from parser import PtxError

GUARD = 256
START = 256  # shared memory's first address; not a multiple of 1024, which a launch does not promise


class Memory:
    window_shared = np.uint64(1 << 40)
    window_local = np.uint64(1 << 41)

    def __init__(self):
        self.bytes = np.full(1 << 16, 0xFF, np.uint8)
        self.allowed = np.zeros(1 << 16, np.bool_)
        self.used = GUARD

    def allocate(self, array):
        """The address of a copy of the array, aligned to 256 bytes, between guard zones."""
        address, size = self.used, array.nbytes
        self.used = -(-(address + size + GUARD) // 256) * 256
        if self.used > len(self.bytes):
            more = max(len(self.bytes), self.used)
            self.bytes = np.concatenate([self.bytes, np.full(more, 0xFF, np.uint8)])
            self.allowed = np.concatenate([self.allowed, np.zeros(more, np.bool_)])
        self.bytes[address : address + size] = np.frombuffer(array.tobytes(), np.uint8)
        self.allowed[address : address + size] = True
        return address

    def mark(self):
        """What is allocated from here on, release() frees."""
        self.kept = self.used

    def release(self):
        self.allowed[self.kept : self.used] = False
        self.used = self.kept

    def read(self, address, size):
        return self.bytes[address : address + size]


class Spaces:
    """A launch's view of memory: mixed into Machine, which has T threads of blocks of `block` threads."""

    def lay_out(self, memory, shared_size, local_size):
        """Behind the global part: each block's shared memory, then each thread's local memory, all NaN."""
        blocks, base = self.T // self.block, -(-memory.used // 1024) * 1024
        self.memory, self.shared_size, self.local_size = memory, shared_size, local_size
        each = -(-(START + shared_size) // 1024) * 1024
        local_each = -(-local_size // 16) * 16
        total = base + blocks * each + self.T * local_each + 64
        self.flat = np.full(-(-total // 64) * 64, 0xFF, np.uint8)
        self.flat[: memory.used] = memory.bytes[: memory.used]
        self.global_end = memory.used
        thread = np.arange(self.T, dtype=np.int64)
        self.shared_base = base + thread // self.block * each
        self.local_base = base + blocks * each + thread * local_each
        self.views = {size: self.flat.view(f"u{size}") for size in (1, 2, 4, 8)}
        self.window_shared, self.window_local = memory.window_shared, memory.window_local

    def give_back(self):
        self.memory.bytes[: self.global_end] = self.flat[: self.global_end]

    def place(self, space, address, offset, size, align, lanes):
        """Where in `flat` the lanes' addresses are; refuses what no kernel may do."""
        at = (address if lanes is None else address[lanes]).astype(np.int64) + offset
        if len(at) == 0:
            return at
        if (at % align).any():
            raise PtxError(f"an address of {space} memory is not aligned to {align} bytes: {self.where()}")
        if space == "generic":
            return self.place_generic(at, size, lanes)
        if space in ("global", "const"):
            self.check_global(at, size)
            return at
        low, high = (START, START + self.shared_size) if space == "shared" else (0, self.local_size)
        if at.min() < low or at.max() + size > high:
            raise PtxError(f"{space} memory of {high - low} bytes, address {at.max() - low}: {self.where()}")
        base = self.shared_base if space == "shared" else self.local_base
        return at + (base if lanes is None else base[lanes])

    def check_global(self, at, size):
        if at.min() < 0 or at.max() + size > self.global_end:
            raise PtxError(f"an address of no memory: {self.where()}")
        if not (self.memory.allowed[at] & self.memory.allowed[at + size - 1]).all():
            raise PtxError(f"global memory out of bounds: {self.where()}")

    def place_generic(self, at, size, lanes):
        shared, local = int(self.window_shared), int(self.window_local)
        in_shared, in_local = (at >= shared) & (at < local), at >= local
        in_global = ~(in_shared | in_local)
        if in_global.any():
            self.check_global(at[in_global], size)
        base = self.shared_base if lanes is None else self.shared_base[lanes]
        depot = self.local_base if lanes is None else self.local_base[lanes]
        inside = ((at - shared >= START) & (at - shared + size <= START + self.shared_size)) | ~in_shared
        inside &= ((at - local) + size <= self.local_size) | ~in_local
        if not inside.all():
            raise PtxError(f"out of a window of memory: {self.where()}")
        return np.where(in_global, at, np.where(in_shared, at - shared + base, at - local + depot))

    def load(self, space, address, offset, kind, count, mask):
        """`count` arrays of a type; threads that are not here get 0."""
        lanes = None if mask is None else np.nonzero(mask)[0]
        size = np.dtype(kind).itemsize
        at = self.place(space, address, offset, size * count, size * count, lanes)
        view, index = self.views[size], at // size
        values = []
        for k in range(count):
            value = view[index + k].view(kind)
            if lanes is not None:
                all_lanes = np.zeros(self.T, kind)
                all_lanes[lanes] = value
                value = all_lanes
            values.append(value)
        return values

    def store(self, space, address, offset, kind, values, mask):
        lanes = None if mask is None else np.nonzero(mask)[0]
        size = np.dtype(kind).itemsize
        at = self.place(space, address, offset, size * len(values), size * len(values), lanes)
        view, index = self.views[size], at // size
        for k, value in enumerate(values):
            view[index + k] = (value if lanes is None else value[lanes]).view(f"u{size}")

    def increment(self, address, offset, bound, mask):
        """atom.inc: 0 behind the bound. A thread at a time; gives what was there."""
        lanes = np.arange(self.T) if mask is None else np.nonzero(mask)[0]
        at = self.place("global", address, offset, 4, 4, lanes)
        old = np.zeros(self.T, np.uint32)
        view = self.views[4]
        for lane, index in zip(lanes.tolist(), (at // 4).tolist()):
            old[lane] = view[index]
            view[index] = 0 if old[lane] >= bound[lane] else old[lane] + 1
        return old
