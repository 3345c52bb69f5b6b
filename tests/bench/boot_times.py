"""How long each role takes to boot, by its own plan, and the registry to take a thousand entries.

usage: boot_times.py TASKD [ROUNDS]
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ENTRIES = 1_000


def plan_times(taskd, role, *arguments):
    """{"all": ms, "load": ms, …} of one boot."""
    text = subprocess.run([taskd, role, *map(str, arguments), "--port", "0", "--boot-plan"],
                          capture_output=True, text=True, check=True).stdout
    rows = [line.rsplit(None, 2) for line in text.splitlines()]
    return {row[0].strip(): float(row[1]) for row in rows}


def boots(taskd, rounds, folder):
    roles = {"dispatcher": lambda at: ("--data", folder / f"d{at}"),
             "nameservice": lambda at: ("--data", folder / f"n{at}"),
             "worker": lambda at: ("sum",),
             "monitor": lambda at: (),
             "host": lambda at: ("--registry", folder / "none"),
             "up": lambda at: ("--data", folder / f"u{at}")}
    for role, arguments in roles.items():
        times = [plan_times(taskd, role, *arguments(at)) for at in range(rounds)]
        whole = sorted(each["all"] for each in times)
        print(f"{role:<12} median {statistics.median(whole):8.1f} ms, least {whole[0]:.1f} ms, "
              f"most {whole[-1]:.1f} ms, empty data directory")


def asked(taskd, folder, listing):
    """The same while `taskd up` runs: the dispatcher takes each of them before the answer."""
    data = folder / "asked"
    up = subprocess.Popen([taskd, "up", "--data", data, "--port", "0"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    try:
        while not (data / "endpoints.json").exists():
            if up.poll() is not None:
                raise SystemExit("taskd up ended")
            time.sleep(0.05)
        begin = time.monotonic()
        subprocess.run([taskd, "registry", "apply", listing, "--data", data], capture_output=True,
                       check=True)
        print(f"registry     {ENTRIES} queues through a running up: "
              f"{(time.monotonic() - begin) * 1e3:.0f} ms")
    finally:
        up.terminate()
        up.wait()


def registry(taskd, folder):
    listing = folder / "entries.yaml"
    rows = "".join(f"  - {{name: q{at}, kind: queue, concurrency: {at % 9 + 1}}}\n"
                   for at in range(ENTRIES))
    listing.write_text(f'version: "1.0"\nnamespace: bench\nentries:\n{rows}', encoding="utf-8")
    for what, arguments in (("create", ()), ("change one of", ("--override",
                                                              "bench:q0:concurrency=77"))):
        begin = time.monotonic()
        subprocess.run([taskd, "registry", "apply", listing, "--data", folder / "r", *arguments],
                       capture_output=True, check=True)
        print(f"registry     {what} {ENTRIES} entries: {(time.monotonic() - begin) * 1e3:.0f} ms, "
              "the process's start included")
    asked(taskd, folder, listing)


def main():
    taskd, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="taskd-boot.") as name:
        boots(taskd, rounds, pathlib.Path(name))
        registry(taskd, pathlib.Path(name))


if __name__ == "__main__":
    main()
