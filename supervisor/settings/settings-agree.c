/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/settings-agree.c - this device's side of the agreement on the pair's settings: what the other has, what it asks, what becomes of
 * a change that was interrupted. The decisions are in agreement.c and revision.c.
 */
#include <string.h>

#include "supervisor/settings/settings-order-private.h"

#define PREPARED_FILE STATE_DIR "/settings-prepared"
#define SHARED_FILE STATE_DIR "/settings-shared"
#define FETCH_MS 2000
#define AGAIN_MS 1000

/* ---- What this device has, and what the other says ---- */

Revision settings_own_revision(const Supervisor *supervisor)
{
	const Settings *settings = supervisor->settings;
	return revision_of(settings->revision_term, settings->revision_device, settings->revision_n);
}

static const char *own_hash(const Supervisor *supervisor)
{
	return supervisor->settings->pair_hash ? supervisor->settings->pair_hash : "";
}

bool settings_peer_says(const Supervisor *supervisor, Revision *ret_revision, const char **ret_hash, const char **ret_finding)
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

GVariant *settings_phase(const char *name, const Revision *revision, const char *hash, const char *text)
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
	g_autofree char *text = store_read(orders->supervisor->store, SHARED_FILE);
	if (!text)
		return;
	g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
	if (g_strv_length(words) < 4)
		return;
	orders->shared = revision_of(g_ascii_strtoull(words[0], NULL, 10), strcmp(words[1], "-") == 0 ? "" : words[1],
				     g_ascii_strtoull(words[2], NULL, 10));
	orders->shared_hash = g_strdup(words[3]);
}

bool settings_is_shared(const SettingsOrders *orders)
{
	Revision own = settings_own_revision(orders->supervisor);
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
	store_remove(orders->supervisor->settings_store, PREPARED_FILE);
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
	g_autofree char *text = store_read(orders->supervisor->settings_store, PREPARED_FILE);
	if (!text)
		return;
	g_autoptr(Settings) settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, NULL);
	if (settings && settings->has_pair)
		remember_prepared(orders, text, settings);
	else
		store_remove(orders->supervisor->settings_store, PREPARED_FILE);
}

/* ---- The hold while the two would not understand each other ---- */

void settings_orders_judge(SettingsOrders *orders)
{
	gint64 now_us = g_get_monotonic_time();
	Supervisor *supervisor = orders->supervisor;
	g_autofree char *finding = settings_finding(supervisor->settings);
	const char *hash, *theirs;
	Revision revision;
	HoldFacts facts = {
		.prepared_differs = orders->prepared && strcmp(orders->prepared_finding, finding) != 0,
		.connected = peer_is_connected(supervisor->peer),
		.peer_fresh = settings_peer_says(supervisor, &revision, &hash, &theirs),
		.peer_role = supervisor->facts.peer_role,
		.peer_timeout_us = supervisor->settings->peer_timeout_ms * (gint64)G_TIME_SPAN_MILLISECOND,
	};
	facts.peer_differs = *theirs && strcmp(theirs, finding) != 0;
	orders->hold_until_us = agreement_hold(&facts, orders->hold_until_us, now_us);
	orders->held = orders->hold_until_us > now_us;
}

bool settings_orders_hold(const SettingsOrders *orders)
{
	return orders && orders->held;
}

/* ---- The other device's version ---- */

typedef struct {
	SettingsOrders *orders;
	Settings *settings; /* as they will be */
	Revision revision;
	SettingsUsedCb done;
	gpointer user_data;
} Adopting;

static void on_adopted(const GError *error, gpointer user_data)
{
	Adopting *adopting = user_data;
	SettingsOrders *orders = adopting->orders;
	if (!error) {
		if (orders->prepared && revision_compare(&orders->announced, &adopting->revision) != 0)
			settings_set_aside(orders, orders->prepared, &orders->announced, VERSIONS_NOT_COMMITTED,
					   "Announced settings of the pair were never put to use");
		forget_prepared(orders);
		set_shared(orders, &adopting->revision, adopting->settings->pair_hash);
		g_autofree char *named = revision_text(&adopting->revision);
		g_autofree char *event = g_strdup_printf("The other device's settings of the pair are in use (%s)", named);
		settings_tell(orders, "settings", 1, event);
	}
	adopting->done(error, adopting->user_data);
	settings_unref(adopting->settings);
	g_free(adopting);
	if (!error)
		supervisor_think(orders->supervisor, ROLE_EVENT_FACTS);
}

