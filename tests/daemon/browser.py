"""Drives Chromium without a screen, by its DevTools protocol over two pipes.

    with Browser() as b:
        tab = b.open(daemon.url + "/")
        tab.wait("document.querySelector('h1')")

A test that needs one skips where Chromium is not installed.
"""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import busy, die_with_parent

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One Chromium with a profile of its own; its windows share six connections to a server, as a person's do."""

    def __enter__(self):
        if not CHROMIUM:
            raise unittest.SkipTest("Chromium, in which the page is tried, is not installed")
        self.profile = tempfile.mkdtemp(prefix="cnnd-browser-")
        there, self.out = os.pipe()
        self.back, here = os.pipe()

        def pipes():  # the protocol wants them as 3 and 4
            die_with_parent()
            a, b = os.dup(there), os.dup(here)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--force-color-profile=srgb", "--remote-debugging-pipe", "--user-data-dir=" + self.profile, "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(there)
        os.close(here)
        self.text, self.number, self.answers, self.tabs = b"", 0, {}, {}
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(AssertionError, OSError):
            self.send("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self, seconds):
        """Takes what Chromium says within the seconds, if anything."""
        if not select.select([self.back], [], [], seconds)[0]:
            return
        piece = os.read(self.back, 1 << 20)
        if not piece:
            raise AssertionError("Chromium has ended")
        *whole, self.text = (self.text + piece).split(b"\0")
        for message in map(json.loads, whole):
            if "id" in message:
                self.answers[message["id"]] = message
            elif message.get("sessionId") in self.tabs:
                self.tabs[message["sessionId"]].take(message["method"], message["params"])

    def send(self, method, params=None, session=None, seconds=60):
        self.number += 1
        number, end = self.number, time.monotonic() + seconds * busy()
        message = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while number not in self.answers:
            if time.monotonic() > end:
                raise AssertionError("Chromium does not answer %s" % method)
            self.read(0.1)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise AssertionError("%s: %s" % (method, answer["error"]["message"]))
        return answer["result"]

    def open(self, url, width=1200, height=900, window=False):
        """A tab, or a window that is seen beside the others."""
        target = self.send("Target.createTarget", {"url": "about:blank", "newWindow": window})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = self.tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.send(domain + ".enable")
        tab.size(width, height)
        tab.go(url)
        return tab


class Tab:
    """`faults` are errors of scripts and what the policy refused; `dialogs` the questions asked, each answered by `accept`."""

    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.faults, self.dialogs, self.requests, self.accept = [], [], [], True

    def send(self, method, params=None, seconds=60):
        return self.browser.send(method, params, self.session, seconds)

    def take(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.faults.append(params["exceptionDetails"].get("exception", {}).get("description", str(params)))
        elif method == "Log.entryAdded" and params["entry"]["source"] != "network" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append((params["request"]["method"], params["request"]["url"], params["request"]["headers"]))
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.browser.number += 1
            os.write(self.browser.out, json.dumps({"id": self.browser.number, "method": "Page.handleJavaScriptDialog",
                "params": {"accept": self.accept}, "sessionId": self.session}).encode() + b"\0")

    def size(self, width, height, scale=1):
        self.send("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600})

    def go(self, url):
        self.send("Page.navigate", {"url": url})
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script, seconds=60):
        """The value of an expression, of a promise what it comes to."""
        done = self.send("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True,
                                              "userGesture": True}, seconds)
        if "exceptionDetails" in done:
            raise AssertionError("%s: %s" % (script, done["exceptionDetails"]["exception"].get("description")))
        return done["result"].get("value")

    def wait(self, condition, seconds=15):
        """What the expression is when it first is anything."""
        end = time.monotonic() + seconds * busy()
        while True:
            value = self.run("(v => v instanceof Node || v)(%s)" % condition)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("%s: not within %d s; the page says %r" % (condition, seconds * busy(), self.text()[:4000]))
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
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": count})

    def enter(self, of, text):
        """Types a text in the place of what a field holds, or chooses what a list offers."""
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
            self.send("Input.insertText", {"text": text}) if text else self.key("Delete")
            self.run("document.activeElement.dispatchEvent(new Event('change', { bubbles: true }))")

    def key(self, key):
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "Delete": 46, " ": 32}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "windowsVirtualKeyCode": codes[key],
                                                 **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {})})

    def choose(self, of, path):
        """Gives a file to a field for files."""
        document = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", {"nodeId": document, "selector": of})["nodeId"]
        self.send("DOM.setFileInputFiles", {"nodeId": node, "files": [path]})
