"""What tests/package/boot runs inside the system that it boots, as root: cnnd's packages under systemd itself.

Each boot has its checks, in this order; they stop at the first that fails. The last line is "N passed, N failed"."""
import ctypes
import json
import os
import subprocess
import sys
import time
import traceback

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKET = "/run/cnnd/socket"
USER = "anna"
# Of an emulated processor, on which a kernel's compilation takes minutes.
PATIENCE = 1500
DRAIN, STOP_TIMEOUT, WATCHDOG = 10, 20, 30
CLONE_NEWNS = 0x20000


def run(*words, check=True, **options):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError("%s: %d\n%s" % (" ".join(words), done.returncode, done.stdout[-3000:]))
    return done.stdout


def apt(*words):
    return run("apt-get", "-y", "-q", "--no-install-recommends", *words,
               env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))


def package(name, version=""):
    return os.path.join(HERE, "debs", version, name + ".deb")


def shown(*names):
    """Properties of the unit."""
    lines = run("systemctl", "show", "cnnd", "-p", ",".join(names)).splitlines()
    found = dict(line.split("=", 1) for line in lines)
    return found[names[0]] if len(names) == 1 else found


def as_user(*words, **options):
    return run("runuser", "-u", USER, "--", *words, **options)


def ask(path, check=True):
    """GET as an ordinary user over the Unix socket; None where cnnd is not there."""
    text = as_user("curl", "-s", "-m", "60", "--unix-socket", SOCKET, "http://localhost" + path, check=check)
    return json.loads(text) if text else None


def cnnctl(*words, **options):
    return as_user("cnnctl", "--url", "unix:" + SOCKET, *words, **options)


def submit(job):
    with open("/tmp/job.json", "w") as f:
        json.dump(job, f)
    os.chmod("/tmp/job.json", 0o644)
    return json.loads(cnnctl("submit", "/tmp/job.json", "--json"))["id"]


def wait_for(what, condition, seconds=PATIENCE):
    begun = time.monotonic()
    while True:
        value = condition()
        if value:
            return value, time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            raise AssertionError("%s: not within %d s\n%s" % (what, seconds, journal()[-3000:]))
        time.sleep(0.5)


def device_ready():
    answer = ask("/v1/devices", check=False)
    devices = answer["devices"] if answer and "devices" in answer else []
    return bool(devices) and devices[0]["state"] in ("ready", "busy")


def job_of(number):
    answer = ask("/v1/jobs/%d" % number, check=False)
    return answer if answer and "state" in answer else {"state": "", "progress": {"step": -1}}


def step_of(number):
    return (job_of(number).get("progress") or {}).get("step") or 0


def goes_on(number):
    """Waits until the job has made a step more than it has told of until now."""
    before = curve(number)["train"]["step"]
    last = before[-1] if before else 0
    seconds = wait_for("job %d beyond step %d" % (number, last), lambda: step_of(number) > last)[1]
    holds(job_of(number)["state"] in ("queued", "running"), "job %d is over" % number)
    return seconds


def curve(number):
    def asked():
        answer = ask("/v1/jobs/%d/curve" % number, check=False)
        return answer if answer and "train" in answer else None

    return wait_for("a curve", asked)[0]


def journal(*words):
    return run("journalctl", "-u", "cnnd", "--no-pager", "-o", "short-monotonic", *words)


def cursor():
    return run("journalctl", "-n", "0", "--show-cursor", "--no-pager").split("-- cursor: ")[1].strip()


def keep(**values):
    path = os.path.join(HERE, "kept.json")
    kept = {}
    if os.path.exists(path):
        with open(path) as f:
            kept = json.load(f)
    kept.update(values)
    with open(path, "w") as f:
        json.dump(kept, f)
    return kept


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def role(pid):
    with open("/proc/%d/cmdline" % pid) as f:
        words = f.read().split("\0")
    return words[words.index("--role") + 1] if "--role" in words else "front"


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f)


