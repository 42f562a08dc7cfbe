"""The client's source for Windows compiles, by mingw-w64 and with warnings as errors. Nothing is linked: Debian has no
cJSON for mingw-w64, and a test fetches nothing (test_windows.py does)."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
TARGETS = ["backend/base/libbase.a", "client/libclient.a", "client/cnnctl.exe.p/cnnctl.c.obj"]


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("%s: %s%s" % (" ".join(words), done.stdout[-4000:], done.stderr[-4000:]))
    return done.stdout


missing = [name for name in ["x86_64-w64-mingw32-gcc-win32", "meson", "ninja", "pkg-config"] if not shutil.which(name)]
if missing:
    print("skipped: not installed: " + " ".join(missing))
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    # cJSON's header without the rest of /usr/include.
    headers = run("pkg-config", "--variable=includedir", "libcjson").strip()
    shutil.copytree(os.path.join(headers, "cjson"), os.path.join(folder, "include", "cjson"))
    with open(os.path.join(folder, "libcjson.pc"), "w") as f:
        f.write("Name: libcjson\nDescription: JSON\nVersion: 1\nCflags: -I${pcfiledir}/include -DCJSON_HIDE_SYMBOLS\n")
    build = os.path.join(folder, "build")
    run("meson", "setup", build, ROOT, "--cross-file", os.path.join(ROOT, "packaging", "windows.ini"), "-Dwerror=true",
        "-Dbuildtype=debug", "-Dpkg_config_path=" + folder)
    run("ninja", "-C", build, *TARGETS)
    for target in TARGETS:
        assert os.path.getsize(os.path.join(build, target)) > 1000, target
