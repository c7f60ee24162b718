/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/doctor/examine.c - gathers what doctor.c judges, tells the bus and the peer what was found.
 *
 * What changes by itself (disk, clocks, programs, a copy that stands still) is looked at every half minute; everything else when the
 * supervisor thinks, from an idle, so that no decision waits for it.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "supervisor/doctor/doctor.h"
#include "supervisor/supervisor.h"

#define EVERY_S 30
#define CLOCK_EVERY 2 /* of those */
#define CLOCK_ASK_MS 1000
#define DISK_PART 20  /* less than a twentieth free, */
#define DISK_MB 2048  /* and less than so much, */
#define DISK_FEW_MB 64 /* or less than this */

struct Examine {
	Supervisor *supervisor;
	guint idle, timer;
	guint n_looks;
	GVariant *findings;     /* aa{sv} */
	GVariant *applications; /* a{ss} */
	GPtrArray *missing;     /* of char*, NULL-terminated */
	const char *disk;
	gint64 clock_asked_us;
	bool asking_clock;
	bool clock_known;
	gint64 clock_ahead_ms;
	gint64 behind_us;       /* since when the Backup stands still short of what there is; 0: it does not */
	char *behind_at;        /* what it had applied then */
};

/* ---- Applications and their programs ---- */

/* By its meaning as the scanner sees it: comments, blank lines and blanks around do not count. */
static char *hash_of_file(const char *path)
{
	g_autofree char *text = NULL;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return g_strdup("");
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_strstrip(*line);
		if (!**line || **line == '#')
			continue;
		char *equals = strchr(*line, '=');
		if (equals && **line != '[') {
			*equals = '\0';
			g_autofree char *plain = g_strdup_printf("%s=%s\n", g_strchomp(*line), g_strchug(equals + 1));
			g_checksum_update(sum, (const guchar *)plain, -1);
		} else {
			g_checksum_update(sum, (const guchar *)*line, -1);
			g_checksum_update(sum, (const guchar *)"\n", 1);
		}
	}
	return g_strdup(g_checksum_get_string(sum));
}

static bool unit_is_there(const char *unit, bool *ret_masked)
{
	static const char *const folders[] = { "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system",
					       "/usr/lib/systemd/system" };
	const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');
	g_autofree char *template = at && dot && at < dot ? g_strdup_printf("%.*s%s", (int)(at + 1 - unit), unit, dot) : NULL;
	for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(folders[i], unit, NULL), *target = g_file_read_link(path, NULL);
		g_autofree char *of_template = template ? g_build_filename(folders[i], template, NULL) : NULL;
		*ret_masked = g_strcmp0(target, "/dev/null") == 0;
		if (*ret_masked || g_file_test(path, G_FILE_TEST_EXISTS) || (of_template && g_file_test(of_template, G_FILE_TEST_EXISTS)))
			return true;
	}
	return false;
}

static void look_at_program(Examine *examine, const SettingsApplication *application)
{
	bool masked = false;
	char *text = NULL;
	if (application->command && !g_file_test(application->command[0], G_FILE_TEST_IS_EXECUTABLE))
		text = g_strdup_printf("application %s: there is no program %s", application->name, application->command[0]);
	else if (application->unit && !unit_is_there(application->unit, &masked))
		text = g_strdup_printf("application %s: there is no unit %s", application->name, application->unit);
	else if (masked)
		text = g_strdup_printf("application %s: the unit %s is masked", application->name, application->unit);
	if (text)
		g_ptr_array_add(examine->missing, text);
}

static void look_at_applications(Examine *examine)
{
	const Settings *settings = examine->supervisor->settings;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
	g_ptr_array_set_size(examine->missing, 0);
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = settings->applications->pdata[i];
		g_autofree char *path = g_strdup_printf(SETTINGS_DIR "/applications.d/%s.conf", application->name);
		g_autofree char *hash = hash_of_file(path);
		g_variant_builder_add(&builder, "{ss}", application->name, hash);
		look_at_program(examine, application);
	}
	g_ptr_array_add(examine->missing, NULL);
	g_clear_pointer(&examine->applications, g_variant_unref);
	examine->applications = g_variant_ref_sink(g_variant_builder_end(&builder));
}

/* ---- Disk, clock, copy ---- */

