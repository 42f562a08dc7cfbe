#!/usr/bin/env python3
"""Drivers crash, the daemon does not: every OpenCL call that cnnd makes fails, hangs or kills the worker, in every kind of
work, once or every time. Each time the front answers within 100 ms, the work ends as if nothing had happened or with a
reason that says what to do, and the device works afterwards or is quarantined.

CNND_FAULT_CASES=all runs all of some 640 cases, in a quarter of an hour; otherwise one for each kind of trouble."""

import collections
import glob
import os
import re
import shutil
import signal
import threading
import time
import unittest

from faults import ABORT, FAIL, HANG, KINDS, LATE, LOST, SEGV, STATUS, Faults
from harness import Daemon, main, pace, pgm, send_signal, small_job, wait_for

HEALTH_SECONDS = 0.1
WATCHDOG_SECONDS = max(4.0, 2 * pace())
REST_SECONDS = 0.3
ADVICE = re.compile("try |restart cnnd|choose |update |submit ")
IMAGE = pgm(28, 28, bytes(i % 251 for i in range(784)))
ASKS = {"classify": ("classify", IMAGE), "again": ("classify", IMAGE),
        "map": ("map?window=28&stride=14", pgm(84, 84, bytes(i % 251 for i in range(84 * 84))))}
WEIGHT_BYTES = 4 * 7850  # of small_job's classifier: what is read back for a checkpoint

ERRORS = {
    "clGetPlatformIDs": ["OUT_OF_HOST_MEMORY"],
    "clGetPlatformInfo": ["OUT_OF_HOST_MEMORY"],
    "clGetDeviceIDs": ["OUT_OF_RESOURCES"],
    "clGetDeviceInfo": ["OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY"],
    "clCreateContext": ["DEVICE_NOT_AVAILABLE", "OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY"],
    "clCreateCommandQueueWithProperties": ["OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY"],
    "clCreateBuffer": ["MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY"],
    "clCreateProgramWithSource": ["OUT_OF_HOST_MEMORY", "INVALID_CONTEXT"],
    "clCreateProgramWithBinary": ["INVALID_BINARY", "OUT_OF_RESOURCES"],
    "clBuildProgram": ["BUILD_PROGRAM_FAILURE", "OUT_OF_HOST_MEMORY"],
    "clGetProgramInfo": ["OUT_OF_HOST_MEMORY"],
    "clCreateKernel": ["OUT_OF_RESOURCES", "INVALID_KERNEL_NAME"],
    "clSetKernelArg": ["OUT_OF_RESOURCES", "INVALID_MEM_OBJECT"],
    "clGetKernelInfo": ["OUT_OF_RESOURCES"],
    "clEnqueueNDRangeKernel": [
        "OUT_OF_RESOURCES", "MEM_OBJECT_ALLOCATION_FAILURE", "INVALID_COMMAND_QUEUE", "INVALID_WORK_GROUP_SIZE"],
    "clEnqueueWriteBuffer": ["MEM_OBJECT_ALLOCATION_FAILURE", "INVALID_COMMAND_QUEUE"],
    "clEnqueueReadBuffer": ["OUT_OF_RESOURCES", "INVALID_COMMAND_QUEUE", "EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"],
    "clEnqueueFillBuffer": ["MEM_OBJECT_ALLOCATION_FAILURE", "INVALID_COMMAND_QUEUE"],
    "clEnqueueCopyBuffer": ["MEM_OBJECT_ALLOCATION_FAILURE", "INVALID_COMMAND_QUEUE"],
    "clFlush": ["OUT_OF_RESOURCES", "INVALID_COMMAND_QUEUE"],
    "clFinish": ["OUT_OF_RESOURCES", "INVALID_COMMAND_QUEUE", "OUT_OF_HOST_MEMORY"],
    "clGetEventInfo": ["OUT_OF_RESOURCES"],
}
TAKES_COMMANDS = ("clEnqueueNDRangeKernel", "clEnqueueWriteBuffer", "clEnqueueFillBuffer", "clEnqueueCopyBuffer")
LOSES = TAKES_COMMANDS + ("clEnqueueReadBuffer", "clFinish", "clCreateBuffer", "clSetKernelArg")
BUILDS = ("clCreateProgramWithSource", "clCreateProgramWithBinary", "clBuildProgram", "clGetProgramInfo")
# What goes on meanwhile: a start, one without compiled kernels, a job, its read-backs for checkpoints, the first
# classification of a worker, a later one, a class map, a job that classifies.
SCENES = ("start", "build", "train", "checkpoint", "classify", "again", "map", "evaluate")

