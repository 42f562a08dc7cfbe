"""Chromium, by its DevTools protocol over two pipes."""

import contextlib
import os
import select
import subprocess

import browsing
from harness import die_with_parent

KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, "Delete": 46, " ": 32}


class Chromium(browsing.Browser):
    name, programs = "Chromium", ("chromium", "chromium-browser", "google-chrome")
    out = back = -1

    def launch(self):
        if not self.keep:
            os.mkdir(os.path.join(self.profile, "Default"))
            with open(os.path.join(self.profile, "Default/Preferences"), "w") as f:
                f.write('{"profile": {"default_content_setting_values": {"cookies": 2}}}')
        there, self.out = os.pipe()
        self.back, here = os.pipe()
        self.rest = b""

        def pipes():  # the protocol wants them as 3 and 4
            die_with_parent()
            a, b = os.dup(there), os.dup(here)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--force-color-profile=srgb", "--remote-debugging-pipe", "--user-data-dir=" + self.profile, "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(there)
        os.close(here)
        self.send("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": self.downloads})

    def quit(self):
        self.send("Browser.close")

    def hang_up(self):
        for pipe in (self.out, self.back):
            with contextlib.suppress(OSError):
                os.close(pipe)

    def receive(self, seconds):
        if not select.select([self.back], [], [], seconds)[0]:
            return []
        piece = os.read(self.back, 1 << 20)
        if not piece:
            raise AssertionError("Chromium has ended")
        *whole, self.rest = (self.rest + piece).split(b"\0")
        return whole

    def deliver(self, text):
        os.write(self.out, text.encode() + b"\0")

    def heard(self, message):
        if message.get("sessionId") in self.tabs:
            self.tabs[message["sessionId"]].take(message["method"], message["params"])

    def new_tab(self, window):
        target = self.send("Target.createTarget", {"url": "about:blank", "newWindow": window})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = self.tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Log"):
            tab.send(domain + ".enable")
        tab.send("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if self.calm else "no-preference"}]})
        return tab


class Tab(browsing.Tab):
    def __init__(self, browser, session, target):
        super().__init__(browser)
        self.session, self.target = session, target

    def send(self, method, params=None):
        return self.browser.send(method, params, sessionId=self.session)

    def take(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.faults.append(params["exceptionDetails"].get("exception", {}).get("description", str(params)))
        elif method == "Log.entryAdded" and params["entry"]["source"] != "network" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.browser.tell("Page.handleJavaScriptDialog", {"accept": self.accept}, sessionId=self.session)

    def size(self, width, height):
        self.send("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def go(self, url):
        self.send("Page.navigate", {"url": url})
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def close(self):
        self.browser.send("Target.closeTarget", {"targetId": self.target})

    def run(self, script):
        """The value of an expression, of a promise what it comes to."""
        done = self.send("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True,
                                              "userGesture": True})
        if "exceptionDetails" in done:
            raise AssertionError("%s: %s" % (script, done["exceptionDetails"]["exception"].get("description")))
        return done["result"].get("value")

    def press(self, x, y, times):
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": count})

    def type(self, text):
        for c in text:
            self.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": c, "text": c})
            self.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": c})

    def key(self, key):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "windowsVirtualKeyCode": KEYS[key],
                                                 **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {})})

    def roles(self):
        """What there is for screen readers: [role, name] of each node."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [[n["role"]["value"], n.get("name", {}).get("value", "")] for n in nodes if not n["ignored"]]

    def choose(self, of, path):
        document = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", {"nodeId": document, "selector": of})["nodeId"]
        self.send("DOM.setFileInputFiles", {"nodeId": node, "files": [path]})
