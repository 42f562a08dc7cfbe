"""A server that answers as a test scripted it, on a free port or a Unix socket, and remembers what it was asked."""
import http.server
import json
import socket
import socketserver
import threading


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body


class Answer:
    """One answer: a whole body, or `parts` that are sent one by one; a callable part is called between them.

    `length` overrides Content-Length, so that an answer can promise more than it sends. `hang_up` closes the
    connection without a word."""

    def __init__(self, status=200, body=b"", kind="application/json", headers=(), parts=None, length=None, hang_up=False):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.status, self.kind, self.headers = status, kind, dict(headers)
        self.body = body.encode() if isinstance(body, str) else body
        self.parts, self.length, self.hang_up = parts, length, hang_up


def problem(status, detail, pointer=None, headers=()):
    body = {"type": "about:blank", "title": "wrong", "status": status, "detail": detail}
    if pointer is not None:
        body["pointer"] = pointer
    return Answer(status, body, "application/problem+json", headers)


def event(number, kind, data):
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def stream(*parts):
    return Answer(kind="text/event-stream", parts=[p.encode() if isinstance(p, str) else p for p in parts])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass

    def handle_any(self):
        server = self.server.fake
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        server.requests.append(Request(self.command, self.path, self.headers, body))
        answer = server.next_answer(self.command, self.path)
        if answer.hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        try:
            self.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            pass

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def send(self, answer):
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.parts is None:
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        for part in answer.parts if answer.parts is not None else [answer.body]:
            if callable(part):
                part()
            else:
                self.wfile.write(part)
                self.wfile.flush()


class TcpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


class FakeServer:
    def __init__(self, port=0, path=None):
        self.requests = []
        self.scripts = {}
        self.lock = threading.Lock()
        if path:
            self.server = UnixServer(path, Handler)
            self.url = "unix:" + path
        else:
            self.server = TcpServer(("127.0.0.1", port), Handler)
            self.port = self.server.server_address[1]
            self.url = f"http://127.0.0.1:{self.port}"
        self.server.fake = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def on(self, method, path, *answers):
        """The answers to a request, one after the other; the last one is given again and again."""
        self.scripts[method, path] = [a if isinstance(a, Answer) else Answer(body=a) for a in answers]

    def next_answer(self, method, path):
        with self.lock:
            answers = self.scripts.get((method, path))
            if answers is None:
                return problem(404, f"nothing at {method} {path}")
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def asked(self, method, path):
        return [r for r in self.requests if (r.method, r.path) == (method, path)]

    def stop(self):
        """As a killed server: nobody listens any more."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
