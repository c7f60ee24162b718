/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/service.c - handlers of Notify1: parse, ask the store, answer. What only reads is answered at once, what writes when it is on disk. */
#include "service.h"

#include <unistd.h>

#include "dbus/bus-source.h"
#include "limit.h"

#define SEARCH_IDS   1000
#define SEARCHES_MAX 8

#define LED_TEST_MS 5000

struct NotifyService {
	BusObject *object;
	NotifyWriter *writer;
	NotifyStore *store; /* for reading */
	NotifyEngine *engine;
	NotifyLimit *limit;
	GPtrArray *tests; /* of Test*, whose answer is still owed */
	GPtrArray *searches; /* of Search*, the same */
};

/* Events under these names are believed to be about the pair itself; only our own daemons (root, or this daemon's user) raise them. */
static const char *const RESERVED[] = { "REDUNDANCY", "NOTIFY", NULL };

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

static void counts_changed(gpointer user_data)
{
	NotifyService *service = user_data;

	bus_object_changed(service->object, NOTIFY_INTERFACE, "Unread");
	bus_object_changed(service->object, NOTIFY_INTERFACE, "Count");
	bus_object_changed(service->object, NOTIFY_INTERFACE, "UnreadWarning");
}

static void heads_changed(gpointer user_data)
{
	NotifyService *service = user_data;

	bus_object_changed(service->object, NOTIFY_INTERFACE, "Heads");
}

static void ask_peer(GVariant *question, gpointer user_data)
{
	NotifyService *service = user_data;

	bus_object_emit(service->object, NOTIFY_INTERFACE, "AskPeer", g_variant_new("(@a{sv})", question));
}

static void announce(const NotifyEvent *event, gpointer user_data)
{
	NotifyService *service = user_data;

	bus_object_emit(service->object, NOTIFY_INTERFACE, "Raised",
			g_variant_new("(@a{sv})", notify_event_to_variant(event)));
}

static GVariant *array_of(const GArray *ids)
{
	return g_variant_new_fixed_array(G_VARIANT_TYPE_UINT64, ids->data, ids->len, sizeof(guint64));
}

static void announce_read(const GArray *ids, gpointer user_data)
{
	NotifyService *service = user_data;

	if (ids->len > 0)
		bus_object_emit(service->object, NOTIFY_INTERFACE, "Marked", g_variant_new("(@at)", array_of(ids)));
}

static void announce_acknowledged(const GArray *ids, const char *who, gpointer user_data)
{
	NotifyService *service = user_data;

	if (ids->len > 0)
		bus_object_emit(service->object, NOTIFY_INTERFACE, "Acknowledged", g_variant_new("(@ats)", array_of(ids), who));
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

static void on_raised(guint64 id, const GError *error, gpointer user_data)
{
	BusCall *call = user_data;

	if (error)
		bus_call_fail(call, error);
	else
		bus_call_reply(call, g_variant_new("(t)", id));
}

static void raise_event(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(NotifyEvent) event = NULL;
	g_autoptr(GVariant) options = NULL;
	g_autoptr(GError) error = NULL;
	const char *application, *name, *description, *reference;
	guint8 priority;

	g_variant_get(args, "(&s&sy&s&s@a{sv})", &application, &name, &priority, &description, &reference, &options);
	if (!may_raise(service, call, application))
		return;
	event = notify_event_new(application, name, priority, description, reference, notify_engine_device(service->engine), now_ms());
	if (!notify_event_apply_options(event, options, &error) || !notify_event_check(event, &error)) {
		bus_call_fail(call, error);
		return;
	}
	notify_engine_raise(service->engine, g_steal_pointer(&event), on_raised, call);
}

static void reply_events(BusCall *call, GPtrArray *events)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < events->len; i++)
		g_variant_builder_add_value(&builder, notify_event_to_variant(events->pdata[i]));
	bus_call_reply(call, g_variant_new("(aa{sv})", &builder));
}

/*
 * A text has no index, nor have two conditions together: each event is read. So that nobody waits for that, so many ids at a time, and between them the loop does what else
 * is to be done.
 */
typedef struct {
	NotifyService *service;
	BusCall *call;
	NotifyFilter filter; /* before: where the next slice ends */
	guint64 least;
	GPtrArray *found;
	gsize size;
	guint idle;
} Search;

static void search_free(gpointer data)
{
	Search *search = data;

	if (search->call)
		bus_call_fail_literal(search->call, BUS_ERROR_GONE, "notifyd ends");
	g_clear_handle_id(&search->idle, g_source_remove);
	notify_filter_clear(&search->filter);
	g_ptr_array_unref(search->found);
	g_free(search);
}

