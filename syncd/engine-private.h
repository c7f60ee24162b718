/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/engine-private.h - what the files of the engine share; everything here belongs to its thread unless said otherwise. */
#pragma once

#include "syncd/apply/apply.h"
#include "syncd/apply/migrate.h"
#include "engine.h"
#include "syncd/peer/git-stream.h"
#include "syncd/voice/growing.h"
#include "syncd/apply/hook.h"
#include "syncd/voice/objects.h"
#include "syncd/files/picture.h"
#include "syncd/repository/repo.h"
#include "syncd/files/set.h"
#include "syncd/apply/staged.h"
#include "syncd/repository/term.h"
#include "syncd/files/watch.h"
#include "syncd/unite/unite.h"

typedef struct SyncTidy SyncTidy;

/* What one call of sync_engine_pull() said, for one ref. */
typedef struct {
	char **hosts;
	guint port;
	SyncKey *key;
	char *pin;
	char *peer_id;
	GVariant *stored;
	GPtrArray *changes; /* of GVariant* (repository/change.h), the oldest first: what came with the news of it */
	bool hurry;
	GSList *askers; /* of Pull*, whose part this is */
} SyncPullCall;

typedef struct {
	GPtrArray *sets;
	Settings *settings;
} SyncReloadCall;

/* A change goes with the news of it when it has at most so many bytes; one of each ref fits into a message. */
enum { SYNC_CHANGE_MAX = 64 * 1024 };

/* One ref, with a thread, a handle of the repository and a journal of its own: no ref waits for another. Belongs to its thread unless said
 * otherwise. */
typedef struct {
	SyncEngine *engine;
	const char *name;
	SyncRef ref;
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	SyncRepo *repo;
	SyncGate *gate;
	char *journal;
	GPtrArray *sets;         /* shared, never changed */
	Settings *settings;      /* those that they are of */
	SyncPicture *picture;
	SyncRole role;
	SyncTerm term;

	/* Also the main thread's, under the engine's lock. */
	GCancellable *following; /* cancelled when the role changes, and a new one when it has changed */
	guint ending;            /* orders on their way that have cancelled it */
	SyncPullCall *waiting;
	SyncReloadCall *reloading; /* other settings, not yet taken */

	/* leader */
	SyncWatch *watch;
	GSource *rescan;         /* everything hourly, sets that are missing every few seconds */
	gint64 rescanned_us;
	bool blind;              /* the kernel does not tell of all changes */
	bool looks_at_all;       /* the next commit does */
	gint64 look_took_us;
	GSource *timer;          /* commits when it is ready */
	gint64 first_us;         /* of the changes not yet committed; 0: none */
	guint n_changes;         /* that the kernel told of since the last commit */
	gint64 told_us;          /* of the last one */
	gint64 writing_us;       /* somebody writes since; 0: nobody */
	gint64 database_us;      /* the first change of a database since its last copy; 0: none */
	gint64 snapshot_us;      /* the last copy of a database began */
	gint64 snapshot_took_us; /* and was committed so much later */
	GHashTable *databases;   /* SyncSet* changed, not yet marked */
	gint64 overflow_us;      /* it was last told that the kernel dropped changes */
	bool unreadable_told;    /* that something cannot be read */
	bool unreadable_seen;    /* since the last time that everything was looked at by the clock */
	GHashTable *missing;     /* sets that were reported missing */

	/* follower */
	char *peer;              /* id of the device that we last fetched from */
	GHashTable *strangers;   /* owners that were reported unknown */
	gint64 checked_us;       /* the picture has looked at everything; 0: not since the role began */
	bool unlike;             /* the files may not be those of the commit that is applied */
	git_oid parked_tree;     /* the state on disk that was put aside last */
	git_oid held;            /* a commit that did not pass: not tried again unless somebody asks for it */
	gint again;              /* atomic: somebody has asked for it, and the next pull is */
	char *held_why;          /* NULL: none is held back */
	char *making;            /* the commit whose steps are being made */
	git_oid pushed;          /* a commit whose objects are here, the disk may not have them, and no ref of what is stored has it yet; zero: none */
	bool pushed_gathers;     /* it gets them with what is staged (disk.h) */
	gint64 asked_us;         /* when the disk was last asked for what had been made before it had it; 0: not yet */

	gint damaged;            /* atomic: something of the line is gone from the disk, and is to be fetched again */

	/* tidying */
	guint use;               /* how often something was stored; the tidying thread's while it holds the engine's `storing` */
	guint pin_use;
	bool pinned;
	git_oid pin;             /* the tree of the picture, then */
	char *peer_has;          /* the commit that the peer has applied; "": none, NULL: nobody is there. Changed under the engine's lock */

	/* voice */
	SyncObjects *objects;    /* the engine's; NULL for the other refs */
	SyncGrowing *growing;    /* NULL for the other refs */
	SyncAhead *ahead;        /* NULL: nothing was fetched since something was applied */
	bool doubtful;           /* not all objects of what is applied may be here */
	gint64 root_s;           /* the wall clock when the line's past began; 0: not looked up yet */
	GSource *sweep;
	GSource *aside;          /* looks at what is kept aside, and for how long */
	gint64 changed_us;       /* the first change since the store was swept; 0: none */
	gint64 swept_us, sweep_took_us;
} SyncLine;

