/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/application.c - applications.d/NAME.conf: commands, needs and data sets, in starting order; pure. */
#include "settings/settings-private.h"

#include <fnmatch.h>
#include <signal.h>
#include <string.h>

#include "settings/value.h"

static const ScannerRule rules[] = {
	{ "application",
	  false,
	  { "description", "command", "unit", "program", "environment", "needs", "user", "group", "working-directory", "ready", "ready-command",
	    "ready-address", "ready-timeout-ms", "early-traffic", "health", "health-command", "health-address", "health-interval-ms", "health-timeout-ms",
	    "health-tolerance", "watchdog-ms", "restart", "restart-delay-ms", "stop-signal", "stop-timeout-ms", "critical", "config-trial-s", "quiet-command",
	    "count-command", "validate-command", "validate-timeout-ms", "act-command", "act-timeout-ms", "unite-command",
	    "unite-timeout-ms", "migrate-command", "migrate-timeout-ms", "hook-user", "capabilities",
	    "capability-bounds", "nofile", "nproc", "core", "memlock", "memory-max", "nice", "oom-score-adj", "realtime" } },
	{ "data", true, { "path", "ref", "kind", "include", "exclude" } },
	{ 0 },
};

static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "SIGHUP", SIGHUP }, { "SIGINT", SIGINT }, { "SIGKILL", SIGKILL }, { "SIGQUIT", SIGQUIT },
	{ "SIGTERM", SIGTERM }, { "SIGUSR1", SIGUSR1 }, { "SIGUSR2", SIGUSR2 }, { "SIGWINCH", SIGWINCH },
};

/* One file being read, and what is known of it only until all are. */
typedef struct {
	SettingsApplication *application; /* owned by the array of all */
	const char *file;
	guint needs_line, unit_line;
} Draft;

static void draft_free(gpointer data)
{
	g_free(data);
}

static bool read_environment(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	application->environment = g_new0(char *, 1);
	if (!value_words(file, section, "environment", false, &application->environment, error))
		return false;
	for (guint i = 0; application->environment[i]; i++) {
		const char *word = application->environment[i], *c = word;
		while (g_ascii_isalpha(*c) || *c == '_' || (c > word && g_ascii_isdigit(*c)))
			c++;
		if (c == word || *c != '=')
			return scanner_error(error, file->file, scanner_key(section, "environment")->line,
					     "\"environment\" is a list of NAME=value, not \"%s\"", word);
	}
	return true;
}

static bool read_signal(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const char *words[G_N_ELEMENTS(signals) + 1] = { NULL };
	guint i = 4; /* SIGTERM */
	for (guint j = 0; j < G_N_ELEMENTS(signals); j++)
		words[j] = signals[j].name;
	if (!value_word(file, section, "stop-signal", words, &i, error))
		return false;
	application->stop_signal = signals[i].number;
	return true;
}

static bool read_early_traffic(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const words[] = { "drop", "queue", NULL };
	const ScannerKey *key = scanner_key(section, "early-traffic");
	guint word = 0;

	if (!value_word(file, section, "early-traffic", words, &word, error))
		return false;
	application->queue_early = word == 1;
	if (word == 1 && (application->ready_check.port == 0 || application->ready_check.tcp))
		return scanner_error(error, file->file, key->line, "\"early-traffic=queue\" needs a \"ready-address\" with a port of UDP");
	return true;
}

static bool read_ready(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const words[] = { "started", "notify", "command", "port", "sip-options", NULL };
	static const SettingsCheckKind kinds[] = { SETTINGS_CHECK_NONE, SETTINGS_CHECK_NONE, SETTINGS_CHECK_COMMAND, SETTINGS_CHECK_PORT,
						   SETTINGS_CHECK_SIP };
	guint word = 0;

	application->ready_timeout_ms = 30000;
	if (!value_word(file, section, "ready", words, &word, error) ||
	    !value_uint(file, section, "ready-timeout-ms", 1, 3600000, &application->ready_timeout_ms, error))
		return false;
	application->ready = word == 0 ? SETTINGS_READY_STARTED : word == 1 ? SETTINGS_READY_NOTIFY : SETTINGS_READY_CHECK;
	return check_read(&application->ready_check, "ready", kinds[word], file, section, error) && read_early_traffic(application, file, section, error);
}

