/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/alone.h - what the keeper does when no supervisor can be had: make this device let go, in any role. */
#pragma once

/* Stops the applications for certain, lifts the drop of traffic, then SIGTERMs vrrpd, which resigns. Bounded in time; logs what it does. */
void keeper_act_alone(void);
