/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/service.c - handlers parse, call the election and map the result; the tables at the end are the API at a glance. */
#include "service.h"

#include <string.h>

#include "dbus/bus-caller.h"
#include "dbus/bus-link.h"
#include "dbus/bus-object.h"
#include "dbus/bus-server.h"
#include "vrrpd/loop/hot.h"
#include "vrrpd/loop/lease.h"
#include "vrrpd/loop/warm.h"

#define ELECTION "org.understudy.Election1"
#define VRRP "org.understudy.Vrrp1"
#define ADDRESS "org.understudy.Address1"
#define MAX_REASON 128

typedef struct {
	gsize number;
	char *group, *text, *interface; /* copies: it is shown until it is withdrawn, and the election may have others by then */
	bool held;
	BusObject *object;
} Shown;

struct VrrpService {
	VrrpElection *election;
	BusTree *tree;
	BusObject *root;
	GPtrArray *shown; /* of Shown* */
	BusLink *system_bus;
	BusServer *server;
	VrrpWarm *warm;
	VrrpLease *lease; /* NULL: there is no supervisor */
	GQueue answers;   /* of BusCall*, oldest first: orders that are carried out, and answered when the kernel has followed */
	GQueue orders;    /* of Order*, oldest first: what waits for settings to be read; the first is a Reload */
};

typedef struct {
	BusCall *call;
	GVariant *lift;   /* its arguments; NULL: a Reload */
} Order;

static const BusInterface root_interfaces[];
static const BusInterface address_interfaces[];

/* ---- Election1: methods ---- */

/* It goes into the log and onto terminals as it is. */
static bool is_reason(BusCall *call, const char *reason)
{
	gsize length = strlen(reason);
	bool good = length > 0 && length <= MAX_REASON;

	for (const char *at = reason; good && *at; at = g_utf8_next_char(at))
		good = g_unichar_isprint(g_utf8_get_char(at));
	if (!good)
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "a reason has 1 to %d bytes and no control characters", MAX_REASON);
	return good;
}

static void hold_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;
	const char *name, *reason;
	guint32 lease_ms;
	VrrpHold hold;

	g_variant_get(args, "(&s&su)", &name, &reason, &lease_ms);
	if (!is_reason(call, reason))
		return;
	if (!vrrp_hold_from_name(name, &hold) || hold == VRRP_HOLD_NO_SUPERVISOR) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "a hold is passive, administrator, first-sync, cold-boot or settings");
		return;
	}
	vrrp_election_hold(self->election, hold, reason, lease_ms);
	bus_call_reply(call, NULL);
}

static void lift(VrrpService *self, BusCall *call, GVariant *args)
{
	const char *name;
	VrrpHold hold;

	g_variant_get(args, "(&s)", &name);
	if (!vrrp_hold_from_name(name, &hold) || hold == VRRP_HOLD_NO_SUPERVISOR) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "a hold is passive, administrator, first-sync, cold-boot or settings");
		return;
	}
	vrrp_election_lift(self->election, hold);
	bus_call_reply(call, NULL);
}

static void wait_for_settings(VrrpService *self, BusCall *call, GVariant *args)
{
	Order *order = g_new0(Order, 1);

	order->call = call;
	order->lift = args ? g_variant_ref(args) : NULL;
	g_queue_push_tail(&self->orders, order);
}

static void order_free(gpointer data)
{
	Order *order = data;

	g_clear_pointer(&order->lift, g_variant_unref);
	g_free(order);
}

/* Who lifts a hold behind a Reload means the election that the Reload brings: in the former one it might take over. */
static void lift_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;

	if (g_queue_is_empty(&self->orders))
		lift(self, call, args);
	else
		wait_for_settings(self, call, args);
}

static void answer_settled(VrrpService *self)
{
	BusCall *call;

	while (!g_queue_is_empty(&self->answers) && vrrp_election_is_settled(self->election)) {
		call = g_queue_pop_head(&self->answers);
		bus_call_reply(call, NULL);
	}
}

/* Who has an answer finds addresses and routes as ordered. */
static void answer_when_settled(VrrpService *self, BusCall *call)
{
	g_queue_push_tail(&self->answers, call);
	answer_settled(self);
}

