/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/claims.c - reading ARP and neighbour discovery beside the kernel.
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

#include "vrrpd/wire/arp.h"
#include "vrrpd/wire/nd.h"
#include "vrrpd/wire/packet.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define MAX_FILTERED 200 /* jumps reach no further; with more of them everything is read */
#define READ_MAX 32
#define PAUSE_MS 50
#define ETHERNET 14
#define ARP_LENGTH 28
#define IPV6_HEADER 40
#define ND_MESSAGE 24 /* without options */
#define SOLICITATION 135
#define ADVERTISEMENT 136
#define SOLICITED 0x40
#define MAX_CODE (2 * (MAX_FILTERED + 3) + 24)

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
	bool questions;
	guint8 vrid; /* 0: whoever has a virtual router's MAC is of no interest */
	VrrpClaimCb claimed;
	gpointer user_data;
};

/* ---- Parsing ---- */

static bool parse_arp(const guint8 *arp, gsize length, VrrpClaim *ret_claim)
{
	static const guint8 head[] = { 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00 };
	guint32 sender, target;

	if (length < ARP_LENGTH || memcmp(arp, head, sizeof head) != 0 || (arp[7] != 1 && arp[7] != 2))
		return false;
	memcpy(&sender, arp + 14, 4);
	memcpy(&target, arp + 24, 4);
	ret_claim->announced = sender == target;
	if (sender != 0) {
		memcpy(ret_claim->mac, arp + 8, 6);
		ret_claim->address = ip_v4(g_ntohl(sender));
	}
	if (arp[7] == 1 && target != sender && target != 0)
		ret_claim->asked = ip_v4(g_ntohl(target));
	return ip_is_set(&ret_claim->address) || ip_is_set(&ret_claim->asked);
}

static bool parse_nd(const guint8 *source_mac, const guint8 *ip, gsize length, VrrpClaim *ret_claim)
{
	const guint8 *icmp = ip + IPV6_HEADER;
	IpAddress target;

	/* RFC 4861 7.1: hop limit 255, code 0. The kernel has checked no checksum yet; nothing but a report hangs on it. */
	if (length < IPV6_HEADER + ND_MESSAGE || ip[0] >> 4 != 6 || ip[6] != 58 || ip[7] != 255 ||
	    (icmp[0] != SOLICITATION && icmp[0] != ADVERTISEMENT) || icmp[1] != 0)
		return false;
	target = ip_v6(icmp + 8);
	if (ip_is_multicast(&target))
		return false;
	if (icmp[0] == SOLICITATION) {
		ret_claim->asked = target;
		return true;
	}
	memcpy(ret_claim->mac, source_mac, 6);
	for (gsize at = IPV6_HEADER + ND_MESSAGE; at + 8 <= length; at += (gsize)ip[at + 1] * 8) {
		if (ip[at + 1] == 0)
			return false;
		if (ip[at] == 2)
			memcpy(ret_claim->mac, ip + at + 2, 6);
	}
	ret_claim->address = target;
	ret_claim->announced = ip[24] == 0xff && !(icmp[4] & SOLICITED);
	return true;
}

bool vrrp_claim_parse(const guint8 *frame, gsize length, VrrpClaim *ret_claim)
{
	guint type;

	memset(ret_claim, 0, sizeof *ret_claim);
	if (length < ETHERNET)
		return false;
	type = (guint)frame[12] << 8 | frame[13];
	if (type == ETH_P_ARP)
		return parse_arp(frame + ETHERNET, length - ETHERNET, ret_claim);
	return type == ETH_P_IPV6 && parse_nd(frame + 6, frame + ETHERNET, length - ETHERNET, ret_claim);
}

/* ---- Listening ---- */

static guint32 last_word(const IpAddress *ip)
{
	guint32 word;

	memcpy(&word, ip->bytes + ip_length(ip) - 4, 4);
	return g_ntohl(word);
}

typedef struct {
	struct sock_filter code[MAX_CODE];
	guint16 n;
} Filter;

static void emit(Filter *filter, struct sock_filter instruction)
{
	filter->code[filter->n++] = instruction;
}

static void load(Filter *filter, guint16 size, guint32 at)
{
	emit(filter, (struct sock_filter)BPF_STMT((guint16)(BPF_LD | BPF_ABS | size), at));
}

static void end_with(Filter *filter, bool yes)
{
	emit(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, yes ? 256 : 0));
}

/* @yes and @no: how many of the next instructions are left out. */
static void compare(Filter *filter, guint32 with, guint8 yes, guint8 no)
{
	emit(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, with, yes, no));
}

