/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-renewal.c - what is asked is sent, told only when it went otherwise, and not under way after settling. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "vrrpd/renewal.h"
#include "vrrpd/timer.h"

#define TOLD_US (5 * G_USEC_PER_SEC)

typedef struct {
	struct nlmsghdr header;
	struct ifinfomsg info;
} LinkMessage;

typedef struct {
	VrrpRenewal *renewal;
	guint told;
} Fixture;

static void differs_cb(gpointer user_data)
{
	((Fixture *)user_data)->told++;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	fixture->renewal = vrrp_renewal_new(differs_cb, fixture, &error);
	g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	vrrp_renewal_free(fixture->renewal);
}

/* A question anybody may ask: about the first interface, which there always is, or about one there never is. */
static LinkMessage question(bool works)
{
	return (LinkMessage){
		.header = { .nlmsg_len = sizeof(LinkMessage), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.info = { .ifi_index = works ? 1 : G_MAXINT32 },
	};
}

static void add(Fixture *fixture, bool works, int tolerated, VrrpRenewalExpect expect)
{
	LinkMessage message = question(works);

	vrrp_renewal_add(fixture->renewal, &message.header, tolerated, expect);
}

static void send_all(Fixture *fixture)
{
	gint64 begin_us = g_get_monotonic_time();

	vrrp_renewal_send(fixture->renewal, vrrp_now_us() + TOLD_US);
	while (!vrrp_renewal_begin(fixture->renewal)) {
		g_assert_cmpint(g_get_monotonic_time() - begin_us, <, TOLD_US);
		g_thread_yield();
	}
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void test_expected(Fixture *fixture, gconstpointer data)
{
	g_assert_true(vrrp_renewal_begin(fixture->renewal));
	add(fixture, true, 0, VRRP_RENEWAL_WORKS);
	add(fixture, false, 0, VRRP_RENEWAL_REFUSED);
	add(fixture, false, ENODEV, VRRP_RENEWAL_WORKS);
	add(fixture, false, 0, VRRP_RENEWAL_EITHER);
	send_all(fixture);
	g_assert_cmpuint(fixture->told, ==, 0);
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
	g_assert_true(vrrp_renewal_begin(fixture->renewal));
	add(fixture, true, 0, VRRP_RENEWAL_WORKS);
	add(fixture, false, 0, VRRP_RENEWAL_WORKS);
	send_all(fixture);
	g_assert_cmpuint(fixture->told, ==, 1);
}

static void test_works_again(Fixture *fixture, gconstpointer data)
{
	g_assert_true(vrrp_renewal_begin(fixture->renewal));
	add(fixture, true, 0, VRRP_RENEWAL_REFUSED);
	send_all(fixture);
	g_assert_cmpuint(fixture->told, ==, 1);
}

/* Woken after the time: nothing is said, and nothing of it told. */
static void test_too_late(Fixture *fixture, gconstpointer data)
{
	g_assert_true(vrrp_renewal_begin(fixture->renewal));
	add(fixture, false, 0, VRRP_RENEWAL_WORKS);
	vrrp_renewal_send(fixture->renewal, vrrp_now_us() - 1);
	vrrp_renewal_settle(fixture->renewal);
	g_assert_true(vrrp_renewal_begin(fixture->renewal));
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(fixture->told, ==, 0);
}

/* Whatever it was in the midst of, after settling it is free; and goes on. */
static void test_settle(Fixture *fixture, gconstpointer data)
{
	for (guint i = 0; i < 1000; i++) {
		g_assert_true(vrrp_renewal_begin(fixture->renewal));
		add(fixture, true, 0, VRRP_RENEWAL_WORKS);
		vrrp_renewal_send(fixture->renewal, vrrp_now_us() + TOLD_US);
		if (i % 3 == 0)
			g_thread_yield();
		vrrp_renewal_settle(fixture->renewal);
	}
	g_assert_true(vrrp_renewal_begin(fixture->renewal));
	add(fixture, false, 0, VRRP_RENEWAL_WORKS);
	send_all(fixture);
	g_assert_cmpuint(fixture->told, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/renewal/expected", Fixture, NULL, set_up, test_expected, tear_down);
	g_test_add("/renewal/refused", Fixture, NULL, set_up, test_refused, tear_down);
	g_test_add("/renewal/works-again", Fixture, NULL, set_up, test_works_again, tear_down);
	g_test_add("/renewal/too-late", Fixture, NULL, set_up, test_too_late, tear_down);
	g_test_add("/renewal/settle", Fixture, NULL, set_up, test_settle, tear_down);
	return g_test_run();
}
