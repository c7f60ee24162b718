# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulator of pairs finds mistakes: a rule of the supervisor that is broken on purpose breaks an invariant. Each is a row of the second table in
tests/sim/README.md, and each invariant of sim-pair is seen to break."""

import re

import pytest
from mistaken import README, Parts, find

SIM = [f"tests/sim/{name}.c" for name in ("run", "world", "device", "device-receive", "device-life", "check", "pair-scenario", "pair-device", "pair-sync",
                                          "pair-orders", "pair-settings", "pair-check", "pair-witness", "pair-undo")]
TESTED = [f"vrrpd/rules/{name}.c" for name in ("machine", "candidate", "judge", "holds", "link-watch", "room", "sleep")] + [
    "vrrpd/wire/packet.c", "vrrpd/wire/stamp.c", "settings/ip.c", "supervisor/role/role.c", "supervisor/role/handover.c", "supervisor/settings/agreement.c",
    "supervisor/settings/revision.c", "supervisor/applications/app.c", "supervisor/applications/plan.c", "supervisor/applications/health.c",
    "supervisor/processes/restart.c", "syncd/repository/term.c"]

# As the table calls it: file, what is there, what is there instead, what it breaks, and seeds from which on that is not far.
MISTAKES = {
    "applications are not stopped on demotion": (
        "role", "case ROLE_FAULT:\n\t\tposture->drop = DROP_ALWAYS;",
        "case ROLE_FAULT:\n\t\tposture->run_applications = posture->may_run = !facts->apps_stopped;\n\t\tposture->drop = DROP_ALWAYS;", {"applications-twice"}, 27),
    "a swap does not wait until the applications have stopped": (
        "handover", "\t\tif (facts->apps_stopped)\n\t\t\treturn HANDOVER_LAST_COMMIT;", "\t\treturn HANDOVER_LAST_COMMIT;", {"hands-over-running"}, 1),
    "it follows while they run": ("role", "SyncRole stopped = facts->apps_stopped && !older ?", "SyncRole stopped = !older ?", {"applied-under-applications"}, 7),
    "applications start before they may run": (
        "role", "posture->run_applications = machine->settled;\n\t\tposture->may_run = true;\n\t\tposture->drop = DROP_TIMED;",
        "posture->run_applications = machine->settled;\n\t\tposture->drop = DROP_TIMED;", {"may-not-run"}, 1),
    "passive does not hold": ("role", "posture->hold_passive = facts->mode", "posture->hold_passive = false && facts->mode", {"passive-takes-over"}, 2),
    "a first synchronisation does not hold": ("role", "posture->hold_first_sync = facts->joining", "posture->hold_first_sync = false && facts->joining",
                                              {"unsynced-takes-over"}, 5),
    "it gives up for health again and again": ("role", "machine->resigned_for_health = true;", "", {"health-twice"}, 31),
    "each step is told as a change of role": ("role", "\tif (machine->role == role)\n\t\treturn;\n", "", {"restless"}, 1),
    "whom the Master hands over to keeps his mode": ("role", "once->took_as_told = now_us < machine->take_until_us;", "once->took_as_told = false;",
                                                     {"modes-stay"}, 6),
    "one is passive before the other says that it is active": (
        "handover", "return mode == MODE_ACTIVE || (facts->peer_fresh && facts->peer_mode == MODE_ACTIVE);", "return facts && mode <= MODE_PASSIVE;",
        {"both-passive"}, 993024241),
    "who is isolated never gives up": ("role", 'once->resign = "isolated";', "", {"isolated-leads"}, 171),
    "who is isolated gives up to nobody better": ("role", "ISOLATED_AFTER_US && facts->peer_fresh && facts->peer_has_witness &&", "ISOLATED_AFTER_US && facts->peer_fresh &&",
                                                  {"isolated-to-nobody"}, 11),
    "who is isolated gives up at once": ("role", "#define ISOLATED_AFTER_US (3 *", "#define ISOLATED_AFTER_US (0 *", {"isolated-nowhere"}, 11),
    "who is isolated gives up once more": ("role", "#define ISOLATED_EVERY_US (60 *", "#define ISOLATED_EVERY_US (1 *", {"isolated-again"}, 747),
    "no change is ever blamed": ("health", "return found && n_undone < HEALTH_MOST_UNDONE;", "return found && n_undone > HEALTH_MOST_UNDONE;",
                                 {"hands-over-undone"}, 5),
    "it gives up before the change is undone": ("health", "return facts->failed && health->state == HEALTH_BEYOND;", "return facts->failed && health;",
                                                {"hands-over-undone"}, 5),
    "a change is found, and stays": ("health", "\t\treturn HEALTH_DO_RESTORE;", "\t\treturn HEALTH_DO_NOTHING;", {"not-undone"}, 5),
    "a reserved number is taken again": ("role", "machine->spent = reserved;", "machine->spent = reserved > G_MAXUINT64 / 2;", {"term-twice"}, 252),
    "who has booted knows of no term": (
        "role", ("machine->known = machine->line = machine->booted = *known;\n\tmachine->spent = reserved;", "\t\tlearn_line(machine, facts);"),
        ("machine->known = machine->line = machine->booted = (Term){ .number = known && reserved > G_MAXUINT64 / 2 };",
         "\t\tstatic RoleFacts blind;\n\t\tblind = *facts;\n\t\tblind.own_line = (Term){ 0 };\n\t\tfacts = &blind;\n\t\tlearn_line(machine, facts);"),
        {"older-on-newer", "follows-older"}, 19, 87),
    "what is applied is not on the disk yet": (
        "pair-device", "\tpair_kill_sync(sim, device);\n\tfor", "\tpair_kill_sync(sim, device);\n\tdevice->head = pair.commit[device->head].parent;\n\tfor",
        {"applied-on-both-lost"}, 3),
    "a swap waits for applications that have stopped": (
        "handover", "\t\tif (facts->apps_stopped)\n\t\t\treturn HANDOVER_LAST_COMMIT;",
        "\t\tif (facts->apps_stopped && facts->apps_ready)\n\t\t\treturn HANDOVER_LAST_COMMIT;", {"order-without-end"}, 1),
    "a takeover begins no term": ("role", "MAX(machine->known.number + 1, machine->reserved), machine->id)", "machine->known.number, machine->id)", {"term-not-newer"}, 1),
    "a term is begun in the other's name": ("role", "machine->reserved), machine->id)", "machine->reserved), *machine->known.id ? machine->known.id : machine->id)",
                                            {"term-of-another"}, 1),
    "the other's term is not taken": ("role", "\t\tmachine->known = *term;\n\t\tonce->term_changed = true;\n\t} else if", "\t} else if", {"terms-differ"}, 1),
    "of two lines the older is taken for the newer": ("role", "return ours->number > theirs->number ? 1 : -1;", "return ours->number < theirs->number ? 1 : -1;",
                                                      {"older-leads"}, 46),
    "what is given up has no name": ("pair-sync", "\t\t\tpark(sim, device, own, device->work_target);", "\t\t\t(void)park;", {"nameless"}, 7),
    "newer settings are not fetched": ("revision", "? REVISION_COMMIT : REVISION_FETCH;", "? REVISION_COMMIT : REVISION_KEEP;", {"settings-differ"}, 81),
    "settings that lose are not kept": ("agreement", "own_shared || same ? ADOPT_IT : ADOPT_IT_AND_KEEP_OWN", "own_shared || same ? ADOPT_IT : ADOPT_IT",
                                        {"settings-lost"}, 1582),
    "the settings' number does not grow": ("agreement", "MAX(own->n, last_n) + 1", "MAX(own->n, last_n)", {"settings-older"}, 88),
    "the settings' number says neither when nor whose": ("agreement", "revision_of(MAX(known_term, own->term), device,",
                                                         "revision_of(own->term, device && known_term ? \"\" : device,", {"settings-number-twice"}, 1582),
    "a refusal has no name": ("handover", '#define NOT_MASTER "not-master: another', '#define NOT_MASTER "another', {"nameless-refusal"}, 228),
    "who may lead is held like one who is passive": ("role", "posture->hold_passive = facts->mode == MODE_PASSIVE && ", "posture->hold_passive = ", {"nobody-leads"}, 1),
    "who needs another starts before it alone": ("plan", "&& !entries[other].ready)", "&& entries[other].ready)", {"does-not-serve"}, 809),
    "whose link was away is at fault for ever": ("role", "\t\tbecome(machine, ROLE_BACKUP, facts->election_reason, now_us, once);",
                                                 "\t\tif (machine->role != ROLE_FAULT)\n\t\t\tbecome(machine, ROLE_BACKUP, facts->election_reason, now_us, once);", {"no-backup"}, 36),
    "a first synchronisation is never done": ("pair-sync", "\t\tpair_first_sync_done(sim, device);\n\t\treturn;", "\t\treturn;", {"still-joining"}, 1),
    "a Backup does not follow": ("role", "bool older = (machine->strange && facts->paired) ||", "bool older = facts->paired ||", {"does-not-follow"}, 2),
    "what is half applied is taken for whole": ("pair-sync", " && device->sync_marks && device->work != SYNC_RUNS_APPLY", " && device->sync_marks",
                                                {"applied-under-applications"}, 81),
    "a Backup applies though applications may run": ("pair-sync", "!pair.link || device->master_file", "!pair.link", {"applied-under-applications"}, 5161),
    "syncd is not told to lead": ("role", "> 0 ? SYNC_KEEP : SYNC_LEAD;", "> 0 ? SYNC_KEEP : SYNC_KEEP;", {"sync-roles"}, 2),
}

QUICK = ("whom the Master hands over to keeps his mode", "who has booted knows of no term", "what is applied is not on the disk yet", "no change is ever blamed",
         "a swap does not wait until the applications have stopped")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return Parts(tmp_path_factory.mktemp("pair"), SIM + TESTED)


def finds(parts, tmp_path, name):
    *mistake, wanted = MISTAKES[name][:4]
    found = find(parts.with_mistake(tmp_path, *mistake), wanted, *((seed, 10) for seed in MISTAKES[name][4:]), (1, 300), (301, 1700))
    assert wanted <= found, found


@pytest.mark.parametrize("name", QUICK)
def test_a_mistake_in_a_pair_is_found(parts, tmp_path, name):
    finds(parts, tmp_path, name)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in MISTAKES if name not in QUICK])
def test_each_mistake_in_a_pair_is_found(parts, tmp_path, name):
    finds(parts, tmp_path, name)


def test_each_invariant_of_a_pair_is_seen_to_break(parts):
    """By a mistake of this file, which the README has a row of."""
    broken = set().union(*(mistake[3] for mistake in MISTAKES.values()))
    assert parts.invariants("pair-") == broken
    assert not [name for name in broken if f"`{name}`" not in README]
    rows = {cells[0].strip(): cells for cells in (line.strip("|\n").split("|") for line in README.splitlines() if line.startswith("| "))}
    for name, mistake in MISTAKES.items():
        assert mistake[3] <= set(re.findall(r"`([a-z-]+)`", rows[name][2])), name