static bool read_health(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const words[] = { "none", "command", "port", "sip-options", "watchdog", NULL };
	static const SettingsCheckKind kinds[] = { SETTINGS_CHECK_NONE, SETTINGS_CHECK_COMMAND, SETTINGS_CHECK_PORT, SETTINGS_CHECK_SIP,
						   SETTINGS_CHECK_NONE };
	static const char *const of_checks[] = { "health-interval-ms", "health-timeout-ms", "health-tolerance" };
	const ScannerKey *watchdog = scanner_key(section, "watchdog-ms");
	guint word = 0;

	application->health_interval_ms = 5000;
	application->health_timeout_ms = 2000;
	application->health_tolerance = 2;
	if (!value_word(file, section, "health", words, &word, error) ||
	    !check_read(&application->health, "health", kinds[word], file, section, error) ||
	    !value_uint(file, section, "health-interval-ms", 100, 3600000, &application->health_interval_ms, error) ||
	    !value_uint(file, section, "health-timeout-ms", 10, 60000, &application->health_timeout_ms, error) ||
	    !value_uint(file, section, "health-tolerance", 0, 1000, &application->health_tolerance, error) ||
	    !value_uint(file, section, "watchdog-ms", 10, 3600000, &application->watchdog_ms, error))
		return false;
	if (g_str_equal(words[word], "watchdog") && !watchdog)
		return scanner_error(error, file->file, scanner_key(section, "health")->line, "\"health=watchdog\" needs the key \"watchdog-ms\"");
	if (watchdog && application->unit)
		return scanner_error(error, file->file, watchdog->line, "\"watchdog-ms\" is for a command; a unit has WatchdogSec=");
	for (guint i = 0; i < G_N_ELEMENTS(of_checks); i++) {
		const ScannerKey *key = scanner_key(section, of_checks[i]);
		if (key && application->health.kind == SETTINGS_CHECK_NONE)
			return scanner_error(error, file->file, key->line, "\"%s\" is for \"health=command\", \"port\" and \"sip-options\" only",
					     of_checks[i]);
	}
	return true;
}

const char *const settings_hook_names[SETTINGS_N_HOOKS] = { [SETTINGS_HOOK_VALIDATE] = "validate", [SETTINGS_HOOK_ACT] = "act",
								  [SETTINGS_HOOK_UNITE] = "unite", [SETTINGS_HOOK_MIGRATE] = "migrate" };

static bool read_hooks(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *user = scanner_key(section, "hook-user");
	bool any = false;

	for (guint i = 0; i < SETTINGS_N_HOOKS; i++) {
		SettingsHook *hook = &application->hooks[i];
		g_autofree char *command = g_strconcat(settings_hook_names[i], "-command", NULL);
		g_autofree char *timeout = g_strconcat(settings_hook_names[i], "-timeout-ms", NULL);
		const ScannerKey *key = scanner_key(section, timeout);

		hook->timeout_ms = i == SETTINGS_HOOK_UNITE || i == SETTINGS_HOOK_MIGRATE ? 60000 : 10000;
		if (!value_words(file, section, command, true, &hook->command, error) ||
		    !value_uint(file, section, timeout, 10, 600000, &hook->timeout_ms, error))
			return false;
		if (key && !hook->command)
			return scanner_error(error, file->file, key->line, "\"%s\" needs the key \"%s\"", timeout, command);
		any = any || hook->command;
	}
	if (user && !any)
		return scanner_error(error, file->file, user->line, "\"hook-user\" needs the key \"validate-command\", \"act-command\", \"unite-command\" or \"migrate-command\"");
	return value_name(file, section, "hook-user", &application->hook_user, error);
}

/* What to start: one of two. */
static bool read_program(SettingsApplication *application, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const of_commands[] = { "environment", "user", "group", "working-directory", "stop-signal" };
	const ScannerKey *command = scanner_key(section, "command"), *unit = scanner_key(section, "unit");
	if (command && unit)
		return scanner_error(error, file->file, unit->line, "there is a \"command\" already, on line %u: it is one or the other", command->line);
	if (!command && !unit)
		return scanner_error(error, file->file, section->line, "section [application] needs the key \"command\" or \"unit\"");
	if (!value_words(file, section, "command", true, &application->command, error) ||
	    !value_path(file, section, "program", &application->program, error))
		return false;
	if (!unit)
		return true;
	const char *at = unit->value;
	while (g_ascii_isalnum(*at) || (*at && strchr(":-_.\\@", *at)))
		at++;
	if (*at || !g_str_has_suffix(unit->value, ".service") || strlen(unit->value) > 255 || *unit->value == '.' || strstr(unit->value, "@.") ||
	    g_str_has_prefix(unit->value, "understudy."))
		return scanner_error(error, file->file, unit->line, "\"unit\" is the name of a service of systemd, such as kamailio.service, not \"%s\"",
				     unit->value);
	application->unit = g_strdup(unit->value);
	for (guint i = 0; i < G_N_ELEMENTS(of_commands); i++) {
		const ScannerKey *key = scanner_key(section, of_commands[i]);
		if (key)
			return scanner_error(error, file->file, key->line, "\"%s\" is for a command; a unit has its own", of_commands[i]);
	}
	return true;
}

