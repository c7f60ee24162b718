/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/wall.h - whether somebody has set the wall clock; the kernel tells, also of what was taken back before anybody looked.
 */
#pragma once

#include <glib.h>

/* Another number each time that the clock has been set, however often, since this was last asked. Of the whole process; asked by one thread. */
guint vrrp_wall_sets(void);
