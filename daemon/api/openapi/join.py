#!/usr/bin/env python3
"""Joins the parts of the description of the HTTP interface: objects are merged, and nothing may stand in two parts.
join.py OUTPUT PART..."""
import json
import sys


def merge(into, part, at):
    for key, value in part.items():
        if key not in into:
            into[key] = value
        elif at == '' or isinstance(value, dict) and at == '/components':
            merge(into[key], value, at + '/' + key)
        else:
            sys.exit('%s/%s stands in two parts' % (at, key))


def only_once(pairs):
    seen = dict(pairs)
    if len(seen) < len(pairs):
        raise ValueError('a key stands twice in one object, among %s' % ', '.join(seen))
    return seen


def joined(paths):
    whole = {}
    for path in paths:
        with open(path, encoding='ascii') as f:
            merge(whole, json.load(f, object_pairs_hook=only_once), '')
    return whole


if __name__ == '__main__':
    with open(sys.argv[1], 'w', encoding='ascii') as out:
        json.dump(joined(sys.argv[2:]), out, separators=(',', ':'))
        out.write('\n')
