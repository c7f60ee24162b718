/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/service.c - Supervisor1 and Application1 on the system bus and on the private socket. */
#include <string.h>

#include "dbus/bus-caller.h"
#include "supervisor/doctor/doctor.h"
#include "supervisor/settings/secrets.h"
#include "supervisor/settings/settings-service.h"
#include "supervisor/supervisor.h"

#define ROOT "/org/understudy/Supervisor1"
#define BUS_NAME "org.understudy.Supervisor1"
#define INTERFACE "org.understudy.Supervisor1"
#define APPLICATION_INTERFACE "org.understudy.Application1"
#define SOCKET "/run/understudy/private/supervisor"
#define TIMELINE_ASK_MS 1000
#define TIMELINE_MOST 1000
#define MODE_ASK_MS 20000 /* its disk may be slow */
#define UNSAID_MOST 32
#define QUIET_MOST_S (7 * 24 * 3600)
#define REASON_MOST 200

struct Service {
	Supervisor *supervisor;
	BusTree *tree;
	BusObject *object;
	BusServer *server;
	BusLink *link;
	GQueue unsaid; /* of GVariant*: changes of role while there was no bus to say them on */
};

/* ---- Supervisor1: properties ---- */

#define SUPERVISOR ((Supervisor *)user_data)

static GVariant *get_role(gpointer user_data)
{
	return g_variant_new_string(role_name(supervisor_told(SUPERVISOR)->role));
}

static GVariant *get_role_reason(gpointer user_data)
{
	return g_variant_new_string(supervisor_told(SUPERVISOR)->reason);
}

static GVariant *get_role_sequence(gpointer user_data)
{
	return g_variant_new_uint64(supervisor_told(SUPERVISOR)->sequence);
}

static GVariant *get_role_since(gpointer user_data)
{
	return g_variant_new_int64(SUPERVISOR->role_since_ms);
}

static GVariant *get_term(gpointer user_data)
{
	return g_variant_new("(ts)", supervisor_told(SUPERVISOR)->known.number, supervisor_told(SUPERVISOR)->known.id);
}

static GVariant *get_mode(gpointer user_data)
{
	return g_variant_new_string(mode_name(SUPERVISOR->mode.mode));
}

static GVariant *get_mode_until(gpointer user_data)
{
	return g_variant_new_int64(SUPERVISOR->mode.until_ms);
}

static GVariant *get_mode_reason(gpointer user_data)
{
	return g_variant_new_string(SUPERVISOR->mode.reason);
}

static GVariant *get_device_id(gpointer user_data)
{
	return g_variant_new_string(SUPERVISOR->settings->id);
}

static GVariant *get_device_name(gpointer user_data)
{
	return g_variant_new_string(SUPERVISOR->settings->name);
}

static GVariant *get_version(gpointer user_data)
{
	return g_variant_new_string(UNDERSTUDY_VERSION);
}

static GVariant *get_enabled(gpointer user_data)
{
	return g_variant_new_boolean(SUPERVISOR->settings->has_pair && SUPERVISOR->settings->enabled);
}

static GVariant *get_group_id(gpointer user_data)
{
	return g_variant_new_byte((guint8)SUPERVISOR->settings->group_id);
}

static GVariant *get_service_addresses(gpointer user_data)
{
	const Settings *settings = SUPERVISOR->settings;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = settings->groups->pdata[i];
		for (guint k = 0; k < group->addresses->len; k++) {
			const SettingsAddress *address = group->addresses->pdata[k];
			g_autofree char *text = g_strdup_printf("%s %s", address->text, group->interface);
			g_variant_builder_add(&builder, "s", text);
		}
	}
	return g_variant_builder_end(&builder);
}

static GVariant *get_pair_revision(gpointer user_data)
{
	const Settings *settings = SUPERVISOR->settings;
	return g_variant_new("(tst)", settings->revision_term, settings->revision_device ? settings->revision_device : "",
			     settings->revision_n);
}

