#!/usr/bin/python3
"""Holds the decoders against other people's readers, pixel for pixel: CNND_DECODE names the tool.

Files: what hyperspy ships for its own tests (the folder in CNND_ORACLE_FILES, else the installed package's), and those of
written.py. Prints a line a file and a table of formats. Exits 77 where one of the readers is missing."""
import collections
import gzip
import json
import logging
import os
import re
import sys
import tempfile
import warnings
import zipfile

try:
    import h5py
    import hyperspy
    import hyperspy.api as hs
    import mrcfile
    import numpy as np
    import tifffile
    from PIL import Image
except ImportError as missing:
    print('skipped: %s (apt-get install python3-hyperspy python3-mrcfile python3-tifffile python3-h5py python3-pil)' % missing)
    sys.exit(77)

import written
from formats import Decoder, scaled

logging.disable(logging.CRITICAL)
warnings.filterwarnings('ignore')

FACTOR = {'m': 1, 'cm': 1e-2, 'mm': 1e-3, 'um': 1e-6, 'µm': 1e-6, 'μm': 1e-6, 'micron': 1e-6, 'nm': 1e-9, 'Å': 1e-10, 'A': 1e-10,
          '1/m': 1, '1/nm': 1e9, '1 / nm': 1e9, '1/µm': 1e6, '1/A': 1e10}
# What may be refused: it is no image (a 422), or nothing of it was ever stored.
NO_IMAGE = 'complex numbers|a spectrum|of spectra|dimensions are not an image|dimensions; |a spectrum image|without an image'
NOT_STORED = ' 0 stored bytes'
# Where the other reader is the one to doubt, and why.
DOUBTED = {
    'FEI-Helios-navcam.tif': 'hyperspy takes the width of the field for the height of a pixel, and the other way round',
}


def frames(a):
    """(…,h,w) or (…,h,w,rgb) to (n,c,h,w); three equal channels are one."""
    if a.dtype.names:
        a = np.stack([a[name] for name in ('R', 'G', 'B')], -1)
        a = np.moveaxis(a, -1, -3)
        if (a == a[..., :1, :, :]).all():
            a = a[..., :1, :, :]
    else:
        a = a[..., None, :, :]
    return scaled(a).reshape((-1,) + a.shape[-3:])


def axes_size(signal):
    """(height, width) of a pixel in metres or 1/metres, None where hyperspy knows none."""
    found = []
    for axis in signal.axes_manager._axes[-2:]:
        if str(axis.units) not in FACTOR:
            return None
        found.append(axis.scale * FACTOR[str(axis.units)])
    return tuple(found)


def from_hyperspy(path):
    """Candidates (pixels, size); a file may hold several images."""
    loaded = hs.load(path)
    for signal in loaded if isinstance(loaded, list) else [loaded]:
        if signal.data.ndim >= 2:
            yield signal.data, axes_size(signal)


def from_tiff(path):
    with tifffile.TiffFile(path) as file:
        pages = [p for p in file.pages if p.compression not in (6, 7)] or list(file.pages)
        best = max(pages, key=lambda p: p.imagewidth * p.imagelength)
        stack = [p.asarray() for p in pages if p.shape == best.shape and p.dtype == best.dtype]
        if len(stack) == 1 and file.imagej_metadata and file.imagej_metadata.get('images', 1) > 1:
            stack = [file.asarray()]
        a = np.stack(stack) if len(stack) > 1 else stack[0]
        fei = file.fei_metadata
        rows = int((fei or {}).get('Image', {}).get('ResolutionY', 0) or 0)
        bands = best.samplesperpixel
        if best.photometric == 3:
            colours = best.colormap
            if not (colours % 256).any():  # of 8 bits, in the upper byte
                colours = (colours >> 8).astype('u1')
            a = np.moveaxis(colours[:, a], 0, -1)
            bands = 3
        if best.photometric == 0 and a.dtype.kind == 'u' and best.bitspersample > 1:
            a = np.iinfo(a.dtype).max - a
        if a.dtype == bool:
            a = a.astype(np.float32)
        if bands > 1 and not (best.planarconfig == 2 and best.photometric != 3):
            a = np.moveaxis(a, -1, -3)
        if bands == 1:
            a = a[..., None, :, :]
        if bands == 4 or (bands == 2 and best.extrasamples in ((1,), (2,))):
            a = a[..., :bands - 1, :, :]
    if rows and rows < a.shape[-2]:
        a = a[..., :rows, :]
    if a.shape[-3] == 3 and (a == a[..., :1, :, :]).all():
        a = a[..., :1, :, :]
    pixels = scaled(a).reshape((-1,) + a.shape[-3:])
    scan = (fei or {}).get('Scan', {})
    if {'PixelWidth', 'PixelHeight'} <= set(scan):
        yield pixels, (float(scan['PixelHeight']), float(scan['PixelWidth']))
        return
    size = None
    try:
        loaded = hs.load(path)
        loaded = loaded if isinstance(loaded, list) else [loaded]
        size = next((axes_size(s) for s in loaded if s.data.ndim >= 2), None)
    except Exception:  # hyperspy cannot read it; tifffile's pixels remain
        pass
    yield pixels, size


