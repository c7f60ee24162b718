/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-manifest.c - a folder's manifest, as the other device's repository has it. */
#include "fuzz.h"
#include "syncd/repository/manifest.h"
#include "syncd/files/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GHashTable) metas = sync_manifest_parse((const char *)data, size, &error);

	if (!metas) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	g_autoptr(GPtrArray) list = g_ptr_array_new();
	GHashTableIter iter;
	gpointer each;

	g_hash_table_iter_init(&iter, metas);
	while (g_hash_table_iter_next(&iter, NULL, &each))
		g_ptr_array_add(list, each);
	for (guint i = 0; i < list->len; i++) {
		const SyncMeta *meta = list->pdata[i];

		g_assert_true(meta->kind == SYNC_KIND_FOLDER ? g_str_equal(meta->name, ".") : sync_name_ok(meta->name));
		g_assert_false(sync_name_is_ours(meta->name));
		g_assert_cmpuint(meta->mode & ~(meta->kind == SYNC_KIND_FOLDER ? 07777u : 01777u), ==, 0);
		g_assert_true(*meta->owner && *meta->group && meta->mtime_ns >= 0);
	}
	/* "Refuses anything that sync_manifest_build() would not write." */
	g_autofree char *built = sync_manifest_build(list);
	g_assert_cmpmem(built, strlen(built), data, size);
	return 0;
}
