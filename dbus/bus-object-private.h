/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-object-private.h - how links and servers show a tree. */
#pragma once

#include <dbus/dbus.h>

#include "bus-caller.h"
#include "bus-object.h"

/* Signals of @tree go to @connection from now on. */
void bus_tree_add_connection(BusTree *tree, DBusConnection *connection);
void bus_tree_remove_connection(BusTree *tree, DBusConnection *connection);

/* Answers one method call, now or later. @tree NULL: nothing is published. @caller NULL: the sender is not known, and
 * gets AccessDenied. After it returns the caller must expect that the tree, the connection and itself were changed by
 * a handler. */
void bus_tree_call(BusTree *tree, DBusConnection *connection, DBusMessage *message, BusCaller *caller);

/* ---- Between bus-object.c and bus-incoming.c ---- */

/* One interface of one object; the arrays run parallel to the contract's. */
typedef struct {
	const BusContract *contract;
	const BusMember **methods;
	const BusMember **properties;
	GVariant **last; /* what everybody was told last; NULL when that is not known */
	bool *changed;
} BusFace;

struct BusObject {     /* a reference-counted box */
	BusTree *tree; /* NULL once withdrawn */
	char *path;
	BusFace *faces;
	gsize n_faces;
	gpointer user_data;
	bool announced; /* InterfacesAdded has been sent, or will never be because this is the root */
	bool dirty;     /* in the tree's queue */
	GQueue calls;   /* of BusCall, not answered yet */
};

struct BusTree {
	char *root;
	GHashTable *objects;    /* path -> BusObject */
	GPtrArray *connections; /* of DBusConnection */
	GQueue dirty;           /* of BusObject, in the order of their first change */
	GSource *flush;
	bool flushing;
};

/* Sends what has changed. Before every other message of the tree. */
void bus_tree_flush(BusTree *tree);

BusObject *bus_tree_find(BusTree *tree, const char *path);
BusFace *bus_object_face(BusObject *object, const char *interface);
void bus_object_unref(BusObject *object);

/* The present value, owned, or NULL. */
GVariant *bus_object_read(BusObject *object, BusFace *face, guint property);

/* All readable properties that have a value, as a{sv} (floating). */
GVariant *bus_object_read_all(BusObject *object, BusFace *face);

/* a{sa{sv}} of all interfaces (floating). */
GVariant *bus_object_read_faces(BusObject *object);

/* Answers @call with .Gone; whoever owns it frees it by answering. */
void bus_call_orphan(BusCall *call);
