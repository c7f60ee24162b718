/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/voice/pointer.h - what stands in the tree of `voice` in the place of a recording: a Git LFS pointer. Pure.
 *
 *	version https://git-lfs.github.com/spec/v1
 *	oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
 *	size 12345
 *
 * The content is an object, named by its sha256 (objects.h). An empty file is its own pointer, as git-lfs has it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { SYNC_OBJECT_ID = 64, SYNC_POINTER_MAX = 200 };

typedef struct {
	char id[SYNC_OBJECT_ID + 1]; /* lower-case hex */
	guint64 size;                /* 0: an empty file, which has no object; id is "" */
} SyncPointer;

/* 64 lower-case hex digits and nothing else: what may become part of a path. */
bool sync_object_id_ok(const char *id);

/* Transfer full. */
char *sync_pointer_text(const SyncPointer *pointer);

/* Refuses whatever sync_pointer_text() would not write. */
bool sync_pointer_parse(const char *text, gsize length, SyncPointer *ret_pointer, GError **error) G_GNUC_WARN_UNUSED_RESULT;
