/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-job.c - what a program that delivers reads, and servers' words in its answer. */
#include "fuzz.h"
#include "notifyd/delivery/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(DeliveryJob) job = delivery_job_parse(text, strlen(text), &error);
	g_autofree char *clean = delivery_clean_words(text);

	g_assert_true(g_utf8_validate(clean, -1, NULL));
	g_assert_cmpuint(strlen(clean), <=, DELIVERY_WORDS_BYTES);
	for (const char *p = clean; *p; p = g_utf8_next_char(p))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
	if (!job) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_true(job->to[0] && *job->to[0] && g_strv_length(job->to) <= DELIVERY_RECIPIENTS);
	for (guint i = 0; job->to[i]; i++) {
		g_autofree char *line = delivery_line(DELIVERY_RETRY, job->to[i], text);
		g_auto(GStrv) fields = g_strsplit(line, "\t", -1);
		g_assert_cmpuint(g_strv_length(fields), ==, 3);
		g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
	}
	g_autofree char *server = delivery_job_target(job, "server");
	if (server) {
		g_autoptr(GError) host_error = NULL;
		g_autofree char *host = NULL;
		guint16 port = 0;
		if (delivery_parse_host(server, 587, &host, &port, &host_error))
			g_assert_true(*host && port && !strpbrk(host, " /\r\n<>"));
		else
			fuzz_check_error(host_error);
	}
	return 0;
}
