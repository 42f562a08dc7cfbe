#!/usr/bin/env python3
"""Who may do what: every endpoint, asked by nobody, a user, another user and an operator, for own and others' objects."""
import contextlib
import io
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest
import zipfile

from harness import BINARY, Daemon, long_job, main, npy, png, small_job, wait_for
from people import Person, by_socket, revoke, token

HERE = os.path.dirname(os.path.abspath(__file__))
SUMMARY = {"architecture": "lenet", "input": [1, 28, 28], "batch": 1}


def archive():
    """A zip of two classes with two images each."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for i in range(4):
            z.writestr("%s/%d.png" % ("ab"[i % 2], i), png(8, 8, bytes(range(i, 64 + i))))
    return out.getvalue()


ARCHIVE = archive()
IMAGE = npy((1, 28, 28), [0.5] * 784)
TENSOR = {"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.5] * 784}]}

# (method, path as in the daemon's table): what somebody gets who may. `{}` is a job, model or data set of anna's.
SHARED = {
    ("GET", "/"): 200,
    ("GET", "/page/{}"): 200,
    ("GET", "/v1/openapi.json"): 200,
    ("GET", "/v1/health"): 200,
    ("GET", "/v1/version"): 200,
    ("GET", "/v1/devices"): 200,
    ("GET", "/v1/devices/{}"): 200,
    ("GET", "/metrics"): 200,
    ("GET", "/v1/architectures"): 200,
    ("POST", "/v1/architectures/summary"): 200,
    ("GET", "/v1/architectures/{}/summary"): 200,
    ("GET", "/v1/datasets"): 200,
    ("POST", "/v1/jobs"): 201,
    ("GET", "/v1/jobs"): 200,
    ("GET", "/v1/models"): 200,
    ("GET", "/v2"): 200,
    ("GET", "/v2/health/live"): 200,
    ("GET", "/v2/health/ready"): 200,
    ("POST", "/v2/repository/index"): 200,
}
OWNED = {
    ("GET", "/v1/datasets/{}"): 200,
    ("DELETE", "/v1/datasets/{}"): 204,
    ("PUT", "/v1/datasets/{}"): 200,
    ("GET", "/v1/datasets/{}/events"): 204,
    ("GET", "/v1/datasets/{}/sheet"): 200,
    ("GET", "/v1/jobs/{}"): 200,
    ("DELETE", "/v1/jobs/{}"): 409,  # it has not ended
    ("POST", "/v1/jobs/{}/cancel"): 202,
    ("POST", "/v1/jobs/{}/pause"): 202,
    ("POST", "/v1/jobs/{}/resume"): 409,  # it is not paused
    ("GET", "/v1/jobs/{}/events"): 200,
    ("GET", "/v1/jobs/{}/curve"): 200,
    ("GET", "/v1/jobs/{}/result"): 409,  # of a train job
    ("GET", "/v1/models/{}"): 200,
    ("DELETE", "/v1/models/{}"): 204,
    ("GET", "/v1/models/{}/weights"): 200,
    ("GET", "/v1/models/{}/onnx"): 200,
    ("PUT", "/v1/models/{}/onnx"): 200,
    ("PUT", "/v1/models/{}/weights"): 200,
    ("POST", "/v1/models/{}/classify"): 200,
    ("GET", "/v1/models/{}/filters"): 422,  # no layer is named
    ("POST", "/v1/models/{}/activations"): 422,
    ("POST", "/v1/models/{}/map"): 200,
    ("GET", "/v2/models/{}"): 200,
    ("GET", "/v2/models/{}/ready"): 200,
    ("POST", "/v2/models/{}/infer"): 200,
    ("GET", "/v2/models/{}/versions/{}"): 200,
    ("GET", "/v2/models/{}/versions/{}/ready"): 200,
    ("POST", "/v2/models/{}/versions/{}/infer"): 200,
}
OPEN = ("/", "/page/{}", "/v1/openapi.json", "/v1/health", "/v2/health/live", "/v2/health/ready")  # to anybody
# Who writes to a name that is another's is told that it is taken: 404 would be wrong for a PUT.
OTHERS = {("PUT", "/v1/models/{}/weights"): 409, ("PUT", "/v1/models/{}/onnx"): 409, ("PUT", "/v1/datasets/{}"): 409}
BODIES = {
    "/v1/datasets/{}": ARCHIVE,
    "/v1/architectures/summary": SUMMARY,
    "/v1/jobs": small_job(epochs=1),
    "/v1/models/{}/classify": IMAGE,
    "/v1/models/{}/map": npy((1, 128, 128), [0.5] * 16384),
    "/v2/models/{}/infer": TENSOR,
    "/v2/models/{}/versions/{}/infer": TENSOR,
}


def routes():
    with open(os.path.join(HERE, "../../daemon/api/api.c"), encoding="utf-8") as f:
        return set(re.findall(r'\{"([A-Z]+)", "([^"]+)", HTTP_', f.read()))


class Matrix(unittest.TestCase):
    """One daemon, people with tokens, and objects that are made anew for each cell."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        d = cls.daemon
        d.need_fashion()
        first = d.submit(small_job(epochs=1, save_as="seed"))
        d.wait(first["id"])
        cls.weights = d.request("GET", "/v1/models/seed/weights")[2]
        cls.onnx = d.request("GET", "/v1/models/seed/onnx")[2]
        d.stop()
        d.start()
        d.need_device()
        cls.anna, cls.bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
        cls.root, cls.nobody = Person(d, token(d, "ottilie", "--operator")), Person(d)
        cls.number = 0

    def make(self, path, owner):
        """An object of the owner's for this path; its name."""
        type(self).number += 1
        name = "x%d" % self.number
        if path.startswith("/v1/jobs/"):
            return owner.submit(long_job(name=name))
        if path.startswith(("/v1/models/", "/v2/models/")):
            status, _, body = owner.request("PUT", "/v1/models/%s/weights" % name, self.weights)
            self.assertEqual(status, 201, body)
        if path.startswith("/v1/datasets/"):
            status, _, body = owner.request("PUT", "/v1/datasets/" + name, ARCHIVE)
            self.assertEqual(status, 201, body)
        return name

    def body(self, path):
        models = {"/v1/models/{}/weights": self.weights, "/v1/models/{}/onnx": self.onnx}
        return models.get(path) or BODIES.get(path)

    def test_every_route_is_in_the_table(self):
        self.assertEqual(routes(), set(SHARED) | set(OWNED))

    def test_shared(self):
        for (method, path), good in SHARED.items():
            for name, person in (("nobody", self.nobody), ("user", self.anna), ("operator", self.root)):
                body = self.body(path) if method != "GET" else None
                want = 401 if name == "nobody" and path not in OPEN else good
                one = "0:0" if "devices" in path else "main.js" if "page" in path else "lenet"
                with self.subTest(method=method, path=path, who=name):
                    self.assertEqual(person.status(method, path.replace("{}", one), body), want)

    def test_owned(self):
        for (method, path), good in OWNED.items():
            for name, person, want in (
                ("nobody", self.nobody, 401),
                ("other", self.bert, OTHERS.get((method, path), 404)),
                ("owner", self.anna, good),
                ("operator", self.root, good),
            ):
                thing = self.make(path, self.anna)
                body = self.body(path) if method in ("PUT", "POST") else None
                with self.subTest(method=method, path=path, who=name):
                    # What follows a name is a version.
                    self.assertEqual(person.status(method, path.replace("{}", str(thing), 1).replace("{}", "1"), body), want)
                if path.startswith("/v1/jobs/"):
                    self.root.status("POST", "/v1/jobs/%d/cancel" % thing)

    def test_unknown_and_foreign_answer_alike(self):
        job, model = self.make("/v1/jobs/", self.anna), self.make("/v1/models/", self.anna)
        for path, missing in (("/v1/jobs/%d" % job, "/v1/jobs/99999"), ("/v1/models/" + model, "/v1/models/nowhere")):
            foreign, unknown = self.bert.request("GET", path)[2], self.bert.request("GET", missing)[2]
            shape = [re.sub(r"\d+|'[^']*'", "X", b["detail"]) for b in (foreign, unknown)]
            self.assertEqual(shape[0], shape[1])
        self.root.status("POST", "/v1/jobs/%d/cancel" % job)

    def test_lists_hold_ones_own(self):
        job, model = self.make("/v1/jobs/", self.anna), self.make("/v1/models/", self.anna)
        for person, sees in ((self.anna, True), (self.bert, False), (self.root, True)):
            jobs = person.get("/v1/jobs?limit=1000")["jobs"]
            models = person.get("/v1/models")["models"]
            self.assertEqual(job in [j["id"] for j in jobs], sees)
            self.assertEqual(model in [m["name"] for m in models], sees)
        self.assertEqual({j["user"] for j in self.anna.get("/v1/jobs")["jobs"]}, {"anna"})
        self.assertEqual(self.bert.get("/v1/jobs?user=anna")["jobs"], [])
        self.assertNotEqual(self.root.get("/v1/jobs?user=anna")["jobs"], [])
        self.root.status("POST", "/v1/jobs/%d/cancel" % job)

    def test_others_models_serve_no_job(self):
        model = self.make("/v1/models/", self.anna)
        job = {"type": "classify", "model": model, "dataset": "fashion-mnist", "limit": 10}
        tuned = small_job(epochs=1, init={"from": model})
        self.assertEqual(self.bert.request("POST", "/v1/jobs", job)[2]["pointer"], "/model")
        self.assertEqual(self.bert.request("POST", "/v1/jobs", tuned)[2]["pointer"], "/init/from")
        self.assertEqual(self.anna.request("POST", "/v1/jobs", job)[0], 201)
        self.assertEqual(self.anna.request("POST", "/v1/jobs", tuned)[0], 201)

    def test_names_stay_whose_they_are(self):
        model = self.make("/v1/models/", self.anna)
        status, _, body = self.bert.request("POST", "/v1/jobs", small_job(save_as=model))
        self.assertEqual((status, body["pointer"]), (409, "/save_as"))
        waiting = self.anna.submit(long_job(save_as="to-come"))
        self.assertEqual(self.bert.request("POST", "/v1/jobs", small_job(save_as="to-come"))[0], 409)
        self.assertEqual(self.bert.status("PUT", "/v1/models/to-come/weights", self.weights), 409)
        # An operator's weights would stay only until the job ends.
        for answer in (self.root.request("PUT", "/v1/models/to-come/weights", self.weights),
                       self.root.request("POST", "/v1/jobs", small_job(save_as="to-come"))):
            self.assertEqual(answer[0], 409)
            self.assertIn("job %d " % waiting, answer[2]["detail"])
        self.anna.status("POST", "/v1/jobs/%d/cancel" % waiting)
        wait_for(lambda: self.anna.get("/v1/jobs/%d" % waiting)["state"] == "cancelled")
        self.assertEqual(self.bert.status("PUT", "/v1/models/to-come/weights", self.weights), 201)
        # What an operator replaces stays its owner's.
        self.assertEqual(self.root.status("PUT", "/v1/models/to-come/weights", self.weights), 200)
        self.assertEqual(self.bert.get("/v1/models/to-come")["user"], "bert")

    def test_ended_jobs_are_deleted_by_whose_they_are(self):
        for person in (self.anna, self.root):
            job = self.anna.submit(small_job(epochs=1))
            path = "/v1/jobs/%d" % job
            wait_for(lambda: self.anna.get(path)["state"] == "succeeded")
            self.assertEqual([p.status("DELETE", path) for p in (self.nobody, self.bert, person, person)], [401, 404, 204, 404])
            self.assertEqual(self.anna.status("GET", path + "/events"), 404)
            self.assertNotIn(job, [j["id"] for j in self.anna.get("/v1/jobs")["jobs"]])

    def test_keys_are_of_one_user(self):
        job, key = small_job(epochs=1), {"Idempotency-Key": "same"}
        first = self.anna.submit(job, key)
        self.assertEqual(self.anna.submit(job, key), first)
        self.assertNotEqual(self.bert.submit(job, key), first)


