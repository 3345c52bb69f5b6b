"""The pizza platform, scene by scene: what customers see while its parts are away, who shares the
work, tokens, traces. Every answer and every event is held against the contracts."""

import base64
import collections
import json
import re

import harness
from pizza_platform import Platform, new_key, unseen


PATHS = ["/orders", "/api/v1/orders", "/api/v2/orders"]
RAN = set()


class Pizza(harness.SystemTest):

    def setUp(self):
        super().setUp()
        RAN.add(self._testMethodName)
        self.platform = Platform(self.system)

    def test_an_order_from_the_counter_to_the_door(self):
        p = self.platform
        p.start_all()
        for role in p.services:
            role.wait_ready()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        answer = p.order.call("POST", "/api/v2/orders", p.form(1), {
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01", "Accept-Language": "en"})
        self.assertEqual(answer.status, 201, answer.text)
        self.assertEqual((answer.json["apiVersion"], answer.json["traceId"]), ("v2", trace))
        self.assertIn("Thank you", answer.json["message"])
        order = answer.json["orderId"]
        self.assertEqual(answer.headers["Location"], f"/orders/{order}")
        more = [p.place(2, path="/api/v1/orders"), p.place(3)]
        p.wait_delivered([order, *more])
        harness.wait_until(lambda: p.order.get(f"/orders/{order}")["status"] == "ON_THE_WAY",
                           "the order service knows")
        shown = p.order.get(f"/orders/{order}")
        self.assertEqual((shown["pizza"], shown["quantity"], shown["amount"]), ("Salami", 2, 19))
        self.assertEqual(len(p.order.get("/orders?limit=2")["orders"]), 2)
        self.assertEqual(p.order.get("/api/v1/orders/health"), {"status": "UP"})
        self.assertEqual(p.kitchen.get(f"/cooking/{order}")["status"], "COOKED")
        self.assertEqual(len(p.kitchen.get("/cooking")["cooking"]), 3)
        self.assertGreaterEqual(len(p.kitchen.get("/recipes")["recipes"]), 6)
        brought = p.delivery.get(f"/deliveries/{order}")
        self.assertEqual((brought["customerName"], brought["address"], brought["notification"]),
                         ("Kundin 1", "Ringstraße 1", "Dein Essen kommt!"))
        drivers = {each["driver"] for each in p.delivery.get("/deliveries")["deliveries"]}
        self.assertEqual(len(drivers), 3)
        self.check_trace(order, trace)
        self.check_refusals()
        p.check_all_events()
        for role in p.services:
            for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
                self.assertEqual(role.call("GET", path).status, 200)
            if role is not p.identity:
                self.assertEqual(role.call("GET", "/asyncapi.json").status, 200)
            figures = role.api.get("/metrics").text
            self.assertIn("taskd_build_info{", figures)
            self.assertIn("taskd_pizza_outcomes_total{", figures)
            role.terminate()
            self.assertEqual(role.wait_end(), 0, role.log())

    # One trace through all four, from the header on; the command shows it as a tree.
    def check_trace(self, order, trace):
        p = self.platform
        names = {"POST /orders", "pay", "POST /pay", "wait in order.placed", "cook",
                 "wait in order.ready", "assign a driver"}

        def told():
            spans = [event["data"] for event in p.events("trace.spans")
                     if event["data"]["traceId"] == trace]
            return spans if {each["name"] for each in spans} == names else None
        spans = harness.wait_until(told, "every service has told its spans")
        self.assertEqual({each["service"] for each in spans},
                         {"order", "payment", "kitchen", "delivery"})
        self.assertEqual({each.get("orderId") for each in spans}, {order})
        by_id = {each["spanId"]: each for each in spans}
        parents = {each["name"]: by_id.get(each.get("parentId"), {}).get("name")
                   for each in spans}
        self.assertEqual(parents, {
            "POST /orders": None, "pay": "POST /orders", "POST /pay": "pay",
            "wait in order.placed": "POST /orders", "cook": "wait in order.placed",
            "wait in order.ready": "cook", "assign a driver": "wait in order.ready"})
        root = next(each for each in spans if each["name"] == "POST /orders")
        self.assertEqual(root["parentId"], "00f067aa0ba902b7")
        shown = self.system.run("trace", trace, url=p.dp.url)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        lines = shown.stdout.splitlines()
        self.assertEqual(lines[0], f"trace {trace}")
        self.assertRegex(lines[2], r"^POST /orders +order +\+0.0 ms +[0-9.]+ m?s +SUCCESS$")
        self.assertEqual(sorted(each.strip().split("  ")[0] for each in lines[2:]), sorted(names))
        self.assertRegex(shown.stdout, r"\n    POST /pay +payment ")
        by_order = self.system.run("trace", order, "-o", "json", url=p.dp.url)
        self.assertEqual({each["spanId"] for each in json.loads(by_order.stdout)}, set(by_id))
        self.assertIn("not_found", self.system.run("trace", "0" * 32, url=p.dp.url).stderr)
        for topic in ("order.placed", "order.ready", "delivery.assigned", "customer.notified"):
            for event in p.events(topic):
                if event["key"] == order:
                    self.assertEqual(event["traceparent"].split("-")[1], trace)

    def check_refusals(self):
        p = self.platform
        wrong = p.order.call("POST", "/orders", {"pizza": "Calzone", "quantity": 0})
        self.assertEqual((wrong.status, wrong.json["error"]), (422, "invalid_order"))
        self.assertEqual([each["field"] for each in wrong.json["fields"]],
                         ["quantity", "address", "customerName", "pizza"])
        for path in PATHS:
            for body, status in (("no JSON", 400), ("[]", 400), ("{}", 422)):
                self.assertEqual(p.order.call("POST", path, body).status, status)
        self.assertEqual(p.order.call("POST", "/orders", "a", {
            "Content-Type": "text/plain"}).status, 415)
        self.assertEqual(p.order.call("POST", "/orders", "x" * 100_000).status, 413)
        self.assertEqual(p.order.call("GET", "/orders/none").status, 404)
        self.assertEqual(p.order.call("GET", "/orders?limit=0").status, 422)
        self.assertEqual(p.order.call("GET", "/nowhere").status, 404)
        self.assertEqual(p.order.call("DELETE", "/orders").status, 405)
        self.assertEqual(p.kitchen.call("GET", "/cooking/none").status, 404)
        self.assertEqual(p.delivery.call("GET", "/deliveries/none").status, 404)

    # The same key is the same order; another order under it is refused.
    def test_said_twice_is_done_once(self):
        p = self.platform
        p.start_counter()
        key = {"Idempotency-Key": new_key()}
        first = p.place(1, key)
        self.assertEqual(p.place(1, key), first)
        for path in PATHS:
            other = p.order.call("POST", path, p.form(2), key)
            self.assertEqual((other.status, other.json["error"]), (409, "key_conflict"))
        self.assertEqual(p.payments(), {first: "PAID"})

    def test_some_payments_are_declined_and_some_fail(self):
        p = self.platform
        p.start_identity()
        p.start_payment("--decline-percent", "40", "--fault-percent", "40", "--delay-max", "20ms")
        p.start_order("--payment-tries", "10", "--payment-wait", "5ms", "--breaker-failures",
                      "1000")
        fates = collections.Counter()
        by_order = {}
        for number in range(40):
            answer = p.order.call("POST", PATHS[number % 3], p.form(number),
                                  {"Accept-Language": "de"})
            fates[answer.status] += 1
            by_order[answer.json["orderId"]] = answer
            if answer.status == 402:
                self.assertEqual(answer.json["message"], "Die Zahlung wurde abgelehnt")
        self.assertGreater(fates[201], 2, fates)
        self.assertGreater(fates[402], 2, fates)
        wanted = {201: "PAID", 402: "DECLINED", 503: "CANCELLED"}
        harness.wait_until(lambda: p.payments() == {
            order: wanted[answer.status] for order, answer in by_order.items()},
            "every payment is as its customer was told")
        placed = [order for order, answer in by_order.items() if answer.status == 201]
        harness.wait_until(lambda: sorted(p.orders_of("order.placed")) == sorted(placed),
                           "the kitchen is told of those that are paid, once")

    def test_what_payments_answer(self):
        p = self.platform
        p.start_identity()
        p.start_payment()
        header = {"Authorization": "Bearer " + p.token()}
        order = "018bcfe5-687b-7000-8000-000000000001"
        body = {"orderId": order, "customerName": "Ann", "amount": 8.5}

        def pay(**more):
            return p.payment.call("POST", "/pay", body | more, header)
        first = pay()
        self.assertEqual((first.status, first.json["success"]), (200, True))
        self.assertEqual(pay().json, first.json)
        self.assertEqual(pay(amount=9).json["error"], "amount_conflict")
        for wrong in ({"amount": 0}, {"amount": "1"}, {"orderId": "1"}, {"customerName": 5}):
            self.assertEqual(pay(**wrong).status, 422)
        self.assertEqual(p.payment.call("POST", "/pay", "[]", header).status, 400)
        path = f"/payments/{order}"
        for method, where in (("GET", path), ("DELETE", path), ("POST", "/pay")):
            self.assertEqual(p.payment.call(method, where).status, 401)
        self.assertEqual(p.payment.call("GET", path, headers=header).json["status"], "PAID")
        self.assertEqual(p.payment.call("GET", path[:-1] + "2", headers=header).status, 404)
        for _ in range(2):
            gone = p.payment.call("DELETE", path, headers=header)
            self.assertEqual((gone.status, gone.json["status"]), (200, "CANCELLED"))
        self.assertEqual(pay().json["error"], "payment_cancelled")
        p.payment.kill()
        p.payment.last = ["--decline-percent", "100"]
        p.payment.start()
        self.assertEqual(pay(orderId=order[:-1] + "3").status, 402)
        p.payment.kill()
        p.payment.last = ["--fault-percent", "100"]
        p.payment.start()
        self.assertEqual(pay(orderId=order[:-1] + "4").status, 500)
        # Without its keys nobody can say whether a token is good.
        p.identity.kill()
        p.payment.restart()
        answer = pay(orderId=order[:-1] + "5")
        self.assertEqual((answer.status, answer.json["reason"]), (503, "no_keys"))

    def test_payment_is_away(self):
        p = self.platform
        p.start_counter()
        paid = p.place(1)
        p.payment.kill()
        refused = []
        for language, words in (("", "Zahlungssystem antwortet nicht, bitte später versuchen"),
                                ("en-GB,en;q=0.9", "please try again later")):
            for number in range(3):
                answer = p.order.call("POST", PATHS[number], p.form(number),
                                      {"Accept-Language": language})
                self.assertEqual((answer.status, answer.json["status"]), (503, "ERROR"))
                self.assertIn(words, answer.json["message"])
                refused.append(answer.json["orderId"])
        self.assertIn("taskd_pizza_breaker_open 1", p.order.api.get("/metrics").text)
        self.assertIsNone(p.order.code)
        p.payment.start()
        key = new_key()
        later = p.place_patiently(9, key)
        self.assertEqual(p.place_patiently(9, key), later)
        harness.wait_until(lambda: all(p.order.get(f"/orders/{each}")["status"] == "ERROR"
                                       for each in refused), "what was refused stays refused")
        harness.wait_until(lambda: {order: status for order, status in p.payments().items()
                                    if status != "CANCELLED"} == {paid: "PAID", later: "PAID"},
                           "nothing else is paid")
        harness.wait_until(lambda: sorted(p.orders_of("order.placed")) == sorted([paid, later]),
                           "the kitchen is told of both")

    # A payment that answers too late was made nevertheless: it is given back.
    def test_payment_is_too_slow(self):
        p = self.platform
        p.start_identity()
        p.start_payment("--delay-min", "1500ms", "--delay-max", "1500ms")
        p.start_order("--payment-timeout", "150ms", "--payment-tries", "2")
        answer = p.order.call("POST", "/orders", p.form(1))
        self.assertEqual(answer.status, 503, answer.text)
        order = answer.json["orderId"]
        harness.wait_until(lambda: p.payments().get(order) == "CANCELLED", "it is given back")
        # The first request is answered when the payment has been given back already.
        harness.wait_until(lambda: 'outcome="conflict"' in p.payment.api.get("/metrics").text,
                           "the payment comes too late")
        self.assertEqual(p.payments(), {order: "CANCELLED"})
        self.assertEqual(p.orders_of("order.placed"), [])

    def test_orders_wait_for_the_kitchen(self):
        p = self.platform
        p.start_counter()
        orders = [p.place(number) for number in range(5)]
        kitchen = p.start_kitchen()
        p.start_delivery()
        p.wait_delivered(orders)
        self.assertEqual(len(kitchen.get("/cooking")["cooking"]), 5)

    def test_two_kitchens_take_turns(self):
        p = self.platform
        p.start_counter()
        kitchens = [p.start_kitchen("--cook-min", "100ms", "--cook-max", "100ms", name=name)
                    for name in ("kitchen-a", "kitchen-b")]
        for kitchen in kitchens:
            kitchen.wait_ready()
        orders = [p.place(number) for number in range(12)]
        harness.wait_until(lambda: len(p.orders_of("order.ready")) == 12, "all are cooked")
        cooked = {}
        for kitchen in kitchens:
            for match in re.finditer(r'msg="?cooked"? order=(\S+)', kitchen.log()):
                self.assertNotIn(match.group(1), cooked)
                cooked[match.group(1)] = kitchen.name
        self.assertEqual(set(cooked), set(orders))
        shares = collections.Counter(cooked.values())
        self.assertGreaterEqual(min(shares.values()), 3, shares)
        # In turn: neither has a long run of its own.
        line = [cooked[order] for order in p.orders_of("order.ready")]
        longest = max(len(run.group()) for run in re.finditer(
            r"(a+|b+)", "".join(name[-1] for name in line)))
        self.assertLessEqual(longest, 6, line)

    # An order that comes to a kitchen which has been told to end goes to the next one, at once.
    def test_a_kitchen_ends_with_room_for_more(self):
        p = self.platform
        p.start_counter()
        patient = ["--ack-timeout", "5m"]
        first = p.start_kitchen("--ovens", "2", "--cook-min", "2s", "--cook-max", "2s", *patient,
                                name="kitchen-a")
        first.wait_ready()
        orders = [p.place(1)]
        first.wait_log("cooking", orders[0])
        first.terminate()
        first.wait_log("draining")
        orders.append(p.place(2))
        first.wait_log("is given back")
        second = p.start_kitchen(*patient, name="kitchen-b")
        p.start_delivery()
        p.wait_delivered(orders)
        self.assertEqual(first.wait_end(), 0, first.log())
        second.wait_log("cooking", orders[1], "attempt=1")

    def test_the_order_service_is_away(self):
        p = self.platform
        p.start_counter()
        orders = [p.place(number) for number in range(4)]
        harness.wait_until(lambda: len(p.orders_of("order.placed")) == 4, "they are told")
        for role in (p.order, p.payment, p.identity):
            role.kill()
        p.start_kitchen()
        p.start_delivery()
        p.wait_delivered(orders)
        messages = {event["data"]["message"] for event in p.events("customer.notified")}
        self.assertEqual(messages, {"Dein Essen kommt!"})

    def test_delivery_misses_nothing(self):
        p = self.platform
        p.start_counter()
        p.start_kitchen("--ovens", "4")
        orders = [p.place(number) for number in range(8)]
        harness.wait_until(lambda: len(p.orders_of("order.ready")) == 8, "all are cooked")
        p.start_delivery()
        p.wait_delivered(orders)
        self.assertEqual(len(p.delivery.get("/deliveries")["deliveries"]), 8)

    def test_the_broker_is_killed_in_the_middle(self):
        p = self.platform
        p.start_all()
        orders = [p.place(number) for number in range(4)]
        p.dp.kill()
        # Customers see nothing of it: what is to be told waits in the order's store.
        orders += [p.place(number) for number in range(4, 10)]
        self.assertEqual(p.kitchen.call("GET", "/healthz").status, 200)
        p.dp.start()
        orders += [p.place(number) for number in range(10, 12)]
        p.dp.restart()
        p.wait_delivered(orders)
        cooked = p.kitchen.get("/cooking?limit=1000")["cooking"]
        self.assertEqual(sorted(each["orderId"] for each in cooked), sorted(orders))

    # With no other address than the broker's, and nobody else there.
    def test_kitchen_and_delivery_know_the_broker_alone(self):
        p = self.platform
        kitchen = p.start_kitchen()
        p.start_delivery()
        order = "018bcfe5-687b-7000-8000-00000000000a"
        told = p.dp.api.post("/v1/topics/order.placed/events", {
            "id": "by hand", "source": "test", "type": "order.placed", "key": order,
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "data": {"orderId": order, "pizza": "Calzone", "quantity": 1, "address": "here",
                     "customerName": "Ann", "timestamp": "2026-01-02T03:04:05Z"}})
        self.assertEqual(told.status, 201, told.text)
        p.wait_delivered([order])
        self.assertEqual(kitchen.get(f"/cooking/{order}")["pizza"], "Calzone")
        for kind in ("kitchen", "delivery"):
            page = self.system.run("pizza", kind, "--help").stdout
            for other in ("--order", "--payment", "--kitchen ", "--delivery ", "--identity"):
                self.assertNotIn(other, page)
        # What is no order is refused until it is a dead letter, and does not stop the others.
        p.dp.api.post("/v1/topics/order.placed/events", {"id": "bad", "data": {"pizza": 1}})
        p.dp.api.post("/v1/topics/order.placed/events", {
            "id": "next", "source": "test", "type": "order.placed",
            "key": order[:-1] + "b", "traceparent":
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "data": {"orderId": order[:-1] + "b", "pizza": "Salami", "quantity": 1,
                     "address": "here", "customerName": "Ben",
                     "timestamp": "2026-01-02T03:04:05Z"}})
        harness.wait_until(lambda: order[:-1] + "b" in p.orders_of("customer.notified"),
                           "the next one is served")

    def test_tokens(self):
        p = self.platform
        p.start_identity("--token-time", "4s", "--rotate-every", "1500ms")
        p.start_payment("--leeway", "0")
        body = {"orderId": "018bcfe5-687b-7000-8000-000000000001", "customerName": "Ann",
                "amount": 17}

        def pay(token, prefix="Bearer "):
            headers = {"Authorization": prefix + token} if token is not None else {}
            return p.payment.call("POST", "/pay", body, headers)

        def refused(token, reason, prefix="Bearer "):
            answer = pay(token, prefix)
            self.assertEqual((answer.status, answer.json["reason"]), (401, reason), answer.text)
            self.assertIn("Bearer realm=", answer.headers["WWW-Authenticate"])
        good = p.token()
        self.assertEqual(pay(good).status, 200)
        head, claims, proof = good.split(".")
        refused(None, "missing")
        refused(good, "missing", "Basic ")
        refused("nonsense", "malformed")
        refused(f"{part({'alg': 'none'})}.{claims}.", "unsigned")
        refused(f"{part({'alg': 'HS256', 'kid': 'x'})}.{claims}.{proof}", "foreign_algorithm")
        more = json.loads(base64.urlsafe_b64decode(claims + "=="))
        more["sub"] = "admin"
        refused(f"{head}.{part(more)}.{proof}", "bad_signature")
        refused(p.token("guest", "a-secret-of-a-guest", "kitchen"), "wrong_audience")

        # New keys sign meanwhile: tokens of all of them are taken until they end.
        def by_another_key():
            token = p.token()
            return token.split(".")[0] != head and pay(token).status == 200
        harness.wait_until(by_another_key, "another key signs, and is known")
        self.assertGreaterEqual(len(p.identity.get("/jwks.json")["keys"]), 2)
        harness.wait_until(lambda: pay(good).status == 401, "the first token ends")
        refused(good, "expired")
        self.assertEqual(p.identity.get("/.well-known/openid-configuration")["issuer"],
                         p.identity.url)
        self.check_token_requests()
        keys = self.system.folder / "identity" / "keys.json"
        self.assertEqual(keys.stat().st_mode & 0o777, 0o600)
        # The keys outlive the process.
        p.identity.terminate()
        p.identity.wait_end()
        p.identity.start()
        harness.wait_until(lambda: pay(p.token()).status == 200, "tokens are taken again")

    def check_token_requests(self):
        p = self.platform

        def ask(form, headers=None):
            return p.identity.call("POST", "/oauth/token", form, {
                "Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
        basic = base64.b64encode(b"order:a-secret-of-the-order-service").decode()
        answer = ask("grant_type=client_credentials", {"Authorization": f"Basic {basic}"})
        self.assertEqual(answer.status, 200, answer.text)
        who = "client_id=order&client_secret=a-secret-of-the-order-service"
        for form, status, error in (
                ("grant_type=client_credentials", 401, "invalid_client"),
                ("grant_type=client_credentials&client_id=order&client_secret=no", 401,
                 "invalid_client"),
                (who, 400, "invalid_request"),
                (who + "&grant_type=password", 400, "unsupported_grant_type"),
                (who + "&grant_type=client_credentials&audience=kitchen", 400, "invalid_target"),
                (who + "&grant_type=a&grant_type=b", 400, "invalid_request"),
                ("grant_type=client_credentials&client_id=guest"
                 "&client_secret=a-secret-of-a-guest", 400, "invalid_request")):
            answer = ask(form)
            self.assertEqual((answer.status, answer.json["error"]), (status, error), form)
        self.assertEqual(ask(who + "&grant_type=client_credentials",
                             {"Authorization": f"Basic {basic}"}).json["error"], "invalid_request")
        self.assertEqual(p.identity.call("POST", "/oauth/token", "{}").status, 415)

    # The order service asks for a new token when its own is not taken any more.
    def test_the_issuer_comes_back_with_other_keys(self):
        p = self.platform
        p.start_counter()
        p.place(1)
        p.identity.kill()
        (self.system.folder / "identity" / "keys.json").unlink()
        p.identity.start()
        p.place(2)  # by the token it has
        p.payment.restart()  # reads the new keys, which do not prove that token
        p.place(3)

    def test_what_has_ended_is_let_go_of(self):
        p = self.platform
        brief = ["--keep", "1s"]
        p.start_identity()
        p.start_payment(*brief)
        p.start_order(*brief)
        kitchen = p.start_kitchen(*brief)
        p.start_delivery(*brief)
        order = p.place(1)
        p.wait_delivered([order])
        header = {"Authorization": "Bearer " + p.token()}
        harness.wait_until(
            lambda: not p.order.get("/orders")["orders"] and not kitchen.get("/cooking")["cooking"]
            and not p.delivery.get("/deliveries")["deliveries"]
            and p.payment.call("GET", f"/payments/{order}", headers=header).status == 404,
            "nobody keeps it")

    def test_services_refuse_what_they_cannot_be(self):
        def ends(*arguments):
            done = self.system.run("pizza", *arguments, "--port", "0", "--data",
                                   self.system.folder / "x")
            return done.returncode, done.stderr
        self.assertIn("--clients is missing", ends("identity")[1])
        code, told = ends("order", "--menu", "Margherita")
        self.assertEqual(code, 2)
        self.assertIn("the menu takes PIZZA=EUROS", told)
        self.assertIn("key_required", ends("kitchen", "--host", "0.0.0.0")[1])
        self.assertIn("--no-tokens is for loopback",
                      ends("payment", "--host", "0.0.0.0", "--no-tokens")[1])
        self.assertIn("there are no drivers", ends("delivery", "--drivers", ",")[1])
        empty = self.system.folder / "empty"
        empty.write_text(" \n", "utf-8")
        self.assertIn("no secret is in it", ends("order", "--client-secret-file", empty)[1])
        self.assertIn("say which: pizza order", self.system.run("pizza").stderr)
        self.assertIn("did you mean", self.system.run("pizza", "kitchen", "--oven", "3").stderr)

    def test_the_demo_plays_every_scene(self):
        done = self.system.run("pizza", "demo", "--cook-time", "100ms", patience=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("✗", done.stdout)
        self.assertEqual(done.stdout.count("✓"), 23, done.stdout)
        self.assertIn("Dein Essen kommt!", done.stdout)
        self.assertIn("everything as it should be", done.stdout)

    # With a cluster key: for the broker, and for /metrics.
    def test_with_a_key(self):
        self.system.close()
        self.system = harness.System()
        self.addCleanup(self.system.close)
        self.system.use_key()
        p = self.platform = Platform(self.system)
        p.start_all()
        order = p.place(1)
        p.wait_delivered([order])
        self.assertEqual(p.kitchen.api.get("/metrics").status, 200)
        p.kitchen.key = None
        self.assertEqual(p.kitchen.call("GET", "/metrics").status, 401)


def tearDownModule():
    """When all tests ran, every answer that a contract names has been met."""
    if RAN == {name for name in dir(Pizza) if name.startswith("test")}:
        # Nobody drains within a question, and faults of stores are not made here.
        allowed = {"readyz 503"}
        left = [each for each in unseen() if not any(
            all(word in each for word in words.split()) for words in allowed)]
        assert not left, left


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


if __name__ == "__main__":
    harness.main()
