/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/notifyd/test-catalogue.c - the table of our own events, what the sources raise, and what docs/events.md says: all the same. */
#include <locale.h>
#include <string.h>

#include "notifyd/catalogue.h"
#include "notifyd/event.h"

/* Who raises events, and which of the arguments is the name. */
static const struct {
	const char *call;
	guint argument;
	const char *application;
} raisers[] = {
	{ "events_raise", 2, "REDUNDANCY" },	    { "events_raise_once", 4, "REDUNDANCY" }, { "settings_tell", 1, "REDUNDANCY" },
	{ "on_trouble", 0, "REDUNDANCY" },	    { "listener.trouble", 0, "REDUNDANCY" },  { "sync_service_notice", 1, "REDUNDANCY" },
	{ "sync_line_notice", 1, "REDUNDANCY" },    { "events->notice", 0, "REDUNDANCY" },    { "keep_aside", 2, "REDUNDANCY" },
	{ "add_note", 1, "NOTIFY" },		    { "raise_about", 1, "NOTIFY" },	      { "notify_engine_note", 1, "NOTIFY" },
	{ "notify_engine_show", 1, "NOTIFY" },	    { "watch_raise", 1, "NOTIFY" },
};

/* What hands on a name that another of these calls was given. */
static const char *const handed_on[] = { "name", "title", "news->a", "application", NULL };

/* The text behind '(' at @open as its arguments, split at the commas that are in no bracket and no string. */
static char **arguments(const char *open)
{
	GPtrArray *all = g_ptr_array_new();
	const char *begin = open + 1;
	guint depth = 0;
	bool quoted = false;

	for (const char *c = open; *c; c++) {
		if (quoted) {
			quoted = *c != '"';
			c += *c == '\\' && c[1];
			continue;
		}
		quoted = *c == '"';
		depth += *c == '(';
		depth -= *c == ')';
		if (!depth || (*c == ',' && depth == 1)) {
			g_ptr_array_add(all, g_strstrip(g_strndup(begin, (gsize)(c - begin))));
			begin = c + 1;
		}
		if (!depth)
			break;
	}
	g_ptr_array_add(all, NULL);
	return (char **)g_ptr_array_free(all, FALSE);
}

/* Every string in @argument is a name of the catalogue; one without any string hands on what another call has. */
static void check_argument(const char *file, const char *argument, const char *application, GHashTable *raised)
{
	g_auto(GStrv) parts = g_strsplit(argument, "\"", -1);

	if (g_strv_length(parts) < 3 && !g_strv_contains(handed_on, argument))
		g_error("%s: \"%s\" is no name that the catalogue could be asked for", file, argument);
	for (guint i = 1; parts[0] && parts[i] && parts[i + 1]; i += 2) {
		if (!catalogue_find(application, parts[i]))
			g_error("%s raises %s \"%s\", which is not in notifyd/catalogue.c", file, application, parts[i]);
		g_hash_table_add(raised, g_strdup_printf("%s %s", application, parts[i]));
	}
}

static bool is_declaration(const char *argument)
{
	return g_regex_match_simple("^const char \\*", argument, 0, 0);
}

static void check_file(const char *file, GHashTable *raised)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	for (gsize i = 0; i < G_N_ELEMENTS(raisers); i++) {
		g_autofree char *opened = g_strconcat(raisers[i].call, "(", NULL);

		for (const char *found = text; (found = strstr(found, opened)); found += strlen(opened)) {
			if (found > text && (g_ascii_isalnum(found[-1]) || found[-1] == '_'))
				continue;
			g_auto(GStrv) list = arguments(found + strlen(opened) - 1);

			g_assert_cmpuint(g_strv_length(list), >, raisers[i].argument);
			if (!is_declaration(list[raisers[i].argument]))
				check_argument(file, list[raisers[i].argument], raisers[i].application, raised);
		}
	}
}

