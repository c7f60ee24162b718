# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pairing and the peer link over IPv6, alone and beside IPv4."""

import pytest

from sync_lab import FILES, CallError, SyncLab


@pytest.fixture(params=["ipv6", "both"])
def lab(build, tmp_path, request):
    with SyncLab(build, tmp_path, request.param) as lab:
        lab.family = request.param
        lab.start()
        yield lab


def follows(lab, text):
    """A change on the leader arrives."""
    lab.alpha.write(f"{FILES}/main.cfg", text)
    lab.beta.wait(lambda: lab.beta.read(f"{FILES}/main.cfg") == text, "the change", 20)
    lab.in_step()


def test_pair_and_follow(lab):
    alpha, beta = lab.alpha, lab.beta
    alpha.write(f"{FILES}/main.cfg", "first\n")
    beta.join(f"[{alpha.peer}]", alpha.open_pairing())
    alpha.wait(lambda: alpha.get("Paired"), "paired")
    wanted = {"ipv6": {"lan": [f"{beta.lan}/64"], "peer": [f"{beta.peer}/64"]},
              "both": {"lan": [f"{beta.lan}/24", "2001:db8::12/64"], "peer": [f"{beta.peer}/64"]}}
    assert alpha.get("PairRecord")["peer_addresses"] == wanted[lab.family]
    beta.write("/etc/understudy/pair.conf", beta.get("PairRecord")["pair_conf"])
    beta.sync("Reload")
    for device in (alpha, beta):
        device.wait(lambda d=device: d.get("Connected"), "connected")
    alpha.set_role("lead")
    beta.set_role("follow")
    lab.in_step()
    assert beta.read(f"{FILES}/main.cfg") == "first\n"
    follows(lab, "second\n")


@pytest.mark.parametrize("cut", ["cable", "switch"])
def test_it_follows_through_the_other_path(lab, cut):
    lab.pair()
    lab.in_step()
    getattr(lab, cut).cut()
    for text in ("one\n", "two\n"):
        follows(lab, text)
    assert lab.alpha.get("Connected") and lab.beta.get("Connected")
    getattr(lab, cut).plug()
    follows(lab, "three\n")


def test_configured_addresses_of_both_families(lab):
    """[peer] addresses= decides: the best one first."""
    for device, other in ((lab.alpha, lab.beta), (lab.beta, lab.alpha)):
        device.write("/etc/understudy/device.conf",
                     device.read("/etc/understudy/device.conf") + f"\n[peer]\naddresses={other.peer}, {other.lan}\n")
        device.sync("Reload")
    lab.pair()
    follows(lab, "first\n")
    lab.cable.cut()
    follows(lab, "second\n")
    for device in (lab.alpha, lab.beta):
        device.kill()
        device.start()
    lab.alpha.set_role("lead", 2)
    lab.beta.set_role("follow", 2)
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: d.get("Connected"), "connected again")
    follows(lab, "third\n")


def test_another_port(lab):
    text = lab.alpha.read("/etc/understudy/pair.conf").replace("group-id=51", "group-id=51\npeer-port=9000")
    lab.alpha.write("/etc/understudy/pair.conf", text)
    lab.alpha.sync("Reload")
    code = lab.alpha.open_pairing()
    with pytest.raises(CallError) as refused:
        lab.beta.join(f"[{lab.alpha.peer}]", code)
    assert refused.value.name == "org.understudy.Error.NotReachable"
    lab.beta.join(f"[{lab.alpha.peer}]:9001", code)
    lab.beta.write("/etc/understudy/pair.conf", lab.beta.get("PairRecord")["pair_conf"])
    lab.beta.sync("Reload")
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: d.get("Connected"), "connected")


@pytest.mark.parametrize("address", ["fe80::1", "[fe80::1%eth1]:9001", "fe80::1%eth1"])
def test_no_link_local_address_is_joined(lab, address):
    with pytest.raises(CallError) as refused:
        lab.beta.join(address, "A" * 32)
    assert refused.value.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert "link-local; join by the address or address6 in the other's device.conf" in str(refused.value)


@pytest.mark.parametrize("address", ["[192.0.2.11]", "[2001:db8::11", "2001:db8::11]:9001", "[2001:db8::11]:0", "pbx-left", ""])
def test_nonsense_is_no_address(lab, address):
    with pytest.raises(CallError) as refused:
        lab.beta.join(address, "A" * 32)
    assert refused.value.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert "an address is ADDRESS or ADDRESS:PORT; of IPv6 [ADDRESS]:PORT" in str(refused.value)
