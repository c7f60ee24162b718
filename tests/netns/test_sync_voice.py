# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recordings: pointers in the commits of `voice`, the bytes beside them, fetched several at once and gone when they are deleted."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from sync_lab import APPLICATION, FILES, SyncLab, slow_down, speed_up

MAIL = "/var/lib/pbx/mail"  # data set pbx.mail, voice
STORE = "/var/lib/understudy/sync/lfs"

VOICE = f"""
[data mail]
path={MAIL}
ref=voice
exclude=*.local
"""


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        for device in (lab.alpha, lab.beta):
            device.write("/etc/understudy/applications.d/pbx.conf", APPLICATION + VOICE)
            os.makedirs(device.at(MAIL))
        lab.start()
        yield lab


@pytest.fixture
def pair(lab):
    lab.alpha.write(f"{FILES}/main.cfg", "first\n")
    lab.pair()
    lab.in_step()
    return lab.alpha, lab.beta


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def record(device, name, content):
    """As a recorder does that writes under another name first."""
    target = device.at(f"{MAIL}/{name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".local")
    temporary.write_bytes(content)
    temporary.rename(target)


def recordings(device):
    """What is there, while the device works on it: whatever goes in the meantime is not."""
    top, found = device.at(MAIL), {}
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".understudy-")]
        for path in (Path(folder) / name for name in names):
            with contextlib.suppress(FileNotFoundError):
                found[str(path.relative_to(top))] = path.read_bytes()
    return found


def stored(device):
    """Ids of the objects in the store; each is what its name says."""
    found = set()
    top = device.at(f"{STORE}/objects")
    for folder, _, names in os.walk(top):
        for name in names:
            assert os.path.relpath(folder, top) == f"{name[:2]}/{name[2:4]}"
            found.add(name)
    return found


def name_of(content):
    return hashlib.sha256(content).hexdigest()


def parts(device):
    """Half fetched objects and how much of each there is."""
    found = {}
    for path in device.at(f"{STORE}/incomplete").iterdir():
        try:
            found[path.name] = path.stat().st_size
        except FileNotFoundError:
            pass
    return found


def received(device):
    """Bytes by interface."""
    listing = json.loads(device.namespace.ip("-s", "-j", "link", "show").stdout)
    return {one["ifname"]: one["stats64"]["rx"]["bytes"] for one in listing if one["ifname"] != "lo"}


def busiest(device, before):
    return max((n - before[name], name) for name, n in received(device).items())[1]


def split(object_id):
    return object_id[:2], object_id[2:4], object_id


