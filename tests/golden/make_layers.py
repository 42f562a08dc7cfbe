#!/usr/bin/env python3
"""Golden outputs and gradients of single layers, computed by PyTorch in double: make_layers.py > layers.json

Inputs, gradients of the output and parameters come from the generator `uniform`, which tests/ops/golden.c has too; the
numbers themselves stand here as norm, as product with a random vector (any wrong element shows), and as a few probes.
Needs torch and numpy."""
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

from philox import philox

N = 19
PROBES = 6
# Seeds of the arrays; parameter i of a layer has PARAM + i.
X, DY, DOT, PARAM = 1, 2, 3, 16


def uniform(seed, count, low=-1.0, high=1.0):
    """splitmix64, upper 53 bits, rounded to float."""
    with np.errstate(over='ignore'):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z = z ^ z >> np.uint64(31)
    u = (z >> np.uint64(11)).astype(np.float64) * 2.0 ** -53
    return (low + (high - low) * u).astype(np.float32).astype(np.float64)


def tensor(seed, shape, low=-1.0, high=1.0):
    t = torch.from_numpy(uniform(seed, int(np.prod(shape)), low, high).reshape(shape).copy())
    return t


def short(v):
    return float('%.9g' % v)


def digest(t):
    v = t.detach().double().numpy().reshape(-1)
    norm, dot = np.sqrt((v * v).sum()), (v * uniform(DOT, v.size)).sum()
    return {'norm': short(norm), 'dot': short(dot), 'probes': [short(v[k * v.size // PROBES]) for k in range(PROBES)]}


def dropout_mask(shape, p, step):
    """See backend/ops/dropout.h."""
    count = int(np.prod(shape[1:]))
    mask = np.zeros((shape[0], count))
    for n in range(shape[0]):
        for i in range(count):
            word = philox([step['seed'] & 0xFFFFFFFF, step['seed'] >> 32],
                          [i // 4, step['first'] + n, step['step'], 3 | step['layer'] << 8])[i % 4]
            mask[n, i] = (word >> 8) / 2 ** 24 >= p
    return torch.from_numpy(mask.reshape(shape))


# Each takes (options, x, parameters by name, training) and returns y, as PyTorch has it.
def conv2d(o, x, p, _):
    return F.conv2d(x, p['weight'], p.get('bias'), o.get('stride', 1), o.get('padding', 0), o.get('dilation', 1),
                    o.get('groups', 1))


def linear(o, x, p, _):
    return F.linear(x.flatten(1), p['weight'], p.get('bias'))


def max_pool2d(o, x, p, _):
    return torch.nn.MaxPool2d(**o)(x)


def avg_pool2d(o, x, p, _):
    return torch.nn.AvgPool2d(**o)(x)


def adaptive_avg_pool2d(o, x, p, _):
    return torch.nn.AdaptiveAvgPool2d(**o)(x)


def layer_norm(o, x, p, _):
    shape = o['normalized_shape']
    shape = shape if isinstance(shape, list) else [shape]
    flat = len(shape) == 1 and list(x.shape[2:]) == [1, 1]
    y = F.layer_norm(x.flatten(1) if flat else x, shape, p.get('weight'), p.get('bias'), o.get('eps', 1e-5))
    return y.reshape(x.shape)


def batch_norm(o, x, p, training):
    """F.batch_norm, and its parts for `normalize`; running statistics always as F.batch_norm keeps them."""
    momentum, eps = o.get('momentum', 0.1), o.get('eps', 1e-5)
    mean, var = p['running_mean'], p['running_var']
    before = mean.clone(), var.clone()
    y = F.batch_norm(x, mean, var, p.get('weight'), p.get('bias'), training, momentum, eps)
    if training:
        p['num_batches_tracked'] += 1
    if o.get('normalize', 'full') == 'full':
        return y
    sides = [0, 2, 3]
    if training:
        m, v = x.mean(sides, keepdim=True), x.var(sides, unbiased=False, keepdim=True)
    else:
        m, v = (t.reshape(1, -1, 1, 1) for t in before)
    y = x - m if o['normalize'] == 'mean_only' else x / torch.sqrt(v + eps)
    if 'weight' in p:
        y = y * p['weight'].reshape(1, -1, 1, 1) + p['bias'].reshape(1, -1, 1, 1)
    return y


def parameters(kind, o, shape):
    """Name, shape, and whether a parameter starts at one; None for a counter."""
    c = shape[0]
    if kind == 'conv2d':
        k = o['kernel_size'] if isinstance(o['kernel_size'], list) else [o['kernel_size']] * 2
        found = [('weight', [o['out_channels'], c // o.get('groups', 1)] + k, False)]
        return found + ([('bias', [o['out_channels']], False)] if o.get('bias', True) else [])
    if kind == 'linear':
        found = [('weight', [o['out_features'], c], False)]
        return found + ([('bias', [o['out_features']], False)] if o.get('bias', True) else [])
    if kind == 'batch_norm':
        affine = [('weight', [c], True), ('bias', [c], False)] if o.get('affine', True) else []
        return affine + [('running_mean', [c], False), ('running_var', [c], True), ('num_batches_tracked', [1], None)]
    if kind == 'layer_norm' and o.get('elementwise_affine', True):
        s = o['normalized_shape'] if isinstance(o['normalized_shape'], list) else [o['normalized_shape']]
        return [('weight', s, True)] + ([('bias', s, False)] if o.get('bias', True) else [])
    return []


BUFFERS = ('running_mean', 'running_var', 'num_batches_tracked')
LAYERS = {'conv2d': conv2d, 'linear': linear, 'max_pool2d': max_pool2d, 'avg_pool2d': avg_pool2d,
          'adaptive_avg_pool2d': adaptive_avg_pool2d, 'layer_norm': layer_norm, 'batch_norm': batch_norm,
          'relu': lambda o, x, p, _: torch.relu(x), 'sigmoid': lambda o, x, p, _: torch.sigmoid(x),
          'tanh': lambda o, x, p, _: torch.tanh(x), 'silu': lambda o, x, p, _: F.silu(x),
          'relu6': lambda o, x, p, _: F.relu6(x), 'leaky_relu': lambda o, x, p, _: F.leaky_relu(x, **o),
          'gelu': lambda o, x, p, _: F.gelu(x, **o)}


def make_params(kind, options, shape):
    made = {}
    for i, (name, dims, one) in enumerate(parameters(kind, options, shape)):
        t = torch.full([1], 3.0, dtype=torch.float64) if one is None else tensor(
            PARAM + i, dims, 0.5 if one else -1.0, 1.5 if one else 1.0)
        made[name] = t if name in BUFFERS else t.requires_grad_()
    return made


def case(kind, shape, **options):
    x = tensor(X, [N] + list(shape)).requires_grad_()
    params = make_params(kind, options, shape)
    made = {'layer': dict(type=kind, **options), 'input': list(shape), 'n': N}
    if kind == 'dropout':
        made['step'] = {'seed': 0x123456789abcd, 'step': 77, 'first': 16, 'layer': 5}
        p = options.get('p', 0.5)
        y = x * (dropout_mask(x.shape, p, made['step']) / (1 - p))
        made['y_eval'] = digest(x)
    else:
        if kind == 'batch_norm':
            made['y_eval'] = digest(LAYERS[kind](options, x, make_params(kind, options, shape), False))
        y = LAYERS[kind](options, x, params, True)
    y.backward(tensor(DY, list(y.shape)))
    made.update(y=digest(y), dx=digest(x.grad), params={}, buffers={})
    for name, t in params.items():
        made['buffers' if name in BUFFERS else 'params'][name] = digest(t if name in BUFFERS else t.grad)
    return made


def cases():
    conv = dict(kernel_size=3)
    yield case('conv2d', (3, 7, 5), out_channels=4, **conv)
    yield case('conv2d', (3, 7, 5), out_channels=5, kernel_size=3, padding=1, bias=False)
    yield case('conv2d', (2, 9, 8), out_channels=3, kernel_size=[3, 2], stride=[2, 1], padding=[1, 0])
    yield case('conv2d', (1, 13, 12), out_channels=6, kernel_size=5, stride=1, padding=2)
    yield case('conv2d', (2, 15, 15), out_channels=3, kernel_size=11, stride=4, padding=1)
    yield case('conv2d', (5, 6, 5), out_channels=7, kernel_size=1, stride=2)
    yield case('conv2d', (6, 6, 5), out_channels=4, kernel_size=3, padding=1, groups=2)
    yield case('conv2d', (5, 7, 6), out_channels=5, kernel_size=3, padding=1, groups=5)
    yield case('conv2d', (3, 7, 6), out_channels=6, kernel_size=3, stride=2, groups=3, bias=False)
    yield case('conv2d', (3, 6, 7), out_channels=5, kernel_size=3, padding='same')
    yield case('conv2d', (2, 5, 8), out_channels=4, kernel_size=[2, 4], padding='same')
    yield case('conv2d', (4, 6, 5), out_channels=6, kernel_size=[4, 3], padding='same', groups=2, bias=False)
    yield case('conv2d', (3, 7, 6), out_channels=4, kernel_size=[2, 3], stride=[1, 2], padding='valid')
    yield case('conv2d', (3, 9, 8), out_channels=5, kernel_size=3, padding=2, dilation=2)
    yield case('conv2d', (4, 11, 13), out_channels=6, kernel_size=[3, 2], stride=[1, 2], padding=[0, 3], dilation=[3, 4], groups=2)
    yield case('conv2d', (2, 10, 9), out_channels=4, kernel_size=[2, 4], padding='same', dilation=3, bias=False)
    yield case('conv2d', (5, 9, 10), out_channels=5, kernel_size=3, stride=2, padding=4, dilation=4, groups=5)
    yield case('linear', (23, 1, 1), out_features=11)
    yield case('linear', (7, 1, 1), out_features=18, bias=False)
    for kind in ('relu', 'sigmoid', 'tanh', 'silu', 'leaky_relu', 'gelu', 'relu6'):
        yield case(kind, (3, 5, 4))
    yield case('leaky_relu', (2, 3, 7), negative_slope=0.25)
    yield case('gelu', (2, 3, 7), approximate='tanh')
    for kind in ('max_pool2d', 'avg_pool2d'):
        yield case(kind, (3, 6, 7), kernel_size=2)
        yield case(kind, (2, 9, 8), kernel_size=3, stride=2)
        yield case(kind, (2, 9, 8), kernel_size=3, stride=2, padding=1)
        yield case(kind, (2, 5, 7), kernel_size=[3, 2], stride=[1, 2], padding=[1, 0])
        yield case(kind, (2, 8, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True)
        yield case(kind, (2, 5, 6), kernel_size=2, ceil_mode=True)
        yield case(kind, (1, 2, 3), kernel_size=[3, 5], stride=[2, 3], ceil_mode=True)
    yield case('avg_pool2d', (2, 9, 8), kernel_size=3, stride=2, padding=1, count_include_pad=False)
    yield case('avg_pool2d', (2, 8, 6), kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
    yield case('adaptive_avg_pool2d', (4, 7, 5), output_size=1)
    yield case('adaptive_avg_pool2d', (2, 8, 6), output_size=[4, 2])
    yield case('adaptive_avg_pool2d', (2, 11, 7), output_size=[3, 5])
    yield case('adaptive_avg_pool2d', (2, 3, 4), output_size=[7, 5])
    yield case('dropout', (3, 5, 2))
    yield case('dropout', (30, 1, 1), p=0.1)
    yield case('layer_norm', (3, 5, 4), normalized_shape=[3, 5, 4])
    yield case('layer_norm', (3, 5, 4), normalized_shape=[5, 4], eps=0.001)
    yield case('layer_norm', (3, 2, 9), normalized_shape=9, bias=False)
    yield case('layer_norm', (13, 1, 1), normalized_shape=[13])
    yield case('layer_norm', (3, 5, 4), normalized_shape=[3, 5, 4], elementwise_affine=False)
    yield case('batch_norm', (5, 3, 4))
    yield case('batch_norm', (9, 1, 1), eps=0.001, momentum=0.3)
    for normalize in ('full', 'mean_only', 'variance_only'):
        yield case('batch_norm', (5, 4, 3), normalize=normalize, affine=False)
        yield case('batch_norm', (3, 2, 5), normalize=normalize, momentum=0.25)


def main():
    rows = [json.dumps(c) for c in cases()]
    sys.stdout.write('[\n' + ',\n'.join(rows) + '\n]\n')


main()
