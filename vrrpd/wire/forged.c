/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/forged.c - a packet socket that is hardly ever read: what its filter lets in is counted, whether there is room for it or not. */
#include "vrrpd/wire/forged.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define ETHERNET 14
#define VRRP 112

struct VrrpForged {
	int fd;
	VrrpWorker *worker; /* which closes it */
};

static bool attach_filter(int fd, const IpAddress *own)
{
	guint32 word;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHERNET + 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VRRP, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ETHERNET + 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, ETHERNET),
	};
	struct sock_fprog program = { .len = G_N_ELEMENTS(code), .filter = code };

	memcpy(&word, own->bytes, 4);
	code[3].k = g_ntohl(word);
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

VrrpForged *vrrp_forged_new(int index, const IpAddress *own, VrrpWorker *worker, GError **error)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = g_htons(ETH_P_IP), .sll_ifindex = index };
	g_autoptr(VrrpForged) self = g_new0(VrrpForged, 1);
	int on = 1, size = 4096;

	self->worker = worker;
	/* Protocol 0 until it is filtered and bound: nothing else gets in. */
	self->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (self->fd < 0 || !attach_filter(self->fd, own) || setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0 ||
	    setsockopt(self->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 || bind(self->fd, (struct sockaddr *)&at, sizeof at) < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "packet socket: %s", g_strerror(errno));
		return NULL;
	}
	return g_steal_pointer(&self);
}

void vrrp_forged_free(VrrpForged *self)
{
	if (!self)
		return;
	vrrp_worker_close(self->worker, self->fd);
	g_free(self);
}

guint vrrp_forged_count(VrrpForged *self, guint8 ret_mac[static 6])
{
	struct tpacket_stats stats = { 0 };
	socklen_t size = sizeof stats;
	guint8 frame[ETHERNET];

	memset(ret_mac, 0, 6);
	/* It begins anew with each question. */
	if (getsockopt(self->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0 || stats.tp_packets == 0)
		return 0;
	while (recv(self->fd, frame, sizeof frame, MSG_DONTWAIT) == (gssize)sizeof frame)
		memcpy(ret_mac, frame + 6, 6);
	return stats.tp_packets; /* those that were dropped for want of room are among them */
}
