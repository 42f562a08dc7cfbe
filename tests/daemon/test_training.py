#!/usr/bin/env python3
"""Three steps of a linear classifier, worked out again in double by PyTorch's formulas: class weights with mean reduction,
normalisation, and micro-batches that must not show."""

import gzip
import json
import math
import struct
import unittest

import harness
from harness import LINEAR

FOLDER = "/usr/share/datasets/fashion-mnist/"
BATCH, STEPS, RATE, VAL = 40, 3, 0.02, 50
MEAN, STD = 0.286, 0.353
WEIGHTS = [0.5, 3, 0, 1, 1.25, 2, 0.1, 1, 4, 0.7]


def read(kind, count):
    with gzip.open(FOLDER + kind + "-labels-idx1-ubyte.gz") as f:
        f.seek(8)
        labels = list(f.read(count))
    with gzip.open(FOLDER + kind + "-images-idx3-ubyte.gz") as f:
        f.seek(16)
        images = [[(v / 255 - MEAN) / STD for v in f.read(784)] for _ in range(count)]
    return images, labels


def zeros():
    """A model file of LINEAR with nothing in it yet."""
    head = {
        "__metadata__": {
            "architecture": json.dumps(LINEAR),
            "input": "[1,28,28]",
            "classes": json.dumps([str(i) for i in range(10)]),
        },
        "net.1.bias": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]},
        "net.1.weight": {"dtype": "F32", "shape": [10, 784], "data_offsets": [40, 40 + 4 * 7840]},
    }
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(40 + 4 * 7840)


def softmax(logits):
    top = max(logits)
    parts = [math.exp(v - top) for v in logits]
    return [p / sum(parts) for p in parts]


class Net:
    def __init__(self):
        self.weight, self.bias = [[0.0] * 784 for _ in range(10)], [0.0] * 10

    def probabilities(self, image):
        return softmax([b + sum(map(float.__mul__, row, image)) for row, b in zip(self.weight, self.bias)])

    def loss(self, images, labels, weights):
        """CrossEntropyLoss(weight=weights), reduction "mean"."""
        sums = [weights[k] * -math.log(self.probabilities(x)[k]) for x, k in zip(images, labels)]
        return sum(sums) / sum(weights[k] for k in labels)

    def step(self, images, labels, weights):
        total = sum(weights[k] for k in labels)
        for image, label, ps in [(x, k, self.probabilities(x)) for x, k in zip(images, labels)]:
            for k in range(10):
                slope = RATE * weights[label] / total * (ps[k] - (k == label))
                self.bias[k] -= slope
                self.weight[k] = [w - slope * v for w, v in zip(self.weight[k], image)]


class Training(unittest.TestCase):
    def run_job(self, daemon, **more):
        job = {
            "type": "train",
            "architecture": LINEAR,
            "dataset": {
                "name": "fashion-mnist",
                "limit": BATCH * STEPS,
                "val_limit": VAL,
                "normalize": {"mean": [MEAN], "std": [STD]},
            },
            "epochs": 1,
            "batch_size": BATCH,
            "optimizer": {"name": "sgd", "lr": RATE},
            "shuffle": False,
            "report_every": 1,
            "init": {"from": "zeros"},
            **more,
        }
        done = daemon.wait(daemon.submit(job)["id"])
        losses = [data["loss"] for _, event, data in daemon.events(done["id"]) if event == "train"]
        return losses + [done["metrics"]["val_loss"]]

    def test_class_weights(self):
        images, labels = read("train", BATCH * STEPS)
        counts = [labels.count(k) for k in range(10)]
        self.assertGreater(min(counts), 0)
        balanced = [len(labels) / (10 * count) for count in counts]
        val_images, val_labels = read("t10k", VAL)
        with harness.Daemon() as daemon:
            daemon.need_fashion()
            status, _, body = daemon.request("PUT", "/v1/models/zeros/weights", zeros())
            self.assertEqual(status, 201, body)
            for asked, weights in ((None, [1] * 10), (WEIGHTS, WEIGHTS), ("balanced", balanced)):
                net, want = Net(), []
                for i in range(0, BATCH * STEPS, BATCH):
                    want.append(net.loss(images[i : i + BATCH], labels[i : i + BATCH], weights))
                    net.step(images[i : i + BATCH], labels[i : i + BATCH], weights)
                want.append(net.loss(val_images, val_labels, weights))
                for size in (BATCH, 16):
                    more = {"class_weights": asked} if asked else {}
                    got = self.run_job(daemon, micro_batch=size, **more)
                    self.assertEqual(len(got), len(want))
                    for a, b in zip(got, want):
                        self.assertAlmostEqual(a / b, 1, places=5, msg=(asked, size, got, want))

    def test_three_hundred_layers(self):
        """Nested residuals, dense blocks and branches, written out as a user would."""

        def conv(k):
            return {"type": "conv2d", "out_channels": k, "kernel_size": 3, "padding": 1}

        def block(i):
            branches = [[conv(4)], [{"type": "tanh"}, conv(4)]]
            return {
                "type": "residual",
                "layers": [conv(8), {"type": "batch_norm"}, {"type": "relu"}, {"type": "dense", "layers": [conv(2)]},
                           {"type": "sequential", "layers": [{"type": "concat", "branches": branches}]}],
            }
        tower = [conv(8), *map(block, range(75)), {"type": "flatten"}, {"type": "linear", "out_features": 10}]
        job = {
            "type": "train", "architecture": {"layers": tower}, "epochs": 3, "batch_size": 32, "seed": 2,
            "dataset": {"name": "fashion-mnist", "resize": [8, 8], "limit": 256, "val_limit": 64},
            "optimizer": {"name": "sgd", "lr": 0.01, "gradient_clip": 1}, "report_every": 1,
        }
        with harness.Daemon() as daemon:
            daemon.need_fashion()
            summary = daemon.request(
                "POST", "/v1/architectures/summary", {"architecture": {"layers": tower}, "input": [1, 8, 8]})[2]
            self.assertGreater(summary["totals"]["layers"], 500)
            done = daemon.wait(daemon.submit(job)["id"])
            losses = [data["loss"] for _, event, data in daemon.events(done["id"]) if event == "train"]
            self.assertEqual(len(losses), 24)
            self.assertLess(sum(losses[-8:]), sum(losses[:8]))
            # The 40th block's shortcut does not fit: 422, and where.
            tower[40]["layers"][0] = conv(9)
            tower[40]["layers"].append(conv(9))
            status, _, problem = daemon.request("POST", "/v1/jobs", job)
            self.assertEqual((status, problem["pointer"]), (422, "/architecture/layers/40"), problem)


if __name__ == "__main__":
    harness.main()
