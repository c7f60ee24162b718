/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/addresses.h - where the peer speaks from, as vrrpd is told (SetPeer); pure.
 *
 * A device's own addresses stand in its settings. Its link-local ones change with its hardware and are away while an interface is: the last
 * one known of an interface holds until another one is told, because IPv6 adverts come from nowhere else.
 */
#pragma once

#include <glib.h>

/* @told: a{sas}, interface role to addresses, as the peer says; @link_locals: a{ss} or NULL; @known: what was made last, a{sas} or NULL.
 * Only roles that are told are in the answer, and nothing that is no address. Floating a{sas}. */
GVariant *addresses_of_peer(GVariant *told, GVariant *link_locals, GVariant *known);
