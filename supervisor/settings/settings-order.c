/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/settings-order.c - settings changed by order, on one device or on both, and what becomes of a change that was interrupted.
 *
 *	ordered here            the other device
 *	checked, numbered
 *	        ─── prepare ──►  checked, on disk beside the ones in use; held from taking over if the two will not understand each other
 *	written, in use ◄── ok
 *	        ─── commit ───►  written, in use, hold lifted
 *
 * After any interruption both compare what they have committed (revision.c). What loses is kept as a version, and told of.
 */
#include <string.h>
#include <unistd.h>

#include "supervisor/settings/settings-order.h"
#include "supervisor/supervisor.h"
#include "supervisor/settings/versions.h"

#define VERSIONS_DIR STATE_DIR "/settings"
#define PREPARED_FILE STATE_DIR "/settings-prepared"
#define SHARED_FILE STATE_DIR "/settings-shared"
#define PREPARE_MS 5000
#define COMMIT_MS 3000
#define FORWARD_MS 10000
#define FETCH_MS 2000
#define AGAIN_MS 1000
#define MISSED_US (5 * G_TIME_SPAN_SECOND)
#define MISSED_AGAIN_MS 100
#define HOLD_BEYOND_MS 2000

typedef struct {
	SettingsOrders *orders;
	SettingsChange what;
	char *file, *text, *base, *who, *why;
	Settings *settings; /* as they would be */
	Revision revision;
	char *alone_because; /* the other device was not asked */
	gint64 missed_us;    /* since when one has waited for it */
	guint timer;
	SettingsDoneCb done;
	gpointer user_data;
} Change;

struct SettingsOrders {
	Supervisor *supervisor;
	Versions *versions;
	Change *running;
	const char *why, *who; /* of what is being put to use just now */

	char *prepared; /* text; NULL: none */
	char *prepared_finding, *prepared_hash;
	Revision announced;
	gint64 announced_us;

	Revision shared; /* the newest that both were known to have */
	char *shared_hash;
	gint64 fresh_us; /* since when the peer says what it has; 0: it does not */
	guint64 last_n;
	bool asking;
	char *refused;   /* which version of the peer's cannot be used here */
	gint64 hold_until_us;
	bool held;
	guint timer, first_idle;
};

/* ---- Small things ---- */

static Revision own_revision(const Supervisor *supervisor)
{
	const Settings *settings = supervisor->settings;
	return revision_of(settings->revision_term, settings->revision_device, settings->revision_n);
}

static const char *own_hash(const Supervisor *supervisor)
{
	return supervisor->settings->pair_hash ? supervisor->settings->pair_hash : "";
}

static bool state_says(const Supervisor *supervisor, Revision *ret_revision, const char **ret_hash, const char **ret_finding)
{
	GVariant *state = peer_state(supervisor->peer);
	const char *device;
	guint64 term, n;

	*ret_hash = *ret_finding = "";
	if (!supervisor->facts.peer_fresh || !peer_is_connected(supervisor->peer) || !state ||
	    !g_variant_lookup(state, "pair_revision", "(t&st)", &term, &device, &n))
		return false;
	(void)g_variant_lookup(state, "pair_hash", "&s", ret_hash);
	(void)g_variant_lookup(state, "pair_finding", "&s", ret_finding);
	*ret_revision = revision_of(term, device, n);
	return true;
}

static bool role_leads(Role role)
{
	switch (role) {
	case ROLE_TAKING_OVER:
	case ROLE_MASTER:
	case ROLE_HANDING_OVER:
		return true;
	case ROLE_STANDALONE:
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		return false;
	}
	g_assert_not_reached();
}

static void tell(SettingsOrders *orders, const char *name, guint8 priority, const char *text)
{
	g_message("%s", text);
	events_raise(orders->supervisor->events, EVENT_APPLICATION, name, priority, text);
}

static GVariant *phase(const char *name, const Revision *revision, const char *hash, const char *text)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string(name));
	g_variant_builder_add(&builder, "{sv}", "revision", g_variant_new("(tst)", revision->term, revision->device, revision->n));
	if (hash)
		g_variant_builder_add(&builder, "{sv}", "hash", g_variant_new_string(hash));
	if (text)
		g_variant_builder_add(&builder, "{sv}", "pair_conf", g_variant_new_string(text));
	return g_variant_builder_end(&builder);
}

/* ---- Versions ---- */

static void keep_text(SettingsOrders *orders, const char *file, const char *text, const Revision *revision, const char *who, const char *why)
{
	g_autoptr(GError) error = NULL;
	if (text && !versions_add(orders->versions, file, text, revision, who, why, NULL, &error))
		events_raise_once(orders->supervisor->events, "settings versions", 3600, EVENT_APPLICATION, "disk", 3, error->message);
}

