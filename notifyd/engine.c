/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/engine.c - what is raised, rules, rows. */
#include "engine-private.h"

#include <string.h>

#include "catalogue.h"
#include "job.h"

/* Raised, and on its way to the disk. */
typedef struct {
	NotifyOrder order;
	NotifyEngine *engine;
	NotifyNew new;
	GArray *raisers; /* of Raiser: more than one when its key was raised again meanwhile */
} Raise;

typedef struct {
	NotifyRaised done;
	gpointer user_data;
} Raiser;

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

/* ---- Rules ---- */

static gboolean on_tick(gpointer user_data);

static void set_tick(NotifyEngine *engine)
{
	gint64 next_us = rules_next_us(engine->rules);

	if (engine->tick && next_us == engine->tick_us)
		return;
	g_clear_handle_id(&engine->tick, g_source_remove);
	engine->tick_us = next_us;
	if (next_us != G_MAXINT64)
		engine->tick = g_timeout_add((guint)CLAMP((next_us - g_get_monotonic_time()) / 1000 + 1, 1, 3600000), on_tick, engine);
}

/* Events about a target's own failure are told to every other one. */
static bool is_about_delivery(const NotifyEvent *event)
{
	return g_str_equal(event->application, NOTIFY_APPLICATION) && g_str_has_prefix(event->name, "delivery ");
}

static GPtrArray *rows_of(NotifyEngine *engine, GPtrArray *deliveries)
{
	GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);

	for (guint i = 0; i < deliveries->len; i++) {
		RulesDelivery *delivery = deliveries->pdata[i];
		bool about = is_about_delivery(delivery->event);

		if (about && g_str_equal(delivery->event->reference, delivery->target->id))
			continue;
		if (delivery->elsewhere && !outbox_takes_over(&engine->place))
			continue;
		g_autofree char *subject = rules_subject(delivery, engine->settings->name);
		g_autofree char *body = rules_body(delivery, engine->settings->name);
		g_autofree char *text = notify_job_text(delivery->event, subject, body, delivery->kind == RULES_RECOVERY, now_ms());
		OutboxRow *row = outbox_row_new(delivery->target->id, (const char *const *)delivery->to, text, engine->settings->id, now_ms());

		row->about = about;
		g_ptr_array_add(rows, row);
	}
	return rows;
}

/* What is told because time has passed. */
typedef struct {
	NotifyOrder order;
	NotifyEngine *engine;
	GPtrArray *rows;
} Digest;

static bool digest_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	return notify_store_add_rows(store, ((Digest *)order)->rows, error);
}

static void digest_done(NotifyOrder *order, const GError *error)
{
	Digest *digest = (Digest *)order;

	if (error)
		g_warning("%s", error->message);
	else
		digest->engine->has_rows = true;
	g_ptr_array_unref(digest->rows);
	g_free(digest);
}

static gboolean on_tick(gpointer user_data)
{
	NotifyEngine *engine = user_data;
	g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free), rows = NULL;

	engine->tick = 0;
	rules_tick(engine->rules, g_get_monotonic_time(), deliveries);
	rows = rows_of(engine, deliveries);
	if (rows->len > 0) {
		Digest *digest = g_new0(Digest, 1);

		*digest = (Digest){ { .work = digest_work, .done = digest_done }, engine, g_steal_pointer(&rows) };
		notify_writer_order(engine->writer, &digest->order);
	}
	set_tick(engine);
	return G_SOURCE_REMOVE;
}

/* ---- What is raised ---- */

static void raise_free(Raise *raise)
{
	notify_event_free(raise->new.event);
	g_clear_pointer(&raise->new.rows, g_ptr_array_unref);
	g_array_unref(raise->raisers);
	g_free(raise);
}

static void answer(Raise *raise, const GError *error)
{
	for (guint i = 0; i < raise->raisers->len; i++) {
		const Raiser *raiser = &g_array_index(raise->raisers, Raiser, i);

		if (raiser->done)
			raiser->done(error ? 0 : raise->new.ret_id, error, raiser->user_data);
		else if (error)
			g_warning("an event of our own was not stored: %s", error->message);
	}
}

static bool raise_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	return notify_store_add_all(store, &((Raise *)order)->new, 1, error);
}

static void raise_done(NotifyOrder *order, const GError *error)
{
	Raise *raise = (Raise *)order;
	NotifyEngine *engine = raise->engine;
	NotifyEvent *event = raise->new.event;
	bool added = !error && raise->new.ret_added;

	if (event->key)
		(void)g_hash_table_remove(engine->raised, event->key);
	if (raise->new.rows && raise->new.rows->len > 0)
		notify_dispatch_stored(engine->dispatch, raise->new.rows, added);
	if (added) {
		event->id = raise->new.ret_id;
		engine->has_events = true;
		engine->has_rows |= raise->new.rows && raise->new.rows->len > 0;
		if (engine->events.counts)
			engine->events.counts(engine->events.user_data);
		notify_engine_light(engine, event);
		if (engine->events.raised)
			engine->events.raised(event, engine->events.user_data);
	}
	answer(raise, error);
	raise_free(raise);
}

