#!/usr/bin/env python3
"""A zip or a tar of pictures is classified in one request: each file gets what it gets when it is posted by itself."""

import gzip
import json
import os
import random
import struct
import threading
import time
import unittest
import zipfile

import harness
from harness import dm4, mrc, npy, png, tiff
from archives import safetensors, tarred, zipped

CLASSIFY = "/v1/models/net/classify?top=2"
EMD = os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus", "emd", "velox_stack_2")


def grey(seed, count):
    r = random.Random(seed)
    return bytes(r.randrange(256) for _ in range(count))


def pictures():
    with open(EMD, "rb") as f:
        emd = f.read()
    return [
        ("ice/a.png", png(28, 28, grey(1, 784))),
        ("ice/b.tif", tiff(40, 33, grey(2, 1320))),
        ("stack.npy", npy((3, 1, 28, 28), [v / 255 for v in grey(3, 3 * 784)])),
        ("velox.emd", emd),
        ("carbon/c.dm4", dm4(30, 28, grey(4, 840))),
        ("carbon/d.mrc", mrc(29, 31, grey(5, 899))),
    ]


class Archive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()
        cls.daemon.wait(cls.daemon.submit(harness.small_job(save_as="net"))["id"])

    def post(self, body, kind=None, status=200, path=CLASSIFY):
        got, _, answer = self.daemon.request("POST", path, body, {"Content-Type": kind} if kind else {})
        self.assertEqual(got, status, answer)
        return answer

    def test_each_file_as_by_itself(self):
        alone = [(name, self.post(data)) for name, data in pictures()]
        tar = tarred(pictures())
        for body, kind in (
            (zipped(pictures()), "application/zip"),
            (zipped(pictures(), zipfile.ZIP_STORED), None),
            (tar, "application/x-tar"),
            (gzip.compress(tar), "application/gzip"),
            (tar, "application/octet-stream"),
        ):
            answer = self.post(body, kind)
            self.assertEqual(set(answer), {"model", "files"})
            self.assertEqual([f["file"] for f in answer["files"]], [name for name, _ in alone])
            for file, (name, one) in zip(answer["files"], alone):
                self.assertEqual((file["image"], file["results"]), (one["image"], one["results"]), name)
        self.assertEqual([len(one["results"]) for _, one in alone], [1, 1, 3, 3, 1, 1])

    def test_a_bad_file_costs_itself_alone(self):
        files = pictures()
        files[1] = ("ice/b.tif", files[1][1][:100])
        files.insert(0, ("labels.csv", b"file,label\n"))
        answer = self.post(zipped(files))
        bad = {f["file"]: f["error"] for f in answer["files"] if "error" in f}
        self.assertEqual(sorted(bad), ["ice/b.tif", "labels.csv"])
        self.assertEqual((bad["labels.csv"]["status"], bad["ice/b.tif"]["status"]), (415, 400))
        self.assertIn("not PNG", bad["labels.csv"]["detail"])
        self.assertEqual(sum("results" in f for f in answer["files"]), len(files) - 2)

    def test_many_images_go_to_the_device_in_parts(self):
        files = [("%04d.png" % i, png(28, 28, bytes([i % 256]) * 784)) for i in range(1000)]
        answer = self.post(tarred(files))
        self.assertEqual(len(answer["files"]), 1000)
        for i in (0, 7, 255, 999):
            self.assertEqual(answer["files"][i]["results"], self.post(files[i][1])["results"], i)

    def test_what_is_refused(self):
        dot = png(28, 28, bytes(784))
        for body, status, words in (
            (zipped([]), 415, ""),
            (tarred([("only/a.txt", b"text")]), 422, "only/a.txt: the content is not PNG"),
            (zipped([("../up.png", dot), (".hidden.png", dot)]), 422, "holds no files"),
            (tarred([("%d.png" % i, dot) for i in range(4097)]), 413, "more than 4096 files"),
            (zipped([("a.png", dot), ("b.png", dot)])[:-30], 400, "archive"),
            (tarred([("a.png", dot)])[:600], 400, "archive"),
        ):
            problem = self.post(body, None, status)
            self.assertIn(words, problem["detail"])
        self.post(tarred([("a.png", dot)]), "image/tiff", 415)
        self.assertIn("one image is looked at", self.post(
            tarred([("a.png", dot), ("b.png", dot)]), None, 422, "/v1/models/net/activations?layer=net.0")["detail"])
        self.post(tarred([("a.png", dot)]), None, 415, "/v1/models/net/map")

    def test_an_npz_stays_one(self):
        npz = zipped([("x.npy", npy((2, 1, 28, 28), [0.25] * 1568))])
        for kind in ("application/x-npz", "application/zip", None):
            answer = self.post(npz, kind)
            self.assertEqual((answer["image"]["format"], len(answer["results"])), ("NPZ", 2))

    def test_nobody_waits_behind_one(self):
        blank = png(4096, 4096, bytes(1 << 24))
        slow = tarred([("a%d.png" % i, blank) for i in range(6 if harness.SANITIZED else 30)])
        dot = png(28, 28, grey(9, 784))
        want, seconds, waits = self.post(dot), [], []

        def send():
            begun = time.monotonic()
            self.post(slow)
            seconds.append(time.monotonic() - begun)

        thread = threading.Thread(target=send)
        thread.start()
        while thread.is_alive():
            begun = time.monotonic()
            self.assertEqual(self.post(dot), want)
            waits.append(time.monotonic() - begun)
        thread.join()
        print("an archive took %.2f s, %d images beside it, the slowest %.3f s" % (seconds[0], len(waits), max(waits)))
        self.assertGreater(len(waits), 5)
        self.assertLess(sorted(waits)[len(waits) // 2], seconds[0] / 3)  # the slowest may have met with other work

    def test_bombs_end_soon(self):
        """Pixels or bytes that a small archive blows up to."""
        blank = png(4096, 4096, bytes(1 << 24))
        nest = zipped([("a%d.png" % i, blank) for i in range(40)])
        long = zipped([("a.raw", bytes(300 << 20))])
        for body, status in ((nest, (200, 413)), (long, (413,))):
            def seconds():
                begun = time.monotonic()
                got, _, answer = self.daemon.request("POST", CLASSIFY, body)
                self.assertIn(got, status, answer)
                return time.monotonic() - begun

            harness.keeps(15, seconds, "a bomb")
        self.post(png(28, 28, bytes(784)))

    def test_numbers_that_overflow_have_no_class(self):
        huge, right = npy((2, 1, 28, 28), [0.5] * 784 + [3e38] * 784), png(28, 28, grey(1, 784))
        self.assertIn("image 1: the model's numbers", self.post(huge, status=422)["detail"])
        files = self.post(tarred([("huge.npy", huge), ("right.png", right)]))["files"]
        self.assertEqual(files[0]["error"]["status"], 422)
        self.assertEqual(files[1]["results"], self.post(right)["results"])
        images, labels = struct.pack("<2352f", *[0.5] * 1568, *[3e38] * 784), bytes([0, 4, 9])
        arrays = {"x_train": ("F32", [3, 28, 28], images), "y_train": ("U8", [3], labels),
                  "x_test": ("F32", [3, 28, 28], images), "y_test": ("U8", [3], labels)}
        status, _, answer = self.daemon.request("PUT", "/v1/datasets/huge?normalize=none", safetensors(arrays))
        self.assertEqual(status, 201, answer)
        status, _, job = self.daemon.request("POST", "/v1/jobs", json.dumps({"type": "classify", "model": "net", "dataset": "huge"}).encode())
        self.assertEqual(status, 201, job)
        job = self.daemon.wait(job["id"], ("failed",))
        self.assertIn("image 2 of the data set: the model's numbers", job["error"])


if __name__ == "__main__":
    harness.main()
