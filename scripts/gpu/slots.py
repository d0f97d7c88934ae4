"""A table of slots: what is run on a machine with a GPU, in which order, and for how long at most.

A table is a TOML file, scripts/gpu/day.toml for example:

    seconds = 590            # of all; a table whose slots and END together take more is refused
    values = {epochs = 100, once = ["--cold", "0"]}  # for {epochs} and {once}; --set epochs=3 changes one

    [[slot]]
    name = "tests"
    seconds = 80             # then whatever runs is killed, and the next slot begins
    each = 40                # of one command
    together = 3             # commands at a time; 1 where it is left out
    after = ["build"]        # slots, or "slot/command", that must have passed; else it is left out
    unless = ["programs"]    # it is needed only where one of these did not pass, and its seconds do not count
    gpu = false              # it can run without a GPU
    reader = "test"          # of READERS: what is made of the output
    chain = true             # the first command that does not pass ends it

    [[slot.command]]
    items = ["gemm"]         # a command each, for {item}; or the name of a value that lists them: "device_tests" are all
    name = "{item}"          # the slot's where it is left out
    run = "{build}/tests/device_{item}"
    programs = ["benchmarks/bench_gemm"]  # that it starts itself
    packages = ["torch"]     # of python3
    capability = "9.0"       # on another GPU it is not needed
    exists = "{data}/file"   # where that is there it is not needed
    environment = {SIMCLR_TEST_DEVICE = "cuda"}

A word of `run` that names a value in braces is one argument, whatever spaces the value has; several, where it is a list.
"""
import dataclasses
import pathlib
import re
import shlex
import tomllib
DEVICE_TESTS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "device"
END = 8  # seconds that the record and the logs take


class Wrong(Exception):
    """The table is wrong; the message is the one line that the user sees."""


@dataclasses.dataclass
class Command:
    name: str
    words: list
    programs: list
    packages: list
    capability: str
    exists: str
    environment: dict


@dataclasses.dataclass
class Slot:
    name: str
    seconds: float
    each: float
    together: int
    after: list
    unless: list
    gpu: bool
    reader: str
    chain: bool
    commands: list


@dataclasses.dataclass
class Table:
    seconds: float
    values: dict
    slots: list

    def programs(self):
        """What the slots start of the build, as it lies there: ["examples/train_cifar", ...]."""
        found = {}
        for slot in self.slots:
            for command in slot.commands:
                named = [word.removeprefix("{build}/") for word in command.words if word.startswith("{build}/")]
                found |= dict.fromkeys([*named, *command.programs])
        return [name for name in found if re.fullmatch(r"(tests|benchmarks|examples)/\w+", name)]


def items_of(named, values):
    """A list, or the value of that name. Of its items "+OTHER" stands for those of another, and "-ITEM" takes one out."""
    if isinstance(named, str):
        if not isinstance(values.get(named), list):
            raise Wrong(f"items: there is no list {named}")
        named = values[named]
    found = []
    for item in named:
        if item.startswith("-"):
            found = [other for other in found if other != item[1:]]
        else:
            found += items_of(item[1:], values) if item.startswith("+") else [item]
    return found


def read_command(found, slot, values):
    known = {"items", "name", "run", "programs", "packages", "capability", "exists", "environment"}
    if unknown := found.keys() - known:
        raise Wrong(f"slot {slot}: a command knows no {min(unknown)}")
    if "run" not in found:
        raise Wrong(f"slot {slot}: a command has no run")
    for item in items_of(found.get("items", [""]), values):
        def filled(text):
            return text.replace("{item}", item)
        yield Command(filled(found.get("name", "{item}" if item else slot)), [filled(w) for w in shlex.split(found["run"])],
                      found.get("programs", []), found.get("packages", []), found.get("capability", ""),
                      found.get("exists", ""), found.get("environment", {}))


def read_slot(found, scale, values):
    known = {"name", "seconds", "each", "together", "after", "unless", "gpu", "reader", "chain", "command"}
    name = found.get("name", "without a name")
    if unknown := found.keys() - known:
        raise Wrong(f"slot {name}: knows no {min(unknown)}")
    for key in ("name", "seconds", "command"):
        if key not in found:
            raise Wrong(f"slot {name}: has no {key}")
    commands = [command for one in found["command"] for command in read_command(one, name, values)]
    if len({command.name for command in commands}) < len(commands):
        raise Wrong(f"slot {name}: two commands have one name")
    seconds = found["seconds"] * scale
    return Slot(name, seconds, min(found.get("each", found["seconds"]) * scale, seconds), found.get("together", 1),
                found.get("after", []), found.get("unless", []), found.get("gpu", True), found.get("reader", "exit"),
                found.get("chain", False), commands)


def read(path, scale=1.0):
    """The table of a file, all its seconds times `scale`. Raises Wrong."""
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Wrong(f"{path}: {error}") from error
    slots, seen = [], set()
    values = {"device_tests": sorted(path.stem.removeprefix("test_") for path in DEVICE_TESTS.glob("test_*.cpp")),
              **found.get("values", {})}
    for one in found.get("slot", []):
        slot = read_slot(one, scale, values)
        if slot.name in seen:
            raise Wrong(f"slot {slot.name}: stands there twice")
        for earlier in [*slot.after, *slot.unless]:
            if earlier not in seen:
                raise Wrong(f"slot {slot.name}: {earlier} is no earlier slot or command")
        slots.append(slot)
        seen |= {slot.name, *(f"{slot.name}/{command.name}" for command in slot.commands)}
    if not slots:
        raise Wrong(f"{path}: has no slot")
    table = Table(found.get("seconds", 0) * scale, found.get("values", {}), slots)
    total = sum(slot.seconds for slot in slots if not slot.unless) + END * scale
    if total > table.seconds:
        raise Wrong(f"{path}: the slots take {total:g} s, with {END * scale:g} s for the record, of {table.seconds:g} s")
    return table
