"""A worker that waits for a processor is not taken for one that hangs: a step that needs longer by the wall than the watchdog
waits, on a processor that it shares with others, is no failure."""

import os
import subprocess
import sys
import time
import unittest

import harness

WATCHDOG_SECONDS, OTHERS = 4, 12
STEP = {"architecture": "bn-lenet", "batch_size": 20000, "epochs": 2, "report_every": 1}
BUSY = "import ctypes\nctypes.CDLL(None).prctl(1, 9)\nwhile True: pass"


def pin():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def crowd():
    """Others on the same processor, until they are killed."""
    return [subprocess.Popen([sys.executable, "-c", BUSY], preexec_fn=pin) for _ in range(OTHERS)]


class Starved(unittest.TestCase):
    def test_a_crowded_processor_is_no_failure(self):
        job = harness.small_job(dataset={"name": "fashion-mnist", "limit": 20000, "val_limit": 1}, **STEP)
        with harness.Daemon({"watchdog_seconds": 3600}) as d:
            d.need_fashion()
            d.wait(d.submit(job)["id"])  # its kernels are compiled
        with harness.Daemon({"watchdog_seconds": WATCHDOG_SECONDS}, before=pin) as d:
            d.need_fashion()
            others = crowd()
            try:
                id = d.submit(job)["id"]
                times = []
                with d.stream(id) as events:
                    for _, event, _ in events:
                        if event == "train":
                            times.append(time.monotonic())
                self.assertEqual(d.wait(id)["state"], "succeeded")
            finally:
                for other in others:
                    other.kill()
                    other.wait()
            print("steps of %s s" % ", ".join("%.1f" % (b - a) for a, b in zip(times, times[1:])), flush=True)
            self.assertGreater(max(b - a for a, b in zip(times, times[1:])), WATCHDOG_SECONDS, "a step that takes long")
            self.assertEqual(d.get("/v1/devices")["devices"][0]["failures"], 0)
            self.assertNotIn("did not move", "".join(d.log_lines))


if __name__ == "__main__":
    harness.main()
