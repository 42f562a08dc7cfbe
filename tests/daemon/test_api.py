"""Every endpoint on real work: jobs, models, weights, classification, data sets, summaries, curves, metrics."""

import contextlib
import csv
import gzip
import http.client
import io
import json
import os
import pwd
import re
import signal
import socket
import struct
import tempfile
import threading
import time
import unittest
import urllib.parse
import zipfile
import xml.etree.ElementTree as ElementTree

import harness
from harness import LINEAR, long_job, small_job

TEST_IMAGES = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"


def test_image(index):
    with gzip.open(TEST_IMAGES) as f:
        f.seek(16 + 784 * index)
        return f.read(784)


def read_safetensors(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size])


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()
        cls.job = cls.daemon.submit(small_job(architecture="bn-lenet", save_as="net"))["id"]
        cls.done = cls.daemon.wait(cls.job)

    def test_health_version_devices(self):
        self.assertEqual(self.daemon.get("/v1/health"), {"status": "ok"})
        version = self.daemon.get("/v1/version")
        self.assertRegex(version["cnnd"], r"^\d+\.\d+\.\d+$")
        self.assertIn("database", version["formats"])
        devices = self.daemon.get("/v1/devices")
        self.assertIsNone(devices["problem"])
        self.assertRegex(devices["devices"][0]["id"], r"^\d+:\d+$")
        self.assertIn(devices["devices"][0]["state"], ("ready", "busy"))
        self.assertGreater(devices["devices"][0]["memory"], 1 << 20)

    def test_job_object(self):
        job = self.done
        self.assertEqual((job["id"], job["type"], job["state"], job["model"]), (self.job, "train", "succeeded", "net"))
        self.assertEqual(job["request"], small_job(architecture="bn-lenet", save_as="net"))
        self.assertEqual(job["progress"]["step"], job["progress"]["steps"])
        self.assertIsNone(job["error"])
        self.assertGreater(job["metrics"]["images_per_second"], 0)
        for name in ("created_at", "started_at", "finished_at"):
            self.assertRegex(job[name], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_micro_batches(self):
        self.assertEqual((self.done["memory"]["micro_batch"], self.done["notes"]), (64, []))
        job = self.daemon.submit(small_job(architecture="bn-lenet", epochs=1, micro_batch=24))
        self.assertEqual(job["memory"]["micro_batch"], 24)
        self.assertIn("micro-batches of 24 images, not from the batch of 64", job["notes"][0])
        self.assertEqual(self.daemon.wait(job["id"])["memory"], job["memory"])
        status, _, problem = self.daemon.request("POST", "/v1/jobs", small_job(micro_batch=65))
        self.assertEqual((status, problem["pointer"]), (422, "/micro_batch"))

    def test_class_weights(self):
        for weights in ("balanced", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]):
            job = self.daemon.submit(small_job(class_weights=weights))["id"]
            self.assertLess(self.daemon.wait(job)["metrics"]["val_loss"], 2.3)
        status, _, problem = self.daemon.request("POST", "/v1/jobs", small_job(class_weights=[1, 2]))
        self.assertEqual((status, problem["pointer"]), (422, "/class_weights"))

    def test_submit_again_with_a_key(self):
        job = small_job(name="once")
        first = self.daemon.request("POST", "/v1/jobs", job, {"Idempotency-Key": "k-1"})
        again = self.daemon.request("POST", "/v1/jobs", job, {"Idempotency-Key": "k-1"})
        other = self.daemon.request("POST", "/v1/jobs", job, {"Idempotency-Key": "k-2"})
        self.assertEqual((first[0], again[0], other[0]), (201, 200, 201))
        self.assertEqual(first[2]["id"], again[2]["id"])
        self.assertNotEqual(first[2]["id"], other[2]["id"])
        self.assertEqual(first[1]["Location"], "/v1/jobs/%d" % first[2]["id"])
        self.assertEqual(self.daemon.request("POST", "/v1/jobs", job, {"Idempotency-Key": "k" * 300})[0], 422)
        for answer in (first, other):
            self.daemon.wait(answer[2]["id"])

    def test_content_types_of_curl(self):
        for kind in ("application/x-www-form-urlencoded", "application/json; charset=utf-8"):
            status, _, _ = self.daemon.request(
                "POST", "/v1/architectures/summary", {"architecture": "lenet", "input": [1, 28, 28]}, {"Content-Type": kind}
            )
            self.assertEqual(status, 200)

    def test_list(self):
        jobs = self.daemon.get("/v1/jobs")["jobs"]
        ids = [j["id"] for j in jobs]
        self.assertEqual(ids, sorted(ids, reverse=True))
        self.assertEqual([j["id"] for j in self.daemon.get("/v1/jobs?limit=1")["jobs"]], ids[:1])
        self.assertEqual(self.daemon.get("/v1/jobs?before=%d" % min(ids))["jobs"], [])
        self.assertIn(self.job, [j["id"] for j in self.daemon.get("/v1/jobs?state=succeeded")["jobs"]])
        self.assertEqual(self.daemon.get("/v1/jobs?state=paused")["jobs"], [])
        self.assertEqual(self.daemon.get("/v1/jobs?user=nobody%20here")["jobs"], [])

    def test_cancel_pause_resume(self):
        job = self.daemon.submit(long_job(name="changes"))["id"]
        path = "/v1/jobs/%d/" % job
        self.daemon.wait(job, ("running",))
        self.assertEqual(self.daemon.request("POST", path + "resume")[0], 409)
        self.assertEqual(self.daemon.request("POST", path + "pause")[0], 202)
        self.daemon.wait(job, ("paused",))
        self.assertEqual(self.daemon.request("POST", path + "resume")[0], 202)
        self.daemon.wait(job, ("running",))
        self.assertEqual(self.daemon.request("POST", path + "cancel")[0], 202)
        self.daemon.wait(job, ("cancelled",))
        for verb in ("cancel", "pause", "resume"):
            self.assertEqual(self.daemon.request("POST", path + verb)[0], 409, verb)
            self.assertEqual(self.daemon.request("POST", "/v1/jobs/12345/" + verb)[0], 404)
        self.assertEqual(self.daemon.request("POST", path + "cancel", b"{}")[0], 413)

    def test_user_of_the_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with harness.Daemon({"socket": path}) as d:
                d.need_fashion()
                c = http.client.HTTPConnection("localhost")
                c.sock = socket.socket(socket.AF_UNIX)
                c.sock.connect(path)
                c.request("POST", "/v1/jobs", json.dumps(small_job()))
                job = json.loads(c.getresponse().read())
                c.close()
                self.assertEqual(job["user"], pwd.getpwuid(os.getuid()).pw_name)
                self.assertEqual(len(d.get("/v1/jobs?user=" + job["user"])["jobs"]), 1)

    def test_curve(self):
        curve = self.daemon.get("/v1/jobs/%d/curve" % self.job)
        self.assertEqual(curve["id"], self.job)
        self.assertEqual(set(map(len, curve["train"].values())), {len(curve["train"]["step"])})
        self.assertEqual(curve["validation"]["epoch"], [1, 2])
        events = self.daemon.events(self.job)
        self.assertEqual(curve["train"]["loss"], [d["loss"] for _, kind, d in events if kind == "train"])
        self.assertEqual(curve["validation"]["acc"], [d["acc"] for _, kind, d in events if kind == "validation"])

    def test_curve_csv(self):
        _, headers, body = self.daemon.request("GET", "/v1/jobs/%d/curve" % self.job, headers={"Accept": "text/csv"})
        self.assertEqual(headers["Content-Type"], "text/csv")
        rows = list(csv.DictReader(io.StringIO(body.decode())))
        curve = self.daemon.get("/v1/jobs/%d/curve" % self.job)
        train = [float(r["train_loss"]) for r in rows if not r["val_loss"]]
        self.assertEqual(train, curve["train"]["loss"])
        self.assertEqual([float(r["val_loss"]) for r in rows if r["val_loss"]], curve["validation"]["loss"])

    def test_curve_by_accept(self):
        for accept, want in (
            ("*/*", "application/json"),
            ("image/avif,image/webp,image/svg+xml,image/*;q=0.9,*/*;q=0.5", "image/svg+xml"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
            ("application/json;q=0.4, Text/CSV ; q=0.5", "text/csv"),
            ("text/*", "text/csv"),
            ("application/json;q=0, */*;q=0.1", "text/csv"),
            ("application/pdf", "application/json"),
            (",;=/ q", "application/json"),
        ):
            _, headers, _ = self.daemon.request(
                "GET", "/v1/jobs/%d/curve" % self.job, headers={"Accept": accept}
            )
            self.assertEqual(headers["Content-Type"], want, accept)

    def test_curve_svg(self):
        nasty = self.daemon.submit(small_job(name='<script>"&', report_every=1, epochs=20))["id"]
        self.daemon.wait(nasty)
        for job in (self.job, nasty):
            _, headers, body = self.daemon.request(
                "GET", "/v1/jobs/%d/curve" % job, headers={"Accept": "image/svg+xml"}
            )
            self.assertEqual(headers["Content-Type"], "image/svg+xml")
            self.assertLess(len(body), 200000)
            tree = ElementTree.fromstring(body)
            self.assertTrue(tree.tag.endswith("svg"))
            texts = [e.text for e in tree.iter() if e.tag.endswith("text")]
            self.assertIn("loss", texts)
            self.assertIn("accuracy", texts)
            self.assertFalse([e for e in tree.iter() if e.tag.endswith("script")])

    def test_curve_without_points(self):
        job = self.daemon.submit(long_job())["id"]
        waiting = self.daemon.submit(small_job())["id"]
        _, _, body = self.daemon.request(
            "GET", "/v1/jobs/%d/curve" % waiting, headers={"Accept": "image/svg+xml"}
        )
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % waiting)
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
        self.assertIn(b"no points yet", body)
        ElementTree.fromstring(body)

    def test_result_is_of_classify_jobs(self):
        self.assertEqual(self.daemon.request("GET", "/v1/jobs/%d/result" % self.job)[0], 409)

    def test_models(self):
        names = [m["name"] for m in self.daemon.get("/v1/models")["models"]]
        self.assertIn("net", names)
        model = self.daemon.get("/v1/models/net")
        self.assertEqual(model["architecture"], "bn-lenet")
        self.assertEqual(model["input"], [1, 28, 28])
        self.assertEqual(model["classes"][9], "Ankle boot")
        self.assertEqual(model["job"], self.job)
        self.assertEqual(self.daemon.request("GET", "/v1/models/other")[0], 404)
        self.assertEqual(self.daemon.request("DELETE", "/v1/models/other")[0], 404)

    def test_weights_out_and_in(self):
        status, headers, data = self.daemon.request("GET", "/v1/models/net/weights")
        self.assertEqual(status, 200)
        self.assertEqual(int(headers["Content-Length"]), len(data))
        self.assertIn("net.safetensors", headers["Content-Disposition"])
        head = read_safetensors(data)
        self.assertIn("net.0.weight", head)
        self.assertEqual(json.loads(head["__metadata__"]["input"]), [1, 28, 28])
        status, _, model = self.daemon.request("PUT", "/v1/models/copy/weights", data)
        self.assertEqual((status, model["name"]), (201, "copy"), model)
        self.assertIsNone(model["job"])
        self.assertEqual(self.daemon.request("PUT", "/v1/models/copy/weights", data)[0], 200)
        boot = harness.png(28, 28, test_image(0))
        a = self.daemon.request("POST", "/v1/models/net/classify", boot)[2]["results"]
        b = self.daemon.request("POST", "/v1/models/copy/classify", boot)[2]["results"]
        self.assertEqual(a, b)
        self.assertEqual(self.daemon.request("DELETE", "/v1/models/copy")[0], 204)
        self.assertEqual(self.daemon.request("GET", "/v1/models/copy")[0], 404)
        self.assertEqual(self.daemon.request("GET", "/v1/models/copy/weights")[0], 404)

    def test_wrong_weights(self):
        data = self.daemon.request("GET", "/v1/models/net/weights")[2]
        for body, what in (
            (b"", "empty"),
            (b"hello", "no safetensors"),
            (data[:-4], "cut off"),
            (data + b"x", "longer"),
            (struct.pack("<Q", 1 << 60) + data[8:], "endless head"),
        ):
            status, _, problem = self.daemon.request("PUT", "/v1/models/bad/weights", body)
            self.assertIn(status, (400, 422), what)
        for number in (float("nan"), float("inf")):
            status, _, problem = self.daemon.request("PUT", "/v1/models/bad/weights", data[:-4] + struct.pack("<f", number))
            self.assertEqual(status, 422)
            self.assertIn("not finite", problem["detail"])
        for names, what in ((["a", "b"] * 5, 'the name "a"'), ([""] + list("bcdefghij"), "1 to 200 bytes")):
            query = urllib.parse.urlencode({"classes": json.dumps(names)})
            status, _, problem = self.daemon.request("PUT", "/v1/models/bad/weights?" + query, data)
            self.assertEqual((status, problem["pointer"]), (422, "/classes"))
            self.assertIn(what, problem["detail"])
        for query in ("architecture=skynet", "input=[1,2]", "input=x", 'classes=["a"]', "speed=9", "architecture={"):
            path = "/v1/models/bad/weights?" + query.replace('"', "%22")
            self.assertIn(self.daemon.request("PUT", path, data)[0], (400, 422), query)
        for name in ("..", ".x", "a%20b", "x" * 65, "%C3%A9"):
            self.assertIn(self.daemon.request("PUT", "/v1/models/%s/weights" % name, data)[0], (400, 422), name)
        self.assertEqual(self.daemon.request("GET", "/v1/models/bad")[0], 404)
        self.assertEqual(os.listdir(os.path.join(self.daemon.state, "tmp")), [])

    def test_classify(self):
        grey = test_image(0)
        floats = [v / 255 for v in grey]
        answers = []
        for kind, body in (
            ("image/png", harness.png(28, 28, grey)),
            ("application/octet-stream", harness.pgm(28, 28, grey)),
            ("application/x-npy", harness.npy((28, 28), floats)),
            ("application/x-npy", harness.npy((1, 1, 28, 28), floats)),
            ("application/x-www-form-urlencoded", harness.png(28, 28, grey)),
        ):
            status, _, answer = self.daemon.request(
                "POST", "/v1/models/net/classify?top=10", body, {"Content-Type": kind}
            )
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["model"], "net")
            answers.append(answer["results"])
        best = answers[0][0]["predictions"]
        self.assertEqual(len(best), 10)
        self.assertAlmostEqual(sum(p["probability"] for p in best), 1, places=5)
        self.assertEqual(sorted(best, key=lambda p: -p["probability"]), best)
        for answer in answers[1:]:
            for p, q in zip(answer[0]["predictions"], best):
                self.assertEqual(p["label"], q["label"])
                self.assertAlmostEqual(p["logit"], q["logit"], places=4)

    def test_classify_micrographs(self):
        grey = test_image(3)
        path = "/v1/models/net/classify"
        plain = self.daemon.request("POST", path, harness.png(28, 28, grey))[2]
        self.assertEqual(
            plain["image"],
            {"format": "PNG", "frames": 1, "channels": 1, "height": 28, "width": 28, "databar_height": 0, "pixel_size": None,
             "pixel_unit": None, "prepared": None},
        )
        fei = (34682, b"[Scan]\nPixelWidth=1e-9\n[Image]\nResolutionY=28\n\0")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("x.npy", harness.npy((28, 28), [v / 255 for v in grey]))
        for kind, body, name, size, databar in (
            ("image/tiff", harness.tiff(28, 28, grey), "TIFF", None, 0),
            ("image/tiff", harness.tiff(28, 40, grey + b"\xff" * 28 * 12, [fei]), "TIFF", 1e-9, 12),
            ("application/x-dm", harness.dm4(28, 28, grey), "DM", 2e-9, 0),
            ("application/x-mrc", harness.mrc(28, 28, grey), "MRC", 3e-10, 0),
            ("application/x-ser", harness.ser(28, 28, grey), "SER", 4e-9, 0),
            ("application/octet-stream", harness.dm4(28, 28, grey), "DM", 2e-9, 0),
            ("application/x-npz", packed.getvalue(), "NPZ", None, 0),
        ):
            status, _, answer = self.daemon.request("POST", path, body, {"Content-Type": kind})
            self.assertEqual(status, 200, answer)
            image = answer["image"]
            self.assertEqual((image["format"], image["height"], image["databar_height"]), (name, 28, databar))
            self.assertEqual(image["pixel_unit"], "m" if size else None)
            if size:
                self.assertAlmostEqual(image["pixel_size"][0] / size, 1, places=6)
                self.assertAlmostEqual(image["pixel_size"][1] / size, 1, places=6)
            for p, q in zip(answer["results"][0]["predictions"], plain["results"][0]["predictions"]):
                self.assertEqual(p["label"], q["label"])
                self.assertAlmostEqual(p["logit"], q["logit"], places=4)
        with open(os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus", "emd", "complex"), "rb") as f:
            complex_emd = f.read()
        for status, kind, body in (
            (422, "application/x-dm", harness.dm4(28, 28, grey, data_type=3)),
            (422, "application/x-mrc", harness.mrc(28, 28, grey)[:12] + struct.pack("<i", 4) + harness.mrc(28, 28, grey)[16:]),
            (422, "application/x-ser", harness.ser(28, 28, grey)[:6] + struct.pack("<I", 0x4120) + harness.ser(28, 28, grey)[10:]),
            (422, "application/x-npy", harness.npy((28, 28), [0] * 1568).replace(b"<f4", b"<c8")),
            (422, "application/x-npy", harness.npy((784,), [0] * 784)),
            (422, "application/x-emd", complex_emd),
            (400, "application/x-dm", harness.dm4(28, 29, grey)),
            (400, "image/tiff", harness.tiff(28, 40, grey)),
            (415, "image/tiff", harness.dm4(28, 28, grey)),
            (415, "application/x-emd", harness.mrc(28, 28, grey)),
            (413, "application/x-mrc", struct.pack("<i", 70000) + harness.mrc(1, 1, b"\1")[4:]),
        ):
            got, _, problem = self.daemon.request("POST", path, body, {"Content-Type": kind})
            self.assertEqual(got, status, problem)
            self.assertTrue(problem["detail"])
        self.assertEqual(self.daemon.request("POST", path, harness.png(28, 28, grey))[0], 200)

    def test_classify_hdf5(self):
        """Whole, damaged and empty-handed ones in turn: one decoder answers them all."""
        path = "/v1/models/net/classify"
        folder = os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus", "emd")
        with open(os.path.join(folder, "velox_stack_2"), "rb") as f:
            stack = f.read()
        with open(os.path.join(folder, "bomb_external_link"), "rb") as f:
            link = f.read()
        self.assertEqual(self.daemon.request("POST", path, stack)[0], 200)
        decoder = self.daemon.children("decoder")[0]
        for _ in range(5):
            status, _, answer = self.daemon.request("POST", path, stack, {"Content-Type": "application/x-emd"})
            self.assertEqual((status, len(answer["results"])), (200, 3), answer)
            self.assertEqual((answer["image"]["format"], answer["image"]["frames"]), ("EMD", 3))
            self.assertEqual(self.daemon.request("POST", path, harness.png(28, 28, test_image(1)))[0], 200)
            self.assertEqual(self.daemon.request("POST", path, link)[0], 422)
            self.assertEqual(self.daemon.request("POST", path, stack[: len(stack) // 2])[0], 400)
            self.assertIn(decoder, self.daemon.children("decoder"))

    def test_every_decoder_works_in_the_sandbox(self):
        """Whole and broken files of every format: an answer each, and no decoder that the sandbox had to kill."""
        corpus = os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus")
        seen = {}
        for kind in ("dm", "emd", "jpeg", "mrc", "npy", "npz", "png", "pnm", "ser", "tiff"):
            for name in sorted(os.listdir(os.path.join(corpus, kind))):
                with open(os.path.join(corpus, kind, name), "rb") as f:
                    data = f.read()
                for body in (data, data[: len(data) * 2 // 3]):
                    status, _, answer = self.daemon.request("POST", "/v1/models/net/classify", body)
                    self.assertIn(status, (200, 400, 413, 415, 422), (kind, name, answer))
                    self.assertNotEqual(answer.get("detail"), "the decoder could not read it", (kind, name))
                    if status == 200:
                        seen[kind] = seen.get(kind, 0) + 1
        self.assertEqual(len(seen), 10, seen)

    def test_classify_a_batch(self):
        floats = [v / 255 for i in range(20) for v in test_image(i)]
        status, _, answer = self.daemon.request(
            "POST", "/v1/models/net/classify?top=1", harness.npy((20, 1, 28, 28), floats)
        )
        self.assertEqual((status, len(answer["results"])), (200, 20))
        one = self.daemon.request("POST", "/v1/models/net/classify?top=1", harness.png(28, 28, test_image(7)))[2]
        self.assertEqual(one["results"][0]["predictions"][0]["label"], answer["results"][7]["predictions"][0]["label"])

    def check_grid(self, png, maps, side, scale):
        """`maps`: lists of side*side floats, drawn in rows of 3."""
        self.assertEqual(png[0], 200, png)
        self.assertEqual(png[1]["Content-Type"], "image/png")
        width, height, rows = harness.read_png(png[2])
        cell = side * scale + 1
        self.assertEqual((width, height), (3 * cell + 1, 2 * cell + 1))
        low, high = min(min(m) for m in maps), max(max(m) for m in maps)
        for i, values in enumerate(maps):
            for k, value in enumerate(values):
                y, x = 1 + i // 3 * cell + k // side * scale, 1 + i % 3 * cell + k % side * scale
                self.assertAlmostEqual(rows[y][x], (value - low) / (high - low) * 255, delta=1)
        self.assertEqual((rows[0][0], rows[cell][cell]), (128, 128))

    def test_looking_inside(self):
        data = self.daemon.request("GET", "/v1/models/net/weights")[2]
        head = read_safetensors(data)
        floats = {}
        for name in ("net.0.weight", "net.0.bias"):
            first, end = (len(data) - self.data_bytes(head) + o for o in head[name]["data_offsets"])
            floats[name] = struct.unpack("<%df" % ((end - first) // 4), data[first:end])
        filters = [floats["net.0.weight"][i * 25:(i + 1) * 25] for i in range(6)]
        self.check_grid(self.daemon.request("GET", "/v1/models/net/filters?layer=net.0"), filters, 5, 8)

        image = test_image(3)
        padded = {(y, x): image[y * 28 + x] / 255 for y in range(28) for x in range(28)}
        maps = [
            [
                floats["net.0.bias"][i]
                + sum(filters[i][r * 5 + s] * padded.get((y + r - 2, x + s - 2), 0) for r in range(5) for s in range(5))
                for y in range(28)
                for x in range(28)
            ]
            for i in range(6)
        ]
        body = harness.png(28, 28, image)
        self.check_grid(self.daemon.request("POST", "/v1/models/net/activations?layer=net.0", body), maps, 28, 1)
        self.assertEqual(self.daemon.request("POST", "/v1/models/net/activations?layer=net", body)[0], 200)

        for method, path, content, status in (
            ("GET", "filters", None, 422),
            ("GET", "filters?layer=net.1", None, 422),
            ("GET", "filters?layer=net.0&x=1", None, 422),
            ("POST", "activations?layer=net.99", body, 422),
            ("POST", "activations?layer=net.0", b"", 400),
            ("POST", "activations?layer=net.0", harness.npy((2, 1, 28, 28), [0.5] * 1568), 422),
        ):
            self.assertEqual(self.daemon.request(method, "/v1/models/net/" + path, content)[0], status, path)
        self.assertEqual(self.daemon.request("GET", "/v1/models/none/filters?layer=net.0")[0], 404)

    @staticmethod
    def data_bytes(head):
        """Bytes of all tensors: they stand at the file's end."""
        return max(t["data_offsets"][1] for n, t in head.items() if n != "__metadata__")

    def test_classify_while_training(self):
        job = self.daemon.submit(long_job())["id"]
        self.daemon.wait(job, ("running",))
        for i in range(5):
            status, _, answer = self.daemon.request(
                "POST", "/v1/models/net/classify", harness.png(28, 28, test_image(i))
            )
            self.assertEqual(status, 200, answer)
        self.assertEqual(self.daemon.get("/v1/jobs/%d" % job)["state"], "running")
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)

    def test_clients_share_batches(self):
        """Sixteen clients at once get to the bit what each gets alone, in fewer batches than images."""

        def batches():
            return int(re.search(rb"^cnnd_batches_total (\d+)", self.daemon.request("GET", "/metrics")[2], re.M)[1])

        def client(i):
            with contextlib.closing(self.daemon.connection()) as c:
                for j in range(16):
                    c.request("POST", "/v1/models/net/classify?top=10", body=pngs[(i + j) % 16])
                    together[i].append((c.getresponse().read(), alone[(i + j) % 16]))

        pngs = [harness.png(28, 28, test_image(i)) for i in range(16)]
        before = batches()
        alone = []
        with contextlib.closing(self.daemon.connection()) as c:
            for png in pngs:
                c.request("POST", "/v1/models/net/classify?top=10", body=png)
                alone.append(c.getresponse().read())
        self.assertEqual(batches() - before, 16)
        before, together = batches(), [[] for _ in range(16)]
        threads = [threading.Thread(target=client, args=(i,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for pair in sum(together, []):
            self.assertEqual(*pair)
        self.assertEqual(sum(map(len, together)), 256)
        self.assertLess(batches() - before, 200)

    def test_small_micrographs_come_back_soon(self):
        """A decoder's start included, on new connections; the device takes less than a millisecond."""
        grey = bytes(range(256)) * 2048
        with harness.Daemon({"log_level": "warn"}) as d:
            d.need_fashion()
            d.wait(d.submit(small_job(save_as="it"))["id"])
            d.request("POST", "/v1/models/it/classify", harness.npy((1, 28, 28), [0.5] * 784))  # compiles
            for kind, body in (
                ("image/tiff", harness.tiff(512, 512, grey, bits=16)),
                ("application/x-dm", harness.dm4(512, 512, grey, data_type=10)),
            ):
                os.kill(d.children("decoder")[0], signal.SIGKILL)
                for _ in range(3):
                    begun = time.monotonic()
                    status, _, answer = d.request("POST", "/v1/models/it/classify", body, {"Content-Type": kind})
                    self.assertEqual(status, 200, answer)
                    seconds = time.monotonic() - begun
                    print("512x512 %s: %.1f ms" % (kind, 1000 * seconds))
                    self.assertLess(seconds, 0.05 * harness.busy(), kind)

    def test_clients_that_left_are_not_classified_for(self):
        def number(name):
            return int(re.search(rb"\n%s (\d+)\n" % name, self.daemon.request("GET", "/metrics")[2])[1])

        body = harness.npy((500, 1, 28, 28), [0.5] * (500 * 784))
        head = b"POST /v1/models/net/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        images = rb'cnnd_images_total{for="classification"}'
        before, sockets, decoders = number(images), [], self.daemon.children("decoder")
        for pid in decoders:  # so that all wait, however slow the front is
            harness.send_signal(pid, signal.SIGSTOP)
        try:
            for _ in range(30):
                sockets.append(socket.create_connection((self.daemon.host, self.daemon.port)))
                sockets[-1].sendall(head + body)
            harness.wait_for(lambda: number(b"cnnd_http_waiting") == 30, what="clients that wait")
            for s in sockets:
                s.close()
            harness.wait_for(lambda: number(b"cnnd_http_waiting") == 0, what="an end of the waiting")
        finally:
            for pid in decoders:
                harness.send_signal(pid, signal.SIGCONT)
        picture = harness.png(28, 28, test_image(0))
        self.assertEqual(self.daemon.request("POST", "/v1/models/net/classify", picture)[0], 200)
        self.assertEqual(number(images), before + 1)

    def test_wrong_images(self):
        picture = harness.png(28, 28, test_image(0))
        path = "/v1/models/net/classify"
        for status, body, kind, query in (
            (400, b"", "image/png", ""),
            (415, b"hello, this is no image", "application/octet-stream", ""),
            (415, picture, "image/jpeg", ""),
            (400, picture[:-20], "image/png", ""),
            (422, picture, "image/png", "?top=0"),
            (422, picture, "image/png", "?best=3"),
            (404, picture, "image/png", None),
        ):
            got, _, problem = self.daemon.request(
                "POST", "/v1/models/nobody/classify" if query is None else path + query, body, {"Content-Type": kind}
            )
            self.assertEqual(got, status, problem)
        self.assertEqual(self.daemon.request("POST", path, picture)[0], 200)

    def test_what_to_do_about_it(self):
        picture, path = harness.png(28, 28, test_image(0)), "/v1/models/net/classify"
        job = {"type": "train", "architecture": "lenet", "dataset": "fashion"}
        for status, words, address, body, kind in (
            (415, "--data-binary @FILE", path, picture, "multipart/form-data; boundary=x"),
            (422, "read as (C,H,W), not as (H,W,C)", path, harness.npy((28, 28, 3), [0.5] * 2352), "application/x-npy"),
            (400, "a zip, is cut short", path, b"PK\3\4" + bytes(100), "application/zip"),
            (422, "there are: fashion-mnist", "/v1/jobs", job, None),
            (422, "known are: conv2d", "/v1/jobs", {**job, "architecture": {"layers": [{"type": "conv3d"}]}, "dataset": "fashion-mnist"}, None),
        ):
            got, _, problem = self.daemon.request("POST", address, body, {"Content-Type": kind} if kind else None)
            self.assertEqual(got, status, problem)
            self.assertIn(words, problem["detail"])

    def test_datasets(self):
        sets = {s["name"]: s for s in self.daemon.get("/v1/datasets")["datasets"]}
        fashion = self.daemon.get("/v1/datasets/fashion-mnist")
        self.assertEqual(fashion, sets["fashion-mnist"])
        self.assertEqual((fashion["shape"], fashion["train"], fashion["val"]), ([1, 28, 28], 60000, 10000))
        self.assertEqual(len(fashion["classes"]), 10)
        self.assertEqual(self.daemon.request("GET", "/v1/datasets/none")[0], 404)
        self.assertEqual(self.daemon.request("DELETE", "/v1/datasets/none")[0], 404)
        job = self.daemon.submit(long_job())["id"]
        status, _, problem = self.daemon.request("DELETE", "/v1/datasets/fashion-mnist")
        self.assertEqual(status, 409)
        self.assertRegex(problem["detail"], r"^job \d+, which is (queued|running), uses data set")
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)

    def test_architectures(self):
        known = self.daemon.get("/v1/architectures")
        self.assertIn("bn-lenet", [p["name"] for p in known["presets"]])
        self.assertIn("conv2d", [p["type"] for p in known["layers"]])

    def test_summary(self):
        summary = self.daemon.get("/v1/architectures/lenet/summary?input=1x28x28&batch=2&num_classes=7")
        self.assertEqual(summary["layers"][-1]["output_shape"], [2, 7])
        posted = self.daemon.request(
            "POST",
            "/v1/architectures/summary",
            {"architecture": "lenet", "input": [1, 28, 28], "batch": 2, "num_classes": 7},
        )
        self.assertEqual(posted[0], 200)
        self.assertEqual(posted[2], summary)
        for path, status in (
            ("nothing/summary", 404),
            ("lenet/summary?input=28x28", 422),
            ("lenet/summary?input=1x0x28", 422),
            ("lenet/summary?input=1x28x28x", 422),
            ("lenet/summary?input=99999x99999x99999", 422),
            ("lenet/summary?batch=0", 422),
            ("lenet/summary?size=1", 422),
            ("lenet/summary?input=1x1x1", 422),
        ):
            self.assertEqual(self.daemon.request("GET", "/v1/architectures/" + path)[0], status, path)
        for body, pointer in (
            ({"input": [1, 2, 3]}, "/architecture"),
            ({"architecture": LINEAR}, "/input"),
            ({"architecture": LINEAR, "input": [1, 2]}, "/input"),
            ({"architecture": LINEAR, "input": [1, 2, 0.5]}, "/input/2"),
            ({"architecture": LINEAR, "input": [1, 2, 3], "batch": 0}, "/batch"),
            ({"architecture": LINEAR, "input": [1, 2, 3], "extra": 0}, "/extra"),
            ({"architecture": {"layers": [{"type": "conv2d"}]}, "input": [1, 8, 8]}, "/architecture/layers/0/"),
        ):
            status, _, problem = self.daemon.request("POST", "/v1/architectures/summary", body)
            self.assertEqual(status, 422)
            self.assertTrue(problem["pointer"].startswith(pointer), problem)

    def test_metrics(self):
        _, headers, body = self.daemon.request("GET", "/metrics")
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        values = dict(
            line.rsplit(" ", 1) for line in body.decode().splitlines() if line and not line.startswith("#")
        )
        self.assertGreaterEqual(int(values['cnnd_jobs{state="succeeded"}']), 1)
        self.assertGreaterEqual(int(values['cnnd_http_answers_total{class="2xx"}']), 1)
        self.assertEqual(int(values["cnnd_http_body_bytes"]), 0)

    def test_drain_keeps_the_job(self):
        with harness.Daemon() as d:
            d.need_fashion()
            job = d.submit(long_job())["id"]
            d.wait(job, ("running",))
            self.assertEqual(d.stop(), 0)
            d.start()
            d.wait(job, ("running",), seconds=60)
            d.request("POST", "/v1/jobs/%d/cancel" % job)


if __name__ == "__main__":
    harness.main()
