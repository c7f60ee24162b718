# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration as one signed file, and back; and files that are not what they should be."""

import hashlib
import io
import os
import subprocess
import tarfile

import pytest
from gi.repository import GLib
from sync_lab import FILES, CallError, SyncLab
from test_sync_hooks import set_firmware
from test_sync_pairing import fingerprint, make_key

MEMBERS = ["contents", "signature", "certificate", "pair.conf", "config.bundle"]
FOLDER = "/var/lib/understudy/sync"


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        lab.start()
        lab.pair()
        for text in ("first", "second"):
            lab.alpha.write(f"{FILES}/dialplan", text)
            lab.in_step()
        yield lab


JOB = "org.understudy.Job1"


class JobFailed(Exception):
    pass


def job(device, path):
    """What it says of itself."""
    return device.client.call("org.freedesktop.DBus.Properties", "GetAll", GLib.Variant("(s)", (JOB,)), path=path)[0]


def ended(device, path):
    """Its result."""
    over = device.wait(lambda: job(device, path)["State"] != "running" and job(device, path), "the job ends", 60)
    if over["State"] != "done":
        raise JobFailed(over["State"], over["Error"])
    assert over["Progress"] == 1 and over["Error"] == ""
    return over["Result"]


def begin(device, path, method, signature, values, mode):
    with open(path, mode) as file:
        return device.sync(method, signature, (0, *values), fds=[file.fileno()])[0]


def export(device, path, history=False):
    return ended(device, begin(device, path, "Export", "(hb)", [history], "wb"))["fingerprint"]


def import_(device, path, trusted=""):
    result = ended(device, begin(device, path, "Import", "(hs)", [trusted], "rb"))
    return result["commit"], result["line"], result["pair_conf"]


def unpack(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def pack(path, members):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def sign(members, key, certificate):
    """As the device does it, by other means."""
    lines, name = [], None
    for line in members["contents"].decode().splitlines():
        name = line.split("=")[0]
        if name in members and name != "contents":
            line = f"{name}={hashlib.sha256(members[name]).hexdigest()}"
        lines.append(line)
    contents = ("\n".join(lines) + "\n").encode()
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=contents, check=True, capture_output=True).stdout
    return {**members, "contents": contents, "signature": signature, "certificate": certificate.read_bytes()}


def own_key(device):
    return device.at(f"{FOLDER}/key.pem"), device.at(f"{FOLDER}/cert.pem")


def everything(device):
    """All that an import could have changed."""
    return (device.git("for-each-ref"), device.read(f"{FILES}/dialplan"), device.get("Diverged"),
            sorted(name for name in os.listdir(device.at(FOLDER)) if name.startswith("export")),
            [name for _, _, names in os.walk(device.at(FOLDER)) for name in names if name.endswith(".lock")])


def test_out_and_in_again(lab, tmp_path):
    assert export(lab.alpha, tmp_path / "file") == lab.alpha.get("Fingerprint")
    assert list(unpack(tmp_path / "file")) == MEMBERS
    assert unpack(tmp_path / "file")["pair.conf"].decode() == lab.alpha.read("/etc/understudy/pair.conf")
    assert b"PRIVATE" not in (tmp_path / "file").read_bytes()
    lab.alpha.write(f"{FILES}/dialplan", "third")
    lab.in_step()
    commit, line, settings = import_(lab.alpha, tmp_path / "file")
    assert lab.alpha.read(f"{FILES}/dialplan") == "second" and line == "" and settings == lab.alpha.read("/etc/understudy/pair.conf")
    lab.alpha.wait_applied({"config": commit})
    assert lab.beta.read(f"{FILES}/dialplan") == "second", "on both devices"
    log = lab.alpha.git("log", "-n2", "--format=%s", "config").splitlines()
    assert log[0].startswith("imported: ") and log[0].endswith(" of alpha"), "a commit like any other"
    assert lab.alpha.get("Diverged") == []
    # The same once more changes nothing.
    assert import_(lab.alpha, tmp_path / "file")[0] == commit


