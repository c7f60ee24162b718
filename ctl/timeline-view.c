/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/timeline-view.c - changes of role with a bar for each phase. */
#include "timeline-view.h"

#include "dbus/dict.h"

#define BAR_WIDTH 40

/* A value of the evidence in the shortest form that still says it. */
static char *plain_value(GVariant *value)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
		return g_variant_dup_string(value, NULL);
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
		return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_BYTE))
		return g_strdup_printf("%u", g_variant_get_byte(value));
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_DOUBLE))
		return g_strdup_printf("%.1f", g_variant_get_double(value));
	if (g_variant_is_of_type(value, G_VARIANT_TYPE("a{sd}"))) {
		g_autoptr(GString) list = g_string_new(NULL);
		GVariantIter iter;
		const char *key;
		double each;

		g_variant_iter_init(&iter, value);
		while (g_variant_iter_next(&iter, "{&sd}", &key, &each))
			g_string_append_printf(list, "%s%s %.1f", list->len ? "; " : "", key, each);
		return g_strdup(list->str);
	}
	return g_variant_print(value, FALSE);
}

static void add_line(GString *out, const RenderStyle *style, RenderColour colour, const char *name, const char *text)
{
	g_autoptr(RenderTable) table = render_table_new(2);
	g_autofree char *row = NULL;

	render_table_add(table, colour, name);
	render_table_add(table, colour, text);
	row = render_table_text(table, style, 2);
	g_string_append(out, row);
}

/* What has a line of its own. */
static bool is_told_apart(const char *key)
{
	return g_str_equal(key, "lost") || g_str_has_prefix(key, "contacts_") || g_str_equal(key, "failed") || g_str_equal(key, "last_output");
}

/* Times by the machine's own clock; what they say is in the phases and in heard_before_ms. */
static bool is_for_programs(const char *key)
{
	return g_str_equal(key, "last_heard") || g_str_equal(key, "addresses_up_us");
}

/* What a takeover has cost: "nothing" is worth a line, too. */
static void add_lost(GString *out, const RenderStyle *style, GVariant *evidence)
{
	g_autoptr(GVariant) lost = dict_value(evidence, "lost", "a{sv}");
	g_autoptr(GVariant) refs = dict_value(lost, "refs", "a{sa{sv}}");
	g_autoptr(GString) line = g_string_new(NULL);
	gint64 before = dict_int(evidence, "contacts_before", -1), gone = dict_int(evidence, "contacts_lost", 0), changes = 0;

	for (const char *const *ref = (const char *const[]){ "config", "volatile", "voice", NULL }; refs && *ref; ref++) {
		g_autoptr(GVariant) at = g_variant_lookup_value(refs, *ref, G_VARIANT_TYPE_VARDICT);
		gint64 n = at ? dict_int(at, "changes", 0) : 0;
		g_autofree char *span = render_duration(at ? (double)dict_int(at, "span_ms", 0) : 0);

		changes += n;
		if (n)
			g_string_append_printf(line, "%s%s%" G_GINT64_FORMAT " change%s of %s (%s)", line->len ? ", " : "",
					       dict_bool(at, "exact") ? "" : "at least ", n, n == 1 ? "" : "s", *ref, span);
	}
	if (refs && !changes)
		g_string_append(line, dict_bool(lost, "heard") ? "no change that the other device told of" : "not known: the other device had not been heard");
	if (before >= 0)
		g_string_append_printf(line, "%s%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " contacts", line->len ? ", " : "", gone, before);
	if (line->len)
		add_line(out, style, changes || gone ? RENDER_WARNING : RENDER_PLAIN, "lost", line->str);
}

/* An application that was beyond help, with its last words. */
static void add_failed(GString *out, const RenderStyle *style, GVariant *evidence)
{
	const char *failed = dict_string(evidence, "failed", "");
	g_auto(GStrv) lines = g_strsplit(dict_string(evidence, "last_output", ""), "\n", -1);
	g_autofree char *clean = render_clean(failed);

	if (*failed)
		add_line(out, style, RENDER_WARNING, "failed", clean);
	for (char **line = lines; *line; line++) {
		g_autofree char *words = render_clean(*line);

		if (*words)
			add_line(out, style, RENDER_DIM, "said", words);
	}
}

static void add_evidence(GString *out, const RenderStyle *style, GVariant *evidence)
{
	g_autoptr(GString) line = g_string_new(NULL);
	GVariantIter iter;
	const char *key;
	GVariant *each;

	if (!evidence)
		return;
	g_variant_iter_init(&iter, evidence);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &each)) {
		g_autoptr(GVariant) value = each;
		g_autofree char *plain = plain_value(value);

		if (is_told_apart(key) || is_for_programs(key))
			continue;
		g_string_append_printf(line, "%s%s: %s", line->len ? ", " : "", key, plain);
	}
	if (line->len)
		add_line(out, style, RENDER_DIM, "evidence", line->str);
}

