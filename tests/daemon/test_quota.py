#!/usr/bin/env python3
"""What one user may take: requests a second, waiting jobs, stored bytes; and that it stops nobody else."""
import contextlib
import json
import os
import re
import resource
import socket
import sqlite3
import struct
import threading
import time
import unittest
import zipfile

from harness import PATIENCE, Daemon, long_job, main, png, small_job, wait_for
from people import Person, token
from archives import zipped


class Requests(unittest.TestCase):
    def test_rate(self):
        with Daemon({"requests_per_second": 5}, device=False) as d:
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            root = Person(d, token(d, "ottilie", "--operator"))
            answers, refused, begun = [], [], time.monotonic()
            while len(refused) < 10 and time.monotonic() - begun < PATIENCE:
                answers.append(anna.request("GET", "/v1/jobs"))
                refused = [a for a in answers if a[0] == 429]
            self.assertEqual(len(refused), 10, "of %d" % len(answers))
            self.assertEqual([a[0] for a in answers[:10]], [200] * 10)
            self.assertEqual({a[0] for a in answers}, {200, 429})
            self.assertEqual(refused[0][1].get_all("Retry-After"), ["1"])
            self.assertIn("5 requests a second", refused[0][2]["detail"])
            self.assertEqual(bert.status("GET", "/v1/jobs"), 200)
            self.assertEqual({root.status("GET", "/v1/jobs") for _ in range(30)}, {200})
            self.assertIn(anna.status("GET", "/v1/health"), (200, 503))
            time.sleep(1)
            self.assertEqual(anna.status("GET", "/v1/jobs"), 200)


class Memory(unittest.TestCase):
    def hold(self, d, person, size):
        """An image of so many bytes on its way, but for the last one."""
        c = d.connection()
        self.addCleanup(c.close)
        c.putrequest("POST", "/v1/models/none/classify")
        for name, value in person.headers.items():
            c.putheader(name, value)
        c.putheader("Content-Length", str(size))
        c.endheaders()
        c.send(bytes(size - 1))
        return c

    def test_bodies(self):
        """Who holds all that one may hold is told so; others send images, and everybody JSON."""
        options = {"body_memory_bytes": "4M", "max_image_bytes": "2M"}
        with Daemon(options, device=False) as d:
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            carl, root = Person(d, token(d, "carl")), Person(d, token(d, "ottilie", "--operator"))

            def held(size):
                text = b"\ncnnd_http_body_bytes %d\n" % size
                wait_for(lambda: text in root.get("/metrics"), what="%d bytes held" % size)

            def send(person, size=1 << 20):
                status, _, body = person.request("POST", "/v1/models/none/classify", bytes(size))
                return status, body["detail"]

            def submit(person):
                return person.request("POST", "/v1/jobs", {"name": "x" * 500000})[0]

            held(0)
            first = self.hold(d, anna, 2 << 20)
            held((2 << 20) - 1)
            status, detail = send(anna)
            self.assertEqual(status, 429, detail)
            self.assertIn(str(2 << 20), detail)
            self.assertEqual(submit(anna), 422)
            self.assertEqual(send(bert)[0], 404, "there is room for him, and no such model")
            self.hold(d, bert, 2 << 20)
            held((4 << 20) - 2)
            status, detail = send(carl)
            self.assertEqual(status, 503, detail)
            self.assertIn("%d bytes" % (4 << 20), detail)
            self.assertEqual({submit(who) for who in (anna, bert, carl, root)}, {422})
            first.send(b"\0")
            self.assertEqual(first.getresponse().status, 404)
            held((2 << 20) - 1)
            self.assertEqual(send(anna)[0], 404)
            self.assertEqual(send(root, 2 << 20)[0], 404)


def model(classes):
    """One that has these."""
    n = len(classes)
    net = {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": n}]}
    head = {
        "__metadata__": {"architecture": json.dumps(net), "input": "[1,1,1]", "classes": json.dumps(classes)},
        "net.1.weight": {"dtype": "F32", "shape": [n, 1], "data_offsets": [0, 4 * n]},
        "net.1.bias": {"dtype": "F32", "shape": [n], "data_offsets": [4 * n, 8 * n]},
    }
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8 * n)


