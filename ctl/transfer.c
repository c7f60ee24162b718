/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/transfer.c - understudy export and import: the configuration and the settings as one signed file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "job.h"

#define TRANSFER_TIMEOUT_MS (30 * 60 * 1000)

/* Has it done, with its progress to see; @fd is closed. *ret_result: of the job, a{sv}. */
static CtlExit transfer(Ctl *ctl, const char *method, GVariant *args, int fd, const char *word, GVariant **ret_result)
{
	g_autoptr(GVariant) answer = NULL, ended = NULL;
	g_autoptr(GError) error = NULL;
	const char *job;

	answer = ctl_call_fd(ctl, CTL_SYNC, CTL_SYNC_INTERFACE, method, args, fd, CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SYNC, error);
	g_variant_get(answer, "(&o)", &job);
	CtlExit code = job_wait(ctl, CTL_SYNC, job, TRANSFER_TIMEOUT_MS, &ended);
	if (code != CTL_OK)
		return code;
	if (!g_str_equal(dict_string(ended, "state", ""), "done")) {
		g_autofree char *why = render_clean(dict_string(ended, "error", ""));

		return ctl_complain(ctl, CTL_REFUSED, "%s: %s", word, *why ? why : dict_string(ended, "state", "failed"));
	}
	*ret_result = dict_value(ended, "result", "a{sv}");
	return CTL_OK;
}

CtlExit ctl_export(Ctl *ctl, int argc, char **argv)
{
	gboolean history = FALSE;
	const GOptionEntry entries[] = {
		{ "history", 0, 0, G_OPTION_ARG_NONE, &history, "Every version; else only what the configuration is now", NULL },
		{ 0 },
	};
	g_autoptr(GVariant) result = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, entries, "FILE", "Writes the configuration and the pair's settings to a new file, signed. It holds every password in them.", 1, 1))
		return CTL_BAD_INPUT;
	if (!ctl_connect(ctl, &error))
		return ctl_fail(ctl, CTL_SYNC, error);
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ctl_complain(ctl, CTL_BAD_INPUT, "%s: %s", argv[1], g_strerror(errno));
	CtlExit code = transfer(ctl, "Export", g_variant_new("(hb)", 0, history), fd, "export", &result);
	bool on_disk = code == CTL_OK && fsync(fd) == 0;
	int saved = errno;
	close(fd);
	if (!on_disk)
		(void)unlink(argv[1]);
	if (code != CTL_OK)
		return code;
	if (!on_disk)
		return ctl_complain(ctl, CTL_REFUSED, "%s: %s", argv[1], g_strerror(saved));
	const char *fingerprint = dict_string(result, "fingerprint", "");
	if (ctl->json) {
		GVariantBuilder builder;

		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "fingerprint", g_variant_new_string(fingerprint));
		ctl_print_json(g_variant_builder_end(&builder));
	} else {
		ctl_printf("signed by %s\n", fingerprint);
	}
	return CTL_OK;
}

static bool write_settings(const char *path, const char *text, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	gsize length = strlen(text);
	bool ok = fd >= 0 && write(fd, text, length) == (ssize_t)length;

	if (!ok)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

CtlExit ctl_import(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *trust = NULL, *settings = NULL;
	const GOptionEntry entries[] = {
		{ "trust", 0, 0, G_OPTION_ARG_STRING, &trust, "Also a file that this key has signed, as export printed it", "FINGERPRINT" },
		{ "settings", 0, 0, G_OPTION_ARG_FILENAME, &settings, "Writes the settings in it to a new file, for understudy settings apply", "NEW-FILE" },
		{ 0 },
	};
	g_autoptr(GVariant) result = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, entries, "FILE",
			 "Makes the configuration what it is in a file that export wrote: as a new commit, on both devices. On the Master.", 1, 1))
		return CTL_BAD_INPUT;
	if (!ctl_connect(ctl, &error))
		return ctl_fail(ctl, CTL_SYNC, error);
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ctl_complain(ctl, CTL_BAD_INPUT, "%s: %s", argv[1], g_strerror(errno));
	CtlExit code = transfer(ctl, "Import", g_variant_new("(hs)", 0, trust ? trust : ""), fd, "import", &result);
	close(fd);
	if (code != CTL_OK)
		return code;
	const char *commit = dict_string(result, "commit", ""), *line = dict_string(result, "line", ""), *pair_conf = dict_string(result, "pair_conf", "");
	if (settings && !write_settings(settings, pair_conf, &error))
		return ctl_complain(ctl, CTL_REFUSED, "imported, but: %s", error->message);
	if (ctl->json) {
		GVariantBuilder builder;

		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "commit", g_variant_new_string(commit));
		g_variant_builder_add(&builder, "{sv}", "line", g_variant_new_string(line));
		ctl_print_json(g_variant_builder_end(&builder));
		return CTL_OK;
	}
	g_autofree char *hash = render_hash(commit);
	ctl_printf("imported as %s\n", hash);
	if (*line)
		ctl_note(ctl, "its history is kept aside as %s", line);
	return CTL_OK;
}
