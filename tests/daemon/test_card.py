#!/usr/bin/env python3
"""Cards whose memory other programs use, too (card.c, nvml.c): what is free is told, and a job that takes more than
others have left waits, and says why."""
import os
import shutil
import signal
import tempfile
import time
import unittest

from harness import Daemon, long_job, main, pace, pgm, send_signal, small_job, wait_for

LAYER = os.environ.get("CNND_CARD_LAYER", "")
NVML = os.environ.get("CNND_NVML", "")
POCL = "/etc/OpenCL/vendors/pocl.icd"
WIDE = {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 1 << 15}, {"type": "linear", "out_features": 10}]}
QUICK = {"dataset": {"name": "fashion-mnist", "limit": 2, "val_limit": 1}, "batch_size": 1, "epochs": 1}


class Cards(unittest.TestCase):
    def start(self, vendor):
        """A daemon that has a card with all of its memory free."""
        self.memory = self.enterContext(tempfile.NamedTemporaryFile("w", prefix="cnnd-memory-"))
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="cnnd-nvml-"))
        os.symlink(NVML, os.path.join(folder, "libnvidia-ml.so.1"))
        env = {"OPENCL_LAYERS": LAYER, "CNND_CARD": vendor, "CNND_CARD_MEMORY": self.memory.name, "LD_LIBRARY_PATH": folder}
        with Daemon(env={"CNND_CARD": "none"}) as d:
            self.all = d.get("/v1/devices")["devices"][0]["memory"]
        self.tell(self.all)
        self.daemon = self.enterContext(Daemon(env=env))
        self.daemon.need_fashion()

    def tell(self, free, whole=None):
        self.memory.seek(0)
        self.memory.write("%d %d\n" % (free, whole or self.all))
        self.memory.truncate()
        self.memory.flush()

    def device(self):
        return self.daemon.get("/v1/devices")["devices"][0]

    def told(self, free):
        wait_for(lambda: self.device().get("memory_free") == free, what="%d bytes free" % free)

    def check(self, vendor):
        d = self.start(vendor) or self.daemon
        self.told(self.all // 1024 * 1024 if vendor == "amd" else self.all)
        self.tell(64 << 20)
        self.told(64 << 20)
        large = d.submit(small_job(architecture=WIDE, **QUICK))["id"]
        takes = d.get("/v1/jobs/%d" % large)["memory"]["device_bytes"]
        self.assertTrue(64 << 20 < takes < self.all // 16, "too much, and less than plans leave to a driver")
        small = d.wait(d.submit(small_job(epochs=1))["id"])  # it fits, and need not wait for the other
        self.assertEqual(small["state"], "succeeded")
        wait_for(lambda: self.device()["state"] == "ready", what="a free device")
        why = "it takes %d bytes of a device, of which other programs and its driver leave " % takes
        wait_for(lambda: why in d.get("/v1/jobs/%d" % large)["queue"]["reason"], what="the reason")
        time.sleep(1.5)  # a heartbeat
        self.assertEqual(d.get("/v1/jobs/%d" % large)["state"], "queued")
        self.tell(self.all)
        d.wait(large)

    def test_nvidia(self):
        self.check("nvidia")

    def test_amd(self):
        self.check("amd")

    def test_part_of_a_card(self):
        """MIG's parts have the address of the whole: what it tells is not of the part."""
        d = self.start("nvidia") or self.daemon
        d.stop()
        self.tell(1 << 20, 4 * self.all)
        d.start()
        d.need_device()
        time.sleep(2.5)
        self.assertNotIn("memory_free", self.device())
        d.wait(d.submit(small_job(epochs=1))["id"])

    def test_asked_between_short_steps(self):
        """A GPU has its next step before the last is over: who asks meanwhile is heard all the same."""
        with Daemon(env={"OPENCL_LAYERS": LAYER, "CNND_CARD": "gpu"}) as d:
            d.need_fashion()
            d.wait(d.submit(small_job(epochs=1, save_as="model"))["id"])
            self.assertEqual(d.get("/v1/devices")["devices"][0]["type"], "gpu")
            job = d.submit(long_job())["id"]
            d.wait_step(job, 20)
            for path, image in (("classify", pgm(28, 28, bytes(784))), ("map?window=28&stride=14", pgm(84, 84, bytes(84 * 84)))):
                self.assertEqual(d.request("POST", "/v1/models/model/" + path, image)[0], 200)
                self.assertEqual(d.get("/v1/jobs/%d" % job)["state"], "running")
            d.request("POST", "/v1/jobs/%d/pause" % job)
            step = d.wait(job, ("paused",))["progress"]["step"]
            d.request("POST", "/v1/jobs/%d/resume" % job)
            d.wait_step(job, step + 20)
            d.request("POST", "/v1/jobs/%d/cancel" % job)
            d.wait(job, ("cancelled",))

    def test_drivers_own_memory(self):
        """No job gets all that a GPU has: its driver takes some of it."""
        memory = {}
        for kind in ("none", "gpu"):
            with Daemon(env={"OPENCL_LAYERS": LAYER, "CNND_CARD": kind}, device=False) as d:
                device = wait_for(lambda: d.get("/v1/devices")["devices"], what="a device")[0]
                memory[kind] = device["memory"]
        self.assertEqual(device["type"], "gpu")
        self.assertEqual(memory["none"] - memory["gpu"], min(memory["none"] // 16, 1 << 30))

    def test_memory_that_others_have(self):
        """A start without room for the selftest is no failure: what was compiled stays, and it is tried again."""
        with tempfile.TemporaryDirectory(prefix="cnnd-full-") as folder:
            full = os.path.join(folder, "full")
            with open(full, "w", encoding="utf-8"):
                pass
            with Daemon(env={"OPENCL_LAYERS": LAYER, "CNND_CARD": "none", "CNND_CARD_FULL": full}, device=False) as d:
                wait_for(lambda: any("is tried again every 15 s" in line or "was lost" in line for line in d.log_lines), what="an end")
                device = d.get("/v1/devices")["devices"][0]
                self.assertEqual((device["state"], device["failures"]), ("starting", 0))
                self.assertIn("CL_MEM_OBJECT_ALLOCATION_FAILURE", device["reason"])
                os.unlink(full)
                send_signal(d.process.pid, signal.SIGHUP)
                wait_for(lambda: d.get("/v1/devices")["devices"][0]["state"] == "ready", what="the device")

    def test_another_in_its_place(self):
        """One of two cards falls off, and the driver counts anew: no worker takes the other one for its own."""
        with tempfile.TemporaryDirectory(prefix="cnnd-gone-") as folder:
            gone = os.path.join(folder, "gone")
            env = {"OPENCL_LAYERS": LAYER, "CNND_CARD": "none", "CNND_CARD_GONE": gone, "POCL_DEVICES": "basic pthread"}
            with Daemon(env=env) as d:
                states = lambda: [device["state"] for device in d.get("/v1/devices")["devices"]]
                wait_for(lambda: states() == ["ready"] * 2, what="two devices")
                with open(gone, "w", encoding="utf-8"):
                    pass
                for device in d.get("/v1/devices")["devices"]:
                    send_signal(device["worker_pid"])
                wait_for(lambda: states() == ["quarantined", "ready"], what="one device")
                self.assertIn("is gone", d.get("/v1/devices")["devices"][0]["reason"])
                os.unlink(gone)
                send_signal(d.process.pid, signal.SIGHUP)
                wait_for(lambda: states() == ["ready"] * 2, what="two devices again")

    @unittest.skipUnless(os.path.exists(POCL), "it is PoCL twice")
    def test_card_beside_processors(self):
        """It gets the first job, though its driver is the second, answers last and compiles for longer; and the next one."""
        with tempfile.TemporaryDirectory(prefix="cnnd-beside-") as folder:
            for name in ("a.icd", "b.icd"):
                shutil.copy(POCL, os.path.join(folder, name))
            slow = os.path.join(folder, "slow")
            with open(slow, "w", encoding="utf-8") as f:
                f.write("500\n")
            env = {"OPENCL_LAYERS": LAYER, "CNND_CARD": "second", "OCL_ICD_VENDORS": folder, "CNND_TEST_LANES": "16",
                   "CNND_CARD_PLATFORMS": ",".join(["Portable Computing Language"] * 2), "CNND_CARD_SLOW": slow}
            with Daemon(env=env) as d:
                d.need_fashion()
                self.assertEqual(d.wait(d.submit(small_job(epochs=1))["id"])["device"], "1:0")
                devices = wait_for(lambda: all(v["state"] == "ready" for v in d.get("/v1/devices")["devices"]) and
                                   d.get("/v1/devices")["devices"], what="both devices")
                self.assertEqual([v["type"] for v in devices], ["cpu", "gpu"])
                self.assertEqual(d.wait(d.submit(small_job(epochs=1))["id"])["device"], "1:0")

    @unittest.skipUnless(os.path.exists(POCL), "it is PoCL twice")
    def test_two_drivers(self):
        """A card that two drivers show is one device: its vendor's own driver's, else the first one's; or the one that is named."""
        cuda, mesa, pocl = "NVIDIA CUDA", "rusticl", "Portable Computing Language"
        for names, card, spec, want in (((cuda, mesa), "nvidia", "all", "0:0"), ((mesa, cuda), "nvidia", "all", "1:0"),
                                        ((cuda, cuda), "nvidia", "all", "0:0"), ((pocl, pocl), "none", "type:cpu", "0:0"),
                                        ((cuda, mesa), "nvidia", "1:0", "1:0")):
            with self.subTest(names), tempfile.TemporaryDirectory(prefix="cnnd-twice-") as folder:
                for name in ("a.icd", "b.icd"):
                    shutil.copy(POCL, os.path.join(folder, name))
                env = {"OPENCL_LAYERS": LAYER, "CNND_CARD": card, "CNND_CARD_PLATFORMS": ",".join(names), "OCL_ICD_VENDORS": folder}
                seconds, tries = 5, 0
                while seconds >= 5:  # so long one waits for the other, and on a slow machine it may be in vain
                    tries += 1
                    self.assertLess(tries, 20, "a start takes more than 5 s each time")
                    begun = time.monotonic()
                    with Daemon({"device": spec}, env=env, device=False) as d:
                        wait_for(lambda: [p["devices"] for p in d.get("/v1/devices")["platforms"]] == [1, 1], what="both answers")
                        seconds = time.monotonic() - begun
                        used = [device["id"] for device in d.get("/v1/devices")["devices"]]
                left = [line for line in d.log_lines if "is left out: another driver shows the same hardware" in line]
                self.assertEqual(used, [want])
                self.assertEqual(len(left), spec != "1:0", left)

    def test_compiled_kernels(self):
        """Every driver keeps them in the device's folder, which is put aside when workers die; but where the
        environment says."""
        kept = {"CUDA_CACHE_PATH", "AMD_COMGR_CACHE_DIR", "MESA_SHADER_CACHE_DIR", "NEO_CACHE_DIR", "cl_cache_dir"}
        with tempfile.TemporaryDirectory(prefix="cnnd-cache-") as own:
            env = {"OPENCL_LAYERS": LAYER, "CNND_CARD": "none", "XDG_CACHE_HOME": own}
            with Daemon(env=env) as d:
                folder = os.path.join(d.state, "cache/driver", d.get("/v1/devices")["devices"][0]["id"])
                self.assertEqual(kept - set(os.listdir(folder)), set())
                self.assertEqual((os.listdir(own), "XDG_CACHE_HOME" in os.listdir(folder)), (["XDG_CACHE_HOME"], False))
                for _ in range(2):
                    dead = d.worker()
                    send_signal(dead)
                    wait_for(lambda: d.worker() not in (None, dead), what="another worker")
                    wait_for(lambda: d.get("/v1/devices")["devices"][0]["state"] == "ready", what="the device again")
                self.assertEqual(kept - set(os.listdir(folder + ".bad")), set())

    def test_compiler_that_takes_long(self):
        """At each program of a job longer than a worker may stand still otherwise."""
        seconds = max(3.0, 2 * pace())
        with tempfile.TemporaryDirectory(prefix="cnnd-slow-") as folder:
            slow = os.path.join(folder, "slow")
            env = {"OPENCL_LAYERS": LAYER, "CNND_CARD": "none", "CNND_CARD_SLOW": slow}
            with Daemon({"watchdog_seconds": seconds}, env=env) as d:
                d.need_fashion()
                worker = d.worker()
                with open(slow, "w", encoding="utf-8") as f:
                    f.write("%d\n" % (2500 * seconds))
                self.assertEqual(d.wait(d.submit(small_job(epochs=1))["id"])["state"], "succeeded")
                self.assertEqual(d.worker(), worker, "".join(d.log_lines))

    def test_library_that_fails(self):
        d = self.start("nvidia") or self.daemon
        self.memory.seek(0)
        self.memory.truncate()
        wait_for(lambda: "memory_free" not in self.device(), what="that nothing is known")
        d.wait(d.submit(small_job(epochs=1))["id"])


if __name__ == "__main__":
    main()
