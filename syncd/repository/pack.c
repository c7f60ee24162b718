/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/pack.c - version 2 of git's packs and indices. */
#include "syncd/repository/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/file.h"

enum {
	ROUND = 64 * 1024,  /* written at a time */
	LEAST = 4096,       /* left in it for what the compressor has to say */
	FANOUT = 256,
	SUM = GIT_OID_RAWSZ,
	MODE = 0444,
};

typedef struct {
	git_oid id;
	guint32 crc, at;
} Entry;

struct SyncPack {
	char *folder, *temporary;
	int fd;
	GArray *entries; /* of Entry */
	GConverter *deflate;
	GChecksum *sum;
	guint8 *round;
	guint filled;
	guint64 at;   /* in the file, of what comes next */
	guint32 crc;  /* of the present object */
};

/* ---- the sum of each object, as packed ---- */

static const guint32 *crc_table(void)
{
	static guint32 table[256];
	static gsize made;

	if (g_once_init_enter(&made)) {
		for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
			guint32 value = i;

			for (guint bit = 0; bit < 8; bit++)
				value = value & 1 ? 0xedb88320 ^ value >> 1 : value >> 1;
			table[i] = value;
		}
		g_once_init_leave(&made, 1);
	}
	return table;
}

static guint32 crc_add(guint32 crc, const guint8 *data, gsize length)
{
	const guint32 *table = crc_table();

	crc = ~crc;
	for (gsize i = 0; i < length; i++)
		crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

/* ---- the pack ---- */

static bool failed(const SyncPack *pack, GError **error)
{
	sync_error_from_errno(error, errno, "%s", pack->folder);
	return false;
}

static bool write_round(SyncPack *pack, GError **error)
{
	g_checksum_update(pack->sum, pack->round, pack->filled);
	if (!sync_file_append(pack->fd, (const char *)pack->round, pack->filled))
		return failed(pack, error);
	pack->filled = 0;
	return true;
}

/* The next @n bytes of the round have been filled. */
static void fill(SyncPack *pack, gsize n)
{
	pack->crc = crc_add(pack->crc, pack->round + pack->filled, n);
	pack->filled += (guint)n;
	pack->at += n;
}

static bool have_room(SyncPack *pack, GError **error)
{
	return ROUND - pack->filled >= LEAST || write_round(pack, error);
}

static void put(SyncPack *pack, const void *data, gsize length)
{
	memcpy(pack->round + pack->filled, data, length);
	fill(pack, length);
}

SyncPack *sync_pack_new(const char *folder, guint n, GError **error)
{
	const guint32 head[] = { GUINT32_TO_BE(2), GUINT32_TO_BE(n) };
	g_autoptr(SyncPack) pack = g_new0(SyncPack, 1);

	pack->folder = g_strdup(folder);
	pack->entries = g_array_sized_new(FALSE, FALSE, sizeof(Entry), n);
	pack->deflate = G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_ZLIB, 1));
	pack->sum = g_checksum_new(G_CHECKSUM_SHA1);
	pack->round = g_malloc(ROUND);
	/* Begins as what sync_repo_heal() removes, and unlike git's, which sync_heap_sweep() takes to be of one that was killed. */
	g_autofree char *temporary = g_build_filename(folder, "tmp_own_pack_XXXXXX", NULL);
	pack->fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, MODE);
	if (pack->fd < 0) {
		(void)failed(pack, error);
		return NULL;
	}
	pack->temporary = g_steal_pointer(&temporary);
	put(pack, "PACK", 4);
	put(pack, head, sizeof head);
	return g_steal_pointer(&pack);
}

void sync_pack_free(SyncPack *pack)
{
	if (!pack)
		return;
	if (pack->temporary)
		(void)unlink(pack->temporary);
	if (pack->fd >= 0)
		(void)close(pack->fd);
	g_free(pack->temporary);
	g_free(pack->folder);
	g_array_unref(pack->entries);
	g_object_unref(pack->deflate);
	g_checksum_free(pack->sum);
	g_free(pack->round);
	g_free(pack);
}

static void put_head(SyncPack *pack, git_object_t kind, gsize size)
{
	guint8 byte = (guint8)(kind << 4 | (size & 15));

	for (size >>= 4; size; size >>= 7) {
		byte |= 0x80;
		put(pack, &byte, 1);
		byte = size & 0x7f;
	}
	put(pack, &byte, 1);
}

