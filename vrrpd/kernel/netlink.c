/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/netlink.c - the picture of links and addresses, and when to make a new one. */
#include "vrrpd/kernel/netlink.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#include "vrrpd/kernel/lock.h"

/* As the kernel had it at one moment. */
typedef struct {
	GArray *links;     /* of VrrpNamedLink */
	GArray *addresses; /* of VrrpPresent */
} Picture;

struct VrrpNetlink {
	struct nl_sock *events;
	VrrpRtnl *neighbours; /* the loop's own */
	VrrpRtnl *rtnl;       /* the thread's */
	VrrpWorker *worker;
	GHashTable *asked;    /* name -> index of the links somebody has asked about; 0: not there */
	guint source;
	VrrpNetlinkListener listener;
	gpointer user_data;

	GArray *taken;        /* of VrrpPresent */
	Picture picture;
	pthread_mutex_t lock;
	Picture newer;        /* under the lock; NULL: none */
};

typedef struct {
	VrrpNetlink *netlink;
	guint32 port; /* of our changes */
	bool any;
} Events;

/* Over IPv4 the kernel says whose request it was; over IPv6 what we put up is what comes without duplicate detection. */
static bool is_renewal(struct nlmsghdr *header, const Events *events)
{
	const struct ifaddrmsg *info = nlmsg_data(header);
	struct nlattr *flags = nlmsg_find_attr(header, sizeof *info, IFA_FLAGS);

	if (info->ifa_family == AF_INET)
		return header->nlmsg_pid == events->port;
	return header->nlmsg_type == RTM_NEWADDR && flags && (nla_get_u32(flags) & IFA_F_NODAD);
}

static bool is_asked(const VrrpNetlink *netlink, int index)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, netlink->asked);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (GPOINTER_TO_INT(value) == index)
			return true;
	return false;
}

/* To look at everything again is work, and containers come and go by the dozen. */
static bool concerns(const VrrpNetlink *netlink, struct nlmsghdr *header)
{
	if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) {
		const struct ifinfomsg *info = nlmsg_data(header);
		struct nlattr *name = nlmsg_find_attr(header, sizeof *info, IFLA_IFNAME);

		return !name || g_hash_table_contains(netlink->asked, nla_get_string(name)) || is_asked(netlink, info->ifi_index);
	}
	if (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR) {
		const struct ifaddrmsg *info = nlmsg_data(header);

		/* The device's own IPv4 address may be anywhere; IPv6 gives every new link one. */
		return info->ifa_family != AF_INET6 || is_asked(netlink, (int)info->ifa_index);
	}
	return true;
}

static void note_taken(VrrpNetlink *netlink, struct nlmsghdr *header)
{
	const struct ifaddrmsg *info = nlmsg_data(header);
	struct nlattr *local = nlmsg_find_attr(header, sizeof *info, IFA_LOCAL);
	VrrpPresent taken = { .index = (int)info->ifa_index, .ip = { .family = AF_INET } };

	/* 0: its life has ended */
	if (info->ifa_family != AF_INET || header->nlmsg_pid == 0 || !local || (guint)nla_len(local) != ip_length(&taken.ip))
		return;
	memcpy(taken.ip.bytes, nla_data(local), ip_length(&taken.ip));
	g_array_append_val(netlink->taken, taken);
}

static int event_cb(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	Events *events = data;
	bool of_address = header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR;

	/* Every renewal of a service address is told to us too. */
	if ((of_address && is_renewal(header, events)) || !concerns(events->netlink, header))
		return NL_OK;
	events->any = true;
	if (header->nlmsg_type == RTM_DELADDR)
		note_taken(events->netlink, header);
	return NL_OK;
}

/* Most renewals do not even wake us: those over IPv4, told by the port; here is_renewal() in the kernel's words. Numbers are the machine's own. */
static void leave_out_renewals(VrrpNetlink *netlink)
{
	guint32 port = vrrp_rtnl_port(netlink->rtnl);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, g_htons(RTM_NEWADDR), 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifaddrmsg, ifa_family)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, g_htonl(port), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, G_MAXUINT32),
	};
	struct sock_fprog program = { .len = G_N_ELEMENTS(code), .filter = code };

	(void)setsockopt(nl_socket_get_fd(netlink->events), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* ---- The picture ---- */

static void picture_clear(Picture *picture)
{
	g_clear_pointer(&picture->links, g_array_unref);
	g_clear_pointer(&picture->addresses, g_array_unref);
}

/* In the thread. */
static bool look_job(gpointer data, gpointer more)
{
	VrrpNetlink *netlink = data;
	Picture picture = { .links = vrrp_rtnl_links(netlink->rtnl), .addresses = vrrp_rtnl_addresses(netlink->rtnl) };

	pthread_mutex_lock(&netlink->lock);
	picture_clear(&netlink->newer);
	netlink->newer = picture;
	pthread_mutex_unlock(&netlink->lock);
	return true;
}

/* True when there is a newer one. */
static bool take_picture(VrrpNetlink *netlink)
{
	Picture newer;

	pthread_mutex_lock(&netlink->lock);
	newer = netlink->newer;
	netlink->newer = (Picture){ NULL, NULL };
	pthread_mutex_unlock(&netlink->lock);
	if (!newer.links)
		return false;
	picture_clear(&netlink->picture);
	netlink->picture = newer;
	return true;
}

static void done_cb(gpointer user_data)
{
	VrrpNetlink *netlink = user_data;
	bool newer = take_picture(netlink);

	netlink->listener.done(netlink->user_data);
	if (newer)
		netlink->listener.changed(netlink->user_data);
}

static gboolean events_ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpNetlink *netlink = user_data;
	Events events = { .netlink = netlink, .port = vrrp_rtnl_port(netlink->rtnl) };
	int result;

	nl_socket_modify_cb(netlink->events, NL_CB_VALID, NL_CB_CUSTOM, event_cb, &events);
	do
		result = nl_recvmsgs_default(netlink->events);
	while (result == 0);
	/* An overrun lost events: look again, as for any event. */
	if (events.any || result == -NLE_NOMEM)
		(void)vrrp_worker_ask(netlink->worker, look_job, netlink, NULL);
	return G_SOURCE_CONTINUE;
}

