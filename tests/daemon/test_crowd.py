#!/usr/bin/env python3
"""Many event streams of one live job at once (STREAMS, 200): nobody misses or doubles an event, each costs little memory,
and who vanishes (VANISHED, 40), in whatever way, is noticed within 30 s."""
import os
import resource
import time
import unittest

import harness
from crowd import Crowd
from harness import Daemon, long_job, main, wait_for

STREAMS = int(os.environ.get("STREAMS", "200"))
VANISHED = int(os.environ.get("VANISHED", "40"))
MOST_BYTES = 12000  # of the front's resident memory for each stream,
FIXED_BYTES = 400000  # beside what all of them together make it take
REAPED_SECONDS = 30
POINTS = 20


def resident_bytes(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("Rss:"))


def raise_file_limit(wanted):
    """Of this process and so of the daemons it starts."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):
            raise unittest.SkipTest("%d files may be open, %d streams need %d" % (hard, STREAMS, wanted)) from None
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Many(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise_file_limit(STREAMS + VANISHED + 1000)
        cls.daemon = cls.enterClassContext(Daemon())
        cls.daemon.need_fashion()

    def streams(self):
        metrics = self.daemon.request("GET", "/metrics")[2].decode()
        return int(metrics.split("\ncnnd_http_streams ")[1].split("\n")[0])

    def job_with_events(self, count, **how):
        """A paused job that has so many events and more."""
        job = self.daemon.submit(long_job(**how))["id"]
        self.daemon.wait_step(job, count * how["report_every"])
        self.daemon.request("POST", "/v1/jobs/%d/pause" % job)
        self.daemon.wait(job, ("paused",))
        return job

    def test_none_misses_one_and_the_vanished_are_reaped(self):
        d, front = self.daemon, self.daemon.process.pid
        begun = time.monotonic()
        history = self.job_with_events(3000, report_every=1)
        rate = 3000 / (time.monotonic() - begun)
        live = self.job_with_events(20, report_every=max(1, int(rate / 20)))
        with Crowd(d) as crowd:
            crowd.join(live, 20, lambda i: i)  # a warm-up
            before = resident_bytes(front)
            begun = time.monotonic()
            crowd.join(live, STREAMS - 20, lambda i: i % 20)
            wait_for(lambda: self.streams() == STREAMS, what="all streams")
            opened = time.monotonic() - begun
            d.request("POST", "/v1/jobs/%d/resume" % live)
            end = crowd.readers[0].last + POINTS
            crowd.read_until(lambda: all(r.last >= end for r in crowd.readers), "points for all")
            each = (resident_bytes(front) - before) / (STREAMS - 20)

            crowd.stand_still(history, VANISHED // 4)
            for how in (Crowd.close, Crowd.reset, Crowd.unplug):
                crowd.leave(VANISHED // 4, how)
            begun, left, pace = time.monotonic(), len(crowd.readers), harness.pace()
            while self.streams() > left:
                self.assertLess(time.monotonic() - begun, harness.PATIENCE, "%d of %d" % (self.streams(), left))
                crowd.read(0.2)
            reaped, pace = time.monotonic() - begun, max(pace, harness.pace())
            print(
                "%d streams opened in %.1f s, %.0f bytes each; %d vanished clients reaped within %.1f s"
                % (STREAMS, opened, each, VANISHED, reaped)
            )
            self.assertEqual(self.streams(), left)
            d.request("POST", "/v1/jobs/%d/cancel" % live)
            crowd.read_until(lambda: all(r.closed for r in crowd.readers), "the end of every stream")
            last = d.get("/v1/jobs/%d" % live)
            self.assertEqual(last["state"], "cancelled")
            self.assertEqual(len({r.last for r in crowd.readers}), 1)
            self.assertTrue(all(r.ended and r.points >= POINTS // 2 for r in crowd.readers))
        if not harness.SANITIZED:  # which keep what was freed, and a margin around each piece
            self.assertLess(each, MOST_BYTES + FIXED_BYTES / STREAMS)
        self.assertLess(reaped, REAPED_SECONDS * pace)


if __name__ == "__main__":
    main()
