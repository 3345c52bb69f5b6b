"""A bad network between real processes: a UDP path that loses, doubles and reorders from a seed,
and a name service that tells the dispatcher the way through it."""

import heapq
import http.server
import json
import random
import selectors
import socket
import threading
import time

from client import Api, Broken

DATAGRAM_BYTES_MAX = 65_536
HOLD_SECONDS_MAX = 0.02


class Faults:
    """What happens to datagrams, each with its chance."""

    def __init__(self, loss=0.0, doubling=0.0, reordering=0.0):
        self.loss = loss
        self.doubling = doubling
        self.reordering = reordering


class LossyPath(threading.Thread):
    """One UDP port in front of another. Each direction draws from a chance of its own, so the n-th
    datagram of a direction always meets the same fate."""

    def __init__(self, target_port, faults, seed):
        super().__init__(daemon=True)
        self.target = ("127.0.0.1", target_port)
        self.faults = faults
        self.chances = {True: random.Random(f"{seed} there"), False: random.Random(f"{seed} back")}
        self.counts = {True: {"passed": 0, "lost": 0, "doubled": 0, "held": 0},
                       False: {"passed": 0, "lost": 0, "doubled": 0, "held": 0}}
        self.selector = selectors.DefaultSelector()
        self.front = self._socket(None)
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.upstreams = {}  # client address: socket towards the target
        self.caught = []     # all that went towards the target
        self.held = []       # heap of (due, number, send)
        self.number = 0
        self.ending = threading.Event()
        self.start()

    def _socket(self, client):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.selector.register(made, selectors.EVENT_READ, client)
        return made

    def run(self):
        while not self.ending.is_set():
            wait = self.held[0][0] - time.monotonic() if self.held else 0.05
            for key, _ in self.selector.select(max(0.0, wait)):
                self._take(key.fileobj, key.data)
            while self.held and self.held[0][0] <= time.monotonic():
                heapq.heappop(self.held)[2]()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

    def _take(self, source, client):
        while True:
            try:
                data, sender = source.recvfrom(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:  # nobody listens at the target just now
                continue
            if source is self.front:
                self.caught.append(data)
                if sender not in self.upstreams:
                    upstream = self._socket(sender)
                    upstream.connect(self.target)
                    self.upstreams[sender] = upstream
                self._pass_on(True, self.upstreams[sender].send, data)
            else:
                self._pass_on(False, self.front.sendto, data, client)

    def _pass_on(self, there, send, *arguments):
        chance, counts = self.chances[there], self.counts[there]

        def deliver():
            try:
                send(*arguments)
            except OSError:  # a datagram may get lost
                pass
        if chance.random() < self.faults.loss:
            counts["lost"] += 1
            return
        copies = 1
        if chance.random() < self.faults.doubling:
            counts["doubled"] += 1
            copies = 2
        for _ in range(copies):
            if chance.random() < self.faults.reordering:
                counts["held"] += 1
                self.number += 1
                due = time.monotonic() + chance.random() * HOLD_SECONDS_MAX
                heapq.heappush(self.held, (due, self.number, deliver))
            else:
                counts["passed"] += 1
                deliver()

    def close(self):
        self.ending.set()
        self.join()


class BadNetwork:
    """Stands in for the name service towards the dispatcher: passes every request on, and puts a
    LossyPath in front of every worker it tells of."""

    def __init__(self, nameservice_url, faults, seed):
        self.faults = faults
        self.seed = seed
        self.paths = {}  # worker's port: its path
        self.lock = threading.Lock()
        network = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # the name the library looks for
                headers = {name: self.headers[name] for name in ("Authorization",)
                           if name in self.headers}
                try:
                    answer = Api(nameservice_url).call("GET", self.path, headers=headers)
                except Broken:
                    self.send_error(502)
                    return
                body = answer.body
                if answer.status == 200 and self.path.startswith("/v1/registrations"):
                    body = network.rewrite(answer.json)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A dispatcher that was killed left its connection: nothing to say."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def rewrite(self, registry):
        with self.lock:
            for each in registry["registrations"]:
                if each["port"] not in self.paths:
                    self.paths[each["port"]] = LossyPath(
                        each["port"], self.faults, f"{self.seed} {len(self.paths)}")
                each["port"] = self.paths[each["port"]].port
        return json.dumps(registry).encode()

    def total(self, what):
        """How often it happened, (towards workers, back)."""
        with self.lock:
            paths = list(self.paths.values())
        return tuple(sum(path.counts[there][what] for path in paths) for there in (True, False))

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for path in self.paths.values():
            path.close()
