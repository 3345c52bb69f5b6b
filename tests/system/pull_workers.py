"""Workers that pull over HTTP: those in include/taskd/README.md, as they stand there, in each
language; and what the engine makes of one that dies."""

import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import harness

README = pathlib.Path(__file__).parents[2] / "include" / "taskd" / "README.md"
PROGRAMS = {"sh": ["sh"], "js": ["node"], "python": ["python3"]}
NAMES = {"sh": "shell", "js": "javascript", "python": "python"}


def worker_of(language):
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert len(blocks) == 1, f"{len(blocks)} blocks of {language}"
    return blocks[0]


class Troubled(http.server.ThreadingHTTPServer):
    """Instead of a dispatcher: says what stands in its script, one answer a request, and notes what
    it was asked. `None` cuts the connection; when the script is over nothing is answered."""

    daemon_threads = True

    def __init__(self, script):
        self.script = script
        self.asked = []
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Troubled.Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """A worker that was ended left its connection."""

    class Handler(http.server.BaseHTTPRequestHandler):

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append((self.path, body))
            if not self.server.script:
                self.server.over.wait()
                return
            answer = self.server.script.pop(0)
            if answer is None:
                return
            status, told = answer
            is_page = isinstance(told, (str, bytes))
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if is_page else "application/json")
            self.end_headers()
            told = told if is_page else json.dumps(told, separators=(",", ":"))
            self.wfile.write(told if isinstance(told, bytes) else told.encode())

        def log_message(self, *_):
            pass


PAGE = "<html>Something went wrong</html>"
ODD = "<html>Schöne Grüße</html>".encode("latin-1")


