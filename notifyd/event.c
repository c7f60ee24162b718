/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/event.c - events and filters: checked at the border, so that the store and every reader may trust them. */
#include "event.h"

#include <string.h>

G_DEFINE_QUARK(understudy - notify - error, notify_error)

NotifyEvent *notify_event_new(const char *application, const char *name, guint8 priority, const char *description,
			      const char *reference, const char *device, gint64 time_ms)
{
	NotifyEvent *event = g_new0(NotifyEvent, 1);

	event->application = g_strdup(application);
	event->name = g_strdup(name);
	event->priority = priority;
	event->description = g_strdup(description);
	event->reference = g_strdup(reference);
	event->device = g_strdup(device);
	event->time_ms = time_ms;
	return event;
}

void notify_event_free(NotifyEvent *event)
{
	if (!event)
		return;
	g_free(event->application);
	g_free(event->name);
	g_free(event->description);
	g_free(event->reference);
	g_free(event->device);
	g_free(event->key);
	g_free(event->about);
	g_free(event->ack_by);
	g_free(event);
}

NotifyEvent *notify_event_copy(const NotifyEvent *event)
{
	NotifyEvent *copy = g_new(NotifyEvent, 1);

	*copy = *event;
	copy->application = g_strdup(event->application);
	copy->name = g_strdup(event->name);
	copy->description = g_strdup(event->description);
	copy->reference = g_strdup(event->reference);
	copy->device = g_strdup(event->device);
	copy->key = g_strdup(event->key);
	copy->about = g_strdup(event->about);
	copy->ack_by = g_strdup(event->ack_by);
	return copy;
}

static bool invalid(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool invalid(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(NOTIFY_ERROR, NOTIFY_ERROR_INVALID, format, args);
	va_end(args);
	return false;
}

/*
 * Texts end on terminals, in mails and in SMS: control characters never get in. A name is one printable line; a longer text may have
 * line breaks and tabs, and format characters, which some scripts are not readable without, except those that reverse what is shown.
 */
static bool reverses(gunichar c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static bool check_text(const char *field, const char *text, glong min_chars, glong max_chars, bool one_line,
		       GError **error)
{
	glong chars = 0;

	if (!g_utf8_validate(text, -1, NULL))
		return invalid(error, "%s: not UTF-8", field);
	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (++chars > max_chars)
			return invalid(error, "%s: longer than %ld characters", field, max_chars);
		if (one_line ? !g_unichar_isprint(c) : reverses(c) || (g_unichar_iscntrl(c) && c != '\n' && c != '\t'))
			return invalid(error, "%s: character %ld (U+%04X) is not printable", field, chars, c);
	}
	if (chars < min_chars)
		return invalid(error, "%s: empty", field);
	return true;
}

bool notify_event_check(const NotifyEvent *event, GError **error)
{
	if (!check_text("application", event->application, 1, NOTIFY_NAME_CHARS, true, error) ||
	    !check_text("name", event->name, 1, NOTIFY_NAME_CHARS, true, error) ||
	    !check_text("description", event->description, 0, NOTIFY_DESCRIPTION_CHARS, false, error) ||
	    !check_text("reference", event->reference, 0, NOTIFY_REFERENCE_CHARS, true, error))
		return false;
	if (event->priority < 1 || event->priority > 3)
		return invalid(error, "priority: %u; it is 1 (lowest), 2 or 3", event->priority);
	if (event->time_ms < 0)
		return invalid(error, "time_ms: %" G_GINT64_FORMAT " is before 1970", event->time_ms);
	if (event->about && !check_text("about", event->about, 1, NOTIFY_ABOUT_CHARS, true, error))
		return false;
	if (event->key && (!*event->key || strlen(event->key) > NOTIFY_KEY_BYTES))
		return invalid(error, "key: %zu bytes; it has 1 to %d", strlen(event->key), NOTIFY_KEY_BYTES);
	return true;
}

/* One entry of an a{sv} has the type the contract says. */
static bool typed(const char *what, const char *key, GVariant *value, const char *type, GError **error)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE(type)))
		return true;
	return invalid(error, "%s %s: of type %s, not %s", what, key, g_variant_get_type_string(value), type);
}

