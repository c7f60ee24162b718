/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/settings-order.c - settings changed by order, on one device or on both.
 *
 *	ordered here             the other device (settings-agree.c)
 *	checked, numbered
 *	        ─── prepare ──►  checked, on disk beside the ones in use; held from taking over if the two will not understand each other
 *	written, in use ◄── ok
 *	        ─── commit ───►  written, in use, hold lifted
 */
#include <string.h>

#include "supervisor/settings/notes.h"
#include "supervisor/settings/settings-order-private.h"

#define VERSIONS_DIR STATE_DIR "/settings"
#define PREPARE_MS 20000 /* the other one's disk has its time: nobody waits for this but who has ordered it */
#define COMMIT_MS 20000
#define FORWARD_MS 60000
#define MISSED_AGAIN_MS 100

struct SettingsOrder {
	SettingsOrders *orders;
	SettingsChange what;
	char *file, *text, *base, *who, *why;
	Settings *settings; /* as they would be */
	Revision revision;
	bool waits;          /* for what is on its way into use: not checked yet */
	char *alone_because; /* the other device was not asked */
	gint64 missed_us;    /* since when one has waited for it */
	guint timer;
	SettingsDoneCb done;
	gpointer user_data;
};
typedef SettingsOrder Change;

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
static GVariant *notes(const Settings *before, const Settings *after, const char *more)
{
	g_autoptr(GPtrArray) list = notes_of_change(before, after);
	if (more)
		g_ptr_array_add(list, g_strdup(more));
	return g_variant_new_strv((const char *const *)list->pdata, list->len);
}

static GVariant *result_of(const Change *change, const Settings *before, const char *scope)
{
	GVariantBuilder builder;
	g_autofree char *revision = revision_of_text(change->text);
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "revision", g_variant_new_string(revision));
	g_variant_builder_add(&builder, "{sv}", "pair_revision",
			      g_variant_new("(tst)", change->revision.term, change->revision.device, change->revision.n));
	g_variant_builder_add(&builder, "{sv}", "scope", g_variant_new_string(scope));
	g_variant_builder_add(&builder, "{sv}", "notes", notes(before, change->settings, change->alone_because));
	return g_variant_builder_end(&builder);
}

typedef struct {
	Change *change;
	Settings *before;
	bool with_peer;
} Committing;

static void committing_end(Committing *committing, GVariant *result, const GError *error)
{
	end(committing->change, result, error);
	settings_unref(committing->before);
	g_free(committing);
}

static void abort_there(const Change *change)
{
	peer_request(change->orders->supervisor->peer, "settings", settings_phase("abort", &change->revision, NULL, NULL), COMMIT_MS, NULL, NULL);
}

static void on_peer_committed(GVariant *values, const GError *error, gpointer user_data)
{
	Committing *committing = user_data;
	Change *change = committing->change;
	if (error)
		change->alone_because = g_strdup_printf("the other device has not confirmed (%s); it takes them over as soon as it can", error->message);
	committing_end(committing, result_of(change, committing->before, error ? "alone" : "both"), NULL);
}

/* From here on it is the pair's version, whatever happens. */
static void on_used(const GError *error, gpointer user_data)
{
	Committing *committing = user_data;
	Change *change = committing->change;
	SettingsOrders *orders = change->orders;
	Supervisor *supervisor = orders->supervisor;
	if (error) {
		if (committing->with_peer)
			abort_there(change);
		committing_end(committing, NULL, error);
		return;
	}
	settings_unref(change->settings);
	change->settings = settings_ref(supervisor->settings);
	if (strcmp(change->file, "pair.conf") == 0) {
		g_autofree char *named = revision_text(&change->revision);
		g_autofree char *event = g_strdup_printf("The settings of the pair were changed by %s (%s)%s", change->who, named,
							 committing->with_peer ? "" : ", on this device alone");
		orders->last_n = MAX(orders->last_n, change->revision.n);
		if (supervisor->facts.paired)
			settings_tell(orders, "settings", committing->with_peer ? 1 : 2, event);
	}
	if (!committing->with_peer) {
		bool alone = strcmp(change->file, "pair.conf") == 0 && supervisor->facts.paired;
		committing_end(committing, result_of(change, committing->before, alone ? "alone" : "device"), NULL);
		return;
	}
	supervisor_think(supervisor, ROLE_EVENT_FACTS); /* the peer sees what we have now before it is told to have it, too */
	peer_request(supervisor->peer, "settings", settings_phase("commit", &change->revision, change->settings->pair_hash, NULL), COMMIT_MS,
		     on_peer_committed, committing);
}

