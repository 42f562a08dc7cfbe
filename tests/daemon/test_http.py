"""The door: routes, methods, framing, limits, deadlines, foreign pages, sockets, the options, starting and stopping."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import harness


def raw_status(answer):
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None


class Door(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.socket_path = os.path.join(cls.folder, "cnnd.sock")
        cls.daemon = cls.enterClassContext(
            harness.Daemon({"socket": cls.socket_path}, device=False)
        )

    def test_unknown_routes(self):
        for path in ("/v1", "/v2/health", "/v1/jobs/1/dance", "/v1/health/", "/v1//health", "/v1/./health"):
            status, headers, problem = self.daemon.request("GET", path)
            self.assertIn(status, (400, 404), path)
            self.assertEqual(headers["Content-Type"], "application/problem+json")
            self.assertEqual(problem["status"], status)
        self.assertIn("docs/api.md", self.daemon.get("/v1", 404)["detail"])

    def test_wrong_methods(self):
        for method, path, allow in (
            ("DELETE", "/v1/health", "GET, HEAD"),
            ("PUT", "/v1/jobs", "POST, GET, HEAD"),
            ("GET", "/v1/jobs/1/cancel", "POST"),
            ("POST", "/v1/datasets/x", "GET, HEAD, PUT, DELETE"),
            ("PATCH", "/v1/models/x", "GET, HEAD, DELETE"),
            ("OPTIONS", "/v1/models/x/weights", "GET, HEAD, PUT"),
        ):
            status, headers, _ = self.daemon.request(method, path)
            self.assertEqual((status, headers["Allow"]), (405, allow), path)

    def test_head(self):
        status, headers, body = self.daemon.request("HEAD", "/v1/version")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 10)

    def test_addresses(self):
        self.assertEqual(self.daemon.request("GET", "/v1/%68ealth")[0] // 100 % 3, 2)  # 200 or 503
        for path in ("/v1/health%00", "/v1/health%00/x", "/v1/models/a%2Fb", "/v1/%zz", "/v1/health?a=%0", "/v1/..%2f"):
            self.assertEqual(self.daemon.request("GET", path)[0], 400, path)
        self.assertEqual(raw_status(self.daemon.raw(b"GET /v1/version x HTTP/1.1\r\nHost: localhost\r\n\r\n")), 400)
        self.assertEqual(self.daemon.request("GET", "/v1/version?x=1")[0], 422)
        self.assertEqual(self.daemon.request("GET", "/v1/jobs?limit=0")[0], 422)
        self.assertEqual(self.daemon.request("GET", "/v1/jobs?limit=1e3")[0], 422)
        self.assertEqual(self.daemon.request("GET", "/v1/jobs?limit=1&limit=2")[0], 400)
        self.assertEqual(self.daemon.request("GET", "/v1/jobs?state=tired")[0], 422)
        answer = self.daemon.raw(b"GET http://localhost/v1/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertEqual(raw_status(answer), 200)

    def test_what_the_library_refuses_itself(self):
        """In HTML, see http.h; but with the right status, and the connection is closed."""
        for status, line, head in (
            (400, b"POST /v1/jobs HTTP/1.1", b"Content-Length: x"),
            (413, b"POST /v1/jobs HTTP/1.1", b"Content-Length: 99999999999999999999999"),
            (400, b"POST /v1/jobs HTTP/1.1", b"no colon"),
            (431, b"POST /v1/jobs HTTP/1.1", b"X: " + b"y" * 20000),
            (414, b"GET /" + b"x" * 20000 + b" HTTP/1.1", b"X: y"),
            (505, b"GET / HTTP/9.9", b"X: y"),
        ):
            answer = self.daemon.raw(
                line + b"\r\nHost: localhost\r\n" + head + b"\r\n\r\nGET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            self.assertEqual(raw_status(answer), status, head[:40])
            self.assertNotIn(b" 200 ", answer)

    def test_chunked_body(self):
        answer = self.daemon.raw(
            b"POST /v1/architectures/summary HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n2\r\n{]\r\n0\r\n\r\n"
        )
        self.assertEqual(raw_status(answer), 400)
        self.assertIn(b"problem+json", answer)

    def test_limits(self):
        status, _, problem = self.daemon.request("POST", "/v1/jobs", b" " * (1 << 20))
        self.assertEqual(status, 400)
        status, _, problem = self.daemon.request("POST", "/v1/jobs", b" " * ((1 << 20) + 1))
        self.assertEqual((status, problem["pointer"]), (413, ""))
        chunks = (b" " * 65536 for _ in range(64))
        status, _, problem = self.daemon.request("POST", "/v1/jobs", chunks)
        self.assertEqual(status, 413)
        self.assertEqual(self.daemon.request("POST", "/v1/jobs/1/cancel", b"x")[0], 413)
        # Announced, never sent: the answer does not wait for it.
        answer = self.daemon.raw(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n"
        )
        self.assertEqual(raw_status(answer), 413)

    def test_expect_continue(self):
        head = b"POST /v1/architectures/summary HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n"
        with socket.create_connection((self.daemon.host, self.daemon.port), harness.PATIENCE) as s:
            s.sendall(head + b"Content-Length: 2\r\n\r\n")
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 100 "))
            s.sendall(b"{}")
            self.assertEqual(raw_status(s.recv(10000)), 422)
        with socket.create_connection((self.daemon.host, self.daemon.port), harness.PATIENCE) as s:
            s.sendall(head + b"Content-Length: 99999999\r\n\r\n")
            self.assertEqual(raw_status(s.recv(10000)), 413)

    def test_foreign_pages(self):
        body = json.dumps(harness.small_job())
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            status, _, _ = self.daemon.request("POST", "/v1/jobs", body, {"Origin": origin})
            self.assertEqual(status, 403, origin)
        same = "http://%s:%d" % (self.daemon.host, self.daemon.port)
        status, _, _ = self.daemon.request("POST", "/v1/jobs", b"no", {"Origin": same})
        self.assertEqual(status, 400)
        # A browser knows better than Host where its page is from: a proxy stands between.
        for site, want in (("same-origin", 400), ("same-site", 403), ("cross-site", 403), ("none", 403)):
            headers = {"Origin": "https://gpu.example", "Sec-Fetch-Site": site}
            self.assertEqual(self.daemon.request("POST", "/v1/jobs", b"no", headers)[0], want, site)
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::1].evil", ""):
            self.assertIn(self.daemon.request("GET", "/v1/version", headers={"Host": host})[0], (400, 421), host)
        for host in ("localhost", "LOCALHOST:80", "[::1]:7420", "10.0.0.1", "gpu.localhost:1"):
            self.assertEqual(self.daemon.request("GET", "/v1/version", headers={"Host": host})[0], 200, host)

    def test_keep_alive_after_an_error(self):
        c = self.daemon.connection()
        for path in ("/v1/nothing", "/v1/version", "/v1/jobs/1", "/v1/version"):
            c.request("GET", path)
            answer = c.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200 if path == "/v1/version" else 404)
        c.close()

    def test_unix_socket(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket_path)
            s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: anything.example\r\nConnection: close\r\n\r\n")
            self.assertEqual(raw_status(s.recv(10000)), 200)

    def test_who_sends_nothing_more(self):
        """As `nc -N`: it gets its answer, and does not wait for the connection's end."""
        for family, address in ((socket.AF_INET, (self.daemon.host, self.daemon.port)), (socket.AF_UNIX, self.socket_path)):
            with socket.socket(family) as s:
                s.connect(address)
                s.settimeout(harness.PATIENCE)
                s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
                s.shutdown(socket.SHUT_WR)
                got = b""
                while part := s.recv(10000):
                    got += part
                self.assertEqual(raw_status(got), 200)

    def test_bursts(self):
        """libmicrohttpd's own loop stalls at 128 connections that are ready at once: each time, and by far longer than
        other work holds up one burst of five."""
        least = {}
        for clients in (1, 16, 127, 128, 129, 256, 600):
            least[clients] = harness.keeps(0.1, lambda: self.burst(clients), "%d clients" % clients)
        print("seconds until the last answer:", {n: round(t, 4) for n, t in least.items()})

    def burst(self, clients):
        """Seconds until the last of so many is answered; infinite where the deadline for a header passed first."""
        sockets = [socket.create_connection((self.daemon.host, self.daemon.port), harness.PATIENCE) for _ in range(clients)]
        begun = time.monotonic()
        for s in sockets:
            s.sendall(b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        statuses = {raw_status(s.recv(10000)) for s in sockets}
        seconds = time.monotonic() - begun
        for s in sockets:
            s.close()
        self.assertLessEqual(statuses, {200, 408})
        return seconds if statuses == {200} else float("inf")


class Impatient(unittest.TestCase):
    """A second for a header."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon({"header_seconds": 1}, device=False))

    def test_slow_header(self):
        with socket.create_connection((self.daemon.host, self.daemon.port), harness.PATIENCE) as s:
            got = b""
            with self.assertRaises(OSError, msg="it is waited for"):
                for byte in b"GET /v1/health HTTP/1.1\r\nX: " + b"y" * 600:
                    s.sendall(bytes([byte]))
                    time.sleep(0.1)
            try:
                got = s.recv(10000)
            except OSError:
                pass
            if got:  # what was still under way may have reset the connection
                self.assertEqual(raw_status(got), 408)
        self.daemon.get("/v1/version")

    def test_noise(self):
        self.daemon.raw(os.urandom(4000))
        self.daemon.raw(b"GET / HTTP/9.9\r\n\r\n")
        self.daemon.raw(b"GET /v1/health\0x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.daemon.raw(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.daemon.raw(b"\r\n" * 1000)
        self.assertTrue(self.daemon.alive())
        self.daemon.get("/v1/version")


class Options(unittest.TestCase):
    def run_cnnd(self, *words, **env):
        done = subprocess.run(
            [harness.BINARY, *words],
            capture_output=True,
            text=True,
            timeout=harness.PATIENCE,
            env=dict(os.environ, STATE_DIRECTORY="/tmp/from-systemd:/x", **env),
        )
        return done.returncode, done.stdout, done.stderr

    def checked(self, *words, **env):
        status, out, err = self.run_cnnd("--check", *words, **env)
        self.assertEqual(status, 0, err)
        return dict(line.split(" = ", 1) for line in out.splitlines())

    def test_precedence(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write('# comment\nlog_level = "warn"  # more\nheartbeat_seconds = 3\n\nmax_json_bytes = 2M\n')
            f.flush()
            words = ["--config", f.name]
            self.assertEqual(self.checked()["log_level"], '"info"')
            self.assertEqual(self.checked(*words)["log_level"], '"warn"')
            self.assertEqual(self.checked(*words)["max_json_bytes"], "2097152")
            self.assertEqual(self.checked(CNND_CONFIG=f.name)["heartbeat_seconds"], "3")
            self.assertEqual(self.checked(*words, CNND_LOG_LEVEL="error")["log_level"], '"error"')
            got = self.checked(*words, "--log-level=debug", CNND_LOG_LEVEL="error")
            self.assertEqual(got["log_level"], '"debug"')
            self.assertEqual(got["heartbeat_seconds"], "3")

    def test_what_check_prints_is_a_config_file(self):
        status, out, _ = self.run_cnnd("--check", "--heartbeat-seconds", "0.7", "--insecure")
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(out)
            f.flush()
            self.assertEqual(self.run_cnnd("--check", "--config", f.name), (0, out, ""))

    def test_json_file(self):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(json.dumps({"listen": "127.0.0.1:1234", "insecure": True, "watchdog_seconds": 9.5}))
            f.flush()
            got = self.checked("--config", f.name)
        self.assertEqual((got["listen"], got["insecure"]), ('"127.0.0.1:1234"', "true"))
        self.assertEqual(got["watchdog_seconds"], "9.5")

    def test_state_folder(self):
        self.assertEqual(self.checked()["state"], '"/tmp/from-systemd"')
        with tempfile.TemporaryDirectory() as folder:
            state, path = os.path.join(folder, "a", "b"), os.path.join(folder, "s")
            self.assertEqual(self.checked("--state", state, "--socket", path)["state"], '"%s"' % state)
            self.assertEqual(os.listdir(folder), [])

    def test_units_of_bytes(self):
        for text, power in (("500", 0), ("500k", 1), ("500K", 1), ("500KiB", 1), ("2m", 2), ("2M", 2), ("2MiB", 2), ("1g", 3),
                            ("1GiB", 3), ("3T", 4), ("0.5t", 4)):
            got = self.checked("--stored-bytes", text)["stored_bytes"]
            self.assertEqual(int(got), float(text.rstrip("kKmMgGtTiB")) * 1024**power, text)

    def test_refused(self):
        for words, what in (
            (["--nonsense"], "--nonsense"),
            (["--listen"], "value"),
            (["--listen", "0.0.0.0:7420"], "--insecure"),
            (["--listen", "[::]:7420"], "--insecure"),
            (["--listen", "192.168.1.5:80"], "--insecure"),
            (["--listen", "example.org:80"], "IP address"),
            (["--listen", "127.0.0.1:99999"], "port"),
            (["--listen", "none"], "socket"),
            (["--log-level", "loud"], "log_level"),
            (["--heartbeat-seconds", "never"], "number"),
            (["--heartbeat-seconds", "nan"], "number"),
            (["--max-json-bytes", "1.0001k"], "whole"),
            (["--stored-bytes", "1X"], "500k, 2M, 1G"),
            (["--stored-bytes", "1KB"], "500k, 2M, 1G"),
            (["--stored-bytes", "2kk"], "500k, 2M, 1G"),
            (["--watchdog-seconds", "2k"], "is a number, not"),
            (["--device", "foo"], "platform:device"),
            (["--state", "/proc/foo"], "nothing can be made in /proc"),
            (["--state", "/dev/null"], "not a folder"),
            (["--state", "/dev/null/x"], "/dev/null"),
            (["--socket", "/nonexistent/s"], "/nonexistent"),
            (["--socket", "/tmp"], "not a socket"),
            (["--socket", "/tmp/" + "s" * 200], "longer than"),
            (["--max-connections", "0"], "allowed"),
            (["--config", "/nonexistent"], "/nonexistent"),
            (["extra"], "extra"),
        ):
            status, out, err = self.run_cnnd("--check", *words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(what, err)
        for text in ("nonsense = 1", "listen", '{"listen": 7}', '{"nonsense": 1}', '{"listen": "', 'state = "x', "\0"):
            with tempfile.NamedTemporaryFile("w") as f:
                f.write(text)
                f.flush()
                self.assertEqual(self.run_cnnd("--check", "--config", f.name)[0], 2, text)
        self.assertEqual(self.checked("--listen", "0.0.0.0:1", "--insecure")["insecure"], "true")

    def test_help_and_version(self):
        status, out, _ = self.run_cnnd("--help")
        self.assertEqual(status, 0)
        for name in self.checked():
            self.assertIn("--" + name.replace("_", "-"), out)
        self.assertRegex(self.run_cnnd("--version")[1], r"^cnnd \d+\.\d+\.\d+\n$")


class Ends(unittest.TestCase):
    def test_signals_end_it_well(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with harness.Daemon(device=False) as d:
                d.process.send_signal(number)
                self.assertEqual(d.stop(), 0)
                self.assertEqual(os.listdir(os.path.join(d.state, "tmp")), [])

    def test_port_in_use(self):
        with harness.Daemon(device=False) as d:
            with self.assertRaisesRegex(RuntimeError, "in use"):
                harness.Daemon({"listen": "127.0.0.1:%d" % d.port}, device=False).start()

    def test_socket_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with harness.Daemon({"socket": path, "listen": "none"}, device=False) as d:
                self.assertEqual(d.url, "unix:" + path)
                with self.assertRaisesRegex(RuntimeError, "already"):
                    harness.Daemon({"socket": path}, device=False).start()
                d.kill()
                self.assertTrue(os.path.exists(path))
                d.start()  # takes the dead one's file over
            self.assertFalse(os.path.exists(path))
            with open(path, "w"):
                pass
            with self.assertRaisesRegex(RuntimeError, "not a socket"):
                harness.Daemon({"socket": path}, device=False).start()

    def test_one_front_a_state_folder(self):
        with harness.Daemon(device=False) as d:
            with self.assertRaisesRegex(RuntimeError, "another cnnd"):
                harness.Daemon(state=d.state, device=False).start()


if __name__ == "__main__":
    harness.main()
