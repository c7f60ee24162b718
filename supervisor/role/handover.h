/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/role/handover.h - a swap step by step, and who refuses one and why; pure. What each step asks of others is carried out by swap.c.
 *
 * Until the peer has agreed to take, every failure leads back: the applications start again here.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/role/role.h"

typedef enum {
	HANDOVER_PREPARE,     /* the peer is asked whether it would */
	HANDOVER_COMMIT,      /* what there is, while serving */
	HANDOVER_APPLY,
	HANDOVER_STOP,        /* handing-over: the applications stop */
	HANDOVER_LAST_COMMIT,
	HANDOVER_LAST_APPLY,
	HANDOVER_TAKE,        /* the peer promises; from here there is no way back */
	HANDOVER_RESIGN,
	HANDOVER_LEADS,       /* wait until the peer leads */
	HANDOVER_DONE,
	HANDOVER_FAILED,
	HANDOVER_CANCELLED,
} HandoverStep;

typedef enum {
	HANDOVER_EVENT_FACTS,   /* something may have changed */
	HANDOVER_EVENT_OK,      /* what the step asked for is done, or agreed to */
	HANDOVER_EVENT_REFUSED, /* it is not; whoever says so knows why */
	HANDOVER_EVENT_LATE,    /* the step has taken too long */
	HANDOVER_EVENT_CANCEL,
} HandoverEvent;

/* One swap, on the Master. */
typedef struct {
	HandoverStep step;
	const char *error; /* "code: text" when it has failed of itself; NULL: whoever refused knows */
	bool give_back;    /* it failed with the applications stopped: ROLE_EVENT_HAND_OVER_ABORT */
} Handover;

/* True when the step changed: what it asks for is then to be done. */
bool handover_step(Handover *handover, HandoverEvent event, Role role, const RoleFacts *facts) G_GNUC_WARN_UNUSED_RESULT;

bool handover_is_over(const Handover *handover);
bool handover_can_cancel(const Handover *handover);

/* Without a swap under way: whether this device, which has stopped serving for one, serves again. Its supervisor may have died after the
 * resignation, and a vrrpd that does not run tells of no change: who has taken over is not disturbed. */
bool handover_nobody_finishes(Role role, const RoleFacts *facts);

/* Whether a mode that a swap brings may be this device's now: passive only when the other says that it is active. Whatever becomes of the swap, and
 * whoever loses his power or his link in it, one of the two stays active. */
bool handover_may_be(const RoleFacts *facts, Mode mode);

/* After the resignation: whether the mode that the other had as Backup is this device's now. Active it is as soon as this device is Backup: the
 * other may have its mode already, and die with it. Passive only once the other leads: this device would stay out if it died on its way. */
bool handover_mode_is_ours(Role role, const RoleFacts *facts, Mode theirs);

/* Why the Master does not begin one: "code: text", or NULL. */
const char *handover_refusal(Role role, const RoleFacts *facts, bool same_version, bool same_settings);

/* Why the Backup does not promise to take over: "code: text", or NULL. */
const char *handover_take_refusal(Role role, const RoleFacts *facts, bool same_version, bool same_settings);
