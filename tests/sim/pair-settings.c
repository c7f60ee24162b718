/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/sim/pair-settings.c - the pair's settings, changed by order: what settings-order.c and settings-agree.c do around the shipped agreement.c and
 * revision.c. A text is a number; what it was made from, and by what devices find each other with it, is remembered here.
 */
#include "pair.h"

#define PREPARE_US (5000 * SIM_MS)
#define COMMIT_US (3000 * SIM_MS)
#define FORWARD_US (10000 * SIM_MS)
#define FETCH_US (2000 * SIM_MS)
#define FETCH_AGAIN_US (1000 * SIM_MS)
#define MISSED_AGAIN_US (100 * SIM_MS)

typedef enum { SAY_PREPARE, SAY_COMMIT, SAY_ABORT, SAY_CHANGE, SAY_WHAT } SayKind;
typedef enum { ANSWER_OK, ANSWER_REFUSED, ANSWER_UNKNOWN } AnswerKind;

typedef struct {
	SayKind kind;
	guint session, number;
	Revision revision;
	guint text;
	AnswerKind answer;
	const char *why;
} Said;

/* Good for four of them at a time. */
static const char *hash_of(guint text)
{
	static char hashes[4][16];
	static guint n;
	char *hash = hashes[n++ % G_N_ELEMENTS(hashes)];

	g_snprintf(hash, sizeof hashes[0], "%u", text);
	return hash;
}

guint pair_settings_finding(const PairDevice *device)
{
	return pair.text[device->settings.text].finding;
}

/* ---- On this device ---- */

static void put_to_use(Sim *sim, PairDevice *device, const Revision *revision, guint text)
{
	PairSettings *s = &device->settings;

	sim_say(sim, "%s  settings in use: %u (%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " of %s)", device->id, text, revision->term, revision->n,
		revision->device);
	if (revision_compare(revision, &s->own) <= 0)
		sim_break(sim, "settings-older", "%s takes settings %u for %u, which are newer", device->id, text, s->text);
	for (guint i = 1; i <= pair.n_texts; i++)
		if (i != text && pair.text[i].used && revision_compare(&pair.text[i].revision, revision) == 0)
			sim_break(sim, "settings-number-twice", "%s puts settings %u to use under the number of %u", device->id, text, i);
	s->own = *revision;
	s->text = text;
	pair.text[text].used |= 1u << device->index;
	pair.text[text].revision = *revision;
}

static void set_aside(Sim *sim, PairDevice *device, guint text)
{
	sim_say(sim, "%s  settings %u are kept aside", device->id, text);
	pair.text[text].aside = true;
}

static void set_shared(Sim *sim, PairDevice *device)
{
	PairSettings *s = &device->settings;

	if (s->shared_text == s->text && revision_compare(&s->shared, &s->own) == 0)
		return;
	s->shared = s->own;
	s->shared_text = s->text;
	pair_later(sim, device, 1 * SIM_MS + sim_upto(sim, 20 * SIM_MS), PAIR_SHARED_STORED, device->boots, g_memdup2(s, sizeof *s));
}

static void forget_prepared(PairDevice *device)
{
	device->settings.prepared = 0;
}

static void adopt(Sim *sim, PairDevice *device, const Revision *revision, guint text)
{
	PairSettings *s = &device->settings;
	bool shared = s->shared_text == s->text && revision_compare(&s->shared, &s->own) == 0;
	Adoption adoption = agreement_adopt(&s->own, shared, s->text == text, revision);

	if (adoption == ADOPT_NOTHING)
		return;
	if (adoption == ADOPT_IT_AND_KEEP_OWN)
		set_aside(sim, device, s->text);
	put_to_use(sim, device, revision, text);
	if (s->prepared && revision_compare(&s->announced, revision) != 0)
		set_aside(sim, device, s->prepared);
	forget_prepared(device);
	set_shared(sim, device);
	pair_tell_state(sim, device);
}

