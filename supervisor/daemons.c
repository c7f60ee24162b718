/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/daemons.c - the daemons as processes. */
#include "supervisor/daemons.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/output.h"
#include "supervisor/processes/proc.h"
#include "supervisor/processes/restart.h"
#include "supervisor/processes/spawn.h"

/* Nobody else may enter the folder, so nobody can be there first under a daemon's name. */
#define PRIVATE_GROUP "understudy-private"
/* Where syncd binds its socket: it passes over the rights of files, so it must not see the others' as writable. */
#define SYNC_RUN_DIR "/run/understudy/private/syncd"
#define STOP_WITHIN_MS 3000
#define REAL_TIME_PRIORITY 10
#define GONE_AGAIN_MS 5
/* What need not be done at once stands back behind the PBX: when that starts, all of them have something to do. */
#define STANDS_BACK 5

/* One row per daemon: this table is the whole difference between them. */
static const struct {
	const char *name;
	const char *program;
	const char *user;
	const int *capabilities;
	gsize n_capabilities;
	bool real_time;
	int nice;
	bool confined; /* its own, read-only mount namespace */
	bool optional; /* only where the settings want it */
} kinds[DAEMON_N] = {
	[DAEMON_VRRPD] = { "vrrpd", PKGLIBEXECDIR "/understudy-vrrpd", "understudy-vrrp",
			   (const int[]){ CAP_NET_ADMIN, CAP_NET_RAW }, 2, true, 0, false },
	[DAEMON_SYNCD] = { "syncd", PKGLIBEXECDIR "/understudy-syncd", "understudy-sync",
			   (const int[]){ CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER }, 3, false, STANDS_BACK, true },
	[DAEMON_NOTIFYD] = { "notifyd", PKGLIBEXECDIR "/understudy-notifyd", "understudy-notify", NULL, 0, false, STANDS_BACK, false },
	[DAEMON_SNMP] = { "snmp", PKGLIBEXECDIR "/understudy-snmp", "understudy-notify", NULL, 0, false, STANDS_BACK, false, .optional = true },
};

/* A few ends are forgiven at once: vrrpd must advertise again within milliseconds. One that cannot live is not tried in a busy loop. */
static const RestartPolicy policy = {
	.first_us = 100 * G_TIME_SPAN_MILLISECOND,
	.longest_us = 5 * G_TIME_SPAN_SECOND,
	.settled_us = 5 * G_TIME_SPAN_SECOND,
	.free = 3,
	.tolerated = 5,
};

typedef struct {
	Daemons *all;
	DaemonKind kind;
	uid_t uid;
	gid_t gid;
	gid_t groups[2]; /* its own, and the one that may enter the folder of the private sockets */
	char *cgroup;
	bool killed; /* the group was */
	bool waited; /* for its group to empty, without a kill */
	bool apart;  /* it sees other settings than those on disk */
	Process *process;
	gint64 started_us;
	RestartState restarts;
	guint timer;
	bool stopping;
	bool unwanted; /* stopped because the settings no longer have it, not by daemons_stop() */
	bool again; /* stopped to be started anew */
} Daemon;

struct Daemons {
	ProcessTable *processes;
	DaemonsListener listener;
	gpointer user_data;
	char **writable; /* for syncd */
	char *settings;
	char *agentx; /* as understudy-snmp reads it; NULL: there is none */
	bool started;
	Daemon list[DAEMON_N];
};

const char *daemon_name(DaemonKind kind)
{
	return kinds[kind].name;
}

Daemons *daemons_new(ProcessTable *processes, const char *cgroup, const DaemonsListener *listener, gpointer user_data, GError **error)
{
	Daemons *daemons = g_new0(Daemons, 1);
	daemons->processes = processes;
	daemons->listener = *listener;
	daemons->user_data = user_data;
	for (DaemonKind kind = 0; kind < DAEMON_N; kind++) {
		Daemon *daemon = &daemons->list[kind];
		daemon->all = daemons;
		daemon->kind = kind;
		if (!spawn_find_user(kinds[kind].user, NULL, &daemon->uid, &daemon->gid, error) ||
		    !spawn_find_group(PRIVATE_GROUP, &daemon->groups[1], error) ||
		    !(daemon->cgroup = cgroup_make(cgroup, CGROUP_DAEMONS, kinds[kind].name, error))) {
			daemons_free(daemons);
			return NULL;
		}
		daemon->groups[0] = daemon->gid;
	}
	return daemons;
}

