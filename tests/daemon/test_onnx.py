#!/usr/bin/env python3
"""Models as ONNX files: read and computed by onnxfile.py they give what the daemon answers."""
import http.client
import json
import math
import os
import random
import struct
import time
import unittest

import onnxfile
from harness import Daemon, keeps, main, read_safetensors, wait_for

CLASSES = ["a", "b", "c"]
# Every kind of layer, and what ONNX says otherwise: windows beyond the padding, uneven windows, joins, statistics in part.
EVERYTHING = [
    {"type": "conv2d", "out_channels": 4, "kernel_size": [3, 2], "padding": 1},
    {"type": "batch_norm"},
    {"type": "relu"},
    {"type": "concat", "branches": [
        [{"type": "conv2d", "out_channels": 3, "kernel_size": 1, "bias": False}, {"type": "tanh"}],
        [{"type": "max_pool2d", "kernel_size": 3, "stride": 1, "padding": 1}], []]},
    {"type": "dense", "layers": [{"type": "conv2d", "out_channels": 2, "kernel_size": 3, "padding": 1},
                                 {"type": "conv2d", "out_channels": 1, "kernel_size": [2, 4], "padding": "same"}]},
    {"type": "batch_norm", "affine": False, "normalize": "mean_only"},
    {"type": "residual", "layers": [{"type": "conv2d", "out_channels": 14, "kernel_size": 1, "groups": 14}, {"type": "sigmoid"}],
     "shortcut": [{"type": "silu"}, {"type": "gelu"}]},
    {"type": "avg_pool2d", "kernel_size": 4, "stride": 3, "padding": 1, "ceil_mode": True},
    {"type": "adaptive_avg_pool2d", "output_size": 2},
    {"type": "layer_norm", "normalized_shape": [14, 2, 2]},
    {"type": "dropout"},
    {"type": "flatten"},
    {"type": "linear", "out_features": 5},
    {"type": "layer_norm", "normalized_shape": 5, "elementwise_affine": False},
    {"type": "leaky_relu", "negative_slope": 0.2},
    {"type": "gelu", "approximate": "tanh"},
    {"type": "batch_norm", "normalize": "variance_only"},
    {"type": "linear", "out_features": 3, "bias": False},
]
TENSORS = {
    "net.0.weight": [4, 2, 3, 2], "net.0.bias": [4], "net.1.weight": [4], "net.1.bias": [4], "net.1.running_mean": [4],
    "net.1.running_var": [4], "net.1.num_batches_tracked": [], "net.3.0.0.weight": [3, 4, 1, 1], "net.4.net.0.weight": [2, 11, 3, 3],
    "net.4.net.0.bias": [2], "net.4.net.1.weight": [1, 13, 2, 4], "net.4.net.1.bias": [1], "net.5.running_mean": [14],
    "net.5.running_var": [14], "net.5.num_batches_tracked": [], "net.6.0.weight": [14, 1, 1, 1], "net.6.0.bias": [14],
    "net.9.weight": [14, 2, 2], "net.9.bias": [14, 2, 2], "net.12.weight": [5, 56], "net.12.bias": [5], "net.16.weight": [5],
    "net.16.bias": [5], "net.16.running_mean": [5], "net.16.running_var": [5], "net.16.num_batches_tracked": [], "net.17.weight": [3, 5],
}
# Features that were never flattened, and pixels made of them.
RANKS = [
    {"type": "max_pool2d", "kernel_size": 2, "ceil_mode": True},
    {"type": "avg_pool2d", "kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
    {"type": "adaptive_avg_pool2d", "output_size": [2, 1]},
    {"type": "adaptive_avg_pool2d", "output_size": 1},
    {"type": "linear", "out_features": 4},
    {"type": "conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1},
]
WIDE = {"net.1.weight": [65536, 84], "net.1.bias": [65536], "net.2.weight": [3, 65536], "net.2.bias": [3]}
RANKS_TENSORS = {"net.4.weight": [4, 2], "net.4.bias": [4], "net.5.weight": [3, 4, 3, 3], "net.5.bias": [3]}


def safetensors(layers, shapes, preprocessing, sides="[2,7,6]", seed=1):
    pick = random.Random(seed)
    head, body = {"__metadata__": {"architecture": json.dumps({"layers": layers}), "input": sides, "classes": json.dumps(CLASSES),
                                   "preprocessing": json.dumps(preprocessing)}}, b""
    for name, dims in shapes.items():
        counter = name.endswith("tracked")
        values = [pick.uniform(0.2, 1) if len(dims) == 1 else pick.uniform(-0.6, 0.6) for _ in range(math.prod(dims))]
        raw = struct.pack("<q", 3) if counter else struct.pack("<%df" % len(values), *values)
        head[name] = {"dtype": "I64" if counter else "F32", "shape": dims, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def put(self, layers, shapes, preprocessing, name="net", **sides):
        status, _, answer = self.daemon.request("PUT", "/v1/models/%s/weights" % name, safetensors(layers, shapes, preprocessing, **sides))
        self.assertIn(status, (200, 201), answer)

    def file(self, name="net"):
        status, headers, data = self.daemon.request("GET", "/v1/models/%s/onnx" % name)
        self.assertEqual(status, 200, data)
        self.assertEqual(int(headers["Content-Length"]), len(data))
        self.assertIn('"%s.onnx"' % name, headers["Content-Disposition"])
        return data, onnxfile.File(data)

    def compare(self, f, n):
        pick = random.Random(7)
        x = struct.unpack("<%df" % (n * 84), struct.pack("<%df" % (n * 84), *(pick.random() for _ in range(n * 84))))
        request = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [n, 2, 7, 6], "data": x}]}
        status, _, answer = self.daemon.request("POST", "/v2/models/net/infer", json.dumps(request).encode())
        self.assertEqual(status, 200, answer)
        got = f.run([n, 2, 7, 6], x)
        for o in answer["outputs"]:
            dims, values = got[o["name"]]
            self.assertEqual(dims, o["shape"])
            for ours, theirs in zip(values, o["data"]):
                self.assertAlmostEqual(ours, theirs, delta=2e-5 * max(1, abs(ours)))
        self.assertEqual(sorted(got), ["logits", "probabilities"])

    def test_values(self):
        for layers, shapes in ((EVERYTHING, TENSORS), (RANKS, RANKS_TENSORS)):
            for preprocessing in ({}, {"normalize": "per_image"}, {"normalize": {"mean": [0.25, 0.5], "std": [0.5, 0.75]}}):
                with self.subTest(layers=len(layers), preprocessing=preprocessing):
                    self.put(layers, shapes, preprocessing)
                    self.compare(self.file()[1], 3)

    def test_contents(self):
        self.put(EVERYTHING, TENSORS, {"normalize": "per_image"})
        _, f = self.file()
        self.assertEqual((f.version, f.operators, f.producer, f.name), (8, 17, "cnnd", "net"))
        self.assertEqual(f.inputs, [("input", ["N", 2, 7, 6])])
        self.assertEqual(f.outputs, [("logits", ["N", 3]), ("probabilities", ["N", 3])])
        self.assertEqual(json.loads(f.notes["classes"]), CLASSES)
        self.assertEqual(json.loads(f.notes["preprocessing"])["normalize"], "per_image")
        names = [n.name for n in f.nodes]
        self.assertEqual(len(set(names)), len(names))
        data = self.daemon.weights("net")
        begin = 8 + struct.unpack_from("<Q", data)[0]
        for name, t in read_safetensors(data).items():
            if name != "__metadata__" and t["dtype"] == "F32":
                first, last = t["data_offsets"]
                self.assertEqual(f.raw[name], (t["shape"], data[begin + first:begin + last]), name)
        self.assertFalse([n for n in f.raw if n.endswith("tracked")])

    def test_what_is_sent_stays(self):
        """Another model under the name while the file is on its way, and none."""
        wide = [{"type": "flatten"}, {"type": "linear", "out_features": 65536}, {"type": "linear", "out_features": 3}]
        self.put(wide, WIDE, {}, "wide")
        whole, f = self.file("wide")
        self.assertGreater(len(whole), 20 << 20)
        self.assertEqual(len(f.raw), 4)
        c = self.daemon.connection()
        self.addCleanup(c.close)
        c.request("GET", "/v1/models/wide/onnx")
        answer = c.getresponse()
        first = answer.read(1000)
        self.put(RANKS, RANKS_TENSORS, {}, "wide")
        self.assertEqual(self.daemon.request("DELETE", "/v1/models/wide")[0], 204)
        self.assertEqual(first + answer.read(), whole)
        self.assertEqual(self.daemon.request("GET", "/v1/models/wide/onnx")[0], 404)

    def test_too_many_windows(self):
        layers = [{"type": "adaptive_avg_pool2d", "output_size": [1024, 1]}, {"type": "flatten"},
                  {"type": "linear", "out_features": 3, "bias": False}]
        self.put(layers, {"net.2.weight": [3, 1024]}, {}, "long", sides="[1,4097,1]")
        status, _, problem = self.daemon.request("GET", "/v1/models/long/onnx")
        self.assertEqual(status, 422, problem)
        self.assertIn("1024 windows of different sizes over 4097 pixels", problem["detail"])

    def test_many_constants(self):
        """Of layers that are a line each: refused before they have taken memory or time."""
        layers = [{"type": "adaptive_avg_pool2d", "output_size": [1024 - i % 2, 1]} for i in range(600)]
        layers += [{"type": "flatten"}, {"type": "linear", "out_features": 3, "bias": False}]
        self.put(layers, {"net.601.weight": [3, 1023]}, {}, "many", sides="[1,1024,1]")

        def seconds():
            begun = time.monotonic()
            status, _, problem = self.daemon.request("GET", "/v1/models/many/onnx")
            self.assertEqual(status, 422, problem)
            self.assertIn("the most is 4194304", problem["detail"])
            return time.monotonic() - begun

        keeps(1, seconds, "a refusal")

    def test_cut_short(self):
        """A file that becomes shorter while it is sent is not taken for whole."""
        wide = [{"type": "flatten"}, {"type": "linear", "out_features": 65536}, {"type": "linear", "out_features": 3}]
        self.put(wide, WIDE, {}, "cut")
        c = self.daemon.connection()
        self.addCleanup(c.close)
        c.request("GET", "/v1/models/cut/onnx")
        answer = c.getresponse()
        answer.read(1000)
        os.truncate(os.path.join(self.daemon.state, "models", "cut.safetensors"), 1 << 20)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        said = "model 'cut' is not exported to its end: its file became shorter"
        wait_for(lambda: any(said in line for line in self.daemon.log_lines), what="a line in the log")

    def test_head(self):
        self.put(RANKS, RANKS_TENSORS, {})
        size = len(self.file()[0])
        c = self.daemon.connection()
        self.addCleanup(c.close)
        c.request("HEAD", "/v1/models/net/onnx")
        answer = c.getresponse()
        self.assertEqual((answer.status, int(answer.headers["Content-Length"]), answer.read()), (200, size, b""))
        self.assertEqual(self.daemon.request("GET", "/v1/models/net/onnx?x=1")[0], 422)
        self.assertEqual(self.daemon.request("GET", "/v1/models/none/onnx")[0], 404)


