/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/manifest.c - the text of a folder's manifest, both ways. */
#include "syncd/repository/manifest.h"

#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"

#define HEADER "understudy-folder 1"

enum { FILE_BITS = 01777, FOLDER_BITS = 07777 };

SyncMeta *sync_meta_new(SyncKind kind, guint mode, const char *owner, const char *group, gint64 mtime_ns, const char *name)
{
	SyncMeta *meta = g_new0(SyncMeta, 1);

	meta->kind = kind;
	meta->mode = mode & (kind == SYNC_KIND_FOLDER ? FOLDER_BITS : FILE_BITS);
	meta->owner = g_strdup(owner);
	meta->group = g_strdup(group);
	meta->mtime_ns = kind == SYNC_KIND_FOLDER ? 0 : mtime_ns;
	meta->name = g_strdup(name);
	return meta;
}

void sync_meta_free(SyncMeta *meta)
{
	if (!meta)
		return;
	g_free(meta->owner);
	g_free(meta->group);
	g_free(meta->name);
	g_free(meta);
}

bool sync_meta_equal(const SyncMeta *a, const SyncMeta *b)
{
	return a->kind == b->kind && a->mode == b->mode && a->mtime_ns == b->mtime_ns && g_str_equal(a->owner, b->owner) &&
	       g_str_equal(a->group, b->group);
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp((*(const SyncMeta *const *)a)->name, (*(const SyncMeta *const *)b)->name);
}

static char kind_letter(SyncKind kind)
{
	switch (kind) {
	case SYNC_KIND_FILE:
		return 'f';
	case SYNC_KIND_LINK:
		return 'l';
	case SYNC_KIND_FOLDER:
		return 'd';
	}
	g_assert_not_reached();
}

static void append_line(GString *text, const SyncMeta *meta)
{
	g_autofree char *owner = sync_escape(meta->owner);
	g_autofree char *group = sync_escape(meta->group);
	g_autofree char *name = sync_escape(meta->name);

	g_string_append_printf(text, "%c %04o %s %s %" G_GINT64_FORMAT " %s\n", kind_letter(meta->kind), meta->mode, owner, group,
			       meta->mtime_ns, name);
}

char *sync_manifest_build(GPtrArray *metas)
{
	GString *text = g_string_new(HEADER "\n");

	g_ptr_array_sort(metas, by_name);
	for (guint i = 0; i < metas->len; i++)
		append_line(text, metas->pdata[i]);
	return g_string_free(text, FALSE);
}

static bool bad(GError **error, guint line, const char *reason)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "folder manifest, line %u: %s", line, reason);
	return false;
}

static bool parse_number(const char *word, guint base, guint64 max, guint64 *ret)
{
	return g_ascii_string_to_unsigned(word, base, 0, max, ret, NULL);
}

static SyncMeta *parse_line(char **words, guint line, GError **error)
{
	SyncKind kind;
	guint64 mode, mtime_ns;

	if (g_strv_length(words) != 6) {
		bad(error, line, "not six words");
		return NULL;
	}
	if (g_str_equal(words[0], "f")) {
		kind = SYNC_KIND_FILE;
	} else if (g_str_equal(words[0], "l")) {
		kind = SYNC_KIND_LINK;
	} else if (g_str_equal(words[0], "d")) {
		kind = SYNC_KIND_FOLDER;
	} else {
		bad(error, line, "unknown kind");
		return NULL;
	}
	if (!parse_number(words[1], 8, kind == SYNC_KIND_FOLDER ? FOLDER_BITS : FILE_BITS, &mode)) {
		bad(error, line, "mode");
		return NULL;
	}
	if (!parse_number(words[4], 10, G_MAXINT64, &mtime_ns)) {
		bad(error, line, "time");
		return NULL;
	}
	g_autofree char *owner = sync_unescape(words[2], error);
	if (!owner)
		return NULL;
	g_autofree char *group = sync_unescape(words[3], error);
	if (!group)
		return NULL;
	g_autofree char *name = sync_unescape(words[5], error);
	if (!name)
		return NULL;
	if (*owner == '\0' || *group == '\0') {
		bad(error, line, "no owner");
		return NULL;
	}
	bool self = g_str_equal(name, ".");
	if (self != (kind == SYNC_KIND_FOLDER) || (!self && (!sync_name_ok(name) || sync_name_is_ours(name)))) {
		bad(error, line, "name");
		return NULL;
	}
	return sync_meta_new(kind, mode, owner, group, mtime_ns, name);
}

GHashTable *sync_manifest_parse(const char *text, gsize length, GError **error)
{
	g_autofree char *copy = g_strndup(text, length);
	g_autoptr(GHashTable) metas = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sync_meta_free);

	if (strlen(copy) != length || length == 0 || copy[length - 1] != '\n') {
		bad(error, 0, "not a text");
		return NULL;
	}
	copy[length - 1] = '\0';
	g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
	if (!lines[0] || !g_str_equal(lines[0], HEADER)) { /* an empty text has no lines at all */
		bad(error, 1, "not a manifest");
		return NULL;
	}
	const char *previous = NULL;
	g_autoptr(GString) again = g_string_new(NULL);
	for (guint i = 1; lines[i]; i++) {
		g_auto(GStrv) words = g_strsplit(lines[i], " ", 7);
		SyncMeta *meta = parse_line(words, i + 1, error);

		if (!meta)
			return NULL;
		/* One folder has one text: else two trees that mean the same would differ for ever. */
		g_string_truncate(again, 0);
		append_line(again, meta);
		if (strncmp(again->str, lines[i], again->len - 1) != 0 || lines[i][again->len - 1] != '\0') {
			sync_meta_free(meta);
			bad(error, i + 1, "not written as we write it");
			return NULL;
		}
		if (previous && strcmp(previous, meta->name) >= 0) {
			sync_meta_free(meta);
			bad(error, i + 1, "out of order");
			return NULL;
		}
		previous = meta->name;
		g_hash_table_insert(metas, meta->name, meta);
	}
	return g_steal_pointer(&metas);
}
