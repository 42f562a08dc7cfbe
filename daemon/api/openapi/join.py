#!/usr/bin/env python3
"""Joins the parts of the description of the HTTP interface: objects are merged, and nothing may stand in two parts. An
operation's list of "problems" becomes the responses to those statuses, with the default one for any other.
join.py OUTPUT PART..."""
import json
import sys

PROBLEMS = {
    400: 'BadRequest',
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'NotFound',
    409: 'Conflict',
    413: 'ContentTooLarge',
    415: 'UnsupportedMediaType',
    422: 'Unprocessable',
    429: 'TooManyRequests',
    503: 'Unavailable',
    507: 'InsufficientStorage',
}


def merge(into, part, at):
    for key, value in part.items():
        if key not in into:
            into[key] = value
        elif at == '' or isinstance(value, dict) and at == '/components':
            merge(into[key], value, at + '/' + key)
        else:
            sys.exit('%s/%s stands in two parts' % (at, key))


def answer_problems(operation):
    for status in operation.pop('problems'):
        operation['responses'][str(status)] = {'$ref': '#/components/responses/' + PROBLEMS[status]}
    operation['responses']['default'] = {'$ref': '#/components/responses/Problem'}


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
    for path in whole['paths'].values():
        for operation in path.values():
            if 'problems' in operation:
                answer_problems(operation)
    return whole


if __name__ == '__main__':
    with open(sys.argv[1], 'w', encoding='ascii') as out:
        json.dump(joined(sys.argv[2:]), out, separators=(',', ':'))
        out.write('\n')
