/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/netsnmp-source.c - before each poll net-snmp is asked what it waits for, and told afterwards what has come. */
#include "snmp/netsnmp-source.h"

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/library/large_fd_set.h>

typedef struct {
	int fd;
	gpointer tag;
} Watched;

typedef struct {
	GSource base;
	GArray *watched; /* of Watched */
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
	run_alarms();
	netsnmp_check_outstanding_agent_requests();
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

	((NetsnmpSource *)base)->watched = g_array_new(FALSE, FALSE, sizeof(Watched));
	g_source_set_static_name(base, "net-snmp");
	g_source_attach(base, NULL);
	return base;
}
