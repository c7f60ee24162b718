/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/vrrp-mib.c - the router that elects, as VRRP-MIB (RFC 2787) or VRRPV3-MIB (RFC 6527), by the version in use.
 *
 * What these MIBs let a manager write is read-only here: rows are active, the rest is in pair.conf.
 */
#include "snmp/mib.h"

#include <stdio.h>
#include <string.h>

#include "settings/ip.h"
#include "dbus/dict.h"

static const Oid v2_root = { 7, { 1, 3, 6, 1, 2, 1, 68 } };
static const Oid v3_root = { 7, { 1, 3, 6, 1, 2, 1, 207 } };

#define ROW_ACTIVE 1
#define TRUTH_TRUE 1
#define TRUTH_FALSE 2

typedef struct {
	guint32 interface;
	guint32 id;
	gint64 state; /* 1 initialize, 2 backup, 3 master */
	gint64 priority;
	IpAddress own, master;
	guint8 mac[6];
	GArray *addresses; /* of IpAddress */
	gint64 interval_ms;
	gint64 up_ticks;
	GVariant *counters; /* a{st}; may be NULL */
	int master_reason, protocol_error;
	gint64 counted_ticks;
} Router;

/* ---- What the daemons have said ---- */

static guint64 counter(const Router *router, const char *name)
{
	guint64 value = 0;

	if (router->counters)
		(void)g_variant_lookup(router->counters, name, "t", &value);
	return value;
}

/* The path that elects: what its interface is called in the settings, and our address there. */
static void read_path(GVariant *election, char **ret_role, IpAddress *ret_own)
{
	g_autoptr(GVariant) paths = dict_value(election, "Paths", "aa{sv}");

	for (gsize i = 0; paths && i < g_variant_n_children(paths); i++) {
		g_autoptr(GVariant) path = g_variant_get_child_value(paths, i);

		if (!dict_bool(path, "electing"))
			continue;
		g_free(*ret_role);
		*ret_role = g_strdup(dict_string(path, "interface", ""));
		(void)ip_parse(dict_string(path, "address", ""), ret_own);
	}
}

/* "192.0.2.10/24 lan", those of @role and @family. */
static GArray *read_addresses(GVariant *supervisor, const char *role, sa_family_t family)
{
	g_autoptr(GVariant) list = dict_value(supervisor, "ServiceAddresses", "as");
	GArray *addresses = g_array_new(FALSE, FALSE, sizeof(IpAddress));

	for (gsize i = 0; list && role && i < g_variant_n_children(list); i++) {
		const char *text;
		g_variant_get_child(list, i, "&s", &text);
		g_auto(GStrv) words = g_strsplit_set(text, "/ ", 3);
		IpAddress ip;

		if (g_strv_length(words) == 3 && g_str_equal(words[2], role) && ip_parse(words[0], &ip) && ip.family == family)
			g_array_append_val(addresses, ip);
	}
	return addresses;
}

static bool read_mac(const char *text, guint8 *ret_mac)
{
	guint bytes[6];

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6)
		return false;
	for (guint i = 0; i < 6; i++)
		ret_mac[i] = (guint8)bytes[i];
	return true;
}

