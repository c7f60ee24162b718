/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/large.c - git cat-file in the place of git_blob_lookup(). */
#include "syncd/repository/large.h"

#include <fcntl.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"
#include "syncd/peer/git-http.h"

enum { LARGE = 8 << 20, CHUNK = 256 * 1024 };

bool sync_large_is(SyncRepo *repo, const git_oid *id)
{
	g_autoptr(git_odb) odb = NULL;
	git_object_t kind;
	size_t size;

	return git_repository_odb(&odb, repo->git) == 0 && git_odb_read_header(&size, &kind, odb, id) == 0 && size > LARGE;
}

/* @out_fd -1: into a pipe. */
static GSubprocess *write_out(SyncRepo *repo, const git_oid *id, int out_fd, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(out_fd < 0 ? G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE :
											  G_SUBPROCESS_FLAGS_STDERR_PIPE);
	g_auto(GStrv) env = sync_git_environment(repo->path);
	g_autofree char *hex = sync_oid_text(id);
	const char *argv[] = { "git", "-c", "core.bigFileThreshold=1m", "cat-file", "blob", hex, NULL };

	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_cwd(launcher, repo->path);
	if (out_fd >= 0)
		g_subprocess_launcher_take_stdout_fd(launcher, fcntl(out_fd, F_DUPFD_CLOEXEC, 3));
	return g_subprocess_launcher_spawnv(launcher, argv, error);
}

static void end(GSubprocess *process)
{
	g_subprocess_force_exit(process);
	(void)g_subprocess_wait(process, NULL, NULL);
}

bool sync_large_write(SyncRepo *repo, const git_oid *id, int fd, GCancellable *cancellable, GError **error)
{
	g_autoptr(GSubprocess) process = write_out(repo, id, fd, error);
	g_autofree char *complaint = NULL;

	if (!process)
		return false;
	if (!g_subprocess_communicate_utf8(process, NULL, cancellable, NULL, &complaint, error)) {
		end(process);
		return false;
	}
	if (g_subprocess_get_successful(process))
		return true;
	g_autofree char *shown = sync_printable(g_strstrip(complaint));
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "git cat-file: %s", shown);
	return false;
}

bool sync_large_is_whole(SyncRepo *repo, const git_oid *id, const gint *stop)
{
	g_autoptr(GSubprocess) process = write_out(repo, id, -1, NULL);
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
	g_autofree guchar *buffer = g_malloc(CHUNK);
	g_autoptr(git_odb) odb = NULL;
	g_autofree char *hex = sync_oid_text(id);
	git_object_t kind;
	size_t size;
	gssize n = -1;

	if (!process || git_repository_odb(&odb, repo->git) < 0 || git_odb_read_header(&size, &kind, odb, id) < 0) {
		if (process)
			end(process);
		return false;
	}
	/* An object's name is that of its head and its content. */
	g_autofree char *head = g_strdup_printf("blob %" G_GSIZE_FORMAT, size);
	g_checksum_update(sum, (const guchar *)head, (gssize)strlen(head) + 1);
	while ((!stop || !g_atomic_int_get(stop)) && (n = g_input_stream_read(g_subprocess_get_stdout_pipe(process), buffer, CHUNK, NULL, NULL)) > 0)
		g_checksum_update(sum, buffer, n);
	end(process);
	return n != 0 ? stop && g_atomic_int_get(stop) : g_str_equal(g_checksum_get_string(sum), hex);
}
