#!/usr/bin/env python3
"""What who runs the daemon relies on: metrics, the log, --check, the service manager, backup, a start with many jobs."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

from harness import BINARY, PATIENCE, Daemon, keeps, long_job, main, npy, small_job, wait_for
from people import Person, token

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MANY = 100000


def parse(text):
    """Prometheus' text form, strictly: {(name, labels): value}, with each name's type."""
    values, types = {}, {}
    for line in text.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, "%s has two types" % name
            types[name] = kind
        elif not line.startswith("# HELP "):
            m = re.fullmatch(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"\\]*",?)+)\})? (\S+)', line)
            assert m, "not a sample: " + line
            family = re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert m[1] in types or types.get(family) == "histogram", "no type for " + line
            key = (m[1], m[2] or "")
            assert key not in values, "twice: " + line
            values[key] = float(m[3])
    return values, types


class Metrics(unittest.TestCase):
    def test_of_work(self):
        with Daemon() as d:
            d.need_fashion()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            root = Person(d, token(d, "ottilie", "--operator"))
            job = anna.submit(small_job(epochs=2, save_as="m"))
            wait_for(lambda: anna.get("/v1/jobs/%d" % job)["state"] == "succeeded")
            self.assertEqual(anna.status("POST", "/v1/models/m/classify", npy((3, 1, 28, 28), [0.5] * 3 * 784)), 200)
            running = anna.submit(long_job())
            wait_for(lambda: anna.get("/v1/jobs/%d" % running)["state"] == "running")
            waiting = anna.submit(long_job())
            bert.submit(long_job())
            time.sleep(0.2)
            stream = d.stream(waiting, headers=root.headers)
            values, types = parse(root.get("/metrics"))
            stream.close()
            self.assertEqual(values["cnnd_jobs", 'state="succeeded"'], 1)
            self.assertEqual(values["cnnd_user_jobs", 'user="anna",state="queued"'], 1)
            self.assertEqual(values["cnnd_user_jobs", 'user="anna",state="running"'], 1)
            self.assertEqual(values["cnnd_user_jobs", 'user="bert",state="queued"'], 1)
            self.assertGreaterEqual(values["cnnd_steps_total", ""], 32)
            self.assertEqual(values["cnnd_images_total", 'for="training"'], values["cnnd_steps_total", ""] * 64)
            self.assertEqual(values["cnnd_images_total", 'for="classification"'], 3)
            self.assertEqual(values["cnnd_queue_seconds_count", ""], 2)
            self.assertGreater(values["cnnd_queue_oldest_seconds", ""], 0.1)
            busy = [v for (name, _), v in values.items() if name == "cnnd_device_busy_seconds_total"]
            self.assertGreater(sum(busy), 0.1)
            self.assertGreater(values["cnnd_device_memory_bytes", 'device="0:0"'], 1 << 20)
            self.assertEqual(values["cnnd_http_streams", ""], 1)
            route = 'method="POST",path="/v1/jobs"'
            self.assertEqual(values["cnnd_http_request_seconds_count", route], 4)
            buckets = [v for (n, l), v in values.items() if n == "cnnd_http_request_seconds_bucket" and route in l]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(buckets[-1], 4)
            self.assertGreater(values["cnnd_http_request_seconds_sum", route], 0)
            self.assertEqual(types["cnnd_http_request_seconds"], "histogram")
            # A plain user's scraper does not learn who else is there, nor of their jobs.
            text = bert.get("/metrics")
            self.assertIn(b'user="bert"', text)
            self.assertNotIn(b"anna", text)
            values, _ = parse(text)
            own = {labels: v for (name, labels), v in values.items() if name == "cnnd_jobs"}
            self.assertEqual(own.pop('state="queued"'), 1)
            self.assertEqual(set(own.values()), {0})
            self.assertEqual(parse(anna.get("/metrics"))[0]["cnnd_jobs", 'state="succeeded"'], 1)

    def test_used_memory_of_a_device(self):
        with Daemon() as d:
            d.need_fashion()
            d.submit(long_job())
            wait_for(lambda: parse(d.get("/metrics"))[0]["cnnd_device_used_bytes", 'device="0:0"'] > 1000)


class Log(unittest.TestCase):
    def test_requests_that_change(self):
        with Daemon(device=False) as d:
            secret = token(d, "anna")
            anna = Person(d, secret)
            anna.status("GET", "/v1/jobs")
            anna.status("POST", "/v1/jobs/7/cancel")
            d.stop()
            text = "".join(d.log_lines)
            self.assertRegex(text, r"info front: request method=POST path=/v1/jobs/7/cancel status=404 user=anna seconds=0\.\d+")
            self.assertNotIn("method=GET", text)
            self.assertNotIn(secret[14:], text)

    def test_journal(self):
        with Daemon(device=False, env={"JOURNAL_STREAM": "1:2"}) as d:
            d.stop()
            self.assertRegex("".join(d.log_lines), r"(?m)^<6>front: cnnd \S+ listening on http://")

    def test_who_asks_whether_it_is_ready(self):
        """Answers before it is are no warnings."""
        self.assertEqual(self.about_health({}), [])
        self.assertRegex("".join(self.about_health({"log_level": "debug"})), r"(?m) debug front: /v1/health: starting: ")

    def about_health(self, options):
        """What the log says of one who asked before all was ready; which may be so before anybody can ask."""
        for _ in range(100):
            with Daemon(options, device=False) as d:
                early = d.request("GET", "/v1/health")[0] == 503
                d.need_device()
            if early:
                return [line for line in d.log_lines if "/v1/health" in line]
        raise AssertionError("it is always ready at once")


class Clock(unittest.TestCase):
    def test_put_back(self):
        """A job that was submitted later than now has not waited a negative time."""
        with Daemon() as d:
            d.need_fashion()
            d.submit(long_job())
            wait_for(lambda: d.get("/v1/jobs?state=running")["jobs"])
            d.submit(long_job())
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"))) as db, db:
                db.execute("UPDATE jobs SET created_at = created_at + 3600000 WHERE state = 'queued'")
            self.assertEqual(parse(d.get("/metrics"))[0]["cnnd_queue_oldest_seconds", ""], 0)


class Check(unittest.TestCase):
    def test_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pem")
            with open(path, "w", encoding="utf-8") as f:
                f.write("-----BEGIN CERTIFICATE-----\nnonsense\n")
            words = [BINARY, "--check", "--state", folder, "--tls-cert", path, "--tls-key", path]
            done = subprocess.run(words, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn("tls_cert and tls_key cannot be used: ", done.stderr)
            done = subprocess.run([BINARY, "--check", "--state", folder], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0)
            self.assertIn("slice_seconds = 60", done.stdout)

    def test_operators(self):
        with tempfile.TemporaryDirectory() as folder:
            for names, complaint in (("root, @daemon", ""), ("root,nosuch", 'this machine has no user "nosuch"'),
                                     ("@nosuch", 'this machine has no group "nosuch"')):
                words = [BINARY, "--check", "--state", folder, "--operators", names]
                done = subprocess.run(words, capture_output=True, text=True)
                self.assertEqual(done.returncode, 2 if complaint else 0)
                self.assertIn(complaint, done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "only root can be another user")
    def test_files_of_another_user(self):
        """What root has left by a run by hand keeps the daemon's own user out, and --check says so."""
        def nobody():
            os.setgid(65534)
            os.setuid(65534)

        with tempfile.TemporaryDirectory(prefix="cnnd-check-") as folder, tempfile.TemporaryDirectory() as programs:
            os.chown(folder, 65534, 65534)
            os.chmod(programs, 0o755)
            words = [shutil.copy(BINARY, programs), "--check", "--state", folder]  # the tree may lie below /root
            self.assertEqual(subprocess.run(words, stdout=subprocess.DEVNULL, preexec_fn=nobody).returncode, 0)
            with Daemon(state=folder, device=False):
                pass
            done = subprocess.run(words, capture_output=True, text=True, preexec_fn=nobody)
            self.assertEqual(done.returncode, 2)
            self.assertIn("lock cannot be written: Permission denied", done.stderr)


