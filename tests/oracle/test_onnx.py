#!/usr/bin/env python3
"""What others' engines make of exported models: ONNX's own checker, onnxruntime and OpenVINO give the daemon's logits, for every preset
and for networks by chance. CNND_TEST_SEED names the first of these, CNND_TEST_NETS how many there are. Skipped (77) where onnx,
onnxruntime or torch cannot be imported; OpenVINO is asked where it is there."""
import io
import json
import os
import random
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'daemon')]
try:
    import numpy
    import onnx
    import onnxruntime
    import torch
except ImportError as missing:
    print('skipped:', missing)
    sys.exit(77)
try:
    import openvino
except ImportError:
    openvino = None

import harness  # noqa: E402
import random_nets  # noqa: E402
import tensorfile  # noqa: E402

FIRST = int(os.environ.get('CNND_TEST_SEED', random.randrange(10 ** 6)))
NETS = int(os.environ.get('CNND_TEST_NETS', 40))
CLASSES, TOLERANCE = 5, 1e-4
MEANS = {'normalize': {'mean': [0.3, 0.4, 0.5], 'std': [0.2, 0.3, 0.25]}}


def by_onnxruntime(data, x):
    return onnxruntime.InferenceSession(data, providers=['CPUExecutionProvider']).run(['logits', 'probabilities'], {'input': x})


def by_openvino(data, x):
    core = openvino.Core()
    answer = core.compile_model(core.read_model(io.BytesIO(data)), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})(x)
    return [answer[name] for name in ('logits', 'probabilities')]


ENGINES = [by_onnxruntime] + ([by_openvino] if openvino else [])
# OpenVINO 2026.4 reads beyond a tensor of one channel there.
PADDED_POINTS = re.compile(r'"kernel_size": \[1, 1\], "stride": \[\d, \d\], "padding": (?!\[0, 0\]|"same")')


class Exported(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())

    def put(self, name, arrays, architecture, shape, preprocessing='{}'):
        status, _, answer = self.daemon.request('PUT', '/v1/models/%s/weights' % name, tensorfile.dump(arrays, {
            'architecture': json.dumps(architecture), 'input': json.dumps(shape), 'preprocessing': preprocessing,
            'classes': json.dumps(['c%d' % i for i in range(CLASSES)])}))
        self.assertIn(status, (200, 201), answer)

    def infer(self, name, x):
        status, _, answer = self.daemon.request('POST', '/v2/models/%s/infer' % name, json.dumps({'inputs': [
            {'name': 'input', 'datatype': 'FP32', 'shape': x.shape, 'data': x.ravel().tolist()}]}).encode())
        self.assertEqual(status, 200, answer)
        return [numpy.array(o['data'], numpy.float32).reshape(o['shape']) for o in answer['outputs']]

    def compare(self, name, x, what, engines=ENGINES):
        status, _, data = self.daemon.request('GET', '/v1/models/%s/onnx' % name)
        self.assertEqual(status, 200, data)
        onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
        want = self.infer(name, x)
        for engine in engines:
            for ours, theirs in zip(want, engine(data, x)):
                worst = abs(ours - theirs).max() / max(1, abs(ours).max())
                self.assertLess(worst, TOLERANCE, '%s, %s' % (what, engine.__name__))

    def side_of(self, preset, channels):
        """The smallest of some sides that the preset takes."""
        for side in (28, 64, 96, 224):
            query = '?input=%dx%dx%d&num_classes=%d' % (channels, side, side, CLASSES)
            if self.daemon.request('GET', '/v1/architectures/%s/summary%s' % (preset, query))[0] == 200:
                return side
        self.fail('%s takes no input' % preset)

    def noise(self, shape):
        """A data set of a few images of this shape."""
        name, f = 'noise%d-%d' % (shape[0], shape[1]), io.BytesIO()
        images = numpy.random.default_rng(1).integers(0, 256, (2 * CLASSES, *shape), numpy.uint8)
        labels = numpy.arange(len(images)) % CLASSES
        numpy.savez(f, x_train=images, y_train=labels, x_test=images[:CLASSES], y_test=labels[:CLASSES])
        self.assertIn(self.daemon.request('PUT', '/v1/datasets/' + name, f.getvalue())[0], (200, 201))
        return name

    def test_presets(self):
        presets = [a['name'] for a in self.daemon.get('/v1/architectures')['presets']]
        self.assertGreater(len(presets), 15)
        for i, preset in enumerate(presets):
            channels = 3 if i % 2 else 1
            shape = [channels] + 2 * [self.side_of(preset, channels)]
            with self.subTest(preset):
                job = self.daemon.submit({
                    'type': 'train', 'architecture': preset, 'dataset': {'name': self.noise(shape), 'normalize': 'per_image'},
                    'epochs': 1, 'batch_size': CLASSES, 'optimizer': {'name': 'sgd', 'lr': 1e-3}, 'save_as': preset})
                self.daemon.wait(job['id'])
                # Tensors go through what the import does to images, which is none of the file's.
                arrays, metadata = tensorfile.load(self.daemon.weights(preset))
                self.put(preset, arrays, preset, shape, json.dumps({'normalize': json.loads(metadata['preprocessing'])['normalize']}))
                x = numpy.random.default_rng(2).random((2, *shape), numpy.float32)
                self.compare(preset, x, preset)

    def test_nets(self):
        for seed in range(FIRST, FIRST + NETS):
            pick = random.Random(seed)
            torch.manual_seed(seed)
            shape = [pick.choice((1, 3)), pick.randint(4, 13), pick.randint(4, 13)]
            net = random_nets.Maker(pick).network(tuple(shape), CLASSES)
            for name, t in net.state_dict().items():
                if 'running' in name or t.dim() == 1:
                    torch.nn.init.uniform_(t, 0.2, 1)
            preprocessing = pick.choice(({}, {'normalize': 'per_image'}, {'normalize': {k: v[:shape[0]] for k, v in MEANS['normalize'].items()}}))
            x = numpy.random.default_rng(seed).random((pick.choice((1, 3, 17)), *shape), numpy.float32)
            with self.subTest(seed):
                self.put('chance', {n: t.numpy() for n, t in net.state_dict().items()}, {'layers': net.layers}, shape, json.dumps(preprocessing))
                text = json.dumps(net.layers)
                self.compare('chance', x, 'seed %d: %s' % (seed, text), ENGINES[:1] if PADDED_POINTS.search(text) else ENGINES)


if __name__ == '__main__':
    harness.main()
