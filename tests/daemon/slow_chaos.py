"""Random requests of two users and an operator, good ones and spoilt ones, while processes die, held against a model of what
must be there. STEPS (240) of them; SEED repeats a run's choices.

What no answer was heard of is asked again, as a client should: then the model is exact. Jobs come from a pool of few requests, so
that runs which were cut short meet calm ones."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import threading
import time
import unittest

import harness
import whims
from harness import Daemon, png, send_signal, wait_for
from ledger import ALLOWED, FINAL, copied
from people import Person, token
from test_kills import curve

STEPS = int(os.environ.get("STEPS", "240"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 31)))
POOL, AUDITS = 5, 2
REFUSED = (400, 413, 422)


class User:
    """Somebody, and what is his by the model."""

    def __init__(self, daemon, name, *more):
        self.name, self.person = name, Person(daemon, token(daemon, name, *more))
        self.jobs = {}  # id: request
        self.models = set()  # that may be there: jobs save them when they end
        self.sets = set()


class Chaos(unittest.TestCase):
    def setUp(self):
        self.dice, self.count = random.Random(SEED), {}
        self.events = {}  # job: all that were heard of it, at rest
        self.runs = {}  # request and strategies: (job, curve, metrics)
        self.weights = {}  # the same: the tensors' bytes
        self.keys = 0

    # Requests.

    def ask(self, user, method, path, body=None, *statuses, headers=None):
        """(status, body), also where the front dies of something meanwhile: then it is asked again."""
        repeated = False
        while True:
            try:
                status, headers_got, answer = user.person.request(method, path, body, headers)
            except (OSError, http.client.HTTPException):
                repeated = True
                self.revive()
                continue
            if status == 503:
                self.assertIn("Retry-After", headers_got)
                time.sleep(0.05)
                continue
            break
        self.count[status] = self.count.get(status, 0) + 1
        if repeated and statuses:  # the first may have done it
            statuses += {"DELETE": (404,), "PUT": (200,), "POST": (200, 409)}.get(method, ())
        if statuses:
            self.assertIn(status, statuses, "%s: %s %s: %s" % (user.name, method, path, answer))
        self.assertTrue(status < 500 or status == 507, "%s %s: %d %s" % (method, path, status, answer))
        if status >= 400:
            self.assertEqual(answer["status"], status)
            self.assertTrue(answer["detail"])
        return status, answer

    def submit(self, user, body, request, *statuses):
        """Returns the job's id, None where it was refused."""
        self.keys += 1
        key = {"Idempotency-Key": str(self.keys)}
        status, job = self.ask(user, "POST", "/v1/jobs", body, *statuses, headers=key)
        if status not in (200, 201):
            return None
        self.assertEqual((job["user"], job["request"]), (user.name, request))
        user.jobs[job["id"]] = request
        again = self.ask(user, "POST", "/v1/jobs", body, 200, headers=key)[1]
        self.assertEqual(again["id"], job["id"])
        return job["id"]

    # What people do.

    def good_job(self, user):
        if user.sets:
            name = self.dice.choice(sorted(user.sets))
            job = whims.job(random.Random("%d %d" % (SEED, self.dice.randrange(POOL))), name)
            job["name"] = self.dice.choice(whims.TITLES) or "x"
            if self.dice.random() < 0.7:
                job["save_as"] = "%s-m%d" % (user.name, self.dice.randrange(4))
                user.models.add(job["save_as"])
            self.submit(user, job, job, 201)

    def spoilt_job(self, user):
        name = self.dice.choice(sorted(user.sets) or ["none"])
        self.ask(user, "POST", "/v1/jobs", whims.spoil(self.dice, whims.job(self.dice, name)), *REFUSED)

    def scores(self, user):
        there = self.ask(user, "GET", "/v1/models", None, 200)[1]["models"]
        mine = sorted(m["name"] for m in there if m["user"] == user.name)
        if mine and user.sets:
            job = {"type": "classify", "model": self.dice.choice(mine), "dataset": self.dice.choice(sorted(user.sets))}
            self.submit(user, job, job, 201, 422)  # the model may be gone

    def verb(self, user):
        if user.jobs:
            job, verb = self.dice.choice(sorted(user.jobs)), self.dice.choice(("cancel", "pause", "pause", "resume", "resume"))
            self.ask(user, "POST", "/v1/jobs/%d/%s" % (job, verb), None, 202, 409)

    def remove_job(self, user):
        if user.jobs:
            job = self.dice.choice(sorted(user.jobs))
            if self.ask(user, "DELETE", "/v1/jobs/%d" % job, None, 204, 409)[0] != 409:
                del user.jobs[job]
                self.ask(user, "GET", "/v1/jobs/%d" % job, None, 404)

    def look(self, user):
        if user.jobs:
            job = self.dice.choice(sorted(user.jobs))
            end = self.dice.choice(("", "/curve", "/result"))
            self.ask(user, "GET", "/v1/jobs/%d%s" % (job, end), None, 200, *([409] if end == "/result" else []))

    def put_set(self, user):
        number = self.dice.randrange(2)
        name, data = "%s-d%d" % (user.name, number), whims.archive(number)
        cut = self.dice.random() < 0.3
        if cut:
            data = data[:self.dice.randrange(1, len(data) - 30)]
        status, _ = self.ask(user, "PUT", "/v1/datasets/" + name, data, *((400, 415, 409) if cut else (201, 200, 409)))
        if status in (200, 201):
            user.sets.add(name)

    def remove_set(self, user):
        name = "%s-d%d" % (user.name, self.dice.randrange(2))
        had = name in user.sets
        if self.ask(user, "DELETE", "/v1/datasets/" + name, None, *((204, 409) if had else (404,)))[0] != 409:
            user.sets.discard(name)

    def put_model(self, user):
        source, name = ("%s-m%d" % (user.name, self.dice.randrange(4)) for _ in range(2))
        status, data = self.ask(user, "GET", "/v1/models/%s/weights" % source, None, 200, 404)
        if status == 200:
            cut = self.dice.random() < 0.3
            data = data[:self.dice.randrange(1, len(data))] if cut else data
            self.ask(user, "PUT", "/v1/models/%s/weights" % name, data, *(REFUSED if cut else (201, 200)))
            user.models.add(name)

    def remove_model(self, user):
        self.ask(user, "DELETE", "/v1/models/%s-m%d" % (user.name, self.dice.randrange(4)), None, 204, 404)

    def classify(self, user):
        image = png(whims.SIDE, whims.SIDE, self.dice.randbytes(whims.SIDE ** 2))
        what = self.dice.choice(("classify?top=2", "map?window=4"))
        self.ask(user, "POST", "/v1/models/%s-m%d/%s" % (user.name, self.dice.randrange(4), what), image, 200, 404)

    def spy(self, user):
        other = next(u for u in self.users if u is not user)
        paths = ["/v1/jobs/%d%s" % (job, end) for job in other.jobs for end in ("", "/events", "/curve", "/result")]
        paths += ["/v1/models/%s" % name for name in sorted(other.models)] + ["/v1/datasets/%s" % name for name in sorted(other.sets)]
        for path in self.dice.sample(paths, min(3, len(paths))):
            self.ask(user, self.dice.choice(("GET", "DELETE")) if path.count("/") == 3 else "GET", path, None, 404)

    # What happens to them.

    def revive(self):
        """A front that was to die has died and is started again."""
        self.timer.join()
        if not self.daemon.alive():
            self.daemon.kill()
            self.daemon.start()

    def doom(self):
        """The front dies in the middle of what comes next."""
        process = self.daemon.process

        def die():
            process.kill()
            process.wait()
        self.timer = threading.Timer(self.dice.uniform(0, 0.03), die)
        self.timer.start()

    def disturb(self):
        d, what = self.daemon, self.dice.choice(("front", "front", "stop", "worker", "worker", "decoder", "held", "import"))
        self.count[what] = self.count.get(what, 0) + 1
        self.revive()
        if what == "front":
            self.doom()
            return
        if what == "stop":
            self.assertEqual(d.stop(), 0)
            d.start()
        for pid in d.children("worker" if what == "held" else what):
            with contextlib.suppress(ProcessLookupError):
                send_signal(pid, signal.SIGSTOP if what == "held" else signal.SIGKILL)
                if what == "held":
                    time.sleep(0.2)
                    send_signal(pid, signal.SIGCONT)
        devices = self.ask(self.operator, "GET", "/v1/devices", None, 200)[1]["devices"]
        if any(x["state"] == "quarantined" for x in devices):
            self.assertEqual(d.stop(), 0)
            d.start()

    # What must hold.

    def rest(self):
        """Every job ends."""
        def left():
            jobs = [j for s in ("queued", "running", "paused") for j in self.jobs("&state=" + s)]
            for job in jobs:
                if job["state"] == "paused":
                    self.ask(self.operator, "POST", "/v1/jobs/%d/resume" % job["id"], None, 202, 409)
            return not jobs
        self.revive()
        wait_for(left, 60, "all jobs' ends")

    def jobs(self, query="", user=None):
        return self.ask(user or self.operator, "GET", "/v1/jobs?limit=1000" + query, None, 200)[1]["jobs"]

    def check_pages(self, all_jobs):
        ids, got, size, page = [j["id"] for j in all_jobs], [], self.dice.choice((1, 3, 7)), None
        self.assertEqual(ids, sorted(ids, reverse=True))
        while page is None or page:
            more = "&before=%d" % got[-1] if got else ""
            page = [j["id"] for j in self.ask(self.operator, "GET", "/v1/jobs?limit=%d%s" % (size, more), None, 200)[1]["jobs"]]
            got += page
        self.assertEqual(got, ids)

    def check_run(self, user, job):
        """Its events, from the start and from the middle; a run of the same request had the same numbers."""
        def events(after):
            with self.daemon.stream(job["id"], after, headers=user.person.headers) as s:
                return list(s)
        got = events(0)
        self.assertEqual(self.events.setdefault(job["id"], got), got)
        self.assertEqual([number for number, _, _ in got], list(range(1, len(got) + 1)))
        after = self.dice.randrange(len(got))
        self.assertEqual(events(after), got[after:])
        states = [data["state"] for _, event, data in got if event == "state"]
        for was, then in zip([None, *states], states):
            self.assertIn(then, ALLOWED[was], states)
        self.assertEqual((states[-1], got[-1][1]), (job["state"], "end"))
        if job["state"] != "succeeded" or job["type"] != "train":
            return
        full = self.ask(user, "GET", "/v1/jobs/%d" % job["id"], None, 200)[1]
        request = {k: v for k, v in job["request"].items() if k not in ("name", "save_as")}
        request["dataset"]["name"] = request["dataset"]["name"][-2:]
        key = json.dumps([request, full["strategies"]], sort_keys=True)
        numbers = {k: v for k, v in job["metrics"].items() if k != "images_per_second"}
        first = self.runs.setdefault(key, (job["id"], curve(got), numbers))
        self.assertEqual((curve(got), numbers), first[1:], "jobs %d and %d: %s" % (first[0], job["id"], key))
        model = self.ask(user, "GET", "/v1/models/%s" % job["model"], None, 200, 404)[1] if job["model"] else {}
        if model.get("job") == job["id"]:
            data = self.ask(user, "GET", "/v1/models/%s/weights" % job["model"], None, 200)[1]
            tensors = data[8 + int.from_bytes(data[:8], "little"):]
            self.assertEqual(tensors, self.weights.setdefault(key, tensors), key)
        self.count["compared"] = self.count.get("compared", 0) + (first[0] != job["id"])
        self.count["resumed"] = self.count.get("resumed", 0) + (sum(d.get("state") == "running" for _, _, d in got) > 1)

    def check_stored(self, user):
        """What he stores by the daemon's count is what there is."""
        with copied(self.daemon.state) as db:
            mine = sum(db.execute("SELECT coalesce(sum(%s), 0) FROM %s WHERE user = ?" % what, (user.name,)).fetchone()[0] for what in (
                ("length(CAST(request AS BLOB)) + 160 * events", "jobs"), ("bytes", "models"), ("bytes", "datasets")))
        big = whims.job(self.dice, "fashion-mnist")
        big = {**{k: big[k] for k in ("type", "dataset")}, "architecture": "lenet", "epochs": 100000, "batch_size": 1, "report_every": 1}
        detail = self.ask(user, "POST", "/v1/jobs", big, 507)[1]["detail"]
        job, all_bytes = map(int, re.search(r"the (\d+) bytes of this job.* store (\d+) of", detail).groups())
        self.assertEqual(all_bytes - job, mine, detail)

    def check_files(self, jobs, models, sets):
        """Of a front that is dead; jobs are as they were listed at rest."""
        state = self.daemon.state
        with copied(state) as db:
            for job in jobs:
                rows = db.execute("SELECT id, event, data FROM events WHERE job = ? ORDER BY id", (job,))
                self.assertEqual([(number, event, json.loads(data)) for number, event, data in rows], self.events[job])
            self.assertEqual({row[0] for row in db.execute("SELECT id FROM jobs")}, set(jobs))
            self.assertEqual(db.execute("SELECT count(*) FROM strategies WHERE job NOT IN (SELECT id FROM jobs)").fetchone(), (0,))
            self.assertEqual(db.execute("SELECT count(*) FROM events WHERE job NOT IN (SELECT id FROM jobs)").fetchone(), (0,))
            for folder, end, table in (("models", ".safetensors", "models"), ("datasets", ".cnnd", "datasets")):
                for name, size in db.execute("SELECT name, bytes FROM " + table):
                    self.assertEqual(os.path.getsize(os.path.join(state, folder, name + end)), size, name)
        self.assertEqual({f.removesuffix(".safetensors") for f in os.listdir(os.path.join(state, "models"))}, models)
        self.assertEqual({f.removesuffix(".cnnd") for f in os.listdir(os.path.join(state, "datasets"))}, sets)
        self.assertEqual(os.listdir(os.path.join(state, "tmp")), [])
        scored = {str(id) for id, j in jobs.items() if j["type"] == "classify" and j["state"] == "succeeded"}
        self.assertEqual(set(os.listdir(os.path.join(state, "jobs"))), scored)
        for folder in scored:
            self.assertEqual(os.listdir(os.path.join(state, "jobs", folder)), ["result.json"])

    def audit(self):
        """At rest all is as the model has it; then the front dies, and what is on the disk agrees."""
        self.rest()
        jobs = self.jobs()
        self.check_pages(jobs)
        models = self.ask(self.operator, "GET", "/v1/models", None, 200)[1]["models"]
        sets = self.ask(self.operator, "GET", "/v1/datasets", None, 200)[1]["datasets"]
        for user in self.users:
            own = [j for j in jobs if j["user"] == user.name]
            self.assertEqual({j["id"] for j in own}, set(user.jobs), user.name)
            self.assertEqual([j["id"] for j in self.jobs(user=user)], [j["id"] for j in own])
            self.assertEqual({s["name"] for s in sets if s["user"] == user.name}, user.sets)
            self.assertLessEqual({m["name"] for m in models if m["user"] == user.name}, user.models)
            self.assertEqual({j["state"] for j in own} - FINAL, set())
            for job in own:
                self.check_run(user, job)
            self.check_stored(user)
        self.daemon.kill()
        self.check_files({j["id"]: j for j in jobs}, {m["name"] for m in models}, {s["name"] for s in sets})
        self.daemon.start()
        self.daemon.need_device()

    def remove_all(self):
        for user in self.users:
            for job in list(user.jobs):
                self.ask(user, "DELETE", "/v1/jobs/%d" % job, None, 204)
            for model in user.models:
                self.ask(user, "DELETE", "/v1/models/" + model, None, 204, 404)
            for name in user.sets:
                self.ask(user, "DELETE", "/v1/datasets/" + name, None, 204)
            user.jobs, user.models, user.sets = {}, set(), set()

    def test_the_model_holds(self):
        print("SEED=%d STEPS=%d" % (SEED, STEPS), flush=True)
        begun = time.monotonic()
        acts = ((self.good_job, 6), (self.spoilt_job, 5), (self.scores, 2), (self.verb, 4), (self.remove_job, 3), (self.look, 4), (self.put_set, 3),
                (self.remove_set, 1), (self.put_model, 2), (self.remove_model, 1), (self.classify, 3), (self.spy, 2))
        options = {"checkpoint_seconds": 0.1, "slice_seconds": 0.5, "requests_per_second": 0, "stored_bytes": "50M"}
        with Daemon(options) as self.daemon:
            d, self.timer = self.daemon, threading.Timer(0, int)
            d.need_fashion()
            self.timer.start()
            self.users, self.operator = [User(d, "anna"), User(d, "bert")], User(d, "op", "--operator")
            ask = d.request
            d.request = lambda method, path, body=None, headers=None: ask(
                method, path, body, {**self.operator.person.headers, **(headers or {})})
            for step in range(STEPS):
                if self.dice.random() < 0.1:
                    self.disturb()
                act = self.dice.choices(*zip(*acts))[0]
                act(self.dice.choice(self.users))
                if step % (STEPS // AUDITS) == STEPS // AUDITS - 1:
                    self.audit()
            self.remove_all()
            self.audit()
        print("%s in %.0f s" % (self.count, time.monotonic() - begun))
        self.assertGreater(self.count.get("compared", 0), 0)


if __name__ == "__main__":
    harness.main()
