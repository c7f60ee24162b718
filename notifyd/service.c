/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/service.c - handlers of Notify1: parse, ask the store, answer. */
#include "service.h"

#include <unistd.h>

#include "limit.h"

struct NotifyService {
	BusObject *object;
	NotifyStore *store;
	NotifyLimit *limit;
	char *device;
};

/* Events under these names are believed to be about the pair itself; only our own daemons (root, or this daemon's user) raise them. */
static const char *const RESERVED[] = { "REDUNDANCY", "NOTIFY", NULL };

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

static void counts_changed(NotifyService *service)
{
	bus_object_changed(service->object, NOTIFY_INTERFACE, "Unread");
	bus_object_changed(service->object, NOTIFY_INTERFACE, "Count");
}

static void announce(const NotifyEvent *event, gpointer user_data)
{
	NotifyService *service = user_data;

	counts_changed(service);
	bus_object_emit(service->object, NOTIFY_INTERFACE, "Raised",
			g_variant_new("(@a{sv})", notify_event_to_variant(event)));
}

/* Answers the call when it may not. Our own daemons are trusted with the names and with the number. */
static bool may_raise(NotifyService *service, BusCall *call, const char *application)
{
	guint32 uid = bus_call_uid(call);

	if (uid == 0 || uid == getuid())
		return true;
	if (g_strv_contains(RESERVED, application)) {
		bus_call_fail_literal(call, BUS_ERROR_ACCESS_DENIED,
				      "application %s: only Understudy itself raises its events", application);
		return false;
	}
	if (!notify_limit_take(service->limit, uid, g_get_monotonic_time())) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY,
				      "too many events; one user may raise %d at once, then one in %d ms",
				      NOTIFY_LIMIT_BURST, NOTIFY_LIMIT_EVERY_MS);
		return false;
	}
	return true;
}

static void raise_event(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(NotifyEvent) event = NULL;
	g_autoptr(GVariant) options = NULL;
	g_autoptr(GError) error = NULL;
	const char *application, *name, *description, *reference;
	guint8 priority;
	guint64 id;
	bool added;

	g_variant_get(args, "(&s&sy&s&s@a{sv})", &application, &name, &priority, &description, &reference, &options);
	if (!may_raise(service, call, application))
		return;
	event = notify_event_new(application, name, priority, description, reference, service->device, now_ms());
	if (!notify_event_apply_options(event, options, &error) || !notify_event_check(event, &error) ||
	    !notify_store_add(service->store, event, &id, &added, &error)) {
		bus_call_fail(call, error);
		return;
	}
	if (added) {
		event->id = id;
		announce(event, service);
	}
	bus_call_reply(call, g_variant_new("(t)", id));
}

static void list_events(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) wanted = g_variant_get_child_value(args, 0);
	g_auto(NotifyFilter) filter = { 0 };
	g_autoptr(GPtrArray) events = NULL;
	g_autoptr(GError) error = NULL;
	GVariantBuilder builder;

	if (!notify_filter_parse(wanted, &filter, &error) ||
	    !(events = notify_store_list(service->store, &filter, &error))) {
		bus_call_fail(call, error);
		return;
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < events->len; i++)
		g_variant_builder_add_value(&builder, notify_event_to_variant(events->pdata[i]));
	bus_call_reply(call, g_variant_new("(aa{sv})", &builder));
}

static void mark_read(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) wanted = g_variant_get_child_value(args, 0);
	g_autoptr(GArray) changed = NULL;
	g_autoptr(GError) error = NULL;
	gsize n_ids = 0;
	const guint64 *ids = g_variant_get_fixed_array(wanted, &n_ids, sizeof(guint64));

	if (n_ids > NOTIFY_MAX_IDS) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "ids: %zu; at most %d at once, or none for all",
				      n_ids, NOTIFY_MAX_IDS);
		return;
	}
	if (!notify_store_mark_read(service->store, ids, n_ids, &changed, &error)) {
		bus_call_fail(call, error);
		return;
	}
	if (changed->len > 0) {
		GVariant *array =
			g_variant_new_fixed_array(G_VARIANT_TYPE_UINT64, changed->data, changed->len, sizeof(guint64));

		counts_changed(service);
		bus_object_emit(service->object, NOTIFY_INTERFACE, "Marked", g_variant_new("(@at)", array));
	}
	bus_call_reply(call, g_variant_new("(u)", changed->len));
}

static GVariant *get_unread(gpointer user_data)
{
	NotifyService *service = user_data;

	return g_variant_new_uint32(notify_store_unread(service->store));
}

static GVariant *get_count(gpointer user_data)
{
	NotifyService *service = user_data;

	return g_variant_new_uint32(notify_store_count(service->store));
}

static GVariant *get_capacity(gpointer user_data)
{
	NotifyService *service = user_data;

	return g_variant_new_uint32(notify_store_capacity(service->store));
}

static const BusMember MEMBERS[] = {
	{ "Unread", .get = get_unread },
	{ "Count", .get = get_count },
	{ "Capacity", .get = get_capacity },
	{ "Raise", .method = raise_event },
	{ "List", .method = list_events },
	{ "MarkRead", .method = mark_read },
	{ 0 },
};

static const BusInterface INTERFACES[] = {
	{ NOTIFY_INTERFACE, MEMBERS },
	{ 0 },
};

static const BusErrorMapping ERRORS[] = {
	{ NOTIFY_ERROR_INVALID, BUS_ERROR_INVALID_ARGS },
	{ NOTIFY_ERROR_NO_SPACE, BUS_ERROR_FAILED },
	{ NOTIFY_ERROR_STORE, BUS_ERROR_FAILED },
};

NotifyService *notify_service_new(BusTree *tree, NotifyStore *store, const char *device, GError **error)
{
	g_autoptr(NotifyService) service = g_new0(NotifyService, 1);

	bus_error_register(NOTIFY_ERROR, ERRORS, G_N_ELEMENTS(ERRORS));
	service->store = store;
	service->limit = notify_limit_new();
	service->device = g_strdup(device);
	service->object = bus_object_publish(tree, NOTIFY_PATH, INTERFACES, service, error);
	if (!service->object)
		return NULL;
	notify_store_on_note(store, announce, service);
	return g_steal_pointer(&service);
}

void notify_service_free(NotifyService *service)
{
	if (!service)
		return;
	notify_store_on_note(service->store, NULL, NULL);
	bus_object_withdraw(service->object);
	notify_limit_free(service->limit);
	g_free(service->device);
	g_free(service);
}
