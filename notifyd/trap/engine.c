/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/trap/engine.c - engine id, boots and time. */
#include "notifyd/trap/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define GROUP "engine"
/* The format of RFC 3411 with net-snmp's enterprise, since we have no number of our own. */
#define ENTERPRISE  { 0x80, 0, 0x1f, 0x88 }
#define FORMAT_TEXT 4
#define FORMAT_OCTETS 5
#define MOST_TEXT   27
#define MOST_BOOTS  2147483647
/* Where the file is lost, boots begins with the minutes since 2024: above all that was counted one by one before. */
#define EPOCH_S     1704067200

void engine_name(TrapEngine *engine, const char *device_id)
{
	static const guint8 head[] = ENTERPRISE;
	gsize n = strlen(device_id);

	memcpy(engine->id, head, sizeof(head));
	if (n > 0 && n <= MOST_TEXT) {
		engine->id[4] = FORMAT_TEXT;
		memcpy(engine->id + 5, device_id, n);
		engine->n_id = 5 + n;
		return;
	}
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize length = ENGINE_ID_MAX;
	guint8 digest[ENGINE_ID_MAX];

	g_checksum_update(sum, (const guint8 *)device_id, (gssize)n);
	g_checksum_get_digest(sum, digest, &length);
	engine->id[4] = FORMAT_OCTETS;
	memcpy(engine->id + 5, digest, 16);
	engine->n_id = 5 + 16;
}

char *engine_next(TrapEngine *engine, const char *text, const char *boot_id, gint64 now_s, gint64 wall_s)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *before = NULL;
	gint64 boots = 0, time_s = 0;

	if (text && g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, NULL)) {
		before = g_key_file_get_string(file, GROUP, "boot-id", NULL);
		boots = g_key_file_get_int64(file, GROUP, "boots", NULL);
		time_s = g_key_file_get_int64(file, GROUP, "time-s", NULL);
	}
	if (!before || boots < 1 || boots > MOST_BOOTS)
		boots = CLAMP((wall_s - EPOCH_S) / 60, 1, MOST_BOOTS);
	else if (!g_str_equal(before, boot_id) || now_s < time_s)
		boots = MIN(boots + 1, MOST_BOOTS);
	engine->boots = (guint32)boots;
	engine->time_s = (guint32)MIN(now_s, G_MAXINT32);
	return g_strdup_printf("[" GROUP "]\nboot-id=%s\nboots=%" G_GINT64_FORMAT "\ntime-s=%u\n", boot_id, boots, engine->time_s);
}

static char *device_id(const char *device_file, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *id = NULL;

	/* Only the one key: what else may be wrong there is not our concern. */
	if (!g_key_file_load_from_file(file, device_file, G_KEY_FILE_NONE, error) || !(id = g_key_file_get_string(file, "device", "id", error))) {
		g_prefix_error(error, "%s: ", device_file);
		return NULL;
	}
	return g_strdup(g_strstrip(id));
}

static char *boot_id(void)
{
	char *text = NULL;

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
		return g_strdup("unknown");
	return g_strstrip(text);
}

/* The descriptor of the lock, until it is closed. */
static int lock(const char *path, GError **error)
{
	g_autofree char *name = g_strconcat(path, ".lock", NULL);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(errno), "%s: %s", name, g_strerror(errno));
	return fd;
}

bool engine_load(TrapEngine *engine, const char *path, const char *device_file, GError **error)
{
	g_autofree char *device = device_id(device_file, error), *boot = NULL, *before = NULL, *text = NULL;
	struct timespec now;

	if (!device)
		return false;
	int fd = lock(path, error);
	if (fd < 0)
		return false;
	boot = boot_id();
	(void)g_file_get_contents(path, &before, NULL, NULL);
	engine_name(engine, device);
	/* Asked under the lock, so that times come into the file in their order. */
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	text = engine_next(engine, before, boot, now.tv_sec, g_get_real_time() / G_USEC_PER_SEC);
	/* Only a new number of boots must outlive a loss of power: after one it is another boot. */
	g_autofree char *same = g_strdup_printf("\nboots=%u\n", engine->boots);
	bool new_boots = !before || !strstr(before, same);
	bool ok = g_file_set_contents_full(path, text, -1, new_boots ? G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE : G_FILE_SET_CONTENTS_NONE,
					   0600, error);
	close(fd);
	return ok;
}