bool notify_event_apply_options(NotifyEvent *event, GVariant *options, GError **error)
{
	GVariantIter iter;
	const char *key;
	GVariant *each;

	g_variant_iter_init(&iter, options);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &each)) {
		g_autoptr(GVariant) value = each;

		if (g_str_equal(key, "time_ms")) {
			if (!typed("option", key, value, "x", error))
				return false;
			event->time_ms = g_variant_get_int64(value);
		} else if (g_str_equal(key, "key")) {
			if (!typed("option", key, value, "s", error))
				return false;
			g_free(event->key);
			event->key = g_variant_dup_string(value, NULL);
		} else if (g_str_equal(key, "about")) {
			if (!typed("option", key, value, "s", error))
				return false;
			g_free(event->about);
			event->about = g_variant_dup_string(value, NULL);
		} else if (g_str_equal(key, "recovery")) {
			if (!typed("option", key, value, "b", error))
				return false;
			event->recovery = g_variant_get_boolean(value);
		} else {
			return invalid(error, "option %s: unknown; there are time_ms, key, about and recovery", key);
		}
	}
	return true;
}

GVariant *notify_event_to_variant(const NotifyEvent *event)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "id", g_variant_new_uint64(event->id));
	g_variant_builder_add(&builder, "{sv}", "status", g_variant_new_string(event->read ? "read" : "new"));
	g_variant_builder_add(&builder, "{sv}", "time_ms", g_variant_new_int64(event->time_ms));
	g_variant_builder_add(&builder, "{sv}", "priority", g_variant_new_byte(event->priority));
	g_variant_builder_add(&builder, "{sv}", "application", g_variant_new_string(event->application));
	g_variant_builder_add(&builder, "{sv}", "name", g_variant_new_string(event->name));
	g_variant_builder_add(&builder, "{sv}", "description", g_variant_new_string(event->description));
	g_variant_builder_add(&builder, "{sv}", "reference", g_variant_new_string(event->reference));
	g_variant_builder_add(&builder, "{sv}", "device", g_variant_new_string(event->device));
	if (event->ack_ms) {
		g_variant_builder_add(&builder, "{sv}", "ack_ms", g_variant_new_int64(event->ack_ms));
		g_variant_builder_add(&builder, "{sv}", "ack_by", g_variant_new_string(event->ack_by ? event->ack_by : ""));
	}
	return g_variant_builder_end(&builder);
}

gsize notify_event_size(const NotifyEvent *event)
{
	return 640 + strlen(event->application) + strlen(event->name) + strlen(event->description) +
	       strlen(event->reference) + strlen(event->device);
}

static bool parse_status(const char *text, NotifyStatus *ret_status, GError **error)
{
	if (g_str_equal(text, "new"))
		*ret_status = NOTIFY_STATUS_NEW;
	else if (g_str_equal(text, "read"))
		*ret_status = NOTIFY_STATUS_READ;
	else
		return invalid(error, "filter status: \"%s\"; it is \"new\" or \"read\"", text);
	return true;
}

static bool parse_entry(NotifyFilter *filter, const char *key, GVariant *value, GError **error)
{
	if (g_str_equal(key, "count")) {
		if (!typed("filter", key, value, "u", error))
			return false;
		filter->count = g_variant_get_uint32(value);
		return filter->count > 0 || invalid(error, "filter count: 0; leave it out for 100");
	}
	if (g_str_equal(key, "before")) {
		if (!typed("filter", key, value, "t", error))
			return false;
		filter->before = g_variant_get_uint64(value);
		return true;
	}
	if (g_str_equal(key, "status"))
		return typed("filter", key, value, "s", error) &&
		       parse_status(g_variant_get_string(value, NULL), &filter->status, error);
	if (g_str_equal(key, "application")) {
		if (!typed("filter", key, value, "s", error))
			return false;
		g_free(filter->application);
		filter->application = g_variant_dup_string(value, NULL);
		return true;
	}
	if (g_str_equal(key, "min_priority")) {
		if (!typed("filter", key, value, "y", error))
			return false;
		filter->min_priority = g_variant_get_byte(value);
		return filter->min_priority <= 3 ||
		       invalid(error, "filter min_priority: %u; it is 1 to 3", filter->min_priority);
	}
	if (g_str_equal(key, "since_ms")) {
		if (!typed("filter", key, value, "x", error))
			return false;
		filter->since_ms = g_variant_get_int64(value);
		return true;
	}
	if (g_str_equal(key, "acknowledged")) {
		if (!typed("filter", key, value, "b", error))
			return false;
		filter->acknowledged = g_variant_get_boolean(value);
		return true;
	}
	if (g_str_equal(key, "text")) {
		if (!typed("filter", key, value, "s", error))
			return false;
		g_free(filter->text);
		filter->text = g_utf8_casefold(g_variant_get_string(value, NULL), -1);
		return true;
	}
	return invalid(
		error,
		"filter %s: unknown; there are count, before, status, acknowledged, application, min_priority, since_ms and text",
		key);
}

