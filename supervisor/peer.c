/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/peer.c - the client of syncd (over its private socket), and through its Peer1 of the other device.
 *
 * Whom we are paired with is kept on disk: a device that boots while its syncd is slow must know that it is not alone.
 */
#include <string.h>
#include <time.h>

#include "supervisor/addresses.h"
#include "supervisor/share.h"
#include "supervisor/supervisor.h"
#include "supervisor/whole.h"

#define SYNC_ADDRESS "unix:path=/run/understudy/private/syncd/socket"
#define SYNC_MARKS "/run/understudy/private/syncd/files"
#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_INTERFACE "org.understudy.Sync1"
#define PEER_INTERFACE "org.understudy.Peer1"
#define PEER_FILE STATE_DIR "/peer"
#define SET_ROLE_MS 15000
#define CALL_MS 2000
#define AGAIN_MS 1000
#define TIMELINE_PAGE_BYTES (128 * 1024)

struct Peer {
	Supervisor *supervisor;
	BusLink *link;
	BusMirror *sync, *peer;
	BusSubscription *notices, *requests;
	GVariant *record;      /* PairRecord without pair_conf, as on disk, with the `addresses` (a{sas}) told last; NULL: not paired */
	char *refused;         /* name of a pairing whose settings could not be used */
	char *taking, *taken; /* likewise: whose settings are on their way to the disk, are in use */
	GVariant *state;       /* what the peer published last */
	gint64 up_us;          /* when our syncd's link came up last, or it began to look for the peer anew */
	gint64 lost_us;        /* since when the peer has not been connected; 0: it is */
	char *lead_config;     /* the commit of the configuration with which we began to lead; NULL: not known */
	gint64 heard_us;       /* when its state was last seen while connected */
	guint look_timer;

	/* Told on the present connection. */
	SyncRole role;         /* SYNC_KEEP: nothing yet */
	Term term;
	BusPending *setting_role;
	bool settled;
	Whole whole;           /* what is known without its answer; of a takeover only */
	GVariant *published, *doctor;
	guint again_timer;
};

/* ---- What it says ---- */

static GVariant *get_record(const Peer *peer)
{
	GVariant *record = bus_mirror_get(peer->peer, "PairRecord", "a{sv}");
	GVariant *paired = bus_mirror_get(peer->peer, "Paired", "b");
	return record && paired && g_variant_get_boolean(paired) ? record : NULL;
}

GVariant *peer_state(const Peer *peer)
{
	return peer->state;
}

static void learn_state(Peer *peer)
{
	GVariant *published = bus_mirror_get(peer->peer, "Published", "a{sa{sv}}");
	GVariant *state = published ? g_variant_lookup_value(published, "state", G_VARIANT_TYPE_VARDICT) : NULL;
	if (!state)
		return;
	g_clear_pointer(&peer->state, g_variant_unref);
	peer->state = state;
}

bool peer_is_connected(const Peer *peer)
{
	GVariant *connected = bus_mirror_get(peer->peer, "Connected", "b");
	return connected && g_variant_get_boolean(connected);
}

bool peer_is_down(const Peer *peer)
{
	if (!peer->record || peer_is_connected(peer) || !bus_mirror_is_fresh(peer->peer) || peer->lost_us == 0)
		return false;
	/* A syncd that has just come up, been paired, or read other settings has not had the time to find the peer. */
	gint64 patience_us = peer->supervisor->settings->peer_timeout_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	return g_get_monotonic_time() - peer->up_us >= patience_us;
}

const char *peer_id(const Peer *peer)
{
	const char *id = "";
	if (peer->record)
		(void)g_variant_lookup(peer->record, "peer_id", "&s", &id);
	return id;
}

gint64 peer_state_age_ms(const Peer *peer)
{
	if (peer->heard_us == 0)
		return -1;
	return peer_is_connected(peer) ? 0 : (g_get_monotonic_time() - peer->heard_us) / 1000;
}

bool peer_first_sync_done(const Peer *peer)
{
	GVariant *done = bus_mirror_get(peer->sync, "FirstSyncDone", "b");
	return done && g_variant_get_boolean(done);
}

