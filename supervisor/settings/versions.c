/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/versions.c - the folder of versions. */
#include "supervisor/settings/versions.h"

#include <string.h>

struct Versions {
	Store *store;
	char *folder;
	GArray *numbers; /* of guint, rising */
};

static gint compare_numbers(gconstpointer a, gconstpointer b)
{
	guint x = *(const guint *)a, y = *(const guint *)b;

	return x < y ? -1 : x > y;
}

Versions *versions_new(Store *store, const char *folder)
{
	Versions *versions = g_new0(Versions, 1);

	versions->store = store;
	versions->folder = g_strdup(folder);
	versions->numbers = g_array_new(FALSE, FALSE, sizeof(guint));
	(void)g_mkdir_with_parents(folder, 0700);
	g_auto(GStrv) names = store_list(store, folder);
	for (char **name = names; *name; name++) {
		guint64 number;
		if (g_ascii_string_to_unsigned(*name, 10, 1, G_MAXUINT, &number, NULL)) {
			guint small = (guint)number;
			g_array_append_val(versions->numbers, small);
		}
	}
	g_array_sort(versions->numbers, compare_numbers);
	return versions;
}

void versions_free(Versions *versions)
{
	if (!versions)
		return;
	g_array_unref(versions->numbers);
	g_free(versions->folder);
	g_free(versions);
}

Version *versions_get(const Versions *versions, guint number)
{
	g_autofree char *path = g_strdup_printf("%s/%u", versions->folder, number), *content = store_read(versions->store, path);
	Version *version = content ? version_parse(content) : NULL;
	if (version)
		version->number = number;
	return version;
}

GPtrArray *versions_list(const Versions *versions, const char *file, guint most)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(version_free);

	for (guint i = versions->numbers->len; i > 0 && list->len < most; i--) {
		Version *version = versions_get(versions, g_array_index(versions->numbers, guint, i - 1));
		if (version && strcmp(version->file, file) == 0)
			g_ptr_array_add(list, version);
		else
			version_free(version);
	}
	return list;
}

/* Every other word is about one that is in use: the same again is no new version. */
static const char *const versions_aside[] = { VERSIONS_NOT_COMMITTED, VERSIONS_KEPT_ASIDE, NULL };

guint versions_add(Versions *versions, const char *file, const char *text, const Revision *revision, const char *who, const char *why)
{
	g_autoptr(GPtrArray) newest = versions_list(versions, file, 1);
	guint n = versions->numbers->len, number = n ? g_array_index(versions->numbers, guint, n - 1) + 1 : 1;

	if (newest->len) {
		const Version *last = newest->pdata[0];
		bool aside = g_strv_contains(versions_aside, last->why);
		if (strcmp(last->text, text) == 0 && (strcmp(last->why, why) == 0 || (!aside && !g_strv_contains(versions_aside, why))))
			return last->number;
	}
	Version version = { .file = (char *)file, .text = (char *)text, .who = (char *)who, .why = (char *)why, .revision = *revision,
			    .time_ms = g_get_real_time() / 1000 };
	g_autofree char *content = version_format(&version), *path = g_strdup_printf("%s/%u", versions->folder, number);
	store_write(versions->store, path, content);
	g_array_append_val(versions->numbers, number);
	while (versions->numbers->len > VERSIONS_MOST) {
		g_autofree char *oldest = g_strdup_printf("%s/%u", versions->folder, g_array_index(versions->numbers, guint, 0));
		store_remove(versions->store, oldest);
		g_array_remove_index(versions->numbers, 0);
	}
	return number;
}
