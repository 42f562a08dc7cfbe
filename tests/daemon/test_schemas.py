#!/usr/bin/env python3
"""The schemas of requests in GET /v1/openapi.json against the daemon's own reading of them: jobs and architectures are
changed in thousands of ways, and each is refused by both or by neither, unless the daemon's reason is one that no schema
can say, such as one value against another."""
import copy
import glob
import json
import os
import re
import unittest

from harness import Daemon, main
from schema import TYPES, Description, faults, resolve

HERE = os.path.dirname(os.path.abspath(__file__))
COMPOSITES = ("sequential", "residual", "dense", "concat")
OTHERS = (None, True, -1, 0, 1, 1.5, 10 ** 10, "", "x", "x" * 201, [], [1, 2], [[1]], {}, {"x": 1})
INPUT = [3, 64, 64]

# What the daemon says of a request that is right by itself. The data set is one that is not there, so that no job comes of it.
PASSED = re.compile("there is no data set ")
# Reasons that a schema cannot say: one value against another, or against the network's shapes.
BEYOND = re.compile(
    "min is .*, above max|micro_batch .* is larger than batch_size|nesterov needs a momentum|\"save_best\" needs|\"min_lr\" is|\"warmup_epochs\" is"
    "|[0-9]+ means, but|is larger than the padded input|padding .* (is more than half|needs stride 1)|more than a layer may have|do not divide into"
    "|normalized_shape (does not name|is not the input's)|cannot be joined|two layers are called|layers in all blocks"
    "|a classifier ends in|nothing to train")

