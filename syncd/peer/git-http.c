/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/git-http.c - one `git upload-pack` per request, its output passed on as it comes; and packs as they are. */
#include "syncd/peer/git-http.h"

#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "syncd/repository/pack.h"

#define PREFIX "/repo.git"
#define PACKS PREFIX "/objects/pack/pack-"
#define SUFFIX ".pack"
#define ADVERTISEMENT "001e# service=git-upload-pack\n0000"

enum { CHUNK = 64 * 1024, RUNNING_MAX = 8, WANTS_MAX = 4 * 1024 * 1024 };

static guint running;

typedef struct {
	SoupServerMessage *message;
	GSubprocess *process;
	GInputStream *output;
	GCancellable *cancellable;
	bool finished; /* the HTTP side is over, in whatever way */
	bool reading;
} Transfer;

static void transfer_end(Transfer *transfer)
{
	g_signal_handlers_disconnect_by_data(transfer->message, transfer);
	g_subprocess_send_signal(transfer->process, SIGKILL); /* only matters when the client went away first */
	g_object_unref(transfer->process);
	g_object_unref(transfer->cancellable);
	g_object_unref(transfer->message);
	g_free(transfer);
	running--;
}

static void read_more(Transfer *transfer);

static void have_output(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Transfer *transfer = user_data;
	g_autoptr(GBytes) bytes = g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, NULL);

	transfer->reading = false;
	if (transfer->finished) {
		transfer_end(transfer);
		return;
	}
	SoupMessageBody *body = soup_server_message_get_response_body(transfer->message);
	if (bytes && g_bytes_get_size(bytes) > 0)
		soup_message_body_append_bytes(body, bytes);
	else
		soup_message_body_complete(body);
	soup_server_message_unpause(transfer->message);
}

/* One chunk is under way at a time: a slow link holds git back, not memory. */
static void read_more(Transfer *transfer)
{
	transfer->reading = true;
	g_input_stream_read_bytes_async(transfer->output, CHUNK, G_PRIORITY_DEFAULT, transfer->cancellable, have_output, transfer);
}

static void wrote_chunk(SoupServerMessage *message, gpointer user_data)
{
	Transfer *transfer = user_data;

	if (transfer->reading || transfer->finished)
		return;
	soup_server_message_pause(message);
	read_more(transfer);
}

static void message_finished(SoupServerMessage *message, gpointer user_data)
{
	Transfer *transfer = user_data;

	transfer->finished = true;
	if (transfer->reading)
		g_cancellable_cancel(transfer->cancellable);
	else
		transfer_end(transfer);
}

char **sync_git_environment(const char *home)
{
	char **env = NULL;

	env = g_environ_setenv(env, "PATH", "/usr/bin:/bin", TRUE);
	env = g_environ_setenv(env, "HOME", home, TRUE);
	env = g_environ_setenv(env, "LC_ALL", "C", TRUE);
	env = g_environ_setenv(env, "GIT_CONFIG_NOSYSTEM", "1", TRUE);
	env = g_environ_setenv(env, "GIT_CONFIG_GLOBAL", "/dev/null", TRUE);
	return env;
}

static void fail(SoupServerMessage *message, guint status)
{
	soup_server_message_set_status(message, status, NULL);
}

/* The body of a request; stock git compresses one of more than a kilobyte. NULL: it is not what it says, or too large. */
static GBytes *wants_of(SoupServerMessage *message)
{
	g_autoptr(GBytes) body = soup_message_body_flatten(soup_server_message_get_request_body(message));
	const char *encoding = soup_message_headers_get_one(soup_server_message_get_request_headers(message), "Content-Encoding");

	if (!encoding || g_str_equal(encoding, "identity"))
		return g_bytes_get_size(body) <= WANTS_MAX ? g_steal_pointer(&body) : NULL;
	if (!g_str_equal(encoding, "gzip") && !g_str_equal(encoding, "x-gzip"))
		return NULL;
	g_autoptr(GConverter) gunzip = G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
	g_autoptr(GInputStream) packed = g_memory_input_stream_new_from_bytes(body);
	g_autoptr(GInputStream) plain = g_converter_input_stream_new(packed, gunzip);
	g_autofree guint8 *bytes = g_malloc(WANTS_MAX + 1);
	gsize length;
	if (!g_input_stream_read_all(plain, bytes, WANTS_MAX + 1, &length, NULL, NULL) || length > WANTS_MAX)
		return NULL;
	return g_bytes_new(bytes, length);
}

