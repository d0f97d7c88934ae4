#!/usr/bin/env python3
"""Every #include goes the way that FOLDERS allows, and none goes round.

usage: tests/test_include_graph.py

Also: a public header includes public headers and the standard library alone (tests/test_headers.py compiles them), and
the examples and the Python package include public headers only.
"""
import pathlib
import posixpath
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = (".h", ".cpp", ".cu")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)
WRITTEN_BY_THE_BUILD = {"simclr/simclr.h": "cmake/simclr.h.in"}

# A folder, and those whose files it may include besides its own. What lies deeper and has no line of its own belongs to
# the folder above it. A new folder of data/ or of the examples needs a line.
ALL_OF_THE_LIBRARY = ["core", "kernels", "nn", "data", "data/pictures", "data/sound", "data/text", "data/video",
                      "data/pairs"]
FOLDERS = {
    "core": [],
    "kernels": ["core"],
    "nn": ["core", "kernels"],
    "data": ["core", "kernels"],
    "data/pictures": ["core", "kernels", "data"],
    "data/sound": ["core", "kernels", "data"],
    "data/text": ["core", "kernels", "data"],
    "data/video": ["core", "kernels", "data", "data/pictures"],
    "data/pairs": ["core", "kernels", "data", "data/text"],
    "examples/recipes": ALL_OF_THE_LIBRARY,
    "examples/run": ALL_OF_THE_LIBRARY,
    "examples/report": [*ALL_OF_THE_LIBRARY, "examples/run"],
    "examples/train": [*ALL_OF_THE_LIBRARY, "examples/recipes", "examples/run"],
    "examples/check": [*ALL_OF_THE_LIBRARY, "examples/run", "examples/train"],
    "examples/modalities": [*ALL_OF_THE_LIBRARY, "examples/recipes", "examples/run", "examples/train"],
    "examples/program": [*ALL_OF_THE_LIBRARY, "examples/recipes", "examples/run", "examples/report", "examples/train",
                         "examples/check"],
    "examples": [*ALL_OF_THE_LIBRARY, "examples/recipes", "examples/run", "examples/report", "examples/train",
                 "examples/check", "examples/modalities", "examples/program"],
    "python": [*ALL_OF_THE_LIBRARY, "examples/run", "examples/train", "examples/modalities",
               "examples/program"],
}
LIBRARY = ("core/", "kernels/", "nn/", "data/")


def folder_of(path):
    """The line of FOLDERS that a file belongs to."""
    fitting = [folder for folder in FOLDERS if path.startswith(folder + "/")]
    return max(fitting, key=len)


def without_line(path):
    """The folder that has sources and needs a line in FOLDERS, but has none."""
    parent = posixpath.dirname(path)
    return parent if parent.startswith(("data/", "examples/")) and parent not in FOLDERS else None


