#!/usr/bin/env python3
"""Data sets remember which file each image came from, and the results of classify jobs tell it."""

import contextlib
import csv
import io
import json
import os
import sqlite3
import struct
import subprocess
import tarfile
import tempfile
import threading
import unicodedata
import unittest
import urllib.parse
import zlib

import harness
from archives import Stored, array, safetensors, tarred, zipped
from harness import Daemon, pgm, png, wait_for

CNNCTL = os.environ.get("CNNCTL")
LINEAR = {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 2}]}


def dot(value, side=4):
    return png(side, side, bytes([value]) * (side * side))


def folder(name):
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    return entry


def as_before(raw):
    """The same data set in the layout of version 1, as older versions wrote it."""
    size = struct.unpack("<I", raw[12:16])[0]
    about = json.loads(raw[64 : 64 + size])
    del about["origins"]
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":")).encode()
    one = about["channels"] * about["height"] * about["width"] * (4 if about["type"] == "f32" else 1)
    body, at, to = b"", 64 + size, 64 + len(text)
    for length in [length for split in ("train", "val") for length in (about[split] * one, about[split] * 4)]:
        at, gap = (at + 4095) // 4096 * 4096, -to % 4096
        body += bytes(gap) + raw[at : at + length]
        at, to = at + length, to + gap + length
    head = struct.pack("<8sIIQI", b"cnndset", 1, len(text), to, zlib.crc32(text))
    return head + struct.pack("<I", zlib.crc32(head)) + bytes(32) + text + body


class House(unittest.TestCase):
    device = False

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon(device=cls.device))

    def put(self, body, query="", name="set", status=(200, 201)):
        got, _, answer = self.daemon.request("PUT", "/v1/datasets/%s%s" % (name, query), body)
        self.assertIn(got, status, answer)
        return answer

    def path(self, name="set"):
        return "%s/datasets/%s.cnnd" % (self.daemon.state, name)

    def stored(self, name="set"):
        return Stored(self.path(name))

    def names(self, name="set"):
        got = self.stored(name).files
        return {split: [file[0] for file in got[split]] for split in got}


