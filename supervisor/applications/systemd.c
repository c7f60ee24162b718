/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/systemd.c - a client of process 1. */
#include "supervisor/applications/systemd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dbus/bus-error.h"
#include "dbus/bus-link.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/store.h"

#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"
#define SERVICE_INTERFACE "org.freedesktop.systemd1.Service"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define CALL_MS 5000
#define RELOAD_MS 90000

/* The second place is for machines whose /etc is read-only. */
static const char *const dropin_roots[] = { "/etc/systemd/system", "/run/systemd/system" };
#define DROPIN_NAME "understudy.conf"
static const char dropin[] = "# Written by Understudy: this service is one of its applications (/etc/understudy/applications.d).\n"
			     "[Unit]\n"
			     "# It runs where Understudy says so, whoever starts it.\n"
			     "ConditionPathExists=/run/understudy/master\n"
			     "StartLimitIntervalSec=0\n"
			     "\n"
			     "[Service]\n"
			     "# Understudy starts it again, and counts.\n"
			     "Restart=no\n";

struct Systemd {
	BusLink *link;
	BusSubscription *removed;
	GPtrArray *units;  /* of SystemdUnit*, borrowed */
	bool reload;       /* drop-ins have changed and are not read yet */
};

struct SystemdUnit {
	Systemd *systemd;
	char *name, *path;
	SystemdListener listener;
	gpointer user_data;
	BusMirror *mirror;
	BusPending *starting, *asking[4];
	char *start_job;   /* not done yet */
	bool active;       /* as last told */
	bool expected;     /* it should be, or become, active */
	bool put_off;      /* its start, until process 1 can be asked again */
	pid_t pid;
	char *cgroup;
	char *program;
	char *result;
	gint32 code;
};

/* ---- Pure ---- */

char *systemd_unit_path(const char *name)
{
	GString *path = g_string_new(MANAGER_PATH "/unit/");
	for (const char *at = name; *at; at++) {
		if (g_ascii_isalpha(*at) || (at != name && g_ascii_isdigit(*at)))
			g_string_append_c(path, *at);
		else
			g_string_append_printf(path, "_%02x", (guchar)*at);
	}
	return g_string_free(path, FALSE);
}

char *systemd_describe(const char *result, gint32 code, gint32 status)
{
	if (strcmp(result, "success") == 0)
		return g_strdup("exit 0");
	/* It is said of the main process only; what ended may be ExecStartPre= or another one beside it. */
	if (strcmp(result, "exit-code") == 0)
		return code == CLD_EXITED && status != 0 ? g_strdup_printf("exit %d", status) : g_strdup("a command of its unit failed");
	if (code == CLD_KILLED || code == CLD_DUMPED)
		return g_strdup_printf("signal %d (%s)", status, result);
	return g_strdup(*result ? result : "unknown");
}

/* ---- What one asks about a service ---- */

enum { ASK_HOW, ASK_PID, ASK_CGROUP, ASK_PROGRAM };

static void get(SystemdUnit *unit, int what, const char *property, BusReplyCb done)
{
	bus_pending_cancel(unit->asking[what]);
	unit->asking[what] = bus_link_call(unit->systemd->link, NULL, unit->path, PROPERTIES, "Get",
					   g_variant_new("(ss)", SERVICE_INTERFACE, property), CALL_MS, done, unit);
}

/* The value of an answer to Get when it has that type, else NULL. Transfer full. */
static GVariant *value_of(GVariant *values, const char *type)
{
	g_autoptr(GVariant) value = NULL;
	if (values && g_variant_is_of_type(values, G_VARIANT_TYPE("(v)")))
		g_variant_get(values, "(v)", &value);
	return value && g_variant_is_of_type(value, G_VARIANT_TYPE(type)) ? g_steal_pointer(&value) : NULL;
}

static void say_down(SystemdUnit *unit, bool ok, const char *how)
{
	g_autofree char *text = g_strdup(how);
	unit->expected = unit->active = false;
	unit->pid = 0;
	unit->listener.down(unit, ok, text, unit->user_data);
}

