/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/receive.c - in front of libgit2's own place for packs; its head says which of the two takes a pack. */
#include "syncd/repository/receive.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <git2/sys/odb_backend.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/file.h"
#include "syncd/peer/git-http.h"
#include "syncd/repository/repo.h"

enum {
	PRIORITY = 5, /* before libgit2's */
	MANY = 4096,  /* objects */
	HEAD = 12,    /* "PACK", the version, how many */
	LOOK_MS = 100,
};

typedef struct {
	git_odb_backend parent;
	char *repository;
} Receiver;

typedef struct {
	git_odb_writepack parent;
	git_odb *odb;
	git_indexer_progress_cb progress; /* may be NULL; not 0: it is not wanted any more */
	void *payload;
	GByteArray *head;     /* what came before it was known how many there are */
	git_indexer *indexer; /* of few */
	GSubprocess *process; /* of many */
} Pack;

static const char *repository_of(const Pack *pack)
{
	return ((const Receiver *)pack->parent.backend)->repository;
}

static int failed(GError *error)
{
	git_error_set_str(GIT_ERROR_INDEXER, error->message);
	g_error_free(error);
	return -1;
}

static bool begin(Pack *pack, git_indexer_progress *stats)
{
	git_indexer_options options = GIT_INDEXER_OPTIONS_INIT;
	const char *argv[] = { "git", "-c", "core.fsync=pack,pack-metadata", "index-pack", "--stdin", "--fix-thin", NULL };
	GError *error = NULL;
	guint32 n;

	memcpy(&n, pack->head->data + HEAD - sizeof n, sizeof n);
	if (GUINT32_FROM_BE(n) < MANY) {
		g_autofree char *folder = g_build_filename(repository_of(pack), "objects/pack", NULL);

		options.progress_cb = pack->progress;
		options.progress_cb_payload = pack->payload;
		return git_indexer_new(&pack->indexer, folder, 0, pack->odb, &options) == 0;
	}
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_auto(GStrv) env = sync_git_environment(repository_of(pack));
	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_cwd(launcher, repository_of(pack));
	pack->process = g_subprocess_launcher_spawnv(launcher, argv, &error);
	if (!pack->process)
		(void)failed(error);
	else
		stats->total_objects = GUINT32_FROM_BE(n);
	return pack->process != NULL;
}

static int unwanted(const Pack *pack, const git_indexer_progress *stats)
{
	return pack->progress ? pack->progress(stats, pack->payload) : 0;
}

static int pack_append(git_odb_writepack *parent, const void *data, size_t size, git_indexer_progress *stats)
{
	Pack *pack = (Pack *)parent;
	GError *error = NULL;

	if (!pack->indexer && !pack->process) {
		g_byte_array_append(pack->head, data, (guint)size);
		if (pack->head->len < HEAD)
			return 0;
		if (!begin(pack, stats))
			return -1;
		data = pack->head->data;
		size = pack->head->len;
	}
	if (pack->indexer)
		return git_indexer_append(pack->indexer, data, size, stats);
	stats->received_bytes += size;
	int rc = unwanted(pack, stats);
	if (rc != 0)
		return rc;
	if (!g_output_stream_write_all(g_subprocess_get_stdin_pipe(pack->process), data, size, NULL, NULL, &error))
		return failed(error);
	return 0;
}

static bool folder_lasts(const Pack *pack, GError **error)
{
	g_autofree char *some = g_build_filename(repository_of(pack), "objects/pack/some", NULL);

	return sync_file_settle_folder(some, error);
}

static int pack_commit(git_odb_writepack *parent, git_indexer_progress *stats)
{
	Pack *pack = (Pack *)parent;
	GError *error = NULL;

	if (pack->indexer)
		return git_indexer_commit(pack->indexer, stats);
	if (!pack->process) {
		git_error_set_str(GIT_ERROR_INDEXER, "a pack without a head");
		return -1;
	}
	(void)g_output_stream_close(g_subprocess_get_stdin_pipe(pack->process), NULL, NULL);
	/* It says the pack's name when all is done. */
	GPollFD said = { .fd = g_unix_input_stream_get_fd(G_UNIX_INPUT_STREAM(g_subprocess_get_stdout_pipe(pack->process))), .events = G_IO_IN | G_IO_HUP };
	while (g_poll(&said, 1, LOOK_MS) == 0) {
		int rc = unwanted(pack, stats);

		if (rc != 0)
			return rc;
	}
	if (!g_subprocess_wait_check(pack->process, NULL, &error)) {
		g_prefix_error(&error, "git index-pack: ");
		return failed(error);
	}
	stats->received_objects = stats->indexed_objects = stats->total_objects;
	return folder_lasts(pack, &error) ? 0 : failed(error);
}

static void pack_free(git_odb_writepack *parent)
{
	Pack *pack = (Pack *)parent;

	if (pack->process) {
		g_subprocess_force_exit(pack->process); /* only matters when it was not committed */
		(void)g_subprocess_wait(pack->process, NULL, NULL);
		g_object_unref(pack->process);
	}
	git_indexer_free(pack->indexer);
	g_byte_array_unref(pack->head);
	g_free(pack);
}

static int receiver_writepack(git_odb_writepack **ret_pack, git_odb_backend *backend, git_odb *odb, git_indexer_progress_cb progress, void *payload)
{
	Pack *pack = g_new0(Pack, 1);

	*pack = (Pack){
		.parent = { .backend = backend, .append = pack_append, .commit = pack_commit, .free = pack_free },
		.odb = odb,
		.progress = progress,
		.payload = payload,
		.head = g_byte_array_new(),
	};
	*ret_pack = &pack->parent;
	return 0;
}

static void receiver_free(git_odb_backend *backend)
{
	Receiver *receiver = (Receiver *)backend;

	g_free(receiver->repository);
	g_free(receiver);
}

bool sync_receive_attach(git_repository *git, GError **error)
{
	g_autoptr(git_odb) odb = NULL;
	Receiver *receiver = g_new0(Receiver, 1);

	git_odb_init_backend(&receiver->parent, GIT_ODB_BACKEND_VERSION);
	receiver->parent.writepack = receiver_writepack;
	receiver->parent.free = receiver_free;
	receiver->repository = g_strdup(git_repository_path(git));
	if (git_repository_odb(&odb, git) == 0 && git_odb_add_backend(odb, &receiver->parent, PRIORITY) == 0)
		return true;
	receiver_free(&receiver->parent);
	return sync_git_error(error, "opening the repository");
}