static GVariant *get_pair_hash(gpointer user_data)
{
	const char *hash = SUPERVISOR->settings->pair_hash;
	return g_variant_new_string(hash ? hash : "");
}

static GVariant *get_settings_error(gpointer user_data)
{
	return g_variant_new_string(SUPERVISOR->settings_error);
}

static GVariant *get_peer(gpointer user_data)
{
	const Peer *peer = SUPERVISOR->peer;
	GVariant *state = peer_state(peer);
	g_autoptr(GVariantDict) dictionary = g_variant_dict_new(state);
	if (*peer_id(peer) && !state)
		g_variant_dict_insert(dictionary, "id", "s", peer_id(peer));
	g_variant_dict_insert(dictionary, "connected", "b", peer_is_connected(peer));
	g_variant_dict_insert(dictionary, "age_ms", "x", peer_state_age_ms(peer));
	return g_variant_dict_end(dictionary);
}

static GVariant *get_problems(gpointer user_data)
{
	g_autoptr(GVariant) findings = examine_findings(SUPERVISOR->examine);
	return doctor_problems(findings);
}

/* ---- Supervisor1: methods ---- */

/* It will stand in events, on terminals, in the timeline. */
static bool check_reason(const char *reason, GError **error)
{
	bool good = strlen(reason) <= REASON_MOST;
	for (const char *at = reason; good && *at; at++)
		good = (guchar)*at >= ' ' && *at != 127;
	if (!good)
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "a reason is one line of at most %d bytes", REASON_MOST);
	return good;
}

static bool is_forced(GVariant *args)
{
	g_autoptr(GVariant) options = g_variant_get_child_value(args, 0);
	gboolean force = FALSE;
	(void)g_variant_lookup(options, "force", "b", &force);
	return force;
}

static void on_check_swap(BusCall *call, GVariant *args, gpointer user_data)
{
	GVariant *obstacles[] = { swap_check(SUPERVISOR) };
	bus_call_reply(call, g_variant_new_tuple(obstacles, 1));
}

static void order_swap(BusCall *call, GVariant *args, gpointer user_data)
{
	g_autoptr(GVariant) options = g_variant_get_child_value(args, 0);
	g_autoptr(GError) error = NULL;
	SwapOrder order = { .reason = "" };
	gboolean force = FALSE;
	(void)g_variant_lookup(options, "reason", "&s", &order.reason);
	(void)g_variant_lookup(options, "when_quiet_s", "u", &order.when_quiet_s);
	(void)g_variant_lookup(options, "force", "b", &force);
	order.force = force;
	order.when_quiet_s = MIN(order.when_quiet_s, QUIET_MOST_S);
	const char *path = check_reason(order.reason, &error) ? swap_begin(SUPERVISOR->swap, &order, &error) : NULL;
	if (path)
		undo_reset(SUPERVISOR->undo);
	if (path)
		bus_call_reply(call, g_variant_new("(o)", path));
	else
		bus_call_fail(call, error);
}

static void on_swap(BusCall *call, GVariant *args, gpointer user_data)
{
	held_orders_add(SUPERVISOR->held_orders, call, args, is_forced(args), order_swap);
}

static void on_mode_taken(GVariant *values, const GError *error, gpointer user_data)
{
	BusCall *call = user_data;
	if (error)
		bus_call_fail(call, error);
	else
		bus_call_reply(call, NULL);
}

static void on_carried_out(const GError *error, gpointer user_data)
{
	on_mode_taken(NULL, error, user_data);
}