static bool reason_from(BusCall *call, GVariant *args, const char **ret_reason)
{
	g_variant_get(args, "(&s)", ret_reason);
	return is_reason(call, *ret_reason);
}

static void resign_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;
	const char *reason;

	if (!reason_from(call, args, &reason))
		return;
	vrrp_election_resign(self->election, reason);
	answer_when_settled(self, call);
}

static void take_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;
	g_autoptr(GError) error = NULL;
	const char *reason;

	if (!reason_from(call, args, &reason))
		return;
	if (vrrp_election_take(self->election, reason, &error))
		answer_when_settled(self, call);
	else
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "%s", error->message);
}

static void set_serving_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;
	gboolean serving;

	g_variant_get(args, "(b)", &serving);
	vrrp_election_set_serving(self->election, serving);
	answer_when_settled(self, call);
}

static void set_peer_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;
	g_autoptr(GVariant) dict = g_variant_get_child_value(args, 0);
	g_autoptr(GError) error = NULL;

	if (vrrp_election_set_peer(self->election, dict, &error))
		answer_when_settled(self, call);
	else
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s", error->message);
}

static void announce_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;

	vrrp_election_announce(self->election);
	bus_call_reply(call, NULL);
}

static void lapsed_cb(gpointer user_data)
{
	VrrpService *self = user_data;

	g_clear_pointer(&self->lease, vrrp_lease_free);
	vrrp_election_supervise(self->election, false);
}

static void lease_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;
	g_autoptr(GError) error = NULL;
	VrrpLease *lease;
	gint32 handle;
	int fd;

	g_variant_get(args, "(h)", &handle);
	fd = bus_call_take_fd(call, handle, &error);
	lease = fd >= 0 ? vrrp_lease_new(fd, VRRP_LEASE_MOST_US, lapsed_cb, self, &error) : NULL;
	if (!lease) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s", error->message);
		return;
	}
	vrrp_lease_free(self->lease);
	self->lease = lease;
	vrrp_election_supervise(self->election, true);
	bus_call_reply(call, NULL);
}

static void reload(VrrpService *self, BusCall *call)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_load(SETTINGS_DIR, &error);

	if (!settings) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s", error->message);
		return;
	}
	vrrp_election_reload(self->election, settings);
	answer_when_settled(self, call);
}

static void read_cb(gpointer user_data)
{
	VrrpService *self = user_data;
	Order *order = g_queue_pop_head(&self->orders);

	reload(self, order->call);
	order_free(order);
	while ((order = g_queue_peek_head(&self->orders)) && order->lift) {
		g_queue_pop_head(&self->orders);
		lift(self, order->call, order->lift);
		order_free(order);
	}
}

/* Adverts do not wait for a disk. */
static void reload_cb(BusCall *call, GVariant *args, gpointer user_data)
{
	VrrpService *self = user_data;

	wait_for_settings(self, call, NULL);
	vrrp_warm_read(self->warm, read_cb, self);
}

/* ---- Election1: properties ---- */

static VrrpElectionStatus status(gpointer user_data)
{
	return vrrp_election_status(((VrrpService *)user_data)->election);
}

static GVariant *get_state(gpointer user_data)
{
	return g_variant_new_string(vrrp_state_name(status(user_data).state));
}

static GVariant *get_reason(gpointer user_data)
{
	return g_variant_new_string(status(user_data).reason);
}

static GVariant *get_sequence(gpointer user_data)
{
	return g_variant_new_uint64(status(user_data).sequence);
}

static GVariant *get_since(gpointer user_data)
{
	return g_variant_new_int64(status(user_data).since_us);
}

static GVariant *get_holds(gpointer user_data)
{
	const VrrpHolds *holds = status(user_data).holds;
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ssx)"));
	for (guint i = 0; i < VRRP_N_HOLDS; i++)
		if (holds->hold[i].set)
			g_variant_builder_add(&builder, "(ssx)", vrrp_hold_name((VrrpHold)i), holds->hold[i].reason,
					      holds->hold[i].since_us);
	return g_variant_builder_end(&builder);
}

