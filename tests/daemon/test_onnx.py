#!/usr/bin/env python3
"""Models as ONNX files: read and computed by onnxfile.py they give what the daemon answers; and models that come as ONNX files, from
here and from other programs (golden/onnx)."""
import glob
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
                                 {"type": "conv2d", "out_channels": 1, "kernel_size": [2, 4], "padding": "same", "dilation": [1, 3]}]},
    {"type": "batch_norm", "affine": False, "normalize": "mean_only"},
    {"type": "residual", "layers": [{"type": "conv2d", "out_channels": 14, "kernel_size": 1, "groups": 14}, {"type": "sigmoid"}],
     "shortcut": [{"type": "silu"}, {"type": "gelu"}, {"type": "relu6"}]},
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


GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "onnx")
W, B = onnxfile.tensor("w", [3, 84], [(i % 7 - 3) / 50 for i in range(252)]), onnxfile.tensor("b", [3], [0.1, 0.2, -0.3])
END = [onnxfile.node("Flatten", ["f"], "flat"), onnxfile.node("Gemm", ["flat", "w", "b"], "y", transB=1)]
HALF, ONES = onnxfile.tensor("half", [], [0.5]), onnxfile.tensor("ones", [8], [0, 0, 1, 1, 0, 0, 1, 1], 7)
K = onnxfile.tensor("k", [2, 2, 3, 3], [(i % 5 - 2) / 10 for i in range(36)])