void daemons_free(Daemons *daemons)
{
	if (!daemons)
		return;
	for (DaemonKind kind = 0; kind < DAEMON_N; kind++) {
		Daemon *daemon = &daemons->list[kind];
		if (daemon->timer)
			g_source_remove(daemon->timer);
		process_forget(daemon->process);
		g_free(daemon->cgroup);
	}
	g_strfreev(daemons->writable);
	g_free(daemons->settings);
	g_free(daemons->agentx);
	g_free(daemons);
}

/* ---- Folders ---- */

static bool make_folder(const char *path, mode_t mode, uid_t uid, gid_t gid, GError **error)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST) {
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
		return false;
	}
	if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0) {
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
		return false;
	}
	return true;
}

bool daemons_make_folders(const Daemons *daemons, GError **error)
{
	const Daemon *vrrpd = &daemons->list[DAEMON_VRRPD], *syncd = &daemons->list[DAEMON_SYNCD];
	const Daemon *notifyd = &daemons->list[DAEMON_NOTIFYD];
	return make_folder("/run/understudy", 0755, 0, 0, error) &&
	       make_folder("/run/understudy/private", 01770, 0, vrrpd->groups[1], error) &&
	       make_folder(SYNC_RUN_DIR, 0710, syncd->uid, syncd->groups[1], error) &&
	       make_folder("/run/understudy/vrrpd", 0755, vrrpd->uid, vrrpd->gid, error) &&
	       make_folder(SUPERVISOR_RUN_DIR, 0755, 0, 0, error) && make_folder(OUTPUT_DIR, 0755, 0, 0, error) &&
	       make_folder("/var/lib/understudy", 0755, 0, 0, error) &&
	       make_folder("/var/lib/understudy/supervisor", 0700, 0, 0, error) &&
	       make_folder("/var/lib/understudy/sync", 0700, syncd->uid, syncd->gid, error) &&
	       make_folder("/var/lib/understudy/notify", 0700, notifyd->uid, notifyd->gid, error);
}

/* Where syncd may write: its own folders and what the data sets name. A set's folder that is not there yet is made, or nothing could
 * ever be applied into it. */
static char **writable_of(const Settings *settings)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(paths, g_strdup("/var/lib/understudy/sync"));
	g_ptr_array_add(paths, g_strdup(SYNC_RUN_DIR));
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = settings->applications->pdata[i];
		for (guint k = 0; k < application->data->len; k++) {
			const SettingsData *data = application->data->pdata[k];
			g_autofree char *root = NULL;
			switch (data->kind) {
			case SETTINGS_DATA_FILES:
				root = g_strdup(data->path);
				break;
			case SETTINGS_DATA_SQLITE:
				root = g_path_get_dirname(data->path);
				break;
			}
			(void)g_mkdir_with_parents(root, 0755);
			if (g_file_test(root, G_FILE_TEST_IS_DIR) &&
			    !g_ptr_array_find_with_equal_func(paths, root, g_str_equal, NULL))
				g_ptr_array_add(paths, g_steal_pointer(&root));
		}
	}
	g_ptr_array_add(paths, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&paths), FALSE);
}

static bool is_wanted(const Daemon *daemon)
{
	return !kinds[daemon->kind].optional || daemon->all->agentx;
}

static void end_unwanted(Daemon *daemon);
static void start(Daemon *daemon);

/* understudy-snmp comes, goes, or is started anew with what it reads now. */
static void configure_snmp(Daemons *daemons, const char *agentx)
{
	Daemon *snmp = &daemons->list[DAEMON_SNMP];
	if (g_strcmp0(agentx, daemons->agentx) == 0)
		return;
	g_free(daemons->agentx);
	daemons->agentx = g_strdup(agentx);
	if (daemons->started && snmp->process)
		end_unwanted(snmp);
	else if (daemons->started && agentx && !snmp->timer)
		start(snmp);
}

void daemons_configure(Daemons *daemons, const Settings *settings)
{
	configure_snmp(daemons, settings->agentx);
	char **before = daemons->writable;
	daemons->writable = writable_of(settings);
	Daemon *syncd = &daemons->list[DAEMON_SYNCD];
	if (before && syncd->process && !syncd->stopping && !g_strv_equal((const char *const *)before, (const char *const *)daemons->writable)) {
		g_message("syncd is restarted: the places it may write to have changed");
		daemons_stop(daemons, DAEMON_SYNCD);
		syncd->again = true;
	}
	g_strfreev(before);
}