static void on_set_mode(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	const char *text, *reason = "";
	Mode mode;
	guint minutes = 0;
	g_autoptr(GVariant) options = g_variant_get_child_value(args, 1);
	g_autoptr(GError) error = NULL;
	g_variant_get_child(args, 0, "&s", &text);
	(void)g_variant_lookup(options, "minutes", "u", &minutes);
	(void)g_variant_lookup(options, "reason", "&s", &reason);
	if (!check_reason(reason, &error)) {
		bus_call_fail(call, error);
		return;
	}
	if (!mode_parse(text, &mode)) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "a mode is \"active\" or \"passive\"");
		return;
	}
	ModeOrder order;
	switch (supervisor->role.role) {
	case ROLE_TAKING_OVER:
	case ROLE_MASTER:
	case ROLE_HANDING_OVER:
		if (!peer_is_connected(supervisor->peer)) {
			bus_call_fail_literal(call, BUS_ERROR_REFUSED, "peer-absent: the mode is the Backup's, and it is not connected");
			return;
		}
		GVariantBuilder builder;
		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "mode", g_variant_new_string(text));
		g_variant_builder_add(&builder, "{sv}", "minutes", g_variant_new_uint32(minutes));
		g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(reason));
		peer_request(supervisor->peer, "mode", g_variant_builder_end(&builder), MODE_ASK_MS, on_mode_taken, call);
		return;
	case ROLE_STANDALONE:
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		order = mode_order(mode, minutes, reason, g_get_real_time() / 1000);
		supervisor_order_mode(supervisor, &order, on_carried_out, call);
		return;
	}
	g_assert_not_reached();
}

static void on_take_over(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	const RoleFacts *facts = &supervisor->facts;
	g_autoptr(GVariant) options = g_variant_get_child_value(args, 0);
	gboolean force = FALSE;
	(void)g_variant_lookup(options, "force", "b", &force);
	bool peer_leads = facts->peer_fresh && (facts->peer_role == ROLE_MASTER || facts->peer_role == ROLE_TAKING_OVER ||
						facts->peer_role == ROLE_HANDING_OVER);
	if (!facts->redundant)
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "standalone: redundancy is off here");
	else if (facts->election == ELECTION_MASTER)
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "is-master: this device leads already");
	else if (facts->election == ELECTION_UNKNOWN)
		bus_call_fail_literal(call, BUS_ERROR_NOT_REACHABLE, "vrrpd does not answer");
	else if (!force && peer_leads)
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "master-alive: the Master is there; swap, or force");
	else if (!force && supervisor->joining)
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "first-sync: the first synchronisation is not done; or force");
	else {
		undo_reset(supervisor->undo);
		elect_take(supervisor->elect, force ? "forced" : "ordered", on_carried_out, call);
	}
}

typedef struct {
	Supervisor *supervisor;
	BusCall *call;
	guint count, got;
	GVariant *theirs; /* aa{sv} so far, or NULL */
} TimelineAsk;

static void ask_timeline(TimelineAsk *ask);

/* Page after page: the link's messages are bounded, and a thousand transitions are more than one. */
static void on_timeline_of_peer(GVariant *values, const GError *error, gpointer user_data)
{
	TimelineAsk *ask = user_data;
	g_autoptr(GVariant) page = values ? g_variant_lookup_value(values, "transitions", G_VARIANT_TYPE("aa{sv}")) : NULL;
	guint n = page ? (guint)g_variant_n_children(page) : 0;
	if (n) {
		g_autoptr(GVariant) before = ask->theirs;
		ask->theirs = g_variant_ref_sink(timeline_merge(page, before, G_MAXUINT));
		ask->got += n;
	}
	if (n && ask->got < ask->count) {
		ask_timeline(ask);
		return;
	}
	g_autoptr(GVariant) ours = g_variant_ref_sink(timeline_list(ask->supervisor->timeline, ask->count));
	GVariant *both[] = { timeline_merge(ours, ask->theirs, ask->count) };
	bus_call_reply(ask->call, g_variant_new_tuple(both, 1));
	g_clear_pointer(&ask->theirs, g_variant_unref);
	g_free(ask);
}

static void ask_timeline(TimelineAsk *ask)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "count", g_variant_new_uint32(ask->count - ask->got));
	g_variant_builder_add(&builder, "{sv}", "skip", g_variant_new_uint32(ask->got));
	peer_request(ask->supervisor->peer, "timeline", g_variant_builder_end(&builder), TIMELINE_ASK_MS, on_timeline_of_peer, ask);
}

