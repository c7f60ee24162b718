/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/voice/ages.h - for how long something has been kept, in time that this device ran. Pure.
 *
 * Dates are not compared: a clock that jumps must not make what was kept yesterday a year old. What counts is the time from one look to the next within one boot
 * of the machine (CLOCK_BOOTTIME), added up.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct SyncAges SyncAges;

SyncAges *sync_ages_new(const char *text); /* what sync_ages_text() said; anything else, or NULL: nothing is known */
void sync_ages_free(SyncAges *ages);       /* NULL is fine */
char *sync_ages_text(const SyncAges *ages);

/* It is @now_s in the boot @boot. Each of @names is older by what has passed since it was so before, and new when it was not known; the others are forgotten. */
void sync_ages_pass(SyncAges *ages, const char *const *names, const char *boot, gint64 now_s);

gint64 sync_ages_of(const SyncAges *ages, const char *name); /* seconds; 0 when it is not known */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncAges, sync_ages_free)
