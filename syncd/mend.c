/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/mend.c - what a loss of power, or the disk, has taken of the repository and of the recordings comes back.
 *
 * Found by reading everything (check.h): after an unclean stop, when a verification found something, or when a line could not read what it needs. What is
 * damaged goes first, or it would count as present for ever. Then the lines store what is on their files again, and the rest is fetched once more from the
 * peer, with all that came before it, into a repository of its own: nothing that is there now is believed, and no file of a data set is touched for it.
 */
#include <fcntl.h>
#include <git2/odb_backend.h>
#include <git2/sys/odb_backend.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine-private.h"
#include "error.h"
#include "syncd/peer/git-http.h"
#include "syncd/files/file.h"
#include "syncd/repository/check.h"

enum { TOLD_MAX = 3, NICE = 19 };
enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 };

/* ---- an unclean stop ---- */

static char *this_boot(void)
{
	char *text = NULL;

	return g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL) ? g_strstrip(text) : g_strdup("unknown");
}

static char *mark_of(const SyncEngine *engine)
{
	return g_build_filename(engine->folder, "running", NULL);
}

bool sync_mend_begin(SyncEngine *engine)
{
	g_autofree char *mark = mark_of(engine), *boot = this_boot(), *before = NULL;
	g_autoptr(GError) error = NULL;
	bool had = g_file_get_contents(mark, &before, NULL, NULL);

	/* Killed in the same boot: what it wrote is there, only late. */
	if ((!had || !g_str_equal(before, boot)) && !sync_file_write(mark, boot, strlen(boot), 0600, &error))
		g_warning("%s", error->message);
	return had && !g_str_equal(before, boot);
}

void sync_mend_end(SyncEngine *engine)
{
	g_autofree char *mark = mark_of(engine);

	(void)unlink(mark);
}

/* ---- in the tidying thread ---- */

static bool is_of(const SyncLine *line, const SyncFault *fault)
{
	const char *last = strrchr(fault->ref, '/');

	if (g_str_has_prefix(fault->ref, "refs/diverged/") || !last)
		return line->ref == SYNC_REF_CONFIG; /* most likely; the peer may have it */
	return g_str_equal(last + 1, line->name);
}

/* Whether it is one from which everything can be read that it says it has; what does not open is not. */
static bool pack_is_sound(const char *index, const SyncCheck *check)
{
	git_odb_backend *pack = NULL;
	bool sound = git_odb_backend_one_pack(&pack, index) == 0;

	for (guint i = 0; sound && i < check->faults->len; i++) {
		const SyncFault *fault = check->faults->pdata[i];
		git_oid id;

		sound = fault->recording || strlen(fault->id) != GIT_OID_HEXSZ || git_oid_fromstr(&id, fault->id) < 0 || !pack->exists(pack, &id);
	}
	if (pack)
		pack->free(pack);
	return sound;
}

/* What can still be read of a pack is stored object by object. */
static void salvage(SyncEngine *engine, const char *pack)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_auto(GStrv) env = sync_git_environment(engine->folder);

	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_cwd(launcher, engine->repository);
	g_subprocess_launcher_set_stdin_file_path(launcher, pack);
	g_autoptr(GSubprocess) process = g_subprocess_launcher_spawn(launcher, NULL, "git", "unpack-objects", "-r", "-q", NULL);
	if (process)
		(void)g_subprocess_wait(process, NULL, NULL); /* it fails, of course */
}

static void put_packs_aside(SyncEngine *engine, const SyncCheck *check)
{
	g_autofree char *folder = g_build_filename(engine->repository, "objects/pack", NULL);
	g_autofree char *aside = g_build_filename(engine->repository, "damaged", NULL);
	g_autoptr(GPtrArray) moved = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		if (!g_str_has_suffix(name, ".pack"))
			continue;
		g_autofree char *stem = g_strndup(name, strlen(name) - strlen(".pack"));
		g_autofree char *index = g_strconcat(folder, "/", stem, ".idx", NULL), *pack = g_build_filename(folder, name, NULL);
		char *to = g_build_filename(aside, name, NULL);

		g_ptr_array_add(moved, to);
		if (pack_is_sound(index, check) || g_mkdir_with_parents(aside, 0700) < 0 || rename(pack, to) < 0)
			g_ptr_array_remove(moved, to);
		else
			(void)unlink(index);
	}
	for (guint i = 0; i < moved->len; i++)
		salvage(engine, moved->pdata[i]);
}

