"""Workers that pull over HTTP: those in include/taskd/README.md, as they stand there, in each
language; and what the engine makes of one that dies."""

import os
import pathlib
import re
import signal
import subprocess

import harness

README = pathlib.Path(__file__).parents[2] / "include" / "taskd" / "README.md"
PROGRAMS = {"sh": ["sh"], "js": ["node"], "python": ["python3"]}
NAMES = {"sh": "shell", "js": "javascript", "python": "python"}


def worker_of(language):
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert len(blocks) == 1, f"{len(blocks)} blocks of {language}"
    return blocks[0]


class PullWorkers(harness.SystemTest):

    def start_worker(self, language):
        system = self.system
        suffix = ".mjs" if language == "js" else ""
        path = system.folder / f"worker-{language}{suffix}"
        path.write_text(worker_of(language), "utf-8")
        environment = {**system.environment, "TASKD_URL": system.dp.url, "TASKD_KEY": system.key}
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
