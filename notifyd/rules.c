/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/rules.c - who is told of an event, and when it is counted instead. */
#include "rules.h"

#include <string.h>

#include "catalogue.h"

#define NEVER G_MININT64 /* what is recalled may have happened before the monotonic clock began */
#define WINDOW_US (3600 * G_TIME_SPAN_SECOND)
/* Whoever thinks up things faster than they pass gets his messages without folding, not our memory. */
#define THINGS_MAX 4096

/* What is known of one thing for one target. */
typedef struct {
	char *target, *rule;   /* the target's id; the name of the rule by which it was told last */
	char **to;
	bool is_bad;           /* an event was told, or counted, and no recovery since */
	guint fold_s, flap_s;
	gint64 fold_from_us, fold_until_us; /* until NEVER: no window */
	guint folded;          /* since the window began */
	GArray *changes_us;    /* of gint64, within flap_s, oldest first */
	bool is_flapping;
	gint64 flap_from_us, changed_us;
	guint flapped;         /* changes since it was called flapping */
	bool elsewhere;        /* the other device has told of it */
	NotifyEvent *last;     /* what a digest tells of; NULL: nothing is counted */
} Thing;

/* What one target may still be sent. */
typedef struct {
	gint64 from_us; /* when its hour began; NEVER: it has not */
	guint sent, suppressed;
	char **to;
	NotifyEvent *last; /* of those that were suppressed */
} Budget;

struct NotifyRules {
	Settings *settings;
	GHashTable *things;  /* target LF identity -> Thing* */
	GHashTable *budgets; /* target -> Budget* */
	gint64 next_us;      /* nothing is due before; may be too early */
	gint64 sweep_us;     /* when it is worth while to look for things to forget */
	gint64 recalled_us;  /* the newest that was recalled */
	gint64 started_us;   /* what was due before was told before; NEVER: that is settled */
};

void rules_delivery_free(gpointer data)
{
	RulesDelivery *delivery = data;

	if (!delivery)
		return;
	g_strfreev(delivery->to);
	notify_event_free(delivery->event);
	g_free(delivery);
}

static void thing_free(gpointer data)
{
	Thing *thing = data;

	g_free(thing->target);
	g_free(thing->rule);
	g_strfreev(thing->to);
	g_array_unref(thing->changes_us);
	notify_event_free(thing->last);
	g_free(thing);
}

static void budget_free(gpointer data)
{
	Budget *budget = data;

	g_strfreev(budget->to);
	notify_event_free(budget->last);
	g_free(budget);
}

NotifyRules *rules_new(Settings *settings)
{
	NotifyRules *rules = g_new0(NotifyRules, 1);

	rules->settings = settings_ref(settings);
	rules->things = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, thing_free);
	rules->budgets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, budget_free);
	rules->next_us = G_MAXINT64;
	rules->sweep_us = NEVER;
	rules->recalled_us = NEVER;
	rules->started_us = NEVER;
	return rules;
}

void rules_free(NotifyRules *rules)
{
	if (!rules)
		return;
	settings_unref(rules->settings);
	g_hash_table_unref(rules->things);
	g_hash_table_unref(rules->budgets);
	g_free(rules);
}

static gboolean is_of_no_target(gpointer key, gpointer data, gpointer settings)
{
	return !settings_target(settings, ((Thing *)data)->target);
}

static gboolean is_no_target(gpointer key, gpointer budget, gpointer settings)
{
	return !settings_target(settings, key);
}

void rules_use(NotifyRules *rules, Settings *settings)
{
	settings_ref(settings);
	settings_unref(rules->settings);
	rules->settings = settings;
	g_hash_table_foreach_remove(rules->things, is_of_no_target, settings);
	g_hash_table_foreach_remove(rules->budgets, is_no_target, settings);
}

gint64 rules_next_us(const NotifyRules *rules)
{
	return rules->next_us;
}

static void wake_at(NotifyRules *rules, gint64 at_us)
{
	rules->next_us = MIN(rules->next_us, at_us);
}

/* ---- Which rule ---- */

static bool is_recovery(const NotifyEvent *event, const CatalogueEvent *known)
{
	return event->recovery || (known && known->recovery);
}

