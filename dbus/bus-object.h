/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-object.h - the objects a daemon publishes, checked against the XML contract.
 *
 * A BusTree holds the objects of one daemon. It may be shown on any number of connections at once (the system bus and
 * every client of the private socket, see bus-link.h and bus-server.h); signals go to all of them. The tree answers
 * org.freedesktop.DBus.Properties, Introspectable, Peer, and ObjectManager at its root.
 *
 * The XML files of dbus/interfaces/ are embedded; every call is checked against them before a handler runs, and every
 * reply before it is sent. Annotations understood: org.freedesktop.DBus.Property.EmitsChangedSignal, and
 * org.understudy.Access = "view" | "operate" | "administer" on methods and writable properties (view when absent;
 * a caller that fails it gets AccessDenied). Everything here belongs to one thread, the one that runs the main loop.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "bus-error.h"

typedef struct BusTree BusTree;     /* owned by the daemon; free after its links and servers */
typedef struct BusObject BusObject; /* owned by its tree until withdrawn */
typedef struct BusCall BusCall;     /* one incoming call; owned by the handler until it is answered exactly once */

/* Runs a method. @args is a tuple that matches the XML, valid during the handler (ref it to keep it). The handler answers now or
 * later with bus_call_reply() or bus_call_fail(). */
typedef void (*BusMethod)(BusCall *call, GVariant *args, gpointer user_data);

/* The present value (floating or owned), or NULL when there is none now: the property is then absent from GetAll, Get
 * answers UnknownProperty and a change is sent as an invalidation. */
typedef GVariant *(*BusGetter)(gpointer user_data);

/* Takes a new value of the right type, or refuses with @error (changing nothing). */
typedef bool (*BusSetter)(GVariant *value, gpointer user_data, GError **error);

/* One row per method or property of the XML; { 0 } ends the table. Publishing refuses a table that has a member the XML lacks,
 * lacks one it has, has a setter on a read-only property, and so on, both ways. Signals need no row. */
typedef struct {
	const char *member;
	BusMethod method;
	BusGetter get;
	BusSetter set;
} BusMember;

typedef struct {
	const char *interface;
	const BusMember *members;
} BusInterface;

/* @root is the path that carries the ObjectManager, "/org/understudy/Sync1"; all objects are it or below it. */
BusTree *bus_tree_new(const char *root);
void bus_tree_free(BusTree *tree);

/* Publishes @interfaces (ended by { 0 }; static) at @path. Unknown interface, mismatching table or path in use: NULL and @error.
 * InterfacesAdded follows before anything else of the object. */
BusObject *bus_object_publish(BusTree *tree, const char *path, const BusInterface *interfaces,
			      gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Withdraws; calls still unanswered are answered with .Gone. Allowed from a handler of the object itself. NULL is fine. */
void bus_object_withdraw(BusObject *object);
const char *bus_object_path(const BusObject *object);

/* Says that a property may have changed. Coalesced per object and interface; read and sent from an idle of high priority, or before
 * any reply or signal of this tree, whichever is first. A value equal to the one last sent is not sent again. */
void bus_object_changed(BusObject *object, const char *interface, const char *property);

/* Emits a signal (@args a tuple or NULL; consumed when floating), after pending property changes. */
void bus_object_emit(BusObject *object, const char *interface, const char *signal, GVariant *args);

/* ---- One incoming call ---- */

/* Answers; @values is a tuple matching the XML, or NULL for (). Frees @call. A caller that asked for no reply gets none. */
void bus_call_reply(BusCall *call, GVariant *values);

/* Answers with file descriptors: 'h' values index @fds. They are duplicated; the caller still closes its own. */
void bus_call_reply_fds(BusCall *call, GVariant *values, const int *fds, gsize n_fds);

/* Answers with an error. Frees @call, not @error. */
void bus_call_fail(BusCall *call, const GError *error);
void bus_call_fail_literal(BusCall *call, BusError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Takes descriptor @handle of the call: the caller closes it. -1 and @error when there is none or it was taken. Untaken ones are
 * closed with the call. */
int bus_call_take_fd(BusCall *call, gint32 handle, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Who asks: unix user id, and a text for logs and histories ("uid 1000", or the login name). */
guint32 bus_call_uid(const BusCall *call);
const char *bus_call_caller(const BusCall *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusTree, bus_tree_free)
