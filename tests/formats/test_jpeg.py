"""JPEG: kinds of colour, and what libjpeg would only warn of."""
import os
import subprocess

import numpy as np

from formats import Case, run


def jpeg(*args):
    return subprocess.run([os.environ['WRITE_JPEG'], *map(str, args)], check=True, stdout=subprocess.PIPE).stdout


def drawn(h, w, channels, apart=40):
    y, x, k = np.mgrid[:h, :w, :channels]
    return np.moveaxis((3 * x + 5 * y + apart * k) % 256 / 255, -1, 0)[None].astype('f4')


class Jpeg(Case):
    def near(self, data, want, most):
        head, got = self.decoder.decode(data)
        self.assertIsNotNone(got, head)
        self.assertEqual(got.shape, want.shape)
        # The pattern wraps around once or twice in a row; away from there it is smooth.
        self.assertLess(np.median(np.abs(got - want)), most)
        self.assertEqual(head['format'], 'JPEG')
        return got

    def test_kinds(self):
        for more in ([], ['progressive']):
            for h, w in ((1, 1), (8, 8), (17, 33), (50, 40)):
                self.near(jpeg('grey', h, w, 100, *more), drawn(h, w, 1), 0.006)
                self.near(jpeg('rgb', h, w, 100, *more), drawn(h, w, 3), 0.05)
                self.near(jpeg('same', h, w, 100, *more), drawn(h, w, 1), 0.006)

    def test_progressive_is_the_same_picture(self):
        a = self.decoder.decode(jpeg('grey', 40, 30, 90))[1]
        b = self.decoder.decode(jpeg('grey', 40, 30, 90, 'progressive'))[1]
        np.testing.assert_array_equal(a, b)

    def test_refused(self):
        self.refused(jpeg('cmyk', 8, 8, 90), 'invalid', 'CMYK')
        self.refused(jpeg('grey', 8, 8, 90, 'arithmetic'), 'invalid', 'arithmetic')

    def test_damage(self):
        self.cuts(jpeg('rgb', 30, 40, 90))
        self.cuts(jpeg('grey', 30, 40, 90, 'progressive'))
        data = jpeg('grey', 64, 64, 90)
        self.refused(data[:-40] + b'\xff\xd9', 'syntax')
        self.refused(data[:len(data) // 2] + b'\xff\xd9' + data[len(data) // 2:], 'syntax')


run()
