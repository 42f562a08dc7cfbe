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
# Where columns are taken one by one.
VECTORS = '#if LANES == 32\n#define WIDE 1\n'


def altered(kernels, folder, name, line, other):
    """A copy of the kernels' folder with one place of a file written otherwise."""
    copy = os.path.join(folder, 'kernels')
    shutil.copytree(kernels, copy, dirs_exist_ok=True)
    path = os.path.join(copy, name)
    with open(path, encoding='ascii') as f:
        source = f.read()
    if line not in source:
        sys.exit('kernels/%s has changed: there is no more "%s"' % (name, line))
    with open(path, 'w', encoding='ascii') as f:
        f.write(source.replace(line, other))
    return copy


def check_the_checker(binary, kernels, folder):
    """Every kind of fault must be found in a kernel that has it."""
    for checks, wrong, message in FAULTS:
        broken = altered(kernels, folder, 'join.cl', LINE, '{ %s }' % wrong)
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
            scalar = altered(kernels, folder, 'gather.cl', VECTORS, VECTORS.replace('LANES == 32', '1'))
            check(MEMORY_AND_RACES, binary, folder, CNND_KERNELS=scalar)
        elif part.startswith('uninitialized-'):
            check(UNINITIALIZED, binary, folder, CNND_TEST_SCALAR='1', CNND_TEST_HALF=part[-1])
        else:
            check(MEMORY_AND_RACES, binary, folder, CNND_TEST_ONLY={'convolutions': 'conv2d', 'others': '-conv2d'}[part])


main()