void daemons_use_settings(Daemons *daemons, const char *folder)
{
	g_free(daemons->settings);
	daemons->settings = g_strdup(folder);
	for (DaemonKind kind = 0; !folder && kind < DAEMON_N; kind++) {
		/* It cannot see what is right again. Killed, not asked to end: vrrpd would resign, so it goes on in its role. */
		if (daemons->list[kind].apart && daemons->list[kind].process)
			(void)process_signal(daemons->list[kind].process, SIGKILL);
	}
}

/* ---- Processes ---- */

static gboolean on_start_time(gpointer user_data)
{
	Daemon *daemon = user_data;
	daemon->timer = 0;
	if (is_wanted(daemon))
		start(daemon);
	return G_SOURCE_REMOVE;
}

static void again_later(Daemon *daemon)
{
	gint64 delay_us = restart_delay_us(&policy, &daemon->restarts, g_get_monotonic_time() - daemon->started_us);
	if (delay_us == 0)
		start(daemon);
	else
		daemon->timer = g_timeout_add((guint)(delay_us / 1000), on_start_time, daemon);
}

static void on_ended(int status, gpointer user_data)
{
	Daemon *daemon = user_data;
	Daemons *all = daemon->all;
	daemon->process = NULL;
	if (daemon->timer)
		g_source_remove(daemon->timer);
	daemon->timer = 0;

	if (daemon->unwanted) { /* no longer, or only with the settings of before */
		daemon->unwanted = false;
		all->listener.changed(all->user_data);
		if (is_wanted(daemon))
			start(daemon);
		return;
	}
	bool again = daemon->again;
	if (daemon->stopping && !again) {
		all->listener.changed(all->user_data);
		all->listener.stopped(daemon->kind, all->user_data);
		return;
	}
	if (daemon->stopping) {
		daemon->stopping = daemon->again = false;
		start(daemon);
		return;
	}
	g_autofree char *how = process_describe(status);
	g_warning("%s ended (%s), starting it again", kinds[daemon->kind].name, how);
	again_later(daemon);
	if (restart_has_failed(&policy, &daemon->restarts) && daemon->restarts.n_row == policy.tolerated + 1) {
		g_autofree char *text = g_strdup_printf("%s does not stay up (%s)", kinds[daemon->kind].name, how);
		all->listener.trouble("daemon-failed", text, all->user_data);
	}
}

static void start(Daemon *daemon)
{
	Daemons *all = daemon->all;
	g_autoptr(GError) error = NULL;
	const char *argv[] = { kinds[daemon->kind].program, NULL };
	/* Ours is not theirs, but for what somebody who looks for a fault asks of us all. */
	const char *debug = g_getenv("G_MESSAGES_DEBUG");
	g_autofree char *messages = debug ? g_strconcat("G_MESSAGES_DEBUG=", debug, NULL) : NULL;
	const char *environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/", messages, NULL };
	/* Whoever is left in its group is an earlier one nobody knows any more; two would fight over one socket. */
	/* (One that is dying already, and only closes its sockets, is in nobody's way; and what dies with its parent needs a moment for it.) */
	if (cgroup_is_populated(daemon->cgroup) && (daemon->killed || cgroup_oldest(daemon->cgroup) != 0)) {
		if (daemon->waited) {
			if (!cgroup_kill(daemon->cgroup, &error))
				g_warning("%s: %s", kinds[daemon->kind].name, error->message);
			daemon->killed = true;
		}
		daemon->waited = true;
		daemon->timer = g_timeout_add(GONE_AGAIN_MS, on_start_time, daemon);
		return;
	}
	daemon->waited = false;
	if (daemon->killed)
		daemon->killed = !cgroup_renew(daemon->cgroup);
	/* From its first instruction on; what is refused is told below. */
	const SpawnLimit locked = { .resource = RLIMIT_MEMLOCK, .value = RLIM_INFINITY };
	SpawnPlan plan = {
		.argv = argv,
		.environment = environment,
		.limits = &locked,
		.n_limits = kinds[daemon->kind].real_time ? 1 : 0,
		.nice = kinds[daemon->kind].nice,
		.realtime = kinds[daemon->kind].real_time ? REAL_TIME_PRIORITY : 0,
		.directory = "/",
		.output = STDERR_FILENO,
		.cgroup = daemon->cgroup,
		.change_user = true,
		.uid = daemon->uid,
		.gid = daemon->gid,
		.groups = daemon->groups,
		.n_groups = G_N_ELEMENTS(daemon->groups),
		.capabilities = kinds[daemon->kind].capabilities,
		.n_capabilities = kinds[daemon->kind].n_capabilities,
		.settings = all->settings,
		.writable = kinds[daemon->kind].confined ? (const char *const *)all->writable : NULL,
	};
	Spawned spawned;
	daemon->apart = all->settings != NULL;
	daemon->started_us = g_get_monotonic_time();
	if (!spawn_process(&plan, &spawned, &error)) {
		g_warning("%s cannot be started: %s", kinds[daemon->kind].name, error->message);
		daemon->restarts.n_row = MAX(daemon->restarts.n_row, policy.free);
		again_later(daemon);
		return;
	}
	if (kinds[daemon->kind].real_time && !spawn_make_real_time(spawned.pid, REAL_TIME_PRIORITY, &error)) {
		g_autofree char *text = g_strdup_printf("%s: %s", kinds[daemon->kind].name, error->message);
		all->listener.trouble("real-time-refused", text, all->user_data);
	}
	daemon->process = process_watch(all->processes, &spawned, on_ended, daemon);
	all->listener.changed(all->user_data);
}

