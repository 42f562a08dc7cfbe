"""Seeded weights that PyTorch and the daemon's tests make alike, and a safetensors writer. Standard library only."""
import json
import math
import struct

# (name, dims, fan_in, fan_out) in PyTorch's order; batch norm's own parameters start at one and zero.
LENET = [('net.0', (6, 1, 5, 5)), ('net.3', (16, 6, 5, 5)), ('net.7', (120, 400)), ('net.9', (84, 120)),
         ('net.11', (10, 84))]
BN_LENET = [('net.0', (6, 1, 5, 5)), ('net.1', 6), ('net.4', (16, 6, 5, 5)), ('net.5', 16), ('net.9', (120, 400)),
            ('net.10', 120), ('net.12', (84, 120)), ('net.13', 84), ('net.15', (10, 84))]
NETS = {'lenet': LENET, 'bn-lenet': BN_LENET}


def uniform(seed, count):
    """`count` numbers in [-1, 1): the upper 24 bits of Knuth's MMIX generator."""
    state, values = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 40) / 8388608.0 - 1.0)
    return values


def f32(value):
    return struct.unpack('<f', struct.pack('<f', value))[0]


def tensors(net):
    """[(name, dims, values)], Xavier-uniform weights, zero biases."""
    result = []
    for i, (name, dims) in enumerate(NETS[net]):
        if isinstance(dims, int):
            result.append((name + '.weight', (dims,), [1.0] * dims))
            result.append((name + '.bias', (dims,), [0.0] * dims))
            result.append((name + '.running_mean', (dims,), [0.0] * dims))
            result.append((name + '.running_var', (dims,), [1.0] * dims))
            result.append((name + '.num_batches_tracked', (), [0]))
            continue
        count = math.prod(dims)
        taps = math.prod(dims[2:])
        bound = math.sqrt(6.0 / (dims[0] * taps + dims[1] * taps))
        result.append((name + '.weight', dims, [f32(bound * u) for u in uniform(i + 1, count)]))
        result.append((name + '.bias', (dims[0],), [0.0] * dims[0]))
    return result


def safetensors(net, classes):
    """The bytes of a model file."""
    head = {'__metadata__': {'architecture': json.dumps(net), 'input': '[1,28,28]', 'classes': json.dumps(classes),
                             'preprocessing': '{}'}}
    data = b''
    for name, dims, values in tensors(net):
        counter = name.endswith('num_batches_tracked')
        raw = struct.pack('<%d%s' % (len(values), 'q' if counter else 'f'), *values)
        head[name] = {'dtype': 'I64' if counter else 'F32', 'shape': list(dims),
                      'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + data
