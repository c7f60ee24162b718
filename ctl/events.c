/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/events.c - understudy events: what happened on the two devices. */
#include <string.h>

#include "commands.h"

#define NO_ID G_MININT64

typedef struct {
	gboolean unread, mark_read, open, acknowledge;
	int count, min_priority;
	gint64 before, id;
	char *application, *text;
} Wanted;

/* @before: the last id of the page before, 0 for none. */
static GVariant *filter_of(const Wanted *wanted, guint count, guint64 before)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "count", g_variant_new_uint32(count));
	if (before)
		g_variant_builder_add(&builder, "{sv}", "before", g_variant_new_uint64(before));
	if (wanted->unread)
		g_variant_builder_add(&builder, "{sv}", "status", g_variant_new_string("new"));
	if (wanted->open)
		g_variant_builder_add(&builder, "{sv}", "acknowledged", g_variant_new_boolean(FALSE));
	if (wanted->min_priority)
		g_variant_builder_add(&builder, "{sv}", "min_priority",
				      g_variant_new_byte((guint8)wanted->min_priority));
	if (wanted->application)
		g_variant_builder_add(&builder, "{sv}", "application", g_variant_new_string(wanted->application));
	if (wanted->text)
		g_variant_builder_add(&builder, "{sv}", "text", g_variant_new_string(wanted->text));
	return g_variant_builder_end(&builder);
}

/* Page after page, because one answer is bounded. */
static GPtrArray *fetch(Ctl *ctl, const Wanted *wanted, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	guint64 before = wanted->before == NO_ID ? 0 : (guint64)wanted->before;

	while (events->len < (guint)wanted->count) {
		g_autoptr(GVariant) answer = ctl_call(
			ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, "List",
			g_variant_new("(@a{sv})", filter_of(wanted, (guint)wanted->count - events->len, before)),
			CTL_CALL_TIMEOUT_MS, error);
		g_autoptr(GVariant) page = NULL;
		gsize n;

		if (!answer)
			return NULL;
		page = g_variant_get_child_value(answer, 0);
		n = g_variant_n_children(page);
		for (gsize i = 0; i < n; i++)
			g_ptr_array_add(events, g_variant_get_child_value(page, i));
		if (n == 0)
			break;
		before = (guint64)dict_int(events->pdata[events->len - 1], "id", 0);
		if (before <= 1)
			break;
	}
	return g_steal_pointer(&events);
}

/* The one of that number: the newest before the next. */
static GPtrArray *fetch_one(Ctl *ctl, const Wanted *wanted, GError **error)
{
	Wanted one = *wanted;
	GPtrArray *events;

	one.before = wanted->id + 1;
	one.count = 1;
	events = fetch(ctl, &one, error);
	if (events && events->len > 0 && dict_int(events->pdata[0], "id", 0) != wanted->id)
		g_ptr_array_set_size(events, 0);
	return events;
}

static void print_events(Ctl *ctl, GPtrArray *events)
{
	g_autoptr(RenderTable) table = render_table_new(7);
	g_autofree char *text = NULL;

	for (const char *const *title =
		     (const char *const[]){ "", "id", "time", "pri", "application", "name", "description", NULL };
	     *title; title++)
		render_table_add(table, RENDER_BOLD, *title);
	for (guint i = 0; i < events->len; i++) {
		GVariant *event = events->pdata[i];
		bool is_new = g_str_equal(dict_string(event, "status", ""), "new");
		guint priority = (guint)dict_int(event, "priority", 0);
		RenderColour colour = is_new ? render_priority_colour(priority) : RENDER_DIM;
		g_autofree char *time = render_time(dict_int(event, "time_ms", 0), ctl->zone, false);
		const char *reference = dict_string(event, "reference", "");

		render_table_add(table, RENDER_BOLD, is_new ? "new" : "");
		render_table_addf(table, RENDER_DIM, "%" G_GINT64_FORMAT, dict_int(event, "id", 0));
		render_table_add(table, RENDER_PLAIN, time);
		render_table_addf(table, colour, "%u", priority);
		render_table_add(table, RENDER_PLAIN, dict_string(event, "application", ""));
		render_table_add(table, colour, dict_string(event, "name", ""));
		const char *who = dict_string(event, "ack_by", "");

		render_table_addf(table, RENDER_PLAIN, "%s%s%s%s%s%s%s", dict_string(event, "description", ""),
				  *reference ? " [" : "", reference, *reference ? "]" : "", *who ? " (" : "", who, *who ? " takes care)" : "");
	}
	text = render_table_text(table, &ctl->out, 0);
	ctl_print(events->len ? text : "no events\n");
}

