"""The public headers as they are installed: each compiles alone, includes nothing but public headers and the standard
library, and names no third-party type. And kernels/*.h are contracts and nothing else.

usage: test_headers.py BUILD_FOLDER COMPILER
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wno-sign-conversion",
         "-Werror"]
THIRD_PARTY = re.compile(r"\b(Eigen|boost|dnnl\w*|nlohmann|cuda\w+|cu(blas|dnn)\w+|cub|thrust|__nv_\w+|omp_\w+|"
                         r"jpeg_\w*compress\w*|png_(struct|info)\w*|TIFF[A-Z]\w+|WebP[A-Z]\w+|stbi?_\w+|gz\w+|z_stream\w*|archive_\w+|la_\w+)\b")


def compile_alone(compiler, include, source, code):
    """Compiles `code`, written to `source`, and returns what it includes, itself left out."""
    source.write_text(code)
    listing = source.with_suffix(".d")
    done = subprocess.run([compiler, *FLAGS, "-I", include, "-MD", "-MF", listing, source], capture_output=True, text=True)
    assert done.returncode == 0, f"{code}does not compile:\n{done.stderr}"
    words = listing.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    return {os.path.realpath(word) for word in words} - {os.path.realpath(source)}


def code_of(header):
    """The header without comments and strings."""
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(\\.|[^\"\\\n])*\"", " ", header.read_text(), flags=re.DOTALL)


def check_contracts():
    """Each header of kernels/ itself is an op's contract, with the CPU's and the GPU's implementation beside it."""
    headers = sorted((pathlib.Path(__file__).resolve().parent.parent / "kernels").glob("*.h"))
    assert headers, "kernels/ has no header"
    for header in headers:
        for beside in (header.with_suffix(".cpp"), header.with_suffix(".cu")):
            assert beside.exists(), (f"kernels/{header.name} has no {beside.name} beside it: what is no contract lies in "
                                     "kernels/shared, kernels/cpu or kernels/cuda")


def main():
    build, compiler = sys.argv[1:]
    check_contracts()
    with tempfile.TemporaryDirectory(prefix="simclr-headers-") as folder:
        folder = pathlib.Path(folder).resolve()
        subprocess.run(["cmake", "--install", build, "--prefix", folder / "installed"], check=True, stdout=subprocess.DEVNULL)
        include = folder / "installed" / "include"
        headers = sorted(include.rglob("*.h"))
        names = [str(header.relative_to(include)) for header in headers]
        for needed in ("simclr/simclr.h", "simclr/core/tensor.h", "simclr/kernels/nt_xent.h",
                       "simclr/data/pictures/cifar.h"):
            assert needed in names, f"{needed} is not installed"
        for private in ("simclr/core/tensor_impl.h", "simclr/kernels/shared/check.h", "simclr/data/file.h"):
            assert private not in names, f"{private} is private, but installed"
        folders = {"/".join(pathlib.Path(name).parts[1:-1]) for name in names}
        assert folders == {"", "core", "kernels", "nn", "data", "data/pictures", "data/sound", "data/text", "data/video",
                           "data/pairs"}, f"installed are {folders}"

        for header, name in zip(headers, names):
            assert not re.search(r"^///+ *Private", header.read_text(), re.MULTILINE), f"{name}: say it with // Private"
            words = {found[0] for found in THIRD_PARTY.finditer(code_of(header))}
            assert not words, f"{name} names {', '.join(sorted(words))}"

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            standard = pool.submit(compile_alone, compiler, include, folder / "standard.cpp", "#include <bits/stdc++.h>\n")
            runs = [pool.submit(compile_alone, compiler, include, folder / f"{i}.cpp", f"#include <{name}>\n" * 2)
                    for i, name in enumerate(names)]
            own = {str(header) for header in headers}
            for name, run in zip(names, runs):
                foreign = run.result() - own - standard.result()
                assert not foreign, f"{name} includes {', '.join(sorted(foreign))}"
        print(f"{len(names)} headers")


if __name__ == "__main__":
    main()