static void start(SoupServerMessage *message, const char *repository, bool advertise)
{
	g_autoptr(GSubprocessLauncher) launcher = NULL;
	g_auto(GStrv) env = sync_git_environment(repository);
	const char *argv[] = { "git", "upload-pack", "--strict", "--stateless-rpc", advertise ? "--http-backend-info-refs" : repository,
			       advertise ? repository : NULL, NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) wants = advertise ? NULL : wants_of(message);

	if (!advertise && !wants) {
		fail(message, SOUP_STATUS_BAD_REQUEST);
		return;
	}
	if (running >= RUNNING_MAX) {
		fail(message, SOUP_STATUS_SERVICE_UNAVAILABLE);
		return;
	}
	launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_subprocess_launcher_set_environ(launcher, env);
	GSubprocess *process = g_subprocess_launcher_spawnv(launcher, argv, &error);
	if (!process) {
		g_warning("git upload-pack: %s", error->message);
		fail(message, SOUP_STATUS_INTERNAL_SERVER_ERROR);
		return;
	}
	/* Wants fit in a few kilobytes and are here in full; git reads them all before it writes. */
	GOutputStream *input = g_subprocess_get_stdin_pipe(process);
	if (wants)
		(void)g_output_stream_write_all(input, g_bytes_get_data(wants, NULL), g_bytes_get_size(wants), NULL, NULL, NULL);
	(void)g_output_stream_close(input, NULL, NULL);

	Transfer *transfer = g_new0(Transfer, 1);
	running++;
	transfer->message = g_object_ref(message);
	transfer->process = process;
	transfer->output = g_subprocess_get_stdout_pipe(process);
	transfer->cancellable = g_cancellable_new();
	SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
	SoupMessageBody *body = soup_server_message_get_response_body(message);
	soup_message_headers_set_encoding(headers, SOUP_ENCODING_CHUNKED);
	soup_message_headers_replace(headers, "Cache-Control", "no-cache");
	soup_message_headers_set_content_type(headers, advertise ? "application/x-git-upload-pack-advertisement" :
							 "application/x-git-upload-pack-result", NULL);
	soup_message_body_set_accumulate(body, FALSE);
	soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
	g_signal_connect(message, "wrote-chunk", G_CALLBACK(wrote_chunk), transfer);
	g_signal_connect(message, "finished", G_CALLBACK(message_finished), transfer);
	if (advertise) {
		soup_message_body_append(body, SOUP_MEMORY_STATIC, ADVERTISEMENT, strlen(ADVERTISEMENT));
		return;
	}
	soup_server_message_pause(message);
	read_more(transfer);
}

static void have_pack(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(SoupServerMessage) message = user_data;
	char *content;
	gsize length;

	if (g_file_load_contents_finish(G_FILE(source), result, &content, &length, NULL, NULL)) {
		soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
		soup_server_message_set_response(message, "application/octet-stream", SOUP_MEMORY_TAKE, content, length);
	} else {
		fail(message, SOUP_STATUS_NOT_FOUND);
	}
	soup_server_message_unpause(message);
}

/* "<name>.pack". One that was made of what was in memory is small. */
static void give_pack(SoupServerMessage *message, const char *repository, const char *file)
{
	g_autofree char *name = g_str_has_suffix(file, SUFFIX) ? g_strndup(file, strlen(file) - strlen(SUFFIX)) : NULL;
	g_autofree char *path = name ? sync_pack_path(repository, name) : NULL;
	struct stat st;

	if (!path || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SYNC_PACK_MAX) {
		fail(message, SOUP_STATUS_NOT_FOUND);
		return;
	}
	g_autoptr(GFile) pack = g_file_new_for_path(path);
	soup_server_message_pause(message);
	g_file_load_contents_async(pack, NULL, have_pack, g_object_ref(message));
}

static void handle(SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user_data)
{
	const char *repository = user_data;
	const char *method = soup_server_message_get_method(message);
	const char *service = query ? g_hash_table_lookup(query, "service") : NULL;

	if (g_str_equal(method, "GET") && g_str_equal(path, PREFIX "/info/refs") && g_strcmp0(service, "git-upload-pack") == 0)
		start(message, repository, true);
	else if (g_str_equal(method, "POST") && g_str_equal(path, PREFIX "/git-upload-pack"))
		start(message, repository, false);
	else if (g_str_equal(method, "GET") && g_str_has_prefix(path, PACKS))
		give_pack(message, repository, path + strlen(PACKS));
	else
		fail(message, SOUP_STATUS_NOT_FOUND);
}

void sync_git_http_serve(SoupServer *server, const char *repository)
{
	soup_server_add_handler(server, PREFIX, handle, g_strdup(repository), g_free);
}
