"""Entries in files: applied, kept with every version, and put to work by taskd up."""

import json

import harness

FILE = """version: "1.0"
namespace: shop
entries:
  - name: sum
    kind: queue
    concurrency: 3
  - name: nightly
    kind: schedule
    cron: "30 3 * * *"
    task: {type: sum, payload: [1, 2]}
  - name: echo
    kind: worker.exec
    command: [/bin/cat]
    auto_start: true
    needs: [sum]
"""


class Registry(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.data = self.system.folder / "data"
        self.entries = self.system.folder / "entries"
        self.entries.mkdir()
        self.file = self.entries / "shop.yaml"
        self.file.write_text(FILE, encoding="utf-8")

    def registry(self, *arguments, code=0):
        done = self.system.run("registry", *arguments, "--data", self.data)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_every_version_is_kept_and_can_come_back(self):
        changes = self.registry("apply", self.entries, "--dry-run")
        self.assertEqual(changes, "+ shop:echo\n+ shop:nightly\n+ shop:sum\n")
        self.assertEqual(self.registry("list", "-o", "id"), "")
        made = json.loads(self.registry("apply", self.entries, "--note", "first", "-o", "json"))
        self.assertEqual([(each["version"], each["changes"], each["note"]) for each in made],
                         [(1, 3, "first")])
        self.assertEqual(self.registry("list", "-o", "id"), "shop:echo\nshop:nightly\nshop:sum\n")
        self.assertEqual(self.registry("list", "$m", "-o", "id"), "shop:sum\n")
        self.assertEqual(self.registry("show", "shop:sum"),
                         "id: \"shop:sum\"\nkind: queue\nconcurrency: 3\n")
        again = self.system.run("registry", "apply", self.entries, "--data", self.data)
        self.assertEqual((again.returncode, again.stdout, again.stderr),
                         (0, "", "taskd: nothing has changed\n"))
        self.registry("apply", self.entries, "--override", "shop:sum:concurrency=5",
                      "--disable", "*:echo")
        self.assertEqual(self.registry("diff", 1),
                         "- shop:echo\n~ shop:sum\n    - concurrency: 3\n    + concurrency: 5\n")
        self.registry("restore", 1)
        self.assertEqual(self.registry("diff", 1), "")
        self.assertEqual(self.registry("history", "-o", "id"), "3\n2\n1\n")
        self.assertIn("restored from version 1", self.registry("history"))

    def test_faults_are_told_with_their_place(self):
        self.file.write_text(FILE.replace("concurrency: 3", "concurency: 3"), encoding="utf-8")
        self.assertIn("shop.yaml:6:5: shop:sum: 'concurency' is no field of queue",
                      self.registry("apply", self.entries, code=2))
        self.file.write_text(FILE.replace("needs: [sum]", "needs: [none]"), encoding="utf-8")
        self.assertIn("dependency_missing", self.registry("apply", self.entries, code=2))
        self.file.write_text(FILE.replace("command: [/bin/cat]", "url: x"), encoding="utf-8")
        self.registry("apply", self.entries, code=2)
        self.assertIn("version_not_found", self.registry("restore", 7, code=1))
        self.assertIn("file_missing", self.registry("apply", "no-such-file", code=3))
        self.assertIn("did you mean 'apply'", self.registry("aply", code=2))
        self.assertEqual(self.registry("history", "-o", "id"), "")

    def test_up_puts_entries_to_work_and_follows_them(self):
        self.registry("apply", self.entries)
        up = self.system.up().start(0)
        self.assertIn("echo", {each["type"] for each in up.endpoints()["workers"]})
        done = self.system.run("submit", "echo", "hello", "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "hello\n"), done.stderr)

        def concurrency():
            return up.api().get("/v1/queues/sum").json["concurrency"]
        harness.wait_until(lambda: concurrency() == 3, "the queue has its rules")
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 200, "and when")
        self.registry("apply", self.entries, "--override", "shop:sum:concurrency=5", "--disable",
                      "shop:nightly")
        harness.wait_until(lambda: concurrency() == 5, "it follows the registry")
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 404, "and goes")

    def test_what_went_while_up_was_down_is_taken_away(self):
        self.registry("apply", self.entries)
        up = self.system.up().start(0)
        harness.wait_until(lambda: (up.data / "registry.held").exists(), "all is at the dispatcher")
        self.assertEqual(up.api().get("/v1/schedules/nightly").status, 200)
        up.process.terminate()
        self.assertEqual(up.process.wait(harness.PATIENCE), 0)
        self.registry("apply", self.entries, "--disable", "shop:nightly,shop:echo")
        up.start(0)
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 404, "it went")
        self.assertEqual(up.api().get("/v1/queues/sum").json["concurrency"], 3)

    def test_workers_come_change_and_go_while_up_runs(self):
        up = self.system.up().start(0)

        def pid_of(kind):
            return {each["type"]: each["pid"] for each in up.endpoints()["workers"]}.get(kind)
        before = {kind: pid_of(kind) for kind in ("sum", "hash")}
        self.registry("apply", self.entries)
        harness.wait_until(lambda: pid_of("echo"), "the worker is there")
        done = self.system.run("submit", "echo", "one", "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "one\n"), done.stderr)
        first = pid_of("echo")
        self.registry("apply", self.entries, "--override", "shop:echo:concurrency=2")
        harness.wait_until(lambda: pid_of("echo") not in (None, first, 0), "it is another now")
        harness.wait_until(lambda: not harness.is_alive(first), "and the first is gone")
        done = self.system.run("submit", "echo", "two", "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "two\n"), done.stderr)
        self.registry("apply", self.entries, "--disable", "*:echo")
        harness.wait_until(lambda: pid_of("echo") is None, "it went")
        self.assertEqual({kind: pid_of(kind) for kind in ("sum", "hash")}, before)


if __name__ == "__main__":
    harness.main()
