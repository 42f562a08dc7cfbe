#!/usr/bin/env python3
"""GET /v1/openapi.json is true: what a live daemon answers is what it says, and what it lets pass or refuses of a job is
what the daemon takes or refuses. That it has each route and no other, tests/unit/routes.py sees to."""
import contextlib
import json
import threading
import unittest

from archives import tarred, zipped
from harness import LINEAR, Daemon, main, npy, png, small_job, wait_for
from people import Person, token
from schema import Description, resolve

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
CONV = {"layers": [{"type": "conv2d", "out_channels": 4, "kernel_size": 5}, *LINEAR["layers"]]}
IMAGE, LARGE = npy((1, 28, 28), [0.5] * 784), npy((1, 64, 64), [0.5] * 4096)
TENSOR = {"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.5] * 784}]}
FILES = [("%s/%d.png" % ("ab"[i % 2], i), png(8, 8, bytes(range(i, 64 + i)))) for i in range(4)]
ZIP = zipped(FILES)
NDJSON, SSE = {"Accept": "application/x-ndjson"}, {"Accept": "text/event-stream"}
BINARY_TENSOR = json.dumps({
    "inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "UINT8", "parameters": {"binary_data_size": 784}}],
    "parameters": {"binary_data_output": True}}).encode()


def filled(path, **names):
    """An address at a described path."""
    for name, value in {"id": 1, "name": "m", "version": "1", **names}.items():
        path = path.replace("{%s}" % name, str(value))
    return path


class Answers(unittest.TestCase):
    """One daemon with a device, and what a round of work on it brings."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.daemon.need_fashion()
        cls.description = Description(cls.daemon.get("/v1/openapi.json"))
        cls.seen = set()

    def ask(self, status, method, path, body=None, headers=None):
        got, answered, data = self.daemon.request(method, path, body, headers)
        self.assertEqual(got, status, (method, path, data))
        self.seen.add(self.description.check(method, path, got, answered, data))
        if got < 400:
            query = [pair.split("=", 1) for pair in path.partition("?")[2].split("&") if pair]
            self.assertEqual(self.description.request_faults(method, path, query, headers or {}, body), [], (method, path))
        return data

    def test_every_answer(self):
        self.look_around()
        self.train_and_score()
        self.import_and_delete()
        self.use_a_model()
        self.infer()
        self.go_wrong()
        told = {
            (o["operationId"], int(status), kind)
            for _, _, o in self.description.operations()
            for status, answer in o["responses"].items() if status[0] == "2"
            for kind in resolve(answer, self.description.document).get("content", {"": None})}
        self.assertEqual({s for s in self.seen if s[1] < 300}, told)

    def look_around(self):
        for name in ("main.js", "page.css", "page.html"):
            self.ask(200, "GET", "/page/" + name)
        for path in ("/", "/v1/openapi.json", "/v1/health", "/v1/version", "/v1/devices", "/v1/devices/0:0", "/metrics",
                     "/v1/architectures",
                     "/v1/architectures/vgg11/summary?input=3x224x224&batch=2&num_classes=7", "/v1/datasets", "/v1/datasets/fashion-mnist",
                     "/v1/datasets/fashion-mnist/sheet?split=val&images=2", "/v2", "/v2/health/live", "/v2/health/ready"):
            self.ask(200, "GET", path)
        self.ask(200, "HEAD", "/v1/devices")
        self.ask(200, "POST", "/v1/architectures/summary", {"architecture": CONV, "input": [1, 28, 28], "batch": 2})

    def train_and_score(self):
        key = {"Idempotency-Key": "once"}
        job = self.ask(201, "POST", "/v1/jobs", small_job(architecture=CONV, save_as="m"), key)["id"]
        self.ask(200, "POST", "/v1/jobs", small_job(), key)
        self.daemon.wait(job)
        stops = small_job(stop_when={"metric": "val_loss", "patience": 1, "min_delta": 1000}, optimizer={"schedule": "cosine"}, name="stops",
                          save_as="stopped", save_best="val_loss")
        stopped = self.ask(201, "POST", "/v1/jobs", stops)["id"]
        long = self.ask(201, "POST", "/v1/jobs", small_job(epochs=10000, save_as="late"))["id"]
        scores = self.ask(201, "POST", "/v1/jobs", {"type": "classify", "model": "m", "dataset": "fashion-mnist", "limit": 20})["id"]
        self.ask(200, "GET", "/v1/jobs/%d" % scores)
        self.ask(200, "GET", "/v1/jobs?state=queued&limit=3&before=%d" % (scores + 1))
        self.daemon.wait(stopped)
        self.ask(202, "POST", "/v1/jobs/%d/pause" % long)
        self.daemon.wait(long, ("paused",))
        self.ask(202, "POST", "/v1/jobs/%d/resume" % long)
        self.ask(202, "POST", "/v1/jobs/%d/cancel" % long)
        self.daemon.wait(long, ("cancelled",))
        self.daemon.wait(scores)
        self.ask(200, "GET", "/v1/jobs/%d/result" % scores)
        for id in (job, stopped, long, scores):
            self.ask(200, "GET", "/v1/jobs/%d" % id)
            for accept in ("application/json", "text/csv", "image/svg+xml"):
                self.ask(200, "GET", "/v1/jobs/%d/curve" % id, headers={"Accept": accept})
            for accept in (NDJSON, SSE):
                self.ask(200, "GET", "/v1/jobs/%d/events?after=1" % id, headers=accept)
        self.ask(200, "GET", "/v1/jobs/%d/events" % job, headers={"Last-Event-ID": "3"})
        self.ask(204, "GET", "/v1/jobs/%d/events?after=1000" % job)
        self.ask(204, "DELETE", "/v1/jobs/%d" % long)

    def import_and_delete(self):
        self.ask(201, "PUT", "/v1/datasets/mine?size=8x8&fit=crop&channels=1&val=0.5&normalize=none", ZIP, {"Content-Type": "application/zip"})
        self.ask(200, "PUT", "/v1/datasets/mine?size=4&fit=tile&stride=2&val=5e-1", tarred(FILES + [("a/readme.txt", b"?")]))
        for accept in (NDJSON, SSE):
            self.ask(200, "PUT", "/v1/datasets/mine", ZIP, accept)
            self.ask(200, "PUT", "/v1/datasets/mine", ZIP[:-40], accept)  # an end that tells of a 400
        self.ask(200, "GET", "/v1/datasets/mine")
        self.ask(204, "GET", "/v1/datasets/mine/events")
        for accept in (NDJSON, SSE):
            self.watch_an_import(accept)
        self.ask(204, "DELETE", "/v1/datasets/mine")

    def watch_an_import(self, accept):
        """Events to who did not send it: of one that waits for the rest of its body there are none yet."""
        many = tarred([("%s/%d.png" % ("ab"[i % 2], i), png(64, 64, bytes(4096))) for i in range(3000)])
        for _ in range(20):  # one that is over before anybody looks is sent again
            sender = threading.Thread(target=self.daemon.request, args=("PUT", "/v1/datasets/mine?size=128", many))
            sender.start()
            status = 204
            while status == 204 and sender.is_alive():
                status, headers, body = self.daemon.request("GET", "/v1/datasets/mine/events", headers=accept)
            sender.join()
            if status == 200:
                self.seen.add(self.description.check("GET", "/v1/datasets/mine/events", status, headers, body))
                return
        self.fail("no import was seen at work")

    def use_a_model(self):
        weights = self.ask(200, "GET", "/v1/models/m/weights")
        onnx = self.ask(200, "GET", "/v1/models/m/onnx")
        for status in (201, 200):
            self.ask(status, "PUT", "/v1/models/o/onnx", onnx, {"Content-Type": "application/octet-stream"})
        for status in (201, 200):
            self.ask(status, "PUT", "/v1/models/n/weights?input=[1,28,28]", weights, {"Content-Type": "application/octet-stream"})
        for path in ("/v1/models", "/v1/models/m", "/v1/models/n", "/v1/models/m/filters?layer=net.0"):
            self.ask(200, "GET", path)
        self.ask(200, "POST", "/v1/models/m/classify?top=3", IMAGE)
        self.ask(200, "POST", "/v1/models/m/classify", npy((2, 1, 28, 28), [0.5] * 1568), {"Content-Type": "application/x-npy"})
        self.ask(200, "POST", "/v1/models/m/classify", zipped(FILES + [("c.png", b"no image")]), {"Content-Type": "application/zip"})
        self.ask(200, "POST", "/v1/models/m/map?window=28&stride=14&threshold=1e-2", LARGE)
        self.ask(200, "POST", "/v1/models/m/map?window=28", LARGE, {"Accept": "image/png"})
        self.ask(200, "POST", "/v1/models/m/activations?layer=net.0", IMAGE)
        self.ask(204, "DELETE", "/v1/models/n")

    def infer(self):
        self.ask(200, "POST", "/v2/repository/index")
        self.ask(200, "POST", "/v2/repository/index", {"ready": True})
        best = {**TENSOR, "id": "x", "outputs": [{"name": "logits", "parameters": {"classification": 2}}]}
        for change in ({"name": "x"}, {"shape": [1, 784]}, {"shape": [0, 1, 28, 28]}, {"datatype": "FP64"}, {"datatype": "BYTES"},
                       {"parameters": {"binary_data_size": 3136}}, {"surplus": 1}):
            self.refuse({"inputs": [{**TENSOR["inputs"][0], **change}]})
        for data in (None, 1, {}):
            self.refuse({"inputs": [{**TENSOR["inputs"][0], "data": data}]}, 400)
        for change in ({"id": 1}, {"id": "x" * 257}, {"outputs": [{"name": "x"}]}, {"outputs": [{"parameters": {}}]}, {"parameters": {"x": 1}},
                       {"outputs": [{"name": "logits", "parameters": {"classification": -1}}]}, {"inputs": TENSOR["inputs"] * 2}):
            self.refuse({**TENSOR, **change})
        for at in ("/v2/models/m", "/v2/models/m/versions/1"):
            self.ask(200, "GET", at)
            self.ask(200, "GET", at + "/ready")
            self.ask(200, "POST", at + "/infer", TENSOR)
            self.ask(200, "POST", at + "/infer", best)
            self.ask(200, "POST", at + "/infer", BINARY_TENSOR + bytes(784), {
                "Inference-Header-Content-Length": str(len(BINARY_TENSOR)), "Content-Type": "application/octet-stream"})

    def refuse(self, body, status=422):
        """What the schema refuses the daemon does, too."""
        self.assertTrue(self.description.faults(body, "InferRequest"), body)
        self.ask(status, "POST", "/v2/models/m/infer", body)

    def go_wrong(self):
        """The problems of each address: what is not there, what is not understood, what cannot be."""
        for method, path, operation in list(self.description.operations()):
            at = filled(path, id=999999, name="none").replace("/devices/999999", "/devices/9:9")
            body = IMAGE if "requestBody" in operation else None
            query = "?layer=net.0" if "layer" in str(operation.get("parameters")) else ""
            if "404" in operation["responses"]:
                self.ask(404, method, at + query, body)
            if "{" not in path and method == "GET":
                self.ask(422, method, path + "?surplus=1")
        for method, path, body in (
                ("POST", "/v1/jobs", b"{"), ("POST", "/v1/architectures/summary", b""), ("POST", "/v2/models/m/infer", b"{]"),
                ("POST", "/v1/models/m/classify", b""), ("POST", "/v1/models/m/map", b""), ("POST", "/v2/repository/index", b"["),
                ("PUT", "/v1/datasets/mine", ZIP[:-40]), ("PUT", "/v1/models/n/weights", b"short")):
            self.ask(400, method, path, body)
        for path in ("/v1/jobs", "/v1/architectures/summary", "/v2/models/m/infer", "/v2/repository/index"):
            self.ask(415, "POST", path, b"{}", {"Content-Type": "text/plain"})
        self.ask(415, "POST", "/v1/models/m/classify", b"no image")
        self.ask(415, "PUT", "/v1/datasets/mine", b"no archive")
        for path in ("/v1/jobs", "/v1/architectures/summary", "/v2/repository/index"):
            self.ask(413, "POST", path, b" " * 2000000)
        self.ask(422, "PUT", "/v1/datasets/mine?fit=tile", ZIP)
        self.ask(422, "PUT", "/v1/datasets/-mine", ZIP)
        self.ask(422, "PUT", "/v1/models/n/weights?input=[1]", self.daemon.weights("m"))
        self.ask(422, "POST", "/v1/jobs", {"type": "bake"})
        self.ask(422, "GET", "/v1/models/m/filters")
        self.ask(422, "POST", "/v2/models/m/infer", {"inputs": []})
        for path in ("cancel", "pause", "resume"):
            self.ask(409, "POST", "/v1/jobs/1/" + path)
        self.ask(409, "GET", "/v1/jobs/1/result")
        self.ask(409, "PUT", "/v1/datasets/fashion-mnist", ZIP)
        huge = small_job(architecture="vgg16", batch_size=4096, micro_batch=4096, dataset={"name": "fashion-mnist", "resize": [256, 256]})
        self.ask(507, "POST", "/v1/jobs", huge)
        self.ask(413, "POST", "/v1/jobs/1/cancel", b"{}")
        self.ask(421, "GET", "/v1/jobs", headers={"Host": "elsewhere"})
        self.ask(403, "POST", "/v1/jobs", small_job(), {"Origin": "http://elsewhere"})
        self.ask(400, "GET", "/v1/jobs?limit=%zz")

    def test_methods(self):
        """Each path has the methods that it is described with; all others get 405, and are told which there are."""
        for path, item in self.description.document["paths"].items():
            known = {m.upper() for m in item} - {"PARAMETERS"}
            known |= {"HEAD"} & {"HEAD" if "GET" in known else ""}
            for method in sorted(set(METHODS) - known):
                with contextlib.closing(self.daemon.connection()) as c:
                    c.request(method, filled(path))
                    answer = c.getresponse()
                    answer.read()
                self.assertEqual(answer.status, 405, (method, path))
                self.assertEqual({m.strip() for m in answer.headers["Allow"].split(",")}, known, path)
                if method != "HEAD":
                    self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        with self.assertRaises(AssertionError):  # the check itself must be able to fail
            self.description.check("GET", "/v1/health", 200, {"Content-Type": "application/json"}, {"status": "ill"})

    def test_version(self):
        self.assertEqual(self.description.document["info"]["version"], str(self.daemon.get("/v1/version")["formats"]["api"]))


class Strangers(unittest.TestCase):
    """A daemon without a device, on which anna has a token."""

    def setUp(self):
        self.daemon = self.enterContext(Daemon({"device": "type:accelerator", "requests_per_second": 1}, device=False))
        self.anna = Person(self.daemon, token(self.daemon, "anna"))
        self.description = Description(self.daemon.get("/v1/openapi.json"))

    def check(self, who, method, path, body=None):
        status, headers, data = who.request(method, path, body)
        self.description.check(method, path, status, headers, data)
        return status

    def test_tokens(self):
        """Without one, those answer that are described so, the description among them."""
        for method, path, operation in self.description.operations():
            status = self.check(Person(self.daemon), method, filled(path))
            self.assertEqual(status != 401, operation.get("security") == [], (method, path))

    def test_refusals(self):
        wait_for(lambda: self.daemon.get("/v1/health", 503)["detail"].find("no OpenCL device") >= 0, what="no device")
        for path in ("/v1/health", "/v2/health/ready"):
            self.assertEqual(self.check(Person(self.daemon), "GET", path), 503)
        self.assertEqual(self.check(self.anna, "POST", "/v1/jobs", small_job(priority=1)), 403)
        wait_for(lambda: self.check(self.anna, "GET", "/v1/jobs") == 429, what="a quota")


if __name__ == "__main__":
    main()
