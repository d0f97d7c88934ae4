"""What goes on while threads do: cp.async, bulk copies with mbarriers, products of warpgroups (PTX ISA manual,
"cp.async", "cp.async.bulk", "mbarrier", "Asynchronous Warpgroup Level Matrix Instructions").

Here copies land as late as the manual allows, and what they will overwrite is NaN until then: a thread's cp.async when
it waits for its group, a bulk copy when no thread can go on without it. Products are taken at the wait for their group,
of what shared memory holds then. So a wait that is missing, or too short, changes the result.
"""

from dataclasses import dataclass

import numpy as np
from arithmetic import from_bf16
from matrices import A_COLUMN, A_ROW, C_COLUMN, C_ROW, unpack
from parser import PtxError


@dataclass
class Barrier:
    arrivals: int
    pending: int
    bytes: int = 0
    phase: int = 0

    def settle(self):
        if self.pending < 0:
            raise PtxError("more arrivals at an mbarrier than it was made for")
        if self.pending == 0 and self.bytes == 0:
            self.phase, self.pending = self.phase + 1, self.arrivals


@dataclass
class Copy:
    """cp.async of several threads: 16 bytes each."""

    threads: np.ndarray
    group: np.ndarray
    to: np.ndarray
    data: np.ndarray


@dataclass
class BulkCopy:
    to: int
    data: np.ndarray
    barrier: int


@dataclass
class Product:
    """Of one warpgroup: d (slots of registers) = a b, plus d where `accumulate`."""

    d: tuple
    a: object  # a descriptor or [4 words][128]
    b: int
    accumulate: bool
    transposed: bool