static void add_phases(GString *out, const RenderStyle *style, GVariant *phases)
{
	gsize n = phases ? g_variant_n_children(phases) : 0;
	g_autoptr(RenderTable) table = render_table_new(3);
	g_autofree char *text = NULL;
	double from = 0, to = 0;

	for (gsize i = 0; i < n; i++) {
		g_autoptr(GVariant) phase = g_variant_get_child_value(phases, i);

		from = MIN(from, dict_double(phase, "begin_ms", 0));
		to = MAX(to, dict_double(phase, "end_ms", 0));
	}
	for (gsize i = 0; i < n; i++) {
		g_autoptr(GVariant) phase = g_variant_get_child_value(phases, i);
		double begin = dict_double(phase, "begin_ms", 0), end = dict_double(phase, "end_ms", begin);
		g_autofree char *bar = render_span(style, begin, end, from, to, BAR_WIDTH);
		g_autofree char *took = render_duration(end - begin);

		render_table_add(table, RENDER_PLAIN, dict_string(phase, "name", "?"));
		render_table_add(table, RENDER_INFO, bar);
		render_table_addf(table, RENDER_PLAIN, "%10s  at %.1f", took, begin);
	}
	text = render_table_text(table, style, 2);
	g_string_append(out, text);
}

char *timeline_view_text(GVariant *transitions, const RenderStyle *style, GTimeZone *zone)
{
	GString *out = g_string_new(NULL);
	gsize n = g_variant_n_children(transitions);

	for (gsize i = 0; i < n; i++) {
		g_autoptr(GVariant) transition = g_variant_get_child_value(transitions, i);
		g_autoptr(GVariant) evidence = dict_value(transition, "evidence", "a{sv}");
		g_autoptr(GVariant) phases = dict_value(transition, "phases", "aa{sv}");
		g_autofree char *time = render_time(dict_int(transition, "time_ms", 0), zone, true);
		g_autofree char *new_role = render_clean(dict_string(transition, "new", "?"));
		g_autofree char *coloured = render_coloured(style, render_role_colour(new_role), new_role);
		g_autofree char *device = render_clean(dict_string(transition, "device", "?"));
		g_autofree char *old_role = render_clean(dict_string(transition, "old", "?"));
		g_autofree char *reason = render_clean(dict_string(transition, "reason", ""));
		g_autofree char *bold_device = render_coloured(style, RENDER_BOLD, device);

		g_string_append_printf(out, "%s%s  %s  %s -> %s%s%s  term %" G_GINT64_FORMAT "\n", i ? "\n" : "", time,
				       bold_device, old_role, coloured, *reason ? "  because " : "", reason,
				       dict_int(transition, "term", 0));
		add_phases(out, style, phases);
		if (evidence) {
			add_failed(out, style, evidence);
			add_lost(out, style, evidence);
		}
		add_evidence(out, style, evidence);
	}
	if (n == 0)
		g_string_append(out, "no change of role yet\n");
	return g_string_free(out, FALSE);
}
