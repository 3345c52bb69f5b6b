"""The image and compose.yaml on a real container engine: everything healthy, a client container
answered, a worker's container killed in mid-task, the monitor's view of all of it.

    python3 tests/containers/compose_test.py
"""

import json
import unittest
import urllib.request

from composed import EXECUTABLE, Composed, wait_until
from engine import run

IMAGE_BYTES_MAX = 80 * 1024 * 1024


class Compose(Composed):
    PROJECT = "taskdtest"
    FILE = "compose.yaml"
    NETWORK = "tasknet"

    @classmethod
    def prepare(cls):
        run(EXECUTABLE, "compose", "--file", str(cls.folder / "compose.yaml"),
            "--workers", str(cls.folder / "config/workers.json"))

    def client(self, *words, check=True):
        return self.taskd(self.folder / "secrets/cluster_key", "http://dispatcher:4000", *words,
                          check=check)

    def everybody_is_healthy(self):
        return len(self.containers()) >= 8 and super().everybody_is_healthy()

    def overview(self):
        address = self.address(self.containers_of("monitor")[0])
        key = (self.folder / "secrets/cluster_key").read_text(encoding="utf-8").strip()
        request = urllib.request.Request(f"http://{address}:8080/v1/overview",
                                         headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

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
        self.up("--scale", "worker-wait=2", "worker-wait")
        wait_until(self.everybody_is_healthy, "the second worker is healthy")
        task = self.client("submit", "wait", "5", "--detach").strip()

        def held():
            shown = json.loads(self.client("task", task, "-o", "json"))
            return shown["attempts"] and shown["attempts"][0]["worker"]
        worker = wait_until(held, "a worker has the task")
        for one in self.containers_of("worker-wait"):
            if worker in self.logged(one["Id"]):
                self.engine.docker("kill", "--signal", "KILL", one["Id"])
        self.client("result", task, "--wait", "60s")
        attempts = json.loads(self.client("task", task, "-o", "json"))["attempts"]
        self.assertEqual([one["outcome"] for one in attempts], ["crashed", "succeeded"])
        self.up("--scale", "worker-wait=2", "worker-wait")

    def test_the_dispatcher_keeps_its_tasks_over_a_new_container(self):
        task = self.client("submit", "nobody_does_this", "1", "--detach").strip()
        self.up("--force-recreate", "dispatcher")
        wait_until(self.everybody_is_healthy, "the new dispatcher is healthy")
        self.assertEqual(json.loads(self.client("task", task, "-o", "json"))["state"], "queued")
        self.client("cancel", task)

    def test_the_monitor_sees_the_containers(self):
        def seen():
            containers = self.overview()["containers"]
            if containers["state"] != "shown":
                return None
            ours = [one for one in containers["list"] if one["name"].startswith(self.PROJECT)]
            complete = ours and all("cpu_share" in one and one["memory_bytes"] > 0 and one["log"]
                                    for one in ours)
            return ours if complete else None
        ours = wait_until(seen, "the monitor shows every container with what it uses")
        self.assertGreaterEqual(len(ours), 8)
        self.assertEqual({one["health"] for one in ours}, {"healthy"})
        self.assertEqual({one["image"] for one in ours}, {"taskd"})
        victim = self.containers_of("worker-hash")[0]["Name"].lstrip("/")
        self.engine.docker("restart", "--time", "20", victim)

        def told():
            events = self.overview()["containers"]["events"]
            actions = {event["action"] for event in events if event["container"] == victim}
            return {"die", "start"} <= actions
        wait_until(told, "the monitor tells of the restart")

    def test_logs_of_every_service_lie_in_one_volume(self):
        listing = self.engine.docker(
            "run", "--rm", "--network", "none", "--volume", f"{self.PROJECT}_logs:/logs:ro",
            "debian:bookworm-slim", "ls", "/logs").stdout.split()
        for role in ("dispatcher", "nameservice", "monitor", "worker"):
            self.assertTrue([name for name in listing if name.startswith(role)], listing)


if __name__ == "__main__":
    unittest.main(verbosity=2)
