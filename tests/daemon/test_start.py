"""How long it takes from nothing to a curve: with every cache empty, and with warm ones. Prints the figures."""

import time
import unittest

import harness

COLD_SECONDS, WARM_SECONDS = 10, 3


def job():
    return harness.small_job(
        architecture="bn-lenet", batch_size=128, optimizer={"name": "sgd", "lr": 0.1}, epochs=1, report_every=1
    )


def first_point(daemon):
    """Submits, and waits for the first loss. Returns it and the job's id."""
    id = daemon.submit(job())["id"]
    with daemon.stream(id) as events:
        for _, event, data in events:
            if event == "train":
                return data["loss"], id
    raise AssertionError("no loss was reported")


class Start(unittest.TestCase):
    def check(self, what, seconds, limit):
        print("%s: %.2f s (limit %d s, load %.1f)" % (what, seconds, limit, harness.busy()))
        self.assertLess(seconds, limit * harness.busy())

    def test_cold_then_warm(self):
        begun = time.monotonic()
        with harness.Daemon(private_cache=True) as d:
            d.need_fashion()
            cold, id = first_point(d)
            self.check("cold, start to first loss", time.monotonic() - begun, COLD_SECONDS)
            d.wait(id)  # every kernel of the job is made now
            d.stop()
            begun = time.monotonic()
            d.start()
            d.need_device()
            self.check("warm, start to ready", time.monotonic() - begun, WARM_SECONDS)
            begun = time.monotonic()
            warm, _ = first_point(d)
            self.check("warm, submission to first loss", time.monotonic() - begun, WARM_SECONDS)
            self.assertEqual(cold, warm)


if __name__ == "__main__":
    harness.main()