class PullWorkers(harness.SystemTest):

    def start_worker(self, language, url=None):
        system = self.system
        suffix = ".mjs" if language == "js" else ""
        path = system.folder / f"worker-{language}{suffix}"
        path.write_text(worker_of(language), "utf-8")
        environment = {**system.environment, "TASKD_URL": url or system.dp.url,
                       "TASKD_KEY": system.key}
        with open(system.folder / f"{language}.log", "wb") as log:
            process = subprocess.Popen([*PROGRAMS[language], str(path)], env=environment,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True,
                                       preexec_fn=harness.die_with_parent)
        self.addCleanup(self.stop_worker, process)
        return process

    @staticmethod
    def stop_worker(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)  # the shell's curl too
        except ProcessLookupError:
            pass
        process.wait(harness.PATIENCE)

    def start_dispatcher(self, lease="15s"):
        system = self.system
        system.use_key()
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url, "--lease", lease).start().wait_ready()

    def check_language(self, language):
        system = self.system
        self.start_dispatcher()
        self.start_worker(language)
        for word in ["a", "straight \"quotes\" and \\", "two\nlines", "x" * 5000]:
            task = system.dp.api.post("/v1/tasks?wait=30s", {"type": "shout", "payload": word}).json
            self.assertEqual((task["state"], task["result"]), ("succeeded", word.upper()), task)
            self.assertEqual(task["attempts"][0]["worker"], NAMES[language])
        bad = system.dp.api.post("/v1/tasks?wait=30s", {"type": "shout", "payload": 7}).json
        self.assertEqual((bad["state"], bad["error"]["code"]), ("dead", "bad_payload"))
        self.assertEqual(len(bad["attempts"]), 1)
        # Two bytes each, and in capitals six, or more as escapes; jq leaves them as they are.
        large = system.dp.api.post("/v1/tasks?wait=30s", json.dumps(
            {"type": "shout", "payload": "\u0390" * 400_000}, ensure_ascii=False)).json
        if language == "sh":
            self.assertEqual(large["state"], "succeeded")
        else:
            self.assertEqual((large["state"], large["error"]["code"]), ("dead", "task_too_large"))
        self.assertEqual(len(large["attempts"]), 1)
        system.dp.kill()
        system.dp.start().wait_ready()
        task = system.dp.api.post("/v1/tasks?wait=30s", {"type": "shout", "payload": "b"}).json
        self.assertEqual((task["state"], task["result"]), ("succeeded", "B"), task)

    def check_trouble(self, language):
        """Whatever passes is waited for; a result that nobody wants is let go."""
        self.system.use_key()
        leased = [(200, {"lease_ms": 15000, "tasks": [{"lease": f"{name}.1", "payload": name}]})
                  for name in ("one", "two", "three", "four")]
        busy = (503, {"error": "shutting_down", "retryable": True})
        stale = (409, {"error": "stale_lease", "retryable": False})
        gone = (404, {"error": "task_not_found", "retryable": False})
        large = (413, PAGE)
        server = Troubled([busy, (429, {"error": "overloaded"}), None, (404, PAGE), leased[0],
                           busy, None, (502, ODD), (200, {}),
                           leased[1], stale, stale, leased[2], gone, gone,
                           leased[3], large, (200, {})])
        self.addCleanup(server.close)
        worker = self.start_worker(language, server.url)
        harness.wait_until(lambda: len(server.asked) == 19, "it goes through all of that")
        paths = [path for path, _ in server.asked]
        ends = ["/v1/leases/one.1/complete"] * 4
        self.assertEqual(paths, ["/v1/leases"] * 5 + ends + [
            path for name in ("two", "three", "four")
            for path in ("/v1/leases", f"/v1/leases/{name}.1/complete", f"/v1/leases/{name}.1/fail")
        ] + ["/v1/leases"])
        self.assertEqual([server.asked[at][1]["result"] for at in (5, 8, 10, 13, 16)],
                         ["ONE", "ONE", "TWO", "THREE", "FOUR"])
        self.assertEqual(server.asked[17][1]["error"],
                         {"code": "task_too_large", "permanent": True})
        self.assertIsNone(worker.poll())

    def test_trouble_in_shell(self):
        self.check_trouble("sh")

    def test_trouble_in_javascript(self):
        self.check_trouble("js")

    def test_trouble_in_python(self):
        self.check_trouble("python")

    def test_shell(self):
        self.check_language("sh")

    def test_javascript(self):
        self.check_language("js")

    def test_python(self):
        self.check_language("python")

    def test_one_that_dies_while_it_waits_is_leased_nothing(self):
        system = self.system
        self.start_dispatcher()
        process = self.start_worker("python")

        def asks():
            workers = system.dp.api.get("/v1/workers").json["workers"]
            return [each for each in workers if each["via"] == "http" and each["reachable"]]
        harness.wait_until(asks, "the worker asks")
        self.stop_worker(process)
        harness.wait_until(lambda: not asks(), "the dispatcher sees that it left")
        task = system.dp.api.post("/v1/tasks", {"type": "shout", "payload": "a"}).json
        self.start_worker("python")
        ended = system.dp.api.get(f"/v1/tasks/{task['id']}/result?wait=30s").json
        self.assertEqual(ended["result"], "A")
        attempts = system.dp.api.get(f"/v1/tasks/{task['id']}").json["attempts"]
        self.assertEqual([each["outcome"] for each in attempts], ["succeeded"])

    def test_one_that_dies_in_mid_task_costs_an_attempt(self):
        system = self.system
        self.start_dispatcher(lease="2s")
        task = system.dp.api.post("/v1/tasks", {"type": "shout", "payload": "a"}).json
        held = system.dp.api.post("/v1/leases", {"types": ["shout"], "worker": "dead"}).json
        self.assertEqual(held["tasks"][0]["id"], task["id"])
        self.start_worker("python")
        ended = system.dp.api.get(f"/v1/tasks/{task['id']}/result?wait=30s").json
        self.assertEqual(ended["result"], "A")
        attempts = system.dp.api.get(f"/v1/tasks/{task['id']}").json["attempts"]
        self.assertEqual([each["outcome"] for each in attempts], ["crashed", "succeeded"])
        late = system.dp.api.post(f"/v1/leases/{held['tasks'][0]['lease']}/complete",
                                  {"result": "late"})
        self.assertEqual((late.status, late.json["error"]), (409, "stale_lease"))

    def test_after_a_restart_it_gets_as_much_as_it_asks_for(self):
        """Beside what it holds from before."""
        system = self.system
        self.start_dispatcher()
        api = system.dp.api
        first = api.post("/v1/tasks", {"type": "shout", "payload": "a"}).json
        question = {"types": ["shout"], "worker": "long"}
        held = api.post("/v1/leases", question).json["tasks"][0]
        self.assertEqual(held["id"], first["id"])
        system.dp.kill()
        system.dp.start().wait_ready()
        api.post("/v1/tasks", {"type": "shout", "payload": "b"})
        self.assertEqual(len(api.post("/v1/leases", question).json["tasks"]), 1)
        done = api.post(f"/v1/leases/{held['lease']}/complete", {"result": "A"})
        self.assertEqual(done.status, 200, done.text)

    def test_nobody_without_the_key_gets_a_lease(self):
        system = self.system
        self.start_dispatcher()
        system.dp.api.post("/v1/tasks", {"type": "shout", "payload": "a"})
        for key, status in [(None, 401), ("another key of 16 bytes", 403)]:
            api = harness.Api(system.dp.url, key)
            self.assertEqual(api.post("/v1/leases", {"types": ["shout"]}).status, status)


if __name__ == "__main__":
    harness.main()
