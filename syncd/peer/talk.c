/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/talk.c - a session, and large reads and writes below it. */
#include "syncd/peer/talk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "syncd/error.h"
#include "syncd/peer/tls.h"

/* What goes has room for as much, in records. */
enum { CAME = 128 * 1024, GOES = CAME + 4096 };

struct SyncTalk {
	gnutls_session_t session;
	GSocketConnection *base;
	SyncKey *key; /* the session uses its credentials to its end */
	const char *pin;
	char *fingerprint;
	GCancellable *cancellable;
	GPollFD polls[2]; /* the socket, and the cancellable if there is one */
	guint n_polls;
	int silence_ms;
	int number; /* errno of what went wrong below */
	bool more;
	gsize at, end; /* of what came */
	gsize kept;    /* of what goes: it waits for more */
	guint8 came[CAME], goes[GOES];
};

/* ---- the socket ---- */

static bool wait_for(SyncTalk *talk, gushort events)
{
	int n;

	talk->polls[0].events = events;
	talk->polls[0].revents = talk->polls[1].revents = 0;
	do {
		n = g_poll(talk->polls, talk->n_polls, talk->silence_ms);
	} while (n < 0 && errno == EINTR);
	if (g_cancellable_is_cancelled(talk->cancellable))
		errno = ECANCELED;
	else if (n == 0)
		errno = ETIMEDOUT;
	else
		return n > 0;
	return false;
}

static bool tries_again(SyncTalk *talk, gushort events)
{
	return errno == EINTR || (errno == EAGAIN && wait_for(talk, events));
}

static ssize_t end_badly(SyncTalk *talk)
{
	talk->number = errno;
	gnutls_transport_set_errno(talk->session, errno);
	return -1;
}

static ssize_t pull(gnutls_transport_ptr_t data, void *to, size_t most)
{
	SyncTalk *talk = data;

	while (talk->at == talk->end) {
		ssize_t n = recv(talk->polls[0].fd, talk->came, CAME, 0);

		if (n == 0)
			return 0;
		if (n < 0 && !tries_again(talk, G_IO_IN))
			return end_badly(talk);
		talk->at = 0;
		talk->end = (gsize)MAX(n, 0);
	}
	gsize n = MIN(most, talk->end - talk->at);
	memcpy(to, talk->came + talk->at, n);
	talk->at += n;
	return (ssize_t)n;
}

static bool send_all(SyncTalk *talk, const guint8 *from, gsize length)
{
	while (length > 0) {
		ssize_t n = send(talk->polls[0].fd, from, length, MSG_NOSIGNAL | (talk->more ? MSG_MORE : 0));

		if (n < 0 && !tries_again(talk, G_IO_OUT))
			return false;
		from += MAX(n, 0);
		length -= (gsize)MAX(n, 0);
	}
	return true;
}

static bool send_kept(SyncTalk *talk)
{
	gsize n = talk->kept;

	talk->kept = 0;
	return send_all(talk, talk->goes, n);
}

/* Many records go at once: each call wakes the other side. */
static ssize_t push(gnutls_transport_ptr_t data, const void *from, size_t length)
{
	SyncTalk *talk = data;

	if (length > GOES - talk->kept && !send_kept(talk))
		return end_badly(talk);
	if (length > GOES)
		return send_all(talk, from, length) ? (ssize_t)length : end_badly(talk);
	memcpy(talk->goes + talk->kept, from, length);
	talk->kept += length;
	return talk->more || send_kept(talk) ? (ssize_t)length : end_badly(talk);
}

/* ---- beginning and end ---- */

static SyncTalk *prepare(gnutls_session_t session, GSocketConnection *base, const SyncKey *key, guint silence_s, GCancellable *cancellable)
{
	SyncTalk *talk = g_malloc(sizeof *talk);

	memset(talk, 0, G_STRUCT_OFFSET(SyncTalk, came));
	talk->session = session;
	talk->base = g_object_ref(base);
	talk->key = sync_key_ref(key);
	talk->silence_ms = (int)silence_s * 1000;
	talk->polls[0].fd = g_socket_get_fd(g_socket_connection_get_socket(base));
	talk->n_polls = 1;
	if (cancellable && g_cancellable_make_pollfd(cancellable, &talk->polls[1])) {
		talk->cancellable = g_object_ref(cancellable);
		talk->n_polls = 2;
	}
	gnutls_session_set_ptr(session, talk);
	gnutls_transport_set_ptr(session, talk);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_transport_set_push_function(session, push);
	return talk;
}

