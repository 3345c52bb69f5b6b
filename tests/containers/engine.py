"""Finds a container engine, or starts one of its own where root may: shared by container tests."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

BASE_IMAGE = "debian:bookworm-slim"
PATIENCE = 60.0


def run(*words, check=True, timeout=120.0, **how):
    """Runs to its end; what it printed, or the failure with what it printed."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False, **how)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}\n"
                             f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


class Engine:
    """A Docker engine behind a socket. `why` says why there is none."""

    def __init__(self):
        self.process = None
        self.folder = None
        self.rules = None
        self.why = None
        self.socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if self.answers():
            return
        self.why = self.start_own()

    def docker(self, *words, **how):
        environment = {**os.environ, "DOCKER_HOST": self.socket, "DOCKER_BUILDKIT": "0"}
        return run("docker", *words, env=environment, **how)

    def compose(self, *words, cwd, **how):
        path = self.socket.removeprefix("unix://")
        environment = {**os.environ, "DOCKER_HOST": self.socket, "DOCKER_SOCKET": path,
                       "DOCKER_GID": str(os.stat(path).st_gid)}
        plugin = self.docker("compose", "version", check=False).returncode == 0
        program = ["docker", "compose"] if plugin else ["docker-compose"]
        return run(*program, *words, env=environment, cwd=cwd, **how)

    def answers(self):
        if shutil.which("docker") is None:
            return False
        return self.docker("version", check=False).returncode == 0

    def start_own(self):
        """Why it could not, or nothing."""
        if shutil.which("dockerd") is None:
            return "no engine answers and dockerd is not installed"
        if os.geteuid() != 0:
            return "no engine answers and only root can start one"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="taskd-engine."))
        self.socket = f"unix://{self.folder}/engine.sock"
        self.rules = run("iptables-save", check=False).stdout
        self.bridge_is_ours = run("ip", "link", "show", "docker0", check=False).returncode != 0
        # Raising a limit is refused on machines where even root may not.
        settings = {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 1024}}}
        (self.folder / "engine.json").write_text(json.dumps(settings), encoding="utf-8")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--config-file", str(self.folder / "engine.json"),
                 "-H", self.socket, "--data-root", str(self.folder / "root"),
                 "--exec-root", str(self.folder / "exec"),
                 "--pidfile", str(self.folder / "pid")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                self.stop()
                return "dockerd does not run here: " + log.strip().splitlines()[-1]
            time.sleep(0.2)
        return None

    def need_base_image(self):
        """From the registry, else from Debian's packages; why it could not be had, or nothing."""
        if self.docker("image", "inspect", BASE_IMAGE, check=False).returncode == 0:
            return None
        if self.docker("pull", "-q", BASE_IMAGE, check=False, timeout=300).returncode == 0:
            return None
        if shutil.which("mmdebstrap") is None:
            return f"{BASE_IMAGE} cannot be pulled and mmdebstrap is not installed"
        sources = "".join(
            path.read_text(encoding="utf-8")
            for path in [pathlib.Path("/etc/apt/sources.list"),
                         *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*.sources"))]
            if path.exists())
        with tempfile.TemporaryDirectory(prefix="taskd-base.") as folder:
            listing, archive = f"{folder}/all.sources", f"{folder}/base.tar"
            pathlib.Path(listing).write_text(sources, encoding="utf-8")
            made = run("mmdebstrap", "--variant=minbase", "--mode=root", "bookworm", archive,
                       listing, timeout=600, check=False)
            if made.returncode != 0:
                return f"no {BASE_IMAGE}: " + made.stderr.strip()[-300:]
            self.docker("import", "-c", 'CMD ["/bin/bash"]', archive, BASE_IMAGE, timeout=300)
        return None

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
        if self.bridge_is_ours:
            run("ip", "link", "delete", "docker0", check=False)
        if self.rules is not None:  # what the engine added to the firewall goes with it
            subprocess.run(["iptables-restore"], input=self.rules, text=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.process = None
