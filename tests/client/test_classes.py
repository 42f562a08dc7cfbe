"""What cnnctl does with images that it classifies, and with what a classify job found."""
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import unittest

from case import Case, CNNCTL, PATIENCE, WINDOWS
from fake_server import Answer, FakeServer, problem


class Classify(Case):
    @staticmethod
    def result(*labels):
        return {"predictions": [{"label": label, "index": i, "probability": p, "logit": 1.0}
                                for i, (label, p) in enumerate(labels)]}

    def test_images(self):
        answer = {"model": "m", "results": [self.result(("Sneaker", 0.971), ("Sandal", 0.0204))]}
        self.server.on("POST", "/v1/models/m/classify?top=2", answer)
        files = [self.write(name, name) for name in ("a.png", "b.pgm", "long name.JPG")]
        out, err = self.cnnctl("classify", "m", *map(os.path.basename, files), "--top", 2, env={"LANG": "C"})
        bars = ("█" * 19 + "▍", "▍") if WINDOWS else ("#" * 19, "")
        self.assertEqual(err, "")
        self.assertColumns(out, [["IMAGE", "CLASS", "PROBABILITY", ""]] + [
            row for name in ("a.png", "b.pgm", "long name.JPG")
            for row in ([name, "Sneaker", "97.1 %", bars[0]], ["", "Sandal", "2.0 %", bars[1]])])
        self.assertEqual([(r.headers["Content-Type"], r.body.decode()) for r in self.server.requests], [
            ("image/png", "a.png"), ("application/octet-stream", "b.pgm"), ("image/jpeg", "long name.JPG")])

    def test_csv(self):
        self.server.on("POST", "/v1/models/m/classify?top=3", {"results": [self.result(('a "b", c', 0.971), ("\u001b[2J ö", 1e-9)),
                                                                           self.result(("", 0.5))]})
        name = os.path.basename(self.write("x, y.npy", "x"))
        self.assertEqual(self.cnnctl("classify", "m", name, "--csv", "classes.csv"), ("", ""))
        with open(os.path.join(self.dir, "classes.csv"), encoding="utf-8", newline="") as f:
            self.assertEqual(list(csv.reader(f)), [
                ["image", "rank", "class", "probability", "error"], ["x, y.npy[0]", "1", 'a "b", c', "0.971", ""],
                ["x, y.npy[0]", "2", "?[2J ö", "1e-09", ""], ["x, y.npy[1]", "1", "", "0.5", ""]])
        self.assertIn('"x, y.npy[1]",1,"",0.5,""\n', self.cnnctl("classify", "m", name, "--csv", "-")[0])
        self.assertIn("does not go with --csv", self.cnnctl("classify", "m", name, "--csv", "-", "--json", status=2)[1])

    def test_a_batch(self):
        self.server.on("POST", "/v1/models/m/classify?top=1", {"model": "m", "results": [
            self.result(("cat", 0.5)), self.result(("dog", 0.25))]})
        self.write("x.npy", "x")
        out, _ = self.cnnctl("classify", "m", "x.npy", "--top", 1)
        self.assertColumns(out, [["IMAGE", "CLASS", "PROBABILITY", ""], ["x.npy[0]", "cat", "50.0 %", "█" * 10],
                                 ["x.npy[1]", "dog", "25.0 %", "█" * 5]])

    def test_one_bad_image_does_not_hide_the_others(self):
        good = Answer(body={"results": [self.result(("cat", 1))]})
        self.server.on("POST", "/v1/models/m/classify?top=3", problem(422, "truncated PNG"), good)
        for name in "abc":
            self.write(name, name)
        out, err = self.cnnctl("classify", "m", "a", "missing", "c", status=1)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertRegex(err, r"^cnnctl: a: truncated PNG\ncnnctl: cannot open missing: .*\n$")

    def test_a_folder(self):
        files = {"ice/1.png": b"one", "2.dm4": b"two", "3.txt": b"three"}
        for name, content in files.items():
            self.write("today/" + name, content)
        answer = {"model": "m", "files": [
            {"file": "2.dm4", "results": [self.result(("cat", 0.5)), self.result(("dog", 0.25))]},
            {"file": "3.txt", "error": {"status": 415, "detail": "no picture"}},
            {"file": "ice/1.png", "results": [self.result(("cat", 0.5))]}]}
        self.server.on("POST", "/v1/models/m/classify?top=1", answer)
        for extra in ([], ["--json"]):
            out, err = self.cnnctl("classify", "m", "today/", "--top", 1, *extra, status=1)
            self.assertEqual(err, "cnnctl: today/: 3.txt: no picture\n")
        self.assertEqual(json.loads(out), answer)
        out, _ = self.cnnctl("classify", "m", "today", "--top", 1, status=1)
        self.assertColumns(out, [["IMAGE", "CLASS", "PROBABILITY", ""], ["today/2.dm4[0]", "cat", "50.0 %", "█" * 10],
                                 ["today/2.dm4[1]", "dog", "25.0 %", "█" * 5], ["today/ice/1.png", "cat", "50.0 %", "█" * 10]])
        self.cnnctl("classify", "m", "today", "--top", 1, "--csv", "today.csv", status=1)
        self.assertEqual(self.rows("today.csv"), ["today/2.dm4[0] 1 cat", "today/2.dm4[1] 1 dog", "today/3.txt no picture", "today/ice/1.png 1 cat"])
        for request in self.server.requests:
            self.assertEqual(request.headers["Content-Type"], "application/x-tar")
            with tarfile.open(fileobj=io.BytesIO(request.body), mode="r:") as tar:
                self.assertEqual({m.name: tar.extractfile(m).read() for m in tar.getmembers()}, files)

    PATH = "/v1/models/m/classify?top=3"

    def rows(self, name):
        """What a CSV tells of its images, a text each."""
        with open(os.path.join(self.dir, name), encoding="utf-8", newline="") as f:
            return [" ".join(filter(None, [r["image"], r["rank"], r["class"], r["error"]])) for r in csv.DictReader(f)]

    def of(self, names):
        return {"files": [{"file": name, "results": [self.result(("cat", 1))]} for name in names]}

    def test_a_large_folder_goes_in_parts(self):
        names = ["%03d é.png" % n for n in range(600)]
        for name in names:
            self.write("many/" + name, name)
        parts = [names[:256], names[256:512], names[512:]]
        self.server.on("POST", self.PATH, *[Answer(body=self.of(part)) for part in parts])
        self.assertEqual(self.cnnctl("classify", "m", "many", "--csv", "many.csv"), ("", ""))
        self.assertEqual(self.rows("many.csv"), ["many/%s 1 cat" % name for name in names])
        for request, part in zip(self.server.requests, parts, strict=True):
            with tarfile.open(fileobj=io.BytesIO(request.body), mode="r:") as tar:
                self.assertEqual([(m.name, tar.extractfile(m).read().decode()) for m in tar], [(name, name) for name in part])
        self.server.on("POST", self.PATH, *[Answer(body=self.of(part)) for part in parts])
        self.assertEqual([json.loads(line) for line in self.cnnctl("classify", "m", "many", "--json")[0].splitlines()], [self.of(part) for part in parts])

    def test_a_part_of_which_nothing_can_be_read(self):
        """Each of its files has its own row."""
        names = ["%03d.png" % n for n in range(256)] + ["y.txt", "z.txt"]
        for name in names:
            self.write("mixed/" + name, name)
        refusals = [problem(422, "no file of the archive can be read"), problem(422, "y is no image"), problem(422, "z is no image")]
        self.server.on("POST", self.PATH, Answer(body=self.of(names[:256])), *refusals)
        self.cnnctl("classify", "m", "mixed", "--csv", "mixed.csv", status=1)
        with open(os.path.join(self.dir, "mixed.csv"), newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual([row["image"] for row in rows], ["mixed/" + name for name in names])
        self.assertEqual([row["error"].endswith("is no image") for row in rows], [False] * 256 + [True] * 2)

    def test_a_part_that_is_too_large(self):
        """Or holds what is gone meanwhile: its files go one by one."""
        for name in ("a", "b/c", "d"):
            self.write("today/" + name, name)
        os.mkdir(os.path.join(self.dir, "today", "void"))
        good = Answer(body={"results": [self.result(("cat", 1))]})
        self.server.on("POST", self.PATH, problem(413, "the body is larger than 9 bytes"), good, problem(413, "this one is, too"), good)
        self.assertEqual(self.cnnctl("classify", "m", "today/", "--csv", "x.csv", status=1), ("", "cnnctl: today/b/c: this one is, too\n"))
        self.assertEqual(self.rows("x.csv"), ["today/a 1 cat", "today/b/c today/b/c: this one is, too", "today/d 1 cat"])
        self.assertEqual([r.body for r in self.server.requests[1:]], [b"a", b"b/c", b"d"])

        names = ["%03d.png" % n for n in range(260)]
        for name in names:
            self.write("many/" + name, "x")
        first = json.dumps(self.of(names[:256])).encode()
        self.server.on("POST", self.PATH, Answer(parts=[lambda: os.remove(os.path.join(self.dir, "many", names[257])), first]), good)
        err = self.cnnctl("classify", "m", "many", "--csv", "x.csv", status=1)[1]
        self.assertRegex(err, r"\Acnnctl: cannot open many/257.png: [^\n]*\n\Z")
        self.assertEqual([row.partition(" ")[2].partition(" ")[0] for row in self.rows("x.csv")], ["1"] * 257 + ["cannot"] + ["1"] * 2)

    def test_a_server_that_is_away(self):
        """What was asked is asked again when it is back: after a broken connection, a restart, a proxy without it."""
        for name in "abcd":
            self.write(name, name)
        good = Answer(body={"results": [self.result(("cat", 1))]})
        server, other = self.server, []

        def restart():
            port = server.port
            server.server.server_close()
            threading.Thread(target=begin, args=(port,), daemon=True).start()

        def begin(port):
            time.sleep(0.5)
            other.append(FakeServer(port))
            other[0].on("GET", "/v1/health", problem(503, "starting", headers={"Retry-After": "1"}), {"status": "ok"})
            other[0].on("POST", self.PATH, problem(503, "starting", headers={"Retry-After": "1"}), good, problem(502, "no server"), good)

        server.on("POST", self.PATH, Answer(hang_up=True), good, Answer(parts=[restart], headers={"Content-Length": "99"}))
        out, err = self.cnnctl("classify", "m", *"abcd", "--csv", "x.csv")
        self.addCleanup(other[0].stop)
        self.assertEqual(self.rows("x.csv"), [name + " 1 cat" for name in "abcd"])
        self.assertEqual([line.rpartition("; ")[2] if "again" in line else line.rpartition(" is ")[2] for line in err.splitlines()],
                         ["trying again", "back"] * 3)
        self.assertEqual(b"".join(r.body for r in other[0].asked("POST", self.PATH)), b"bbccd")

    def test_a_server_that_does_not_come_back(self):
        for name in "abc":
            self.write(name, name)
        good = Answer(body={"results": [self.result(("cat", 1))]})
        self.server.on("POST", self.PATH, good, Answer(hang_up=True))
        err = self.cnnctl("classify", "m", *"abc", "--csv", "x.csv", "--wait", 1, status=3)[1]
        self.assertIn("cnnctl: after 1 of 3 files: no answer for 1 s: the connection to", err)
        self.assertEqual(self.rows("x.csv"), ["a 1 cat"])
        self.server.on("POST", self.PATH, good, Answer(hang_up=True))
        out, err = self.cnnctl("classify", "m", *"abc", "--wait", 0, status=3)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertEqual(self.cnnctl("classify", "m", "a", "--csv", "y.csv", status=3, env={"CNND_URL": "http://127.0.0.1:9"})[0], "")
        self.assertNotIn("y.csv", self.files())
        self.server.on("POST", self.PATH, Answer(parts=[self.server.server.server_close, good.body]))
        err = self.cnnctl("classify", "m", *"abc", "--csv", "z.csv", "--wait", 1, status=3)[1]
        self.assertIn("cnnctl: after 1 of 3 files: no answer for 1 s: no server answers at", err)
        self.assertEqual(self.rows("z.csv"), ["a 1 cat"])

    def test_what_is_every_files_fault(self):
        """Is told once; what costs a device is not sent again, and ends it where it goes on."""
        for name in "abcde":
            self.write(name, name)
        for status in (401, 403, 404):
            self.server.on("POST", self.PATH, problem(status, "no model m"))
            before = len(self.server.requests)
            err = self.cnnctl("classify", "m", *"abcde", "--csv", "x.csv", status=1)[1]
            self.assertTrue(err.startswith("cnnctl: a: no model m\n"), err)
            self.assertEqual((len(self.server.requests) - before, self.files()), (1, list("abcde")))
        good, lost = Answer(body={"results": [self.result(("cat", 1))]}), problem(503, "the worker was lost twice", headers={"Retry-After": "1"})
        self.server.on("GET", "/v1/health", {"status": "ok"})
        self.server.on("POST", self.PATH, lost, lost, good, lost, good)
        self.cnnctl("classify", "m", *"abcde", "--csv", "x.csv", status=1)
        self.assertEqual([row.split()[1] for row in self.rows("x.csv")], ["a:", "b:", "1", "d:", "1"])
        self.server.on("POST", self.PATH, good, lost)
        err = self.cnnctl("classify", "m", *"abcde", "--csv", "x.csv", status=1)[1]
        self.assertIn("cnnctl: after 3 of 5 files: d: the worker was lost twice", err)
        self.assertEqual([row.split()[1] for row in self.rows("x.csv")], ["1", "b:", "c:"])

    @unittest.skipIf(WINDOWS, "signals are POSIX's")
    def test_interrupted(self):
        """A file of CSV is whole or not there."""
        for name in "ab":
            self.write(name, name)
        good, wait = Answer(body={"results": [self.result(("cat", 1))]}), threading.Event()
        self.addCleanup(wait.set)
        for pausing in (Answer(parts=[lambda: wait.wait(PATIENCE)]), Answer(hang_up=True)):
            self.server.on("POST", self.PATH, good, pausing)
            before = len(self.server.requests)
            process = self.start("classify", "m", "a", "b", "--csv", "x.csv", "--wait", PATIENCE)
            while len(self.server.requests) < before + 2:
                time.sleep(0.01)
            self.assertEqual(len(self.files()), 3)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, self.files()), (128 + signal.SIGINT, ["a", "b"]))

    def test_json(self):
        self.server.on("POST", "/v1/models/m/classify?top=3", Answer(body='{"results" : []}'))
        self.write("a", "a")
        self.assertEqual(self.cnnctl("classify", "m", "a", "a", "--json")[0], '{"results" : []}\n' * 2)

    def test_a_large_file_is_sent_whole(self):
        self.server.on("POST", "/v1/models/m/classify?top=3", {"results": []})
        content = os.urandom(3 << 20)
        self.write("big.dm4", content)
        self.cnnctl("classify", "m", "big.dm4")
        self.assertEqual(self.server.requests[0].body, content)
        self.assertEqual(self.server.requests[0].headers["Content-Type"], "application/x-dm")


