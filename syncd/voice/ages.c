/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/ages.c - ages by name, and the look that they are of. */
#include "syncd/voice/ages.h"

#include <string.h>

#define HEADER "understudy-ages 1"

struct SyncAges {
	GHashTable *seconds; /* name -> gint64* */
	char *boot;
	gint64 looked_s;
};

static void put(GHashTable *seconds, const char *name, gint64 age)
{
	g_hash_table_insert(seconds, g_strdup(name), g_memdup2(&age, sizeof age));
}

static GHashTable *table_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* "word number" */
static bool parse_line(const char *line, char **ret_word, gint64 *ret_number)
{
	const char *blank = strchr(line, ' ');

	if (!blank || blank == line || !g_ascii_string_to_signed(blank + 1, 10, 0, G_MAXINT64, ret_number, NULL))
		return false;
	*ret_word = g_strndup(line, (gsize)(blank - line));
	return true;
}

SyncAges *sync_ages_new(const char *text)
{
	SyncAges *ages = g_new0(SyncAges, 1);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

	ages->seconds = table_new();
	ages->boot = g_strdup("");
	for (guint i = 0; lines[i] && lines[0] && g_str_equal(lines[0], HEADER); i++) {
		g_autofree char *word = NULL;
		gint64 number;

		if (i == 0 || !parse_line(lines[i], &word, &number))
			continue;
		if (i > 1) {
			put(ages->seconds, word, number);
			continue;
		}
		g_free(ages->boot);
		ages->boot = g_steal_pointer(&word);
		ages->looked_s = number;
	}
	return ages;
}

void sync_ages_free(SyncAges *ages)
{
	if (!ages)
		return;
	g_hash_table_unref(ages->seconds);
	g_free(ages->boot);
	g_free(ages);
}

static gint compare(gconstpointer a, gconstpointer b, gpointer unused)
{
	return strcmp(a, b);
}

char *sync_ages_text(const SyncAges *ages)
{
	GString *text = g_string_new(NULL);
	g_autoptr(GList) names = g_list_sort_with_data(g_hash_table_get_keys(ages->seconds), compare, NULL);

	g_string_append_printf(text, HEADER "\n%s %" G_GINT64_FORMAT "\n", *ages->boot ? ages->boot : "unknown", ages->looked_s);
	for (GList *each = names; each; each = each->next)
		g_string_append_printf(text, "%s %" G_GINT64_FORMAT "\n", (const char *)each->data, sync_ages_of(ages, each->data));
	return g_string_free(text, FALSE);
}

void sync_ages_pass(SyncAges *ages, const char *const *names, const char *boot, gint64 now_s)
{
	gint64 passed_s = g_str_equal(ages->boot, boot) ? MAX(now_s - ages->looked_s, 0) : 0;
	g_autoptr(GHashTable) before = g_steal_pointer(&ages->seconds);

	ages->seconds = table_new();
	for (guint i = 0; names[i]; i++) {
		const gint64 *age = g_hash_table_lookup(before, names[i]);

		put(ages->seconds, names[i], !age ? 0 : *age > G_MAXINT64 - passed_s ? G_MAXINT64 : *age + passed_s);
	}
	g_free(ages->boot);
	ages->boot = g_strdup(boot);
	ages->looked_s = now_s;
}

gint64 sync_ages_of(const SyncAges *ages, const char *name)
{
	const gint64 *age = g_hash_table_lookup(ages->seconds, name);

	return age ? *age : 0;
}
