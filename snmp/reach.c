/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/reach.c - snmpd's socket is looked at as net-snmp does not say what it found. */
#include "snmp/reach.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_S     5
#define PATIENT_US (10 * G_TIME_SPAN_SECOND) /* snmpd may be about to start, too, or be restarted */

struct Reach {
	Watch *watch;
	char *address;
	bool connected;
	gint64 since_us; /* not connected */
	char *said;      /* in the log; NULL: nothing is wrong */
	char *raised;    /* as an event, likewise */
	char *raising;   /* not answered yet; "": that it is well again */
	guint timer;
};

/* ---- What is wrong ---- */

/* 0, or errno. */
static int try_socket(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd, failure;

	if (g_strlcpy(name.sun_path, path, sizeof name.sun_path) >= sizeof name.sun_path)
		return ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	failure = connect(fd, (const struct sockaddr *)&name, sizeof name) < 0 ? errno : 0;
	close(fd);
	return failure;
}

/* The first folder on the way to @path that does not let us pass; NULL: all of them do. */
static char *closed_folder(const char *path)
{
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *folder = g_strndup(path, (gsize)(slash - path));

		if (access(folder, X_OK) < 0 && errno == EACCES)
			return g_steal_pointer(&folder);
	}
	return NULL;
}

char *reach_trouble(const char *address)
{
	const char *path = g_str_has_prefix(address, "unix:") ? address + strlen("unix:") : address;
	int failure = try_socket(path);
	g_autofree char *folder = failure == EACCES ? closed_folder(path) : NULL;

	if (folder)
		return g_strdup_printf("snmpd's folder %s lets only its owner in; as root: chmod 755 %s (agentXPerms of snmpd's settings counts when the folder is made)", folder,
				       folder);
	switch (failure) {
	case 0:
	case EAGAIN: /* so many wait already */
		return g_strdup_printf("snmpd has its socket %s and does not answer there; as root: systemctl restart snmpd", path);
	case EACCES:
		return g_strdup_printf("snmpd's socket %s is not open to us: its settings need \"agentXPerms 0660 0755 root understudy-notify\"; then, as root: systemctl restart snmpd",
				       path);
	case ENOENT:
	case ENOTDIR:
		return g_strdup_printf("there is no socket %s: snmpd does not run, or its settings lack \"master agentx\" and \"agentXSocket unix:%s\"", path, path);
	case ECONNREFUSED:
		return g_strdup_printf("nobody listens at %s: snmpd does not run; as root: systemctl status snmpd", path);
	default:
		return g_strdup_printf("snmpd's socket %s: %s", path, g_strerror(failure));
	}
}

/* ---- When it is said ---- */

static void on_raised(bool good, gpointer user_data)
{
	Reach *reach = user_data;
	g_autofree char *raised = g_steal_pointer(&reach->raising);

	if (!good) /* at the next look */
		return;
	g_free(reach->raised);
	reach->raised = *raised ? g_steal_pointer(&raised) : NULL;
}

static void raise_change(Reach *reach, const char *trouble)
{
	if (reach->raising || g_strcmp0(reach->raised, trouble) == 0)
		return;
	reach->raising = g_strdup(trouble ? trouble : "");
	if (trouble)
		watch_raise(reach->watch, "snmpd not reached", 2, trouble, on_raised, reach);
	else
		watch_raise(reach->watch, "snmpd reached", 1, "Managers can ask about this device again.", on_raised, reach);
}

static gboolean on_look(gpointer user_data)
{
	Reach *reach = user_data;
	g_autofree char *trouble = NULL;

	if (!reach->connected && g_get_monotonic_time() - reach->since_us < PATIENT_US)
		return G_SOURCE_CONTINUE;
	trouble = reach->connected ? NULL : reach_trouble(reach->address);
	if (trouble && g_strcmp0(trouble, reach->said) != 0)
		g_warning("%s", trouble);
	else if (!trouble && reach->said)
		g_message("snmpd is reached");
	g_free(reach->said);
	reach->said = g_strdup(trouble);
	raise_change(reach, trouble);
	return G_SOURCE_CONTINUE;
}

void reach_connected(Reach *reach, bool connected)
{
	reach->connected = connected;
	reach->since_us = g_get_monotonic_time();
}

Reach *reach_new(Watch *watch, const char *address)
{
	Reach *reach = g_new0(Reach, 1);

	reach->watch = watch;
	reach->address = g_strdup(address);
	reach->since_us = g_get_monotonic_time();
	reach->timer = g_timeout_add_seconds(LOOK_S, on_look, reach);
	return reach;
}

void reach_free(Reach *reach)
{
	if (!reach)
		return;
	watch_raise_cancel(reach->watch);
	g_source_remove(reach->timer);
	g_free(reach->address);
	g_free(reach->said);
	g_free(reach->raised);
	g_free(reach->raising);
	g_free(reach);
}
