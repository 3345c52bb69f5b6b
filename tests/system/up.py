"""taskd up: everything on one machine by one command, which looks after its children and takes them
with it."""

import json
import os
import signal
import subprocess

import harness

KINDS = {"reverse", "hash", "sum", "upper", "wait"}


class Up(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.data = self.system.folder / "data"
        self.process = None

    def start(self, *arguments, port=0):
        """Starts it and waits for endpoints.json."""
        self.stale = self.told()  # by one that was killed
        log = open(self.system.folder / "up.log", "ab")
        self.addCleanup(log.close)
        self.process = subprocess.Popen(
            [harness.EXECUTABLE, "up", "--data", self.data, "--port", str(port),
             *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=self.system.environment, preexec_fn=harness.die_with_parent)
        self.addCleanup(self.end)
        harness.wait_until(self.told_or_ended, "endpoints.json is there")
        if self.process.poll() is not None:
            raise AssertionError(f"up ended with {self.process.poll()}:\n{self.log()}")

    def told(self):
        path = self.data / "endpoints.json"
        try:
            return path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def told_or_ended(self):
        return self.told() not in (None, self.stale) or self.process.poll() is not None

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        harness.wait_until(lambda: not harness.children_of(os.getpid()), "the children are gone")

    def log(self):
        return (self.system.folder / "up.log").read_text("utf-8", "replace")[-8000:]

    def endpoints(self):
        """Always whole: it is replaced, never written over."""
        return json.loads((self.data / "endpoints.json").read_text("utf-8"))

    def pids(self):
        told = self.endpoints()
        return [told[name]["pid"] for name in ("dispatcher", "nameservice", "monitor")] + [
            each["pid"] for each in told["workers"]]

    def api(self, name="dispatcher"):
        key = (self.data / "key").read_text("utf-8").strip()
        return harness.Api(self.endpoints()[name]["url"], key)

    def port_of(self, name):
        return int(self.endpoints()[name]["url"].rpartition(":")[2])

    def test_endpoints_and_the_end(self):
        self.start()
        told = self.endpoints()
        self.assertEqual({each["type"] for each in told["workers"]}, KINDS)
        for name in ("dispatcher", "nameservice", "monitor"):
            self.assertEqual(set(told[name]), {"url", "pid"})
            self.assertEqual(self.api(name).get("/readyz").status, 200)
        pids = self.pids()
        self.assertEqual(sorted(pids), sorted(harness.children_of(self.process.pid)))
        overview = self.api("monitor").get("/v1/overview").json
        self.assertEqual({each["type"] for each in overview["nameservice"]["registrations"]}, KINDS)
        self.assertEqual((self.data / "key").stat().st_mode & 0o777, 0o600)
        done = self.system.run("submit", "sum", 1, 2, 3, "--data", self.data)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "6\n", ""))
        # A client of the same person finds the key by the server's address.
        done = self.system.run("submit", "upper", "straße", url=told["dispatcher"]["url"])
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "STRASSE\n", ""))
        self.process.terminate()
        self.assertEqual(self.process.wait(harness.PATIENCE), 0, self.log())
        self.assertFalse(any(map(harness.is_alive, pids)))
        self.assertFalse((self.data / "endpoints.json").exists())
        self.assertIn("dispatcher   | ", self.log())
        self.assertIn("sum-1        | ", self.log())

    def test_ten_thousand_tasks_and_the_dispatcher_killed_twice(self):
        self.start()
        expected, batches = {}, []
        for start in range(0, 10_000, 100):
            batch = [{"id": harness.uuid7(), "type": "sum", "payload": [number, 1]}
                     for number in range(start, start + 100)]
            expected |= {spec["id"]: start + at + 1 for at, spec in enumerate(batch)}
            batches.append(batch)
        port = self.port_of("dispatcher")
        for number, batch in enumerate(batches):
            if number in (33, 66):
                os.kill(self.endpoints()["dispatcher"]["pid"], signal.SIGKILL)
            answer, _ = harness.submit_patiently(self.api(), batch)
            self.assertEqual(answer.status, 202, answer.text)
        ended = self.api().wait_results(list(expected), 60)
        self.assertEqual({task: each.get("result") for task, each in ended.items()}, expected)
        listed = self.api().all_tasks()
        self.assertEqual(len(listed), 10_000)
        for task in listed:
            self.assert_succeeded_once(task)
        totals = self.api().get("/v1/stats").json["totals"]
        self.assertEqual((totals["submitted"], totals["succeeded"]), (10_000, 10_000))
        self.assertEqual(self.port_of("dispatcher"), port)
        self.assertEqual(self.log().count("ended, started again"), 2)

    def test_killed_children_come_back_on_their_ports(self):
        self.start("--lease", "1s")
        before = self.endpoints()
        for name in ("nameservice", "monitor", "dispatcher"):
            os.kill(before[name]["pid"], signal.SIGKILL)
            harness.wait_until(lambda: self.endpoints()[name]["pid"] != before[name]["pid"],
                               f"{name} is started again")
            self.assertEqual(self.endpoints()[name]["url"], before[name]["url"])

            def is_back():
                try:
                    return self.api(name).get("/readyz").status == 200
                except harness.Broken:
                    return False
            harness.wait_until(is_back, f"{name} answers again")
        worker = next(each for each in before["workers"] if each["type"] == "sum")
        ports = {each["type"]: each["port"] for each in self.api().get("/v1/workers").json["workers"]}
        os.kill(worker["pid"], signal.SIGKILL)

        def new_worker():
            pids = {each["type"]: each["pid"] for each in self.endpoints()["workers"]}
            return pids["sum"] not in (worker["pid"], 0) and harness.is_alive(pids["sum"])
        harness.wait_until(new_worker, "the worker is started again")
        done = self.system.run("submit", "sum", 20, 22, "--data", self.data)
        self.assertEqual((done.returncode, done.stdout), (0, "42\n"), done.stderr)
        newest = [each["port"] for each in self.api().get("/v1/workers").json["workers"]
                  if each["type"] == "sum" and each["reachable"]]
        self.assertIn(ports["sum"], newest)

    def test_children_never_outlive_it(self):
        self.start()
        pids = self.pids()
        self.assertEqual(len(pids), 8)
        self.process.kill()
        self.process.wait()
        harness.wait_until(lambda: not any(map(harness.is_alive, pids)), "all have ended", 10)
        self.start()  # what the killed one left behind is in nobody's way
        self.assertFalse(set(self.pids()) & set(pids))

    def test_consecutive_ports(self):
        first = harness.free_ports(8)
        self.start(port=first)
        for offset, name in enumerate(("dispatcher", "nameservice", "monitor")):
            self.assertEqual(self.port_of(name), first + offset)
        ports = {each["type"]: each["port"] for each in self.api().get("/v1/workers").json["workers"]}
        self.assertEqual([ports[each["type"]] for each in self.endpoints()["workers"]],
                         [first + 3 + at for at in range(5)])

    def test_workers_file(self):
        listing = self.system.folder / "workers.json"
        listing.write_text(json.dumps({"workers": [
            {"type": "sum", "description": "adds", "concurrency": 2, "enabled": True},
            {"type": "hash", "description": "off", "concurrency": 2, "enabled": False}]}), "utf-8")
        self.start("--workers", listing)
        self.assertEqual([each["type"] for each in self.endpoints()["workers"]], ["sum"])

    def test_what_keeps_it_from_starting(self):
        self.start()
        second = self.system.run("up", "--data", self.data, "--port", 0)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("store_locked", second.stderr)
        other = self.system.folder / "other"
        taken = self.system.run("up", "--data", other, "--port", self.port_of("dispatcher"))
        self.assertEqual(taken.returncode, 1, taken.stderr)
        self.assertIn("port_in_use", taken.stderr)
        missing = self.system.run("up", "--data", other, "--workers", "no-such-file")
        self.assertEqual(missing.returncode, 3, missing.stderr)
        self.assertIn("file_missing", missing.stderr)
        self.assertEqual(self.api().get("/readyz").status, 200)

    def test_second_signal_leaves_at_once(self):
        self.start()
        self.api().submit("wait", 600)
        api = self.api()
        harness.wait_until(lambda: api.get("/v1/stats").json["states"]["running"] == 1, "it runs")
        pids = self.pids()
        self.process.terminate()
        harness.wait_until(lambda: "draining" in self.log(), "it drains")
        self.process.terminate()
        self.assertEqual(self.process.wait(10), 128 + signal.SIGTERM)
        harness.wait_until(lambda: not any(map(harness.is_alive, pids)), "all have ended", 10)


if __name__ == "__main__":
    harness.main()
