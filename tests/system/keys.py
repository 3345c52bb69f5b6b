"""The cluster key: who has none or another one gets nothing, over HTTP and over UDP."""

import hashlib
import hmac
import json
import socket
import stat
import struct

import harness

WIRE_VERSION = 2
STATUS = 2


def sealed(kind, session, sequence, to, body, key):
    """A datagram as a worker sends it (src/protocol says how it is built)."""
    key_id = 0
    if key:
        key_id = int.from_bytes(hashlib.sha256(b"taskd key id" + key).digest()[:4], "big") | 1
    head = b"tkd\x01" + struct.pack(">BBQQI", WIRE_VERSION, kind, session, sequence, key_id)
    proof = hmac.digest(key, head + to + body, "sha256")[:16] if key else bytes(16)
    return head + proof + body


class Keys(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.system.use_key()

    def test_http(self):
        system = self.system
        system.start_all("sum")
        monitor = system.role("monitor", "monitor", "--dispatcher", system.dp.url,
                              "--nameservice", system.ns.url).start()
        for role, path in ((system.dp, "/v1/stats"), (system.ns, "/v1/registrations"),
                           (monitor, "/v1/overview")):
            with self.subTest(role=role.name):
                self.assertEqual(role.api.get(path).status, 200)
                answer = harness.Api(role.url).get(path)
                self.assert_problem(answer, 401, "missing_key")
                self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
                answer = harness.Api(role.url, "another-key-of-some-length").get(path)
                self.assert_problem(answer, 403, "wrong_key")
                for path in ("/healthz", "/openapi.json"):
                    self.assertEqual(harness.Api(role.url).get(path).status, 200)
        answer = harness.Api(system.dp.url).post("/v1/tasks", {"type": "sum"})
        self.assert_problem(answer, 401, "missing_key")
        self.assertEqual(system.dp.api.all_tasks(), [])

    def test_a_body_is_not_awaited_of_who_has_no_key(self):
        self.system.start_all()
        wrong = b"Authorization: Bearer another-key-of-some-length\r\n"
        for path, more, status in ((b"/v1/tasks", b"", b"401"), (b"/v1/tasks", wrong, b"403"),
                                   (b"/healthz", b"", b"405"), (b"/nowhere", b"", b"404")):
            with socket.create_connection(("127.0.0.1", self.system.dp.port),
                                          harness.PATIENCE) as raw:
                raw.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + more +
                            b"Content-Length: 16000000\r\n\r\n{")
                head = raw.recv(4096)
            self.assertEqual(head[:12], b"HTTP/1.1 " + status, head)

    def test_commands(self):
        system = self.system
        system.start_all("sum")
        (system.folder / "other").write_text("another-key-of-some-length", encoding="utf-8")
        (system.folder / "short").write_text("short\n", encoding="utf-8")
        good = system.run("submit", "sum", 1, 2, "--key-file", "key")
        self.assertEqual((good.returncode, good.stdout, good.stderr), (0, "3\n", ""))
        for options, code, name in [
                ([], 1, "missing_key"), (["--key-file", "other"], 1, "wrong_key"),
                (["--key-file", "short"], 2, "key_unreadable"),
                (["--key-file", "none"], 2, "key_unreadable")]:
            done = system.run("submit", "sum", 1, *options)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertIn(name, done.stderr)
            if code == 1:  # with a way out
                self.assertIn(f"{system.dp.url} ", done.stderr)
                self.assertIn("--key-file FILE (TASKD_KEY_FILE)", done.stderr)
                self.assertIn("--data DIR (TASKD_DATA)", done.stderr)

    def test_worker_without_the_key_gets_nothing(self):
        system = self.system
        system.start_all()
        for name, secret in (("other", "another-key-of-some-length"), ("none", "")):
            with self.subTest(key=name):
                (system.folder / name).write_text(secret, encoding="utf-8")
                options = ["--key-file", system.folder / name] if secret else []
                worker = system.role(f"{name}-worker", "worker", "sum", "--nameservice",
                                     system.ns.url, "--log-level", "debug", *options,
                                     key=False).start()
                worker.wait_log("waiting for the name service",
                                "wrong_key" if secret else "missing_key")
                # Even a registration made by somebody with the key leases it nothing.
                instance = f"planted-{name}"
                answer = system.ns.api.call("PUT", f"/v1/registrations/{instance}", {
                    "type": "sum", "port": worker.port, "session": "00000000000000a1"})
                self.assertEqual(answer.status, 201)
                task = system.dp.api.submit("sum", [1])
                worker.wait_log("datagram refused", "wrong_key")
                whole = system.dp.api.task(task)
                self.assertEqual((whole["state"], whole["attempts_made"]), ("queued", 0))
                system.wait_workers(0)
                self.assertFalse([each for each in system.dp.api.get("/v1/workers").json["workers"]
                                  if each["reachable"]])
                worker.kill()

    def test_forged_datagrams(self):
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url, "--log-level", "debug").start().wait_ready()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            forger.bind(("127.0.0.1", 0))
            forger.settimeout(harness.PATIENCE)
            system.ns.api.call("PUT", "/v1/registrations/forger", {
                "type": "sum", "port": forger.getsockname()[1], "session": "00000000000000a1"})
            to = forger.recv(2048)[6:14]  # the dispatcher knows it by now, and says its session
            status = {"type": "sum", "slots": 4, "window_bytes": 65536}
            body = json.dumps({"from": "forger", "items": [status]}).encode()
            task = system.dp.api.submit("sum", [1])
            good = sealed(STATUS, 7, 1, to, body, system.key.encode())
            for name, datagram in [
                    ("wrong_key", sealed(STATUS, 7, 1, to, body, b"another-key-of-some-length")),
                    ("missing_key", sealed(STATUS, 7, 1, to, body, b"")),
                    ("wrong_key", sealed(STATUS, 7, 1, bytes(8), body, system.key.encode())),
                    ("wrong_key", good[:-1] + b" "), ("bad_request", b"tkd\x01"),
                    ("bad_request", b"GET / HTTP/1.1\r\n\r\n")]:
                before = system.dp.last_log().count("datagram refused")
                forger.sendto(datagram, ("127.0.0.1", system.dp.port))
                harness.wait_until(
                    lambda: system.dp.last_log().count("datagram refused") > before, name)
                last = [line for line in system.dp.last_log().splitlines() if "refused" in line][-1]
                self.assertIn(name, last)
            self.assertEqual(system.dp.api.task(task)["attempts_made"], 0)
            system.wait_workers(0)
            # The same words with the right key are heard: the forgery was a good one.
            forger.sendto(good, ("127.0.0.1", system.dp.port))
            system.wait_workers(1)
            harness.wait_until(lambda: system.dp.api.task(task)["state"] == "running", "leased")


