/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/sim-vrrp.c - runs simulated elections by their seeds, as TAP; replays, shrinks and shows one that breaks an invariant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define BATCH 100
#define LONG_TAKEOVERS 1000000
#define TRACE_LINES 60

static gint64 seed = -1, first = 1, count = 2000;
static gboolean trace, run_long;
static Sim sim; /* large, and one at a time */

/* Leaves out fault after fault for as long as the same invariant still breaks. */
static void shrink(guint64 number, bool off[static SIM_MAX_FAULTS])
{
	const char *invariant = sim.invariant;
	guint n = sim.n_faults;
	bool less = true;

	while (less) {
		less = false;
		for (guint i = 0; i < n; i++) {
			if (off[i])
				continue;
			off[i] = true;
			sim_run(&sim, number, off, NULL);
			if (sim.broken && strcmp(sim.invariant, invariant) == 0)
				less = true;
			else
				off[i] = false;
		}
	}
}

static void say_tail(const char *text, guint most)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint n = g_strv_length(lines), begin = n > most ? n - most : 0;

	if (begin)
		printf("# ... %u lines before\n", begin);
	for (guint i = begin; i < n; i++)
		if (*lines[i])
			printf("# %s\n", lines[i]);
}

static void explain(guint64 number)
{
	g_autoptr(GString) text = g_string_new(NULL);
	bool off[SIM_MAX_FAULTS] = { false };

	printf("# seed %" G_GUINT64_FORMAT " breaks \"%s\": %s\n", number, sim.invariant, sim.detail);
	shrink(number, off);
	sim_run(&sim, number, off, text);
	printf("# shrunk to:\n");
	for (guint i = 0; i < sim.n_faults; i++) {
		g_autoptr(GString) line = g_string_new(NULL);

		if (off[i])
			continue;
		sim_fault_describe(&sim, &sim.fault[i], line);
		printf("#   %s\n", line->str);
	}
	say_tail(text->str, TRACE_LINES);
	printf("# whole: sim-vrrp --seed %" G_GUINT64_FORMAT " --trace\n", number);
}

static int replay(void)
{
	g_autoptr(GString) text = trace ? g_string_new(NULL) : NULL;

	sim_run(&sim, (guint64)seed, NULL, text);
	if (text)
		fputs(text->str, stdout);
	if (sim.broken)
		explain((guint64)seed);
	printf("1..1\n%sok 1 - seed %" G_GINT64_FORMAT "\n", sim.broken ? "not " : "", seed);
	return sim.broken ? 1 : 0;
}

/* One TAP case: @n seeds from @begin. */
static bool batch(guint number, guint64 begin, guint n, guint64 *takeovers)
{
	guint bad = 0;
	guint64 led = 0;

	for (guint i = 0; i < n; i++) {
		sim_run(&sim, begin + i, NULL, NULL);
		led += sim.n_takeovers;
		if (sim.broken && bad++ == 0)
			explain(begin + i);
		else if (sim.broken)
			printf("# seed %" G_GUINT64_FORMAT " breaks \"%s\": %s\n", begin + i, sim.invariant, sim.detail);
	}
	*takeovers += led;
	printf("%sok %u - seeds %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT " takeovers\n", bad ? "not " : "",
	       number, begin, begin + n - 1, led);
	fflush(stdout);
	return bad == 0;
}

int main(int argc, char **argv)
{
	const GOptionEntry entries[] = {
		{ "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Replay this scenario alone", "N" },
		{ "trace", 0, 0, G_OPTION_ARG_NONE, &trace, "With --seed: say all that happens", NULL },
		{ "first", 0, 0, G_OPTION_ARG_INT64, &first, "Begin with this seed (default 1)", "N" },
		{ "count", 0, 0, G_OPTION_ARG_INT64, &count, "So many scenarios (default 2000)", "N" },
		{ "long", 0, 0, G_OPTION_ARG_NONE, &run_long, "Until a million takeovers, from a seed of the day unless --first says one", NULL },
		{ NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- simulated elections");
	g_autoptr(GError) error = NULL;
	guint64 takeovers = 0;
	bool good = true;
	guint n = 0;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "sim-vrrp: %s\n", error->message);
		return 2;
	}
	if (seed >= 0)
		return replay();
	run_long |= g_strcmp0(g_getenv("UNDERSTUDY_LONG"), "1") == 0;
	if (run_long && first == 1)
		first = g_get_real_time();
	printf("# first seed %" G_GINT64_FORMAT "\n", first);
	for (gint64 done = 0; run_long ? takeovers < LONG_TAKEOVERS : done < count; done += BATCH)
		good &= batch(++n, (guint64)(first + done), run_long ? BATCH : (guint)MIN(BATCH, count - done), &takeovers);
	printf("1..%u\n# %" G_GUINT64_FORMAT " takeovers\n", n, takeovers);
	return good ? 0 : 1;
}
