#!/usr/bin/env python3
"""Somebody leaves: what was theirs is handed on."""
import contextlib
import json
import os
import sqlite3
import subprocess
import unittest
import urllib.parse

import harness
from archives import safetensors, zipped
from people import Person, token


def waits(daemon, user, save_as):
    """Instead of any other, a paused job of `user` that is to save a model."""
    with contextlib.closing(sqlite3.connect(os.path.join(daemon.state, "cnnd.db"), isolation_level=None)) as db:
        columns = db.execute("PRAGMA table_info(jobs)").fetchall()
        row = {name: "" if kind == "TEXT" else 0 for _, name, kind, needed, default, _ in columns if needed and default is None}
        row.update(id=1, type="train", request="{}", state="paused", want="nothing", user=user, save_as=save_as)
        db.execute("DELETE FROM jobs")
        db.execute("INSERT INTO jobs (%s) VALUES (%s)" % (", ".join(row), ", ".join("?" * len(row))), list(row.values()))


class Leaving(unittest.TestCase):
    def test_handed_on(self):
        """While no daemon is there who knows whose it is."""
        net = {"architecture": {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 2}]}, "input": [1, 2, 2], "classes": ["a", "b"]}
        query = urllib.parse.urlencode({key: json.dumps(value) for key, value in net.items()})
        weights = safetensors({"net.1.bias": ("F32", [2], bytes(8)), "net.1.weight": ("F32", [2, 4], bytes(32))})
        body = zipped([("%s/1.png" % c, harness.png(4, 4, bytes(16))) for c in "xy"])
        orders = (["model", "give", "m", "bert"], ["dataset", "give", "mine", "bert"], ["dataset", "share", "all"])
        with harness.Daemon(device=False) as d:
            anna, bert = (Person(d, token(d, name)) for name in ("anna", "bert"))
            self.assertEqual(anna.request("PUT", "/v1/models/m/weights?" + query, weights)[0], 201)
            for name in ("mine", "all"):
                self.assertEqual(anna.request("PUT", "/v1/datasets/" + name, body)[0], 201)

            def command(words):
                return subprocess.run([harness.BINARY, *words, "--state", d.state], capture_output=True, text=True, env=d.env)

            for words in orders:
                self.assertRegex(command(words).stderr, "is anna's already: stop cnnd to hand it on")
            d.stop()
            waits(d, "anna", "m")
            self.assertIn("job 1 is to save its model as 'm': cancel it first", command(orders[0]).stderr)
            waits(d, "bert", "m")
            for words in orders:
                self.assertEqual(command(words).returncode, 0, words)
            self.assertEqual(command(["model", "give", "m", "berd"]).returncode, 1)
            d.start()
            for path, cells in (("/v1/models/m", [404, 200]), ("/v1/datasets/mine", [404, 200]), ("/v1/datasets/all", [200, 200])):
                self.assertEqual([p.status("GET", path) for p in (anna, bert)], cells, path)
            self.assertEqual(bert.get("/v1/datasets/mine")["user"], "bert")


if __name__ == "__main__":
    harness.main()
