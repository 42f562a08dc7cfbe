"""Small files that claim, nest, link or inflate: each is refused within a second, and a second's worth of memory.

Images go to a decoder, archives to an import, a fresh process each, so that its peak of memory is its own: at most 64 MiB
above what one takes for an empty file."""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
import zlib

import numpy as np

from archive_bombs import archives
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'daemon'))
from harness import slowness
from formats import DECODE, Dm, mrc, npy, npz, page, run, ser, tiff, values

SMALL = values('u1', (4, 4))
SANITIZED = "LSAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ  # slower, and freed memory is kept
MOST_SECONDS, MOST_KIB = 5.0 if SANITIZED else 1.0, (256 if SANITIZED else 64) << 10


def processor_seconds(pid):
    """What a process has used so far: unlike the time that passed it knows nothing of others' work."""
    with open('/proc/%d/stat' % pid) as f:
        user, system = f.read().rpartition(')')[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def png(width, height, data, interlace=0):
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, interlace))
            + chunk(b'IDAT', data) + chunk(b'IEND', b''))


def npy_head(text, body=b''):
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text.encode() + body


def shaped(shape, kind='|u1'):
    return npy_head("{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n" % (kind, shape), b'\0' * 64)


def resize_zip(data, size):
    """The same archive, its one entry claiming another size in both of its headers."""
    data = bytearray(data)
    struct.pack_into('<I', data, 22, size)
    struct.pack_into('<I', data, data.index(b'PK\1\2') + 24, size)
    return bytes(data)


def tiffs():
    grey = page(SMALL)
    yield 'sides', tiff([page(SMALL, width=60000, height=60000)])
    yield 'sides_deflate', tiff([page(SMALL, width=16000, height=16000, compress=zlib.compress, compression=8)])
    yield 'sides_lzw', tiff([page(SMALL, width=16000, height=16000, compression=5)])
    yield 'sides_packbits', tiff([page(SMALL, width=16000, height=16000, compression=32773)])
    yield 'sides_jpeg', tiff([page(SMALL, width=16000, height=16000, compression=7)])
    yield 'sides_most', tiff([page(SMALL, width=2 ** 32 - 1, height=2 ** 32 - 1)])
    yield 'tile', tiff([page(SMALL, tile=(16, 16), width=16, height=16)[:-2] + [(322, 'I', [65536]), (323, 'I', [65536])]])
    yield 'tile_deflate', tiff([page(SMALL, tile=(16, 16), compress=zlib.compress, compression=8)[:-2]
                                + [(322, 'I', [65520]), (323, 'I', [65520])]])
    yield 'tile_zero', tiff([page(SMALL, tile=(16, 16))[:-2] + [(322, 'I', [0]), (323, 'I', [0])]])
    yield 'million_strips', tiff([page(SMALL, width=1, height=1000000, data=[b'']) + [(278, 'I', [1])]])
    base = [t for t in page(SMALL, width=1, height=60000) if t[0] not in (273, 278)]
    lie = tiff([base + [(278, 'I', [1]), (273, 'I', [8]), (279, 'I', [1])]])
    for tag in (273, 279):
        at = lie.index(struct.pack('<HHI', tag, 4, 1))
        lie = lie[:at + 4] + struct.pack('<I', 0x7FFFFFFF) + lie[at + 8:]
    yield 'strip_count_lie', lie
    yield 'samples', tiff([[t if t[0] != 277 else (277, 'H', [65535]) for t in grey]])
    yield 'bits', tiff([page(SMALL, bits=65535)])
    yield 'same_strip_often', tiff([[t for t in page(SMALL, width=64, height=65536) if t[0] not in (273, 278)]
                                    + [(278, 'I', [1]), (273, 'I', [8] * 65536), (279, 'I', [64] * 65536)]])
    tiny = [t for t in page(values('u1', (1, 1)))]
    yield 'many_pages', tiff([tiny] * 20000)
    yield 'large_pages', tiff([page(SMALL, width=9000, height=9000)] * 300)
    yield 'text', tiff([page(SMALL, width=9000, height=9000, extra=[(270, 's', b'ImageJ=1\nimages=65536\n\0')])])
    frames = tiff([page(SMALL, width=9000, height=4000, extra=[(270, 's', b'ImageJ=1\nimages=65536\n\0')])])
    yield 'imagej_frames', frames
    yield 'directory_outside', b'II*\0' + struct.pack('<I', 0xFFFFFFF0)
    yield 'large_directory', b'II+\0' + struct.pack('<HHQQ', 8, 0, 16, 2 ** 63)


def dms():
    for version in (3, 4):
        d = Dm(version)
        body = d.number('x', 1)
        for _ in range(5000):
            body = d.group('', [body])
        yield 'deep_%d' % version, d.file([body])
        yield 'count_%d' % version, d.file([])[:-4] + b'\x7f\xff\xff\xff'
        yield 'sides_%d' % version, d.images([d.image(SMALL, dims=(16000, 16000))])
        yield 'array_%d' % version, d.images([d.image(SMALL, data=d.tag(21, 'Data', d.info(20, 10, 2 ** 31)))])
        yield 'info_%d' % version, d.file([d.tag(21, 'x', b'%%%%' + d.long(2 ** 31) + d.long(15) * 400)])
        nest = d.info(*([20] * 3000 + [2] + [1] * 3000))
        yield 'array_nest_%d' % version, d.file([d.tag(21, 'x', nest)])
        yield 'struct_%d' % version, d.file([d.tag(21, 'x', d.info(15, 0, 2 ** 31))])
        yield 'empty_structs_%d' % version, d.file([d.tag(21, 'x', d.info(20, 15, 0, 0, 2 ** 31 - 1))])
        yield 'many_tags_%d' % version, d.file([d.group('', [])] * 200000)


