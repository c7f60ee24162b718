/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/door.c - handshake, judgement, alert; then bytes from the network to a socket pair and back. */
#include "syncd/peer/door.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "syncd/peer/tls.h"

enum { BUFFER = 16 * 1024, STEPS_MAX = 32, LINGER_S = 1, LINGER_MAX = 64 * 1024, LINGERERS_MAX = 32, SILENCE_S = 120 };

static guint lingerers;

typedef enum {
	DOOR_SHAKING,
	DOOR_OPEN,
	DOOR_LINGERING, /* the alert is out; what he still sends is thrown away, or the kernel's reset would overtake the alert */
} DoorState;

/* Bytes on their way in one direction. */
typedef struct {
	guint8 *bytes; /* BUFFER; only who was let in gets it */
	gsize at, length;
	bool blocked; /* the taker takes no more just now */
	bool ended;
} Lane;

struct SyncDoor {
	GSource source; /* must be first */
	DoorState state;
	GSocketConnection *base;
	int net_fd, plain_fd;
	gpointer net_tag, plain_tag;
	gnutls_session_t session;
	SyncKey *key;
	char *pin, *fingerprint;
	bool wrong_key;
	bool talks; /* who wants to may */
	guint timer;
	gsize thrown_away;
	Lane in, out;
	SyncDoorDone done;
	gpointer user_data;
};

/* ---- who it is ---- */

/* Called by GnuTLS in the middle of the handshake, before the other side may believe that it succeeded. */
static int judge(gnutls_session_t session)
{
	SyncDoor *door = gnutls_session_get_ptr(session);

	g_free(door->fingerprint);
	door->fingerprint = sync_tls_fingerprint(session);
	if (door->fingerprint && sync_key_is_pinned(door->pin, door->fingerprint))
		return 0;
	door->wrong_key = true;
	return GNUTLS_E_CERTIFICATE_ERROR;
}

/* ---- ends ---- */

static void door_finalize(GSource *source)
{
	SyncDoor *door = (SyncDoor *)source;

	if (door->session)
		gnutls_deinit(door->session);
	g_free(door->in.bytes);
	g_free(door->out.bytes);
	if (door->plain_fd >= 0)
		(void)close(door->plain_fd);
	g_clear_object(&door->base);
	sync_key_unref(door->key);
	g_free(door->pin);
	g_free(door->fingerprint);
}

static void shut(SyncDoor *door)
{
	g_clear_handle_id(&door->timer, g_source_remove);
	if (door->state == DOOR_LINGERING)
		lingerers--;
	(void)shutdown(door->net_fd, SHUT_RDWR);
	g_source_destroy(&door->source);
}

static void tell(SyncDoor *door, GIOStream *plain, SyncTalk *talk, bool refused, const char *why)
{
	SyncDoorDone done = door->done;

	door->done = NULL;
	if (done)
		done(plain, talk, door->fingerprint, refused, why, door->user_data);
}

static gboolean late(gpointer user_data)
{
	SyncDoor *door = user_data;

	door->timer = 0;
	tell(door, NULL, NULL, false, "too slow");
	shut(door);
	return G_SOURCE_REMOVE;
}

static void turn_away(SyncDoor *door, int rc)
{
	bool refused = door->wrong_key || rc == GNUTLS_E_NO_CERTIFICATE_FOUND || rc == GNUTLS_E_CERTIFICATE_REQUIRED;

	if (refused)
		(void)gnutls_alert_send(door->session, GNUTLS_AL_FATAL,
					door->wrong_key ? GNUTLS_A_BAD_CERTIFICATE : GNUTLS_A_CERTIFICATE_REQUIRED);
	else
		(void)gnutls_alert_send_appropriate(door->session, rc);
	tell(door, NULL, NULL, refused, gnutls_strerror(rc));
	/* In a flood of them whoever does not read his alert at once may miss it. */
	if (lingerers >= LINGERERS_MAX) {
		shut(door);
		return;
	}
	(void)shutdown(door->net_fd, SHUT_WR);
	door->state = DOOR_LINGERING;
	lingerers++;
	g_clear_handle_id(&door->timer, g_source_remove);
	door->timer = g_timeout_add_seconds(LINGER_S, late, door);
}

