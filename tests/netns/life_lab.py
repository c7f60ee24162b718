# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of a pair, made from a seed: edits, kills, splits, takeovers, a lost disk, and heals. And what must be found of it afterwards.

A ledger notes what each device has had: every commit that it told of or that a ref of its named, every file that was written on it and neither
replaced nor removed there since by who wrote it. What only a device had whose disk is lost may be lost with it. Nothing else may.
"""

import contextlib
import hashlib
import os
import random
import shutil
import time
from pathlib import Path

from sync_lab import APPLICATION, BOOK, DATABASE, FILES, PAIR_CONF, PLACES, CallError

MAIL = "/var/lib/pbx/mail"       # data set pbx.mail, voice
REGISTRAR = "/var/lib/pbx/reg"   # data set pbx.reg, volatile
STATE = "/var/lib/understudy/sync"
REPO = f"{STATE}/repo.git"
ROUNDS_MAX = 3
SETS = APPLICATION + f"""
[data mail]
path={MAIL}
ref=voice
exclude=*.local

[data reg]
path={REGISTRAR}
ref=volatile
exclude=*.local
"""


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(content):
    return (f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n").encode()


def below(top):
    """Every file under it: (path, content), of those that stay long enough."""
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".understudy-"))
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_symlink():
                continue
            with contextlib.suppress(OSError):
                yield str(path.relative_to(top)), path.read_bytes()


def shape(top):
    """All of a data set that ought to be the same on both."""
    found = {}
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".understudy-"))
        for name in [*folders, *names, "."]:
            path = os.path.join(folder, name)
            if name.endswith(".local"):
                continue
            st = os.lstat(path)
            what = (oct(st.st_mode), st.st_uid, st.st_gid)
            if os.path.islink(path):
                what += (os.readlink(path),)
            elif os.path.isfile(path):
                what += (st.st_mtime_ns, Path(path).read_bytes())
            found[os.path.normpath(os.path.relpath(path, top))] = what
    return found


class Ledger:
    """What one device has had. Files are by data set's folder and path in it."""

    def __init__(self):
        self.commits = set()  # of the configuration
        self.written = {}     # (top, path) -> content

    def forget_below(self, top, path):
        for key in [key for key in self.written if key[0] == top and (key[1] == path or key[1].startswith(f"{path}/"))]:
            del self.written[key]


def wipe(device):
    """As it came from the factory: no key, no pair, no data."""
    if device.process:
        device.kill()
    for path in device.at("/var/lib").iterdir():
        shutil.rmtree(path)
    device.at("/etc/understudy/pair.conf").unlink(missing_ok=True)
    device.log.unlink(missing_ok=True)
    device.term = 1
    os.makedirs(device.at(STATE))
    for top in (FILES, os.path.dirname(DATABASE), os.path.dirname(BOOK), MAIL, REGISTRAR):
        os.makedirs(device.at(top))


