/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/notify.c - understudy notify: whom this device tells, a test, and what became of each message. */
#include <string.h>

#include "commands.h"

#define TEST_TIMEOUT_MS 75000 /* a delivery has a minute */

static void print_list(GVariant *list)
{
	ctl_print_json(list);
}

static void add_words(RenderTable *table, GVariant *dict, const char *key)
{
	g_autoptr(GVariant) list = dict_value(dict, key, "as");
	g_autofree const char **items = list ? g_variant_get_strv(list, NULL) : NULL;
	g_autofree char *text = items ? g_strjoinv(" ", (char **)items) : g_strdup("");

	render_table_add(table, RENDER_PLAIN, text);
}

static void add_titles(RenderTable *table, const char *const *titles)
{
	for (; *titles; titles++)
		render_table_add(table, RENDER_BOLD, *titles);
}

static CtlExit print_targets(Ctl *ctl)
{
	g_autoptr(RenderTable) table = render_table_new(6);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = ctl_call(ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, "Targets", NULL, CTL_CALL_TIMEOUT_MS, &error);
	g_autoptr(GVariant) list = NULL;
	g_autofree char *text = NULL;

	if (!answer)
		return ctl_fail(ctl, CTL_NOTIFY, error);
	list = g_variant_get_child_value(answer, 0);
	if (ctl->json) {
		print_list(list);
		return CTL_OK;
	}
	add_titles(table, (const char *const[]){ "target", "to", "state", "waiting", "last", "answered", NULL });
	for (gsize i = 0; i < g_variant_n_children(list); i++) {
		g_autoptr(GVariant) target = g_variant_get_child_value(list, i);
		const char *absent = dict_string(target, "absent", ""); /* of a LED: what is in the way */
		const char *state = *absent ? "absent" : dict_string(target, "state", "");
		gint64 last_ms = dict_int(target, "last_ms", 0);
		g_autofree char *last = last_ms ? render_time(last_ms, ctl->zone, false) : g_strdup("");

		render_table_add(table, RENDER_PLAIN, dict_string(target, "id", ""));
		add_words(table, target, "to");
		render_table_add(table, !*state || g_str_equal(state, "good") ? RENDER_PLAIN : render_priority_colour(3), state);
		if (*state && !*absent)
			render_table_addf(table, RENDER_PLAIN, "%" G_GINT64_FORMAT, dict_int(target, "waiting", 0));
		else
			render_table_add(table, RENDER_PLAIN, "");
		render_table_add(table, RENDER_PLAIN, last);
		render_table_add(table, RENDER_PLAIN, *absent ? absent : dict_string(target, "words", ""));
	}
	text = render_table_text(table, &ctl->out, 0);
	ctl_print(text);
	return CTL_OK;
}

static CtlExit run_test(Ctl *ctl, const char *target)
{
	g_autoptr(RenderTable) table = render_table_new(3);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer =
		ctl_call(ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, "Test", g_variant_new("(s)", target), TEST_TIMEOUT_MS, &error);
	g_autoptr(GVariant) list = NULL;
	g_autofree char *text = NULL;
	bool good = true;

	if (!answer)
		return ctl_fail(ctl, CTL_NOTIFY, error);
	list = g_variant_get_child_value(answer, 0);
	for (gsize i = 0; i < g_variant_n_children(list); i++) {
		const char *recipient, *outcome, *words;

		g_variant_get_child(list, i, "(&s&s&s)", &recipient, &outcome, &words);
		bool accepted = g_str_equal(outcome, "accepted");

		good &= accepted;
		render_table_add(table, RENDER_PLAIN, recipient);
		render_table_add(table, accepted ? RENDER_PLAIN : render_priority_colour(3), accepted ? "accepted" : g_str_equal(outcome, "refused") ? "refused" : "not now");
		render_table_add(table, RENDER_PLAIN, words);
	}
	if (ctl->json) {
		print_list(list);
	} else {
		text = render_table_text(table, &ctl->out, 0);
		ctl_print(text);
	}
	return good ? CTL_OK : CTL_REFUSED;
}

