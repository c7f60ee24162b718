/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/settings.c - understudy settings: show, set, edit, apply, history, restore. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "settings/settings.h"

#define CHANGE_TIMEOUT_MS 65000 /* both devices, and their disks */

typedef struct {
	char *file, *section, *reason;
	gboolean alone, dry_run;
	int count;
	bool reread; /* what was written by hand */
} Options;

typedef struct {
	char *text, *revision;
} Shown;

static bool get_text(Ctl *ctl, const char *file, Shown *ret_shown, CtlExit *ret_code)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Settings", g_variant_new("(s)", file),
					      CTL_CALL_TIMEOUT_MS, &error);

	if (!answer) {
		*ret_code = ctl_fail(ctl, CTL_SUPERVISOR, error);
		return false;
	}
	g_variant_get(answer, "(ss)", &ret_shown->text, &ret_shown->revision);
	return true;
}

static void shown_clear(Shown *shown)
{
	g_free(shown->text);
	g_free(shown->revision);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shown, shown_clear)

static void print_change(Ctl *ctl, const Options *options, GVariant *result)
{
	const char *scope = dict_string(result, "scope", "");
	g_autoptr(GVariant) notes = dict_value(result, "notes", "as");
	const char *note;

	if (ctl->json) {
		ctl_print_json(result);
		return;
	}
	if (g_str_equal(scope, "both"))
		ctl_printf("%s: changed on both devices\n", options->file);
	else if (g_str_equal(scope, "alone"))
		ctl_printf("%s: changed on this device alone\n", options->file);
	else if (g_str_equal(scope, "unchanged"))
		ctl_printf("%s: not changed, it says so already\n", options->file);
	else if (g_str_equal(scope, "none"))
		ctl_printf("%s: would be accepted\n", options->file);
	else if (options->reread)
		ctl_printf("the files are read again, and in use\n");
	else
		ctl_printf("%s: changed\n", options->file);
	for (gsize i = 0; notes && i < g_variant_n_children(notes); i++) {
		g_variant_get_child(notes, i, "&s", &note);
		ctl_printf("  %s\n", note);
	}
}

static CtlExit put_text(Ctl *ctl, const Options *options, const char *text, const char *base, const char *reason)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = NULL, result = NULL;
	GVariantBuilder builder;

	if (!g_utf8_validate(text, -1, NULL))
		return ctl_complain(ctl, CTL_BAD_INPUT, "settings: the text is not UTF-8");
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "alone", g_variant_new_boolean(options->alone));
	g_variant_builder_add(&builder, "{sv}", "dry_run", g_variant_new_boolean(options->dry_run));
	if (reason)
		g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(reason));
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "SetSettings",
			  g_variant_new("(sssa{sv})", options->file, text, base, &builder), CHANGE_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	result = g_variant_get_child_value(answer, 0);
	print_change(ctl, options, result);
	return CTL_OK;
}

static CtlExit show(Ctl *ctl, const Options *options)
{
	g_auto(Shown) shown = { 0 };
	CtlExit code;

	if (!get_text(ctl, options->file, &shown, &code))
		return code;
	if (ctl->json) {
		GVariantBuilder builder;

		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "text", g_variant_new_string(shown.text));
		g_variant_builder_add(&builder, "{sv}", "revision", g_variant_new_string(shown.revision));
		ctl_print_json(g_variant_builder_end(&builder));
	} else {
		ctl_print(shown.text);
	}
	return CTL_OK;
}

static CtlExit set(Ctl *ctl, const Options *options, const char *key, const char *value)
{
	const char *section = options->section ? options->section : g_str_equal(options->file, "device.conf") ? "device" : "pair";
	g_auto(Shown) shown = { 0 };
	g_autoptr(GError) error = NULL;
	CtlExit code;

	if (!get_text(ctl, options->file, &shown, &code))
		return code;
	g_autofree char *text = settings_with_key(shown.text, section, key, *value ? value : NULL, &error);
	if (!text)
		return ctl_complain(ctl, CTL_BAD_INPUT, "settings: %s: %s", options->file, error->message);
	if (g_str_equal(text, shown.text) && !options->dry_run) {
		GVariantBuilder builder;

		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "scope", g_variant_new_string("unchanged"));
		g_autoptr(GVariant) result = g_variant_ref_sink(g_variant_builder_end(&builder));
		print_change(ctl, options, result);
		return CTL_OK;
	}
	return put_text(ctl, options, text, shown.revision, options->reason);
}

static CtlExit apply(Ctl *ctl, const Options *options, const char *path)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;

	if (!g_file_get_contents(g_str_equal(path, "-") ? "/dev/stdin" : path, &text, NULL, &error))
		return ctl_complain(ctl, CTL_BAD_INPUT, "settings: %s", error->message);
	return put_text(ctl, options, text, "", options->reason);
}

