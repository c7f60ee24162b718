/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-watch.c - owners of bus names, and signals to those who subscribed. */
#include <string.h>

#include "bus-link-private.h"
#include "bus-value.h"

#define QUERY_TIMEOUT_MS 30000

struct BusSubscription { /* a reference-counted box */
	BusLink *link;   /* a reference, so that either may be freed first; NULL once freed */
	char *sender, *path, *interface, *member, *arg0;
	char *rule;     /* on a bus */
	BusName *owner; /* when @sender is a well-known name */
	BusSignalCb callback;
	gpointer user_data;
};

/* ---- Match rules ---- */

/* Between quotes everything stands for itself but the quote, which is written '\'' outside of them. */
static void add_key(GString *rule, const char *key, const char *value)
{
	if (!value)
		return;
	g_string_append_printf(rule, ",%s='", key);
	for (const char *p = value; *p; p++) {
		if (*p == '\'')
			g_string_append(rule, "'\\''");
		else
			g_string_append_c(rule, *p);
	}
	g_string_append_c(rule, '\'');
}

char *bus_watch_rule(const char *sender, const char *path, const char *interface, const char *member, const char *arg0)
{
	GString *rule = g_string_new("type='signal'");

	add_key(rule, "sender", sender);
	add_key(rule, "path", path);
	add_key(rule, "interface", interface);
	add_key(rule, "member", member);
	add_key(rule, "arg0", arg0);
	return g_string_free(rule, false);
}

/* ---- Owners ---- */

static void owner_rule(BusName *name, const char *method)
{
	g_autofree char *rule =
		bus_watch_rule(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "NameOwnerChanged", name->name);

	bus_link_tell_driver(name->link, method, rule);
}

static void set_owner(BusName *name, const char *owner)
{
	BusLink *link = name->link;

	if (g_strcmp0(name->owner, owner) == 0)
		return;
	g_free(name->owner);
	name->owner = g_strdup(owner);

	/* The callbacks may release the last use of this name. */
	g_autofree char *text = g_strdup(name->name);
	bus_mirrors_owner_changed(link, text, owner != NULL);
}

static void on_owner(GVariant *values, const GError *error, gpointer user_data)
{
	BusName *name = user_data;
	const char *owner = NULL;

	name->query = NULL;
	if (values && g_variant_is_of_type(values, G_VARIANT_TYPE("(s)")))
		g_variant_get(values, "(&s)", &owner);
	set_owner(name, owner); /* an error means that it has none */
}

/* The rule comes first, so that no change is missed between the answer and the rule. */
static void ask_for_owner(BusName *name)
{
	owner_rule(name, "AddMatch");
	name->query = bus_link_call(name->link, DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "GetNameOwner",
				    g_variant_new("(s)", name->name), QUERY_TIMEOUT_MS, on_owner, name);
}

BusName *bus_name_use(BusLink *link, const char *text)
{
	BusName *name = g_hash_table_lookup(link->names, text);

	if (link->kind != LINK_BUS || strcmp(text, DBUS_SERVICE_DBUS) == 0)
		return NULL;
	if (!name) {
		name = g_new0(BusName, 1);
		name->link = link;
		name->name = g_strdup(text);
		g_hash_table_insert(link->names, name->name, name);
		if (bus_link_is_usable(link))
			ask_for_owner(name);
	}
	name->users++;
	return name;
}

void bus_name_release(BusName *name)
{
	if (!name || --name->users > 0)
		return;
	if (bus_link_is_usable(name->link))
		owner_rule(name, "RemoveMatch");
	bus_pending_cancel(name->query);
	g_hash_table_remove(name->link->names, name->name);
	g_free(name->owner);
	g_free(name->name);
	g_free(name);
}

/* ---- Subscriptions ---- */

static void subscription_clear(gpointer data)
{
	BusSubscription *subscription = data;

	g_free(subscription->sender);
	g_free(subscription->path);
	g_free(subscription->interface);
	g_free(subscription->member);
	g_free(subscription->arg0);
	g_free(subscription->rule);
}

static void subscription_unref(gpointer data)
{
	g_rc_box_release_full(data, subscription_clear);
}

BusSubscription *bus_link_subscribe_arg0(BusLink *link, const char *sender, const char *path, const char *interface,
					 const char *member, const char *arg0, BusSignalCb callback, gpointer user_data)
{
	g_return_val_if_fail(!sender || dbus_validate_bus_name(sender, NULL), NULL);
	g_return_val_if_fail(!path || dbus_validate_path(path, NULL), NULL);
	g_return_val_if_fail(!interface || dbus_validate_interface(interface, NULL), NULL);
	g_return_val_if_fail(!member || dbus_validate_member(member, NULL), NULL);
	g_return_val_if_fail(!arg0 || g_utf8_validate(arg0, -1, NULL), NULL);

	BusSubscription *subscription = g_rc_box_new0(BusSubscription);
	subscription->link = bus_link_ref(link);
	subscription->sender = g_strdup(sender);
	subscription->path = g_strdup(path);
	subscription->interface = g_strdup(interface);
	subscription->member = g_strdup(member);
	subscription->arg0 = g_strdup(arg0);
	subscription->callback = callback;
	subscription->user_data = user_data;
	g_ptr_array_add(link->subscriptions, subscription);

	if (link->kind == LINK_BUS) {
		/* Asked for before the rule: the answer is here before the first signal. */
		if (sender && *sender != ':')
			subscription->owner = bus_name_use(link, sender);
		subscription->rule = bus_watch_rule(sender, path, interface, member, arg0);
		if (bus_link_is_usable(link))
			bus_link_tell_driver(link, "AddMatch", subscription->rule);
	}
	return subscription;
}

