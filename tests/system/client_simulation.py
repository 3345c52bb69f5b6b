"""Hundreds of mixed, bad and slow submissions at a time against real roles; every answer is held
against an oracle of its own. TASKD_SIMULATION_SEED and TASKD_SIMULATION_ROUNDS change the run."""

import decimal
import hashlib
import json
import os
import random
import socket
import threading

import harness

SEED = os.environ.get("TASKD_SIMULATION_SEED", "1")
ROUNDS = int(os.environ.get("TASKD_SIMULATION_ROUNDS", "60"))  # of each client
CLIENTS = 10
WORDS = ["straße", "Grüße", "naïve", "ΑΣ", "plain", "two words", "", "日本語", "a\u0301b"]


class Oracle:
    """What a task must come to, worked out apart from the product."""

    def __init__(self, chance):
        self.chance = chance

    def task(self):
        """(spec, state it must end in, result or error code)."""
        make = self.chance.choice([self.sum, self.decimals, self.hash, self.upper, self.reverse,
                                   self.wait, self.bad_payload])
        kind, payload, state, end = make()
        spec = {"id": harness.uuid7(), "type": kind, "payload": payload}
        if self.chance.random() < 0.3:
            spec["priority"] = self.chance.randint(0, 9)
        return spec, state, end

    def sum(self):
        numbers = [self.chance.randint(-2**100, 2**100) for _ in range(self.chance.randint(1, 20))]
        if self.chance.random() < 0.5:
            return "sum", numbers, "succeeded", sum(numbers)
        return "sum", ", ".join(map(str, numbers)), "succeeded", sum(numbers)

    def decimals(self):
        texts = [f"{self.chance.randint(0, 999)}.{self.chance.randint(0, 99):02}"
                 for _ in range(self.chance.randint(1, 20))]
        return "sum", texts, "succeeded", sum(map(decimal.Decimal, texts))

    def hash(self):
        text = self.chance.choice(WORDS) * self.chance.choice([1, 3, 3000])
        algorithm = self.chance.choice(["sha256", "sha1", "sha512", "md5", "sha3-256"])
        digest = hashlib.new(algorithm.replace("sha3-", "sha3_"), text.encode()).hexdigest()
        return "hash", {"text": text, "algorithm": algorithm}, "succeeded", digest

    def upper(self):
        words = self.chance.choices(WORDS[:5], k=self.chance.randint(1, 4))
        return "upper", words, "succeeded", " ".join(words).upper()

    def reverse(self):
        text = "".join(self.chance.choices("abc xyz ÄÖ", k=self.chance.randint(0, 200)))
        return "reverse", text, "succeeded", text[::-1]

    def wait(self):
        seconds = self.chance.choice([0, 0.01, 0.1, 0.5])
        return "wait", seconds, "succeeded", f"Waited for {seconds} seconds"

    def bad_payload(self):
        kind, payload, code = self.chance.choice([
            ("sum", "one", "bad_payload"), ("sum", [1, [2]], "bad_payload"),
            ("sum", 2**127, "out_of_range"), ("hash", 5, "bad_payload"),
            ("hash", {"text": "a", "algorithm": "crc"}, "bad_payload"),
            ("upper", [1], "bad_payload"), ("reverse", None, "bad_payload"),
            ("wait", -1, "out_of_range"), ("wait", "soon", "bad_payload")])
        return kind, payload, "dead", code


