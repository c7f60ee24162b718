/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-wall.c - who asks is told once of each time that the clock was set. The linker puts our read() before the C library's. */
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "vrrpd/wire/wall.h"

static guint n_read;
static int answer; /* errno */

ssize_t __wrap_read(int fd, void *buffer, size_t size);

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpuint(size, ==, sizeof(guint64));
	n_read++;
	errno = answer;
	return -1;
}

static guint ask(int error)
{
	guint before = n_read, sets;

	answer = error;
	sets = vrrp_wall_sets();
	g_assert_cmpuint(n_read, ==, before + 1);
	return sets;
}

static void test_set(void)
{
	guint sets = ask(EAGAIN);

	g_assert_cmpuint(ask(EAGAIN), ==, sets);
	g_assert_cmpuint(ask(ECANCELED), !=, sets);
	sets = ask(EAGAIN);
	g_assert_cmpuint(ask(EINTR), ==, sets);
	g_assert_cmpuint(ask(ECANCELED), !=, sets);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/wall/set", test_set);
	return g_test_run();
}
