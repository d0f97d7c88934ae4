"""Runs a translated kernel: all threads of a launch at once, an instruction at a time.

Threads that are at the same segment go on together, those at the lowest one first; instructions that a warp, a
warpgroup or a block executes together wait until all its threads are there. So nothing is assumed of the order of
warps but what the kernel says. With `random` the order is drawn, and single warps go ahead.
"""

import itertools

import numpy as np
from asynchronous import Asynchronous
from matrices import Matrices
from memory import START, Spaces
from parser import PtxError
from translate import TYPES


class Machine(Spaces, Matrices, Asynchronous):
    types = TYPES

    def __init__(self, translator, grid, block, memory, parameters, dynamic_shared=0, random=None):
        self.translator, self.kernel = translator, translator.kernel
        self.grid, self.block = (*grid, 1, 1)[:3], block
        if block % 32:
            raise PtxError(f"a block of {block} threads")
        self.T = int(np.prod(self.grid)) * block
        self.warps = self.T // 32
        self.parameters, self.random = parameters, random
        memory.mark()
        self.place_variables(dynamic_shared, memory)
        self.parameter_address = memory.allocate(np.frombuffer(parameters, np.uint8))
        self.lay_out(memory, self.shared_bytes, self.local_bytes)
        self.R = [None] * len(translator.slot_type)
        for slot, kind in enumerate(translator.slot_type):
            self.R[slot] = np.zeros(self.T, TYPES[kind])
        for slot, how in translator.fixed.items():
            value = self.fixed_value(how)
            self.R[slot] = np.broadcast_to(np.asarray(value), self.T).astype(TYPES[translator.slot_type[slot]])
        self.all = np.ones(self.T, np.bool_)
        self.alive = self.all.copy()
        self.segment, self.warp_instructions, self.executed = 0, 0, set()
        self.start_asynchronous()

    # What is known at launch.

    def place_variables(self, dynamic_shared, memory):
        self.address, at, local = {}, START, 0
        dynamic = []
        variables = {**self.translator.module.variables, **self.kernel.variables}
        for name, v in variables.items():
            if v.space == "shared" and v.size == 0:
                dynamic.append(name)
            elif v.space == "shared" and self.uses(name):
                at = -(-at // v.align) * v.align
                self.address[name], at = at, at + v.size
            elif v.space == "local":
                local = -(-local // v.align) * v.align
                self.address[name], local = local, local + v.size
            elif v.space in ("global", "const") and self.uses(name):
                self.address[name] = memory.allocate(np.frombuffer(v.data or bytes(v.size), np.uint8))
        if dynamic:
            at = -(-at // 128) * 128
            self.address.update(dict.fromkeys(dynamic, at))
        self.shared_bytes, self.local_bytes = at - START + dynamic_shared, local

    def uses(self, name):
        return any(how[0] == "variable" and how[1] == name for how in self.translator.fixed.values()) or any(
            name in word for i in self.kernel.code for word in i.operands
        )

    def fixed_value(self, how):
        if how[0] == "literal":
            return how[1]
        if how[0] == "parameter":
            return self.parameter_address + how[1]
        if how[0] == "variable":
            return self.address[how[1]] + how[2]
        word, thread = how[1], np.arange(self.T)
        if word.startswith("%laneid"):
            return thread % 32
        if word == "WARP_SZ":
            return 32
        kind, axis = word[1:].split(".")
        axis = "xyz".index(axis)
        block = thread // self.block
        x, y, _ = self.grid
        return {
            "tid": (thread % self.block, 0, 0),
            "ntid": (self.block, 1, 1),
            "nctaid": self.grid,
            "ctaid": (block % x, block // x % y, block // (x * y)),
        }[kind][axis]

    def parameter(self, offset, k, kind):
        dtype = np.dtype(TYPES[kind])
        value = np.frombuffer(self.parameters, dtype, 1, offset + k * dtype.itemsize)
        return np.repeat(value, self.T)

    def where(self):
        segment = self.translator.segments[self.segment]
        return f"{self.kernel.name} near '{segment.code[0].text}' (segment {self.segment})"

    # Scheduling.

    def run(self, most_steps=2_000_000):
        waiting = {0: self.all}
        with np.errstate(all="ignore"):
            for step in itertools.count():
                if not waiting:
                    break
                if step > most_steps:
                    raise PtxError(f"no end after {most_steps} segments: {self.where()}")
                chosen = self.choose(waiting)
                if chosen is None:
                    if self.land_copies():
                        continue
                    where = [self.translator.segments[s].code[0].text for s in waiting]
                    raise PtxError(f"{self.kernel.name}: threads wait for ever at {where}")
                segment, ready = chosen
                mask = waiting.pop(segment)
                if ready is not mask and (rest := mask & ~ready).any():
                    waiting[segment] = rest
                for target, threads in self.execute(segment, ready):
                    if target in waiting:
                        threads = threads | waiting[target]
                    waiting[target] = self.all if threads is not self.all and threads.all() else threads
        self.end_asynchronous()
        self.give_back()
        self.memory.release()
        return self.warp_instructions

    def choose(self, waiting):
        order = sorted(waiting)
        if self.random is not None:
            self.random.shuffle(order)
        for segment in order:
            ready = self.ready(self.translator.segments[segment], waiting[segment])
            if ready is None:
                continue
            if self.random is not None and self.translator.segments[segment].together not in ("block", "warpgroup"):
                ready = self.some_warps(ready)
            return segment, ready
        return None

    def some_warps(self, ready):
        warps = np.nonzero(ready.reshape(-1, 32).any(1))[0]
        kept = np.zeros(self.warps, np.bool_)
        kept[[w for w in warps if self.random.random() < 0.5] or warps[:1]] = True
        return ready & np.repeat(kept, 32)

    def ready(self, segment, mask):
        """Those of the mask that can go on, or None."""
        together = segment.together
        if not together:
            return mask
        if together == "phase":
            return self.phase_ready(segment, mask)
        if mask is self.all and together != "warp":
            return mask
        width = {"block": self.block, "warpgroup": 128}.get(together, 32)
        here = mask.reshape(-1, width)
        wanted = self.alive
        if together in ("whole warp", "warpgroup"):
            wanted = self.all
        elif together == "warp":
            lane = np.arange(self.T, dtype=np.uint32) % 32
            first = here.argmax(axis=1) + np.arange(len(here)) * 32
            members = np.repeat(self.R[segment.members][first], 32)
            if (mask & ((members >> lane) & 1 == 0)).any():
                raise PtxError(f"a lane is not of its own member mask: {self.where()}")
            wanted = self.alive & ((members >> lane) & 1 == 1)
        complete = here.any(axis=1) & ~(wanted.reshape(-1, width) & ~here).any(axis=1)
        if not complete.any():
            return None
        return mask & np.repeat(complete, width)

    def execute(self, number, mask):
        """Runs a segment, and those behind it until something parts the threads; [(segment, threads)] to go on at."""
        segments, full = self.translator.segments, mask is self.all
        active = self.warps if full else int(mask.reshape(-1, 32).any(axis=1).sum())
        while True:
            segment = segments[number]
            self.segment = number
            self.executed.add(number)
            self.warp_instructions += active * len(segment.code)
            self.translator.function(segment, full)(self, self.R, None if full else mask)
            if segment.end[0] == "next":
                number += 1
                following = segments[number].together
                if following and (not full or following == "phase"):
                    return [(number, mask)]
                if self.random is not None:
                    return [(number, mask)]
                continue
            if segment.end[0] == "branch" and segment.end[1] < 0:
                return [(segment.end[3], mask)]
            return self.part(number, segment, mask)

    def part(self, number, segment, mask):
        how, slot, negated = segment.end[:3]
        taken = mask if slot < 0 else (mask & ~self.R[slot] if negated else mask & self.R[slot])
        rest = None if slot < 0 else mask & ~taken
        go_on = []
        if rest is not None and rest.any():
            go_on.append((number + 1, rest if taken.any() else mask))
        if taken.any():
            if how == "branch":
                go_on.append((segment.end[3], taken if go_on else mask))
            else:
                self.alive = self.alive & ~taken
        return go_on

    # Other lanes.

    def shuffle(self, how, a, lane_operand, bounds, mask):
        """Each lane reads another's value; from outside its segment or a lane that is not here, its own."""
        lane = np.arange(self.T, dtype=np.int64) % 32
        b, c = lane_operand.astype(np.int64) & 31, bounds.astype(np.int64)
        clamp, segment = c & 31, c >> 8 & 31
        highest = (lane & segment) | (clamp & ~segment)
        lowest = lane & segment
        if how == "bfly":
            source, inside = lane ^ b, None
        elif how == "down":
            source, inside = lane + b, None
        elif how == "up":
            source = lane - b
            inside = source >= highest
        else:
            source, inside = lowest | (b & ~segment), None
        inside = source <= highest if inside is None else inside
        source = np.where(inside, source, lane)
        index = np.arange(self.T) // 32 * 32 + source
        if mask is not None and not mask[index[mask]].all():
            raise PtxError(f"a lane reads one that is not here: {self.where()}")
        return a[index], inside

    def vote(self, how, value, members, mask):
        here = value if mask is None else value & mask
        if how == "ballot":
            bits = here.reshape(-1, 32).astype(np.uint32) << np.arange(32, dtype=np.uint32)
            return np.repeat(bits.sum(axis=1, dtype=np.uint32), 32)
        if how == "any":
            return np.repeat(here.reshape(-1, 32).any(axis=1), 32)
        if how == "all":
            against = ~value if mask is None else ~value & mask
            return np.repeat(~against.reshape(-1, 32).any(axis=1), 32)
        raise PtxError(f"vote.{how}")
