"""Schedules on real clocks: each time is one task, whatever is killed, and the command line says
what becomes of them."""

import json

import harness


class Schedules(harness.SystemTest):

    def tasks_of(self, api, name):
        listed = api.get("/v1/tasks?limit=1000").json["tasks"]
        return [each for each in listed if each.get("schedule") == name]

    def test_each_time_is_one_task_whatever_is_killed(self):
        dispatcher = self.system.start_all("sum", lease="2s")
        made = self.system.run("schedule", "set", "beat", "sum", 1, 2, "--every", "1s",
                               "--overlap", "allow", "--misfire", "all", "-o", "json",
                               url=dispatcher.url)
        self.assertEqual(made.returncode, 0, made.stderr)
        for goal in (2, 4, 6):
            harness.wait_until(lambda: len(self.tasks_of(dispatcher.api, "beat")) >= goal,
                               f"{goal} times have had their turn")
            dispatcher.restart()
        harness.wait_until(lambda: len(self.tasks_of(dispatcher.api, "beat")) >= 8, "it goes on")
        paused = self.system.run("schedule", "pause", "beat", "--by", "ann", "-o", "json",
                                 url=dispatcher.url)
        self.assertEqual(paused.returncode, 0, paused.stderr)

        def ended():
            tasks = self.tasks_of(dispatcher.api, "beat")
            return tasks if all(each["state"] == "succeeded" for each in tasks) else None
        tasks = harness.wait_until(ended, "all of them end")
        shown = json.loads(paused.stdout)
        self.assertEqual(shown["submitted"], len(tasks))
        self.assertEqual(shown["missed"], 0)
        # One a second, none twice, none left out.
        seconds = [each["planned_at"] for each in tasks]
        self.assertEqual(len(set(seconds)), len(seconds))
        times = dispatcher.api.get(
            f"/v1/schedules/beat/times?limit=100&after={shown['made_at']}").json["times"]
        self.assertEqual(sorted(seconds), times[:len(seconds)])
        for task in tasks:
            self.assert_succeeded_once(task)

    def test_command_line(self):
        dispatcher = self.system.start_all("sum")

        def schedule(*words, code=0):
            done = self.system.run("schedule", *words, url=dispatcher.url)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout + done.stderr
        schedule("set", "nightly", "sum", 1, 2, "--cron", "30 3 * * *", "--zone", "Europe/Berlin")
        listed = schedule("list")
        self.assertIn("30 3 * * * Europe/Berlin", listed)
        task = schedule("run", "nightly", "-o", "id").strip()
        self.assertEqual(self.system.run("result", task, url=dispatcher.url).stdout, "3\n")
        self.assertIn("submitted", schedule("show", "nightly"))
        self.assertIn("7 submitted, 0 there before",
                      schedule("backfill", "nightly", "--from", "2026-01-01T00:00:00Z",
                               "--to", "2026-01-07T23:00:00Z"))
        self.assertIn("0 submitted, 7 there before",
                      schedule("backfill", "nightly", "--from", "2026-01-01T00:00:00Z",
                               "--to", "2026-01-07T23:00:00Z"))
        self.assertEqual(len(schedule("next", "nightly", "--count", 2).splitlines()), 2)
        self.assertIn("unknown_zone", schedule("set", "x", "sum", "--every", "1s",
                                               "--zone", "Mars/Base", code=2))
        self.assertIn("schedule_not_found", schedule("show", "other", code=1))
        schedule("remove", "nightly")
        self.assertNotIn("nightly", schedule("list"))

    def test_a_preview_asks_nobody(self):
        done = self.system.run("schedule", "next", "--cron", "0 9 L * *", "--zone",
                               "America/New_York", "--count", 3)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 3)
        bad = self.system.run("schedule", "next", "--cron", "99 * * * *")
        self.assertEqual(bad.returncode, 2)
        self.assertIn("invalid_field", bad.stderr)


if __name__ == "__main__":
    harness.main()
