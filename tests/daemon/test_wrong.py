"""Wrong submissions: each its 4xx with a pointer, nothing stored, the daemon up."""

import json
import unittest

import harness
from harness import LINEAR, small_job


def job(**changes):
    return json.dumps(small_job(**changes))


def net(*layers):
    return job(architecture={"layers": list(layers)})


def text(old, new):
    """A job's JSON text with a piece replaced: for what json.dumps would not write."""
    whole = job()
    assert old in whole
    return whole.replace(old, new)


FLAT = {"type": "flatten"}
OUT = {"type": "linear", "out_features": 10}

# name, body, status, pointer
WRONG = [
    ("empty body", "", 400, ""),
    ("not JSON", "hello", 400, ""),
    ("cut off", job()[:-1], 400, ""),
    ("trailing comma", job()[:-1] + ",}", 400, ""),
    ("two values", job() + job(), 400, ""),
    ("NaN", text('"lr": 0.05', '"lr": NaN'), 400, ""),
    ("1e999", text('"lr": 0.05', '"lr": 1e999'), 400, ""),
    ("leading zero", text('"epochs": 2', '"epochs": 02'), 400, ""),
    ("key twice", job()[:-1] + ', "seed": 2}', 400, ""),
    ("200 deep", job(architecture=None)[:-1] + ', "architecture": ' + "[" * 200 + "]" * 200 + "}", 400, ""),
    ("invalid UTF-8", text('"small"', '"sm@ll"').encode().replace(b"@", b"\xff"), 400, ""),
    ("NUL in a string", text('"small"', '"sm\\u0000ll"'), 400, ""),
    ("integer past 2^53", text('"seed": 1', '"seed": 9007199254740993'), 400, ""),
    ("10 MiB", b" " * (10 << 20), 413, ""),
    ("array", "[]", 422, ""),
    ("no type", job(type=None), 422, "/type"),
    ("unknown type", job(type="dream"), 422, "/type"),
    ("unknown field", job(learning_rate=0.1), 422, "/learning_rate"),
    ("other case", job(Epochs=3), 422, "/Epochs"),
    ("unknown field inside", job(optimizer={"name": "sgd", "lr": 0.1, "speed": 1}), 422, "/optimizer/speed"),
    ("unknown optimizer", job(optimizer={"name": "magic", "lr": 0.1}), 422, "/optimizer/name"),
    ("negative lr", job(optimizer={"name": "sgd", "lr": -0.1}), 422, "/optimizer/lr"),
    ("betas of sgd", job(optimizer={"name": "sgd", "betas": [0.9, 0.999]}), 422, "/optimizer/betas"),
    ("beta 1", job(optimizer={"name": "adam", "betas": [0.9, 1]}), 422, "/optimizer/betas/1"),
    ("NaN as weight decay", job(optimizer={"name": "adam", "weight_decay": "NaN"}), 422, "/optimizer/weight_decay"),
    ("clip 0", job(optimizer={"name": "sgd", "gradient_clip": 0}), 422, "/optimizer/gradient_clip"),
    ("clip beside the optimizer", job(gradient_clip=1), 422, "/gradient_clip"),
    ("unknown schedule", job(optimizer={"schedule": {"name": "sine"}}), 422, "/optimizer/schedule/name"),
    ("warm-up without end", job(optimizer={"schedule": {"name": "cosine", "warmup_epochs": 1e6}}), 422,
     "/optimizer/schedule/warmup_epochs"),
    ("unknown precision", job(precision="fp16"), 422, "/precision"),
    ("tf32 on a CPU", job(precision="tf32"), 422, "/precision"),
    ("no patience", job(stop_when={"metric": "val_loss"}), 422, "/stop_when/patience"),
    ("best of no metric", job(save_as="m", save_best="loss"), 422, "/save_best"),
    ("best of no model", job(save_best="val_loss"), 422, "/save_best"),
    ("unknown init", job(init="zeros"), 422, "/init"),
    ("number as string", job(epochs="2"), 422, "/epochs"),
    ("fraction of an epoch", job(epochs=1.5), 422, "/epochs"),
    ("batch 0", job(batch_size=0), 422, "/batch_size"),
    ("batch -1", job(batch_size=-1), 422, "/batch_size"),
    ("epochs 1e15", job(epochs=1e15), 422, "/epochs"),
    ("no architecture", job(architecture=None), 422, "/architecture"),
    ("unknown preset", job(architecture="skynet"), 422, "/architecture"),
    ("no layers", net(), 422, "/architecture/layers"),
    ("layers of another kind", job(architecture={"layers": 7}), 422, "/architecture/layers"),
    ("unknown layer", net(FLAT, {"type": "wormhole"}, OUT), 422, "/architecture/layers/1/type"),
    ("layer without type", net(FLAT, {"out_features": 10}), 422, "/architecture/layers/1/type"),
    ("unknown layer field", net(FLAT, {**OUT, "depth": 2}), 422, "/architecture/layers/1/depth"),
    (
        "kernel larger than input",
        net({"type": "conv2d", "out_channels": 4, "kernel_size": 31}, FLAT, OUT),
        422,
        "/architecture/layers/0/kernel_size",
    ),
    (
        "kernel 0",
        net({"type": "conv2d", "out_channels": 4, "kernel_size": 0}, FLAT, OUT),
        422,
        "/architecture/layers/0/kernel_size",
    ),
    (
        "preset that does not fit",
        job(architecture="lenet", dataset={"name": "fashion-mnist", "resize": [4, 4]}),
        422,
        "/architecture",
    ),
    ("no channels", net({"type": "conv2d", "kernel_size": 3}, FLAT, OUT), 422, "/architecture/layers/0/out_channels"),
    ("no data set", job(dataset=None), 422, "/dataset"),
    ("unknown data set", job(dataset="atlantis"), 422, "/dataset"),
    ("data set by path", job(dataset="../../etc/passwd"), 422, "/dataset"),
    ("limit 0", job(dataset={"name": "fashion-mnist", "limit": 0}), 422, "/dataset/limit"),
    ("model by path", job(save_as="../x"), 422, "/save_as"),
    ("start from no model", job(init={"from": "nobody"}), 422, "/init/from"),
    ("null seed", text('"seed": 1', '"seed": null'), 422, "/seed"),
]
# What people bring along from Python, PyTorch and word processors, and what they are told.
HABITS = [
    (text('"lr": 0.05', '"lr": None').encode(), "/", '(JSON writes null; a field that is to have its default is left out), behind:'),
    (job()[:-1].encode() + b', "shuffle": True}', "/", '(JSON writes true), behind: '),
    (job()[:-1].encode() + b', "shuffle": True}', "/", ', "shuffle": '),
    (job().replace('"', "'").encode(), "/", '"double quotes"'),
    (job().replace('"small"', "\u201csmall\u201d").encode(), "/", 'plain "double quotes"), behind: '),
    (job().replace('"small"', "\u00a0\"small\"").encode(), "/", "U+00A0"),
    (text('"lr": 0.05', '"lr": .05').encode(), "/", "begins with a digit"),
    (text('"lr": 0.05', '"lr": 0.05, ').encode(), "/", "comma before it is one too many"),
    ("\ufeff".encode() + job().encode(), "/", "byte order mark"),
    (b"job.json", "/", "by -d @FILE"),
    (job(augment=["hflip"]).encode(), "/augment/0", 'like {"type":"hflip"}'),
    (job(stop_when="val_loss").encode(), "/stop_when", '"patience":3}'),
    (job(architecture="vgg16").encode(), "/architecture", '"resize" of the data set'),
    (net(FLAT, OUT, {"type": "softmax"}).encode(), "/architecture/layers/2/type", "take the softmax"),
    (job(lr=0.1).encode(), "/lr", 'belongs inside "optimizer"'),
    (job(learning_rate=0.1).encode(), "/learning_rate", 'belongs inside "optimizer"'),
    (job(warmup_epochs=1).encode(), "/warmup_epochs", '"schedule", inside "optimizer"'),
    (job(limit=10).encode(), "/limit", 'belongs inside "dataset"'),
    (job(num_classes=10).encode(), "/num_classes", 'belongs inside "architecture"'),
    (net({"type": "conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 3}, FLAT, OUT).encode(),
     "/architecture/layers/0/in_channels", "leave it out"),
    (net(FLAT, {**OUT, "in_features": 784}).encode(), "/architecture/layers/1/in_features", "leave it out"),
]
# Wrong at the door: the media type.
MEDIA = ["text/xml", "multipart/form-data; boundary=x", "image/png", "nonsense"]


class Wrong(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.need_fashion()

    def check(self, body, status, pointer, headers=None):
        got, answer_headers, problem = self.daemon.request("POST", "/v1/jobs", body, headers)
        self.assertEqual(got, status, problem)
        self.assertEqual(answer_headers["Content-Type"], "application/problem+json")
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["pointer"], pointer, problem)
        self.assertGreater(len(problem["detail"]), 5)
        self.assertEqual(self.daemon.get("/v1/jobs")["jobs"], [])
        self.assertEqual(self.daemon.get("/v1/health")["status"], "ok")

    def test_submissions(self):
        pid = self.daemon.process.pid
        for name, body, status, pointer in WRONG:
            with self.subTest(name):
                self.check(body if isinstance(body, bytes) else body.encode(), status, pointer)
        self.assertTrue(self.daemon.alive())
        self.assertEqual(self.daemon.process.pid, pid)
        self.assertGreaterEqual(len(WRONG), 30)

    def test_habits(self):
        for body, pointer, words in HABITS:
            with self.subTest(words):
                got, _, problem = self.daemon.request("POST", "/v1/jobs", body)
                self.assertEqual((got, problem["pointer"]), (400, "") if pointer == "/" else (422, pointer), problem)
                self.assertIn(words, problem["detail"])

    def test_media_types(self):
        for kind in MEDIA:
            with self.subTest(kind):
                self.check(job().encode(), 415, "", {"Content-Type": kind})

    def test_zz_a_right_one_still_works(self):
        done = self.daemon.wait(self.daemon.submit(small_job(architecture=LINEAR))["id"])
        self.assertEqual(done["state"], "succeeded")


if __name__ == "__main__":
    harness.main()
