"""The image and compose.yaml on a real container engine: everything healthy, a client container
answered, a worker's container killed in mid-task, the monitor's view of all of it.

    python3 tests/containers/compose_test.py
"""

import json
import os
import pathlib
import shutil
import tempfile
import time
import unittest
import urllib.request

from engine import Engine, run

TOP = pathlib.Path(__file__).resolve().parents[2]
EXECUTABLE = os.path.abspath(os.environ.get("TASKD_EXECUTABLE", "build/release/taskd"))
PROJECT = "taskdtest"
IMAGE_BYTES_MAX = 80 * 1024 * 1024
PATIENCE = 120.0


def wait_until(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.2)


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = Engine()
        if cls.engine.why:
            raise unittest.SkipTest(f"no container engine: {cls.engine.why}")
        cls.addClassCleanup(cls.engine.stop)
        if why := cls.engine.need_base_image():
            raise unittest.SkipTest(why)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="taskd-compose."))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        # The sources as they are checked in or about to be, and nothing else.
        listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard",
                     cwd=TOP).stdout.split("\n")
        for name in filter(None, listed):
            if (TOP / name).is_file():
                (cls.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TOP / name, cls.folder / name)
        cls.engine.docker("build", "--network", "host", "-t", "taskd", str(cls.folder),
                          timeout=1800)
        run(EXECUTABLE, "compose", "--file", str(cls.folder / "compose.yaml"),
            "--workers", str(cls.folder / "config/workers.json"))
        cls.addClassCleanup(cls.down)
        cls.compose("up", "--detach", "--no-build")

    @classmethod
    def compose(cls, *words, **how):
        return cls.engine.compose("--project-name", PROJECT, *words, cwd=cls.folder,
                                  timeout=300, **how)

    @classmethod
    def down(cls):
        cls.compose("down", "--volumes", "--timeout", "20", check=False)
        cls.engine.docker("image", "rm", "--force", "taskd", check=False)

    def inspect(self, container):
        return json.loads(self.engine.docker("inspect", container).stdout)[0]

    def containers(self):
        names = self.compose("ps", "--quiet").stdout.split()
        return [self.inspect(name) for name in names]

    def service(self, name):
        return self.inspect(self.compose("ps", "--quiet", name).stdout.split()[0])

    def client(self, *words, check=True):
        """taskd in a container of its own on the same network, with the key alone."""
        return self.engine.docker(
            "run", "--rm", "--network", f"{PROJECT}_tasknet", "--read-only",
            "--volume", f"{self.folder}/secrets/cluster_key:/run/secrets/cluster_key:ro",
            "taskd", *words, "--url=http://dispatcher:4000",
            "--key-file=/run/secrets/cluster_key", check=check).stdout

    def everybody_is_healthy(self):
        states = {one["Name"]: one["State"]["Health"]["Status"] for one in self.containers()}
        return len(states) >= 8 and set(states.values()) == {"healthy"}

    def overview(self):
        monitor = self.service("monitor")
        address = monitor["NetworkSettings"]["Networks"][f"{PROJECT}_tasknet"]["IPAddress"]
        key = (self.folder / "secrets/cluster_key").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(f"http://{address}:8080/v1/overview",
                                         headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def setUp(self):
        wait_until(self.everybody_is_healthy, "every container is healthy")

    def test_the_file_is_taken_and_says_what_it_should(self):
        self.compose("config", "--quiet")
        image = json.loads(self.engine.docker("image", "inspect", "taskd").stdout)[0]
        self.assertLess(image["Size"], IMAGE_BYTES_MAX)
        self.assertEqual(image["Config"]["User"], "10001:10001")
        self.assertIn("/usr/bin/taskd", image["Config"]["Healthcheck"]["Test"])
        sockets = []
        for one in self.containers():
            self.assertEqual(one["HostConfig"]["PortBindings"] or {}, {}, one["Name"])
            self.assertTrue(one["HostConfig"]["ReadonlyRootfs"], one["Name"])
            sources = [mount["Source"] for mount in one["Mounts"]]
            sockets += [one["Name"] for source in sources if source.endswith(".sock")]
        self.assertEqual(len(sockets), 1)
        self.assertIn("monitor", sockets[0])

    def test_a_client_container_is_answered(self):
        self.assertEqual(self.client("submit", "sum", "1", "2", "3"), "6\n")
        self.assertEqual(self.client("submit", "upper", "straße"), "STRASSE\n")

    def test_a_task_survives_its_workers_container(self):
        self.compose("up", "--detach", "--no-build", "--scale", "worker-wait=2", "worker-wait")
        wait_until(self.everybody_is_healthy, "the second worker is healthy")
        task = self.client("submit", "wait", "5", "--detach").strip()

        def held():
            shown = json.loads(self.client("task", task, "-o", "json"))
            return shown["attempts"] and shown["attempts"][0]["worker"]
        worker = wait_until(held, "a worker has the task")
        for name in self.compose("ps", "--quiet", "worker-wait").stdout.split():
            if worker in self.engine.docker("logs", name).stderr:
                self.engine.docker("kill", "--signal", "KILL", name)
        self.client("result", task, "--wait", "60s")
        attempts = json.loads(self.client("task", task, "-o", "json"))["attempts"]
        self.assertEqual([one["outcome"] for one in attempts], ["crashed", "succeeded"])
        self.compose("up", "--detach", "--no-build", "--scale", "worker-wait=2", "worker-wait")

    def test_the_dispatcher_keeps_its_tasks_over_a_new_container(self):
        task = self.client("submit", "nobody_does_this", "1", "--detach").strip()
        self.compose("up", "--detach", "--no-build", "--force-recreate", "dispatcher")
        wait_until(self.everybody_is_healthy, "the new dispatcher is healthy")
        self.assertEqual(json.loads(self.client("task", task, "-o", "json"))["state"], "queued")
        self.client("cancel", task)

    def test_the_monitor_sees_the_containers(self):
        def seen():
            containers = self.overview()["containers"]
            if containers["state"] != "shown":
                return None
            ours = [one for one in containers["list"] if one["name"].startswith(PROJECT)]
            complete = ours and all("cpu_share" in one and one["memory_bytes"] > 0 and one["log"]
                                    for one in ours)
            return ours if complete else None
        ours = wait_until(seen, "the monitor shows every container with what it uses")
        self.assertGreaterEqual(len(ours), 8)
        self.assertEqual({one["health"] for one in ours}, {"healthy"})
        self.assertEqual({one["image"] for one in ours}, {"taskd"})
        victim = self.service("worker-hash")["Name"].lstrip("/")
        self.engine.docker("restart", "--time", "20", victim)

        def told():
            events = self.overview()["containers"]["events"]
            actions = {event["action"] for event in events if event["container"] == victim}
            return {"die", "start"} <= actions
        wait_until(told, "the monitor tells of the restart")

    def test_logs_of_every_service_lie_in_one_volume(self):
        listing = self.engine.docker(
            "run", "--rm", "--network", "none", "--volume", f"{PROJECT}_logs:/logs:ro",
            "debian:bookworm-slim", "ls", "/logs").stdout.split()
        for role in ("dispatcher", "nameservice", "monitor", "worker"):
            self.assertTrue([name for name in listing if name.startswith(role)], listing)


if __name__ == "__main__":
    unittest.main(verbosity=2)