def others():
    yield 'mrc_sides', mrc(SMALL[None], mode=0, shape=(1, 16000, 16000))
    yield 'mrc_frames', mrc(SMALL[None], mode=0, shape=(2 ** 31 - 1, 4, 4))
    yield 'mrc_header', mrc(SMALL[None], mode=0)[:92] + struct.pack('<i', 2 ** 31 - 1) + mrc(SMALL[None], mode=0)[96:]
    yield 'mrc_packed', mrc(SMALL[None], mode=101, shape=(60000, 60000, 1))
    yield 'ser_sides', ser([SMALL], sizes=[(16000, 16000)])
    yield 'ser_same_element', ser([values('u1', (200, 200))] + [np.zeros((0, 0), 'u1')] * 6000, valid=6001,
                                  sizes=[(200, 200)] * 6001, offsets=[30 + 8 * 6001] * 6001)
    yield 'ser_count', ser([SMALL], valid=2 ** 32 - 1)
    yield 'ser_table', ser([SMALL])[:22] + struct.pack('<I', 2 ** 32 - 1) + ser([SMALL])[26:]
    yield 'npy_shape', shaped((16000, 16000))
    yield 'npy_overflow', shaped((2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1))
    yield 'npz_shape', npz({'x.npy': shaped((16000, 16000))})
    yield 'npz_size_lie', resize_zip(npz({'x.npy': npy(SMALL)}), 2 ** 31)
    yield 'npz_zeros', npz({'x.npy': shaped((100 << 20,)) + b'\0' * (100 << 20)})
    yield 'npz_entries', npz({'%d.npy' % i: npy(np.arange(2)) for i in range(3000)}, zipfile.ZIP_STORED)
    inner = npz({'x.npy': b'\0' * (8 << 20)})
    yield 'npz_nested', npz({'x.npy': inner})
    yield 'png_sides', png(30000, 30000, zlib.compress(b'\0' * 1000))
    yield 'png_adam7', png(16000, 16000, zlib.compress(b'\0' * 1000), 1)
    head = subprocess.run([os.environ['WRITE_JPEG'], 'rgb', '16', '16', '50', 'progressive'], check=True, stdout=subprocess.PIPE).stdout
    at = head.index(b'\xff\xc2') + 5
    yield 'jpeg_sides', head[:at] + struct.pack('>HH', 60000, 60000) + head[at + 4:]
    yield 'jpeg_sides_less', head[:at] + struct.pack('>HH', 8000, 8000) + head[at + 4:]
    scan = head.index(b'\xff\xda')
    yield 'jpeg_scans', head[:scan] + head[scan:-2] * 400 + b'\xff\xd9'
    yield 'pnm_sides', b'P5 60000 60000 255\n' + b'\0' * 100
    yield 'pnm_text', b'P2 16000 16000 255\n' + b'1 ' * 100


class Bombs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.out = tempfile.TemporaryDirectory()
        subprocess.run([os.environ['WRITE_HDF'], cls.out.name], check=True)
        cls.tools = {'image': [DECODE], 'archive': [os.environ['CNND_IMPORT'], cls.out.name]}
        cls.idle = {kind: cls('test_images').measure(kind, b'')[2] for kind in cls.tools}

    @classmethod
    def tearDownClass(cls):
        cls.out.cleanup()

    def measure(self, kind, data):
        """(head, processor seconds, peak KiB) of a process that sees nothing else."""
        path = data
        if isinstance(data, bytes):
            path = os.path.join(self.out.name, 'one')
            with open(path, 'wb') as f:
                f.write(data)
        with subprocess.Popen(self.tools[kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdin.write(path.encode() + b'\n')
            child.stdin.flush()
            line = child.stdout.readline()
            seconds = processor_seconds(child.pid) if line else 0
            # Of this image of the process alone, unlike what wait4 tells.
            with open('/proc/%d/status' % child.pid) as f:
                peak = int(re.search(r'VmHWM:\s+(\d+) kB', f.read()).group(1)) if line else 0
        self.assertEqual(child.returncode, 0)
        return json.loads(line or '{"ended": %d}' % child.returncode), seconds, peak

    def refuse(self, kind, bombs):
        for name, data in bombs:
            with self.subTest(name):
                for _ in range(3):  # what a host's other guests do counts as a process's own time
                    head, seconds, peak = self.measure(kind, data)
                    most = MOST_SECONDS * slowness()
                    if seconds < most:
                        break
                size = len(data) if isinstance(data, bytes) else os.path.getsize(data)
                more = peak - self.idle[kind]
                print('%-24s %8d bytes %5.2f s %6d KiB  %s' % (name, size, seconds, more, head.get('why', head)))
                self.assertIn(head.get('refused'), ('syntax', 'invalid', 'too_large', 'media'), head)
                self.assertLess(seconds, most)
                self.assertLess(more, MOST_KIB)

    def test_images(self):
        bombs = [('tiff_' + n, d) for n, d in tiffs()] + [('dm_' + n, d) for n, d in dms()] + list(others())
        bombs += [('hdf_' + n[5:], os.path.join(self.out.name, n)) for n in sorted(os.listdir(self.out.name)) if n.startswith('bomb_')]
        self.assertGreater(len(bombs), 60)
        self.refuse('image', bombs)

    def test_archives(self):
        self.refuse('archive', archives())


run()
