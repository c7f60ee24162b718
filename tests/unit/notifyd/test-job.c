/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a program that delivers is told, and the lines of its answer: notifyd/DELIVERY.md. */
#include <string.h>

#include "notifyd/delivery/job.h"

#define JOB "[job]\nid=ev-1.mail\ntime-ms=1700000000123\ndeadline-ms=60000\n"
#define REST "[to]\nlist=a@example.org;b@example.org;\n[message]\nsubject=hello\nbody=two\\nlines\n"

static void test_good(void)
{
	static const char text[] = JOB REST "[target]\nserver=mail.example\nuser=\n[event]\nname=down\n";
	g_autoptr(GError) error = NULL;
	g_autoptr(DeliveryJob) job = delivery_job_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	g_assert_cmpstr(job->id, ==, "ev-1.mail");
	g_assert_cmpint(job->time_ms, ==, 1700000000123);
	g_assert_cmpint(job->deadline_ms, ==, 60000);
	g_assert_false(job->test);
	g_assert_cmpuint(g_strv_length(job->to), ==, 2);
	g_assert_cmpstr(job->body, ==, "two\nlines");
	g_autofree char *server = delivery_job_target(job, "server"), *name = delivery_job_event(job, "name");
	g_assert_cmpstr(server, ==, "mail.example");
	g_assert_cmpstr(name, ==, "down");
	g_assert_null(delivery_job_target(job, "user")); /* empty is absent */
	g_assert_null(delivery_job_target(job, "ca"));
}

/* What GKeyFile writes comes back, whatever it is. */
static void test_round_trip(void)
{
	static const char *const bodies[] = { "", " a ", "a\nb\r\n\tc", "[job]\nid=other", "\\n\\\\", "Grüße \xE2\x82\xAC" };

	for (guint i = 0; i < G_N_ELEMENTS(bodies); i++) {
		g_autoptr(GKeyFile) file = g_key_file_new();
		g_autoptr(GError) error = NULL;
		const char *const to[] = { "x;y", "z" };
		gsize length;

		g_key_file_set_string(file, "job", "id", "i");
		g_key_file_set_int64(file, "job", "time-ms", 1);
		g_key_file_set_int64(file, "job", "deadline-ms", 1000);
		g_key_file_set_string_list(file, "to", "list", to, 2);
		g_key_file_set_string(file, "message", "subject", bodies[i]);
		g_key_file_set_string(file, "message", "body", bodies[i]);
		g_autofree char *text = g_key_file_to_data(file, &length, NULL);
		g_autoptr(DeliveryJob) job = delivery_job_parse(text, length, &error);
		g_assert_no_error(error);
		g_assert_cmpstr(job->body, ==, bodies[i]);
		g_assert_cmpstr(job->subject, ==, bodies[i]);
		g_assert_cmpstr(job->to[0], ==, "x;y");
	}
}

static void test_bad(void)
{
	static const char *const texts[] = {
		"",
		"no group",
		REST,
		JOB,
		"[job]\nid=a b\ntime-ms=1\ndeadline-ms=1000\n" REST,
		"[job]\nid=\ntime-ms=1\ndeadline-ms=1000\n" REST,
		"[job]\nid=a>\\nBcc: x\ntime-ms=1\ndeadline-ms=1000\n" REST,
		"[job]\nid=a\ntime-ms=-1\ndeadline-ms=1000\n" REST,
		"[job]\nid=a\ntime-ms=1\ndeadline-ms=999\n" REST,
		"[job]\nid=a\ntime-ms=1\ndeadline-ms=600001\n" REST,
		"[job]\nid=a\ntime-ms=x\ndeadline-ms=1000\n" REST,
		JOB "[to]\nlist=\n[message]\nsubject=a\nbody=b\n",
		JOB "[to]\nlist=a\\nb;\n[message]\nsubject=a\nbody=b\n",
		JOB "[to]\nlist=a;;b;\n[message]\nsubject=a\nbody=b\n",
		JOB "[to]\nlist=a;\n[message]\nsubject=a\n",
		JOB "[to]\nlist=a;\n[message]\nsubject=\xff\nbody=b\n",
	};

	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(delivery_job_parse(texts[i], strlen(texts[i]), &error));
		g_assert_nonnull(error);
	}
	g_autofree char *long_one = g_malloc0(DELIVERY_JOB_BYTES + 1);
	g_assert_null(delivery_job_parse(long_one, DELIVERY_JOB_BYTES + 1, NULL));
}