def copy_fashion(d, **owners):
    """Fashion-MNIST under further names, whose rows have these users; None: no row."""
    fashion = os.path.join(d.state, "datasets", "fashion-mnist.cnnd")
    for name in owners:
        os.link(fashion, os.path.join(d.state, "datasets", name + ".cnnd"))
    with sqlite3.connect(os.path.join(d.state, "cnnd.db")) as db:
        db.executemany("INSERT INTO datasets(name, user, bytes) VALUES(?, ?, ?)", [
            (name, user, os.path.getsize(fashion)) for name, user in owners.items() if user is not None])
    db.close()


class Datasets(unittest.TestCase):
    """Data sets of users, beside one that came with the machine."""

    def test_cells(self):
        with Daemon() as d:
            d.need_fashion()
            d.stop()
            copy_fashion(d, mine="anna", kept="anna", shared="", found=None)
            d.start()
            d.need_device()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            root, nobody = Person(d, token(d, "ottilie", "--operator")), Person(d)
            for method, name, cells in (
                ("GET", "mine", ((nobody, 401), (bert, 404), (anna, 200), (root, 200))),
                ("GET", "shared", ((nobody, 401), (bert, 200), (anna, 200), (root, 200))),
                ("GET", "found", ((nobody, 401), (bert, 404), (anna, 404), (root, 200))),
                ("DELETE", "mine", ((nobody, 401), (bert, 404), (anna, 204))),
                ("DELETE", "kept", ((root, 204),)),
                ("DELETE", "shared", ((nobody, 401), (bert, 403), (anna, 403), (root, 204))),
                ("DELETE", "found", ((bert, 404), (root, 204))),
            ):
                for person, want in cells:
                    with self.subTest(method=method, name=name, want=want):
                        self.assertEqual(person.status(method, "/v1/datasets/" + name), want)
            job = small_job(epochs=1)
            self.assertEqual(bert.status("POST", "/v1/jobs", job), 201)
            self.assertEqual([s["name"] for s in bert.get("/v1/datasets")["datasets"]], ["fashion-mnist"])

    def test_an_older_database(self):
        """What a database that was put back does not know is the operators' until they settle it, without a restart."""

        def command(d, *words):
            done = subprocess.run([BINARY, "dataset", *words, "--state", d.state], capture_output=True, text=True, env=d.env)
            return done.returncode, done.stderr

        with Daemon(device=False) as d:
            d.need_fashion()
            tokens = [token(d, *who) for who in (("anna",), ("bert",), ("ottilie", "--operator"))]
            anna, bert, root = (Person(d, t) for t in tokens)
            copy = os.path.join(d.state, "copy")
            subprocess.run([BINARY, "backup", copy, "--state", d.state], check=True, env=d.env)
            for name in ("given", "shared", "replaced", "gone"):
                self.assertEqual(anna.request("PUT", "/v1/datasets/" + name, ARCHIVE)[0], 201)
            d.stop()
            for end in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(d.state, "cnnd.db" + end))
            os.replace(copy, os.path.join(d.state, "cnnd.db"))
            d.start()
            for name in ("given", "shared", "replaced", "gone"):
                self.assertEqual([p.status("GET", "/v1/datasets/" + name) for p in (anna, bert, root)], [404, 404, 200])
                self.assertEqual(root.get("/v1/datasets/" + name)["user"], "")
                self.assertTrue(any("data set %s: no row tells whose it is" % name in line for line in d.log_lines))
            self.assertEqual(bert.status("GET", "/v1/datasets/fashion-mnist"), 200)
            self.assertEqual([s["name"] for s in bert.get("/v1/datasets")["datasets"]], ["fashion-mnist"])
            self.assertEqual(anna.request("PUT", "/v1/datasets/given", ARCHIVE)[0], 409)
            self.assertEqual(bert.status("DELETE", "/v1/datasets/given"), 404)
            job = small_job(epochs=1, dataset={"name": "given"})
            self.assertEqual(bert.request("POST", "/v1/jobs", job)[2]["pointer"], "/dataset/name")
            self.assertEqual(command(d, "give", "given", "anna")[0], 0)
            self.assertEqual(command(d, "share", "shared")[0], 0)
            self.assertIn("anna's already", command(d, "give", "given", "bert")[1])
            self.assertIn("no data set 'none'", command(d, "share", "none")[1])
            self.assertIn('nobody is called "berd"', command(d, "give", "replaced", "berd")[1])
            self.assertEqual(root.request("PUT", "/v1/datasets/replaced", ARCHIVE)[0], 200)
            self.assertEqual(root.status("DELETE", "/v1/datasets/gone"), 204)
            for again in (False, True):
                if again:
                    d.stop()
                    d.start()
                for name, cells, owner in (("given", [200, 404], "anna"), ("shared", [200, 200], None),
                                           ("replaced", [404, 404], "ottilie")):
                    self.assertEqual([p.status("GET", "/v1/datasets/" + name) for p in (anna, bert)], cells, name)
                    self.assertEqual(root.get("/v1/datasets/" + name)["user"], owner)

    def test_a_job_cannot_name_anothers(self):
        with Daemon() as d:
            d.need_fashion()
            d.stop()
            copy_fashion(d, mine="anna")
            d.start()
            d.need_device()
            anna, bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
            job = small_job(epochs=1, dataset={"name": "mine", "limit": 128, "val_limit": 10})
            status, _, body = bert.request("POST", "/v1/jobs", job)
            self.assertEqual((status, body["pointer"]), (422, "/dataset/name"))
            self.assertEqual(anna.status("POST", "/v1/jobs", job), 201)


