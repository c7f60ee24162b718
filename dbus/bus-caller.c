/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-caller.c - who is calling, and what that person may do.
 *
 * Names of users and groups are read from /etc/passwd and /etc/group themselves: the name service may ask a server
 * far away, and nothing here may wait. A directory user's groups still count, since the kernel tells the bus which
 * groups a process has.
 */
#include "bus-caller.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-source.h"
#include "bus-value.h"

#define CREDENTIALS_TIMEOUT_MS 5000
#define MAX_WAITING            128 /* messages of one sender while the bus is being asked */

#define VIEWER "understudy-notify" /* understudy-snmp runs as it */

static const char *const level_groups[] = { "understudy-view", "understudy-operate", "understudy" };
static gint64 level_gids[] = { -1, -1, -1 };
static bool level_gids_known;

void bus_caller_set_groups(gint64 view, gint64 operate, gint64 administer)
{
	level_gids[BUS_LEVEL_VIEW] = view;
	level_gids[BUS_LEVEL_OPERATE] = operate;
	level_gids[BUS_LEVEL_ADMINISTER] = administer;
	level_gids_known = true;
}

static void read_level_groups(void)
{
	FILE *file = fopen("/etc/group", "re");
	struct group *entry;

	level_gids_known = true;
	while (file && (entry = fgetgrent(file))) {
		for (gsize i = 0; i < G_N_ELEMENTS(level_groups); i++) {
			if (strcmp(entry->gr_name, level_groups[i]) == 0)
				level_gids[i] = entry->gr_gid;
		}
	}
	if (file)
		fclose(file);
}

/* The login name and main group of @uid; false when /etc/passwd does not have it. */
static bool read_user(guint32 uid, char **ret_login, guint32 *ret_gid)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;
	bool found = false;

	while (file && !found && (entry = fgetpwent(file))) {
		found = entry->pw_uid == uid;
		if (found) {
			*ret_login = bus_value_clean_text(entry->pw_name);
			*ret_gid = entry->pw_gid;
		}
	}
	if (file)
		fclose(file);
	return found;
}

bool bus_caller_find_viewer(guint32 *ret_uid)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;
	bool found = false;

	while (file && !found && (entry = fgetpwent(file))) {
		found = strcmp(entry->pw_name, VIEWER) == 0;
		if (found)
			*ret_uid = entry->pw_uid;
	}
	if (file)
		fclose(file);
	return found;
}

static BusLevel level_of_group(gint64 gid)
{
	BusLevel level = BUS_LEVEL_VIEW;

	for (gsize i = 0; i < G_N_ELEMENTS(level_gids); i++) {
		if (level_gids[i] == gid)
			level = (BusLevel)i;
	}
	return level;
}

static BusLevel level_of_member(const char *login)
{
	FILE *file = fopen("/etc/group", "re");
	BusLevel level = BUS_LEVEL_VIEW;
	struct group *entry;

	while (file && (entry = fgetgrent(file))) {
		if (entry->gr_mem && g_strv_contains((const char *const *)entry->gr_mem, login))
			level = MAX(level, level_of_group(entry->gr_gid));
	}
	if (file)
		fclose(file);
	return level;
}

static BusCaller *caller_new(guint32 uid, BusLevel level, const char *login)
{
	BusCaller *caller = g_rc_box_new0(BusCaller);

	caller->uid = uid;
	caller->level = level;
	caller->text = login ? g_strdup(login) : g_strdup_printf("uid %u", uid);
	return caller;
}

static void caller_clear(gpointer data)
{
	BusCaller *caller = data;

	g_free(caller->text);
}

void bus_caller_unref(BusCaller *caller)
{
	if (caller)
		g_rc_box_release_full(caller, caller_clear);
}

