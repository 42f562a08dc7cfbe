"""Requests as somebody: with a token over TCP or TLS, or from a user of this machine over the Unix socket."""

import json
import os
import subprocess

from harness import BINARY


def token(daemon, user, *more):
    """A new token, made by the command beside the running daemon."""
    words = [BINARY, "token", "add", user, *more, "--state", daemon.state]
    return subprocess.run(words, check=True, capture_output=True, text=True, env=daemon.env).stdout.strip()


def revoke(daemon, token):
    words = [BINARY, "token", "revoke", token.split("_")[1], "--state", daemon.state]
    subprocess.run(words, check=True, capture_output=True, env=daemon.env)


class Person:
    """Somebody with a token (None for nobody)."""

    def __init__(self, daemon, token=None):
        self.daemon = daemon
        self.headers = {"Authorization": "Bearer " + token} if token else {}

    def request(self, method, path, body=None, headers=None):
        return self.daemon.request(method, path, body, {**self.headers, **(headers or {})})

    def status(self, method, path, body=None, headers=None):
        """The status alone, of streams too."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        c = self.daemon.connection()
        try:
            c.request(method, path, body=body, headers={**self.headers, **(headers or {})})
            return c.getresponse().status
        finally:
            c.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        assert status == 200, (path, status, body)
        return body

    def submit(self, job, headers=None):
        status, _, body = self.request("POST", "/v1/jobs", job, headers)
        assert status in (200, 201), (status, body)
        return body["id"]


def by_socket(path, uid, method, target, body=None):
    """(status, body) of a request by a process of `uid`. Needs root, unless it is one's own uid."""
    words = ["curl", "-s", "-X", method, "--unix-socket", path, "-w", "\n%{http_code}", "http://localhost" + target]
    if body is not None:
        words += ["-d", json.dumps(body)]
    who = {} if uid == os.geteuid() else {"user": uid, "group": 65534, "extra_groups": []}
    text = subprocess.run(words, check=True, capture_output=True, text=True, cwd="/", **who).stdout
    body, status = text.rsplit("\n", 1)
    return int(status), json.loads(body) if body.strip() else None
