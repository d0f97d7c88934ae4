"""Reads what the documents' tests look at: fenced blocks with the comments above them, links and headings."""
import dataclasses
import re

FENCE = re.compile(r"^( *)(`{3,})\s*([\w+-]*)\s*$")
COMMENT = re.compile(r"^<!-- ([a-z]+): (.*) -->$")


@dataclasses.dataclass
class Block:
    language: str
    text: str
    line: int  # of the opening fence, from 1
    comments: list  # ("test", "syntax") for <!-- test: syntax -->, on the lines above the fence

    def comment(self, key):
        """The last one of that key; empty where there is none."""
        return dict(self.comments).get(key, "")


def blocks(text):
    """The fenced blocks of a document, in order."""
    found, lines, comments, i = [], text.splitlines(), [], 0
    while i < len(lines):
        fence, comment = FENCE.match(lines[i]), COMMENT.match(lines[i].strip())
        if fence:
            indent, ticks, begin = len(fence[1]), fence[2], i + 1
            i = begin
            while i < len(lines) and lines[i].strip() != ticks:
                i += 1
            if i == len(lines):
                raise ValueError(f"line {begin}: this block does not end")
            body = "".join(line[indent:] + "\n" for line in lines[begin:i])
            found.append(Block(fence[3], body, begin, comments))
            comments = []
        elif comment:
            comments = [*comments, (comment[1], comment[2])]
        else:
            comments = []
        i += 1
    return found


def prose(text):
    """A document without its fenced blocks and comments; the lines keep their numbers."""
    out, ticks = [], None
    for line in text.splitlines():
        fence = FENCE.match(line)
        if ticks is None and not fence:
            out.append(line)
            continue
        out.append("")
        if ticks is None:
            ticks = fence[2]
        elif line.strip() == ticks:
            ticks = None
    return re.sub(r"<!--.*?-->", lambda m: "\n" * m[0].count("\n"), "\n".join(out), flags=re.S)


def links(text):
    """(line, target) of each link and picture in the text."""
    plain = re.sub(r"`[^`\n]*`", lambda m: " " * len(m[0]), prose(text))
    for match in re.finditer(r"\]\(\s*([^)\s]+)\s*\)", plain):
        yield plain.count("\n", 0, match.start()) + 1, match[1]


def anchors(text):
    """What a link's #... may name: headings in lower case, spaces as -, other marks left out."""
    found = set()
    for heading in re.findall(r"^#{1,6} +(.*?) *#* *$", prose(text), flags=re.M):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = 0
        while (name := anchor + (f"-{count}" if count else "")) in found:
            count += 1
        found.add(name)
    return found
