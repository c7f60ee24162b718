/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-link-private.h - what the files of the link share: connection, calls, names and signals. */
#pragma once

#include <dbus/dbus.h>

#include "bus-caller.h"
#include "bus-knock.h"
#include "bus-link.h"
#include "bus-object-private.h"
#include "bus-source.h"

typedef enum {
	LINK_WAITING,  /* for the next attempt */
	LINK_KNOCKING, /* is anybody there? */
	LINK_OPENING,  /* authentication, Hello or Ping */
	LINK_NAMING,   /* usable; the bus name is being asked for */
	LINK_UP,
} LinkState;

/* Where a link leads, and so what it says first. */
typedef enum {
	LINK_BUS,     /* Hello */
	LINK_PRIVATE, /* one of our daemons: Ping */
	LINK_FOREIGN, /* another's private socket, which may answer no Ping: nothing */
} LinkKind;

struct BusLink {       /* a reference-counted box: callbacks may free the link */
	char *address; /* NULL: the system bus, looked up at each attempt */
	LinkKind kind;
	bool freed;
	LinkState state;
	GSource *retry;
	guint delay_ms;
	BusKnock *knock;
	char *complaint; /* the last trouble logged, so that it is said once */

	DBusConnection *connection; /* NULL in LINK_WAITING and LINK_KNOCKING */
	BusSource *source;
	BusCallers *callers; /* on a bus */
	BusCaller *far_side; /* on a private socket */

	BusTree *tree;
	char *name;
	BusLinkCb up, down;
	gpointer change_data;

	GQueue pending;           /* of BusPending */
	GPtrArray *subscriptions; /* of BusSubscription */
	GHashTable *names;        /* bus name -> BusName */
	GPtrArray *mirrors;       /* of BusMirror */
};

BusLink *bus_link_ref(BusLink *link);
void bus_link_unref(BusLink *link);

/* Whether messages can be sent: connected, and known to the bus. */
bool bus_link_is_usable(const BusLink *link);

/* ---- bus-call.c ---- */

/* All calls under way fail with NOT_REACHABLE; @link may be freed by what they run. */
void bus_calls_fail(BusLink *link);
void bus_calls_drop(BusLink *link);

/* A call to the bus itself that wants no answer. */
void bus_link_tell_driver(BusLink *link, const char *method, const char *text);

/* ---- bus-watch.c ---- */

/* Follows the owner of a bus name; shared by everybody on the link who needs it. */
typedef struct {
	BusLink *link;
	char *name;
	char *owner; /* unique name; NULL when there is none or it is not known yet */
	guint users;
	BusPending *query;
} BusName;

BusName *bus_name_use(BusLink *link, const char *name);
void bus_name_release(BusName *name); /* NULL is fine */

/* As bus_link_subscribe(), only for signals whose first argument is the string @arg0. */
BusSubscription *bus_link_subscribe_arg0(BusLink *link, const char *sender, const char *path, const char *interface,
					 const char *member, const char *arg0, BusSignalCb callback,
					 gpointer user_data);

/* The link has become usable / is lost: rules are sent again, owners are asked for or forgotten. */
void bus_watch_up(BusLink *link);
void bus_watch_down(BusLink *link);

/* A signal has come; callbacks may free the link. */
void bus_watch_signal(BusLink *link, DBusMessage *message);

/* "type='signal',..." with every value quoted; NULL stands for any. */
char *bus_watch_rule(const char *sender, const char *path, const char *interface, const char *member, const char *arg0);

/* ---- bus-mirror.c ---- */

void bus_mirrors_up(BusLink *link);
void bus_mirrors_down(BusLink *link);
void bus_mirrors_stop(BusLink *link); /* the link is being freed: no callback */
void bus_mirrors_owner_changed(BusLink *link, const char *name, bool present);