bool notify_filter_parse(GVariant *filter, NotifyFilter *ret_filter, GError **error)
{
	g_auto(NotifyFilter) parsed = { .count = 100, .bytes = NOTIFY_PAGE_BYTES, .before = G_MAXUINT64, .acknowledged = -1, .since_ms = G_MININT64 };
	GVariantIter iter;
	const char *key;
	GVariant *each;

	g_variant_iter_init(&iter, filter);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &each)) {
		g_autoptr(GVariant) value = each;

		if (!parse_entry(&parsed, key, value, error))
			return false;
	}
	*ret_filter = parsed;
	parsed = (NotifyFilter){ 0 };
	return true;
}

void notify_filter_clear(NotifyFilter *filter)
{
	g_clear_pointer(&filter->application, g_free);
	g_clear_pointer(&filter->text, g_free);
}

bool notify_filter_is_wide(const NotifyFilter *filter)
{
	guint n = (filter->status != NOTIFY_STATUS_ANY) + (filter->acknowledged >= 0) + (filter->application != NULL) + (filter->min_priority > 1) +
		  (filter->since_ms != G_MININT64);

	return filter->text || n > 1;
}

static void add_term(GString *sql, GPtrArray *values, const char *term, GVariant *value)
{
	g_string_append(sql, sql->len ? " AND " : "WHERE ");
	g_string_append(sql, term);
	if (value)
		g_ptr_array_add(values, g_variant_ref_sink(value));
}

char *notify_filter_sql(const NotifyFilter *filter, GPtrArray **ret_values)
{
	GString *sql = g_string_new(NULL);
	GPtrArray *values = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);

	if (filter->before <= G_MAXINT64)
		add_term(sql, values, "id < ?", g_variant_new_int64((gint64)filter->before));
	if (filter->least > 0 && filter->least <= G_MAXINT64)
		add_term(sql, values, "id >= ?", g_variant_new_int64((gint64)filter->least));
	switch (filter->status) {
	case NOTIFY_STATUS_ANY:
		break;
	case NOTIFY_STATUS_NEW:
		add_term(sql, values, "read = 0", NULL);
		break;
	case NOTIFY_STATUS_READ:
		add_term(sql, values, "read = 1", NULL);
		break;
	}
	if (filter->application)
		add_term(sql, values, "application = ?", g_variant_new_string(filter->application));
	/* As numbers in the text: an index for just these is used only then. */
	if (filter->min_priority == 2)
		add_term(sql, values, "priority >= 2", NULL);
	if (filter->min_priority == 3)
		add_term(sql, values, "priority >= 3", NULL);
	if (filter->acknowledged >= 0)
		add_term(sql, values, filter->acknowledged ? "ack_ms <> 0" : "ack_ms = 0", NULL);
	/* By its index only where the store says so: many would be sorted for a page of few. */
	if (filter->since_ms != G_MININT64)
		add_term(sql, values, filter->few_since ? "id IN (SELECT id FROM events WHERE time_ms >= ?)" : "coalesce(time_ms, 0) >= ?",
			 g_variant_new_int64(filter->since_ms));
	if (filter->text)
		add_term(sql, values, "contains(name, description, ?)", g_variant_new_string(filter->text));
	*ret_values = values;
	return g_string_free(sql, FALSE);
}

bool notify_text_matches(const char *text, const char *folded)
{
	g_autofree char *mine = g_utf8_casefold(text, -1);

	return strstr(mine, folded) != NULL;
}