bool peer_has_revoked(const Peer *peer)
{
	gboolean revoked = FALSE;
	if (peer->record)
		(void)g_variant_lookup(peer->record, "revoked", "b", &revoked);
	return revoked;
}

static bool same_data(const Peer *peer, GVariant *state)
{
	GVariant *ours = bus_mirror_get(peer->sync, "Applied", "a{ss}");
	g_autoptr(GVariant) theirs = g_variant_lookup_value(state, "applied", G_VARIANT_TYPE("a{ss}"));
	if (!ours || !theirs)
		return false;
	for (const char *const *ref = (const char *const[]){ "config", "volatile", "voice", NULL }; *ref; ref++) {
		const char *a = "", *b = "";
		(void)g_variant_lookup(ours, *ref, "&s", &a);
		(void)g_variant_lookup(theirs, *ref, "&s", &b);
		if (strcmp(a, b) != 0)
			return false;
	}
	return true;
}

static Term term_of(GVariant *state, const char *key, const char *id_key)
{
	Term term = { 0 };
	const char *id = "";
	(void)g_variant_lookup(state, key, "t", &term.number);
	(void)g_variant_lookup(state, id_key, "&s", &id);
	g_strlcpy(term.id, id, sizeof term.id);
	return term;
}

static const char *stored_config(const Peer *peer)
{
	GVariant *stored = bus_mirror_get(peer->sync, "Stored", "a{ss}");
	const char *commit = NULL;
	return stored && g_variant_lookup(stored, "config", "&s", &commit) ? commit : NULL;
}

void peer_gather(Peer *peer, RoleFacts *facts)
{
	GVariant *state = peer_state(peer);
	const char *role = "", *mode = "";
	facts->paired = peer->record != NULL;
	facts->peer_fresh = state && peer_is_connected(peer) && g_variant_lookup(state, "role", "&s", &role) &&
			    role_parse(role, &facts->peer_role);
	facts->peer_mode = MODE_ACTIVE;
	if (facts->peer_fresh) {
		facts->peer_term = term_of(state, "term", "term_id");
		facts->peer_line = term_of(state, "line", "line_id");
		if (g_variant_lookup(state, "mode", "&s", &mode))
			(void)mode_parse(mode, &facts->peer_mode);
		facts->peer_same_data = same_data(peer, state);
		facts->peer_boot_ms = 0;
		const char *witness = "";
		(void)g_variant_lookup(state, "witness", "&s", &witness);
		facts->peer_has_witness = strcmp(witness, "reached") == 0;
		(void)g_variant_lookup(state, "boot_ms", "x", &facts->peer_boot_ms);
	}
	GVariant *activity = bus_mirror_get(peer->sync, "Activity", "s"), *line = bus_mirror_get(peer->sync, "AppliedTerm", "(ts)");
	facts->own_line_known = line != NULL;
	if (line) {
		const char *id;
		g_variant_get(line, "(t&s)", &facts->own_line.number, &id);
		g_strlcpy(facts->own_line.id, id, sizeof facts->own_line.id);
	}
	facts->sync_settled = peer->settled || peer->whole == WHOLE_YES;
	facts->committed = !peer->lead_config || g_strcmp0(peer->lead_config, stored_config(peer)) != 0;
	facts->sync_applying = peer->whole == WHOLE_NOT || (activity && strcmp(g_variant_get_string(activity, NULL), "applying") == 0);
}

