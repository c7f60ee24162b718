/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/owner.h - user and group names <-> numbers, remembered for a while. Belongs to one thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* The name, or the number as text when there is none. Borrowed until sync_owner_forget(). */
const char *sync_owner_user(uid_t uid);
const char *sync_owner_group(gid_t gid);

/* false when there is no such user or group here; then root's number, which gives nobody anything. */
bool sync_owner_uid(const char *name, uid_t *ret_uid);
bool sync_owner_gid(const char *name, gid_t *ret_gid);

void sync_owner_forget(void);
