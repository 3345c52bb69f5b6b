"""How the pizza platform is deployed: what the manifests say to each service is understood by it;
compose and kustomize take the files, where those programs are there."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "pizza"
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
        self.assertEqual(len(re.findall(r"^kind: NetworkPolicy$", whole, re.M)), 3)

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
