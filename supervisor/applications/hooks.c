/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/hooks.c - each hook in a control group of its own, killed whole at its deadline. */
#include "supervisor/applications/hooks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/applications/application-private.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/output.h"

#define CGROUP_HOOKS "understudy-hooks"
#define STAGED_BY_SYNCD "/var/lib/understudy/sync/staged"
#define STAGED "/run/understudy/staged" /* where a hook finds it; only it */
#define UNITING_BY_SYNCD "/var/lib/understudy/sync/uniting"
#define UNITING "/run/understudy/uniting"
#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_INTERFACE "org.understudy.Sync1"
#define OUTPUT_MOST (256 * 1024)
#define LINES_TOLD 5
#define BYTES_TOLD 1000
#define CALL_MS 1000
#define AGAIN_MS 20

typedef struct {
	Hooks *hooks;
	guint64 serial;
	SettingsHookKind kind;
	char *application, *commit, *role;
	char *from, *to; /* firmware */
	char *cgroup;
	Identity *identity;
	Process *process;
	int output;
	guint deadline, again;
	guint timeout_ms;
	bool ended; /* told; kept until it is not wanted any more */
} Hook;

struct Hooks {
	Applications *applications;
	BusLink *link;
	GPtrArray *list; /* of Hook* */
};

static void stop_timers(Hook *hook)
{
	g_clear_handle_id(&hook->deadline, g_source_remove);
	g_clear_handle_id(&hook->again, g_source_remove);
}

static void hook_free(gpointer data)
{
	Hook *hook = data;
	stop_timers(hook);
	if (hook->cgroup && cgroup_is_populated(hook->cgroup))
		(void)!cgroup_kill(hook->cgroup, NULL);
	if (hook->process)
		process_forget(hook->process);
	if (hook->output >= 0)
		close(hook->output);
	identity_free(hook->identity);
	g_free(hook->application);
	g_free(hook->commit);
	g_free(hook->role);
	g_free(hook->from);
	g_free(hook->to);
	g_free(hook->cgroup);
	g_free(hook);
}

/* ---- Its end ---- */

static void tell(Hook *hook, bool ok, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	hook->ended = true;
	stop_timers(hook);
	(void)bus_link_call(hook->hooks->link, NULL, SYNC_PATH, SYNC_INTERFACE, "HookDone", g_variant_new("(tbs)", hook->serial, ok, valid), CALL_MS,
			    NULL, NULL);
}

/* What it wrote last, or NULL when it wrote nothing. */
static char *last_words(const Hook *hook)
{
	g_autofree char *buffer = g_malloc0(OUTPUT_MOST + 1);
	off_t end = lseek(hook->output, 0, SEEK_CUR); /* the file has its whole size from the beginning */
	ssize_t n = end > 0 ? pread(hook->output, buffer, (size_t)MIN(end, OUTPUT_MOST), 0) : 0;
	g_autofree char *last = n > 0 ? output_last_lines(buffer, LINES_TOLD, BYTES_TOLD) : NULL;
	return last && *g_strstrip(last) ? g_steal_pointer(&last) : NULL;
}

static void on_ended(int status, gpointer user_data)
{
	Hook *hook = user_data;
	g_autofree char *words = last_words(hook), *how = process_describe(status);
	hook->process = NULL;
	if (cgroup_is_populated(hook->cgroup))
		(void)!cgroup_kill(hook->cgroup, NULL); /* what it left behind */
	if (hook->ended)
		return;
	bool ok = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	tell(hook, ok, words ? words : how);
}

static gboolean on_deadline(gpointer user_data)
{
	Hook *hook = user_data;
	g_autofree char *words = last_words(hook);
	g_autofree char *text = g_strdup_printf("not done after %u ms, killed%s%s", hook->timeout_ms, words ? ": " : "", words ? words : "");
	hook->deadline = 0;
	(void)!cgroup_kill(hook->cgroup, NULL);
	tell(hook, false, text);
	return G_SOURCE_REMOVE;
}

/* ---- Its beginning ---- */

static gint compare_lengths(gconstpointer a, gconstpointer b)
{
	const SettingsData *x = *(const SettingsData *const *)a, *y = *(const SettingsData *const *)b;
	gsize m = strlen(x->path), n = strlen(y->path);
	return (m > n) - (m < n);
}

