/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/socket.c - raw sockets of IP protocol 112 with filters in the kernel and receive timestamps. */
#include "vrrpd/wire/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vrrpd/loop/hot.h"
#include "vrrpd/rules/room.h"
#include "vrrpd/wire/packet.h"
#include "vrrpd/wire/stamp.h"
#include "vrrpd/wire/wall.h"
#include "vrrpd/loop/timer.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

#define MAX_PEERS 16
#define DRAIN_MAX 4096 /* more than the buffer holds: a bound, not a limit anybody meets */
/* What strangers send is read in real time too, and must not cost the applications a processor: so much at once, then a pause. What the kernel
 * cannot keep meanwhile it drops, and counts. */
#define REST_MAX 64
#define REST_PAUSE_MS 50
#define USUAL_MAX 128 /* of a message; enough for its checksum to be compared, and for 30 addresses to be */

typedef enum { JOINING, JOINED, REFUSED } Joined;

/* The thread's, until it has joined; and from when the socket is no more. */
typedef struct {
	int fds[3];
	int index;
	bool ipv6;
	int reason;    /* REFUSED: errno */
	gint joined;   /* atomic; a Joined */
} Group;

struct VrrpSocket {
	Group *group;
	VrrpWorker *worker;
	int index; /* of the interface when this is IPv6; else 0 */
	int counting_fd, bell_fd, rest_fd;
	guint counting_source, bell_source, rest_source;
	bool quiet;
	VrrpSocketConfig config; /* for filters made anew; its pointers are not the socket's */
	IpAddress peers[MAX_PEERS];
	guint8 usual[USUAL_MAX];
	gsize usual_length;      /* of the whole message; 0: none is usual yet */
	bool usual_changed;      /* since the bell knows */
	VrrpRoom room;           /* of what counts */
	VrrpStamp stamp;
	guint wall_sets;         /* of the wall clock, by the time of this turn */
	bool wall_asked;         /* in this turn: a call for all that is read at once is enough */
	VrrpPacketCb received;
	gpointer user_data;
};

/* ---- Filters ---- */

typedef enum {
	KIND_COUNTING, /* from next door, VRID is ours, and the source a peer's if only those count */
	KIND_BELL,     /* of these what is not what was said last */
	KIND_REST,     /* the opposite of what counts */
} Kind;

#define NO 255 /* to the end of the filter that says no */
#define YES 254

typedef struct {
	struct sock_filter code[16 + 8 * MAX_PEERS + USUAL_MAX / 2];
	guint16 n;
} Filter;

/* As a filter loads it. */
static guint32 word_of(const guint8 *bytes)
{
	guint32 be;

	memcpy(&be, bytes, sizeof be);
	return g_ntohl(be);
}

static void load(Filter *filter, guint16 what, guint32 k)
{
	filter->code[filter->n++] = (struct sock_filter)BPF_STMT(what, k);
}

static void test(Filter *filter, guint16 how, guint32 k, guint8 jt, guint8 jf)
{
	filter->code[filter->n++] = (struct sock_filter)BPF_JUMP((guint16)(BPF_JMP | how | BPF_K), k, jt, jf);
}

static guint32 yes_of(Kind kind)
{
	return kind == KIND_REST ? 0 : G_MAXUINT32;
}

