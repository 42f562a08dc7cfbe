"""ONNX files without a library: what is in one, what it computes, and new ones. Tensors are (dims, flat list of floats)."""
import itertools
import math
import struct


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """{number: [values]}: numbers, bytes or floats by the kind of the field."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            value -= (value >> 63) << 64
        elif key & 7 == 2:
            n, at = varint(data, at)
            value, at = data[at:at + n], at + n
            assert len(value) == n, "a field of %d bytes has %d" % (n, len(value))
        else:
            assert key & 7 == 5, key
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        found.setdefault(key >> 3, []).append(value)
    return found


def texts(values):
    return [v.decode() for v in values]


def attribute(data):
    a = fields(data)
    kind = {1: 2, 2: 3, 7: 8}[a[20][0]]
    return a[1][0].decode(), a[kind] if kind == 8 else a[kind][0]


class Node:
    def __init__(self, data):
        f = fields(data)
        self.inputs, (self.output,), (self.name,), (self.type,) = texts(f[1]), texts(f[2]), texts(f[3]), texts(f[4])
        self.attributes = dict(attribute(a) for a in f.get(5, ()))


def face(data):
    """(name, sides) of an input or output; a side of any size is its name."""
    f = fields(data)
    tensor = fields(fields(f[2][0])[1][0])
    assert tensor[1] == [1], "no floats"
    sides = [fields(s) for s in fields(tensor[2][0])[1]]
    return f[1][0].decode(), [s[1][0] if 1 in s else s[2][0].decode() for s in sides]


class File:
    def __init__(self, data):
        f = fields(data)
        self.version, self.operators, self.producer = f[1][0], fields(f[8][0])[2][0], f[2][0].decode()
        self.notes = {n[1][0].decode(): n[2][0].decode() for n in map(fields, f.get(14, ()))}
        g = fields(f[7][0])
        self.name = g[2][0].decode()
        self.nodes = [Node(n) for n in g[1]]
        self.inputs, self.outputs = [face(v) for v in g[11]], [face(v) for v in g[12]]
        self.raw = {}  # name: (dims, bytes)
        self.weights = {}
        for t in map(fields, g.get(5, ())):
            name, kind = t[8][0].decode(), t[2][0]
            assert name not in self.raw, name
            self.raw[name] = (t.get(1, []), t[9][0])  # a scalar has no sides
            values = struct.unpack("<%d%s" % (math.prod(t.get(1, [])), {1: "f", 7: "q"}[kind]), t[9][0])
            self.weights[name] = (list(t.get(1, [])), list(values))

    def run(self, dims, values):
        """{output: tensor}. Each name is made once, and before it is read."""
        made = dict(self.weights, input=(list(dims), list(values)))
        for n in self.nodes:
            assert n.output not in made, n.output
            made[n.output] = OPERATORS[n.type](n.attributes, *(made[i] for i in n.inputs))
        return {name: made[name] for name, _ in self.outputs}


def indices(dims):
    return itertools.product(*map(range, dims))


def place(dims, index):
    at = 0
    for side, i in zip(dims, index):
        at = at * side + i
    return at


def broadcast(operate):
    def run(_, a, b):
        rank = max(len(a[0]), len(b[0]))
        sides = [[1] * (rank - len(t[0])) + t[0] for t in (a, b)]
        dims = [max(x, y) for x, y in zip(*sides)]

        def take(t, side, index):
            return t[1][place(side, [i if s > 1 else 0 for i, s in zip(index, side)])]
        return dims, [operate(take(a, sides[0], i), take(b, sides[1], i)) for i in indices(dims)]
    return run


def each(operate):
    return lambda _, x: (x[0], [operate(v) for v in x[1]])


def windows(a, dims):
    """The output's sides, and for a pixel of it the places in the image with the taps that meet them."""
    kernel, stride, pads, apart = a["kernel_shape"], a["strides"], a.get("pads", [0, 0, 0, 0]), a.get("dilations", [1, 1])
    size = [(dims[2 + i] + pads[i] + pads[2 + i] - (kernel[i] - 1) * apart[i] - 1) // stride[i] + 1 for i in (0, 1)]

    def met(y, x):
        for r, s in indices(kernel):
            i, k = y * stride[0] + r * apart[0] - pads[0], x * stride[1] + s * apart[1] - pads[1]
            if 0 <= i < dims[2] and 0 <= k < dims[3]:
                yield r, s, i, k
    return size, met


def conv(a, x, w, bias=None):
    (n, c, h, width), (k, per, r, s) = x[0], w[0]
    assert a["kernel_shape"] == [r, s] and per * a["group"] == c
    size, met = windows(a, x[0])
    out = []
    for b, o, y, z in indices((n, k, *size)):
        first = o // (k // a["group"]) * per
        total = bias[1][o] if bias else 0.0
        for i in range(per):
            for p, q, row, column in met(y, z):
                total += x[1][place(x[0], (b, first + i, row, column))] * w[1][place(w[0], (o, i, p, q))]
        out.append(total)
    return [n, k, *size], out


def gemm(a, x, w, bias=None):
    assert a == {"transB": 1}
    n, c = x[0]
    k = w[0][0]
    return [n, k], [sum(x[1][b * c + i] * w[1][o * c + i] for i in range(c)) + (bias[1][o] if bias else 0) for b, o in indices((n, k))]


def matmul(_, a, b):
    rows, inner = a[0][-2:]
    columns = b[0][-1]
    outer = a[0][:-2] or b[0][:-2]
    assert inner == b[0][-2]
    out = []
    for o, i, k in indices((math.prod(outer), rows, columns)):
        left, right = (o * rows * inner if len(a[0]) > 2 else 0), (o * inner * columns if len(b[0]) > 2 else 0)
        out.append(sum(a[1][left + i * inner + j] * b[1][right + j * columns + k] for j in range(inner)))
    return [*outer, rows, columns], out


def pool(fold):
    def run(a, x):
        size, met = windows(a, x[0])
        area, padded = math.prod(a["kernel_shape"]), a.get("count_include_pad", 0)
        out = []
        for b, c, y, z in indices((*x[0][:2], *size)):
            values = [x[1][place(x[0], (b, c, i, k))] for _, _, i, k in met(y, z)]
            out.append(fold(values, area if padded else len(values)))
        return [*x[0][:2], *size], out
    return run


def mean(values, count):
    return sum(values) / count


def global_pool(_, x):
    area = x[0][2] * x[0][3]
    return x[0][:2] + [1, 1], [sum(x[1][i:i + area]) / area for i in range(0, len(x[1]), area)]


def batch_norm(a, x, scale, bias, means, variances):
    area, channels = math.prod(x[0][2:]), x[0][1]
    out = []
    for i, v in enumerate(x[1]):
        c = i // area % channels
        out.append((v - means[1][c]) / math.sqrt(variances[1][c] + a["epsilon"]) * scale[1][c] + bias[1][c])
    return x[0], out


def layer_norm(a, x, scale, bias=None):
    assert scale[0] == x[0][a["axis"]:], (scale[0], x[0])
    size, out = len(scale[1]), []
    for i in range(0, len(x[1]), size):
        part = x[1][i:i + size]
        middle = sum(part) / size
        deviation = math.sqrt(sum((v - middle) ** 2 for v in part) / size + a["epsilon"])
        out += [(v - middle) / deviation * w + (bias[1][k] if bias else 0) for k, (v, w) in enumerate(zip(part, scale[1]))]
    return x[0], out


def reduce_mean(a, x):
    assert a == {"axes": [1, 2, 3]}
    area = math.prod(x[0][1:])
    return [x[0][0], 1, 1, 1], [sum(x[1][i:i + area]) / area for i in range(0, len(x[1]), area)]


def concat(a, *parts):
    assert a == {"axis": 1}
    n, out = parts[0][0][0], []
    for b in range(n):
        for dims, values in parts:
            assert dims[2:] == parts[0][0][2:]
            size = len(values) // n
            out += values[b * size:(b + 1) * size]
    return [n, sum(p[0][1] for p in parts), *parts[0][0][2:]], out


def pad(_, x, amounts):
    first, last = amounts[1][:4], amounts[1][4:]
    dims = [s + a + b for s, a, b in zip(x[0], first, last)]
    out = [0.0] * math.prod(dims)
    for index in indices(x[0]):
        out[place(dims, [i + a for i, a in zip(index, first)])] = x[1][place(x[0], index)]
    return dims, out


def reshape(_, x, dims):
    rest = math.prod(d for d in dims[1] if d > 0)
    return [d if d > 0 else len(x[1]) // rest for d in dims[1]], x[1]


def flatten(_, x):
    return [x[0][0], math.prod(x[0][1:])], x[1]


def softmax(a, x):
    assert a == {"axis": 1}
    size, out = x[0][1], []
    for i in range(0, len(x[1]), size):
        part = x[1][i:i + size]
        powers = [math.exp(v - max(part)) for v in part]
        out += [p / sum(powers) for p in powers]
    return x[0], out


def expand(_, x, dims):
    assert x[0] == [1]
    return list(dims[1]), x[1] * math.prod(dims[1])


def leaky_relu(a, x):
    return x[0], [v if v > 0 else a["alpha"] * v for v in x[1]]


OPERATORS = {
    "Add": broadcast(lambda a, b: a + b), "Sub": broadcast(lambda a, b: a - b), "Mul": broadcast(lambda a, b: a * b),
    "Div": broadcast(lambda a, b: a / b), "Max": broadcast(max), "Sqrt": each(math.sqrt), "ReduceMean": reduce_mean,
    "Conv": conv, "Gemm": gemm, "MatMul": matmul, "MaxPool": pool(lambda values, _: max(values)), "AveragePool": pool(mean),
    "GlobalAveragePool": global_pool, "BatchNormalization": batch_norm, "LayerNormalization": layer_norm, "Concat": concat,
    "Pad": pad, "Expand": expand, "Reshape": reshape, "Flatten": flatten, "Softmax": softmax, "Identity": lambda _, x: x,
    "Relu": each(lambda v: max(v, 0.0)), "Sigmoid": each(lambda v: 1 / (1 + math.exp(-v))), "Tanh": each(math.tanh),
    "Clip": lambda _, x, low, high: (x[0], [min(max(v, low[1][0]), high[1][0]) for v in x[1]]), "LeakyRelu": leaky_relu, "Erf": each(math.erf),
}


# --- writing ---

def field(number, value):
    """A number, a float, or bytes and text, as Protocol Buffers write it."""
    def number_of(v):
        v, out = v % 2 ** 64, bytearray()
        while True:
            out.append(v & 127 | (128 if v > 127 else 0))
            v >>= 7
            if not v:
                return bytes(out)
    if isinstance(value, float):
        return number_of(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return number_of(number << 3) + number_of(value)
    value = value.encode() if isinstance(value, str) else value
    return number_of(number << 3 | 2) + number_of(len(value)) + value


def tensor(name, dims, values, kind=1):
    """TensorProto of floats (kind 1) or whole numbers (7)."""
    raw = struct.pack("<%d%s" % (len(values), "fq"[kind == 7]), *values)
    return b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + field(9, raw)


def node(kind, inputs, output, name="", domain="", **attributes):
    out = b"".join(field(1, i) for i in inputs) + field(2, output) + field(3, name) + field(4, kind)
    for key, value in attributes.items():
        if isinstance(value, list):
            parts = b"".join(field(8, v) for v in value) + field(20, 7)
        else:
            number, code = {int: (3, 2), float: (2, 1), str: (4, 3)}[type(value)]
            parts = field(number, value) + field(20, code)
        out += field(5, field(1, key) + parts)
    return out + (field(7, domain) if domain else b"")


def write(nodes, tensors=(), inputs=(("x", ["n", 2, 7, 6]),), outputs=("y",), notes=(), operators=17):
    """A file of these nodes and tensors; a side that is text is of any size."""
    def value_info(name, sides):
        dims = b"".join(field(1, field(1 if isinstance(s, int) else 2, s)) for s in sides)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))
    graph = b"".join(field(1, n) for n in nodes) + field(2, "g") + b"".join(field(5, t) for t in tensors)
    graph += b"".join(field(11, value_info(*i)) for i in inputs) + b"".join(field(12, field(1, o)) for o in outputs)
    entries = b"".join(field(14, field(1, k) + field(2, v)) for k, v in notes)
    return field(1, 8) + field(7, graph) + field(8, field(2, operators)) + entries