class Asynchronous:
    """Mixed into Machine."""

    def start_asynchronous(self):
        self.copies, self.bulk, self.barriers = [], [], {}
        self.committed = np.zeros(self.T, np.int64)
        self.open, self.groups = {}, {}  # products, by warpgroup

    def end_asynchronous(self):
        if self.bulk or any(self.open.values()) or any(self.groups.values()):
            raise PtxError(f"{self.kernel.name} ends before its copies or products do")
        if any(barrier.bytes for barrier in self.barriers.values()):
            raise PtxError(f"{self.kernel.name}: more bytes were copied than announced at an mbarrier")

    def lanes(self, mask):
        return np.arange(self.T) if mask is None else np.nonzero(mask)[0]

    # cp.async

    def copy_async(self, to, to_offset, source, offset, mask):
        lanes = self.lanes(mask)
        at = self.place("shared", to, to_offset, 16, 16, lanes)
        start = self.place("global", source, offset, 16, 16, lanes)
        data = self.views[8][(start // 8)[:, None] + np.arange(2)]
        self.views[8][(at // 8)[:, None] + np.arange(2)] = np.uint64(0xFFFFFFFFFFFFFFFF)
        self.copies.append(Copy(lanes, self.committed[lanes].copy(), at, data))

    def commit_copies(self, mask):
        self.committed[self.lanes(mask)] += 1

    def wait_copies(self, left, mask):
        """Of the threads that are here, all groups but the last `left` have landed."""
        here = self.all if mask is None else mask
        kept = []
        for copy in self.copies:
            done = here[copy.threads] & (copy.group < self.committed[copy.threads] - left)
            if done.any():
                self.views[8][(copy.to[done] // 8)[:, None] + np.arange(2)] = copy.data[done]
            if not done.all():
                rest = ~done
                kept.append(Copy(copy.threads[rest], copy.group[rest], copy.to[rest], copy.data[rest]))
        self.copies = kept

    # mbarrier

    def barrier_places(self, address, offset, mask):
        lanes = self.lanes(mask)
        return self.place("shared", address, offset, 8, 8, lanes), lanes

    def barrier_of(self, place):
        if place not in self.barriers:
            raise PtxError(f"no mbarrier was made there: {self.where()}")
        return self.barriers[place]

    def barrier_init(self, address, offset, count, mask):
        places, lanes = self.barrier_places(address, offset, mask)
        for place, arrivals in zip(places.tolist(), count[lanes].tolist()):
            self.barriers[place] = Barrier(arrivals, arrivals)

    def barrier_arrive(self, address, offset, count, mask):
        places, lanes = self.barrier_places(address, offset, mask)
        for place, expected in zip(places.tolist(), count[lanes].tolist()):
            barrier = self.barrier_of(place)
            barrier.bytes += expected
            barrier.pending -= 1
            barrier.settle()

    def phase_ready(self, segment, mask):
        wait = segment.wait
        places, lanes = self.barrier_places(self.R[wait[0]].astype(np.uint64), wait[1], mask)
        parity = self.R[wait[2]][lanes]
        done = np.zeros(len(lanes), np.bool_)
        for place in set(places.tolist()):
            done |= (places == place) & (self.barrier_of(place).phase % 2 != parity)
        if not done.any():
            return None
        if done.all():
            return mask
        ready = np.zeros(self.T, np.bool_)
        ready[lanes[done]] = True
        return ready

    # cp.async.bulk

    def copy_bulk(self, to, source, size, barrier, mask):
        lanes = self.lanes(mask)
        for lane in lanes.tolist():
            one, count = np.array([lane]), int(size[lane])
            if count % 16 or count == 0:
                raise PtxError(f"a bulk copy of {count} bytes: {self.where()}")
            at = int(self.place("shared", to, 0, count, 16, one)[0])
            start = int(self.place("global", source, 0, count, 16, one)[0])
            place = int(self.place("shared", barrier, 0, 8, 8, one)[0])
            self.barrier_of(place)
            self.bulk.append(BulkCopy(at, self.flat[start : start + count].copy(), place))
            self.flat[at : at + count] = 0xFF

    def land_copies(self):
        """The newest bulk copy of each block, for they need not land in order; whether there was one."""
        landed, kept = set(), []
        for copy in reversed(self.bulk):
            block = int(np.searchsorted(self.shared_base[:: self.block], copy.to, side="right"))
            if block in landed:
                kept.append(copy)
                continue
            landed.add(block)
            self.flat[copy.to : copy.to + len(copy.data)] = copy.data
            barrier = self.barrier_of(copy.barrier)
            barrier.bytes -= len(copy.data)
            barrier.settle()
        self.bulk = kept[::-1]
        return bool(landed)

    # wgmma

    def warpgroups(self, mask):
        return range(self.T // 128) if mask is None else np.nonzero(mask.reshape(-1, 128)[:, 0])[0].tolist()

    def start_product(self, d, a, b, accumulate, transposed, mask):
        for g in self.warpgroups(mask):
            own = slice(128 * g, 128 * g + 128)
            left = [word[own].copy() for word in a] if isinstance(a, tuple) else self.uniform(a[own])
            self.open.setdefault(g, []).append(
                Product(d, left, self.uniform(b[own]), bool(self.uniform(accumulate[own])), transposed)
            )

    def uniform(self, values):
        if (values != values[0]).any():
            raise PtxError(f"an operand is not the same in all of a warpgroup: {self.where()}")
        return int(values[0])

    def commit_products(self, mask):
        for g in self.warpgroups(mask):
            self.groups.setdefault(g, []).append(self.open.pop(g, []))

    def wait_products(self, left, mask):
        for g in self.warpgroups(mask):
            groups = self.groups.get(g, [])
            while len(groups) > left:
                for product in groups.pop(0):
                    self.finish_product(g, product)

    def finish_product(self, g, product):
        columns = 2 * len(product.d)
        b = self.described(g, product.b, columns, product.transposed)
        if isinstance(product.a, int):
            a = self.described(g, product.a, 64, False)
        else:
            a = np.zeros((4, 16, 16))
            a[:, A_ROW, A_COLUMN] = np.stack(unpack([word.reshape(4, 32) for word in product.a]), axis=1)
            a = a.reshape(64, 16)
        sums = (a @ b.T).reshape(4, 16, columns)
        for k, slot in enumerate(product.d):
            own = sums[:, C_ROW[k % 4], C_COLUMN[k % 4] + k // 4 * 8].reshape(-1)
            place = slice(128 * g, 128 * g + 128)
            value = self.R[slot].copy()
            value[place] = own + value[place] if product.accumulate else own
            self.R[slot] = value

    def described(self, g, bits, rows, transposed):
        """[rows,16] that a descriptor with the swizzle of 128 bytes names ("Shared Memory Matrix Layout")."""
        start, leading, stride = ((bits >> shift & 0x3FFF) << 4 for shift in (0, 16, 32))
        if bits >> 62 != 1 or bits >> 49 & 7:
            raise PtxError(f"a descriptor without the swizzle of 128 bytes: {self.where()}")
        r, k = np.arange(rows)[:, None], np.arange(16)[None, :]
        if transposed:
            at = start + r % 64 * 2 + r // 64 * leading + k % 8 * 128 + k // 8 * stride
        else:
            at = start + r % 8 * 128 + r // 8 * stride + k * 2
        at = at ^ (at >> 7 & 7) << 4
        thread = np.full(1, 128 * g)
        self.place("shared", np.full(self.T, at.min(), np.uint64), 0, int(at.max() - at.min()) + 2, 2, thread)
        return from_bf16(self.views[2][(at + self.shared_base[128 * g]) // 2]).astype(np.float64)
