#!/usr/bin/env python3
"""The wall clock is set while a worker waits for the front: it waits as long as before, and says that it lives. On an engine
without a device (CNND_BINARY names cnnd-fake)."""
import contextlib
import os
import sqlite3
import time
import unittest

from driven import grains, TINY
from harness import Daemon, main

LIBRARY = os.environ["CNND_CLOCK_LIBRARY"]
DAY = 86400
WATCHDOG_SECONDS, HELD_SECONDS = 2, 7


class Clock(unittest.TestCase):
    def processor_seconds(self, pid):
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")

    def check(self, ahead):
        env = {"CNND_FAKE_DEVICES": "1", "CNND_FAKE_STEP_MS": "20", "LD_PRELOAD": LIBRARY}
        d = Daemon(env=env, options={"watchdog_seconds": WATCHDOG_SECONDS}, device=False)
        clock = d.env["CNND_CLOCK"] = os.path.join(d.state, "clock")
        with d:
            d.need_device()
            d.request("PUT", "/v1/datasets/grains", grains())
            job = d.submit({**TINY, "epochs": 60})["id"]
            d.wait_step(job, 3)
            worker = d.worker()
            with open(clock + ".new", "w", encoding="utf-8") as f:
                f.write(str(ahead))
            os.rename(clock + ".new", clock)
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"), isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")  # no event is stored, and the next checkpoint waits for that
                begun = self.processor_seconds(worker)
                time.sleep(HELD_SECONDS)
                took = self.processor_seconds(worker) - begun
                db.execute("ROLLBACK")
            self.assertEqual(d.wait(job)["state"], "succeeded")
            self.assertEqual([line for line in d.log_lines if "killing its worker" in line], [])
            self.assertEqual((d.worker(), d.get("/v1/devices")["devices"][0]["failures"]), (worker, 0))
            self.assertLess(took, HELD_SECONDS / 3)

    def test_set_ahead(self):
        self.check(DAY)

    def test_set_back(self):
        self.check(-DAY)


if __name__ == "__main__":
    main()