static bool attach(int fd, Filter *filter, Kind kind)
{
	struct sock_fprog program = { .filter = filter->code };

	load(filter, BPF_RET | BPF_K, yes_of(kind));
	load(filter, BPF_RET | BPF_K, ~yes_of(kind));
	for (guint16 i = 0; i < filter->n; i++) {
		struct sock_filter *at = &filter->code[i];

		if (BPF_CLASS(at->code) != BPF_JMP)
			continue;
		at->jt = at->jt == NO ? (guint8)(filter->n - 2 - i) : at->jt == YES ? (guint8)(filter->n - 3 - i) : at->jt;
		at->jf = at->jf == NO ? (guint8)(filter->n - 2 - i) : at->jf == YES ? (guint8)(filter->n - 3 - i) : at->jf;
	}
	program.len = filter->n;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* What was said last need not be told again: then no. The message begins @at. */
static void test_usual(Filter *filter, const VrrpSocket *usual, guint32 at)
{
	if (!usual || usual->usual_length == 0)
		return;
	load(filter, BPF_LD | BPF_W | BPF_LEN, 0);
	test(filter, BPF_JEQ, at + (guint32)usual->usual_length, 0, YES);
	for (guint32 i = 0; i + 4 <= MIN(usual->usual_length, USUAL_MAX); i += 4) {
		load(filter, BPF_LD | BPF_W | BPF_ABS, at + i);
		test(filter, BPF_JEQ, word_of(usual->usual + i), 0, YES);
	}
	load(filter, BPF_RET | BPF_K, 0);
}

/* Too short to have a priority: counted with the rest. The kernel hands the packet over from its IP header on. @usual: for the bell, or NULL. */
static bool attach_filter(int fd, const VrrpSocketConfig *config, Kind kind, const VrrpSocket *usual)
{
	guint n_peers = (guint)MIN(config->n_peers, MAX_PEERS);
	Filter filter = { 0 };

	load(&filter, BPF_LD | BPF_W | BPF_LEN, 0);
	test(&filter, BPF_JGE, VRRP_IP_HEADER + 3, 0, NO);
	load(&filter, BPF_LD | BPF_B | BPF_ABS, 8);
	test(&filter, BPF_JEQ, VRRP_TTL, 0, NO);
	load(&filter, BPF_LDX | BPF_B | BPF_MSH, 0);
	load(&filter, BPF_LD | BPF_B | BPF_IND, 1);
	test(&filter, BPF_JEQ, config->vrid, 0, NO);
	if (config->only_peers) {
		load(&filter, BPF_LD | BPF_W | BPF_ABS, 12);
		for (guint i = 0; i < n_peers; i++)
			test(&filter, BPF_JEQ, word_of(config->peers[i].bytes), (guint8)(n_peers - i), 0);
		load(&filter, BPF_RET | BPF_K, ~yes_of(kind));
	}
	test_usual(&filter, usual, VRRP_IP_HEADER);
	return attach(fd, &filter, kind);
}

/* The same for IPv6: the kernel hands the message over, but the header before it can still be looked at. */
static bool attach_filter6(int fd, const VrrpSocketConfig *config, Kind kind, const VrrpSocket *usual)
{
	guint n_peers = (guint)MIN(config->n_peers, MAX_PEERS);
	Filter filter = { 0 };

	load(&filter, BPF_LD | BPF_W | BPF_LEN, 0);
	test(&filter, BPF_JGE, 3, 0, NO);
	load(&filter, BPF_LD | BPF_B | BPF_ABS, (guint32)SKF_NET_OFF + 7);
	test(&filter, BPF_JEQ, VRRP_TTL, 0, NO);
	load(&filter, BPF_LD | BPF_B | BPF_ABS, 1);
	test(&filter, BPF_JEQ, config->vrid, 0, NO);
	for (guint i = 0; config->only_peers && i < n_peers; i++) {
		for (guint word = 0; word < 4; word++) {
			load(&filter, BPF_LD | BPF_W | BPF_ABS, (guint32)SKF_NET_OFF + 8 + 4 * word);
			if (word < 3) /* else on to the next peer */
				test(&filter, BPF_JEQ, word_of(config->peers[i].bytes + 4 * word), 0, (guint8)(2 * (3 - word)));
			else
				test(&filter, BPF_JEQ, word_of(config->peers[i].bytes + 12), (guint8)(8 * (n_peers - 1 - i) + 1), 0);
		}
	}
	if (config->only_peers)
		load(&filter, BPF_RET | BPF_K, ~yes_of(kind));
	test_usual(&filter, usual, 0);
	return attach(fd, &filter, kind);
}

static void discard_queue(int fd)
{
	guint8 byte;

	for (guint i = 0; i < DRAIN_MAX && recv(fd, &byte, 1, MSG_DONTWAIT) >= 0; i++)
		;
}

static bool set_ipv4(int fd)
{
	int on = 1, off = 0;

	if (setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof on) < 0)
		return false;
	(void)setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off);
	return true;
}

/* Not IPV6_HDRINCL: with it the kernel would drop wrong checksums itself, uncounted. */
static bool set_ipv6(int fd)
{
	int on = 1, off = 0, hops = VRRP_TTL, class = 0xc0;

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops) < 0)
		return false;
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof off);
	return true;
}

/* ---- In the thread ---- */

static int join(int fd, const Group *group)
{
	struct ip_mreqn ipv4 = { .imr_multiaddr.s_addr = g_htonl(VRRP_GROUP_IPV4), .imr_ifindex = group->index };
	struct ipv6_mreq ipv6 = { .ipv6mr_multiaddr = { .s6_addr = VRRP_GROUP_IPV6 }, .ipv6mr_interface = (guint)group->index };

	return group->ipv6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &ipv6, sizeof ipv6) :
			     setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &ipv4, sizeof ipv4);
}

