"""Starts roles of the real executable on free ports and looks after them: shared by system tests.

Roles are started from the main thread alone: the kernel ends a child with the thread that made it.
"""

import concurrent.futures
import ctypes
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from client import Api, Broken, submit_patiently, uuid7

EXECUTABLE = os.path.abspath(os.environ.get("TASKD_EXECUTABLE", "build/release/taskd"))
PATIENCE = 30.0  # seconds; for what should take a moment
LOG_LINES_SHOWN = 40
ONLY_WHEN_ASKED = "only when asked to"  # what is no test at other times

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(condition, what, patience=PATIENCE):
    """What `condition` gives once it is true; asked again after waits that grow up to 50 ms."""
    end = time.monotonic() + patience
    pause = 0.001
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def is_alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def children_of(pid):
    children = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if int(parent) == pid and state not in "ZX":
            children.append(int(entry.name))
    return children


def free_ports(count):
    """The first of so many consecutive ports that are free for TCP and UDP, below those the kernel
    hands out by itself, so that nobody takes one meanwhile."""
    first_of_kernel = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(
        "utf-8").split()[0])
    chance = random.Random()
    for _ in range(200):
        first = chance.randrange(10_000, first_of_kernel - count)
        if all(_is_free(first + offset) for offset in range(count)):
            return first
    raise AssertionError(f"no {count} consecutive ports are free")


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def in_thread(work):
    """Runs it beside; the future has what it gives or raises."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


class Role:
    """One long-running process. Once it has a port it keeps it over restarts."""

    def __init__(self, system, name, arguments, key=None):
        self.system = system
        self.name = name
        self.arguments = arguments
        self.key = key
        self.port = 0
        self.process = None
        self.prefix = []  # what it runs under: strace and its like
        self.last = []  # arguments behind all others
        self.log_path = system.folder / f"{name}.log"
        self.port_file = system.folder / f"{name}.port"

    def start(self, wait=True):
        """Starts it; with `wait`, returns when it listens. A port that somebody else's connection
        holds for a moment is asked for again."""
        end = time.monotonic() + PATIENCE
        while True:
            self.spawn()
            if not wait or self.listens():
                return self
            if self.port == 0 or self.code != 1 or "port_in_use" not in self.last_log():
                raise AssertionError(f"{self.name} ended with {self.code} before it listened")
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: port {self.port} stays in use")
            time.sleep(0.05)

    def spawn(self):
        assert self.process is None or self.process.poll() is not None, f"{self.name} still runs"
        self.port_file.unlink(missing_ok=True)
        command = [*self.prefix, EXECUTABLE, *self.arguments, "--port", str(self.port),
                   "--port-file", str(self.port_file), *self.last]
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.system.environment, preexec_fn=die_with_parent)

    def listens(self):
        """Waits for the port file; false when the process has ended instead."""
        def told():
            if self.process.poll() is not None:
                return "ended"
            try:
                text = self.port_file.read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
            return text if text.endswith("\n") else None
        text = wait_until(told, f"{self.name} listens")
        if text == "ended":
            return False
        self.port = int(text)
        return True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self):
        return Api(self.url, self.key)

    @property
    def pid(self):
        return self.process.pid

    @property
    def code(self):
        return self.process.poll()

    def answers(self, path, status=200):
        try:
            return self.api.get(path).status == status
        except Broken:
            return False

    def wait_ready(self):
        wait_until(lambda: self.answers("/readyz"), f"{self.name} is ready")
        return self

    def kill(self):
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_end(self, patience=PATIENCE):
        """The exit code, once it has ended; negative for a signal."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end in {patience:.0f} s") from None

    def restart(self):
        self.kill()
        return self.start()

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def last_log(self):
        """What it wrote since its last start."""
        return self.log_path.read_bytes()[self.log_start:].decode("utf-8", "replace")

    def wait_log(self, *words):
        """Waits for a line since the last start that holds all the words."""
        def found():
            return any(all(word in line for word in words)
                       for line in self.last_log().splitlines())
        wait_until(found, f"{self.name} logs {words}")


