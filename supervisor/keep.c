/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/keep.c - what is kept over the supervisor's own death (in /run) and over the device's (in /var/lib).
 *
 * /run/understudy/supervisor/state      role, term, flags: where the next supervisor goes on
 * /run/understudy/supervisor/settings/  the settings last in use
 * /var/lib/understudy/supervisor/term   newest term known and the one reserved
 * /var/lib/understudy/supervisor/term-unstored  1: a term was led in that the file above does not have
 * /var/lib/understudy/supervisor/mode, joining, pair.conf
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/processes/proc.h"
#include "supervisor/supervisor.h"

#define STATE_FILE SUPERVISOR_RUN_DIR "/state"
#define GOOD_DIR KEEP_GOOD_DIR
#define TERM_FILE STATE_DIR "/term"
#define UNSTORED_FILE STATE_DIR "/term-unstored"
#define AGAIN_US (5 * G_TIME_SPAN_SECOND)
#define MODE_FILE STATE_DIR "/mode"
#define JOINING_FILE STATE_DIR "/joining"
#define GOOD_PAIR_FILE STATE_DIR "/pair.conf"

#define GROUP "supervisor"

static guint64 reserved_in(const char *text)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
	return g_strv_length(words) < 3 ? 0 : g_ascii_strtoull(words[2], NULL, 10);
}

static void load_term(Supervisor *supervisor)
{
	g_autofree char *text = store_read(supervisor->store, TERM_FILE), *mark = store_read(supervisor->store, UNSTORED_FILE);
	Term known = { 0 };
	bool unstored = mark && *mark == '1';
	supervisor->mark_told = unstored;
	if (!mark)
		store_overwrite(supervisor->store, UNSTORED_FILE, "0\n"); /* while there is room */
	if (!text)
		return;
	g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
	if (g_strv_length(words) < 3)
		return;
	known.number = g_ascii_strtoull(words[0], NULL, 10);
	g_strlcpy(known.id, strcmp(words[1], "-") == 0 ? "" : words[1], sizeof known.id);
	supervisor->term_stored = reserved_in(text);
	role_remember(&supervisor->role, &known, supervisor->term_stored, unstored);
}

void keep_write_term(Supervisor *supervisor)
{
	const RoleMachine *role = &supervisor->role;
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %s %" G_GUINT64_FORMAT "\n", role->known.number,
						*role->known.id ? role->known.id : "-", role->reserved);
	supervisor->term_tried_us = g_get_monotonic_time();
	store_write(supervisor->store, TERM_FILE, text);
}

void keep_mark_unstored(Supervisor *supervisor)
{
	if (supervisor->mark_told == supervisor->posture.mark_unstored)
		return;
	supervisor->mark_told = supervisor->posture.mark_unstored;
	store_overwrite(supervisor->store, UNSTORED_FILE, supervisor->mark_told ? "1\n" : "0\n");
}

void keep_written(Supervisor *supervisor, const char *path, const char *text)
{
	if (strcmp(path, TERM_FILE) != 0)
		return;
	supervisor->term_stored = MAX(supervisor->term_stored, reserved_in(text));
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
}

void keep_failed(Supervisor *supervisor, const char *path, const char *reason)
{
	g_warning("not on disk: %s", reason);
	if (supervisor->events && strcmp(path, EVENTS_FILE) != 0)
		events_raise_once(supervisor->events, path, 3600, EVENT_APPLICATION, "disk", 3, reason);
}

void keep_again(Supervisor *supervisor)
{
	if (supervisor->term_stored < supervisor->role.reserved && g_get_monotonic_time() - supervisor->term_tried_us >= AGAIN_US)
		keep_write_term(supervisor);
}

static void load_term_from(GKeyFile *file, const char *key, Term *ret_term)
{
	g_autofree char *id_key = g_strconcat(key, "-id", NULL), *id = g_key_file_get_string(file, GROUP, id_key, NULL);
	ret_term->number = g_key_file_get_uint64(file, GROUP, key, NULL);
	g_strlcpy(ret_term->id, id ? id : "", sizeof ret_term->id);
}

