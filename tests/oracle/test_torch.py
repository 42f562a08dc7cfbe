"""PyTorch's word on our weights: what the daemon trained, loaded by load_state_dict, gives the daemon's logits; and what
PyTorch made goes in and comes out again bit by bit. Skipped (77) where torch cannot be imported."""
import gzip
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', folder) for folder in ('daemon', 'golden')]
try:
    import numpy
    import torch
except ImportError as missing:
    print('skipped:', missing)
    sys.exit(77)

import course  # noqa: E402
import harness  # noqa: E402
import tensorfile  # noqa: E402

TEST_IMAGES = '/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz'
IMAGES, TOLERANCE = 64, 1e-4
RATES = {'lenet': 0.9}


def test_images(net):
    """(IMAGES,1,H,W) in 0..1, in the size that the net is for."""
    with gzip.open(TEST_IMAGES) as f:
        pixels = numpy.frombuffer(f.read(16 + IMAGES * 784)[16:], numpy.uint8)
    images = torch.from_numpy(pixels.reshape(IMAGES, 1, 28, 28).astype(numpy.float32) / numpy.float32(255))
    side = course.side(net)
    if side != 28:
        images = torch.nn.functional.interpolate(images, (side, side), mode='bilinear', align_corners=False)
    return images


def input_of(net):
    return [1, course.side(net), course.side(net)]


def training(net):
    """A job that trains the LeNets a little, and takes a few steps of the rest."""
    dataset, steps = {'name': 'fashion-mnist', 'limit': 6400, 'val_limit': 256}, {}
    if course.side(net) != 28:
        dataset = {'name': 'fashion-mnist', 'limit': 64, 'val_limit': 32, 'resize': input_of(net)[1:]}
        steps = {'max_steps': 3}
    return {'type': 'train', 'architecture': net, 'epochs': 1, 'batch_size': 128 if not steps else 16, 'seed': 5,
            'save_as': 'ours-' + net, 'dataset': dataset, 'optimizer': {'name': 'sgd', 'lr': RATES.get(net, 0.1 if not steps else 1e-3)},
            **steps}


class Oracle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()
        cls.classes = cls.daemon.get('/v1/datasets/fashion-mnist')['classes']

    def weights(self, name):
        status, _, data = self.daemon.request('GET', '/v1/models/%s/weights' % name)
        self.assertEqual(status, 200, data)
        return tensorfile.load(data)

    def logits(self, name, images):
        body = harness.npy(images.shape, images.flatten().tolist())
        status, _, answer = self.daemon.request('POST', '/v1/models/%s/classify?top=10' % name, body,
                                                {'Content-Type': 'application/x-npy'})
        self.assertEqual(status, 200, answer)
        rows = [sorted(r['predictions'], key=lambda p: p['index']) for r in answer['results']]
        return torch.tensor([[p['logit'] for p in row] for row in rows])

    def compare(self, name, net, module):
        images = test_images(net)
        with torch.no_grad():
            want = module.eval()(images)
        got = self.logits(name, images)
        self.assertEqual(got.shape, want.shape)
        self.assertGreater(float(want.std()), 1e-3)  # logits that are all alike would prove nothing
        worst = float((got - want).abs().max() / want.abs().max().clamp(min=1))
        print('%s: logits off by at most %.2g' % (name, worst))
        self.assertLess(worst, TOLERANCE)

    def test_trained_here_loads_there(self):
        for net in course.NETS:
            with self.subTest(net=net):
                job = self.daemon.submit(training(net))
                self.assertEqual(self.daemon.wait(job['id'])['state'], 'succeeded')
                arrays, metadata = self.weights('ours-' + net)
                self.assertEqual(json.loads(metadata['classes']), self.classes)
                module = course.network(net, len(self.classes), side=course.side(net))
                module.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in arrays.items()}, strict=True)
                self.compare('ours-' + net, net, module)

    def test_made_there_comes_back(self):
        for net in course.NETS:
            with self.subTest(net=net):
                torch.manual_seed(7)
                module = course.network(net, len(self.classes), side=course.side(net))
                with torch.no_grad():  # running means and variances that are not what they start as
                    for _ in range(3):
                        module(torch.rand(32, *input_of(net)))
                arrays = {n: t.numpy() for n, t in module.state_dict().items()}
                body = tensorfile.dump(arrays, {'architecture': json.dumps(net), 'input': json.dumps(input_of(net)),
                                                'classes': json.dumps(self.classes)})
                status, _, answer = self.daemon.request('PUT', '/v1/models/theirs-%s/weights' % net, body)
                self.assertEqual(status, 201, answer)
                back, _ = self.weights('theirs-' + net)
                self.assertEqual(sorted(back), sorted(arrays))
                for name, want in arrays.items():
                    self.assertEqual((back[name].dtype, back[name].shape), (want.dtype, want.shape), name)
                    self.assertEqual(back[name].tobytes(), want.tobytes(), name)
                self.compare('theirs-' + net, net, module)


if __name__ == '__main__':
    harness.main()