/* False: there is none. To be given to clear_router(). */
static bool read_router(const MibFacts *facts, Router *router)
{
	g_autofree char *role = NULL;
	const char *state = dict_string(facts->election, "State", "");

	*router = (Router){ .interface = facts->interface, .master_reason = facts->master_reason, .protocol_error = facts->protocol_error,
			    .counted_ticks = facts->router_ticks };
	if (!facts->election || !facts->vrrp)
		return false;
	router->id = (guint32)dict_int(facts->vrrp, "GroupId", 0);
	if (router->id == 0 || router->interface == 0)
		return false;
	read_path(facts->election, &role, &router->own);
	(void)read_mac(dict_string(facts->vrrp, "VirtualMac", ""), router->mac);
	router->state = g_str_equal(state, "master") ? 3 : g_str_equal(state, "backup") ? 2 : 1;
	router->priority = dict_int(facts->election, "Priority", 0);
	router->master = router->own;
	if (router->state != 3 && !ip_parse(dict_string(facts->vrrp, "MasterAddress", ""), &router->master))
		router->master = (IpAddress){ 0 };
	router->addresses = read_addresses(facts->supervisor, role, router->own.family);
	router->interval_ms = dict_int(facts->vrrp, "AdvertIntervalMs", 1000);
	router->up_ticks = router->state == 1 ? 0 : MAX(facts->boot_us - dict_int(facts->election, "SinceUs", facts->boot_us), 0) / 10000;
	router->counters = dict_value(facts->vrrp, "Counters", "a{st}");
	return true;
}

static void clear_router(Router *router)
{
	g_clear_pointer(&router->addresses, g_array_unref);
	g_clear_pointer(&router->counters, g_variant_unref);
}

/* ---- Instances ---- */

static Oid below(const Oid *root, guint n, const guint32 *ids)
{
	Oid oid = *root;

	for (guint i = 0; i < n; i++)
		oid_add(&oid, ids[i]);
	return oid;
}
#define BELOW(root, ...) below(root, sizeof((guint32[]){ __VA_ARGS__ }) / sizeof(guint32), (guint32[]){ __VA_ARGS__ })

static void put(MibView *view, Oid oid, MibType type, guint64 value)
{
	mib_view_add_number(view, &oid, type, value);
}

static void put_address(MibView *view, Oid oid, MibType type, const IpAddress *ip)
{
	static const guint8 none[4];
	bool fits = type == MIB_OCTETS || ip->family == AF_INET;

	if (type == MIB_OCTETS || fits)
		mib_view_add_octets(view, &oid, type, ip->bytes, type == MIB_OCTETS ? ip_length(ip) : 4);
	else
		mib_view_add_octets(view, &oid, type, none, 4);
}

static void add_v2(MibView *view, const Router *router)
{
	const guint32 interface = router->interface, id = router->id;
	const struct {
		guint32 column;
		gint64 value;
	} numbers[] = {
		{ 3, router->state },
		{ 4, 1 }, /* up */
		{ 5, router->priority },
		{ 6, router->addresses->len },
		{ 9, 1 }, /* no authentication: 3768 has none */
		{ 11, MAX(router->interval_ms / 1000, 1) },
		{ 12, TRUTH_FALSE },
		{ 14, 1 }, /* ip */
		{ 15, ROW_ACTIVE },
	};
	/* What is not counted has no instance. */
	const struct {
		guint32 column;
		const char *name;
	} counters[] = { { 1, "became-master" }, { 2, "received" }, { 3, "drop-interval" }, { 4, "drop-auth" }, { 5, "drop-ttl" }, { 6, "received-priority-zero" },
			 { 7, "sent-priority-zero" }, { 8, "drop-type" }, { 9, "address-mismatch" }, { 10, "drop-auth" }, { 11, "drop-auth" }, { 12, "drop-length" } };

	put(view, BELOW(&v2_root, 1, 1, 0), MIB_INTEGER, 2);
	put(view, BELOW(&v2_root, 1, 2, 0), MIB_INTEGER, 1); /* its notifications are sent */
	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
		put(view, BELOW(&v2_root, 1, 3, 1, numbers[i].column, interface, id), MIB_INTEGER, (guint64)numbers[i].value);
	Oid mac = BELOW(&v2_root, 1, 3, 1, 2, interface, id), key = BELOW(&v2_root, 1, 3, 1, 10, interface, id);
	mib_view_add_octets(view, &mac, MIB_OCTETS, router->mac, sizeof(router->mac));
	mib_view_add_octets(view, &key, MIB_OCTETS, "", 0);
	put_address(view, BELOW(&v2_root, 1, 3, 1, 7, interface, id), MIB_IP_ADDRESS, &router->master);
	put_address(view, BELOW(&v2_root, 1, 3, 1, 8, interface, id), MIB_IP_ADDRESS, &router->own);
	put(view, BELOW(&v2_root, 1, 3, 1, 13, interface, id), MIB_TIME_TICKS, (guint32)router->up_ticks);
	for (guint i = 0; i < router->addresses->len; i++) {
		const guint8 *a = g_array_index(router->addresses, IpAddress, i).bytes;

		put(view, BELOW(&v2_root, 1, 4, 1, 2, interface, id, a[0], a[1], a[2], a[3]), MIB_INTEGER, ROW_ACTIVE);
	}
	put(view, BELOW(&v2_root, 2, 1, 0), MIB_COUNTER32, (guint32)counter(router, "drop-checksum"));
	put(view, BELOW(&v2_root, 2, 2, 0), MIB_COUNTER32, (guint32)counter(router, "drop-version"));
	put(view, BELOW(&v2_root, 2, 3, 0), MIB_COUNTER32, (guint32)counter(router, "drop-vrid"));
	for (guint i = 0; i < G_N_ELEMENTS(counters); i++)
		put(view, BELOW(&v2_root, 2, 4, 1, counters[i].column, interface, id), MIB_COUNTER32, (guint32)counter(router, counters[i].name));
}

