#!/usr/bin/env python3
"""Writes a C file that holds files by name, as the table of daemon/api/embedded.h. embed.py OUTPUT TABLE FILE..."""
import os
import sys

TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.json': 'application/json'}

with open(sys.argv[1], 'w', encoding='ascii') as f:
    f.write('#include "daemon/api/embedded.h"\n\n')
    for i, path in enumerate(sys.argv[3:]):
        f.write('static const char text%d[] =\n' % i)
        with open(path, encoding='ascii') as text:
            for line in text:
                f.write('        "%s\\n"\n' % line.rstrip('\n').replace('\\', '\\\\').replace('"', '\\"'))
        f.write('        "";\n\n')
    f.write('const struct embedded %s[] = {\n' % sys.argv[2])
    for i, path in enumerate(sys.argv[3:]):
        name = os.path.basename(path)
        f.write('        {"%s", "%s", text%d, sizeof text%d - 1},\n' % (name, TYPES[os.path.splitext(name)[1]], i, i))
    f.write('        {0},\n};\n')
