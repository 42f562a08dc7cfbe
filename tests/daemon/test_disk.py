#!/usr/bin/env python3
"""Files that a disk cannot read, or that are cut while they are in use: what wants them is answered, and the front lives on. On an
engine without a device (CNND_BINARY names cnnd-fake)."""
import os
import time
import unittest

from driven import grains, TINY
from harness import Daemon, main, wait_for
from people import Person, token
from test_onnx import RANKS, RANKS_TENSORS, safetensors

LIBRARY = os.environ["CNND_BADDISK_LIBRARY"]
MODEL = safetensors(RANKS, RANKS_TENSORS, {})


class Disk(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(env={"CNND_FAKE_DEVICES": "1", "LD_PRELOAD": LIBRARY}, device=False)
        self.flag = self.daemon.env["CNND_BADDISK"] = os.path.join(self.daemon.state, "bad")
        os.mkdir(os.path.join(self.daemon.state, "models"))
        with open(self.path("models/net.safetensors"), "wb") as f:
            f.write(MODEL)
        self.enterContext(self.daemon)
        self.daemon.need_device()
        self.daemon.request("PUT", "/v1/datasets/grains", grains())

    def path(self, name):
        return os.path.join(self.daemon.state, name)

    def fails(self, path):
        """From now on the disk does, where that is part of a file's path; "PATH BYTE" at that byte alone."""
        with open(self.flag + ".new", "w") as f:
            f.write(path)
        os.rename(self.flag + ".new", self.flag)

    def heals(self):
        os.unlink(self.flag)

    def again(self):
        self.daemon.stop()
        self.daemon.start()
        self.daemon.need_device()

    def check_refused(self, path, said):
        """With words that name no file, by a front that is still the same."""
        status, _, problem = self.daemon.request("GET", path)
        self.assertEqual(status, 503, problem)
        self.assertIn(said, problem["detail"])
        self.assertNotIn(self.daemon.state, problem["detail"])
        self.assertEqual((self.daemon.process.poll(), self.daemon.request("GET", "/v1/health")[0]), (None, 200))

    def check_served(self, path):
        self.assertEqual(self.daemon.request("GET", path)[0], 200, path)

    def test_what_is_served(self):
        d = self.daemon
        d.wait(d.submit({**TINY, "save_as": "mine"})["id"])
        job = d.submit({"type": "classify", "model": "mine", "dataset": "grains"})["id"]
        d.wait(job)
        for path, file, said in (("/v1/models/net/onnx", "models/net.safetensors", "the file of model 'net' cannot be read"),
                                 ("/v1/datasets/grains/sheet", "datasets/grains.cnnd", "the data set 'grains' cannot be read"),
                                 ("/v1/jobs/%d/result" % job, "/result.json", "the result of job %d cannot be read" % job)):
            self.check_served(path)
            self.fails(file)
            self.check_refused(path, said)
            self.heals()
            self.check_served(path)

    def test_strategies(self):
        """A tuning file that cannot be read tells nothing; nobody dies of it."""
        d = self.daemon
        os.makedirs(self.path("tuning"), exist_ok=True)
        with open(self.path("tuning/fake_platform-fake_0.tune"), "w") as f:
            f.write("# cnnd tuning\n")
        id = d.get("/v1/devices")["devices"][0]["id"]
        self.check_served("/v1/devices/" + id)
        self.fails("/tuning/")
        self.check_served("/v1/devices/" + id)
        self.assertEqual(d.process.poll(), None)
        self.again()
        self.assertEqual(d.get("/v1/devices")["devices"][0]["failures"], 0)
        self.heals()

    def test_what_is_stored(self):
        """It is refused, and what stood there stands."""
        d = self.daemon
        self.fails("models/")
        self.assertGreaterEqual(d.request("PUT", "/v1/models/new/weights", MODEL)[0], 500)
        self.fails("datasets/")
        self.assertGreaterEqual(d.request("PUT", "/v1/datasets/grains", grains(each=5))[0], 500)
        self.assertEqual(d.process.poll(), None)
        self.heals()
        self.assertEqual(d.request("GET", "/v1/models/new")[0], 404)
        self.assertEqual(sum(d.get("/v1/datasets/grains")["class_counts"]["train"]) + d.get("/v1/datasets/grains")["val"], 36)
        self.check_served("/v1/datasets/grains/sheet")

    def test_start(self):
        """A start beside a disk that fails, with files that were moved, so that their marks are looked for."""
        d = self.daemon
        self.assertEqual(d.request("PUT", "/v1/models/new/weights", MODEL)[0], 201)
        before = d.get("/v1/models/new"), d.get("/v1/datasets/grains")
        for name in ("models/new.safetensors", "datasets/grains.cnnd"):
            os.utime(self.path(name), (1, 1))
        self.fails("s/new.safetensors")
        self.again()
        self.check_served("/v1/datasets/grains/sheet")
        self.check_refused("/v1/models/new/weights", "the file of model 'new' cannot be read")
        self.assertIn("cannot be read", d.get("/v1/models/new")["error"])
        self.heals()
        wait_for(lambda: d.get("/v1/models/new")["error"] is None, what="another try")
        self.check_served("/v1/models/new/weights")
        os.utime(self.path("datasets/grains.cnnd"), (2, 2))
        self.fails("datasets/grains.cnnd 4096")  # its first image, which no start reads but for a mark
        self.again()
        self.assertEqual(d.get("/v1/datasets/grains")["state"], "failed")
        self.fails("datasets/grains")
        self.again()
        self.assertEqual(d.get("/v1/datasets/grains")["state"], "failed")
        self.assertIn("Input/output error", d.get("/v1/datasets/grains")["error"])
        self.check_refused("/v1/datasets/grains/sheet", "the data set 'grains' cannot be read")
        self.heals()
        self.again()
        self.assertEqual((d.get("/v1/models/new"), d.get("/v1/datasets/grains")), before)

    def test_worker(self):
        """Whose data cannot be read pauses, and nobody else waits for it."""
        d = self.daemon
        self.fails("datasets/grains")
        job = d.submit(TINY)["id"]
        self.assertEqual(d.wait(job, ("paused", "failed"))["state"], "paused")
        device = wait_for(lambda: [x for x in d.get("/v1/devices")["devices"] if x["state"] != "starting"])[0]
        self.assertEqual((device["state"], device["failures"]), ("ready", 0))
        self.heals()
        self.assertEqual(d.request("POST", "/v1/jobs/%d/resume" % job)[0], 202)
        d.wait(job)
        reason = next(data["reason"] for _, _, data in d.events(job) if data.get("state") == "paused")
        self.assertIn("a file that cannot be read", reason)

    def test_cut(self):
        """Shortened by somebody else while the front knows of it."""
        os.truncate(self.path("datasets/grains.cnnd"), 5000)
        self.check_refused("/v1/datasets/grains/sheet", "its file is another one")
        os.truncate(self.path("models/net.safetensors"), 100)
        self.check_refused("/v1/models/net/onnx", "the file of model 'net' is damaged")


class Slow(unittest.TestCase):
    def test_who_waits_for_it_pays(self):
        """While a change is synced nobody else is served: that counts as the user's time, too."""
        env = {"CNND_FAKE_DEVICES": "1", "CNND_FAKE_STEP_MS": "900", "LD_PRELOAD": LIBRARY}
        with Daemon(env=env, device=False) as d:
            d.need_device()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            self.assertEqual(anna.status("PUT", "/v1/datasets/grains", grains()), 201)
            d.stop()
            d.env["CNND_BADDISK_SYNC_MS"] = "200"
            d.start()
            wait_for(lambda: d.request("GET", "/v1/health")[0] == 200)
            _, waiting = (anna.submit({**TINY, "epochs": 100000}) for _ in range(2))
            answers = []
            for i in range(200):
                answers.append(anna.request("POST", "/v1/jobs/%d/%s" % (waiting, ("pause", "resume")[i % 2])))
                if answers[-1][0] != 202:
                    break
            self.assertEqual(answers[-1][0], 429, answers[-1])
            self.assertIn("half of the server's time", answers[-1][2]["detail"])
            self.assertEqual(bert.status("GET", "/v1/jobs"), 200)

    def test_jobs_leave_time_to_others(self):
        """What they report shares a commit for as much longer as that takes."""
        env = {"CNND_FAKE_DEVICES": "2", "CNND_FAKE_STEP_MS": "5", "LD_PRELOAD": LIBRARY}
        with Daemon(env=env, device=False) as d:
            d.need_device()
            self.assertEqual(d.request("PUT", "/v1/datasets/grains", grains(each=1000))[0], 201)
            d.stop()
            syncs = d.env["CNND_BADDISK_SYNCS"] = os.path.join(d.state, "syncs")
            d.env["CNND_BADDISK_SYNC_MS"] = "50"
            d.start()
            d.need_device()
            jobs = [d.submit({**TINY, "epochs": 1000, "batch_size": 1})["id"] for _ in range(2)]
            for job in jobs:
                d.wait_step(job, 10)
            before, begun = os.path.getsize(syncs), time.monotonic()
            time.sleep(5)
            waited = 0.05 * (os.path.getsize(syncs) - before) / (time.monotonic() - begun)
            self.assertLess(waited, 0.5, "of the front's time")


if __name__ == "__main__":
    main()
