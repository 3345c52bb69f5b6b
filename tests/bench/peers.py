"""taskd beside beanstalkd and gearmand in one run: the same tasks of 100 bytes, the same client
(peer_load.cpp), the same number of connections and workers.

usage: peers.py TASKD PEER_LOAD BEANSTALKD GEARMAND [SECONDS]

Each figure is of a server of its own, started for it. Prints a table; rates are tasks a second.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "system"))
os.environ["TASKD_EXECUTABLE"] = sys.argv[1]
import harness  # noqa: E402

CONNECTIONS = 16
BURST_SECONDS = 10.0
MANY = 64  # tasks under way on a connection, or in one request
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Peer:
    """A server that listens on a TCP port."""

    def __init__(self, *command):
        self.folder = tempfile.mkdtemp(prefix="taskd-peer.")
        self.port = harness.free_ports(1)
        words = [each.format(port=self.port, folder=self.folder) for each in command]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL,
                                        preexec_fn=harness.die_with_parent)
        self.pid = self.process.pid
        harness.wait_until(self.listens, f"{words[0]} listens")

    def listens(self):
        if self.process.poll() is not None:
            raise SystemExit(f"the peer ended with {self.process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def settle(self):
        """What it took is what it has done."""
        return 0.0

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Taskd:
    """Dispatcher, name service and four workers, all with their defaults."""

    def __init__(self, cycle):
        self.system = harness.System()
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url).start().wait_ready()
        if cycle:
            for number in range(4):
                system.worker("reverse", system.ns.url, "--concurrency", 64,
                              name=f"w{number}").start()
            system.wait_workers(4)
        self.port = system.dp.port
        self.pid = system.dp.pid

    def settle(self):
        """Until its view has all that was taken; how long that was, in seconds."""
        begin = time.monotonic()
        api = self.system.dp.api
        harness.wait_until(lambda: "\ntaskd_view_lag_records 0\n" in api.get("/metrics").text,
                           "the view has caught up", patience=120)
        return time.monotonic() - begin

    def close(self):
        self.system.close()


class Rows:
    def __init__(self, load, seconds):
        self.load = load
        self.seconds = seconds
        self.rows = []
        self.figures = {}  # of many puts, by title

    def load_on(self, server, name, what, at_once, connections):
        before = cpu_of(server.pid)
        told = subprocess.run(
            [self.load, name, str(server.port), what, str(self.seconds), str(connections),
             str(at_once)], capture_output=True, text=True, check=False)
        if told.returncode != 0:
            raise SystemExit(told.stderr)
        result = json.loads(told.stdout)
        result["behind_s"] = server.settle()  # its processor time belongs to the tasks too
        result["cpu_us"] = 1e6 * (cpu_of(server.pid) - before) / result["tasks"]
        return result

    def measure(self, name, make, what, at_once, connections=CONNECTIONS):
        server = make(what == "cycle")
        try:
            result = self.load_on(server, name, what, at_once, connections)
        finally:
            server.close()
        time.sleep(0.2)
        return result

    def add(self, title, promise, name, make):
        put = self.measure(name, make, "put", 1)
        puts = self.measure(name, make, "put", MANY)
        cycle = self.measure(name, make, "cycle", 1)
        cycles = self.measure(name, make, "cycle", MANY)
        self.figures[title] = puts["rate"]
        whole = name != "beanstalkd"  # whose submitters do not see the result
        self.rows.append([title, promise, f"{put['rate']:,.0f}", f"{put['p50_us']:.0f}",
                          f"{puts['rate']:,.0f}", f"{cycle['rate']:,.0f}",
                          f"{cycle['p50_us']:.0f}" if whole else "", f"{cycles['rate']:,.0f}",
                          f"{cycle['cpu_us']:.1f}", f"{cycles['cpu_us']:.1f}"])
        if puts["slowed"] or cycles["slowed"]:
            print(f"{title}: told to come again later {puts['slowed']} times with many puts, "
                  f"{cycles['slowed']} with many cycles", file=sys.stderr)

    def floors(self):
        """What the machine alone takes, and taskd's distance from it, in one go."""
        server = Taskd(cycle=True)
        try:
            told = subprocess.run([pathlib.Path(self.load).with_name("floor"), server.system.folder,
                                   str(server.port)], capture_output=True, text=True, check=True)
            floor = json.loads(told.stdout)
            alone = self.load_on(server, "taskd", "cycle", 1, 1)
        finally:
            server.close()
        sync, http, udp = floor["sync_us"], floor["http_us"], floor["udp_us"]
        least = 2 * sync + http + udp
        print(f"\nThe machine: sync {sync:.0f} µs, round trip {http:.0f} µs over HTTP and "
              f"{udp:.0f} µs over UDP (medians).")
        print(f"One task on an idle taskd, to its result: median {alone['p50_us']:.0f} µs, "
              f"{alone['p50_us'] / least:.2f} of its floor of {least:.0f} µs.")
        for connections in (16, 64):
            self.beside_least("Put", "connections", "put", connections, 2 * sync)
        for submitters in (1, 16, 64, 256):
            self.beside_least("Cycle", "submitters, one at a time", "cycle", submitters,
                              3 * sync + http + udp)

    def beside_least(self, what, who, kind, connections, round_us):
        """taskd, what the machine's syncs and round trips alone allow, and the least server."""
        ours = self.measure("taskd", Taskd, kind, 1, connections)
        least = self.measure("taskd", self.least_server, kind, 1, connections)
        most = 1e6 * connections / round_us

        def told(result):
            return (f"{result['rate']:,.0f}/s, median {result['p50_us']:.0f} µs, "
                    f"{result['cpu_us']:.0f} µs of CPU")

        print(f"{what} over {connections} {who}: {told(ours)}; {ours['rate'] / most:.2f} of "
              f"{most:,.0f}. The least server: {told(least)}; taskd is "
              f"{ours['rate'] / least['rate']:.2f} of it.")

    def least_server(self, cycle):
        del cycle
        return Peer(str(pathlib.Path(self.load).with_name("least")), "{port}", "{folder}/journal")

    def burst(self):
        """A rush that is faster than the view writes, and what it leaves to be done."""
        result = Rows(self.load, BURST_SECONDS).measure("taskd", Taskd, "put", MANY)
        took = result["seconds"] + result["behind_s"]
        print(f"A burst of {BURST_SECONDS:.0f} s, {MANY} a request: {result['rate']:,.0f}/s, "
              f"{result['rate'] / self.figures['beanstalkd']:.2f} of beanstalkd in memory; told to "
              f"come again later {result['slowed']} times. The view had all of it "
              f"{result['behind_s']:.1f} s later: {result['tasks'] / took:,.0f}/s for ever.")

    def print(self):
        head = ["server", "promise", "put", "p50 µs", "put, many", "cycle", "p50 µs",
                "cycle, many", "CPU µs", "CPU µs, many"]
        for row in [head, ["---"] * len(head), *self.rows]:
            print("| " + " | ".join(row) + " |")


def main():
    if len(sys.argv) not in (5, 6):
        raise SystemExit(__doc__)
    _, _, load, beanstalkd, gearmand = sys.argv[:5]
    rows = Rows(load, float(sys.argv[5]) if len(sys.argv) > 5 else 5.0)
    listen = ["-l", "127.0.0.1", "-p", "{port}"]
    rows.add("taskd", "synced", "taskd", Taskd)
    rows.add("beanstalkd", "in memory", "beanstalkd", lambda cycle: Peer(beanstalkd, *listen))
    rows.add("beanstalkd -f 0", "synced", "beanstalkd",
             lambda cycle: Peer(beanstalkd, *listen, "-b", "{folder}", "-f", "0"))
    rows.add("gearmand", "in memory", "gearmand",
             lambda cycle: Peer(gearmand, "-L", "127.0.0.1", "-p", "{port}", "-t", "1",
                                "-l", "{folder}/log"))
    rows.print()
    rows.floors()
    rows.burst()
    print(f"Load average at the end, this run in it: {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
