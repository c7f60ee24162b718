/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/rtnl.c - rtnetlink requests built with libnl. */
#include "vrrpd/kernel/rtnl.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP (1 << 16)
#endif

struct VrrpRtnl {
	struct nl_sock *sock;
	bool batch;
	gconstpointer again;  /* whose batch was the last that was asked, and went well; NULL: nobody's */
	GByteArray *messages; /* of the batch */
	GArray *tolerated;    /* of int, a libnl error: a message's number in the sequence is its place here and one */
};

VrrpRtnl *vrrp_rtnl_new(GError **error)
{
	struct nl_sock *sock = nl_socket_alloc();
	int result = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;
	int on = 1;
	VrrpRtnl *self;

	if (result != 0) {
		nl_socket_free(sock);
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "netlink: %s", nl_geterror(result));
		return NULL;
	}
	nl_socket_set_buffer_size(sock, 256 * 1024, 0);
	self = g_new0(VrrpRtnl, 1);
	self->sock = sock;
	self->messages = g_byte_array_new();
	self->tolerated = g_array_new(FALSE, FALSE, sizeof(int));
	/* Answers without the question. */
	(void)setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	return self;
}

void vrrp_rtnl_free(VrrpRtnl *self)
{
	if (!self)
		return;
	nl_socket_free(self->sock);
	g_byte_array_unref(self->messages);
	g_array_unref(self->tolerated);
	g_free(self);
}

guint32 vrrp_rtnl_port(const VrrpRtnl *self)
{
	return nl_socket_get_local_port(self->sock);
}

/* ---- Many as one ---- */

void vrrp_rtnl_batch_begin(VrrpRtnl *self)
{
	self->batch = true;
	self->again = NULL;
	g_byte_array_set_size(self->messages, 0);
	g_array_set_size(self->tolerated, 0);
}

static void batch_add(VrrpRtnl *self, struct nl_msg *message, int tolerated)
{
	static const guint8 padding[NLMSG_ALIGNTO];
	struct nlmsghdr *header = nlmsg_hdr(message);

	g_array_append_val(self->tolerated, tolerated);
	header->nlmsg_flags |= NLM_F_REQUEST; /* only what is refused is answered */
	header->nlmsg_seq = self->tolerated->len;
	header->nlmsg_pid = vrrp_rtnl_port(self);
	g_byte_array_append(self->messages, (const guint8 *)header, header->nlmsg_len);
	g_byte_array_append(self->messages, padding, NLMSG_ALIGN(header->nlmsg_len) - header->nlmsg_len);
	nlmsg_free(message);
}

/* The kernel has answered when what was asked is sent. */
static bool is_refused(VrrpRtnl *self)
{
	guint8 answer[1024] __attribute__((aligned(8)));
	bool refused = false;
	gssize n;

	while ((n = recv(nl_socket_get_fd(self->sock), answer, sizeof answer, MSG_DONTWAIT)) > 0) {
		int left = (int)n;

		for (struct nlmsghdr *header = (struct nlmsghdr *)answer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			const struct nlmsgerr *error = NLMSG_DATA(header);

			if (header->nlmsg_type == NLMSG_ERROR && error->error != 0)
				refused |= header->nlmsg_seq == 0 || header->nlmsg_seq > self->tolerated->len ||
					   nl_syserr2nlerr(-error->error) != -g_array_index(self->tolerated, int, header->nlmsg_seq - 1);
		}
	}
	return refused;
}

static bool send_batch(VrrpRtnl *self)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(nl_socket_get_fd(self->sock), self->messages->data, self->messages->len, 0, (struct sockaddr *)&kernel, sizeof kernel) ==
		       (gssize)self->messages->len &&
	       !is_refused(self);
}

bool vrrp_rtnl_batch_end(VrrpRtnl *self, bool send, gconstpointer whose)
{
	self->batch = false;
	if (!send || self->messages->len == 0)
		return true;
	if (!send_batch(self))
		return false;
	self->again = whose;
	return true;
}

bool vrrp_rtnl_batch_again(VrrpRtnl *self, gconstpointer whose)
{
	if (self->again != whose)
		return false;
	if (!send_batch(self))
		self->again = NULL;
	return self->again != NULL;
}

