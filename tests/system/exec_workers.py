"""Workers that need no code: programs and services do the tasks. Nothing of a program is left,
whoever dies first."""

import http.server
import json
import os
import pathlib
import shutil
import signal
import threading
from datetime import datetime

import harness


def gone(pid):
    return not pathlib.Path(f"/proc/{pid}").exists()


class Workers(harness.SystemTest):

    def start(self, lease="15s"):
        system = self.system
        system.use_key()
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url, "--lease", lease).start().wait_ready()
        self.api = system.dp.api

    def worker(self, kind, *arguments, key=True):
        """One worker of tasks of the type `job`; `arguments` may end with a program."""
        system = self.system
        split = arguments.index("--") if "--" in arguments else len(arguments)
        options, program = arguments[:split], arguments[split:]
        common = ["--name", kind, "--nameservice", system.ns.url]
        if kind == "exec":
            common += ["--work-dir", system.folder / "work"]
        role = system.role(kind, "worker", kind, "--type", "job", *common, *options, key=key)
        role.last = [str(each) for each in program]
        return role.start()

    def run_job(self, payload=None, **more):
        return self.api.post("/v1/tasks?wait=30s", {"type": "job", "payload": payload, **more}).json

    def log(self, task):
        return self.api.get(f"/v1/tasks/{task['id']}/logs").text

    def work_folders(self):
        return [each for each in (self.system.folder / "work").glob("*/*") if each.name != "lock"]


