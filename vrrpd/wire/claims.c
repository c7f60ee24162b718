/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/claims.c - reading ARP and neighbour advertisements beside the kernel.
 *
 * A filter in the kernel lets through only what concerns the addresses asked for; what still comes in numbers is read so much at a time.
 */
#include "vrrpd/wire/claims.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define MAX_FILTERED 200 /* jumps reach no further; with more of them everything is read */
#define READ_MAX 32
#define PAUSE_MS 50
#define ETHERNET 14
#define ARP_LENGTH 28
#define IPV6_HEADER 40
#define ADVERTISEMENT 24 /* without options */

typedef struct {
	VrrpClaims *claims;
	int fd;
	guint source;
} Listener;

struct VrrpClaims {
	Listener listeners[2]; /* ARP, IPv6 */
	GArray *addresses;
	VrrpWorker *worker; /* which closes its sockets */
	int priority;
	VrrpClaimCb claimed;
	gpointer user_data;
};

/* ---- Parsing ---- */

static bool parse_arp(const guint8 *arp, gsize length, VrrpClaim *ret_claim)
{
	static const guint8 head[] = { 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00 };
	guint32 sender;

	if (length < ARP_LENGTH || memcmp(arp, head, sizeof head) != 0 || (arp[7] != 1 && arp[7] != 2))
		return false;
	memcpy(&sender, arp + 14, 4);
	if (sender == 0)
		return false;
	memcpy(ret_claim->mac, arp + 8, 6);
	ret_claim->address = ip_v4(g_ntohl(sender));
	return true;
}

static bool parse_advertisement(const guint8 *source_mac, const guint8 *ip, gsize length, VrrpClaim *ret_claim)
{
	const guint8 *icmp = ip + IPV6_HEADER;

	/* RFC 4861 7.1.2: hop limit 255, code 0. The kernel has checked no checksum yet; nothing but a report hangs on it. */
	if (length < IPV6_HEADER + ADVERTISEMENT || ip[0] >> 4 != 6 || ip[6] != 58 || ip[7] != 255 || icmp[0] != 136 || icmp[1] != 0)
		return false;
	memcpy(ret_claim->mac, source_mac, 6);
	ret_claim->address = ip_v6(icmp + 8);
	if (ip_is_multicast(&ret_claim->address))
		return false;
	for (gsize at = IPV6_HEADER + ADVERTISEMENT; at + 8 <= length; at += (gsize)ip[at + 1] * 8) {
		if (ip[at + 1] == 0)
			return false;
		if (ip[at] == 2)
			memcpy(ret_claim->mac, ip + at + 2, 6);
	}
	return true;
}

bool vrrp_claim_parse(const guint8 *frame, gsize length, VrrpClaim *ret_claim)
{
	guint type;

	if (length < ETHERNET)
		return false;
	memset(ret_claim, 0, sizeof *ret_claim);
	type = (guint)frame[12] << 8 | frame[13];
	if (type == ETH_P_ARP)
		return parse_arp(frame + ETHERNET, length - ETHERNET, ret_claim);
	return type == ETH_P_IPV6 && parse_advertisement(frame + 6, frame + ETHERNET, length - ETHERNET, ret_claim);
}

/* ---- Listening ---- */

static guint32 last_word(const IpAddress *ip)
{
	guint32 word;

	memcpy(&word, ip->bytes + ip_length(ip) - 4, 4);
	return g_ntohl(word);
}

/* "A claim whose address ends as one of ours": one word is enough to keep the rest of a LAN away. */
static bool attach_filter(int fd, sa_family_t family, const GArray *addresses)
{
	struct sock_filter code[8 + MAX_FILTERED];
	struct sock_fprog program = { .filter = code };
	guint16 n = 0, begin;
	guint count = 0;

	for (guint i = 0; i < addresses->len; i++)
		count += g_array_index(addresses, IpAddress, i).family == family;
	if (count > MAX_FILTERED)
		return true;
	if (family == AF_INET6) {
		code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHERNET + 6);
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 58, 1, 0);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHERNET + IPV6_HEADER);
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 1, 0);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 family == AF_INET6 ? ETHERNET + IPV6_HEADER + 8 + 12 : ETHERNET + 14);
	begin = n;
	for (guint i = 0; i < addresses->len; i++) {
		const IpAddress *ip = &g_array_index(addresses, IpAddress, i);

		if (ip->family == family) {
			code[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, last_word(ip), (guint8)(count - (n - begin)), 0);
			n++;
		}
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 256);
	program.len = n;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static bool is_ours(const GArray *addresses, const IpAddress *ip)
{
	for (guint i = 0; i < addresses->len; i++)
		if (ip_equal(&g_array_index(addresses, IpAddress, i), ip))
			return true;
	return false;
}