static void on_status(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	g_autoptr(GVariant) status = value_of(values, "i");
	unit->asking[ASK_HOW] = NULL;
	if (error)
		return; /* process 1 comes again, and then says how things are */
	g_autofree char *how = systemd_describe(unit->result ? unit->result : "", unit->code, status ? g_variant_get_int32(status) : 0);
	say_down(unit, g_strcmp0(unit->result, "success") == 0, how);
}

static void on_code(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	g_autoptr(GVariant) code = value_of(values, "i");
	unit->asking[ASK_HOW] = NULL;
	if (error)
		return;
	unit->code = code ? g_variant_get_int32(code) : 0;
	get(unit, ASK_HOW, "ExecMainStatus", on_status);
}

static void on_result(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	g_autoptr(GVariant) result = value_of(values, "s");
	unit->asking[ASK_HOW] = NULL;
	if (error)
		return;
	g_free(unit->result);
	unit->result = result ? g_variant_dup_string(result, NULL) : NULL;
	get(unit, ASK_HOW, "ExecMainCode", on_code);
}

static void on_pid(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	g_autoptr(GVariant) pid = value_of(values, "u");
	unit->asking[ASK_PID] = NULL;
	if (pid && unit->active) {
		unit->pid = (pid_t)g_variant_get_uint32(pid);
		unit->listener.up(unit, unit->user_data);
	}
}

static void on_cgroup(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	g_autoptr(GVariant) path = value_of(values, "s");
	unit->asking[ASK_CGROUP] = NULL;
	if (!path || !*g_variant_get_string(path, NULL))
		return;
	g_autofree char *membership = g_strdup_printf("0::%s\n", g_variant_get_string(path, NULL)), *mountinfo = NULL;
	if (!g_file_get_contents("/proc/self/mountinfo", &mountinfo, NULL, NULL))
		return;
	g_free(unit->cgroup);
	unit->cgroup = cgroup_find(mountinfo, membership);
}

