"""DM3 and DM4: both versions, both orders of the values, every type."""
import numpy as np

from formats import Case, Dm, run, scaled, values

KINDS = ('i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8')
ALL = [Dm(version, order) for version in (3, 4) for order in '<>']


class DigitalMicrograph(Case):
    def test_types_versions_orders(self):
        for dm in ALL:
            for kind in KINDS:
                for shape in ((1, 5, 7), (3, 2, 4)):
                    a = values(kind, shape)
                    data = dm.images([dm.image(a if shape[0] > 1 else a[0])])
                    self.same(data, scaled(a)[:, None])
            bits = values('u1', (4, 3)) > 128
            self.same(dm.images([dm.image(bits)]), bits.astype('f4')[None, None])

    def test_colour(self):
        for dm in ALL:
            for kind in (8, 23):
                a = values('u1', (4, 5, 4))
                packed = dm.array('Data', np.ascontiguousarray(a).view(dm.order + 'u4').astype('u4'))
                want = np.moveaxis(scaled(a[..., 2::-1]), -1, 0)[None]
                self.same(dm.images([dm.image(a, kind, (5, 4), data=packed)]), want)

    def test_thumbnail_is_passed_over(self):
        a, small = values('f4', (6, 7)), values('u1', (2, 2))
        for dm in ALL:
            for images, marks in (([dm.image(small), dm.image(a)], [0]), ([dm.image(a), dm.image(small)], [1]),
                                  ([dm.image(a), dm.image(small)], [])):
                self.same(dm.images(images, marks), scaled(a)[None, None])
            self.refused(dm.images([dm.image(small)], [0]), 'invalid', 'thumbnail')
            self.refused(dm.images([]), 'invalid', 'thumbnail')

    def test_pixel_size(self):
        a = values('i2', (3, 4))
        want = scaled(a)[None, None]
        for dm in ALL:
            for unit, kind, factor in (('nm', 'm', 1e-9), ('µm', 'm', 1e-6), ('μm', 'm', 1e-6), ('Å', 'm', 1e-10),
                                       ('1/nm', '1/m', 1e9), ('nm^-1', '1/m', 1e9)):
                self.same(dm.images([dm.image(a, scale=(2, 3), unit=unit)]), want, kind, (3 * factor, 2 * factor))
            self.same(dm.images([dm.image(a, scale=(2, 3), unit='furlong')]), want)
            self.same(dm.images([dm.image(a, scale=(2, 3), units=['nm', 's'])]), want)
            self.same(dm.images([dm.image(a, scale=(-2, 3), unit='nm')]), want)

    def test_no_images(self):
        dm, a = Dm(4), values('f4', (3, 4, 5))
        self.refused(dm.images([dm.image(a[0, 0])]), 'invalid', 'spectrum')
        self.refused(dm.images([dm.image(a, units=['nm', 'nm', 'eV'])]), 'invalid', 'spectrum image')
        self.refused(dm.images([dm.image(a, meta='Spectrum image')]), 'invalid', 'spectrum image')
        self.same(dm.images([dm.image(a, meta='Image')]), scaled(a)[:, None])
        self.refused(dm.images([dm.image(a[None, None].repeat(2, 0).repeat(2, 1))]), 'invalid', '5 dimensions')
        for kind in (3, 13, 27, 28):
            self.refused(dm.images([dm.image(a[0], kind)]), 'invalid', 'complex')
        self.refused(dm.images([dm.image(a[0], 99)]), 'invalid', 'unknown')
        self.refused(dm.images([dm.image(np.full((2, 2), np.nan, 'f4'))]), 'invalid', 'not finite')

    def test_other_tags(self):
        """Structs, strings, arrays of structs and numbers of all types lie about; none disturbs."""
        a = values('f4', (3, 4))
        for dm in ALL:
            struct_tag = dm.tag(21, 'Point', dm.info(15, 0, 2, 0, 6, 0, 8) + b'\0' * 5)
            structs = dm.tag(21, 'Points', dm.info(20, 15, 0, 2, 0, 2, 0, 4, 3) + b'\0' * 12)
            text = dm.tag(21, 'Text', dm.info(18, 3) + b'a\0b\0c\0')
            lists = dm.tag(21, 'Lists', dm.info(20, 20, 4, 2, 3) + b'\0' * 12)
            numbers = [dm.number('n', 1, kind) for kind in KINDS + ('i8', 'u8')]
            tags = [struct_tag, structs, text, lists] + numbers + [dm.group('Empty', [])]
            self.same(dm.file([dm.group('More', tags), dm.group('ImageList', [dm.image(a)]), dm.group('Last', tags)]),
                      scaled(a)[None, None])

    def test_damage(self):
        for dm in ALL:
            a = values('u2', (6, 5))
            self.cuts(dm.images([dm.image(a)]) [:-60], ('syntax', 'media', 'invalid'))
            self.refused(dm.images([dm.image(a, dims=(5, 7))]), 'syntax', 'needed')
            self.refused(dm.images([dm.image(a, dims=(0, 7))]), 'invalid', 'no pixels')
            self.refused(dm.images([dm.image(a, dims=(2 ** 31, 2 ** 31))]), 'too_large')
            self.refused(dm.file([dm.tag(22, 'x', b'')]), 'syntax', 'neither')
            self.refused(dm.file([dm.tag(21, 'x', dm.info(1))]), 'syntax', 'unknown type')
            self.refused(dm.file([dm.tag(21, 'x', dm.info(3, 3) + b'\0' * 4)]), 'syntax', 'too long')
            self.refused(dm.file([dm.tag(21, 'x', dm.info(20, 3))]), 'syntax', 'too short')
            self.refused(dm.file([dm.tag(21, 'x', b'$$$$' + dm.info(3)[4:] + b'\0' * 4)]), 'syntax', 'percent')


run()
