/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of an snmpd that cannot be reached, to a process that is not root. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snmp/reach.h"

#define NOBODY 65534

typedef struct {
	char *top, *folder, *socket, *address;
	int listening;
} Place;

static void setup(Place *place, gconstpointer data)
{
	place->top = g_dir_make_tmp("understudy-reach-XXXXXX", NULL);
	place->folder = g_build_filename(place->top, "agentx", NULL);
	place->socket = g_build_filename(place->folder, "master", NULL);
	place->address = g_strconcat("unix:", place->socket, NULL);
	place->listening = -1;
	g_assert_cmpint(g_chmod(place->top, 0755), ==, 0);
	g_assert_cmpint(g_mkdir(place->folder, 0755), ==, 0);
	g_assert_cmpint(g_chmod(place->folder, 0755), ==, 0);
}

static void teardown(Place *place, gconstpointer data)
{
	if (place->listening >= 0)
		close(place->listening);
	(void)g_unlink(place->socket);
	(void)g_rmdir(place->folder);
	(void)g_rmdir(place->top);
	g_free(place->top);
	g_free(place->folder);
	g_free(place->socket);
	g_free(place->address);
}

static void begin_listening(Place *place, mode_t mode)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	g_assert_cmpuint(g_strlcpy(name.sun_path, place->socket, sizeof name.sun_path), <, sizeof name.sun_path);
	place->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(place->listening, (const struct sockaddr *)&name, sizeof name), ==, 0);
	g_assert_cmpint(listen(place->listening, 5), ==, 0);
	g_assert_cmpint(g_chmod(place->socket, mode), ==, 0);
}

/* In a child, since root may do everything. */
static void assert_said(const Place *place, const char *format)
{
	g_autofree char *want = g_strdup(format);
	char said[1024] = "";
	int pipes[2], status;
	pid_t child;

	g_assert_cmpint(pipe(pipes), ==, 0);
	child = fork();
	g_assert_cmpint(child, >=, 0);
	if (child == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		char *text = reach_trouble(place->address);
		_exit(write(pipes[1], text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(read(pipes[0], said, sizeof said - 1), >, 0);
	close(pipes[0]);
	close(pipes[1]);
	for (const char *const *each = (const char *const[]){ "SOCKET", place->socket, "FOLDER", place->folder, NULL }; *each; each += 2) {
		g_auto(GStrv) parts = g_strsplit(want, each[0], -1);

		g_free(want);
		want = g_strjoinv(each[1], parts);
	}
	g_assert_cmpstr(said, ==, want);
}

static void test_absent(Place *place, gconstpointer data)
{
	const char *want = "there is no socket SOCKET: snmpd does not run, or its settings lack \"master agentx\" and \"agentXSocket unix:SOCKET\"";

	assert_said(place, want);
	g_assert_cmpint(g_rmdir(place->folder), ==, 0);
	assert_said(place, want);
}

static void test_folder(Place *place, gconstpointer data)
{
	begin_listening(place, 0666);
	g_assert_cmpint(g_chmod(place->folder, 0700), ==, 0);
	assert_said(place, "snmpd's folder FOLDER lets only its owner in; as root: chmod 755 FOLDER (agentXPerms of snmpd's settings counts when the folder is made)");
	/* That was all. */
	g_assert_cmpint(g_chmod(place->folder, 0755), ==, 0);
	assert_said(place, "snmpd has its socket SOCKET and does not answer there; as root: systemctl restart snmpd");
}

static void test_socket(Place *place, gconstpointer data)
{
	begin_listening(place, 0660);
	assert_said(place, "snmpd's socket SOCKET is not open to us: its settings need \"agentXPerms 0660 0755 root understudy-notify\"; then, as root: systemctl restart snmpd");
}

static void test_nobody_listens(Place *place, gconstpointer data)
{
	begin_listening(place, 0666);
	close(place->listening);
	place->listening = -1;
	assert_said(place, "nobody listens at SOCKET: snmpd does not run; as root: systemctl status snmpd");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (getuid() != 0) {
		g_print("1..0 # SKIP only root may become somebody else\n");
		return 0;
	}
#define ADD(name, test) g_test_add("/snmp/reach/" name, Place, NULL, setup, test, teardown)
	ADD("absent", test_absent);
	ADD("folder", test_folder);
	ADD("socket", test_socket);
	ADD("nobody-listens", test_nobody_listens);
	return g_test_run();
}
