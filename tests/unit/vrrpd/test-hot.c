/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-hot.c - descriptors served inside the loop's poll function, beside the loop's own. */
#include <stdbool.h>
#include <unistd.h>

#include "vrrpd/hot.h"
#include "vrrpd/timer.h"

typedef struct {
	int fds[2];
	guint source;
	guint n_hot, n_loop;
} Channel;

static gboolean hot_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	Channel *channel = user_data;
	char byte;

	g_assert_cmpint(read(fd, &byte, 1), ==, 1);
	channel->n_hot++;
	return G_SOURCE_CONTINUE;
}

static gboolean loop_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	Channel *channel = user_data;
	char byte;

	g_assert_cmpint(read(fd, &byte, 1), ==, 1);
	channel->n_loop++;
	return G_SOURCE_CONTINUE;
}

static void channel_open(Channel *channel)
{
	*channel = (Channel){ 0 };
	g_assert_cmpint(pipe(channel->fds), ==, 0);
	channel->source = g_unix_fd_add(channel->fds[0], G_IO_IN, loop_cb, channel);
}

static void channel_close(Channel *channel)
{
	vrrp_hot_remove(channel->fds[0]);
	g_source_remove(channel->source);
	close(channel->fds[0]);
	close(channel->fds[1]);
}

static void channel_write(const Channel *channel)
{
	g_assert_cmpint(write(channel->fds[1], "x", 1), ==, 1);
}

static void test_beside_the_loop(void)
{
	Channel hot, cold;

	channel_open(&hot);
	channel_open(&cold);
	vrrp_hot_add(hot.fds[0], hot_cb, &hot);
	channel_write(&hot);
	channel_write(&hot);
	channel_write(&cold);
	while (hot.n_hot < 2 || cold.n_loop < 1)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(hot.n_loop, ==, 0);
	g_assert_cmpuint(cold.n_hot, ==, 0);
	vrrp_hot_remove(hot.fds[0]);
	channel_write(&hot);
	while (hot.n_loop < 1)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(hot.n_hot, ==, 2);
	channel_close(&hot);
	channel_close(&cold);
}

/* However often one is added, there is room for the others, and to take it out once is enough. */
static void test_added_again(void)
{
	Channel first, second;

	channel_open(&first);
	channel_open(&second);
	for (guint i = 0; i < 1000; i++)
		vrrp_hot_add(first.fds[0], hot_cb, &first);
	vrrp_hot_add(second.fds[0], hot_cb, &second);
	channel_write(&second);
	while (second.n_hot + second.n_loop < 1)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(second.n_hot, ==, 1);
	channel_close(&first);
	channel_close(&second);
}

/* A descriptor that never falls silent keeps neither the loop nor the timer from their turn. */
typedef struct {
	Channel flood;
	guint n_timer;
} Flood;

static gboolean endless_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	((Flood *)user_data)->flood.n_hot++;
	return G_SOURCE_CONTINUE;
}

static void timer_cb(gpointer user_data)
{
	((Flood *)user_data)->n_timer++;
	vrrp_hot_leave(); /* the test is the one to know */
}

static gboolean timeout_cb(gpointer user_data)
{
	(*(guint *)user_data)++;
	return G_SOURCE_REMOVE;
}

static void test_flood(void)
{
	Flood flood = { 0 };
	Channel other;
	guint n_timeout = 0;

	channel_open(&flood.flood);
	channel_open(&other);
	vrrp_hot_add(flood.flood.fds[0], endless_cb, &flood);
	channel_write(&flood.flood);
	channel_write(&other);
	vrrp_hot_timer(vrrp_now_us() + 20000, timer_cb, &flood);
	(void)g_timeout_add(10, timeout_cb, &n_timeout);
	while (flood.n_timer < 1 || n_timeout < 1 || other.n_loop < 1)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(flood.n_timer, ==, 1);
	g_assert_cmpuint(flood.flood.n_hot, >, 0);
	vrrp_hot_timer(0, NULL, NULL);
	channel_close(&flood.flood);
	channel_close(&other);
}

static void again_cb(gpointer user_data)
{
	gint64 *times = user_data;

	if (++times[0] < 5)
		vrrp_hot_timer(vrrp_now_us() + 1000, again_cb, times);
	else
		vrrp_hot_leave();
}

/* What a callback sets is the next deadline; what it wants done by the loop it asks for. */
static void test_timer(void)
{
	gint64 times[1] = { 0 }, begin_us = vrrp_now_us();

	vrrp_hot_timer(begin_us + 1000, again_cb, times);
	while (times[0] < 5)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(vrrp_now_us() - begin_us, >=, 5000);
	g_assert_false(g_main_context_iteration(NULL, FALSE));
	g_assert_cmpint(times[0], ==, 5);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/hot/beside-the-loop", test_beside_the_loop);
	g_test_add_func("/vrrp/hot/added-again", test_added_again);
	g_test_add_func("/vrrp/hot/flood", test_flood);
	g_test_add_func("/vrrp/hot/timer", test_timer);
	return g_test_run();
}