/* The other device's version becomes ours. Not while there is orders->use. */
static void adopt(SettingsOrders *orders, const char *text, SettingsUsedCb done, gpointer user_data)
{
	Supervisor *supervisor = orders->supervisor;
	Revision own = settings_own_revision(supervisor);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, &error);
	if (!settings) {
		done(error, user_data);
		return;
	}
	Revision revision = revision_of(settings->revision_term, settings->revision_device, settings->revision_n);
	bool same = !supervisor->settings->pair_text || strcmp(own_hash(supervisor), settings->pair_hash) == 0;
	Adoption adoption = agreement_adopt(&own, settings_is_shared(orders), same, &revision);
	if (adoption == ADOPT_NOTHING) {
		done(NULL, user_data);
		return;
	}
	if (adoption == ADOPT_IT_AND_KEEP_OWN)
		settings_set_aside(orders, supervisor->settings->pair_text, &own, VERSIONS_KEPT_ASIDE,
				   "Newer settings of the pair replace those that this device had been given without the other");
	Adopting *adopting = g_new0(Adopting, 1);
	*adopting = (Adopting){ orders, g_steal_pointer(&settings), revision, done, user_data };
	settings_put_to_use(orders, "pair.conf", text, peer_id(supervisor->peer), "peer", on_adopted, adopting);
}

static void refuse_peers(SettingsOrders *orders, char *key, const char *why)
{
	g_free(orders->refused);
	orders->refused = key;
	g_autofree char *event = g_strdup_printf("The other device's settings of the pair cannot be used here: %s", why);
	settings_tell(orders, "settings", 3, event);
}

static char *peers_version_key(const Supervisor *supervisor)
{
	const char *hash, *finding;
	Revision revision;
	if (!settings_peer_says(supervisor, &revision, &hash, &finding))
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

static void on_fetched_used(const GError *error, gpointer user_data)
{
	SettingsOrders *orders = user_data;
	if (error)
		refuse_peers(orders, peers_version_key(orders->supervisor), error->message);
	settings_orders_look(orders);
}

static void on_fetched(GVariant *values, const GError *error, gpointer user_data)
{
	SettingsOrders *orders = user_data;
	const char *text = "";
	orders->asking = false;
	if (error || !g_variant_lookup(values, "pair_conf", "&s", &text) || !*text || orders->use)
		look_in_ms(orders, AGAIN_MS);
	else
		adopt(orders, text, on_fetched_used, orders);
}

static void fetch(SettingsOrders *orders)
{
	g_autofree char *key = peers_version_key(orders->supervisor);
	if (orders->asking || g_strcmp0(key, orders->refused) == 0)
		return;
	orders->asking = true;
	peer_request(orders->supervisor->peer, "settings", g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0), FETCH_MS, on_fetched, orders);
}

static void on_prepared_used(const GError *error, gpointer user_data)
{
	SettingsOrders *orders = user_data;
	if (!error)
		return;
	forget_prepared(orders);
	refuse_peers(orders, peers_version_key(orders->supervisor), error->message);
}

static void commit_prepared(SettingsOrders *orders)
{
	g_autofree char *text = g_strdup(orders->prepared);
	adopt(orders, text, on_prepared_used, orders);
}

static void drop_prepared(SettingsOrders *orders)
{
	Revision own = settings_own_revision(orders->supervisor);
	if (revision_compare(&orders->announced, &own) != 0)
		settings_set_aside(orders, orders->prepared, &orders->announced, VERSIONS_NOT_COMMITTED, "Announced settings of the pair were never put to use");
	forget_prepared(orders);
}

