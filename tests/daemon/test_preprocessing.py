#!/usr/bin/env python3
"""Training, validation and serving see the same pixels: normalisation is stored with the model and applied wherever it runs."""

import gzip
import json
import math
import struct
import unittest
import urllib.parse

import harness
from harness import LINEAR, small_job

FOLDER = "/usr/share/datasets/fashion-mnist/"
MEAN, STD = 0.286, 0.353
COUNT = 64


def test_images(count):
    with gzip.open(FOLDER + "t10k-images-idx3-ubyte.gz") as f:
        f.seek(16)
        return [f.read(784) for _ in range(count)]


def test_labels(count):
    with gzip.open(FOLDER + "t10k-labels-idx1-ubyte.gz") as f:
        f.seek(8)
        return list(f.read(count))


def weights_of(data):
    """The linear layer (10,784) and its bias out of a model file."""
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8 : 8 + size])

    def floats(name):
        begin, end = head[name]["data_offsets"]
        return struct.unpack("<%df" % ((end - begin) // 4), data[8 + size + begin : 8 + size + end])

    return floats("net.1.weight"), floats("net.1.bias"), head["__metadata__"]


def forward(weight, bias, pixels):
    """Logits in double."""
    return [b + sum(w * p for w, p in zip(weight[784 * k : 784 * k + 784], pixels)) for k, b in enumerate(bias)]


def fixed(image):
    return [(v / 255 - MEAN) / STD for v in image]


def per_image(image):
    values = [v / 255 for v in image]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / deviation for v in values]


def loss_of(logits, label):
    top = max(logits)
    return top + math.log(sum(math.exp(v - top) for v in logits)) - logits[label]


class Preprocessing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()
        cls.images, cls.labels = test_images(COUNT), test_labels(COUNT)

    def train(self, name, normalize, **more):
        data = {"name": "fashion-mnist", "limit": 512, "val_limit": COUNT, "normalize": normalize}
        job = small_job(architecture=LINEAR, dataset=data, epochs=1, save_as=name, optimizer={"lr": 0.01}, **more)
        return self.daemon.wait(self.daemon.submit(job)["id"])

    def classify(self, name, image):
        status, _, answer = self.daemon.request(
            "POST", "/v1/models/%s/classify?top=10" % name, harness.png(28, 28, image), {"Content-Type": "image/png"}
        )
        self.assertEqual(status, 200, answer)
        best = answer["results"][0]["predictions"]
        return [p["logit"] for p in sorted(best, key=lambda p: p["index"])]

    def check(self, name, normalize, expected, pixels):
        job = self.train(name, normalize)
        weight, bias, metadata = weights_of(self.daemon.request("GET", "/v1/models/%s/weights" % name)[2])
        self.assertEqual(json.loads(metadata["preprocessing"]), expected)
        self.assertEqual(self.daemon.get("/v1/models/" + name)["preprocessing"], expected)
        logits = [forward(weight, bias, pixels(image)) for image in self.images]
        # Validation saw these pixels …
        loss = sum(map(loss_of, logits, self.labels)) / COUNT
        self.assertAlmostEqual(job["metrics"]["val_loss"] / loss, 1, places=5)
        # … and a PNG of them that is classified …
        for image, want in list(zip(self.images, logits))[:4]:
            for got, value in zip(self.classify(name, image), want):
                self.assertAlmostEqual(got, value, places=3)
        # … and a classify job over the data set.
        job = self.daemon.submit({"type": "classify", "model": name, "dataset": "fashion-mnist", "limit": COUNT})["id"]
        progress = self.daemon.wait(job)["progress"]
        self.assertEqual((progress["step"], progress["steps"]), (COUNT, COUNT))
        got = self.daemon.get("/v1/jobs/%d/result" % job)["predictions"]
        self.assertEqual(got, [max(range(10), key=v.__getitem__) for v in logits])

    def test_fixed(self):
        normalize = {"mean": [MEAN], "std": [STD]}
        self.check("fixed", normalize, {"resize": [28, 28], "normalize": normalize}, fixed)

    def test_per_image(self):
        self.check("itself", "per_image", {"resize": [28, 28], "normalize": "per_image"}, per_image)

    def test_none(self):
        self.check("plain", None, {"resize": [28, 28]}, lambda image: [v / 255 for v in image])

    def test_augmented_training_only(self):
        """Validation and serving never see the augmentation."""
        steps = [{"type": "hflip", "p": 1}, {"type": "brightness", "max": 0}, {"type": "gaussian_noise", "std": 0.3}]
        job = self.train("augmented", {"mean": [MEAN], "std": [STD]}, augment=steps)
        weight, bias, _ = weights_of(self.daemon.request("GET", "/v1/models/augmented/weights")[2])
        logits = [forward(weight, bias, fixed(image)) for image in self.images]
        loss = sum(map(loss_of, logits, self.labels)) / COUNT
        self.assertAlmostEqual(job["metrics"]["val_loss"] / loss, 1, places=5)

    def result(self, model):
        job = self.daemon.submit({"type": "classify", "model": model, "dataset": "fashion-mnist", "limit": COUNT})["id"]
        self.daemon.wait(job)
        return self.daemon.get("/v1/jobs/%d/result" % job)

    def test_classes_are_matched_by_name(self):
        """A model whose classes stand in another order than the data set's is scored by their names, where they are the same."""
        self.train("inorder", None)
        data = self.daemon.weights("inorder")
        names = json.loads(weights_of(data)[2]["classes"])
        for name, classes in (("backwards", names[::-1]), ("strangers", [n.swapcase() for n in names])):
            old, new = (json.dumps(json.dumps(n, separators=(",", ":")), ensure_ascii=False)[1:-1].encode() for n in (names, classes))
            self.assertEqual((data.count(old), len(old)), (1, len(new)))
            self.assertEqual(self.daemon.request("PUT", "/v1/models/%s/weights" % name, data.replace(old, new))[0], 201)
        own, backwards, strangers = (self.result(name) for name in ("inorder", "backwards", "strangers"))
        self.assertEqual([r["classes_by"] for r in (own, backwards, strangers)], ["name", "name", "number"])
        self.assertEqual(backwards["predictions"], [9 - p for p in own["predictions"]])
        self.assertEqual(strangers["predictions"], own["predictions"])
        self.assertEqual((backwards["classes"], backwards["labels"]), (own["classes"], own["labels"]))

    def test_one_name_that_differs(self):
        """Wherever it stands, all are matched by number."""
        self.train("same", None)
        data = self.daemon.weights("same")
        names = json.loads(weights_of(data)[2]["classes"])
        own = self.result("same")["predictions"]
        for at in (0, 1, 2, 3, 9):
            classes = [n.swapcase() if i == at else n for i, n in enumerate(names)]
            query = urllib.parse.urlencode({"classes": json.dumps(classes)})
            self.assertIn(self.daemon.request("PUT", "/v1/models/other/weights?" + query, data)[0], (200, 201))
            got = self.result("other")
            self.assertEqual((got["classes_by"], got["predictions"]), ("number", own), at)

    def test_resize_and_rot90(self):
        wide = {"name": "fashion-mnist", "limit": 64, "resize": [20, 28]}
        status, _, problem = self.daemon.request(
            "POST", "/v1/jobs", small_job(dataset=wide, augment=[{"type": "hflip"}, {"type": "rot90"}])
        )
        self.assertEqual((status, problem["pointer"]), (422, "/augment/1"))
        wide["normalize"] = {"mean": [1, 2, 3], "std": [1, 1, 1]}
        status, _, problem = self.daemon.request("POST", "/v1/jobs", small_job(dataset=wide))
        self.assertEqual((status, problem["pointer"]), (422, "/dataset/normalize"))

    def test_uploads(self):
        self.train("old", {"mean": [MEAN], "std": [STD]})
        data = self.daemon.request("GET", "/v1/models/old/weights")[2]

        def put(preprocessing):
            query = urllib.parse.urlencode({"preprocessing": json.dumps(preprocessing)})
            return self.daemon.request("PUT", "/v1/models/new/weights?" + query, data)

        for wrong, pointer in (
            (1, ""),
            ("per_image", ""),
            ({"normalise": "per_image"}, "/normalise"),
            ({"resize": [1, 28]}, "/resize"),
            ({"resize": 28}, "/resize"),
            ({"normalize": "image"}, "/normalize"),
            ({"normalize": {"mean": [0]}}, "/normalize/std"),
            ({"normalize": {"mean": [0], "std": [0]}}, "/normalize/std/0"),
            ({"normalize": {"mean": [0, 1], "std": [1, 1]}}, "/normalize"),
        ):
            status, _, problem = put(wrong)
            self.assertEqual((status, problem.get("pointer")), (422, "/preprocessing" + pointer), wrong)
        self.assertEqual(self.daemon.request("GET", "/v1/models/new")[0], 404)
        # What is stored wins over nothing, what is asked for over what is stored; {} is none.
        weight, bias, _ = weights_of(data)
        for preprocessing, pixels in (({}, lambda v: [p / 255 for p in v]), ({"normalize": "per_image"}, per_image)):
            self.assertIn(put(preprocessing)[0], (200, 201))
            want = forward(weight, bias, pixels(self.images[0]))
            for got, value in zip(self.classify("new", self.images[0]), want):
                self.assertAlmostEqual(got, value, places=3)

    def test_augmentations_are_listed(self):
        known = {a["type"]: a for a in self.daemon.get("/v1/architectures")["augmentations"]}
        self.assertEqual(known["hflip"]["parameters"], [{"name": "p", "type": "number", "required": False, "default": 0.5}])
        self.assertEqual(known["rot90"]["parameters"], [])
        self.assertEqual([p["name"] for p in known["zoom"]["parameters"]], ["min", "max"])
        self.assertEqual(known["affine"]["parameters"][2], {"name": "scale", "type": "[number, number]", "required": False, "default": [1, 1]})
        # Each runs with its defaults.
        job = self.train("everything", "per_image", augment=[{"type": name} for name in known])
        self.assertTrue(math.isfinite(job["metrics"]["val_loss"]))


if __name__ == "__main__":
    harness.main()