/* Events with one identity are about one thing. */
static char *identity_of(const NotifyEvent *event, const CatalogueEvent *known)
{
	const char *about = event->about ? event->about : known ? known->about : NULL;

	if (about)
		return g_strdup_printf("%s\n%s", event->application, about);
	return g_strdup_printf("%s\n%s\n%s", event->application, event->name, *event->reference ? event->reference : event->description);
}

static bool globs_match(char **globs, const char *text)
{
	if (!*globs)
		return true;
	for (; *globs; globs++)
		if (g_pattern_match_simple(*globs, text))
			return true;
	return false;
}

/* That something is well again interests whom the trouble interests, by whatever name that has. */
static bool name_matches(const SettingsRule *rule, const NotifyEvent *event, const CatalogueEvent *known)
{
	gsize n;
	const CatalogueEvent *events = catalogue_events(&n);

	if (globs_match(rule->names, event->name))
		return true;
	for (gsize i = 0; known && known->recovery && rule->recovery && i < n; i++)
		if (g_strcmp0(events[i].about, known->about) == 0 && g_str_equal(events[i].application, known->application) &&
		    globs_match(rule->names, events[i].name))
			return true;
	return false;
}

static bool matches(const SettingsRule *rule, const NotifyEvent *event, const CatalogueEvent *known)
{
	guint8 priority = event->priority;

	if (rule->recovery && known)
		priority = MAX(priority, catalogue_recovered_priority(known));
	return priority >= rule->min_priority && globs_match(rule->applications, event->application) && name_matches(rule, event, known);
}

static bool names_target(const SettingsRule *rule, const SettingsTarget *target)
{
	return g_ptr_array_find(rule->targets, target, NULL);
}

/* The first that names @target; a recovery goes by the one that told of the trouble, if that is there still. */
static const SettingsRule *find_rule(const NotifyRules *rules, const NotifyEvent *event, const CatalogueEvent *known, const SettingsTarget *target,
				     const Thing *thing)
{
	const SettingsRule *first = NULL;

	for (guint i = 0; i < rules->settings->rules->len; i++) {
		const SettingsRule *rule = g_ptr_array_index(rules->settings->rules, i);

		if (!names_target(rule, target))
			continue;
		if (is_recovery(event, known) && thing && thing->is_bad && g_str_equal(thing->rule, rule->name))
			return rule;
		if (!first && matches(rule, event, known))
			first = rule;
	}
	return first;
}

bool rules_shows(const NotifyRules *rules, const NotifyEvent *event, const SettingsTarget *target)
{
	const CatalogueEvent *known = catalogue_find(event->application, event->name);

	if (is_recovery(event, known))
		return false;
	if (rules->settings->rules->len == 0)
		return target->kind == SETTINGS_TARGET_DISPLAY && event->priority >= CATALOGUE_DISPLAYED;
	return find_rule(rules, event, known, target, NULL) != NULL;
}

static char **recipients(const SettingsRule *rule, const SettingsTarget *target)
{
	switch (target->kind) {
	case SETTINGS_TARGET_MAIL:
	case SETTINGS_TARGET_SMS:
		return *rule->to ? settings_recipients(target->kind, (const char *const *)rule->to) : g_strdupv(target->to);
	case SETTINGS_TARGET_SNMP:
		return g_strdupv(target->to);
	case SETTINGS_TARGET_LED:
	case SETTINGS_TARGET_DISPLAY:
	case SETTINGS_N_TARGET_KINDS:
		break;
	}
	return g_new0(char *, 1);
}

/* ---- One message, if the target's limit lets it ---- */

static guint seconds(gint64 from_us, gint64 to_us)
{
	return (guint)(MAX(to_us - from_us, 0) / G_TIME_SPAN_SECOND);
}

static Budget *budget_of(NotifyRules *rules, const SettingsTarget *target)
{
	Budget *budget = g_hash_table_lookup(rules->budgets, target->id);

	if (!budget) {
		budget = g_new0(Budget, 1);
		budget->from_us = NEVER;
		g_hash_table_insert(rules->budgets, g_strdup(target->id), budget);
	}
	return budget;
}

