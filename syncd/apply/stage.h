/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/stage.h - the files of a plan, complete in our hidden folder of each set, before the first of them has its place. */
#pragma once

#include "syncd/apply/places.h"

typedef struct {
	const SyncApply *apply;
	SyncPlaces *places;
	GCancellable *cancellable; /* may be NULL */
} SyncStaging;

/* Stages what the PLACE step @step places. sync_apply_stage() (apply.h) does it for a whole plan. */
bool sync_stage_step(SyncStaging *staging, SyncStep *step, GError **error) G_GNUC_WARN_UNUSED_RESULT;
