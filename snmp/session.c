/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/session.c - AgentX over a Unix socket in the main loop. */
#include "snmp/session.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "snmp/agentx.h"

#define FIRST_RETRY_MS  250
#define LAST_RETRY_MS   5000
#define OPEN_WITHIN_MS  5000
#define MAX_UNSENT      (1024 * 1024)
#define DESCRIPTION     "understudy-snmp"

typedef struct {
	Oid oid;
	guint32 packet;  /* of its registration */
	bool wanted, registered;
} Subtree;

struct AgentxSession {
	char *path;
	Oid id;
	AgentxViewCb view;
	gpointer user_data;
	GArray *subtrees; /* of Subtree */

	int fd;
	guint in, out, timer;
	guint delay_ms;
	GByteArray *received, *unsent;
	bool open;
	guint32 number;  /* of the session, by the master's word */
	guint32 packets; /* the last number of a packet of ours */
	char *complaint; /* logged last */
};

static void connect_now(AgentxSession *session);

static gboolean on_time(gpointer user_data)
{
	AgentxSession *session = user_data;

	session->timer = 0;
	connect_now(session);
	return G_SOURCE_REMOVE;
}

static void close_socket(AgentxSession *session)
{
	g_clear_handle_id(&session->in, g_source_remove);
	g_clear_handle_id(&session->out, g_source_remove);
	g_clear_handle_id(&session->timer, g_source_remove);
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
	session->open = false;
	g_byte_array_set_size(session->received, 0);
	g_byte_array_set_size(session->unsent, 0);
	for (guint i = session->subtrees->len; i-- > 0;) {
		Subtree *subtree = &g_array_index(session->subtrees, Subtree, i);

		subtree->packet = 0;
		subtree->registered = false;
		if (!subtree->wanted)
			g_array_remove_index(session->subtrees, i);
	}
}

/* Said once, until it is another or all was well. */
static void complain(AgentxSession *session, const char *what)
{
	if (g_strcmp0(session->complaint, what) == 0)
		return;
	g_message("%s: %s", session->path, what);
	g_free(session->complaint);
	session->complaint = g_strdup(what);
}

static void try_later(AgentxSession *session, const char *why)
{
	complain(session, why);
	close_socket(session);
	session->timer = g_timeout_add(session->delay_ms, on_time, session);
	session->delay_ms = MIN(session->delay_ms * 2, LAST_RETRY_MS);
}

/* ---- Out ---- */

static gboolean on_writable(int fd, GIOCondition condition, gpointer user_data);

/* False: the connection is gone. */
static bool flush(AgentxSession *session)
{
	while (session->unsent->len > 0) {
		ssize_t n = send(session->fd, session->unsent->data, session->unsent->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (!session->out)
				session->out = g_unix_fd_add(session->fd, G_IO_OUT, on_writable, session);
			return true;
		}
		if (n < 0) {
			try_later(session, g_strerror(errno));
			return false;
		}
		g_byte_array_remove_range(session->unsent, 0, (guint)n);
	}
	return true;
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer user_data)
{
	AgentxSession *session = user_data;

	session->out = 0;
	(void)flush(session);
	return G_SOURCE_REMOVE;
}

/* Takes @packet. False: the connection is gone. */
static bool say(AgentxSession *session, GByteArray *packet)
{
	g_byte_array_append(session->unsent, packet->data, packet->len);
	g_byte_array_unref(packet);
	if (session->unsent->len > MAX_UNSENT) {
		try_later(session, "snmpd does not take what it has asked for");
		return false;
	}
	return flush(session);
}

/* Registers what is wanted, withdraws what is not. */
static void tell_subtrees(AgentxSession *session)
{
	for (guint i = 0; session->open && i < session->subtrees->len; i++) {
		Subtree *subtree = &g_array_index(session->subtrees, Subtree, i);

		if (subtree->wanted == (subtree->packet != 0))
			continue;
		guint32 packet = ++session->packets;
		subtree->packet = subtree->wanted ? packet : 0;
		(void)say(session, agentx_register(session->number, packet, &subtree->oid, !subtree->wanted));
	}
}

/* ---- In ---- */

static void on_registered(AgentxSession *session, const AgentxHeader *header, guint error)
{
	for (guint i = 0; i < session->subtrees->len; i++) {
		Subtree *subtree = &g_array_index(session->subtrees, Subtree, i);

		if (subtree->packet != header->packet)
			continue;
		g_autofree char *name = oid_text(&subtree->oid);
		subtree->registered = error == AGENTX_NO_ERROR;
		if (error == AGENTX_DUPLICATE_REGISTRATION)
			g_message("%s: somebody else serves %s already", session->path, name);
		else if (error != AGENTX_NO_ERROR)
			g_message("%s: snmpd refuses %s (error %u)", session->path, name, error);
	}
}

