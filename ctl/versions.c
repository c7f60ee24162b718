/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/versions.c - understudy diff, show, restore and diverged: the versions of the configuration, and those kept aside. */
#include "commands.h"

#define RESTORE_MS (60 * 1000)
#define DIFFERENCE_MS (30 * 1000)

/* Colours the lines of a patch by what they begin with. */
static void print_patch(Ctl *ctl, const char *patch)
{
	g_auto(GStrv) lines = g_strsplit(patch, "\n", -1);

	for (guint i = 0; lines[i] && (lines[i][0] || lines[i + 1]); i++) {
		g_autofree char *clean = NULL;
		g_autoptr(GString) text = g_string_new(NULL);
		g_auto(GStrv) cells = g_strsplit(lines[i], "\t", -1);

		/* What is cleaned of control characters keeps its tabs: it is a file's text. */
		for (guint k = 0; cells[k]; k++) {
			g_autofree char *cell = render_clean(cells[k]);
			g_string_append_printf(text, "%s%s", k ? "\t" : "", cell);
		}
		RenderColour colour = g_str_has_prefix(text->str, "@@")	  ? RENDER_DIM :
				      text->str[0] == '+'		  ? RENDER_GOOD :
				      text->str[0] == '-'		  ? RENDER_BAD :
									    RENDER_PLAIN;
		clean = render_coloured(&ctl->out, colour, text->str);
		ctl_printf("%s\n", clean);
	}
}

/* A file from here, as in a shell, when there is one by that name; else a place in the tree, as history itself prints it. */
static char *place_of(const char *word)
{
	if (!word)
		return g_strdup("");
	if (g_path_is_absolute(word) || g_file_test(word, G_FILE_TEST_EXISTS))
		return g_canonicalize_filename(word, NULL);
	return g_strdup(word);
}

static CtlExit difference(Ctl *ctl, const char *from, const char *to, const char *path_word)
{
	g_autoptr(GVariant) answer = NULL, patch = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *path = place_of(path_word);

	answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_SYNC_INTERFACE, "Difference", g_variant_new("(sss)", from, to, path), DIFFERENCE_MS,
			  &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	patch = g_variant_get_child_value(answer, 0);
	if (ctl->json)
		ctl_print_json(patch);
	else if (*g_variant_get_string(patch, NULL))
		print_patch(ctl, g_variant_get_string(patch, NULL));
	else
		ctl_note(ctl, "no difference");
	return CTL_OK;
}

CtlExit ctl_diff(Ctl *ctl, int argc, char **argv)
{
	const GOptionEntry entries[] = { { 0 } };

	if (!ctl_options(ctl, &argc, &argv, entries, "A B [PATH]",
			 "Shows what differs between two commits of the configuration, as history or status name them.", 2, 3))
		return CTL_BAD_INPUT;
	return difference(ctl, argv[1], argv[2], argc > 3 ? argv[3] : NULL);
}

CtlExit ctl_show(Ctl *ctl, int argc, char **argv)
{
	const GOptionEntry entries[] = { { 0 } };

	if (!ctl_options(ctl, &argc, &argv, entries, "COMMIT [PATH]", "Shows what a commit of the configuration changed.", 1, 2))
		return CTL_BAD_INPUT;
	return difference(ctl, "", argv[1], argc > 2 ? argv[2] : NULL);
}

static CtlExit restore(Ctl *ctl, const char *from, const char *path_word, const char *message)
{
	g_autoptr(GVariant) answer = NULL, restored = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *path = place_of(path_word), *text = NULL;

	text = message ? g_strdup(message) : g_strdup_printf("restore %s%s%s", *path ? path : "everything", " from ", from);
	answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_SYNC_INTERFACE, "RestoreFrom", g_variant_new("(ssss)", from, path, "", text), RESTORE_MS,
			  &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	restored = g_variant_get_child_value(answer, 0);
	if (ctl->json) {
		ctl_print_json(restored);
	} else {
		g_autofree char *hash = render_hash(g_variant_get_string(restored, NULL));

		ctl_printf("the configuration is commit %s now\n", hash);
	}
	return CTL_OK;
}

