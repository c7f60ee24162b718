# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine room of one device: makes its namespaces and its root, then is its first process.

Run by device.py on the host as `boot.py PLAN.json`. The caller's process stays outside and waits; its child is pid 1 of the device.
Pid 1 does what an init does for the product and nothing more: it starts the system bus and the command of the service unit, starts
either again when it ends (as Restart=always would), and reaps orphans. When pid 1 is killed, the kernel kills the whole device.
"""

import ctypes
import json
import os
import shlex
import signal
import socket
import sys
import time

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "i686": 217}[os.uname().machine]
FIRST_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source, target, kind=None, flags=0, data=None):
    os.makedirs(target, exist_ok=True)
    text = [word.encode() if word is not None else None for word in (source, target, kind)]
    check(libc.mount(text[0], text[1], text[2], ctypes.c_ulong(flags), data.encode() if data else None),
          f"mount {kind or 'bind'} {source} on {target} ({data or ''})")


def bind(source, target):
    """A folder, or a file or device node, shows up at another place too."""
    if not os.path.isdir(source):
        open(target, "w", encoding="ascii").close()
        check(libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(MS_BIND), None), f"bind {source} on {target}")
    else:
        mount(source, target, None, MS_BIND)


def build_root(plan):
    """Puts the device's root together: /usr and /etc are overlays over the host's, everything else is its own."""
    root = plan["root"]
    check(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "make mounts private")
    mount("tmpfs", root, "tmpfs", MS_NOSUID, "mode=755")
    for entry in os.scandir("/"):
        if entry.is_symlink() and os.readlink(entry.path).lstrip("/").startswith("usr/"):
            os.symlink(os.readlink(entry.path), f"{root}/{entry.name}")
    for name in plan["overlays"]:
        mount("overlay", f"{root}/{name}", "overlay", 0,
              f"lowerdir=/{name},upperdir={plan['disk']}/{name},workdir={plan['disk']}/.work-{name}")
    for name in ("bin", "sbin", "lib", "lib64"):
        # A root without merged /usr.
        if os.path.isdir(f"/{name}") and not os.path.lexists(f"{root}/{name}"):
            bind(f"/{name}", f"{root}/{name}")
    bind(f"{plan['disk']}/var", f"{root}/var")
    bind(plan["run"], f"{root}/run")
    for name in ("tmp", "var/tmp"):
        mount("tmpfs", f"{root}/{name}", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name in ("root", "home", "srv", "opt", "mnt", "media"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("sysfs", f"{root}/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("cgroup2", f"{root}/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        bind(f"/dev/{name}", f"{root}/dev/{name}")
    mount("devpts", f"{root}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in (("fd", "self/fd"), ("stdin", "self/fd/0"), ("stdout", "self/fd/1"), ("stderr", "self/fd/2")):
        os.symlink(f"/proc/{target}", f"{root}/dev/{name}")
    os.chdir(root)
    check(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    check(libc.umount2(b".", MNT_DETACH), "leave the old root")
    os.chdir("/")


def unit_service(path):
    """What a service unit says of its command: ExecStart=, RestartSec=, RestartPreventExitStatus=."""
    command, delay_s, final = None, 0.1, []
    with open(path, encoding="utf-8") as unit:
        for line in unit:
            key, _, value = line.strip().partition("=")
            if key == "ExecStart":
                command = shlex.split(value)
            elif key == "RestartSec":
                delay_s = float(value[:-2]) / 1000 if value.endswith("ms") else float(value.removesuffix("s"))
            elif key == "RestartPreventExitStatus":
                final = [int(word) for word in value.split()]
    if not command:
        raise ValueError(f"{path}: no ExecStart=")
    return Service(command, delay_s, final)


class Service:
    """One thing that pid 1 keeps running."""

    def __init__(self, argv, delay_s, final=()):
        self.argv = argv
        self.delay_s = delay_s
        self.final = final
        self.pid = 0
        self.due = 0.0
        self.last_start = 0.0

    def start(self):
        self.last_start = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                signal.pthread_sigmask(signal.SIG_SETMASK, [])
                os.execve(self.argv[0], self.argv, {"PATH": FIRST_PATH, "LANG": "C.UTF-8"})
            except OSError as error:
                os.write(2, f"init: {self.argv[0]}: {error}\n".encode())
            finally:
                os._exit(203)

    def ended(self, status, now):
        code = os.waitstatus_to_exitcode(status)
        how = f"signal {-code}" if code < 0 else f"exit {code}"
        self.pid = 0
        # Something that dies at once is not started in a busy loop; something that must not be started again is not.
        self.due = now + (self.delay_s if now - self.last_start > 0.2 else max(self.delay_s, 0.5))
        if code in self.final:
            self.due = float("inf")
        after = "left alone" if code in self.final else "starting it again"
        print(f"init: {os.path.basename(self.argv[0])} ended ({how}), {after}", file=sys.stderr, flush=True)


def be_init(plan):
    """Pid 1: never returns."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    services = []
    if plan["bus"]:
        os.makedirs("/run/dbus", exist_ok=True)
        services.append(Service(["/usr/bin/dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog"], 0.01))
    if plan["unit"]:
        services.append(unit_service(plan["unit"]))
    services += [Service(argv, 0.1) for argv in plan["services"]]
    while True:
        now = time.monotonic()
        for service in services:
            if not service.pid and now >= service.due:
                service.start()
        waits = [service.due - now for service in services if not service.pid]
        got = signal.sigtimedwait([signal.SIGCHLD, signal.SIGTERM], min(max(0.001, min(waits, default=3600.0)), 3600.0))
        if got is not None and got.si_signo == signal.SIGTERM:
            shut_down(services)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for service in services:
                if service.pid == pid:
                    service.ended(status, time.monotonic())


def shut_down(services):
    """SIGTERM to pid 1 switches the device off in good order: the unit first, its bus last."""
    for service in reversed(services):
        if service.pid:
            os.kill(service.pid, signal.SIGTERM)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == service.pid:
                    break
                if pid == 0:
                    signal.sigtimedwait([signal.SIGCHLD], 0.1)
    os._exit(0)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    # Whoever started the device takes it along when he dies, however he dies.
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    with open(plan["netns"], "rb") as netns:
        check(libc.setns(netns.fileno(), CLONE_NEWNET), "setns")
    check(libc.unshare(CLONE_NEWPID), "unshare pid")
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    try:
        check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        os.setsid()
        # First into the device's own cgroup, then the namespace whose root that is.
        with open(f"{plan['cgroup']}/cgroup.procs", "w", encoding="ascii") as procs:
            procs.write("0")
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC), "unshare")
        socket.sethostname(plan["name"])
        build_root(plan)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        be_init(plan)
    except BaseException as error:  # nobody else can say why a device did not start
        print(f"init: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    main()
