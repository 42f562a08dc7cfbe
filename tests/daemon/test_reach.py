#!/usr/bin/env python3
"""Who can use the page: without a mouse, with a screen reader, on a phone, in either scheme of colours, without motion. On an engine
without a device (CNND_BINARY names cnnd-fake)."""
import unittest

from browser import Browser
from driven import grains, HOSTILE, House, TINY
from harness import main, pgm

FOCUSABLE = """[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(e =>
  !e.disabled && e.checkVisibility({ visibilityProperty: true }) && !(e.type === 'radio' && !e.checked))"""

# What has the focus: whether it shows, and whether enough of it is to be seen below the head of the page.
FOCUSED = """(() => {
  const e = document.activeElement, style = getComputedStyle(e), r = e.getBoundingClientRect();
  const top = e.closest('header') ? 0 : document.querySelector('header').getBoundingClientRect().bottom;
  const seen = Math.min(r.bottom, innerHeight) - Math.max(r.top, top);
  const x = r.x + Math.min(r.width, 8) / 2, y = Math.max(r.top, top) + Math.min(seen, 8) / 2, hit = document.elementFromPoint(x, y);
  return { at: %s.indexOf(e), what: e.outerHTML.slice(0, 120), ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    seen: seen >= Math.min(r.height, 30) / 2, free: e.contains(hit) || Boolean(hit?.contains(e) && hit !== document.body) };
})()""" % FOCUSABLE

# Texts whose colour is too near to what is behind them, and edges of what is entered into or pressed.
PALE = """(() => {
  const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const paint = colours => {
    context.clearRect(0, 0, 1, 1);
    for (const c of colours) {
      context.fillStyle = c;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => e ? [...behind(e.parentElement), getComputedStyle(e).backgroundColor] : ['Canvas'];
  const contrast = (colour, e) => {
    const back = behind(e), [a, b] = [light(paint(back)), light(paint([...back, colour]))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const out = [], seen = e => e.checkVisibility({ visibilityProperty: true }) && !e.closest(':disabled, .unseen');
  let count = 0;
  const hold = (what, colour, e, least) => {
    count++;
    const is = contrast(colour, e);
    if (is < least)
      out.push(what + ' ' + is.toFixed(2) + ': ' + e.outerHTML.slice(0, 90));
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode())
    if (walk.currentNode.data.trim() && seen(walk.currentNode.parentElement))
      hold('text', getComputedStyle(walk.currentNode.parentElement).color, walk.currentNode.parentElement, 4.5);
  for (const e of [...document.querySelectorAll('button, input, select, textarea')].filter(seen)) {
    if (e.placeholder)
      hold('placeholder', getComputedStyle(e, '::placeholder').color, e, 4.5);
    hold('entry', getComputedStyle(e).color, e, 4.5);
    if (!['checkbox', 'radio', 'file'].includes(e.type))
      hold('edge', getComputedStyle(e).borderTopColor, e.parentElement, 3);
  }
  const style = getComputedStyle(document.body);
  for (const n of ['--series0', '--series1', '--series2', '--series3', '--dim', '--good', '--bad', '--link'])
    hold(n, style.getPropertyValue(n), document.body, 4.5);
  return [count, out];
})()"""


