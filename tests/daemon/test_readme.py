#!/usr/bin/env python3
"""The README's shell examples, run as they stand against a live daemon; its configuration table against --help."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import BINARY, Daemon, main

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
CNNCTL = os.environ.get('CNNCTL', os.path.join(ROOT, 'build', 'client', 'cnnctl'))
# curl's own exit status must show an answer of 4xx, which `curl -s` alone hides.
STRICT = 'set -eu\ncurl() { command curl --fail-with-body "$@"; }\n'


def readme():
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as f:
        return f.read()


class Readme(unittest.TestCase):
    def test_shell_examples(self):
        blocks = re.findall(r'^```sh\n(.*?)^```', readme(), re.S | re.M)
        self.assertGreaterEqual(len(blocks), 5)
        folder = tempfile.mkdtemp(prefix='cnnd-readme-')
        self.addCleanup(shutil.rmtree, folder)
        subprocess.run([sys.executable, os.path.join(HERE, '..', 'golden', 'pngs.py'), folder, '1'], check=True)
        os.rename(os.path.join(folder, '00-ankle-boot.png'), os.path.join(folder, 'boot.png'))
        with Daemon() as daemon:
            daemon.need_fashion()
            env = dict(os.environ, CNND_URL=daemon.url,
                       PATH=os.path.dirname(os.path.abspath(CNNCTL)) + os.pathsep + os.environ['PATH'])
            for block in blocks:
                done = subprocess.run(['bash', '-c', STRICT + block], cwd=folder, env=env, timeout=120,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual(done.returncode, 0, block + done.stdout.decode(errors='replace')[-2000:])
            for name in ('curve.svg', 'first.safetensors', 'second.safetensors'):
                self.assertGreater(os.path.getsize(os.path.join(folder, name)), 1000, name)

    def test_configuration_table(self):
        options = re.findall(r'^\s+--([a-z][a-z-]*)', subprocess.check_output([BINARY, '--help'], text=True), re.M)
        self.assertGreater(len(options), 5)
        told = re.findall(r'^\| `--([a-z-]+)', readme(), re.M)
        self.assertEqual(sorted(set(options)), sorted(told))


if __name__ == '__main__':
    main()