static void on_timeline(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	TimelineAsk *ask = g_new0(TimelineAsk, 1);
	*ask = (TimelineAsk){ .supervisor = supervisor, .call = call };
	g_variant_get_child(args, 0, "u", &ask->count);
	ask->count = MIN(ask->count, TIMELINE_MOST);
	if (peer_is_connected(supervisor->peer) && ask->count)
		ask_timeline(ask);
	else
		on_timeline_of_peer(NULL, NULL, ask);
}

static void order_reboot(BusCall *call, GVariant *args, gpointer user_data)
{
	g_autoptr(GVariant) options = g_variant_get_child_value(args, 0);
	g_autoptr(GError) error = NULL;
	const char *reason = "";
	gboolean force = FALSE;
	(void)g_variant_lookup(options, "reason", "&s", &reason);
	(void)g_variant_lookup(options, "force", "b", &force);
	const char *path = check_reason(reason, &error) ? reboot_begin(SUPERVISOR->reboot, reason, force, &error) : NULL;
	if (path)
		bus_call_reply(call, g_variant_new("(o)", path));
	else
		bus_call_fail(call, error);
}

static void on_reboot(BusCall *call, GVariant *args, gpointer user_data)
{
	held_orders_add(SUPERVISOR->held_orders, call, args, false, order_reboot);
}

static GVariant *get_last_drill(gpointer user_data)
{
	return drill_report(SUPERVISOR->drill);
}

static void order_drill(BusCall *call, GVariant *args, gpointer user_data)
{
	g_autoptr(GVariant) options = g_variant_get_child_value(args, 0);
	g_autoptr(GError) error = NULL;
	const char *reason = "";
	(void)g_variant_lookup(options, "reason", "&s", &reason);
	const char *path = check_reason(reason, &error) ? drill_begin(SUPERVISOR->drill, reason, &error) : NULL;
	if (path)
		bus_call_reply(call, g_variant_new("(o)", path));
	else
		bus_call_fail(call, error);
}

static void on_drill(BusCall *call, GVariant *args, gpointer user_data)
{
	held_orders_add(SUPERVISOR->held_orders, call, args, false, order_drill);
}

static void on_doctor(BusCall *call, GVariant *args, gpointer user_data)
{
	GVariant *findings[] = { examine_both(SUPERVISOR->examine) };
	bus_call_reply(call, g_variant_new_tuple(findings, 1));
}

static void on_reset_health(BusCall *call, GVariant *args, gpointer user_data)
{
	undo_reset(SUPERVISOR->undo);
	bus_call_reply(call, NULL);
}

static const BusMember members[] = {
	{ "Role", .get = get_role },
	{ "RoleReason", .get = get_role_reason },
	{ "RoleSequence", .get = get_role_sequence },
	{ "RoleSinceMs", .get = get_role_since },
	{ "Term", .get = get_term },
	{ "Mode", .get = get_mode },
	{ "ModeUntilMs", .get = get_mode_until },
	{ "ModeReason", .get = get_mode_reason },
	{ "DeviceId", .get = get_device_id },
	{ "DeviceName", .get = get_device_name },
	{ "Version", .get = get_version },
	{ "Enabled", .get = get_enabled },
	{ "GroupId", .get = get_group_id },
	{ "ServiceAddresses", .get = get_service_addresses },
	{ "PairRevision", .get = get_pair_revision },
	{ "PairHash", .get = get_pair_hash },
	{ "SettingsError", .get = get_settings_error },
	{ "Peer", .get = get_peer },
	{ "Problems", .get = get_problems },
	{ "LastDrill", .get = get_last_drill },
	{ "Drill", .method = on_drill },
	{ "CheckSwap", .method = on_check_swap },
	{ "Swap", .method = on_swap },
	{ "SetMode", .method = on_set_mode },
	{ "TakeOver", .method = on_take_over },
	{ "Reboot", .method = on_reboot },
	{ "Doctor", .method = on_doctor },
	{ "Timeline", .method = on_timeline },
	{ "ResetHealth", .method = on_reset_health },
	{ "Reload", .method = settings_service_reload },
	{ "Settings", .method = settings_service_get },
	{ "SetSettings", .method = settings_service_set },
	{ "SetSecret", .method = secrets_service_set },
	{ "SettingsHistory", .method = settings_service_history },
	{ "SettingsVersion", .method = settings_service_version },
	{ 0 },
};
static const BusInterface interfaces[] = { { INTERFACE, members }, { 0 } };

