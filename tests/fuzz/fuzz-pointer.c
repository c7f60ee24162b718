/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-pointer.c - what stands for a recording, as the other device's repository has it. */
#include "fuzz.h"
#include "syncd/voice/pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GError) error = NULL;
	SyncPointer pointer;

	if (!sync_pointer_parse((const char *)data, size, &pointer, &error)) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	g_assert_true(pointer.size == 0 ? *pointer.id == '\0' : sync_object_id_ok(pointer.id));
	/* "Refuses whatever sync_pointer_text() would not write." */
	g_autofree char *built = sync_pointer_text(&pointer);
	g_assert_cmpmem(built, strlen(built), data, size);
	return 0;
}
