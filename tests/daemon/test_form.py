#!/usr/bin/env python3
"""The page in a browser: a data set imported, jobs submitted, watched, scored and deleted; what goes wrong on the way."""
import json
import os

from driven import Driven, grains, HOSTILE, House, TINY
from harness import Daemon, main, pgm, wait_for
from people import token
from relay import Relay


class Page(House):
    # --- the whole round ---

    def test_round(self):
        """Imports, trains, watches, scores and classifies with nothing but the page."""
        t, d = self.tab, self.daemon
        t.click("#import-open")
        t.choose("#import-file", self.file("Grains of May.zip", grains(side=24)))
        self.assertEqual(t.wait("document.querySelector('%s').value" % self.field("Name of the data set")), "Grains-of-May")
        self.enter("Name of the data set", "round")
        self.enter("Size of an image", "16")
        self.enter("Share to validate", "0.25")
        t.click("#import-submit")
        self.wait_sheet()
        self.assertIn("Rows, from the top: amorphous, lattice, particle", t.text("#import-result"))
        self.assertEqual((d.get("/v1/datasets/round")["shape"], d.get("/v1/datasets/round")["import"]["size"]), ([1, 16, 16], [16, 16]))

        self.press("Train on it")
        t.wait("document.querySelector('#new-says').innerText.includes('3 classes')")
        self.enter("Architecture", "lenet")
        self.enter("activation", "relu")
        self.enter("Epochs", "3")
        self.enter("Batch size", "8")
        t.wait("document.querySelector('#new-says').innerText.includes('will not be kept')")
        self.enter("Save the model as", "rounded")
        t.wait("!document.querySelector('#new-says').innerText.includes('will not be kept')")
        self.assertIn("1\u00d716\u00d716", t.wait("(s => s.includes('parameters') && s)(document.querySelector('#new-says').innerText)"))
        asked = self.json()
        t.click("#new-submit")
        job = self.chosen()
        self.assertTrue(t.run("document.querySelector('#new').hidden && !document.querySelector('#shown').hidden"))
        d.wait(job)
        self.assertEqual(d.get("/v1/jobs/%d" % job)["request"], asked)
        self.assertEqual(asked["architecture"], {"name": "lenet", "activation": "relu"})
        t.wait("document.querySelector('#facts').innerText.includes('succeeded')")
        t.wait("/Job %d: training [\\d.]+/.test(document.querySelector('#loss').ariaLabel)" % job)

        self.press("Score", "#models tr[data-key=rounded]")
        t.wait("!document.querySelector('#new').hidden")
        self.assertEqual(self.json(), {"type": "classify", "model": "rounded", "dataset": "round"})
        t.click("#new-submit")
        t.wait("document.querySelector('#scores table')")
        self.assertIn("lattice", t.text("#scores"))

        t.choose("#file", self.file("one.pgm", pgm(16, 16, bytes(256))))
        t.wait("document.querySelector('#answer tbody')")
        self.assertRegex(t.text("#answer"), "amorphous|lattice|particle")

        t.run("window.saved = [], HTMLAnchorElement.prototype.click = function () { saved.push([this.href, this.download]); }, 0")
        self.press("Download", "#models tr[data-key=rounded]")
        self.press("ONNX", "#models tr[data-key=rounded]")
        self.press("as ONNX", "#facts")
        t.wait("saved.length === 3")
        self.assertEqual(sorted(t.run("saved"))[::-1], [[d.url + "/v1/models/rounded/" + form, "rounded." + end] for form, end in
                                          (("weights", "safetensors"), ("onnx", "onnx"), ("onnx", "onnx"))])

    def test_downloads(self):
        """A file is the browser's own to fetch; what is refused is told, and nothing is saved of it."""
        t, d = self.tab, self.daemon
        d.wait(d.submit({**TINY, "save_as": "kept"})["id"])
        d.wait(d.submit({**TINY, "save_as": "lost"})["id"])
        t.wait("document.querySelector('#models tr[data-key=lost]')")
        t.run("""(() => {
          window.bodies = 0;
          for (const way of ["blob", "arrayBuffer"]) {
            const real = Response.prototype[way];
            Response.prototype[way] = function () { bodies++; return real.call(this); };
          }
        })()""")
        self.assertEqual(d.request("DELETE", "/v1/models/lost")[0], 204)
        for button in ("Download", "ONNX"):
            self.press(button, "#models tr[data-key=lost]")
            self.assertIn("lost", t.wait("document.querySelector('#models-error').innerText"))
            self.press(button, "#models tr[data-key=kept]")
            t.wait("!document.querySelector('#models-error').innerText")
        for form, end in (("weights", "safetensors"), ("onnx", "onnx")):
            path = os.path.join(t.browser.downloads, "kept." + end)
            wanted = d.request("GET", "/v1/models/kept/" + form)[2]
            wait_for(lambda: t.browser.read(0.05) or (os.path.exists(path) and os.path.getsize(path) == len(wanted)))
            with open(path, "rb") as f:
                self.assertEqual(f.read(), wanted)
        self.assertEqual(sorted(os.listdir(t.browser.downloads)), ["kept.onnx", "kept.safetensors"])
        self.assertEqual(t.run("bodies"), 0)

    def test_again(self):
        """A job's settings are taken up, and what is no field stays."""
        job = self.daemon.submit({**TINY, "name": HOSTILE, "report_every": 1, "augment": [{"type": "hflip", "p": 0.25}, {"type": "rot90"}],
                                  "init": {"name": "normal", "std": 0.02}})
        self.tab.run("location.hash = '#jobs=%d'" % job["id"])
        self.press_until("Again", "#facts", lambda: not self.tab.run("document.querySelector('#new').hidden"))
        self.assertEqual(self.json(), job["request"])
        self.enter("hflip: p", "0.75")
        self.enter("Seed", "2")
        self.tab.click("#new-submit")
        wait_for(lambda: len([j for j in self.jobs() if j["name"] == HOSTILE]) == 2)
        again = self.jobs()[0]["request"]
        self.assertEqual(again, {**job["request"], "seed": 2, "augment": [{"type": "hflip", "p": 0.75}, {"type": "rot90"}]})
        self.tab.wait("document.querySelector('#job-list').innerText.includes('onerror')")
        self.assertEqual(self.tab.run("document.querySelectorAll('img').length"), 0)
        self.assertEqual(self.tab.dialogs, [])

    def test_narrow(self):
        """On a phone nothing is wider than it, and what is entered into has its size."""
        t = self.tab
        self.form()
        self.write({**TINY, "augment": [{"type": "zoom"}], "init": {"from": "x" * 60}, "name": "y" * 200})
        t.click("#import-open")
        for width in (390, 320):
            t.size(width, 800)
            self.assertLessEqual(t.run("document.documentElement.scrollWidth"), width)
            self.assertGreater(t.run("Math.min(...[...document.querySelectorAll('.field:not([hidden]) input:not([type=checkbox])')]"
                                     ".filter(e => e.offsetParent).map(e => e.clientHeight))"), 30)

    # --- the form and its JSON ---

    def test_fields_write_the_text(self):
        self.form()
        self.enter("Data set", "grains")
        self.enter("Name of the job", "a\u00e9 \"b\"")
        self.enter("Resize to", "24x32")
        self.enter("Images to train", "20")
        self.enter("Class weights", "balanced")
        self.enter("Architecture", "vgg")
        self.enter("arch", "[[1, 8], [1, 16]]")
        self.enter("Optimizer", "sgd")
        self.enter("Momentum", "0.9")
        self.enter("Schedule", "step")
        self.enter("Epochs per step", "4")
        self.enter("Optimizer", "adamw")
        self.enter("Save the model as", "m")
        for metric in ("train_acc", "train_loss", "val_acc", "val_loss"):
            self.enter("Stop early", metric)
            self.enter("Weights to save", metric)
            self.assertEqual((self.json()["stop_when"]["metric"], self.json()["save_best"]), (metric, metric))
        self.tab.click(self.field("crop"))
        self.tab.click(self.field("hflip"))
        self.enter("crop: padding", "2")
        self.tab.click(self.field("affine"))
        self.enter("affine: translate", "[0.1, 0]")
        self.assertEqual(self.json(), {
            "type": "train", "name": "a\u00e9 \"b\"", "architecture": {"name": "vgg", "arch": [[1, 8], [1, 16]]},
            "dataset": {"name": "grains", "resize": [24, 32], "limit": 20},
            "augment": [{"type": "crop", "padding": 2}, {"type": "hflip"}, {"type": "affine", "translate": [0.1, 0]}],
            "epochs": 10, "batch_size": 128, "optimizer": {"name": "adamw", "lr": 0.001, "schedule": {"name": "step", "step_epochs": 4}},
            "class_weights": "balanced", "stop_when": {"metric": "val_loss", "patience": 5}, "seed": 1, "save_as": "m", "save_best": "val_loss"})
        self.tab.click(self.field("crop"))
        self.tab.click(self.field("affine"))
        for label in ("Resize to", "Images to train"):
            self.enter(label, "")
        self.assertEqual((self.json()["augment"], self.json()["dataset"]), ([{"type": "hflip"}], "grains"))

    def test_text_writes_the_fields(self):
        self.form()
        self.write({**TINY, "epochs": 7, "optimizer": {"name": "yogi", "lr": 0.02, "schedule": "cosine"}, "init": "kaiming_uniform"})
        for label, value in (("Epochs", "7"), ("Optimizer", "yogi"), ("Learning rate", "0.02"), ("Schedule", "cosine"),
                             ("Weights start", "kaiming_uniform"), ("Architecture", "")):
            self.assertEqual(self.tab.run("document.querySelector('%s').value" % self.field(label)), value, label)
        self.tab.enter("#new-json", '{"type": "train", "epochs": 7')
        self.assertTrue(self.tab.run("document.querySelector('#new-submit').disabled && document.querySelector('#new-fields').disabled"))
        self.assertIn("Not valid JSON", self.tab.text("#new-json-error"))
        self.write({"type": "train", "dataset": None, "augment": {"a": [[]]}, "architecture": 7, "init": [], "optimizer": {"schedule": 3}})
        self.assertFalse(self.tab.run("document.querySelector('#new-submit').disabled"))

    def test_a_model_to_begin_with(self):
        d = self.daemon
        d.wait(d.submit({**TINY, "save_as": "teacher"})["id"])
        self.form()
        self.write({"type": "train", "architecture": "lenet", "dataset": "grains"})
        self.enter("Weights start", "from:teacher")
        self.assertEqual(self.json()["init"], {"from": "teacher"})
        self.assertEqual(self.json()["architecture"], TINY["architecture"])
        self.tab.click(self.field("Every layer must fit"))
        self.assertEqual(self.json()["init"], {"from": "teacher", "strict": False})
        self.tab.click("#new-submit")
        d.wait(self.chosen())

    # --- what the server refuses ---

    def test_errors_stand_at_their_fields(self):
        self.form()
        before = len(self.jobs())
        for job, label, said in (({**TINY, "optimizer": {"name": "sgd", "lr": -1}}, "Learning rate", "lr"),
                                 ({**TINY, "optimizer": {"name": HOSTILE}}, "Optimizer", HOSTILE[:20]),
                                 ({**TINY, "dataset": "nowhere"}, "Data set", "nowhere"),
                                 ({**TINY, "save_as": "../x"}, "Save the model as", "letters"),
                                 ({**TINY, "augment": [{"type": "rot90"}, {"type": "hflip", "p": 3}]}, "hflip: p", "3"),
                                 ({**TINY, "architecture": {"layers": [{"type": "conv9"}]}}, "Architecture", "conv9")):
            self.write(job)
            self.tab.run("document.querySelector('#new-form').noValidate = true")
            self.tab.click("#new-submit")
            self.assertIn(said, self.wrong(label))
            self.tab.wait("document.activeElement.id === %s" % json.dumps(self.field(label)[1:]))
            self.assertEqual(self.tab.run("document.activeElement.ariaInvalid"), "true")
        self.write({**TINY, HOSTILE: 1})
        self.tab.click("#new-submit")
        self.assertIn(HOSTILE, self.tab.wait("document.querySelector('#new-error').innerText"))
        self.assertEqual((len(self.jobs()), self.tab.dialogs), (before, []))
        self.write(TINY)
        self.assertEqual(self.tab.text("#new-error"), "")

    def test_summary_says_what_does_not_fit(self):
        self.form()
        self.enter("Data set", "grains")
        self.enter("Architecture", "alexnet")
        self.assertIn("kernel_size", self.wrong("Architecture"))
        self.enter("Resize to", "96")
        self.tab.wait("document.querySelector('#new-says').innerText.includes('1\u00d796\u00d796')")

    # --- one job of one wish ---

    def test_double_click(self):
        """Also where the answer takes its time, and the key Enter is held down."""
        self.form()
        self.write({**TINY, "name": "double"})
        self.tab.run("""(() => {
          const real = fetch;
          window.fetch = async (...args) => { await new Promise(r => setTimeout(r, 300)); return real(...args); };
        })()""")
        self.tab.click("#new-submit", times=2)
        self.tab.run("[1, 2].forEach(() => document.querySelector('#new-form').requestSubmit())")
        self.chosen()
        self.tab.run("new Promise(r => setTimeout(r, 800))")
        self.assertEqual([j["name"] for j in self.jobs()].count("double"), 1)

    def test_lost_answer(self):
        """A post whose answer is lost is sent again and finds its job."""
        self.form()
        self.tab.run("""(() => {
          const real = fetch;
          window.lost = 0;
          window.fetch = async (path, how) => {
            const answer = await real(path, how);
            if (path === "v1/jobs" && how.method === "POST" && !window.lost++)
              throw new TypeError("lost");
            return answer;
          };
        })()""")
        self.write({**TINY, "name": "lost"})
        self.tab.click("#new-submit")
        job = self.chosen()
        self.assertEqual(self.tab.run("window.lost"), 2)
        self.assertEqual([j["id"] for j in self.jobs() if j["name"] == "lost"], [job])

    # --- importing ---

    def test_bad_file(self):
        t = self.tab
        t.click("#import-open")
        t.choose("#import-file", self.file("<b>x.zip", b"PK\3\4" + bytes(200)))
        self.enter("Name of the data set", "bad")
        t.click("#import-submit")
        self.assertIn("<b>x.zip: ", t.wait("document.querySelector('#import-error').innerText"))
        t.choose("#import-file", self.file("two.zip", grains()))
        self.enter("Made so by", "crop")
        t.click("#import-submit")
        self.assertIn("size", self.wrong("Made so by"))
        self.assertEqual(self.daemon.request("GET", "/v1/datasets/bad")[0], 404)

    def test_hostile_classes(self):
        t = self.tab
        t.click("#import-open")
        t.choose("#import-file", self.file("hostile.zip", grains((HOSTILE.replace("/", ""), "\u202eb", "c" * 200))))
        t.click("#import-submit")
        self.wait_sheet()
        self.assertEqual(t.run("document.querySelectorAll('img').length"), 1)
        self.assertIn("onerror", t.run("document.querySelector('#import-result img').alt"))
        self.assertEqual(t.dialogs, [])

    def test_replacing_is_asked(self):
        t, d = self.tab, self.daemon
        d.request("PUT", "/v1/datasets/mine", grains())
        t.click("#import-open")
        t.choose("#import-file", self.file("mine.zip", grains(each=6)))
        t.accept = False
        t.click("#import-submit")
        wait_for(lambda: t.browser.read(0.05) or t.dialogs)
        self.assertIn("mine", t.dialogs[0])
        self.assertEqual(sum(d.get("/v1/datasets/mine")["class_counts"]["train"]) + d.get("/v1/datasets/mine")["val"], 36)
        t.accept = True
        t.click("#import-submit")
        self.wait_sheet()
        self.assertEqual(sum(d.get("/v1/datasets/mine")["class_counts"]["train"]) + d.get("/v1/datasets/mine")["val"], 18)

    def test_dropped_onto_the_data_sets(self):
        self.drop("#datasets", "dropped.zip", grains())
        self.tab.click("#import-submit")
        self.wait_sheet()
        self.assertEqual(self.daemon.get("/v1/datasets/dropped")["num_classes"], 3)

    def test_dropped_unpacked(self):
        """What is no archive is told how it becomes one: a browser hands a folder over by its name alone."""
        t = self.tab
        self.drop("#datasets", "a.pgm", pgm(4, 4, bytes(16)), ("b.pgm", pgm(4, 4, bytes(16))))
        self.assertIn("2 files: pack", t.text("#import-error"))
        t.run("DataTransferItem.prototype.webkitGetAsEntry = () => ({ isDirectory: true, name: 'Proben' }), 0")
        self.drop("#datasets", "Proben", b"")
        self.assertIn("Proben is a folder", t.text("#import-error"))
        self.assertEqual(t.run("document.querySelector('#import-file').files.length"), 0)

    # --- deleting ---

    def test_deleting_is_asked(self):
        t, d = self.tab, self.daemon
        d.request("PUT", "/v1/datasets/gone", grains())
        job = d.submit({**TINY, "dataset": "gone", "save_as": "gone"})["id"]
        d.wait(job)
        t.go(d.url + "/#jobs=%d" % job)
        t.run("document.body.dataset.old = 1, location.reload()")
        t.wait("!document.body?.dataset.old && document.readyState === 'complete'")
        for path, table in (("/v1/models/gone", "#models"), ("/v1/datasets/gone", "#datasets"), ("/v1/jobs/%d" % job, "#facts")):
            within = table + (" tr[data-key=gone]" if table != "#facts" else "")
            t.accept = False
            asked = len(t.dialogs)
            self.press_until("Delete", within, lambda: len(t.dialogs) > asked)
            self.assertEqual(d.request("GET", path)[0], 200, path)
            t.accept = True
            self.press_until("Delete", within, lambda: d.request("GET", path)[0] == 404)
        t.wait("document.querySelector('#shown').hidden")