static void add_v3(MibView *view, const Router *router)
{
	const guint32 interface = router->interface, id = router->id, family = router->own.family == AF_INET6 ? 2 : 1;
	const struct {
		guint32 column;
		MibType type;
		gint64 value;
	} numbers[] = {
		{ 6, MIB_INTEGER, router->state },
		{ 7, MIB_GAUGE32, router->priority },
		{ 8, MIB_INTEGER, router->addresses->len },
		{ 9, MIB_INTEGER, router->interval_ms / 10 },
		{ 10, MIB_INTEGER, TRUTH_FALSE },
		{ 11, MIB_INTEGER, TRUTH_TRUE }, /* a PBX is where its address is */
		{ 12, MIB_TIME_TICKS, (guint32)router->up_ticks },
		{ 13, MIB_INTEGER, ROW_ACTIVE },
	};
	const struct {
		guint32 column;
		const char *name;
	} counters[] = { { 3, "received" }, { 4, "drop-interval" }, { 5, "drop-ttl" }, { 7, "received-priority-zero" }, { 8, "sent-priority-zero" }, { 9, "drop-type" }, { 10, "address-mismatch" },
			 { 11, "drop-length" } };

	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
		put(view, BELOW(&v3_root, 1, 1, 1, 1, numbers[i].column, interface, id, family), numbers[i].type, (guint64)numbers[i].value);
	put_address(view, BELOW(&v3_root, 1, 1, 1, 1, 3, interface, id, family), MIB_OCTETS, &router->master);
	put_address(view, BELOW(&v3_root, 1, 1, 1, 1, 4, interface, id, family), MIB_OCTETS, &router->own);
	Oid mac = BELOW(&v3_root, 1, 1, 1, 1, 5, interface, id, family);
	mib_view_add_octets(view, &mac, MIB_OCTETS, router->mac, sizeof(router->mac));
	for (guint i = 0; i < router->addresses->len; i++) {
		const IpAddress *ip = &g_array_index(router->addresses, IpAddress, i);
		Oid oid = BELOW(&v3_root, 1, 1, 2, 1, 2, interface, id, family);

		oid_add(&oid, ip_length(ip));
		for (guint k = 0; k < ip_length(ip); k++)
			oid_add(&oid, ip->bytes[k]);
		put(view, oid, MIB_INTEGER, ROW_ACTIVE);
	}
	put(view, BELOW(&v3_root, 1, 2, 1, 0), MIB_COUNTER64, counter(router, "drop-checksum"));
	put(view, BELOW(&v3_root, 1, 2, 2, 0), MIB_COUNTER64, counter(router, "drop-version"));
	put(view, BELOW(&v3_root, 1, 2, 3, 0), MIB_COUNTER64, counter(router, "drop-vrid"));
	if (router->counted_ticks >= 0) {
		put(view, BELOW(&v3_root, 1, 2, 4, 0), MIB_TIME_TICKS, (guint32)router->counted_ticks);
		put(view, BELOW(&v3_root, 1, 2, 5, 1, 12, interface, id, family), MIB_TIME_TICKS, (guint32)router->counted_ticks);
	}
	put(view, BELOW(&v3_root, 1, 2, 5, 1, 1, interface, id, family), MIB_COUNTER32, (guint32)counter(router, "became-master"));
	if (router->master_reason >= 0)
		put(view, BELOW(&v3_root, 1, 2, 5, 1, 2, interface, id, family), MIB_INTEGER, (guint64)router->master_reason);
	put(view, BELOW(&v3_root, 1, 2, 5, 1, 6, interface, id, family), MIB_INTEGER, (guint64)router->protocol_error);
	put(view, BELOW(&v3_root, 1, 2, 5, 1, 13, interface, id, family), MIB_GAUGE32, MIB_REFRESH_MS);
	for (guint i = 0; i < G_N_ELEMENTS(counters); i++)
		put(view, BELOW(&v3_root, 1, 2, 5, 1, counters[i].column, interface, id, family), MIB_COUNTER64, counter(router, counters[i].name));
}

