/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-output.c - what an application answers to OPTIONS and what it writes; and the kernel's tables of ports. */
#include <string.h>

#include "fuzz.h"
#include "supervisor/processes/output.h"
#include "supervisor/applications/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	guint status = probe_sip_status(text, "understudy-1");
	const SettingsCheck check = { .kind = SETTINGS_CHECK_PORT, .port = 5060, .host = (char *)"127.0.0.1" };

	g_assert_true(status == 0 || (status >= 200 && status < 700 && strstr(text, "understudy-1")));
	(void)probe_find_port(text, false, &check);
	(void)probe_find_port(text, true, &check);
	g_autofree char *last = output_last_lines(text, OUTPUT_LAST_LINES, 100);
	g_assert_true(g_utf8_validate(last, -1, NULL));
	guint n_lines = 0;
	for (const char *at = last; *at; at++)
		n_lines += *at == '\n';
	g_assert_cmpuint(n_lines, <=, OUTPUT_LAST_LINES);
	return 0;
}