static bool read_section(Draft *draft, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const restarts[] = { "always", "on-failure", "never", NULL };
	SettingsApplication *application = draft->application;
	guint restart = SETTINGS_RESTART_ALWAYS;

	application->description = g_strdup("");
	application->needs = g_new0(char *, 1);
	application->restart_delay_ms = 100;
	application->stop_timeout_ms = 10000;
	application->critical = true;
	application->config_trial_s = 300;
	value_text(section, "description", &application->description);
	value_list(section, "needs", ",; \t", &application->needs);
	draft->unit_line = scanner_key(section, "unit") ? scanner_key(section, "unit")->line : section->line;
	draft->needs_line = scanner_key(section, "needs") ? scanner_key(section, "needs")->line : section->line;

	if (!read_program(application, file, section, error) ||
	    !value_name(file, section, "user", &application->user, error) ||
	    !value_name(file, section, "group", &application->group, error) ||
	    !value_path(file, section, "working-directory", &application->working_directory, error) ||
	    !value_word(file, section, "restart", restarts, &restart, error) ||
	    !value_uint(file, section, "restart-delay-ms", 1, 30000, &application->restart_delay_ms, error) ||
	    !value_uint(file, section, "stop-timeout-ms", 0, 600000, &application->stop_timeout_ms, error) ||
	    !value_uint(file, section, "config-trial-s", 0, 86400, &application->config_trial_s, error) ||
	    !value_words(file, section, "quiet-command", true, &application->quiet_command, error) ||
	    !value_words(file, section, "count-command", true, &application->count_command, error) ||
	    !value_bool(file, section, "critical", &application->critical, error))
		return false;
	application->restart = (SettingsRestart)restart;
	return read_hooks(application, file, section, error) && read_environment(application, file, section, error) && read_ready(application, file, section, error) &&
	       read_health(application, file, section, error) && read_signal(application, file, section, error) &&
	       rights_read(&application->rights, file, section, application->unit != NULL, error);
}

static bool read_data(Draft *draft, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const refs[] = { "config", "volatile", "voice", NULL };
	static const char *const kinds[] = { "files", "sqlite", NULL };
	guint ref = SETTINGS_REF_CONFIG, kind = SETTINGS_DATA_FILES;

	SettingsData *data = g_new0(SettingsData, 1);
	g_ptr_array_add(draft->application->data, data); /* freed with the rest on failure */
	data->name = g_strdup(section->name);
	data->include = g_new0(char *, 1);
	data->exclude = g_new0(char *, 1);
	if (!value_require(file, section, "path", error) || !value_path(file, section, "path", &data->path, error) ||
	    !value_word(file, section, "ref", refs, &ref, error) || !value_word(file, section, "kind", kinds, &kind, error))
		return false;
	data->ref = (SettingsRef)ref;
	data->kind = (SettingsDataKind)kind;
	value_list(section, "include", ",; \t", &data->include);
	value_list(section, "exclude", ",; \t", &data->exclude);

	data->line = scanner_key(section, "path")->line;
	const char *place = settings_forbidden_data(data->path);
	if (place)
		return scanner_error(error, file->file, data->line, "%s cannot be a data set: it %s %s, which belongs to the device alone", data->path,
				     g_str_equal(place, data->path) ? "is" : "lies in or above", place);
	static const char *const of_files[] = { "include", "exclude" };
	for (guint i = 0; i < G_N_ELEMENTS(of_files); i++) {
		const ScannerKey *key = scanner_key(section, of_files[i]);
		if (key && data->kind == SETTINGS_DATA_SQLITE)
			return scanner_error(error, file->file, key->line, "\"%s\" is for \"kind=files\" only", of_files[i]);
	}
	/* Every version of it would be a new object. */
	if (data->ref == SETTINGS_REF_VOICE && data->kind == SETTINGS_DATA_SQLITE)
		return scanner_error(error, file->file, scanner_key(section, "ref")->line, "\"ref=voice\" is for \"kind=files\" only");
	return true;
}