/* What it looks at: below STAGED, and each set in its own place, so that a command with the paths it always has finds what would be there. */
static char **binds_of(const SettingsApplication *settings)
{
	g_autoptr(GStrvBuilder) binds = g_strv_builder_new();
	g_autofree char *staged = g_build_filename(STAGED_BY_SYNCD, settings->name, NULL);
	g_autoptr(GPtrArray) sets = g_ptr_array_copy(settings->data, NULL, NULL);
	g_ptr_array_set_free_func(sets, NULL);
	g_strv_builder_add_many(binds, staged, STAGED, NULL);
	g_ptr_array_sort(sets, compare_lengths); /* one that lies in another comes after it */
	for (guint i = 0; i < sets->len; i++) {
		const SettingsData *data = sets->pdata[i];
		g_autofree char *from = data->kind == SETTINGS_DATA_SQLITE ?
						g_strdup_printf("%s/%s/%s", staged, data->name, strrchr(data->path, '/') + 1) :
						g_build_filename(staged, data->name, NULL);
		if (data->ref == SETTINGS_REF_CONFIG && g_file_test(from, G_FILE_TEST_EXISTS) && g_file_test(data->path, G_FILE_TEST_EXISTS))
			g_strv_builder_add_many(binds, from, data->path, NULL);
	}
	return g_strv_builder_end(binds);
}

/* What a line that lost has, and what it was made from; the files here are not hidden, it is to add to them. */
static char **uniting_binds_of(const SettingsApplication *settings)
{
	g_autoptr(GStrvBuilder) binds = g_strv_builder_new();
	g_autofree char *uniting = g_build_filename(UNITING_BY_SYNCD, settings->name, NULL);
	g_strv_builder_add_many(binds, uniting, UNITING, NULL);
	return g_strv_builder_end(binds);
}