class Stored(unittest.TestCase):
    """Files that lie in the state folder when the daemon starts."""

    def daemon_of(self, name, data, size=None):
        d = Daemon(device=False)
        os.mkdir(os.path.join(d.state, "models"))
        with open(os.path.join(d.state, "models", name + ".safetensors"), "wb") as f:
            f.write(data)
            f.truncate(size or len(data))
        return d

    def test_too_large(self):
        sides = {"net.1.weight": [16384, 32768], "net.2.weight": [3, 16384]}
        layers = [{"type": "flatten"}, {"type": "linear", "out_features": 16384, "bias": False},
                  {"type": "linear", "out_features": 3, "bias": False}]
        about = {"architecture": json.dumps({"layers": layers}), "input": "[2,128,128]", "classes": json.dumps(CLASSES)}
        head, at = {"__metadata__": about}, 0
        for name, dims in sides.items():
            head[name] = {"dtype": "F32", "shape": dims, "data_offsets": [at, at + 4 * math.prod(dims)]}
            at += 4 * math.prod(dims)
        text = json.dumps(head).encode()
        with self.daemon_of("huge", struct.pack("<Q", len(text)) + text, 8 + len(text) + at) as d:
            status, _, problem = d.request("GET", "/v1/models/huge/onnx")
            self.assertEqual(status, 422, problem)
            self.assertIn("the most is 2147483647", problem["detail"])

    def test_damaged(self):
        data = safetensors(RANKS, RANKS_TENSORS, {})
        with self.daemon_of("net", data) as d:
            self.assertEqual(d.request("GET", "/v1/models/net/onnx")[0], 200)
            os.truncate(os.path.join(d.state, "models", "net.safetensors"), len(data) - 4)
            status, _, problem = d.request("GET", "/v1/models/net/onnx")
            self.assertEqual(status, 503)
            self.assertIn("the file of model 'net' is damaged", problem["detail"])


if __name__ == "__main__":
    main()
