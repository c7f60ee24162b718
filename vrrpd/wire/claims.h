/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/claims.h - who says that an address is his: ARP from it, and neighbour advertisements; and beside that who asks for it, and whether
 * anybody else has the MAC of our virtual router.
 *
 * Uses: somebody else at a service address, one who held it before us and does not know yet that it no longer does, and whether a witness answers.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"
#include "vrrpd/kernel/worker.h"

/* ---- Pure ---- */

typedef struct {
	IpAddress address; /* that the sender says is his; none: he says so of none */
	guint8 mac[6];     /* where */
	IpAddress asked;   /* for which he asks; none: for none */
	bool announced;    /* said to all, unasked */
	bool twin;         /* it came from the MAC of our virtual router, which we did not send */
} VrrpClaim;

/* A whole Ethernet frame. False when it neither claims an address nor asks for one: not ARP or neighbour discovery, or malformed. A question from
 * nobody (RFC 5227) claims nothing. Says nothing of @twin. */
bool vrrp_claim_parse(const guint8 *frame, gsize length, VrrpClaim *ret_claim);

/* ---- A packet socket ---- */

typedef struct VrrpClaims VrrpClaims;
typedef void (*VrrpClaimCb)(const VrrpClaim *claim, gpointer user_data);

/* Claims of @addresses (array of IpAddress) that come in on @index. Read at leisure and at a bounded pace, with @priority. */
VrrpClaims *vrrp_claims_new(int index, const GArray *addresses, int priority, VrrpClaimCb claimed, gpointer user_data,
			    VrrpWorker *worker, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_claims_free(VrrpClaims *claims); /* NULL is fine */

/* From now on it also tells of @questions for the addresses, and of whatever ARP and IPv6, other than adverts, comes from the MAC of the virtual router
 * @vrid (0: of none). */
void vrrp_claims_hear(VrrpClaims *claims, bool questions, guint8 vrid);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpClaims, vrrp_claims_free)
