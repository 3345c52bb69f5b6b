#!/usr/bin/env python3
"""The rules of this house, held by a test: each fault names file, line and what to do.

usage: check.py ROOT [--compiler g++] [--cache DIR] [--no-headers]

Exit 0 when all rules hold, 1 when one is broken, 2 when it was called wrongly.
A new rule is one function in RULES and one planted fault in self_test.py.
"""

import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

import source

# Who may include whom, beside itself. What a layer uses may hand on what it uses itself.
LAYERS = {
    "base": [],
    "model": ["base"],
    "engine": ["model"],
    "work": ["model"],
    "protocol": ["model"],
    "bus": ["model"],
    "port": ["model"],
    "service": ["engine", "work", "protocol", "bus", "port"],
    "sim": ["service", "engine", "protocol", "port"],
    "runtime": ["bus", "port"],
    "lua": ["runtime", "protocol", "port"],
    "io": ["protocol", "bus", "port"],
    "web": [],
    "client": ["service", "io"],  # wiring, as roles are, for programs of others
    "pizza": ["runtime", "io"],  # an application: what any program of others could use
}
ROLES = "roles"  # wiring: may use every layer's public headers
PURE = {"base", "model", "engine", "work", "protocol", "bus"}
THREADED = {"io", "runtime", "lua"}
PIZZA = ("roles/pizza/", "src/pizza/", "include/taskd/pizza/")

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600

# What a pure layer may not use, and why.
IMPURE_HEADERS = re.compile(
    r"^(?:iostream|fstream|filesystem|ctime|time\.h|asio(?:/.*|\.hpp)?|unistd\.h|fcntl\.h"
    r"|poll\.h|sys/.*|netinet/.*|arpa/.*|spdlog/.*|sqlite3\.h|httplib\.h)$"
)
IMPURE_WORDS = re.compile(
    r"\b(?:system_clock|steady_clock|high_resolution_clock|clock_gettime|gettimeofday|random_device"
    r"|getenv|secure_getenv|getrandom)\b|\bstd::(?:time|clock|rand)\s*\("
)
THREAD_HEADERS = re.compile(
    r"^(?:thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token"
    r"|pthread\.h)$"
)
THREAD_WORDS = re.compile(
    r"\bstd::(?:jthread|thread|mutex|recursive_mutex|shared_mutex|timed_mutex|lock_guard"
    r"|unique_lock|scoped_lock|condition_variable|async|future|promise)\b"
)
# Headers of libraries: they stay out of include/, where everybody would pay for them.
LIBRARY_HEADERS = re.compile(
    r"^(?:asio|fmt|simdjson|spdlog|sqlite3|openssl|httplib|http_parser|cxxopts|yaml-cpp|unicode"
    r"|catch2|nlohmann|rapidjson|prometheus|nats|lua)(?:[/.].*)?$"
)
# Words that mark unfinished work, and paths that hold on one machine only.
UNFINISHED_WORDS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|WIP)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.\-/{}$])/(?:home|root|Users|work|workspace|mnt)/\w")

# File names that are code of this repository, and how a comment starts there.
COMMENT_STARTS = {
    ".cpp": ("//",),
    ".hpp": ("//",),
    ".inc": ("//",),
    ".py": ('"""', "#"),
    ".sh": ("#",),
    ".cmake": ("#",),
    ".yaml": ("#",),
    ".story": ("#",),
    ".mjs": ("//",),
    ".html": ("<!",),
}
LONG_LINES_IN = {".yaml", ".html", ".inc"}  # documents, and tables with one row a line
EXEMPT_FROM_WORDS = "tests/rules/"  # its own table of words stands there


