/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/bus/bus-client.c - a client of another user, or of bad manners, for the tests.
 *
 *   bus-client call UID GID[,GID...] ADDRESS DESTINATION|- PATH INTERFACE METHOD
 *           one call; prints "ok" or the error's name
 *   bus-client flood ADDRESS PATH N
 *           N calls of Add at once; prints how many were answered
 *   bus-client deaf ADDRESS PATH
 *           calls Echo for ever and never reads; prints "closed"
 */
#include <dbus/dbus.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 10000
#define INTERFACE  "org.understudy.Test1"

static void become(const char *uid, char *gids)
{
	gid_t groups[16];
	size_t n = 0;

	for (char *gid = strtok(gids, ","); gid && n < 16; gid = strtok(NULL, ","))
		groups[n++] = (gid_t)atoi(gid);
	if (setgroups(n, groups) < 0 || setgid(groups[0]) < 0 || setuid((uid_t)atoi(uid)) < 0) {
		perror("becoming another user");
		exit(1);
	}
}

static DBusConnection *open_at(const char *address)
{
	DBusError error = DBUS_ERROR_INIT;
	DBusConnection *connection = dbus_connection_open_private(address, &error);

	if (!connection) {
		printf("%s\n", error.name);
		dbus_error_free(&error);
		exit(0);
	}
	dbus_connection_set_exit_on_disconnect(connection, FALSE);
	return connection;
}

static void close_it(DBusConnection *connection)
{
	dbus_connection_close(connection);
	dbus_connection_unref(connection);
	dbus_shutdown();
}

static int call(int argc, char **argv)
{
	DBusError error = DBUS_ERROR_INIT;

	become(argv[0], argv[1]);
	DBusConnection *connection = open_at(argv[2]);
	const char *destination = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
	if (destination && !dbus_bus_register(connection, &error)) {
		printf("%s\n", error.name);
		dbus_error_free(&error);
		close_it(connection);
		return 0;
	}
	DBusMessage *message = dbus_message_new_method_call(destination, argv[4], argv[5], argv[6]);
	DBusMessage *reply = dbus_connection_send_with_reply_and_block(connection, message, TIMEOUT_MS, &error);
	printf("%s\n", reply ? "ok" : error.name);
	if (reply)
		dbus_message_unref(reply);
	dbus_error_free(&error);
	dbus_message_unref(message);
	close_it(connection);
	return 0;
}

/* Sends without ever reading. False when the far side has closed. */
static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		struct pollfd poll_fd = { fd, POLLOUT, 0 };
		if (poll(&poll_fd, 1, TIMEOUT_MS) != 1)
			return 0;
		ssize_t n = write(fd, bytes, length);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return 0;
		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		}
	}
	return 1;
}

static DBusConnection *open_raw(const char *address, int *ret_fd)
{
	DBusConnection *connection = open_at(address);

	/* Writing nothing still authenticates. */
	while (!dbus_connection_get_is_authenticated(connection)) {
		if (!dbus_connection_read_write(connection, TIMEOUT_MS)) {
			printf("refused\n");
			exit(0);
		}
	}
	dbus_connection_flush(connection);
	if (!dbus_connection_get_unix_fd(connection, ret_fd))
		exit(1);
	return connection;
}

static int flood(int argc, char **argv)
{
	int fd, n = atoi(argv[2]), answered = 0;
	DBusConnection *connection = open_raw(argv[0], &fd);
	dbus_int32_t one = 1;

	for (int i = 0; i < n; i++) {
		DBusMessage *message = dbus_message_new_method_call(NULL, argv[1], INTERFACE, "Add");
		dbus_message_append_args(message, DBUS_TYPE_INT32, &one, DBUS_TYPE_INT32, &one, DBUS_TYPE_INVALID);
		dbus_connection_send(connection, message, NULL);
		dbus_message_unref(message);
	}
	while (answered < n && dbus_connection_read_write(connection, TIMEOUT_MS)) {
		DBusMessage *message;
		while ((message = dbus_connection_pop_message(connection))) {
			answered += dbus_message_get_type(message) == DBUS_MESSAGE_TYPE_METHOD_RETURN;
			dbus_message_unref(message);
		}
	}
	printf("%d\n", answered);
	close_it(connection);
	return 0;
}

static int deaf(int argc, char **argv)
{
	static char text[1024 * 1024];
	const char *pointer = text;
	DBusMessageIter iter, inner;
	char *bytes;
	int fd, length;

	signal(SIGPIPE, SIG_IGN);
	DBusConnection *connection = open_raw(argv[0], &fd);
	memset(text, 'x', sizeof(text) - 1);
	DBusMessage *message = dbus_message_new_method_call(NULL, argv[1], INTERFACE, "Echo");
	dbus_message_iter_init_append(message, &iter);
	dbus_message_iter_open_container(&iter, DBUS_TYPE_VARIANT, "s", &inner);
	dbus_message_iter_append_basic(&inner, DBUS_TYPE_STRING, &pointer);
	dbus_message_iter_close_container(&iter, &inner);
	dbus_message_set_serial(message, 1000);
	if (!dbus_message_marshal(message, &bytes, &length))
		return 1;
	int n = 0;
	while (n < 1000 && write_all(fd, bytes, (size_t)length))
		n++;
	printf(n < 1000 ? "closed\n" : "never closed\n");
	dbus_free(bytes);
	dbus_message_unref(message);
	close_it(connection);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 9 && strcmp(argv[1], "call") == 0)
		return call(argc - 2, argv + 2);
	if (argc == 5 && strcmp(argv[1], "flood") == 0)
		return flood(argc - 2, argv + 2);
	if (argc == 4 && strcmp(argv[1], "deaf") == 0)
		return deaf(argc - 2, argv + 2);
	return 2;
}