class Uploads(Driven):
    """An upload that takes its time, to a daemon of its own."""

    def line(self, d):
        """The page by a line that may be slow."""
        self.relay = self.enterContext(Relay(d.port))
        self.tab = self.open("http://127.0.0.1:%d/" % self.relay.port)

    def start(self):
        """Somewhere in the middle of sending a file."""
        t = self.tab
        t.click("#import-open")
        t.choose("#import-file", self.file("large.zip", os.urandom(1 << 24)))
        self.relay.rate = 1000000
        t.click("#import-submit")
        t.wait("(bar => bar.value > 0.05 * bar.max)(document.querySelector('#import-bar'))")

    def again(self):
        self.relay.rate = None
        self.assertFalse(self.tab.run("document.querySelector('#import-fields').disabled"))
        self.tab.choose("#import-file", self.file("small.zip", grains()))
        self.tab.click("#import-submit")
        self.wait_sheet()

    def test_killed(self):
        with Daemon({"device": "9:9"}, device=False) as d:
            self.line(d)
            self.tab.wait("document.querySelector('#datasets tbody tr')")
            self.assertIn("Begin with a data set", self.tab.text("#job-list tbody"))
            self.tab.size(390, 800)  # where none of these words is cut off
            self.assertEqual(self.tab.run("""[...document.querySelectorAll("#job-list td, #models td")].map(td => {
              const range = document.createRange();
              range.selectNodeContents(td);
              return range.getBoundingClientRect().right <= innerWidth;
            })"""), [True, True])
            self.tab.size(1200, 900)
            self.start()
            d.kill()
            self.assertIn("large.zip: the connection broke off", self.tab.wait("document.querySelector('#import-error').innerText"))
            d.options["listen"] = "127.0.0.1:%d" % d.port
            d.start()
            self.again()
            self.assertEqual([s["name"] for s in d.get("/v1/datasets")["datasets"] if s["user"]], ["large"])

    def test_given_up(self):
        """With a token, too."""
        with Daemon({"device": "9:9"}, device=False) as d:
            secret = token(d, "anna")
            self.line(d)
            self.tab.wait("!document.querySelector('#login').hidden")
            self.tab.enter("#token", secret)
            self.tab.key("Enter")
            self.tab.wait("document.querySelector('#datasets tbody tr')")
            self.start()
            self.tab.click("#import-stop")
            self.tab.wait("document.querySelector('#import-state').innerText.includes('Stopped')")
            self.again()
            seen = d.request("GET", "/v1/datasets", headers={"Authorization": "Bearer " + secret})[2]["datasets"]
            self.assertEqual([s["name"] for s in seen if s["user"]], ["large"])


if __name__ == "__main__":
    main()
