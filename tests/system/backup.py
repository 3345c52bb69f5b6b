"""taskd backup, restore and store upgrade: of a running dispatcher under load and of one that is
not, killed at any moment, and what another dispatcher makes of it."""

import json
import shutil
import subprocess
import threading
import unittest

import harness


def can_trace():
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "true"],
                          capture_output=True, check=False).returncode == 0


class Backup(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.folder = self.system.folder
        self.data = self.folder / "dispatcher"
        self.to = self.folder / "kept"
        self.to.mkdir()

    def stop(self):
        self.system.dp.terminate()
        self.assertEqual(self.system.dp.wait_end(), 0)

    def backup(self, *arguments):
        done = self.system.run("backup", "--data", self.data, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("sound: ", done.stderr)
        (line,) = done.stdout.splitlines()
        self.assertEqual(self.system.run("store", "check", line).returncode, 0)
        return line

    def restore(self, backup, name="new"):
        done = self.system.run("restore", "--from", backup, "--data", self.folder / name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.system.dispatcher("http://127.0.0.1:1", name=name).start().wait_ready().api

    def states(self, api):
        return {each["id"]: each["state"] for each in api.all_tasks(limit=1000)}

    def test_running_under_load(self):
        system = self.system
        api = system.start_all("sum").api
        first = [api.submit("sum", [number, 1]) for number in range(200)]
        waits = [api.submit("nobody", number) for number in range(20)]
        api.wait_results(first)
        ended, later = threading.Event(), []

        def go_on():
            mine = system.dp.api
            while not ended.is_set():
                later.append(mine.submit("sum", [1, 2]))

        load = harness.in_thread(go_on)
        names, acknowledged = [], []
        for _ in range(3):
            before = len(later)
            harness.wait_until(lambda: len(later) > before or load.done(), "more are taken")
            acknowledged.append(list(later))
            names.append(self.backup("--to", self.to, "--url", system.dp.url))
        ended.set()
        load.result(harness.PATIENCE)
        self.assertEqual(len(set(names)), 3)
        self.assertEqual(list((self.data / "backups").iterdir()), [], "they were taken away")
        # What was acknowledged before each was asked for is in it.
        for number, known in enumerate(acknowledged[1:], 2):
            there = self.states(self.restore(names[number - 1], f"new-{number}"))
            self.assertEqual({*first, *waits, *known} - set(there), set(), f"backup {number}")
        there = self.states(self.restore(names[0]))
        self.assertEqual({*first, *waits, *acknowledged[0]} - set(there), set())
        self.assertLessEqual(set(there), set(first) | set(waits) | set(later))
        self.assertTrue(all(there[task] == "succeeded" for task in first))
        self.assertTrue(all(there[task] == "queued" for task in waits))
        # It is a store of its own, and goes on.
        ids = [json.loads((self.folder / name / "store.json").read_text())["store_id"]
               for name in ("dispatcher", "new")]
        self.assertNotEqual(*ids)
        again = system.roles[-1].api
        self.assertEqual(again.post(f"/v1/tasks/{waits[0]}/cancel").status, 200)
        self.assertEqual(again.task(again.submit("nobody", 1))["state"], "queued")

    def test_stopped_and_killed(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        ids = []
        for kill in (False, True):
            ids += [system.dp.api.submit("nobody", number) for number in range(30)]
            system.dp.kill() if kill else self.stop()
            before = {path: path.stat().st_mtime_ns for path in self.data.rglob("*.seg")}
            name = self.backup("--to", self.to / f"backup-{kill}")
            self.assertEqual(name, str(self.to / f"backup-{kill}"))
            self.assertEqual(before,
                             {path: path.stat().st_mtime_ns for path in self.data.rglob("*.seg")})
            api = self.restore(name, f"new-{kill}")
            self.assertEqual(set(self.states(api)), set(ids))
            system.dp.start().wait_ready()
        self.assertEqual(sorted(path.name for path in self.to.iterdir()),
                         ["backup-False", "backup-True"])

    def test_are_their_owners_alone(self):
        system = self.system
        self.data.mkdir(mode=0o755)
        system.dp = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        system.dp.api.submit("nobody", "secret")
        self.backup("--to", self.to, "--url", system.dp.url)
        self.stop()
        self.backup("--to", self.to / "stopped")
        self.restore(self.to / "stopped")
        files = [path for folder in (self.data, self.to, self.folder / "new")
                 for path in folder.rglob("*") if path.is_file()]
        self.assertLessEqual({"view.db", "view.db-wal", "stopped"}, {path.name for path in files})
        self.assertEqual({path.name for path in files if path.stat().st_mode & 0o077}, set())

    def test_what_fails_leaves_nothing(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        system.dp.api.submit("nobody", "x" * 100_000)
        self.stop()
        (body,) = (self.data / "blobs").glob("*/*")
        body.write_bytes(b"something else")
        done = system.run("backup", "--data", self.data, "--to", self.to / "one")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("view_corrupt", done.stderr)
        self.assertEqual(list(self.to.iterdir()), [])

    def test_refusals(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        name = self.backup("--to", self.to / "one", "--url", system.dp.url)
        done = system.run("backup", "--data", self.data, "--to", self.to / "one")
        self.assertEqual(done.returncode, 1)
        self.assertIn("backup_exists", done.stderr)
        done = system.run("backup", "--data", self.folder, "--to", self.to, "--url",
                          "http://127.0.0.1:1")
        self.assertEqual(done.returncode, 4)
        done = system.run("backup", "--data", self.folder / "nowhere")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        other = system.dispatcher("http://127.0.0.1:1", name="other").start().wait_ready()
        done = system.run("backup", "--data", self.data, "--url", other.url)
        self.assertIn("store_mismatch", done.stderr)
        done = system.run("restore", "--from", name, "--data", self.data)
        self.assertIn("store_locked", done.stderr)
        self.stop()
        done = system.run("restore", "--from", name, "--data", self.data)
        self.assertEqual(done.returncode, 1)
        self.assertIn("store_not_empty", done.stderr)
        (self.to / "junk").write_bytes(b"junk" * 1000)
        for path, fault in (("junk", "view_corrupt"), ("missing", "file_missing")):
            done = system.run("restore", "--from", self.to / path, "--data", self.folder / "new")
            self.assertIn(fault, done.stderr)
        damaged = bytearray((self.to / "one").read_bytes())
        for page in range(2, len(damaged) // 4096):
            damaged[page * 4096] ^= 0xFF
        (self.to / "damaged").write_bytes(damaged)
        done = system.run("store", "check", self.to / "damaged")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("view_corrupt", done.stderr)
        done = system.run("restore", "--from", self.to / "damaged", "--data", self.folder / "new")
        self.assertIn("view_corrupt", done.stderr)
        self.assertFalse((self.folder / "new").exists())

    @unittest.skipUnless(can_trace(), "needs strace, and leave to trace")
    def test_killed_in_the_middle(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        ids = [system.dp.api.submit("nobody", "x" * 5000) for _ in range(100)]
        self.stop()
        cut = unfinished = 0
        for number in range(1, 20):
            to, new = self.to / f"b{number}", self.folder / f"new{number}"
            killed = ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                      "trace=pwrite64,fdatasync,fsync,rename,unlink", "-e",
                      f"inject=pwrite64,fdatasync,fsync,rename,unlink:signal=KILL:when={number}",
                      harness.EXECUTABLE]
            subprocess.run([*killed, "backup", "--data", self.data, "--to", to],
                           capture_output=True, env=system.environment, check=False)
            if not to.exists():
                cut += 1
                self.backup("--to", to)
            self.assertEqual(system.run("store", "check", to).returncode, 0)
            done = subprocess.run([*killed, "restore", "--from", to, "--data", new],
                                  capture_output=True, env=system.environment, check=False)
            if done.returncode != 0 and (new / "restoring").exists():
                unfinished += 1
                role = system.dispatcher("http://127.0.0.1:1", name=f"new{number}")
                role.spawn()
                self.assertEqual(role.wait_end(), 1)
                self.assertIn("restore_unfinished", role.last_log())
            if not (new / "store.json").exists() or (new / "restoring").exists():
                done = system.run("restore", "--from", to, "--data", new)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(system.run("store", "check", new).returncode, 0)
        self.assertGreater(cut, 2)
        self.assertGreater(unfinished, 2)
        api = system.dispatcher("http://127.0.0.1:1", name="new1").start().wait_ready().api
        self.assertEqual(set(self.states(api)), set(ids))

    def test_killed_while_it_makes_one(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        for _ in range(60):
            answer = system.dp.api.post_patiently(
                "/v1/tasks", [{"type": "nobody", "payload": "x" * 10_000}] * 100)
            self.assertEqual(answer.status, 202, answer.text)
        cut = whole = 0
        for attempt in range(3):
            asked = harness.in_thread(
                lambda: system.run("backup", "--data", self.data, "--to", self.to, "--url",
                                   system.dp.url))
            harness.wait_until(lambda: list((self.data / "backups").glob("*.part")) or
                               asked.done(), "it is being made")
            system.dp.kill()
            cut += bool(list((self.data / "backups").glob("*.part")))
            system.dp.start().wait_ready()
            done = asked.result(harness.PATIENCE)  # it may have asked again
            harness.wait_until(lambda: not list((self.data / "backups").glob("*.part*")),
                               "what was not whole is gone")
            for path in [*(self.data / "backups").iterdir(), *self.to.iterdir()]:
                self.assertEqual(system.run("store", "check", path).returncode, 0, attempt)
            self.assertEqual(done.returncode == 0, bool(done.stdout), done.stderr)
            whole += done.returncode == 0
        self.assertGreater(cut, 0, "none was being made")
        self.assertGreater(whole, 0)


if __name__ == "__main__":
    harness.main()