static GVariant *get_standing(gpointer user_data)
{
	return g_variant_new_string(vrrp_standing_name(status(user_data).standing));
}

static GVariant *get_priority(gpointer user_data)
{
	return g_variant_new_byte(status(user_data).machine->priority);
}

static GVariant *get_priority_reason(gpointer user_data)
{
	return g_variant_new_take_string(vrrp_election_priority_reason(((VrrpService *)user_data)->election));
}

static GVariant *get_carrier(gpointer user_data)
{
	return g_variant_new_boolean(status(user_data).carrier);
}

static GVariant *get_witness(gpointer user_data)
{
	static const char *const names[] = {
		[VRRP_WITNESS_NONE] = "none",
		[VRRP_WITNESS_UNKNOWN] = "unknown",
		[VRRP_WITNESS_REACHED] = "reached",
		[VRRP_WITNESS_LOST] = "lost",
	};

	return g_variant_new_string(names[vrrp_election_witness(((VrrpService *)user_data)->election)]);
}

static GVariant *get_link_alive(gpointer user_data)
{
	return g_variant_new_boolean(status(user_data).link_alive);
}

static GVariant *get_last_heard(gpointer user_data)
{
	return vrrp_election_last_heard(((VrrpService *)user_data)->election);
}

static GVariant *get_paths(gpointer user_data)
{
	return vrrp_election_paths(((VrrpService *)user_data)->election);
}

static GVariant *get_last_stranger(gpointer user_data)
{
	return vrrp_election_last_stranger(((VrrpService *)user_data)->election);
}

static GVariant *get_problems(gpointer user_data)
{
	return vrrp_election_problems(((VrrpService *)user_data)->election);
}

/* ---- Vrrp1 ---- */

static GVariant *get_group_id(gpointer user_data)
{
	return g_variant_new_byte((guint8)status(user_data).settings->group_id);
}

static GVariant *get_version(gpointer user_data)
{
	return g_variant_new_byte((guint8)status(user_data).settings->vrrp_version);
}

static GVariant *get_interface(gpointer user_data)
{
	return g_variant_new_string(status(user_data).interface);
}

static GVariant *get_virtual_mac(gpointer user_data)
{
	return g_variant_new_string(status(user_data).virtual_mac);
}

static GVariant *get_interval(gpointer user_data)
{
	return g_variant_new_uint32(status(user_data).settings->advert_interval_ms);
}

static GVariant *get_master_address(gpointer user_data)
{
	char text[IP_TEXT_SIZE];

	return g_variant_new_string(ip_text(&status(user_data).machine->master_address, text));
}

static GVariant *get_master_priority(gpointer user_data)
{
	return g_variant_new_byte(status(user_data).machine->master_priority);
}

static GVariant *get_master_interval(gpointer user_data)
{
	return g_variant_new_uint32(status(user_data).machine->master_interval_cs * 10);
}

static GVariant *get_skew(gpointer user_data)
{
	return g_variant_new_int64(vrrp_machine_skew_us(status(user_data).machine));
}

static GVariant *get_down(gpointer user_data)
{
	return g_variant_new_int64(vrrp_machine_down_us(status(user_data).machine));
}

static GVariant *get_step(gpointer user_data)
{
	return g_variant_new_uint32(status(user_data).step);
}

static GVariant *get_counters(gpointer user_data)
{
	return vrrp_election_counters(((VrrpService *)user_data)->election);
}

static GVariant *get_counters_since(gpointer user_data)
{
	return g_variant_new_int64(vrrp_election_counted_since_us(((VrrpService *)user_data)->election));
}

static GVariant *get_link_locals(gpointer user_data)
{
	return vrrp_election_link_locals(((VrrpService *)user_data)->election);
}

/* ---- Address1 ---- */

static GVariant *get_address_group(gpointer user_data)
{
	return g_variant_new_string(((const Shown *)user_data)->group);
}

static GVariant *get_address_text(gpointer user_data)
{
	return g_variant_new_string(((const Shown *)user_data)->text);
}

