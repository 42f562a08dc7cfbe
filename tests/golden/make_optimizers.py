#!/usr/bin/env python3
"""Golden losses, rates and weights of a small net under every optimizer: make_optimizers.py > optimizers.json

PyTorch in double; images, labels and first weights come from weights.uniform as in tests/train/optimizers.c. Each case's
"optimizer" is a job's, so its fields are PyTorch's arguments. Yogi is d2l.ai's (section 12.10), which PyTorch lacks."""
import json
import math
import sys

import torch
from torch import nn
from torch.optim import lr_scheduler

import weights

CLASSES, SIDE, TRAIN, VAL, BATCH, EPOCHS = 4, 8, 74, 20, 16, 4
PER_EPOCH = math.ceil(TRAIN / BATCH)
CASES = [
    {'optimizer': {'name': 'sgd', 'lr': 0.5}},
    {'optimizer': {'name': 'sgd', 'lr': 0.2, 'weight_decay': 0.01, 'schedule': {'name': 'constant', 'warmup_epochs': 1.5}}},
    {'optimizer': {'name': 'sgd', 'lr': 0.1, 'momentum': 0.9,
                   'schedule': {'name': 'step', 'step_epochs': 1, 'gamma': 0.3}}},
    {'optimizer': {'name': 'sgd', 'lr': 0.2, 'momentum': 0.8, 'dampening': 0.3, 'weight_decay': 0.02}},
    {'optimizer': {'name': 'sgd', 'lr': 0.1, 'momentum': 0.9, 'nesterov': True, 'gradient_clip': 1.0,
                   'schedule': {'name': 'cosine', 'min_lr': 0.01}}},
    {'optimizer': {'name': 'adagrad', 'lr': 0.1}},
    {'optimizer': {'name': 'adagrad', 'lr': 0.2, 'lr_decay': 0.05, 'weight_decay': 0.01,
                   'initial_accumulator_value': 0.1, 'eps': 1e-6, 'schedule': 'cosine'}},
    {'optimizer': {'name': 'adam', 'lr': 0.01}},
    {'optimizer': {'name': 'adam', 'lr': 0.02, 'betas': [0.8, 0.95], 'weight_decay': 0.05, 'eps': 1e-4,
                   'gradient_clip': 0.5}},
    {'optimizer': {'name': 'adamw', 'lr': 0.01, 'schedule': {'name': 'cosine', 'warmup_epochs': 1}}},
    {'optimizer': {'name': 'adamw', 'lr': 0.02, 'weight_decay': 0.5}},
    {'optimizer': {'name': 'yogi', 'lr': 0.02}},
    {'optimizer': {'name': 'yogi', 'lr': 0.02, 'betas': [0.5, 0.8], 'weight_decay': 0.01}},
    {'optimizer': {'name': 'sgd', 'lr': 0.2, 'momentum': 0.9, 'weight_decay': 0.1}, 'freeze': ['net.1']},
    {'optimizer': {'name': 'adamw', 'lr': 0.01, 'weight_decay': 0.1, 'gradient_clip': 0.35}, 'freeze': ['net.0', 'net.1']},
]
KEPT = ['net.0.weight', 'net.1.weight', 'net.1.running_mean', 'net.1.running_var', 'net.5.bias']


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.AvgPool2d(2),
                                 nn.Flatten(), nn.Linear(64, CLASSES))

    def forward(self, x):
        return self.net(x)


