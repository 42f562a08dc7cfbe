"""safetensors in and out, with numpy alone: 8 bytes of length, a JSON head, the tensors' bytes."""
import json
import struct

import numpy

TYPES = {'F32': '<f4', 'I64': '<i8'}
NAMES = {numpy.dtype(d): n for n, d in TYPES.items()}


def load(data):
    """{name: array} and the metadata, of a file's bytes."""
    size, = struct.unpack_from('<Q', data)
    head = json.loads(data[8:8 + size])
    metadata, body, arrays = head.pop('__metadata__', {}), data[8 + size:], {}
    for name, t in head.items():
        begin, end = t['data_offsets']
        arrays[name] = numpy.frombuffer(body[begin:end], TYPES[t['dtype']]).reshape(t['shape'])
    return arrays, metadata


def dump(arrays, metadata):
    """The bytes of a file."""
    head, body = {'__metadata__': metadata}, b''
    for name, a in arrays.items():
        raw = a.tobytes()
        head[name] = {'dtype': NAMES[a.dtype], 'shape': list(a.shape), 'data_offsets': [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(head).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + body
