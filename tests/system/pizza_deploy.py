"""How the pizza platform is deployed: what the manifests say to each service is understood by it;
compose and kustomize take the files, where those programs are there."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = SOURCE / "deploy" / "pizza"
PODS = {"broker": "dispatcher", "identity": "pizza identity", "payment": "pizza payment",
        "order": "pizza order", "kitchen": "pizza kitchen", "delivery": "pizza delivery"}


def run(*command, folder=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=harness.PATIENCE,
                          check=False, cwd=folder)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class PizzaDeploy(unittest.TestCase):

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="taskd-test."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        shutil.copytree(DEPLOY, self.folder / "pizza")

    def check_words(self, command, words):
        """Each is an option of that command, by its own page."""
        page = run(harness.EXECUTABLE, *command.split(), "--help")
        for word in words:
            self.assertIn(f" {word.partition('=')[0]} ", page, f"{command}: {word}")

    def test_every_pod_is_told_what_it_understands(self):
        kubernetes = self.folder / "pizza" / "kubernetes"
        for name, command in PODS.items():
            text = (kubernetes / f"{name}.yaml").read_text("utf-8")
            words = re.findall(r"^ +- (--\S+)$", text, re.M)
            self.assertGreaterEqual(len(words), 3, name)
            self.check_words(command, words)
            # Kitchen and delivery are told of nobody but the broker.
            urls = set(re.findall(r"http://(\w+):", text))
            self.assertEqual(urls, {"broker": set(), "identity": {"identity"},
                                    "payment": {"identity", "broker"},
                                    "order": {"payment", "identity", "broker"}}.get(
                                        name, {"broker"}), name)

    def test_a_start_that_reads_a_long_journal_is_not_killed(self):
        for name in PODS:
            text = (self.folder / "pizza" / "kubernetes" / f"{name}.yaml").read_text("utf-8")
            self.assertEqual(text.count("livenessProbe:"), 1, name)
            probe = re.search(r"^ +startupProbe: \{httpGet: \{path: /healthz, port: http\}, "
                              r"periodSeconds: (\d+), failureThreshold: (\d+)\}$", text, re.M)
            self.assertIsNotNone(probe, name)
            self.assertGreaterEqual(int(probe[1]) * int(probe[2]), 30 * 60, name)

    def test_the_volume_of_the_broker_holds_what_its_topics_keep(self):
        limits = (SOURCE / "include" / "taskd" / "base" / "limits.hpp").read_text("utf-8")
        topic = int(re.search(r" topic_bytes_default = (\d+) \* mebibyte;", limits)[1]) << 20
        channels = (SOURCE / "config" / "pizza" / "events.asyncapi.yaml").read_text("utf-8")
        topics = re.findall(r"^  [a-z]+\.[a-z]+:$", channels, re.M)
        self.assertEqual(len(topics), 5)
        text = (self.folder / "pizza" / "kubernetes" / "broker.yaml").read_text("utf-8")
        volume = int(re.search(r"storage: (\d+)Gi", text)[1]) << 30
        # A row has indexes beside it, the journal is there too, and a share is kept free.
        self.assertGreaterEqual(volume, 1.5 * len(topics) * topic)

    def test_who_shows_what_it_holds_without_a_key_is_asked_by_the_platform_alone(self):
        text = (self.folder / "pizza" / "kubernetes" / "network.yaml").read_text("utf-8")
        guarded = set(re.findall(r"^metadata: \{name: (\w+),", text, re.M))
        # Those customers speak to are not among them.
        self.assertEqual(guarded, set(PODS) - {"order", "delivery"})

    def test_every_container_is_told_what_it_understands(self):
        text = (self.folder / "pizza" / "compose.yaml").read_text("utf-8")
        services = re.split(r"^  (?=\w+:\n    <<: \*taskd)", text, flags=re.M)[1:]
        self.assertEqual({each.partition(":")[0] for each in services}, set(PODS))
        for each in services:
            command = each.partition("healthcheck:")[0]
            self.check_words(PODS[each.partition(":")[0]], re.findall(r"(--[\w-]+)", command))

    def test_compose_takes_the_file(self):
        if shutil.which("docker-compose") is None:
            self.skipTest("there is no docker-compose here")
        run(self.folder / "pizza" / "make_secrets.sh", self.folder / "pizza" / "secrets")
        run("docker-compose", "--file", "compose.yaml", "config", "--quiet",
            folder=self.folder / "pizza")

    def test_kustomize_takes_the_manifests(self):
        if shutil.which("kubectl") is None:
            self.skipTest("there is no kubectl here")
        kubernetes = self.folder / "pizza" / "kubernetes"
        run(self.folder / "pizza" / "make_secrets.sh", kubernetes / "secrets")
        whole = run("kubectl", "kustomize", str(kubernetes))
        self.assertEqual(len(re.findall(r"^kind: StatefulSet$", whole, re.M)), len(PODS))
        self.assertEqual(len(re.findall(r"^kind: NetworkPolicy$", whole, re.M)), 4)

    def test_secrets_are_made_once(self):
        script, secrets = self.folder / "pizza" / "make_secrets.sh", self.folder / "secrets"
        run(script, secrets)
        first = {path.name: path.read_text("utf-8") for path in secrets.iterdir()}
        self.assertEqual(set(first), {"cluster_key", "order_secret", "clients.yaml"})
        run(script, secrets)
        self.assertEqual(first, {path.name: path.read_text("utf-8") for path in secrets.iterdir()})
        self.assertEqual(secrets.stat().st_mode & 0o777, 0o700)


if __name__ == "__main__":
    harness.main()
