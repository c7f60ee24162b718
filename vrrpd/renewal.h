/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/renewal.h - lengthens lifetimes in the kernel beside the adverts, never in their way.
 *
 * The kernel changes addresses and routes under one lock for the whole machine. Whoever holds it may be an ordinary process that has to wait for
 * a processor, and then an advert behind a renewal would come too late. So a thread of its own sends what has been put together, as one message,
 * and tells only when something went otherwise than expected.
 *
 * What is under way could come after a later word (an address dropped would be there again), so whoever changes something settles first.
 */
#pragma once

#include <glib.h>
#include <linux/netlink.h>
#include <stdbool.h>

typedef enum {
	VRRP_RENEWAL_WORKS,   /* so far */
	VRRP_RENEWAL_REFUSED, /* so far */
	VRRP_RENEWAL_EITHER,  /* nobody asks */
} VrrpRenewalExpect;

typedef struct VrrpRenewal VrrpRenewal;

/* @differs runs in the loop when the kernel has answered one message otherwise than expected. */
VrrpRenewal *vrrp_renewal_new(void (*differs)(gpointer user_data), gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_renewal_free(VrrpRenewal *self); /* NULL is fine */

guint32 vrrp_renewal_port(const VrrpRenewal *self); /* of its netlink socket */

/* False while the last one is still under way; else messages may be added, then sent. */
bool vrrp_renewal_begin(VrrpRenewal *self);
void vrrp_renewal_add(VrrpRenewal *self, const struct nlmsghdr *message, int tolerated, VrrpRenewalExpect expect); /* @tolerated: an errno */
void vrrp_renewal_send(VrrpRenewal *self, gint64 until_us); /* not begun any more after that, in vrrp_now_us() */

/* Nothing is under way when it returns, and what had not begun never will. */
void vrrp_renewal_settle(VrrpRenewal *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpRenewal, vrrp_renewal_free)
