"""A WebSocket's client, as far as a browser on the same machine needs one: texts both ways (RFC 6455)."""

import base64
import os
import select
import socket
import struct

TEXT, CLOSE, PING, PONG, LAST = 1, 8, 9, 10, 0x80


class WebSocket:
    def __init__(self, host, port, path, timeout):
        self.socket = socket.create_connection((host, port), timeout)
        self.bytes, self.parts = b"", b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n" % (path, host, port, key)).encode())
        while b"\r\n\r\n" not in self.bytes:
            self._receive()
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode("latin-1"))

    def close(self):
        self.socket.close()

    def _receive(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise ConnectionError("the other side has closed the WebSocket")
        self.bytes += piece

    def _send(self, kind, data):
        mask = os.urandom(4)
        length = (struct.pack(">B", 0x80 | len(data)) if len(data) < 126 else struct.pack(">BH", 0x80 | 126, len(data))
                  if len(data) < 1 << 16 else struct.pack(">BQ", 0x80 | 127, len(data)))
        pad = (mask * (len(data) // 4 + 1))[:len(data)]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")
        self.socket.sendall(bytes([LAST | kind]) + length + mask + masked)

    def send(self, text):
        self._send(TEXT, text.encode())

    def _frame(self):
        """(first byte, data) of a frame that is whole, else None."""
        if len(self.bytes) < 2:
            return None
        size, at = self.bytes[1], 2
        if size > 125:
            at = 4 if size == 126 else 10
            if len(self.bytes) < at:
                return None
            size = int.from_bytes(self.bytes[2:at], "big")
        if len(self.bytes) < at + size:
            return None
        first, data, self.bytes = self.bytes[0], self.bytes[at:at + size], self.bytes[at + size:]
        return first, data

    def receive(self, seconds):
        """The texts that come within the seconds, as soon as there is anything."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return []
        self._receive()
        texts = []
        while True:
            frame = self._frame()
            if not frame:
                return texts
            kind, data = frame[0] & 15, frame[1]
            if kind == CLOSE:
                raise ConnectionError("the other side has closed the WebSocket")
            if kind == PING:
                self._send(PONG, data)
            elif kind != PONG:
                self.parts += data
                if frame[0] & LAST:
                    texts.append(self.parts.decode())
                    self.parts = b""
