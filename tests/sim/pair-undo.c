/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/sim/pair-undo.c - worlds in which people change the configuration, also so that the applications do not start any more: the shipped
 * health.c, with what undo.c does around it, on the model of syncd.
 */
#include "pair.h"

#define ONE_IN 8                    /* worlds has people who change it */
#define TRIAL_S 60
#define LOOK_US (1 * G_USEC_PER_SEC)    /* as undo.c's: no answer for so long, */
#define RESTORE_US (5 * G_USEC_PER_SEC) /* and to an order to restore */
#define N_LISTED 50
#define AWAY_US (600 * SIM_MS)                 /* syncd, before one gives up without it */
#define ANSWER_US (20 * SIM_MS)                /* to each question, by a syncd that is there */
#define RESTORED_US (100 * SIM_MS)
#define TRY_US (1600 * SIM_MS)                 /* five starts that fail after 5 ms each, and 100, 200, 400 and 800 ms between them */
/* From the failure until the change is undone: a look, the try of a change that has not had its own, another look. */
#define MENDED_WITHIN_US (ANSWER_US + TRY_US + ANSWER_US)
/* What people change meanwhile comes first: it may have its try, is undone, and what is left fails again. */
#define EACH_NEWER_US (ANSWER_US + TRY_US + ANSWER_US + RESTORED_US + TRY_US)

/* One change to undo: what was asked, and what came back. */
typedef struct {
	HealthEvent event;
	guint commit;
} Answer;

void pair_undo_make(Sim *sim, guint kind)
{
	guint n;

	pair.people = sim->seed % ONE_IN == 5;
	pair.n_configs = 1;
	if (!pair.people)
		return;
	n = 1 + sim_below(sim, 6);
	for (guint i = 0; i < n && sim->n_faults < SIM_MOST_FAULTS; i++) {
		SimFault *fault = &sim->fault[sim->n_faults++];

		fault->kind = (SimFaultKind)kind;
		fault->from_us = i > 0 && sim_below(sim, 3) == 0 ? fault[-1].from_us + sim_upto(sim, 8000 * SIM_MS) : sim_upto(sim, sim->round_ends_us);
		fault->from_us = MIN(fault->from_us, sim->round_ends_us - 1);
		fault->until_us = fault->from_us + SIM_MS;
		fault->device = sim_below(sim, 2);
		fault->amount = sim_below(sim, 512);
	}
}

bool pair_config_is_broken(const PairDevice *device)
{
	return pair.config_broken[device->config];
}

/* ---- What people do ---- */

/* @amount: in three cases of four it breaks the applications; these notice at once, or when they are started the next time. */
void pair_change_config(Sim *sim, PairDevice *device, guint amount)
{
	if (!pair_leads(device->role.role))
		device = pair_other(device);
	if (!device->on || !device->sync_runs || device->sync_role != SYNC_LEAD || pair.n_configs == G_N_ELEMENTS(pair.config_broken))
		return;
	pair.config_broken[pair.n_configs] = amount % 4 != 0;
	sim_say(sim, "%s  configuration %u is saved%s", device->id, pair.n_configs, amount % 4 ? ", which breaks the applications" : "");
	device->config = pair.n_configs++;
	device->dirty = true;
	pair_sync_commit(sim, device);
	if (amount & 4)
		pair_break_applications(sim, device);
}

/* ---- syncd's part ---- */

void pair_config_committed(PairDevice *device, guint commit)
{
	guint parent = pair.commit[commit].parent;

	pair.commit[commit].config = device->config;
	pair.commit[commit].changes = pair.commit[parent].config != device->config;
	pair.commit[commit].undoes = device->undoing;
}

/* Made here, or applied. */
void pair_config_in_use(Sim *sim, PairDevice *device, guint before)
{
	guint commit = device->head;
	bool persons = false, changed = false;

	device->config = pair.commit[commit].config;
	for (; commit != 0 && commit != before; commit = pair.commit[commit].parent) {
		changed |= pair.commit[commit].changes;
		persons |= pair.commit[commit].changes && pair.commit[commit].undoes == 0;
	}
	if (persons || !pair_contains(device->head, before))
		device->n_health = 0;
	if (changed && pair.people)
		pair_later(sim, device, sim_upto(sim, 5 * SIM_MS), PAIR_UNDO_CHANGED, device->supervisor, NULL);
}

