#!/usr/bin/env python3
"""Loss and gradients of one training step of every architecture, and the logits of an evaluation after it (with the running
statistics that the step left), computed by PyTorch in double: make_nets.py > nets.json

Weights, biases and images come from `noise`, which tests/train/nets.c has as well. Of each gradient the norm is kept and its
products with two vectors of seeded signs: two gradients that differ by d in norm differ by about d in such a product.
Dropout is switched off. Needs torch and numpy."""
import json
import math
import sys

import numpy
import torch
from torch import nn

import course

BATCH, PRODUCTS = 8, 2


def noise(stream, count):
    """`count` numbers in [-1, 1), element i of a stream: the upper 24 bits of splitmix64's mix (Steele et al. 2014)."""
    with numpy.errstate(over='ignore'):
        z = (numpy.uint64(stream) << numpy.uint64(40)) + numpy.arange(1, count + 1, dtype=numpy.uint64)
        z = z * numpy.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
        z = z ^ (z >> numpy.uint64(31))
    return ((z >> numpy.uint64(40)).astype(numpy.float64) / 8388608.0 - 1.0).astype(numpy.float32)


def stream_of(name):
    """FNV-1a of a parameter's name, in 20 bits."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value % 2**20


def start(name, param):
    values = noise(stream_of(name), param.numel())
    if param.dim() > 1:
        bound = numpy.float32(math.sqrt(6.0 / (param.numel() // param.shape[0])))
        return values * bound
    # Batch norm's scales are around 1. Its shifts are around 3, so that few ReLUs sit at their kink, where a rounding error
    # decides whether a gradient passes: with shifts around 0 PyTorch's own float and double differ by 2% in resnet50.
    middle = 1.0 if name in start.scales else 3.0 if name in start.shifts else 0.0
    return values * numpy.float32(0.1) + numpy.float32(middle)


def main():
    nets = {}
    for name in course.NETS:
        side = course.side(name)
        net = course.network(name, side=side).double().train()
        norms = [n for n, m in net.named_modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        start.scales, start.shifts = {n + '.weight' for n in norms}, {n + '.bias' for n in norms}
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        with torch.no_grad():
            for n, p in net.named_parameters():
                p.copy_(torch.tensor(start(n, p).reshape(p.shape)))
        x = torch.tensor(noise(stream_of('images'), BATCH * side * side).reshape(BATCH, 1, side, side)).double()
        logits = net(x)
        loss = nn.functional.cross_entropy(logits, torch.arange(BATCH))
        loss.backward()
        net.eval()
        with torch.no_grad():
            logits = net(x)
        gradients = {}
        for n, p in net.named_parameters():
            g = p.grad.reshape(-1).numpy()
            signs = [numpy.where(noise(stream_of(n) + (k + 1) * 2**20, g.size) < 0, -1.0, 1.0) for k in range(PRODUCTS)]
            gradients[n] = [float('%.7g' % v) for v in [math.sqrt(float(g @ g))] + [float(g @ s) for s in signs]]
        nets[name] = {'side': side, 'loss': loss.item(), 'logits': [float('%.8g' % v) for v in logits.detach().reshape(-1).tolist()],
                      'gradients': gradients}
        print(name, 'logits', float(logits.abs().max()), 'least gradient', min(v[0] for v in gradients.values()),
              file=sys.stderr)
    text = json.dumps({'torch': torch.__version__, 'batch_size': BATCH, 'nets': nets})
    print(text.replace('"side"', '\n"side"').replace('"net.', '\n"net.'))


if __name__ == '__main__':
    main()