TRAIN = {"type": "train", "architecture": "lenet", "dataset": {"name": "none"}, "epochs": 3, "batch_size": 64}
PARTS = [
    {"name": "n", "micro_batch": 8, "precision": "tf32", "seed": 1, "shuffle": False, "max_steps": 5, "report_every": 2},
    {"save_as": "m", "save_best": "val_acc", "priority": -1},
    {"dataset": {"name": "none", "resize": [8, 9], "limit": 10, "val_limit": 10, "normalize": {"mean": [0.5], "std": [0.5]}}},
    {"dataset": {"name": "none", "normalize": "per_image"}},
    {"class_weights": [1, 0.5]}, {"class_weights": "balanced"},
    {"stop_when": {"metric": "val_acc", "patience": 2, "min_delta": 0.1}},
    {"optimizer": "adam"}, {"optimizer": {"lr": 0.1, "schedule": "cosine"}},
    {"optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.1, "gradient_clip": 1, "momentum": 0.9, "dampening": 0, "nesterov": True}},
    {"optimizer": {"name": "adagrad", "lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-9}},
    {"optimizer": {"name": "adam", "betas": [0.8, 0.9], "eps": 1e-9, "weight_decay": 0.1}},
    {"optimizer": {"name": "adamw", "betas": [0.8, 0.9], "eps": 1e-9, "schedule": {"name": "constant", "warmup_epochs": 1}}},
    {"optimizer": {"name": "yogi", "betas": [0.8, 0.9], "eps": 1e-9, "schedule": {"name": "cosine", "min_lr": 0.001, "warmup_epochs": 0.5}}},
    {"optimizer": {"name": "sgd", "schedule": {"name": "step", "step_epochs": 2, "gamma": 0.5, "warmup_epochs": 1}}},
    {"init": "normal"}, {"init": {"name": "kaiming_uniform"}}, {"init": {"name": "normal", "std": 0.1}},
    {"init": {"from": "m", "strict": False, "freeze": ["net.0"]}},
]
ARCHITECTURES = [
    "lenet", {"name": "bn-lenet", "num_classes": 7, "activation": "relu", "dropout": 0.5},
    {"name": "vgg", "arch": [[1, 4], [2, 8]]},
    {"name": "densenet", "growth_rate": 4, "arch": [2, 2]}, {"name": "resnet18", "num_classes": 3},
    {"layers": [
        {"type": "conv2d", "out_channels": 4, "kernel_size": [3, 5], "stride": 1, "padding": [1, 2], "dilation": 1, "groups": 1,
         "bias": False, "name": "first"},
        {"type": "batch_norm", "eps": 1e-4, "momentum": 0.2, "affine": False, "normalize": "mean_only"},
        {"type": "relu"}, {"type": "sigmoid"},
        {"type": "conv2d", "out_channels": 4, "kernel_size": 4, "stride": 1, "padding": "same"},
        {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": "valid", "dilation": [2, 3]},
        {"type": "max_pool2d", "kernel_size": 2, "stride": 2, "padding": 0, "ceil_mode": True},
        {"type": "avg_pool2d", "kernel_size": 3, "stride": 1, "padding": 1, "ceil_mode": False, "count_include_pad": False},
        {"type": "flatten"}]},
    {"layers": [
        {"type": "layer_norm", "normalized_shape": [64, 64], "eps": 1e-4, "elementwise_affine": True, "bias": False},
        {"type": "adaptive_avg_pool2d", "output_size": [4, 4]}, {"type": "layer_norm", "normalized_shape": 4},
        {"type": "dropout", "p": 0.3}, {"type": "flatten"}, {"type": "tanh"}, {"type": "relu6"}, {"type": "leaky_relu", "negative_slope": 0.2},
        {"type": "silu"}, {"type": "gelu"}, {"type": "gelu", "approximate": "tanh"}, {"type": "linear", "out_features": 5, "bias": True}]},
    {"layers": [
        {"type": "sequential", "layers": [{"type": "relu"}]},
        {"type": "residual", "layers": [{"type": "tanh"}], "shortcut": [{"type": "relu"}], "name": "skip"},
        {"type": "dense", "layers": [{"type": "conv2d", "out_channels": 2, "kernel_size": 1}]},
        {"type": "concat", "branches": [[{"type": "relu"}], [{"type": "sequential", "layers": [{"type": "sigmoid"}]}], []]},
        {"type": "flatten"}]},
]


def places(value, at=()):
    """The path of each value inside, its own first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*at, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def put(value, path, new):
    """A copy in which something else stands there."""
    if not path:
        return new
    made = copy.deepcopy(value)
    at(made, path[:-1])[path[-1]] = new
    return made


def changed(value, leave):
    """Every copy of it in which one value is another one, or one field lacks or is too many. `leave`: but not there."""
    for path in places(value):
        if path[:1] == (leave,):
            continue
        here = at(value, path)
        for other in OTHERS:
            yield put(value, path, copy.deepcopy(other))
        if isinstance(here, dict):
            yield put(value, path, {**here, "surplus": 1})
            for key in here:
                yield put(value, path, {k: v for k, v in here.items() if k != key})
        if isinstance(here, list) and here:
            yield put(value, path, here + here[:1])
            yield put(value, path, here * 20)


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon(device=False))
        cls.description = Description(cls.daemon.get("/v1/openapi.json"))
        cls.document = cls.description.document
        cls.schemas = cls.document["components"]["schemas"]
        cls.connection = cls.daemon.connection()

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()

    def refusal(self, path, body):
        """Why the daemon does not take it, None where it does."""
        self.connection.request("POST", path, json.dumps(body))
        answer = self.connection.getresponse()
        data = json.loads(answer.read())
        if answer.status < 300:
            return None
        self.assertIn(answer.status, (413, 422), (path, body, data))
        return None if PASSED.match(data["detail"]) else data["detail"]

    def agree(self, path, name, body):
        """True where the schema refuses it."""
        wrong, refusal = self.description.faults(body, name), self.refusal(path, body)
        if wrong:
            self.assertTrue(refusal, "the schema alone refuses %s: %s" % (json.dumps(body)[:600], wrong))
        elif refusal:
            self.assertRegex(refusal, BEYOND, "the daemon alone refuses %s" % json.dumps(body)[:600])
        return bool(wrong)

    def inside(self, value, schema, path=()):
        """(path, schema) of all in it that has a type, by the branches that fit."""
        s = resolve(schema, self.document)
        for inner in s.get("oneOf", ()):
            if not faults(value, inner, self.document):
                yield from self.inside(value, inner, path)
        if "type" in s:
            yield path, s
        if isinstance(value, dict):
            for key, item in value.items():
                yield from self.inside(item, s.get("properties", {}).get(key, {}), (*path, key))
        if isinstance(value, list) and "items" in s:
            for i, item in enumerate(value):
                yield from self.inside(item, s["items"], (*path, i))

    def lengths(self, here, s):
        """A text or a list at the limits of its length and just beyond."""
        if s["type"] == "string":
            most = [int(n) for n in re.findall(r",([0-9]+)\}", s.get("pattern", ""))]
            most += [s["maxLength"]] if "maxLength" in s else []
            yield from ("x" * (n + k) for n in most for k in (-1, 0, 1, 2))
        if s["type"] == "array" and here:
            least, most = s.get("minItems", 1), s.get("maxItems", 1)
            yield from (here[:1] * n for n in (least - 1, least, most, most + 1))

    def limits(self, value, name):
        """Copies with each number, each length at its limits and just beyond."""
        for path, s in self.inside(value, {"$ref": "#/components/schemas/" + name}):
            for other in self.lengths(at(value, path), s):
                yield put(value, path, other)
            for key, sign in (("minimum", -1), ("maximum", 1), ("exclusiveMaximum", 1)):
                if key in s:
                    beyond = s[key] + sign * (1 if s["type"] == "integer" else abs(s[key]) / 100 or 0.01)
                    yield put(value, path, s[key])
                    if abs(beyond) <= 2 ** 53:  # a larger whole number is no JSON here
                        yield put(value, path, beyond)

    def hold(self, path, name, value, leave=None):
        self.assertIsNone(self.refusal(path, value), value)
        self.assertEqual(self.description.faults(value, name), [], value)
        return [self.agree(path, name, body) for body in (*changed(value, leave), *self.limits(value, name))]

    def test_jobs(self):
        augments = [{"type": a["type"], **{p["name"]: p["default"] for p in a["parameters"]}}
                    for a in self.daemon.get("/v1/architectures")["augmentations"]]
        refused = []
        for part in [{}] + PARTS + [{"augment": [a]} for a in augments]:
            # Into its architecture a job is looked at last, when the data set is known.
            refused += self.hold("/v1/jobs", "JobRequest", {**TRAIN, **part}, "architecture")
        scores = {"type": "classify", "name": "x", "model": "m", "dataset": "none", "limit": 3, "priority": 0}
        refused += self.hold("/v1/jobs", "JobRequest", scores)
        print("%d jobs, %d of them refused by the schema" % (len(refused), sum(refused)))
        self.assertGreater(sum(refused), 3000)
        self.assertGreater(len(refused) - sum(refused), 300)

    def test_architectures(self):
        refused = []
        for architecture in ARCHITECTURES:
            asked = {"architecture": architecture, "input": INPUT, "batch": 2}
            refused += self.hold("/v1/architectures/summary", "SummaryRequest", asked)
        print("%d architectures, %d of them refused by the schema" % (len(refused), sum(refused)))
        self.assertGreater(sum(refused), 2000)

    def test_examples(self):
        names = glob.glob(os.path.join(HERE, "../../docs/examples/*.json"))
        self.assertGreaterEqual(len(names), 2)
        for name in names:
            with open(name, encoding="utf-8") as f:
                self.assertEqual(self.description.faults(json.load(f), "JobRequest"), [], name)


class Tables(Requests):
    """What GET /v1/architectures lists is what the schemas have."""

    test_jobs = test_architectures = test_examples = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.listed = cls.daemon.get("/v1/architectures")

    def named(self, union):
        """The members of a union by their type."""
        members = [resolve(m, self.document) for m in self.schemas[union]["oneOf"]]
        self.assertEqual(
            {m["properties"]["type"]["const"]: ref["$ref"] for m, ref in zip(members, self.schemas[union]["oneOf"])},
            self.schemas[union]["discriminator"]["mapping"])
        return {m["properties"]["type"]["const"]: m for m in members}

    def compare(self, listed, schema, own):
        """One entry's parameters: names, which are needed, defaults, choices."""
        properties = {k: v for k, v in schema["properties"].items() if k not in own}
        self.assertEqual([p["name"] for p in listed["parameters"]], list(properties), listed)
        needed = {p["name"] for p in listed["parameters"] if p.get("required")}
        self.assertEqual(needed, set(schema.get("required", ())) - set(own), listed)
        for p in listed["parameters"]:
            s = properties[p["name"]]
            self.assertEqual(s.get("enum"), p.get("choices", s.get("enum")), p)
            if "default" in p:
                self.assertEqual(faults(p["default"], s, self.document), [], p)
            self.assertEqual(s.get("default", p.get("default")), p.get("default"), p)

    def test_layers(self):
        members = self.named("Layer")
        self.assertEqual(set(members) - set(COMPOSITES), {layer["type"] for layer in self.listed["layers"]})
        for layer in self.listed["layers"]:
            self.compare(layer, members[layer["type"]], ("type", "name"))
            for p in layer["parameters"]:
                self.assertEqual("default" in members[layer["type"]]["properties"][p["name"]], "default" in p, p)
        known = self.refusal("/v1/architectures/summary", {"architecture": {"layers": [{"type": "x"}]}, "input": INPUT})
        self.assertEqual(set(known.split("known are:")[1].split()), set(members))

    def test_augmentations(self):
        members = self.named("Augmentation")
        self.assertEqual(list(members), [a["type"] for a in self.listed["augmentations"]])
        for a in self.listed["augmentations"]:
            self.compare(a, members[a["type"]], ("type",))
            for p in a["parameters"]:
                self.assertEqual(members[a["type"]]["properties"][p["name"]]["default"], p["default"], p)

    def test_presets(self):
        names = [p["name"] for p in self.listed["presets"]]
        self.assertEqual(self.schemas["PresetName"]["enum"], names)
        families = [resolve(m, self.document) for m in self.schemas["Architecture"]["oneOf"]]
        families = [f for f in families if "name" in f.get("properties", {})]
        self.assertEqual(sorted(names), sorted(n for f in families for n in f["properties"]["name"]["enum"]))
        for preset in self.listed["presets"]:
            family = next(f for f in families if preset["name"] in f["properties"]["name"]["enum"])
            self.compare(preset, family, ("name",))

    def test_the_validator(self):
        """It must be able to fail, in each of its keywords."""
        for value, schema in (
                (1.5, {"type": "integer"}), (True, {"type": "integer"}), (1, {"type": "boolean"}), ("x", {"type": ["null", "object"]}),
                (1, {"const": True}), ("c", {"enum": ["a", "b"]}), (0, {"minimum": 1}), (2, {"maximum": 1}), (1, {"exclusiveMaximum": 1}),
                ("", {"minLength": 1}), ("ab", {"maxLength": 1}), ("ab", {"pattern": "^a$"}), ([], {"minItems": 1}), ([1, 2], {"maxItems": 1}),
                ([1, "x"], {"items": {"type": "integer"}}), ({}, {"required": ["a"]}), ({"a": "x"}, {"properties": {"a": {"type": "null"}}}),
                ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}), ({"b": 1}, {"additionalProperties": {"type": "string"}}),
                (1, {"oneOf": [{"type": "string"}, {"type": "null"}]}), (1, {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
                (1, {"allOf": [{"minimum": 1}, {"minimum": 2}]}), ("-x", {"$ref": "#/components/schemas/Name"})):
            self.assertTrue(faults(value, schema, self.document), schema)
        with self.assertRaises(AssertionError):
            faults(1, {"multipleOf": 2}, self.document)
        self.assertEqual(set(TYPES), {"object", "array", "string", "boolean", "null", "number", "integer"})


if __name__ == "__main__":
    main()
