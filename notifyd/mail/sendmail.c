/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/sendmail.c - runs sendmail, in a group of its own that ends with the deadline. */
#include "notifyd/mail/sendmail.h"

#include <gio/gio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "notifyd/delivery/job.h"

DeliveryOutcome mail_sendmail_outcome(int status)
{
	switch (status) {
	case EX_OK:
		return DELIVERY_ACCEPTED;
	case EX_USAGE:
	case EX_DATAERR:
	case EX_NOUSER:
	case EX_NOHOST:
	case EX_NOPERM:
		return DELIVERY_REFUSED;
	default: /* EX_TEMPFAIL, a disk that is full, a configuration that somebody is writing */
		return DELIVERY_RETRY;
	}
}

static char *find_program(void)
{
	static const char *const places[] = { "/usr/sbin/sendmail", "/usr/lib/sendmail", NULL };
	char *found = g_find_program_in_path("sendmail");

	for (guint i = 0; !found && places[i]; i++)
		if (g_file_test(places[i], G_FILE_TEST_IS_EXECUTABLE))
			found = g_strdup(places[i]);
	return found;
}

static void in_child(gpointer data)
{
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Sendmail commands expect the line ends of this system. */
static GBytes *with_newlines(const char *text)
{
	GString *lines = g_string_new(NULL);

	for (const char *p = text; *p; p++)
		if (*p != '\r')
			g_string_append_c(lines, *p);
	return g_string_free_to_bytes(lines);
}

static void answer(DeliveryRun *run, GSubprocess *process, GBytes *output)
{
	gsize length = 0;
	const char *bytes = output ? g_bytes_get_data(output, &length) : NULL;
	g_autofree char *said = g_strndup(bytes ? bytes : "", MIN(length, 2 * DELIVERY_WORDS_BYTES));
	g_autofree char *words = NULL;

	if (!g_subprocess_get_if_exited(process)) {
		words = g_strdup_printf("sendmail was killed by signal %d: %s", g_subprocess_get_term_sig(process), said);
		delivery_run_answer_all(run, DELIVERY_RETRY, words);
		return;
	}
	int status = g_subprocess_get_exit_status(process);
	if (status == 0)
		words = g_strdup_printf("sendmail has taken it%s%s", *said ? ": " : "", said);
	else
		words = g_strdup_printf("sendmail ended with %d: %s", status, said);
	delivery_run_answer_all(run, mail_sendmail_outcome(status), words);
}

void mail_sendmail_send(DeliveryRun *run, const MailMessage *message)
{
	g_autofree char *program = find_program(), *text = mail_message_compose(message);
	g_autoptr(GSubprocessLauncher) launcher = NULL;
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GBytes) input = with_newlines(text), output = NULL;
	g_autoptr(GError) error = NULL;

	if (!program) {
		delivery_run_answer_all(run, DELIVERY_RETRY, "there is no sendmail command on this device");
		return;
	}
	/* -i: a dot alone in a line is no end. Whatever follows "--" is a recipient. */
	g_ptr_array_add(words, program);
	g_ptr_array_add(words, (char *)"-i");
	g_ptr_array_add(words, (char *)"-f");
	g_ptr_array_add(words, (char *)message->from);
	g_ptr_array_add(words, (char *)"--");
	for (guint i = 0; message->to[i]; i++)
		g_ptr_array_add(words, (char *)message->to[i]);
	g_ptr_array_add(words, NULL);

	launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
	g_subprocess_launcher_set_child_setup(launcher, in_child, NULL, NULL);
	process = g_subprocess_launcher_spawnv(launcher, (const char *const *)words->pdata, &error);
	if (!process) {
		g_prefix_error(&error, "%s: ", program);
		delivery_run_answer_all(run, DELIVERY_RETRY, error->message);
		return;
	}
	if (g_subprocess_get_identifier(process)) /* it has not ended yet */
		delivery_run_set_child(run, atoi(g_subprocess_get_identifier(process)));
	delivery_run_step(run, "waiting for %s", program);
	if (!g_subprocess_communicate(process, input, NULL, &output, NULL, &error))
		g_debug("sendmail: %s", error->message); /* it closed its input early: its status says more */
	if (!g_subprocess_wait(process, NULL, NULL))
		return;
	delivery_run_set_child(run, 0);
	answer(run, process, output);
}
