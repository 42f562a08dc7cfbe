#!/usr/bin/env python3
"""Dependencies point one way: every #include is held against the table below; and no two headers, and no two modules
(outside backend/ref, whose files carry the names of the ops), are called the same. rooms.py SOURCE_ROOT"""
import os
import re
import sys

# room: the rooms whose headers it may include
BASE, DEVICE = {'base'}, {'base', 'device'}
ENGINE = DEVICE | {'ops', 'ref', 'net', 'zoo', 'data', 'model', 'train'}
# Of the daemon's rooms each may include those of the line, and of the engine what it likes.
DAEMON = {'daemon/' + room: ENGINE | {'daemon/' + r for r in [room] + more.split()} for room, more in {
    'common': '',
    'store': 'common',
    'people': 'common store',
    'http': 'common people',
    'decoder': 'common',
    'devices': 'common',
    'worker': 'common decoder devices',
    'models': 'common store people decoder',
    'datasets': 'common store people http decoder',
    'jobs': 'common store people http devices models datasets',
    'serving': 'common people http decoder devices models',
    'api': 'common store people http decoder devices worker models datasets jobs serving',
}.items()}
DAEMON['daemon'] = ENGINE | {'daemon'} | set(DAEMON) - {'daemon/serving', 'daemon/jobs'}
MAY = {
    'backend/base': BASE,
    'backend/device': DEVICE,
    'backend/ref': DEVICE | {'ref', 'ops'},
    'backend/ops': DEVICE | {'ops', 'ref'},
    'backend/net': DEVICE | {'ops', 'net'},
    'backend/zoo': DEVICE | {'ops', 'net', 'zoo'},
    'backend/data': BASE | {'data'},
    'backend/model': BASE | {'model'},
    'backend/train': ENGINE,
    **DAEMON,
    'client': BASE | {'client'},
}
# Libraries that only some rooms may see.
LIBRARIES = {
    r'hdf5\.h': set(),
    r'CL/': {'backend/device'},
    r'clblast': {'backend/device'},
    r'sqlite3\.h': {'daemon/store', 'daemon/api'},
    r'microhttpd\.h': {'daemon/http', 'daemon/api'},
    r'gnutls/': {'backend/data', 'daemon/http', 'daemon/people', 'daemon/store'},
    r'seccomp': {'daemon/decoder'},
    r'curl/': {'client'},
    r'(windows|winhttp|bcrypt)\.h': {'backend/base', 'client'},
    r'(tiffio|jpeglib|jerror|png|libdeflate|archive|archive_entry)\.h': {'backend/data'},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def faults(room, name, text):
    for kind, target in INCLUDE.findall(text):
        for library, rooms in LIBRARIES.items():
            if kind == '<' and re.match(library, target) and room not in rooms:
                yield '%s includes <%s>' % (name, target)
        folder = os.path.dirname(target)
        if kind == '"' and folder and folder not in MAY[room]:
            yield '%s (%s) includes "%s"' % (name, room, target)


def namesakes(names):
    """`names` are room/file; those whose file a name before has."""
    seen = {}
    for name in names:
        room, file = os.path.split(name)
        if room == 'backend/ref' and file.endswith('.c'):
            continue
        if file in seen:
            yield '%s and %s have one name' % (seen[file], name)
        seen[file] = name


def main():
    root, names = sys.argv[1], []
    found, seen = [], 0
    for top in ('backend', 'daemon', 'client'):
        for folder, _, files in os.walk(os.path.join(root, top)):
            if any(f.endswith(('.c', '.h')) for f in files) and os.path.relpath(folder, root) not in MAY:
                found.append('%s is no room of the table' % os.path.relpath(folder, root))
    for room in MAY:
        for name in sorted(os.listdir(os.path.join(root, room))):
            if name.endswith(('.c', '.h')):
                seen += 1
                names.append(room + '/' + name)
                with open(os.path.join(root, room, name), encoding='utf-8') as f:
                    found += faults(room, room + '/' + name, f.read())
    found += namesakes(names)
    # The check itself must be able to fail.
    assert list(faults('client', 'x', '#include "train/train.h"')), 'the check finds nothing'
    assert list(faults('backend/net', 'x', '#include <CL/cl.h>')), 'the check finds nothing'
    assert list(faults('daemon/store', 'x', '#include "daemon/jobs/jobs.h"')), 'the check finds nothing'
    assert list(namesakes(['client/x.h', 'daemon/x.h'])), 'the check finds nothing'
    print('\n'.join(found) or '%d files, every include in its room, every name once' % seen)
    sys.exit(1 if found or seen < 20 else 0)


main()
