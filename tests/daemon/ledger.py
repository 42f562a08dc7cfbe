"""What a daemon has promised, and whether the database of a killed one still holds it."""

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading

ALLOWED = {
    None: {"queued"},
    "queued": {"running", "paused", "failed", "cancelled"},
    "running": {"queued", "paused", "succeeded", "failed", "cancelled"},
    "paused": {"queued", "cancelled"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
}
FINAL = {state for state, then in ALLOWED.items() if not then}


@contextlib.contextmanager
def copied(state):
    """A connection to a copy of the database as it lies there, its log included: looking must not repair it."""
    with tempfile.TemporaryDirectory(prefix="cnnd-copy-") as folder:
        for end in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(os.path.join(state, "cnnd.db" + end), folder)
        with contextlib.closing(sqlite3.connect(os.path.join(folder, "cnnd.db"))) as db:
            yield db


def without_speed(data):
    return {k: v for k, v in json.loads(data).items() if k != "images_per_second"}


class Ledger:
    """Filled by the threads of clients; `check` compares."""

    def __init__(self):
        self.lock = threading.Lock()
        self.keys = {}  # Idempotency-Key: job, None while no answer has come
        self.jobs = {}  # acknowledged, and the states in which answers showed it
        self.wishes = {}  # job: the last acknowledged verb, None where a later one is in doubt
        self.seen = {}  # job: the events that streams brought, in order of their ids from 1
        self.points = {}  # step: what every job, all of one seed, must tell there
        self.faults = []

    def fault(self, text, *values):
        with self.lock:
            self.faults.append(text % values)

    def acknowledge(self, job, key=None):
        """An answer that showed the job object."""
        with self.lock:
            self.jobs.setdefault(job["id"], set()).add(job["state"])
            if key and self.keys.get(key) not in (None, job["id"]):
                self.faults.append("key %s is job %d and job %d" % (key, self.keys[key], job["id"]))
            if key:
                self.keys[key] = job["id"]

    def saw(self, job, number, event, data):
        with self.lock:
            events = self.seen.setdefault(job, [])
            this = (event, json.dumps(data, sort_keys=True))
            if number == len(events) + 1:
                events.append(this)
            elif number > len(events):
                self.faults.append("job %d: event %d came after event %d" % (job, number, len(events)))
            elif events[number - 1] != this:
                self.faults.append("job %d: event %d was %s and is %s" % (job, number, events[number - 1], this))

    def check(self, state):
        """Of a daemon that is dead. Returns the number of jobs and of events that were looked at."""
        with copied(state) as db:
            answer = db.execute("PRAGMA integrity_check").fetchall()
            if answer != [("ok",)]:
                self.faults.append("integrity_check: %s" % answer)
            rows = {row[0]: row[1:] for row in db.execute("SELECT id, key, state, events FROM jobs")}
            events = {}
            for job, number, event, data in db.execute("SELECT job, id, event, data FROM events ORDER BY job, id"):
                events.setdefault(job, []).append((number, event, data))
        with self.lock:
            self._check_jobs(rows)
            for job, (_, state, count) in rows.items():
                self._check_events(job, state, count, events.get(job, []))
        return len(rows), sum(map(len, events.values()))

    def _check_jobs(self, rows):
        by_key = {}
        for job, (key, _, _) in rows.items():
            if key:
                by_key.setdefault(key, []).append(job)
        for key, jobs in by_key.items():
            if len(jobs) != 1 or self.keys.get(key) not in (None, jobs[0]):
                self.faults.append("key %s, acknowledged as %s, is jobs %s" % (key, self.keys.get(key), jobs))
        for job in self.jobs:
            if job not in rows:
                self.faults.append("job %d was acknowledged and is lost" % job)

    def _check_events(self, job, state, count, events):
        if [number for number, _, _ in events] != list(range(1, count + 1)):
            self.faults.append("job %d with %d events has %s" % (job, count, [n for n, _, _ in events]))
        was, states, steps = None, [], []
        for number, event, data in events:
            if event == "state":
                is_now = json.loads(data)["state"]
                if is_now not in ALLOWED[was]:
                    self.faults.append("job %d became %s out of %s" % (job, is_now, was))
                was = is_now
                states.append(was)
            elif event == "train":
                steps.append(json.loads(data)["step"])
                if self.points.setdefault(steps[-1], without_speed(data)) != without_speed(data):
                    self.faults.append("job %d: step %d differs from other jobs'" % (job, steps[-1]))
            elif event == "end" and (number != len(events) or was not in FINAL):
                self.faults.append("job %d: event %d is an end, in state %s" % (job, number, was))
        if was != state or (state in FINAL) != (bool(events) and events[-1][1] == "end"):
            self.faults.append("job %d is %s, its events say %s" % (job, state, was))
        if steps != list(range(1, len(steps) + 1)):
            self.faults.append("job %d has train events of steps %s" % (job, steps))
        lost = self.jobs.get(job, set()) - set(states)
        if lost:
            self.faults.append("job %d was shown as %s, its events say %s" % (job, lost, states))
        for i, (event, data) in enumerate(self.seen.get(job, [])):
            if i >= len(events) or (events[i][1], json.dumps(json.loads(events[i][2]), sort_keys=True)) != (event, data):
                self.faults.append("job %d: event %d, %s %s, was seen and is lost" % (job, i + 1, event, data))