def in_unit(action):
    """What `action` says in a process with the unit's mounts, devices, user and groups."""
    pid = int(shown("MainPID"))
    like = status_of(pid)
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open("/sys/fs/cgroup/system.slice/cnnd.service/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))
            with open("/proc/%d/ns/mnt" % pid) as f:
                if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNS) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            os.setgroups([int(g) for g in like["Groups"].split()])
            os.setgid(int(like["Gid"].split()[0]))
            os.setuid(int(like["Uid"].split()[0]))
            said = action() or "done"
        except OSError as e:
            said = e.strerror
        os.write(write_fd, said.encode())
        os._exit(0)
    os.close(write_fd)
    os.waitpid(child, 0)
    with os.fdopen(read_fd) as f:
        return f.read()


def opening(path, flags=os.O_RDWR):
    def action():
        os.close(os.open(path, flags, 0o600))
    return action


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError("%s: %r, not %r" % (what, got, wanted))


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


# --- the first boot ---


def installs_and_starts():
    run("useradd", "--create-home", USER)
    apt("install", package("cnnd"), package("cnnctl"))
    wait_for("the unit", lambda: shown("ActiveState") == "active", 120)
    is_ = shown("Type", "NRestarts", "WatchdogUSec", "User", "UnitFileState", "Result")
    equal((is_["Type"], is_["NRestarts"], is_["User"], is_["UnitFileState"]), ("notify", "0", "cnnd", "enabled"), "unit")
    for path, mode in (("/var/lib/cnnd", 0o700), ("/run/cnnd", 0o755), (SOCKET, 0o666)):
        at = os.stat(path)
        equal((at.st_uid, at.st_mode & 0o777), (int(run("id", "-u", "cnnd")), mode), path)
    return "active, " + ", ".join("%s=%s" % pair for pair in sorted(is_.items()))


def has_a_device():
    seconds = wait_for("a device", device_ready)[1]
    return "ready after %.0f s\n%s" % (seconds, cnnctl("devices"))


def is_confined():
    pid = int(shown("MainPID"))
    said = []
    wait_for("a decoder", lambda: "decoder" in [role(p) for p in children(pid)], 60)
    for p in [pid] + children(pid):
        is_ = status_of(p)
        equal((is_["NoNewPrivs"], int(is_["CapBnd"], 16), is_["Seccomp"]), ("1", 0, "2"), role(p))
        said.append("%s has %s filters" % (role(p), is_["Seccomp_filters"]))
    for path, wanted in (("/etc/cnnd/x", "Read-only file system"), ("/usr/x", "Read-only file system"),
                         ("/home/x", "Read-only file system"), ("/var/lib/cnnd/x", "done"), ("/tmp/x", "done")):
        got = in_unit(opening(path, os.O_CREAT | os.O_WRONLY))
        holds(got == wanted or (wanted != "done" and got == "Permission denied"), "%s: %s" % (path, got))
        said.append("%s: %s" % (path, got))
    equal(in_unit(lambda: " ".join(os.listdir("/home"))), "Permission denied", "/home")
    equal(os.path.exists("/tmp/x"), False, "/tmp of its own")
    os.unlink("/var/lib/cnnd/x")
    return ", ".join(said)


def opens_gpus_alone():
    """A render node without a GPU (the kernel's vgem), and the machine's disk."""
    run("modprobe", "vgem")
    run("udevadm", "settle")
    nodes = ["/dev/dri/" + name for name in sorted(os.listdir("/dev/dri")) if name.startswith("renderD")]
    holds(nodes, "vgem made no render node")
    late = in_unit(opening(nodes[0]))
    run("systemctl", "restart", "cnnd")
    equal(in_unit(opening(nodes[0])), "done", nodes[0])
    os.chmod("/dev/vda", 0o666)
    equal(in_unit(opening("/dev/vda", os.O_RDONLY)), "Operation not permitted", "/dev/vda")
    os.chmod("/dev/vda", 0o660)
    return "%s opens; where its driver came after cnnd's start: %s" % (nodes[0], late)


def trains():
    wait_for("a device", device_ready)
    number = submit(harness.small_job(name="first", architecture="bn-lenet", epochs=1, save_as="first",
                                      dataset={"name": "fashion-mnist", "limit": 256, "val_limit": 64}))
    job, seconds = wait_for("job %d" % number, lambda: job_of(number)["state"] not in ("", "queued", "running")
                            and job_of(number))
    equal((job["state"], job["user"]), ("succeeded", USER), str(job["error"]))
    return "bn-lenet in %.0f s, %s" % (seconds, job["metrics"])