/* Once for all that were answered together. */
static void on_told(gpointer user_data)
{
	NotifyEngine *engine = user_data;
	bool rows = engine->has_rows;

	if (!engine->has_events && !rows)
		return;
	engine->has_events = engine->has_rows = false;
	if (rows)
		notify_dispatch_look(engine->dispatch);
	notify_engine_news(engine);
}

static Raise *raise_new(NotifyEngine *engine, NotifyEvent *event, NotifyRaised done, gpointer user_data)
{
	Raise *raise = g_new0(Raise, 1);
	Raiser raiser = { done, user_data };

	*raise = (Raise){ { .work = raise_work, .done = raise_done }, engine, { .event = event }, g_array_new(FALSE, FALSE, sizeof(Raiser)) };
	g_array_append_val(raise->raisers, raiser);
	return raise;
}

void notify_engine_raise(NotifyEngine *engine, NotifyEvent *event, NotifyRaised done, gpointer user_data)
{
	Raise *before = event->key ? g_hash_table_lookup(engine->raised, event->key) : NULL;
	g_autoptr(GError) error = NULL;
	guint64 known = 0;
	Raise *raise;

	if (before) { /* the same, said again before it could be answered */
		g_array_append_val(before->raisers, ((Raiser){ done, user_data }));
		notify_event_free(event);
		return;
	}
	raise = raise_new(engine, event, done, user_data);
	/* A repeated key is told to nobody, so that is asked first. */
	if (event->key && (!notify_store_find_key(engine->store, event->key, &known, &error) || known)) {
		raise->new.ret_id = known;
		answer(raise, error);
		raise_free(raise);
		return;
	}
	g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);

	rules_event(engine->rules, event, g_get_monotonic_time(), deliveries);
	event->shown = rules_shows(engine->rules, event, engine->display);
	raise->new.rows = rows_of(engine, deliveries);
	notify_dispatch_begin(engine->dispatch, raise->new.rows);
	if (event->key)
		g_hash_table_insert(engine->raised, event->key, raise);
	notify_writer_order(engine->writer, &raise->order);
	set_tick(engine);
}

void notify_engine_show(NotifyEngine *engine, const char *name, const char *description, NotifyRaised done, gpointer user_data)
{
	const CatalogueEvent *known = catalogue_find(NOTIFY_APPLICATION, name);
	NotifyEvent *event = notify_event_new(NOTIFY_APPLICATION, name, known->priorities[0], description, "", engine->settings->id, now_ms());
	Raise *raise = raise_new(engine, event, done, user_data);

	event->shown = true;
	notify_writer_order(engine->writer, &raise->order);
}

void notify_engine_finish(NotifyEngine *engine)
{
	notify_writer_finish(engine->writer);
}

void notify_engine_note(NotifyEngine *engine, const char *name, guint8 priority, const char *description, const char *reference)
{
	g_autofree char *clean = g_utf8_make_valid(description, -1);
	NotifyEvent *event = notify_event_new(NOTIFY_APPLICATION, name, priority, clean, reference, engine->settings->id, now_ms());
	g_autoptr(GError) error = NULL;

	g_message("%s: %s", name, clean);
	if (!notify_event_check(event, &error)) {
		g_warning("%s", error->message);
		notify_event_free(event);
		return;
	}
	notify_engine_raise(engine, event, NULL, NULL);
}

static void on_tell(const char *target, const char *name, guint8 priority, const char *description, gpointer user_data)
{
	notify_engine_note(user_data, name, priority, description, target);
}

/* ---- LEDs ---- */

void notify_engine_light(NotifyEngine *engine, const NotifyEvent *event)
{
	for (guint i = 0; !event->read && i < engine->settings->targets->len; i++) {
		const SettingsTarget *target = engine->settings->targets->pdata[i];

		if (target->kind == SETTINGS_TARGET_LED && rules_shows(engine->rules, event, target))
			leds_light(engine->leds, target, event->id, event->priority);
	}
}

/* Of more than so many unread ones the oldest do not count. */
static void light_unread(NotifyEngine *engine)
{
	g_auto(NotifyFilter) filter = { .count = RECALL, .before = G_MAXUINT64, .status = NOTIFY_STATUS_NEW, .acknowledged = -1, .since_ms = G_MININT64 };
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) events = NULL;
	bool any = false;

	for (guint i = 0; i < engine->settings->targets->len; i++)
		any |= ((const SettingsTarget *)engine->settings->targets->pdata[i])->kind == SETTINGS_TARGET_LED;
	if (any)
		events = notify_store_list(engine->store, &filter, &error);
	for (guint i = 0; events && i < events->len; i++)
		notify_engine_light(engine, events->pdata[i]);
}

/* ---- Settings ---- */

