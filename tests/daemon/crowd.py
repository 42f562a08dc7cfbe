"""Thousands of event streams in one process: what each got is followed line by line, and leaving comes in four ways."""

import ctypes
import selectors
import socket
import struct
import time

from harness import PATIENCE

SO_ATTACH_FILTER = 26
# A socket filter of one instruction, "return 0": the kernel drops what comes in before it is acknowledged.
DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
ADDRESSES = 8  # of this machine, so that ports never run short


class Reader:
    """One stream as it comes: chunks, then lines, then ids that must count up by one."""

    __slots__ = ("sock", "after", "last", "points", "beats", "ended", "closed", "_raw", "_line", "_headed")

    def __init__(self, sock, after):
        self.sock, self.after, self.last = sock, after, after
        self.points = self.beats = 0
        self.ended = self.closed = self._headed = False
        self._raw = self._line = b""

    def take(self, data):
        self._raw += data
        if not self._headed:
            head, mark, rest = self._raw.partition(b"\r\n\r\n")
            if not mark:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                raise AssertionError(head.decode(errors="replace"))
            self._headed, self._raw = True, rest
        while True:
            end = self._raw.find(b"\r\n")
            if end < 0:
                return
            size = int(self._raw[:end], 16)
            if len(self._raw) < end + size + 4:
                return
            if size == 0:
                self.closed = True
            self._line += self._raw[end + 2 : end + 2 + size]
            self._raw = self._raw[end + size + 4 :]
            lines = self._line.split(b"\n")
            self._line = lines.pop()
            for line in lines:
                self._event(line)

    def _event(self, line):
        text = line.lstrip(b" ")
        self.beats += len(line) - len(text)
        if not text.startswith(b'{"id":'):
            raise AssertionError("a line that is no event: %r" % line)
        number = int(text[6 : text.index(b",")])
        if number != self.last + 1:
            raise AssertionError("event %d comes after %d" % (number, self.last))
        self.last = number
        self.points += b'"event":"train"' in text
        self.ended = self.ended or b'"event":"end"' in text


class Crowd:
    def __init__(self, daemon):
        self.daemon = daemon
        self.selector = selectors.DefaultSelector()
        self.readers = []
        self.silent = []  # sockets that are open and not read

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for sock in [r.sock for r in self.readers] + self.silent:
            sock.close()
        self.selector.close()

    def connect(self, job, after, receive_bytes=None):
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.bind(("127.0.0.%d" % (2 + (len(self.readers) + len(self.silent)) % ADDRESSES), 0))
        sock.connect((self.daemon.host, self.daemon.port))
        sock.sendall(
            b"GET /v1/jobs/%d/events?after=%d HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n"
            % (job, after)
        )
        return sock

    def join(self, job, count, after):
        """`count` more readers of a job; `after` of their number is the event that each begins behind."""
        for i in range(count):
            reader = Reader(self.connect(job, after(i)), after(i))
            reader.sock.setblocking(False)
            self.selector.register(reader.sock, selectors.EVENT_READ, reader)
            self.readers.append(reader)
            if i % 64 == 63:
                self.read(0)

    def read(self, seconds):
        """All that comes in this time; one turn for 0."""
        end = time.monotonic() + seconds
        while True:
            for key, _ in self.selector.select(max(0, end - time.monotonic())):
                self._read_one(key.data)
            if time.monotonic() >= end:
                return

    def _read_one(self, reader):
        data = reader.sock.recv(1 << 16)
        if data:
            reader.take(data)
        elif not (reader.closed and reader.ended):
            raise AssertionError("a stream broke off behind event %d" % reader.last)
        if not data or reader.closed:
            self._drop(reader)

    def _drop(self, reader):
        self.selector.unregister(reader.sock)
        reader.sock.close()

    def read_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise AssertionError("%s: never" % what)
            self.read(0.1)

    def leave(self, count, how):
        """The last `count` readers vanish; none of them sends or reads another byte."""
        split = len(self.readers) - count
        gone, self.readers = self.readers[split:], self.readers[:split]
        for r in gone:
            how(self, r)

    def close(self, reader):
        self._drop(reader)

    def reset(self, reader):
        reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._drop(reader)

    def unplug(self, reader):
        """As if the cable were drawn: nothing that comes is acknowledged any more, and no word of it goes out."""
        program = struct.pack("HL", 1, ctypes.addressof(DROP_ALL))
        reader.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        self.selector.unregister(reader.sock)
        self.silent.append(reader.sock)

    def stand_still(self, job, count):
        """More clients, who ask for a job's events and never read one."""
        for _ in range(count):
            self.silent.append(self.connect(job, 0, receive_bytes=4096))
