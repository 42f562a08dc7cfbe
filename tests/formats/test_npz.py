"""NPZ: the one array that can be an image."""
import zipfile

import numpy as np

from formats import Case, npy, npz, run, scaled, values


class Npz(Case):
    def test_stored_and_deflated(self):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            for kind in ('u1', 'u2', 'i4', 'f2', 'f8'):
                a = values(kind, (2, 3, 4, 5))
                self.same(npz({'x.npy': a}, method), scaled(a))

    def test_which_array(self):
        a = values('f4', (4, 5))
        want = a[None, None]
        self.same(npz({'labels.npy': np.arange(4), 'x.npy': a, 'notes.txt': b'text'}), want)
        self.same(npz({'z.npy': a.astype('c8'), 'x.npy': a}), want)
        self.refused(npz({'a.npy': a, 'b.npy': a}), 'invalid', 'both a.npy and b.npy')
        self.refused(npz({'a.npy': np.arange(4)}), 'invalid', 'a.npy: 1 dimensions')
        self.refused(npz({'a.txt': b'text'}), 'invalid', 'without arrays')

    def test_damage(self):
        good = npz({'x.npy': values('u1', (20, 20))})
        self.cuts(good)
        self.refused(good[:-30], 'syntax', 'cut short')
        self.refused(npz({'x.npy': b'no array'}), 'syntax', 'x.npy: no array')
        self.refused(npz({'x.npy': npy(values('u1', (9, 9)))[:-5]}), 'syntax', 'x.npy')
        broken = bytearray(good)
        broken[len(broken) // 3] ^= 0xFF
        self.assertEqual(self.decoder.decode(bytes(broken))[0].get('refused'), 'syntax')
        self.refused(npz({'x.npy': values('u1', (9, 9))}, zipfile.ZIP_LZMA), 'invalid', 'stored or deflated')
        self.refused(npz({'x.npy': values('u1', (9, 9))}, zipfile.ZIP_BZIP2), 'invalid', 'stored or deflated')


run()