static void configure(NotifyEngine *engine)
{
	const Settings *settings = engine->settings;
	GPtrArray *targets = g_ptr_array_new_with_free_func((GDestroyNotify)notify_target_free);

	engine->display = settings_target(settings, "display");
	for (guint i = 0; i < settings->targets->len; i++) {
		const SettingsTarget *each = settings->targets->pdata[i];

		switch (each->kind) {
		case SETTINGS_TARGET_MAIL:
		case SETTINGS_TARGET_SMS:
		case SETTINGS_TARGET_SNMP:
			g_ptr_array_add(targets, notify_target_new(each->id, (const char *const *)each->to, (const char *const *)each->keys));
			break;
		case SETTINGS_TARGET_LED:
		case SETTINGS_TARGET_DISPLAY:
		case SETTINGS_N_TARGET_KINDS:
			break;
		}
	}
	notify_writer_keep(engine->writer, settings->events_keep, settings->events_keep_days);
	notify_dispatch_configure(engine->dispatch, targets);
	leds_gone(engine->leds, G_MAXUINT64); /* other rules may show others */
	leds_use(engine->leds, engine->settings);
	light_unread(engine);
}

/* What had happened before we started, so that the rules go on where they were. */
static void recall(NotifyEngine *engine)
{
	g_auto(NotifyFilter) filter = { .count = RECALL, .before = G_MAXUINT64, .acknowledged = -1, .since_ms = now_ms() - RECALL_MS };
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) events = notify_store_list(engine->store, &filter, &error);

	for (guint i = events ? events->len : 0; i > 0; i--)
		rules_recall(engine->rules, events->pdata[i - 1], now_ms(), g_get_monotonic_time());
}

bool notify_engine_reload(NotifyEngine *engine, GError **error)
{
	Settings *settings = settings_load(engine->folder, error);
	Settings *before = engine->settings;

	if (!settings)
		return false;
	engine->settings = settings;
	rules_use(engine->rules, settings);
	configure(engine);
	settings_unref(before);
	set_tick(engine);
	return true;
}

static void on_note(const NotifyEvent *event, gpointer user_data)
{
	NotifyEngine *engine = user_data;

	if (engine->events.counts)
		engine->events.counts(engine->events.user_data);
	notify_engine_light(engine, event);
	if (engine->events.raised)
		engine->events.raised(event, engine->events.user_data);
}

static void on_rows(gpointer user_data)
{
	notify_engine_news(user_data);
	notify_engine_hand_over(user_data);
}

NotifyEngine *notify_engine_new(NotifyWriter *writer, Settings *settings, const NotifyEnginePlan *plan)
{
	NotifyEngine *engine = g_new0(NotifyEngine, 1);
	NotifyDispatchPlan dispatch = { plan->programs, plan->secrets, plan->deadline_ms, on_tell, on_rows, engine };

	engine->writer = writer;
	engine->store = notify_writer_reader(writer);
	engine->settings = settings;
	engine->folder = g_strdup(plan->settings_folder);
	engine->raised = g_hash_table_new(g_str_hash, g_str_equal);
	engine->rules = rules_new(settings);
	engine->dispatch = notify_dispatch_new(writer, settings->id, &dispatch);
	engine->leds = leds_new(plan->leds, plan->leds_state);
	notify_writer_watch(writer, on_note, on_told, engine);
	recall(engine);
	configure(engine);
	set_tick(engine);
	notify_engine_begin_place(engine);
	return engine;
}

void notify_engine_free(NotifyEngine *engine)
{
	if (!engine)
		return;
	notify_writer_finish(engine->writer);
	notify_writer_watch(engine->writer, NULL, NULL, NULL);
	notify_engine_end_place(engine);
	g_clear_handle_id(&engine->tick, g_source_remove);
	notify_dispatch_free(engine->dispatch);
	rules_free(engine->rules);
	leds_free(engine->leds);
	settings_unref(engine->settings);
	g_hash_table_unref(engine->raised);
	g_free(engine->folder);
	g_free(engine);
}

void notify_engine_watch(NotifyEngine *engine, const NotifyEngineEvents *events)
{
	engine->events = events ? *events : (NotifyEngineEvents){ 0 };
}

const char *notify_engine_device(const NotifyEngine *engine)
{
	return engine->settings->id;
}

NotifyDispatch *notify_engine_dispatch(NotifyEngine *engine)
{
	return engine->dispatch;
}

Leds *notify_engine_leds(NotifyEngine *engine)
{
	return engine->leds;
}

const Settings *notify_engine_settings(const NotifyEngine *engine)
{
	return engine->settings;
}

void notify_engine_marked(NotifyEngine *engine, const GArray *read)
{
	notify_engine_news(engine);
	if (read->len == 0)
		return;
	leds_read(engine->leds, (const guint64 *)(gconstpointer)read->data, read->len);
	/* Those that went unread, because there were too many, blink no longer than the others. */
	if (notify_store_unread(engine->store) == 0)
		leds_gone(engine->leds, G_MAXUINT64);
	if (engine->events.counts)
		engine->events.counts(engine->events.user_data);
}
