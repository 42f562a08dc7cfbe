#!/usr/bin/env python3
"""What models make of images: one, many, whole micrographs, broken ones; from clients that come together, leave or look
inside."""

import contextlib
import io
import os
import re
import signal
import socket
import struct
import threading
import time
import unittest
import zipfile

import harness
from harness import long_job, read_safetensors, small_job, test_image


class Classify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()
        cls.daemon.wait(cls.daemon.submit(small_job(architecture="bn-lenet", save_as="net"))["id"])

    def test_classify(self):
        grey = test_image(0)
        floats = [v / 255 for v in grey]
        answers = []
        for kind, body in (
            ("image/png", harness.png(28, 28, grey)),
            ("application/octet-stream", harness.pgm(28, 28, grey)),
            ("application/x-npy", harness.npy((28, 28), floats)),
            ("application/x-npy", harness.npy((1, 1, 28, 28), floats)),
            ("application/x-www-form-urlencoded", harness.png(28, 28, grey)),
        ):
            status, _, answer = self.daemon.request(
                "POST", "/v1/models/net/classify?top=10", body, {"Content-Type": kind}
            )
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["model"], "net")
            answers.append(answer["results"])
        best = answers[0][0]["predictions"]
        self.assertEqual(len(best), 10)
        self.assertAlmostEqual(sum(p["probability"] for p in best), 1, places=5)
        self.assertEqual(sorted(best, key=lambda p: -p["probability"]), best)
        for answer in answers[1:]:
            for p, q in zip(answer[0]["predictions"], best):
                self.assertEqual(p["label"], q["label"])
                self.assertAlmostEqual(p["logit"], q["logit"], places=4)

    def test_classify_micrographs(self):
        grey = test_image(3)
        path = "/v1/models/net/classify"
        plain = self.daemon.request("POST", path, harness.png(28, 28, grey))[2]
        self.assertEqual(
            plain["image"],
            {"format": "PNG", "frames": 1, "channels": 1, "height": 28, "width": 28, "databar_height": 0, "pixel_size": None,
             "pixel_unit": None, "prepared": None},
        )
        fei = (34682, b"[Scan]\nPixelWidth=1e-9\n[Image]\nResolutionY=28\n\0")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("x.npy", harness.npy((28, 28), [v / 255 for v in grey]))
        for kind, body, name, size, databar in (
            ("image/tiff", harness.tiff(28, 28, grey), "TIFF", None, 0),
            ("image/tiff", harness.tiff(28, 40, grey + b"\xff" * 28 * 12, [fei]), "TIFF", 1e-9, 12),
            ("application/x-dm", harness.dm4(28, 28, grey), "DM", 2e-9, 0),
            ("application/x-mrc", harness.mrc(28, 28, grey), "MRC", 3e-10, 0),
            ("application/x-ser", harness.ser(28, 28, grey), "SER", 4e-9, 0),
            ("application/octet-stream", harness.dm4(28, 28, grey), "DM", 2e-9, 0),
            ("application/x-npz", packed.getvalue(), "NPZ", None, 0),
        ):
            status, _, answer = self.daemon.request("POST", path, body, {"Content-Type": kind})
            self.assertEqual(status, 200, answer)
            image = answer["image"]
            self.assertEqual((image["format"], image["height"], image["databar_height"]), (name, 28, databar))
            self.assertEqual(image["pixel_unit"], "m" if size else None)
            if size:
                self.assertAlmostEqual(image["pixel_size"][0] / size, 1, places=6)
                self.assertAlmostEqual(image["pixel_size"][1] / size, 1, places=6)
            for p, q in zip(answer["results"][0]["predictions"], plain["results"][0]["predictions"]):
                self.assertEqual(p["label"], q["label"])
                self.assertAlmostEqual(p["logit"], q["logit"], places=4)
        with open(os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus", "emd", "complex"), "rb") as f:
            complex_emd = f.read()
        for status, kind, body in (
            (422, "application/x-dm", harness.dm4(28, 28, grey, data_type=3)),
            (422, "application/x-mrc", harness.mrc(28, 28, grey)[:12] + struct.pack("<i", 4) + harness.mrc(28, 28, grey)[16:]),
            (422, "application/x-ser", harness.ser(28, 28, grey)[:6] + struct.pack("<I", 0x4120) + harness.ser(28, 28, grey)[10:]),
            (422, "application/x-npy", harness.npy((28, 28), [0] * 1568).replace(b"<f4", b"<c8")),
            (422, "application/x-npy", harness.npy((784,), [0] * 784)),
            (422, "application/x-emd", complex_emd),
            (400, "application/x-dm", harness.dm4(28, 29, grey)),
            (400, "image/tiff", harness.tiff(28, 40, grey)),
            (415, "image/tiff", harness.dm4(28, 28, grey)),
            (415, "application/x-emd", harness.mrc(28, 28, grey)),
            (413, "application/x-mrc", struct.pack("<i", 70000) + harness.mrc(1, 1, b"\1")[4:]),
        ):
            got, _, problem = self.daemon.request("POST", path, body, {"Content-Type": kind})
            self.assertEqual(got, status, problem)
            self.assertTrue(problem["detail"])
        self.assertEqual(self.daemon.request("POST", path, harness.png(28, 28, grey))[0], 200)

    def test_classify_hdf5(self):
        """Whole, damaged and empty-handed ones in turn: one decoder answers them all."""
        path = "/v1/models/net/classify"
        folder = os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus", "emd")
        with open(os.path.join(folder, "velox_stack_2"), "rb") as f:
            stack = f.read()
        with open(os.path.join(folder, "bomb_external_link"), "rb") as f:
            link = f.read()
        self.assertEqual(self.daemon.request("POST", path, stack)[0], 200)
        decoder = self.daemon.children("decoder")[0]
        for _ in range(5):
            status, _, answer = self.daemon.request("POST", path, stack, {"Content-Type": "application/x-emd"})
            self.assertEqual((status, len(answer["results"])), (200, 3), answer)
            self.assertEqual((answer["image"]["format"], answer["image"]["frames"]), ("EMD", 3))
            self.assertEqual(self.daemon.request("POST", path, harness.png(28, 28, test_image(1)))[0], 200)
            self.assertEqual(self.daemon.request("POST", path, link)[0], 422)
            self.assertEqual(self.daemon.request("POST", path, stack[: len(stack) // 2])[0], 400)
            self.assertIn(decoder, self.daemon.children("decoder"))

    def test_every_decoder_works_in_the_sandbox(self):
        """Whole and broken files of every format: an answer each, and no decoder that the sandbox had to kill."""
        corpus = os.path.join(os.path.dirname(__file__), "..", "fuzz", "corpus")
        seen = {}
        for kind in ("dm", "emd", "jpeg", "mrc", "npy", "npz", "png", "pnm", "ser", "tiff"):
            for name in sorted(os.listdir(os.path.join(corpus, kind))):
                with open(os.path.join(corpus, kind, name), "rb") as f:
                    data = f.read()
                for body in (data, data[: len(data) * 2 // 3]):
                    status, _, answer = self.daemon.request("POST", "/v1/models/net/classify", body)
                    self.assertIn(status, (200, 400, 413, 415, 422), (kind, name, answer))
                    self.assertNotEqual(answer.get("detail"), "the decoder could not read it", (kind, name))
                    if status == 200:
                        seen[kind] = seen.get(kind, 0) + 1
        self.assertEqual(len(seen), 10, seen)

    def test_classify_a_batch(self):
        floats = [v / 255 for i in range(20) for v in test_image(i)]
        status, _, answer = self.daemon.request(
            "POST", "/v1/models/net/classify?top=1", harness.npy((20, 1, 28, 28), floats)
        )
        self.assertEqual((status, len(answer["results"])), (200, 20))
        one = self.daemon.request("POST", "/v1/models/net/classify?top=1", harness.png(28, 28, test_image(7)))[2]
        self.assertEqual(one["results"][0]["predictions"][0]["label"], answer["results"][7]["predictions"][0]["label"])

    def check_grid(self, png, maps, side, scale):
        """`maps`: lists of side*side floats, drawn in rows of 3."""
        self.assertEqual(png[0], 200, png)
        self.assertEqual(png[1]["Content-Type"], "image/png")
        width, height, rows = harness.read_png(png[2])
        cell = side * scale + 1
        self.assertEqual((width, height), (3 * cell + 1, 2 * cell + 1))
        low, high = min(min(m) for m in maps), max(max(m) for m in maps)
        for i, values in enumerate(maps):
            for k, value in enumerate(values):
                y, x = 1 + i // 3 * cell + k // side * scale, 1 + i % 3 * cell + k % side * scale
                self.assertAlmostEqual(rows[y][x], (value - low) / (high - low) * 255, delta=1)
        self.assertEqual((rows[0][0], rows[cell][cell]), (128, 128))

    def test_looking_inside(self):
        data = self.daemon.request("GET", "/v1/models/net/weights")[2]
        head = read_safetensors(data)
        floats = {}
        for name in ("net.0.weight", "net.0.bias"):
            first, end = (len(data) - self.data_bytes(head) + o for o in head[name]["data_offsets"])
            floats[name] = struct.unpack("<%df" % ((end - first) // 4), data[first:end])
        filters = [floats["net.0.weight"][i * 25:(i + 1) * 25] for i in range(6)]
        self.check_grid(self.daemon.request("GET", "/v1/models/net/filters?layer=net.0"), filters, 5, 8)

        image = test_image(3)
        padded = {(y, x): image[y * 28 + x] / 255 for y in range(28) for x in range(28)}
        maps = [
            [
                floats["net.0.bias"][i]
                + sum(filters[i][r * 5 + s] * padded.get((y + r - 2, x + s - 2), 0) for r in range(5) for s in range(5))
                for y in range(28)
                for x in range(28)
            ]
            for i in range(6)
        ]
        body = harness.png(28, 28, image)
        self.check_grid(self.daemon.request("POST", "/v1/models/net/activations?layer=net.0", body), maps, 28, 1)
        self.assertEqual(self.daemon.request("POST", "/v1/models/net/activations?layer=net", body)[0], 200)

        for method, path, content, status in (
            ("GET", "filters", None, 422),
            ("GET", "filters?layer=net.1", None, 422),
            ("GET", "filters?layer=net.0&x=1", None, 422),
            ("POST", "activations?layer=net.99", body, 422),
            ("POST", "activations?layer=net.0", b"", 400),
            ("POST", "activations?layer=net.0", harness.npy((2, 1, 28, 28), [0.5] * 1568), 422),
        ):
            self.assertEqual(self.daemon.request(method, "/v1/models/net/" + path, content)[0], status, path)
        self.assertEqual(self.daemon.request("GET", "/v1/models/none/filters?layer=net.0")[0], 404)

    @staticmethod
    def data_bytes(head):
        """Bytes of all tensors: they stand at the file's end."""
        return max(t["data_offsets"][1] for n, t in head.items() if n != "__metadata__")

    def test_classify_while_training(self):
        job = self.daemon.submit(long_job())["id"]
        self.daemon.wait(job, ("running",))
        for i in range(5):
            status, _, answer = self.daemon.request(
                "POST", "/v1/models/net/classify", harness.png(28, 28, test_image(i))
            )
            self.assertEqual(status, 200, answer)
        self.assertEqual(self.daemon.get("/v1/jobs/%d" % job)["state"], "running")
        self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)

    def test_clients_share_batches(self):
        """Sixteen clients at once get to the bit what each gets alone, in fewer batches than images."""

        def batches():
            return int(re.search(rb"^cnnd_batches_total (\d+)", self.daemon.request("GET", "/metrics")[2], re.M)[1])

        def client(i):
            with contextlib.closing(self.daemon.connection()) as c:
                for j in range(16):
                    c.request("POST", "/v1/models/net/classify?top=10", body=pngs[(i + j) % 16])
                    together[i].append((c.getresponse().read(), alone[(i + j) % 16]))

        pngs = [harness.png(28, 28, test_image(i)) for i in range(16)]
        before = batches()
        alone = []
        with contextlib.closing(self.daemon.connection()) as c:
            for png in pngs:
                c.request("POST", "/v1/models/net/classify?top=10", body=png)
                alone.append(c.getresponse().read())
        self.assertEqual(batches() - before, 16)
        for _ in range(10):  # whether they come together is the machine's choice, too
            before, together = batches(), [[] for _ in range(16)]
            threads = [threading.Thread(target=client, args=(i,)) for i in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            for pair in sum(together, []):
                self.assertEqual(*pair)
            self.assertEqual(sum(map(len, together)), 256)
            sent = batches() - before
            if sent < 200:
                return
        self.fail("%d batches for 256 images" % sent)

    def test_small_micrographs_come_back_soon(self):
        """A decoder's start included, on new connections; the device takes less than a millisecond."""
        grey = bytes(range(256)) * 2048
        with harness.Daemon({"log_level": "warn"}) as d:
            d.need_fashion()
            d.wait(d.submit(small_job(save_as="it"))["id"])
            d.request("POST", "/v1/models/it/classify", harness.npy((1, 28, 28), [0.5] * 784))  # compiles
            for kind, body in (
                ("image/tiff", harness.tiff(512, 512, grey, bits=16)),
                ("application/x-dm", harness.dm4(512, 512, grey, data_type=10)),
            ):
                def seconds():
                    begun = time.monotonic()
                    status, _, answer = d.request("POST", "/v1/models/it/classify", body, {"Content-Type": kind})
                    self.assertEqual(status, 200, answer)
                    return time.monotonic() - begun

                def first():
                    os.kill(d.children("decoder")[0], signal.SIGKILL)
                    return seconds()

                print("512x512 %s: %.1f ms, then %.1f" % (
                    kind, *(1000 * harness.keeps(0.05, measure, kind) for measure in (first, seconds))))

    def test_clients_that_left_are_not_classified_for(self):
        def number(name):
            return int(re.search(rb"\n%s (\d+)\n" % name, self.daemon.request("GET", "/metrics")[2])[1])

        body = harness.npy((500, 1, 28, 28), [0.5] * (500 * 784))
        head = b"POST /v1/models/net/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        images = rb'cnnd_images_total{for="classification"}'
        before, sockets, decoders = number(images), [], self.daemon.children("decoder")
        for pid in decoders:  # so that all wait, however slow the front is
            harness.send_signal(pid, signal.SIGSTOP)
        try:
            for _ in range(30):
                sockets.append(socket.create_connection((self.daemon.host, self.daemon.port)))
                sockets[-1].sendall(head + body)
            harness.wait_for(lambda: number(b"cnnd_http_waiting") == 30, what="clients that wait")
            for s in sockets:
                s.close()
            harness.wait_for(lambda: number(b"cnnd_http_waiting") == 0, what="an end of the waiting")
        finally:
            for pid in decoders:
                harness.send_signal(pid, signal.SIGCONT)
        picture = harness.png(28, 28, test_image(0))
        self.assertEqual(self.daemon.request("POST", "/v1/models/net/classify", picture)[0], 200)
        self.assertEqual(number(images), before + 1)

    def test_wrong_images(self):
        picture = harness.png(28, 28, test_image(0))
        path = "/v1/models/net/classify"
        for status, body, kind, query in (
            (400, b"", "image/png", ""),
            (415, b"hello, this is no image", "application/octet-stream", ""),
            (415, picture, "image/jpeg", ""),
            (400, picture[:-20], "image/png", ""),
            (422, picture, "image/png", "?top=0"),
            (422, picture, "image/png", "?best=3"),
            (404, picture, "image/png", None),
        ):
            got, _, problem = self.daemon.request(
                "POST", "/v1/models/nobody/classify" if query is None else path + query, body, {"Content-Type": kind}
            )
            self.assertEqual(got, status, problem)
        self.assertEqual(self.daemon.request("POST", path, picture)[0], 200)


if __name__ == "__main__":
    harness.main()
