/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/voice.c - what is different about the ref of recordings: objects beside the commits, and a past that ends. */
#include <stdlib.h>
#include <string.h>

#include "syncd/engine-private.h"
#include "syncd/error.h"
#include "syncd/voice/lfs-fetch.h"
#include "syncd/repository/manifest.h"
#include "syncd/files/path.h"
#include "syncd/voice/wants.h"

enum {
	SWEEP_S = 5,           /* after a change the store is looked through; */
	SWEEP_SHARE = 20,      /* but never more of the time than one part in so many, */
	UNCONFIRMED_S = 600,   /* and not before the peer has that change, unless it cannot come to have it */
	PAST_S = 24 * 3600,    /* names of what is deleted are kept so long */
	LITTLE = 8 << 20,      /* bytes of recordings that are waited for before a ref has their commit */
	DEVICES_MAX = 4,
	DEPTH_MAX = 64,
};

/* ---- what is lacking ---- */

static bool pointer_of(SyncRepo *repo, const git_oid *id, SyncPointer *ret_pointer, GError **error)
{
	g_autoptr(git_blob) blob = NULL;

	if (git_blob_lookup(&blob, repo->git, id) < 0)
		return sync_git_error(error, "reading a pointer");
	return sync_pointer_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), ret_pointer, error);
}

typedef struct {
	SyncLine *line;
	const char *set;
	SyncWants *wants;
	GError *error;
} Wanting;

static bool want(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	Wanting *wanting = user_data;
	SyncLine *line = wanting->line;
	SyncPointer pointer;

	if (!becomes || becomes->kind != SYNC_KIND_FILE)
		return true;
	if (!pointer_of(line->repo, id, &pointer, &wanting->error))
		return false;
	if (sync_objects_has(line->objects, &pointer))
		return true;
	g_autofree char *full = sync_path_join(wanting->set, path);
	return sync_wants_add(wanting->wants, &pointer, becomes->mtime_ns, full, &wanting->error);
}

static bool want_set(SyncLine *line, const git_oid *base, const git_oid *tree, const char *set, SyncWants *wants, GError **error)
{
	Wanting wanting = { .line = line, .set = set, .wants = wants };

	if (!sync_repo_each_difference(line->repo, base, tree, set, want, &wanting, error))
		return false;
	if (wanting.error)
		g_propagate_error(error, wanting.error);
	return wanting.error == NULL;
}

/* The objects of @commit that are not here. All of what was applied last is, unless there is a doubt. NULL and @error. */
static SyncWants *wants_of(SyncLine *line, const git_oid *commit, GError **error)
{
	g_autoptr(SyncWants) wants = sync_wants_new();
	git_oid head, base, tree;
	bool has_base = !line->doubtful && sync_repo_get_ref(line->repo, "heads", line->name, &head) && sync_repo_tree_of(line->repo, &head, &base, NULL);

	if (!sync_repo_tree_of(line->repo, commit, &tree, error))
		return NULL;
	g_auto(GStrv) sets = sync_repo_sets(line->repo, &tree, error);
	for (guint i = 0; sets && sets[i]; i++)
		if (sync_sets_find(line->sets, line->ref, sets[i]) && !want_set(line, has_base ? &base : NULL, &tree, sets[i], wants, error))
			return NULL;
	return sets ? g_steal_pointer(&wants) : NULL;
}

/* ---- fetching ---- */

typedef struct {
	SyncLine *line;
	const char *target;
} Newer;

/* Whether another commit than this one waits to be fetched: what is small and new in it comes first then. */
static bool newer_waits(gpointer user_data)
{
	Newer *newer = user_data;
	SyncLine *line = newer->line;
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&line->engine->lock);
	const char *waiting;

	return line->waiting && g_variant_lookup(line->waiting->stored, line->name, "&s", &waiting) && !g_str_equal(waiting, newer->target);
}

