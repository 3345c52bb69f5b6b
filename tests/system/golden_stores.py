"""Data directories that earlier versions left: each is opened by this one, upgraded, and holds what
it held. tests/golden/store_vN was written by a dispatcher whose view had version N; its segments
are cut behind their last frame. TASKD_MAKE_GOLDEN=1 makes the one of this version anew."""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import tempfile

import harness

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
SEGMENT_HEADER_BYTES = 4096
FRAME_HEAD_BYTES = 24  # length, checksum, batch number, salt


def cut_segment(path):
    """Leaves the frames and drops the zeros filled ahead."""
    data = path.read_bytes()
    salt, at = data[32:40], SEGMENT_HEADER_BYTES
    while data[at + 16:at + 24] == salt:
        at += FRAME_HEAD_BYTES + int.from_bytes(data[at:at + 4], "little")
    path.write_bytes(data[:at])
    return at > SEGMENT_HEADER_BYTES


class GoldenStores(harness.SystemTest):

    def test_each_is_opened(self):
        found = sorted(GOLDEN.glob("store_v*"))
        self.assertGreaterEqual(len(found), 2)
        newest = []
        for golden in found:
            with self.subTest(golden.name):
                newest += [golden.name] if self.open(golden) else []
        self.assertEqual(len(newest), 1, f"of this version: {newest}")

    def open(self, golden):
        """Whether it was of this version already."""
        system, version = self.system, int(golden.name.removeprefix("store_v"))
        told = json.loads((golden / "expected.json").read_text("utf-8"))
        data = system.folder / golden.name
        shutil.copytree(golden, data)
        (data / "expected.json").unlink()
        done = system.run("store", "check", data)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = system.run("store", "upgrade", "--data", data, "--dry-run")
        self.assertIn(f"version {version} of", done.stdout)
        newest = "up to date" in done.stdout
        done = system.run("store", "upgrade", "--data", data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("up to date" if newest else "upgraded", done.stdout)
        self.assertIn("up to date", system.run("store", "upgrade", "--data", data).stdout)
        self.assertEqual(system.run("store", "check", data).returncode, 0)
        # They ended long ago.
        role = system.dispatcher("http://127.0.0.1:1", "--keep", "36500d", "--keep-dead",
                                 "36500d", name=golden.name).start().wait_ready()
        there = self.what_is_there(role.api)
        self.assertEqual({name: there[name] for name in told}, told)
        role.terminate()
        self.assertEqual(role.wait_end(), 0)
        self.assertEqual(system.run("store", "check", data).returncode, 0)
        return newest

    def what_is_there(self, api):
        tasks = {}
        for each in api.all_tasks():
            task = api.task(each["id"])
            tasks[each["id"]] = {name: task.get(name) for name in (
                "type", "state", "payload", "result", "priority", "key", "labels", "group",
                "attempts_made")}
        groups = [{name: each[name] for name in ("id", "state", "tasks", "succeeded")}
                  for each in api.get("/v1/groups").json["groups"]]
        schedules = [{name: each[name] for name in ("name", "every_ms")}
                     for each in api.get("/v1/schedules").json["schedules"]]
        queue = api.get("/v1/queues/slow").json
        kept = sum(task["state"] in ("succeeded", "dead", "cancelled", "expired")
                   for task in tasks.values())
        workflows = [{name: each.get(name) for name in ("name", "state", "output", "active")}
                     for each in api.get("/v1/workflows").json["workflows"]]
        topics = [each["topic"] for each in api.get("/v1/topics").json["topics"]]
        return {"workflows": workflows, "topics": topics, "tasks": tasks, "groups": groups,
                "schedules": schedules,
                "queue": {"concurrency": queue["concurrency"],
                          "paused": "paused" in queue}, "kept": kept}

    def fill(self, api):
        """A little of everything."""
        def lease():
            return api.post("/v1/leases", {"types": ["a"], "worker": "w"}).json["tasks"][0]["lease"]

        def ask(path, body=None, status=200):
            answer = api.post(path, body)
            self.assertEqual(answer.status, status, answer.text)
            return answer.json

        api.submit("a", {"n": 1}, labels={"team": "red"}, key="acme", idempotency_key="one")
        ask(f"/v1/leases/{lease()}/complete", {"result": [1, "two"]})
        api.submit("a", 2, attempts_max=1)
        ask(f"/v1/leases/{lease()}/fail", {"error": {"code": "bad", "permanent": True}})
        task = api.submit("slow", 3, priority=9)
        ask(f"/v1/tasks/{task}/cancel", {"reason": "golden"})
        group = ask("/v1/groups", {"name": "g", "completion": {"type": "after"},
                                   "tasks": [{"type": "a", "payload": 4}]}, 202)
        ask(f"/v1/leases/{lease()}/complete", {"result": 4})
        self.assertEqual(api.get(f"/v1/groups/{group['id']}").json["state"], "done")
        ask("/v1/groups", {"name": "open", "open": True}, 202)
        api.submit("long", "g" * 66_000, labels={"lies": "beside the view"})
        api.submit("slow", 5, run_at="2099-01-01T00:00:00Z")
        self.assertEqual(api.call("PUT", "/v1/queues/slow", {"concurrency": 2}).status, 200)
        ask("/v1/queues/slow/pause", {"by": "ann", "reason": "golden"})
        every = {"every_ms": 31_000_000_000, "task": {"type": "slow"}}
        self.assertEqual(api.call("PUT", "/v1/schedules/yearly", every).status, 200)
        ask("/v1/schedules/yearly/pause", {})
        ask("/v1/operations", {"action": "cancel", "q": "type:none"}, 202)
        each = {"name": "each", "type": "a", "for_each": [1, 2], "payload": "${item}"}
        ask("/v1/workflows", {"document": {"name": "done", "steps": [each]}}, 201)
        ask(f"/v1/leases/{lease()}/complete", {"result": 1})
        ask(f"/v1/leases/{lease()}/complete", {"result": 2})
        waits = {"name": "waits", "signal": "go"}
        ask("/v1/workflows", {"document": {"name": "open", "steps": [
            waits, {"name": "then", "type": "a", "after": ["waits"]}]}}, 201)
        ask("/v1/topics/golden/events", {"data": {"n": 1}, "key": "k"}, 201)

    def test_make(self):
        if not os.environ.get("TASKD_MAKE_GOLDEN"):
            self.skipTest(harness.ONLY_WHEN_ASKED)
        system = self.system
        data = system.folder / "dispatcher"
        role = system.dispatcher("http://127.0.0.1:1").start().wait_ready()
        self.fill(role.api)
        role.terminate()
        self.assertEqual(role.wait_end(), 0)
        role.start().wait_ready()
        role.api.submit("late", 6)  # it may stand in the journal alone
        told = self.what_is_there(role.api)
        role.kill()
        with tempfile.TemporaryDirectory() as folder:
            for path in data.glob("view.db*"):
                shutil.copy(path, folder)
            with contextlib.closing(sqlite3.connect(pathlib.Path(folder) / "view.db")) as view:
                (version,) = view.execute("PRAGMA user_version").fetchone()
        golden = GOLDEN / f"store_v{version}"
        shutil.rmtree(golden, ignore_errors=True)
        (golden / "journal").mkdir(parents=True)
        for name in ("store.json", "view.db", "view.db-wal"):
            if (data / name).exists():
                shutil.copy(data / name, golden / name)
        if (data / "blobs").exists():
            shutil.copytree(data / "blobs", golden / "blobs")
        for path in sorted((data / "journal").glob("*.seg")):
            if cut_segment(path):
                shutil.copy(path, golden / "journal" / path.name)
        (golden / "expected.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n",
                                              encoding="utf-8")


if __name__ == "__main__":
    harness.main()