/* Sends @message (consumed) and takes the kernel's answer, which is there when the send returns. */
static bool request(VrrpRtnl *rtnl, struct nl_msg *message, int tolerated, const char *what, GError **error)
{
	int result;

	if (rtnl->batch) {
		batch_add(rtnl, message, tolerated);
		return true;
	}
	rtnl->again = NULL;
	result = nl_send_sync(rtnl->sock, message);
	if (result >= 0 || result == tolerated)
		return true;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s", what, nl_geterror(result));
	return false;
}

static struct nl_msg *message_new(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	g_assert(message);
	g_assert(nlmsg_append(message, (void *)header, size, NLMSG_ALIGNTO) == 0);
	return message;
}

static void put(struct nl_msg *message, int type, const void *data, int size)
{
	g_assert(nla_put(message, type, size, data) == 0);
}

static void put_ip(struct nl_msg *message, int type, const IpAddress *address)
{
	put(message, type, address->bytes, (int)ip_length(address));
}

/* False when @attribute is missing or no address of @family. */
static bool get_ip(struct nlattr *attribute, sa_family_t family, IpAddress *ret_address)
{
	IpAddress address = { .family = family };

	if (!attribute || (guint)nla_len(attribute) != ip_length(&address))
		return false;
	memcpy(address.bytes, nla_data(attribute), ip_length(&address));
	*ret_address = address;
	return true;
}

/* ---- Links ---- */

static int link_cb(struct nl_msg *message, void *data)
{
	VrrpLink *link = data;
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *attribute;

	if (header->nlmsg_type != RTM_NEWLINK)
		return NL_OK;
	link->index = info->ifi_index;
	link->up = info->ifi_flags & IFF_UP;
	link->carrier = link->up && (info->ifi_flags & IFF_LOWER_UP);
	attribute = nlmsg_find_attr(header, sizeof *info, IFLA_ADDRESS);
	if (attribute && nla_len(attribute) == 6)
		memcpy(link->mac, nla_data(attribute), 6);
	attribute = nlmsg_find_attr(header, sizeof *info, IFLA_LINK);
	if (attribute)
		link->parent = (int)nla_get_u32(attribute);
	attribute = nlmsg_find_attr(header, sizeof *info, IFLA_LINKINFO);
	if (attribute) {
		struct nlattr *kind = nla_find(nla_data(attribute), nla_len(attribute), IFLA_INFO_KIND);

		link->macvlan = kind && nla_strcmp(kind, "macvlan") == 0;
		if (kind && (link->macvlan || nla_strcmp(kind, "vlan") == 0 || nla_strcmp(kind, "ipvlan") == 0))
			link->lower = link->parent;
	}
	return NL_OK;
}

#define MOST_TRIES 8

/* Runs a request whose answer @callback reads. A list that changed while the kernel read it out may lack what has been there all the time: it is
 * asked for again, and what @callback has made of it is thrown away by @forget (NULL: does no harm). */
static int query(VrrpRtnl *rtnl, struct nl_msg *message, nl_recvmsg_msg_cb_t callback, void (*forget)(void *data), void *data)
{
	int result = -NLE_DUMP_INTR;

	rtnl->again = NULL;
	nl_socket_modify_cb(rtnl->sock, NL_CB_VALID, NL_CB_CUSTOM, callback, data);
	for (guint i = 0; i < MOST_TRIES && result == -NLE_DUMP_INTR; i++) {
		if (i > 0 && forget)
			forget(data);
		nlmsg_hdr(message)->nlmsg_seq = NL_AUTO_SEQ;
		result = nl_send_auto(rtnl->sock, message);
		if (result >= 0)
			result = nl_recvmsgs_default(rtnl->sock);
	}
	nl_socket_modify_cb(rtnl->sock, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
	nlmsg_free(message);
	return result;
}

bool vrrp_rtnl_link(VrrpRtnl *rtnl, const char *name, VrrpLink *ret_link)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nl_msg *message = message_new(RTM_GETLINK, 0, &info, sizeof info);
	int result;

	memset(ret_link, 0, sizeof *ret_link);
	put(message, IFLA_IFNAME, name, (int)strlen(name) + 1);
	result = query(rtnl, message, link_cb, NULL, ret_link);
	if (result >= 0) /* the acknowledgement libnl asks for */
		(void)nl_wait_for_ack(rtnl->sock);
	return result >= 0 && ret_link->index > 0;
}

