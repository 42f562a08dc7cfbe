#!/usr/bin/env python3
"""Who runs a model's ONNX file elsewhere prepares images as its metadata tell, here by docs/examples/prepare.py, and gets what the daemon
answers to the file as it is."""
import json
import os
import re
import sys
import unittest

try:
    import numpy as np
except ImportError:
    print("skipped: no numpy (apt-get install python3-numpy)")
    sys.exit(77)

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs")
sys.path.append(os.path.join(DOCS, "examples"))

import onnxfile
from harness import Daemon, main, png
from prepare import prepare
from test_onnx import CLASSES, safetensors
from test_recipe import mrc16

SIDES = {1: "[1,9,7]", 3: "[3,9,7]"}
LAYERS = [{"type": "conv2d", "out_channels": 4, "kernel_size": 3}, {"type": "tanh"}, {"type": "flatten"}, {"type": "linear", "out_features": 3}]


def shapes(channels):
    return {"net.0.weight": [4, channels, 3, 3], "net.0.bias": [4], "net.3.weight": [3, 140], "net.3.bias": [3]}


def pnm(pixels):
    """PGM or PPM, of 8 or 16 bits."""
    kind, top = (b"P6", b"P5")[pixels.ndim == 2], 255 if pixels.dtype == np.uint8 else 65535
    return b"%s %d %d %d\n" % (kind, pixels.shape[1], pixels.shape[0], top) + pixels.astype(">u%d" % pixels.itemsize).tobytes()


class Prepare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def check(self, body, pixels, preprocessing, channels=1, pixel_nm=None):
        """One file's probabilities: the daemon's, and those of its model as ONNX."""
        status, _, answer = self.daemon.request("PUT", "/v1/models/net/weights",
                                                safetensors(LAYERS, shapes(channels), preprocessing, sides=SIDES[channels]))
        self.assertIn(status, (200, 201), answer)
        status, _, answer = self.daemon.request("POST", "/v1/models/net/classify?top=3", body)
        self.assertEqual(status, 200, answer)
        there = {p["label"]: p["probability"] for p in answer["results"][0]["predictions"]}
        f = onnxfile.File(self.daemon.request("GET", "/v1/models/net/onnx")[2])
        about = {k: json.loads(v) for k, v in f.notes.items() if k != "preparation"}
        x = prepare(pixels, about.get("preprocessing", {}), about["input"], pixel_nm)
        self.assertEqual(list(x.shape), about["input"])
        here = f.run([1, *x.shape], [float(v) for v in x.flat])["probabilities"][1]
        for label, p in zip(about["classes"], here):
            self.assertAlmostEqual(p, there[label], delta=1e-4, msg=str((preprocessing, pixels.shape, pixels.dtype)))
        return here

    def test_every_way(self):
        """8 and 16 bits, grey and colour, larger and smaller, each fit and each normalisation."""
        r = np.random.default_rng(5)
        images = [r.integers(0, 200, (31, 40), np.uint8), r.integers(300, 40000, (5, 23), np.uint16),
                  r.integers(0, 256, (26, 13, 3), np.uint8), r.integers(0, 65536, (12, 30, 3), np.uint16)]
        seen = set()
        for fit in ("resize", "crop", "tile"):
            for normalize in ("percentiles", "per_image", "none"):
                recipe = {"size": [12, 10], "fit": fit, "normalize": normalize}
                for channels in (1, 3):
                    for pixels in images:
                        own = {"import": recipe, "normalize": {"mean": [0.4], "std": [0.3]}}
                        seen.add(tuple(self.check(pnm(pixels), pixels, own, channels)))
        # A tile that is classified is resized, and percentiles leave 8 bits alone; all else is told apart.
        self.assertEqual(len(seen), 40)
        for pixels in images:
            self.check(pnm(pixels), pixels, {"normalize": "per_image"})
            self.check(pnm(pixels), pixels, {})

    def test_sizes_of_pixels(self):
        r = np.random.default_rng(6)
        for nm, fit in ((0.5, "resize"), (2.4, "resize"), (1, "crop"), (0.7, "crop")):
            pixels = r.integers(0, 60000, (33, 38), np.uint16)
            body = mrc16(38, 33, pixels.flatten().tolist(), 10)  # pixels of 1 nm
            self.check(body, pixels, {"import": {"size": [12, 10], "fit": fit, "normalize": "percentiles", "pixel_size": nm}}, pixel_nm=(1, 1))
        grey = r.integers(0, 256, (30, 33), np.uint8)  # tells no size
        self.check(png(33, 30, grey.tobytes()), grey, {"import": {"size": [12, 10], "fit": "resize", "normalize": "none", "pixel_size": 3}})

    def test_what_is_told(self):
        """The same steps in the file as in the documentation."""
        self.daemon.request("PUT", "/v1/models/net/weights", safetensors(LAYERS, shapes(1), {}, sides=SIDES[1]))
        told = onnxfile.File(self.daemon.request("GET", "/v1/models/net/onnx")[2]).notes["preparation"]
        self.assertEqual(re.findall(r"^(\d)\. ", told, re.M), list("12345678"))
        with open(os.path.join(DOCS, "api.md"), encoding="utf-8") as f:
            self.assertIn(" ".join(told.split()), " ".join(f.read().split()))


if __name__ == "__main__":
    main()
