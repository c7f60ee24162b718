# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulator finds mistakes: a rule of vrrpd that is broken on purpose breaks an invariant, the seed replays exactly, the trace can be read, and the
faults shrink. Each mistake is one of the table in tests/sim/README.md, and each invariant is seen to break."""

import os
import re
import subprocess

import pytest
from mistaken import README, Parts, broken_seeds, find, run

SIM = [f"tests/sim/{name}.c" for name in ("run", "world", "device", "device-receive", "device-life", "check", "scenario")]
TESTED = [f"vrrpd/rules/{name}.c" for name in ("machine", "candidate", "judge", "holds", "link-watch", "room", "sleep")] + [
    "vrrpd/wire/packet.c", "vrrpd/wire/stamp.c", "settings/ip.c"]

# As the table calls it: file, what is there, what is there instead, and what it breaks: all of it within the first 1,000 seeds, or from that seed on.
MISTAKES = {
    "a listening Master does not yield": ("machine", "if (higher || machine->listening) {", "if (higher) {", {"sleeper-leads", "speaks-after-sleep"}),
    "no Master yields": ("machine", "if (higher || machine->listening) {", "if (machine->listening) {", {"keeps-against-higher", "keeps-against-newer",
                                                                                                     "keeps-against-better"}),
    "a Master yields to anybody": ("machine", "bool higher = event->priority > machine->priority ||", "bool higher = true ||",
                                   {"yields-to-lower", "yields-to-worse", "yields-to-older"}),
    "no skew": ("machine", "return (256 - priority) * (gint64)unit_cs * CENTISECOND_US / 256;", "return priority + unit_cs == 0;", {"too-early"}),
    "priority 0 is ignored": ("machine", "machine->resigned = true;", "if (event->priority == 0)\n\t\t\treturn;", {"resignation-ignored"}),
    "a Master that has slept does not listen": ("machine", "if (slept && (event->kind", "if (false && slept && (event->kind", {"sleeper-leads"}),
    "each that yields says that it has slept": ("machine", 'machine->listening ? "late-wake-up" : "heard-higher"', '"late-wake-up"', {"no-cause"}),
    "a Backup that has slept does not wait again": ("machine", "bool late = !machine->listened && now_us", "bool late = false && !machine->listened && now_us",
                                                    {"too-early"}),
    "a queue that ran over is no reason to wait": ("machine", "if (now_us - event->received_us > interval_us(machine->master_interval_cs)) {",
                                                   "if (now_us < 0) {", {"too-early"}),
    "who has slept waits by a short interval it had learned": (
        "machine", "MAX(machine->master_interval_cs, machine->interval_cs);\n\tmachine->deadline_us", "machine->master_interval_cs;\n\tmachine->deadline_us", {"too-early"}),
    "the interval is not learned": (
        "machine", "\tif (machine->version == 3)\n\t\tmachine->master_interval_cs = event->undated ? MAX(event->interval_cs, machine->master_interval_cs) : event->interval_cs;", "",
        {"preempts"}),
    "an old advert shortens the interval": ("machine", "event->undated ? MAX(event->interval_cs, machine->master_interval_cs) : event->interval_cs;",
                                            "event->interval_cs;", {"preempts"}, 960004268),
    "who begins forgets how often the Master speaks": ("machine", "MAX(machine->master_interval_cs, machine->interval_cs);\n\t\tbecome_backup(",
                                                       "machine->interval_cs;\n\t\tbecome_backup(", {"too-early"}),
    "a Backup keeps the addresses": ("machine", "hear(machine, event);\n\t\tadd_kind(out, VRRP_STEP_DROP);", "hear(machine, event);",
                                     {"addresses-without-role"}),
    "a Backup answers": ("machine", "\thear(machine, event);\n\tmachine->resigned = false;",
                         "\tsay(machine, machine->priority, now_us, out);\n\thear(machine, event);\n\tmachine->resigned = false;", {"storm"}),
    "a higher Master is preempted": ("machine", "\thear(machine, event);\n\tmachine->resigned = false;",
                                     "\tif (event->priority > machine->priority)\n\t\treturn;\n\thear(machine, event);\n\tmachine->resigned = false;",
                                     {"preempts"}),
    "a lower Master is preempted": ("machine", "\thear(machine, event);\n\tmachine->resigned = false;",
                                    "\tif (event->priority < machine->priority)\n\t\treturn;\n\thear(machine, event);\n\tmachine->resigned = false;",
                                    {"preempts", "resigned-without-zero"}),
    "a tie is not decided": ("machine", "bool higher = event->priority > machine->priority ||\n\t\t      (event->priority == machine->priority && ip_compare(&event->source, &machine->address) > 0);",
                             "bool higher = event->priority > machine->priority;", {"keeps-against-higher"}),
    "a Master that hears a lower one puts off its own advert": (
        "machine", "\tsay(machine, machine->priority, now_us, out);\n\tmachine->deadline_us = now_us + interval_us(machine->interval_cs);\n\tif (now_us - machine->announced_us",
        "\tmachine->deadline_us = now_us + interval_us(machine->interval_cs);\n\tif (now_us - machine->announced_us", {"addresses-twice"}),
    "a Master that hears a lower one announces nothing": ("machine", "if (now_us - machine->announced_us >= interval_us(machine->interval_cs))", "if (now_us < 0)",
                                                          {"led-astray"}),
    "who was late and yields says nothing": ("machine", "if (!machine->listening || (!event->took_over && (higher || event->priority > LEAST_PRIORITY)))",
                                             "if (!machine->listening)", {"led-astray"}, 960536114),
    "who is let take over only when nobody leads any more does not": (
        "machine", "if (machine->open && machine->master_gone)", "if (now_us < 0)", {"one-master"}),
    "what was lost is told where nobody minds it": (
        "machine", "if (!vrrp_machine_would_lead(machine, now_us) || waits_anew(machine, event, now_us, now_us))\n\t\t\tbreak;\n\t\tif (machine->open && machine->master_gone)",
        "if (machine->open && machine->master_gone && !waits_anew(machine, event, now_us, now_us))", {"preempts"}, 950197342),
    "a Master speaks too rarely": ("machine", "\tmachine->deadline_us += interval_us(machine->interval_cs);",
                                   "\tmachine->deadline_us += 5 * interval_us(machine->interval_cs);", {"livelock", "restless"}),
    "priority 0 is said before the addresses are down": ("candidate", "if (self->machine.state != VRRP_STATE_MASTER || !self->holding ||",
                                                         "if (now_us > 0 || !self->holding ||", {"addresses-before-zero"}),
    "who resigns keeps the addresses": ("candidate", "ret_steps[0] = (VrrpStep){ .kind = VRRP_STEP_DROP };\n\t\treturn 1;", "return 0;", {"addresses-without-role"}),
    "who cannot take the addresses down leads on": ("candidate", "self->holding && now_us < self->leave_until_us)", "self->holding && now_us > 0)", {"stays"}),
    "who was to end and yields before that stays": ("candidate", " || (self->machine.state == VRRP_STATE_BACKUP && self->leave.kind == VRRP_EVENT_STOP)", "",
                                                    {"yields-to-older"}, 960123918),
    "addresses are not renewed": ("candidate", "ret_steps[n++] = (VrrpStep){ .kind = VRRP_STEP_RENEW };", "", {"master-without-addresses"}),
    "addresses that are put up anew are not renewed": ("candidate", "if (step->kind == VRRP_STEP_HOLD)\n\t\tself->renewed_us = now_us;",
                                                       "if (step->kind == VRRP_STEP_HOLD)\n\t\tself->renewed_us = 0;", {"master-without-addresses"}),
    "a flapping link is trusted": ("candidate", "return !vrrp_link_watch_stable(", "return now_us < 0 && !vrrp_link_watch_stable(", {"trusts-a-flapping-link"}),
    "holds are ignored": ("candidate", "bool open = !self->deaf && !vrrp_holds_any(&self->holds) && ", "bool open = !self->deaf && ", {"held-takes-over", "passive-takes-over"}),
    "who hears nobody yet takes over": ("candidate", "bool open = !self->deaf && ", "bool open = ", {"deaf-takes-over"}),
    "the step is forgotten at a takeover": ("candidate", "\t\tself->step = vrrp_judge_next_step(self->heard_step, self->step);", "\t\tself->step = 0;",
                                            {"keeps-against-newer"}),
    "the step heard is not saved": ("candidate", "self->heard_step = heard;\n\tself->unsaved = true;", "self->heard_step = heard;", {"unsaved"}),
    "who hears another takes himself for not serving": ("candidate", "\tself->heard_us = MAX(self->heard_us, received_us);",
                                                        "\tself->heard_us = MAX(self->heard_us, received_us);\n\tself->serving = false;", {"split-winner"}, 5651),
    "what an older advert tells is not saved": ("device-receive", "\t\tsim_device_save_changes(device);\n\t\treturn;", "\t\treturn;", {"unsaved"}, 960302559),
    "an order is not above a Master that serves": ("candidate", "self->ordered ? VRRP_STANDING_SERVING : self->standing", "self->standing",
                                                   {"keeps-against-newer"}),
    "a restarted process always goes on": ("candidate", "return role == VRRP_STATE_MASTER && age_us >= 0 && age_us < vrrp_machine_peer_down_us(&self->machine);",
                                           "return role == VRRP_STATE_MASTER && age_us >= 0;", {"speaks-after-sleep"}),
    "a restarted process forgets whether it is alone": ("candidate", "vrrp_link_watch_resume(&self->watch, steady, now_us);",
                                                        "vrrp_link_watch_resume(&self->watch, true, now_us);", {"alive-though-isolated"}),
    "a new link is settled at once": ("link-watch", "return watch->carrier && (watch->heard || now_us - watch->up_us >= VRRP_SETTLE_US);",
                                      "(void)now_us;\n\treturn watch->carrier;", {"unsettled-takes-over"}),
    "standing rises at once after a silence": ("link-watch", "return vrrp_link_watch_alive(watch, now_us) && now_us - watch->alive_us >= watch->window_us;",
                                               "return vrrp_link_watch_alive(watch, now_us);", {"keeps-against-better"}),
    "isolated, and says that it lives": ("judge", "return carrier && link_alive && !applications_failed;",
                                         "(void)link_alive;\n\treturn carrier && !applications_failed;", {"alive-though-isolated"}),
    "alive, and says so nowhere else": ("judge", "return carrier && link_alive && !applications_failed;",
                                        "return carrier && link_alive && !applications_failed && false;", {"silent-though-alive"}),
    "who is to give up says no more that it lives": ("candidate", "return vrrp_judge_speaks_to_peer(", "return !self->leaving && vrrp_judge_speaks_to_peer(",
                                                     {"silent-though-alive"}),
    "alone is as good as serving": ("judge", "return link_steady ? VRRP_STANDING_SERVING : VRRP_STANDING_ALONE;",
                                    "(void)link_steady;\n\treturn VRRP_STANDING_SERVING;", {"keeps-against-better"}),
    "what was lost long ago is waited for all the same": ("sleep", "MAX(self->said_us, now_us - vrrp_machine_anew_us(machine))",
                                                          "machine && now_us ? self->said_us : 0", {"one-master"}, 888123858),
    "what was said before it heard is missed long after": ("candidate", "with.ran_over |= now_us - self->hears_us < vrrp_machine_anew_us(&self->machine);",
                                                           "with.ran_over = true;", {"one-master"}, 888088453),
    "a Backup sleeps an interval too long": ("sleep", "MIN(machine->deadline_us, tick_at_us) : machine->deadline_us;",
                                             "MIN(machine->deadline_us, tick_at_us) + master_interval_us(machine) : machine->deadline_us;", {"too-late"}),
    "a Backup sleeps on when the Master resigns": ("device-receive", "device->rung |= rings(sim, device, packet);", "(void)rings;", {"too-late"}),
    "a Backup counts from when it woke": ("sleep", "? received_us : now_us;", "? now_us : now_us;", {"too-late"}),
    "a Backup that woke late takes it for planned": ("sleep", "\t\t\tself->late_us = now_us;", "\t\t\tself->late_us = 0;", {"too-early"}),
    "what another path has brought before counts again": ("sleep", "\t\treturn false;", "\t\treturn true;", {"ghost-counts", "preempts", "too-early"}),
    "a stamp from before the clock was set is believed": ("stamp", "(self->stepped_us == 0 || now_us - age_us > self->stepped_us)", "true", {"misdated"}),
    "a clock that was set and set back is as ever": ("stamp", "(sets != self->sets || ABS", "(ABS", {"misdated"}, 950032295),
    "a wrong sum counts": ("packet", "if (!checksum_is_right(&message, expect, ret_advert))", "if (!checksum_is_right(&message, expect, ret_advert) && length == 0)",
                           {"damaged-counts"}),
    "a stranger counts": ("packet", "if (expect->only_peers && !is_peer(expect, &ret_advert->source))",
                          "if (expect->only_peers && !is_peer(expect, &ret_advert->source) && length == 0)", {"stranger-counts"}),
    "queues that ran over though it woke on time are no reason to wait": (
        "machine", "if (late || event->ran_over)\n\t\twait_anew(machine, now_us);\n\treturn late || event->ran_over;",
        "if (late)\n\t\twait_anew(machine, now_us);\n\treturn late;", {"preempts"}, 3539),
    "what was lost before the Master was heard is lost again": ("room", "self->lost_us > since_us && ", "", {"too-late"}, 2733),
    "a flapping link is waited for though nobody leads": (
        "candidate", "(now_us - self->watch.up_us < wait_us || (self->master_us != 0 && now_us - self->master_us < wait_us));", "wait_us > 0;", {"one-master"}, 990001825),
    "the step comes back at once when the peer follows": (
        "candidate", "if (!self->follows || (self->heard_us != 0 && now_us - MAX(self->heard_us, self->follows_us) <= vrrp_machine_peer_down_us(&self->machine)))",
        "if (!self->follows || now_us < 0)", {"yields-to-older"}, 3400),
    "an advert overtaken by its priority 0 counts": ("machine", "if (says_nothing(machine, event))\n\t\treturn 0;", "(void)says_nothing(machine, event);", {"ghost-counts"}, 1043),
    "what was said before it heard is not missed": ("candidate", "with.ran_over |= now_us - self->hears_us < vrrp_machine_anew_us(&self->machine);", "", {"preempts"}, 990005853),
}

# Those that no seed has found yet; unit tests do.
RARE = {
    "who resigned is not heard anew after our own resignation": ("machine", "\tmachine->zero_us = 0; /* whoever resigned before may lead anew from here on */\n", ""),
    "a lower step is believed at once": ("candidate", "received_us - self->heard_step_us <= vrrp_machine_peer_down_us(&self->machine)", "received_us < 0"),
    "ordered before it has heard anybody, it does not outbid": (
        "candidate", "self->raise_until_us = self->heard_us == 0 ? now_us + vrrp_machine_peer_down_us(&self->machine) : 0;", "self->raise_until_us = now_us < 0;"),
    "a Backup sleeps on under a flood": ("sleep", "if (n > VRRP_SLEEP_CROWD)", "if (n > 1000000)"),
}

QUICK = ("no skew", "priority 0 is ignored", "each that yields says that it has slept", "a Backup that has slept does not wait again",
         "a Backup keeps the addresses", "a Backup answers", "a Master that hears a lower one announces nothing", "addresses are not renewed",
         "a Master that hears a lower one puts off its own advert", "who is let take over only when nobody leads any more does not",
         "priority 0 is said before the addresses are down", "holds are ignored", "alive, and says so nowhere else", "a wrong sum counts", "a stranger counts",
         "a stamp from before the clock was set is believed")
SHRUNK = ("holds are ignored", "a lower Master is preempted", "no skew", "a Backup keeps the addresses")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return Parts(tmp_path_factory.mktemp("sim"), SIM + TESTED)


def with_mistake(parts, tmp_path, name):
    return parts.with_mistake(tmp_path, *(MISTAKES | RARE)[name][:3])


def shrunk(text):
    part = text[text.index("# shrunk to:"):]
    return re.findall(r"^#   (round \d+: .*)$", part, re.MULTILINE)


def test_without_a_mistake_nothing_breaks(parts, tmp_path):
    done = run(parts.link(tmp_path), "--count", "300")
    assert done.returncode == 0 and not broken_seeds(done.stdout)


def test_the_result_is_said_where_somebody_looks(parts, tmp_path):
    """tests/run --long sim shows nothing else of it: which seeds those were, and what came of them."""
    place = tmp_path / "progress"
    for build, end in ((lambda: parts.link(tmp_path), "none broken"), (lambda: with_mistake(parts, tmp_path, "no skew"), "invariants broken")):
        environment = {**os.environ, "UNDERSTUDY_SEED": "700", "UNDERSTUDY_PROGRESS": str(place)}
        subprocess.run([build(), "--count", "200", "--explain", "0"], capture_output=True,
                       env={k: v for k, v in environment.items() if k != "UNDERSTUDY_LONG"}, timeout=600)
        last = place.read_text(encoding="utf-8").splitlines()[-1]
        assert re.fullmatch(rf"sim-mistaken: \d+ takeovers in 200 scenarios, seeds 700 to 899, \d+ s: {end}", last), last


def finds(parts, tmp_path, name):
    program = with_mistake(parts, tmp_path, name)
    wanted, near = MISTAKES[name][3], MISTAKES[name][4:]
    found = find(program, wanted, *((seed, 10) for seed in near), (1, 100), (101, 900))
    assert wanted <= found, found


@pytest.mark.parametrize("name", QUICK)
def test_a_mistake_is_found(parts, tmp_path, name):
    finds(parts, tmp_path, name)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in MISTAKES if name not in QUICK])
def test_each_mistake_is_found(parts, tmp_path, name):
    finds(parts, tmp_path, name)


@pytest.mark.parametrize("name", SHRUNK)
def test_a_mistake_is_replayed_and_shrunk(parts, tmp_path, name):
    program = with_mistake(parts, tmp_path, name)
    seeds = broken_seeds(run(program, "--count", "100", "--explain", "0").stdout)
    seed = min(seeds)
    first, second = (run(program, "--seed", str(seed), "--trace") for _ in range(2))
    assert first.returncode == 1 and first.stdout == second.stdout, "the same seed is the same world"
    assert broken_seeds(first.stdout) == {seed: seeds[seed]}
    # To be read: what happened when, to whom, and what broke.
    trace = first.stdout[:first.stdout.index(f"# seed {seed} breaks")].splitlines()
    assert all(re.match(r" *\d+\.\d{3} ms  (--|\*\*|!!|[A-E]) ", line) for line in trace), trace[:3]
    broke = [line for line in trace if "!! " + seeds[seed] in line]
    assert seeds[seed] in trace[-1] or broke and float(trace[-1].split()[0]) - float(broke[0].split()[0]) < 1, "a trace ends where it broke"
    few = shrunk(first.stdout)
    faults = [line for line in trace if " ** begins:" in line]
    assert len(few) <= max(len(faults), 1), (few, faults)


def test_what_is_left_of_the_faults_is_what_it_takes(parts, tmp_path):
    """Shrinking leaves less than there was, of most seeds; and by hand too nothing can be left out."""
    program = with_mistake(parts, tmp_path, "holds are ignored")
    seeds = sorted(broken_seeds(run(program, "--count", "200", "--explain", "0").stdout))[:8]
    less = 0
    for seed in seeds:
        text = run(program, "--seed", str(seed), "--trace").stdout
        faults = re.findall(r" \*\* begins: ", text[:text.index("# shrunk to:")])
        less += len(shrunk(text)) < len(faults)
    assert len(seeds) >= 4 and less >= len(seeds) // 2, (less, len(seeds))


def test_a_seed_that_broke_something_once_breaks_with_that_mistake_again(parts, tmp_path):
    """The list of them is led again in each run, in the worlds that they were found in."""
    program = with_mistake(parts, tmp_path, "what was lost before the Master was heard is lost again")
    known = broken_seeds(run(program, "--count", "1", "--explain", "0").stdout, 10 ** 9)
    assert len(known) >= 5 and set(known.values()) == {"too-late"}, known
    again = run(program, "--seed", str(min(known)), "--plain", "--trace")
    assert again.returncode == 1 and broken_seeds(again.stdout, 10 ** 9) == {min(known): "too-late"}


def test_each_invariant_is_seen_to_break(parts):
    """By a mistake of this file; and the README tells of each, as of each mistake and by what it is found."""
    broken = set().union(*(breaks for breaks in (mistake[3] for mistake in MISTAKES.values())))
    assert parts.invariants() == broken
    assert not [name for name in broken if f"`{name}`" not in README]
    rows = {cells[0].strip(): cells for cells in (line.strip("|\n").split("|") for line in README.splitlines() if line.startswith("| "))}
    for name, mistake in MISTAKES.items():
        assert mistake[3] <= set(re.findall(r"`([a-z-]+)`", rows[name][2])), name
    for name in RARE:
        assert name in rows, name
