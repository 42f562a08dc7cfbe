#!/usr/bin/env python3
"""The Open Inference Protocol: what a client of KServe or Triton sends gets the bits that the same array gets as an NPY."""

import contextlib
import json
import math
import os
import random
import struct
import threading
import unittest

from harness import Daemon, long_job, main, mrc, npy, pgm, png, small_job, tiff
from people import Person, token
from test_import import tarred

HEAD = "Inference-Header-Content-Length"
INFER = "/v2/models/net/infer"


def floats(seed, n):
    r = random.Random(seed)
    return list(struct.unpack("<%df" % (n * 784), struct.pack("<%df" % (n * 784), *(r.uniform(-2, 2) for _ in range(n * 784)))))


def grey(seed, count=784):
    return bytes(random.Random(seed).randrange(256) for _ in range(count))


def nested(values, n):
    return [[[values[784 * i + 28 * y:784 * i + 28 * y + 28] for y in range(28)]] for i in range(n)]


def integers_npy(descr, n, raw):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': (%d, 1, 28, 28), }" % (descr, n)).encode()
    head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + raw


def tensor(datatype="FP32", n=1, **more):
    return {"name": "input", "shape": [n, 1, 28, 28], "datatype": datatype, **more}


def elements(files):
    return b"".join(struct.pack("<I", len(f)) + f for f in files)


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.daemon.need_fashion()
        cls.daemon.wait(cls.daemon.submit(small_job(save_as="net"))["id"])
        cls.classes = cls.daemon.get("/v1/models/net")["classes"]

    def post(self, request, raw=None, status=200, path=INFER, headers=None):
        """The answer; with `raw` behind the JSON. What of an answer is in binary becomes its output's "data"."""
        body = json.dumps(request).encode() if isinstance(request, dict) else request
        headers = dict(headers or {})
        if raw is not None:
            headers[HEAD] = str(len(body))
            body += raw
        got, sent, answer = self.daemon.request("POST", path, body, headers)
        if sent[HEAD]:
            self.assertEqual(sent["Content-Type"], "application/octet-stream")
            at = int(sent[HEAD])
            head, rest = json.loads(answer[:at]), answer[at:]
            for o in head["outputs"]:
                size = o.get("parameters", {}).get("binary_data_size")
                if size is not None:
                    self.assertNotIn("data", o)
                    o["data"], rest = self.unpack(o["datatype"], rest[:size]), rest[size:]
            self.assertEqual(rest, b"")
            answer = head
        self.assertEqual(got, status, answer)
        return answer

    @staticmethod
    def unpack(datatype, raw):
        if datatype == "FP32":
            return list(struct.unpack("<%df" % (len(raw) // 4), raw))
        texts = []
        while raw:
            size = struct.unpack("<I", raw[:4])[0]
            texts, raw = texts + [raw[4:4 + size].decode()], raw[4 + size:]
        return texts

    def rows(self, answer, name="logits"):
        """An output's rows, as bits."""
        out = next(o for o in answer["outputs"] if o["name"] == name)
        n, k = out["shape"]
        self.assertEqual((out["datatype"], k, len(out["data"])), ("FP32", 10, n * k))
        return [struct.pack("<10f", *out["data"][10 * i:10 * i + 10]) for i in range(n)]

    def classified(self, body, key="logit"):
        """The same of /v1/…/classify, which answers by rank."""
        status, _, answer = self.daemon.request("POST", "/v1/models/net/classify?top=10", body)
        self.assertEqual(status, 200, answer)
        found = []
        for result in answer.get("results") or [f["results"][0] for f in answer["files"]]:
            by_class = sorted(result["predictions"], key=lambda p: p["index"])
            found.append(struct.pack("<10f", *(p[key] for p in by_class)))
        return found

    def test_tells_of_itself(self):
        d = self.daemon
        server = d.get("/v2")
        self.assertEqual((server["name"], server["version"]), ("cnnd", d.get("/v1/version")["cnnd"]))
        self.assertEqual(server["extensions"], ["binary_tensor_data", "classification"])
        model = d.get("/v2/models/net")
        self.assertEqual((model["name"], model["versions"]), ("net", ["1"]))
        self.assertEqual(model["inputs"], [{"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}])
        self.assertEqual(model["outputs"], [
            {"name": "logits", "datatype": "FP32", "shape": [-1, 10]}, {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}])
        self.assertEqual(d.get("/v2/models/net/versions/1"), model)
        for path in ("/v2/models/net/ready", "/v2/models/net/versions/1/ready"):
            self.assertEqual(d.get(path), {"name": "net", "ready": True})
        self.assertEqual((d.get("/v2/health/live"), d.get("/v2/health/ready")), ({"live": True}, {"ready": True}))
        for path in ("/v2/models/net/versions/2", "/v2/models/net/versions/2/ready", "/v2/models/net/versions/1.0", "/v2/models/no"):
            self.assertIn("there is no", d.get(path, 404)["error"])
        self.post({"inputs": [tensor(data=[0] * 784)]}, path="/v2/models/net/versions/2/infer", status=404)
        self.post({"inputs": [tensor(data=[0] * 784)]}, path="/v2/models/net/versions/1/infer")
        index = [{"name": "net", "version": "1", "state": "READY", "reason": ""}]
        for body in (b"", {}, {"ready": True}, {"ready": False}):
            self.assertEqual(d.request("POST", "/v2/repository/index", body)[::2], (200, index))
        self.assertEqual(d.request("POST", "/v2/repository/index", {"ready": 1})[2]["pointer"], "/ready")

    def test_bits_of_an_npy(self):
        for n in (1, 3, 70):
            values = floats(n, n)
            raw = struct.pack("<%df" % len(values), *values)
            want, shares = self.classified(npy((n, 1, 28, 28), values)), self.classified(npy((n, 1, 28, 28), values), "probability")
            size = {"binary_data_size": len(raw)}
            for asked in ({}, {"parameters": {"binary_data_output": True}}):
                for answer in (
                    self.post({"inputs": [tensor(n=n, data=values)], **asked}),
                    self.post({"inputs": [tensor(n=n, data=nested(values, n))], **asked}),
                    self.post({"inputs": [tensor(n=n, parameters=size)], **asked}, raw),
                ):
                    self.assertEqual(self.rows(answer), want)
                    self.assertEqual(self.rows(answer, "probabilities"), shares)
            self.assertEqual(self.rows(self.post(raw, headers={HEAD: "0"})), want)

    def test_numbers_as_json_writes_them(self):
        texts = ["0", "-0", "1", "-1.5", "0.1", "1e-3", "2.5E+1", "0.30000001192092896", "1.00000017881393432617187499", "1e-46",
                 "3.4028234663852886e38", "123456789012345678", "0.000000000000000000000000000001", "00"[:1], " 7 ", "\n8\t"]
        values = [struct.unpack("<f", struct.pack("<f", float(t)))[0] for t in texts] * 49
        body = json.dumps({"inputs": [tensor(data=0)]}).replace('"data": 0', '"data": [%s]' % ",".join(texts * 49)).encode()
        small = [v if abs(v) < 1e9 else 1.0 for v in values]
        self.assertEqual(self.rows(self.post(body.replace(b"3.4028234663852886e38", b"1").replace(b"123456789012345678", b"1"))),
                         self.classified(npy((1, 1, 28, 28), small)))
        self.post(body)
        for bad in ("01", "1.", ".5", "+1", "1e", "--1", "1 2", "1,,2", "e1", "-", "1" * 64):
            with self.subTest(bad=bad):
                wrong = body.replace(b"2.5E+1", bad.encode(), 1)
                self.assertIn(self.daemon.request("POST", INFER, wrong)[0], (400, 422))
        for bad in ("NaN", "Infinity", "null", "true", '"1"', "{}", "0x1"):
            with self.subTest(bad=bad):
                self.assertIn(" at byte ", self.post(body.replace(b"2.5E+1", bad.encode(), 1), status=400)["error"])
        self.assertIn("value 6, 4e+38, is beyond FP32", self.post(body.replace(b"2.5E+1", b"4e38", 1), status=422)["error"])

    def test_whole_numbers_are_scaled(self):
        small = grey(1, 2 * 784)
        wide = [257 * v + 1 if v < 255 else v for v in small]
        for datatype, values, code, descr in (("UINT8", list(small), "B", "|u1"), ("UINT16", wide, "H", "<u2")):
            raw = struct.pack("<%d%s" % (len(values), code), *values)
            want = self.classified(integers_npy(descr, 2, raw))
            size = {"binary_data_size": len(raw)}
            for answer in (self.post({"inputs": [tensor(datatype, 2, data=values)]}),
                           self.post({"inputs": [tensor(datatype, 2, parameters=size)]}, raw)):
                self.assertEqual(self.rows(answer), want)
        for bad in (256, -1, 0.5, 1e300):
            answer = self.post({"inputs": [tensor("UINT8", data=[0, bad] + [0] * 782)]}, status=422)
            self.assertEqual((answer["pointer"], "value 1, " in answer["error"]), ("/inputs/0/data", True), answer)

    def files(self, files, status=200, shape=None, more=b""):
        raw = elements(files) + more
        return self.post({"inputs": [{"name": "image", "shape": shape or [len(files)], "datatype": "BYTES",
                                      "parameters": {"binary_data_size": len(raw)}}]}, raw, status)

    def test_files(self):
        files = [png(28, 28, grey(1)), tiff(40, 33, grey(2, 1320)), mrc(29, 31, grey(5, 899)), pgm(28, 28, grey(3))]
        alone = [self.classified(f)[0] for f in files]
        self.assertEqual(self.rows(self.files(files)), alone)
        self.assertEqual(self.rows(self.files(files, shape=[4, 1])), alone)
        for f, want in zip(files, alone):
            self.assertEqual(self.rows(self.files([f])), [want])
        stack = npy((2, 1, 28, 28), [0] * 1568)
        for bad, status, said in ((b"nothing", 415, "the content is not PNG"), (files[0][:60], 400, "PNG"), (stack, 422, "holds 2 images"),
                                  (tarred([("a.png", files[0])]), 415, "the content is not PNG")):
            error = self.files([files[0], bad], status)["error"]
            self.assertTrue(error.startswith('element 1 of "image"') and said in error, error)
        self.assertIn("element 0 of \"image\" holds 2 images", self.files([stack], 422)["error"])
        self.assertIn("holds 2 files; its shape says 1", self.files([tarred([("a", files[0]), ("b", files[1])])], 422)["error"])
        self.assertIn("the content is not PNG", self.files([b"nothing"], 415)["error"])
        self.assertIn("element 0", self.files([b"nothing", b"nothing"], 422)["error"])
        for broken, said in (
            (self.files([b""], 422), "element 0 of \"image\" is to have 0 bytes"),
            (self.files(files[:1], 422, more=b"abc"), "3 bytes follow the 1 elements"),
            (self.files(files[:1], 422, shape=[2]), "end before element 1 of 2"),
            (self.files(files[:2], 422, shape=[1]), "follow the 1 elements"),
            (self.files([], 422, shape=[1], more=b"\xff\xff\xff\xff1"), "4294967295 bytes, and 1 follow"),
            (self.files(files[:1], 422, shape=[1, 2]), "[N] or [N,1], not [1,2]"),
            (self.files(files[:1], 422, shape=[5000]), "5000 files; the most is 4096"),
        ):
            self.assertIn(said, broken["error"])

    def test_outputs_are_those_that_were_asked_for(self):
        values = floats(9, 2)
        whole = self.post({"inputs": [tensor(n=2, data=values)]})
        self.assertEqual([o["name"] for o in whole["outputs"]], ["logits", "probabilities"])
        self.assertEqual((whole["model_name"], whole["model_version"]), ("net", "1"))
        self.assertNotIn("id", whole)
        for name in ("grüße \"\\", "", "x" * 256):
            self.assertEqual(self.post({"id": name, "inputs": [tensor(n=2, data=values)]})["id"], name)
        both = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "logits", "parameters": {"binary_data": False}}]
        answer = self.post({"inputs": [tensor(n=2, data=values)], "outputs": both, "parameters": {"binary_data_output": False}})
        self.assertEqual([(o["name"], "parameters" in o) for o in answer["outputs"]], [("probabilities", True), ("logits", False)])
        for name in ("logits", "probabilities"):
            self.assertEqual(self.rows(answer, name), self.rows(whole, name))
            for k in (1, 3, 10, 11):
                for binary in (False, True):
                    got = self.post({"inputs": [tensor(n=2, data=values)], "outputs": [
                        {"name": name, "parameters": {"classification": k, "binary_data": binary}}]})["outputs"]
                    self.assertEqual([(o["name"], o["datatype"], o["shape"]) for o in got], [(name, "BYTES", [2, min(k, 10)])])
                    for i, row in enumerate(self.rows(whole, name)):
                        scores = struct.unpack("<10f", row)
                        ranks = sorted(range(10), key=lambda c: -scores[c])[:k]
                        texts = [t.split(":", 2) for t in got[0]["data"][i * min(k, 10):(i + 1) * min(k, 10)]]
                        self.assertEqual([(int(t[1]), t[2]) for t in texts], [(c, self.classes[c]) for c in ranks])
                        self.assertEqual([struct.pack("<f", float(t[0])) for t in texts], [struct.pack("<f", scores[c]) for c in ranks])
        total = sum(struct.unpack("<10f", self.rows(whole, "probabilities")[0]))
        self.assertTrue(math.isclose(total, 1, rel_tol=1e-6))

    def test_refusals_name_the_field(self):
        good = tensor(data=[0] * 784)
        for change, pointer, said in (
            ({}, "/inputs", "missing"),
            ({"inputs": []}, "/inputs", "one input"),
            ({"inputs": [good, good]}, "/inputs", "one input"),
            ({"inputs": {"0": good}}, "/inputs", "one input"),
            ({"inputs": [1]}, "/inputs/0", "object"),
            ({"inputs": [{**good, "name": "x"}]}, "/inputs/0/name", '"x"'),
            ({"inputs": [{**good, "name": ""}]}, "/inputs/0/name", "0 bytes"),
            ({"inputs": [{**good, "more": 1}]}, "/inputs/0/more", "unknown field"),
            ({"inputs": [{**good, "datatype": "FP64"}]}, "/inputs/0/datatype", "FP64 is not taken"),
            ({"inputs": [{**good, "datatype": "BYTES"}]}, "/inputs/0/datatype", "FP32, UINT8 or UINT16, not BYTES"),
            ({"inputs": [{**good, "name": "image"}]}, "/inputs/0/datatype", "BYTES, not FP32"),
            ({"inputs": [{**good, "name": "image", "datatype": "BYTES", "shape": [1]}]}, "/inputs/0/data", "follow the JSON"),
            ({"inputs": [{**good, "shape": [1, 784]}]}, "/inputs/0/shape", "[N,1,28,28], not [1,784]"),
            ({"inputs": [{**good, "shape": [1, 28, 28, 1]}]}, "/inputs/0/shape", "not [1,28,28,1]"),
            ({"inputs": [{**good, "shape": [0, 1, 28, 28]}]}, "/inputs/0/shape", "side 0"),
            ({"inputs": [{**good, "shape": [1, 1, 28, -28]}]}, "/inputs/0/shape", "side 3"),
            ({"inputs": [{**good, "shape": [1.5, 1, 28, 28]}]}, "/inputs/0/shape", "side 0"),
            ({"inputs": [{**good, "shape": [1, 1, 28, 28, 1]}]}, "/inputs/0/shape", "5 sides"),
            ({"inputs": [{**good, "shape": "1"}]}, "/inputs/0/shape", "list"),
            ({"inputs": [{**good, "shape": [65537, 1, 28, 28]}]}, "/inputs/0/shape", "65537 images; the most is 65536"),
            ({"inputs": [{**good, "shape": [65536, 1, 28, 28]}]}, "/inputs/0/data", "fewer than 51380224 numbers"),
            ({"inputs": [tensor(n=2, data=[0.25] * 784)]}, "/inputs/0/data", "784 items, its shape says 1568"),
            ({"inputs": [tensor(data=[0] * 785)]}, "/inputs/0/data", "more than the 784 items"),
            ({"inputs": [tensor(data=[[0] * 784])]}, "/inputs/0/data", "2 deep"),
            ({"inputs": [tensor(data=[[[[0] * 27] * 28]])]}, "/inputs/0/data", "27 items, its shape says 28"),
            ({"inputs": [tensor(data=[[[[0] * 29] * 28]])]}, "/inputs/0/data", "more than the 28 items"),
            ({"inputs": [tensor(data=[])]}, "/inputs/0/data", "fewer than 784 numbers"),
            ({"inputs": [tensor()]}, "/inputs/0", "is needed"),
            ({"inputs": [{**good, "parameters": {"binary_data_size": 4}}]}, "/inputs/0", "not both"),
            ({"inputs": [{**good, "parameters": {"shared_memory_region": "x"}}]}, "/inputs/0/parameters/shared_memory_region", "unknown"),
            ({"inputs": [{**good, "parameters": []}]}, "/inputs/0/parameters", "object"),
            ({"inputs": [tensor(parameters={"binary_data_size": 3136})]}, "/inputs/0/parameters/binary_data_size", "0 bytes follow"),
            ({"inputs": [good], "outputs": {}}, "/outputs", "list"),
            ({"inputs": [good], "outputs": [{}]}, "/outputs/0/name", "missing"),
            ({"inputs": [good], "outputs": [{"name": "logit"}]}, "/outputs/0", '"logit"'),
            ({"inputs": [good], "outputs": [{"name": "logits"}, {"name": "logits"}]}, "/outputs/1", "twice"),
            ({"inputs": [good], "outputs": [{"name": "logits", "parameters": {"classification": -1}}]},
             "/outputs/0/parameters/classification", "-1"),
            ({"inputs": [good], "outputs": [{"name": "logits", "parameters": {"binary_data": 1}}]}, "/outputs/0/parameters/binary_data", "true"),
            ({"inputs": [good], "parameters": {"sequence_id": 7}}, "/parameters/sequence_id", "unknown"),
            ({"inputs": [good], "parameters": {"binary_data_output": "yes"}}, "/parameters/binary_data_output", "true"),
            ({"inputs": [good], "id": 7}, "/id", "string"),
            ({"inputs": [good], "id": "x" * 257}, "/id", "256"),
            ({"inputs": [good], "model_name": "net"}, "/model_name", "unknown field"),
        ):
            with self.subTest(change=str(change)[:100]):
                answer = self.post(change, status=422)
                self.assertEqual((answer["pointer"], answer["error"]), (pointer, answer["detail"]))
                self.assertIn(said, answer["error"])
        sizes = self.daemon.get("/metrics")  # and it lives on
        self.assertTrue(sizes)

    def test_json_is_strict(self):
        good = json.dumps({"inputs": [tensor(data=[0] * 784)]}).encode()
        self.post(good)
        for bad in (b"", b"[]", good[:-1], good + b"x", good[:-3], good.replace(b'"shape"', b'"name": "x", "shape"'),
                    good.replace(b'"data"', b'"d\\u0061ta"'), good.replace(b'"data": [', b'"data": 0, "data": ['),
                    good.replace(b'"data": [', b'"data": [0], "data": ['), good.replace(b"0, 0]", b"0, 0}"), b"\xff" + good,
                    b'{"inputs": ' + b"[" * 70 + b"]" * 70 + b"}"):
            with self.subTest(bad=bad[:60]):
                status, _, answer = self.daemon.request("POST", INFER, bad)
                self.assertIn(status, (400, 422))
                self.assertEqual(answer["error"], answer["detail"])
        many = b'{"inputs": [' + b",".join(b'{"data": [1]}' for _ in range(9)) + b"]}"
        self.assertIn("more than 8", self.post(many, status=413)["error"])
        self.assertIn("too many values", self.post({"inputs": [tensor(data=[0])], "parameters": {"x": [{}] * 2000}}, status=413)["error"])
        self.assertIn("the most is 8 MiB", self.post(b" " * (8 << 20) + good, status=413)["error"])
        self.post(b" " * ((8 << 20) - len(good)) + good)

    def test_framing(self):
        values = floats(5, 2)
        raw = struct.pack("<1568f", *values)
        want = self.classified(npy((2, 1, 28, 28), values))
        request = {"inputs": [tensor(n=2, parameters={"binary_data_size": len(raw)})]}
        head = json.dumps(request).encode()
        self.assertEqual(self.rows(self.post(request, raw)), want)
        for length, status in (("x", 400), ("-1", 400), ("", 400), ("1e3", 400), (" 7", 400), ("9" * 16, 400), (str(len(head) + len(raw) + 1), 400),
                               (str(len(head) - 1), 400), (str(len(head) + 1), 400), (None, 400), ("0", 422)):
            with self.subTest(length=length):
                self.post(head + raw, status=status, headers={HEAD: length} if length is not None else {})
        for tail, said in ((raw[:-1], "and 6271 bytes follow"), (raw + b"x", "and 6273 bytes follow"), (b"", "and 0 bytes follow")):
            self.assertIn(said, self.post(request, tail, 422)["error"])
        other = {"inputs": [tensor(n=3, parameters={"binary_data_size": len(raw)})]}
        self.assertIn("is 6272, and the shape needs 9408", self.post(other, raw, 422)["error"])
        data = {"inputs": [tensor(n=2, data=values)]}
        self.assertIn("6272 bytes follow the JSON", self.post(data, raw, 422)["error"])
        self.assertIn("6273 bytes without JSON", self.post(raw + b"x", headers={HEAD: "0"}, status=422)["error"])
        for position, value in ((0, math.nan), (1000, math.inf), (1567, -math.inf)):
            broken = list(values)
            broken[position] = value
            answer = self.post(request, struct.pack("<1568f", *broken), 422)
            self.assertIn("plane %d, row %d, column %d is not finite" % (position // 784, position % 784 // 28, position % 28), answer["error"])
        self.assertIn("image/png", self.post(head + raw, status=415, headers={"Content-Type": "image/png", HEAD: str(len(head))})["error"])
        for kind in ("application/json", "application/octet-stream", "application/x-www-form-urlencoded"):
            self.assertEqual(self.rows(self.post(request, raw, headers={"Content-Type": kind})), want)

    def test_problems_have_the_error_of_the_protocol(self):
        d = self.daemon
        for method, path, status in (("GET", "/v2/nothing", 404), ("PUT", "/v2/models/net", 405), ("GET", INFER, 405), ("GET", "/v2?x=1", 422),
                                     ("GET", "/v2/models/no", 404), ("GET", "/v2/models/%zz", 400), ("GET", "/v2/a/b/c/d/e/f", 404)):
            got, headers, body = d.request(method, path)
            self.assertEqual((got, headers["Content-Type"]), (status, "application/problem+json"))
            self.assertEqual((body["error"], body["status"]), (body["detail"], status))
        for path in ("/v1/nothing", "/v20", "/v2x/y"):
            self.assertNotIn("error", d.get(path, 404))

    def test_many_at_once_share_batches(self):
        values = [floats(100 + i, 1) for i in range(16)]
        want = [self.classified(npy((1, 1, 28, 28), v))[0] for v in values]

        def counters():
            text = self.daemon.get("/metrics").decode()
            return [int(text.split("\n%s " % name)[1].split("\n")[0]) for name in (
                'cnnd_images_total{for="classification"}', "cnnd_batches_total")]

        before, faults = counters(), []

        def ask(i):
            raw = struct.pack("<784f", *values[i])
            for _ in range(20):
                if i % 4 == 0:  # the other way in, beside it
                    got = self.classified(npy((1, 1, 28, 28), values[i]))
                else:
                    got = self.rows(self.post({"id": str(i), "inputs": [tensor(parameters={"binary_data_size": 3136})]}, raw))
                if got != [want[i]]:
                    faults.append(i)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        images, batches = (b - a for a, b in zip(before, counters()))
        self.assertEqual((faults, images), ([], 320))
        self.assertLess(batches, 320)

    def test_beside_training(self):
        values = floats(7, 2)
        want = self.classified(npy((2, 1, 28, 28), values))
        job = self.daemon.submit(long_job())["id"]
        try:
            self.daemon.wait_step(job, 5)
            for _ in range(5):
                self.assertEqual(self.rows(self.post({"inputs": [tensor(n=2, data=values)]})), want)
        finally:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
            self.daemon.wait(job, ("cancelled",))

    def test_numbers_that_overflow_are_no_answer(self):
        for raw in (None, struct.pack("<784f", *[3e38] * 784)):
            data = {"parameters": {"binary_data_size": 3136}} if raw else {"data": [3e38] * 784}
            problem = self.post({"inputs": [tensor(**data)]}, raw, status=422)
            self.assertIn("image 0: the model's numbers", problem["error"])


class Apart(unittest.TestCase):
    def test_no_device(self):
        with Daemon({"device": "type:accelerator"}, device=False) as d:
            self.assertEqual(d.get("/v2/health/live"), {"live": True})
            self.assertIn("device", d.get("/v2/health/ready", 503)["error"])

    def test_a_model_whose_file_is_gone(self):
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="net"))["id"])
            os.unlink(os.path.join(d.state, "models", "net.safetensors"))
            self.assertIn("net", d.get("/v2/models/net/ready", 503)["error"])
            index = d.request("POST", "/v2/repository/index")[2]
            self.assertEqual([(m["state"], bool(m["reason"])) for m in index], [("UNAVAILABLE", True)])
            self.assertEqual(d.request("POST", "/v2/repository/index", {"ready": True})[2], [])
            body = json.dumps({"inputs": [tensor(data=[0] * 784)]}).encode()
            self.assertEqual(d.request("POST", INFER, body)[0], 503)

    def test_limits_and_owners(self):
        with Daemon({"requests_per_second": 1, "max_image_bytes": 4096}) as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="net"))["id"])
            weights = d.weights("net")
            root = Person(d, token(d, "ottilie", "--operator"))
            anna = Person(d, token(d, "anna"))
            self.assertEqual(anna.request("PUT", "/v1/models/mine/weights", weights)[0], 201)
            self.assertEqual([m["name"] for m in anna.request("POST", "/v2/repository/index")[2]], ["mine"])
            body = json.dumps({"inputs": [tensor(data=[0] * 784)]}).encode()
            self.assertEqual(root.request("POST", "/v2/models/mine/infer", body)[0], 200)
            status, _, answer = root.request("POST", "/v2/models/mine/infer", body + b" " * 4096)
            self.assertEqual((status, answer["error"]), (413, "the body is larger than 4096 bytes"))
            status, _, answer = Person(d).request("POST", "/v2/models/mine/infer", body)
            self.assertEqual((status, answer["error"]), (401, answer["detail"]))
            for _ in range(200):
                status, headers, answer = anna.request("POST", "/v2/models/mine/infer", body)
                if status != 200:
                    break
            self.assertEqual((status, answer["error"], headers["Retry-After"] is None), (429, answer["detail"], False))

    def test_who_leaves_is_let_go(self):
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="net"))["id"])
            body = json.dumps({"inputs": [tensor(data=[0] * 784)]}).encode()
            for _ in range(20):
                with contextlib.closing(d.connection()) as c:
                    c.request("POST", INFER, body)
            self.assertEqual(d.request("POST", INFER, body)[0], 200)


if __name__ == "__main__":
    main()
