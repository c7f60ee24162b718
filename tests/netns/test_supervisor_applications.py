# SPDX-License-Identifier: LGPL-2.1-or-later
"""Applications that do what they should, and those that do not: readiness, health, rights, and every kind of failure with its outcome."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.device import Lab  # noqa: E402  (the demo's folder must be on the path first)
from lab.net import wait_until  # noqa: E402

from echo_lab import REPLY  # noqa: E402
from test_supervisor import PAIR, Place, alive, application  # noqa: E402

# Answers OPTIONS on the port given, while the file given is there; a second argument says on which address.
SIP = "#!/usr/bin/python3\n" + REPLY + """\
import os, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.bind((sys.argv[2], 5060))
    while True:
        text, sender = here.recvfrom(4000)
        if os.path.exists(sys.argv[1]):
            here.sendto(reply(text), sender)
"""

# Says READY=1 and then WATCHDOG=1 as often as it is told, until the file given is there.
PETS = """\
#!/usr/bin/python3
import os, socket, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
    out.connect(os.environ["NOTIFY_SOCKET"])
    out.send(b"READY=1")
    while True:
        time.sleep(int(os.environ["WATCHDOG_USEC"]) / 4e6)
        if not os.path.exists(sys.argv[1]):
            out.send(b"WATCHDOG=1")
"""

TELLS = """\
#!/usr/bin/python3
import json, os, resource, sys, time
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
with open("/run/told.new", "w") as out:
    json.dump({"status": status, "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
               "nice": os.nice(0), "oom": open("/proc/self/oom_score_adj").read().strip(),
               "session": open("/proc/self/autogroup").read().split()[-1] if os.path.exists("/proc/self/autogroup") else "5",
               "uid": os.getuid(), "groups": os.getgroups(),
               "environment": dict(os.environ), "directory": os.getcwd(), "policy": os.sched_getscheduler(0)}, out)
os.rename("/run/told.new", "/run/told")
time.sleep(1000)
"""


@pytest.fixture
def place(build):
    with Lab(build) as lab:
        made = Place(lab)
        for name, text in (("sip", SIP), ("pets", PETS), ("tells", TELLS)):
            made.device.write(f"/usr/local/bin/{name}", text, 0o755)
        yield made


def failure(place, name, timeout_s=20):
    """The description of the event that tells of its failure."""
    return wait_until(lambda: next((event["description"] for event in place.events()
                                    if event["name"] == "application-failed" and f"Application {name} " in event["description"]), None),
                      timeout_s, f"event about {name}: {place.device.console()[-1500:]}")


def trouble(place, text, timeout_s=15):
    return wait_until(lambda: next((event for event in place.events() if text in event["description"]), None), timeout_s, f"event: {text}")


# Readiness and health.


def test_ready_when_options_is_answered(place):
    """On the service address, to which others' traffic is still dropped."""
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("sip", "/usr/local/bin/sip /run/answer 192.0.2.10", ready="sip-options", ready_address="udp 192.0.2.10:5060",
                      health="sip-options", health_address="192.0.2.10:5060", health_interval_ms="200", health_timeout_ms="200",
                      health_tolerance="4")  # a busy machine's echo may be late once
    place.start("taking-over")
    place.wait_app("sip", "starting")
    place.device.write("/run/answer", "")
    place.wait_role("master")
    place.wait_app("sip", "running")
    before = place.app("sip", "Pid")
    os.unlink(place.device.place("/run/answer"))
    wait_until(lambda: place.app("sip", "LastExit") == "unhealthy: OPTIONS is not answered", 10, "found unhealthy")
    place.device.write("/run/answer", "")
    wait_until(lambda: place.app("sip", "State") == "running" and place.app("sip", "Pid") != before, 10, "restarted")
    assert place.app("sip", "Restarts") == 1


def test_ready_when_its_port_is_bound(place):
    place.application("late", "/bin/sh -c 'until test -e /run/go; do sleep 0.02; done; exec /usr/local/bin/sip /run/no 127.0.0.1'",
                      ready="port", ready_address="udp 127.0.0.1:5060")
    place.application("elsewhere", "/bin/sleep 1001", ready="port", ready_address="tcp 5061", ready_timeout_ms="400")
    place.start()
    place.wait_app("late", "starting")
    place.device.write("/run/go", "")
    place.wait_app("late", "running")
    assert "(not ready within 400 ms: nobody listens on its port)" in failure(place, "elsewhere")
    assert place.app("late", "State") == "running"


