#!/usr/bin/env python3
"""Options of training over HTTP: a model with another end, trained on with a frozen front; stopping early; a loss that explodes."""

import json
import os
import struct
import unittest

import harness
from harness import small_job


def net(width):
    return {
        "layers": [
            {"type": "conv2d", "out_channels": 4, "kernel_size": 5, "stride": 3},
            {"type": "batch_norm"},
            {"type": "relu"},
            {"type": "flatten"},
            {"type": "linear", "out_features": width},
            {"type": "relu"},
            {"type": "linear", "out_features": 10},
        ]
    }


def tensors(body):
    size = struct.unpack("<Q", body[:8])[0]
    head = json.loads(body[8 : 8 + size])
    head.pop("__metadata__")
    return {name: body[8 + size :][slice(*t["data_offsets"])] for name, t in head.items()}


class Finetune(unittest.TestCase):
    def setUp(self):
        self.daemon = self.enterContext(harness.Daemon())
        self.daemon.need_fashion()

    def weights(self, model):
        return tensors(self.daemon.weights(model))

    def run_job(self, **changes):
        job = self.daemon.wait(self.daemon.submit(small_job(**changes))["id"], ("succeeded", "failed"))
        return job, [(event, data) for _, event, data in self.daemon.events(job["id"])]

    def test_frozen_layers_of_a_model(self):
        adam = {"name": "adamw", "lr": 0.003, "weight_decay": 0.1, "gradient_clip": 1.0}
        job, _ = self.run_job(architecture=net(20), optimizer=adam, save_as="base")
        self.assertEqual(job["state"], "succeeded", job)
        for freeze, pointer in ((["net.0", "nets"], "/init/freeze/1"), (["net"], "/init/freeze")):
            init = {"from": "base", "strict": False, "freeze": freeze}
            status, _, body = self.daemon.request("POST", "/v1/jobs", small_job(architecture=net(30), init=init))
            self.assertEqual((status, body["pointer"]), (422, pointer))
        status, _, body = self.daemon.request("POST", "/v1/jobs", small_job(architecture=net(30), init={"from": "base"}))
        self.assertEqual((status, body["pointer"]), (422, "/init/from"))
        for words in ('tensor "net.4.weight" is 20x', ", the network's is 30x", "; 2 more do not fit", '"strict": false in "init"'):
            self.assertIn(words, body["detail"])
        init = {"from": "base", "strict": False, "freeze": ["net.0", "net.1"]}
        job, events = self.run_job(architecture=net(30), optimizer=adam, init=init, save_as="tuned")
        self.assertEqual(job["state"], "succeeded", job)
        notes = [data["text"] for event, data in events if event == "note"]
        self.assertEqual(len(notes), 1)
        self.assertIn("net.4.weight (another shape)", notes[0])
        self.assertEqual(job["notes"], notes)
        base, tuned = self.weights("base"), self.weights("tuned")
        self.assertEqual(base.keys(), tuned.keys())
        for name, data in base.items():
            frozen = name.startswith(("net.0.", "net.1."))
            self.assertEqual(data == tuned[name], frozen, name)

    def test_weights_that_were_changed_meanwhile(self):
        """The run looks again at what it was submitted with."""
        job, _ = self.run_job(architecture=net(20), save_as="base")
        self.run_job(architecture=net(30), save_as="other")
        id = self.daemon.submit(small_job(architecture=net(20), init={"from": "base"}, epochs=100000))["id"]
        self.daemon.wait_step(id, 1)
        waiting = self.daemon.submit(small_job(architecture=net(20), init={"from": "base"}))["id"]
        folder = os.path.join(self.daemon.state, "jobs", str(waiting))
        os.unlink(os.path.join(folder, "init.safetensors"))
        os.link(os.path.join(self.daemon.state, "models/other.safetensors"), os.path.join(folder, "init.safetensors"))
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % id)
        job = self.daemon.wait(waiting, ("succeeded", "failed"))
        self.assertEqual(job["state"], "failed")
        for words in ('tensor "net.4.weight" is 30x', ", the network's is 20x", '"strict": false in "init"'):
            self.assertIn(words, job["error"])

    def test_stopping_early(self):
        stop = {"metric": "val_acc", "patience": 2, "min_delta": 1}
        job, events = self.run_job(epochs=20, stop_when=stop, save_as="early")
        self.assertEqual(job["state"], "succeeded", job)
        self.assertEqual(job["progress"]["epoch"], 3)
        self.assertLess(job["progress"]["step"], job["progress"]["steps"])
        self.assertEqual([data["epoch"] for event, data in events if event == "validation"], [1, 2, 3])
        end = events[-1][1]
        self.assertEqual((end["state"], end["stopped_early"], end["epoch"], end["model"]), ("succeeded", True, 3, "early"))

    def test_the_rate_is_told(self):
        schedule = {"name": "cosine", "warmup_epochs": 1}
        job, events = self.run_job(epochs=2, report_every=1, optimizer={"lr": 0.5, "schedule": schedule})
        self.assertEqual(job["state"], "succeeded", job)
        rates = [data["lr"] for event, data in events if event == "train"]
        self.assertEqual(rates[0], 0)
        self.assertEqual(max(rates), 0.5)
        self.assertEqual(rates.index(0.5), len(rates) // 2)
        self.assertEqual(rates[len(rates) // 2 :], sorted(rates[len(rates) // 2 :], reverse=True))

    def test_a_loss_that_explodes(self):
        job, events = self.run_job(optimizer={"name": "sgd", "lr": 1e6, "momentum": 1, "weight_decay": 1000})
        self.assertEqual(job["state"], "failed")
        self.assertRegex(job["error"], "not a finite number at step [0-9]+; .*gradient_clip")
        self.assertEqual(events[-1][1]["state"], "failed")


if __name__ == "__main__":
    harness.main()
