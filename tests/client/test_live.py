"""cnnctl on a terminal: the live curve is drawn in place, and the terminal is left as it was."""
import json
import os
import re
import signal
import subprocess
import threading
import time
import unittest

from case import Case, PATIENCE, job
from fake_server import Answer, FakeServer, event, problem, stream
from screen import Screen

EVENTS = "/v1/jobs/7/events"
BRAILLE = re.compile("[\u2801-\u28ff]")


def train(number, step, loss):
    return event(number, "train", {"step": step, "epoch": step / 469, "loss": loss, "acc": 1 - loss / 3,
                                   "images_per_second": 21034.4})


def run_of(epochs=10, last="succeeded"):
    """The events of a whole job: ten points and a validation an epoch."""
    events = [event(1, "state", {"state": "running", "device": "0:0"})]
    for i in range(1, epochs * 10 + 1):
        events.append(train(len(events) + 1, i * 46.9, 0.3 + 2 / (1 + i / 4)))
        if i % 10 == 0:
            events.append(event(len(events) + 1, "validation", {"epoch": i / 10, "loss": 0.4 + 1.8 / (1 + i / 4),
                                                                "acc": 0.8}))
    events.append(event(len(events) + 1, "end", {"state": last}))
    return events


class Live(Case):
    def setUp(self):
        super().setUp()
        self.server.on("GET", "/v1/jobs/7", job(name="first try"))

    def open(self, *words, columns=80, rows=24, env=None):
        self.screen = Screen(columns, rows)
        self.addCleanup(self.screen.close)
        self.process = self.start(*words, env=env, stdout=self.screen.slave, stderr=self.screen.slave,
                                  start_new_session=True)
        self.addCleanup(self.process.kill)

    def until(self, text):
        self.assertTrue(self.screen.read(PATIENCE, lambda: text in self.screen.picture()),
                        f"{text!r} does not come:\n{self.screen.picture()}")

    def finish(self, status=0):
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.screen.read(0.05)
        self.screen.read(0.2)
        self.assertEqual(self.process.returncode, status, self.screen.picture())
        self.assertTrue(self.screen.cursor, "the cursor is hidden")
        self.assertEqual(self.screen.column, 0)
        return self.screen.picture()

    def test_an_import(self):
        told = {"files": 1200, "images": 2400, "written": 0, "bytes": 500, "total_bytes": 1000, "split": None, "phase": "reading"}
        seen, go = threading.Event(), threading.Event()

        def wait(event):
            return lambda: event.wait(PATIENCE)

        end = {"state": "succeeded", "created": True, "dataset": {"train": 1920, "val": 480}}
        written = {**told, "phase": "writing", "split": "val", "written": 2200}
        self.server.on("PUT", "/v1/datasets/grid", stream(event(1, "progress", told), wait(seen), event(2, "progress", written), wait(go),
                                                          event(3, "end", end)))
        self.write("x.zip", "zip")
        self.open("import", "grid", "x.zip", columns=90)
        self.until("reading, 1,200 files, 2,400 images")
        self.assertIn("━" * 16 + "─" * 16 + "   50 %", self.screen.picture())
        seen.set()
        self.until("writing the val split, 2,200 of 2,400 images")
        go.set()
        self.assertEqual(self.finish().strip(), "data set grid: imported, 1,920 images to train and 480 to validate")

    def test_a_classification(self):
        go, away = threading.Event(), threading.Event()
        answer = json.dumps({"results": [{"predictions": [{"label": "cat", "probability": 0.5}]}]}).encode()
        self.server.on("POST", "/v1/models/m/classify?top=3", Answer(body=answer), Answer(parts=[lambda: go.wait(PATIENCE)], headers={"Content-Length": "9"}),
                       Answer(parts=[lambda: away.wait(PATIENCE), answer]))
        self.server.on("GET", "/v1/health", {"status": "ok"})
        for name in "ab":
            self.write(name, name)
        self.open("classify", "m", "a", "missing", "b", columns=90)
        self.until("━" * 21 + "─" * 11 + "  2 of 3 files")
        go.set()
        self.until("2 of 3 files, no server, looking for it")
        away.set()
        picture = self.finish(1)
        self.assertRegex(picture, r"\Acnnctl: cannot open missing: [^\n]*\n *IMAGE")
        self.assertEqual([line.split()[:2] for line in picture.splitlines()[2:]], [["a", "cat"], ["b", "cat"]])

    def test_a_map(self):
        self.server.on("POST", "/v1/models/m/map", {
            "model": "m", "grid": {"rows": 10, "columns": 20}, "classes": ["ice", "carbon"], "counts": [150, 30],
            "uncertain": 20, "labels": [[0]], "probabilities": [[1]]})
        self.write("x.mrc", "x")
        self.open("map", "m", "x.mrc")
        picture = self.finish()
        for row in (r"ice +150 +75\.0 %", r"carbon +30 +15\.0 %", r"uncertain +20 +10\.0 %", "-o map.png writes the picture"):
            self.assertRegex(picture, row)
        self.assertNotIn("labels", picture)

    def test_a_whole_job(self):
        self.server.on("GET", "/v1/jobs/7", job(), job(state="succeeded", finished_at="2026-11-23T08:02:46Z"))
        self.server.on("GET", EVENTS, stream(*run_of()))
        self.open("follow", 7)
        picture = self.finish()
        lines = picture.split("\n")
        self.assertEqual(lines[0], "job 7 · first try, bn-lenet on fashion-mnist · succeeded")
        self.assertEqual(picture.count("job 7"), 1)
        self.assertEqual(lines[1].strip(), "loss")
        self.assertRegex(lines[-1], r"^━+  100 %  epoch 10/10  21,034 images/s  in 2:45$")
        self.assertEqual(lines[-2], "━━ train 0.3769 87.4 %  ━● val 0.4692 80.0 %")
        self.assertGreater(len(BRAILLE.findall(picture)), 40)
        self.assertEqual(picture.count("●"), 11)
        self.assertLess(len(lines), 24)

    def test_the_curve_has_its_place(self):
        self.server.on("GET", EVENTS, stream(*run_of()))
        self.open("follow", 7)
        lines = self.finish().split("\n")
        rows = [line for line in lines if re.match(r" *[\d.]* [┤│]", line)]
        ticks = [float(line.split("┤")[0]) for line in rows if "┤" in line]
        self.assertEqual(ticks, sorted(ticks, reverse=True))
        self.assertLessEqual(ticks[-1], 0.37)
        self.assertGreaterEqual(ticks[0], 1.9)
        heights = [i for i, line in enumerate(rows) for _ in BRAILLE.findall(line)]
        self.assertLess(min(heights), len(rows) / 3)
        columns = [[i for i, line in enumerate(rows) if BRAILLE.match(line[c:c + 1] or " ")] for c in range(6, 79)]
        filled = [c for c in columns if c]
        self.assertLess(filled[0][0], filled[-1][-1], "the loss does not fall")

    def test_two_panels_on_a_wide_terminal(self):
        self.server.on("GET", EVENTS, stream(*run_of()))
        self.open("follow", 7, columns=140, rows=40)
        picture = self.finish()
        self.assertRegex(picture.split("\n")[1], r"^ +loss +accuracy$")
        self.assertIn("━━ train loss 0.3769  accuracy 87.4 %    ━● validation loss 0.4692  accuracy 80.0 %", picture)

    def test_drawn_in_place_and_not_too_often(self):
        events = run_of()
        parts = [p for e in events for p in (e, lambda: time.sleep(0.02))]
        self.server.on("GET", EVENTS, stream(*parts))
        began = time.monotonic()
        self.open("follow", 7)
        picture = self.finish()
        self.assertEqual(picture.count("job 7"), 1)
        times = self.screen.updates
        self.assertGreater(len(times), 3)
        # Two final drawings may follow the last timed one at once. What came early may be read late.
        self.assertLessEqual(len(times), (times[-1] - began) * 10 + 3)

    def test_time_left(self):
        go_on = threading.Event()
        sent = []

        def pause():
            sent.append(time.monotonic())
            time.sleep(0.5)

        live = [p for i in range(5) for p in (train(4 + i, 800 + 100 * i, 0.5), pause)]
        self.server.on("GET", EVENTS, stream(
            event(1, "state", {"state": "running", "device": "0:0"}), train(2, 400, 1), train(3, 700, 0.7), *live,
            lambda: go_on.wait(PATIENCE), event(9, "end", {"state": "cancelled"})))
        self.open("follow", 7)
        self.until("left")
        self.screen.read(2.5)
        # 3490 of 4690 steps are left at 200 a second, or at what a slow machine has made of that.
        left = re.search(r"(\d+):(\d\d) left", self.screen.picture())
        seconds = int(left.group(1)) * 60 + int(left.group(2))
        want = 3490 * (sent[-1] - sent[0]) / 400
        self.assertTrue(want / 4 <= seconds <= want * 4, self.screen.picture())
        self.assertIn("running on 0:0", self.screen.picture())
        self.assertFalse(self.screen.cursor)
        go_on.set()
        self.assertIn("was cancelled", self.finish(1))

    def test_interrupted(self):
        self.server.on("GET", EVENTS, stream(*run_of()[:30], lambda: time.sleep(PATIENCE)))
        self.open("follow", 7)
        self.until("━━ train")
        self.process.send_signal(signal.SIGINT)
        picture = self.finish(130)
        self.assertTrue(picture.endswith("\njob 7 goes on; follow it again with: cnnctl follow 7"), picture)
        self.assertEqual(picture.count("first try"), 1)

    def test_terminated(self):
        self.server.on("GET", EVENTS, stream(*run_of()[:30], lambda: time.sleep(PATIENCE)))
        self.open("follow", 7)
        self.until("━━ train")
        self.process.send_signal(signal.SIGTERM)
        self.finish(143)

    def test_suspended_and_continued(self):
        go_on = threading.Event()
        self.server.on("GET", EVENTS, stream(*run_of()[:30], lambda: go_on.wait(PATIENCE), *run_of()[30:]))
        self.open("follow", 7)
        self.until("━━ train")
        self.process.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        self.screen.read(0.2)
        self.assertTrue(self.screen.cursor)
        self.process.send_signal(signal.SIGCONT)
        go_on.set()
        self.assertIn("100 %", self.finish())

    def test_resized(self):
        go_on = threading.Event()
        self.server.on("GET", EVENTS, stream(*run_of()[:30], lambda: go_on.wait(PATIENCE), *run_of()[30:]))
        self.open("follow", 7, columns=80)
        self.until("━━ train")
        self.screen.resize(120, 40)
        self.process.send_signal(signal.SIGWINCH)
        self.until("accuracy")
        go_on.set()
        picture = self.finish()
        self.assertEqual(picture.count("job 7"), 1)
        self.assertRegex(picture.split("\n")[1], r"^ +loss +accuracy$")

    def test_every_size_fits(self):
        self.server.on("GET", EVENTS, stream(*run_of()))
        for columns, rows in [(20, 5), (33, 12), (50, 10), (79, 11), (101, 24), (300, 90), (1, 1), (12, 3)]:
            with self.subTest(columns=columns, rows=rows):
                self.open("follow", 7, columns=columns, rows=rows)
                picture = self.finish()
                if columns >= 10:
                    self.assertLess(len(picture.split("\n")), max(rows, 4))

    def test_colours(self):
        self.server.on("GET", EVENTS, stream(*run_of()))
        self.open("follow", 7)
        self.finish()
        self.assertLessEqual({"38;5;33", "38;5;208", "0"}, self.screen.colours)
        self.open("follow", 7, env={"TERM": "vt220"})
        self.finish()
        self.assertLessEqual({"36", "33", "0"}, self.screen.colours)
        self.assertNotIn("38;5;33", self.screen.colours)
        self.open("follow", 7, env={"NO_COLOR": "1"})
        self.finish()
        self.assertEqual(self.screen.colours, set())

    def test_without_utf8(self):
        self.server.on("GET", "/v1/jobs/7", job(name="Versuch ö"))
        self.server.on("GET", EVENTS, stream(*run_of()))
        self.open("follow", 7, env={"LANG": "C"})
        picture = self.finish()
        self.assertTrue(picture.isascii(), picture)
        self.assertIn("Versuch ?", picture)
        self.assertGreater(picture.count("*"), 20)
        self.assertGreater(picture.count("o"), 10)
        self.assertRegex(picture.split("\n")[-1], r"^#+  100 %")

    def test_a_dumb_terminal_gets_lines(self):
        self.server.on("GET", EVENTS, stream(*run_of(1)))
        self.open("follow", 7, columns=200, env={"TERM": "dumb"})
        picture = self.finish()
        self.assertIn("epoch=1 val_loss=", picture)
        self.assertNotIn("\x1b", self.screen.text)

    def test_server_killed_and_started_again(self):
        self.server.on("GET", EVENTS, stream(*run_of()[:30]))
        self.open("follow", 7)
        self.until("━━ train")
        port = self.server.port
        self.server.stop()
        self.until("no server, looking for it")
        self.server = FakeServer(port)
        self.server.on("GET", "/v1/jobs/7", job(state="succeeded"))
        self.server.on("GET", EVENTS, stream(*run_of()[30:]))
        picture = self.finish()
        self.assertEqual(self.server.asked("GET", EVENTS)[0].headers["Last-Event-ID"], "30")
        self.assertNotIn("no server", picture)
        self.assertEqual(picture.count("●"), 11)

    def test_names_cannot_write_escapes(self):
        self.server.on("GET", "/v1/jobs/7", job(name="\u001b[2J\u001b]0;x\u0007"))
        self.server.on("GET", EVENTS, stream(*run_of(1)))
        self.open("follow", 7)
        self.assertIn("job 7 · ?[2J?]0;x?", self.finish())

    def test_a_job_without_curves(self):
        self.server.on("GET", "/v1/jobs/7", job(type="classify", request={"dataset": "x"}))
        self.server.on("GET", EVENTS, stream(event(1, "end", {"state": "succeeded"})))
        self.open("follow", 7)
        lines = self.finish().split("\n")
        self.assertEqual(lines[0], "job 7 · first try on x · succeeded")
        self.assertEqual(len(lines), 2)

    def test_no_such_job_draws_nothing(self):
        self.server.on("GET", "/v1/jobs/7", problem(404, "there is no job 7"))
        self.open("follow", 7)
        self.assertEqual(self.finish(1), "cnnctl: there is no job 7")

    def test_a_failed_job(self):
        self.server.on("GET", EVENTS, stream(*run_of()[:15], event(16, "end", {"state": "failed", "error": "too hot"})))
        self.open("follow", 7)
        picture = self.finish(1)
        self.assertTrue(picture.endswith("\ncnnctl: job 7 failed: too hot"), picture)

    def test_curve_draws_the_same_picture(self):
        points = [e for e in run_of()]
        self.server.on("GET", "/v1/jobs/7", job(state="succeeded", finished_at="2026-11-23T08:02:46Z"))
        self.server.on("GET", EVENTS, stream(*points))
        self.open("follow", 7)
        followed = self.finish()
        steps = [i * 46.9 for i in range(1, 101)]
        loss = [0.3 + 2 / (1 + i / 4) for i in range(1, 101)]
        epochs = list(range(1, 11))
        self.server.on("GET", "/v1/jobs/7/curve", {
            "id": 7, "train": {"step": steps, "epoch": [s / 469 for s in steps], "loss": loss,
                               "acc": [1 - v / 3 for v in loss], "images_per_second": [21034.4] * 100},
            "validation": {"epoch": epochs, "loss": [0.4 + 1.8 / (1 + 10 * i / 4) for i in epochs],
                           "acc": [0.8] * 10, "train_loss": [None] * 10}})
        self.open("curve", 7)
        self.assertEqual(self.finish(), followed)


class Tables(Case):
    def test_cut_to_the_terminal(self):
        self.server.on("GET", "/v1/jobs?limit=20", {"jobs": [job(name="a very long name " * 5), job(8)]})
        screen = Screen(90)
        self.addCleanup(screen.close)
        process = subprocess.Popen([*os.environ["CNNCTL"].split(), "jobs"], env=self.environment(), stdout=screen.slave)
        process.wait(PATIENCE)
        screen.read(0.3)
        self.assertIn("…", screen.picture())
        self.assertEqual(len(screen.lines), 4)
        self.assertIn("1", screen.colours)


if __name__ == "__main__":
    unittest.main()
