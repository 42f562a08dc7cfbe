"""What cnnctl takes from files and folders, and what it writes to them."""
import io
import json
import os
import signal
import tarfile
import threading
import time
import unittest
import urllib.parse

from case import Case, PATIENCE, WINDOWS, job
from fake_server import Answer, event, problem, stream


class Downloads(Case):
    WEIGHTS = bytes(range(256)) * 4096

    def test_export(self):
        self.server.on("GET", "/v1/models/my%20net/weights", Answer(body=self.WEIGHTS, kind="application/octet-stream"))
        self.cnnctl("export", "my net", "w.safetensors")
        self.assertEqual(self.read("w.safetensors"), self.WEIGHTS)
        self.assertEqual(os.stat(os.path.join(self.dir, "w.safetensors")).st_mode & 0o777, 0o666 & ~umask())
        process = self.start("export", "my net", "-")
        self.assertEqual(process.communicate(timeout=PATIENCE)[0], self.WEIGHTS)

    def test_export_as_onnx(self):
        self.server.on("GET", "/v1/models/m/onnx", Answer(body=b"onnx", kind="application/octet-stream"))
        self.server.on("GET", "/v1/models/m/weights", Answer(body=b"weights", kind="application/octet-stream"))
        for file, form in (("w.onnx", b"onnx"), ("onnx", b"weights"), (".onnx", b"weights"), ("w.onnx.bak", b"weights")):
            self.cnnctl("export", "m", file)
            self.assertEqual(self.read(file), form, file)

    MODEL = {"name": "m", "input": [3, 32, 24], "classes": ["a", "b"], "bytes": 2048}

    def test_upload(self):
        """Under the address of its format, with what the file does not tell."""
        told = {"input": "[3,32,24]", "preprocessing": "{}"}
        classes = b'["a","b \\"c\\", d"]'  # an entry of the metadata of an ONNX file, behind its bytes
        entry = b"\x0a\x07classes\x12" + bytes([len(classes)]) + classes
        query = "&".join("%s=%s" % (key, urllib.parse.quote(value, safe="")) for key, value in told.items())
        for status, word in ((201, "new"), (200, "replaced")):
            self.server.on("PUT", "/v1/models/my%20net/onnx?" + query, Answer(status, json.dumps(self.MODEL)))
            self.write("net.onnx", "bytes of a network")
            self.write("names", "\ufeffa\r\nb \"c\", d\n\n")
            out, _ = self.cnnctl("upload", "my net", "net.onnx", "--classes", "names", "--input", "3x32x24", "--preprocessing", "{}")
            self.assertEqual(out, "model m: %s, images of 3x32x24, 2 classes, 2.00 KiB\n" % word)
            asked = self.server.requests[-1]
            self.assertEqual(asked.body, b"bytes of a network\x72" + bytes([len(entry)]) + entry)
            self.assertEqual(asked.headers["Content-Type"], "application/octet-stream")
        self.server.on("PUT", "/v1/models/m/weights", Answer(201, json.dumps(self.MODEL)))
        self.write("w.safetensors", "weights")
        out, _ = self.cnnctl("--json", "upload", "m", "w.safetensors")
        self.assertEqual(json.loads(out), self.MODEL)
        self.server.on("PUT", "/v1/models/m/weights?classes=%5B%22a%22%5D", Answer(201, json.dumps(self.MODEL)))
        self.write("names", "a")
        self.cnnctl("upload", "m", "w.safetensors", "--classes", "names")

    def test_a_refused_upload(self):
        self.server.on("PUT", "/v1/models/m/onnx", problem(422, "there is no such layer here"))
        self.write("net.onnx", "bytes")
        self.assertEqual(self.cnnctl("upload", "m", "net.onnx", status=1)[1], "cnnctl: net.onnx: there is no such layer here\n")
        self.assertIn("lost", self.cnnctl("upload", "m", "lost.onnx", status=1)[1])
        self.assertIn("lost", self.cnnctl("upload", "m", "net.onnx", "--classes", "lost", status=1)[1])
        self.write("names", "\n")
        self.assertIn("names no classes", self.cnnctl("upload", "m", "net.onnx", "--classes", "names", status=1)[1])
        self.write("names", "\n".join("class %d" % i for i in range(1000)))
        self.write("w.safetensors", "weights")
        self.assertIn("more names than a request", self.cnnctl("upload", "m", "w.safetensors", "--classes", "names", status=1)[1])

    @unittest.skipIf(WINDOWS, "a pipe without a reader has another error there")
    def test_a_reader_that_has_seen_enough(self):
        self.server.on("GET", "/v1/models/m/weights", Answer(body=self.WEIGHTS))
        process = self.start("export", "m", "-")
        process.stdout.read(20)
        process.stdout.close()
        self.assertEqual(process.stderr.read().decode(), "")
        process.stderr.close()
        self.assertEqual(process.wait(PATIENCE), 1)

    def test_a_broken_download_leaves_what_was_there(self):
        self.write("w", "old")
        self.server.on("GET", "/v1/models/m/weights", Answer(body=self.WEIGHTS, length=len(self.WEIGHTS) + 1))
        self.assertIn("broke", self.cnnctl("export", "m", "w", status=3)[1])
        self.cnnctl("export", "m", "new", status=3)
        self.assertEqual((self.files(), self.read("w")), (["w"], b"old"))

    def test_a_refused_download_leaves_nothing(self):
        self.server.on("GET", "/v1/models/m/weights", problem(404, "there is no model m"))
        self.assertEqual(self.cnnctl("export", "m", "w", status=1)[1], "cnnctl: there is no model m\n")
        self.assertEqual(self.files(), [])

    def test_an_interrupted_download_leaves_nothing(self):
        half = threading.Event()
        self.server.on("GET", "/v1/models/m/weights", Answer(
            parts=[self.WEIGHTS[:1000], half.set, lambda: time.sleep(PATIENCE)]))
        process = self.start("export", "m", "w")
        self.assertTrue(half.wait(PATIENCE))
        deadline = time.monotonic() + PATIENCE
        while not self.files() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, self.files()), (130, []))

    def test_a_folder_is_no_place_to_write(self):
        os.mkdir(os.path.join(self.dir, "d"))
        self.assertIn("not a regular file", self.cnnctl("export", "m", "d", status=1)[1])
        self.assertEqual(self.server.requests, [])

    def test_curve(self):
        self.server.on("GET", "/v1/jobs/7/curve", Answer(body="step,loss\n1,2\n", kind="text/csv"))
        self.server.on("GET", "/v1/jobs/7", job())
        self.cnnctl("curve", 7, "--csv", "c.csv", "--svg", "c.svg")

        def accepted():
            return [r.headers["Accept"] for r in self.server.asked("GET", "/v1/jobs/7/curve")]

        self.assertEqual(accepted(), ["text/csv", "image/svg+xml"])
        self.assertEqual(self.read("c.csv"), b"step,loss\n1,2\n")
        self.assertEqual(self.cnnctl("curve", 7)[0], "step,loss\n1,2\n")
        self.assertEqual(self.server.requests[-1].headers["Accept"], "text/csv")
        for end, media in (("svg", "image/svg+xml"), ("csv", "text/csv"), ("json", "application/json")):
            self.cnnctl("curve", 7, "-o", "out." + end)
            self.assertEqual(accepted()[-1], media)
            self.assertEqual(self.read("out." + end), b"step,loss\n1,2\n")
        self.server.on("GET", "/v1/jobs/8", job(8, type="classify"))
        self.assertIn("no curve; cnnctl result 8", self.cnnctl("curve", 8, "-o", "c8.svg", status=1)[1])
        self.assertNotIn("c8.svg", self.files())

    def test_map(self):
        self.server.on("POST", "/v1/models/m/map?window=128&stride=64&threshold=0.7", Answer(body=b"\x89PNG", kind="image/png"))
        self.server.on("POST", "/v1/models/m/map", Answer(body='{"map":[]}'))
        micrograph = self.write("x.mrc", b"micrograph")
        self.cnnctl("map", "m", micrograph, "-o", "map.png", "--window", 128, "--stride", 64, "--threshold", 0.7)
        request = self.server.requests[0]
        self.assertEqual((request.headers["Accept"], request.headers["Content-Type"], request.body),
                         ("image/png", "application/x-mrc", b"micrograph"))
        self.assertEqual(self.read("map.png"), b"\x89PNG")
        self.assertEqual(self.cnnctl("map", "m", micrograph)[0], '{"map":[]}')
        self.assertIn("cannot open none.mrc", self.cnnctl("map", "m", "none.mrc", status=2)[1])