GVariant *peer_for_election(const Peer *peer)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (!peer->record)
		return g_variant_builder_end(&builder);

	g_autoptr(GVariant) addresses = g_variant_lookup_value(peer->record, "addresses", G_VARIANT_TYPE("a{sas}"));
	if (!addresses || g_variant_n_children(addresses) == 0) {
		g_clear_pointer(&addresses, g_variant_unref);
		addresses = g_variant_lookup_value(peer->record, "peer_addresses", G_VARIANT_TYPE("a{sas}"));
	}
	guint8 offset = 0;
	(void)g_variant_lookup(peer->record, "offset", "y", &offset);
	const RoleFacts *facts = &peer->supervisor->facts;
	bool follows = facts->peer_fresh && facts->peer_role == ROLE_BACKUP &&
		       term_compare(&facts->peer_term, &peer->supervisor->role.known) == 0 &&
		       strcmp(peer->supervisor->role.known.id, peer->supervisor->settings->id) == 0;
	g_variant_builder_add(&builder, "{sv}", "id", g_variant_new_string(peer_id(peer)));
	g_variant_builder_add(&builder, "{sv}", "offset", g_variant_new_byte(offset));
	if (addresses)
		g_variant_builder_add(&builder, "{sv}", "addresses", addresses);
	g_variant_builder_add(&builder, "{sv}", "follows", g_variant_new_boolean(follows));
	return g_variant_builder_end(&builder);
}

/* ---- Pairing ---- */

/* The peer's key may be replaced, its address change: the pairing is the same. A record of an older version has only the key. */
static char *pairing_of(GVariant *record)
{
	char *pairing = NULL;
	if (record && !g_variant_lookup(record, "pairing", "s", &pairing))
		(void)g_variant_lookup(record, "peer_fingerprint", "s", &pairing);
	return pairing;
}

static GVariant *without_settings(GVariant *record)
{
	g_autoptr(GVariantDict) dictionary = g_variant_dict_new(record);
	g_variant_dict_remove(dictionary, "pair_conf");
	return g_variant_ref_sink(g_variant_dict_end(dictionary));
}

static void keep_record(Peer *peer, GVariant *record)
{
	g_clear_pointer(&peer->record, g_variant_unref);
	if (record) {
		g_autofree char *text = g_variant_print(record, TRUE);
		peer->record = g_variant_ref(record);
		store_write(peer->supervisor->store, PEER_FILE, text);
	} else {
		store_remove(peer->supervisor->store, PEER_FILE);
	}
}

static GVariant *with_addresses(GVariant *record, GVariant *addresses)
{
	g_autoptr(GVariantDict) dictionary = g_variant_dict_new(record);
	if (addresses)
		g_variant_dict_insert_value(dictionary, "addresses", addresses);
	return g_variant_ref_sink(g_variant_dict_end(dictionary));
}

/* Where the peer speaks from, as it tells itself: kept, for a device that boots alone must know the other one's adverts. */
static void learn_addresses(Peer *peer)
{
	const char *id = "";
	GVariant *state = peer->state;
	if (!peer->record || !state || !g_variant_lookup(state, "id", "&s", &id) || strcmp(id, peer_id(peer)) != 0)
		return;
	g_autoptr(GVariant) told = g_variant_lookup_value(state, "addresses", G_VARIANT_TYPE("a{sas}"));
	g_autoptr(GVariant) link_locals = g_variant_lookup_value(state, "link_locals", G_VARIANT_TYPE("a{ss}"));
	g_autoptr(GVariant) known = g_variant_lookup_value(peer->record, "addresses", G_VARIANT_TYPE("a{sas}"));
	if (!told || g_variant_n_children(told) == 0)
		return;
	g_autoptr(GVariant) addresses = g_variant_ref_sink(addresses_of_peer(told, link_locals, known));
	if (known && g_variant_equal(known, addresses))
		return;
	g_autoptr(GVariant) record = with_addresses(peer->record, addresses);
	keep_record(peer, record);
}

static void look_at_pairing(Peer *peer);

static void on_settings_taken(const GError *error, gpointer user_data)
{
	Peer *peer = user_data;
	char **whose = error ? &peer->refused : &peer->taken;
	g_free(*whose);
	*whose = g_steal_pointer(&peer->taking);
	if (error) {
		g_autofree char *why = g_strdup_printf("The settings of the pair cannot be used here: %s", error->message);
		events_raise(peer->supervisor->events, EVENT_APPLICATION, "join-failed", 3, why);
		supervisor_set_joining(peer->supervisor, false);
	}
	look_at_pairing(peer);
}

/* We have just joined: the pair's settings become ours, and nothing may lead here before everything has arrived once. The mark is on disk
 * before the settings are: whatever happens between, this device will not lead with what it had. */
