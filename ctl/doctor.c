/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/doctor.c - understudy doctor: why a takeover would not work now, and what to do. */
#include <string.h>

#include "commands.h"

static bool is_error(GVariant *finding)
{
	return strcmp(dict_string(finding, "severity", "warning"), "error") == 0;
}

static void print_finding(Ctl *ctl, GString *out, GVariant *finding, gint64 now_ms)
{
	g_autoptr(RenderTable) table = render_table_new(2);
	g_autofree char *code = render_clean(dict_string(finding, "code", "?"));
	g_autofree char *bold = render_coloured(&ctl->out, is_error(finding) ? RENDER_BAD : RENDER_WARNING, code);
	g_autofree char *device = render_clean(dict_string(finding, "device", "?"));
	g_autofree char *age = render_age(now_ms - dict_int(finding, "since_ms", now_ms));
	g_autofree char *rows = NULL;

	g_string_append_printf(out, "%s%s (%s, for %s)\n", is_error(finding) ? "" : "warning: ", bold, device, age);
	render_table_add(table, RENDER_PLAIN, "");
	render_table_add(table, RENDER_PLAIN, dict_string(finding, "text", ""));
	render_table_add(table, RENDER_DIM, "->");
	render_table_add(table, RENDER_DIM, dict_string(finding, "action", ""));
	rows = render_table_text(table, &ctl->out, 2);
	g_string_append(out, rows);
}

CtlExit ctl_doctor(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) answer = NULL, findings = NULL, supervisor = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) out = g_string_new(NULL);
	gint64 now_ms = g_get_real_time() / 1000;
	guint n_errors = 0;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Shows why a takeover would not work now, or not well, on both devices, and what to do. Exit code 1 when it would not work.", 0, 0))
		return CTL_BAD_INPUT;
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Doctor", NULL, CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	findings = g_variant_get_child_value(answer, 0);
	for (gsize i = 0; i < g_variant_n_children(findings); i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);

		n_errors += is_error(finding);
		print_finding(ctl, out, finding, now_ms);
	}
	/* A PBX that is to be alone has no problem; but the question was whether another would take over. */
	supervisor = ctl_get_all(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, CTL_CALL_TIMEOUT_MS, NULL);
	if (supervisor && strcmp(dict_string(supervisor, "Role", ""), "standalone") == 0) {
		n_errors++;
		g_string_append(out, "redundancy is off here: nobody takes over when this device fails\n"
				     "  ->  understudy enable, on each of the two devices; or pair here and join on a second one.\n");
	}
	if (ctl->json)
		ctl_print_json(findings);
	else
		ctl_print(out->len ? out->str : "nothing stands in the way of a takeover\n");
	return n_errors ? CTL_REFUSED : CTL_OK;
}
