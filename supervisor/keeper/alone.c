/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/alone.c - letting go without a supervisor: applications, drop rules, then the election. */
#define G_LOG_DOMAIN "understudy-keeper"
#include "supervisor/keeper/alone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/proc.h"

#define GONE_WITHIN_US (5 * G_TIME_SPAN_SECOND)
#define UNIT_MS 5000

static void wait_empty(const char *path)
{
	gint64 deadline_us = g_get_monotonic_time() + GONE_WITHIN_US;
	int fd = cgroup_open_events(path, NULL);
	while (fd >= 0 && cgroup_is_populated(path)) {
		gint64 left_us = deadline_us - g_get_monotonic_time();
		if (left_us <= 0) {
			g_warning("%s: a process does not go", path);
			break;
		}
		struct pollfd wait = { .fd = fd, .events = POLLPRI };
		(void)poll(&wait, 1, (int)MIN(left_us / 1000 + 1, 100));
	}
	if (fd >= 0)
		close(fd);
}

/* systemd is given its time, and then the kernel is asked. */
static void stop_units(void)
{
	g_autoptr(GPtrArray) records = proc_records_load();
	for (guint i = 0; i < records->len; i++) {
		const ProcRecord *record = records->pdata[i];
		const char *cgroup = strchr(record->detail, '/');
		if (strcmp(record->kind, "unit") != 0)
			continue;
		g_message("stopping %s", record->name);
		const char *const argv[] = { "/usr/bin/systemctl", "stop", record->name, NULL };
		g_autoptr(GError) error = NULL;
		GPid pid;
		if (!g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error)) {
			g_warning("%s: %s", record->name, error->message);
		} else {
			int fd = (int)syscall(SYS_pidfd_open, pid, 0);
			struct pollfd wait = { .fd = fd, .events = POLLIN };
			(void)poll(&wait, 1, UNIT_MS); /* the keeper reaps it */
			if (fd >= 0)
				close(fd);
		}
		g_clear_error(&error);
		if (!cgroup || !cgroup_is_populated(cgroup))
			continue;
		if (!cgroup_kill(cgroup, &error))
			g_warning("%s", error->message);
		else
			wait_empty(cgroup);
	}
}

static void stop_applications(void)
{
	stop_units();
	g_autoptr(GError) error = NULL;
	g_autofree char *own = cgroup_own(&error);
	if (!own) {
		g_warning("applications cannot be stopped: %s", error->message);
		return;
	}
	g_autofree char *path = g_build_filename(own, CGROUP_APPS, NULL);
	if (!cgroup_is_populated(path))
		return;
	g_message("killing every application");
	if (!cgroup_kill(path, &error))
		g_warning("%s", error->message);
	else
		wait_empty(path);
}

/* One nfnetlink message with a header for table operations. */
static gsize put_message(guint8 *at, guint16 type, guint16 flags, guint8 family, guint16 resource, const char *table)
{
	struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_flags = (guint16)(NLM_F_REQUEST | flags) };
	struct nfgenmsg general = { .nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource) };
	gsize length = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof general);
	memcpy(at + NLMSG_HDRLEN, &general, sizeof general);
	if (table) {
		struct nlattr name = { .nla_type = NFTA_TABLE_NAME, .nla_len = (guint16)(NLA_HDRLEN + strlen(table) + 1) };
		memcpy(at + length, &name, sizeof name);
		memcpy(at + length + NLA_HDRLEN, table, strlen(table) + 1);
		length += NLA_ALIGN(name.nla_len);
	}
	header.nlmsg_len = (guint32)length;
	memcpy(at, &header, sizeof header);
	return length;
}

/* `delete table inet understudy`, by hand: the keeper links no library but GLib, and the nft program need not be there. */
static void lift_drop(void)
{
	guint8 batch[256] = { 0 };
	gsize n = put_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, NULL);
	n += put_message(batch + n, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_DELTABLE, NLM_F_ACK, NFPROTO_INET, 0, "understudy");
	n += put_message(batch + n, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, NULL);

	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	if (fd < 0 || sendto(fd, batch, n, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		g_warning("the drop of traffic cannot be lifted: %s", g_strerror(errno));
	guint8 answer[512];
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	if (fd >= 0 && poll(&wait, 1, 500) == 1 && recv(fd, answer, sizeof answer, 0) >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
		const struct nlmsgerr *result = NLMSG_DATA((struct nlmsghdr *)answer);
		if (result->error != 0 && result->error != -ENOENT)
			g_warning("the drop of traffic cannot be lifted: %s", g_strerror(-result->error));
	}
	if (fd >= 0)
		close(fd);
}

static void end_election(void)
{
	g_autoptr(GPtrArray) records = proc_records_load();
	const ProcRecord *vrrpd = proc_records_find(records, "daemon", "vrrpd");
	int fd = vrrpd ? proc_open(vrrpd->pid, vrrpd->start_ticks) : -1;
	if (fd < 0)
		return;
	g_message("telling vrrpd (pid %d) to resign and end", (int)vrrpd->pid);
	if (syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) != 0)
		g_warning("vrrpd: %s", g_strerror(errno));
	close(fd);
}

void keeper_act_alone(void)
{
	g_critical("no supervisor can be started: this device lets go of the service");
	stop_applications();
	lift_drop();
	end_election();
}
