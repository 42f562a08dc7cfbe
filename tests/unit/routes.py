#!/usr/bin/env python3
"""docs/api.md has a line, and the description in OpenAPI an operation, for every route of daemon/api/api.c, and for no
other. routes.py SOURCE_ROOT OPENAPI_JSON"""
import json
import os
import re
import sys


def read(*path):
    with open(os.path.join(sys.argv[1], *path), encoding='utf-8') as f:
        return f.read()


def plain(path):
    return re.sub(r'\{[a-z]+\}', '{}', path)


def compare(name, told, code):
    faults = ['%s lacks %s %s' % (name, *r) for r in code if r not in told]
    faults += ['%s tells of %s %s, which is no route' % (name, *r) for r in told if r not in code]
    return faults + ['%s tells of %s %s twice' % (name, *r) for r in set(told) if told.count(r) > 1]


def described(document):
    """(method, path) of each operation, and what is wrong with its names and parameters."""
    told, faults, ids = [], [], []
    for path, item in document['paths'].items():
        for method, operation in item.items():
            if method == 'parameters':
                continue
            told.append((method.upper(), plain(path)))
            ids.append(operation['operationId'])
            parameters = item.get('parameters', []) + operation.get('parameters', [])
            parameters = [document['components']['parameters'][p['$ref'].split('/')[-1]] if '$ref' in p else p for p in parameters]
            named = sorted(p['name'] for p in parameters if p['in'] == 'path')
            if named != sorted(re.findall(r'\{([a-z]+)\}', path)):
                faults.append('%s %s has the parameters %s' % (method, path, named))
            if operation['tags'][0] not in {t['name'] for t in document['tags']}:
                faults.append('%s %s has a tag that is not explained' % (method, path))
    return told, faults + ['%s names two operations' % i for i in set(ids) if ids.count(i) > 1]


def unused(document):
    """Components that nothing refers to, references to nothing."""
    text = json.dumps(document)
    referred = set(re.findall(r'"#/components/([^"]+)"', text))
    there = {'%s/%s' % (kind, name) for kind, named in document['components'].items() for name in named if kind != 'securitySchemes'}
    return ['%s is used by nothing' % n for n in there - referred] + ['%s is not there' % n for n in referred - there]


def main():
    code = re.findall(r'^\s*\{"([A-Z]+)", "([^"]+)", HTTP_', read('daemon', 'api', 'api.c'), re.M)
    listed = [(method, plain(path)) for method, path in re.findall(r'^\| `([A-Z]+) (/[^` ]*)` \|', read('docs', 'api.md'), re.M)]
    with open(sys.argv[2], encoding='ascii') as f:
        document = json.load(f)
    told, faults = described(document)
    faults += compare('docs/api.md', listed, code) + compare('the description', told, code) + unused(document)
    if len(code) < 30:
        faults.append('daemon/api/api.c has only %d routes that this test can read' % len(code))
    print('\n'.join(faults) or '%d routes' % len(code))
    return 1 if faults else 0


sys.exit(main())
