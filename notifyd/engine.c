/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/engine.c - batches, rules, rows. */
#include "engine-private.h"

#include <string.h>

#include "job.h"

#define BATCH_MAX     32 /* so many events in one transaction: what else is asked meanwhile waits for it */
#define BATCH_WAIT_MS 2

typedef struct {
	NotifyEvent *event;
	NotifyRaised done;
	gpointer user_data;
} Waiting;

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

/* ---- Rules ---- */

static gboolean on_tick(gpointer user_data);

static void set_tick(NotifyEngine *engine)
{
	gint64 next_us = rules_next_us(engine->rules);

	g_clear_handle_id(&engine->tick, g_source_remove);
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

static gboolean on_tick(gpointer user_data)
{
	NotifyEngine *engine = user_data;
	g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free), rows = NULL;
	g_autoptr(GError) error = NULL;

	engine->tick = 0;
	rules_tick(engine->rules, g_get_monotonic_time(), deliveries);
	rows = rows_of(engine, deliveries);
	if (rows->len > 0 && !notify_store_add_rows(engine->store, rows, &error))
		g_warning("%s", error->message);
	set_tick(engine);
	notify_dispatch_look(engine->dispatch);
	notify_engine_news(engine);
	return G_SOURCE_REMOVE;
}

/* ---- Batches ---- */

static void waiting_free(gpointer data)
{
	Waiting *waiting = data;

	notify_event_free(waiting->event);
	g_free(waiting);
}

/* A repeated key is told to nobody, so that is asked first. */
static bool prepare(NotifyEngine *engine, Waiting *waiting, NotifyNew *ret_new, GError **error)
{
	NotifyEvent *event = waiting->event;
	guint64 known = 0;

	ret_new->event = event;
	if (event->key && !notify_store_find_key(engine->store, event->key, &known, error))
		return false;
	if (known == 0) {
		g_autoptr(GPtrArray) deliveries = g_ptr_array_new_with_free_func(rules_delivery_free);

		rules_event(engine->rules, event, g_get_monotonic_time(), deliveries);
		event->shown = rules_shows(engine->rules, event, engine->display);
		ret_new->rows = rows_of(engine, deliveries);
	}
	return true;
}

static void answer(NotifyEngine *engine, GPtrArray *batch, NotifyNew *news, const GError *error)
{
	bool added = false;

	for (guint i = 0; !error && i < batch->len; i++)
		added |= news[i].ret_added;
	if (added && engine->events.counts)
		engine->events.counts(engine->events.user_data);
	for (guint i = 0; i < batch->len; i++) {
		Waiting *waiting = batch->pdata[i];

		if (!error)
			waiting->event->id = news[i].ret_id;
		if (!error && news[i].ret_added)
			notify_engine_light(engine, waiting->event);
		if (!error && news[i].ret_added && engine->events.raised)
			engine->events.raised(waiting->event, engine->events.user_data);
		if (waiting->done)
			waiting->done(error ? 0 : news[i].ret_id, error, waiting->user_data);
		else if (error)
			g_warning("an event of our own was not stored: %s", error->message);
	}
	if (added) {
		notify_dispatch_look(engine->dispatch);
		notify_engine_news(engine);
	}
}

void notify_engine_flush(NotifyEngine *engine)
{
	g_autoptr(GPtrArray) batch = g_steal_pointer(&engine->waiting);
	g_autofree NotifyNew *news = g_new0(NotifyNew, MAX(batch->len, 1));
	g_autoptr(GError) error = NULL;
	bool good = true;

	engine->waiting = g_ptr_array_new_with_free_func(waiting_free);
	g_clear_handle_id(&engine->idle, g_source_remove);
	g_clear_handle_id(&engine->late, g_source_remove);
	if (batch->len == 0)
		return;
	for (guint i = 0; good && i < batch->len; i++)
		good = prepare(engine, batch->pdata[i], &news[i], &error);
	if (good)
		good = notify_store_add_all(engine->store, news, batch->len, &error);
	answer(engine, batch, news, good ? NULL : error);
	for (guint i = 0; i < batch->len; i++)
		g_clear_pointer(&news[i].rows, g_ptr_array_unref);
	set_tick(engine);
}

static gboolean on_idle(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	engine->idle = 0;
	notify_engine_flush(engine);
	return G_SOURCE_REMOVE;
}

static gboolean on_late(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	engine->late = 0;
	notify_engine_flush(engine);
	return G_SOURCE_REMOVE;
}

/* All that has come when the loop has nothing else to do goes into one transaction; under a flood, all of two milliseconds. */
void notify_engine_raise(NotifyEngine *engine, NotifyEvent *event, NotifyRaised done, gpointer user_data)
{
	Waiting *waiting = g_new0(Waiting, 1);

	*waiting = (Waiting){ event, done, user_data };
	g_ptr_array_add(engine->waiting, waiting);
	if (engine->waiting->len >= BATCH_MAX) {
		notify_engine_flush(engine);
		return;
	}
	if (!engine->idle)
		engine->idle = g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, on_idle, engine, NULL);
	if (!engine->late)
		engine->late = g_timeout_add(BATCH_WAIT_MS, on_late, engine);
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
	notify_store_keep(engine->store, settings->events_keep, settings->events_keep_days);
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
	notify_engine_flush(engine);
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
}

NotifyEngine *notify_engine_new(NotifyStore *store, Settings *settings, const NotifyEnginePlan *plan)
{
	NotifyEngine *engine = g_new0(NotifyEngine, 1);
	NotifyDispatchPlan dispatch = { plan->programs, plan->secrets, plan->deadline_ms, on_tell, on_rows, engine };

	engine->store = store;
	engine->settings = settings;
	engine->folder = g_strdup(plan->settings_folder);
	engine->waiting = g_ptr_array_new_with_free_func(waiting_free);
	engine->rules = rules_new(settings);
	engine->dispatch = notify_dispatch_new(store, settings->id, &dispatch);
	engine->leds = leds_new(plan->leds, plan->leds_state);
	notify_store_on_note(store, on_note, engine);
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
	notify_engine_flush(engine);
	notify_store_on_note(engine->store, NULL, NULL);
	notify_engine_end_place(engine);
	g_clear_handle_id(&engine->tick, g_source_remove);
	notify_dispatch_free(engine->dispatch);
	rules_free(engine->rules);
	leds_free(engine->leds);
	settings_unref(engine->settings);
	g_ptr_array_unref(engine->waiting);
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