static void named_link_clear(gpointer data)
{
	g_free(((VrrpNamedLink *)data)->name);
}

static void add_named(GArray *links, const VrrpLink *link, const struct nlattr *name)
{
	VrrpNamedLink named = { .name = g_strndup(nla_data(name), (gsize)nla_len(name)), .link = *link };

	g_array_append_val(links, named);
}

static int named_link_cb(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct nlattr *name = nlmsg_find_attr(header, sizeof(struct ifinfomsg), IFLA_IFNAME);
	struct nlattr *others = nlmsg_find_attr(header, sizeof(struct ifinfomsg), IFLA_PROP_LIST), *other;
	VrrpLink link = { 0 };
	int left;

	(void)link_cb(message, &link);
	if (name)
		add_named(data, &link, name);
	if (others)
		nla_for_each_nested(other, others, left)
			if (nla_type(other) == IFLA_ALT_IFNAME)
				add_named(data, &link, other);
	return NL_OK;
}

static void forget_list(void *data)
{
	g_array_set_size(data, 0);
}

GArray *vrrp_rtnl_links(VrrpRtnl *rtnl)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nl_msg *message = message_new(RTM_GETLINK, NLM_F_DUMP, &info, sizeof info);
	GArray *list = g_array_new(FALSE, FALSE, sizeof(VrrpNamedLink));
	guint32 less = RTEXT_FILTER_SKIP_STATS;

	g_array_set_clear_func(list, named_link_clear);
	put(message, IFLA_EXT_MASK, &less, sizeof less);
	(void)query(rtnl, message, named_link_cb, forget_list, list);
	return list;
}

bool vrrp_rtnl_macvlan_add(VrrpRtnl *rtnl, const char *name, int parent, const guint8 mac[static 6], GError **error)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nl_msg *message = message_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof info);
	guint32 index = (guint32)parent;
	/* Not private: there a frame that bears our virtual MAC as its source is taken for our own and kept from the parent, so that two
	 * Masters after a split would never hear each other. */
	guint32 mode = MACVLAN_MODE_BRIDGE;
	struct nlattr *linkinfo, *data;

	put(message, IFLA_IFNAME, name, (int)strlen(name) + 1);
	put(message, IFLA_LINK, &index, sizeof index);
	put(message, IFLA_ADDRESS, mac, 6);
	linkinfo = nla_nest_start(message, IFLA_LINKINFO);
	put(message, IFLA_INFO_KIND, "macvlan", sizeof "macvlan");
	data = nla_nest_start(message, IFLA_INFO_DATA);
	put(message, IFLA_MACVLAN_MODE, &mode, sizeof mode);
	nla_nest_end(message, data);
	nla_nest_end(message, linkinfo);
	return request(rtnl, message, 0, name, error);
}

bool vrrp_rtnl_link_delete(VrrpRtnl *rtnl, int index, GError **error)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };

	return request(rtnl, message_new(RTM_DELLINK, 0, &info, sizeof info), -NLE_NODEV, "deleting the virtual interface", error);
}

bool vrrp_rtnl_link_up(VrrpRtnl *rtnl, int index, bool up, GError **error)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = up ? IFF_UP : 0 };

	return request(rtnl, message_new(RTM_NEWLINK, 0, &info, sizeof info), 0, "virtual interface up or down", error);
}

bool vrrp_rtnl_link_no_own_address(VrrpRtnl *rtnl, int index, GError **error)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	struct nl_msg *message = message_new(RTM_NEWLINK, 0, &info, sizeof info);
	guint8 mode = IN6_ADDR_GEN_MODE_NONE;
	struct nlattr *families = nla_nest_start(message, IFLA_AF_SPEC), *ipv6 = nla_nest_start(message, AF_INET6);

	put(message, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
	nla_nest_end(message, ipv6);
	nla_nest_end(message, families);
	return request(rtnl, message, -NLE_AF_NOSUPPORT, "no IPv6 address of its own", error);
}

