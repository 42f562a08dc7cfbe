#!/usr/bin/env python3
"""What others' engines make of exported models: ONNX's own checker, onnxruntime and OpenVINO give the daemon's logits, for every preset
and for networks by chance; the daemon itself does, when the file comes back. And what the daemon makes of PyTorch's exports: of the course's
classes, of networks by chance and, where torchvision is there, of its own. CNND_TEST_SEED names the first of these, CNND_TEST_NETS how many there are. Skipped (77) where onnx,
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

try:
    import onnxscript  # PyTorch's new exporter wants it
except ImportError:
    onnxscript = None
try:
    import torchvision
except ImportError:
    torchvision = None

sys.path.insert(0, os.path.join(HERE, '..', 'golden'))
import course  # noqa: E402
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


def apart(ours, theirs):
    return abs(ours - theirs).max() / max(1, abs(ours).max())


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
                self.assertLess(apart(ours, theirs), TOLERANCE, '%s, %s' % (what, engine.__name__))
        status, _, answer = self.daemon.request('PUT', '/v1/models/back/onnx', data)
        self.assertIn(status, (200, 201), answer)
        for ours, theirs in zip(want, self.infer('back', x)):
            self.assertLess(apart(ours, theirs), TOLERANCE, what + ', come back')

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


# Of torchvision's, those that have the layers of the daemon.
TORCHVISION = ('alexnet', 'vgg11', 'vgg11_bn', 'resnet18', 'resnet50', 'resnext50_32x4d', 'wide_resnet50_2', 'densenet121', 'squeezenet1_0',
               'squeezenet1_1', 'googlenet', 'inception_v3', 'mnasnet0_5', 'regnet_x_400mf')


class Imported(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())

    def exports(self, net, shape, both):
        """(the exporter's name, its file) of each that is there and takes the network."""
        x, f = torch.rand(2, *shape), io.BytesIO()
        try:
            torch.onnx.export(net, (x,), f, dynamo=False, verbose=False, input_names=['x'], output_names=['y'], dynamic_axes={'x': {0: 'n'}})
            yield 'script', f.getvalue()
        except torch.onnx.errors.SymbolicValueError as error:  # uneven windows
            self.assertIn('adaptive', str(error))
        if onnxscript and both:
            sizes = ({0: torch.export.Dim('n', min=1, max=64)},)
            program = torch.onnx.export(net, (x,), dynamo=True, external_data=False, verbose=False, dynamic_shapes=sizes)
            yield 'dynamo', program.model_proto.SerializeToString()

    def compare(self, net, shape, what, both=True):
        x = numpy.random.default_rng(2).random((3, *shape), numpy.float32)
        body = io.BytesIO()
        numpy.save(body, x)
        for m in net.modules():
            if isinstance(m, torch.nn.modules.batchnorm._BatchNorm) and m.running_mean is not None:
                m.running_mean.normal_(0, .3)
                m.running_var.uniform_(.5, 2)
        net.eval()
        with torch.no_grad():
            want = net(torch.from_numpy(x)).reshape(3, -1).numpy()
        for exporter, data in self.exports(net, shape, both):
            status, _, answer = self.daemon.request('PUT', '/v1/models/in/onnx', data)
            self.assertIn(status, (200, 201), '%s, %s: %s' % (what, exporter, answer))
            status, _, answer = self.daemon.request('POST', '/v1/models/in/classify?top=100', body.getvalue(), {'Content-Type': 'application/x-npy'})
            self.assertEqual(status, 200, answer)
            got = [[p['logit'] for p in sorted(r['predictions'], key=lambda p: p['index'])] for r in answer['results']]
            self.assertLess(apart(want, numpy.array(got)), TOLERANCE, '%s, %s' % (what, exporter))

    def test_course(self):
        for preset in [a['name'] for a in self.daemon.get('/v1/architectures')['presets']]:
            side = 224 if preset in ('alexnet', 'nin') or preset.startswith('vgg') else 28 if 'lenet' in preset else 64
            with self.subTest(preset):
                self.compare(course.network(preset, CLASSES, 1, side), [1, side, side], preset)

    @unittest.skipUnless(torchvision, 'torchvision is not there')
    def test_torchvision(self):
        for name in TORCHVISION:
            side = 224 if name == 'alexnet' or name.startswith('vgg') else 96
            with self.subTest(name):
                self.compare(torchvision.models.get_model(name, num_classes=CLASSES), [3, side, side], name)

    def test_nets(self):
        for seed in range(FIRST, FIRST + NETS):
            pick = random.Random(seed)
            torch.manual_seed(seed)
            shape = [pick.choice((1, 3)), pick.randint(4, 13), pick.randint(4, 13)]
            with self.subTest(seed):
                self.compare(random_nets.Maker(pick).network(tuple(shape), CLASSES), shape, 'seed %d' % seed, both=False)


if __name__ == '__main__':
    harness.main()
