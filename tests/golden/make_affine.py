#!/usr/bin/env python3
"""Golden batches of affine augmentations, computed by PyTorch in double: make_affine.py > affine.json

The matrix is that of torchvision's RandomAffine (_get_inverse_affine_matrix), the resampling PyTorch's grid_sample with
padding_mode='reflection'. Images and draws are those of tests/train/batch.c. Needs torch."""
import json
import math
import sys

import torch
import torch.nn.functional as F

from philox import philox, uniform

SEED, IMAGES = 0x123456789abcdef, 127
KEY = [SEED & 0xFFFFFFFF, SEED >> 32]


def image(position, shape, source):
    """Image of that place in the order, (1,C,H,W)."""
    index = (position * 7 + 5) % IMAGES
    count = shape[0] * source[0] * source[1]
    values = [uniform(philox([11, 0], [k, 0, index, 1])[0]) * 1.5 - 0.25 for k in range(count)]
    return torch.tensor(values, dtype=torch.float32).double().reshape(1, shape[0], *source)


def words(position, epoch, step, group):
    return philox(KEY, [position, 0xFFFFFF00 + group, epoch, 4 | (step + 1) << 8])


def between(low, high, word):
    return low + (high - low) * uniform(word)


def inverse_matrix(angle, translate, scale, shear):
    """torchvision's, of degrees around the middle, for shears along both axes."""
    rot, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(rot - sy) / math.cos(sy)
    b = -math.cos(rot - sy) * math.tan(sx) / math.cos(sy) - math.sin(rot)
    c = math.sin(rot - sy) / math.cos(sy)
    d = -math.sin(rot - sy) * math.tan(sx) / math.cos(sy) + math.cos(rot)
    m = [v / scale for v in (d, -b, 0.0, -c, a, 0.0)]
    m[2] += m[0] * -translate[0] + m[1] * -translate[1]
    m[5] += m[3] * -translate[0] + m[4] * -translate[1]
    return m


def affine(x, step, sides, draw, more):
    """A resampling to `sides`, in pixels of these."""
    h, w = sides
    degrees, shear, shares, (low, high) = step['degrees'], step['shear'], step['translate'], step['scale']
    angle, scale = between(-degrees, degrees, draw[0]), between(low, high, draw[3])
    down, along = (between(-share, share, word) for share, word in zip(shares, draw[1:3]))
    m = inverse_matrix(angle, (along * w, down * h), scale, (between(-shear, shear, more), 0.0))
    theta = torch.tensor([[[m[0], m[1] * h / w, m[2] * 2 / w], [m[3] * w / h, m[4], m[5] * 2 / h]]], dtype=torch.float64)
    grid = F.affine_grid(theta, [1, x.shape[1], h, w], align_corners=False)
    return F.grid_sample(x, grid, 'bilinear', 'reflection', align_corners=False)


def case(steps, shape, source, n=2, position=3, epoch=1):
    steps = [{'degrees': 180, 'translate': [0, 0], 'scale': [1, 1], 'shear': 0, **s} if s['type'] == 'affine' else s for s in steps]
    values = []
    for p in range(position, position + n):
        x = image(p, shape, source)
        for i, step in enumerate(steps):
            draw = words(p, epoch, i, 0)
            if step['type'] == 'affine':
                x = affine(x, step, shape[1:], draw, words(p, epoch, i, 1)[0])
            elif step['type'] == 'rot90':
                x = torch.rot90(x, draw[0] & 3, (2, 3))
            elif uniform(draw[0]) < step['p']:
                x = x.flip(3 if step['type'] == 'hflip' else 2)
        values += x.flatten().tolist()
    return {'steps': steps, 'shape': shape, 'source': source, 'n': n, 'position': position, 'epoch': epoch,
            'values': [float('%.7g' % v) for v in values]}


def cases():
    yield case([{'type': 'affine'}], [1, 7, 9], [7, 9])
    yield case([{'type': 'affine', 'degrees': 20, 'translate': [0.3, 0.1]}], [3, 6, 5], [6, 5])
    yield case([{'type': 'affine', 'degrees': 0, 'translate': [1, 1]}], [1, 4, 3], [4, 3], n=3)
    yield case([{'type': 'affine', 'degrees': 90, 'scale': [0.1, 0.5], 'shear': 40}], [1, 8, 7], [8, 7], n=3)
    yield case([{'type': 'affine', 'degrees': 180, 'scale': [0.8, 1.25], 'shear': 10}], [1, 7, 9], [11, 13])
    turns = [{'type': 'hflip', 'p': 0.5}, {'type': 'rot90'}, {'type': 'affine', 'translate': [0.2, 0.4]}, {'type': 'vflip', 'p': 0.5}]
    yield case(turns, [1, 7, 7], [7, 7], n=4)
    yield case([{'type': 'affine', 'degrees': 30}, {'type': 'affine', 'scale': [1.5, 2]}], [1, 7, 9], [7, 9])


def main():
    sys.stdout.write('[\n' + ',\n'.join(json.dumps(c) for c in cases()) + '\n]\n')


main()
