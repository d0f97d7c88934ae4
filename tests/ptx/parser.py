"""PTX text as data: kernels with their parameters, registers, variables and straight runs of instructions.

Written from the PTX ISA manual ("Syntax", "State spaces, types and variables", "Instruction operands"), for the text
that nvcc writes. What it does not know, it refuses.
"""

import re
from dataclasses import dataclass, field

WIDTH = {
    "pred": 1,
    "b8": 1,
    "u8": 1,
    "s8": 1,
    "b16": 2,
    "u16": 2,
    "s16": 2,
    "b32": 4,
    "u32": 4,
    "s32": 4,
    "f32": 4,
    "b64": 8,
    "u64": 8,
    "s64": 8,
    "f64": 8,
    "bf16": 2,
    "bf16x2": 4,
    "f16": 2,
    "f16x2": 4,
}


class PtxError(Exception):
    """PTX that is not understood, or that does what no kernel may."""


@dataclass
class Instruction:
    name: str  # "setp"
    kinds: tuple  # ("ge", "s64")
    operands: tuple
    guard: str = ""  # a predicate register
    negated: bool = False
    text: str = ""


@dataclass
class Variable:
    space: str
    align: int
    size: int
    data: bytes | None = None


@dataclass
class Parameter:
    name: str
    align: int
    size: int
    offset: int = 0


@dataclass
class Kernel:
    name: str
    parameters: list
    registers: dict = field(default_factory=dict)  # name: type
    variables: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)  # name: index of the instruction behind it
    tables: dict = field(default_factory=dict)  # name: branch targets
    code: list = field(default_factory=list)
    body: str = ""  # until it is wanted

    def parsed(self):
        if self.body:
            Body(self, self.body).parse()
            self.body = ""
        return self


@dataclass
class Module:
    target: str
    kernels: dict = field(default_factory=dict)
    variables: dict = field(default_factory=dict)


