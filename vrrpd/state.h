/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/state.h - run-time state in /run/understudy/vrrpd, so that a killed process goes on in the role it had.
 *
 * On a tmpfs: it survives the process, not the machine. `state` is replaced by rename; `last-advert` is one number shared with the process's
 * memory, because it changes with every advert.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/rules/holds.h"
#include "vrrpd/rules/machine.h"

#define VRRP_STATE_DIR "/run/understudy/vrrpd"

typedef struct {
	/* Which election this is: state of another one is not continued. */
	guint group_id;
	guint version;
	char *device;
	guint family;          /* AF_INET, AF_INET6 */
	VrrpState role;
	char *reason;
	guint64 sequence;
	gint64 since_us;
	guint step, heard_step;
	bool serving, served;
	bool steady;           /* vrrp_link_watch_steady() */
	VrrpHolds holds;
	bool pseudo_header;    /* the other end's IPv4 checksums cover the pseudo-header */
	char *peer;            /* GVariant text of what SetPeer said; NULL for nothing */
	gint64 last_advert_us; /* 0: never */
} VrrpSaved;

typedef struct VrrpStore VrrpStore;

/* Makes @dir if it is missing. A folder that cannot be used, as any failure later, is no reason not to elect: it is a problem. */
VrrpStore *vrrp_store_new(const char *dir);
void vrrp_store_free(VrrpStore *store); /* NULL is fine */

/* False when there is nothing, nothing of this boot, or nothing that can be believed. */
bool vrrp_store_load(VrrpStore *store, VrrpSaved *ret_saved);
void vrrp_store_save(VrrpStore *store, const VrrpSaved *saved);
void vrrp_store_advert(VrrpStore *store, gint64 at_us);

/* Why the last state or advert is not kept, "code: text"; NULL when it is. */
const char *vrrp_store_problem(const VrrpStore *store);

void vrrp_saved_clear(VrrpSaved *saved);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VrrpSaved, vrrp_saved_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpStore, vrrp_store_free)
