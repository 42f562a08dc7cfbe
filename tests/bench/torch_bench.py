#!/usr/bin/env python3
"""PyTorch's images per second for one of the course's networks: torch_bench.py NAME SIDE BATCH train|inference SECONDS
[cpu|cuda] [fp32|tf32] [AHEAD]

Prints a line "images_per_second peak_bytes version"; the bytes are resident memory of the process at most, or what PyTorch took of
the GPU's. A GPU is waited for after every AHEAD batches, 1 where nothing is said. NAME is one of course.NETS, or `vgg-small`, the blocks 16-32-64-128-128. Needs torch."""
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden'))
import torch  # noqa: E402
from torch import nn  # noqa: E402

import course  # noqa: E402

SMALL = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def network(name, side):
    if name == 'vgg-small':
        return course.Course(course.vgg(course.Builder(1), 10, SMALL, side))
    return course.network(name, side=side)


def rate(step, batch, seconds, ahead=1, finish=lambda: None):
    for _ in range(3):
        step()
        finish()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(ahead):
            step()
        finish()
        count += ahead
    return count * batch / (time.perf_counter() - start)


def main():
    name, side, batch, mode, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], float(sys.argv[5])
    device, precision, ahead = sys.argv[6:9] + ['cpu', 'fp32', '1'][len(sys.argv[6:9]):]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == 'tf32'
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    net = network(name, side).to(device)
    x, y = torch.rand(batch, 1, side, side, device=device), torch.randint(10, (batch,), device=device)
    finish = torch.cuda.synchronize if device == 'cuda' else lambda: None
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)

    def train():
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def infer():
        with torch.inference_mode():
            net(x)
    net.train(mode == 'train')
    speed = rate(train if mode == 'train' else infer, batch, seconds, int(ahead), finish)
    taken = torch.cuda.max_memory_reserved() if device == 'cuda' else resident()
    print('%.3f %d %s' % (speed, taken, torch.__version__))


if __name__ == '__main__':
    main()