bool sync_pack_add(SyncPack *pack, git_object_t kind, const git_oid *id, const void *data, gsize length, GError **error)
{
	Entry entry = { .id = *id, .at = (guint32)pack->at };
	GConverterResult result;
	gsize done = 0;

	pack->crc = 0;
	if (!have_room(pack, error))
		return false;
	put_head(pack, kind, length);
	g_converter_reset(pack->deflate);
	do {
		gsize n_read = 0, n_written = 0;

		if (!have_room(pack, error))
			return false;
		result = g_converter_convert(pack->deflate, length ? (const guint8 *)data + done : (const guint8 *)"", length - done,
					     pack->round + pack->filled, ROUND - pack->filled, G_CONVERTER_INPUT_AT_END, &n_read, &n_written, error);
		fill(pack, n_written);
		done += n_read;
	} while (result == G_CONVERTER_CONVERTED);
	if (result != G_CONVERTER_FINISHED)
		return false;
	entry.crc = pack->crc;
	g_array_append_val(pack->entries, entry);
	return true;
}

/* ---- the index ---- */

static int by_id(gconstpointer a, gconstpointer b)
{
	return git_oid_cmp(&((const Entry *)a)->id, &((const Entry *)b)->id);
}

static void append_number(GByteArray *to, guint32 number)
{
	number = GUINT32_TO_BE(number);
	g_byte_array_append(to, (const guint8 *)&number, sizeof number);
}

static const Entry *entry_at(const SyncPack *pack, guint i)
{
	return &g_array_index(pack->entries, Entry, i);
}

static GByteArray *make_index(SyncPack *pack, const guint8 pack_sum[SUM])
{
	guint n = pack->entries->len;
	GByteArray *index = g_byte_array_sized_new(8 + FANOUT * 4 + n * (SUM + 8) + 2 * SUM);
	guint8 sum[SUM];
	gsize sum_length = sizeof sum;

	g_array_sort(pack->entries, by_id);
	g_byte_array_append(index, (const guint8 *)"\377tOc", 4);
	append_number(index, 2);
	for (guint first = 0, i = 0; first < FANOUT; first++) {
		while (i < n && entry_at(pack, i)->id.id[0] <= first)
			i++;
		append_number(index, i);
	}
	for (guint i = 0; i < n; i++)
		g_byte_array_append(index, entry_at(pack, i)->id.id, SUM);
	for (guint i = 0; i < n; i++)
		append_number(index, entry_at(pack, i)->crc);
	for (guint i = 0; i < n; i++)
		append_number(index, entry_at(pack, i)->at);
	g_byte_array_append(index, pack_sum, SUM);
	g_autoptr(GChecksum) whole = g_checksum_new(G_CHECKSUM_SHA1);
	g_checksum_update(whole, index->data, index->len);
	g_checksum_get_digest(whole, sum, &sum_length);
	g_byte_array_append(index, sum, SUM);
	return index;
}

/* Git looks for packs by their indices: the pack has its name before. */
static bool write_index(SyncPack *pack, const guint8 sum[SUM], const char *path, GError **error)
{
	g_autoptr(GByteArray) index = make_index(pack, sum);
	g_autofree char *temporary = g_build_filename(pack->folder, "tmp_own_idx_XXXXXX", NULL);
	sync_autofd fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, MODE);

	if (fd < 0)
		return failed(pack, error);
	if (sync_file_append(fd, (const char *)index->data, index->len) && fsync(fd) == 0 && rename(temporary, path) == 0)
		return true;
	(void)failed(pack, error);
	(void)unlink(temporary);
	return false;
}

char *sync_pack_end(SyncPack *pack, GError **error)
{
	guint8 sum[SUM];
	gsize sum_length = sizeof sum;

	if (!write_round(pack, error))
		return NULL;
	g_checksum_get_digest(pack->sum, sum, &sum_length);
	g_autofree char *name = g_new(char, GIT_OID_HEXSZ + 1);
	for (guint i = 0; i < SUM; i++)
		g_snprintf(name + 2 * i, 3, "%02x", sum[i]);
	g_autofree char *base = g_strconcat(pack->folder, "/pack-", name, NULL);
	g_autofree char *path = g_strconcat(base, ".pack", NULL), *index = g_strconcat(base, ".idx", NULL);
	if (!sync_file_append(pack->fd, (const char *)sum, SUM) || fsync(pack->fd) < 0 || rename(pack->temporary, path) < 0) {
		(void)failed(pack, error);
		return NULL;
	}
	g_clear_pointer(&pack->temporary, g_free);
	if (write_index(pack, sum, index, error) && sync_file_settle_folder(index, error))
		return g_steal_pointer(&name);
	(void)unlink(path);
	return NULL;
}

char *sync_pack_path(const char *git, const char *name)
{
	if (strlen(name) != GIT_OID_HEXSZ || strspn(name, "0123456789abcdef") != GIT_OID_HEXSZ)
		return NULL;
	return g_strconcat(git, "/objects/pack/pack-", name, ".pack", NULL);
}
