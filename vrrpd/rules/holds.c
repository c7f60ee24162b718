/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/holds.c - the six holds, their leases, and whether there is a supervisor. */
#include "vrrpd/rules/holds.h"

#include <string.h>

static const char *const names[] = {
	[VRRP_HOLD_PASSIVE] = "passive",       [VRRP_HOLD_ADMINISTRATOR] = "administrator",
	[VRRP_HOLD_FIRST_SYNC] = "first-sync", [VRRP_HOLD_COLD_BOOT] = "cold-boot",
	[VRRP_HOLD_SETTINGS] = "settings",     [VRRP_HOLD_NO_SUPERVISOR] = "no-supervisor",
};
G_STATIC_ASSERT(G_N_ELEMENTS(names) == VRRP_N_HOLDS);

const char *vrrp_hold_name(VrrpHold hold)
{
	return names[hold];
}

bool vrrp_hold_from_name(const char *name, VrrpHold *ret_hold)
{
	for (guint i = 0; i < VRRP_N_HOLDS; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret_hold = (VrrpHold)i;
			return true;
		}
	}
	return false;
}

void vrrp_holds_set(VrrpHolds *holds, VrrpHold hold, const char *reason, gint64 until_us, gint64 now_us)
{
	if (!holds->hold[hold].set)
		holds->hold[hold].since_us = now_us;
	holds->hold[hold].set = true;
	holds->hold[hold].until_us = until_us;
	g_strlcpy(holds->hold[hold].reason, reason, sizeof holds->hold[hold].reason);
	if (!g_utf8_validate(holds->hold[hold].reason, -1, NULL)) { /* cut within a character */
		const char *end;

		(void)g_utf8_validate(holds->hold[hold].reason, -1, &end);
		holds->hold[hold].reason[end - holds->hold[hold].reason] = '\0';
	}
}

void vrrp_holds_lift(VrrpHolds *holds, VrrpHold hold)
{
	memset(&holds->hold[hold], 0, sizeof holds->hold[hold]);
}

void vrrp_holds_supervise(VrrpHolds *holds, gint64 until_us)
{
	holds->supervised_until_us = until_us;
	vrrp_holds_lift(holds, VRRP_HOLD_NO_SUPERVISOR);
}

bool vrrp_holds_tick(VrrpHolds *holds, bool is_master, gint64 now_us)
{
	bool changed = false;

	for (guint i = 0; i < VRRP_N_HOLDS; i++) {
		if (holds->hold[i].set && holds->hold[i].until_us != 0 && now_us >= holds->hold[i].until_us) {
			vrrp_holds_lift(holds, (VrrpHold)i);
			changed = true;
		}
	}
	if (!is_master && !holds->hold[VRRP_HOLD_NO_SUPERVISOR].set && now_us >= holds->supervised_until_us) {
		vrrp_holds_set(holds, VRRP_HOLD_NO_SUPERVISOR, "no sign of life", 0, now_us);
		changed = true;
	}
	return changed;
}

bool vrrp_holds_any(const VrrpHolds *holds)
{
	for (guint i = 0; i < VRRP_N_HOLDS; i++)
		if (holds->hold[i].set)
			return true;
	return false;
}
