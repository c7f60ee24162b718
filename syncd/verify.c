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

typedef struct {
	SyncVerify *verify;
	SyncRepo *repo;
	const SyncSet *set;
	int root_fd;
	GHashTable *entries;  /* path -> SyncEntry*, of what the tree has and is not left out here */
	GHashTable *problems; /* path -> Verdict */
	guint64 bytes;
} Check;

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

static bool is_id(const git_oid *id, const SyncEntry *entry)
{
	git_oid wanted;

	return git_oid_fromstr(&wanted, entry->id) == 0 && git_oid_equal(&wanted, id);
}

static bool same_as_pointer(Check *check, int fd, const SyncEntry *entry)
{
	g_autoptr(git_blob) blob = NULL;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guchar *buffer = g_malloc(CHUNK);
	SyncPointer pointer;
	git_oid id;
	guint64 size = 0;
	ssize_t n;

	if (git_oid_fromstr(&id, entry->id) < 0 || git_blob_lookup(&blob, check->repo->git, &id) < 0 ||
	    !sync_pointer_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), &pointer, NULL))
		return false;
	while ((n = read(fd, buffer, CHUNK)) > 0) {
		g_checksum_update(sum, buffer, n);
		size += (guint64)n;
	}
	return n == 0 && size == pointer.size && (size == 0 || g_str_equal(g_checksum_get_string(sum), pointer.id));
}

static bool same_file(Check *check, int folder_fd, const char *name, const SyncEntry *entry, const struct stat *st)
{
	sync_autofd fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char self[32];
	git_oid id;

	if (fd < 0)
		return false;
	check->bytes += (guint64)st->st_size;
	if (check->set->ref == SYNC_REF_VOICE)
		return same_as_pointer(check, fd, entry);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return git_odb_hashfile(&id, self, GIT_OBJECT_BLOB) == 0 && is_id(&id, entry);
}

static bool same_link(int folder_fd, const char *name, const SyncEntry *entry)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(folder_fd, name, target, sizeof target);
	git_oid id;

	return n > 0 && n < (ssize_t)sizeof target && git_odb_hash(&id, target, (gsize)n, GIT_OBJECT_BLOB) == 0 && is_id(&id, entry);
}

/* A database that a process has open is more than its file. */
static bool same_database(Check *check, const SyncEntry *entry)
{
	g_autofree char *root = realpath(check->set->root, NULL);
	g_autofree char *path = root ? g_build_filename(root, check->set->database, NULL) : NULL;
	git_oid id;

	if (!path)
		return false;
	if (git_odb_hashfile(&id, path, GIT_OBJECT_BLOB) == 0 && is_id(&id, entry))
		return true;
	bool same = sync_snapshot_take(path, check->verify->scratch, NULL) && git_odb_hashfile(&id, check->verify->scratch, GIT_OBJECT_BLOB) == 0 &&
		    is_id(&id, entry);
	(void)unlink(check->verify->scratch);
	return same;
}

static Verdict judge(Check *check, const char *path)
{
	const SyncEntry *entry = g_hash_table_lookup(check->entries, path);
	g_autofree char *parent = sync_path_parent(path);
	const char *name = sync_path_last(path);
	sync_autofd folder_fd = check->root_fd < 0 ? -1 : sync_file_open_beneath(check->root_fd, parent, O_RDONLY | O_DIRECTORY);
	struct stat st;
	bool there = folder_fd >= 0 && fstatat(folder_fd, *name ? name : ".", &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (!entry)
		return there ? EXTRA : SAME;
	if (!there)
		return MISSING;
	switch (entry->meta->kind) {
	case SYNC_KIND_FOLDER:
		return S_ISDIR(st.st_mode) && (st.st_mode & 0777) == (entry->meta->mode & 0777) ? SAME : DIFFERS;
	case SYNC_KIND_LINK:
		return S_ISLNK(st.st_mode) && same_link(folder_fd, name, entry) ? SAME : DIFFERS;
	case SYNC_KIND_FILE:
		if (!S_ISREG(st.st_mode) || (st.st_mode & 0777) != (entry->meta->mode & 0777))
			return DIFFERS;
		if (check->set->database) {
			check->bytes += (guint64)st.st_size;
			return same_database(check, entry) ? SAME : DIFFERS;
		}
		return same_file(check, folder_fd, name, entry, &st) ? SAME : DIFFERS;
	}
	g_assert_not_reached();
}

static void look_at(Check *check, const char *path)
{
	Verdict verdict = judge(check, path);

	if (verdict == SAME)
		g_hash_table_remove(check->problems, path);
	else
		g_hash_table_insert(check->problems, g_strdup(path), GINT_TO_POINTER(verdict));
}

/* ---- one set ---- */

static void find_extra(Check *check, int fd, const char *path, guint depth)
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
		if (!g_hash_table_contains(check->entries, inner))
			g_hash_table_insert(check->problems, g_strdup(inner), GINT_TO_POINTER(EXTRA));
		if (!S_ISDIR(st.st_mode))
			continue;
		sync_autofd inner_fd = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (inner_fd >= 0)
			find_extra(check, inner_fd, inner, depth + 1);
	}
	(void)closedir(dir);
}

