/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/link-watch.h - whether the electing interface has a carrier, and whether anybody is heard on it; pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A switch port that has just come up may be learning and forward nothing: a Backup leads only once something was heard, or after this. */
#define VRRP_SETTLE_US (3 * G_USEC_PER_SEC)

/* A link that comes and goes is left alone after its second loss until it has been up for 1, 2, 4 ... 16 s; a minute without a loss forgives. */
#define VRRP_FLAP_FIRST_US (1 * G_USEC_PER_SEC)
#define VRRP_FLAP_MOST_US (16 * G_USEC_PER_SEC)
#define VRRP_FLAP_FORGIVEN_US (60 * G_USEC_PER_SEC)

typedef struct {
	bool present, carrier;
	gint64 window_us;  /* silent for longer: not alive */
	gint64 heard_us;   /* when something was last heard */
	gint64 alive_us;   /* since when without a silence */
	gint64 up_us;      /* since when there has been a carrier */
	bool heard;        /* anything, since then */
	guint losses;      /* of the carrier, none of them forgiven yet */
	gint64 lost_us;    /* when it was last lost */
} VrrpLinkWatch;

/* @interval_us: between adverts. Three of them without a frame, and at least 300 ms, are silence. */
void vrrp_link_watch_init(VrrpLinkWatch *watch, gint64 interval_us);

/* True when present or carrier changed. */
bool vrrp_link_watch_state(VrrpLinkWatch *watch, bool present, bool carrier, gint64 now_us);

/* Notes whether anything came since the last time. True when not: the moment to probe a neighbour, whose answer is a frame. */
bool vrrp_link_watch_frames(VrrpLinkWatch *watch, bool heard, gint64 now_us);

/* An advert that counts came: the way to here is open. No sign that anybody hears us, so the link is not alive for it. */
void vrrp_link_watch_advert(VrrpLinkWatch *watch);

/* Goes on from a former process's judgement: the link was in use a moment ago. */
void vrrp_link_watch_resume(VrrpLinkWatch *watch, bool steady, gint64 now_us);

bool vrrp_link_watch_alive(const VrrpLinkWatch *watch, gint64 now_us);

/* Alive for so long that another Master on it would have been heard: who comes back from a silence is not at once as good as one who was
 * within reach all the time. */
bool vrrp_link_watch_steady(const VrrpLinkWatch *watch, gint64 now_us);
/* Whether a carrier that is there is to be trusted. */
bool vrrp_link_watch_stable(const VrrpLinkWatch *watch, gint64 now_us);
bool vrrp_link_watch_settled(const VrrpLinkWatch *watch, gint64 now_us);
