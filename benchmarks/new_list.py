"""What the programs here that write lists for the training programs share."""
import pathlib
import sys


def write_new(path, text):
    """Writes the file, unless one with other content lies there: then the program ends with a word."""
    content = text.encode()
    if path.exists() and path.read_bytes() != content:
        sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {path} is there with other content; move it away first")
    path.write_bytes(content)
