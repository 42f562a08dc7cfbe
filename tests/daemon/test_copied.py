#!/usr/bin/env python3
"""A state folder that was copied: whose a model or a data set is stays with its file's content, not with its name."""
import contextlib
import os
import shutil
import sqlite3
import tempfile
import unittest

from archives import zipped
from harness import Daemon, main, pgm, small_job

OWNERS = {"models": {"a": "anna", "b": "bert"}, "datasets": {"c": "anna", "d": "bert"}}
ENDS = {"models": ".safetensors", "datasets": ".cnnd"}


def archive(grey):
    """Eight images of two classes."""
    return zipped([("%s/%d.pgm" % ("xy"[i % 2], i), pgm(8, 8, bytes([grey + i]) * 64)) for i in range(8)])


def database(state):
    return contextlib.closing(sqlite3.connect(os.path.join(state, "cnnd.db"), isolation_level=None))


def path(state, kind, name):
    return os.path.join(state, kind, name + ENDS[kind])


def swap(state, kind, one, other):
    """Each file takes the other's name; all of the copy's times stay."""
    first, second = path(state, kind, one), path(state, kind, other)
    assert os.path.getsize(first) == os.path.getsize(second), kind
    os.rename(first, first + "-")
    os.rename(second, first)
    os.rename(first + "-", second)


def owners(d):
    return {kind: {o["name"]: o["user"] for o in d.get("/v1/" + kind)[kind] if o["name"] in OWNERS[kind]}
            for kind in OWNERS}


class Copied(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """A folder with two models of one size and two data sets of one size, one of anna's and one of bert's each."""
        cls.state = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cnnd-copied-"))
        with Daemon(state=cls.state) as d:
            d.need_fashion()
            for seed, name in enumerate(OWNERS["models"]):
                d.wait(d.submit(small_job(epochs=1, seed=seed, save_as=name))["id"])
            for grey, name in enumerate(OWNERS["datasets"]):
                assert d.request("PUT", "/v1/datasets/" + name, archive(10 * grey))[0] == 201
        with database(cls.state) as db:
            for kind, names in OWNERS.items():
                for name, user in names.items():
                    db.execute("UPDATE %s SET user = ? WHERE name = ?" % kind, (user, name))

    def copy(self):
        """Without the files' times."""
        state = os.path.join(self.enterContext(tempfile.TemporaryDirectory(prefix="cnnd-copy-")), "state")
        shutil.copytree(self.state, state, copy_function=shutil.copy)
        return state

    def test_owners_stay(self):
        state = self.copy()
        for _ in range(2):
            with Daemon(state=state, device=False) as d:
                self.assertEqual(owners(d), OWNERS)
                self.assertFalse([line for line in d.log_lines if "operators" in line])

    def test_swapped_files_are_nobodys(self):
        for moment in ("before", "after"):
            with self.subTest(moment + " the copy was started"):
                state = self.copy()
                if moment == "after":
                    with Daemon(state=state, device=False) as d:
                        self.assertEqual(owners(d), OWNERS)
                swap(state, "models", "a", "b")
                swap(state, "datasets", "c", "d")
                for _ in range(2):
                    with Daemon(state=state, device=False) as d:
                        self.assertEqual(owners(d), {kind: dict.fromkeys(names, "") for kind, names in OWNERS.items()})

    def test_rows_without_a_mark(self):
        """Of versions before: a start reads the files that stand as they were left, and the next one knows them by that."""
        state = self.copy()
        with Daemon(state=state, device=False):
            pass
        with database(state) as db:
            db.execute("UPDATE models SET mark = NULL")
            db.execute("UPDATE datasets SET mark = NULL, inode = NULL, mtime_ns = NULL")
        with Daemon(state=state, device=False) as d:
            self.assertEqual(owners(d), OWNERS)
        for kind, names in OWNERS.items():
            for name in names:
                os.utime(path(state, kind, name))
        with Daemon(state=state, device=False) as d:
            self.assertEqual(owners(d), OWNERS)
        swap(state, "datasets", "c", "d")
        with Daemon(state=state, device=False) as d:
            self.assertEqual(owners(d)["datasets"], {"c": "", "d": ""})


if __name__ == "__main__":
    main()