static GHashTable *entries_of(Check *check, const git_oid *tree)
{
	GHashTable *entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sync_entry_free);
	g_autoptr(GPtrArray) old = g_ptr_array_new(), new_ = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	if (!sync_repo_compare(check->repo, NULL, tree, check->set->name, old, new_, &error))
		g_warning("verifying: %s", error->message);
	for (guint i = 0; i < new_->len; i++) {
		SyncEntry *entry = new_->pdata[i];

		if (sync_set_leaves_out(check->set, entry->path, entry->meta->kind == SYNC_KIND_FOLDER))
			sync_entry_free(entry);
		else
			g_hash_table_insert(entries, entry->path, entry);
	}
	return entries;
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

/* What changed since, and what was not right, against the tree as it is now. False: nothing was left to look at. */
static bool look_again(Check *check, git_oid *tree)
{
	g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(GPtrArray) new_ = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	git_oid head, now;
	GHashTableIter iter;
	const char *path;

	if (!files_of(check->repo, check->set->ref, &head) || !sync_repo_tree_of(check->repo, &head, &now, NULL) ||
	    !sync_repo_compare(check->repo, tree, &now, check->set->name, old, new_, NULL))
		return false;
	g_hash_table_iter_init(&iter, check->problems);
	while (g_hash_table_iter_next(&iter, (gpointer *)&path, NULL))
		g_hash_table_add(paths, g_strdup(path));
	for (guint i = 0; i < old->len + new_->len; i++) {
		const SyncEntry *entry = i < old->len ? old->pdata[i] : new_->pdata[i - old->len];

		if (!sync_set_leaves_out(check->set, entry->path, entry->meta->kind == SYNC_KIND_FOLDER))
			g_hash_table_add(paths, g_strdup(entry->path));
	}
	if (g_hash_table_size(paths) == 0)
		return false;
	if (!git_oid_equal(tree, &now)) {
		g_hash_table_unref(check->entries);
		check->entries = entries_of(check, &now);
		*tree = now;
	}
	g_hash_table_iter_init(&iter, paths);
	while (g_hash_table_iter_next(&iter, (gpointer *)&path, NULL))
		look_at(check, path);
	return true;
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
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
static char *tree_of_set(Check *check, const git_oid *tree_id)
{
	g_autoptr(git_tree) tree = NULL;
	const git_tree_entry *entry;

	if (git_tree_lookup(&tree, check->repo->git, tree_id) < 0 || !(entry = git_tree_entry_byname(tree, check->set->name)))
		return g_strdup("");
	return sync_oid_text(git_tree_entry_id(entry));
}

static void check_set(SyncVerify *verify, SyncRepo *repo, const SyncSet *set, GVariantBuilder *reports)
{
	Check check = { .verify = verify, .repo = repo, .set = set };
	g_autofree char *in_tree = g_strdup("");
	git_oid head, tree;
	GHashTableIter iter;
	const char *path;
	bool has = files_of(repo, set->ref, &head) && sync_repo_tree_of(repo, &head, &tree, NULL);

	check.root_fd = sync_set_open(set);
	check.problems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	check.entries = has ? entries_of(&check, &tree) : g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sync_entry_free);
	g_atomic_int_add(&verify->all_files, (gint)g_hash_table_size(check.entries));
	g_hash_table_iter_init(&iter, check.entries);
	while (g_hash_table_iter_next(&iter, (gpointer *)&path, NULL) && !g_atomic_int_get(&verify->cancelled)) {
		look_at(&check, path);
		g_atomic_int_inc(&verify->done_files);
	}
	if (check.root_fd >= 0 && !set->database)
		find_extra(&check, check.root_fd, "", 0);
	for (guint round = 1; has && round < ROUNDS && !g_atomic_int_get(&verify->cancelled); round++) {
		if (g_hash_table_size(check.problems) > 0)
			g_usleep(PAUSE_US); /* this thread's own time */
		if (!look_again(&check, &tree))
			break;
	}
	if (has) {
		g_free(in_tree);
		in_tree = tree_of_set(&check, &tree);
	}
	g_variant_builder_open(reports, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(reports, "{sv}", "set", g_variant_new_string(set->name));
	g_variant_builder_add(reports, "{sv}", "ref", g_variant_new_string(sync_ref_names[set->ref]));
	g_variant_builder_add(reports, "{sv}", "tree", g_variant_new_string(in_tree));
	g_variant_builder_add(reports, "{sv}", "files", g_variant_new_uint64(g_hash_table_size(check.entries)));
	g_variant_builder_add(reports, "{sv}", "bytes", g_variant_new_uint64(check.bytes));
	add_problems(reports, &check, DIFFERS, "differs");
	add_problems(reports, &check, MISSING, "missing");
	add_problems(reports, &check, EXTRA, "extra");
	g_variant_builder_close(reports);
	if (check.root_fd >= 0)
		(void)close(check.root_fd);
	g_hash_table_unref(check.entries);
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
