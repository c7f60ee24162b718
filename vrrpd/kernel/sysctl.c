/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/sysctl.c - /proc/sys/net with a journal of the original values. CAP_NET_ADMIN is enough to write there. */
#include "vrrpd/kernel/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define ROOT "/proc/sys/net/"

struct VrrpSysctl {
	char *journal;
	GKeyFile *original; /* group "sysctl": key = value before us */
};

VrrpSysctl *vrrp_sysctl_new(const char *journal)
{
	VrrpSysctl *sysctl = g_new0(VrrpSysctl, 1);

	sysctl->journal = g_strdup(journal);
	sysctl->original = g_key_file_new();
	(void)g_key_file_load_from_file(sysctl->original, journal, G_KEY_FILE_NONE, NULL);
	return sysctl;
}

void vrrp_sysctl_free(VrrpSysctl *sysctl)
{
	if (!sysctl)
		return;
	g_key_file_free(sysctl->original);
	g_free(sysctl->journal);
	g_free(sysctl);
}

static bool write_value(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done;
	int saved;

	if (fd < 0)
		return false;
	done = write(fd, value, strlen(value)) == (gssize)strlen(value);
	saved = errno;
	close(fd);
	errno = saved;
	return done;
}

/* '/' is no character of a key in a key file. */
static char *journal_key(const char *key)
{
	return g_strdelimit(g_strdup(key), "/", ':');
}

bool vrrp_sysctl_set(VrrpSysctl *sysctl, const char *key, const char *value, bool lasting, GError **error)
{
	g_autofree char *path = g_strconcat(ROOT, key, NULL);
	g_autofree char *present = NULL;

	if (!g_file_get_contents(path, &present, NULL, NULL))
		return true;
	g_strstrip(present);
	if (strcmp(present, value) == 0)
		return true;
	if (lasting) {
		g_autofree char *name = journal_key(key);

		if (!g_key_file_has_key(sysctl->original, "sysctl", name, NULL)) {
			g_key_file_set_string(sysctl->original, "sysctl", name, present);
			(void)g_key_file_save_to_file(sysctl->original, sysctl->journal, NULL);
		}
	}
	if (!write_value(path, value)) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "%s: %s", key, g_strerror(errno));
		return false;
	}
	return true;
}

void vrrp_sysctl_restore(VrrpSysctl *sysctl)
{
	gsize n = 0;
	g_auto(GStrv) names = g_key_file_get_keys(sysctl->original, "sysctl", &n, NULL);

	for (gsize i = 0; i < n; i++) {
		g_autofree char *key = g_strdelimit(g_strdup(names[i]), ":", '/');
		g_autofree char *path = g_strconcat(ROOT, key, NULL);
		g_autofree char *value = g_key_file_get_string(sysctl->original, "sysctl", names[i], NULL);

		if (value)
			(void)write_value(path, value);
	}
	(void)g_key_file_remove_group(sysctl->original, "sysctl", NULL);
	(void)unlink(sysctl->journal);
}
