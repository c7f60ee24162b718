/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/receive.c - in front of libgit2's own place for packs; how many objects there are, and how large they come, says which of the two takes a pack. */
#include "syncd/repository/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <git2/sys/odb_backend.h>
#include <string.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/peer/git-http.h"
#include "syncd/repository/repo.h"

enum {
	PRIORITY = 5, /* before libgit2's */
	MANY = 4096,  /* objects, */
	LARGE = 2 << 20, /* or bytes, are git's */
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
	GByteArray *held;     /* all of it, as long as that is little */
	GSubprocess *process; /* else */
	char *place;          /* its objects are in, until it is whole: of one that ends before, nothing is left among ours */
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

static guint32 n_objects(const Pack *pack)
{
	guint32 n;

	memcpy(&n, pack->held->data + HEAD - sizeof n, sizeof n);
	return GUINT32_FROM_BE(n);
}

static bool begin(Pack *pack, git_indexer_progress *stats)
{
	const char *argv[] = { "git", "-c", "core.fsync=pack,pack-metadata", "index-pack", "--stdin", "--fix-thin", NULL };
	g_autofree char *place = g_build_filename(repository_of(pack), SYNC_RECEIVING "XXXXXX", NULL);
	g_autofree char *ours = g_build_filename(repository_of(pack), "objects", NULL);
	GError *error = NULL;

	if (!g_mkdtemp_full(place, 0700)) {
		sync_error_from_errno(&error, errno, "%s", place);
		(void)failed(error);
		return false;
	}
	g_autofree char *theirs = g_build_filename(place, "objects", NULL), *packs = g_build_filename(theirs, "pack", NULL);
	pack->place = g_steal_pointer(&place);
	if (g_mkdir_with_parents(packs, 0700) < 0) {
		sync_error_from_errno(&error, errno, "%s", packs);
		(void)failed(error);
		return false;
	}
	g_autoptr(GSubprocessLauncher) launcher =
		g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_auto(GStrv) env = sync_git_environment(repository_of(pack));
	env = g_environ_setenv(env, "GIT_OBJECT_DIRECTORY", theirs, TRUE);
	env = g_environ_setenv(env, "GIT_ALTERNATE_OBJECT_DIRECTORIES", ours, TRUE);
	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_cwd(launcher, repository_of(pack));
	pack->process = g_subprocess_launcher_spawnv(launcher, argv, &error);
	if (!pack->process)
		(void)failed(error);
	else
		stats->total_objects = n_objects(pack);
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

	stats->received_bytes += size;
	int rc = unwanted(pack, stats);
	if (rc != 0)
		return rc;
	if (!pack->process) {
		g_byte_array_append(pack->held, data, (guint)size);
		if (pack->held->len < HEAD || (n_objects(pack) < MANY && pack->held->len <= LARGE))
			return 0;
		if (!begin(pack, stats))
			return -1;
		data = pack->held->data;
		size = pack->held->len;
	}
	bool given = g_output_stream_write_all(g_subprocess_get_stdin_pipe(pack->process), data, size, NULL, NULL, &error);
	if (pack->held->len > 0) {
		g_byte_array_unref(pack->held);
		pack->held = g_byte_array_new();
	}
	return given ? 0 : failed(error);
}

/* Here, by libgit2. */
static int commit_held(Pack *pack, git_indexer_progress *stats)
{
	git_indexer_options options = GIT_INDEXER_OPTIONS_INIT;
	g_autofree char *folder = g_build_filename(repository_of(pack), "objects/pack", NULL);
	git_indexer *indexer = NULL;

	if (pack->held->len < HEAD) {
		git_error_set_str(GIT_ERROR_INDEXER, "a pack without a head");
		return -1;
	}
	options.progress_cb = pack->progress;
	options.progress_cb_payload = pack->payload;
	int rc = git_indexer_new(&indexer, folder, 0, pack->odb, &options);
	if (rc == 0)
		rc = git_indexer_append(indexer, pack->held->data, pack->held->len, stats);
	if (rc == 0)
		rc = git_indexer_commit(indexer, stats);
	git_indexer_free(indexer);
	return rc;
}

static int pack_commit(git_odb_writepack *parent, git_indexer_progress *stats)
{
	Pack *pack = (Pack *)parent;
	GError *error = NULL;

	if (!pack->process)
		return commit_held(pack, stats);
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
	return sync_repo_adopt_packs(repository_of(pack), pack->place, &error) ? 0 : failed(error);
}

static void pack_free(git_odb_writepack *parent)
{
	Pack *pack = (Pack *)parent;

	if (pack->process) {
		g_subprocess_force_exit(pack->process); /* only matters when it was not committed */
		(void)g_subprocess_wait(pack->process, NULL, NULL);
		g_object_unref(pack->process);
	}
	if (pack->place)
		sync_file_remove_tree(AT_FDCWD, pack->place);
	g_free(pack->place);
	g_byte_array_unref(pack->held);
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
		.held = g_byte_array_new(),
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

bool sync_receive_pack(git_repository *git, GBytes *pack, GError **error)
{
	g_autoptr(git_odb) odb = NULL;
	git_odb_writepack *writer = NULL;
	git_indexer_progress progress = { 0 };
	gsize length;
	const void *data = g_bytes_get_data(pack, &length);

	bool ok = git_repository_odb(&odb, git) == 0 && git_odb_write_pack(&writer, odb, NULL, NULL) == 0 &&
		  writer->append(writer, data, length, &progress) == 0 && writer->commit(writer, &progress) == 0;
	if (!ok)
		sync_git_error(error, "storing a pack");
	if (writer)
		writer->free(writer);
	return ok;
}
