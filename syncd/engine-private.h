/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/engine-private.h - what the files of the engine share; everything here belongs to its thread unless said otherwise. */
#pragma once

#include "apply.h"
#include "engine.h"
#include "picture.h"
#include "repo.h"
#include "set.h"
#include "term.h"
#include "watch.h"

/* One ref and what is known of it. */
typedef struct {
	const char *name;
	SyncRef ref;
	SyncPicture *picture;

	/* leader */
	GSource *timer;          /* commits when it is ready */
	gint64 first_us;         /* of the changes not yet committed; 0: none */
	gint64 writing_us;       /* somebody writes since; 0: nobody */
	gint64 database_us;      /* the first change of a database since its last copy; 0: none */
	gint64 snapshot_us;      /* the last copy of a database */
	GHashTable *databases;   /* SyncSet* changed, not yet marked */

	/* follower */
	gint64 checked_us;       /* the picture has looked at everything; 0: not since the role began */
	git_oid parked_tree;     /* the state on disk that was put aside last */
} SyncLine;

/* What one call of sync_engine_pull() said. */
typedef struct {
	char **hosts;
	guint port;
	const SyncKey *key;
	char *pin;
	char *peer_id;
	GVariant *stored;
	bool hurry;
	SyncEngineDone done;
	gpointer user_data;
} SyncPullCall;

struct SyncEngine {
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	const SyncEngineEvents *events;
	gpointer user_data;

	GMutex lock;             /* guards the next two, which the main thread touches as well */
	GCancellable *following; /* cancelled when the role changes */
	SyncPullCall *waiting;

	char *folder, *repository, *journal, *scratch;
	char *device;
	char *peer;              /* id of the device that we last fetched from */
	GPtrArray *sets;
	SyncRepo *repo;
	SyncLine lines[SYNC_N_REFS];
	SyncRole role;
	SyncTerm term;
	SyncWatch *watch;
	GSource *rescan;         /* everything hourly, sets that are missing every few seconds */
	gint64 rescanned_us;
	GHashTable *missing;     /* sets that were reported missing */
	GHashTable *strangers;   /* owners that were reported unknown */
	guint untidy;            /* snapshots and packs since the repository was tidied */
	gint64 tidied_us;
	GSubprocess *tidying;
};

/* ---- engine.c ---- */
SyncApply sync_engine_apply(SyncEngine *engine);
void sync_engine_tell_lines(SyncEngine *engine);
void sync_engine_tell_diverged(SyncEngine *engine);
void sync_engine_tell_activity(SyncEngine *engine, const char *activity);
void sync_engine_tell_committed(SyncEngine *engine, const char *ref, const char *commit, const char *message, guint n_changes);
void sync_engine_tell_applied(SyncEngine *engine, const char *ref, const char *commit, guint n_changes);
void sync_engine_tell_problem(SyncEngine *engine, const char *text);
void sync_engine_notice(SyncEngine *engine, const char *name, guint8 priority, const char *format, ...) G_GNUC_PRINTF(4, 5);
void sync_engine_done(SyncEngineDone done, gpointer user_data, const GError *error); /* in the main context; NULL is fine */
void sync_engine_tidy(SyncEngine *engine); /* now and then, after a snapshot or a fetch */

/* ---- lead.c ---- */
void sync_lead_begin(SyncEngine *engine); /* watches, looks at everything, commits */
void sync_lead_end(SyncEngine *engine);

/* Looks at everything and commits what changed in every ref. */
bool sync_lead_commit(SyncEngine *engine, const char *author, const char *message, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- follow.c ---- */
bool sync_follow_pull(SyncEngine *engine, const SyncPullCall *pull, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The leader's configuration becomes what it was in @commit (hex), as a new commit on its files. */
bool sync_restore(SyncEngine *engine, const char *commit, const char *author, const char *message, git_oid *ret_commit,
		  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A commit that was fetched and not applied when this device begins to lead is kept by name. */
bool sync_follow_park_fetched(SyncEngine *engine, GError **error) G_GNUC_WARN_UNUSED_RESULT;
