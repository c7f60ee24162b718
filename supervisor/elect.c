/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/elect.c - the client of whoever holds the election (vrrpd, over its private socket).
 *
 * What vrrpd has been told is remembered per connection; after each reconnection it is told everything again, holds before the lease, so that
 * a vrrpd that was restarted cannot take over before it knows what keeps it from that.
 */
#include <string.h>
#include <time.h>

#include "supervisor/lease.h"
#include "supervisor/supervisor.h"

#define ELECT_ADDRESS "unix:path=/run/understudy/private/vrrp"
#define ELECT_PATH "/org/understudy/Vrrp1"
#define ELECT_INTERFACE "org.understudy.Election1"
#define CALL_MS 1000
/* A change shown by the properties is waited for as a signal, which has the evidence. */
#define SIGNAL_WITHIN_MS 20
#define STRANGER_LASTS_US (150 * G_TIME_SPAN_SECOND) /* it is told of once a minute */
#define HEARD_WITHIN_US (2 * G_TIME_SPAN_SECOND)

typedef enum { HOLD_PASSIVE, HOLD_FIRST_SYNC, HOLD_COLD_BOOT, HOLD_SETTINGS } Hold;
#define HOLD_N 4

static const struct {
	const char *name;
	const char *reason;
} holds[HOLD_N] = {
	[HOLD_PASSIVE] = { "passive", "the mode is passive" },
	[HOLD_FIRST_SYNC] = { "first-sync", "the first synchronisation is not done" },
	[HOLD_COLD_BOOT] = { "cold-boot", "waiting for the peer after start" },
	[HOLD_SETTINGS] = { "settings", "the Master changes by what the two find each other" },
};

struct Elect {
	Supervisor *supervisor;
	BusLink *link;
	BusMirror *mirror;
	BusSubscription *changes, *strangers;

	Election state;
	char *reason;
	guint64 sequence;
	gint64 changed_us;
	gint64 changed_boot_us; /* the same as vrrpd said it */
	GVariant *evidence;
	bool known; /* state and sequence are of the present connection */
	guint signal_timer;
	gint64 heard_us;
	char *stranger;      /* who spoke for our group last */
	gint64 stranger_us;
	bool stranger_counts;
	BusPending *asking;

	bool leased;         /* it has our sign of life, since the present connection */
	BusPending *leasing;

	/* Told on the present connection. */
	bool introduced;
	bool held[HOLD_N];
	gint64 cold_until_us;  /* as the hold was told last */
	int serving; /* -1: not told */
	GVariant *peer;
};

static gint64 boot_time_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * G_TIME_SPAN_SECOND + now.tv_nsec / 1000;
}

static gint64 monotonic_of(gint64 boot_us)
{
	return g_get_monotonic_time() - (boot_time_us() - boot_us);
}

static void call(Elect *elect, const char *method, GVariant *args)
{
	(void)bus_link_call(elect->link, NULL, ELECT_PATH, ELECT_INTERFACE, method, args, CALL_MS, NULL, NULL);
}

/* ---- What it says ---- */

static Election parse_state(const char *state)
{
	if (strcmp(state, "master") == 0)
		return ELECTION_MASTER;
	if (strcmp(state, "backup") == 0)
		return ELECTION_BACKUP;
	return ELECTION_INIT;
}

static void learn(Elect *elect, const char *state, const char *reason, guint64 sequence, gint64 time_us, GVariant *evidence)
{
	if (elect->signal_timer)
		g_source_remove(elect->signal_timer);
	elect->signal_timer = 0;
	elect->known = true;
	elect->state = parse_state(state);
	elect->sequence = sequence;
	g_free(elect->reason);
	elect->reason = g_strdup(*reason ? reason : "election");
	elect->changed_us = time_us ? monotonic_of(time_us) : g_get_monotonic_time();
	elect->changed_boot_us = time_us;
	g_clear_pointer(&elect->evidence, g_variant_unref);
	if (evidence)
		elect->evidence = g_variant_ref(evidence);
	supervisor_think(elect->supervisor, ROLE_EVENT_FACTS);
}

static void on_state_changed(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Elect *elect = user_data;
	const char *old, *new, *reason;
	guint64 sequence;
	gint64 time_us;
	g_autoptr(GVariant) evidence = NULL;
	g_variant_get(args, "(&s&s&stx@a{sv})", &old, &new, &reason, &sequence, &time_us, &evidence);
	learn(elect, new, reason, sequence, time_us, evidence);
}