typedef struct {
	char text[16];
} Name;

static Name name_of(guint commit)
{
	Name name;

	g_snprintf(name.text, sizeof name.text, "%08x", commit);
	return name;
}

static guint list(const PairDevice *device, HealthCommit commits[N_LISTED], guint numbers[N_LISTED], char names[N_LISTED * 2][16], char messages[N_LISTED][32])
{
	guint n = 0;

	for (guint i = device->head; i != 0 && n < N_LISTED; i = pair.commit[i].parent) {
		const PairCommit *commit = &pair.commit[i];

		if (!commit->changes)
			continue;
		numbers[n] = i;
		g_strlcpy(names[2 * n], name_of(i).text, sizeof names[0]);
		g_snprintf(names[2 * n + 1], sizeof names[0], commit->parent ? "%08x" : "", commit->parent);
		g_snprintf(messages[n], sizeof messages[0], commit->undoes ? HEALTH_UNDO "%08x: edit" : "edit", commit->undoes);
		commits[n] = (HealthCommit){ names[2 * n], names[2 * n + 1], commit->undoes ? HEALTH_AUTHOR : "people", messages[n], commit->at_us / 1000 };
		n++;
	}
	return n;
}

/* It waits that long, and then a little, before it asks again; more often than so it does not. */
static void not_answered(PairDevice *device, gint64 after_us)
{
	if (++device->undo_unanswered < HEALTH_MOST_UNANSWERED)
		device->unanswered_us += after_us + HEALTH_LATER_MS * SIM_MS;
}

static void answer(Sim *sim, PairDevice *device, gint64 after_us, HealthEvent event, guint commit)
{
	Answer *said = g_new(Answer, 1);

	*said = (Answer){ event, commit };
	if (event == HEALTH_EVENT_UNANSWERED)
		not_answered(device, after_us);
	pair_later(sim, device, after_us, PAIR_UNDO_ANSWER, ++device->undo_number, said);
}

static gint64 last_start_us(const PairDevice *device)
{
	gint64 last_us = 0;

	for (guint i = 0; i < PAIR_APPS; i++)
		if (device->app[i].state == APP_FAILED)
			last_us = MAX(last_us, device->process[i].begun_us);
	return last_us;
}

static void look_for_change(Sim *sim, PairDevice *device)
{
	char names[N_LISTED * 2][16], messages[N_LISTED][32];
	HealthCommit commits[N_LISTED];
	guint numbers[N_LISTED], n = list(device, commits, numbers, names, messages);
	gsize chosen = 0;

	if (!device->sync_runs)
		answer(sim, device, sim_below(sim, 2) ? 0 : LOOK_US, HEALTH_EVENT_UNANSWERED, 0);
	else if (n && health_is_untried(&commits[0], last_start_us(device) / 1000, name_of(device->undo_tried).text)) {
		device->undo_tried = numbers[0];
		answer(sim, device, 500 + sim_upto(sim, 20 * SIM_MS), HEALTH_EVENT_UNTRIED, 0);
	} else if (health_choose(commits, n, sim->now_us / 1000, TRIAL_S * 1000, &chosen))
		answer(sim, device, 500 + sim_upto(sim, 20 * SIM_MS), HEALTH_EVENT_FOUND, numbers[chosen]);
	else
		answer(sim, device, 500 + sim_upto(sim, 20 * SIM_MS), HEALTH_EVENT_NOTHING, 0);
}

/* syncd restores where it leads, and nowhere else. */
static void restore(Sim *sim, PairDevice *device)
{
	guint bad = device->undo_commit;

	if (!device->sync_runs) {
		answer(sim, device, sim_below(sim, 2) ? 0 : RESTORE_US, HEALTH_EVENT_UNANSWERED, 0);
		return;
	}
	if (device->sync_role != SYNC_LEAD) {
		answer(sim, device, 500, HEALTH_EVENT_NOTHING, 0);
		return;
	}
	sim_say(sim, "%s  undoes commit %u", device->id, bad);
	device->config = pair.commit[pair.commit[bad].parent].config;
	device->undoing = bad;
	device->dirty = true;
	pair_sync_commit(sim, device);
	device->undoing = 0;
	answer(sim, device, 1 * SIM_MS + sim_upto(sim, 100 * SIM_MS), HEALTH_EVENT_RESTORED, 0);
}

/* ---- The supervisor's part: undo.c ---- */

