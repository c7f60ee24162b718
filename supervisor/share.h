/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/share.h - carries between the two notifyd what they tell each other, and says to ours on which device the service is. */
#pragma once

#include "supervisor/supervisor.h"

/* Uses the links of notifyd and syncd, which must outlive it. */
Share *share_new(Supervisor *supervisor);
void share_free(Share *share); /* NULL is fine */

/* Something may have changed: the role, the other device, what it published. */
void share_look(Share *share);
/* notifyd's link is up: it knows nothing yet. */
void share_begin(Share *share);
/* syncd's link is up: it has forgotten what was published. */
void share_forget(Share *share);
/* The settings, or a secret, have changed. */
void share_reload(Share *share);
/* @done runs, from the loop, when notifyd has taken all that it was told so far, or has not for a second: one that dies meanwhile has a next life. */
void share_follow(Share *share, void (*done)(gpointer user_data), gpointer user_data);
/* The topic `outbox`: it calls peer_answer() later. */
GVariant *share_answer(Supervisor *supervisor, guint64 serial, GVariant *question, GError **error);
