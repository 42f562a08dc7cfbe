#!/usr/bin/env python3
"""REQUESTS (2,000) requests to every endpoint, good and bad, and JOBS (20) jobs of their own leave no trace: what front
and worker take of memory and descriptors afterwards is what they took after a tenth of it."""
import contextlib
import http.client
import itertools
import json
import os
import threading
import time
import unittest

import harness
from harness import Daemon, main, npy, small_job
from test_access import ARCHIVE, routes

REQUESTS = int(os.environ.get("REQUESTS", "2000"))
JOBS = int(os.environ.get("JOBS", "20"))
MOST_BYTES = 2 << 20
CLIENTS = 4


def tiny_job(**changes):
    some = {"name": "fashion-mnist", "limit": 128, "val_limit": 64}
    return small_job(**{"dataset": some, "epochs": 1, "report_every": 1, **changes})


class Mix:
    """Endless requests: (method, path, body, statuses that are right). The costly ones come seldom; who writes what
    another client is writing just then gets 409."""

    def __init__(self, job, weights, onnx):
        image = npy((1, 28, 28), [0.5] * 784)
        summary = {"architecture": "lenet", "input": [1, 28, 28], "batch": 1}
        tensor = {"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.5] * 784}]}
        often = [
            ("GET", "/", None, 200), ("GET", "/page/main.js", None, 200), ("GET", "/v1/openapi.json", None, 200),
            ("GET", "/v1/health", None, 200), ("GET", "/v1/version", None, 200), ("GET", "/v1/devices", None, 200),
            ("GET", "/v1/devices/0:0", None, 200),
            ("GET", "/v1/datasets", None, 200), ("GET", "/v1/datasets/fashion-mnist", None, 200),
            ("GET", "/v1/models", None, 200), ("GET", "/v1/models/kept", None, 200),
            ("GET", "/v1/models/kept/weights", None, 200), ("GET", "/v1/models/kept/onnx", None, 200),
            ("GET", "/v1/jobs?limit=5", None, 200),
            ("GET", "/v1/jobs/%d" % job, None, 200), ("GET", "/v1/jobs/%d/curve" % job, None, 200),
            ("GET", "/v1/jobs/%d/events" % job, None, 200), ("GET", "/v1/jobs/%d/result" % job, None, 409),
            ("POST", "/v1/jobs/%d/cancel" % job, None, 409), ("POST", "/v1/jobs/%d/pause" % job, None, 409),
            ("POST", "/v1/jobs/%d/resume" % job, None, 409), ("POST", "/v1/models/kept/classify", image, 200),
            ("GET", "/v1/architectures/lenet/summary", None, 200), ("POST", "/v1/architectures/summary", summary, 200),
            ("GET", "/v2", None, 200), ("GET", "/v2/health/live", None, 200), ("GET", "/v2/health/ready", None, 200),
            ("POST", "/v2/repository/index", None, 200), ("GET", "/v2/models/kept", None, 200),
            ("GET", "/v2/models/kept/ready", None, 200), ("POST", "/v2/models/kept/infer", tensor, 200),
            ("GET", "/v2/models/kept/versions/1", None, 200), ("GET", "/v2/models/kept/versions/1/ready", None, 200),
            ("POST", "/v2/models/kept/versions/1/infer", tensor, 200),
            # Bad ones.
            ("GET", "/v2/models/kept/versions/2", None, 404), ("POST", "/v2/models/kept/infer", {"inputs": []}, 422),
            ("GET", "/v1/nothing", None, 404), ("GET", "/v1/jobs/999999", None, 404), ("PUT", "/v1/jobs", None, 405),
            ("GET", "/v1/jobs?limit=x", None, 422), ("GET", "/v1/models/none/weights", None, 404),
            ("POST", "/v1/jobs", b"{", 400), ("POST", "/v1/jobs", {"type": "bake"}, 422),
            ("POST", "/v1/jobs", tiny_job(architecture="lenet", dataset="none"), 422),
            ("POST", "/v1/models/kept/classify", b"no image", 415), ("POST", "/v1/models/none/classify", image, 404),
            ("POST", "/v1/architectures/summary", b" " * 2000000, 413), ("GET", "/v1/datasets/none", None, 404),
            ("DELETE", "/v1/jobs/%d" % (job + 999999), None, 404),
        ]
        seldom = [
            ("GET", "/metrics", None, 200), ("GET", "/v1/architectures", None, 200),
            ("GET", "/v1/datasets/fashion-mnist/sheet", None, 200), ("PUT", "/v1/datasets/mine", ARCHIVE, (200, 201, 409)),
            ("PUT", "/v1/datasets/broken", ARCHIVE[:-40], (400, 409)), ("DELETE", "/v1/datasets/mine", None, (204, 404, 409)),
            ("PUT", "/v1/models/other/weights", weights, (200, 201, 409)), ("PUT", "/v1/models/other/onnx", onnx, (200, 201, 409)),
            ("GET", "/v1/datasets/mine/events", None, (200, 204, 404)),
            ("PUT", "/v1/models/broken/weights", weights[:-4], (400, 422, 409)),
            ("PUT", "/v1/models/broken/onnx", onnx[:-4], (400, 422, 409)),
            ("DELETE", "/v1/models/other", None, (204, 404, 409)),
            ("GET", "/v1/models/conv/filters?layer=net.0", None, 200),
            ("POST", "/v1/models/conv/activations?layer=net.0", image, 200),
            ("POST", "/v1/models/kept/map?window=28&stride=14", npy((1, 64, 64), [0.5] * 4096), 200),
        ]
        rare = itertools.cycle(seldom)
        self.items = itertools.cycle(often)
        self.stream = itertools.cycle([None] * 61 + [rare])
        self.lock = threading.Lock()
        self.table = often + seldom

    def __next__(self):
        with self.lock:
            rare = next(self.stream)
            return next(rare) if rare else next(self.items)


def footprint(pid):
    """(resident bytes, descriptors) at rest: the least of a few looks."""
    looks = []
    for _ in range(10):
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
            resident = next(int(line.split()[1]) << 10 for line in f if line.startswith("Rss:"))
        looks.append((resident, len(os.listdir("/proc/%d/fd" % pid))))
        time.sleep(0.2)
    return min(look[0] for look in looks), min(look[1] for look in looks)


class LongLife(unittest.TestCase):
    def ask_many(self, mix, count):
        """CLIENTS at once, each over connections of 500 requests; the first wrong answer ends it."""
        left, wrong = itertools.count(), []

        def client():
            while not wrong:
                with contextlib.closing(self.daemon.connection()) as c:
                    for _ in range(500):
                        if next(left) >= count:
                            return
                        method, path, body, statuses = next(mix)
                        body = json.dumps(body).encode() if isinstance(body, dict) else body
                        try:
                            c.request(method, path, body=body, headers={"Accept": "*/*"})
                            answer = c.getresponse()
                            answer.read()
                        except (OSError, http.client.HTTPException) as e:
                            wrong.append((method, path, repr(e)))
                            return
                        if answer.status not in (statuses if isinstance(statuses, tuple) else (statuses,)):
                            wrong.append((method, path, answer.status))
                            return

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])

    def run_jobs(self, count):
        for _ in range(count):
            job = self.daemon.submit(tiny_job(save_as="saved"))["id"]
            self.daemon.wait(job)
            self.assertEqual(self.daemon.request("DELETE", "/v1/jobs/%d" % job)[0], 204)

    def test_nothing_grows(self):
        self.daemon = d = self.enterContext(Daemon())
        d.need_fashion()
        job = d.submit(tiny_job(save_as="kept"))["id"]
        d.wait(job)
        conv = [{"type": "conv2d", "out_channels": 4, "kernel_size": 5}] + harness.LINEAR["layers"]
        d.wait(d.submit(tiny_job(architecture={"layers": conv}, save_as="conv"))["id"])
        mix = Mix(job, d.weights("kept"), d.request("GET", "/v1/models/kept/onnx")[2])
        self.check_table(mix)
        parts = {"front": d.process.pid, "worker": d.worker()}
        self.ask_many(mix, max(1000, REQUESTS // 10))  # each kind of request at least once
        self.run_jobs(JOBS // 10)
        before = {name: footprint(pid) for name, pid in parts.items()}
        begun = time.monotonic()
        self.ask_many(mix, REQUESTS)
        between = {name: footprint(pid) for name, pid in parts.items()}
        self.run_jobs(JOBS)
        after = {name: footprint(pid) for name, pid in parts.items()}
        self.assertEqual(d.worker(), parts["worker"], "the same worker all along")
        for name in parts:
            print("%s: %d kB, %d kB after %d requests, %d kB after %d jobs more (%.0f s); %d descriptors, then %d" % (
                name, before[name][0] >> 10, between[name][0] >> 10, REQUESTS, after[name][0] >> 10, JOBS,
                time.monotonic() - begun, before[name][1], after[name][1]))
        for name in parts:
            if not harness.SANITIZED:  # which keep what was freed
                self.assertLessEqual(after[name][0] - before[name][0], MOST_BYTES, name)
            self.assertLessEqual(after[name][1], before[name][1], name)

    def check_table(self, mix):
        """Every route is in the mix."""
        asked = {(method, path.split("?")[0]) for method, path, _, _ in mix.table}

        def matches(route, path):
            parts, wanted = path.split("/"), route.split("/")
            return len(parts) == len(wanted) and all(w in ("{}", p) for p, w in zip(parts, wanted))

        for method, route in routes():
            self.assertTrue(any(m == method and matches(route, p) for m, p in asked), (method, route))


if __name__ == "__main__":
    main()
