"""Files for oracle.py: by other people's writers, and by those of formats.py where they have none.

`files(out)` yields the paths of what must decode, `no_images(out)` of what must be refused as no image."""
import os

import h5py
import mrcfile
import numpy as np
import tifffile
from PIL import Image

from formats import Dm, mrc, page, ser, tiff, values

REAL = ('u1', 'u2', 'u4', 'i1', 'i2', 'i4', 'f2', 'f4', 'f8')
FEI = b'[Scan]\r\nPixelWidth=2e-009\r\nPixelHeight=3e-009\r\n[Image]\r\nResolutionY=18\r\n\0'


def put(out, name, data):
    path = os.path.join(out, 'written_' + name)
    if isinstance(data, bytes):
        with open(path, 'wb') as f:
            f.write(data)
    return path


def letter(order):
    return 'b' if order == '>' else 'l'


def tiffs(out):
    rng = np.random.default_rng(7)
    ways = ({}, {'tile': (16, 32)}, {'compression': 'zlib'}, {'compression': 'zlib', 'predictor': True}, {'rowsperstrip': 5}, {'bigtiff': True})
    for kind in REAL + ('u8', 'i8'):
        a = (rng.standard_normal((37, 45)) * 100).astype('f8')
        a = np.abs(a).astype(kind) if kind[0] == 'u' else a.astype(kind)
        for order in '<>':
            for way in ways:
                if 'predictor' in way and (kind[0] == 'f' or kind[1] == '8'):
                    continue
                path = put(out, '%s_%s_%s.tif' % (kind, letter(order), '_'.join(way) or 'plain'), None)
                tifffile.imwrite(path, a, byteorder=order, **way)
                yield path
    for planar in ('contig', 'separate'):
        for samples in (3, 4):
            a = rng.integers(0, 65535, (samples, 20, 31), 'u2')
            a = a if planar == 'separate' else np.ascontiguousarray(np.moveaxis(a, 0, -1))
            path = put(out, 'rgb%d_%s.tif' % (samples, planar), None)
            tifffile.imwrite(path, a, photometric='rgb', planarconfig=planar, extrasamples=['unassalpha'] * (samples - 3))
            yield path
    for name, way in (('imagej', {'imagej': True}), ('imagej_run', {'imagej': True, 'truncate': True})):
        path = put(out, name + '.tif', None)
        tifffile.imwrite(path, rng.integers(0, 65535, (5, 22, 33), 'u2'), resolution=(0.5, 0.25), metadata={'unit': 'nm'}, **way)
        yield path
    for order in '<>':
        path = put(out, 'palette_%s.tif' % letter(order), None)
        tifffile.imwrite(path, values('u1', (20, 31)), byteorder=order, photometric='palette', colormap=values('u2', (3, 256)))
        yield path
        path = put(out, 'white_%s.tif' % letter(order), None)
        tifffile.imwrite(path, values('u2', (20, 31)), byteorder=order, photometric='miniswhite')
        yield path
        a = values('u2', (20, 12))
        yield put(out, 'databar_%s.tif' % letter(order), tiff([page(a, order == '>', extra=[(34682, 's', FEI)])], order == '>'))
    yield from pictures(out, 'tif', (('1', 'raw'), ('L', 'tiff_lzw'), ('L', 'packbits'), ('RGB', 'tiff_lzw'), ('P', 'packbits'), ('I;16', 'tiff_lzw')),
                        lambda way: {'compression': way})


