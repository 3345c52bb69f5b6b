"""The pizza platform among odd events, bursts, full disks and services that misbehave for good."""

import concurrent.futures
import contextlib
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import harness
from contracts import HttpContract
from pizza_platform import SECRET, Platform, new_key

ORDER = "018bcfe5-687b-7000-8000-00000000000"


class Quiet(BaseHTTPRequestHandler):
    """Serves what a test says, and writes no log."""

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"{}", **headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        with contextlib.suppress(BrokenPipeError):
            self.end_headers()
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


class PizzaFaults(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.platform = Platform(self.system)

    def serve(self, handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def publish(self, topic, *events):
        told = self.platform.dp.api.post(f"/v1/topics/{topic}/events", list(events))
        self.assertEqual(told.status, 201, told.text)

    @staticmethod
    def placed(order, **more):
        return {"id": new_key(), "source": "test", "type": "order.placed", "key": "k",
                "data": {"orderId": order, "pizza": "Salami", "quantity": 1, "address": "here",
                         "customerName": "Ann", "timestamp": "2026-01-02T03:04:05Z", **more}}

    # What is no order by the contract is not cooked, and holds up nobody behind it.
    def test_odd_events(self):
        p = self.platform
        kitchen = p.start_kitchen("--ovens", "3")
        p.start_delivery()
        odd = [self.placed("bad\nid"), self.placed("x" * 300),
               self.placed(f"{ORDER}1", pizza="x" * 3000),
               self.placed(f"{ORDER}2", quantity=10 ** 9),
               self.placed(f"{ORDER}3", address="x" * 301)]
        good = [f"{ORDER}{n}" for n in range(4, 10)]
        self.publish("order.placed", *odd, *map(self.placed, good))
        harness.wait_until(lambda: sorted(p.orders_of("customer.notified")) == good,
                           "the good ones are delivered")
        self.assertEqual(sorted(p.orders_of("order.ready")), good)
        # Those that ended at once let it take no more than it has room for.
        at_work, most = set(), 0
        for what, order in re.findall(r'msg="?(cooking|cooked)"? order=(\S+)', kitchen.log()):
            (at_work.add if what == "cooking" else at_work.discard)(order)
            most = max(most, len(at_work))
        self.assertEqual(most, 3)
        cooked = [each["orderId"] for each in kitchen.get("/cooking")["cooking"]]
        self.assertEqual(sorted(cooked), good)
        self.assertNotIn('outcome="parked"', kitchen.api.get("/metrics").text)

    # A broker that takes no event of a certain kind does not hold up the others.
    def test_an_event_that_the_broker_refuses(self):
        p = self.platform
        broker = p.dp.url
        refused = []

        class Picky(Quiet):
            def do_POST(self):
                self.forward()

            def do_PUT(self):
                self.forward()

            def forward(self):
                body = self.body()
                if self.path.endswith("/order.ready/events") and f"{ORDER}1".encode() in body:
                    refused.append(len(json.loads(body)))
                    return self.answer(422, json.dumps({
                        "error": "invalid_field", "title": "no", "status": 422}).encode())
                request = urllib.request.Request(broker + self.path, body, method=self.command,
                                                 headers={"Content-Type": "application/json"})
                try:
                    with urllib.request.urlopen(request, timeout=30) as got:
                        self.answer(got.status, got.read())
                except urllib.error.HTTPError as error:
                    self.answer(error.code, error.read())
        kitchen = p.service("kitchen", "--cook-min", "50ms", "--cook-max", "50ms", "--ovens", "5",
                            "--ack-timeout", "1s", "--broker", self.serve(Picky)).start()
        orders = [f"{ORDER}{n}" for n in range(5)]
        self.publish("order.placed", *map(self.placed, orders))
        told = [order for order in orders if order != f"{ORDER}1"]
        harness.wait_until(lambda: sorted(p.orders_of("order.ready")) == told,
                           "the others are told")
        harness.wait_until(lambda: 'outcome="parked"} 1' in kitchen.api.get("/metrics").text,
                           "it is put aside")
        self.assertEqual(refused[-1], 1)
        kitchen.kill()
        kitchen.start()
        self.publish("order.placed", self.placed(f"{ORDER}7"))
        harness.wait_until(lambda: f"{ORDER}7" in p.orders_of("order.ready"), "it goes on")

    # The order of a kitchen that died before it could tell comes to another, whatever its store.
    def test_a_kitchen_dies_before_it_tells(self):
        p = self.platform
        self.system.environment["TASKD_PIZZA_CRASH"] = "cooked"
        first = p.service("kitchen", "--cook-min", "10ms", "--cook-max", "10ms", "--ack-timeout",
                          "1s", *p.broker(), name="first").start()
        del self.system.environment["TASKD_PIZZA_CRASH"]
        self.publish("order.placed", self.placed(f"{ORDER}1"))
        self.assertEqual(first.wait_end(), -9)
        self.assertEqual(p.orders_of("order.ready"), [])
        p.service("kitchen", "--cook-min", "10ms", "--cook-max", "10ms", *p.broker(),
                  name="second").start()
        harness.wait_until(lambda: p.orders_of("order.ready") == [f"{ORDER}1"], "it is told")

    # All at once: everybody has his turn, nobody is charged and sent away.
    def test_a_burst(self):
        p = self.platform
        p.start_identity()
        p.start_payment("--delay-min", "100ms", "--delay-max", "300ms")
        p.start_order()
        with concurrent.futures.ThreadPoolExecutor(250) as pool:
            answers = list(pool.map(
                lambda n: p.order.api.call("POST", "/orders", p.form(n)).status, range(250)))
        self.assertEqual(set(answers), {201})
        self.assertNotIn("breaker_open", p.order.api.get("/metrics").text.replace(
            "taskd_pizza_breaker_open", ""))
        self.assertEqual(p.payment.api.get("/metrics").text.count('outcome="again"'), 0)

    # Tokens that are refused for good: the breaker opens, and the issuer is not asked each time.
    def test_tokens_are_refused_for_good(self):
        p = self.platform
        asked, issued = [], []
        contract = HttpContract(p.service("payment", "--no-tokens", *p.broker()).start()
                                .api.get("/openapi.json").json)

        class Payment(Quiet):
            def do_POST(self):
                asked.append((self.command, self.path, json.loads(self.body())))
                self.answer(401, b'{"error":"invalid_token","reason":"wrong_audience"}')

            def do_DELETE(self):
                self.answer(401, b'{"error":"invalid_token","reason":"wrong_audience"}')
        p.start_identity()
        identity = p.identity.url

        class Provider(Quiet):
            """Elsewhere than the tokens are made, and under other paths, as real ones are."""

            def do_GET(self):
                base = f"http://{self.headers['Host']}/realms/pizza"
                self.answer(200, json.dumps({
                    "issuer": base, "jwks_uri": base + "/certs",
                    "token_endpoint": base + "/protocol/openid-connect/token"}).encode())

            def do_POST(self):
                issued.append(self.path)
                request = urllib.request.Request(identity + "/oauth/token", self.body())
                with urllib.request.urlopen(request, timeout=10) as got:
                    self.answer(200, got.read())
        provider = self.serve(Provider) + "/realms/pizza"
        p.order = p.service(
            "order", "--payment", self.serve(Payment), "--identity", provider, "--payment-wait",
            "10ms", "--client-secret-file", self.system.folder / "secret", *p.broker()).start()
        for number in range(12):
            self.assertEqual(p.order.api.call("POST", "/orders", p.form(number)).status, 503)
        self.assertEqual(set(issued), {"/realms/pizza/protocol/openid-connect/token"})
        self.assertIn("taskd_pizza_breaker_open 1", p.order.api.get("/metrics").text)
        self.assertLess(len(asked), 14)
        self.assertEqual([contract.request_faults(*each) for each in asked], [[]] * len(asked))
        self.assertLess(len(issued), 8)

    def limit(self, role, size):
        subprocess.run(["prlimit", "--pid", str(role.pid), f"--fsize={size}:unlimited"], check=True)

    # The disk fills while the payment is on its way: the customer is told the truth, and a payment
    # that cannot be noted as given back is not given back a thousand times.
    def test_the_disk_of_the_order_service_is_full(self):
        p = self.platform
        p.start_identity()
        p.start_payment("--delay-min", "700ms", "--delay-max", "700ms")
        p.order = p.service(
            "order", "--payment", p.payment.url, "--identity", p.identity.url, "--payment-timeout",
            "2s", "--payment-wait", "20ms", "--client-secret-file", self.system.folder / "secret",
            *p.broker())
        p.order.prefix = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"]
        p.order.start()
        first = p.place(0)
        asked = harness.in_thread(lambda: p.order.api.call("POST", "/orders", p.form(1)))
        harness.wait_until(lambda: len(p.order.get("/orders")["orders"]) == 2, "it is written down")
        self.limit(p.order, 100)
        answer = asked.result(harness.PATIENCE)
        self.assertEqual(answer.status, 201, answer.text)
        self.assertIn(p.order.api.call("POST", "/orders", p.form(2)).status, (500, 503, 507))
        self.limit(p.order, "unlimited")
        second = answer.json["orderId"]
        harness.wait_until(lambda: sorted(p.orders_of("order.placed")) == sorted([first, second]),
                           "it is placed once there is room")
        p.payment.kill()
        refused = p.order.api.call("POST", "/orders", p.form(3))
        self.assertEqual(refused.status, 503, refused.text)
        self.limit(p.order, 100)
        p.payment.start()

        def cancels():
            told = [line for line in p.payment.api.get("/metrics").text.splitlines()
                    if line.startswith("taskd_http_requests_total") and 'method="DELETE"' in line]
            return sum(float(line.rpartition(" ")[2]) for line in told)
        harness.wait_until(lambda: cancels() > 0, "it is given back")
        self.assertLess(cancels(), 40)
        self.limit(p.order, "unlimited")
        gone = refused.json["orderId"]
        harness.wait_until(lambda: p.payments().get(gone) in (None, "CANCELLED") and "given back" in
                           p.order.log(), "and that is noted")

    # Spans told twice, and spans that name each other: each stands in the tree once.
    def test_a_trace_that_is_no_tree(self):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"

        def span(number, parent, name):
            return {"id": new_key(), "source": "test", "type": "trace.spans", "data": {
                "traceId": trace, "spanId": f"{number:016x}", "parentId": f"{parent:016x}",
                "name": name, "service": "test", "start": "2026-01-02T03:04:05Z",
                "end": "2026-01-02T03:04:06Z"}}
        chain = [span(number, number - 1, f"step-{number}.") for number in range(1, 30)]
        ring = [span(100, 101, "ring-a."), span(101, 100, "ring-b.")]
        self.publish("trace.spans", *chain, *chain, *ring)
        shown = self.system.run("trace", trace, url=self.platform.dp.url)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        for name in [f"step-{number}." for number in range(1, 30)] + ["ring-a.", "ring-b."]:
            self.assertEqual(shown.stdout.count(name), 1, name)

    # What one has begun is not another's to do: its folder is its own.
    def test_a_second_order_service_on_the_same_data(self):
        p = self.platform
        p.start_counter()
        second = self.system.run(
            "pizza", "order", "--data", self.system.folder / "order", "--port", 0, "--payment",
            p.payment.url, "--identity", p.identity.url, "--client-secret-file",
            self.system.folder / "secret", *p.broker(), *self.system.key_options)
        self.assertEqual(second.returncode, 1)
        self.assertIn("store_locked", second.stderr)
        placed = p.place()
        p.order.kill()
        p.order.start()  # its lock went with it
        self.assertEqual(p.order.get(f"/orders/{placed}")["orderId"], placed)

    # Keys that cannot be stored are not made again without end.
    def test_keys_that_cannot_be_stored(self):
        p = self.platform
        p.start_identity("--rotate-every", "300ms")
        keys = self.system.folder / "identity" / "keys.json"
        harness.wait_until(lambda: "another key signs" in p.identity.log(), "a key is changed")
        keys.unlink()
        keys.mkdir()
        harness.wait_until(lambda: "there is no new key" in p.identity.log(), "it is told")
        self.assertEqual(p.identity.log().count("there is no new key"), 1)
        self.assertEqual(p.identity.api.call(
            "POST", "/oauth/token", "grant_type=client_credentials&client_id=order&client_secret="
            + SECRET, {"Content-Type": "application/x-www-form-urlencoded"}).status, 200)


if __name__ == "__main__":
    harness.main()