class BeyondLoopback(harness.SystemTest):

    def roles(self, *options):
        nowhere = "http://127.0.0.1:1"
        yield self.system.nameservice("--host", "0.0.0.0", *options)
        yield self.system.dispatcher(nowhere, "--host", "0.0.0.0", *options)
        yield self.system.worker("sum", nowhere, "--host", "0.0.0.0", *options)
        yield self.system.role("monitor", "monitor", "--host", "0.0.0.0", *options)

    def test_needs_a_key(self):
        for role in self.roles():
            role.spawn()
            self.assertEqual(role.wait_end(), 2, role.name)
            self.assertIn("key_required", role.last_log())
        self.assertFalse((self.system.folder / "dispatcher").exists())

    def test_or_as_many_words(self):
        for role in self.roles("--insecure"):
            self.assertEqual(role.start().api.get("/healthz").status, 200)

    def test_starts_with_a_key(self):
        self.system.use_key()
        for role in self.roles():
            self.assertEqual(role.start().api.get("/healthz").status, 200)

    def test_key_that_cannot_be_used(self):
        (self.system.folder / "short").write_text("too short\n", encoding="utf-8")
        for name in ("short", "missing"):
            for role in self.roles("--key-file", self.system.folder / name):
                role.spawn()
                self.assertEqual(role.wait_end(), 2, role.name)
                self.assertIn("key_unreadable", role.last_log())


class UnixSocket(harness.SystemTest):

    def test_commands_over_a_socket(self):
        system = self.system
        system.use_key()
        system.ns = system.nameservice().start()
        path = system.folder / "taskd.sock"
        system.dp = system.dispatcher(system.ns.url, "--listen", f"unix:{path}").start()
        system.dp.wait_ready()
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        over = ["--url", f"unix:{path}"]
        refused = system.run("list", *over)
        self.assertIn("missing_key", refused.stderr)
        sent = system.run("submit", "sum", "1", "--detach", *over, *system.key_options)
        self.assertEqual(sent.returncode, 0, sent.stderr)
        listed = system.run("list", "-o", "id", *over, *system.key_options)
        self.assertEqual(listed.stdout, sent.stdout)
        system.dp.restart().wait_ready()  # after kill -9 the stale socket is replaced
        listed = system.run("list", "-o", "id", *over, *system.key_options)
        self.assertEqual(listed.stdout, sent.stdout)
        system.dp.terminate()
        self.assertEqual(system.dp.wait_end(), 0)
        self.assertFalse(path.exists())
        bad = system.run("dispatcher", "--listen", "/tmp/x", "--port", "0")
        self.assertEqual(bad.returncode, 2, bad.stderr)


class WithoutKey(harness.SystemTest):

    def test_pages_of_others_are_refused(self):
        system = self.system
        system.start_all("sum")
        monitor = system.role("monitor", "monitor", "--dispatcher", system.dp.url,
                              "--nameservice", system.ns.url).start()
        for role, path in ((system.dp, "/v1/stats"), (system.ns, "/v1/registrations"),
                           (monitor, "/v1/overview")):
            with self.subTest(role=role.name):
                own = {"Origin": role.url}
                self.assertEqual(role.api.call("GET", path, headers=own).status, 200)
                for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"},
                                {"Host": f"evil.example:{role.port}"}):
                    answer = role.api.call("GET", path, headers=headers)
                    self.assert_problem(answer, 403, "foreign_origin")
        task = {"type": "sum", "payload": [1, 2]}
        answer = system.dp.api.call("POST", "/v1/tasks", task, {"Origin": "http://evil.example"})
        self.assert_problem(answer, 403, "foreign_origin")
        self.assertEqual(system.dp.api.all_tasks(), [])
        answer = system.dp.api.call("POST", "/v1/tasks?wait=20s", task, {"Host": "localhost"})
        self.assertEqual(answer.json["result"], 3)


if __name__ == "__main__":
    harness.main()
