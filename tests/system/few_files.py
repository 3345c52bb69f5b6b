"""A dispatcher that may open few files keeps those that its store needs."""

import socket

import harness

FILES = 256
CONNECTIONS = 300
BODY = "x" * 100 * 1024  # beside the view: a file of its own
ASK = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


class FewFiles(harness.SystemTest):

    def start(self):
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url)
        system.dp.prefix = ["sh", "-c", f'ulimit -n {FILES} && ulimit -Sn 64 && exec "$@"', "sh"]
        return system.dp.start().wait_ready()

    def connect(self):
        """What a new connection is answered; it stays."""
        each = socket.create_connection(("127.0.0.1", self.system.dp.port), harness.PATIENCE)
        self.addCleanup(each.close)
        try:
            each.sendall(ASK)
            return each.recv(4096)
        except ConnectionError:
            return b""

    def test_connections_leave_the_store_its_files(self):
        role = self.start()
        api = harness.Api(role.url, keep=True)
        self.addCleanup(api.close)
        api.get("/healthz")
        heads = [self.connect() for _ in range(CONNECTIONS)]
        taken = [head for head in heads if head.startswith(b"HTTP/1.1 200 ")]
        told = [head for head in heads if head.startswith(b"HTTP/1.1 503 ")]
        self.assertGreater(len(taken), FILES // 4)
        self.assertLess(len(taken), FILES // 2)
        self.assertTrue(told, "those beyond are told so")
        self.assertTrue(all(b"too_many_connections" in head for head in told))
        task = api.submit("slow", BODY)
        blobs = self.system.folder / "dispatcher" / "blobs"
        harness.wait_until(lambda: [each for each in blobs.rglob("*") if each.is_file()],
                           "the view has it, and its payload in a file")
        self.assertEqual(api.task(task)["payload"], BODY)
        self.assertIsNone(role.code)
        role.wait_log("few files may be open", f"files={FILES}")


if __name__ == "__main__":
    harness.main()
