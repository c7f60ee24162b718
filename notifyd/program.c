/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/program.c - the pipes and the end of one delivery program. */
#include "program.h"

#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MAX_LINE   4096
#define MAX_OUTPUT (256 * 1024) /* of one run; a program that says more says nothing */

struct NotifyProgram {
	GSubprocess *process; /* NULL once told to nobody any more */
	GCancellable *cancel;
	GBytes *job;
	GByteArray *rest; /* a line that is not whole yet */
	gsize n_output;
	bool closed, ended, late;
	guint deadline;
	guint n_pending; /* operations that hold this */
	NotifyProgramLine line;
	NotifyProgramEnd end;
	gpointer user_data;
	guint8 buffer[4096];
};

/* The program dies with us: what nobody reads the answer of must not be sent beside what the next one sends. */
static void die_with_parent(gpointer user_data)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != GPOINTER_TO_INT(user_data)) /* we were gone before it could ask for that */
		_exit(1);
}

static void release(NotifyProgram *program)
{
	if (--program->n_pending > 0)
		return;
	g_clear_object(&program->process);
	g_object_unref(program->cancel);
	g_bytes_unref(program->job);
	g_byte_array_unref(program->rest);
	g_free(program);
}

static void take_line(NotifyProgram *program, const char *line)
{
	g_autofree char *recipient = NULL, *words = NULL;
	OutboxOutcome outcome;

	if (!outbox_parse_line(line, &outcome, &recipient, &words)) {
		g_warning("a delivery program said something that is no answer: %.100s", line);
		return;
	}
	program->line(recipient, outcome, words, program->user_data);
}

static void take_output(NotifyProgram *program, const guint8 *data, gsize length)
{
	program->n_output += length;
	if (program->n_output > MAX_OUTPUT)
		return;
	for (gsize i = 0; i < length && program->line; i++) {
		if (data[i] != '\n' && program->rest->len < MAX_LINE) {
			g_byte_array_append(program->rest, &data[i], 1);
			continue;
		}
		if (data[i] != '\n')
			continue;
		g_byte_array_append(program->rest, (const guint8 *)"", 1);
		take_line(program, (const char *)program->rest->data);
		g_byte_array_set_size(program->rest, 0);
	}
}

static void finish(NotifyProgram *program)
{
	NotifyProgramEnd end = program->end;
	g_autofree char *how = NULL;

	if (!end || !program->ended || !(program->closed || program->late))
		return;
	if (program->late)
		how = g_strdup("no answer before the deadline");
	else if (g_subprocess_get_if_signaled(program->process))
		how = g_strdup_printf("the program died of signal %d", g_subprocess_get_term_sig(program->process));
	else if (g_subprocess_get_if_exited(program->process) && g_subprocess_get_exit_status(program->process) != 0)
		how = g_strdup_printf("the program ended with status %d", g_subprocess_get_exit_status(program->process));
	else
		how = g_strdup("");
	program->end = NULL;
	program->line = NULL;
	g_clear_handle_id(&program->deadline, g_source_remove);
	g_cancellable_cancel(program->cancel);
	end(how, program->user_data);
}

static void read_more(NotifyProgram *program);

static void on_read(GObject *source, GAsyncResult *result, gpointer user_data)
{
	NotifyProgram *program = user_data;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);

	if (n > 0 && program->line) {
		take_output(program, program->buffer, (gsize)n);
		read_more(program);
	} else {
		program->closed = true;
		finish(program);
	}
	release(program);
}

static void read_more(NotifyProgram *program)
{
	program->n_pending++;
	g_input_stream_read_async(g_subprocess_get_stdout_pipe(program->process), program->buffer, sizeof program->buffer, G_PRIORITY_DEFAULT,
				  program->cancel, on_read, program);
}

static void on_written(GObject *source, GAsyncResult *result, gpointer user_data)
{
	NotifyProgram *program = user_data;

	/* One that does not read its job ends without an answer, which says all. */
	(void)g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, NULL);
	(void)g_output_stream_close(G_OUTPUT_STREAM(source), NULL, NULL);
	release(program);
}

static void on_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
	NotifyProgram *program = user_data;

	(void)g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
	program->ended = true;
	finish(program);
	release(program);
}

static gboolean on_deadline(gpointer user_data)
{
	NotifyProgram *program = user_data;

	program->deadline = 0;
	program->late = true;
	g_subprocess_force_exit(program->process);
	finish(program); /* it may be a child of its own that keeps the pipe */
	return G_SOURCE_REMOVE;
}

NotifyProgram *notify_program_start(const char *path, const char *job, gint64 deadline_ms, NotifyProgramLine line, NotifyProgramEnd end,
				    gpointer user_data, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
	const char *argv[] = { path, NULL };
	NotifyProgram *program;
	GSubprocess *process;
	gsize length;

	g_subprocess_launcher_set_child_setup(launcher, die_with_parent, GINT_TO_POINTER((int)getpid()), NULL);
	process = g_subprocess_launcher_spawnv(launcher, argv, error);
	if (!process)
		return NULL;
	program = g_new0(NotifyProgram, 1);
	program->process = process;
	program->cancel = g_cancellable_new();
	program->job = g_bytes_new(job, strlen(job));
	program->rest = g_byte_array_new();
	program->line = line;
	program->end = end;
	program->user_data = user_data;
	program->deadline = g_timeout_add((guint)deadline_ms, on_deadline, program);
	read_more(program);
	program->n_pending++;
	g_output_stream_write_all_async(g_subprocess_get_stdin_pipe(process), g_bytes_get_data(program->job, &length), g_bytes_get_size(program->job),
					G_PRIORITY_DEFAULT, program->cancel, on_written, program);
	program->n_pending++;
	g_subprocess_wait_async(process, NULL, on_ended, program);
	return program;
}

void notify_program_kill(NotifyProgram *program)
{
	if (!program)
		return;
	program->line = NULL;
	program->end = NULL;
	g_clear_handle_id(&program->deadline, g_source_remove);
	g_subprocess_force_exit(program->process);
	g_cancellable_cancel(program->cancel);
}
