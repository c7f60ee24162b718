/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/watch.c - what the daemons say, kept in memory. */
#include "snmp/watch.h"

#include <net/if.h>
#include <time.h>

#include "dbus/bus-link.h"
#include "dbus/dict.h"

#define PROPERTIES   "org.freedesktop.DBus.Properties"
#define CALL_MS      5000
#define SOON_MS      200   /* signals come in swarms */
#define FORGOTTEN_US (12 * G_TIME_SPAN_SECOND)
#define TRANSITIONS  32

typedef enum { FROM_SUPERVISOR, FROM_VRRPD, FROM_SYNCD, FROM_NOTIFYD, N_DAEMONS } Daemon;

/* When a question is asked again, beyond at each connection. */
typedef enum { WHENEVER, AFTER_SIGNALS, AFTER_ROLE_CHANGES } When;

typedef enum { SUPERVISOR, APPLICATIONS, FINDINGS, TIMELINE, ELECTION, VRRP, SYNC, NOTIFY, EVENTS, N_QUESTIONS } Question;

static const struct {
	const char *socket, *path;
} daemons[N_DAEMONS] = {
	[FROM_SUPERVISOR] = { "supervisor", "/org/understudy/Supervisor1" },
	[FROM_VRRPD] = { "vrrp", "/org/understudy/Vrrp1" },
	[FROM_SYNCD] = { "syncd/socket", "/org/understudy/Sync1" },
	[FROM_NOTIFYD] = { "notify", "/org/understudy/Notify1" },
};

/* @subject: the interface whose properties are asked for; else @interface and @method are called. */
static const struct {
	Daemon daemon;
	When when;
	const char *subject, *interface, *method, *type;
} questions[N_QUESTIONS] = {
	[SUPERVISOR] = { FROM_SUPERVISOR, WHENEVER, .subject = "org.understudy.Supervisor1" },
	[APPLICATIONS] = { FROM_SUPERVISOR, WHENEVER, .interface = "org.freedesktop.DBus.ObjectManager", .method = "GetManagedObjects", .type = "a{oa{sa{sv}}}" },
	[FINDINGS] = { FROM_SUPERVISOR, WHENEVER, .interface = "org.understudy.Supervisor1", .method = "Doctor", .type = "aa{sv}" },
	[TIMELINE] = { FROM_SUPERVISOR, AFTER_ROLE_CHANGES, .interface = "org.understudy.Supervisor1", .method = "Timeline", .type = "aa{sv}" },
	[ELECTION] = { FROM_VRRPD, WHENEVER, .subject = "org.understudy.Election1" },
	[VRRP] = { FROM_VRRPD, WHENEVER, .subject = "org.understudy.Vrrp1" },
	[SYNC] = { FROM_SYNCD, WHENEVER, .subject = "org.understudy.Sync1" },
	[NOTIFY] = { FROM_NOTIFYD, WHENEVER, .subject = "org.understudy.Notify1" },
	[EVENTS] = { FROM_NOTIFYD, AFTER_SIGNALS, .interface = "org.understudy.Notify1", .method = "List", .type = "aa{sv}" },
};

typedef struct {
	Watch *watch;
	Question question;
	BusPending *pending;
	bool again; /* asked for while it was pending */
	GVariant *answer;
	gint64 answered_us;
} Asked;

typedef struct {
	Watch *watch;
	Daemon daemon;
	BusLink *link;
	BusSubscription *changes, *roles, *events;
	guint timer;
	bool role_changed;
} Source;

struct Watch {
	Source sources[N_DAEMONS];
	Asked asked[N_QUESTIONS];
	GPtrArray *applications;
	guint64 raised[3];
	guint timer;
	guint64 serial;
	void (*election_changed)(gpointer user_data);
	gpointer user_data;
	BusPending *raising;
	void (*raised_done)(bool good, gpointer user_data);
	gpointer raised_data;
};

gint64 watch_boot_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static void ask(Watch *watch, Question question);

static void tell(Watch *watch, Question question)
{
	watch->serial++;
	if (questions[question].daemon == FROM_VRRPD && watch->election_changed)
		watch->election_changed(watch->user_data);
}

static void forget(Watch *watch, Question question)
{
	Asked *asked = &watch->asked[question];

	if (!asked->answer)
		return;
	g_clear_pointer(&asked->answer, g_variant_unref);
	tell(watch, question);
}

