#!/usr/bin/env python3
"""SIGKILLs of the front at random moments, start-up included, while clients submit, cancel, pause, resume and listen.

What was acknowledged or streamed is there afterwards, once. KILLS (40) of them, a fresh state folder every ROUND (100);
SEED repeats a run's choices. CNND_BINARY is the daemon on the engine without a device; with REAL=1 it is the real one.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import tempfile
import threading
import time
import unittest

import harness
from harness import Daemon, small_job, wait_for
from ledger import FINAL, Ledger
from archives import zipped

KILLS = int(os.environ.get("KILLS", "40"))
ROUND = int(os.environ.get("ROUND", "100"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 31)))
REAL = "REAL" in os.environ
NO_DRIVERS = {} if REAL else {"OCL_ICD_VENDORS": "/nonexistent"}
# Of a front: so long it lives at most, from its start or once it listens, on a machine that has nothing else to do.
STARTING_SECONDS, LIVING_SECONDS = 0.08, 3.0 if REAL else 0.35
JOBS_A_KILL = 4


class LocalConnection(http.client.HTTPConnection):
    """Over the Unix socket, whose name stays from one front to the next."""

    def __init__(self, path):
        super().__init__("localhost", timeout=harness.PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Client(threading.Thread):
    """Does `turn` again and again; a front that dies in it is nobody's fault."""

    def __init__(self, barrage, number):
        super().__init__(daemon=True)
        self.barrage, self.ledger, self.socket = barrage, barrage.ledger, barrage.socket
        self.random = random.Random("%d %s %d" % (SEED, type(self).__name__, number))
        self.number = number
        self.end = threading.Event()

    def run(self):
        try:
            while not self.end.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.turn()
                time.sleep(self.random.uniform(0, 0.01))
        except Exception as e:  # a defect of the test itself must not pass for a quiet client
            self.ledger.fault("%s: %r", type(self).__name__, e)

    def request(self, method, path, body=None, headers=None):
        """(status, the JSON that came)."""
        with contextlib.closing(LocalConnection(self.socket)) as c:
            c.request(method, path, json.dumps(body) if body else None, headers or {})
            answer = c.getresponse()
            text = answer.read()
        if answer.status >= 500 and answer.status != 503:
            self.ledger.fault("%s %s: %d %s", method, path, answer.status, text)
        return answer.status, json.loads(text) if text else None

    def some_job(self):
        """One of the youngest, which live still; None where there is none."""
        with self.ledger.lock:
            jobs = list(self.ledger.jobs)[-12:]
        return self.random.choice(jobs) if jobs else None


class Submitter(Client):
    """Keeps to a key until it has its answer, as a client should; some post without one."""

    key = job = None
    count = 0

    def turn(self):
        if self.key is None and self.count < JOBS_A_KILL / 2 * (self.barrage.kills + 1):
            self.count += 1
            self.key = "%d-%d" % (self.number, self.count)
            self.job = self.barrage.job(self.random, "m" + self.key)
        if self.key is None:
            return
        keyed = self.number != 0 or self.count % 4
        if keyed:
            self.ledger.keys.setdefault(self.key, None)
        status, answer = self.request("POST", "/v1/jobs", self.job, {"Idempotency-Key": self.key} if keyed else None)
        if status in (200, 201):
            self.ledger.acknowledge(answer, self.key if keyed else None)
            self.key = None if self.random.random() < 0.9 else self.key  # some ask twice
        elif status != 503:
            self.ledger.fault("submission: %d %s", status, answer)


class Steward(Client):
    """Cancels, pauses and resumes; the only one to do so, so that it knows which wish is a job's last."""

    def turn(self):
        job = self.some_job()
        if job is None:
            return
        verb = self.random.choice(("cancel", "pause", "pause", "resume", "resume"))
        before = self.ledger.wishes.get(job)
        self.ledger.wishes[job] = None
        status, answer = self.request("POST", "/v1/jobs/%d/%s" % (job, verb))
        if status == 202:
            self.ledger.wishes[job] = verb
            self.ledger.acknowledge(answer)
        elif status == 409:
            self.ledger.wishes[job] = before
        else:
            self.ledger.fault("%s of job %d: %d %s", verb, job, status, answer)


class Listener(Client):
    """Follows one job over every death, from where it stands; another where nothing came before a death."""

    job, last = None, 0

    def turn(self):
        if self.job is None:
            self.job, self.last = self.some_job(), 0
        if self.job is None:
            return
        with contextlib.closing(LocalConnection(self.socket)) as c:
            headers = {"Accept": "application/x-ndjson", "Last-Event-ID": str(self.last)}
            c.request("GET", "/v1/jobs/%d/events" % self.job, headers=headers)
            answer = c.getresponse()
            if answer.status == 204:
                self.job = None
            elif answer.status == 200:
                self.follow(answer)
            elif answer.status != 503:
                self.ledger.fault("events of job %d: %d %s", self.job, answer.status, answer.read())

    def follow(self, answer):
        job, self.job = self.job, None  # one that waits in the line all along would tell nothing
        for line in answer:
            if not line.endswith(b"\n"):
                return
            event = json.loads(line)
            if event["id"] != self.last + 1:
                self.ledger.fault("job %d: event %d after event %d", job, event["id"], self.last)
            self.last = event["id"]
            self.ledger.saw(job, event["id"], event["event"], event["data"])
            if event["event"] == "end" or self.random.random() < 0.003:
                self.job = None  # another
                return
            self.job = job