class Import(House):
    def test_class_folders(self):
        files = [("all/%s/%d.png" % (c, i), dot(16 * k + i)) for k, c in enumerate("ba") for i in range(5)]
        for body in (zipped(files), tarred(files), tarred(files[::-1], "w:gz")):
            about = self.put(body, "?val=0.4")
            self.assertEqual(about["bytes"], os.path.getsize(self.path()))
            got, pixels = self.stored(), dict(files)
            self.assertEqual(sorted(got.files["train"] + got.files["val"]), sorted((n, 1, 1, 1) for n in pixels))
            for split in ("train", "val"):
                self.assertEqual([dot(image[0]) for image in got.images[split]], [pixels[f[0]] for f in got.files[split]])

    def test_splits_frames_and_tiles(self):
        stack = array("|u1", (3, 1, 8, 8), bytes(range(192)))
        self.put(zipped([("train/a/s.npy", stack), ("train/b/1.pgm", pgm(8, 8, bytes(64))), ("val/a/s.npy", stack)]))
        self.assertEqual(self.stored().files, {"train": [("train/a/s.npy", 3, 1, 1), ("train/b/1.pgm", 1, 1, 1)], "val": [("val/a/s.npy", 3, 1, 1)]})
        self.put(zipped([("a/s.npy", stack), ("a/wide.pgm", pgm(13, 8, bytes(104)))]), "?size=4&fit=tile&stride=3&val=0")
        got = self.stored()
        self.assertEqual(got.files["train"], [("a/s.npy", 3, 2, 2), ("a/wide.pgm", 1, 2, 4)])
        self.assertEqual((got.about["origins"]["step"], got.about["train"]), ([3, 3], 20))

    def test_labels_csv(self):
        images = [("imgs/%d.png" % i, dot(i)) for i in range(4)]
        self.put(zipped(images + [("imgs/labels.csv", b"file,label,split\n3.png,x,train\n./1.png,y,val\n0.png,x,train\n")]))
        self.assertEqual(self.names(), {"train": ["imgs/0.png", "imgs/3.png"], "val": ["imgs/1.png"]})

    def test_arrays_have_none(self):
        x, y = array("|u1", (4, 2, 2), bytes(16)), array("|u1", (4,), b"\0\1\0\1")
        tensors = {"x": ("U8", [4, 2, 2], bytes(16)), "y": ("U8", [4], b"\0\1\0\1")}
        for body in (zipped([("x.npy", x), ("y.npy", y)]), safetensors(tensors)):
            self.put(body)
            self.assertEqual((self.stored().files, self.stored().version), (None, 1))

    def test_names_are_made_safe(self):
        """Whatever they are, the files are taken, and told apart."""
        one, two = "a/x\ny.png", "a/x\ty.png"
        self.put(tarred([(one, dot(1)), (two, dot(2)), ("a/x?y.png", dot(3)), ("b/\x7f\x1b[2J.png", dot(4))]), "?val=0")
        self.assertEqual(self.names()["train"], ["a/x?y.png"] * 3 + ["b/??[2J.png"])
        again = self.stored().images
        self.put(tarred([("b/\x7f\x1b[2J.png", dot(4)), ("a/x?y.png", dot(3)), (two, dot(2)), (one, dot(1))]), "?val=0")
        self.assertEqual(self.stored().images, again)
        listed = 'file,label\n"x\ny.png",a\n"x\ty.png",b\nx?y.png,c\n'.encode()
        self.assertEqual(self.put(tarred([(one, dot(1)), (two, dot(2)), ("a/x?y.png", dot(3)), ("a/labels.csv", listed)]), "?val=0")["classes"], ["a", "b", "c"])
        self.assertEqual(sorted((label, image[0]) for label, image in self.stored().pairs("train")), [(0, 1), (1, 2), (2, 3)])
        long = ["a/%s.png" % (c * 5000) for c in "xy"] + ["a/%s%d.png" % ("z" * 5000, i) for i in range(2)] + ["b/%sö.png" % ("é" * 700)]
        self.put(tarred([(n, dot(i)) for i, n in enumerate(long)]), "?val=0")
        got = self.names()["train"]
        self.assertTrue(all(len(n.encode()) <= 1024 and n[:2] in ("a/", "b/") and n.endswith(".png") and "…" in n for n in got), got)
        latin = tarred([("a/M1.png", dot(1)), ("a/M2.png", dot(2))]).replace(b"M1", b"\xb5\xe9")
        # The sum of the header's bytes is made to fit.
        entry = tarfile.TarInfo("a/M1.png")
        entry.size = len(dot(1))
        head = bytearray(entry.tobuf().replace(b"M1", b"\xb5\xe9"))
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        self.put(bytes(head) + latin[512:], "?val=0")
        self.assertEqual(self.names()["train"], ["a/M2.png", "a/µé.png"])
        self.put(zipped([("a/M1.png", dot(1)), ("a/M2.png", dot(2))]).replace(b"M1", b"\xe1\x82"), "?val=0")
        self.assertEqual(self.names()["train"], ["a/M2.png", "a/ßé.png"])

    def test_one_class_in_two_spellings(self):
        """macOS writes letters and their marks apart."""
        apart, joined = (unicodedata.normalize(form, "Käfer") for form in ("NFD", "NFC"))
        self.assertNotEqual(apart, joined)
        files = [("%s/%d.png" % (c, i), dot(i)) for i, c in enumerate((apart, joined, apart, "b"))]
        bodies = {"tar": tarred(files), "zip": zipped(files)}
        old = zipped([(n.replace(apart, "K111fer").replace(joined, "K22fer"), d) for n, d in files])
        bodies["zip that does not say it is UTF-8"] = old.replace(b"K111fer", apart.encode()).replace(b"K22fer", joined.encode())
        rows = "".join("x/%d.png,%s\n" % (i, c) for i, c in enumerate((apart, joined, apart, "b")))
        bodies["list"] = zipped([("x/%d.png" % i, dot(i)) for i in range(4)] + [("labels.csv", rows.encode())])
        for how, body in bodies.items():
            about = self.put(body, "?val=0")
            self.assertEqual((about["classes"], about["class_counts"]["train"]), ([joined, "b"], [3, 1]), how)

    def test_a_list_in_another_spelling(self):
        apart, joined = (unicodedata.normalize(form, "ä") for form in ("NFD", "NFC"))
        for inside, listed in ((apart, joined), (joined, apart), (apart, apart)):
            files = [("x/%s.png" % inside, dot(1)), ("x/2.png", dot(2)), ("labels.csv", ("x\\%s.png,a\nx\\2.png,b\n" % listed).encode())]
            old = zipped([(n.replace(inside, "Z" * len(inside.encode())), d) for n, d in files[:2]] + files[2:])
            for body in (tarred(files), zipped(files), old.replace(b"Z" * len(inside.encode()), inside.encode())):
                self.assertEqual(self.put(body, "?val=0")["class_counts"]["train"], [1, 1])
                self.assertEqual(self.stored().pairs("train"), [(0, bytes([1] * 16)), (1, bytes([2] * 16))])

    def test_folders_without_an_image(self):
        two = [("x/1.png", dot(1)), ("y/2.png", dot(2))]
        split = [("train/x/1.png", dot(1)), ("train/y/1.png", dot(1)), ("val/x/2.png", dot(2)), ("val/z/2.png", dot(2))]

        def empty(*names):
            return "folders without an image, which did not become classes: " + ", ".join('"%s"' % n for n in names)

        untrained = 'there are no images to train with of class "z"'
        for body, warnings in (
            (tarred(two, more=[folder("x"), folder("y"), folder("x/deep"), folder("other/deep/er")]), []),
            (tarred(two, more=[folder("void"), folder("void/deep"), folder(".hidden")]), [empty("void")]),
            (zipped([(n, d) for n, d in two] + [("void/", b"")]), [empty("void")]),
            (tarred([("all/" + n, d) for n, d in two], more=[folder("all"), folder("all/void"), folder("beside")]), [empty("void")]),
            (tarred(split, more=[folder("train"), folder("val")]), [untrained]),
            (tarred(split, more=[folder("train/z"), folder("val/y")]), [untrained]),
            (tarred(split, more=[folder("train/void"), folder("val/void"), folder("val/also"), folder("test")]), [empty("also", "void"), untrained]),
            (tarred(split + [("test/x/3.png", dot(3))], more=[folder("test/void")]), [untrained]),
            (tarred(two, more=[folder("v%02d" % i) for i in range(11)]), [empty(*("v%02d" % i for i in range(8))) + " and 3 more"]),
            (tarred(two + [("notes/a.txt", b"?")]), ["skipped, not an image: notes/a.txt", empty("notes")]),
            (tarred(two + [("a.txt", b"?"), ("labels.csv", b"x/1.png,p\ny/2.png,q\n")], more=[folder("void")]), ["skipped, not an image: a.txt"]),
        ):
            self.assertEqual(self.put(body)["warnings"], warnings)

    @unittest.skipUnless(CNNCTL, "CNNCTL names the client")
    def test_cnnctl_sends_empty_folders(self):
        with tempfile.TemporaryDirectory() as top:
            for c in ("x", "y", "void/deep"):
                os.makedirs("%s/%s" % (top, c))
            for c in "xy":
                with open("%s/%s/1.png" % (top, c), "wb") as f:
                    f.write(dot(1))
            done = subprocess.run([CNNCTL, "import", "sent", top, "--json"], capture_output=True, text=True, env=dict(os.environ, CNND_URL=self.daemon.url))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('folders without an image, which did not become classes: \\"void\\"', done.stdout)

    def test_killed_replaced_and_deleted(self):
        self.put(zipped([("x/old.png", dot(1)), ("y/old.png", dot(2))]), "?val=0", "kept")
        with open(self.path("kept"), "rb") as f:
            before = f.read()
        big = tarred([("a/%d.png" % i, dot(5, 64)) for i in range(20000)])
        answers = []
        t = threading.Thread(target=lambda: answers.append(self.daemon.request("PUT", "/v1/datasets/kept?size=128&channels=3", big)))
        t.start()
        wait_for(lambda: self.daemon.children("import"), what="an import")
        os.kill(self.daemon.children("import")[0], 9)
        t.join()
        self.assertEqual(answers[0][0], 503)
        with open(self.path("kept"), "rb") as f:
            self.assertEqual(f.read(), before)
        self.assertEqual(os.listdir(self.daemon.state + "/tmp"), [])
        self.put(zipped([("x/new.png", dot(1)), ("y/new.png", dot(2))]), "?val=0", "kept")
        self.assertEqual(self.names("kept")["train"], ["x/new.png", "y/new.png"])
        self.assertEqual(self.daemon.request("DELETE", "/v1/datasets/kept")[0], 204)
        self.assertEqual([n for n in os.listdir(self.daemon.state + "/datasets") if "kept" in n], [])


