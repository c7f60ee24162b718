/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/aftermath.c - the first phone, and losses. */
#include "supervisor/aftermath.h"

#include "supervisor/applications/ask.h"
#include "supervisor/supervisor.h"

#define PHONE_FOR_US (5 * G_TIME_SPAN_MINUTE)  /* so long the first one is waited for */
#define PHASE_WITHIN_US (10 * G_TIME_SPAN_SECOND) /* one that comes later is no phase of the takeover */
#define HURRY_STEP_US (5 * G_TIME_SPAN_SECOND) /* from one look to the next */
#define HURRY_FOR_US (1 * G_TIME_SPAN_MINUTE)
#define COUNT_AFTER_US (2 * G_TIME_SPAN_SECOND) /* contacts have been read by then */
#define COUNT_AGAIN 5 /* times, when that failed */
#define COUNT_EVERY_US (1 * G_TIME_SPAN_MINUTE)

struct Aftermath {
	Supervisor *supervisor;

	/* The last takeover: which line of the timeline it is, and what is still to be found out of it. */
	guint64 sequence;
	gint64 time_ms, begin_us;
	gint64 served_us;    /* since when phones are served; 0: not yet */
	gint64 look_us;      /* for the first phone next; 0: no more */
	gint64 look_step_us;
	bool compare;        /* the contacts are to be compared with */
	guint64 before;      /* what the other device had said */

	Ask *ask;
	gint64 counted_us;   /* or tried to; 0: not since this device leads */
	gint64 soon_us;        /* when one is due that cannot wait; 0: none */
	bool known;
	guint n_failed;      /* one after the other */
	guint64 contacts;
};

static void append(Aftermath *aftermath, const TimelineAddition *what)
{
	TimelineAddition addition = *what;
	addition.sequence = aftermath->sequence;
	addition.time_ms = aftermath->time_ms;
	char *line = timeline_amend(aftermath->supervisor->timeline, &addition);
	if (line)
		tell_write_timeline(aftermath->supervisor, line);
}

void aftermath_begin(Aftermath *aftermath)
{
	Supervisor *supervisor = aftermath->supervisor;
	GVariant *state = peer_state(supervisor->peer);
	aftermath->sequence = supervisor->role.sequence;
	aftermath->time_ms = supervisor->role_since_ms;
	aftermath->begin_us = supervisor->transition_us;
	aftermath->served_us = aftermath->look_us = 0;
	aftermath->compare = state && g_variant_lookup(state, "contacts", "t", &aftermath->before);
}

bool aftermath_waits(const Aftermath *aftermath)
{
	return aftermath->begin_us != 0 && aftermath->served_us == 0;
}

/* What syncd knows of it; it is nothing in most cases, and that is said, too. */
void aftermath_settled(Aftermath *aftermath)
{
	Supervisor *supervisor = aftermath->supervisor;
	GVariant *lost = peer_sync_get(supervisor->peer, "Lost", "a{sv}");
	guint64 term = 0;
	if (!lost || !g_variant_lookup(lost, "term", "t", &term) || term != supervisor->role.known.number)
		return;
	/* As Master: the applications were ready before syncd had answered. */
	if (supervisor->role.role == ROLE_TAKING_OVER || supervisor->role.role == ROLE_MASTER) {
		GVariantBuilder evidence;
		g_variant_builder_init(&evidence, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&evidence, "{sv}", "lost", lost);
		append(aftermath, &(TimelineAddition){ .evidence = g_variant_builder_end(&evidence) });
	}
}

/* ---- The first phone ---- */

static double since_begin_ms(const Aftermath *aftermath, gint64 at_us)
{
	return (double)(at_us - aftermath->begin_us) / 1000.0;
}

static void look_for_phone(Aftermath *aftermath, gint64 now_us)
{
	g_autofree char *host = NULL;
	gint64 ago_us;
	if (drop_first(aftermath->supervisor->drop, &host, &ago_us)) {
		gint64 at_us = MAX(now_us - ago_us, aftermath->served_us);
		GVariantBuilder evidence;
		g_variant_builder_init(&evidence, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&evidence, "{sv}", "first_phone", g_variant_new_string(host));
		g_variant_builder_add(&evidence, "{sv}", "first_phone_ms", g_variant_new_double(since_begin_ms(aftermath, at_us)));
		append(aftermath, &(TimelineAddition){ .phase = at_us - aftermath->served_us < PHASE_WITHIN_US ? "first phone" : NULL,
						       .begin_ms = since_begin_ms(aftermath, aftermath->served_us),
						       .end_ms = since_begin_ms(aftermath, at_us),
						       .evidence = g_variant_builder_end(&evidence) });
		aftermath->look_us = 0;
	} else if (now_us - aftermath->served_us >= PHONE_FOR_US) {
		aftermath->look_us = 0;
	} else {
		aftermath->look_step_us *= 2;
		aftermath->look_us = now_us + aftermath->look_step_us;
	}
	if (!aftermath->look_us && !drop_lift(aftermath->supervisor->drop, NULL))
		g_message("the rules that noted the first phone could not be taken away");
}

