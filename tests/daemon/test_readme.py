#!/usr/bin/env python3
"""The shell examples of README and of the pages that go on where it ends, run as they stand against a live daemon; the
configuration table against --help; links to files and headings that are there."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import BINARY, Daemon, main

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
CNNCTL = os.environ.get('CNNCTL', os.path.join(ROOT, 'build', 'client', 'cnnctl'))
# The daemon's, as README has it started.
ADDRESS = 'http://127.0.0.1:7420'
# curl's own exit status must show an answer of 4xx, which `curl -s` alone hides.
STRICT = """set -Eeu
curl() { command curl --fail-with-body "$@"; }
trap 'echo "README: $BASH_COMMAND"' ERR
"""


# In the order in which a reader meets them.
PAGES = ['README.md', 'docs/images.md', 'docs/datasets.md', 'docs/jobs.md', 'docs/models.md', 'docs/cnnctl.md']


def text(page):
    with open(os.path.join(ROOT, page), encoding='utf-8') as f:
        return f.read()


def anchors(page):
    """Those that GitHub gives the page's headings."""
    headings = re.findall(r'^#+ (.*)$', re.sub(r'^```.*?^```', '', text(page), flags=re.S | re.M), re.M)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


class Readme(unittest.TestCase):
    def test_shell_examples(self):
        blocks = [block for page in PAGES for block in re.findall(r'^```sh\n(.*?)^```', text(page), re.S | re.M)]
        self.assertGreaterEqual(len(blocks), 5)
        folder = tempfile.mkdtemp(prefix='cnnd-readme-')
        self.addCleanup(shutil.rmtree, folder)
        # A checkout that was built, but for files that the commands make.
        os.makedirs(os.path.join(folder, 'build'))
        os.symlink(os.path.dirname(os.path.abspath(CNNCTL)), os.path.join(folder, 'build', 'client'))
        os.symlink(os.path.join(ROOT, 'tests'), os.path.join(folder, 'tests'))
        env = {k: v for k, v in os.environ.items() if not k.startswith('CNND_URL')}
        with Daemon() as daemon:
            daemon.need_fashion()
            script = STRICT + ''.join(blocks)
            self.assertIn(ADDRESS, script)
            done = subprocess.run(['bash', '-c', script.replace(ADDRESS, daemon.url)], cwd=folder, env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, done.stdout.decode(errors='replace')[-3000:])
            for name in ('boot.png', 'curve.svg', 'map.png', 'overlay.png', 'sheet.png', 'first.safetensors', 'second.safetensors'):
                self.assertGreater(os.path.getsize(os.path.join(folder, name)), 100, name)

    def test_configuration_table(self):
        options = re.findall(r'^\s+--([a-z][a-z-]*)', subprocess.check_output([BINARY, '--help'], text=True), re.M)
        self.assertGreater(len(options), 5)
        told = re.findall(r'^\| `--([a-z-]+)', text('docs/operating.md'), re.M)
        self.assertEqual(sorted(set(options)), sorted(told))

    def test_links(self):
        pages = [os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, '*.md')) + glob.glob(os.path.join(ROOT, 'docs', '**', '*.md'),
                                                                                                    recursive=True)]
        self.assertGreater(len(pages), len(PAGES))
        for page in pages:
            for link in re.findall(r'\]\(([^)\s]+)\)', text(page)):
                if re.match(r'[a-z]+:', link):
                    continue
                file, _, anchor = link.partition('#')
                file = os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page
                with self.subTest(page=page, link=link):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, file)))
                    if anchor:
                        self.assertIn(anchor, anchors(file))


if __name__ == '__main__':
    main()
