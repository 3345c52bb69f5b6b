"""Reads C++ just far enough for the rules: bare text, includes, functions and their lengths."""

import re
from dataclasses import dataclass, field

# A raw string, a string, a character (not a digit separator), a line comment, a block comment.
_LITERALS = re.compile(
    r'R"([^()\\\s]{0,16})\((?:.|\n)*?\)\1"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*"
    r"|/\*(?:.|\n)*?\*/"
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.MULTILINE)


def _blank(match):
    """Keeps line ends and quotes, so that places stay true."""
    text = match.group(0)
    if text.startswith(("//", "/*")):
        return re.sub(r"[^\n]", " ", text)
    return '"' + re.sub(r"[^\n]", " ", text[1:-1]) + '"'


def bare(text):
    """The text with comments and the insides of literals blanked out, place for place."""
    return _LITERALS.sub(_blank, text)


def without_directives(text):
    """Bare text without preprocessor lines, place for place."""
    return _DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), bare(text))


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def includes(text):
    """(line, quoted, path) of every #include."""
    without_comments = re.sub(r"//[^\n]*", "", text)
    return [
        (line_of(without_comments, match.start()), match.group(1) == '"', match.group(2))
        for match in _INCLUDE.finditer(without_comments)
    ]


@dataclass
class Function:
    name: str
    line: int
    lines: int


@dataclass
class _Scope:
    kind: str  # "outer" (namespace, type), "function", "other"
    start: int = 0
    head: str = ""


@dataclass
class _Reader:
    text: str
    scopes: list = field(default_factory=lambda: [_Scope("outer")])
    found: list = field(default_factory=list)
    head_start: int = 0

    def skip(self, place, opening, closing):
        """The place after the bracket that closes the one at `place`."""
        depth = 0
        for at in range(place, len(self.text)):
            if self.text[at] == opening:
                depth += 1
            elif self.text[at] == closing:
                depth -= 1
                if depth == 0:
                    return at + 1
        return len(self.text)

    def read(self):
        place = 0
        while place < len(self.text):
            character = self.text[place]
            outer = self.scopes[-1].kind == "outer"
            if character == "(" and outer:
                place = self.skip(place, "(", ")")
                continue
            if character == "{":
                head = self.text[self.head_start:place]
                if outer and _is_initializer(head):
                    place = self.skip(place, "{", "}")
                    continue
                self.open(place, head, outer)
            elif character == "}":
                self.close(place)
            elif character == ";" and outer:
                self.head_start = place + 1
            place += 1
        return self.found

    def open(self, place, head, outer):
        kind = "other"
        if outer and re.match(r"\s*(?:inline\s+)?namespace\b|\s*extern\s*\"", head):
            kind = "outer"
        elif outer and "(" in _outside_templates(head):
            kind = "function"
        elif outer and re.search(r"\b(?:class|struct|union)\b", head):
            kind = "outer"
        start = self.head_start + len(head) - len(head.lstrip())
        self.scopes.append(_Scope(kind, start, head))
        self.head_start = place + 1

    def close(self, place):
        if len(self.scopes) > 1:
            scope = self.scopes.pop()
            if scope.kind == "function":
                first = line_of(self.text, scope.start)
                last = line_of(self.text, place)
                self.found.append(Function(_name(scope.head), first, last - first + 1))
        self.head_start = place + 1


def _outside_templates(head):
    return re.sub(r"\balignas\s*\([^)]*\)|\brequires\s*\([^)]*\)|\[\[[^\]]*\]\]", "", head)


def _is_initializer(head):
    """Whether a `{` after this head initialises a member or a variable, and opens no body."""
    before = head.rstrip()
    if before.endswith("="):
        return True
    flat = _without_brackets(before)
    member_list = re.search(r"\)[\w\s&]*(?<!:):(?!:)", flat)
    if member_list:
        return bool(re.search(r"[\w>]$", before))
    return bool(re.search(r"(?<![=!<>])=(?!=)", flat)) and "operator" not in flat


def _without_brackets(text):
    """The text with everything inside round brackets taken out."""
    out, depth = [], 0
    for character in text:
        if character == ")":
            depth -= 1
        if depth == 0:
            out.append(character)
        if character == "(":
            depth += 1
    return "".join(out)


def _name(head):
    match = re.search(r"([\w:~]+(?:\s*operator\s*[^\s(]+)?)\s*\(", head)
    return match.group(1) if match else "?"


def functions(text):
    """Functions with a body, outermost only: a lambda counts for the function it stands in."""
    return _Reader(without_directives(text)).read()
