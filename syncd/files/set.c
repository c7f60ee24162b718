/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/set.c - data sets, and what they leave to one another. */
#include "syncd/files/set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/path.h"

const char *const sync_ref_names[SYNC_N_REFS] = { [SYNC_REF_CONFIG] = "config", [SYNC_REF_VOLATILE] = "volatile", [SYNC_REF_VOICE] = "voice" };
const char *const sync_database_suffixes[] = { "-wal", "-shm", "-journal", NULL };

void sync_set_free(SyncSet *set)
{
	g_free(set->name);
	g_free(set->root);
	g_free(set->database);
	g_strfreev(set->include);
	g_strfreev(set->exclude);
	g_free(set);
}

SyncSet *sync_set_copy(const SyncSet *set)
{
	SyncSet *copy = g_memdup2(set, sizeof *set);

	copy->name = g_strdup(set->name);
	copy->root = g_strdup(set->root);
	copy->database = g_strdup(set->database);
	copy->include = g_strdupv(set->include);
	copy->exclude = g_strdupv(set->exclude);
	return copy;
}

/* A path as a pattern that matches nothing else. */
static char *literal_pattern(const char *path)
{
	GString *pattern = g_string_new("/");

	for (const char *p = path; *p; p++) {
		if (strchr("*?[\\", *p))
			g_string_append_c(pattern, '\\');
		g_string_append_c(pattern, *p);
	}
	return g_string_free(pattern, FALSE);
}

/* @inner relative to the folder @outer, or NULL when it is not below it. */
static const char *below(const char *outer, const char *inner)
{
	gsize length = strlen(outer);

	while (length > 0 && outer[length - 1] == '/')
		length--;
	return strncmp(inner, outer, length) == 0 && inner[length] == '/' && inner[length + 1] ? inner + length + 1 : NULL;
}

static char **excludes(const Settings *settings, const SettingsData *data)
{
	g_autoptr(GStrvBuilder) patterns = g_strv_builder_new();

	for (guint i = 0; data->exclude[i]; i++)
		g_strv_builder_add(patterns, data->exclude[i]);
	/* These two are what keeps it here also when the peer sends it. */
	g_strv_builder_addv(patterns, (const char **)settings_never_travel);
	for (guint i = 0; settings->own_files[i]; i++) {
		const char *inner = below(data->path, settings->own_files[i]);
		g_autofree char *pattern = inner ? literal_pattern(inner) : NULL;

		if (pattern)
			g_strv_builder_add(patterns, pattern);
	}
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = settings->applications->pdata[i];

		for (guint k = 0; k < application->data->len; k++) {
			const SettingsData *other = application->data->pdata[k];
			const char *inner = other == data ? NULL : below(data->path, other->path);

			if (!inner)
				continue;
			g_autofree char *pattern = literal_pattern(inner);
			g_strv_builder_add(patterns, pattern);
			for (guint s = 0; other->kind == SETTINGS_DATA_SQLITE && sync_database_suffixes[s]; s++) {
				g_autofree char *companion = g_strconcat(pattern, sync_database_suffixes[s], NULL);
				g_strv_builder_add(patterns, companion);
			}
		}
	}
	return g_strv_builder_end(patterns);
}

static SyncRef ref_of(SettingsRef ref)
{
	switch (ref) {
	case SETTINGS_REF_CONFIG:
		return SYNC_REF_CONFIG;
	case SETTINGS_REF_VOLATILE:
		return SYNC_REF_VOLATILE;
	case SETTINGS_REF_VOICE:
		return SYNC_REF_VOICE;
	}
	g_assert_not_reached();
}

GPtrArray *sync_sets_new(const Settings *settings)
{
	GPtrArray *sets = g_ptr_array_new_with_free_func((GDestroyNotify)sync_set_free);

	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = settings->applications->pdata[i];

		for (guint k = 0; k < application->data->len; k++) {
			const SettingsData *data = application->data->pdata[k];
			SyncSet *set = g_new0(SyncSet, 1);

			set->name = g_strconcat(application->name, ".", data->name, NULL);
			set->ref = ref_of(data->ref);
			set->include = g_strdupv(data->include);
			set->exclude = excludes(settings, data);
			if (data->kind == SETTINGS_DATA_SQLITE) {
				set->root = g_path_get_dirname(data->path);
				set->database = g_path_get_basename(data->path);
			} else {
				set->root = g_strdup(data->path);
			}
			g_ptr_array_add(sets, set);
		}
	}
	return sets;
}

int sync_set_open(const SyncSet *set)
{
	int fd = open(set->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char self[32];

	if (fd < 0)
		return -1;
	/* Whoever may write a folder above can put a link in its place at any time, and this process passes over the rights of files. */
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	g_autofree char *real = g_file_read_link(self, NULL);
	if (real && (set->staged || !settings_forbidden_data(real)))
		return fd;
	(void)close(fd);
	errno = EPERM;
	return -1;
}

bool sync_set_leaves_out(const SyncSet *set, const char *path, bool folder)
{
	g_autofree char *at = g_strdup(path);
	bool out = !folder && !sync_path_included(path, (const char *const *)set->include);

	while (*at && !out) {
		out = sync_path_excluded(at, (const char *const *)set->exclude);
		char *above = sync_path_parent(at);
		g_free(at);
		at = above;
	}
	return out;
}

const SyncSet *sync_sets_find(GPtrArray *sets, SyncRef ref, const char *name)
{
	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];

		if (set->ref == ref && g_str_equal(set->name, name))
			return set;
	}
	return NULL;
}

bool sync_sets_any(GPtrArray *sets, SyncRef ref)
{
	for (guint i = 0; i < sets->len; i++)
		if (((const SyncSet *)sets->pdata[i])->ref == ref)
			return true;
	return false;
}

char *sync_sets_tree_path(GPtrArray *sets, SyncRef ref, const char *path)
{
	const SyncSet *innermost = NULL;
	const char *rest = NULL;

	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];
		const char *inner = g_str_equal(set->root, path) ? "" : below(set->root, path);

		if (!inner || set->ref != ref || (set->database && !g_str_equal(inner, set->database)))
			continue;
		if (innermost && strlen(innermost->root) >= strlen(set->root))
			continue;
		innermost = set;
		rest = inner;
	}
	if (!innermost)
		return NULL;
	return *rest ? g_strconcat(innermost->name, "/", rest, NULL) : g_strdup(innermost->name);
}