static void test_lines(void)
{
	static const struct {
		DeliveryOutcome outcome;
		const char *words, *line;
	} rows[] = {
		{ DELIVERY_ACCEPTED, "250 2.0.0 OK id=1\r\n", "accepted\tto\t250 2.0.0 OK id=1\n" },
		{ DELIVERY_RETRY, "452 full\n452  try\tlater", "retry\tto\t452 full 452 try later\n" },
		{ DELIVERY_REFUSED, "550 no\xff\x1b[31m", "refused\tto\t550 no\xEF\xBF\xBD [31m\n" },
		{ DELIVERY_REFUSED, "a\xE2\x80\xA8" "b\xC2\x85" "c", "refused\tto\ta b c\n" },
		{ DELIVERY_RETRY, NULL, "retry\tto\t\n" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = delivery_line(rows[i].outcome, "to", rows[i].words);
		g_assert_cmpstr(line, ==, rows[i].line);
	}
	/* The bound never cuts a character. */
	g_autoptr(GString) words = g_string_new("x");
	while (words->len < 2000)
		g_string_append(words, "\xE2\x82\xAC");
	g_autofree char *clean = delivery_clean_words(words->str);
	g_assert_cmpuint(strlen(clean), ==, 1 + 166 * 3);
	g_assert_true(g_utf8_validate(clean, -1, NULL));
}

static void test_hide(void)
{
	g_autoptr(GPtrArray) secrets = g_ptr_array_new();

	g_ptr_array_add(secrets, (char *)"s3cret");
	g_ptr_array_add(secrets, (char *)"");
	g_autofree char *hidden = delivery_hide("bad login s3cret/s3cret!", secrets);
	g_assert_cmpstr(hidden, ==, "bad login ***/***!");
}

static void test_host(void)
{
	static const struct {
		const char *text, *host;
		guint16 port;
	} rows[] = {
		{ "mail.example", "mail.example", 587 },
		{ "mail.example:25", "mail.example", 25 },
		{ "192.0.2.1:2525", "192.0.2.1", 2525 },
		{ "2001:db8::1", "2001:db8::1", 587 },
		{ "[2001:db8::1]", "2001:db8::1", 587 },
		{ "[2001:db8::1]:25", "2001:db8::1", 25 },
		{ "[fe80::1%eth0]:25", "fe80::1%eth0", 25 },
	};
	static const char *const bad[] = { "", ":25", "a:0", "a:65536", "a:x", "a:", "[::1", "[::1]x", "[]:25", "a b", "-a", ".a", "a/b", "a\nb" };

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *host = NULL;
		guint16 port = 0;

		g_assert_true(delivery_parse_host(rows[i].text, 587, &host, &port, &error));
		g_assert_cmpstr(host, ==, rows[i].host);
		g_assert_cmpuint(port, ==, rows[i].port);
	}
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		char *host;
		guint16 port;

		g_assert_false(delivery_parse_host(bad[i], 587, &host, &port, &error));
		g_assert_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED);
	}
}

static void test_ca(void)
{
	static const char *const bad[] = { "", ".", "..", "../x", "a/b", ".hidden", "a b" };
	g_autofree char *path = delivery_ca_path("our-ca_2.x", NULL);

	g_assert_cmpstr(path, ==, "/etc/understudy/ca.d/our-ca_2.x.pem");
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_null(delivery_ca_path(bad[i], NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notifyd/job/good", test_good);
	g_test_add_func("/notifyd/job/round-trip", test_round_trip);
	g_test_add_func("/notifyd/job/bad", test_bad);
	g_test_add_func("/notifyd/job/lines", test_lines);
	g_test_add_func("/notifyd/job/hide", test_hide);
	g_test_add_func("/notifyd/job/host", test_host);
	g_test_add_func("/notifyd/job/ca", test_ca);
	return g_test_run();
}