/* In the words that $VISUAL or $EDITOR consists of, on the terminal that we have. */
static bool run_editor(const char *path, GError **error)
{
	const char *words = g_getenv("VISUAL") ? g_getenv("VISUAL") : g_getenv("EDITOR");
	g_auto(GStrv) argv = NULL;
	int n = 0, status;

	if (!g_shell_parse_argv(words && *words ? words : "editor", &n, &argv, error))
		return false;
	argv = g_realloc_n(argv, (gsize)n + 2, sizeof *argv);
	argv[n] = g_strdup(path);
	argv[n + 1] = NULL;
	return g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status, error) &&
	       g_spawn_check_wait_status(status, error);
}

static CtlExit edit(Ctl *ctl, const Options *options)
{
	g_auto(Shown) shown = { 0 };
	g_autofree char *path = NULL, *text = NULL;
	g_autoptr(GError) error = NULL;
	CtlExit code;
	int fd;

	if (!get_text(ctl, options->file, &shown, &code))
		return code;
	fd = g_file_open_tmp("understudy-XXXXXX.conf", &path, &error);
	if (fd < 0)
		return ctl_complain(ctl, CTL_REFUSED, "settings: %s", error->message);
	close(fd);
	if (!g_file_set_contents(path, shown.text, -1, &error) || !run_editor(path, &error) || !g_file_get_contents(path, &text, NULL, &error)) {
		g_unlink(path);
		return ctl_complain(ctl, CTL_REFUSED, "settings: nothing changed: %s", error->message);
	}
	if (g_str_equal(text, shown.text)) {
		g_unlink(path);
		ctl_printf("%s: not changed\n", options->file);
		return CTL_OK;
	}
	code = put_text(ctl, options, text, shown.revision, options->reason);
	if (code == CTL_OK)
		g_unlink(path);
	else
		ctl_note(ctl, "your text is in %s; understudy settings apply takes it when it is mended", path);
	return code;
}

static CtlExit history(Ctl *ctl, const Options *options)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "SettingsHistory",
					      g_variant_new("(su)", options->file, (guint32)options->count), CTL_CALL_TIMEOUT_MS, &error);
	g_autoptr(RenderTable) table = render_table_new(5);
	g_autoptr(GVariant) versions = NULL;
	g_autofree char *text = NULL;

	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	versions = g_variant_get_child_value(answer, 0);
	if (ctl->json) {
		ctl_print_json(versions);
		return CTL_OK;
	}
	for (gsize i = 0; i < g_variant_n_children(versions); i++) {
		g_autoptr(GVariant) version = g_variant_get_child_value(versions, i);
		g_autofree char *time = render_time(dict_int(version, "time_ms", 0), ctl->zone, false);
		const char *why = dict_string(version, "why", "");
		bool lost = g_str_equal(why, "kept-aside") || g_str_equal(why, "not-committed");

		render_table_addf(table, RENDER_PLAIN, "%" G_GINT64_FORMAT, dict_int(version, "number", 0));
		render_table_add(table, RENDER_PLAIN, dict_bool(version, "in_use") ? "in use" : "");
		render_table_add(table, RENDER_DIM, time);
		render_table_add(table, RENDER_PLAIN, dict_string(version, "who", ""));
		render_table_add(table, lost ? RENDER_WARNING : RENDER_PLAIN, why);
	}
	text = render_table_text(table, &ctl->out, 0);
	ctl_print(text);
	return CTL_OK;
}

static CtlExit restore(Ctl *ctl, Options *options, const char *word)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = NULL;
	g_auto(Shown) shown = { 0 };
	const char *file, *text;
	guint64 number;
	CtlExit code;

	if (!g_ascii_string_to_unsigned(word, 10, 1, G_MAXUINT, &number, NULL))
		return ctl_complain(ctl, CTL_BAD_INPUT, "settings restore: a number from understudy settings history, not \"%s\"", word);
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "SettingsVersion", g_variant_new("(u)", (guint32)number),
			  CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	g_variant_get(answer, "(&s&s)", &file, &text);
	g_free(options->file);
	options->file = g_strdup(file);
	if (!get_text(ctl, file, &shown, &code))
		return code;
	return put_text(ctl, options, text, shown.revision, options->reason ? options->reason : "restored");
}

static CtlExit reload(Ctl *ctl)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Reload", NULL, CHANGE_TIMEOUT_MS, &error);
	g_autoptr(GVariant) result = answer ? g_variant_get_child_value(answer, 0) : NULL;
	Options options = { .file = (char *)"pair.conf", .reread = true };

	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	print_change(ctl, &options, result);
	return CTL_OK;
}

