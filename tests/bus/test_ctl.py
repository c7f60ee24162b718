# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line as people and programs meet it: what it prints, where, and how it ends."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from gi.repository import GLib

from ctl_scripted import Failure, Scripted
from notify_place import DEADLINE_S, Place, wait_until

OK, REFUSED, BAD_INPUT, NOT_REACHABLE, TIMED_OUT = range(5)
SUPERVISOR, SUPERVISOR_PATH = "org.understudy.Supervisor1", "/org/understudy/Supervisor1"
SYNC, SYNC_PATH, PEER = "org.understudy.Sync1", "/org/understudy/Sync1", "org.understudy.Peer1"
JOB, JOB_PATH = "org.understudy.Job1", "/org/understudy/Supervisor1/job/1"
CODE = "ABCDE-FGHIJ-KLMNO"


@pytest.fixture
def place(build):
    place = Place(build)
    yield place
    place.close()


@pytest.fixture
def bus(place):
    place.start_bus()
    return place


@pytest.fixture
def notify(bus):
    """A notifyd with three events, oldest first."""
    bus.start_notifyd()
    client = bus.wait_for_name(bus.system_bus())
    client.raise_event("SIP", "ip phone registration rejected", 1, "line 12\nsaid 403", "/phones/12", time_ms=GLib.Variant("x", 1700000000000))
    client.raise_event("MG", "call quality warning", 2, "Потери пакетов", time_ms=GLib.Variant("x", 1700000060000))
    client.raise_event("REDUNDANCY", "down", 3, "Backup device is DOWN", time_ms=GLib.Variant("x", 1700000120000))
    return bus


@pytest.fixture
def scripted(bus):
    services = []

    def make(name):
        services.append(Scripted(bus, name))
        return services[-1]

    yield make
    for service in services:
        if not service.connection.is_closed():
            service.close()


def ends(child):
    """Waits for a started command while the main loop serves it; (exit code, stdout, stderr)."""
    wait_until(lambda: child.poll() is not None, "the command ends")
    return child.returncode, child.stdout.read().decode(), child.stderr.read().decode()


def select_readable(stream):
    return bool(select.select([stream], [], [], 0)[0])


def start(place, *words, **more):
    return subprocess.Popen(place.command([place.build / "ctl/understudy", *words]), env=place.environment(), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, stdin=more.pop("stdin", subprocess.DEVNULL), **more)


def run(place, *words):
    return ends(start(place, *words))


# ---- events ----


def test_events_table(notify):
    done = notify.ctl("events")
    assert (done.returncode, done.stderr) == (OK, "")
    assert done.stdout == (
        "     id  time                 pri  application  name                            description\n"
        "new  3   2023-11-14 22:15:20  3    REDUNDANCY   down                            Backup device is DOWN\n"
        "new  2   2023-11-14 22:14:20  2    MG           call quality warning            Потери пакетов\n"
        "new  1   2023-11-14 22:13:20  1    SIP          ip phone registration rejected  line 12 said 403 [/phones/12]\n")


def test_events_in_the_c_locale(notify):
    """A script without a locale gets the text as it is."""
    assert "Потери пакетов" in notify.ctl("events", env={"LC_ALL": "C"}).stdout


def test_events_json(notify):
    for words in (("--json", "events"), ("events", "--json")):
        events = json.loads(notify.ctl(*words).stdout)
        assert [event["name"] for event in events] == ["down", "call quality warning", "ip phone registration rejected"]
        assert events[2] == {"id": 1, "status": "new", "time_ms": 1700000000000, "priority": 1, "application": "SIP",
                             "name": "ip phone registration rejected", "description": "line 12\nsaid 403", "reference": "/phones/12",
                             "device": "dev-a"}
    assert json.loads(notify.ctl("events", "--json", "--text", "nothing like it").stdout) == []


def test_events_selected_and_marked(notify):
    def names(*words):
        done = notify.ctl("events", "--json", *words)
        assert done.returncode == OK, done.stderr
        return [event["name"].split()[0] for event in json.loads(done.stdout)]

    assert names("--count", "1") == ["down"]
    assert names("--min-priority", "2") == ["down", "call"]
    assert names("--application", "SIP") == ["ip"]
    assert names("--text", "ПОТЕРИ") == ["call"]
    assert names("--before", "2") == ["ip"] and names("--before", "3", "--count", "1") == ["call"]
    assert names("--id", "2") == ["call"] and names("--id", "4") == [] and names("--id", "2", "--application", "SIP") == []
    assert names("--count", "2", "--mark-read") == ["down", "call"]
    assert names("--unread") == ["ip"]
    assert names("--application", "MG", "--mark-read") == ["call"], "marking what is read already is no error, and marks nothing else"
    assert names("--unread", "--mark-read") == ["ip"]
    assert notify.ctl("events", "--unread").stdout == "no events\n"


def test_many_events_come_page_by_page(notify):
    client = notify.system_bus()
    for i in range(700):
        client.raise_event(name=f"big {i}", description="x" * 4096 if i % 2 else "ы" * 4096)
    events = json.loads(notify.ctl("events", "--json", "--count", "10000").stdout)
    assert [event["id"] for event in events] == list(range(703, 0, -1))


def test_what_the_administrators_guide_says_of_events(notify, tmp_path):
    """Each command as it stands there; the SQL by SQLite's library, whose shell alone has readfile()."""
    page = (notify.top / "docs/administration.md").read_text(encoding="utf-8")
    section = re.search(r"^## Events\n(.*?)^## ", page, re.M | re.S).group(1)
    look, raise_some, ask = [block.replace("/root/", f"{tmp_path}/") for block in re.findall(r"```sh\n(.*?)```", section, re.S)]
    environment = {"PATH": f"{notify.build}/ctl:{os.environ['PATH']}"}
    dump, ask = ask.splitlines()
    for script in (look, raise_some, dump):
        done = notify.run("sh", "-ec", script, env=environment)
        assert (done.returncode, done.stderr) == (OK, ""), (script, done)
    with closing(sqlite3.connect(":memory:")) as shell:
        shell.create_function("readfile", 1, lambda path: Path(path).read_text(encoding="utf-8"))
        assert sorted(shell.execute(ask.split('"')[1])) == [("BACKUP", 2), ("MG", 1), ("REDUNDANCY", 1), ("SIP", 1)]