static bool take_settings(Peer *peer, GVariant *record)
{
	g_autofree char *text = NULL, *fingerprint = pairing_of(record);
	bool joined = false;
	(void)g_variant_lookup(record, "joined", "b", &joined);
	if (!joined || !g_variant_lookup(record, "pair_conf", "s", &text) || !*text || g_strcmp0(fingerprint, peer->taken) == 0)
		return true;
	if (peer->taking || g_strcmp0(fingerprint, peer->refused) == 0)
		return false;
	const char *id = "";
	(void)g_variant_lookup(record, "peer_id", "&s", &id);
	g_message("joining %s", id);
	peer->taking = g_steal_pointer(&fingerprint);
	supervisor_set_joining(peer->supervisor, true);
	supervisor_adopt_pair(peer->supervisor, text, on_settings_taken, peer);
	return false;
}

static void look_at_pairing(Peer *peer)
{
	if (!bus_mirror_is_fresh(peer->peer))
		return;
	GVariant *record = get_record(peer);
	if (!record) {
		if (peer->record)
			keep_record(peer, NULL);
		return;
	}
	g_autoptr(GVariant) copy = g_variant_ref(record); /* it may change under us */
	g_autoptr(GVariant) bare = without_settings(copy);
	g_autofree char *before = pairing_of(peer->record), *now = pairing_of(copy);
	bool same = peer->record && g_strcmp0(before, now) == 0;
	g_autoptr(GVariant) addresses = same ? g_variant_lookup_value(peer->record, "addresses", G_VARIANT_TYPE("a{sas}")) : NULL;
	g_autoptr(GVariant) kept = with_addresses(bare, addresses);
	if (same && g_variant_equal(peer->record, kept))
		return;
	if (!same && !take_settings(peer, copy))
		return;
	if (!same)
		peer->up_us = g_get_monotonic_time();
	keep_record(peer, kept);
}

/* ---- What it is told ---- */

static GVariant *own_addresses(const Settings *settings)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sas}"));
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = settings->interfaces->pdata[i];
		const char *hosts[3] = { NULL };
		guint n = 0;

		if (interface->address.host)
			hosts[n++] = interface->address.host;
		if (interface->address6.host)
			hosts[n++] = interface->address6.host;
		g_variant_builder_add(&builder, "{s^as}", interface->name, hosts);
	}
	return g_variant_builder_end(&builder);
}

