"""cnnctl follow into a pipe: lines, broken streams, servers that go away, exit statuses."""
import json
import signal
import threading
import time
import unittest

from case import Case, PATIENCE, WINDOWS
from fake_server import FakeServer, event, problem, stream

EVENTS = "/v1/jobs/7/events"

STORY = [
    event(1, "state", {"state": "queued"}),
    event(2, "state", {"state": "running", "device": "0:0"}),
    event(3, "train", {"step": 235, "epoch": 0.5, "loss": 0.61, "acc": 0.77, "images_per_second": 21000}),
    event(4, "train", {"step": 469, "epoch": 1, "loss": 0.123456789, "acc": 0.8, "epoch_loss": 0.7}),
    event(5, "validation", {"epoch": 1, "step": 469, "loss": 0.52, "acc": 0.81, "train_loss": 0.6, "train_acc": 0.79}),
    event(6, "checkpoint", {"step": 469}),
    event(7, "end", {"state": "succeeded", "model": "my-lenet"}),
]
LINES = """\
state=queued
state=running device=0:0
step=235 epoch=0.5 loss=0.61 acc=0.77 images_per_second=21000
step=469 epoch=1 loss=0.123456789 acc=0.8 epoch_loss=0.7
epoch=1 step=469 val_loss=0.52 val_acc=0.81 train_loss=0.6 train_acc=0.79
checkpoint=469
end=succeeded model=my-lenet
"""


class Lines(Case):
    def test_a_line_an_event(self):
        self.server.on("GET", EVENTS, stream(*STORY))
        out, err = self.cnnctl("follow", 7)
        self.assertEqual((out, err), (LINES, ""))
        self.assertIsNone(self.server.asked("GET", EVENTS)[0].headers["Last-Event-ID"])
        self.assertEqual(self.server.asked("GET", EVENTS)[0].headers["Accept"], "text/event-stream")

    def test_json_is_ndjson(self):
        self.server.on("GET", EVENTS, stream(*STORY))
        out, _ = self.cnnctl("follow", 7, "--json")
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([e["id"] for e in events], list(range(1, 8)))
        self.assertEqual(events[2], {"id": 3, "event": "train", "data": {
            "step": 235, "epoch": 0.5, "loss": 0.61, "acc": 0.77, "images_per_second": 21000}})

    def test_lines_come_while_the_job_runs(self):
        go_on = threading.Event()
        self.server.on("GET", EVENTS, stream(*STORY[:3], lambda: go_on.wait(PATIENCE), *STORY[3:]))
        process = self.start("follow", 7)
        lines = [process.stdout.readline().decode() for _ in range(3)]
        self.assertEqual("".join(lines), "".join(LINES.splitlines(True)[:3]))
        go_on.set()
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(out.decode(), "".join(LINES.splitlines(True)[3:]))

    def test_diverged_loss_is_nan(self):
        self.server.on("GET", EVENTS, stream(event(1, "train", {"step": 1, "loss": None}), *STORY[6:]))
        self.assertEqual(self.cnnctl("follow", 7)[0].splitlines()[0], "step=1 loss=nan")

    def test_text_cannot_forge_lines_or_escapes(self):
        self.server.on("GET", EVENTS, stream(
            event(1, "state", {"state": "running", "reason": "x\nend=succeeded \u001b[2J"}), *STORY[6:]))
        out, _ = self.cnnctl("follow", 7)
        self.assertEqual(out.splitlines()[0], 'state=running reason="x\\nend=succeeded \\u001b[2J"')

    def test_unknown_events_are_told(self):
        self.server.on("GET", EVENTS, stream(event(1, "yield", {"to": 8}), *STORY[6:]))
        self.assertEqual(self.cnnctl("follow", 7)[0].splitlines()[0], "event=yield to=8")

    def test_data_that_is_no_json_is_an_error(self):
        self.server.on("GET", EVENTS, stream("id: 1\nevent: train\ndata: {broken\n\n"))
        _, err = self.cnnctl("follow", 7, status=1)
        self.assertIn("event 1 of job 7", err)


