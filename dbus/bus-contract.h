/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-contract.h - the XML interfaces, parsed and ready to check calls against. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/* Who may do it; each level includes those before. */
typedef enum {
	BUS_LEVEL_VIEW,
	BUS_LEVEL_OPERATE,
	BUS_LEVEL_ADMINISTER,
} BusLevel;

/* org.freedesktop.DBus.Property.EmitsChangedSignal */
typedef enum {
	BUS_EMITS_VALUE,
	BUS_EMITS_INVALIDATION,
	BUS_EMITS_NEVER,
	BUS_EMITS_CONST,
} BusEmits;

typedef struct {
	const char *name;
	GVariantType *in; /* tuples */
	GVariantType *out;
	BusLevel level;
} BusMethodRule;

typedef struct {
	const char *name;
	GVariantType *type;
	bool readable, writable;
	BusLevel level; /* to write it */
	BusEmits emits;
} BusPropertyRule;

typedef struct {
	const char *name;
	GVariantType *type; /* tuple */
} BusSignalRule;

typedef struct {
	const char *name;
	char *xml; /* the <interface> element as it stands in the file */
	GDBusInterfaceInfo *info;
	GPtrArray *methods;    /* of BusMethodRule, in the file's order */
	GPtrArray *properties; /* of BusPropertyRule */
	GPtrArray *signals;    /* of BusSignalRule */
} BusContract;

/* NULL when no XML describes @interface. */
const BusContract *bus_contract_find(const char *interface);

/* NULL when @contract has none of that name. */
const BusMethodRule *bus_contract_method(const BusContract *contract, const char *name);
const BusPropertyRule *bus_contract_property(const BusContract *contract, const char *name);
const BusSignalRule *bus_contract_signal(const BusContract *contract, const char *name);

/* Adds the interfaces of another document (tests have interfaces of their own). False and @error when it does not
 * parse, holds an unknown annotation value, or describes an interface twice. */
bool bus_contract_add(const char *xml, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The embedded documents, made by embed-xml.py; ended by { 0 }. */
typedef struct {
	const char *file;
	const char *xml;
} BusDocument;
extern const BusDocument bus_documents[];
