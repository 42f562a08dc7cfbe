"""Requests that two parsers could read in two ways: one 4xx and the connection closes, so that what follows is never a request."""

import re
import socket
import unittest

import harness

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\n"
LENGTH = b"Content-Length: 2\r\n\r\n{}"
CHUNKS = b"\r\n\r\n0\r\n\r\n"
FOLLOWING = b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n"


def encoded(value, chunks=CHUNKS):
    return POST + HOST + b"Transfer-Encoding: " + value + chunks


def chunked(body):
    return encoded(b"chunked", b"\r\n\r\n" + body + b"\r\n0\r\n\r\n")


def get(target, version=b"HTTP/1.1", method=b"GET", headers=b""):
    return method + b" " + target + b" " + version + b"\r\n" + HOST + headers + b"\r\n"


REQUESTS = {
    "length, then chunked": POST + HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked" + CHUNKS,
    "chunked, then length": encoded(b"chunked\r\nContent-Length: 2"),
    "the same length twice": POST + HOST + b"Content-Length: 2\r\n" + LENGTH,
    "two lengths": POST + HOST + b"Content-Length: 3\r\n" + LENGTH,
    "blank behind a name": POST + HOST + b"Content-Length : 2\r\n\r\n{}",
    "tab behind a name": POST + HOST + b"Content-Length\t: 2\r\n\r\n{}",
    "blank before the first name": POST + b" " + HOST + LENGTH,
    "no colon": POST + HOST + b"Content-Length 2\r\n\r\n{}",
    "folded line": POST + HOST + b"X: y\r\n Content-Length: 2\r\n" + LENGTH,
    "folded encoding": encoded(b"\r\n chunked"),
    "two hosts": POST + HOST + HOST + LENGTH,
    "no host": POST + LENGTH,
    "a host that is not this server": b"GET http://a/v1/version HTTP/1.1\r\nHost: b\r\n\r\n",
    "unknown coding": encoded(b"gzip, chunked"),
    "chunked, then identity": encoded(b"chunked, identity"),
    "chunked twice": encoded(b"chunked\r\nTransfer-Encoding: chunked"),
    "coding with a prefix": encoded(b"xchunked"),
    "coding behind a vertical tab": encoded(b"\x0bchunked"),
    "coding in quotes": encoded(b'"chunked"'),
    "chunked in HTTP/1.0": b"POST /v1/jobs HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked" + CHUNKS,
    "size of a chunk is text": chunked(b"xyz\r\n{}"),
    "size of a chunk is negative": chunked(b"-2\r\n{}"),
    "size of a chunk has a prefix": chunked(b"0x2\r\n{}"),
    "size of a chunk overflows": chunked(b"10000000000000002\r\n{}"),
    "size of a chunk is missing": chunked(b"\r\n{}"),
    "chunk longer than its size": chunked(b"2\r\n{}xx"),
    "carriage return in a value": POST + HOST + b"X: a\rContent-Length: 9\r\n" + LENGTH,
    "escape in a value": POST + HOST + b"X: a\x1b[2J\r\n" + LENGTH,
    "delete in a value": POST + HOST + b"X: \x7f\r\n" + LENGTH,
    "zero in a name": POST + HOST + b"Content-Length\0: 5\r\n" + LENGTH,
    "zero in the address": get(b"/v1/version\0x"),
    "zero in the query": get(b"/v1/jobs?limit=1\0&user=x"),
    "written zero in the address": get(b"/v1/version%00"),
    "blank in the address": get(b"/v1/version x"),
    "broken escape": get(b"/v1/%zz"),
    "no version": b"GET /v1/version\r\n" + HOST + b"\r\n",
    "version in lower case": get(b"/v1/version", b"http/1.1"),
    "method with a colon": get(b"/v1/version", method=b"GE:T"),
    "method with a control character": get(b"/v1/version", method=b"GET\x01"),
    "unknown Expect": POST + HOST + b"Expect: 200-ok\r\n" + LENGTH,
    "address too long": get(b"/v1/" + b"a" * 70000),
    "header too long": get(b"/v1/version", headers=b"X: " + b"a" * 70000 + b"\r\n"),
    "too many headers": get(b"/v1/version", headers=b"".join(b"X%d: y\r\n" % i for i in range(5000))),
}

# libmicrohttpd 1.0 closes at these without a word.
SILENT = {"zero in the address", "zero in the query"}

# These libmicrohttpd refuses before it asks anybody, and 0.9.75 writes its header twice.
LENGTHS = [b"2, 2", b"+2", b"-2", b"0x2", b"two", b"", b"2.0", b"2 0", b"18446744073709551618", b"\x0b2"]


class Smuggling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon(device=False))

    def answers(self, request):
        """The statuses of all that comes until the server closes; it must."""
        got = b""
        with socket.create_connection((self.daemon.host, self.daemon.port), harness.PATIENCE) as s:
            try:
                s.sendall(request + FOLLOWING)
                while part := s.recv(65536):
                    got += part
            except (ConnectionResetError, BrokenPipeError):
                pass  # closed with our bytes unread
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+)", got)]

    def test_one_refusal_and_an_end(self):
        self.assertGreaterEqual(len(REQUESTS), 40)
        for name, request in REQUESTS.items():
            with self.subTest(name):
                statuses = self.answers(request)
                if statuses or name not in SILENT:
                    self.assertEqual(len(statuses), 1, statuses)
                    self.assertEqual(statuses[0] // 100, 4, statuses)

    def test_lengths_that_are_none(self):
        for length in LENGTHS:
            with self.subTest(length):
                statuses = self.answers(POST + HOST + b"Content-Length: " + length + b"\r\n\r\n{}")
                self.assertTrue(statuses)
                self.assertEqual({status // 100 for status in statuses}, {4}, statuses)

    def test_an_honest_pair(self):
        """The same way of asking gets two answers where nothing is wrong."""
        request = get(b"/v1/version") + FOLLOWING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        self.assertEqual(self.answers(request), [200, 200])


if __name__ == "__main__":
    harness.main()
