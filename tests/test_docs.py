"""Runs the commands and programs of one document, as a reader would, and compares what they print.

A block of sh, python or cpp is followed by a block of text: what it prints. There

    ...             alone in a line stands for any lines, within a line for any text;
    spaces          stand for any number of spaces.

Commands run in order, in a folder of the document's own which looks like the project's (see support/docs_folder.py):
training is short there, and the data are small. A comment above a block, which readers do not see, says more:

    <!-- test: figures vary -->     a number, duration or size in the output stands for any other, "3 steps"
                                    for "1 step", too
    <!-- test: figures within 9 % -->  a number stands for one that is so near
    <!-- test: prints nothing -->   instead of a block of text
    <!-- test: in a copy -->        run by scripts/test_guides, in a copy of the project, as it builds, installs or takes
                                    long; here programs, files and options must exist
    <!-- test: in a copy, too -->   run in both
    <!-- test: with a toy GPU -->   there, with stand-ins for a GPU's programs
    <!-- test: fails -->            the exit code is not 0
    <!-- test: interrupted -->      Ctrl-C is pressed when the first step is shown
    <!-- test: with --epochs 9 -->  more options for the programs; in a copy, for the block's last command
    <!-- test: printed above -->    of text: it is a part of what the last command printed
    <!-- run: COMMAND -->           what must have happened before, in which the command's own options count

Several tests are joined by "; ". A json block is a configuration, which train_cifar must accept, or lines of a log, each with
an "event". A cpp block is a program, compiled by cmake/SimclrSnippets.cmake, or a file of one; a cmake block stands
line by line in a file of the tests. Anything else in a fenced block is an error.
"""
import argparse
import pathlib
import sys
import tempfile

from support import docs_folder
from support.document import Document

SKIP_CODE = 77


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="folder of the built examples")
    parser.add_argument("--snippets", type=pathlib.Path, required=True, help="folder of the programs snippet_NAME")
    parser.add_argument("--benchmarks", type=pathlib.Path, required=True, help="folder of the built benchmarks")
    parser.add_argument("--unbuilt", nargs="*", default=[], help="programs that this build leaves out")
    options = parser.parse_args()
    snippets = options.snippets.resolve()
    with tempfile.TemporaryDirectory(prefix="simclr-docs-") as name:
        folder = pathlib.Path(name)
        environment = docs_folder.make(folder, options.programs.resolve(), snippets, options.benchmarks.resolve())
        failures, skipped = Document(options.document, folder, environment, snippets, options.unbuilt).check()
    print(f"{failures} failures, {skipped} skipped")
    return 1 if failures else SKIP_CODE if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
