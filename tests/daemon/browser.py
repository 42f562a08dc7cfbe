"""A browser without a screen, in which the page is tried: Chromium, or the one that CNND_TEST_BROWSER names.

    with Browser() as b:
        tab = b.open(daemon.url + "/")
        tab.wait("document.querySelector('h1')")

What a browser and a tab can do stands in browsing.py. A test that needs one skips where it is not installed.
"""

import os

from chromium import Chromium
from firefox import Firefox

Browser = {"chromium": Chromium, "firefox": Firefox}[os.environ.get("CNND_TEST_BROWSER", "chromium")]
