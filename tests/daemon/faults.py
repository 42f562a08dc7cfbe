"""Makes the driver fail on demand: the other side of faults.c.

    with Faults() as f, Daemon(env=f.env) as d:
        f.arm("clFinish", LOST, INVALID_COMMAND_QUEUE, first=12)
        ...
        f.hits  # how often it struck

CNND_FAULT_LAYER names the library (meson sets it)."""

import mmap
import os
import struct
import tempfile

NONE, FAIL, LATE, LOST, HANG, ABORT, SEGV = range(7)
KINDS = ("none", "fail", "late", "lost", "hang", "abort", "segv")
STATUS = {
    "DEVICE_NOT_FOUND": -1,
    "DEVICE_NOT_AVAILABLE": -2,
    "MEM_OBJECT_ALLOCATION_FAILURE": -4,
    "OUT_OF_RESOURCES": -5,
    "OUT_OF_HOST_MEMORY": -6,
    "BUILD_PROGRAM_FAILURE": -11,
    "EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST": -14,
    "INVALID_VALUE": -30,
    "INVALID_DEVICE": -33,
    "INVALID_CONTEXT": -34,
    "INVALID_COMMAND_QUEUE": -36,
    "INVALID_MEM_OBJECT": -38,
    "INVALID_BINARY": -42,
    "INVALID_KERNEL_NAME": -46,
    "INVALID_WORK_GROUP_SIZE": -54,
}
LAYER = os.environ.get("CNND_FAULT_LAYER", "")
HEAD, ENTRY, MAX_CALLS = struct.Struct("<8i"), struct.Struct("<48si"), 64


class Faults:
    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="cnnd-faults-")
        self.file.truncate(HEAD.size + MAX_CALLS * ENTRY.size)
        self.map = mmap.mmap(self.file.fileno(), 0)
        self.env = {"OPENCL_LAYERS": LAYER, "CNND_FAULTS": self.file.name}
        self.disarm()
        return self

    def __exit__(self, *unused):
        self.map.close()
        self.file.close()

    def calls(self):
        """How often each call was made so far, by name; {} before the first."""
        rows = [ENTRY.unpack_from(self.map, HEAD.size + i * ENTRY.size) for i in range(MAX_CALLS)]
        return {name.rstrip(b"\0").decode(): count for name, count in rows if name[0]}

    def disarm(self):
        struct.pack_into("<i", self.map, 0, -1)

    def arm(self, call, kind, status=0, first=1, times=1, min_bytes=0):
        """The `first`-th of these calls from now on goes wrong, and `times` in all; 0: every one from there. A process
        that hangs, dies or loses its device counts once."""
        self.disarm()
        HEAD.pack_into(self.map, 0, -1, kind, status, first, times, min_bytes, 0, 0)
        struct.pack_into("<i", self.map, 0, list(self.calls()).index(call))

    @property
    def hits(self):
        return HEAD.unpack_from(self.map)[7]
