"""taskd as a client of servers that speak TLS: a worker's service, a webhook, a dispatcher behind a
proxy. Certificates that are not trusted, or are somebody else's, are refused."""

import http.server
import json
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import harness


class Tls(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
                     "ca.pem", "-days", "2", "-subj", "/CN=test authority")
        self.certificate("here", "DNS:localhost,IP:127.0.0.1")
        self.certificate("elsewhere", "DNS:elsewhere.example")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.system.folder, check=True,
                       capture_output=True, timeout=60)

    def certificate(self, name, names):
        (self.system.folder / "names").write_text(f"subjectAltName={names}\n", encoding="utf-8")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
                     f"{name}.csr", "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "names")

    def serve(self, handler, name="here"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.system.folder / f"{name}.pem",
                                self.system.folder / f"{name}.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def trust(self):
        self.system.environment["SSL_CERT_FILE"] = str(self.system.folder / "ca.pem")

    def test_a_dispatcher_behind_a_proxy(self):
        dispatcher = self.system.start_all("sum")
        inner = dispatcher.url

        class Proxy(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.forward()

            def do_POST(self):
                self.forward()

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = urllib.request.Request(inner + self.path, body or None,
                                                 method=self.command)
                for name in ("Authorization", "Content-Type"):
                    if name in self.headers:
                        request.add_header(name, self.headers[name])
                try:
                    with urllib.request.urlopen(request, timeout=60) as got:
                        status, answer = got.status, got.read()
                except urllib.error.HTTPError as error:
                    status, answer = error.code, error.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        here, elsewhere = self.serve(Proxy), self.serve(Proxy, "elsewhere")
        refused = self.system.run("stats", "--retry-for", "0s", url=f"https://localhost:{here}")
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertIn("certificate is not trusted", refused.stderr)
        self.trust()
        for host in ("localhost", "127.0.0.1"):
            done = self.system.run("submit", "sum", "1", "2", "3", url=f"https://{host}:{here}")
            self.assertEqual((done.stdout, done.returncode), ("6\n", 0), done.stderr)
        foreign = self.system.run("stats", "--retry-for", "0s",
                                  url=f"https://localhost:{elsewhere}")
        self.assertIn("certificate is not trusted", foreign.stderr)
        plain = self.system.run("stats", "--retry-for", "0s", url=inner.replace("http", "https"))
        self.assertIn("no TLS connection", plain.stderr)

    def test_webhooks_and_services(self):
        self.trust()
        dispatcher = self.system.start_all()
        calls = []

        class Service(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = b'"done"'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        url = f"https://localhost:{self.serve(Service)}"
        self.system.worker("http", self.system.ns.url, "--type", "bill", "--url",
                           url + "/bill").start()
        done = self.system.run("submit", "bill", '{"sum": 3}', url=dispatcher.url)
        self.assertEqual((done.stdout, done.returncode), ("done\n", 0), done.stderr)
        made = dispatcher.api.call("PUT", "/v1/subscriptions/hook", {
            "pattern": "t", "webhook": {"url": url + "/hook"}})
        self.assertEqual(made.status, 200, made.text)
        dispatcher.api.post("/v1/topics/t/events", {"data": {"n": 1}})
        harness.wait_until(lambda: {"n": 1} in calls, "the webhook has the event")


if __name__ == "__main__":
    harness.main()
