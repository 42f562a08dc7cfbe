#!/usr/bin/env python3
"""A model remembers how the pictures of its data set were made: a file that is classified goes into the network as the same file
in the data set did, to the last bit."""

import json
import random
import struct
import unittest
import urllib.parse

import harness
from harness import dm4, npy, png, ser
from archives import Stored, zipped

LAYERS = {"layers": [{"type": "conv2d", "out_channels": 3, "kernel_size": 3}, {"type": "relu"}, {"type": "flatten"}, {"type": "linear", "out_features": 2}]}


def mrc16(width, height, values, angstrom):
    """16-bit pixels of a side that the cell tells, bottom row first."""
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, width, height, 1, 6)
    struct.pack_into("<3i3f", head, 28, width, height, 1, angstrom * width, angstrom * height, angstrom)
    struct.pack_into("<3i", head, 64, 1, 2, 3)
    head[208:214] = b"MAP DD"
    rows = [values[y * width : (y + 1) * width] for y in reversed(range(height))]
    return bytes(head) + b"".join(struct.pack("<%dH" % width, *row) for row in rows)


def picture(seed, count, top):
    r = random.Random(seed)
    return [r.randrange(top) for _ in range(count)]


def files(sized):
    """Of every kind that goes another way; `sized`: all tell the size of their pixels."""
    some = {
        "a/deep.mrc": mrc16(40, 32, picture(1, 1280, 40000), 10),
        "b/fine.mrc": mrc16(64, 60, picture(2, 3840, 65536), 5),
        "a/eight.dm4": dm4(30, 28, bytes(picture(3, 840, 256))),
        "b/large.ser": ser(21, 22, bytes(picture(4, 462, 256))),
    }
    if not sized:
        some["a/grey.png"] = png(33, 30, bytes(picture(5, 990, 256)))
        some["b/floats.npy"] = npy((31, 37), [v / 7 - 50 for v in picture(6, 1147, 9999)])
    return some