static void deliver(GPtrArray *deliveries, RulesDelivery delivery, char **to, const NotifyEvent *event)
{
	if (!deliveries)
		return;
	delivery.to = g_strdupv(to);
	delivery.event = notify_event_copy(event);
	g_ptr_array_add(deliveries, g_memdup2(&delivery, sizeof delivery));
}

static void end_window(const SettingsTarget *target, Budget *budget, gint64 now_us, GPtrArray *deliveries)
{
	RulesDelivery delivery = { .kind = RULES_SUPPRESSED, .target = target, .n = budget->suppressed, .span_s = seconds(budget->from_us, now_us) };

	budget->from_us = NEVER;
	budget->sent = 0;
	if (!budget->suppressed)
		return;
	budget->suppressed = 0;
	if (deliveries) { /* this message is the first of the next hour */
		budget->from_us = now_us;
		budget->sent = 1;
	}
	deliver(deliveries, delivery, budget->to, budget->last);
	g_clear_pointer(&budget->to, g_strfreev);
	g_clear_pointer(&budget->last, notify_event_free);
}

static bool is_ours(const NotifyRules *rules, const NotifyEvent *event)
{
	return g_str_equal(event->device, rules->settings->id);
}

static void tell(NotifyRules *rules, RulesDelivery delivery, char **to, const NotifyEvent *event, gint64 now_us, GPtrArray *deliveries)
{
	Budget *budget;
	/* A flood of small things does not use up what an alarm needs. */
	guint limit = delivery.target->per_hour - (event->priority < 3 ? delivery.target->per_hour / 5 : 0);

	/* Each device counts what it sends itself. */
	if (!deliveries && !is_ours(rules, event))
		return;
	if (delivery.elsewhere) {
		deliver(deliveries, delivery, to, event);
		return;
	}
	budget = budget_of(rules, delivery.target);
	if (budget->from_us != NEVER && now_us >= budget->from_us + WINDOW_US)
		end_window(delivery.target, budget, now_us, deliveries);
	if (budget->from_us == NEVER) {
		budget->from_us = now_us;
		budget->sent = 0;
	}
	if (budget->sent >= limit) {
		budget->suppressed++;
		notify_event_free(budget->last);
		budget->last = notify_event_copy(event);
		g_strfreev(budget->to);
		budget->to = g_strdupv(to);
		wake_at(rules, budget->from_us + WINDOW_US);
		return;
	}
	if (++budget->sent == limit)
		delivery.silent_s = seconds(now_us, budget->from_us + WINDOW_US);
	deliver(deliveries, delivery, to, event);
}

/* ---- Things ---- */

static bool waits(const Thing *thing, gint64 now_us)
{
	return thing->is_flapping || thing->folded || now_us < thing->fold_until_us ||
	       (thing->changes_us->len &&
		now_us - g_array_index(thing->changes_us, gint64, thing->changes_us->len - 1) < thing->flap_s * G_TIME_SPAN_SECOND);
}

static gboolean is_idle(gpointer key, gpointer thing, gpointer now_us)
{
	return !((Thing *)thing)->is_bad && !waits(thing, *(gint64 *)now_us);
}

static gboolean is_not_waiting(gpointer key, gpointer thing, gpointer now_us)
{
	return !waits(thing, *(gint64 *)now_us);
}

/* NULL: there are too many. */
static Thing *thing_new(NotifyRules *rules, const char *key, const SettingsTarget *target, gint64 now_us)
{
	Thing *thing;

	/* Looking through all of them finds nothing new so soon. */
	if (g_hash_table_size(rules->things) >= THINGS_MAX && now_us >= rules->sweep_us) {
		rules->sweep_us = now_us + G_TIME_SPAN_SECOND;
		g_hash_table_foreach_remove(rules->things, is_idle, &now_us);
		if (g_hash_table_size(rules->things) >= THINGS_MAX)
			g_hash_table_foreach_remove(rules->things, is_not_waiting, &now_us);
	}
	if (g_hash_table_size(rules->things) >= THINGS_MAX)
		return NULL;
	thing = g_new0(Thing, 1);
	thing->target = g_strdup(target->id);
	thing->fold_until_us = NEVER;
	thing->rule = g_strdup("");
	thing->to = g_new0(char *, 1);
	thing->changes_us = g_array_new(FALSE, FALSE, sizeof(gint64));
	g_hash_table_insert(rules->things, g_strdup(key), thing);
	return thing;
}