static void on_program(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	g_autoptr(GVariant) commands = value_of(values, "a(sasbttttuii)");
	unit->asking[ASK_PROGRAM] = NULL;
	g_clear_pointer(&unit->program, g_free);
	if (commands && g_variant_n_children(commands) > 0)
		g_variant_get_child(commands, 0, "(sasbttttuii)", &unit->program, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* ---- How things are ---- */

static void look(SystemdUnit *unit)
{
	GVariant *value = bus_mirror_get(unit->mirror, "ActiveState", "s");
	const char *state = value ? g_variant_get_string(value, NULL) : "";
	bool active = strcmp(state, "active") == 0 || strcmp(state, "reloading") == 0;
	bool off = strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0;
	if (active && !unit->active) {
		unit->active = unit->expected = true;
		get(unit, ASK_CGROUP, "ControlGroup", on_cgroup);
		get(unit, ASK_PID, "MainPID", on_pid);
		unit->listener.up(unit, unit->user_data);
	} else if (off && unit->expected && !unit->put_off && !unit->start_job && !unit->starting && !unit->asking[ASK_HOW]) {
		/* While its start is still to come it is off as it was before. */
		get(unit, ASK_HOW, "Result", on_result);
	}
}

static void on_mirror(BusMirror *mirror, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	if (bus_mirror_is_fresh(mirror))
		look(unit);
}

/* A job's end is told after what it has brought about. */
static void on_job_removed(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Systemd *systemd = user_data;
	const char *job;
	if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(uoss)")))
		return;
	g_variant_get_child(args, 1, "&o", &job);
	for (guint i = 0; i < systemd->units->len; i++) {
		SystemdUnit *unit = systemd->units->pdata[i];
		if (g_strcmp0(unit->start_job, job) != 0)
			continue;
		g_clear_pointer(&unit->start_job, g_free);
		look(unit);
		return;
	}
}

/* ---- Orders ---- */

static void on_started(GVariant *values, const GError *error, gpointer user_data)
{
	SystemdUnit *unit = user_data;
	unit->starting = NULL;
	if (error) {
		bool deaf = g_error_matches(error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE) || g_error_matches(error, BUS_ERROR, BUS_ERROR_TIMED_OUT);
		say_down(unit, false, deaf ? "systemd does not answer" : error->message);
		return;
	}
	g_free(unit->start_job);
	g_variant_get_child(values, 0, "o", &unit->start_job);
}

void systemd_unit_start(SystemdUnit *unit)
{
	unit->expected = true;
	unit->active = false; /* said again when it is so already */
	bus_pending_cancel(unit->asking[ASK_HOW]);
	unit->asking[ASK_HOW] = NULL;
	g_clear_pointer(&unit->start_job, g_free);
	bus_pending_cancel(unit->starting);
	unit->starting = NULL;
	/* It becomes another program in a moment, or we have only just come. */
	unit->put_off = !bus_link_is_up(unit->systemd->link) && access(SYSTEMD_SOCKET, F_OK) == 0;
	if (unit->put_off)
		return;
	unit->starting = bus_link_call(unit->systemd->link, NULL, MANAGER_PATH, MANAGER, "StartUnit",
				       g_variant_new("(ss)", unit->name, "replace"), CALL_MS, on_started, unit);
}

void systemd_unit_stop(SystemdUnit *unit)
{
	unit->expected = true; /* so that its end is told */
	unit->put_off = false;
	(void)bus_link_call(unit->systemd->link, NULL, MANAGER_PATH, MANAGER, "StopUnit", g_variant_new("(ss)", unit->name, "replace"), CALL_MS,
			    NULL, NULL);
	look(unit); /* it may have ended already */
}

void systemd_unit_kill(SystemdUnit *unit)
{
	g_autoptr(GError) error = NULL;
	/* The kernel first: it answers also while process 1 does not. */
	if (*systemd_unit_cgroup(unit) && !cgroup_kill(unit->cgroup, &error))
		g_warning("%s: %s", unit->name, error->message);
	(void)bus_link_call(unit->systemd->link, NULL, MANAGER_PATH, MANAGER, "KillUnit", g_variant_new("(ssi)", unit->name, "all", SIGKILL),
			    CALL_MS, NULL, NULL);
	systemd_unit_stop(unit); /* whatever it would do next */
}

void systemd_unit_adopt(SystemdUnit *unit, pid_t pid, const char *cgroup)
{
	unit->expected = true;
	unit->pid = pid;
	g_free(unit->cgroup);
	unit->cgroup = *cgroup ? g_strdup(cgroup) : NULL;
}

bool systemd_unit_is_active(const SystemdUnit *unit)
{
	return unit->active;
}

bool systemd_unit_is_empty(const SystemdUnit *unit)
{
	return !unit->cgroup || !cgroup_is_populated(unit->cgroup);
}

pid_t systemd_unit_pid(const SystemdUnit *unit)
{
	return unit->pid;
}

const char *systemd_unit_cgroup(const SystemdUnit *unit)
{
	return unit->cgroup ? unit->cgroup : "";
}

const char *systemd_unit_program(const SystemdUnit *unit)
{
	return unit->program ? unit->program : "";
}

/* ---- Drop-ins ---- */

static bool holds(const char *path)
{
	g_autofree char *text = NULL;
	return g_file_get_contents(path, &text, NULL, NULL) && strcmp(text, dropin) == 0;
}

static bool keep_back_one(const char *name)
{
	g_autoptr(GError) error = NULL;
	for (gsize i = 0; i < G_N_ELEMENTS(dropin_roots); i++) {
		g_autofree char *folder = g_strdup_printf("%s/%s.d", dropin_roots[i], name);
		g_autofree char *path = g_build_filename(folder, DROPIN_NAME, NULL);
		if (holds(path))
			return false;
		g_clear_error(&error);
		if (g_mkdir_with_parents(folder, 0755) == 0 && store_write_soon(path, dropin, &error))
			return true;
	}
	g_warning("%s is not kept from starting by itself: %s", name, error ? error->message : g_strerror(errno));
	return false;
}

/* Services that are no applications any more. */
static bool release_others(const char *root, const char *const *names)
{
	g_autoptr(GDir) folder = g_dir_open(root, 0, NULL);
	const char *entry;
	bool changed = false;
	while (folder && (entry = g_dir_read_name(folder))) {
		g_autofree char *name = g_str_has_suffix(entry, ".service.d") ? g_strndup(entry, strlen(entry) - 2) : NULL;
		g_autofree char *path = g_build_filename(root, entry, DROPIN_NAME, NULL), *place = g_build_filename(root, entry, NULL);
		if (!name || g_strv_contains(names, name) || unlink(path) < 0)
			continue;
		(void)rmdir(place); /* unless there is something else in it */
		changed = true;
	}
	return changed;
}

static void reload(Systemd *systemd)
{
	if (!systemd->reload || !systemd->link || !bus_link_is_up(systemd->link))
		return;
	systemd->reload = false;
	(void)bus_link_call(systemd->link, NULL, MANAGER_PATH, MANAGER, "Reload", NULL, RELOAD_MS, NULL, NULL);
}

void systemd_keep_back(Systemd *systemd, const char *const *names)
{
	for (gsize i = 0; i < G_N_ELEMENTS(dropin_roots); i++)
		systemd->reload |= release_others(dropin_roots[i], names);
	for (gsize i = 0; names[i]; i++)
		systemd->reload |= keep_back_one(names[i]);
	reload(systemd);
}

/* ---- The link ---- */

static void on_up(BusLink *link, gpointer user_data)
{
	Systemd *systemd = user_data;
	reload(systemd);
	for (guint i = 0; i < systemd->units->len; i++) {
		SystemdUnit *unit = systemd->units->pdata[i];
		get(unit, ASK_PROGRAM, "ExecStart", on_program);
		if (unit->put_off)
			systemd_unit_start(unit);
	}
}

/* Jobs of the old connection's time are not told of on the new one. */
static void on_down(BusLink *link, gpointer user_data)
{
	Systemd *systemd = user_data;
	for (guint i = 0; i < systemd->units->len; i++)
		g_clear_pointer(&((SystemdUnit *)systemd->units->pdata[i])->start_job, g_free);
}

static void open_link(Systemd *systemd)
{
	if (systemd->link)
		return;
	systemd->link = bus_link_new_foreign("unix:path=" SYSTEMD_SOCKET);
	bus_link_on_change(systemd->link, on_up, on_down, systemd);
	systemd->removed = bus_link_subscribe(systemd->link, NULL, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, systemd);
}

Systemd *systemd_new(void)
{
	Systemd *systemd = g_new0(Systemd, 1);
	systemd->units = g_ptr_array_new();
	return systemd;
}

void systemd_free(Systemd *systemd)
{
	if (!systemd)
		return;
	bus_subscription_free(systemd->removed);
	bus_link_free(systemd->link);
	g_ptr_array_unref(systemd->units);
	g_free(systemd);
}

SystemdUnit *systemd_unit_new(Systemd *systemd, const char *name, const SystemdListener *listener, gpointer user_data)
{
	SystemdUnit *unit = g_new0(SystemdUnit, 1);
	open_link(systemd);
	*unit = (SystemdUnit){ .systemd = systemd, .name = g_strdup(name), .path = systemd_unit_path(name), .listener = *listener,
			       .user_data = user_data };
	g_ptr_array_add(systemd->units, unit);
	unit->mirror = bus_mirror_new(systemd->link, NULL, unit->path, UNIT_INTERFACE, on_mirror, unit);
	if (bus_link_is_up(systemd->link))
		get(unit, ASK_PROGRAM, "ExecStart", on_program);
	return unit;
}

void systemd_unit_free(SystemdUnit *unit)
{
	if (!unit)
		return;
	g_ptr_array_remove(unit->systemd->units, unit);
	bus_pending_cancel(unit->starting);
	for (gsize i = 0; i < G_N_ELEMENTS(unit->asking); i++)
		bus_pending_cancel(unit->asking[i]);
	bus_mirror_free(unit->mirror);
	g_free(unit->name);
	g_free(unit->path);
	g_free(unit->start_job);
	g_free(unit->cgroup);
	g_free(unit->program);
	g_free(unit->result);
	g_free(unit);
}