static void on_stranger(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Elect *elect = user_data;
	const char *address, *cause;
	guint64 count;
	g_variant_get(args, "(&s&st)", &address, &cause, &count);
	bool clash = strcmp(cause, "address-clash") == 0;
	/* Told of, but heard all the same: another interval or list of addresses than ours. */
	bool heard = g_str_has_suffix(cause, "-mismatch");
	if (!clash) {
		g_free(elect->stranger);
		elect->stranger = g_strdup(address);
		elect->stranger_us = g_get_monotonic_time();
		elect->stranger_counts = heard;
		examine_soon(elect->supervisor->examine);
	}
	g_autofree char *text =
		clash ? g_strdup_printf("Somebody else on the LAN has a service address: %s (%" G_GUINT64_FORMAT " times so far)", address, count) :
			g_strdup_printf("VRRP adverts of group %u from %s %s (%s, %" G_GUINT64_FORMAT " so far)",
					elect->supervisor->settings->group_id, address, heard ? "are not as ours" : "do not count", cause, count);
	g_autofree char *key = g_strdup_printf("stranger %s %s", address, cause);
	events_raise_once(elect->supervisor->events, key, 3600, EVENT_APPLICATION, clash ? "address-clash" : "stranger", 2, text);
}

/* What stops a takeover, or would, is an event when it begins; the list of all there is now is the property. */
static void tell_problems(Elect *elect)
{
	GVariant *problems = elect_problems(elect);
	g_autofree const char **each = problems ? g_variant_get_strv(problems, NULL) : NULL;
	for (gsize i = 0; each && each[i]; i++) {
		g_autofree char *key = g_strdup_printf("election %s", each[i]);
		/* Of the clash it was told with the stranger. */
		if (!g_str_has_prefix(each[i], "address-clash"))
			events_raise_once(elect->supervisor->events, key, 3600, EVENT_APPLICATION, "election-problem", 2, each[i]);
	}
}

static void learn_from_mirror(Elect *elect)
{
	GVariant *state = bus_mirror_get(elect->mirror, "State", "s");
	GVariant *reason = bus_mirror_get(elect->mirror, "Reason", "s");
	GVariant *sequence = bus_mirror_get(elect->mirror, "Sequence", "t");
	GVariant *since = bus_mirror_get(elect->mirror, "SinceUs", "x");
	if (!state || !reason || !sequence || !since)
		return;
	g_autofree char *copy = g_variant_dup_string(state, NULL), *why = g_variant_dup_string(reason, NULL);
	learn(elect, copy, why, g_variant_get_uint64(sequence), g_variant_get_int64(since), NULL);
}

static gboolean on_signal_late(gpointer user_data)
{
	Elect *elect = user_data;
	elect->signal_timer = 0;
	learn_from_mirror(elect);
	return G_SOURCE_REMOVE;
}

static void on_mirror(BusMirror *mirror, gpointer user_data)
{
	Elect *elect = user_data;
	if (!bus_mirror_is_fresh(mirror)) {
		elect->known = false;
		supervisor_think(elect->supervisor, ROLE_EVENT_FACTS);
		return;
	}
	GVariant *sequence = bus_mirror_get(mirror, "Sequence", "t");
	if (!elect->known)
		learn_from_mirror(elect);
	else if (sequence && g_variant_get_uint64(sequence) != elect->sequence && !elect->signal_timer)
		elect->signal_timer = g_timeout_add(SIGNAL_WITHIN_MS, on_signal_late, elect);
	else
		supervisor_think(elect->supervisor, ROLE_EVENT_FACTS);
	tell_problems(elect);
	examine_soon(elect->supervisor->examine);
}

void elect_gather(Elect *elect, RoleFacts *facts)
{
	facts->election = elect->known ? elect->state : ELECTION_UNKNOWN;
	facts->election_reason = elect->reason;
	GVariant *carrier = bus_mirror_get(elect->mirror, "Carrier", "b");
	facts->carrier = !carrier || g_variant_get_boolean(carrier);
	facts->witness_lost = strcmp(elect_witness(elect), "lost") == 0;
	facts->master_heard = elect->heard_us != 0 && g_get_monotonic_time() - elect->heard_us < HEARD_WITHIN_US;
}

const char *elect_witness(const Elect *elect)
{
	GVariant *witness = bus_mirror_get(elect->mirror, "Witness", "s");
	return witness ? g_variant_get_string(witness, NULL) : "unknown";
}

bool elect_link_alive(const Elect *elect)
{
	GVariant *alive = bus_mirror_get(elect->mirror, "LinkAlive", "b");
	return alive && g_variant_get_boolean(alive);
}

GVariant *elect_link_locals(const Elect *elect)
{
	return bus_mirror_get(elect->mirror, "LinkLocals", "a{ss}");
}

gint64 elect_changed_us(const Elect *elect)
{
	return elect->changed_us;
}