/* ---- the three states ---- */

static bool wants_to_talk(const SyncDoor *door)
{
	gnutls_datum_t protocol;

	return door->talks && gnutls_alpn_get_selected_protocol(door->session, &protocol) == GNUTLS_E_SUCCESS;
}

/* It is another's from here on, and the door has nothing to do any more. */
static void hand_over(SyncDoor *door)
{
	SyncTalk *talk = sync_talk_new(g_steal_pointer(&door->session), door->base, door->key, SILENCE_S);

	g_clear_handle_id(&door->timer, g_source_remove);
	tell(door, NULL, talk, false, NULL);
	g_source_destroy(&door->source);
}

static bool let_in(SyncDoor *door)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	g_autoptr(GSocket) socket = g_socket_new_from_fd(pair[1], NULL);
	if (!socket) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return false;
	}
	g_autoptr(GSocketConnection) plain = g_socket_connection_factory_create_connection(socket);
	door->plain_fd = pair[0];
	door->plain_tag = g_source_add_unix_fd(&door->source, door->plain_fd, G_IO_IN);
	door->in.bytes = g_malloc(BUFFER);
	door->out.bytes = g_malloc(BUFFER);
	door->state = DOOR_OPEN;
	g_clear_handle_id(&door->timer, g_source_remove);
	tell(door, G_IO_STREAM(plain), NULL, false, NULL);
	return true;
}

static void shake(SyncDoor *door)
{
	int rc = gnutls_handshake(door->session);

	if (rc == GNUTLS_E_SUCCESS) {
		/* Judged once more by what stands now: no session may begin without the callback above. */
		if (door->wrong_key || !door->fingerprint)
			turn_away(door, GNUTLS_E_CERTIFICATE_ERROR);
		else if (wants_to_talk(door))
			hand_over(door);
		else if (!let_in(door))
			late(door);
		return;
	}
	if (gnutls_error_is_fatal(rc)) {
		turn_away(door, rc);
		return;
	}
	g_source_modify_unix_fd(&door->source, door->net_tag, gnutls_record_get_direction(door->session) ? G_IO_OUT : G_IO_IN);
}

static void linger(SyncDoor *door)
{
	char rest[4096];
	ssize_t n;

	while ((n = recv(door->net_fd, rest, sizeof rest, 0)) > 0)
		door->thrown_away += n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR) || door->thrown_away > LINGER_MAX)
		shut(door);
}

/* Network to pair. Whether anything moved. */
static bool move_in(SyncDoor *door)
{
	Lane *lane = &door->in;

	lane->blocked = false;
	if (lane->length == 0) {
		if (lane->ended)
			return false;
		ssize_t n = gnutls_record_recv(door->session, lane->bytes, BUFFER);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return false;
		if (n <= 0) {
			lane->ended = true;
			return false;
		}
		lane->at = 0;
		lane->length = n;
	}
	ssize_t n = send(door->plain_fd, lane->bytes + lane->at, lane->length, MSG_NOSIGNAL);
	if (n < 0) {
		lane->blocked = errno == EAGAIN;
		lane->ended = !lane->blocked && errno != EINTR;
		return false;
	}
	lane->at += n;
	lane->length -= n;
	return true;
}

/* Pair to network. */
static bool move_out(SyncDoor *door)
{
	Lane *lane = &door->out;

	lane->blocked = false;
	if (lane->length == 0) {
		if (lane->ended)
			return false;
		ssize_t n = recv(door->plain_fd, lane->bytes, BUFFER, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n <= 0) {
			lane->ended = true;
			return true;
		}
		lane->at = 0;
		lane->length = n;
	}
	ssize_t n = gnutls_record_send(door->session, lane->bytes + lane->at, lane->length);
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		lane->blocked = true;
		return false;
	}
	if (n < 0) {
		lane->ended = true;
		lane->length = 0;
		return true;
	}
	lane->at += n;
	lane->length -= n;
	return true;
}

