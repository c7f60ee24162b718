/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/link-watch.c - judging a link by its carrier and by what is heard on it. */
#include "vrrpd/rules/link-watch.h"

#include <string.h>

void vrrp_link_watch_init(VrrpLinkWatch *watch, gint64 interval_us)
{
	memset(watch, 0, sizeof *watch);
	watch->window_us = MAX(3 * interval_us, 300000);
}

bool vrrp_link_watch_state(VrrpLinkWatch *watch, bool present, bool carrier, gint64 now_us)
{
	bool changed = present != watch->present || carrier != watch->carrier;

	if (carrier && !watch->carrier) {
		watch->up_us = now_us;
		watch->heard = false;
		watch->heard_us = 0;
	}
	if (!carrier && watch->carrier) {
		if (now_us - watch->lost_us >= VRRP_FLAP_FORGIVEN_US)
			watch->losses = 0;
		watch->losses++;
		watch->lost_us = now_us;
	}
	watch->present = present;
	watch->carrier = carrier;
	return changed;
}

bool vrrp_link_watch_frames(VrrpLinkWatch *watch, bool heard, gint64 now_us)
{
	if (heard && watch->carrier) {
		if (!vrrp_link_watch_alive(watch, now_us))
			watch->alive_us = now_us;
		watch->heard = true;
		watch->heard_us = now_us;
	}
	return watch->carrier && !heard;
}

void vrrp_link_watch_advert(VrrpLinkWatch *watch)
{
	watch->heard |= watch->carrier;
}

void vrrp_link_watch_resume(VrrpLinkWatch *watch, bool steady, gint64 now_us)
{
	(void)vrrp_link_watch_state(watch, true, true, now_us);
	if (!steady)
		return;
	(void)vrrp_link_watch_frames(watch, true, now_us);
	watch->alive_us = now_us - watch->window_us;
}

bool vrrp_link_watch_alive(const VrrpLinkWatch *watch, gint64 now_us)
{
	return watch->carrier && watch->heard && now_us - watch->heard_us < watch->window_us;
}

bool vrrp_link_watch_steady(const VrrpLinkWatch *watch, gint64 now_us)
{
	return vrrp_link_watch_alive(watch, now_us) && now_us - watch->alive_us >= watch->window_us;
}

bool vrrp_link_watch_stable(const VrrpLinkWatch *watch, gint64 now_us)
{
	gint64 wait_us = 0;

	if (watch->losses > 1)
		wait_us = MIN(VRRP_FLAP_FIRST_US << MIN(watch->losses - 2, 10), VRRP_FLAP_MOST_US);
	return watch->carrier && now_us - watch->up_us >= wait_us;
}

bool vrrp_link_watch_settled(const VrrpLinkWatch *watch, gint64 now_us)
{
	return watch->carrier && (watch->heard || now_us - watch->up_us >= VRRP_SETTLE_US);
}