gint64 elect_changed_boot_us(const Elect *elect)
{
	return elect->changed_boot_us;
}

GVariant *elect_evidence(const Elect *elect)
{
	return elect->evidence;
}

GVariant *elect_problems(const Elect *elect)
{
	return bus_mirror_get(elect->mirror, "Problems", "as");
}

const char *elect_stranger(const Elect *elect, bool *ret_counts)
{
	*ret_counts = elect->stranger_counts;
	return elect->stranger && g_get_monotonic_time() - elect->stranger_us < STRANGER_LASTS_US ? elect->stranger : NULL;
}

char **elect_holds(const Elect *elect)
{
	GVariant *list = bus_mirror_get(elect->mirror, "Holds", "a(ssx)");
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	for (gsize i = 0; list && i < g_variant_n_children(list); i++) {
		char *name;
		g_variant_get_child(list, i, "(ssx)", &name, NULL, NULL);
		g_ptr_array_add(names, name);
	}
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

/* ---- What it is told ---- */

static void tell_hold(Elect *elect, Hold hold, bool held, guint32 lease_ms)
{
	if (elect->held[hold] == held)
		return;
	elect->held[hold] = held;
	if (held)
		call(elect, "Hold", g_variant_new("(ssu)", holds[hold].name, holds[hold].reason, lease_ms));
	else
		call(elect, "Lift", g_variant_new("(s)", holds[hold].name));
}

void elect_apply(Elect *elect)
{
	Supervisor *supervisor = elect->supervisor;
	const RolePosture *posture = &supervisor->posture;
	if (!bus_link_is_up(elect->link))
		return;
	GVariant *peer = g_variant_ref_sink(peer_for_election(supervisor->peer));
	if (!elect->peer || !g_variant_equal(elect->peer, peer)) {
		g_clear_pointer(&elect->peer, g_variant_unref);
		elect->peer = g_variant_ref(peer);
		call(elect, "SetPeer", g_variant_new("(@a{sv})", peer));
	}
	g_variant_unref(peer);

	if (!elect->introduced) {
		/* It may hold what an earlier supervisor asked for: each is said once, either way. */
		elect->held[HOLD_PASSIVE] = !posture->hold_passive;
		elect->held[HOLD_FIRST_SYNC] = !posture->hold_first_sync;
		elect->held[HOLD_COLD_BOOT] = !posture->hold_cold_boot;
		elect->held[HOLD_SETTINGS] = !settings_orders_hold(supervisor->settings_orders);
	}
	if (posture->hold_cold_boot && posture->cold_boot_until_us != elect->cold_until_us)
		elect->held[HOLD_COLD_BOOT] = false; /* for longer than it was told */
	elect->cold_until_us = posture->cold_boot_until_us;
	gint64 left_us = posture->cold_boot_until_us - g_get_monotonic_time();
	guint32 lease_ms = posture->cold_boot_until_us ? (guint32)MAX(1, left_us / 1000) : 0;
	const struct {
		bool wanted;
		guint32 lease_ms;
	} shall[HOLD_N] = {
		[HOLD_PASSIVE] = { posture->hold_passive, 0 },
		[HOLD_FIRST_SYNC] = { posture->hold_first_sync, 0 },
		[HOLD_COLD_BOOT] = { posture->hold_cold_boot, lease_ms },
		[HOLD_SETTINGS] = { settings_orders_hold(supervisor->settings_orders), 0 },
	};
	/* Those that hold first: where one takes the place of another there must be no moment without. */
	for (int wanted = 1; wanted >= 0; wanted--)
		for (Hold hold = 0; hold < HOLD_N; hold++)
			if (shall[hold].wanted == wanted)
				tell_hold(elect, hold, shall[hold].wanted, shall[hold].lease_ms);
	if (elect->serving != posture->serving) {
		elect->serving = posture->serving;
		call(elect, "SetServing", g_variant_new("(b)", posture->serving));
	}
	if (!elect->introduced) {
		elect->introduced = true;
		elect_live(elect);
	}
}

static void on_last_heard(GVariant *values, const GError *error, gpointer user_data)
{
	Elect *elect = user_data;
	elect->asking = NULL;
	if (error)
		return;
	g_autoptr(GVariant) boxed = NULL, heard = NULL;
	g_variant_get(values, "(v)", &boxed);
	if (!g_variant_is_of_type(boxed, G_VARIANT_TYPE("a{sx}")))
		return;
	GVariantIter each;
	gint64 last_us;
	g_variant_iter_init(&each, boxed);
	while (g_variant_iter_next(&each, "{&sx}", NULL, &last_us))
		elect->heard_us = MAX(elect->heard_us, monotonic_of(last_us));
	supervisor_think(elect->supervisor, ROLE_EVENT_FACTS);
}

static void on_leased(GVariant *values, const GError *error, gpointer user_data)
{
	Elect *elect = user_data;
	elect->leasing = NULL;
	elect->leased = !error;
	if (error) /* a hold of vrrpd's says the same, if it lasts */
		g_debug("lease: %s", error->message);
}

/* One that has run out vrrpd has let go. */
void elect_lapsed(Elect *elect)
{
	elect->leased = false;
	g_clear_pointer(&elect->leasing, bus_pending_cancel);
	elect_live(elect);
}

void elect_live(Elect *elect)
{
	int fd = lease_fd();
	if (!bus_link_is_up(elect->link) || !elect->introduced)
		return;
	if (fd >= 0 && !elect->leased && !elect->leasing)
		elect->leasing = bus_link_call_fds(elect->link, NULL, ELECT_PATH, ELECT_INTERFACE, "Lease", g_variant_new("(h)", 0), &fd, 1,
						   CALL_MS, on_leased, elect);
	/* While the device has just booted, whether somebody leads decides what it does; that property has no signal. */
	if (elect->supervisor->role.cold && !elect->asking)
		elect->asking = bus_link_call(elect->link, NULL, ELECT_PATH, "org.freedesktop.DBus.Properties", "Get",
					      g_variant_new("(ss)", ELECT_INTERFACE, "LastHeard"), CALL_MS, on_last_heard, elect);
}

typedef struct {
	ElectDoneCb done;
	gpointer user_data;
} Waiting;

static void on_done(GVariant *values, const GError *error, gpointer user_data)
{
	Waiting *waiting = user_data;
	waiting->done(error, waiting->user_data);
	g_free(waiting);
}

static void order(Elect *elect, const char *method, const char *reason, ElectDoneCb done, gpointer user_data)
{
	g_message("election: %s (%s)", method, reason);
	if (!done) {
		call(elect, method, g_variant_new("(s)", reason));
		return;
	}
	Waiting *waiting = g_new0(Waiting, 1);
	*waiting = (Waiting){ done, user_data };
	(void)bus_link_call(elect->link, NULL, ELECT_PATH, ELECT_INTERFACE, method, g_variant_new("(s)", reason), CALL_MS, on_done, waiting);
}

void elect_resign(Elect *elect, const char *reason, ElectDoneCb done, gpointer user_data)
{
	order(elect, "Resign", reason, done, user_data);
}

void elect_take(Elect *elect, const char *reason, ElectDoneCb done, gpointer user_data)
{
	order(elect, "Take", reason, done, user_data);
}

void elect_announce(Elect *elect)
{
	call(elect, "Announce", NULL);
}

void elect_reload(Elect *elect)
{
	call(elect, "Reload", NULL);
}

static void on_up(BusLink *link, gpointer user_data)
{
	Elect *elect = user_data;
	elect->introduced = false;
	elect->leased = false;
	elect->serving = -1;
	g_clear_pointer(&elect->peer, g_variant_unref);
	elect_apply(elect);
}

static void on_down(BusLink *link, gpointer user_data)
{
	Elect *elect = user_data;
	elect->known = false;
	elect->introduced = false;
	supervisor_think(elect->supervisor, ROLE_EVENT_FACTS);
}

Elect *elect_new(Supervisor *supervisor)
{
	Elect *elect = g_new0(Elect, 1);
	elect->supervisor = supervisor;
	elect->reason = g_strdup("started");
	elect->serving = -1;
	elect->link = bus_link_new_private(ELECT_ADDRESS);
	bus_link_on_change(elect->link, on_up, on_down, elect);
	elect->mirror = bus_mirror_new(elect->link, NULL, ELECT_PATH, ELECT_INTERFACE, on_mirror, elect);
	elect->changes = bus_link_subscribe(elect->link, NULL, ELECT_PATH, ELECT_INTERFACE, "StateChanged", on_state_changed, elect);
	elect->strangers = bus_link_subscribe(elect->link, NULL, ELECT_PATH, ELECT_INTERFACE, "Stranger", on_stranger, elect);
	return elect;
}

void elect_free(Elect *elect)
{
	if (!elect)
		return;
	if (elect->signal_timer)
		g_source_remove(elect->signal_timer);
	bus_pending_cancel(elect->asking);
	bus_pending_cancel(elect->leasing);
	bus_subscription_free(elect->changes);
	bus_subscription_free(elect->strangers);
	bus_mirror_free(elect->mirror);
	bus_link_free(elect->link);
	g_clear_pointer(&elect->peer, g_variant_unref);
	g_clear_pointer(&elect->evidence, g_variant_unref);
	g_free(elect->stranger);
	g_free(elect->reason);
	g_free(elect);
}