/* ---- Talking ---- */

static void say(Sim *sim, PairDevice *device, Said what, gint64 timeout_us)
{
	what.session = pair.session;
	pair_later(sim, pair_other(device), pair_delay_us(sim, 1 - device->index), PAIR_SETTINGS_ASK, 0, g_memdup2(&what, sizeof what));
	if (timeout_us)
		pair_later(sim, device, timeout_us, PAIR_SETTINGS_LATE, what.number, NULL);
}

static void reply(Sim *sim, PairDevice *device, Said what)
{
	what.session = pair.session;
	pair_later(sim, pair_other(device), pair_delay_us(sim, 1 - device->index), PAIR_SETTINGS_ANSWER, 0, g_memdup2(&what, sizeof what));
}

static bool peer_says(const PairDevice *device)
{
	return device->supervisor_runs && device->sync_runs && pair.link && device->peer.there;
}

/* ---- A change by order ---- */

static void end_change(Sim *sim, PairDevice *device, const char *why)
{
	SettingsRun *run = &device->settings_run;

	if (run->order)
		pair_order_end(sim, run->order, why);
	else if (run->asked_for)
		reply(sim, device, (Said){ .kind = SAY_CHANGE, .number = run->asked_for, .answer = why ? ANSWER_REFUSED : ANSWER_OK, .why = why });
	*run = (SettingsRun){ 0 };
	device->settings_number++;
	pair_think_soon(sim, device);
}

static void commit(Sim *sim, PairDevice *device, bool with_peer)
{
	SettingsRun *run = &device->settings_run;

	put_to_use(sim, device, &run->revision, run->text);
	device->settings_last_n = MAX(device->settings_last_n, run->revision.n);
	if (!with_peer) {
		end_change(sim, device, NULL);
		return;
	}
	run->committing = true;
	pair_think(sim, device, ROLE_EVENT_FACTS);
	say(sim, device, (Said){ .kind = SAY_COMMIT, .number = ++device->settings_number, .revision = run->revision, .text = run->text }, COMMIT_US);
}

static void change_alone(Sim *sim, PairDevice *device)
{
	if (pair.text[device->settings_run.text].finding != pair_settings_finding(device))
		end_change(sim, device, "needs-alone: by this the two find each other");
	else
		commit(sim, device, false);
}

static void change(Sim *sim, PairDevice *device)
{
	SettingsRun *run = &device->settings_run;
	gint64 now_us = pair_clock(sim, device);
	ChangeFacts facts = { .role = device->role.role, .paired = true, .own = device->settings.own, .peer_fresh = peer_says(device),
			      .peer_role = device->facts.peer_role, .peer = device->peer.settings, .peer_down = device->sync_runs && !pair.link,
			      .missed_us = run->missed_us };
	ChangeWay way = agreement_way(&facts, now_us);
	PairText *text = &pair.text[run->text];

	switch (way) {
	case CHANGE_FORWARD:
		if (run->asked_for) {
			end_change(sim, device, "not-master: no such request to this device now");
			return;
		}
		run->order->forwarded = ++device->settings_number;
		say(sim, device, (Said){ .kind = SAY_CHANGE, .number = device->settings_number, .text = run->text }, FORWARD_US);
		*run = (SettingsRun){ 0 };
		return;
	case CHANGE_WAIT:
		if (run->missed_us == 0)
			run->missed_us = now_us;
		pair_later(sim, device, MISSED_AGAIN_US, PAIR_SETTINGS_TIME, ++device->settings_number, NULL);
		return;
	case CHANGE_ROLE_CHANGES:
		end_change(sim, device, "busy: the role is just changing");
		return;
	case CHANGE_NO_MASTER:
		end_change(sim, device, "no-master: this device does not lead");
		return;
	case CHANGE_PEER_NEWER:
		end_change(sim, device, "busy: newer settings are just being taken over");
		return;
	case CHANGE_TRIED:
	case CHANGE_HERE:
		g_assert_not_reached();
	case CHANGE_BOTH:
	case CHANGE_ALONE:
		break;
	}
	run->revision = agreement_number(&device->settings.own, device->role.known.number, device->settings_last_n, device->id);
	device->settings_last_n = run->revision.n;
	text->base = device->settings.text;
	text->revision = run->revision;
	if (way == CHANGE_ALONE)
		change_alone(sim, device);
	else
		say(sim, device, (Said){ .kind = SAY_PREPARE, .number = ++device->settings_number, .revision = run->revision, .text = run->text }, PREPARE_US);
}

