"""A browser that shows a daemon's page, and how its forms are filled in."""
import base64
import io
import json
import os
import tempfile
import unittest
import zipfile

from browser import Browser
from harness import PATIENCE, Daemon, pgm, wait_for

HOSTILE = "<img src=x onerror=alert(1)>"
TINY = {"type": "train", "architecture": {"layers": [{"type": "flatten"}, {"type": "linear", "out_features": 3}]}, "dataset": "grains",
        "epochs": 1, "batch_size": 16, "optimizer": {"name": "sgd", "lr": 0.1}, "seed": 1}


def grains(classes=("amorphous", "lattice", "particle"), each=12, side=16):
    """A zip of class folders; images of a class are alike."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for c, name in enumerate(classes):
            for i in range(each):
                z.writestr("%s/%d.pgm" % (name, i), pgm(side, side, bytes((70 * c + (x * i) % 31) for x in range(side * side))))
    return out.getvalue()


class Driven(unittest.TestCase):
    """A browser, and how the page's forms are filled in."""

    browser_options = {}

    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Browser(**cls.browser_options))
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cnnd-form-"))

    def open(self, url, **how):
        tab = self.browser.open(url, **how)
        self.addCleanup(tab.close)
        self.addCleanup(lambda: self.assertEqual(tab.faults, []))
        return tab

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def field(self, label):
        """The selector of the field that is seen under that label."""
        return "#" + self.tab.wait("""[...document.querySelectorAll('.field:not([hidden]) label')]
            .find(l => l.innerText === %s && l.offsetParent)?.htmlFor""" % json.dumps(label))

    def enter(self, label, text):
        self.tab.enter(self.field(label), text)

    def wrong(self, label):
        """What stands below that field as an error, once there is something."""
        return self.tab.wait("document.querySelector('%s-error').innerText" % self.field(label))

    def form(self):
        self.tab.click("#new-open")
        self.tab.wait("!document.querySelector('#new').hidden && document.querySelector('#new-says').children.length")

    def json(self):
        return json.loads(self.tab.run("document.querySelector('#new-json').value"))

    def write(self, job):
        self.tab.enter("#new-json", json.dumps(job))

    def press(self, text, within="main"):
        self.tab.wait("""(b => {
          document.querySelectorAll('[data-pressed]').forEach(e => delete e.dataset.pressed);
          return b && (b.dataset.pressed = 1);
        })([...document.querySelectorAll('%s button')].find(b => b.innerText.startsWith(%s) && b.offsetParent))""" % (within, json.dumps(text)))
        self.tab.click("[data-pressed]")

    def press_until(self, text, within, condition):
        """Presses again where lists that moved meanwhile took the button from under the mouse."""
        for last in (False, False, True):
            self.press(text, within)
            try:
                return wait_for(lambda: self.tab.browser.read(0.05) or condition(), PATIENCE if last else 3)
            except AssertionError:
                if last:
                    raise

    def drop(self, of, name, data, *more):
        """A file is dropped onto the first element of that selector, with `more` of (name, data)."""
        files = [[n, base64.b64encode(d).decode()] for n, d in ((name, data), *more)]
        self.tab.run("""(() => {
          const data = new DataTransfer();
          for (const [name, bytes] of %s)
            data.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], name));
          for (const kind of ["dragover", "drop"])
            document.querySelector(%s).dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
        })()""" % (json.dumps(files), json.dumps(of)))

    def chosen(self):
        """The number of the one job that is looked at."""
        return int(self.tab.wait("/^#jobs=(\\d+)$/.exec(location.hash)?.[1]"))

    def wait_sheet(self):
        """Until the picture of what was imported is there."""
        self.tab.wait("document.querySelector('#import-result img')?.naturalWidth")

class House(Driven):
    """One daemon for all tests of a class, with a data set; `tab` shows its page."""

    env = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = cls.enterClassContext(Daemon(env=cls.env))
        cls.daemon.request("PUT", "/v1/datasets/grains", grains())

    def setUp(self):
        self.tab = self.open_page()

    def open_page(self, at="/", **how):
        tab = self.open(self.daemon.url + at, **how)
        tab.wait("document.querySelector('#job-list tbody tr') && document.querySelector('#datasets tbody tr')")
        return tab

    def jobs(self):
        return self.daemon.get("/v1/jobs?limit=1000")["jobs"]
