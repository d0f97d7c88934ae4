"""A document's commands and programs, run and compared with what it says they print. tests/test_docs.py tells how a
document is written."""
import difflib
import json
import os
import re
import signal
import subprocess

from support import commands, docs_folder, markdown

NUMBER = r"[+-]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"
DURATION = r"(?:\d+ h )?(?:\d+ min )?\d+ s\b|\d+ h \d+ min\b"
BYTES = r"\d+(?:\.\d+)? (?:bytes|kB|MB|GB)\b"
FIGURE = f"{BYTES}|{DURATION}|{NUMBER}"
PLURAL = r"\A(\\ [a-z]+)s\b"  # behind a number that may be 1
PEERS = "torch|torchvision|numpy|safetensors|tensorboard|onnx|onnxruntime"
TERMS = {"figures vary", "prints nothing", "fails", "interrupted", "printed above", "in a copy", "in a copy, too",
         "with a toy GPU"}
TERMS_WITH_VALUE = r"with -.+|figures within (?P<percent>\d+) %"
LIMIT = 400  # seconds that a block may take; most take one, but machines are shared


def regex_of(expected, figure):
    """A regular expression for an output as a document shows it. `figure`: one for each number; empty: as it stands."""
    def literal(text):
        if not figure:
            return re.escape(text)
        first, *rest = re.split(f"({FIGURE})", text)
        pairs = zip(rest[::2], rest[1::2])
        return re.escape(first) + "".join(figure + re.sub(PLURAL, r"\1s?", re.escape(words)) for _, words in pairs)

    out = ""
    for line in expected.splitlines():
        line = re.sub(" +", " ", line.strip())
        out += r"(?:.*\n)*" if line == "..." else ".*".join(literal(part) for part in line.split("...")) + r"\n"
    return out


def normalised(text):
    return "".join(re.sub("[ \t]+", " ", line.strip()) + "\n" for line in text.splitlines())


class Failure(Exception):
    pass


class Skipped(Exception):
    pass


def skip_without_peers(output):
    missing = re.search(rf"No module named '({PEERS})'", output)
    if missing:
        raise Skipped(f"{missing[1]} is not installed")


def more_options(terms):
    return next((term.removeprefix("with ") for term in terms if term.startswith("with -")), "")


def far(expected, got, percent):
    """The pairs of numbers that are not near each other."""
    def value(text):
        return float(text.replace(",", ""))

    shown = re.findall(FIGURE, expected.replace("...", ""))
    return [f"{b}, not {a}" for a, b in zip(shown, got)
            if a != b and abs(value(a) - value(b)) > percent / 100 * max(abs(value(a)), abs(value(b)))]


def compare(expected, got, terms):
    percent = next((int(m["percent"]) for term in terms if (m := re.fullmatch(TERMS_WITH_VALUE, term)) and m["percent"]), 0)
    figure = f"(?:{FIGURE})" if "figures vary" in terms else f"({NUMBER})" if percent else ""
    before, end = (r"(?:.*\n)*?", "") if "printed above" in terms else ("", r"\Z")
    match = re.match(before + regex_of(expected, figure) + end, normalised(got))
    if not match:
        changes = list(difflib.unified_diff(expected.splitlines(True), got.splitlines(True), "document", "run"))
        raise Failure(f"it prints something else{', figures apart' if figure else ''}:\n{''.join(changes[:100])}")
    if percent and (pairs := far(expected, match.groups(), percent)):
        raise Failure(f"its figures are more than {percent} % off: {', '.join(pairs)}")