static bool read_file(Draft *draft, const char *text, GError **error)
{
	g_autoptr(ScannerFile) file = scanner_read(draft->file, text, rules, error);
	if (!file)
		return false;
	const ScannerSection *application = scanner_section(file, "application");
	if (!application)
		return scanner_error(error, draft->file, 1, "section [application] is missing");
	if (!read_section(draft, file, application, error))
		return false;
	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		if (g_str_equal(section->kind, "data") && !read_data(draft, file, section, error))
			return false;
	}
	return true;
}

/* What `exclude` means: a pattern without a slash is compared with the last part, one with a slash with the whole path. */
static bool excludes_one(const SettingsData *set, const char *path)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	for (guint i = 0; set->exclude[i]; i++) {
		const char *pattern = set->exclude[i];
		bool whole = strchr(pattern, '/');
		if (whole ? fnmatch(*pattern == '/' ? pattern + 1 : pattern, path, FNM_PATHNAME) == 0 : fnmatch(pattern, last, 0) == 0)
			return true;
	}
	return false;
}

/* @path or a folder it lies in is excluded. */
static bool excludes(const SettingsData *set, const char *path)
{
	for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
		g_autofree char *folder = g_strndup(path, (gsize)(end - path));
		if (excludes_one(set, folder))
			return true;
	}
	return excludes_one(set, path);
}

/* @inner lies below @outer and is not excluded there, or not with all of its journals: two sets would write the same files. */
static bool holds(const SettingsData *outer, const SettingsData *inner)
{
	static const char *const journals[] = { "", "-journal", "-shm", "-wal" };
	gsize n = strlen(outer->path);
	if (outer->kind != SETTINGS_DATA_FILES || !g_str_has_prefix(inner->path, outer->path) || inner->path[n] != '/')
		return false;
	for (guint i = 0; i < (inner->kind == SETTINGS_DATA_SQLITE ? G_N_ELEMENTS(journals) : 1); i++) {
		g_autofree char *path = g_strconcat(inner->path + n + 1, journals[i], NULL);
		if (!excludes(outer, path))
			return true;
	}
	return false;
}

static bool check_data(const Draft *draft, guint data_i, const Draft *other, guint other_i, GError **error)
{
	const SettingsData *a = g_ptr_array_index(draft->application->data, data_i), *b = g_ptr_array_index(other->application->data, other_i);
	guint line = a->line, other_line = b->line;

	if (g_str_equal(a->name, b->name))
		return scanner_error(error, draft->file, line, "data set %s is already in %s:%u", a->name, other->file, other_line);
	if (g_str_equal(a->path, b->path))
		return scanner_error(error, draft->file, line, "%s is already data set %s in %s:%u", a->path, b->name, other->file, other_line);
	if (holds(a, b))
		return scanner_error(error, draft->file, line, "%s holds data set %s (%s:%u); exclude it here", a->path, b->name, other->file, other_line);
	if (holds(b, a))
		return scanner_error(error, draft->file, line, "%s lies in data set %s (%s:%u); exclude it there", a->path, b->name, other->file,
				     other_line);
	return true;
}

/* A set of which nothing would be left is a mistake: the other device would lose its own. */
static bool check_own_files(const Draft *draft, char **own_files, GError **error)
{
	for (guint i = 0; i < draft->application->data->len; i++) {
		const SettingsData *data = g_ptr_array_index(draft->application->data, i);
		for (guint k = 0; own_files[k]; k++) {
			gsize n = strlen(own_files[k]);
			if (g_str_has_prefix(data->path, own_files[k]) && (data->path[n] == '\0' || data->path[n] == '/' || n == 1))
				return scanner_error(error, draft->file, data->line, "%s cannot be a data set: \"own-files\" of device.conf has %s",
						     data->path, own_files[k]);
		}
	}
	return true;
}

