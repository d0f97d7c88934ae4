"""What each instruction becomes: RULES[name](translator, instruction) adds lines to the segment that is translated.

Arithmetic is an expression of numpy; what reads or writes memory or other lanes is a call of the machine M.
"""

from parser import PtxError

INTEGER = "usb"


def last_type(instruction):
    return instruction.kinds[-1]


def refuse(instruction, known):
    """The modifiers before the type must be known ones."""
    for kind in instruction.kinds[:-1]:
        if kind not in known:
            raise PtxError(f"modifier {kind}: {instruction.text}")


def flushed(expression, instruction):
    return f"ftz({expression})" if "ftz" in instruction.kinds and "f64" not in instruction.kinds else expression


def plain(expression, known=("rn", "ftz", "lo", "approx", "full", "sat"), types=None):
    """A rule for d = expression of a, b, c, all of one type."""

    def rule(t, ins):
        kind = last_type(ins)
        refuse(ins, known)
        if types is not None and kind[0] not in types:
            raise PtxError(ins.text)
        names = dict(zip("abcde", (t.get(word, kind) for word in ins.operands[1:])))
        value = flushed(expression.format(**names), ins)
        t.put(ins.operands[0], f"saturate({value})" if "sat" in ins.kinds else value, kind)

    return rule


def by_kind(whole, real):
    """Another rule for floats than for whole numbers."""

    def rule(t, ins):
        (real if last_type(ins)[0] == "f" else whole)(t, ins)

    return rule


def fma(t, ins):
    kind = last_type(ins)
    refuse(ins, ("rn", "rm", "ftz"))
    a, b, c = (t.get(word, kind) for word in ins.operands[1:])
    name = "fma_down_f32" if "rm" in ins.kinds else f"fma_{kind}"
    t.put(ins.operands[0], flushed(f"{name}({a}, {b}, {c})", ins), kind)


WIDE = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}


def multiply(t, ins):
    kind, how = last_type(ins), ins.kinds[0]
    a, b = (t.get(word, kind) for word in ins.operands[1:3])
    if kind[0] == "f":
        return plain("{a} * {b}")(t, ins)
    refuse(ins, ("lo", "hi", "wide"))
    to = WIDE[kind] if how == "wide" else kind
    if how == "wide":
        value = f"{a}.astype(T_{to}) * {b}.astype(T_{to})"
    else:
        value = {"lo": f"{a} * {b}", "hi": f"multiply_high({a}, {b})"}[how]
    if ins.name == "mad":
        value = f"{value} + {t.get(ins.operands[3], to)}"
    t.put(ins.operands[0], value, to)


def shift(left):
    def rule(t, ins):
        kind = last_type(ins)
        a, count = t.get(ins.operands[1], kind), t.get(ins.operands[2], "u32")
        t.put(ins.operands[0], f"shift_{'left' if left else 'right'}({a}, {count})", kind)

    return rule


def funnel_shift(t, ins):
    side, how = ins.kinds[:2]
    a, b, count = (t.get(word, "u32") for word in ins.operands[1:])
    t.put(ins.operands[0], f"funnel({a}, {b}, {count}, {side == 'l'}, {how == 'clamp'})", "u32")


def extract(t, ins):
    kind = last_type(ins)
    a, start, count = t.get(ins.operands[1], kind), t.get(ins.operands[2], "u32"), t.get(ins.operands[3], "u32")
    t.put(ins.operands[0], f"extract_bits({a}, {start}, {count})", kind)


def insert(t, ins):
    kind = last_type(ins)
    a, b = (t.get(word, kind) for word in ins.operands[1:3])
    start, count = (t.get(word, "u32") for word in ins.operands[3:5])
    t.put(ins.operands[0], f"insert_bits({a}, {b}, {start}, {count})", kind)


def highest_bit(t, ins):
    kind = last_type(ins)
    if kind != "u32":
        raise PtxError(ins.text)
    value = f"find_highest({t.get(ins.operands[1], kind)})"
    if "shiftamt" in ins.kinds:
        value = f"shift_amount({value})"
    t.put(ins.operands[0], value, "u32")


def logic_table(t, ins):
    a, b, c = (t.get(word, "u32") for word in ins.operands[1:4])
    t.put(ins.operands[0], f"logic3({a}, {b}, {c}, {int(ins.operands[4], 0)})", "u32")


def invert(t, ins):
    kind = last_type(ins)
    t.put(ins.operands[0], f"~{t.get(ins.operands[1], kind)}", kind)


def negate(t, ins):
    kind = last_type(ins)
    t.put(ins.operands[0], flushed(f"-{t.get(ins.operands[1], kind)}", ins), kind)


