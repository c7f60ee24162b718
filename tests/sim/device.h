/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/device.h - what the files of a device (device*.c) have from each other; the world has sim.h. */
#pragma once

#include "sim.h"

/* device.c */
void sim_device_save(SimDevice *device); /* as vrrp_election_save() */
void sim_device_save_changes(SimDevice *device);
gint64 sim_device_window_us(const SimDevice *device);
VrrpStanding sim_device_standing(const Sim *sim, const SimDevice *device);
void sim_device_announce_again(Sim *sim, SimDevice *device);
void sim_device_do_jobs(Sim *sim, SimDevice *device);
void sim_device_ask(Sim *sim, SimDevice *device, VrrpStepKind kind);
void sim_device_forget_heard(SimDevice *device);
void sim_device_plan(Sim *sim, SimDevice *device, gint64 now_us);
void sim_device_step(Sim *sim, SimDevice *device, const VrrpEvent *event);
void sim_device_step_at(Sim *sim, SimDevice *device, const VrrpEvent *event, gint64 now_us);
void sim_device_go_on_leaving(Sim *sim, SimDevice *device);
void sim_device_push_tick(Sim *sim, SimDevice *device, gint64 after_us);
bool sim_device_ran_over(const Sim *sim, SimDevice *device);
void sim_device_wake_up(Sim *sim, SimDevice *device);
void sim_device_update_gate(Sim *sim, SimDevice *device);

/* device-receive.c */
void sim_device_open_sockets(Sim *sim, SimDevice *device); /* others, and nothing in them */
void sim_device_begin_to_wait(SimDevice *device, gint64 from_us, gint64 now_us, guint interval_cs);
