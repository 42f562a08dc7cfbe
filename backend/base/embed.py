#!/usr/bin/env python3
"""Writes a C file that holds text files, as one of the tables of embedded.h. embed.py OUTPUT TABLE FILE...

A function of a kernel file (.cl) that is inline and not static is refused: a compiler that calls it finds none, as C99 has it, and
drivers differ in what they call."""
import os
import re
import sys

TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.json': 'application/json'}

out, table, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
with open(out, 'w', encoding='ascii') as f:
    f.write('#include "base/embedded.h"\n\n')
    for i, path in enumerate(paths):
        f.write('static const char text%d[] =\n' % i)
        with open(path, encoding='ascii') as text:
            for line in text:
                if path.endswith('.cl') and re.search(r'(?<!static )\binline\b', line):
                    sys.exit('%s: inline, and not static: %s' % (path, line))
                f.write('        "%s\\n"\n' % line.rstrip('\n').replace('\\', '\\\\').replace('"', '\\"'))
        f.write('        "";\n\n')
    f.write('const struct embedded %s[] = {\n' % table)
    for i, path in enumerate(paths):
        name = os.path.basename(path)
        f.write('        {"%s", "%s", text%d, sizeof text%d - 1},\n' % (name, TYPES.get(os.path.splitext(name)[1], 'text/plain'), i, i))
    f.write('        {0},\n};\n')