/* What the last news said of one ref; the main thread's. */
typedef struct {
	char *stored, *applied; /* NULL: nothing yet */
	char *activity, *problem;
	SyncTerm term;          /* of what is applied */
} SyncLineNews;

struct SyncEngine {
	const SyncEngineEvents *events;
	gpointer user_data;
	char *folder, *repository, *scratch;
	char *device;
	SyncObjects *objects;
	SyncMarks marks;
	SyncLine lines[SYNC_N_REFS];

	/* the main thread's */
	SyncLineNews news[SYNC_N_REFS];
	SyncRole wanted;
	bool doubtful;         /* the last process ended with the machine, or left something that cannot be read */
	SyncHooks *hooks;      /* any thread's */
	SyncStaged *staged;    /* the thread's of the configuration */
	SyncUniting *uniting;
	GPtrArray *takers; /* of RoleCall*, not borrowed: orders to lead that are not answered yet */

	GMutex sweeping;   /* held while the store of recordings is looked through, and while something in it has no commit yet */
	GMutex lock;       /* guards the rest, and what the lines say of it */

	bool heard;            /* an order has come: somebody is there to be told */
	GPtrArray *early;      /* of News*: what is to be told then; news.c */

	gint budget_mb, room; /* atomic; budget.c */
	GRWLock storing;   /* held for reading from the first object that is stored, or found to be there, until a ref has it */
	SyncTidy *tidy;
};

/* ---- engine.c ---- */
void sync_engine_post(GMainContext *context, int priority, GSourceFunc function, gpointer data);
/* After something that took much memory: what is free of it goes back to the kernel. */
void sync_line_rest(guint n);
void sync_line_forget_picture(SyncLine *line); /* everything is read, and stored, again */

void sync_tidy_look(SyncTidy *tidy, SyncEngineDone done, gpointer user_data); /* now; with @done it is tidied, whatever there is */

void sync_tidy_doubt(SyncTidy *tidy, bool now); /* what is stored is read, and mended: @now, or if that was not done lately */