def emd_size(group, frames_last):
    """What h5py finds beside the data: Velox' JSON, or the first steps along NCEM's axes."""
    if 'Metadata' in group:
        about = json.loads(group['Metadata'][:, 0].tobytes().split(b'\0')[0])['BinaryResult']
        return tuple(float(about['PixelSize'][k]) * FACTOR[about['PixelUnitX']] for k in ('height', 'width'))
    axes = [group[name] for name in ('dim1', 'dim2', 'dim3') if name in group]
    axes = axes[:2] if frames_last else axes[-2:]
    units = [axis.attrs.get('units') for axis in axes]
    if len(axes) < 2 or any(str(unit) != '[n_m]' for unit in units):
        return None
    return tuple(float(axis[1] - axis[0]) * 1e-9 for axis in axes)


def from_emd(path):
    """Every data set of two or three dimensions as h5py reads it, frames first or last; hyperspy knows the sizes."""
    sizes = {}
    try:
        for data, size in from_hyperspy(path):
            sizes.setdefault(frozenset(data.shape[-2:]), size)
    except Exception:  # hyperspy cannot read it; h5py's pixels remain
        pass
    found = []

    def visit(name, o):
        if isinstance(o, h5py.Dataset) and o.ndim in (2, 3) and o.dtype.kind in 'uif':
            a = o[()]
            found.append((frames(a), sizes.get(frozenset(a.shape[-2:])) or emd_size(o.parent, False)))
            if a.ndim == 3:
                found.append((frames(np.moveaxis(a, -1, 0)), sizes.get(frozenset(a.shape[:2])) or emd_size(o.parent, True)))

    with h5py.File(path, 'r') as file:
        file.visititems(visit)
    yield from found


def from_dm(path):
    """hyperspy takes the pixels for little-endian whatever the file says: the flag is the third number of its head."""
    with open(path, 'rb') as file:
        head = file.read(16)
    big = not any(head[8:12] if head[3] == 3 else head[12:16])
    for data, size in from_hyperspy(path):
        if data.dtype.kind == 'c':
            continue
        data = data.astype(np.float32) if data.dtype == bool else data
        yield frames(data.byteswap() if big else data), size


def from_ser(path):
    for data, size in from_hyperspy(path):
        yield frames(data), size


def from_mrc(path):
    with mrcfile.open(path, permissive=True) as m:
        size = (float(m.voxel_size.y) * 1e-10, float(m.voxel_size.x) * 1e-10)
        if m.header.exttyp in (b'FEI1', b'FEI2'):
            first = m.extended_header[0]
            size = (float(first['Pixel size Y']), float(first['Pixel size X']))
        yield frames(m.data)[..., ::-1, :], size if min(size) > 0 else None


def from_numpy(path):
    a = np.load(path)
    a = a['x'] if path.endswith('.npz') else a
    a = a.astype(np.float32) if a.dtype == bool else a
    yield scaled(a).reshape((1,) * (4 - a.ndim) + a.shape), None


def from_pillow(path):
    with Image.open(path) as image:
        image = image.convert('RGB') if image.mode == 'P' else image
        a = np.asarray(image)
        alpha = image.mode in ('LA', 'RGBA')
    a = a.astype(np.float32) if a.dtype == bool else a.astype('u2') if a.dtype.kind == 'i' else a
    a = np.moveaxis(a, -1, 0) if a.ndim == 3 else a[None]
    yield scaled(a[:-1] if alpha else a)[None], None


