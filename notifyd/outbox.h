/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/outbox.h - what is still to be told to whom, and what becomes of it after each attempt. Pure: time is a number.
 *
 * A row is one message to one target. It is kept until each of its recipients was accepted or refused, or a day of attempts is over. Its id
 * (the message's) stays the same over attempts, restarts and takeovers.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define OUTBOX_EXPIRY_MS (24 * 3600 * 1000LL)
#define OUTBOX_DELAYS    6 /* 30 s, 1, 2, 5, 15 min, 1 h, 1 h ... */
#define OUTBOX_TARGET_MAX 1000 /* so many rows wait for one target at most */

typedef enum {
	OUTBOX_WAITING,
	OUTBOX_DELIVERED, /* every recipient was accepted */
	OUTBOX_REFUSED,   /* all are settled, and some were refused for good */
	OUTBOX_EXPIRED,   /* given up after a day */
	OUTBOX_N_STATES,
} OutboxState;
extern const char *const outbox_states[OUTBOX_N_STATES + 1]; /* "waiting", ..., NULL */

typedef struct {
	guint64 id;     /* in this device's store */
	char *message;  /* the message's own, the same on both devices */
	guint64 event;  /* 0: an event of the other device */
	char *target;   /* "mail:boss" */
	char **to;      /* the recipients that are not settled */
	char *text;     /* the job, but for the target: GKeyFile text; empty when all is settled */
	char *owner;    /* the device whose task it is */
	guint hand;     /* how often it was handed over */
	OutboxState state;
	bool refused;   /* at least one recipient was */
	bool about;     /* it tells of a delivery that failed: its own failure is told to nobody */
	guint attempts;
	gint64 created_ms, due_ms, done_ms; /* wall clock; done 0: it waits */
	char *words;    /* the last of the server */
	guint64 change; /* grows with each change of any row */
} OutboxRow;

OutboxRow *outbox_row_new(const char *target, const char *const *to, const char *text, const char *owner, gint64 now_ms);
void outbox_row_free(OutboxRow *row); /* NULL is fine */

/* How long after the @failures-th failure in a row (1 is the first); @random in [0, 1) spreads it by up to a fifth. */
gint64 outbox_delay_ms(guint failures, double random);

/* Whether it is due at @now_ms. One that is further away than any delay was written before the clock was set back. */
bool outbox_is_due(gint64 due_ms, gint64 now_ms);

/* After an attempt in which some recipients are left over: when the next one is, or whether it is given up. */
bool outbox_is_expired(gint64 created_ms, gint64 now_ms);

/* Where a waiting row's times belong after the clock was set by @step_ms, at the new @now_ms. */
gint64 outbox_shifted_ms(gint64 time_ms, gint64 step_ms, gint64 latest_ms);

/* What an answer of a delivery program says. */
typedef enum { OUTBOX_ACCEPTED, OUTBOX_RETRY, OUTBOX_REFUSES, OUTBOX_N_OUTCOMES } OutboxOutcome;
extern const char *const outbox_outcomes[OUTBOX_N_OUTCOMES + 1]; /* "accepted", "retry", "refused", NULL */

/* One line without its newline. False: it breaks the contract and says nothing. */
bool outbox_parse_line(const char *line, OutboxOutcome *ret_outcome, char **ret_recipient, char **ret_words);

/* The server knows the recipient no worse, but does not let us in: name and password. Then it is the target that waits, not the message. */
bool outbox_is_login(const char *target, const char *words);

/* Of two copies of one row, the one on this device and the other's: whether the other's is to be taken. A settled one wins; of two
 * that wait, the one that was handed over more often; after a split, in which both took it, the same on both devices. */
bool outbox_takes(const OutboxRow *here, const OutboxRow *there);

/* What this device is to the other. */
typedef struct {
	bool known;      /* the supervisor has said it */
	bool leads;      /* or is alone */
	bool connected;  /* to the other device */
	bool peer_leads;
	char *peer;      /* its id, "" when there is none */
} OutboxPlace;

/* Rows of the other device are taken over by who leads and cannot reach it; rows of our own that failed go to the other when that one leads. */
bool outbox_takes_over(const OutboxPlace *place);
bool outbox_hands_over(const OutboxPlace *place);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(OutboxRow, outbox_row_free)
