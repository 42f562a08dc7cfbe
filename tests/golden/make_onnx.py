#!/usr/bin/env python3
"""Writes onnx/: small models as other programs export them, and what onnxruntime makes of them. Never run by tests.

    make_onnx.py torch      PyTorch 2.15 with onnx, onnxruntime and onnxscript: by its old exporter and its new one
    make_onnx.py keras      TensorFlow 2.21 and tf2onnx 1.17; needs onnx and onnxruntime for what they give, too

NAME.json beside NAME.onnx: what is asked of it (`shape` of the numbers of `numbers`), and what it gives."""
import io
import json
import os
import sys

import numpy
import onnx
import onnxruntime

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx")
IMAGES = 2


def numbers(count):
    """As tests/daemon/test_onnx.py makes them: Knuth's multiplicative hash, of 0..1."""
    return [(i * 2654435761 % 2 ** 32 >> 16) / 65536 for i in range(count)]


def strip(message):
    """Without texts for people, which tell where a script lay."""
    message.doc_string = ""
    if hasattr(message, "metadata_props"):
        del message.metadata_props[:]
    for field in ("node", "initializer", "value_info", "input", "output"):
        for inner in getattr(message, field, ()):
            if hasattr(inner, "doc_string") and not isinstance(inner, str):
                strip(inner)


def save(name, data, probabilities=False, channels_last=False):
    model = onnx.load_from_string(data)
    strip(model)
    strip(model.graph)
    del model.graph.value_info[:]
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    face = session.get_inputs()[0]
    shape = [IMAGES, *face.shape[1:]]
    x = numpy.array(numbers(int(numpy.prod(shape))), numpy.float32).reshape(shape)
    out = session.run(None, {face.name: x})[0]
    os.makedirs(HERE, exist_ok=True)
    with open(os.path.join(HERE, name + ".onnx"), "wb") as f:
        f.write(data)
    with open(os.path.join(HERE, name + ".json"), "w") as f:
        json.dump({"shape": shape, "channels_last": channels_last, "probabilities": probabilities,
                   "outputs": [[round(float(v), 7) for v in row] for row in out]}, f)
        f.write("\n")
    print(name, len(data))


def with_torch():
    import torch
    from torch import nn
    from torch.nn import functional as F

    class View(nn.Module):
        """What a beginner writes: functions, and a view."""
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(3, 4, 3, padding="same"), nn.Linear(4 * 5 * 4, 5)

        def forward(self, x):
            x = F.max_pool2d(torch.relu(self.conv(x)), 2)
            return self.out(x.view(x.size(0), -1))

    class Mean(nn.Module):
        """Normalises by itself, ends in a softmax."""
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.out = nn.Conv2d(3, 4, (2, 4), padding="same"), nn.BatchNorm2d(4), nn.Linear(4, 5)

        def forward(self, x):
            mean, std = torch.tensor([.3, .4, .5]).view(1, 3, 1, 1), torch.tensor([.2, .2, .3]).view(1, 3, 1, 1)
            x = self.norm(F.silu(self.conv((x - mean) / std)))
            return torch.softmax(self.out(x.mean([2, 3])), 1)

    class Dense(nn.Module):
        """Joins all that came before, again and again."""
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList([nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(3)])
            self.out = nn.Linear(9, 5)

        def forward(self, x):
            parts = [x]
            for conv in self.convs:
                parts.append(torch.tanh(conv(torch.cat(parts, 1))))
            return self.out(F.adaptive_avg_pool2d(torch.cat(parts, 1), 1).flatten(1))

    class Ways(nn.Module):
        """Residuals, with and without a shortcut, and branches that part within a branch."""
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 3, (1, 3), padding=(0, 1)),
                                              nn.Conv2d(4, 3, (3, 1), padding=(1, 0)))
            self.e, self.out = nn.Conv2d(4, 10, 1, bias=False), nn.Linear(10, 5)

        def forward(self, x):
            x = x + torch.sigmoid(self.b(x))
            y = torch.relu(self.a(x))
            z = torch.cat([self.a(x), torch.cat([self.c(y), self.d(y)], 1)], 1)
            return self.out(torch.relu(z + self.e(x)).amax((2, 3)))

    pools = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(.2), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 1, 1),
        nn.AvgPool2d(2, 2, 0, ceil_mode=True), nn.Flatten(), nn.Linear(80, 7), nn.LayerNorm(7), nn.Sigmoid(), nn.Linear(7, 5))
    nets = {"view": (View(), (3, 11, 9)), "mean": (Mean(), (3, 12, 10)), "dense": (Dense(), (3, 7, 6)), "ways": (Ways(), (4, 6, 5)),
            "pools": (pools, (1, 29, 31))}
    torch.manual_seed(1)
    for name, (net, shape) in nets.items():
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, .3)
                m.running_var.uniform_(.5, 2)
        net.eval()
        x, f = torch.rand(IMAGES, *shape), io.BytesIO()
        torch.onnx.export(net, (x,), f, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}})
        save("torch_%s" % name, f.getvalue(), name == "mean")
        program = torch.onnx.export(net, (x,), dynamo=True, external_data=False, verbose=False,
                                    dynamic_shapes=({0: torch.export.Dim("n", min=1, max=64)},))
        save("dynamo_%s" % name, program.model_proto.SerializeToString(), name == "mean")


def with_keras():
    import keras
    import tensorflow as tf
    import tf2onnx
    from keras import layers as L
    keras.utils.set_random_seed(1)
    line = [keras.Input((20, 18, 1)), L.Rescaling(2.0, -1.0), L.Conv2D(4, 3, padding="same", strides=2), L.BatchNormalization(), L.ReLU(),
            L.MaxPooling2D(3, 2, padding="same"), L.Conv2D(6, 3, activation="relu"), L.Flatten(), L.Dropout(.5),
            L.Dense(10, activation="tanh"), L.Dense(3, activation="softmax")]
    i = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, padding="same", activation="relu")(i)
    y = L.DepthwiseConv2D(3, strides=2)(L.ZeroPadding2D(((0, 1), (0, 1)))(x))
    y = L.Activation("swish")(L.BatchNormalization()(L.Conv2D(8, 1, use_bias=False)(y)))
    x = L.Add()([y, L.AveragePooling2D(2)(x)])
    x = L.Concatenate()([x, L.Conv2D(2, 1, activation="sigmoid")(x)])
    ways = keras.Model(i, L.Dense(4)(L.GlobalAveragePooling2D()(x)))
    for name, net in {"line": keras.Model(line[0], keras.Sequential(line)(line[0])), "ways": ways}.items():
        for w in net.weights:
            if "moving_mean" in w.path or "beta" in w.path:
                w.assign(numpy.random.normal(0, .2, w.shape))
            if "moving_variance" in w.path or "gamma" in w.path:
                w.assign(numpy.random.uniform(.5, 1.5, w.shape))
        model, _ = tf2onnx.convert.from_keras(net, input_signature=[tf.TensorSpec((None,) + net.input_shape[1:], tf.float32)])
        save("keras_%s" % name, model.SerializeToString(), name == "line", True)


{"torch": with_torch, "keras": with_keras}[sys.argv[1]]()
