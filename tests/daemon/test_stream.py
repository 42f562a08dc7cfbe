"""Event streams: replay, continuing, both formats, heartbeats, slow and leaving readers, the end."""

import contextlib
import ctypes
import http.client
import json
import socket
import struct
import threading
import time
import unittest

import harness
from crowd import DROP_ALL, SO_ATTACH_FILTER
from harness import long_job, small_job


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon({"heartbeat_seconds": 0.3}))
        cls.daemon.need_fashion()
        cls.done = cls.daemon.submit(small_job(report_every=1, save_as="streamed"))["id"]
        cls.daemon.wait(cls.done)

    def streams(self):
        metrics = self.daemon.request("GET", "/metrics")[2].decode()
        return int(metrics.split("\ncnnd_http_streams ")[1].split("\n")[0])

    def test_ids_count_up_by_one_and_end_closes(self):
        events = self.daemon.events(self.done)
        self.assertEqual([e[0] for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[0][1:], ("state", {"state": "queued"}))
        self.assertEqual(events[-1][1], "end")
        self.assertEqual(events[-1][2], {"state": "succeeded", "model": "streamed"})
        self.assertEqual([e[1] for e in events].count("train"), 32)
        self.assertEqual([e[1] for e in events].count("validation"), 2)

    def test_both_formats_say_the_same(self):
        self.assertEqual(
            self.daemon.events(self.done), self.daemon.events(self.done, accept="text/event-stream")
        )

    def test_sse_text(self):
        _, headers, body = self.daemon.request("GET", "/v1/jobs/%d/events" % self.done)
        self.assertEqual(headers["Content-Type"], "text/event-stream")
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertTrue(body.startswith(b'id: 1\nevent: state\ndata: {"state":"queued"}\n\nid: 2\n'), body[:80])

    def test_continue_after(self):
        whole = self.daemon.events(self.done)
        self.assertEqual(self.daemon.events(self.done, after=7), whole[7:])
        self.assertEqual(self.daemon.events(self.done, headers={"Last-Event-ID": "7"}), whole[7:])
        # A browser comes back to the address it had, with the newer number in the header.
        self.assertEqual(self.daemon.events(self.done, after=3, headers={"Last-Event-ID": "9"}), whole[9:])

    def test_nothing_after_the_end_is_204(self):
        last = self.daemon.events(self.done)[-1][0]
        for after in (last, last + 1000):
            with self.daemon.stream(self.done, after=after) as s:
                self.assertEqual(s.status, 204)

    def test_after_what_never_comes(self):
        """A stream from beyond the job's end closes with the job, whatever its number."""
        last = self.daemon.events(self.done)[-1][0]
        first = self.daemon.submit(long_job())["id"]
        try:
            second = self.daemon.submit(small_job(report_every=1))["id"]  # as many events as the other
            with contextlib.ExitStack() as stack:
                late = [
                    stack.enter_context(self.daemon.stream(second, after=after, accept=accept))
                    for after in (last - 1, last, last + 1, 100000)
                    for accept in ("application/x-ndjson", "text/event-stream")
                ]
                self.assertEqual({s.status for s in late}, {200})
                self.daemon.request("POST", "/v1/jobs/%d/cancel" % first)
                self.daemon.wait(second)
                whole = self.daemon.events(second)
                harness.wait_for(lambda: self.streams() == 0, what="the streams' end")
                self.assertEqual([list(s) for s in late[:2]], [whole[last - 1:]] * 2)
                self.assertEqual([list(s) for s in late[2:]], [[]] * 6)
        finally:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % first)

    def test_wrong_numbers(self):
        for query in ("?after=x", "?after=-1", "?after=1.5", "?since=1", "?after=1&after=2"):
            status, _, _ = self.daemon.request("GET", "/v1/jobs/%d/events%s" % (self.done, query))
            self.assertIn(status, (400, 422), query)
        status, _, _ = self.daemon.request(
            "GET", "/v1/jobs/%d/events" % self.done, headers={"Last-Event-ID": "x"}
        )
        self.assertEqual(status, 422)
        self.assertEqual(self.daemon.request("GET", "/v1/jobs/999/events")[0], 404)

    def test_head_has_no_body(self):
        status, headers, body = self.daemon.request("HEAD", "/v1/jobs/%d/events" % self.done)
        self.assertEqual((status, body), (200, b""))
        self.assertEqual(headers["Content-Type"], "text/event-stream")

    def test_http_1_0(self):
        got = self.daemon.raw(b"GET /v1/jobs/%d/events HTTP/1.0\r\n\r\n" % self.done)
        self.assertIn(b"event: end", got)
        self.assertNotIn(b"chunked", got)

    def test_live_and_heartbeats(self):
        # The second job waits behind the first: its stream rests, and only heartbeats come.
        first = self.daemon.submit(long_job())["id"]
        try:
            self.daemon.wait(first, ("running",))
            second = self.daemon.submit(small_job())["id"]
            with self.daemon.stream(second) as lines, self.daemon.stream(
                second, accept="text/event-stream"
            ) as sse:
                live_sse = []
                reader = threading.Thread(target=lambda: live_sse.extend(sse))
                reader.start()
                harness.wait_for(lambda: sse.heartbeats >= 3, what="heartbeats")
                self.daemon.request("POST", "/v1/jobs/%d/cancel" % first)
                live = list(lines)
                reader.join()
            self.assertEqual(live[-1][1], "end")
            self.assertEqual(live, live_sse)
            self.assertEqual(live, self.daemon.events(second))
            self.assertGreaterEqual(lines.heartbeats, 2)
            self.assertGreaterEqual(sse.heartbeats, 2)
        finally:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % first)
        self.assertEqual(self.daemon.events(first)[-1][2]["state"], "cancelled")

    def test_many_readers_and_those_who_leave(self):
        job = self.daemon.submit(long_job(report_every=1))["id"]
        try:
            readers = [self.daemon.stream(job) for _ in range(100)]
            harness.wait_for(lambda: self.streams() == 100, what="100 streams")
            for r in readers[50:]:
                r.close()
            harness.wait_for(lambda: self.streams() == 50, what="closed streams are noticed")
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
            told = [[e[0] for e in r] for r in readers[:50]]
            self.assertTrue(all(t == told[0] for t in told))
            for r in readers[:50]:
                r.close()
        finally:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
        harness.wait_for(lambda: self.streams() == 0, what="no stream left")

    def test_one_who_leaves_is_noticed_before_the_heartbeat(self):
        with harness.Daemon({"heartbeat_seconds": 600}) as d:
            first = d.submit(long_job())["id"]
            s = d.stream(d.submit(long_job())["id"])
            harness.wait_for(lambda: b"cnnd_http_streams 1\n" in d.request("GET", "/metrics")[2])
            s.close()
            harness.wait_for(lambda: b"cnnd_http_streams 0\n" in d.request("GET", "/metrics")[2], what="the end")
            d.request("POST", "/v1/jobs/%d/cancel" % first)

    def test_slow_reader_holds_up_nobody_and_misses_nothing(self):
        """It takes 200 events a second, then all; one who takes nothing for 10 s is gone (test_crowd.py)."""
        job = self.daemon.submit(long_job(report_every=1))["id"]
        ids, hurry = [], threading.Event()

        def read(answer):
            for line in answer:
                ids.append(json.loads(line)["id"])
                hurry.wait(0.005)

        try:
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((self.daemon.host, self.daemon.port))
            slow.sendall(
                b"GET /v1/jobs/%d/events HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n" % job
            )
            answer = http.client.HTTPResponse(slow)
            answer.begin()
            reader = threading.Thread(target=read, args=(answer,))
            reader.start()
            with self.daemon.stream(job) as fast:
                for event in fast:
                    if event[0] == 3000:
                        break

            def seconds():
                started = time.monotonic()
                self.daemon.get("/v1/health")
                return time.monotonic() - started

            harness.keeps(1, seconds, "health")
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
            hurry.set()
            reader.join(harness.PATIENCE)
            self.assertEqual(ids, list(range(1, len(ids) + 1)))
            self.assertGreater(len(ids), 3000)
            slow.close()
        finally:
            hurry.set()
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)

    def test_a_slow_link_is_not_taken_for_gone(self):
        """Its kernel takes less at a time than is next to be sent, for longer than who takes nothing may stay."""
        job = self.daemon.submit(long_job(report_every=1))["id"]
        try:
            self.daemon.wait_step(job, 3000)
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
            with socket.socket() as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                slow.connect((self.daemon.host, self.daemon.port))
                slow.sendall(b"GET /v1/jobs/%d/events HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n" % job)
                begun, got = time.monotonic(), b""
                while time.monotonic() - begun < 15:
                    got += slow.recv(100)
                    time.sleep(0.1)
                while part := slow.recv(1 << 16):
                    got += part
            lines = got.partition(b"\r\n\r\n")[2].splitlines()
            self.assertEqual([json.loads(line)["id"] for line in lines if line], [e[0] for e in self.daemon.events(job)])
        finally:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)

    def test_one_who_is_unplugged_while_little_comes(self):
        """Heartbeats alone do not fill what the kernel keeps for it."""
        first = self.daemon.submit(long_job())["id"]
        try:
            second = self.daemon.submit(long_job())["id"]
            with socket.create_connection((self.daemon.host, self.daemon.port)) as gone:
                gone.sendall(b"GET /v1/jobs/%d/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % second)
                gone.recv(100)
                gone.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(DROP_ALL)))
                begun, pace = time.monotonic(), harness.pace()
                harness.wait_for(lambda: self.streams() == 0, what="the end of its stream")
                self.assertLess(time.monotonic() - begun, 20 * max(pace, harness.pace()))
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % second)
        finally:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % first)

    def test_restart_keeps_every_event(self):
        with harness.Daemon() as d:
            job = d.submit(small_job())["id"]
            d.wait(job)
            before = d.events(job)
            d.kill()
            d.start()
            self.assertEqual(d.events(job), before)

    def test_streams_end_when_the_daemon_stops(self):
        with harness.Daemon() as d:
            job = d.submit(long_job())["id"]
            d.wait(job, ("running",))
            with d.stream(job) as s:
                iterator = iter(s)
                next(iterator)
                self.assertEqual(d.stop(), 0)
                events = list(iterator)
            self.assertNotIn("end", [e[1] for e in events])


if __name__ == "__main__":
    harness.main()
