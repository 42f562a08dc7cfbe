#!/usr/bin/env python3
"""Writes the first N test images of Fashion-MNIST as PNG files: pngs.py OUT N. Standard library only.

A file is named after its position and true class: 00-ankle-boot.png."""
import gzip
import os
import struct
import sys
import zlib

FOLDER = '/usr/share/datasets/fashion-mnist'
CLASSES = ['t-shirt', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle-boot']


def png(pixels, width, height):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + pixels[y * width:(y + 1) * width] for y in range(height))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
            + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


def main():
    out, count = sys.argv[1], int(sys.argv[2])
    with gzip.open(FOLDER + '/t10k-images-idx3-ubyte.gz') as f:
        images = f.read(16 + count * 784)[16:]
    with gzip.open(FOLDER + '/t10k-labels-idx1-ubyte.gz') as f:
        labels = f.read(8 + count)[8:]
    os.makedirs(out, exist_ok=True)
    for i in range(count):
        name = '%02d-%s.png' % (i, CLASSES[labels[i]])
        with open(os.path.join(out, name), 'wb') as f:
            f.write(png(images[i * 784:(i + 1) * 784], 28, 28))


main()
