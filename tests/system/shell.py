"""What a person at a shell has: help with examples, completion that really completes, manual pages
without a warning, progress on a terminal alone, one set of output forms."""

import hashlib
import json
import os
import pty
import shutil
import subprocess

import harness

COMMANDS = ["submit", "result", "task", "list", "cancel", "stats", "workers", "load", "up",
            "dispatcher", "nameservice", "worker", "monitor", "health", "config", "store"]


def need(test, *programs):
    for program in programs:
        if shutil.which(program) is None:
            test.skipTest(f"there is no {program} here; './dev test system' installs it")


class Shell(harness.SystemTest):

    def text(self, *arguments):
        done = self.system.run(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def script(self, shell):
        path = self.system.folder / f"completion.{shell}"
        path.write_text(self.text("completion", shell), encoding="utf-8")
        return path

    def shell(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=harness.PATIENCE,
                              check=False, cwd=self.system.folder, env=self.system.environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_help_has_examples(self):
        overview = self.text("help")
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", overview)
            page = self.text(command, "--help")
            self.assertEqual(page, self.text("help", command))
            self.assertIn("\nexamples:\n  ", page)
        wrong = self.system.run("sumbit")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("did you mean 'submit'?", wrong.stderr)
        self.assertEqual(self.system.run("completion", "tcsh").returncode, 2)

    # What each shell offers for a line: the same for all three.
    CASES = [
        ("taskd su", {"submit"}, {"stats"}),
        ("taskd help wo", {"worker", "workers"}, {"submit"}),
        ("taskd submit --at", {"--attempts-max"}, {"--wait"}),
        ("taskd submit --output ", {"json", "table", "id"}, {"--output"}),
        ("taskd worker re", {"reverse"}, {"hash"}),
        ("taskd worker --log-level de", {"debug"}, {"info"}),
        ("taskd config ch", {"check"}, {"show"}),
        ("taskd config check se", {"settings.yaml"}, {"other.txt"}),
        ("taskd dispatcher --config se", {"settings.yaml"}, {"other.txt"}),
        ("taskd dispatcher --data fo", {"folder"}, {"forms.txt"}),
        ("taskd man lo", {"load"}, {"list"}),
        ("taskd completion z", {"zsh"}, {"bash"}),
        ("taskd pizza ki", {"kitchen"}, {"order"}),
        ("taskd pizza kitchen --cook-m", {"--cook-min", "--cook-max"}, {"--menu"}),
    ]

    def files(self):
        for name in ("settings.yaml", "other.txt", "forms.txt"):
            (self.system.folder / name).write_text("", encoding="utf-8")
        (self.system.folder / "folder").mkdir()

    def check(self, complete):
        self.files()
        for line, wanted, unwanted in self.CASES:
            with self.subTest(line=line):
                offered = complete(line)
                self.assertTrue(wanted <= offered, offered)
                self.assertFalse(unwanted & offered, offered)

    def test_bash_completes(self):
        need(self, "bash")
        script = self.script("bash")
        ask = ('source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 == *" " ]] && COMP_WORDS+=("");'
               'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _taskd; printf "%s\\n" "${COMPREPLY[@]}"')

        def complete(line):
            return set(self.shell("bash", "--norc", "-c", ask, "-", str(script),
                                  line).splitlines())
        self.check(complete)
        # bash hands --output=j over in three words.
        split = ('source "$1"; COMP_WORDS=(taskd submit --output = j); COMP_CWORD=4; _taskd;'
                 'echo "${COMPREPLY[@]}"')
        self.assertEqual(self.shell("bash", "--norc", "-c", split, "-", str(script)), "json\n")
        if shutil.which("shellcheck"):
            self.shell("shellcheck", "--shell=bash", str(script))

    def test_fish_completes(self):
        need(self, "fish")
        script = self.script("fish")

        def complete(line):
            out = self.shell("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'")
            return {each.split("\t")[0].rstrip("/") for each in out.splitlines()}
        self.check(complete)

    def test_zsh_completes(self):
        need(self, "zsh")
        script = self.script("zsh")
        offered = self.system.folder / "offered"
        # zsh completes on a terminal alone; what it is about to offer is noted in a file.
        start = (f"PS1='> '; autoload -Uz compinit; compinit -D -u; source {script}\n"
                 "compadd() { local -a hits; if [[ ${@[1,(i)(-|--)]} != *\\ -(O|A|D)\\ * ]]; then "
                 f"builtin compadd -A hits \"$@\"; print -rl -- $hits >>{offered}; fi; "
                 "builtin compadd \"$@\" }\n"
                 f"tab() {{ zle complete-word; print >>{offered}.end }}; zle -N tab; "
                 "bindkey '^I' tab; LISTMAX=1000; echo rea''dy\n")

        def complete(line):
            end = offered.with_name("offered.end")
            for path in (offered, end):
                path.unlink(missing_ok=True)
            process, leader = self.zsh()
            try:
                os.write(leader, start.encode())
                self.read_until(leader, b"ready\r\n")
                os.write(leader, line.encode() + b"\t")
                harness.wait_until(end.exists, "zsh has completed")
            finally:
                process.kill()
                process.wait()
                os.close(leader)
            return set(offered.read_text("utf-8").splitlines()) if offered.exists() else set()
        self.check(complete)

    def zsh(self):
        leader, follower = pty.openpty()
        environment = self.system.environment | {"TERM": "dumb", "COLUMNS": "200"}
        process = subprocess.Popen(["zsh", "-f", "-i"], stdin=follower, stdout=follower,
                                   stderr=follower, cwd=self.system.folder, env=environment,
                                   start_new_session=True, preexec_fn=harness.die_with_parent)
        os.close(follower)
        return process, leader

    def read_until(self, leader, words):
        seen = b""
        while words not in seen:
            seen += os.read(leader, 65536)
        return seen

    def test_manual_pages_without_a_warning(self):
        folder = self.system.folder / "man1"
        folder.mkdir()
        self.assertEqual(self.text("man", "--dir", folder), "")
        pages = sorted(folder.iterdir())
        self.assertTrue({"taskd.1", "taskd-submit.1", "taskd-man.1"} <=
                        {page.name for page in pages})
        self.assertEqual((folder / "taskd-submit.1").read_text("utf-8"),
                         self.text("man", "submit"))
        self.assertEqual((folder / "taskd.1").read_text("utf-8"), self.text("man"))
        judges = []
        if shutil.which("mandoc"):
            judges.append(["mandoc", "-T", "lint", "-W", "warning"])
        if shutil.which("man") and shutil.which("groff"):
            judges.append(["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"])
        if not judges:
            self.skipTest("there is neither mandoc nor groff; './dev test system' installs one")
        for judge in judges:
            for page in pages:
                done = subprocess.run([*judge, str(page)], capture_output=True, text=True,
                                      timeout=harness.PATIENCE, check=False,
                                      env=self.system.environment | {"MANWIDTH": "100"})
                said = done.stderr + (done.stdout if judge[0] == "mandoc" else "")
                self.assertEqual((done.returncode, said), (0, ""), f"{judge[0]} {page.name}")

    def test_forms_of_output(self):
        self.system.start_all("sum")
        worker, = self.text("workers", "-o", "id").split()
        self.assertTrue(worker.startswith("sum-worker-"))
        task = self.text("submit", "sum", "1", "2", "-o", "id").strip()
        self.assertEqual(self.text("health", "-o", "id"), "dispatcher\n")
        self.assertEqual(self.text("health"), "ok\n")
        self.assertEqual(self.text("stats", "-o", "id"), "sum\n")
        for command in (["health"], ["stats"], ["workers"], ["list"], ["task", task],
                        ["result", task], ["submit", "sum", "1"]):
            with self.subTest(command=command):
                json.loads(self.text(*command, "-o", "json"))
                self.assertTrue(self.text(*command, "-o", "table").strip())
                self.assertTrue(self.text(*command, "-o", "id").strip())

    def test_many_tasks_from_a_file(self):
        self.system.start_all("sum", "upper")
        count = 2_500
        path = self.system.folder / "numbers.ndjson"
        path.write_text("".join(f"[{n}, 1]\n" for n in range(count)), encoding="utf-8")
        done = self.system.run("submit", "sum", "--from", path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.split(), [str(n + 1) for n in range(count)])
        mixed = '{"type": "sum", "payload": [1]}\n{"type": "sum", "payload": ["x"]}\n'
        done = self.system.run("submit", "--from", "-", "-o", "json", stdin=mixed)
        self.assertEqual(done.returncode, 5, done.stderr)
        good, bad = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((good["state"], good["result"]), ("succeeded", 1))
        self.assertEqual((bad["state"], bad["error"]["code"]), ("dead", "bad_payload"))
        ids = self.system.run("submit", "upper", "--from", "-", "--detach",
                              stdin='["a", "b"]').stdout.split()
        self.assertEqual([self.system.dp.api.result(each)["result"] for each in ids], ["A", "B"])
        done = self.system.run("submit", "--from", "-", stdin='{"type": "sum"}\n{"typ": 1}\n')
        self.assertEqual(done.returncode, 2)
        self.assertIn("line 2", done.stderr)
        self.assertEqual(self.system.run("submit", "sum", "1", "--from", path).returncode, 2)
        self.assertEqual(self.system.run("submit").returncode, 2)

    def test_payloads_in_yaml(self):
        self.system.start_all("sum", "hash")
        path = self.system.folder / "payload.yaml"
        path.write_text("# digits stay\n- 1\n- 0x10\n- 2.50\n", encoding="utf-8")
        self.assertEqual(self.text("submit", "sum", f"@{path}"), "19.5\n")
        path.write_text("text: a\nalgorithm: sha256\n", encoding="utf-8")
        self.assertEqual(self.text("submit", "hash", f"@{path}"),
                         hashlib.sha256(b"a").hexdigest() + "\n")
        path.write_text("- [1, 2]\n-\n  - 3\n  - 4\n", encoding="utf-8")
        self.assertEqual(self.text("submit", "sum", "--from", path), "3\n7\n")
        path.write_text("- type: sum\n  payload: [5, 6]\n", encoding="utf-8")
        self.assertEqual(self.text("submit", "--from", path), "11\n")
        path.write_text("a: 1\nb: .inf\n", encoding="utf-8")
        done = self.system.run("submit", "sum", f"@{path}")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("not_convertible", done.stderr)
        self.assertIn("line:2:4", done.stderr)

    def on_terminal(self, *arguments):
        """What a command says on stderr when that is a terminal, and on stdout when it is none."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [harness.EXECUTABLE, *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=follower,
            env=self.system.environment | {"TASKD_URL": self.system.dp.url},
            preexec_fn=harness.die_with_parent)
        os.close(follower)
        seen = b""
        try:
            while True:
                try:
                    piece = os.read(leader, 65536)
                except OSError:  # the last writer has closed it
                    break
                if not piece:
                    break
                seen += piece
        finally:
            os.close(leader)
        out = process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(harness.PATIENCE), 0, seen)
        return out.decode(), seen.decode()

    def test_progress_on_a_terminal_alone(self):
        self.system.start_all("sum", "wait")
        path = self.system.folder / "many.ndjson"
        path.write_text("[1]\n" * 1_500, encoding="utf-8")
        out, seen = self.on_terminal("submit", "sum", "--from", path)
        self.assertEqual(out, "1\n" * 1_500)
        self.assertIn("1500/1500", seen)
        self.assertIn("█", seen)
        self.assertTrue(seen.endswith("\r\x1b[K"), seen[-40:])  # nothing is left of it
        out, seen = self.on_terminal("submit", "wait", "3")
        self.assertIn("waiting for 1s, it is running", seen)
        self.assertTrue(seen.endswith("\r\x1b[K"))

    def test_output_that_is_lost_is_no_success(self):
        self.system.start_all()
        for _ in range(50):
            self.system.dp.api.submit("nobodys")
        variables = self.system.environment | {"TASKD_URL": self.system.dp.url}
        for words in (["list"], ["list", "-o", "json"], ["man", "list"], ["completion", "bash"],
                      ["help"], ["version"]):
            with self.subTest(words=words), open("/dev/full", "wb") as full:
                done = subprocess.run([harness.EXECUTABLE, *words], stdout=full, env=variables,
                                      stderr=subprocess.PIPE, text=True,
                                      timeout=harness.PATIENCE, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("io_failed", done.stderr)

    def test_a_reader_that_leaves_early_is_no_failure(self):
        self.system.start_all()
        for _ in range(50):
            self.system.dp.api.submit("nobodys")
        variables = self.system.environment | {"TASKD_URL": self.system.dp.url}
        for words in (["list"], ["list", "-o", "json"], ["man", "list"], ["version"]):
            with self.subTest(words=words):
                reader, writer = os.pipe()
                os.close(reader)
                with open(writer, "wb") as gone:
                    done = subprocess.run([harness.EXECUTABLE, *words], stdout=gone, env=variables,
                                          stderr=subprocess.PIPE, text=True,
                                          timeout=harness.PATIENCE, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_an_operation_that_was_stopped_is_no_success(self):
        self.system.start_all()
        for _ in range(20):
            self.system.dp.api.submit("nobodys")
        following = subprocess.Popen(
            [harness.EXECUTABLE, "operation", "cancel", "type:nobodys", "--rate", "1/s", "--yes",
             "-o", "id"], env=self.system.environment | {"TASKD_URL": self.system.dp.url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=harness.die_with_parent)
        self.addCleanup(following.communicate)
        self.addCleanup(following.kill)
        begun = harness.wait_until(lambda: self.text("operation", "list", "-o", "id").strip(),
                                   "it has begun")
        self.text("operation", "stop", begun)
        out, err = following.communicate(timeout=harness.PATIENCE)
        self.assertEqual((following.returncode, out), (5, f"{begun}\n"), err)
        self.assertIn(f"operation {begun} is stopped", err)

    def test_what_others_wrote_does_not_steer_the_terminal(self):
        api = self.system.start_all().api
        task = api.submit("odd")
        lease = api.post("/v1/leases", {"types": ["odd"], "wait_ms": 10000}).json["tasks"][0]
        message = "one\x1b[2Jtwo\u009b1mthree\x7ffour\nfive"
        failed = api.post(f"/v1/leases/{lease['lease']}/fail",
                          {"error": {"code": "odd", "message": message, "permanent": True}})
        self.assertEqual(failed.status, 200, failed.text)
        cancelled = api.post(f"/v1/tasks/{api.submit('nobodys')}/cancel", {"reason": message})
        self.assertEqual(cancelled.status, 200, cancelled.text)
        for words in (["list"], ["task", task], ["dead", "list"], ["result", task],
                      ["events", "--since", "oldest", "--topic", "task.cancelled", "--limit", "1"]):
            with self.subTest(words=words):
                done = self.system.run(*words)
                said = done.stdout + done.stderr
                self.assertIn("three four", said)
                for steers in ("\x1b", "\u009b", "\x7f"):
                    self.assertNotIn(steers, said)
                if words[0] != "result":  # what is said beside it may have lines
                    self.assertIn("three four five", said)
        whole = json.loads(self.text("task", task, "-o", "json"))
        self.assertEqual(whole["error"]["message"], message)


if __name__ == "__main__":
    harness.main()
