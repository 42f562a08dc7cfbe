#!/usr/bin/env python3
"""The page in a browser beside jobs that run: curves through a daemon's death, windows that share connections, images that are
dropped. On an engine without a device (CNND_BINARY names cnnd-fake)."""
import contextlib
import csv
import json
import os

from driven import grains, HOSTILE, House, TINY
from harness import main, pgm, wait_for
from people import token

LIVE = {**TINY, "epochs": 100000, "name": "rest 40"}


class Watched(House):
    env = {"CNND_FAKE_DEVICES": "4"}

    def live(self, count=4):
        """Jobs that run all at once."""
        jobs = [self.daemon.submit(LIVE)["id"] for _ in range(count)]
        for job in jobs:
            self.addCleanup(self.daemon.request, "POST", "/v1/jobs/%d/cancel" % job)
        return jobs

    def said(self, tab):
        return tab.run("document.querySelector('#loss').ariaLabel")

    def wait_news(self, tab):
        """Until a curve has become longer."""
        tab.wait("document.querySelector('#loss').ariaLabel !== %s" % json.dumps(self.said(tab)))

    def end(self, jobs, *tabs):
        for job in jobs:
            self.daemon.request("POST", "/v1/jobs/%d/cancel" % job)
        for tab in tabs:
            tab.wait("(document.querySelector('#facts').innerText.match(/cancelled/g) || []).length === %d" % len(jobs))

    def test_killed(self):
        """Four curves that grow go on where they were, without a gap, when the daemon is there again."""
        d, jobs = self.daemon, self.live()
        t = self.tab = self.open_page("/#jobs=" + ",".join(map(str, jobs)))
        t.run("document.querySelector('#curves details').open = true")
        t.wait("document.querySelectorAll('#epochs tbody tr').length > 40")
        d.kill()
        t.wait("document.querySelector('#link').innerText.includes('trying again')")
        d.options["listen"] = "127.0.0.1:%d" % d.port
        d.start()
        t.wait("!document.querySelector('#link').innerText")
        self.wait_news(t)
        self.end(jobs, t)
        for job in jobs:
            points = [(data["epoch"], data["loss"]) for _, event, data in d.events(job) if event == "validation"]
            last = dict(points)  # what was done again counts
            rows = [list(map(float, row)) for row in t.run("[...document.querySelectorAll('#epochs tbody tr')].filter(r => "
                    "r.cells[0].innerText === '%d').map(r => [r.cells[1].innerText, r.cells[2].innerText])" % job)]
            self.assertEqual([epoch for epoch, _ in rows], [float(n) for n in range(1, len(rows) + 1)])
            self.assertEqual([epoch for epoch, _ in rows], sorted(last))
            for epoch, loss in rows:
                self.assertAlmostEqual(loss, last[epoch], delta=1e-3 * abs(loss) + 1e-6)

    def test_short_of_something(self):
        """A server that for a moment has no room for a question, or a proxy without one, is asked again."""
        jobs = self.live(1)
        t = self.tab = self.open_page("/#jobs=%d" % jobs[0])
        t.wait("document.querySelector('#facts progress')?.value > 2")
        t.run("""(() => {
            const fetch = window.fetch;
            window.away = 0;
            window.fetch = (path, options) => /v1.jobs.[0-9]+$/.test(path) && window.away < 2
                ? Promise.resolve(new Response('{"status": 503, "title": "Service Unavailable", "detail": "' + ++window.away + '"}',
                    { status: 503, headers: { "Content-Type": "application/problem+json" } }))
                : fetch(path, options);
        })()""")
        t.wait("window.away === 2")
        steps = t.run("document.querySelector('#facts progress').value")
        t.wait("document.querySelector('#facts progress').value > %d" % (steps + 5))
        self.end(jobs, t)

    def test_policy(self):
        """What comes from elsewhere is refused, and a fault of the page."""
        t = self.tab
        self.assertEqual(t.faults, [])
        t.run("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/elsewhere.png' }))")
        wait_for(lambda: t.browser.read(0.05) or t.faults)
        self.assertIn("elsewhere.png", t.faults.pop())
        t.faults.clear()

    def test_windows_leave_room_for_requests(self):
        """Four jobs in each of three windows: what is asked is answered, and every window hears of all events."""
        jobs = self.live()
        windows = [self.tab, self.open_page(window=True), self.open_page(window=True)]
        for t in windows:
            t.run("location.hash = '#jobs=%s'" % ",".join(map(str, jobs)))
        for t in windows + windows:
            t.wait("document.querySelectorAll('#facts h3').length === 4")
            self.assertEqual(t.run("Promise.race([fetch('v1/version', { cache: 'no-store', credentials: 'omit' }).then(a => a.status), "
                                   "new Promise(r => setTimeout(r, 600000))])"), 200)
        for t in windows:
            self.wait_news(t)
        self.end(jobs, *windows)

    def test_dropped_images(self):
        d, t = self.daemon, self.tab
        d.wait(d.submit({**TINY, "save_as": "drops"})["id"])
        t.wait("document.querySelector('#try-model').value === 'drops'")
        self.drop("#job-list", "<b>one.pgm", pgm(16, 16, bytes([140]) + bytes(255)))
        self.assertRegex(t.wait("document.querySelector('#answer tbody')?.innerText"), r"^<b>one\.pgm\s+(amorphous|lattice|particle)")
        self.drop("body", "a.pgm", pgm(16, 16, bytes(256)), ("torn.tif", b"II*\0" + bytes(50)), ("b.pgm", pgm(16, 16, bytes([70]) * 256)))
        self.assertIn("TIFF", t.wait("[...document.querySelectorAll('#answer tbody tr')].map(r => r.cells[0].innerText).join() === "
                                     "'a.pgm,torn.tif,b.pgm' && document.querySelector('#answer tr:nth-child(2) .bad').innerText"))
        t.wait("document.querySelector('#try-state').innerText === '2 images were classified by drops, 1 could not be read.'")
        t.click("#try-form [value=map]")
        t.enter("#window", "16")
        self.drop("body", "field.pgm", pgm(64, 48, bytes(i % 200 for i in range(64 * 48))))
        self.assertIn("class map of field.pgm: ", t.wait("(i => i?.naturalWidth && i.alt)(document.querySelector('#answer img'))"))
        self.assertIn("Cells of each class", t.text("#answer"))
        self.drop("body", "torn.tif", b"II*\0" + bytes(50))
        self.assertIn("TIFF", t.wait("document.querySelector('#answer .bad')?.innerText"))
        self.assertEqual(t.text("#answer tbody td"), "torn.tif")
        self.drop("body", "0.pgm", pgm(16, 16, bytes(256)), *(("%d.pgm" % n, pgm(16, 16, bytes(256))) for n in range(1, 23)))
        t.wait("document.querySelector('#try-state').innerText === 'Maps of 20 images are shown; 3 more were left out.'")
        self.assertEqual(t.run("document.querySelectorAll('#maps img').length"), 20)

    def model(self):
        """A page with a model."""
        d = self.daemon
        if not any(m["name"] == "drops" for m in d.get("/v1/models")["models"]):
            d.wait(d.submit({**TINY, "save_as": "drops"})["id"])
        self.tab.wait("document.querySelector('#try-model').value === 'drops'")
        return self.tab

    SHOWN = "[...document.querySelectorAll('#answer tbody tr')].map(r => r.cells[0].innerText)"

    def saved(self, t):
        """The rows of the CSV that the page saves."""
        path = os.path.join(t.browser.downloads, "drops.csv")
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        t.click("#try-csv")
        wait_for(lambda: t.browser.read(0.05) or (os.path.exists(path) and os.path.getsize(path)))
        with open(path, "rb") as f:
            text = f.read()
        self.assertEqual(text[:3], b"\xef\xbb\xbf")
        return list(csv.DictReader(text.decode("utf-8-sig").splitlines()))

    def test_many_images(self):
        """However many are dropped, few rows are shown at a time; a spreadsheet gets all, and no formula."""
        t = self.model()
        names = ["%03d.pgm" % n for n in range(245)] + ["=1+1.pgm", "\u6f22\u00e9, \"x\".pgm", "<b>.pgm", "-x.pgm"]
        some = [(name, pgm(16, 16, bytes([n]) * 256)) for n, name in enumerate(names)]
        self.drop("body", *some[0], *some[1:], ("torn.tif", b"II*\0" + bytes(50)))
        t.wait("document.querySelector('#try-state').innerText === '249 images were classified by drops, 1 could not be read.'")
        seen = []
        for part, said in enumerate(("1 to 100 of 250", "101 to 200 of 250", "201 to 250 of 250")):
            self.assertEqual(t.text("#answer-range"), said)
            self.assertEqual(t.run("['back', 'on'].map(w => document.querySelector('#answer-' + w).disabled)"), [part == 0, part == 2])
            seen += t.run(self.SHOWN)
            if part < 2:
                t.run("document.querySelector('#answer-on').focus()")
                t.key("Enter")
        self.assertEqual(seen, names + ["torn.tif"])
        self.assertEqual(t.run("document.activeElement.id"), "answer-back")  # the other cannot be pressed any more
        self.assertTrue(t.run("document.querySelector('#try-bar').hidden && document.querySelector('#try-stop').hidden"))
        rows = self.saved(t)
        self.assertEqual(list(rows[0]), ["image", "rank", "class", "probability", "error"])
        wanted = ["'" + name if name[0] in "=-" else name for name in names]
        self.assertEqual([r["image"] for r in rows if r["rank"] == "1"], wanted)
        self.assertEqual([r["image"] for r in rows], [name for name in wanted for _ in range(3)] + ["torn.tif"])
        self.assertIn("TIFF", rows[-1]["error"])
        self.assertEqual({rows[n]["class"] for n in range(3)}, {"amorphous", "lattice", "particle"})
        self.assertAlmostEqual(sum(float(rows[n]["probability"]) for n in range(3)), 1, places=5)
        self.drop("body", "one.pgm", some[0][1])
        self.assertRegex(t.wait("(s => s.startsWith('one.pgm: ') && s)(document.querySelector('#try-state').innerText)"), r"%\.$")
        self.assertEqual(len(self.saved(t)), 3)

    def test_folder(self):
        """A folder that is dropped is read to its ends, by name, without what the system hides there."""
        t = self.model()
        t.run("""(() => {
          const file = (name, bytes) => ({ name, isDirectory: false, file: take => take(new File([Uint8Array.from(bytes)], name)) });
          const folder = (name, list) => ({ name, isDirectory: true, createReader: () => {
            const rest = [...list];
            return { readEntries: take => setTimeout(() => take(rest.splice(0, 2))) };
          } });
          const image = [...new TextEncoder().encode("P5 1 1 255 "), 7];
          const broken = { name: "locked", isDirectory: true, createReader: () => ({ readEntries: (take, fail) => fail(new Error("denied")) }) };
          window.tree = folder("Proben", [file("c.pgm", image), file(".DS_Store", [1]), folder(".git", [file("x", [1])]),
            folder("b", [file("2.pgm", image), file("1.pgm", image), folder("deep", [file("3.pgm", image)]), folder("void", [])]), file("a.pgm", image)]);
          window.bad = folder("Proben", [file("c.pgm", image), broken]);
          DataTransferItem.prototype.webkitGetAsEntry = () => window.tree;
        })()""")
        self.drop("body", "Proben", b"")
        t.wait("document.querySelector('#try-state').innerText.startsWith('5 images were')")
        self.assertEqual(t.run(self.SHOWN), ["Proben/" + n for n in ("a.pgm", "b/1.pgm", "b/2.pgm", "b/deep/3.pgm", "c.pgm")])
        t.run("window.tree = window.bad, 0")
        self.drop("body", "Proben", b"")
        t.wait("document.querySelector('#try-state').innerText === 'Proben cannot be read: denied'")
        self.assertTrue(t.run("document.querySelector('#answer-table').hidden && document.querySelector('#try-csv').hidden"))

    def test_server_away(self):
        """What is being classified waits for a server that is away, stops where it is told to, and goes on there."""
        d, t = self.daemon, self.model()
        names = ["%03d.pgm" % n for n in range(200)]
        some = [(name, pgm(16, 16, bytes([n]) * 256)) for n, name in enumerate(names)]
        t.run("""(() => {
          const real = window.fetch;
          window.slow = 500;
          window.fetch = async (path, how) => {
            if (how.method === 'POST')
              await new Promise(resolve => {
                setTimeout(resolve, window.slow);
                how.signal?.addEventListener('abort', resolve);
              });
            return real(path, how);
          };
        })()""")
        self.drop("body", *some[0], *some[1:])
        t.wait("document.querySelectorAll('#answer tbody tr').length > 10")
        d.kill()
        t.wait("document.querySelector('#try-state').innerText.includes('trying again')")
        at = t.text("#try-at")
        d.options["listen"] = "127.0.0.1:%d" % d.port
        d.start()
        t.wait("document.querySelector('#try-at').innerText !== %s && (window.slow = 1e6)" % json.dumps(at))
        t.run("document.querySelector('#try-stop').focus()")
        t.key("Enter")
        at = t.wait("/^Stopped at (.*\\.pgm)\\.$/.exec(document.querySelector('#try-state').innerText)?.[1]")
        self.assertEqual(t.run("document.activeElement.id"), "try-on")
        self.assertIn(at, names)
        t.run("window.slow = 0")
        t.key("Enter")
        t.wait("document.querySelector('#try-state').innerText === '200 images were classified by drops.'")
        self.assertEqual([r["image"] for r in self.saved(t) if r["rank"] == "1"], names)

    def test_image_that_costs_a_device(self):
        """One over which a device's worker dies is not sent for ever: the others are classified, and devices stay."""
        d, t = self.daemon, self.model()
        fatal = pgm(16, 16, bytes([255]) * 256)
        some = [("%d.pgm" % n, pgm(16, 16, bytes([n]) * 256)) for n in range(30)]
        self.drop("body", *some[0], *some[1:20], ("fatal.pgm", fatal), *some[20:])
        t.wait("document.querySelector('#try-state').innerText === '30 images were classified by drops, 1 could not be read.'")
        self.assertEqual(t.run(self.SHOWN), ["%d.pgm" % n for n in range(20)] + ["fatal.pgm"] + ["%d.pgm" % n for n in range(20, 30)])
        self.assertIn("lost", t.text("#answer .bad"))
        self.assertNotIn("quarantined", [device["state"] for device in d.get("/v1/devices")["devices"]])

    def test_nothing_goes_on_without_a_model(self):
        """What is no file's own fault ends it: a model that has gone is not asked for by every file."""
        d, t = self.daemon, self.model()
        d.wait(d.submit({**TINY, "save_as": "gone"})["id"])
        t.wait("[...document.querySelector('#try-model').options].some(o => o.value === 'gone')")
        t.enter("#try-model", "gone")
        d.request("DELETE", "/v1/models/gone")
        self.drop("body", "a.pgm", pgm(16, 16, bytes(256)), ("b.pgm", pgm(16, 16, bytes(256))))
        self.assertIn("gone", t.wait("(s => s.startsWith('Stopped at a.pgm: ') && s)(document.querySelector('#try-state').innerText)"))
        self.assertTrue(t.run("!document.querySelector('#try-on').hidden && document.querySelector('#answer-table').hidden"))

    def test_many(self):
        """What one looks for in long lists is found, and parts of the page are reached, while curves stay."""
        d, jobs = self.daemon, self.live(1)
        for n in range(14):
            d.request("PUT", "/v1/datasets/many-%02d" % n, grains(("ice", "Gold"), each=3) if n % 7 == 3 else grains(each=3))
            self.addCleanup(d.request, "DELETE", "/v1/datasets/many-%02d" % n)
        t = self.tab = self.open_page("/#jobs=%d" % jobs[0])
        keys = "[...document.querySelectorAll('#datasets tbody tr')].map(r => r.dataset.key)"
        t.wait("!document.querySelector('#sets-find').hidden && document.querySelector('#models-find').hidden")
        t.enter("#sets-find", "gold MANY")
        self.assertEqual(t.run(keys), ["many-03", "many-10"])
        t.enter("#sets-find", "<b>")
        self.assertEqual(t.text("#datasets tbody").strip(), "No data set matches.")
        t.enter("#sets-find", "")
        self.assertEqual(len(t.run(keys)), 15)
        t.click("#ways a[href='#datasets-title']")
        t.wait("document.activeElement.id === 'datasets-title'")
        top, bottom = t.run("[document.querySelector('#datasets-title').getBoundingClientRect().top, "
                            "document.querySelector('header').getBoundingClientRect().bottom]")
        self.assertTrue(bottom <= top <= 900, (bottom, top))
        self.assertEqual(t.run("location.hash"), "#jobs=%d" % jobs[0])
        self.end(jobs, t)


