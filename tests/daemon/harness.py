"""Starts the real cnnd on a free port with a temporary state folder, and talks HTTP with it.

    with Daemon() as d:
        status, headers, body = d.request("GET", "/v1/health")
        job = d.submit(small_job())
        d.wait(job["id"])

CNND_BINARY names the program (meson sets it). Without a device a test that needs one skips with the reason;
with CNND_REQUIRE_DEVICE=1 it fails instead. CNND_TEST_CACHE may name a folder of compiled kernels that daemons share.
"""

import contextlib
import ctypes
import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
# scripts/test --sanitize and --thread-sanitize set them: all is slower, and takes more memory.
SANITIZED = "LSAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ
# What must come may take so many seconds: who gets it never waits them out, however slow the machine is.
PATIENCE = 1200
TEST_IMAGES = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
BINARY = os.environ.get("CNND_BINARY", os.path.join(os.path.dirname(__file__), "../../build/daemon/cnnd"))


def die_with_parent():
    """A test that is killed leaves no daemon behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def times_as_long(clock, count):
    """How many times as long as on the machine of docs/measurements.md with nothing beside it so much work takes here and now."""
    begin, value = clock(), 0
    for i in range(count):
        value += i * i % 7
    return max(1, (clock() - begin) / count / 6e-8)


def pace():
    """The same by the wall, so that other work counts, and a quota of processor time; sanitizers do, too."""
    return times_as_long(time.monotonic, 500000) * (4 if SANITIZED else 1)


def slowness():
    """The same of processor time alone: how slow a processor is, and what a host lets others have of it."""
    return times_as_long(time.process_time, 200000)


def keeps(seconds, measure, what="it", tries=5):
    """Fails unless `measure`, called again and again, once says that it took no more than the seconds, times pace() before
    or after. What cnnd does too slowly it does so each time; what the machine does beside it seldom comes so often."""
    for left in reversed(range(tries)):
        before, took = pace(), measure()
        most = seconds * max(before, pace())
        if took <= most:
            return took
        print("%s: %.3f s, no more than %.3f" % (what, took, most), flush=True)
        time.sleep(tries - left if left else 0)
    raise AssertionError("%s: %.3f s" % (what, took))


class Daemon:
    """One running cnnd. `options` become --name value; a state folder that is given is not removed. What the driver
    has compiled is shared with other tests, unless private_cache leaves it to cnnd to choose a folder. `before` is
    called in its process before it is cnnd."""

    def __init__(self, options=None, state=None, env=None, device=True, private_cache=False, before=None):
        self.options = dict(options or {})
        self.own_state = state is None
        self.state = state or tempfile.mkdtemp(prefix="cnnd-test-")
        self.env = dict(os.environ, CNND_LISTEN="", **(env or {}))
        self.env.setdefault("CNND_TEST_QUIET_MS", "2000")
        if private_cache:
            self.env.pop("POCL_CACHE_DIR", None)
        else:
            self.env.setdefault("POCL_CACHE_DIR", os.path.expanduser("~/.cache/pocl/kcache"))
        self.device = device
        self.before = before
        self.process = None
        self.log_lines = []

    def __enter__(self):
        self.start()
        if self.device:
            self.need_device()
        return self

    def __exit__(self, kind, value, trace):
        status = self.stop()
        bad = [line for line in self.log_lines if "Sanitizer" in line or "runtime error:" in line]
        if not kind and (bad or status not in (0, -signal.SIGKILL)):
            raise AssertionError("cnnd ended with %s: %s" % (status, "".join(bad or self.log_lines[-20:])))
        if kind and not issubclass(kind, unittest.SkipTest):
            sys.stderr.write("".join("cnnd: " + line for line in self.log_lines[-40:]))
        if self.own_state:
            shutil.rmtree(self.state, ignore_errors=True)

    def start(self):
        # A slow machine may compile for minutes without a word: who is not about that has no watchdog.
        options = {"listen": "127.0.0.1:0", "state": self.state, "watchdog_seconds": 3600, **self.options}
        words = [BINARY]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env, preexec_fn=self._prepare
        )
        self.reader = threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait(PATIENCE)
            self._close()
            if self.own_state:
                shutil.rmtree(self.state, ignore_errors=True)
            raise RuntimeError("cnnd did not start: %s%s" % (line, "".join(self.log_lines)))
        self.url = line.split()[-1]
        if self.url.startswith("http://"):
            self.host, port = self.url[7:].rsplit(":", 1)
            self.port = int(port)

    def _prepare(self):
        die_with_parent()
        if self.before:
            self.before()

    def _read_log(self, pipe):
        for line in pipe:
            self.log_lines.append(line)

    def need_device(self):
        """Waits until jobs can run; skips the test where this machine has no device."""
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            status, _, body = self.request("GET", "/v1/health")
            if status == 200:
                return
            devices = self.get("/v1/devices")
            if devices["problem"] or (devices["devices"] == [] and "no device" in body["detail"]):
                break
            time.sleep(0.02)
        reason = "no OpenCL device is ready: %s" % json.dumps(self.get("/v1/devices"))
        if os.environ.get("CNND_REQUIRE_DEVICE"):
            raise AssertionError(reason)
        raise unittest.SkipTest(reason)

    def need_fashion(self):
        status, _, body = self.request("GET", "/v1/datasets/fashion-mnist")
        if status != 200:
            if os.environ.get("CNND_REQUIRE_DEVICE"):
                raise AssertionError(body["detail"])
            raise unittest.SkipTest("the data set fashion-mnist is not installed")

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
        return self._wait()

    def kill(self):
        """SIGKILL, as a crash would."""
        if self.process.poll() is None:
            self.process.kill()
        return self._wait()

    def _wait(self):
        if not self.process:
            return None
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("cnnd did not end") from None
        self._close()
        return status

    def _close(self):
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()

    def alive(self):
        return self.process.poll() is None

    def connection(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body); a JSON answer is parsed, another stays bytes."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        with contextlib.closing(self.connection()) as c:
            c.request(method, path, body=body, headers=headers or {})
            answer = c.getresponse()
            data = answer.read()
        kind = answer.headers.get("Content-Type", "")
        if data and kind.split(";")[0] in ("application/json", "application/problem+json"):
            data = json.loads(data)
        return answer.status, answer.headers, data

    def get(self, path, status=200):
        got, _, body = self.request("GET", path)
        if got != status:
            raise AssertionError("GET %s: %d %s" % (path, got, body))
        return body

    def raw(self, data):
        """Sends bytes as they are, returns all that comes until the server closes."""
        with socket.create_connection((self.host, self.port), PATIENCE) as s:
            got = b""
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                s.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                while True:
                    part = s.recv(65536)
                    if not part:
                        break
                    got += part
        return got

    def submit(self, job, headers=None):
        status, _, body = self.request("POST", "/v1/jobs", job, headers)
        if status not in (200, 201):
            raise AssertionError("submit: %d %s" % (status, body))
        return body

    def wait(self, job, states=("succeeded",), seconds=PATIENCE):
        """Waits for one of the states and returns the job."""
        begun = time.monotonic()
        while True:
            body = self.get("/v1/jobs/%d" % job)
            if body["state"] in states:
                return body
            if body["state"] in ("succeeded", "failed", "cancelled") or time.monotonic() - begun > seconds:
                raise AssertionError("job %d is %s: %s" % (job, body["state"], body["error"]))
            time.sleep(0.02)

    def wait_step(self, job, step):
        wait_for(lambda: self.get("/v1/jobs/%d" % job)["progress"]["step"] >= step, what="step %d of job %d" % (step, job))

    def worker(self):
        """The process of the first device's worker."""
        return self.get("/v1/devices")["devices"][0]["worker_pid"]

    def children(self, role):
        """Its processes of that role."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read().split(b"\0")
                if words[1:3] == [b"--role", role.encode()] and self.state.encode() in words:
                    found.append(int(pid))
        return found

    def weights(self, name):
        """The model's safetensors file."""
        return self.get("/v1/models/%s/weights" % name)

    def stream(self, job, after=None, accept="application/x-ndjson", headers=None):
        return Stream(self, job, after, accept, headers)

    def events(self, job, **how):
        """All events of a job to its end: (id, event, data)."""
        with self.stream(job, **how) as s:
            return list(s)


