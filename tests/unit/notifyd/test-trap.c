/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who sends a trap, and at what time it was by its own count; the settings of a receiver. */
#include <string.h>

#include "notifyd/trap/engine.h"
#include "notifyd/trap/target.h"

#define WALL 1770000000 /* in February 2026 */
#define BASE ((WALL - 1704067200) / 60)

static void check(const char *text, const char *boot, gint64 now_s, gint64 wall_s, guint32 boots, guint32 time_s)
{
	TrapEngine engine = { 0 };
	g_autofree char *next = engine_next(&engine, text, boot, now_s, wall_s), *again = NULL;

	g_assert_cmpuint(engine.boots, ==, boots);
	g_assert_cmpuint(engine.time_s, ==, time_s);
	again = engine_next(&engine, next, boot, now_s, wall_s);
	g_assert_cmpstr(next, ==, again); /* the next process of the same second */
}

static void test_time_only_grows(void)
{
#define KEPT "[engine]\nboot-id=one\nboots=7\ntime-s=100\n"
	check(NULL, "one", 50, WALL, BASE, 50);
	check(NULL, "one", 50, 0, 1, 50); /* the clock is not set yet */
	check(KEPT, "one", 101, WALL, 7, 101);
	check(KEPT, "one", 100, WALL, 7, 100);
	check(KEPT, "one", 99, WALL, 8, 99); /* another clock, by whatever trick */
	check(KEPT, "two", 3, WALL, 8, 3);
	check(KEPT, "two", 3, 0, 8, 3); /* the wall clock does not matter */
	check("[engine]\nboot-id=one\nboots=2147483647\ntime-s=5\n", "two", 1, WALL, 2147483647, 1);
	check("[engine]\nboot-id=one\nboots=7\ntime-s=5\n", "one", 5000000000, WALL, 7, 2147483647);
}

static void test_lost_files_begin_above(void)
{
	static const char *const texts[] = { "", "nonsense", "[engine]\n", "[engine]\nboots=7\n", "[engine]\nboot-id=one\nboots=-3\n",
					     "[engine]\nboot-id=one\nboots=99999999999\n" };

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
		check(texts[i], "one", 50, WALL, BASE, 50);
}

static void test_names(void)
{
	static const guint8 short_name[] = { 0x80, 0, 0x1f, 0x88, 4, 'd', 'e', 'v', '-', 'a' };
	TrapEngine one = { 0 }, other = { 0 };

	engine_name(&one, "dev-a");
	g_assert_cmpmem(one.id, one.n_id, short_name, sizeof(short_name));
	engine_name(&one, "a-name-that-is-longer-than-27-bytes-1");
	engine_name(&other, "a-name-that-is-longer-than-27-bytes-2");
	g_assert_cmpuint(one.n_id, ==, 21);
	g_assert_cmpuint(one.id[4], ==, 5);
	g_assert_cmpint(memcmp(one.id, other.id, 21), !=, 0);
}

static TrapTarget *read_target(const char *keys, GError **error)
{
	g_autofree char *text = g_strconcat("[job]\nid=m\ntime-ms=1\ndeadline-ms=5000\n[to]\nlist=h;\n[message]\nsubject=s\nbody=b\n[target]\n", keys, NULL);
	g_autoptr(GError) problem = NULL;
	g_autoptr(DeliveryJob) job = delivery_job_parse(text, strlen(text), &problem);

	g_assert_no_error(problem);
	return trap_target_read(job, error);
}

static void test_targets(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(TrapTarget) plain = read_target("community=c\n", &error);
	g_autoptr(TrapTarget) secure = read_target("version=3\nkind=inform\nuser=u\nauth-password=12345678\npriv-password=abcdefgh\n", &error);
	g_autoptr(TrapTarget) open = read_target("version=3\nkind=trap\nuser=u\nauth=sha512\npriv=none\nauth-password=12345678\n", &error);

	g_assert_no_error(error);
	g_assert_true(!plain->v3 && !plain->inform);
	g_assert_cmpstr(plain->community, ==, "c");
	g_assert_true(secure->v3 && secure->inform && secure->encrypted);
	g_assert_cmpstr(secure->auth, ==, "SHA-256");
	g_assert_true(open->v3 && !open->inform && !open->encrypted);
	g_assert_cmpstr(open->auth, ==, "SHA-512");
}

static void test_bad_targets(void)
{
	static const char *const texts[] = {
		"",
		"version=2c\n",
		"version=1\ncommunity=c\n",
		"kind=both\ncommunity=c\n",
		"version=3\nauth-password=12345678\npriv-password=12345678\n",
		"version=3\nuser=u\npriv-password=12345678\n",
		"version=3\nuser=u\nauth-password=12345678\n",
		"version=3\nuser=u\nauth-password=1234567\npriv-password=12345678\n",
		"version=3\nuser=u\nauth=md5\nauth-password=12345678\npriv-password=12345678\n",
		"version=3\nuser=u\npriv=des\nauth-password=12345678\npriv-password=12345678\n",
	};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(TrapTarget) target = read_target(texts[i], &error);

		g_assert_null(target);
		g_assert_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/trap/engine/time-only-grows", test_time_only_grows);
	g_test_add_func("/trap/engine/lost-files-begin-above", test_lost_files_begin_above);
	g_test_add_func("/trap/engine/names", test_names);
	g_test_add_func("/trap/target/good", test_targets);
	g_test_add_func("/trap/target/bad", test_bad_targets);
	return g_test_run();
}