/* Where it lies in a file of its own, that goes; what lies in a pack comes again in another one, and is found there. */
static void remove_damaged(SyncEngine *engine, const SyncCheck *check)
{
	for (guint i = 0; i < check->faults->len; i++) {
		const SyncFault *fault = check->faults->pdata[i];
		g_autofree char *store = g_build_filename(engine->folder, "lfs", NULL);
		g_autofree char *path = NULL;

		if (fault->kind != SYNC_FAULT_CORRUPT || strlen(fault->id) < GIT_OID_HEXSZ)
			continue;
		path = fault->recording ? sync_objects_path_in(store, fault->id) :
					  g_strdup_printf("%s/objects/%.2s/%s", engine->repository, fault->id, fault->id + 2);
		(void)unlink(path);
	}
	put_packs_aside(engine, check);
}

static gboolean restore_line(gpointer data)
{
	SyncLine *line = data;
	g_autoptr(GError) error = NULL;

	if (!sync_repo_reopen(line->repo, &error))
		g_warning("%s", error->message);
	g_atomic_int_set(&line->damaged, true);
	line->doubtful = line->objects != NULL;
	sync_line_forget_picture(line);
	if (line->role == SYNC_ROLE_LEAD)
		sync_lead_begin(line);
	sync_line_tell_damaged(line);
	return G_SOURCE_REMOVE;
}

typedef struct {
	SyncEngine *engine;
	const gint *stop;
	SyncCheck check;
} Reading;

/* Calls, copies and takeovers come first; and who has such a priority never gets another. */
static gpointer read_all(gpointer data)
{
	Reading *reading = data;
	g_autofree char *store = g_build_filename(reading->engine->folder, "lfs", NULL);

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	sync_check(reading->engine->repository, store, reading->stop, &reading->check);
	return NULL;
}

void sync_mend(SyncEngine *engine, const gint *stop)
{
	Reading reading = { .engine = engine, .stop = stop };
	g_autoptr(GString) text = g_string_new(NULL);

	g_thread_join(g_thread_new("check", read_all, &reading));
	g_auto(SyncCheck) check = reading.check;
	if (check.faults->len == 0 || g_atomic_int_get(stop))
		return;
	for (guint i = 0; i < MIN(check.faults->len, TOLD_MAX); i++) {
		const SyncFault *fault = check.faults->pdata[i];

		g_string_append_printf(text, "%s%s of %s", i ? ", " : "", fault->id, fault->ref);
	}
	sync_line_notice(&engine->lines[SYNC_REF_CONFIG], "copy damaged", 2,
			 "%u object%s of what this device has stored %s gone or damaged (%s%s); stored again from the files, or fetched again from the other device",
			 check.faults->len, check.faults->len == 1 ? "" : "s", check.faults->len == 1 ? "is" : "are", text->str,
			 check.faults->len > TOLD_MAX ? ", …" : "");
	g_rw_lock_writer_lock(&engine->storing);
	remove_damaged(engine, &check);
	g_rw_lock_writer_unlock(&engine->storing);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];
		bool hit = false;

		for (guint k = 0; !hit && k < check.faults->len; k++)
			hit = is_of(line, check.faults->pdata[k]);
		if (hit)
			sync_engine_post(line->context, G_PRIORITY_DEFAULT, restore_line, line);
	}
}

/* ---- in the line's thread ---- */

bool sync_mend_fetch(SyncLine *line, const SyncFetchSource *source, const git_oid *target, GCancellable *cancellable, GError **error)
{
	g_autofree char *name = g_strconcat("mend-", line->name, ".git", NULL);
	g_autofree char *path = g_build_filename(line->engine->folder, name, NULL);
	sync_autofd folder = open(line->engine->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder >= 0)
		sync_file_remove_tree(folder, name);
	g_autoptr(SyncRepo) anew = sync_repo_open(path, error);
	bool ok = anew && sync_fetch(anew, source, "mended", line->name, target, cancellable, error) && sync_repo_adopt_packs(line->engine->repository, path, error) &&
		  sync_repo_reopen(line->repo, error);
	if (folder >= 0)
		sync_file_remove_tree(folder, name);
	if (ok)
		g_atomic_int_set(&line->damaged, false);
	return ok;
}

bool sync_mend_leader(SyncLine *line, const SyncFetchSource *source, const char *peer, const git_oid *target, GCancellable *cancellable, GError **error)
{
	git_oid head;

	sync_line_store_begin(line);
	bool ok = sync_mend_fetch(line, source, target, cancellable, error);
	/* Where our own line had to begin anew, what was before it has a name. */
	if (ok && line->ref != SYNC_REF_VOLATILE &&
	    !(sync_repo_get_ref(line->repo, "heads", line->name, &head) && sync_repo_contains(line->repo, &head, target))) {
		g_autofree char *name = sync_repo_park(line->repo, peer, target, error);

		ok = name != NULL;
		if (ok) {
			sync_line_tell_diverged(line);
			sync_line_notice(line, "history kept", 2, "What this device had committed before its disk lost it is kept, as the other device has it, as %s", name);
		}
	}
	sync_line_store_end(line);
	return ok;
}
