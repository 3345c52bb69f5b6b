"""Counts the instructions of one fixed run and fails when they have grown: a measure that no other
load on the machine can move. `--update` writes what is now into instructions.txt.

    python3 tests/bench/instructions.py build/release/tests/fixed_run [--update]
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

KNOWN = pathlib.Path(__file__).with_name("instructions.txt")
GROWTH_MAX = 1.10
SKIPPED = 77


def count(program):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program],
        capture_output=True, text=True, timeout=280, check=False)
    found = re.search(r"Collected *: *(\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{program} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    print(run.stdout, end="")
    return int(found[1])


def main():
    program, *options = sys.argv[1:]
    if not shutil.which("valgrind"):
        print("skipped: there is no valgrind here")
        return 1 if "TASKD_SKIPS" in os.environ else SKIPPED
    now = count(program)
    if options == ["--update"]:
        KNOWN.write_text(f"{now}\n", encoding="utf-8")
        print(f"{now:,} instructions, written to {KNOWN.name}")
        return 0
    known = int(KNOWN.read_text("utf-8"))
    growth = now / known
    print(f"{now:,} instructions, {known:,} known: {growth:.3f}")
    if growth > GROWTH_MAX:
        print("that is more than a tenth more: find out what costs it (callgrind_annotate), or say "
              "why it must be and run this with --update")
        return 1
    if growth < 1 / GROWTH_MAX:
        print("that is much less: run this with --update, so that it stays so")
    return 0


if __name__ == "__main__":
    sys.exit(main())
