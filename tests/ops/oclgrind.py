#!/usr/bin/env python3
"""Runs a test of ops under oclgrind: oclgrind.py BINARY KERNELS_FOLDER PART

Oclgrind interprets every kernel and reports accesses out of bounds, data races, divergent barriers and reads of what
nobody wrote. Its exit status says nothing of them: a log that is not empty is the failure. Status 77 where there is no
oclgrind.

PART is "convolutions" or "others" for accesses and races; "augment" for those of train's test of that name; "uninitialized-0" or
"-1", half of the trials each; or "faults", for oclgrind itself: it works on one core, so that these go side by side. Uninitialised values have a run of their own, because oclgrind 21.10 follows uninitialised values wrongly: it stops at LLVM's `freeze`, which optimised
divisions have, hence -O0; and where a shuffle gives a shorter vector (v.hi, v.s012) it looks the upper elements up in the
wrong operand, which reports what is fine or ends the process. So that check is for kernels without vectors alone; and "augment" takes
columns one by one where their places come from such shuffles."""
import os
import shutil
import subprocess
import sys
import tempfile

MEMORY_AND_RACES = ['--data-races', '--uniform-writes', '--max-errors', '20']
UNINITIALIZED = ['--uninitialized', '--build-options', '-O0', '--max-errors', '20']


def run(checks, binary, folder, **env):
    """The program's status, what it printed, and the log."""
    log = os.path.join(folder, 'log')
    environment = {k: v for k, v in os.environ.items() if k not in ('CNND_DEVICE', 'CNND_TEST_CACHE')}
    environment.update(env, CNND_DEVICE='all', CNND_REQUIRE_DEVICE='1')
    done = subprocess.run(['oclgrind', '--log', log] + checks + [binary], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    with open(log, encoding='utf-8', errors='replace') as f:
        return done.returncode, done.stdout, f.read()


def check(checks, binary, folder, **env):
    status, output, log = run(checks, binary, folder, **env)
    print(output, flush=True)
    if 'Oclgrind' not in output or status != 0:
        sys.exit('%s did not run through under oclgrind: status %d' % (binary, status))
    if log:
        sys.exit(log)


LINE = 'AT(y, block)[i] = activate(AT(a, block)[i] + AT(b, block)[i], activation);'
FAULTS = [
    (MEMORY_AND_RACES, 'AT(y, block)[i + 1000000] = 0.0f;', 'Invalid write'),
    (MEMORY_AND_RACES, 'AT(y, block)[0] = (float)i;', 'data race'),
    (UNINITIALIZED, 'float v[2]; v[i & 1] = 0.0f; AT(y, block)[i] = v[~i & 1];', 'Uninitialized value'),
]


VECTORS = '#if LANES == 32\n#define WIDE 1\n'


def without_vectors(kernels, folder):
    """A copy in which the places that an image is read at are worked out one by one."""
    copy = os.path.join(folder, 'kernels')
    shutil.copytree(kernels, copy)
    path = os.path.join(copy, 'gather.cl')
    with open(path, encoding='ascii') as f:
        source = f.read()
    if VECTORS not in source:
        sys.exit('kernels/gather.cl has changed: no vectors to leave out')
    with open(path, 'w', encoding='ascii') as f:
        f.write(source.replace(VECTORS, VECTORS.replace('LANES == 32', '1')))
    return copy


def check_the_checker(binary, kernels, folder):
    """Every kind of fault must be found in a kernel that has it."""
    broken = os.path.join(folder, 'kernels')
    shutil.copytree(kernels, broken)
    path = os.path.join(broken, 'join.cl')
    with open(path, encoding='ascii') as f:
        source = f.read()
    if LINE not in source:
        sys.exit('kernels/join.cl has changed: no place to break it at')
    for checks, wrong, message in FAULTS:
        with open(path, 'w', encoding='ascii') as f:
            f.write(source.replace(LINE, '{ %s }' % wrong))
        _, _, log = run(checks, binary, folder, CNND_KERNELS=broken, CNND_TEST_ONLY='add')
        if message not in log:
            sys.exit('oclgrind says nothing of "%s" where it should: %s' % (message, log))


def main():
    if not shutil.which('oclgrind'):
        print('skipped: oclgrind is not installed')
        sys.exit(77)
    binary, kernels, part = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        if part == 'faults':
            check_the_checker(binary, kernels, folder)
        elif part == 'augment':
            check(MEMORY_AND_RACES, binary, folder, CNND_KERNELS=without_vectors(kernels, folder))
        elif part.startswith('uninitialized-'):
            check(UNINITIALIZED, binary, folder, CNND_TEST_SCALAR='1', CNND_TEST_HALF=part[-1])
        else:
            check(MEMORY_AND_RACES, binary, folder, CNND_TEST_ONLY={'convolutions': 'conv2d', 'others': '-conv2d'}[part])


main()
