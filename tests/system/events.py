"""Events of a real dispatcher: followed by a reader that resumes over kill -9, by the command, and
by ones that read nothing."""

import http.client
import json
import random
import signal
import socket
import subprocess
import time
import urllib.parse

import harness


class Reader:
    """Follows with Last-Event-ID as browsers do; connects again for as long as it takes."""

    def __init__(self, role, query=""):
        self.role = role
        self.query = query
        self.last = None
        self.events = []
        self.connections = 0
        self.stopped = False

    def follow(self, patience=120.0):
        end = time.monotonic() + patience
        while not self.stopped and time.monotonic() < end:
            try:
                self.read_once()
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
        return self

    def read_once(self):
        parts = urllib.parse.urlsplit(self.role.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=2)
        headers = {"Authorization": f"Bearer {self.role.key}"} if self.role.key else {}
        if self.last:
            headers["Last-Event-ID"] = self.last
        connection.request("GET", "/v1/events" + self.query, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            connection.close()
            raise OSError(answer.status)
        self.connections += 1
        fields = {}
        try:
            while not self.stopped:
                try:
                    line = answer.readline().decode().rstrip("\n")
                except socket.timeout:
                    break
                if not answer.fp:
                    break
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                self.last = fields.get("id", self.last)
                if "data" in fields:
                    self.events.append((self.last, fields["event"], json.loads(fields["data"])))
                fields = {}
        finally:
            connection.close()


def order_of(event_id):
    sequence, _, index = event_id.partition(".")
    return int(sequence), int(index)


class Events(harness.SystemTest):

    def start_dispatcher(self, *kinds):
        self.system.use_key()
        return self.system.start_all(*kinds)

    def check_whole(self, events):
        """Each once, in order; and each task's way without a gap."""
        ids = [each[0] for each in events]
        self.assertEqual(ids, sorted(set(ids), key=order_of))
        ways = {}
        for _, name, data in events:
            if name.startswith("task."):
                ways.setdefault(data["id"], []).append(name.partition(".")[2])
        return ways

    def test_a_reader_resumes_over_kill_9(self):
        system = self.system
        dispatcher = self.start_dispatcher("sum")
        reader = Reader(dispatcher, "?topic=task")
        following = harness.in_thread(reader.follow)
        harness.wait_until(lambda: reader.connections, "the reader is there")
        chance = random.Random(5)
        ids = []
        for _ in range(8):
            for _ in range(30):
                body = [{"id": harness.uuid7(), "type": "sum", "payload": [1, 2]}
                        for _ in range(5)]
                answer, _ = harness.submit_patiently(dispatcher.api, body)
                self.assertEqual(answer.status, 202, answer.text)
                ids += [each["id"] for each in body]
                if chance.random() < 0.05:
                    break
            dispatcher.restart().wait_ready()
        dispatcher.api.wait_results(ids)

        def all_told():
            return len({data["id"] for _, name, data in list(reader.events)
                        if name == "task.succeeded"}) == len(ids)
        harness.wait_until(all_told, "the reader has been told of every end")
        reader.stopped = True
        following.result(harness.PATIENCE)
        self.assertGreater(reader.connections, 8)
        ways = self.check_whole(reader.events)
        self.assertEqual(set(ways), set(ids))
        for task_id, way in ways.items():
            self.assertEqual((way[0], way[-1], way.count("submitted"), way.count("succeeded")),
                             ("submitted", "succeeded", 1, 1), (task_id, way))
        # Somebody who comes afterwards is told the same.
        again = Reader(dispatcher, "?topic=task&since=oldest")
        again.last = None
        following = harness.in_thread(again.follow)
        harness.wait_until(lambda: len(again.events) >= len(reader.events), "all is told again")
        again.stopped = True
        following.result(harness.PATIENCE)
        self.assertEqual(again.events[:len(reader.events)], reader.events)

    def test_the_command_follows_and_resumes(self):
        system = self.system
        dispatcher = self.start_dispatcher()
        command = subprocess.Popen(
            [harness.EXECUTABLE, "events", "--topic", "queue:told", "--since", "oldest", "-o",
             "json", *system.key_options],
            env={**system.environment, "TASKD_URL": dispatcher.url}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=harness.die_with_parent)
        self.addCleanup(command.communicate)
        self.addCleanup(command.kill)

        def first():
            dispatcher.api.submit("told")
            return json.loads(command.stdout.readline())
        seen = [first()]
        dispatcher.restart().wait_ready()
        task_id = dispatcher.api.submit("told")
        while seen[-1]["id"] != task_id:
            seen.append(json.loads(command.stdout.readline()))
        ids = [each["event_id"] for each in seen]
        self.assertEqual(ids, sorted(set(ids), key=order_of))
        dispatcher.api.post(f"/v1/tasks/{task_id}/cancel", {"reason": "told"})
        cancelled = json.loads(command.stdout.readline())
        self.assertEqual((cancelled["event"], cancelled["reason"]), ("task.cancelled", "told"))
        command.send_signal(signal.SIGINT)
        command.wait(harness.PATIENCE)

    def test_the_command_ends_after_so_many_and_says_what_is_wrong(self):
        dispatcher = self.start_dispatcher()
        for _ in range(3):
            dispatcher.api.submit("told")
        key = self.system.key_options
        done = self.system.run("events", "--since", "oldest", "--topic", "task.submitted",
                               "--limit", "2", *key)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertIn("task.submitted event_id=", line)
            self.assertIn("type=told", line)
        bad = self.system.run("events", "--topic", "nonsense", *key)
        self.assertEqual(bad.returncode, 2)
        self.assertIn("invalid_field", bad.stderr)
        self.assertEqual(self.system.run("events", "--since", "1", environment={"TASKD_URL": "x"},
                                         ).returncode, 2)

    def test_a_reader_that_reads_nothing_holds_nobody(self):
        dispatcher = self.start_dispatcher("sum")
        sockets = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", dispatcher.port))
            self.addCleanup(connection.close)
            connection.sendall(f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
                               f"{dispatcher.key}\r\n\r\n".encode())
            sockets.append(connection)
        sockets[0].recv(10)
        ids = []
        for _ in range(20):
            body = [{"id": harness.uuid7(), "type": "sum", "payload": [1, 2]} for _ in range(500)]
            answer, _ = harness.submit_patiently(dispatcher.api, body)
            self.assertEqual(answer.status, 202)
            ids += [each["id"] for each in body]
        ended = dispatcher.api.wait_results(ids)
        self.assertEqual({each["result"] for each in ended.values()}, {3})

    def test_head_and_options(self):
        dispatcher = self.start_dispatcher()
        head = dispatcher.api.call("HEAD", "/v1/events")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Type"], "text/event-stream")
        self.assertNotIn("Content-Length", head.headers)
        options = dispatcher.api.call("OPTIONS", "/v1/events")
        self.assertEqual((options.status, options.headers["Allow"]), (204, "GET, HEAD, OPTIONS"))
        self.assertEqual(dispatcher.api.post("/v1/events").status, 405)

    def test_the_command_ends_when_nobody_reads_and_fails_when_what_it_says_is_lost(self):
        dispatcher = self.start_dispatcher()
        command = [harness.EXECUTABLE, "events", "--topic", "task", "--since", "oldest",
                   *self.system.key_options]
        variables = self.system.environment | {"TASKD_URL": dispatcher.url}
        dispatcher.api.submit("told")
        reader = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE,
                                  preexec_fn=harness.die_with_parent)
        self.addCleanup(reader.kill)
        self.assertIn(b"task.submitted", reader.stdout.readline())
        reader.stdout.close()
        dispatcher.api.submit("told")
        self.assertEqual(reader.wait(harness.PATIENCE), 0)
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, env=variables, stdout=full, stderr=subprocess.PIPE,
                                  timeout=harness.PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"stdout", done.stderr)


if __name__ == "__main__":
    harness.main()
