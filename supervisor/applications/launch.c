/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/launch.c - the command of an application, with its environment, its rights and its limits. */
#include <sys/resource.h>
#include <unistd.h>

#include "supervisor/applications/application-private.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/output.h"
#include "supervisor/processes/proc.h"

#define HOOK_NICE 5 /* calls go on beside it */

static char **environment_of(const SettingsApplication *settings)
{
	char **environment = g_strdupv(settings->environment ? settings->environment : (char *[]){ NULL });
	static const char *const defaults[][2] = {
		{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ "LANG", "C.UTF-8" },
		{ "HOME", "/" },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(defaults); i++)
		environment = g_environ_setenv(environment, defaults[i][0], defaults[i][1], FALSE);
	if (settings->user)
		environment = g_environ_setenv(environment, "USER", settings->user, FALSE);
	if (settings->watchdog_ms) {
		g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, settings->watchdog_ms * G_GUINT64_CONSTANT(1000));
		environment = g_environ_setenv(environment, "WATCHDOG_USEC", text, TRUE);
	}
	return g_environ_setenv(environment, "NOTIFY_SOCKET", SUPERVISOR_NOTIFY, TRUE);
}

static void add_limit(GArray *limits, int resource, gint64 value)
{
	SpawnLimit limit = { .resource = resource, .value = value == SETTINGS_LIMIT_UNLIMITED ? RLIM_INFINITY : (guint64)value };
	if (value != SETTINGS_LIMIT_UNSET)
		g_array_append_val(limits, limit);
}

/* Not every machine's hierarchy can: it is said once, and the application runs without. */
static void limit_memory(Application *application)
{
	g_autoptr(GError) error = NULL;
	gint64 bytes = application->settings->rights.memory_max;
	g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, bytes);
	const char *limit = bytes == SETTINGS_LIMIT_UNLIMITED ? "max" : number;
	if (bytes == SETTINGS_LIMIT_UNSET || cgroup_set(application->cgroup, "memory.max", limit, NULL) ||
	    (cgroup_enable(application->all->cgroup, CGROUP_APPS, "memory", &error) &&
	     cgroup_set(application->cgroup, "memory.max", limit, &error)))
		return;
	g_autofree char *text = g_strdup_printf("Application %s runs without its memory-max: %s", application->settings->name, error->message);
	application->all->listener.trouble(application, text, application->all->user_data);
}

static bool begin(Application *application, char **argv, const char *cgroup, int output, const LaunchHook *hook, Spawned *ret_spawned,
		  GError **error)
{
	const SettingsApplication *settings = application->settings;
	const SettingsRights *rights = &settings->rights;
	Identity *identity = hook && hook->identity ? hook->identity : application->identity;
	g_auto(GStrv) environment = environment_of(settings);
	for (guint i = 0; hook && hook->environment[i]; i += 2)
		environment = g_environ_setenv(environment, hook->environment[i], hook->environment[i + 1], TRUE);
	g_autoptr(GArray) limits = g_array_new(FALSE, FALSE, sizeof(SpawnLimit));
	add_limit(limits, RLIMIT_NOFILE, rights->nofile);
	add_limit(limits, RLIMIT_NPROC, rights->nproc);
	add_limit(limits, RLIMIT_CORE, rights->core);
	add_limit(limits, RLIMIT_MEMLOCK, rights->memlock);
	SpawnPlan plan = {
		.argv = (const char *const *)argv,
		.environment = (const char *const *)environment,
		.directory = settings->working_directory ? settings->working_directory : "/",
		.output = output,
		.cgroup = cgroup,
		.keep_capabilities = !rights->has_capabilities && !rights->has_bounds,
		.capabilities = rights->capabilities,
		.n_capabilities = rights->n_capabilities,
		.has_bounds = rights->has_bounds,
		.bounds = rights->bounds,
		.n_bounds = rights->n_bounds,
		.limits = (const SpawnLimit *)(const void *)limits->data,
		.n_limits = limits->len,
		.nice = hook ? MAX(rights->nice, HOOK_NICE) : rights->nice,
		.oom_score_adj = rights->oom_score_adj,
		.realtime = hook ? 0 : rights->realtime,
		.binds = hook ? hook->binds : NULL,
		.binds_writable = hook && hook->changes,
	};
	if (settings->user || settings->group || (hook && hook->identity)) {
		plan.change_user = true;
		if (identity_state(identity) != IDENTITY_KNOWN) {
			g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, identity_problem(identity));
			identity_ask_again(identity); /* it may have been made since */
			return false;
		}
		plan.uid = identity_uid(identity);
		plan.gid = identity_gid(identity);
		plan.groups = identity_groups(identity, &plan.n_groups);
	}
	return spawn_process(&plan, ret_spawned, error);
}

bool launch_beside(Application *application, char **argv, const char *cgroup, int output, Spawned *ret_spawned, GError **error)
{
	return begin(application, argv, cgroup, output, NULL, ret_spawned, error);
}

bool launch_hook(Application *application, char **argv, const char *cgroup, int output, const LaunchHook *hook, Spawned *ret_spawned, GError **error)
{
	return begin(application, argv, cgroup, output, hook, ret_spawned, error);
}

bool launch(Application *application, char **argv, Spawned *ret_spawned, GError **error)
{
	limit_memory(application);
	int output = output_open(application->settings->name);
	bool ok = launch_beside(application, argv, application->cgroup, output, ret_spawned, error);
	close(output);
	return ok;
}
