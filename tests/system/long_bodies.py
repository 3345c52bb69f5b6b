"""Payloads and results beyond 64 KiB lie beside the view: read as any other over kill -9, shared by
equal ones, gone with their tasks, taken along by a backup, missed by a check."""

import concurrent.futures
import hashlib
import socket

import harness

BYTES = {"Content-Type": "application/octet-stream"}


class LongBodies(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.data = self.system.folder / "dispatcher"
        self.system.dp = self.system.dispatcher("http://127.0.0.1:1").start().wait_ready()

    @property
    def api(self):
        return self.system.dp.api

    def blobs(self):
        found = sorted(path for path in (self.data / "blobs").rglob("*") if path.is_file())
        return [path for path in found if not path.name.endswith(".tmp")]

    def wait_blobs(self, count):
        harness.wait_until(lambda: len(self.blobs()) == count, f"there are {count} files")
        for path in self.blobs():
            self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)

    def lease(self):
        asked = {"types": ["a"], "worker": "w", "max": 1, "wait_ms": 20_000}
        return self.api.post("/v1/leases", asked).json["tasks"][0]

    def stop(self):
        self.system.dp.terminate()
        self.assertEqual(self.system.dp.wait_end(), 0)

    def restart(self):
        self.system.dp.kill()
        self.system.dp.start().wait_ready()

    def test_whole_life(self):
        system, bodies = self.system, [f"{n}" * 300_000 for n in range(4)]
        ids = [self.api.submit("a", {"user": f"u{n}", "body": body})
               for n, body in enumerate(bodies)]
        same = [self.api.submit("b", "x" * 1_000_000) for _ in range(5)]
        self.api.submit("b", "short")
        self.wait_blobs(5)
        self.restart()
        for task, body in zip(ids, bodies):
            self.assertEqual(self.api.task(task)["payload"]["body"], body)
        self.assertEqual([each["id"] for each in self.api.all_tasks(q="payload.user=u2")],
                         [ids[2]])
        # They are handed out whole, and results are kept so too.
        for task, body in zip(ids, bodies):
            given = self.lease()
            self.assertEqual((given["id"], given["payload"]["body"]), (task, body))
            path = f"/v1/leases/{given['lease']}"
            self.assertEqual(self.api.call("POST", path + "/logs?offset=0", b"printed\n",
                                           BYTES).status, 200)
            self.assertEqual(self.api.post(path + "/complete", {"result": body[::-1] + "!"}).status,
                             200)
        self.wait_blobs(9)
        self.restart()
        for task, body in zip(ids, bodies):
            self.assertEqual(self.api.result(task)["result"], body[::-1] + "!")
        self.assertLess((self.data / "view.db").stat().st_size, 500_000)
        self.back_up(ids, same)
        # The last of equal ones takes the file along.
        for task in same:
            self.assertEqual(len(self.blobs()), 9)
            self.assertEqual(self.api.post(f"/v1/tasks/{task}/cancel").status, 200)
            done = system.run("operation", "delete", f"id:{task}", "--yes")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_blobs(8)
        done = system.run("operation", "delete", "type:a", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_blobs(0)
        self.stop()
        self.assertEqual(system.run("store", "check", self.data).returncode, 0)

    def back_up(self, ids, same):
        system = self.system
        done = system.run("backup", "--data", self.data, "--to", system.folder / "one")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"[1-9]\d+ bytes of it are what tasks printed")
        done = system.run("store", "check", system.folder / "one")
        self.assertIn("9 payloads and results", done.stdout)
        done = system.run("backup", "--data", self.data, "--to", system.folder / "two",
                          "--without-logs")
        self.assertIn(" 0 bytes of it are what tasks printed", done.stderr)
        for name, printed in (("one", "printed\n"), ("two", "")):
            new = system.folder / f"new-{name}"
            done = system.run("restore", "--from", system.folder / name, "--data", new)
            self.assertEqual(done.returncode, 0, done.stderr)
            role = system.dispatcher("http://127.0.0.1:1", name=new.name).start().wait_ready()
            for task in (*ids, same[0]):
                self.assertEqual(role.api.task(task), self.api.task(task))
            self.assertEqual(role.api.get(f"/v1/tasks/{ids[0]}/logs").text, printed)
            role.terminate()
            self.assertEqual(role.wait_end(), 0)

    def test_a_list_of_many_comes_in_short_pages(self):
        ids, large = [], {"type": "b", "payload": "x" * 900_000}
        for _ in range(4):
            answer = self.api.post_patiently("/v1/tasks", [large] * 10)
            self.assertEqual(answer.status, 202, answer.text[:200])
            ids += [task["id"] for task in answer.json["tasks"]]
            self.api.get("/v1/tasks?limit=1")  # the view has them
        ids.sort()
        page = self.api.get("/v1/tasks?limit=1000")
        self.assertEqual(len(page.json["tasks"]), 19)  # the first beyond 16 MiB is the last
        self.assertEqual(page.json["next"], ids[18])
        self.assertEqual([task["id"] for task in self.api.all_tasks()], ids)

    def work(self, count):
        """Completes so many tasks with their payloads twice."""
        for _ in range(count):
            given = self.lease()
            done = self.api.post(f"/v1/leases/{given['lease']}/complete",
                                 {"result": given["payload"] * 2})
            self.assertEqual(done.status, 200, done.text[:200])

    def test_lines_of_a_client_that_closed_its_own_side(self):
        lines = b"".join(b'{"type":"a","payload":%d}\n' % number for number in range(5_000))
        head = (b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
                b"Content-Length: %d\r\n\r\n" % len(lines))
        with socket.create_connection(("127.0.0.1", self.system.dp.port), harness.PATIENCE) as raw:
            raw.sendall(head + lines)
            raw.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer[:200])
        self.assertEqual(answer.count(b'"state":"queued"'), 5_000)

    def test_many_results_come_in_several_answers(self):
        texts = [f"{number:02}" * 250_000 for number in range(20)]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waits = pool.submit(lambda: self.api.post(
                "/v1/tasks?wait=60s", [{"type": "a", "payload": text} for text in texts]))
            self.work(20)
            # Ended, but results of 20 MB are too much for one answer.
            answer = waits.result()
        self.assertEqual(answer.status, 202)
        self.assertEqual({each["state"] for each in answer.json["tasks"]}, {"succeeded"})
        ids = [each["id"] for each in answer.json["tasks"]]
        self.assertEqual(len(ids), 20)
        nobody = harness.uuid7()
        for _ in range(2):  # from memory as far as it has them, then from the view alone
            told, left, answers = {}, [*ids, nobody], 0
            while left:
                answer = self.api.post("/v1/results", {"ids": left, "for": "first"})
                self.assertEqual(answer.status, 200)
                self.assertLess(len(answer.text), 18 * 1024 * 1024)
                told |= {each["id"]: each["result"] for each in answer.json["tasks"]}
                missing = set(answer.json["missing"])
                self.assertLessEqual(missing, {nobody})
                left, answers = answer.json.get("left", []), answers + 1
            self.assertEqual([told[each] for each in ids], [text * 2 for text in texts])
            self.assertGreater(answers, 1)
            self.restart()

    def test_of_a_stopped_dispatcher(self):
        system = self.system
        first = self.api.submit("b", "f" * 200_000)
        self.wait_blobs(1)
        late = self.api.submit("b", "l" * 200_000)  # it may stand in the journal alone
        system.dp.kill()
        before = self.blobs()
        done = system.run("backup", "--data", self.data, "--to", system.folder / "one")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.blobs(), before)
        done = system.run("restore", "--from", system.folder / "one", "--data",
                          system.folder / "new")
        self.assertEqual(done.returncode, 0, done.stderr)
        api = system.dispatcher("http://127.0.0.1:1", name="new").start().wait_ready().api
        self.assertEqual(api.task(first)["payload"], "f" * 200_000)
        self.assertEqual(api.task(late)["payload"], "l" * 200_000)

    def test_damaged(self):
        system = self.system
        task = self.api.submit("b", "d" * 200_000)
        self.wait_blobs(1)
        self.api.post(f"/v1/tasks/{task}/cancel")
        self.stop()
        (path,) = self.blobs()
        whole = path.read_bytes()
        for damage in (whole[:-1], b"e" + whole[1:], None):
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)
            done = system.run("store", "check", self.data)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("view_corrupt", done.stderr)
            self.assertIn(path.name, done.stderr)
            system.dp.start().wait_ready()
            self.assert_problem(self.api.get(f"/v1/tasks/{task}"), 500, "view_corrupt")
            # Nobody else is hindered.
            self.assertEqual(self.api.task(self.api.submit("b", 1))["state"], "queued")
            self.stop()
        path.write_bytes(whole)
        self.assertEqual(system.run("store", "check", self.data).returncode, 0)

    def test_what_a_crash_left_is_swept(self):
        self.stop()
        folder = self.data / "blobs" / "ab"
        folder.mkdir(parents=True)
        for name in ("ab" * 32, "ab" * 32 + ".tmp"):
            (folder / name).write_bytes(b"left")
        self.assertEqual(self.system.run("store", "check", self.data).returncode, 0)
        self.system.dp.start().wait_ready()
        self.api.submit("b", 1)
        harness.wait_until(lambda: not list(folder.iterdir()), "they are gone")

    def test_a_lost_view_is_built_of_the_journal(self):
        ids = [self.api.submit("b", f"{number}" * 200_000) for number in range(3)]
        self.wait_blobs(3)
        self.stop()
        for path in self.data.glob("view.db*"):
            path.unlink()
        self.blobs()[0].unlink()
        self.system.dp.start().wait_ready()
        self.wait_blobs(3)
        self.restart()
        for number, task in enumerate(ids):
            self.assertEqual(self.api.task(task)["payload"], f"{number}" * 200_000)


if __name__ == "__main__":
    harness.main()
