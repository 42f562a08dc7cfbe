#!/usr/bin/env python3
"""The decoder process runs in its sandbox, and does its work there; where it cannot open one it does nothing."""
import ctypes
import errno
import io
import os
import re
import signal
import threading
import unittest
import zipfile

from harness import BINARY, Daemon, main, npy, pgm, png, small_job, wait_for

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus")
FORMATS = ("dm", "emd", "jpeg", "mrc", "npy", "npz", "png", "pnm", "ser", "tiff")


SCMP_ACT_ALLOW, SCMP_ACT_ERRNO = 0x7FFF0000, 0x00050000
REFUSED = "no image and no model can be read: "


def sanitized():
    with open(BINARY, "rb") as f:
        text = f.read()
    return b"__asan_init" in text or b"__tsan_init" in text


def forbid(name):
    """What is called in a process that from then on, with its children, may not make this system call."""

    def enter():
        lib = ctypes.CDLL("libseccomp.so.2")
        lib.seccomp_init.restype = ctypes.c_void_p
        rules = ctypes.c_void_p(lib.seccomp_init(SCMP_ACT_ALLOW))
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if lib.seccomp_rule_add_array(rules, SCMP_ACT_ERRNO | errno.EPERM, number, 0, None) or lib.seccomp_load(rules):
            raise OSError("no filter")

    return enter


def processor_seconds(pid):
    try:
        with open("/proc/%s/stat" % pid, encoding="utf-8") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0


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
            wait_for(lambda: len(d.children("decoder")) == 2, what="one decoder for images and one for models")
            for pid in d.children("decoder"):
                with open("/proc/%s/status" % pid, encoding="ascii") as f:
                    status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
                self.assertEqual(status["NoNewPrivs"], "1")
                if not sanitized():
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

    def test_killed_from_outside(self):
        """A good image is then not at fault: it is tried once more, and is a 503 where that is killed, too."""
        image = png(7000, 7000, os.urandom(7000) * 7000)
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            for kills, wanted in ((1, 200), (2, 503)):
                for _ in range(50):  # it may be through with the image before anybody looks
                    (status, _, body), killed = self.ask_and_kill(d, image, kills)
                    if killed == kills:
                        break
                self.assertEqual((status, killed), (wanted, kills), body)
            self.assertIn("the decoder was killed by signal 9 (Killed)", body["detail"])

    def ask_and_kill(self, d, image, kills):
        """The answer, and how many of so many decoders were killed at it."""
        answers, killed, before = [], set(), {pid: processor_seconds(pid) for pid in d.children("decoder")}
        ask = threading.Thread(target=lambda: answers.append(d.request("POST", "/v1/models/m/classify", image)))
        ask.start()
        while ask.is_alive() and len(killed) < kills:
            for pid in set(d.children("decoder")) - killed:
                if processor_seconds(pid) > before.get(pid, 0) + 0.05:  # at the image
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        ask.join()
        return answers[0], len(killed)

    @unittest.skipIf(sanitized(), "sanitizers need more calls than a sandbox allows")
    def test_none_can_be_opened(self):
        """Good files are then the server's fault: 503 with the reason, one line in the log, and training goes on."""
        with Daemon() as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
            weights = d.request("GET", "/v1/models/m/weights")[2]
            d.stop()
            for name, reason in (("landlock_create_ruleset", "Landlock is not permitted; "),
                                 ("landlock_restrict_self", "Landlock: Operation not permitted"),
                                 ("seccomp", "no system-call filter can be made; ")):
                with self.subTest(name), Daemon(state=d.state, before=forbid(name)) as refused:
                    self.check_refusals(refused, reason, weights)

    def check_refusals(self, d, reason, weights):
        images = io.BytesIO()
        with zipfile.ZipFile(images, "w") as z:
            for i in range(8):
                z.writestr("train/%d/%d.pgm" % (i % 2, i), pgm(8, 8, bytes([i] * 64)))
        for method, path, body in (("POST", "/v1/models/m/classify", png(28, 28, bytes(784))),
                                   ("POST", "/v1/models/m/classify", npy((2, 1, 28, 28), [0.25] * 2 * 784)),
                                   ("POST", "/v1/models/m/map", png(56, 56, bytes(56 * 56))),
                                   ("POST", "/v1/models/m/classify", b"broken"),
                                   ("PUT", "/v1/models/n/weights", weights),
                                   ("PUT", "/v1/datasets/s", images.getvalue())):
            status, _, answer = d.request(method, path, body)
            self.assertEqual(status, 503, (path, answer))
            self.assertTrue(answer["detail"].startswith("the server cannot open the sandbox in which it reads files: "
                                                        + reason), answer)
        self.assertEqual(len([line for line in d.log_lines if REFUSED in line]), 1, d.log_lines)
        failures = re.search(rb"^cnnd_sandbox_failures_total (\d+)$", d.request("GET", "/metrics")[2], re.M)
        self.assertGreaterEqual(int(failures[1]), 5)
        d.wait(d.submit(small_job(epochs=1))["id"])


if __name__ == "__main__":
    main()
