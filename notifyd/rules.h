/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/rules.h - which events are told to whom, and when less is more: folding, flapping, limits, recoveries. Pure.
 *
 * A function of (settings, what happened so far, event, monotonic time). Nothing is lost by it: whatever is not told at once is counted, and
 * told in one message later. What it remembers is in memory only; after a restart it is told what had happened before (rules_recall()), so
 * that it goes on where it was.
 *
 * Mail, SMS and SNMP are delivered; display and LEDs show what is unread, which needs no memory: rules_shows().
 */
#pragma once

#include "event.h"
#include "settings/settings.h"

typedef enum {
	RULES_EVENT,      /* @event happened */
	RULES_RECOVERY,   /* what had been told is well again, says @event */
	RULES_FOLDED,     /* @n more like @event, the last of them, since the first was told @span_s ago */
	RULES_FLAPPING,   /* @n changes within @span_s; the next ones are counted, not told */
	RULES_STEADY,     /* it has stopped: @n changes in @span_s since it was called flapping; @event is the last */
	RULES_SUPPRESSED, /* the limit of the target: @n messages were not sent in the last @span_s; @event is the last of them */
	RULES_N_KINDS,
} RulesKind;

/* One message to one target. */
typedef struct {
	RulesKind kind;
	const SettingsTarget *target; /* of the settings in use */
	char **to;                    /* its recipients, or the rule's; of SNMP the host; never empty */
	NotifyEvent *event;           /* a copy */
	guint n, span_s;
	bool elsewhere;               /* a digest of what the other device has told: its task while it lives */
	guint silent_s;               /* not 0: the limit is reached, and the next message comes in so many seconds at the latest */
} RulesDelivery;
void rules_delivery_free(gpointer delivery);

typedef struct NotifyRules NotifyRules;

NotifyRules *rules_new(Settings *settings);
void rules_free(NotifyRules *rules); /* NULL is fine */
/* Other settings: what is known of targets that are there still is kept. Deliveries made before borrow from the old ones: be done with them. */
void rules_use(NotifyRules *rules, Settings *settings);

/* Appends a RulesDelivery* for each message that is due now because of @event. @deliveries NULL: the other device tells. Events of one
 * thing come in their order, @now_us never goes back. */
void rules_event(NotifyRules *rules, const NotifyEvent *event, gint64 now_us, GPtrArray *deliveries);
/* One that happened, and was told, before we started, when the clock on the wall says @now_ms; oldest first, before the first rules_event(). A flood of
 * yesterday is over: only with its own time does an event count in today's limits. */
void rules_recall(NotifyRules *rules, const NotifyEvent *event, gint64 now_ms, gint64 now_us);
/* The same for what is due because time has passed. To be called at rules_next_us(). */
void rules_tick(NotifyRules *rules, gint64 now_us, GPtrArray *deliveries);
gint64 rules_next_us(const NotifyRules *rules); /* G_MAXINT64: nothing waits */

/* Whether @target, the display or a LED, shows @event while nobody has read it. */
bool rules_shows(const NotifyRules *rules, const NotifyEvent *event, const SettingsTarget *target);

/* The message in words (rules-text.c): one line, and some. @device_name: who speaks. Transfer full. */
char *rules_subject(const RulesDelivery *delivery, const char *device_name);
char *rules_body(const RulesDelivery *delivery, const char *device_name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyRules, rules_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RulesDelivery, rules_delivery_free)
