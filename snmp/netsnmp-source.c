/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/netsnmp-source.c - before each poll net-snmp is asked what it waits for, and told afterwards what has come. */
#include "snmp/netsnmp-source.h"

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/library/large_fd_set.h>
#include <poll.h>

#define MOMENT_US 500  /* no question for so long: the walk is over */
#define TURNS     1000 /* then the loop has its turn; a question takes three */
#define LOOK_US   150
#define MISSES    4    /* in a row: it is slower than that now */
#define AGAIN     64
#define MOST_FDS  16   /* snmpd, and the library's own pipes */

typedef struct {
	int fd;
	gpointer tag;
} Watched;

typedef struct {
	GSource base;
	GArray *watched; /* of Watched */
	bool has_company; /* there is another processor */
	guint misses;
} NetsnmpSource;

static gboolean prepare(GSource *base, int *timeout_ms)
{
	NetsnmpSource *source = (NetsnmpSource *)base;
	netsnmp_large_fd_set wanted;
	struct timeval wait = { 0 };
	int n = 0, block = 1; /* for ever, when nothing is due */

	netsnmp_large_fd_set_init(&wanted, FD_SETSIZE);
	NETSNMP_LARGE_FD_ZERO(&wanted);
	(void)snmp_select_info2(&n, &wanted, &wait, &block);
	for (guint i = source->watched->len; i-- > 0;) {
		const Watched *watched = &g_array_index(source->watched, Watched, i);

		if (watched->fd < n && NETSNMP_LARGE_FD_ISSET(watched->fd, &wanted)) {
			NETSNMP_LARGE_FD_CLR(watched->fd, &wanted);
			continue;
		}
		g_source_remove_unix_fd(base, watched->tag);
		g_array_remove_index_fast(source->watched, i);
	}
	for (int fd = 0; fd < n; fd++) {
		if (!NETSNMP_LARGE_FD_ISSET(fd, &wanted))
			continue;
		Watched watched = { fd, g_source_add_unix_fd(base, fd, G_IO_IN) };
		g_array_append_val(source->watched, watched);
	}
	netsnmp_large_fd_set_cleanup(&wanted);

	gint64 ready_us = block ? -1 : g_get_monotonic_time() + wait.tv_sec * G_USEC_PER_SEC + wait.tv_usec;
	g_source_set_ready_time(base, ready_us);
	*timeout_ms = -1;
	return FALSE;
}

static bool has_come(GSource *base, const Watched *watched)
{
	return g_source_query_unix_fd(base, watched->tag) != 0;
}

/* ---- A walk ---- */

/* What the library waits for now. */
static guint take_descriptors(struct pollfd fds[static MOST_FDS])
{
	netsnmp_large_fd_set wanted;
	struct timeval wait = { 0 };
	int n = 0, block = 0;
	guint n_fds = 0;

	netsnmp_large_fd_set_init(&wanted, FD_SETSIZE);
	NETSNMP_LARGE_FD_ZERO(&wanted);
	(void)snmp_select_info2(&n, &wanted, &wait, &block);
	for (int fd = 0; fd < n && n_fds < MOST_FDS; fd++)
		if (NETSNMP_LARGE_FD_ISSET(fd, &wanted))
			fds[n_fds++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	netsnmp_large_fd_set_cleanup(&wanted);
	return n_fds;
}

/*
 * The next question comes some 50 microseconds after an answer. Where a processor that has gone to sleep wakes up slowly, as in a virtual machine, going to
 * sleep for it takes longer than that; so it is looked for instead, as long as that finds it, and where there is another processor for snmpd.
 */
static bool comes_at_once(NetsnmpSource *source, struct pollfd *fds, guint n)
{
	gint64 until_us = g_get_monotonic_time() + LOOK_US;

	if (poll(fds, n, 0) > 0)
		return true;
	if (!source->has_company || (source->misses >= MISSES && ++source->misses % AGAIN))
		return false;
	while (g_get_monotonic_time() < until_us) {
		if (poll(fds, n, 0) <= 0)
			continue;
		source->misses = 0;
		return true;
	}
	source->misses++;
	return false;
}

static void read_ready(const struct pollfd *fds, guint n)
{
	netsnmp_large_fd_set ready;

	netsnmp_large_fd_set_init(&ready, FD_SETSIZE);
	NETSNMP_LARGE_FD_ZERO(&ready);
	for (guint i = 0; i < n; i++)
		if (fds[i].revents)
			NETSNMP_LARGE_FD_SET(fds[i].fd, &ready);
	snmp_read2(&ready);
	netsnmp_large_fd_set_cleanup(&ready);
	netsnmp_check_outstanding_agent_requests();
}

/*
 * A walk is one question after the other, and each goes through pipes of the library's own before it is answered. So it is asked on here, without the rest of
 * the loop, until no question has come for a moment.
 */
static void read_on(NetsnmpSource *source)
{
	static const struct timespec moment = { .tv_nsec = MOMENT_US * 1000 };

	for (guint i = 0; i < TURNS; i++) {
		struct pollfd fds[MOST_FDS];
		guint n = take_descriptors(fds);

		if (!comes_at_once(source, fds, n) && ppoll(fds, n, &moment, NULL) <= 0)
			break;
		read_ready(fds, n);
	}
}

static gboolean dispatch(GSource *base, G_GNUC_UNUSED GSourceFunc callback, G_GNUC_UNUSED gpointer user_data)
{
	NetsnmpSource *source = (NetsnmpSource *)base;
	netsnmp_large_fd_set ready;
	bool any = false;

	netsnmp_large_fd_set_init(&ready, FD_SETSIZE);
	NETSNMP_LARGE_FD_ZERO(&ready);
	for (guint i = 0; i < source->watched->len; i++) {
		const Watched *watched = &g_array_index(source->watched, Watched, i);

		if (!has_come(base, watched))
			continue;
		NETSNMP_LARGE_FD_SET(watched->fd, &ready);
		any = true;
	}
	if (any)
		snmp_read2(&ready);
	else
		snmp_timeout();
	netsnmp_large_fd_set_cleanup(&ready);
	netsnmp_check_outstanding_agent_requests();
	if (any)
		read_on(source);
	run_alarms();
	return G_SOURCE_CONTINUE;
}

static void finalize(GSource *base)
{
	g_array_unref(((NetsnmpSource *)base)->watched);
}

GSource *netsnmp_source_new(void)
{
	static GSourceFuncs functions = { .prepare = prepare, .dispatch = dispatch, .finalize = finalize };
	GSource *base = g_source_new(&functions, sizeof(NetsnmpSource));

	((NetsnmpSource *)base)->has_company = g_get_num_processors() > 1;
	((NetsnmpSource *)base)->watched = g_array_new(FALSE, FALSE, sizeof(Watched));
	g_source_set_static_name(base, "net-snmp");
	g_source_attach(base, NULL);
	return base;
}
