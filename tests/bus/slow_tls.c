/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/slow_tls.c - preloaded: after each TLS handshake as a client there is time for what the server sends by itself. */
#include <dlfcn.h>
#include <poll.h>

int SSL_connect(void *ssl);
int SSL_get_rfd(const void *ssl);

int SSL_connect(void *ssl)
{
	static int (*real)(void *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "SSL_connect");
	int result = real(ssl);
	if (result == 1) { /* session tickets, where there are any */
		struct pollfd waiting = { .fd = SSL_get_rfd(ssl), .events = POLLIN };

		(void)poll(&waiting, 1, 2000);
	}
	return result;
}