static bool join_job(gpointer data, gpointer more)
{
	Group *group = data;
	Joined joined = JOINED;

	for (gsize i = 0; i < G_N_ELEMENTS(group->fds) && joined == JOINED; i++) {
		if (join(group->fds[i], group) == 0)
			continue;
		group->reason = errno;
		joined = REFUSED;
	}
	g_atomic_int_set(&group->joined, (gint)joined);
	return true;
}

/* Where it has joined, that waits for the lock too. */
static bool close_job(gpointer data, gpointer more)
{
	Group *group = data;

	for (gsize i = 0; i < G_N_ELEMENTS(group->fds); i++)
		if (group->fds[i] >= 0)
			close(group->fds[i]);
	g_free(group);
	return false;
}

/* ---- Opening ---- */

static int open_one(const VrrpSocketConfig *config, Kind kind)
{
	bool ipv6 = config->address.family == AF_INET6;
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, VRRP_IP_PROTOCOL);
	static const int sizes[] = { [KIND_COUNTING] = 512 * 1024, [KIND_BELL] = 4 * 1024, [KIND_REST] = 64 * 1024 };
	int on = 1, size = sizes[kind];

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->device, (socklen_t)strlen(config->device) + 1) < 0 ||
	    !(ipv6 ? attach_filter6(fd, config, kind, NULL) : attach_filter(fd, config, kind, NULL)))
		goto fail;
	/* What came between socket() and here was neither filtered nor from this device alone. */
	discard_queue(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
		goto fail;
	if (kind == KIND_COUNTING)
		(void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	if (!(ipv6 ? set_ipv6(fd) : set_ipv4(fd)))
		goto fail;
	return fd;
fail:
	size = errno;
	close(fd);
	errno = size;
	return -1;
}

static gint64 us_of(const struct timespec *time)
{
	return (gint64)time->tv_sec * G_USEC_PER_SEC + time->tv_nsec / 1000;
}

/* What the kernel says beside a packet: nothing before it has dropped some. */
static guint32 dropped_before(struct msghdr *message)
{
	guint32 dropped = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
			memcpy(&dropped, CMSG_DATA(c), sizeof dropped);
	return dropped;
}

static guint32 dropped_by(int fd)
{
	guint32 memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof memory;

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0 ? 0 : memory[SK_MEMINFO_DROPS];
}

static gint64 wall_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return us_of(&now);
}

static gint64 received_us(VrrpSocket *self, struct msghdr *message, gint64 now_us)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec stamp;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
		if (!self->wall_asked)
			self->wall_sets = vrrp_wall_sets();
		self->wall_asked = true;
		return vrrp_stamp_received(&self->stamp, us_of(&stamp), self->wall_sets, wall_now_us(), now_us);
	}
	return now_us;
}

/* The IPv6 header as it was, as far as a receive check looks at it. */
static void put_header(struct msghdr *message, const struct sockaddr_in6 *from, gsize length, guint8 *ret_header)
{
	IpAddress source = ip_v6(from->sin6_addr.s6_addr), destination = { .family = AF_INET6 };
	int hop_limit = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct in6_pktinfo info;

		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type == IPV6_HOPLIMIT) {
			memcpy(&hop_limit, CMSG_DATA(c), sizeof hop_limit);
		} else if (c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof info);
			destination = ip_v6(info.ipi6_addr.s6_addr);
		}
	}
	vrrp_packet_put_ipv6_header(ret_header, &source, &destination, (guint)hop_limit, length);
}

static bool read_one(VrrpSocket *self, int fd, bool counts)
{
	gsize header = self->index ? VRRP_IPV6_HEADER : 0;
	guint8 packet[2048];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct timespec)) + 2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct sockaddr_in6 from = { 0 };
	struct iovec iov = { .iov_base = packet + header, .iov_len = sizeof packet - header };
	struct msghdr message = {
		.msg_name = header ? &from : NULL, .msg_namelen = header ? sizeof from : 0,
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	gssize n = recvmsg(fd, &message, MSG_DONTWAIT);
	gint64 now_us, at_us;

	if (n < 0)
		return errno == EINTR || errno == ENETDOWN; /* a pending error is taken by reading it */
	if (header)
		put_header(&message, &from, (gsize)n, packet);
	now_us = vrrp_now_us();
	at_us = received_us(self, &message, now_us);
	if (counts && vrrp_room_read(&self->room, dropped_before(&message), at_us, now_us))
		vrrp_room_count(&self->room, dropped_by(fd), now_us);
	self->received(packet, header + (gsize)n, at_us, counts, self->user_data);
	return true;
}