/* ---- mend.c ---- */
bool sync_mend_begin(SyncEngine *engine); /* true: the machine stopped without a word */
void sync_mend_end(SyncEngine *engine);
void sync_mend(SyncEngine *engine, const gint *stop); /* in the tidying thread */
/* @target, with everything that it leads to, is here again. */
bool sync_mend_fetch(SyncLine *line, const SyncFetchSource *source, const git_oid *target, GCancellable *cancellable,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same on the leader, of what the follower has stored. */
bool sync_mend_leader(SyncLine *line, const SyncFetchSource *source, const char *peer, const git_oid *target, GCancellable *cancellable,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- budget.c ---- */
bool sync_budget_look(SyncEngine *engine);     /* any thread that may wait for the disk; true: it is spent */
bool sync_budget_is_spent(SyncEngine *engine); /* any thread */

/* Between these nothing is removed that the line relies on. Not one within the other. */
void sync_line_store_begin(SyncLine *line);
void sync_line_store_end(SyncLine *line);

/* ---- news.c ---- */
void sync_engine_lines_changed(SyncEngine *engine); /* main thread: engine->news have */
void sync_news_heard(SyncEngine *engine); /* main thread: notices from before the first order are told now */
void sync_news_clear(SyncEngine *engine);
void sync_line_tell(SyncLine *line); /* what is stored and applied */
void sync_line_tell_change(SyncLine *line, GVariant *change); /* before sync_line_tell(); NULL is fine */
void sync_line_tell_diverged(SyncLine *line);
void sync_line_tell_apart(SyncLine *line);
void sync_line_tell_activity(SyncLine *line, const char *activity);
void sync_line_tell_committed(SyncLine *line, const char *commit, const char *message, guint n_changes);
void sync_line_tell_applied(SyncLine *line, const char *commit, guint n_changes);
void sync_line_tell_held(SyncLine *line, const char *commit, const char *why); /* "": no more */
void sync_line_tell_damaged(SyncLine *line);
void sync_line_tell_problem(SyncLine *line, const char *text);
void sync_line_notice(SyncLine *line, const char *name, guint8 priority, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* ---- tidy.c ---- */
SyncTidy *sync_tidy_new(SyncEngine *engine);
void sync_tidy_end(SyncTidy *tidy);  /* its thread; NULL is fine */
void sync_tidy_free(SyncTidy *tidy); /* when the lines' threads have ended, too; NULL is fine */
void sync_tidy_stop(SyncTidy *tidy); /* this device takes over: what is under way ends, and nothing begins for a while */
void sync_line_tidy(SyncLine *line);       /* something new is there */
void sync_line_past_ended(SyncLine *line); /* the names of what was deleted are to go soon */

/* ---- roles.c ---- */
void sync_line_whole(gpointer line); /* any thread: the files of @line, a SyncLine*, are whole, which somebody waits for */
void sync_line_calm_down(SyncLine *line); /* what was made before the disk had it is put in order once it has */

/* ---- lead.c ---- */
void sync_lead_begin(SyncLine *line); /* watches, looks at everything, commits */
void sync_lead_end(SyncLine *line);

/* What was left out of the commits may come into them. */
void sync_lead_look_again(SyncLine *line);

/* Looks at everything and commits what changed. */
bool sync_lead_commit(SyncLine *line, const char *author, const char *message, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- follow.c ---- */
SyncApply sync_line_apply(SyncLine *line);
bool sync_follow_pull(SyncLine *line, const SyncPullCall *pull, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What came with the news of it is kept by a ref of what is stored, for it will not be on the files soon. */
bool sync_follow_keep(SyncLine *line, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_follow_end_ahead(SyncLine *line); /* nothing is going to be staged of it any more */

/* Takes out of @entries what this device leaves out of @set. */
void sync_follow_drop_excluded(const SyncSet *set, GPtrArray *entries);

/* The leader's files, which are @disk, become @tree, which is that of @commit. */
bool sync_line_put(SyncLine *line, const git_oid *disk, const git_oid *tree, const git_oid *commit, const char *message,
		   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* SyncApply.keep; @line is a SyncLine*. */
bool sync_follow_keep_overtaken(const git_oid *tree, const git_oid *parent, gpointer line, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A commit that was fetched and not applied when this device begins to lead is kept by name. */
bool sync_follow_park_fetched(SyncLine *line, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- trial.c ---- */
/* What this device's firmware is now; "": not known. Transfer full. */
char *sync_trial_firmware(const Settings *settings);
/* The line is told it, for the commits of the configuration and against those that come. */
void sync_trial_take_firmware(SyncLine *line);

/* What comes onto the files for @commit: itself, or where this device's firmware is the newer one what the applications' migrate-commands make of it, as a
 * commit after it that has no ref yet. False: it may not (held back, and told of), or could not be migrated. @applied: it is on the files already. */
bool sync_trial_files(SyncLine *line, const git_oid *commit, bool applied, GCancellable *cancellable, git_oid *ret_files, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @tree, that of @commit, may come in the place of @from (NULL: nothing): what the applications concerned say. On a follower one that may not is
 * held back, and told of. */
bool sync_trial_pass(SyncLine *line, const git_oid *from, const git_oid *tree, const git_oid *commit, GCancellable *cancellable,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_trial_forget(SyncLine *line); /* the one that is held back may be tried again */
void sync_trial_over(SyncLine *line);   /* nothing is held back any more */
void sync_trial_act(SyncLine *line, const SyncPlan *plan); /* it is on the files */

/* ---- apply/migrate.c ---- */
bool sync_trial_migrate(SyncLine *line, const git_oid *commit, const SyncTerm *term, GCancellable *cancellable, git_oid *ret_files,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for what comes onto the files of this device by order: *tree_id, that of @commit, becomes what is made of it where @firmware (may be NULL) is the
 * older one. */
bool sync_trial_migrate_tree(SyncLine *line, const git_oid *commit, const char *firmware, GCancellable *cancellable, git_oid *tree_id,
			     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- voice.c ---- */
void sync_voice_init(SyncLine *line);
void sync_voice_clear(SyncLine *line);

/* @target is here with all its objects, as line->pushed; the disk is getting them. SYNC_ERROR_REFUSED: a newer one waits, and goes before. */
bool sync_voice_fetch(SyncLine *line, const SyncFetchSource *source, const git_oid *target, GCancellable *cancellable,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The objects of @target come with little to fetch: they are here now. False without @error: with more. */
bool sync_voice_fetch_little(SyncLine *line, const SyncFetchSource *source, const git_oid *target, GCancellable *cancellable,
			     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* No recordings are on their way any more: what needed them has its ref. Does nothing for the other refs. */
void sync_voice_came(SyncLine *line);

/* This device leads now: says which recordings it lacks, and does not wait for them. */
void sync_voice_taken_over(SyncLine *line);

/* Whether @commit, kept aside, is of this ref. */
bool sync_voice_is_line(SyncRepo *repo, const git_oid *commit);

/* aside.c: what has been kept aside for long enough goes. @line is a SyncLine*. */
gboolean sync_voice_aside_due(gpointer line);

/* Objects may have become unreferenced. Does nothing for the other refs. */
void sync_voice_changed(SyncLine *line);

/* What to say (SyncTerm.goes_on) of the line that ends with @head when its past has become long enough, and the next commit is to have no parent.
 * NULL: not yet. Transfer full. */
char *sync_voice_root(SyncLine *line, const git_oid *head);

/* What the first commit of the line that ends with @head goes on from (SyncTerm.goes_on); NULL: nothing. Transfer full. */
char *sync_voice_goes_on(SyncRepo *repo, const git_oid *head);

/* Whether @commit comes after @head, also when its line has begun anew since. */
bool sync_voice_goes_on_from(SyncLine *line, const git_oid *commit, const git_oid *head);

/* ---- restore.c ---- */
bool sync_restore(SyncLine *line, const SyncRestore *wish, const char *author, const char *message, GError **error) G_GNUC_WARN_UNUSED_RESULT;
