"""MRC: every mode, both byte orders, headers as they are met."""
import struct

import numpy as np

from formats import Case, mrc, run, scaled, values


class Mrc(Case):
    def test_modes_and_orders(self):
        for kind in ('i1', 'i2', 'f4', 'u2', 'f2'):
            for order in '<>':
                for shape in ((1, 5, 7), (3, 4, 2), (1, 1, 1)):
                    a = values(kind, shape)
                    self.same(mrc(a, order), scaled(a)[:, None])

    def test_old_headers(self):
        a = values('i2', (1, 6, 5))
        for order in '<>':
            self.same(mrc(a, order, mark=b'\0\0\0\0', stamp=False), scaled(a)[:, None])
            self.same(mrc(a, order, mark=b'\0\0\0\0', stamp=False, axes=(0, 0, 0)), scaled(a)[:, None])
            self.same(mrc(a, order, stamp=False), scaled(a)[:, None])
        self.refused(mrc(a, mark=b'\0\0\0\0', axes=(1, 1, 3)), 'media')

    def test_bytes_without_a_stamp(self):
        """Mode 0 is the same in both orders; only one has sizes that the file can hold."""
        a = values('i1', (2, 6, 5))
        for order in '<>':
            self.same(mrc(a, order, stamp=False), scaled(a)[:, None])
            self.same(mrc(a, order, mark=b'\0\0\0\0', stamp=False), scaled(a)[:, None])

    def test_bytes_of_imod(self):
        a = values('u1', (1, 4, 3))
        self.same(mrc(a, mode=0, imod=0), scaled(a)[:, None])
        self.same(mrc(a.view('i1'), mode=0, imod=1), scaled(a.view('i1'))[:, None])

    def test_packed(self):
        for nx in (1, 4, 7):
            a = np.random.default_rng(nx).integers(0, 16, (2, 3, nx), 'u1')
            even = np.zeros((2, 3, nx + nx % 2), 'u1')
            even[:, :, :nx] = a
            data = mrc(even[:, :, ::2] | even[:, :, 1::2] << 4, mode=101, shape=(2, 3, nx))
            self.same(data, (a.astype('f4') / np.float32(15))[:, None])

    def test_colour(self):
        a = values('u1', (2, 4, 3, 3))
        self.same(mrc(a, mode=16), np.moveaxis(scaled(a), -1, 1))
        grey = np.repeat(a[..., :1], 3, -1)
        self.same(mrc(grey, mode=16), scaled(grey[..., 0])[:, None])

    def test_pixel_size(self):
        a = values('f4', (1, 4, 8))
        want = scaled(a)[:, None]
        for order in '<>':
            self.same(mrc(a, order, cell=(16, 12, 0)), want, 'm', (3e-10, 2e-10))
        self.same(mrc(a, cell=(-10, -10, 0)), want)
        self.same(mrc(a, cell=(float('nan'), 1, 0)), want)
        self.same(mrc(a, cell=(16, 12, 0), axes=(2, 1, 3)), want, 'm', (2e-10, 3e-10))
        fei = bytearray(768)
        struct.pack_into('<2d', fei, 156, 5e-11, 7e-11)
        self.same(mrc(a, cell=(16, 12, 0), extended=bytes(fei), exttyp=b'FEI1'), want, 'm', (7e-11, 5e-11))
        self.same(mrc(a, cell=(16, 12, 0), extended=bytes(fei), exttyp=b'SERI'), want, 'm', (3e-10, 2e-10))

    def test_long_extended_header_and_surplus(self):
        a = values('i2', (1, 16, 16))
        self.same(mrc(a, extended=b'x' * 909312) + b'more', scaled(a)[:, None])

    def test_volumes_and_complex(self):
        a = values('f4', (4, 3, 2))
        self.refused(mrc(a, group=1), 'invalid', 'volume')
        self.refused(mrc(a, group=401, mz=2), 'invalid', 'volume')
        self.same(mrc(a, group=1, mz=1), scaled(a)[:, None])
        self.same(mrc(a[:1], group=1), scaled(a[:1])[:, None])
        self.refused(mrc(a, mode=4), 'invalid', 'complex')
        self.refused(mrc(a, mode=3), 'invalid', 'complex')

    def test_damage(self):
        a = values('i2', (2, 9, 5))
        self.cuts(mrc(a))
        self.refused(mrc(a, mode=7), 'syntax', 'mode 7 and the sizes 5 x 9 x 2')
        self.refused(mrc(a, shape=(2, 9, -5)), 'syntax', 'sizes -5 x 9 x 2')
        self.refused(mrc(a, shape=(2, 9, 6)), 'syntax', 'are needed')
        self.refused(mrc(a, shape=(1, 70000, 1)), 'too_large')
        self.refused(mrc(np.full((1, 2, 2), np.nan, 'f4')), 'invalid', 'not finite')


run()
