#!/usr/bin/env python3
"""A machine with two OpenCL drivers, one of which crashes, hangs or fails when it is asked for its devices
(broken_driver.c): the other's device serves, keeps its id, and the broken one is named with the reason."""
import contextlib
import glob
import os
import subprocess
import tempfile
import unittest

from harness import BINARY, Daemon, main, pace, send_signal, small_job, wait_for

BROKEN = os.environ.get("CNND_BROKEN_LIBRARY", "")
WATCHDOG_SECONDS = max(2.0, pace())  # a probe has five times as long


@contextlib.contextmanager
def drivers(trouble, name="a_broken.icd", library=BROKEN):
    """The environment of a machine whose own drivers stand beside the broken one."""
    own = sorted(glob.glob("/etc/OpenCL/vendors/*.icd"))
    if not own:
        raise unittest.SkipTest("no OpenCL driver is installed")
    with tempfile.TemporaryDirectory(prefix="cnnd-vendors-") as folder:
        for path in own:
            os.symlink(path, os.path.join(folder, "m_" + os.path.basename(path)))
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(library + "\n")
        with open(os.path.join(folder, "trouble"), "w", encoding="utf-8") as f:
            f.write(trouble + "\n")
        yield {"OCL_ICD_VENDORS": folder, "CNND_BROKEN_DRIVER": f.name}


class Platforms(unittest.TestCase):
    def serves(self, d, platform):
        """The good driver's device works."""
        got = d.get("/v1/devices")
        self.assertEqual([device["id"].split(":")[0] for device in got["devices"]], [str(platform)] * len(got["devices"]))
        self.assertIsNone(got["problem"])
        d.need_fashion()
        job = d.wait(d.submit(small_job(epochs=1, save_as="m"))["id"])
        self.assertEqual(job["device"], got["devices"][0]["id"])

    def test_tuning_stays_with_its_device(self):
        """Whose place moves when a driver is added before it."""
        layers = [{"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1}] * 2 + [
            {"type": "max_pool2d", "kernel_size": 4}, {"type": "flatten"}, {"type": "linear", "out_features": 10}]
        known = []
        with drivers("none") as env, tempfile.TemporaryDirectory(prefix="cnnd-moved-") as state:
            driver = os.path.join(env["OCL_ICD_VENDORS"], "a_broken.icd")
            os.rename(driver, driver + "-")
            for id in ("0:0", "1:0"):
                with Daemon(state=state, env=env) as d:
                    d.need_fashion()
                    strategies = lambda: d.get("/v1/devices/" + id)["strategies"]
                    measured = lambda: [name for name in strategies() if name.startswith("conv2d 16x28x28")]
                    if id == "0:0":  # a start measures for two seconds, which are few on a slow machine
                        wait_for(lambda: d.wait(d.submit(small_job(architecture={"layers": layers}, epochs=1))["id"]) and measured(),
                                 what="measured layers")
                    known.append(strategies())
                if id == "0:0":
                    os.rename(driver + "-", driver)
            self.assertEqual(known[0], known[1])

    def starts_again(self, d):
        """Also when its worker has to start again."""
        dead = d.worker()
        send_signal(dead)
        wait_for(lambda: d.get("/v1/devices")["devices"][0]["worker_pid"] not in (None, dead), what="another worker")
        wait_for(lambda: d.get("/v1/devices")["devices"][0]["state"] == "ready", what="the device again")
        self.assertEqual(d.request("POST", "/v1/models/m/classify", b"P5 28 28 255\n" + bytes(784))[0], 200)

    def failed(self, d, number=0):
        """The broken driver's row, once it has failed."""
        return wait_for(lambda: next((p for p in d.get("/v1/devices")["platforms"]
                                      if p["platform"] == number and p["state"] == "failed"), None), what="a driver that failed")

    def check(self, trouble, reason, name="a_broken.icd", number=0):
        options = {"watchdog_seconds": WATCHDOG_SECONDS} if trouble == "hang" else {}
        with drivers(trouble, name) as env, Daemon(options, env=env) as d:
            self.serves(d, 1 - number)
            if trouble in ("abort", "hang"):
                self.starts_again(d)
            row = self.failed(d, number)
            self.assertEqual(os.path.basename(row["driver"]), name)
            self.assertRegex(row["reason"], reason)
            self.assertEqual(row["devices"], 0)
            files = [os.path.join(path, name) for path, _, names in os.walk(d.state) for name in names]
            self.assertEqual([path for path in files if os.path.islink(path)], [], "nothing leads out of the state folder")
            wait_for(lambda: any(name in line and row["reason"] in line for line in d.log_lines), what="a line of the log")

    def test_crash(self):
        self.check("abort", "killed by signal 6")

    def test_crash_behind_the_good_one(self):
        self.check("abort", "killed by signal 6", "z_broken.icd", 1)

    def test_crash_over_devices(self):
        self.check("abort-devices", "killed by signal 6")

    def test_error(self):
        self.check("fail", "CL_OUT_OF_RESOURCES")

    def test_hang(self):
        self.check("hang", "it hung for [0-9]+ s")

    def test_library_that_cannot_be_loaded(self):
        with tempfile.NamedTemporaryFile(suffix=".so") as library:
            for name, why in (("libnone-at-all.so", "No such file"), (library.name, "file too short")):
                with drivers("", library=name) as env, Daemon(env=env) as d:
                    reason = self.failed(d)["reason"]
                    self.assertIn("its library cannot be loaded: " + name, reason)
                    self.assertIn(why, reason)

    def test_id_stays_when_it_is_well(self):
        with drivers("none") as env, Daemon(env=env) as d:
            self.serves(d, 1)
            self.assertEqual([(p["platform"], p["state"], p["reason"]) for p in d.get("/v1/devices")["platforms"]],
                             [(0, "found", None), (1, "found", None)])

    def test_broken_alone(self):
        """Then nobody serves, and health says why; when it is well again it is found without a restart."""
        with drivers("abort") as env:
            for path in glob.glob(env["OCL_ICD_VENDORS"] + "/m_*"):
                os.unlink(path)
            with Daemon(env=env, device=False) as d:
                row = self.failed(d)
                status, _, body = d.request("GET", "/v1/health")
                self.assertEqual(status, 503)
                self.assertIn(row["driver"], body["detail"])
                self.assertIn("killed by signal 6", body["detail"])
                with open(env["CNND_BROKEN_DRIVER"], "w", encoding="utf-8") as f:
                    f.write("none\n")
                wait_for(lambda: d.get("/v1/devices")["platforms"][0]["state"] == "found", what="the driver, well again")
                self.assertIn("no OpenCL device matches", d.get("/v1/devices")["problem"])

    def test_tuning(self):
        with drivers("abort") as env, tempfile.TemporaryDirectory() as state:
            words = [BINARY, "--tune", "--device", "9:9", "--state", state]
            done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **env})
            self.assertEqual(done.returncode, 1)
            self.assertIn("a_broken.icd: killed by signal 6", done.stderr)


if __name__ == "__main__":
    main()