/* "Ends as one of ours": one word is enough to keep the rest of a LAN away. */
static void accept_addresses(Filter *filter, guint32 at, sa_family_t family, const GArray *addresses, guint count)
{
	guint left = count;

	load(filter, BPF_W, at);
	for (guint i = 0; i < addresses->len; i++) {
		const IpAddress *ip = &g_array_index(addresses, IpAddress, i);

		if (ip->family == family)
			compare(filter, last_word(ip), (guint8)left--, 0);
	}
	emit(filter, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
	end_with(filter, true);
}

static void virtual_mac(guint8 vrid, sa_family_t family, guint8 ret_mac[static 6])
{
	if (family == AF_INET6)
		vrrp_virtual_mac6(vrid, ret_mac);
	else
		vrrp_virtual_mac(vrid, ret_mac);
}

static void accept_twin(Filter *filter, guint8 vrid, sa_family_t family)
{
	guint8 mac[6];

	virtual_mac(vrid, family, mac);
	load(filter, BPF_W, 6);
	compare(filter, (guint32)mac[0] << 24 | (guint32)mac[1] << 16 | (guint32)mac[2] << 8 | mac[3], 0, 3);
	load(filter, BPF_H, 10);
	compare(filter, (guint32)mac[4] << 8 | mac[5], 0, 1);
	end_with(filter, true);
}

static bool attach_filter(const VrrpClaims *self, int fd, sa_family_t family)
{
	struct sock_fprog program;
	Filter filter = { .n = 0 };
	guint count = 0;

	for (guint i = 0; i < self->addresses->len; i++)
		count += g_array_index(self->addresses, IpAddress, i).family == family;
	if (count > MAX_FILTERED)
		return true;
	if (family == AF_INET6) {
		/* What another Master says is an input of the election, and answered there. */
		load(&filter, BPF_B, ETHERNET + 6);
		compare(&filter, VRRP_IP_PROTOCOL, 0, 1);
		end_with(&filter, false);
	}
	if (self->vrid != 0)
		accept_twin(&filter, self->vrid, family);
	if (family == AF_INET6) {
		load(&filter, BPF_B, ETHERNET + 6);
		compare(&filter, 58, 1, 0);
		end_with(&filter, false);
		load(&filter, BPF_B, ETHERNET + IPV6_HEADER);
		compare(&filter, self->questions ? SOLICITATION : ADVERTISEMENT, 2, 0);
		compare(&filter, ADVERTISEMENT, 1, 0);
		end_with(&filter, false);
		accept_addresses(&filter, ETHERNET + IPV6_HEADER + 8 + 12, family, self->addresses, count);
	} else {
		accept_addresses(&filter, ETHERNET + 14, family, self->addresses, count);
		if (self->questions)
			accept_addresses(&filter, ETHERNET + 24, family, self->addresses, count);
	}
	end_with(&filter, false);
	program = (struct sock_fprog){ .len = filter.n, .filter = filter.code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static bool is_ours(const GArray *addresses, const IpAddress *ip)
{
	for (guint i = 0; i < addresses->len; i++)
		if (ip_equal(&g_array_index(addresses, IpAddress, i), ip))
			return true;
	return false;
}

static bool is_twin(const VrrpClaims *self, const guint8 *frame, gsize length)
{
	guint8 mac[6];

	if (self->vrid == 0 || length < ETHERNET)
		return false;
	virtual_mac(self->vrid, frame[12] == 0x86 ? AF_INET6 : AF_INET, mac);
	return memcmp(frame + 6, mac, 6) == 0;
}

/* What of it is of interest. */
static bool judge(const VrrpClaims *self, const guint8 *frame, gsize length, VrrpClaim *ret_claim)
{
	(void)vrrp_claim_parse(frame, length, ret_claim);
	if (!is_ours(self->addresses, &ret_claim->address))
		ret_claim->address = (IpAddress){ 0 };
	if (!self->questions || !is_ours(self->addresses, &ret_claim->asked))
		ret_claim->asked = (IpAddress){ 0 };
	ret_claim->twin = is_twin(self, frame, length);
	return ret_claim->twin || ip_is_set(&ret_claim->address) || ip_is_set(&ret_claim->asked);
}

static bool read_one(Listener *listener)
{
	VrrpClaims *self = listener->claims;
	struct sockaddr_ll from;
	socklen_t size = sizeof from;
	guint8 frame[256];
	VrrpClaim claim;
	gssize n = recvfrom(listener->fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &size);

	if (n < 0)
		return errno == EINTR || errno == ENETDOWN;
	if (from.sll_pkttype != PACKET_OUTGOING && judge(self, frame, (gsize)n, &claim))
		self->claimed(&claim, self->user_data);
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
	if (listener->fd < 0 || !attach_filter(listener->claims, listener->fd, family) ||
	    setsockopt(listener->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0 ||
	    bind(listener->fd, (struct sockaddr *)&at, sizeof at) < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "packet socket: %s", g_strerror(errno));
		return false;
	}
	(void)setsockopt(listener->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
	watch(listener);
	return true;
}

static const sa_family_t families[] = { AF_INET, AF_INET6 }; /* of the listeners */

VrrpClaims *vrrp_claims_new(int index, const GArray *addresses, int priority, VrrpClaimCb claimed, gpointer user_data, VrrpWorker *worker,
			    GError **error)
{
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

void vrrp_claims_hear(VrrpClaims *self, bool questions, guint8 vrid)
{
	if (self->questions == questions && self->vrid == vrid)
		return;
	self->questions = questions;
	self->vrid = vrid;
	for (guint k = 0; k < G_N_ELEMENTS(self->listeners); k++) {
		/* Should the kernel not take it, it is told of as before. */
		if (self->listeners[k].fd >= 0)
			(void)attach_filter(self, self->listeners[k].fd, families[k]);
	}
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
