/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-hot.c - hot descriptors are served beside the loop's own, and the loop misses none of its own. */
#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#include "vrrpd/loop/hot.h"
#include "vrrpd/loop/timer.h"

#define LIMIT_MS 5000

typedef struct {
	int fds[2];
	guint read;
	guint source;
} Pipe;

static bool expired;

static gboolean expire_cb(gpointer user_data)
{
	expired = true;
	return G_SOURCE_CONTINUE;
}

static gboolean readable_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	Pipe *self = user_data;
	char byte;

	if (read(fd, &byte, 1) == 1)
		self->read++;
	vrrp_hot_leave(); /* so that whoever turns the loop sees it */
	return G_SOURCE_CONTINUE;
}

static void pipe_open(Pipe *self)
{
	g_assert_cmpint(pipe2(self->fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
	self->source = g_unix_fd_add(self->fds[0], G_IO_IN, readable_cb, self);
	self->read = 0;
}

static void pipe_close(Pipe *self)
{
	g_source_remove(self->source);
	close(self->fds[0]);
	close(self->fds[1]);
}

static void write_one(Pipe *self)
{
	g_assert_cmpint(write(self->fds[1], "x", 1), ==, 1);
}

static void wait_read(const Pipe *self, guint n)
{
	guint guard = g_timeout_add(LIMIT_MS, expire_cb, NULL);

	expired = false;
	while (self->read < n && !expired)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(guard);
	g_assert_cmpuint(self->read, ==, n);
}

static void test_both(void)
{
	Pipe hot, cold;

	pipe_open(&hot);
	pipe_open(&cold);
	vrrp_hot_add(hot.fds[0], readable_cb, &hot);
	for (guint i = 1; i <= 100; i++) {
		write_one(&hot);
		write_one(&cold);
		wait_read(&hot, i);
		wait_read(&cold, i);
	}
	vrrp_hot_remove(hot.fds[0]);
	/* Now the loop's alone. */
	write_one(&hot);
	wait_read(&hot, 101);
	pipe_close(&cold);
	pipe_close(&hot);
}

/* A descriptor that was closed and opened again bears the same number, and is another. */
static void test_same_number(void)
{
	Pipe one;

	for (guint i = 0; i < 20; i++) {
		int former = i ? one.fds[0] : -1;

		pipe_open(&one);
		if (i)
			g_assert_cmpint(one.fds[0], ==, former);
		write_one(&one);
		wait_read(&one, 1);
		pipe_close(&one);
	}
}

/* One nobody waits for any more, still open and ready, neither wakes the loop for ever nor stays unheard when it is waited for again. */
static void test_left_alone(void)
{
	Pipe left, other;
	gint64 begin_us;

	pipe_open(&left);
	pipe_open(&other);
	write_one(&left);
	wait_read(&left, 1);
	g_source_remove(left.source);
	write_one(&left);
	write_one(&other);
	wait_read(&other, 1);
	begin_us = g_get_monotonic_time();
	expired = false;
	g_timeout_add(20, expire_cb, NULL);
	while (!expired)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 20000);
	g_assert_true(g_source_remove_by_user_data(NULL));
	left.source = g_unix_fd_add(left.fds[0], G_IO_IN, readable_cb, &left);
	wait_read(&left, 2);
	pipe_close(&left);
	pipe_close(&other);
}

/* A quiet one wakes nobody, but is read before what does; and at once when it is quiet no longer. */
static void test_quiet(void)
{
	gint64 begin_us = g_get_monotonic_time();
	Pipe quiet, other;

	pipe_open(&quiet);
	pipe_open(&other);
	vrrp_hot_add(quiet.fds[0], readable_cb, &quiet);
	vrrp_hot_quiet(quiet.fds[0], true);
	write_one(&quiet);
	expired = false;
	g_timeout_add(20, expire_cb, NULL);
	while (!expired)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 20000);
	g_assert_cmpuint(quiet.read, ==, 1);
	g_assert_true(g_source_remove_by_user_data(NULL));

	write_one(&quiet);
	write_one(&other);
	wait_read(&other, 1);
	g_assert_cmpuint(quiet.read, ==, 2);

	vrrp_hot_quiet(quiet.fds[0], false);
	write_one(&quiet);
	wait_read(&quiet, 3);
	vrrp_hot_remove(quiet.fds[0]);
	pipe_close(&other);
	pipe_close(&quiet);
}

static bool roused;

static void rouse_cb(gpointer user_data)
{
	Pipe *self = user_data;

	vrrp_hot_quiet(self->fds[0], false);
	write_one(self);
	roused = true;
}

/* Within the turn in which it was still quiet. */
static void test_roused(void)
{
	guint guard = g_timeout_add(LIMIT_MS, expire_cb, NULL);
	Pipe other, quiet;

	pipe_open(&other);
	pipe_open(&quiet);
	vrrp_hot_add(quiet.fds[0], readable_cb, &quiet);
	vrrp_hot_quiet(quiet.fds[0], true);
	vrrp_hot_timer(vrrp_now_us() + 1000, rouse_cb, &quiet);
	while (!roused)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(quiet.read, ==, 1);
	g_source_remove(guard);
	vrrp_hot_remove(quiet.fds[0]);
	pipe_close(&quiet);
	pipe_close(&other);
}

static void timer_cb(gpointer user_data)
{
	*(gint64 *)user_data = vrrp_now_us();
	vrrp_hot_leave();
}

static void test_timer(void)
{
	gint64 due_us = vrrp_now_us() + 3500, fired_us = 0;

	vrrp_hot_timer(due_us, timer_cb, &fired_us);
	while (fired_us == 0)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(fired_us, >=, due_us);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/hot/both", test_both);
	g_test_add_func("/hot/same-number", test_same_number);
	g_test_add_func("/hot/left-alone", test_left_alone);
	g_test_add_func("/hot/quiet", test_quiet);
	g_test_add_func("/hot/roused", test_roused);
	g_test_add_func("/hot/timer", test_timer);
	return g_test_run();
}