static bool load_run(Supervisor *supervisor)
{
	RoleMachine *role = &supervisor->role;
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *name = NULL, *reason = NULL;
	if (!g_key_file_load_from_file(file, STATE_FILE, G_KEY_FILE_NONE, NULL))
		return false;
	name = g_key_file_get_string(file, GROUP, "role", NULL);
	if (!role_parse(name, &role->role))
		return false;
	reason = g_key_file_get_string(file, GROUP, "reason", NULL);
	g_strlcpy(role->reason, reason ? reason : "started", sizeof role->reason);
	role->sequence = g_key_file_get_uint64(file, GROUP, "sequence", NULL);
	role->since_us = g_key_file_get_int64(file, GROUP, "since-us", NULL);
	supervisor->role_since_ms = g_key_file_get_int64(file, GROUP, "since-ms", NULL);
	role->settled = g_key_file_get_boolean(file, GROUP, "settled", NULL);
	role->serving = g_key_file_get_boolean(file, GROUP, "serving", NULL);
	role->resigned_for_health = g_key_file_get_boolean(file, GROUP, "resigned", NULL);
	role->cold = g_key_file_get_boolean(file, GROUP, "cold", NULL);
	role->cold_until_us = g_key_file_get_int64(file, GROUP, "cold-until-us", NULL);
	supervisor->failover = g_key_file_get_value(file, GROUP, "failover", NULL);
	supervisor->presence = CLAMP(g_key_file_get_integer(file, GROUP, "presence", NULL), PRESENCE_UNKNOWN, PRESENCE_DOWN);
	/* Newer than the one on disk when the last write was still under way. */
	Term term;
	load_term_from(file, "term", &term);
	load_term_from(file, "line", &role->line);
	load_term_from(file, "booted", &role->booted);
	role->doubtful = g_key_file_get_boolean(file, GROUP, "doubtful", NULL);
	role->strange = g_key_file_get_boolean(file, GROUP, "strange", NULL);
	role->unmet = g_key_file_get_boolean(file, GROUP, "unmet", NULL);
	role->unstored = g_key_file_get_boolean(file, GROUP, "unstored", NULL);
	role->superseded = g_key_file_get_boolean(file, GROUP, "superseded", NULL);
	role->lead_us = g_key_file_get_int64(file, GROUP, "lead-us", NULL);
	role->spent = 0; /* what was led in since is in here */
	if (term_compare(&term, &role->known) > 0)
		role->known = term;
	role->reserved = MAX(supervisor->term_stored, g_key_file_get_uint64(file, GROUP, "reserved", NULL));
	role->isolated_us = g_key_file_get_int64(file, GROUP, "isolated-us", NULL);
	role->take_until_us = g_key_file_get_int64(file, GROUP, "take-until-us", NULL);
	role_resume(role, g_get_monotonic_time());
	/* As the term: newer than on disk. */
	g_autofree char *mode = g_key_file_get_value(file, GROUP, "mode", NULL), *stored = mode_order_text(&supervisor->mode);
	if (mode && mode_order_parse(mode, &supervisor->mode)) {
		g_autofree char *text = mode_order_text(&supervisor->mode);
		if (strcmp(text, stored) != 0)
			store_write(supervisor->settings_store, MODE_FILE, text);
	}
	return true;
}

void keep_load_rest(Supervisor *supervisor)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	if (!g_key_file_load_from_file(file, STATE_FILE, G_KEY_FILE_NONE, NULL))
		return;
	g_auto(GStrv) failed = g_key_file_get_string_list(file, GROUP, "failed", NULL, NULL);
	undo_remember_failed(supervisor->undo, (const char *const *)failed);
	g_autofree char *given = g_key_file_get_value(file, GROUP, "mode-given", NULL);
	g_autofree char *promised = g_key_file_get_value(file, GROUP, "mode-promised", NULL);
	swap_resume(supervisor->swap, given, promised);
}

void keep_load(Supervisor *supervisor)
{
	g_autofree char *mode = store_read(supervisor->settings_store, MODE_FILE);
	role_init(&supervisor->role, supervisor->settings->id, g_get_monotonic_time());
	supervisor->role_since_ms = g_get_real_time() / 1000;
	load_term(supervisor);
	if (mode)
		(void)mode_order_parse(mode, &supervisor->mode);
	g_autofree char *joining = store_read(supervisor->settings_store, JOINING_FILE);
	supervisor->joining = joining != NULL;
	if (load_run(supervisor))
		g_message("going on as %s", role_name(supervisor->role.role));
}