/* ---- Contacts ---- */

static void count_soon(Aftermath *aftermath, gint64 now_us)
{
	aftermath->counted_us = now_us + COUNT_AFTER_US - COUNT_EVERY_US;
	aftermath->soon_us = now_us + COUNT_AFTER_US;
}

static void on_counted(const Answers *answers, gpointer user_data)
{
	Aftermath *aftermath = user_data;
	aftermath->ask = NULL;
	aftermath->known = answers->n_asked > 0 && !*answers->text;
	aftermath->contacts = answers->count;
	/* What a takeover has cost is not to wait for the next minute because a busy machine could not say once. */
	if (aftermath->known || answers->n_asked == 0)
		aftermath->n_failed = 0;
	else if (aftermath->n_failed++ < COUNT_AGAIN && aftermath->counted_us)
		count_soon(aftermath, g_get_monotonic_time());
	if (aftermath->compare && aftermath->known) {
		GVariantBuilder evidence;
		guint64 lost = aftermath->before > answers->count ? aftermath->before - answers->count : 0;
		g_variant_builder_init(&evidence, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&evidence, "{sv}", "contacts_before", g_variant_new_uint64(aftermath->before));
		g_variant_builder_add(&evidence, "{sv}", "contacts_after", g_variant_new_uint64(answers->count));
		g_variant_builder_add(&evidence, "{sv}", "contacts_lost", g_variant_new_uint64(lost));
		append(aftermath, &(TimelineAddition){ .evidence = g_variant_builder_end(&evidence) });
		aftermath->compare = false;
	}
	peer_apply(aftermath->supervisor->peer);
}

static bool has_counter(const Settings *settings)
{
	for (guint i = 0; i < settings->applications->len; i++)
		if (((const SettingsApplication *)settings->applications->pdata[i])->count_command)
			return true;
	return false;
}

bool aftermath_contacts(const Aftermath *aftermath, guint64 *ret_contacts)
{
	if (!aftermath->known || aftermath->supervisor->role.role != ROLE_MASTER)
		return false;
	*ret_contacts = aftermath->contacts;
	return true;
}

/* ---- Now and then ---- */

bool aftermath_hurries(const Aftermath *aftermath)
{
	if (aftermath->supervisor->role.role != ROLE_MASTER)
		return false;
	if (aftermath->soon_us)
		return true;
	if (g_get_monotonic_time() - aftermath->begin_us > HURRY_FOR_US)
		return false;
	return aftermath_waits(aftermath) || (aftermath->look_us && aftermath->look_step_us < HURRY_STEP_US);
}

void aftermath_look(Aftermath *aftermath)
{
	Supervisor *supervisor = aftermath->supervisor;
	gint64 now_us = g_get_monotonic_time();
	if (supervisor->role.role != ROLE_MASTER) {
		aftermath->look_us = aftermath->counted_us = aftermath->soon_us = 0;
		aftermath->known = false;
		return;
	}
	if (aftermath_waits(aftermath) && supervisor->drop_lifted_us) {
		aftermath->served_us = aftermath->look_us = supervisor->drop_lifted_us;
		aftermath->look_step_us = G_TIME_SPAN_SECOND / 2;
	}
	if (aftermath->look_us && now_us >= aftermath->look_us)
		look_for_phone(aftermath, now_us);
	if (!has_counter(supervisor->settings)) {
		aftermath->counted_us = aftermath->soon_us = 0;
		aftermath->known = false;
		return;
	}
	if (aftermath->counted_us == 0)
		count_soon(aftermath, now_us);
	if (!aftermath->ask && now_us - aftermath->counted_us >= COUNT_EVERY_US) {
		aftermath->counted_us = now_us;
		aftermath->soon_us = 0;
		aftermath->ask = ask_begin(supervisor->applications, ASK_COUNT, on_counted, aftermath);
	}
}

Aftermath *aftermath_new(Supervisor *supervisor)
{
	Aftermath *aftermath = g_new0(Aftermath, 1);
	aftermath->supervisor = supervisor;
	return aftermath;
}

void aftermath_free(Aftermath *aftermath)
{
	if (!aftermath)
		return;
	ask_free(aftermath->ask);
	g_free(aftermath);
}
