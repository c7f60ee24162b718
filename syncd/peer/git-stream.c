/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/git-stream.c - a git_stream over GIO, and the fetch that uses it. */
#include "syncd/peer/git-stream.h"

#include <errno.h>
#include <git2/sys/stream.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"
#include "syncd/peer/listen.h"
#include "syncd/peer/place.h"
#include "syncd/peer/source.h"
#include "syncd/peer/tls.h"

/* git upload-pack says something every 5 s even while it packs; three times that is silence. */
enum { CONNECT_S = 5, SILENCE_S = 15 };

typedef struct {
	git_stream parent;
	GIOStream *tls;
} Stream;

/* What the present fetch of this thread uses: libgit2's constructor has no user data, but it is called in the thread that fetches. */
static _Thread_local struct {
	const SyncFetchSource *source;
	GCancellable *cancellable;
	GError *error; /* the first thing that went wrong: it says more than libgit2 does */
} present;

static int stream_failed(GError *error)
{
	git_error_set_str(GIT_ERROR_NET, error->message);
	if (!present.error)
		present.error = g_error_copy(error);
	g_error_free(error);
	return -1;
}

GSocketConnection *sync_fetch_connect(const SyncFetchSource *source, GCancellable *cancellable, GError **error)
{
	g_autoptr(GSocketClient) client = sync_source_client(source->host);
	g_autoptr(GInetAddress) address = g_inet_address_new_from_string(source->host);

	if (!address) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "not an address");
		return NULL;
	}
	g_autoptr(GSocketAddress) where = g_inet_socket_address_new(address, source->port);
	g_socket_client_set_timeout(client, CONNECT_S);
	GSocketConnection *base = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(where), cancellable, error);
	if (base)
		sync_socket_tune(base);
	return base;
}

GIOStream *sync_fetch_dial(const SyncFetchSource *source, guint silence_s, GCancellable *cancellable, GError **error)
{
	g_autoptr(GSocketConnection) base = sync_fetch_connect(source, cancellable, error);
	g_autoptr(GIOStream) tls = NULL;
	g_autofree char *fingerprint = NULL;

	if (!base)
		return NULL;
	g_socket_set_timeout(g_socket_connection_get_socket(base), silence_s);
	tls = sync_tls_client(G_IO_STREAM(base), source->key, source->pin, error);
	if (!tls || !g_tls_connection_handshake(G_TLS_CONNECTION(tls), cancellable, error))
		return NULL;
	fingerprint = sync_tls_peer(tls, source->pin, error);
	return fingerprint ? g_steal_pointer(&tls) : NULL;
}

static int stream_connect(git_stream *parent)
{
	Stream *stream = (Stream *)parent;
	GError *error = NULL;

	stream->tls = sync_fetch_dial(present.source, SILENCE_S, present.cancellable, &error);
	return stream->tls ? 0 : stream_failed(error);
}

/* The key was judged in the handshake; libgit2 gets something to hold. */
static int stream_certificate(git_cert **ret_cert, git_stream *parent)
{
	static git_cert_x509 judged = { .parent = { .cert_type = GIT_CERT_X509 } };

	*ret_cert = &judged.parent;
	return 0;
}

static ssize_t stream_read(git_stream *parent, void *buffer, size_t length)
{
	Stream *stream = (Stream *)parent;
	GError *error = NULL;
	gssize n = g_input_stream_read(g_io_stream_get_input_stream(stream->tls), buffer, length, present.cancellable, &error);

	return n < 0 ? stream_failed(error) : n;
}

static ssize_t stream_write(git_stream *parent, const char *data, size_t length, int flags)
{
	Stream *stream = (Stream *)parent;
	GError *error = NULL;
	gssize n = g_output_stream_write(g_io_stream_get_output_stream(stream->tls), data, length, present.cancellable, &error);

	return n < 0 ? stream_failed(error) : n;
}