static void count(Thing *thing, const NotifyEvent *event)
{
	notify_event_free(thing->last);
	thing->last = notify_event_copy(event);
}

static void end_fold(Thing *thing)
{
	thing->fold_until_us = NEVER;
	thing->folded = 0;
}

/* Whether this change is counted, or told as flapping. */
static bool flaps(NotifyRules *rules, Thing *thing, const SettingsRule *rule, const SettingsTarget *target, const NotifyEvent *event, gint64 now_us,
		  GPtrArray *deliveries)
{
	guint old = 0, flap_changes = target->kind == SETTINGS_TARGET_SNMP && !rule->flap_traps ? 0 : rule->flap_changes;

	thing->flap_s = flap_changes ? rule->flap_s : 0;
	thing->changed_us = now_us;
	if (thing->is_flapping) {
		thing->flapped++;
		count(thing, event);
		return true;
	}
	if (!flap_changes) {
		g_array_set_size(thing->changes_us, 0);
		return false;
	}
	while (old < thing->changes_us->len && now_us - g_array_index(thing->changes_us, gint64, old) > rule->flap_s * G_TIME_SPAN_SECOND)
		old++;
	g_array_remove_range(thing->changes_us, 0, old);
	g_array_append_val(thing->changes_us, now_us);
	if (thing->changes_us->len < flap_changes)
		return false;
	RulesDelivery delivery = { .kind = RULES_FLAPPING, .target = target, .n = thing->changes_us->len,
				   .span_s = seconds(g_array_index(thing->changes_us, gint64, 0), now_us) };
	thing->is_flapping = true;
	thing->flap_from_us = now_us;
	thing->flapped = 0;
	g_array_set_size(thing->changes_us, 0);
	end_fold(thing);
	count(thing, event);
	tell(rules, delivery, thing->to, event, now_us, deliveries);
	wake_at(rules, now_us + rule->flap_s * G_TIME_SPAN_SECOND);
	return true;
}

static void handle(NotifyRules *rules, const SettingsRule *rule, const SettingsTarget *target, Thing *thing, const NotifyEvent *event,
		   bool recovery, gint64 now_us, GPtrArray *deliveries)
{
	RulesDelivery delivery = { .kind = recovery ? RULES_RECOVERY : RULES_EVENT, .target = target };
	guint fold_s = target->kind == SETTINGS_TARGET_SNMP && !rule->fold_traps ? 0 : rule->fold_s;

	thing->is_bad = !recovery;
	thing->elsewhere = !is_ours(rules, event);
	g_free(thing->rule);
	thing->rule = g_strdup(rule->name);
	g_strfreev(thing->to);
	thing->to = recipients(rule, target);
	if (flaps(rules, thing, rule, target, event, now_us, deliveries))
		return;
	if (recovery) {
		/* What was counted is over with it. */
		delivery.n = thing->folded;
		end_fold(thing);
	} else if (now_us < thing->fold_until_us) {
		thing->folded++;
		count(thing, event);
		wake_at(rules, thing->fold_until_us);
		return;
	} else if (fold_s) {
		thing->fold_s = fold_s;
		thing->fold_from_us = now_us;
		thing->fold_until_us = now_us + fold_s * G_TIME_SPAN_SECOND;
	}
	tell(rules, delivery, thing->to, event, now_us, deliveries);
}

static void handle_target(NotifyRules *rules, const SettingsTarget *target, const NotifyEvent *event, const CatalogueEvent *known,
			  const char *identity, gint64 now_us, GPtrArray *deliveries)
{
	g_autofree char *key = g_strdup_printf("%s\n%s", target->id, identity);
	Thing *thing = g_hash_table_lookup(rules->things, key);
	const SettingsRule *rule = find_rule(rules, event, known, target, thing);
	bool recovery = is_recovery(event, known), is_news = !thing || thing->is_bad;

	if (!rule)
		return;
	if (recovery && (!rule->recovery || !is_news)) {
		/* Not told, but what a digest says last must be how it is. */
		if (thing && thing->is_bad && thing->is_flapping)
			(void)flaps(rules, thing, rule, target, event, now_us, deliveries);
		if (thing)
			thing->is_bad = false;
		return;
	}
	if (!thing)
		thing = thing_new(rules, key, target, now_us);
	if (thing) {
		handle(rules, rule, target, thing, event, recovery, now_us, deliveries);
	} else {
		g_auto(GStrv) to = recipients(rule, target);

		tell(rules, (RulesDelivery){ .kind = recovery ? RULES_RECOVERY : RULES_EVENT, .target = target }, to, event, now_us, deliveries);
	}
}