def classifies():
    with open("/tmp/image.png", "wb") as f:
        f.write(harness.png(28, 28, bytes(range(196)) * 4))
    os.chmod("/tmp/image.png", 0o644)
    begun = time.monotonic()
    said = cnnctl("classify", "first", "/tmp/image.png", "--top", "1")
    equal("no Landlock" in journal(), False, "Landlock")
    return "%.1f s\n%s" % (time.monotonic() - begun, said)


def begins_a_long_job():
    number = submit(harness.long_job(report_every=16, epochs=100000))
    keep(long=number)
    wait_for("its first steps", lambda: step_of(number) > 16)
    return "job %d goes on through all that follows" % number


def drains():
    number = keep()["long"]
    before, begun = step_of(number), time.monotonic()
    run("systemctl", "stop", "cnnd")
    seconds = time.monotonic() - begun
    is_ = shown("ActiveState", "Result", "ExecMainStatus")
    equal((is_["ActiveState"], is_["Result"], is_["ExecMainStatus"]), ("inactive", "success", "0"), "stop")
    holds(seconds < STOP_TIMEOUT, "%.1f s to stop" % seconds)
    equal((os.path.exists(SOCKET), os.path.exists("/run/cnnd")), (False, False), "/run/cnnd")
    run("systemctl", "start", "cnnd")
    job = wait_for("the job", lambda: job_of(number)["state"] and job_of(number))[0]
    holds(job["progress"]["step"] >= before, "back from step %d to %d" % (before, job["progress"]["step"]))
    return "stopped in %.1f s after step %d; next step %.0f s after start" % (seconds, before, goes_on(number))


def restarted_after(what, signal_it, result, seconds):
    number, restarts, since = keep()["long"], int(shown("NRestarts")), cursor()
    pid = shown("MainPID")
    signal_it(int(pid))
    _, took = wait_for("a restart", lambda: int(shown("NRestarts")) > restarts and shown("ActiveState") == "active",
                       seconds)
    said = run("journalctl", "--after-cursor", since, "-u", "cnnd", "--no-pager", "-o", "cat")
    holds("Failed with result '%s'" % result in said, said)
    holds(shown("MainPID") != pid, "the same process")
    return "%s: active again after %.1f s, next step after %.0f s" % (what, took, goes_on(number))


def watchdog_restarts():
    return restarted_after("SIGSTOP", lambda pid: os.kill(pid, 19), "watchdog", WATCHDOG + STOP_TIMEOUT + 30)


def kill_restarts():
    return restarted_after("SIGKILL of all", lambda _: run("systemctl", "kill", "-s", "KILL", "cnnd"), "signal", 60)


def kill_of_front_restarts():
    return restarted_after("SIGKILL of the front", lambda pid: os.kill(pid, 9), "signal", 60)


def logs_are_clean():
    """Nothing of what the kernel or the filters refused; what is a warning or worse is shown."""
    log = run("journalctl", "-b", "-u", "cnnd", "--no-pager", "-o", "cat", "_SYSTEMD_UNIT=cnnd.service")
    for word in ("not permitted", "ermission denied", "Read-only", "SIGSYS", "no Landlock"):
        holds(word not in log, [line for line in log.splitlines() if word in line])
    kernel = run("journalctl", "-b", "-k", "--no-pager", "-o", "cat")
    for word in ("type=1326", "segfault", "traps:"):
        holds(word not in kernel, [line for line in kernel.splitlines() if word in line])
    holds("<6>" not in log, "levels are not taken")
    return journal("-b", "-p", "warning")


# --- the second ---


def starts_at_boot():
    wait_for("the unit", lambda: shown("ActiveState") == "active", 120)
    equal(shown("NRestarts"), "0", "restarts")
    last = keep()["last"]
    number = keep()["long"]
    wait_for("a device", device_ready)
    job = job_of(number)
    holds(job["progress"]["step"] >= last, "back from step %d to %d" % (last, job["progress"]["step"]))
    return "job %d was at step %d before the machine was turned off, next step after %.0f s" % (
        number, last, goes_on(number))


