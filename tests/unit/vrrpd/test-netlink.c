/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-netlink.c - lists that change while the kernel reads them out. The linker puts our function before libnl's. */
#include <netlink/errno.h>
#include <netlink/netlink.h>

#include "vrrpd/kernel/rtnl.h"

static guint n_interrupted, n_calls;

int __real_nl_recvmsgs_default(struct nl_sock *sock);
int __wrap_nl_recvmsgs_default(struct nl_sock *sock);

int __wrap_nl_recvmsgs_default(struct nl_sock *sock)
{
	int result = __real_nl_recvmsgs_default(sock);

	n_calls++;
	if (n_interrupted == 0)
		return result;
	n_interrupted--;
	return -NLE_DUMP_INTR;
}

static VrrpRtnl *rtnl_new(void)
{
	g_autoptr(GError) error = NULL;
	VrrpRtnl *rtnl = vrrp_rtnl_new(&error);

	g_assert_no_error(error);
	return rtnl;
}

static void assert_same(const GArray *a, const GArray *b)
{
	g_assert_cmpuint(a->len, ==, b->len);
	for (guint i = 0; i < a->len; i++) {
		const VrrpPresent *x = &g_array_index(a, VrrpPresent, i), *y = &g_array_index(b, VrrpPresent, i);

		g_assert_true(x->index == y->index && ip_equal(&x->ip, &y->ip));
	}
}

/* What was read before the interruption counts no more: an address that is taken for missing is put up again and announced. */
static void test_asked_again(void)
{
	g_autoptr(VrrpRtnl) rtnl = rtnl_new();
	g_autoptr(GArray) whole = NULL, again = NULL, links = NULL, links_again = NULL;
	IpAddress address = ip_v4(0x7f000001), found[4];
	gsize n;

	n_interrupted = n_calls = 0;
	whole = vrrp_rtnl_addresses(rtnl);
	g_assert_cmpuint(n_calls, ==, 1);
	n_interrupted = 3;
	again = vrrp_rtnl_addresses(rtnl);
	g_assert_cmpuint(n_calls, ==, 5);
	assert_same(whole, again);

	n_calls = 0;
	n_interrupted = 1;
	(void)vrrp_rtnl_subnet_present(rtnl, 0, &address, 8);
	g_assert_cmpuint(n_calls, ==, 2);
	links = vrrp_rtnl_links(rtnl);
	n_interrupted = 1;
	links_again = vrrp_rtnl_links(rtnl);
	g_assert_cmpuint(links_again->len, ==, links->len);
	n = vrrp_rtnl_neighbours(rtnl, 1, AF_INET, found, G_N_ELEMENTS(found));
	n_interrupted = 2;
	g_assert_cmpuint(vrrp_rtnl_neighbours(rtnl, 1, AF_INET, found, G_N_ELEMENTS(found)), ==, n);
	g_assert_cmpuint(n_interrupted, ==, 0);
}

/* On a machine where addresses come and go without end it is not asked for ever: adverts wait. */
static void test_not_for_ever(void)
{
	g_autoptr(VrrpRtnl) rtnl = rtnl_new();
	g_autoptr(GArray) list = NULL;

	n_interrupted = G_MAXUINT;
	n_calls = 0;
	list = vrrp_rtnl_addresses(rtnl);
	g_assert_cmpuint(n_calls, >, 3);
	g_assert_cmpuint(n_calls, <, 20);
	n_interrupted = 0;
}

/* Whether it goes well hangs on our rights; that it is the same once more does not. */
static void test_batch_again(void)
{
	g_autoptr(VrrpRtnl) rtnl = rtnl_new();
	int whose = 0, other = 0;
	VrrpLink link;
	bool well;

	g_assert_false(vrrp_rtnl_batch_again(rtnl, &whose));
	vrrp_rtnl_batch_begin(rtnl);
	g_assert_true(vrrp_rtnl_link_delete(rtnl, G_MAXINT, NULL)); /* that there is none is as good */
	well = vrrp_rtnl_batch_end(rtnl, true, &whose);
	g_assert_false(vrrp_rtnl_batch_again(rtnl, &other));
	g_assert_true(vrrp_rtnl_batch_again(rtnl, &whose) == well);
	g_assert_true(vrrp_rtnl_batch_again(rtnl, &whose) == well);

	/* Whatever was asked between may have changed what it was made of. */
	(void)vrrp_rtnl_link(rtnl, "lo", &link);
	g_assert_false(vrrp_rtnl_batch_again(rtnl, &whose));
	vrrp_rtnl_batch_begin(rtnl);
	g_assert_true(vrrp_rtnl_link_up(rtnl, G_MAXINT, true, NULL));
	g_assert_false(vrrp_rtnl_batch_end(rtnl, true, &whose)); /* refused */
	g_assert_false(vrrp_rtnl_batch_again(rtnl, &whose));
	vrrp_rtnl_batch_begin(rtnl);
	g_assert_true(vrrp_rtnl_link_delete(rtnl, G_MAXINT, NULL));
	g_assert_true(vrrp_rtnl_batch_end(rtnl, false, &whose));
	g_assert_false(vrrp_rtnl_batch_again(rtnl, &whose)); /* it was not sent */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/netlink/interrupted/asked-again", test_asked_again);
	g_test_add_func("/vrrp/netlink/interrupted/not-for-ever", test_not_for_ever);
	g_test_add_func("/vrrp/netlink/batch-again", test_batch_again);
	return g_test_run();
}
