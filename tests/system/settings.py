"""Settings: flag over environment over file over default, what the roles really hold, and what a
running one takes on SIGHUP."""

import fcntl
import json
import os
import pathlib
import pty
import signal
import subprocess
import termios

import harness

CONFIG = pathlib.Path(__file__).resolve().parent.parent.parent / "config"
PIZZA = {f"pizza-{name}" for name in ("order", "payment", "kitchen", "delivery", "identity")}


class Settings(harness.SystemTest):

    def file(self, name, text):
        path = self.system.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def hold(self, *arguments, environment=None):
        """{setting: (value, origin)} of one role, as `taskd config show` tells them."""
        shown = self.system.run("config", "show", "-o", "json", *arguments,
                                environment=environment)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        (settings,) = json.loads(shown.stdout).values()
        return {name: (each["value"], each["origin"]) for name, each in settings.items()}

    def test_origin_of_each_value(self):
        path = self.file("w.yaml", "heartbeat: 2s\nhost: 10.0.0.1\nconcurrency: 5\n")
        held = self.hold("worker", "--config", path, "--", "--concurrency", "7",
                         environment={"TASKD_HOST": "10.0.0.2"})
        self.assertEqual(held["concurrency"], (7, "--concurrency"))
        self.assertEqual(held["host"], ("10.0.0.2", "TASKD_HOST"))
        self.assertEqual(held["heartbeat"], ("2s", f"{path}:1:1"))
        self.assertEqual(held["port"], (6000, "default"))
        self.assertEqual(held["advertise"], (None, "not set"))
        self.assertEqual(held["insecure"], (False, "default"))
        table = self.system.run("config", "show", "worker", "--origin", "--config", path).stdout
        self.assertIn(f"{path}:2:1", table)
        self.assertIn("default", table)
        plain = self.system.run("config", "show", "worker", "--config", path).stdout
        self.assertNotIn("default", plain)
        everything = self.system.run("config", "show", "-o", "json")
        self.assertEqual(set(json.loads(everything.stdout)), {
            "dispatcher", "nameservice", "worker", "monitor", "host", "up", "client", *PIZZA})

    def test_a_client_takes_its_own_file(self):
        self.system.start_all("sum")
        home = self.system.folder / ".config" / "taskd"
        home.mkdir(parents=True)
        (home / "client.yaml").write_text(f"url: {self.system.dp.url}\n", encoding="utf-8")
        environment = {"TASKD_URL": "", "TASKD_CONFIG": "/no/such/file"}  # that is a role's
        done = self.system.run("submit", "sum", "1", "2", environment=environment)
        self.assertEqual((done.returncode, done.stdout), (0, "3\n"), done.stderr)
        other = self.file("other.yaml", "url: http://127.0.0.1:1\nsubmit: {retry-for: 0s}\n")
        done = self.system.run("submit", "sum", "1", "--client-config", other,
                               environment=environment)
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_faults_end_a_role_before_it_does_anything(self):
        cases = [
            ("prot: 1\n", 2, "config_invalid", ":1:1: 'prot' is no setting of monitor; "
             "did you mean 'port'?"),
            ("port: many\n", 2, "config_invalid", ":1:7: 'port' takes a number"),
            ("port: 1\nport: 2\n", 2, "config_invalid", ":2:1: 'port' stands there twice"),
            ("port: [\n", 2, "config_invalid", ":2:1: "),
        ]
        for text, code, name, words in cases:
            with self.subTest(text=text):
                path = self.file("m.yaml", text)
                done = self.system.run("monitor", "--config", path)
                self.assertEqual((done.returncode, done.stderr.count("\n")), (code, 1))
                self.assertIn(name, done.stderr)
                self.assertIn(f"{path}{words}", done.stderr)
                checked = self.system.run("config", "check", "--role", "monitor", path)
                self.assertEqual(checked.returncode, code)
                self.assertIn(words, checked.stderr)
        missing = self.system.run("monitor", "--config", "/no/such.yaml")
        self.assertEqual(missing.returncode, 3)
        self.assertIn("file_missing", missing.stderr)

    def test_checked_in_files_are_right(self):
        files = sorted(CONFIG.glob("*.yaml"))
        files.remove(CONFIG / "openapi.yaml")
        self.assertEqual({path.stem for path in files}, {
            "client", "dispatcher", "host", "monitor", "nameservice", "up", "worker",
            *PIZZA})
        done = self.system.run("config", "check", *files)
        self.assertEqual(done.returncode, 0, done.stderr)
        for path in files:
            with self.subTest(path=path):
                written = self.system.run("config", "write", path.stem)
                self.assertEqual(written.stdout, path.read_text("utf-8"))

    def test_a_running_role_reads_its_settings_again(self):
        path = self.file("ns.yaml", "log-level: info\nheartbeat: 10s\n")
        role = self.system.nameservice("--config", path).start()

        def hang_up(text):
            path.write_text(text, encoding="utf-8")
            role.process.send_signal(signal.SIGHUP)
        hang_up("log-level: warn\nheartbeat: 10s\n")
        # The new level holds at once, so it cannot be told in an info line: ask again for info.
        hang_up("log-level: info\nheartbeat: 9s\nlog-format: text\n")
        role.wait_log("WARN", "changed settings need a restart", "settings=heartbeat")
        hang_up("log-level: loud\n")
        role.wait_log("ERROR", "settings are not valid, the old ones stay", "ns.yaml:1:12")
        hang_up("log-level: debug\nheartbeat: 10s\nlog-format: text\n")
        role.wait_log("INFO", "settings read again", "log-level")
        self.assertEqual(role.api.get("/healthz").status, 200)
        role.terminate()
        self.assertEqual(role.wait_end(), 0)

    def test_up_hands_settings_to_its_children(self):
        folder = self.system.folder / "etc"
        folder.mkdir()
        for name in ("dispatcher", "worker"):
            (folder / f"{name}.yaml").write_text("log-level: debug\n", encoding="utf-8")
        self.system.environment["TASKD_CONFIG"] = str(self.file("up.yaml",
                                                                f"config-dir: {folder}\n"))
        up = self.system.up().start()
        log = up.log()
        self.assertIn("level=debug role=dispatcher", log)
        self.assertIn("level=debug role=worker", log)
        self.assertNotIn("level=debug role=nameservice", log)
        (folder / "dispatcher.yaml").write_text("log-level: loud\n", encoding="utf-8")
        up.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: up.log().count("settings read again") == 9 and
                           "settings are not valid" in up.log(), "all of them have read")
        self.assertEqual(up.api().get("/readyz").status, 200)

    def test_a_terminal_that_is_closed_ends_what_runs_on_it(self):
        leader, follower = pty.openpty()
        port_file = self.system.folder / "port"

        def take_terminal():
            harness.die_with_parent()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        process = subprocess.Popen(
            [harness.EXECUTABLE, "monitor", "--port", "0", "--port-file", str(port_file)],
            stdin=follower, stdout=follower, stderr=follower, env=self.system.environment,
            preexec_fn=take_terminal)
        try:
            os.close(follower)
            harness.wait_until(port_file.exists, "it listens")
            os.kill(process.pid, signal.SIGHUP)  # with its terminal still there: read again
            seen = b""

            def told():
                nonlocal seen
                seen += os.read(leader, 65536)
                return b"settings read again" in seen
            harness.wait_until(told, "it reads its settings")
            self.assertIn(b"INFO", seen)
            os.close(leader)
            leader = None
            self.assertEqual(process.wait(harness.PATIENCE), 0)
        finally:
            if leader is not None:
                os.close(leader)
            process.kill()
            process.wait()


if __name__ == "__main__":
    harness.main()