/* ---- Application1 ---- */

#define APPLICATION ((Application *)user_data)

static GVariant *get_app_name(gpointer user_data)
{
	return g_variant_new_string(application_name(APPLICATION));
}

static GVariant *get_app_description(gpointer user_data)
{
	const char *text = application_settings(APPLICATION)->description;
	return g_variant_new_string(text ? text : "");
}

static GVariant *get_app_state(gpointer user_data)
{
	return g_variant_new_string(app_state_name(application_state(APPLICATION)->state));
}

static GVariant *get_app_pid(gpointer user_data)
{
	return g_variant_new_uint32((guint32)application_pid(APPLICATION));
}

static GVariant *get_app_since(gpointer user_data)
{
	return g_variant_new_int64(application_since_ms(APPLICATION));
}

static GVariant *get_app_restarts(gpointer user_data)
{
	return g_variant_new_uint32(application_state(APPLICATION)->restarts.n_total);
}

static GVariant *get_app_last_exit(gpointer user_data)
{
	return g_variant_new_string(application_last_exit(APPLICATION));
}

static GVariant *get_app_needs(gpointer user_data)
{
	char **needs = application_settings(APPLICATION)->needs;
	return needs ? g_variant_new_strv((const char *const *)needs, -1) : g_variant_new_strv(NULL, 0);
}

static GVariant *get_app_status_text(gpointer user_data)
{
	return g_variant_new_string(application_status_text(APPLICATION));
}

static GVariant *get_app_last_output(gpointer user_data)
{
	return g_variant_new_string(application_last_output(APPLICATION));
}

static void on_app_restart(BusCall *call, GVariant *args, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	const char *reason;
	g_variant_get_child(args, 0, "&s", &reason);
	if (!check_reason(reason, &error)) {
		bus_call_fail(call, error);
		return;
	}
	g_autofree char *caller = g_strdup(bus_call_caller(call));
	if (application_restart(APPLICATION)) {
		g_message("application %s is restarted by order of %s%s%s", application_name(APPLICATION), caller, *reason ? ": " : "", reason);
		bus_call_reply(call, NULL);
	} else {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "not-wanted: applications do not run in this role");
	}
}

static const BusMember app_members[] = {
	{ "Name", .get = get_app_name },
	{ "Description", .get = get_app_description },
	{ "State", .get = get_app_state },
	{ "Pid", .get = get_app_pid },
	{ "SinceMs", .get = get_app_since },
	{ "Restarts", .get = get_app_restarts },
	{ "LastExit", .get = get_app_last_exit },
	{ "Needs", .get = get_app_needs },
	{ "StatusText", .get = get_app_status_text },
	{ "LastOutput", .get = get_app_last_output },
	{ "Restart", .method = on_app_restart },
	{ 0 },
};
static const BusInterface app_interfaces[] = { { APPLICATION_INTERFACE, app_members }, { 0 } };

/* Letters and digits stay, everything else becomes _xx, as systemd does with unit names. */
static char *application_path(const char *name)
{
	GString *path = g_string_new(ROOT "/application/");
	for (const char *at = name; *at; at++) {
		if (g_ascii_isalpha(*at) || (at != name && g_ascii_isdigit(*at)))
			g_string_append_c(path, *at);
		else
			g_string_append_printf(path, "_%02x", (guchar)*at);
	}
	return g_string_free(path, FALSE);
}

void service_application_added(Service *service, Application *application)
{
	g_autofree char *path = application_path(application_name(application));
	g_autoptr(GError) error = NULL;
	BusObject *object = bus_object_publish(service->tree, path, app_interfaces, application, &error);
	if (!object)
		g_warning("%s: %s", path, error->message);
	application_set_data(application, object);
}