bool sync_voice_fetch(SyncLine *line, const SyncFetchSource *source, const git_oid *target, GCancellable *cancellable, GError **error)
{
	g_autofree char *hex = sync_oid_text(target);
	Newer newer = { line, hex };
	git_oid have;

	/* Not "fetched", which is what counts as stored, before all of it is here. */
	if (!(sync_repo_get_ref(line->repo, "incoming", line->name, &have) && git_oid_equal(&have, target)) &&
	    !(sync_repo_get_ref(line->repo, "fetched", line->name, &have) && git_oid_equal(&have, target)) &&
	    !sync_fetch(line->repo, source, "incoming", line->name, target, cancellable, error))
		return false;
	g_autoptr(SyncWants) wants = wants_of(line, target, error);
	if (!line->ahead)
		line->ahead = sync_ahead_new(line->sets, line->ref, line->objects);
	if (!wants || (sync_wants_n(wants) > 0 && !sync_lfs_fetch(line->objects, source, wants, newer_waits, &newer, line->ahead, cancellable, error)))
		return false;
	/* While they are staged. */
	sync_objects_settle_soon(line->objects);
	line->pushed = *target;
	line->doubtful = false;
	return true;
}

bool sync_voice_fetch_little(SyncLine *line, const SyncFetchSource *source, const git_oid *target, GCancellable *cancellable, GError **error)
{
	g_autofree char *hex = sync_oid_text(target);
	Newer newer = { line, hex };
	g_autoptr(SyncWants) wants = wants_of(line, target, error);

	return wants && sync_wants_bytes(wants) <= LITTLE &&
	       (sync_wants_n(wants) == 0 || sync_lfs_fetch(line->objects, source, wants, newer_waits, &newer, NULL, cancellable, error)) &&
	       sync_objects_settle(line->objects, error);
}

void sync_voice_came(SyncLine *line)
{
	git_oid incoming;

	if (line->objects && sync_repo_get_ref(line->repo, "incoming", line->name, &incoming))
		sync_repo_drop_ref(line->repo, "incoming", line->name);
}

void sync_voice_taken_over(SyncLine *line)
{
	g_autoptr(GError) error = NULL;
	git_oid incoming, head;

	if (!sync_repo_get_ref(line->repo, "incoming", line->name, &incoming))
		return;
	bool has_head = sync_repo_get_ref(line->repo, "heads", line->name, &head);
	g_autoptr(SyncWants) wants = wants_of(line, &incoming, &error);
	g_autofree char *text = wants ? sync_wants_text(wants) : NULL;
	if (!wants)
		g_message("what the takeover lacks cannot be told: %s", error->message);
	else if (sync_wants_n(wants) > 0)
		sync_line_notice(line, "recordings missing", 2, "The takeover came before all of the Master's last recordings were here. It lacks %s", text);
	/* All of it is here, and on its way to the files this process ended. */
	else if ((!has_head || !sync_repo_contains(line->repo, &head, &incoming)) && !sync_repo_set_ref(line->repo, "fetched", line->name, &incoming, &error))
		g_message("%s", error->message);
	sync_repo_drop_ref(line->repo, "incoming", line->name);
}

/* ---- a past that ends ---- */

/* Calls @visit for @commit and what came before it, the newest first, until that is false. */
typedef bool (*VisitCommit)(const git_commit *commit, const SyncTerm *term, gpointer user_data);

static void walk_back(SyncRepo *repo, const git_oid *from, VisitCommit visit, gpointer user_data)
{
	git_commit *commit = NULL;

	if (git_commit_lookup(&commit, repo->git, from) < 0)
		return;
	while (commit) {
		git_commit *before = NULL;
		SyncTerm term;

		sync_term_parse(git_commit_message(commit), &term);
		bool goes_on = visit(commit, &term, user_data);
		sync_term_clear(&term);
		if (goes_on && git_commit_parentcount(commit) > 0)
			(void)git_commit_parent(&before, commit, 0);
		git_commit_free(commit);
		commit = before;
	}
}

typedef struct {
	GString *text; /* "commit:device commit:device" */
	GHashTable *devices;
	gint64 root_s;
	char *goes_on; /* of the first commit */
} Past;

static void note_last(Past *past, const char *commit, const char *device)
{
	if (g_hash_table_size(past->devices) < DEVICES_MAX && g_hash_table_add(past->devices, g_strdup(device)))
		g_string_append_printf(past->text, "%s%s:%s", past->text->len ? " " : "", commit, device);
}

static bool look_back(const git_commit *commit, const SyncTerm *term, gpointer user_data)
{
	Past *past = user_data;
	g_autofree char *hex = sync_oid_text(git_commit_id(commit));

	note_last(past, hex, term->device);
	past->root_s = git_commit_time(commit);
	g_free(past->goes_on);
	past->goes_on = g_strdup(term->goes_on);
	return true;
}