def test_watchdog(place):
    place.application("pets", "/usr/local/bin/pets /run/quiet", ready="notify", watchdog_ms="500")
    place.start()
    place.wait_app("pets", "running")
    before = place.app("pets", "Pid")
    pid = place.device.pid_of("pets")
    os.kill(pid or next(iter(place.group("pets"))), signal.SIGSTOP)
    wait_until(lambda: place.app("pets", "Pid") not in (before, 0) and place.app("pets", "State") == "running", 10, "a new one")
    assert place.app("pets", "LastExit") == "its watchdog heard nothing for 500 ms"


def test_health_command_that_hangs_or_fails(place):
    place.application("hangs", "/bin/sleep 1001", health="command", health_command="/bin/sleep 1002", health_interval_ms="100",
                      health_timeout_ms="100", health_tolerance="0")
    place.application("fails", "/bin/sleep 1003", health="command", health_command="/bin/false", health_interval_ms="100",
                      health_tolerance="0")
    place.application("well", "/bin/sleep 1004", health="command", health_command="/bin/true", health_interval_ms="100")
    place.start()
    wait_until(lambda: place.app("hangs", "LastExit") == "unhealthy: its check does not end", 10, "the one that hangs")
    wait_until(lambda: place.app("fails", "LastExit") == "unhealthy: its check ended with exit 1", 10, "the one that fails")
    assert place.app("well", "Restarts") == 0


# What it may do and use.