/* One answer; @before: the last id of the one before, 0 for none. */
static GVariant *fetch_some(Ctl *ctl, guint count, guint64 before, const char *target, const char *state, GError **error)
{
	g_autoptr(GVariant) answer = NULL;
	GVariantBuilder filter;

	g_variant_builder_init(&filter, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&filter, "{sv}", "count", g_variant_new_uint32(count));
	if (before)
		g_variant_builder_add(&filter, "{sv}", "before", g_variant_new_uint64(before));
	if (target)
		g_variant_builder_add(&filter, "{sv}", "target", g_variant_new_string(target));
	if (state)
		g_variant_builder_add(&filter, "{sv}", "state", g_variant_new_string(state));
	answer = ctl_call(ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, "Deliveries", g_variant_new("(a{sv})", &filter), CTL_CALL_TIMEOUT_MS, error);
	return answer ? g_variant_get_child_value(answer, 0) : NULL;
}

/* aa{sv}. One answer after the other, because each is bounded. */
static GVariant *fetch_log(Ctl *ctl, guint count, const char *target, const char *state, GError **error)
{
	GVariantBuilder list;
	guint64 before = 0;

	g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
	while (count > 0) {
		g_autoptr(GVariant) some = fetch_some(ctl, count, before, target, state, error);
		gsize n = some ? g_variant_n_children(some) : 0;

		if (!some) {
			g_variant_builder_clear(&list);
			return NULL;
		}
		for (gsize i = 0; i < n; i++) {
			g_autoptr(GVariant) row = g_variant_get_child_value(some, i);

			g_variant_builder_add_value(&list, row);
			before = (guint64)dict_int(row, "id", 0);
		}
		if (n == 0 || before <= 1)
			break;
		count -= (guint)MIN(n, count);
	}
	return g_variant_ref_sink(g_variant_builder_end(&list));
}

static CtlExit print_log(Ctl *ctl, int count, const char *target, const char *state)
{
	g_autoptr(RenderTable) table = render_table_new(6);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) list = fetch_log(ctl, (guint)count, target, state, &error);
	g_autofree char *text = NULL;

	if (!list)
		return ctl_fail(ctl, CTL_NOTIFY, error);
	if (ctl->json) {
		print_list(list);
		return CTL_OK;
	}
	add_titles(table, (const char *const[]){ "time", "event", "target", "state", "attempts", "answered", NULL });
	for (gsize i = 0; i < g_variant_n_children(list); i++) {
		g_autoptr(GVariant) row = g_variant_get_child_value(list, i);
		gint64 event = dict_int(row, "event", 0);
		const char *what = dict_string(row, "state", "");
		g_autofree char *time = render_time(dict_int(row, "created_ms", 0), ctl->zone, false);

		render_table_add(table, RENDER_PLAIN, time);
		if (event)
			render_table_addf(table, RENDER_PLAIN, "%" G_GINT64_FORMAT, event);
		else
			render_table_add(table, RENDER_DIM, "-");
		render_table_add(table, RENDER_PLAIN, dict_string(row, "target", ""));
		render_table_add(table, g_str_equal(what, "delivered") || g_str_equal(what, "waiting") ? RENDER_PLAIN : render_priority_colour(3), what);
		render_table_addf(table, RENDER_PLAIN, "%" G_GINT64_FORMAT, dict_int(row, "attempts", 0));
		render_table_add(table, RENDER_PLAIN, dict_string(row, "words", ""));
	}
	text = render_table_text(table, &ctl->out, 0);
	ctl_print(g_variant_n_children(list) ? text : "nothing was told to anybody\n");
	return CTL_OK;
}

CtlExit ctl_notify(Ctl *ctl, int argc, char **argv)
{
	int count = 50;
	g_autofree char *target = NULL, *state = NULL;
	const GOptionEntry entries[] = {
		{ "count", 'n', 0, G_OPTION_ARG_INT, &count, "log: at most N (50)", "N" },
		{ "target", 't', 0, G_OPTION_ARG_STRING, &target, "log: only of this target", "TARGET" },
		{ "state", 's', 0, G_OPTION_ARG_STRING, &state, "log: only these", "waiting|delivered|refused|expired" },
		{ 0 },
	};

	if (!ctl_options(ctl, &argc, &argv, entries, "targets | test TARGET | log", "Whom this device tells of events, and what became of each message.", 1, 2))
		return CTL_BAD_INPUT;
	if (count < 1 || count > 1000)
		return ctl_complain(ctl, CTL_BAD_INPUT, "notify: --count is 1 to 1000");
	if (g_str_equal(argv[1], "targets") && argc == 2)
		return print_targets(ctl);
	if (g_str_equal(argv[1], "test") && argc == 3)
		return run_test(ctl, argv[2]);
	if (g_str_equal(argv[1], "log") && argc == 2)
		return print_log(ctl, count, target, state);
	return ctl_complain(ctl, CTL_BAD_INPUT, "notify: there are targets, test TARGET and log");
}