BusCaller *bus_caller_new_for_user(guint32 uid, const guint32 *gids, gsize n_gids)
{
	g_autofree char *login = NULL;
	guint32 main_gid = 0;
	BusLevel level = BUS_LEVEL_VIEW;
	bool listed = read_user(uid, &login, &main_gid);

	if (!level_gids_known)
		read_level_groups();

	if (uid == 0 || uid == geteuid())
		level = BUS_LEVEL_ADMINISTER;
	else if (gids) {
		for (gsize i = 0; i < n_gids; i++)
			level = MAX(level, level_of_group(gids[i]));
	} else if (listed) {
		level = MAX(level_of_group(main_gid), level_of_member(login));
	}
	return caller_new(uid, level, login);
}

BusCaller *bus_caller_new_for_socket(DBusConnection *connection)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	int fd;

	if (!dbus_connection_get_unix_fd(connection, &fd) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 || length != sizeof(credentials))
		return NULL;

	g_autofree char *login = NULL;
	guint32 gid;
	(void)read_user(credentials.uid, &login, &gid);
	return caller_new(credentials.uid, BUS_LEVEL_ADMINISTER, login);
}

/* ---- The senders of one bus connection ---- */

typedef struct {
	BusCallers *callers;
	char *unique;
	BusCaller *caller; /* NULL until the bus has answered */
	GQueue waiting;    /* of DBusMessage */
	DBusPendingCall *pending;
} Sender;

struct BusCallers { /* a reference-counted box: a handler may free it while its messages are passed on */
	DBusConnection *connection;
	GHashTable *senders; /* unique name -> Sender; NULL once freed */
	BusCallerCb ready;
	gpointer user_data;
};

static void message_unref(gpointer message)
{
	dbus_message_unref(message);
}

static void sender_free(gpointer data)
{
	Sender *sender = data;

	if (sender->pending) {
		dbus_pending_call_cancel(sender->pending);
		dbus_pending_call_unref(sender->pending);
	}
	g_queue_clear_full(&sender->waiting, message_unref);
	bus_caller_unref(sender->caller);
	g_free(sender->unique);
	g_free(sender);
}

static DBusMessage *driver_call(const char *method, const char *text)
{
	DBusMessage *call =
		dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, method);

	if (!call || !dbus_message_append_args(call, DBUS_TYPE_STRING, &text, DBUS_TYPE_INVALID))
		g_error("out of memory");
	return call;
}

/* One rule per known sender, so that the bus does not wake us for every process that comes and goes. */
static void sender_match(BusCallers *callers, const char *unique, const char *method)
{
	g_autofree char *rule =
		g_strdup_printf("type='signal',sender='" DBUS_SERVICE_DBUS "',path='" DBUS_PATH_DBUS
				"',interface='" DBUS_INTERFACE_DBUS "',member='NameOwnerChanged',arg0='%s'",
				unique);
	DBusMessage *call = driver_call(method, rule);

	dbus_message_set_no_reply(call, TRUE);
	bus_source_send(callers->connection, call);
	dbus_message_unref(call);
}

static BusCaller *read_credentials(DBusMessage *reply)
{
	if (dbus_message_get_type(reply) != DBUS_MESSAGE_TYPE_METHOD_RETURN ||
	    !dbus_message_has_signature(reply, "a{sv}"))
		return NULL;

	g_autoptr(GVariant) body = bus_value_read(reply, NULL);
	g_autoptr(GVariant) table = g_variant_get_child_value(body, 0);
	g_autoptr(GVariant) groups = g_variant_lookup_value(table, "UnixGroupIDs", G_VARIANT_TYPE("au"));
	guint32 uid;
	if (!g_variant_lookup(table, "UnixUserID", "u", &uid))
		return NULL;

	gsize n_gids = 0;
	const guint32 *gids = groups ? g_variant_get_fixed_array(groups, &n_gids, sizeof(*gids)) : NULL;
	static const guint32 none[1];
	return bus_caller_new_for_user(uid, groups && !gids ? none : gids, n_gids);
}