class Result(Case):
    def test_scores(self):
        self.server.on("GET", "/v1/jobs/8/result", {
            "model": "m", "dataset": "grid", "count": 1000, "accuracy": 0.6, "classes": ["ice", "carbon"],
            "per_class": [{"class": "ice", "precision": 0.5714, "recall": 0.8, "f1": 0.6667, "support": 500},
                          {"class": "carbon", "precision": 0, "recall": 1, "f1": 0.25, "support": 500}],
            "macro": {"precision": 0.285, "recall": 0.9, "f1": 0.458}, "weighted": {"precision": 0.3, "recall": 0.6, "f1": 0.4},
            "model_import": {"size": [8, 8], "fit": "crop", "normalize": "percentiles", "pixel_size": 2},
            "dataset_import": {"size": [9, 9], "fit": "crop", "normalize": "none"},
            "confusion": [[400, 100], [0, 500]], "labels": [], "predictions": []})
        out, err = self.cnnctl("result", 8)
        self.assertEqual([line.split('"')[1] for line in err.splitlines()], ["normalize", "pixel_size"])
        head, scores, confusion = out.split("\n\n")
        self.assertEqual(head, "m on grid: 60.0 % of 1,000 images right")
        lines = [line for line in scores.split("\n") if not set(line) <= set("─- ")]
        self.assertColumns("\n".join(lines), [
            ["CLASS", "PRECISION", "RECALL", "F1", "IMAGES"], ["ice", "57.1 %", "80.0 %", "66.7 %", "500"],
            ["carbon", "0.0 %", "100.0 %", "25.0 %", "500"], ["mean of the classes", "28.5 %", "90.0 %", "45.8 %", "1,000"],
            ["mean by images", "30.0 %", "60.0 %", "40.0 %", "1,000"]])
        self.assertColumns(confusion, [["IS / TAKEN FOR", "1", "2"], ["1 ice", "400", "100"], ["2 carbon", "0", "500"]])
        self.assertEqual(self.cnnctl("result", 8, "--csv", "-")[0].splitlines(), [
            "class,precision,recall,f1,images,as ice,as carbon", "ice,0.5714,0.8,0.6667,500,400,100", "carbon,0,1,0.25,500,0,500"])
        self.server.on("GET", "/v1/jobs/10/result", {
            "model": "m", "dataset": "d", "classes": ["=ice", 'say "b", c'], "classes_by": "name", "labels": [0, 1, 1], "predictions": [0, 0, 1],
            "probabilities": [1, 0.123456789, 1e-9], "files": ["a/\u202e\u001b[2J,1.mrc", "b/ö.tif"], "file": [0, 0, 1], "frame": [0, 3, 0],
            "tile": [[0, 0], [64, 128], [0, 4096]]})
        rows = ["file,frame,tile,label,predicted,probability,correct", "\"a/??[2J,1.mrc\",0,y0 x0,'=ice,'=ice,1,yes",
                '"a/??[2J,1.mrc",3,y64 x128,"say ""b"", c",\'=ice,0.123456789,no', 'b/ö.tif,0,y0 x4096,"say ""b"", c","say ""b"", c",1e-09,yes']
        self.assertEqual(self.cnnctl("result", 10, "--images", "-")[0].splitlines(), rows)
        # What a spreadsheet takes for a formula, and what it does not.
        names = ["-1", "+2.5", "-x", "+1+1", "@y", "'z", "a;=b", "a=b"]
        self.server.on("GET", "/v1/jobs/12/result", {
            "model": "m", "dataset": "d", "classes": names, "labels": list(range(8)), "predictions": [0] * 8, "files": ["=1+1/x.png"], "file": [0] * 8})
        cells = [line.split(",")[3] for line in self.cnnctl("result", 12, "--images", "-")[0].splitlines()[1:]]
        self.assertEqual(cells, ["-1", "+2.5", "'-x", "'+1+1", "'@y", "''z", '"a;=b"', "a=b"])
        self.assertIn("'=1+1/x.png,", self.cnnctl("result", 12, "--images", "-")[0])
        self.cnnctl("result", 10, "--images", "images.csv", "--csv", "scores.csv")
        self.assertEqual(self.read("images.csv").decode().splitlines(), rows)
        self.assertIn(b"class,precision", self.read("scores.csv"))
        self.assertIn("does not go with --csv and --images", self.cnnctl("result", 10, "--json", "--images", "-", status=2)[1])
        # Of a version before, or of arrays; and what no server of ours sends.
        for answer, want in (({"labels": [1, 0], "predictions": [1, 1], "classes": ["a", "b"]}, ['"","","",b,b,"",yes', '"","","",a,b,"",no']),
                             ({"labels": [7, -1, "x"], "predictions": [], "file": [0.5, None], "files": [3], "tile": [1, [None, 2]]},
                              ['"","","","","","",no'] * 3),
                             ({}, [])):
            self.server.on("GET", "/v1/jobs/11/result", {"model": "m", "dataset": "d", **answer})
            self.assertEqual(self.cnnctl("result", 11, "--images", "-")[0].splitlines()[1:], want)
        self.server.on("GET", "/v1/jobs/9/result", problem(409, "job 9 is no classify job"))
        self.assertIn("no classify job", self.cnnctl("result", 9, status=1)[1])

    def test_any_order_and_blanks(self):
        """Columns come in whatever order, with blanks and escapes, beside what is not known; names of files are asked for in any."""
        count = 3000
        names = ["%d/\u00e9\"%s.tif" % (i, "x" * (i % 50)) for i in range(count)]
        answer = {"files": names, "file": [(i * 7919) % count for i in range(count)], "tile": [[i, 2 * i] for i in range(count)],
                  "new": {"deep": [[{}, {"labels": [1]}], "]}"]}, "probabilities": [i / count for i in range(count)],
                  "predictions": [i % 2 for i in range(count)], "classes": ["a", "b"], "labels": [0] * count, "model": "m"}
        want = [[names[i * 7919 % count], "", "y%d x%d" % (i, 2 * i), "a", "ab"[i % 2], i / count, "no" if i % 2 else "yes"] for i in range(count)]
        for text in (json.dumps(answer), json.dumps(answer, indent=3, ensure_ascii=False), json.dumps(dict(reversed(answer.items())), separators=(",", ":"))):
            self.server.on("GET", "/v1/jobs/7/result", Answer(body=text))
            got = csv.reader(self.cnnctl("result", 7, "--images", "-")[0].splitlines()[1:])
            self.assertEqual([[*row[:5], float(row[5]), *row[6:]] for row in got], want)
            self.assertEqual(self.cnnctl("result", 7, "--json")[0], text + "\n")

    def test_what_is_no_result(self):
        """Nothing is written of what is no JSON, or not whole, and the file of before stays."""
        whole = json.dumps({"labels": [0, 1], "predictions": [0, 1], "classes": ["a", "b"], "files": ["x", "y"], "file": [0, 1]})
        self.write("rows.csv", "before")
        for body, complaint in ((whole[:-1], "unexpected end at byte %d" % (len(whole) - 1)), (whole[:50], "unexpected end at byte 50"),
                                (whole + "]", "text after the JSON value at byte %d" % len(whole)), ("<html>", "unexpected character at byte 0"),
                                (whole.replace("[0, 1]", "[0, 01]", 1), "the value at byte 15: "), (whole.replace('"x"', '"\\x"'), "bad escape"),
                                ("{" + whole[1:-1] + ', "labels": []}', 'the key "labels" appears twice'),
                                ("{" + whole[1:-1] + ', "classes": []}', 'the key "classes" appears twice'), ("", "unexpected end at byte 0")):
            self.server.on("GET", "/v1/jobs/7/result", Answer(body=body))
            for words in (("--images", "rows.csv"), ("--csv", "rows.csv"), ("--images", "-"), ("--json",), ()):
                out, err = self.cnnctl("result", 7, *words, status=1)
                self.assertEqual(out, "", words)
                self.assertIn("what answers at %s is not cnnd: " % self.server.url, err)
                self.assertIn(complaint, err)
        self.server.on("GET", "/v1/jobs/7/result", Answer(body=whole, length=len(whole) + 100))
        self.assertIn("the connection to", self.cnnctl("result", 7, "--images", "rows.csv", status=3)[1])
        self.assertEqual((self.read("rows.csv"), self.files()), (b"before", ["rows.csv"]))
        os.mkdir(os.path.join(self.dir, "folder"))
        self.server.on("GET", "/v1/jobs/7/result", Answer(body=whole))
        if not WINDOWS:
            self.assertIn("cannot create a file in /no/folder (TMPDIR names another folder): No such file",
                          self.cnnctl("result", 7, "--images", "rows.csv", status=1, env={"TMPDIR": "/no/folder"})[1])
        for option in ("--images", "--csv"):
            self.assertIn("folder is not a regular file", self.cnnctl("result", 7, option, "folder", status=1)[1])

    @unittest.skipIf(WINDOWS, "who measures a process is no part of Wine")
    def test_many_images_take_no_memory(self):
        def most(count):
            """KiB that it takes at its most."""
            answer = {"model": "m", "dataset": "d", "count": count, "classes": ["a", "b"], "accuracy": 0.5, "labels": [0] * count,
                      "predictions": [i % 2 for i in range(count)], "probabilities": [0.123456789] * count,
                      "files": ["some/folder/of/images/%d.tif" % i for i in range(count)], "file": list(range(count)), "tile": [[0, 64]] * count}
            self.server.on("GET", "/v1/jobs/7/result", answer)
            # A sanitizer would keep what is freed.
            options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
            # By a process that is small itself, for what it forks is as large at first.
            small = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
                     "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
            used = subprocess.run([sys.executable, "-c", small, *CNNCTL, "result", "7", "--images", "rows.csv"], cwd=self.dir, check=True,
                                  capture_output=True, env=self.environment(ASAN_OPTIONS=options), timeout=PATIENCE)
            self.assertEqual(self.read("rows.csv").count(b"\n"), count + 1)
            return int(used.stdout)
        few, many = most(1000), most(200000)
        self.assertLess(many - few, 4096)


if __name__ == "__main__":
    unittest.main()