class Document:
    limit = LIMIT

    def __init__(self, path, folder, environment, snippets=None, unbuilt=()):
        self.folder, self.environment, self.snippets, self.unbuilt = folder, environment, snippets, unbuilt
        self.blocks = markdown.blocks(path.read_text())
        self.path, self.output = path, ""

    def check(self):
        """Prints what is wrong; the number of failures and of blocks that could not run here."""
        failures = skipped = 0
        while self.blocks:
            block = self.blocks.pop(0)
            try:
                self.check_block(block)
            except Skipped as why:
                skipped += 1
                print(f"{self.path.name}:{block.line}: skipped, {why}")
            except Failure as why:
                failures += 1
                print(f"{self.path.name}:{block.line}: {why}")
        return failures, skipped

    def check_block(self, block):
        terms = set(filter(None, block.comment("test").split("; ")))
        unknown = {term for term in terms - TERMS if not re.fullmatch(TERMS_WITH_VALUE, term)}
        if unknown:
            raise Failure(f"<!-- test: {'; '.join(sorted(unknown))} --> means nothing; see tests/test_docs.py")
        if not self.runs(block, terms):
            return
        absent = [name for name in self.unbuilt if name in block.text]
        if absent and block.language in ("sh", "python", "cpp"):
            self.pop_output()
            raise Skipped(f"{absent[0]} is not in this build")
        for key, command in block.comments:
            if key == "run":
                code, output = self.run(["bash", "-euo", "pipefail", "-c", command], SIMCLR_DOCS_OWN="1")
                skip_without_peers(output)
                if code != 0:
                    raise Failure(f"{command}: exit code {code}:\n{output}")
        if block.language == "text" and "printed above" in terms:
            compare(block.text, self.output, terms)
            return
        if block.language == "json":
            self.check_json(block.text)
        elif block.language == "cmake":
            check_cmake(block)
        elif block.language == "cpp" and "/" in (block.comment("snippet") or "/"):
            if not block.comment("snippet"):
                raise Failure("no <!-- snippet: NAME --> above it, so nothing compiles it")
        elif block.language in ("sh", "python", "cpp"):
            self.check_commands(block, terms)
        else:
            raise Failure(f"a block of {block.language or 'no language'} that no command prints")

    def runs(self, block, terms):
        """Is it run here? Of what runs in a copy of the project: are all its programs, files and options there?"""
        if "in a copy" not in terms:
            return True
        self.pop_output()
        wrong = commands.problems(block.text, self.folder, self.environment)
        if wrong:
            raise Failure("; ".join(wrong))
        return False

    def pop_output(self):
        """The text that follows a block, if it is what the block prints."""
        return self.blocks.pop(0).text if self.blocks and self.is_output(self.blocks[0]) else None

    def check_commands(self, block, terms):
        expected = self.pop_output()
        if (expected is None) != ("prints nothing" in terms):
            raise Failure("what does it print? A block of text must follow, or <!-- test: prints nothing --> stand above")
        command = {"sh": ["bash", "-euo", "pipefail", "-c", block.text], "python": ["python3", "-c", block.text],
                   "cpp": [f"{self.snippets}/snippet_{block.comment('snippet')}"]}[block.language]
        code, output = self.run(command, "interrupted" in terms, SIMCLR_DOCS_WITH=more_options(terms))
        self.output = output
        skip_without_peers(output)
        if "interrupted" in terms and code != 128 + signal.SIGINT:
            raise Failure(f"it was to be interrupted, and ended with exit code {code}:\n{output}")
        if "interrupted" not in terms and (code != 0) != ("fails" in terms):
            raise Failure(f"exit code {code}:\n{output}")
        compare(expected or "", output, terms)

    @staticmethod
    def is_output(block):
        return block.language == "text" and "printed above" not in block.comment("test").split("; ")

    def run(self, command, interrupt=False, **environment):
        """Exit code and output, as on a terminal."""
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment | environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        seen = ""
        while interrupt and " step 1/" not in seen and (line := process.stdout.readline()):
            seen += line
        if interrupt:
            os.killpg(process.pid, signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Failure(f"not done after {self.limit} s") from None
        return process.returncode, seen + rest

    def check_json(self, text):
        try:
            entries = [json.loads(line) for line in text.splitlines()] if text.startswith('{"event"') else []
            json.loads(text) if not entries else None
        except json.JSONDecodeError as error:
            raise Failure(f"no JSON: {error}") from None
        if any("event" not in entry for entry in entries):
            raise Failure("a line of a log without its event")
        if not entries:
            file = self.folder / "block.json"
            file.write_text(text)
            code, output = self.run(["train_cifar", "--config", str(file), "--help"])
            if code != 0:
                raise Failure(f"train_cifar does not take it: {output}")


def check_cmake(block):
    """Its lines stand in a file that the tests configure."""
    if block.comment("snippet"):
        return
    wanted = [line.split("#")[0].strip() for line in block.text.splitlines() if line.split("#")[0].strip()]
    for path in [*docs_folder.ROOT.glob("tests/**/CMakeLists.txt"), *docs_folder.ROOT.glob("tests/**/*.cmake")]:
        lines = {line.split("#")[0].strip() for line in path.read_text().splitlines()}
        if lines.issuperset(wanted):
            return
    raise Failure("no CMakeLists.txt of the tests has all its lines, so nothing configures it")