class Imported(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def put(self, data, name="net", query="", way="onnx"):
        return self.daemon.request("PUT", "/v1/models/%s/%s%s" % (name, way, query), data)

    def taken(self, data, name="net", **more):
        status, _, answer = self.put(data, name, **more)
        self.assertIn(status, (200, 201), answer)
        return answer

    def refused(self, data, words, name="not", **more):
        status, _, problem = self.put(data, name, **more)
        self.assertEqual(status, 422, problem)
        self.assertIn(words, problem["detail"])
        self.assertEqual(self.daemon.request("GET", "/v1/models/%s" % name)[0], 404)
        return problem

    def ask(self, name, shape, x, key="logit"):
        """Of numbers of that shape, (N,C,H,W)."""
        head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }" % ", ".join(map(str, shape))
        head = head.encode().ljust(117) + b"\n"
        body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack("<%df" % len(x), *x)
        status, _, answer = self.daemon.request("POST", "/v1/models/%s/classify?top=100" % name, body, {"Content-Type": "application/x-npy"})
        self.assertEqual(status, 200, answer)
        return [[p[key] for p in sorted(r["predictions"], key=lambda p: p["index"])] for r in answer["results"]]

    def same(self, ours, theirs, delta=2e-6):
        for a, b in zip(ours, theirs, strict=True):
            for u, v in zip(a, b, strict=True):
                self.assertAlmostEqual(u, v, delta=delta * max(1, abs(v)))

    def test_round(self):
        """What cnnd has written it reads: the same numbers, classes and preprocessing, and weights of the same bytes."""
        pick = random.Random(3)
        x = [pick.random() for _ in range(2 * 84)]
        for layers, shapes in ((EVERYTHING, TENSORS), (RANKS, RANKS_TENSORS)):
            for preprocessing in ({}, {"normalize": "per_image"}, {"normalize": {"mean": [0.1, 0.5], "std": [0.3, 0.75]}}):
                with self.subTest(layers=len(layers), preprocessing=preprocessing):
                    was = self.taken(safetensors(layers, shapes, preprocessing), "was", way="weights")
                    file = self.daemon.request("GET", "/v1/models/was/onnx")[2]
                    now = self.taken(file)
                    for key in ("classes", "input", "preprocessing"):
                        self.assertEqual(now[key], was[key])
                    self.same(self.ask("net", [2, 2, 7, 6], x), self.ask("was", [2, 2, 7, 6], x))
                    again = onnxfile.File(self.daemon.request("GET", "/v1/models/net/onnx")[2]).raw.values()
                    for name, tensor in onnxfile.File(file).raw.items():
                        if name in shapes and "running" not in name:  # of these not all are read
                            self.assertIn(tensor, again, name)

    def test_other_programs(self):
        """PyTorch's two exporters and Keras, against onnxruntime's answers."""
        files = glob.glob(os.path.join(GOLDEN, "*.onnx"))
        self.assertGreater(len(files), 11)
        for path in files:
            with self.subTest(os.path.basename(path)), open(path, "rb") as f, open(path[:-5] + ".json") as g:
                told = json.load(g)
                answer = self.taken(f.read())
                n, *sides = told["shape"]
                x = [(i * 2654435761 % 2 ** 32 >> 16) / 65536 for i in range(math.prod(told["shape"]))]
                if told["channels_last"]:
                    h, w, c = sides
                    x = [x[((k * h + i) * w + j) * c + o] for k in range(n) for o in range(c) for i in range(h) for j in range(w)]
                    sides = [c, h, w]
                self.assertEqual(answer["input"], sides)
                self.assertEqual(answer["classes"], [str(i) for i in range(len(told["outputs"][0]))])
                ours = self.ask("net", [n, *sides], x, "probability" if told["probabilities"] else "logit")
                self.same(ours, told["outputs"], 1e-5)

    def test_weights_are_no_onnx(self):
        """Whatever the length of a safetensors file's head begins with."""
        data = safetensors(RANKS, RANKS_TENSORS, {})
        size = struct.unpack_from("<Q", data)[0]
        for low in (0x08, 0x12, 0x3A):  # what fields of ONNX begin with
            more = (low - size) % 256
            self.taken(struct.pack("<Q", size + more) + data[8:8 + size] + b" " * more + data[8 + size:], way="weights")

    def test_trains_on(self):
        """A model that came so is a model: a job begins with it."""
        with open(os.path.join(GOLDEN, "torch_pools.onnx"), "rb") as f:
            architecture = self.taken(f.read(), "pools")["architecture"]
        architecture["layers"][-1]["out_features"] = 10
        self.daemon.need_fashion()
        id = self.daemon.submit({"type": "train", "architecture": architecture, "dataset": {
            "name": "fashion-mnist", "limit": 64, "val_limit": 16, "resize": [29, 31]}, "epochs": 1, "batch_size": 32, "optimizer": {
            "name": "sgd", "lr": 0.1}, "init": {"from": "pools", "strict": False}, "save_as": "on"})["id"]
        self.assertEqual(self.daemon.wait(id)["state"], "succeeded")

    def test_words(self):
        """Classes, preprocessing and an open size from the query; classes of another's metadata are left where they are none."""
        open_size = onnxfile.write(END, [W, B], inputs=[("f", ["n", 2, "h", "w"])])
        problem = self.refused(open_size, "leaves its input's size open")
        self.assertEqual(problem["pointer"], "/input")
        answer = self.taken(open_size, query='?input=[2,7,6]&classes=["x","y","z"]&preprocessing={"normalize":"per_image"}')
        self.assertEqual((answer["input"], answer["classes"], answer["preprocessing"]["normalize"]), ([2, 7, 6], ["x", "y", "z"], "per_image"))
        fixed = onnxfile.write(END, [W, B], inputs=[("f", [1, 2, 7, 6])], notes=[("classes", "{0: 'cat'}"), ("preprocessing", "[")])
        answer = self.taken(fixed)
        self.assertEqual((answer["classes"], answer["preprocessing"]), (["0", "1", "2"], {}))
        names = ["class %d" % i for i in range(3)]
        entry = onnxfile.field(14, onnxfile.field(1, "classes") + onnxfile.field(2, json.dumps(names)))
        self.assertEqual(self.taken(fixed + entry)["classes"], names, "the last entry is what counts")
        self.assertEqual(self.refused(fixed, "not of 2, 8 x 6", query="?input=[2,8,6]")["pointer"], "/input")
        self.assertEqual(self.refused(fixed, "tells its architecture", query="?architecture=lenet")["pointer"], "/architecture")
        self.assertEqual(self.refused(fixed, "3 outputs, 2 classes", query='?classes=["a","b"]')["pointer"], "/classes")
        self.taken(fixed, way="weights")  # told by its content, whatever it is put as

    def test_like_our_own(self):
        """Forms of the same layer that other exporters write give the same numbers as a model of these layers."""
        own = [{"type": "conv2d", "out_channels": 2, "kernel_size": 3, "padding": 1}, {"type": "relu"}, {"type": "flatten"},
               {"type": "linear", "out_features": 3}]
        tensors = {"net.0.weight": [2, 2, 3, 3], "net.0.bias": [2], "net.3.weight": [3, 84], "net.3.bias": [3]}
        self.taken(safetensors(own, tensors, {}), "own", way="weights")
        raw = onnxfile.File(self.daemon.request("GET", "/v1/models/own/onnx")[2]).raw
        values = {name: list(struct.unpack("<%df" % (len(data) // 4), data)) for name, (_, data) in raw.items() if name in tensors}
        k, kb, w, b = (values[n] for n in tensors)
        kernel = onnxfile.tensor("k", [2, 2, 3, 3], k)
        halves = onnxfile.tensor("w", [84, 3], [w[o * 84 + i] / 2 for i in range(84) for o in range(3)])
        last = onnxfile.tensor("w", [84, 3], [w[o * 84 + c * 42 + p] for p in range(42) for c in range(2) for o in range(3)])
        bias, add = onnxfile.tensor("b", [3], b), onnxfile.tensor("kb", [1, 2, 1, 1], kb)
        pads, line = onnxfile.tensor("p", [8], [0, 0, 1, 1, 0, 0, 1, 1], 7), onnxfile.tensor("s", [2], [-1, 84], 7)
        n, zero = onnxfile.node, onnxfile.tensor("zero", [], [0.0])
        forms = {
            "a bias that is added, a scaled product, a shape that is worked out": ([
                n("Conv", ["x", "k"], "c", auto_pad="SAME_UPPER"), n("Add", ["kb", "c"], "d"), n("Clip", ["d", "zero"], "f"),
                n("Shape", ["f"], "s1"), n("Gather", ["s1", "i0"], "s2"), n("Unsqueeze", ["s2", "i1"], "s3"),
                n("Concat", ["s3", "m1"], "s4", axis=0), n("Reshape", ["f", "s4"], "g"), n("Gemm", ["g", "w", "b"], "y", alpha=2.0)],
                [kernel, add, halves, bias, zero, onnxfile.tensor("i0", [], [0], 7), onnxfile.tensor("i1", [1], [0], 7),
                 onnxfile.tensor("m1", [1], [-1], 7)]),
            "zeros around it, channels last, a matrix from the right": ([
                n("Pad", ["x", "p"], "q"), n("Conv", ["q", "k"], "c"), n("Add", ["c", "kb"], "d"), n("Relu", ["d"], "f"),
                n("Transpose", ["f"], "t", perm=[0, 2, 3, 1]), n("Reshape", ["t", "s"], "g"), n("MatMul", ["g", "w"], "h"),
                n("Add", ["h", "b"], "y")], [kernel, add, last, bias, pads, line]),
        }
        # What a layer has read as it was is not scaled after that for it too.
        raw_too = onnxfile.write([
            n("Conv", ["x", "k"], "c", pads=[1, 1, 1, 1]), n("Mul", ["x", "half"], "m"), n("Add", ["c", "m"], "d"), n("Relu", ["d"], "f"),
            *END], [kernel, HALF, W, B])
        answer = self.taken(raw_too, "raw")
        self.assertEqual(answer["preprocessing"], {})
        block = answer["architecture"]["layers"][0]
        self.assertEqual([layer["type"] for layer in block["layers"] + block["shortcut"]], ["conv2d", "batch_norm"])
        x = [(i * 37 % 101) / 101 for i in range(168)]
        for name, (nodes, weights) in forms.items():
            with self.subTest(name):
                self.assertEqual([layer["type"] for layer in self.taken(onnxfile.write(nodes, weights))["architecture"]["layers"]],
                                 ["conv2d", "relu", "flatten", "linear"])
                self.same(self.ask("net", [2, 2, 7, 6], x), self.ask("own", [2, 2, 7, 6], x))

    def test_refused(self):
        """What has no layer here, or is no network, is told with its operator."""
        n = onnxfile.node
        f = lambda *nodes, **more: onnxfile.write([*nodes, *END], [W, B, K, HALF, ONES], **more)  # noqa: E731
        conv = ["x", "k"]
        for words, data in {
            'Resize "up": there is no such layer here': f(n("Resize", ["x"], "f", "up")),
            "a clip from -1 to 1": f(n("Clip", ["x"], "f", min=-1.0, max=1.0)),
            "its taps are apart": f(n("Conv", conv, "f", dilations=[2, 2], pads=[2, 2, 1, 1])),
            "there is no such layer here, but in a gelu": f(n("Erf", ["x"], "f")),
            "its input is a product or a sum": f(n("Relu", ["x"], "r"), n("Mul", ["r", "r"], "q"), n("Relu", ["q"], "f")),
            "not of \"kernel_shape\"": f(n("Conv", conv, "f", kernel_shape=[5, 5])),
            "is larger than its padded input": f(n("Conv", conv, "f", kernel_shape=[3, 3]), inputs=[("x", ["n", 2, 2, 9])]),
            "\"pads\" are not from 0 to 512": f(n("Conv", conv, "f", pads=[0, 0, -1, 0])),
            "in 2 groups": f(n("Conv", conv, "f", group=2, pads=[1, 1, 1, 1])),
            "not a constant of the shape (O,I,h,w)": f(n("Conv", ["x", "x"], "f")),
            "matrix is for 84 numbers, its input has 42": onnxfile.write(END, [W, B], inputs=[("f", ["n", 1, 7, 6])]),
            "its inputs are of different shapes, 2x7x6 and 2x6x6": f(
                n("MaxPool", ["x"], "p", kernel_shape=[2, 1]), n("Relu", ["x"], "r"), n("Add", ["r", "p"], "f")),
            "a product of two tensors": f(n("Relu", ["x"], "r"), n("Tanh", ["r"], "t"), n("Mul", ["r", "t"], "f")),
            "several places that are not one block within another": f(
                n("Relu", ["x"], "a"), n("Tanh", ["a"], "b"), n("Sigmoid", ["b"], "c"), n("Add", ["a", "b"], "d"),
                n("Add", ["c", "b"], "e"), n("Tanh", ["e"], "e2"), n("Add", ["d", "e2"], "f")),
            "a softmax before the end": f(n("Softmax", ["x"], "s", axis=1), n("Relu", ["s"], "f"), inputs=[("x", ["n", 84, 1, 1])]),
            "in training mode": onnxfile.write([n("BatchNormalization", ["f", "b", "b", "b", "b"], "y", training_mode=1)], [B],
                                               inputs=[("f", ["n", 3, 7, 6])]),
            "a constant of 3 numbers": onnxfile.write([n("BatchNormalization", ["f", "b", "b", "b", "w"], "y")], [B, W],
                                                      inputs=[("f", ["n", 3, 7, 6])]),
            "its output is 3x7x6": onnxfile.write([n("Relu", ["f"], "y")], inputs=[("f", ["n", 3, 7, 6])]),
            'Sub "": there is no such layer here': f(n("Mul", ["x", "half"], "m"), n("Sub", ["x", "m"], "f"), inputs=[("x", ["n", 2, 7, 6])]),
            "its output is flattened with the channels last": onnxfile.write(
                [n("Transpose", ["f"], "t", perm=[0, 2, 3, 1]), n("Flatten", ["t"], "y")], inputs=[("f", ["n", 2, 7, 6])]),
            "is not over classes": onnxfile.write([n("GlobalAveragePool", ["f"], "p"), n("Softmax", ["p"], "y")],
                                                  inputs=[("f", ["n", 2, 7, 6])]),
            "it makes whole numbers": f(n("Relu", ["x"], "r"), n("Cast", ["r"], "i", to=6), n("Cast", ["i"], "f", to=1)),
            "windows reach beyond them": f(n("Relu", ["x"], "r"), n("Pad", ["r", "ones"], "p"),
                                           n("MaxPool", ["p"], "f", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
            "it has 65538 outputs": onnxfile.write([n("Flatten", ["f"], "y")], inputs=[("f", ["n", 2, 32769, 1])]),
            "it ends in a sigmoid": onnxfile.write([*END, n("Sigmoid", ["y"], "z")], [W, B], inputs=[("f", ["n", 2, 7, 6])], outputs=["z"]),
            "several outputs": onnxfile.write([*END, n("Relu", ["y"], "z")], [W, B], inputs=[("f", ["n", 2, 7, 6])], outputs=["y", "z"]),
            "several inputs": onnxfile.write(END, [W, B], inputs=[("f", ["n", 2, 7, 6]), ("g", ["n"])]),
            "its input has 2 dimensions": onnxfile.write(END, [W, B], inputs=[("f", ["n", 84])]),
            "it has no input": onnxfile.write(END, [W, B], inputs=[]),
            "nothing gives its output 1": onnxfile.write(END, [W, B], inputs=[("f", ["n", 2, 7, 6])], outputs=["q"]),
            "is not there": onnxfile.write(END, [W, B], inputs=[("q", ["n", 2, 7, 6])]),
            "is of \"com.example\"": onnxfile.write([n("Relu", ["x"], "f", domain="com.example"), *END], [W, B]),
            "of set 6, the oldest that is read is 7": onnxfile.write(END, [W, B], operators=6),
            "external_data=False": onnxfile.write(END, [W + onnxfile.field(14, 1), B], inputs=[("f", ["n", 2, 7, 6])]),
            "has not the numbers of its shape": onnxfile.write(END, [onnxfile.tensor("w", [3, 84], [1.0]), B], inputs=[("f", ["n", 2, 7, 6])]),
            "data of type 7": onnxfile.write(END, [W, onnxfile.tensor("b", [3], [1, 2, 3], 7)], inputs=[("f", ["n", 2, 7, 6])]),
            "not finite": onnxfile.write(END, [W, onnxfile.tensor("b", [3], [1.0, math.nan, 3.0])], inputs=[("f", ["n", 2, 7, 6])]),
        }.items():
            with self.subTest(words):
                self.refused(data, words)

    def test_damaged(self):
        """A file that ends early, wherever that is: refused, and the decoder goes on."""
        whole = onnxfile.write(END, [W, B], inputs=[("f", ["n", 2, 7, 6])])
        decoders = self.daemon.children("decoder")
        for cut in [*range(1, 60), *range(60, len(whole) - 60, 97), *range(len(whole) - 60, len(whole))]:
            status, _, problem = self.put(whole[:cut], "cut")
            self.assertIn(status, (400, 422), "%d bytes: %s" % (cut, problem))
            self.assertRegex(problem["detail"], "file|ONNX|safetensors")
        self.assertTrue(set(decoders) <= set(self.daemon.children("decoder")))


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