static gboolean search_on(gpointer user_data)
{
	Search *search = user_data;
	NotifyFilter slice = search->filter;
	g_autoptr(GPtrArray) events = NULL;
	g_autoptr(GError) error = NULL;

	slice.least = MAX(search->least, slice.before > SEARCH_IDS ? slice.before - SEARCH_IDS : 0);
	slice.count = search->filter.count - search->found->len;
	events = notify_store_list(search->service->store, &slice, &error);
	if (!events) {
		bus_call_fail(g_steal_pointer(&search->call), error);
	} else {
		while (events->len > 0) {
			NotifyEvent *event = g_ptr_array_steal_index(events, 0);

			search->size += notify_event_size(event);
			g_ptr_array_add(search->found, event);
		}
		search->filter.before = slice.least;
		if (slice.least > search->least && search->found->len < search->filter.count && search->size < search->filter.bytes)
			return G_SOURCE_CONTINUE;
		reply_events(g_steal_pointer(&search->call), search->found);
	}
	search->idle = 0;
	g_ptr_array_remove(search->service->searches, search);
	return G_SOURCE_REMOVE;
}

static void begin_search(NotifyService *service, BusCall *call, NotifyFilter *filter)
{
	g_autoptr(GError) error = NULL;
	guint64 least, most;
	Search *search;

	if (!notify_store_range(service->store, &least, &most, &error)) {
		bus_call_fail(call, error);
		return;
	}
	if (service->searches->len >= SEARCHES_MAX) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "%u searches are under way", service->searches->len);
		return;
	}
	search = g_new0(Search, 1);
	*search = (Search){ service, call, *filter, least, g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free), 0, 0 };
	*filter = (NotifyFilter){ 0 };
	search->filter.before = MIN(search->filter.before, most + 1);
	g_ptr_array_add(service->searches, search);
	search->idle = g_idle_add_full(BUS_PRIORITY, search_on, search, NULL);
}

static void list_events(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) wanted = g_variant_get_child_value(args, 0);
	g_auto(NotifyFilter) filter = { 0 };
	g_autoptr(GPtrArray) events = NULL;
	g_autoptr(GError) error = NULL;

	if (!notify_filter_parse(wanted, &filter, &error)) {
		bus_call_fail(call, error);
		return;
	}
	if (notify_filter_is_wide(&filter)) {
		begin_search(service, call, &filter);
		return;
	}
	events = notify_store_list(service->store, &filter, &error);
	if (events)
		reply_events(call, events);
	else
		bus_call_fail(call, error);
}

/* Answers the call when there are too many. */
static const guint64 *ids_of(BusCall *call, GVariant *wanted, gsize *ret_n)
{
	const guint64 *ids = g_variant_get_fixed_array(wanted, ret_n, sizeof(guint64));
	static const guint64 none = 0;

	if (*ret_n > NOTIFY_MAX_IDS) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "ids: %zu; at most %d at once, or none for all", *ret_n, NOTIFY_MAX_IDS);
		return NULL;
	}
	return ids ? ids : &none;
}

typedef struct {
	NotifyOrder order;
	NotifyService *service;
	BusCall *call;
	guint64 *ids;
	gsize n_ids;
	char *who; /* NULL: read, not acknowledged */
	GArray *read, *acknowledged;
} Marking;

static bool mark_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Marking *marking = (Marking *)order;

	g_clear_pointer(&marking->read, g_array_unref);
	g_clear_pointer(&marking->acknowledged, g_array_unref);
	if (!marking->who)
		return notify_store_mark_read(store, marking->ids, marking->n_ids, &marking->read, error);
	return notify_store_acknowledge(store, marking->ids, marking->n_ids, marking->who, now_ms(), &marking->acknowledged, &marking->read, error);
}

static void mark_done(NotifyOrder *order, const GError *error)
{
	Marking *marking = (Marking *)order;
	const GArray *changed = marking->who ? marking->acknowledged : marking->read;

	if (error) {
		bus_call_fail(marking->call, error);
	} else {
		if (marking->read->len > 0 || changed->len > 0)
			notify_engine_marked(marking->service->engine, marking->read);
		announce_read(marking->read, marking->service);
		if (marking->who)
			announce_acknowledged(changed, marking->who, marking->service);
		bus_call_reply(marking->call, g_variant_new("(u)", changed->len));
	}
	g_clear_pointer(&marking->read, g_array_unref);
	g_clear_pointer(&marking->acknowledged, g_array_unref);
	g_free(marking->ids);
	g_free(marking->who);
	g_free(marking);
}

static void mark(NotifyService *service, BusCall *call, GVariant *args, const char *who)
{
	g_autoptr(GVariant) wanted = g_variant_get_child_value(args, 0);
	gsize n_ids = 0;
	const guint64 *ids = ids_of(call, wanted, &n_ids);
	Marking *marking;

	if (!ids)
		return;
	marking = g_new0(Marking, 1);
	*marking = (Marking){ { .work = mark_work, .done = mark_done }, service, call, g_memdup2(ids, n_ids * sizeof *ids), n_ids, g_strdup(who), NULL, NULL };
	notify_writer_order(service->writer, &marking->order);
}

