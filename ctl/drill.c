/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/drill.c - understudy drill: a swap there and back, and its report. */
#include "commands.h"
#include "job.h"
#include "timeline-view.h"

#define DRILL_TIMEOUT_MS (15 * 60 * 1000)

static void add(RenderTable *table, const char *name, RenderColour colour, const char *text)
{
	render_table_add(table, RENDER_PLAIN, name);
	render_table_add(table, colour, text);
}

static void add_silence(RenderTable *table, GVariant *report, const char *name, const char *key)
{
	double silence_ms = dict_double(report, key, -1);
	g_autofree char *text = render_duration(silence_ms), *most = render_duration((double)dict_int(report, "max_silence_ms", 0));
	g_autofree char *row = g_strdup_printf("%s (at most %s)", text, most);

	if (silence_ms >= 0)
		add(table, name, silence_ms > (double)dict_int(report, "max_silence_ms", 0) ? RENDER_BAD : RENDER_GOOD, row);
}

static void print_report(Ctl *ctl, GVariant *report)
{
	g_autoptr(RenderTable) table = render_table_new(2);
	g_autoptr(GVariant) failures = dict_value(report, "failures", "as"), transitions = dict_value(report, "transitions", "aa{sv}");
	g_autofree char *begin = render_time(dict_int(report, "begin_ms", 0), ctl->zone, false), *rows = NULL;
	g_autofree char *took = render_duration(dict_double(report, "took_ms", 0));
	bool passed = dict_bool(report, "passed");

	add(table, "drill", passed ? RENDER_GOOD : RENDER_BAD, passed ? "passed" : "not passed");
	add(table, "begun", RENDER_PLAIN, begin);
	add(table, "took", RENDER_PLAIN, took);
	add(table, "home", RENDER_PLAIN, dict_string(report, "home", "?"));
	add(table, "nobody on the phone", RENDER_PLAIN, dict_string(report, "quiet", "not known"));
	add_silence(table, report, "silence there", "silence_there_ms");
	add_silence(table, report, "silence back", "silence_back_ms");
	if (*dict_string(report, "sip_target", ""))
		add(table, "asked for OPTIONS", RENDER_PLAIN, dict_string(report, "sip_target", ""));
	add_silence(table, report, "phones waited there", "sip_silence_there_ms");
	add_silence(table, report, "phones waited back", "sip_silence_back_ms");
	if (dict_int(report, "contacts_before", -1) >= 0) {
		g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " before, %" G_GINT64_FORMAT " after", dict_int(report, "contacts_before", 0),
							dict_int(report, "contacts_after", 0));

		add(table, "contacts", RENDER_PLAIN, text);
	}
	render_table_add(table, RENDER_PLAIN, "commits lost");
	render_table_addf(table, RENDER_PLAIN, "%" G_GINT64_FORMAT, dict_int(report, "commits_lost", 0));
	for (gsize i = 0; failures && i < g_variant_n_children(failures); i++) {
		const char *failure;

		g_variant_get_child(failures, i, "&s", &failure);
		add(table, "failure", RENDER_BAD, failure);
	}
	rows = render_table_text(table, &ctl->out, 0);
	ctl_print(rows);
	if (transitions && g_variant_n_children(transitions)) {
		g_autofree char *text = timeline_view_text(transitions, &ctl->out, ctl->zone);

		ctl_printf("\n%s", text);
	}
}

static CtlExit show_last(Ctl *ctl)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) all = ctl_get_all(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	g_autoptr(GVariant) report = dict_value(all, "LastDrill", "a{sv}");

	if (!all)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	if (ctl->json)
		ctl_print_json(report);
	else if (!dict_int(report, "end_ms", 0))
		ctl_print("there was no drill yet\n");
	else
		print_report(ctl, report);
	return CTL_OK;
}

CtlExit ctl_drill(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *reason = NULL;
	gboolean last = FALSE;
	const GOptionEntry entries[] = {
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Goes into the timeline and the report", "TEXT" },
		{ "last", 0, 0, G_OPTION_ARG_NONE, &last, "Shows the report of the last one and does nothing", NULL },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL, end = NULL, report = NULL;
	g_autoptr(GError) error = NULL;
	GVariantBuilder options;
	const char *job;
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, entries, "",
			 "Hands the service over to the other device and back, and measures it. Ordered on the Master, while nobody is on the phone.", 0, 0))
		return CTL_BAD_INPUT;
	if (last)
		return show_last(ctl);
	g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
	if (reason)
		g_variant_builder_add(&options, "{sv}", "reason", g_variant_new_string(reason));
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Drill", g_variant_new("(@a{sv})", g_variant_builder_end(&options)),
			  CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	g_variant_get(answer, "(&o)", &job);
	code = job_wait(ctl, CTL_SUPERVISOR, job, DRILL_TIMEOUT_MS, &end);
	if (code != CTL_OK)
		return code;
	report = dict_value(end, "result", "a{sv}");
	if (ctl->json)
		ctl_print_json(end);
	else if (report && g_variant_n_children(report))
		print_report(ctl, report);
	if (g_str_equal(dict_string(end, "state", ""), "done"))
		return CTL_OK;
	return ctl_complain(ctl, CTL_REFUSED, "drill %s: %s", dict_string(end, "state", "failed"), dict_string(end, "error", ""));
}