static void print_events_json(GPtrArray *events)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < events->len; i++)
		g_variant_builder_add_value(&builder, events->pdata[i]);
	ctl_print_json(g_variant_builder_end(&builder));
}

/* Exactly those that were shown: one that came in between was read by nobody. @method: MarkRead or Acknowledge. */
static CtlExit mark_shown(Ctl *ctl, GPtrArray *events, const char *method)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = NULL;
	GVariantBuilder ids;
	guint n = 0;

	g_variant_builder_init(&ids, G_VARIANT_TYPE("at"));
	for (guint i = 0; i < events->len; i++) {
		if (g_str_equal(method, "MarkRead") ? !g_str_equal(dict_string(events->pdata[i], "status", ""), "new")
						    : dict_int(events->pdata[i], "ack_ms", 0) != 0)
			continue;
		g_variant_builder_add(&ids, "t", (guint64)dict_int(events->pdata[i], "id", 0));
		n++;
	}
	if (n == 0) { /* no ids would mean all */
		g_variant_builder_clear(&ids);
		return CTL_OK;
	}
	answer = ctl_call(ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, method, g_variant_new("(at)", &ids),
			  CTL_CALL_TIMEOUT_MS, &error);
	return answer ? CTL_OK : ctl_fail(ctl, CTL_NOTIFY, error);
}

CtlExit ctl_events(Ctl *ctl, int argc, char **argv)
{
	Wanted wanted = { .count = 50, .before = NO_ID, .id = NO_ID };
	const GOptionEntry entries[] = {
		{ "unread", 'u', 0, G_OPTION_ARG_NONE, &wanted.unread, "Only new ones", NULL },
		{ "mark-read", 'r', 0, G_OPTION_ARG_NONE, &wanted.mark_read, "Marks those shown as read", NULL },
		{ "count", 'n', 0, G_OPTION_ARG_INT, &wanted.count, "At most N (50)", "N" },
		{ "before", 'b', 0, G_OPTION_ARG_INT64, &wanted.before, "Only those with a lower id than this: the next page", "ID" },
		{ "id", 'i', 0, G_OPTION_ARG_INT64, &wanted.id, "Only this one", "ID" },
		{ "application", 'a', 0, G_OPTION_ARG_STRING, &wanted.application, "Only of this application", "NAME" },
		{ "min-priority", 'p', 0, G_OPTION_ARG_INT, &wanted.min_priority, "Only of this priority or higher",
		  "1|2|3" },
		{ "unacknowledged", 'o', 0, G_OPTION_ARG_NONE, &wanted.open, "Only those that nobody takes care of yet", NULL },
		{ "ack", 0, 0, G_OPTION_ARG_NONE, &wanted.acknowledge, "Says of those shown that you take care of them", NULL },
		{ "search", 't', 0, G_OPTION_ARG_STRING, &wanted.text, "Only with this in name or description", "TEXT" },
		{ "text", 0, 0, G_OPTION_ARG_STRING, &wanted.text, "The same", "TEXT" },
		{ 0 },
	};
	g_autoptr(GPtrArray) events = NULL;
	g_autoptr(GError) error = NULL;
	CtlExit code = CTL_OK;

	if (!ctl_options(ctl, &argc, &argv, entries, "", "Shows the events of the two devices, newest first.", 0, 0))
		code = CTL_BAD_INPUT;
	else if (wanted.count < 1 || wanted.count > 10000)
		code = ctl_complain(ctl, CTL_BAD_INPUT, "events: --count is 1 to 10000");
	else if (wanted.min_priority < 0 || wanted.min_priority > 3)
		code = ctl_complain(ctl, CTL_BAD_INPUT, "events: --min-priority is 1 to 3");
	else if ((wanted.before != NO_ID && wanted.before < 1) || (wanted.id != NO_ID && (wanted.id < 1 || wanted.id == G_MAXINT64)))
		code = ctl_complain(ctl, CTL_BAD_INPUT, "events: an id is a number from 1 on");
	else if (!(events = wanted.id != NO_ID ? fetch_one(ctl, &wanted, &error) : fetch(ctl, &wanted, &error)))
		code = ctl_fail(ctl, CTL_NOTIFY, error);
	g_free(wanted.application);
	g_free(wanted.text);
	if (code != CTL_OK)
		return code;
	if (ctl->json)
		print_events_json(events);
	else
		print_events(ctl, events);
	if (wanted.acknowledge)
		return mark_shown(ctl, events, "Acknowledge");
	return wanted.mark_read ? mark_shown(ctl, events, "MarkRead") : CTL_OK;
}