void settings_orders_in_use(SettingsOrders *orders)
{
	static const Revision none;
	if (!orders)
		return;
	const char *who = orders->who ? orders->who : "", *why = orders->why ? orders->why : "found";
	Revision own = own_revision(orders->supervisor);
	g_autofree char *device = NULL;
	keep_text(orders, "pair.conf", orders->supervisor->settings->pair_text, &own, who, why);
	if (!*orders->supervisor->settings_error && g_file_get_contents(SETTINGS_DIR "/device.conf", &device, NULL, NULL))
		keep_text(orders, "device.conf", device, &none, who, why);
}

/* A version that will not be used: kept under a number, and people are told which. */
static void set_aside(SettingsOrders *orders, const char *text, const Revision *revision, const char *why, const char *what)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *named = revision_text(revision), *event = NULL;
	guint number = 0;
	if (versions_add(orders->versions, "pair.conf", text, revision, "", why, &number, &error))
		event = g_strdup_printf("%s (%s); they are kept: understudy settings history, understudy settings restore %u", what, named, number);
	else
		event = g_strdup_printf("%s (%s); they could not be kept: %s", what, named, error->message);
	tell(orders, "settings-kept", 2, event);
}

/* ---- What both are known to have ---- */

static void set_shared(SettingsOrders *orders, const Revision *revision, const char *hash)
{
	if (orders->shared_hash && revision_compare(&orders->shared, revision) == 0 && strcmp(orders->shared_hash, hash) == 0)
		return;
	g_free(orders->shared_hash);
	orders->shared = *revision;
	orders->shared_hash = g_strdup(hash);
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %s %" G_GUINT64_FORMAT " %s\n", revision->term,
						*revision->device ? revision->device : "-", revision->n, hash);
	store_write(orders->supervisor->store, SHARED_FILE, text);
}

static void load_shared(SettingsOrders *orders)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents(SHARED_FILE, &text, NULL, NULL))
		return;
	g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
	if (g_strv_length(words) < 4)
		return;
	orders->shared = revision_of(g_ascii_strtoull(words[0], NULL, 10), strcmp(words[1], "-") == 0 ? "" : words[1],
				     g_ascii_strtoull(words[2], NULL, 10));
	orders->shared_hash = g_strdup(words[3]);
}

static bool is_shared(const SettingsOrders *orders)
{
	Revision own = own_revision(orders->supervisor);
	return orders->shared_hash && revision_compare(&own, &orders->shared) == 0 && strcmp(own_hash(orders->supervisor), orders->shared_hash) == 0;
}

/* ---- A prepared version ---- */

static void forget_prepared(SettingsOrders *orders)
{
	if (!orders->prepared)
		return;
	g_clear_pointer(&orders->prepared, g_free);
	g_clear_pointer(&orders->prepared_finding, g_free);
	g_clear_pointer(&orders->prepared_hash, g_free);
	store_remove(orders->supervisor->store, PREPARED_FILE);
}

static void remember_prepared(SettingsOrders *orders, const char *text, const Settings *settings)
{
	g_free(orders->prepared);
	g_free(orders->prepared_finding);
	g_free(orders->prepared_hash);
	orders->prepared = g_strdup(text);
	orders->prepared_finding = settings_finding(settings);
	orders->prepared_hash = g_strdup(settings->pair_hash);
	orders->announced = revision_of(settings->revision_term, settings->revision_device, settings->revision_n);
	orders->announced_us = g_get_monotonic_time();
}

static void load_prepared(SettingsOrders *orders)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents(PREPARED_FILE, &text, NULL, NULL))
		return;
	g_autoptr(Settings) settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, NULL);
	if (settings && settings->has_pair)
		remember_prepared(orders, text, settings);
	else
		store_remove(orders->supervisor->store, PREPARED_FILE);
}

/* ---- The hold while the two would not understand each other ---- */

static void judge_hold(SettingsOrders *orders, gint64 now_us)
{
	Supervisor *supervisor = orders->supervisor;
	g_autofree char *finding = settings_finding(supervisor->settings);
	const char *hash, *theirs;
	Revision revision;
	bool fresh = state_says(supervisor, &revision, &hash, &theirs);
	bool differs = orders->prepared && strcmp(orders->prepared_finding, finding) != 0;
	if (fresh && role_leads(supervisor->facts.peer_role) && *theirs && strcmp(theirs, finding) != 0)
		differs = true;
	if (!differs)
		orders->hold_until_us = 0;
	else if (peer_is_connected(supervisor->peer) || orders->hold_until_us == 0)
		orders->hold_until_us = now_us + (supervisor->settings->peer_timeout_ms + HOLD_BEYOND_MS) * (gint64)G_TIME_SPAN_MILLISECOND;
	bool held = orders->hold_until_us > now_us;
	if (held == orders->held)
		return;
	orders->held = held;
	elect_apply(supervisor->elect);
}

bool settings_orders_hold(const SettingsOrders *orders)
{
	return orders && orders->held;
}

/* ---- Putting a text to use ---- */

