/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/foreign.c - /proc, in a thread: every few seconds while processes are being made, else once a minute. */
#include "supervisor/applications/foreign.h"

#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/processes/proc.h"

#define EVERY_US (4500 * G_TIME_SPAN_MILLISECOND) /* who calls does so every five seconds, more or less */
#define AT_LEAST_EVERY 12 /* of these: a process may become another program long after it was made */

struct Foreign {
	ForeignAskCb ask;
	ForeignCb changed;
	gpointer user_data;
	gint64 look_us; /* when to look next at the earliest */
	GCancellable *looking;
	GPtrArray *asked; /* what the last look was for; of ForeignWanted* */
	guint64 newest;   /* the newest process before it */
	guint n_spared;   /* looks, since it */
	GPtrArray *last;  /* what it found; of ForeignFound* */
	GPtrArray *known; /* told of */
};

ForeignWanted *foreign_wanted_new(const char *name, const char *program, const char *unit)
{
	ForeignWanted *wanted = g_new0(ForeignWanted, 1);
	*wanted = (ForeignWanted){ g_strdup(name), g_strdup(program), g_strdup(unit) };
	return wanted;
}

void foreign_wanted_free(gpointer data)
{
	ForeignWanted *wanted = data;
	g_free(wanted->name);
	g_free(wanted->program);
	g_free(wanted->unit);
	g_free(wanted);
}

static void found_free(gpointer data)
{
	ForeignFound *found = data;
	g_free(found->name);
	g_free(found);
}

static GPtrArray *found_list(void)
{
	return g_ptr_array_new_with_free_func(found_free);
}

static void add_found(GPtrArray *list, const char *name, pid_t pid)
{
	ForeignFound *found = g_new0(ForeignFound, 1);
	*found = (ForeignFound){ g_strdup(name), pid };
	g_ptr_array_add(list, found);
}

static bool holds(GPtrArray *list, const ForeignFound *wanted)
{
	for (guint i = 0; i < list->len; i++) {
		const ForeignFound *found = list->pdata[i];
		if (found->pid == wanted->pid && strcmp(found->name, wanted->name) == 0)
			return true;
	}
	return false;
}

static bool same_wanted(GPtrArray *a, GPtrArray *b)
{
	if (a->len != b->len)
		return false;
	for (guint i = 0; i < a->len; i++) {
		const ForeignWanted *x = a->pdata[i], *y = b->pdata[i];
		if (strcmp(x->name, y->name) != 0 || strcmp(x->program, y->program) != 0 || g_strcmp0(x->unit, y->unit) != 0)
			return false;
	}
	return true;
}

guint64 foreign_newest(const char *proc)
{
	g_autofree char *path = g_build_filename(proc, "loadavg", NULL), *text = NULL;
	guint64 newest = 0;
	if (!g_file_get_contents(path, &text, NULL, NULL) || !strrchr(text, ' ') ||
	    !g_ascii_string_to_unsigned(g_strchomp(strrchr(text, ' ') + 1), 10, 1, G_MAXUINT64, &newest, NULL))
		return 0;
	return newest;
}

bool foreign_is_telling(const char *program)
{
	static const char *const common[] = { "sh", "bash", "dash", "busybox", "env", "nice", "ionice", "chrt", "taskset", "setsid", "timeout",
					      "sudo", "python", "perl", "ruby", "php", "node", "java", "lua", "sleep", NULL };
	const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
	g_autofree char *word = g_strndup(name, strcspn(name, "0123456789.-"));
	return *word && !g_strv_contains(common, word);
}

/* ---- In the thread ---- */

typedef struct {
	const ForeignWanted *wanted;
	struct stat program;
	bool script;
} Target;

static bool is_script(const char *program)
{
	char head[2] = "";
	FILE *file = fopen(program, "re");
	bool script = file && fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, "#!", sizeof head) == 0;
	if (file)
		fclose(file);
	return script;
}

static bool reads_as(const char *proc, const char *pid, const char *name, char **ret_text)
{
	g_autofree char *path = g_build_filename(proc, pid, name, NULL);
	return g_file_get_contents(path, ret_text, NULL, NULL);
}

static bool runs(const Target *target, const char *proc, const char *pid)
{
	struct stat exe;
	g_autofree char *path = g_build_filename(proc, pid, "exe", NULL);
	if (!target->script)
		return stat(path, &exe) == 0 && exe.st_dev == target->program.st_dev && exe.st_ino == target->program.st_ino;
	g_autofree char *command = NULL;
	return reads_as(proc, pid, "cmdline", &command) && *command && strcmp(command + strlen(command) + 1, target->wanted->program) == 0;
}