static GVariant *own_state(Peer *peer)
{
	const Supervisor *supervisor = peer->supervisor;
	const RoleMachine *told = supervisor_told(supervisor);
	const Settings *settings = supervisor->settings;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	const struct {
		const char *key;
		GVariant *value;
	} entries[] = {
		{ "id", g_variant_new_string(settings->id) },
		{ "name", g_variant_new_string(settings->name) },
		{ "version", g_variant_new_string(UNDERSTUDY_VERSION) },
		{ "model", g_variant_new_string(settings->model) },
		{ "role", g_variant_new_string(role_name(told->role)) },
		{ "mode", g_variant_new_string(mode_name(supervisor->mode.mode)) },
		{ "mode_until_ms", g_variant_new_int64(supervisor->mode.until_ms) },
		{ "mode_reason", g_variant_new_string(supervisor->mode.reason) },
		{ "term", g_variant_new_uint64(told->known.number) },
		{ "term_id", g_variant_new_string(told->known.id) },
		{ "line", g_variant_new_uint64(told->line.number) },
		{ "line_id", g_variant_new_string(told->line.id) },
		{ "pair_hash", g_variant_new_string(settings->pair_hash ? settings->pair_hash : "") },
		{ "pair_revision", g_variant_new("(tst)", settings->revision_term,
						 settings->revision_device ? settings->revision_device : "", settings->revision_n) },
		{ "pair_finding", g_variant_new_take_string(settings_finding(settings)) },
		{ "serving", g_variant_new_boolean(supervisor->posture.serving) },
		{ "addresses", own_addresses(settings) },
		{ "boot_ms", g_variant_new_int64(supervisor->boot_ms) },
		{ "witness", g_variant_new_string(elect_witness(supervisor->elect)) },
		{ "link_alive", g_variant_new_boolean(elect_link_alive(supervisor->elect)) },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(entries); i++)
		g_variant_builder_add(&builder, "{sv}", entries[i].key, entries[i].value);
	g_auto(GStrv) failed = undo_failed(supervisor->undo);
	g_variant_builder_add(&builder, "{sv}", "failed", g_variant_new_strv((const char *const *)failed, -1));
	guint64 contacts;
	if (aftermath_contacts(supervisor->aftermath, &contacts))
		g_variant_builder_add(&builder, "{sv}", "contacts", g_variant_new_uint64(contacts));
	GVariant *link_locals = elect_link_locals(supervisor->elect);
	if (link_locals)
		g_variant_builder_add(&builder, "{sv}", "link_locals", link_locals);
	static const char *const refs[][2] = { { "stored", "Stored" }, { "applied", "Applied" } };
	for (gsize i = 0; i < G_N_ELEMENTS(refs); i++) {
		GVariant *commits = bus_mirror_get(peer->sync, refs[i][1], "a{ss}");
		if (commits)
			g_variant_builder_add(&builder, "{sv}", refs[i][0], commits);
	}
	return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static gboolean on_again(gpointer user_data)
{
	Peer *peer = user_data;
	peer->again_timer = 0;
	peer_apply(peer);
	return G_SOURCE_REMOVE;
}

static void on_role_set(GVariant *values, const GError *error, gpointer user_data)
{
	Peer *peer = user_data;
	peer->setting_role = NULL;
	if (error) {
		g_warning("syncd did not take its role: %s", error->message);
		peer->role = SYNC_KEEP;
		if (bus_link_is_up(peer->link) && !peer->again_timer)
			peer->again_timer = g_timeout_add(AGAIN_MS, on_again, peer);
		return;
	}
	if (peer->role == SYNC_LEAD) {
		peer->settled = true;
		tell_settled(peer->supervisor);
	}
	supervisor_think(peer->supervisor, ROLE_EVENT_FACTS);
}

static const char *sync_role_name(SyncRole role)
{
	switch (role) {
	case SYNC_LEAD:
		return "lead";
	case SYNC_FOLLOW:
		return "follow";
	case SYNC_KEEP:
	case SYNC_IDLE:
		return "idle";
	}
	g_assert_not_reached();
}

/* With which configuration we begin: syncd is told that it leads when the applications have begun. */
static void note_beginning(Peer *peer)
{
	g_free(peer->lead_config);
	peer->lead_config = g_strdup(stored_config(peer));
}

static void apply_role(Peer *peer)
{
	SyncRole wanted = peer->supervisor->posture.sync;
	const Term *term = &peer->supervisor->role.known;
	if (wanted == SYNC_KEEP || (wanted == peer->role && term_compare(term, &peer->term) == 0))
		return;
	if (!bus_mirror_is_fresh(peer->sync))
		return; /* in which term its commits were made comes first, and is not older than ours */
	if (wanted != SYNC_LEAD || peer->role != SYNC_LEAD)
		peer->settled = false;
	if (wanted == SYNC_LEAD && peer->role != SYNC_LEAD && peer->supervisor->role.role == ROLE_TAKING_OVER)
		note_beginning(peer);
	bus_pending_cancel(peer->setting_role);
	peer->role = wanted;
	peer->term = *term;
	const char *id = *term->id ? term->id : peer->supervisor->settings->id;
	peer->setting_role = bus_link_call(peer->link, NULL, SYNC_PATH, SYNC_INTERFACE, "SetRole",
					   g_variant_new("(sts)", sync_role_name(wanted), term->number, id), SET_ROLE_MS, on_role_set, peer);
}

void peer_apply_role(Peer *peer)
{
	if (bus_link_is_up(peer->link))
		apply_role(peer);
	else if (peer->supervisor->posture.sync == SYNC_FOLLOW || peer->supervisor->posture.sync == SYNC_IDLE)
		peer->settled = false; /* whatever comes next must be settled anew */
}

bool peer_look_at_files(Peer *peer)
{
	const Supervisor *supervisor = peer->supervisor;
	Whole before = peer->whole;
	if (supervisor->role.role != ROLE_TAKING_OVER) {
		peer->whole = WHOLE_UNKNOWN;
		return false;
	}
	/* Not before syncd is kept from beginning to apply. */
	if (supervisor->role.settled || !supervisor->master_file)
		return false;
	peer->whole = whole_look(SYNC_MARKS);
	if (peer->whole == before)
		return false;
	note_beginning(peer);
	supervisor_think(peer->supervisor, ROLE_EVENT_FACTS);
	return peer->whole == WHOLE_YES;
}

void peer_apply(Peer *peer)
{
	peer_apply_role(peer);
	/* The other decides by what there is on the files here: a state that does not know it yet would say that there is nothing. */
	if (!bus_link_is_up(peer->link) || !bus_mirror_is_fresh(peer->sync))
		return;
	g_autoptr(GVariant) state = own_state(peer);
	if (!peer->published || !g_variant_equal(peer->published, state)) {
		g_clear_pointer(&peer->published, g_variant_unref);
		peer->published = g_variant_ref(state);
		(void)bus_link_call(peer->link, NULL, SYNC_PATH, PEER_INTERFACE, "Publish", g_variant_new("(s@a{sv})", "state", state),
				    CALL_MS, NULL, NULL);
	}
}

GVariant *peer_published(const Peer *peer, const char *topic)
{
	GVariant *published = peer_is_connected(peer) ? bus_mirror_get(peer->peer, "Published", "a{sa{sv}}") : NULL;
	return published ? g_variant_lookup_value(published, topic, G_VARIANT_TYPE_VARDICT) : NULL;
}

GVariant *peer_doctor(const Peer *peer)
{
	return peer_published(peer, "doctor");
}

void peer_publish_doctor(Peer *peer, GVariant *value)
{
	g_autoptr(GVariant) doctor = g_variant_ref_sink(value);
	if (!bus_link_is_up(peer->link) || (peer->doctor && g_variant_equal(peer->doctor, doctor)))
		return;
	g_clear_pointer(&peer->doctor, g_variant_unref);
	peer->doctor = g_variant_ref(doctor);
	(void)bus_link_call(peer->link, NULL, SYNC_PATH, PEER_INTERFACE, "Publish", g_variant_new("(s@a{sv})", "doctor", doctor), CALL_MS, NULL,
			    NULL);
}

GVariant *peer_sync_get(const Peer *peer, const char *property, const char *type)
{
	return bus_mirror_get(peer->sync, property, type);
}

void peer_reload(Peer *peer)
{
	peer->up_us = g_get_monotonic_time(); /* it lets go of its connections */
	(void)bus_link_call(peer->link, NULL, SYNC_PATH, SYNC_INTERFACE, "Reload", NULL, CALL_MS, NULL, NULL);
}

BusLink *peer_link(Peer *peer)
{
	return peer->link;
}

typedef struct {
	BusReplyCb done;
	gpointer user_data;
} Asked;

static void unwrap(GVariant *values, const GError *error, gpointer user_data)
{
	Asked *asked = user_data;
	g_autoptr(GVariant) dictionary = values ? g_variant_get_child_value(values, 0) : NULL;
	if (asked->done)
		asked->done(dictionary, error, asked->user_data);
	g_free(asked);
}

void peer_request(Peer *peer, const char *topic, GVariant *args, guint timeout_ms, BusReplyCb done, gpointer user_data)
{
	Asked *asked = g_new0(Asked, 1);
	*asked = (Asked){ done, user_data };
	(void)bus_link_call(peer->link, NULL, SYNC_PATH, PEER_INTERFACE, "Request", g_variant_new("(s@a{sv}u)", topic, args, timeout_ms),
			    (int)timeout_ms + 500, unwrap, asked);
}

/* ---- What the other device asks ---- */

typedef struct {
	Peer *peer;
	guint64 serial;
} ModeAnswer;

static void on_mode_kept(const GError *error, gpointer user_data)
{
	g_autofree ModeAnswer *answer = user_data;
	peer_answer(answer->peer, answer->serial, error ? NULL : g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0), error);
}