class UpRun:
    """One `taskd up` and its children. Its data stay when it is started again."""

    def __init__(self, system, arguments):
        self.arguments = arguments
        self.environment = system.environment
        self.data = system.folder / "data"
        self.log_path = system.folder / "up.log"
        self.process = None

    def start(self, port=0):
        """Starts it and waits until endpoints.json tells of this run."""
        stale = self.told()  # by one that was killed
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [EXECUTABLE, "up", "--data", self.data, "--port", str(port), *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                preexec_fn=die_with_parent)
        wait_until(lambda: self.told() not in (None, stale) or self.process.poll() is not None,
                   "endpoints.json is there")
        if self.process.poll() is not None:
            raise AssertionError(f"up ended with {self.process.poll()}")
        return self

    def told(self):
        try:
            return (self.data / "endpoints.json").read_text("utf-8")
        except FileNotFoundError:
            return None

    def endpoints(self):
        """Always whole: the file is replaced, never written over."""
        return json.loads(self.told())

    def pids(self):
        told = self.endpoints()
        return [told[name]["pid"] for name in ("dispatcher", "nameservice", "monitor", "host")] + [
            each["pid"] for each in told["workers"]]

    def api(self, name="dispatcher"):
        key = (self.data / "key").read_text("utf-8").strip()
        return Api(self.endpoints()[name]["url"], key)

    def port_of(self, name):
        return int(self.endpoints()[name]["url"].rpartition(":")[2])

    def log(self):
        return self.log_path.read_text("utf-8", "replace")

    def kill(self):
        """As `kill -9` does; the kernel takes its children along."""
        self.process.kill()
        self.process.wait(PATIENCE)