static void commit(Change *change, bool with_peer)
{
	SettingsOrders *orders = change->orders;
	if (orders->use) {
		if (with_peer)
			abort_there(change);
		end_refused(change, BUS_ERROR_BUSY, "other settings are just being taken into use");
		return;
	}
	Committing *committing = g_new0(Committing, 1);
	*committing = (Committing){ change, settings_ref(orders->supervisor->settings), with_peer };
	settings_put_to_use(orders, change->file, change->text, change->who, change->why, on_used, committing);
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

static void change_pair(Change *change);

static gboolean on_missed_time(gpointer user_data)
{
	Change *change = user_data;
	change->timer = 0;
	change_pair(change);
	return G_SOURCE_REMOVE;
}

/* Not reached just now is not away. False when that has been waited for. */
static bool wait_for_peer(Change *change, gint64 now_us)
{
	if (change->missed_us == 0)
		change->missed_us = now_us;
	if (now_us - change->missed_us >= AGREEMENT_MISSED_US)
		return false;
	change->timer = g_timeout_add(MISSED_AGAIN_MS, on_missed_time, change);
	return true;
}

static void on_peer_prepared(GVariant *values, const GError *error, gpointer user_data)
{
	Change *change = user_data;
	Supervisor *supervisor = change->orders->supervisor;
	if (!error && !agreement_may_commit(supervisor->role.role)) {
		abort_there(change);
		end_refused(change, BUS_ERROR_REFUSED, "role-changing: this device leads no more");
		return;
	}
	if (!error) {
		commit(change, true);
		return;
	}
	if (is_about_absence(error)) {
		abort_there(change);
		/* Its connection was lost while it was asked: whether it is back, or down, is looked at again. */
		if (g_error_matches(error, BUS_ERROR, BUS_ERROR_TIMED_OUT) || !wait_for_peer(change, g_get_monotonic_time()))
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

/* Where the other device may still be looked for once this is in use: 0: nowhere else. */
static guint port_before(const Change *change)
{
	const Settings *now = change->orders->supervisor->settings;
	guint wanted = change->settings->peer_port;
	if (!change->orders->supervisor->facts.paired)
		return 0;
	if (wanted != now->peer_port)
		return now->peer_port;
	return settings_is_shared(change->orders) || wanted == now->port_before ? 0 : now->port_before;
}

/* Numbered, so that it is newer than everything there is. */
static bool give_number(Change *change, GError **error)
{
	SettingsOrders *orders = change->orders;
	Supervisor *supervisor = orders->supervisor;
	Revision own = settings_own_revision(supervisor);
	change->revision = agreement_number(&own, supervisor->role.known.number, orders->last_n, supervisor->settings->id);
	orders->last_n = change->revision.n;
	g_autofree char *text = settings_with_revision(change->text, change->revision.term, supervisor->settings->id, change->revision.n,
							  port_before(change));
	settings_unref(change->settings);
	change->settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, error);
	if (!change->settings)
		return false;
	g_free(change->text);
	change->text = g_steal_pointer(&text);
	return true;
}

static void change_by(Change *change, ChangeWay way)
{
	SettingsOrders *orders = change->orders;
	g_autoptr(GError) error = NULL;
	if (!give_number(change, &error))
		end(change, NULL, error);
	else if (way == CHANGE_TRIED)
		end(change, result_of(change, orders->supervisor->settings, "none"), NULL);
	else if (way == CHANGE_HERE)
		commit(change, false);
	else if (way == CHANGE_ALONE)
		change_alone(change, "the other device is not connected");
	else
		peer_request(orders->supervisor->peer, "settings",
			     settings_phase("prepare", &change->revision, change->settings->pair_hash, change->text), PREPARE_MS, on_peer_prepared, change);
}

static void change_pair(Change *change)
{
	Supervisor *supervisor = change->orders->supervisor;
	gint64 now_us = g_get_monotonic_time();
	const char *hash, *finding;
	ChangeFacts facts = {
		.role = supervisor->role.role,
		.paired = supervisor->facts.paired,
		.dry_run = change->what.dry_run,
		.own = settings_own_revision(supervisor),
		.peer_role = supervisor->facts.peer_role,
		.peer_down = peer_is_down(supervisor->peer),
		.missed_us = change->missed_us,
	};
	facts.peer_fresh = settings_peer_says(supervisor, &facts.peer, &hash, &finding);
	ChangeWay way = agreement_way(&facts, now_us);
	switch (way) {
	case CHANGE_HERE:
	case CHANGE_BOTH:
	case CHANGE_ALONE:
	case CHANGE_TRIED:
		change_by(change, way);
		return;
	case CHANGE_FORWARD:
		forward(change);
		return;
	case CHANGE_WAIT:
		(void)wait_for_peer(change, now_us);
		return;
	case CHANGE_ROLE_CHANGES:
		end_refused(change, BUS_ERROR_BUSY, "the role is just changing");
		return;
	case CHANGE_NO_MASTER:
		end_refused(change, BUS_ERROR_REFUSED,
			    "no-master: this device does not lead and its Master is not there; the settings of the pair are the Master's to change");
		return;
	case CHANGE_PEER_NEWER:
		end_refused(change, BUS_ERROR_BUSY, "newer settings of the other device are just being taken over");
		return;
	}
	g_assert_not_reached();
}

static void change_device(Change *change)
{
	Supervisor *supervisor = change->orders->supervisor;
	if (supervisor->facts.paired && strcmp(change->settings->id, supervisor->settings->id) != 0)
		end_refused(change, BUS_ERROR_REFUSED, "paired: the other device knows this one as %s; unpair first", supervisor->settings->id);
	else if (!notes_same_words(change->settings->reboot_command, supervisor->settings->reboot_command))
		end_refused(change, BUS_ERROR_REFUSED, "root-only: reboot-command names what root runs; it is changed in the file, then reloaded");
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

static void begin(Change *change)
{
	g_autoptr(GError) error = NULL;
	bool pair = strcmp(change->file, "pair.conf") == 0;
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

void settings_order_go_on(SettingsOrders *orders)
{
	Change *change = orders->running;
	if (!change || !change->waits || orders->use)
		return;
	change->waits = false;
	begin(change);
}

void settings_order_change(SettingsOrders *orders, const SettingsChange *what, SettingsDoneCb done, gpointer user_data)
{
	Change *change = g_new0(Change, 1);
	*change = (Change){ .orders = orders, .what = *what, .done = done, .user_data = user_data };
	change->file = g_strdup(what->file);
	change->text = g_strdup(what->text);
	change->base = g_strdup(what->base ? what->base : "");
	change->who = g_strdup(what->who && *what->who ? what->who : "somebody");
	change->why = g_strdup(what->why && *what->why ? what->why : "ordered");
	/* What is on its way into use was ordered, and answered, on the other device, perhaps: nobody is refused for that. But it is what a file that was
	 * edited meanwhile is overwritten by. */
	if (orders->running || (orders->use && what->from_disk)) {
		change->what.from_disk = false; /* the other one decides what is in use */
		end_refused(change, BUS_ERROR_BUSY, "another change of the settings is under way");
		return;
	}
	orders->running = change;
	if (strcmp(change->file, "pair.conf") != 0 && strcmp(change->file, "device.conf") != 0) {
		end_refused(change, BUS_ERROR_REFUSED,
			    "root-only: only pair.conf and device.conf are changed over the bus; what names commands is installed by root");
		return;
	}
	change->waits = orders->use != NULL;
	if (!change->waits)
		begin(change);
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
	g_autoptr(Settings) kept = settings_ref(supervisor->settings);
	orders->who = who;
	orders->why = "edited";
	bool ok = supervisor_reload(supervisor, settings ? &error : NULL);
	orders->who = orders->why = NULL;
	if (!ok) {
		done(NULL, error, user_data);
		return;
	}
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "scope", g_variant_new_string("device"));
	g_variant_builder_add(&builder, "{sv}", "notes", notes(kept, supervisor->settings, NULL));
	g_autoptr(GVariant) result = g_variant_ref_sink(g_variant_builder_end(&builder));
	done(result, NULL, user_data);
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
	orders->versions = versions_new(supervisor->store, VERSIONS_DIR);
	settings_agree_load(orders);
	orders->first_idle = g_idle_add_full(G_PRIORITY_LOW, on_first_idle, orders, NULL);
	return orders;
}

bool settings_orders_under_way(const SettingsOrders *orders)
{
	return orders && orders->running;
}

void settings_orders_free(SettingsOrders *orders)
{
	if (!orders)
		return;
	if (orders->first_idle)
		g_source_remove(orders->first_idle);
	change_free(orders->running);
	versions_free(orders->versions);
	settings_agree_clear(orders);
	g_free(orders);
}
