/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/connect.c - resolves and connects. The resolver's own patience is bounded only by the run's deadline. */
#include "notifyd/mail/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "notifyd/delivery/job.h"

#define PATIENCE_MS 10000

/* 0, or an errno. */
static int wait_connected(int fd, gint64 patience_ms)
{
	gint64 end_us = g_get_monotonic_time() + patience_ms * 1000;
	struct pollfd waiting = { .fd = fd, .events = POLLOUT };
	socklen_t length = sizeof(int);
	int error = 0, n;

	do {
		gint64 left_ms = (end_us - g_get_monotonic_time() + 999) / 1000;

		n = poll(&waiting, 1, (int)MAX(left_ms, 0));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return ETIMEDOUT;
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return errno;
	return error;
}

static int connect_one(const struct addrinfo *address, gint64 patience_ms, int *ret_errno)
{
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);

	*ret_errno = 0;
	if (fd < 0) {
		*ret_errno = errno;
		return -1;
	}
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0)
		*ret_errno = errno == EINPROGRESS ? wait_connected(fd, patience_ms) : errno;
	if (*ret_errno == 0)
		return fd;
	close(fd);
	return -1;
}

int mail_connect(const char *host, guint16 port, gint64 left_ms, GError **error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *addresses;
	g_autofree char *service = g_strdup_printf("%u", port);
	gint64 patience_ms;
	int result, failure = 0, fd = -1;
	guint n = 0;

	result = getaddrinfo(host, service, &hints, &addresses);
	if (result != 0) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "%s: %s", host,
			    result == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(result));
		return -1;
	}
	for (const struct addrinfo *a = addresses; a; a = a->ai_next)
		n++;
	/* One share of the time is for the conversation. */
	patience_ms = MIN(PATIENCE_MS, left_ms / (n + 1));
	for (const struct addrinfo *a = addresses; a && fd < 0; a = a->ai_next)
		fd = connect_one(a, patience_ms, &failure);
	freeaddrinfo(addresses);
	if (fd < 0)
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "no connection to %s port %u: %s", host, port, g_strerror(failure));
	return fd;
}

char *mail_local_literal(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	char text[INET6_ADDRSTRLEN] = "127.0.0.1";

	if (getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
		if (address.ss_family == AF_INET6) {
			const struct in6_addr *in6 = &((const struct sockaddr_in6 *)&address)->sin6_addr;

			if (inet_ntop(AF_INET6, in6, text, sizeof(text)))
				return g_strdup_printf("[IPv6:%s]", text);
		} else if (address.ss_family == AF_INET) {
			inet_ntop(AF_INET, &((const struct sockaddr_in *)&address)->sin_addr, text, sizeof(text));
		}
	}
	return g_strdup_printf("[%s]", text);
}
