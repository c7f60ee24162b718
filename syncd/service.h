/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/service.h - the object /org/understudy/Sync1 with its interfaces Sync1 and Peer1, and what stands behind it. */
#pragma once

#include "dbus/bus-object.h"
#include "syncd/peer/key.h"
#include "settings/settings.h"

#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_BUS_NAME "org.understudy.Sync1"

typedef struct SyncService SyncService;

/* @folder: keys, pairing record and repository. Settings are read anew by Reload. */
SyncService *sync_service_new(BusTree *tree, const char *folder, const char *settings_dir, Settings *settings,
			      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_service_free(SyncService *service); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncService, sync_service_free)