/* All or nothing: when the whole cannot be used with it, the file is as before. */
static bool put_to_use(SettingsOrders *orders, const char *file, const char *text, const char *who, const char *why, GError **error)
{
	g_autofree char *path = g_build_filename(SETTINGS_DIR, file, NULL), *before = NULL;
	(void)g_file_get_contents(path, &before, NULL, NULL);
	settings_orders_in_use(orders);
	if (!store_write_now(path, text, error))
		return false;
	orders->who = who;
	orders->why = why;
	bool ok = supervisor_reload(orders->supervisor, error);
	orders->who = orders->why = NULL;
	if (ok)
		return true;
	if (!before)
		(void)unlink(path);
	if ((!before || store_write_now(path, before, NULL)) && !supervisor_reload(orders->supervisor, NULL))
		g_warning("%s: neither the new text nor the one before can be used", path);
	return false;
}

/* The other device's version becomes ours. */
static bool adopt(SettingsOrders *orders, const char *text, GError **error)
{
	Supervisor *supervisor = orders->supervisor;
	Revision own = own_revision(supervisor);
	g_autoptr(Settings) settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, error);
	if (!settings)
		return false;
	Revision revision = revision_of(settings->revision_term, settings->revision_device, settings->revision_n);
	if (revision_compare(&revision, &own) <= 0)
		return true;
	if (supervisor->settings->pair_text && !is_shared(orders) && strcmp(own_hash(supervisor), settings->pair_hash) != 0)
		set_aside(orders, supervisor->settings->pair_text, &own, "kept-aside",
			  "Newer settings of the pair replace those that this device had been given without the other");
	if (!put_to_use(orders, "pair.conf", text, peer_id(supervisor->peer), "peer", error))
		return false;
	if (orders->prepared && revision_compare(&orders->announced, &revision) != 0)
		set_aside(orders, orders->prepared, &orders->announced, "not-committed", "Announced settings of the pair were never put to use");
	forget_prepared(orders);
	set_shared(orders, &revision, settings->pair_hash);
	g_autofree char *named = revision_text(&revision);
	g_autofree char *event = g_strdup_printf("The other device's settings of the pair are in use (%s)", named);
	tell(orders, "settings", 1, event);
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
	return true;
}

static void refuse_peers(SettingsOrders *orders, char *key, const char *why)
{
	g_free(orders->refused);
	orders->refused = key;
	g_autofree char *event = g_strdup_printf("The other device's settings of the pair cannot be used here: %s", why);
	tell(orders, "settings", 3, event);
}

static char *peers_version_key(const Supervisor *supervisor)
{
	const char *hash, *finding;
	Revision revision;
	if (!state_says(supervisor, &revision, &hash, &finding))
		return NULL;
	g_autofree char *named = revision_text(&revision);
	return g_strdup_printf("%s %s", named, hash);
}

static gboolean on_time(gpointer user_data)
{
	SettingsOrders *orders = user_data;
	orders->timer = 0;
	settings_orders_look(orders);
	return G_SOURCE_REMOVE;
}

static void look_in_ms(SettingsOrders *orders, guint ms)
{
	if (orders->timer)
		g_source_remove(orders->timer);
	orders->timer = g_timeout_add(ms, on_time, orders);
}

static void on_fetched(GVariant *values, const GError *error, gpointer user_data)
{
	SettingsOrders *orders = user_data;
	const char *text = "";
	g_autoptr(GError) refusal = NULL;
	orders->asking = false;
	if (error || !g_variant_lookup(values, "pair_conf", "&s", &text) || !*text) {
		look_in_ms(orders, AGAIN_MS);
		return;
	}
	if (!adopt(orders, text, &refusal))
		refuse_peers(orders, peers_version_key(orders->supervisor), refusal->message);
	settings_orders_look(orders);
}

static void fetch(SettingsOrders *orders)
{
	g_autofree char *key = peers_version_key(orders->supervisor);
	if (orders->asking || g_strcmp0(key, orders->refused) == 0)
		return;
	orders->asking = true;
	peer_request(orders->supervisor->peer, "settings", g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0), FETCH_MS, on_fetched, orders);
}

static void commit_prepared(SettingsOrders *orders)
{
	g_autofree char *text = g_strdup(orders->prepared);
	g_autoptr(GError) error = NULL;
	if (!adopt(orders, text, &error)) {
		forget_prepared(orders);
		refuse_peers(orders, peers_version_key(orders->supervisor), error->message);
	}
}

static void drop_prepared(SettingsOrders *orders)
{
	Revision own = own_revision(orders->supervisor);
	if (revision_compare(&orders->announced, &own) != 0)
		set_aside(orders, orders->prepared, &orders->announced, "not-committed", "Announced settings of the pair were never put to use");
	forget_prepared(orders);
}