class Recipe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())

    def put(self, some, query, name, status=(200, 201)):
        both = [(split + n, data) for split in ("train/", "val/") for n, data in some.items()]
        got, _, answer = self.daemon.request("PUT", "/v1/datasets/%s?%s" % (name, query), zipped(both))
        self.assertIn(got, status, answer)
        return answer

    def train(self, name, **data):
        job = {"type": "train", "architecture": LAYERS, "dataset": {"name": name, **data}, "epochs": 2, "batch_size": 4,
               "optimizer": {"name": "sgd", "lr": 0.01}, "seed": 3, "save_as": name}
        return self.daemon.wait(self.daemon.submit(job)["id"])

    def classify(self, model, body):
        status, _, answer = self.daemon.request("POST", "/v1/models/%s/classify?top=2" % model, body)
        self.assertEqual(status, 200, answer)
        results = [[p["logit"] for p in sorted(r["predictions"], key=lambda p: p["index"])] for r in answer["results"]]
        return results, answer["image"]

    def copy(self, name, other, drop=False):
        """The model's file sent back under another name, the import dropped from its preprocessing if told so."""
        preprocessing = self.daemon.get("/v1/models/" + name)["preprocessing"]
        if drop:
            del preprocessing["import"]
        query = urllib.parse.urlencode({"preprocessing": json.dumps(preprocessing)}) if drop else ""
        status, _, answer = self.daemon.request("PUT", "/v1/models/%s/weights?%s" % (other, query), self.daemon.weights(name))
        self.assertIn(status, (200, 201), answer)
        return answer["preprocessing"]

    def check(self, query, some, want, **data):
        about = self.put(some, query, "way")
        self.assertEqual(about["import"], want)
        self.train("way", **data)
        self.assertEqual(self.daemon.get("/v1/models/way")["preprocessing"]["import"], want)
        self.assertEqual(self.copy("way", "copy")["import"], want)
        self.copy("way", "bare", drop=True)
        stored = Stored(self.daemon.state + "/datasets/way.cnnd")
        one = (1, stored.about["height"], stored.about["width"])
        job = self.daemon.submit({"type": "classify", "model": "way", "dataset": "way"})["id"]
        self.daemon.wait(job)
        result = self.daemon.get("/v1/jobs/%d/result" % job)
        self.assertEqual((result["model_import"], result["dataset_import"]), (want, want))
        predictions = result["predictions"]
        # Samples stand in the order of the names.
        for at, (name, body) in enumerate(sorted(some.items())):
            pixels = stored.images["val"][at]
            whole = png(one[2], one[1], pixels) if stored.about["type"] == "u8" else npy(one, pixels)
            expected, image = self.classify("bare", whole)
            self.assertIsNone(image["prepared"])
            got, image = self.classify("way", body)
            self.assertEqual(got, expected, "%s with %s" % (name, query))
            self.assertEqual(self.classify("copy", body)[0], expected)
            self.assertEqual(predictions[at], expected[0].index(max(expected[0])))
            yield name, image

    def test_percentiles(self):
        want = {"size": [16, 20], "fit": "resize", "normalize": "percentiles"}
        for name, image in self.check("size=16x20", files(False), want):
            eight = name in ("a/eight.dm4", "b/large.ser", "a/grey.png")
            self.assertEqual(image["prepared"]["normalize"], "none" if eight else "percentiles", name)
            self.assertFalse(image["prepared"]["rescaled"])

    def test_resized_again_by_the_job(self):
        want = {"size": [24, 24], "fit": "resize", "normalize": "none"}
        list(self.check("size=24&normalize=none", files(False), want, resize=[9, 13], normalize="per_image"))

    def test_bytes_stay_bytes(self):
        want = {"size": [12, 12], "fit": "crop", "normalize": "percentiles"}
        eight = {n: d for n, d in files(False).items() if n in ("a/eight.dm4", "b/large.ser", "a/grey.png")}
        list(self.check("size=12&fit=crop", eight, want))
        self.assertEqual(self.daemon.get("/v1/datasets/way")["type"], "u8")

    def test_per_image(self):
        want = {"size": [10, 10], "fit": "crop", "normalize": "per_image"}
        for name, image in self.check("size=10&fit=crop&normalize=per_image", files(False), want):
            self.assertEqual(image["prepared"]["normalize"], "per_image", name)

    def test_pixel_size(self):
        want = {"size": [12, 14], "fit": "crop", "normalize": "percentiles", "pixel_size": 2.5}
        sides = {"a/deep.mrc": (13, 16), "b/fine.mrc": (12, 13), "a/eight.dm4": (22, 24), "b/large.ser": (35, 34)}
        some = files(True)
        some["b/fine.mrc"] = mrc16(80, 60, picture(2, 4800, 65536), 5)
        sides["b/fine.mrc"] = (12, 16)
        for name, image in self.check("size=12x14&fit=crop&pixel_size=2.5", some, want):
            self.assertEqual((image["prepared"]["height"], image["prepared"]["width"]), sides[name], name)
            self.assertTrue(image["prepared"]["rescaled"])
            for side in image["prepared"]["pixel_size"]:
                self.assertAlmostEqual(side * 1e9 / 2.5, 1, delta=0.05)
        # One that tells no size goes on at its own scale, and the answer says so; one too small is refused.
        image = self.classify("way", files(False)["b/floats.npy"])[1]
        self.assertEqual((image["prepared"]["rescaled"], image["prepared"]["pixel_size"]), (False, None))
        status, _, problem = self.daemon.request("POST", "/v1/models/way/classify", mrc16(40, 32, picture(1, 1280, 40000), 1))
        self.assertEqual(status, 422)
        self.assertIn("smaller than the crop of 12x14", problem["detail"])

    def test_tiles_and_maps(self):
        want = {"size": [12, 12], "fit": "tile", "normalize": "percentiles", "pixel_size": 2}
        some = {"a/one.mrc": mrc16(48, 48, picture(7, 2304, 60000), 5), "b/two.mrc": mrc16(24, 24, picture(8, 576, 60000), 10)}
        for name, image in self.check("size=12&fit=tile&pixel_size=2", some, want):
            self.assertEqual((image["prepared"]["height"], image["prepared"]["width"]), (12, 12), name)
        # Fields of four such tiles, at other scales: each window is what the import's tile was.
        self.check_map("a/field.mrc", mrc16(96, 96, picture(9, 96 * 96, 60000), 5), 96, lambda tile: npy((1, 12, 12), tile))
        self.check_map("a/field.ser", ser(12, 12, bytes(picture(10, 144, 256))), 12, lambda tile: png(12, 12, tile))

    def check_map(self, name, field, side, packed):
        self.put({name: field}, "size=12&fit=tile&pixel_size=2", "field")
        tiles = Stored(self.daemon.state + "/datasets/field.cnnd").images["val"]
        status, _, answer = self.daemon.request("POST", "/v1/models/way/map?window=12&stride=12&threshold=0", field)
        self.assertEqual(status, 200, answer)
        self.assertEqual((answer["height"], answer["width"], answer["image"]["height"]), (24, 24, side))
        self.assertEqual(len(tiles), 4)
        for at, tile in enumerate(tiles):
            logits = self.classify("bare", packed(tile))[0][0]
            self.assertEqual(answer["labels"][at // 2][at % 2], logits.index(max(logits)))
            share = 1 / (1 + 2.718281828459045 ** (min(logits) - max(logits)))
            self.assertAlmostEqual(answer["probabilities"][at // 2][at % 2], share, delta=2e-6)

    def test_refusals(self):
        for query, some, words in (
            ("pixel_size=2&size=8", {"a/plain.png": png(9, 9, bytes(81))}, ["a/plain.png", "not tell its pixel size"]),
            ("pixel_size=1e-6", files(True), ["more than 65536 pixels"]),
            ("pixel_size=2&size=64&fit=crop", files(True), ["smaller than the crop of 64x64"]),
        ):
            answer = self.put(some, query, "refused", (413, 422))
            for word in words:
                self.assertIn(word, answer["detail"])
        for query in ("pixel_size=0", "pixel_size=-1", "pixel_size=nm", "pixel_size=", "pixel_size=1e999", "normalize=mean"):
            self.assertIn(query.split("=")[0], self.put(files(True), query, "refused", (422,))["detail"])
        self.assertEqual(self.daemon.request("GET", "/v1/datasets/refused")[0], 404)
        self.put({"a/1.png": png(8, 8, bytes(64)), "b/2.png": png(8, 8, bytes(64))}, "", "way")
        self.train("way")
        for wrong, pointer in (
            ({"size": [8, 8], "fit": "resize"}, "/normalize"), ({"size": [8], "fit": "resize", "normalize": "none"}, "/size"),
            ({"size": [8, 8], "fit": "squash", "normalize": "none"}, "/fit"), (1, ""),
            ({"size": [8, 8], "fit": "crop", "normalize": "none", "pixel_size": 0}, "/pixel_size"),
        ):
            query = urllib.parse.urlencode({"preprocessing": json.dumps({"import": wrong})})
            status, _, problem = self.daemon.request("PUT", "/v1/models/new/weights?" + query, self.daemon.weights("way"))
            self.assertEqual((status, problem.get("pointer")), (422, "/preprocessing/import" + pointer), problem)


if __name__ == "__main__":
    harness.main()
