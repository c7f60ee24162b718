/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/event.h - what an event is, what may be said in one, and which events a filter selects. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define NOTIFY_ERROR notify_error_quark()
GQuark notify_error_quark(void);
typedef enum {
	NOTIFY_ERROR_INVALID,  /* an argument that can never be right */
	NOTIFY_ERROR_NO_SPACE, /* the disk is full; nothing was stored */
	NOTIFY_ERROR_STORE,    /* the database could not be read or written */
	NOTIFY_N_ERRORS,
} NotifyError;

#define NOTIFY_NAME_CHARS        64 /* of application and name */
#define NOTIFY_DESCRIPTION_CHARS 4096
#define NOTIFY_REFERENCE_CHARS   1024
#define NOTIFY_KEY_BYTES         128
#define NOTIFY_ABOUT_CHARS       128
#define NOTIFY_MAX_IDS           10000 /* in one MarkRead */
#define NOTIFY_PAGE_BYTES        (256 * 1024) /* of a List: some 350 events, which are on their way within 10 ms */
#define NOTIFY_PRIORITY_MAX      3

typedef struct {
	guint64 id; /* given by the store, growing; 0: not stored yet */
	bool read;
	gint64 time_ms;    /* since 1970: when it happened, not when it was stored */
	guint8 priority;   /* 1 lowest to 3 highest */
	char *application; /* "REDUNDANCY", "SIP", ... */
	char *name;
	char *description; /* may have several lines */
	char *reference;   /* a page or a thing to look at; may be empty */
	char *device;      /* id of the device that raised it */
	char *key;         /* the same key is stored once; NULL: no key */
	char *about;       /* what it is about ("trunk-1"): events about one thing are folded, flap, and recover; NULL: not said */
	bool recovery;     /* says that what it is about is well again */
	bool shown;        /* a rule wants it on the display until it is read */
	gint64 ack_ms;     /* when somebody said that he takes care of it; 0: nobody */
	char *ack_by;      /* who; may be NULL */
} NotifyEvent;

NotifyEvent *notify_event_new(const char *application, const char *name, guint8 priority, const char *description,
			      const char *reference, const char *device, gint64 time_ms);
void notify_event_free(NotifyEvent *event); /* NULL is fine */
NotifyEvent *notify_event_copy(const NotifyEvent *event);

/* Whether @event may be stored; @error names the field, what is wrong with it, and the limit. */
bool notify_event_check(const NotifyEvent *event, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Takes the a{sv} of Raise into @event (time, key, about, recovery). Unknown keys and wrong types are refused. */
bool notify_event_apply_options(NotifyEvent *event, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As the contract shows it: a{sv}, floating. */
GVariant *notify_event_to_variant(const NotifyEvent *event);

/* About what an event takes on the wire, for bounding an answer. */
gsize notify_event_size(const NotifyEvent *event);

typedef enum { NOTIFY_STATUS_ANY, NOTIFY_STATUS_NEW, NOTIFY_STATUS_READ } NotifyStatus;

typedef struct {
	guint count;    /* at most so many, newest first */
	gsize bytes;    /* and about so much at most; 0: about 3 MiB */
	guint64 before; /* ids below this one; G_MAXUINT64: from the newest */
	guint64 least;  /* ids from this one on; 0: all */
	NotifyStatus status;
	int acknowledged;  /* 1 or 0; -1: either */
	char *application; /* exactly this; NULL: any */
	guint8 min_priority;
	gint64 since_ms;
	bool few_since; /* the store has looked: few events are as new as since_ms */
	char *text; /* case-folded, to be found in name or description; NULL: any */
} NotifyFilter;

/* Reads the a{sv} of List; what is absent has its default. On failure nothing is set. */
bool notify_filter_parse(GVariant *filter, NotifyFilter *ret_filter, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_filter_clear(NotifyFilter *filter);
/* Whether more is asked than one index answers: then many events may have to be read to find few. */
bool notify_filter_is_wide(const NotifyFilter *filter);

/* The filter as a WHERE clause. Values are never part of the text: @ret_values gets one for each '?', in order (x or s, for binding).
 * The function contains(name, description, text) is the store's, made of notify_text_matches(). */
char *notify_filter_sql(const NotifyFilter *filter, GPtrArray **ret_values);

/* Whether case-folded @folded occurs in @text whatever its case. */
bool notify_text_matches(const char *text, const char *folded);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyEvent, notify_event_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NotifyFilter, notify_filter_clear)
