#!/usr/bin/env python3
"""Golden losses of the first 50 SGD steps, computed by PyTorch: make_curves.py > curves.json

Unshuffled Fashion-MNIST, batch 256; weights from weights.py. Needs torch and Debian's dataset-fashion-mnist."""
import gzip
import json
import sys

import torch
from torch import nn

import course
import weights

FOLDER = '/usr/share/datasets/fashion-mnist'
STEPS, BATCH = 50, 256
# At 1.0, bn-lenet in float and in double are apart by 1.1e-4 within these steps in PyTorch itself; at 0.1 by 2e-7.
RATES = {'lenet': 0.9, 'bn-lenet': 0.1}


def main():
    with gzip.open(FOLDER + '/train-images-idx3-ubyte.gz') as f:
        images = torch.frombuffer(bytearray(f.read(16 + STEPS * BATCH * 784)[16:]), dtype=torch.uint8)
    with gzip.open(FOLDER + '/train-labels-idx1-ubyte.gz') as f:
        labels = torch.frombuffer(bytearray(f.read(8 + STEPS * BATCH)[8:]), dtype=torch.uint8).long()
    images = images.reshape(-1, 1, 28, 28).float() / 255
    golden = {'torch': torch.__version__, 'batch_size': BATCH, 'nets': {}}
    for name, lr in RATES.items():
        net = course.network(name)
        state = {n: torch.tensor(v).reshape(d) for n, d, v in weights.tensors(name)}
        net.load_state_dict(state)
        optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        losses = []
        for step in range(STEPS):
            part = slice(step * BATCH, (step + 1) * BATCH)
            loss = nn.functional.cross_entropy(net(images[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        net.eval()
        with torch.no_grad():
            logits = net(images[:3]).tolist()
        golden['nets'][name] = {'lr': lr, 'losses': losses, 'logits': logits}
    json.dump(golden, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
