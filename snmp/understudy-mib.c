/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/understudy-mib.c - the instances of UNDERSTUDY-MIB (data/mibs). */
#include "snmp/mib.h"

#include <string.h>

#include "dbus/dict.h"
#include "snmp/lookup.h"
#include "snmp/text.h"

#define MOST_TEXT 1024
#define MOST_NAME 100 /* of an application, as an index */

/* The groups of objects below the root's 1, by their numbers. */
enum { DEVICE = 1, PEER, SYNC, APPLICATIONS, TAKEOVER, DOCTOR, EVENTS, SEEN };

typedef struct {
	MibView *view;
	const Oid *root;
	guint32 group;
	/* A table, when it is not 0, and its row. */
	guint32 table;
	Oid row;
} Place;

static Oid name_of(const Place *place, guint32 number)
{
	Oid oid = *place->root;

	oid_add(&oid, 1);
	oid_add(&oid, place->group);
	if (!place->table) {
		oid_add(&oid, number);
		oid_add(&oid, 0);
		return oid;
	}
	oid_add(&oid, place->table);
	oid_add(&oid, 1);
	oid_add(&oid, number);
	for (guint i = 0; i < place->row.n; i++)
		oid_add(&oid, place->row.ids[i]);
	return oid;
}

static void put_text(const Place *place, guint32 number, const char *text)
{
	g_autofree char *clean = snmp_clean_text(text, MOST_TEXT);
	Oid oid = name_of(place, number);

	mib_view_add_text(place->view, &oid, clean, MOST_TEXT);
}

static void put(const Place *place, guint32 number, MibType type, gint64 value)
{
	Oid oid = name_of(place, number);

	/* A gauge that cannot hold it says the most that it can. */
	mib_view_add_number(place->view, &oid, type, (guint64)(type == MIB_GAUGE32 ? CLAMP(value, 0, (gint64)G_MAXUINT32) : value));
}

static void put_flag(const Place *place, guint32 number, bool flag)
{
	put(place, number, MIB_INTEGER, flag ? 1 : 2);
}

/* A time that is not known has no instance. */
static void put_time(const Place *place, guint32 number, gint64 time_ms)
{
	Oid oid = name_of(place, number);
	guint8 bytes[SNMP_TIME_BYTES];

	if (time_ms <= 0)
		return;
	snmp_time(time_ms, bytes);
	mib_view_add_octets(place->view, &oid, MIB_OCTETS, bytes, sizeof(bytes));
}

/* The number of @word in @words, from 2; 1 is for what is not among them. */
static gint64 number_of(const char *const *words, const char *word)
{
	for (guint i = 0; words[i]; i++)
		if (g_str_equal(words[i], word))
			return i + 2;
	return 1;
}

static gint64 role_number(const char *role)
{
	static const char *const roles[] = { "standalone", "init", "backup", "taking-over", "master", "handing-over", "fault", NULL };

	return number_of(roles, role);
}

static gint64 mode_number(const char *mode)
{
	static const char *const modes[] = { "active", "passive", NULL };

	return number_of(modes, mode);
}

static void add_device(Place *place, GVariant *supervisor)
{
	guint64 term = 0;
	const char *leader = "";

	place->group = DEVICE;
	put(place, 4, MIB_INTEGER, role_number(dict_string(supervisor, "Role", "")));
	put(place, 7, MIB_INTEGER, mode_number(dict_string(supervisor, "Mode", "")));
	if (!supervisor)
		return;
	put_text(place, 1, dict_string(supervisor, "DeviceId", ""));
	put_text(place, 2, dict_string(supervisor, "DeviceName", ""));
	put_text(place, 3, dict_string(supervisor, "Version", ""));
	put_text(place, 5, dict_string(supervisor, "RoleReason", ""));
	put_time(place, 6, dict_int(supervisor, "RoleSinceMs", 0));
	(void)g_variant_lookup(supervisor, "Term", "(t&s)", &term, &leader);
	put(place, 8, MIB_GAUGE32, (gint64)MIN(term, G_MAXUINT32));
	put_text(place, 9, leader);
	put_flag(place, 10, dict_bool(supervisor, "Enabled"));
	put(place, 11, MIB_GAUGE32, dict_int(supervisor, "GroupId", 0));
	put_text(place, 12, dict_string(supervisor, "SettingsError", ""));
}

