/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/ear.c - a packet socket with the smallest buffer there is.
 *
 * Nobody waits on it: it is emptied at every look. Between two looks the first frame or two fill the buffer and the kernel drops the rest before
 * copying them, so that a thousand calls' media cost a few instructions a packet.
 */
#include "ear.h"

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

#define LOOK 8 /* frames a call; the buffer holds fewer */

struct VrrpEar {
	int fd;
};

VrrpEar *vrrp_ear_new(int index, GError **error)
{
	struct sock_filter code[] = {
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

	/* Protocol 0 until it is filtered and bound: nothing of other interfaces gets in. */
	ear->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ear->fd < 0 || setsockopt(ear->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
	    setsockopt(ear->fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest) < 0 ||
	    bind(ear->fd, (struct sockaddr *)&at, sizeof at) < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "packet socket: %s", g_strerror(errno));
		vrrp_ear_free(ear);
		return NULL;
	}
	/* Older kernels do not know it: there the filter of what we read does it. */
	(void)setsockopt(ear->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
	return ear;
}

void vrrp_ear_free(VrrpEar *ear)
{
	if (!ear)
		return;
	if (ear->fd >= 0)
		close(ear->fd);
	g_free(ear);
}

bool vrrp_ear_heard(VrrpEar *ear)
{
	struct sockaddr_ll from[LOOK];
	struct iovec nothing = { .iov_base = NULL, .iov_len = 0 };
	struct mmsghdr messages[LOOK];
	bool heard = false;
	int n;

	/* An error (the interface went down) is taken by reading it; the next read tells. */
	for (int i = 0; i < 16; i++) {
		memset(messages, 0, sizeof messages);
		for (int j = 0; j < LOOK; j++)
			messages[j].msg_hdr = (struct msghdr){ .msg_name = &from[j], .msg_namelen = sizeof from[j], .msg_iov = &nothing, .msg_iovlen = 1 };
		n = recvmmsg(ear->fd, messages, LOOK, MSG_DONTWAIT, NULL);
		for (int j = 0; j < n; j++)
			heard |= from[j].sll_pkttype != PACKET_OUTGOING;
		if (n >= 0 ? n < LOOK : errno == EAGAIN)
			break;
	}
	return heard;
}
