"""SIGTERM and SIGINT: what is held is finished, nobody is left waiting; a second signal leaves at
once."""

import http.client
import json
import re
import signal
import time

import harness


class Shutdown(harness.SystemTest):

    def running(self, kind="wait", payload=1):
        api = self.system.dp.api
        task = api.submit(kind, payload)
        harness.wait_until(lambda: api.task(task)["state"] == "running", "it runs")
        return task

    def connections(self):
        """How many HTTP connections the dispatcher has, that of the question among them."""
        text = self.system.dp.api.get("/metrics").text
        return int(re.search(r"^taskd_http_connections (\d+)$", text, re.M)[1])

    def test_worker_finishes_what_it_holds(self):
        system = self.system
        system.start_all("wait")
        held = self.running()
        worker = system.workers["wait"]
        worker.terminate()
        harness.wait_until(lambda: worker.answers("/readyz", 503), "readiness turns first")
        self.assert_problem(worker.api.get("/readyz"), 503, "shutting_down")
        self.assertEqual(worker.api.get("/healthz").status, 200)
        later = system.dp.api.submit("wait", 0)
        self.assertEqual(worker.wait_end(), 0)
        whole = system.dp.api.task(held)
        self.assert_succeeded_once(whole)
        self.assertEqual(whole["attempts_made"], 1)
        self.assertEqual(system.ns.api.get("/v1/registrations").json["registrations"], [])
        self.assertEqual(system.dp.api.task(later)["state"], "queued")
        self.assertEqual(system.dp.api.task(later)["crashes"], 0)
        system.worker("wait", system.ns.url, name="next").start()
        self.assertEqual(system.dp.api.result(later)["state"], "succeeded")

    def test_worker_hands_over_to_a_dispatcher_that_comes_back(self):
        system = self.system
        system.start_all("wait")
        held = self.running(payload=2)
        worker = system.workers["wait"]
        system.dp.kill()
        worker.terminate()
        worker.wait_log("draining")
        system.dp.start()
        self.assertEqual(worker.wait_end(), 0)
        self.assertEqual(system.dp.api.result(held)["state"], "succeeded")
        self.assertEqual(system.dp.api.task(held)["attempts_made"], 1)

    def test_dispatcher_answers_who_waits_and_comes_back_whole(self):
        system = self.system
        dispatcher = system.start_all("wait", "sum")
        held = self.running(payload=3)
        ended = dispatcher.api.submit("sum", [1, 2])
        dispatcher.api.result(ended)
        before = self.connections()
        asking = [http.client.HTTPConnection("127.0.0.1", dispatcher.port,
                                             timeout=harness.PATIENCE) for _ in range(2)]
        for each in asking:
            self.addCleanup(each.close)
            each.request("GET", f"/v1/tasks/{held}/result?wait=60s")
        harness.wait_until(lambda: self.connections() >= before + len(asking), "they wait")
        dispatcher.terminate()
        for each in asking:
            answer = each.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())["state"]),
                             (202, "running"))
        self.assertEqual(dispatcher.wait_end(), 0)
        self.assertEqual(system.run("store", "check", system.folder / "dispatcher").returncode, 0)
        dispatcher.start().wait_ready()
        self.assertEqual(dispatcher.api.result(ended, "0s")["result"], 3)
        self.assertEqual(dispatcher.api.result(held)["state"], "succeeded")
        self.assertEqual(dispatcher.api.task(held)["attempts_made"], 1)

    def test_dispatcher_ends_beside_busy_workers(self):
        """It leases nothing more, else each end would lead to the next lease."""
        system = self.system
        dispatcher = system.start_all("wait")
        for _ in range(10):
            # Of all lengths, so that there is always one that ends.
            answer = dispatcher.api.post_patiently("/v1/tasks", [
                {"type": "wait", "payload": 0.05 + number % 97 / 500} for number in range(1000)])
            self.assertEqual(answer.status, 202, answer.text)
        harness.wait_until(lambda: dispatcher.api.get("/v1/queues/wait").json["running"] > 0,
                           "they work")
        ended = dispatcher.api.get("/v1/stats").json["totals"]["succeeded"]
        queued = dispatcher.api.get("/v1/queues/wait").json["queued"]
        self.assertGreater(queued, 2_000)
        begin = time.monotonic()
        dispatcher.terminate()
        self.assertEqual(dispatcher.wait_end(), 0)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertNotIn("not drained in time", dispatcher.last_log())
        system.workers["wait"].kill()
        dispatcher.start().wait_ready()
        # What they worked on and a second's work at most.
        there = dispatcher.api.get("/v1/stats").json["totals"]["succeeded"]
        self.assertLess(there - ended, 500)
        self.assertGreater(dispatcher.api.get("/v1/queues/wait").json["queued"], queued - 500)

    def test_every_role_ends_by_sigint(self):
        system = self.system
        system.start_all("sum")
        monitor = system.role("monitor", "monitor", "--dispatcher", system.dp.url,
                              "--nameservice", system.ns.url).start()
        for role in (monitor, system.workers["sum"], system.dp, system.ns):
            role.process.send_signal(signal.SIGINT)
            self.assertEqual(role.wait_end(), 0, role.name)

    def test_second_signal_leaves_at_once(self):
        system = self.system
        system.start_all("wait")
        held = self.running(payload=600)
        worker = system.workers["wait"]
        worker.terminate()
        worker.wait_log("draining", "running=1")
        self.assertIsNone(worker.code)
        worker.terminate()
        self.assertEqual(worker.wait_end(5), 128 + signal.SIGTERM)
        self.assertIn("leaving at once", worker.last_log())
        self.assertEqual(system.dp.api.task(held)["state"], "running")


if __name__ == "__main__":
    harness.main()
