#!/usr/bin/env python3
"""The disk is full, descriptors are used up, somebody holds the database: new work is refused with a reason, reads and
streams go on, and all is well again when the cause is gone."""
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest
import zipfile

from harness import PATIENCE, SANITIZED, Daemon, keeps, long_job, main, npy, png, send_signal, slowness, small_job, wait_for
from schema import Description


@contextlib.contextmanager
def small_disk(megabytes):
    folder = tempfile.mkdtemp(prefix="cnnd-disk-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % megabytes, "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        os.rmdir(folder)
        raise unittest.SkipTest("a small disk cannot be mounted: " + mounted.stderr.decode().strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


def ask(connection, method, path):
    """(status, JSON) on a connection that stays open."""
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def seconds_used(pid):
    """Of a processor, so far."""
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        return sum(int(v) for v in f.read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def no_more_files(pid):
    """Takes its free descriptors from a process; returns the limit that it had."""
    used = {int(name) for name in os.listdir("/proc/%d/fd" % pid)}
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), limit[1]))
    return limit


def fill(path):
    """Takes all that is left."""
    with open(path, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(bytes(1 << 20))
        with contextlib.suppress(OSError):
            while True:
                f.write(bytes(256))


class FileSize(unittest.TestCase):
    def test_a_limit_is_a_full_disk(self):
        """What passes the limit of a file's size (ulimit -f, LimitFSIZE) is refused, and ends nothing."""
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with Daemon(device=False, before=limit) as d:
            for path in ("/v1/models/m/weights", "/v1/datasets/d"):
                status, _, body = d.request("PUT", path, bytes(2 << 20))
                self.assertEqual(status, 507, body)
                self.assertIn("File too large", body["detail"])
            self.assertEqual(d.request("GET", "/v1/models")[0], 200)


class Disk(unittest.TestCase):
    def test_a_start(self):
        """Without any room it does not start, and says why; the service manager tries again."""
        with small_disk(96) as disk:
            d = Daemon(state=os.path.join(disk, "state"), device=False)
            d.start()
            self.assertEqual(d.stop(), 0)
            fill(os.path.join(disk, "ballast"))
            with self.assertRaisesRegex(RuntimeError, "No space left on device|disk is full"):
                d.start()
            os.unlink(os.path.join(disk, "ballast"))
            d.start()
            self.assertEqual(d.stop(), 0)

    def test_an_import_that_found_no_room(self):
        """It is tried again when there is some, and when somebody asks; not all the time."""
        for env, asked in (({"CNND_TEST_ROOM_MS": "200"}, False), ({}, True)):
            with small_disk(128) as disk:
                ballast = os.path.join(disk, "ballast")
                with open(ballast, "wb") as f:
                    f.write(bytes(96 << 20))
                with Daemon(state=os.path.join(disk, "state"), env=env, device=False) as d:
                    if d.request("GET", "/v1/datasets/fashion-mnist")[0] == 404:
                        self.skipTest("the data set fashion-mnist is not installed")
                    wait_for(lambda: d.get("/v1/datasets/fashion-mnist")["state"] == "failed")
                    self.assertIn("No space left", d.get("/v1/datasets/fashion-mnist")["error"])
                    d.need_device()
                    time.sleep(1)
                    os.unlink(ballast)
                    if asked:
                        wait_for(lambda: d.request("POST", "/v1/jobs", small_job())[0] == 503)
                    wait_for(lambda: d.get("/v1/datasets/fashion-mnist")["state"] == "ready")
                    self.assertEqual(d.request("POST", "/v1/jobs", small_job())[0], 201)
                    self.assertEqual(sum("import of data set fashion-mnist: " in line for line in d.log_lines), 1)

    def test_full(self):
        with small_disk(96) as disk, Daemon(state=os.path.join(disk, "state")) as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            weights = d.request("GET", "/v1/models/m/weights")[2]
            job = d.submit(long_job(report_every=1))["id"]
            wait_for(lambda: d.get("/v1/jobs/%d" % job)["progress"]["step"] > 10)
            ballast = os.path.join(disk, "ballast")
            fill(ballast)
            # The write-ahead log may have room left over; then all new work is refused.
            wait_for(lambda: d.request("POST", "/v1/jobs", small_job())[0] == 507, what="507")
            status, _, body = d.request("POST", "/v1/jobs", small_job())
            self.assertEqual(status, 507)
            self.assertIn("full", body["detail"])
            self.assertEqual(d.request("PUT", "/v1/models/n/weights", weights * 100)[0], 507)
            pause = "/v1/jobs/%d/pause" % job
            self.assertEqual(Description(d.get("/v1/openapi.json")).check("POST", pause, *d.request("POST", pause))[1], 507)
            before = len(d.get("/v1/jobs")["jobs"])
            for path in ("/v1/jobs/%d" % job, "/v1/models/m", "/v1/datasets", "/metrics", "/v1/jobs/%d/curve" % job):
                self.assertEqual(d.request("GET", path)[0], 200, path)
            self.assertEqual(d.request("GET", "/v1/models/m/weights")[2], weights)
            with d.stream(job) as s:
                events = iter(s)
                self.assertEqual([next(events)[0] for _ in range(10)], list(range(1, 11)))
            os.unlink(ballast)
            wait_for(lambda: d.request("POST", "/v1/jobs", small_job(epochs=1))[0] == 201, what="201 again")
            self.assertEqual(len(d.get("/v1/jobs")["jobs"]), before + 1, "what was refused left nothing")
            self.assertEqual(d.request("PUT", "/v1/models/n/weights", weights)[0], 201)
            # The job that ran goes on, also if a checkpoint of its met the full disk.
            step = d.get("/v1/jobs/%d" % job)["progress"]["step"]
            wait_for(lambda: d.get("/v1/jobs/%d" % job)["progress"]["step"] > step)
            d.request("POST", "/v1/jobs/%d/cancel" % job)
            d.wait(job, ("cancelled",))
            events = d.events(job)
            self.assertEqual([e[0] for e in events], list(range(1, len(events) + 1)), "no event is missing")
            steps = [e[2]["step"] for e in events if e[1] == "train"]
            self.assertEqual(steps, list(range(1, len(steps) + 1)), "no point of the curve is missing")

    def test_what_makes_room(self):
        """Deletions and cancels are taken: who is told to delete something can."""
        with small_disk(96) as disk, Daemon(state=os.path.join(disk, "state")) as d:
            d.need_fashion()
            for name in ("a", "b", "c"):
                d.wait(d.submit(small_job(epochs=1, save_as=name))["id"])
            job, waiting = (d.submit(long_job(report_every=1))["id"] for _ in range(2))
            d.wait_step(job, 10)
            fill(os.path.join(disk, "ballast"))
            wait_for(lambda: d.request("POST", "/v1/jobs", small_job())[0] == 507, what="507")
            told = "front: job %d: " % job
            wait_for(lambda: any(told in line for line in d.log_lines), what="a line that it is full")
            time.sleep(4)
            self.assertEqual(sum(told in line for line in d.log_lines), 1, "once a minute")
            for name in ("a", "b", "c"):
                self.assertEqual(d.request("DELETE", "/v1/models/" + name)[0], 204)
                fill(os.path.join(disk, "more-" + name))
            for number in (waiting, job):
                self.assertEqual(d.request("POST", "/v1/jobs/%d/cancel" % number)[0], 202)
                d.wait(number, ("cancelled",))
                self.assertEqual(d.request("DELETE", "/v1/jobs/%d" % number)[0], 204)
            self.assertEqual(d.get("/v1/models")["models"], [])


class Descriptors(unittest.TestCase):
    def test_more_clients_than_descriptors(self):
        # In this process alone: its own limit is what its daemon gets.
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        folder = tempfile.mkdtemp(prefix="cnnd-fd-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "s")
        with Daemon({"socket": path}) as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            self.assertTrue(any("connections a listener" in line for line in d.log_lines))
            idle = [socket.create_connection((d.host, d.port)) for _ in range(120)]
            time.sleep(0.3)
            self.assertLess(len(os.listdir("/proc/%d/fd" % d.process.pid)), 190)
            # The operators' door is its own.
            words = ["curl", "-s", "--unix-socket", path, "http://localhost/v1/models/m/weights", "-o", "/dev/null"]
            self.assertEqual(subprocess.run(words, timeout=PATIENCE).returncode, 0)
            for s in idle:
                s.close()
            self.assertEqual(d.submit(small_job(epochs=1))["state"], "queued")


    def test_more_uploads_than_descriptors(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        head = b"PUT /v1/models/m/weights HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        with Daemon(device=False) as d:
            uploads = [socket.create_connection((d.host, d.port)) for _ in range(50)]  # a quarter
            for s in uploads:
                s.sendall(head)
            folder = os.path.join(d.state, "tmp")
            wait_for(lambda: len(os.listdir(folder)) == 50, what="50 uploads under way")
            status, headers, body = d.request("PUT", "/v1/models/m/weights", b"123456789")
            self.assertEqual(status, 503)
            self.assertIn("too many files", body["detail"])
            self.assertIn("Retry-After", headers)
            uploads.pop().close()
            wait_for(lambda: d.request("PUT", "/v1/models/m/weights", b"123456789")[0] == 400, what="room for another")
            for s in uploads:
                s.close()
            wait_for(lambda: os.listdir(folder) == [], what="no file left")

    def test_none_left(self):
        """No descriptor is left while it works: whoever is connected is served, work goes on, a worker that dies then is
        replaced when there are some again."""
        with Daemon() as d:
            d.need_fashion()
            job = d.submit(long_job(report_every=1))["id"]
            d.wait_step(job, 5)
            pid = d.process.pid
            with contextlib.closing(d.connection()) as c, d.stream(job) as events:
                ask(c, "GET", "/v1/health")
                limit = no_more_files(pid)
                waiting = [socket.create_connection((d.host, d.port)) for _ in range(20)]
                os.kill(ask(c, "GET", "/v1/devices")[1]["devices"][0]["worker_pid"], signal.SIGKILL)
                wait_for(lambda: ask(c, "GET", "/v1/devices")[1]["devices"][0]["state"] == "starting")

                def slowest():
                    times, before, begun = [], seconds_used(pid), time.monotonic()
                    while time.monotonic() < begun + 3:
                        asked = time.monotonic()
                        status, body = ask(c, "GET", "/v1/jobs/%d" % job)
                        times.append(time.monotonic() - asked)
                        self.assertEqual((status, body["state"]), (200, "queued"))
                        time.sleep(0.05)
                    self.assertLess(seconds_used(pid) - before, 0.6 * slowness(), "it runs idle")
                    return max(times)

                keeps(0.1, slowest, "an answer")
                self.assertEqual(ask(c, "GET", "/v1/models/none/weights")[0], 404)
                device = ask(c, "GET", "/v1/devices")[1]["devices"][0]
                self.assertEqual(device["state"], "starting")
                self.assertIn("Too many open files", device["reason"])
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
                self.answered(waiting)
                wait_for(lambda: d.get("/v1/devices")["devices"][0]["state"] in ("ready", "busy"))
                step = d.get("/v1/jobs/%d" % job)["progress"]["step"]
                d.wait_step(job, step + 5)
                d.request("POST", "/v1/jobs/%d/cancel" % job)
                self.assertEqual(list(events)[-1][1:], ("end", {"state": "cancelled"}))

    def test_none_left_for_the_first(self):
        with Daemon(device=False) as d:
            pid = d.process.pid
            wait_for(lambda: d.get("/v1/devices")["devices"] or d.get("/v1/devices")["problem"])
            time.sleep(0.5)  # the last connection ends
            limit = no_more_files(pid)
            waiting = [socket.create_connection((d.host, d.port)) for _ in range(3)]
            before = seconds_used(pid)
            time.sleep(2)
            self.assertLess(seconds_used(pid) - before, 0.2 * slowness(), "it runs idle")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
            self.answered(waiting)

    def answered(self, clients):
        for s in clients:
            with s:
                s.settimeout(PATIENCE)
                s.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 "))


def no_more_memory(pid, spare):
    """Leaves a process `spare` bytes of address space beyond what it has; returns the limit that it had."""
    with open("/proc/%d/statm" % pid, encoding="utf-8") as f:
        size = int(f.read().split()[0]) * resource.getpagesize()
    limit = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (size + spare, limit[1]))
    return limit


@unittest.skipIf(SANITIZED, "the address sanitizer maps memory of its own")
class Memory(unittest.TestCase):
    def test_front_has_none_left(self):
        image = npy((1, 1, 1024, 1024), [0.0] * (1 << 20))
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            job = d.submit(long_job(report_every=1))["id"]
            d.wait_step(job, 5)
            want = d.request("POST", "/v1/models/m/classify", image)
            limit = no_more_memory(d.process.pid, 1 << 20)
            for _ in range(3):
                status, _, body = d.request("POST", "/v1/models/m/classify", image)
                self.assertEqual(status, 503, body)
                self.assertIn("memory", body["detail"])
                self.assertEqual(d.request("GET", "/v1/health")[0], 200)
            step = d.get("/v1/jobs/%d" % job)["progress"]["step"]
            d.wait_step(job, step + 5)
            resource.prlimit(d.process.pid, resource.RLIMIT_AS, limit)
            self.assertEqual(d.request("POST", "/v1/models/m/classify", image)[::2], want[::2])

    def test_worker_has_none_left(self):
        wide = {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 16000}, {"type": "relu"},
                           {"type": "linear", "out_features": 10}]}
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            mapped = os.path.getsize(os.path.join(d.state, "datasets", "fashion-mnist.cnnd"))
            no_more_memory(d.worker(), mapped + (4 << 20))
            id = d.submit(small_job(architecture=wide, epochs=1))["id"]
            job = d.wait(id, ("succeeded", "failed"))
            if job["state"] == "failed":
                self.assertRegex(job["error"], "short of memory: try")
            elif d.get("/v1/devices")["devices"][0]["failures"] == 0:
                self.assertIn("its worker was lost", "".join(d.log_lines), "the limit was felt")
            self.assertEqual(d.request("GET", "/v1/health")[0], 200)
            send_signal(wait_for(d.worker, what="a worker"))
            d.wait(d.submit(small_job(architecture=wide, epochs=1))["id"])