void settings_orders_look(SettingsOrders *orders)
{
	Supervisor *supervisor = orders->supervisor;
	gint64 now_us = g_get_monotonic_time(), next_us;
	const char *hash, *finding;
	RevisionFacts facts = {
		.own = settings_own_revision(supervisor),
		.prepared = orders->prepared != NULL,
		.announced = orders->announced,
		.announced_us = orders->announced_us,
		.busy = orders->running || orders->use || supervisor->role.role == ROLE_TAKING_OVER || supervisor->role.role == ROLE_HANDING_OVER,
	};
	facts.peer_fresh = supervisor->settings->has_pair && settings_peer_says(supervisor, &facts.peer, &hash, &finding);
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
	bool held = orders->held;
	settings_orders_judge(orders);
	if (held != orders->held)
		elect_apply(supervisor->elect);
	if (orders->hold_until_us > now_us)
		next_us = next_us ? MIN(next_us, orders->hold_until_us) : orders->hold_until_us;
	if (next_us)
		look_in_ms(orders, (guint)((MAX(next_us - now_us, 0) + 999) / 1000));
}

/* ---- What the other device asks ---- */

static GVariant *nothing(void)
{
	return g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0);
}

static Revision revision_asked(GVariant *args)
{
	const char *device = "";
	guint64 term = 0, n = 0;
	(void)g_variant_lookup(args, "revision", "(t&st)", &term, &device, &n);
	return revision_of(term, device, n);
}

/* What the other device has asked and is not answered at once. */
typedef struct {
	SettingsOrders *orders;
	guint64 serial;
	GVariant *args;
	Settings *settings; /* as they would be: of one that is being prepared */
} Asked;

static Asked *asked_new(SettingsOrders *orders, guint64 serial, GVariant *args)
{
	Asked *asked = g_new0(Asked, 1);
	*asked = (Asked){ .orders = orders, .serial = serial, .args = g_variant_ref(args) };
	return asked;
}

static void asked_free(gpointer data)
{
	Asked *asked = data;
	g_variant_unref(asked->args);
	settings_unref(asked->settings);
	g_free(asked);
}

/* Takes @asked. */
static void answer_asked(Asked *asked, const GError *error)
{
	peer_answer(asked->orders->supervisor->peer, asked->serial, error ? NULL : nothing(), error);
	asked_free(asked);
}

/* False with @error NULL: not yet; once there is no orders->use. */
static bool may_prepare(SettingsOrders *orders, GVariant *args, GError **error)
{
	Supervisor *supervisor = orders->supervisor;
	Revision own = settings_own_revision(supervisor), revision = revision_asked(args);
	g_autofree char *named = revision_text(&own);
	switch (agreement_prepare(supervisor->role.role, orders->running, orders->use, &own, &revision)) {
	case PREPARE_LEADS:
		g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "is-master: this device leads");
		return false;
	case PREPARE_BUSY:
		g_set_error(error, BUS_ERROR, BUS_ERROR_BUSY, "another change of the settings is under way");
		return false;
	case PREPARE_WAIT:
		return false;
	case PREPARE_NEWER:
		g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "settings-newer: this device has newer settings (%s)", named);
		return false;
	case PREPARE_AGREED:
		return true;
	}
	g_assert_not_reached();
}

static void on_prepared_written(const GError *error, gpointer user_data)
{
	Asked *asked = user_data;
	SettingsOrders *orders = asked->orders;
	g_autoptr(GError) refusal = NULL;
	/* Meanwhile things may have changed. */
	if (!error && !may_prepare(orders, asked->args, &refusal)) {
		if (!refusal) {
			g_ptr_array_add(orders->later, asked); /* and anew: what comes into use takes the file with it */
			return;
		}
		store_remove(orders->supervisor->settings_store, PREPARED_FILE);
		error = refusal;
	}
	if (!error) {
		const char *text = "";
		(void)g_variant_lookup(asked->args, "pair_conf", "&s", &text);
		remember_prepared(orders, text, asked->settings);
		settings_orders_look(orders); /* sets the hold */
	}
	answer_asked(asked, error);
}

