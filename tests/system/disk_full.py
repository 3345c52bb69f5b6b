"""A full disk: new tasks are refused by name, running ones finish, nothing is lost, and when
there is room again all goes on. Needs root for a small disk of its own."""

import ctypes
import os
import subprocess
import unittest

import harness

DISK_MEBIBYTES = 400
CLONE_NEWNS = 0x20000
BIG = "x" * 1_000_000
ROUNDS_FULL = 10  # one after the other in which there was no room to take


def small_disk(folder):
    """Mounts a small disk that nobody else sees and that is gone with this process."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to mount a small disk")
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        raise unittest.SkipTest("may not have a mount namespace of its own")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m", "tmpfs", folder],
                   check=True)


class DiskFull(harness.SystemTest):

    def setUp(self):
        super().setUp()
        disk = self.system.folder / "disk"
        small_disk(disk)
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        self.disk = disk
        system = self.system
        system.ns = system.nameservice().start()
        system.dp = system.role("dispatcher", "dispatcher", "--data", disk / "data",
                                "--nameservice", system.ns.url)

    def start_dispatcher(self, reserve="0"):
        """Without a reserve the journal and the view meet the end of the disk themselves."""
        self.system.dp.last = ["--disk-reserve", reserve, "--lease", "5m"]
        return self.system.dp.start()

    def lease_one(self):
        """A task that is held when the disk gets full, however long that takes: (id, lease)."""
        api = self.system.dp.api
        task = api.submit("held", 1)
        (leased,) = api.post("/v1/leases", {"types": ["held"], "worker": "w"}).json["tasks"]
        self.assertEqual(leased["id"], task)
        return task, leased["lease"]

    def complete(self, lease):
        done = self.system.dp.api.post(f"/v1/leases/{lease}/complete", {"result": "old work"})
        self.assertEqual(done.status, 200, done.text)

    def fill_up_to(self, left):
        """Takes room until so many bytes are left."""
        status = os.statvfs(self.disk)
        with open(self.disk / "ballast", "ab") as ballast:
            os.posix_fallocate(ballast.fileno(), ballast.tell(),
                               status.f_bavail * status.f_frsize - left)

    def fill(self):
        """Takes all the room there is; how much that was."""
        with open(self.disk / "ballast", "ab", buffering=0) as ballast:
            before = ballast.tell()
            for size in (1 << 20, 4096):
                try:
                    while True:
                        ballast.write(b"\0" * size)
                except OSError:
                    pass
            return ballast.tell() - before

    def fill_and_submit(self):
        """As `submit_until_refused`, until nothing lets go of room any more: a segment that was
        being made when the disk filled gives back what it had taken."""
        taken, still = [], 0
        while still < ROUNDS_FULL:
            still = 0 if self.fill() > 0 else still + 1
            taken += self.submit_until_refused()
        return taken

    def submit_until_refused(self):
        """Ids of all that were taken, until the disk is full even for the smallest of tasks."""
        taken = []
        for tasks in ([{"type": "none", "payload": BIG}], [{"type": "none"}] * 1000, [
                {"type": "none"}]):
            answer = self.system.dp.api.post("/v1/tasks", tasks)
            # A view that falls behind slows submits down before it is known to have no room.
            while answer.status in (202, 429) and len(taken) < 100_000:
                taken += [each["id"] for each in answer.json.get("tasks", [])]
                answer = self.system.dp.api.post("/v1/tasks", tasks)
            self.assert_problem(answer, 507, "disk_full")
        self.assertTrue(answer.json["retryable"])
        self.assertIn("Retry-After", answer.headers)
        self.assertLess(self.system.dp.last_log().count("no room for the journal"), 5)
        return taken

    def test_refuses_new_work_and_finishes_old(self):
        system = self.system
        api = self.start_dispatcher().wait_ready().api
        system.worker("wait", system.ns.url).start()
        system.wait_workers(1)
        running = [api.submit("wait", 4) for _ in range(5)]
        cancelled = api.submit("none", 1)
        held, lease = self.lease_one()
        taken = self.fill_and_submit()
        self.assertGreater(len(taken), 10)
        self.assert_problem(api.post("/v1/tasks", {"type": "none"}), 507, "disk_full")
        answer = api.get("/readyz")
        self.assert_problem(answer, 503, "not_ready")
        self.assertEqual(answer.json["reasons"], ["the disk is full"])
        done = system.run("submit", "none", "-d", 1, "--retry-for", "0s")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("disk_full", done.stderr)
        self.assertEqual(api.task(held)["state"], "running")
        self.complete(lease)
        for task in [held, *running]:
            self.assertEqual(api.result(task)["state"], "succeeded")
        self.assertEqual(api.post(f"/v1/tasks/{cancelled}/cancel").status, 200)
        self.assertEqual(api.post("/v1/tasks", {"type": "none"}).status, 507)
        (self.disk / "ballast").unlink()
        harness.wait_until(lambda: api.post("/v1/tasks", {"type": "none"}).status == 202,
                           "new tasks are taken again")
        system.dp.wait_ready()
        # Its view may have to catch up first, and says so.
        answer, _ = harness.submit_patiently(api, [{"type": "wait", "payload": 0}])
        self.assertEqual(answer.status, 202, answer.text)
        self.assertEqual(api.result(answer.json["tasks"][0]["id"])["state"], "succeeded")
        system.dp.restart().wait_ready()
        there = {task["id"]: task["state"] for task in api.all_tasks(type="none", limit=200)}
        self.assertEqual({there.get(task) for task in taken}, {"queued"})
        for task in [held, *running]:
            self.assert_succeeded_once(api.task(task))
            self.assertEqual(api.task(task)["attempts_made"], 1)
        self.assertEqual(api.task(cancelled)["state"], "cancelled")

    def test_killed_and_started_on_the_full_disk(self):
        system = self.system
        api = self.start_dispatcher().wait_ready().api
        taken = self.fill_and_submit()
        system.dp.restart()
        self.assertEqual(api.task(taken[0])["payload"], BIG)
        # A small one unless the view refused new tasks before the journal had to.
        self.assertIn(api.task(taken[-1])["payload"], (BIG, None))
        done = api.post(f"/v1/tasks/{taken[0]}/cancel")
        self.assertEqual((done.status, done.json["state"]), (200, "cancelled"), done.text)
        (self.disk / "ballast").unlink()
        harness.wait_until(lambda: api.post("/v1/tasks", {"type": "none"}).status == 202,
                           "new tasks are taken again")
        harness.wait_until(lambda: api.get("/v1/tasks?limit=1").status == 200,
                           "the view has room again")
        states = {task["id"]: task["state"] for task in api.all_tasks(type="none", limit=200)}
        self.assertEqual(states[taken[0]], "cancelled")
        self.assertTrue(set(taken) <= set(states))

    def test_the_reserve_is_for_what_is_there(self):
        system = self.system
        api = self.start_dispatcher("64MiB").wait_ready().api
        system.worker("wait", system.ns.url).start()
        system.wait_workers(1)
        running = [api.submit("wait", 2) for _ in range(3)]
        waiting = api.submit("none", 1)
        held, lease = self.lease_one()
        self.fill_up_to(60 << 20)
        refused = harness.wait_until(
            lambda: (answer := api.post("/v1/tasks", {"type": "none"})).status != 202 and answer,
            "new tasks are refused")
        self.assert_problem(refused, 507, "disk_full")
        self.assertIn("Retry-After", refused.headers)
        disk = api.get("/v1/doctor").json["disk"]
        self.assertTrue(disk["low"])
        self.assertEqual(disk["reserve_bytes"], 64 << 20)
        self.assertLess(disk["free_bytes"], 64 << 20)
        told = system.run("doctor")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("64 MiB are the reserve: new tasks are refused", told.stdout)
        # Ends, cancels and reads go on.
        self.assertEqual(api.get("/readyz").status, 200)
        self.assertEqual(api.task(held)["state"], "running")
        self.complete(lease)
        for task in [held, *running]:
            self.assertEqual(api.result(task)["state"], "succeeded")
        self.assertEqual(api.post(f"/v1/tasks/{waiting}/cancel").status, 200)
        self.assertGreaterEqual(len(api.all_tasks()), 4)
        (self.disk / "ballast").unlink()
        harness.wait_until(lambda: api.post("/v1/tasks", {"type": "none"}).status == 202,
                           "new tasks are taken again")
        self.assertFalse(api.get("/v1/doctor").json["disk"]["low"])

    def test_no_room_at_the_first_start(self):
        self.fill()
        role = self.system.dp
        role.spawn()
        self.assertEqual(role.wait_end(), 1)
        self.assertIn("disk_full", role.last_log())
        (self.disk / "ballast").unlink()
        self.start_dispatcher().wait_ready()


if __name__ == "__main__":
    harness.main()
