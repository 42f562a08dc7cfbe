"""How layers run: chosen once for a device, bound to a job, kept."""

import os
import subprocess
import unittest

from harness import BINARY, Daemon, send_signal, wait_for

LAYERS = [
    {"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
    {"type": "relu"},
    {"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
    {"type": "max_pool2d", "kernel_size": 4},
    {"type": "flatten"},
    {"type": "linear", "out_features": 10},
]
SECOND = "conv2d 16x28x28 out_channels=16 kernel_size=3x3 stride=1x1 padding=1x1 groups=1 bias=1 batch>16"


def train(name, **more):
    return {"type": "train", "name": name, "architecture": {"layers": LAYERS},
            "dataset": {"name": "fashion-mnist", "limit": 1600, "val_limit": 100}, "epochs": 2, "batch_size": 32,
            "optimizer": {"name": "sgd", "lr": 0.1}, "seed": 5, "report_every": 1, "save_as": name, **more}


def tuning_file(d):
    """Of its one device."""
    folder = os.path.join(d.state, "tuning")
    return os.path.join(folder, *os.listdir(folder))


def rewrite(path, variants):
    """Every layer of a tuning file in other variants."""
    with open(path) as f:
        lines = f.read().splitlines()
    lines = [line if line.startswith("#") else line.split(":")[0] + ": " + variants for line in lines]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


class Tuning(unittest.TestCase):
    def setUp(self):
        self.d = self.enterContext(Daemon({"checkpoint_seconds": 0.2}))
        self.d.need_fashion()

    def start(self, name, **more):
        """Runs a job; (its strategies, weights)."""
        id = self.d.submit(train(name, **more))["id"]
        self.d.wait(id)
        return self.d.get("/v1/jobs/%d" % id)["strategies"], self.d.weights(name)

    def measure(self):
        """Starts jobs until all of their layers are measured: a start takes two seconds at most, which are few on a slow machine."""
        before, bound = None, {}
        for _ in range(50):
            before, (bound, _) = bound, self.start("measured", max_steps=2)
            if SECOND in bound and bound == before:
                return
        self.fail("%s is not measured: %s" % (SECOND, bound))

    def test_a_job_keeps_its_strategies_when_tuning_changes(self):
        self.measure()
        measured, weights = self.start("calm")
        self.assertIn(SECOND, measured)
        path = tuning_file(self.d)
        self.assertTrue(os.path.exists(path), "what was measured is kept")
        device = self.d.get("/v1/devices/" + self.d.get("/v1/devices")["devices"][0]["id"])
        self.assertEqual(device["strategies"][SECOND], measured[SECOND])
        for variants in ("winograd winograd winograd", "tiled tiled tiled"):
            rewrite(path, variants)
            name = variants.split()[0]
            bound, calm = self.start("calm-" + name)
            self.assertEqual(set(bound.values()), {variants})
            id = self.d.submit(train("it-" + name))["id"]
            self.d.wait_step(id, 30)
            rewrite(path, "tiled winograd winograd")
            send_signal(self.d.worker())
            self.d.wait(id)
            self.assertEqual(self.d.get("/v1/jobs/%d" % id)["strategies"], bound)
            self.assertEqual(self.d.weights("it-" + name), calm)
        other, changed = self.start("calm-other")
        self.assertEqual(set(other.values()), {"tiled winograd winograd"})
        self.assertNotEqual(changed, calm)

    def test_a_tuning_that_cannot_be_read_is_measured_again(self):
        self.measure()
        path = tuning_file(self.d)
        with open(path) as f:
            whole = f.read()
        for broken in (whole.replace(": ", " "), whole.replace("cnnd tuning", "cnnd Tuning"), "", whole[:70], "\0" * 100):
            with open(path, "w") as f:
                f.write(broken)
            self.d.kill()
            self.d.start()
            self.d.need_device()
            self.measure()

    def test_a_device_that_is_not_there(self):
        status, _, body = self.d.request("GET", "/v1/devices/9:9")
        self.assertEqual((status, body["detail"]), (404, "there is no device 9:9"))


# What ops/tuner tries first, and another set.
PARAMETERS = "GEMMK=0 KREG=1 KWG=16 KWI=2 MDIMA=16 MDIMC=8 MWG=64 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 STRM=0 STRN=0 VWM=4 VWN=4"
OTHERS = PARAMETERS.replace("KWI=2", "KWI=4")
POINTWISE = "conv2d 16x28x28 out_channels=8 kernel_size=1x1 stride=1x1 padding=0x0 groups=1 bias=1 batch>16"
LINEAR = "linear 392x1x1 out_features=10 bias=1 batch>16"
PRODUCTS = [
    {"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
    {"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
    {"type": "relu"},
    {"type": "conv2d", "out_channels": 8, "kernel_size": 1},
    {"type": "max_pool2d", "kernel_size": 4},
    {"type": "flatten"},
    {"type": "linear", "out_features": 10},
]


class Clblast(unittest.TestCase):
    """CLBlast's kernels compile for half a minute of a core on PoCL, which keeps them."""

    def setUp(self):
        self.d = self.enterContext(
            Daemon({"checkpoint_seconds": 0.2, "watchdog_seconds": 3600}, env={"CNND_TEST_CLBLAST": "1"}))
        self.d.need_fashion()
        if not self.d.get("/v1/version")["clblast"]:
            self.skipTest("built without CLBlast")
        self.finish(self.submit("first", max_steps=1))

    def submit(self, name, **more):
        return self.d.submit(train(name, architecture={"layers": PRODUCTS}, **more))["id"]

    def finish(self, id):
        """Its strategies."""
        self.d.wait(id)
        return self.d.get("/v1/jobs/%d" % id)["strategies"]

    def tune(self, parameters, variants):
        """The device's tuning as if it had been measured so."""
        path = tuning_file(self.d)
        with open(path) as f:
            lines = [line for line in f.read().splitlines() if line.startswith("#")]
        lines += ["clblast Xgemm: " + parameters, POINTWISE + ": " + variants, LINEAR + ": " + variants]
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")

    def test_a_job_keeps_clblasts_parameters(self):
        self.tune(PARAMETERS, "clblast clblast clblast")
        device = self.d.get("/v1/devices/" + self.d.get("/v1/devices")["devices"][0]["id"])
        self.assertEqual(device["strategies"]["clblast Xgemm"], PARAMETERS)
        self.assertEqual(device["strategies"][LINEAR], "clblast clblast clblast")
        bound = self.finish(self.submit("calm"))
        self.assertEqual(bound["clblast Xgemm"], PARAMETERS)
        self.assertEqual((bound[POINTWISE], bound[LINEAR]), ("clblast clblast clblast",) * 2)
        calm = self.d.weights("calm")
        self.finish(self.submit("again"))
        self.assertEqual(self.d.weights("again"), calm)
        id = self.submit("killed")
        self.d.wait_step(id, 30)
        self.tune(OTHERS, "tiled tiled tiled")
        send_signal(self.d.worker())
        self.assertEqual(self.finish(id), bound)
        self.assertEqual(self.d.weights("killed"), calm)
        other = self.finish(self.submit("tiled"))
        self.assertNotIn("clblast Xgemm", other)
        self.assertEqual(other[LINEAR], "tiled tiled tiled")
        self.assertNotEqual(self.d.weights("tiled"), calm)

    def test_a_job_goes_on_where_clblast_is_not_used(self):
        self.tune(PARAMETERS, "clblast clblast clblast")
        for _ in range(20):  # a job may be through before the kill
            self.d.env["CNND_TEST_CLBLAST"] = "1"
            self.d.stop()
            self.d.start()
            self.d.need_device()
            id = self.submit("moved", epochs=10)
            self.d.wait_step(id, 60)
            self.d.kill()
            del self.d.env["CNND_TEST_CLBLAST"]
            self.d.start()
            self.d.need_device()
            self.assertEqual(self.finish(id)["clblast Xgemm"], PARAMETERS)
            notes = self.d.get("/v1/jobs/%d" % id)["notes"]
            if notes:
                break
        self.assertIn("goes on here without it", notes[0])

    def test_parameters_that_are_none_are_not_taken(self):
        for wrong, reason in (("MWG=64", "MWG=77 is not a multiple of"), ("NWG=64 ", "parameter NWG is missing")):
            parameters = PARAMETERS.replace(wrong, "MWG=77" if wrong == "MWG=64" else "")
            self.tune(parameters, "clblast clblast clblast")
            bound = self.finish(self.submit("wrong-" + wrong[:3].lower(), max_steps=2))
            self.assertNotIn("clblast Xgemm", bound)
            self.assertNotIn("clblast", " ".join(bound.values()))
            wait_for(lambda: any(reason in line for line in self.d.log_lines), what="a warning that names " + wrong)


class Command(unittest.TestCase):
    def test_a_device_that_is_not_there(self):
        done = subprocess.run([BINARY, "--tune", "--device", "9:9", "--state", "/nonexistent/cnnd"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/cnnd", done.stderr)

    def test_beside_a_daemon(self):
        with Daemon(device=False) as d:
            words = [BINARY, "--tune", "--device", "9:9", "--state", d.state]
            self.assertIn("a cnnd runs on the state folder %s: " % d.state, subprocess.run(words, capture_output=True, text=True).stderr)
            d.stop()
            self.assertNotIn("a cnnd runs", subprocess.run(words, capture_output=True, text=True).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
