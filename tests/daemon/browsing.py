"""What chromium.py and firefox.py share: messages in JSON that are answered by number, and all that a page's own scripts can tell."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import PATIENCE


class Browser:
    """One browser with a profile of its own; its windows share six connections to a server, as a person's do.

    A driver has `name`, `programs` and, of its own: launch() starts the process; receive(seconds) gives the texts that came;
    deliver(text) sends one; quit() asks it to end; hang_up() closes what there is of a line to it; heard(message) takes what is no
    answer; new_tab(window) gives a tab. Where `keep` is false nothing is kept for a site, as people may tell it; `dark` and `calm`
    are their wishes for colours and for motion. What is saved lies in `downloads`."""

    def __init__(self, keep=True, dark=False, calm=False):
        self.keep, self.dark, self.calm = keep, dark, calm

    def __enter__(self):
        self.program = next(filter(None, map(shutil.which, self.programs)), None)
        if not self.program:
            raise unittest.SkipTest("%s, in which the page is tried, is not installed" % self.name)
        self.profile = tempfile.mkdtemp(prefix="cnnd-browser-")
        self.downloads = os.path.join(self.profile, "downloads")
        os.mkdir(self.downloads)
        self.number, self.awaited, self.answers, self.tabs, self.process = 0, set(), {}, {}, None
        try:
            self.launch()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(AssertionError, OSError, subprocess.TimeoutExpired):
            self.quit()
            self.process.wait(PATIENCE)
        self._end()

    def _end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.hang_up()
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self, seconds):
        """Takes what the browser says within the seconds, if anything."""
        for message in map(json.loads, self.receive(seconds)):
            if message.get("id") is None:
                self.heard(message)
            elif message["id"] in self.awaited:
                self.answers[message["id"]] = message

    def tell(self, method, params, **more):
        """Sends without waiting for an answer; its number."""
        self.number += 1
        self.deliver(json.dumps({"id": self.number, "method": method, "params": params, **more}))
        return self.number

    def send(self, method, params=None, **more):
        end = time.monotonic() + PATIENCE
        number = self.tell(method, params or {}, **more)
        self.awaited.add(number)
        while number not in self.answers:
            if time.monotonic() > end:
                raise AssertionError("%s does not answer %s" % (self.name, method))
            self.read(0.1)
        self.awaited.remove(number)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise AssertionError("%s: %s" % (method, answer.get("message") or answer["error"]))
        return answer["result"]

    def open(self, url, width=1200, height=900, window=False):
        """A tab, or a window that is seen beside the others."""
        tab = self.new_tab(window)
        tab.size(width, height)
        tab.go(url)
        return tab


class Tab:
    """`faults` are errors of scripts and what the policy refused; `dialogs` the questions asked, each answered by `accept`.

    A driver has of its own: size(width, height), go(url), close(), run(script), press(x, y, times), type(text), key(key) and
    choose(selector, path), which gives a file to a field for files."""

    def __init__(self, browser):
        self.browser = browser
        self.faults, self.dialogs, self.accept = [], [], True

    def wait(self, condition):
        """What the expression is when it first is anything."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.run("(v => v instanceof Node || v)(%s)" % condition)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("%s: never; the page says %r" % (condition, self.text()[:4000]))
            self.browser.read(0.05)

    def text(self, of="body"):
        return self.run("document.querySelector(%s).innerText" % json.dumps(of))

    def click(self, of, times=1):
        """Presses the button of a mouse over the first element of that selector, which must be there to be hit."""
        x, y = self.run("""(() => {
          const e = document.querySelector(%s);
          e.scrollIntoView({ block: "center", behavior: "instant" });
          const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
          const hit = document.elementFromPoint(x, y);
          if (!e.contains(hit) && !hit?.contains(e))
            throw new Error("hidden behind " + hit?.outerHTML.slice(0, 200));
          return [x, y];
        })()""" % json.dumps(of))
        self.press(x, y, times)

    def enter(self, of, text):
        """Types a text, or pastes a long one, in the place of what a field holds, or chooses what a list offers."""
        self.run("""(() => {
          const e = document.querySelector(%s);
          e.focus();
          if (e.tagName === "SELECT") {
            if (![...e.options].some(o => o.value === %s))
              throw new Error("offers only " + [...e.options].map(o => o.value));
            e.value = %s;
            e.dispatchEvent(new Event("input", { bubbles: true }));
            e.dispatchEvent(new Event("change", { bubbles: true }));
          } else
            e.select();
        })()""" % (json.dumps(of), json.dumps(text), json.dumps(text)))
        if self.run("document.activeElement.tagName") != "SELECT":
            if len(text) > 80:  # as if it were pasted; keys take their time
                self.run("document.execCommand('insertText', false, %s)" % json.dumps(text))
            else:
                self.type(text) if text else self.key("Delete")
            self.run("document.activeElement.dispatchEvent(new Event('change', { bubbles: true }))")
