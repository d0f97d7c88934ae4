"""What arithmetic instructions compute, on arrays with an element a thread (PTX ISA manual, "Integer arithmetic",
"Floating point", "Logic and shift", "Data movement and conversion").

f32 results are those of f64 rounded once more, which for a * b + c can differ from the one rounding of the GPU by a
unit in the last place in one of 2^29 cases; f64's fma goes through 80 bits. The approximations (ex2, lg2, sin, cos,
rcp, rsqrt) give the function's value rounded to f32: the GPU's own are within 2^-22 of it.
"""

import numpy as np
from parser import PtxError

u2, u4, u8, i2, i4, i8 = np.uint16, np.uint32, np.uint64, np.int16, np.int32, np.int64
f4, f8 = np.float32, np.float64

SMALLEST = np.float32(1.17549435e-38)


def ftz(x):
    """Subnormal numbers as zeros of their sign."""
    return np.where(np.abs(x) < SMALLEST, np.copysign(f4(0), x), x)


def saturate(x):
    return np.where(np.isnan(x), x.dtype.type(0), np.clip(x, 0, 1)).astype(x.dtype)


def fma_f32(a, b, c):
    return (a.astype(f8) * b + c).astype(f4)


def fma_f64(a, b, c):
    return (a.astype(np.longdouble) * b + c).astype(f8)


def through_double(function):
    return lambda x: function(x.astype(f8)).astype(f4)


def divide_whole(a, b):
    """To zero, as C does; by 0 all bits are set."""
    safe = np.where(b == 0, 1, b).astype(a.dtype)
    quotient = a // safe
    if a.dtype.kind == "i":
        quotient = quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0))).astype(a.dtype)
    return np.where(b == 0, np.array(-1).astype(a.dtype), quotient)


def remainder_whole(a, b):
    return a - divide_whole(a, b) * b


def multiply_high(a, b):
    width = a.dtype.itemsize
    if width < 8:
        wide = a.astype(i8 if a.dtype.kind == "i" else u8) * b.astype(i8 if a.dtype.kind == "i" else u8)
        return (wide >> (8 * width)).astype(a.dtype)
    x, y = a.view(u8), b.view(u8)
    low, thirty_two = u8(0xFFFFFFFF), u8(32)
    x0, x1, y0, y1 = x & low, x >> thirty_two, y & low, y >> thirty_two
    middle = x1 * y0 + ((x0 * y0) >> thirty_two)
    other = x0 * y1 + (middle & low)
    high = x1 * y1 + (middle >> thirty_two) + (other >> thirty_two)
    if a.dtype.kind == "i":
        high = high - np.where(a < 0, y, u8(0)) - np.where(b < 0, x, u8(0))
    return high.view(a.dtype)


def shift_left(a, count):
    bits = 8 * a.dtype.itemsize
    shifted = a << np.minimum(count, bits - 1).astype(a.dtype)
    return np.where(count >= bits, a.dtype.type(0), shifted)


