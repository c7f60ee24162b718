/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-growing.c - a recording that is being written is read when it is closed, and once a minute. */
#include "syncd/voice/growing.h"

static const gint64 S = G_USEC_PER_SEC;

static void count(const SyncSet *set, const char *path, gpointer user_data)
{
	g_assert_cmpstr(path, ==, "a/call.wav");
	++*(guint *)user_data;
}

static guint n_due(const SyncGrowing *growing, gint64 now_us)
{
	guint n = 0;

	sync_growing_each_due(growing, now_us, count, &n);
	return n;
}

static void test_growing(void)
{
	g_autoptr(SyncGrowing) growing = sync_growing_new();
	SyncSet set = { .name = (char *)"pbx.calls" }, other = { .name = (char *)"pbx.mail" };

	g_assert_cmpint(sync_growing_due_us(growing), ==, 0);
	g_assert_false(sync_growing_leaves(growing, &set, "a/call.wav", 100 * S));
	/* Written again and again: it counts from the first. */
	sync_growing_told(growing, &set, "a/call.wav", true, 100 * S);
	sync_growing_told(growing, &set, "a/call.wav", true, 130 * S);
	g_assert_true(sync_growing_leaves(growing, &set, "a/call.wav", 159 * S));
	g_assert_false(sync_growing_leaves(growing, &other, "a/call.wav", 159 * S));
	g_assert_false(sync_growing_leaves(growing, &set, "a/call", 159 * S));
	g_assert_cmpuint(n_due(growing, 159 * S), ==, 0);
	g_assert_cmpint(sync_growing_due_us(growing), ==, 160 * S);
	g_assert_cmpuint(n_due(growing, 160 * S), ==, 1);
	/* Read; and again a minute later. */
	g_assert_false(sync_growing_leaves(growing, &set, "a/call.wav", 161 * S));
	g_assert_true(sync_growing_leaves(growing, &set, "a/call.wav", 162 * S));
	g_assert_cmpint(sync_growing_due_us(growing), ==, 221 * S);
	sync_growing_told(growing, &other, "b", true, 170 * S);
	g_assert_cmpint(sync_growing_due_us(growing), ==, 221 * S);
	/* Closed. */
	sync_growing_told(growing, &set, "a/call.wav", false, 180 * S);
	g_assert_false(sync_growing_leaves(growing, &set, "a/call.wav", 180 * S));
	g_assert_cmpint(sync_growing_due_us(growing), ==, 230 * S);
	/* Open, and nothing more is written: once is enough. */
	sync_growing_forget_due(growing, 229 * S);
	g_assert_cmpint(sync_growing_due_us(growing), ==, 230 * S);
	sync_growing_forget_due(growing, 230 * S);
	g_assert_cmpint(sync_growing_due_us(growing), ==, 0);
	sync_growing_told(growing, &set, "a/call.wav", true, 231 * S);
	sync_growing_told(growing, &set, "never seen", false, 180 * S);
	sync_growing_clear(growing);
	g_assert_cmpint(sync_growing_due_us(growing), ==, 0);
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/growing", test_growing);
	return g_test_run();
}
