"""The name service away and back, and each role alone: it says what it waits for and goes on."""

import json

import harness


class NameService(harness.SystemTest):

    def registrations(self):
        return self.system.ns.api.get("/v1/registrations").json["registrations"]

    def test_known_workers_go_on_and_new_ones_appear_when_it_is_back(self):
        system = self.system
        dispatcher = system.start_all("sum")
        system.ns.kill()
        self.assertEqual(dispatcher.api.result(dispatcher.api.submit("sum", [1, 2]))["result"], 3)
        dispatcher.wait_log("waiting for the name service", system.ns.url)
        late = system.worker("upper", system.ns.url).start()
        late.wait_log("waiting for the name service", system.ns.url)
        queued = dispatcher.api.submit("upper", "late")
        self.assertEqual(dispatcher.api.task(queued)["waiting_for"]["rule"], "no_worker")
        self.assertEqual(dispatcher.api.result(dispatcher.api.submit("sum", [3, 4]))["result"], 7)
        system.ns.start()
        late.wait_ready()
        self.assertEqual(dispatcher.api.result(queued)["result"], "LATE")
        system.wait_workers(2)

    def test_registry_is_read_back(self):
        system = self.system
        system.start_all("sum", "upper")
        before = self.registrations()
        path = system.folder / "nameservice" / "registry.json"

        def on_disk():
            registrations = json.loads(path.read_text("utf-8"))["registrations"]
            return [each["instance"] for each in registrations]
        harness.wait_until(lambda: on_disk() == [each["instance"] for each in before],
                           "the file has both of them")
        for worker in system.workers.values():
            worker.kill()  # nobody registers again
        system.ns.restart()
        system.ns.wait_log("registry read back", "registrations=2")

        def essence(registrations):
            return sorted((each["instance"], each["session"], each["type"], each["port"])
                          for each in registrations)
        self.assertEqual(essence(self.registrations()), essence(before))

    def test_registry_lost(self):
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url).start().wait_ready()
        worker = system.worker("sum", system.ns.url, "--heartbeat", "200ms").start()
        system.wait_workers(1)
        system.ns.kill()
        (system.folder / "nameservice" / "registry.json").unlink()
        system.ns.start()
        self.assertEqual(system.dp.api.result(system.dp.api.submit("sum", [1]))["result"], 1)
        harness.wait_until(self.registrations, "the next heartbeat registers it again")
        worker.wait_ready()
        self.assertEqual(system.dp.api.result(system.dp.api.submit("sum", [2]))["result"], 2)

    def test_registry_that_cannot_be_read(self):
        system = self.system
        system.ns = system.nameservice().start()
        system.ns.terminate()
        self.assertEqual(system.ns.wait_end(), 0)
        registry = system.folder / "nameservice" / "registry.json"
        registry.write_text("{", encoding="utf-8")
        system.ns.spawn()
        self.assertEqual(system.ns.wait_end(), 2)
        self.assertIn("config_invalid", system.ns.last_log())
        self.assertEqual(registry.read_text("utf-8"), "{")

    def test_one_that_would_forget_who_lives_is_refused(self):
        done = self.system.run("nameservice", "--port", "0", "--heartbeat", "2s", "--expiry", "5s")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)
        self.assertIn("bad_usage", done.stderr)
        self.assertIn("--expiry 5s is below three times --heartbeat 2s", done.stderr)

    def test_a_worker_says_it_lives_as_often_as_it_is_asked(self):
        system = self.system
        system.ns = system.nameservice("--heartbeat", "1s", "--expiry", "3s").start()
        worker = system.worker("sum", system.ns.url).start()  # of 10 s by itself
        worker.wait_ready()

        def renewed():
            registrations = self.registrations()
            self.assertEqual(len(registrations), 1)
            return registrations[0]["renewed_at"]
        for _ in range(5):
            before = renewed()
            harness.wait_until(lambda last=before: renewed() != last, "it says so again")

    def test_silent_instance_expires(self):
        system = self.system
        system.ns = system.nameservice("--heartbeat", "100ms", "--expiry", "3s").start()
        worker = system.worker("sum", system.ns.url, "--heartbeat", "100ms").start()
        worker.wait_ready()
        self.assertEqual(len(self.registrations()), 1)
        worker.kill()
        harness.wait_until(lambda: not self.registrations(), "it expires")


class Alone(harness.SystemTest):

    def setUp(self):
        super().setUp()
        # A port that was free a moment ago: nobody is there.
        nobody = self.system.nameservice(name="nobody").start()
        nobody.kill()
        self.nowhere = nobody.url

    def assert_alive(self, role, name):
        answer = role.api.get("/healthz")
        self.assertEqual((answer.status, answer.json), (200, {"status": "ok", "role": name}))

    def test_dispatcher(self):
        dispatcher = self.system.dispatcher(self.nowhere).start().wait_ready()
        dispatcher.wait_log("waiting for the name service", self.nowhere)
        self.assert_alive(dispatcher, "dispatcher")
        task = dispatcher.api.submit("sum", [1])
        self.assertEqual(dispatcher.api.task(task)["waiting_for"]["rule"], "no_worker")

    def test_worker(self):
        worker = self.system.worker("sum", self.nowhere).start()
        worker.wait_log("waiting for the name service", self.nowhere)
        self.assert_alive(worker, "worker")
        answer = worker.api.get("/readyz")
        self.assert_problem(answer, 503, "not_ready")
        self.assertEqual(answer.json["reasons"], ["the name service has not answered"])
        worker.terminate()
        self.assertEqual(worker.wait_end(), 0)

    def test_nameservice(self):
        nameservice = self.system.nameservice().start().wait_ready()
        self.assert_alive(nameservice, "nameservice")
        self.assertEqual(nameservice.api.get("/v1/registrations").json["registrations"], [])

    def test_monitor(self):
        monitor = self.system.role("monitor", "monitor", "--dispatcher", self.nowhere,
                                   "--nameservice", self.nowhere).start()
        self.assert_alive(monitor, "monitor")
        overview = harness.wait_until(
            lambda: monitor.api.get("/v1/overview").json, "the monitor has asked")
        for name in ("dispatcher", "nameservice"):
            self.assertEqual(overview[name]["reachable"], False)
            self.assertIn("detail", overview[name])
        monitor.wait_log("cannot be asked", "asked=dispatcher", self.nowhere)
        self.assertIn("taskd", monitor.api.get("/").text)

    def test_monitor_sees_them_come(self):
        system = self.system
        system.start_all("sum")
        monitor = system.role("monitor", "monitor", "--dispatcher", system.dp.url,
                              "--nameservice", system.ns.url).start().wait_ready()
        system.dp.api.result(system.dp.api.submit("sum", [1]))

        def seen():
            overview = monitor.api.get("/v1/overview").json
            totals = overview.get("dispatcher", {}).get("stats", {}).get("totals", {})
            names = overview.get("nameservice", {})
            there = [each["type"] for each in names.get("registrations", [])]
            return totals.get("succeeded") == 1 and there == ["sum"]
        harness.wait_until(seen, "the monitor shows figures and workers")


if __name__ == "__main__":
    harness.main()