void settings_orders_look(SettingsOrders *orders)
{
	Supervisor *supervisor = orders->supervisor;
	gint64 now_us = g_get_monotonic_time(), next_us;
	const char *hash, *finding;
	RevisionFacts facts = {
		.own = own_revision(supervisor),
		.prepared = orders->prepared != NULL,
		.announced = orders->announced,
		.announced_us = orders->announced_us,
		.busy = orders->running || supervisor->role.role == ROLE_TAKING_OVER || supervisor->role.role == ROLE_HANDING_OVER,
	};
	facts.peer_fresh = supervisor->settings->has_pair && state_says(supervisor, &facts.peer, &hash, &finding);
	if (!facts.peer_fresh)
		orders->fresh_us = 0;
	else if (orders->fresh_us == 0)
		orders->fresh_us = now_us;
	facts.fresh_us = orders->fresh_us;
	if (facts.peer_fresh && revision_compare(&facts.peer, &facts.own) == 0 && strcmp(hash, own_hash(supervisor)) == 0)
		set_shared(orders, &facts.own, hash);
	facts.announced_is_peers = facts.prepared && facts.peer_fresh && revision_compare(&facts.peer, &facts.announced) == 0 &&
				   strcmp(hash, orders->prepared_hash) == 0;
	switch (revision_next(&facts, now_us, &next_us)) {
	case REVISION_KEEP:
		break;
	case REVISION_FETCH:
		fetch(orders);
		break;
	case REVISION_COMMIT:
		commit_prepared(orders);
		break;
	case REVISION_DROP:
		drop_prepared(orders);
		break;
	}
	judge_hold(orders, now_us);
	if (orders->hold_until_us > now_us)
		next_us = next_us ? MIN(next_us, orders->hold_until_us) : orders->hold_until_us;
	if (next_us)
		look_in_ms(orders, (guint)((MAX(next_us - now_us, 0) + 999) / 1000));
}

/* ---- A change by order ---- */

static void change_free(Change *change)
{
	if (!change)
		return;
	if (change->timer)
		g_source_remove(change->timer);
	settings_unref(change->settings);
	g_free(change->file);
	g_free(change->text);
	g_free(change->base);
	g_free(change->who);
	g_free(change->why);
	g_free(change->alone_because);
	g_free(change);
}

static void end(Change *change, GVariant *result, const GError *error)
{
	SettingsOrders *orders = change->orders;
	g_autoptr(GVariant) kept = result ? g_variant_ref_sink(result) : NULL;
	if (orders->running == change)
		orders->running = NULL;
	if (error && change->what.from_disk)
		supervisor_refuse_settings(orders->supervisor, error->message);
	change->done(kept, error, change->user_data);
	change_free(change);
	supervisor_think(orders->supervisor, ROLE_EVENT_FACTS);
}

