/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/drop-orders.c - nfnetlink, written by hand. */
#include "supervisor/drop-orders.h"

#include <errno.h>
#include <netinet/in.h> /* before those of linux/ */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MOST_SETS 4

int drop_orders_open(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
}

typedef struct {
	struct nlmsghdr header;
	struct nfgenmsg family;
	struct nlattr table;
	char table_name[NLA_ALIGN(sizeof DROP_TABLE)];
} TableOrder;

typedef struct {
	TableOrder order;
	struct nlattr set;
	char set_name[DROP_SET_MOST + 1];
} SetOrder;

static void fill_order(TableOrder *order, guint16 type, gsize size, guint seq)
{
	order->header = (struct nlmsghdr){ .nlmsg_len = size, .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
					   .nlmsg_seq = seq };
	order->family = (struct nfgenmsg){ .nfgen_family = NFPROTO_INET };
	/* Table is the first attribute of each of these orders. */
	order->table = (struct nlattr){ .nla_len = NLA_HDRLEN + sizeof DROP_TABLE, .nla_type = NFTA_TABLE_NAME };
	memcpy(order->table_name, DROP_TABLE, sizeof DROP_TABLE);
}

static bool order(int fd, void *orders, gsize size, guint n)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
	} begin = { { .nlmsg_len = sizeof begin, .nlmsg_type = NFNL_MSG_BATCH_BEGIN, .nlmsg_flags = NLM_F_REQUEST }, { .res_id = htons(NFNL_SUBSYS_NFTABLES) } },
	  end = begin;
	struct iovec parts[] = { { &begin, sizeof begin }, { orders, size }, { &end, sizeof end } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts) };
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[1024];
	} answer;

	end.header.nlmsg_type = NFNL_MSG_BATCH_END;
	if (fd < 0 || sendmsg(fd, &message, 0) != (ssize_t)(2 * sizeof begin + size))
		return false;
	/* The kernel has done it by now and has answered. */
	guint n_done = 0;
	while (recv(fd, &answer, sizeof answer, 0) >= (ssize_t)(sizeof answer.header + sizeof answer.error))
		n_done += answer.header.nlmsg_type == NLMSG_ERROR && answer.header.nlmsg_seq != 0 &&
			  (answer.error.error == 0 || answer.error.error == -ENOENT);
	return n_done == n;
}

static void fill_set_order(SetOrder *order, guint16 type, const char *set, gsize size, guint seq)
{
	fill_order(&order->order, type, size, seq);
	order->set = (struct nlattr){ .nla_len = NLA_HDRLEN + strlen(set) + 1, .nla_type = NFTA_SET_ELEM_LIST_SET };
	g_strlcpy(order->set_name, set, sizeof order->set_name);
}

bool drop_order_delete_table(int fd)
{
	TableOrder delete = { 0 };

	fill_order(&delete, NFT_MSG_DELTABLE, sizeof delete, 1);
	return order(fd, &delete, sizeof delete, 1);
}

/* Of a set of which no element is named the kernel takes all. */
bool drop_order_empty_sets(int fd, const char *const *sets, guint n_sets)
{
	SetOrder empty[MOST_SETS] = { 0 };

	g_assert(n_sets <= MOST_SETS);
	for (guint i = 0; i < n_sets; i++)
		fill_set_order(&empty[i], NFT_MSG_DELSETELEM, sets[i], sizeof empty[i], i + 1);
	return order(fd, empty, n_sets * sizeof empty[0], n_sets);
}

typedef struct {
	SetOrder order;
	struct nlattr elements, element, key, value;
	guint16 port;
	guint16 padding;
} PortOrder;

#define NESTED(from, order) ((struct nlattr){ .nla_len = sizeof(PortOrder) - G_STRUCT_OFFSET(PortOrder, from), .nla_type = NLA_F_NESTED | (order) })

bool drop_order_add_port(int fd, const char *set, guint16 port)
{
	PortOrder add = { 0 };

	fill_set_order(&add.order, NFT_MSG_NEWSETELEM, set, sizeof add, 1);
	add.order.order.header.nlmsg_flags |= NLM_F_CREATE;
	add.elements = NESTED(elements, NFTA_SET_ELEM_LIST_ELEMENTS);
	add.element = NESTED(element, NFTA_LIST_ELEM);
	add.key = NESTED(key, NFTA_SET_ELEM_KEY);
	add.value = (struct nlattr){ .nla_len = NLA_HDRLEN + sizeof add.port, .nla_type = NFTA_DATA_VALUE };
	add.port = htons(port);
	return order(fd, &add, sizeof add, 1);
}