class Long(House):
    """A list of jobs that is longer than what is read of it at once."""

    env = {"CNND_FAKE_DEVICES": "1"}
    JOBS = 1100

    def test_search(self):
        """What is found is told with how far was searched; what changes and what comes is seen."""
        d, t = self.daemon, self.tab
        first = d.submit({**LIVE, "name": "needle " + HOSTILE})["id"]
        self.addCleanup(d.request, "POST", "/v1/jobs/%d/cancel" % first)
        other = d.submit({**TINY, "name": "hay", "architecture": "lenet", "dataset": {"name": "grains", "resize": [28, 28]}})["id"]
        for n in range(self.JOBS - 2):
            d.submit({**TINY, "name": "hay"})
        keys = "[...document.querySelectorAll('#job-list tbody tr')].map(r => r.dataset.key).join()"
        t.wait("!document.querySelector('#jobs-find').hidden && !document.querySelector('#older').hidden")

        def check(text, says, found=None, state=""):
            t.enter("#state", state)
            t.enter("#jobs-find", text)
            t.wait("document.querySelector('#searched').innerText === %s%s" % (
                json.dumps(says), "" if found is None else " && %s === '%s'" % (keys, found)))
            self.assertTrue(t.run("document.querySelector('#older').hidden && document.querySelector('#newer').hidden"))

        check("NEEDLE", "1 found among all 1,100 jobs.", str(first))
        check("needle running grains", "1 found among all 1,100 jobs.", str(first))
        check("lenet", "1 found among all 1,100 jobs.", str(other))
        check("needle", "0 found among all 1,099 queued jobs.", "", "queued")
        self.assertEqual(t.text("#job-list tbody").strip(), "No job matches.")
        check("hay", "1,000 found among the newest 1,000 jobs; older ones have not been searched.")
        t.click("#search-on")
        t.wait("document.querySelector('#searched').innerText === '1,099 found among all 1,100 jobs.'")
        self.assertTrue(t.run("document.querySelector('#search-on').hidden"))

        check(str(other) + " hay lenet", "1 found among all 1,100 jobs.", str(other))
        d.request("POST", "/v1/jobs/%d/cancel" % other)  # beyond what the list shows
        t.wait("document.querySelector('#job-list').innerText.includes('cancelled')")
        check("needle", "1 found among all 1,100 jobs.", str(first))
        new = d.submit({**TINY, "name": "a second needle"})["id"]
        t.wait(keys + " === '%d,%d'" % (new, first))
        t.wait("document.querySelector('#searched').innerText === '2 found among all 1,101 jobs.'")
        d.request("POST", "/v1/jobs/%d/cancel" % new)
        d.request("DELETE", "/v1/jobs/%d" % new)
        t.wait(keys + " === '%d'" % first)
        t.enter("#jobs-find", "")
        t.wait("!document.querySelector('#searched').innerText && document.querySelectorAll('#job-list tbody tr').length === 100")


class Forgetful(House):
    """A browser that keeps nothing for a site, cookies and all."""

    browser_options = {"keep": False}
    env = Watched.env

    def test_curve_and_token(self):
        d, t = self.daemon, self.tab
        job = d.submit(LIVE)["id"]
        t.run("location.hash = '#jobs=%d'" % job)
        other = self.open_page("/#jobs=%d" % job, window=True)
        for tab in (t, other):
            tab.wait("/training [\\d.]/.test(document.querySelector('#loss').ariaLabel)")
        d.request("POST", "/v1/jobs/%d/cancel" % job)
        secret = token(d, "anna")
        t.wait("!document.querySelector('#login').hidden")
        t.enter("#token", secret)
        t.key("Enter")
        t.wait("document.querySelector('#login').hidden && document.querySelector('#datasets tbody tr')")


if __name__ == "__main__":
    main()
