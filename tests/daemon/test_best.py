#!/usr/bin/env python3
"""A job that keeps its best epoch (save_best), killed, stopped and short of room at every joint: its model is bit for bit that of a
job of exactly so many epochs, and it says which epoch that was."""
import os
import resource
import time
import unittest

from harness import Daemon, main, send_signal, wait_for
from test_kills import curve, flip, kill_fronts, kill_workers, killed_around_the_end, paused, train

EPOCHS, STEPS = 5, 5 * 50
# A rate that rises until it ruins what was learnt.
RISING = {"epochs": EPOCHS, "optimizer": {"name": "sgd", "lr": 60, "schedule": {"name": "constant", "warmup_epochs": EPOCHS}}}
# A rate that rises until the decay of weights makes them grow without an end.
GROWING = {"epochs": 10, "optimizer": {"name": "sgd", "lr": 5, "weight_decay": 1, "schedule": {"name": "constant", "warmup_epochs": 10}}}
METRICS = {"train_loss": "train_loss", "train_acc": "train_acc", "val_loss": "loss", "val_acc": "acc"}


def best(name, **more):
    return train(name, **RISING, **{"save_best": "val_loss", **more})


def validations(events):
    return [data for _, event, data in events if event == "validation"]


class Best(unittest.TestCase):
    def check(self, d, id, name):
        """The ended job: its model, what it says of it, and its curve, against jobs that nobody disturbed."""
        calm = d.submit(best("calm"))["id"]
        last = d.submit(train("last", **RISING))["id"]
        d.wait(calm)
        events, epochs = d.events(id), validations(d.events(id))
        self.assertEqual(curve(events), curve(d.events(calm)))
        self.assertEqual(d.weights(name), d.weights("calm"))
        found = min(epochs, key=lambda data: data["loss"])  # the first of equals
        self.assertLess(found["epoch"], EPOCHS, "the last weights would do as well")
        for i, data in enumerate(epochs):
            self.assertEqual(data["best_epoch"], min(epochs[:i + 1], key=lambda e: e["loss"])["epoch"])
        d.wait(d.submit(train("exact", **RISING, max_steps=found["step"]))["id"])
        self.assertEqual(d.weights(name), d.weights("exact"))
        d.wait(last)
        self.assertNotEqual(d.weights(name), d.weights("last"))
        self.assertIsNone(d.get("/v1/jobs/%d" % last)["metrics"]["best_epoch"])
        job, model = d.get("/v1/jobs/%d" % id), d.get("/v1/models/%s" % name)
        self.assertEqual((job["progress"]["step"], job["progress"]["epoch"]), (STEPS, EPOCHS))
        for metrics in (job["metrics"], model["metrics"]):
            self.assertEqual(metrics["best_epoch"], found["epoch"])
            self.assertEqual({k: metrics[k] for k in METRICS}, {k: found[v] for k, v in METRICS.items()})
        self.assertEqual((events[-1][1], events[-1][2]["best_epoch"]), ("end", found["epoch"]))

    def test_worker_and_front_killed(self):
        with Daemon({"checkpoint_seconds": 0.2}) as d:
            d.need_fashion()
            id = d.submit(best("it"))["id"]
            kill_workers(d, id, (20, 55, 100, 101, 140, 205))
            kill_fronts(d, id, (215, 230, 249))
            d.wait(id)
            self.check(d, id, "it")

    def test_front_killed_around_the_end(self):
        with Daemon() as d:
            d.need_fashion()
            said = lambda job: {k: v for k, v in job["metrics"].items() if k != "images_per_second"}
            want = said(d.wait(d.submit(best("calm"))["id"]))
            for name, id in killed_around_the_end(d, best, STEPS):
                self.assertEqual((said(d.get("/v1/jobs/%d" % id)), said(d.get("/v1/models/" + name))), (want, want))
                self.assertEqual(d.weights(name), d.weights("calm"))
                self.assertEqual([event for _, event, _ in d.events(id)].count("end"), 1)

    def test_paused_and_damaged(self):
        """It goes on from the checkpoint before, with what was the best one then."""
        with Daemon({"checkpoint_seconds": 3600}) as d:
            d.need_fashion()
            name, id = paused(d, best, 160)
            self.assertIsNotNone(d.get("/v1/jobs/%d" % id)["metrics"]["best_epoch"])
            path = os.path.join(d.state, "jobs", str(id), "checkpoint.safetensors")
            flip(path, -2, 4)  # within the best weights
            self.assertEqual(d.request("POST", "/v1/jobs/%d/resume" % id)[0], 202)
            job = d.wait(id)
            self.assertRegex(job["notes"][0], "^the last checkpoint is damaged .*: the job goes on from the one before it, of step ")
            self.check(d, id, name)
            self.assertFalse(os.path.exists(os.path.dirname(path)), "nothing of it stays behind")

    def test_diverges(self):
        """It fails, with the step that ruined it, and has the model of its best epoch all the same, wherever it was killed."""
        def ruined(name):
            return train(name, **GROWING, save_best="val_loss")

        with Daemon({"checkpoint_seconds": 0.2}) as d:
            d.need_fashion()
            calm = d.wait(d.submit(ruined("calm"))["id"], ("failed",))
            told = curve(d.events(calm["id"]))
            last = d.events(calm["id"])[-1][2]
            found = min(validations(d.events(calm["id"])), key=lambda data: data["loss"])
            self.assertLess(found["step"], calm["progress"]["step"], "nothing came behind its best epoch")
            error = "not a finite number (at|after) step [0-9]+; the model has the weights of its best epoch, %d. Try " % found["epoch"]
            self.assertRegex(calm["error"], error)
            self.assertEqual((last["state"], last["error"], last["model"], last["best_epoch"]),
                             ("failed", calm["error"], "calm", found["epoch"]))
            d.wait(d.submit(train("exact", **GROWING, max_steps=found["step"]))["id"])
            self.assertEqual(d.weights("calm"), d.weights("exact"))
            steps = len([row for row in told if row[0] == "train"])
            for turn in range(6):
                name = "it%d" % turn
                id = d.submit(ruined(name))["id"]
                for part in range(1, 4) if turn < 2 else ():
                    d.wait_step(id, steps * part // 4)
                    if turn == 0:
                        send_signal(wait_for(d.worker, what="a worker"))
                    else:
                        d.kill()
                        d.start()
                        d.need_device()
                if turn >= 2:  # around its end
                    d.wait_step(id, steps)
                    time.sleep((turn - 2) * 0.004)
                    d.kill()
                    d.start()
                    d.need_device()
                job, model = d.wait(id, ("failed",)), d.get("/v1/models/" + name)
                events = d.events(id)
                self.assertEqual((job["error"], job["model"]), (calm["error"], name))
                self.assertEqual(curve(events), told)
                self.assertEqual([event for _, event, _ in events].count("end"), 1)
                self.assertEqual(d.weights(name), d.weights("calm"))
                for metrics in (job["metrics"], model["metrics"]):
                    self.assertEqual(metrics["best_epoch"], found["epoch"])
                    self.assertEqual({k: metrics[k] for k in METRICS}, {k: found[v] for k, v in METRICS.items()})
                wait_for(lambda: not os.path.exists(os.path.join(d.state, "jobs", str(id))), what="an empty folder")

    def test_no_room(self):
        """The weights of an epoch that is not the last find no room: the job pauses like any whose checkpoint finds none."""
        with Daemon({"checkpoint_seconds": 3600}) as d:
            d.need_fashion()
            d.wait(d.submit(best("calm"))["id"])  # from here on all is compiled
            worker = d.worker()
            limit = resource.prlimit(worker, resource.RLIMIT_FSIZE)
            # Plain sgd has no state: such a checkpoint is as large as the model, one with other best weights twice that.
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (len(d.weights("calm")) * 3 // 2, limit[1]))
            id = d.submit(best("it"))["id"]
            job = d.wait(id, ("paused",))
            self.assertEqual(job["progress"]["epoch"], job["metrics"]["best_epoch"] + 1)
            resource.prlimit(worker, resource.RLIMIT_FSIZE, limit)
            self.assertEqual(d.request("POST", "/v1/jobs/%d/resume" % id)[0], 202)
            d.wait(id)
            reasons = [data["reason"] for _, event, data in d.events(id) if data.get("state") == "paused"]
            self.assertEqual(len(reasons), 1)
            self.assertIn("File too large: make room and resume the job", reasons[0])
            self.check(d, id, "it")


if __name__ == "__main__":
    main()