static void check_folder(const char *folder, GHashTable *raised)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

	g_assert_nonnull(dir);
	for (const char *name; (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_DIR))
			check_folder(path, raised);
		else if (g_str_has_suffix(name, ".c"))
			check_file(path, raised);
	}
}

/* Nobody raises what the catalogue does not know, and it knows nothing that nobody raises. */
static void test_raisers(void)
{
	static const char *const folders[] = { "supervisor", "syncd", "vrrpd", "notifyd", "snmp" };
	g_autoptr(GHashTable) raised = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	gsize n;
	const CatalogueEvent *events = catalogue_events(&n);

	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *folder = g_build_filename(SOURCE_DIR, folders[i], NULL);
		check_folder(folder, raised);
	}
	for (gsize i = 0; i < n; i++) {
		g_autofree char *both = g_strdup_printf("%s %s", events[i].application, events[i].name);

		if (!g_hash_table_contains(raised, both))
			g_error("notifyd/catalogue.c has %s, which nobody raises", both);
	}
}

static char *row_of(const CatalogueEvent *event)
{
	g_autoptr(GString) priorities = g_string_new(NULL);
	g_autofree char *about = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(event->priorities) && event->priorities[i]; i++)
		g_string_append_printf(priorities, "%s%u", i ? ", " : "", event->priorities[i]);
	about = event->about ? g_strdup_printf("`%s`%s", event->about, event->recovery ? ", is well again" : "") : g_strdup("");
	return g_strdup_printf("| `%s` | %s | %s | %s | %s |\n", event->name, priorities->str, catalogue_default_actions(event->priorities[0]), about,
			       event->sentence);
}

/* The tables in docs/events.md are this one. */
static void test_document(void)
{
	g_autofree char *text = NULL;
	g_autoptr(GString) want = g_string_new(NULL), got = g_string_new(NULL);
	gsize n;
	const CatalogueEvent *events = catalogue_events(&n);

	for (gsize i = 0; i < n; i++) {
		g_autofree char *row = row_of(&events[i]);
		g_string_append(want, row);
	}
	g_assert_true(g_file_get_contents(SOURCE_DIR "/docs/events.md", &text, NULL, NULL));
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, "| `"))
			g_string_append_printf(got, "%s\n", *line);
	if (strcmp(got->str, want->str) != 0)
		g_error("docs/events.md has not these rows:\n%s", want->str);
}

static void test_table(void)
{
	gsize n;
	const CatalogueEvent *events = catalogue_events(&n);

	for (gsize i = 0; i < n; i++) {
		const CatalogueEvent *event = &events[i];
		bool has_trouble = false;

		g_assert_true(catalogue_find(event->application, event->name) == event);
		g_assert_true(*event->sentence && !g_str_has_suffix(event->sentence, ".") && !strchr(event->sentence, '|'));
		for (gsize j = 0; j < 3 && event->priorities[j]; j++) {
			g_autoptr(NotifyEvent) one = notify_event_new(event->application, event->name, event->priorities[j], "", "", "a", 0);
			g_autoptr(GError) error = NULL;

			g_assert_true(notify_event_check(one, &error));
			g_assert_no_error(error);
		}
		g_assert_cmpuint(event->priorities[0], >, 0);
		for (gsize j = 0; j < n; j++)
			has_trouble |= !events[j].recovery && g_strcmp0(events[j].about, event->about) == 0;
		g_assert_true(!event->recovery || (event->about && has_trouble && catalogue_recovered_priority(event) > 0));
	}
	g_assert_null(catalogue_find("NOTIFY", "down"));
	g_assert_null(catalogue_find("REDUNDANCY", "DOWN"));
	g_assert_cmpstr(catalogue_default_actions(1), ==, "");
	g_assert_cmpstr(catalogue_default_actions(2), ==, "display");
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/catalogue/table", test_table);
	g_test_add_func("/catalogue/raisers", test_raisers);
	g_test_add_func("/catalogue/document", test_document);
	return g_test_run();
}