static void past_clear(Past *past)
{
	g_string_free(past->text, TRUE);
	g_hash_table_unref(past->devices);
	g_free(past->goes_on);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Past, past_clear)

static Past past_of(SyncRepo *repo, const git_oid *head)
{
	Past past = { .text = g_string_new(NULL), .devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };

	walk_back(repo, head, look_back, &past);
	return past;
}

char *sync_voice_root(SyncLine *line, const git_oid *head)
{
	gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;

	if (line->root_s && llabs(now_s - line->root_s) < PAST_S)
		return NULL;
	g_auto(Past) past = past_of(line->repo, head);
	line->root_s = past.root_s;
	/* A clock that was set makes an end of the past too early at worst. */
	if (llabs(now_s - past.root_s) < PAST_S)
		return NULL;
	line->root_s = now_s;
	g_auto(GStrv) earlier = g_strsplit(past.goes_on ? past.goes_on : "", " ", -1);
	for (guint i = 0; earlier[i]; i++) {
		char *device = strchr(earlier[i], ':');

		if (!device)
			continue;
		*device = '\0';
		note_last(&past, earlier[i], device + 1);
	}
	return g_strdup(past.text->str);
}

char *sync_voice_goes_on(SyncRepo *repo, const git_oid *head)
{
	g_auto(Past) past = past_of(repo, head);

	return g_steal_pointer(&past.goes_on);
}

bool sync_voice_goes_on_from(SyncLine *line, const git_oid *commit, const git_oid *head)
{
	if (sync_repo_contains(line->repo, commit, head))
		return true;
	g_auto(Past) past = past_of(line->repo, commit);
	g_auto(GStrv) earlier = g_strsplit(past.goes_on ? past.goes_on : "", " ", -1);
	for (guint i = 0; earlier[i]; i++) {
		git_oid id;

		/* What is not in this repository cannot come after something that is. */
		if (strlen(earlier[i]) > GIT_OID_HEXSZ && git_oid_fromstrn(&id, earlier[i], GIT_OID_HEXSZ) == 0 && sync_repo_contains(line->repo, &id, head))
			return true;
	}
	return false;
}

/* ---- sweeping ---- */

typedef struct {
	SyncRepo *repo;
	GHashTable *keep; /* ids */
	GHashTable *seen; /* trees, as hex */
} Marking;

static bool mark_tree(Marking *marking, const git_oid *id, guint depth, GError **error)
{
	g_autoptr(git_tree) tree = NULL;
	char *hex = sync_oid_text(id);

	if (!g_hash_table_add(marking->seen, hex) || depth > DEPTH_MAX)
		return true;
	if (git_tree_lookup(&tree, marking->repo->git, id) < 0)
		return sync_git_error(error, "reading a folder");
	for (gsize i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
		const git_oid *entry_id = git_tree_entry_id(entry);
		git_filemode_t mode = git_tree_entry_filemode(entry);
		SyncPointer pointer;

		if (mode == GIT_FILEMODE_TREE && !mark_tree(marking, entry_id, depth + 1, error))
			return false;
		if ((mode != GIT_FILEMODE_BLOB && mode != GIT_FILEMODE_BLOB_EXECUTABLE) || depth == 0 || g_str_equal(git_tree_entry_name(entry), SYNC_MANIFEST_NAME))
			continue;
		if (!pointer_of(marking->repo, entry_id, &pointer, error))
			return false;
		g_hash_table_add(marking->keep, g_strdup(pointer.id));
	}
	return true;
}

static bool mark_commit(Marking *marking, const git_oid *commit, GError **error)
{
	git_oid tree;

	return sync_repo_tree_of(marking->repo, commit, &tree, error) && mark_tree(marking, &tree, 0, error);
}

/* Lines kept aside are of any ref. */
bool sync_voice_is_line(SyncRepo *repo, const git_oid *commit)
{
	g_autoptr(git_tree) tree = NULL;
	git_oid id;

	return sync_repo_tree_of(repo, commit, &id, NULL) && git_tree_lookup(&tree, repo->git, &id) == 0 &&
	       git_tree_entry_byname(tree, SYNC_ATTRIBUTES_NAME) != NULL;
}