static void on_opened(AgentxSession *session, const AgentxHeader *header, guint error)
{
	if (error != AGENTX_NO_ERROR) {
		try_later(session, "snmpd does not want us");
		return;
	}
	g_clear_handle_id(&session->timer, g_source_remove);
	session->open = true;
	session->number = header->session;
	session->delay_ms = FIRST_RETRY_MS;
	g_clear_pointer(&session->complaint, g_free);
	g_message("%s: serving", session->path);
	tell_subtrees(session);
}

/* False: the connection is gone. */
static bool on_packet(AgentxSession *session, const AgentxHeader *header, const guint8 *payload)
{
	guint error;

	if (header->type == AGENTX_CLOSE) {
		try_later(session, "snmpd has ended the session");
		return false;
	}
	if (header->type == AGENTX_RESPONSE) {
		if (!agentx_parse_response(header, payload, &error)) {
			try_later(session, "snmpd does not speak AgentX");
			return false;
		}
		if (session->open)
			on_registered(session, header, error);
		else
			on_opened(session, header, error);
		return session->fd >= 0;
	}
	if (!session->open)
		return true;
	GByteArray *answer = agentx_answer(session->view(session->user_data), header, payload);
	return !answer || say(session, answer);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	AgentxSession *session = user_data;
	guint8 buffer[16384];
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	gsize done = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		try_later(session, n == 0 ? "snmpd is gone" : g_strerror(errno));
		return G_SOURCE_CONTINUE; /* the source is removed already */
	}
	g_byte_array_append(session->received, buffer, (guint)n);
	while (session->received->len - done >= AGENTX_HEADER) {
		const guint8 *at = session->received->data + done;
		AgentxHeader header;

		if (!agentx_parse_header(at, &header)) {
			try_later(session, "snmpd does not speak AgentX");
			return G_SOURCE_CONTINUE;
		}
		if (session->received->len - done < AGENTX_HEADER + header.length)
			break;
		if (!on_packet(session, &header, at + AGENTX_HEADER))
			return G_SOURCE_CONTINUE;
		done += AGENTX_HEADER + header.length;
	}
	if (done > 0)
		g_byte_array_remove_range(session->received, 0, (guint)done);
	return G_SOURCE_CONTINUE;
}

/* ---- The connection ---- */

static gboolean on_open_late(gpointer user_data)
{
	AgentxSession *session = user_data;

	session->timer = 0;
	try_later(session, "snmpd does not answer");
	return G_SOURCE_REMOVE;
}

static void connect_now(AgentxSession *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	close_socket(session);
	g_strlcpy(address.sun_path, session->path, sizeof(address.sun_path));
	session->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A Unix socket connects at once or not at all (EAGAIN: a frozen snmpd that has enough waiting for it). */
	if (session->fd < 0 || connect(session->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		try_later(session, g_strerror(errno));
		return;
	}
	session->in = g_unix_fd_add(session->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, session);
	session->timer = g_timeout_add(OPEN_WITHIN_MS, on_open_late, session);
	(void)say(session, agentx_open(++session->packets, &session->id, DESCRIPTION));
}

AgentxSession *agentx_session_new(const char *path, const Oid *id, AgentxViewCb view, gpointer user_data)
{
	AgentxSession *session = g_new0(AgentxSession, 1);

	session->path = g_strdup(path);
	session->id = *id;
	session->view = view;
	session->user_data = user_data;
	session->subtrees = g_array_new(FALSE, TRUE, sizeof(Subtree));
	session->fd = -1;
	session->delay_ms = FIRST_RETRY_MS;
	session->received = g_byte_array_new();
	session->unsent = g_byte_array_new();
	session->timer = g_timeout_add(0, on_time, session);
	return session;
}

void agentx_session_free(AgentxSession *session)
{
	if (!session)
		return;
	if (session->open)
		(void)say(session, agentx_close(session->number, ++session->packets));
	close_socket(session);
	g_array_unref(session->subtrees);
	g_byte_array_unref(session->received);
	g_byte_array_unref(session->unsent);
	g_free(session->complaint);
	g_free(session->path);
	g_free(session);
}

void agentx_session_serve(AgentxSession *session, const Oid *subtrees, guint n)
{
	for (guint i = 0; i < session->subtrees->len; i++)
		g_array_index(session->subtrees, Subtree, i).wanted = false;
	for (guint k = 0; k < n; k++) {
		bool known = false;

		for (guint i = 0; i < session->subtrees->len && !known; i++) {
			Subtree *subtree = &g_array_index(session->subtrees, Subtree, i);

			known = oid_compare(&subtree->oid, &subtrees[k]) == 0;
			subtree->wanted |= known;
		}
		if (!known) {
			Subtree subtree = { .oid = subtrees[k], .wanted = true };
			g_array_append_val(session->subtrees, subtree);
		}
	}
	tell_subtrees(session);
}
