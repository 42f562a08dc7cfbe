"""EMD: Velox and NCEM flavours that libhdf5 wrote; nothing leads out of the file."""
import os
import re
import struct
import subprocess
import tempfile

import numpy as np

from formats import Case, run, scaled

N, Y, X = np.mgrid[:3, :5, :4]
STACK = N * 1000 + Y * 10 + X


class Emd(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.out = tempfile.TemporaryDirectory()
        subprocess.run([os.environ['WRITE_HDF'], cls.out.name], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.out.cleanup()
        super().tearDownClass()

    def path(self, name):
        return os.path.join(self.out.name, name)

    def test_velox_types(self):
        for kind in ('u1', 'u2', 'u2be', 'u4', 'i1', 'i2be', 'i4', 'i8', 'f2', 'f2be', 'f4', 'f4be', 'f8'):
            want = scaled(STACK[:1].astype(kind.replace('be', '')))[:, None]
            head = self.same(self.path('velox_' + kind), want, 'm', (4e-10, 2e-10))
            self.assertEqual(head['format'], 'EMD')

    def test_velox_stacks_and_filters(self):
        for filters in range(3):
            self.same(self.path('velox_stack_%d' % filters), STACK[:, None].astype('f4'), 'm', (4e-10, 2e-10))
        self.refused(self.path('velox_stack_3'), 'invalid', 'filter 6 is not read')

    def test_ncem(self):
        self.same(self.path('ncem_image'), STACK[:1, None].astype('f4'), 'm', (3e-9, 5e-9))
        self.same(self.path('ncem_stack'), STACK[:, None].astype('f4'), 'm', (3e-9, 5e-9))
        self.same(self.path('ncem_frames_last'), STACK[:, None].astype('f4'), 'm', (3e-9, 5e-9))
        self.refused(self.path('ncem_volume'), 'invalid', 'volume')

    def test_latest_format(self):
        for name in ('stack_0', 'stack_1', 'stack_2', 'single_0', 'single_1', 'single_2', 'implicit'):
            self.same(self.path('latest_' + name), STACK[:, None].astype('f4'), 'm', (4e-10, 2e-10))
        y, x = np.mgrid[:40, :40]
        self.same(self.path('latest_pages'), (y * 10 + x)[None, None].astype('f4'), 'm', (4e-10, 2e-10))
        self.refused(self.path('latest_unlimited'), 'invalid', 'index 4 .* libver earliest')
        self.refused(self.path('latest_dense'), 'invalid', 'fractal heap')

    def test_layouts_of_version_5(self):
        """As HDF5 2 writes them: for what is read here another number alone."""
        for name in ('stack_0', 'stack_1', 'single_0', 'single_2', 'implicit'):
            with open(self.path('latest_' + name), 'rb') as f:
                data = f.read()
            newer, count = re.subn(b'(?<=\\x08.\0.)\\x04(?=\\x02.\\x04)', b'\x05', data, flags=re.DOTALL)
            self.assertEqual(count, 1, name)
            self.same(newer, STACK[:, None].astype('f4'), 'm', (4e-10, 2e-10))

    def test_what_was_never_written(self):
        want = np.full((3, 1, 5, 4), 7, 'f4')
        want[0] = STACK[0]
        for name in ('velox_fill_be', 'latest_fill'):
            self.same(self.path(name), want, 'm', (4e-10, 2e-10))
        self.same(self.path('velox_fill'), scaled(want.astype('u1')), 'm', (4e-10, 2e-10))

    def test_headers(self):
        self.same(self.path('velox_compact'), scaled(STACK[:1].astype('u1'))[:, None], 'm', (4e-10, 2e-10))
        self.same(self.path('ncem_attributes'), STACK[:1, None].astype('f4'), 'm', (3e-9, 5e-9))

    def test_small_steps_far_from_zero(self):
        """The step between two doubles, not between the floats that are nearest to them."""
        self.same(self.path('ncem_far'), STACK[:1, None].astype('f4'), 'm', (2 ** -10 * 1e-9, 2 ** -10 * 1e-9))

    def test_no_images(self):
        self.refused(self.path('complex'), 'invalid', 'complex')
        self.refused(self.path('empty'), 'invalid', 'without an image')

    def test_no_way_out(self):
        for name in ('external_link', 'external_data', 'soft_link', 'soft_loop'):
            self.refused(self.path('bomb_' + name), 'invalid', 'without an image')
        self.refused(self.path('bomb_external_storage'), 'invalid', 'in another file')
        self.refused(self.path('bomb_virtual'), 'invalid', 'made of others')

    def test_circles(self):
        """A node of a tree that names itself as its child."""
        for name in ('velox_stack_0', 'ncem_stack'):
            with open(self.path(name), 'rb') as f:
                data = f.read()
            at = data.find(b'TREE')
            while at >= 0:
                child = at + 24 + (8 if data[at + 4] == 0 else 40)
                for level in (1, 255):
                    turned = bytearray(data)
                    turned[at + 5] = level
                    turned[child:child + 8] = struct.pack('<Q', at)
                    head, _ = self.decoder.decode(bytes(turned))
                    self.assertIn(head.get('refused'), ('syntax', 'invalid'), (name, at, level, head))
                at = data.find(b'TREE', at + 1)

    def test_unknown_class_in_an_old_layout(self):
        """Neither compact nor contiguous nor chunked, and far outside the file."""
        with open(self.path('velox_u1'), 'rb') as f:
            data = f.read()
        layouts = list(re.finditer(b'\\x08\\0\\x18\\0.\\0\\0\\0(\\x03\\x01.{16})', data, re.DOTALL))
        self.assertEqual(len(layouts), 2, 'of the metadata and of the image')
        for kind in (2, 3, 255):
            old = struct.pack('<BBB5xQ', 1, 2, kind, 4 * len(data))
            turned = bytearray(data)
            for layout in layouts:
                turned[layout.start(1):layout.start(1) + len(old)] = old
            head, _ = self.decoder.decode(bytes(turned))
            self.assertIn(head.get('refused'), ('syntax', 'invalid'), (kind, head))

    def test_damage(self):
        with open(self.path('velox_stack_1'), 'rb') as f:
            data = f.read()
        self.cuts(data, ('syntax', 'media', 'invalid', 'too_large'))
        with open(self.path('velox_stack_2'), 'rb') as f:
            data = bytearray(f.read())
        data[data.index(b'\x78\x5e' if b'\x78\x5e' in data else b'\x78\x9c') + 12] ^= 1
        self.refused(bytes(data), 'syntax', 'checksum')


run()