class Answers(unittest.TestCase):
    def ask(self, d, person, name):
        """For a model, of whose answer nearly nothing is taken."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((d.host, d.port))
        fields = {"Host": "localhost", **person.headers}
        s.sendall("".join(["GET /v1/models/%s HTTP/1.1\r\n" % name, *("%s: %s\r\n" % f for f in fields.items()), "\r\n"]).encode())
        return s

    def test_nobody_takes_them(self):
        """Who asks for much and reads none of it holds his share of the memory, and then is told so."""
        classes = ["%0190d" % i for i in range(32000)]
        size = len(json.dumps(classes))
        with Daemon({"body_memory_bytes": "20M", "max_image_bytes": "10M"}, device=False) as d:
            anna, bert, carl = (Person(d, token(d, name)) for name in ("anna", "bert", "carl"))
            root = Person(d, token(d, "ottilie", "--operator"))
            body = model(classes)
            for person, name in ((anna, "a"), (bert, "b"), (carl, "c")):
                self.assertEqual(person.status("PUT", "/v1/models/%s/weights" % name, body), 201)
            held = lambda: int(re.search(rb"\ncnnd_http_answer_bytes (\d+)", root.get("/metrics"))[1])
            unread = [self.ask(d, anna, "a")]
            wait_for(lambda: held() > size / 2, what="one answer held")
            status, headers, body = anna.request("GET", "/v1/models/a")
            self.assertEqual(status, 429)
            self.assertIn("Retry-After", headers)
            self.assertIn("answers to you", body["detail"])
            self.assertEqual(bert.request("GET", "/v1/models/b")[0], 200)
            unread += [self.ask(d, bert, "b"), self.ask(d, carl, "c")]
            wait_for(lambda: held() > 2.5 * size, what="three answers held")
            self.assertEqual(root.request("GET", "/v1/models/a")[0], 503)
            self.assertEqual(anna.status("GET", "/v1/jobs"), 200, "small answers are anybody's")
            for s in unread:
                s.close()
            wait_for(lambda: held() == 0, what="no answer held")
            self.assertEqual(anna.request("GET", "/v1/models/a")[0], 200)


class Files(unittest.TestCase):
    def hold(self, d, person, path, size=1 << 20):
        """An upload of so many bytes on its way, but for the last one."""
        c = d.connection()
        self.addCleanup(c.close)
        c.putrequest("PUT", path)
        for name, value in {**person.headers, "Content-Length": str(size)}.items():
            c.putheader(name, value)
        c.endheaders()
        c.send(bytes(size - 1))
        return c

    def people(self, d):
        return Person(d, token(d, "anna")), Person(d, token(d, "bert")), Person(d, token(d, "ottilie", "--operator"))

    def test_uploads(self):
        """One user's uploads leave room for others', until all is taken."""
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))  # 50 files
        with Daemon(device=False, before=limit) as d:
            anna, bert, root = self.people(d)
            under_way = lambda n: wait_for(lambda: len(os.listdir(os.path.join(d.state, "tmp"))) == n, what="%d uploads" % n)
            put = lambda person: person.request("PUT", "/v1/models/m/weights", b"123456789")
            held = [self.hold(d, anna, "/v1/models/a/weights", 9) for _ in range(25)]
            under_way(25)
            status, headers, body = put(anna)
            self.assertEqual(status, 429, body)
            self.assertIn("25 files of yours", body["detail"])
            self.assertIn("Retry-After", headers)
            self.assertEqual((put(bert)[0], put(root)[0]), (400, 400), "there is room, and no model in these bytes")
            held += [self.hold(d, bert, "/v1/models/b/weights", 9) for _ in range(25)]
            under_way(50)
            self.assertEqual((put(bert)[0], put(root)[0]), (503, 503))
            held.pop(0).close()
            under_way(49)
            wait_for(lambda: put(anna)[0] == 400, what="room for another")

    def test_bytes_on_their_way(self):
        """What one user sends is never more than what he may store."""
        with Daemon({"stored_bytes": "3M", "max_dataset_bytes": "3M", "max_weights_bytes": "1M"}, device=False) as d:
            anna, bert, root = self.people(d)
            size = lambda: sum(os.path.getsize(os.path.join(d.state, "tmp", f)) for f in os.listdir(os.path.join(d.state, "tmp")))
            held = [self.hold(d, anna, "/v1/datasets/a%d" % i) for i in range(3)]
            wait_for(lambda: size() == 3 * ((1 << 20) - 1), what="3 MiB on their way")
            status, _, body = anna.request("PUT", "/v1/datasets/more", bytes(1000))
            self.assertEqual(status, 429, body)
            self.assertIn("%d may be one user's" % (3 << 20), body["detail"])
            for person in (bert, root):
                self.assertEqual(person.request("PUT", "/v1/datasets/more", bytes(1000))[0], 422)
            held[0].close()
            wait_for(lambda: anna.request("PUT", "/v1/datasets/more", bytes(1000))[0] == 422, what="room for another")

    def test_imports(self):
        """While one user's import goes on, another's begins."""
        side, pictures = 256, 3000
        image = png(side, side, os.urandom(side * side))
        body = zipped([("%s/%d.png" % ("ab"[i % 2], i), image) for i in range(pictures)], zipfile.ZIP_STORED)
        small = zipped([("%s/%d.png" % ("ab"[i % 2], i), png(8, 8, bytes(64))) for i in range(4)])
        with Daemon(device=False) as d:
            anna, bert, _ = self.people(d)
            answers = []
            t = threading.Thread(target=lambda: answers.append(anna.request("PUT", "/v1/datasets/long", body)[0]))
            t.start()
            wait_for(lambda: anna.status("GET", "/v1/datasets/long/events") == 200, what="the import goes on")
            status, headers, answer = anna.request("PUT", "/v1/datasets/second", small)
            self.assertEqual((status, answers), (429, []), answer)
            self.assertIn("Retry-After", headers)
            self.assertEqual(bert.request("PUT", "/v1/datasets/his", small)[0], 201)
            self.assertEqual(anna.status("DELETE", "/v1/datasets/long"), 204)
            t.join()
            self.assertEqual(anna.request("PUT", "/v1/datasets/second", small)[0], 201)


class Streams(unittest.TestCase):
    def test_listening_costs_no_requests(self):
        """Whoever listens is asked for the token again and again, which is no request of theirs."""
        with Daemon({"requests_per_second": 8, "heartbeat_seconds": 0.1}) as d:
            d.need_fashion()
            anna, root = Person(d, token(d, "anna")), Person(d, token(d, "ottilie", "--operator"))
            first = root.submit(long_job())
            job = anna.submit(small_job())
            streams = []
            for _ in range(16):
                time.sleep(0.15)
                streams.append(d.stream(job, headers=anna.headers))
                self.assertEqual(streams[-1].status, 200)
            time.sleep(0.5)
            answers = []
            for _ in range(6):
                answers.append(anna.status("GET", "/v1/jobs/%d" % job))
                time.sleep(0.15)
            self.assertEqual(answers, [200] * 6)
            for s in streams:
                s.close()
            root.request("POST", "/v1/jobs/%d/cancel" % first)


class Queue(unittest.TestCase):
    def test_waiting_jobs(self):
        with Daemon({"queued_jobs": 3}) as d:
            d.need_fashion()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            root = Person(d, token(d, "ottilie", "--operator"))
            first = anna.submit(long_job())
            wait_for(lambda: anna.get("/v1/jobs/%d" % first)["state"] == "running")
            jobs = [anna.submit(long_job()) for _ in range(3)]
            status, headers, body = anna.request("POST", "/v1/jobs", long_job())
            self.assertEqual(status, 429)
            self.assertGreater(int(headers["Retry-After"]), 0)
            self.assertIn("3 of your jobs wait", body["detail"])
            anna.request("POST", "/v1/jobs/%d/pause" % jobs[0])
            self.assertEqual(anna.status("POST", "/v1/jobs", long_job()), 429, "a paused job waits too")
            self.assertEqual(bert.status("POST", "/v1/jobs", small_job()), 201)
            for _ in range(5):
                root.submit(small_job())
            anna.request("POST", "/v1/jobs/%d/cancel" % jobs[1])
            self.assertEqual(anna.status("POST", "/v1/jobs", long_job()), 201)
            d.stop()


class Bytes(unittest.TestCase):
    def test_an_import_too_large_is_logged_as_such(self):
        """To who asks for events it answers 200 before it is known to be too much; the log tells the end, too."""
        with Daemon({"stored_bytes": 1000}, device=False) as d:
            anna = Person(d, token(d, "anna"))
            files = zipped([("%s/%d.png" % (c, i), png(8, 8, bytes(64))) for c in "ab" for i in range(20)])
            for number, accept in enumerate(("text/event-stream", "application/json")):
                answer = anna.request("PUT", "/v1/datasets/set%d" % number, files, {"Accept": accept})
                if number:
                    self.assertEqual(answer[0], 413)
                else:
                    self.assertEqual(answer[0], 200)
                    self.assertIn(b'"status":413', answer[2])
                line = "the import of data set set%d failed status=413 user=anna" % number
                wait_for(lambda: any(line in told for told in d.log_lines), what=line)
                self.assertEqual(anna.status("GET", "/v1/datasets/set%d" % number), 404)

    def test_stored(self):
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="seed"))["id"])
            weights = d.request("GET", "/v1/models/seed/weights")[2]
            d.stop()
            d.options["stored_bytes"] = int(len(weights) * 2.5)
            d.start()
            d.need_device()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            root = Person(d, token(d, "ottilie", "--operator"))

            def put(person, name, body=weights):
                return person.request("PUT", "/v1/models/%s/weights" % name, body)

            self.assertEqual(put(anna, "a1")[0], 201)
            self.assertEqual(put(anna, "a2")[0], 201)
            status, _, body = put(anna, "a3")
            self.assertEqual(status, 507)
            self.assertIn("delete models", body["detail"])
            # Without a length it is found out when it has come.
            pieces = (weights[i : i + 4096] for i in range(0, len(weights), 4096))
            self.assertEqual(put(anna, "a3", pieces)[0], 507)
            self.assertEqual(put(anna, "a3", b"x" * (len(weights) * 3))[0], 413)
            self.assertEqual(os.listdir(os.path.join(d.state, "tmp")), [])
            self.assertEqual(anna.status("GET", "/v1/models/a3"), 404)
            self.assertEqual(put(bert, "b1")[0], 201)
            for i in range(4):
                self.assertEqual(put(root, "r%d" % i)[0], 201)
            self.assertEqual(anna.status("DELETE", "/v1/models/a1"), 204)
            self.assertEqual(put(anna, "a3")[0], 201)
            # One that takes another's place needs no room beside it.
            self.assertEqual(put(anna, "a3")[0], 200)
            # A job whose model has no room is refused before it runs; the model counts while the job waits.
            self.assertEqual(anna.status("POST", "/v1/jobs", small_job(epochs=1, save_as="a4")), 507)
            self.assertEqual(anna.status("DELETE", "/v1/models/a3"), 204)
            first = root.submit(long_job())
            wait_for(lambda: root.get("/v1/jobs/%d" % first)["state"] == "running")
            job = anna.submit(small_job(epochs=1, save_as="a4"))
            status, _, body = anna.request("POST", "/v1/jobs", small_job(epochs=1, save_as="a5"))
            self.assertEqual(status, 507)
            stored, limit = map(int, re.search(r"would store (\d+) of the (\d+) you may, with the models", body["detail"]).groups())
            self.assertEqual(limit, int(len(weights) * 2.5))
            self.assertTrue(0 < stored - len(weights) * 3 < 12000, "two requests, and what they report")
            self.assertEqual(put(anna, "a5")[0], 507)
            self.assertEqual(anna.status("POST", "/v1/jobs/%d/cancel" % job), 202)
            wait_for(lambda: anna.get("/v1/jobs/%d" % job)["state"] == "cancelled")
            root.request("POST", "/v1/jobs/%d/cancel" % first)
            job = anna.submit(small_job(epochs=1, save_as="a4"))
            wait_for(lambda: anna.get("/v1/jobs/%d" % job)["state"] == "succeeded")
            self.assertEqual(anna.get("/v1/models/a4")["bytes"], len(weights))
            self.assertEqual(anna.status("POST", "/v1/jobs", small_job(epochs=1, save_as="a5")), 507)
            self.assertEqual(anna.status("POST", "/v1/jobs", small_job(epochs=1, save_as="a4")), 201)

    def test_results(self):
        """What a classify job's scores will take counts when it is submitted, what they take when it has ended."""
        with Daemon({"stored_bytes": 1300000}) as d:
            d.need_fashion()
            anna = Person(d, token(d, "anna"))
            first = anna.submit(small_job(max_steps=1, save_as="m"))
            wait_for(lambda: anna.get("/v1/jobs/%d" % first)["state"] == "succeeded")
            long = anna.submit(small_job(epochs=1000, report_every=1000000))
            scores = {"type": "classify", "model": "m", "dataset": "fashion-mnist"}  # of 10,000 images, some 400 kB
            waiting = [anna.submit(scores) for _ in range(2)]
            status, _, body = anna.request("POST", "/v1/jobs", scores)
            self.assertEqual(status, 507)
            self.assertIn("a limit a smaller result", body["detail"])
            self.assertEqual(anna.status("POST", "/v1/jobs", dict(scores, limit=100)), 201)
            anna.request("POST", "/v1/jobs/%d/cancel" % long)
            wait_for(lambda: anna.get("/v1/jobs/%d" % waiting[1])["state"] == "succeeded")
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"))) as db:
                row = "SELECT kept_bytes - length(request) - 160 * events FROM jobs WHERE id = ?"
                size = os.path.getsize(os.path.join(d.state, "jobs/%d/result.json" % waiting[0]))
                self.assertEqual(db.execute(row, waiting[:1]).fetchone()[0], size)
                self.assertLess(size, 10000 * 40)
            self.assertEqual(anna.status("POST", "/v1/jobs", scores), 201)

    def test_a_job_that_comes_and_goes(self):
        """Each pause and each resume is an event, which counts."""
        with Daemon({"stored_bytes": 8000}) as d:
            d.need_fashion()
            anna, root = Person(d, token(d, "anna")), Person(d, token(d, "ottilie", "--operator"))
            first = root.submit(long_job())
            job = anna.submit(small_job(epochs=1, report_every=1000))
            for _ in range(100):
                self.assertEqual(anna.status("POST", "/v1/jobs/%d/pause" % job), 202)
                status, _, body = anna.request("POST", "/v1/jobs/%d/resume" % job)
                if status != 202:
                    break
            self.assertEqual(status, 507)
            self.assertIn("delete models, data sets or ended jobs", body["detail"])
            self.assertEqual(root.status("POST", "/v1/jobs/%d/resume" % job), 202, "operators have no limit")
            self.assertEqual(anna.status("POST", "/v1/jobs/%d/cancel" % job), 202)
            self.assertEqual(anna.status("DELETE", "/v1/jobs/%d" % job), 204)
            self.assertEqual(root.status("POST", "/v1/jobs/%d/cancel" % first), 202)

    def test_events(self):
        """What a job reports counts: all of it when it is submitted, what there is when it has ended."""
        with Daemon({"stored_bytes": "2M"}) as d:
            d.need_fashion()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            root = Person(d, token(d, "ottilie", "--operator"))
            many = small_job(epochs=800, batch_size=128, report_every=1)  # of 8 steps: 6400 points, 1600 of epochs
            status, _, body = anna.request("POST", "/v1/jobs", small_job(epochs=10000, batch_size=128, report_every=1))
            self.assertEqual(status, 507)
            self.assertIn("a larger report_every makes fewer", body["detail"])
            self.assertEqual(anna.status("POST", "/v1/jobs", small_job(epochs=10000, batch_size=128)), 507,
                             "without report_every there is a point a step in so short an epoch")
            job = anna.submit(many)
            self.assertEqual(anna.status("POST", "/v1/jobs", many), 507, "the first may report as much yet")
            self.assertEqual(anna.status("POST", "/v1/jobs", dict(many, epochs=100)), 201)
            self.assertEqual((bert.status("POST", "/v1/jobs", many), root.status("POST", "/v1/jobs", many)), (201, 201))
            anna.request("POST", "/v1/jobs/%d/cancel" % job)
            wait_for(lambda: anna.get("/v1/jobs/%d" % job)["state"] == "cancelled")
            other = anna.submit(many)
            wait_for(lambda: anna.get("/v1/jobs/%d" % other)["state"] == "succeeded")
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"))) as db:
                row = "SELECT kept_bytes - length(request), events FROM jobs WHERE id = ?"
                kept, events = db.execute(row, (other,)).fetchone()
                self.assertGreaterEqual(events, 8000)
                self.assertEqual(kept, 160 * events)
                self.assertEqual(db.execute(row, (job,)).fetchone()[0], 160 * db.execute(row, (job,)).fetchone()[1])
                stored = db.execute("SELECT sum(length(data) + 20) FROM events WHERE job = ?", (other,)).fetchone()[0]
                self.assertLess(stored, kept)
                self.assertGreater(stored, kept / 2)
            self.assertEqual(anna.status("POST", "/v1/jobs", many), 507, "its events stay")
            wait_for(lambda: all(j["finished_at"] for j in root.get("/v1/jobs")["jobs"]), what="all have ended")
            # So they count after an upgrade from the version before.
            d.stop()
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"))) as db:
                rows = db.execute("SELECT id, kept_bytes FROM jobs").fetchall()
                db.executescript("DROP INDEX jobs_user_kept; ALTER TABLE jobs DROP COLUMN kept_bytes; "
                                 "ALTER TABLE models DROP COLUMN mark; ALTER TABLE datasets DROP COLUMN inode; "
                                 "ALTER TABLE datasets DROP COLUMN mtime_ns; ALTER TABLE datasets DROP COLUMN mark; "
                                 "ALTER TABLE jobs DROP COLUMN best_epoch; PRAGMA user_version = 7;")
                d.start()
                self.assertEqual(db.execute("SELECT id, kept_bytes FROM jobs").fetchall(), rows)
            wait_for(lambda: d.request("GET", "/v1/health")[0] == 200, what="health")
            self.assertEqual(anna.status("POST", "/v1/jobs", many), 507)
            self.assertEqual(anna.status("DELETE", "/v1/jobs/%d" % other), 204)
            self.assertEqual(anna.status("POST", "/v1/jobs", many), 201)

    def test_data_sets(self):
        def archive(images):
            return zipped([("%s/%d.png" % ("ab"[i % 2], i), png(16, 16, bytes([i]) * 256)) for i in range(images)])

        with Daemon({"stored_bytes": 40000}, device=False) as d:
            anna = Person(d, token(d, "anna"))
            self.assertEqual(anna.request("PUT", "/v1/datasets/one?val=0", archive(60))[0], 201)
            self.assertGreater(os.path.getsize(os.path.join(d.state, "datasets", "one.cnnd")), 20000)
            # In its own place there is room for it, beside it there is not.
            self.assertEqual(anna.request("PUT", "/v1/datasets/one?val=0", archive(62))[0], 200)
            self.assertEqual(anna.request("PUT", "/v1/datasets/two?val=0", archive(60))[0], 507)
            d.stop()
            d.options["stored_bytes"] = 10000
            d.start()
            # Past the quota an archive is refused before it is sent.
            head = "PUT /v1/datasets/two HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: 1000000000\r\nAuthorization: %s\r\n\r\n"
            answer = d.raw((head % (d.host, d.port, anna.headers["Authorization"])).encode())
            self.assertIn(b" 507 ", answer.split(b"\r\n")[0])
            self.assertIn(b"of the 10000 you may", answer)
            self.assertEqual(anna.request("PUT", "/v1/datasets/one?val=0", archive(4))[0], 413)
            self.assertEqual(anna.status("DELETE", "/v1/datasets/one"), 204)


if __name__ == "__main__":
    main()
