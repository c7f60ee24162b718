/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/verify.c - understudy verify: whether both devices have the same bytes. */
#include "commands.h"

#define LONGEST_MS (24 * 3600 * 1000)

typedef struct {
	BusMirror *mirror;
	BusPending *pending;
	CtlProgress progress;
	GVariant *sets;
	GError *error;
} Verification;

static void on_progress(BusMirror *mirror, gpointer user_data)
{
	Verification *verification = user_data;
	GVariant *fraction = bus_mirror_get(mirror, "VerifyProgress", "d");

	if (fraction && verification->pending && g_variant_get_double(fraction) >= 0)
		ctl_progress(&verification->progress, g_variant_get_double(fraction), "reading the files of both devices");
}

static void on_answer(GVariant *values, const GError *error, gpointer user_data)
{
	Verification *verification = user_data;

	verification->pending = NULL;
	if (error)
		verification->error = g_error_copy(error);
	else
		verification->sets = g_variant_get_child_value(values, 0);
}

static bool is_over(gpointer user_data)
{
	return ((Verification *)user_data)->pending == NULL;
}

static void add_paths(Ctl *ctl, GVariant *report, const char *where, const char *what)
{
	g_autoptr(GVariant) paths = dict_value(report, what, "as");
	g_autofree char *count_key = g_strconcat("n_", what, NULL);
	gint64 count = dict_int(report, count_key, 0);
	gsize shown = paths ? g_variant_n_children(paths) : 0;

	for (gsize i = 0; i < shown; i++) {
		const char *path;

		g_variant_get_child(paths, i, "&s", &path);
		g_autofree char *clean = render_clean(path);
		ctl_printf("    %s %s: %s\n", what, where, *clean ? clean : "(its folder)");
	}
	if (count > (gint64)shown)
		ctl_printf("    and %" G_GINT64_FORMAT " more %s\n", count - (gint64)shown, where);
}

/* Of any of the two sides, and of any set, the worst. */
static CtlExit print_sets(Ctl *ctl, GVariant *sets)
{
	bool differs = false, moving = false;

	for (gsize i = 0; i < g_variant_n_children(sets); i++) {
		g_autoptr(GVariant) set = g_variant_get_child_value(sets, i);
		g_autoptr(GVariant) here = dict_value(set, "here", "a{sv}"), there = dict_value(set, "there", "a{sv}");
		const char *verdict = dict_string(set, "verdict", "differs");
		bool bad = g_str_equal(verdict, "differs"), moved = g_str_equal(verdict, "moving");
		g_autofree char *name = render_clean(dict_string(set, "set", "?"));
		g_autofree char *coloured = render_coloured(&ctl->out, bad ? RENDER_BAD : moved ? RENDER_WARNING : RENDER_GOOD,
							    bad ? "differs" : moved ? "changed meanwhile" : "same");

		differs = differs || bad;
		moving = moving || moved;
		if (ctl->json)
			continue;
		/* What the refs lead to is no data set. */
		bool stored = g_str_equal(name, "stored");
		ctl_printf("%s (%s): %s, %" G_GINT64_FORMAT " %s, %" G_GINT64_FORMAT " bytes\n", name, stored ? "the repository" : dict_string(set, "ref", "?"), coloured,
			   dict_int(here, "files", 0), stored ? "objects" : "files and folders", dict_int(here, "bytes", 0));
		for (const char *const *what = (const char *const[]){ "differs", "missing", "extra", NULL }; *what; what++) {
			add_paths(ctl, here, "here", *what);
			add_paths(ctl, there, "on the other device", *what);
		}
		if (bad && !stored && (g_variant_n_children(here) == 0 || g_variant_n_children(there) == 0))
			ctl_printf("    %s has no such data set\n", g_variant_n_children(here) == 0 ? "this device" : "the other device");
	}
	if (ctl->json)
		ctl_print_json(sets);
	return differs ? CTL_REFUSED : moving ? CTL_TIMED_OUT : CTL_OK;
}

CtlExit ctl_verify(Ctl *ctl, int argc, char **argv)
{
	Verification verification = { .progress = { .ctl = ctl } };
	g_autoptr(GError) error = NULL;
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Reads all files of the data sets on both devices and says whether they are the same, byte for byte: with what was committed and "
			 "applied, and with each other. Exit code 1: something differs; 4: nothing does, but a set changed while it was read.",
			 0, 0))
		return CTL_BAD_INPUT;
	if (!ctl_connect(ctl, &error))
		return ctl_fail(ctl, CTL_SYNC, error);
	verification.mirror = bus_mirror_new(ctl->link, ctl_bus_name(CTL_SYNC), ctl_path(CTL_SYNC), CTL_SYNC_INTERFACE, on_progress, &verification);
	verification.pending = bus_link_call(ctl->link, ctl_bus_name(CTL_SYNC), ctl_path(CTL_SYNC), CTL_SYNC_INTERFACE, "Verify", NULL, LONGEST_MS,
					     on_answer, &verification);
	(void)ctl_wait(is_over, &verification, LONGEST_MS);
	bus_pending_cancel(verification.pending);
	ctl_progress_end(&verification.progress);
	bus_mirror_free(verification.mirror);
	code = verification.error ? ctl_fail(ctl, CTL_SYNC, verification.error) :
	       verification.sets  ? print_sets(ctl, verification.sets) :
				    ctl_complain(ctl, CTL_TIMED_OUT, "verify: no answer in a day");
	g_clear_error(&verification.error);
	g_clear_pointer(&verification.sets, g_variant_unref);
	return code;
}