/* ---- Addresses ---- */

static struct nl_msg *address_message(int index, const IpAddress *address, guint prefix, guint lifetime_s, bool connected)
{
	struct ifaddrmsg info = { .ifa_family = (guint8)address->family, .ifa_prefixlen = (guint8)prefix, .ifa_index = (guint)index };
	struct nl_msg *message = message_new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof info);
	struct ifa_cacheinfo lifetime = { .ifa_valid = lifetime_s, .ifa_prefered = lifetime_s };
	/* Nobody is asked whether the address is free: whoever leads has it. */
	guint32 flags = (connected ? 0 : IFA_F_NOPREFIXROUTE) | (address->family == AF_INET6 ? IFA_F_NODAD : 0);

	put_ip(message, IFA_LOCAL, address);
	put_ip(message, IFA_ADDRESS, address);
	put(message, IFA_FLAGS, &flags, sizeof flags);
	put(message, IFA_CACHEINFO, &lifetime, sizeof lifetime);
	return message;
}

bool vrrp_rtnl_address_set(VrrpRtnl *rtnl, int index, const IpAddress *address, guint prefix, guint lifetime_s, bool connected,
			      GError **error)
{
	return request(rtnl, address_message(index, address, prefix, lifetime_s, connected), 0, "service address", error);
}

bool vrrp_rtnl_address_delete(VrrpRtnl *rtnl, int index, const IpAddress *address, guint prefix, GError **error)
{
	struct ifaddrmsg info = { .ifa_family = (guint8)address->family, .ifa_prefixlen = (guint8)prefix, .ifa_index = (guint)index };
	struct nl_msg *message = message_new(RTM_DELADDR, 0, &info, sizeof info);

	put_ip(message, IFA_LOCAL, address);
	return request(rtnl, message, -NLE_NOADDR, "service address", error);
}

/* IFA_LOCAL over IPv4, where IFA_ADDRESS may be the other end's; IFA_ADDRESS over IPv6. */
static bool get_local(struct nl_msg *message, IpAddress *ret_address)
{
	struct ifaddrmsg *info = nlmsg_data(nlmsg_hdr(message));
	int type = info->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS;

	return get_ip(nlmsg_find_attr(nlmsg_hdr(message), sizeof *info, type), (sa_family_t)info->ifa_family, ret_address);
}

static int present_cb(struct nl_msg *message, void *data)
{
	struct ifaddrmsg *info = nlmsg_data(nlmsg_hdr(message));
	struct nlattr *flags = nlmsg_find_attr(nlmsg_hdr(message), sizeof *info, IFA_FLAGS);
	VrrpPresent present = { .index = (int)info->ifa_index, .flags = flags ? nla_get_u32(flags) : info->ifa_flags };

	if (get_local(message, &present.ip))
		g_array_append_val((GArray *)data, present);
	return NL_OK;
}

GArray *vrrp_rtnl_addresses(VrrpRtnl *rtnl)
{
	struct ifaddrmsg info = { .ifa_family = AF_UNSPEC };
	GArray *list = g_array_new(FALSE, FALSE, sizeof(VrrpPresent));

	(void)query(rtnl, message_new(RTM_GETADDR, NLM_F_DUMP, &info, sizeof info), present_cb, forget_list, list);
	return list;
}

typedef struct {
	int except;
	const IpAddress *address;
	guint prefix;
	bool found;
} SubnetQuery;

static int subnet_cb(struct nl_msg *message, void *data)
{
	SubnetQuery *subnet = data;
	struct ifaddrmsg *info = nlmsg_data(nlmsg_hdr(message));
	struct nlattr *flags = nlmsg_find_attr(nlmsg_hdr(message), sizeof *info, IFA_FLAGS);
	IpAddress local;

	if (get_local(message, &local) &&
	    (int)info->ifa_index != subnet->except && ip_same_network(&local, subnet->address, subnet->prefix) &&
	    !(flags && (nla_get_u32(flags) & IFA_F_NOPREFIXROUTE)))
		subnet->found = true;
	return NL_OK;
}

