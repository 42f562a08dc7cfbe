#!/usr/bin/env python3
"""The decoder process runs in its sandbox, and does its work there."""
import os
import unittest

from harness import BINARY, Daemon, main, npy, png, small_job, wait_for

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus")
FORMATS = ("dm", "emd", "jpeg", "mrc", "npy", "npz", "png", "pnm", "ser", "tiff")


class Sandbox(unittest.TestCase):
    def test_decoder(self):
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            weights = d.request("GET", "/v1/models/m/weights")[2]
            for body in (png(28, 28, bytes(784)), npy((2, 1, 28, 28), [0.25] * 2 * 784)):
                self.assertEqual(d.request("POST", "/v1/models/m/classify", body)[0], 200)
            self.assertEqual(d.request("PUT", "/v1/models/n/weights", weights)[0], 201)
            self.assertEqual(d.request("POST", "/v1/models/m/classify", b"\x89PNG\r\n\x1a\nbroken")[0], 400)
            self.assertEqual(d.request("PUT", "/v1/models/o/weights", b"broken" * 9)[0] // 100, 4)
            wait_for(lambda: len(d.decoders()) == 2, what="one decoder for images and one for models")
            with open(BINARY, "rb") as f:
                sanitized = b"__asan_init" in f.read()
            for pid in d.decoders():
                with open("/proc/%s/status" % pid, encoding="ascii") as f:
                    status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
                self.assertEqual(status["NoNewPrivs"], "1")
                if not sanitized:
                    self.assertEqual(status["Seccomp"], "2")

    def test_every_format_needs_no_other_call(self):
        """The corpora of the decoders' fuzzers, whole files and broken ones: none takes a call that is not allowed."""
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            good, sent = set(), 0
            for kind in FORMATS:
                folder = os.path.join(CORPUS, kind)
                for name in sorted(os.listdir(folder)):
                    with open(os.path.join(folder, name), "rb") as f:
                        body = f.read()
                    status = d.request("POST", "/v1/models/m/classify", body)[0]
                    sent += 1
                    if status == 200:
                        good.add(kind)
                    killed = [line for line in d.log_lines if "killed by signal 31" in line]
                    self.assertEqual(killed, [], kind + "/" + name)
            self.assertEqual(good, set(FORMATS), "each format is there at least once, whole")
            print("%d files" % sent)


if __name__ == "__main__":
    main()
