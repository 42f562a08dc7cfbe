#!/usr/bin/env python3
"""The page for browsers: what it is served with, and what its files may not hold. What it does in one is test_form.py's and test_watch.py's."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import Daemon, main

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../daemon/page")


def read(name):
    with open(os.path.join(FOLDER, name), encoding="ascii") as f:
        return f.read()


NAMES = sorted(n for n in os.listdir(FOLDER) if n.endswith((".html", ".css", ".js")))
SCRIPTS = [n for n in NAMES if n.endswith(".js")]


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon({"device": "9:9"}, device=False))

    def test_files_as_they_are(self):
        types = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
        for name in NAMES:
            status, headers, body = self.daemon.request("GET", "/page/" + name)
            self.assertEqual((status, body.decode()), (200, read(name)), name)
            self.assertEqual(headers["Content-Type"], types[os.path.splitext(name)[1]])
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(self.daemon.request("GET", "/")[2].decode(), read("page.html"))

    def test_nothing_else_is_there(self):
        for path in ("/page", "/page/", "/page/meson.build", "/page/..%2Fpage.html", "/page/PAGE.HTML", "/page/main.js/x"):
            self.assertIn(self.daemon.request("GET", path)[0], (400, 404), path)
        self.assertEqual(self.daemon.request("GET", "/?x=1")[0], 422)
        self.assertEqual(self.daemon.request("POST", "/", b"")[0], 405)

    def test_policy(self):
        for path in ("/", "/page/main.js"):
            headers = self.daemon.request("GET", path)[1]
            policy = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
            self.assertEqual(policy["default-src"], "'none'")
            for rule in ("base-uri", "form-action", "frame-ancestors"):
                self.assertEqual(policy[rule], "'none'", rule)
            for rule in ("script-src", "style-src", "connect-src"):
                self.assertEqual(policy[rule], "'self'", rule)
            self.assertEqual(headers["Referrer-Policy"], "no-referrer")


class Files(unittest.TestCase):
    """The policy would stop most of this in the browser; here it is seen before."""

    def test_what_is_asked_for_is_there(self):
        page = read("page.html")
        asked = re.findall(r'(?:src|href)="([^"]*)"', page)
        self.assertEqual({a for a in asked if a != "data:," and a[0] != "#"}, {"page/main.js", "page/page.css"})
        self.assertLessEqual({a[1:] for a in asked if a[0] == "#"}, set(re.findall(r'\bid="([^"]*)"', page)))
        for name in SCRIPTS:
            for path in re.findall(r'\bfrom "([^"]*)"', read(name)):
                self.assertIn(path[2:], SCRIPTS, name)

    def test_nothing_comes_from_elsewhere(self):
        for name in NAMES:
            self.assertNotRegex(read(name), r"https?:|\burl\(|@import|//[a-z]+\.[a-z]", name)

    def test_no_name_becomes_markup(self):
        for name in SCRIPTS:
            self.assertNotRegex(read(name), r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b", name)
        self.assertNotRegex(read("page.html"), r"\son[a-z]+=|\sstyle=|<style|<script>")

    def test_elements(self):
        page = read("page.html")
        ids = re.findall(r'\bid="([^"]*)"', page)
        self.assertEqual(len(ids), len(set(ids)))
        for name in SCRIPTS:
            for one in re.findall(r'\bby\("([^"]*)"\)', read(name)):
                self.assertIn(one, ids, name)
        for one in re.findall(r'\b(?:for|aria-labelledby)="([^"]*)"', page):
            self.assertIn(one, ids)
        for tag, given in re.findall(r"<(input|select|textarea)\b([^>]*)>", page):
            known = re.search(r'\bid="([^"]*)"', given)
            self.assertTrue(known is None or 'for="%s"' % known.group(1) in page or re.search(r"<label>(?:<[^>]*>)?\s*<[^>]*%s" % known.group(0), page), given)

    def test_addresses_are_routes(self):
        with open(os.path.join(FOLDER, "../api/api.c"), encoding="utf-8") as f:
            routes = {re.sub(r"\{\}", "*", path) for path in re.findall(r'"(/[^"]*)", HTTP_', f.read())}
        seen = 0
        for name in SCRIPTS:
            for path in re.findall(r'"(v1/[a-z]+)[?"/]', read(name)):
                seen += 1
                self.assertIn("/" + path, routes, name)
        self.assertGreater(seen, 8)


class Logic(unittest.TestCase):
    @unittest.skipUnless(shutil.which("node"), "node, which runs the page's scripts outside a browser, is not installed")
    def test_scripts(self):
        folder = tempfile.mkdtemp(prefix="cnnd-page-")
        self.addCleanup(shutil.rmtree, folder)
        for name in SCRIPTS:
            shutil.copy(os.path.join(FOLDER, name), folder)
        shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.js"), os.path.join(folder, "test.js"))
        with open(os.path.join(folder, "package.json"), "w") as f:
            f.write('{"type": "module"}')
        done = subprocess.run(["node", os.path.join(folder, "test.js")], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stdout + done.stderr)


if __name__ == "__main__":
    main()
