"""The curve of a job with a million points: made up in the database, asked for in every form."""

import csv
import io
import os
import sqlite3
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree

import harness

POINTS, EVERY = 1000000, 10000
SPIKE, PIT = 123456, 765432  # steps


def loss(step):
    return 9.75 if step == SPIKE else 0.015625 if step == PIT else 1 + 1 / (1 + step * 1e-4)


def events():
    for i in range(1, POINTS + 1):
        text = '{"step":%d,"epoch":%.6f,"loss":%r,"acc":0.5,"images_per_second":1000}' % (i, i / EVERY, loss(i))
        yield "train", text
        if i % EVERY == 0:
            text = '{"step":%d,"epoch":%d,"loss":0.5,"acc":0.75,"train_loss":1.25,"train_acc":0.5}' % (i, i // EVERY)
            yield "validation", text


def insert(state, job):
    """In place of the job's own events."""
    with sqlite3.connect(next(os.path.join(state, f) for f in os.listdir(state) if f.endswith(".db"))) as db:
        db.execute("DELETE FROM events WHERE job = ?", (job,))
        rows = ((job, i, kind, text) for i, (kind, text) in enumerate(events(), 1))
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        db.execute("UPDATE jobs SET events = (SELECT max(id) FROM events WHERE job = ?) WHERE id = ?", (job, job))
    db.close()


class Million(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()
        cls.job = cls.daemon.submit(harness.small_job(epochs=1))["id"]
        cls.daemon.wait(cls.job)
        cls.daemon.stop()
        insert(cls.daemon.state, cls.job)
        cls.daemon.start()
        cls.daemon.need_device()

    def peak_bytes(self):
        with open("/proc/%d/status" % self.daemon.process.pid) as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))

    def ask(self, accept):
        """The answer's body. It comes within a minute, takes little of the front's memory, and others wait a second at most
        meanwhile."""
        harness.keeps(1, lambda: self.ask_once(accept), "others beside " + accept)
        return self.body

    def ask_once(self, accept):
        """How long others waited at most."""
        path, before, begun = "/v1/jobs/%d/curve" % self.job, self.peak_bytes(), time.monotonic()
        worst, end = 0.0, threading.Event()

        def look():
            nonlocal worst
            while not end.is_set():
                asked = time.monotonic()
                self.daemon.request("GET", "/v1/version")
                worst = max(worst, time.monotonic() - asked)
                time.sleep(0.01)

        looker = threading.Thread(target=look)
        looker.start()
        try:
            status, headers, body = self.daemon.request("GET", path, headers={"Accept": accept})
        finally:
            end.set()
            looker.join()
        took, grown = time.monotonic() - begun, self.peak_bytes() - before
        print("%s: %.1f s, others waited %.2f s at most, peak memory +%.0f MB" % (accept, took, worst, grown / 1e6))
        self.assertEqual((status, headers["Content-Type"]), (200, accept))
        self.assertLess(took, 60 * harness.pace())
        if not harness.SANITIZED:  # they keep freed memory
            self.assertLess(grown, 64e6)
        self.body = body
        return worst

    def test_json(self):
        curve = self.ask("application/json")
        self.assertEqual(curve["points"], {"train": POINTS, "validation": POINTS // EVERY})
        train = dict(zip(curve["train"]["step"], curve["train"]["loss"]))
        self.assertLess(len(train), 25000)
        self.assertEqual(train[SPIKE], 9.75)
        self.assertEqual(train[PIT], 0.015625)
        self.assertEqual(train[POINTS], loss(POINTS))
        for step, value in train.items():
            self.assertEqual(value, loss(step))
        self.assertEqual(curve["train"]["step"], sorted(curve["train"]["step"]))
        self.assertEqual(curve["validation"]["epoch"], list(range(1, POINTS // EVERY + 1)))

    def test_svg(self):
        body = self.ask("image/svg+xml")
        self.assertLess(len(body), 200000)
        ElementTree.fromstring(body)

    def test_csv_has_all(self):
        rows = csv.DictReader(io.StringIO(self.ask("text/csv").decode()))
        steps = [int(r["step"]) for r in rows if not r["val_loss"]]
        self.assertEqual(steps, list(range(1, POINTS + 1)))


if __name__ == "__main__":
    harness.main()