class Statuses(Case):
    def test_failed_job(self):
        self.server.on("GET", EVENTS, stream(
            event(1, "end", {"state": "failed", "error": "the loss is not finite; lower lr"})))
        out, err = self.cnnctl("follow", 7, status=1)
        self.assertIn("end=failed", out)
        self.assertEqual(err, "cnnctl: job 7 failed: the loss is not finite; lower lr\n")

    def test_cancelled_job(self):
        self.server.on("GET", EVENTS, stream(event(1, "end", {"state": "cancelled"})))
        self.assertEqual(self.cnnctl("follow", 7, status=1)[1], "cnnctl: job 7 was cancelled\n")

    def test_no_such_job(self):
        self.server.on("GET", EVENTS, problem(404, "there is no job 7"))
        self.assertEqual(self.cnnctl("follow", 7, status=1)[1], "cnnctl: there is no job 7\n")

    def test_no_server_at_once(self):
        self.server.stop()
        _, err = self.cnnctl("follow", 7, "--wait", 3600, status=3)
        self.assertIn("no server answers at " + self.server.url, err)
        self.server = FakeServer()

    def test_interrupted(self):
        ready = threading.Event()
        self.server.on("GET", EVENTS, stream(*STORY[:2], ready.set, lambda: time.sleep(PATIENCE)))
        process = self.start("follow", 7)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(err.decode(), "job 7 goes on; follow it again with: cnnctl follow 7\n")
        self.assertEqual([r.method for r in self.server.requests], ["GET"])

    def test_nobody_reads(self):
        self.server.on("GET", EVENTS, stream(*STORY))
        with open("/dev/full", "w") as full:
            _, err = self.cnnctl("follow", 7, status=1, stdout=full)
        self.assertEqual(err, "cnnctl: standard output: No space left on device\n")

    @unittest.skipIf(WINDOWS, "a pipe without a reader has another error there")
    def test_a_reader_that_has_seen_enough(self):
        """`cnnctl follow 7 | head -3`: no fault of the server's, which is not asked again."""
        go_on = threading.Event()
        self.server.on("GET", EVENTS, stream(*STORY[:3], lambda: go_on.wait(PATIENCE), *STORY[3:]))
        process = self.start("follow", 7)
        for _ in range(3):
            process.stdout.readline()
        process.stdout.close()
        go_on.set()
        self.assertEqual(process.stderr.read().decode(), "")
        process.stderr.close()
        self.assertEqual((process.wait(PATIENCE), len(self.server.asked("GET", EVENTS))), (1, 1))


class Breaks(Case):
    def test_goes_on_after_the_last_event(self):
        torn = STORY[3][:len(STORY[3]) // 2]
        self.server.on("GET", EVENTS, stream(*STORY[:3], torn), stream(*STORY[3:]))
        out, err = self.cnnctl("follow", 7)
        self.assertEqual(out, LINES)
        self.assertIn("trying again", err)
        self.assertIn("is back", err)
        self.assertEqual([r.headers["Last-Event-ID"] for r in self.server.asked("GET", EVENTS)], [None, "3"])

    def test_events_told_twice_are_printed_once(self):
        self.server.on("GET", EVENTS, stream(*STORY[:4]), stream(*STORY[:6]), stream(*STORY))
        self.assertEqual(self.cnnctl("follow", 7)[0], LINES)

    def test_many_breaks(self):
        self.server.on("GET", EVENTS, *[stream(e) for e in STORY])
        self.assertEqual(self.cnnctl("follow", 7)[0], LINES)
        self.assertEqual([r.headers["Last-Event-ID"] for r in self.server.asked("GET", EVENTS)],
                         [None, "1", "2", "3", "4", "5", "6"])

    def test_server_killed_and_started_again(self):
        self.server.on("GET", EVENTS, stream(*STORY[:3]))
        process = self.start("follow", 7, "--wait", PATIENCE)
        for _ in range(3):
            process.stdout.readline()
        port = self.server.port
        self.server.stop()
        time.sleep(0.5)
        self.server = FakeServer(port)
        self.server.on("GET", EVENTS, stream(*STORY[3:]))
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(out.decode(), "".join(LINES.splitlines(True)[3:]))
        self.assertEqual(self.server.requests[0].headers["Last-Event-ID"], "3")

    def test_gives_up(self):
        self.server.on("GET", EVENTS, stream(*STORY[:3]))
        process = self.start("follow", 7, "--wait", 2)
        for _ in range(3):
            process.stdout.readline()
        began = time.monotonic()
        self.server.stop()
        _, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 3)
        self.assertIn("no stream of events for 2 s", err.decode())
        self.assertGreater(time.monotonic() - began, 1)
        self.server = FakeServer()

    def test_a_starting_server_is_waited_for(self):
        busy = problem(503, "starting", headers={"Retry-After": "1"})
        self.server.on("GET", EVENTS, busy, stream(*STORY))
        began = time.monotonic()
        self.assertEqual(self.cnnctl("follow", 7)[0], LINES)
        self.assertGreater(time.monotonic() - began, 1)

    def test_gone_after_a_break(self):
        self.server.on("GET", EVENTS, stream(*STORY[:3]), problem(404, "there is no job 7"))
        self.assertIn("there is no job 7", self.cnnctl("follow", 7, status=1)[1])

    def test_heartbeats_count_as_life(self):
        beats = [part for _ in range(6) for part in (": heartbeat\n\n", lambda: time.sleep(0.5))]
        self.server.on("GET", EVENTS, stream(*STORY[:1], *beats, *STORY[1:]))
        self.assertEqual(self.cnnctl("follow", 7, "--wait", 1)[0], LINES)
        self.assertEqual(len(self.server.requests), 1)


if __name__ == "__main__":
    unittest.main()