def test_rights_and_limits(place):
    place.application("tells", "/usr/local/bin/tells", user="daemon", capabilities="CAP_NET_BIND_SERVICE", nofile="4321", core="0", nice="5",
                      oom_score_adj="300", realtime="3", environment="COLOUR=red", working_directory="/tmp")
    place.device.write("/usr/local/bin/tells", TELLS.replace("/run/told", "/tmp/told"), 0o755)
    place.start()
    told = json.loads(wait_until(lambda: place.device.run(["cat", "/tmp/told"], check=False).stdout, 10, "its story"))
    place.device.run(["rm", "/tmp/told"])
    assert told["uid"] == 1 and told["groups"] == [1]
    assert {told["status"][name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0000000000000400"}
    assert told["status"]["NoNewPrivs"] == "1"
    assert told["nofile"] == [4321, 4321] and told["core"] == [0, 0]
    assert (told["nice"], told["session"], told["oom"], told["directory"], told["policy"]) == (5, "5", "300", "/tmp", os.SCHED_RR)
    assert told["environment"]["COLOUR"] == "red" and told["environment"]["USER"] == "daemon"


def test_without_keys_root_stays_root(place):
    place.application("tells", "/usr/local/bin/tells")
    place.start()
    told = json.loads(wait_until(lambda: place.device.read("/run/told"), 10, "its story"))
    assert told["uid"] == 0 and told["nice"] == 0 and int(told["status"]["CapEff"], 16) & (1 << 21)


def test_signals_do_what_they_do_by_default(place):
    """The supervisor ignores some, and blocks all while it makes a process."""
    place.application("tells", "/bin/sh -c 'cat /proc/self/status >/run/told.new; mv /run/told.new /run/told; exec sleep 1002'")
    place.start()
    text = wait_until(lambda: place.device.read("/run/told"), 10, "its story")
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert (status["SigIgn"], status["SigBlk"]) == ("0000000000000000", "0000000000000000")


# Everything that can be wrong with one, while another runs.


@pytest.mark.parametrize("command, more, expected", [
    ("/usr/local/bin/nowhere", {}, "exit 127"),
    ("/bin/sleep 1002", {"user": "nobody-here"}, "no user nobody-here on this device"),
    ("/bin/sh -c 'echo I cannot; echo go on; exit 3'", {}, "(exit 3). Its last lines:\nI cannot\ngo on\nI cannot\ngo on\n"),
    ("/bin/sh -c 'sleep 1002 & exit 0'", {}, "exit 0, but others of it live on: it must stay in the foreground"),
    ("/bin/sh -c 'echo waiting; sleep 1002'", {"ready": "notify", "ready-timeout-ms": "300"}, "not ready within 300 ms). Its last lines:\nwaiting\n"),
], ids=["no-such-command", "no-such-user", "exits-at-once", "forks-away", "never-ready"])
def test_failure_has_its_event_and_the_rest_is_unaffected(place, command, more, expected):
    place.application("bad", command, restart_delay_ms="1", critical="false", **more)
    place.application("good", "/bin/sleep 1001")
    place.start()
    assert expected in failure(place, "bad")
    assert place.app("bad", "State") in ("failed", "waiting", "starting")
    assert place.app("good", "State") == "running" and place.app("good", "Restarts") == 0
    assert not any("application-failed" in problem for problem in place.get("Problems")), "it is not critical"
    wait_until(lambda: place.app("bad", "State") == "failed" and not place.group("bad"), 5, "nothing of it is left")


def test_one_that_hangs_on_stop_is_killed_and_told_of(place):
    place.application("clings", "/usr/local/bin/clings", stop_timeout_ms="200")
    place.start()
    place.wait_app("clings", "running")
    wait_until(lambda: len(place.group("clings")) == 2, 5, "one that clings by now")
    group = place.group("clings")
    place.call("Restart", "s", "", path="/org/understudy/Supervisor1/application/clings", interface="org.understudy.Application1")
    trouble(place, "Application clings did not stop within 200 ms and was killed")
    wait_until(lambda: not any(alive(pid) for pid in group), 5, "all of it gone")
    place.wait_app("clings", "running")


def test_flooded_output_is_bounded(place):
    place.application("floods", "/bin/sh -c 'while :; do cat /dev/zero 2>/dev/null; done'")
    place.application("good", "/bin/sleep 1001")
    place.start()
    place.wait_app("floods", "running")
    log = lambda: os.stat(place.device.place("/run/understudy/log/floods")).st_size  # noqa: E731
    wait_until(lambda: log() > 1 << 20, 10, "a flood")
    largest = [0]

    def shortened():
        size = log()
        largest[0] = max(largest[0], size)
        return size < largest[0]
    wait_until(shortened, 15, "its output shortened")
    assert largest[0] <= 64 << 20
    assert place.app("good", "State") == "running" and place.get("Role") == "standalone"


def test_needs_that_fail_hold_up_only_who_needs_them(place):
    place.application("database", "/bin/false", restart_delay_ms="1", ready="notify")
    place.application("sip", "/bin/sleep 1001", needs="database")
    place.application("gui", "/bin/sleep 1002")
    place.start()
    failure(place, "database")
    assert place.app("sip", "State") == "waiting" and place.app("gui", "State") == "running"
    assert "application-failed: " in " ".join(place.get("Problems"))


def test_an_instance_that_somebody_else_started_is_told_of(place):
    """The same script, once ours and once a person's."""
    place.application("sip", "/usr/local/bin/sip /run/answer 127.0.0.1")
    place.start()
    place.wait_app("sip", "running")
    place.device.run(["cp", "/usr/bin/sleep", "/usr/local/bin/other-pbx"])
    place.application("other", "/usr/local/bin/other-pbx 1001")
    place.call("Reload")
    place.wait_app("other", "running")
    stranger = place.device.popen(["setsid", "/usr/local/bin/other-pbx", "1002"])
    try:
        event = trouble(place, "Application other also runs as process", 30)
        assert event["name"] == "foreign-instance"
        assert any(problem.startswith("foreign-instance: other also runs as process ") for problem in place.get("Problems"))
    finally:
        stranger.kill()
        stranger.wait()
    for pid in place.device.run(["pidof", "other-pbx"]).stdout.split():
        if f"{place.app('other', 'Pid')}" != pid:
            place.device.run(["kill", "-9", pid])
    wait_until(lambda: not any("foreign" in problem for problem in place.get("Problems")), 30, "gone again")
    assert place.app("sip", "Restarts") == 0


EXAMPLES = Path(__file__).resolve().parents[2] / "data/examples/applications.d"


def example_command(name, key):
    """The words of one of its commands, as a shell reads them and Understudy does."""
    line = next(line for line in (EXAMPLES / f"{name}.conf").read_text(encoding="utf-8").splitlines() if line.startswith(f"{key}="))
    return shlex.split(line.split("=", 1)[1])


def register(place, user):
    text = (f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{user}@127.0.0.1>;tag=1\r\nTo: <sip:{user}@127.0.0.1>\r\nCall-ID: {user}\r\nCSeq: 1 REGISTER\r\n"
            f"Contact: <sip:{user}@127.0.0.1:5099>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n")
    with place.device.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(5)
        line.sendto(text.encode(), ("127.0.0.1", 5060))
        assert line.recv(2000).startswith(b"SIP/2.0 200 ")


def test_the_example_for_kamailio_counts(place):
    """The real one says how many contacts and calls it has; without its module dialog the calls are not known."""
    config = place.device.read("/etc/kamailio/kamailio.cfg")
    place.device.write("/etc/kamailio/kamailio.cfg", config.replace('loadmodule "ctl.so"', 'loadmodule "ctl.so"\nloadmodule "dialog.so"'), 0o644)
    place.device.write("/etc/understudy/applications.d/kamailio.conf", (EXAMPLES / "kamailio.conf").read_text(encoding="utf-8"))
    place.start()
    place.wait_app("kamailio", "running", 20)
    for n, user in enumerate(("anna", "bert"), 1):
        register(place, user)
        counted = place.device.run(example_command("kamailio", "count-command"))
        assert counted.stdout.splitlines()[-1] == str(n)
    quiet = place.device.run(example_command("kamailio", "quiet-command"))
    assert quiet.stdout.splitlines()[-1] == "0 calls"
    place.device.write("/etc/kamailio/kamailio.cfg", config, 0o644)
    before = place.device.pid_of("kamailio")
    place.call("Restart", "s", "", path="/org/understudy/Supervisor1/application/kamailio", interface="org.understudy.Application1")
    place.device.wait_process("kamailio", not_pid=before)
    place.wait_app("kamailio", "running", 20)
    quiet = place.device.run(example_command("kamailio", "quiet-command"), check=False)
    assert quiet.returncode == 1 and quiet.stdout.splitlines()[-1] == "an unknown number of calls"


@pytest.mark.parametrize("name, program, key, printed, expected", [
    ("asterisk", "/usr/sbin/asterisk", "quiet-command", "0 active calls\n17 calls processed\n", (0, "0 calls")),
    ("asterisk", "/usr/sbin/asterisk", "quiet-command", "3 of 100 max active calls ( 3.00% of capacity)\n17 calls processed\n", (1, "3 calls")),
    ("asterisk", "/usr/sbin/asterisk", "quiet-command", "1 active call\n1 call processed\n", (1, "1 calls")),
    ("asterisk", "/usr/sbin/asterisk", "quiet-command", "", (1, "an unknown number of calls")),
    ("asterisk", "/usr/sbin/asterisk", "count-command", "  Contact:  9001/sip:9001@192.0.2.101 NonQual nan\n\nObjects found: 12\n\n", (0, "12")),
    ("asterisk", "/usr/sbin/asterisk", "count-command", "No objects found.\n\n", (0, "0")),
    ("freeswitch", "/usr/bin/fs_cli", "quiet-command", "\n0 total.\n", (0, "0 calls")),
    ("freeswitch", "/usr/bin/fs_cli", "quiet-command", "\n2 total.\n", (1, "2 calls")),
    ("freeswitch", "/usr/bin/fs_cli", "quiet-command", "[ERROR] fs_cli.c: Error Connecting\n", (1, "an unknown number of calls")),
    ("freeswitch", "/usr/bin/fs_cli", "count-command", "\n12 total.\n", (0, "12")),
    ("freeswitch", "/usr/bin/fs_cli", "count-command", "[ERROR] fs_cli.c: Error Connecting\n", (1, "not known")),
])
def test_the_examples_read_what_the_others_print(tmp_path, name, program, key, printed, expected):
    stand_in = tmp_path / "stand-in"
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}END\n", encoding="utf-8")
    stand_in.chmod(0o755)
    words = example_command(name, key)
    assert program in words[-1]
    done = subprocess.run([*words[:-1], words[-1].replace(program, str(stand_in))], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == expected


def test_the_example_for_kamailio(place):
    """With the real one: started with the rights that the file gives, ready when it answers OPTIONS, well, and gone when it shall stop."""
    text = (EXAMPLES / "kamailio.conf").read_text(encoding="utf-8")
    text = text.replace("health-interval-ms=5000", "health-interval-ms=200")
    place.device.write("/etc/understudy/applications.d/kamailio.conf", text)
    place.start()
    place.wait_app("kamailio", "running", 20)
    pid = place.device.pid_of("kamailio")
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        assert "16384" in next(line for line in limits if line.startswith("Max open files"))
    group = place.group("kamailio")
    assert len(group) > 1
    answered = place.get("Role") == "standalone" and place.app("kamailio", "Restarts") == 0
    assert answered and place.app("kamailio", "State") == "running"
    os.unlink(place.device.place("/etc/understudy/applications.d/kamailio.conf"))
    place.call("Reload")
    wait_until(lambda: not any(alive(pid) for pid in group), 10, "every process of it gone")


def test_a_limit_of_memory_that_cannot_be_had_is_told_of(place):
    """The unified hierarchy of a machine where another one has the memory controller."""
    place.application("sip", "/bin/sleep 1001", memory_max="64M")
    place.start()
    place.wait_app("sip", "running")
    limit = place.device.cgroup + "/understudy-apps/sip/memory.max"
    if os.path.exists(limit):
        assert Path(limit).read_text(encoding="ascii").strip() == str(64 << 20)
    else:
        assert "has no memory controller" in trouble(place, "Application sip runs without its memory-max")["description"]


def test_a_unit_where_there_is_no_systemd(place):
    """An error, and the others run."""
    place.device.write("/etc/understudy/applications.d/pbx.conf", "[application]\nunit=pbx.service\nrestart-delay-ms=1\ncritical=false\n")
    place.application("good", "/bin/sleep 1001")
    place.start()
    assert "systemd" in failure(place, "pbx")
    assert place.app("good", "State") == "running"


def test_a_single_pbx_undoes_the_change_that_broke_it(place):
    """Also without a peer; and not a change that is older than the time of trial, of which this one has none."""
    for name, trial in (("sip", "300"), ("old", "0")):
        place.device.write(f"/usr/local/bin/{name}-reads", f"#!/bin/sh\ngrep -q good /var/lib/{name}/config || exit 4\nexec sleep 1001\n", 0o755)
        place.device.write(f"/var/lib/{name}/config", "good\n")
        place.device.write(f"/etc/understudy/applications.d/{name}.conf",
                           application(f"/usr/local/bin/{name}-reads", restart_delay_ms="1", config_trial_s=trial)
                           + f"\n[data {name}]\npath=/var/lib/{name}\n")
    place.start()
    history = lambda: len(json.loads(place.device.run(["understudy", "--json", "history"]).stdout))  # noqa: E731
    for name in ("sip", "old"):
        place.wait_app(name, "running")
    wait_until(lambda: history() >= 1, 10, "the first commit")
    before = history()
    place.device.write("/var/lib/old/config", "bad\n")
    wait_until(lambda: history() > before, 10, "committed")
    path = "/org/understudy/Supervisor1/application/"
    place.call("Restart", "s", "", path=f"{path}old", interface="org.understudy.Application1")
    failure(place, "old")
    assert place.device.read("/var/lib/old/config") == "bad\n", "it has no time of trial"
    place.device.write("/var/lib/old/config", "good\n")
    wait_until(lambda: place.app("old", "State") == "running", 20, "mended, and tried at once")

    before = history()
    place.device.write("/var/lib/sip/config", "bad\n")
    wait_until(lambda: history() > before, 10, "committed")
    place.call("Restart", "s", "", path=f"{path}sip", interface="org.understudy.Application1")
    trouble(place, "Application sip failed after a change of the configuration (1 change: sip.sip/config): the change is undone")
    wait_until(lambda: place.app("sip", "State") == "running", 20, "running again")
    assert place.device.read("/var/lib/sip/config") == "good\n"
