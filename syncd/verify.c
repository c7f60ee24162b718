/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/verify.c - hashes the working files of each set and compares them with the tree. */
#include "verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "syncd/apply/migrate.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/voice/pointer.h"
#include "syncd/repository/check.h"
#include "syncd/repository/repo.h"
#include "syncd/files/set.h"
#include "syncd/files/snapshot.h"

enum { ROUNDS = 5, PAUSE_US = 300000, SHOWN = 20, DEPTH_MAX = 64, CHUNK = 1 << 18, NICE = 19 };
enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 };

typedef enum { SAME, DIFFERS, MISSING, EXTRA, N_VERDICTS } Verdict;

struct SyncVerify {
	gint refs;
	gint cancelled;
	gint done_files, all_files;
	char *repository, *scratch;
	GPtrArray *sets;
	SyncVerifyDone done;
	gpointer user_data;
	GVariant *report;
};

/* Of one set. Nothing is held for each of its files: what the tree has is read folder by folder. */
typedef struct {
	SyncVerify *verify;
	SyncRepo *repo;
	const SyncSet *set;
	int root_fd;
	git_oid tree;         /* the files are to be those of */
	GHashTable *problems; /* path -> Verdict */
	guint64 files, bytes; /* files: paths that the tree has and that are not left out here */
	char *folder;         /* whose manifest was read last; NULL: none */
	GHashTable *metas;    /* what it says; NULL: there is no such folder */
} Check;

/* A path as the tree has it. */
typedef struct {
	const SyncMeta *meta; /* NULL: it has not */
	const git_oid *id;    /* NULL: a folder */
} Wanted;

static void unref(SyncVerify *verify)
{
	if (!g_atomic_int_dec_and_test(&verify->refs))
		return;
	g_clear_pointer(&verify->report, g_variant_unref);
	g_ptr_array_unref(verify->sets);
	g_free(verify->repository);
	g_free(verify->scratch);
	g_free(verify);
}

/* ---- one path ---- */

static bool same_as_pointer(Check *check, int fd, const git_oid *id)
{
	g_autoptr(git_blob) blob = NULL;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guchar *buffer = g_malloc(CHUNK);
	SyncPointer pointer;
	guint64 size = 0;
	ssize_t n;

	if (git_blob_lookup(&blob, check->repo->git, id) < 0 ||
	    !sync_pointer_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), &pointer, NULL))
		return false;
	while ((n = read(fd, buffer, CHUNK)) > 0) {
		g_checksum_update(sum, buffer, n);
		size += (guint64)n;
	}
	return n == 0 && size == pointer.size && (size == 0 || g_str_equal(g_checksum_get_string(sum), pointer.id));
}

static bool same_file(Check *check, int folder_fd, const char *name, const git_oid *wanted, const struct stat *st)
{
	sync_autofd fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char self[32];
	git_oid id;

	if (fd < 0)
		return false;
	check->bytes += (guint64)st->st_size;
	if (check->set->ref == SYNC_REF_VOICE)
		return same_as_pointer(check, fd, wanted);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return git_odb_hashfile(&id, self, GIT_OBJECT_BLOB) == 0 && git_oid_equal(&id, wanted);
}

static bool same_link(int folder_fd, const char *name, const git_oid *wanted)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(folder_fd, name, target, sizeof target);
	git_oid id;

	return n > 0 && n < (ssize_t)sizeof target && git_odb_hash(&id, target, (gsize)n, GIT_OBJECT_BLOB) == 0 && git_oid_equal(&id, wanted);
}

/* A database that a process has open is more than its file. */
static bool same_database(Check *check, const git_oid *wanted)
{
	g_autofree char *root = realpath(check->set->root, NULL);
	g_autofree char *path = root ? g_build_filename(root, check->set->database, NULL) : NULL;
	git_oid id;

	if (!path)
		return false;
	if (git_odb_hashfile(&id, path, GIT_OBJECT_BLOB) == 0 && git_oid_equal(&id, wanted))
		return true;
	bool same = sync_snapshot_take(path, check->verify->scratch, NULL) && git_odb_hashfile(&id, check->verify->scratch, GIT_OBJECT_BLOB) == 0 &&
		    git_oid_equal(&id, wanted);
	(void)unlink(check->verify->scratch);
	return same;
}

