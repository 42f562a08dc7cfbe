"""Every endpoint on real work: jobs, models, weights, data sets, summaries, curves, metrics."""

import csv
import http.client
import io
import json
import os
import pwd
import socket
import struct
import tempfile
import unittest
import urllib.parse
import xml.etree.ElementTree as ElementTree

import harness
from harness import LINEAR, long_job, read_safetensors, small_job, test_image


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

    def test_lists_in_parts(self):
        for kind in ("models", "datasets"):
            path, whole = "/v1/" + kind, self.daemon.get("/v1/" + kind)
            self.assertEqual(list(whole), [kind])
            first = whole[kind][0]["name"]
            part = self.daemon.get(path + "?limit=1")
            self.assertEqual(part, {kind: whole[kind][:1], **({"after": first} if len(whole[kind]) > 1 else {})})
            self.assertEqual(self.daemon.get(path + "?after=" + first), {kind: whole[kind][1:]})
            self.assertEqual(self.daemon.get(path + "?limit=500&after=~"), {kind: []})
            for query, words in (("limit=0", "limit"), ("limit=501", "limit"), ("before=a", "before")):
                status, _, problem = self.daemon.request("GET", path + "?" + query)
                self.assertEqual(status, 422)
                self.assertIn('"%s"' % words, problem["detail"])

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
            (b"hello", "not a safetensors"),
            (data[:-4], "cut off"),
            (data + b"x", "longer"),
            (struct.pack("<Q", 1 << 60) + data[8:], "endless head"),
        ):
            status, _, problem = self.daemon.request("PUT", "/v1/models/bad/weights", body)
            self.assertIn(status, (400, 422), what)
        size = struct.unpack("<Q", data[:8])[0]
        head = data[8:8 + size].replace(b'"net.', b'"')
        for body, words in ((struct.pack("<Q", len(head)) + head + data[8 + size:], ') of the network is missing; the file\'s first is "'),
                            (b"PK\3\4" + bytes(500), "torch.save_file writes")):
            status, _, problem = self.daemon.request("PUT", "/v1/models/bad/weights", body)
            self.assertIn(words, problem["detail"])
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
            d.wait(job, ("running",))
            d.request("POST", "/v1/jobs/%d/cancel" % job)


if __name__ == "__main__":
    harness.main()
