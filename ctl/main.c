/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/main.c - understudy: picks the command. */
#include <locale.h>
#include <signal.h>

#include "commands.h"

static const struct {
	const char *name, *arguments, *summary;
	CtlCommand run;
} COMMANDS[] = {
	{ "status", "", "both devices, their roles, applications, copies and problems", ctl_status },
	{ "doctor", "", "why a takeover would not work now, or not well, and what to do", ctl_doctor },
	{ "election", "", "who leads, why, on which paths it is heard, who else is about", ctl_election },
	{ "swap", "[--reason TEXT] [--when-quiet SECONDS] [--force]", "hand the service over to the other device (on the Master)", ctl_swap },
	{ "drill", "[--reason TEXT] [--last]", "a swap there and back, measured, with a report (on the Master)", ctl_drill },
	{ "mode", "[active|passive] [--minutes N] [--reason TEXT]", "show or set whether the Backup takes over by itself", ctl_mode },
	{ "takeover", "[--force]", "make this Backup the Master", ctl_takeover },
	{ "enable", "[--reason TEXT]", "turn redundancy on, on each of the two devices", ctl_enable },
	{ "disable", "[--reason TEXT] [--alone]", "turn redundancy off: each device is a PBX of its own", ctl_disable },
	{ "restart", "APPLICATION [--reason TEXT]", "stop an application of this device and start it again", ctl_restart },
	{ "reboot", "[--reason TEXT] [--force]", "reboot this device; a Master hands over first", ctl_reboot },
	{ "reset-health", "", "forget which applications have failed: the service may be handed over again", ctl_reset_health },
	{ "events", "[--unread] [--search TEXT] [--mark-read] [--ack] [--count N]", "what happened, on both devices", ctl_events },
	{ "event", "raise APPLICATION NAME [--priority N] ...", "raise an event, for scripts", ctl_event },
	{ "notify", "targets | test TARGET | log", "whom this device tells of events, a test, what became of each message", ctl_notify },
	{ "secret", "set|remove NAME", "the password of a target, asked for", ctl_secret },
	{ "history", "[PATH] [--ref config|voice|volatile]", "who changed which files", ctl_history },
	{ "show", "COMMIT [PATH]", "what a commit of the configuration changed", ctl_show },
	{ "diff", "A B [PATH]", "what differs between two commits", ctl_diff },
	{ "restore", "COMMIT [PATH] [--message TEXT]", "make the configuration what it was (on the Master)", ctl_restore },
	{ "diverged", "[show|restore NAME [PATH]]", "what was kept aside: edits on a Backup, a line that lost", ctl_diverged },
	{ "verify", "", "whether both devices have the same bytes", ctl_verify },
	{ "export", "[--history] FILE", "the configuration and the settings as one signed file", ctl_export },
	{ "import", "[--trust KEY] [--settings NEW-FILE] FILE", "make the configuration what it is in such a file (on the Master)", ctl_import },
	{ "settings", "show|set|edit|apply|history|restore|reload ...", "show and change the settings, the pair's on both devices", ctl_settings },
	{ "timeline", "[--count N]", "changes of role, with the time of each phase", ctl_timeline },
	{ "pair", "[--minutes N]", "print a code for another device to join this one", ctl_pair },
	{ "join", "ADDRESS", "join the device that printed the code", ctl_join },
	{ "unpair", "", "forget the other device", ctl_unpair },
	{ "rotate-key", "", "give this device a new key, with the pair kept", ctl_rotate_key },
	{ "git-access", "", "what stock git needs to read the other device's repository, for the shell", ctl_git_access },
	{ "peer-address", "ADDRESS", "say where the other device is now, when it was moved", ctl_peer_address },
};

static char *help_text(void)
{
	g_autoptr(RenderTable) table = render_table_new(3);
	g_autofree char *rows = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(COMMANDS); i++) {
		render_table_add(table, RENDER_PLAIN, COMMANDS[i].name);
		render_table_add(table, RENDER_PLAIN, COMMANDS[i].arguments);
		render_table_add(table, RENDER_PLAIN, COMMANDS[i].summary);
	}
	rows = render_table_text(table, &(RenderStyle){ 0 }, 2);
	return g_strdup_printf("Usage: understudy [--json] COMMAND [ARGUMENTS]\n"
			       "Steers this device of a pair of PBX servers that act as one.\n\n%s\n"
			       "  help [COMMAND], --help, --version\n\n"
			       "--json prints values for programs. Exit codes: 0 done, 1 refused, 2 bad input, 3 not "
			       "reachable, 4 timed out.\n",
			       rows);
}

static CtlCommand find_command(const char *name)
{
	for (gsize i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		if (g_str_equal(COMMANDS[i].name, name))
			return COMMANDS[i].run;
	return NULL;
}

static CtlExit run_command(Ctl *ctl, int argc, char **argv)
{
	CtlCommand command = find_command(argv[0]);
	g_autofree char *program = NULL;

	if (!command)
		return ctl_complain(ctl, CTL_BAD_INPUT, "no command \"%s\"; see understudy help", argv[0]);
	program = g_strconcat("understudy ", argv[0], NULL); /* for the usage line of --help */
	g_set_prgname(program);
	return command(ctl, argc, argv);
}

static CtlExit help(Ctl *ctl, const char *command)
{
	char *argv[] = { (char *)command, (char *)"--help", NULL };

	if (!command) {
		g_autofree char *text = help_text();

		ctl_print(text);
		return CTL_OK;
	}
	return run_command(ctl, 2, argv);
}

static CtlExit dispatch(Ctl *ctl, int argc, char **argv)
{
	int first = 1;

	for (; first < argc && argv[first][0] == '-'; first++) {
		if (g_str_equal(argv[first], "--json")) {
			ctl->json = true;
		} else if (g_str_equal(argv[first], "--help") || g_str_equal(argv[first], "-h")) {
			return help(ctl, NULL);
		} else if (g_str_equal(argv[first], "--version")) {
			ctl_print("understudy " UNDERSTUDY_VERSION "\n");
			return CTL_OK;
		} else {
			return ctl_complain(ctl, CTL_BAD_INPUT, "no option \"%s\" here; see understudy help",
					    argv[first]);
		}
	}
	if (first == argc) {
		g_autofree char *text = help_text();

		ctl_note(ctl, "%s", text);
		return CTL_BAD_INPUT;
	}
	if (g_str_equal(argv[first], "help"))
		return help(ctl, first + 1 < argc ? argv[first + 1] : NULL);
	return run_command(ctl, argc - first, argv + first);
}

int main(int argc, char **argv)
{
	Ctl ctl;
	CtlExit code;

	setlocale(LC_ALL, "");
	signal(SIGPIPE, SIG_DFL); /* understudy events | head */
	ctl_init(&ctl, false);
	code = dispatch(&ctl, argc, argv);
	ctl_clear(&ctl);
	return code;
}
