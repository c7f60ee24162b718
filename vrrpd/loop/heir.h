/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/loop/heir.h - a process that inherits the descriptors of a killed vrrpd, so that it is gone at once.
 *
 * The kernel waits an RCU grace period, 10 ms or more, when a packet socket is closed, and tells a parent of its child's death only after the
 * last one. At 10 ms adverts that is longer than the Backup waits. So somebody else closes them: a second task with the same descriptor table
 * and memory, which does nothing but sleep and ends with us.
 */
#pragma once

#include <stdbool.h>

/* Once, early. False: a restart takes longer, and nothing else. */
bool vrrp_heir_start(void);