static Verdict judge(Check *check, const char *path, const Wanted *wanted)
{
	g_autofree char *parent = sync_path_parent(path);
	const char *name = sync_path_last(path);
	sync_autofd folder_fd = check->root_fd < 0 ? -1 : sync_file_open_beneath(check->root_fd, parent, O_RDONLY | O_DIRECTORY);
	struct stat st;
	bool there = folder_fd >= 0 && fstatat(folder_fd, *name ? name : ".", &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (!wanted->meta)
		return there ? EXTRA : SAME;
	if (!there)
		return MISSING;
	switch (wanted->meta->kind) {
	case SYNC_KIND_FOLDER:
		return S_ISDIR(st.st_mode) && (st.st_mode & 0777) == (wanted->meta->mode & 0777) ? SAME : DIFFERS;
	case SYNC_KIND_LINK:
		return S_ISLNK(st.st_mode) && same_link(folder_fd, name, wanted->id) ? SAME : DIFFERS;
	case SYNC_KIND_FILE:
		if (!S_ISREG(st.st_mode) || (st.st_mode & 0777) != (wanted->meta->mode & 0777))
			return DIFFERS;
		if (check->set->database) {
			check->bytes += (guint64)st.st_size;
			return same_database(check, wanted->id) ? SAME : DIFFERS;
		}
		return same_file(check, folder_fd, name, wanted->id, &st) ? SAME : DIFFERS;
	}
	g_assert_not_reached();
}

static void look_at(Check *check, const char *path, const Wanted *wanted)
{
	Verdict verdict = judge(check, path, wanted);

	if (verdict == SAME)
		g_hash_table_remove(check->problems, path);
	else
		g_hash_table_insert(check->problems, g_strdup(path), GINT_TO_POINTER(verdict));
}

/* ---- what the tree has ---- */

/* Its folder @path, "" the set's own; NULL: it has none. Transfer full. */
static git_tree *folder_of(Check *check, const char *path)
{
	g_autofree char *full = sync_path_join(check->set->name, path);
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_tree_entry) entry = NULL;
	git_tree *folder = NULL;

	if (git_tree_lookup(&tree, check->repo->git, &check->tree) == 0 && git_tree_entry_bypath(&entry, tree, full) == 0 &&
	    git_tree_entry_type(entry) == GIT_OBJECT_TREE && git_tree_lookup(&folder, check->repo->git, git_tree_entry_id(entry)) < 0)
		folder = NULL;
	return folder;
}

static void forget_metas(Check *check)
{
	g_clear_pointer(&check->folder, g_free);
	g_clear_pointer(&check->metas, g_hash_table_unref);
}

/* What the manifest of @folder, which is @path, says; owned by @check until it is asked for another one. */
static GHashTable *metas_of(Check *check, const char *path, git_tree *folder)
{
	const git_tree_entry *entry = git_tree_entry_byname(folder, SYNC_MANIFEST_NAME);
	g_autoptr(git_blob) manifest = NULL;

	if (check->folder && g_str_equal(check->folder, path))
		return check->metas;
	forget_metas(check);
	check->folder = g_strdup(path);
	if (entry && git_blob_lookup(&manifest, check->repo->git, git_tree_entry_id(entry)) == 0)
		check->metas = sync_manifest_parse(git_blob_rawcontent(manifest), git_blob_rawsize(manifest), NULL);
	return check->metas;
}

/* One path, as good as sync_repo_each_difference() tells of it. */
static void look_up(Check *check, const char *path)
{
	g_autofree char *parent = sync_path_parent(path);
	const char *name = sync_path_last(path);
	g_autoptr(git_tree) folder = folder_of(check, path);
	g_autoptr(git_tree) above = folder ? NULL : folder_of(check, parent);
	const git_tree_entry *entry = above && *path ? git_tree_entry_byname(above, name) : NULL;
	GHashTable *metas = folder ? metas_of(check, path, folder) : entry ? metas_of(check, parent, above) : NULL;
	Wanted wanted = { .meta = metas ? g_hash_table_lookup(metas, folder ? "." : name) : NULL, .id = entry ? git_tree_entry_id(entry) : NULL };

	if (wanted.meta && sync_set_leaves_out(check->set, path, wanted.meta->kind == SYNC_KIND_FOLDER))
		wanted = (Wanted){ NULL, NULL };
	look_at(check, path, &wanted);
}

