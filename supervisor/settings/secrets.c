/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/secrets.c - SetSecret: from a descriptor into a file, and nowhere else. */
#include "supervisor/settings/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dbus/bus-error.h"
#include "settings/scanner.h"
#include "supervisor/share.h"

#define READ_MS 5000
#define AT_ONCE 4 /* more callers that hold a pipe open and say nothing are busy */

static bool fail(GError **error, BusError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool fail(GError **error, BusError code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (error)
		*error = g_error_new_valist(BUS_ERROR, (int)code, format, args);
	va_end(args);
	return false;
}

bool secret_check_name(const char *name, GError **error)
{
	for (guint kind = 0; kind <= SETTINGS_TARGET_SNMP; kind++) {
		gsize n = strlen(settings_target_kinds[kind]);
		if (strncmp(name, settings_target_kinds[kind], n) == 0 && name[n] == '.' && scanner_is_name(name + n + 1))
			return true;
	}
	return fail(error, BUS_ERROR_INVALID_ARGS, "a secret is called mail.NAME, sms.NAME or snmp.NAME, as its target in pair.conf");
}

/* What was read is shown in no error. */
static bool check_text(const char *name, const char *text, gsize length, GError **error)
{
	guint lines = 0, most = g_str_has_prefix(name, "snmp.") ? 2 : 1;
	if (strlen(text) != length || !g_utf8_validate(text, -1, NULL))
		return fail(error, BUS_ERROR_INVALID_ARGS, "a secret is text in UTF-8");
	for (const char *c = text; *c; c++) {
		lines += *c == '\n';
		if (*c != '\n' && g_ascii_iscntrl(*c))
			return fail(error, BUS_ERROR_INVALID_ARGS, "a secret has no control characters");
	}
	if (lines + 1 > most)
		return fail(error, BUS_ERROR_INVALID_ARGS, "%s has at most %u line%s", name, most, most == 1 ? "" : "s");
	return true;
}

char *secret_read(int fd, const char *name, int timeout_ms, GError **error)
{
	gint64 until_us = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
	char text[SECRET_MAX_BYTES + 3] = { 0 }; /* and a line's end, and one more, which is too many */
	char *secret = NULL;
	gsize n = 0;
	ssize_t got = 1;
	while (n < sizeof(text) - 1 && got != 0) {
		gint64 left_ms = (until_us - g_get_monotonic_time() + 999) / 1000;
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		if (left_ms <= 0) {
			fail(error, BUS_ERROR_TIMED_OUT, "the secret did not come to its end");
			goto out;
		}
		if (poll(&ready, 1, (int)left_ms) <= 0)
			continue;
		got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got < 0 && errno != EINTR && errno != EAGAIN) {
			fail(error, BUS_ERROR_FAILED, "reading the secret: %s", g_strerror(errno));
			goto out;
		}
		n += got > 0 ? (gsize)got : 0;
	}
	if (n && text[n - 1] == '\n')
		text[--n] = '\0';
	if (n && text[n - 1] == '\r')
		text[--n] = '\0';
	if (n > SECRET_MAX_BYTES)
		fail(error, BUS_ERROR_INVALID_ARGS, "a secret has at most %d bytes", SECRET_MAX_BYTES);
	else if (check_text(name, text, n, error))
		secret = g_strndup(text, n);
out:
	explicit_bzero(text, sizeof(text));
	return secret;
}

static bool sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool make_folder(const char *folder, gid_t group)
{
	if (g_mkdir(folder, 0750) < 0)
		return errno == EEXIST;
	return chown(folder, (uid_t)-1, group) == 0 && chmod(folder, 0750) == 0;
}

/* Nobody but its owner can read it before it has its group. */
static bool write_file(const char *path, const char *text, gid_t group)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	gsize length = strlen(text);
	bool ok = fd >= 0 && write(fd, text, length) == (ssize_t)length && fchown(fd, (uid_t)-1, group) == 0 && fchmod(fd, 0640) == 0 &&
		  fsync(fd) == 0;
	int saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return ok;
}

bool secret_store(const char *folder, const char *name, const char *text, gid_t group, GError **error)
{
	g_autofree char *path = g_build_filename(folder, name, NULL), *new = g_strconcat(folder, "/.", name, ".new", NULL);
	bool ok;
	if (!*text) {
		ok = (unlink(path) == 0 || errno == ENOENT) && (sync_folder(folder) || errno == ENOENT);
	} else {
		ok = make_folder(folder, group) && (unlink(new) == 0 || errno == ENOENT) && write_file(new, text, group) && rename(new, path) == 0 &&
		     sync_folder(folder);
		if (!ok) {
			int saved = errno;
			(void)unlink(new);
			errno = saved;
		}
	}
	return ok || fail(error, BUS_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
}

/* ---- The bus ---- */

typedef struct {
	BusCall *call;
	char *name;
	int fd;
} Setting;

static guint n_setting;

static void setting_free(gpointer data)
{
	Setting *setting = data;
	close(setting->fd);
	g_free(setting->name);
	g_free(setting);
}

static bool find_group(gid_t *ret_gid, GError **error)
{
	char buffer[4096];
	struct group entry, *found = NULL;
	if (getgrnam_r(SECRETS_GROUP, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return fail(error, BUS_ERROR_FAILED, "there is no group " SECRETS_GROUP);
	*ret_gid = found->gr_gid;
	return true;
}

static void set_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const Setting *setting = data;
	GError *error = NULL;
	gid_t group;
	char *text = secret_read(setting->fd, setting->name, READ_MS, &error);
	bool ok = text && find_group(&group, &error) && secret_store(SECRETS_DIR, setting->name, text, group, &error);
	if (text)
		explicit_bzero(text, strlen(text));
	g_free(text);
	if (ok)
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void on_set(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Setting *setting = g_task_get_task_data(G_TASK(result));
	Supervisor *supervisor = user_data;
	g_autoptr(GError) error = NULL;
	n_setting--;
	if (!g_task_propagate_boolean(G_TASK(result), &error)) {
		bus_call_fail(setting->call, error);
		return;
	}
	g_message("the secret %s was set by %s", setting->name, bus_call_caller(setting->call));
	share_reload(supervisor->share); /* what waits for it is tried at once */
	bus_call_reply(setting->call, NULL);
}

void secrets_service_set(BusCall *call, GVariant *args, gpointer supervisor)
{
	g_autoptr(GError) error = NULL;
	const char *name;
	gint32 handle;
	g_variant_get(args, "(&sh)", &name, &handle);
	if (!secret_check_name(name, &error)) {
		bus_call_fail(call, error);
		return;
	}
	if (n_setting >= AT_ONCE) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "other secrets are being set");
		return;
	}
	int fd = bus_call_take_fd(call, handle, &error);
	if (fd < 0) {
		bus_call_fail(call, error);
		return;
	}
	Setting *setting = g_new0(Setting, 1);
	*setting = (Setting){ .call = call, .name = g_strdup(name), .fd = fd };
	n_setting++;
	g_autoptr(GTask) task = g_task_new(NULL, NULL, on_set, supervisor);
	g_task_set_task_data(task, setting, setting_free);
	g_task_run_in_thread(task, set_thread);
}
