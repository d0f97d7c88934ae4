"""Checks commands without running them: that programs, files, presets and options are what they are called."""
import functools
import json
import os
import re
import shlex
import shutil
import subprocess

from support.docs_folder import ROOT

# Programs of the system whose own options are not looked up.
SYSTEM = {"cd", "export", "source", "git", "apt-get", "sudo", "nohup", "tmux", "ninja", "tar", "clang-format", "ssh", "scp", "xargs"}
PREFIXES = {"sudo", "nohup", "time", "nice"}
SOURCES = ("scripts/", "tests/", "benchmarks/", "cmake/", "docs/", "examples/", ".ci/")


@functools.lru_cache(maxsize=None)
def help_of(*command):
    """What a program says with --help, that of its subcommands included."""
    run = subprocess.run([*command, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    text = run.stdout + run.stderr
    listed = re.search(r"^Subcommands:\n((?: +.*\n?)+)", text, flags=re.M)
    return text + "".join(help_of(*command, line.split()[0]) for line in (listed[1].splitlines() if listed else ()))


@functools.lru_cache(maxsize=None)
def cmake_help():
    """With what it says of `cmake --build` and `cmake --install`, which --help leaves out."""
    more = [subprocess.run(["cmake", mode], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            for mode in ("--build", "--install")]
    return help_of("cmake") + "".join(run.stdout + run.stderr for run in more)


def options_added(source):
    """The options that the source of a program adds, a line each; other words in it are none of its options."""
    return "".join(f"{names}\n" for names in re.findall(r'\badd_(?:option|flag)\(\s*"!?([^"]+)"', source))


def has_option(text, option):
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text) is not None


def simple_commands(text):
    """The words of each command of a block: [["cmake", "--preset", "cpu"], ...]."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("();|&"):
                if words:
                    yield words
                words = []
            elif not set(word) <= set("<>"):
                words.append(word)


def wrong_option(words, text):
    for word in words:
        option = word.split("=", 1)[0]
        if re.match(r"-D\w", word):
            name = re.split("[:=]", word[2:])[0]
            known = any(name in path.read_text() for path in [ROOT / "CMakeLists.txt", *ROOT.glob("cmake/*.cmake")])
            if not name.startswith("CMAKE_") and not known:
                return f"{name} is no option of the build"
        elif re.match(r"--?[a-zA-Z]", option) and not has_option(text, option):
            return f"{option} is not in {{}} --help"
    return None


def problem_of(words, folder, path):
    """What is wrong with one command; None where nothing is."""
    while words and (re.match(r"\w+=", words[0]) or words[0] in PREFIXES):
        words = words[1:]
    if not words:
        return None
    for word in words:
        if word.removeprefix("./").startswith(SOURCES) and not (folder / word).exists():
            return f"there is no {word}"
    for flag, name in zip(words, words[1:]):
        if flag == "--preset" and words[0] in ("cmake", "ctest", "scripts/test"):
            presets = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
            if name not in {each["name"] for each in presets}:
                return f"{name} is no preset of CMakePresets.json"
    program, arguments = words[0], words[1:]
    if program == "python3" and arguments and arguments[0].endswith(".py"):
        program, arguments = arguments[0], arguments[1:]
    if program in SYSTEM:
        return None
    if re.match(r"build/\w+/(tests|benchmarks)/", program) and not (folder / program).exists():
        name = os.path.basename(program)
        device = ROOT / "tests" / "device" / f"test_{name.removeprefix('device_')}.cpp"
        known = device.exists() if name.startswith("device_") else any((ROOT / program.split("/")[2]).rglob(f"{name}.cpp"))
        return None if known else f"nothing builds {program}"
    if program.startswith("tests/"):
        text = (ROOT / program).read_text()  # some want more than --help to begin
    elif program.endswith(".py"):
        text = help_of("python3", str(folder / program))
    else:
        found = shutil.which(str(folder / program) if "/" in program else program, path=path)
        if not found:
            return f"there is no program {program}"
        if program in ("python3", "bash"):
            return None
        text = cmake_help() if program == "cmake" else help_of(found)
    wrong = wrong_option(arguments, text)
    return wrong and wrong.format(program)


def problems(text, folder, environment):
    """What is wrong with the commands of a block that runs in `folder`."""
    found = [problem_of(words, folder, environment["PATH"]) for words in simple_commands(text)]
    return [each for each in found if each]