class ExecWorkers(Workers):

    def test_results_logs_and_exit_codes(self):
        self.start()
        self.worker("exec", "--", "sh", "-c",
                    'read line; echo "doing $line" >&2; touch left; eval "$(echo "$line" | '
                    "tr -d '\\\"')\"")
        done = self.run_job("echo [1,2]")
        self.assertEqual((done["state"], done["result"]), ("succeeded", [1, 2]), done)
        self.assertEqual(self.log(done), 'doing "echo [1,2]"\n')
        self.assertEqual(self.run_job("echo plain text")["result"], "plain text")
        bad = self.run_job("echo why >&2; exit 65")
        self.assertEqual((bad["state"], bad["error"]["code"]), ("dead", "exit_65"), bad)
        self.assertIn("why", bad["error"]["message"])
        again = self.run_job("exit 1", attempts_max=2, backoff={"initial_ms": 1, "max_ms": 1})
        self.assertEqual([each["error"]["code"] for each in again["attempts"]],
                         ["exit_1", "exit_1"])
        harness.wait_until(lambda: not self.work_folders(), "the runs' folders are gone")

    def test_progress(self):
        self.start(lease="3s")
        go_on = self.system.folder / "go-on"
        script = ('echo "10" >&$TASKD_PROGRESS_FD; echo "40 half of it" >&$TASKD_PROGRESS_FD; '
                  'echo nonsense >&$TASKD_PROGRESS_FD; '
                  f'while [ ! -e {go_on} ]; do sleep 0.05; done; '
                  'echo "- nearly" >&$TASKD_PROGRESS_FD; '
                  f'while [ -e {go_on} ]; do sleep 0.05; done')
        self.worker("exec", "--", "sh", "-c", script)
        task = self.api.post("/v1/tasks", {"type": "job"}).json

        def said():
            progress = self.api.task(task["id"]).get("progress", {})
            return progress.get("percent"), progress.get("note")
        harness.wait_until(lambda: said() == (40, "half of it"), "it is told")
        self.assertIn("half of it", self.system.run("task", task["id"],
                                                    *self.system.key_options).stdout)
        go_on.touch()
        harness.wait_until(lambda: said() == (None, "nearly"), "it goes on")
        go_on.unlink()
        self.assertEqual(self.api.result(task["id"])["state"], "succeeded")
        self.assertNotIn("progress", self.api.task(task["id"]))
        self.assertIn("taskd: no line of progress", self.log(task))

    def test_limits_of_a_run(self):
        self.start()
        self.worker("exec", "--cpu-max", 17, "--memory-max", "1GiB", "--file-size-max", "2MiB",
                    "--files-max", 33, "--processes-max", 20_001, "--", "bash", "-c",
                    'for what in t v f n u; do ulimit -$what; done | paste -sd" "')
        done = self.run_job()
        # Seconds, KiB, KiB, files, processes.
        self.assertEqual(done["result"], f"17 {1 << 20} {2 << 10} 33 20001", done)

    def test_payload_beyond_a_datagram(self):
        self.start()
        self.worker("exec", "--", "cat")
        payload = ["x" * 200_000, {"a": 1}]
        self.assertEqual(self.run_job(payload)["result"], payload)

    def test_time_limit_and_cancel(self):
        self.start()
        self.worker("exec", "--timeout", "1s", "--grace", "1s", "--", "sh", "-c",
                    "trap '' TERM; echo $$ >&2; sleep 1000 & echo $! >&2; wait; wait")
        late = self.run_job(attempts_max=1)
        self.assertEqual((late["state"], late["error"]["code"]), ("dead", "attempt_timeout"), late)
        for pid in self.log(late).split():
            self.assertTrue(gone(pid), pid)

    def test_cancel_ends_the_program(self):
        self.start()
        self.worker("exec", "--", "sh", "-c", "echo $$ >&2; sleep 1000 & echo $! >&2; wait")
        task = self.api.post("/v1/tasks", {"type": "job"}).json
        harness.wait_until(lambda: len(self.log(task).split()) == 2, "it runs")
        pids = self.log(task).split()
        self.api.post(f"/v1/tasks/{task['id']}/cancel")
        harness.wait_until(lambda: all(gone(pid) for pid in pids), "its processes are gone")

        def slots_used():
            return self.api.get("/v1/stats").json["queues"][0]["slots_used"]
        harness.wait_until(lambda: slots_used() == 0, "the slot is free")

    def test_kill_of_the_worker_takes_all_along(self):
        self.start(lease="2s")
        script = ("echo $$ >&2; sleep 1000 & echo $! >&2; setsid sleep 1000 & echo $! >&2; "
                  "[ $TASKD_ATTEMPT = 1 ] || exit 0; wait")
        worker = self.worker("exec", "--", "sh", "-c", script)
        task = self.api.post("/v1/tasks", {"type": "job"}).json
        harness.wait_until(lambda: len(self.log(task).split()) == 3, "it runs")
        pids = self.log(task).split()
        folders = self.work_folders()
        self.assertEqual(len(folders), 1)
        worker.kill()
        harness.wait_until(lambda: all(gone(pid) for pid in pids), "its processes are gone")
        harness.wait_until(lambda: not harness.children_of(os.getpid())[2:], "its guard is gone")
        worker.start()
        self.assertFalse(folders[0].exists())  # the next one has cleared up
        ended = self.api.result(task["id"], "30s")
        self.assertEqual(ended["state"], "succeeded")
        outcomes = [each["outcome"] for each in self.api.task(task["id"])["attempts"]]
        self.assertEqual(outcomes, ["crashed", "succeeded"])
        worker.terminate()
        self.assertEqual(worker.wait_end(), 0)
        self.assertEqual(list((self.system.folder / "work").iterdir()), [])

    def test_drain_finishes_what_runs(self):
        self.start()
        worker = self.worker("exec", "--", "sh", "-c",
                             "echo up >&2; while ! [ -e $0 ]; do sleep 0.05; done; echo 1",
                             self.system.folder / "go")
        task = self.api.post("/v1/tasks", {"type": "job"}).json
        harness.wait_until(lambda: self.log(task) == "up\n", "it runs")
        worker.terminate()
        worker.wait_log("draining")
        (self.system.folder / "go").touch()
        self.assertEqual(worker.wait_end(), 0)
        self.assertEqual(self.api.task(task["id"])["result"], 1)

    def test_what_would_not_end_in_time_is_given_back(self):
        self.start()
        mark = self.system.folder / "mark"
        stops = {"with a trap": f"trap 'touch {mark}; exit 7' TERM", "deaf": "trap '' TERM"}
        for name, trap in stops.items():
            with self.subTest(name):
                worker = self.worker("exec", "--drain-timeout", "3s", "--grace", "1s", "--", "sh",
                                     "-c", trap + "; echo up >&2; while :; do sleep 0.05; done")
                task = self.api.post("/v1/tasks", {"type": "job"}).json
                harness.wait_until(lambda: self.log(task) == "up\n", "it runs")
                worker.terminate()
                self.assertEqual(worker.wait_end(), 0)
                whole = self.api.task(task["id"])
                self.assertEqual([each["outcome"] for each in whole["attempts"]], ["released"])
                self.assertEqual((whole["state"], whole["crashes"], whole["failures"]),
                                 ("queued", 0, 0))
                registered = self.system.ns.api.get("/v1/registrations").json["registrations"]
                self.assertEqual(registered, [])
                self.api.post(f"/v1/tasks/{task['id']}/cancel")
        self.assertTrue(mark.exists())

    def test_a_worker_that_can_start_nothing_leaves_tasks_to_others(self):
        self.start()
        broken = self.worker("exec", "--", "cat")
        self.system.wait_workers(1)
        folder = self.system.folder / "work"
        folder.rename(self.system.folder / "aside")
        folder.write_text("no folder", "utf-8")
        tasks = [self.api.post("/v1/tasks", {"type": "job", "payload": number,
                                             "attempts_max": 1}).json["id"]
                 for number in range(30)]
        broken.wait_log("tasks cannot be begun", "cannot_start")
        harness.wait_until(lambda: broken.answers("/readyz", 503), "it says so")
        self.system.role("other", "worker", "exec", "--type", "job", "--name", "other",
                         "--nameservice", self.system.ns.url, "--work-dir",
                         self.system.folder / "other-work")
        other = self.system.roles[-1]
        other.last = ["--", "cat"]
        other.start()
        ended = self.api.wait_results(tasks)
        self.assertEqual([ended[each].get("result") for each in tasks], list(range(30)))
        for each in tasks:
            whole = self.api.task(each)
            self.assertEqual((whole["failures"], whole["crashes"]), (0, 0), whole)
        other.terminate()
        self.assertEqual(other.wait_end(), 0)
        folder.unlink()
        (self.system.folder / "aside").rename(folder)
        self.assertEqual(self.run_job(1)["state"], "succeeded")
        harness.wait_until(lambda: broken.answers("/readyz"), "it works again")

    def test_a_worker_whose_folder_was_cleaned_away_makes_it_anew(self):
        """As systemd does below /tmp with what was not touched for days."""
        self.start()
        worker = self.worker("exec", "--", "cat")
        self.assertEqual(self.run_job(1)["result"], 1)
        shutil.rmtree(self.system.folder / "work")
        task = self.run_job(2, attempts_max=1)
        self.assertEqual((task["state"], task["result"]), ("succeeded", 2), task)
        harness.wait_until(lambda: not self.work_folders(), "the run's folder is gone")
        self.assertEqual(len(list((self.system.folder / "work").glob("*/lock"))), 1)
        self.assertNotIn("tasks cannot be begun", worker.log())

    def test_a_worker_tries_again_beside_what_it_works_on(self):
        self.start()
        worker = self.worker("exec", "--concurrency", "2", "--", "sh", "-c",
                             'read line; [ "$line" = 1 ] && sleep 100; echo "$line"')
        held = self.api.submit("job", 1)
        harness.wait_until(lambda: self.api.task(held)["state"] == "running", "the long one runs")
        harness.wait_until(self.work_folders, "in its folder")
        folder = self.system.folder / "work"
        folder.rename(self.system.folder / "aside")
        folder.write_text("no folder", "utf-8")
        task = self.api.submit("job", 2)
        worker.wait_log("tasks cannot be begun", "cannot_start")
        folder.unlink()
        (self.system.folder / "aside").rename(folder)
        self.assertEqual(self.api.wait_results([task])[task]["result"], 2)
        self.assertEqual(self.api.task(held)["state"], "running")
        self.assertEqual(self.api.post(f"/v1/tasks/{held}/cancel").status, 200)

    def test_nobody_without_the_key_registers(self):
        self.start()
        stranger = self.worker("exec", "--", "cat", key=False)
        stranger.wait_log("waiting for the name service", "missing_key")
        self.assertEqual(self.api.get("/v1/workers").json["workers"], [])
        self.assertEqual(self.system.ns.api.get("/v1/registrations").json["registrations"], [])

    def test_slips_are_told_at_once(self):
        for words, code, name in [
                (["exec", "--", "cat"], 2, "--type is missing"),
                (["exec", "--type", "job"], 2, "usage"),
                (["exec", "--type", "job", "--", "no-such-program"], 3, "no-such-program"),
                (["exec", "--type", "job", "--permanent", "0", "--", "cat"], 2, "--permanent"),
                (["exec", "--type", "a b", "--", "cat"], 2, "a b"),
                (["http", "--type", "job"], 2, "--url is missing: http://"),
                (["http", "--type", "job", "--url", "ftp://a"], 2, "http://"),
                (["http", "--type", "job", "--url", "http://a", "--concurrency", "257"], 2, "256"),
                (["sum", "cat"], 2, "cat"),
                (["fly"], 2, "exec, http")]:
            with self.subTest(words=words):
                run = self.system.run("worker", *words)
                self.assertEqual(run.returncode, code, run.stderr)
                self.assertIn(name, run.stderr)