static guint count(Check *check, const git_oid *id, guint depth)
{
	g_autoptr(git_tree) folder = NULL;
	guint n = 0;

	if (depth > DEPTH_MAX || git_tree_lookup(&folder, check->repo->git, id) < 0)
		return 0;
	/* The manifest stands for the folder itself. */
	for (gsize i = 0; i < git_tree_entrycount(folder); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(folder, i);

		n += git_tree_entry_type(entry) == GIT_OBJECT_TREE ? count(check, git_tree_entry_id(entry), depth + 1) : 1;
	}
	return n;
}

static bool is_in(Check *check, const char *path, const SyncMeta *meta)
{
	return meta && !sync_set_leaves_out(check->set, path, meta->kind == SYNC_KIND_FOLDER);
}

static bool look_first(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	Check *check = user_data;
	Wanted wanted = { becomes, id };

	g_atomic_int_inc(&check->verify->done_files);
	if (is_in(check, path, becomes)) {
		check->files++;
		look_at(check, path, &wanted);
	}
	return !g_atomic_int_get(&check->verify->cancelled);
}

/* ---- one set ---- */

/* @folder: of the tree; NULL: it has not what is here. */
static void find_extra(Check *check, int fd, const char *path, git_tree *folder, guint depth)
{
	int list_fd = depth < DEPTH_MAX ? openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);

	if (!dir) {
		if (list_fd >= 0)
			(void)close(list_fd);
		return;
	}
	for (struct dirent *entry = readdir(dir); entry && !g_atomic_int_get(&check->verify->cancelled); entry = readdir(dir)) {
		g_autofree char *inner = sync_path_join(path, entry->d_name);
		struct stat st;

		if (!sync_name_ok(entry->d_name) || sync_name_is_ours(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    sync_set_leaves_out(check->set, inner, S_ISDIR(st.st_mode)) || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
			continue;
		const git_tree_entry *known = folder ? git_tree_entry_byname(folder, entry->d_name) : NULL;
		bool is_folder = known && git_tree_entry_type(known) == GIT_OBJECT_TREE;
		if (!known || sync_set_leaves_out(check->set, inner, is_folder))
			g_hash_table_insert(check->problems, g_strdup(inner), GINT_TO_POINTER(EXTRA));
		if (!S_ISDIR(st.st_mode))
			continue;
		g_autoptr(git_tree) below = NULL;
		if (is_folder && git_tree_lookup(&below, check->repo->git, git_tree_entry_id(known)) < 0)
			below = NULL;
		sync_autofd inner_fd = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (inner_fd >= 0)
			find_extra(check, inner_fd, inner, below, depth + 1);
	}
	(void)closedir(dir);
}

/* The commit whose files are to be there. */
static bool files_of(SyncRepo *repo, SyncRef ref, git_oid *ret_commit)
{
	git_oid head;

	if (!sync_repo_get_ref(repo, "heads", sync_ref_names[ref], &head))
		return false;
	sync_migrate_files(repo, sync_ref_names[ref], &head, ret_commit);
	return true;
}

/* All of it, against the newest state. False: it has gone while it was read; *ret_has: there is one. */
static bool look_at_all(Check *check, bool *ret_has)
{
	g_autoptr(GError) error = NULL;
	git_oid head;
	bool ok = true;

	*ret_has = files_of(check->repo, check->set->ref, &head) && sync_repo_tree_of(check->repo, &head, &check->tree, NULL);
	check->files = 0;
	g_hash_table_remove_all(check->problems);
	g_autoptr(git_tree) folder = *ret_has ? folder_of(check, "") : NULL;
	if (folder) {
		g_atomic_int_add(&check->verify->all_files, (gint)count(check, git_tree_id(folder), 0));
		ok = sync_repo_each_difference(check->repo, NULL, &check->tree, check->set->name, look_first, check, &error);
	}
	if (!ok) {
		g_message("verifying: %s", error->message);
		g_hash_table_insert(check->problems, g_strdup("."), GINT_TO_POINTER(DIFFERS));
	}
	if (ok && check->root_fd >= 0 && !check->set->database)
		find_extra(check, check->root_fd, "", folder, 0);
	return ok;
}

typedef struct {
	Check *check;
	GHashTable *paths;
} Changes;

static bool note_change(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	Changes *changes = user_data;
	bool was_in = is_in(changes->check, path, was), is = is_in(changes->check, path, becomes);

	if (was_in || is)
		g_hash_table_add(changes->paths, g_strdup(path));
	changes->check->files += (is ? 1 : 0) - (was_in ? 1 : 0);
	return true;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What changed since, and what was not right, against the tree as it is now. False: nothing was left to look at. */
static bool look_again(Check *check)
{
	g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Changes changes = { check, paths };
	git_oid head, now;
	GHashTableIter iter;
	const char *path;

	if (!files_of(check->repo, check->set->ref, &head) || !sync_repo_tree_of(check->repo, &head, &now, NULL) ||
	    !sync_repo_each_difference(check->repo, &check->tree, &now, check->set->name, note_change, &changes, NULL))
		return false;
	g_hash_table_iter_init(&iter, check->problems);
	while (g_hash_table_iter_next(&iter, (gpointer *)&path, NULL))
		g_hash_table_add(paths, g_strdup(path));
	if (g_hash_table_size(paths) == 0)
		return false;
	if (!git_oid_equal(&check->tree, &now))
		forget_metas(check);
	check->tree = now;
	/* Those of one folder one after the other: each manifest is read once. */
	guint n;
	g_autofree gpointer *sorted = g_hash_table_get_keys_as_array(paths, &n);
	qsort(sorted, n, sizeof *sorted, compare_paths);
	for (guint i = 0; i < n && !g_atomic_int_get(&check->verify->cancelled); i++)
		look_up(check, sorted[i]);
	return true;
}

static void add_problems(GVariantBuilder *report, Check *check, Verdict verdict, const char *name)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new();
	g_autofree char *count = g_strconcat("n_", name, NULL);
	GVariantBuilder shown;
	GHashTableIter iter;
	gpointer path, kind;

	g_hash_table_iter_init(&iter, check->problems);
	while (g_hash_table_iter_next(&iter, &path, &kind))
		if (GPOINTER_TO_INT(kind) == (int)verdict)
			g_ptr_array_add(paths, path);
	g_ptr_array_sort(paths, compare_paths);
	g_variant_builder_init(&shown, G_VARIANT_TYPE_STRING_ARRAY);
	for (guint i = 0; i < MIN(paths->len, SHOWN); i++)
		g_variant_builder_add_value(&shown, g_variant_new_take_string(sync_printable(paths->pdata[i])));
	g_variant_builder_add(report, "{sv}", count, g_variant_new_uint64(paths->len));
	g_variant_builder_add(report, "{sv}", name, g_variant_builder_end(&shown));
}

/* The set's own folder in the tree; "": it has none. */
static char *tree_of_set(Check *check)
{
	g_autoptr(git_tree) folder = folder_of(check, "");

	return folder ? sync_oid_text(git_tree_id(folder)) : g_strdup("");
}

static void check_set(SyncVerify *verify, SyncRepo *repo, const SyncSet *set, GVariantBuilder *reports)
{
	Check check = { .verify = verify, .repo = repo, .set = set };
	bool has = false, whole = false;

	check.root_fd = sync_set_open(set);
	check.problems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint round = 0; round < ROUNDS && !g_atomic_int_get(&verify->cancelled); round++) {
		if (whole && g_hash_table_size(check.problems) > 0)
			g_usleep(PAUSE_US); /* this thread's own time */
		if (!whole)
			whole = look_at_all(&check, &has);
		else if (!has || !look_again(&check))
			break;
	}
	g_autofree char *in_tree = has ? tree_of_set(&check) : g_strdup("");
	g_variant_builder_open(reports, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(reports, "{sv}", "set", g_variant_new_string(set->name));
	g_variant_builder_add(reports, "{sv}", "ref", g_variant_new_string(sync_ref_names[set->ref]));
	g_variant_builder_add(reports, "{sv}", "tree", g_variant_new_string(in_tree));
	g_variant_builder_add(reports, "{sv}", "files", g_variant_new_uint64(check.files));
	g_variant_builder_add(reports, "{sv}", "bytes", g_variant_new_uint64(check.bytes));
	add_problems(reports, &check, DIFFERS, "differs");
	add_problems(reports, &check, MISSING, "missing");
	add_problems(reports, &check, EXTRA, "extra");
	g_variant_builder_close(reports);
	if (check.root_fd >= 0)
		(void)close(check.root_fd);
	forget_metas(&check);
	g_hash_table_unref(check.problems);
}

/* ---- what is stored ---- */

static void check_store(SyncVerify *verify, GVariantBuilder *reports)
{
	g_autofree char *folder = g_path_get_dirname(verify->repository), *store = g_build_filename(folder, "lfs", NULL);
	static const char *const names[] = { "missing", "differs" }; /* by SyncFaultKind */
	g_auto(SyncCheck) check = { 0 };

	sync_check(verify->repository, store, &verify->cancelled, &check);
	g_variant_builder_open(reports, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(reports, "{sv}", "set", g_variant_new_string(SYNC_VERIFY_STORE));
	g_variant_builder_add(reports, "{sv}", "ref", g_variant_new_string("objects"));
	g_variant_builder_add(reports, "{sv}", "tree", g_variant_new_string(""));
	g_variant_builder_add(reports, "{sv}", "files", g_variant_new_uint64(check.objects));
	g_variant_builder_add(reports, "{sv}", "bytes", g_variant_new_uint64(check.bytes));
	for (guint kind = 0; kind < G_N_ELEMENTS(names); kind++) {
		g_autofree char *count = g_strconcat("n_", names[kind], NULL);
		GVariantBuilder shown;
		guint64 n = 0;

		g_variant_builder_init(&shown, G_VARIANT_TYPE_STRING_ARRAY);
		for (guint i = 0; i < check.faults->len; i++) {
			const SyncFault *fault = check.faults->pdata[i];

			if (fault->kind != kind)
				continue;
			if (n++ < SHOWN)
				g_variant_builder_add(&shown, "s", fault->id);
		}
		g_variant_builder_add(reports, "{sv}", count, g_variant_new_uint64(n));
		g_variant_builder_add(reports, "{sv}", names[kind], g_variant_builder_end(&shown));
	}
	g_variant_builder_add(reports, "{sv}", "n_extra", g_variant_new_uint64(0));
	g_variant_builder_add(reports, "{sv}", "extra", g_variant_new_strv(NULL, 0));
	g_variant_builder_close(reports);
}

/* ---- the whole ---- */

static gboolean on_done(gpointer data)
{
	SyncVerify *verify = data;

	if (!g_atomic_int_get(&verify->cancelled))
		verify->done(verify->report, verify->user_data);
	unref(verify);
	return G_SOURCE_REMOVE;
}

static gpointer run(gpointer data)
{
	SyncVerify *verify = data;
	g_autoptr(GError) error = NULL;
	GVariantBuilder reports;

	/* Calls, copies and takeovers come first. */
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	g_autoptr(SyncRepo) repo = sync_repo_open(verify->repository, &error);
	g_variant_builder_init(&reports, G_VARIANT_TYPE("aa{sv}"));
	if (!repo)
		g_warning("verifying: %s", error->message);
	for (guint i = 0; repo && i < verify->sets->len && !g_atomic_int_get(&verify->cancelled); i++)
		check_set(verify, repo, verify->sets->pdata[i], &reports);
	check_store(verify, &reports);
	verify->report = g_variant_ref_sink(g_variant_builder_end(&reports));
	g_idle_add(on_done, verify);
	return NULL;
}

SyncVerify *sync_verify_new(const char *repository, GPtrArray *sets, const char *scratch, SyncVerifyDone done, gpointer user_data)
{
	SyncVerify *verify = g_new0(SyncVerify, 1);

	verify->refs = 2;
	verify->repository = g_strdup(repository);
	verify->scratch = g_strdup(scratch);
	verify->sets = g_ptr_array_ref(sets);
	verify->done = done;
	verify->user_data = user_data;
	g_thread_unref(g_thread_new("verify", run, verify));
	return verify;
}

void sync_verify_free(SyncVerify *verify)
{
	if (!verify)
		return;
	g_atomic_int_set(&verify->cancelled, 1);
	unref(verify);
}

double sync_verify_progress(SyncVerify *verify)
{
	gint all = g_atomic_int_get(&verify->all_files);

	return all > 0 ? MIN(1.0, (double)g_atomic_int_get(&verify->done_files) / all) : 0;
}

static GVariant *find_set(GVariant *reports, const char *name)
{
	for (gsize i = 0; i < g_variant_n_children(reports); i++) {
		g_autoptr(GVariant) report = g_variant_get_child_value(reports, i);
		const char *set = "";

		if (g_variant_lookup(report, "set", "&s", &set) && g_str_equal(set, name))
			return g_steal_pointer(&report);
	}
	return NULL;
}

static bool is_clean(GVariant *report)
{
	guint64 differs = 1, missing = 1, extra = 1;

	return g_variant_lookup(report, "n_differs", "t", &differs) && g_variant_lookup(report, "n_missing", "t", &missing) &&
	       g_variant_lookup(report, "n_extra", "t", &extra) && differs + missing + extra == 0;
}

static void merge_one(GVariantBuilder *all, const char *name, GVariant *here, GVariant *there)
{
	const char *ref = "", *tree = "", *other = "", *verdict = "same";

	(void)g_variant_lookup(here ? here : there, "ref", "&s", &ref);
	(void)(here && g_variant_lookup(here, "tree", "&s", &tree));
	(void)(there && g_variant_lookup(there, "tree", "&s", &other));
	/* A peer of an earlier version says nothing of what it has stored. */
	if (g_str_equal(name, SYNC_VERIFY_STORE))
		verdict = (!here || is_clean(here)) && (!there || is_clean(there)) ? "same" : "differs";
	else if (!here || !there || !is_clean(here) || !is_clean(there))
		verdict = "differs";
	else if (!g_str_equal(tree, other))
		verdict = "moving";
	g_variant_builder_open(all, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(all, "{sv}", "set", g_variant_new_string(name));
	g_variant_builder_add(all, "{sv}", "ref", g_variant_new_string(ref));
	g_variant_builder_add(all, "{sv}", "verdict", g_variant_new_string(verdict));
	g_variant_builder_add(all, "{sv}", "here", here ? here : g_variant_new("a{sv}", NULL));
	g_variant_builder_add(all, "{sv}", "there", there ? there : g_variant_new("a{sv}", NULL));
	g_variant_builder_close(all);
}

bool sync_verify_is_store_damaged(GVariant *reports)
{
	g_autoptr(GVariant) report = find_set(reports, SYNC_VERIFY_STORE);

	return report && !is_clean(report);
}

GVariant *sync_verify_merge(GVariant *here, GVariant *there)
{
	GVariantBuilder all;

	g_variant_builder_init(&all, G_VARIANT_TYPE("aa{sv}"));
	for (gsize i = 0; i < g_variant_n_children(here) + g_variant_n_children(there); i++) {
		bool ours = i < g_variant_n_children(here);
		g_autoptr(GVariant) report = ours ? g_variant_get_child_value(here, i) : g_variant_get_child_value(there, i - g_variant_n_children(here));
		const char *name = "";
		(void)g_variant_lookup(report, "set", "&s", &name);
		g_autoptr(GVariant) other = find_set(ours ? there : here, name);

		if (ours)
			merge_one(&all, name, report, other);
		else if (!other)
			merge_one(&all, name, NULL, report);
	}
	return g_variant_builder_end(&all);
}