class Tokens(unittest.TestCase):
    def test_open_until_the_first_token(self):
        with Daemon(device=False) as d:
            free = Person(d)
            self.assertEqual(free.status("GET", "/v1/jobs"), 200)
            first = token(d, "anna")
            self.assertEqual(free.status("GET", "/v1/jobs"), 401)
            self.assertEqual(free.status("GET", "/v1/health"), d.request("GET", "/v1/health")[0])
            self.assertEqual(Person(d, first).status("GET", "/v1/jobs"), 200)
            revoke(d, first)
            self.assertEqual(Person(d, first).status("GET", "/v1/jobs"), 401)
            self.assertEqual(free.status("GET", "/v1/jobs"), 401, "a revoked token must not open the server")

    def test_a_revoked_token_ends_its_streams(self):
        with Daemon({"heartbeat_seconds": 0.3}) as d:
            d.need_fashion()
            first, second = token(d, "anna"), token(d, "anna")
            job = Person(d, first).submit(long_job())
            with d.stream(job, headers=Person(d, first).headers) as s, d.stream(job, headers=Person(d, second).headers) as t:
                self.assertEqual(next(iter(s))[0], 1)
                revoke(d, first)
                for _ in s:  # ends, though the job goes on
                    pass
                self.assertEqual(Person(d, second).get("/v1/jobs/%d" % job)["state"], "running")
                self.assertEqual(next(iter(t))[0], 1)

    def test_wrong_ones(self):
        with Daemon(device=False) as d:
            good = token(d, "anna")
            other = token(d, "bert")
            flipped = good[:-1] + ("0" if good[-1] != "0" else "1")
            crossed = good[:14] + other[14:]
            wrong = ["", "x", good[:-1], good + "0", flipped, crossed, good.upper(), good.replace("_", "-")]
            for bad in ["Bearer " + w for w in wrong] + ["Basic YTpi", "Bearer", good, "Bearer\t" + good]:
                status, headers, body = d.request("GET", "/v1/jobs", headers={"Authorization": bad})
                with self.subTest(header=bad):
                    self.assertEqual(status, 401)
                    self.assertEqual(headers["WWW-Authenticate"], 'Bearer realm="cnnd"')
                    self.assertNotIn(good, str(body))
            self.assertEqual(Person(d, good).status("GET", "/v1/jobs"), 200)

    def test_no_body_is_taken_from_strangers(self):
        with Daemon(device=False) as d:
            token(d, "anna")
            head = "PUT /v1/models/m/weights HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
            self.assertTrue(d.raw(head.encode()).startswith(b"HTTP/1.1 401 "))
            self.assertEqual(os.listdir(os.path.join(d.state, "tmp")), [])

    def test_stored_as_hashes_and_never_logged(self):
        with Daemon({"log_level": "debug"}, device=False) as d:
            secret = token(d, "anna")
            Person(d, secret).status("GET", "/v1/jobs")
            Person(d, secret[:-1] + "x").status("GET", "/v1/jobs")
            part = secret.split("_")[2]
            for name in os.listdir(d.state):
                path = os.path.join(d.state, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        self.assertNotIn(part.encode(), f.read(), name)
            self.assertNotIn(part[:-1], "".join(d.log_lines))

    def test_list_and_expiry(self):
        with Daemon(device=False) as d:
            short = token(d, "anna", "--days", "1")
            person = Person(d, short)
            self.assertEqual(person.status("GET", "/v1/jobs"), 200)
            db = sqlite3.connect(os.path.join(d.state, "cnnd.db"))
            with db:
                db.execute("UPDATE tokens SET expires_at = ?", (int(time.time() * 1000) - 1,))
            db.close()
            self.assertEqual(person.status("GET", "/v1/jobs"), 401)
            words = [BINARY, "token", "list", "--state", d.state]
            text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            self.assertIn("anna", text)
            self.assertIn("expired", text)
            self.assertNotIn(short.split("_")[2], text)

    def test_command_line(self):
        with tempfile.TemporaryDirectory() as state:
            for words in (["add"], ["add", "a", "b"], ["list", "x"], ["revoke"], ["drop", "a"], ["add", "a", "--days", "x"],
                          ["list", "--operator"]):
                done = subprocess.run([BINARY, "token", *words, "--state", state], capture_output=True, text=True)
                self.assertEqual(done.returncode, 2, words)
            for words in (["add", "-x"], ["add", "a b"], ["add", "a" * 65], ["revoke", "00000000"]):
                done = subprocess.run([BINARY, "token", *words, "--state", state], capture_output=True, text=True)
                self.assertNotEqual(done.returncode, 0, words)
                self.assertTrue(done.stderr.startswith("cnnd: "), done.stderr)


class Socket(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cnnd-sock-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.path = os.path.join(self.folder, "s")

    def test_own_user_operates(self):
        with Daemon({"socket": self.path}) as d:
            d.need_fashion()
            token(d, "anna")
            status, job = by_socket(self.path, os.geteuid(), "POST", "/v1/jobs", small_job(epochs=1))
            self.assertEqual(status, 201)
            self.assertEqual(job["user"], pwd.getpwuid(os.geteuid()).pw_name)

    @unittest.skipIf(os.geteuid() != 0, "other users can be played by root alone")
    def test_peer_credentials(self):
        with Daemon({"socket": self.path, "operators": "sys, @nosuchgroup"}) as d:
            d.need_fashion()
            for uid, name in ((1, "daemon"), (65534, "nobody"), (54321, "uid-54321")):
                status, job = by_socket(self.path, uid, "POST", "/v1/jobs", small_job(epochs=1))
                self.assertEqual((status, job["user"]), (201, name))
                path = "/v1/jobs/%d" % job["id"]
                self.assertEqual(by_socket(self.path, uid, "GET", path)[0], 200)
                self.assertEqual(by_socket(self.path, 2, "GET", path)[0], 404)  # bin
                self.assertEqual(by_socket(self.path, 3, "GET", path)[0], 200)  # sys is an operator
                self.assertEqual(by_socket(self.path, 0, "GET", path)[0], 200)
            unknown = [line for line in d.log_lines if "operators: this machine has no " in line]
            self.assertEqual([line.split(" no ")[1] for line in unknown], ['group "nosuchgroup"\n'])


class Migration(unittest.TestCase):
    def test_version_2_is_brought_up(self):
        with Daemon() as d:
            d.need_fashion()
            job = d.submit(small_job(epochs=1, save_as="old"))["id"]
            d.wait(job)
            d.stop()
            db = sqlite3.connect(os.path.join(d.state, "cnnd.db"))
            with db:
                db.executescript("DROP TABLE tokens; DROP TABLE datasets; DROP INDEX jobs_user; DROP INDEX models_user;"
                                 "DROP TABLE shares; DROP INDEX jobs_line; ALTER TABLE models DROP COLUMN mark;"
                                 "ALTER TABLE jobs DROP COLUMN priority;"
                                 "ALTER TABLE jobs DROP COLUMN device_seconds; ALTER TABLE jobs DROP COLUMN tf32;"
                                 "DROP INDEX jobs_saving; ALTER TABLE jobs DROP COLUMN model_bytes; DROP TABLE strategies; "
                                 "DROP INDEX jobs_user_state; DROP INDEX jobs_user_kept; ALTER TABLE jobs DROP COLUMN kept_bytes; "
                                 "ALTER TABLE jobs DROP COLUMN best_epoch; UPDATE jobs SET user = 'anonymous'; PRAGMA user_version = 2;")
            db.close()
            d.start()
            self.assertEqual(d.get("/v1/jobs/%d" % job)["user"], "anonymous")
            self.assertEqual(d.get("/v1/models/old")["job"], job)
            for query in ("", "?state=succeeded", "?user=anonymous", "?state=succeeded&user=anonymous"):
                self.assertEqual([j["id"] for j in d.get("/v1/jobs" + query)["jobs"]], [job], query)
            self.assertEqual(Person(d, token(d, "anna")).status("GET", "/v1/jobs/%d" % job), 404)


if __name__ == "__main__":
    main()