READ_BACKS = 7  # of the weights and the momentum at the end of each of three epochs, and of the weights at the end


def troubles(scene, call):
    """What befalls a call once: (kind, status)."""
    errors = [STATUS[name] for name in ERRORS.get(call, ["OUT_OF_RESOURCES"])]
    found = [(FAIL, status) for status in errors] + [(ABORT, 0), (SEGV, 0)]
    if call in TAKES_COMMANDS:
        found += [(LATE, STATUS["OUT_OF_RESOURCES"]), (LATE, STATUS["EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"])]
    if call in LOSES:
        found += [(LOST, STATUS["INVALID_COMMAND_QUEUE"]), (LOST, STATUS["OUT_OF_RESOURCES"])]
    if scene not in ("start", "build") or call in ("clCreateContext", "clEnqueueNDRangeKernel"):
        found.append((HANG, 0))  # at a start it takes the patience with a compiler
    return found


def lasting(scene, call):
    """What befalls a call every time."""
    found = [(FAIL, STATUS[ERRORS[call][0]])] if call in ERRORS and call != "clCreateContext" else []
    if call in LOSES:
        found.append((LOST, STATUS["INVALID_COMMAND_QUEUE"]))
    if call in ("clEnqueueNDRangeKernel", "clFinish"):
        found += [(ABORT, 0)] + ([(HANG, 0)] if scene == "train" else [])
    return found


# scene, call, kind, times
SHORT = """
build clBuildProgram fail 0
start clGetDeviceInfo fail 1
start clFinish abort 1
train clCreateBuffer fail 0
train clEnqueueNDRangeKernel late 1
train clEnqueueNDRangeKernel lost 1
train clFinish segv 1
train clFinish hang 1
train clFinish abort 0
checkpoint clEnqueueReadBuffer fail 1
again clEnqueueNDRangeKernel abort 1
map clEnqueueReadBuffer lost 1
evaluate clEnqueueReadBuffer lost 0
"""


Case = collections.namedtuple("Case", "scene call kind status first times")


def title(case):
    status = {v: k for k, v in STATUS.items()}.get(case.status, "")
    return "%s: %s %s %s at %d %s" % (
        case.scene, case.call, KINDS[case.kind], status, case.first, "once" if case.times else "every time")


class Health:
    """Asks without a pause but for 10 ms between; `worst` is the slowest answer in seconds, `late` by how much the
    slowest of these pauses was too long: that is the machine's part."""

    def __init__(self):
        self.daemon, self.worst, self.late, self.answers, self.ended = None, 0.0, 0.0, 0, False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connection = None
        while not self.ended:
            with self.lock:
                if not self.daemon:
                    connection = connection and connection.close()
                else:
                    connection = connection or self.daemon.connection()
                    begun = time.monotonic()
                    connection.request("GET", "/v1/health")
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status in (200, 503), answer.status
                    self.worst = max(self.worst, time.monotonic() - begun)
                    self.answers += 1
            begun = time.monotonic()
            time.sleep(0.01)
            self.late = max(self.late, time.monotonic() - begun - 0.01)

    def watch(self, daemon):
        with self.lock:
            self.daemon = daemon

    def end(self):
        self.watch(None)
        time.sleep(0.1)
        self.ended = True
        self.thread.join()


def front_state(pid):
    """(descriptors, states of its children)"""
    children = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, encoding="utf-8") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                children.append(fields[0])
    return len(os.listdir("/proc/%d/fd" % pid)), children


def train_job(name):
    return small_job(
        dataset={"name": "fashion-mnist", "limit": 256, "val_limit": 64}, batch_size=32, epochs=3,
        optimizer={"name": "sgd", "lr": 0.05, "momentum": 0.9}, save_as=name)


CLASSIFY_JOB = {"type": "classify", "model": "calm", "dataset": "fashion-mnist", "limit": 256}


