/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-worker.c - jobs are done in the order asked, beside the loop, and the loop is told, unless there is nothing to tell. */
#include "vrrpd/kernel/worker.h"

#include "vrrpd/loop/timer.h"

#define TOLD_US (5 * G_USEC_PER_SEC)

typedef struct {
	VrrpWorker *worker;
	guint told;
	GMutex gate;     /* what a job waits for as for the kernel's lock */
	GString *order;  /* the thread's, until all is done */
	GThread *thread;
} Fixture;

static void done_cb(gpointer user_data)
{
	((Fixture *)user_data)->told++;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_mutex_init(&fixture->gate);
	fixture->order = g_string_new(NULL);
	fixture->worker = vrrp_worker_new(done_cb, fixture, &error);
	g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	vrrp_worker_free(fixture->worker);
	g_string_free(fixture->order, TRUE);
	g_mutex_clear(&fixture->gate);
}

static bool note_job(gpointer data, gpointer letter)
{
	g_string_append_c(((Fixture *)data)->order, (char)GPOINTER_TO_INT(letter));
	return true;
}

static bool gate_job(gpointer data, gpointer more)
{
	g_mutex_lock(&((Fixture *)data)->gate);
	g_mutex_unlock(&((Fixture *)data)->gate);
	return true;
}

static bool whose_job(gpointer data, gpointer more)
{
	((Fixture *)data)->thread = g_thread_self();
	return true;
}

static bool silent_job(gpointer data, gpointer letter)
{
	(void)note_job(data, letter);
	return false;
}

static gboolean expired_cb(gpointer user_data)
{
	g_assert_not_reached();
	return G_SOURCE_REMOVE;
}

static void wait_until_done(Fixture *fixture, guint64 number)
{
	guint guard = g_timeout_add(TOLD_US / 1000, expired_cb, NULL);

	while (vrrp_worker_done(fixture->worker) < number || fixture->told == 0)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(guard);
}

static void test_order(Fixture *fixture, gconstpointer data)
{
	guint64 last = 0;

	for (const char *letter = "holdrepair"; *letter; letter++)
		last = vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER(*letter));
	g_assert_cmpuint(last, ==, 10);
	(void)vrrp_worker_ask(fixture->worker, whose_job, fixture, NULL);
	wait_until_done(fixture, last + 1);
	g_assert_cmpstr(fixture->order->str, ==, "holdrepair");
	g_assert_true(fixture->thread != g_thread_self());
}

/* The loop goes on while a job waits, and sees that it does. */
static void test_beside(Fixture *fixture, gconstpointer data)
{
	gint64 before_us = vrrp_now_us();
	guint64 gate, behind;

	g_assert_cmpint(vrrp_worker_busy_us(fixture->worker), ==, 0);
	g_mutex_lock(&fixture->gate);
	gate = vrrp_worker_ask(fixture->worker, gate_job, fixture, NULL);
	while (vrrp_worker_busy_us(fixture->worker) == 0)
		g_thread_yield();
	g_assert_cmpint(vrrp_worker_busy_us(fixture->worker), >=, before_us);
	behind = vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('b'));
	g_assert_cmpuint(vrrp_worker_done(fixture->worker), <, gate);
	g_mutex_unlock(&fixture->gate);
	wait_until_done(fixture, behind);
	g_assert_cmpstr(fixture->order->str, ==, "b");
}

/* What waits already and is asked again is one; what is under way may have passed the point, and is done once more. */
static void test_once(Fixture *fixture, gconstpointer data)
{
	guint64 first, again;

	g_mutex_lock(&fixture->gate);
	(void)vrrp_worker_ask(fixture->worker, gate_job, fixture, NULL);
	while (vrrp_worker_busy_us(fixture->worker) == 0)
		g_thread_yield();
	(void)vrrp_worker_ask(fixture->worker, gate_job, fixture, NULL);
	first = vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('a'));
	again = vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('a'));
	g_assert_cmpuint(again, ==, first);
	g_assert_cmpuint(first, ==, 3);
	(void)vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('b'));
	again = vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('a'));
	g_mutex_unlock(&fixture->gate);
	wait_until_done(fixture, again);
	g_assert_cmpstr(fixture->order->str, ==, "aba");
}

/* The loop is not woken for what changes nothing. */
static void test_silent(Fixture *fixture, gconstpointer data)
{
	guint64 told;

	(void)vrrp_worker_ask(fixture->worker, silent_job, fixture, GINT_TO_POINTER('a'));
	vrrp_worker_settle(fixture->worker);
	g_assert_false(g_main_context_pending(NULL));
	g_assert_cmpuint(fixture->told, ==, 0);
	told = vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('b'));
	(void)vrrp_worker_ask(fixture->worker, silent_job, fixture, GINT_TO_POINTER('c'));
	vrrp_worker_settle(fixture->worker); /* nobody is told of the last */
	wait_until_done(fixture, told);
	g_assert_cmpstr(fixture->order->str, ==, "abc");
}

static void test_settle(Fixture *fixture, gconstpointer data)
{
	for (guint i = 0; i < 1000; i++) {
		(void)vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER(i % 2 ? 'a' : 'b'));
		if (i % 3 == 0)
			vrrp_worker_settle(fixture->worker);
	}
	vrrp_worker_settle(fixture->worker);
	g_assert_cmpuint(fixture->order->len, ==, 1000);
}

/* Nothing that was asked is left undone. */
static void test_free(Fixture *fixture, gconstpointer data)
{
	for (guint i = 0; i < 10; i++)
		(void)vrrp_worker_ask(fixture->worker, note_job, fixture, GINT_TO_POINTER('0' + i));
	g_clear_pointer(&fixture->worker, vrrp_worker_free);
	g_assert_cmpstr(fixture->order->str, ==, "0123456789");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/worker/order", Fixture, NULL, set_up, test_order, tear_down);
	g_test_add("/worker/beside", Fixture, NULL, set_up, test_beside, tear_down);
	g_test_add("/worker/once", Fixture, NULL, set_up, test_once, tear_down);
	g_test_add("/worker/silent", Fixture, NULL, set_up, test_silent, tear_down);
	g_test_add("/worker/settle", Fixture, NULL, set_up, test_settle, tear_down);
	g_test_add("/worker/free", Fixture, NULL, set_up, test_free, tear_down);
	return g_test_run();
}
