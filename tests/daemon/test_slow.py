#!/usr/bin/env python3
"""Clients that come in numbers and send their headers and bodies a byte at a time hold up nobody; one user has so many
connections and no more."""
import contextlib
import http.client
import os
import selectors
import socket
import tempfile
import time
import unittest

import harness
from harness import Daemon, main, wait_for
from people import Person, token

MOST = 600  # connections of a listener
STRANGER = 12345  # a uid without a name
REQUESTS = 300


def slow_requests(good):
    """What the besiegers send, byte by byte; `good` is a user's token or None."""
    body = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    yield b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 4000
    yield body + b"Authorization: Bearer wrong\r\n\r\n" + b" " * 4000
    yield body + (b"Authorization: Bearer %s\r\n" % good.encode() if good else b"") + b"\r\n" + b" " * 4000


class Besieger:
    """One slow client, who comes back when turned away."""

    def __init__(self, siege, text):
        self.siege, self.text, self.at, self.sock = siege, text, 0, None

    def come(self):
        self.sock = socket.socket(self.siege.family)
        self.sock.setblocking(False)
        self.sock.connect_ex(self.siege.address)
        # The header of a slow body comes at once.
        self.at = self.text.index(b"\r\n\r\n") + 4 if b"\r\n\r\n" in self.text else 1
        self.siege.selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def turn(self, mask):
        try:
            if mask & selectors.EVENT_READ and not self.sock.recv(4096):
                return self.leave()
            if mask & selectors.EVENT_WRITE:
                self.sock.send(self.text[: self.at])
                self.siege.selector.modify(self.sock, selectors.EVENT_READ, self)
                self.siege.inside.append(self)
        except OSError:
            self.leave()
        return None

    def leave(self):
        self.siege.selector.unregister(self.sock)
        self.sock.close()
        self.siege.outside.append(self)

    def another_byte(self):
        try:
            self.at += self.sock.send(self.text[self.at : self.at + 1])
        except OSError:
            pass  # it is about to be told


class Siege:
    """`count` besiegers in a process of their own, of this uid."""

    def __init__(self, family, address, count, good=None, uid=None):
        self.family, self.address, self.count, self.good, self.uid = family, address, count, good, uid

    def __enter__(self):
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            harness.die_with_parent()
            try:
                if os.getppid() == parent:
                    self.run()
            finally:
                os._exit(1)
        return self

    def __exit__(self, *unused):
        harness.send_signal(self.pid)
        os.waitpid(self.pid, 0)

    def run(self):
        if self.uid:
            os.setgroups([])
            os.setuid(self.uid)
        self.selector, self.inside, texts = selectors.DefaultSelector(), [], list(slow_requests(self.good))
        self.outside = [Besieger(self, texts[i % len(texts)]) for i in range(self.count)]
        while True:
            coming, self.outside = self.outside[:10], self.outside[10:]
            for b in coming:
                b.come()
            for key, mask in self.selector.select(0.01):
                key.data.turn(mask)
            for b in self.inside[:5]:
                b.another_byte()
            self.inside = self.inside[5:] + self.inside[:5]


class Door(Daemon):
    """A daemon with a Unix socket too, and an operator who knocks at both."""

    def __init__(self, folder, **options):
        self.path = os.path.join(folder, "s")
        super().__init__({"socket": self.path, "max_connections": MOST, "header_seconds": 5, **options}, device=False)

    def __enter__(self):
        super().__enter__()
        self.operator = Person(self, token(self, "ottilie", "--operator"))
        return self

    def ask(self, target, tcp=False):
        """A request of the operator's on a new connection, over the Unix socket or with a token: (status, body)."""
        c = http.client.HTTPConnection(self.host, self.port, timeout=harness.PATIENCE)
        if not tcp:
            c.sock = socket.socket(socket.AF_UNIX)
            c.sock.settimeout(harness.PATIENCE)
            c.sock.connect(self.path)
        with contextlib.closing(c):
            c.request("GET", target, headers=self.operator.headers if tcp else {})
            answer = c.getresponse()
            return answer.status, answer.read()

    def connections(self):
        metrics = self.ask("/metrics")[1].decode()
        return int(metrics.split("\ncnnd_http_connections ")[1].split("\n")[0])

    def p99(self, tcp):
        times = []
        for _ in range(REQUESTS):
            begun = time.monotonic()
            status, _ = self.ask("/v1/jobs", tcp)
            times.append(time.monotonic() - begun)
            assert status == 200, status
        return sorted(times)[REQUESTS * 99 // 100]


class Slow(unittest.TestCase):
    def door(self, **options):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        return self.enterContext(Door(folder, **options))

    def hold_out(self, door, siege, ways):
        quiet = [door.p99(tcp) for tcp in ways]
        with siege:
            wait_for(lambda: door.connections() > MOST * 0.7, what="a full listener")
            time.sleep(2)
            times = [harness.keeps(0.1, lambda: door.p99(tcp), "an operator's request") for tcp in ways]
        print("p99 of an operator's request: %s ms, %s ms before" % tuple(
            ", ".join("%.1f" % (t * 1000) for t in p) for p in (times, quiet)))
        wait_for(lambda: door.connections() < 10, what="an empty listener")

    def test_over_tcp(self):
        door = self.door(user_connections=20)
        siege = Siege(socket.AF_INET, (door.host, door.port), MOST * 3 // 2, good=token(door, "anna"))
        self.hold_out(door, siege, (False, True))

    @unittest.skipIf(os.geteuid() != 0, "other users of the Unix socket need root")
    def test_over_the_unix_socket(self):
        door = self.door(user_connections=0)
        self.hold_out(door, Siege(socket.AF_UNIX, door.path, MOST * 3 // 2, uid=STRANGER), (False,))

    @unittest.skipIf(os.geteuid() != 0, "other users of the Unix socket need root")
    def test_one_user_on_the_unix_socket(self):
        door = self.door(user_connections=20)
        with Siege(socket.AF_UNIX, door.path, 200, uid=STRANGER):
            wait_for(lambda: door.connections() >= 20, what="as many as one user may")
            for _ in range(20):
                wait_for(lambda: door.connections() < 100, what="those who are turned away leave")
                time.sleep(0.05)

    def test_one_user_with_tokens(self):
        door = self.door(user_connections=20)
        anna, bert = Person(door, token(door, "anna")), Person(door, token(door, "bert"))
        kept = [self.enterContext(contextlib.closing(door.connection())) for _ in range(20)]

        def ask(c, person):
            c.request("GET", "/v1/version", headers=person.headers)
            answer = c.getresponse()
            answer.read()
            return answer.status

        for c in kept:
            self.assertEqual(ask(c, anna), 200)
        status, headers, problem = anna.request("GET", "/v1/version")
        self.assertEqual((status, headers["Connection"]), (429, "close"))
        self.assertIn("connections", problem["detail"])
        self.assertEqual(bert.status("GET", "/v1/version"), 200)
        self.assertEqual(door.operator.status("GET", "/v1/version"), 200)
        # One that is used for somebody else counts for them.
        self.assertEqual(ask(kept[0], bert), 200)
        self.assertEqual(anna.status("GET", "/v1/version"), 200)
        wait_for(lambda: ask(kept[0], anna) == 200)
        self.assertEqual(anna.status("GET", "/v1/version"), 429)
        for c in kept:
            c.close()
        wait_for(lambda: anna.status("GET", "/v1/version") == 200)


if __name__ == "__main__":
    main()
