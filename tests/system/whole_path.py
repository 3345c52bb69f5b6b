"""The whole path through real processes: the five types, and the commands in all their forms."""

import hashlib
import json

import harness


class WholePath(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.system.start_all("reverse", "hash", "sum", "upper", "wait")

    def run_ok(self, *arguments, **named):
        """What a command that must succeed prints; it says nothing beside."""
        done = self.system.run(*arguments, **named)
        self.assertEqual((done.returncode, done.stderr), (0, ""), f"taskd {arguments}")
        return done.stdout

    def run_error(self, code, name, *arguments, **named):
        """A command that must fail by name: nothing on stdout, the reason on stderr."""
        done = self.system.run(*arguments, **named)
        self.assertEqual((done.returncode, done.stdout), (code, ""), f"{arguments} {done.stderr}")
        self.assertIn(name, done.stderr)
        self.assertTrue(done.stderr.startswith("taskd: "), done.stderr)

    def test_five_types_by_command(self):
        digest = hashlib.sha256(b"taskd").hexdigest()
        thumb = "a\U0001F44D\U0001F3FD"  # with a skin tone: one character to people
        for arguments, printed in [
                (("sum", 1, 2, 3), "6"), (("sum", "1,2,3.5"), "6.5"), (("sum", -1, "-2"), "-3"),
                (("sum", *["0.1"] * 10), "1"), (("sum", 2**126, 2**126 - 1), str(2**127 - 1)),
                (("upper", "straße"), "STRASSE"), (("upper", "two", "words"), "TWO WORDS"),
                (("reverse", thumb), "\U0001F44D\U0001F3FDa"), (("reverse", "ab", "cd"), "dc ba"),
                (("hash", "taskd"), digest), (("wait", "0.01"), "Waited for 0.01 seconds")]:
            with self.subTest(arguments=arguments):
                self.assertEqual(self.run_ok("submit", *arguments), printed + "\n")
        self.assertEqual(self.run_ok("client", "submit", "sum", 4, 5), "9\n")

    def test_payload_forms(self):
        sha1 = hashlib.sha1(b"a").hexdigest()
        order = '{"text": "a", "algorithm": "sha1"}'
        (self.system.folder / "numbers.json").write_text("[1, 2, 39]\n", encoding="utf-8")
        (self.system.folder / "text.txt").write_text("plain text\n", encoding="utf-8")
        self.assertEqual(self.run_ok("submit", "hash", "--json", order), sha1 + "\n")
        self.assertEqual(self.run_ok("submit", "sum", "@numbers.json"), "42\n")
        self.assertEqual(self.run_ok("submit", "upper", "@text.txt"), "PLAIN TEXT\n")
        self.assertEqual(self.run_ok("submit", "upper", "-", stdin="from stdin\n"), "FROM STDIN\n")
        self.assertEqual(self.run_ok("submit", "sum", "-", stdin="[20, 22]"), "42\n")
        self.assertEqual(self.run_ok("submit", "upper", "@@at"), "@AT\n")
        self.assertEqual(self.run_ok("submit", "upper", "--", "--detach"), "--DETACH\n")
        for arguments, payload in [
                (("1",), 1), (("1", "true", "null", "x"), [1, True, None, "x"]), (("x",), "x"),
                (("1.50",), 1.5), (("01",), "01"), ((), None), (("a b",), "a b")]:
            with self.subTest(arguments=arguments):
                task = self.run_ok("submit", "no-such-worker", "--detach", *arguments).strip()
                self.assertEqual(self.system.dp.api.task(task)["payload"], payload)

    def test_detach_result_and_outputs(self):
        task_id = self.run_ok("submit", "sum", "--detach", 40, 2).strip()
        self.assertEqual(self.run_ok("result", task_id, "--wait", "20s"), "42\n")
        self.assertEqual(self.run_ok("result", task_id), "42\n")
        self.assertEqual(self.run_ok("result", task_id[-12:]), "42\n")
        task = json.loads(self.run_ok("task", task_id, "-o", "json"))
        self.assert_succeeded_once(task)
        self.assertEqual((task["id"], task["type"], task["payload"], task["result"]),
                         (task_id, "sum", [40, 2], 42))
        self.assertEqual(task["attempts_made"], 1)
        self.assertLessEqual(task["submitted_at"], task["attempts"][0]["started_at"])
        self.assertLessEqual(task["attempts"][0]["started_at"], task["ended_at"])
        self.assertEqual(json.loads(self.run_ok("submit", "sum", "-o", "json", 1, 2))["result"], 3)
        printed = self.run_ok("submit", "sum", "-o", "id", 1, 2).strip()
        self.assertEqual(self.run_ok("task", printed[:30], "-o", "id").strip(), printed)
        table = self.run_ok("task", task_id)
        for word in (task_id, "succeeded", "[40,2]", "42"):
            self.assertIn(word, table)

    def test_cancel_list_stats_workers(self):
        waiting = self.run_ok("submit", "wait", "--detach", 600).strip()
        api = self.system.dp.api
        harness.wait_until(lambda: api.task(waiting)["state"] == "running", "wait runs")
        self.assertEqual(self.run_ok("cancel", waiting, "--reason", "no need"),
                         f"{waiting} cancelled\n")
        self.assertEqual(self.run_ok("cancel", waiting), f"{waiting} cancelled\n")
        self.assertEqual(api.task(waiting)["error"]["message"], "no need")

        def slot_is_free():
            queues = json.loads(self.run_ok("stats", "-o", "json"))["queues"]
            return [each["slots_used"] for each in queues if each["type"] == "wait"] == [0]
        harness.wait_until(slot_is_free, "the worker has confirmed the cancel")
        done = [self.run_ok("submit", "sum", "-o", "id", number).strip() for number in range(3)]
        listed = self.run_ok("list", "--type", "sum", "--state", "succeeded", "-o", "id").split()
        self.assertEqual(listed, done)
        page = self.system.run("list", "--type", "sum", "--limit", 2, "-o", "id")
        self.assertEqual(page.stdout.split(), done[:2])
        self.assertIn(f"--after {done[1]}", page.stderr)
        rest = self.run_ok("list", "--type", "sum", "--after", done[1], "-o", "json")
        self.assertEqual([each["id"] for each in json.loads(rest)["tasks"]], done[2:])
        stats = json.loads(self.run_ok("stats", "-o", "json"))
        self.assertEqual(stats["totals"]["cancelled"], 1)
        self.assertEqual(stats["totals"]["succeeded"], 3)
        self.assertEqual(stats["totals"]["submitted"], 4)
        self.assertIn("succeeded", self.run_ok("stats"))
        workers = json.loads(self.run_ok("workers", "-o", "json"))["workers"]
        self.assertEqual(sorted(each["types"] for each in workers),
                         [["hash"], ["reverse"], ["sum"], ["upper"], ["wait"]])
        self.assertIn("wait-worker-", self.run_ok("workers"))

    def test_when_it_is_tried_again(self):
        task = self.run_ok("submit", "wait", 600, "--detach", "--attempts-max", 3, "--crashes-max",
                           4, "--backoff", "linear", "--backoff-initial", "2s", "--backoff-max",
                           "1m", "--no-retry", "bad_payload,gone", "--expires-at",
                           "2099-01-01T00:00:00Z").strip()
        told = self.system.dp.api.task(task)
        self.assertEqual((told["attempts_max"], told["crashes_max"], told["no_retry"],
                          told["expires_at"]),
                         (3, 4, ["bad_payload", "gone"], "2099-01-01T00:00:00.000000Z"))
        self.assertEqual(told["backoff"], {"kind": "linear", "initial_ms": 2000, "max_ms": 60000,
                                           "jitter_percent": 25})
        shorter = self.run_ok("submit", "wait", 600, "--detach", "--backoff-max", "10ms").strip()
        backoff = self.system.dp.api.task(shorter)["backoff"]
        self.assertEqual((backoff["initial_ms"], backoff["max_ms"]), (10, 10))
        for wrong in (["--backoff", "never"], ["--no-retry", "a,,b"], ["--crashes-max", 0],
                      ["--backoff-initial", "2m", "--backoff-max", "1m"], ["--expires-at", "soon"],
                      ["--no-retry", ",".join("abcdefghijklmnopqrstu")]):
            self.run_error(2, "bad_usage", "submit", "wait", 600, "--detach", *wrong)

    def test_exit_codes(self):
        self.run_error(2, "--json takes one JSON value", "submit", "sum", "--json", "[1,")
        self.run_error(2, "--payload takes one JSON value", "group", "open", "--then", "sum",
                       "--payload", "[1,")
        self.run_error(2, "signal takes one JSON value", "workflow", "signal", "x", "y", "[1,")
        self.run_error(1, "task_not_found", "task", "0190a2b4-0000-7000-8000-000000000000")
        self.run_error(2, "bad_usage", "submit")
        self.run_error(2, "bad_usage", "no-such-command")
        self.run_error(2, "bad_usage", "submit", "sum", "--no-such-option")
        self.run_error(2, "bad_usage", "submit", "sum", "1", "--wait", "soon")
        self.run_error(2, "bad_usage", "submit", "no such type", "1")
        self.run_error(2, "unknown_type", "worker", "no-such-type")
        self.run_error(2, "invalid_id", "task", "xyz")
        self.run_error(3, "file_missing", "submit", "sum", "@no-such-file")
        self.run_error(5, "bad_payload", "submit", "sum", "one")
        self.run_error(5, "out_of_range", "submit", "sum", 2**127)
        self.run_error(5, "out_of_range", "submit", "wait", -1)
        self.run_error(6, "timed_out", "submit", "wait", 600, "--wait", "100ms")
        self.run_error(6, "no worker", "submit", "no-such-worker", "1", "--wait", "10ms")
        unread = self.run_ok("submit", "wait", "-d", 600).strip()
        self.run_error(6, "result_not_ready", "result", unread)
        self.run_error(6, "timed_out", "result", unread, "--wait", "10ms")
        cancelled = self.run_ok("submit", "wait", "-d", 600).strip()
        self.run_ok("cancel", cancelled)
        self.run_error(5, "is cancelled", "result", cancelled)
        ended = self.run_ok("submit", "sum", "-o", "id", 1).strip()
        self.run_error(1, "task_finished", "cancel", ended)
        self.run_error(4, "unreachable", "submit", "sum", 1, "--retry-for", "0s",
                       url="http://127.0.0.1:1")
        self.run_error(4, "unreachable", "stats", url="http://127.0.0.1:1")

    def test_repeated_submit_makes_one_task(self):
        api = self.system.dp.api
        task = {"id": harness.uuid7(), "type": "sum", "payload": [1, 2]}
        first, second = api.post("/v1/tasks", task), api.post("/v1/tasks?wait=20s", task)
        self.assertEqual((first.status, second.status), (202, 200))
        self.assertEqual(second.json["result"], 3)
        self.assert_problem(api.post("/v1/tasks", task | {"payload": [1]}), 409, "id_conflict")
        self.assertEqual(len(api.all_tasks()), 1)
        answer = api.post("/v1/tasks?wait=20s", [task, {"type": "sum", "payload": [7]}])
        self.assertEqual((answer.status, [each["result"] for each in answer.json["tasks"]]),
                         (200, [3, 7]))

    def test_payload_and_result_of_a_mebibyte(self):
        text = "ß" * 80_000
        answer = self.system.dp.api.post("/v1/tasks?wait=20s", {"type": "upper", "payload": text})
        self.assertEqual((answer.status, answer.json["result"]), (200, "SS" * 80_000))
        digest = hashlib.sha256(b"x" * 1_000_000).hexdigest()
        self.assertEqual(self.run_ok("submit", "hash", "-", stdin="x" * 1_000_000), digest + "\n")


if __name__ == "__main__":
    harness.main()
