"""Several processes as mpirun starts them: each run ends, whatever hangs."""
import os
import pathlib
import subprocess
import time

LIMIT = 120  # seconds that no run may take, whatever hangs
# A test machine may be root's, and have fewer cores than ranks, which then give way to one another.
ENGINE = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]


def limited(command, seconds=LIMIT):
    return ["timeout", "-k", "5", str(seconds), *map(str, command)]  # -k: mpirun, which the signal ends, may not end all


class Done:
    def __init__(self, command, environment=None):
        begin = time.monotonic()
        done = subprocess.run(limited(command), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, **(environment or {})))
        self.seconds = time.monotonic() - begin
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def lines(self):
        return sorted(self.out.splitlines())


def parent_of(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it has ended


def runs(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # a container may have nobody who waits for those whose parent has gone


def below(pid):
    """All processes that `pid` has started, and those that these have."""
    parents = {int(each.name): parent_of(each) for each in pathlib.Path("/proc").iterdir() if each.name.isdigit()}
    found = []
    for process in parents:
        above = parents[process]
        while above not in (0, 1, pid):
            above = parents.get(above, 0)
        if above == pid:
            found.append(process)
    return found


def ranks_below(pid):
    """The processes that an engine under `pid` has started: {rank: process id}."""
    found = {}
    for process in below(pid):
        try:
            variables = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = [value for value in variables if value.startswith(b"OMPI_COMM_WORLD_RANK=")]
        if rank:
            found[int(rank[0].partition(b"=")[2])] = process
    return found