CtlExit ctl_restore(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *message = NULL;
	const GOptionEntry entries[] = {
		{ "message", 'm', 0, G_OPTION_ARG_STRING, &message, "Why, for the history", "TEXT" },
		{ 0 },
	};

	if (!ctl_options(ctl, &argc, &argv, entries, "COMMIT [PATH]",
			 "Puts the configuration, or one file or folder of it, back to what it was in a commit: as a new commit, on both devices.", 1, 2))
		return CTL_BAD_INPUT;
	return restore(ctl, argv[1], argc > 2 ? argv[2] : NULL, message);
}

static CtlExit diverged_list(Ctl *ctl)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) sync = ctl_get_all(ctl, CTL_SYNC, NULL, CTL_SYNC_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	g_autoptr(RenderTable) table = render_table_new(4);
	g_autoptr(GVariant) names = NULL;

	if (!sync)
		return ctl_fail(ctl, CTL_SYNC, error);
	names = dict_value(sync, "Diverged", "as");
	if (ctl->json) {
		ctl_print_json(names ? names : g_variant_new_strv(NULL, 0));
		return CTL_OK;
	}
	for (gsize i = 0; names && i < g_variant_n_children(names); i++) {
		const char *name;
		g_autoptr(GVariant) answer = NULL, commits = NULL, newest = NULL;

		g_variant_get_child(names, i, "&s", &name);
		answer = ctl_call(ctl, CTL_SYNC, NULL, CTL_SYNC_INTERFACE, "History", g_variant_new("(ssu)", name, "", 1), 4 * CTL_CALL_TIMEOUT_MS,
				  &error);
		if (!answer)
			return ctl_fail(ctl, CTL_SYNC, error);
		commits = g_variant_get_child_value(answer, 0);
		if (g_variant_n_children(commits) > 0)
			newest = g_variant_get_child_value(commits, 0);
		g_autofree char *time = render_time(dict_int(newest, "time_ms", 0), ctl->zone, false);
		render_table_add(table, RENDER_WARNING, name);
		render_table_add(table, RENDER_PLAIN, time);
		render_table_addf(table, RENDER_DIM, "%s term %" G_GINT64_FORMAT, dict_string(newest, "device", ""), dict_int(newest, "term", 0));
		render_table_add(table, RENDER_PLAIN, dict_string(newest, "message", ""));
	}
	if (!names || g_variant_n_children(names) == 0) {
		ctl_print("nothing is kept aside\n");
	} else {
		g_autofree char *text = render_table_text(table, &ctl->out, 0);

		ctl_print(text);
	}
	return CTL_OK;
}

CtlExit ctl_diverged(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *message = NULL;
	const GOptionEntry entries[] = {
		{ "message", 'm', 0, G_OPTION_ARG_STRING, &message, "restore: why, for the history", "TEXT" },
		{ 0 },
	};
	const char *path;

	if (!ctl_options(ctl, &argc, &argv, entries, "[show NAME [PATH] | restore NAME [PATH]]",
			 "What was kept aside on this device: edits made on a Backup, and the line that lost after a split. show tells what it changed, "
			 "restore (on the Master) puts it, or one file or folder of it, to use.",
			 0, 3))
		return CTL_BAD_INPUT;
	if (argc == 1)
		return diverged_list(ctl);
	if (argc == 2 || !g_str_has_prefix(argv[2], "refs/diverged/"))
		return ctl_complain(ctl, CTL_BAD_INPUT, "diverged: show and restore need a name, refs/diverged/...");
	path = argc > 3 ? argv[3] : NULL;
	if (g_str_equal(argv[1], "show"))
		return difference(ctl, "", argv[2], path);
	if (g_str_equal(argv[1], "restore"))
		return restore(ctl, argv[2], path, message);
	return ctl_complain(ctl, CTL_BAD_INPUT, "diverged: show or restore, not \"%s\"", argv[1]);
}
