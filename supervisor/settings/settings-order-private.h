/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/settings-order-private.h - what settings-order.c (orders), settings-agree.c (the agreement with the other device) and settings-use.c
 * (texts and their versions on this one) share.
 */
#pragma once

#include "supervisor/settings/agreement.h"
#include "supervisor/settings/settings-order.h"
#include "supervisor/supervisor.h"
#include "supervisor/settings/versions.h"

typedef struct SettingsOrder SettingsOrder;
typedef struct SettingsUse SettingsUse;

struct SettingsOrders {
	Supervisor *supervisor;
	SettingsOrder *running;
	guint64 last_n;
	guint first_idle;

	/* settings-use.c */
	Versions *versions;
	SettingsUse *use;      /* a text that is on its way to the disk, to be used then; NULL: none */
	const char *why, *who; /* of what is being put to use just now */

	/* settings-agree.c */
	char *prepared; /* text; NULL: none */
	char *prepared_finding, *prepared_hash;
	Revision announced;
	gint64 announced_us;
	Revision shared; /* the newest that both were known to have */
	char *shared_hash;
	gint64 fresh_us; /* since when the peer says what it has; 0: it does not */
	bool asking;
	char *refused;   /* which version of the peer's cannot be used here */
	gint64 hold_until_us;
	bool held;
	guint timer;
	GPtrArray *later; /* of Asked*: to be answered when that is over */
};

/* ---- settings-use.c ---- */

void settings_tell(SettingsOrders *orders, const char *name, guint8 priority, const char *text);
/* A version that will not be used: kept under a number, and people are told which. */
void settings_set_aside(SettingsOrders *orders, const char *text, const Revision *revision, const char *why, const char *what);
/* error NULL: it is on disk and in use. */
typedef void (*SettingsUsedCb)(const GError *error, gpointer user_data);
/* All or nothing: when the whole cannot be used with it, the file is as before. One at a time: not while there is orders->use. */
void settings_put_to_use(SettingsOrders *orders, const char *file, const char *text, const char *who, const char *why, SettingsUsedCb done,
			 gpointer user_data);

/* ---- settings-order.c ---- */

/* A text has come into use, or has not: the change that waited for that. */
void settings_order_go_on(SettingsOrders *orders);

/* ---- settings-agree.c ---- */

Revision settings_own_revision(const Supervisor *supervisor);
/* What the other device says that it has now; false: it says nothing. Strings are borrowed until the loop runs. */
bool settings_peer_says(const Supervisor *supervisor, Revision *ret_revision, const char **ret_hash, const char **ret_finding);
/* The topic `settings` with this phase. @hash and @text may be NULL. Floating. */
GVariant *settings_phase(const char *name, const Revision *revision, const char *hash, const char *text);
/* The other device is known to have had what is in use here. */
bool settings_is_shared(const SettingsOrders *orders);
/* A text has come into use, or has not: what waited for that. */
void settings_agree_go_on(SettingsOrders *orders);
void settings_agree_load(SettingsOrders *orders);
void settings_agree_clear(SettingsOrders *orders);