static GVariant *answer_mode(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error)
{
	const char *text = "", *reason = "";
	Mode mode;
	guint minutes = 0;
	(void)g_variant_lookup(args, "mode", "&s", &text);
	(void)g_variant_lookup(args, "minutes", "u", &minutes);
	(void)g_variant_lookup(args, "reason", "&s", &reason);
	if (!mode_parse(text, &mode)) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "a mode is \"active\" or \"passive\"");
		return NULL;
	}
	ModeOrder order = mode_order(mode, minutes, reason, g_get_real_time() / 1000);
	ModeAnswer *answer = g_new(ModeAnswer, 1);
	*answer = (ModeAnswer){ supervisor->peer, serial };
	supervisor_order_mode(supervisor, &order, on_mode_kept, answer);
	return NULL;
}

static GVariant *answer_timeline(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error)
{
	guint count = 100, skip = 0;
	(void)g_variant_lookup(args, "count", "u", &count);
	(void)g_variant_lookup(args, "skip", "u", &skip);
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "transitions", timeline_page(supervisor->timeline, skip, count, TIMELINE_PAGE_BYTES));
	return g_variant_builder_end(&builder);
}

static GVariant *answer_settings(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error)
{
	return settings_orders_answer(supervisor->settings_orders, serial, args, error);
}