guint vrrp_socket_drain(VrrpSocket *self)
{
	guint n = 0;

	self->wall_asked = false;
	while (n < DRAIN_MAX && read_one(self, self->counting_fd, true))
		n++;
	return n;
}

void vrrp_socket_usual(VrrpSocket *self, const guint8 *message, gsize length)
{
	gsize kept = MIN(length, USUAL_MAX);

	if (length == self->usual_length && memcmp(message, self->usual, kept) == 0)
		return;
	memcpy(self->usual, message, kept);
	self->usual_length = length;
	self->usual_changed = true;
}

static bool attach_kind(VrrpSocket *self, int fd, Kind kind)
{
	const VrrpSocket *usual = kind == KIND_BELL ? self : NULL;

	return self->index ? attach_filter6(fd, &self->config, kind, usual) : attach_filter(fd, &self->config, kind, usual);
}

/* Only here: who is awake need not tell the bell, however often what is said changes. */
static void teach_bell(VrrpSocket *self)
{
	if (!self->usual_changed)
		return;
	self->usual_changed = false;
	/* Should the kernel not take it, the bell rings for more than it need. */
	(void)attach_kind(self, self->bell_fd, KIND_BELL);
}

void vrrp_socket_quiet(VrrpSocket *self, bool quiet)
{
	if (self->quiet == quiet)
		return;
	self->quiet = quiet;
	if (quiet)
		teach_bell(self);
	vrrp_hot_quiet(self->counting_fd, quiet);
}

/* One a turn: what else is there is told at once, and to look for it would cost a call an advert. Not so when it was quiet. */
static gboolean counting_ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpSocket *self = user_data;

	self->wall_asked = false;
	if (self->quiet)
		(void)vrrp_socket_drain(self);
	else
		(void)read_one(self, fd, true);
	return G_SOURCE_CONTINUE;
}

/* The kernel may still be about to put it into the other queue: there it wakes us from now on, whatever was planned when we read what came before. */
static gboolean bell_ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpSocket *self = user_data;

	discard_queue(fd);
	if (self->quiet)
		(void)vrrp_socket_drain(self);
	vrrp_socket_quiet(self, false);
	return G_SOURCE_CONTINUE;
}

static gboolean rest_ready_cb(gint fd, GIOCondition condition, gpointer user_data);

static guint watch(int fd, int priority, GUnixFDSourceFunc callback, VrrpSocket *self)
{
	GSource *source = g_unix_fd_source_new(fd, G_IO_IN);
	guint id;

	g_source_set_priority(source, priority);
	g_source_set_callback(source, G_SOURCE_FUNC(callback), self, NULL);
	g_source_set_can_recurse(source, TRUE); /* as in timer.c */
	id = g_source_attach(source, NULL);
	g_source_unref(source);
	return id;
}

static gboolean rest_again_cb(gpointer user_data)
{
	VrrpSocket *self = user_data;

	self->rest_source = watch(self->rest_fd, G_PRIORITY_LOW, rest_ready_cb, self);
	return G_SOURCE_REMOVE;
}

static gboolean rest_ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpSocket *self = user_data;

	for (guint i = 0; i < REST_MAX && read_one(self, fd, false); i++)
		;
	self->rest_source = g_timeout_add_full(G_PRIORITY_LOW, REST_PAUSE_MS, rest_again_cb, self, NULL);
	return G_SOURCE_REMOVE;
}

guint64 vrrp_socket_unread(const VrrpSocket *self)
{
	return dropped_by(self->rest_fd);
}

bool vrrp_socket_dates(const VrrpSocket *self)
{
	return self->stamp.dated;
}

bool vrrp_socket_ran_over(VrrpSocket *self, gint64 since_us)
{
	if (vrrp_room_is_crowded(&self->room, since_us))
		vrrp_room_count(&self->room, dropped_by(self->counting_fd), vrrp_now_us());
	return vrrp_room_ran_over(&self->room, since_us);
}