static void end_refused(Change *change, BusError code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void end_refused(Change *change, BusError code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autoptr(GError) error = g_error_new_valist(BUS_ERROR, (int)code, format, args);
	va_end(args);
	end(change, NULL, error);
}

/* What does not count at once, of what has changed. */
static void add_notes(GVariantBuilder *notes, const Settings *before, const Settings *after)
{
	if (before->cold_boot_wait_ms != after->cold_boot_wait_ms)
		g_variant_builder_add(notes, "s", "cold-boot-wait-ms: counts when the device is switched on next");
	if (before->first_answer_ms != after->first_answer_ms)
		g_variant_builder_add(notes, "s", "first-answer-ms: counts at the next takeover");
	if (strcmp(before->id, after->id) != 0)
		g_variant_builder_add(notes, "s", "id: needs a restart of the service (systemctl restart understudy)");
	for (guint i = 0; i < after->applications->len; i++) {
		const SettingsApplication *b = after->applications->pdata[i], *a = settings_application(before, b->name);
		bool same = a && a->command && b->command ? g_strv_equal((const char *const *)a->command, (const char *const *)b->command) :
							    !a || a->command == b->command;
		if (same && a && a->environment && b->environment)
			same = g_strv_equal((const char *const *)a->environment, (const char *const *)b->environment);
		if (!same) {
			g_autofree char *text = g_strdup_printf("applications.d/%s.conf: counts when %s is started next", b->name, b->name);
			g_variant_builder_add(notes, "s", text);
		}
	}
}

static GVariant *result_of(const Change *change, const Settings *before, const char *scope)
{
	GVariantBuilder builder, notes;
	g_autofree char *revision = revision_of_text(change->text);
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_init(&notes, G_VARIANT_TYPE("as"));
	add_notes(&notes, before, change->settings);
	if (change->alone_because)
		g_variant_builder_add(&notes, "s", change->alone_because);
	g_variant_builder_add(&builder, "{sv}", "revision", g_variant_new_string(revision));
	g_variant_builder_add(&builder, "{sv}", "pair_revision",
			      g_variant_new("(tst)", change->revision.term, change->revision.device, change->revision.n));
	g_variant_builder_add(&builder, "{sv}", "scope", g_variant_new_string(scope));
	g_variant_builder_add(&builder, "{sv}", "notes", g_variant_builder_end(&notes));
	return g_variant_builder_end(&builder);
}

typedef struct {
	Change *change;
	Settings *before;
} Committing;

static void on_peer_committed(GVariant *values, const GError *error, gpointer user_data)
{
	Committing *committing = user_data;
	Change *change = committing->change;
	if (error)
		change->alone_because = g_strdup_printf("the other device has not confirmed (%s); it takes them over as soon as it can", error->message);
	end(change, result_of(change, committing->before, error ? "alone" : "both"), NULL);
	settings_unref(committing->before);
	g_free(committing);
}

/* From here on it is the pair's version, whatever happens. */
static void commit(Change *change, bool with_peer)
{
	SettingsOrders *orders = change->orders;
	Supervisor *supervisor = orders->supervisor;
	g_autoptr(Settings) before = settings_ref(supervisor->settings);
	g_autoptr(GError) error = NULL;
	if (!put_to_use(orders, change->file, change->text, change->who, change->why, &error)) {
		if (with_peer)
			peer_request(supervisor->peer, "settings", phase("abort", &change->revision, NULL, NULL), COMMIT_MS, NULL, NULL);
		end(change, NULL, error);
		return;
	}
	settings_unref(change->settings);
	change->settings = settings_ref(supervisor->settings);
	if (strcmp(change->file, "pair.conf") == 0) {
		g_autofree char *named = revision_text(&change->revision);
		g_autofree char *event = g_strdup_printf("The settings of the pair were changed by %s (%s)%s", change->who, named,
							 with_peer ? "" : ", on this device alone");
		orders->last_n = MAX(orders->last_n, change->revision.n);
		if (supervisor->facts.paired)
			tell(orders, "settings", with_peer ? 1 : 2, event);
	}
	if (!with_peer) {
		bool alone = strcmp(change->file, "pair.conf") == 0 && supervisor->facts.paired;
		end(change, result_of(change, before, alone ? "alone" : "device"), NULL);
		return;
	}
	supervisor_think(supervisor, ROLE_EVENT_FACTS); /* the peer sees what we have now before it is told to have it, too */
	Committing *committing = g_new0(Committing, 1);
	*committing = (Committing){ change, g_steal_pointer(&before) };
	peer_request(supervisor->peer, "settings", phase("commit", &change->revision, change->settings->pair_hash, NULL), COMMIT_MS,
		     on_peer_committed, committing);
}

static bool is_about_absence(const GError *error)
{
	return g_error_matches(error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE) || g_error_matches(error, BUS_ERROR, BUS_ERROR_TIMED_OUT) ||
	       g_error_matches(error, BUS_ERROR, BUS_ERROR_GONE);
}

static void change_alone(Change *change, const char *because)
{
	g_auto(GStrv) finding = settings_finding_differs(change->orders->supervisor->settings, change->settings);
	if (*finding && !change->what.alone) {
		g_autofree char *keys = g_strjoinv(", ", finding);
		end_refused(change, BUS_ERROR_REFUSED,
			    "needs-alone: by %s the two devices find and understand each other, and %s; with --alone it is changed here only", keys,
			    because);
		return;
	}
	change->alone_because = g_strdup_printf("%s; it takes them over when it is back", because);
	commit(change, false);
}

static void on_peer_prepared(GVariant *values, const GError *error, gpointer user_data)
{
	Change *change = user_data;
	Supervisor *supervisor = change->orders->supervisor;
	if (!error && supervisor->role.role != ROLE_MASTER && supervisor->role.role != ROLE_STANDALONE) {
		peer_request(supervisor->peer, "settings", phase("abort", &change->revision, NULL, NULL), COMMIT_MS, NULL, NULL);
		end_refused(change, BUS_ERROR_REFUSED, "role-changing: this device leads no more");
		return;
	}
	if (!error) {
		commit(change, true);
		return;
	}
	if (is_about_absence(error)) {
		peer_request(supervisor->peer, "settings", phase("abort", &change->revision, NULL, NULL), COMMIT_MS, NULL, NULL);
		change_alone(change, "the other device does not answer");
		return;
	}
	g_autoptr(GError) theirs = g_error_new(error->domain, error->code, "%s%s: %s",
					       g_error_matches(error, BUS_ERROR, BUS_ERROR_REFUSED) ? "peer-refuses: " : "", peer_id(supervisor->peer),
					       error->message);
	end(change, NULL, theirs);
}

static void on_forwarded(GVariant *values, const GError *error, gpointer user_data)
{
	Change *change = user_data;
	end(change, values ? g_variant_ref(values) : NULL, error);
}

/* To the one that leads. */
static void forward(Change *change)
{
	GVariantBuilder builder;
	change->orders->running = NULL; /* it is the other's now, and will come back as one to prepare */
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string("change"));
	g_variant_builder_add(&builder, "{sv}", "pair_conf", g_variant_new_string(change->text));
	g_variant_builder_add(&builder, "{sv}", "base", g_variant_new_string(change->base));
	g_variant_builder_add(&builder, "{sv}", "who", g_variant_new_string(change->who));
	g_variant_builder_add(&builder, "{sv}", "why", g_variant_new_string(change->why));
	g_variant_builder_add(&builder, "{sv}", "dry_run", g_variant_new_boolean(change->what.dry_run));
	peer_request(change->orders->supervisor->peer, "settings", g_variant_builder_end(&builder), FORWARD_MS, on_forwarded, change);
}