def circle(edges):
    """A way from a node of `edges` (node -> nodes) back to it, or nothing."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for target in sorted(edges.get(node, ())):
            found = visit(target)
            if found:
                return found
        done.add(path.pop())
        return None
    return next(filter(None, map(visit, sorted(edges))), None)


class Tree:
    """The files below a root, and what they include of one another."""

    def __init__(self, root):
        self.root = root
        tops = sorted({folder.split("/")[0] for folder in FOLDERS})
        self.files = sorted(path.relative_to(root).as_posix() for top in tops for path in (root / top).rglob("*")
                            if path.suffix in SOURCES)
        self.text = {file: (root / file).read_text() for file in self.files}
        self.edges, self.foreign, self.lost = {}, {}, []
        for file in self.files:
            self.edges[file], self.foreign[file] = set(), set()
            for angled, quoted in INCLUDE.findall(self.text[file]):
                self.add(file, angled or quoted, bool(quoted))

    def add(self, file, name, quoted):
        if name in WRITTEN_BY_THE_BUILD:
            own = INCLUDE.findall((self.root / WRITTEN_BY_THE_BUILD[name]).read_text())
            self.edges[file] |= {header.removeprefix("simclr/") for header, _ in own}
        elif name.startswith("simclr/") or quoted:
            places = [name.removeprefix("simclr/"), posixpath.normpath(posixpath.join(posixpath.dirname(file), name)),
                      posixpath.join("examples", name)]
            found = [place for place in places if place in self.text]
            if found:
                self.edges[file].add(found[0])
            else:
                self.lost.append(f'{file} includes "{name}", which is not there')
        else:
            self.foreign[file].add(name)

    def is_private(self, file):
        return file.startswith(LIBRARY) and (file.startswith("kernels/") and file.count("/") > 1 or
                                             re.search(r"^// Private", self.text[file], re.MULTILINE) is not None)

    def is_public_header(self, file):
        return file.endswith(".h") and file.startswith(LIBRARY) and not self.is_private(file)

    def wrong(self):
        """What goes against FOLDERS, a line each."""
        found = list(self.lost)
        found += [f"{folder} has sources, but no line in FOLDERS" for folder in
                  sorted(set(filter(None, map(without_line, self.files))))]
        for file in self.files:
            own, public = folder_of(file), self.is_public_header(file)
            for target in sorted(self.edges[file]):
                folder = folder_of(target)
                if folder != own and folder not in FOLDERS[own]:
                    found.append(f"{file} includes {target}: {own} knows {', '.join(FOLDERS[own]) or 'none'} alone")
                elif self.is_private(target) and (public or file.startswith(("examples/", "python/"))):
                    found.append(f"{file} includes {target}, which is private")
            for name in sorted(self.foreign[file]):  # a header of the standard library has neither a dot nor a folder
                if re.search(r"[./]", name) and (public or file.startswith("core/") and file.endswith(".h")):
                    found.append(f"{file} includes <{name}>; headers include the standard library only")
        round_trip = circle(self.edges)
        return found + ([f"a circle: {' -> '.join(round_trip)}"] if round_trip else [])


class IncludeGraph(unittest.TestCase):
    maxDiff = None

    def test_the_table_has_no_circle(self):
        self.assertIsNone(circle(FOLDERS))
        self.assertEqual(circle({"a": ["b"], "b": ["c"], "c": ["b"]}), ["b", "c", "b"])
        self.assertFalse({target for targets in FOLDERS.values() for target in targets} - set(FOLDERS))

    def test_the_project_keeps_to_it(self):
        tree = Tree(ROOT)
        self.assertGreater(sum(map(len, tree.edges.values())), 500)
        wrong = tree.wrong()
        if wrong:
            self.fail("\n" + "\n".join(wrong))

    def test_what_is_wrong_is_seen(self):
        files = {
            "cmake/simclr.h.in": "#include <simclr/nn/a.h>\n",
            "core/a.h": "#include <vector>\n",
            "core/secret.h": "// Private to core\n#include <Eigen/Core>\n",
            "kernels/a.h": "#include <simclr/core/a.h>\n#include <cuda_runtime.h>\n",
            "kernels/cuda/a.h": "#include <cuda_runtime.h>\n#include <simclr/kernels/a.h>\n",
            "nn/a.h": '#include <simclr/kernels/cuda/a.h>\n  #  include "missing.h"\n// #include "no.h"\n',
            "data/a.cpp": "#include <simclr/nn/a.h>\n#include <zlib.h>\n",
            "core/b.cpp": "#include <simclr/data/b.h>\n",
            "data/b.h": "#include <simclr/data/c.h>\n",
            "data/c.h": '#include "b.h"\n',
            "examples/a.cpp": '#include <simclr/core/secret.h>\n#include <simclr/simclr.h>\n#include "run/a.h"\n',
            "examples/run/a.h": "#include <CLI/CLI.hpp>\n",
            "examples/run/b.cpp": '#include "train/a.h"\n',
            "examples/train/a.h": "",
            "examples/new/a.cpp": "",
            "data/new/a.cpp": "",
            "data/d.cpp": "#include <simclr/data/pictures/a.h>\n",
            "data/pictures/a.h": "",
        }
        with tempfile.TemporaryDirectory(prefix="simclr-includes-") as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            self.assertEqual(Tree(pathlib.Path(folder)).wrong(), [
                'nn/a.h includes "missing.h", which is not there',
                "data/new has sources, but no line in FOLDERS",
                "examples/new has sources, but no line in FOLDERS",
                "core/b.cpp includes data/b.h: core knows none alone",
                "core/secret.h includes <Eigen/Core>; headers include the standard library only",
                "data/a.cpp includes nn/a.h: data knows core, kernels alone",
                "data/d.cpp includes data/pictures/a.h: data knows core, kernels alone",
                "examples/a.cpp includes core/secret.h, which is private",
                "examples/run/b.cpp includes examples/train/a.h: examples/run knows core, kernels, nn, data, "
                "data/pictures, data/sound, data/text, data/video, data/pairs alone",
                "kernels/a.h includes <cuda_runtime.h>; headers include the standard library only",
                "nn/a.h includes kernels/cuda/a.h, which is private",
                "a circle: data/b.h -> data/c.h -> data/b.h",
            ])


if __name__ == "__main__":
    unittest.main()