BusSubscription *bus_link_subscribe(BusLink *link, const char *sender, const char *path, const char *interface,
				    const char *member, BusSignalCb callback, gpointer user_data)
{
	return bus_link_subscribe_arg0(link, sender, path, interface, member, NULL, callback, user_data);
}

void bus_subscription_free(BusSubscription *subscription)
{
	if (!subscription)
		return;
	BusLink *link = subscription->link;
	if (subscription->rule && bus_link_is_usable(link))
		bus_link_tell_driver(link, "RemoveMatch", subscription->rule);
	bus_name_release(subscription->owner);
	(void)g_ptr_array_remove(link->subscriptions, subscription);
	subscription->link = NULL;
	subscription_unref(subscription);
	bus_link_unref(link);
}

static bool is_from(const BusSubscription *subscription, const char *sender)
{
	if (!subscription->sender || subscription->link->kind != LINK_BUS)
		return true;
	/* A well-known name stands for its owner: others could send the same straight to us. */
	const char *expected = subscription->owner ? subscription->owner->owner : subscription->sender;
	return g_strcmp0(expected, sender) == 0;
}

static bool is_wanted(const BusSubscription *subscription, DBusMessage *message, const char *arg0)
{
	return subscription->link && is_from(subscription, dbus_message_get_sender(message)) &&
	       (!subscription->path || g_strcmp0(subscription->path, dbus_message_get_path(message)) == 0) &&
	       (!subscription->interface ||
		g_strcmp0(subscription->interface, dbus_message_get_interface(message)) == 0) &&
	       (!subscription->member || g_strcmp0(subscription->member, dbus_message_get_member(message)) == 0) &&
	       (!subscription->arg0 || g_strcmp0(subscription->arg0, arg0) == 0);
}

static void follow_owners(BusLink *link, GVariant *args)
{
	const char *text, *old, *new;

	if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(sss)")))
		return;
	g_variant_get(args, "(&s&s&s)", &text, &old, &new);
	if (link->callers && *new == '\0')
		bus_callers_forget(link->callers, text);

	BusName *name = g_hash_table_lookup(link->names, text);
	if (name)
		set_owner(name, *new ? new : NULL);
}

void bus_watch_signal(BusLink *link, DBusMessage *message)
{
	const char *arg0 = NULL;

	if (!bus_link_is_usable(link))
		return;
	bus_link_ref(link);
	g_autoptr(GVariant) args = bus_value_read(message, NULL);
	if (g_variant_n_children(args) > 0) {
		g_autoptr(GVariant) first = g_variant_get_child_value(args, 0);
		if (g_variant_is_of_type(first, G_VARIANT_TYPE_STRING))
			arg0 = g_variant_get_string(first, NULL); /* lives in @args */
	}

	if (link->kind == LINK_BUS && dbus_message_has_sender(message, DBUS_SERVICE_DBUS) &&
	    dbus_message_is_signal(message, DBUS_INTERFACE_DBUS, "NameOwnerChanged"))
		follow_owners(link, args);

	/* A callback may free any subscription, its own and the link's too. */
	g_autoptr(GPtrArray) copy = g_ptr_array_new_with_free_func(subscription_unref);
	for (guint i = 0; i < link->subscriptions->len; i++)
		g_ptr_array_add(copy, g_rc_box_acquire(link->subscriptions->pdata[i]));
	for (guint i = 0; i < copy->len && !link->freed; i++) {
		BusSubscription *subscription = copy->pdata[i];
		if (is_wanted(subscription, message, arg0))
			subscription->callback(dbus_message_get_path(message), dbus_message_get_member(message), args,
					       subscription->user_data);
	}
	bus_link_unref(link);
}

/* ---- With the link ---- */

void bus_watch_up(BusLink *link)
{
	GHashTableIter iter;
	gpointer name;

	g_hash_table_iter_init(&iter, link->names);
	while (g_hash_table_iter_next(&iter, NULL, &name))
		ask_for_owner(name);
	for (guint i = 0; i < link->subscriptions->len; i++) {
		const BusSubscription *subscription = link->subscriptions->pdata[i];
		if (subscription->rule)
			bus_link_tell_driver(link, "AddMatch", subscription->rule);
	}
}

/* Owners are forgotten; the mirrors hear of the loss by themselves. */
void bus_watch_down(BusLink *link)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, link->names);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		BusName *name = value;
		bus_pending_cancel(name->query);
		name->query = NULL;
		g_clear_pointer(&name->owner, g_free);
	}
}
