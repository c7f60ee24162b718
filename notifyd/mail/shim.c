/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/shim.c - connect(), poll() and auth_set_mechanism(), for libesmtp. shim.h says why. */
#include "notifyd/mail/shim.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <auth-client.h>

static int given = -1;
static int most_ms = -1; /* of patience; -1: as asked */

void mail_shim_give(int fd)
{
	given = fd;
}

void mail_shim_hurry(int patience_ms)
{
	most_ms = patience_ms;
}

static bool is_shim_server(const struct sockaddr *address, socklen_t length)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;

	return length >= sizeof(*in) && in->sin_family == AF_INET && in->sin_port == htons(9) && in->sin_addr.s_addr == inet_addr("192.0.2.1");
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	static int (*real)(int, const struct sockaddr *, socklen_t);

	if (!is_shim_server(address, length)) {
		if (!real)
			*(void **)&real = dlsym(RTLD_NEXT, "connect");
		return real(fd, address, length);
	}
	if (given < 0) {
		errno = ECONNREFUSED;
		return -1;
	}
	if (dup3(given, fd, O_CLOEXEC) < 0)
		return -1;
	close(given);
	given = -1;
	return 0;
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int patience_ms = most_ms >= 0 && (timeout_ms < 0 || timeout_ms > most_ms) ? most_ms : timeout_ms;
	struct timespec patience = { .tv_sec = patience_ms / 1000, .tv_nsec = (patience_ms % 1000) * 1000000L };
	int ready = ppoll(fds, n, patience_ms < 0 ? NULL : &patience, NULL);

	if (ready == 2 && n == 2 && fds[0].fd == fds[1].fd && (fds[1].revents & POLLOUT) && (fds[0].revents & POLLIN)) {
		fds[0].revents &= ~POLLIN;
		ready -= fds[0].revents == 0;
	}
	return ready;
}

int auth_set_mechanism(auth_context_t context, const char *name)
{
	static int (*real)(auth_context_t, const char *);

	if (strcasecmp(name, "PLAIN") != 0 && strcasecmp(name, "LOGIN") != 0)
		return 0;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "auth_set_mechanism");
	return real(context, name);
}