def on_terminal(place, *words, env=None, write=None):
    """Runs a command on a terminal of its own; (exit code, all it showed)."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(place.command([place.build / "ctl/understudy", *words]), env=place.environment(**{"TERM": "xterm", **(env or {})}),
                             stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], DEADLINE_S)[0]:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # EIO: nobody has the other end any more
                break
            shown += piece
            if write and write[0] in shown:
                os.write(ours, write[1])
                write = None
        return child.wait(DEADLINE_S), shown.decode()
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def test_colour_only_where_it_is_wanted(notify):
    code, shown = on_terminal(notify, "events")
    assert code == OK and "\033[31mdown\033[0m" in shown
    assert "\033[" not in on_terminal(notify, "events", env={"NO_COLOR": "1"})[1]
    assert "\033[" not in on_terminal(notify, "events", env={"TERM": "dumb"})[1]
    assert "\033[" not in notify.ctl("events").stdout


def test_marking_needs_the_right(notify):
    done = notify.ctl("events", "--mark-read", user="viewer")
    assert done.returncode == REFUSED and "down" in done.stdout and "understudy-operate" in done.stderr
    assert notify.ctl("events", user="stranger").returncode == REFUSED
    assert notify.ctl("events", "--mark-read", user="operator").returncode == OK


def test_output_into_a_closed_pipe(notify):
    done = notify.run("sh", "-c", f"{notify.build}/ctl/understudy events --json | true")
    assert done.stderr == ""


# ---- not there, not answering, not right ----

COMMANDS = (["status"], ["swap"], ["mode"], ["mode", "active"], ["takeover"], ["reset-health"], ["history"], ["show", "1234"], ["diff", "1234", "5678"], ["restore", "1234"], ["diverged"], ["timeline"], ["settings", "show"], ["pair"], ["join", "192.0.2.1"], ["unpair"], ["rotate-key"], ["git-access"], ["peer-address", "192.0.2.1"],
            ["events"])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_daemon_not_there(bus, words):
    done = bus.ctl(*words, input=CODE + "\n")
    assert done.returncode == NOT_REACHABLE and done.stdout == ""
    assert "is not on the system bus" in done.stderr and "systemctl status understudy" in done.stderr


def test_daemon_not_there_but_its_supervisor_is(bus, scripted):
    scripted(SUPERVISOR)
    code, out, err = run(bus, "events")
    assert (code, out) == (NOT_REACHABLE, "") and "the supervisor starts it again" in err and "understudy events" in err


def test_daemon_dies_before_it_answers(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {})
    child = start(bus, "takeover")
    wait_until(lambda: supervisor.calls, "the call")
    supervisor.close()
    code, _, err = ends(child)
    assert code == NOT_REACHABLE and "understudy" in err


def test_no_bus(place):
    done = place.ctl("status")
    assert done.returncode == NOT_REACHABLE and "system bus does not answer" in done.stderr


def test_frozen_daemon(notify):
    notify.notifyd.send_signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        done = notify.ctl("events")
        assert done.returncode == TIMED_OUT and "did not answer in time; it may be busy" in done.stderr
        assert time.monotonic() - begin < 15
    finally:
        notify.notifyd.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("words", [
    [], ["--colour"], ["frobnicate"], ["events", "--frobnicate"], ["events", "extra"], ["events", "--count", "0"], ["events", "--count", "many"],
    ["events", "--min-priority", "4"], ["events", "--before", "-1"], ["events", "--id", "0"], ["notify"], ["notify", "test"], ["notify", "targets", "all"], ["notify", "log", "--count", "0"], ["mode", "sideways"], ["mode", "active", "passive"], ["join"], ["join", "a", "b"], ["pair", "--minutes", "0"],
    ["pair", "--minutes", "61"], ["history", "--ref", "fax"], ["history", "a", "b"], ["history", "--count", "0"], ["show"], ["diff", "1234"], ["restore"], ["restore", "a", "b", "c"],
    ["diverged", "show"], ["diverged", "burn", "refs/diverged/a/1"], ["diverged", "show", "config"], ["timeline", "--count", "-1"],
    ["settings"], ["settings", "burn"], ["settings", "set", "group-id"], ["settings", "restore", "x"], ["settings", "apply", "/nonexistent"],
    ["swap", "now"], ["takeover", "now"], ["reset-health", "now"], ["unpair", "now"], ["rotate-key", "now"], ["git-access", "now"], ["export"], ["export", "/nonexistent/file"], ["import"], ["import", "/nonexistent"], ["peer-address"], ["status", "now"]], ids=" ".join)
def test_bad_input(bus, words):
    done = bus.ctl(*words)
    assert done.returncode == BAD_INPUT and done.stdout == "" and "understudy" in done.stderr


def test_help_and_version(place):
    """Works without any bus."""
    text = place.ctl("help").stdout
    assert text == place.ctl("--help").stdout
    for command in ("status", "swap", "mode", "takeover", "reset-health", "events", "notify", "history", "show", "diff", "restore", "diverged", "timeline", "settings", "pair", "join", "unpair", "rotate-key", "git-access", "peer-address", "export", "import"):
        assert re.search(rf"^  {command} ", text, re.M)
        for words in ((command, "--help"), ("help", command)):
            done = place.ctl(*words)
            assert done.returncode == OK and f"understudy {command}" in done.stdout and "--json" in done.stdout
    assert place.ctl("help", "frobnicate").returncode == BAD_INPUT
    assert re.fullmatch(r"understudy \d+\.\d+\.\d+\n", place.ctl("--version").stdout)


# ---- swap ----


def job_properties(**more):
    return {"Kind": "swap", "State": "running", "Progress": 0.0, "Message": "", "Error": "", "Result": {}, **more}


def test_swap_follows_the_job(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(JOB_PATH, JOB, job_properties(Message="waiting for the last commit"))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Swap=lambda _options: GLib.Variant("(o)", (JOB_PATH,)))
    child = start(bus, "swap", "--reason", "maintenance")
    steps = [{"Progress": 0.5, "Message": "stopping applications"}, {"Progress": 1.0, "State": "done", "Message": "the peer leads",
             "Result": {"outage_ms": GLib.Variant("u", 180)}}]

    def on_line():
        line = child.stderr.readline()
        supervisor.change(JOB_PATH, JOB, **steps.pop(0))
        return line.decode()

    watch = GLib.io_add_watch(child.stderr.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, lambda *_: bool(lines.append(on_line()) or steps))
    lines = []
    wait_until(lambda: not steps, "both steps are shown")
    assert watch
    code, out, err = ends(child)
    assert code == OK and out == "swapped: the other device leads now\n"
    assert lines + [err] == ["waiting for the last commit\n", "stopping applications\n", "the peer leads\n"]
    assert supervisor.calls[0] == ("Swap", ({"reason": "maintenance"},))


def test_swap_on_a_terminal_draws_a_bar(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(JOB_PATH, JOB, job_properties(State="done", Progress=0.5, Message="half"))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Swap=lambda _options: GLib.Variant("(o)", (JOB_PATH,)))
    # The terminal is read by a blocking loop, so the main loop that serves the command runs in a thread.
    loop = GLib.MainLoop()
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        code, shown = on_terminal(bus, "swap")
    finally:
        loop.quit()
        thread.join()
    assert code == OK and "[▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇               ]  50 %  half" in shown


@pytest.mark.parametrize("state,error,expected", [("done", "", OK), ("failed", "peer-timeout: not applied within 5 s", REFUSED), ("cancelled", "", REFUSED)])
def test_swap_json_and_exit_code(bus, scripted, state, error, expected):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(JOB_PATH, JOB, job_properties(State=state, Error=error, Result={"outage_ms": GLib.Variant("u", 180)}))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Swap=lambda _options: GLib.Variant("(o)", (JOB_PATH,)))
    code, out, err = run(bus, "swap", "--json")
    assert code == expected
    result = json.loads(out)
    assert (result["state"], result["error"], result["result"]) == (state, error, {"outage_ms": 180})
    assert error in err


def refuse(*_args, **_more):
    raise Failure("org.understudy.Error.Refused", "not-master: this device is backup")


@pytest.mark.parametrize("words,method", [(["swap"], "Swap"), (["mode", "passive"], "SetMode"), (["takeover"], "TakeOver")])
def test_refused(bus, scripted, words, method):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, **{method: refuse})
    code, out, err = run(bus, *words)
    assert (code, out) == (REFUSED, "") and err == "understudy: not-master: this device is backup\n"


def test_peer_not_reachable_is_told_from_daemon_not_there(bus, scripted):
    def no_peer(*_args):
        raise Failure("org.understudy.Error.NotReachable", "the peer does not answer")

    scripted(SUPERVISOR).publish(SUPERVISOR_PATH, SUPERVISOR, {}, SetMode=no_peer)
    code, _, err = run(bus, "mode", "passive")
    assert code == NOT_REACHABLE and "the peer does not answer" in err and "systemctl" not in err


def test_supervisor_dies_during_a_swap(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(JOB_PATH, JOB, job_properties(Message="working"))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Swap=lambda _options: GLib.Variant("(o)", (JOB_PATH,)))
    child = start(bus, "swap")
    wait_until(lambda: select_readable(child.stderr), "progress")
    supervisor.close()
    code, _, err = ends(child)
    assert code == NOT_REACHABLE and "went away before the job's end" in err


def test_swap_options_and_what_force_gives_up(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    obstacles = [{"code": GLib.Variant("s", "version-differs"), "text": GLib.Variant("s", "the versions"), "forcible": GLib.Variant("b", True),
                  "gives_up": GLib.Variant("s", "this and that")}]
    supervisor.publish(JOB_PATH, JOB, job_properties(State="done"))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Swap=lambda _options: GLib.Variant("(o)", (JOB_PATH,)),
                       CheckSwap=lambda: GLib.Variant("(aa{sv})", (obstacles,)))
    code, _, err = run(bus, "swap", "--force", "--reason", "new disk", "--when-quiet", "60")
    assert code == OK and "--force gives up this and that: the versions\n" in err
    assert supervisor.calls == [("CheckSwap", ()), ("Swap", ({"reason": "new disk", "force": True, "when_quiet_s": 60},))]
    assert run(bus, "swap", "--when-quiet", "-1")[0] == BAD_INPUT


def test_status_warns_of_unread_events(notify, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "standalone", "DeviceId": "dev-a", "Mode": "active", "Problems": [],
                                                     "Peer": {"connected": GLib.Variant("b", False), "age_ms": GLib.Variant("x", -1)}})
    assert notify.ctl("events", "--mark-read").returncode == OK
    assert "\nUnread\n" not in run(notify, "status")[1] and "\nProblems\n" in run(notify, "status")[1]
    notify.private_socket().raise_event("REDUNDANCY", "down", 3, "Backup device is DOWN")
    assert "\nUnread\n  1 event up to priority 3: understudy events --unread\n" in run(notify, "status")[1]
    assert json.loads(run(notify, "status", "--json")[1])["events"]["unread_warning"] == [1, 3]


# ---- mode, takeover, timeline, history, status ----


def test_mode(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    peer = {"connected": GLib.Variant("b", True), "mode": GLib.Variant("s", "passive")}
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Mode": "active", "Role": "master", "Peer": peer}, SetMode=lambda *_: None)
    assert run(bus, "mode") == (OK, "passive\n", "")  # the Backup's
    assert json.loads(run(bus, "mode", "--json")[1]) == {"mode": "active", "role": "master", "peer_mode": "passive"}
    assert run(bus, "mode", "passive") == (OK, "the Backup's mode is passive now\n", "")
    assert ("SetMode", ("passive", {})) in supervisor.calls
    supervisor.change(SUPERVISOR_PATH, SUPERVISOR, Peer={"connected": GLib.Variant("b", False), "mode": GLib.Variant("s", "passive")})
    assert run(bus, "mode") == (OK, "active\n", "")  # what the peer once was says nothing
    supervisor.change(SUPERVISOR_PATH, SUPERVISOR, Peer=peer, Role="backup")
    assert run(bus, "mode") == (OK, "active\n", "")


def test_versions(bus, scripted):
    sync = scripted(SYNC)
    commit = {"commit": GLib.Variant("s", "1f3a9c04"), "time_ms": GLib.Variant("x", 1700000000000), "device": GLib.Variant("s", "dev-b"),
              "term": GLib.Variant("t", 7), "message": GLib.Variant("s", "What was on this device when it was replaced")}
    patch = "--- a/pbx.etc/dial\n+++ b/pbx.etc/dial\n@@ -1 +1 @@\n-911 =\t1\x1b[2J\n+911 =\t2\n"
    sync.publish(SYNC_PATH, SYNC, {"Diverged": ["refs/diverged/dev-b/1"]}, Difference=lambda *a: GLib.Variant("(s)", ("" if a[2] == "/etc/none" else patch,)),
                 RestoreFrom=lambda *_: GLib.Variant("(s)", ("7be2d015" * 5,)), History=lambda *_: GLib.Variant("(aa{sv})", ([commit],)))
    code, out, err = run(bus, "show", "1f3a")
    assert (code, err) == (OK, "") and "-911 =\t1" in out and "\x1b" not in out and out.endswith("+911 =\t2\n")
    assert run(bus, "diff", "1f3a", "7be2", "/etc/none") == (OK, "", "no difference\n")
    assert run(bus, "restore", "1f3a", "/etc/dial", "--message", "as on Tuesday") == (OK, "the configuration is commit 7be2d015 now\n", "")
    code, out, err = run(bus, "diverged")
    assert (code, err) == (OK, "") and out.startswith("refs/diverged/dev-b/1  ") and "dev-b term 7  What was on this device" in out
    assert run(bus, "diverged", "restore", "refs/diverged/dev-b/1", "pbx.etc/dial")[0] == OK
    assert [call for call in sync.calls if call[0] != "History"] == [
        ("Difference", ("", "1f3a", "")), ("Difference", ("1f3a", "7be2", "/etc/none")), ("RestoreFrom", ("1f3a", "/etc/dial", "", "as on Tuesday")),
        ("RestoreFrom", ("refs/diverged/dev-b/1", "pbx.etc/dial", "", "restore pbx.etc/dial from refs/diverged/dev-b/1"))]


def test_mode_for_a_time(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Mode": "passive", "Role": "backup", "ModeUntilMs": 1700000000000, "ModeReason": "cables",
                                                     "Peer": {"connected": GLib.Variant("b", False)}}, SetMode=lambda *_: None)
    assert run(bus, "mode", "passive", "--minutes", "90", "--reason", "cables") == (OK, "the Backup's mode is passive now, for 90 minutes\n", "")
    assert supervisor.calls == [("SetMode", ("passive", {"minutes": 90, "reason": "cables"}))]
    assert run(bus, "mode", "active", "--minutes", "90")[0] == BAD_INPUT
    for minutes in ("0", "-1", "527041"):
        code, _, said = run(bus, "mode", "passive", f"--minutes={minutes}")
        assert code == BAD_INPUT and "1 to 527040" in said
    code, out, err = run(bus, "mode")
    assert (code, out) == (OK, "passive\n") and "until 2023-11-14 22:13:20" in err and "reason: cables" in err


def test_drill(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    report = {"passed": GLib.Variant("b", True), "begin_ms": GLib.Variant("x", 1700000000000), "end_ms": GLib.Variant("x", 1700000004000),
              "took_ms": GLib.Variant("d", 4000.0), "failures": GLib.Variant("as", []), "home": GLib.Variant("s", "left"), "quiet": GLib.Variant("s", "yes"),
              "silence_there_ms": GLib.Variant("d", 120.5), "silence_back_ms": GLib.Variant("d", 99.5), "max_silence_ms": GLib.Variant("u", 5000),
              "contacts_before": GLib.Variant("t", 200), "contacts_after": GLib.Variant("t", 200), "commits_lost": GLib.Variant("u", 0),
              "transitions": GLib.Variant("aa{sv}", [])}
    supervisor.publish(JOB_PATH, JOB, job_properties(State="done", Result=report))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"LastDrill": {}}, Drill=lambda _options: GLib.Variant("(o)", (JOB_PATH,)))
    code, out, _ = run(bus, "drill", "--reason", "monthly")
    assert code == OK and supervisor.calls == [("Drill", ({"reason": "monthly"},))]
    for row in (r"drill +passed", r"silence there +120\.5 ms \(at most 5000\.0 ms\)", r"contacts +200 before, 200 after", r"commits lost +0"):
        assert re.search(f"^{row}$", out, re.M), out
    assert run(bus, "drill", "--last") == (OK, "there was no drill yet\n", "")
    failures = GLib.Variant("as", ["peer-lost: it died"])
    supervisor.change(SUPERVISOR_PATH, SUPERVISOR, LastDrill={**report, "passed": GLib.Variant("b", False), "failures": failures})
    assert re.search(r"^failure +peer-lost: it died$", run(bus, "drill", "--last")[1], re.M)
    supervisor.change(JOB_PATH, JOB, State="failed", Error="calls-up: sip: 3 calls", Result={})
    code, out, err = run(bus, "drill")
    assert (code, out) == (REFUSED, "") and "calls-up: sip: 3 calls" in err


def test_restart_and_reboot(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH + "/application/sip_2eproxy", "org.understudy.Application1", {}, Restart=lambda _reason: None)
    assert run(bus, "restart", "sip.proxy", "--reason", "new certificate") == (OK, "application sip.proxy is restarted\n", "")
    assert supervisor.calls == [("Restart", ("new certificate",))]
    supervisor.publish(JOB_PATH, JOB, job_properties(State="failed", Error="peer-absent: the peer is not connected"))
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Reboot=lambda _options: GLib.Variant("(o)", (JOB_PATH,)))
    code, _, err = run(bus, "reboot", "--force")
    assert code == REFUSED and "peer-absent" in err and supervisor.calls[-1] == ("Reboot", ({"force": True},))


def test_takeover(bus, scripted):
    supervisor = scripted(SUPERVISOR)

    def take_over(_options):
        GLib.idle_add(lambda: supervisor.change(SUPERVISOR_PATH, SUPERVISOR, Role="master") and False)

    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "taking-over"}, TakeOver=take_over)
    code, out, _ = run(bus, "takeover", "--force")
    assert (code, out) == (OK, "this device leads now\n")
    assert supervisor.calls[0] == ("TakeOver", ({"force": True},))


def test_takeover_that_does_not_hold(bus, scripted):
    supervisor = scripted(SUPERVISOR)

    def take_over(_options):
        GLib.idle_add(lambda: supervisor.change(SUPERVISOR_PATH, SUPERVISOR, RoleSequence=7, RoleReason="heard-higher") and False)

    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "backup", "RoleReason": "started", "RoleSequence": 5}, TakeOver=take_over)
    code, out, err = run(bus, "takeover", "--force")
    assert (code, out) == (REFUSED, "") and "did not hold" in err and "heard-higher" in err


def test_timeline(bus, scripted):
    phase = {"name": GLib.Variant("s", "detection"), "begin_ms": GLib.Variant("d", -300.0), "end_ms": GLib.Variant("d", 0.0)}
    transition = {"device": GLib.Variant("s", "dev-b"), "old": GLib.Variant("s", "backup"), "new": GLib.Variant("s", "master"),
                  "reason": GLib.Variant("s", "master-down"), "term": GLib.Variant("t", 8), "time_ms": GLib.Variant("x", 1700000000123),
                  "phases": GLib.Variant("aa{sv}", [phase])}
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Timeline=lambda _count: GLib.Variant("(aa{sv})", ([transition],)))
    code, out, _ = run(bus, "timeline", "--count", "3")
    assert code == OK and out.startswith("2023-11-14 22:13:20.123  dev-b  backup -> master  because master-down  term 8\n  detection  ▇")
    assert supervisor.calls == [("Timeline", (3,))]
    assert json.loads(run(bus, "timeline", "--json")[1])[0]["phases"] == [{"name": "detection", "begin_ms": -300.0, "end_ms": 0.0}]


def test_history(bus, scripted):
    commit = {"commit": GLib.Variant("s", "0123456789abcdef"), "time_ms": GLib.Variant("x", 1700000000000), "author": GLib.Variant("s", "root"),
              "message": GLib.Variant("s", "new dial plan"), "device": GLib.Variant("s", "dev-a"), "term": GLib.Variant("t", 3),
              "changed": GLib.Variant("as", ["a", "b", "c", "d"])}
    sync = scripted(SYNC)
    sync.publish(SYNC_PATH, SYNC, {}, History=lambda *_: GLib.Variant("(aa{sv})", ([commit],)))
    code, out, _ = run(bus, "history", "/etc/kamailio/../kamailio/kamailio.cfg", "--count", "5")
    assert (code, out) == (OK, "01234567  2023-11-14 22:13:20  dev-a term 3  root  new dial plan  (a, b, c and 1 more)\n")
    assert json.loads(run(bus, "history", "--ref", "volatile", "--json")[1])[0]["changed"] == ["a", "b", "c", "d"]
    assert sync.calls == [("History", ("config", "/etc/kamailio/kamailio.cfg", 5)), ("History", ("volatile", "", 20))]
    assert run(bus, "history", "kamailio.etc/kamailio.cfg")[0] == OK  # as it prints them
    assert sync.calls[-1] == ("History", ("config", "kamailio.etc/kamailio.cfg", 20))
    commit.update(message=GLib.Variant("s", "1 change: pbx.etc/a"), changed=GLib.Variant("as", ["pbx.etc/a"]))
    assert run(bus, "history")[1].endswith("  root  1 change: pbx.etc/a\n")


def test_status_with_the_supervisor_alone(bus, scripted):
    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "standalone", "DeviceId": "dev-a", "Mode": "active", "Problems": ["x-code: a text"],
                                                     "Peer": {"connected": GLib.Variant("b", False), "age_ms": GLib.Variant("x", -1)}})
    code, out, _ = run(bus, "status")
    assert code == OK and re.search(r"^role +standalone +not paired$", out, re.M)
    assert "x-code: a text" in out and "vrrpd: the election daemon did not answer" in out
    status = json.loads(run(bus, "status", "--json")[1])
    assert status["device"]["role"] == "standalone" and status["peer"] == {"connected": False, "age_ms": -1, "paired": False}
    assert status["applications"] == [] and status["holds"] == []


def test_doctor(bus, scripted):
    def finding(code, severity, since_s):
        return {"code": GLib.Variant("s", code), "severity": GLib.Variant("s", severity), "device": GLib.Variant("s", "dev-a\033[2J"),
                "text": GLib.Variant("s", f"the text of {code}"), "action": GLib.Variant("s", f"what to do about {code}"),
                "since_ms": GLib.Variant("x", time.time_ns() // 1000000 - since_s * 1000)}

    supervisor, findings = scripted(SUPERVISOR), []
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, Doctor=lambda: GLib.Variant("(aa{sv})", (findings,)))
    assert run(bus, "doctor") == (OK, "nothing stands in the way of a takeover\n", "")
    assert run(bus, "doctor", "--json")[:2] == (OK, "[]\n")
    findings.append(finding("disk-low", "warning", 65))
    assert run(bus, "doctor") == (OK, "warning: disk-low (dev-a?[2J, for 1 min 5 s)\n      the text of disk-low\n"
                                  "  ->  what to do about disk-low\n", "")
    findings.insert(0, finding("peer-absent", "error", 5))
    code, out, _ = run(bus, "doctor")
    assert code == REFUSED and out.startswith("peer-absent (dev-a?[2J, for 5 s)\n")
    code, out, _ = run(bus, "doctor", "--json")
    assert code == REFUSED and [each["code"] for each in json.loads(out)] == ["peer-absent", "disk-low"]


VRRPD, VRRPD_PATH, ELECTION, VRRP = "org.understudy.Vrrp1", "/org/understudy/Vrrp1", "org.understudy.Election1", "org.understudy.Vrrp1"


def election_of_a_backup():
    def now_us():
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def path(interface, device, peer, heard_us):
        return {"interface": GLib.Variant("s", interface), "device": GLib.Variant("s", device), "peer": GLib.Variant("s", peer),
                "electing": GLib.Variant("b", interface == "lan"), "open": GLib.Variant("b", True), "heard_us": GLib.Variant("x", heard_us)}

    return {"State": "backup", "Reason": "heard-higher", "Sequence": 7, "SinceUs": now_us() - 200_000_000, "Standing": "not-serving",
            "Holds": [("first-sync", "not done yet", now_us() - 20_000_000)], "Priority": 3, "PriorityReason": "not-serving, step 1, offset 0",
            "Paths": [path("lan", "eth0", "192.0.2.11", now_us() - 3_000_000), path("peer", "eth1", "10.0.0.1", 0)],
            "Witness": "lost", "LastStranger": ("192.0.2.66", "stranger", 12, now_us() - 61_000_000)}


def test_election(bus, scripted):
    service = scripted(VRRPD)
    service.publish(VRRPD_PATH, ELECTION, election_of_a_backup())
    service.publish(VRRPD_PATH, VRRP, {"MasterAddress": "192.0.2.11", "MasterPriority": 171, "MasterAdvertIntervalMs": 100,
                                       "Counters": {"sent": 0, "received": 44, "counted": 41, "drop-ttl": 2, "drop-vrid": 1, "late-wake-ups": 5}})
    code, out, _ = run(bus, "election")
    assert code == OK
    for line in (r"state +backup for 3 min \d+ s \(heard-higher\)", r"Master +192\.0\.2\.11, priority 171, adverts every 100 ms",
                 r"priority +3: not-serving, step 1, offset 0", r"takes over +not by itself: it is held",
                 r"path lan +192\.0\.2\.11 on eth0, heard \d+ s ago", r"path peer +10\.0\.0\.1 on eth1, not heard yet",
                 r"witness +lost", r"last stranger +192\.0\.2\.66: stranger, 12 times, the last 1 min \d+ s ago", r"first-sync +for \d+ s +not done yet",
                 r"adverts +0 sent, 41 counted, 3 dropped; woken late 5 times", r"received +44", r"drop-ttl +2"):
        assert re.search(rf"^ +{line}$", out, re.M), (line, out)
    assert not re.search(r"^ +sent ", out, re.M)
    value = json.loads(run(bus, "election", "--json")[1])
    assert value["holds"][0]["name"] == "first-sync" and value["last_stranger"]["count"] == 12
    assert [path["heard_age_ms"] >= 3000 for path in value["paths"]] == [True, False] and value["paths"][1]["heard_age_ms"] == -1
    assert value["master_priority"] == 171 and value["counters"]["drop-ttl"] == 2


def test_election_without_vrrpd(bus):
    code, out, error = run(bus, "election")
    assert (code, out) == (NOT_REACHABLE, "") and error


def test_status_shows_the_election(bus, scripted):
    supervisor, service = scripted(SUPERVISOR), scripted(VRRPD)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "backup", "DeviceId": "dev-a", "Mode": "active", "Enabled": True,
                                                     "Peer": {"connected": GLib.Variant("b", False), "age_ms": GLib.Variant("x", -1)}})
    service.publish(VRRPD_PATH, ELECTION, election_of_a_backup())
    service.publish(VRRPD_PATH, VRRP, {"MasterAddress": "192.0.2.11", "MasterPriority": 171, "MasterAdvertIntervalMs": 100, "Counters": {"counted": 41}})
    out = run(bus, "status")[1]
    for line in (r"state +backup for ", r"Master +192\.0\.2\.11, priority 171", r"priority +3: ", r"path lan +192\.0\.2\.11 on eth0, heard", r"witness +lost",
                 r"adverts +0 sent, 41 counted, 0 dropped; woken late 0 times", r"last stranger +192\.0\.2\.66", r"first-sync +for "):
        assert re.search(rf"^ +{line}", out, re.M), (line, out)
    status = json.loads(run(bus, "status", "--json")[1])
    assert status["election"]["master_address"] == "192.0.2.11" and status["holds"][0]["name"] == "first-sync"


# ---- pair, join, unpair ----


def publish_peer(service, **methods):
    service.publish(SYNC_PATH, PEER, {"Paired": False, "Connected": False}, **methods)


def write_code(_handle, _lifetime, fds):
    os.write(fds[0], f"{CODE}\n".encode())


@pytest.mark.parametrize("outcome,expected", [("paired", OK), ("expired", TIMED_OUT), ("failed", REFUSED)])
def test_pair(bus, scripted, outcome, expected):
    sync = scripted(SYNC)
    publish_peer(sync, Pair=write_code)
    child = start(bus, "pair", "--minutes", "5")
    wait_until(lambda: select_readable(child.stdout), "the code")
    assert child.poll() is None, "it waits for the other device"
    sync.emit(SYNC_PATH, PEER, "Pairing", GLib.Variant("(ss)", (outcome, "dev-b")))
    code, out, err = ends(child)
    assert (code, out) == (expected, f"{CODE}\n"), "the code alone on stdout"
    assert "understudy join ADDRESS" in err and CODE not in err
    assert sync.calls == [("Pair", (0, 300))]


def test_pair_when_the_daemon_dies(bus, scripted):
    sync = scripted(SYNC)
    publish_peer(sync, Pair=write_code)
    child = start(bus, "pair")
    wait_until(lambda: select_readable(child.stdout), "the code")
    wait_until(lambda: sync.reads >= 2, "the command knows that the daemon was there")
    sync.close()
    code, out, err = ends(child)
    assert (code, out) == (NOT_REACHABLE, f"{CODE}\n") and "the code with it" in err


def test_pair_without_waiting_and_json(bus, scripted):
    sync = scripted(SYNC)
    publish_peer(sync, Pair=write_code)
    assert run(bus, "pair", "--no-wait")[:2] == (OK, f"{CODE}\n")
    assert json.loads(run(bus, "pair", "--no-wait", "--json")[1]) == {"code": CODE}


def test_pair_withdraws_an_older_code(bus, scripted):
    sync = scripted(SYNC)

    def pair(*args, **more):
        sync.emit(SYNC_PATH, PEER, "Pairing", GLib.Variant("(ss)", ("failed", "a newer code was asked for")))
        return write_code(*args, **more)

    publish_peer(sync, Pair=pair)
    child = start(bus, "pair")
    wait_until(lambda: select_readable(child.stdout), "the code")
    sync.emit(SYNC_PATH, PEER, "Pairing", GLib.Variant("(ss)", ("paired", "paired")))
    assert ends(child)[:2] == (OK, f"{CODE}\n"), "that was the older one's end"


def test_pair_refused(bus, scripted):
    publish_peer(scripted(SYNC), Pair=refuse)
    code, out, err = run(bus, "pair")
    assert (code, out) == (REFUSED, "") and "not-master" in err


def test_join_reads_the_code_from_stdin(bus, scripted):
    sync, supervisor, seen = scripted(SYNC), scripted(SUPERVISOR), []
    sync.publish(SYNC_PATH, SYNC, {"FirstSyncDone": False, "Activity": "fetching"})
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "init"})

    def join(_address, _handle, fds):
        seen.append(os.read(fds[0], 1000))

    publish_peer(sync, Join=join)
    child = start(bus, "join", "192.0.2.1", stdin=subprocess.PIPE)
    child.stdin.write(f"  {CODE} \nnot ours".encode())
    child.stdin.flush()
    shown = b""

    def is_fetching():
        nonlocal shown
        if select_readable(child.stderr):
            shown += os.read(child.stderr.fileno(), 4096)
        return b"fetching" in shown

    wait_until(is_fetching, "progress")
    arguments = open(f"/proc/{child.pid}/cmdline", "rb").read()
    supervisor.change(SUPERVISOR_PATH, SUPERVISOR, Role="backup")
    sync.change(SYNC_PATH, SYNC, FirstSyncDone=True, Activity="idle")
    code, out, err = ends(child)
    assert seen == [f"{CODE}\n".encode()] and sync.calls == [("Join", ("192.0.2.1", 0))]
    assert code == OK and out.startswith("joined:") and "backup, synchronised" in err
    assert CODE.encode() not in arguments and CODE not in err and CODE.encode() not in shown


def test_join_tells_why_the_settings_cannot_be_used(bus, scripted):
    name, path = "org.understudy.Notify1", "/org/understudy/Notify1"
    sync, supervisor, notify = scripted(SYNC), scripted(SUPERVISOR), scripted(name)
    sync.publish(SYNC_PATH, SYNC, {"FirstSyncDone": False, "Activity": "idle"})
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {"Role": "standalone"})
    notify.publish(path, name, {})

    def tell(event, text):
        notify.emit(path, name, "Raised", GLib.Variant("(a{sv})", ({
            "application": GLib.Variant("s", "REDUNDANCY"), "name": GLib.Variant("s", event), "description": GLib.Variant("s", text)},)))

    publish_peer(sync, Join=lambda *_args, **_more: None)
    child = start(bus, "join", "192.0.2.1", stdin=subprocess.PIPE)
    child.stdin.write(f"{CODE}\n".encode())
    child.stdin.flush()
    wait_until(lambda: select_readable(child.stderr), "progress")
    tell("role", "other")
    tell("join-failed", "pair.conf:8: device.conf has no [interface wan]")
    code, out, err = ends(child)
    assert (code, out) == (REFUSED, "") and "pair.conf:8: device.conf has no [interface wan]" in err


def test_join_prompts_without_echo(bus):
    """Nobody answers on this bus; what matters is what the terminal shows before."""
    bus.start_bus()
    code, shown = on_terminal(bus, "join", "192.0.2.1", write=(b"Code shown by understudy pair: ", f"{CODE}\n".encode()))
    assert "Code shown by understudy pair: " in shown and CODE not in shown
    assert code == NOT_REACHABLE


def test_join_without_a_code(bus):
    for text in ("", "\n", "   \n"):
        done = bus.ctl("join", "192.0.2.1", input=text)
        assert done.returncode == BAD_INPUT and "no code" in done.stderr


# ---- event raise, secret ----


def test_event_raise(notify):
    done = notify.ctl("event", "raise", "SIP", "trunk down", "--priority", "3", "-d", "no answer\nfor 30 s", "--about", "trunk-1", "--reference", "/trunks/1",
                      "--key", "k1", "--time-ms", "1700000000001")
    assert (done.returncode, done.stdout, done.stderr) == (OK, "4\n", "")
    again = notify.ctl("event", "raise", "--json", "SIP", "trunk down", "--key", "k1")
    assert (again.returncode, json.loads(again.stdout)) == (OK, 4), "the same key is stored once"
    assert int(notify.ctl("event", "raise", "SIP", "trunk up", "--about", "trunk-1", "--recovery").stdout) > 4
    events = json.loads(notify.ctl("events", "--json").stdout)
    assert [event["name"] for event in events[:2]] == ["trunk up", "trunk down"] and events[0]["priority"] == 1
    wanted = {"priority": 3, "description": "no answer\nfor 30 s", "reference": "/trunks/1", "time_ms": 1700000000001}
    assert {key: events[1][key] for key in wanted} == wanted


@pytest.mark.parametrize("words,said", [
    (["event", "raise", "SIP"], "an argument is missing"),
    (["event", "rise", "SIP", "x"], "it is raise"),
    (["event", "raise", "SIP", "x", "-p", "4"], "--priority is 1 to 3"),
    (["event", "raise", "SIP", "x", "-p", "300"], "--priority is 1 to 3"),
    (["event", "raise", "", "x"], "application: empty"),
    (["event", "raise", "SIP", "x\ty"], "not printable"),
    (["event", "raise", "SIP", b"x\xff"], "not UTF-8"),
    (["event", "raise", "SIP", "x", b"--description=\xc0\xaf"], "Invalid byte sequence"),
    (["event", "raise", "SIP", "x", "--description", "x" * 100_000], "description: longer than 4096 characters"),
])
def test_event_raise_of_bad_input(notify, words, said):
    done = notify.ctl(*words)
    assert (done.returncode, done.stdout) == (BAD_INPUT, "") and said in done.stderr, done.stderr


def test_event_raise_in_our_name(notify):
    done = notify.ctl("event", "raise", "REDUNDANCY", "down", user="stranger")
    assert done.returncode == REFUSED and "only Understudy itself" in done.stderr


@pytest.mark.parametrize("words,given,sent", [
    (["set", "mail.boss"], f"{CODE}\nnot ours", CODE),
    (["set", "sms.oncall"], f" {CODE} ", f" {CODE} "),
    (["set", "snmp.nms"], CODE, CODE),
    (["set", "snmp.nms"], f"{CODE}\nprivacy\n", f"{CODE}\nprivacy"),
    (["remove", "mail.boss"], "", ""),
])
def test_secret(bus, scripted, words, given, sent):
    seen = []

    def set_secret(_name, _handle, fds):
        seen.append(os.read(fds[0], 4096).decode())
        assert os.read(fds[0], 1) == b"", "that is its end"

    supervisor = scripted(SUPERVISOR)
    supervisor.publish(SUPERVISOR_PATH, SUPERVISOR, {}, SetSecret=set_secret)
    child = start(bus, "secret", *words, stdin=subprocess.PIPE)
    child.stdin.write(given.encode())
    child.stdin.close()
    assert ends(child) == (OK, "", "")
    assert seen == [sent] and supervisor.calls == [("SetSecret", (words[1], 0))]


def test_secret_without_one(bus):
    for words, said in ((("secret", "set", "mail.boss"), "secret remove mail.boss"), (("secret", "get", "mail.boss"), "set or remove"),
                        (("secret", "set", "mail.boss", CODE), "is no argument")):
        done = bus.ctl(*words, input="\n")
        assert done.returncode == BAD_INPUT and said in done.stderr and done.stdout == "" and CODE not in done.stderr, done.stderr


def test_secret_prompts_without_echo(bus):
    """Nobody answers on this bus; what matters is what the terminal shows before."""
    bus.start_bus()
    code, shown = on_terminal(bus, "secret", "set", "mail.boss", write=(b"Password: ", f"{CODE}\n".encode()))
    assert "Password: " in shown and CODE not in shown and code == NOT_REACHABLE


def test_unpair(bus, scripted):
    publish_peer(scripted(SYNC), Unpair=lambda: None)
    assert run(bus, "unpair") == (OK, "unpaired\n", "")


def test_unpair_of_a_device_that_is_away(bus, scripted):
    scripted(SYNC).publish(SYNC_PATH, PEER, {"Untold": "dev-b"}, Unpair=lambda: None)
    code, out, err = run(bus, "unpair")
    assert (code, out) == (OK, "unpaired\n") and "it is told when it can" in err
    assert json.loads(run(bus, "unpair", "--json")[1]) == {"outcome": "unpaired", "told": False}


@pytest.mark.parametrize("connected,following,outcome", [(True, "", "rotated"), (False, "f" * 64, "announced")])
def test_rotate_key(bus, scripted, connected, following, outcome):
    scripted(SYNC).publish(SYNC_PATH, PEER, {"Connected": connected, "NextFingerprint": following}, RotateKey=lambda: None)
    code, out, err = run(bus, "rotate-key")
    assert (code, out) == (OK, outcome + "\n") and ("the old key counts" in err) == (outcome == "announced")


def test_peer_address(bus, scripted):
    sync = scripted(SYNC)
    publish_peer(sync, SetPeerAddress=lambda address: None)
    assert run(bus, "peer-address", "192.0.2.7") == (OK, "found\n", "")
    assert sync.calls == [("SetPeerAddress", ("192.0.2.7",))]


def test_git_access(bus, scripted):
    sync = scripted(SYNC)
    sync.publish(SYNC_PATH, PEER, {"PairRecord": {"peer_fingerprint": GLib.Variant("s", "00ff" * 16)},
                                   "PeerUrls": ["https://[2001:db8::1]:7443/repo.git", "https://192.0.2.1:7443/repo.git"]})
    code, out, err = run(bus, "git-access")
    assert (code, err) == (OK, "") and out.splitlines()[-1] == "UNDERSTUDY_URL='https://[2001:db8::1]:7443/repo.git'"
    assert "GIT_CONFIG_VALUE_0='sha256//AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8='" in out
    assert out.count("https://[2001:db8::1]:7443/repo.git.") == 4, "for nothing else"


def test_git_access_of_one_that_is_alone(bus, scripted):
    publish_peer(scripted(SYNC))
    code, out, err = run(bus, "git-access")
    assert (code, out) == (REFUSED, "") and "not-paired" in err
