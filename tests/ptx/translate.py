"""A kernel as Python functions, one for each straight run of instructions ("segment").

A register is a numpy array with an element for each thread of the launch, in R[slot]; constants, special registers and
addresses have slots, too. Each segment is compiled twice: for launches all of whose threads are here ("full"), and for
some of them, given as a mask. Instructions that threads have to execute together begin a segment.
"""

import re
import struct
from dataclasses import dataclass, field

import arithmetic
import numpy as np
from asynchronous_rules import RULES as ASYNCHRONOUS_RULES
from instructions import RULES
from parser import WIDTH, PtxError

TYPES = {
    "pred": np.bool_,
    "b8": np.uint8,
    "u8": np.uint8,
    "s8": np.int8,
    "b16": np.uint16,
    "u16": np.uint16,
    "s16": np.int16,
    "b32": np.uint32,
    "u32": np.uint32,
    "s32": np.int32,
    "f32": np.float32,
    "b64": np.uint64,
    "u64": np.uint64,
    "s64": np.int64,
    "f64": np.float64,
    "bf16": np.uint16,
    "bf16x2": np.uint32,
}
STORED = {"s8": "u8", "s16": "b16", "u16": "b16", "bf16": "b16", "s32": "b32", "u32": "b32", "s64": "b64", "u64": "b64"}
SPECIAL = re.compile(r"%(tid|ntid|ctaid|nctaid)\.[xyz]$|%(laneid|warpid)$|WARP_SZ$")

# What threads must do together, by the first words of an instruction.
TOGETHER = (
    ("shfl.sync", "warp"),
    ("vote.sync", "warp"),
    ("bar.warp", "warp"),
    ("bar.sync", "block"),
    ("barrier.sync", "block"),
    ("mma.sync", "whole warp"),
    ("ldmatrix.sync", "whole warp"),
    ("setmaxnreg", "whole warp"),
    ("wgmma", "warpgroup"),
    ("mbarrier.try_wait", "phase"),
)


@dataclass
class Segment:
    first: int  # instruction
    code: list = field(default_factory=list)
    together: str = ""
    members: int = -1  # slot of the member mask
    wait: tuple = ()  # slots of an mbarrier's address and parity, and the address's offset between them
    lines: list = None
    full: object = None  # both are compiled when they are wanted
    some: object = None
    end: tuple = ("next",)  # ("branch", slot of the predicate or -1, negated, segment), ("exit", slot, negated)


