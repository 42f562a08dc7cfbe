#!/usr/bin/env python3
"""docs/api.md has a line for every route of daemon/api/api.c, and for no other. routes.py SOURCE_ROOT"""
import os
import re
import sys


def read(*path):
    with open(os.path.join(sys.argv[1], *path), encoding='utf-8') as f:
        return f.read()


def main():
    code = re.findall(r'^\s*\{"([A-Z]+)", "([^"]+)", HTTP_', read('daemon', 'api', 'api.c'), re.M)
    told = re.findall(r'^\| `([A-Z]+) (/[^` ]*)` \|', read('docs', 'api.md'), re.M)
    told = [(method, re.sub(r'\{[a-z]+\}', '{}', path)) for method, path in told]
    faults = ['docs/api.md lacks %s %s' % r for r in code if r not in told]
    faults += ['docs/api.md tells of %s %s, which is no route' % r for r in told if r not in code]
    faults += ['docs/api.md tells of %s %s twice' % r for r in set(told) if told.count(r) > 1]
    if len(code) < 30:
        faults.append('daemon/api/api.c has only %d routes that this test can read' % len(code))
    print('\n'.join(faults) or '%d routes' % len(code))
    return 1 if faults else 0


sys.exit(main())
