/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/picture-private.h - what a picture is made of, for picture.c and look.c alone. */
#pragma once

#include "syncd/files/known.h"
#include "syncd/files/picture.h"

typedef struct {
	const SyncSet *set;
	SyncFolder *root; /* NULL: missing */
	SyncLook wal;     /* a database's -wal; all zero without */
	bool all;
	GHashTable *marked; /* paths */
} SyncSetView;

struct SyncPicture {
	GPtrArray *views; /* of SyncSetView* */
	char *scratch;
	SyncObjects *objects;
	SyncPictureFolder on_folder;
	gpointer user_data;
	GPtrArray *unreadable; /* of char*: what the last look could not read */
	git_oid base;          /* a tree that has what cannot be read; zero: none */
	SyncPictureLeave leave;
	gpointer leave_data;
	/* during a refresh */
	SyncRepo *repo;
	GCancellable *cancellable;
};
