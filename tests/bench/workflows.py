"""Workflows: the gap between two steps, a wide fan-out and fan-in, and what a very large one does
to everybody else.

Usage: workflows.py TASKD. Starts roles of its own.
"""
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CHAIN = 100
WIDE = 10_000
LARGE = 100_000


def free_ports(count):
    """Ports that were free a moment ago, for figures and not for tests."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Api:
    """One connection, kept."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def call(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if text else None


class Roles:
    """Name service, dispatcher and workers on a directory that goes with them."""

    def __init__(self, program, workers, kind="reverse", slots=64):
        self.directory = tempfile.TemporaryDirectory()
        names, self.port, *others = free_ports(2 + workers)
        data = Path(self.directory.name)
        self.processes = []
        self.start(program, "nameservice", "--data", str(data / "n"), "--port", str(names))
        url = self.names_url = f"http://127.0.0.1:{names}"
        self.start(program, "dispatcher", "--data", str(data / "d"), "--port", str(self.port),
                   "--nameservice", url)
        for port in others:
            self.start(program, "worker", kind, "--port", str(port), "--nameservice", url,
                       "--concurrency", str(slots))
        self.wait(lambda: len(Api(self.port).call("GET", "/v1/workers")["workers"]) >= workers)

    def start(self, program, *words):
        self.processes.append(subprocess.Popen([program, *words], stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL))

    def wait(self, condition):
        for _ in range(600):
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit("the roles were not ready in time")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
        self.directory.cleanup()


def chain(roles):
    """From a result that is sent to the next step in the worker's hands, over HTTP both ways."""
    steps = [{"name": f"s{i}", "type": "noop", "after": [f"s{i - 1}"] if i else []}
             for i in range(CHAIN)]
    asking, telling = Api(roles.port), Api(roles.port)
    Api(roles.port).call("POST", "/v1/workflows", {"document": {"name": "chain", "steps": steps}})
    gaps, sent = [], None
    for _ in range(CHAIN):
        answer = {}

        def ask():
            answer.update(asking.call("POST", "/v1/leases", {"types": ["noop"], "worker": "bench",
                                                             "wait_ms": 20_000}))
            answer["at"] = time.perf_counter()
        waiting = threading.Thread(target=ask)
        waiting.start()
        if sent is not None:
            time.sleep(0.002)  # until the question waits
            sent = time.perf_counter()
            telling.call("POST", f"/v1/leases/{lease}/complete", {"result": None})
        waiting.join()
        if sent is not None:
            gaps.append(answer["at"] - sent)
        sent = 0
        lease = answer["tasks"][0]["lease"]
    trips = []
    for _ in range(CHAIN):
        began = time.perf_counter()
        telling.call("GET", "/v1/workers")
        trips.append(time.perf_counter() - began)
    gaps.sort()
    print(f"chain of {CHAIN}: gap between two steps, by HTTP both ways, "
          f"median {statistics.median(gaps) * 1e3:.2f} ms, "
          f"99 % {gaps[int(len(gaps) * 0.99)] * 1e3:.2f} ms; a question and its answer alone "
          f"{statistics.median(trips) * 1e3:.2f} ms")


def wide(roles):
    """A list of many items over four workers, and a step that takes what came of them."""
    api = Api(roles.port)
    began = time.perf_counter()
    document = {"name": "wide", "inputs": ["list"], "steps": [
        {"name": "each", "type": "reverse", "for_each": "${inputs.list}", "payload": "${item}"},
        {"name": "all", "type": "reverse", "after": ["each"], "payload": "${each[9999]}"}]}
    done = api.call("POST", "/v1/workflows?wait=120s",
                    {"document": document, "inputs": {"list": [str(i) for i in range(WIDE)]}})
    took = time.perf_counter() - began
    print(f"fan-out and fan-in of {WIDE:,} items: {done['state']} after {took:.2f} s")
    began = time.perf_counter()
    steps = [{"name": f"s{i}", "type": "reverse", "payload": str(i)} for i in range(WIDE)]
    steps.append({"name": "all", "join": True, "after": [f"s{i}" for i in range(WIDE)]})
    done = api.call("POST", "/v1/workflows?wait=120s",
                    {"document": {"name": "steps", "steps": steps}})
    took = time.perf_counter() - began
    print(f"fan-out and fan-in of {WIDE:,} steps: {done['state']} after {took:.2f} s")


def large(roles):
    """One with a hundred thousand steps, while somebody submits task after task."""
    probe, took, stop = Api(roles.port), [], threading.Event()

    def submit():
        while not stop.is_set():
            began = time.perf_counter()
            probe.call("POST", "/v1/tasks", {"type": "other", "payload": 1})
            took.append(time.perf_counter() - began)
    others = threading.Thread(target=submit, daemon=True)
    others.start()
    time.sleep(1)
    before = max(took)
    took.clear()
    steps = [{"name": f"s{i}", "type": "nobody", "after": [f"s{i - 100}"] if i >= 100 else []}
             for i in range(LARGE)]
    body = {"document": {"name": "large", "steps": steps}}
    began = time.perf_counter()
    made = Api(roles.port).call("POST", "/v1/workflows", body)
    accepted = time.perf_counter() - began
    time.sleep(1)
    longest = max(took)
    took.clear()
    Api(roles.port).call("POST", f"/v1/workflows/{made['id']}/cancel")
    time.sleep(1)
    stop.set()
    others.join()
    print(f"{LARGE:,} steps: taken after {accepted:.2f} s; the longest submit of others "
          f"{longest * 1e3:.0f} ms meanwhile, {max(took) * 1e3:.0f} ms while it was cancelled, "
          f"{before * 1e3:.0f} ms before")


def main():
    for measure, workers in ((chain, 0), (wide, 4), (large, 0)):
        with Roles(sys.argv[1], workers) as roles:
            measure(roles)


if __name__ == "__main__":
    main()
