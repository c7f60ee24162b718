/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/dispatch.h - gives what is due to the programs that deliver, one queue a target, and notes what they say.
 *
 * A program is killed at its deadline; a target that fails waits longer and longer, and delays no other. Nothing here waits: pipes, ends of processes and
 * times come from the main loop.
 */
#pragma once

#include "writer.h"

typedef struct NotifyDispatch NotifyDispatch;

/* Where a target is and how it is reached: a copy of what the settings say. */
typedef struct {
	char *id;    /* "mail:boss" */
	char *kind;  /* "mail", "sms", "snmp" */
	char **to;   /* its own recipients, for the test */
	char **keys; /* key, value, ..., NULL */
} NotifyTarget;

NotifyTarget *notify_target_new(const char *id, const char *const *to, const char *const *keys);
void notify_target_free(NotifyTarget *target); /* NULL is fine */

/* What the dispatch has to tell of itself: an event about @target. */
typedef void (*NotifyDispatchTell)(const char *target, const char *name, guint8 priority, const char *description, gpointer user_data);

typedef struct {
	const char *programs;    /* folder of understudy-mail, -sms, -trap */
	const char *secrets;     /* folder of mail.NAME, ... */
	gint64 deadline_ms;
	NotifyDispatchTell tell;
	void (*changed)(gpointer user_data); /* rows or targets have changed; may be NULL */
	gpointer user_data;
} NotifyDispatchPlan;

/* All must outlive it. @device: whose rows are ours. */
NotifyDispatch *notify_dispatch_new(NotifyWriter *writer, const char *device, const NotifyDispatchPlan *plan);
/* Programs under way are killed; what they had not said is sent again by the next one. To be called when the writer has finished. NULL is fine. */
void notify_dispatch_free(NotifyDispatch *dispatch);

/* The targets there are now (of NotifyTarget*, taken over). One that has changed is tried at once. */
void notify_dispatch_configure(NotifyDispatch *dispatch, GPtrArray *targets);

/* Nothing is started before this is true: not before it is known whose task what is. */
void notify_dispatch_enable(NotifyDispatch *dispatch, bool enabled);

/*
 * @rows (of OutboxRow*) are about to be stored. Where a target has nothing else to do, the first attempt is noted in its row, so that one wait for the disk
 * is enough: its program starts when it is said that they are stored. To be called for the same rows again then, or when they were not.
 */
void notify_dispatch_begin(NotifyDispatch *dispatch, const GPtrArray *rows);
void notify_dispatch_stored(NotifyDispatch *dispatch, const GPtrArray *rows, bool stored);

/* Something may be due. */
void notify_dispatch_look(NotifyDispatch *dispatch);

/* The wall clock may have been set; looked at by itself each minute and before each attempt. */
void notify_dispatch_look_at_clock(NotifyDispatch *dispatch, gint64 real_ms, gint64 monotonic_ms);

/* Sends a message of its own now, beside the queue. @done gets a(sss): recipient, outcome, words; or an error. */
typedef void (*NotifyTestDone)(GVariant *results, const GError *error, gpointer user_data);
void notify_dispatch_test(NotifyDispatch *dispatch, const char *target, const char *who, NotifyTestDone done, gpointer user_data);

/* For people: aa{sv}, floating. */
GVariant *notify_dispatch_targets(NotifyDispatch *dispatch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyDispatch, notify_dispatch_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyTarget, notify_target_free)