const char *pair_settings_order(Sim *sim, PairDevice *device, PairOrder *order, guint amount)
{
	if (device->settings_run.text)
		return "busy: another change is under way";
	if (pair.n_texts + 1 >= PAIR_TEXTS)
		return "full: no more texts";
	pair.text[++pair.n_texts] = (PairText){ .finding = amount % 4 ? pair_settings_finding(device) : amount / 4 % 2 };
	device->settings_run = (SettingsRun){ .order = order, .text = pair.n_texts };
	if (amount & 32) { /* while the two agree */
		PairDevice *victim = amount & 64 ? device : pair_other(device);

		pair_later(sim, victim, sim_upto(sim, 40 * SIM_MS), amount & 128 ? PAIR_POWER_OFF : PAIR_KILL, victim->boots, NULL);
	}
	change(sim, device);
	return NULL;
}

static void prepared(Sim *sim, PairDevice *device, AnswerKind answer, const char *why)
{
	SettingsRun *run = &device->settings_run;
	bool may = agreement_may_commit(device->role.role);

	if (answer == ANSWER_OK && may) {
		commit(sim, device, true);
		return;
	}
	if (answer != ANSWER_REFUSED)
		say(sim, device, (Said){ .kind = SAY_ABORT, .revision = run->revision }, 0);
	if (answer == ANSWER_OK)
		end_change(sim, device, "role-changing: this device leads no more");
	else if (answer == ANSWER_REFUSED)
		end_change(sim, device, why);
	else
		change_alone(sim, device);
}

/* ---- The other side ---- */

static void look_at_hold(Sim *sim, PairDevice *device, gint64 now_us)
{
	guint finding = pair_settings_finding(device);
	HoldFacts facts = { .prepared_differs = device->settings.prepared && pair.text[device->settings.prepared].finding != finding,
			    .connected = pair.link && device->sync_runs, .peer_fresh = peer_says(device), .peer_role = device->facts.peer_role,
			    .peer_timeout_us = PAIR_LINK_TIMEOUT_US };
	bool held;

	facts.peer_differs = facts.peer_fresh && pair.text[device->peer.settings_text].finding != finding;
	device->settings_hold_until_us = agreement_hold(&facts, device->settings_hold_until_us, now_us);
	held = device->settings_hold_until_us > now_us;
	if (held == device->settings_held)
		return;
	device->settings_held = held;
	pair_tell_vrrpd(sim, device);
}