static int stream_close(git_stream *parent)
{
	Stream *stream = (Stream *)parent;

	/* Only the socket: a TLS goodbye to a dead peer would wait for it. */
	if (stream->tls) {
		g_autoptr(GIOStream) base = NULL;
		g_object_get(stream->tls, "base-io-stream", &base, NULL);
		(void)g_io_stream_close(base, NULL, NULL);
	}
	g_clear_object(&stream->tls);
	return 0;
}

static void stream_free(git_stream *parent)
{
	stream_close(parent);
	g_free(parent);
}

static int stream_new(git_stream **ret_stream, const char *host, const char *port)
{
	Stream *stream = g_new0(Stream, 1);

	if (!present.source) {
		g_free(stream);
		git_error_set_str(GIT_ERROR_NET, "no fetch is under way");
		return -1;
	}
	stream->parent = (git_stream){
		.version = GIT_STREAM_VERSION,
		.encrypted = 1,
		.connect = stream_connect,
		.certificate = stream_certificate,
		.read = stream_read,
		.write = stream_write,
		.close = stream_close,
		.free = stream_free,
	};
	*ret_stream = &stream->parent;
	return 0;
}

static int judged(git_cert *cert, int valid, const char *host, void *unused)
{
	return 0;
}

static int progress(const git_indexer_progress *stats, void *cancellable)
{
	return g_cancellable_is_cancelled(cancellable) ? GIT_EUSER : 0;
}

bool sync_fetch(SyncRepo *repo, const SyncFetchSource *source, const char *space, const char *name, const git_oid *id, GCancellable *cancellable,
		GError **error)
{
	static gsize registered;
	g_autoptr(git_remote) remote = NULL;
	g_autofree char *hex = sync_oid_text(id);
	g_autofree char *spec = g_strdup_printf("+%s:refs/%s/%s", hex, space, name);
	char *specs[] = { spec };
	g_autofree char *place = sync_place_text(source->host, source->port);
	g_autofree char *url = g_strdup_printf("https://%s/repo.git", place);
	git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
	git_remote_create_options create = GIT_REMOTE_CREATE_OPTIONS_INIT;

	if (g_once_init_enter(&registered)) {
		git_stream_registration registration = { .version = GIT_STREAM_VERSION, .init = stream_new };
		git_stream_register(GIT_STREAM_TLS, &registration);
		g_once_init_leave(&registered, 1);
	}
	/* libgit2 1.5 leaks 20 kB for each configuration entry that it compares with url.<base>.insteadOf, at every fetch: it must not look. */
	create.repository = repo->git;
	create.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	if (git_remote_create_with_opts(&remote, url, &create) < 0)
		return sync_git_error(error, "fetching");
	options.callbacks.certificate_check = judged;
	options.callbacks.transfer_progress = progress;
	options.callbacks.payload = cancellable;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	options.update_fetchhead = 0;
	options.proxy_opts.type = GIT_PROXY_NONE;
	git_strarray list = { specs, G_N_ELEMENTS(specs) };
	present.source = source;
	present.cancellable = cancellable;
	/* The disk is waited for once, with all that has come; then it has a ref. */
	sync_disk_gather();
	int rc = git_remote_download(remote, &list, &options);
	int on_disk = sync_disk_gathered(), number = errno;
	(void)git_remote_disconnect(remote);
	present.source = NULL;
	present.cancellable = NULL;
	g_autoptr(GError) first = g_steal_pointer(&present.error);
	if (rc == 0 && on_disk == 0)
		return sync_repo_set_ref(repo, space, name, id, error);
	if (rc == 0) {
		sync_error_from_errno(error, number, "%s", repo->path);
		return false;
	}
	if (g_cancellable_set_error_if_cancelled(cancellable, error))
		return false;
	if (!first)
		return sync_git_error(error, "fetching");
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "fetching from %s: %s", source->host, first->message);
	return false;
}