class Translator:
    def __init__(self, kernel, module):
        self.kernel, self.module = kernel, module
        self.slots, self.slot_type = {}, []  # name: slot
        self.fixed = {}  # slot: how it is filled at launch
        self.parameters = {p.name: p for p in kernel.parameters}
        for name, kind in kernel.registers.items():
            self.slots[name] = self.new_slot(STORED.get(kind, kind))
        self.segments = self.split()
        for segment in self.segments:
            self.translate(segment)

    def new_slot(self, kind):
        self.slot_type.append(kind)
        return len(self.slot_type) - 1

    # Segments.

    def split(self):
        code, starts = self.kernel.code, {0, *self.kernel.labels.values()}
        for i, instruction in enumerate(code):
            if instruction.name in ("bra", "ret", "exit"):
                starts.add(i + 1)
            if self.together_of(instruction):
                starts.add(i)
        order = sorted(start for start in starts if start < len(code))
        self.at_instruction = {start: k for k, start in enumerate(order)}
        ends = [*order[1:], len(code)]
        segments = [Segment(a, code[a:b], self.together_of(code[a])) for a, b in zip(order, ends)]
        if segments[-1].code[-1].name not in ("ret", "exit", "bra"):
            raise PtxError(f"{self.kernel.name} has no end")
        return segments

    @staticmethod
    def together_of(instruction):
        opcode = ".".join((instruction.name, *instruction.kinds))
        return next((how for start, how in TOGETHER if opcode.startswith(start)), "")

    def translate(self, segment):
        self.lines = []
        for instruction in segment.code:
            self.guard = self.slots[instruction.guard] if instruction.guard else -1
            self.negated = instruction.negated
            if instruction.name in ("bra", "ret", "exit"):
                self.finish(segment, instruction)
                continue
            if instruction is segment.code[0] and segment.together:
                segment.members, segment.wait = self.members_of(instruction), self.wait_of(instruction)
                if instruction.guard:
                    raise PtxError(f"guarded: {instruction.text}")
            rule = RULES.get(instruction.name) or ASYNCHRONOUS_RULES.get(instruction.name)
            if rule is None:
                raise PtxError(f"instruction not understood: {instruction.text}")
            try:
                rule(self, instruction)
            except (KeyError, IndexError, ValueError, StopIteration) as error:
                raise PtxError(f"instruction not understood: {instruction.text} ({error!r})") from error
        segment.lines = self.lines

    def members_of(self, instruction):
        if instruction.name in ("shfl", "vote") or (instruction.name, *instruction.kinds[:1]) == ("bar", "warp"):
            return self.slot(instruction.operands[-1], "b32")
        return -1

    def wait_of(self, instruction):
        if instruction.name != "mbarrier":
            return ()
        base, plus = self.address(instruction.operands[1])
        return self.slot(base, "b32"), plus, self.slot(instruction.operands[2], "b32")

    def finish(self, segment, instruction):
        if instruction.name == "bra":
            target = self.at_instruction[self.kernel.labels[instruction.operands[0]]]
            segment.end = ("branch", self.guard, self.negated, target)
        else:
            segment.end = ("exit", self.guard, self.negated)

    def function(self, segment, full):
        if full:
            segment.full = segment.full or self.compiled(segment, full)
            return segment.full
        segment.some = segment.some or self.compiled(segment, full)
        return segment.some

    def compiled(self, segment, full):
        """The lines as a function of the machine M, with `m` the mask of the threads that are here, or None."""
        lines = []
        for kind, guard, negated, text in segment.lines:
            mask = "None" if full else "m"
            if guard >= 0:
                condition = f"{'~' if negated else ''}R[{guard}]"
                mask = condition if full else f"(m & {condition})"
            if kind == "do":
                lines.append(text.replace("MASK", mask))
            else:  # a slot to be written
                value = text if mask == "None" else f"where({mask}, {text}, R[{kind}])"
                lines.append(f"R[{kind}] = {value}")
        source = "def run(M, R, m):\n    " + "\n    ".join(lines or ["pass"])
        scope = {**vars(arithmetic), "np": np, "where": np.where, **{f"T_{k}": v for k, v in TYPES.items()}}
        exec(compile(source, f"<{self.kernel.name[-40:]}:{segment.first}>", "exec"), scope)  # noqa: S102
        return scope["run"]

    # For rules.

    def do(self, text):
        """A line that the machine does for the threads of MASK."""
        self.lines.append(("do", self.guard, self.negated, text))

    def put(self, name, expression, kind):
        """Writes a value of a type to a register."""
        if name == "_":
            return
        slot = self.slots[name]
        stored = self.slot_type[slot]
        self.lines.append((slot, self.guard, self.negated, self.as_stored(expression, kind, stored)))

    def as_stored(self, expression, kind, stored):
        if TYPES[kind] == TYPES[stored]:
            return expression
        if WIDTH[kind] == WIDTH[stored]:
            return f"({expression}).view(T_{stored})"
        if WIDTH[kind] > WIDTH[stored] or stored in ("f32", "f64"):
            raise PtxError(f"{kind} into {stored}")
        wide = f"s{8 * WIDTH[stored]}" if kind[0] == "s" else stored
        return f"({expression}).astype(T_{wide}).view(T_{stored})"

    def get(self, word, kind):
        """The expression of an operand as an array of a type."""
        slot = self.slot(word, kind)
        stored = self.slot_type[slot]
        if TYPES[kind] == TYPES[stored]:
            return f"R[{slot}]"
        if WIDTH[kind] == WIDTH[stored]:
            return f"R[{slot}].view(T_{kind})"
        if WIDTH[kind] > WIDTH[stored]:
            raise PtxError(f"{word} is {stored}, wanted is {kind}")
        unsigned = STORED.get(kind, kind) if WIDTH[kind] > 1 else "u8"
        return f"R[{slot}].astype(T_{unsigned})" + (f".view(T_{kind})" if unsigned != kind else "")

    def slot(self, word, kind):
        if word in self.slots:
            return self.slots[word]
        if SPECIAL.match(word):
            return self.fix(word, "b32", ("special", word))
        base, _, plus = word.partition("+")
        if base in self.parameters:
            return self.fix(word, "b64", ("parameter", self.parameters[base].offset + int(plus or 0)))
        if base in self.kernel.variables or base in self.module.variables:
            return self.fix((word, WIDTH[kind]), STORED.get(kind, kind), ("variable", base, int(plus or 0)))
        stored = STORED.get(kind, kind)
        return self.fix((word, stored), stored, ("literal", self.literal(word, stored)))

    def fix(self, key, kind, how):
        if key not in self.slots:
            self.slots[key] = self.new_slot(kind)
            self.fixed[self.slots[key]] = how
        return self.slots[key]

    @staticmethod
    def literal(word, kind):
        if word[:2] in ("0f", "0F"):
            value = struct.unpack(">f", bytes.fromhex(word[2:]))[0]
            return np.array(value, np.float32) if kind == "f32" else np.array(value, np.float32).view(TYPES[kind])
        if word[:2] in ("0d", "0D"):
            bits = np.array(int(word[2:], 16), np.uint64)
            return bits.view(np.float64) if kind == "f64" else bits
        if kind in ("f32", "f64"):
            raise PtxError(f"literal {word} of {kind}")
        value = int(word.rstrip("U"), 0)
        if kind == "pred":
            return np.array(value != 0)
        return np.array(value % (1 << (8 * WIDTH[kind])), np.uint64).astype(TYPES[kind])

    @staticmethod
    def address(word):
        """[register + offset] as its parts."""
        inside = word.strip("[] ")
        base, _, plus = inside.partition("+")
        return base.strip(), int(plus or "0", 0)
