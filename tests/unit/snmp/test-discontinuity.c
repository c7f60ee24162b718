/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When counters began anew, by the agent's own time: the same answer as long as nothing else has begun. */
#include "snmp/discontinuity.h"

#define S_US G_USEC_PER_SEC

typedef struct {
	const char *what;
	gint64 since_s, boot_s;
	guint32 uptime_ticks, ticks;
} Row;

static void test_life(void)
{
	static const Row rows[] = {
		{ "counted before there was an agent", 100, 1000, 10000, 0 },
		{ "still", 100, 2000, 110000, 0 },
		{ "counted anew at its 1500th second", 2400, 2500, 160000, 150000 },
		{ "its answer came half a second late", 2400, 2600, 169950, 150000 },
		{ "or early", 2400, 2700, 180050, 150000 },
		{ "the agent was started again", 2400, 2800, 1000, 0 },
		{ "and then the counters", 2805, 2810, 2000, 1500 },
		{ "nothing is said of the future", 3000, 2900, 11000, 0 },
	};
	Discontinuity discontinuity = { 0 };

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_test_message("%s", rows[i].what);
		g_assert_cmpuint(discontinuity_ticks(&discontinuity, rows[i].since_s * S_US, rows[i].boot_s * S_US, rows[i].uptime_ticks), ==, rows[i].ticks);
	}
}

/* sysUpTime begins anew after 497 days; so does nothing else then. */
static void test_wrap(void)
{
	Discontinuity discontinuity = { 0 };
	const gint64 wrap_s = (G_GINT64_CONSTANT(1) << 32) / 100;
	guint32 ticks = discontinuity_ticks(&discontinuity, 1000 * S_US, 2000 * S_US, 190000);

	g_assert_cmpuint(ticks, ==, 90000);
	g_assert_cmpuint(discontinuity_ticks(&discontinuity, 1000 * S_US, (wrap_s + 200) * S_US, 10000), ==, 90000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/snmp/discontinuity/life", test_life);
	g_test_add_func("/snmp/discontinuity/wrap", test_wrap);
	return g_test_run();
}
