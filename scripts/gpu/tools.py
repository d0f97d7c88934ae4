"""What scripts/gpu_check runs programs with, how it finds the GPU and its tools, and how it reads their output."""
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

START = time.monotonic()


def say(line):
    print(f"[{time.monotonic() - START:4.0f} s] {line}", flush=True)


class Result:
    """A finished command: `code` is None where it was cut off."""

    def __init__(self, code, output, seconds):
        self.code, self.output, self.seconds = code, output, seconds

    def last(self):
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "no output"


def run(command, log, limit, environment=None, watch=None):
    """Runs `command` at most `limit` seconds, its output in the file `log`. Every 20 s says how far `watch` is."""
    begin = time.monotonic()
    env = {**os.environ, **(environment or {})}
    with open(log, "wb") as out:
        try:
            process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, env=env, cwd=ROOT, start_new_session=True)
        except OSError as error:
            return Result(127, f"{command[0]}: {error.strerror}", 0.0)
        code, said = None, begin
        try:
            while True:
                now = time.monotonic()
                if now - begin > limit:
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(min(1.0, limit - (now - begin) + 0.01))
                    break
                if watch and time.monotonic() - said > 20:
                    said = time.monotonic()
                    say(f"  {watch}: {Result(None, tail(log), 0).last()}")
        finally:
            for kind in (signal.SIGTERM, signal.SIGKILL):  # with all that it started
                if process.poll() is None:
                    os.killpg(process.pid, kind)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(5)
    return Result(code, pathlib.Path(log).read_text(errors="replace"), time.monotonic() - begin)


def tail(log):
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 2000))
        return file.read().decode(errors="replace")


def ask(*command):
    """The output of a short command; empty where it does not run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


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


def find_cudnn(nvcc):
    """A folder for CUDNN_ROOT: Python's package, where cuDNN is not beside CUDA or in the system's folders."""
    if os.environ.get("CUDNN_ROOT"):
        return os.environ["CUDNN_ROOT"]
    include = [pathlib.Path("/usr/include"), pathlib.Path(f"/usr/include/{platform.machine()}-linux-gnu")]
    if nvcc:
        include.append(nvcc.resolve().parent.parent / "include")
    if any((folder / "cudnn_version.h").exists() for folder in include):
        return None
    return ask("python3", "-c", "import nvidia.cudnn; print(list(nvidia.cudnn.__path__)[0])") or None


SKIP_CODE = 77  # of a device test without a device
ERROR_CODE = 99  # of compute-sanitizer; a device test never ends with it


def reports(output):
    """compute-sanitizer's reports, each a list of lines: the first begins after one space, what belongs to it after
    several."""
    found = []
    for line in output.splitlines():
        text = line.removeprefix("=========")
        if text != line and re.match(r" \S", text):
            found.append([text])
        elif text != line and text.strip() and found:
            found[-1].append(text)
    return [report for report in found if len(report) > 1]


def is_ours(report):
    """Whether a report is about a kernel of ours or, where it names none, about a call from our code."""
    places = [line for line in report if "Host Frame" not in line and re.search(r"\bat .*(\+0x| in )", line)]
    return any("simclr" in line for line in places or report)


def sanitizer_verdict(result):
    if result.code is None:
        return "cut off", f"after {result.seconds:.0f} s"
    summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", result.output)
    note = summary[-1] if summary else result.last()
    if "not supported" in result.output and not summary:
        return "skipped", note
    if result.code == SKIP_CODE:
        return "skipped", "the program found no device"
    if result.code not in (0, ERROR_CODE):
        return "failed", f"exit code {result.code}: {note}"
    found = reports(result.output)
    counted = re.search(r"SUMMARY: (\d+) (?:error|hazard)", note)
    unread = int(counted.group(1)) - len(found) if counted else 0
    if any(map(is_ours, found)) or unread > 0 or result.code == ERROR_CODE and not found:
        return "failed", note
    return "passed", f"{len(found)} reports about the vendors' code" if found else ""


def own_kernels(program):
    """Whether a device test runs kernels of ours: gemm's and convolution's are the vendors'."""
    source = ROOT / "kernels" / (program.name[len("device_"):] + ".cu")
    return not source.exists() or "launch(" in source.read_text() or "map<" in source.read_text()


def json_lines(text):
    values = []
    for line in text.splitlines():
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                values.append(json.loads(line))
    return values