bool vrrp_rtnl_subnet_present(VrrpRtnl *rtnl, int index, const IpAddress *address, guint prefix)
{
	struct ifaddrmsg info = { .ifa_family = (guint8)address->family };
	SubnetQuery subnet = { .except = index, .address = address, .prefix = prefix };

	(void)query(rtnl, message_new(RTM_GETADDR, NLM_F_DUMP, &info, sizeof info), subnet_cb, NULL, &subnet);
	return subnet.found;
}

/* ---- Routes ---- */

/* IPv6 makes one route of many ways from those with equal metric. A small one is before those of others, as IPv4's zero is. */
#define IPV6_METRIC 1

/* Who has put a route up: by this we find our own again. VRRP's own number, which rt_protos names for nobody else. */
#define ROUTE_PROTOCOL 112

static struct nl_msg *route_message(int type, int flags, const VrrpRoute *route)
{
	bool beyond = ip_is_set(&route->gateway);
	sa_family_t family = beyond ? route->gateway.family : route->destination.family;
	struct rtmsg info = {
		.rtm_family = (guint8)family,
		.rtm_dst_len = (guint8)route->prefix,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = ROUTE_PROTOCOL,
		.rtm_scope = beyond || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = beyond ? RTNH_F_ONLINK : 0, /* its subnet's route may be on the parent */
	};
	struct nl_msg *message = message_new(type, flags, &info, sizeof info);
	guint32 index = (guint32)route->index, metric = route->metric ? route->metric : IPV6_METRIC;

	if (family == AF_INET6)
		put(message, RTA_PRIORITY, &metric, sizeof metric);
	/* Adding it again renews it. */
	if (family == AF_INET6 && route->lifetime_s)
		put(message, RTA_EXPIRES, &route->lifetime_s, sizeof route->lifetime_s);
	if (route->prefix)
		put_ip(message, RTA_DST, &route->destination);
	if (beyond)
		put_ip(message, RTA_GATEWAY, &route->gateway);
	if (ip_is_set(&route->source))
		put_ip(message, RTA_PREFSRC, &route->source);
	put(message, RTA_OIF, &index, sizeof index);
	return message;
}

bool vrrp_rtnl_route_add(VrrpRtnl *rtnl, const VrrpRoute *route, GError **error)
{
	/* CREATE alone puts it in front: an administrator's own route stays, behind it, for the time as a Backup. */
	return request(rtnl, route_message(RTM_NEWROUTE, NLM_F_CREATE, route), -NLE_EXIST, "route", error);
}

bool vrrp_rtnl_route_delete(VrrpRtnl *rtnl, const VrrpRoute *route, GError **error)
{
	return request(rtnl, route_message(RTM_DELROUTE, 0, route), -NLE_OBJ_NOTFOUND, "route", error);
}

typedef struct {
	int index;
	GPtrArray *messages; /* of struct nl_msg*: the routes as they are to be deleted */
} OwnRoutes;

static int own_route_cb(struct nl_msg *message, void *data)
{
	OwnRoutes *own = data;
	struct nlmsghdr *header = nlmsg_hdr(message);
	const struct rtmsg *info = nlmsg_data(header);
	struct nlattr *oif = nlmsg_find_attr(header, sizeof *info, RTA_OIF);
	static const int kept[] = { RTA_DST, RTA_GATEWAY, RTA_PREFSRC, RTA_PRIORITY, RTA_OIF };
	struct nl_msg *delete;

	if (info->rtm_protocol != ROUTE_PROTOCOL || info->rtm_table != RT_TABLE_MAIN || !oif || (int)nla_get_u32(oif) != own->index)
		return NL_OK;
	delete = message_new(RTM_DELROUTE, 0, info, sizeof *info);
	for (guint i = 0; i < G_N_ELEMENTS(kept); i++) {
		struct nlattr *attribute = nlmsg_find_attr(header, sizeof *info, kept[i]);

		if (attribute)
			put(delete, kept[i], nla_data(attribute), nla_len(attribute));
	}
	g_ptr_array_add(own->messages, delete);
	return NL_OK;
}