static void callers_clear(gpointer data)
{
	BusCallers *callers = data;

	dbus_connection_unref(callers->connection);
}

/* Every call ends in an answer, also when it is one too many. */
static void refuse_flood(BusCallers *callers, DBusMessage *message)
{
	if (dbus_message_get_no_reply(message))
		return;
	DBusMessage *answer = dbus_message_new_error(message, DBUS_ERROR_LIMITS_EXCEEDED, "too many calls at once");
	bus_source_send(callers->connection, answer);
	dbus_message_unref(answer);
}

static void on_credentials(DBusPendingCall *pending, void *data)
{
	Sender *sender = data;
	BusCallers *callers = g_rc_box_acquire(sender->callers);
	DBusMessage *reply = dbus_pending_call_steal_reply(pending);

	g_clear_pointer(&sender->pending, dbus_pending_call_unref);
	sender->caller = read_credentials(reply);
	dbus_message_unref(reply);

	/* Handlers may end the connection, and @sender with it. */
	GQueue waiting = sender->waiting;
	g_queue_init(&sender->waiting);
	BusCaller *caller = sender->caller ? g_rc_box_acquire(sender->caller) : NULL;
	if (!caller)
		bus_callers_forget(callers, sender->unique);

	DBusMessage *message;
	while ((message = g_queue_pop_head(&waiting))) {
		if (callers->senders)
			callers->ready(message, caller, callers->user_data);
		dbus_message_unref(message);
	}
	bus_caller_unref(caller);
	g_rc_box_release_full(callers, callers_clear);
}

BusCallers *bus_callers_new(DBusConnection *connection, BusCallerCb ready, gpointer user_data)
{
	BusCallers *callers = g_rc_box_new0(BusCallers);

	callers->connection = dbus_connection_ref(connection);
	callers->senders = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, sender_free);
	callers->ready = ready;
	callers->user_data = user_data;
	return callers;
}

void bus_callers_free(BusCallers *callers)
{
	if (!callers)
		return;
	g_clear_pointer(&callers->senders, g_hash_table_unref);
	g_rc_box_release_full(callers, callers_clear);
}

void bus_callers_pass(BusCallers *callers, DBusMessage *message)
{
	const char *unique = dbus_message_get_sender(message);

	if (!unique) {
		callers->ready(message, NULL, callers->user_data);
		return;
	}

	Sender *sender = g_hash_table_lookup(callers->senders, unique);
	if (sender && sender->caller) {
		BusCaller *caller = g_rc_box_acquire(sender->caller);
		callers->ready(message, caller, callers->user_data);
		bus_caller_unref(caller);
		return;
	}

	if (!sender) {
		sender = g_new0(Sender, 1);
		sender->callers = callers;
		sender->unique = g_strdup(unique);
		g_hash_table_insert(callers->senders, sender->unique, sender);

		sender_match(callers, unique, "AddMatch");
		DBusMessage *question = driver_call("GetConnectionCredentials", unique);
		(void)dbus_connection_send_with_reply(callers->connection, question, &sender->pending,
						      CREDENTIALS_TIMEOUT_MS);
		dbus_message_unref(question);
		if (sender->pending)
			dbus_pending_call_set_notify(sender->pending, on_credentials, sender, NULL);
	}

	if (g_queue_get_length(&sender->waiting) < MAX_WAITING)
		g_queue_push_tail(&sender->waiting, dbus_message_ref(message));
	else
		refuse_flood(callers, message);
}

void bus_callers_forget(BusCallers *callers, const char *unique)
{
	g_autofree char *name = g_strdup(unique);

	if (!g_hash_table_contains(callers->senders, name))
		return;
	sender_match(callers, name, "RemoveMatch");
	g_hash_table_remove(callers->senders, name);
}

gsize bus_callers_n_known(const BusCallers *callers)
{
	return g_hash_table_size(callers->senders);
}
