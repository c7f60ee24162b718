/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/engine.h - the disk side of this daemon: looking, committing, fetching, applying, in a thread for each ref.
 *
 * Every function here is called from the main context and returns at once; every callback runs in the main context. A thread does one thing at
 * a time and no ref waits for another. Becoming leader waits for no thread: it cancels what is done as follower, and is answered as soon as the
 * files are whole (gate.h).
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/peer/key.h"
#include "settings/settings.h"

typedef struct SyncEngine SyncEngine;

typedef enum { SYNC_ROLE_IDLE, SYNC_ROLE_LEAD, SYNC_ROLE_FOLLOW } SyncRole;
const char *sync_role_text(SyncRole role);

typedef struct {
	/* a{ss} each; @term (ts): the newest in which something applied was committed. */
	void (*lines)(GVariant *stored, GVariant *applied, GVariant *term, gpointer user_data);
	void (*change)(const char *ref, GVariant *change, gpointer user_data); /* (repository/change.h) the next lines() tell of it */
	void (*diverged)(const char *const *names, gpointer user_data);
	void (*activity)(const char *activity, gpointer user_data);
	void (*committed)(const char *ref, const char *commit, const char *message, guint n_changes, gpointer user_data);
	void (*applied)(const char *ref, const char *commit, guint n_changes, gpointer user_data);
	void (*notice)(const char *name, guint8 priority, const char *description, gpointer user_data);
	void (*held)(const char *ref, const char *commit, const char *why, gpointer user_data); /* @commit "": none any more */
	void (*hooks)(gpointer user_data); /* sync_engine_hooks() has changed */
	void (*damaged)(gpointer user_data); /* the peer is to be asked, by a pull, whatever the role */
	void (*apart)(const char *const *names, gpointer user_data); /* "<ref>/<commit>": what the peer is to unite */
	void (*united)(gpointer user_data); /* sync_engine_united() has changed */
	void (*problem)(const char *text, gpointer user_data); /* "" when it is over */
} SyncEngineEvents;

/* @folder holds the repository and our state; @device is this device's id. Settles a journal and discards a staging before it returns,
 * the one thing that is done here at once. */
SyncEngine *sync_engine_new(const char *folder, const Settings *settings, const SyncEngineEvents *events, gpointer user_data,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_engine_free(SyncEngine *engine); /* waits for the thread; NULL is fine */

/* error NULL: done. */
typedef void (*SyncEngineDone)(const GError *error, gpointer user_data);
typedef void (*SyncEngineCommits)(GVariant *commits, const GError *error, gpointer user_data); /* a{ss} */

void sync_engine_set_role(SyncEngine *engine, SyncRole role, guint64 term, const char *term_id, SyncEngineDone done, gpointer user_data);
void sync_engine_commit(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data);
/* The same while nobody is served: without waiting for the disk, and for nothing that waits for it just now. */
void sync_engine_commit_last(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data);

/* What the leader's configuration is to become again, as a new commit on its files. */
typedef struct {
	const char *from;     /* as sync_repo_find() reads it */
	const char *path;     /* one file or folder of it, in the tree; "": everything */
	bool tried;           /* it was in use before, and nobody is asked */
	const char *firmware; /* that made it, where it does not say so itself; NULL: not known */
} SyncRestore;
void sync_engine_restore(SyncEngine *engine, const SyncRestore *wish, const char *author, const char *message, SyncEngineCommits done, gpointer user_data);

/* Where the peer is, who it is, and what it has stored (a{ss}). A pull that waits is replaced by a newer one, which then answers for both; @done
 * may be NULL. */
typedef struct {
	const char *const *hosts;
	guint port;
	const SyncKey *key;
	const char *pin;
	const char *peer_id;
	GVariant *stored;
	GVariant *changes; /* a{sv}: of a ref, what came with the news of it; NULL: nothing did */
	bool hurry; /* nobody is served until it is on the files */
} SyncPull;
void sync_engine_pull(SyncEngine *engine, const SyncPull *pull, SyncEngineDone done, gpointer user_data);

GVariant *sync_engine_hooks(SyncEngine *engine); /* a(tssssss), see hook.h; floating */
/* A hook ended; false: nobody wanted it any more. */
bool sync_engine_hook_ended(SyncEngine *engine, guint64 serial, bool ok, const char *text);
/* What is held back is tried again by the next pull. */
void sync_engine_try_again(SyncEngine *engine);

/* What the peer has applied (a{ss}); NULL when it is not there. */
void sync_engine_peer_has(SyncEngine *engine, GVariant *applied);

/* Somebody stores objects beside the threads of the refs, and no ref has them yet: from and until, in one thread. */
void sync_engine_store_begin(SyncEngine *engine);
void sync_engine_store_end(SyncEngine *engine);

/* Something that it has stored may be damaged: it is read, and mended. */
void sync_engine_doubt(SyncEngine *engine);
bool sync_engine_is_damaged(SyncEngine *engine); /* and is to be fetched again */

/* Folds the repository and removes what nothing needs, now. SYNC_ERROR_REFUSED: this device takes over. */
void sync_engine_tidy(SyncEngine *engine, SyncEngineDone done, gpointer user_data);

/* New settings: new data sets. */
void sync_engine_reload(SyncEngine *engine, const Settings *settings);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncEngine, sync_engine_free)