def test_with_the_history(lab, tmp_path):
    export(lab.beta, tmp_path / "file", history=True)  # of the other device: its key is the pair's too
    lab.alpha.write(f"{FILES}/dialplan", "third")
    lab.in_step()
    _, line, _ = import_(lab.alpha, tmp_path / "file")
    assert line in lab.alpha.get("Diverged") and lab.alpha.read(f"{FILES}/dialplan") == "second"
    older = [commit["commit"] for commit in lab.alpha.sync("History", "(ssu)", (line, "", 20))[0]]
    assert len(older) >= 2
    lab.alpha.sync("RestoreFrom", "(ssss)", (older[1], "", "", "back"))
    assert lab.alpha.read(f"{FILES}/dialplan") == "first"


def test_of_another_pair(lab, tmp_path):
    """Hardware that was replaced: nobody knows the key any more but who reads what export printed."""
    key = make_key(tmp_path, "gone")
    export(lab.alpha, tmp_path / "file")
    pack(tmp_path / "file", sign(unpack(tmp_path / "file"), *key))
    lab.alpha.write(f"{FILES}/dialplan", "third")
    lab.in_step()
    with pytest.raises(JobFailed, match=f"'unknown-signer: it is signed by the key {fingerprint(key[1])}"):
        import_(lab.alpha, tmp_path / "file")
    import_(lab.alpha, tmp_path / "file", trusted=fingerprint(key[1]))
    assert lab.alpha.read(f"{FILES}/dialplan") == "second"


def test_only_on_the_one_that_leads(lab, tmp_path):
    export(lab.beta, tmp_path / "file")
    with pytest.raises(CallError) as follower:
        import_(lab.beta, tmp_path / "file")
    assert "not-leader: " in str(follower.value)


def other_data_set(folder):
    """A bundle as any git makes it, of a data set that nobody here declares."""
    run = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-C", folder]
    for words in (["init", "-q", "."], ["add", "."], ["commit", "-q", "-m", "x"], ["update-ref", "refs/export/config", "HEAD"],
                  ["bundle", "create", "-q", "bundle", "refs/export/config"]):
        if words[0] == "add":
            (folder / "other.set").mkdir()
            (folder / "other.set" / "file").write_text("x")
        subprocess.run(run + words, check=True, capture_output=True)
    return (folder / "bundle").read_bytes()


