"""What there is on a machine with a GPU: the GPU, CUDA's tools, Python's packages with CUDA's libraries."""
import functools
import json
import os
import pathlib
import re
import shutil

from .processes import ROOT, ask

# The version of each package, without an import; and the folders of NVIDIA's wheels.
PACKAGES = """
import importlib.metadata, importlib.util, json, pathlib
def version(name):
    try: return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError: return None
found = importlib.util.find_spec("nvidia")
folders = [folder for place in (found.submodule_search_locations if found else []) for folder in pathlib.Path(place).glob("*")]
print(json.dumps({"torch": version("torch"), "pillow": version("pillow"),
                  "cudnn": version("nvidia-cudnn-cu13") or version("nvidia-cudnn-cu12"),
                  "folders": sorted(str(folder) for folder in folders if (folder / "lib").is_dir())}))
"""


def find_gpu():
    """The first GPU as a dictionary, or a line that says why there is none."""
    if not shutil.which("nvidia-smi"):
        return "there is no nvidia-smi, so no NVIDIA driver"
    line = ask("nvidia-smi", "--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader")
    values = [value.strip() for value in line.splitlines()[0].split(",")] if line else []
    if len(values) != 4:
        return "nvidia-smi lists no GPU"
    return dict(zip(("name", "driver", "capability", "memory"), values))


def find_cuda_tool(name):
    """The path of nvcc, compute-sanitizer or ncu, or None."""
    for home in filter(None, (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda")):
        for folder in ("bin", name):
            path = pathlib.Path(home) / folder / name
            if path.is_file():
                return path
    found = shutil.which(name)
    return pathlib.Path(found) if found else None


@functools.cache
def kernel_filter():
    """The options by which compute-sanitizer looks at our kernels alone: the vendors' are theirs to check."""
    tool = find_cuda_tool("compute-sanitizer")
    known = ask(str(tool), "--help") if tool else ""
    names = [option for option in ("--kernel-name", "--kernel-regex", "--filter") if option + " " in known]
    return [names[0], "kns=simclr"] if names else []


def cuda_version():
    nvcc = find_cuda_tool("nvcc")
    found = re.search(r"release [\d.]+, V([\d.]+)", ask(str(nvcc), "--version")) if nvcc else None
    return found[1] if found else "unknown"


@functools.cache
def packages():
    """Of the python3 on the PATH: {"torch": its version or None, "pillow": ..., "folders": NVIDIA's, with lib}."""
    python = shutil.which("python3")
    said = ask(python, "-c", PACKAGES) if python else ""
    try:
        return json.loads(said)
    except ValueError:
        return {"torch": None, "pillow": None, "cudnn": None, "folders": []}


def library_path():
    """LD_LIBRARY_PATH by which programs of another machine find this one's cuBLAS and cuDNN."""
    nvcc = find_cuda_tool("nvcc")
    places = [str(nvcc.resolve().parent.parent / "lib64")] if nvcc else []
    before = os.environ.get("LD_LIBRARY_PATH")
    return ":".join([*([before] if before else []), *places, *(f"{folder}/lib" for folder in packages()["folders"])])


def commit(told, bundle):
    """Of the sources: as told, as git says, or as the bundle says where there is no git."""
    carried = bundle / "commit"
    return told or ask("git", "-C", str(ROOT), "describe", "--always", "--dirty") or \
        (carried.read_text().strip() if carried.exists() else "") or "unknown"
