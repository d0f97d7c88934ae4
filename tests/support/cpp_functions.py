"""The functions of a C++ or CUDA file, found by its braces.

A lambda and a local class are lines of the function around them. Each branch of an #if is read as if it were the only
one; of the beginnings that branches give one function, the last counts. Types, namespaces and initializers (tables) are
no functions.
"""
import re
import typing


class Function(typing.NamedTuple):
    name: str   # as it is written: "Tensor::fill", "operator()", "augment_kernel"
    line: int   # its first; a template's parameters belong to it, a comment above it does not
    lines: int  # down to its last brace


# Comments, texts and characters, whose braces do not count; not the ' within 1'000.
INERT = re.compile(r"//[^\n]*|/\*.*?\*/|R\"([^()\s]*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|(?<!\w)'(?:\\.|[^'\\\n])+'",
                   re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)(?:\\\n|[^\n])*", re.MULTILINE)
NOT_THE_NAME = re.compile(r"\b(?:alignas|decltype|explicit|noexcept|requires|__launch_bounds__|__attribute__)\s*\(\)")
NAME = re.compile(r"((?:\w+\s*::\s*)*(?:operator\s*(?:\(\)|[^\s(]+(?:\s\w+)?)|~?\w+))\s*\(\)")
# What ends the words before a function's body: parameters or a constructor's (...) initializer, and what may follow.
ENDS_FUNCTION = re.compile(r"\)\s*(?:(?:const|noexcept|override|final|mutable|try)\b\s*|&&?\s*|->[^;=]*)*$")
ENDS_BRACED_INITIALIZER = re.compile(r"\).*:.*\}\s*$", re.DOTALL)  # Both(int a) : a_{a}
IS_SCOPE = re.compile(r"^(?:inline\s+)?(?:namespace|extern)\b|\b(?:class|struct|union|enum)\b")


def without_nested(text, opening, closing):
    """`text` without what stands between brackets."""
    out, depth = [], 0
    for char in text:
        depth -= char == closing
        if depth == 0:
            out.append(char)
        depth += char == opening
    return "".join(out)


def without_templates(text):
    """`text` without <...> behind names, innermost first; comparisons and operator< stay."""
    shorter = re.sub(r"(?<!operator)(?<=\w)\s*<[^<>;]*>", "", text)
    return text if shorter == text else without_templates(shorter)


def kind_of(head):
    """What the words before a brace make of it: "function", "scope" or "other", and the function's name."""
    flat = without_templates(without_nested(without_nested(head, "(", ")"), "{", "}"))
    flat = NOT_THE_NAME.sub("", flat).strip()
    if ENDS_FUNCTION.search(flat) or ENDS_BRACED_INITIALIZER.search(flat):
        name = NAME.search(flat)
        lambda_name = re.search(r"(\w+)\s*=\s*\[", flat)
        found = lambda_name or name
        return "function", re.sub(r"\s+", " ", found[1]) if found else flat
    return ("scope" if IS_SCOPE.search(flat) else "other"), ""


class Reader:
    """Walks through the braces. An open one is (kind, name, where its statement begins, round brackets outside it)."""

    def __init__(self, text):
        self.text = INERT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        self.open, self.begin, self.round, self.branches, self.found = [], 0, 0, [], set()

    def directive(self, word, begin, end):
        """An #else goes on from the state at its #if, whose own position says whether a statement had begun there."""
        if word in ("if", "ifdef", "ifndef"):
            self.branches.append((list(self.open), self.begin, self.round, begin))
        elif word in ("else", "elif"):
            opened, self.begin, self.round, begin = self.branches[-1]
            self.open = list(opened)
        elif word == "endif":
            self.branches.pop()
        if not self.text[self.begin:begin].strip():
            self.begin = end

    def brace(self, at):
        inside = self.open[-1][0] if self.open else "scope"
        kind, name = ("other", "") if inside != "scope" or self.round else kind_of(self.text[self.begin:at])
        self.open.append((kind, name, self.begin, self.round))
        self.round = 0
        if kind != "other":
            self.begin = at + 1

    def closing(self, at):
        if not self.open:
            raise ValueError("a brace closes that none opened")
        kind, name, begin, self.round = self.open.pop()
        if kind == "function":
            head = self.text[begin:]
            first = begin + len(head) - len(re.sub(r"^(?:\s|(?:public|protected|private)\s*:)+", "", head))
            line = self.text.count("\n", 0, first) + 1
            self.found.add(Function(name, line, self.text.count("\n", 0, at) + 2 - line))
        if kind != "other":
            self.begin = at + 1

    def read(self):
        for match in re.finditer(DIRECTIVE.pattern + r"|[{}();]", self.text, re.MULTILINE):
            char = match[0]
            if match[1]:
                blank = re.sub(r"[^\n]", " ", char)
                self.text = self.text[:match.start()] + blank + self.text[match.end():]
                self.directive(match[1], match.start(), match.end())
            elif char == "{":
                self.brace(match.start())
            elif char == "}":
                self.closing(match.start())
            elif char == ";":
                in_scope = not self.open or self.open[-1][0] == "scope"
                self.begin = match.end() if in_scope and not self.round else self.begin
            else:
                self.round += 1 if char == "(" else -1
        if self.open or self.branches:
            raise ValueError("a brace or an #if stays open")
        return sorted(self.found, key=lambda function: function.line)


def functions_of(text):
    """The functions of a file, in order. Throws ValueError where its braces do not fit together."""
    return Reader(text).read()