static void add_peer(Place *place, GVariant *supervisor)
{
	g_autoptr(GVariant) peer = dict_value(supervisor, "Peer", "a{sv}");
	gint64 age_ms = dict_int(peer, "age_ms", -1);

	if (!peer)
		return;
	place->group = PEER;
	put_flag(place, 1, dict_bool(peer, "connected"));
	put_text(place, 2, dict_string(peer, "id", ""));
	put_text(place, 3, dict_string(peer, "name", ""));
	put(place, 4, MIB_INTEGER, role_number(dict_string(peer, "role", "")));
	put(place, 5, MIB_INTEGER, mode_number(dict_string(peer, "mode", "")));
	put_text(place, 6, dict_string(peer, "version", ""));
	if (age_ms >= 0)
		put(place, 7, MIB_GAUGE32, age_ms / 1000);
}

/* For how long, in seconds; 0: it is not so. */
static gint64 since(const MibFacts *facts, gint64 begun_ms)
{
	return begun_ms > 0 ? MAX((facts->now_ms - begun_ms) / 1000, 0) : 0;
}

static void add_ref(Place *place, const MibFacts *facts, const char *ref, GVariant *point)
{
	g_autoptr(GVariant) exact = dict_value(point, "exact", "b");

	place->row.n = 0;
	oid_add_text(&place->row, ref);
	put_text(place, 2, lookup_named(facts->sync, "Stored", ref));
	put_text(place, 3, lookup_named(facts->sync, "Applied", ref));
	put_text(place, 4, lookup_named(facts->sync, "PeerStored", ref));
	put_text(place, 5, lookup_named(facts->sync, "PeerApplied", ref));
	if (!point)
		return;
	put(place, 6, MIB_GAUGE32, dict_int(point, "stored_changes", 0));
	put(place, 7, MIB_GAUGE32, dict_int(point, "applied_changes", 0));
	put(place, 8, MIB_GAUGE32, since(facts, dict_int(point, "stored_since_ms", 0)));
	put(place, 9, MIB_GAUGE32, since(facts, dict_int(point, "applied_since_ms", 0)));
	if (exact)
		put_flag(place, 10, g_variant_get_boolean(exact));
}

static void add_sync(Place *place, const MibFacts *facts)
{
	static const char *const sources[] = { "Stored", "PeerStored" };
	static const char *const refs[] = { "config", "volatile", "voice" };
	g_autoptr(GVariant) points = dict_value(facts->sync, "RecoveryPoint", "a{sa{sv}}");

	if (!facts->sync)
		return;
	place->group = SYNC;
	put_time(place, 1, dict_int(facts->sync, "LastSyncMs", 0));
	put_flag(place, 2, dict_bool(facts->sync, "FirstSyncDone"));
	put_text(place, 3, dict_string(facts->sync, "Activity", ""));
	put_text(place, 4, dict_string(facts->sync, "LastError", ""));
	place->table = 5;
	for (guint i = 0; i < G_N_ELEMENTS(refs); i++) {
		g_autoptr(GVariant) point = points ? g_variant_lookup_value(points, refs[i], G_VARIANT_TYPE_VARDICT) : NULL;
		bool known = point != NULL;

		for (guint k = 0; k < G_N_ELEMENTS(sources); k++)
			known |= *lookup_named(facts->sync, sources[k], refs[i]) != '\0';
		if (known)
			add_ref(place, facts, refs[i], point);
	}
	place->table = 0;
}

static void add_applications(Place *place, const MibFacts *facts)
{
	static const char *const states[] = { "stopped", "waiting", "starting", "running", "stopping", "backoff", "failed", NULL };

	place->group = APPLICATIONS;
	place->table = 1;
	for (guint i = 0; facts->applications && i < facts->applications->len; i++) {
		GVariant *application = facts->applications->pdata[i];
		const char *name = dict_string(application, "Name", "");

		if (!*name || strlen(name) > MOST_NAME)
			continue;
		place->row.n = 0;
		oid_add_text(&place->row, name);
		put_text(place, 2, dict_string(application, "Description", ""));
		put(place, 3, MIB_INTEGER, number_of(states, dict_string(application, "State", "")));
		put(place, 4, MIB_GAUGE32, dict_int(application, "Pid", 0));
		put_time(place, 5, dict_int(application, "SinceMs", 0));
		put(place, 6, MIB_GAUGE32, dict_int(application, "Restarts", 0));
		put_text(place, 7, dict_string(application, "LastExit", ""));
	}
	place->table = 0;
}

