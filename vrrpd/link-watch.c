/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/link-watch.c - judging a link by its carrier and its frame counter. */
#include "link-watch.h"

#include <string.h>

void vrrp_link_watch_init(VrrpLinkWatch *watch, gint64 interval_us)
{
	memset(watch, 0, sizeof *watch);
	watch->window_us = MAX(3 * interval_us, 300000);
	watch->frames = -1;
}

bool vrrp_link_watch_state(VrrpLinkWatch *watch, bool present, bool carrier, gint64 now_us)
{
	bool changed = present != watch->present || carrier != watch->carrier;

	if (carrier && !watch->carrier) {
		watch->up_us = now_us;
		watch->heard = false;
	}
	watch->present = present;
	watch->carrier = carrier;
	return changed;
}

bool vrrp_link_watch_frames(VrrpLinkWatch *watch, gint64 frames, gint64 now_us)
{
	/* The first count tells of a time before us: a link that has long been up need not be waited for. A smaller one is a new device. */
	bool grown = watch->frames < 0 ? frames > 0 : frames > watch->frames;

	watch->frames = frames;
	if (grown && watch->carrier) {
		watch->heard = true;
		watch->heard_us = now_us;
	}
	return watch->carrier && !grown;
}

bool vrrp_link_watch_alive(const VrrpLinkWatch *watch, gint64 now_us)
{
	return watch->carrier && watch->heard && now_us - watch->heard_us < watch->window_us;
}

bool vrrp_link_watch_settled(const VrrpLinkWatch *watch, gint64 now_us)
{
	return watch->carrier && (watch->heard || now_us - watch->up_us >= VRRP_SETTLE_US);
}