static void write_changed(const char *path, const char *text, char **written)
{
	if (g_strcmp0(text, *written) == 0)
		return;
	g_free(*written);
	*written = g_strdup(text);
	(void)store_write_run(path, text);
}

void keep_write_run(Supervisor *supervisor)
{
	/* What nobody was told of yet the next supervisor has to come to once more, and tell. */
	const RoleMachine *role = supervisor_told(supervisor);
	g_autoptr(GString) text = g_string_new("[" GROUP "]\n");
	g_string_append_printf(text, "role=%s\nreason=%s\nsequence=%" G_GUINT64_FORMAT "\n", role_name(role->role), role->reason,
			       role->sequence);
	g_string_append_printf(text, "since-us=%" G_GINT64_FORMAT "\nsince-ms=%" G_GINT64_FORMAT "\n", role->since_us,
			       supervisor->role_since_ms);
	g_string_append_printf(text, "term=%" G_GUINT64_FORMAT "\nterm-id=%s\nreserved=%" G_GUINT64_FORMAT "\n", role->known.number,
			       role->known.id, role->reserved);
	g_string_append_printf(text, "line=%" G_GUINT64_FORMAT "\nline-id=%s\nbooted=%" G_GUINT64_FORMAT "\nbooted-id=%s\n",
			       role->line.number, role->line.id, role->booted.number, role->booted.id);
	g_string_append_printf(text, "doubtful=%s\nstrange=%s\nunmet=%s\nunstored=%s\n", role->doubtful ? "true" : "false",
			       role->strange ? "true" : "false", role->unmet ? "true" : "false", role->unstored ? "true" : "false");
	g_string_append_printf(text, "superseded=%s\nlead-us=%" G_GINT64_FORMAT "\n", role->superseded ? "true" : "false", role->lead_us);
	g_string_append_printf(text, "settled=%s\nserving=%s\nresigned=%s\n", role->settled ? "true" : "false",
			       role->serving ? "true" : "false", role->resigned_for_health ? "true" : "false");
	g_string_append_printf(text, "cold=%s\ncold-until-us=%" G_GINT64_FORMAT "\npresence=%d\n", role->cold ? "true" : "false",
			       role->cold_until_us, (int)supervisor->presence);
	g_autofree char *mode = mode_order_text(&supervisor->mode);
	g_string_append_printf(text, "isolated-us=%" G_GINT64_FORMAT "\ntake-until-us=%" G_GINT64_FORMAT "\nmode=%s", role->isolated_us,
			       role->take_until_us, mode);
	swap_keep(supervisor->swap, text);
	g_auto(GStrv) failed = undo_failed(supervisor->undo);
	g_autofree char *names = g_strjoinv(";", failed);
	g_string_append_printf(text, "failed=%s\n", names);
	if (supervisor->failover)
		g_string_append_printf(text, "failover=%s\n", supervisor->failover);
	g_autoptr(GString) processes = g_string_new(NULL);
	daemons_write_records(supervisor->daemons, processes);
	applications_write_records(supervisor->applications, processes);
	write_changed(STATE_FILE, text->str, &supervisor->written_state);
	write_changed(SUPERVISOR_PROCESSES, processes->str, &supervisor->written_processes);
}

void keep_mode(Supervisor *supervisor, const ModeOrder *order)
{
	g_autofree char *text = mode_order_text(order);
	store_write(supervisor->settings_store, MODE_FILE, text);
}

static bool take_mode(Supervisor *supervisor, const ModeOrder *order)
{
	ModeOrder *mode = &supervisor->mode;
	if (mode->mode == order->mode && mode->until_ms == order->until_ms && strcmp(mode->reason, order->reason) == 0)
		return false;
	g_message("mode: %s -> %s%s%s", mode_name(mode->mode), mode_name(order->mode), *order->reason ? ": " : "", order->reason);
	*mode = *order;
	supervisor_remember(supervisor);
	return true;
}

static void tell_mode(Supervisor *supervisor)
{
	service_changed(supervisor->service, "Mode");
	service_changed(supervisor->service, "ModeUntilMs");
	service_changed(supervisor->service, "ModeReason");
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
}

void supervisor_set_mode(Supervisor *supervisor, const ModeOrder *order)
{
	if (!take_mode(supervisor, order))
		return;
	keep_mode(supervisor, order);
	tell_mode(supervisor);
}

