# SPDX-License-Identifier: LGPL-2.1-or-later
"""One device whose files are copied to another: by our syncd, by rsync (its daemon on the other side), or by lsyncd with rsync.

All are driven by the same words. The files are on a disk, in folders of their own; what is written is complete before it has its name, as editors
and recorders do it.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from sync_lab import APPLICATION, FILES, CallError, SyncLab, die_with_parent, wait_until  # noqa: E402

from frame import OURS  # noqa: E402
from measure import cpu_ns  # noqa: E402

MAIL = "/var/lib/pbx/mail"  # ours: a data set of voice
STATE = "/var/lib/understudy/sync"
MODULES = {FILES: "etc", MAIL: "mail"}
DISK = Path("/var/tmp")
ROOM = 8 << 30
PATIENCE_S = 900

VOICE = f"""
[data mail]
path={MAIL}
ref=voice
exclude=*.local
"""

RSYNCD = """\
use chroot = no
uid = 0
gid = 0
read only = no
pid file = /run/rsyncd.pid
[etc]
path = {etc}
[mail]
path = {mail}
"""

LSYNCD = """\
settings { nodaemon = true, pidfile = "/run/lsyncd.pid" }
"""
LSYNCD_SYNC = """\
sync {{ default.rsync, source = "{top}", target = "rsync://{peer}/{module}", delay = 1, exclude = {{ "*.local" }}, rsync = {{ archive = true, _extra = {{ "{extra}" }} }} }}
"""
# Else a second change within a second, of the same size, is none.
NANOSECONDS = "--modify-window=-1"


def inside(device, words, **more):
    """In both namespaces of the device."""
    return subprocess.Popen(["nsenter", f"--target={device.holder.pid}", "--mount", "--net", "--root", "--wd", *words], preexec_fn=die_with_parent, **more)


class Copy:
    """The base: two devices, and the data on the first."""

    def __init__(self, build):
        free = shutil.disk_usage(DISK).free
        if free < ROOM:
            raise OSError(f"{DISK} has {free >> 20} MiB free, {ROOM >> 20} are needed")
        self.disk = Path(tempfile.mkdtemp(prefix="understudy-bench-", dir=DISK))
        # What is in it is not put beside all the rest: an ext4 without a journal passes over each inode that was freed not long ago beside the new one.
        subprocess.run(["chattr", "+T", self.disk], stderr=subprocess.DEVNULL)
        self.processes = []
        self.lab = None
        self.number = 0
        try:
            (self.disk / "log").mkdir()
            self.lab = SyncLab(build, self.disk / "log", disk=self.disk)
            self.source, self.target = self.lab.alpha, self.lab.beta
            pair_conf = self.source.read("/etc/understudy/pair.conf")
            self.source.write("/etc/understudy/pair.conf", pair_conf.replace("peer-timeout-ms=1500\n", ""))  # as it is shipped: the other copies it
            for device in (self.source, self.target):
                device.write("/etc/understudy/applications.d/pbx.conf", APPLICATION + VOICE)
                os.makedirs(device.at(MAIL))
        except BaseException:
            self.close()
            raise

    def close(self):
        for process in self.processes:
            process.terminate()
            process.wait(10)
        if self.lab:
            for device in (self.source, self.target):
                device.close()
            self.lab.net.close()
        shutil.rmtree(self.disk, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- data ----

    def fill(self, n, size, top=FILES, suffix="cfg"):
        """n files, a hundred in a folder."""
        rng = random.Random(n)
        for i in range(n):
            path = self.source.at(f"{top}/d{i // 100}/f{i}.{suffix}")
            if i % 100 == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(rng.randbytes(size))

    def place(self, top, name, content):
        target = self.source.at(f"{top}/{name}")
        temporary = target.with_name(f"{target.name}.local")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.rename(target)

    # ---- one change ----

    def poke(self, top):
        """What is not told by itself is told now."""

    def measure(self, top, contents):
        """Milliseconds from the first write of these files until the last of them is whole on the other device."""
        names = list(contents)
        seen = [self.target.at(f"{top}/{name}") for name in names]
        begin = time.monotonic()
        for name, content in contents.items():
            self.place(top, name, content)
        self.written_ms = (time.monotonic() - begin) * 1000
        self.poke(top)
        deadline = begin + 60
        for path, content in zip(seen, contents.values()):
            while True:
                try:
                    if path.stat().st_size == len(content) and path.read_bytes() == content:
                        break
                except FileNotFoundError:
                    pass
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path.name} did not come")
                time.sleep(0.0005)  # a sampling instrument's interval
        return (time.monotonic() - begin) * 1000

    def small_change(self):
        self.number += 1
        return self.measure(FILES, {"d7/f701.cfg": f"change {self.number}\n".encode()})

    def recording(self):
        self.number += 1
        return self.measure(MAIL, {f"d3/new{self.number}.wav": random.Random(self.number).randbytes(1 << 20)})

    def burst(self, n, over=False):
        """Of new files; over: in the place of the last ones."""
        self.number += 1
        if not over:
            self.burst_number = self.number
        return self.measure(FILES, {f"d{i % 20}/burst{self.burst_number}-{i}.cfg": f"burst {self.number} {i}\n".encode() * 20 for i in range(n)})


class Ours(Copy):
    def copy(self):
        """The Master has committed all of it; from the Backup's order to follow until it has applied it. (ms of that, ms of the Master's first look)"""
        self.lab.start()
        self.target.join(self.source.lan, self.source.open_pairing())
        self.target.write("/etc/understudy/pair.conf", self.target.get("PairRecord")["pair_conf"])
        self.target.sync("Reload")
        for device in (self.source, self.target):
            device.wait(lambda d=device: d.get("Connected"), "connected")
        begin = time.monotonic()
        self.source.set_role("lead")
        commits = self.source.sync("Commit", "(ss)", ("bench", "everything"), timeout_ms=PATIENCE_S * 1000)[0]
        looked = time.monotonic()
        self.target.set_role("follow")
        self.wait_applied(commits)
        return (time.monotonic() - looked) * 1000, (looked - begin) * 1000

    def wait_applied(self, commits):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.source.wait_applied(commits, PATIENCE_S * 1000)
            except CallError as error:  # the link may be silent for too long while the machine is busy; it comes back
                if error.name != "org.understudy.Error.NotReachable" or time.monotonic() > deadline:
                    raise
                self.source.wait(lambda: self.source.get("Connected"), "connected again", 30)

    def settle(self):
        self.wait_applied(self.source.sync("Commit", "(ss)", ("bench", ""), timeout_ms=PATIENCE_S * 1000)[0])

    def pids(self):
        return [self.source.process.pid, self.target.process.pid]

    def rss_peak_mb(self):
        """The larger of the two, at its worst."""
        return max(int(line.split()[1]) / 1024 for pid in self.pids() for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                   if line.startswith("VmHWM:"))

    def idle_cpu_ms(self, seconds):
        before = cpu_ns(self.pids())
        time.sleep(seconds)  # what is measured is nothing
        return (cpu_ns(self.pids()) - before) / 1e6

    def objects(self, device):
        return sum(len(files) for _, _, files in os.walk(device.at(f"{STATE}/lfs/objects")))

    def recordings(self, device):
        return sum(len(files) for _, _, files in os.walk(device.at(MAIL)))

    def disk_over_live(self, n):
        """n recordings come and go, a hundred at a time. Then what our folder takes above what lives in the sets, per cent; the worse of the two."""
        for first in range(0, n, 100):
            names = [f"d4/gone{i}.wav" for i in range(first, first + 100)]
            self.measure(MAIL, {name: random.Random(name).randbytes(100000) for name in names})
            for name in names:
                self.source.at(f"{MAIL}/{name}").unlink()
        self.settle()
        for device in (self.source, self.target):
            wait_until(lambda d=device: self.objects(d) == self.recordings(d), 300, f"{device.name}: the store is swept", 0.5)
        return max(100 * (used(device.at(STATE)) / (used(device.at(FILES)) + used(device.at(MAIL))) - 1) for device in (self.source, self.target))


class Rsync(Copy):
    """Its daemon on the other side; run at once when something has changed, for the tree that has changed."""

    def __init__(self, build):
        super().__init__(build)
        self.target.write("/etc/rsyncd-bench.conf", RSYNCD.format(etc=FILES, mail=MAIL))
        self.processes.append(inside(self.target, ["rsync", "--daemon", "--no-detach", "--config=/etc/rsyncd-bench.conf"]))
        wait_until(lambda: self.rsync(FILES, check=False) == 0, 10, "the rsync daemon answers")

    def rsync(self, top, check=True):
        words = ["rsync", "--archive", "--delete", NANOSECONDS, "--exclude=*.local", f"{top}/", f"rsync://{self.target.peer}/{MODULES[top]}/"]
        process = inside(self.source, words, stdout=subprocess.DEVNULL, stderr=None if check else subprocess.DEVNULL)
        code = process.wait()
        if check and code:
            raise OSError(f"rsync: {code}")
        return code

    def copy(self):
        begin = time.monotonic()
        for top in MODULES:
            self.rsync(top)
        return (time.monotonic() - begin) * 1000, None

    def poke(self, top):
        self.rsync(top)


class Lsyncd(Rsync):
    """inotify, and an rsync a second later."""

    def copy(self):
        """Until it watches both trees: what it copies first it copies by rsync."""
        self.source.write("/etc/lsyncd-bench.lua", LSYNCD + "".join(LSYNCD_SYNC.format(top=top, peer=self.target.peer, module=module, extra=NANOSECONDS)
                                                                     for top, module in MODULES.items()))
        with open(self.disk / "log" / "lsyncd.log", "wb") as log:
            self.processes.append(inside(self.source, ["lsyncd", "/etc/lsyncd-bench.lua"], stdout=log, stderr=log))
        for top in MODULES:
            self.place(top, "watched", b"1")
            wait_until(self.target.at(f"{top}/watched").exists, PATIENCE_S, "lsyncd copies")
        for top in MODULES:
            self.measure(top, {"watched": b"2"})

    def poke(self, top):
        pass


SUBJECTS = {OURS: Ours, "rsync": Rsync, "lsyncd+rsync": Lsyncd}


def used(top):
    """Bytes of disk."""
    return sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for folder, folders, files in os.walk(top) for name in (*folders, *files))