def mrcs(out):
    for kind in ('i1', 'i2', 'u2', 'f2', 'f4'):
        for shape in ((23, 31), (4, 23, 31)):
            path = put(out, '%s_%dd.mrc' % (kind, len(shape)), None)
            with mrcfile.new(path, overwrite=True) as m:
                m.set_data(values(kind, shape))
                if len(shape) == 3:
                    m.set_image_stack()
                m.voxel_size = (1.25, 2.5, 1)
            yield path
        for order in '<>':
            a, name = values(kind, (3, 23, 31)), '%s_%s' % (kind, letter(order))
            yield put(out, name + '_stack.mrc', mrc(a, order, cell=(62, 69, 3)))
            yield put(out, name + '_extended.mrc', mrc(a[:1], order, extended=b'\1' * 9216, exttyp=b'SERI', cell=(62, 69, 3)))
    for name in (b'FEI1', b'FEI2'):
        for order in '<>':
            extended = bytearray(768 if name == b'FEI1' else 888)
            np.frombuffer(extended, order + 'i4', 1)[:] = len(extended)
            np.frombuffer(extended, order + 'f8', 2, 156)[:] = 5e-11, 7e-11
            path = '%s_%s.mrc' % (name.decode(), letter(order))
            yield put(out, path, mrc(values('i2', (1, 9, 8)), order, extended=bytes(extended), exttyp=name, cell=(8, 9, 1)))


def dms(out):
    for version in (3, 4):
        for order in '<>':
            dm = Dm(version, order)
            for kind in ('i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8'):
                for shape in ((5, 7), (3, 5, 7)):
                    image = dm.image(values(kind, shape), scale=(2, 3, 4), units=['nm', 'nm', ''][:len(shape)])
                    thumbnail = dm.image(values('u1', (2, 2)))
                    yield put(out, '%s_%s_%dd.dm%d' % (kind, letter(order), len(shape), version), dm.images([thumbnail, image], [0]))


def sers(out):
    for version in (0x210, 0x220):
        for kind in ('u1', 'u2', 'u4', 'i1', 'i2', 'i4', 'f4', 'f8'):
            for count in (1, 3):
                yield put(out, '%s_%x_%d.ser' % (kind, version, count), ser(list(values(kind, (count, 6, 5))), version, step=(3e-10, 2e-10), complete=True))


def velox(file, a, **way):
    import json
    group = file.create_group('Data/Image/0123456789abcdef0123456789abcdef')
    group.create_dataset('Data', data=a, **way)
    about = json.dumps({'BinaryResult': {'PixelSize': {'width': '2e-10', 'height': '4e-10'}, 'PixelUnitX': 'm', 'PixelUnitY': 'm'}}).encode()
    group.create_dataset('Metadata', data=np.frombuffer(about.ljust(4096, b'\0'), 'u1')[:, None].repeat(a.shape[-1], 1))


def ncem(file, a, names=('dim1', 'dim2', 'dim3'), **way):
    group = file.create_group('data/one')
    group.attrs['emd_group_type'] = 1
    group.create_dataset('data', data=a, **way)
    for i, n in enumerate(a.shape):
        stack = a.ndim == 3 and i == 0
        axis = group.create_dataset(names[i], data=np.arange(n) * (1 if stack else 0.25))
        axis.attrs['name'], axis.attrs['units'] = ('z', '') if stack else ('xy'[(a.ndim - 1 - i) % 2], '[n_m]')
    file.attrs['version_major'], file.attrs['version_minor'] = 0, 2


def emds(out):
    ways = ({}, {'chunks': True}, {'chunks': True, 'compression': 'gzip', 'shuffle': True}, {'chunks': True, 'fletcher32': True})
    for write in (velox, ncem):
        for kind in REAL + ('u8', 'i8'):
            for order in '<>':
                for version in ('earliest', 'latest'):
                    for way in ways if kind == 'u2' else ways[:1]:
                        shape = (6, 7, 2) if write is velox else (2, 6, 7)
                        name = '_'.join([write.__name__, kind, letter(order), version] + sorted(way)) + '.emd'
                        path = put(out, name, None)
                        with h5py.File(path, 'w', libver=version) as f:
                            write(f, values(kind, shape).astype(order + kind), **way)
                        yield path


def arrays(out):
    for kind in REAL + ('u8', 'i8', 'b1'):
        for order in '<>':
            for shape in ((5, 7), (3, 5, 7), (2, 1, 5, 7)):
                a = (values('u1', shape) > 128 if kind == 'b1' else values(kind, shape)).astype(order + kind)
                path = put(out, '%s_%s_%dd.npy' % (kind, letter(order), len(shape)), None)
                np.save(path, np.asfortranarray(a) if order == '>' else a)
                yield path
    for save in (np.savez, np.savez_compressed):
        path = put(out, save.__name__ + '.npz', None)
        save(path, x=values('u2', (2, 3, 5, 7)))
        yield path