class Complaints(Case):
    def test_a_complaint_names_its_file(self):
        self.write("a.dm4", "x")
        self.server.on("POST", "/v1/models/m/map", *[problem(422, "DM: complex data")] * 2)
        self.server.on("PUT", "/v1/datasets/d", problem(422, "no archive"))
        missing = "[^\n]+" if WINDOWS else "No such file or directory"  # Windows has its own words, and Wine others
        for words, complaint in ((("map", "m", "a.dm4"), "a.dm4: DM: complex data"),
                                 (("map", "m", "a.dm4", "-o", "x.json"), "a.dm4: DM: complex data"),
                                 (("map", "m", "a.dm4", "-o", "no/x.png"), "cannot create a file beside no/x.png: " + missing),
                                 (("import", "d", "a.dm4"), "a.dm4: no archive")):
            self.assertRegex(self.cnnctl(*words, status=1)[1], f"\\Acnnctl: {complaint}\n\\Z", words)


class Import(Case):
    def test_a_file(self):
        path = "/v1/datasets/grid?size=64&fit=crop&channels=1&val=0.2"
        self.server.on("PUT", path, Answer(201, {}))
        self.write("x.zip", "zip")
        out, _ = self.cnnctl("import", "grid", "x.zip", "--val", "0.2", "--size", 64, "--channels", 1, "--fit", "crop")
        self.assertEqual(out, "data set grid: imported\n")
        request = self.server.asked("PUT", path)[0]
        self.assertEqual((request.headers["Content-Type"], request.body), ("application/zip", b"zip"))

    def test_a_folder_of_folders(self):
        self.server.on("PUT", "/v1/datasets/grid", Answer(202, {}))
        long = "c" * 90
        os.makedirs(os.path.join(self.dir, "data", "void", "deep"))
        files = {"ice/1.png": b"one", "ice/2.png": b"x" * 512, "carbon/3.png": b"", f"{long}/{long}.png": b"long",
                 "carbon/deep/4.png": os.urandom(100000)}
        for name, content in {**files, ".hidden/x": b"", "ice/.DS_Store": b""}.items():
            self.write("data/" + name, content)
        out, _ = self.cnnctl("import", "grid", "data/")
        self.assertIn("being imported", out)
        request = self.server.requests[0]
        self.assertEqual(request.headers["Content-Type"], "application/x-tar")
        with tarfile.open(fileobj=io.BytesIO(request.body), mode="r:") as tar:
            got = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}
            self.assertEqual(tar.getnames(), sorted([*files, "void", "void/deep"]))
            self.assertTrue(tar.getmember("void").isdir() and tar.getmember("void/deep").isdir())
        self.assertEqual(got, files)
        self.cnnctl("import", "grid", "data")
        self.assertEqual(self.server.requests[1].body, request.body)

    def test_every_option(self):
        path = "/v1/datasets/grid?size=64x32&fit=tile&stride=16&channels=3&val=0.1&normalize=per_image&pixel_size=0.5"
        end = {"state": "succeeded", "created": True, "dataset": {"train": 12345, "val": 67}}
        self.server.on("PUT", path, stream(event(1, "progress", {"phase": "reading"}), event(2, "end", end)))
        self.write("x.zip", "zip")
        out, _ = self.cnnctl("import", "grid", "x.zip", "--size", "64x32", "--fit", "tile", "--stride", 16, "--channels", 3,
                             "--val", 0.1, "--normalize", "per_image", "--pixel-size", 0.5)
        self.assertEqual(out, "data set grid: imported, 12,345 images to train and 67 to validate\n")
        self.assertEqual(self.server.requests[0].headers["Accept"], "text/event-stream")
        warned = {**end["dataset"], "warnings": ["passed over: a.txt"], "classes": ["ö"] + list("abcdefgh")}
        self.server.on("PUT", path, stream(event(1, "end", {**end, "created": False, "dataset": warned})))
        out, err = self.cnnctl("import", "grid", "x.zip", "--size", "64x32", "--fit", "tile", "--stride", 16, "--channels", 3,
                               "--val", 0.1, "--normalize", "per_image", "--pixel-size", 0.5)
        self.assertEqual(out, "data set grid: replaced, 12,345 images to train and 67 to validate\n"
                              "9 classes: ö, a, b, c, d, e, f, g and 1 more\n")
        self.assertEqual(err, "cnnctl: passed over: a.txt\n")

    def test_how_an_import_ends(self):
        self.write("x.zip", "zip")
        for end, complaint in [({"state": "failed", "status": 422, "error": "a/b.dm4: DM: complex data"}, "x.zip: a/b.dm4: DM: complex data"),
                               ({"state": "cancelled", "status": 409, "error": "the import was cancelled"}, "was cancelled"),
                               (None, "without a word")]:
            self.server.on("PUT", "/v1/datasets/grid", stream(event(1, "progress", {}), *([event(2, "end", end)] if end else [])))
            out, err = self.cnnctl("import", "grid", "x.zip", status=1 if end else 3)
            self.assertEqual(out, "")
            self.assertIn(complaint, err)
        self.server.on("PUT", "/v1/datasets/grid", Answer(201, {"name": "grid"}))
        self.assertEqual(json.loads(self.cnnctl("import", "grid", "x.zip", "--json")[0]), {"name": "grid"})
        self.assertEqual(self.server.requests[-1].headers["Accept"], "application/json")

    def test_what_is_no_folder_of_images(self):
        os.mkdir(os.path.join(self.dir, "empty"))
        self.assertIn("no files", self.cnnctl("import", "grid", "empty", status=2)[1])

    def test_names_of_any_length(self):
        self.server.on("PUT", "/v1/datasets/grid", Answer(201, {}))
        names = ["ice/%s.png" % ("é" * n) for n in (45, 50, 90, 120)] + ["/".join("d" * 100 for _ in range(n)) + "/1.png" for n in (2, 9, 10)]
        for name in names:
            self.write("data/" + name, name)
        self.cnnctl("import", "grid", "data")
        request = self.server.requests[0]
        with tarfile.open(fileobj=io.BytesIO(request.body), mode="r:") as tar:
            self.assertEqual({m.name: tar.extractfile(m).read().decode() for m in tar}, {name: name for name in names})
        self.assertEqual(len(request.body) % 512, 0)


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


if __name__ == "__main__":
    unittest.main()