void mib_add_vrrp(MibView *view, const MibFacts *facts)
{
	Router router;

	if (read_router(facts, &router)) {
		if (dict_int(facts->vrrp, "Version", 3) == 2)
			add_v2(view, &router);
		else
			add_v3(view, &router);
	}
	clear_router(&router);
}

/* ---- Notifications ---- */

MibView *mib_vrrp_new_master(const MibFacts *facts, Oid *ret_name)
{
	g_autoptr(MibView) objects = mib_view_new();
	Router router;
	bool is_there = read_router(facts, &router), is_v2 = dict_int(facts->vrrp, "Version", 3) == 2;
	const guint32 interface = router.interface, id = router.id, family = router.own.family == AF_INET6 ? 2 : 1;

	if (is_there && is_v2) {
		*ret_name = BELOW(&v2_root, 0, 1);
		put_address(objects, BELOW(&v2_root, 1, 3, 1, 7, interface, id), MIB_IP_ADDRESS, &router.own);
	} else if (is_there) {
		*ret_name = BELOW(&v3_root, 0, 1);
		put_address(objects, BELOW(&v3_root, 1, 1, 1, 1, 3, interface, id, family), MIB_OCTETS, &router.own);
		put(objects, BELOW(&v3_root, 1, 2, 5, 1, 2, interface, id, family), MIB_INTEGER, (guint64)MAX(router.master_reason, 0));
	}
	clear_router(&router);
	mib_view_sort(objects);
	return is_there ? g_steal_pointer(&objects) : NULL;
}

MibView *mib_vrrp_protocol_error(const MibFacts *facts, Oid *ret_name)
{
	g_autoptr(MibView) objects = mib_view_new();
	Router router;
	bool is_there = read_router(facts, &router) && dict_int(facts->vrrp, "Version", 3) != 2;

	if (is_there) {
		*ret_name = BELOW(&v3_root, 0, 2);
		put(objects, BELOW(&v3_root, 1, 2, 5, 1, 6, router.interface, router.id, router.own.family == AF_INET6 ? 2 : 1), MIB_INTEGER,
		    (guint64)router.protocol_error);
	}
	clear_router(&router);
	mib_view_sort(objects);
	return is_there ? g_steal_pointer(&objects) : NULL;
}

void mib_vrrp_subtrees(Oid ret_subtrees[static 2])
{
	ret_subtrees[0] = v2_root;
	ret_subtrees[1] = v3_root;
}