/* Names and paths of data sets are the whole device's: no two files may claim one. */
static bool check_all_data(GPtrArray *drafts, char **own_files, GError **error)
{
	for (guint i = 0; i < drafts->len; i++) {
		const Draft *draft = g_ptr_array_index(drafts, i);
		if (!check_own_files(draft, own_files, error))
			return false;
		for (guint j = 0; j < draft->application->data->len; j++)
			for (guint k = 0; k <= i; k++) {
				const Draft *other = g_ptr_array_index(drafts, k);
				guint n = k == i ? j : other->application->data->len;
				for (guint l = 0; l < n; l++)
					if (!check_data(draft, j, other, l, error))
						return false;
			}
	}
	return true;
}

static bool check_units(GPtrArray *drafts, GError **error)
{
	for (guint i = 0; i < drafts->len; i++)
		for (guint k = 0; k < i; k++) {
			const Draft *draft = g_ptr_array_index(drafts, i), *other = g_ptr_array_index(drafts, k);
			if (draft->application->unit && g_strcmp0(draft->application->unit, other->application->unit) == 0)
				return scanner_error(error, draft->file, draft->unit_line, "%s is already the unit of %s:%u", draft->application->unit,
						     other->file, other->unit_line);
		}
	return true;
}

static Draft *draft_find(GPtrArray *drafts, const char *name)
{
	for (guint i = 0; i < drafts->len; i++) {
		Draft *draft = g_ptr_array_index(drafts, i);
		if (g_str_equal(draft->application->name, name))
			return draft;
	}
	return NULL;
}

/*
 * Depth first: what @draft needs, then @draft, to the end of @ordered. @path holds the drafts from the first to this one's
 * needer; meeting one of them again is a circle.
 */
static bool order(Draft *draft, GPtrArray *drafts, GPtrArray *path, GPtrArray *ordered, GError **error)
{
	if (g_ptr_array_find(ordered, draft->application, NULL))
		return true;

	guint at;
	if (g_ptr_array_find(path, draft, &at)) {
		const Draft *last = g_ptr_array_index(path, path->len - 1);
		g_autoptr(GString) circle = g_string_new(NULL);
		for (; at < path->len; at++)
			g_string_append_printf(circle, "%s -> ", ((const Draft *)g_ptr_array_index(path, at))->application->name);
		return scanner_error(error, last->file, last->needs_line, "\"needs\" form a circle: %s%s", circle->str, draft->application->name);
	}

	g_ptr_array_add(path, draft);
	for (guint i = 0; draft->application->needs[i]; i++) {
		const char *name = draft->application->needs[i];
		Draft *need = draft_find(drafts, name);
		if (!need)
			return scanner_error(error, draft->file, draft->needs_line, "needs \"%s\", but there is no applications.d/%s.conf", name, name);
		if (!order(need, drafts, path, ordered, error))
			return false;
	}
	g_ptr_array_remove_index(path, path->len - 1);
	g_ptr_array_add(ordered, draft->application);
	return true;
}

bool applications_read(Settings *settings, const char *const *files, const char *const *names, const char *const *texts, GError **error)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(settings_application_free);
	g_autoptr(GPtrArray) drafts = g_ptr_array_new_with_free_func(draft_free);

	for (guint i = 0; names && names[i]; i++) {
		SettingsApplication *application = g_new0(SettingsApplication, 1);
		application->name = g_strdup(names[i]);
		application->data = g_ptr_array_new_with_free_func(settings_data_free);
		g_ptr_array_add(all, application);

		Draft *draft = g_new0(Draft, 1);
		draft->application = application;
		draft->file = files[i];
		g_ptr_array_add(drafts, draft);

		if (!scanner_is_name(names[i]))
			return scanner_error(error, files[i], 1, "\"%s\" is no name of an application: letters, digits, \".\", \"_\", \"-\", at most %u",
					     names[i], SCANNER_MAX_NAME);
		if (!read_file(draft, texts[i], error))
			return false;
	}
	if (!check_all_data(drafts, settings->own_files, error) || !check_units(drafts, error))
		return false;

	g_autoptr(GPtrArray) ordered = g_ptr_array_new(), path = g_ptr_array_new();
	for (guint i = 0; i < drafts->len; i++)
		if (!order(g_ptr_array_index(drafts, i), drafts, path, ordered, error))
			return false;
	for (guint i = 0; i < ordered->len; i++)
		g_ptr_array_add(settings->applications, g_ptr_array_index(ordered, i));
	g_ptr_array_set_free_func(all, NULL); /* they are settings->applications' now */
	return true;
}
