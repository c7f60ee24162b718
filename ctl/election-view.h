/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/election-view.h - all that is known of an election, as text for people or one value for programs. Pure. */
#pragma once

#include "render.h"

/* Properties as GetAll answered, a{sv}; NULL: vrrpd did not answer. */
typedef struct {
	GVariant *election; /* Election1 */
	GVariant *vrrp;     /* Vrrp1; NULL with another provider than vrrpd */
	gint64 now_boot_us; /* CLOCK_BOOTTIME */
} ElectionView;

/* State, Master, priority, paths, last stranger; each line indented by two. Empty without an election. */
char *election_view_text(const ElectionView *view, const RenderStyle *style);

/* What keeps this device from taking over; empty when nothing does. */
char *election_view_holds(const ElectionView *view, const RenderStyle *style);

/* The counters that are not zero. */
char *election_view_counters(const ElectionView *view, const RenderStyle *style);

/* Floating; keys in snake_case. Times of this device's clock become ages, which a reader with another clock can use. */
GVariant *election_view_value(const ElectionView *view);       /* a{sv}, of Election1 without its holds */
GVariant *election_view_holds_value(const ElectionView *view); /* aa{sv} */
