/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/identity.h - as whom an application runs, found out when its settings are read and never while it is started.
 *
 * Accounts of this device's own files are read at once. For others the name service is asked, in a thread: it may wait for a network that
 * is just what has failed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef enum { IDENTITY_UNKNOWN, IDENTITY_ASKING, IDENTITY_KNOWN } IdentityState;

typedef struct Identity Identity;

/* @user NULL: root; @group NULL: the user's own. @changed runs from the main loop when the name service has answered. */
Identity *identity_new(const char *user, const char *group, GSourceFunc changed, gpointer user_data);
void identity_free(Identity *identity); /* NULL is fine; an answer under way is dropped */

/* For accounts that were made meanwhile; nothing happens unless it is unknown. */
void identity_ask_again(Identity *identity);

IdentityState identity_state(const Identity *identity);
uid_t identity_uid(const Identity *identity);
gid_t identity_gid(const Identity *identity);
const gid_t *identity_groups(const Identity *identity, gsize *ret_n);
const char *identity_problem(const Identity *identity); /* "" when it is known */

/* The part without the name service, for tests: @passwd and @group are files. False: one of the two names is not there. */
bool identity_read_files(const char *passwd, const char *groups, const char *user, const char *group, uid_t *ret_uid, gid_t *ret_gid,
			 GArray *ret_groups);
