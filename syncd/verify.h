/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/verify.h - whether the files of the data sets are, byte for byte, what was committed, or applied, of them.
 *
 * Reads everything, in a thread of the lowest priority, with a handle of the repository of its own: nobody waits for it, and it changes nothing. What
 * changes meanwhile is looked at again until it holds still, a few times.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/* The name of what is no data set: what the refs lead to, recordings too. A report of it has the ids of objects. */
#define SYNC_VERIFY_STORE "stored"

typedef struct SyncVerify SyncVerify;

/* @sets: aa{sv}, of each data set: set, ref, tree (the folder in the tree, 40 digits; "": nothing is committed of it), files, bytes, n_differs, n_missing,
 * n_extra (t), differs, missing, extra (as: some of them). Main context. */
typedef void (*SyncVerifyDone)(GVariant *sets, gpointer user_data);

/* @sets: of SyncSet*. @scratch: a file that nobody else uses. @done runs once, unless the verification is freed before. */
SyncVerify *sync_verify_new(const char *repository, GPtrArray *sets, const char *scratch, SyncVerifyDone done, gpointer user_data);
void sync_verify_free(SyncVerify *verify); /* its thread ends by itself; NULL is fine */
double sync_verify_progress(SyncVerify *verify); /* 0 - 1 */

bool sync_verify_is_store_damaged(GVariant *reports);

/* Both reports as one, aa{sv}: each set with set, ref, verdict ("same", "differs", "moving": what was looked at is not the same state), here, there
 * (a{sv}, its report; empty: the device has no such set). Pure. Floating. */
GVariant *sync_verify_merge(GVariant *here, GVariant *there);