void pair_settings_look(Sim *sim, PairDevice *device)
{
	PairSettings *s = &device->settings;
	gint64 now_us = pair_clock(sim, device), next_us;
	RevisionFacts facts = { .own = s->own, .prepared = s->prepared != 0, .announced = s->announced, .announced_us = device->settings_announced_us,
				.peer_fresh = peer_says(device), .peer = device->peer.settings,
				.busy = device->settings_run.text || device->role.role == ROLE_TAKING_OVER || device->role.role == ROLE_HANDING_OVER };

	if (!facts.peer_fresh)
		device->settings_fresh_us = 0;
	else if (device->settings_fresh_us == 0)
		device->settings_fresh_us = now_us;
	facts.fresh_us = device->settings_fresh_us;
	if (facts.peer_fresh && revision_compare(&facts.peer, &s->own) == 0 && device->peer.settings_text == s->text)
		set_shared(sim, device);
	facts.announced_is_peers = facts.prepared && facts.peer_fresh && revision_compare(&facts.peer, &s->announced) == 0 &&
				   device->peer.settings_text == s->prepared;
	switch (revision_next(&facts, now_us, &next_us)) {
	case REVISION_KEEP:
		break;
	case REVISION_FETCH:
		if (!device->settings_asking) {
			device->settings_asking = ++device->settings_number;
			say(sim, device, (Said){ .kind = SAY_WHAT, .number = device->settings_asking }, FETCH_US);
		}
		break;
	case REVISION_COMMIT:
		adopt(sim, device, &s->announced, s->prepared);
		break;
	case REVISION_DROP:
		if (revision_compare(&s->announced, &s->own) != 0)
			set_aside(sim, device, s->prepared);
		forget_prepared(device);
		break;
	}
	look_at_hold(sim, device, now_us);
	if (device->settings_hold_until_us > now_us)
		next_us = next_us ? MIN(next_us, device->settings_hold_until_us) : device->settings_hold_until_us;
	if (next_us && next_us != device->settings_next_us) {
		device->settings_next_us = next_us;
		pair_at(sim, device, next_us, PAIR_THINK, device->supervisor);
	}
}

static void answer(Sim *sim, PairDevice *device, const Said *said)
{
	PairSettings *s = &device->settings;
	Said back = *said;

	back.answer = ANSWER_OK;
	switch (said->kind) {
	case SAY_PREPARE:
		switch (agreement_prepare(device->role.role, device->settings_run.text != 0, false, &s->own, &said->revision)) {
		case PREPARE_LEADS:
			back.why = "is-master: this device leads";
			break;
		case PREPARE_BUSY:
		case PREPARE_WAIT: /* never: here a version is in use at once */
			back.why = "busy: another change is under way";
			break;
		case PREPARE_NEWER:
			back.why = "settings-newer: this device has newer settings";
			break;
		case PREPARE_AGREED:
			s->prepared = said->text;
			s->announced = said->revision;
			device->settings_announced_us = pair_clock(sim, device);
			pair_settings_look(sim, device);
			break;
		}
		back.answer = back.why ? ANSWER_REFUSED : ANSWER_OK;
		break;
	case SAY_COMMIT:
		switch (agreement_commit(&s->own, hash_of(s->text), &s->announced, s->prepared ? hash_of(s->prepared) : NULL, &said->revision,
					 hash_of(said->text))) {
		case COMMIT_HAS:
			break;
		case COMMIT_ADOPT:
			adopt(sim, device, &said->revision, said->text);
			pair_think(sim, device, ROLE_EVENT_FACTS);
			break;
		case COMMIT_UNKNOWN:
			back.answer = ANSWER_UNKNOWN;
			break;
		}
		break;
	case SAY_ABORT:
		if (s->prepared && revision_compare(&said->revision, &s->announced) == 0)
			forget_prepared(device);
		pair_settings_look(sim, device);
		return;
	case SAY_CHANGE:
		if (!role_leads(device->role.role) || device->settings_run.text) {
			back.answer = ANSWER_REFUSED;
			back.why = role_leads(device->role.role) ? "busy: another change is under way" : "not-master: no such request to this device now";
			break;
		}
		device->settings_run = (SettingsRun){ .text = said->text, .asked_for = said->number };
		change(sim, device);
		return;
	case SAY_WHAT:
		back.revision = s->own;
		back.text = s->text;
		break;
	}
	reply(sim, device, back);
}

static bool end_forwarded(Sim *sim, PairDevice *device, guint number, const char *why)
{
	for (guint i = 0; i < pair.n_orders; i++)
		if (pair.order[i].device == device->index && pair.order[i].forwarded == number) {
			pair_order_end(sim, &pair.order[i], why);
			return true;
		}
	return false;
}

