/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/trap/target.h - the settings of a receiver of traps, read from a job. Pure. */
#pragma once

#include "notifyd/delivery/job.h"

typedef struct {
	bool v3, inform;
	char *community;         /* 2c */
	char *user;              /* 3 */
	const char *auth;        /* net-snmp's name of it: "SHA-256" */
	bool encrypted;          /* by AES */
	char *auth_password, *priv_password;
} TrapTarget;

/* NULL and @error (REFUSED): it cannot work like this. */
TrapTarget *trap_target_read(const DeliveryJob *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void trap_target_free(TrapTarget *target); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrapTarget, trap_target_free)
