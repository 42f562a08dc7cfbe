"""Kills at every joint: whatever dies, a job ends with the curve and the weights of an undisturbed run."""

import os
import signal
import threading
import time
import unittest

import harness
from harness import Daemon, send_signal, wait_for


def train(name, **more):
    return {"type": "train", "name": name, "architecture": "bn-lenet",
            "dataset": {"name": "fashion-mnist", "limit": 3200, "val_limit": 500},
            "epochs": 3, "batch_size": 64, "optimizer": {"name": "sgd", "lr": 0.5}, "seed": 3,
            "report_every": 1, "save_as": name, **more}


STEPS = 3 * 50


def curve(events):
    """What must not differ between two runs: all but speed, states and checkpoints."""
    rows = []
    for i, (number, event, data) in enumerate(events):
        assert number == i + 1, "event ids do not count up by one"
        if event in ("train", "validation"):
            rows.append((event, sorted((k, v) for k, v in data.items() if k != "images_per_second")))
    return rows


def kill_workers(d, id, steps):
    """Kills the worker at each of the job's steps."""
    for step in steps:
        d.wait_step(id, step)
        send_signal(wait_for(d.worker, what="a worker"))


def kill_front(d):
    d.kill()
    d.start()
    d.need_device()


def kill_fronts(d, id, steps):
    for step in steps:
        d.wait_step(id, step)
        kill_front(d)


def killed_around_the_end(d, job, steps):
    """Jobs `job(name)` of so many steps, each with its front killed at another moment of saving the model; yields name and id of each
    that has ended."""
    for turn in range(6):
        name = "it%d" % turn
        id = d.submit(job(name))["id"]
        d.wait_step(id, steps)
        time.sleep(turn * 0.004)
        kill_front(d)
        d.wait(id)
        yield name, id


def paused(d, job, step, prefix="it"):
    """Name and id of a job `job(name)` that was paused at that step or behind it; one that ended before is followed by another."""
    for turn in range(50):
        name = "%s%d" % (prefix, turn)
        id = d.submit(job(name))["id"]
        d.wait_step(id, step)
        if d.request("POST", "/v1/jobs/%d/pause" % id)[0] == 202 and d.wait(id, ("paused", "succeeded"))["state"] == "paused":
            return name, id
    raise AssertionError("every job ends before it is paused")


def flip(path, at, bit):
    """Changes one bit of the file; `at` below 0 counts from its end."""
    with open(path, "r+b") as f:
        f.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ bit]))


