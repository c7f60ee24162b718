/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/check.h - whether everything that the refs lead to is there, and is what its name says.
 *
 * Every object is read and hashed, recordings too, with a handle of its own; any thread may do it, and changes nothing.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef enum { SYNC_FAULT_MISSING, SYNC_FAULT_CORRUPT } SyncFaultKind;

typedef struct {
	SyncFaultKind kind;
	bool recording; /* its id is a sha256 */
	char *id;
	char *ref;      /* the first that leads to it, in full */
} SyncFault;

typedef struct {
	GPtrArray *faults; /* of SyncFault* */
	guint64 objects, bytes;
} SyncCheck;

/* @store: the folder of the recordings. *@stop (atomic; may be NULL): not 0 ends it early. */
void sync_check(const char *repository, const char *store, const gint *stop, SyncCheck *ret_check);
void sync_check_clear(SyncCheck *check);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncCheck, sync_check_clear)
