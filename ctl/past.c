/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/past.c - understudy history (of the files) and timeline (of the roles). */
#include "commands.h"
#include "timeline-view.h"

/* " (a, b, c and 5 more)": what a commit changed, unless its message is but that list, because nobody worded it. */
static void append_changed(GString *what, GVariant *changed)
{
	gsize n = changed ? g_variant_n_children(changed) : 0;
	const char *path;

	if (n == 0 || g_regex_match_simple("^[0-9]+ changes?: ", what->str, 0, 0))
		return;
	for (gsize i = 0; i < MIN(n, 3); i++) {
		g_variant_get_child(changed, i, "&s", &path);
		g_string_append_printf(what, "%s%s", i ? ", " : "  (", path);
	}
	if (n > 3)
		g_string_append_printf(what, " and %" G_GSIZE_FORMAT " more", n - 3);
	g_string_append_c(what, ')');
}

static CtlExit print_history(Ctl *ctl, GVariant *commits, const char *ref)
{
	g_autoptr(RenderTable) table = render_table_new(5);
	g_autofree char *text = NULL;
	gsize n = g_variant_n_children(commits);

	if (n == 0) {
		ctl_printf("no commits in %s\n", ref);
		return CTL_OK;
	}
	for (gsize i = 0; i < n; i++) {
		g_autoptr(GVariant) commit = g_variant_get_child_value(commits, i);
		g_autoptr(GVariant) changed = dict_value(commit, "changed", "as");
		g_autofree char *hash = render_hash(dict_string(commit, "commit", ""));
		g_autofree char *time = render_time(dict_int(commit, "time_ms", 0), ctl->zone, false);
		const char *device = dict_string(commit, "device", "");
		g_autoptr(GString) what = g_string_new(dict_string(commit, "message", ""));

		append_changed(what, changed);
		render_table_add(table, RENDER_WARNING, hash);
		render_table_add(table, RENDER_PLAIN, time);
		render_table_addf(table, RENDER_DIM, "%s term %" G_GINT64_FORMAT, device, dict_int(commit, "term", 0));
		render_table_add(table, RENDER_PLAIN, dict_string(commit, "author", ""));
		render_table_add(table, RENDER_PLAIN, what->str);
	}
	text = render_table_text(table, &ctl->out, 0);
	ctl_print(text);
	return CTL_OK;
}

/* A file from here, as in a shell, when there is one by that name; else a place in the tree, as history itself prints it. */
static char *history_path(const char *word)
{
	if (g_path_is_absolute(word) || g_file_test(word, G_FILE_TEST_EXISTS))
		return g_canonicalize_filename(word, NULL);
	return g_strdup(word);
}

CtlExit ctl_history(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *ref_option = NULL;
	int count = 20;
	const GOptionEntry entries[] = {
		{ "ref", 0, 0, G_OPTION_ARG_STRING, &ref_option,
		  "config (the default), voice, volatile, or a line kept aside as status names it", "REF" },
		{ "count", 'n', 0, G_OPTION_ARG_INT, &count, "At most N (20)", "N" },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL, commits = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *path = NULL;
	const char *ref;

	if (!ctl_options(ctl, &argc, &argv, entries, "[PATH]",
			 "Shows who changed what and when, newest first; of one file or folder when PATH is given.", 0,
			 1))
		return CTL_BAD_INPUT;
	ref = ref_option ? ref_option : "config";
	if (!g_str_equal(ref, "config") && !g_str_equal(ref, "voice") && !g_str_equal(ref, "volatile") && !g_str_has_prefix(ref, "refs/diverged/"))
		return ctl_complain(
			ctl, CTL_BAD_INPUT,
			"history: --ref is config, voice, volatile or a line kept aside (refs/diverged/...), not \"%s\"", ref);
	if (count < 1)
		return ctl_complain(ctl, CTL_BAD_INPUT, "history: --count is at least 1");
	path = argc > 1 ? history_path(argv[1]) : g_strdup("");
	answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_SYNC_INTERFACE, "History",
			  g_variant_new("(ssu)", ref, path, (guint32)count), 4 * CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	commits = g_variant_get_child_value(answer, 0);
	if (!ctl->json)
		return print_history(ctl, commits, ref);
	ctl_print_json(commits);
	return CTL_OK;
}

CtlExit ctl_timeline(Ctl *ctl, int argc, char **argv)
{
	int count = 10;
	const GOptionEntry entries[] = {
		{ "count", 'n', 0, G_OPTION_ARG_INT, &count, "The last N changes of role (10)", "N" },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL, transitions = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, entries, "",
			 "Shows the changes of role of both devices, newest last: why, and how long each phase took.",
			 0, 0))
		return CTL_BAD_INPUT;
	if (count < 1)
		return ctl_complain(ctl, CTL_BAD_INPUT, "timeline: --count is at least 1");
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Timeline",
			  g_variant_new("(u)", (guint32)count), 2 * CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	transitions = g_variant_get_child_value(answer, 0);
	if (ctl->json) {
		ctl_print_json(transitions);
	} else {
		g_autofree char *text = timeline_view_text(transitions, &ctl->out, ctl->zone);

		ctl_print(text);
	}
	return CTL_OK;
}