def picture(mode):
    """Of Pillow's modes; colours of a palette are drawn by lot."""
    if mode == '1':
        return Image.fromarray(values('u1', (20, 31))).convert('1')
    if mode == 'P':
        image = Image.fromarray(values('u1', (20, 31)), 'P')
        image.putpalette(values('u1', (768,)).tobytes())
        return image
    if mode in ('I', 'I;16'):
        return Image.fromarray(values('u2', (20, 31)).astype('i4' if mode == 'I' else 'u2'))
    samples = len(mode)
    return Image.fromarray(values('u1', (20, 31, samples) if samples > 1 else (20, 31)), mode)


def pictures(out, kind, modes, options):
    for mode, way in modes:
        path = put(out, '%s_%s.%s' % (mode.replace(';', ''), way, kind), None)
        picture(mode).save(path, **options(way))
        yield path


def others(out):
    yield from pictures(out, 'png', [(mode, 'png') for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16')], lambda way: {})
    yield from pictures(out, 'jpg', [(mode, way) for mode in ('L', 'RGB') for way in ('baseline', 'progressive')],
                        lambda way: {'progressive': way == 'progressive', 'quality': 90})
    yield from pictures(out, 'pgm', [('L', 'binary'), ('I', 'binary')], lambda way: {})
    yield from pictures(out, 'ppm', [('RGB', 'binary')], lambda way: {})
    text = 'P2\n# drawn\n7 5\n255\n' + '\n'.join(' '.join('%d' % (v) for v in row) for row in values('u1', (5, 7)))
    yield put(out, 'text.pgm', text.encode())


def files(out):
    for writer in (tiffs, mrcs, dms, sers, emds, arrays, others):
        yield from writer(out)


def no_images(out):
    waves, line = values('f4', (6, 7)) + 1j * values('f4', (6, 7), 2), values('f4', (40,))
    for kind in ('c8', 'c16'):
        path = put(out, '%s_complex.tif' % kind, None)
        tifffile.imwrite(path, waves.astype(kind))
        yield path
        path = put(out, '%s_complex.npy' % kind, None)
        np.save(path, waves.astype(kind))
        yield path
    path = put(out, 'complex.npz', None)
    np.savez(path, x=waves)
    yield path
    path = put(out, 'spectrum.npy', None)
    np.save(path, line)
    yield path
    path = put(out, 'complex.mrc', None)
    with mrcfile.new(path, overwrite=True) as m:
        m.set_data(waves.astype('c8'))
    yield path
    yield put(out, 'complex_i2.mrc', mrc(values('i2', (1, 6, 14)), mode=3, shape=(1, 6, 7)))
    for version in (3, 4):
        dm = Dm(version)
        yield put(out, 'spectrum.dm%d' % version, dm.images([dm.image(line, scale=(1,), units=['eV'])]))
        yield put(out, 'spectra.dm%d' % version, dm.images([dm.image(values('f4', (3, 4, 5)), scale=(1, 1, 1), units=['nm', 'nm', 'eV'])]))
        for kind, size in ((3, 8), (13, 16)):
            yield put(out, 'complex%d.dm%d' % (kind, version), dm.images([dm.image(values('f4', (6, 7 * size // 4)), kind, (7, 6))]))
    yield put(out, 'complex.ser', ser([waves.astype('c8')], dtype=9))
    yield put(out, 'spectrum.ser', ser([line[None]], kind=0x4120))
    for write in (velox, ncem):
        for name, a in (('complex', waves.astype('c8')), ('spectrum', line), ('records', values('f4', (2, 2, 3, 4)))):
            path = put(out, '%s_%s.emd' % (write.__name__, name), None)
            with h5py.File(path, 'w') as f:
                write(f, a, **({'names': ('dim1', 'dim2', 'dim3', 'dim4')} if write is ncem else {}))
            yield path
