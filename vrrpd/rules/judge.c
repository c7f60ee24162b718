/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/judge.c - the encoding of standing, step and offset in a VRRP priority. */
#include "vrrpd/rules/judge.h"

const char *vrrp_standing_name(VrrpStanding standing)
{
	switch (standing) {
	case VRRP_STANDING_NOT_SERVING:
		return "not-serving";
	case VRRP_STANDING_ALONE:
		return "alone";
	case VRRP_STANDING_SERVING:
		return "serving";
	}
	g_return_val_if_reached("not-serving");
}

VrrpStanding vrrp_judge_standing(bool serving, bool link_steady)
{
	if (!serving)
		return VRRP_STANDING_NOT_SERVING;
	return link_steady ? VRRP_STANDING_SERVING : VRRP_STANDING_ALONE;
}

guint8 vrrp_judge_priority(VrrpStanding standing, guint step, guint offset)
{
	guint foot = 1 + VRRP_BAND_SIZE * (guint)standing;

	return (guint8)(foot + 2 * MIN(step, VRRP_MAX_STEP) + (offset ? 1 : 0));
}

guint vrrp_judge_step_of(guint8 priority)
{
	if (priority == 0)
		return 0;
	if (priority > 3 * VRRP_BAND_SIZE)
		return VRRP_MAX_STEP;
	return ((priority - 1u) % VRRP_BAND_SIZE) / 2;
}

guint vrrp_judge_next_step(guint heard, guint used)
{
	return MIN(MAX(heard, used) + 1, VRRP_MAX_STEP);
}

bool vrrp_judge_speaks_to_peer(bool carrier, bool link_alive, bool applications_failed)
{
	return carrier && link_alive && !applications_failed;
}
