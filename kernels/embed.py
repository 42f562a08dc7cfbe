#!/usr/bin/env python3
"""Writes a C file that holds the kernel sources given, by file name without its suffix."""
import os
import sys

out, sources = sys.argv[1], sorted(sys.argv[2:])
with open(out, 'w', encoding='ascii') as f:
    f.write('#include "device/source.h"\n\n')
    for path in sources:
        name = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding='ascii') as source:
            f.write('static const char source_%s[] =\n' % name)
            for line in source:
                text = line.rstrip('\n').replace('\\', '\\\\').replace('"', '\\"')
                f.write('        "%s\\n"\n' % text)
            f.write('        "";\n\n')
    f.write('const struct source_file source_files[] = {\n')
    for path in sources:
        name = os.path.splitext(os.path.basename(path))[0]
        f.write('        {"%s", source_%s},\n' % (name, name))
    f.write('};\nconst int source_file_count = %d;\n' % len(sources))