static void mark_read(BusCall *call, GVariant *args, gpointer user_data)
{
	mark(user_data, call, args, NULL);
}

static void acknowledge(BusCall *call, GVariant *args, gpointer user_data)
{
	mark(user_data, call, args, bus_call_caller(call));
}

/* ---- Deliveries ---- */

/* The queues', and those that nothing is sent to. */
static void list_targets(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	const Settings *settings = notify_engine_settings(service->engine);
	g_autoptr(GVariant) queues = g_variant_ref_sink(notify_dispatch_targets(notify_engine_dispatch(service->engine)));
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
	for (gsize i = 0; i < g_variant_n_children(queues); i++) {
		g_autoptr(GVariant) each = g_variant_get_child_value(queues, i);

		g_variant_builder_add_value(&list, each);
	}
	for (guint i = 0; i < settings->targets->len; i++) {
		const SettingsTarget *target = settings->targets->pdata[i];

		if (target->kind != SETTINGS_TARGET_LED && target->kind != SETTINGS_TARGET_DISPLAY)
			continue;
		g_variant_builder_open(&list, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&list, "{sv}", "id", g_variant_new_string(target->id));
		g_variant_builder_add(&list, "{sv}", "kind", g_variant_new_string(settings_target_kinds[target->kind]));
		g_variant_builder_add(&list, "{sv}", "to", g_variant_new_strv((const char *const *)target->to, -1));
		if (target->kind == SETTINGS_TARGET_LED) {
			g_autofree char *absent = leds_absent(notify_engine_leds(service->engine), target);

			g_variant_builder_add(&list, "{sv}", "absent", g_variant_new_string(absent ? absent : ""));
		}
		g_variant_builder_close(&list);
	}
	bus_call_reply(call, g_variant_new("(aa{sv})", &list));
}

typedef struct {
	NotifyService *service; /* NULL: it is gone, and has answered */
	BusCall *call;
} Test;

static void on_tested(GVariant *results, const GError *error, gpointer user_data)
{
	Test *test = user_data;

	if (test->service) {
		if (error)
			bus_call_fail(test->call, error);
		else
			bus_call_reply(test->call, g_variant_new("(@a(sss))", results));
		g_ptr_array_remove_fast(test->service->tests, test);
	}
	g_free(test);
}

/* It blinks, and who stands before it sees that. */
static void test_led(NotifyService *service, BusCall *call, const SettingsTarget *target)
{
	g_autoptr(GError) error = NULL;
	GVariantBuilder results;
	bool lit = leds_test(notify_engine_leds(service->engine), target, LED_TEST_MS, &error);

	g_variant_builder_init(&results, G_VARIANT_TYPE("a(sss)"));
	g_variant_builder_add(&results, "(sss)", target->id, lit ? "accepted" : "refused",
			      lit ? "shows the pattern of priority 3 for 5 seconds" : error->message);
	bus_call_reply(call, g_variant_new("(a(sss))", &results));
}

static void on_shown(guint64 id, const GError *error, gpointer user_data)
{
	BusCall *call = user_data;
	g_autofree char *words = g_strdup_printf("event %" G_GUINT64_FORMAT " is on the display until somebody has read it", id);
	GVariantBuilder results;

	if (error) {
		bus_call_fail(call, error);
		return;
	}
	g_variant_builder_init(&results, G_VARIANT_TYPE("a(sss)"));
	g_variant_builder_add(&results, "(sss)", "display", "accepted", words);
	bus_call_reply(call, g_variant_new("(a(sss))", &results));
}

static void test_display(NotifyService *service, BusCall *call)
{
	g_autofree char *who = g_utf8_make_valid(bus_call_caller(call), -1);
	g_autofree char *description = g_strdup_printf("A test of the display, ordered by %s. Nothing has happened.", who);

	notify_engine_show(service->engine, "test", description, on_shown, call);
}

static void test_target(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	const SettingsTarget *known;
	const char *target;
	Test *test;

	g_variant_get(args, "(&s)", &target);
	known = settings_target(notify_engine_settings(service->engine), target);
	if (known && known->kind == SETTINGS_TARGET_LED) {
		test_led(service, call, known);
		return;
	}
	if (known && known->kind == SETTINGS_TARGET_DISPLAY) {
		test_display(service, call);
		return;
	}
	test = g_new0(Test, 1);
	*test = (Test){ service, call };
	g_ptr_array_add(service->tests, test);
	notify_dispatch_test(notify_engine_dispatch(service->engine), target, bus_call_caller(call), on_tested, test);
}

