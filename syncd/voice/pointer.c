/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/pointer.c - the text of a pointer, both ways. */
#include "syncd/voice/pointer.h"

#include <string.h>

#include "syncd/error.h"

#define BEGINNING "version https://git-lfs.github.com/spec/v1\noid sha256:"
#define MIDDLE "\nsize "

bool sync_object_id_ok(const char *id)
{
	return strlen(id) == SYNC_OBJECT_ID && strspn(id, "0123456789abcdef") == SYNC_OBJECT_ID;
}

char *sync_pointer_text(const SyncPointer *pointer)
{
	if (pointer->size == 0)
		return g_strdup("");
	return g_strdup_printf(BEGINNING "%s" MIDDLE "%" G_GUINT64_FORMAT "\n", pointer->id, pointer->size);
}

static bool bad(GError **error)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the commit cannot be applied: a malformed pointer");
	return false;
}

bool sync_pointer_parse(const char *text, gsize length, SyncPointer *ret_pointer, GError **error)
{
	SyncPointer pointer = { .size = 0 };

	if (length == 0) {
		*ret_pointer = pointer;
		return true;
	}
	if (length > SYNC_POINTER_MAX || memchr(text, '\0', length))
		return bad(error);
	g_autofree char *copy = g_strndup(text, length);
	if (!g_str_has_prefix(copy, BEGINNING) || strlen(copy) < strlen(BEGINNING) + SYNC_OBJECT_ID + strlen(MIDDLE))
		return bad(error);
	const char *id = copy + strlen(BEGINNING), *rest = id + SYNC_OBJECT_ID;
	memcpy(pointer.id, id, SYNC_OBJECT_ID);
	if (!sync_object_id_ok(pointer.id) || !g_str_has_prefix(rest, MIDDLE))
		return bad(error);
	/* A size is below 2^63, as the disk's. */
	pointer.size = g_ascii_strtoull(rest + strlen(MIDDLE), NULL, 10);
	if (pointer.size == 0 || pointer.size > G_MAXINT64)
		return bad(error);
	g_autofree char *again = sync_pointer_text(&pointer);
	if (!g_str_equal(again, copy))
		return bad(error);
	*ret_pointer = pointer;
	return true;
}
