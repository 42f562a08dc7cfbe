"""How long it takes from nothing to a curve: with every cache empty, and with warm ones. Prints the figures."""

import os
import time
import unittest

import harness

COLD_SECONDS, WARM_SECONDS = 10, 3


def busy():
    """How many times as long things take because other work wants the cores too; 1 on an idle machine."""
    return max(1.0, os.getloadavg()[0] / os.cpu_count())


def job():
    return harness.small_job(
        architecture="bn-lenet", batch_size=128, optimizer={"name": "sgd", "lr": 0.1}, epochs=1, report_every=1
    )


def first_point(daemon):
    """Submits, and waits for the first loss."""
    with daemon.stream(daemon.submit(job())["id"]) as events:
        for _, event, data in events:
            if event == "train":
                return data["loss"]
    raise AssertionError("no loss was reported")


class Start(unittest.TestCase):
    def check(self, what, seconds, limit):
        print("%s: %.2f s (limit %d s, load %.1f)" % (what, seconds, limit, busy()))
        self.assertLess(seconds, limit * busy())

    def test_cold_then_warm(self):
        begun = time.monotonic()
        with harness.Daemon(private_cache=True) as d:
            d.need_fashion()
            cold = first_point(d)
            self.check("cold, start to first loss", time.monotonic() - begun, COLD_SECONDS)
            d.stop()
            begun = time.monotonic()
            d.start()
            d.need_device()
            self.check("warm, start to ready", time.monotonic() - begun, WARM_SECONDS)
            begun = time.monotonic()
            warm = first_point(d)
            self.check("warm, submission to first loss", time.monotonic() - begun, WARM_SECONDS)
            self.assertEqual(cold, warm)


if __name__ == "__main__":
    harness.main()
