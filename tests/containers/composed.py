"""Services of a compose file on a real container engine. Engine and image are made once a run, by
the first test that asks."""

import atexit
import functools
import json
import os
import pathlib
import shutil
import tempfile
import time
import unittest

import compiler_cache
from engine import Engine, run

TOP = pathlib.Path(__file__).resolve().parents[2]
EXECUTABLE = os.path.abspath(os.environ.get("TASKD_EXECUTABLE", "build/release/taskd"))
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


@functools.cache
def engine_with_image():
    """(engine, checkout, None), or (None, None, why there is none)."""
    engine = Engine()
    if engine.why:
        return None, None, f"no container engine: {engine.why}"
    atexit.register(engine.stop)
    if why := engine.need_base_image():
        return None, None, why
    checkout = pathlib.Path(tempfile.mkdtemp(prefix="taskd-compose."))
    atexit.register(shutil.rmtree, checkout, ignore_errors=True)
    # The sources as they are checked in or about to be, and nothing else.
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=TOP).stdout
    for name in filter(None, listed.split("\n")):
        if (TOP / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, checkout / name)
    engine.docker("build", "--network", "host", "-t", "taskd", "--build-arg",
                  f"CCACHE_REMOTE_STORAGE={compiler_cache.serve()}", str(checkout), timeout=1800)
    atexit.register(engine.docker, "image", "rm", "--force", "taskd", check=False)
    return engine, checkout, None


class Composed(unittest.TestCase):
    """Brings the services of FILE up for the tests of a class, and takes them down after them."""

    PROJECT = None
    FILE = None
    NETWORK = None
    UP = ()  # more words for `up`

    @classmethod
    def prepare(cls):
        """What must be there before the services start."""

    @classmethod
    def setUpClass(cls):
        cls.engine, cls.folder, why = engine_with_image()
        if why:
            raise unittest.SkipTest(why)
        cls.prepare()
        cls.addClassCleanup(cls.compose, "down", "--volumes", "--timeout", "20", check=False)
        cls.up(*cls.UP)

    def setUp(self):
        wait_until(self.everybody_is_healthy, "every container is healthy")

    @classmethod
    def compose(cls, *words, **how):
        return cls.engine.compose("--project-name", cls.PROJECT, "--file", cls.FILE, *words,
                                  cwd=cls.folder, timeout=300, **how)

    @classmethod
    def up(cls, *words):
        return cls.compose("up", "--detach", "--no-build", *words)

    def inspect(self, container):
        return json.loads(self.engine.docker("inspect", container).stdout)[0]

    def containers(self):
        return [self.inspect(name) for name in self.compose("ps", "--quiet").stdout.split()]

    def containers_of(self, service):
        return [self.inspect(name)
                for name in self.compose("ps", "--quiet", service).stdout.split()]

    def address(self, container):
        network = f"{self.PROJECT}_{self.NETWORK}"
        return container["NetworkSettings"]["Networks"][network]["IPAddress"]

    def everybody_is_healthy(self):
        # A container that was made but never started has no health yet.
        states = [one["State"].get("Health", {}).get("Status") for one in self.containers()]
        return bool(states) and set(states) == {"healthy"}

    def logged(self, container):
        """What it wrote to its log so far."""
        said = self.engine.docker("logs", container)
        return said.stdout + said.stderr

    def taskd(self, key, url, *words, check=True):
        """What taskd prints in a container of its own on the same network, with the key alone."""
        return self.engine.docker(
            "run", "--rm", "--network", f"{self.PROJECT}_{self.NETWORK}", "--read-only",
            "--volume", f"{key}:/run/secrets/cluster_key:ro", "taskd", *words, f"--url={url}",
            "--key-file=/run/secrets/cluster_key", check=check).stdout
