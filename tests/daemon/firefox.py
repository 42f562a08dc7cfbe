"""Firefox, by WebDriver BiDi over a WebSocket."""

import contextlib
import json
import os
import subprocess
import time

import browsing
from harness import PATIENCE, die_with_parent
from websocket import WebSocket

KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c", "Delete": "\ue017", " ": " "}
# What the policy refuses is not among the errors that the protocol tells of.
REFUSED = """() => addEventListener("securitypolicyviolation",
  e => console.error("refused by " + e.effectiveDirective + ": " + e.blockedURI + " " + e.sample))"""


class Firefox(browsing.Browser):
    name, programs = "Firefox", ("firefox-esr", "firefox")
    socket = None

    def launch(self):
        with open(os.path.join(self.profile, "user.js"), "w") as f:
            for name, value in {"browser.download.folderList": 2, "browser.download.dir": self.downloads,
                                "ui.systemUsesDarkTheme": int(self.dark), "ui.prefersReducedMotion": int(self.calm),
                                **({} if self.keep else {"network.cookie.cookieBehavior": 2})}.items():
                f.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
        words = [self.program, "--headless", "--no-remote", "--profile", self.profile, "--width", "1400", "--height", "1100",
                 "--remote-debugging-port=0", "about:blank"]
        self.process = subprocess.Popen(words, env=dict(os.environ, HOME=self.profile), preexec_fn=die_with_parent,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.socket = WebSocket(*self.address(), "/session", PATIENCE)
        self.send("session.new", {"capabilities": {"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}})
        self.send("session.subscribe", {"events": ["log.entryAdded", "browsingContext.userPromptOpened"]})
        self.send("script.addPreloadScript", {"functionDeclaration": REFUSED})

    def address(self):
        """Where it listens; it writes that into its profile."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError), open(os.path.join(self.profile, "WebDriverBiDiServer.json")) as f:
                where = json.load(f)
                return where["ws_host"], where["ws_port"]
            time.sleep(0.05)
        raise AssertionError("Firefox did not start")

    def quit(self):
        self.send("browser.close")

    def hang_up(self):
        if self.socket:
            self.socket.close()

    def receive(self, seconds):
        return self.socket.receive(seconds)

    def deliver(self, text):
        self.socket.send(text)

    def heard(self, message):
        params = message["params"]
        context = params.get("context") or params.get("source", {}).get("context")
        if context in self.tabs:
            self.tabs[context].take(message["method"], params)

    def new_tab(self, window):
        context = self.send("browsingContext.create", {"type": "window" if window else "tab"})["context"]
        tab = self.tabs[context] = Tab(self, context)
        return tab


class Tab(browsing.Tab):
    def __init__(self, browser, context):
        super().__init__(browser)
        self.context = context

    def send(self, method, params=None):
        return self.browser.send(method, {"context": self.context, **(params or {})})

    def take(self, method, params):
        if method == "browsingContext.userPromptOpened":
            self.dialogs.append(params["message"])
            self.browser.tell("browsingContext.handleUserPrompt", {"context": self.context, "accept": self.accept})
        elif params["level"] == "error":
            self.faults.append(params["text"])

    def size(self, width, height):
        self.send("browsingContext.setViewport", {"viewport": {"width": width, "height": height}, "devicePixelRatio": 1})

    def go(self, url):
        self.send("browsingContext.navigate", {"url": url, "wait": "complete"})

    def close(self):
        self.send("browsingContext.close")

    def evaluate(self, script):
        done = self.browser.send("script.evaluate", {"expression": script, "target": {"context": self.context}, "awaitPromise": True,
                                                     "userActivation": True})
        if done["type"] == "exception":
            raise AssertionError("%s: %s" % (script, done["exceptionDetails"]["text"]))
        return done["result"]

    def run(self, script):
        """The value of an expression, of a promise what it comes to."""
        text = self.evaluate("(async () => JSON.stringify(await (%s)))()" % script).get("value")
        return None if text is None else json.loads(text)

    def act(self, kind, actions, **more):
        self.send("input.performActions", {"actions": [{"type": kind, "id": kind, "actions": actions, **more}]})

    def press(self, x, y, times):
        self.act("pointer", [{"type": "pointerMove", "x": round(x), "y": round(y)}] +
                 times * [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}])

    def type(self, text):
        self.act("key", [{"type": kind, "value": c} for c in text for kind in ("keyDown", "keyUp")])

    def key(self, key):
        self.type(KEYS[key])

    def choose(self, of, path):
        node = self.evaluate("document.querySelector(%s)" % json.dumps(of))
        self.send("input.setFiles", {"element": {"sharedId": node["sharedId"]}, "files": [path]})