class ServiceManager(unittest.TestCase):
    def test_notify(self):
        folder = tempfile.mkdtemp(prefix="cnnd-notify-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "notify")
        for name, address in ((path, path), ("@cnnd-%d" % os.getpid(), "\0cnnd-%d" % os.getpid())):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.bind(address)
                s.settimeout(PATIENCE)
                begun = time.monotonic()
                with Daemon(device=False, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}) as d:
                    self.assertEqual(s.recv(100), b"READY=1")
                    for _ in range(5):
                        self.assertEqual(s.recv(100), b"WATCHDOG=1")
                    self.assertGreater(time.monotonic() - begun, 0.6)  # no more of them than one in half of that time

                    def next_one():
                        s.setblocking(False)
                        with contextlib.suppress(BlockingIOError):
                            while True:
                                s.recv(100)
                        s.settimeout(PATIENCE)
                        begun = time.monotonic()
                        s.recv(100)
                        return time.monotonic() - begun

                    keeps(0.4, next_one, "the watchdog's")
                    d.stop()
                    rest = []
                    s.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            rest.append(s.recv(100))
                    self.assertIn(b"STOPPING=1", rest)

    def test_names_of_processes(self):
        """What top, the journal and the kernel's out-of-memory killer call them."""
        def name(pid):
            with open("/proc/%d/comm" % pid) as f:
                return f.read()

        with Daemon(device=False) as d:
            self.assertEqual(name(d.process.pid), "cnnd\n")
            wait_for(lambda: [name(pid) for pid in d.children("decoder")] == ["cnnd-decoder\n"], what="a decoder with its name")

    def test_who_goes_first(self):
        """Where memory is out the kernel takes a child before the front, whatever either has taken."""
        def score(pid):
            with open("/proc/%d/oom_score_adj" % pid) as f:
                return int(f.read())

        with Daemon(device=False) as d:
            wait_for(lambda: [score(pid) for pid in d.children("decoder")] == [500], what="a decoder that goes first")
            self.assertEqual(score(d.process.pid), score(os.getpid()))

    def test_files_are_nobody_elses(self):
        """Whoever made the state folder, and with whatever umask cnnd was started."""
        folder = tempfile.mkdtemp(prefix="cnnd-open-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        with Daemon(state=folder, device=False, before=lambda: os.umask(0o022)) as d:
            d.request("PUT", "/v1/models/m/weights", bytes(100))
            found = {name: os.lstat(os.path.join(at, name)).st_mode & 0o077
                     for at, folders, files in os.walk(folder) for name in folders + files}
        self.assertIn("cnnd.db", found)
        self.assertEqual({name: mode for name, mode in found.items() if mode}, {})

    def test_unit_is_tight(self):
        unit = os.path.join(ROOT, "packaging", "cnnd.service")
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", unit],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-200:] + done.stderr)

    def test_unit_lets_drivers_work(self):
        """What drivers and cnnd call is allowed, as systemd reads the filter: line by line, sets and all."""
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")

        def calls(word):
            if not word.startswith("@"):
                return {word}
            said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", word], capture_output=True, text=True, check=True)
            words = [line.strip() for line in said.stdout.splitlines()[1:]]
            return set().union(*(calls(w) for w in words if w and not w.startswith("#")))

        allowed = set()
        with open(os.path.join(ROOT, "packaging", "cnnd.service"), encoding="utf-8") as f:
            for line in f:
                if line.startswith("SystemCallFilter="):
                    words = line.strip().partition("=")[2]
                    change = allowed.difference_update if words.startswith("~") else allowed.update
                    for word in words.lstrip("~").split():
                        change(calls(word))
        drivers = "ioctl mmap mprotect madvise mlock munlock mremap memfd_create eventfd2 get_mempolicy mbind set_mempolicy " \
            "sched_setaffinity sched_yield membarrier kcmp prlimit64 futex clone3 inotify_init1"
        self.assertEqual(set(drivers.split()) - allowed, set())
        self.assertFalse(allowed & {"ptrace", "mount", "setuid", "init_module"})


class Backup(unittest.TestCase):
    def test_while_it_works(self):
        folder = tempfile.mkdtemp(prefix="cnnd-backup-")
        self.addCleanup(shutil.rmtree, folder)
        copy = os.path.join(folder, "copy.db")
        with Daemon() as d:
            d.need_fashion()
            job = d.submit(long_job(report_every=1))["id"]
            waiting = d.submit(small_job(epochs=1))["id"]
            wait_for(lambda: d.get("/v1/jobs/%d" % job)["progress"]["step"] > 20)
            words = [BINARY, "backup", copy, "--state", d.state]
            subprocess.run(words, check=True)
            step = d.get("/v1/jobs/%d" % job)["progress"]["step"]
            wait_for(lambda: d.get("/v1/jobs/%d" % job)["progress"]["step"] > step)
            again = subprocess.run(words, capture_output=True, text=True)
            self.assertEqual(again.returncode, 1)
            self.assertIn("exists", again.stderr)
        self.assertEqual(os.listdir(folder), ["copy.db"])
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o600)
        with contextlib.closing(sqlite3.connect(copy)) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            rows = db.execute("SELECT events, (SELECT max(id) FROM events WHERE job = jobs.id) FROM jobs").fetchall()
            self.assertEqual(len(rows), 2)
            self.assertEqual(rows[0][0], rows[0][1], "row and events are of one moment")
        # A daemon goes on from it.
        for tried in range(50):
            state = os.path.join(folder, "state%d" % tried)
            os.makedirs(state)
            shutil.copy(copy, os.path.join(state, "cnnd.db"))
            with Daemon(state=state, device=False) as d:
                if self.goes_on(d, job, waiting):
                    return
        self.fail("the data is always there before anybody looks")

    def goes_on(self, d, job, waiting):
        """Whether the data's import was met at work. Then the first job waits for it."""
        def ready():
            return d.get("/v1/datasets/fashion-mnist")["state"] == "ready"

        wait_for(lambda: d.children("import") or ready(), what="an import")
        try:
            pid = d.children("import")[0]
            os.kill(pid, signal.SIGSTOP)
        except (IndexError, ProcessLookupError):
            return False
        if ready():
            return False
        wait_for(lambda: [v["state"] for v in d.get("/v1/devices")["devices"]] == ["ready"], what="the device")
        time.sleep(0.5)
        self.assertEqual(d.get("/v1/jobs/%d" % job)["state"], "queued", "it waits for its data")
        os.kill(pid, signal.SIGCONT)
        d.need_fashion()
        d.wait(job, ("running",))
        d.request("POST", "/v1/jobs/%d/cancel" % job)
        d.wait(waiting)  # though the folder never had any of it
        return True

    def test_beside_an_older_daemon(self):
        """A newer program copies its database as it is, and leaves it to it, which could not start again."""
        with tempfile.TemporaryDirectory() as state:
            def command(*words):
                return subprocess.run([BINARY, *words, "--state", state], capture_output=True, text=True)

            def version(name):
                with contextlib.closing(sqlite3.connect(os.path.join(state, name))) as db:
                    return db.execute("PRAGMA user_version").fetchone()[0]

            self.assertEqual(command("token", "add", "anna").returncode, 0)
            now = version("cnnd.db")
            with contextlib.closing(sqlite3.connect(os.path.join(state, "cnnd.db"))) as db:
                db.executescript("ALTER TABLE jobs DROP COLUMN best_epoch; PRAGMA user_version = %d" % (now - 1))
            self.assertEqual(command("backup", os.path.join(state, "copy")).returncode, 0)
            self.assertEqual([version("cnnd.db"), version("copy")], [now - 1, now - 1])
            with open(os.path.join(state, "lock"), "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                refused = command("token", "add", "bert")
                self.assertEqual(refused.returncode, 1)
                self.assertIn("the cnnd that runs is older", refused.stderr)
                self.assertEqual(version("cnnd.db"), now - 1)
            self.assertEqual(command("token", "add", "bert").returncode, 0)
            self.assertEqual(version("cnnd.db"), now)

    def test_two_at_once(self):
        """Of a folder that is new to both."""
        with tempfile.TemporaryDirectory() as state:
            with contextlib.closing(sqlite3.connect(os.path.join(state, "cnnd.db"), isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("BEGIN IMMEDIATE")
                words = [BINARY, "token", "list", "--state", state]
                both = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
                time.sleep(1)
                db.execute("ROLLBACK")
            self.assertEqual([(p.communicate()[1], p.returncode) for p in both], [("", 0)] * 2)

    def test_of_nothing(self):
        with tempfile.TemporaryDirectory() as state:
            words = [BINARY, "backup", os.path.join(state, "copy"), "--state", state]
            self.assertEqual(subprocess.run(words, capture_output=True).returncode, 1)
            self.assertEqual(os.listdir(state), [])


class ManyJobs(unittest.TestCase):
    def test_start(self):
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1))["id"])
            d.stop()
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"))) as db, db:
                columns = [r[1] for r in db.execute("PRAGMA table_info(jobs)") if r[1] not in ("id", "user", "state")]
                names = ", ".join(columns)
                db.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                    " INSERT INTO jobs(user, state, %s) SELECT 'user' || (i %% 20),"
                    " CASE WHEN i %% 10 = 0 THEN 'paused' WHEN i %% 10 = 1 THEN 'queued' ELSE 'succeeded' END, %s"
                    " FROM n, jobs WHERE id = 1" % (MANY, names, names))
                db.execute("INSERT INTO events SELECT id, 1, 'state', '{\"state\":\"queued\"}' FROM jobs WHERE id > 1")
                db.execute("UPDATE jobs SET events = 1 WHERE id > 1")

            def seconds(path):
                begun = time.monotonic()
                answer = d.get(path)
                if "limit" in path:
                    self.assertEqual(len(answer["jobs"]), 100)
                    self.assertGreater(answer["jobs"][0]["id"], MANY)
                return time.monotonic() - begun

            def first():
                d.stop()
                begun = time.monotonic()
                d.start()
                return time.monotonic() - begun + seconds("/v1/jobs?limit=100")

            answered = keeps(2, first, "the first list")
            d.need_device()
            times = [(path, keeps(1, lambda: seconds(path), path))
                     for path in ("/metrics", "/v1/jobs?user=user7", "/v1/jobs?state=paused", "/v1/jobs/%d" % MANY)]
            print("%d jobs: first list after %.2f s; %s" % (
                MANY, answered, ", ".join("%s %.0f ms" % (p, t * 1000) for p, t in times)))

    def test_large_requests(self):
        """A list that would be too large ends before its limit, and says where to go on."""
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1))["id"])
            d.stop()
            with contextlib.closing(sqlite3.connect(os.path.join(d.state, "cnnd.db"))) as db, db:
                names = ", ".join(r[1] for r in db.execute("PRAGMA table_info(jobs)") if r[1] not in ("id", "request"))
                db.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
                    " INSERT INTO jobs(request, %s) SELECT request || printf('%%1000000s', ''), %s FROM n, jobs"
                    " WHERE id = 1" % (names, names))
            d.start()
            self.assertNotIn("before", d.get("/v1/jobs?limit=5"))
            pages, path = [], "/v1/jobs?limit=1000"
            while path:
                status, headers, page = d.request("GET", path)
                self.assertEqual(status, 200)
                self.assertLess(int(headers["Content-Length"]), 9 << 20)
                pages.append([job["id"] for job in page["jobs"]])
                self.assertEqual(page.get("before", pages[-1][-1]), pages[-1][-1])
                path = "before" in page and "/v1/jobs?limit=1000&before=%d" % page["before"]
            self.assertEqual(sum(pages, []), list(range(41, 0, -1)))
            self.assertEqual(len(pages), 5)


if __name__ == "__main__":
    main()
