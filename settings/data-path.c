/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/data-path.c - the places that no data set may hold, whatever an application file says; pure. */
#include "settings/settings-private.h"

#include <fnmatch.h>
#include <string.h>

/*
 * What the Master sends is written on the other device with its owners and modes. Here it would give root away, lock the
 * device out, or make the two devices one (identity, keys). Patterns match a whole path; '*' does not cross a '/'.
 */
static const char *const forbidden[] = {
	"/bin", "/boot", "/dev", "/initrd*", "/lib*", "/proc", "/run", "/sbin", "/sys", "/usr", "/vmlinuz*",
	"/etc/acpi", "/etc/alternatives", "/etc/anacrontab", "/etc/apparmor*", "/etc/apt", "/etc/at.*", "/etc/bash*", "/etc/cron*", "/etc/crypttab",
	"/etc/dbus-1", "/etc/default", "/etc/dhcp*", "/etc/doas*", "/etc/dpkg", "/etc/environment*", "/etc/exports*", "/etc/fstab", "/etc/group*",
	"/etc/grub*", "/etc/gshadow*", "/etc/hostname", "/etc/hosts*", "/etc/inetd*", "/etc/initramfs-tools", "/etc/inittab", "/etc/init.d",
	"/etc/inputrc", "/etc/kernel", "/etc/ld.so*", "/etc/login*", "/etc/logrotate*", "/etc/machine-id", "/etc/machine-info", "/etc/modprobe.d",
	"/etc/modules*", "/etc/netns", "/etc/netplan", "/etc/network", "/etc/networks", "/etc/NetworkManager", "/etc/nftables*",
	"/etc/nsswitch.conf", "/etc/pam*", "/etc/passwd*", "/etc/polkit-1", "/etc/ppp", "/etc/profile*", "/etc/rc*", "/etc/resolv*",
	"/etc/rsyslog*", "/etc/securetty", "/etc/security", "/etc/shadow*", "/etc/shells", "/etc/ssh", "/etc/subgid*", "/etc/subuid*",
	"/etc/sudo*", "/etc/sysctl*", "/etc/systemd", "/etc/sysusers.d", "/etc/tmpfiles.d", "/etc/udev", "/etc/understudy", "/etc/update-motd.d",
	"/etc/wpa_supplicant", "/etc/xinetd*",
	"/home/*/.*", "/root/.*",
	"/var/cache/understudy", "/var/lib/alternatives", "/var/lib/apt", "/var/lib/dbus", "/var/lib/dpkg", "/var/lib/polkit-1", "/var/lib/systemd",
	"/var/lib/understudy", "/var/run", "/var/spool/anacron", "/var/spool/at*", "/var/spool/cron",
};

/* Identities and licences: the other device has its own, and would be mistaken for this one with ours. */
const char *const settings_never_travel[] = {
	"machine-id", "ssh_host_*", ".ssh", "authorized_keys*", ".gnupg", "licenses", "licences", "*.lic", "*.license", "*.licence", NULL,
};

/* The first @n parts of @path: "/a/b/c", 2 -> "/a/b". */
static char *first_parts(const char *path, guint n)
{
	const char *end = path;
	for (; n > 0 && *end; n--)
		end += 1 + strcspn(end + 1, "/");
	return g_strndup(path, (gsize)(end - path));
}

static guint count_parts(const char *path)
{
	guint n = 0;
	for (; *path; path++)
		n += *path == '/';
	return n;
}

const char *settings_forbidden_data(const char *path)
{
	if (g_str_equal(path, "/"))
		return "/";
	guint n = count_parts(path);
	for (guint i = 0; i < G_N_ELEMENTS(forbidden); i++) {
		guint m = count_parts(forbidden[i]), common = MIN(n, m);
		g_autofree char *head = first_parts(path, common), *pattern = first_parts(forbidden[i], common);
		if (fnmatch(pattern, head, FNM_PATHNAME) == 0)
			return forbidden[i];
	}
	return NULL;
}
