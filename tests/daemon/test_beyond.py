#!/usr/bin/env python3
"""Addresses that other machines reach: certificates, and what is refused without."""
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
import warnings

from harness import BINARY, PATIENCE, Daemon, main, wait_for
from people import Person, token


class Beyond(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="cnnd-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        if not shutil.which("openssl"):
            raise unittest.SkipTest("openssl, which makes the certificate, is not installed")
        cls.cert, cls.key = os.path.join(cls.folder, "cert.pem"), os.path.join(cls.folder, "key.pem")
        for cert, key in ((cls.cert, cls.key), (cls.cert + "2", cls.key + "2")):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                            "-keyout", key, "-out", cert], check=True, capture_output=True)

    def refused(self, **options):
        with self.assertRaises(RuntimeError) as caught:
            with Daemon(options, device=False):
                pass
        return str(caught.exception)

    def test_refused_at_start(self):
        self.assertIn("tls_cert", self.refused(listen="0.0.0.0:0"))
        self.assertIn("cnnd token add", self.refused(listen="0.0.0.0:0", tls_cert=self.cert, tls_key=self.key))
        self.assertIn("together", self.refused(tls_cert=self.cert))
        self.assertIn("cannot be used", self.refused(tls_cert=self.cert, tls_key=self.key + "2"))
        self.assertIn("nowhere", self.refused(tls_cert="/nowhere", tls_key=self.key))

    def test_certificates_are_read_again(self):
        cert, key = os.path.join(self.folder, "live.pem"), os.path.join(self.folder, "live.key")

        def install(new_cert, new_key):
            shutil.copy(new_cert, cert)
            shutil.copy(new_key, key)

        def connect(port):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE))
            return s, ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True)).strip()

        def text(path):
            with open(path, encoding="ascii") as f:
                return f.read().strip()

        def ask(s):
            s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = http.client.HTTPResponse(s)
            answer.begin()
            self.assertTrue(answer.status == 200 and answer.read())

        install(self.cert, self.key)
        with Daemon({"tls_cert": cert, "tls_key": key}, device=False) as d:
            port = int(d.url.rsplit(":", 1)[1])

            def hang_up(line):
                before = len(d.log_lines)
                d.process.send_signal(signal.SIGHUP)
                wait_for(lambda: any(line in said for said in d.log_lines[before:]), what=line)

            first, shown = connect(port)
            self.assertEqual(shown, text(self.cert))
            ask(first)
            for _ in range(3):  # from one to the other and back: none is freed too early or kept
                for new_cert, new_key in ((self.cert + "2", self.key + "2"), (self.cert, self.key)):
                    install(new_cert, new_key)
                    hang_up("new connections get the certificate")
                    s, shown = connect(port)
                    self.assertEqual(shown, text(new_cert))
                    ask(s)
                    ask(first)
                    s.close()
            for broken_cert, broken_key in ((self.cert + "2", self.key), (self.key, self.key), ("/dev/null", self.key)):
                install(broken_cert, broken_key)
                hang_up("the certificate stays as it was")
                s, shown = connect(port)
                self.assertEqual(shown, text(self.cert))
                ask(s)
                s.close()
            os.unlink(cert)
            hang_up("the certificate stays as it was")
            s, shown = connect(port)
            self.assertEqual(shown, text(self.cert))
            s.close()
            ask(first)  # has lived through it all
            first.close()
        with Daemon(device=False) as d:  # without a certificate it is no reason to end
            d.process.send_signal(signal.SIGHUP)
            wait_for(lambda: any("no certificate" in line for line in d.log_lines))
            d.get("/v1/version")

    def test_insecure_says_so(self):
        with Daemon({"listen": "0.0.0.0:0"}, env={"CNND_INSECURE": "true"}, device=False) as d:
            d.host = "127.0.0.1"
            self.assertEqual(Person(d).status("GET", "/v1/jobs"), 200)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as state:
            subprocess.run([BINARY, "token", "add", "anna", "--state", state], check=True, capture_output=True)
            options = {"listen": "0.0.0.0:0", "tls_cert": self.cert, "tls_key": self.key, "heartbeat_seconds": 0.2}
            with Daemon(options, state=state, device=False) as d:
                self.assertTrue(d.url.startswith("https://0.0.0.0:"))
                port = int(d.url.rsplit(":", 1)[1])
                secret = token(d, "bert")
                context = ssl.create_default_context(cafile=self.cert)

                def ask(path, header="", method="GET", body=b""):
                    with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw:
                        with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                            s.sendall(b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n"
                                      % (method.encode(), path.encode(), header.encode(), len(body)) + body)
                            got = b""
                            while True:
                                part = s.recv(65536)
                                if not part:
                                    return got
                                got += part

                login = "Authorization: Bearer %s\r\n" % secret
                self.assertIn(b" 401 ", ask("/v1/jobs")[:20])
                self.assertIn(b" 200 ", ask("/v1/jobs", login)[:20])
                big = b"x" * (1 << 20)
                self.assertIn(b" 400 ", ask("/v1/jobs", login, "POST", big)[:20])
                self.assertGreater(len(ask("/v1/architectures", login)), 2000)
                old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    old.maximum_version = ssl.TLSVersion.TLSv1_1
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw:
                    with self.assertRaises(OSError):
                        old.wrap_socket(raw)
                # Plain HTTP gets nothing.
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw:
                    raw.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                    try:
                        self.assertNotIn(b"200 OK", raw.recv(1000))
                    except ConnectionResetError:
                        pass


if __name__ == "__main__":
    main()
