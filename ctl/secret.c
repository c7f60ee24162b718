/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/secret.c - understudy secret: a target's password, from a prompt, a pipe or a descriptor; never an argument, never shown. */
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "commands.h"

#define LINE_BYTES 1100 /* one too long is the daemon's to refuse */

static CtlExit send_secret(Ctl *ctl, const char *name, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = NULL;
	int fd = ask_pipe(text, &error);

	if (fd >= 0) {
		answer = ctl_call_fd(ctl, CTL_SUPERVISOR, CTL_SUPERVISOR_INTERFACE, "SetSecret", g_variant_new("(sh)", name, 0), fd,
				     2 * CTL_CALL_TIMEOUT_MS, &error);
		close(fd);
	}
	return answer ? CTL_OK : ctl_fail(ctl, CTL_SUPERVISOR, error);
}

/* Of SNMP two lines, the second may be missing: version 2c has a community only. */
static bool ask_secret(const char *name, int fd, char *text)
{
	bool two = g_str_has_prefix(name, "snmp.");
	char second[LINE_BYTES] = "";

	if (!ask_line(fd, two ? "Community, or password for authentication: " : "Password: ", text, LINE_BYTES))
		return false;
	if (two && ask_line(fd, "Password for privacy (none with version 2c): ", second, sizeof(second))) {
		g_strlcat(text, "\n", 2 * LINE_BYTES);
		g_strlcat(text, second, 2 * LINE_BYTES);
	}
	explicit_bzero(second, sizeof(second));
	return true;
}

CtlExit ctl_secret(Ctl *ctl, int argc, char **argv)
{
	int fd = STDIN_FILENO;
	const GOptionEntry entries[] = {
		{ "fd", 0, 0, G_OPTION_ARG_INT, &fd, "Reads it from this descriptor, not from the standard input", "N" },
		{ 0 },
	};
	char text[2 * LINE_BYTES] = "";
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, entries, "set|remove NAME",
			 "Sets or removes the password of a target of pair.conf on this device: mail.NAME, sms.NAME, snmp.NAME (the community, or the "
			 "passwords for authentication and privacy in two lines). It is asked for, or read from the standard input. Do the same on "
			 "the other device.",
			 2, 3))
		return CTL_BAD_INPUT;
	if (argc > 3) /* and is not said again */
		return ctl_complain(ctl, CTL_BAD_INPUT, "secret: a secret is no argument, which everybody could see: it is asked for");
	if (g_str_equal(argv[1], "remove"))
		return send_secret(ctl, argv[2], "");
	if (!g_str_equal(argv[1], "set"))
		return ctl_complain(ctl, CTL_BAD_INPUT, "secret: it is set or remove, not \"%s\"", argv[1]);
	if (!ask_secret(argv[2], fd, text))
		return ctl_complain(ctl, CTL_BAD_INPUT, "secret: there was none; understudy secret remove %s takes it away", argv[2]);
	code = send_secret(ctl, argv[2], text);
	explicit_bzero(text, sizeof(text));
	return code;
}