class Life:
    """On a laboratory that may have seen others: nothing is left of them but the cables."""

    def __init__(self, lab, seed):
        self.lab, self.alpha, self.beta = lab, lab.alpha, lab.beta
        self.rng = random.Random(seed)
        self.story = []
        self.number = 0
        self.snapshot = (0, 0)  # the newest one of the registrar that is known to be on the files of the other: (term, number)
        self.ledgers = {device.name: Ledger() for device in self.devices}
        self.leader, self.follower, self.term = self.alpha, self.beta, 1
        self.blocked = True
        self.block(False)
        for device in self.devices:
            wipe(device)
            device.write("/etc/understudy/applications.d/pbx.conf", SETS)
        self.alpha.write("/etc/understudy/pair.conf", PAIR_CONF.format(service=PLACES["ipv4"][2]))
        lab.start()
        lab.pair()
        self.agree()

    @property
    def devices(self):
        return (self.alpha, self.beta)

    def say(self, text):
        self.story.append(text)

    def pause(self, longest_s):
        """A moment of the seed's, into whatever is under way."""
        time.sleep(self.rng.uniform(0, longest_s))

    # ---- writing ----

    def fresh(self, device, size=None):
        """Content that nobody has had before."""
        self.number += 1
        body = self.rng.randbytes(size if size is not None else self.rng.choice((0, 30, 2000, 20000)))
        return f"{device.name} {self.term} {self.number}\n".encode() + body

    def put(self, device, top, path, content):
        """As a careful program does: complete, then in place. Whoever replaces a folder by a file removes it first."""
        target, ledger = device.at(f"{top}/{path}"), self.ledgers[device.name]
        temporary = target.with_name(f"{target.name}.local")
        try:
            for above in reversed(target.relative_to(device.at(top)).parents):
                place = device.at(top) / above
                if place.is_file() or place.is_symlink():
                    place.unlink()
                    ledger.forget_below(top, str(above))
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
                ledger.forget_below(top, path)
            temporary.rename(target)
        except OSError as error:  # what applies is changing the folders meanwhile: then nothing was written
            self.say(f"    {device.name} could not write {path}: {error}")
            with contextlib.suppress(OSError):
                temporary.unlink()
            return
        ledger.written[top, path] = content

    def remove(self, device, top, path):
        target = device.at(f"{top}/{path}")
        with contextlib.suppress(OSError):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink()
        self.ledgers[device.name].forget_below(top, path)

    def move(self, device, top, path, to):
        """A file or a whole folder to where nothing is."""
        ledger = self.ledgers[device.name]
        try:
            if os.path.lexists(device.at(f"{top}/{to}")):
                return
            device.at(f"{top}/{path}").rename(device.at(f"{top}/{to}"))
        except OSError:
            return
        for key in [key for key in ledger.written if key[0] == top and (key[1] == path or key[1].startswith(f"{path}/"))]:
            ledger.written[top, to + key[1][len(path):]] = ledger.written.pop(key)

    def name(self):
        return self.rng.choice(("", "a/", "b/", "a/c/")) + self.rng.choice("ghijklmn")

    def edit(self, device, most=8):
        """Some changes of the configuration, of recordings, of registrations."""
        rng = self.rng
        n = rng.randint(1, most)
        self.say(f"  {device.name}: {n} edits")
        for _ in range(n):
            what = rng.choices(("put", "remove", "move", "link", "mode", "folder"), (10, 2, 1, 1, 1, 1))[0]
            path = self.name()
            if what == "put":
                self.put(device, FILES, path, self.fresh(device))
            elif what == "remove":
                self.remove(device, FILES, rng.choice((path, "a", "b", "a/c")))
            elif what == "move":
                self.move(device, FILES, rng.choice((path, "a", "a/c")), self.name())
            elif what == "link":
                self.remove(device, FILES, path)
                with contextlib.suppress(OSError):
                    os.symlink(self.name(), device.at(f"{FILES}/{path}"))
            elif what == "mode":
                with contextlib.suppress(OSError):
                    if not device.at(f"{FILES}/{path}").is_symlink():
                        os.chmod(device.at(f"{FILES}/{path}"), rng.choice((0o600, 0o644, 0o755)))
            else:
                with contextlib.suppress(OSError):
                    device.at(f"{FILES}/{path}").mkdir()
        for _ in range(rng.choice((0, 0, 1, 2))):
            self.put(device, MAIL, f"{rng.randint(1, 2)}/msg{rng.randint(0, 9)}", self.fresh(device, rng.choice((10, 5000, 200000))))
        if rng.random() < 0.2:
            self.remove(device, MAIL, f"{rng.randint(1, 2)}/msg{rng.randint(0, 9)}")

    def register(self, device):
        """The registrar of the one that leads writes its state."""
        self.number += 1
        target = device.at(f"{REGISTRAR}/state")
        temporary = target.with_name("state.local")
        temporary.write_text(f"{self.term} {self.number}\n")
        temporary.rename(target)

    # ---- looking ----

    def registered(self, device):
        try:
            return tuple(map(int, device.at(f"{REGISTRAR}/state").read_text().split()))
        except FileNotFoundError:
            return (0, 0)

    def note(self, device):
        """Every commit that it has by name now, or has told of."""
        commits = self.ledgers[device.name].commits
        for ref in ("heads/config", "fetched/config"):
            with contextlib.suppress(FileNotFoundError):
                commits.add(device.at(f"{REPO}/refs/{ref}").read_text().strip())
        for member in ("Committed", "AppliedHere") if device.process else ():
            commits.update(values[1] for values in device.signals(member) if values[0] == "config")
        if device is self.follower:
            self.snapshot = max(self.snapshot, self.registered(device))

    # ---- what happens ----

    def kill(self, device):
        if device.process:
            self.say(f"  {device.name} is killed")
            self.note(device)
            device.kill()
            self.note(device)

    def start(self, device):
        if not device.process:
            device.start()

    def block(self, blocked):
        if blocked != self.blocked:
            for device in self.devices:
                for port in device.ports:
                    port.block() if blocked else port.unblock()
            self.blocked = blocked
            self.say("  the cables are cut" if blocked else "  the cables are whole")

    def lead(self, device):
        """As a supervisor gives it, in a term of its own; the other one follows it from now on, or when it hears of it."""
        self.term += 1
        self.say(f"  {device.name} leads, term {self.term}")
        self.note(device)
        held = self.registered(device)
        device.set_role("lead", self.term)
        if device is self.follower:
            assert self.registered(device) >= max(held, self.snapshot), f"{device.name} begins with {self.registered(device)}, and had {self.snapshot}"
            self.leader, self.follower = self.follower, self.leader

    def follow(self, device):
        self.note(device)
        device.set_role("follow", self.term)
        self.snapshot = (0, 0)  # of the line that goes on

    def agree(self):
        """Both are there, and the follower has all that the leader has."""
        self.block(False)
        for device in self.devices:
            self.start(device)
        if self.leader.get("Role") != "lead":
            self.leader.set_role("lead", self.term)
        self.follow(self.follower)

        def applied():
            try:
                self.leader.wait_applied(self.leader.commit())
            except CallError as error:
                if error.name != "org.understudy.Error.NotReachable":
                    raise
                return False
            return True

        self.leader.wait(applied, "in step", 20)
        for device in self.devices:
            self.note(device)

    def kills(self):
        """Some die while the leader's changes travel; they come back as what they were."""
        self.edit(self.leader)
        self.register(self.leader)
        if self.rng.random() < 0.5:
            self.pause(0.03)
            self.edit(self.follower, 2)
        self.pause(0.06)
        victims = self.rng.choice(((self.leader,), (self.follower,), self.devices))
        for device in victims:
            self.kill(device)
        if self.rng.random() < 0.4:
            self.edit(self.rng.choice(victims), 3)  # while nobody looks
        for device in victims:
            self.start(device)
            if device is self.leader:
                device.set_role("lead", self.term)
            else:
                self.follow(device)
        self.pause(0.03)

    def takeover(self):
        """The leader dies; the other goes on."""
        self.edit(self.leader)
        self.register(self.leader)
        self.pause(0.06)
        self.kill(self.leader)
        self.lead(self.follower)
        self.edit(self.leader)
        self.register(self.leader)
        self.pause(0.06)
        if self.rng.random() < 0.5:
            self.kill(self.leader)
            self.start(self.leader)
            self.leader.set_role("lead", self.term)
        self.start(self.follower)
        self.follow(self.follower)

    def split(self):
        """Both lead for a while; one of them goes on."""
        self.edit(self.leader)
        self.register(self.leader)
        self.pause(0.03)
        self.block(self.rng.random() < 0.5)
        self.lead(self.follower)
        for _ in range(self.rng.randint(1, 2)):
            for device in self.devices:
                self.edit(device)
                self.register(device)
            self.pause(0.06)
            if self.rng.random() < 0.3:
                device = self.rng.choice(self.devices)
                self.kill(device)
                self.start(device)
                device.set_role("lead", self.term if device is self.leader else self.term - 1)
        for device in self.devices:
            self.note(device)
        if self.rng.random() < 0.5:
            # The other one is the one that goes on; nobody has followed it, so what it has is its own.
            self.snapshot = (0, 0)
            self.lead(self.follower)
        self.follow(self.follower)
        self.block(False)
        self.pause(0.06)

    def swap(self):
        """By order: nothing is lost of what was written before."""
        self.edit(self.leader)
        self.register(self.leader)
        self.agree()
        assert self.registered(self.leader) == self.registered(self.follower)
        leader = self.leader
        self.note(leader)
        leader.set_role("idle")
        self.lead(self.follower)
        self.follow(leader)

    def cut(self):
        """The follower misses something."""
        self.block(True)
        self.edit(self.leader)
        self.register(self.leader)
        self.edit(self.follower, 2)
        self.pause(0.03)
        self.block(False)
        self.pause(0.06)

    def loss(self):
        """A device loses its disk, but for who it is: what the other had is what there is. It may not lead before it has followed."""
        self.edit(self.leader)
        self.register(self.leader)
        self.pause(0.06)
        lost = self.rng.choice(self.devices)
        self.kill(lost)
        self.say(f"  {lost.name} loses its disk")
        for path in (REPO, f"{STATE}/lfs", f"{STATE}/scratch", f"{STATE}/staged", *(f"{top}/{name}" for top in (FILES, MAIL, REGISTRAR)
                                                                                      for name in os.listdir(lost.at(top)))):
            if lost.at(path).is_dir() and not lost.at(path).is_symlink():
                shutil.rmtree(lost.at(path))
            else:
                lost.at(path).unlink(missing_ok=True)
        for path in lost.at(STATE).glob("journal*"):
            path.unlink()
        self.ledgers[lost.name] = Ledger()
        if lost is self.leader:
            self.lead(self.follower)
        self.start(lost)
        self.follow(lost)

    def live(self):
        for _ in range(self.rng.randint(1, ROUNDS_MAX)):
            what = self.rng.choices((self.kills, self.takeover, self.split, self.swap, self.cut, self.loss), (5, 3, 4, 1, 2, 1))[0]
            self.say(what.__name__)
            what()
            if self.rng.random() < 0.5 or what == self.loss:
                self.agree()

    # ---- what must be found ----

    def kept(self, device):
        """Ids of the commits, trees and blobs of its lines and of what it keeps aside; git stops with an error where one is not whole."""
        refs = [line for line in device.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/diverged").split("\n") if line]
        return {line.split(" ")[0] for line in device.git("rev-list", "--objects", *refs).splitlines()} if refs else set()

    def check(self):
        self.agree()
        # What was written on a Backup stays until something else comes there, or until the next look at everything.
        self.follower.set_role("idle")
        self.follow(self.follower)
        self.follower.sync("SyncNow")
        for top in (FILES, MAIL, REGISTRAR):
            ours, theirs = shape(self.leader.at(top)), shape(self.follower.at(top))
            unlike = {path: (ours.get(path), theirs.get(path)) for path in sorted({*ours, *theirs}) if ours.get(path) != theirs.get(path)}
            assert not unlike, f"{top}: what the leader has and the follower has: {unlike!r:.3000}"
        kept = {device.name: self.kept(device) for device in self.devices}
        everything = set().union(*kept.values())
        on_disk = {content for device in self.devices for top in (FILES, MAIL) for _, content in below(device.at(top))}
        for name, ledger in self.ledgers.items():
            lost = ledger.commits - everything
            assert not lost, f"commits that {name} had: {lost}"
            for (top, path), content in ledger.written.items():
                if content in on_disk:
                    continue
                first = content.split(b"\n")[0]
                if top == FILES:
                    assert blob_id(content) in everything, f"{path} as it was written on {name}: {first}"
                else:
                    digest = hashlib.sha256(content).hexdigest()
                    holders = [device.name for device in self.devices if blob_id(pointer(content)) in kept[device.name]
                               and device.at(f"{STATE}/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}").exists()]
                    assert holders, f"the recording {path} as it was written on {name}: {first}"
        for device in self.devices:  # that of what is made stays until the disk has it
            device.wait(lambda d=device: not list(d.at(STATE).glob("journal*")), f"has a journal left: {list(device.at(STATE).glob('journal*'))}", 60)
        assert self.registered(self.leader) >= self.snapshot
