"""Archives and arrays as users send them to make data sets, and what is stored of them."""

import io
import json
import struct
import tarfile
import zipfile


def zipped(files, how=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as z:
        for name, data in files:
            z.writestr(name, data)
    return out.getvalue()


def tarred(files, mode="w", more=()):
    """`more` holds entries without data: TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for entry in more:
            t.addfile(entry)
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            t.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def array(dtype, shape, data):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (dtype, tuple(shape))).encode()
    head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def idx(shape, data):
    return struct.pack(">BBBB%dI" % len(shape), 0, 0, 8, len(shape), *shape) + data


def safetensors(tensors):
    head, data = {}, b""
    for name, (kind, shape, raw) in tensors.items():
        head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


class Stored:
    """A data set file, taken apart as dataset.h says."""

    def __init__(self, path):
        with open(path, "rb") as f:
            raw = f.read()
        size = struct.unpack("<I", raw[12:16])[0]
        self.about = json.loads(raw[64 : 64 + size])
        at, one = 64 + size, self.about["channels"] * self.about["height"] * self.about["width"]
        self.images, self.labels = {}, {}
        for split in ("train", "val"):
            n = self.about[split]
            at = (at + 4095) // 4096 * 4096
            if self.about["type"] == "u8":
                self.images[split] = [raw[at + i * one : at + (i + 1) * one] for i in range(n)]
                at += n * one
            else:
                self.images[split] = [struct.unpack("<%df" % one, raw[at + 4 * i * one : at + 4 * (i + 1) * one]) for i in range(n)]
                at += 4 * n * one
            at = (at + 4095) // 4096 * 4096
            self.labels[split] = list(struct.unpack("<%di" % n, raw[at : at + 4 * n]))
            at += 4 * n
        self.version = struct.unpack("<I", raw[8:12])[0]
        self.files = self.origins(raw[(at + 4095) // 4096 * 4096 :]) if "origins" in self.about else None

    def origins(self, section):
        """(name, frames, rows, columns) of each file, by split."""
        counts = self.about["origins"]["files"]
        names, files = section[16 * sum(counts) :], []
        for i in range(sum(counts)):
            at, *of = struct.unpack("<4I", section[16 * i : 16 * i + 16])
            files.append((names[at : names.index(b"\0", at)].decode(), *of))
        return {"train": files[: counts[0]], "val": files[counts[0] :]}

    def pairs(self, split):
        return sorted(zip(self.labels[split], self.images[split]))