static bool is_low(const char *folder)
{
	struct statvfs there;
	if (statvfs(folder, &there) < 0 || there.f_blocks == 0)
		return false;
	guint64 free_mb = (guint64)there.f_bavail * there.f_frsize / (1024 * 1024);
	return free_mb < DISK_FEW_MB || (free_mb < DISK_MB && (guint64)there.f_bavail * DISK_PART < there.f_blocks);
}

static void look_at_disk(Examine *examine)
{
	static const char *const folders[] = { "/var/lib/understudy", "/run/understudy", SETTINGS_DIR };
	const Settings *settings = examine->supervisor->settings;
	examine->disk = NULL;
	for (gsize i = 0; i < G_N_ELEMENTS(folders) && !examine->disk; i++)
		if (is_low(folders[i]))
			examine->disk = folders[i];
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = settings->applications->pdata[i];
		for (guint k = 0; k < application->data->len && !examine->disk; k++) {
			const SettingsData *data = application->data->pdata[k];
			if (is_low(data->path))
				examine->disk = g_intern_string(data->path);
		}
	}
}

/* The answer was made somewhere between asking and now. */
static void on_clock(GVariant *values, const GError *error, gpointer user_data)
{
	Examine *examine = user_data;
	gint64 theirs_ms, way_ms = (g_get_monotonic_time() - examine->clock_asked_us) / 1000;
	examine->asking_clock = false;
	examine->clock_known = !error && g_variant_lookup(values, "time_ms", "x", &theirs_ms);
	if (!examine->clock_known)
		return;
	gint64 ours_ms = g_get_real_time() / 1000 - way_ms / 2;
	examine->clock_ahead_ms = ABS(theirs_ms - ours_ms) > way_ms ? theirs_ms - ours_ms : 0;
	examine_soon(examine);
}

static void ask_clock(Examine *examine)
{
	const Supervisor *supervisor = examine->supervisor;
	if (!supervisor->facts.paired || !peer_is_connected(supervisor->peer)) {
		examine->clock_known = false;
		return;
	}
	if (examine->asking_clock)
		return;
	examine->asking_clock = true;
	examine->clock_asked_us = g_get_monotonic_time();
	peer_request(supervisor->peer, "clock", g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0), CLOCK_ASK_MS, on_clock, examine);
}

/* It may be short of the newest all day long, when something changes all the time; but it must come along. */
static void look_at_copy(Examine *examine)
{
	const Supervisor *supervisor = examine->supervisor;
	GVariant *stored = peer_sync_get(supervisor->peer, "Stored", "a{ss}"), *applied = peer_sync_get(supervisor->peer, "PeerApplied", "a{ss}");
	if (supervisor->role.role != ROLE_MASTER || !supervisor->facts.peer_fresh || !stored || !applied || g_variant_equal(stored, applied)) {
		examine->behind_us = 0;
		return;
	}
	g_autofree char *at = g_variant_print(applied, FALSE);
	if (examine->behind_us == 0 || g_strcmp0(at, examine->behind_at) != 0)
		examine->behind_us = g_get_monotonic_time();
	g_free(examine->behind_at);
	examine->behind_at = g_steal_pointer(&at);
}

/* ---- Together ---- */

static const char *text_in(GVariant *dictionary, const char *key)
{
	const char *text = "";
	if (dictionary)
		(void)g_variant_lookup(dictionary, key, "&s", &text);
	return text;
}