def split_operands(text):
    """At commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "{[(":
            depth += 1
        elif c in "}])":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return tuple([*parts, last] if last else parts)


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


VARIABLE = re.compile(
    r"(?:\.visible\s+|\.extern\s+|\.weak\s+)*\.(shared|local|global|const)\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+"
    r"([\w$%.]+)\s*((?:\[\d*\])*)\s*(?:=\s*(.*))?$",
    re.DOTALL,
)


def initial_bytes(kind, text, size):
    width = WIDTH[kind]
    values = [int(word, 0) for word in re.findall(r"-?(?:0[xX][0-9a-fA-F]+|\d+)", text)]
    data = b"".join((value % (1 << (8 * width))).to_bytes(width, "little") for value in values)
    return data.ljust(size, b"\0")


def parse_variable(statement, variables):
    found = VARIABLE.match(statement)
    if not found:
        raise PtxError(f"variable not understood: {statement}")
    space, align, kind, name, extents, start = found.groups()
    size = WIDTH[kind]
    for extent in re.findall(r"\[(\d*)\]", extents):
        size *= int(extent or 0)
    data = initial_bytes(kind, start, size) if start else None
    variables[name] = Variable(space, int(align or WIDTH[kind]), size, data)


def parse_parameters(text):
    parameters, offset = [], 0
    for word in split_operands(text):
        found = re.match(
            r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr\s+[\w.\s]*?)?([\w$]+)(?:\[(\d+)\])?$", word
        )
        if not found:
            raise PtxError(f"parameter not understood: {word}")
        align, kind, name, extent = found.groups()
        size = WIDTH[kind] * int(extent or 1)
        align = int(align or WIDTH[kind])
        offset = -(-offset // align) * align
        parameters.append(Parameter(name, align, size, offset))
        offset += size
    return parameters


class Body:
    """The statements between a kernel's braces. Names declared in an inner scope get a number."""

    def __init__(self, kernel, text):
        self.kernel, self.text, self.at = kernel, text, 0
        self.scopes, self.count = [{}], 0

    def parse(self):
        while (word := self.next_statement()) is not None:
            if word == "{":
                self.scopes.append({})
            elif word == "}":
                self.scopes.pop()
            elif word.endswith(":"):
                self.kernel.labels[word[:-1]] = len(self.kernel.code)
            else:
                self.statement(word)

    def next_statement(self):
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        if self.at == len(self.text):
            return None
        if self.text[self.at] in "{}":
            self.at += 1
            return self.text[self.at - 1]
        label = re.compile(r"[\w$%]+\s*:(?!:)").match(self.text, self.at)
        if label:
            self.at = label.end()
            name = label.group()[:-1].strip() + ":"
            table = re.compile(r"\s*\.branchtargets\s+([^;]*);").match(self.text, self.at)
            if table:
                self.at = table.end()
                self.kernel.tables[name[:-1]] = split_operands(re.sub(r"\s+", " ", table.group(1)))
                return self.next_statement()
            return name
        end = self.text.index(";", self.at)
        statement, self.at = self.text[self.at : end].strip(), end + 1
        return re.sub(r"\s+", " ", statement)

    def statement(self, text):
        if text.startswith(".reg"):
            kind, names = re.match(r"\.reg \.(\w+) (.*)$", text).groups()
            for name in split_operands(names):
                self.declare(name, kind)
        elif text.startswith((".shared", ".local")):
            parse_variable(text, self.kernel.variables)
        elif text.startswith(".pragma") or not text:
            pass
        elif text.startswith("."):
            raise PtxError(f"directive not understood: {text}")
        else:
            self.kernel.code.append(self.instruction(text))

    def declare(self, name, kind):
        counted = re.match(r"(.+)<(\d+)>$", name)
        if counted:
            for i in range(int(counted.group(2))):
                self.kernel.registers[f"{counted.group(1)}{i}"] = kind
            return
        self.count += 1
        unique = name if len(self.scopes) == 1 else f"{name}@{self.count}"
        self.scopes[-1][name] = unique
        self.kernel.registers[unique] = kind

    def rename(self, word):
        for scope in reversed(self.scopes):
            if word in scope:
                return scope[word]
        return word

    def instruction(self, text):
        guard = re.match(r"@(!?)([\w%$]+)\s+", text)
        rest = text[guard.end() :] if guard else text
        opcode, _, operands = rest.partition(" ")
        name, *kinds = opcode.split(".")
        renamed = tuple(re.sub(r"[\w%$]+", lambda m: self.rename(m.group()), word) for word in split_operands(operands))
        return Instruction(
            name,
            tuple(kinds),
            renamed,
            self.rename(guard.group(2)) if guard else "",
            bool(guard and guard.group(1)),
            text,
        )


def closing(text, start):
    depth = 0
    for found in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if found.group() == "{" else -1
        if depth == 0:
            return found.start()
    raise PtxError("a brace is not closed")


def parse(text):
    """The module; kernels' bodies are parsed when they are wanted."""
    text = strip_comments(text)
    module = Module(re.search(r"\.target\s+(\w+)", text).group(1))
    at = 0
    head = re.compile(r"\s*(?:\.(?:version|target|address_size|file)\s+[^\n]*)")
    entry = re.compile(r"\s*(?:\.visible\s+|\.weak\s+)*\.entry\s+([\w$]+)\s*\(([^)]*)\)[^{]*")
    end_of_text = len(text.rstrip())
    while at < end_of_text:
        if found := head.match(text, at):
            at = found.end()
        elif found := entry.match(text, at):
            end = closing(text, found.end())
            kernel = Kernel(found.group(1), parse_parameters(found.group(2)), body=text[found.end() + 1 : end])
            module.kernels[kernel.name] = kernel
            at = end + 1
        else:
            end = text.index(";", at)
            statement = text[at:end].strip()
            if statement.startswith((".func", ".visible .func", ".weak .func")):
                raise PtxError(f"functions are not understood: {statement[:80]}")
            parse_variable(statement, module.variables)
            at = end + 1
    return module