static bool open_events(VrrpNetlink *netlink, GError **error)
{
	GSource *source;
	int result;

	netlink->events = nl_socket_alloc();
	result = netlink->events ? nl_connect(netlink->events, NETLINK_ROUTE) : -NLE_NOMEM;
	if (result != 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "netlink: %s", nl_geterror(result));
		return false;
	}
	nl_socket_disable_seq_check(netlink->events);
	nl_socket_set_nonblocking(netlink->events);
	leave_out_renewals(netlink);
	nl_socket_add_memberships(netlink->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0);

	source = g_unix_fd_source_new(nl_socket_get_fd(netlink->events), G_IO_IN);
	g_source_set_priority(source, G_PRIORITY_HIGH);
	g_source_set_callback(source, G_SOURCE_FUNC(events_ready_cb), netlink, NULL);
	g_source_set_can_recurse(source, TRUE); /* as in timer.c */
	netlink->source = g_source_attach(source, NULL);
	g_source_unref(source);
	return true;
}

VrrpNetlink *vrrp_netlink_new(const VrrpNetlinkListener *listener, gpointer user_data, GError **error)
{
	g_autoptr(VrrpNetlink) netlink = g_new0(VrrpNetlink, 1);

	netlink->listener = *listener;
	netlink->user_data = user_data;
	netlink->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	netlink->taken = g_array_new(FALSE, FALSE, sizeof(VrrpPresent));
	vrrp_lock_init(&netlink->lock);
	netlink->neighbours = vrrp_rtnl_new(error);
	netlink->rtnl = netlink->neighbours ? vrrp_rtnl_new(error) : NULL;
	if (!netlink->rtnl || !open_events(netlink, error))
		return NULL;
	netlink->worker = vrrp_worker_new(done_cb, netlink, error);
	if (!netlink->worker)
		return NULL;
	(void)vrrp_worker_ask(netlink->worker, look_job, netlink, NULL);
	vrrp_worker_settle(netlink->worker);
	(void)take_picture(netlink);
	return g_steal_pointer(&netlink);
}

void vrrp_netlink_free(VrrpNetlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->source)
		g_source_remove(netlink->source);
	vrrp_worker_free(netlink->worker);
	nl_socket_free(netlink->events);
	vrrp_rtnl_free(netlink->rtnl);
	vrrp_rtnl_free(netlink->neighbours);
	picture_clear(&netlink->picture);
	picture_clear(&netlink->newer);
	g_array_unref(netlink->taken);
	pthread_mutex_destroy(&netlink->lock);
	g_hash_table_unref(netlink->asked);
	g_free(netlink);
}

VrrpWorker *vrrp_netlink_worker(VrrpNetlink *netlink)
{
	return netlink->worker;
}

VrrpRtnl *vrrp_netlink_rtnl(VrrpNetlink *netlink)
{
	return netlink->rtnl;
}

bool vrrp_netlink_link(VrrpNetlink *netlink, const char *name, VrrpLink *ret_link)
{
	const VrrpLink *found = NULL;

	for (guint i = 0; i < netlink->picture.links->len && !found; i++) {
		const VrrpNamedLink *named = &g_array_index(netlink->picture.links, VrrpNamedLink, i);

		if (strcmp(named->name, name) == 0)
			found = &named->link;
	}
	*ret_link = found ? *found : (VrrpLink){ 0 };
	if (!g_hash_table_contains(netlink->asked, name) || GPOINTER_TO_INT(g_hash_table_lookup(netlink->asked, name)) != ret_link->index)
		g_hash_table_insert(netlink->asked, g_strdup(name), GINT_TO_POINTER(ret_link->index));
	return found != NULL;
}

const GArray *vrrp_netlink_addresses(const VrrpNetlink *netlink)
{
	return netlink->picture.addresses;
}

GArray *vrrp_netlink_taken(VrrpNetlink *netlink)
{
	GArray *taken = netlink->taken;

	netlink->taken = g_array_new(FALSE, FALSE, sizeof(VrrpPresent));
	return taken;
}

gsize vrrp_netlink_link_locals(const VrrpNetlink *netlink, int index, IpAddress *ret_addresses, gsize size)
{
	gsize n = 0;

	for (guint i = 0; i < netlink->picture.addresses->len && n < size; i++) {
		const VrrpPresent *present = &g_array_index(netlink->picture.addresses, VrrpPresent, i);

		if (present->index == index && present->ip.family == AF_INET6 && ip_is_link_local(&present->ip) &&
		    !(present->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
			ret_addresses[n++] = present->ip;
	}
	return n;
}

gsize vrrp_netlink_neighbours(VrrpNetlink *netlink, int index, sa_family_t family, IpAddress *ret_addresses, gsize size)
{
	return vrrp_rtnl_neighbours(netlink->neighbours, index, family, ret_addresses, size);
}

bool vrrp_netlink_neighbour_mac(VrrpNetlink *netlink, int index, const IpAddress *address, guint8 ret_mac[static 6])
{
	return vrrp_rtnl_neighbour_mac(netlink->neighbours, index, address, ret_mac);
}
