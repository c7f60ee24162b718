/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/manifest.c - the text of a folder's manifest, both ways. */
#include "syncd/repository/manifest.h"

#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"

#define HEADER "understudy-folder 1"

enum { FILE_BITS = 01777, FOLDER_BITS = 07777 };

G_LOCK_DEFINE_STATIC(shared);

char *sync_shared_new(const char *text)
{
	G_LOCK(shared);
	char *one = g_ref_string_new_intern(text);
	G_UNLOCK(shared);
	return one;
}

void sync_shared_free(char *text)
{
	G_LOCK(shared);
	g_ref_string_release(text);
	G_UNLOCK(shared);
}

SyncMeta *sync_meta_new(SyncKind kind, guint mode, const char *owner, const char *group, gint64 mtime_ns, const char *name)
{
	gsize length = name ? strlen(name) + 1 : 0;
	SyncMeta *meta = g_malloc0(sizeof *meta + length);

	meta->kind = kind;
	meta->mode = mode & (kind == SYNC_KIND_FOLDER ? FOLDER_BITS : FILE_BITS);
	meta->owner = sync_shared_new(owner);
	meta->group = sync_shared_new(group);
	meta->mtime_ns = kind == SYNC_KIND_FOLDER ? 0 : mtime_ns;
	if (name)
		meta->name = memcpy(meta + 1, name, length);
	return meta;
}

void sync_meta_init_copy(SyncMeta *meta, const SyncMeta *from)
{
	*meta = *from;
	meta->owner = g_ref_string_acquire(from->owner);
	meta->group = g_ref_string_acquire(from->group);
	meta->name = NULL;
}

void sync_meta_clear(SyncMeta *meta)
{
	g_clear_pointer(&meta->owner, sync_shared_free);
	g_clear_pointer(&meta->group, sync_shared_free);
}

void sync_meta_free(SyncMeta *meta)
{
	if (!meta)
		return;
	sync_meta_clear(meta);
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

static bool is_plain(const char *word)
{
	for (const guchar *p = (const guchar *)word; *p; p++)
		if (*p <= ' ' || *p == '%' || *p > 0x7e)
			return false;
	return *word != '\0';
}

static void append_text(GString *text, const char *word)
{
	g_autofree char *escaped = is_plain(word) ? NULL : sync_escape(word);

	g_string_append(text, escaped ? escaped : word);
	g_string_append_c(text, ' ');
}

static void append_line(GString *text, const SyncMeta *meta)
{
	g_string_append_printf(text, "%c %04o ", kind_letter(meta->kind), meta->mode);
	append_text(text, meta->owner);
	append_text(text, meta->group);
	g_string_append_printf(text, "%" G_GINT64_FORMAT " ", meta->mtime_ns);
	append_text(text, meta->name);
	text->str[text->len - 1] = '\n';
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

/* As we write it: no sign, no zero in front. */
static bool parse_time(const char *word, gint64 *ret)
{
	guint64 value;

	if ((word[0] == '0' && word[1] != '\0') || !g_ascii_string_to_unsigned(word, 10, 0, G_MAXINT64, &value, NULL))
		return false;
	*ret = (gint64)value;
	return true;
}

/* Four octal digits. */
static bool parse_mode(const char *word, guint most, guint *ret)
{
	guint mode = 0, n = 0;

	for (; n < 4 && word[n] >= '0' && word[n] <= '7'; n++)
		mode = mode << 3 | (guint)(word[n] - '0');
	*ret = mode;
	return n == 4 && word[4] == '\0' && mode <= most;
}

/* The text that @word stands for, in the place of it or as *ret_free. NULL: it is not as we write it. */
static const char *parse_text(const char *word, char **ret_free)
{
	if (is_plain(word))
		return word;
	*ret_free = sync_unescape(word, NULL);
	g_autofree char *again = *ret_free ? sync_escape(*ret_free) : NULL;
	return again && g_str_equal(again, word) ? *ret_free : NULL;
}

/* Cuts @line into its words; false: it has not so many. */
static bool cut(char *line, char *words[], guint n)
{
	for (guint i = 0; i < n; i++) {
		words[i] = line;
		line = strchr(line, ' ');
		if ((line == NULL) != (i == n - 1))
			return false;
		if (line)
			*line++ = '\0';
	}
	return true;
}

/* One folder has one text: else two trees that mean the same would differ for ever. So nothing is taken that is written in another way than ours. */
static SyncMeta *parse_line(char *text, guint line, GError **error)
{
	g_autofree char *free_owner = NULL, *free_group = NULL, *free_name = NULL;
	char *words[6];
	SyncKind kind;
	gint64 mtime_ns;
	guint mode;

	if (!cut(text, words, G_N_ELEMENTS(words))) {
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
	if (!parse_mode(words[1], kind == SYNC_KIND_FOLDER ? FOLDER_BITS : FILE_BITS, &mode)) {
		bad(error, line, "mode");
		return NULL;
	}
	if (!parse_time(words[4], &mtime_ns) || (kind == SYNC_KIND_FOLDER && mtime_ns != 0)) {
		bad(error, line, "time");
		return NULL;
	}
	const char *owner = parse_text(words[2], &free_owner), *group = parse_text(words[3], &free_group), *name = parse_text(words[5], &free_name);
	if (!owner || !group || !name) {
		bad(error, line, "not written as we write it");
		return NULL;
	}
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
	char *rest = copy, *line_text = strsep(&rest, "\n");
	if (!g_str_equal(line_text, HEADER)) {
		bad(error, 1, "not a manifest");
		return NULL;
	}
	const char *previous = NULL;
	for (guint i = 2; (line_text = strsep(&rest, "\n")); i++) {
		SyncMeta *meta = parse_line(line_text, i, error);

		if (!meta)
			return NULL;
		if (previous && strcmp(previous, meta->name) >= 0) {
			sync_meta_free(meta);
			bad(error, i, "out of order");
			return NULL;
		}
		previous = meta->name;
		g_hash_table_insert(metas, (gpointer)meta->name, meta);
	}
	return g_steal_pointer(&metas);
}
