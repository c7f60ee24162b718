/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-batch.c - a batch request, and a Range header, of somebody who has the right key. */
#include "fuzz.h"
#include "syncd/voice/lfs.h"
#include "syncd/voice/pointer.h"

static bool some(const char *id, guint64 *ret_size, gpointer user_data)
{
	g_assert_true(sync_object_id_ok(id));
	*ret_size = 12;
	return id[0] < '8';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *answer = sync_batch_answer((const char *)data, size, "https://192.0.2.1:7443/objects", some, NULL, &error);
	g_autofree char *text = g_strndup((const char *)data, size);
	guint64 first, last;

	if (answer)
		g_assert_no_error(error);
	else
		fuzz_check_error(error);
	if (sync_range_parse(text, 100, &first, &last) != SYNC_RANGE_NONE)
		g_assert_true(first <= last && last < 100);
	(void)sync_host_ok(text);
	return 0;
}
