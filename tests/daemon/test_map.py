#!/usr/bin/env python3
"""Class maps: windows over a large image, against the same windows classified one by one."""

import contextlib
import json
import math
import os
import random
import struct
import subprocess
import tempfile
import unittest

import harness
from harness import dm4, npy, pgm, read_png, wait_for

LEVELS = [0.2, 0.5, 0.8]
NAMES = ["dark", 'mid "grey"', "bright"]
SIDE = 16


def model(sharpness, channels=1):
    """Tells regions by their mean: the logits are -sharpness * (mean - level)^2 but for what they share."""
    values = channels * SIDE * SIDE
    head = {
        "__metadata__": {
            "architecture": json.dumps({"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 3}]}),
            "input": json.dumps([channels, SIDE, SIDE]),
            "classes": json.dumps(NAMES),
        },
        "net.1.bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "net.1.weight": {"dtype": "F32", "shape": [3, values], "data_offsets": [12, 12 + 12 * values]},
    }
    text = json.dumps(head).encode()
    floats = [-sharpness * level * level for level in LEVELS]
    for level in LEVELS:
        floats += [2 * sharpness * level / values] * values
    return struct.pack("<Q", len(text)) + text + struct.pack("<%df" % len(floats), *floats)


def slow_model():
    """42 million operations a window, weights of zero: a map is long in the making on any machine."""
    layers = [{"type": "conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1},
              {"type": "conv2d", "out_channels": 32, "kernel_size": 5, "padding": 2},
              {"type": "adaptive_avg_pool2d", "output_size": 1}, {"type": "flatten"}, {"type": "linear", "out_features": 3}]
    shapes = {"net.0.weight": [32, 1, 3, 3], "net.0.bias": [32], "net.1.weight": [32, 32, 5, 5], "net.1.bias": [32],
              "net.4.weight": [3, 32], "net.4.bias": [3]}
    head, at = {"__metadata__": {
        "architecture": json.dumps({"layers": layers}), "input": json.dumps([1, 28, 28]), "classes": json.dumps(NAMES)}}, 0
    for name, shape in shapes.items():
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * math.prod(shape)]}
        at = head[name]["data_offsets"][1]
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def regions(width, height, seed=1, noise=0.15):
    """Three upright stripes of the levels, with noise: bytes."""
    rng = random.Random(seed)
    return bytes(
        round(255 * (LEVELS[3 * x // width] + rng.uniform(-noise, noise))) for _ in range(height) for x in range(width)
    )


def begins(size, window, stride):
    return list(range(0, size - window, stride)) + [size - window]


class Map(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        for name, data in (("soft", model(12)), ("sharp", model(400)), ("rgb", model(12, 3)), ("slow", slow_model())):
            status, _, body = cls.daemon.request("PUT", "/v1/models/%s/weights" % name, data)
            assert status == 201, body

    def map(self, name, image, status=200, accept="application/json", **query):
        path = "/v1/models/%s/map?%s" % (name, "&".join("%s=%s" % item for item in query.items()))
        got, headers, body = self.daemon.request("POST", path, image, {"Accept": accept})
        self.assertEqual(got, status, body)
        if status == 200:
            self.assertEqual((headers["Content-Type"], headers["Vary"]), (accept, "Accept"))
        return body

    def expected(self, name, image, width, height, window, stride):
        """Mean probabilities by cell, of windows cut out here and classified as images."""
        tops, lefts = begins(height, window, stride), begins(width, window, stride)
        cuts = [
            [image[(y + r) * width + x + i] / 255 for r in range(window) for i in range(window)]
            for y in tops for x in lefts
        ]
        batch = npy((len(cuts), 1, window, window), [v for cut in cuts for v in cut])
        status, _, answer = self.daemon.request("POST", "/v1/models/%s/classify?top=3" % name, batch)
        self.assertEqual(status, 200, answer)
        p = [
            [q["probability"] for q in sorted(one["predictions"], key=lambda q: q["index"])]
            for one in answer["results"]
        ]
        cells = []
        for top in range(0, height, stride):
            row = []
            for left in range(0, width, stride):
                cy, cx = (top + min(top + stride, height)) / 2, (left + min(left + stride, width)) / 2
                over = [
                    p[j * len(lefts) + i]
                    for j, y in enumerate(tops) for i, x in enumerate(lefts)
                    if y <= cy < y + window and x <= cx < x + window
                ]
                row.append([sum(q) / len(over) for q in zip(*over)])
            cells.append(row)
        return cells

    def check(self, name, width, height, window, stride):
        image = regions(width, height, seed=window)
        got = self.map(name, pgm(width, height, image), window=window, stride=stride, threshold=0.6)
        want = self.expected(name, image, width, height, window, stride)
        self.assertEqual(got["grid"], {"rows": len(want), "columns": len(want[0])})
        counts, uncertain = [0, 0, 0], 0
        for labels, probabilities, row in zip(got["labels"], got["probabilities"], want, strict=True):
            for label, probability, cell in zip(labels, probabilities, row, strict=True):
                self.assertAlmostEqual(probability, max(cell), places=5)
                self.assertAlmostEqual(cell[label], max(cell), places=5)
                uncertain += probability < 0.6
                counts[label] += probability >= 0.6
        self.assertEqual((got["counts"], got["uncertain"]), (counts, uncertain))
        self.assertTrue(uncertain and sum(counts), "the threshold parts nothing")
        return got

    def test_means_of_windows(self):
        """Shrunk to the model's input, windows that do not divide the image."""
        got = self.check("soft", 330, 250, 64, 24)
        self.assertEqual([got[k] for k in ("model", "width", "height", "window", "stride", "threshold", "classes")],
                         ["soft", 330, 250, 64, 24, 0.6, NAMES])
        self.assertEqual(got["windows"], {"rows": 9, "columns": 13})
        self.assertEqual(got["image"]["format"], "PGM")

    def test_magnified_windows(self):
        self.check("soft", 71, 38, 9, 4)

    def test_windows_side_by_side(self):
        self.check("soft", 100, 64, 16, 16)

    def test_one_window(self):
        image = regions(40, 40)
        got = self.map("soft", pgm(40, 40, image), window=40, stride=40)
        self.assertEqual(got["grid"], {"rows": 1, "columns": 1})
        self.assertAlmostEqual(got["probabilities"][0][0], max(self.expected("soft", image, 40, 40, 40, 40)[0][0]), places=5)

    def test_grey_for_a_model_of_colours(self):
        self.check("rgb", 120, 90, 30, 20)

    def test_regions_are_known(self):
        """Away from their borders, cells are what they were drawn as; defaults: 128, half of it, 0.5."""
        width, height = 1800, 400
        image = regions(width, height)
        got = self.map("sharp", pgm(width, height, image))
        self.assertEqual([got[k] for k in ("window", "stride", "threshold")], [128, 64, 0.5])
        seen = 0
        for r, row in enumerate(got["labels"]):
            for i, label in enumerate(row):
                centre = min(64 * i + 32, (64 * i + width) / 2)
                if all(abs(centre - border) > 160 for border in (600, 1200)):
                    self.assertEqual(label, int(centre // 600))
                    self.assertGreater(got["probabilities"][r][i], 0.99)
                    seen += 1
        self.assertGreater(seen, 100)
        self.assertEqual(sum(got["counts"]) + got["uncertain"], 29 * 7)

    def test_same_again(self):
        image = pgm(330, 250, regions(330, 250))
        first = self.map("soft", image, window=64, stride=3)
        self.assertEqual(first, self.map("soft", image, window=64, stride=3))
        self.assertEqual(first["windows"], {"rows": 63, "columns": 90})

    def test_picture(self):
        width, height = 900, 300
        image = regions(width, height, noise=0.05)
        data = self.map("sharp", dm4(width, height, image), accept="image/png", window=60, stride=30, threshold=0)
        w, h, rows = read_png(data)
        self.assertEqual(w, width)
        self.assertGreater(h, height)

        def mean(left, top, side=30):
            dots = [rows[y][3 * x:3 * x + 3] for y in range(top, top + side) for x in range(left, left + side)]
            return [sum(d[i] for d in dots) / len(dots) for i in range(3)]

        # Half the class's colour over grey: dark is blue, the middle orange, bright green.
        dark, middle, bright = mean(150, 60), mean(430, 60), mean(730, 60)
        self.assertGreater(dark[2] - dark[0], 60)
        self.assertGreater(middle[0] - middle[2], 60)
        self.assertGreater(bright[1] - bright[0], 60)
        # A bar of 100 nm, at 2 nm a pixel: 200 nm is at most a quarter of 1800.
        bar = rows[height - 10 - 38 + 28]
        self.assertEqual(sum(bar[3 * x:3 * x + 3] == b"\xff\xff\xff" for x in range(20, 300)), 100)
        # The legend: as many dots of a class's plain colour as its swatch has.
        flat = b"".join(rows[height:])
        dots = [flat[i:i + 3] for i in range(0, len(flat), 3)]
        for colour in ((0, 114, 178), (230, 159, 0), (0, 158, 115)):
            self.assertEqual(dots.count(bytes(colour)), 14 * 14)

    def test_uncertain_cells_stay_grey(self):
        """Where no class reaches the threshold, all is grey; without a pixel size there is no bar."""
        w, _, rows = read_png(self.map("soft", pgm(700, 200, regions(700, 200)), accept="image/png", window=50, stride=25,
                                       threshold=1))
        self.assertEqual(w, 700)
        for row in rows[:200]:
            self.assertTrue(row[::3] == row[1::3] == row[2::3])

    def test_large_and_small_pictures(self):
        for size, want in (((2000, 1000), (1600, 800)), ((100, 60), (600, 360))):
            got = self.map("sharp", pgm(*size, bytes(size[0] * size[1])), accept="image/png", window=50, stride=50)
            width, height, rows = read_png(got)
            self.assertEqual(width, want[0])
            self.assertGreater(height, want[1])
            self.assertEqual({bytes(rows[want[1] + 1])}, {b"\xff" * 3 * want[0]})

    def test_wrong(self):
        image = pgm(100, 80, bytes(8000))
        for query, part in (
            ({"window": 81}, "larger than the image of 80x100"),
            ({"window": 0}, "window"),
            ({"window": 20, "stride": 0}, "stride"),
            ({"window": 20, "stride": 21}, "stride"),
            ({"window": "x"}, "whole number"),
            ({"threshold": 1.5}, "from 0 to 1"),
            ({"threshold": "nan"}, "from 0 to 1"),
            ({"windows": 3}, "windows"),
        ):
            with self.subTest(query):
                self.assertIn(part, self.map("soft", image, status=422, **query)["detail"])
        many = pgm(1000, 1000, bytes(1000000))
        self.assertIn("more than a map has", self.map("soft", many, status=422, window=4, stride=1)["detail"])
        self.assertIn("one image", self.map("soft", npy((2, 1, 30, 30), [0.0] * 1800), status=422, window=20)["detail"])
        self.assertIn("32768", self.map("soft", pgm(40000, 2, bytes(80000)), status=413, window=2)["detail"])
        self.map("soft", b"", status=400, window=2)
        self.map("soft", b"no image at all", status=415, window=2)
        self.map("absent", image, status=404)
        self.assertEqual(self.map("soft", image, window=80)["grid"], {"rows": 2, "columns": 3})

    def long_map(self, side=800):
        """A connection on which a map has been asked for, of 148,225 windows where `side` is 800."""
        connection = self.daemon.connection()
        connection.request("POST", "/v1/models/slow/map?window=32&stride=2", pgm(side, side, bytes(side * side)))
        self.addCleanup(connection.close)
        return connection

    def progress(self):
        return self.daemon.get("/v1/devices")["devices"][0]["map"]

    def test_others_go_between(self):
        """Classifications are answered while a map is made, and a training job goes on."""
        self.daemon.need_fashion()
        job = self.daemon.submit(harness.long_job())["id"]
        self.daemon.wait(job, states=("running",))
        connection = self.long_map(400)
        wait_for(self.progress, what="a map")
        step = self.daemon.get("/v1/jobs/%d" % job)["progress"]["step"]
        answered = 0
        while self.progress():
            status, _, _ = self.daemon.request("POST", "/v1/models/sharp/classify", pgm(2, 2, bytes(4)))
            self.assertEqual(status, 200)
            answered += 1
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.read())["grid"], {"rows": 200, "columns": 200})
        self.assertGreater(answered, 2)
        self.assertGreater(self.daemon.get("/v1/jobs/%d" % job)["progress"]["step"], step)
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
        self.daemon.wait(job, states=("cancelled",))

    def test_client_leaves(self):
        connection = self.long_map()
        wait_for(self.progress, what="a map")
        self.assertEqual((self.progress() or {"windows": 385 * 385})["windows"], 385 * 385)
        connection.close()
        wait_for(lambda: not self.progress(), what="the map's end")
        self.assertEqual(self.map("soft", pgm(64, 64, bytes(4096)), window=64)["counts"], [4, 0, 0])

    def test_no_more_than_two(self):
        connections = [self.long_map() for _ in range(2)]
        wait_for(self.progress, what="a map")
        status, headers, body = self.daemon.request("POST", "/v1/models/soft/map", pgm(200, 200, bytes(40000)))
        self.assertEqual(status, 429, body)
        for connection in connections:
            connection.close()
        wait_for(lambda: not self.progress(), what="the maps' end")

    def test_client_program(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            with open("field.dm4", "wb") as f:
                f.write(dm4(300, 200, regions(300, 200)))
            command = [os.environ["CNNCTL"], "map", "sharp", "field.dm4", "--window", "50"]
            env = dict(os.environ, CNND_URL=self.daemon.url)
            text = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout
            self.assertEqual(json.loads(text)["grid"], {"rows": 8, "columns": 12})
            subprocess.run(command + ["-o", "map.png", "--threshold", "0.9"], env=env, check=True)
            with open("map.png", "rb") as f:
                self.assertEqual(read_png(f.read())[0], 600)


if __name__ == "__main__":
    unittest.main()
