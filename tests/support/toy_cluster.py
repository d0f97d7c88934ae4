"""A cluster of this one machine, for the guide's commands: ssh, and of SLURM sbatch, srun and scontrol.

Each host is this machine, whatever its name. A job runs at once, in two tasks; its time is up, and its ranks are sent
the signal that it asked for, when they have shown a first step: the first time that it runs."""
import pathlib
import sys

SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
shift  # the host
exec sh -c "$*"
"""
# Without PMIx each task is a program by itself.
SRUN = """#!/bin/sh
told="$*"
while [ "${1#-}" != "$1" ]; do shift; done
case $told in
  *--mpi=pmix*) exec mpirun -np "$SLURM_NTASKS" "$@" ;;
esac
SLURM_STEP_NUM_TASKS=${SLURM_NTASKS:-2}
export SLURM_STEP_NUM_TASKS
"$@"
"""
SCONTROL = """#!/bin/sh
[ "$1 $2" = "requeue 1" ] && echo yes >requeued
"""
SBATCH = """#!{python}
import os, pathlib, re, signal, subprocess, sys, time
sys.path.insert(0, {tests!r})
from support.engine import ranks_below

script, requeued = pathlib.Path(sys.argv[1]), pathlib.Path("requeued")
asked = dict(re.findall(r"--([a-z-]+)(?:=(\\S+))?", " ".join(re.findall("^#SBATCH (.*)$", script.read_text(), re.M))))
log = pathlib.Path(asked["output"].replace("%j", "1"))
assert asked.keys() >= {{"requeue", "open-mode", "time"}} and asked["open-mode"] == "append", asked
number = getattr(signal, "SIG" + asked["signal"].partition("@")[0])
environment = os.environ | {{"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": asked["cpus-per-task"]}}
print("Submitted batch job 1", flush=True)
for run in range(2):
    with log.open("a") as output:
        job = subprocess.Popen(["bash", script], stdout=output, stderr=output, env=environment)
        while run == 0 and job.poll() is None and " step " not in log.read_text():
            time.sleep(0.01)
        for rank in ranks_below(job.pid).values() if run == 0 else ():
            os.kill(rank, number)
        job.wait()
    if not requeued.exists():
        break
    requeued.unlink()
"""


def make(folder):
    """Fills `folder`; the environment in which these programs are found, and in which mpirun makes do with a machine
    that may be root's and have few processors."""
    tests = pathlib.Path(__file__).resolve().parent.parent
    folder.mkdir()
    for name, text in (("ssh", SSH), ("srun", SRUN), ("scontrol", SCONTROL),
                       ("sbatch", SBATCH.format(python=sys.executable, tests=str(tests)))):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    settings = {"rmaps_base_oversubscribe": "1", "mpi_yield_when_idle": "1", "plm_rsh_agent": folder / "ssh"}
    return {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            **{f"OMPI_MCA_{name}": str(value) for name, value in settings.items()}}