class Yogi(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-3, weight_decay=0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (beta1, beta2), lr = group['betas'], group['lr']
            for p in group['params']:
                state = self.state[p]
                v, s = state.setdefault('v', torch.zeros_like(p)), state.setdefault('s', torch.zeros_like(p))
                t = state['t'] = state.get('t', 0) + 1
                g = p.grad + group['weight_decay'] * p
                v[:] = beta1 * v + (1 - beta1) * g
                off = torch.square(g) - s
                # Nearer to zero a rounding error would change the sign, and what follows.
                assert beta2 > 0.99 or (off.abs() > 1e-3 * torch.square(g)).all(), 'choose other numbers'
                s[:] = s + (1 - beta2) * torch.sign(off) * torch.square(g)
                p -= lr * (v / (1 - beta1**t)) / (torch.sqrt(s / (1 - beta2**t)) + group['eps'])


OPTIMIZERS = {'sgd': torch.optim.SGD, 'adagrad': torch.optim.Adagrad, 'adam': torch.optim.Adam,
              'adamw': torch.optim.AdamW, 'yogi': Yogi}


def data():
    count = TRAIN + VAL
    noise = weights.uniform(99, count * SIDE * SIDE)
    images = []
    for i in range(count):
        for k in range(SIDE * SIDE):
            byte = int((noise[i * SIDE * SIDE + k] + 1) * 64) + (127 if k // 16 == i % CLASSES else 0)
            images.append(byte / 255)
    return (torch.tensor(images, dtype=torch.float64).reshape(count, 1, SIDE, SIDE),
            torch.arange(count) % CLASSES)


def first_weights():
    def tensor(seed, dims, scale, shift=0.0):
        values = [weights.f32(shift + scale * u) for u in weights.uniform(seed, math.prod(dims))]
        return torch.tensor(values, dtype=torch.float64).reshape(dims)
    return {'net.0.weight': tensor(1, (4, 1, 3, 3), 0.5), 'net.1.weight': tensor(2, (4,), 0.5, 1.0),
            'net.1.bias': tensor(3, (4,), 0.25), 'net.1.running_mean': tensor(4, (4,), 0.25),
            'net.1.running_var': tensor(5, (4,), 0.5, 1.0), 'net.1.num_batches_tracked': torch.tensor(0),
            'net.5.weight': tensor(6, (CLASSES, 64), 0.25), 'net.5.bias': tensor(7, (CLASSES,), 0.25)}


def schedule(optimizer, spec, steps):
    """PyTorch's own where it has the same, stepped every step, else the formula of schedule.h."""
    spec = {'name': spec} if isinstance(spec, str) else spec
    warmup, lr, name = spec.get('warmup_epochs', 0) * PER_EPOCH, optimizer.defaults['lr'], spec['name']
    if name == 'cosine' and not warmup:
        return lr_scheduler.CosineAnnealingLR(optimizer, steps, spec.get('min_lr', 0))
    if name == 'step' and not warmup:
        return lr_scheduler.StepLR(optimizer, spec['step_epochs'] * PER_EPOCH, spec.get('gamma', 0.1))

    def factor(t):
        if t < warmup:
            return t / warmup
        if name == 'cosine':
            low = spec.get('min_lr', 0) / lr
            return low + (1 - low) * (1 + math.cos(math.pi * (t - warmup) / (steps - warmup))) / 2
        assert name == 'constant'
        return 1
    return lr_scheduler.LambdaLR(optimizer, factor)


def run(case, images, labels):
    net = Net().double()
    net.load_state_dict(first_weights())
    frozen = [dict(net.named_modules())[name] for name in case.get('freeze', [])]
    for module in frozen:
        module.requires_grad_(False)
    spec = dict(case['optimizer'])
    name, clip, plan = spec.pop('name'), spec.pop('gradient_clip', None), spec.pop('schedule', 'constant')
    optimizer = OPTIMIZERS[name]([p for p in net.parameters() if p.requires_grad], **spec)
    scheduler = schedule(optimizer, plan, EPOCHS * PER_EPOCH)
    result = {'losses': [], 'rates': [], 'val_losses': []}
    norms = []
    for step in range(EPOCHS * PER_EPOCH):
        first = step % PER_EPOCH * BATCH
        part = slice(first, min(first + BATCH, TRAIN))
        net.train()
        for module in frozen:
            module.eval()
        loss = nn.functional.cross_entropy(net(images[part]), labels[part])
        optimizer.zero_grad()
        loss.backward()
        if clip:
            norms.append(nn.utils.clip_grad_norm_(net.parameters(), clip).item())
        result['losses'].append(loss.item())
        result['rates'].append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
        if (step + 1) % PER_EPOCH == 0:
            net.eval()
            with torch.no_grad():
                result['val_losses'].append(nn.functional.cross_entropy(net(images[TRAIN:]), labels[TRAIN:]).item())
    if clip:
        print('%s clips %d of %d norms, %.2g to %.2g' % (name, sum(n > clip for n in norms), len(norms), min(norms), max(norms)),
              file=sys.stderr)
    result['weights'] = {n: net.state_dict()[n].flatten().tolist() for n in KEPT}
    return result


def rounded(value):
    if isinstance(value, float):
        return float('%.9g' % value)
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return {k: rounded(v) for k, v in value.items()}


def main():
    images, labels = data()
    print('{"torch": "%s",\n "cases": [' % torch.__version__)
    for i, case in enumerate(CASES):
        print('  ' + json.dumps({**case, **rounded(run(case, images, labels))}) + (',' if i < len(CASES) - 1 else ''))
    print(' ]}')


if __name__ == "__main__":
    main()
