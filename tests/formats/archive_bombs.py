"""Archives that unpack to far more than they are, nest, overlap or claim: for test_bombs.py."""
import functools
import gzip
import io
import struct
import tarfile
import zipfile
import zlib

ZEROS = 128 << 20
MAGICS = {'png': b'\x89PNG\r\n\x1a\n', 'tif': b'II*\0\x08\0\0\0', 'dm4': struct.pack('>IQI', 4, ZEROS, 1), 'emd': b'\x89HDF\r\n\x1a\n',
          'ser': b'II\x97\1\x10\2\0\0', 'npz': b'PK\3\4', 'jpg': b'\xff\xd8\xff\xe0', 'mrc': (b'\4\0\0\0' * 4).ljust(208, b'\0') + b'MAP '}


@functools.lru_cache(None)
def zeros():
    """ZEROS bytes of zero, deflated."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    block, parts = bytes(1 << 20), []
    for _ in range(ZEROS >> 20):
        parts.append(packer.compress(block))
    return b''.join(parts) + packer.flush()


def crc_behind(head):
    crc, block = zlib.crc32(head), bytes(1 << 20)
    for _ in range(ZEROS >> 20):
        crc = zlib.crc32(block, crc)
    return crc


def deflated(head):
    """`head`, then the zeros."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros()


def zip_of(entries):
    """`entries`: (name, raw bytes, size, checksum, method); a `raw` of None is where the last one is."""
    out, central, place = bytearray(), b'', 0
    for name, raw, size, crc, method in entries:
        if raw is not None:
            place, packed = len(out), len(raw)
            out += b'PK\3\4' + struct.pack('<HHHIIIIHH', 20, 0, method, 0, crc, packed, size, len(name), 0) + name + raw
        central += (b'PK\1\2' + struct.pack('<HHHHIIIIHHHHHII', 20, 20, 0, method, 0, crc, packed, size, len(name), 0, 0, 0, 0, 0, place)
                    + name)
    count = len(entries)
    return bytes(out) + central + b'PK\5\6' + struct.pack('<HHHHIIH', 0, 0, count, count, len(central), len(out), 0)


def zip_with_zeros(name, head=b''):
    return zip_of([(name, deflated(head), len(head) + ZEROS, crc_behind(head), 8)])


def gzip_with_zeros(head):
    return b'\x1f\x8b\x08' + bytes(6) + b'\xff' + deflated(head) + struct.pack('<II', crc_behind(head), (len(head) + ZEROS) % 2 ** 32)


def tar_head(name, size, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def plain_zip(names, content=b''):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
        for name in names:
            z.writestr(name, content)
    return out.getvalue()


def archives():
    for kind, magic in MAGICS.items():
        yield 'zip_' + kind, zip_with_zeros(b'a/1.' + kind.encode(), magic)
        yield 'targz_' + kind, gzip_with_zeros(tar_head('a/1.' + kind, len(magic) + ZEROS) + magic)
    yield 'zip_no_image', zip_with_zeros(b'a/1.png')
    yield 'targz_no_image', gzip_with_zeros(tar_head('a/1.png', ZEROS))
    yield 'targz_hidden', gzip_with_zeros(tar_head('a/.1.png', ZEROS))
    for name in (b'x.npy', b'train-images-idx3-ubyte', b'labels.csv'):
        yield 'zip_' + name.decode(), zip_with_zeros(name)
    yield 'zip_claims', zip_of([(b'a/1.png', b'\0' * 99, 0xFFFFFFF0, 0, 8)])
    yield 'zip_stored_claims', zip_of([(b'a/1.png', b'\0' * 99, 0x7FFFFFFF, 0, 0)])
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    million = MAGICS['png'] + bytes(1 << 20)
    raw = packer.compress(million) + packer.flush()
    yield 'zip_overlap', zip_of([(b'a/1.png', raw, len(million), zlib.crc32(million), 8)]
                                + [(b'a/%d.png' % i, None, len(million), zlib.crc32(million), 8) for i in range(2, 2000)])
    yield 'zip_nested', plain_zip(['a/%d.zip' % i for i in range(16)], plain_zip(['b.zip'], zip_with_zeros(b'c.png')))
    yield 'zip_many', plain_zip('a/%d.png' % i for i in range(20000))
    yield 'tar_claims', tar_head('a/1.png', 1 << 40) + bytes(4096)
    yield 'targz_claims', gzip.compress(tar_head('a/1.png', 1 << 40) + bytes(4096))
    yield 'targz_many', gzip.compress(b''.join(tar_head('a/%d.png' % i, 0, tarfile.LNKTYPE) for i in range(40000)) + bytes(1024), 1)
    yield 'targz_name', gzip_with_zeros(tar_head('././@LongLink', ZEROS, tarfile.GNUTYPE_LONGNAME))
    yield 'targz_pax', gzip_with_zeros(tar_head('././@PaxHeader', ZEROS, tarfile.XHDTYPE))
    yield 'gz_gz', gzip.compress(gzip_with_zeros(tar_head('a/1.png', ZEROS)))
    yield 'gz_zeros', gzip_with_zeros(b'')