class Result(House):
    device = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {"%s/%d.png" % (c, i): dot(40 * k + 17 * i) for k, c in enumerate(("crack", "void")) for i in range(6)}
        cls.daemon.request("PUT", "/v1/datasets/train", zipped(list(cls.files.items())))
        job = {"type": "train", "architecture": LINEAR, "dataset": "train", "epochs": 2, "batch_size": 4,
               "optimizer": {"name": "sgd", "lr": 0.1}, "seed": 1, "save_as": "m"}
        cls.daemon.wait(cls.daemon.submit(job)["id"])

    def score(self, name, **more):
        self.id = self.daemon.submit({"type": "classify", "model": "m", "dataset": name, **more})["id"]
        self.daemon.wait(self.id)
        return self.daemon.get("/v1/jobs/%d/result" % self.id)

    def cnnctl(self, *words):
        done = subprocess.run([CNNCTL, *words], capture_output=True, text=True, env=dict(os.environ, CNND_URL=self.daemon.url))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_each_image(self):
        self.put(zipped(list(self.files.items())), "?val=1", "each")
        got = self.score("each")
        self.assertEqual(got["files"], sorted(self.files))
        self.assertEqual(got["file"], list(range(12)))
        self.assertFalse({"frame", "tile"} & set(got))
        for at, name in enumerate(got["files"]):
            best = self.daemon.request("POST", "/v1/models/m/classify?top=1", self.files[name])[2]["results"][0]["predictions"][0]
            self.assertEqual((got["predictions"][at], got["probabilities"][at]), (best["index"], best["probability"]), name)
        self.assertEqual([got["classes"][i] for i in got["labels"]], [n.split("/")[0] for n in got["files"]])
        some = self.score("each", limit=7)
        self.assertEqual((some["files"], some["file"]), (sorted(self.files)[:7], list(range(7))))
        self.assertEqual(some["probabilities"], got["probabilities"][:7])

    def test_results_count_as_stored(self):
        self.put(zipped(list(self.files.items())), "?val=1", "counted")
        self.score("counted")
        with contextlib.closing(sqlite3.connect(os.path.join(self.daemon.state, "cnnd.db"))) as db:
            kept = db.execute("SELECT kept_bytes - length(request) - 160 * events FROM jobs WHERE id = ?", (self.id,)).fetchone()[0]
        self.assertEqual(kept, os.path.getsize("%s/jobs/%d/result.json" % (self.daemon.state, self.id)))

    def test_frames_and_tiles(self):
        stack = array("|u1", (2, 1, 4, 4), bytes(range(32)))
        self.put(zipped([("crack/s.npy", stack), ("void/1.pgm", pgm(4, 4, bytes(16)))]), "?val=1", "stack")
        got = self.score("stack")
        self.assertEqual([got[k] for k in ("files", "file", "frame")], [["crack/s.npy", "void/1.pgm"], [0, 0, 1], [0, 1, 0]])
        self.assertNotIn("tile", got)
        stack = array("|u1", (2, 1, 7, 10), bytes(140))
        self.put(zipped([("crack/s.npy", stack), ("void/1.pgm", pgm(4, 4, bytes(16)))]), "?val=1&size=4&fit=tile&stride=3", "tiles")
        got = self.score("tiles")
        grid = [[y, x] for y in (0, 3) for x in (0, 3, 6)]
        self.assertEqual(got["file"], [0] * 12 + [1])
        self.assertEqual(got["frame"], [0] * 6 + [1] * 6 + [0])
        self.assertEqual(got["tile"], grid * 2 + [[0, 0]])
        got = self.score("tiles", limit=8)
        self.assertEqual([got[k] for k in ("files", "file", "tile")], [["crack/s.npy"], [0] * 8, grid + grid[:2]])

    @unittest.skipUnless(CNNCTL, "CNNCTL names the client")
    def test_rows_of_cnnctl(self):
        self.put(zipped([("crack/ö, 1.png", dot(200)), ('void/"2".png', dot(0))]), "?val=1", "rows")
        got = self.score("rows")
        rows = list(csv.DictReader(io.StringIO(self.cnnctl("result", str(self.id), "--images", "-"))))
        self.assertEqual([row["file"] for row in rows], got["files"])
        for at, row in enumerate(rows):
            label, predicted = (got["classes"][got[k][at]] for k in ("labels", "predictions"))
            self.assertEqual((row["label"], row["predicted"], float(row["probability"])), (label, predicted, got["probabilities"][at]))
            self.assertEqual((row["correct"], row["frame"], row["tile"]), ("yes" if label == predicted else "no", "", ""))

    def test_data_sets_of_before(self):
        self.put(zipped(list(self.files.items())), "?val=0.5", "before")
        now, told = self.score("before"), self.stored("before")
        with open(self.path("before"), "rb") as f:
            old = as_before(f.read())
        self.daemon.stop()
        with open(self.path("before"), "wb") as f:
            f.write(old)
        self.daemon.start()
        self.daemon.need_device()
        about = self.daemon.get("/v1/datasets/before")
        self.assertEqual((about["state"], about["bytes"], about["train"], about["val"]), ("ready", len(old), 6, 6))
        got = self.score("before")
        self.assertFalse({"files", "file", "frame", "tile"} & set(got))
        self.assertEqual(got, {k: v for k, v in now.items() if k not in ("files", "file")})
        self.assertEqual((self.stored("before").images, self.stored("before").files), (told.images, None))
        job = {"type": "train", "architecture": LINEAR, "dataset": "before", "epochs": 1, "batch_size": 4}
        self.daemon.wait(self.daemon.submit(job)["id"])

    def test_classes_in_another_spelling(self):
        """Of a model that was trained before names had one."""
        apart, joined = (unicodedata.normalize(form, "Käfer") for form in ("NFD", "NFC"))
        self.put(zipped([(joined + "/1.png", dot(200)), ("void/2.png", dot(0))]), "?val=1", "spelled")
        path = "/v1/models/spelled/weights?classes=" + urllib.parse.quote(json.dumps(["void", apart]))
        status, _, answer = self.daemon.request("PUT", path, self.daemon.weights("m"))
        self.assertIn(status, (200, 201), answer)
        job = self.daemon.submit({"type": "classify", "model": "spelled", "dataset": "spelled"})["id"]
        self.daemon.wait(job)
        got = self.daemon.get("/v1/jobs/%d/result" % job)
        self.assertEqual((got["classes_by"], got["classes"]), ("name", [joined, "void"]))
        self.assertEqual(self.daemon.get("/v1/jobs/%d" % job)["notes"], [])
        twice = "/v1/models/twice/weights?classes=" + urllib.parse.quote(json.dumps([apart, joined]))
        status, _, answer = self.daemon.request("PUT", twice, self.daemon.weights("m"))
        self.assertIn(status, (200, 201), answer)
        job = self.daemon.submit({"type": "classify", "model": "twice", "dataset": "spelled"})["id"]
        self.daemon.wait(job)
        self.assertEqual(self.daemon.get("/v1/jobs/%d/result" % job)["classes_by"], "number")
        self.assertIn("two of the model's are called", self.daemon.get("/v1/jobs/%d" % job)["notes"][0])


if __name__ == "__main__":
    harness.main()