static GVariant *answer_swap(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error)
{
	return swap_answer(supervisor, args, error) ? g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0) : NULL;
}

static GVariant *answer_clock(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "time_ms", g_variant_new_int64(g_get_real_time() / 1000));
	return g_variant_builder_end(&builder);
}

static GVariant *answer_drill(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error)
{
	return drill_answer(supervisor->drill, args, error);
}

static const struct {
	const char *topic;
	/* NULL without an error: it calls peer_answer() later. */
	GVariant *(*answer)(Supervisor *supervisor, guint64 serial, GVariant *args, GError **error);
} topics[] = {
	{ "swap", answer_swap },
	{ "mode", answer_mode },
	{ "timeline", answer_timeline },
	{ "settings", answer_settings },
	{ "clock", answer_clock },
	{ "drill", answer_drill },
	{ "outbox", share_answer },
};

void peer_answer(Peer *peer, guint64 serial, GVariant *values, const GError *error)
{
	if (error) {
		GVariantBuilder builder;
		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "text", g_variant_new_string(error->message));
		values = g_variant_builder_end(&builder);
	}
	(void)bus_link_call(peer->link, NULL, SYNC_PATH, PEER_INTERFACE, "Answer",
			    g_variant_new("(ts@a{sv})", serial, error ? bus_error_name(error) : "", values), CALL_MS, NULL, NULL);
}

static void on_requested(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Peer *peer = user_data;
	guint64 serial;
	const char *topic;
	g_autoptr(GVariant) question = NULL;
	g_autoptr(GError) error = NULL;
	GVariant *values = NULL;
	g_variant_get(args, "(t&s@a{sv})", &serial, &topic, &question);
	gsize i = 0;
	while (i < G_N_ELEMENTS(topics) && strcmp(topics[i].topic, topic) != 0)
		i++;
	if (i == G_N_ELEMENTS(topics))
		return; /* somebody else's */
	values = topics[i].answer(peer->supervisor, serial, question, &error);
	if (values || error)
		peer_answer(peer, serial, values, error);
}

static void on_notice(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Peer *peer = user_data;
	const char *name, *description;
	guint8 priority;
	g_variant_get(args, "(&sy&s)", &name, &priority, &description);
	events_raise(peer->supervisor->events, EVENT_APPLICATION, name, priority, description);
}

/* ---- Connection ---- */

static gboolean on_look(gpointer user_data)
{
	Peer *peer = user_data;
	peer->look_timer = 0;
	supervisor_think(peer->supervisor, ROLE_EVENT_FACTS);
	return G_SOURCE_REMOVE;
}

