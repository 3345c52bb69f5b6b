"""What tasks print: appended by a worker, followed at the shell, kept over kill -9, dropped at the
bound of all."""

import json
import subprocess

import harness

BYTES = {"Content-Type": "application/octet-stream"}


class TaskLogs(harness.SystemTest):

    def start(self, *options):
        system = self.system
        system.use_key()
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url, *options).start().wait_ready()
        self.api = system.dp.api

    def lease(self, kind="print"):
        task = self.api.submit(kind)
        tasks = self.api.post("/v1/leases", {"types": [kind], "wait_ms": 10000}).json["tasks"]
        self.assertEqual(tasks[0]["id"], task)
        return task, tasks[0]["lease"]

    def append(self, lease, offset, text):
        answer = self.system.dp.api.call("POST", f"/v1/leases/{lease}/logs?offset={offset}",
                                         text, BYTES)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json["end"]

    def test_follow_at_the_shell(self):
        system = self.system
        self.start()
        task, lease = self.lease()
        self.append(lease, 0, b"one\n")
        follower = subprocess.Popen(
            [harness.EXECUTABLE, "logs", "-f", task, "--url", system.dp.url, *system.key_options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=system.environment,
            preexec_fn=harness.die_with_parent)
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)
        self.assertEqual(follower.stdout.readline(), b"one\n")
        self.append(lease, 4, b"two\xff\n")
        self.assertEqual(follower.stdout.readline(), b"two\xff\n")
        self.api.post(f"/v1/leases/{lease}/fail", {"error": {"code": "again"}})
        tasks = self.api.post("/v1/leases", {"types": ["print"], "wait_ms": 20000}).json["tasks"]
        self.append(tasks[0]["lease"], 0, b"second attempt\n")
        self.assertEqual(follower.stdout.readline(), b"second attempt\n")
        self.api.post(f"/v1/leases/{tasks[0]['lease']}/complete", {"result": 1})
        out, err = follower.communicate(timeout=harness.PATIENCE)
        self.assertEqual((follower.returncode, out, err), (0, b"", b""))
        first = system.run("logs", "--attempt", "1", "-o", "json", task, *system.key_options)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertEqual(json.loads(first.stdout),
                         {"attempt": 1, "from": 0, "text": "one\ntwo\ufffd\n"})

    def test_kept_over_kill(self):
        system = self.system
        self.start()
        task, lease = self.lease()
        self.append(lease, 0, b"before\n")
        system.dp.restart().wait_ready()
        self.assertEqual(self.append(lease, 0, b"before\n"), 7)
        self.assertEqual(self.append(lease, 7, b"after\n"), 13)
        answer = system.dp.api.get(f"/v1/tasks/{task}/logs")
        self.assertEqual(answer.body, b"before\nafter\n")

    def test_bounds(self):
        self.start("--task-logs-max", "16MiB")
        tasks = []
        for _ in range(5):
            task, lease = self.lease()
            end = 0
            while end < 4 << 20:
                end = self.append(lease, end, b"x" * (1 << 20))
            full = self.api.call("POST", f"/v1/leases/{lease}/logs?offset={end}", b"x", BYTES)
            self.assert_problem(full, 413, "log_full")
            tasks.append(task)
        self.assertEqual(self.api.get(f"/v1/tasks/{tasks[0]}/logs?limit=10").body, b"")
        self.assertEqual(self.api.get(f"/v1/tasks/{tasks[4]}/logs?limit=10").body, b"x" * 10)

    def test_nobody_without_the_key(self):
        self.start()
        task, lease = self.lease()
        stranger = harness.Api(self.system.dp.url)
        self.assertEqual(stranger.get(f"/v1/tasks/{task}/logs").status, 401)
        answer = stranger.call("POST", f"/v1/leases/{lease}/logs?offset=0", b"x", BYTES)
        self.assertEqual(answer.status, 401)

    def test_following_ends_when_nobody_reads_any_more(self):
        self.start()
        task, lease = self.lease()
        self.append(lease, 0, b"one\n")
        follower = subprocess.Popen(
            [harness.EXECUTABLE, "logs", "-f", task, "--url", self.system.dp.url,
             *self.system.key_options], stdout=subprocess.PIPE, env=self.system.environment,
            preexec_fn=harness.die_with_parent)
        self.addCleanup(follower.kill)
        self.assertEqual(follower.stdout.readline(), b"one\n")
        follower.stdout.close()
        self.assertEqual(follower.wait(10), 0)

    def test_a_log_that_is_lost_is_no_success(self):
        self.start()
        task, lease = self.lease()
        self.append(lease, 0, b"one\n")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [harness.EXECUTABLE, "logs", task, "--url", self.system.dp.url,
                 *self.system.key_options], stdout=full, env=self.system.environment,
                timeout=harness.PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    harness.main()