/* It takes so much and no more: what a hook says at length is not kept in memory. */
static int open_output(void)
{
	int fd = memfd_create("hook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && (ftruncate(fd, OUTPUT_MOST) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void try(Hook *hook);

static gboolean on_again(gpointer user_data)
{
	Hook *hook = user_data;
	hook->again = 0;
	try(hook);
	return G_SOURCE_REMOVE;
}

/* The name service has answered. */
static gboolean on_identity(gpointer user_data)
{
	Hook *hook = user_data;
	if (!hook->process && !hook->ended && !hook->again)
		hook->again = g_idle_add(on_again, hook);
	return G_SOURCE_REMOVE;
}

static bool launch_it(Hook *hook, Application *application, GError **error)
{
	const SettingsApplication *settings = application->settings;
	g_auto(GStrv) binds = NULL;
	const char *environment[] = {
		"UNDERSTUDY_HOOK", settings_hook_names[hook->kind], "UNDERSTUDY_COMMIT", hook->commit, "UNDERSTUDY_ROLE", hook->role,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	};
	guint n = 6;
	switch (hook->kind) {
	case SETTINGS_HOOK_VALIDATE:
		binds = binds_of(settings);
		environment[n++] = "UNDERSTUDY_STAGED";
		environment[n++] = STAGED;
		break;
	case SETTINGS_HOOK_MIGRATE:
		binds = binds_of(settings);
		environment[n++] = "UNDERSTUDY_STAGED";
		environment[n++] = STAGED;
		environment[n++] = "UNDERSTUDY_FIRMWARE_FROM";
		environment[n++] = hook->from;
		environment[n++] = "UNDERSTUDY_FIRMWARE_TO";
		environment[n++] = hook->to;
		break;
	case SETTINGS_HOOK_UNITE:
		binds = uniting_binds_of(settings);
		environment[n++] = "UNDERSTUDY_BASE";
		environment[n++] = UNITING "/base";
		environment[n++] = "UNDERSTUDY_THEIRS";
		environment[n++] = UNITING "/theirs";
		break;
	case SETTINGS_HOOK_ACT:
	case SETTINGS_N_HOOKS:
		break;
	}
	LaunchHook how = {
		.identity = hook->identity,
		.environment = environment,
		.binds = (const char *const *)binds,
		.changes = hook->kind == SETTINGS_HOOK_MIGRATE,
	};
	Spawned spawned;
	if (!launch_hook(application, settings->hooks[hook->kind].command, hook->cgroup, hook->output, &how, &spawned, error))
		return false;
	hook->process = process_watch(application->all->processes, &spawned, on_ended, hook);
	return true;
}

static void try(Hook *hook)
{
	Application *application = applications_find(hook->hooks->applications, hook->application);
	g_autoptr(GError) error = NULL;
	const SettingsApplication *settings = application ? application->settings : NULL;
	if (!settings || !settings->hooks[hook->kind].command) {
		tell(hook, false, "there is no such command in the settings of this device");
		return;
	}
	const char *user = settings->hook_user;
	if (!hook->deadline) {
		g_autofree char *name = g_strdup_printf("%s.%s", settings->name, settings_hook_names[hook->kind]);
		hook->timeout_ms = settings->hooks[hook->kind].timeout_ms;
		hook->deadline = g_timeout_add(hook->timeout_ms, on_deadline, hook);
		hook->identity = user ? identity_new(user, NULL, on_identity, hook) : NULL;
		hook->output = open_output();
		hook->cgroup = cgroup_make(application->all->cgroup, CGROUP_HOOKS, name, &error);
		(void)g_mkdir_with_parents(STAGED, 0755);
		(void)g_mkdir_with_parents(UNITING, 0755);
	}
	if (!hook->cgroup) {
		tell(hook, false, error->message);
		return;
	}
	if (hook->identity && identity_state(hook->identity) == IDENTITY_ASKING)
		return;
	/* One that an earlier supervisor left behind, or that is just being killed. */
	if (!cgroup_renew(hook->cgroup)) {
		(void)!cgroup_kill(hook->cgroup, NULL);
		hook->again = g_timeout_add(AGAIN_MS, on_again, hook);
		return;
	}
	if (!launch_it(hook, application, &error))
		tell(hook, false, error->message);
}

/* ---- What is wanted ---- */

static Hook *find(Hooks *hooks, guint64 serial)
{
	for (guint i = 0; i < hooks->list->len; i++)
		if (((Hook *)hooks->list->pdata[i])->serial == serial)
			return hooks->list->pdata[i];
	return NULL;
}

static bool is_wanted(GVariant *wanted, guint64 serial)
{
	GVariantIter iter;
	guint64 each;
	g_variant_iter_init(&iter, wanted);
	while (g_variant_iter_next(&iter, "(tssssss)", &each, NULL, NULL, NULL, NULL, NULL, NULL))
		if (each == serial)
			return true;
	return false;
}

static void begin(Hooks *hooks, guint64 serial, SettingsHookKind kind, const char *application, const char *commit, const char *role, const char *from,
		  const char *to)
{
	Hook *hook = g_new0(Hook, 1);
	*hook = (Hook){ .hooks = hooks, .serial = serial, .kind = kind, .output = -1 };
	hook->application = g_strdup(application);
	hook->commit = g_strdup(commit);
	hook->role = g_strdup(role);
	hook->from = g_strdup(from);
	hook->to = g_strdup(to);
	g_ptr_array_add(hooks->list, hook);
	try(hook);
}

void hooks_look(Hooks *hooks, GVariant *wanted)
{
	GVariantIter iter;
	const char *kind, *application, *commit, *role, *from, *to;
	guint64 serial;
	if (!wanted)
		return;
	for (guint i = hooks->list->len; i-- > 0;)
		if (!is_wanted(wanted, ((Hook *)hooks->list->pdata[i])->serial))
			g_ptr_array_remove_index(hooks->list, i);
	g_variant_iter_init(&iter, wanted);
	while (g_variant_iter_next(&iter, "(t&s&s&s&s&s&s)", &serial, &kind, &application, &commit, &role, &from, &to))
		for (SettingsHookKind k = 0; k < SETTINGS_N_HOOKS; k++)
			if (g_str_equal(kind, settings_hook_names[k]) && !find(hooks, serial))
				begin(hooks, serial, k, application, commit, role, from, to);
}

/* Those of an earlier supervisor have nobody any more who keeps their deadline. */
static void kill_strays(const char *own)
{
	g_autofree char *group = g_build_filename(own, CGROUP_HOOKS, NULL);
	g_autoptr(GDir) dir = g_dir_open(group, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(group, name, NULL);
		if (g_file_test(path, G_FILE_TEST_IS_DIR) && cgroup_is_populated(path))
			(void)!cgroup_kill(path, NULL);
	}
}

Hooks *hooks_new(Applications *applications, BusLink *link)
{
	kill_strays(applications->cgroup);
	Hooks *hooks = g_new0(Hooks, 1);
	hooks->applications = applications;
	hooks->link = link;
	hooks->list = g_ptr_array_new_with_free_func(hook_free);
	return hooks;
}

void hooks_free(Hooks *hooks)
{
	if (!hooks)
		return;
	g_ptr_array_unref(hooks->list);
	g_free(hooks);
}
