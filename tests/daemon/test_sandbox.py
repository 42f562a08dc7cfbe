#!/usr/bin/env python3
"""The decoder process runs in its sandbox, and does its work there."""
import os
import unittest

from harness import Daemon, main, npy, png, small_job


def decoders(daemon):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[1:3] == [b"--role", b"decoder"] and daemon.state.encode() in words:
            found.append(pid)
    return found


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
            pids = decoders(d)
            self.assertEqual(len(pids), 1, "one decoder did all of it")
            with open("/proc/%s/status" % pids[0], encoding="ascii") as f:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            self.assertEqual(status["NoNewPrivs"], "1")
            if "asan" not in os.environ.get("CNND_SANITIZE", ""):
                self.assertEqual(status["Seccomp"], "2")


if __name__ == "__main__":
    main()