void rules_event(NotifyRules *rules, const NotifyEvent *event, gint64 now_us, GPtrArray *deliveries)
{
	const CatalogueEvent *known = catalogue_find(event->application, event->name);
	g_autofree char *identity = NULL;

	rules_tick(rules, now_us, deliveries);
	if (rules->settings->rules->len == 0)
		return;
	identity = identity_of(event, known);
	for (guint i = 0; i < rules->settings->targets->len; i++) {
		const SettingsTarget *target = g_ptr_array_index(rules->settings->targets, i);

		if (target->kind <= SETTINGS_TARGET_SNMP)
			handle_target(rules, target, event, known, identity, now_us, deliveries);
	}
}

void rules_recall(NotifyRules *rules, const NotifyEvent *event, gint64 now_ms, gint64 now_us)
{
	gint64 age_us = MAX(now_ms - event->time_ms, 0) * G_TIME_SPAN_MILLISECOND;

	/* The clock on the wall may have been set between two events. */
	rules->recalled_us = MAX(rules->recalled_us, now_us - age_us);
	rules->started_us = now_us;
	rules_event(rules, event, rules->recalled_us, NULL);
}

/* ---- Time ---- */

static void tick_thing(NotifyRules *rules, const SettingsTarget *target, Thing *thing, gint64 now_us, GPtrArray *deliveries)
{
	RulesDelivery delivery = { .target = target, .elsewhere = thing->elsewhere };

	if (thing->is_flapping && now_us - thing->changed_us >= thing->flap_s * G_TIME_SPAN_SECOND) {
		delivery.kind = RULES_STEADY;
		delivery.n = thing->flapped;
		delivery.span_s = seconds(thing->flap_from_us, thing->changed_us);
		thing->is_flapping = false;
		tell(rules, delivery, thing->to, thing->last, now_us, deliveries);
	} else if (thing->folded && now_us >= thing->fold_until_us) {
		delivery.kind = RULES_FOLDED;
		delivery.n = thing->folded;
		delivery.span_s = seconds(thing->fold_from_us, now_us);
		thing->folded = 0;
		thing->fold_from_us = now_us;
		thing->fold_until_us = now_us + thing->fold_s * G_TIME_SPAN_SECOND;
		tell(rules, delivery, thing->to, thing->last, now_us, deliveries);
	}
	if (!thing->is_flapping && !thing->folded)
		g_clear_pointer(&thing->last, notify_event_free);
	if (thing->is_flapping)
		wake_at(rules, thing->changed_us + thing->flap_s * G_TIME_SPAN_SECOND);
	else if (thing->folded)
		wake_at(rules, thing->fold_until_us);
}

void rules_tick(NotifyRules *rules, gint64 now_us, GPtrArray *deliveries)
{
	GHashTableIter iter;
	gpointer key, value;

	if (deliveries && rules->started_us != NEVER) {
		gint64 started_us = rules->started_us;

		rules->started_us = NEVER;
		rules_tick(rules, started_us, NULL);
	}
	if (now_us < rules->next_us)
		return;
	rules->next_us = G_MAXINT64;
	g_hash_table_iter_init(&iter, rules->budgets);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		Budget *budget = value;

		if (budget->from_us != NEVER && now_us >= budget->from_us + WINDOW_US)
			end_window(settings_target(rules->settings, key), budget, now_us, deliveries);
		else if (budget->suppressed)
			wake_at(rules, budget->from_us + WINDOW_US);
	}
	g_hash_table_iter_init(&iter, rules->things);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		Thing *thing = value;

		tick_thing(rules, settings_target(rules->settings, thing->target), thing, now_us, deliveries);
	}
}
