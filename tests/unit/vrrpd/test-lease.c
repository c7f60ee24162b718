/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-lease.c - a supervisor's timer: what is taken for one, when it has run out, and that one let go wakes nobody. */
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vrrpd/loop/hot.h"
#include "vrrpd/loop/lease.h"
#include "vrrpd/loop/timer.h"

#define AT_MOST_US (3 * G_USEC_PER_SEC)
#define LIMIT_MS 5000

static void lapsed_cb(gpointer user_data)
{
	guint *lapses = user_data;

	(*lapses)++;
}

static void set(int fd, gint64 after_us, gint64 interval_us)
{
	struct itimerspec spec = {
		.it_value = { after_us / G_USEC_PER_SEC, after_us % G_USEC_PER_SEC * 1000 },
		.it_interval = { interval_us / G_USEC_PER_SEC, interval_us % G_USEC_PER_SEC * 1000 },
	};

	g_assert_cmpint(timerfd_settime(fd, 0, &spec, NULL), ==, 0);
}

/* As the supervisor has it: blocking, which must not matter. */
static int timer_new(gint64 after_us)
{
	int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	set(fd, after_us, 0);
	return fd;
}

static VrrpLease *lease_new(int fd, guint *lapses)
{
	g_autoptr(GError) error = NULL;
	VrrpLease *lease = vrrp_lease_new(dup(fd), AT_MOST_US, lapsed_cb, lapses, &error);

	g_assert_no_error(error);
	return lease;
}

static gboolean too_late_cb(gpointer user_data)
{
	g_error("nothing came of it within %d ms", LIMIT_MS);
	return G_SOURCE_REMOVE;
}

static void wait_lapsed(const guint *lapses)
{
	guint guard = g_timeout_add(LIMIT_MS, too_late_cb, NULL);

	while (*lapses == 0)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(guard);
}

static gboolean over_cb(gpointer user_data)
{
	*(bool *)user_data = true;
	return G_SOURCE_REMOVE;
}

/* Turns the loop for so long; returns how much of it was spent awake. */
static gint64 turn_for(guint ms)
{
	struct timespec before, after;
	bool over = false;

	g_timeout_add(ms, over_cb, &over);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	while (!over)
		g_main_context_iteration(NULL, TRUE);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	return (after.tv_sec - before.tv_sec) * G_USEC_PER_SEC + (after.tv_nsec - before.tv_nsec) / 1000;
}

static void refused(int fd)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(vrrp_lease_new(fd, AT_MOST_US, lapsed_cb, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
	g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

static void test_nonsense(void)
{
	int ends[2], periodic = timer_new(0);

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	refused(ends[0]);
	close(ends[1]);
	refused(open("/dev/null", O_RDONLY | O_CLOEXEC));
	refused(timer_new(0));
	refused(timer_new(AT_MOST_US + G_USEC_PER_SEC));
	set(periodic, G_USEC_PER_SEC, 1);
	refused(periodic);
}

static void test_lapses(void)
{
	guint lapses = 0;
	int fd = timer_new(AT_MOST_US - G_USEC_PER_SEC);
	VrrpLease *lease = lease_new(fd, &lapses);

	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(lapses, ==, 0);
	set(fd, 1, 0);
	wait_lapsed(&lapses);
	set(fd, 1, 0); /* nobody waits for it any more */
	(void)turn_for(20);
	g_assert_cmpuint(lapses, ==, 1);
	vrrp_lease_free(lease);
	close(fd);
}

static gboolean set_anew_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	set(fd, AT_MOST_US, 0);
	*(bool *)user_data = true;
	return G_SOURCE_REMOVE;
}

/* It has run out, the loop is told, and before it looks the supervisor has said again that it lives. */
static void test_set_anew_in_the_last_moment(void)
{
	guint lapses = 0;
	int fd = timer_new(AT_MOST_US);
	bool done = false;
	VrrpLease *lease;

	(void)g_unix_fd_add(fd, G_IO_IN, set_anew_cb, &done); /* comes first in its turn */
	lease = lease_new(fd, &lapses);
	set(fd, 1, 0);
	while (!done)
		g_main_context_iteration(NULL, TRUE);
	(void)turn_for(20);
	g_assert_cmpuint(lapses, ==, 0);
	set(fd, 1, 0);
	wait_lapsed(&lapses);
	vrrp_lease_free(lease);
	close(fd);
}

/* The supervisor has the timer open still, and so epoll would tell of it for ever. */
static void test_let_go(void)
{
	guint lapses = 0;
	int fd = timer_new(AT_MOST_US);
	VrrpLease *lease = lease_new(fd, &lapses);

	(void)turn_for(1);
	vrrp_lease_free(lease);
	set(fd, 1, 0);
	g_assert_cmpint(turn_for(100), <, 60000);
	g_assert_cmpuint(lapses, ==, 0);
	close(fd);
}

static gboolean never_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	g_assert_not_reached();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	vrrp_hot_add(STDIN_FILENO, never_cb, NULL); /* the loop waits as vrrpd's does */
	g_test_add_func("/vrrp/lease/nonsense", test_nonsense);
	g_test_add_func("/vrrp/lease/lapses", test_lapses);
	g_test_add_func("/vrrp/lease/set-anew-in-the-last-moment", test_set_anew_in_the_last_moment);
	g_test_add_func("/vrrp/lease/let-go", test_let_go);
	return g_test_run();
}
