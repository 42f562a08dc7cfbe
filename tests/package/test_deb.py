"""The Debian packages: built by scripts/deb, unpacked into a temporary folder, started as the unit starts cnnd."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
# scripts/deb would install what it needs; a test leaves the machine as it is.
NEEDED = ["dpkg-buildpackage", "dh", "help2man"]
PATIENCE = 60


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError("%s: %s%s" % (" ".join(words), done.stdout[-2000:], done.stderr[-2000:]))
    return done.stdout


def unit_lines(path, key):
    with open(path) as f:
        return [line.strip().split("=", 1)[1] for line in f if line.startswith(key + "=")]


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [name for name in NEEDED if not shutil.which(name)]
        if missing:
            raise unittest.SkipTest("not installed: " + " ".join(missing))
        cls.folder = tempfile.mkdtemp(prefix="cnnd-deb-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        run(os.path.join(ROOT, "scripts", "deb"), cls.folder)
        cls.debs, cls.trees = {}, {}
        for file in os.listdir(cls.folder):
            if file.endswith(".deb") and "-dbgsym_" not in file:
                name = file.split("_")[0]
                cls.debs[name] = os.path.join(cls.folder, file)
                cls.trees[name] = os.path.join(cls.folder, name)
                run("dpkg-deb", "-x", cls.debs[name], cls.trees[name])

    def at(self, path, package="cnnd"):
        return os.path.join(self.trees[package], path)

    def unit(self):
        """Up to Debian 12 in /lib, since then in /usr/lib."""
        path = self.at("usr/lib/systemd/system/cnnd.service")
        return path if os.path.exists(path) else self.at("lib/systemd/system/cnnd.service")

    def test_what_is_in_them(self):
        self.assertEqual(sorted(self.debs), ["cnnctl", "cnnd"])
        for path in ("usr/bin/cnnd", "usr/share/man/man8/cnnd.8.gz", "usr/lib/sysusers.d/cnnd.conf"):
            self.assertTrue(os.path.isfile(self.at(path)), path)
        for path in ("usr/bin/cnnctl", "usr/share/man/man1/cnnctl.1.gz"):
            self.assertTrue(os.path.isfile(self.at(path, "cnnctl")), path)
        self.assertEqual(run("dpkg-deb", "-I", self.debs["cnnd"], "conffiles"), "/etc/cnnd/cnnd.conf\n")
        recommends = run("dpkg-deb", "-f", self.debs["cnnd"], "Recommends")
        self.assertIn("opencl-icd", recommends)
        for name in self.debs:
            version = run("dpkg-deb", "-f", self.debs[name], "Version").strip()
            self.assertEqual(run(self.at("usr/bin/" + name, name), "--version"), "%s %s\n" % (name, version))

    def test_state_goes_at_purge_alone(self):
        script = run("dpkg-deb", "-I", self.debs["cnnd"], "postrm")
        state = os.path.join(self.folder, "state")
        script = script.replace("/var/lib/cnnd", state)
        self.assertIn(state, script)
        for word, left in (("remove", True), ("upgrade", True), ("purge", False)):
            os.makedirs(state, exist_ok=True)
            # DPKG_ROOT keeps systemd's own helpers to that folder.
            run("sh", "-c", script, "postrm", word, env=dict(os.environ, DPKG_ROOT=self.folder))
            self.assertEqual(os.path.exists(state), left, word)

    def test_defaults_are_in_force_uncommented(self):
        with open(self.at("etc/cnnd/cnnd.conf")) as f:
            text = f.read()
        bare = os.path.join(self.folder, "bare.conf")
        with open(bare, "w") as f:
            f.writelines(line[1:] + "\n" for line in text.split("\n") if line.startswith("#") and " = " in line)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CNND_")}
        words = [self.at("usr/bin/cnnd"), "--check", "--state", os.path.join(self.folder, "state")]
        plain = run(*words, env=environment)
        self.assertEqual(run(*words, "--config", bare, env=environment), plain)
        self.assertEqual(run(*words, "--config", self.at("etc/cnnd/cnnd.conf"), env=environment), plain)
        with open(bare) as f:
            named = {line.split(" = ")[0] for line in f}
        self.assertEqual({line.split(" = ")[0] for line in plain.splitlines()} - named, {"socket", "state"})

    def test_starts_as_the_unit_says(self):
        unit = self.unit()
        words = unit_lines(unit, "ExecStart")[0].split()
        self.assertEqual(words[0], "/usr/bin/cnnd")
        words = [self.at(word[1:]) if word.startswith("/") else word for word in words]
        os.makedirs(self.at("run/cnnd"))
        state = os.path.join(self.folder, "var")
        os.mkdir(state, 0o700)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CNND_")}
        environment.update(STATE_DIRECTORY=state, NOTIFY_SOCKET=os.path.join(self.folder, "notify"),
                           WATCHDOG_USEC=str(int(unit_lines(unit, "WatchdogSec")[0]) * 1000000))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(environment["NOTIFY_SOCKET"])
            s.settimeout(PATIENCE)
            # A free port instead of the unit's own, which a daemon of this machine may have.
            process = subprocess.Popen(words + ["--listen", "127.0.0.1:0"], env=environment,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                self.assertEqual(s.recv(100), b"READY=1")
                self.assertEqual(s.recv(100), b"WATCHDOG=1")
                url = "unix:" + words[words.index("--socket") + 1]
                self.assertIn("batch_norm", run(self.at("usr/bin/cnnctl", "cnnctl"), "--url", url, "summary", "bn-lenet",
                                              "--input", "1x28x28"))
            finally:
                process.send_signal(signal.SIGTERM)
                _, log = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, log[-2000:])

    def test_unit_is_valid(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        unit = self.unit()
        kill = os.path.join(self.trees["cnnd"], "bin/kill")  # procps' in a whole system
        os.makedirs(os.path.dirname(kill), exist_ok=True)
        shutil.copy("/bin/true", kill)
        done = subprocess.run(["systemd-analyze", "verify", "--root=" + self.trees["cnnd"], "--recursive-errors=no",
                               unit], capture_output=True, text=True)
        self.assertNotIn("cnnd.service:", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
