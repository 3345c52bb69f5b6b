"""Topics over kill -9: every group has every event, in the order of its key, however often the
dispatcher is killed; the command publishes and subscribes; a webhook is signed and tried again."""

import collections
import hashlib
import hmac
import http.server
import json
import os
import pty
import random
import signal
import socket
import subprocess
import threading
import time

import harness

EVENTS = 1_000
PUBLISHERS = 4
KILLS = 3
KEYS = 10
TOPIC = "order.placed"
SEED = 7


def patiently(api, method, path, body=None):
    """Said again until there is an answer that is no fault of the moment."""
    end = time.monotonic() + harness.PATIENCE
    while True:
        try:
            answer = api.call(method, path, body)
            if answer.status not in (429, 502, 503):
                return answer
        except harness.Broken:
            pass
        assert time.monotonic() < end, f"no answer: {method} {path}"
        time.sleep(0.02)


class Worker(threading.Thread):
    """A thread whose fault is told to the test."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work = work
        self.fault = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # told to the test
            self.fault = error

    def end(self):
        self.join(120)
        if self.fault:
            raise self.fault
        assert not self.is_alive()


class Group:
    """What the consumers of one group have had, in the order they had it."""

    def __init__(self, api, name):
        self.api, self.name = api, name
        self.lock = threading.Lock()
        self.had = collections.Counter()
        self.acknowledged = set()
        self.by_key = collections.defaultdict(list)
        self.faults = []

    def consume(self, consumer, wanted):
        chance = random.Random(consumer)
        path = f"/v1/subscriptions/{self.name}"
        while len(self.acknowledged) < wanted:
            answer = patiently(self.api, "POST", path + "/deliveries",
                               {"max": 1 + chance.randrange(40), "wait_ms": 500,
                                "consumer": consumer})
            assert answer.status == 200, answer.text
            assert "gaps" not in answer.json, answer.text
            acks, nacks = [], []
            for delivery in answer.json["deliveries"]:
                self.take(delivery)
                if chance.random() < 0.02:
                    nacks.append({"id": delivery["id"]})
                else:
                    acks.append(delivery["id"])
            if not acks and not nacks:
                continue
            said = patiently(self.api, "POST", path + "/acks", {"acks": acks, "nacks": nacks})
            assert said.status == 200, said.text
            refused = {each["id"] for each in said.json["refused"]}
            with self.lock:
                self.acknowledged |= {self.place(each) for each in acks if each not in refused}

    @staticmethod
    def place(delivery_id):
        return int(delivery_id.split(":")[2])

    def take(self, delivery):
        event = delivery["event"]
        with self.lock:
            if event["sequence"] in self.acknowledged:
                self.faults.append(f"{delivery['id']} came again after it was acknowledged")
            self.had[event["data"]["number"]] += 1
            self.by_key[event["key"]].append(event["data"]["number"])


def first_times(numbers):
    seen, order = set(), []
    for number in numbers:
        if number not in seen:
            seen.add(number)
            order.append(number)
    return order


class Topics(harness.SystemTest):

    def publish(self, api, publisher, counts):
        chance = random.Random(f"{SEED} {publisher}")
        numbers = list(range(publisher, EVENTS, PUBLISHERS))
        while numbers:
            some = [numbers.pop(0) for _ in range(min(len(numbers), 1 + chance.randrange(8)))]
            events = [{"id": str(number), "key": f"k{publisher}-{number % KEYS}",
                       "data": {"number": number}} for number in some]
            answer = patiently(api, "POST", f"/v1/topics/{TOPIC}/events", events)
            assert answer.status == 201, answer.text
            counts[publisher] += len(some)

    def test_killed_while_events_are_published(self):
        dispatcher = self.system.start_all()
        api = dispatcher.api
        for group in ("shared", "alone"):
            made = api.call("PUT", f"/v1/subscriptions/{group}",
                            {"pattern": "order.*", "order_by_key": True,
                             "attempts_max": 100, "ack_timeout_ms": 3000,
                             "retry": {"kind": "fixed", "initial_ms": 50, "max_ms": 50}})
            self.assertEqual(made.status, 200, made.text)
        shared, late = Group(api, "shared"), Group(api, "late")
        counts = collections.Counter()
        publishers = [Worker(lambda n=n: self.publish(api, n, counts)) for n in range(PUBLISHERS)]
        consumers = [Worker(lambda n=n: shared.consume(f"c{n}", EVENTS)) for n in range(3)]
        for each in publishers + consumers:
            each.start()
        for kill in range(1, KILLS + 1):
            harness.wait_until(lambda goal=kill * EVENTS // (KILLS + 2):
                               any(each.fault for each in publishers + consumers)
                               or sum(counts.values()) >= goal, "events are published")
            dispatcher.restart()
        for each in publishers:
            each.end()
        made = patiently(api, "PUT", "/v1/subscriptions/late",
                         {"pattern": TOPIC, "start": "oldest", "ack_timeout_ms": 3000})
        self.assertEqual(made.status, 200, made.text)
        consumers.append(Worker(lambda: late.consume("l", EVENTS)))
        consumers[-1].start()
        for each in consumers:
            each.end()
        topic = patiently(api, "GET", f"/v1/topics/{TOPIC}").json
        self.assertEqual(topic["count"], EVENTS)  # none was doubled, whatever was said again
        for group in (shared, late):
            self.assertEqual(group.faults, [])
            self.assertEqual(set(group.had), set(range(EVENTS)))
            settled = api.call("GET", f"/v1/subscriptions/{group.name}").json
            self.assertEqual((settled["lag"], settled["dead"], settled["lost"]), (0, 0, 0))
        for key, numbers in shared.by_key.items():
            order = first_times(numbers)
            self.assertEqual(order, sorted(order), key)
        # Nobody asked for the other group; it still has it all to come.
        self.assertEqual(api.call("GET", "/v1/subscriptions/alone").json["lag"], EVENTS)

    def command(self, dispatcher, *arguments, stdin=""):
        done = subprocess.run([harness.EXECUTABLE, *arguments, "--url", dispatcher.url],
                              input=stdin, capture_output=True, text=True, timeout=60, check=False)
        return done

    def test_the_commands(self):
        dispatcher = self.system.start_all()

        def taskd(*arguments, stdin="", code=0):
            done = self.command(dispatcher, *arguments, stdin=stdin)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout
        self.assertEqual(taskd("publish", TOPIC, '{"order": 1}', "--key", "ann"), "1\n")
        self.assertEqual(taskd("publish", TOPIC, "-", stdin="plain text"), "2\n")
        self.assertEqual(taskd("publish", TOPIC, "3", "--id", "x"), "3\n")
        self.assertEqual(taskd("publish", TOPIC, "3", "--id", "x"), "3\n")
        lines = taskd("subscribe", "--group", "g", "order.*", "--once", "-o", "json").splitlines()
        self.assertEqual([json.loads(each)["data"] for each in lines],
                         [{"order": 1}, "plain text", 3])
        self.assertEqual(taskd("subscribe", "--group", "g", "--once"), "")
        self.assertIn("order.placed 2", taskd("subscribe", "-g", "two", "**", "--from", "2",
                                              "--max", "1"))
        marks = self.system.folder / "marks"
        taskd("subscribe", "-g", "run", TOPIC, "--once", "--exec",
              f"cat > /dev/null; echo $TASKD_SEQUENCE >> {marks}; test $TASKD_SEQUENCE != 2",
              "--attempts-max", "1")
        self.assertEqual(marks.read_text("utf-8").split(), ["1", "2", "3"])
        self.assertIn("exit_status: ended with 1", taskd("topic", "dead", "run"))
        self.assertEqual(taskd("topic", "redrive", "run", f"{TOPIC}:2"), "1, 0 left\n")
        self.assertIn("order.placed 2", taskd("subscribe", "-g", "run", "--once"))
        # Three events: g and run have settled all of them, two has one before it.
        self.assertRegex(taskd("topic", "list"), rf"{TOPIC} +3 +\d+ +1 +3 +1 +7d")
        shown = taskd("topic", "show", TOPIC)
        self.assertRegex(shown, r"two +2 +1")
        taskd("topic", "set", TOPIC, "--keep-count", "1")
        harness.wait_until(lambda: json.loads(taskd("topic", "show", TOPIC, "-o", "json"))
                           ["count"] == 1, "the topic is trimmed")
        taskd("topic", "groups")
        taskd("topic", "remove", "two")
        taskd("topic", "delete", TOPIC)
        self.assertEqual(self.command(dispatcher, "topic", "show", TOPIC).stderr,
                         f"taskd: topic_not_found: no topic has this name ({TOPIC})\n")
        self.assertIn("needs a pattern", self.command(
            dispatcher, "subscribe", "-g", "new", "--once").stderr)

    def serve(self, handler):
        """The port where it answers until the test ends."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def test_a_webhook(self):
        dispatcher = self.system.start_all()
        calls, secret = [], b"hidden"

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.append((dict(self.headers), body, time.monotonic()))
                self.send_response(503 if len(calls) == 1 else 204)
                self.send_header("Retry-After", "1")
                self.end_headers()

            def log_message(self, *_):
                pass
        port = self.serve(Hook)
        api = dispatcher.api
        made = api.call("PUT", "/v1/subscriptions/hook", {
            "pattern": TOPIC, "retry": {"initial_ms": 10, "max_ms": 10},
            "webhook": {"url": f"http://127.0.0.1:{port}/in",
                        "secret": secret.decode()}})
        self.assertEqual(made.status, 200, made.text)
        api.call("POST", f"/v1/topics/{TOPIC}/events", {"id": "1", "key": "ann", "data": {"a": 1}})
        harness.wait_until(lambda: api.call("GET", "/v1/subscriptions/hook").json["lag"] == 0,
                           "the webhook has the event")
        self.assertEqual(len(calls), 2)
        headers, body, came = calls[1]
        self.assertGreater(came - calls[0][2], 0.9)  # it was asked to wait for so long
        self.assertEqual(json.loads(body), {"a": 1})
        self.assertEqual(headers["ce-id"], "1")
        self.assertEqual(headers["ce-partitionkey"], "ann")
        self.assertEqual(headers["Taskd-Attempt"], "2")
        seconds, proof = headers["Taskd-Signature"].split(",")
        self.assertTrue(abs(int(seconds.removeprefix("t=")) - time.time()) < 60)
        expected = hmac.new(secret, seconds.removeprefix("t=").encode() + b"." + body,
                            hashlib.sha256).hexdigest()
        self.assertEqual(proof, "v1=" + expected)


    # Receivers that hang hold up nobody else's, and what was never posted is no failed attempt.
    def test_webhooks_that_hang(self):
        dispatcher = self.system.start_all()
        api = dispatcher.api
        hanging = socket.create_server(("127.0.0.1", 0), backlog=500)  # answers nobody
        self.addCleanup(hanging.close)
        calls = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass
        port = self.serve(Hook)
        ports = {f"hangs-{number}": hanging.getsockname()[1] for number in range(12)}
        for group, place in {**ports, "well": port}.items():
            made = api.call("PUT", f"/v1/subscriptions/{group}", {
                "pattern": TOPIC, "attempts_max": 2 if group == "well" else 100,
                "webhook": {"url": f"http://127.0.0.1:{place}/in"}})
            self.assertEqual(made.status, 200, made.text)
        api.call("POST", f"/v1/topics/{TOPIC}/events", [{"data": number} for number in range(100)])
        harness.wait_until(lambda: api.call("GET", "/v1/subscriptions/well").json["lag"] == 0,
                           "the one that is well has all events")
        for group in ports:  # none of the others had to be given up first
            shown = api.call("GET", f"/v1/subscriptions/{group}").json
            self.assertEqual((shown["failed"], shown["lag"] > 0), (0, True), group)
        self.assertEqual(sorted(calls), list(range(100)))
        shown = api.call("GET", "/v1/subscriptions/well").json
        self.assertEqual((shown["failed"], shown["dead"]), (0, 0))

    def consumer(self, dispatcher, *arguments, **more):
        command = subprocess.Popen(
            [harness.EXECUTABLE, "subscribe", *arguments, "--url", dispatcher.url],
            preexec_fn=harness.die_with_parent, **more)
        self.addCleanup(command.kill)
        return command

    def test_events_whose_lines_are_lost_stay_unacknowledged(self):
        dispatcher = self.system.start_all()
        for number in range(100):
            self.command(dispatcher, "publish", TOPIC, json.dumps([number, "x" * 100]))
        group = ["-g", "g", TOPIC, "--once", "-o", "json"]
        with open("/dev/full", "wb") as full:
            lost = self.consumer(dispatcher, *group, "--ack-timeout", "1s", stdout=full)
            self.assertEqual(lost.wait(harness.PATIENCE), 1)
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as gone:
            left = self.consumer(dispatcher, "-g", "other", *group[2:], stdout=gone,
                                 stderr=subprocess.PIPE)
            self.assertEqual((left.communicate(timeout=harness.PATIENCE)[1], left.returncode),
                             (b"", 0))
        had = []

        def all_had():
            lines = self.command(dispatcher, "subscribe", *group).stdout.splitlines()
            had.extend(json.loads(each)["data"][0] for each in lines)
            return len(had) >= 100
        harness.wait_until(all_had, "all come again")
        self.assertEqual(sorted(had), list(range(100)))

    def test_a_command_has_the_signals_of_a_shell_and_ends_with_its_consumer(self):
        dispatcher = self.system.start_all()
        told = self.system.folder / "told"
        taskd = ["-g", "g", TOPIC, "--exec"]

        def pids(count):
            return harness.wait_until(
                lambda: told.exists() and len(told.read_text("utf-8").split()) == count
                and [int(each) for each in told.read_text("utf-8").split()], "it runs")
        self.command(dispatcher, "publish", TOPIC, "1")
        self.assertEqual(self.consumer(
            dispatcher, *taskd, f"grep SigIgn /proc/self/status > {told}", "--once").wait(30), 0)
        ignored = int(told.read_text("utf-8").split()[1], 16)
        self.assertEqual(ignored & 1 << (signal.SIGPIPE - 1), 0)
        for ends, script, count in (
                (signal.SIGTERM, f"echo $$ > {told}; sleep 1000 & echo $! >> {told}; wait", 2),
                (signal.SIGKILL, f"echo $$ > {told}; exec sleep 1000", 1)):
            with self.subTest(ends=ends):
                told.unlink()
                self.command(dispatcher, "publish", TOPIC, "2")
                consumer = self.consumer(dispatcher, "-g", f"g{count}", TOPIC, "--exec", script)
                running = pids(count)
                consumer.send_signal(ends)
                self.assertEqual(consumer.wait(harness.PATIENCE), -ends)
                harness.wait_until(lambda: not any(map(harness.is_alive, running)), "all ended")

    def test_a_command_that_asks_at_the_terminal_fails_and_does_not_stop(self):
        dispatcher = self.system.start_all()
        told = self.system.folder / "told"
        self.command(dispatcher, "publish", TOPIC, "1")
        consumer, terminal = pty.fork()
        if consumer == 0:
            os.execv(harness.EXECUTABLE, [
                "taskd", "subscribe", "--url", dispatcher.url, "-g", "g", TOPIC, "--once", "--exec",
                f"read word < /dev/tty && echo had >> {told} || echo none >> {told}"])
        harness.wait_until(lambda: told.exists() and told.read_text("utf-8"), "it went on")
        self.assertEqual(told.read_text("utf-8"), "none\n")
        self.assertEqual(os.waitpid(consumer, 0)[1], 0)
        os.close(terminal)


if __name__ == "__main__":
    harness.main()
