"""Launches of kernels by name: modules, arguments laid out as C++ does, and buffers that come back."""

import pathlib
import re
import struct
import subprocess
from dataclasses import dataclass

import numpy as np
from machine import Machine
from memory import Memory
from parser import PtxError, parse
from translate import Translator


@dataclass
class Scalar:
    form: str  # of struct
    value: object


def i32(x):
    return Scalar("i", int(x))


def u32(x):
    return Scalar("I", int(x))


def i64(x):
    return Scalar("q", int(x))


def u64(x):
    return Scalar("Q", int(x))


def f32(x):
    return Scalar("f", float(x))


def f64(x):
    return Scalar("d", float(x))


def boolean(x):
    return Scalar("?", bool(x))


def u8(x):
    return Scalar("B", int(x))


def part_of(buffer, offset):
    """The address of what begins so many bytes behind a buffer's start."""
    return u64(buffer.address + offset)


class Buffer:
    """Global memory: an array that kernels may change."""

    def __init__(self, device, array):
        self.device, self.dtype, self.shape = device, array.dtype, array.shape
        self.size, self.address = array.nbytes, device.memory.allocate(array)

    def array(self):
        data = self.device.memory.read(self.address, self.size)
        return np.frombuffer(data.tobytes(), self.dtype).reshape(self.shape)


def layout(value):
    """(bytes, alignment) of a scalar, a Buffer, None (a null pointer) or a tuple of them (a struct)."""
    if value is None:
        return bytes(8), 8
    if isinstance(value, Buffer):
        return struct.pack("<Q", value.address), 8
    if isinstance(value, Scalar):
        data = struct.pack("<" + value.form, value.value)
        return data, len(data)
    data, most = b"", 1
    for part in value:
        piece, align = layout(part)
        data, most = data.ljust(-(-len(data) // align) * align, b"\xee") + piece, max(most, align)
    return (data or b"\0").ljust(-(-max(len(data), 1) // most) * most, b"\xee"), most


def pack(kernel, arguments):
    if len(arguments) != len(kernel.parameters):
        raise PtxError(f"{kernel.name} has {len(kernel.parameters)} parameters, not {len(arguments)}")
    data = b""
    for parameter, argument in zip(kernel.parameters, arguments):
        piece, _ = layout(argument)
        if len(piece) != parameter.size:
            raise PtxError(f"{parameter.name}: {parameter.size} bytes, not {len(piece)}")
        data = data.ljust(parameter.offset, b"\xee") + piece
    return data


def readable(names):
    """{mangled: demangled without the project's namespaces}"""
    if not names:
        return {}
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    drop = re.compile(r"simclr::|kernels::|gpu::|cuda_target::|\(anonymous namespace\)::")
    drop2 = re.compile(r"_GLOBAL__N__\w+?::")
    return {name: drop2.sub("", drop.sub("", line)) for name, line in zip(names, done.stdout.splitlines())}


@dataclass
class Instantiation:
    source: str
    mangled: str
    shown: str
    name: str  # of the kernel alone


class Library:
    """All kernels of a folder of PTX."""

    def __init__(self, folder, names=None):
        self.modules, self.instantiations, self.translated = {}, [], {}
        for path in sorted(pathlib.Path(folder).glob("*.ptx")):
            if names is not None and path.stem not in names:
                continue
            self.add(path.stem, parse(path.read_text()))

    def add(self, source, module):
        self.modules[source] = module
        for mangled, shown in readable(list(module.kernels)).items():
            head = re.match(r"(?:void )?([\w:]+)", shown).group(1).split("::")[-1]
            self.instantiations.append(Instantiation(source, mangled, shown, head))

    def find(self, source, *words):
        """The one instantiation of a source whose readable name holds all words."""
        found = [
            i
            for i in self.instantiations
            if i.source == source and all(i.name == word if word.isidentifier() else word in i.shown for word in words)
        ]
        if len(found) != 1:
            shown = "\n".join(i.shown for i in found or self.instantiations if i.source == source)
            raise PtxError(f"{source}: {len(found)} kernels with {words}:\n{shown}")
        return found[0]

    def translator(self, instantiation):
        key = (instantiation.source, instantiation.mangled)
        if key not in self.translated:
            module = self.modules[instantiation.source]
            self.translated[key] = Translator(module.kernels[instantiation.mangled].parsed(), module)
        return self.translated[key]


class Device:
    """Launches in order; counts what ran."""

    def __init__(self, library, random=None):
        self.library, self.memory, self.random = library, Memory(), random
        self.warp_instructions, self.segments = 0, {}  # segments that ran, by instantiation

    def buffer(self, array):
        return Buffer(self, np.ascontiguousarray(array))

    def empty(self, shape, dtype):
        """Of NaN, or all bits set."""
        array = np.empty(shape, dtype)
        array.view(np.uint8).reshape(-1)[...] = 0xFF
        return Buffer(self, array)

    def launch(self, instantiation, grid, block, *arguments, shared=0):
        translator = self.library.translator(instantiation)
        grid = (grid,) if isinstance(grid, int) else grid
        parameters = pack(translator.kernel, arguments)
        machine = Machine(translator, grid, block, self.memory, parameters, shared, self.random)
        self.warp_instructions += machine.run()
        key = (instantiation.source, instantiation.mangled)
        self.segments.setdefault(key, set()).update(machine.executed)
