#!/usr/bin/env python3
"""What NVIDIA's client for Triton (pip install tritonclient[http]) makes of cnnd, beside NPYs posted to it. Skipped (77) without it."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))
try:
    import numpy as np
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

from harness import Daemon, main, npy, png, small_job  # noqa: E402


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.daemon.need_fashion()
        cls.daemon.wait(cls.daemon.submit(small_job(save_as="net"))["id"])
        cls.client = triton.InferenceServerClient(cls.daemon.url[len("http://"):], concurrency=8)
        cls.addClassCleanup(cls.client.close)

    def classified(self, x):
        """(logits, probabilities) of an NPY."""
        _, _, answer = self.daemon.request("POST", "/v1/models/net/classify?top=10", npy(x.shape, x.ravel().tolist()))
        ranks = [sorted(r["predictions"], key=lambda p: p["index"]) for r in answer["results"]]
        return [np.array([[p[key] for p in r] for r in ranks], np.float32) for key in ("logit", "probability")]

    @staticmethod
    def tensor(x, datatype="FP32", binary=True, name="input"):
        t = triton.InferInput(name, x.shape, datatype)
        t.set_data_from_numpy(x, binary_data=binary)
        return t

    def test_metadata(self):
        c = self.client
        self.assertTrue(c.is_server_live() and c.is_server_ready() and c.is_model_ready("net") and c.is_model_ready("net", "1"))
        self.assertFalse(c.is_model_ready("net", "2") or c.is_model_ready("no"))
        self.assertEqual(c.get_server_metadata()["name"], "cnnd")
        self.assertEqual(c.get_model_metadata("net")["inputs"], [{"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}])
        self.assertEqual([m["name"] for m in c.get_model_repository_index()], ["net"])

    def test_infer(self):
        x = np.random.default_rng(1).standard_normal((5, 1, 28, 28)).astype(np.float32)
        want = self.classified(x)
        for binary in (True, False):
            for outputs in (None, [triton.InferRequestedOutput(n, binary_data=binary) for n in ("probabilities", "logits")]):
                got = self.client.infer("net", [self.tensor(x, binary=binary)], outputs=outputs, request_id="x7", model_version="1")
                self.assertEqual(got.get_response()["id"], "x7")
                for name, values in zip(("logits", "probabilities"), want):
                    np.testing.assert_array_equal(got.as_numpy(name), values)
        for datatype, kind in (("UINT8", np.uint8), ("UINT16", np.uint16)):
            whole = np.random.default_rng(2).integers(0, np.iinfo(kind).max + 1, (2, 1, 28, 28)).astype(kind)
            scaled = self.classified(whole.astype(np.float32) / np.float32(np.iinfo(kind).max))[0]
            for binary in (True, False):
                got = self.client.infer("net", [self.tensor(whole, datatype, binary)])
                np.testing.assert_array_equal(got.as_numpy("logits"), scaled)

    def test_classification(self):
        x = np.random.default_rng(3).standard_normal((2, 1, 28, 28)).astype(np.float32)
        shares = self.classified(x)[1]
        for binary in (True, False):
            output = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
            got = self.client.infer("net", [self.tensor(x)], outputs=[output]).as_numpy("probabilities")
            for row, share in zip(got, shares):
                texts = [(t.decode() if binary else t).split(":") for t in row]
                self.assertEqual([int(t[1]) for t in texts], list(np.argsort(-share)[:3]))
                np.testing.assert_array_equal(np.array([t[0] for t in texts], np.float32), np.sort(share)[:-4:-1])

    def test_files(self):
        grey = np.random.default_rng(4).integers(0, 256, (3, 28, 28)).astype(np.uint8)
        files = np.array([png(28, 28, g.tobytes()) for g in grey], object)
        want = self.client.infer("net", [self.tensor(grey[:, None], "UINT8")]).as_numpy("logits")
        np.testing.assert_array_equal(self.client.infer("net", [self.tensor(files, "BYTES", name="image")]).as_numpy("logits"), want)

    def test_many_at_once(self):
        x = np.random.default_rng(5).standard_normal((64, 1, 28, 28)).astype(np.float32)
        want = self.classified(x)[0]
        asked = [self.client.async_infer("net", [self.tensor(x[i:i + 1])], request_id=str(i)) for i in range(64)]
        for i, a in enumerate(asked):
            got = a.get_result()
            self.assertEqual(got.get_response()["id"], str(i))
            np.testing.assert_array_equal(got.as_numpy("logits"), want[i:i + 1])

    def test_wrong_inputs(self):
        x = np.zeros((1, 1, 28, 28), np.float32)
        nan = np.full_like(x, np.nan)
        for status, said, ask in (
            ("404", "version", lambda: self.client.infer("net", [self.tensor(x)], model_version="2")),
            ("404", "no model", lambda: self.client.infer("no", [self.tensor(x)])),
            ("422", "[N,1,28,28], not [1,1,14,56]", lambda: self.client.infer("net", [self.tensor(x.reshape(1, 1, 14, 56))])),
            ("422", "FP64", lambda: self.client.infer("net", [self.tensor(x.astype(np.float64), "FP64")])),
            ("422", "finite", lambda: self.client.infer("net", [self.tensor(nan)])),
            ("422", '"x"', lambda: self.client.infer("net", [self.tensor(x, name="x")])),
            ("422", '"y"', lambda: self.client.infer("net", [self.tensor(x)], outputs=[triton.InferRequestedOutput("y")])),
            ("422", "one input", lambda: self.client.infer("net", [self.tensor(x), self.tensor(x)])),
            ("415", "Content-Encoding", lambda: self.client.infer("net", [self.tensor(x)], request_compression_algorithm="gzip")),
        ):
            with self.assertRaises(InferenceServerException) as caught:
                ask()
            self.assertEqual(caught.exception.status(), status)
            self.assertIn(said, caught.exception.message())


if __name__ == "__main__":
    main()