def references(path):
    """Candidates (pixels (n,c,h,w), pixel size or None) that other readers see; empty where they see no image."""
    kind = os.path.splitext(path)[1].lower()
    readers = {'.dm3': from_dm, '.dm4': from_dm, '.mrc': from_mrc, '.emd': from_emd, '.ser': from_ser, '.npy': from_numpy, '.npz': from_numpy, '.png': from_pillow,
               '.jpg': from_pillow, '.pgm': from_pillow, '.ppm': from_pillow}
    if kind in ('.tif', '.tiff'):
        try:
            yield from from_tiff(path)
        except ValueError:  # tifffile has no LZW or PackBits of its own
            yield from from_pillow(path)
    else:
        yield from readers[kind](path)


def compare(head, got, path):
    wants = list(references(path))
    name = os.path.basename(path)
    for want, size in wants:
        # A series that was stopped: hyperspy adds frames of zeros for those that were never taken.
        if path.endswith('.ser') and len(want) > len(got) and not want[len(got):].any():
            want = want[:len(got)]
        if want.shape != got.shape or not np.array_equal(want, got):
            continue
        if size is None:
            return 'equal', 'size n.a.'
        if not head['unit']:
            return 'SIZE MISSING', 'the other reader has %g x %g' % size
        close = all(abs(a - b) <= 1e-6 * abs(b) for a, b in zip((head['pixel_h'], head['pixel_w']), size))
        if close:
            return 'equal', 'size %.6g %s' % (head['pixel_w'], head['unit'])
        if name in DOUBTED:
            return 'doubted', DOUBTED[name]
        return 'SIZE DIFFERS', '%g x %g, other reader has %g x %g' % (head['pixel_h'], head['pixel_w'], *size)
    if not wants:
        return 'NO READER', 'the other reader sees no image'
    return 'PIXELS DIFFER', '%s, other reader has %s' % (got.shape, [w.shape for w, _ in wants])


def vendor_files(folder, out):
    kinds = ('.tif', '.tiff', '.dm3', '.dm4', '.ser', '.emd', '.mrc')
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(root, name)
            if name.lower().endswith(kinds):
                yield path
            elif name.endswith('.gz') and name[:-3].lower().endswith(kinds):
                with gzip.open(path) as f, open(os.path.join(out, name[:-3]), 'wb') as t:
                    t.write(f.read())
                yield os.path.join(out, name[:-3])
            elif name.endswith('.zip'):
                with zipfile.ZipFile(path) as z:
                    for member in z.namelist():
                        if member.lower().endswith(kinds) and not member.startswith('__'):
                            yield z.extract(member, out)


def judge(decoder, path):
    """A verdict, in capitals where it is bad, and what there is to say."""
    head, got = decoder.decode(path)
    if got is None:
        no_image = re.search(NO_IMAGE, head['why'])
        known = head['refused'] == 'invalid' if no_image else re.search(NOT_STORED, head['why'])
        return 'refused' if known else 'REFUSED', '%s: %s' % (head['refused'], head['why'])
    try:
        return compare(head, got, path)
    except Exception as why:  # what other readers raise is as different as they are
        return 'NO READER', 'the other reader: %s' % str(why).split('\n')[0][:80]


def main():
    decoder = Decoder()
    folder = os.environ.get('CNND_ORACLE_FILES') or os.path.join(os.path.dirname(hyperspy.__file__), 'tests', 'io')
    counts, table = collections.Counter(), collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as out:
        vendors = list(vendor_files(folder, out)) if os.path.isdir(folder) else []
        if not vendors:
            print('no files of vendors under %s: CNND_ORACLE_FILES names them' % folder)
        for origin, paths in (('vendor', vendors), ('written', written.files(out)), ('no image', written.no_images(out))):
            for path in paths:
                verdict, detail = judge(decoder, path)
                if origin != 'vendor' and verdict != ('refused' if origin == 'no image' else 'equal'):
                    verdict = verdict.upper()
                counts[verdict] += 1
                table[os.path.splitext(path)[1].lower().replace('tiff', 'tif'), origin][verdict] += 1
                place = os.path.relpath(path, out if path.startswith(out) else folder)
                print('%-14s %-64s %s' % (verdict, place, detail), flush=True)
    decoder.close()
    for (kind, origin), row in sorted(table.items()):
        print('%-6s %-9s %s' % (kind, origin, ', '.join('%d %s' % (n, v) for v, n in sorted(row.items()))))
    print(', '.join('%d %s' % (n, v) for v, n in sorted(counts.items())))
    sys.exit(1 if any(v.isupper() for v in counts) or counts['equal'] < 100 else 0)


main()