static bool mark_all(SyncLine *line, Marking *marking, GError **error)
{
	static const char *const spaces[] = { "heads", "fetched", "incoming" };
	g_auto(GStrv) aside = sync_repo_diverged(marking->repo);
	git_oid id;

	/* What was stored already, and is not committed yet. */
	if (!sync_picture_write(line->picture, marking->repo, NULL, NULL, &id, error) || !mark_tree(marking, &id, 0, error))
		return false;
	for (guint i = 0; i < G_N_ELEMENTS(spaces); i++)
		if (sync_repo_get_ref(marking->repo, spaces[i], line->name, &id) && !mark_commit(marking, &id, error))
			return false;
	for (guint i = 0; aside[i]; i++)
		if (git_reference_name_to_id(&id, marking->repo->git, aside[i]) == 0 && sync_voice_is_line(marking->repo, &id) && !mark_commit(marking, &id, error))
			return false;
	return true;
}

static void sweep(SyncLine *line)
{
	g_autoptr(GHashTable) keep = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Marking marking = { line->repo, keep, seen };
	g_autoptr(GError) error = NULL;
	guint64 bytes;
	guint n;

	if (!mark_all(line, &marking, &error)) {
		g_message("nothing is removed from the recordings: %s", error->message);
		return;
	}
	sync_objects_sweep(line->objects, keep, &n, &bytes);
	if (n)
		g_debug("%u recordings removed, %" G_GUINT64_FORMAT " bytes", n, bytes);
}

/* Whether somebody may yet ask for what is not referred to any more. */
static bool awaits_peer(const SyncLine *line, gint64 now_us)
{
	git_oid head;

	if (line->role != SYNC_ROLE_LEAD || !line->peer_has || !sync_repo_get_ref(line->repo, "heads", line->name, &head) ||
	    now_us - line->changed_us > UNCONFIRMED_S * (gint64)G_USEC_PER_SEC)
		return false;
	g_autofree char *hex = sync_oid_text(&head);
	return !g_str_equal(line->peer_has, hex);
}

static gboolean sweep_due(gpointer user_data)
{
	SyncLine *line = user_data;
	gint64 now_us = g_get_monotonic_time();

	/* What is being fetched for somebody else than the line is referred to by nothing. */
	if (awaits_peer(line, now_us) || !g_mutex_trylock(&line->engine->sweeping)) {
		g_source_set_ready_time(line->sweep, now_us + SWEEP_S * (gint64)G_USEC_PER_SEC);
		return G_SOURCE_CONTINUE;
	}
	line->changed_us = 0;
	g_source_set_ready_time(line->sweep, -1);
	sweep(line);
	g_mutex_unlock(&line->engine->sweeping);
	line->swept_us = g_get_monotonic_time();
	line->sweep_took_us = line->swept_us - now_us;
	return G_SOURCE_CONTINUE;
}

void sync_voice_changed(SyncLine *line)
{
	gint64 now_us = g_get_monotonic_time();

	if (!line->objects || line->changed_us)
		return;
	line->changed_us = now_us;
	g_source_set_ready_time(line->sweep, MAX(now_us + SWEEP_S * (gint64)G_USEC_PER_SEC, line->swept_us + SWEEP_SHARE * line->sweep_took_us));
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
	return callback ? callback(user_data) : G_SOURCE_REMOVE;
}

void sync_voice_init(SyncLine *line)
{
	static GSourceFuncs functions = { .dispatch = dispatch };

	line->objects = line->engine->objects;
	line->growing = sync_growing_new();
	line->sweep = g_source_new(&functions, sizeof(GSource));
	g_source_set_callback(line->sweep, sweep_due, line, NULL);
	g_source_set_ready_time(line->sweep, -1);
	g_source_attach(line->sweep, line->context);
	line->aside = g_source_new(&functions, sizeof(GSource));
	g_source_set_callback(line->aside, sync_voice_aside_due, line, NULL);
	g_source_set_ready_time(line->aside, 0);
	g_source_attach(line->aside, line->context);
	/* What the process before this one did not come to. */
	sync_voice_changed(line);
}

static void drop_source(GSource **source)
{
	if (!*source)
		return;
	g_source_destroy(*source);
	g_clear_pointer(source, g_source_unref);
}

void sync_voice_clear(SyncLine *line)
{
	drop_source(&line->sweep);
	drop_source(&line->aside);
	sync_growing_free(line->growing);
}