SyncTalk *sync_talk_new(gnutls_session_t session, GSocketConnection *base, const SyncKey *key, guint silence_s)
{
	/* Nobody shakes hands a second time. */
	gnutls_session_set_verify_function(session, NULL);
	return prepare(session, base, key, silence_s, NULL);
}

static int judge(gnutls_session_t session)
{
	SyncTalk *talk = gnutls_session_get_ptr(session);

	g_free(talk->fingerprint);
	talk->fingerprint = sync_tls_fingerprint(session);
	return talk->fingerprint && sync_key_is_pinned(talk->pin, talk->fingerprint) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static bool failed(const SyncTalk *talk, int rc, GError **error)
{
	if (g_cancellable_set_error_if_cancelled(talk->cancellable, error))
		return false;
	if (rc == GNUTLS_E_PULL_ERROR || rc == GNUTLS_E_PUSH_ERROR)
		g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, g_strerror(talk->number));
	else
		g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, gnutls_strerror(rc));
	return false;
}

static bool shake(SyncTalk *talk, GError **error)
{
	int rc;

	do {
		rc = gnutls_handshake(talk->session);
	} while (rc < 0 && !gnutls_error_is_fatal(rc));
	/* Judged once more: no session may begin without the callback above. */
	if (rc == GNUTLS_E_CERTIFICATE_ERROR || (rc == GNUTLS_E_SUCCESS && (!talk->fingerprint || !sync_key_is_pinned(talk->pin, talk->fingerprint)))) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_DENIED, "the other side's key is not the peer's");
		return false;
	}
	return rc == GNUTLS_E_SUCCESS || failed(talk, rc, error);
}

SyncTalk *sync_talk_dial(GSocketConnection *base, const SyncKey *key, const char *pin, guint silence_s, GCancellable *cancellable, GError **error)
{
	static const gnutls_datum_t protocol = { (unsigned char *)SYNC_TALK_ALPN, sizeof SYNC_TALK_ALPN - 1 };
	gnutls_session_t session;

	/* The other side names no authorities, and gets our certificate all the same. */
	gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT);
	gnutls_set_default_priority(session);
	gnutls_alpn_set_protocols(session, &protocol, 1, 0);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, key->credentials);
	gnutls_session_set_verify_function(session, judge);
	g_autoptr(SyncTalk) talk = prepare(session, base, key, silence_s, cancellable);
	talk->pin = pin;
	bool ok = shake(talk, error);
	talk->pin = NULL;
	return ok ? g_steal_pointer(&talk) : NULL;
}

void sync_talk_free(SyncTalk *talk)
{
	if (!talk)
		return;
	gnutls_deinit(talk->session);
	if (talk->cancellable)
		g_cancellable_release_fd(talk->cancellable);
	g_clear_object(&talk->cancellable);
	(void)g_io_stream_close(G_IO_STREAM(talk->base), NULL, NULL);
	g_object_unref(talk->base);
	sync_key_unref(talk->key);
	g_free(talk->fingerprint);
	g_free(talk);
}

void sync_talk_shut(SyncTalk *talk)
{
	(void)shutdown(talk->polls[0].fd, SHUT_RDWR);
}

/* ---- both directions ---- */

gssize sync_talk_receive(SyncTalk *talk, void *to, gsize most, GError **error)
{
	for (;;) {
		ssize_t n = gnutls_record_recv(talk->session, to, most);

		/* A peer that ends without a goodbye has ended. */
		if (n >= 0 || n == GNUTLS_E_PREMATURE_TERMINATION)
			return MAX(n, 0);
		if (!gnutls_error_is_fatal((int)n) && n != GNUTLS_E_REHANDSHAKE)
			continue;
		(void)failed(talk, (int)n, error);
		return -1;
	}
}

bool sync_talk_send(SyncTalk *talk, const void *data, gsize length, bool more, GError **error)
{
	const guint8 *at = data;
	gsize record = gnutls_record_get_max_size(talk->session);

	while (length > 0) {
		gsize most = MIN(length, record);

		talk->more = more || most < length;
		ssize_t n = gnutls_record_send(talk->session, at, most);
		if (n < 0 && gnutls_error_is_fatal((int)n))
			return failed(talk, (int)n, error);
		at += MAX(n, 0);
		length -= (gsize)MAX(n, 0);
	}
	return true;
}
