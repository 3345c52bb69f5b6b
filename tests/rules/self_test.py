#!/usr/bin/env python3
"""Proves that the rules bite: each fault planted in a small tree must be found, and nothing else.

usage: self_test.py [--compiler g++]
"""

import argparse
import pathlib
import sys
import tempfile

import check

TABLE = "include/taskd/base/error_table.inc"

# A tree without a fault.
GOOD = {
    TABLE: '// The table.\nTASKD_ERROR(1, lost, 500, false, 1, "lost")\n',
    "include/taskd/base/size.hpp": "// Sizes.\n#pragma once\n#include <cstddef>\n"
                                   "std::size_t limit();\n",
    "include/taskd/model/task.hpp": "// A task.\n#pragma once\n"
                                    '#include "taskd/base/size.hpp"\n'
                                    "struct Task { std::size_t size; };\n",
    "include/taskd/port/clock.hpp": "// A clock.\n#pragma once\nclass Clock;\n",
    "src/base/size.cpp": '#include "taskd/base/size.hpp"\n'
                         "std::size_t limit() { return 1'000; }\n",
    "src/io/lane.cpp": "// Threads are at home here.\n#include <thread>\n"
                       "// ErrorCode::lost is given here.\nint code = ErrorCode::lost;\n"
                       "std::thread* lane;\n",
    "src/engine/engine.cpp": "// Words in text are no faults: steady_clock, std::mutex.\n"
                             '#include "taskd/model/task.hpp"\n'
                             'const char* text = "std::mutex getenv steady_clock";\n',
    "roles/main.cpp": '// The roles.\n#include "taskd/model/task.hpp"\nint main() {}\n',
}

LONG_FUNCTION = "// Long.\nstruct Box {\n    Box() : size_{1} {\n" + "        ++size_;\n" * 70 + \
    "    }\n    int size_;\n};\n"
NESTED_FUNCTION = "// A lambda counts for the function it stands in.\nvoid outer() {\n" \
    "    auto inner = [] {\n" + "        ++count;\n" * 70 + "    };\n}\n"
MANY_FUNCTIONS = "// Short ones, but many lines.\n" + "void f() {\n}\n" * 301

# (what is planted, path, line, part of the message)
PLANTED = [
    ({"src/base/bad.cpp": '// Bad.\n#include "taskd/model/task.hpp"\n'},
     "src/base/bad.cpp", 2, "base may not include model"),
    ({"src/io/bad.cpp": '// Bad.\n\n#include "taskd/engine/engine.hpp"\n'},
     "src/io/bad.cpp", 3, "io may not include engine"),
    ({"src/service/bad.cpp": '// Bad.\n#include "taskd/io/loop.hpp"\n'},
     "src/service/bad.cpp", 2, "service may not include io"),
    ({"src/work/bad.cpp": '// Bad.\n#include "taskd/port/clock.hpp"\n'},
     "src/work/bad.cpp", 2, "work may not include port"),
    ({"roles/bad.cpp": '// Bad.\n#include "engine/state.hpp"\n'},
     "roles/bad.cpp", 2, "is private to engine"),
    ({"src/odd/bad.cpp": "// Bad.\n"}, "src/odd/bad.cpp", 1, "not in the table of layers"),
    ({"roles/pizza/bad.cpp": '// Bad.\n#include "near.hpp"\n',
      "roles/near.hpp": '// Near.\n#pragma once\n#include "taskd/service/far.hpp"\n'},
     "roles/pizza/bad.cpp", 2, "may not reach taskd/service/far.hpp"),
    ({"src/engine/bad.cpp": "// Bad.\nauto t = std::chrono::steady_clock::now();\n"},
     "src/engine/bad.cpp", 2, "no steady_clock"),
    ({"src/model/bad.cpp": '// Bad.\nauto* home = std::getenv("HOME");\n'},
     "src/model/bad.cpp", 2, "no getenv"),
    ({"src/work/bad.cpp": "// Bad.\nstd::random_device dice;\n"},
     "src/work/bad.cpp", 2, "no random_device"),
    ({"src/protocol/bad.cpp": "// Bad.\n#include <fstream>\n"},
     "src/protocol/bad.cpp", 2, "no <fstream>"),
    ({"src/bus/bad.cpp": "// Bad.\n#include <asio.hpp>\n"}, "src/bus/bad.cpp", 2, "no <asio.hpp>"),
    ({"src/service/bad.cpp": "// Bad.\n#include <mutex>\n"},
     "src/service/bad.cpp", 2, "no <mutex> in service"),
    ({"roles/bad.cpp": "// Bad.\nstd::jthread helper;\n"}, "roles/bad.cpp", 2, "no std::jthread"),
    ({"include/taskd/io/bad.hpp": "// Bad.\n#pragma once\n#include <fmt/format.h>\n"},
     "include/taskd/io/bad.hpp", 3, "no library header"),
    ({"include/taskd/io/bad.hpp": "// Bad.\n#pragma once\nstd::string name();\n"},
     "include/taskd/io/bad.hpp", 1, "does not compile alone"),
    ({"src/base/bad.cpp": "#include <vector>\n"}, "src/base/bad.cpp", 1, "must be a comment"),
    ({"src/base/bad.cpp": '#include "taskd/base/size.hpp"\n'},
     "src/base/bad.cpp", 1, "must be a comment"),
    ({"tests/bad.story": "submit t1\n"}, "tests/bad.story", 1, "must be a comment"),
    ({"src/base/bad.cpp": "// Bad.\n// " + "x" * 98 + "\n"}, "src/base/bad.cpp", 2, "101 columns"),
    ({"src/base/bad.cpp": LONG_FUNCTION}, "src/base/bad.cpp", 3, "Box has 72 lines"),
    ({"src/base/bad.cpp": NESTED_FUNCTION}, "src/base/bad.cpp", 2, "outer has 74 lines"),
    ({"src/base/bad.cpp": MANY_FUNCTIONS}, "src/base/bad.cpp", 603, "603 lines"),
    ({"src/base/bad.cpp": "// Bad.\n// TO" "DO: later\n"}, "src/base/bad.cpp", 2, "finish it"),
    ({"README.md": "Lies in /ho" "me/someone/x.\n"}, "README.md", 1, "path of one machine"),
    ({TABLE: GOOD[TABLE] + 'TASKD_ERROR(2, unused, 500, false, 1, "never")\n'},
     TABLE, 3, "no code gives the error 'unused'"),
    ({"src/io/bad.cpp": "// Bad.\nint code = ErrorCode::made_up;\n"},
     "src/io/bad.cpp", 2, "made_up is not in the error table"),
]


def faults_of(files, compiler):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = pathlib.Path(root) / path
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text(text, encoding="utf-8")
        return check.check(root, compiler)


def main():
    parser = argparse.ArgumentParser(description="Proves that the rules bite.")
    parser.add_argument("--compiler", default="g++")
    compiler = parser.parse_args().compiler
    wrong = [f"the good tree has a fault: {fault}" for fault in faults_of(GOOD, compiler)]
    for files, path, line, text in PLANTED:
        needs_compiler = any(name.startswith("include/") for name in files)
        faults = faults_of({**GOOD, **files}, compiler if needs_compiler else None)
        told = [str(fault) for fault in faults]
        if len(faults) != 1 or not (
                faults[0].path == path and faults[0].line == line and text in faults[0].text):
            wrong.append(f"{path}:{line} should say '{text}', but the faults are {told}")
    for line in wrong:
        print(line)
    print(f"{len(PLANTED)} faults planted, {len(wrong)} surprises")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
