"""Whatever cannot be taken gets a clear error by name, and nothing is lost by it."""

import json

import harness

MEBIBYTE = 1024 * 1024
NOBODY = "01900000-0000-7000-8000-000000000000"


def task_of(size):
    """A task of exactly so many bytes as written."""
    frame = len(json.dumps({"type": "upper", "payload": ""}))
    return json.dumps({"type": "upper", "payload": "x" * (size - frame)})


class Refusals(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.api = self.system.start_all("upper").api

    def test_unknown_type_is_queued_and_explained(self):
        task = self.api.submit("no/such.type", {"any": ["thing", None]})
        whole = self.api.task(task)
        self.assertEqual((whole["state"], whole["waiting_for"]["rule"]), ("queued", "no_worker"))
        self.assertEqual(whole["payload"], {"any": ["thing", None]})
        shown = self.system.run("task", task)
        self.assertEqual(shown.returncode, 0)
        self.assertIn("no worker of type no/such.type is registered",
                      shown.stdout.replace("'", "").replace('"', ""))
        self.system.dp.restart()
        self.assertEqual(self.api.task(task)["waiting_for"]["rule"], "no_worker")

    def test_bodies_that_are_not_taken(self):
        good = {"type": "upper", "payload": "a"}
        cases = [
            ("{", 400, "bad_json"), ("", 400, "bad_json"), (b'{"type":"\xff"}', 400, "bad_json"),
            ('{"type":"upper"} x', 400, "bad_json"), ("[" * 200 + "]" * 200, 400, "bad_json"),
            ("1", 422, "invalid_field"), ("{}", 422, "missing_field"),
            ({"type": 1}, 422, "invalid_field"), ({"type": "a b"}, 422, "invalid_field"),
            (good | {"colour": 1}, 422, "unknown_field"), (good | {"id": "1"}, 422, "invalid_id"),
            (good | {"priority": 10}, 422, "invalid_field"),
            (good | {"attempts_max": 0}, 422, "invalid_field"),
            (good | {"backoff": {"initial_ms": 9, "max_ms": 8}}, 422, "invalid_field"),
            (task_of(MEBIBYTE + 1), 413, "task_too_large"),
            ([good] * 10_001, 413, "too_many_tasks"),
            ("[" + ",".join([task_of(MEBIBYTE)] * 17) + "]", 413, "body_too_large"),
        ]
        for body, status, name in cases:
            with self.subTest(body=str(body)[:60]):
                self.assert_problem(self.api.post("/v1/tasks", body), status, name)
        self.assert_problem(self.api.post("/v1/tasks?colour=red", good), 422, "unknown_field")
        self.assert_problem(self.api.post("/v1/tasks?wait=soon", good), 422, "invalid_field")
        answer = self.api.call("POST", "/v1/tasks", b"type=upper", {
            "Content-Type": "application/x-www-form-urlencoded"})
        self.assert_problem(answer, 415, "unsupported_media_type")
        answer = self.api.post("/v1/tasks", [good, good, good | {"priority": -1}])
        self.assert_problem(answer, 422, "invalid_field")
        self.assertEqual(answer.json["index"], 2)
        self.assertEqual(self.api.all_tasks(), [], "nothing of all that was taken")

    def test_a_mebibyte_is_taken(self):
        answer = self.api.post("/v1/tasks?wait=20s", task_of(MEBIBYTE))
        self.assertEqual((answer.status, answer.json["state"]), (200, "succeeded"))

    def test_what_is_not_there(self):
        for path in (f"/v1/tasks/{NOBODY}", f"/v1/tasks/{NOBODY}/result", "/v1/tasks/0000-0000"):
            self.assert_problem(self.api.get(path), 404, "task_not_found")
        self.assert_problem(self.api.post(f"/v1/tasks/{NOBODY}/cancel"), 404, "task_not_found")
        for part in ("xyz", "019"):
            answer = self.api.get(f"/v1/tasks/{part}")
            self.assert_problem(answer, 422, "invalid_id")
            self.assertIn("4 characters", answer.json["detail"])
        self.assert_problem(self.api.get("/v1/nothing"), 404, "not_found")
        self.assert_problem(self.api.call("DELETE", "/v1/tasks"), 405, "method_not_allowed")
        self.assert_problem(self.api.get("/v1/tasks?state=lost"), 422, "invalid_field")
        self.assert_problem(self.api.get("/v1/tasks?limit=1001"), 422, "invalid_field")
        answer = self.api.post("/v1/results", {"ids": [NOBODY], "wait_ms": 60_000})
        self.assertEqual((answer.status, answer.json), (200, {"tasks": [], "missing": [NOBODY]}))
        self.assert_problem(self.api.post("/v1/results", {"ids": []}), 422, "invalid_field")
        self.assert_problem(self.api.post("/v1/results", {"ids": [NOBODY] * 1001}), 422,
                            "invalid_field")

    def test_part_of_an_id_that_two_tasks_have(self):
        stem = harness.uuid7()[:-1]
        for end in "ab":
            self.api.submit("none", id=stem + end)
        self.assert_problem(self.api.get(f"/v1/tasks/{stem[:20]}"), 409, "ambiguous_id")
        self.assertEqual(self.api.task(stem[-11:] + "a")["id"], stem + "a")
        shown = self.system.run("task", stem[:20])
        self.assertEqual((shown.returncode, shown.stdout), (2, ""))
        self.assertIn("ambiguous_id", shown.stderr)

    def test_early_results_leave_memory_before_the_last_comes(self):
        wait = self.system.worker("wait", self.system.ns.url).start()
        self.system.wait_workers(2)
        first = {"id": harness.uuid7(), "type": "upper", "payload": "early"}
        last = {"id": harness.uuid7(), "type": "wait", "payload": 600}
        asked = harness.in_thread(
            lambda: harness.Api(self.api.url).post("/v1/tasks?wait=60s", [first, last]))
        harness.wait_until(lambda: self.api.get(f"/v1/tasks/{first['id']}/result").status == 200,
                           "the first has ended")
        # More than the 64 MiB of ended tasks that are kept in memory.
        big = task_of(MEBIBYTE)
        for _ in range(3):
            answer = self.api.post("/v1/tasks?wait=60s", "[" + ",".join([big] * 15) + "]")
            self.assertEqual(answer.status, 200)
        harness.wait_until(lambda: self.api.get("/v1/stats").json["view"]["lag_records"] == 0,
                           "the view has all of it")
        self.api.result(self.api.submit("upper", "one more"))
        self.assertEqual(self.api.post(f"/v1/tasks/{last['id']}/cancel").status, 200)
        answer = asked.result(harness.PATIENCE)
        self.assertEqual(answer.status, 200)
        self.assertEqual([(each["id"], each["state"]) for each in answer.json["tasks"]],
                         [(first["id"], "succeeded"), (last["id"], "cancelled")])
        self.assertEqual(answer.json["tasks"][0]["result"], "EARLY")
        self.assertIsNone(self.system.dp.code)
        self.assertIsNone(wait.code)


class Contested(harness.SystemTest):

    def assert_ends(self, role, code, name):
        role.spawn()
        self.assertEqual(role.wait_end(), code, role.name)
        self.assertIn(name, role.last_log())
        self.assertFalse(role.port_file.exists(), "it says it listens and does not")

    def test_port_in_use(self):
        system = self.system
        system.start_all("sum")
        monitor = system.role("monitor", "monitor", "--dispatcher", system.dp.url,
                              "--nameservice", system.ns.url)
        others = [system.dispatcher(system.ns.url, name="other-dispatcher"),
                  system.nameservice(name="other-nameservice"), monitor,
                  system.worker("sum", system.ns.url, name="other-worker")]
        for role in others:
            role.port = system.dp.port
            self.assert_ends(role, 1, "port_in_use")
        self.assertFalse((system.folder / "other-dispatcher").exists(), "it touched its data")
        self.assertEqual(system.dp.api.result(system.dp.api.submit("sum", [1]))["result"], 1)

    def test_second_dispatcher_on_the_same_data(self):
        system = self.system
        system.start_all("sum")
        task = system.dp.api.submit("later", 1)
        second = system.dispatcher(system.ns.url)
        second.name, second.port_file = "second", system.folder / "second.port"
        self.assert_ends(second, 1, "store_locked")
        self.assertEqual(system.dp.api.result(system.dp.api.submit("sum", [1]))["result"], 1)
        system.dp.restart()  # its lock went with it
        self.assertEqual(system.dp.api.task(task)["state"], "queued")

    def test_data_that_is_no_store(self):
        system = self.system
        folder = system.folder / "dispatcher"
        (folder / "journal").mkdir(parents=True)
        (folder / "journal" / "1.seg").write_bytes(b"not ours")
        self.assert_ends(system.dispatcher("http://127.0.0.1:1"), 1, "store_damaged")
        (system.folder / "file").write_text("", encoding="utf-8")
        role = system.role("blocked", "dispatcher", "--data", system.folder / "file" / "data")
        self.assert_ends(role, 3, "file_missing")


if __name__ == "__main__":
    harness.main()
