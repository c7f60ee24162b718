/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/main.c - understudy-syncd: the copy of configuration and voice data, and the link to the peer. */
#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>

#include "dbus/bus-caller.h"
#include "dbus/bus-link.h"
#include "dbus/bus-server.h"
#include "service.h"
#include "settings/settings.h"

#define FOLDER "/var/lib/understudy/sync"
#define SOCKET_PATH "/run/understudy/private/syncd/socket"

enum { ARENAS = 2, BLOCK = 512 * 1024 };

static gboolean stop(gpointer user_data)
{
	g_main_loop_quit(user_data);
	return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = NULL;
	g_autoptr(BusTree) tree = NULL;
	g_autoptr(SyncService) service = NULL;
	g_autoptr(BusServer) server = NULL;
	g_autoptr(BusLink) link = NULL;
	guint32 viewer;
	gsize n_viewers;

	if (argc > 1) {
		g_printerr("%s: takes no arguments; it reads " SETTINGS_DIR "\n", argv[0]);
		return 2;
	}
	/* An arena for each thread that ever allocated keeps what the busiest moment of each took. */
	(void)mallopt(M_ARENA_MAX, ARENAS);
	/* What is large goes back to the kernel at once; by itself the limit would rise with the largest that ever came. */
	(void)mallopt(M_MMAP_THRESHOLD, BLOCK);
	(void)mallopt(M_TRIM_THRESHOLD, BLOCK);
	umask(022);
	/* A peer that hangs up in the middle of a fetch is an error of that fetch, not our end. */
	signal(SIGPIPE, SIG_IGN);
	g_unix_signal_add(SIGTERM, stop, loop);
	g_unix_signal_add(SIGINT, stop, loop);

	settings = settings_load(SETTINGS_DIR, &error);
	if (!settings) {
		g_printerr("%s\n", error->message);
		return 2;
	}
	n_viewers = bus_caller_find_viewer(&viewer) ? 1 : 0;
	tree = bus_tree_new(SYNC_PATH);
	service = sync_service_new(tree, FOLDER, SETTINGS_DIR, settings, &error);
	if (!service || !(server = bus_server_new(SOCKET_PATH, tree, &viewer, n_viewers, &error))) {
		g_printerr("%s\n", error->message);
		return 1;
	}
	link = bus_link_new_bus(NULL);
	bus_link_publish(link, tree, SYNC_BUS_NAME);
	g_main_loop_run(loop);
	return 0;
}
