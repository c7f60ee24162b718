/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-bus.c - a message bus of one's own, in a temporary folder, for one test. */
#include "test-bus.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char config_text[] = "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
				  " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
				  "<busconfig>\n"
				  "  <type>system</type>\n"
				  "  <listen>unix:path=%s</listen>\n"
				  "  <auth>EXTERNAL</auth>\n"
				  "  <policy context=\"default\">\n"
				  "    <allow user=\"*\"/>\n"
				  "    <deny own=\"*\"/>\n"
				  "    <deny send_type=\"method_call\"/>\n"
				  "    <allow send_type=\"signal\"/>\n"
				  "    <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
				  "    <allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
				  "    <allow receive_type=\"method_call\"/>\n"
				  "    <allow receive_type=\"method_return\"/>\n"
				  "    <allow receive_type=\"error\"/>\n"
				  "    <allow receive_type=\"signal\"/>\n"
				  "    <allow send_destination=\"org.freedesktop.DBus\"/>\n"
				  "  </policy>\n"
				  "  <include>%s</include>\n"
				  "  <policy context=\"mandatory\">\n"
				  "    <allow own_prefix=\"org.understudy.Test1\"/>\n"
				  "    <allow send_destination_prefix=\"org.understudy.Test1\"/>\n"
				  "  </policy>\n"
				  "</busconfig>\n";

/* ---- Waiting ---- */

typedef struct {
	GSource *source;
	bool passed;
} Deadline;

static gboolean on_deadline(gpointer user_data)
{
	((Deadline *)user_data)->passed = true;
	return G_SOURCE_CONTINUE;
}

static Deadline *deadline_new_us(gint64 duration_us)
{
	Deadline *deadline = g_new0(Deadline, 1);

	deadline->source = g_timeout_source_new((guint)(duration_us / 1000));
	g_source_set_callback(deadline->source, on_deadline, deadline, NULL);
	g_source_attach(deadline->source, NULL);
	return deadline;
}

gpointer test_deadline_new(void)
{
	return deadline_new_us(TEST_DEADLINE_MS * G_GINT64_CONSTANT(1000));
}

bool test_deadline_passed(gpointer timer)
{
	return ((Deadline *)timer)->passed;
}

void test_deadline_free(gpointer timer)
{
	Deadline *deadline = timer;

	g_source_destroy(deadline->source);
	g_source_unref(deadline->source);
	g_free(deadline);
}

void test_run_for(gint64 duration_us)
{
	Deadline *deadline = deadline_new_us(duration_us);

	while (!deadline->passed)
		g_main_context_iteration(NULL, true);
	test_deadline_free(deadline);
}

/* ---- Folders ---- */

char *test_folder_new(void)
{
	g_autoptr(GError) error = NULL;
	char *folder = g_dir_make_tmp("understudy-bus-XXXXXX", &error);

	g_assert_no_error(error);
	g_assert_cmpint(chmod(folder, 0755), ==, 0);
	return folder;
}

void test_folder_remove(char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_assert_cmpint(g_unlink(path), ==, 0);
	}
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	g_free(folder);
}

/* ---- The bus ---- */

/* A test that is killed takes its bus along. */
static void on_child(gpointer user_data)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void test_bus_start(TestBus *bus)
{
	g_autofree char *config = g_strconcat("--config-file=", bus->config, NULL);
	const char *argv[] = {
		"dbus-daemon", config, "--nofork", "--nopidfile", "--nosyslog", "--print-address=3", NULL
	};
	g_autoptr(GError) error = NULL;
	int ready[2], target = 3;
	char byte;

	g_assert_cmpint(bus->pid, ==, 0);
	g_assert_cmpint(pipe(ready), ==, 0);
	g_spawn_async_with_pipes_and_fds(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, on_child,
					 NULL, -1, -1, -1, &ready[1], &target, 1, &bus->pid, NULL, NULL, NULL, &error);
	g_assert_no_error(error);
	close(ready[1]);
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1); /* its address: it listens */
	close(ready[0]);
}

TestBus *test_bus_new(void)
{
	TestBus *bus = g_new0(TestBus, 1);
	g_autoptr(GError) error = NULL;

	bus->folder = test_folder_new();
	bus->config = g_build_filename(bus->folder, "bus.conf", NULL);
	bus->socket = g_build_filename(bus->folder, "bus", NULL);
	bus->address = g_strdup_printf("unix:path=%s", bus->socket);

	g_autofree char *text = g_strdup_printf(config_text, bus->socket, TEST_POLICY);
	g_file_set_contents(bus->config, text, -1, &error);
	g_assert_no_error(error);
	test_bus_start(bus);
	return bus;
}

void test_bus_kill(TestBus *bus)
{
	g_assert_cmpint(bus->pid, >, 0);
	kill(bus->pid, SIGKILL);
	g_assert_cmpint(waitpid(bus->pid, NULL, 0), ==, bus->pid);
	g_spawn_close_pid(bus->pid);
	bus->pid = 0;
}

void test_bus_freeze(TestBus *bus)
{
	int status;

	g_assert_cmpint(kill(bus->pid, SIGSTOP), ==, 0);
	g_assert_cmpint(waitpid(bus->pid, &status, WUNTRACED), ==, bus->pid);
	g_assert_true(WIFSTOPPED(status));
}

void test_bus_thaw(TestBus *bus)
{
	g_assert_cmpint(kill(bus->pid, SIGCONT), ==, 0);
}

void test_bus_free(TestBus *bus)
{
	if (bus->pid > 0)
		test_bus_kill(bus);
	test_folder_remove(bus->folder);
	g_free(bus->config);
	g_free(bus->socket);
	g_free(bus->address);
	g_free(bus);
}
