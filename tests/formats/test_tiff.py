"""TIFF: every type, order and layout, and what the makers of microscopes write into it."""
import os
import struct
import subprocess
import zlib

import numpy as np

from formats import Case, page, run, scaled, tiff, values

KINDS = ('u1', 'u2', 'u4', 'u8', 'i1', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8')


def packbits(data):
    """Runs where there are some, literal bytes else."""
    out, i = bytearray(), 0
    while i < len(data):
        n = 1
        while n < 128 and i + n < len(data) and data[i + n] == data[i]:
            n += 1
        out += bytes([257 - n, data[i]]) if n > 1 else bytes([0, data[i]])
        i += n
    return bytes(out)


def lzw(data):
    """The plain algorithm with codes that grow a step early, as TIFF has it."""
    bits, out, prefix = 9, '', b''

    def put(code):
        nonlocal out
        out += format(code, '0%db' % bits)

    def fresh():
        return {bytes([i]): i for i in range(256)}

    table, used = fresh(), 258
    put(256)
    for byte in data:
        word = prefix + bytes([byte])
        if word in table:
            prefix = word
            continue
        put(table[prefix])
        table[word], used = used, used + 1
        prefix = bytes([byte])
        if used == 4094:
            put(256)
            table, used, bits = fresh(), 258, 9
        elif used == 1 << bits:
            bits += 1
    if prefix:
        put(table[prefix])
        used += 1
        if used == 1 << bits and bits < 12:
            bits += 1
    put(257)
    out += '0' * (-len(out) % 8)
    return bytes(int(out[i:i + 8], 2) for i in range(0, len(out), 8))


class Tiff(Case):
    def test_types_orders_layouts(self):
        for kind in KINDS:
            a = values(kind, (21, 19))
            for big in (False, True):
                for layout in ({}, {'strip_rows': 4}, {'tile': (16, 16)}):
                    for large in (False, True):
                        self.same(tiff([page(a, big, **layout)], big, large), scaled(a)[None, None])

    def test_compressions(self):
        for kind in ('u1', 'u2', 'f4'):
            a = values(kind, (40, 30))
            a[5:20] = a[5, 5]
            for number, compress in ((5, lzw), (8, zlib.compress), (32946, zlib.compress), (32773, packbits)):
                for layout, width in (({}, 30), ({'strip_rows': 7}, 30), ({'tile': (16, 32)}, 32)):
                    row = width * a.itemsize
                    pack = compress if number != 32773 else lambda d: b''.join(packbits(d[i:i + row]) for i in range(0, len(d), row))
                    data = tiff([page(a, compress=pack, compression=number, **layout)])
                    self.same(data, scaled(a)[None, None])
        self.refused(tiff([page(a, compression=4)]), 'invalid', 'compression is not read')

    def test_runs_of_packbits_go_on_into_the_next_row(self):
        a = np.zeros((9, 16), 'u1')
        a[4, 3:] = 7
        for kind in ('u1', 'u2'):
            rows = a.astype(kind)
            for layout in ({}, {'strip_rows': 4}):
                self.same(tiff([page(rows, compress=packbits, compression=32773, **layout)]), scaled(rows)[None, None])
            planes = np.stack([rows, rows + 1, rows.T.reshape(9, 16)], -1).astype(kind)
            data = tiff([page(planes, photometric=2, planar=2, strip_rows=4, compress=packbits, compression=32773)])
            self.same(data, np.moveaxis(scaled(planes), -1, 0)[None])

    def test_packed_bits(self):
        for bits in list(range(1, 8)) + list(range(9, 16)):
            a = np.random.default_rng(bits).integers(0, 1 << bits, (6, 11), 'u2')
            rows = []
            for row in a:
                text = ''.join(format(v, '0%db' % bits) for v in row)
                text += '0' * (-len(text) % 8)
                rows.append(bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)))
            want = (a.astype('f4') / np.float32((1 << bits) - 1))[None, None]
            for big in (False, True):
                self.same(tiff([page(a, big, bits=bits, data=[b''.join(rows)])], big), want)
            white = tiff([page(a, bits=bits, photometric=0, data=[b''.join(rows)])])
            self.same(white, ((1 << bits) - 1 - a.astype('i4')).astype('f4')[None, None] / np.float32((1 << bits) - 1))

    def test_white_is_zero(self):
        for kind in ('u1', 'u2'):
            a = values(kind, (300, 256))
            self.same(tiff([page(a, photometric=0)]), scaled(np.iinfo(kind).max - a)[None, None])

    def test_samples(self):
        for planar in (1, 2):
            for layout in ({}, {'strip_rows': 3}, {'tile': (16, 16)}):
                rgb = values('u2', (9, 10, 3))
                want = np.moveaxis(scaled(rgb), -1, 0)[None]
                self.same(tiff([page(rgb, photometric=2, planar=planar, **layout)]), want)
                alpha = values('u2', (9, 10, 4))
                alpha[:, :, :3] = rgb
                extra = [(338, 'H', [2])]
                self.same(tiff([page(alpha, photometric=2, planar=planar, extra=extra, **layout)]), want)
                grey = np.repeat(rgb[:, :, :1], 3, 2)
                self.same(tiff([page(grey, photometric=2, planar=planar, **layout)]), want[:, :1])
                pair = rgb[:, :, :2]
                self.same(tiff([page(pair, planar=planar, extra=[(338, 'H', [1])], **layout)]), want[:, :1])
                self.same(tiff([page(pair, planar=planar, extra=[(338, 'H', [0])], **layout)]), want[:, :2])
        self.refused(tiff([page(values('u1', (3, 3, 2)), photometric=2)]), 'invalid', 'fewer than three')
        self.refused(tiff([page(values('u1', (3, 3, 4)), photometric=5)]), 'invalid', 'colour space')

    def test_palettes(self):
        for bits in (1, 4, 8):
            size = 1 << bits
            a = np.random.default_rng(bits).integers(0, size, (5, 8), 'u1')
            packed = np.packbits(((a[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(5, -1), axis=1).tobytes()
            colours = values('u2', (3, size))
            tags = [(320, 'H', list(colours.ravel()))]
            self.same(tiff([page(a, photometric=3, extra=tags, bits=bits, data=[packed])]), scaled(colours)[:, a][None])
            ramp = [(320, 'H', [i * 65535 // (size - 1) for i in range(size)] * 3)]
            want = np.array([i * 65535 // (size - 1) for i in range(size)], 'u2')
            self.same(tiff([page(a, photometric=3, extra=ramp, bits=bits, data=[packed])]), scaled(want)[a][None, None])

    def test_palettes_of_eight_bits(self):
        """In the upper byte, as ImageJ and Pillow write them, or in the lower: the values of a PNG either way."""
        a, colours = values('u1', (16, 16)), values('u1', (3, 256))
        want = scaled(colours)[:, a][None]
        for factor in (1, 256, 257):
            tags = [(320, 'H', [int(v) * factor for v in colours.ravel()])]
            self.same(tiff([page(a, photometric=3, extra=tags)]), want)

    def test_a_palette_that_is_cut_off(self):
        a = values('u1', (16, 16))
        good = tiff([page(a, photometric=3, extra=[(320, 'H', list(range(0, 65536, 256)) * 3)])])
        at = good.index(struct.pack('<HHI', 320, 3, 768)) + 8
        self.refused(good[:at] + struct.pack('<I', len(good) - 900) + good[at + 4:], 'syntax', 'ColorMap')

    def test_pages(self):
        small, a, other = values('u1', (4, 5)), values('u2', (8, 9)), values('u2', (8, 9), 2)
        self.same(tiff([page(small), page(a)]), scaled(a)[None, None])
        self.same(tiff([page(a), page(small), page(other)]), scaled(np.stack([a, other]))[:, None])
        thumbnail = [(254, 'I', [1])]
        self.same(tiff([page(a, extra=thumbnail), page(small)]), scaled(small)[None, None])
        jpeg = page(values('u1', (20, 20)), compression=7)
        self.same(tiff([jpeg, page(a)]), scaled(a)[None, None])
        complex_page = page(values('f4', (20, 20)).astype('c8'))
        self.same(tiff([complex_page, page(a)]), scaled(a)[None, None])
        self.refused(tiff([complex_page]), 'invalid', 'complex')
        self.same(tiff([page(a)], loop=True), scaled(a)[None, None])

    def test_jpeg_pages(self):
        def jpeg(kind, h, w):
            return subprocess.run([os.environ['WRITE_JPEG'], kind, str(h), str(w), '90'], check=True, stdout=subprocess.PIPE).stdout

        grey = jpeg('grey', 24, 17)
        want = self.decoder.decode(grey)[1]
        blank = np.zeros((24, 17), 'u1')
        good = tiff([page(blank, compression=7, data=[grey])])
        self.same(good, want)
        top, bottom = jpeg('grey', 16, 17), jpeg('grey', 8, 17)
        strips = np.concatenate([self.decoder.decode(f)[1] for f in (top, bottom)], 2)
        self.same(tiff([page(blank, compression=7, strip_rows=16, data=[top, bottom])]), strips)
        colour = jpeg('rgb', 32, 48)
        head, got = self.decoder.decode(tiff([page(np.zeros((32, 48, 3), 'u1'), compression=7, photometric=6, data=[colour])]))
        self.assertIsNotNone(got, head)
        # Two ways to enlarge the halved chroma.
        self.assertLess(np.median(np.abs(got - self.decoder.decode(colour)[1])), 0.05)
        for n in (40, len(grey) // 2, len(grey) - 30):
            self.refused(tiff([page(blank, compression=7, data=[grey[:n]])]), 'syntax')
        self.refused(tiff([page(blank, compression=6, data=[grey])]), 'invalid', 'compression is not read')

    def test_imagej(self):
        a = values('u2', (3, 6, 7))
        for big in (False, True):
            size = [(282, 'r', [(1, 2)]), (283, 'r', [(1, 4)])]
            text = [(270, 's', b'ImageJ=1.53\nimages=3\nslices=3\nunit=nm\n\0')] + size
            pages = [page(f, big, extra=text if i == 0 else ()) for i, f in enumerate(a)]
            self.same(tiff(pages, big), scaled(a)[:, None], 'm', (4e-9, 2e-9))
            run_of = a.astype('>u2' if big else '<u2').tobytes()
            one = tiff([page(a[0], big, extra=text, data=[run_of])], big)
            self.same(one, scaled(a)[:, None], 'm', (4e-9, 2e-9))
            micro = [(270, 's', b'ImageJ=1.53\nunit=\\u00B5m\n\0')] + size
            self.same(tiff([page(a[0], big, extra=micro)], big), scaled(a[:1])[:, None], 'm', (4e-6, 2e-6))
        short = tiff([page(values('u2', (90, 90)), extra=text)])
        self.refused(short, 'syntax')

    def test_imagej_runs_of_every_colour(self):
        text = [(270, 's', b'ImageJ=1.53\nimages=3\nslices=3\n\0')]
        for big in (False, True):
            for kind in ('u1', 'u2'):
                a = values(kind, (3, 6, 7))
                run_of = a.astype(a.dtype.newbyteorder('>' if big else '<')).tobytes()
                white = tiff([page(a[0], big, photometric=0, extra=text, data=[run_of])], big)
                self.same(white, scaled(np.iinfo(kind).max - a)[:, None])
                rgb = values(kind, (3, 6, 7, 3))
                run_of = rgb.astype(a.dtype.newbyteorder('>' if big else '<')).tobytes()
                self.same(tiff([page(rgb[0], big, photometric=2, extra=text, data=[run_of])], big), np.moveaxis(scaled(rgb), -1, 1))
            a, colours = values('u1', (3, 6, 7)), values('u1', (3, 256))
            tags = text + [(320, 'H', [int(v) * 256 for v in colours.ravel()])]
            coloured = tiff([page(a[0], big, photometric=3, extra=tags, data=[a.tobytes()])], big)
            self.same(coloured, np.moveaxis(scaled(colours)[:, a], 0, 1))
        short = tiff([page(rgb[0], photometric=2, extra=text)])
        self.refused(short, 'syntax')

    def test_ome(self):
        a = values('u2', (2, 6, 7))
        for words, size in (('PhysicalSizeX="2.5" PhysicalSizeXUnit="nm" PhysicalSizeY="4" PhysicalSizeYUnit="nm"', (4e-9, 2.5e-9)),
                            ('PhysicalSizeX="2.5" PhysicalSizeY="4.0"', (4e-6, 2.5e-6)),
                            ('PhysicalSizeYUnit="Å" PhysicalSizeXUnit="Å" PhysicalSizeY="4e0" PhysicalSizeX="2.5"', (4e-10, 2.5e-10)),
                            ('PhysicalSizeX="2.5" PhysicalSizeXUnit="nm"', None),
                            ('PhysicalSizeX="2.5" PhysicalSizeXUnit="nm" PhysicalSizeY="4" PhysicalSizeYUnit="µm"', None),
                            ('PhysicalSizeX="2" PhysicalSizeXUnit="pixel" PhysicalSizeY="2" PhysicalSizeYUnit="pixel"', None),
                            ('PhysicalSizeX="2', None), ('', None)):
            text = '<?xml version="1.0"?><OME><Image ID="Image:0"><Pixels SizeX="7" %s><TiffData/></Pixels></Image></OME>\0' % words
            pages = [page(f, extra=[(270, 's', text.encode())] if i == 0 else ()) for i, f in enumerate(a)]
            self.same(tiff(pages), scaled(a)[:, None], 'm' if size else '', size)
        outside = '<OME><Pixels SizeX="7"><Plane PhysicalSizeX="2" PhysicalSizeY="2"/></Pixels></OME>\0'
        self.same(tiff([page(a[0], extra=[(270, 's', outside.encode())])]), scaled(a[:1])[:, None])

    def test_fei(self):
        a = values('u2', (10, 6))
        for tag in (34680, 34682):
            for big in (False, True):
                text = b'[User]\r\nUser=x\r\n[Scan]\r\nPixelWidth=2e-009\r\nPixelHeight=3e-009\r\n[Image]\r\nResolutionY=8\r\n\0'
                self.same(tiff([page(a, big, extra=[(tag, 's', text)])], big), scaled(a[:8])[None, None], 'm', (3e-9, 2e-9), 2)
        camera = b'[IRBeam]\nHFW=6e-3\nVFW=4e-3\n[Image]\nResolutionX=6\nResolutionY=10\n\0'
        self.same(tiff([page(a, extra=[(34682, 's', camera)])]), scaled(a)[None, None], 'm', (4e-4, 1e-3))
        for text in (b'[Scan]\nPixelWidth=zero\n\0', b'[Image]\nResolutionY=99999999\n\0', b'\0', b'[Scan', b'[Image]\nResolutionY=-3\0'):
            self.same(tiff([page(a, extra=[(34682, 's', text)])]), scaled(a)[None, None])

    def test_fei_colour_stack_is_cropped_in_every_plane(self):
        a = values('u1', (2, 5, 4, 3))
        tags = [(34682, 's', b'[Image]\nResolutionY=3\n\0')]
        pages = [page(f, photometric=2, extra=tags) for f in a]
        self.same(tiff(pages), np.moveaxis(scaled(a[:, :3]), -1, 1), databar=2)

    def test_zeiss(self):
        a = values('u1', (4, 512))
        want = scaled(a)[None, None]
        for text, size in ((b'0\r\n0\r\n0\r\n5e-009\r\n1\r\n', 1e-8),
                           (b'0\r\n0\r\n0\r\n0\r\nAP_PIXEL_SIZE\r\nPixel Size = 5 nm\r\n', 1e-8),
                           (b'0\r\n0\r\n0\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 7.5 \xb5m\r\n', 7.5e-6)):
            self.same(tiff([page(a, extra=[(34118, 's', text + b'\0')])]), want, 'm', (size, size))
        self.same(tiff([page(a, extra=[(34118, 's', b'AP_PIXEL_SIZE\r\nPixel Size = 5 parsec\r\n\0')])]), want)

    def test_tvips(self):
        a = values('u2', (4, 5))
        for big in (False, True):
            block = bytearray(6312)
            struct.pack_into('>I' if big else '<I', block, 0, 2)
            struct.pack_into('>2f' if big else '<2f', block, 2968, 2, 3)
            self.same(tiff([page(a, big, extra=[(37706, 'B', block)])], big), scaled(a)[None, None], 'm', (3e-9, 2e-9))
            plain = tiff([page(a, big, extra=[(37706, 'I', [0])])], big)
            at = plain.index(struct.pack('>HHI' if big else '<HHI', 37706, 4, 1)) + 8
            placed = plain[:at] + struct.pack('>I' if big else '<I', len(plain)) + plain[at + 4:] + bytes(block)
            self.same(placed, scaled(a)[None, None], 'm', (3e-9, 2e-9))
            self.same(plain, scaled(a)[None, None])

    def test_olympus(self):
        a = values('u2', (4, 5))
        plain = tiff([page(a, extra=[(33560, 'I', [0])])])
        at = plain.index(struct.pack('<HHI', 33560, 4, 1)) + 8
        end = len(plain)
        head = b'SIS0' + b'\0' * 54 + struct.pack('<h', 1) + struct.pack('<hhI', 1, 1, end + 68)
        block = b'\0' * 10 + struct.pack('<hdd', -9, 2, 3)
        data = plain[:at] + struct.pack('<I', end) + plain[at + 4:] + head + block
        self.same(data, scaled(a)[None, None], 'm', (3e-9, 2e-9))
        self.same(data[:-1], scaled(a)[None, None])
        self.same(plain[:at] + b'\xff\xff\xff\xff' + plain[at + 4:], scaled(a)[None, None])

    def test_digital_micrograph(self):
        a = values('f4', (4, 5))
        for unit, factor in ((b'nm\0', 1e-9), (b'\xb5m\0', 1e-6)):
            tags = [(65003, 's', unit), (65004, 's', unit), (65009, 'd', [2]), (65010, 'd', [3])]
            self.same(tiff([page(a, extra=tags)]), scaled(a)[None, None], 'm', (3 * factor, 2 * factor))
        self.same(tiff([page(a, extra=tags[1:])]), scaled(a)[None, None])

    def test_jeol(self):
        a = values('u2', (4, 5))
        text = ('<?xml version="1.0"?><TemReporter><ElectronGun><AccelerationVoltage>200000</AccelerationVoltage></ElectronGun>'
                '<Eos><EosMode>%s</EosMode></Eos><ImageFormingSystem><ModeString>%s</ModeString><SelectorValue>%s</SelectorValue>'
                '<SelectorUnitString>%s</SelectorUnitString></ImageFormingSystem></TemReporter>\0')
        wave = 2.507934e-12  # of electrons at 200 kV
        for inch, side in ((2, 0.0254), (3, 0.01)):
            for words, unit, factor in ((('eosTEM', 'MAG', 5000, 'X'), 'm', 1 / 5000),
                                        (('eosTEM', 'DIFF', 400, 'mm'), '1/m', 1 / (0.4 * wave)),
                                        (('eosTEM', 'DIFF', 40, 'cm'), '1/m', 1 / (0.4 * wave)),
                                        (('eosTEM', 'DIFF', 0, 'cm'), '', 0), (('eosTEM', 'LOWMAG', 50, 'X'), '', 0),
                                        (('eosASID', 'MAG', 5000, 'X'), '', 0), (('eosTEM', 'MAG', '', 'X'), '', 0)):
                tags = [(270, 's', (text % words).encode()), (282, 'r', [(100, 1)]), (283, 'r', [(50, 1)]), (296, 'H', [inch])]
                for big in (False, True):
                    data = tiff([page(a, big, extra=tags)], big)
                    self.same(data, scaled(a)[None, None], unit, (side / 50 * factor, side / 100 * factor))

    def test_resolution_of_printers_is_none(self):
        a = values('u1', (4, 5))
        tags = [(282, 'r', [(72, 1)]), (283, 'r', [(72, 1)]), (296, 'H', [2])]
        self.same(tiff([page(a, extra=tags)]), scaled(a)[None, None])

    def test_damage(self):
        a = values('u2', (9, 8))
        for data in (tiff([page(a)]), tiff([page(a, tile=(16, 16))], True, True),
                     tiff([page(a, compress=zlib.compress, compression=8)])):
            self.cuts(data[:-8], ('syntax', 'media', 'invalid'))
        self.refused(tiff([page(a, height=1000)]), 'syntax')
        for large in (False, True):
            self.refused(tiff([page(a)] * 3, large=large)[:-3], 'syntax', 'cut off after page 3')
        strips = tiff([page(a, strip_rows=3)])
        at = strips.index(struct.pack('<HHI', 273, 4, 3))
        self.refused(strips[:at + 4] + struct.pack('<I', 2) + strips[at + 8:], 'syntax', 'strip 2 of 3 has no place')
        self.refused(strips[:at + 4] + struct.pack('<I', 0) + strips[at + 8:], 'syntax')
        block = values('u2', (32, 16))
        cut = tiff([page(block, tile=(16, 16), data=[block[:16].tobytes(), block[16:].tobytes() + b'cut' * 99])])
        at = cut.index(block[16:].tobytes())
        placed = cut.replace(struct.pack('<I', at), struct.pack('<I', len(cut) - 100))
        self.refused(placed, 'syntax', 'tile at row 16, column 0 is cut off')
        self.refused(tiff([page(a, data=[zlib.compress(a.tobytes()[:-2])], compression=8)]), 'syntax')
        self.refused(tiff([page(np.full((2, 2), np.nan, 'f4'))]), 'invalid', 'not finite')
        self.refused(tiff([page(a, bits=24)]), 'invalid', 'unsigned samples')


run()
