/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/events.c - the raiser's queue. */
#include "supervisor/events.h"

#include <string.h>

#define NOTIFY_PATH "/org/understudy/Notify1"
#define NOTIFY_INTERFACE "org.understudy.Notify1"
#define CALL_MS 5000
#define AGAIN_MS 1000
/* Somebody who thinks up causes faster than they pass gets his events, not our memory. */
#define CAUSES_MAX 1000
/* application, name, priority, description, time in ms, key */
#define LINE_TYPE "(ssysxs)"

struct Events {
	BusLink *link;
	Store *store;
	char *device_id;
	GQueue waiting; /* of GVariant* LINE_TYPE, oldest first */
	BusPending *pending; /* for the oldest */
	guint timer;
	guint64 n_raised;
	GHashTable *causes; /* cause -> gint64*, until when it is not raised again */
};

static void send_oldest(Events *events);

static char *line_of(GVariant *event)
{
	g_autofree char *text = g_variant_print(event, TRUE);
	return g_strconcat(text, "\n", NULL);
}

static void load(Events *events)
{
	g_autofree char *text = store_read(events->store, EVENTS_FILE);
	if (!text)
		return;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		GVariant *event = **line ? g_variant_parse(G_VARIANT_TYPE(LINE_TYPE), *line, NULL, NULL, NULL) : NULL;
		if (event)
			g_queue_push_tail(&events->waiting, event);
	}
}

static void save(Events *events)
{
	if (g_queue_is_empty(&events->waiting)) {
		store_remove(events->store, EVENTS_FILE);
		return;
	}
	g_autoptr(GString) text = g_string_new(NULL);
	for (GList *each = events->waiting.head; each; each = each->next) {
		g_autofree char *line = line_of(each->data);
		g_string_append(text, line);
	}
	store_write(events->store, EVENTS_FILE, text->str);
}

Events *events_new(BusLink *link, Store *store, const char *device_id)
{
	Events *events = g_new0(Events, 1);
	events->link = link;
	events->store = store;
	events->device_id = g_strdup(device_id);
	events->causes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	load(events);
	return events;
}

void events_free(Events *events)
{
	if (!events)
		return;
	bus_pending_cancel(events->pending);
	if (events->timer)
		g_source_remove(events->timer);
	g_queue_clear_full(&events->waiting, (GDestroyNotify)g_variant_unref);
	g_hash_table_destroy(events->causes);
	g_free(events->device_id);
	g_free(events);
}

static gboolean on_again(gpointer user_data)
{
	Events *events = user_data;
	events->timer = 0;
	send_oldest(events);
	return G_SOURCE_REMOVE;
}

static void on_raised(GVariant *values, const GError *error, gpointer user_data)
{
	Events *events = user_data;
	events->pending = NULL;
	if (error && !g_error_matches(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS)) {
		/* Away: the link says when it is back. Anything else is tried again, slowly. */
		if (bus_link_is_up(events->link) && !events->timer)
			events->timer = g_timeout_add(AGAIN_MS, on_again, events);
		return;
	}
	if (error)
		g_warning("an event was refused: %s", error->message);
	g_variant_unref(g_queue_pop_head(&events->waiting));
	save(events);
	send_oldest(events);
}

static void send_oldest(Events *events)
{
	GVariant *event = g_queue_peek_head(&events->waiting);
	if (!event || events->pending || !bus_link_is_up(events->link))
		return;
	const char *application, *name, *description, *key;
	guint8 priority;
	gint64 time_ms;
	g_variant_get(event, "(&s&sy&sx&s)", &application, &name, &priority, &description, &time_ms, &key);
	GVariantBuilder options;
	g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&options, "{sv}", "time_ms", g_variant_new_int64(time_ms));
	g_variant_builder_add(&options, "{sv}", "key", g_variant_new_string(key));
	events->pending = bus_link_call(events->link, NULL, NOTIFY_PATH, NOTIFY_INTERFACE, "Raise",
					g_variant_new("(ssyssa{sv})", application, name, priority, description, "", &options), CALL_MS,
					on_raised, events);
}

void events_flush(Events *events)
{
	if (!events)
		return;
	send_oldest(events);
}

void events_raise(Events *events, const char *application, const char *name, guint8 priority, const char *description)
{
	gint64 now_ms = g_get_real_time() / 1000;
	g_autofree char *clean = g_utf8_make_valid(description, -1);
	g_autofree char *key = g_strdup_printf("%.60s-%" G_GINT64_FORMAT "-%" G_GUINT64_FORMAT, events->device_id, now_ms,
					       ++events->n_raised);
	GVariant *event = g_variant_ref_sink(g_variant_new(LINE_TYPE, application, name, priority, clean, now_ms, key));
	g_message("event %s %s: %s", application, name, clean);
	g_queue_push_tail(&events->waiting, event);
	if (g_queue_get_length(&events->waiting) > EVENTS_MAX && !events->pending) {
		g_variant_unref(g_queue_pop_head(&events->waiting));
		save(events);
	} else {
		g_autofree char *line = line_of(event);
		store_append(events->store, EVENTS_FILE, line);
	}
	send_oldest(events);
}

static gboolean has_passed(gpointer cause, gpointer until_us, gpointer now_us)
{
	return *(gint64 *)until_us <= *(gint64 *)now_us;
}

void events_raise_once(Events *events, const char *cause, guint quiet_s, const char *application, const char *name, guint8 priority,
		       const char *description)
{
	gint64 now_us = g_get_monotonic_time();
	const gint64 *silent_until_us = g_hash_table_lookup(events->causes, cause);
	if (silent_until_us && now_us < *silent_until_us)
		return;
	/* Kept only while it silences something: causes name addresses, paths and reasons, of which there is no end. */
	gint64 *until_us = g_new(gint64, 1);
	*until_us = now_us + quiet_s * G_TIME_SPAN_SECOND;
	g_hash_table_foreach_remove(events->causes, has_passed, &now_us);
	if (g_hash_table_size(events->causes) >= CAUSES_MAX)
		g_hash_table_remove_all(events->causes);
	g_hash_table_insert(events->causes, g_strdup(cause), until_us);
	events_raise(events, application, name, priority, description);
}