static HealthFacts facts_of(const PairDevice *device)
{
	HealthFacts facts = { .runs = device->posture.run_applications, .ready = true, .on_trial = pair.people };

	for (guint i = 0; i < PAIR_APPS; i++) {
		facts.failed |= device->app[i].state == APP_FAILED;
		facts.ready &= device->app[i].state == APP_RUNNING;
	}
	return facts;
}

bool pair_undo_gives_up(const PairDevice *device)
{
	HealthFacts facts = facts_of(device);

	return health_gives_up(&device->health, &facts);
}

static void restart_failed(Sim *sim, PairDevice *device)
{
	for (guint i = 0; i < PAIR_APPS; i++)
		if (device->app[i].state == APP_FAILED)
			pair_app_event(sim, device, i, (AppEvent){ .kind = APP_EVENT_RESTART });
}

static void step(Sim *sim, PairDevice *device, HealthEvent event)
{
	HealthFacts facts = facts_of(device);
	HealthState old = device->health.state;
	HealthAction action = health_step(&device->health, &facts, event);

	if (old != HEALTH_WELL && device->health.state == HEALTH_WELL && facts.ready)
		device->failed = 0;
	if (health_gives_up(&device->health, &facts))
		for (guint i = 0; i < PAIR_APPS; i++)
			if (device->app[i].state == APP_FAILED)
				device->failed |= 1u << i;
	switch (action) {
	case HEALTH_DO_NOTHING:
		break;
	case HEALTH_DO_LOOK:
		device->undo_unanswered = 0;
		device->unanswered_us = device->failing ? device->unanswered_us : 0;
		look_for_change(sim, device);
		break;
	case HEALTH_DO_LOOK_LATER:
		pair_later(sim, device, HEALTH_LATER_MS * SIM_MS, PAIR_UNDO_LATER, device->undo_number, NULL);
		break;
	case HEALTH_DO_RESTORE:
		restore(sim, device);
		break;
	case HEALTH_DO_RESTART:
		restart_failed(sim, device);
		break;
	}
}

void pair_undo_look(Sim *sim, PairDevice *device)
{
	step(sim, device, HEALTH_EVENT_FACTS);
}

void pair_undo_reset(Sim *sim, PairDevice *device)
{
	device->failed = 0;
	step(sim, device, HEALTH_EVENT_RESET);
	pair_think(sim, device, ROLE_EVENT_HEALTH_RESET);
}

static void new_beginning(Sim *sim, PairDevice *device)
{
	gint64 now_us = pair_clock(sim, device);
	bool waits = device->health.state == HEALTH_BEYOND || device->failed;

	if (!waits || (device->undo_reset_us && now_us - device->undo_reset_us < TRIAL_S * G_USEC_PER_SEC))
		return;
	device->undo_reset_us = now_us;
	sim_say(sim, "%s  the configuration has changed: a new beginning", device->id);
	device->failing = false;
	device->blamed = 0;
	restart_failed(sim, device);
	pair_undo_reset(sim, device);
}

void pair_undo_event(Sim *sim, PairDevice *device, const SimEvent *event)
{
	const Answer *said = event->data;

	if (!device->supervisor_runs)
		return;
	if ((PairEventKind)event->what == PAIR_UNDO_CHANGED) {
		if (event->generation == device->supervisor)
			new_beginning(sim, device);
		return;
	}
	if (event->generation != device->undo_number)
		return;
	if ((PairEventKind)event->what == PAIR_UNDO_LATER) {
		if (device->health.state == HEALTH_LOOKING)
			look_for_change(sim, device);
		return;
	}
	if (said->event == HEALTH_EVENT_FOUND)
		device->undo_commit = said->commit;
	/* It is undone, and who did it ended before he could say so. */
	if (said->event == HEALTH_EVENT_RESTORED && !device->sync_runs) {
		not_answered(device, 0);
		step(sim, device, HEALTH_EVENT_UNANSWERED);
	} else {
		step(sim, device, said->event);
	}
	pair_think(sim, device, ROLE_EVENT_FACTS);
}

/* The next one knows what has failed, and nothing of what was under way. */
void pair_undo_forget(PairDevice *device)
{
	device->health = (Health){ 0 };
	device->undo_number++;
	device->undo_reset_us = 0;
	device->undo_tried = 0;
	for (guint i = 0; i < PAIR_APPS; i++)
		device->process[i].begun_us = 0;
	device->blamed = device->unmended_us = 0;
}