class Stream:
    """An open event stream; iterating yields (id, event, data). `heartbeats` counts what came between."""

    def __init__(self, daemon, job, after, accept, headers):
        self.sse = accept == "text/event-stream"
        self.heartbeats = 0
        path = "/v1/jobs/%d/events" % job + ("" if after is None else "?after=%d" % after)
        self.connection = daemon.connection()
        self.connection.request("GET", path, headers={"Accept": accept, **(headers or {})})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.answer.close()
        self.connection.close()

    def __iter__(self):
        return self._sse() if self.sse else self._ndjson()

    def _ndjson(self):
        for line in self.answer:
            self.heartbeats += len(line) - len(line.lstrip(b" "))
            if line.strip():  # a stream may end behind a heartbeat
                event = json.loads(line)
                yield event["id"], event["event"], event["data"]

    def _sse(self):
        fields = {}
        for line in self.answer:
            line = line.rstrip(b"\n").decode()
            if line.startswith(":"):
                self.heartbeats += 1
            elif line:
                name, value = line.split(": ", 1)
                fields[name] = value
            elif fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}


LINEAR = {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 10}]}


def small_job(**changes):
    """Trains a linear classifier on a piece of Fashion-MNIST: a second of work."""
    job = {
        "type": "train",
        "name": "small",
        "architecture": LINEAR,
        "dataset": {"name": "fashion-mnist", "limit": 1024, "val_limit": 256},
        "epochs": 2,
        "batch_size": 64,
        "optimizer": {"name": "sgd", "lr": 0.05},
        "seed": 1,
    }
    job.update(changes)
    return {k: v for k, v in job.items() if v is not None}


def long_job(**changes):
    """Goes on until it is stopped."""
    return small_job(**{"epochs": 100000, "name": "long", **changes})