class Kills(unittest.TestCase):
    def compare(self, d, id, name, calm_name="calm"):
        calm = d.submit(train(calm_name))["id"]
        d.wait(calm)
        a, b = d.events(id), d.events(calm)
        steps = [data["step"] for _, event, data in a if event == "train"]
        self.assertEqual(steps, list(range(1, STEPS + 1)))
        self.assertEqual(curve(a), curve(b))
        self.assertEqual(a[-1][1], "end")
        self.assertEqual(d.weights(name), d.weights(calm_name))

    def test_worker_killed_in_mid_epoch(self):
        with Daemon({"checkpoint_seconds": 1}) as d:
            id = d.submit(train("it"))["id"]
            kill_workers(d, id, (20, 70, 110))
            d.wait(id)
            self.compare(d, id, "it")

    def test_front_killed(self):
        with Daemon({"checkpoint_seconds": 1}) as d:
            id = d.submit(train("it"))["id"]
            kill_fronts(d, id, (30, 60, 120))
            d.wait(id)
            self.compare(d, id, "it")

    def test_front_killed_around_the_end(self):
        """At any moment of saving the model it is there in the end, and the job has ended once."""
        with Daemon() as d:
            id = d.submit(train("calm"))["id"]
            d.wait(id)
            want = d.weights("calm")
            for name, id in killed_around_the_end(d, train, STEPS):
                self.assertEqual(d.weights(name), want)
                self.assertEqual([event for _, event, _ in d.events(id)].count("end"), 1)

    def damaged(self, d, prefix, damage, text):
        """A paused job whose checkpoints are `damage`d goes on, says so, and ends as if nothing had been."""
        name, id = paused(d, train, 60, prefix)
        damage(os.path.join(d.state, "jobs", str(id), "checkpoint.safetensors"))
        d.request("POST", "/v1/jobs/%d/resume" % id)
        job = d.wait(id)
        notes = [data["text"] for _, event, data in d.events(id) if event == "note"]
        self.assertEqual(len(notes), 1)
        self.assertRegex(notes[0], text)
        self.assertEqual(job["notes"], notes)
        harness.wait_for(lambda: any("job %d: %s" % (id, notes[0]) in line for line in d.log_lines), what="a line of the log")
        self.compare(d, id, name, name + "-calm")

    def test_damaged_checkpoint(self):
        def turn(path):
            flip(path, os.path.getsize(path) // 2, 1)

        def remove(path):
            os.unlink(path)
            os.unlink(path.replace(".safetensors", ".before.safetensors"))

        with Daemon({"checkpoint_seconds": 3600}) as d:  # none but at the ends of epochs and at the pause
            d.need_fashion()
            self.damaged(d, "turned", turn, "^the last checkpoint is damaged .*: the job goes on from the one before it, of step (50|100)$")
            self.damaged(d, "gone", remove, "^the checkpoint of step [0-9]+ is gone: the job begins again$")

    def test_stopped_and_continued(self):
        """All of it at once, as a frozen cgroup is: for that time nobody's heartbeat is missed."""
        with Daemon() as d:
            d.need_device()
            worker = d.worker()
            for pid in (d.process.pid, worker):
                send_signal(pid, signal.SIGSTOP)
            answers = []
            asking = threading.Thread(target=lambda: answers.append(d.request("GET", "/v1/health")[0]))
            asking.start()  # what wakes the front before the worker has said anything
            time.sleep(13)
            send_signal(d.process.pid, signal.SIGCONT)
            asking.join()
            send_signal(worker, signal.SIGCONT)
            self.assertEqual(answers, [200])
            time.sleep(3)
            log = "".join(line for line in d.log_lines if "/v1/health" not in line)
            self.assertNotIn("no heartbeat", log)
            self.assertIn("cnnd was stopped", log)
            self.assertEqual(d.worker(), worker)

    def test_kernel_that_never_returns(self):
        with Daemon() as d:
            marker = os.path.join(d.state, "hang")
            d.wait(d.submit(train("first"))["id"])  # from here on all is compiled
            d.stop()
            d.options["watchdog_seconds"] = 8
            d.env.update(CNND_TEST_HANG_FILE=marker, CNND_TEST_HANG_STEP="60")
            d.start()
            d.need_device()
            open(marker, "w").close()
            meanwhile, end = 0, threading.Event()

            def ask():
                nonlocal meanwhile
                while not end.is_set():
                    hangs = not os.path.exists(marker)
                    assert d.request("GET", "/v1/health")[0] == 200
                    meanwhile += hangs and not any("did not move" in line for line in d.log_lines)
                    time.sleep(0.05)

            asker = threading.Thread(target=ask)
            id = d.submit(train("it"))["id"]
            asker.start()
            try:
                d.wait(id)
            finally:
                end.set()
                asker.join()
            self.assertGreater(meanwhile, 3, "nobody waits for it")
            self.assertFalse(os.path.exists(marker))
            self.assertIn("did not move", "".join(d.log_lines))
            self.compare(d, id, "it")

    def test_sigterm_drains(self):
        with Daemon() as d:
            for _ in range(20):  # a stop may fall on an epoch's end, which has its checkpoint anyhow
                id = d.submit(train("it"))["id"]
                d.wait_step(id, 60)
                d.stop()
                d.start()
                d.wait(id)
                self.compare(d, id, "it")
                checkpoints = len([1 for _, event, _ in d.events(id) if event == "checkpoint"])
                if checkpoints > 3:
                    break
            self.assertGreater(checkpoints, 3)

    def test_pause_resume_cancel(self):
        with Daemon() as d:
            name, id = paused(d, train, 20)
            other = d.submit(train("other", epochs=30000))["id"]
            d.wait_step(other, 5)
            self.assertEqual(d.request("POST", "/v1/jobs/%d/cancel" % other)[0], 202)
            d.wait(other, ("cancelled",))
            self.assertEqual(d.request("POST", "/v1/jobs/%d/resume" % other)[0], 409)
            self.assertEqual(d.request("POST", "/v1/jobs/%d/resume" % id)[0], 202)
            d.wait(id)
            self.compare(d, id, name)

    def test_classification_while_training(self):
        with Daemon() as d:
            d.wait(d.submit(train("it"))["id"])
            id = d.submit(train("long", epochs=20000))["id"]
            d.wait_step(id, 20)
            pixels = b"P5 28 28 255\n" + bytes(784)

            def median():
                times = []
                for _ in range(20):
                    begun = time.monotonic()
                    self.assertEqual(d.request("POST", "/v1/models/it/classify?top=3", pixels)[0], 200)
                    times.append(time.monotonic() - begun)
                self.assertEqual(d.get("/v1/jobs/%d" % id)["state"], "running")
                return sorted(times)[10]

            harness.keeps(1, median, "a classification")
            d.request("POST", "/v1/jobs/%d/cancel" % id)
            d.wait(id, ("cancelled",))

    def test_damaged_kernel_cache(self):
        with Daemon() as d:
            d.need_device()
            folder = os.path.join(d.state, "cache")
            wait_for(lambda: sum(f.endswith(".bin") for f in os.listdir(folder)) > 2, what="what the selftest compiled")
            d.wait(d.submit(train("first", epochs=1))["id"])
            d.stop()
            files = sorted(os.path.join(path, f) for path, _, names in os.walk(folder) for f in names)
            self.assertGreater(len(files), 2)
            for i, path in enumerate(files):
                size = os.path.getsize(path)
                with open(path, "r+b") as f:
                    if i % 3 == 0:
                        f.truncate(size // 2)
                    elif i % 3 == 1:
                        f.truncate(0)
                    else:
                        f.write(os.urandom(size))
            d.start()
            d.need_device()
            d.wait(d.submit(train("second", epochs=1))["id"])
            self.assertEqual(d.weights("first"), d.weights("second"))
            self.assertEqual(d.get("/v1/devices")["devices"][0]["failures"], 0)

    def test_damaged_driver_cache(self):
        """PoCL aborts on a truncated kernel of its own cache, at every start: it is put aside and made anew."""
        with Daemon(private_cache=True) as d:  # a small network: all of it is compiled twice
            d.wait(d.submit(train("first", epochs=1, architecture=harness.LINEAR))["id"])
            d.stop()
            folder = os.path.join(d.state, "cache", "driver", "0:0")
            kernels = [os.path.join(path, f) for path, _, names in os.walk(folder) for f in names if f.endswith(".so")]
            if not kernels:
                self.skipTest("this driver keeps no kernels")
            for path in kernels:
                os.truncate(path, os.path.getsize(path) // 2)
            d.start()
            d.need_device()
            d.wait(d.submit(train("second", epochs=1, architecture=harness.LINEAR))["id"])
            self.assertEqual(d.weights("first"), d.weights("second"))
            self.assertIn("put aside", "".join(d.log_lines))
            self.assertTrue(os.path.isdir(folder + ".bad"))
            # Where sanitizers are built in they report the loader's death on a file that is too short; nothing else.
            for line in d.log_lines:
                if line.startswith("SUMMARY:"):
                    self.assertIn("SUMMARY: AddressSanitizer: BUS elf/", line)
            d.log_lines = [line for line in d.log_lines if "Sanitizer" not in line]
            d.stop()
            seen = len(d.log_lines)
            d.start()
            d.need_device()
            self.assertNotIn("lost", "".join(d.log_lines[seen:]))

    def test_weights_go_out_and_in(self):
        with Daemon() as d:
            d.wait(d.submit(train("it", epochs=1))["id"])
            weights = d.weights("it")
            status, _, answer = d.request("PUT", "/v1/models/again/weights", weights)
            self.assertEqual((status, answer["input"]), (201, [1, 28, 28]))
            image = b"P5 28 28 255\n" + os.urandom(784)
            kind = {"Content-Type": "image/x-portable-graymap"}
            a, b = (d.request("POST", "/v1/models/%s/classify" % name, image, kind)[2] for name in ("it", "again"))
            self.assertEqual(a["results"], b["results"])
            for body in (b"", weights[:-5], b"\xff" * 100):
                self.assertIn(d.request("PUT", "/v1/models/bad/weights", body)[0], (400, 422))
            self.assertEqual(d.request("PUT", "/v1/models/bad/weights?architecture=lenet", weights)[0], 422)
            self.assertEqual(sorted(m["name"] for m in d.get("/v1/models")["models"]), ["again", "it"])
            self.assertEqual(os.listdir(os.path.join(d.state, "tmp")), [])


if __name__ == "__main__":
    harness.main()
