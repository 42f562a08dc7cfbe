#!/usr/bin/env python3
"""The first 50 losses and the logits of both nets equal PyTorch's (golden/curves.json), through the whole house."""
import gzip
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'golden'))
import weights  # noqa: E402
from harness import Daemon, main, npy  # noqa: E402

with open(os.path.join(HERE, '..', 'golden', 'curves.json')) as f:
    GOLDEN = json.load(f)
CLASSES = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot']
STEPS = 50


def first_images(count):
    """Of the training set, as floats in 0..1."""
    with gzip.open('/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz') as source:
        pixels = source.read(16 + count * 784)[16:]
    return npy((count, 1, 28, 28), [p / 255 for p in pixels])


class Golden(unittest.TestCase):
    def check(self, daemon, net):
        golden = GOLDEN['nets'][net]
        status, _, body = daemon.request('PUT', '/v1/models/start-%s/weights' % net, weights.safetensors(net, CLASSES),
                                         {'Content-Type': 'application/octet-stream'})
        self.assertIn(status, (200, 201), body)
        job = daemon.submit({
            'type': 'train', 'architecture': net, 'dataset': {'name': 'fashion-mnist', 'val_limit': 256}, 'epochs': 1,
            'batch_size': GOLDEN['batch_size'], 'optimizer': {'name': 'sgd', 'lr': golden['lr']}, 'shuffle': False,
            'max_steps': STEPS, 'report_every': 1, 'init': {'from': 'start-' + net}, 'save_as': 'end-' + net})
        daemon.wait(job['id'])
        losses = [data['loss'] for _, event, data in daemon.events(job['id']) if event == 'train']
        self.assertEqual(len(losses), STEPS)
        worst = max(abs(got - want) / want for got, want in zip(losses, golden['losses']))
        print('%s: losses off by at most %.2g' % (net, worst))
        self.assertLess(worst, 1e-4)
        images = first_images(len(golden['logits']))
        status, _, answer = daemon.request('POST', '/v1/models/end-%s/classify?top=10' % net, images,
                                           {'Content-Type': 'application/x-npy'})
        self.assertEqual(status, 200, answer)
        for result, want in zip(answer['results'], golden['logits'], strict=True):
            got = {p['index']: p['logit'] for p in result['predictions']}
            scale = max(abs(v) for v in want)
            for i, value in enumerate(want):
                self.assertLess(abs(got[i] - value) / scale, 2e-4)

    def test_both_nets(self):
        with Daemon() as daemon:
            daemon.need_fashion()
            for net in GOLDEN['nets']:
                with self.subTest(net=net):
                    self.check(daemon, net)


if __name__ == '__main__':
    main()
