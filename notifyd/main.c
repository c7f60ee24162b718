/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/main.c - understudy-notifyd: keeps the system's events and shows them on the system bus and on a private socket. */
#include <glib-unix.h>
#include <malloc.h>
#include <sys/stat.h>

#include "dbus/bus-link.h"
#include "dbus/bus-server.h"
#include "service.h"
#include "settings/settings.h"

#define STORE_PATH  "/var/lib/understudy/notify/events.db"
#define SOCKET_PATH "/run/understudy/private/notify"
#define SECRETS_DIR "/etc/understudy/secrets.d"
#define LEDS_STATE  "/var/lib/understudy/notify/leds"
#define DEADLINE_MS 60000 /* of one delivery */
#define HELD_BYTES  (128 * 1024) /* of one client: some 400 raises that wait for the disk */

static gboolean stop(gpointer user_data)
{
	g_main_loop_quit(user_data);
	return G_SOURCE_CONTINUE;
}

/* The programs that deliver lie beside this one, wherever that is. */
static char *programs_folder(void)
{
	g_autofree char *own = g_file_read_link("/proc/self/exe", NULL);

	return g_path_get_dirname(own ? own : "/usr/lib/understudy/understudy-notifyd");
}

int main(int argc, char **argv)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = NULL;
	g_autoptr(NotifyWriter) writer = NULL;
	g_autoptr(NotifyEngine) engine = NULL;
	g_autofree char *programs = programs_folder();
	g_autoptr(BusTree) tree = NULL;
	g_autoptr(NotifyService) service = NULL;
	g_autoptr(BusServer) server = NULL;
	g_autoptr(BusLink) link = NULL;

	if (argc > 1) {
		g_printerr("%s: takes no arguments; it reads " SETTINGS_DIR "\n", argv[0]);
		return 2;
	}
	umask(077);
	(void)mallopt(M_ARENA_MAX, 3); /* one for each thread, GLib's own included: nobody waits for a lock that another holds while it waits for a processor */
	g_unix_signal_add(SIGTERM, stop, loop);
	g_unix_signal_add(SIGINT, stop, loop);

	settings = settings_load(SETTINGS_DIR, &error);
	if (!settings) {
		g_printerr("%s\n", error->message);
		return 2;
	}
	NotifyStore *store = notify_store_open(STORE_PATH, settings->events_keep, settings->id, &error);
	tree = bus_tree_new(NOTIFY_PATH);
	if (store)
		writer = notify_writer_new(store);
	if (writer)
		engine = notify_engine_new(writer, g_steal_pointer(&settings), &(NotifyEnginePlan){ SETTINGS_DIR, programs, SECRETS_DIR, DEADLINE_MS, LEDS_FOLDER, LEDS_STATE });
	if (!engine || !(service = notify_service_new(tree, writer, engine, &error)) ||
	    !(server = bus_server_new(SOCKET_PATH, tree, NULL, 0, &error))) {
		g_printerr("%s\n", error->message);
		return 1;
	}
	bus_server_hold(server, HELD_BYTES);
	link = bus_link_new_bus(NULL);
	bus_link_publish(link, tree, NOTIFY_BUS_NAME);
	g_main_loop_run(loop);
	return 0;
}
