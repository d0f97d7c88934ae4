"""Python packages that check our files but that the library does not need: torch, safetensors and the like."""
import importlib.util
import os
import pathlib
import sys

VENV = pathlib.Path(__file__).resolve().parents[2] / "build/python/bin/python"


def require(*packages):
    """Goes on where these packages can be imported: here, else in the environment that scripts/install_deps --test
    makes. Ends with 77, ctest's mark for a skipped test, where they are missing there, too."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return
    if VENV.exists() and pathlib.Path(sys.prefix) != VENV.parent.parent:
        sys.stdout.flush()
        os.execv(VENV, [VENV, *sys.argv])
    print(f"skipped: Python has no {', '.join(missing)}; scripts/install_deps --test installs them")
    sys.exit(77)
