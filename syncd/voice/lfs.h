/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs.h - the texts of Git LFS's "basic" transfer: the batch a client asks for, and byte ranges. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { SYNC_BATCH_OBJECTS_MAX = 1000, SYNC_BATCH_MAX = 512 * 1024 };

/* How many bytes the object @id has; false: it is not here. */
typedef bool (*SyncBatchSize)(const char *id, guint64 *ret_size, gpointer user_data);

/* The answer to a batch request: where each object is, below @base ("https://host:port/…/objects"), or that it is not here. NULL and @error
 * (SYNC_ERROR_BAD, or _REFUSED for what is not downloading): the request is none. Transfer full. */
char *sync_batch_answer(const char *request, gsize length, const char *base, SyncBatchSize size_of, gpointer user_data,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Text in git-lfs's form for an error. Transfer full. */
char *sync_batch_error(const char *message);

/* Whether @host (of a Host header) is a name or address, and a port, and may stand in a link. */
bool sync_host_ok(const char *host);

typedef enum {
	SYNC_RANGE_WHOLE, /* none was asked for, or of a kind that is not served: everything */
	SYNC_RANGE_PART,
	SYNC_RANGE_NONE,  /* nothing of it is there */
} SyncRangeKind;

/* Which bytes of @size the Range header @text (NULL: none) asks for: "bytes=N-" or "bytes=N-M". @ret_last is inclusive. */
SyncRangeKind sync_range_parse(const char *text, guint64 size, guint64 *ret_first, guint64 *ret_last);

/* Whether the answer to a request from byte @from on is one: @status 200 or 206, Content-Length @length (-1: none), Content-Range from @first
 * of @total (206 only). *ret_at: where its bytes belong. */
bool sync_range_answered(guint status, gint64 length, gint64 first, gint64 total, guint64 from, guint64 size, guint64 *ret_at,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;