class Locked(unittest.TestCase):
    def test_somebody_holds_the_database(self):
        with Daemon() as d:
            d.need_fashion()
            job = d.submit(long_job(report_every=1))["id"]
            wait_for(lambda: d.get("/v1/jobs/%d" % job)["progress"]["step"] > 5)
            db = sqlite3.connect(os.path.join(d.state, "cnnd.db"), isolation_level=None)
            db.execute("BEGIN IMMEDIATE")

            def refused():
                begun = time.monotonic()
                status, headers, body = d.request("POST", "/v1/jobs", small_job())
                self.assertEqual(status, 503)
                self.assertIn("locked", body["detail"])
                self.assertGreater(int(headers["Retry-After"]), 0)
                return time.monotonic() - begun

            def slowest():
                times = []
                for _ in range(20):
                    begun = time.monotonic()
                    self.assertEqual(d.request("GET", "/v1/health")[0], 200)
                    self.assertEqual(d.request("GET", "/v1/jobs/%d" % job)[0], 200)
                    times.append(time.monotonic() - begun)
                return max(times)

            keeps(3, refused, "a refusal")
            keeps(2, slowest, "two answers")
            stood = d.get("/v1/jobs/%d" % job)
            self.assertEqual(stood["state"], "running")
            db.execute("ROLLBACK")
            db.close()
            wait_for(lambda: d.get("/v1/jobs/%d" % job)["progress"]["step"] > stood["progress"]["step"])
            self.assertEqual(d.request("POST", "/v1/jobs", small_job())[0], 201)
            d.request("POST", "/v1/jobs/%d/cancel" % job)
            d.wait(job, ("cancelled",))
            events = d.events(job)
            self.assertEqual([e[0] for e in events], list(range(1, len(events) + 1)))
            steps = [e[2]["step"] for e in events if e[1] == "train"]
            self.assertEqual(steps, list(range(1, len(steps) + 1)), "no point of the curve is missing")


    def test_what_cannot_be_stored_changes_nothing(self):
        """A model's weights, and a data set, whose row cannot be written: the old pair of file and row stands."""
        def job(seed):
            return small_job(epochs=1, seed=seed, save_as="m%d" % seed)

        def sets(grey):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as z:
                for i in range(8):
                    z.writestr("%s/%d.png" % ("ab"[i % 2], i), png(4, 4, bytes([grey + i]) * 16))
            return out.getvalue()

        with Daemon() as d:
            d.need_fashion()
            for seed in (1, 2):
                d.wait(d.submit(job(seed))["id"])
            old, new = d.weights("m1"), d.weights("m2")
            self.assertNotEqual(old, new)
            self.assertEqual(d.request("PUT", "/v1/datasets/set?val=0.5", sets(10))[0], 201)
            image = b"P5 28 28 255\n" + bytes(range(196)) * 4
            files = [os.path.join(d.state, *path) for path in (("models", "m1.safetensors"), ("datasets", "set.cnnd"))]

            def seen():
                answer = d.request("POST", "/v1/models/m1/classify", image)[2]
                return [d.weights("m1"), d.get("/v1/models/m1"), answer, d.get("/v1/datasets/set"),
                        *[(os.stat(path).st_ino, os.stat(path).st_mtime_ns) for path in files],
                        [os.listdir(os.path.dirname(path)) for path in files]]

            before = seen()
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"), isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                for path, body in (("models/m1/weights", new), ("datasets/set?val=0.5", sets(20)),
                                   ("models/m3/weights", new), ("datasets/other?val=0.5", sets(20))):
                    status, _, answer = d.request("PUT", "/v1/" + path, body)
                    self.assertEqual(status, 503, path)
                    self.assertIn("locked", answer["detail"])
                    self.assertEqual(seen(), before, path)
                for path in ("models/m1", "datasets/set"):
                    self.assertEqual(d.request("DELETE", "/v1/" + path)[0], 503, path)
                    self.assertEqual(seen(), before, path)
                db.execute("ROLLBACK")
            self.assertEqual(d.request("PUT", "/v1/models/m1/weights", new)[0], 200)
            self.assertNotEqual(d.weights("m1"), old)
            self.assertEqual(d.request("PUT", "/v1/datasets/set?val=0.5", sets(20))[0], 200)
            after = seen()
            d.stop()
            d.start()
            d.need_device()
            self.assertEqual(seen(), after)


if __name__ == "__main__":
    main()
