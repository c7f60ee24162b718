/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-knock.c - finds out, without waiting, whether anybody answers at a D-Bus address.
 *
 * libdbus connects in a blocking way. That is instant as long as the far side has room in its queue of connections,
 * and for ever when it is frozen with a full one. So a socket of our own goes first and asks for the list of
 * authentication mechanisms; only somebody who answers that gets a real connection.
 */
#include "bus-knock.h"

#include <dbus/dbus.h>
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus-source.h"

struct BusKnock {
	int fd;
	GSource *source; /* for the answer, or for an outcome known already */
	bool answered;
	BusKnockCb done;
	gpointer user_data;
};

/* The first Unix socket of @address. */
static bool find_socket(const char *address, struct sockaddr_un *ret_socket, socklen_t *ret_length)
{
	DBusAddressEntry **entries;
	bool found = false;
	int n;

	if (!dbus_parse_address(address, &entries, &n, NULL))
		return false;
	for (int i = 0; i < n && !found; i++) {
		const char *path = dbus_address_entry_get_value(entries[i], "path");
		const char *abstract = dbus_address_entry_get_value(entries[i], "abstract");
		const char *name = path ? path : abstract;
		gsize at = path ? 0 : 1; /* an abstract name begins after a zero byte */
		if (strcmp(dbus_address_entry_get_method(entries[i]), "unix") != 0 || !name ||
		    at + strlen(name) >= sizeof(ret_socket->sun_path))
			continue;
		memset(ret_socket, 0, sizeof(*ret_socket));
		ret_socket->sun_family = AF_UNIX;
		memcpy(ret_socket->sun_path + at, name, strlen(name));
		*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + at + strlen(name) + (path ? 1 : 0));
		found = true;
	}
	dbus_address_entries_free(entries);
	return found;
}

static void finish(BusKnock *knock, bool answered)
{
	BusKnockCb done = knock->done;
	gpointer user_data = knock->user_data;

	g_source_destroy(knock->source);
	done(answered, user_data); /* frees the knock, if its owner likes */
}

static gboolean on_answer(int fd, GIOCondition condition, gpointer user_data)
{
	char bytes[64];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	finish(user_data, n > 0);
	return G_SOURCE_REMOVE;
}

static gboolean on_known(gpointer user_data)
{
	BusKnock *knock = user_data;

	finish(knock, knock->answered);
	return G_SOURCE_REMOVE;
}

/* False when it is known already that nobody is there. */
static bool ask(BusKnock *knock, const struct sockaddr_un *name, socklen_t length)
{
	static const char question[] = "\0AUTH\r\n";

	knock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (knock->fd < 0)
		return false;
	/* EAGAIN means a full queue: as good as nobody, and tried again later. */
	return connect(knock->fd, (const struct sockaddr *)name, length) == 0 &&
	       send(knock->fd, question, sizeof(question) - 1, MSG_NOSIGNAL) == sizeof(question) - 1;
}

BusKnock *bus_knock_new(const char *address, BusKnockCb done, gpointer user_data)
{
	BusKnock *knock = g_new0(BusKnock, 1);
	struct sockaddr_un name;
	socklen_t length;

	knock->fd = -1;
	knock->done = done;
	knock->user_data = user_data;

	bool is_socket = find_socket(address, &name, &length);
	if (is_socket && ask(knock, &name, length)) {
		knock->source = g_unix_fd_source_new(knock->fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
		g_source_set_callback(knock->source, G_SOURCE_FUNC(on_answer), knock, NULL);
	} else {
		knock->answered = !is_socket;
		knock->source = g_idle_source_new();
		g_source_set_callback(knock->source, on_known, knock, NULL);
	}
	g_source_set_priority(knock->source, BUS_PRIORITY);
	g_source_attach(knock->source, g_main_context_get_thread_default());
	return knock;
}

void bus_knock_free(BusKnock *knock)
{
	if (!knock)
		return;
	g_source_destroy(knock->source);
	g_source_unref(knock->source);
	if (knock->fd >= 0)
		close(knock->fd);
	g_free(knock);
}