def test_arrives_and_applies(pair, lab):
    alpha, beta = pair
    contents = {"101/INBOX/msg0000.wav": noise(1, 200000), "101/INBOX/msg0000.txt": b"[message]\n", "101/INBOX/empty": b"",
                "long.wav": noise(2, 5 << 20), "twice.wav": noise(1, 200000)}
    for name, content in contents.items():
        record(alpha, name, content)
    os.chmod(alpha.at(f"{MAIL}/long.wav"), 0o640)
    os.symlink("long.wav", alpha.at(f"{MAIL}/latest"))
    lab.in_step()
    assert recordings(beta) == {**contents, "latest": contents["long.wav"]}
    assert beta.at(f"{MAIL}/long.wav").stat().st_mode & 0o777 == 0o640
    assert os.readlink(beta.at(f"{MAIL}/latest")) == "long.wav"
    assert stored(alpha) == stored(beta) == {name_of(content) for content in contents.values() if content}
    # The commit has pointers, as git-lfs writes them.
    assert beta.git("show", "refs/heads/voice:pbx.mail/long.wav") == (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{name_of(contents['long.wav'])}\nsize {5 << 20}\n")
    assert beta.git("show", "refs/heads/voice:.gitattributes").startswith("* filter=lfs ")
    assert os.readlink(beta.at("/var/lib/understudy/sync/repo.git/lfs")) == "../lfs", "where git-lfs looks for them"
    # An application that writes into its recording changes neither store.
    with open(beta.at(f"{MAIL}/long.wav"), "r+b") as file:
        file.write(b"edited in place")
    assert hashlib.sha256(beta.at(f"{STORE}/objects").joinpath(*split(name_of(contents["long.wav"]))).read_bytes()).hexdigest() == name_of(contents["long.wav"])
    # In the other direction after a takeover, with no byte sent twice.
    alpha.set_role("idle")
    beta.set_role("lead", 2)
    alpha.set_role("follow", 2)
    record(beta, "101/INBOX/msg0001.wav", noise(3, 1000))
    beta.wait_applied(beta.commit())
    assert recordings(alpha) == recordings(beta)
    assert recordings(alpha)["long.wav"].startswith(b"edited in place")


def test_what_is_deleted_is_gone(pair, lab):
    """100 in and out: neither store keeps a byte of them; what is live stays."""
    alpha, beta = pair
    kept = noise(0, 5000)
    record(alpha, "kept.wav", kept)
    for i in range(100):
        record(alpha, f"{i % 10}/msg{i}.wav", noise(i + 1, 20000 + i))
    lab.in_step()
    assert len(recordings(beta)) == 101 and len(stored(beta)) == 101
    for i in range(100):
        alpha.at(f"{MAIL}/{i % 10}/msg{i}.wav").unlink()
    lab.in_step()
    assert recordings(beta) == {"kept.wav": kept}
    for device in (alpha, beta):
        device.wait(lambda d=device: stored(d) == {name_of(kept)}, "the store holds what is live", 30)
        assert parts(device) == {}
    record(alpha, "0/msg0.wav", noise(1, 20000))  # the same as one that has gone
    lab.in_step()
    assert recordings(beta) == recordings(alpha) and len(stored(beta)) == 2


def test_goes_on_over_the_other_path(pair, lab):
    """The path that it comes over goes away in the middle: what has come is not sent again."""
    alpha, beta = pair
    content = noise(4, 24 << 20)
    before = received(beta)
    slow_down(alpha, "20mbit")
    record(alpha, "long.wav", content)
    beta.wait(lambda: sum(parts(beta).values()) > 4 << 20, "a part of it is here", 30)
    first = busiest(beta, before)
    next(port for port in alpha.ports if port.interface == first).block()
    speed_up(alpha)
    beta.wait(lambda: recordings(beta).get("long.wav") == content, "all of it", 60)
    after = received(beta)
    second = next(name for name in after if name != first)
    assert after[second] - before[second] < (24 << 20) - (3 << 20), "from where it was"
    assert stored(beta) == {name_of(content)} and parts(beta) == {}


def test_killed_in_the_middle(pair, lab):
    """Either of the two, and a recording that came in the meantime arrives before the long one does."""
    alpha, beta = pair
    content = noise(5, 16 << 20)
    slow_down(alpha, "10mbit")
    record(alpha, "long.wav", content)
    there = beta.wait(lambda: sum(parts(beta).values()) > 2 << 20 and parts(beta), "a part of it is here", 30)
    beta.kill()
    kept = parts(beta)
    assert kept.keys() == there.keys() == {name_of(content)}
    before = sum(received(beta).values())
    beta.start()
    beta.set_role("follow")
    beta.wait(lambda: parts(beta).get(name_of(content), 0) > sum(kept.values()) + (1 << 20), "goes on", 30)
    alpha.kill()
    speed_up(alpha)
    alpha.start()
    alpha.set_role("lead")
    beta.wait(lambda: recordings(beta).get("long.wav") == content, "all of it", 60)
    assert sum(received(beta).values()) - before < (16 << 20), "from where it was"
    lab.in_step()
    for device in pair:
        assert stored(device) == {name_of(content)}
        device.wait(lambda d=device: parts(d) == {}, "nothing half is left", 30)


def test_what_was_written_ahead(pair, lab):
    """Recordings are written for their set while others come; what is not staged then does not outlive the process, nor the role."""
    alpha, beta = pair
    ahead = beta.at(f"{MAIL}/.understudy-ahead.pbx.mail")

    def written():
        return ahead.exists() and len(os.listdir(ahead)) >= 10

    beta.set_role("idle")
    for name, content in ({f"{i % 3}/msg{i}.wav": noise(i, 20000 + i) for i in range(30)} | {"long.wav": noise(30, 24 << 20)}).items():
        record(alpha, name, content)
    alpha.commit()
    slow_down(alpha, "10mbit")
    beta.set_role("follow")
    beta.wait(written, "some are written", 30)
    beta.kill()
    assert written() and not recordings(beta)
    beta.start()
    assert not ahead.exists()
    for i in range(20):
        record(alpha, f"more/msg{i}.wav", noise(40 + i, 20000))
    alpha.commit()
    beta.set_role("follow")
    beta.wait(written, "some of the next ones", 30)
    beta.set_role("idle")
    beta.wait(lambda: not ahead.exists(), "they go with the role")
    speed_up(alpha)
    beta.set_role("follow")
    lab.in_step()
    assert recordings(beta) == recordings(alpha) and len(recordings(beta)) == 51
    beta.wait(lambda: not ahead.exists(), "nothing is left of it")


@pytest.mark.timed(100)
def test_takeover_with_objects_missing(pair, lab):
    """It waits for none, names those that it lacks, and what was whole before is there."""
    alpha, beta = pair
    record(alpha, "old.wav", noise(6, 3000))
    lab.in_step()
    slow_down(alpha, "10mbit")
    record(alpha, "long.wav", noise(7, 24 << 20))
    beta.wait(lambda: sum(parts(beta).values()) > 1 << 20, "a part of it is here", 30)
    point = beta.get("RecoveryPoint")["voice"]
    assert point["stored_changes"] == point["applied_changes"] == 1, "a commit counts as stored with all its objects"
    alpha.kill()
    assert beta.set_role("lead", 2) < 2
    assert recordings(beta) == {"old.wav": noise(6, 3000)}
    assert beta.get("Lost")["refs"]["voice"]["changes"] == 1
    beta.wait(lambda: beta.notices("recordings missing"), "says so")
    assert beta.notices("recordings missing")[0].endswith("It lacks 1 recording: pbx.mail/long.wav")
    record(beta, "new.wav", b"goes on")
    beta.wait(lambda: any("new.wav" in s[2] for s in beta.signals("Committed")), "commits")
    beta.wait(lambda: parts(beta) == {}, "what nobody can complete goes", 30)
    # The old Master comes back: what only it has is kept by name, with its bytes, and the rest becomes alike.
    speed_up(alpha)
    alpha.start()
    alpha.set_role("follow", 2)
    alpha.wait(lambda: recordings(alpha) == recordings(beta), "alike", 30)
    assert [line for line in alpha.get("Diverged") if line.startswith("refs/diverged/alpha/")]
    alpha.wait(lambda: name_of(noise(7, 24 << 20)) in stored(alpha), "kept")


def test_configuration_does_not_wait_for_recordings(pair, lab):
    alpha, beta = pair
    slow_down(alpha, "80mbit")
    for i in range(4):
        record(alpha, f"long{i}.wav", noise(i, 16 << 20) * 3)
    beta.wait(lambda: sum(parts(beta).values()) > 1 << 20, "they come", 60)
    for i in range(5):
        alpha.write(f"{FILES}/main.cfg", f"change {i}\n")
        beta.wait(lambda i=i: beta.read(f"{FILES}/main.cfg") == f"change {i}\n", "configuration arrives")
        assert len(recordings(beta)) < 4, "before all the recordings"
    # So does a small recording that is newer.
    record(alpha, "message.wav", b"short")
    beta.wait(lambda: name_of(b"short") in stored(beta), "a small one is fetched first", 20)
    assert len(stored(beta)) < 5
    speed_up(alpha)
    beta.wait(lambda: len(recordings(beta)) == 5, "all of them", 60)


def versions(device, name):
    """How many contents of a recording the line has."""
    return len({line.split()[3] for line in device.git("log", "--format=", "--raw", "--no-abbrev", "refs/heads/voice", "--", f"pbx.mail/{name}").splitlines()})


def test_an_open_recording_is_not_stored_again_and_again(pair, lab):
    alpha, beta = pair
    pieces = [noise(i, 50000) for i in range(12)]
    with open(alpha.at(f"{MAIL}/call.wav"), "wb") as call:
        for i, piece in enumerate(pieces):
            call.write(piece)
            call.flush()
            # Others that are complete go their way meanwhile, in the same folder.
            record(alpha, f"message{i}.wav", bytes([i]) * 100)
            beta.wait(lambda i=i: recordings(beta).get(f"message{i}.wav") == bytes([i]) * 100, "a message arrives")
    beta.wait(lambda: recordings(beta).get("call.wav") == b"".join(pieces), "the call, once it has ended")
    assert versions(alpha, "call.wav") <= 4, "when it was begun, and when it had ended"
    # Whoever asks for a commit has all of it.
    with open(alpha.at(f"{MAIL}/second.wav"), "wb") as call:
        call.write(b"so far")
        call.flush()
        lab.in_step()
        assert recordings(beta)["second.wav"] == b"so far"


OLD = """Begun long ago

Term: 1
Term-Id: alpha
Device: alpha
"""


def begin_long_ago(device, tree):
    """The line of the device is one commit, two days old. The same on both devices."""
    when = {"GIT_AUTHOR_DATE": "@1700000000 +0000", "GIT_COMMITTER_DATE": "@1700000000 +0000", "GIT_AUTHOR_NAME": "system", "GIT_COMMITTER_NAME": "system",
            "GIT_AUTHOR_EMAIL": "alpha", "GIT_COMMITTER_EMAIL": "alpha"}
    words = [f"{key}={value}" for key, value in when.items()]
    repository = "--git-dir=/var/lib/understudy/sync/repo.git"
    enter = ["nsenter", f"--target={device.holder.pid}", "--mount", "--root", "--wd"]
    commit = subprocess.run([*enter, "env", *words, "git", repository, "commit-tree", tree, "-m", OLD], check=True, capture_output=True, text=True).stdout.strip()
    device.git("update-ref", "refs/heads/voice", commit)
    return commit


def test_the_past_of_names_ends(pair, lab):
    """A line that began more than a day ago begins anew; the Backup knows that it is the same."""
    alpha, beta = pair
    record(alpha, "kept.wav", b"kept")
    lab.in_step()
    tree = alpha.git("rev-parse", "refs/heads/voice^{tree}").strip()
    for device in pair:
        device.kill()
    old = {begin_long_ago(device, tree) for device in pair}
    assert len(old) == 1
    for device in pair:
        device.start()
    record(alpha, "new.wav", b"new")
    alpha.set_role("lead")
    beta.set_role("follow")
    beta.wait(lambda: recordings(beta) == {"kept.wav": b"kept", "new.wav": b"new"}, "it arrives", 20)
    for device in pair:
        assert device.git("rev-list", "--count", "refs/heads/voice") == "1\n"
        assert f"Goes-On: {old.copy().pop()}:alpha" in device.git("log", "--format=%B", "refs/heads/voice")
    record(alpha, "next.wav", b"next")
    lab.in_step()
    assert alpha.git("rev-list", "--count", "refs/heads/voice") == "2\n", "not again so soon"
    assert recordings(beta)["next.wav"] == b"next"
    assert beta.get("Diverged") == []


def test_wrong_bytes_are_refused(pair, lab):
    """An object that is not what its name says stays with who has it; what was applied stays, and the rest comes when it is right again."""
    alpha, beta = pair
    right, wrong = noise(8, 100000), noise(9, 100000)
    record(alpha, "old.wav", b"old")
    lab.in_step()
    before = beta.get("Applied")["voice"]
    beta.kill()
    record(alpha, "new.wav", right)
    alpha.commit()
    path = alpha.at(f"{STORE}/objects").joinpath(*split(name_of(right)))
    path.chmod(0o600)
    path.write_bytes(wrong)
    beta.start()
    beta.set_role("follow")
    beta.wait(lambda: "not the recording that its commit names" in beta.get("LastError"), "refused", 20)
    assert beta.get("Applied")["voice"] == beta.get("Stored")["voice"] == before
    assert recordings(beta) == {"old.wav": b"old"} and stored(beta) == {name_of(b"old")}
    assert not list(beta.at(MAIL).glob(".understudy-ahead.*/*")), "nor is it kept for the set"
    path.write_bytes(right)
    beta.wait(lambda: recordings(beta) == {"old.wav": b"old", "new.wav": right}, "it comes, now that it is right", 60)


def ask(device, host, method, path, headers=None, body=None):
    """What the other device's door answers to somebody with this device's key."""
    folder = device.at("/var/lib/understudy/sync")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    plain = device.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.settimeout(10)
    plain.connect((host, 7443))
    connection = http.client.HTTPConnection(host, 7443)
    with context.wrap_socket(plain) as connection.sock:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def test_objects_as_git_lfs_asks_for_them(pair, lab):
    """Batch, whole, a range, and what there is not."""
    alpha, beta = pair
    content = noise(10, 300000)
    record(alpha, "long.wav", content)
    lab.in_step()
    name, host, top = name_of(content), alpha.lan, "/repo.git/info/lfs/objects"
    batch = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": name, "size": len(content)}, {"oid": "0" * 64, "size": 1}]}
    kind = {"Content-Type": "application/vnd.git-lfs+json"}
    status, _, body = ask(beta, host, "POST", f"{top}/batch", kind, json.dumps(batch))
    found, missing = json.loads(body)["objects"]
    assert status == 200 and found["actions"]["download"]["href"] == f"https://{host}:7443{top}/{name}" and missing["error"]["code"] == 404
    status, headers, body = ask(beta, host, "GET", f"{top}/{name}")
    assert status == 200 and body == content and headers["Content-Length"] == str(len(content))
    status, headers, body = ask(beta, host, "GET", f"{top}/{name}", {"Range": "bytes=299990-"})
    assert status == 206 and body == content[-10:] and headers["Content-Range"] == "bytes 299990-299999/300000"
    status, _, body = ask(beta, host, "GET", f"{top}/{name}", {"Range": "bytes=100-199"})
    assert status == 206 and body == content[100:200]
    assert ask(beta, host, "GET", f"{top}/{name}", {"Range": "bytes=300000-"})[0] == 416
    assert ask(beta, host, "POST", f"{top}/batch", kind, json.dumps({**batch, "operation": "upload"}))[0] == 403
    assert ask(beta, host, "POST", f"{top}/batch", kind, "[" * 100000)[0] == 422
    for method, path in (("PUT", f"{top}/{name}"), ("DELETE", f"{top}/{name}"), ("GET", f"{top}/../../config"), ("GET", f"{top}/{'0' * 64}"),
                         ("GET", f"{top}/{name}/x"), ("GET", f"{top}/%2e%2e%2f{name[9:]}"), ("POST", "/repo.git/info/lfs/locks/verify")):
        assert ask(beta, host, method, path)[0] in (400, 404), (method, path)
    assert stored(alpha) == {name}