typedef struct {
	Supervisor *supervisor;
	StoreDoneCb done;
	gpointer user_data;
} ModeAsked;

static void on_mode_written(const GError *error, gpointer user_data)
{
	g_autofree ModeAsked *asked = user_data;
	if (error)
		keep_failed(asked->supervisor, MODE_FILE, error->message);
	asked->done(error, asked->user_data);
}

void supervisor_order_mode(Supervisor *supervisor, const ModeOrder *order, StoreDoneCb done, gpointer user_data)
{
	g_autofree char *text = mode_order_text(order);
	ModeAsked *asked = g_new(ModeAsked, 1);
	*asked = (ModeAsked){ supervisor, done, user_data };
	bool changed = take_mode(supervisor, order);
	/* Also where it is in use already: it may be on its way to the disk. */
	store_write_then(supervisor->settings_store, MODE_FILE, text, on_mode_written, asked);
	if (changed)
		tell_mode(supervisor);
}

void keep_watch_mode(Supervisor *supervisor)
{
	gint64 now_ms = g_get_real_time() / 1000;
	if (!mode_order_is_over(&supervisor->mode, now_ms))
		return;
	ModeOrder active = mode_order(MODE_ACTIVE, 0, "", now_ms);
	g_autofree char *text = g_strdup_printf("Device %s is active again: the time for which it was to be passive is over", supervisor->settings->name);
	events_raise(supervisor->events, EVENT_APPLICATION, "mode", 1, text);
	supervisor_set_mode(supervisor, &active);
}

void supervisor_set_joining(Supervisor *supervisor, bool joining)
{
	if (supervisor->joining == joining)
		return;
	supervisor->joining = joining;
	/* By the thread that writes settings: the mark is on disk before the settings of the pair are. */
	if (joining)
		store_write(supervisor->settings_store, JOINING_FILE, "\n");
	else
		store_remove(supervisor->settings_store, JOINING_FILE);
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
}

/* ---- Settings last in use ---- */

static void remove_folder(const char *path)
{
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	const char *name;
	while (folder && (name = g_dir_read_name(folder))) {
		g_autofree char *child = g_build_filename(path, name, NULL);
		if (unlink(child) < 0 && (errno == EISDIR || errno == EPERM))
			remove_folder(child);
	}
	(void)rmdir(path);
}

static void copy_file(const char *from, const char *to)
{
	g_autofree char *text = NULL;
	if (g_file_get_contents(from, &text, NULL, NULL))
		(void)store_write_run(to, text);
}

/* Written beside and renamed: there is always a whole one. */
void keep_good_settings(Supervisor *supervisor)
{
	static const char beside[] = GOOD_DIR ".new", old[] = GOOD_DIR ".old";
	remove_folder(beside);
	(void)mkdir(beside, 0755);
	(void)mkdir(GOOD_DIR ".new/applications.d", 0755);
	copy_file(SETTINGS_DIR "/device.conf", GOOD_DIR ".new/device.conf");
	copy_file(SETTINGS_DIR "/pair.conf", GOOD_DIR ".new/pair.conf");
	for (guint i = 0; i < supervisor->settings->applications->len; i++) {
		const SettingsApplication *application = supervisor->settings->applications->pdata[i];
		g_autofree char *from = g_strdup_printf(SETTINGS_DIR "/applications.d/%s.conf", application->name);
		g_autofree char *to = g_strdup_printf("%s/applications.d/%s.conf", beside, application->name);
		copy_file(from, to);
	}
	remove_folder(old);
	(void)rename(GOOD_DIR, old);
	(void)rename(beside, GOOD_DIR);
	remove_folder(old);
	if (supervisor->settings->pair_text)
		store_write(supervisor->store, GOOD_PAIR_FILE, supervisor->settings->pair_text);
}

Settings *keep_load_good_settings(GError **error)
{
	static const char old[] = GOOD_DIR ".old";
	return settings_load(g_file_test(GOOD_DIR, G_FILE_TEST_IS_DIR) ? GOOD_DIR : old, error);
}

void keep_forget_good_settings(void)
{
	(void)unlink(STATE_FILE);
	(void)unlink(SUPERVISOR_PROCESSES);
	remove_folder(GOOD_DIR);
}