def test_what_is_refused(lab, tmp_path):
    key = own_key(lab.alpha)
    good, bad = tmp_path / "good", tmp_path / "bad"
    export(lab.alpha, good)
    members = unpack(good)
    with tarfile.open(good) as tar:
        last = tar.getmembers()[-1]
        whole = good.read_bytes()[:last.offset_data + last.size]  # what follows is padding
    lab.alpha.write(f"{FILES}/dialplan", "third")
    lab.in_step()
    before = everything(lab.alpha)
    (tmp_path / "elsewhere").mkdir()
    other = other_data_set(tmp_path / "elsewhere")

    def resigned(**changed):
        pack(bad, sign({**members, **{name.replace("_", "."): data for name, data in changed.items()}}, *key))

    def contents(old, new):
        assert old in members["contents"]
        resigned(contents=members["contents"].replace(old, new))

    cases = {
        "altered: its signature": lambda: pack(bad, {**members, "contents": members["contents"].replace(b"alpha", b"gamma")}),
        "altered: \"pair.conf\"": lambda: pack(bad, {**members, "pair.conf": members["pair.conf"] + b"\n"}),
        "altered: \"config.bundle\"": lambda: pack(bad, {**members, "config.bundle": members["config.bundle"][:-1] + b"?"}),
        "altered: \"config.bundle\" ": lambda: pack(bad, {**members, "config.bundle": None}),
        "not-an-export: it has no \"contents\"": lambda: pack(bad, {**members, "contents": None}),
        "not-an-export: tar": lambda: pack(bad, {name: data for name, data in members.items() if name != "signature"}),
        "not-signed: ": lambda: pack(bad, {**members, "certificate": b"nobody's"}),
        "altered: its signature ": lambda: pack(bad, {**members, "signature": b""}),
        "not-an-export: ": lambda: bad.write_bytes(b""),
        "not-an-export:  ": lambda: bad.write_bytes(b"no tar at all" * 100),
        "newer-version: it is of version 2": lambda: contents(b"version=1", b"version=2"),
        "not-an-export: it does not say": lambda: contents(b"version=1", b"version=none"),
        "other-model: it is of the model \"fax\"": lambda: contents(b"model=test", b"model=fax"),
        "broken: git refuses": lambda: resigned(config_bundle=members["config.bundle"][:-100]),
        "other-applications: it has the data set other.set": lambda: resigned(config_bundle=other),
        **{f"not-an-export:{' ' * (at + 2)}": lambda at=at: bad.write_bytes(whole[:len(whole) * at // 10]) for at in range(1, 10)},
    }
    for expected, make in cases.items():
        make()
        with pytest.raises(JobFailed) as refused:
            import_(lab.alpha, bad)
            pytest.fail(f"taken: {expected}")
        assert refused.value.args[0] == "failed" and refused.value.args[1].startswith(expected.rstrip()), (expected, refused.value.args)
        assert everything(lab.alpha) == before, expected
    import_(lab.alpha, good)
    assert lab.alpha.read(f"{FILES}/dialplan") == "second"


def test_a_file_of_a_newer_firmware_is_refused(lab, tmp_path):
    file = tmp_path / "export"
    set_firmware(lab.alpha, "2.1")
    export(lab.alpha, file)
    lab.alpha.write(f"{FILES}/dialplan", "third")
    lab.in_step()
    set_firmware(lab.alpha, "2.0")
    with pytest.raises(JobFailed, match="newer-firmware: it is of firmware 2.1, and this device has 2.0"):
        import_(lab.alpha, file)
    assert lab.alpha.read(f"{FILES}/dialplan") == "third"
    set_firmware(lab.alpha, "2.2")
    import_(lab.alpha, file)
    assert lab.alpha.read(f"{FILES}/dialplan") == "second"


def test_how_far_it_is_and_the_end_of_it(lab, tmp_path):
    """Told by the job, which never goes back; and nothing of an export or import that is cancelled is left."""
    alpha = lab.alpha
    for i in range(300):
        alpha.write(f"{FILES}/part{i}.cfg", os.urandom(30000).hex())
    lab.in_step()
    path = begin(alpha, tmp_path / "file", "Export", "(hb)", [True], "wb")
    assert job(alpha, path)["Kind"] == "export"
    said = [ended(alpha, path)] and [changed["Progress"] for at, changed in changes(alpha) if "Progress" in changed]
    assert said == sorted(said) and said[-1] == 1 and len(said) > 2, said
    lab.alpha.write(f"{FILES}/dialplan", "third")
    lab.in_step()
    before = everything(alpha)

    # The file comes from a pipe that nobody closes yet, or goes into one that nobody reads, so it is under way for as long as that takes.
    for method, values in (("Import", [""]), ("Export", [True]), ("Export", [False])):
        read_end, write_end = os.pipe()
        theirs, ours = (read_end, write_end) if method == "Import" else (write_end, read_end)
        path = alpha.sync(method, "(hs)" if method == "Import" else "(hb)", (0, *values), fds=[theirs])[0]
        os.close(theirs)
        with pytest.raises(CallError, match="under way"):
            begin(alpha, tmp_path / "other", "Export", "(hb)", [False], "wb")
        alpha.wait(lambda path=path, least=0 if method == "Import" else 0.85: job(alpha, path)["Progress"] >= least, "it is written", 30)
        alpha.client.call(JOB, "Cancel", path=path)
        with pytest.raises(JobFailed, match="cancelled"):
            ended(alpha, path)
        os.close(ours)
        with pytest.raises(CallError, match="over"):
            alpha.client.call(JOB, "Cancel", path=path)
        assert everything(alpha) == before
    assert import_(alpha, tmp_path / "file")[1].startswith("refs/diverged/imported/")
    assert alpha.read(f"{FILES}/dialplan") == "second"


def changes(device):
    """What jobs have told of since the connection was made: (monotonic time, properties)."""
    return [(at, values[1]) for at, interface, member, values in device.client.heard() if member == "PropertiesChanged" and values[0] == JOB]
