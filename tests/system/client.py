"""A small HTTP client for the system tests, and ways to submit that go on over broken
connections."""

import http.client
import json
import os
import socket
import time
import urllib.parse


class Broken(Exception):
    """No answer came: refused, reset, cut short or too late."""


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)


def uuid7():
    """An id as a client makes it: milliseconds, then chance (RFC 9562)."""
    raw = bytearray(int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Api:
    """One server. Every call has a connection of its own, unless `keep` is set."""

    def __init__(self, url, key=None, patience=30.0, keep=False):
        self.url = url
        self.key = key
        self.patience = patience
        self.keep = keep
        self.connection = None

    def call(self, method, path, body=None, headers=None):
        """`body` is bytes or text as it stands, or anything else as JSON."""
        all_headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        all_headers |= headers or {}
        parts = urllib.parse.urlsplit(self.url)
        connection = self.connection or http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=self.patience)
        self.connection = None
        try:
            connection.request(method, path, body, all_headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException, socket.timeout) as error:
            connection.close()
            raise Broken(f"{method} {self.url}{path}: {error!r}") from error
        if self.keep:
            self.connection = connection
        else:
            connection.close()
        return answer

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)

    def close(self):
        if self.connection:
            self.connection.close()

    # ---- tasks

    def post_patiently(self, path, body, patience=30.0):
        """Posts until it is not put off any more: the view catches up, say. Unlike
        `submit_patiently` it takes no broken connection for granted."""
        end = time.monotonic() + patience
        while True:
            answer = self.post(path, body)
            if answer.status not in (429, 503) or time.monotonic() > end:
                return answer
            time.sleep(0.005)

    def submit(self, kind, payload=None, **more):
        """The id of a task that was taken."""
        answer = self.post_patiently("/v1/tasks", {"type": kind, "payload": payload, **more})
        if answer.status != 202:
            raise AssertionError(f"submit answered {answer.status}: {answer.text}")
        return answer.json["id"]

    def task(self, task_id):
        answer = self.get(f"/v1/tasks/{task_id}")
        if answer.status != 200:
            raise AssertionError(f"task {task_id}: {answer.status} {answer.text}")
        return answer.json

    def result(self, task_id, wait="20s"):
        """The ended task, brief."""
        answer = self.get(f"/v1/tasks/{task_id}/result?wait={wait}")
        if answer.status != 200:
            raise AssertionError(f"no result of {task_id}: {answer.status} {answer.text}")
        return answer.json

    def all_tasks(self, **query):
        """Every task of a list, page by page."""
        tasks, after = [], None
        while True:
            asked = {"limit": 1000, **query} | ({"after": after} if after else {})
            answer = self.get("/v1/tasks?" + urllib.parse.urlencode(asked))
            if answer.status != 200:
                raise AssertionError(f"list answered {answer.status}: {answer.text}")
            tasks += answer.json["tasks"]
            after = answer.json["next"]
            if after is None:
                return tasks

    def wait_results(self, ids, patience=60.0):
        """{id: brief} of ended tasks; goes on over broken connections and asks in parts."""
        end = time.monotonic() + patience
        open_ids, ended = list(ids), {}
        while open_ids:
            if time.monotonic() > end:
                raise AssertionError(f"{len(open_ids)} tasks have not ended, as {open_ids[0]}")
            try:
                answer = self.post("/v1/results", {"ids": open_ids[:1000], "wait_ms": 2000})
            except Broken:
                time.sleep(0.02)
                continue
            if answer.status in (429, 503):
                time.sleep(0.02)
                continue
            if answer.status != 200 or answer.json["missing"]:
                raise AssertionError(f"results: {answer.status} {answer.text[:1000]}")
            for task in answer.json["tasks"]:
                if "result" in task or "error" in task:
                    ended[task["id"]] = task
            open_ids = [each for each in open_ids if each not in ended]
        return ended


def submit_patiently(api, body, patience=30.0, target="/v1/tasks"):
    """Sends a body whose tasks bring their ids until it is answered; repeating it is safe. Gives
    the answer and how often it was sent."""
    end = time.monotonic() + patience
    tries = 0
    while True:
        tries += 1
        try:
            answer = api.post(target, body)
            if answer.status not in (429, 503):
                return answer, tries
        except Broken as error:
            if time.monotonic() > end:
                raise AssertionError(f"no answer after {tries} tries: {error}") from error
        if time.monotonic() > end:
            raise AssertionError(f"refused after {tries} tries: {answer.text}")
        time.sleep(0.005)
