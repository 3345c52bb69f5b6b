"""The pizza platform in real processes, for its tests: each service with a store of its own, every
answer and event held against its contract."""

import json
import time
import uuid

import harness
from client import Broken
from contracts import EventContract, HttpContract

SECRET = "a-secret-of-the-order-service"
QUICK_PAYMENT = ["--delay-min", "0", "--delay-max", "0", "--decline-percent", "0"]
QUICK_KITCHEN = ["--cook-min", "50ms", "--cook-max", "150ms", "--ack-timeout", "1s"]
QUICK_ORDER = ["--payment-timeout", "2s", "--payment-wait", "20ms", "--breaker-time", "300ms"]
PIZZAS = ["Margherita", "Salami", "Funghi"]
TOPICS = ["order.placed", "order.ready", "delivery.assigned", "customer.notified", "trace.spans"]


# What the tests of this process have seen of each contract: {service: (document, {operations})}.
SEEN = {}


class Service(harness.Role):
    """A service whose answers are held against the contract that it serves."""

    contract = None

    def call(self, method, path, body=None, headers=None):
        if self.contract is None:
            self.contract = HttpContract(self.api.get("/openapi.json").json)
            seen = SEEN.setdefault(self.arguments[1], (self.contract.document, set()))
            self.contract.seen = seen[1]
        answer = self.api.call(method, path, body, headers)
        self.contract.check(method, path, answer)
        return answer

    def get(self, path):
        answer = self.call("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    def patiently(self, path):
        """As `get`, over a restart."""
        def got():
            try:
                return self.get(path)
            except Broken:
                return None
        return harness.wait_until(got, f"{self.name} answers {path}")


class Platform:
    def __init__(self, system):
        self.system = system
        self.ns = system.nameservice().start()
        self.dp = system.dispatcher(self.ns.url).start().wait_ready()
        self.services = []
        secret = system.folder / "secret"
        secret.write_text(SECRET + "\n", encoding="utf-8")
        clients = system.folder / "clients.yaml"
        clients.write_text(json.dumps({"clients": [
            {"id": "order", "secret": SECRET, "audiences": ["payment"]},
            {"id": "guest", "secret": "a-secret-of-a-guest", "audiences": ["kitchen", "payment"]},
        ]}), encoding="utf-8")

    def service(self, kind, *arguments, name=None, data=None):
        name = name or kind
        role = Service(self.system, name, ["pizza", kind, "--data",
                                           str(self.system.folder / (data or name)),
                                           *map(str, arguments), *self.system.key_options],
                       self.system.key)
        self.system.roles.append(role)
        self.services.append(role)
        return role

    def broker(self):
        return ["--broker", self.dp.url]

    def start_identity(self, *arguments):
        self.identity = self.service("identity", "--clients", self.system.folder / "clients.yaml",
                                     *arguments).start()
        return self.identity

    def start_payment(self, *arguments):
        self.payment = self.service("payment", *QUICK_PAYMENT, "--identity", self.identity.url,
                                    *self.broker(), *arguments).start()
        return self.payment

    def start_order(self, *arguments):
        self.order = self.service(
            "order", *QUICK_ORDER, "--payment", self.payment.url, "--identity", self.identity.url,
            "--client-secret-file", self.system.folder / "secret", *self.broker(),
            *arguments).start()
        return self.order

    def start_kitchen(self, *arguments, name="kitchen"):
        """Kitchens of one house share its store."""
        return self.service("kitchen", *QUICK_KITCHEN, *self.broker(), *arguments, name=name,
                            data="kitchen").start()

    def start_delivery(self, *arguments):
        self.delivery = self.service("delivery", *self.broker(), "--ack-timeout", "1s",
                                     *arguments).start()
        return self.delivery

    def start_counter(self):
        """What takes orders and money: all that a customer sees."""
        self.start_identity()
        self.start_payment()
        self.start_order()

    def start_all(self):
        self.start_counter()
        self.kitchen = self.start_kitchen()
        self.start_delivery()

    # ---- customers

    @staticmethod
    def form(number=0, **more):
        return {"pizza": PIZZAS[number % len(PIZZAS)], "quantity": 1 + number % 3,
                "address": f"Ringstraße {number}", "customerName": f"Kundin {number}", **more}

    def place(self, number=0, headers=None, path="/orders"):
        """The id of an order that was taken."""
        answer = self.order.call("POST", path, self.form(number), headers)
        assert answer.status == 201, answer.text
        assert answer.json["status"] == "SUCCESS", answer.text
        return answer.json["orderId"]

    def place_patiently(self, number, key):
        """Says it again, under one key, until there is an answer; the id."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            try:
                answer = self.order.call("POST", "/orders", self.form(number),
                                         {"Idempotency-Key": key})
                if answer.status == 201:
                    return answer.json["orderId"]
                assert answer.status == 503, answer.text
            except Broken:
                pass
            assert time.monotonic() < end, "no answer"
            time.sleep(0.02)

    # ---- what became of it

    def events(self, topic):
        """All of a topic, each held against the contract."""
        found = []
        after = 0
        while True:
            answer = self.dp.api.get(f"/v1/topics/{topic}/events?after={after}&limit=1000")
            if answer.status == 404:
                return found
            assert answer.status == 200, answer.text
            some = answer.json["events"]
            if not some:
                return found
            for event in some:
                self.event_contract().check(event)
            found += some
            after = answer.json["last"]

    def event_contract(self):
        if not hasattr(self, "_events"):
            role = next(each for each in self.services
                        if "identity" not in each.name and each.code is None)
            self._events = EventContract(role.api.get("/asyncapi.json").json)
        return self._events

    def orders_of(self, topic):
        return [event["data"]["orderId"] for event in self.events(topic)]

    def wait_delivered(self, orders, patience=harness.PATIENCE):
        """Until every order was placed, cooked, handed to a driver and its customer was told: once
        each. A service's topics are filled one after the other, in no promised order."""
        topics = ("order.placed", "order.ready", "delivery.assigned", "customer.notified")

        def told():
            try:
                return all(set(orders) <= set(self.orders_of(topic)) for topic in topics)
            except Broken:
                return False
        harness.wait_until(told, f"{len(orders)} orders are delivered", patience)
        for topic in topics:
            seen = self.orders_of(topic)
            assert sorted(seen) == sorted(set(seen)), f"{topic}: an order stands twice"

    def check_all_events(self):
        for topic in TOPICS:
            self.events(topic)

    def token(self, client="order", secret=SECRET, audience="payment"):
        answer = self.identity.call(
            "POST", "/oauth/token",
            f"grant_type=client_credentials&client_id={client}&client_secret={secret}"
            f"&audience={audience}", {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 200, answer.text
        return answer.json["access_token"]

    def payments(self):
        """{order: status} of the payment's own store, by its interface."""
        header = {"Authorization": "Bearer " + self.token()}
        found = {}
        for each in self.order.get("/orders?limit=1000")["orders"]:
            answer = self.payment.call("GET", f"/payments/{each['orderId']}", headers=header)
            assert answer.status in (200, 404), answer.text
            if answer.status == 200:
                found[each["orderId"]] = answer.json["status"]
        return found


def unseen():
    """Operations and answers that contracts name and no test has met."""
    missing = []
    for kind, (document, seen) in sorted(SEEN.items()):
        for path, item in document["paths"].items():
            for method in {"get", "put", "post", "delete"} & set(item):
                for status in item[method]["responses"]:
                    if status.isdigit() and (method.upper(), path, int(status)) not in seen:
                        missing.append(f"{kind}: {method.upper()} {path} {status}")
    return missing


def new_key():
    return str(uuid.uuid4())
