#!/usr/bin/env python3
"""PyTorch's images per second on the CPU for the two LeNets: speed.py [BATCH] [THREADS]. Needs torch."""
import os
import sys
import time

import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'golden'))
import make_curves  # noqa: E402

BATCH = int(sys.argv[1]) if len(sys.argv) > 1 else 128
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)


def rate(step, seconds=4.0):
    for _ in range(5):
        step()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return count * BATCH / (time.perf_counter() - start)


def main():
    x, y = torch.rand(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
    for name in make_curves.RATES:
        net = make_curves.network(name)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        def train():
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        def infer():
            with torch.inference_mode():
                net(x)
        net.train()
        trained = rate(train)
        net.eval()
        print('%s batch %d: train %.0f, inference %.0f images/s (torch %s, %d threads)' % (
            name, BATCH, trained, rate(infer), torch.__version__, torch.get_num_threads()))


main()