/* When nothing else is broken any more, somebody puts right what was not undone: it had worked for longer than a change is on trial, or is not known to have failed. */
void pair_undo_mend(Sim *sim, PairDevice *device)
{
	const PairDevice *master = pair_leads(device->role.role) ? device : pair_other(device);

	if (pair_config_is_broken(master))
		pair_change_config(sim, device, 4);
	if (pair_config_is_broken(master))
		pair_later(sim, device, 2000 * SIM_MS, PAIR_MEND, 0, NULL);
}

/* ---- Invariants ---- */

/* By the commits alone: what people have changed last, if that is on trial and not undone yet. */
static guint to_blame(const Sim *sim, const PairDevice *device)
{
	gint64 young_us = sim->now_us - (TRIAL_S - 1) * G_USEC_PER_SEC, counts_us = sim->now_us - (TRIAL_S + 1) * G_USEC_PER_SEC;
	guint n_undone = 0, found = 0;
	bool undone[PAIR_COMMITS] = { false };

	for (guint i = device->head; i != 0 && pair.commit[i].at_us > counts_us; i = pair.commit[i].parent) {
		if (!pair.commit[i].changes)
			continue;
		n_undone += pair.commit[i].undoes != 0;
		undone[pair.commit[i].undoes] = true;
		if (found || pair.commit[i].undoes || undone[i] || !pair.commit[i].parent || pair.commit[i].at_us <= young_us)
			continue;
		if (pair.commit[i].at_us / 1000 > last_start_us(device) / 1000)
			return 0; /* it has not been tried */
		found = i;
	}
	return n_undone < HEALTH_MOST_UNDONE ? found : 0;
}

static bool is_undone(const PairDevice *device, guint commit)
{
	for (guint i = device->head; i > commit; i = pair.commit[i].parent)
		if (pair.commit[i].undoes == commit)
			return true;
	return !pair_contains(device->head, commit);
}

/* So long it may take; what nobody answered is added. */
static gint64 mended_within_us(const PairDevice *device)
{
	guint n_newer = 0;

	for (guint i = device->head; i > device->blamed; i = pair.commit[i].parent)
		n_newer += pair.commit[i].changes && !pair.commit[i].undoes;
	return MENDED_WITHIN_US + n_newer * EACH_NEWER_US + device->unanswered_us;
}

/* A failure begins where all was well, or something has been done about the one before. */
static void look_at(Sim *sim, PairDevice *device)
{
	bool runs = device->on && device->supervisor_runs && device->posture.run_applications;
	bool failed = device->app[0].state == APP_FAILED || device->app[1].state == APP_FAILED;
	bool works = device->app[0].state == APP_RUNNING && device->app[1].state == APP_RUNNING;

	if (device->v->condition == SIM_SUSPENDED)
		device->unmended_us = sim->now_us;
	if (device->sync_runs || device->v->condition == SIM_SUSPENDED)
		device->sync_seen_us = sim->now_us;
	device->tried_again |= device->blamed && is_undone(device, device->blamed);
	if (!runs || works || (device->tried_again && !failed))
		device->failing = device->tried_again = false;
	if (device->blamed && (!device->failing || device->tried_again || sim->now_us - device->sync_seen_us > AWAY_US))
		device->blamed = 0;
	if (runs && failed && !device->failing) {
		device->failing = true;
		device->blamed = device->posture.sync == SYNC_LEAD && sim->now_us - device->sync_seen_us < AWAY_US ? to_blame(sim, device) : 0;
		device->unmended_us = sim->now_us;
	}
	if (device->blamed && sim->now_us - device->unmended_us > mended_within_us(device))
		sim_break(sim, "not-undone", "%s has an application that fails after commit %u, and that stays", device->id, device->blamed);
}

void pair_undo_always(Sim *sim)
{
	for (guint i = 0; i < 2 && pair.people; i++)
		look_at(sim, &pair.device[i]);
}

void pair_undo_check(Sim *sim, PairDevice *device, const RoleOnce *once)
{
	if (!once->resign || !g_str_equal(once->resign, "application-failed"))
		return;
	look_at(sim, device);
	if (device->blamed)
		sim_break(sim, "hands-over-undone", "%s gives up for its applications, and commit %u is to blame and not undone", device->id, device->blamed);
}