/* Numbered, so that it is newer than everything there is. */
static bool give_number(Change *change, GError **error)
{
	SettingsOrders *orders = change->orders;
	Supervisor *supervisor = orders->supervisor;
	Revision own = own_revision(supervisor);
	guint64 term = MAX(supervisor->role.known.number, own.term);
	change->revision = revision_of(term, supervisor->settings->id, MAX(own.n, orders->last_n) + 1);
	orders->last_n = change->revision.n;
	g_autofree char *text = settings_with_revision(change->text, term, supervisor->settings->id, change->revision.n);
	settings_unref(change->settings);
	change->settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, error);
	if (!change->settings)
		return false;
	g_free(change->text);
	change->text = g_steal_pointer(&text);
	return true;
}

static void change_pair(Change *change);

static gboolean on_missed_time(gpointer user_data)
{
	Change *change = user_data;
	change->timer = 0;
	change_pair(change);
	return G_SOURCE_REMOVE;
}

/* Not connected just now is not away: its syncd, or ours, may only have been restarted. */
static bool wait_for_peer(Change *change)
{
	gint64 now_us = g_get_monotonic_time();
	if (change->missed_us == 0)
		change->missed_us = now_us;
	if (peer_is_down(change->orders->supervisor->peer) || now_us - change->missed_us >= MISSED_US)
		return false;
	change->timer = g_timeout_add(MISSED_AGAIN_MS, on_missed_time, change);
	return true;
}

static void change_pair(Change *change)
{
	SettingsOrders *orders = change->orders;
	Supervisor *supervisor = orders->supervisor;
	const RoleFacts *facts = &supervisor->facts;
	const char *hash, *finding;
	Revision own = own_revision(supervisor), theirs;
	g_autoptr(GError) error = NULL;
	bool fresh = state_says(supervisor, &theirs, &hash, &finding);
	bool peer_leads = facts->paired && fresh && role_leads(facts->peer_role);

	switch (supervisor->role.role) {
	case ROLE_TAKING_OVER:
	case ROLE_HANDING_OVER:
		end_refused(change, BUS_ERROR_BUSY, "the role is just changing");
		return;
	case ROLE_STANDALONE:
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		if (peer_leads) {
			forward(change);
			return;
		}
		if (facts->paired && supervisor->role.role != ROLE_STANDALONE) {
			end_refused(change, BUS_ERROR_REFUSED,
				    "no-master: this device does not lead and its Master is not there; the settings of the pair are the Master's to change");
			return;
		}
		break;
	case ROLE_MASTER:
		break;
	}
	if (facts->paired && !fresh && !change->what.dry_run && wait_for_peer(change))
		return;
	if (fresh && revision_compare(&theirs, &own) > 0) {
		end_refused(change, BUS_ERROR_BUSY, "newer settings of the other device are just being taken over");
		return;
	}
	if (!give_number(change, &error)) {
		end(change, NULL, error);
	} else if (change->what.dry_run) {
		end(change, result_of(change, supervisor->settings, "none"), NULL);
	} else if (!facts->paired) {
		commit(change, false);
	} else if (!fresh) {
		change_alone(change, "the other device is not connected");
	} else {
		peer_request(supervisor->peer, "settings", phase("prepare", &change->revision, change->settings->pair_hash, change->text),
			     PREPARE_MS, on_peer_prepared, change);
	}
}

static void change_device(Change *change)
{
	Supervisor *supervisor = change->orders->supervisor;
	if (supervisor->facts.paired && strcmp(change->settings->id, supervisor->settings->id) != 0)
		end_refused(change, BUS_ERROR_REFUSED, "paired: the other device knows this one as %s; unpair first", supervisor->settings->id);
	else if (change->what.dry_run)
		end(change, result_of(change, supervisor->settings, "none"), NULL);
	else
		commit(change, false);
}

static bool is_of_base(const Change *change, GError **error)
{
	g_autofree char *path = g_build_filename(SETTINGS_DIR, change->file, NULL), *now = NULL;
	if (!*change->base)
		return true;
	(void)g_file_get_contents(path, &now, NULL, NULL);
	g_autofree char *revision = revision_of_text(now ? now : "");
	if (strcmp(revision, change->base) == 0)
		return true;
	g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED,
		    "revision-differs: %s has been changed meanwhile: this change was made to %s, and it is %s now", change->file, change->base,
		    revision);
	return false;
}