static void deliveries(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) wanted = g_variant_get_child_value(args, 0);
	g_auto(NotifyDeliveries) filter = { 0 };
	g_autoptr(GError) error = NULL;
	GVariant *list;

	if (!notify_deliveries_parse(wanted, &filter, &error) || !(list = notify_store_deliveries(service->store, &filter, &error))) {
		bus_call_fail(call, error);
		return;
	}
	bus_call_reply(call, g_variant_new("(@aa{sv})", list));
}

/* ---- The supervisor's ---- */

static void reload(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GError) error = NULL;

	if (!notify_engine_reload(service->engine, &error)) {
		bus_call_fail(call, error);
		return;
	}
	counts_changed(service);
	bus_object_changed(service->object, NOTIFY_INTERFACE, "Capacity");
	bus_call_reply(call, NULL);
}

/* Who says on which device the service is must be who knows: an administrator's hand here would send each message twice. */
static bool is_supervisor(BusCall *call)
{
	guint32 uid = bus_call_uid(call);

	if (uid == 0 || uid == getuid())
		return true;
	bus_call_fail_literal(call, BUS_ERROR_ACCESS_DENIED, "only the supervisor says this");
	return false;
}

static void set_place(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) place = g_variant_get_child_value(args, 0);

	if (!is_supervisor(call))
		return;
	notify_engine_place(service->engine, place);
	bus_call_reply(call, NULL);
}

static void tell_peer(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) question = g_variant_get_child_value(args, 0);
	g_autoptr(GError) error = NULL;
	GVariant *told;

	if (!is_supervisor(call))
		return;
	told = notify_engine_tell(service->engine, question, &error);
	if (told)
		bus_call_reply(call, g_variant_new("(@a{sv})", told));
	else
		bus_call_fail(call, error);
}

static void on_learnt(const GError *error, gpointer user_data)
{
	if (error)
		bus_call_fail(user_data, error);
	else
		bus_call_reply(user_data, NULL);
}

static void peer_told(BusCall *call, GVariant *args, gpointer user_data)
{
	NotifyService *service = user_data;
	g_autoptr(GVariant) told = g_variant_get_child_value(args, 0);

	if (is_supervisor(call))
		notify_engine_told(service->engine, told, on_learnt, call);
}

/* ---- Properties ---- */

static GVariant *get_unread_warning(gpointer user_data)
{
	NotifyService *service = user_data;
	guint8 priority;
	guint n = notify_store_shown(service->store, &priority);

	return g_variant_new("(uy)", n, priority);
}

static GVariant *get_heads(gpointer user_data)
{
	NotifyService *service = user_data;

	return notify_engine_heads(service->engine);
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
	{ "UnreadWarning", .get = get_unread_warning },
	{ "Heads", .get = get_heads },
	{ "Raise", .method = raise_event },
	{ "List", .method = list_events },
	{ "MarkRead", .method = mark_read },
	{ "Acknowledge", .method = acknowledge },
	{ "Targets", .method = list_targets },
	{ "Test", .method = test_target },
	{ "Deliveries", .method = deliveries },
	{ "Reload", .method = reload },
	{ "SetPlace", .method = set_place },
	{ "TellPeer", .method = tell_peer },
	{ "PeerTold", .method = peer_told },
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

NotifyService *notify_service_new(BusTree *tree, NotifyWriter *writer, NotifyEngine *engine, GError **error)
{
	g_autoptr(NotifyService) service = g_new0(NotifyService, 1);
	const NotifyEngineEvents events = { announce, announce_read, announce_acknowledged, counts_changed, heads_changed, ask_peer, service };

	bus_error_register(NOTIFY_ERROR, ERRORS, G_N_ELEMENTS(ERRORS));
	service->writer = writer;
	service->store = notify_writer_reader(writer);
	service->engine = engine;
	service->limit = notify_limit_new();
	service->tests = g_ptr_array_new();
	service->searches = g_ptr_array_new_with_free_func(search_free);
	service->object = bus_object_publish(tree, NOTIFY_PATH, INTERFACES, service, error);
	if (!service->object)
		return NULL;
	notify_engine_watch(engine, &events);
	return g_steal_pointer(&service);
}

void notify_service_free(NotifyService *service)
{
	if (!service)
		return;
	notify_engine_finish(service->engine); /* so that each call has its answer */
	notify_engine_watch(service->engine, NULL);
	for (guint i = 0; i < service->tests->len; i++) {
		Test *test = service->tests->pdata[i];

		bus_call_fail_literal(test->call, BUS_ERROR_GONE, "notifyd ends");
		test->service = NULL;
	}
	g_ptr_array_unref(service->tests);
	g_ptr_array_unref(service->searches);
	bus_object_withdraw(service->object);
	notify_limit_free(service->limit);
	g_free(service);
}