def upgrades():
    number = keep()["long"]
    with open("/etc/cnnd/cnnd.conf", "a") as f:
        f.write("\nslice_seconds = 61\n")
    before, pid = step_of(number), shown("MainPID")
    apt("install", package("cnnd", "next"), package("cnnctl", "next"))
    wait_for("the unit", lambda: shown("ActiveState") == "active", 60)
    holds(shown("MainPID") != pid, "the service was not restarted")
    wait_for("the job", lambda: job_of(number)["progress"]["step"] >= before, 120)
    seconds = goes_on(number)
    with open("/etc/cnnd/cnnd.conf") as f:
        holds("slice_seconds = 61" in f.read(), "the configuration was replaced")
    pid = shown("MainPID")
    apt("install", "--reinstall", package("cnnd", "next"))
    holds(shown("MainPID") != pid, "the service was not restarted")
    goes_on(number)
    return "%s; next step %.0f s after it" % (run("dpkg-query", "-W", "-f", "${Package} ${Version} ", "cnnd", "cnnctl"),
                                              seconds)


def equals_an_undisturbed():
    """The curve that went through all of it, against one of as many steps in one go."""
    number = keep()["long"]
    run("cnnctl", "--url", "unix:" + SOCKET, "cancel", str(number))
    wait_for("the end", lambda: job_of(number)["state"] == "cancelled", 60)
    got = curve(number)["train"]
    steps = got["step"][-1]
    equal(got["step"], list(range(16, steps + 1, 16)), "steps")
    again = submit(harness.small_job(name="undisturbed", epochs=steps // 16, report_every=16))
    wait_for("job %d" % again, lambda: job_of(again)["state"] == "succeeded")
    wanted = curve(again)["train"]
    for column in ("step", "loss", "acc"):
        holds(got[column] == wanted[column], column + " differs from the undisturbed run's")
    return "%d points, none lost or doubled, all equal" % len(got["step"])


def leftovers():
    found = run("find", "/", "-xdev", "-iname", "*cnnd*", "-not", "-path", HERE + "/*").split()
    return sorted(found)


def removes():
    apt("remove", "cnnd", "cnnctl")
    equal(shown("ActiveState", "LoadState")["LoadState"] in ("not-found", "masked"), True, "unit")
    equal(shown("ActiveState"), "inactive", "unit")
    user = int(run("id", "-u", "cnnd"))
    left = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if os.stat("/proc/" + pid).st_uid == user]
    equal(left, [], "processes")
    left = leftovers()
    holds("/var/lib/cnnd" in left and os.listdir("/var/lib/cnnd"), left)
    holds("/etc/cnnd" in left, left)
    apt("install", package("cnnd"), package("cnnctl"))
    wait_for("the unit", lambda: shown("ActiveState") == "active", 60)
    equal(job_of(keep()["long"])["state"], "cancelled", "the job after a removal and an installation")
    holds("first" in cnnctl("models"), "the model")
    apt("remove", "cnnd", "cnnctl")
    return "after remove: " + " ".join(left)


def purges():
    apt("purge", "cnnd", "cnnctl")
    left = leftovers()
    equal(left, [], "left over")
    equal(run("systemctl", "list-unit-files", "cnnd*", "--no-legend", "--no-pager", check=False).strip(), "", "units")
    equal(os.path.exists("/run/cnnd"), False, "/run/cnnd")
    return "nothing named cnnd; user: %s" % run("id", "cnnd", check=False).strip()


BOOTS = [
    [installs_and_starts, has_a_device, is_confined, opens_gpus_alone, trains, classifies, begins_a_long_job, drains,
     watchdog_restarts, kill_restarts, kill_of_front_restarts, logs_are_clean],
    [starts_at_boot, upgrades, equals_an_undisturbed, logs_are_clean, removes, purges],
]


def main():
    boot = keep().get("boots", 0)
    keep(boots=boot + 1)
    passed = failed = 0
    for check in BOOTS[boot]:
        begun = time.monotonic()
        try:
            said = check()
            passed += 1
        except Exception:
            said = traceback.format_exc()
            failed += 1
        print("%s %s (%.0f s): %s" % ("ok" if not failed else "FAILED", check.__name__, time.monotonic() - begun, said),
              flush=True)
        if failed:
            print(journal()[-6000:])
            break
    if not failed and boot == 0:
        keep(last=step_of(keep()["long"]))
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