/* A new version was installed over it. (What cannot be looked at is left alone.) */
static bool is_outdated(pid_t pid, const char *program)
{
	g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid);
	struct stat running, installed;
	return stat(link, &running) == 0 && stat(program, &installed) == 0 &&
	       (running.st_ino != installed.st_ino || running.st_dev != installed.st_dev);
}

void daemons_start(Daemons *daemons, GPtrArray *records)
{
	daemons->started = true;
	for (DaemonKind kind = 0; kind < DAEMON_N; kind++) {
		Daemon *daemon = &daemons->list[kind];
		const ProcRecord *record = proc_records_find(records, "daemon", kinds[kind].name);
		pid_t pid = record ? record->pid : cgroup_oldest(daemon->cgroup);
		guint64 start_ticks = record ? record->start_ticks : 0;
		ProcStat stat;
		int status;
		if (!record && pid > 0 && proc_stat(pid, &stat))
			start_ticks = stat.start_ticks;
		daemon->started_us = g_get_monotonic_time();
		if (pid > 0)
			daemon->process = process_adopt(daemons->processes, pid, start_ticks, on_ended, daemon, &status);
		if (!is_wanted(daemon)) {
			if (daemon->process)
				end_unwanted(daemon);
		} else if (!daemon->process) {
			start(daemon);
		} else if (is_outdated(pid, kinds[kind].program)) {
			g_message("%s is replaced by its new version", kinds[kind].name);
			/* Killed, not asked to end: vrrpd would resign, so it goes on in its role. */
			daemon->stopping = daemon->again = true;
			(void)process_signal(daemon->process, SIGKILL);
		}
	}
}

static gboolean on_stop_late(gpointer user_data)
{
	Daemon *daemon = user_data;
	daemon->timer = 0;
	g_warning("%s does not end, killing it", kinds[daemon->kind].name);
	if (daemon->process)
		(void)process_signal(daemon->process, SIGKILL);
	return G_SOURCE_REMOVE;
}

static void end_unwanted(Daemon *daemon)
{
	daemon->unwanted = true;
	(void)process_signal(daemon->process, SIGTERM);
	if (!daemon->timer)
		daemon->timer = g_timeout_add(STOP_WITHIN_MS, on_stop_late, daemon);
}

void daemons_stop(Daemons *daemons, DaemonKind kind)
{
	Daemon *daemon = &daemons->list[kind];
	daemon->stopping = true;
	daemon->unwanted = false;
	daemon->again = false; /* stopped for good, also while it was to come again */
	if (daemon->timer)
		g_source_remove(daemon->timer);
	daemon->timer = 0;
	if (!daemon->process) {
		daemons->listener.stopped(kind, daemons->user_data);
		return;
	}
	(void)process_signal(daemon->process, SIGTERM);
	daemon->timer = g_timeout_add(STOP_WITHIN_MS, on_stop_late, daemon);
}

void daemons_write_records(const Daemons *daemons, GString *text)
{
	for (DaemonKind kind = 0; kind < DAEMON_N; kind++) {
		const Process *process = daemons->list[kind].process;
		if (process)
			g_string_append_printf(text, "daemon %s %d %" G_GUINT64_FORMAT " \n", kinds[kind].name,
					       (int)process_pid(process), process_start(process));
	}
}
