/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/ask.c - commands that answer a question, each in a control group of its own, all at once. */
#include "supervisor/applications/ask.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/applications/application-private.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/output.h"

#define CGROUP_ASKS "understudy-asks"
#define OUTPUT_MOST 4096

typedef struct {
	Ask *ask;
	char *name, *cgroup;
	Process *process;
	int output;
} Question;

struct Ask {
	AskKind kind;
	AskDoneCb done;
	gpointer user_data;
	GPtrArray *questions;
	guint n_open;
	guint timer, idle;
	GString *text;
	Answers answers;
};

static void question_free(gpointer data)
{
	Question *question = data;
	if (question->process) {
		(void)!cgroup_kill(question->cgroup, NULL);
		process_forget(question->process);
	}
	close(question->output);
	g_free(question->name);
	g_free(question->cgroup);
	g_free(question);
}

void ask_free(Ask *ask)
{
	if (!ask)
		return;
	if (ask->timer)
		g_source_remove(ask->timer);
	if (ask->idle)
		g_source_remove(ask->idle);
	g_ptr_array_unref(ask->questions);
	g_string_free(ask->text, TRUE);
	g_free(ask);
}

static gboolean finish(gpointer user_data)
{
	Ask *ask = user_data;
	g_autofree char *text = g_strdup(ask->text->str);
	Answers answers = ask->answers;
	AskDoneCb done = ask->done;
	gpointer done_data = ask->user_data;
	answers.text = text;
	ask->idle = 0;
	ask_free(ask);
	done(&answers, done_data);
	return G_SOURCE_REMOVE;
}

static void tell(Ask *ask, const char *name, const char *what)
{
	g_string_append_printf(ask->text, "%s%s: %s", ask->text->len ? ", " : "", name, what);
}

/* What cannot be found out counts as somebody being on the phone, and as no contact. */
static void take(Question *question, int status)
{
	Ask *ask = question->ask;
	char buffer[OUTPUT_MOST + 1];
	ssize_t n = pread(question->output, buffer, OUTPUT_MOST, 0);
	buffer[MAX(n, 0)] = '\0';
	g_autofree char *last = output_last_lines(buffer, 1, 200), *how = process_describe(status);
	bool exited = status != -1 && WIFEXITED(status);
	g_strstrip(last);
	if (ask->kind == ASK_COUNT) {
		guint64 count = 0;
		if (exited && WEXITSTATUS(status) == 0 && g_ascii_string_to_unsigned(last, 10, 0, G_MAXUINT32, &count, NULL))
			ask->answers.count += count;
		else
			tell(ask, question->name, *last ? last : how);
	} else if (!exited || WEXITSTATUS(status) != 0) {
		ask->answers.quiet = false;
		tell(ask, question->name, *last ? last : exited && WEXITSTATUS(status) == 1 ? "somebody is on the phone" : how);
	}
}

static void on_ended(int status, gpointer user_data)
{
	Question *question = user_data;
	Ask *ask = question->ask;
	question->process = NULL;
	if (cgroup_is_populated(question->cgroup))
		(void)!cgroup_kill(question->cgroup, NULL); /* what it left behind */
	take(question, status);
	if (--ask->n_open == 0 && !ask->idle)
		ask->idle = g_idle_add_full(G_PRIORITY_DEFAULT, finish, ask, NULL);
}

static gboolean on_too_long(gpointer user_data)
{
	Ask *ask = user_data;
	ask->timer = 0;
	for (guint i = 0; i < ask->questions->len; i++) {
		const Question *question = ask->questions->pdata[i];
		if (question->process) {
			ask->answers.quiet = false;
			tell(ask, question->name, "does not answer");
		}
	}
	(void)finish(ask);
	return G_SOURCE_REMOVE;
}

static void put(Application *application, gpointer user_data)
{
	Ask *ask = user_data;
	const SettingsApplication *settings = application->settings;
	char **command = ask->kind == ASK_QUIET ? settings->quiet_command : settings->count_command;
	g_autoptr(GError) error = NULL;
	Spawned spawned;
	if (!command || application->app.state != APP_RUNNING)
		return;
	ask->answers.n_asked++;
	Question *question = g_new0(Question, 1);
	question->ask = ask;
	question->name = g_strdup(settings->name);
	question->output = memfd_create("answer", MFD_CLOEXEC);
	g_ptr_array_add(ask->questions, question);
	question->cgroup = cgroup_make(application->all->cgroup, CGROUP_ASKS, settings->name, &error);
	if (question->cgroup && cgroup_renew(question->cgroup) &&
	    launch_beside(application, command, question->cgroup, question->output, &spawned, &error)) {
		question->process = process_watch(application->all->processes, &spawned, on_ended, question);
		ask->n_open++;
		return;
	}
	ask->answers.quiet = false;
	tell(ask, settings->name, error ? error->message : "an earlier question is still running");
}

Ask *ask_begin(Applications *applications, AskKind kind, AskDoneCb done, gpointer user_data)
{
	Ask *ask = g_new0(Ask, 1);
	*ask = (Ask){ .kind = kind, .done = done, .user_data = user_data, .answers.quiet = true };
	ask->questions = g_ptr_array_new_with_free_func(question_free);
	ask->text = g_string_new(NULL);
	applications_each(applications, put, ask);
	if (ask->n_open)
		ask->timer = g_timeout_add(ASK_MS, on_too_long, ask);
	else
		ask->idle = g_idle_add_full(G_PRIORITY_DEFAULT, finish, ask, NULL);
	return ask;
}