class System:
    """A folder, the roles in it, and commands run against them."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="taskd-test."))
        self.roles = []
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("TASKD_")}
        self.environment |= {"HOME": str(self.folder),
                             "XDG_STATE_HOME": str(self.folder / "state")}
        self.key = None
        self.key_options = []
        self.up_run = None

    def use_key(self, secret="a cluster key of these tests".replace(" ", "-")):
        self.key = secret
        path = self.folder / "key"
        path.write_text(secret + "\n", encoding="utf-8")
        self.key_options = ["--key-file", str(path)]

    def role(self, name, *arguments, key=True):
        """A role that is not started yet; `key` says whether it gets the cluster key."""
        options = self.key_options if key else []
        role = Role(self, name, [*map(str, arguments), *options], self.key)
        self.roles.append(role)
        return role

    def nameservice(self, *arguments, name="nameservice"):
        return self.role(name, "nameservice", "--data", self.folder / name, *arguments)

    def dispatcher(self, nameservice_url, *arguments, name="dispatcher"):
        return self.role(name, "dispatcher", "--data", self.folder / name, "--nameservice",
                         nameservice_url, *arguments)

    def worker(self, kind, nameservice_url, *arguments, name=None):
        name = name or f"{kind}-worker"
        return self.role(name, "worker", kind, "--name", name, "--nameservice", nameservice_url,
                         *arguments)

    def up(self, *arguments):
        """`taskd up`, not started yet; one a test."""
        self.up_run = UpRun(self, [str(each) for each in arguments])
        return self.up_run

    def start_all(self, *kinds, lease=None):
        """Name service, dispatcher and one worker of each kind, all ready; as attributes too."""
        self.ns = self.nameservice().start()
        options = ["--lease", lease] if lease else []
        self.dp = self.dispatcher(self.ns.url, *options).start().wait_ready()
        self.workers = {kind: self.worker(kind, self.ns.url).start() for kind in kinds}
        self.wait_workers(len(kinds))
        return self.dp

    def wait_workers(self, count, dispatcher=None):
        """Until the dispatcher reaches so many workers; gives them."""
        api = (dispatcher or self.dp).api

        def reached():
            workers = [each for each in api.get("/v1/workers").json["workers"]
                       if each["reachable"]]
            return workers if len(workers) == count else None
        return wait_until(reached, f"{count} workers are reached") if count else []

    def run(self, *arguments, stdin="", url=None, environment=None, patience=PATIENCE):
        """Runs one command to its end; stdout and stderr are text."""
        variables = dict(self.environment)
        if url or hasattr(self, "dp"):
            variables["TASKD_URL"] = url or self.dp.url
        variables |= environment or {}
        return subprocess.run([EXECUTABLE, *map(str, arguments)], input=stdin, env=variables,
                              capture_output=True, text=True, timeout=patience, check=False,
                              cwd=self.folder)

    def logs(self):
        parts = []
        for role in self.roles:
            if role.process is None:
                continue
            lines = role.log().splitlines()[-LOG_LINES_SHOWN:]
            code = role.code
            parts.append(f"---- {role.name}, " +
                         ("runs" if code is None else f"ended with {code}"))
            parts += lines
        if self.up_run and self.up_run.process:
            parts += ["---- up", *self.up_run.log().splitlines()[-2 * LOG_LINES_SHOWN:]]
        return "\n".join(parts)

    def close(self):
        """Ends what still runs; then nobody may be left."""
        for role in self.roles:
            if role.process is not None and role.process.poll() is None:
                role.kill()
        if self.up_run and self.up_run.process:
            if self.up_run.process.poll() is None:
                self.up_run.kill()
            wait_until(lambda: not children_of(os.getpid()), "the children of up are gone")
        left = children_of(os.getpid())
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        if left:
            raise AssertionError(f"processes were left: {left}")


def _with_logs(test):
    @functools.wraps(test)
    def wrapped(self, *arguments, **named):
        try:
            return test(self, *arguments, **named)
        except unittest.SkipTest:
            raise
        except BaseException as error:
            error.add_note(self.system.logs())
            raise
    return wrapped


class SystemTest(unittest.TestCase):
    """A test with a System of its own; a failure shows the roles' logs."""

    maxDiff = 2000

    def __init_subclass__(cls, **named):
        super().__init_subclass__(**named)
        for name, member in list(vars(cls).items()):
            if name.startswith("test") and callable(member):
                setattr(cls, name, _with_logs(member))

    def setUp(self):
        self.system = System()
        self.addCleanup(self.system.close)

    def assert_problem(self, answer, status, name):
        self.assertEqual((answer.status, answer.json.get("error")), (status, name), answer.text)
        self.assertEqual(answer.headers.get("Content-Type"), "application/problem+json")

    def assert_succeeded_once(self, task):
        """It ended well, by exactly one attempt that counted."""
        self.assertEqual(task["state"], "succeeded", json.dumps(task)[:2000])
        good = [each for each in task["attempts"] if each["outcome"] == "succeeded"]
        self.assertEqual(len(good), 1, json.dumps(task["attempts"]))
        self.assertFalse([each for each in task["attempts"] if each["outcome"] == "running"])


def may_skip(why):
    """Anything, unless TASKD_SKIPS says which programs may be missing: `none`, or some with
    commas."""
    missing = os.environ.get("TASKD_SKIPS")
    return missing is None or why == ONLY_WHEN_ASKED or any(
        word in why.split() for word in missing.split(","))


def main():
    """Runs the tests of the calling file. Orphans of killed roles become ours, so that none is
    missed."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    result = unittest.main(verbosity=2, exit=False).result
    for test, why in result.skipped:
        print(f"skipped: {test.id().removeprefix('__main__.')}: {why}")
    unwanted = [why for _, why in result.skipped if not may_skip(why)]
    if unwanted:
        print("TASKD_SKIPS lets none of these be skipped:", *unwanted, sep="\n  ")
    sys.exit(not result.wasSuccessful() or bool(unwanted))
