"""What simclr raises."""


class Error(Exception):
    """Every error of simclr. Its text says what was wrong, where, and what to do."""


class InputError(Error, ValueError):
    """An argument is at fault: its type, dtype, shape, device or value."""


class RunError(Error, RuntimeError):
    """The arguments are well, but what was asked cannot be done: a file, a device, a library or a process."""


class OutOfMemory(RunError, MemoryError):
    """A device has no memory left for what was asked; less may fit."""


for _class in (Error, InputError, RunError, OutOfMemory):
    _class.__module__ = "simclr"  # where people find them