static void on_answer(GVariant *values, const GError *error, gpointer user_data)
{
	Asked *asked = user_data;
	Watch *watch = asked->watch;
	const char *type = questions[asked->question].subject ? "a{sv}" : questions[asked->question].type;

	asked->pending = NULL;
	if (values && g_variant_n_children(values) == 1) {
		g_autoptr(GVariant) answer = g_variant_get_child_value(values, 0);

		if (g_variant_is_of_type(answer, (const GVariantType *)type)) {
			g_clear_pointer(&asked->answer, g_variant_unref);
			asked->answer = g_steal_pointer(&answer);
			asked->answered_us = g_get_monotonic_time();
			tell(watch, asked->question);
		}
	} else if (error) {
		g_debug("%s: %s", daemons[questions[asked->question].daemon].socket, error->message);
	}
	if (asked->again)
		ask(watch, asked->question);
}

static GVariant *arguments_of(Question question)
{
	GVariantDict filter;

	switch (question) {
	case TIMELINE:
		return g_variant_new("(u)", (guint32)TRANSITIONS);
	case EVENTS:
		g_variant_dict_init(&filter, NULL);
		g_variant_dict_insert(&filter, "count", "u", (guint32)MIB_EVENTS);
		return g_variant_new("(@a{sv})", g_variant_dict_end(&filter));
	case SUPERVISOR:
	case ELECTION:
	case VRRP:
	case SYNC:
	case NOTIFY:
		return g_variant_new("(s)", questions[question].subject);
	case APPLICATIONS:
	case FINDINGS:
	case N_QUESTIONS:
		break;
	}
	return NULL;
}

static void ask(Watch *watch, Question question)
{
	Asked *asked = &watch->asked[question];
	const Source *source = &watch->sources[questions[question].daemon];
	bool of_properties = questions[question].subject != NULL;

	if (!bus_link_is_up(source->link))
		return;
	asked->again = asked->pending != NULL;
	if (asked->pending)
		return;
	asked->pending = bus_link_call(source->link, NULL, daemons[source->daemon].path, of_properties ? PROPERTIES : questions[question].interface,
				       of_properties ? "GetAll" : questions[question].method, arguments_of(question), CALL_MS, on_answer, asked);
}

/* ---- When ---- */

static void ask_all(Watch *watch, Daemon daemon, When least)
{
	for (Question question = 0; question < N_QUESTIONS; question++)
		if (questions[question].daemon == daemon && questions[question].when <= least)
			ask(watch, question);
}

static gboolean on_soon(gpointer user_data)
{
	Source *source = user_data;
	When least = source->role_changed ? AFTER_ROLE_CHANGES : AFTER_SIGNALS;

	source->timer = 0;
	source->role_changed = false;
	ask_all(source->watch, source->daemon, least);
	return G_SOURCE_REMOVE;
}

static void soon(Source *source)
{
	if (!source->timer)
		source->timer = g_timeout_add(SOON_MS, on_soon, source);
}

static void on_signal(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	soon(user_data);
}

static void on_role(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Source *source = user_data;

	source->role_changed = true;
	soon(source);
}

static void on_event(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Source *source = user_data;
	g_autoptr(GVariant) event = NULL;

	if (g_variant_is_of_type(args, G_VARIANT_TYPE("(a{sv})"))) {
		event = g_variant_get_child_value(args, 0);
		source->watch->raised[CLAMP(dict_int(event, "priority", 1), 1, 3) - 1]++;
		source->watch->serial++;
	}
	soon(source);
}

static void on_up(BusLink *link, gpointer user_data)
{
	Source *source = user_data;

	ask_all(source->watch, source->daemon, AFTER_ROLE_CHANGES);
}

static void on_down(BusLink *link, gpointer user_data)
{
	Source *source = user_data;

	for (Question question = 0; question < N_QUESTIONS; question++)
		if (questions[question].daemon == source->daemon)
			forget(source->watch, question);
}

/* ---- Events of our own ---- */

static void on_stored(GVariant *values, const GError *error, gpointer user_data)
{
	Watch *watch = user_data;

	watch->raising = NULL;
	watch->raised_done(!error, watch->raised_data);
}

void watch_raise(Watch *watch, const char *name, guint8 priority, const char *description, void (*done)(bool good, gpointer user_data), gpointer user_data)
{
	g_assert(!watch->raising);
	watch->raised_done = done;
	watch->raised_data = user_data;
	watch->raising = bus_link_call(watch->sources[FROM_NOTIFYD].link, NULL, daemons[FROM_NOTIFYD].path, "org.understudy.Notify1", "Raise",
				       g_variant_new("(ssyssa{sv})", "NOTIFY", name, priority, description, "", NULL), CALL_MS, on_stored, watch);
}

void watch_raise_cancel(Watch *watch)
{
	bus_pending_cancel(g_steal_pointer(&watch->raising));
}

