#!/usr/bin/env python3
"""A user who floods the queue delays another's first job by at most one slice. FLOOD jobs (300) come first."""
import contextlib
import json
import os
import time
import unittest

from harness import PATIENCE, Daemon, keeps, long_job, main, small_job, wait_for
from people import Person, token

FLOOD = int(os.environ.get("FLOOD", "300"))
SLICE = 1.0
# For a stop at the next step, a checkpoint and a start, on a machine that others use too; far from the slices of a flood.
GRACE = 60.0


class Flood(unittest.TestCase):
    def test_delay_is_a_slice(self):
        options = {"queued_jobs": 0, "requests_per_second": 0, "stored_bytes": 0, "slice_seconds": SLICE}
        with Daemon(options) as d:
            d.need_fashion()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            body = json.dumps(long_job()).encode()
            begun = time.monotonic()
            with contextlib.closing(d.connection()) as c:
                for _ in range(FLOOD):
                    c.request("POST", "/v1/jobs", body=body, headers=anna.headers)
                    answer = c.getresponse()
                    last = json.loads(answer.read())
                    self.assertEqual(answer.status, 201)
            flooded = time.monotonic() - begun
            self.assertGreater(last["queue"]["position"] or FLOOD, FLOOD // 2)
            wait_for(lambda: anna.get("/v1/jobs?state=running")["jobs"])
            begun = time.monotonic()
            job = bert.submit(small_job(epochs=1))
            seen = bert.get("/v1/jobs/%d" % job)
            if seen["state"] == "queued":
                self.assertIn(seen["queue"]["position"], (1, None))  # it is looked up now and then
                self.assertTrue(seen["queue"]["reason"])
            wait_for(lambda: bert.get("/v1/jobs/%d" % job)["state"] != "queued")
            delay = time.monotonic() - begun
            print("%d jobs queued in %.1f s, the other's first waited %.2f s" % (FLOOD, flooded, delay))
            self.assertLess(delay, SLICE + GRACE)
            wait_for(lambda: bert.get("/v1/jobs/%d" % job)["state"] == "succeeded")
            # The list and the line stay quick.
            def listing():
                begun = time.monotonic()
                self.assertEqual(len(anna.get("/v1/jobs?limit=1000")["jobs"]), min(FLOOD, 1000))
                return time.monotonic() - begun

            keeps(2, listing, "the list")
            # What yielded goes on where it was.
            wait_for(lambda: anna.get("/v1/jobs?state=running")["jobs"])
            first = anna.get("/v1/jobs?state=running")["jobs"][0]
            self.assertTrue(self.hears(anna, first["id"], "another job's turn"))

    def hears(self, person, job, reason):
        """Whether the job was in a state for this reason. What it said before comes first, and while it runs there is no end."""
        with contextlib.closing(person.daemon.connection()) as c:
            c.request("GET", "/v1/jobs/%d/events" % job, headers={"Accept": "application/x-ndjson", **person.headers})
            answer, end = c.getresponse(), time.monotonic() + PATIENCE
            while time.monotonic() < end:
                event = json.loads(answer.readline())
                if event["event"] == "state" and event["data"].get("reason") == reason:
                    return True
        return False


if __name__ == "__main__":
    main()