void settings_order_change(SettingsOrders *orders, const SettingsChange *what, SettingsDoneCb done, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	Change *change = g_new0(Change, 1);
	*change = (Change){ .orders = orders, .what = *what, .done = done, .user_data = user_data };
	change->file = g_strdup(what->file);
	change->text = g_strdup(what->text);
	change->base = g_strdup(what->base ? what->base : "");
	change->who = g_strdup(what->who && *what->who ? what->who : "somebody");
	change->why = g_strdup(what->why && *what->why ? what->why : "ordered");
	bool pair = strcmp(change->file, "pair.conf") == 0;
	if (orders->running) {
		change->what.from_disk = false; /* the other one decides what is in use */
		end_refused(change, BUS_ERROR_BUSY, "another change of the settings is under way");
		return;
	}
	orders->running = change;
	if (!pair && strcmp(change->file, "device.conf") != 0) {
		end_refused(change, BUS_ERROR_REFUSED,
			    "root-only: only pair.conf and device.conf are changed over the bus; what names commands is installed by root");
		return;
	}
	change->settings = settings_load_with(SETTINGS_DIR, change->file, change->text, &error);
	if (!change->settings) {
		end_refused(change, BUS_ERROR_INVALID_ARGS, "%s", error->message);
		return;
	}
	if (!is_of_base(change, &error)) {
		end(change, NULL, error);
		return;
	}
	if (pair)
		change_pair(change);
	else
		change_device(change);
}

/* ---- Reload: what an editor left on disk ---- */

void settings_order_reload(SettingsOrders *orders, const char *who, SettingsDoneCb done, gpointer user_data)
{
	Supervisor *supervisor = orders->supervisor;
	const Settings *before = supervisor->settings;
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_load(SETTINGS_DIR, &error);
	if (settings && role_leads(supervisor->role.role) && settings->has_pair && before->has_pair &&
	    strcmp(settings->pair_text, before->pair_text) != 0) {
		g_autofree char *text = g_strdup(settings->pair_text);
		settings_order_change(orders, &(SettingsChange){ .file = "pair.conf", .text = text, .who = who, .why = "edited", .from_disk = true },
				      done, user_data);
		return;
	}
	orders->who = who;
	orders->why = "edited";
	bool ok = supervisor_reload(supervisor, settings ? &error : NULL);
	orders->who = orders->why = NULL;
	done(NULL, ok ? NULL : error, user_data);
}

/* ---- What the other device asks ---- */

static GVariant *nothing(void)
{
	return g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0);
}

static GVariant *answer_prepare(SettingsOrders *orders, const Revision *revision, GVariant *args, GError **error)
{
	Supervisor *supervisor = orders->supervisor;
	Revision own = own_revision(supervisor);
	const char *text = "";
	(void)g_variant_lookup(args, "pair_conf", "&s", &text);
	if (role_leads(supervisor->role.role)) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "is-master: this device leads");
		return NULL;
	}
	if (orders->running) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_BUSY, "another change of the settings is under way");
		return NULL;
	}
	if (revision_compare(revision, &own) <= 0) {
		g_autofree char *named = revision_text(&own);
		g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "settings-newer: this device has newer settings (%s)", named);
		return NULL;
	}
	g_autoptr(GError) bad = NULL;
	g_autoptr(Settings) settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, &bad);
	if (!settings) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, bad->message);
		return NULL;
	}
	if (!store_write_now(PREPARED_FILE, text, error))
		return NULL;
	remember_prepared(orders, text, settings);
	settings_orders_look(orders); /* sets the hold */
	return nothing();
}

static GVariant *answer_commit(SettingsOrders *orders, const Revision *revision, GVariant *args, GError **error)
{
	Revision own = own_revision(orders->supervisor);
	const char *hash = "";
	(void)g_variant_lookup(args, "hash", "&s", &hash);
	if (revision_compare(revision, &own) == 0 && strcmp(hash, own_hash(orders->supervisor)) == 0)
		return nothing(); /* its `state` was quicker */
	if (!orders->prepared || revision_compare(revision, &orders->announced) != 0 || strcmp(hash, orders->prepared_hash) != 0) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_NOT_FOUND, "nothing like that has been prepared");
		return NULL;
	}
	g_autofree char *text = g_strdup(orders->prepared);
	return adopt(orders, text, error) ? nothing() : NULL;
}

typedef struct {
	Supervisor *supervisor;
	guint64 serial;
} Asked;

static void on_changed_for_peer(GVariant *result, const GError *error, gpointer user_data)
{
	Asked *asked = user_data;
	peer_answer(asked->supervisor->peer, asked->serial, result ? result : nothing(), error);
	g_free(asked);
}