def set_predicate(t, ins):
    kind, how = last_type(ins), ins.kinds[0]
    a, b = (t.get(word, kind) for word in ins.operands[1:3])
    if "ftz" in ins.kinds:
        a, b = f"ftz({a})", f"ftz({b})"
    value = f"compare({how!r}, {a}, {b})"
    if len(ins.operands) == 4:
        joint = {"and": "&", "or": "|", "xor": "^"}[ins.kinds[1]]
        word = ins.operands[3]
        other = f"~{t.get(word[1:], 'pred')}" if word.startswith("!") else t.get(word, "pred")
        value = f"({value}) {joint} {other}"
    if "|" in ins.operands[0]:
        raise PtxError(ins.text)
    t.put(ins.operands[0], value, "pred")


def select(t, ins):
    kind = last_type(ins)
    a, b = (t.get(word, kind) for word in ins.operands[1:3])
    t.put(ins.operands[0], f"where({t.get(ins.operands[3], 'pred')}, {a}, {b})", kind)


def convert(t, ins):
    if ins.kinds[-2] == "bf16x2":
        refuse(ins, ("rn", "bf16x2"))
        high, low = (t.get(word, "f32") for word in ins.operands[1:])
        return t.put(ins.operands[0], f"pack_bf16({high}, {low})", "b32")
    to, source = ins.kinds[-2:]
    value = t.get(ins.operands[1], source)
    t.put(ins.operands[0], f"convert({value}, {ins.kinds[:-2]!r}, {to!r}, {source!r}, M.types)", to)


def move(t, ins):
    kind = last_type(ins)
    to, source = ins.operands
    if to.startswith("{"):
        names = [word.strip() for word in to.strip("{}").split(",")]
        part = {(2, "b32"): "b16", (2, "b64"): "b32", (4, "b64"): "b16"}[len(names), kind]
        value = t.get(source, kind)
        for k, name in enumerate(names):
            t.put(name, f"{value}.view(T_{part})[{k}::{len(names)}].copy()", part)
    elif source.startswith("{"):
        names = [word.strip() for word in source.strip("{}").split(",")]
        part = {(2, "b32"): "b16", (2, "b64"): "b32", (4, "b64"): "b16"}[len(names), kind]
        parts = ", ".join(t.get(name, part) for name in names)
        t.put(to, f"np.stack(({parts}), axis=1).view(T_{kind}).reshape(-1)", kind)
    else:
        t.put(to, t.get(source, kind), kind)


def to_address(t, ins):
    """cvta: generic addresses are global ones; shared and local memory have windows."""
    space = ins.kinds[1] if ins.kinds[0] == "to" else ins.kinds[0]
    value = t.get(ins.operands[1], "u64")
    if space in ("shared", "local"):
        value = f"{value} {'-' if ins.kinds[0] == 'to' else '+'} M.window_{space}"
    elif space not in ("global", "const"):
        raise PtxError(ins.text)
    t.put(ins.operands[0], value, "u64")


# Memory.

SPACES = ("global", "shared", "local", "const", "param")
HINTS = ("volatile", "nc", "relaxed", "weak", "cta", "gpu", "L1::no_allocate", "L1::evict_last", "L2::128B")


def memory_parts(ins):
    """(space, how many, type)"""
    space, count = "generic", 1
    for kind in ins.kinds[:-1]:
        name = kind.removesuffix("::cta")
        if name in SPACES:
            space = name
        elif kind in ("v2", "v4"):
            count = int(kind[1])
        elif kind not in HINTS:
            raise PtxError(f"modifier {kind}: {ins.text}")
    return space, count, ins.kinds[-1]


def address_of(t, word, space):
    """An expression of addresses, u64, and the offset."""
    base, plus = t.address(word)
    if base in t.slots and t.slot_type[t.slots[base]] == "b32":
        return f"{t.get(base, 'u32')}.astype(np.uint64)", plus
    return t.get(base, "u64"), plus


def load(t, ins):
    space, count, kind = memory_parts(ins)
    names = [word.strip() for word in ins.operands[0].strip("{}").split(",")]
    if space == "param":
        base, plus = t.address(ins.operands[1])
        if base not in t.parameters:
            address, plus = address_of(t, ins.operands[1], space)
            t.do(f"V = M.load('generic', {address}, {plus}, T_{kind}, {count}, MASK)")
            for k, name in enumerate(names):
                t.put(name, f"V[{k}]", kind)
            return
        for k, name in enumerate(names):
            t.put(name, f"M.parameter({t.parameters[base].offset + plus}, {k}, {kind!r})", kind)
        return
    address, plus = address_of(t, ins.operands[1], space)
    t.do(f"V = M.load({space!r}, {address}, {plus}, T_{kind}, {count}, MASK)")
    for k, name in enumerate(names):
        t.put(name, f"V[{k}]", kind)