VrrpSocket *vrrp_socket_new(const VrrpSocketConfig *config, VrrpPacketCb received, gpointer user_data, GError **error)
{
	g_autoptr(VrrpSocket) self = g_new0(VrrpSocket, 1);

	self->index = config->address.family == AF_INET6 ? config->index : 0;
	self->received = received;
	self->user_data = user_data;
	self->config = *config;
	self->config.device = NULL;
	self->config.n_peers = MIN(config->n_peers, MAX_PEERS);
	self->config.peers = self->peers;
	if (self->config.n_peers > 0)
		memcpy(self->peers, config->peers, self->config.n_peers * sizeof *self->peers);
	self->worker = config->worker;
	self->group = g_new0(Group, 1);
	vrrp_stamp_begin(&self->stamp, vrrp_wall_sets(), wall_now_us(), vrrp_now_us());
	self->bell_fd = self->rest_fd = -1;
	self->counting_fd = open_one(config, KIND_COUNTING);
	if (self->counting_fd >= 0)
		self->bell_fd = open_one(config, KIND_BELL);
	if (self->bell_fd >= 0)
		self->rest_fd = open_one(config, KIND_REST);
	*self->group = (Group){ .fds = { self->counting_fd, self->bell_fd, self->rest_fd }, .index = config->index,
				.ipv6 = config->address.family == AF_INET6, .joined = config->multicast ? JOINING : JOINED };
	if (self->rest_fd < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "socket on %s: %s", config->device,
			    g_strerror(errno));
		return NULL;
	}
	self->counting_source = watch(self->counting_fd, G_PRIORITY_HIGH, counting_ready_cb, self);
	vrrp_hot_add(self->counting_fd, counting_ready_cb, self);
	self->bell_source = watch(self->bell_fd, G_PRIORITY_HIGH, bell_ready_cb, self);
	vrrp_hot_add(self->bell_fd, bell_ready_cb, self);
	self->rest_source = watch(self->rest_fd, G_PRIORITY_LOW, rest_ready_cb, self);
	if (config->multicast)
		(void)vrrp_worker_ask(self->worker, join_job, self->group, NULL);
	return g_steal_pointer(&self);
}

bool vrrp_socket_hears(VrrpSocket *self, GError **error)
{
	switch ((Joined)g_atomic_int_get(&self->group->joined)) {
	case JOINING:
		return false;
	case JOINED:
		return true;
	case REFUSED:
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(self->group->reason), "multicast group: %s", g_strerror(self->group->reason));
		return false;
	}
	g_return_val_if_reached(false);
}

bool vrrp_socket_believe(VrrpSocket *self, bool only_peers, const IpAddress *peers, gsize n_peers, gpointer user_data)
{
	self->user_data = user_data;
	self->config.only_peers = only_peers;
	self->config.n_peers = MIN(n_peers, MAX_PEERS);
	if (self->config.n_peers > 0)
		memcpy(self->peers, peers, self->config.n_peers * sizeof *self->peers);
	self->usual_changed = false;
	/* Both have it for a moment: what the last has as well is only counted once more. */
	return attach_kind(self, self->counting_fd, KIND_COUNTING) && attach_kind(self, self->bell_fd, KIND_BELL) &&
	       attach_kind(self, self->rest_fd, KIND_REST);
}

void vrrp_socket_free(VrrpSocket *self)
{
	if (!self)
		return;
	if (self->counting_source)
		g_source_remove(self->counting_source);
	if (self->bell_source)
		g_source_remove(self->bell_source);
	if (self->rest_source)
		g_source_remove(self->rest_source);
	if (self->counting_fd >= 0)
		vrrp_hot_remove(self->counting_fd);
	if (self->bell_fd >= 0)
		vrrp_hot_remove(self->bell_fd);
	(void)vrrp_worker_ask(self->worker, close_job, self->group, NULL);
	g_free(self);
}

static bool send_ipv6(VrrpSocket *self, const guint8 *packet, gsize length, const IpAddress *destination)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_scope_id = (guint32)self->index };
	struct in6_pktinfo info = { .ipi6_ifindex = (guint)self->index };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof info)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(packet + VRRP_IPV6_HEADER), .iov_len = length - VRRP_IPV6_HEADER };
	struct msghdr message = {
		.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	memcpy(&to.sin6_addr, destination->bytes, sizeof to.sin6_addr);
	memcpy(&info.ipi6_addr, packet + 8, sizeof info.ipi6_addr);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof info);
	memcpy(CMSG_DATA(c), &info, sizeof info);
	return sendmsg(self->counting_fd, &message, MSG_DONTWAIT) == (gssize)iov.iov_len;
}

bool vrrp_socket_send(VrrpSocket *self, const guint8 *packet, gsize length, const IpAddress *destination)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	if (self->index)
		return length > VRRP_IPV6_HEADER && send_ipv6(self, packet, length, destination);
	memcpy(&to.sin_addr, destination->bytes, sizeof to.sin_addr);
	return sendto(self->counting_fd, packet, length, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to) == (gssize)length;
}
