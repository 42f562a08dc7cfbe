"""Small writers of the microscopes' formats, and the decoder behind a pipe. Needs numpy only."""
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

try:
    import numpy as np
except ImportError:
    print('skipped: no numpy (apt-get install python3-numpy)')
    sys.exit(77)

DECODE = os.environ['CNND_DECODE']


class Decoder:
    """image_decode in a process that stays. decode() gives (head, pixels), or (head, None) for what is refused."""

    def __init__(self, binary=DECODE):
        self.child = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.folder = tempfile.TemporaryDirectory()

    def decode(self, data):
        path = data
        if isinstance(data, bytes):
            path = os.path.join(self.folder.name, 'file')
            with open(path, 'wb') as f:
                f.write(data)
        self.child.stdin.write(path.encode() + b'\n')
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise AssertionError('the decoder ended: %s' % self.child.wait())
        head = json.loads(line)
        if 'refused' in head:
            return head, None
        shape = [head[k] for k in 'nchw']
        return head, np.frombuffer(self.child.stdout.read(4 * int(np.prod(shape))), np.float32).reshape(shape)

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.folder.cleanup()
        if self.child.wait() != 0:  # a sanitizer's last word
            raise AssertionError('the decoder ended with %d' % self.child.returncode)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.decoder = Decoder()

    @classmethod
    def tearDownClass(cls):
        cls.decoder.close()

    def same(self, data, want, unit=None, size=None, databar=0):
        """Decodes to `want` (n,c,h,w) exactly; `size` (h,w) in `unit`."""
        head, got = self.decoder.decode(data)
        self.assertIsNotNone(got, head)
        np.testing.assert_array_equal(got, want)
        self.assertEqual(head['databar_h'], databar)
        self.assertEqual(head['unit'], unit or '')
        if unit:
            np.testing.assert_allclose((head['pixel_h'], head['pixel_w']), size, rtol=1e-6)
        return head

    def refused(self, data, code, why=''):
        head, _ = self.decoder.decode(data)
        self.assertEqual(head.get('refused'), code, head)
        self.assertRegex(head['why'], why or '.')

    def cuts(self, data, codes=('syntax', 'media')):
        """No beginning of the file is an image, and none ends the decoder."""
        step = max(1, len(data) // 300)
        for n in range(0, len(data) - 1, step):
            head, _ = self.decoder.decode(data[:n])
            self.assertIn(head.get('refused'), codes, '%d bytes: %s' % (n, head))


def run():
    unittest.main(module='__main__', argv=sys.argv[:1], verbosity=1)


def scaled(a):
    """The values as image.h defines them."""
    if a.dtype.kind == 'u' and a.dtype.itemsize <= 2:
        return a.astype(np.float32) / np.float32(255 if a.dtype.itemsize == 1 else 65535)
    return a.astype(np.float32)


def values(kind, shape, seed=1):
    """Numbers over the whole range of an integer type, or some of both signs."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(kind)
    if kind.kind in 'ui':
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max, shape, kind, endpoint=True)
    return (rng.standard_normal(shape) * 100).astype(kind)


# --- TIFF ---

TYPES = {'b': 1, 's': 2, 'H': 3, 'I': 4, 'r': 5, 'B': 7, 'd': 12, 'Q': 16}


def tiff(pages, big=False, large=False, tail=b'', loop=False):
    """`pages`: lists of (tag, type, values), with (273 or 324, 'data', [strips]) for the pixels; `tail` follows."""
    order = '>' if big else '<'
    word, size, entry = ('Q', 8, 20) if large else ('I', 4, 12)
    out = bytearray(b'MM' if big else b'II')
    out += struct.pack(order + ('HHHQ' if large else 'HI'), *((43, 8, 0, 0) if large else (42, 0)))
    link = len(out) - size
    first = None
    for tags in pages:
        body = []
        for tag, kind, data in tags:
            if kind == 'data':
                places = []
                for strip in data:
                    places.append(len(out))
                    out += strip + b'\0' * (len(strip) % 2)
                body.append((tag, word, places))
                body.append((279 if tag == 273 else 325, word, [len(s) for s in data]))
            else:
                body.append((tag, kind, data))
        packed = []
        for tag, kind, data in sorted(body, key=lambda t: t[0]):
            if kind in 'sB':
                raw, count = bytes(data), len(data)
            elif kind == 'r':
                raw, count = b''.join(struct.pack(order + 'II', *v) for v in data), len(data)
            else:
                raw, count = struct.pack(order + '%d%s' % (len(data), kind), *data), len(data)
            if len(raw) > size:
                place = len(out)
                out += raw + b'\0' * (len(raw) % 2)
                raw = struct.pack(order + word, place)
            packed.append(struct.pack(order + 'HH' + word, tag, TYPES[kind], count) + raw.ljust(size, b'\0'))
        here = len(out)
        first = first or here
        struct.pack_into(order + word, out, link, here)
        out += struct.pack(order + ('Q' if large else 'H'), len(packed)) + b''.join(packed) + b'\0' * size
        link = len(out) - size
    if loop:
        struct.pack_into(order + word, out, link, first)
    return bytes(out) + tail


def page(a, big=False, photometric=1, strip_rows=None, tile=None, planar=1, compress=None, compression=1, extra=(), bits=None,
         data=None, width=None, height=None):
    """The tags of an array (h,w) or (h,w,samples)."""
    a = a if a.ndim == 3 else a[:, :, None]
    h, w, samples = a.shape
    kind = {'u': 1, 'i': 2, 'f': 3, 'c': 6, 'b': 1}[a.dtype.kind]
    a = a.astype(a.dtype.newbyteorder('>' if big else '<'))
    planes = [a] if planar == 1 else [a[:, :, k:k + 1] for k in range(samples)]
    blocks = []
    for p in planes:
        if tile:
            th, tw = tile
            full = np.zeros((-(-h // th) * th, -(-w // tw) * tw, p.shape[2]), p.dtype)
            full[:h, :w] = p
            blocks += [full[y:y + th, x:x + tw] for y in range(0, h, th) for x in range(0, w, tw)]
        else:
            rows = strip_rows or h
            blocks += [p[y:y + rows] for y in range(0, h, rows)]
    if data is None:
        data = [np.ascontiguousarray(b).tobytes() for b in blocks]
        data = [compress(d) for d in data] if compress else data
    tags = [(256, 'I', [width or w]), (257, 'I', [height or h]), (258, 'H', [bits or a.dtype.itemsize * 8] * samples),
            (259, 'H', [compression]), (262, 'H', [photometric]), (277, 'H', [samples]), (284, 'H', [planar]),
            (339, 'H', [kind] * samples), (324 if tile else 273, 'data', data)]
    tags += [(322, 'I', [tile[1]]), (323, 'I', [tile[0]])] if tile else [(278, 'I', [strip_rows or height or h])]
    return tags + list(extra)


# --- MRC ---

MODES = {'i1': 0, 'i2': 1, 'f4': 2, 'u2': 6, 'f2': 12}


def mrc(a, order='<', mode=None, group=0, mz=None, cell=None, extended=b'', exttyp=b'\0\0\0\0', mark=b'MAP ', imod=None, stamp=True,
        axes=(1, 2, 3), shape=None):
    """`a` (nz,ny,nx[,3]) with its top row first; the file has the bottom first."""
    a = np.asarray(a)
    nz, ny, nx = shape or a.shape[:3]
    head = bytearray(1024)
    mode = MODES[a.dtype.str[1:]] if mode is None else mode
    struct.pack_into(order + '4i', head, 0, nx, ny, nz, mode)
    struct.pack_into(order + '3i', head, 28, nx, ny, nz if mz is None else mz)
    struct.pack_into(order + '3f', head, 40, *(cell or (0, 0, 0)))
    struct.pack_into(order + '3i', head, 64, *axes)
    struct.pack_into(order + '2i', head, 88, group, len(extended))
    head[104:108] = exttyp
    if imod is not None:
        struct.pack_into(order + '2i', head, 152, 1146047817, imod)
    head[208:212] = mark
    if stamp:
        head[212:216] = b'\x44\x44\0\0' if order == '<' else b'\x11\x11\0\0'
    return bytes(head) + extended + np.ascontiguousarray(a[:, ::-1].astype(a.dtype.newbyteorder(order))).tobytes()


# --- DigitalMicrograph ---

ELEMENTS = {'i2': 2, 'i4': 3, 'u2': 4, 'u4': 5, 'f4': 6, 'f8': 7, 'i1': 9, 'u1': 10, 'i8': 11, 'u8': 12}
DATA_TYPES = {'i2': 1, 'f4': 2, 'u1': 6, 'i4': 7, 'i1': 9, 'u2': 10, 'u4': 11, 'f8': 12, 'b1': 14}


class Dm:
    def __init__(self, version=3, order='<'):
        self.version, self.order = version, order

    def long(self, v):
        return struct.pack('>Q' if self.version == 4 else '>I', v)

    def tag(self, kind, name, body):
        size = struct.pack('>Q', len(body)) if self.version == 4 else b''
        return bytes([kind]) + struct.pack('>H', len(name)) + name.encode() + size + body

    def info(self, *numbers):
        return b'%%%%' + self.long(len(numbers)) + b''.join(self.long(n) for n in numbers)

    def array(self, name, a):
        a = np.asarray(a)
        kind = ELEMENTS[a.dtype.str[1:]]
        return self.tag(21, name, self.info(20, kind, a.size) + a.astype(a.dtype.newbyteorder(self.order)).tobytes())

    def number(self, name, v, kind='u4'):
        return self.tag(21, name, self.info(ELEMENTS[kind]) + np.array(v, self.order + kind).tobytes())

    def text(self, name, v):
        return self.array(name, np.frombuffer(v.encode('utf-16-le'), '<u2').astype('u2'))

    def members(self, tags):
        return b'\0\0' + self.long(len(tags)) + b''.join(tags)

    def group(self, name, tags):
        return self.tag(20, name, self.members(tags))

    def file(self, tags):
        body = self.members(tags)
        return struct.pack('>I', self.version) + self.long(len(body)) + struct.pack('>I', self.order == '<') + body

    def image(self, a, data_type=None, dims=None, scale=None, unit='', meta=None, units=None, data=None):
        a = np.asarray(a)
        kind = DATA_TYPES[a.dtype.str[1:]] if data_type is None else data_type
        dims = dims or a.shape[::-1]
        units = units or [unit] * len(dims)
        calibrations = [self.group('', [self.number('Origin', 0, 'f4'), self.number('Scale', s, 'f4'), self.text('Units', u)])
                        for s, u in zip(scale or [1] * len(dims), units)]
        brightness = self.group('Brightness', [self.number('Origin', 0, 'f4'), self.number('Scale', 1, 'f4'), self.text('Units', '')])
        raw = self.array('Data', a.astype('u1') if a.dtype == bool else a) if data is None else data
        tags = [self.group('ImageData', [
            self.group('Calibrations', [brightness, self.group('Dimension', calibrations)]), raw, self.number('DataType', kind),
            self.group('Dimensions', [self.number('', d) for d in dims]), self.number('PixelDepth', a.dtype.itemsize)])]
        tags.append(self.group('ImageTags', [self.group('Meta Data', [self.text('Format', meta)])] if meta else []))
        return self.group('', tags)

    def images(self, images, thumbnails=()):
        marks = [self.group('', [self.number('ImageIndex', i)]) for i in thumbnails]
        return self.file([self.group('ImageList', images), self.group('Thumbnails', marks)])


# --- SER ---

SER_TYPES = {'u1': 1, 'u2': 2, 'u4': 3, 'i1': 4, 'i2': 5, 'i4': 6, 'f4': 7, 'f8': 8, 'c8': 9}


def ser(frames, version=0x210, kind=0x4122, step=(1e-9, 1e-9), valid=None, dtype=None, sizes=None, offsets=None, complete=False):
    """`frames` (h,w) each with its top row first; the file has the bottom first. `complete`: with what this reader passes over."""
    word = '<I' if version <= 0x210 else '<Q'
    size = struct.calcsize(word)
    head = struct.pack('<HHHIIII', 0x4949, 0x0197, version, kind, 0x4152, len(frames), len(frames) if valid is None else valid)
    series = struct.pack('<IddIII', len(frames), 0, 1, 0, 0, 0) if complete else b''
    table = len(head) + size + 4 + len(series)
    at, places, body = table + 2 * size * len(frames), [], b''
    for i, a in enumerate(frames):
        a = np.asarray(a)
        ny, nx = sizes[i] if sizes else a.shape
        places.append(at + len(body))
        body += struct.pack('<ddiddi', 0, step[1], 0, 0, step[0], 0)
        body += struct.pack('<HII', SER_TYPES[a.dtype.str[1:]] if dtype is None else dtype, nx, ny)
        body += a[::-1].astype(a.dtype.newbyteorder('<')).tobytes() + struct.pack('<HHI', 0x4152, 0, 0) * complete
    places = offsets or places
    return (head + struct.pack(word, table) + struct.pack('<I', bool(series)) + series + b''.join(struct.pack(word, p) for p in places)
            + b'\0' * size * len(frames) + body)


# --- NumPy ---

def npy(a):
    f = io.BytesIO()
    np.save(f, a)
    return f.getvalue()


def npz(arrays, method=zipfile.ZIP_DEFLATED):
    f = io.BytesIO()
    with zipfile.ZipFile(f, 'w', method) as z:
        for name, a in arrays.items():
            z.writestr(name, a if isinstance(a, bytes) else npy(a))
    return f.getvalue()