static void on_mirror(BusMirror *mirror, gpointer user_data)
{
	Peer *peer = user_data;
	bool connected = peer_is_connected(peer);
	learn_state(peer);
	if (connected) {
		peer->lost_us = 0;
		if (peer_state(peer))
			peer->heard_us = g_get_monotonic_time();
	} else if (peer->lost_us == 0) {
		peer->lost_us = g_get_monotonic_time();
	}
	if (!connected && !peer->look_timer)
		peer->look_timer = g_timeout_add(peer->supervisor->settings->peer_timeout_ms + 100, on_look, peer);
	look_at_pairing(peer);
	learn_addresses(peer);
	if (peer->supervisor->joining && peer->record && peer_first_sync_done(peer)) {
		g_message("the first synchronisation is done");
		supervisor_set_joining(peer->supervisor, false);
	}
	if (peer->supervisor->hooks)
		hooks_look(peer->supervisor->hooks, bus_mirror_get(peer->sync, "Hooks", "a(tssssss)"));
	service_changed(peer->supervisor->service, "Peer");
	supervisor_think(peer->supervisor, ROLE_EVENT_FACTS);
}

static void on_up(BusLink *link, gpointer user_data)
{
	Peer *peer = user_data;
	const char *owned[G_N_ELEMENTS(topics) + 4] = { "state", "doctor", "events" };
	for (gsize i = 0; i < G_N_ELEMENTS(topics); i++)
		owned[i + 3] = topics[i].topic;
	peer->up_us = g_get_monotonic_time();
	peer->role = SYNC_KEEP;
	g_clear_pointer(&peer->published, g_variant_unref);
	g_clear_pointer(&peer->doctor, g_variant_unref);
	(void)bus_link_call(link, NULL, SYNC_PATH, PEER_INTERFACE, "Serve", g_variant_new("(^as)", owned), CALL_MS, NULL, NULL);
	peer_apply(peer);
	if (peer->supervisor->share)
		share_forget(peer->supervisor->share);
}

static void on_down(BusLink *link, gpointer user_data)
{
	Peer *peer = user_data;
	peer->role = SYNC_KEEP;
	supervisor_think(peer->supervisor, ROLE_EVENT_FACTS);
}

Peer *peer_new(Supervisor *supervisor)
{
	Peer *peer = g_new0(Peer, 1);
	g_autofree char *text = store_read(supervisor->store, PEER_FILE);
	peer->supervisor = supervisor;
	if (text)
		peer->record = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);
	peer->link = bus_link_new_private(SYNC_ADDRESS);
	bus_link_on_change(peer->link, on_up, on_down, peer);
	peer->sync = bus_mirror_new(peer->link, NULL, SYNC_PATH, SYNC_INTERFACE, on_mirror, peer);
	peer->peer = bus_mirror_new(peer->link, NULL, SYNC_PATH, PEER_INTERFACE, on_mirror, peer);
	peer->notices = bus_link_subscribe(peer->link, NULL, SYNC_PATH, SYNC_INTERFACE, "Notice", on_notice, peer);
	peer->requests = bus_link_subscribe(peer->link, NULL, SYNC_PATH, PEER_INTERFACE, "Requested", on_requested, peer);
	return peer;
}

void peer_free(Peer *peer)
{
	if (!peer)
		return;
	if (peer->look_timer)
		g_source_remove(peer->look_timer);
	if (peer->again_timer)
		g_source_remove(peer->again_timer);
	bus_pending_cancel(peer->setting_role);
	bus_subscription_free(peer->notices);
	bus_subscription_free(peer->requests);
	bus_mirror_free(peer->sync);
	bus_mirror_free(peer->peer);
	bus_link_free(peer->link);
	g_clear_pointer(&peer->record, g_variant_unref);
	g_clear_pointer(&peer->state, g_variant_unref);
	g_clear_pointer(&peer->published, g_variant_unref);
	g_clear_pointer(&peer->doctor, g_variant_unref);
	g_free(peer->lead_config);
	g_free(peer->refused);
	g_free(peer->taking);
	g_free(peer->taken);
	g_free(peer);
}
