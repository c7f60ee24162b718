/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/run.c - runs simulated worlds by their seeds, as TAP; replays, shrinks and shows one that breaks an invariant. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim.h"

#define BATCH 100
#define MAX_JOBS 64
#define LONG_TAKEOVERS 1000000 /* or other changes: what sim_run() counts */
#define TRACE_LINES 60
#define MOST_HALVED 12

static gint64 seed = -1, first = 1, count, most_explained = 3; /* by one worker: shrinking takes a while */
static gboolean trace, run_long, plain;
static guint n_explained;
static int turn; /* a file to be locked */
static char buffer[1 << 20];
static Sim sim; /* large, and one at a time */
bool sim_plain;

static bool still_breaks(guint64 number, const SimLess *less, const char *invariant)
{
	sim_run(&sim, number, less, NULL);
	return sim.broken && strcmp(sim.invariant, invariant) == 0;
}

/* Leaves out fault after fault, and shortens what is left, for as long as the same invariant still breaks. */
static void shrink(guint64 number, SimLess less[static SIM_MAX_FAULTS])
{
	const char *invariant = sim.invariant;
	guint n = sim.n_faults;
	bool again = true;

	while (again) {
		again = false;
		for (guint i = 0; i < n; i++) {
			if (less[i].off)
				continue;
			less[i].off = true;
			if (still_breaks(number, less, invariant))
				again = true;
			else
				less[i].off = false;
		}
	}
	for (guint i = 0; i < n; i++) {
		while (!less[i].off && less[i].halved < MOST_HALVED) {
			less[i].halved++;
			if (still_breaks(number, less, invariant))
				continue;
			less[i].halved--;
			break;
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
	SimLess less[SIM_MAX_FAULTS] = { 0 };

	printf("# seed %" G_GUINT64_FORMAT " breaks \"%s\": %s\n", number, sim.invariant, sim.detail);
	shrink(number, less);
	sim_run(&sim, number, less, text);
	printf("# shrunk to:\n");
	for (guint i = 0; i < sim.n_faults; i++) {
		g_autoptr(GString) line = g_string_new(NULL);

		if (less[i].off)
			continue;
		sim_fault_describe(&sim, &sim.fault[i], line);
		printf("#   %s\n", line->str);
	}
	say_tail(text->str, TRACE_LINES);
	printf("# whole: %s --seed %" G_GUINT64_FORMAT " --trace%s\n", g_get_prgname(), number, sim_plain ? " --plain" : "");
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

typedef struct {
	guint64 begin, takeovers, scenarios;
	guint n, bad;
} Batch;

/* Workers and their parent write to the same place, each a batch at a time. */
static void say_all(void)
{
	if (lockf(turn, F_LOCK, 0) < 0)
		perror(g_get_prgname());
	fflush(stdout);
	if (lockf(turn, F_ULOCK, 0) < 0)
		perror(g_get_prgname());
}

/* @n seeds from @begin; what breaks is said at once, so that it is there whatever comes. */
static void run_batch(Batch *batch)
{
	for (guint i = 0; i < batch->n; i++) {
		sim_run(&sim, batch->begin + i, NULL, NULL);
		batch->takeovers += sim.n_takeovers;
		if (!sim.broken)
			continue;
		batch->bad++;
		if (n_explained++ < most_explained)
			explain(batch->begin + i);
		else
			printf("# seed %" G_GUINT64_FORMAT " breaks \"%s\": %s\n", batch->begin + i, sim.invariant, sim.detail);
	}
	say_all();
}

/* Batches of seeds, numbered; a worker takes every so many-th of them and writes down each that is done. */
static void work(int out, guint worker, guint n_workers)
{
	for (guint64 k = worker; run_long || (gint64)(k * BATCH) < count; k += n_workers) {
		Batch batch = { .begin = (guint64)first + k * BATCH, .n = run_long ? BATCH : (guint)MIN(BATCH, count - (gint64)(k * BATCH)) };

		run_batch(&batch);
		if (write(out, &batch, sizeof batch) != sizeof batch)
			_exit(0); /* enough */
	}
	_exit(0);
}

static bool start_workers(guint n, pid_t *ret_pids, int *ret_in)
{
	int ends[2];

	if (pipe(ends) < 0)
		return false;
	fflush(stdout);
	signal(SIGPIPE, SIG_IGN); /* a worker learns by it that the million is full */
	for (guint i = 0; i < n; i++) {
		ret_pids[i] = fork();
		if (ret_pids[i] < 0)
			return false;
		if (ret_pids[i] == 0) {
			close(ends[0]);
			work(ends[1], i, n);
		}
	}
	close(ends[1]);
	*ret_in = ends[0];
	return true;
}

/* Seeds that have broken something once, as one case of TAP. */
static bool run_known(void)
{
	guint n = 0, bad = 0;

	sim_plain = true;
	for (; sim_known[n] != 0; n++) {
		sim_run(&sim, sim_known[n], NULL, NULL);
		if (!sim.broken)
			continue;
		bad++;
		if (n_explained++ < most_explained)
			explain(sim_known[n]);
		else
			printf("# seed %" G_GUINT64_FORMAT " breaks \"%s\": %s\n", sim_known[n], sim.invariant, sim.detail);
	}
	sim_plain = false;
	if (n > 0)
		printf("%sok 1 - %u seeds that have broken something once\n", bad ? "not " : "", n);
	return bad == 0;
}

/* A case of TAP for each batch that is done. True when none is bad. */
static bool collect(int in)
{
	const char *progress = g_getenv("UNDERSTUDY_PROGRESS"); /* where somebody looks, when nobody sees our standard error */
	FILE *file = progress ? fopen(progress, "a") : NULL, *to = file ? file : stderr;
	gint64 begun_us = g_get_monotonic_time(), said_us = begun_us;
	guint64 takeovers = 0, scenarios = 0, last = 0;
	bool good = run_known();
	guint n = sim_known[0] ? 1 : 0;
	Batch batch;

	while ((!run_long || takeovers < LONG_TAKEOVERS) && read(in, &batch, sizeof batch) == sizeof batch) {
		gint64 now_us = g_get_monotonic_time();

		takeovers += batch.takeovers;
		scenarios += batch.n;
		last = MAX(last, batch.begin + batch.n - 1);
		good &= batch.bad == 0;
		printf("%sok %u - seeds %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT " takeovers\n", batch.bad ? "not " : "",
		       ++n, batch.begin, batch.begin + batch.n - 1, batch.takeovers);
		if (now_us - said_us > 10 * G_USEC_PER_SEC) {
			said_us = now_us;
			fprintf(to, "%s: %" G_GUINT64_FORMAT " takeovers in %" G_GUINT64_FORMAT " scenarios, %" G_GINT64_FORMAT " s\n",
				g_get_prgname(), takeovers, scenarios, (now_us - begun_us) / G_USEC_PER_SEC);
			fflush(to);
		}
		say_all();
	}
	printf("1..%u\n# %" G_GUINT64_FORMAT " takeovers in %" G_GUINT64_FORMAT " scenarios, seeds %" G_GINT64_FORMAT " to %" G_GUINT64_FORMAT
	       ", %" G_GINT64_FORMAT " s\n", n, takeovers, scenarios, first, last, (g_get_monotonic_time() - begun_us) / G_USEC_PER_SEC);
	if (file) {
		fprintf(file, "%s: %" G_GUINT64_FORMAT " takeovers in %" G_GUINT64_FORMAT " scenarios, seeds %" G_GINT64_FORMAT " to %" G_GUINT64_FORMAT
			", %" G_GINT64_FORMAT " s: %s\n", g_get_prgname(), takeovers, scenarios, first, last, (g_get_monotonic_time() - begun_us) / G_USEC_PER_SEC,
			good ? "none broken" : "invariants broken");
		fclose(file);
	}
	return good && scenarios > 0;
}

int main(int argc, char **argv)
{
	gint64 jobs = g_get_num_processors();
	const GOptionEntry entries[] = {
		{ "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Replay this scenario alone", "N" },
		{ "plain", 0, 0, G_OPTION_ARG_NONE, &plain, "With --seed: only what the seeds that are known knew", NULL },
		{ "trace", 0, 0, G_OPTION_ARG_NONE, &trace, "With --seed: say all that happens", NULL },
		{ "first", 0, 0, G_OPTION_ARG_INT64, &first, "Begin with this seed (default 1)", "N" },
		{ "count", 0, 0, G_OPTION_ARG_INT64, &count, "So many scenarios", "N" },
		{ "explain", 0, 0, G_OPTION_ARG_INT64, &most_explained, "Shrink and show so many at most of each job (default 3)", "N" },
		{ "jobs", 0, 0, G_OPTION_ARG_INT64, &jobs, "So many at a time (default: one a processor)", "N" },
		{ "long", 0, 0, G_OPTION_ARG_NONE, &run_long, "Until a million takeovers, from a seed of the day unless --first says one", NULL },
		{ NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- simulated worlds");
	g_autoptr(GError) error = NULL;
	const char *from = g_getenv("UNDERSTUDY_SEED");
	pid_t pids[MAX_JOBS];
	bool good;
	int in;

	count = sim_scenarios;
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
		return 2;
	}
	sim_plain = plain;
	if (seed >= 0)
		return replay();
	run_long |= g_strcmp0(g_getenv("UNDERSTUDY_LONG"), "1") == 0;
	if (from && first == 1)
		first = g_ascii_strtoll(from, NULL, 10);
	else if (run_long && first == 1)
		first = g_get_real_time();
	jobs = CLAMP(jobs, 1, MAX_JOBS);
	turn = memfd_create("turn", MFD_CLOEXEC);
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer); /* whole batches, however much there is to say; of a size without a buffer glibc makes nothing */
	printf("# first seed %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT " at a time\n", first, jobs);
	if (!start_workers((guint)jobs, pids, &in)) {
		perror(g_get_prgname());
		return 1;
	}
	good = collect(in);
	close(in);
	for (gint64 i = 0; i < jobs; i++)
		waitpid(pids[i], NULL, 0);
	return good ? 0 : 1;
}
