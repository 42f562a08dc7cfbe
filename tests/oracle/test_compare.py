#!/usr/bin/env python3
"""What compares speeds, run once so that it runs when it is wanted: tests/bench/compare, a short pair of each mode. Skipped (77) without
torch; OpenVINO has its turn where it is there."""
import importlib.util
import os
import re
import subprocess
import sys
import unittest

if not importlib.util.find_spec("torch"):
    print("skipped: no torch")
    sys.exit(77)

COMPARE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "compare")
FIGURES = r" +28 +%d %s +\d+\.\d+ \(\d+\.\d+-\d+\.\d+\) +\d+\.\d +\d+\.\d +\d+%% \( *\d+\) +\d+ / \d+$"


class Compare(unittest.TestCase):
    def rows(self, *options):
        command = [sys.executable, COMPARE, "lenet", "--build", os.environ["BUILD"], "--python", sys.executable, "--pairs", "1",
                   "--seconds", "0.1", *options]
        if importlib.util.find_spec("openvino"):
            command.append("--openvino")
        done = subprocess.run(command, capture_output=True, text=True)
        print(done.stdout, done.stderr, flush=True)
        self.assertEqual(done.returncode, 0)
        self.assertEqual("to OpenVINO" in done.stdout, "--openvino" in command)
        self.assertRegex(done.stdout, r"geometric mean \d+\.\d+, PyTorch \d")
        return done.stdout

    def row(self, batch, mode):
        return re.compile("^lenet" + FIGURES % (batch, mode), re.MULTILINE)

    def test_batches(self):
        rows = self.rows()
        for batch in (256, 128):
            for mode in ("train", "inference"):
                self.assertRegex(rows, self.row(batch, mode))

    def test_single(self):
        rows = self.rows("--single")
        self.assertRegex(rows, self.row(1, "inference"))
        self.assertNotIn("train", rows)


if __name__ == "__main__":
    unittest.main()
