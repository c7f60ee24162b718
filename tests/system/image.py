# SPDX-License-Identifier: LGPL-2.1-or-later
"""What whole machines are made of: the Debian package, a root file system, and that root with the package in it.

All three are kept between runs, each by a key of what went into it, and made once however many tests want them at the same time. Debian's
packages come from where this machine's own apt gets them.
"""

import contextlib
import fcntl
import functools
import hashlib
import inspect
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("UNDERSTUDY_TEST_CACHE", "/var/cache/understudy-tests"))
KEPT = 2  # of each kind, the ones used last

# Beside what the package itself depends on: an init, a PBX, and an snmpd. (chrt, grep and the like are essential packages.)
ROOT_PACKAGES = ("systemd-sysv", "iproute2", "kamailio", "kamailio-sqlite-modules", "snmpd")
OFF = ("snmpd",)  # until a test has a use for it
# Not part of the package: a change there needs no new one.
NOT_PACKAGED = ("build*", ".*", "__pycache__", "tests", "demo", "obj-*")


def run(argv, **more):
    """Runs to the end; what it said is shown when it failed."""
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout[-6000:]}")
    return done.stdout


def _lock(path, how):
    """The open file, whose lock is held until it is closed."""
    lock = open(path, "w", encoding="ascii")  # pylint: disable=consider-using-with
    fcntl.flock(lock, how)
    return lock


_held = []  # locks of what this process uses: nobody removes it meanwhile


def kept(kind, key, make):
    """CACHE/KIND-KEY, a folder; make(folder) fills a new one. Those of the kind that nobody has used for long are removed."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = CACHE / f"{kind}-{key}"
    # One process at a time makes or removes anything of a kind. What it makes may be made of other kinds, never of this one.
    with _lock(CACHE / f"{kind}.lock", fcntl.LOCK_EX):
        _held.append(_lock(f"{folder}.lock", fcntl.LOCK_SH))
        if not folder.exists():
            new = Path(f"{folder}.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            try:
                make(new)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            new.rename(folder)
        os.utime(f"{folder}.lock")
        _remove_old(kind)
    return folder


def _remove_old(kind):
    locks = sorted(CACHE.glob(f"{kind}-*.lock"), key=os.path.getmtime, reverse=True)
    for path in locks[KEPT:]:
        with contextlib.suppress(BlockingIOError), _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for folder in (path.with_suffix(""), path.with_suffix(".new")):  # the second: its maker was killed
                shutil.rmtree(folder, ignore_errors=True)
            path.unlink()


def digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


# The package.


def _source_files():
    ignored = shutil.ignore_patterns(*NOT_PACKAGED)
    for folder, folders, files in os.walk(TOP):
        skip = ignored(folder, folders + files) if folder == str(TOP) else {"__pycache__"}
        folders[:] = sorted(name for name in folders if name not in skip)
        for name in sorted(files):
            if name not in skip:
                yield Path(folder, name)


def _make_package(folder):
    """dpkg-buildpackage on a clean copy of the tree, as a user's would be."""
    with tempfile.TemporaryDirectory(prefix="understudy-package-", dir="/var/tmp") as place:
        source = Path(place, "understudy")
        for file in _source_files():
            copy = source / file.relative_to(TOP)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        run(["dpkg-buildpackage", "-b", "-us", "-uc"], cwd=source, env=dict(os.environ, DEB_BUILD_OPTIONS="nocheck noautodbgsym"))
        for package in Path(place).glob("*.deb"):
            shutil.move(package, folder)


@functools.cache
def package():
    """The package of this source tree, a path."""
    contents = (f"{file.relative_to(TOP)} {os.access(file, os.X_OK)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in _source_files())
    folder = kept("package", digest(*contents), _make_package)
    (found,) = folder.glob("understudy_*.deb")
    return found


def newer_package(place):
    """The same package with a later version, in the folder place: what an upgrade finds."""
    tree = Path(place, "newer")
    run(["dpkg-deb", "--raw-extract", package(), tree])
    control = tree / "DEBIAN" / "control"
    lines = [f"{line}+newer" if line.startswith("Version:") else line for line in control.read_text(encoding="utf-8").splitlines()]
    control.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(["dpkg-deb", "--build", "-Znone", tree, place])
    shutil.rmtree(tree)
    (found,) = Path(place).glob("understudy_*newer*.deb")
    return found


# The root.


def _release():
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise RuntimeError("/etc/os-release names no VERSION_CODENAME")


def _apt_sources(release):
    """The files in which this machine's apt is told where to get packages of this release."""
    listing = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(SOURCESENTRY)", "Created-By: Packages"])
    files = dict.fromkeys(entry.rpartition(":")[0] for suite, entry in (line.split() for line in listing.splitlines())
                          if suite == release or suite.startswith(f"{release}-"))
    if not files:
        raise RuntimeError(f"apt knows no source of packages of {release}: see /etc/apt/sources.list")
    return list(files)


def _dependencies(deb):
    """Names of packages; of alternatives, the first."""
    text = run(["dpkg-deb", "--field", deb, "Depends"])
    return sorted({relation.split("|")[0].split("(")[0].strip() for relation in text.split(",")})


def _make_root(folder, release, sources, packages):
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as options:
        # How apt reaches its sources (a proxy, what it may believe) is this machine's own business too.
        options.write("\n".join(line for line in run(["apt-config", "dump"]).splitlines() if line.startswith("Acquire::")
                                and not line.startswith("Acquire::IndexTargets")) + "\n")
        options.flush()
        run(["mmdebstrap", "--variant=minbase", "--format=directory", f"--aptopt={options.name}", "--dpkgopt=force-unsafe-io",
             "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
             f"--include={','.join(packages)}", f"--customize-hook=systemctl --root=\"$1\" disable {' '.join(OFF)}", release, folder, *sources])
    (folder / "var/log/journal").mkdir(exist_ok=True)


@functools.cache
def root():
    """A Debian with everything that the package needs, but not the package."""
    release = _release()
    sources = _apt_sources(release)
    packages = sorted({*ROOT_PACKAGES, *_dependencies(package())})
    key = digest(release, *packages, inspect.getsource(_make_root), *(Path(file).read_text(encoding="utf-8") for file in sources))
    return kept("root", key, lambda folder: _make_root(folder, release, sources, packages))


def _install(folder, base):
    shutil.rmtree(folder)
    run(["cp", "-a", "--reflink=auto", base, folder])
    shutil.copy(package(), folder / "package.deb")
    run(["unshare", "--mount", "--pid", "--fork", f"--root={folder}", "--mount-proc", "/usr/bin/env", "-i",
         "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "/usr/bin/dpkg", "-i", "/package.deb"])
    (folder / "package.deb").unlink()


@functools.cache
def installed():
    """The root with the package installed by dpkg."""
    base = root()
    return kept("installed", digest(base.name, package().parent.name), lambda folder: _install(folder, base))