class Client(threading.Thread):
    """One user: each round does something else, and checks what came of it."""

    def __init__(self, url, number):
        super().__init__(daemon=True)
        self.chance = random.Random(f"{SEED} {number}")
        self.oracle = Oracle(self.chance)
        self.url = url
        self.api = harness.Api(url, keep=True)
        self.taken = {}  # id: (state, result or error code)
        self.counts = {}
        self.fault = None

    def run(self):
        deeds = [self.one, self.one_and_wait, self.many, self.many_and_wait, self.again,
                 self.another_body, self.broken_json, self.refused_whole, self.cancelled,
                 self.slowly, self.hung_up, self.listed]
        try:
            for number in range(ROUNDS):
                deed = deeds[number] if number < len(deeds) else self.chance.choice(deeds)
                deed()
                self.counts[deed.__name__] = self.counts.get(deed.__name__, 0) + 1
        except BaseException as error:  # told to the test
            self.fault = error
        finally:
            self.api.close()

    def expect(self, answer, *statuses):
        assert answer.status in statuses, f"{answer.status} not in {statuses}: {answer.text[:500]}"
        return answer.json

    def note(self, tasks):
        self.taken |= {spec["id"]: (state, end) for spec, state, end in tasks}

    def tasks(self, count_max=40):
        return [self.oracle.task() for _ in range(self.chance.randint(1, count_max))]

    def check_end(self, told):
        """Holds an ended task, whole or brief, against the oracle."""
        state, end = self.taken[told["id"]]
        assert told["state"] == state, f"{told} is not {state}"
        if state == "succeeded":
            result = told["result"]
            if isinstance(end, decimal.Decimal):
                result = decimal.Decimal(str(result))
            assert result == end, f"{told} is not {end}"
        else:
            assert told["error"]["code"] == end, f"{told} is not {end}"

    # ---- deeds

    def one(self):
        task = self.oracle.task()
        self.note([task])
        told = self.expect(self.api.post_patiently("/v1/tasks", task[0]), 202)
        assert told["id"] == task[0]["id"] and told["state"] in ("queued", "running"), told

    def one_and_wait(self):
        task = self.oracle.task()
        self.note([task])
        told = self.expect(self.api.post_patiently("/v1/tasks?wait=30s", task[0]), 200)
        self.check_end(told)
        assert told["payload"] == task[0]["payload"] and told["attempts_made"] == 1, told

    def many(self):
        tasks = self.tasks(300)
        self.note(tasks)
        specs = [spec for spec, *_ in tasks]
        told = self.expect(self.api.post_patiently("/v1/tasks", specs), 202)
        assert [each["id"] for each in told["tasks"]] == [spec["id"] for spec, *_ in tasks]

    def many_and_wait(self):
        tasks = self.tasks()
        self.note(tasks)
        specs = [spec for spec, *_ in tasks]
        told = self.expect(self.api.post_patiently("/v1/tasks?wait=30s", specs), 200)
        assert [each["id"] for each in told["tasks"]] == [spec["id"] for spec, *_ in tasks]
        for each in told["tasks"]:
            self.check_end(each)

    def again(self):
        """The same submit from several connections at once makes one task."""
        task = self.oracle.task()
        self.note([task])
        twins = [harness.in_thread(lambda: harness.Api(self.url).post_patiently(
            "/v1/tasks?wait=30s", task[0])) for _ in range(4)]
        for twin in twins:
            self.check_end(self.expect(twin.result(harness.PATIENCE), 200))

    def another_body(self):
        task = self.oracle.task()
        self.note([task])
        self.expect(self.api.post_patiently("/v1/tasks", task[0]), 202)
        other = task[0] | {"payload": ["another"]}
        told = self.expect(self.api.post_patiently("/v1/tasks", other), 409)
        assert told["error"] == "id_conflict", told

    def broken_json(self):
        good = json.dumps(self.oracle.task()[0])
        cut = good[:self.chance.randint(1, len(good) - 1)]
        told = self.expect(self.api.post("/v1/tasks", cut), 400)
        assert told["error"] == "bad_json", told

    def refused_whole(self):
        tasks = [spec for spec, *_ in self.tasks()]
        at = self.chance.randrange(len(tasks))
        fault, status, name = self.chance.choice([
            ({"priority": 11}, 422, "invalid_field"), ({"color": 1}, 422, "unknown_field"),
            ({"type": ""}, 422, None), ({"id": "7"}, 422, "invalid_id"),
            ({"payload": "x" * 1_100_000}, 413, "task_too_large")])
        tasks[at] = tasks[at] | fault
        told = self.expect(self.api.post("/v1/tasks", tasks), status)
        assert told["index"] == at and name in (None, told["error"]), told
        others = [each["id"] for each in tasks if each is not tasks[at]] or [harness.uuid7()]
        asked = self.expect(self.api.post("/v1/results", {"ids": others}), 200)
        assert asked["tasks"] == [], "a refused array left something behind"

    def cancelled(self):
        spec = {"id": harness.uuid7(), "type": "wait", "payload": 600}
        self.taken[spec["id"]] = ("cancelled", "cancelled")
        self.expect(self.api.post_patiently("/v1/tasks", spec), 202)
        told = self.expect(self.api.post(f"/v1/tasks/{spec['id']}/cancel"), 200)
        assert told == {"id": spec["id"], "state": "cancelled"}, told

    def slowly(self):
        """A body that comes in pieces, on a connection of its own."""
        task = self.oracle.task()
        self.note([task])
        body = json.dumps(task[0]).encode()
        head = (f"POST /v1/tasks HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
        answer = b"HTTP/1.1 429 "
        while answer.startswith(b"HTTP/1.1 429 "):
            with self.connect() as sock:
                for piece in (head[:20], head[20:], body[:7], body[7:-1], body[-1:]):
                    sock.sendall(piece)
                    self.api.get("/healthz")  # the server turns to others meanwhile
                answer = b"".join(iter(lambda: sock.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 202 "), answer

    def hung_up(self):
        """Gone before the answer: the task may be there or not, and may not be half there."""
        task = self.oracle.task()
        self.note([task])
        body = json.dumps(task[0]).encode()
        with self.connect() as sock:
            sock.sendall(b"POST /v1/tasks?wait=30s HTTP/1.1\r\nHost: here\r\nContent-Length: "
                         + str(len(body)).encode() + b"\r\n\r\n" + body[:-1])
            if self.chance.random() < 0.5:
                sock.sendall(body[-1:])
        self.expect(self.api.post_patiently("/v1/tasks", task[0]), 202)

    def connect(self):
        host, _, port = self.url.rpartition("/")[2].partition(":")
        return socket.create_connection((host, int(port)), timeout=harness.PATIENCE)

    def listed(self):
        limit = self.chance.choice([1, 10, 1000])
        told = self.expect(self.api.get(f"/v1/tasks?limit={limit}&type=sum"), 200)
        ids = [each["id"] for each in told["tasks"]]
        assert ids == sorted(ids) and len(ids) <= limit, ids
        assert all(each["type"] == "sum" for each in told["tasks"])
        if told["next"]:
            more = self.expect(
                self.api.get(f"/v1/tasks?limit=1&type=sum&after={told['next']}"), 200)
            assert all(each["id"] > ids[-1] for each in more["tasks"])


class ClientSimulation(harness.SystemTest):

    def test_every_answer_is_right(self):
        dispatcher = self.system.start_all("sum", "hash", "upper", "reverse", "wait")
        clients = [Client(dispatcher.url, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(150)
            self.assertFalse(client.is_alive(), "a client hangs")
        for client in clients:
            if client.fault:
                raise AssertionError(f"seed {SEED}") from client.fault
        taken = {}
        for client in clients:
            taken |= client.taken
        ended = dispatcher.api.wait_results(list(taken))
        for client in clients:
            for task_id in client.taken:
                client.check_end(ended[task_id])
        listed = {task["id"]: task for task in dispatcher.api.all_tasks()}
        self.assertEqual(set(listed), set(taken))
        for task in listed.values():
            self.assertLessEqual(len(task["attempts"]), 1, "nothing crashed, so nothing ran twice")
        totals = dispatcher.api.get("/v1/stats").json["totals"]
        self.assertEqual(totals["submitted"], len(taken))
        for state in ("succeeded", "dead", "cancelled"):
            self.assertEqual(totals[state], sum(end[0] == state for end in taken.values()), state)
        counts = {}
        for client in clients:
            for deed, count in client.counts.items():
                counts[deed] = counts.get(deed, 0) + count
        self.assertEqual(len(counts), 12, counts)
        self.assertGreaterEqual(min(counts.values()), CLIENTS)
        print(f"{sum(counts.values())} deeds, {len(taken)} tasks, seed {SEED}:", counts)


if __name__ == "__main__":
    harness.main()
