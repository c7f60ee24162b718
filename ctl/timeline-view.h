/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/timeline-view.h - changes of role with a bar for each phase. Pure. */
#pragma once

#include "render.h"

/* @transitions: aa{sv} as Supervisor1.Timeline answers it. */
char *timeline_view_text(GVariant *transitions, const RenderStyle *style, GTimeZone *zone);
