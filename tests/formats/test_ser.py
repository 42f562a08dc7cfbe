"""SER: every type and both versions."""
import numpy as np

from formats import Case, run, scaled, ser, values


class Ser(Case):
    def test_types_and_versions(self):
        for version in (0x210, 0x220):
            for kind in ('u1', 'u2', 'u4', 'i1', 'i2', 'i4', 'f4', 'f8'):
                a = values(kind, (3, 4, 5))
                self.same(ser(list(a), version), scaled(a)[:, None], 'm', (1e-9, 1e-9))

    def test_pixel_size(self):
        a = values('u2', (1, 2, 3))
        want = scaled(a)[:, None]
        self.same(ser(a, step=(3e-10, 2e-10)), want, 'm', (3e-10, 2e-10))
        self.same(ser(a, step=(3e7, 2e7)), want, '1/m', (3e7, 2e7))
        self.same(ser(a, step=(0, 0)), want)

    def test_stopped_series(self):
        a = values('u2', (4, 2, 3))
        self.same(ser(a, valid=2), scaled(a[:2])[:, None], 'm', (1e-9, 1e-9))
        self.refused(ser(a, valid=0), 'invalid', 'no image')

    def test_no_images(self):
        a = values('u2', (1, 2, 3))
        self.refused(ser(a, kind=0x4120), 'invalid', 'spectra')
        self.refused(ser(a, kind=0x4121), 'syntax', 'not a kind')
        self.refused(ser(values('f4', (1, 2, 4)), dtype=9), 'invalid', 'complex')
        self.refused(ser(a, dtype=11), 'syntax', 'unknown')
        self.refused(ser([a[0], a[0][:1]]), 'invalid', 'differs')
        self.refused(ser([np.full((2, 2), np.inf, 'f4')]), 'invalid', 'not finite')

    def test_damage(self):
        a = values('u2', (3, 7, 5))
        self.cuts(ser(a))
        self.refused(ser(a, sizes=[(7, 6)] * 3), 'syntax', 'ends within|outside')
        self.refused(ser(a, sizes=[(0, 5)] * 3), 'syntax')
        self.refused(ser(a, offsets=[10 ** 9] * 3), 'syntax', 'outside')
        self.refused(ser(a, valid=10 ** 6), 'too_large')
        self.refused(ser(a, valid=60000), 'syntax', 'offsets')


run()