def png(width, height, grey):
    """A grey 8-bit PNG from rows of bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + grey[y * width : (y + 1) * width] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def read_png(data):
    """(width, height, rows of bytes) of a PNG with 8 bits a channel."""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and depth == 8
    bpp, at, packed = {0: 1, 2: 3}[colour], 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    raw, rows, above = zlib.decompress(packed), [], bytes(width * bpp)
    for y in range(height):
        kind, line = raw[y * (width * bpp + 1)], bytearray(raw[y * (width * bpp + 1) + 1:(y + 1) * (width * bpp + 1)])
        for i in range(len(line)):
            left, up, corner = line[i - bpp] if i >= bpp else 0, above[i], above[i - bpp] if i >= bpp else 0
            paeth = min((left, up, corner), key=lambda v: abs(left + up - corner - v))
            line[i] = (line[i] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        rows.append(bytes(line))
        above = rows[-1]
    return width, height, rows


def pgm(width, height, grey):
    return b"P5\n%d %d\n255\n" % (width, height) + grey


def npy(shape, floats):
    """A float32 NPY in C order."""
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % (tuple(shape),)
    head = head.encode() + b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack("<%df" % len(floats), *floats)


def tiff(width, height, grey, more=(), bits=8):
    """A grey big-endian TIFF of 8 or 16 bits; `more` holds private tags (number, ASCII)."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits << 16), (259, 3, 1 << 16), (262, 3, 1 << 16)]
    tags += [(273, 4, 8), (278, 4, height), (279, 4, len(grey))]
    end = 8 + len(grey)
    texts = b""
    for number, text in more:
        tags.append((number, 2, end + len(texts)))
        texts += text
    entries = b""
    for number, kind, value in sorted(tags):
        count = next((len(t) for n, t in more if n == number), 1)
        entries += struct.pack(">HHII", number, kind, count, value)
    return (
        b"MM\0*" + struct.pack(">I", end + len(texts)) + bytes(grey) + texts
        + struct.pack(">H", len(tags)) + entries + b"\0" * 4
    )


def dm4(width, height, grey, data_type=6):
    """A DigitalMicrograph 4 file with one image of bytes (data_type 10: of two each) and pixels of 2 nm."""
    element, size = (4, 2) if data_type == 10 else (10, 1)

    def tag(kind, name, body):
        return bytes([kind]) + struct.pack(">H", len(name)) + name + struct.pack(">Q", len(body)) + body

    def group(name, *tags):
        return tag(20, name, b"\0\0" + struct.pack(">Q", len(tags)) + b"".join(tags))

    def value(name, info, body):
        return tag(21, name, b"%%%%" + struct.pack(">Q%dQ" % len(info), len(info), *info) + body)

    axis = group(b"", value(b"Scale", (6,), struct.pack("<f", 2)), value(b"Units", (20, 4, 2), b"n\0m\0"))
    image = group(
        b"ImageData",
        group(b"Calibrations", group(b"Dimension", axis, axis)),
        value(b"Data", (20, element, len(grey) // size), bytes(grey)),
        value(b"DataType", (5,), struct.pack("<I", data_type)),
        group(b"Dimensions", value(b"", (5,), struct.pack("<I", width)), value(b"", (5,), struct.pack("<I", height))),
    )
    body = b"\0\0" + struct.pack(">Q", 1) + group(b"ImageList", group(b"", image))
    return struct.pack(">IQI", 4, len(body), 1) + body


def mrc(width, height, grey):
    """An MRC with 16-bit pixels of 3 angstrom, 257 times the bytes, so that they scale to the same floats."""
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, width, height, 1, 6)
    struct.pack_into("<3i3f", head, 28, width, height, 1, 3 * width, 3 * height, 3)
    struct.pack_into("<3i", head, 64, 1, 2, 3)
    head[208:214] = b"MAP DD"
    rows = [grey[y * width : (y + 1) * width] for y in reversed(range(height))]
    return bytes(head) + b"".join(struct.pack("<%dH" % width, *(257 * v for v in row)) for row in rows)


def ser(width, height, grey):
    """A TIA series of one 8-bit image with pixels of 4 nm."""
    head = struct.pack("<HHHIIIIIIII", 0x4949, 0x0197, 0x210, 0x4122, 0x4152, 1, 1, 30, 0, 38, 0)
    rows = [grey[y * width : (y + 1) * width] for y in reversed(range(height))]
    return head + struct.pack("<ddiddiHII", 0, 4e-9, 0, 0, 4e-9, 0, 1, width, height) + b"".join(rows)


def test_image(index):
    """The grey values of one of Fashion-MNIST's test images, 28x28."""
    with gzip.open(TEST_IMAGES) as f:
        f.seek(16 + 784 * index)
        return f.read(784)


def read_safetensors(data):
    """A safetensors file's head."""
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size])


def wait_for(condition, seconds=PATIENCE, what="condition"):
    """Returns what the condition does when it first holds. Fewer seconds are for those who have something else to try then."""
    begun = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() - begun > seconds:
            raise AssertionError("%s: not within %d s" % (what, seconds))
        time.sleep(0.02)


def main():
    unittest.main(verbosity=2)


def send_signal(pid, number=signal.SIGKILL):
    os.kill(pid, number)
