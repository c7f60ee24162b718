/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/catalogue.h - the events that Understudy itself raises: one table, from which docs/events.md is checked. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Without any rule those of this priority and above are for the display, and for nobody else. */
#define CATALOGUE_DISPLAYED 2

typedef struct {
	const char *application, *name;
	guint8 priorities[3]; /* as it is raised, the usual one first; 0: no more */
	const char *about;    /* events with the same word are about one thing; NULL: each text is a thing of its own */
	bool recovery;        /* that thing is well again */
	const char *sentence; /* what has happened */
} CatalogueEvent;

/* NULL: somebody else's event. */
const CatalogueEvent *catalogue_find(const char *application, const char *name);
const CatalogueEvent *catalogue_events(gsize *ret_n);

/* What is done with one of @priority where no rule says anything: "display", or "" for nothing. */
const char *catalogue_default_actions(guint8 priority);
/* Of the events about the same thing as the recovery @event the highest usual priority; 0 when @event is no recovery. */
guint8 catalogue_recovered_priority(const CatalogueEvent *event);