static CtlExit run(Ctl *ctl, Options *options, int argc, char **argv)
{
	static const struct {
		const char *name;
		int n_arguments;
		const char *usage;
	} actions[] = {
		{ "show", 0, "show" },	 { "set", 2, "set KEY VALUE" }, { "edit", 0, "edit" },
		{ "apply", 1, "apply FILE" }, { "history", 0, "history" },	{ "restore", 1, "restore N" },
		{ "reload", 0, "reload" },
	};
	gsize i = 0;

	while (i < G_N_ELEMENTS(actions) && !g_str_equal(argv[1], actions[i].name))
		i++;
	if (i == G_N_ELEMENTS(actions))
		return ctl_complain(ctl, CTL_BAD_INPUT, "settings: show, set, edit, apply, history, restore or reload, not \"%s\"", argv[1]);
	if (argc - 2 != actions[i].n_arguments)
		return ctl_complain(ctl, CTL_BAD_INPUT, "usage: understudy settings %s", actions[i].usage);
	switch (i) {
	case 0:
		return show(ctl, options);
	case 1:
		return set(ctl, options, argv[2], argv[3]);
	case 2:
		return edit(ctl, options);
	case 3:
		return apply(ctl, options, argv[2]);
	case 4:
		return history(ctl, options);
	case 5:
		return restore(ctl, options, argv[2]);
	case 6:
		return reload(ctl);
	}
	g_assert_not_reached();
}

CtlExit ctl_settings(Ctl *ctl, int argc, char **argv)
{
	Options options = { .count = 20 };
	const GOptionEntry entries[] = {
		{ "file", 'f', 0, G_OPTION_ARG_STRING, &options.file, "pair.conf (the default), device.conf; to show: applications.d/NAME.conf, too", "FILE" },
		{ "section", 0, 0, G_OPTION_ARG_STRING, &options.section, "Where KEY is: \"group lan\"; pair by itself, or device in device.conf", "NAME" },
		{ "alone", 0, 0, G_OPTION_ARG_NONE, &options.alone,
		  "Also what the two find each other by, while the other device is away: it will need the same, by hand or when it is back", NULL },
		{ "dry-run", 0, 0, G_OPTION_ARG_NONE, &options.dry_run, "Only say whether it would be accepted", NULL },
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &options.reason, "Goes into the history", "TEXT" },
		{ "count", 'n', 0, G_OPTION_ARG_INT, &options.count, "At most N of the history (20)", "N" },
		{ 0 },
	};
	CtlExit code = CTL_BAD_INPUT;

	if (ctl_options(ctl, &argc, &argv, entries, "show | set KEY VALUE | edit | apply FILE | history | restore N | reload",
			"Shows and changes the settings: those of the pair on both devices together. An empty VALUE takes the key away.\n"
			"reload reads again what was written to the files by hand.", 1, 3)) {
		if (!options.file)
			options.file = g_strdup("pair.conf");
		if (options.count < 1)
			code = ctl_complain(ctl, CTL_BAD_INPUT, "settings: --count is at least 1");
		else
			code = run(ctl, &options, argc, argv);
	}
	g_free(options.file);
	g_free(options.section);
	g_free(options.reason);
	return code;
}

/* ---- Redundancy on and off ---- */

static CtlExit switch_redundancy(Ctl *ctl, int argc, char **argv, const char *summary, bool enable)
{
	/* Without redundancy the two are not connected: each is told by itself. */
	Options options = { .file = (char *)"pair.conf", .section = (char *)"pair", .alone = enable };
	const GOptionEntry entries[] = {
		{ "alone", 0, 0, G_OPTION_ARG_NONE, &options.alone, "Also when the other device cannot be told", NULL },
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &options.reason, "Shown in the history of the settings", "TEXT" },
		{ 0 },
	};

	if (!ctl_options(ctl, &argc, &argv, entries, "", summary, 0, 0))
		return CTL_BAD_INPUT;
	return set(ctl, &options, "enabled", enable ? "true" : "false");
}

CtlExit ctl_enable(Ctl *ctl, int argc, char **argv)
{
	return switch_redundancy(ctl, argc, argv, "Turns redundancy on: enabled=true in pair.conf. Ordered on each of the two, first on the one whose data shall be kept.", true);
}

CtlExit ctl_disable(Ctl *ctl, int argc, char **argv)
{
	return switch_redundancy(ctl, argc, argv, "Turns redundancy off: enabled=false in pair.conf, on both devices; each is a PBX of its own then.",
				 false);
}
