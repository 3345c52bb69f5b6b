"""Ten thousand connections that do nothing cost no thread, little memory, and nobody's time."""

import pathlib
import resource
import selectors
import socket
import time
import unittest

import harness

CONNECTIONS = 10_000
FILES = CONNECTIONS + 1_000
MEMORY_MAX = 150 << 20  # bytes more than before


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return int(values["Threads"]), int(values["VmRSS"].split()[0]) << 10


class IdleConnections(harness.SystemTest):

    def setUp(self):
        super().setUp()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        if before[1] != resource.RLIM_INFINITY and before[1] < FILES:
            raise unittest.SkipTest(f"no more than {before[1]} open files are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(FILES, before[0]), before[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        self.sockets = []
        self.addCleanup(lambda: [each.close() for each in self.sockets])

    def connect_all(self, request):
        """Opens all connections and sends `request` on each, a hundred at a time."""
        for _ in range(CONNECTIONS // 100):
            fresh = [socket.create_connection(("127.0.0.1", self.system.dp.port), harness.PATIENCE)
                     for _ in range(100)]
            for each in fresh:
                each.sendall(request)
            self.sockets += fresh

    def read_all(self):
        """The first bytes that came on each connection."""
        waits = selectors.DefaultSelector()
        for each in self.sockets:
            each.setblocking(False)
            waits.register(each, selectors.EVENT_READ)
        heads = {}
        end = time.monotonic() + 2 * harness.PATIENCE
        while len(heads) < len(self.sockets) and time.monotonic() < end:
            for key, _ in waits.select(1):
                heads[key.fileobj] = key.fileobj.recv(4096)
                waits.unregister(key.fileobj)
        waits.close()
        return list(heads.values())

    def check_the_others(self, threads, memory):
        """Whoever else asks is served as if they were not there."""
        api = self.system.dp.api
        slowest = 0
        for _ in range(50):
            begin = time.monotonic()
            self.assertEqual(api.get("/v1/stats").status, 200)
            slowest = max(slowest, time.monotonic() - begin)
        self.assertLess(slowest, 5)
        now_threads, now_memory = status_of(self.system.dp.pid)
        self.assertEqual(now_threads, threads)
        self.assertLess(now_memory - memory, MEMORY_MAX)

    def start(self):
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url).start().wait_ready()
        system.dp.api.get("/v1/stats")
        return status_of(system.dp.pid)

    def test_kept_alive(self):
        before = self.start()
        self.connect_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        heads = self.read_all()
        self.assertEqual(len(heads), CONNECTIONS)
        self.assertTrue(all(head.startswith(b"HTTP/1.1 200 ") for head in heads))
        self.check_the_others(*before)

    def test_long_polls(self):
        before = self.start()
        api = self.system.dp.api
        task = api.submit("slow")
        self.connect_all(f"GET /v1/tasks/{task}/result?wait=5m HTTP/1.1\r\nHost: a\r\n\r\n"
                         .encode())
        self.check_the_others(*before)
        held = api.post("/v1/leases", {"types": ["slow"], "wait_ms": 10000}).json["tasks"]
        api.post(f"/v1/leases/{held[0]['lease']}/complete", {"result": 1})
        heads = self.read_all()
        self.assertEqual(len(heads), CONNECTIONS)
        self.assertTrue(all(head.startswith(b"HTTP/1.1 200 ") for head in heads))

    def test_bodies_are_let_go_while_their_senders_wait(self):
        _, before = self.start()
        body = b'{"type":"slow","payload":1}' + b" " * (8 << 20)
        head = (f"POST /v1/tasks?wait=5m HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}"
                "\r\n\r\n")
        for _ in range(40):
            each = socket.create_connection(("127.0.0.1", self.system.dp.port), harness.PATIENCE)
            self.sockets.append(each)
            each.sendall(head.encode() + body)
        api = self.system.dp.api
        harness.wait_until(lambda: len(api.all_tasks()) == 40, "all of them wait")
        _, now = status_of(self.system.dp.pid)
        self.assertLess(now - before, MEMORY_MAX)


if __name__ == "__main__":
    harness.main()