void vrrp_rtnl_routes_clear(VrrpRtnl *rtnl, int index)
{
	g_autoptr(GPtrArray) messages = g_ptr_array_new();
	OwnRoutes own = { .index = index, .messages = messages };
	struct rtmsg info = { .rtm_family = AF_UNSPEC };

	if (index == 0)
		return;
	(void)query(rtnl, message_new(RTM_GETROUTE, NLM_F_DUMP, &info, sizeof info), own_route_cb, NULL, &own);
	for (guint i = 0; i < messages->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!request(rtnl, messages->pdata[i], -NLE_OBJ_NOTFOUND, "route of a former process", &error))
			g_debug("%s", error->message);
	}
}

/* ---- Neighbours ---- */

/* Addresses found by a query. */
typedef struct {
	int index;
	sa_family_t family;
	IpAddress *addresses;
	gsize n, size;
} Found;

static void found_add(Found *found, const IpAddress *address)
{
	for (gsize i = 0; i < found->n; i++)
		if (ip_equal(&found->addresses[i], address))
			return;
	if (found->n < found->size)
		found->addresses[found->n++] = *address;
}

static int gateway_cb(struct nl_msg *message, void *data)
{
	Found *found = data;
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct nlattr *gateway = nlmsg_find_attr(header, sizeof(struct rtmsg), RTA_GATEWAY);
	struct nlattr *oif = nlmsg_find_attr(header, sizeof(struct rtmsg), RTA_OIF);
	IpAddress address;

	if (get_ip(gateway, found->family, &address) && oif && (int)nla_get_u32(oif) == found->index)
		found_add(found, &address);
	return NL_OK;
}

static int neighbour_cb(struct nl_msg *message, void *data)
{
	Found *found = data;
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct ndmsg *info = nlmsg_data(header);
	IpAddress address;

	if (info->ndm_ifindex == found->index && !(info->ndm_state & NUD_NOARP) &&
	    get_ip(nlmsg_find_attr(header, sizeof *info, NDA_DST), found->family, &address))
		found_add(found, &address);
	return NL_OK;
}

gsize vrrp_rtnl_neighbours(VrrpRtnl *rtnl, int index, sa_family_t family, IpAddress *ret_addresses, gsize size)
{
	Found found = { .index = index, .family = family, .addresses = ret_addresses, .size = size };
	struct rtmsg route = { .rtm_family = (guint8)family };
	struct ndmsg neighbour = { .ndm_family = (guint8)family };

	(void)query(rtnl, message_new(RTM_GETROUTE, NLM_F_DUMP, &route, sizeof route), gateway_cb, NULL, &found);
	(void)query(rtnl, message_new(RTM_GETNEIGH, NLM_F_DUMP, &neighbour, sizeof neighbour), neighbour_cb, NULL, &found);
	return found.n;
}

typedef struct {
	int index;
	const IpAddress *address;
	guint8 *mac;
	bool found;
} MacQuery;

static int mac_cb(struct nl_msg *message, void *data)
{
	MacQuery *wanted = data;
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct ndmsg *info = nlmsg_data(header);
	struct nlattr *mac = nlmsg_find_attr(header, sizeof *info, NDA_LLADDR);
	IpAddress address;

	if (info->ndm_ifindex == wanted->index && mac && nla_len(mac) == 6 &&
	    get_ip(nlmsg_find_attr(header, sizeof *info, NDA_DST), wanted->address->family, &address) && ip_equal(&address, wanted->address)) {
		memcpy(wanted->mac, nla_data(mac), 6);
		wanted->found = true;
	}
	return NL_OK;
}

bool vrrp_rtnl_neighbour_mac(VrrpRtnl *rtnl, int index, const IpAddress *address, guint8 ret_mac[static 6])
{
	struct ndmsg neighbour = { .ndm_family = (guint8)address->family };
	MacQuery wanted = { .index = index, .address = address, .mac = ret_mac };

	(void)query(rtnl, message_new(RTM_GETNEIGH, NLM_F_DUMP, &neighbour, sizeof neighbour), mac_cb, NULL, &wanted);
	return wanted.found;
}