def shift_right(a, count):
    bits = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(count, bits - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(count >= bits, a.dtype.type(0), shifted)


def funnel(a, b, count, left, clamp):
    """b:a shifted; the upper half to the left, the lower one to the right."""
    both = a.astype(u8) | (b.astype(u8) << u8(32))
    steps = (np.minimum(count, 32) if clamp else count & u4(31)).astype(u8)
    return ((both << steps) >> u8(32)).astype(u4) if left else (both >> steps).astype(u4)


def extract_bits(a, position, length):
    bits = 8 * a.dtype.itemsize
    unsigned = a.view(u4 if bits == 32 else u8)
    start, count = position & u4(255), length & u4(255)
    field = shift_right(unsigned, start)
    kept = np.where(
        count >= bits, ~unsigned.dtype.type(0), shift_left(np.ones_like(unsigned), count) - unsigned.dtype.type(1)
    )
    field = field & kept
    if a.dtype.kind == "i":
        last = np.minimum(start + count - u4(1), bits - 1)
        sign = shift_right(unsigned, last) & unsigned.dtype.type(1)
        field = np.where((sign == 1) & (count > 0), field | ~kept, field)
    return field.view(a.dtype)


def insert_bits(a, b, position, length):
    start, count, bits = position & u4(255), length & u4(255), 8 * a.dtype.itemsize
    one = a.dtype.type(1)
    kept = np.where(count >= bits, ~a.dtype.type(0), shift_left(np.ones_like(a), count) - one)
    place = shift_left(kept, start)
    return (b & ~place) | (shift_left(a, start) & place)


def count_ones(a):
    bytes_ = a.view(np.uint8).reshape(len(a), -1)
    return np.unpackbits(bytes_, axis=1).sum(axis=1, dtype=u4)


def leading_zeros(a):
    bits = 8 * a.dtype.itemsize
    bytes_ = a.astype(a.dtype.newbyteorder(">")).view(np.uint8).reshape(len(a), -1)
    spread = np.unpackbits(bytes_, axis=1)
    return np.where(a == 0, u4(bits), spread.argmax(axis=1).astype(u4))


def find_highest(a):
    """Of an unsigned number; all bits set where there is none."""
    return np.where(a == 0, u4(0xFFFFFFFF), u4(8 * a.dtype.itemsize - 1) - leading_zeros(a))


def reverse_bits(a):
    bytes_ = a.view(np.uint8).reshape(len(a), -1)
    flipped = np.packbits(np.unpackbits(bytes_, axis=1)[:, ::-1], axis=1)
    return np.ascontiguousarray(flipped).view(a.dtype).reshape(-1)


def permute_bytes(a, b, selector):
    both = a.astype(u8) | (b.astype(u8) << u8(32))
    result = np.zeros_like(a)
    for k in range(4):
        choice = (selector >> u4(4 * k)) & u4(15)
        byte = ((both >> ((choice & u4(7)).astype(u8) * u8(8))) & u8(255)).astype(u4)
        sign = np.where(byte & u4(128), u4(255), u4(0))
        result |= np.where(choice & u4(8), sign, byte) << u4(8 * k)
    return result


def logic3(a, b, c, table):
    result = np.zeros_like(a)
    for k in range(8):
        if table >> k & 1:
            result |= (a if k & 4 else ~a) & (b if k & 2 else ~b) & (c if k & 1 else ~c)
    return result


def to_bf16(x):
    """f32 as the bits of bf16, to nearest even; NaN is 0x7fff."""
    bits = np.ascontiguousarray(x, f4).view(u4)
    rounded = (bits + u4(0x7FFF) + ((bits >> u4(16)) & u4(1))) >> u4(16)
    return np.where(np.isnan(x), u2(0x7FFF), rounded.astype(u2))


def from_bf16(bits):
    return (bits.astype(u4) << u4(16)).view(f4)


def pack_bf16(high, low):
    return to_bf16(low).astype(u4) | (to_bf16(high).astype(u4) << u4(16))


ROUND = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def to_integer(x, how, to):
    """Saturates; NaN is 0."""
    limits = np.iinfo(to)
    whole = ROUND[how](x.astype(f8))
    low, high = whole <= float(limits.min), whole >= float(limits.max)
    safe = np.where(low | high | np.isnan(whole), 0, whole).astype(to)
    return np.where(low, to(limits.min), np.where(high, to(limits.max), safe))


def convert(x, kinds, to, source, type_of):
    """cvt: kinds are the modifiers before the two types."""
    flush, sat = "ftz" in kinds, "sat" in kinds
    how = next((k for k in kinds if k[0] == "r"), None)
    if flush and source == "f32":
        x = ftz(x)
    if to[0] in "su" and source.startswith("f"):
        return to_integer(x, how, type_of[to])
    if to[0] in "sub" and source[0] in "sub":
        return convert_whole(x, to, type_of, sat)
    if to == "bf16":
        if source != "f32" or how != "rn":
            raise PtxError(f"cvt.{'.'.join(kinds)}.{to}.{source}")
        return to_bf16(x)
    if source == "bf16":
        return from_bf16(x).astype(type_of[to])
    if to not in ("f32", "f64") or how in ("rz", "rm", "rp"):
        raise PtxError(f"cvt.{'.'.join(kinds)}.{to}.{source}")
    if how in ROUND:
        x = ROUND[how](x)
    y = x.astype(type_of[to])
    if flush and to == "f32":
        y = ftz(y)
    return saturate(y) if sat else y


def convert_whole(x, to, type_of, sat):
    if sat:
        limits = np.iinfo(type_of[to])
        return np.clip(x, max(limits.min, np.iinfo(x.dtype).min), min(limits.max, np.iinfo(x.dtype).max)).astype(
            type_of[to]
        )
    return x.astype(type_of[to])


def compare(how, a, b):
    plain = {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "lo": np.less,
        "ls": np.less_equal,
        "hi": np.greater,
        "hs": np.greater_equal,
    }
    if how == "nan":
        return np.isnan(a) | np.isnan(b)
    if how == "num":
        return ~(np.isnan(a) | np.isnan(b))
    if a.dtype.kind == "f":
        unordered = np.isnan(a) | np.isnan(b)
        if how == "ne":  # ordered
            return np.not_equal(a, b) & ~unordered
        if how in ("equ", "neu", "ltu", "leu", "gtu", "geu"):
            return plain[how[:2]](a, b) | unordered
    return plain[how](a, b)


def fma_down_f32(a, b, c):
    exact = a.astype(f8) * b + c
    nearest = exact.astype(f4)
    return np.where(nearest > exact, np.nextafter(nearest, f4(-np.inf)), nearest)


def shift_amount(highest):
    """bfind.shiftamt: how far to the left the highest bit can go."""
    return np.where(highest == 0xFFFFFFFF, highest, u4(31) - highest)


def reciprocal(a):
    return (1.0 / a.astype(f8)).astype(a.dtype)


def rough_reciprocal_f64(a):
    """rcp.approx.ftz.f64: the lower half of the result's bits is zero."""
    return ((1.0 / a).view(u8) & u8(0xFFFFFFFF00000000)).view(f8)


def inverse_root(a):
    return (1.0 / np.sqrt(a.astype(f8))).astype(a.dtype)


exp2_f32, log2_f32 = through_double(np.exp2), through_double(np.log2)
sin_f32, cos_f32 = through_double(np.sin), through_double(np.cos)
