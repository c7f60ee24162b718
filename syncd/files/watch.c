/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/watch.c - inotify events to (set, folder, name). */
#include "syncd/files/watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "syncd/files/file.h"

#define EVENTS \
	(IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | \
	 IN_ONLYDIR | IN_EXCL_UNLINK)
#define PAUSE_US 2000

typedef struct {
	const SyncSet *set;
	char *path;
} Place;

struct SyncWatch {
	int fd;
	GSource *source;
	GHashTable *places; /* watch descriptor -> GPtrArray of Place*: sets may share a folder */
	SyncWatchCb callback;
	gpointer user_data;
};

static void place_free(gpointer data)
{
	Place *place = data;

	g_free(place->path);
	g_free(place);
}

static void tell(SyncWatch *watch, const struct inotify_event *event)
{
	GPtrArray *places = g_hash_table_lookup(watch->places, GINT_TO_POINTER(event->wd));
	const char *name = event->len > 0 ? event->name : "";

	if (event->mask & IN_Q_OVERFLOW) {
		watch->callback(NULL, "", "", SYNC_WATCH_LOST, watch->user_data);
		return;
	}
	for (guint i = 0; places && i < places->len; i++) {
		const Place *place = places->pdata[i];
		bool self_gone = event->mask & (IN_DELETE_SELF | IN_MOVE_SELF);

		if (self_gone && *place->path == '\0')
			watch->callback(place->set, "", "", SYNC_WATCH_LOST, watch->user_data);
		else if (event->mask & IN_MODIFY)
			watch->callback(place->set, place->path, name, SYNC_WATCH_WRITING, watch->user_data);
		else if (!self_gone)
			watch->callback(place->set, place->path, name, SYNC_WATCH_DONE, watch->user_data);
	}
	if (event->mask & IN_IGNORED)
		g_hash_table_remove(watch->places, GINT_TO_POINTER(event->wd));
}

static bool read_events(SyncWatch *watch)
{
	char buffer[64 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(watch->fd, buffer, sizeof buffer);

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

		tell(watch, event);
		at += sizeof *event + event->len;
	}
	return n > 0;
}

/* ---- The source ---- */

/* The first event is read at once. Whoever writes goes on writing, and would be interrupted by us at each of his calls: a PBX that starts, at dozens. So
 * we do not listen for a moment, and look then. */
typedef struct {
	GSource source;
	SyncWatch *watch;
	gpointer tag;
} Source;

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer unused_data)
{
	Source *self = (Source *)source;
	bool some = read_events(self->watch);

	g_source_modify_unix_fd(source, self->tag, some ? 0 : G_IO_IN);
	g_source_set_ready_time(source, some ? g_get_monotonic_time() + PAUSE_US : -1);
	return G_SOURCE_CONTINUE;
}

static GSource *source_new(SyncWatch *watch)
{
	static GSourceFuncs funcs = { .dispatch = dispatch };
	GSource *source = g_source_new(&funcs, sizeof(Source));
	Source *self = (Source *)source;

	self->watch = watch;
	self->tag = g_source_add_unix_fd(source, watch->fd, G_IO_IN);
	return source;
}

SyncWatch *sync_watch_new(GMainContext *context, SyncWatchCb callback, gpointer user_data, GError **error)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0) {
		sync_error_from_errno(error, errno, "inotify");
		return NULL;
	}
	SyncWatch *watch = g_new0(SyncWatch, 1);
	watch->fd = fd;
	watch->callback = callback;
	watch->user_data = user_data;
	watch->places = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
	watch->source = source_new(watch);
	g_source_attach(watch->source, context);
	return watch;
}

void sync_watch_free(SyncWatch *watch)
{
	if (!watch)
		return;
	g_source_destroy(watch->source);
	g_source_unref(watch->source);
	(void)close(watch->fd);
	g_hash_table_unref(watch->places);
	g_free(watch);
}

bool sync_watch_add(SyncWatch *watch, const SyncSet *set, const char *path, int fd)
{
	char self[32];

	/* By descriptor: a path could lead elsewhere by now. */
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	int wd = inotify_add_watch(watch->fd, self, EVENTS);
	if (wd < 0)
		return false;
	GPtrArray *places = g_hash_table_lookup(watch->places, GINT_TO_POINTER(wd));
	if (!places) {
		places = g_ptr_array_new_with_free_func(place_free);
		g_hash_table_insert(watch->places, GINT_TO_POINTER(wd), places);
	}
	for (guint i = 0; i < places->len; i++) {
		Place *place = places->pdata[i];

		if (place->set != set)
			continue;
		g_free(place->path);
		place->path = g_strdup(path);
		return true;
	}
	Place *place = g_new0(Place, 1);
	place->set = set;
	place->path = g_strdup(path);
	g_ptr_array_add(places, place);
	return true;
}
