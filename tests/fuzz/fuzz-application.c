/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-application.c - applications.d/NAME.conf, beside one that it may need. */
#include "fuzz.h"
#include "settings-texts.h"
#include "settings/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	const char *const names[] = { "database", "pbx", NULL };
	const char *const texts[] = { "[application]\ncommand=/usr/sbin/database\n", text, NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_parse(device_text, NULL, names, texts, &error);

	if (!settings) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	g_assert_cmpuint(settings->applications->len, ==, 2);
	const SettingsApplication *pbx = settings_application(settings, "pbx");
	g_assert_true(pbx->command[0] && g_path_is_absolute(pbx->command[0]));
	const SettingsCheck *check = &pbx->ready_check;
	g_assert_true(check->kind != SETTINGS_CHECK_COMMAND || (check->command && g_path_is_absolute(check->command[0])));
	g_assert_true((check->kind != SETTINGS_CHECK_PORT && check->kind != SETTINGS_CHECK_SIP) || (check->port > 0 && check->port < 65536));
	g_assert_true(pbx->stop_signal > 0 && pbx->stop_signal < 65);
	for (guint i = 0; pbx->environment[i]; i++)
		g_assert_nonnull(strchr(pbx->environment[i], '='));
	for (guint i = 0; pbx->needs[i]; i++)
		g_assert_cmpstr(pbx->needs[i], ==, "database"); /* what it needs is there, and is not itself */
	for (guint i = 0; i < pbx->data->len; i++) {
		const SettingsData *set = pbx->data->pdata[i];

		g_assert_true(g_path_is_absolute(set->path));
		g_assert_null(strstr(set->path, "/../"));
		g_assert_false(g_str_has_suffix(set->path, "/.."));
		g_assert_cmpstr(set->path, !=, "/");
		g_assert_cmpstr(set->path, !=, "/etc");
	}
	return 0;
}