static GVariant *judge(Examine *examine)
{
	const Supervisor *supervisor = examine->supervisor;
	GVariant *state = peer_state(supervisor->peer), *election = elect_problems(supervisor->elect);
	g_autofree const char **problems = election ? g_variant_get_strv(election, NULL) : NULL;
	g_auto(GStrv) failed = undo_failed(supervisor->undo), holds = elect_holds(supervisor->elect);
	g_autoptr(GVariant) theirs = peer_doctor(supervisor->peer);
	g_autoptr(GVariant) peer_applications = theirs ? g_variant_lookup_value(theirs, "applications", G_VARIANT_TYPE("a{ss}")) : NULL;
	GVariant *sync_error = peer_sync_get(supervisor->peer, "LastError", "s");
	GVariant *held = peer_sync_get(supervisor->peer, "Held", "a{s(ss)}"), *peer_held = peer_sync_get(supervisor->peer, "PeerHeld", "a{s(ss)}");
	look_at_copy(examine);
	DoctorFacts facts = {
		.role = supervisor->facts,
		.own_role = supervisor->role.role,
		.resigned_for_health = supervisor->role.resigned_for_health,
		.election = problems,
		.holds = (const char *const *)holds,
		.settings_error = supervisor->settings_error,
		.application_failed = applications_have_failed(supervisor->applications),
		.failed_before = (const char *const *)failed,
		.foreign = (const char *const *)supervisor->foreign_found,
		.missing_programs = (const char *const *)examine->missing->pdata,
		.revoked = peer_has_revoked(supervisor->peer),
		.version = UNDERSTUDY_VERSION,
		.peer_version = text_in(state, "version"),
		.pair_hash = supervisor->settings->pair_hash ? supervisor->settings->pair_hash : "",
		.peer_pair_hash = text_in(state, "pair_hash"),
		.applications = examine->applications,
		.peer_applications = peer_applications,
		.clock_known = examine->clock_known,
		.clock_ahead_ms = examine->clock_ahead_ms,
		.sync_absent = !peer_sync_get(supervisor->peer, "Role", "s"),
		.sync_error = sync_error ? g_variant_get_string(sync_error, NULL) : NULL,
		.commit_held = (held && g_variant_n_children(held) > 0) ||
			       (supervisor->facts.peer_fresh && peer_held && g_variant_n_children(peer_held) > 0),
		.behind_ms = examine->behind_us ? (g_get_monotonic_time() - examine->behind_us) / 1000 : 0,
		.disk = examine->disk,
		.drill_age_days = drill_age_days(supervisor->drill),
		.drill_max_days = supervisor->settings->drill_max_age_days,
		.drill_failed = drill_has_failed(supervisor->drill),
	};
	facts.role.mode = supervisor->mode.mode;
	facts.stranger = elect_stranger(supervisor->elect, &facts.stranger_counts);
	return doctor_examine(&facts, supervisor->settings->id, examine->findings, g_get_real_time() / 1000);
}

static gboolean on_idle(gpointer user_data)
{
	Examine *examine = user_data;
	examine->idle = 0;
	if (!examine->applications)
		look_at_applications(examine);
	g_autoptr(GVariant) findings = g_variant_ref_sink(judge(examine));
	bool same = examine->findings && g_variant_equal(findings, examine->findings);
	if (!same) {
		g_clear_pointer(&examine->findings, g_variant_unref);
		examine->findings = g_steal_pointer(&findings);
		service_changed(examine->supervisor->service, "Problems");
	}
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "findings", examine->findings);
	g_variant_builder_add(&builder, "{sv}", "applications", examine->applications);
	peer_publish_doctor(examine->supervisor->peer, g_variant_builder_end(&builder));
	return G_SOURCE_REMOVE;
}

static gboolean on_time(gpointer user_data)
{
	Examine *examine = user_data;
	if (examine->n_looks++ % CLOCK_EVERY == 0)
		ask_clock(examine);
	look_at_disk(examine);
	examine_reload(examine);
	return G_SOURCE_CONTINUE;
}

void examine_soon(Examine *examine)
{
	if (examine && !examine->idle)
		examine->idle = g_idle_add(on_idle, examine);
}

void examine_reload(Examine *examine)
{
	if (!examine)
		return;
	look_at_applications(examine);
	examine_soon(examine);
}

GVariant *examine_findings(const Examine *examine)
{
	return examine && examine->findings ? g_variant_ref(examine->findings) : g_variant_ref_sink(g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0));
}

GVariant *examine_both(Examine *examine)
{
	if (examine->idle) {
		g_source_remove(examine->idle);
		(void)on_idle(examine);
	}
	g_autoptr(GVariant) ours = examine_findings(examine), published = peer_doctor(examine->supervisor->peer);
	g_autoptr(GVariant) theirs = published ? g_variant_lookup_value(published, "findings", G_VARIANT_TYPE("aa{sv}")) : NULL;
	return doctor_merge(ours, theirs);
}

Examine *examine_new(Supervisor *supervisor)
{
	Examine *examine = g_new0(Examine, 1);
	examine->supervisor = supervisor;
	examine->missing = g_ptr_array_new_with_free_func(g_free);
	examine->timer = g_timeout_add_seconds(EVERY_S, on_time, examine);
	look_at_disk(examine);
	return examine;
}

void examine_free(Examine *examine)
{
	if (!examine)
		return;
	if (examine->idle)
		g_source_remove(examine->idle);
	g_source_remove(examine->timer);
	g_clear_pointer(&examine->findings, g_variant_unref);
	g_clear_pointer(&examine->applications, g_variant_unref);
	g_ptr_array_unref(examine->missing);
	g_free(examine->behind_at);
	g_free(examine);
}
