/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/claims.h - who says that an address is his: ARP from it, and neighbour advertisements.
 *
 * Two uses: somebody else at a service address, and whether a witness answers.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"
#include "vrrpd/kernel/worker.h"

/* ---- Pure ---- */

typedef struct {
	IpAddress address;
	guint8 mac[6];
} VrrpClaim;

/* A whole Ethernet frame. False when it claims nothing: not ARP or a neighbour advertisement, malformed, or a question from nobody (RFC 5227). */
bool vrrp_claim_parse(const guint8 *frame, gsize length, VrrpClaim *ret_claim);

/* ---- A packet socket ---- */

typedef struct VrrpClaims VrrpClaims;
typedef void (*VrrpClaimCb)(const VrrpClaim *claim, gpointer user_data);

/* Claims of @addresses (array of IpAddress) that come in on @index. Read at leisure and at a bounded pace, with @priority. */
VrrpClaims *vrrp_claims_new(int index, const GArray *addresses, int priority, VrrpClaimCb claimed, gpointer user_data,
			    VrrpWorker *worker, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_claims_free(VrrpClaims *claims); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpClaims, vrrp_claims_free)