GVariant *settings_orders_answer(SettingsOrders *orders, guint64 serial, GVariant *args, GError **error)
{
	const char *name = "", *device = "";
	guint64 term = 0, n = 0;
	(void)g_variant_lookup(args, "phase", "&s", &name);
	(void)g_variant_lookup(args, "revision", "(t&st)", &term, &device, &n);
	Revision revision = revision_of(term, device, n);
	if (!*name) {
		Revision own = own_revision(orders->supervisor);
		const char *text = orders->supervisor->settings->pair_text;
		return phase("", &own, own_hash(orders->supervisor), text ? text : "");
	}
	if (strcmp(name, "prepare") == 0)
		return answer_prepare(orders, &revision, args, error);
	if (strcmp(name, "commit") == 0)
		return answer_commit(orders, &revision, args, error);
	if (strcmp(name, "abort") == 0) {
		if (orders->prepared && revision_compare(&revision, &orders->announced) == 0)
			forget_prepared(orders);
		settings_orders_look(orders);
		return nothing();
	}
	if (strcmp(name, "change") == 0 && role_leads(orders->supervisor->role.role)) {
		const char *text = "", *base = "", *who = "", *why = "";
		gboolean dry_run = FALSE;
		(void)g_variant_lookup(args, "pair_conf", "&s", &text);
		(void)g_variant_lookup(args, "base", "&s", &base);
		(void)g_variant_lookup(args, "who", "&s", &who);
		(void)g_variant_lookup(args, "why", "&s", &why);
		(void)g_variant_lookup(args, "dry_run", "b", &dry_run);
		g_autofree char *from = g_strdup_printf("%s on %s", *who ? who : "somebody", peer_id(orders->supervisor->peer));
		Asked *asked = g_new0(Asked, 1);
		*asked = (Asked){ orders->supervisor, serial };
		settings_order_change(orders,
				      &(SettingsChange){ .file = "pair.conf", .text = text, .base = base, .who = from, .why = why, .dry_run = dry_run },
				      on_changed_for_peer, asked);
		return NULL;
	}
	g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "not-master: no such request to this device now");
	return NULL;
}

/* ---- Looking back ---- */

GVariant *settings_orders_history(SettingsOrders *orders, const char *file, guint count)
{
	g_autoptr(GPtrArray) list = versions_list(orders->versions, file, MIN(count, VERSIONS_MOST));
	g_autofree char *path = g_build_filename(SETTINGS_DIR, file, NULL), *now = NULL;
	bool found = false;
	GVariantBuilder builder;
	(void)g_file_get_contents(path, &now, NULL, NULL);
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < list->len; i++) {
		const Version *version = list->pdata[i];
		bool current = !found && g_strcmp0(now, version->text) == 0;
		g_autofree char *revision = revision_of_text(version->text);
		found |= current;
		g_variant_builder_open(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "number", g_variant_new_uint32(version->number));
		g_variant_builder_add(&builder, "{sv}", "time_ms", g_variant_new_int64(version->time_ms));
		g_variant_builder_add(&builder, "{sv}", "who", g_variant_new_string(version->who));
		g_variant_builder_add(&builder, "{sv}", "why", g_variant_new_string(version->why));
		g_variant_builder_add(&builder, "{sv}", "in_use", g_variant_new_boolean(current));
		g_variant_builder_add(&builder, "{sv}", "revision", g_variant_new_string(revision));
		g_variant_builder_add(&builder, "{sv}", "pair_revision",
				      g_variant_new("(tst)", version->revision.term, version->revision.device, version->revision.n));
		g_variant_builder_close(&builder);
	}
	return g_variant_builder_end(&builder);
}

bool settings_orders_version(SettingsOrders *orders, guint number, char **ret_file, char **ret_text)
{
	g_autoptr(Version) version = versions_get(orders->versions, number);
	if (!version)
		return false;
	*ret_file = g_strdup(version->file);
	*ret_text = g_strdup(version->text);
	return true;
}

/* ---- Life ---- */

static gboolean on_first_idle(gpointer user_data)
{
	SettingsOrders *orders = user_data;
	orders->first_idle = 0;
	settings_orders_in_use(orders);
	return G_SOURCE_REMOVE;
}

SettingsOrders *settings_orders_new(Supervisor *supervisor)
{
	SettingsOrders *orders = g_new0(SettingsOrders, 1);
	orders->supervisor = supervisor;
	orders->versions = versions_new(VERSIONS_DIR);
	load_shared(orders);
	load_prepared(orders);
	orders->first_idle = g_idle_add_full(G_PRIORITY_LOW, on_first_idle, orders, NULL);
	return orders;
}

void settings_orders_free(SettingsOrders *orders)
{
	if (!orders)
		return;
	if (orders->timer)
		g_source_remove(orders->timer);
	if (orders->first_idle)
		g_source_remove(orders->first_idle);
	change_free(orders->running);
	versions_free(orders->versions);
	g_free(orders->prepared);
	g_free(orders->prepared_finding);
	g_free(orders->prepared_hash);
	g_free(orders->shared_hash);
	g_free(orders->refused);
	g_free(orders);
}
