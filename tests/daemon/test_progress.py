#!/usr/bin/env python3
"""An import tells how far it is, to who sends it and to who watches, and is stopped from either side without a trace."""

import contextlib
import http.client
import json
import os
import threading
import time
import unittest

import harness
from harness import Daemon, png, wait_for
from people import token
from archives import tarred, zipped

NDJSON = {"Accept": "application/x-ndjson"}
FILES = 4000


def big(n=FILES):
    """Takes a while to import."""
    one = png(64, 64, bytes(i * 7 % 256 for i in range(4096)))
    return tarred([("%s/%d.png" % ("ab"[i % 2], i), one) for i in range(n)])


class ImportEvents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon(device=False))
        cls.body = big()

    def begin(self, name, query="?size=128", headers=NDJSON, body=None):
        c = self.daemon.connection()
        c.request("PUT", "/v1/datasets/%s%s" % (name, query), body=body or self.body, headers=headers)
        return c

    def watch(self, name, accept="application/x-ndjson"):
        """The open answer of a watcher, once the import has begun."""
        end = time.monotonic() + harness.PATIENCE
        while True:
            c = self.daemon.connection()
            c.request("GET", "/v1/datasets/%s/events" % name, headers={"Accept": accept})
            answer = c.getresponse()
            if answer.status == 200 or time.monotonic() > end:
                self.assertEqual(answer.status, 200)
                return c, answer
            answer.read()
            c.close()
            time.sleep(0.02)

    def leaves_nothing(self):
        wait_for(lambda: os.listdir(self.daemon.state + "/tmp") == [], what="no upload")
        # Fashion-MNIST's own import may still be at work, and has files there.
        wait_for(lambda: not [n for n in os.listdir(self.daemon.state + "/datasets") if not n.endswith(".cnnd")], what="nothing half done")

    def check_steps(self, steps):
        self.assertGreater(len(steps), 3)
        for key in ("files", "images", "written", "bytes"):
            values = [s[key] for s in steps]
            self.assertEqual(values, sorted(values), key)
        for s in steps:
            self.assertEqual(s["total_bytes"], len(self.body))
            self.assertLessEqual(s["bytes"], s["total_bytes"])
            self.assertEqual(s["split"] is None, s["phase"] == "reading")
            self.assertIn(s["phase"], ("reading", "writing"))
        reading = [s for s in steps if s["phase"] == "reading"]
        self.assertGreater(len(reading), 2)
        self.assertGreater(reading[-1]["bytes"], len(self.body) // 2)
        self.assertGreater(reading[-1]["images"], FILES // 2)

    def test_the_sender_and_a_watcher_see_the_same(self):
        answers = []
        c = self.begin("told")
        t = threading.Thread(target=lambda: answers.extend(json.loads(line) for line in c.getresponse()))
        t.start()
        w, answer = self.watch("told", "text/event-stream")
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        seen, kind = [], None
        for line in answer:
            word, _, rest = line.decode().rstrip("\n").partition(": ")
            kind = rest if word == "event" else kind
            if word == "data":
                seen.append((kind, json.loads(rest)))
        t.join()
        w.close()
        c.close()
        self.assertEqual([a["id"] for a in answers], list(range(1, len(answers) + 1)))
        told = [(a["event"], a["data"]) for a in answers]
        for events in (told, seen):
            self.assertEqual([e for e, _ in events[:-1]], ["progress"] * (len(events) - 1))
            self.check_steps([d for _, d in events[:-1]])
            self.assertEqual(events[-1], ("end", {"state": "succeeded", "created": True, "dataset": {
            **self.daemon.get("/v1/datasets/told"), "skipped": 0, "warnings": []}}))
        self.assertEqual(seen[-1][1]["dataset"]["class_counts"], {"train": [FILES * 2 // 5] * 2, "val": [FILES // 10] * 2})
        # Nothing goes on any more.
        self.assertEqual(self.daemon.request("GET", "/v1/datasets/told/events")[0], 204)
        self.assertEqual(self.daemon.request("GET", "/v1/datasets/none/events")[0], 404)
        self.leaves_nothing()

    def test_a_refused_one(self):
        body = zipped([("a/1.png", png(4, 4, bytes(16))), ("a/notes.doc", b"hello")])
        status, headers, text = self.daemon.request("PUT", "/v1/datasets/refused", body, NDJSON)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
        last = json.loads(text.splitlines()[-1])
        self.assertEqual((last["event"], last["data"]["state"], last["data"]["status"]), ("end", "failed", 422))
        self.assertIn("a/notes.doc", last["data"]["error"])
        # What is refused before it begins is a problem like any other.
        self.assertEqual(self.daemon.request("PUT", "/v1/datasets/refused?size=0", body, NDJSON)[0], 422)
        self.leaves_nothing()

    def test_delete_stops_it(self):
        self.assertEqual(self.daemon.request("PUT", "/v1/datasets/kept?val=0", zipped([("a/1.png", png(4, 4, bytes(16)))]))[0], 201)
        before = self.daemon.get("/v1/datasets/kept")
        for headers in (NDJSON, {}):
            c = self.begin("kept", headers=headers)
            w, answer = self.watch("kept")
            self.assertEqual(self.daemon.request("DELETE", "/v1/datasets/kept")[0], 204)
            last = json.loads(list(answer)[-1])["data"]
            self.assertEqual((last["state"], last["status"]), ("cancelled", 409))
            mine = c.getresponse()
            text = mine.read()
            self.assertIn(b"cancelled", text)
            self.assertEqual(mine.status, 200 if headers else 409)
            w.close()
            c.close()
            self.leaves_nothing()
            self.assertEqual(self.daemon.get("/v1/datasets/kept"), before)
        # The name is free at once, for the same request again.
        c = self.begin("again")
        self.watch("again")[0].close()
        self.assertEqual(self.daemon.request("DELETE", "/v1/datasets/again")[0], 204)
        self.assertEqual(self.daemon.request("PUT", "/v1/datasets/again", zipped([("a/1.png", png(4, 4, bytes(16)))]))[0], 201)
        c.close()
        self.leaves_nothing()
        self.assertEqual(self.daemon.request("DELETE", "/v1/datasets/again")[0], 204)
        self.assertEqual(self.daemon.request("DELETE", "/v1/datasets/again")[0], 404)

    def test_whose_it_is(self):
        with Daemon(device=False) as d:
            keep, self.daemon = self.daemon, d
            secrets = {who: {"Authorization": "Bearer " + token(d, who, *more)} for who, more in (("anna", ()), ("bert", ()), ("otto", ("--operator",)))}
            c = self.begin("mine", headers={**NDJSON, **secrets["anna"]})

            def ask(method, who, path="/v1/datasets/mine"):
                with contextlib.closing(d.connection()) as other:
                    other.request(method, path, headers=secrets.get(who, {}))
                    return other.getresponse().status

            wait_for(lambda: ask("GET", "anna", "/v1/datasets/mine/events") == 200, what="an import")
            self.assertEqual(ask("GET", "otto", "/v1/datasets/mine/events"), 200)
            for who, status in (("bert", 404), ("nobody", 401)):
                self.assertEqual(ask("GET", who, "/v1/datasets/mine/events"), status)
                self.assertEqual(ask("DELETE", who), status)
            self.assertEqual(ask("DELETE", "anna"), 204)
            self.assertEqual(json.loads(list(c.getresponse())[-1])["data"]["state"], "cancelled")
            c.close()
            self.daemon = keep

    def test_who_sends_it_leaves(self):
        c = self.begin("left")
        w, answer = self.watch("left")
        answer.readline()
        c.sock.close()
        c.close()
        last = json.loads(list(answer)[-1])["data"]
        self.assertEqual(last["state"], "cancelled")
        w.close()
        self.leaves_nothing()
        self.assertEqual(self.daemon.request("GET", "/v1/datasets/left")[0], 404)

    def test_a_watcher_leaves(self):
        c = self.begin("seen")
        w, answer = self.watch("seen")
        answer.readline()
        answer.close()
        w.close()
        self.assertEqual(json.loads(list(c.getresponse())[-1])["data"]["state"], "succeeded")
        c.close()

    def test_no_heartbeat_stands_behind_the_end(self):
        with Daemon({"heartbeat_seconds": 0.1}, device=False) as d:
            for _ in range(12):
                c = d.connection()
                c.request("PUT", "/v1/datasets/few", body=big(40), headers=NDJSON)
                self.assertTrue(c.getresponse().read().endswith(b"}\n"))
                c.close()

    def test_the_daemon_dies_and_the_same_is_sent_again(self):
        with Daemon(device=False) as d:
            keep, self.daemon = self.daemon, d
            c = self.begin("phoenix")
            w, answer = self.watch("phoenix")
            answer.readline()
            d.kill()
            with self.assertRaises((http.client.HTTPException, OSError, ValueError, IndexError)):
                self.assertNotEqual(json.loads(list(answer)[-1])["event"], "end")
                raise IndexError
            d.start()
            self.leaves_nothing()
            self.assertEqual(d.request("GET", "/v1/datasets/phoenix")[0], 404)
            w.close()
            c.close()
            c = self.begin("phoenix")
            self.assertEqual(json.loads(list(c.getresponse())[-1])["data"]["dataset"]["train"], FILES * 4 // 5)
            c.close()
            self.leaves_nothing()
            self.daemon = keep


if __name__ == "__main__":
    harness.main()
