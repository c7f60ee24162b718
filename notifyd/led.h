/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/led.h - LEDs of the LED class show the highest priority among the events that nobody has read.
 *
 * A LED is taken from its trigger when there is something to show, and given back when there is nothing more, or at the end. What it was before is on
 * disk, so that after a kill -9 the next notifyd knows. One that is not there is absent, and looked for again while it should show something.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/settings.h"

#define LEDS_FOLDER "/sys/class/leds"

typedef struct Leds Leds;

/* @state: a file of ours for what must be given back after a death. */
Leds *leds_new(const char *folder, const char *state);
void leds_free(Leds *leds); /* all are given back; NULL is fine */

/* Its [led NAME] targets; what is lit stays lit on those that are still there. @settings is kept. */
void leds_use(Leds *leds, Settings *settings);

/* Event @id is for @target (rules_shows()) and unread. */
void leds_light(Leds *leds, const SettingsTarget *target, guint64 id, guint8 priority);
/* These are read, or gone. */
void leds_read(Leds *leds, const guint64 *ids, gsize n_ids);
/* All that are older are gone. */
void leds_gone(Leds *leds, guint64 before_id);

/* Why @target cannot show anything on this device; NULL: it can. Looks now. */
char *leds_absent(Leds *leds, const SettingsTarget *target);
/* Shows its pattern of priority 3 for @test_ms. */
bool leds_test(Leds *leds, const SettingsTarget *target, guint test_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Leds, leds_free)
