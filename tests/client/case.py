"""What the tests of cnnctl share: a fake server and a way to run the program."""
import os
import shutil
import subprocess
import tempfile
import unittest

from fake_server import FakeServer

CNNCTL = os.environ["CNNCTL"].split()
WINDOWS = CNNCTL[-1].endswith(".exe")
# What must come may take so many seconds: who gets it never waits them out, however slow the machine is.
PATIENCE = 1200


class Case(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer()
        self.addCleanup(lambda: self.server.stop())
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def environment(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CNND_") and not k.endswith("_proxy")}
        for name in ("NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "COLUMNS", "LINES"):
            env.pop(name, None)
        env.update({"CNND_URL": self.server.url, "LANG": "C.UTF-8", "TERM": "xterm-256color", "TZ": "UTC"})
        env.update(more)
        return {k: v for k, v in env.items() if v is not None}

    def start(self, *words, env=None, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*CNNCTL, *map(str, words)], env=self.environment(**(env or {})), cwd=self.dir, **options)

    def cnnctl(self, *words, status=0, env=None, **options):
        """Runs it to its end; its exit status must be `status`. Returns what it wrote: (output, errors)."""
        stdin = options.pop("input", None)
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*words, env=env, **options)
        out, err = process.communicate(stdin, timeout=PATIENCE)
        out, err = (out or b"").decode(), (err or b"").decode()
        self.assertEqual(process.returncode, status, f"{words}: {out}\n{err}")
        return out, err

    def write(self, name, content):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def read(self, name):
        with open(os.path.join(self.dir, name), "rb") as f:
            return f.read()

    def files(self):
        return sorted(os.listdir(self.dir))

    def assertColumns(self, text, rows):
        """The lines of a table hold these cells, and each column's cells begin or end at one place."""
        lines = text.rstrip("\n").split("\n")
        self.assertEqual(len(lines), len(rows), text)
        places = [[] for _ in rows[0]]
        for line, cells in zip(lines, rows):
            at = 0
            for i, cell in enumerate(cells):
                found = line.find(cell, at)
                self.assertGreaterEqual(found, 0, f"{cell!r} is missing in {line!r}")
                at = found + len(cell)
                if cell:
                    places[i].append((found, at))
            self.assertEqual(line[at:].strip(), "", line)
        for i, column in enumerate(places):
            same = len({begin for begin, _ in column}) <= 1 or len({end for _, end in column}) <= 1
            self.assertTrue(same, f"column {i} of\n{text}\nis not aligned: {column}")


def job(number=7, state="running", **more):
    return {"id": number, "type": "train", "name": "first try", "user": "ada", "state": state, "device": "0:0",
            "created_at": "2026-11-23T08:00:00Z", "started_at": "2026-11-23T08:00:01Z", "finished_at": None,
            "progress": {"epoch": 1.5, "step": 704, "steps": 4690},
            "metrics": {"train_loss": 0.61, "train_acc": 0.78, "val_loss": 0.65, "val_acc": 0.765,
                        "images_per_second": 21034.4},
            "memory": {"device_bytes": 12345678, "micro_batch": 128}, "notes": ["batch_norm: micro"], "model": "my-lenet", "error": None,
            "request": {"type": "train", "architecture": "bn-lenet", "dataset": {"name": "fashion-mnist", "limit": 6000},
                        "epochs": 10, "batch_size": 128}, **more}
