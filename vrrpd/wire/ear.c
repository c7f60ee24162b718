/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/ear.c - a packet socket with the smallest buffer there is.
 *
 * Nobody waits on it, and nobody reads it: the first frame or two fill the buffer, and the kernel drops the rest before copying them, so that a
 * thousand calls' media cost a few instructions a packet. It counts them all the same, and that is what is looked at.
 */
#include "vrrpd/wire/ear.h"

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

struct VrrpEar {
	int fd;
	VrrpWorker *worker; /* which closes it */
};

VrrpEar *vrrp_ear_new(int index, VrrpWorker *worker, GError **error)
{
	struct sock_filter code[] = {
		/* Ours, on kernels that do not know PACKET_IGNORE_OUTGOING. */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (guint32)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 7, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = G_N_ELEMENTS(code), .filter = code };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = g_htons(ETH_P_ALL), .sll_ifindex = index };
	int on = 1, smallest = 1;
	VrrpEar *ear = g_new0(VrrpEar, 1);

	ear->worker = worker;
	/* Protocol 0 until it is filtered and bound: nothing of other interfaces gets in. */
	ear->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ear->fd < 0 || setsockopt(ear->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
	    setsockopt(ear->fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest) < 0 ||
	    bind(ear->fd, (struct sockaddr *)&at, sizeof at) < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "packet socket: %s", g_strerror(errno));
		vrrp_ear_free(ear);
		return NULL;
	}
	(void)setsockopt(ear->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
	return ear;
}

void vrrp_ear_free(VrrpEar *ear)
{
	if (!ear)
		return;
	vrrp_worker_close(ear->worker, ear->fd);
	g_free(ear);
}

bool vrrp_ear_heard(VrrpEar *ear)
{
	struct tpacket_stats since = { 0 };
	socklen_t size = sizeof since;

	/* Reading the count begins a new one; it includes the dropped. */
	return getsockopt(ear->fd, SOL_PACKET, PACKET_STATISTICS, &since, &size) == 0 && since.tp_packets > 0;
}