class Full(House):
    env = {"CNND_FAKE_DEVICES": "1"}

    def full(self, **how):
        """A page with all there is: a job that trained, one that scored, an answer, forms with errors."""
        d = self.daemon
        if not any(m["name"] == "drops" for m in d.get("/v1/models")["models"]):
            d.wait(d.submit({**TINY, "name": "first " * 30, "save_as": "drops"})["id"])
            d.wait(d.submit({"type": "classify", "model": "drops", "dataset": "grains"})["id"])
        ids = [j["id"] for j in self.jobs()][:2]
        t = self.tab = self.open_page("/#jobs=%d,%d" % tuple(ids), **how)
        t.wait("document.querySelector('#scores table') && !document.querySelector('#try').hidden")
        t.run("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        t.choose("#file", self.file("one.pgm", pgm(16, 16, bytes(256))))
        t.wait("document.querySelector('#answer tbody')")
        t.click("#import-open")
        self.enter("Name of the data set", "nothing")
        t.click("#import-submit")
        t.wait("document.querySelector('#import-error').innerText")
        self.form()
        self.write({**TINY, "optimizer": {"name": HOSTILE}, "augment": [{"type": "crop"}]})
        t.click("#new-submit")
        self.wrong("Optimizer")
        self.press("Look", "#datasets tr[data-key=grains]")
        t.wait("document.querySelector('#looked-at img')?.naturalWidth")
        return t

    def check_contrast(self):
        count, pale = self.full().run(PALE)
        self.assertEqual(pale, [])
        self.assertGreater(count, 200)


class Reach(Full):
    def test_contrast(self):
        self.check_contrast()

    def test_keyboard(self):
        """The key Tab comes to everything, shows where it is, and is caught nowhere."""
        for width in (1200, 390):
            t = self.full(width=width)
            t.run("document.activeElement.blur(), scrollTo(0, 0)")
            t.run("document.querySelector('#ways a').focus()")
            wanted, reached = t.run(FOCUSABLE + ".length"), {t.run(FOCUSED)["at"]}
            for _ in range(2 * wanted):
                t.key("Tab")
                for _ in range(600):  # a browser may scroll in its own time
                    now = t.run(FOCUSED)
                    if now["seen"]:
                        break
                    t.browser.read(0.05)
                if now["at"] < 0 or now["at"] in reached and len(reached) > wanted - 2:
                    break
                self.assertTrue(now["ring"] and now["seen"] and now["free"], (width, now))
                reached.add(now["at"])
            missed = set(range(wanted)) - reached
            self.assertEqual([t.run("%s[%d].outerHTML.slice(0, 200)" % (FOCUSABLE, i)) for i in sorted(missed)], [], width)
            self.assertGreater(wanted, 60)

    def test_keys_do_what_a_mouse_does(self):
        t = self.full()
        for opener, panel in (("#new-open", "#new"), ("#import-open", "#import")):
            t.run("document.querySelector('%s-close').click()" % panel)
            t.run("document.querySelector('%s').focus()" % opener)
            t.key("Enter")
            t.wait("!document.querySelector('%s').hidden && document.activeElement.id === '%s-title'" % (panel, panel[1:]))
            t.run("document.querySelector('%s-close').focus()" % panel)
            t.key(" ")
            t.wait("document.querySelector('%s').hidden && document.activeElement.id === '%s'" % (panel, opener[1:]))
        box = "#job-list input"
        t.run("document.querySelector('%s').focus()" % box)
        before = t.run("location.hash")
        t.key(" ")
        t.wait("location.hash !== '%s'" % before)
        self.assertTrue(t.run("document.activeElement.matches('%s')" % box))

    def test_tables(self):
        """Rows, heads and cells stay such where a phone lays them out otherwise."""
        t = self.full(width=390)
        written = t.run("""['devices', 'job-list', 'models', 'datasets'].map(id => document.getElementById(id)).map(e => [e.role,
          e.tHead.role, e.tBodies[0].role, ...new Set([...e.rows].map(r => r.role)), ...new Set([...e.tHead.rows[0].cells].map(c => c.role)),
          ...new Set([...e.tBodies[0].rows].flatMap(r => [...r.cells].map(c => c.role)))].join(" "))""")
        self.assertEqual(set(written), {"table rowgroup rowgroup row columnheader cell"})
        if self.browser.name == "Chromium":
            roles = t.roles()
            for head in ("Model", "Data set", "Actions"):
                self.assertIn(["columnheader", head], roles)
            kinds = [kind for kind, _ in roles]
            shown = t.run("[...document.querySelectorAll('tr')].filter(r => r.checkVisibility()).length")
            self.assertEqual(kinds.count("row"), shown)
            self.assertIn(["cell", "drops"], roles)
        # All of a row is on the screen.
        self.assertEqual(t.run("""[...document.querySelectorAll('#models button, #datasets button')].filter(b => {
          const r = b.getBoundingClientRect();
          return r.right > innerWidth || r.left < 0;
        }).length"""), 0)

    def test_no_name_is_missing(self):
        """Whatever can be pressed or entered into says what it is."""
        t = self.full()
        if self.browser.name != "Chromium":
            self.skipTest("the tree for screen readers is Chromium's")
        wanted = ("button", "link", "checkbox", "radio", "textbox", "searchbox", "combobox", "spinbutton", "image", "progressbar")
        found = [(kind, name) for kind, name in t.roles() if kind in wanted]
        self.assertEqual([kind for kind, name in found if not name.strip()], [])
        self.assertGreater(len(found), 60)


class Dark(Full):
    browser_options = {"dark": True}

    def test_contrast(self):
        self.assertTrue(self.tab.run("matchMedia('(prefers-color-scheme: dark)').matches"))
        self.check_contrast()


class Calm(House):
    browser_options = {"calm": True}
    env = Full.env

    def test_nothing_moves(self):
        t = self.tab
        self.assertTrue(t.run("matchMedia('(prefers-reduced-motion: reduce)').matches"))
        t.click("#import-open")
        t.run("document.querySelector('#import-bar').hidden = false")
        self.assertEqual(t.run("getComputedStyle(document.querySelector('#import-bar')).appearance"), "none")
        self.assertEqual(t.run("document.getAnimations().length"), 0)


if __name__ == "__main__":
    main()
