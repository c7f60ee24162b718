/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/job.c - follows a job of a daemon until its end. */
#include "job.h"

#define AWAY_MS 10000 /* a daemon that died is back in milliseconds */

typedef struct {
	BusMirror *mirror;
	CtlProgress progress;
	gint64 stale_since_us; /* 0: the mirror is fresh */
	bool over, lost;
} JobWatch;

static void follow_job(BusMirror *mirror, gpointer user_data)
{
	JobWatch *watch = user_data;
	GVariant *state, *fraction, *message;

	if (!bus_mirror_is_fresh(mirror)) {
		if (watch->stale_since_us == 0)
			watch->stale_since_us = g_get_monotonic_time();
		return;
	}
	watch->stale_since_us = 0;
	state = bus_mirror_get(mirror, "State", "s");
	fraction = bus_mirror_get(mirror, "Progress", "d");
	message = bus_mirror_get(mirror, "Message", "s");
	ctl_progress(&watch->progress, fraction ? g_variant_get_double(fraction) : -1,
		     message ? g_variant_get_string(message, NULL) : "");
	watch->over = state && !g_str_equal(g_variant_get_string(state, NULL), "running");
}

static gboolean look_whether_lost(gpointer user_data)
{
	JobWatch *watch = user_data;

	watch->lost = watch->stale_since_us && g_get_monotonic_time() - watch->stale_since_us > AWAY_MS * 1000LL;
	return G_SOURCE_CONTINUE;
}

static bool job_is_over(gpointer user_data)
{
	JobWatch *watch = user_data;

	return watch->over || watch->lost;
}

CtlExit job_wait(Ctl *ctl, CtlDaemon daemon, const char *path, int timeout_ms, GVariant **ret_value)
{
	JobWatch watch = { .progress = { .ctl = ctl }, .stale_since_us = g_get_monotonic_time() };
	guint timer = g_timeout_add(500, look_whether_lost, &watch);
	GVariantBuilder builder;
	bool in_time;

	watch.mirror =
		bus_mirror_new(ctl->link, ctl_bus_name(daemon), path, CTL_JOB_INTERFACE, follow_job, &watch);
	in_time = ctl_wait(job_is_over, &watch, timeout_ms);
	ctl_progress_end(&watch.progress);
	g_source_remove(timer);
	if (watch.over) {
		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		for (const char *const *name = (const char *const[]){ "State", "Message", "Error", "Result", NULL };
		     *name; name++) {
			GVariant *value =
				bus_mirror_get(watch.mirror, *name, g_str_equal(*name, "Result") ? "a{sv}" : "s");
			g_autofree char *key = render_snake_case(*name);

			if (value)
				g_variant_builder_add(&builder, "{sv}", key, value);
		}
		*ret_value = g_variant_ref_sink(g_variant_builder_end(&builder));
	}
	bus_mirror_free(watch.mirror);
	if (watch.over)
		return CTL_OK;
	if (in_time)
		return ctl_complain(
			ctl, CTL_NOT_REACHABLE,
			"the %s went away before the job's end; see understudy status and understudy timeline",
			daemon == CTL_SYNC ? "syncd" : "supervisor");
	return ctl_complain(ctl, CTL_TIMED_OUT,
			    "the job is still under way after %d s; see understudy status and understudy timeline",
			    timeout_ms / 1000);
}