@dataclass(frozen=True, order=True)
class Fault:
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class Tree:
    """The repository's files: as git knows them, or all of a plain folder."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.texts = {}
        for path in self._paths():
            full = self.root / path
            if full.is_file() and not full.is_symlink():
                self.texts[path] = full.read_text(encoding="utf-8", errors="replace")

    def _paths(self):
        if (self.root / ".git").exists():
            listed = subprocess.run(
                ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others",
                 "--exclude-standard"], capture_output=True, text=True, check=True).stdout
            return sorted(set(filter(None, listed.split("\0"))))
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*")
                      if path.is_file())

    def sources(self):
        """(path, text, layer) of C++ files; layer is None outside include/, src/ and roles/."""
        for path, text in self.texts.items():
            if path.endswith((".cpp", ".hpp", ".inc")):
                yield path, text, layer_of(path)


def layer_of(path):
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if path.startswith("include/taskd/") and len(parts) > 3:
        return parts[2]
    return ROLES if parts[0] == "roles" else None


def reachable(layer):
    """The layers that a layer may include: what it uses, and what that uses."""
    seen, todo = set(), [layer]
    while todo:
        for used in LAYERS[todo.pop()]:
            if used not in seen:
                seen.add(used)
                todo.append(used)
    return seen


# ---- rules: each yields faults -------------------------------------------------------------------


def layers_are_kept(tree):
    for path, text, layer in tree.sources():
        if layer is None:
            continue
        if layer != ROLES and layer not in LAYERS:
            yield Fault(path, 1, f"layer '{layer}' is not in the table of layers; add it there")
            continue
        allowed = set(LAYERS) if layer == ROLES else reachable(layer) | {layer}
        for line, quoted, target in source.includes(text):
            parts = target.split("/")
            if not quoted or len(parts) < 2:
                continue
            public = parts[0] == "taskd" and len(parts) > 2
            used = parts[1] if public else parts[0]
            if used not in LAYERS:
                continue
            if used not in allowed:
                yield Fault(path, line, f"{layer} may not include {used}; it may use "
                            f"{', '.join(sorted(allowed - {layer})) or 'nothing'}")
            elif not public and used != layer:
                yield Fault(path, line, f"'{target}' is private to {used}; use a header under "
                            f"include/taskd/{used}")


def pure_layers_are_pure(tree):
    for path, text, layer in tree.sources():
        if layer not in PURE:
            continue
        for line, _, target in source.includes(text):
            if IMPURE_HEADERS.match(target):
                yield Fault(path, line, f"{layer} is pure: no <{target}>; take the value as an "
                            "argument or go through a port")
        for line, word in words(source.bare(text), IMPURE_WORDS):
            yield Fault(path, line, f"{layer} is pure: no {word}; take the value as an argument")


def the_application_stays_outside(tree):
    """The pizza platform shows what any program of others can do: whatever it includes, directly or
    not, is neither the engine nor a service of taskd."""
    for path, text, _ in tree.sources():
        if not path.startswith(PIZZA):
            continue
        seen, todo = set(), [(line, target) for line, quoted, target in source.includes(text)
                             if quoted]
        while todo:
            line, target = todo.pop()
            if target in seen:
                continue
            seen.add(target)
            if re.match(r"(?:taskd/)?(?:engine|service)/", target):
                yield Fault(path, line, f"the pizza platform may not reach {target}; it uses the "
                            "public HTTP interface")
            for name in (f"include/{target}", f"src/{target}", f"roles/{target}",
                         str(pathlib.PurePosixPath(path).parent / target)):
                if name in tree.texts:
                    todo += [(line, more) for _, quoted, more
                             in source.includes(tree.texts[name]) if quoted]


def threads_stay_where_they_belong(tree):
    for path, text, layer in tree.sources():
        if layer is None or layer in THREADED:
            continue
        for line, _, target in source.includes(text):
            if THREAD_HEADERS.match(target):
                yield Fault(path, line, f"no <{target}> in {layer}: threads and locks live in "
                            f"{', '.join(sorted(THREADED))}; use port::Background or a port")
        for line, word in words(source.bare(text), THREAD_WORDS):
            yield Fault(path, line, f"no {word} in {layer}: threads and locks live in "
                        f"{', '.join(sorted(THREADED))}")


def public_headers_name_no_library(tree):
    for path, text, _ in tree.sources():
        if not path.startswith("include/"):
            continue
        for line, _, target in source.includes(text):
            if LIBRARY_HEADERS.match(target):
                yield Fault(path, line, f"no library header in include/: move <{target}> behind a "
                            "pimpl or into a private header")


def files_say_what_they_are_for(tree):
    for path, text in tree.texts.items():
        starts = COMMENT_STARTS.get(pathlib.PurePath(path).suffix)
        if starts is None:
            continue
        first = next((line for line in text.split("\n") if not line.startswith("#!")), "")
        if first.startswith(starts):
            continue
        if path.endswith(".cpp") and header_speaks_for(tree, path, first):
            continue
        yield Fault(path, 1, "the first line must be a comment that says what the file is for")


def header_speaks_for(tree, path, first_line):
    """A .cpp may start with its own header, which says it: of its name, or ending with it."""
    match = re.match(r'#include "([^"]+)"', first_line)
    if not match:
        return False
    header = match.group(1)
    stem = pathlib.PurePath(path).stem
    known = any(name in tree.texts for name in
                (f"include/{header}", f"src/{header}", f"roles/{header}",
                 str(pathlib.PurePath(path).parent / header)))
    return known and re.fullmatch(rf"(.*_)?{stem}", pathlib.PurePath(header).stem) is not None


def lines_are_short(tree):
    for path, text in tree.texts.items():
        suffix = pathlib.PurePath(path).suffix
        if suffix not in COMMENT_STARTS or suffix in LONG_LINES_IN:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > LINE_COLUMNS_MAX:
                yield Fault(path, number, f"{len(line)} columns; break it at {LINE_COLUMNS_MAX}")


def files_and_functions_are_short(tree):
    for path, text, _ in tree.sources():
        count = text.count("\n")
        if count > FILE_LINES_MAX:
            yield Fault(path, count, f"{count} lines; split the file at {FILE_LINES_MAX}")
        for function in source.functions(text):
            if function.lines > FUNCTION_LINES_MAX:
                yield Fault(path, function.line, f"{function.name} has {function.lines} lines; "
                            f"split it at {FUNCTION_LINES_MAX}")


def no_word_is_out_of_place(tree):
    for path, text in tree.texts.items():
        if path.startswith(EXEMPT_FROM_WORDS):
            continue
        for line, word in words(text, UNFINISHED_WORDS):
            yield Fault(path, line, f"'{word}': finish it, or say in plain words what is not done")
        for line, word in words(text, MACHINE_PATHS):
            yield Fault(path, line, f"'{word}…' is a path of one machine; take it out")


def every_error_is_used(tree):
    table = "include/taskd/base/error_table.inc"
    names = {}
    for number, line in enumerate(tree.texts.get(table, "").split("\n"), 1):
        match = re.match(r"TASKD_ERROR\(\d+, (\w+),", line)
        if match:
            names[match.group(1)] = number
    used = set()
    for path, text in tree.texts.items():
        if path.endswith((".cpp", ".hpp")):
            used.update(re.findall(r"ErrorCode::(\w+)", text))
    for name, line in sorted(names.items()):
        if name not in used:
            yield Fault(table, line, f"no code gives the error '{name}'; use it or take it out")
    for path, text, _ in tree.sources():
        for line, word in words(source.without_directives(text), re.compile(r"ErrorCode::\w+")):
            if names and word.removeprefix("ErrorCode::") not in names:
                yield Fault(path, line, f"{word} is not in the error table")


def words(text, pattern):
    return [(source.line_of(text, match.start()), match.group(0).strip())
            for match in pattern.finditer(text)]


RULES = [
    layers_are_kept,
    pure_layers_are_pure,
    the_application_stays_outside,
    threads_stay_where_they_belong,
    public_headers_name_no_library,
    files_say_what_they_are_for,
    lines_are_short,
    files_and_functions_are_short,
    no_word_is_out_of_place,
    every_error_is_used,
]


# ---- headers that compile alone ------------------------------------------------------------------


class HeaderCheck:
    """Compiles each header by itself; one whose text and includes have not changed is not asked
    again, as the cache holds the hash of what was compiled well."""

    def __init__(self, tree, compiler, cache):
        self.tree = tree
        self.compiler = compiler
        self.cache = pathlib.Path(cache) / "headers_alone.txt" if cache else None
        self.closures = {}

    def faults(self):
        known = set(self.cache.read_text().split()) if self.cache and self.cache.exists() else set()
        headers = [path for path in self.tree.texts
                   if path.startswith("include/") and path.endswith(".hpp")]
        digests = {path: self.digest(path) for path in headers}
        chains = self.chains([path for path in headers if digests[path] not in known])
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            faults = [fault for some in pool.map(self.faults_of, chains) for fault in some]
        bad = {fault.path for fault in faults}
        good = [digests[path] for path in headers if path not in bad]
        if self.cache:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            self.cache.write_text("\n".join(sorted(good)) + "\n")
        return faults

    def digest(self, path):
        whole = hashlib.sha256(self.compiler.encode())
        for name in sorted(self.closure(path)):
            whole.update(name.encode() + b"\0" + self.tree.texts[name].encode())
        return whole.hexdigest()

    def closure(self, path):
        """The header and every header of ours that it includes, directly or not."""
        if path not in self.closures:
            seen, ahead = set(), [path]
            while ahead:
                name = ahead.pop()
                if name in seen or name not in self.tree.texts:
                    continue
                seen.add(name)
                ahead += [f"include/{target}" for _, quoted, target
                          in source.includes(self.tree.texts[name]) if quoted]
            self.closures[path] = seen
        return self.closures[path]

    def chains(self, headers):
        """All of them in rows in which each includes all before it: compiled together, none sees
        what it does not include itself. Half as many compilations."""
        left = set(headers)
        for path in sorted(headers, key=lambda path: (-len(self.closure(path)), path)):
            if path not in left:
                continue
            chain, below = [], {path}
            while below:
                chain.append(max(below, key=lambda name: (len(self.closure(name)), name)))
                left.discard(chain[-1])
                below = self.closure(chain[-1]) & left
            yield chain[::-1]

    def faults_of(self, chain):
        if not self.complaint(chain):
            return []
        alone = [(path, self.complaint([path])) for path in chain]
        return [Fault(path, 1, f"does not compile alone; include what it uses: {said}")
                for path, said in alone if said]

    def complaint(self, headers):
        """The first thing that the compiler says of them, in this order; nothing if all is well."""
        run = subprocess.run(
            [self.compiler, "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-x", "c++", "-I",
             self.tree.root / "include", "-"],
            input="".join(f'#include "{path.removeprefix("include/")}"\n' for path in headers),
            capture_output=True, text=True, check=False)
        if run.returncode == 0 and not run.stderr:
            return None
        lines = run.stderr.split("\n")
        return next((line for line in lines if "error" in line), lines[0]).strip()


def check(root, compiler=None, cache=None):
    """Every fault of a tree, sorted."""
    tree = Tree(root)
    faults = [fault for rule in RULES for fault in rule(tree)]
    if compiler:
        faults += HeaderCheck(tree, compiler, cache).faults()
    return sorted(faults)


def main():
    parser = argparse.ArgumentParser(description="Holds the rules of this repository.")
    parser.add_argument("root")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--cache")
    parser.add_argument("--no-headers", action="store_true")
    options = parser.parse_args()
    if not (pathlib.Path(options.root) / "include").is_dir():
        parser.error(f"{options.root} has no include folder")
    faults = check(options.root, None if options.no_headers else options.compiler, options.cache)
    for fault in faults:
        print(fault)
    print(f"{len(RULES) + 1} rules, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
