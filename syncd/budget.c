/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/budget.c - how much of the disk the copies may take on this device: told of before it is reached, and what is done then.
 *
 * At the limit the device that leads takes no more recordings: they stay where they were recorded, in no commit, until there is room again. Configuration,
 * registrations and what is deleted go on, and so does a follower, which has to have what its leader has.
 */
#include "engine-private.h"
#include "syncd/repository/fold.h"

enum { NEAR_PERCENT = 90, FAR_PERCENT = 85, MEBI = 1 << 20 };

typedef enum { ROOM, NEAR, FULL } Room;

static Room room_of(guint64 used, guint64 budget, Room before)
{
	guint64 percent = budget ? used / (budget / 100) : 0;

	if (percent >= 100)
		return FULL;
	/* What swings about the mark is told once. */
	return percent >= (before == ROOM ? NEAR_PERCENT : FAR_PERCENT) ? NEAR : ROOM;
}

static gboolean take_up_again(gpointer data)
{
	sync_lead_look_again(data);
	return G_SOURCE_REMOVE;
}

bool sync_budget_look(SyncEngine *engine)
{
	guint64 budget = (guint64)g_atomic_int_get(&engine->budget_mb) * MEBI;
	guint64 used = budget ? sync_heap_bytes_below(engine->folder) : 0;
	SyncLine *voice = &engine->lines[SYNC_REF_VOICE];
	Room before = g_atomic_int_get(&engine->room), room = room_of(used, budget, before);

	g_atomic_int_set(&engine->room, room);
	if (room == before)
		return room == FULL;
	switch (room) {
	case FULL:
		sync_line_notice(voice, "disk budget reached", 3, "The copies take %" G_GUINT64_FORMAT " MB of the %" G_GUINT64_FORMAT " MB that they may "
				 "(disk-budget-mb): while this device leads, new recordings are not copied to the other one; everything else is",
				 used / MEBI, budget / MEBI);
		break;
	case NEAR:
		if (before == ROOM)
			sync_line_notice(voice, "disk budget near", 2, "The copies take %" G_GUINT64_FORMAT " MB of the %" G_GUINT64_FORMAT " MB that they may "
					 "(disk-budget-mb): at the limit new recordings are not copied to the other device", used / MEBI, budget / MEBI);
		break;
	case ROOM:
		sync_line_notice(voice, "disk budget kept", 1, "There is room again for what this device copies");
		break;
	}
	if (before == FULL)
		sync_engine_post(voice->context, G_PRIORITY_DEFAULT, take_up_again, voice);
	return room == FULL;
}

bool sync_budget_is_spent(SyncEngine *engine)
{
	return g_atomic_int_get(&engine->room) == FULL;
}
