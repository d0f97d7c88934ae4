"""The training programs, which lie in the package's folder bin, as commands."""
import os
import pathlib
import sys
from typing import Callable, NoReturn


def _program(name: str) -> Callable[[], NoReturn]:
    def run() -> NoReturn:
        program = pathlib.Path(__file__).parent / "bin" / name
        try:
            os.execv(program, [name, *sys.argv[1:]])
        except OSError as error:
            sys.exit(f"{name}: {program}: {error.strerror}; install simclr again")

    return run


train_cifar = _program("train_cifar")
train_speech = _program("train_speech")
train_text = _program("train_text")
train_video = _program("train_video")
train_pairs = _program("train_pairs")
