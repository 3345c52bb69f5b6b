"""How fast events are published and delivered: a topic, a group, 100 bytes an event, in batches.

Usage: topics.py TASKD [SECONDS]. Starts a dispatcher of its own; a line for each figure.
"""
import http.client
import json
import sys
import tempfile
import threading
import time

from backlog import Dispatcher

BATCH = 100
CONNECTIONS = 4
BODY = "x" * 100
TOPIC = "/v1/topics/bench/events"
GROUP = "/v1/subscriptions/bench"


class Counter(threading.Thread):
    """Says the same over a connection of its own until time is over; counts what it is told."""

    def __init__(self, port, until, step):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.until, self.step, self.count = until, step, 0

    def ask(self, method, path, body):
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{answer.status} {text.decode()}")
        return text

    def run(self):
        while time.monotonic() < self.until:
            count = self.step(self)
            if count == 0:
                break
            self.count += count


EVENTS = json.dumps([{"data": BODY}] * BATCH)


def publish(counter):
    counter.ask("POST", TOPIC, EVENTS)
    return BATCH


def consume(counter):
    """Without a parser, which would cost more than what is measured."""
    text = counter.ask("POST", GROUP + "/deliveries", f'{{"max":{BATCH}}}')
    ids = [part.split(b'"', 1)[0].decode() for part in text.split(b'{"id":"')[1:]]
    if ids:
        counter.ask("POST", GROUP + "/acks", json.dumps({"acks": ids}))
    return len(ids)


def measure(port, seconds, step, what):
    begin = time.monotonic()
    threads = [Counter(port, begin + seconds, step) for _ in range(CONNECTIONS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    took = time.monotonic() - begin
    count = sum(each.count for each in threads)
    print(f"topics: {what} {count / took:,.0f} events/s "
          f"({len(BODY)} B, {BATCH} a request, {CONNECTIONS} connections, {took:.1f} s)")
    return count


def main():
    program, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    with tempfile.TemporaryDirectory() as data:
        dispatcher = Dispatcher(program, data)
        try:
            maker = Counter(dispatcher.port, 0, None)
            maker.ask("PUT", GROUP, '{"pattern":"bench"}')
            measure(dispatcher.port, seconds, publish, "published")
            measure(dispatcher.port, seconds, consume, "delivered and acknowledged")
        finally:
            dispatcher.process.terminate()
            dispatcher.process.wait()


main()
