"""The C++ client as others use it: installed, found by a project outside this one, built there, and
run against a real dispatcher that is killed meanwhile."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import harness

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("TASKD_BUILD", ROOT / "build" / "release"))


def run_tool(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


class Package(harness.SystemTest):

    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="taskd-package."))
        cls.addClassCleanup(shutil.rmtree, cls.scratch)
        prefix = cls.scratch / "prefix"
        run_tool("cmake", "--install", BUILD, "--component", "client", "--prefix", prefix)
        source = cls.scratch / "source"
        shutil.copytree(ROOT / "tests" / "package", source)
        shown = re.findall(r"^```cpp\n(.*?)^```$",
                           (ROOT / "include" / "taskd" / "README.md").read_text("utf-8"),
                           re.M | re.S)
        assert len(shown) == 1, f"{len(shown)} blocks of C++"
        (source / "shout.cpp").write_text(shown[0], "utf-8")
        cls.built = cls.scratch / "build"
        run_tool("cmake", "-G", "Ninja", "-S", source, "-B", cls.built,
                 f"-DCMAKE_PREFIX_PATH={prefix}")
        run_tool("cmake", "--build", cls.built)

    def start_dispatcher(self, *arguments):
        system = self.system
        system.use_key()
        system.ns = system.nameservice().start()
        system.dp = system.dispatcher(system.ns.url, *arguments).start().wait_ready()

    def environment(self, key=None):
        return {**self.system.environment, "TASKD_URL": self.system.dp.url,
                "TASKD_KEY": key or self.system.key}

    def start_program(self, name, *arguments, key=None):
        process = subprocess.Popen(
            [str(self.built / name), *arguments], env=self.environment(key), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=harness.die_with_parent)
        self.addCleanup(self.end_program, process)
        return process

    @staticmethod
    def end_program(process):
        process.kill()
        process.communicate(timeout=harness.PATIENCE)

    def ask(self, *arguments, code=0):
        done = subprocess.run([str(self.built / "ask"), *arguments], env=self.environment(),
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout.strip()

    def test_the_worker_of_the_readme(self):
        system = self.system
        self.start_dispatcher()
        worker = self.start_program("shout")
        for word in ["a", "straight \"quotes\" and \\", "two\nlines", "x" * 5000]:
            task = system.dp.api.post("/v1/tasks?wait=30s", {"type": "shout", "payload": word}).json
            self.assertEqual((task["state"], task["result"]), ("succeeded", word.upper()), task)
            self.assertEqual(task["attempts"][0]["worker"], "cplusplus")
        bad = system.dp.api.post("/v1/tasks?wait=30s", {"type": "shout", "payload": 7}).json
        self.assertEqual((bad["state"], bad["error"]["code"]), ("dead", "bad_payload"))
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(harness.PATIENCE), 0)

    def test_every_way_a_task_can_end(self):
        self.start_dispatcher()
        self.start_program("crew")
        self.assertEqual(self.ask("run", "twice", "21"), "succeeded 42")
        self.assertEqual(self.ask("run", "flaky", "null"), 'succeeded "at last"')
        self.assertEqual(self.ask("run", "broken", "null"), "dead no_good it is broken")
        self.assertTrue(self.ask("run", "babble", "null").startswith("dead bad_json"))
        self.assertTrue(self.ask("run", "large", "null").startswith("dead task_too_large"))
        self.assertEqual(self.ask("run", "twice", "{", code=1), "error bad_json")
        self.assertEqual(self.ask("run", "no type", "1", code=1), "error invalid_field")
        thrown = self.system.dp.api.post("/v1/tasks?wait=30s",
                                         {"type": "thrower", "attempts_max": 1}).json
        self.assertEqual((thrown["error"]["code"], thrown["error"]["message"]),
                         ("exception", "thrown"))

    def test_cancelled_work_stops(self):
        api_of = lambda: self.system.dp.api
        self.start_dispatcher("--lease", "3s")
        crew = self.start_program("crew")
        client = self.start_program("ask", "cancel", "endless")
        task_id = client.stdout.readline().strip()

        def seen():
            task = api_of().task(task_id)
            return task.get("progress", {}).get("note", "").startswith("turn ")
        harness.wait_until(seen, "it says how far it has come")
        harness.wait_until(lambda: "it has begun" in api_of().get(f"/v1/tasks/{task_id}/logs").text,
                           "it prints")
        out, err = client.communicate("go on\n", timeout=harness.PATIENCE)
        self.assertEqual((out.strip(), client.returncode), ("cancelled", 0), err)
        self.assertEqual(crew.stdout.readline().strip(), "not wanted")
        self.assertEqual(self.ask("run", "twice", "4"), "succeeded 8")

    def test_the_dispatcher_killed_meanwhile(self):
        system = self.system
        self.start_dispatcher()
        self.start_program("crew")
        count = 1100
        client = self.start_program("ask", "flood", "twice", str(count))
        kills = 0
        while (line := client.stdout.readline()).startswith("submitted"):
            if int(line.split()[1]) >= 200 * (kills + 1):
                system.dp.restart().wait_ready()
                kills += 1
        self.assertGreaterEqual(kills, 3)
        out, err = client.communicate(timeout=60)
        self.assertEqual((line + out).strip(), f"succeeded {count}", err)
        tasks = system.dp.api.all_tasks(type="twice")
        self.assertEqual(len(tasks), count)
        for task in tasks:
            self.assertEqual(task["result"], 2 * task["payload"])
            self.assert_succeeded_once(task)

    def test_a_worker_outlives_the_dispatcher_and_stops_when_told(self):
        system = self.system
        self.start_dispatcher()
        crew = self.start_program("crew")
        self.assertEqual(self.ask("run", "twice", "1"), "succeeded 2")
        system.dp.kill()
        self.assertIn("unreachable", crew.stderr.readline())
        system.dp.start().wait_ready()
        self.assertEqual(self.ask("run", "twice", "2"), "succeeded 4")
        crew.send_signal(signal.SIGTERM)
        self.assertEqual(crew.wait(harness.PATIENCE), 0)

    def test_a_wrong_key_ends_a_worker(self):
        self.start_dispatcher()
        crew = self.start_program("crew", key="another key of 16 bytes")
        self.assertEqual(crew.stdout.readline().strip(), "error wrong_key")
        self.assertEqual(crew.wait(harness.PATIENCE), 1)


if __name__ == "__main__":
    harness.main()