class Drivers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.faults = cls.enterClassContext(Faults())
        cls.daemon = cls.enterClassContext(Daemon(env=cls.faults.env))
        cls.daemon.need_fashion()
        cls.outcomes, cls.slowest = collections.Counter(), 0.0
        cls.health = Health()
        cls.addClassCleanup(cls.health.end)
        before = None
        while True:  # the first may have had no time to measure all layers: once they are, what is built is the same
            job = cls.daemon.wait(cls.daemon.submit(train_job("calm"))["id"])["id"]
            before, bound = cls.daemon.get("/v1/jobs/%d" % job)["strategies"], before
            if before == bound:
                break
        cls.want = cls.daemon.weights("calm")
        cls.answers = {scene: cls.ask(scene) for scene in ASKS}
        cls.result = cls.result_of(cls.daemon.submit(CLASSIFY_JOB)["id"])
        cls.daemon.options["watchdog_seconds"] = WATCHDOG_SECONDS  # from here on the driver has all compiled
        cls.census = {"build": {call: count for call, count in cls.count("build").items() if call in BUILDS}}
        for scene in SCENES[2:]:  # what it compiles is found from then on
            cls.count(scene)
        for scene in ("start",) + SCENES[2:]:
            cls.restart()
            cls.settled()
            fresh, warm = cls.count(scene), cls.count(scene)
            warm.update({call: count for call, count in fresh.items() if call in BUILDS})
            cls.census[scene] = warm
        cls.census["checkpoint"] = {"clEnqueueReadBuffer": READ_BACKS}
        cls.ask("again")
        cls.ask("map")  # starts the second decoder
        cls.descriptors = front_state(cls.daemon.process.pid)[0]

    @classmethod
    def tearDownClass(cls):
        print("%d cases, %d answers about health, the slowest %.0f ms (load %.1f)" % (
            sum(cls.outcomes.values()), cls.health.answers, cls.slowest * 1000, os.getloadavg()[0]))
        for (scene, kind, outcome), count in sorted(cls.outcomes.items()):
            print("%-10s %-6s %-20s %d" % (scene, kind, outcome, count))

    @classmethod
    def ask(cls, scene):
        """(status, answer)"""
        return cls.daemon.request("POST", "/v1/models/calm/" + ASKS[scene][0], ASKS[scene][1])[::2]

    @classmethod
    def result_of(cls, job):
        cls.daemon.wait(job)
        return cls.daemon.get("/v1/jobs/%d/result" % job)["predictions"]

    @classmethod
    def restart(cls, cold=False):
        cls.health.watch(None)
        cls.daemon.stop()
        if cold:
            shutil.rmtree(os.path.join(cls.daemon.state, "cache"))
        for path in glob.glob(os.path.join(cls.daemon.state, "cache/driver/*.bad/*.bin")):  # whole: nothing waits for a compiler
            os.replace(path, os.path.join(cls.daemon.state, "cache", os.path.basename(path)))
        cls.daemon.start()
        cls.health.watch(cls.daemon)

    @classmethod
    def settled(cls, patient=True):
        """What /v1/devices says once the device is ready or quarantined; or, unless patient, once a driver failed when it
        was asked for its devices."""

        def ended():
            got = cls.daemon.get("/v1/devices")
            states = [device["state"] for device in got["devices"]]
            given_up = not patient and (got["problem"] or any(cls.waits(device) for device in got["devices"]))
            return got if "ready" in states or "quarantined" in states or given_up else None

        return wait_for(ended, what="a device that is ready or quarantined")

    @staticmethod
    def waits(device):
        """For memory that others have."""
        return "; tried again every 15 s" in (device["reason"] or "")

    @classmethod
    def prepare(cls, scene, call=None):
        """A worker builds a program once."""
        if scene == "classify" or (call in BUILDS and scene not in ("start", "build")):
            cls.restart()
            cls.settled()

    @classmethod
    def calls_at_rest(cls):
        """With what is given back only behind an answer."""
        calls = None
        while calls != (calls := cls.faults.calls()):
            time.sleep(REST_SECONDS)
        return calls

    @classmethod
    def count(cls, scene):
        """How often a scene makes each call."""
        before = cls.calls_at_rest()
        if scene in ("start", "build"):
            cls.restart(scene == "build")
            cls.settled()
        if scene in ASKS:
            cls.prepare(scene)
            before = cls.calls_at_rest()
            cls.ask(scene)
        elif scene != "start":
            cls.daemon.wait(cls.daemon.submit(CLASSIFY_JOB if scene == "evaluate" else train_job("model"))["id"])
        after = cls.calls_at_rest()
        return {call: after[call] - before[call] for call in after if after[call] > before[call]}

    # --- the cases ---

    @classmethod
    def cases(cls):
        """Each call of each scene in each kind of trouble; where in the scene goes round among first, middle and last."""
        turn = 0
        for scene in SCENES:
            for call, count in cls.census[scene].items():
                for kind, status in troubles(scene, call):
                    yield Case(scene, call, kind, status, (1, (count + 1) // 2, count)[turn % 3], 1)
                    turn += 1
                for kind, status in lasting(scene, call):
                    yield Case(scene, call, kind, status, 1, 0)

    @classmethod
    def chosen(cls):
        every = list(cls.cases())
        if os.environ.get("CNND_FAULT_CASES") == "all":
            return every
        wanted = [line.split() for line in SHORT.strip().splitlines()]
        found = [
            next(c for c in every if [c.scene, c.call, KINDS[c.kind], str(c.times)] == words) for words in wanted]
        return [c._replace(first=(cls.census[c.scene][c.call] + 1) // 2) if c.scene == "train" else c for c in found]

    def test_cases(self):
        for case in self.chosen():
            with self.subTest(title(case)):
                try:
                    self.check(case)
                except Exception:
                    self.faults.disarm()
                    self.restart()
                    self.settled()
                    raise

    def test_card_that_comes_late(self):
        """A driver that has no device at the start is asked again: by and by, or when cnnd is told to."""
        self.faults.arm("clGetDeviceIDs", FAIL, STATUS["DEVICE_NOT_FOUND"], times=0)
        self.restart()
        wait_for(lambda: "no OpenCL device" in (self.daemon.get("/v1/devices")["problem"] or ""), what="no device")
        self.faults.disarm()
        if os.environ.get("CNND_FAULT_CASES") != "all":
            send_signal(self.daemon.process.pid, signal.SIGHUP)
        self.assertEqual(self.settled()["devices"][0]["state"], "ready")
        self.assertEqual(self.ask("again"), self.answers["again"])

    def test_card_that_another_has(self):
        """As in NVIDIA's exclusive compute mode: that is no failure, and it is tried again without ever longer pauses."""
        for status in ("DEVICE_NOT_AVAILABLE", "OUT_OF_RESOURCES", "INVALID_DEVICE", "OUT_OF_HOST_MEMORY"):
            self.faults.arm("clCreateContext", FAIL, STATUS[status], times=0)
            self.restart()
            for tried in range(1, 5):
                wait_for(lambda: self.faults.hits >= tried, what="a try")
                device = wait_for(lambda: (d := self.daemon.get("/v1/devices")["devices"][0])["reason"] and d, what="a reason")
                self.assertEqual((device["state"], device["failures"]), ("starting", 0))
                self.assertIn("another program has it for itself, or all of its memory", device["reason"])
                if tried > 1 or status != "DEVICE_NOT_AVAILABLE":  # else it comes by itself
                    send_signal(self.daemon.process.pid, signal.SIGHUP)
            said = [line for line in self.daemon.log_lines if "another program has it" in line]
            self.assertEqual(len(said), len(set(said)), "said once")
            id = self.daemon.submit(train_job("model"))["id"]
            self.faults.disarm()
            send_signal(self.daemon.process.pid, signal.SIGHUP)
            self.daemon.wait(id)
            self.assertEqual(self.daemon.weights("model"), self.want)

    def test_programs_that_kill(self):
        """Of what is compiled cnnd keeps some itself: where a driver dies of that, it is put aside as the driver's own is."""
        own = os.path.join(self.daemon.state, "cache")
        kept = wait_for(lambda: {name for name in os.listdir(own) if name.endswith(".bin")}, what="a program that is kept")
        self.daemon.options["watchdog_seconds"] = 3600  # all is compiled anew
        self.addCleanup(self.daemon.options.update, watchdog_seconds=WATCHDOG_SECONDS)
        self.faults.arm("clCreateProgramWithBinary", ABORT, times=0)
        self.restart()
        device = self.settled()["devices"][0]
        self.assertEqual((device["state"], device["failures"]), ("ready", 2), device["reason"])
        self.assertEqual(self.faults.hits, 2)
        self.assertLessEqual(kept, set(os.listdir(os.path.join(own, "driver", device["id"] + ".bad"))))
        self.faults.disarm()
        self.assertEqual(self.ask("again"), self.answers["again"])
        self.restart()
        self.assertEqual(self.settled()["devices"][0]["failures"], 0)

    def test_device_begins_before_all_is_enqueued(self):
        """Some drivers gather commands until somebody submits them or waits."""
        before = self.calls_at_rest()
        steps = self.daemon.wait(self.daemon.submit(dict(train_job("model"), architecture="lenet"))["id"])["progress"]["step"]
        self.assertGreaterEqual(self.calls_at_rest()["clFlush"] - before["clFlush"], steps)

    @unittest.skipUnless(os.environ.get("CNND_FAULT_CASES") == "all", "it takes the patience with heartbeats")
    def test_worker_that_stands_still(self):
        """All of it, not the engine alone: it is killed when no heartbeat comes."""
        time.sleep(3)  # it is idle, and has said so
        stopped = self.daemon.worker()
        send_signal(stopped, signal.SIGSTOP)
        wait_for(lambda: self.daemon.worker() not in (None, stopped), what="another worker")
        self.assertIn("no heartbeat for 10 s", "".join(self.daemon.log_lines))
        self.settled()
        self.assertEqual(self.ask("again"), self.answers["again"])

    def check(self, case, again=2):
        """Again where health was slow: what the machine does beside it seldom comes thrice."""
        f, before = self.faults, pace()
        self.prepare(case.scene, case.call)
        self.health.worst = self.health.late = 0.0
        f.arm(case.call, case.kind, case.status, case.first, case.times, WEIGHT_BYTES if case.scene == "checkpoint" else 0)
        outcome = self.play(case.scene, case.times)
        wait_for(lambda: f.hits > 0, what="its going wrong")  # what is given back may be so behind the answer
        f.disarm()
        if case.times and case.kind not in (FAIL, LATE):
            self.assertEqual(outcome, "undisturbed")
        self.outcomes[case.scene, KINDS[case.kind], outcome] += 1
        type(self).slowest = max(self.slowest, self.health.worst)
        slow = self.health.worst >= HEALTH_SECONDS * max(before, pace()) + self.health.late
        self.recover(case)
        if slow and again:
            self.check(case, again - 1)
        else:
            self.assertFalse(slow, "health was slow each time")

    def play(self, scene, once):
        """What came of the scene."""
        if scene in ASKS:
            status, answer = self.ask(scene)
            if status == 200:
                self.assertEqual((status, answer), self.answers[scene])
                return "undisturbed"
            self.assertRegex(answer["detail"], ADVICE)
            return "refused"
        if scene == "evaluate":
            return self.end_of(CLASSIFY_JOB, lambda id: self.assertEqual(self.result_of(id), self.result), once)
        if scene in ("start", "build"):
            self.restart(scene == "build")
            got = self.settled(once)
            problem = got["problem"]
            if not once and got["devices"] and self.waits(got["devices"][0]):
                self.assertRegex(got["devices"][0]["reason"], "CL_")
                return "waits"
            if problem or self.quarantined():
                self.assertRegex(problem or "CL_", "CL_|killed by signal")
                return "no device" if problem else "quarantined"
        return self.end_of(train_job("model"), lambda id: self.assertEqual(self.daemon.weights("model"), self.want), once)

    def end_of(self, job, check, once):
        """What came of a job: it ended, or waits for a device that was put aside or has no memory, and ends after a restart."""
        id = self.daemon.submit(job)["id"]

        def ended():
            now = self.daemon.get("/v1/jobs/%d" % id)
            waits = not once and any(self.waits(device) for device in self.daemon.get("/v1/devices")["devices"])
            return now if now["state"] in ("succeeded", "failed") or waits or self.quarantined() else None

        now, what = wait_for(ended, what="an end of the job"), "undisturbed"
        if now["state"] not in ("succeeded", "failed"):
            self.faults.disarm()
            self.restart()
            now, what = wait_for(ended, what="an end of the job after a restart"), "after a restart"
        if now["state"] == "failed":
            self.assertRegex(now["error"], ADVICE)
            return "failed"
        check(id)
        return what

    def quarantined(self):
        devices = self.daemon.get("/v1/devices")["devices"]
        if not devices or devices[0]["state"] != "quarantined":
            return False
        self.assertEqual(devices[0]["failures"], 3)
        self.assertRegex(devices[0]["reason"], "CL_|killed by signal|did not move|computes wrong")
        self.assertEqual(self.daemon.request("GET", "/v1/health")[0], 503)
        return True

    def recover(self, case):
        """The device works now, or is put aside and works after a restart; the front holds nothing of what died."""
        got = self.settled(case.times)
        if got["problem"] or self.quarantined() or (not case.times and self.waits(got["devices"][0])):
            self.assertEqual(case.times, 0)
            self.restart()
        self.assertEqual(self.settled()["devices"][0]["state"], "ready")
        self.assertEqual(self.ask("again"), self.answers["again"])
        front = self.daemon.process.pid
        wait_for(lambda: "Z" not in front_state(front)[1], what="no zombie")
        wait_for(lambda: front_state(front)[0] <= self.descriptors, what="descriptors closed")


if __name__ == "__main__":
    main()
