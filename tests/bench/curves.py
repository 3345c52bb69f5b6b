"""How rate and latency go with load, and what a task costs beside a backlog: tables and two plots.

usage: curves.py TASKD PEER_LOAD FOLDER [LONGEST]

LONGEST is the longest backlog (10,000,000 tasks unless said). The plots go into FOLDER as load.svg
and backlog.svg; gnuplot draws them.
"""

import pathlib
import subprocess
import sys

import backlog
import peers

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS = 3.0
SHORTEST = 1_000


def table(head, rows):
    for row in [head, ["---"] * len(head), *rows]:
        print("| " + " | ".join(row) + " |")
    print()


def plot(folder, name, rows, script):
    """The rows, with columns from 1, drawn by gnuplot's commands."""
    data = folder / f"{name}.dat"
    data.write_text("\n".join(" ".join(str(each) for each in row) for row in rows) + "\n", "utf-8")
    picture = folder / f"{name}.svg"
    lines = ["set terminal svg size 800,480 background 'white'", f"set output '{picture}'",
             "set key left top", "set grid", *script]
    subprocess.run(["gnuplot"], input="\n".join(lines).replace("DATA", f"'{data}'") + "\n",
                   text=True, check=True)
    print(f"{picture}\n")


def by_load(rows, folder):
    measured, shown = [], []
    for connections in CONNECTIONS:
        put = rows.measure("taskd", peers.Taskd, "put", 1, connections)
        cycle = rows.measure("taskd", peers.Taskd, "cycle", 1, connections)
        measured.append([connections] + [each[name] for each in (put, cycle)
                                         for name in ("rate", "p50_us", "p99_us")])
        shown.append([f"{each:,.0f}" for each in measured[-1]])
    table(["connections", "put/s", "p50 µs", "p99 µs", "cycle/s", "p50 µs", "p99 µs"], shown)
    plot(folder, "load", measured, [
        "set title 'One task at a time on each connection, every answer synced'",
        "set logscale xy", "set xlabel 'connections'", "set ylabel 'tasks a second'",
        "set y2label 'median, µs'", "set y2tics", "set logscale y2",
        "plot DATA using 1:2 with linespoints title 'put', "
        "DATA using 1:5 with linespoints title 'with its result', "
        "DATA using 1:3 axes x1y2 with lines dashtype 2 title 'put, µs', "
        "DATA using 1:6 axes x1y2 with lines dashtype 2 title 'with its result, µs'"])


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def by_backlog(rows, folder, longest):
    server = peers.Taskd(cycle=True)
    measured, shown = [], []
    try:
        waiting = 0
        while SHORTEST * 10 ** len(measured) <= longest:
            wanted = SHORTEST * 10 ** len(measured)
            backlog.submit(server.port, (wanted - waiting) // backlog.TASKS_A_REQUEST, [])
            waiting = wanted
            server.settle()  # what the view still had to do is not this measure's
            result = rows.load_on(server, "taskd", "cycle", peers.MANY, peers.CONNECTIONS)
            measured.append([waiting, result["cpu_us"], result["rate"], resident(server.pid)])
            shown.append([f"{waiting:,}", f"{result['cpu_us']:.1f}", f"{result['rate']:,.0f}",
                          f"{measured[-1][3]:,.0f}"])
    finally:
        server.close()
    table(["queued beside", "CPU µs a task", "tasks/s", "MiB resident"], shown)
    plot(folder, "backlog", measured, [
        "set title 'A full cycle beside a backlog of another type'",
        "set logscale x", "set xlabel 'tasks that wait'", "set yrange [0:*]",
        "set ylabel 'µs of the dispatcher a task'",
        "plot DATA using 1:2 with linespoints title 'CPU a task'"])


def main():
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    folder = pathlib.Path(sys.argv[3]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    rows = peers.Rows(sys.argv[2], SECONDS)
    by_load(rows, folder)
    by_backlog(rows, folder, int(sys.argv[4]) if len(sys.argv) == 5 else 10_000_000)


if __name__ == "__main__":
    main()