void service_application_changed(Application *application)
{
	static const char *const properties[] = { "Description", "State", "Pid", "SinceMs", "Restarts", "LastExit", "Needs", "StatusText",
						  "LastOutput" };
	BusObject *object = application_data(application);
	for (gsize i = 0; object && i < G_N_ELEMENTS(properties); i++)
		bus_object_changed(object, APPLICATION_INTERFACE, properties[i]);
}

void service_application_gone(Application *application)
{
	bus_object_withdraw(application_data(application));
	application_set_data(application, NULL);
}

/* ---- The tree ---- */

BusLink *service_link(Service *service)
{
	return service->link;
}

BusTree *service_tree(Service *service)
{
	return service->tree;
}

void service_changed(Service *service, const char *property)
{
	if (service && service->object)
		bus_object_changed(service->object, INTERFACE, property);
}

void service_role_changed(Service *service, Role old, GVariant *evidence)
{
	const Supervisor *supervisor = service->supervisor;
	const RoleMachine *role = &supervisor->role;
	static const char *const properties[] = { "Role", "RoleReason", "RoleSequence", "RoleSinceMs", "Term" };
	for (gsize i = 0; i < G_N_ELEMENTS(properties); i++)
		service_changed(service, properties[i]);
	GVariant *change = g_variant_new("(ssststx@a{sv})", role_name(old), role_name(role->role), role->reason, role->known.number,
					 role->known.id, role->sequence, supervisor->role_since_ms, evidence);
	if (bus_link_is_up(service->link)) {
		bus_object_emit(service->object, INTERFACE, "RoleChanged", change);
		return;
	}
	g_queue_push_tail(&service->unsaid, g_variant_ref_sink(change));
	if (g_queue_get_length(&service->unsaid) > UNSAID_MOST)
		g_variant_unref(g_queue_pop_head(&service->unsaid));
}

/* The bus is there (again): what happened meanwhile is said late rather than never; each has its time and number. */
static void on_bus_up(BusLink *link, gpointer user_data)
{
	Service *service = user_data;
	GVariant *change;
	while ((change = g_queue_pop_head(&service->unsaid))) {
		bus_object_emit(service->object, INTERFACE, "RoleChanged", change);
		g_variant_unref(change);
	}
}

static void add_application(Application *application, gpointer user_data)
{
	service_application_added(user_data, application);
}

Service *service_new(Supervisor *supervisor, GError **error)
{
	static const BusErrorMapping bad_settings[] = { { SETTINGS_ERROR_BAD, BUS_ERROR_INVALID_ARGS },
							{ SETTINGS_ERROR_MISSING, BUS_ERROR_INVALID_ARGS } };
	Service *service = g_new0(Service, 1);
	guint32 viewer;
	gsize n_viewers = bus_caller_find_viewer(&viewer) ? 1 : 0;
	bus_error_register(SETTINGS_ERROR, bad_settings, G_N_ELEMENTS(bad_settings));
	service->supervisor = supervisor;
	service->tree = bus_tree_new(ROOT);
	service->object = bus_object_publish(service->tree, ROOT, interfaces, supervisor, error);
	if (service->object)
		service->server = bus_server_new(SOCKET, service->tree, &viewer, n_viewers, error); /* no daemon orders anything of us */
	if (!service->server) {
		service_free(service);
		return NULL;
	}
	applications_each(supervisor->applications, add_application, service);
	service->link = bus_link_new_bus(NULL);
	bus_link_on_change(service->link, on_bus_up, NULL, service);
	bus_link_publish(service->link, service->tree, BUS_NAME);
	return service;
}

void service_free(Service *service)
{
	if (!service)
		return;
	g_queue_clear_full(&service->unsaid, (GDestroyNotify)g_variant_unref);
	bus_link_free(service->link);
	bus_server_free(service->server);
	bus_tree_free(service->tree);
	g_free(service);
}
