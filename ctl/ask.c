/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/ask.c - a line from a terminal without echo, or from a pipe. */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "dbus/bus-error.h"

static volatile sig_atomic_t interrupted;

static void note_signal(int number)
{
	interrupted = number;
}

/* The echo is restored whatever happens. */
bool ask_line(int fd, const char *prompt, char *ret_line, gsize size)
{
	struct sigaction action = { .sa_handler = note_signal }, old[3]; /* no SA_RESTART: read() is to end */
	static const int SIGNALS[] = { SIGINT, SIGTERM, SIGHUP };
	struct termios shown, hidden;
	bool tty = isatty(fd) && tcgetattr(fd, &shown) == 0;
	gsize n = 0;

	if (tty) {
		for (gsize i = 0; i < G_N_ELEMENTS(SIGNALS); i++)
			sigaction(SIGNALS[i], &action, &old[i]);
		hidden = shown;
		hidden.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(fd, TCSAFLUSH, &hidden);
		fputs(prompt, stderr);
	}
	while (n < size - 1 && !interrupted) {
		gssize got = read(fd, ret_line + n, 1); /* byte by byte: what follows the line is not ours */

		if (got == 0 || (got < 0 && errno != EINTR) || (got > 0 && ret_line[n] == '\n'))
			break;
		n += got > 0 ? 1 : 0;
	}
	ret_line[n] = '\0';
	ret_line[strcspn(ret_line, "\r")] = '\0';
	if (tty) {
		tcsetattr(fd, TCSAFLUSH, &shown);
		fputc('\n', stderr);
		for (gsize i = 0; i < G_N_ELEMENTS(SIGNALS); i++)
			sigaction(SIGNALS[i], &old[i], NULL);
		if (interrupted)
			raise(interrupted);
	}
	return *ret_line != '\0';
}

int ask_pipe(const char *text, GError **error)
{
	int fds[2];
	gssize length = (gssize)strlen(text);

	if (!g_unix_open_pipe(fds, FD_CLOEXEC, error))
		return -1;
	if (write(fds[1], text, (gsize)length) != length) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_FAILED, "pipe: %s", g_strerror(errno));
		close(fds[0]);
		fds[0] = -1;
	}
	close(fds[1]);
	return fds[0];
}
