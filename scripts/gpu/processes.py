"""Runs programs that are cut off at a limit, with all that they started."""
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START = time.monotonic()
POLL = 0.1  # seconds
GRACE = 1.0  # from the friendly signal to the other
GIVEN_UP = 2.0  # seconds after which one that no signal ends is left behind: it waits for the driver

stop = threading.Event()  # set where the whole run is interrupted


def say(line):
    print(f"[{time.monotonic() - START:4.0f} s] {line}\n", end="", flush=True)  # whole, whichever thread says it


class Result:
    """A finished command: `code` is None where it was cut off."""

    def __init__(self, code, output, seconds, log=None):
        self.code, self.output, self.seconds, self.log = code, output, seconds, log

    def last(self):
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "no output"


def run(command, log, limit, environment=None, watch=None):
    """Runs `command` at most `limit` seconds, its output in the file `log`. Every 20 s says how far `watch` is."""
    begin = time.monotonic()
    with open(log, "wb") as out:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                       env={**os.environ, **(environment or {})}, cwd=ROOT, start_new_session=True)
        except OSError as error:
            return Result(127, f"{command[0]}: {error.strerror}", 0.0, log)
        code, said = None, begin
        try:
            while time.monotonic() - begin < limit and not stop.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(min(POLL, limit))
                    break
                if watch and time.monotonic() - said > 20:
                    said = time.monotonic()
                    say(f"  {watch}: {Result(None, tail(log), 0).last()}")
        finally:
            end_group(process)
    return Result(code, pathlib.Path(log).read_text(errors="replace"), time.monotonic() - begin, log)


def family(pid):
    """A process and what it has started, sessions of their own among it."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def end_group(process):
    """Ends the program, and what it started and left, whether or not it has ended itself."""
    others = []
    if process.poll() is None:
        others = family(process.pid)[1:]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for other in others:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(other, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GIVEN_UP)


def tail(log):
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 2000))
        return file.read().decode(errors="replace")


def ask(*command, limit=20):
    """The output of a short command; empty where it does not run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
