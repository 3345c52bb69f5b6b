"""A third of all datagrams lost, others doubled and reordered, both ways, and a peer restarted on
either side: every task ends and every result is recorded once."""

import hashlib
import socket

import harness
import proxies

TASKS = 1000
SEED = 20


def tasks_of_all_sizes():
    """Tasks with the results they must have; some payloads and results do not fit a datagram."""
    tasks = []
    for number in range(TASKS):
        kind = ("sum", "upper", "hash", "wait")[number % 4]
        size = 100 * 1024 if number % 25 in (1, 2) else 20
        text = f"{number:06} " * (size // 7 + 1)
        payload, result = {
            "sum": (list(range(number)), sum(range(number))),
            "upper": (f"a{text}", f"A{text}"),
            "hash": (text, hashlib.sha256(text.encode()).hexdigest()),
            "wait": (0.05, "Waited for 0.05 seconds"),
        }[kind]
        spec = {"id": harness.uuid7(), "type": kind, "payload": payload,
                "backoff": {"initial_ms": 20, "max_ms": 200}}
        tasks.append((spec, result))
    return tasks


class LossyNetwork(harness.SystemTest):

    def setUp(self):
        super().setUp()
        system = self.system
        system.ns = system.nameservice().start()
        self.network = proxies.BadNetwork(
            system.ns.url, proxies.Faults(loss=0.3, doubling=0.2, reordering=0.3), SEED)
        self.addCleanup(self.network.close)
        system.dp = system.dispatcher(self.network.url, "--lease", "2s").start().wait_ready()
        self.workers = [system.worker(kind, system.ns.url).start()
                        for kind in ("sum", "upper", "hash", "wait")]
        system.wait_workers(4)

    def check_all(self, tasks, restarts_allowed):
        api = self.system.dp.api
        ended = api.wait_results([spec["id"] for spec, _ in tasks], 90)
        for spec, result in tasks:
            self.assertEqual(ended[spec["id"]].get("result"), result, spec["type"])
        listed = {task["id"]: task for task in api.all_tasks()}
        self.assertEqual(set(listed), {spec["id"] for spec, _ in tasks})
        for task in listed.values():
            self.assert_succeeded_once(task)
        totals = api.get("/v1/stats").json["totals"]
        self.assertEqual((totals["submitted"], totals["succeeded"]), (len(tasks), len(tasks)))
        self.assertEqual(totals["failures"], 0)
        if not restarts_allowed:
            attempts = sum(task["attempts_made"] for task in listed.values())
            self.assertLess(attempts, len(tasks) * 1.2)  # renewals get through: few run twice
        for what in ("lost", "doubled", "held"):
            for direction, count in zip(("there", "back"), self.network.total(what)):
                self.assertGreater(count, 10, f"{what} {direction}: it proved nothing")

    def test_every_task_ends_once(self):
        tasks = tasks_of_all_sizes()
        for part in range(0, TASKS, 50):
            specs = [spec for spec, _ in tasks[part:part + 50]]
            answer = self.system.dp.api.post_patiently("/v1/tasks", specs)
            self.assertEqual(answer.status, 202, answer.text)
        self.check_all(tasks, restarts_allowed=False)

    def test_restarts_on_either_side(self):
        tasks = tasks_of_all_sizes()
        for part in range(0, TASKS, 30):
            if part in (60, 180):
                self.system.dp.restart().wait_ready()
            if part in (120, 240):
                self.workers[part // 120].restart()
            batch = [spec for spec, _ in tasks[part:part + 30]]
            answer, _ = harness.submit_patiently(self.system.dp.api, batch)
            self.assertEqual(answer.status, 202, answer.text)
        self.system.dp.restart()
        self.check_all(tasks, restarts_allowed=True)


class CaughtDatagrams(harness.SystemTest):

    def test_what_was_caught_opens_nowhere_else(self):
        system = self.system
        system.use_key()
        system.ns = system.nameservice().start()
        network = proxies.BadNetwork(system.ns.url, proxies.Faults(), SEED)
        self.addCleanup(network.close)
        system.dp = system.dispatcher(network.url).start().wait_ready()
        workers = [system.worker("sum", system.ns.url).start() for _ in range(2)]
        system.wait_workers(2)
        ids = [system.dp.api.submit("sum", [number]) for number in range(50)]
        system.dp.api.wait_results(ids)
        caught = {port: list(path.caught) for port, path in network.paths.items()}
        self.assertTrue(all(len(each) > 1 for each in caught.values()), caught)
        # Each is told what the other was, from elsewhere, and one that has started anew what it was
        # told before: it neither runs nor answers it.
        workers[0].restart()
        system.wait_workers(2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.2", 0))
            elsewhere.settimeout(1.0)
            for port in network.paths:
                for datagrams in caught.values():
                    for datagram in datagrams:
                        elsewhere.sendto(datagram, ("127.0.0.1", port))
            with self.assertRaises(TimeoutError):
                elsewhere.recv(proxies.DATAGRAM_BYTES_MAX)
        for id in ids:
            self.assert_succeeded_once(system.dp.api.task(id))
        system.dp.api.wait_results([system.dp.api.submit("sum", [1])])


if __name__ == "__main__":
    harness.main()