class Service(http.server.BaseHTTPRequestHandler):
    """Answers as the task's payload says."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        steps = body["payload"]
        step = steps[min(body["attempt"], len(steps)) - 1]
        self.send_response(step["status"])
        for name, value in step.get("headers", {}).items():
            self.send_header(name, value)
        answer = step.get("body", "").encode()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class HttpWorkers(Workers):

    def start_service(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def test_calls(self):
        self.start()
        service = self.start_service()
        self.worker("http", "--url", f"http://127.0.0.1:{service.server_port}/charge")
        as_json = {"Content-Type": "application/json"}
        fast = {"initial_ms": 1, "max_ms": 1}
        done = self.run_job([{"status": 200, "body": '{"paid": 5}', "headers": as_json}])
        self.assertEqual((done["state"], done["result"]), ("succeeded", {"paid": 5}), done)
        path, headers, body = service.asked[0]
        self.assertEqual((path, body["id"], body["type"]), ("/charge", done["id"], "job"))
        self.assertEqual(headers["Idempotency-Key"], done["id"])
        self.assertIn(done["id"].replace("-", ""), headers["traceparent"])
        self.assertNotIn("Authorization", headers)
        again = self.run_job([{"status": 503}, {"status": 204}], backoff=fast)
        self.assertEqual((again["state"], again["result"]), ("succeeded", None), again)
        self.assertEqual(again["attempts"][0]["error"]["code"], "http_503")
        dead = self.run_job([{"status": 404, "body": "no such customer"}], backoff=fast)
        self.assertEqual((dead["state"], dead["error"]["message"]), ("dead", "no such customer"))
        self.assertEqual(len(dead["attempts"]), 1)

    def test_retry_after_is_honoured(self):
        self.start()
        service = self.start_service()
        self.worker("http", "--url", f"http://127.0.0.1:{service.server_port}/")
        steps = [{"status": 429, "headers": {"Retry-After": "2"}}, {"status": 200, "body": "ok"}]
        done = self.run_job(steps, backoff={"initial_ms": 1, "max_ms": 1})
        self.assertEqual((done["state"], done["result"]), ("succeeded", "ok"), done)
        first, second = done["attempts"]
        waited = datetime.fromisoformat(second["started_at"]) - datetime.fromisoformat(
            first["ended_at"])
        self.assertGreaterEqual(waited.total_seconds(), 2)
        self.assertEqual(len(service.asked), 2)

    def test_a_service_that_is_away(self):
        self.start()
        service = self.start_service()
        port = service.server_port
        service.shutdown()
        service.server_close()
        self.worker("http", "--url", f"http://127.0.0.1:{port}/")
        dead = self.run_job([], attempts_max=1)
        self.assertEqual((dead["state"], dead["error"]["code"]), ("dead", "unreachable"), dead)


class Up(harness.SystemTest):

    def test_up_starts_what_the_list_declares(self):
        system = self.system
        script = system.folder / "double.sh"
        script.write_text('#!/bin/sh\nread n; echo $((n * $FACTOR))\n', "utf-8")
        script.chmod(0o755)
        workers = system.folder / "workers.json"
        workers.write_text(json.dumps({"workers": [
            {"type": "sum"},
            {"type": "double", "kind": "exec", "command": [str(script)], "concurrency": 2,
             "options": {"pass-env": "FACTOR", "timeout": "10s",
                         "work-dir": str(system.folder / "work")}}]}), "utf-8")
        system.environment["FACTOR"] = "2"
        up = system.up("--workers", workers).start()
        done = up.api().post("/v1/tasks?wait=30s", {"type": "double", "payload": 21}).json
        self.assertEqual((done["state"], done["result"]), ("succeeded", 42), done)
        self.assertEqual(up.api().post("/v1/tasks?wait=30s",
                                       {"type": "sum", "payload": [1]}).json["result"], 1)
        up.process.send_signal(signal.SIGTERM)
        self.assertEqual(up.process.wait(harness.PATIENCE), 0)
        self.assertEqual(list((system.folder / "work").iterdir()), [])


if __name__ == "__main__":
    harness.main()