def store(t, ins):
    space, count, kind = memory_parts(ins)
    words = [word.strip() for word in ins.operands[1].strip("{}").split(",")]
    address, plus = address_of(t, ins.operands[0], space)
    values = ", ".join(t.get(word, kind) for word in words)
    t.do(f"M.store({space!r}, {address}, {plus}, T_{kind}, ({values},), MASK)")


# Other lanes.


def shuffle(t, ins):
    how = ins.kinds[1]
    a, lane, bounds = (t.get(word, "u32") for word in ins.operands[1:4])
    to, _, inside = ins.operands[0].partition("|")
    t.do(f"V = M.shuffle({how!r}, {a}, {lane}, {bounds}, MASK)")
    t.put(to, "V[0]", "b32")
    if inside:
        t.put(inside, "V[1]", "pred")


def vote(t, ins):
    how = ins.kinds[1]
    word = ins.operands[1]
    value = f"~{t.get(word[1:], 'pred')}" if word.startswith("!") else t.get(word, "pred")
    t.put(
        ins.operands[0],
        f"M.vote({how!r}, {value}, {t.get(ins.operands[2], 'u32')}, m)",
        "b32" if how == "ballot" else "pred",
    )


def barrier(t, ins):
    if ins.kinds[0] == "sync" and ins.operands != ("0",):
        raise PtxError(ins.text)
    if ins.kinds[0] not in ("sync", "warp"):
        raise PtxError(ins.text)


def matrix_load(t, ins):
    names = [word.strip() for word in ins.operands[0].strip("{}").split(",")]
    if "m8n8" not in ins.kinds or f"x{len(names)}" not in ins.kinds or ins.kinds[-1] != "b16":
        raise PtxError(ins.text)
    address, plus = address_of(t, ins.operands[1], "shared")
    t.do(f"V = M.load_matrices({address}, {plus}, {len(names)}, {'trans' in ins.kinds}, m)")
    for k, name in enumerate(names):
        t.put(name, f"V[{k}]", "b32")


def registers(t, word, kind):
    return "(" + ", ".join(t.get(name.strip(), kind) for name in word.strip("{}").split(",")) + ",)"


def matrix_product(t, ins):
    if ins.kinds != tuple(["sync", "aligned", "m16n8k16", "row", "col", "f32", "bf16", "bf16", "f32"]):
        raise PtxError(ins.text)
    to, a, b, c = ins.operands
    t.do(f"V = M.multiply({registers(t, a, 'b32')}, {registers(t, b, 'b32')}, {registers(t, c, 'f32')}, m)")
    for k, name in enumerate(to.strip("{}").split(",")):
        t.put(name.strip(), f"V[{k}]", "f32")


def rcp(t, ins):
    rough = ins.kinds == ("approx", "ftz", "f64")
    plain("rough_reciprocal_f64({a})" if rough else "reciprocal({a})")(t, ins)


RULES = {
    "add": plain("{a} + {b}"),
    "sub": plain("{a} - {b}"),
    "mul": multiply,
    "mad": multiply,
    "fma": fma,
    "div": by_kind(plain("divide_whole({a}, {b})", known=()), plain("{a} / {b}")),
    "rem": plain("remainder_whole({a}, {b})", known=(), types="us"),
    "abs": plain("abs({a})"),
    "neg": negate,
    "min": by_kind(plain("np.minimum({a}, {b})", known=()), plain("np.fmin({a}, {b})", known=("ftz",))),
    "max": by_kind(plain("np.maximum({a}, {b})", known=()), plain("np.fmax({a}, {b})", known=("ftz",))),
    "and": plain("{a} & {b}"),
    "or": plain("{a} | {b}"),
    "xor": plain("{a} ^ {b}"),
    "not": invert,
    "shl": shift(left=True),
    "shr": shift(left=False),
    "shf": funnel_shift,
    "bfe": extract,
    "bfi": insert,
    "bfind": highest_bit,
    "brev": plain("reverse_bits({a})"),
    "popc": plain("count_ones({a})"),
    "clz": plain("leading_zeros({a})"),
    "prmt": plain("permute_bytes({a}, {b}, {c})"),
    "lop3": logic_table,
    "setp": set_predicate,
    "selp": select,
    "cvt": convert,
    "mov": move,
    "cvta": to_address,
    "rcp": rcp,
    "sqrt": plain("np.sqrt({a})"),
    "rsqrt": plain("inverse_root({a})"),
    "ex2": plain("exp2_f32({a})"),
    "lg2": plain("log2_f32({a})"),
    "sin": plain("sin_f32({a})"),
    "cos": plain("cos_f32({a})"),
    "copysign": plain("np.copysign({b}, {a})"),
    "ld": load,
    "st": store,
    "shfl": shuffle,
    "vote": vote,
    "bar": barrier,
    "barrier": barrier,
    "ldmatrix": matrix_load,
    "mma": matrix_product,
}
