"""cnnctl.exe, built by scripts/windows, under Wine: the client's own tests, what Windows does differently, and a real
cnnd on loopback."""
import hashlib
import io
import json
import os
import shutil
import ssl
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import unicodedata
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path[:0] = [os.path.join(ROOT, "tests", "client"), os.path.join(ROOT, "tests", "daemon")]
# scripts/windows would install what it needs; a test leaves the machine as it is.
NEEDED = ["x86_64-w64-mingw32-gcc-win32", "dpkg-source", "meson", "ninja", "pkg-config", "wine"]


def prepare(folder):
    """Builds the program and a Wine of its own."""
    done = subprocess.run([os.path.join(ROOT, "scripts", "windows"), folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("scripts/windows: %s%s" % (done.stdout, done.stderr))
    exe = done.stdout.split()[0]
    os.environ.update(WINEPREFIX=os.path.join(folder, "wine"), WINEDEBUG="-all", WINEDLLOVERRIDES="mscoree,mshtml=",
                      CNNCTL="wine " + exe)
    os.environ.pop("DISPLAY", None)
    os.mkdir(os.environ["WINEPREFIX"])
    # What stays in the background must hold none of our pipes.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["wineserver", "-p"], check=True, **quiet)
    subprocess.run(["wine", "wineboot", "-i"], check=True, timeout=300, **quiet)
    # While a program runs, Wine need not begin anew for the next.
    return subprocess.Popen(["wine", "cmd"], stdin=subprocess.PIPE, **quiet)


def tiff(width, height, grey):
    """A grey 8-bit TIFF of one strip."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height), (279, len(grey))]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(grey)) + grey + ifd + bytes(4)


def screen_width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def make_cases():
    """Their modules look for CNNCTL when they are imported."""
    from case import Case, job
    from fake_server import Answer
    from harness import BINARY, Daemon, png

    class Windows(Case):
        def answer_images(self):
            self.server.on("POST", "/v1/models/m/classify?top=3", {"results": [
                {"predictions": [{"label": "cat", "index": 0, "probability": 1, "logit": 1}]}]})

        def test_names_that_no_code_page_has(self):
            self.answer_images()
            names = ["显微镜 ö.png", "Ж.png", "a.png"]
            for name in names:
                self.write(name, name)
            out, _ = self.cnnctl("classify", "m", *names)
            self.assertEqual([r.body.decode() for r in self.server.requests], names)
            lines = out.splitlines()[1:]
            self.assertEqual([line.split("  ")[0] for line in lines], names)
            self.assertEqual(len({screen_width(line[:line.index("cat")]) for line in lines}), 1, out)
            self.server.on("POST", "/v1/jobs", Answer(201, job()))
            self.cnnctl("train", "--arch", "a", "--dataset", "d", "--name", "Versuch ö 显")
            self.assertIn("Versuch ö 显", self.server.requests[-1].body.decode())

        def test_wildcards(self):
            self.answer_images()
            for name in ("b.png", "ä.png", "c.txt"):
                self.write(name, name)
            self.cnnctl("classify", "m", "*.png")
            self.assertEqual({r.body.decode() for r in self.server.requests}, {"b.png", "ä.png"})
            self.assertIn("cannot open *.tif", self.cnnctl("classify", "m", "*.tif", status=1)[1])

        def test_long_paths(self):
            """Beyond MAX_PATH. Wine would take them without the prefix too; a wrong prefix fails."""
            self.answer_images()
            deep = "/".join(["d" * 60] * 6)
            self.write(deep + "/x.png", "deep")
            self.cnnctl("classify", "m", deep + "/x.png")
            self.cnnctl("classify", "m", deep.replace("/", "\\") + "\\x.png")
            self.assertEqual([r.body for r in self.server.requests], [b"deep"] * 2)
            self.server.on("GET", "/v1/models/m/weights", Answer(body=b"weights"))
            self.cnnctl("export", "m", deep + "/w")
            self.assertEqual(self.read(deep + "/w"), b"weights")
            self.server.on("PUT", "/v1/datasets/grid", Answer(201, {}))
            self.cnnctl("import", "grid", deep)
            self.assertEqual(self.members(), ["w", "x.png"])

        def members(self):
            with tarfile.open(fileobj=io.BytesIO(self.server.requests[-1].body), mode="r:") as tar:
                return tar.getnames()

        def test_folders(self):
            self.server.on("PUT", "/v1/datasets/grid", Answer(201, {}))
            for name in ("data/Eis/1.png", "data/碳/2.png", "data/.hidden/3.png"):
                self.write(name, name)
            for folder in ("data", "data/", "data\\", ".\\data"):
                self.cnnctl("import", "grid", folder)
                self.assertEqual(self.members(), ["Eis/1.png", "碳/2.png"])

        def test_a_unix_socket_is_refused(self):
            for words in (["devices"], ["jobs"]):
                err = self.cnnctl(*words, status=2, env={"CNND_URL": "unix:/run/cnnd/socket"})[1]
                self.assertIn("on Windows a server is http://HOST:PORT", err)

        def test_what_cannot_be_written(self):
            os.mkdir(os.path.join(self.dir, "x"))
            self.server.on("GET", "/v1/models/m/weights", Answer(body=b"new"))
            self.assertIn("not a regular file", self.cnnctl("export", "m", "x", status=1)[1])
            self.assertIn("cannot create a file", self.cnnctl("export", "m", "nowhere/w", status=1)[1])
            self.assertEqual(self.files(), ["x"])

    class Real(Case):
        """A real cnnd: what is trained, told, classified, imported and taken home."""

        def test_a_course(self):
            with Daemon() as d:
                d.need_fashion()
                env = {"CNND_URL": d.url}
                out, _ = self.cnnctl("train", "--arch", "lenet", "--dataset", "fashion-mnist", "--limit", 512, "--val-limit",
                                     128, "--epochs", 2, "--batch", 64, "--lr", "0.5", "--save-as", "first", "--follow",
                                     "--report-every", 1, env=env)
                self.assertEqual(out.count("images_per_second="), 16, out)
                self.assertEqual(out.splitlines()[0], "job=1")
                self.assertIn("end=succeeded", out.splitlines()[-1])
                grey = bytes(i % 251 for i in range(784))
                self.write("micro.png", png(28, 28, grey))
                self.write("显微.tif", tiff(28, 28, grey))
                out, _ = self.cnnctl("classify", "first", "micro.png", "显微.tif", "--top", 2, env=env)
                rows = [line.split() for line in out.splitlines()[1:]]
                self.assertEqual(rows[0][0], "micro.png")
                self.assertEqual([row[-3:] for row in rows[:2]], [row[-3:] for row in rows[2:]], out)
                for name, step in (("ice", 1), ("カーボン", 7)):
                    for i in range(6):
                        self.write(f"grid/{name}/{i}.png", png(28, 28, bytes((p * step + i) % 256 for p in range(784))))
                self.cnnctl("import", "grid", "grid", env=env)
                self.assertEqual(sorted(d.get("/v1/datasets/grid")["classes"]), ["ice", "カーボン"])
                self.cnnctl("export", "first", "first.safetensors", env=env)
                self.assertEqual(self.read("first.safetensors"), d.weights("first"))
                summary = json.loads(self.cnnctl("summary", "bn-lenet", "--json", env=env)[0])
                self.assertEqual(summary, d.get("/v1/architectures/bn-lenet/summary"))

        def test_what_the_server_refuses(self):
            with Daemon({"max_image_bytes": "1M"}, device=False) as d:
                self.write("big.png", bytes(64 << 20))
                began = time.monotonic()
                _, err = self.cnnctl("classify", "none", "big.png", status=1, env={"CNND_URL": d.url})
                self.assertRegex(err, "^cnnctl: big.png: ")
                self.assertLess(time.monotonic() - began, 30)

        def test_a_private_authority(self):
            if not shutil.which("openssl"):
                self.skipTest("openssl, which makes the certificate, is not installed")
            cert, key = os.path.join(self.dir, "cert.pem"), os.path.join(self.dir, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                            "-keyout", key, "-out", cert], check=True, capture_output=True)
            with tempfile.TemporaryDirectory() as state:
                added = subprocess.run([BINARY, "token", "add", "anna", "--state", state], check=True, capture_output=True)
                with Daemon({"tls_cert": cert, "tls_key": key}, state=state, device=False) as d:
                    env = {"CNND_URL": "https://localhost:" + d.url.rsplit(":", 1)[1],
                           "CNND_TOKEN": added.stdout.decode().split()[0]}
                    self.assertIn("TLS failed", self.cnnctl("jobs", status=3, env=env)[1])
                    self.trust(cert)
                    self.assertIn("ID", self.cnnctl("jobs", env=env)[0])

        def trust(self, cert):
            """What `certutil -user -addstore Root` does on Windows."""
            with open(cert) as f:
                der = ssl.PEM_cert_to_DER_cert(f.read())
            blob = struct.pack("<III", 0x20, 1, len(der)) + der
            place = "HKEY_CURRENT_USER\\Software\\Microsoft\\SystemCertificates\\Root\\Certificates\\"
            self.write("root.reg", 'REGEDIT4\n\n[%s%s]\n"Blob"=hex:%s\n' % (
                place, hashlib.sha1(der).hexdigest().upper(), ",".join("%02x" % b for b in blob)))
            subprocess.run(["wine", "reg", "import", "root.reg"], cwd=self.dir, check=True, capture_output=True)

    return [Windows, Real]


def main():
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        print("skipped: not installed: " + " ".join(missing))
        sys.exit(77)
    folder, keeper = tempfile.mkdtemp(prefix="cnnd-windows-"), None
    try:
        keeper = prepare(folder)
        import test_classes
        import test_commands
        import test_files
        import test_follow
        load = unittest.defaultTestLoader
        suite = unittest.TestSuite(load.loadTestsFromModule(module) for module in (test_classes, test_commands, test_files, test_follow))
        suite.addTests(load.loadTestsFromTestCase(case) for case in make_cases())
        result = unittest.TextTestRunner(verbosity=1).run(suite)
    finally:
        if os.environ.get("WINEPREFIX", "").startswith(folder):
            subprocess.run(["wineserver", "-k"], capture_output=True)
        if keeper:
            keeper.kill()
            keeper.communicate()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
