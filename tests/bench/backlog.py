"""A long backlog: what queued tasks take in memory, how long a restart takes, how long others wait.

Usage: backlog.py TASKD [COUNT]. Starts a dispatcher of its own without workers.
"""
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TASKS_A_REQUEST = 1_000
CONNECTIONS = 2


def free_port():
    """A port that was free a moment ago, for a figure and not for a test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dispatcher:
    """One process on one data directory."""

    def __init__(self, program, data):
        self.port = free_port()
        started = time.monotonic()
        self.process = subprocess.Popen(
            [program, "dispatcher", "--data", data, "--port", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.get("/readyz") != 200:
            if self.process.poll() is not None:
                sys.exit("the dispatcher ended before it was ready")
            time.sleep(0.01)
        self.ready_after = time.monotonic() - started

    def get(self, path):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/v1/stats")
        return json.loads(connection.getresponse().read())

    def turns(self):
        """How many turns of operations there were by their bound in milliseconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/metrics")
        bounds, below = [], 0
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith("taskd_operation_turn_seconds_bucket"):
                bound = float(line.split('"')[1].replace("+Inf", "inf")) * 1000
                count = int(float(line.split()[1]))
                bounds.append((bound, count - below))
                below = count
        return bounds

    def resident(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def settle(self):
        """Until the view has everything and memory no longer shrinks."""
        while self.stats()["view"]["lag_records"] > 0:
            time.sleep(0.1)
        time.sleep(2)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()


class Probe(threading.Thread):
    """Asks a small question again and again: how long does it wait behind the others' turns?"""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.waits = []
        self.ended = False

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.ended:
            begin = time.monotonic()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.waits.append((time.monotonic() - begin) * 1000)
            time.sleep(0.002)

    def end(self):
        self.ended = True
        self.join()
        waits = sorted(self.waits)
        return waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1]


def submit(port, requests, slowed):
    task = json.dumps({"type": "email", "payload": "x" * 98}, separators=(",", ":"))
    body = "[" + ",".join([task] * TASKS_A_REQUEST) + "]"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(requests):
        while True:
            connection.request("POST", "/v1/tasks", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                break
            if answer.status != 429:
                sys.exit(f"refused with {answer.status}")
            slowed.append(1)
            time.sleep(0.1)


def fill(dispatcher, count):
    requests = count // TASKS_A_REQUEST
    slowed = []
    arguments = (dispatcher.port, requests // CONNECTIONS, slowed)
    threads = [threading.Thread(target=submit, args=arguments) for _ in range(CONNECTIONS)]
    probe = Probe(dispatcher.port)
    probe.start()
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    middle, most, longest = probe.end()
    print(f"submit {count} of 100 B   {count / took:10,.0f} tasks/s, slowed {len(slowed)} times")
    print(f"  a small question meanwhile {middle:6.1f} ms, 99th {most:.1f}, longest {longest:.1f}")


def cancel_all(dispatcher, count):
    """All of them as one operation: how fast, and the longest turn it took of the loop."""
    body = json.dumps({"action": "cancel", "q": "type:email"})
    probe = Probe(dispatcher.port)
    probe.start()
    begin = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", dispatcher.port, timeout=30)
    connection.request("POST", "/v1/operations", body, {"Content-Type": "application/json"})
    operation = json.loads(connection.getresponse().read())
    while operation["state"] == "running":
        time.sleep(0.2)
        connection.request("GET", "/v1/operations/" + operation["id"])
        operation = json.loads(connection.getresponse().read())
    took = time.monotonic() - begin
    middle, most, longest = probe.end()
    if operation["changed"] != count:
        sys.exit(f"cancelled {operation['changed']} of {count}")
    print(f"cancel {count} by search  {count / took:10,.0f} tasks/s")
    turns = ", ".join(f"{number} to {bound:g}" for bound, number in dispatcher.turns() if number)
    print(f"  turns by milliseconds: {turns}")
    print(f"  a small question meanwhile {middle:6.1f} ms, 99th {most:.1f}, longest {longest:.1f}")


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="taskd-backlog.") as data:
        dispatcher = Dispatcher(program, data)
        print(f"empty                        {dispatcher.resident():6.1f} MiB resident")
        fill(dispatcher, count)
        print(f"  right after                {dispatcher.resident():6.1f} MiB resident")
        dispatcher.settle()
        print(f"  at rest                    {dispatcher.resident():6.1f} MiB resident")
        dispatcher.stop(signal.SIGKILL)
        dispatcher = Dispatcher(program, data)
        queued = dispatcher.stats()["states"]["queued"]
        print(f"restart after kill -9        {dispatcher.ready_after:6.2f} s with {queued} queued")
        dispatcher.settle()
        print(f"  at rest                    {dispatcher.resident():6.1f} MiB resident")
        dispatcher.stop()
        dispatcher = Dispatcher(program, data)
        print(f"restart after a clean stop   {dispatcher.ready_after:6.2f} s")
        cancel_all(dispatcher, queued)
        dispatcher.stop()
        used = sum(each.stat().st_size for each in Path(data).rglob("*") if each.is_file())
        print(f"on disk                      {used / 2**20:6.0f} MiB")


if __name__ == "__main__":
    main()
