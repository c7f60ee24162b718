/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/cgroup.c - files of the unified control group hierarchy. */
#include "supervisor/processes/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/processes/proc.h"

/* mountinfo writes blanks and backslashes of a path as \ooo. */
static char *unescape(const char *field)
{
	return g_strcompress(field);
}

char *cgroup_find(const char *mountinfo, const char *membership)
{
	g_auto(GStrv) lines = g_strsplit(membership, "\n", -1);
	const char *own = NULL;
	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, "0::"))
			own = *line + 3;
	if (!own)
		return NULL;

	g_auto(GStrv) mounts = g_strsplit(mountinfo, "\n", -1);
	for (char **mount = mounts; *mount; mount++) {
		const char *kind = strstr(*mount, " - ");
		if (!kind || !g_str_has_prefix(kind + 3, "cgroup2 "))
			continue;
		g_auto(GStrv) fields = g_strsplit(*mount, " ", 6);
		if (g_strv_length(fields) < 6)
			continue;
		g_autofree char *root = unescape(fields[3]);
		g_autofree char *point = unescape(fields[4]);
		/* A bind mount of a part of the hierarchy shows only what is below its root. */
		gsize n = strcmp(root, "/") == 0 ? 0 : strlen(root);
		if (strncmp(own, root, n) != 0 || (own[n] && own[n] != '/'))
			continue;
		g_autofree char *path = g_strconcat(point, own + n, NULL);
		gsize length = strlen(path);
		while (length > 1 && path[length - 1] == '/')
			path[--length] = '\0';
		return g_steal_pointer(&path);
	}
	return NULL;
}

char *cgroup_own(GError **error)
{
	g_autofree char *mountinfo = NULL, *membership = NULL;
	if (!g_file_get_contents("/proc/self/mountinfo", &mountinfo, NULL, error) ||
	    !g_file_get_contents("/proc/self/cgroup", &membership, NULL, error))
		return NULL;
	char *path = cgroup_find(mountinfo, membership);
	if (path && g_str_has_suffix(path, "/" CGROUP_OWN))
		path[strlen(path) - strlen("/" CGROUP_OWN)] = '\0';
	if (!path)
		g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
				    "no unified control group hierarchy is mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)");
	return path;
}

static bool make(const char *path, GError **error)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
	return false;
}

char *cgroup_make(const char *parent, const char *group, const char *name, GError **error)
{
	g_autofree char *folder = g_build_filename(parent, group, NULL);
	g_autofree char *path = g_build_filename(folder, name, NULL);
	if (!make(folder, error) || !make(path, error))
		return NULL;
	return g_steal_pointer(&path);
}

bool cgroup_kill(const char *path, GError **error)
{
	g_autofree char *file = g_build_filename(path, "cgroup.kill", NULL);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && access(path, F_OK) != 0)
		return true; /* no group, nobody in it */
	ssize_t n = fd < 0 ? -1 : write(fd, "1", 1);
	int reason = errno;
	if (fd >= 0)
		close(fd);
	if (n == 1)
		return true;
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(reason), "%s: %s", file, g_strerror(reason));
	return false;
}

bool cgroup_set(const char *path, const char *file, const char *value, GError **error)
{
	g_autofree char *name = g_build_filename(path, file, NULL);
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
	int reason = errno;
	if (fd >= 0)
		close(fd);
	if (n >= 0)
		return true;
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(reason), "%s: %s", name, g_strerror(reason));
	return false;
}

/* A group that gives controllers to its children may hold no process itself: keeper and supervisor go into a child of their own. */
static bool step_aside(const char *own, GError **error)
{
	g_autofree char *leaf = g_build_filename(own, CGROUP_OWN, NULL);
	if (!make(leaf, error))
		return false;
	const pid_t pids[] = { getppid(), getpid() };
	for (gsize i = 0; i < G_N_ELEMENTS(pids); i++) {
		g_autofree char *number = g_strdup_printf("%d", (int)pids[i]);
		if (!cgroup_set(leaf, "cgroup.procs", number, error))
			return false;
	}
	return true;
}

static bool has_word(const char *path, const char *file, const char *word)
{
	g_autofree char *name = g_build_filename(path, file, NULL), *text = NULL;
	if (!g_file_get_contents(name, &text, NULL, NULL))
		return false;
	g_auto(GStrv) words = g_strsplit_set(g_strstrip(text), " \n", -1);
	return g_strv_contains((const char *const *)words, word);
}

bool cgroup_enable(const char *own, const char *group, const char *controller, GError **error)
{
	g_autofree char *folder = g_build_filename(own, group, NULL), *order = g_strconcat("+", controller, NULL);
	if (!has_word(own, "cgroup.controllers", controller)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s has no %s controller", own, controller);
		return false;
	}
	if (!has_word(own, "cgroup.subtree_control", controller) &&
	    (!step_aside(own, error) || !cgroup_set(own, "cgroup.subtree_control", order, error)))
		return false;
	return cgroup_set(folder, "cgroup.subtree_control", order, error);
}

bool cgroup_renew(const char *path)
{
	return (rmdir(path) == 0 || errno == ENOENT) && mkdir(path, 0755) == 0;
}

bool cgroup_is_populated(const char *path)
{
	g_autofree char *file = g_build_filename(path, "cgroup.events", NULL);
	g_autofree char *text = NULL;
	return g_file_get_contents(file, &text, NULL, NULL) && strstr(text, "populated 1");
}

pid_t cgroup_oldest(const char *path)
{
	g_autofree char *file = g_build_filename(path, "cgroup.procs", NULL);
	g_autofree char *text = NULL;
	if (!g_file_get_contents(file, &text, NULL, NULL))
		return 0;
	pid_t oldest = 0;
	guint64 first = G_MAXUINT64;
	for (char *at = text; *at;) {
		char *end;
		pid_t pid = (pid_t)strtol(at, &end, 10);
		if (end == at)
			break;
		ProcStat stat;
		if (pid > 0 && proc_stat(pid, &stat) && !stat.zombie && !stat.exiting && stat.start_ticks < first) {
			oldest = pid;
			first = stat.start_ticks;
		}
		at = *end ? end + 1 : end;
	}
	return oldest;
}

int cgroup_open_events(const char *path, GError **error)
{
	g_autofree char *file = g_build_filename(path, "cgroup.events", NULL);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno), "%s: %s", file, g_strerror(errno));
	return fd;
}