static void answered(Sim *sim, PairDevice *device, const Said *said)
{
	switch (said->kind) {
	case SAY_PREPARE:
		if (device->settings_run.text && said->number == device->settings_number)
			prepared(sim, device, said->answer, said->why);
		break;
	case SAY_COMMIT:
		if (device->settings_run.text && said->number == device->settings_number)
			end_change(sim, device, NULL);
		break;
	case SAY_CHANGE:
		(void)end_forwarded(sim, device, said->number, said->why);
		break;
	case SAY_WHAT:
		if (said->number != device->settings_asking)
			break;
		device->settings_asking = 0;
		adopt(sim, device, &said->revision, said->text);
		pair_think(sim, device, ROLE_EVENT_FACTS);
		break;
	case SAY_ABORT:
		break;
	}
}

static void late(Sim *sim, PairDevice *device, guint number)
{
	if (number == device->settings_asking) {
		device->settings_asking = 0;
		pair_later(sim, device, FETCH_AGAIN_US, PAIR_THINK, device->supervisor, NULL);
	} else if (end_forwarded(sim, device, number, "peer-absent: no answer in time")) {
		return;
	} else if (!device->settings_run.text || number != device->settings_number) {
		return;
	} else if (device->settings_run.committing) {
		end_change(sim, device, NULL); /* here at least */
	} else {
		prepared(sim, device, ANSWER_UNKNOWN, NULL);
	}
}

void pair_settings_event(Sim *sim, PairDevice *device, const SimEvent *event)
{
	PairEventKind what = event->what;
	const Said *said = event->data;
	const PairSettings *stored = event->data;

	if (what == PAIR_SHARED_STORED) {
		if (event->generation == device->boots) {
			device->settings_disk_shared = stored->shared;
			device->settings_disk_shared_text = stored->shared_text;
		}
	} else if (what == PAIR_SETTINGS_TIME) {
		if (device->settings_run.text && event->generation == device->settings_number)
			change(sim, device);
	} else if (what == PAIR_SETTINGS_LATE) {
		if (device->supervisor_runs)
			late(sim, device, event->generation);
	} else if (pair_can_arrive(sim, device, event, said->session, sizeof *said) && device->sync_runs && device->supervisor_runs) {
		if (what == PAIR_SETTINGS_ASK)
			answer(sim, device, said);
		else
			answered(sim, device, said);
	}
}

/* The supervisor is gone, and with @off what was not yet on the disk. */
void pair_settings_forget(PairDevice *device, bool off)
{
	device->settings_run = (SettingsRun){ 0 };
	device->settings_number++;
	device->settings_asking = 0;
	device->settings_last_n = 0;
	device->settings_hold_until_us = device->settings_fresh_us = device->settings_next_us = 0;
	device->settings_held = false;
	if (!off)
		return;
	device->settings.shared = device->settings_disk_shared;
	device->settings.shared_text = device->settings_disk_shared_text;
}

/* ---- In the end ---- */

/* Whether it is @base, or was made from it by somebody who saw it. */
static bool stands_on(guint text, guint base)
{
	while (text != base && text != 0)
		text = pair.text[text].base;
	return text == base;
}

void pair_settings_check_end(Sim *sim)
{
	const PairSettings *a = &pair.device[0].settings, *b = &pair.device[1].settings;

	if (a->text != b->text || revision_compare(&a->own, &b->own) != 0)
		sim_break(sim, "settings-differ", "a uses settings %u and b %u", a->text, b->text);
	for (guint i = 1; i <= pair.n_texts; i++) {
		bool found = stands_on(a->text, i);

		for (guint k = 1; k <= pair.n_texts && !found; k++)
			found = pair.text[k].aside && stands_on(k, i);
		if (pair.text[i].used && !found)
			sim_break(sim, "settings-lost", "settings %u were in use, and are neither in what is now nor kept by name", i);
	}
}