static GVariant *get_address_interface(gpointer user_data)
{
	return g_variant_new_string(((const Shown *)user_data)->interface);
}

static GVariant *get_address_held(gpointer user_data)
{
	return g_variant_new_boolean(((const Shown *)user_data)->held);
}

/* ---- What the election reports ---- */

/* EmitsChangedSignal "false" in the XML: they change with every packet. */
static bool is_asked_for(const BusMember *member)
{
	return member->get == get_counters || member->get == get_counters_since || member->get == get_last_heard || member->get == get_paths || member->get == get_last_stranger;
}

static void changed_cb(gpointer user_data)
{
	VrrpService *self = user_data;

	vrrp_hot_leave();
	if (!self->root)
		return;
	for (const BusInterface *interface = root_interfaces; interface->interface; interface++)
		for (const BusMember *member = interface->members; member->member; member++)
			if (member->get && !is_asked_for(member))
				bus_object_changed(self->root, interface->interface, member->member);
	for (guint i = 0; i < self->shown->len; i++) {
		Shown *shown = self->shown->pdata[i];
		const VrrpAddresses *addresses = vrrp_election_addresses(self->election);

		if (addresses && shown->number < vrrp_addresses_count(addresses))
			shown->held = vrrp_addresses_at(addresses, shown->number)->held;
		bus_object_changed(shown->object, ADDRESS, "Held");
	}
}

static void addresses_replaced_cb(gpointer user_data)
{
	VrrpService *self = user_data;
	const VrrpAddresses *addresses = self->election ? vrrp_election_addresses(self->election) : NULL;

	g_ptr_array_set_size(self->shown, 0);
	if (!self->root || !addresses)
		return;
	for (gsize i = 0; i < vrrp_addresses_count(addresses); i++) {
		g_autofree char *path = g_strdup_printf(VRRP_BUS_ROOT "/address/%" G_GSIZE_FORMAT, i);
		Shown *shown = g_new0(Shown, 1);
		g_autoptr(GError) error = NULL;

		shown->number = i;
		shown->group = g_strdup(vrrp_addresses_at(addresses, i)->group);
		shown->text = g_strdup(vrrp_addresses_at(addresses, i)->text);
		shown->interface = g_strdup(vrrp_addresses_at(addresses, i)->interface);
		shown->held = vrrp_addresses_at(addresses, i)->held;
		shown->object = bus_object_publish(self->tree, path, address_interfaces, shown, &error);
		if (!shown->object)
			g_error("%s", error->message); /* our table does not match our contract */
		g_ptr_array_add(self->shown, shown);
	}
}

static void state_changed_cb(const VrrpTransition *transition, gpointer user_data)
{
	VrrpService *self = user_data;

	vrrp_hot_leave();
	if (!self->root)
		return;
	bus_object_emit(self->root, ELECTION, "StateChanged",
			g_variant_new("(ssstx@a{sv})", vrrp_state_name(transition->old), vrrp_state_name(transition->new),
				      transition->reason, transition->sequence, transition->time_us, transition->evidence));
}

static void stranger_cb(const char *address, const char *cause, guint64 count, gpointer user_data)
{
	VrrpService *self = user_data;

	vrrp_hot_leave();
	if (self->root)
		bus_object_emit(self->root, ELECTION, "Stranger", g_variant_new("(sst)", address, cause, count));
}

static void settled_cb(gpointer user_data)
{
	answer_settled(user_data);
}

const VrrpElectionListener vrrp_service_listener = {
	.settled = settled_cb,
	.changed = changed_cb,
	.addresses_replaced = addresses_replaced_cb,
	.state_changed = state_changed_cb,
	.stranger = stranger_cb,
};

/* ---- Life ---- */

static void shown_free(gpointer data)
{
	Shown *shown = data;

	bus_object_withdraw(shown->object);
	g_free(shown->group);
	g_free(shown->text);
	g_free(shown->interface);
	g_free(shown);
}

