"""A daemon of its own for a test: port 0, a temporary state folder, and the few requests that tests make."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def die_with_parent():
    """A test that is killed leaves no daemon behind."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Problem(Exception):
    """An answer of 4xx or 5xx: `status`, and the problem document."""

    def __init__(self, status, document):
        super().__init__("%d %s" % (status, document))
        self.status, self.document = status, document


class Daemon:
    def __init__(self, binary, *args, state=None, env=None):
        self.binary, self.args = binary, args
        self.state = state or tempfile.mkdtemp(prefix="cnnd-test-")
        self.env = dict(os.environ, **(env or {}))
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def start(self, healthy=True):
        self.log = open(os.path.join(self.state, "log"), "ab")
        self.process = subprocess.Popen(
            [self.binary, "--listen", "127.0.0.1:0", "--state", self.state, *self.args],
            stdout=subprocess.PIPE, stderr=self.log, env=self.env, preexec_fn=die_with_parent)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            raise RuntimeError("the daemon did not start: " + self.read_log())
        self.url = line.split()[2]
        if healthy:
            self.wait(lambda: self.healthy(), 120, "health")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        if self.process:
            self.process.stdout.close()
            self.log.close()
        self.process = None

    def kill(self):
        """SIGKILL, as when the machine's memory is out."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.process = None

    def read_log(self):
        with open(os.path.join(self.state, "log"), errors="replace") as f:
            return f.read()

    def request(self, path, body=None, headers=None, method=None, timeout=60):
        """Status, bytes, headers; Problem for an error."""
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
        req = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(req, timeout=timeout) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as e:
            text = e.read()
            e.close()
            try:
                document = json.loads(text)
            except ValueError:
                document = text
            raise Problem(e.code, document) from None

    def json(self, path, body=None, **more):
        return json.loads(self.request(path, body, **more)[1] or b"null")

    def healthy(self):
        try:
            return self.json("/v1/health")["status"] == "ok"
        except Problem:
            return False

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("waited %d s for %s\n%s" % (seconds, what, self.read_log()[-4000:]))
            time.sleep(0.02)

    def submit(self, job, **headers):
        return self.json("/v1/jobs", job, headers=headers)["id"]

    def job(self, id):
        return self.json("/v1/jobs/%d" % id)

    def wait_state(self, id, state, seconds=300):
        def reached():
            now = self.job(id)
            if now["state"] == state:
                return now
            if now["state"] in ("succeeded", "failed", "cancelled"):
                raise AssertionError("job %d %s: %s\n%s" % (id, now["state"], now["error"], self.read_log()[-4000:]))
            return None
        return self.wait(reached, seconds, "job %d %s" % (id, state))

    def wait_step(self, id, step, seconds=120):
        return self.wait(lambda: self.job(id)["progress"]["step"] >= step, seconds, "step %d of job %d" % (step, id))

    def worker(self):
        return self.json("/v1/devices")["devices"][0]["worker_pid"]

    def events(self, id):
        """Every event of a finished job: its id, name and data."""
        text = self.request("/v1/jobs/%d/events" % id, headers={"Accept": "application/x-ndjson"})[1]
        return [json.loads(line) for line in text.decode().splitlines()]

    def weights(self, name):
        return self.request("/v1/models/%s/weights" % name)[1]
