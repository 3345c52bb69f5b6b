"""Retention in the real dispatcher: what has ended is kept for its time and then goes with its rows
and logs, over restarts and kills. The wall clock is set ahead for the process alone."""

import shutil
import subprocess
import unittest

import harness

# Adds SHIFT seconds to the wall clock of the process that loads it.
SHIFTED_CLOCK = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int done = (int)syscall(SYS_clock_gettime, clock, at);
    const char *shift = getenv("SHIFT");
    if (done == 0 && clock == CLOCK_REALTIME && shift != NULL) at->tv_sec += atol(shift);
    return done;
}
"""
HOUR = 3600


def compiler():
    return shutil.which("gcc") or shutil.which("cc")


@unittest.skipUnless(compiler(), "needs a C compiler")
class Retention(harness.SystemTest):

    def setUp(self):
        super().setUp()
        folder = self.system.folder
        (folder / "shift.c").write_text(SHIFTED_CLOCK, encoding="utf-8")
        subprocess.run([compiler(), "-shared", "-fPIC", "-o", folder / "shift.so",
                        folder / "shift.c"], check=True)

    def start(self, seconds=0, *options):
        role = self.system.dp
        role.prefix = ["env", f"LD_PRELOAD={self.system.folder / 'shift.so'}", f"SHIFT={seconds}"]
        role.last = ["--keep", "1h", "--keep-dead", "3h", *options]
        return role.start().wait_ready().api

    def stop(self):
        self.system.dp.terminate()
        self.assertEqual(self.system.dp.wait_end(), 0)

    def kept(self, api):
        return api.get("/v1/doctor").json["retention"]["kept"]

    def test_kept_for_its_time(self):
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url)
        api = self.start()
        worker = system.worker("sum", system.ns.url).start()
        system.wait_workers(1)
        good = [api.submit("sum", [number, 1]) for number in range(300)]
        bad = api.submit("sum", "no numbers")
        api.wait_results([*good, bad])
        waits = api.submit("nobody", 1)
        self.assertEqual(self.kept(api), 301)
        worker.terminate()
        self.assertEqual(worker.wait_end(), 0)
        self.stop()
        # Not an hour old: a sweep finds nothing to take.
        api = self.start(HOUR - 300)
        harness.wait_until(lambda: "last_sweep_at" in api.get("/v1/doctor").json["retention"],
                           "a sweep has ended")
        self.assertEqual(self.kept(api), 301)
        self.stop()
        # An hour old, and killed at once when the first of them have gone.
        api = self.start(HOUR + 300)
        harness.wait_until(lambda: self.kept(api) < 301, "the first go")
        system.dp.kill()
        api = self.start(HOUR + 300)
        harness.wait_until(lambda: self.kept(api) == 1, "all but the dead one go")
        self.assertEqual({each["id"] for each in api.all_tasks()}, {bad, waits})
        self.assert_problem(api.get(f"/v1/tasks/{good[0]}"), 404, "task_not_found")
        told = system.run("doctor")
        self.assertIn("1 of 10000000; 0.04167 days, dead ones 0.125 days", told.stdout)
        self.stop()
        api = self.start(3 * HOUR + 300)
        harness.wait_until(lambda: self.kept(api) == 0, "the dead one goes")
        self.assertEqual([each["id"] for each in api.all_tasks()], [waits])
        self.stop()
        done = system.run("store", "check", system.folder / "dispatcher")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 tasks, 1 of them live", done.stdout)

    def test_beyond_so_many(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1")
        api = self.start()
        ids = [api.submit("nobody", number) for number in range(20)]
        for task in ids:
            self.assertEqual(api.post(f"/v1/tasks/{task}/cancel").status, 200)
        self.stop()
        api = self.start(HOUR + 10, "--keep", "1d", "--keep-count", "5")
        harness.wait_until(lambda: self.kept(api) == 5, "the oldest go")
        # Their age is that of their ids; those of one millisecond are in no other order.
        self.assertEqual({each["id"] for each in api.all_tasks()}, set(sorted(ids)[-5:]))

    def test_less_than_an_hour_is_refused(self):
        done = self.system.run("dispatcher", "--keep", "59m")
        self.assertEqual(done.returncode, 2)
        self.assertIn("at least 1h", done.stderr)


if __name__ == "__main__":
    harness.main()