/* In a control group of ours, or of its own service; on a terminal; or in a container of its own. */
static bool is_of_no_concern(const Target *target, const char *proc, const char *pid)
{
	g_autofree char *groups = NULL, *text = NULL, *namespace = NULL, *link = g_build_filename(proc, pid, "ns/pid", NULL);
	if (!reads_as(proc, pid, "cgroup", &groups) || strstr(groups, "/" CGROUP_APPS "/"))
		return true;
	if (target->wanted->unit) {
		g_autofree char *own = g_strdup_printf("/%s\n", target->wanted->unit), *below = g_strdup_printf("/%s/", target->wanted->unit);
		if (strstr(groups, own) || strstr(groups, below))
			return true;
	}
	if (!reads_as(proc, pid, "stat", &text))
		return true;
	const char *at = strrchr(text, ')');
	int terminal = 1;
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %d", &terminal) != 1 || terminal != 0)
		return true;
	namespace = g_file_read_link(link, NULL);
	g_autofree char *own_namespace = g_file_read_link("/proc/self/ns/pid", NULL);
	return namespace && own_namespace && strcmp(namespace, own_namespace) != 0;
}

GPtrArray *foreign_scan(const char *proc, GPtrArray *wanted)
{
	GPtrArray *found = found_list();
	g_autofree Target *targets = g_new0(Target, wanted->len + 1);
	guint n = 0;
	for (guint i = 0; i < wanted->len; i++) {
		const ForeignWanted *one = wanted->pdata[i];
		if (stat(one->program, &targets[n].program) < 0)
			continue;
		targets[n].wanted = one;
		targets[n++].script = is_script(one->program);
	}
	g_autoptr(GDir) folder = n ? g_dir_open(proc, 0, NULL) : NULL;
	const char *pid;
	while (folder && (pid = g_dir_read_name(folder))) {
		if (!g_ascii_isdigit(*pid))
			continue;
		for (guint i = 0; i < n; i++)
			if (runs(&targets[i], proc, pid) && !is_of_no_concern(&targets[i], proc, pid))
				add_found(found, targets[i].wanted->name, (pid_t)strtol(pid, NULL, 10));
	}
	return found;
}

typedef struct {
	GPtrArray *found;
	guint64 newest;
} Look;

static void look_free(gpointer data)
{
	Look *look = data;
	g_ptr_array_unref(look->found);
	g_free(look);
}

static void look(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Look *look = g_new0(Look, 1);
	look->newest = foreign_newest("/proc"); /* here, for this thread is new itself; before it looks */
	look->found = foreign_scan("/proc", data);
	g_task_return_pointer(task, look, look_free);
}

/* ---- In the loop ---- */

static void on_looked(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Look *look = g_task_propagate_pointer(G_TASK(result), NULL);
	if (!look)
		return; /* cancelled */
	Foreign *foreign = user_data;
	g_autoptr(GPtrArray) found = g_ptr_array_ref(look->found);
	foreign->newest = look->newest;
	look_free(look);
	g_clear_object(&foreign->looking);
	GPtrArray *twice = found_list();
	bool same = true;
	for (guint i = 0; i < found->len; i++) {
		const ForeignFound *one = found->pdata[i];
		if (!holds(foreign->last, one))
			continue;
		add_found(twice, one->name, one->pid);
		same &= holds(foreign->known, one);
	}
	same &= twice->len == foreign->known->len;
	g_ptr_array_unref(foreign->last);
	foreign->last = g_steal_pointer(&found);
	g_ptr_array_unref(foreign->known);
	foreign->known = twice;
	if (!same)
		foreign->changed(twice, foreign->user_data);
}

void foreign_look(Foreign *foreign)
{
	gint64 now_us = g_get_monotonic_time();
	if (foreign->looking || now_us < foreign->look_us)
		return;
	foreign->look_us = now_us + EVERY_US;
	g_autoptr(GPtrArray) wanted = foreign->ask(foreign->user_data);
	guint64 newest = foreign_newest("/proc");
	bool nothing_new = newest && newest == foreign->newest && same_wanted(wanted, foreign->asked);
	/* The turn after news sees what has become of them; what was found is watched until it goes. */
	bool calm = nothing_new && foreign->n_spared > 0 && foreign->last->len == 0 && foreign->known->len == 0;
	foreign->n_spared = nothing_new ? foreign->n_spared + 1 : 0;
	if (calm && foreign->n_spared % AT_LEAST_EVERY != 0)
		return;
	g_ptr_array_unref(foreign->asked);
	foreign->asked = g_ptr_array_ref(wanted);
	foreign->looking = g_cancellable_new();
	g_autoptr(GTask) task = g_task_new(NULL, foreign->looking, on_looked, foreign);
	g_task_set_task_data(task, g_steal_pointer(&wanted), (GDestroyNotify)g_ptr_array_unref);
	g_task_run_in_thread(task, look);
}

Foreign *foreign_new(ForeignAskCb ask, ForeignCb changed, gpointer user_data)
{
	Foreign *foreign = g_new0(Foreign, 1);
	*foreign = (Foreign){ .ask = ask, .changed = changed, .user_data = user_data, .asked = g_ptr_array_new(), .last = found_list(), .known = found_list() };
	foreign->look_us = g_get_monotonic_time() + EVERY_US;
	return foreign;
}

void foreign_free(Foreign *foreign)
{
	if (!foreign)
		return;
	if (foreign->looking)
		g_cancellable_cancel(foreign->looking);
	g_clear_object(&foreign->looking);
	g_ptr_array_unref(foreign->asked);
	g_ptr_array_unref(foreign->last);
	g_ptr_array_unref(foreign->known);
	g_free(foreign);
}
