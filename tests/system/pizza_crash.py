"""The pizza platform under kill -9: at every place between order, payment, broker, kitchen and
delivery where a crash could lose or double something; and three kitchens with sixty orders."""

import collections
import re

import harness
from pizza_platform import Platform, new_key


class PizzaCrash(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.platform = Platform(self.system)

    def crash(self, role, place):
        """Starts it again so that it ends itself at that place, as by kill -9; maybe at once, by
        what it finds to do."""
        if role.code is None:
            role.kill()
        self.system.environment["TASKD_PIZZA_CRASH"] = place
        try:
            role.start()
        except AssertionError:
            if role.code != -9:
                raise
        finally:
            del self.system.environment["TASKD_PIZZA_CRASH"]

    def wait_crashed(self, role, place):
        self.assertEqual(role.wait_end(), -9, f"{role.name} passed {place}")

    # An order is paid once and told once, wherever its service, or the payment, dies.
    def test_between_payment_and_publishing(self):
        p = self.platform
        p.start_counter()
        orders = []
        places = [("order", "stored"), ("order", "answered"), ("order", "placed"),
                  ("order", "published:order.placed"), ("order", "forgotten:order.placed"),
                  ("payment", "paid"), ("payment", "published:trace.spans")]
        for number, (name, place) in enumerate(places):
            role = getattr(p, name)
            self.crash(role, place)
            key = new_key()
            asked = harness.in_thread(lambda n=number, k=key: p.place_patiently(n, k))
            self.wait_crashed(role, place)
            role.start()
            order = asked.result(harness.PATIENCE)
            self.assertEqual(p.place_patiently(number, key), order)
            orders.append(order)
        harness.wait_until(lambda: set(p.orders_of("order.placed")) >= set(orders),
                           "every order is told")
        told = p.orders_of("order.placed")
        self.assertEqual(len(told), len(set(told)))
        # Nothing is paid that is not placed, and nothing placed that is not paid.
        harness.wait_until(lambda: sorted(order for order, status in p.payments().items()
                                          if status == "PAID") == sorted(told),
                           "what is paid is placed")
        # Nobody asked again: an order that was paid for when its service died is finished by it.
        self.crash(p.order, "answered")
        with self.assertRaises(Exception):
            p.order.api.call("POST", "/orders", p.form(99))
        self.wait_crashed(p.order, "answered")
        p.order.start()
        harness.wait_until(lambda: len(p.orders_of("order.placed")) == len(told) + 1,
                           "the order that nobody asked for again is told")

    # Paid before the crash, and refused behind it to a customer who asks again: it is given back.
    def test_paid_before_a_crash_and_refused_behind_it(self):
        p = self.platform
        p.start_counter()
        key = {"Idempotency-Key": new_key()}
        self.crash(p.order, "answered")
        with self.assertRaises(Exception):
            p.order.api.call("POST", "/orders", p.form(1), key)
        self.wait_crashed(p.order, "answered")
        # Without a token nothing more is sent to the payment.
        p.identity.kill()
        p.order.start()
        answer = p.order.call("POST", "/orders", p.form(1), key)
        self.assertEqual(answer.status, 503, answer.text)
        p.identity.start()
        order = answer.json["orderId"]
        harness.wait_until(lambda: p.payments().get(order) == "CANCELLED", "it is given back")
        self.assertEqual(p.order.get(f"/orders/{order}")["status"], "ERROR")
        self.assertNotEqual(p.place_patiently(1, key["Idempotency-Key"]), order)

    def test_in_the_kitchen_and_on_the_way(self):
        p = self.platform
        p.start_counter()
        kitchen = p.start_kitchen()
        p.start_delivery()
        orders = []
        places = [(kitchen, "cooking"), (kitchen, "cooked"), (kitchen, "published:order.ready"),
                  (kitchen, "forgotten:order.ready"), (p.delivery, "assigned"),
                  (p.delivery, "published:delivery.assigned"),
                  (p.delivery, "forgotten:customer.notified")]
        for number, (role, place) in enumerate(places):
            self.crash(role, place)
            orders.append(p.place(number))
            self.wait_crashed(role, place)
            role.start()
        p.wait_delivered(orders)
        self.assertEqual(sorted(p.orders_of("order.ready")), sorted(orders))
        self.assertEqual(sorted(p.orders_of("delivery.assigned")), sorted(orders))

    def test_three_kitchens_and_sixty_orders(self):
        p = self.platform
        p.start_counter()
        kitchens = [p.start_kitchen("--ovens", "2", name=f"kitchen-{n}") for n in "abc"]
        for kitchen in kitchens:
            kitchen.wait_ready()
        p.start_delivery()
        orders = [p.place(number) for number in range(60)]

        def baking():
            line = [each for each in kitchens[1].log().splitlines() if "msg=cooking" in each
                    or 'msg="cooking"' in each]
            return len(line) > 3
        harness.wait_until(baking, "the second kitchen is busy")
        kitchens[1].kill()
        p.wait_delivered(orders)
        ready = p.orders_of("order.ready")
        self.assertEqual(sorted(ready), sorted(orders))
        cooked = kitchens[0].get("/cooking?limit=1000")["cooking"]
        self.assertEqual(sorted(each["orderId"] for each in cooked), sorted(orders))
        self.assertEqual({each["status"] for each in cooked}, {"COOKED"})
        # The logs: what came out of an oven did so once.
        done = collections.Counter()
        for kitchen in kitchens:
            done.update(re.findall(r'msg="?cooked"? order=(\S+)', kitchen.log()))
        self.assertEqual([order for order, count in done.items() if count > 1], [])
        shares = collections.Counter(each["by"] for each in cooked)
        self.assertGreaterEqual(len(shares), 2, shares)


if __name__ == "__main__":
    harness.main()
