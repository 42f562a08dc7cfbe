#!/usr/bin/env python3
"""Writes a C file that holds the kernel sources (.cl) and tunings (.tune) given, by file name without its suffix."""
import os
import sys

out, paths = sys.argv[1], sorted(sys.argv[2:])


def name_of(path):
    return os.path.splitext(os.path.basename(path))[0]


def write_texts(f, table, suffix):
    chosen = [path for path in paths if path.endswith(suffix)]
    for path in chosen:
        f.write('static const char %s_%s[] =\n' % (table, name_of(path)))
        with open(path, encoding='ascii') as text:
            for line in text:
                f.write('        "%s\\n"\n' % line.rstrip('\n').replace('\\', '\\\\').replace('"', '\\"'))
        f.write('        "";\n\n')
    f.write('const struct source_file %s_files[] = {\n' % table)
    for path in chosen:
        f.write('        {"%s", %s_%s},\n' % (name_of(path), table, name_of(path)))
    f.write('};\nconst int %s_file_count = %d;\n' % (table, len(chosen)))


with open(out, 'w', encoding='ascii') as f:
    f.write('#include "device/source.h"\n\n')
    write_texts(f, 'source', '.cl')
    f.write('\n')
    write_texts(f, 'tune', '.tune')
