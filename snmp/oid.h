/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/oid.h - object identifiers and what hangs on them: the values of a MIB, sorted, as a manager walks them. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define OID_MAX 128 /* sub-identifiers, by RFC 2578 */

typedef struct {
	guint n;
	guint32 ids[OID_MAX];
} Oid;

int oid_compare(const Oid *a, const Oid *b); /* the order of a walk */
bool oid_begins_with(const Oid *oid, const Oid *head);
bool oid_parse(const char *text, Oid *ret_oid) G_GNUC_WARN_UNUSED_RESULT; /* "1.3.6.1.2.1" */
char *oid_text(const Oid *oid);                                           /* transfer full */
void oid_add(Oid *oid, guint32 id);                                       /* passed over where it would be too long */
void oid_add_text(Oid *oid, const char *text);                            /* as an index: its length, then its bytes */

/* The types by their numbers in SNMP and AgentX (RFC 2741, 5.4). */
typedef enum {
	MIB_INTEGER = 2,
	MIB_OCTETS = 4,
	MIB_OBJECT_ID = 6,
	MIB_IP_ADDRESS = 64,
	MIB_COUNTER32 = 65,
	MIB_GAUGE32 = 66,
	MIB_TIME_TICKS = 67,
	MIB_COUNTER64 = 70,
	MIB_NO_SUCH_OBJECT = 128,
	MIB_NO_SUCH_INSTANCE = 129,
	MIB_END_OF_VIEW = 130,
} MibType;

typedef struct {
	MibType type;
	guint64 number; /* INTEGER as its two's complement */
	GBytes *octets; /* OCTETS, IP_ADDRESS */
} MibValue;

/* Every instance with its value. Filled in any order, then sorted once, then only read. */
typedef struct MibView MibView;

MibView *mib_view_new(void);
void mib_view_free(MibView *view); /* NULL is fine */
void mib_view_add_number(MibView *view, const Oid *oid, MibType type, guint64 number);
void mib_view_add_octets(MibView *view, const Oid *oid, MibType type, const void *data, gsize n);
void mib_view_add_text(MibView *view, const Oid *oid, const char *text, gsize most); /* cut between characters */
void mib_view_sort(MibView *view); /* of two with one name the first stays */
guint mib_view_n(const MibView *view);

/* What @oid is; NULL: there is no such instance. */
const MibValue *mib_view_get(const MibView *view, const Oid *oid);
/* The first after @start (@include: or that itself) and before @end (n == 0: no end). NULL: there is none. */
const MibValue *mib_view_next(const MibView *view, const Oid *start, bool include, const Oid *end, const Oid **ret_oid);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(MibView, mib_view_free)