static bool read_one(Listener *listener)
{
	struct sockaddr_ll from;
	socklen_t size = sizeof from;
	guint8 frame[256];
	VrrpClaim claim;
	gssize n = recvfrom(listener->fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &size);

	if (n < 0)
		return errno == EINTR || errno == ENETDOWN;
	if (from.sll_pkttype != PACKET_OUTGOING && vrrp_claim_parse(frame, (gsize)n, &claim) &&
	    is_ours(listener->claims->addresses, &claim.address))
		listener->claims->claimed(&claim, listener->claims->user_data);
	return true;
}

static void watch(Listener *listener);

static gboolean again_cb(gpointer user_data)
{
	watch(user_data);
	return G_SOURCE_REMOVE;
}

static gboolean ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	Listener *listener = user_data;

	for (guint i = 0; i < READ_MAX && read_one(listener); i++)
		;
	listener->source = g_timeout_add_full(listener->claims->priority, PAUSE_MS, again_cb, listener, NULL);
	return G_SOURCE_REMOVE;
}

static void watch(Listener *listener)
{
	GSource *source = g_unix_fd_source_new(listener->fd, G_IO_IN);

	g_source_set_priority(source, listener->claims->priority);
	g_source_set_callback(source, G_SOURCE_FUNC(ready_cb), listener, NULL);
	listener->source = g_source_attach(source, NULL);
	g_source_unref(source);
}

static bool listener_open(Listener *listener, int index, sa_family_t family, GError **error)
{
	guint16 protocol = family == AF_INET6 ? ETH_P_IPV6 : ETH_P_ARP;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = g_htons(protocol), .sll_ifindex = index };
	int on = 1, size = 32 * 1024;

	/* Protocol 0 until it is filtered and bound: nothing of other interfaces gets in. */
	listener->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener->fd < 0 || !attach_filter(listener->fd, family, listener->claims->addresses) ||
	    setsockopt(listener->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0 ||
	    bind(listener->fd, (struct sockaddr *)&at, sizeof at) < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "packet socket: %s", g_strerror(errno));
		return false;
	}
	(void)setsockopt(listener->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
	watch(listener);
	return true;
}

VrrpClaims *vrrp_claims_new(int index, const GArray *addresses, int priority, VrrpClaimCb claimed, gpointer user_data, VrrpWorker *worker,
			    GError **error)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	g_autoptr(VrrpClaims) self = g_new0(VrrpClaims, 1);

	self->addresses = g_array_copy((GArray *)addresses);
	self->priority = priority;
	self->worker = worker;
	self->claimed = claimed;
	self->user_data = user_data;
	for (guint k = 0; k < G_N_ELEMENTS(families); k++) {
		self->listeners[k].claims = self;
		self->listeners[k].fd = -1;
	}
	for (guint k = 0; k < G_N_ELEMENTS(families); k++) {
		bool any = false;

		for (guint i = 0; i < addresses->len; i++)
			any |= g_array_index(addresses, IpAddress, i).family == families[k];
		if (any && !listener_open(&self->listeners[k], index, families[k], error))
			return NULL;
	}
	return g_steal_pointer(&self);
}

void vrrp_claims_free(VrrpClaims *self)
{
	if (!self)
		return;
	for (guint k = 0; k < G_N_ELEMENTS(self->listeners); k++) {
		if (self->listeners[k].source)
			g_source_remove(self->listeners[k].source);
		vrrp_worker_close(self->worker, self->listeners[k].fd);
	}
	g_array_unref(self->addresses);
	g_free(self);
}