static void add_takeover(Place *place, GVariant *timeline)
{
	place->group = TAKEOVER;
	for (gsize i = timeline ? g_variant_n_children(timeline) : 0; i-- > 0;) {
		g_autoptr(GVariant) transition = g_variant_get_child_value(timeline, i);
		g_autoptr(GVariant) evidence = dict_value(transition, "evidence", "a{sv}");
		gint64 took_ms = (gint64)dict_double(evidence, "took_ms", -1);

		if (!g_str_equal(dict_string(transition, "old", ""), "taking-over") || !g_str_equal(dict_string(transition, "new", ""), "master"))
			continue;
		put_time(place, 1, dict_int(transition, "time_ms", 0));
		if (took_ms >= 0)
			put(place, 2, MIB_GAUGE32, took_ms);
		put_text(place, 3, dict_string(transition, "device", ""));
		put_text(place, 4, dict_string(transition, "reason", ""));
		put(place, 5, MIB_GAUGE32, dict_int(transition, "term", 0));
		return;
	}
}

static void add_findings(Place *place, GVariant *findings)
{
	guint n_errors = 0;
	gsize n = findings ? g_variant_n_children(findings) : 0;

	if (!findings)
		return;
	place->group = DOCTOR;
	place->table = 3;
	for (gsize i = 0; i < n; i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
		bool is_error = g_str_equal(dict_string(finding, "severity", ""), "error");

		n_errors += is_error;
		place->row = (Oid){ .n = 1, .ids = { (guint32)i + 1 } };
		put_text(place, 2, dict_string(finding, "code", ""));
		put(place, 3, MIB_INTEGER, is_error ? 2 : 1);
		put_text(place, 4, dict_string(finding, "device", ""));
		put_text(place, 5, dict_string(finding, "text", ""));
		put_text(place, 6, dict_string(finding, "action", ""));
		put_time(place, 7, dict_int(finding, "since_ms", 0));
	}
	place->table = 0;
	put(place, 1, MIB_GAUGE32, n_errors);
	put(place, 2, MIB_GAUGE32, (gint64)n - n_errors);
}

static void add_events(Place *place, const MibFacts *facts)
{
	static const char *const texts[] = { "application", "name", "description", "reference", "device" };

	if (!facts->notify)
		return;
	place->group = EVENTS;
	put(place, 1, MIB_GAUGE32, dict_int(facts->notify, "Unread", 0));
	put(place, 2, MIB_GAUGE32, dict_int(facts->notify, "Count", 0));
	put(place, 3, MIB_GAUGE32, dict_int(facts->notify, "Capacity", 0));
	for (guint i = 0; i < G_N_ELEMENTS(facts->raised); i++)
		put(place, 4 + i, MIB_COUNTER32, (gint64)(guint32)facts->raised[i]);
	if (facts->raised_ticks >= 0)
		put(place, 10, MIB_TIME_TICKS, facts->raised_ticks);
	place->table = 7;
	for (gsize i = 0; facts->events && i < MIN(g_variant_n_children(facts->events), MIB_EVENTS); i++) {
		g_autoptr(GVariant) event = g_variant_get_child_value(facts->events, i);
		gint64 id = dict_int(event, "id", 0);

		if (id < 1 || id > G_MAXUINT32)
			continue;
		place->row = (Oid){ .n = 1, .ids = { (guint32)id } };
		put_time(place, 2, dict_int(event, "time_ms", 0));
		put(place, 3, MIB_INTEGER, g_str_equal(dict_string(event, "status", ""), "new") ? 1 : 2);
		put(place, 4, MIB_GAUGE32, dict_int(event, "priority", 1));
		for (guint k = 0; k < G_N_ELEMENTS(texts); k++)
			put_text(place, 5 + k, dict_string(event, texts[k], ""));
	}
	place->table = 0;
}

void mib_add_understudy(MibView *view, const Oid *root, const MibFacts *facts)
{
	Place place = { .view = view, .root = root };

	add_device(&place, facts->supervisor);
	add_peer(&place, facts->supervisor);
	add_sync(&place, facts);
	add_applications(&place, facts);
	add_takeover(&place, facts->timeline);
	add_findings(&place, facts->findings);
	add_events(&place, facts);
	place.group = SEEN;
	put_flag(&place, 1, facts->supervisor != NULL);
	put_flag(&place, 2, facts->election != NULL && facts->vrrp != NULL);
	put_flag(&place, 3, facts->sync != NULL);
	put_flag(&place, 4, facts->notify != NULL);
}
