"""deploy/pizza/compose.yaml on a real container engine: orders from the counter to the door, three
kitchens of which one dies, payment and broker away for a while.

    python3 tests/containers/pizza_test.py
"""

import json
import re
import unittest
import urllib.error
import urllib.request

from composed import Composed, wait_until
from engine import run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SERVICES = {"broker": 1, "identity": 1, "payment": 1, "order": 1, "kitchen": 3, "delivery": 1}


class Pizza(Composed):
    PROJECT = "pizzatest"
    FILE = "deploy/pizza/compose.yaml"
    NETWORK = "pizza"
    UP = ("--scale", "kitchen=3")

    @classmethod
    def prepare(cls):
        run(cls.folder / "deploy/pizza/make_secrets.sh", cls.folder / "deploy/pizza/secrets")

    def ask(self, service, port, path, body=None, headers=None):
        """(status, JSON) of a service, over the network of the containers."""
        address = self.address(self.containers_of(service)[0])
        request = urllib.request.Request(
            f"http://{address}:{port}{path}", headers=headers or {},
            data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def order(self, number, headers=None):
        return self.ask("order", 8090, "/orders", {
            "pizza": "Salami", "quantity": 1, "address": f"Ringstraße {number}",
            "customerName": f"Kundin {number}"}, {"Content-Type": "application/json",
                                                  **(headers or {})})

    def place(self, count, headers=None):
        """Ids of `count` orders that were paid; a fifth of all payments is declined."""
        placed = []
        while len(placed) < count:
            status, said = self.order(len(placed), headers)
            self.assertIn(status, (201, 402), said)
            if status == 201:
                placed.append(said["orderId"])
        return placed

    def deliveries(self):
        status, said = self.ask("delivery", 8093, "/deliveries?limit=1000")
        self.assertEqual(status, 200, said)
        return said["deliveries"]

    def wait_delivered(self, orders):
        wait_until(lambda: {each["orderId"] for each in self.deliveries()} >= set(orders),
                   f"{len(orders)} orders are delivered")

    def told_by(self, kitchen):
        """[(what, order)] as the log of a kitchen tells it: `cooking`, then `cooked`."""
        return re.findall(r'msg="?(cooking|cooked)"? order=(\S+)', self.logged(kitchen["Id"]))

    def cooks(self):
        """{order: the kitchens whose logs say that they cooked it}."""
        cooked = {}
        for kitchen in self.containers_of("kitchen"):
            for what, order in self.told_by(kitchen):
                if what == "cooked":
                    cooked.setdefault(order, []).append(kitchen["Name"])
        return cooked

    def wait_cooking(self):
        """(a kitchen that is at an order, the order)."""
        def found():
            for kitchen in self.containers_of("kitchen"):
                told = self.told_by(kitchen)
                done = {order for what, order in told if what == "cooked"}
                at_work = [order for _, order in told if order not in done]
                if at_work:
                    return kitchen, at_work[-1]
            return None
        return wait_until(found, "a kitchen cooks")

    def test_what_runs_is_shut_in(self):
        running = self.containers()
        self.assertEqual(len(running), sum(SERVICES.values()))
        published = {}
        for one in running:
            self.assertTrue(one["HostConfig"]["ReadonlyRootfs"], one["Name"])
            self.assertEqual(one["HostConfig"]["CapDrop"], ["ALL"], one["Name"])
            for port, hosts in (one["HostConfig"]["PortBindings"] or {}).items():
                published[port] = {host["HostIp"] for host in hosts}
        self.assertEqual(published, {"8090/tcp": {"127.0.0.1"}, "8093/tcp": {"127.0.0.1"}})

    # One after the other: from an order to its trace, then whatever may be away.
    def test_orders_reach_their_door(self):
        first = self.place(1, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
        orders = first + self.place(5)
        kitchen, order = self.wait_cooking()
        self.engine.docker("kill", "--signal", "KILL", kitchen["Id"])
        self.wait_delivered(orders)
        cooked = self.cooks()
        self.assertEqual(sorted(cooked), sorted(orders))
        self.assertTrue(all(len(by) == 1 for by in cooked.values()), cooked)
        self.assertNotEqual(cooked[order], [kitchen["Name"]])
        delivered = [each["orderId"] for each in self.deliveries()]
        self.assertEqual(sorted(delivered), sorted(orders))
        key = self.folder / "deploy/pizza/secrets/cluster_key"
        spans = wait_until(lambda: self.trace(key, first[0]), "the whole trace is told")
        self.assertEqual({each["traceId"] for each in spans}, {TRACE})
        self.up(*self.UP)
        wait_until(self.everybody_is_healthy, "the kitchen is back")

    def trace(self, key, order):
        """The spans of an order once all four services have told theirs."""
        told = self.taskd(key, "http://broker:4000", "trace", order, "-o", "json", check=False)
        spans = json.loads(told or "[]")
        whole = {each["service"] for each in spans} == {"order", "payment", "kitchen", "delivery"}
        return spans if whole else None

    def test_payment_is_away(self):
        self.compose("stop", "payment")
        status, said = self.order(1, {"Accept-Language": "de"})
        self.assertEqual(status, 503, said)
        self.assertIn("Zahlungssystem antwortet nicht, bitte später versuchen", said["message"])
        self.up(*self.UP)
        wait_until(self.everybody_is_healthy, "payment is back")

        def taken():  # the breaker lets a first one through after its time
            status, said = self.order(2)
            return said["orderId"] if status == 201 else None
        self.wait_delivered([wait_until(taken, "orders are taken again")])

    def test_the_broker_is_away(self):
        self.compose("kill", "broker")
        orders = self.place(3)
        self.assertTrue({each["orderId"] for each in self.deliveries()}.isdisjoint(orders))
        self.up(*self.UP)
        self.wait_delivered(orders)


if __name__ == "__main__":
    unittest.main(verbosity=2)
