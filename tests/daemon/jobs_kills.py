#!/usr/bin/env python3
"""Kills at every joint: whatever dies, a job ends with the curve and the weights of an undisturbed run.

usage: jobs_kills.py PATH_OF_CNND [unittest arguments]"""

import os
import signal
import sys
import threading
import time
import unittest

from cnnd_process import Daemon, Problem

CNND = None


def train(name, **more):
    return {"type": "train", "name": name, "architecture": "bn-lenet",
            "dataset": {"name": "fashion-mnist", "limit": 3200, "val_limit": 500},
            "epochs": 3, "batch_size": 64, "optimizer": {"name": "sgd", "lr": 0.5}, "seed": 3,
            "report_every": 1, "save_as": name, **more}


STEPS = 3 * 50


def curve(events):
    """What must not differ between two runs: all but speed, states and checkpoints."""
    rows = []
    for i, e in enumerate(events):
        assert e["id"] == i + 1, "event ids do not count up by one"
        if e["event"] in ("train", "validation"):
            rows.append((e["event"], sorted((k, v) for k, v in e["data"].items() if k != "images_per_second")))
    return rows


class Kills(unittest.TestCase):
    def compare(self, d, id, name, calm_name="calm"):
        calm = d.submit(train(calm_name))
        d.wait_state(calm, "succeeded")
        a, b = d.events(id), d.events(calm)
        steps = [e["data"]["step"] for e in a if e["event"] == "train"]
        self.assertEqual(steps, list(range(1, STEPS + 1)))
        self.assertEqual(curve(a), curve(b))
        self.assertEqual(a[-1]["event"], "end")
        self.assertEqual(d.weights(name), d.weights(calm_name))

    def test_worker_killed_in_mid_epoch(self):
        with Daemon(CNND, "--checkpoint-seconds", "1") as d:
            id = d.submit(train("it"))
            for step in (20, 70, 110):
                d.wait_step(id, step)
                os.kill(d.worker(), signal.SIGKILL)
            d.wait_state(id, "succeeded")
            self.compare(d, id, "it")

    def test_front_killed(self):
        with Daemon(CNND, "--checkpoint-seconds", "1") as d:
            id = d.submit(train("it"))
            for step in (30, 60, 120):
                d.wait_step(id, step)
                d.kill()
                d.start()
            d.wait_state(id, "succeeded")
            self.compare(d, id, "it")

    def test_front_killed_around_the_end(self):
        """At any moment of saving the model it is there in the end, and the job has ended once."""
        with Daemon(CNND) as d:
            id = d.submit(train("calm"))
            d.wait_state(id, "succeeded")
            want = d.weights("calm")
            for turn in range(6):
                name = "it%d" % turn
                id = d.submit(train(name))
                d.wait_step(id, STEPS)
                time.sleep(turn * 0.004)
                d.kill()
                d.start()
                d.wait_state(id, "succeeded")
                self.assertEqual(d.weights(name), want)
                self.assertEqual([e["event"] for e in d.events(id)].count("end"), 1)

    def test_kernel_that_never_returns(self):
        with Daemon(CNND, "--watchdog-seconds", "8") as d:
            marker = os.path.join(d.state, "hang")
            d.stop()
            d.env.update(CNND_TEST_HANG_FILE=marker, CNND_TEST_HANG_STEP="60")
            d.start()
            open(marker, "w").close()
            worst, end = 0.0, threading.Event()

            def ask():
                nonlocal worst
                while not end.is_set():
                    begun = time.monotonic()
                    assert d.healthy()
                    worst = max(worst, time.monotonic() - begun)
                    time.sleep(0.05)

            asker = threading.Thread(target=ask)
            id = d.submit(train("it"))
            asker.start()
            try:
                d.wait_state(id, "succeeded")
            finally:
                end.set()
                asker.join()
            self.assertLess(worst, 1.0)
            self.assertFalse(os.path.exists(marker))
            self.assertIn("did not move", d.read_log())
            self.compare(d, id, "it")

    def test_sigterm_drains(self):
        with Daemon(CNND) as d:
            id = d.submit(train("it"))
            d.wait_step(id, 50)
            begun = time.monotonic()
            d.stop()
            self.assertLess(time.monotonic() - begun, 10)
            d.start()
            d.wait_state(id, "succeeded")
            self.assertGreater(len([e for e in d.events(id) if e["event"] == "checkpoint"]), 3)
            self.compare(d, id, "it")

    def test_pause_resume_cancel(self):
        with Daemon(CNND) as d:
            id, other = d.submit(train("it")), d.submit(train("other"))
            d.wait_step(id, 20)
            self.assertEqual(d.request("/v1/jobs/%d/pause" % id, method="POST")[0], 202)
            d.wait_state(id, "paused")
            d.wait_step(other, 5)
            self.assertEqual(d.request("/v1/jobs/%d/cancel" % other, method="POST")[0], 202)
            d.wait_state(other, "cancelled")
            with self.assertRaises(Problem) as caught:
                d.request("/v1/jobs/%d/resume" % other, method="POST")
            self.assertEqual(caught.exception.status, 409)
            self.assertEqual(d.request("/v1/jobs/%d/resume" % id, method="POST")[0], 202)
            d.wait_state(id, "succeeded")
            self.compare(d, id, "it")

    def test_classification_while_training(self):
        with Daemon(CNND) as d:
            d.wait_state(d.submit(train("it")), "succeeded")
            id = d.submit(train("long", epochs=200))
            d.wait_step(id, 20)
            pixels = b"P5 28 28 255\n" + bytes(784)
            times = []
            for _ in range(20):
                begun = time.monotonic()
                d.json("/v1/models/it/classify?top=3", pixels, headers={"Content-Type": "application/octet-stream"})
                times.append(time.monotonic() - begun)
            self.assertEqual(d.job(id)["state"], "running")
            self.assertLess(sorted(times)[10], 1.0)
            d.request("/v1/jobs/%d/cancel" % id, method="POST")
            d.wait_state(id, "cancelled")

    def test_damaged_kernel_cache(self):
        with Daemon(CNND) as d:
            d.wait_state(d.submit(train("first", epochs=1)), "succeeded")
            d.stop()
            folder = os.path.join(d.state, "cache")
            files = sorted(os.path.join(path, f) for path, _, names in os.walk(folder) for f in names)
            self.assertGreater(len(files), 2)
            for i, path in enumerate(files):
                size = os.path.getsize(path)
                with open(path, "r+b") as f:
                    if i % 3 == 0:
                        f.truncate(size // 2)
                    elif i % 3 == 1:
                        f.truncate(0)
                    else:
                        f.write(os.urandom(size))
            d.start()
            d.wait_state(d.submit(train("second", epochs=1)), "succeeded")
            self.assertEqual(d.weights("first"), d.weights("second"))
            self.assertEqual(d.json("/v1/devices")["devices"][0]["failures"], 0)

    def test_weights_go_out_and_in(self):
        with Daemon(CNND) as d:
            d.wait_state(d.submit(train("it", epochs=1)), "succeeded")
            weights = d.weights("it")
            answer = d.json("/v1/models/again/weights", weights, method="PUT")
            self.assertEqual(answer["input"], [1, 28, 28])
            image = b"P5 28 28 255\n" + os.urandom(784)
            a, b = (d.json("/v1/models/%s/classify" % name, image, headers={"Content-Type": "image/x-portable-graymap"})
                    for name in ("it", "again"))
            self.assertEqual(a["results"], b["results"])
            for body, status in ((b"", (400, 422)), (weights[:-5], (400, 422)), (b"\xff" * 100, (400, 422))):
                with self.assertRaises(Problem) as caught:
                    d.json("/v1/models/bad/weights", body, method="PUT")
                self.assertIn(caught.exception.status, status)
            with self.assertRaises(Problem) as caught:
                d.json("/v1/models/bad/weights?architecture=lenet", weights, method="PUT")
            self.assertEqual(caught.exception.status, 422)
            self.assertEqual(sorted(m["name"] for m in d.json("/v1/models")["models"]), ["again", "it"])
            self.assertEqual(os.listdir(os.path.join(d.state, "tmp")), [])


if __name__ == "__main__":
    CNND = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