VrrpService *vrrp_service_new(GError **error)
{
	VrrpService *self = g_new0(VrrpService, 1);

	self->shown = g_ptr_array_new_with_free_func(shown_free);
	g_queue_init(&self->orders);
	g_queue_init(&self->answers);
	self->warm = vrrp_warm_new(SETTINGS_DIR, error);
	if (!self->warm)
		g_clear_pointer(&self, vrrp_service_free);
	return self;
}

bool vrrp_service_start(VrrpService *self, VrrpElection *election, GError **error)
{
	self->election = election;
	self->tree = bus_tree_new(VRRP_BUS_ROOT);
	self->root = bus_object_publish(self->tree, VRRP_BUS_ROOT, root_interfaces, self, error);
	if (!self->root)
		return false;
	addresses_replaced_cb(self);
	guint32 viewer;
	gsize n_viewers = bus_caller_find_viewer(&viewer) ? 1 : 0;
	self->server = bus_server_new(VRRP_PRIVATE_SOCKET, self->tree, &viewer, n_viewers, error);
	if (!self->server)
		return false;
	self->system_bus = bus_link_new_bus(NULL);
	bus_link_publish(self->system_bus, self->tree, VRRP_BUS_NAME);
	return true;
}

void vrrp_service_free(VrrpService *self)
{
	if (!self)
		return;
	vrrp_warm_free(self->warm);
	vrrp_lease_free(self->lease);
	g_queue_clear_full(&self->orders, order_free); /* answered with the object that is withdrawn */
	g_queue_clear(&self->answers);
	g_ptr_array_unref(self->shown);
	bus_object_withdraw(self->root);
	bus_link_free(self->system_bus);
	bus_server_free(self->server);
	bus_tree_free(self->tree);
	g_free(self);
}

/* ---- The tables ---- */

static const BusMember election_members[] = {
	{ "Hold", .method = hold_cb },
	{ "Lift", .method = lift_cb },
	{ "Resign", .method = resign_cb },
	{ "Take", .method = take_cb },
	{ "SetServing", .method = set_serving_cb },
	{ "SetPeer", .method = set_peer_cb },
	{ "Announce", .method = announce_cb },
	{ "Lease", .method = lease_cb },
	{ "Reload", .method = reload_cb },
	{ "State", .get = get_state },
	{ "Reason", .get = get_reason },
	{ "Sequence", .get = get_sequence },
	{ "SinceUs", .get = get_since },
	{ "Holds", .get = get_holds },
	{ "Standing", .get = get_standing },
	{ "Priority", .get = get_priority },
	{ "PriorityReason", .get = get_priority_reason },
	{ "Carrier", .get = get_carrier },
	{ "LinkAlive", .get = get_link_alive },
	{ "Witness", .get = get_witness },
	{ "LastHeard", .get = get_last_heard },
	{ "Paths", .get = get_paths },
	{ "LastStranger", .get = get_last_stranger },
	{ "LinkLocals", .get = get_link_locals },
	{ "Problems", .get = get_problems },
	{ 0 }
};

static const BusMember vrrp_members[] = {
	{ "GroupId", .get = get_group_id },
	{ "Version", .get = get_version },
	{ "Interface", .get = get_interface },
	{ "VirtualMac", .get = get_virtual_mac },
	{ "AdvertIntervalMs", .get = get_interval },
	{ "MasterAddress", .get = get_master_address },
	{ "MasterPriority", .get = get_master_priority },
	{ "MasterAdvertIntervalMs", .get = get_master_interval },
	{ "SkewTimeUs", .get = get_skew },
	{ "MasterDownIntervalUs", .get = get_down },
	{ "Step", .get = get_step },
	{ "Counters", .get = get_counters },
	{ "CountersSinceUs", .get = get_counters_since },
	{ 0 }
};

static const BusMember address_members[] = {
	{ "Group", .get = get_address_group },
	{ "Address", .get = get_address_text },
	{ "Interface", .get = get_address_interface },
	{ "Held", .get = get_address_held },
	{ 0 }
};

static const BusInterface root_interfaces[] = {
	{ ELECTION, election_members },
	{ VRRP, vrrp_members },
	{ 0 }
};

static const BusInterface address_interfaces[] = {
	{ ADDRESS, address_members },
	{ 0 }
};