static gboolean on_time(gpointer user_data)
{
	Watch *watch = user_data;
	gint64 now_us = g_get_monotonic_time();

	for (Question question = 0; question < N_QUESTIONS; question++)
		if (questions[question].when == WHENEVER && now_us - watch->asked[question].answered_us > FORGOTTEN_US)
			forget(watch, question);
	for (Daemon daemon = 0; daemon < N_DAEMONS; daemon++)
		ask_all(watch, daemon, WHENEVER);
	return G_SOURCE_CONTINUE;
}

/* ---- The watch ---- */

Watch *watch_new(const char *folder)
{
	Watch *watch = g_new0(Watch, 1);

	for (Question question = 0; question < N_QUESTIONS; question++)
		watch->asked[question] = (Asked){ .watch = watch, .question = question };
	for (Daemon daemon = 0; daemon < N_DAEMONS; daemon++) {
		Source *source = &watch->sources[daemon];
		g_autofree char *address = g_strdup_printf("unix:path=%s/%s", folder, daemons[daemon].socket);

		source->watch = watch;
		source->daemon = daemon;
		source->link = bus_link_new_private(address);
		bus_link_on_change(source->link, on_up, on_down, source);
		source->changes = bus_link_subscribe(source->link, NULL, NULL, PROPERTIES, NULL, on_signal, source);
	}
	Source *supervisor = &watch->sources[FROM_SUPERVISOR], *notifyd = &watch->sources[FROM_NOTIFYD];
	supervisor->roles = bus_link_subscribe(supervisor->link, NULL, NULL, "org.understudy.Supervisor1", "RoleChanged", on_role, supervisor);
	notifyd->events = bus_link_subscribe(notifyd->link, NULL, NULL, "org.understudy.Notify1", "Raised", on_event, notifyd);
	watch->timer = g_timeout_add_seconds(MIB_REFRESH_MS / 1000, on_time, watch) /* counters, ages */;
	return watch;
}

void watch_free(Watch *watch)
{
	if (!watch)
		return;
	g_source_remove(watch->timer);
	for (Daemon daemon = 0; daemon < N_DAEMONS; daemon++) {
		Source *source = &watch->sources[daemon];

		g_clear_handle_id(&source->timer, g_source_remove);
		bus_subscription_free(source->changes);
		bus_subscription_free(source->roles);
		bus_subscription_free(source->events);
		bus_link_free(source->link);
	}
	for (Question question = 0; question < N_QUESTIONS; question++)
		g_clear_pointer(&watch->asked[question].answer, g_variant_unref);
	g_clear_pointer(&watch->applications, g_ptr_array_unref);
	g_free(watch);
}

/* Those of GetManagedObjects that are applications; NULL: not known. */
static GPtrArray *applications_of(GVariant *objects)
{
	GPtrArray *applications;
	GVariantIter iter;
	GVariant *interfaces;

	if (!objects)
		return NULL;
	applications = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	g_variant_iter_init(&iter, objects);
	while (g_variant_iter_next(&iter, "{&o@a{sa{sv}}}", NULL, &interfaces)) {
		GVariant *application = g_variant_lookup_value(interfaces, "org.understudy.Application1", G_VARIANT_TYPE_VARDICT);

		if (application)
			g_ptr_array_add(applications, application);
		g_variant_unref(interfaces);
	}
	return applications;
}

void watch_facts(Watch *watch, MibFacts *ret_facts)
{
	const char *interface = dict_string(watch->asked[VRRP].answer, "Interface", "");

	g_clear_pointer(&watch->applications, g_ptr_array_unref);
	watch->applications = applications_of(watch->asked[APPLICATIONS].answer);
	*ret_facts = (MibFacts){
		.supervisor = watch->asked[SUPERVISOR].answer,
		.applications = watch->applications,
		.findings = watch->asked[FINDINGS].answer,
		.timeline = watch->asked[TIMELINE].answer,
		.election = watch->asked[ELECTION].answer,
		.vrrp = watch->asked[VRRP].answer,
		.sync = watch->asked[SYNC].answer,
		.notify = watch->asked[NOTIFY].answer,
		.events = watch->asked[EVENTS].answer,
		.raised = { watch->raised[0], watch->raised[1], watch->raised[2] },
		.interface = *interface ? if_nametoindex(interface) : 0,
		.now_ms = g_get_real_time() / 1000,
		.boot_us = watch_boot_us(),
		.master_reason = -1,
	};
}

void watch_on_election(Watch *watch, void (*changed)(gpointer user_data), gpointer user_data)
{
	watch->election_changed = changed;
	watch->user_data = user_data;
}

guint64 watch_serial(const Watch *watch)
{
	return watch->serial;
}