/* Takes @asked. */
static void answer_prepare(Asked *asked)
{
	SettingsOrders *orders = asked->orders;
	g_autoptr(GError) error = NULL, bad = NULL;
	if (!may_prepare(orders, asked->args, &error)) {
		if (error)
			answer_asked(asked, error);
		else
			g_ptr_array_add(orders->later, asked);
		return;
	}
	const char *text = "";
	(void)g_variant_lookup(asked->args, "pair_conf", "&s", &text);
	settings_unref(asked->settings);
	asked->settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, &bad);
	if (!asked->settings) {
		error = g_error_new_literal(BUS_ERROR, BUS_ERROR_INVALID_ARGS, bad->message);
		answer_asked(asked, error);
		return;
	}
	store_write_then(orders->supervisor->settings_store, PREPARED_FILE, text, on_prepared_written, asked);
}

static void on_commit_used(const GError *error, gpointer user_data)
{
	answer_asked(user_data, error);
}

/* Takes @asked. */
static void answer_commit(Asked *asked)
{
	SettingsOrders *orders = asked->orders;
	Revision own = settings_own_revision(orders->supervisor), revision = revision_asked(asked->args);
	const char *hash = "";
	(void)g_variant_lookup(asked->args, "hash", "&s", &hash);
	if (orders->use) {
		g_ptr_array_add(orders->later, asked); /* its `state` was quicker, perhaps */
		return;
	}
	g_autofree char *text = g_strdup(orders->prepared);
	g_autoptr(GError) error = NULL;
	switch (agreement_commit(&own, own_hash(orders->supervisor), &orders->announced, text ? orders->prepared_hash : NULL, &revision, hash)) {
	case COMMIT_HAS:
		answer_asked(asked, NULL);
		return;
	case COMMIT_ADOPT:
		adopt(orders, text, on_commit_used, asked);
		return;
	case COMMIT_UNKNOWN:
		error = g_error_new(BUS_ERROR, BUS_ERROR_NOT_FOUND, "nothing like that has been prepared");
		answer_asked(asked, error);
		return;
	}
	g_assert_not_reached();
}

/* Takes @asked. */
static void answer_phase(Asked *asked)
{
	const char *name = "";
	(void)g_variant_lookup(asked->args, "phase", "&s", &name);
	if (strcmp(name, "prepare") == 0)
		answer_prepare(asked);
	else
		answer_commit(asked);
}

void settings_agree_go_on(SettingsOrders *orders)
{
	g_autoptr(GPtrArray) later = g_steal_pointer(&orders->later);
	g_ptr_array_set_free_func(later, NULL);
	orders->later = g_ptr_array_new_with_free_func(asked_free);
	for (guint i = 0; i < later->len; i++)
		answer_phase(later->pdata[i]);
}

static void on_changed_for_peer(GVariant *result, const GError *error, gpointer user_data)
{
	Asked *asked = user_data;
	peer_answer(asked->orders->supervisor->peer, asked->serial, result ? result : nothing(), error);
	asked_free(asked);
}

GVariant *settings_orders_answer(SettingsOrders *orders, guint64 serial, GVariant *args, GError **error)
{
	const char *name = "";
	Revision revision = revision_asked(args);
	(void)g_variant_lookup(args, "phase", "&s", &name);
	if (!*name) {
		Revision own = settings_own_revision(orders->supervisor);
		const char *text = orders->supervisor->settings->pair_text;
		return settings_phase("", &own, own_hash(orders->supervisor), text ? text : "");
	}
	if (strcmp(name, "prepare") == 0 || strcmp(name, "commit") == 0) {
		answer_phase(asked_new(orders, serial, args));
		return NULL;
	}
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
		Asked *asked = asked_new(orders, serial, args);
		settings_order_change(orders,
				      &(SettingsChange){ .file = "pair.conf", .text = text, .base = base, .who = from, .why = why, .dry_run = dry_run },
				      on_changed_for_peer, asked);
		return NULL;
	}
	g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "not-master: no such request to this device now");
	return NULL;
}

/* ---- Life ---- */

void settings_agree_load(SettingsOrders *orders)
{
	orders->later = g_ptr_array_new_with_free_func(asked_free);
	load_shared(orders);
	load_prepared(orders);
}

void settings_agree_clear(SettingsOrders *orders)
{
	if (orders->timer)
		g_source_remove(orders->timer);
	g_ptr_array_unref(orders->later);
	g_free(orders->prepared);
	g_free(orders->prepared_finding);
	g_free(orders->prepared_hash);
	g_free(orders->shared_hash);
	g_free(orders->refused);
}
