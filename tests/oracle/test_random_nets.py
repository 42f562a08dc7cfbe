"""PyTorch's word on networks by chance: from the same weights and images each step's loss, the weights after the last and the
logits are PyTorch's in double. CNND_TEST_SEED names the first network, CNND_TEST_NETS how many there are. Skipped (77) where torch
cannot be imported."""
import io
import json
import os
import random
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'daemon')]
try:
    import numpy
    import torch
except ImportError as missing:
    print('skipped:', missing)
    sys.exit(77)

import harness  # noqa: E402
import random_nets  # noqa: E402
import tensorfile  # noqa: E402

FIRST = int(os.environ.get('CNND_TEST_SEED', random.randrange(10 ** 6)))
NETS = int(os.environ.get('CNND_TEST_NETS', 40))
CLASSES, TOLERANCE = 5, 1e-3
RATE, MOMENTUM = 0.05, 0.9


class Case:
    """A network, images, and how it is trained: two epochs in their order, the last batch of each a smaller one."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        torch.manual_seed(seed)
        self.shape = (self.random.choice((1, 3)), self.random.randint(4, 13), self.random.randint(4, 13))
        self.batch = self.random.choice((2, 7, 16, 17, 33))
        count = 2 * self.batch + self.random.randint(2, max(2, self.batch - 1))
        self.net = random_nets.Maker(self.random).network(self.shape, CLASSES)
        for p in self.net.parameters():
            if p.dim() == 1:  # a norm's shift of zero would put equal pixels on a ReLU's kink
                torch.nn.init.uniform_(p, 0.2, 1)
        self.images = torch.randint(0, 256, (count, *self.shape), dtype=torch.uint8).numpy()
        self.labels = numpy.arange(count) % CLASSES

    def npz(self):
        f = io.BytesIO()
        numpy.savez(f, x_train=self.images, y_train=self.labels, x_test=self.images[:1], y_test=self.labels[:1])
        return f.getvalue()

    def train(self):
        """Each step's loss."""
        losses, x, y = [], torch.from_numpy(self.images).double() / 255, torch.from_numpy(self.labels)
        optimizer = torch.optim.SGD(self.net.double().train().parameters(), RATE, MOMENTUM)
        for _ in range(2):
            for part in torch.arange(len(y)).split(self.batch):
                loss = torch.nn.functional.cross_entropy(self.net(x[part]), y[part])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1)
                optimizer.step()
                losses.append(loss.item())
        return losses


class Nets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())

    def put(self, path, body):
        status, _, answer = self.daemon.request('PUT', path, body)
        self.assertIn(status, (200, 201), answer)
        return answer

    def train(self, case):
        """The job's losses; its model is `after`."""
        classes = self.put('/v1/datasets/noise', case.npz())['classes']
        start = {n: t.numpy() for n, t in case.net.float().state_dict().items()}
        self.put('/v1/models/before/weights', tensorfile.dump(start, {
            'architecture': json.dumps({'layers': case.net.layers}), 'input': json.dumps(case.shape), 'classes': json.dumps(classes)}))
        job = self.daemon.submit({
            'type': 'train', 'architecture': {'layers': case.net.layers}, 'dataset': 'noise', 'init': {'from': 'before'},
            'epochs': 2, 'batch_size': case.batch, 'shuffle': False, 'report_every': 1, 'save_as': 'after',
            'optimizer': {'name': 'sgd', 'lr': RATE, 'momentum': MOMENTUM, 'gradient_clip': 1}})
        self.daemon.wait(job['id'])
        return [e['loss'] for _, name, e in self.daemon.events(job['id']) if name == 'train'], start

    def logits(self, images):
        status, _, answer = self.daemon.request(
            'POST', '/v1/models/after/classify?top=%d' % CLASSES, harness.npy(images.shape, images.flatten().tolist()),
            {'Content-Type': 'application/x-npy'})
        self.assertEqual(status, 200, answer)
        return numpy.array([[p['logit'] for p in sorted(r['predictions'], key=lambda p: p['index'])] for r in answer['results']])

    def close(self, got, want, scale, what):
        off = numpy.abs(numpy.asarray(got) - want).max() if numpy.size(want) else 0
        self.assertLessEqual(off, TOLERANCE * scale + 3e-5 * max(1, numpy.abs(want).max(initial=0)), what)

    def test_networks_by_chance(self):
        for seed in range(FIRST, FIRST + NETS):
            case = Case(seed)
            with self.subTest(seed=seed, layers=json.dumps(case.net.layers)):
                got, start = self.train(case)
                want = case.train()
                self.assertEqual(len(got), len(want))
                self.close(got, want, 1, 'losses')
                arrays, _ = tensorfile.load(self.daemon.weights('after'))
                state = {n: t.numpy() for n, t in case.net.state_dict().items()}
                self.assertEqual(sorted(arrays), sorted(state))
                for name, t in state.items():
                    self.close(arrays[name], t, numpy.abs(t - start[name]).max(initial=0), name)
                images = case.images[:9].astype(numpy.float32) / numpy.float32(255)
                with torch.no_grad():
                    logits = case.net.eval()(torch.from_numpy(images).double()).numpy()
                self.close(self.logits(images), logits, 1, 'logits')
        print('%d networks from seed %d on' % (NETS, FIRST))


if __name__ == '__main__':
    harness.main()