class Round:
    """Kills on one state folder."""

    def __init__(self, dice, state):
        self.ledger, self.random, self.kills, self.slower = Ledger(), dice, 0, 1
        self.daemon = Daemon({"listen": "none", "requests_per_second": 0, "queued_jobs": 0, "checkpoint_seconds": 1,
                              "slice_seconds": 0.1}, state=state, env={"CNND_FAKE_STEP_MS": "1", **NO_DRIVERS})
        self.socket = self.daemon.options["socket"] = os.path.join(state, "socket")
        self.daemon.connection = lambda: LocalConnection(self.socket)

    def job(self, dice, name):
        """A short one, or one that only ends when it is cancelled; of those with the same epochs all are the same."""
        epochs = dice.choice((1, 2, 3, 100000))
        more = {} if dice.random() < 0.5 or epochs > 3 else {"save_as": "e%d-%s" % (epochs, name)}
        if REAL:
            return small_job(epochs=epochs, report_every=1, **more)
        return {"type": "train", "architecture": "lenet", "dataset": "tiny", "batch_size": 2, "seed": 1,
                "optimizer": {"name": "sgd", "lr": 0.1}, "epochs": epochs, **more}

    def prepare(self):
        if REAL:
            self.daemon.need_fashion()
            return
        pixels = [("%d/%d.pgm" % (i % 10, i), harness.pgm(2, 2, bytes([i] * 4))) for i in range(40)]
        status, _, answer = self.daemon.request("PUT", "/v1/datasets/tiny?val=0.5", zipped(pixels))
        assert status == 201, answer

    def kill(self):
        """Starts a front, and kills it before it listens or after; where all is slower it lives longer, so that as much happens."""
        if self.kills % 10 == 0:
            self.slower = min(harness.pace(), 30)
        early, slower = self.random.random() < 0.3, self.slower
        if early:
            timer = threading.Timer(self.random.uniform(0, STARTING_SECONDS * slower), lambda: self.daemon.process.kill())
            timer.start()
        with contextlib.suppress(RuntimeError if early else ()):
            self.daemon.start()
        if early:
            timer.join()
        else:
            time.sleep(self.random.uniform(0, LIVING_SECONDS * slower))
        self.daemon.kill()
        self.kills += 1

    def settle(self):
        """Without a kill every last wish comes true; then the rest is ended."""
        d, last = self.daemon, {job: wish for job, wish in self.ledger.wishes.items() if wish}
        def state(job):
            return d.get("/v1/jobs/%d" % job)["state"]
        wait_for(lambda: all(state(j) in FINAL for j in last if last[j] == "cancel"), what="acknowledged cancels")
        wait_for(lambda: all(state(j) in FINAL | {"paused"} for j in last if last[j] == "pause"), what="acknowledged pauses")
        for job in last:
            if last[job] == "resume" and state(job) == "paused":
                self.ledger.fault("job %d was resumed and is paused", job)
        for job in list(self.ledger.jobs):
            d.request("POST", "/v1/jobs/%d/cancel" % job)
        unheard = ("queued", "running", "paused")  # also those whose answer was lost
        for name in unheard:
            for job in d.get("/v1/jobs?state=%s&limit=1000" % name)["jobs"]:
                d.request("POST", "/v1/jobs/%d/cancel" % job["id"])
        wait_for(lambda: not any(d.get("/v1/jobs?state=" + name)["jobs"] for name in unheard), what="all jobs' ends")

    def compare_models(self):
        """Models of as many epochs are the same file, however often their front died."""
        models = {}
        for model in self.daemon.get("/v1/models")["models"]:
            weights = self.daemon.weights(model["name"])
            if models.setdefault(model["name"].split("-")[0], weights) != weights:
                self.ledger.fault("model %s differs", model["name"])

    def run(self, kills, total):
        writers = [Submitter(self, 0), Submitter(self, 1), Steward(self, 0)]
        clients = writers + [Listener(self, i) for i in range(5)]
        with self.daemon as d:
            self.prepare()
            for c in clients:
                c.start()
            d.kill()
            for _ in range(kills):
                self.kill()
                self.ledger.check(d.state)
                if self.ledger.faults:
                    return self.ledger.faults
            d.start()
            for c in clients:
                c.end.set()
            for c in writers:
                c.join(harness.PATIENCE)
            d.need_device()
            self.settle()
            for c in clients:
                c.join(harness.PATIENCE)
            self.compare_models()
            d.kill()
            jobs, events = self.ledger.check(d.state)
            self.ledger.faults += [line for line in d.log_lines if " error front: " in line]
        for key, value in (("kills", kills), ("jobs", jobs), ("acknowledged", len(self.ledger.jobs)), ("events", events),
                           ("streamed", sum(map(len, self.ledger.seen.values())))):
            total[key] = total.get(key, 0) + value
        return self.ledger.faults


class Barrage(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        print("SEED=%d KILLS=%d" % (SEED, KILLS), flush=True)
        dice, total, left, begun = random.Random(SEED), {}, KILLS, time.monotonic()
        while left > 0:
            kills = min(left, ROUND)
            with tempfile.TemporaryDirectory(prefix="cnnd-barrage-") as state:
                faults = Round(dice, state).run(kills, total)
            self.assertEqual(faults[:10], [], "seed %d, after %s" % (SEED, total))
            left -= kills
        seconds = time.monotonic() - begun
        print("%s in %.0f s, %.1f restarts a second" % (total, seconds, KILLS / seconds))
        self.assertGreater(total["streamed"], KILLS)
        self.assertGreater(total["acknowledged"], KILLS)


if __name__ == "__main__":
    harness.main()