/* Nothing wanted means not polled at all: a hang-up is reported even for no events, and would be for as long as it is not dealt with. */
static void watch(SyncDoor *door, gpointer *tag, int fd, GIOCondition wanted)
{
	if (!wanted && *tag) {
		g_source_remove_unix_fd(&door->source, *tag);
		*tag = NULL;
	} else if (wanted && !*tag) {
		*tag = g_source_add_unix_fd(&door->source, fd, wanted);
	} else if (wanted) {
		g_source_modify_unix_fd(&door->source, *tag, wanted);
	}
}

static void carry(SyncDoor *door)
{
	bool moved = true;

	for (guint i = 0; moved && i < STEPS_MAX; i++) {
		moved = move_in(door);
		moved = move_out(door) || moved;
		/* Nobody here half-closes: either end is the end of both. */
		if (door->in.ended || (door->out.ended && door->out.length == 0)) {
			(void)gnutls_bye(door->session, GNUTLS_SHUT_WR);
			shut(door);
			return;
		}
	}
	/* Records that GnuTLS has read but not given are not seen by poll: come again at once while anything moved. */
	g_source_set_ready_time(&door->source, moved ? 0 : -1);
	GIOCondition net = door->out.blocked ? G_IO_OUT : 0;
	GIOCondition plain = door->in.blocked ? G_IO_OUT : 0;
	if (door->in.length == 0)
		net |= G_IO_IN;
	if (!door->out.ended && door->out.length == 0)
		plain |= G_IO_IN;
	watch(door, &door->net_tag, door->net_fd, net);
	watch(door, &door->plain_tag, door->plain_fd, plain);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
	SyncDoor *door = (SyncDoor *)source;

	switch (door->state) {
	case DOOR_SHAKING:
		shake(door);
		if (door->state == DOOR_OPEN)
			carry(door);
		break;
	case DOOR_OPEN:
		carry(door);
		break;
	case DOOR_LINGERING:
		linger(door);
		break;
	}
	return G_SOURCE_CONTINUE;
}

void sync_door_give_up(SyncDoor *door, const char *why)
{
	tell(door, NULL, NULL, false, why);
	shut(door);
}

SyncDoor *sync_door_open(GSocketConnection *base, const SyncKey *key, const char *pin, bool talks, guint timeout_s, SyncDoorDone done, gpointer user_data)
{
	static const gnutls_datum_t protocol = { (unsigned char *)SYNC_TALK_ALPN, sizeof SYNC_TALK_ALPN - 1 };
	static GSourceFuncs functions = { .dispatch = dispatch, .finalize = door_finalize };
	SyncDoor *door = (SyncDoor *)g_source_new(&functions, sizeof(SyncDoor));

	door->base = g_object_ref(base);
	door->net_fd = g_socket_get_fd(g_socket_connection_get_socket(base));
	door->plain_fd = -1;
	door->key = sync_key_ref(key); /* the session uses its credentials to its end */
	door->pin = g_strdup(pin);
	door->talks = talks;
	door->done = done;
	door->user_data = user_data;
	gnutls_init(&door->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	gnutls_session_set_ptr(door->session, door);
	gnutls_set_default_priority(door->session);
	/* Who asks for none of these is served all the same. */
	if (talks)
		gnutls_alpn_set_protocols(door->session, &protocol, 1, 0);
	gnutls_credentials_set(door->session, GNUTLS_CRD_CERTIFICATE, key->credentials);
	gnutls_certificate_server_set_request(door->session, GNUTLS_CERT_REQUIRE);
	gnutls_session_set_verify_function(door->session, judge);
	gnutls_transport_set_int(door->session, door->net_fd);
	door->net_tag = g_source_add_unix_fd(&door->source, door->net_fd, G_IO_IN);
	door->timer = g_timeout_add_seconds(timeout_s, late, door);
	g_source_attach(&door->source, NULL);
	g_source_unref(&door->source);
	return door;
}
