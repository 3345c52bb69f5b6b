"""kill -9 of the dispatcher at any moment: nothing that was acknowledged is lost, and a worker
that was busy through it hands its result over."""

import random
import socket
import threading

import harness

ROUNDS = 12
SUBMITTERS = 4
ACKS_A_ROUND_MAX = 40
SEED = 11
LARGE = 500_000
DATAGRAM_KIND_AT = 5   # magic of four bytes, version, kind
DATAGRAM_RESULT = 5


class Submitter(threading.Thread):
    """Submits until told to stop; remembers what was acknowledged."""

    def __init__(self, api, seed):
        super().__init__(daemon=True)
        self.api = api
        self.chance = random.Random(seed)
        self.acknowledged = {}  # id: result it must have
        self.answers = 0
        self.repeats = 0
        self.stopping = threading.Event()
        self.fault = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.submit_some()
        except Exception as error:  # told to the test
            self.fault = error

    def submit_some(self):
        tasks, results = [], {}
        for _ in range(self.chance.randint(1, 12)):
            task_id, numbers = harness.uuid7(), [self.chance.randint(-99, 99) for _ in range(3)]
            if self.chance.random() < 0.5:
                tasks.append({"id": task_id, "type": "sum", "payload": numbers})
                results[task_id] = sum(numbers)
            else:
                text = "payload " * self.chance.choice((1, 1, 1, 1000))
                tasks.append({"id": task_id, "type": "upper", "payload": text})
                results[task_id] = text.upper()
        single = len(tasks) == 1
        answer, tries = harness.submit_patiently(self.api, tasks[0] if single else tasks)
        assert answer.status == 202, answer.text
        told = [answer.json] if single else answer.json["tasks"]
        assert [each["id"] for each in told] == list(results), answer.text
        self.acknowledged |= results
        self.answers += 1
        self.repeats += tries - 1


class DispatcherCrash(harness.SystemTest):

    def test_killed_at_random_moments(self):
        dispatcher = self.system.start_all("sum", "upper", lease="5s")
        chance = random.Random(SEED)
        submitters = [Submitter(dispatcher.api, f"{SEED} {n}") for n in range(SUBMITTERS)]
        for each in submitters:
            each.start()

        def faults():
            return [each.fault for each in submitters if each.fault]
        for _ in range(ROUNDS):
            goal = sum(each.answers for each in submitters) + chance.randint(1, ACKS_A_ROUND_MAX)
            harness.wait_until(
                lambda: faults() or sum(each.answers for each in submitters) >= goal,
                "submits are acknowledged")
            dispatcher.restart()
        for each in submitters:
            each.stopping.set()
        for each in submitters:
            each.join(harness.PATIENCE)
            self.assertFalse(each.is_alive())
        self.assertEqual(faults(), [])
        expected = {}
        for each in submitters:
            expected |= each.acknowledged
        ended = dispatcher.api.wait_results(list(expected))
        for task_id, result in expected.items():
            self.assertEqual(ended[task_id].get("result"), result, task_id)
        listed = dispatcher.api.all_tasks()
        self.assertEqual(sorted(task["id"] for task in listed), sorted(expected))
        for task in listed:
            self.assert_succeeded_once(task)
        self.assertGreater(sum(each.repeats for each in submitters), 0, "no submit was cut off")
        totals = dispatcher.api.get("/v1/stats").json["totals"]
        self.assertEqual((totals["submitted"], totals["succeeded"]), (len(expected),) * 2)

    def test_worker_busy_through_a_restart(self):
        dispatcher = self.system.start_all("wait")
        task = dispatcher.api.submit("wait", 2)
        harness.wait_until(lambda: dispatcher.api.task(task)["state"] == "running", "it runs")
        dispatcher.restart()
        self.assertEqual(dispatcher.api.result(task)["result"], "Waited for 2 seconds")
        whole = dispatcher.api.task(task)
        self.assert_succeeded_once(whole)
        self.assertEqual((whole["attempts_made"], whole["crashes"], whole["failures"]), (1, 0, 0))

    def test_worker_finished_while_nobody_listened(self):
        dispatcher = self.system.start_all("wait")
        task = dispatcher.api.submit("wait", 2)
        harness.wait_until(lambda: dispatcher.api.task(task)["state"] == "running", "it runs")
        dispatcher.kill()
        # Hears at the dispatcher's port that the worker has a result to hand over.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.settimeout(harness.PATIENCE)
            listener.bind(("127.0.0.1", dispatcher.port))
            while listener.recv(2048)[DATAGRAM_KIND_AT] != DATAGRAM_RESULT:
                pass
        dispatcher.start()
        self.assertEqual(dispatcher.api.result(task)["state"], "succeeded")
        whole = dispatcher.api.task(task)
        self.assert_succeeded_once(whole)
        self.assertEqual((whole["attempts_made"], whole["crashes"]), (1, 0))

    def test_large_result_over_a_restart(self):
        dispatcher = self.system.start_all("upper")
        text = "x" * LARGE
        ids = [dispatcher.api.submit("upper", text) for _ in range(4)]
        dispatcher.restart()
        for task in ids:
            self.assertEqual(dispatcher.api.result(task)["result"], text.upper())
            self.assert_succeeded_once(dispatcher.api.task(task))

    def test_large_result_that_was_on_its_way(self):
        system, go_on = self.system, self.system.folder / "go-on"
        dispatcher = system.start_all()
        worker = system.role("exec", "worker", "exec", "--type", "job", "--nameservice",
                             system.ns.url, "--work-dir", system.folder / "work")
        worker.last = ["--", "sh", "-c", f"while [ ! -e {go_on} ]; do sleep 0.05; done; "
                       f"head -c {LARGE} /dev/zero | tr '\\0' x"]
        worker.start()
        system.wait_workers(1)
        task = dispatcher.api.submit("job")
        harness.wait_until(lambda: dispatcher.api.task(task)["state"] == "running", "it runs")
        dispatcher.kill()
        # Takes the dispatcher's place until the result comes, and is gone in the middle of it.
        with socket.create_server(("127.0.0.1", dispatcher.port)) as listener:
            listener.settimeout(harness.PATIENCE)
            go_on.touch()
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(harness.PATIENCE)
                got = b""
                while len(got) < LARGE // 4:
                    part = connection.recv(65536)
                    self.assertTrue(part, got[:100])
                    got += part
        self.assertTrue(got.startswith(b"POST "), got[:100])
        dispatcher.start()
        self.assertEqual(dispatcher.api.result(task)["result"], "x" * LARGE)
        whole = dispatcher.api.task(task)
        self.assert_succeeded_once(whole)
        self.assertEqual((whole["attempts_made"], whole["crashes"]), (1, 0))

    def test_cancel_outlives_a_crash(self):
        dispatcher = self.system.start_all("wait")
        running, queued = dispatcher.api.submit("wait", 600), dispatcher.api.submit("none", 1)
        harness.wait_until(lambda: dispatcher.api.task(running)["state"] == "running", "it runs")
        for task in (running, queued):
            answer = dispatcher.api.post(f"/v1/tasks/{task}/cancel")
            self.assertEqual((answer.status, answer.json["state"]), (200, "cancelled"))
        dispatcher.restart()
        for task in (running, queued):
            self.assertEqual(dispatcher.api.task(task)["state"], "cancelled")
        self.system.wait_workers(1)

        def slots_used():
            queues = dispatcher.api.get("/v1/stats").json["queues"]
            return {each["type"]: each["slots_used"] for each in queues}
        harness.wait_until(lambda: slots_used().get("wait") == 0, "the worker lets go of it")


if __name__ == "__main__":
    harness.main()
